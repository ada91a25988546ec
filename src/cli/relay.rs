//! `feldsher relay`: whether calls can go over the relays.

use anyhow::bail;
use clap::Subcommand;
use feldsher::base::clock::{Clock, SystemClock};
use feldsher::base::config::Config;
use feldsher::call::relay;

use crate::cli::{say, wait};

/// What can be done about relays.
#[derive(Debug, Subcommand)]
pub enum Relay {
    /// Send a packet through every relay, as a caller's browser would, and say what is wrong
    #[command(after_help = "Example: feldsher relay check --config /etc/feldsher.toml\n\
        Exit code 1 when a relay does not work, or none is set in ice.turn_urls. It may run beside \
        the server; docs/relay.md says what to do about each answer.")]
    Check,
}

/// Does it.
pub fn run(relay: &Relay, config: &Config) -> anyhow::Result<()> {
    let Relay::Check = relay;
    if config.ice.turn_urls.is_empty() {
        bail!("no relay is set: ice.turn_urls is empty, see docs/relay.md");
    }
    let verdicts = wait(relay::check_all(&config.ice, SystemClock.now()))?;
    for verdict in &verdicts {
        let mark = if verdict.outcome.is_ok() { "ok  " } else { "FAIL" };
        say(format_args!("{mark}  {}\n      {}", verdict.url, verdict.words()))?;
    }
    let failing = verdicts.iter().filter(|verdict| verdict.outcome.is_err()).count();
    if failing > 0 {
        bail!("{failing} of {} relays do not work", verdicts.len());
    }
    Ok(())
}
