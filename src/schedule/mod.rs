//! Schedules: when somebody works, and which of that time is still free.

pub mod absence;
pub mod free;
pub mod http;
pub mod leave;
pub mod rules;

use std::collections::HashMap;

use chrono::TimeDelta;
use diesel::prelude::*;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::access::Facts;
use crate::access::table::Action;
use crate::appointment::taken;
use crate::base::column::Instant;
use crate::base::error::Error;
use crate::base::name::Named;
use crate::base::page::{self, Page};
use crate::base::problem;
use crate::base::schema::absences;
use crate::base::tx::Tx;
use crate::base::zone::{self, Zone};
use crate::location::{self, LocationId};
use crate::organization::{self, Service, ServiceId};
use crate::patient;
use crate::practitioner::{self, PractitionerId, PractitionerRow};
use crate::schedule::free::{Span, WallClock};
use crate::schedule::rules::Rule;

/// What a list of free times covers when no end is asked for, in days.
const RANGE_DAYS_DEFAULT: i64 = 7;
/// The widest range of a list of free times, in days.
const RANGE_DAYS_MAX: i64 = 31;
/// How far `next_free` looks ahead, in days.
const AHEAD_DAYS_MAX: i64 = 60;
/// A search reads this much at first, then twice as much again and again, in days.
const STRIDE_DAYS: i64 = 7;

/// A free time (FHIR Slot).
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct Slot {
    /// When it begins.
    pub start: Instant,
    /// When it ends.
    pub end: Instant,
    /// The beginning as a clock in `time_zone` shows it, RFC 3339.
    pub local_start: String,
    /// The IANA zone of the place, of the calling patient, or of the practitioner.
    pub time_zone: Zone,
    /// With whom.
    pub practitioner: Named<PractitionerId>,
}

/// Which free times a list shall hold.
#[derive(Debug, Clone, Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct SlotFilter {
    /// The service, whose duration a time must fit.
    pub service: ServiceId,
    /// With whom; left out: any practitioner of the service.
    pub practitioner: Option<PractitionerId>,
    /// Those that begin at this instant or later; left out: from now on.
    pub from: Option<Instant>,
    /// Those that begin before this instant, at most 31 days after `from`; left out: 7 days.
    pub to: Option<Instant>,
    /// The place whose local time is shown; left out: the calling patient's.
    pub location: Option<LocationId>,
    /// Items per page, 1 to 100.
    pub limit: Option<u32>,
    /// Where the page begins: what `Link: rel="next"` said.
    pub cursor: Option<String>,
}

/// Where a slot stands in a list.
type Position = (Instant, PractitionerId);

/// Lists free times by start, then by practitioner. Writes nothing: a time is taken by booking.
pub fn list_slots(tx: &mut Tx, wanted: &SlotFilter) -> Result<Page<Slot>, Error> {
    tx.allow(Action::ReadSlots, &Facts::NONE)?;
    let limit = page::limit(wanted.limit)?;
    let after: Option<Position> = page::cursor(wanted.cursor.as_deref())?;
    let range = asked_range(tx, wanted)?;
    let service = organization::find_service(tx, wanted.service)
        .map_err(|error| error.as_unknown_reference("/service"))?;
    let offering = practitioner::of_service(tx, service.id, wanted.practitioner)?;
    if offering.is_empty() && wanted.practitioner.is_some() {
        return Err(Error::field(&problem::UNKNOWN_REFERENCE, "/practitioner"));
    }
    let zone = shown_zone(tx, wanted.location)?;
    let most = usize::try_from(limit.saturating_add(1)).unwrap_or(usize::MAX);
    let found = search(tx, &offering, duration(&service), range, after, most)?;
    let page = Page::cut(found, limit, |free| free.position());
    Ok(page.map(|free| free.shown(zone)))
}

fn asked_range(tx: &Tx, wanted: &SlotFilter) -> Result<Span, Error> {
    let start = wanted.from.unwrap_or(tx.now);
    let end = wanted.to.unwrap_or_else(|| start.plus(TimeDelta::days(RANGE_DAYS_DEFAULT)));
    if end <= start || end.since(start) > TimeDelta::days(RANGE_DAYS_MAX) {
        return Err(Error::field(&problem::RANGE_TOO_WIDE, "/to"));
    }
    Ok(bookable(tx, Span { start, end }))
}

