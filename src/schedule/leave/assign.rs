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
use crate::schedule::free::Span;

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
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StandIn {
    /// Who.
    pub practitioner: PractitionerId,
    /// Whether they speak the patient's language.
    pub same_language: bool,
    /// Whether their clocks show what those of the ill one do.
    pub same_zone: bool,
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

/// What a stand-in has left.
#[derive(Debug, Clone)]
pub struct Candidate {
    /// Who.
    pub practitioner: PractitionerId,
    /// When they work and nothing is taken.
    pub open: Vec<Span>,
    /// How many visits they have in that time.
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
            let chosen = board.best(visit, |open| fits(visit, open, start).then_some(start));
            if let Some((place, alike)) = chosen {
                board.take(visit, place);
                placed.insert(visit.id, (place, Why::SameTime, alike));
            }
        }
        for visit in class {
            if placed.contains_key(&visit.id) {
                continue;
            }
            let range = Span { start: visit.day.start.max(notice_until), end: visit.day.end };
            let chosen = board.best(visit, |open| nearest(visit, open, range));
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

/// The time that is left while visits are placed.
struct Board {
    open: HashMap<PractitionerId, (Vec<Span>, i64)>,
    patients: HashMap<PatientId, Vec<Span>>,
}

impl Board {
    fn of(candidates: &[Candidate]) -> Self {
        let open = candidates.iter().map(|one| (one.practitioner, (one.open.clone(), one.load)));
        Self { open: open.collect(), patients: HashMap::new() }
    }

    /// The best place that `start_in` finds in somebody's open time, and whether only the load told
    /// it from another: first by language, then the nearest to the promised time, then by zone and
    /// load, and last by id, so that the answer is always the same.
    fn best(
        &self,
        visit: &Visit,
        start_in: impl Fn(Span) -> Option<Instant>,
    ) -> Option<(Place, bool)> {
        let mut found = Vec::new();
        for one in &visit.stand_ins {
            let Some((open, load)) = self.open.get(&one.practitioner) else { continue };
            let parts = open.iter().flat_map(|open| self.for_patient(visit, *open));
            for start in parts.filter_map(&start_in) {
                let away = start.since(visit.span.start);
                let merit = (!one.same_language, away.abs(), !one.same_zone);
                found.push((merit, *load, away < TimeDelta::zero(), one.practitioner, start));
            }
        }
        let (merit, _, _, practitioner, start) = *found.iter().min()?;
        let alike = found.iter().any(|other| other.0 == merit && other.3 != practitioner);
        Some((Place { practitioner, start }, alike))
    }

    /// The parts of somebody's open time in which the patient can come. The buffers around the
    /// visit are the practitioner's, not the patient's, so two parts may overlap.
    fn for_patient(&self, visit: &Visit, open: Span) -> Vec<Span> {
        let given = self.patients.get(&visit.patient).map_or(&[][..], Vec::as_slice);
        let mut parts = vec![open];
        for busy in visit.patient_busy.iter().chain(given) {
            let until = busy.start.plus(visit.after);
            let from = busy.end.minus(visit.before);
            let mut left = Vec::with_capacity(parts.len().saturating_add(1));
            for part in parts {
                if part.end <= until || from <= part.start {
                    left.push(part);
                    continue;
                }
                left.extend((part.start < until).then_some(Span { end: until, ..part }));
                left.push(Span { start: from, ..part });
            }
            left.retain(|part| part.start < part.end);
            parts = left;
        }
        parts
    }

    fn take(&mut self, visit: &Visit, place: Place) {
        let busy = busy_at(visit, place.start);
        if let Some((open, load)) = self.open.get_mut(&place.practitioner) {
            *open = without(open, busy);
            *load += 1;
        }
        let own = Span { start: place.start, end: place.start.plus(length(visit)) };
        self.patients.entry(visit.patient).or_default().push(own);
    }
}

fn length(visit: &Visit) -> TimeDelta {
    visit.span.end.since(visit.span.start)
}

/// What a visit takes of its practitioner.
fn busy_at(visit: &Visit, start: Instant) -> Span {
    Span { start: start.minus(visit.before), end: start.plus(length(visit)).plus(visit.after) }
}

fn fits(visit: &Visit, open: Span, start: Instant) -> bool {
    let busy = busy_at(visit, start);
    open.start <= busy.start && busy.end <= open.end
}

/// The start in `open` that is nearest to the promised one, such that the visit lies in `range`.
fn nearest(visit: &Visit, open: Span, range: Span) -> Option<Instant> {
    let first = open.start.plus(visit.before).max(range.start);
    let last = open.end.minus(visit.after).min(range.end).minus(length(visit));
    let start = visit.span.start.min(last).max(first);
    (start <= last && fits(visit, open, start)).then_some(start)
}

/// Time without a part of it.
pub fn without(time: &[Span], taken: Span) -> Vec<Span> {
    let mut left = Vec::with_capacity(time.len().saturating_add(1));
    for span in time {
        if taken.start >= taken.end || !span.overlaps(taken) {
            left.push(*span);
            continue;
        }
        if span.start < taken.start {
            left.push(Span { start: span.start, end: taken.start });
        }
        if taken.end < span.end {
            left.push(Span { start: taken.end, end: span.end });
        }
    }
    left
}

#[cfg(test)]
#[path = "assign_tests.rs"]
mod tests;
