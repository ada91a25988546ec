//! Sign-in sessions: from the first tokens to sign-out, and the rotation between.
//!
//! A refresh token works once and has a child. On a bad line the answer with the child is lost,
//! and an honest client comes with the old token again; a thief comes with it too. The difference
//! is whether the child was ever seen: its id is in the access token that was handed out with it,
//! and the first request with that is written down as the proof.
//! - The child was never seen: the answer was lost, or two tabs asked at once. There is one more
//!   child; of such siblings the first that is rotated ends the others.
//! - The child was seen, or the token's sibling was rotated: somebody holds a copy. The session
//!   ends for both.

use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use chrono::TimeDelta;
use diesel::prelude::*;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::access::Facts;
use crate::access::table::Action;
use crate::account::token::Claims;
use crate::account::{AccountId, AccountState, SessionId};
use crate::base::app::App;
use crate::base::column::{self, Instant, id, text_enum};
use crate::base::config::SignIn;
use crate::base::ctx::Ctx;
use crate::base::db::{Conn, statement};
use crate::base::error::Error;
use crate::base::problem;
use crate::base::schema::{accounts, refresh_tokens, sessions};
use crate::base::seal::{random, sha256};
use crate::base::tx::{Event, Tx};

id!(
    /// A refresh token, and the access token that was handed out with it.
    RefreshTokenId
);

text_enum!(
    /// How somebody signed in.
    Method {
        /// With login and password.
        Password = "password",
        /// With a code sent to their phone.
        Code = "code",
        /// With a one-time token that set their password.
        Token = "token",
    }
);

/// What a client keeps to act as the person who signed in.
#[derive(Serialize, ToSchema)]
pub struct TokenPair {
    /// Sent as `Authorization: Bearer`; kept in memory only.
    pub access_token: String,
    /// Brings the next pair, once.
    pub refresh_token: String,
    /// Life of the access token, in seconds.
    pub expires_in: u32,
}

/// A refresh token that asks for the next pair.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Refresh {
    /// The token.
    pub refresh_token: String,
}

/// Begins a session. The caller has made sure who it is.
pub fn open(tx: &mut Tx, account: AccountId, method: Method) -> Result<TokenPair, Error> {
    let security_version: i32 =
        accounts::table.find(account).select(accounts::security_version).get_result(tx.conn)?;
    let session = Session {
        id: SessionId::new(tx.now),
        account,
        method,
        security_version,
        expires_at: tx.now.plus(life(&tx.config.sign_in, method).whole),
    };
    diesel::insert_into(sessions::table)
        .values((
            sessions::id.eq(session.id),
            sessions::account_id.eq(account),
            sessions::method.eq(method),
            sessions::security_version.eq(security_version),
            sessions::created_at.eq(tx.now),
            sessions::last_used_at.eq(tx.now),
            sessions::expires_at.eq(session.expires_at),
        ))
        .execute(tx.conn)?;
    let pair = hand_out(tx, &session, None)?;
    let facts = Facts { account: Some(account), ..Facts::NONE };
    tx.record(Action::SignIn, "Session", session.id.0, &facts);
    Ok(pair)
}

/// Exchanges a refresh token for the next pair. 401 `invalid_token` when it is none of ours,
/// `session_over` when its session has ended; a copied token ends it.
pub async fn refresh(ctx: &Ctx, wanted: Refresh) -> Result<TokenPair, Error> {
    // A refusal would undo the end of the session, so the deed answers instead.
    let pair = ctx.write(move |tx| rotate(tx, &wanted.refresh_token)).await?;
    pair.ok_or_else(|| Error::from(&problem::SESSION_OVER))
}

/// Ends the caller's session; its sockets close.
pub fn sign_out(tx: &mut Tx) -> Result<(), Error> {
    tx.allow(Action::SignOut, &Facts::NONE)?;
    let (account, session) = {
        let person = tx.person()?;
        (person.account, person.session)
    };
    end(tx, session)?;
    let facts = Facts { account: Some(account), ..Facts::NONE };
    tx.record(Action::SignOut, "Session", session.0, &facts);
    Ok(())
}