/// The part of a range for which a visit can be booked now.
fn bookable(tx: &Tx, range: Span) -> Span {
    let horizon = tx.now.plus(TimeDelta::days(i64::from(tx.config.booking.ahead_days_max)));
    Span {
        start: range.start.max(tx.now.plus(TimeDelta::microseconds(1))),
        end: range.end.min(horizon.plus(TimeDelta::microseconds(1))),
    }
}

/// The zone in which times are shown to the caller; `None`: each practitioner's own.
fn shown_zone(tx: &mut Tx, location: Option<LocationId>) -> Result<Option<Zone>, Error> {
    if let Some(location) = location {
        let zone = location::zone(tx, location)
            .map_err(|error| error.as_unknown_reference("/location"))?;
        return Ok(Some(zone));
    }
    let Some(patient) = tx.person().ok().and_then(|person| person.patient) else {
        return Ok(None);
    };
    Ok(Some(patient::find_row(tx, patient)?.time_zone))
}

/// The first `count` free times from `after` on, at most 60 days ahead; for a deed that has
/// decided on access itself.
pub fn next_free(
    tx: &mut Tx,
    service: &Service,
    practitioner: Option<PractitionerId>,
    after: Instant,
    zone: Zone,
    count: usize,
) -> Result<Vec<Slot>, Error> {
    let offering = practitioner::of_service(tx, service.id, practitioner)?;
    let end = after.plus(TimeDelta::days(AHEAD_DAYS_MAX));
    let range = bookable(tx, Span { start: after, end });
    let found = search(tx, &offering, duration(service), range, None, count)?;
    Ok(found.into_iter().map(|free| free.shown(Some(zone))).collect())
}

/// Who of some practitioners works from `start` to `end`, without a gap or an absence; for a deed
/// that has decided on access itself. Visits do not matter here. Two queries.
pub fn who_works(
    tx: &mut Tx,
    practitioners: &[PractitionerId],
    (start, end): (Instant, Instant),
) -> Result<Vec<PractitionerId>, Error> {
    let visit = Span { start, end };
    let mut rules: HashMap<PractitionerId, (Zone, Vec<Rule>)> = HashMap::new();
    for (practitioner, zone, rule) in rules::of(tx, practitioners)? {
        rules.entry(practitioner).or_insert((zone, Vec::new())).1.push(rule);
    }
    let mut working = practitioners.to_vec();
    working.retain(|practitioner| {
        rules.get(practitioner).is_some_and(|(zone, rules)| {
            let windows = free::windows(rules, &WallClock::of(*zone, visit), visit);
            free::covers(&windows, visit)
        })
    });
    if working.is_empty() {
        return Ok(working);
    }
    let absences = absences::table
        .filter(absences::starts_at.lt(end))
        .filter(absences::ends_at.gt(start))
        .select(absences::practitioner_id);
    // PostgreSQL keeps the plan for one; for a list it would plan each time.
    let absent: Vec<PractitionerId> = match *working {
        [one] => absences.filter(absences::practitioner_id.eq(one)).load(tx.conn)?,
        _ => absences.filter(absences::practitioner_id.eq_any(&working)).load(tx.conn)?,
    };
    working.retain(|practitioner| !absent.contains(practitioner));
    Ok(working)
}

/// When some practitioners work within a range: their hours without their absences, visits
/// aside; for a deed that has decided on access itself. Two queries.
pub(crate) fn working_time(
    tx: &mut Tx,
    practitioners: &[PractitionerRow],
    range: Span,
) -> Result<HashMap<PractitionerId, Vec<Span>>, Error> {
    let ids: Vec<PractitionerId> = practitioners.iter().map(|one| one.id).collect();
    let mut rules: HashMap<PractitionerId, Vec<Rule>> = HashMap::new();
    for (practitioner, _, rule) in rules::of(tx, &ids)? {
        rules.entry(practitioner).or_default().push(rule);
    }
    let absent: Vec<(PractitionerId, Instant, Instant)> = absences::table
        .filter(absences::practitioner_id.eq_any(&ids))
        .filter(absences::starts_at.lt(range.end))
        .filter(absences::ends_at.gt(range.start))
        .select((absences::practitioner_id, absences::starts_at, absences::ends_at))
        .load(tx.conn)?;
    let mut time = HashMap::new();
    for one in practitioners {
        let rules = rules.get(&one.id).map_or(&[][..], Vec::as_slice);
        let clock = WallClock::of(one.time_zone, range);
        let mut open = free::merged(&free::windows(rules, &clock, range));
        for (_, start, end) in absent.iter().filter(|(id, ..)| *id == one.id) {
            open = leave::assign::without(&open, Span { start: *start, end: *end });
        }
        time.insert(one.id, open);
    }
    Ok(time)
}

