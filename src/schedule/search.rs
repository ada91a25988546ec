//! How free times are found: starts follow from working time, which is in memory as a rule, and
//! visits are asked for only as far as the starts reach that a page can show: those of the
//! practitioners, of the patient when one is named, and of all that a service needs besides, with
//! one question.

use std::collections::HashMap;
use std::sync::Arc;

use chrono::TimeDelta;

use crate::appointment::supply::{self, Busy, Duty, Moving, Sought, Supply, Where};
use crate::appointment::taken;
use crate::base::column::Instant;
use crate::base::error::Error;
use crate::base::tx::Tx;
use crate::base::zone::Zone;
use crate::location::LocationId;
use crate::organization::{Service, ServiceId};
use crate::patient::PatientRow;
use crate::practitioner::{PractitionerId, PractitionerRow};
use crate::schedule::diary::{Day, Diary};
use crate::schedule::free::{self, Taken, Terms};
use crate::schedule::slots::PartOfDay;
use crate::schedule::wall_clock::{Span, WallClock};
use crate::schedule::{days_of, diaries_of, terms_for};

/// So many starts are looked at first for each free time that is wanted, and then twice as many
/// again and again.
const LOOK_AT_EACH: usize = 2;
/// And at least so many, whatever is wanted.
const LOOK_AT_MIN: usize = 64;
/// And never more at once: they lie in memory.
const LOOK_AT_MAX: usize = 8192;

/// Where a slot stands in a list: strangers after those whom the patient knows, by start, the
/// less busy first.
pub(super) type Position = (i64, Instant, i64, PractitionerId, ServiceId);

/// Somebody who could be booked for a service.
struct Candidate {
    service: ServiceId,
    practitioner: PractitionerRow,
    /// 0 comes before 1.
    rank: i64,
    /// How many visits they have; 0 unless the order is fair.
    load: i64,
}

/// A free time of a candidate.
pub(crate) struct Free {
    pub(super) span: Span,
    pub(super) location: Option<LocationId>,
    pub(super) position: Position,
    candidate: usize,
}

impl Free {
    /// With whom, and when.
    pub(crate) fn place(&self) -> (PractitionerId, Span) {
        (self.position.3, self.span)
    }
}

/// A search for free times.
pub(crate) struct Search {
    range: Span,
    /// In which times are shown; `None`: each practitioner's own.
    pub(super) zone: Option<Zone>,
    part_of_day: Option<PartOfDay>,
    location: Option<LocationId>,
    /// Who shall be seen.
    patient: Option<PatientRow>,
    /// Where.
    place: Where,
    /// With which rooms, devices and people.
    named: Vec<uuid::Uuid>,
    moving: Option<Moving>,
    services: HashMap<ServiceId, (Terms, Service)>,
    candidates: Vec<Candidate>,
}

/// What a search holds in its hands while it runs.
struct Run<'a> {
    diaries: HashMap<PractitionerId, Arc<Diary>>,
    /// The clocks that tell the part of the day; empty when none is asked for.
    clocks: HashMap<Zone, WallClock>,
    /// What the clinics have of what services need; those that need nothing are left out.
    supplies: HashMap<ServiceId, Supply>,
    after: Option<Position>,
    is_useful: &'a dyn Fn(PractitionerId, Span) -> bool,
}

/// What is known of the time around some starts.
struct Around {
    taken: HashMap<(PractitionerId, ServiceId), Taken>,
    /// What visits take of patient, rooms, devices and people.
    busy: Busy,
    duties: HashMap<ServiceId, Duty>,
}

impl Search {
    /// Free times that begin within `range` and after now, at which somebody can be seen.
    pub(crate) fn of(tx: &Tx, range: Span, zone: Option<Zone>, sought: &Sought) -> Self {
        let start = range.start.max(tx.now);
        Self {
            range: Span { start, end: range.end },
            zone,
            part_of_day: None,
            location: None,
            patient: sought.patient.cloned(),
            place: sought.place,
            named: sought.named.to_vec(),
            moving: sought.moving,
            services: HashMap::new(),
            candidates: Vec::new(),
        }
    }

