//! Passwords: argon2id, a few hashes at a time.

/// The hashing pool.
pub struct Hasher;

impl Hasher {
    /// stub
    #[expect(clippy::new_without_default, reason = "stub")]
    pub fn new() -> Self {
        Self
    }
}
