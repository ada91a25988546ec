//! Signing in with a code sent to a phone: for patients, who have no login.
//!
//! An unknown number is answered like a known one. A code works only with the challenge that it
//! was sent for; asking for another one forgives nothing.

use aws_lc_rs::constant_time::verify_slices_are_equal;
use chrono::TimeDelta;
use diesel::prelude::*;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::access::Facts;
use crate::access::table::Action;
use crate::account::limit::{self, Limit};
use crate::account::phone::Phone;
use crate::account::session::{self, Method, TokenPair};
use crate::account::{AccountId, AccountState, phone_index};
use crate::base::column::{self, Instant, id};
use crate::base::config::SignIn;
use crate::base::ctx::Ctx;
use crate::base::db::{Conn, statement};
use crate::base::error::Error;
use crate::base::language::Language;
use crate::base::problem;
use crate::base::schema::{accounts, sign_in_challenges};
use crate::base::seal::{Seal, random};
use crate::base::tx::Tx;
use crate::message;

id!(
    /// A code that was sent, or would have been.
    ChallengeId
);

/// Life of a code, in seconds.
pub const CODE_SECS: u32 = 300;
/// Tries per code.
const TRIES_MAX: i32 = 5;
/// Codes to one number are at least so many seconds apart.
const CODE_APART_SECS: i64 = 60;
/// Codes to one number in an hour.
const CODES_PER_NUMBER_HOUR: u32 = 5;
/// Wrong codes in a row that end this way in for an account, until a person opens it again.
const FAILURES_MAX: i32 = 100;
/// How long codes are kept that have run out, in hours.
const KEPT_HOURS: i64 = 24;

/// Where to send a code.
#[derive(Clone, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct SendCode {
    /// The number, with its country code.
    pub phone: Phone,
}

/// What a code belongs to.
#[derive(Debug, Serialize, ToSchema)]
pub struct Challenge {
    /// Sent back with the code.
    pub challenge_id: ChallengeId,
    /// How long the code can be used, in seconds.
    pub expires_in: u32,
}

/// A code that arrived.
#[derive(Clone, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct VerifyCode {
    /// What it belongs to.
    pub challenge_id: ChallengeId,
    /// Six digits.
    pub code: String,
}

/// Sends a code, if the number is a patient's; says the same if it is not.
/// 429 when the number or the address has asked too often.
pub fn send(tx: &mut Tx, wanted: &SendCode, address: &str) -> Result<Challenge, Error> {
    tx.allow(Action::SignIn, &Facts::NONE)?;
    let index = phone_index(tx.seal, &wanted.phone);
    keep_apart(tx, &index)?;
    for (limit, subject) in limits(&tx.config.sign_in, wanted.phone.as_str(), address) {
        limit::take(tx, &limit, subject)?;
    }
    let known = reachable(tx, &index)?;
    let id = ChallengeId::new(tx.now);
    let code = new_code()?;
    diesel::insert_into(sign_in_challenges::table)
        .values((
            sign_in_challenges::id.eq(id),
            sign_in_challenges::account_id.eq(known.map(|(account, _)| account)),
            sign_in_challenges::phone_index.eq(&index),
            sign_in_challenges::code_hash.eq(hash(tx.seal, id, &code)),
            sign_in_challenges::tries.eq(0),
            sign_in_challenges::created_at.eq(tx.now),
            sign_in_challenges::expires_at
                .eq(tx.now.plus(TimeDelta::seconds(i64::from(CODE_SECS)))),
        ))
        .execute(tx.conn)?;
    if let Some((_, language)) = known {
        message::send_code(tx, &wanted.phone, &code, language)?;
    }
    Ok(Challenge { challenge_id: id, expires_in: CODE_SECS })
}

/// Signs in with a code. 401 `wrong_code`, whatever is wrong with it.
pub async fn verify(ctx: &Ctx, wanted: VerifyCode) -> Result<TokenPair, Error> {
    // A refusal would undo the count of the try, so the deed answers instead.
    let pair = ctx.write(move |tx| attempt(tx, &wanted)).await?;
    pair.ok_or_else(|| Error::from(&problem::WRONG_CODE))
}

fn attempt(tx: &mut Tx, wanted: &VerifyCode) -> Result<Option<TokenPair>, Error> {
    tx.allow(Action::SignIn, &Facts::NONE)?;
    let open = sign_in_challenges::table
        .find(wanted.challenge_id)
        .filter(sign_in_challenges::used_at.is_null())
        .filter(sign_in_challenges::expires_at.gt(tx.now))
        .filter(sign_in_challenges::tries.lt(TRIES_MAX));
    let counted = diesel::update(open)
        .set(sign_in_challenges::tries.eq(sign_in_challenges::tries + 1))
        .execute(tx.conn)?;
    if counted == 0 {
        return Ok(None);
    }
    let (account, index, expected) = sign_in_challenges::table
        .find(wanted.challenge_id)
        .select((
            sign_in_challenges::account_id,
            sign_in_challenges::phone_index,
            sign_in_challenges::code_hash,
        ))
        .first::<(Option<AccountId>, Vec<u8>, Vec<u8>)>(tx.conn)?;
    let said = hash(tx.seal, wanted.challenge_id, wanted.code.trim());
    let right = verify_slices_are_equal(&said, &expected).is_ok();
    let Some(account) = account else { return Ok(None) };
    if !right {
        diesel::update(accounts::table.find(account))
            .set(accounts::failures.eq(accounts::failures + 1))
            .execute(tx.conn)?;
        return Ok(None);
    }
    // The number may have been shut, or given to somebody else, since the code was sent.
    if reachable(tx, &index)?.is_none_or(|(found, _)| found != account) {
        return Ok(None);
    }
    diesel::update(accounts::table.find(account)).set(accounts::failures.eq(0)).execute(tx.conn)?;
    diesel::update(sign_in_challenges::table)
        .filter(sign_in_challenges::phone_index.eq(index))
        .filter(sign_in_challenges::used_at.is_null())
        .set(sign_in_challenges::used_at.eq(Some(tx.now)))
        .execute(tx.conn)?;
    session::open(tx, account, Method::Code).map(Some)
}

