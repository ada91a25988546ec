//! Schedules: when somebody works, and which of that time is still free.

pub mod absence;
pub mod board;
pub mod closure;
pub mod diary;
pub mod extra;
pub mod free;
pub mod http;
pub mod leave;
pub mod rules;
pub mod search;
pub mod slots;
pub mod time_of_day;
pub mod wall_clock;

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::Arc;

use chrono::TimeDelta;

use crate::appointment::supply::{Moving, Sought, Where};
use crate::appointment::{AppointmentId, taken};
use crate::base::column::Instant;
use crate::base::error::Error;
use crate::base::problem;
use crate::base::tx::Tx;
use crate::base::zone::{self, Zone};
use crate::calendar::external;
use crate::organization::{OrganizationId, Service, ServiceId};
use crate::practitioner::{self, PractitionerId, PractitionerRow};
use crate::schedule::diary::Diary;
use crate::schedule::free::{Asker, Closed, Hours, Refusal, Taken, Terms};
use crate::schedule::rules::Rule;
use crate::schedule::search::Search;
use crate::schedule::slots::Slot;
use crate::schedule::wall_clock::{Span, WallClock};

/// How far `next_free` looks ahead, in days.
pub(crate) const AHEAD_DAYS_MAX: i64 = 60;
/// The local days that touch a range lie within so many days of it.
const LOCAL_DAYS: i64 = 2;

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
    let sought = Sought { patient: None, place: Where::Anywhere, named: &[], moving: None };
    next_free_for(tx, service, practitioner, &sought, (after, zone, count))
}

/// As [`next_free`], of those times only at which somebody can be seen where they shall be.
pub(crate) fn next_free_for(
    tx: &mut Tx,
    service: &Service,
    practitioner: Option<PractitionerId>,
    sought: &Sought,
    (after, zone, count): (Instant, Zone, usize),
) -> Result<Vec<Slot>, Error> {
    let offering = practitioner::of_service(tx, service.id, practitioner)?;
    let end = after.plus(TimeDelta::days(AHEAD_DAYS_MAX));
    let mut search = Search::of(tx, Span { start: after, end }, Some(zone), sought);
    for practitioner in offering {
        search.ask(tx, service, practitioner);
    }
    let found = search.run(tx, None, count)?;
    slots::shown(tx, &search, &found)
}

/// The first `most` free times of a service within a range that somebody has a use for, for a new visit
/// or in place of one; for a deed that has decided on access itself.
pub(crate) fn free_within(
    tx: &mut Tx,
    service: &Service,
    practitioner: Option<PractitionerId>,
    (range, moving): (Span, Option<Moving>),
    (most, is_useful): (usize, &dyn Fn(PractitionerId, Span) -> bool),
) -> Result<Vec<(PractitionerId, Span)>, Error> {
    let offering = practitioner::of_service(tx, service.id, practitioner)?;
    let sought = Sought { patient: None, place: Where::Anywhere, named: &[], moving };
    let mut search = Search::of(tx, range, None, &sought);
    for practitioner in offering {
        search.ask(tx, service, practitioner);
    }
    let found = search.run_where(tx, None, most, is_useful)?;
    Ok(found.iter().map(search::Free::place).collect())
}

/// Who of some practitioners of a service could begin a visit at `start`; for a deed that has
/// decided on access itself. Whether their time is taken does not matter here, but for a cap of
/// visits per day, in which a visit that is `moving` counts for nothing. When nobody could, the refusal says what is nearest to a start that one can
/// book: 422 `service_inactive`, `outside_hours`, `too_far`, `too_soon` or `off_grid`, or
/// 409 `day_full`.
pub(crate) fn who_works(
    tx: &mut Tx,
    service: &Service,
    offering: &[PractitionerRow],
    (start, asker): (Instant, Asker),
    moving: Option<Moving>,
) -> Result<Vec<PractitionerId>, Error> {
    // What was booked before can still be put elsewhere by the clinic.
    let is_booked = moving.is_some_and(|moving| moving.service == service.id);
    let may_stand = is_booked && asker == Asker::Staff;
    if !service.active && !may_stand {
        return Err(Error::field(&problem::SERVICE_INACTIVE, "/service"));
    }
    let terms = terms_for(tx, service, moving);
    let moving = moving.map(|moving| moving.id);
    let visit = Span { start, end: start.plus(terms.duration) };
    let all: Vec<&PractitionerRow> = offering.iter().collect();
    let diaries = diaries_of(tx, &all, visit)?;
    let nothing = Taken::default();
    let mut nearest = Refusal::OutsideHours;
    let mut working = Vec::new();
    for practitioner in &all {
        let Some(Diary { hours, .. }) = diaries.get(&practitioner.id).map(AsRef::as_ref) else {
            continue;
        };
        let clock = WallClock::of(hours.zone, visit);
        match free::check_start(hours, &clock, &terms, &nothing, (start, asker)) {
            Ok(()) => working.push(practitioner.id),
            Err(refusal) => nearest = nearest.max(refusal),
        }
    }
    if terms.daily_cap > 0 && asker != Asker::Triage {
        let before = working.len();
        working = below_cap(tx, &terms, &diaries, working, (start, moving))?;
        if working.len() < before {
            nearest = Refusal::DayFull;
        }
    }
    if working.is_empty() { Err(refused(nearest)) } else { Ok(working) }
}