/// Ends every session of an account; their sockets close.
pub fn end_all(tx: &mut Tx, account: AccountId) -> Result<(), Error> {
    let open: Vec<SessionId> = sessions::table
        .filter(sessions::account_id.eq(account))
        .filter(sessions::revoked_at.is_null())
        .select(sessions::id)
        .load(tx.conn)?;
    for session in open {
        end(tx, session)?;
    }
    Ok(())
}

/// Writes down, once per access token and process, that the token was presented: its refresh
/// token has arrived. Without this a copied parent would pass for a lost answer.
pub async fn prove(app: &Arc<App>, claims: &Claims) {
    if app.tokens.is_proven(claims.id) {
        return;
    }
    let (token, now) = (RefreshTokenId(claims.id), app.clock.now());
    let written = app
        .db
        .write(move |conn| {
            diesel::update(refresh_tokens::table.find(token))
                .filter(refresh_tokens::proven_at.is_null())
                .set(refresh_tokens::proven_at.eq(Some(now)))
                .execute(conn)
        })
        .await;
    match written {
        Ok(Ok(_)) => app.tokens.remember_proven(claims.id),
        Ok(Err(_)) | Err(_) => tracing::warn!("the first use of a token could not be written down"),
    }
}

/// Whether nobody has come for the next tokens for so long that nobody can any more: the session
/// has not ended, but its sockets must not outlive it. Index: refresh_tokens_by_session.
pub fn is_idle(tx: &mut Tx, session: SessionId) -> Result<bool, Error> {
    let good = refresh_tokens::table
        .filter(refresh_tokens::session_id.eq(session))
        .filter(refresh_tokens::expires_at.gt(tx.now));
    let alive: bool = diesel::select(diesel::dsl::exists(good)).get_result(tx.conn)?;
    Ok(!alive)
}

/// How long the tokens of a session are kept when its last one has run out, in hours.
const KEPT_HOURS: i64 = 24;

/// Throws away the tokens of some sessions that nobody can go on with. All tokens of a session
/// stay until then: only a token that is there is known to be a copy when it comes again.
/// Index: refresh_tokens_by_end.
pub fn sweep(conn: &mut Conn, now: Instant) -> QueryResult<usize> {
    let over = now.minus(TimeDelta::hours(KEPT_HOURS));
    Sweep { over: &over, over_too: &over }.execute(conn)
}

statement!(
    /// The last of a session's tokens was never used.
    Sweep
    "DELETE FROM refresh_tokens WHERE session_id IN (SELECT last.session_id
     FROM refresh_tokens AS last WHERE last.used_at IS NULL AND last.revoked_at IS NULL
     AND last.expires_at <= " over: column::sql::Moment = Instant,
    " AND NOT EXISTS (SELECT 1 FROM refresh_tokens AS later
     WHERE later.session_id = last.session_id AND later.expires_at > "
    over_too: column::sql::Moment = Instant;
    ") LIMIT 20)"
);

struct Session {
    id: SessionId,
    account: AccountId,
    method: Method,
    security_version: i32,
    expires_at: Instant,
}

struct Life {
    whole: TimeDelta,
    idle: TimeDelta,
}

fn life(rules: &SignIn, method: Method) -> Life {
    let minutes = |count: u32| TimeDelta::minutes(i64::from(count));
    let days = |count: u32| TimeDelta::days(i64::from(count));
    match method {
        Method::Password | Method::Token => Life {
            whole: minutes(rules.staff_session_minutes),
            idle: minutes(rules.staff_idle_minutes),
        },
        Method::Code => {
            Life { whole: days(rules.patient_session_days), idle: days(rules.patient_idle_days) }
        }
    }
}

#[derive(Debug, Clone, Copy, Queryable)]
struct Row {
    id: RefreshTokenId,
    parent_id: Option<RefreshTokenId>,
    expires_at: Instant,
    used_at: Option<Instant>,
    proven_at: Option<Instant>,
    revoked_at: Option<Instant>,
}

/// What a presented refresh token means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Meaning {
    /// The next in line.
    Next,
    /// Its answer never arrived.
    AnswerLost,
    /// Nobody came for too long.
    Idle,
    /// A copy.
    Replay,
}

