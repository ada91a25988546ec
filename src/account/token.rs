//! Access tokens and call tickets: JWTs signed with Ed25519. The only file that knows the format.
//!
//! `jsonwebtoken` checks the signature; it accepts a lot by default (a missing issuer, a foreign
//! `typ`, an unknown `crit`, a wall clock), so every other check is made here, by name.

use std::collections::HashSet;
use std::sync::{Mutex, PoisonError};

use aws_lc_rs::signature::{ED25519, Ed25519KeyPair, KeyPair, UnparsedPublicKey};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use chrono::TimeDelta;
use diesel::prelude::*;
use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header, Validation};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use uuid::Uuid;

use crate::account::{AccountId, SessionId};
use crate::base::column::{Instant, text_enum};
use crate::base::db::{Conn, Each};
use crate::base::error::Error;
use crate::base::problem;
use crate::base::schema::token_keys;
use crate::base::seal::{Seal, sha256};
use crate::encounter::admission::TICKET_SECS;
use crate::encounter::{EncounterId, ParticipantId};

/// Who issues: this installation. Another one has other keys.
const ISSUER: &str = "feldsher";
/// For how long a token is taken after its end, in seconds.
const LEEWAY_SECS: i64 = 5;
/// How far the clock of the process that made a token may be ahead, in seconds. Nobody else makes one, so
/// an early one is no danger.
const AHEAD_SECS: i64 = 60;
/// Ours have about 500 bytes.
const TOKEN_BYTES_MAX: usize = 2048;
/// Token ids remembered per generation; see [`Tokens::is_proven`].
const PROVEN_MAX: usize = 20_000;

text_enum!(
    /// Where a key stands in its life.
    KeyState {
        /// Published, not yet used.
        Next = "next",
        /// Signs. There is at most one.
        Active = "active",
        /// Verifies what it signed.
        Retiring = "retiring",
        /// Verifies documents only.
        Retired = "retired",
    }
);

/// What an access token says: no role, no name, no phone, for anybody can read it.
#[derive(Debug, Clone)]
pub struct Claims {
    /// The account.
    pub account: AccountId,
    /// The sign-in session.
    pub session: SessionId,
    /// The account's security version at sign-in.
    pub security_version: i32,
    /// The token's own id: that of the refresh token which it was handed out with.
    pub id: Uuid,
}

/// What a ticket to a call says.
#[derive(Debug, Clone)]
pub struct TicketClaims {
    /// Who comes.
    pub participant: ParticipantId,
    /// To which visit.
    pub encounter: EncounterId,
    /// The sign-in session.
    pub session: SessionId,
    /// The ticket's own id, for it works once.
    pub jti: Uuid,
}

/// The kinds of token. One is never taken for another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Access,
    Ticket,
}

impl Kind {
    fn typ(self) -> &'static str {
        match self {
            Self::Access => "at+jwt",
            Self::Ticket => "rtc-ticket+jwt",
        }
    }

    fn audience(self) -> &'static str {
        match self {
            Self::Access => "feldsher-api",
            Self::Ticket => "feldsher-rtc",
        }
    }
}

#[derive(Serialize, Deserialize)]
struct AccessPayload {
    iss: String,
    aud: String,
    sub: AccountId,
    sid: SessionId,
    sv: i32,
    jti: Uuid,
    iat: i64,
    nbf: i64,
    exp: i64,
}

#[derive(Serialize, Deserialize)]
struct TicketPayload {
    iss: String,
    aud: String,
    sub: ParticipantId,
    enc: EncounterId,
    sid: SessionId,
    jti: Uuid,
    iat: i64,
    nbf: i64,
    exp: i64,
}

struct Key {
    kid: String,
    state: KeyState,
    x: String,
    public: Vec<u8>,
    verifying: DecodingKey,
}

/// The key ring: signs and verifies.
pub struct Tokens {
    keys: Vec<Key>,
    kid: String,
    signing: EncodingKey,
    pair: Ed25519KeyPair,
    proven: Mutex<[HashSet<Uuid>; 2]>,
}

impl Tokens {
    /// Loads the keys, or makes the first one. Processes that start together end with the same.
    pub fn open(conn: &mut Conn, seal: &Seal, now: Instant) -> Result<Self, Error> {
        let mut rows = load(conn)?;
        if !rows.iter().any(|row| row.state == KeyState::Active) {
            make_first(conn, seal, now)?;
            rows = load(conn)?;
        }
        let active = rows
            .iter()
            .find(|row| row.state == KeyState::Active)
            .ok_or(Error::Internal("there is no key to sign tokens with"))?;
        let private = seal.open(&place(&active.kid), &active.private_sealed)?;
        let pair = Ed25519KeyPair::from_pkcs8(&private)
            .map_err(|_not_a_key| Error::Internal("the token key is not an Ed25519 key"))?;
        if pair.public_key().as_ref() != active.public_key.as_slice() {
            return Err(Error::Internal("the token key has another public half"));
        }
        Ok(Self {
            kid: active.kid.clone(),
            signing: EncodingKey::from_ed_der(&private),
            pair,
            keys: rows.into_iter().map(Key::from).collect(),
            proven: Mutex::new([HashSet::new(), HashSet::new()]),
        })
    }

