//! What a node does every second for its rooms: takes those that nobody has, gives up those that
//! nobody is in, and looks whether the others are still its own.

use std::sync::Arc;

use tokio_postgres::Client;

use super::far::Office;
use super::rows::{self, Taken};
use super::tenure::{BEAT_MS, Tenure};
use super::{Net, bring_back, down, every};
use crate::base::app::App;
use crate::base::db::link::LinkError;
use crate::base::error::Error;
use crate::encounter::EncounterId;

/// Every so many rounds what nobody reads is thrown away.
const TIDY_ROUNDS: u32 = 20;
/// Every so many rounds it is looked whether the rooms of this node are written down as its own.
const COMPARE_ROUNDS: u32 = 3;

/// Takes what nobody has any more and gives up what nobody needs, as long as this node lives.
pub(super) async fn keep(app: &Arc<App>, net: &Net, office: &Arc<Office>) {
    let tenure = &office.tenure;
    let (mut ticks, mut rounds) = (every(BEAT_MS), 0_u32);
    let (mut is_new, mut has_failed) = (true, false);
    loop {
        ticks.tick().await;
        if !tenure.sure().await {
            return;
        }
        office.tell_moved();
        let done = async {
            let keeper = net.keeper()?;
            let down = |error: LinkError| down(&error);
            let _turn = app.rooms.nodes.claiming.lock().await;
            let mut wanted = Vec::new();
            // Also what was taken by a statement whose answer was lost.
            if has_failed || rounds.is_multiple_of(COMPARE_ROUNDS) {
                let written = rows::of(&keeper, tenure.node).await.map_err(down)?;
                wanted.extend(lose_others(app, &written));
            }
            if is_new {
                wanted.extend(rows::open_rooms(&keeper).await.map_err(down)?);
            }
            wanted.retain(|room| !app.rooms.nodes.holds(*room));
            // Taken anew, so that nothing that is still on its way can be about them.
            let mut taken = rows::claim(&keeper, tenure.node, &wanted).await.map_err(down)?;
            taken.extend(rows::adopt(&keeper, tenure.node).await.map_err(down)?);
            bring_back(app, tenure, &taken).await?;
            is_new = false;
            app.rooms.restored.send_replace(true);
            give_up_idle(app, &keeper, tenure).await.map_err(down)?;
            if rounds.is_multiple_of(TIDY_ROUNDS) {
                rows::tidy(&keeper).await.map_err(down)?;
            }
            Ok::<_, Error>(())
        };
        let done = done.await;
        has_failed = done.is_err();
        if let Err(error) = done {
            let code = error.problem().code;
            tracing::warn!(code, "rooms without a node wait");
        }
        rounds = rounds.wrapping_add(1);
    }
}

/// Lets go of the rooms that are not written down as this node's: another took them, or may. The
/// rooms that are written down as its own and that it knew nothing of.
fn lose_others(app: &App, written: &[Taken]) -> Vec<EncounterId> {
    let (lost, found) = app.rooms.nodes.compare(written);
    for room in &lost {
        tracing::error!(encounter.id = %room, "a room is not this node's any more");
    }
    app.rooms.lose(|room| lost.contains(room));
    found
}

/// Gives rooms up in which nobody is any more, and lets go of those that are not this node's.
async fn give_up_idle(app: &Arc<App>, keeper: &Client, tenure: &Tenure) -> Result<(), LinkError> {
    let idle = app.rooms.nodes.let_go(&app.rooms.names());
    app.rooms.retain(|room| app.rooms.nodes.holds(*room));
    if idle.is_empty() { Ok(()) } else { rows::release(keeper, tenure.node, &idle).await }
}
