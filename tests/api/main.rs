//! The product through its public API, on both engines.

#![cfg(test)]

#[path = "../support/mod.rs"]
mod support;

mod bad_input;
mod booking;
mod everyone;
mod hours;
mod lifecycle;
mod places;
mod race;
mod records;
mod schedule;
mod serving;
mod sign_in;
mod wire;
