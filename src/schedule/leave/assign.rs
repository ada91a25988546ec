//! Who takes over which visit when a practitioner is ill. Pure: the same visits, free time and
//! load always give the same proposals.
//!
//! The more urgent visit chooses first. Within one urgency those that can keep their time are
//! placed before those that must change it; whoever speaks the patient's language is preferred,
//! then the nearest time, then whoever lives in the same hours, then whoever has least to do.

use std::collections::HashMap;

use chrono::TimeDelta;

use crate::appointment::{AppointmentId, Priority};
use crate::base::column::{Instant, text_enum};
use crate::patient::PatientId;
use crate::practitioner::PractitionerId;
use crate::schedule::wall_clock::Span;

text_enum!(
    /// Why something is proposed for a visit.
    Why {
        /// More urgent ones were placed first, and this is one of them.
        Triage = "triage_first",
        /// Somebody is free at the promised time.
        SameTime = "same_time",
        /// The nearest time of the same day at which somebody is free.
        SameDay = "nearest_same_day",
        /// They speak the patient's language.
        SameLanguage = "same_language",
        /// They do not, or it is not known.
        OtherLanguage = "other_language",
        /// Their clocks show the same as the one they stand in for.
        SameZone = "same_zone",
        /// Their clocks show another time.
        OtherZone = "other_zone",
        /// Of those who could, they have least to do.
        LeastLoad = "least_load",
        /// Another feldsher or interpreter is free at its time and place.
        AnotherHelper = "another_helper",
        /// There is no other feldsher or interpreter for it.
        NoHelper = "no_other_helper",
        /// Nobody else gives this service.
        NobodyElse = "nobody_else",
        /// Nobody is free on that day.
        NobodyFree = "nobody_free_that_day",
        /// Other days have free times.
        OtherDays = "other_days_free",
        /// Other days have none either.
        NoOtherDays = "no_other_days",
        /// It has begun, and is nobody else's any more.
        HasBegun = "has_begun",
        /// It is only held, or asked for: the clinic has promised nothing yet.
        NotBooked = "not_booked",
        /// A person chose this.
        Edited = "edited",
    }
);

/// Who could take over a visit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StandIn {
    /// Who.
    pub practitioner: PractitionerId,
    /// Whether they speak the patient's language.
    pub same_language: bool,
    /// Whether their clocks show what those of the ill one do.
    pub same_zone: bool,
    /// When they work for its service. Buffers may reach beyond.
    pub hours: Vec<Span>,
}

/// A visit that must be placed anew.
#[derive(Debug, Clone)]
pub struct Visit {
    /// Which.
    pub id: AppointmentId,
    /// Whose.
    pub patient: PatientId,
    /// How soon it must be.
    pub priority: Priority,
    /// When it was promised.
    pub span: Span,
    /// Kept free before it.
    pub before: TimeDelta,
    /// Kept free after it.
    pub after: TimeDelta,
    /// The patient's day, within which it may be put to another time.
    pub day: Span,
    /// When the patient is elsewhere.
    pub patient_busy: Vec<Span>,
    /// Who gives the service.
    pub stand_ins: Vec<StandIn>,
}

/// What is taken of a stand-in's time.
#[derive(Debug, Clone)]
pub struct Candidate {
    /// Who.
    pub practitioner: PractitionerId,
    /// The visits they have, with what those keep free.
    pub taken: Vec<Span>,
    /// How many they are.
    pub load: i64,
}

/// Where a visit is put.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Place {
    /// With whom.
    pub practitioner: PractitionerId,
    /// When.
    pub start: Instant,
}

/// What is proposed for a visit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Proposal {
    /// Which.
    pub visit: AppointmentId,
    /// Where it could be put; `None`: nowhere on that day.
    pub place: Option<Place>,
    /// Why.
    pub why: Vec<Why>,
}

/// Places visits with those who have time. `now` is the time; a visit that changes its time is
/// not put before `notice_until`, so that its patient can hear of it. One proposal per visit, in
/// the order of the visits.
pub fn assign(
    visits: &[Visit],
    candidates: &[Candidate],
    (now, notice_until): (Instant, Instant),
) -> Vec<Proposal> {
    let mut board = Board::of(candidates);
    let mut order: Vec<&Visit> = visits.iter().collect();
    order.sort_by_key(|visit| (std::cmp::Reverse(visit.priority), visit.span.start, visit.id));
    let mut placed: HashMap<AppointmentId, Placed> = HashMap::new();
    for class in order.chunk_by(|one, next| one.priority == next.priority) {
        for visit in class.iter().filter(|visit| visit.span.start > now) {
            let start = visit.span.start;
            let chosen = board.best(visit, |starts| starts.holds(start).then_some(start));
            if let Some((place, alike)) = chosen {
                board.take(visit, place);
                placed.insert(visit.id, (place, Why::SameTime, alike));
            }
        }
        for visit in class {
            if placed.contains_key(&visit.id) {
                continue;
            }
            let day = Starts {
                first: visit.day.start.max(notice_until),
                last: visit.day.end.minus(length(visit)),
            };
            let chosen = board.best(visit, |starts| starts.nearest(visit.span.start, day));
            if let Some((place, alike)) = chosen {
                board.take(visit, place);
                placed.insert(visit.id, (place, Why::SameDay, alike));
            }
        }
    }
    visits.iter().map(|visit| proposal(visit, placed.get(&visit.id).copied())).collect()
}