    /// Only those of a part of the day, and where the practitioner sits in a place.
    pub(super) fn narrow(&mut self, part: Option<PartOfDay>, location: Option<LocationId>) {
        self.part_of_day = part;
        self.location = location;
    }

    /// Asks somebody for times of a service. One that is not offered now has none.
    pub(crate) fn ask(&mut self, tx: &Tx, service: &Service, practitioner: PractitionerRow) {
        if service.active {
            self.services
                .entry(service.id)
                .or_insert_with(|| (terms_for(tx, service, self.moving), service.clone()));
            self.candidates.push(Candidate { service: service.id, practitioner, rank: 0, load: 0 });
        }
    }

    /// Puts those first whom the patient has seen.
    pub(super) fn prefer_known(
        &mut self,
        tx: &mut Tx,
        patient: Option<&PatientRow>,
    ) -> Result<(), Error> {
        let Some(patient) = patient else { return Ok(()) };
        let known = taken::seen_by(tx, patient.id)?;
        for candidate in &mut self.candidates {
            candidate.rank = i64::from(!known.contains(&candidate.practitioner.id));
        }
        Ok(())
    }

    /// Puts those first, among equal starts, who have the fewest visits in the range.
    pub(super) fn prefer_idle(&mut self, tx: &mut Tx) -> Result<(), Error> {
        let mut ids: Vec<PractitionerId> =
            self.candidates.iter().map(|candidate| candidate.practitioner.id).collect();
        ids.sort_unstable();
        ids.dedup();
        let loads = taken::loads(tx, &ids, (self.range.start, self.range.end))?;
        for candidate in &mut self.candidates {
            candidate.load = loads.get(&candidate.practitioner.id).copied().unwrap_or_default();
        }
        Ok(())
    }

    /// What is free there, and with whom.
    pub(super) fn of_free(&self, free: &Free) -> Option<(&Service, &PractitionerRow)> {
        let candidate = self.candidates.get(free.candidate)?;
        let (_, service) = self.services.get(&candidate.service)?;
        Some((service, &candidate.practitioner))
    }

    /// The first `most` free times that come after a position.
    pub(crate) fn run(
        &self,
        tx: &mut Tx,
        after: Option<Position>,
        most: usize,
    ) -> Result<Vec<Free>, Error> {
        self.run_where(tx, after, most, &|_, _| true)
    }

    /// As [`Search::run`], of those times only that somebody has a use for.
    pub(crate) fn run_where(
        &self,
        tx: &mut Tx,
        after: Option<Position>,
        most: usize,
        is_useful: &dyn Fn(PractitionerId, Span) -> bool,
    ) -> Result<Vec<Free>, Error> {
        let all: Vec<&PractitionerRow> =
            self.candidates.iter().map(|candidate| &candidate.practitioner).collect();
        let duration = self.services.values().map(|(terms, _)| terms.duration).max();
        let whole = Span {
            start: self.range.start,
            end: self.range.end.plus(duration.unwrap_or_default()),
        };
        let diaries = diaries_of(tx, &all, whole)?;
        let (clocks, supplies) = (self.clocks(), self.supplies(tx, whole)?);
        let run = Run { diaries, clocks, supplies, after, is_useful };
        let mut found = Vec::new();
        for rank in [0, 1] {
            if after.is_none_or(|(before, ..)| before <= rank) && found.len() < most {
                self.run_rank(tx, &run, rank, most, &mut found)?;
            }
        }
        found.truncate(most);
        Ok(found)
    }

