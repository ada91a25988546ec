//! One effect per `Idempotency-Key`, however often the request is sent.
//!
//! The key's row is written first and in the transaction of the deed: two equal requests at
//! once wait for one another, and a lost answer is answered again from the row.
//! After draft-ietf-httpapi-idempotency-key-header.

use chrono::TimeDelta;
use diesel::prelude::*;
use diesel::sql_types::{Binary, Integer, Text};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::base::column::{self, Instant};
use crate::base::db::{Conn, direct, kept, statement};
use crate::base::error::Error;
use crate::base::problem;
use crate::base::schema::idempotency_keys;
use crate::base::tx::Tx;

/// How long an answer is kept, in hours.
pub const KEPT_HOURS: i64 = 72;
const KEY_LEN_MIN: usize = 8;
const KEY_LEN_MAX: usize = 128;

/// A request that asks to be done once.
#[derive(Debug, Clone)]
pub struct Once {
    /// The caller's own key.
    pub key: String,
    /// Method and path.
    pub route: String,
    /// SHA-256 of the body.
    pub fingerprint: Vec<u8>,
}

/// An answer as it is kept.
#[derive(Debug, Serialize, Deserialize)]
pub struct Answer {
    /// The HTTP status.
    pub status: u16,
    /// The JSON body.
    pub body: Value,
}

/// Checks a key's form. 400 `idempotency_key_invalid`.
pub fn check(key: &str) -> Result<(), Error> {
    let printable = key.bytes().all(|byte| byte.is_ascii_graphic());
    if printable && (KEY_LEN_MIN..=KEY_LEN_MAX).contains(&key.len()) {
        Ok(())
    } else {
        Err(Error::from(&problem::IDEMPOTENCY_KEY_INVALID))
    }
}

/// Takes the key, or finds the answer that was given for it.
/// 422 `idempotency_key_reused` when the body is another one.
pub fn take(tx: &mut Tx, once: &Once) -> Result<Option<Answer>, Error> {
    let principal = column::Uuid(tx.person()?.account.0);
    if insert(tx, principal, once)?
        || (forget_expired(tx, principal, once)? && insert(tx, principal, once)?)
    {
        return Ok(None);
    }
    let (fingerprint, sealed): (Vec<u8>, Option<Vec<u8>>) = find(principal, once)
        .select((idempotency_keys::fingerprint, idempotency_keys::answer_sealed))
        .get_result(tx.conn)?;
    if fingerprint != once.fingerprint {
        return Err(Error::from(&problem::IDEMPOTENCY_KEY_REUSED));
    }
    let sealed = sealed.ok_or(Error::Internal("an idempotency key without its answer"))?;
    let answer = tx.seal.open(&place(principal, once), &sealed)?;
    serde_json::from_slice(&answer)
        .map(Some)
        .map_err(|_syntax| Error::Internal("a kept answer is not JSON"))
}

/// `false` when the key is taken; waits for whoever is taking it at this moment.
fn insert(tx: &mut Tx, principal: column::Uuid, once: &Once) -> Result<bool, Error> {
    let taking = diesel::insert_into(idempotency_keys::table)
        .values((
            idempotency_keys::principal.eq(principal),
            idempotency_keys::route.eq(&once.route),
            idempotency_keys::key.eq(&once.key),
            idempotency_keys::fingerprint.eq(&once.fingerprint),
            idempotency_keys::status.eq(0),
            idempotency_keys::expires_at.eq(tx.now.plus(TimeDelta::hours(KEPT_HOURS))),
        ))
        .on_conflict_do_nothing();
    let taken = direct!(tx.conn, |conn| kept!(taking).execute(conn))?;
    Ok(taken == 1)
}

/// Keeps the answer with the key.
pub fn keep(tx: &mut Tx, once: &Once, answer: &Answer) -> Result<(), Error> {
    let principal = column::Uuid(tx.person()?.account.0);
    let plain = serde_json::to_vec(answer)
        .map_err(|_unserializable| Error::Internal("an answer is not JSON"))?;
    let sealed = tx.seal.seal(&place(principal, once), &plain)?;
    KeepAnswer {
        status: &i32::from(answer.status),
        answer: &sealed,
        principal: &principal,
        route: &once.route,
        key: &once.key,
    }
    .execute(tx.conn)?;
    Ok(())
}

/// Throws away a piece of what has been kept long enough. Index: idempotency_keys_by_expiry.
pub fn sweep(conn: &mut Conn, now: Instant) -> QueryResult<usize> {
    Sweep { over: &now }.execute(conn)
}

statement!(
    /// A kept answer can be large.
    Sweep
    "DELETE FROM idempotency_keys WHERE (principal, route, key) IN (SELECT principal, route, key
     FROM idempotency_keys WHERE expires_at <= " over: column::sql::Moment = Instant;
    " LIMIT 200)"
);

statement!(
    /// Every request with a key ends with this one.
    KeepAnswer
    "UPDATE idempotency_keys SET status = " status: Integer = i32,
    ", answer_sealed = " answer: Binary = Vec<u8>,
    " WHERE principal = " principal: column::sql::Uid = column::Uuid,
    " AND route = " route: Text = String,
    " AND key = " key: Text = String
);

#[diesel::dsl::auto_type(no_type_alias)]
fn find<'a>(principal: column::Uuid, once: &'a Once) -> _ {
    let route: &'a str = &once.route;
    let key: &'a str = &once.key;
    idempotency_keys::table
        .filter(idempotency_keys::principal.eq(principal))
        .filter(idempotency_keys::route.eq(route))
        .filter(idempotency_keys::key.eq(key))
}

fn place(principal: column::Uuid, once: &Once) -> String {
    format!("idempotency_keys|answer|{}|{}|{}", principal.0, once.route, once.key)
}

fn forget_expired(tx: &mut Tx, principal: column::Uuid, once: &Once) -> Result<bool, Error> {
    let expired: Instant = tx.now;
    let forgotten =
        diesel::delete(find(principal, once).filter(idempotency_keys::expires_at.le(expired)))
            .execute(tx.conn)?;
    Ok(forgotten > 0)
}
