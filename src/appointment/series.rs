//! Several visits in a row: the same time on the wall, every so many days or weeks.

use chrono::{Days, NaiveDateTime, TimeDelta};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::appointment::book::{self, BookAppointment};
use crate::appointment::choice::{bookable_patient, find_service, free_after};
use crate::appointment::{Appointment, AppointmentId};
use crate::base::column::{Instant, id, text_enum};
use crate::base::error::Error;
use crate::base::problem;
use crate::base::tx::Tx;
use crate::base::zone::{self, Wall, Zone};
use crate::organization::ServiceId;
use crate::organization::service::Mode;
use crate::patient::PatientId;
use crate::practitioner::PractitionerId;
use crate::schedule::slots::Slot;

id!(
    /// Visits that were booked together.
    SeriesId
);

/// The most visits of a series.
const COUNT_MAX: u32 = 12;
/// The longest time between two of them, in days.
const APART_DAYS_MAX: u32 = 92;
/// The longest time that clocks have skipped: where the date line moved, a day.
const GAP_HOURS_MAX: i64 = 24;

/// Several visits in a row.
#[derive(Debug, Clone, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct BookSeries {
    /// The service.
    pub service: ServiceId,
    /// With whom; all with the same.
    pub practitioner: PractitionerId,
    /// When the first begins, RFC 3339 with an offset. The others begin when the clock where the
    /// patient lives shows the same.
    pub start: Instant,
    /// For whom; left out: the caller.
    pub patient: Option<PatientId>,
    /// Why, in the patient's words.
    pub reason: Option<String>,
    /// How the visits shall be held; left out: the first way that the service names.
    pub mode: Option<Mode>,
    /// So many weeks apart; or `every_days`.
    #[schema(minimum = 1, maximum = 13)]
    pub every_weeks: Option<u32>,
    /// So many days apart; or `every_weeks`.
    #[schema(minimum = 1, maximum = 92)]
    pub every_days: Option<u32>,
    /// How many visits, 1 to 12.
    #[schema(minimum = 1, maximum = 12)]
    pub count: u32,
    /// Only say what would come of it.
    #[serde(default)]
    pub dry_run: bool,
}

text_enum!(
    /// What came of one visit of a series.
    OccurrenceResult {
        /// It is booked.
        Booked = "booked",
        /// It could be booked.
        Free = "free",
        /// It could not.
        Conflict = "conflict",
    }
);

/// One visit of a series.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct Occurrence {
    /// When it begins, or was to begin; empty when the clocks skip that time.
    pub start: Option<Instant>,
    /// The same as the clock where the patient lives shows it.
    pub local_start: String,
    /// What came of it.
    pub result: OccurrenceResult,
    /// Why it could not be booked: the code of a refusal.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub code: Option<&'static str>,
    /// The visit.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub appointment: Option<Appointment>,
    /// What is free instead.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub alternatives: Vec<Slot>,
}

/// What came of a series.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct Series {
    /// What its visits have in common; empty when nothing was booked.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub id: Option<SeriesId>,
    /// The zone of the clock that it goes by.
    pub time_zone: Zone,
    /// Each visit, in order.
    pub items: Vec<Occurrence>,
}

/// Books as many visits of a series as can be, each a visit like any other; or, asked to, only
/// says which could be.
pub fn book_series(tx: &mut Tx, wanted: &BookSeries) -> Result<Series, Error> {
    let (patient, _) = bookable_patient(tx, wanted.patient)?;
    let apart = apart_days(wanted)?;
    let zone = patient.time_zone;
    let first = zone::wall(wanted.start, zone).naive_local();
    let id = SeriesId::new(tx.now);
    let mut items = Vec::new();
    for number in 0..wanted.count {
        let days = Days::new(u64::from(apart) * u64::from(number));
        let wall = first
            .checked_add_days(days)
            .ok_or_else(|| Error::field(&problem::TOO_FAR, "/start"))?;
        // The first is the very instant that was named, also where the clocks show it twice.
        let start = if number == 0 { Some(wanted.start) } else { at(wall, zone) };
        items.push(occurrence(tx, wanted, id, (wall, start, zone), &items)?);
    }
    let booked = items.iter().any(|item| item.result == OccurrenceResult::Booked);
    Ok(Series { id: booked.then_some(id), time_zone: zone, items })
}

