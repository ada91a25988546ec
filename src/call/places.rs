//! What those who wait are told of their place in the practitioner's day.

use std::collections::HashSet;
use std::sync::{Arc, MutexGuard, PoisonError};

use super::Rooms;
use crate::base::app::App;
use crate::base::ctx::look_as_system;
use crate::base::tx;
use crate::call::departure::remember;
use crate::call::event::Event;
use crate::call::seat::Taken;
use crate::encounter::queue::Queued;
use crate::encounter::{EncounterId, queue};
use crate::practitioner::PractitionerId;

/// How many who arrive between two rounds hear their place at once, for one practitioner.
const PLACED_MAX: u32 = 8;

impl Rooms {
    pub(super) fn moved(&self) -> MutexGuard<'_, HashSet<PractitionerId>> {
        self.moved.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether somebody who arrives hears their place at once. When a crowd comes, the rest hears it
    /// with the next round, which asks once for all of them.
    pub(super) fn may_ask(&self, practitioner: PractitionerId) -> bool {
        let mut placed = self.placed.lock().unwrap_or_else(PoisonError::into_inner);
        let count = placed.entry(practitioner).or_default();
        *count = count.saturating_add(1);
        let few = *count <= PLACED_MAX;
        if !few {
            self.moved().insert(practitioner);
        }
        few
    }

    /// The visits in which somebody waits to be let in.
    pub(super) fn waited_for(&self) -> Vec<EncounterId> {
        let rooms = self.lock();
        let waited = rooms.iter().filter(|(_, live)| live.room.is_waited_in());
        waited.map(|(encounter, _)| *encounter).collect()
    }
}

/// The place of somebody who has just sat down to wait.
pub(super) async fn place_of(app: &Arc<App>, taken: &Taken) -> Option<Queued> {
    if taken.guest.admitted || !app.rooms.may_ask(taken.practitioner) {
        return None;
    }
    let encounter = taken.encounter;
    let look = move |tx: &mut tx::Tx| queue::places(tx, &[encounter], None);
    match look_as_system(app, look).await {
        Ok(places) => places.into_iter().find_map(|(_, place)| place),
        Err(error) => {
            // They wait all the same, and hear it with the next round.
            tracing::warn!(code = error.problem().code, "a place could not be told at once");
            None
        }
    }
}

/// Tells those who wait their place, where it may have changed: many changes at once are one answer
/// to one question. `all`: also where nothing is known to have changed, because time has passed,
/// and other processes have their own news.
pub(super) async fn tell_places(app: &Arc<App>, all: bool) {
    let moved: Vec<PractitionerId> = app.rooms.moved().drain().collect();
    app.rooms.placed.lock().unwrap_or_else(PoisonError::into_inner).clear();
    let waited = app.rooms.waited_for();
    if waited.is_empty() || (moved.is_empty() && !all) {
        return;
    }
    let of = (!all).then_some(moved);
    let look = move |tx: &mut tx::Tx| queue::places(tx, &waited, of.as_deref());
    match look_as_system(app, look).await {
        Ok(places) => {
            for (encounter, place) in places {
                remember(app, app.rooms.apply(encounter, None, Event::Queued(place))).await;
            }
        }
        Err(error) => {
            let code = error.problem().code;
            tracing::warn!(code, "those who wait could not be told their place");
        }
    }
}
