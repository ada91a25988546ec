//! What rooms want kept, between the moment it happens and the moment it is written down.
//!
//! Whoever speaks in a room never waits for the database: a mark is pushed to a list in memory, and
//! every two seconds the list is written in one transaction.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::watch;

use super::{Kept, write};
use crate::base::app::App;
use crate::base::ctx::as_system;
use crate::base::problem;
use crate::encounter::EncounterId;

/// How often it is written, in milliseconds.
const WRITE_MS: u64 = 2000;
/// How much goes into one transaction.
const BATCH: usize = 200;
/// The most that waits; beyond that the oldest is given up, for a database that does not answer.
const WAITING_MAX: usize = 20_000;

/// The most while which extras are taken: a flood of them costs no visit its edges.
const EXTRAS_WAITING_MAX: usize = WAITING_MAX / 4;

type Batch = Vec<(EncounterId, Kept)>;

/// A list in memory.
#[derive(Debug, Default)]
pub struct Ledger {
    waiting: Mutex<VecDeque<(EncounterId, Kept)>>,
    /// Held by whoever writes: one after another, so that who flushes finds everything written.
    writing: tokio::sync::Mutex<()>,
}

impl Ledger {
    /// Remembers something.
    pub fn keep(&self, encounter: EncounterId, kept: Kept) {
        let mut waiting = self.lock();
        if kept.is_extra() && waiting.len() >= EXTRAS_WAITING_MAX {
            return;
        }
        if waiting.len() >= WAITING_MAX {
            waiting.pop_front();
        }
        waiting.push_back((encounter, kept));
    }

    /// Gives up what was to be said of how people in some rooms are: those are another's by now, which
    /// says it anew, and what is written late would be taken for the newest.
    pub fn forget_standings(&self, is_lost: impl Fn(&EncounterId) -> bool) {
        self.lock().retain(|(room, kept)| !kept.is_standing() || !is_lost(room));
    }

    /// How much has not been written yet.
    pub fn len(&self) -> usize {
        self.lock().len()
    }

    /// Whether everything has been written.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    fn take(&self) -> Batch {
        let mut waiting = self.lock();
        let count = waiting.len().min(BATCH);
        waiting.drain(..count).collect()
    }

    fn give_back(&self, batch: Batch) {
        let mut waiting = self.lock();
        for kept in batch.into_iter().rev() {
            waiting.push_front(kept);
        }
    }

    fn lock(&self) -> MutexGuard<'_, VecDeque<(EncounterId, Kept)>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Writes everything down that waits.
pub async fn flush(app: &Arc<App>) {
    let _alone = app.rooms.ledger.writing.lock().await;
    while !app.rooms.ledger.is_empty() {
        // Whoever does not know whether it has its rooms waits until it does.
        let has_rooms = app.rooms.nodes.tenure().sure().await;
        let mut batch = app.rooms.ledger.take();
        batch.retain(|(_, kept)| has_rooms || !kept.is_standing());
        let Err(rest) = write_all(app, batch).await else { continue };
        return app.rooms.ledger.give_back(rest);
    }
}

/// Writes a batch, and where something in it cannot be written, the rest of it one by one. Answers
/// what is to be tried again later.
async fn write_all(app: &Arc<App>, batch: Batch) -> Result<(), Batch> {
    let kept = batch.clone();
    let Err(error) = as_system(app, move |tx| write(tx, &kept)).await else { return Ok(()) };
    let code = error.problem().code;
    if error.is(&problem::OVERLOADED) {
        tracing::warn!(code, "the record of calls could not be written; it is tried again");
        return Err(batch);
    }
    let mut batch = VecDeque::from(batch);
    while let Some(one) = batch.front().cloned() {
        if let Err(error) = as_system(app, move |tx| write(tx, &[one])).await {
            if error.is(&problem::OVERLOADED) {
                return Err(batch.into());
            }
            let code = error.problem().code;
            tracing::error!(code, "a piece of the record of calls could not be written");
        }
        batch.pop_front();
    }
    Ok(())
}

/// Writes now and then, until `stop`, and once more then.
pub async fn run(app: &Arc<App>, mut stop: watch::Receiver<bool>) {
    let mut ticks = tokio::time::interval(Duration::from_millis(WRITE_MS));
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            _ = ticks.tick() => flush(app).await,
            _ = stop.changed() => return flush(app).await,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::column::Instant;
    use crate::call::record::{Mark, MarkKind};

    #[test]
    fn what_waits_keeps_its_order_and_its_bound() {
        let ledger = Ledger::default();
        let visit = EncounterId(uuid::Uuid::nil());
        let mark = |number: usize| {
            let at = Instant::from_micros(i64::try_from(number).unwrap()).unwrap();
            Kept::Mark(Mark::new(MarkKind::Up, at))
        };
        for number in 0..WAITING_MAX + 5 {
            ledger.keep(visit, mark(number));
        }
        assert_eq!(ledger.len(), WAITING_MAX);
        let first = ledger.take();
        assert_eq!((first.len(), &first[0].1), (BATCH, &mark(5)));
        ledger.give_back(first.clone());
        assert_eq!(ledger.take(), first);
    }

    #[test]
    fn a_flood_of_extras_costs_nobody_anything_else() {
        let (ledger, visit) = (Ledger::default(), EncounterId(uuid::Uuid::nil()));
        let mark = |kind| Kept::Mark(Mark::new(kind, Instant::from_micros(0).unwrap()));
        ledger.keep(visit, mark(MarkKind::Begun));
        for _ in 0..2 * WAITING_MAX {
            ledger.keep(visit, mark(MarkKind::Away));
        }
        ledger.keep(visit, mark(MarkKind::Ended));
        assert_eq!(ledger.len(), EXTRAS_WAITING_MAX + 1);
        assert_eq!(ledger.take()[0].1, mark(MarkKind::Begun));
    }

    #[test]
    fn how_people_are_in_a_room_that_is_lost_is_not_said_late() {
        let ledger = Ledger::default();
        let [lost, kept] = [0, 1].map(|number| EncounterId(uuid::Uuid::from_u128(number)));
        let mark = |kind| Kept::Mark(Mark::new(kind, Instant::from_micros(0).unwrap()));
        for room in [lost, kept] {
            ledger.keep(room, mark(MarkKind::Silent));
            ledger.keep(room, mark(MarkKind::Ended));
        }
        ledger.forget_standings(|room| *room == lost);
        let left = [(lost, MarkKind::Ended), (kept, MarkKind::Silent), (kept, MarkKind::Ended)];
        assert_eq!(ledger.take(), left.map(|(room, kind)| (room, mark(kind))));
    }
}