/// Whether a practitioner can have one visit more of a service on the day of `start`, one aside: 409
/// `day_full`; for a deed that has decided on access itself.
pub(crate) fn check_cap(
    tx: &mut Tx,
    service: &Service,
    practitioner: &PractitionerRow,
    start: Instant,
    but: AppointmentId,
) -> Result<(), Error> {
    let terms = terms(tx, service);
    if terms.daily_cap == 0 {
        return Ok(());
    }
    let visit = Span { start, end: start.plus(terms.duration) };
    let diaries = diaries_of(tx, &[practitioner], visit)?;
    let below = below_cap(tx, &terms, &diaries, vec![practitioner.id], (start, Some(but)))?;
    if below.is_empty() { Err(Error::from(&problem::DAY_FULL)) } else { Ok(()) }
}

/// When some practitioners work for a service within a range, visits aside; for a deed that has
/// decided on access itself.
pub(crate) fn working_time(
    tx: &mut Tx,
    service: ServiceId,
    practitioners: &[PractitionerRow],
    range: Span,
) -> Result<HashMap<PractitionerId, Vec<Span>>, Error> {
    let all: Vec<&PractitionerRow> = practitioners.iter().collect();
    let diaries = diaries_of(tx, &all, range)?;
    let working = |(id, diary): (PractitionerId, Arc<Diary>)| {
        let clock = WallClock::of(diary.hours.zone, range);
        (id, free::working(&diary.hours, &clock, service, range))
    };
    Ok(diaries.into_iter().map(working).collect())
}

/// Those who have not yet had all their visits of the day. They are counted under a lock, so that
/// two who book at once do not both take the last.
fn below_cap(
    tx: &mut Tx,
    terms: &Terms,
    diaries: &HashMap<PractitionerId, Arc<Diary>>,
    mut working: Vec<PractitionerId>,
    (start, moving): (Instant, Option<AppointmentId>),
) -> Result<Vec<PractitionerId>, Error> {
    working.sort_unstable();
    for practitioner in &working {
        practitioner::lock(tx, *practitioner)?;
    }
    let visit = Span { start, end: start.plus(terms.duration) };
    let days = days_of(tx, &working, terms, diaries, (visit, moving))?;
    working.retain(|practitioner| {
        let Some(diary) = diaries.get(practitioner) else { return false };
        let day = zone::wall(start, diary.hours.zone).date_naive();
        let visits = days.get(practitioner).and_then(|days| days.get(&day));
        visits.is_none_or(|visits| *visits < terms.daily_cap)
    });
    Ok(working)
}

fn refused(refusal: Refusal) -> Error {
    let problem = match refusal {
        Refusal::OutsideHours => &problem::OUTSIDE_HOURS,
        Refusal::TooFar => &problem::TOO_FAR,
        Refusal::TooSoon => &problem::TOO_SOON,
        Refusal::OffGrid => &problem::OFF_GRID,
        Refusal::DayFull => &problem::DAY_FULL,
    };
    Error::field(problem, "/start")
}

/// What a start of a visit must keep to now.
fn terms(tx: &Tx, service: &Service) -> Terms {
    let terms = &service.terms;
    let (before, after) = service.buffers();
    let horizon = i64::from(terms.horizon_days).min(tx.config.booking.ahead_days_max.into());
    let moment = TimeDelta::microseconds(1);
    Terms {
        service: service.id,
        duration: service.duration(),
        before,
        after,
        align_minutes: terms.align_minutes,
        daily_cap: terms.daily_cap,
        bookable: Span {
            start: tx.now.plus(TimeDelta::minutes(terms.lead_minutes.into()).max(moment)),
            end: tx.now.plus(TimeDelta::days(horizon)).plus(moment),
        },
    }
}

