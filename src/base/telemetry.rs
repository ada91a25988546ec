//! Logs: where they go and what never gets into them.

use std::io::IsTerminal;

use anyhow::Context;
use tracing_subscriber::EnvFilter;

use crate::base::config::{Log, LogFormat};

/// Media libraries log addresses, keys and even decrypted media: they are never heard.
const SILENT: &[&str] = &["webrtc", "rtc", "turn", "stun"];

/// Starts the log, on standard error: standard output is for what a command answers.
pub fn start(log: &Log) -> anyhow::Result<()> {
    let builder = tracing_subscriber::fmt()
        .with_env_filter(filter(&log.level)?)
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal());
    let started = match log.format {
        LogFormat::Json => builder.json().flatten_event(true).try_init(),
        LogFormat::Text => builder.try_init(),
    };
    started.map_err(|error| anyhow::anyhow!("cannot start the log: {error}"))
}

/// Reads a level or a list of `target=level`.
pub fn filter(level: &str) -> anyhow::Result<EnvFilter> {
    let mut filter = EnvFilter::builder()
        .parse(level)
        .context("log.level must be a level, or target=level pairs")?;
    for target in SILENT {
        filter = filter.add_directive(format!("{target}=off").parse()?);
    }
    Ok(filter)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn media_libraries_stay_silent_whatever_the_level() {
        for level in ["info", "trace", "debug,webrtc=trace"] {
            let filter = filter(level).unwrap().to_string();
            for target in SILENT {
                assert!(filter.contains(&format!("{target}=off")), "{filter}");
            }
            assert!(!filter.contains("webrtc=trace"), "{filter}");
        }
        assert!(filter("feldsher=loud").is_err());
    }
}
