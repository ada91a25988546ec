//! Everyone against everything: who may do what, as a pure table and over HTTP.

mod documents;
mod matrix;
mod policy;
mod routes;
mod rows;
mod stage;
