//! Signing in with a password, and setting the first one.
//!
//! Hashing takes long, so it stands between two transactions: the first counts the try, which
//! therefore stays counted whatever comes after; the second acts on what the hash said.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use chrono::TimeDelta;
use diesel::prelude::*;
use serde::Deserialize;
use utoipa::ToSchema;

use crate::access::Facts;
use crate::access::table::Action;
use crate::account::limit::{self, Limit};
use crate::account::password::{self, Match};
use crate::account::session::{self, Method, TokenPair};
use crate::account::{AccountId, AccountState, fold_login};
use crate::base::column::{self, Instant};
use crate::base::config::SignIn;
use crate::base::ctx::Ctx;
use crate::base::error::Error;
use crate::base::problem;
use crate::base::schema::{accounts, one_time_tokens};
use crate::base::seal::{random, sha256};
use crate::base::tx::Tx;

/// How long a one-time token can be used, in hours: a doctor who is invited on Friday begins on
/// Monday.
pub const ONE_TIME_TOKEN_HOURS: i64 = 72;
/// Wrong passwords from one network address in a window: a whole village may share an address.
const ADDRESS_FAILURES_MAX: u32 = 60;

/// Login and password of somebody who works here.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct PasswordSignIn {
    /// The login; upper and lower case are the same.
    pub login: String,
    /// The password.
    pub password: String,
}

/// A one-time token and the first password.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct TokenSignIn {
    /// What an administrator handed over.
    pub token: String,
    /// The password that the person chose: 15 characters or more.
    pub password: String,
}

/// Signs in with a password. Whatever is wrong, the answer is 401 `wrong_credentials`;
/// 429 after too many wrong ones.
pub async fn by_password(ctx: &Ctx, wanted: PasswordSignIn) -> Result<TokenPair, Error> {
    let PasswordSignIn { login, password } = wanted;
    let login = fold_login(&login);
    if password.len() > password::BYTES_MAX {
        return Err(Error::from(&problem::WRONG_CREDENTIALS));
    }
    let address = ctx.address.clone();
    let known = {
        let (login, address) = (login.clone(), address.clone());
        ctx.write(move |tx| begin(tx, &login, &address)).await?
    };
    let (account, hash) = known.unzip();
    let verdict = ctx.app.hasher.verify(password.clone(), hash.clone()).await?;
    let (Some(account), Some(hash), Match::Yes | Match::YesButOld) = (account, hash, verdict)
    else {
        return Err(Error::from(&problem::WRONG_CREDENTIALS));
    };
    let renewed = match verdict {
        Match::YesButOld => Some(ctx.app.hasher.hash(password).await?),
        Match::Yes | Match::No => None,
    };
    ctx.write(move |tx| {
        let pair = finish(tx, account, &hash, renewed.as_deref())?;
        for limit in login_limits(&tx.config.sign_in) {
            limit::forget(tx, &limit, &login)?;
        }
        limit::give_back(tx, &address_limit(&tx.config.sign_in), &address)?;
        Ok(pair)
    })
    .await
}

/// Sets the first password with a one-time token and signs in. 410 `token_used`,
/// 422 `weak_password`.
pub async fn by_token(ctx: &Ctx, wanted: TokenSignIn) -> Result<TokenPair, Error> {
    let TokenSignIn { token, password } = wanted;
    let hash = sha256(token.trim().as_bytes());
    let looked_up = hash.clone();
    let (login, name) = ctx.read(move |tx| invited(tx, &looked_up)).await?;
    password::check(&password, &[login.as_deref().unwrap_or_default(), &name])?;
    let password_hash = ctx.app.hasher.hash(password).await?;
    ctx.write(move |tx| redeem(tx, &hash, &password_hash)).await
}

/// A token with which the first password is set, once, within 72 hours; earlier ones end.
/// The caller has made the access decision.
pub fn issue_one_time_token(tx: &mut Tx, account: AccountId) -> Result<String, Error> {
    diesel::update(one_time_tokens::table)
        .filter(one_time_tokens::account_id.eq(account))
        .filter(one_time_tokens::used_at.is_null())
        .set(one_time_tokens::used_at.eq(Some(tx.now)))
        .execute(tx.conn)?;
    let token = URL_SAFE_NO_PAD.encode(random::<20>()?);
    let expires_at = tx.now.plus(TimeDelta::hours(ONE_TIME_TOKEN_HOURS));
    diesel::insert_into(one_time_tokens::table)
        .values((
            one_time_tokens::id.eq(column::Uuid::new(tx.now)),
            one_time_tokens::account_id.eq(account),
            one_time_tokens::token_hash.eq(sha256(token.as_bytes())),
            one_time_tokens::created_at.eq(tx.now),
            one_time_tokens::expires_at.eq(expires_at),
        ))
        .execute(tx.conn)?;
    Ok(token)
}

/// A login waits after `password_failures_max` wrong passwords, and longer when they go on.
fn login_limits(rules: &SignIn) -> [Limit; 2] {
    let window = TimeDelta::minutes(i64::from(rules.password_wait_minutes.clamp(1, 6 * 60)));
    let hits_max = rules.password_failures_max;
    // The longer wait first: when both are full, that is how long it really takes.
    [
        Limit {
            name: "sign_in.login.longer",
            hits_max: hits_max.saturating_mul(2),
            window: window.checked_mul(4).unwrap_or(window),
        },
        Limit { name: "sign_in.login", hits_max, window },
    ]
}