    /// A signed access token that lives for `life`.
    pub fn issue_access(
        &self,
        claims: &Claims,
        now: Instant,
        life: TimeDelta,
    ) -> Result<String, Error> {
        let now = now.utc().timestamp();
        self.issue(
            Kind::Access,
            &AccessPayload {
                iss: ISSUER.to_owned(),
                aud: Kind::Access.audience().to_owned(),
                sub: claims.account,
                sid: claims.session,
                sv: claims.security_version,
                jti: claims.id,
                iat: now,
                nbf: now,
                exp: now.saturating_add(life.num_seconds()),
            },
        )
    }

    /// Verifies an access token. 401 `invalid_token`.
    pub fn verify_access(&self, token: &str, now: Instant) -> Result<Claims, Error> {
        let payload: AccessPayload = self.verify(Kind::Access, token)?;
        check(Kind::Access, &payload.iss, &payload.aud, (payload.nbf, payload.exp), now)?;
        Ok(Claims {
            account: payload.sub,
            session: payload.sid,
            security_version: payload.sv,
            id: payload.jti,
        })
    }

    /// A signed ticket to a call, for the next two minutes.
    pub fn issue_ticket(&self, claims: &TicketClaims, now: Instant) -> Result<String, Error> {
        let now = now.utc().timestamp();
        self.issue(
            Kind::Ticket,
            &TicketPayload {
                iss: ISSUER.to_owned(),
                aud: Kind::Ticket.audience().to_owned(),
                sub: claims.participant,
                enc: claims.encounter,
                sid: claims.session,
                jti: claims.jti,
                iat: now,
                nbf: now,
                exp: now.saturating_add(TICKET_SECS),
            },
        )
    }

    /// Verifies a ticket. 401 `invalid_token`. That it is used once is the database's to say.
    pub fn verify_ticket(&self, token: &str, now: Instant) -> Result<TicketClaims, Error> {
        let payload: TicketPayload = self.verify(Kind::Ticket, token)?;
        check(Kind::Ticket, &payload.iss, &payload.aud, (payload.nbf, payload.exp), now)?;
        Ok(TicketClaims {
            participant: payload.sub,
            encounter: payload.enc,
            session: payload.sid,
            jti: payload.jti,
        })
    }

    /// The public keys (RFC 7517) that verify what we sign now.
    pub fn jwks(&self) -> Value {
        let keys: Vec<Value> = self
            .keys
            .iter()
            .filter(|key| key.state != KeyState::Retired)
            .map(|key| {
                json!({"kty": "OKP", "crv": "Ed25519", "x": key.x, "kid": key.kid,
                    "alg": "EdDSA", "use": "sig"})
            })
            .collect();
        json!({ "keys": keys })
    }

    /// Signs a document: the key's id and the Ed25519 signature over [`document`].
    pub fn sign(&self, bytes: &[u8]) -> Result<(String, Vec<u8>), Error> {
        let signature = self
            .pair
            .try_sign(&document(bytes))
            .map_err(|_failed| Error::Internal("a document could not be signed"))?;
        Ok((self.kid.clone(), signature.as_ref().to_vec()))
    }

    /// Whether a document was signed by that key of ours, retired or not.
    pub fn verify_signature(&self, kid: &str, bytes: &[u8], signature: &[u8]) -> bool {
        self.keys.iter().find(|key| key.kid == kid).is_some_and(|key| {
            UnparsedPublicKey::new(&ED25519, &key.public)
                .verify(&document(bytes), signature)
                .is_ok()
        })
    }

    /// Whether this process has already written down that an access token was presented.
    pub fn is_proven(&self, id: Uuid) -> bool {
        let generations = self.proven.lock().unwrap_or_else(PoisonError::into_inner);
        generations.iter().any(|ids| ids.contains(&id))
    }

    /// Remembers that it is written down. What is forgotten is only written once more.
    pub fn remember_proven(&self, id: Uuid) {
        let mut generations = self.proven.lock().unwrap_or_else(PoisonError::into_inner);
        let [young, old] = &mut *generations;
        if young.len() >= PROVEN_MAX {
            *old = std::mem::take(young);
        }
        young.insert(id);
    }

    fn issue(&self, kind: Kind, payload: &impl Serialize) -> Result<String, Error> {
        let mut header = Header::new(Algorithm::EdDSA);
        header.typ = Some(kind.typ().to_owned());
        header.kid = Some(self.kid.clone());
        jsonwebtoken::encode(&header, payload, &self.signing)
            .map_err(|_failed| Error::Internal("a token could not be signed"))
    }

