//! The product in real browsers, on both engines, as a patient and a doctor live it.

#![cfg(test)]

#[path = "../support/mod.rs"]
mod support;

mod board;
mod care;
mod cdp;
mod chromium;
mod claim;
mod clinic;
mod desk;
mod devices;
mod driver;
mod ladder;
mod my_visits;
mod office;
mod page;
mod probe;
mod proof;
mod reception;
mod relay;
mod setup;
mod signal;
mod signing_out;
mod slow;
mod stage;
mod story;
mod telephone;
mod three;
mod waiting;
mod waitlist;
mod week;
mod wire;
