//! Logs: where they go and what never gets into them.

use std::io::IsTerminal;

use anyhow::Context;
use tracing::Metadata;
use tracing_subscriber::EnvFilter;
use tracing_subscriber::filter::{FilterFn, filter_fn};
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;

use crate::base::config::{Log, LogFormat};

/// Media libraries log addresses, keys and even decrypted media: they are never heard.
const SILENT: &[&str] = &["webrtc", "rtc", "turn", "stun", "quinn_udp"];

/// Starts the log, on standard error: standard output is for what a command answers.
pub fn start(log: &Log) -> anyhow::Result<()> {
    let builder = tracing_subscriber::fmt()
        .with_env_filter(filter(&log.level)?)
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal());
    let started = match log.format {
        LogFormat::Json => builder.json().flatten_event(true).finish().with(quiet()).try_init(),
        LogFormat::Text => builder.finish().with(quiet()).try_init(),
    };
    started.map_err(|error| anyhow::anyhow!("cannot start the log: {error}"))
}

/// Keeps media libraries out. The settings have no say in it: a more exact target
/// (`rtc_ice::agent=trace`) would win over any directive of ours.
fn quiet() -> FilterFn<impl Fn(&Metadata<'_>) -> bool> {
    filter_fn(|metadata| !is_silent(metadata.target()))
}

/// Whether this is a line of a media library.
fn is_silent(target: &str) -> bool {
    SILENT.iter().any(|library| {
        let rest = target.strip_prefix(library);
        rest.is_some_and(|rest| rest.is_empty() || rest.starts_with([':', '_']))
    })
}

/// Reads a level or a list of `target=level`.
pub fn filter(level: &str) -> anyhow::Result<EnvFilter> {
    EnvFilter::builder().parse(level).context("log.level must be a level, or target=level pairs")
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::sync::{Arc, Mutex};

    use super::*;

    #[derive(Clone, Default)]
    struct Page(Arc<Mutex<Vec<u8>>>);

    impl Write for Page {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0.lock().unwrap().write(bytes)
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn media_libraries_stay_silent_whatever_the_settings_say() {
        let page = Page::default();
        let writer = page.clone();
        let level = "trace,webrtc=trace,rtc_ice::agent=trace,rtc=trace,turn::x=trace";
        let log = tracing_subscriber::fmt()
            .with_env_filter(filter(level).unwrap())
            .with_writer(move || writer.clone())
            .finish()
            .with(quiet());
        let on_this_thread = log.set_default();
        tracing::error!(target: "webrtc::peer_connection::driver", "ice-pwd");
        tracing::error!(target: "rtc", "ice-pwd");
        tracing::error!(target: "rtc_ice::agent", "ice-pwd");
        tracing::error!(target: "turn::x", "ice-pwd");
        tracing::error!(target: "stun", "ice-pwd");
        tracing::trace!(target: "feldsher::call", "heard");
        tracing::trace!(target: "rtcp_is_another_word", "heard too");
        drop(on_this_thread);
        let written = String::from_utf8(page.0.lock().unwrap().clone()).unwrap();
        assert!(!written.contains("ice-pwd"), "{written}");
        assert_eq!(written.matches("heard").count(), 2, "{written}");
        assert!(filter("feldsher=loud").is_err());
    }
}
