//! The commands, and how they speak to whoever typed them.

pub mod audit;
pub mod config;
pub mod demo;
pub mod relay;
pub mod serve;
pub mod tz;
pub mod user;

use std::fmt::Display;
use std::future::Future;
use std::io::{ErrorKind, Write};

/// Answers, on standard output. A reader that has heard enough is no failure.
pub fn say(text: impl Display) -> anyhow::Result<()> {
    let mut out = std::io::stdout().lock();
    match writeln!(out, "{text}").and_then(|()| out.flush()) {
        Err(error) if error.kind() != ErrorKind::BrokenPipe => Err(error.into()),
        _ => Ok(()),
    }
}

/// Says what went wrong, on standard error.
pub fn complain(text: &str) {
    // With standard error closed there is nobody left to tell.
    drop(writeln!(std::io::stderr().lock(), "{text}"));
}

/// Runs a command that waits for something.
pub fn wait<T>(work: impl Future<Output = T>) -> T {
    actix_web::rt::System::new().block_on(work)
}
