//! The product in real browsers over links as bad as our patients have them, and without any for a
//! while. Needs root, which alone may make a network; figures are in docs/links.md.

#![cfg(test)]

#[path = "../support/mod.rs"]
mod support;

#[path = "../browser/cdp.rs"]
mod cdp;
#[path = "../browser/chromium.rs"]
#[expect(dead_code, reason = "the browser tests use the rest")]
mod chromium;
#[path = "../browser/clinic.rs"]
#[expect(dead_code, reason = "the browser tests use the rest")]
mod clinic;
#[path = "../browser/page.rs"]
#[expect(dead_code, reason = "the browser tests use the rest")]
mod page;
#[path = "../browser/stage.rs"]
#[expect(dead_code, reason = "the browser tests use the rest")]
mod stage;

mod blackout;
mod booking;
mod changing;
mod joining;
mod netsim;
mod relayed;
mod resume;
mod talk;