/// Where, at which kind of time, and whether the load decided.
type Placed = (Place, Why, bool);

fn proposal(visit: &Visit, placed: Option<Placed>) -> Proposal {
    let mut why = Vec::new();
    if visit.priority != Priority::Routine {
        why.push(Why::Triage);
    }
    let stand_in = placed.and_then(|(place, ..)| {
        visit.stand_ins.iter().find(|one| one.practitioner == place.practitioner)
    });
    match (placed, stand_in) {
        (Some((_, when, alike)), Some(one)) => {
            why.push(when);
            why.push(if one.same_language { Why::SameLanguage } else { Why::OtherLanguage });
            why.push(if one.same_zone { Why::SameZone } else { Why::OtherZone });
            why.extend(alike.then_some(Why::LeastLoad));
        }
        _ if visit.stand_ins.is_empty() => why.push(Why::NobodyElse),
        _ => why.push(Why::NobodyFree),
    }
    Proposal { visit: visit.id, place: placed.map(|(place, ..)| place), why }
}

/// What is taken while visits are placed.
struct Board {
    taken: HashMap<PractitionerId, (Vec<Span>, i64)>,
    patients: HashMap<PatientId, Vec<Span>>,
}

impl Board {
    fn of(candidates: &[Candidate]) -> Self {
        let taken = candidates.iter().map(|one| (one.practitioner, (one.taken.clone(), one.load)));
        Self { taken: taken.collect(), patients: HashMap::new() }
    }

    /// The best start that `choose` finds, and whether only the load told it from another: first
    /// by language, then the nearest to the promised time, then by zone and load, and last by id,
    /// so that the answer is always the same.
    fn best(
        &self,
        visit: &Visit,
        choose: impl Fn(Starts) -> Option<Instant>,
    ) -> Option<(Place, bool)> {
        let mut found = Vec::new();
        for one in &visit.stand_ins {
            let load = self.taken.get(&one.practitioner).map_or(0, |(_, load)| *load);
            for start in self.starts(visit, one).into_iter().filter_map(&choose) {
                let away = start.since(visit.span.start);
                let merit = (!one.same_language, away.abs(), !one.same_zone);
                found.push((merit, load, away < TimeDelta::zero(), one.practitioner, start));
            }
        }
        let (merit, _, _, practitioner, start) = *found.iter().min()?;
        let alike = found.iter().any(|other| other.0 == merit && other.3 != practitioner);
        Some((Place { practitioner, start }, alike))
    }

    /// When a visit could begin with somebody.
    fn starts(&self, visit: &Visit, one: &StandIn) -> Vec<Starts> {
        let long = length(visit);
        let within = |hours: &Span| Starts { first: hours.start, last: hours.end.minus(long) };
        let mut starts: Vec<Starts> = one.hours.iter().map(within).collect();
        let taken = self.taken.get(&one.practitioner).map_or(&[][..], |(taken, _)| taken);
        for taken in taken {
            let before = taken.start.minus(visit.after).minus(long);
            starts = cut(&starts, before, taken.end.plus(visit.before));
        }
        // The buffers around a visit are the practitioner's, not the patient's.
        let given = self.patients.get(&visit.patient).map_or(&[][..], Vec::as_slice);
        for busy in visit.patient_busy.iter().chain(given) {
            starts = cut(&starts, busy.start.minus(long), busy.end);
        }
        starts
    }

    fn take(&mut self, visit: &Visit, place: Place) {
        let end = place.start.plus(length(visit));
        let (taken, load) = self.taken.entry(place.practitioner).or_default();
        taken.push(Span { start: place.start.minus(visit.before), end: end.plus(visit.after) });
        *load += 1;
        self.patients.entry(visit.patient).or_default().push(Span { start: place.start, end });
    }
}

fn length(visit: &Visit) -> TimeDelta {
    visit.span.end.since(visit.span.start)
}

/// Instants at which a visit may begin, both ends among them.
#[derive(Debug, Clone, Copy)]
struct Starts {
    first: Instant,
    last: Instant,
}

impl Starts {
    fn holds(self, start: Instant) -> bool {
        self.first <= start && start <= self.last
    }

    /// The start that is nearest to a promised one, of those that lie in `day` too.
    fn nearest(self, promised: Instant, day: Self) -> Option<Instant> {
        let (first, last) = (self.first.max(day.first), self.last.min(day.last));
        (first <= last).then(|| promised.min(last).max(first))
    }
}

/// Starts without those after `before` and before `after`.
fn cut(starts: &[Starts], before: Instant, after: Instant) -> Vec<Starts> {
    let sides = |one: &Starts| {
        let early = Starts { last: one.last.min(before), ..*one };
        let late = Starts { first: one.first.max(after), ..*one };
        // What lies wholly on one side is not there twice.
        let late = (one.last > before && late.first <= late.last).then_some(late);
        [(early.first <= early.last).then_some(early), late]
    };
    starts.iter().flat_map(sides).flatten().collect()
}

#[cfg(test)]
#[path = "assign_tests.rs"]
mod tests;
