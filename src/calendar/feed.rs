//! A practitioner's taken times for other programs, under an address that nobody can guess.

use chrono::TimeDelta;
use diesel::prelude::*;
use serde::Serialize;
use utoipa::ToSchema;

use crate::access::Facts;
use crate::access::table::Action;
use crate::appointment::occupy::ResourceKind;
use crate::appointment::{AppointmentId, taken};
use crate::base::column::{Instant, Uuid};
use crate::base::db::Each;
use crate::base::error::Error;
use crate::base::problem;
use crate::base::schema::{absences, appointments, calendar_feeds, occupancies};
use crate::base::seal::{hex, random, sha256};
use crate::base::tx::Tx;
use crate::calendar::event::{self, Event, Standing};
use crate::calendar::{standing, uid};
use crate::encounter::lifecycle::AppointmentStatus;
use crate::practitioner::{self, PractitionerId};
use crate::schedule::absence::AbsenceId;
use crate::schedule::rules;

/// How much of the past and of the future a feed holds, in days.
const PAST_DAYS: i64 = 14;
const FUTURE_DAYS: i64 = 92;
/// The most events of a feed.
const EVENTS_MAX: i64 = 2_000;

/// A feed's address.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct CalendarFeed {
    /// Where other programs read the busy times. Said once: ask again for a new one.
    pub path: String,
    /// Since when.
    pub created_at: Instant,
}

/// Whether a practitioner's busy times can be read by other programs.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct FeedState {
    /// Since when there is an address; `null`: there is none.
    pub created_at: Option<Instant>,
}

/// Makes a new secret address; the one before is dead from now on.
pub fn create(tx: &mut Tx, practitioner: PractitionerId) -> Result<CalendarFeed, Error> {
    let facts = rules::facts(&practitioner::find_row(tx, practitioner)?);
    tx.allow(Action::ShareCalendar, &facts)?;
    let token = hex(&random::<32>()?);
    diesel::delete(calendar_feeds::table.find(practitioner)).execute(tx.conn)?;
    let made = Each(
        diesel::insert_into(calendar_feeds::table)
            .values((
                calendar_feeds::practitioner_id.eq(practitioner),
                calendar_feeds::token_hash.eq(sha256(token.as_bytes())),
                calendar_feeds::created_at.eq(tx.now),
            ))
            .on_conflict_do_nothing(),
    )
    .execute(tx.conn)?;
    if made == 0 {
        // Somebody makes one at the same time: theirs stands.
        return Err(Error::from(&problem::CONFLICT));
    }
    tx.record(Action::ShareCalendar, "Schedule", practitioner.0, &facts);
    Ok(CalendarFeed { path: format!("/v1/calendars/{token}/busy.ics"), created_at: tx.now })
}

/// Whether there is an address.
pub fn state(tx: &mut Tx, practitioner: PractitionerId) -> Result<FeedState, Error> {
    let facts = rules::facts(&practitioner::find_row(tx, practitioner)?);
    tx.allow(Action::ShareCalendar, &facts)?;
    let created_at = calendar_feeds::table
        .find(practitioner)
        .select(calendar_feeds::created_at)
        .get_result(tx.conn)
        .optional()?;
    Ok(FeedState { created_at })
}

/// Ends the address. 404 when there is none.
pub fn remove(tx: &mut Tx, practitioner: PractitionerId) -> Result<(), Error> {
    let facts = rules::facts(&practitioner::find_row(tx, practitioner)?);
    tx.allow(Action::ShareCalendar, &facts)?;
    if diesel::delete(calendar_feeds::table.find(practitioner)).execute(tx.conn)? == 0 {
        return Err(Error::from(&problem::NOT_FOUND));
    }
    tx.record(Action::ShareCalendar, "Schedule", practitioner.0, &facts);
    Ok(())
}

type Visit = (AppointmentId, AppointmentStatus, i32, Instant, Instant, Instant);
type VisitColumns = (
    appointments::id,
    appointments::status,
    appointments::version,
    appointments::updated_at,
    appointments::starts_at,
    appointments::ends_at,
);
const VISIT: VisitColumns = (
    appointments::id,
    appointments::status,
    appointments::version,
    appointments::updated_at,
    appointments::starts_at,
    appointments::ends_at,
);

/// The calendar behind an address: when, and nothing else; also of visits in which they help as feldsher
/// or interpreter. `None` for an address of nobody. Indexes: appointments_by_practitioner,
/// occupancies_live, absences_by_practitioner.
pub fn read(tx: &mut Tx, token: &str) -> Result<Option<String>, Error> {
    tx.allow(Action::ReadFeed, &Facts::NONE)?;
    let practitioner: Option<PractitionerId> = calendar_feeds::table
        .filter(calendar_feeds::token_hash.eq(sha256(token.as_bytes())))
        .select(calendar_feeds::practitioner_id)
        .get_result(tx.conn)
        .optional()?;
    let Some(practitioner) = practitioner else { return Ok(None) };
    let (from, to) =
        (tx.now.minus(TimeDelta::days(PAST_DAYS)), tx.now.plus(TimeDelta::days(FUTURE_DAYS)));
    let mut visits: Vec<Visit> = appointments::table
        .filter(appointments::practitioner_id.eq(practitioner))
        .filter(appointments::starts_at.ge(from))
        .filter(appointments::starts_at.lt(to))
        .filter(appointments::status.ne(AppointmentStatus::Noshow))
        .filter(taken::is_kept(tx.now))
        .order((appointments::starts_at, appointments::id))
        .limit(EVENTS_MAX)
        .select(VISIT)
        .load(tx.conn)?;
    let helped: Vec<Visit> = appointments::table
        .inner_join(occupancies::table.on(occupancies::appointment_id.eq(appointments::id)))
        .filter(occupancies::resource_id.eq(Uuid(practitioner.0)))
        .filter(occupancies::resource_kind.ne(ResourceKind::Practitioner))
        .filter(occupancies::live)
        .filter(occupancies::starts_at.ge(from))
        .filter(occupancies::starts_at.lt(to))
        .filter(taken::is_kept(tx.now))
        .order((occupancies::starts_at, appointments::id))
        .limit(EVENTS_MAX)
        .select(VISIT)
        .load(tx.conn)?;
    visits.extend(helped);
    let absences: Vec<(AbsenceId, Instant, Instant, Instant)> = absences::table
        .filter(absences::practitioner_id.eq(practitioner))
        .filter(absences::ends_at.gt(from))
        .filter(absences::starts_at.lt(to))
        .order((absences::ends_at, absences::id))
        .limit(EVENTS_MAX)
        .select((absences::id, absences::created_at, absences::starts_at, absences::ends_at))
        .load(tx.conn)?;
    let summary = event::busy(tx.language);
    let taken = |uid: String, sequence: i32, changed_at, start, end, standing| Event {
        uid,
        sequence: i64::from(sequence),
        changed_at,
        start,
        end,
        standing,
        summary: summary.to_owned(),
        description: None,
    };
    let visits = visits.into_iter().map(|(id, status, version, changed_at, start, end)| {
        taken(uid(id), version.saturating_sub(1), changed_at, start, end, standing(status))
    });
    let absences = absences.into_iter().map(|(id, made_at, start, end)| {
        taken(format!("{id}@feldsher"), 0, made_at, start, end, Standing::Confirmed)
    });
    let events: Vec<Event> = visits.chain(absences).collect();
    Ok(Some(event::file(&events, false)))
}