fn judge(token: &Row, children: &[Row], now: Instant) -> Meaning {
    if token.revoked_at.is_some() {
        return Meaning::Replay;
    }
    if token.used_at.is_none() {
        return if token.expires_at > now { Meaning::Next } else { Meaning::Idle };
    }
    if children.iter().any(|child| child.used_at.is_some() || child.proven_at.is_some()) {
        return Meaning::Replay;
    }
    // Whoever asked was there when the first child was made, so the pause counts from then.
    if children.iter().any(|child| child.expires_at > now) {
        Meaning::AnswerLost
    } else {
        Meaning::Idle
    }
}

/// `None` when the session is over: then what the deed did about it stays.
fn rotate(tx: &mut Tx, token: &str) -> Result<Option<TokenPair>, Error> {
    tx.allow(Action::SignIn, &Facts::NONE)?;
    let hash = sha256(token.as_bytes());
    let id: Option<(RefreshTokenId, SessionId)> = refresh_tokens::table
        .filter(refresh_tokens::token_hash.eq(hash))
        .select((refresh_tokens::id, refresh_tokens::session_id))
        .get_result(tx.conn)
        .optional()?;
    let (id, session) = id.ok_or_else(|| Error::from(&problem::INVALID_TOKEN))?;
    let Some(session) = lock(tx, session)? else { return Ok(None) };
    // Read after the lock: another request of the session may just have used the token.
    let found = with_children(tx, id)?;
    let token = found.iter().find(|row| row.id == id).copied();
    let token = token.ok_or(Error::Internal("a refresh token has gone"))?;
    let children: Vec<Row> =
        found.iter().filter(|row| row.parent_id == Some(id)).copied().collect();
    match judge(&token, &children, tx.now) {
        Meaning::Next => {
            use_up(tx, &token)?;
            hand_out(tx, &session, Some(id)).map(Some)
        }
        Meaning::AnswerLost => hand_out(tx, &session, Some(id)).map(Some),
        Meaning::Idle => Ok(None),
        Meaning::Replay => {
            tracing::warn!(session.id = %session.id, "a used refresh token came again; session over");
            end(tx, session.id)?;
            let facts = Facts { account: Some(session.account), ..Facts::NONE };
            tx.record(Action::SignOut, "Session", session.id.0, &facts);
            Ok(None)
        }
    }
}

/// Takes the session for this transaction: its refreshes come one after another.
/// `None` when it has ended.
fn lock(tx: &mut Tx, id: SessionId) -> Result<Option<Session>, Error> {
    let open = sessions::table
        .find(id)
        .filter(sessions::revoked_at.is_null())
        .filter(sessions::expires_at.gt(tx.now));
    let locked = diesel::update(open).set(sessions::last_used_at.eq(tx.now)).execute(tx.conn)?;
    if locked == 0 {
        return Ok(None);
    }
    let (account, method, seen, expires_at, state, current) = sessions::table
        .inner_join(accounts::table)
        .filter(sessions::id.eq(id))
        .select((
            sessions::account_id,
            sessions::method,
            sessions::security_version,
            sessions::expires_at,
            accounts::state,
            accounts::security_version,
        ))
        .get_result::<(AccountId, Method, i32, Instant, AccountState, i32)>(tx.conn)?;
    if state != AccountState::Active || seen != current {
        return Ok(None);
    }
    Ok(Some(Session { id, account, method, security_version: current, expires_at }))
}

fn with_children(tx: &mut Tx, id: RefreshTokenId) -> Result<Vec<Row>, Error> {
    Ok(refresh_tokens::table
        .filter(refresh_tokens::id.eq(id).or(refresh_tokens::parent_id.eq(Some(id))))
        .select((
            refresh_tokens::id,
            refresh_tokens::parent_id,
            refresh_tokens::expires_at,
            refresh_tokens::used_at,
            refresh_tokens::proven_at,
            refresh_tokens::revoked_at,
        ))
        .load(tx.conn)?)
}

/// Marks a token as used, which proves that it arrived and ends its siblings.
fn use_up(tx: &mut Tx, token: &Row) -> Result<(), Error> {
    diesel::update(refresh_tokens::table.find(token.id))
        .set((
            refresh_tokens::used_at.eq(Some(tx.now)),
            refresh_tokens::proven_at.eq(token.proven_at.or(Some(tx.now))),
        ))
        .execute(tx.conn)?;
    if let Some(parent) = token.parent_id {
        diesel::update(
            refresh_tokens::table
                .filter(refresh_tokens::parent_id.eq(parent))
                .filter(refresh_tokens::id.ne(token.id))
                .filter(refresh_tokens::revoked_at.is_null()),
        )
        .set(refresh_tokens::revoked_at.eq(Some(tx.now)))
        .execute(tx.conn)?;
    }
    Ok(())
}

