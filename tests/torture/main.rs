//! The real binary under crashes: whatever it said yes to is there afterwards, once.

#![cfg(test)]

#[path = "../support/mod.rs"]
mod support;

mod claims;
mod disk;
mod hammer;
mod kill;
mod laws;
mod model;
mod nodes;
mod server;