fn apart_days(wanted: &BookSeries) -> Result<u32, Error> {
    if !(1..=COUNT_MAX).contains(&wanted.count) {
        return Err(Error::field(&problem::INVALID_BODY, "/count"));
    }
    let (days, pointer) = match (wanted.every_weeks, wanted.every_days) {
        (Some(weeks), None) => (weeks.saturating_mul(7), "/every_weeks"),
        (None, Some(days)) => (days, "/every_days"),
        _ => return Err(Error::field(&problem::INVALID_BODY, "/every_weeks")),
    };
    if !(1..=APART_DAYS_MAX).contains(&days) {
        return Err(Error::field(&problem::INVALID_BODY, pointer));
    }
    Ok(days)
}

/// The first whole hours later that the clock does show.
fn after_gap(wall: NaiveDateTime, zone: Zone) -> Option<Instant> {
    let later = |hours| wall.checked_add_signed(TimeDelta::hours(hours));
    (1..=GAP_HOURS_MAX).find_map(|hours| at(later(hours)?, zone))
}

/// When the clock shows a time for the first time; never, when it skips it.
fn at(wall: NaiveDateTime, zone: Zone) -> Option<Instant> {
    match zone::resolve(wall, zone) {
        Wall::Once(at) | Wall::Fold(at, _) => Some(at),
        Wall::Gap => None,
    }
}

fn occurrence(
    tx: &mut Tx,
    wanted: &BookSeries,
    id: SeriesId,
    (wall, start, zone): (NaiveDateTime, Option<Instant>, Zone),
    before: &[Occurrence],
) -> Result<Occurrence, Error> {
    let Some(start) = start else {
        let local_start = wall.format("%Y-%m-%dT%H:%M:%S").to_string();
        let code = Some(problem::TIME_IN_GAP.code);
        let result = OccurrenceResult::Conflict;
        let alternatives = match after_gap(wall, zone) {
            Some(after) => instead(tx, wanted, after)?,
            None => Vec::new(),
        };
        return Ok(Occurrence {
            start: None,
            local_start,
            result,
            code,
            appointment: None,
            alternatives,
        });
    };
    let mut item = Occurrence {
        start: Some(start),
        local_start: zone::local(start, zone),
        result: OccurrenceResult::Conflict,
        code: None,
        appointment: None,
        alternatives: Vec::new(),
    };
    match try_book(tx, wanted, id, start) {
        Ok(Some(booked)) => {
            item.result = OccurrenceResult::Booked;
            item.appointment = Some(booked);
        }
        Ok(None) => item.result = OccurrenceResult::Free,
        Err(error) => {
            // What is wrong with the whole request is wrong with its first visit already.
            let own = is_of_one(&error);
            if !own && (before.is_empty() || error.problem().status >= 500) {
                return Err(error);
            }
            item.code = Some(error.problem().code);
            item.alternatives = instead(tx, wanted, start)?;
        }
    }
    Ok(item)
}

/// What is free from an instant on.
fn instead(tx: &mut Tx, wanted: &BookSeries, from: Instant) -> Result<Vec<Slot>, Error> {
    let (patient, _) = bookable_patient(tx, wanted.patient)?;
    let service = find_service(tx, wanted.service)?;
    free_after(tx, &service, Some(wanted.practitioner), &patient, from)
}

/// Whether a refusal speaks of one visit of the series and not of all.
fn is_of_one(error: &Error) -> bool {
    [
        &problem::SLOT_TAKEN,
        &problem::DAY_FULL,
        &problem::PATIENT_BUSY,
        &problem::RESOURCE_BUSY,
        &problem::DAY_FULL,
        &problem::OUTSIDE_HOURS,
        &problem::TOO_SOON,
        &problem::TOO_FAR,
    ]
    .into_iter()
    .any(|problem| error.is(problem))
}

/// Books one visit, or, for a dry run, books it and undoes that.
fn try_book(
    tx: &mut Tx,
    wanted: &BookSeries,
    id: SeriesId,
    start: Instant,
) -> Result<Option<Appointment>, Error> {
    let wish = BookAppointment {
        service: wanted.service,
        practitioner: Some(wanted.practitioner),
        start,
        patient: wanted.patient,
        reason: wanted.reason.clone(),
        hold: false,
        request: false,
        mode: wanted.mode,
        location: None,
        resources: Vec::new(),
        priority: None,
        overbook: false,
        follows: None,
    };
    if !wanted.dry_run {
        return tx.attempt(|tx| book::book_of(tx, &wish, Some(id))).map(Some);
    }
    let mut could: Option<AppointmentId> = None;
    let undone = tx.attempt(|tx| {
        could = Some(book::book_of(tx, &wish, Some(id))?.id);
        Err::<(), Error>(Error::from(&problem::CONFLICT))
    });
    match (could, undone) {
        (Some(_), _) | (None, Ok(())) => Ok(None),
        (None, Err(error)) => Err(error),
    }
}
