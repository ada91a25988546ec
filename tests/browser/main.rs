//! The product in real browsers, on both engines, as a patient and a doctor live it.

#![cfg(test)]

#[path = "../support/mod.rs"]
mod support;

mod cdp;
mod chromium;
mod clinic;
mod driver;
mod page;
mod story;
mod waitlist;
mod wire;
