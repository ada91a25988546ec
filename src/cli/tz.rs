//! `feldsher tz`: what the laws of time zones do to visits that are booked.

use std::io::{IsTerminal, Write};
use std::sync::Arc;

use anyhow::bail;
use clap::Subcommand;
use feldsher::appointment::promise::{self, BrokenPromise};
use feldsher::base::app::App;
use feldsher::base::clock::SystemClock;
use feldsher::base::config::Config;
use feldsher::base::laws;

use crate::cli::serve::close;
use crate::cli::{say, wait};

/// What can be done about time zones.
#[derive(Debug, Subcommand)]
pub enum Tz {
    /// Name the visits to come whose promised local time a newer law has moved
    #[command(after_help = "Example: feldsher tz check --repair\n\
        Exit code 1 when promises stay broken. The laws are those of time.zoneinfo, or those this \
        program was built with. On the embedded database, stop the server first.")]
    Check {
        /// Move them to the instant that keeps the promise, and tell both sides
        #[arg(long)]
        repair: bool,
    },
}

/// Does it.
pub fn run(tz: &Tz, config: Config) -> anyhow::Result<()> {
    let Tz::Check { repair } = *tz;
    wait(async {
        let (app, threads) = App::open(config, None, Arc::new(SystemClock)).await?;
        let checked = check(&app, repair).await;
        drop(app);
        close(threads).await;
        checked
    })
}

async fn check(app: &Arc<App>, repair: bool) -> anyhow::Result<()> {
    say(format_args!("tz database {}", laws::version()))?;
    let is_watched = std::io::stderr().is_terminal();
    let broken = promise::all_broken(app, |looked| {
        if is_watched {
            // Nobody misses a line of progress.
            drop(write!(std::io::stderr(), "\r{looked} visits"));
        }
    })
    .await?;
    if is_watched {
        drop(writeln!(std::io::stderr()));
    }
    if broken.is_empty() {
        return say("every promised time stands");
    }
    for visit in &broken {
        say(line(visit))?;
    }
    if !repair {
        bail!("{} visits are not at their promised time; --repair moves them", broken.len());
    }
    let repaired = promise::keep_all(app, broken).await?;
    say(format_args!(
        "{} visits and held times moved; whose visit is booked was told",
        repaired.kept.len()
    ))?;
    for (code, problem) in &repaired.left {
        say(format_args!("{code}: {problem}; decide by hand"))?;
    }
    if repaired.left.is_empty() {
        return Ok(());
    }
    bail!("{} visits are still not at their promised time", repaired.left.len())
}

fn line(visit: &BrokenPromise) -> String {
    let BrokenPromise { code, time_zone, promised, shown, proposed, .. } = visit;
    let proposal = match proposed {
        Some(at) => format!("move to {at}"),
        None => "the clocks jump over that time".to_owned(),
    };
    format!("{code} {time_zone}: promised {promised}, would be {shown}; {proposal}")
}
