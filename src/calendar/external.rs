//! Busy times from a calendar elsewhere: a practitioner names its address, we read it every hour.
//!
//! What it says is taken like an absence. When it cannot be read, what it said last stays.

use std::sync::Arc;
use std::time::Duration;

use chrono::TimeDelta;
use diesel::prelude::*;
use serde::{Deserialize, Serialize};
use tokio::sync::watch;
use utoipa::ToSchema;

use crate::access::Facts;
use crate::access::table::Action;
use crate::base::app::App;
use crate::base::background::every;
use crate::base::column::{Instant, text_enum};
use crate::base::ctx::as_system;
use crate::base::error::Error;
use crate::base::problem;
use crate::base::schema::{external_busy, external_calendars, practitioners};
use crate::base::tx::Tx;
use crate::base::zone::Zone;
use crate::calendar::busy::{self, Unreadable};
use crate::calendar::fetch::{self, Trouble};
use crate::practitioner::{self, PractitionerId};
use crate::schedule::rules;
use crate::schedule::wall_clock::Span;
use crate::waitlist::follow;

/// How often it is looked whether a calendar is due, in seconds.
const TICK_SECS: u64 = 15;
/// How long a calendar that was read stays unread, in minutes.
const FRESH_MINUTES: i64 = 60;
/// How long a process has for its calendars before another takes them, in minutes.
const LEASE_MINUTES: i64 = 5;
/// How many are read at once.
const BATCH: i64 = 4;
/// How far ahead busy times are taken over, in days.
const AHEAD_DAYS: i64 = 180;
/// The longest wait after failures, in minutes.
const WAIT_MINUTES_MAX: i64 = 24 * 60;

text_enum!(
    /// How reading a calendar went.
    CalendarState {
        /// It was not read yet.
        New = "new",
        /// It was read.
        Read = "read",
        /// It could not be read the last time.
        Failed = "failed",
    }
);

/// A calendar elsewhere.
#[derive(Debug, Clone, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct SetExternalCalendar {
    /// Its `https` address; whoever has it can read it, so it is kept sealed and shown to nobody.
    pub url: String,
}

/// How it stands with a calendar elsewhere.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct ExternalCalendar {
    /// The server it comes from.
    pub host: String,
    /// How reading it went.
    pub state: CalendarState,
    /// What was wrong the last time.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub trouble: Option<Trouble>,
    /// When it was last read.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub read_at: Option<Instant>,
    /// How many busy times of the next 180 days it has.
    pub busy_count: i64,
}

/// Takes over the busy times of a calendar elsewhere, from the next minute on and every hour.
pub fn set(
    tx: &mut Tx,
    practitioner: PractitionerId,
    wanted: &SetExternalCalendar,
) -> Result<ExternalCalendar, Error> {
    let facts = rules::facts(&practitioner::find_row(tx, practitioner)?);
    tx.allow(Action::ImportCalendar, &facts)?;
    let url = wanted.url.trim();
    if !fetch::is_address(url, tx.config.calendar.private_hosts) {
        return Err(Error::field(&problem::INVALID_BODY, "/url"));
    }
    forget(tx, practitioner)?;
    let sealed = tx.seal.seal(&place(practitioner), url.as_bytes())?;
    diesel::insert_into(external_calendars::table)
        .values((
            external_calendars::practitioner_id.eq(practitioner),
            external_calendars::url_sealed.eq(sealed),
            external_calendars::state.eq(CalendarState::New),
            external_calendars::trouble.eq(None::<Trouble>),
            external_calendars::failures.eq(0),
            external_calendars::read_at.eq(None::<Instant>),
            external_calendars::due_at.eq(tx.now),
        ))
        .execute(tx.conn)?;
    tx.record(Action::ImportCalendar, "Schedule", practitioner.0, &facts);
    show(tx, practitioner)
}

/// How it stands. 404 when there is none.
pub fn find(tx: &mut Tx, practitioner: PractitionerId) -> Result<ExternalCalendar, Error> {
    let facts = rules::facts(&practitioner::find_row(tx, practitioner)?);
    tx.allow(Action::ImportCalendar, &facts)?;
    show(tx, practitioner)
}

/// Lets go of it, and of the times it took. 404 when there is none.
pub fn remove(tx: &mut Tx, practitioner: PractitionerId) -> Result<(), Error> {
    let facts = rules::facts(&practitioner::find_row(tx, practitioner)?);
    tx.allow(Action::ImportCalendar, &facts)?;
    if !forget(tx, practitioner)? {
        return Err(Error::from(&problem::NOT_FOUND));
    }
    tx.record(Action::ImportCalendar, "Schedule", practitioner.0, &facts);
    Ok(())
}