    fn supplies(&self, tx: &mut Tx, range: Span) -> Result<HashMap<ServiceId, Supply>, Error> {
        let patient = self.patient.as_ref();
        let sought = Sought { patient, place: self.place, named: &self.named, moving: self.moving };
        let mut supplies = HashMap::new();
        for (_, service) in self.services.values() {
            if let Some(supply) = Supply::of(tx, service, &sought, range)? {
                supplies.insert(service.id, supply);
            }
        }
        Ok(supplies)
    }

    fn clocks(&self) -> HashMap<Zone, WallClock> {
        let mut clocks = HashMap::new();
        if self.part_of_day.is_some() {
            for candidate in &self.candidates {
                let zone = self.shown_in(candidate);
                clocks.entry(zone).or_insert_with(|| WallClock::of(zone, self.range));
            }
        }
        clocks
    }

    fn shown_in(&self, candidate: &Candidate) -> Zone {
        self.zone.unwrap_or(candidate.practitioner.time_zone)
    }

    /// Adds the free times of a rank, by position, until there are `most`.
    fn run_rank(
        &self,
        tx: &mut Tx,
        run: &Run<'_>,
        rank: i64,
        most: usize,
        found: &mut Vec<Free>,
    ) -> Result<(), Error> {
        let mut range = self.range;
        if let Some((before, start, ..)) = run.after
            && before == rank
        {
            range.start = start.max(range.start);
        }
        let mut days = Day::of_span(range);
        // Starts that may be free, by no order; what begins on a later day comes later.
        let mut ahead: Vec<Free> = Vec::new();
        let missing = most.saturating_sub(found.len());
        let mut look_at = missing.saturating_mul(LOOK_AT_EACH).max(LOOK_AT_MIN);
        while found.len() < most {
            while ahead.len() < look_at
                && let Some(day) = days.next()
            {
                self.starts(run, rank, (day, range), &mut ahead);
            }
            if ahead.is_empty() {
                break;
            }
            let mut next = take_first(&mut ahead, look_at);
            self.keep_free(tx, run, &mut next)?;
            next.sort_unstable_by_key(|free| free.position);
            found.append(&mut next);
            look_at = look_at.saturating_mul(2).min(LOOK_AT_MAX);
        }
        Ok(())
    }

    /// Adds the starts of a day that are asked for, whether they are free or not.
    fn starts(&self, run: &Run<'_>, rank: i64, (day, range): (Day, Span), ahead: &mut Vec<Free>) {
        let ranked = self.candidates.iter().enumerate();
        for (at, candidate) in ranked.filter(|(_, candidate)| candidate.rank == rank) {
            let Some(diary) = run.diaries.get(&candidate.practitioner.id) else { continue };
            let Some((terms, _)) = self.services.get(&candidate.service) else { continue };
            let clock = run.clocks.get(&self.shown_in(candidate));
            let is_asked = |offer: &free::Offer| {
                let part = || clock.map(|clock| PartOfDay::of_hour(clock.hour(offer.start)));
                self.part_of_day.is_none_or(|wanted| part() == Some(wanted))
                    && self.location.is_none_or(|wanted| offer.location == Some(wanted))
            };
            let starts = diary.starts(terms, day);
            let asked = free::bookable(&starts, terms, range)
                .filter(is_asked)
                .map(|offer| free_of(at, candidate, terms, offer))
                .filter(|free| run.after.is_none_or(|after| free.position > after))
                .filter(|free| (run.is_useful)(free.position.3, free.span));
            ahead.extend(asked);
        }
    }

    /// Leaves out what visits take, and where somebody or something is missing.
    fn keep_free(&self, tx: &mut Tx, run: &Run<'_>, starts: &mut Vec<Free>) -> Result<(), Error> {
        let around = self.around(tx, run, starts)?;
        let elsewhere = self.patient.as_ref().and_then(|patient| around.busy.get(&patient.id.0));
        starts.retain(|free| {
            let (_, start, _, practitioner, service) = free.position;
            let diary = run.diaries.get(&practitioner);
            let terms = self.services.get(&service).map(|(terms, _)| terms);
            let is_free = match (diary, terms, around.taken.get(&(practitioner, service))) {
                (Some(diary), Some(terms), Some(taken)) => {
                    free::is_free(&diary.hours, terms, taken, start)
                }
                _ => false,
            };
            is_free
                && elsewhere.is_none_or(|taken| free::is_clear(taken, free.span))
                && self.is_served(run, &around, free)
        });
        Ok(())
    }

