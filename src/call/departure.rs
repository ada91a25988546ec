//! Seats that became empty, and what of it is written down.

use std::sync::{Arc, MutexGuard, PoisonError};

use chrono::TimeDelta;

use super::Rooms;
use crate::base::app::App;
use crate::base::column::Instant;
use crate::base::ctx::as_system;
use crate::base::problem;
use crate::call::seat;
use crate::encounter::presence::LeftWhy;
use crate::encounter::{EncounterId, ParticipantId};

/// How long whoever has taken a seat again may be on the way to the room, in seconds. A room that
/// nobody is in stays in memory for longer.
const DOUBT_SECS: i64 = 30;

/// A seat that became empty: what must still be written to the database.
#[derive(Debug, Clone, Copy)]
pub struct Departure {
    /// The visit.
    pub encounter: EncounterId,
    /// Who left.
    pub participant: ParticipantId,
    /// Which of their seats.
    pub sid: uuid::Uuid,
    /// How often it had been taken by then: whoever has come back since is not gone.
    pub epoch: i32,
    /// Why.
    pub why: LeftWhy,
}

/// A departure that is still to be written down.
#[derive(Debug, Clone, Copy)]
pub(super) struct Owed {
    pub(super) departure: Departure,
    /// Somebody has taken the seat again and may be on the way to the room: until then it is waited
    /// for them. `None`: the database could not take it.
    pub(super) doubted_until: Option<Instant>,
}

impl Rooms {
    pub(super) fn owed(&self) -> MutexGuard<'_, Vec<Owed>> {
        self.owed.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Writes down who has left. What the database cannot take now is tried again with every tick; a seat
/// that was taken again meanwhile is left to whoever comes for it, and given up when nobody does: the
/// process that took it may not have got as far as the room.
pub async fn remember(app: &Arc<App>, departures: Vec<Departure>) {
    if departures.is_empty() {
        return;
    }
    let tenure = app.rooms.nodes.tenure();
    // Whoever has lost its rooms writes nothing down about them: they may be sat in elsewhere.
    if !tenure.sure().await {
        return;
    }
    for departure in departures {
        let error = match as_system(app, move |tx| seat::give_up(tx, departure)).await {
            Ok(None) => continue,
            Ok(Some(epoch)) => {
                let until = app.rooms.now().plus(TimeDelta::seconds(DOUBT_SECS));
                let departure = Departure { epoch, ..departure };
                app.rooms.owed().push(Owed { departure, doubted_until: Some(until) });
                continue;
            }
            Err(error) => error,
        };
        let code = error.problem().code;
        tracing::error!(encounter.id = %departure.encounter, code, "a departure was not written down");
        if error.is(&problem::OVERLOADED) && !tenure.is_over() {
            app.rooms.owed().push(Owed { departure, doubted_until: None });
        }
    }
}
