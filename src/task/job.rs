//! What goes on without anybody's deed: rings that nobody answers take their next step, and visits
//! that stay interrupted become tasks, and what was to be told of a visit ends with it. Several processes may do it at once.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;

use crate::access::Facts;
use crate::access::table::Action;
use crate::base::app::App;
use crate::base::background::every;
use crate::base::ctx::{each_as_system, look_as_system};
use crate::base::error::Error;
use crate::encounter::{EncounterId, interruption};
use crate::ring::{RingId, step};
use crate::task;

/// How often it looks.
const TICK_SECS: u64 = 1;
/// How many are taken on in one round.
pub(crate) const ROUND_MAX: i64 = 50;

/// One whole look. It reads first, so that a quiet hour costs three questions to an index and keeps
/// nobody from writing; each step is a transaction of its own, so that one that fails holds up no
/// other.
pub async fn tick(app: &Arc<App>) -> Result<(), Error> {
    let due = look_as_system(app, |tx| {
        tx.allow(Action::WatchVisits, &Facts::NONE)?;
        Ok((step::due(tx)?, interruption::due(tx)?, task::told_in_vain(tx, ROUND_MAX)?))
    });
    let (rings, visits, over): (Vec<RingId>, Vec<EncounterId>, Vec<EncounterId>) = due.await?;
    let watch = Action::WatchVisits;
    let stepped = each_as_system(app, watch, rings, step::step).await;
    let seen_to = each_as_system(app, watch, visits, interruption::see_to).await;
    let ended = each_as_system(app, watch, over, task::too_late_to_tell).await;
    stepped.map(drop).and(seen_to.map(drop)).and(ended.map(drop))
}

/// Looks again and again, until `stop`.
pub async fn run(app: Arc<App>, stop: watch::Receiver<bool>) {
    every(Duration::from_secs(TICK_SECS), stop, async || {
        if let Err(error) = tick(&app).await {
            tracing::error!(%error, "rings and interrupted visits could not be looked after");
        }
    })
    .await;
}