    /// Whether one of each kind that the service needs is free at one place.
    fn is_served(&self, run: &Run<'_>, around: &Around, free: &Free) -> bool {
        let Some((service, practitioner)) = self.of_free(free) else { return false };
        let Some(supply) = run.supplies.get(&service.id) else { return true };
        let Some(duty) = around.duties.get(&service.id) else { return false };
        supply.serving(free.span, practitioner, (duty, &around.busy)).next().is_some()
    }

    /// What visits take of the time around some starts.
    fn around(&self, tx: &mut Tx, run: &Run<'_>, starts: &[Free]) -> Result<Around, Error> {
        let mut keys: Vec<(PractitionerId, ServiceId)> =
            starts.iter().map(|free| (free.position.3, free.position.4)).collect();
        keys.sort_unstable();
        keys.dedup();
        let mut ids: Vec<PractitionerId> = keys.iter().map(|(id, _)| *id).collect();
        ids.dedup();
        let begins = starts.iter().map(|free| free.span.start);
        let (Some(first), Some(last)) = (begins.clone().min(), begins.max()) else {
            return Ok(Around { taken: HashMap::new(), busy: Busy::new(), duties: HashMap::new() });
        };
        let reach = |of: fn(&Terms) -> TimeDelta| {
            self.services.values().map(|(terms, _)| of(terms)).max().unwrap_or_default()
        };
        let from = first.minus(reach(|terms| terms.before));
        let to = last.plus(reach(|terms| terms.duration + terms.after));
        let mut asked: Vec<uuid::Uuid> = ids.iter().map(|id| id.0).collect();
        asked.extend(self.patient.as_ref().map(|patient| patient.id.0));
        asked.extend(run.supplies.values().flat_map(Supply::ids));
        let busy = supply::busy(tx, &asked, (from, to), self.moving)?;
        let part = Span { start: first, end: last.plus(TimeDelta::microseconds(1)) };
        let mut days = HashMap::new();
        let moving = self.moving.map(|moving| moving.id);
        for (terms, service) in self.services.values().filter(|(terms, _)| terms.daily_cap > 0) {
            for (practitioner, visits) in days_of(tx, &ids, terms, &run.diaries, (part, moving))? {
                days.insert((practitioner, service.id), visits);
            }
        }
        let taken = |key: (PractitionerId, ServiceId)| {
            let busy = busy.get(&key.0.0).cloned().unwrap_or_default();
            (key, Taken { busy, days: days.remove(&key).unwrap_or_default() })
        };
        let taken = keys.into_iter().map(taken).collect();
        let work = Span { start: first, end: to };
        let duties = run.supplies.iter().map(|(id, supply)| (*id, supply.duty(work))).collect();
        Ok(Around { taken, busy, duties })
    }
}

/// Takes those out that come first, at most so many.
fn take_first(ahead: &mut Vec<Free>, most: usize) -> Vec<Free> {
    if ahead.len() > most {
        ahead.select_nth_unstable_by_key(most, |free| free.position);
        let rest = ahead.split_off(most);
        return std::mem::replace(ahead, rest);
    }
    std::mem::take(ahead)
}

fn free_of(at: usize, candidate: &Candidate, terms: &Terms, offer: free::Offer) -> Free {
    let start = offer.start;
    Free {
        span: Span { start, end: start.plus(terms.duration) },
        location: offer.location,
        position: (
            candidate.rank,
            start,
            candidate.load,
            candidate.practitioner.id,
            candidate.service,
        ),
        candidate: at,
    }
}