fn duration(service: &Service) -> TimeDelta {
    TimeDelta::minutes(i64::from(service.duration_minutes))
}

/// A free time of a practitioner.
struct Free<'a> {
    span: Span,
    practitioner: &'a PractitionerRow,
}

impl Free<'_> {
    fn position(&self) -> Position {
        (self.span.start, self.practitioner.id)
    }

    fn shown(self, zone: Option<Zone>) -> Slot {
        let time_zone = zone.unwrap_or(self.practitioner.time_zone);
        Slot {
            start: self.span.start,
            end: self.span.end,
            local_start: zone::local(self.span.start, time_zone),
            time_zone,
            practitioner: Named { id: self.practitioner.id, name: self.practitioner.name.clone() },
        }
    }
}

/// The first `most` free times in `range` that come after a position. One query for all rules,
/// and per stride, of which a range has at most five, one for absences and one for visits.
fn search<'a>(
    tx: &mut Tx,
    offering: &'a [PractitionerRow],
    duration: TimeDelta,
    range: Span,
    after: Option<Position>,
    most: usize,
) -> Result<Vec<Free<'a>>, Error> {
    let ids: Vec<PractitionerId> = offering.iter().map(|practitioner| practitioner.id).collect();
    let mut rules: HashMap<PractitionerId, Vec<Rule>> = HashMap::new();
    for (practitioner, _, rule) in rules::of(tx, &ids)? {
        rules.entry(practitioner).or_default().push(rule);
    }
    let mut found = Vec::new();
    let mut start = after.map_or(range.start, |(start, _)| start.max(range.start));
    let mut stride = TimeDelta::days(STRIDE_DAYS);
    while start < range.end && found.len() < most {
        let part = Span { start, end: range.end.min(start.plus(stride)) };
        let taken = taken_of(tx, &ids, Span { start, end: part.end.plus(duration) })?;
        let mut clocks: HashMap<Zone, WallClock> = HashMap::new();
        let mut free = Vec::new();
        for practitioner in offering {
            let Some(rules) = rules.get(&practitioner.id) else { continue };
            let zone = practitioner.time_zone;
            let clock = clocks.entry(zone).or_insert_with(|| WallClock::of(zone, part));
            let windows = free::windows(rules, clock, part);
            let taken = taken.get(&practitioner.id).map_or(&[][..], Vec::as_slice);
            free.extend(free::starts(&windows, taken, duration, part).into_iter().map(|start| {
                Free { span: Span { start, end: start.plus(duration) }, practitioner }
            }));
        }
        free.retain(|free| after.is_none_or(|after| free.position() > after));
        free.sort_unstable_by_key(Free::position);
        found.append(&mut free);
        start = part.end;
        stride = stride * 2;
    }
    found.truncate(most);
    Ok(found)
}

/// What absences and visits take of some practitioners' time.
/// Indexes: absences_by_practitioner, appointments_by_practitioner.
fn taken_of(
    tx: &mut Tx,
    practitioners: &[PractitionerId],
    range: Span,
) -> Result<HashMap<PractitionerId, Vec<Span>>, Error> {
    let absences = absences::table
        .filter(absences::practitioner_id.eq_any(practitioners.to_vec()))
        .filter(absences::starts_at.lt(range.end))
        .filter(absences::ends_at.gt(range.start))
        .select((absences::practitioner_id, absences::starts_at, absences::ends_at));
    let absent: Vec<(PractitionerId, Instant, Instant)> = absences.load(tx.conn)?;
    let visits = taken::by_visits(tx, practitioners, range.start, range.end)?;
    let mut taken: HashMap<PractitionerId, Vec<Span>> = HashMap::new();
    for (practitioner, start, end) in absent.into_iter().chain(visits) {
        taken.entry(practitioner).or_default().push(Span { start, end });
    }
    Ok(taken)
}
