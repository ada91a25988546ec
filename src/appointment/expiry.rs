//! The end of holds that nobody confirmed and of requests that nobody answered. Whoever needs such a
//! time does not wait for it ([`occupy`](crate::appointment::occupy)), and whoever reads it sees that
//! it is over; but who asked must hear of it, and who waits for a time is offered it.

use std::sync::Arc;
use std::time::Duration;

use chrono::TimeDelta;
use diesel::dsl::{exists, not};
use diesel::prelude::*;
use tokio::sync::watch;

use crate::access::Facts;
use crate::access::table::Action;
use crate::appointment::{AppointmentId, find_row, lock, show};
use crate::base::app::App;
use crate::base::background::every;
use crate::base::ctx::{as_system, look_as_system};
use crate::base::error::Error;
use crate::base::schema::{appointments, offered_times, waitlist_offers};
use crate::base::tx::Tx;
use crate::encounter;
use crate::encounter::lifecycle::{Act, AppointmentStatus};
use crate::message;
use crate::patient;
use crate::waitlist::VacancyStatus;

/// How often it looks for what has run out.
const TICK_SECS: u64 = 5;
/// How many it ends in one look.
const ENDS_MAX: i64 = 100;
/// For how long it is worth telling that nobody answered, in hours.
const NEWS_HOURS: i64 = 24;

/// Ends a hold or a request that has run out; whoever asked for a visit hears that nobody answered.
/// Nothing when it has not, or somebody else has ended it. Returns whether it did.
pub(crate) fn expire(tx: &mut Tx, id: AppointmentId) -> Result<bool, Error> {
    lock(tx, id)?;
    let row = find_row(tx, id)?;
    if row.hold_expires_at.is_none_or(|until| until > tx.now) {
        return Ok(false);
    }
    encounter::advance(tx, id, Act::Expire, None)?;
    let is_news = row.hold_expires_at > Some(tx.now.minus(TimeDelta::hours(NEWS_HOURS)));
    if row.status == AppointmentStatus::Proposed && is_news {
        let over = show(tx, id)?;
        let account = patient::find_row(tx, row.patient_id)?.account_id;
        message::tell_unanswered(tx, &over, account)?;
    }
    Ok(true)
}

/// What has run out, but for times that are offered: their offers end them.
/// Index: appointments_holds.
fn due(tx: &mut Tx) -> Result<Vec<AppointmentId>, Error> {
    let in_place = offered_times::table.filter(offered_times::held_id.eq(appointments::id));
    let offered = waitlist_offers::table
        .filter(waitlist_offers::held_id.eq(appointments::id))
        .filter(waitlist_offers::status.eq(VacancyStatus::Standing));
    Ok(appointments::table
        .filter(appointments::hold_expires_at.is_not_null())
        .filter(appointments::hold_expires_at.le(tx.now))
        .filter(not(exists(in_place)))
        .filter(not(exists(offered)))
        .order((appointments::starts_at, appointments::id))
        .limit(ENDS_MAX)
        .select(appointments::id)
        .load(tx.conn)?)
}

/// One look: ends what has run out, each by itself. Returns how many. It reads first, so that a quiet
/// hour keeps nobody from writing.
pub async fn tick(app: &Arc<App>) -> Result<usize, Error> {
    let due = look_as_system(app, |tx| {
        tx.allow(Action::ExpireHold, &Facts::NONE)?;
        due(tx)
    });
    let mut ended = 0_usize;
    for id in due.await? {
        let done = as_system(app, move |tx| {
            tx.allow(Action::ExpireHold, &Facts::NONE)?;
            let done = expire(tx, id)?;
            if done {
                let facts = find_row(tx, id)?.facts();
                tx.record(Action::ExpireHold, "Appointment", id.0, &facts);
            }
            Ok(done)
        });
        // One that cannot be ended keeps no other from its end.
        match done.await {
            Ok(done) => ended = ended.saturating_add(usize::from(done)),
            Err(error) => tracing::error!(%error, appointment = %id, "a hold that is over stands"),
        }
    }
    Ok(ended)
}

/// Looks again and again, until `stop`.
pub async fn run(app: Arc<App>, stop: watch::Receiver<bool>) {
    every(Duration::from_secs(TICK_SECS), stop, async || {
        if let Err(error) = tick(&app).await {
            tracing::error!(%error, "holds that are over could not be ended");
        }
    })
    .await;
}