fn address_limit(rules: &SignIn) -> Limit {
    let window = TimeDelta::minutes(i64::from(rules.password_wait_minutes.clamp(1, 6 * 60)));
    Limit { name: "sign_in.address", hits_max: ADDRESS_FAILURES_MAX, window }
}

/// Counts the try as a failure until the password proves right, and finds the hash to compare
/// with: that of an active account.
fn begin(tx: &mut Tx, login: &str, address: &str) -> Result<Option<(AccountId, String)>, Error> {
    tx.allow(Action::SignIn, &Facts::NONE)?;
    limit::take(tx, &address_limit(&tx.config.sign_in), address)?;
    for limit in login_limits(&tx.config.sign_in) {
        limit::take(tx, &limit, login)?;
    }
    let found: Option<(AccountId, Option<String>)> = accounts::table
        .filter(accounts::login.eq(Some(login)))
        .filter(accounts::state.eq(AccountState::Active))
        .select((accounts::id, accounts::password_hash))
        .get_result(tx.conn)
        .optional()?;
    Ok(found.and_then(|(account, hash)| hash.map(|hash| (account, hash))))
}

/// Begins the session, as long as the account is still what it was when the hash was read.
fn finish(
    tx: &mut Tx,
    account: AccountId,
    checked: &str,
    renewed: Option<&str>,
) -> Result<TokenPair, Error> {
    tx.allow(Action::SignIn, &Facts::NONE)?;
    let same = accounts::table
        .find(account)
        .filter(accounts::state.eq(AccountState::Active))
        .filter(accounts::password_hash.eq(Some(checked)));
    let kept = diesel::update(same)
        .set(accounts::password_hash.eq(Some(renewed.unwrap_or(checked))))
        .execute(tx.conn)?;
    if kept == 0 {
        return Err(Error::from(&problem::WRONG_CREDENTIALS));
    }
    session::open(tx, account, Method::Password)
}

/// Login and name of whom a one-time token was made for. 410 when it is none, or used, or old.
fn invited(tx: &mut Tx, hash: &[u8]) -> Result<(Option<String>, String), Error> {
    tx.allow(Action::SignIn, &Facts::NONE)?;
    let account: Option<AccountId> = one_time_tokens::table
        .filter(one_time_tokens::token_hash.eq(hash))
        .filter(one_time_tokens::used_at.is_null())
        .filter(one_time_tokens::expires_at.gt(tx.now))
        .select(one_time_tokens::account_id)
        .get_result(tx.conn)
        .optional()?;
    let account = account.ok_or_else(|| Error::from(&problem::TOKEN_USED))?;
    let (login, name, state) = accounts::table
        .find(account)
        .select((accounts::login, accounts::name, accounts::state))
        .get_result::<(Option<String>, String, AccountState)>(tx.conn)?;
    if state == AccountState::Disabled {
        return Err(Error::from(&problem::TOKEN_USED));
    }
    Ok((login, name))
}

/// Sets the password that a one-time token is for, and begins a session. Works once.
pub fn redeem(tx: &mut Tx, hash: &[u8], password_hash: &str) -> Result<TokenPair, Error> {
    tx.allow(Action::SignIn, &Facts::NONE)?;
    let now: Instant = tx.now;
    let used = diesel::update(one_time_tokens::table)
        .filter(one_time_tokens::token_hash.eq(hash))
        .filter(one_time_tokens::used_at.is_null())
        .filter(one_time_tokens::expires_at.gt(now))
        .set(one_time_tokens::used_at.eq(Some(now)))
        .execute(tx.conn)?;
    if used == 0 {
        return Err(Error::from(&problem::TOKEN_USED));
    }
    let account: AccountId = one_time_tokens::table
        .filter(one_time_tokens::token_hash.eq(hash))
        .select(one_time_tokens::account_id)
        .get_result(tx.conn)?;
    // Whoever was signed in with an earlier password is not any more.
    session::end_all(tx, account)?;
    let changed = diesel::update(accounts::table.find(account))
        .filter(accounts::state.ne(AccountState::Disabled))
        .set((
            accounts::password_hash.eq(Some(password_hash)),
            accounts::state.eq(AccountState::Active),
            accounts::security_version.eq(accounts::security_version + 1),
        ))
        .execute(tx.conn)?;
    if changed == 0 {
        return Err(Error::from(&problem::TOKEN_USED));
    }
    session::open(tx, account, Method::Token)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wrong_passwords_make_a_login_wait_and_then_wait_longer() {
        let rules = crate::base::config::Config::defaults().unwrap().sign_in;
        let [longer, first] = login_limits(&rules);
        assert_eq!((first.hits_max, first.window), (10, TimeDelta::minutes(15)));
        assert_eq!((longer.hits_max, longer.window), (20, TimeDelta::hours(1)));
        assert!(address_limit(&rules).hits_max > longer.hits_max);
    }
}
