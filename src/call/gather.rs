//! What is written about a visit and who takes part, brought to the room.

use std::sync::Arc;
use std::time::Duration;

use crate::access::table::Action;
use crate::base::app::App;
use crate::base::ctx::look_as_system;
use crate::base::error::Error;
use crate::base::problem;
use crate::base::tx::Tx;
use crate::call::departure::remember;
use crate::call::event::{Event, OverWhy};
use crate::encounter::presence::is_over;
use crate::encounter::{EncounterId, find_row, party};

/// How often it is read until it stands still, or the database answers.
const LOOKS_MAX: usize = 120;
/// How long it waits for the database, in milliseconds.
const AGAIN_MS: u64 = 250;

/// Reads who takes part and who is let in, and lets the room hear it.
pub(super) async fn gather(app: &Arc<App>, encounter: EncounterId) -> Result<(), Error> {
    let look = move |tx: &mut Tx| {
        tx.scope(Action::ReadEncounter)?;
        party::of(tx, encounter)
    };
    let party = look_as_system(app, look).await?;
    remember(app, app.rooms.apply(encounter, None, Event::Party(party))).await;
    Ok(())
}

/// Brings a room to whether its visit has ended.
pub async fn settle_end(app: &Arc<App>, encounter: EncounterId) {
    let look = move |tx: &mut Tx| {
        tx.scope(Action::ReadEncounter)?;
        Ok(is_over(find_row(tx, encounter)?.status))
    };
    let ended = |is_over| match is_over {
        true => Event::Over(OverWhy::Finished),
        false => Event::Reopened,
    };
    settle(app, encounter, look, |is_over| Some(ended(is_over))).await;
}

/// Brings a room to something that is written. Two changes can be told in another order than they were
/// made; so it is read again until it is what the room was told last.
pub(super) async fn settle<T: Copy + PartialEq + Send + 'static>(
    app: &Arc<App>,
    encounter: EncounterId,
    look: impl Fn(&mut Tx) -> Result<T, Error> + Copy + Send + 'static,
    event_of: impl Fn(T) -> Option<Event>,
) {
    let mut told = None;
    for _ in 0..LOOKS_MAX {
        match look_as_system(app, look).await {
            Ok(written) if told == Some(written) => return,
            Ok(written) => {
                told = Some(written);
                let Some(event) = event_of(written) else { return };
                remember(app, app.rooms.apply(encounter, None, event)).await;
            }
            Err(error) => {
                let code = error.problem().code;
                tracing::warn!(code, "what was decided could not be read");
                if !error.is(&problem::OVERLOADED) {
                    return;
                }
                tokio::time::sleep(Duration::from_millis(AGAIN_MS)).await;
            }
        }
    }
}
