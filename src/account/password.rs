//! Passwords: argon2id, a few hashes at a time.

/// The hashing pool.
pub struct Hasher;
