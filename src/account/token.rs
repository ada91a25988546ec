//! Access tokens and tickets.

use crate::account::{AccountId, SessionId};
use crate::base::column::Instant;
use crate::base::error::Error;
use crate::base::problem;

/// What a verified access token says.
#[derive(Debug, Clone)]
pub struct Claims {
    /// The account.
    pub account: AccountId,
    /// The sign-in session.
    pub session: SessionId,
}

/// Signs and verifies.
pub struct Tokens;

impl Tokens {
    /// Verifies an access token. 401 `invalid_token`.
    pub fn verify_access(&self, _token: &str, _now: Instant) -> Result<Claims, Error> {
        Err(Error::from(&problem::INVALID_TOKEN))
    }
}

// ---- stub
/// stub
pub struct TicketClaims { pub participant: crate::encounter::ParticipantId, pub encounter: crate::encounter::EncounterId, pub session: SessionId, pub jti: uuid::Uuid }
impl Tokens {
    /// stub
    pub fn open(_conn: &mut crate::base::db::Conn, _seal: &crate::base::seal::Seal, _now: Instant) -> Result<Self, Error> { Ok(Self) }
    /// stub
    /// stub
    pub fn sign(&self, bytes: &[u8]) -> Result<(String, Vec<u8>), Error> { Ok(("stub".to_owned(), crate::base::seal::sha256(bytes))) }
    /// stub
    pub fn verify_signature(&self, kid: &str, bytes: &[u8], signature: &[u8]) -> bool { kid == "stub" && crate::base::seal::sha256(bytes) == signature }
    pub fn issue_ticket(&self, c: &TicketClaims, _now: Instant) -> Result<String, Error> { Ok(c.session.to_string()) }
    /// stub
    pub fn verify_ticket(&self, c: &str, _now: Instant) -> Result<TicketClaims, Error> {
        let nil = uuid::Uuid::nil();
        let session = c.parse().map_err(|_| Error::from(&problem::INVALID_TOKEN))?;
        Ok(TicketClaims { participant: crate::encounter::ParticipantId(nil), encounter: crate::encounter::EncounterId(nil), session, jti: nil })
    }
}