/// The account of a number and its language, if a code may open it: active, without a login
/// (who has a password signs in with that), and not guessed at too often.
fn reachable(tx: &mut Tx, index: &[u8]) -> Result<Option<(AccountId, Language)>, Error> {
    Ok(accounts::table
        .filter(accounts::phone_index.eq(Some(index)))
        .filter(accounts::state.eq(AccountState::Active))
        .filter(accounts::login.is_null())
        .filter(accounts::failures.lt(FAILURES_MAX))
        .select((accounts::id, accounts::language))
        .first(tx.conn)
        .optional()?)
}

/// Refuses a second code within a minute.
fn keep_apart(tx: &mut Tx, index: &[u8]) -> Result<(), Error> {
    let of_number = sign_in_challenges::table.filter(sign_in_challenges::phone_index.eq(index));
    let latest: Option<Instant> = of_number
        .order(sign_in_challenges::created_at.desc())
        .select(sign_in_challenges::created_at)
        .first(tx.conn)
        .optional()?;
    if let Some(wait) = latest.and_then(|latest| wait_secs(latest, tx.now)) {
        return Err(Error::from(&problem::TOO_MANY_ATTEMPTS).retry_after(wait));
    }
    Ok(())
}

/// Throws away a piece of the codes that have run out. Index: sign_in_challenges_by_expiry.
pub fn sweep(conn: &mut Conn, now: Instant) -> QueryResult<usize> {
    let over = now.minus(TimeDelta::hours(KEPT_HOURS));
    Sweep { over: &over }.execute(conn)
}

statement!(
    /// Also those of numbers that never ask again.
    Sweep
    "DELETE FROM sign_in_challenges WHERE id IN (SELECT id FROM sign_in_challenges
     WHERE expires_at <= " over: column::sql::Moment = Instant;
    " LIMIT 500)"
);

fn wait_secs(latest: Instant, now: Instant) -> Option<u32> {
    let passed = now.since(latest).num_seconds();
    u32::try_from(CODE_APART_SECS.saturating_sub(passed)).ok().filter(|wait| *wait > 0)
}

fn limits<'a>(rules: &SignIn, phone: &'a str, address: &'a str) -> [(Limit, &'a str); 4] {
    let limit = |name, hits_max, window| Limit { name, hits_max, window };
    [
        (limit("code.number.minute", 1, TimeDelta::seconds(CODE_APART_SECS)), phone),
        (limit("code.number.hour", CODES_PER_NUMBER_HOUR, TimeDelta::hours(1)), phone),
        (limit("code.number.day", rules.codes_per_number_day, TimeDelta::days(1)), phone),
        (limit("code.address.hour", rules.codes_per_address_hour, TimeDelta::hours(1)), address),
    ]
}

/// Six digits, each code as likely as the next.
fn new_code() -> Result<String, Error> {
    const CODES: u32 = 1_000_000;
    const FAIR: u32 = u32::MAX - u32::MAX % CODES;
    loop {
        let number = u32::from_be_bytes(random::<4>()?);
        if number < FAIR {
            return Ok(format!("{:06}", number % CODES));
        }
    }
}

fn hash(seal: &Seal, challenge: ChallengeId, code: &str) -> Vec<u8> {
    seal.index("sign_in_challenges.code", &format!("{challenge}:{code}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_code_has_six_digits_and_leading_zeros_count() {
        let codes: Vec<String> = (0..2000).map(|_| new_code().unwrap()).collect();
        assert!(codes.iter().all(|code| code.len() == 6));
        assert!(codes.iter().all(|code| code.bytes().all(|byte| byte.is_ascii_digit())));
        assert!(codes.iter().any(|code| code.starts_with('0')));
        let mut distinct = codes.clone();
        distinct.sort_unstable();
        distinct.dedup();
        assert!(distinct.len() > 1900, "{}", distinct.len());
    }

    #[test]
    fn a_code_belongs_to_its_challenge() {
        let (seal, now) = (Seal::new(&[7; 32]).unwrap(), "2026-11-23T02:00:00Z".parse().unwrap());
        let (one, other) = (ChallengeId::new(now), ChallengeId::new(now));
        assert_eq!(hash(&seal, one, "123456"), hash(&seal, one, "123456"));
        assert_ne!(hash(&seal, one, "123456"), hash(&seal, other, "123456"));
        assert_ne!(hash(&seal, one, "123456"), hash(&seal, one, "123457"));
    }

    #[test]
    fn a_second_code_waits_for_the_rest_of_a_minute() {
        let at = |text: &str| text.parse().unwrap();
        let first = at("2026-11-23T02:00:30Z");
        assert_eq!(wait_secs(first, at("2026-11-23T02:00:30Z")), Some(60));
        assert_eq!(wait_secs(first, at("2026-11-23T02:01:29Z")), Some(1));
        assert_eq!(wait_secs(first, at("2026-11-23T02:01:30Z")), None);
    }
}