fn forget(tx: &mut Tx, practitioner: PractitionerId) -> Result<bool, Error> {
    let busy = external_busy::table.filter(external_busy::practitioner_id.eq(practitioner));
    diesel::delete(busy).execute(tx.conn)?;
    let calendar = external_calendars::table.find(practitioner);
    Ok(diesel::delete(calendar).execute(tx.conn)? > 0)
}

type Kept = (Vec<u8>, CalendarState, Option<Trouble>, Option<Instant>);

fn show(tx: &mut Tx, practitioner: PractitionerId) -> Result<ExternalCalendar, Error> {
    let row: Option<Kept> = external_calendars::table
        .find(practitioner)
        .select((
            external_calendars::url_sealed,
            external_calendars::state,
            external_calendars::trouble,
            external_calendars::read_at,
        ))
        .get_result(tx.conn)
        .optional()?;
    let Some((sealed, state, trouble, read_at)) = row else {
        return Err(Error::from(&problem::NOT_FOUND));
    };
    let busy_count = external_busy::table
        .filter(external_busy::practitioner_id.eq(practitioner))
        .count()
        .get_result(tx.conn)?;
    let url = opened(tx, practitioner, &sealed)?;
    let host = url.parse::<ureq::http::Uri>().ok();
    let host = host.as_ref().and_then(|uri| uri.host()).unwrap_or_default().to_owned();
    Ok(ExternalCalendar { host, state, trouble, read_at, busy_count })
}

fn opened(tx: &Tx, practitioner: PractitionerId, sealed: &[u8]) -> Result<String, Error> {
    let url = tx.seal.open_text(&place(practitioner), Some(sealed))?;
    url.ok_or(Error::Internal("an external calendar without its address"))
}

fn place(practitioner: PractitionerId) -> String {
    format!("external_calendars|url|{practitioner}")
}

/// What calendars elsewhere take of some practitioners' time within a range; no access decision.
/// Index: external_busy_by_practitioner.
pub fn busy_of(
    tx: &mut Tx,
    practitioners: &[PractitionerId],
    from: Instant,
    to: Instant,
) -> Result<Vec<(PractitionerId, Instant, Instant)>, Error> {
    let busy = external_busy::table
        .filter(external_busy::starts_at.lt(to))
        .filter(external_busy::ends_at.gt(from))
        .select((external_busy::practitioner_id, external_busy::starts_at, external_busy::ends_at));
    // PostgreSQL keeps the plan for one; for a list it would plan each time.
    Ok(match practitioners {
        [one] => busy.filter(external_busy::practitioner_id.eq(one)).load(tx.conn)?,
        many => busy.filter(external_busy::practitioner_id.eq_any(many)).load(tx.conn)?,
    })
}

/// Reads what is due until `stop`.
pub async fn run(app: Arc<App>, stop: watch::Receiver<bool>) {
    every(Duration::from_secs(TICK_SECS), stop, async || {
        if let Err(error) = round(&app).await {
            tracing::error!(%error, "calendars elsewhere could not be read");
        }
    })
    .await;
}

/// Reads the calendars that are due, side by side. Returns how many there were.
pub async fn round(app: &Arc<App>) -> Result<usize, Error> {
    let due = as_system(app, claim).await?;
    let count = due.len();
    let mut reading = tokio::task::JoinSet::new();
    for calendar in due {
        let shared = Arc::clone(app);
        reading.spawn_blocking(move || {
            let range = ahead(shared.clock.now());
            let read = fetch::fetch(&calendar.url, shared.config.calendar.private_hosts)
                .and_then(|text| busy::busy(&text, calendar.zone, range).map_err(trouble));
            (calendar.practitioner, calendar.lease, read)
        });
    }
    while let Some(done) = reading.join_next().await {
        let kept = match done {
            Ok((practitioner, lease, Ok(spans))) => {
                as_system(app, move |tx| settle(tx, (practitioner, lease), &spans)).await
            }
            Ok((practitioner, lease, Err(trouble))) => {
                tracing::warn!(%practitioner, %trouble, "a calendar elsewhere could not be read");
                as_system(app, move |tx| fail(tx, (practitioner, lease), trouble)).await
            }
            Err(_panicked) => {
                tracing::error!("a calendar elsewhere broke its reader");
                Ok(())
            }
        };
        // The lease runs out, and it is tried again; the others are kept all the same.
        if let Err(error) = kept {
            tracing::error!(%error, "what a calendar elsewhere says could not be kept");
        }
    }
    Ok(count)
}

fn trouble(unreadable: Unreadable) -> Trouble {
    match unreadable {
        Unreadable::NotACalendar => Trouble::NotACalendar,
        Unreadable::TooMuch => Trouble::TooLarge,
        Unreadable::UnknownZone => Trouble::UnknownZone,
    }
}

fn ahead(now: Instant) -> Span {
    Span { start: now, end: now.plus(TimeDelta::days(AHEAD_DAYS)) }
}