/// The same of a visit that is moved: it is as long as it was, and keeps as much clear.
fn terms_for(tx: &Tx, service: &Service, moving: Option<Moving>) -> Terms {
    let terms = terms(tx, service);
    match moving.filter(|moving| moving.service == service.id) {
        None => terms,
        Some(Moving { span, clear: (before, after), .. }) => {
            Terms { duration: span.end.since(span.start), before, after, ..terms }
        }
    }
}

/// What has been said of the time of some practitioners near a range: out of memory, or five
/// queries.
pub(crate) fn diaries_of(
    tx: &mut Tx,
    practitioners: &[&PractitionerRow],
    range: Span,
) -> Result<HashMap<PractitionerId, Arc<Diary>>, Error> {
    let mut ids: Vec<PractitionerId> = practitioners.iter().map(|one| one.id).collect();
    // Somebody with two services stands there twice.
    ids.sort_unstable();
    ids.dedup();
    if ids.is_empty() {
        return Ok(HashMap::new());
    }
    diary::find(tx, &ids, range, |tx, range| read_hours(tx, &ids, practitioners, range))
}

fn read_hours(
    tx: &mut Tx,
    ids: &[PractitionerId],
    practitioners: &[&PractitionerRow],
    range: Span,
) -> Result<HashMap<PractitionerId, Hours>, Error> {
    let mut clinics: Vec<OrganizationId> =
        practitioners.iter().map(|one| one.organization_id).collect();
    clinics.sort_unstable();
    clinics.dedup();
    let closed: HashMap<OrganizationId, Vec<Closed>> = grouped(closure::of(tx, &clinics, range)?);
    let mut rules: HashMap<PractitionerId, Vec<Rule>> = grouped(rules::of(tx, ids)?);
    let mut hours: HashMap<PractitionerId, Hours> = HashMap::new();
    for practitioner in practitioners {
        hours.entry(practitioner.id).or_insert_with(|| Hours {
            zone: practitioner.time_zone,
            rules: rules.remove(&practitioner.id).unwrap_or_default(),
            closed: closed.get(&practitioner.organization_id).cloned().unwrap_or_default(),
            extra: Vec::new(),
            absent: Vec::new(),
        });
    }
    for (practitioner, window) in extra::of(tx, ids, range)? {
        if let Some(hours) = hours.get_mut(&practitioner) {
            hours.extra.push(window);
        }
    }
    for (practitioner, span) in absence::of(tx, ids, range)? {
        if let Some(hours) = hours.get_mut(&practitioner) {
            hours.absent.push(span);
        }
    }
    for (practitioner, start, end) in external::busy_of(tx, ids, range.start, range.end)? {
        if let Some(hours) = hours.get_mut(&practitioner) {
            hours.absent.push(Span { start, end });
        }
    }
    Ok(hours)
}

/// Rows by what they belong to, each in the order in which they came.
fn grouped<K: Eq + Hash, V>(rows: impl IntoIterator<Item = (K, V)>) -> HashMap<K, Vec<V>> {
    let mut groups: HashMap<K, Vec<V>> = HashMap::new();
    for (key, row) in rows {
        groups.entry(key).or_default().push(row);
    }
    groups
}

type Days = HashMap<chrono::NaiveDate, i32>;

/// How many visits of a service, but for one that is moved, some practitioners have on the local
/// days that touch a range.
fn days_of(
    tx: &mut Tx,
    practitioners: &[PractitionerId],
    terms: &Terms,
    diaries: &HashMap<PractitionerId, Arc<Diary>>,
    (range, moving): (Span, Option<AppointmentId>),
) -> Result<HashMap<PractitionerId, Days>, Error> {
    let margin = TimeDelta::days(LOCAL_DAYS);
    let around = (range.start.minus(margin), range.end.plus(margin));
    let visits = taken::of_service(tx, practitioners, terms.service, around)?;
    let mut days: HashMap<PractitionerId, Days> = HashMap::new();
    let others = visits.into_iter().filter(|(visit, ..)| Some(*visit) != moving);
    for (_, practitioner, start) in others {
        if let Some(diary) = diaries.get(&practitioner) {
            let day = zone::wall(start, diary.hours.zone).date_naive();
            *days.entry(practitioner).or_default().entry(day).or_default() += 1;
        }
    }
    Ok(days)
}
