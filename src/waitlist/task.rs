//! What goes on without anybody's deed: offers that nobody answered go to the next, wishes whose
//! time has passed end, and times that became free by themselves are found. Several processes may
//! do it at once.

use std::sync::Arc;
use std::time::Duration;

use diesel::prelude::*;
use tokio::sync::watch;

use crate::access::Facts;
use crate::access::table::Action;
use crate::base::app::App;
use crate::base::background::every;
use crate::base::ctx::{as_system, look_as_system};
use crate::base::db::{Turn, take_turns};
use crate::base::error::Error;
use crate::base::schema::{appointments, waitlist_entries, waitlist_offers};
use crate::base::tx::Tx;
use crate::encounter::lifecycle::AppointmentStatus;
use crate::organization::ServiceId;
use crate::schedule::free::Asker;
use crate::waitlist::{
    EntryId, VacancyStatus, WaitEnd, WaitStatus, answer, follow, is_active, lock_if_idle, offer,
};

/// How often it looks for what has run out.
const TICK_SECS: u64 = 5;
/// It looks for free times in one of so many ticks: a deed offers what it frees itself.
const SEARCH_TICKS: u32 = 4;
/// How much is ended in one transaction.
const ENDS_MAX: i64 = 50;
/// How many services are searched in one tick; the next one goes on behind them.
const SERVICES_MAX: i64 = 8;

/// One whole look. Returns where the next look for free times goes on.
pub async fn tick(app: &Arc<App>, after: Option<ServiceId>) -> Result<Option<ServiceId>, Error> {
    end_due(app).await?;
    end_vain(app).await?;
    search(app, after).await
}

/// Ends what has run out. It reads first, so that a quiet list costs two questions to an index and
/// keeps nobody from writing.
async fn end_due(app: &Arc<App>) -> Result<(), Error> {
    let due = look_as_system(app, |tx| {
        tx.allow(Action::OfferVacancy, &Facts::NONE)?;
        Ok((!unanswered(tx, 1)?.is_empty(), !over(tx, 1)?.is_empty()))
    });
    let (is_unanswered, is_over) = due.await?;
    if is_unanswered {
        as_system(app, lapse_due).await?;
    }
    if is_over {
        as_system(app, end_over).await?;
    }
    Ok(())
}

/// Takes back what cannot be had any more: hours can change without anybody's deed.
async fn end_vain(app: &Arc<App>) -> Result<(), Error> {
    let vain = look_as_system(app, |tx| {
        tx.allow(Action::OfferVacancy, &Facts::NONE)?;
        follow::in_vain(tx, None)
    });
    for id in vain.await? {
        as_system(app, move |tx| {
            tx.allow(Action::OfferVacancy, &Facts::NONE)?;
            follow::withdraw_vain(tx, id)
        })
        .await?;
    }
    Ok(())
}

/// Offers what is free of the services for which somebody waits, some at a time.
async fn search(app: &Arc<App>, after: Option<ServiceId>) -> Result<Option<ServiceId>, Error> {
    let services = look_as_system(app, move |tx| {
        tx.allow(Action::OfferVacancy, &Facts::NONE)?;
        offer::waited_for(tx, after, SERVICES_MAX)
    });
    let services = services.await?;
    for service in &services {
        let service = *service;
        let found = look_as_system(app, move |tx| {
            tx.allow(Action::OfferVacancy, &Facts::NONE)?;
            offer::is_wanted(tx, service, None, usize::MAX)
        });
        if found.await? {
            fill(app, service).await?;
        }
    }
    let more = i64::try_from(services.len()).is_ok_and(|many| many >= SERVICES_MAX);
    Ok(services.last().copied().filter(|_| more))
}

/// Fills a list, some of those who wait in each transaction, so that nobody is kept from writing for long.
async fn fill(app: &Arc<App>, service: ServiceId) -> Result<(), Error> {
    let mut looked_at = Vec::new();
    loop {
        let before = looked_at.clone();
        let filled = as_system(app, move |tx| {
            tx.allow(Action::OfferVacancy, &Facts::NONE)?;
            offer::fill(tx, service, None, &before)
        });
        let filled = filled.await?;
        looked_at.extend(filled.looked_at);
        if filled.is_through {
            return Ok(());
        }
    }
}

