//! The live rooms.

pub mod ice;

use crate::base::tx::Event;

/// The live rooms of this process.
#[derive(Default)]
pub struct Rooms;

impl Rooms {
    /// Hears what a committed transaction tells.
    pub fn hear(&self, _event: &Event) {}
}
