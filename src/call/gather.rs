//! What is written about who takes part, brought to the room.

use std::sync::Arc;

use crate::access::table::Action;
use crate::base::app::App;
use crate::base::ctx::look_as_system;
use crate::base::error::Error;
use crate::base::tx::Tx;
use crate::call::departure::remember;
use crate::call::event::Event;
use crate::encounter::{EncounterId, party};

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
