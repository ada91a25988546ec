//! The machine under the product.

pub mod app;
pub mod background;
pub mod body;
pub mod clock;
pub mod column;
pub mod config;
pub mod ctx;
pub mod db;
pub mod error;
pub mod http;
pub mod idempotency;
pub mod language;
pub mod laws;
pub mod master_key;
pub mod name;
pub mod page;
pub mod problem;
pub mod retention;
pub mod schema;
pub mod seal;
pub mod telemetry;
pub mod tx;
pub mod zone;