/// Index: waitlist_offers_due.
fn unanswered(tx: &mut Tx, most: i64) -> Result<Vec<(EntryId, ServiceId)>, Error> {
    Ok(waitlist_offers::table
        .inner_join(waitlist_entries::table)
        .filter(waitlist_offers::status.eq(VacancyStatus::Standing))
        .filter(waitlist_offers::expires_at.le(tx.now))
        .order(waitlist_offers::expires_at)
        .limit(most)
        .select((waitlist_offers::entry_id, waitlist_entries::service_id))
        .load(tx.conn)?)
}

/// Wishes whose window has passed, or whose visit is no longer to come. Indexes:
/// waitlist_entries_over, waitlist_entries_by_appointment.
fn over(tx: &mut Tx, most: i64) -> Result<Vec<(EntryId, WaitEnd)>, Error> {
    let passed: Vec<EntryId> = waitlist_entries::table
        .filter(is_active())
        .filter(waitlist_entries::latest_at.le(tx.now))
        .limit(most)
        .select(waitlist_entries::id)
        .load(tx.conn)?;
    let begun: Vec<EntryId> = waitlist_entries::table
        .inner_join(
            appointments::table
                .on(waitlist_entries::appointment_id.eq(appointments::id.nullable())),
        )
        .filter(is_active())
        .filter(appointments::status.ne(AppointmentStatus::Booked))
        .limit(most)
        .select(waitlist_entries::id)
        .load(tx.conn)?;
    let passed = passed.into_iter().map(|id| (id, WaitEnd::WindowOver));
    Ok(passed.chain(begun.into_iter().map(|id| (id, WaitEnd::VisitOver))).collect())
}

/// Ends the offers that nobody answered in time; the same time goes to the next in the same
/// transaction. Returns how many.
pub fn lapse_due(tx: &mut Tx) -> Result<usize, Error> {
    tx.allow(Action::OfferVacancy, &Facts::NONE)?;
    let mut ended = 0_usize;
    let due = unanswered(tx, ENDS_MAX)?;
    // What ends here is offered again at the end: one waits for that turn before one holds anything
    // that somebody else may want in theirs.
    let turns: Vec<Turn> = due.iter().map(|(_, service)| Turn::Alone(service.0)).collect();
    take_turns(tx.conn, &turns)?;
    for (id, _) in due {
        let Some(row) = lock_if_idle(tx, id)? else { continue };
        // Whoever held the lock before may have answered it.
        let Some(offer) = offer::standing(tx, id)?.filter(|offer| offer.expires_at <= tx.now)
        else {
            continue;
        };
        let to = match answer::check_works(tx, &row, &offer, Asker::Triage) {
            Ok(()) => VacancyStatus::Lapsed,
            // What could not have been accepted was not missed.
            Err(Error::Refused(_)) => VacancyStatus::Withdrawn,
            Err(error) => return Err(error),
        };
        let facts = row.facts();
        offer::take_back(tx, row, to)?;
        tx.record(Action::OfferVacancy, "WaitlistEntry", id.0, &facts);
        ended = ended.saturating_add(1);
    }
    Ok(ended)
}

/// Ends the wishes whose time has passed, and tells. Returns how many.
pub fn end_over(tx: &mut Tx) -> Result<usize, Error> {
    tx.allow(Action::OfferVacancy, &Facts::NONE)?;
    let mut ended = 0_usize;
    for (id, why) in over(tx, ENDS_MAX)? {
        let Some(row) = lock_if_idle(tx, id)?.filter(|row| row.is_active()) else { continue };
        let facts = row.facts();
        let row = offer::take_back(tx, row, VacancyStatus::Withdrawn)?;
        offer::finish(tx, &row, WaitStatus::Expired, why, None)?;
        tx.record(Action::OfferVacancy, "WaitlistEntry", id.0, &facts);
        ended = ended.saturating_add(1);
    }
    Ok(ended)
}

/// Looks again and again, until `stop`.
pub async fn run(app: Arc<App>, stop: watch::Receiver<bool>) {
    let (mut after, mut ticks) = (None, 0_u32);
    every(Duration::from_secs(TICK_SECS), stop, async || {
        // A look that is not through goes on at once.
        let looked = match (after, ticks.checked_rem(SEARCH_TICKS)) {
            (Some(_), _) | (None, Some(0)) => tick(&app, after).await,
            _ => end_due(&app).await.map(|()| None),
        };
        ticks = ticks.wrapping_add(1);
        after = looked.unwrap_or_else(|error| {
            tracing::error!(%error, "the waiting list could not be looked after");
            None
        });
    })
    .await;
}
