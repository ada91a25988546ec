//! What is thrown away when it has been kept long enough.
//!
//! Each noun knows how long its own rows are kept and deletes a piece of them; here they are asked
//! until nothing is left, each piece in a transaction of its own, so that nobody waits long.

use std::sync::Arc;
use std::time::Duration;

use diesel::QueryResult;
use tokio::sync::watch;

use crate::account::{code, limit, session};
use crate::base::app::App;
use crate::base::background::every;
use crate::base::column::Instant;
use crate::base::db::Conn;
use crate::base::idempotency;
use crate::call::probe;
use crate::call::record;
use crate::encounter::admission;

/// How often it is looked for, in seconds.
const SWEEP_SECS: u64 = 600;

/// Deletes a piece of what is too old; how many rows it was.
type Sweep = fn(&mut Conn, Instant) -> QueryResult<usize>;

/// Everything that does not stay.
const SWEEPS: [(&str, Sweep); 7] = [
    ("kept answers", idempotency::sweep),
    ("counters of attempts", limit::sweep),
    ("sign-in codes", code::sweep),
    ("refresh tokens", session::sweep),
    ("tickets", admission::sweep),
    ("probes that nobody finished", probe::kept::sweep),
    ("minutes of calls", record::sweep),
];

/// Throws away what is too old, now and then, until `stop`.
pub async fn run(app: Arc<App>, stop: watch::Receiver<bool>) {
    every(Duration::from_secs(SWEEP_SECS), stop, async || sweep(&app).await).await;
}

/// Throws away everything that is too old.
pub async fn sweep(app: &App) {
    let now = app.clock.now();
    for (what, piece) in SWEEPS {
        while !app.is_stopping() {
            match app.db.write(move |conn| piece(conn, now)).await {
                Ok(Ok(0)) => break,
                Ok(Ok(_)) => {}
                Ok(Err(_)) | Err(_) => {
                    tracing::warn!(what, "could not be thrown away; the next round tries again");
                    break;
                }
            }
        }
    }
}
