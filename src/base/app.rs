//! What every request shares.

use std::sync::Arc;

use crate::account::password::Hasher;
use crate::account::token::Tokens;
use crate::base::clock::Clock;
use crate::base::config::Config;
use crate::base::db::Db;
use crate::base::seal::Seal;
use crate::call::Rooms;

/// The running application. One per process.
pub struct App {
    /// The settings.
    pub config: Config,
    /// The way to the database.
    pub db: Db,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// Encryption at rest.
    pub seal: Seal,
    /// Access tokens and tickets.
    pub tokens: Tokens,
    /// Password hashing, a few at a time.
    pub hasher: Hasher,
    /// The live rooms of this process.
    pub rooms: Rooms,
}
