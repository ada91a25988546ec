//! The product through its public API, on both engines.

#![cfg(test)]

#[path = "../support/mod.rs"]
mod support;

mod bad_input;
mod booking;
mod everyone;
mod leave;
mod lifecycle;
mod moves;
mod places;
mod race;
mod records;
mod resources;
mod schedule;
mod series;
mod serving;
mod sign_in;
mod wire;