fn hand_out(
    tx: &mut Tx,
    session: &Session,
    parent: Option<RefreshTokenId>,
) -> Result<TokenPair, Error> {
    let rules = &tx.config.sign_in;
    let access_life = TimeDelta::minutes(i64::from(rules.access_token_minutes));
    let idle_end = tx.now.plus(life(rules, session.method).idle);
    let id = RefreshTokenId::new(tx.now);
    let refresh_token = URL_SAFE_NO_PAD.encode(random::<32>()?);
    diesel::insert_into(refresh_tokens::table)
        .values((
            refresh_tokens::id.eq(id),
            refresh_tokens::session_id.eq(session.id),
            refresh_tokens::token_hash.eq(sha256(refresh_token.as_bytes())),
            refresh_tokens::parent_id.eq(parent),
            refresh_tokens::created_at.eq(tx.now),
            refresh_tokens::expires_at.eq(idle_end.min(session.expires_at)),
        ))
        .execute(tx.conn)?;
    let claims = Claims {
        account: session.account,
        session: session.id,
        security_version: session.security_version,
        id: id.0,
    };
    Ok(TokenPair {
        access_token: tx.app.tokens.issue_access(&claims, tx.now, access_life)?,
        refresh_token,
        expires_in: rules.access_token_minutes.saturating_mul(60),
    })
}

fn end(tx: &mut Tx, session: SessionId) -> Result<(), Error> {
    diesel::update(sessions::table.find(session))
        .filter(sessions::revoked_at.is_null())
        .set(sessions::revoked_at.eq(Some(tx.now)))
        .execute(tx.conn)?;
    tx.tell(Event::SessionEnded(session));
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: &str = "2026-11-23T02:00:00Z";

    fn now() -> Instant {
        NOW.parse().unwrap()
    }

    fn token() -> Row {
        Row {
            id: RefreshTokenId::new(now()),
            parent_id: None,
            expires_at: now().plus(TimeDelta::minutes(30)),
            used_at: None,
            proven_at: None,
            revoked_at: None,
        }
    }

    fn used() -> Row {
        Row { used_at: Some(now()), ..token() }
    }

    #[test]
    fn an_unused_token_is_the_next_until_nobody_came_for_too_long() {
        assert_eq!(judge(&token(), &[], now()), Meaning::Next);
        assert_eq!(judge(&token(), &[], now().plus(TimeDelta::minutes(30))), Meaning::Idle);
    }

    #[test]
    fn a_used_token_whose_child_was_never_seen_is_a_lost_answer() {
        let later = now().plus(TimeDelta::minutes(20));
        assert_eq!(judge(&used(), &[token()], later), Meaning::AnswerLost);
        assert_eq!(judge(&used(), &[token(), token()], later), Meaning::AnswerLost);
        let much_later = now().plus(TimeDelta::minutes(31));
        assert_eq!(judge(&used(), &[token()], much_later), Meaning::Idle);
    }

    #[test]
    fn a_used_token_whose_child_was_seen_is_a_replay() {
        let proven = Row { proven_at: Some(now()), ..token() };
        assert_eq!(judge(&used(), &[proven], now()), Meaning::Replay);
        assert_eq!(judge(&used(), &[token(), proven], now()), Meaning::Replay);
        let much_later = now().plus(TimeDelta::days(3));
        assert_eq!(judge(&used(), &[used()], much_later), Meaning::Replay);
    }

    #[test]
    fn a_token_whose_sibling_was_rotated_is_a_replay() {
        let ended = Row { revoked_at: Some(now()), ..token() };
        assert_eq!(judge(&ended, &[], now()), Meaning::Replay);
    }

    #[test]
    fn staff_are_signed_in_for_a_shift_and_patients_for_a_month() {
        let rules = crate::base::config::Config::defaults().unwrap().sign_in;
        assert_eq!(life(&rules, Method::Token).whole, TimeDelta::hours(12));
        assert_eq!(life(&rules, Method::Password).idle, TimeDelta::minutes(30));
        assert_eq!(life(&rules, Method::Code).whole, TimeDelta::days(30));
    }
}