struct Due {
    practitioner: PractitionerId,
    /// When the reader's turn ends: whoever names another calendar meanwhile ends it at once.
    lease: Instant,
    zone: Zone,
    url: String,
}

/// Takes some calendars that are due; nobody else takes them before the lease ends.
/// Index: external_calendars_due.
fn claim(tx: &mut Tx) -> Result<Vec<Due>, Error> {
    tx.allow(Action::ReadExternal, &Facts::NONE)?;
    let rows: Vec<(PractitionerId, Vec<u8>, Instant, Zone)> = external_calendars::table
        .inner_join(practitioners::table)
        .filter(external_calendars::due_at.le(tx.now))
        .order(external_calendars::due_at)
        .limit(BATCH)
        .select((
            external_calendars::practitioner_id,
            external_calendars::url_sealed,
            external_calendars::due_at,
            practitioners::time_zone,
        ))
        .load(tx.conn)?;
    let lease = tx.now.plus(TimeDelta::minutes(LEASE_MINUTES));
    let mut due = Vec::with_capacity(rows.len());
    for (practitioner, sealed, due_at, zone) in rows {
        let taken = diesel::update(
            external_calendars::table
                .filter(external_calendars::practitioner_id.eq(practitioner))
                .filter(external_calendars::due_at.eq(due_at)),
        )
        .set(external_calendars::due_at.eq(lease))
        .execute(tx.conn)?;
        if taken == 1 {
            let url = opened(tx, practitioner, &sealed)?;
            due.push(Due { practitioner, lease, zone, url });
        }
    }
    Ok(due)
}

/// The calendar that was claimed, unless another was named, or it was claimed anew, meanwhile.
#[diesel::dsl::auto_type(no_type_alias)]
fn claimed(practitioner: PractitionerId, lease: Instant) -> _ {
    external_calendars::table
        .filter(external_calendars::practitioner_id.eq(practitioner))
        .filter(external_calendars::due_at.eq(lease))
}

fn settle(
    tx: &mut Tx,
    (practitioner, lease): (PractitionerId, Instant),
    spans: &[Span],
) -> Result<(), Error> {
    tx.allow(Action::ReadExternal, &Facts::NONE)?;
    let fresh = tx.now.plus(TimeDelta::minutes(FRESH_MINUTES));
    let marked = diesel::update(claimed(practitioner, lease))
        .set((
            external_calendars::state.eq(CalendarState::Read),
            external_calendars::trouble.eq(None::<Trouble>),
            external_calendars::failures.eq(0),
            external_calendars::read_at.eq(tx.now),
            external_calendars::due_at.eq(fresh),
        ))
        .execute(tx.conn)?;
    if marked == 0 {
        // It was let go of meanwhile, or another was named.
        return Ok(());
    }
    let old = external_busy::table.filter(external_busy::practitioner_id.eq(practitioner));
    let mut known: Vec<(Instant, Instant)> =
        old.select((external_busy::starts_at, external_busy::ends_at)).load(tx.conn)?;
    let mut read: Vec<(Instant, Instant)> =
        spans.iter().map(|span| (span.start, span.end)).collect();
    known.sort_unstable();
    read.sort_unstable();
    if known == read {
        // Most readings bring nothing new; what is kept in memory still holds.
        return Ok(());
    }
    let at_stake = follow::offered_with(tx, practitioner)?;
    diesel::delete(old).execute(tx.conn)?;
    for span in spans {
        diesel::insert_into(external_busy::table)
            .values((
                external_busy::practitioner_id.eq(practitioner),
                external_busy::starts_at.eq(span.start),
                external_busy::ends_at.eq(span.end),
            ))
            .execute(tx.conn)?;
    }
    follow::changed(tx, at_stake)
}

fn fail(
    tx: &mut Tx,
    (practitioner, lease): (PractitionerId, Instant),
    trouble: Trouble,
) -> Result<(), Error> {
    tx.allow(Action::ReadExternal, &Facts::NONE)?;
    let failures: Option<i32> = claimed(practitioner, lease)
        .select(external_calendars::failures)
        .get_result(tx.conn)
        .optional()?;
    let Some(failures) = failures else { return Ok(()) };
    let doubled = u32::try_from(failures).unwrap_or(0).min(10);
    let wait = (5_i64 << doubled).min(WAIT_MINUTES_MAX);
    diesel::update(claimed(practitioner, lease))
        .set((
            external_calendars::state.eq(CalendarState::Failed),
            external_calendars::trouble.eq(trouble),
            external_calendars::failures.eq(failures.saturating_add(1)),
            external_calendars::due_at.eq(tx.now.plus(TimeDelta::minutes(wait))),
        ))
        .execute(tx.conn)?;
    Ok(())
}
