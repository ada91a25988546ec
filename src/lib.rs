//! Feldsher: remote visits for villages that have no doctor.
//!
//! The folders are the nouns of the clinic; `base` is the machine they run on; `server` is the
//! table of all paths. `docs/architecture.md` is the map.

pub mod access;
pub mod account;
pub mod appointment;
pub mod audit;
pub mod base;
pub mod calendar;
pub mod call;
pub mod chat;
pub mod consent;
pub mod demo;
pub mod encounter;
pub mod location;
pub mod message;
pub mod openapi;
pub mod organization;
pub mod patient;
pub mod practitioner;
pub mod record;
pub mod resource;
pub mod ring;
pub mod schedule;
pub mod server;
pub mod task;
pub mod waitlist;
pub mod web;

/// Who gives out memory, with no lock between the threads of HTTP and of the database
/// (docs/decisions/0027).
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;