    /// Header and signature: our algorithm, our kind, our key, nothing that we do not understand.
    fn verify<T: DeserializeOwned>(&self, kind: Kind, token: &str) -> Result<T, Error> {
        let invalid = || Error::from(&problem::INVALID_TOKEN);
        if token.len() > TOKEN_BYTES_MAX {
            return Err(invalid());
        }
        let header = jsonwebtoken::decode_header(token).map_err(|_malformed| invalid())?;
        let expected = {
            let mut expected = Header::new(Algorithm::EdDSA);
            expected.typ = Some(kind.typ().to_owned());
            expected.kid.clone_from(&header.kid);
            expected
        };
        // Equal to what we write: no other `alg` or `typ`, no `crit`, no key that it brings along.
        if header != expected {
            return Err(invalid());
        }
        let key = self
            .keys
            .iter()
            .filter(|key| key.state != KeyState::Retired)
            .find(|key| Some(&key.kid) == header.kid.as_ref())
            .ok_or_else(invalid)?;
        let mut validation = Validation::new(Algorithm::EdDSA);
        validation.set_required_spec_claims(&["exp", "nbf", "iss", "aud", "sub"]);
        validation.set_issuer(&[ISSUER]);
        validation.set_audience(&[kind.audience()]);
        // The times are compared with the clock that we are given, in `check`.
        validation.validate_exp = false;
        validation.validate_nbf = false;
        #[expect(clippy::disallowed_methods, reason = "this is the file that knows the checks")]
        let decoded = jsonwebtoken::decode::<T>(token, &key.verifying, &validation);
        Ok(decoded.map_err(|_refused| invalid())?.claims)
    }
}

/// The claims that both kinds share, against our own clock.
fn check(
    kind: Kind,
    issuer: &str,
    audience: &str,
    (from, to): (i64, i64),
    now: Instant,
) -> Result<(), Error> {
    let now = now.utc().timestamp();
    let well = issuer == ISSUER
        && audience == kind.audience()
        && from <= now.saturating_add(AHEAD_SECS)
        && to > now.saturating_sub(LEEWAY_SECS);
    if well { Ok(()) } else { Err(Error::from(&problem::INVALID_TOKEN)) }
}

/// What is signed for a document: a line of its own in front, so that a document can never be
/// taken for a token that the same key signed.
pub fn document(bytes: &[u8]) -> Vec<u8> {
    [b"feldsher document v1\n", bytes].concat()
}

#[derive(Queryable)]
struct Row {
    kid: String,
    state: KeyState,
    private_sealed: Vec<u8>,
    public_key: Vec<u8>,
}

impl From<Row> for Key {
    fn from(row: Row) -> Self {
        Self {
            kid: row.kid,
            state: row.state,
            x: URL_SAFE_NO_PAD.encode(&row.public_key),
            verifying: DecodingKey::from_ed_der(&row.public_key),
            public: row.public_key,
        }
    }
}

fn load(conn: &mut Conn) -> QueryResult<Vec<Row>> {
    token_keys::table
        .order((token_keys::created_at, token_keys::kid))
        .select((
            token_keys::kid,
            token_keys::state,
            token_keys::private_sealed,
            token_keys::public_key,
        ))
        .load(conn)
}

/// Makes the first key, unless another process is faster: the schema holds one active key.
fn make_first(conn: &mut Conn, seal: &Seal, now: Instant) -> Result<(), Error> {
    let failed = || Error::Internal("a token key could not be made");
    let pair = Ed25519KeyPair::generate().map_err(|_no_entropy| failed())?;
    let private = pair.to_pkcs8().map_err(|_unserializable| failed())?;
    let public = pair.public_key().as_ref();
    let kid = thumbprint(public);
    Each(
        diesel::insert_into(token_keys::table)
            .values((
                token_keys::kid.eq(&kid),
                token_keys::state.eq(KeyState::Active),
                token_keys::private_sealed.eq(seal.seal(&place(&kid), private.as_ref())?),
                token_keys::public_key.eq(public),
                token_keys::created_at.eq(now),
            ))
            .on_conflict_do_nothing(),
    )
    .execute(conn)?;
    Ok(())
}

fn place(kid: &str) -> String {
    format!("token_keys|private|{kid}")
}

/// The key's name: SHA-256 of its canonical JWK (RFC 7638, RFC 8037).
fn thumbprint(public: &[u8]) -> String {
    let x = URL_SAFE_NO_PAD.encode(public);
    let canonical = format!(r#"{{"crv":"Ed25519","kty":"OKP","x":"{x}"}}"#);
    URL_SAFE_NO_PAD.encode(sha256(canonical.as_bytes()))
}

#[cfg(test)]
mod tests;
