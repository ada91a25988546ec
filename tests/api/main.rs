//! The product through its public API, on both engines.

#![cfg(test)]

#[path = "../support/mod.rs"]
mod support;

mod bad_input;
mod beside;
mod board;
mod booking;
mod calendars;
mod care;
mod chat;
mod claim;
mod clocks;
mod consents;
mod corrections;
mod desk;
mod elsewhere;
mod everyone;
mod gone;
mod guests;
mod hours;
mod lapsed;
mod leave;
mod libraries;
mod lifecycle;
mod moves;
mod offer_over;
mod participants;
mod places;
mod probe;
mod race;
mod records;
mod relay;
mod repeat;
mod requests;
mod resources;
mod schedule;
mod series;
mod serving;
mod sign_in;
mod strangers;
mod taken;
mod tampering;
mod turns;
mod unseen;
mod untold;
mod vain;
mod waiting;
mod waitlist;
mod wire;
