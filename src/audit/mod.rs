//! The audit log: hash chains, written in the transaction of the deed they tell of.
//!
//! There are [`CHAINS`] chains, so that two deeds on PostgreSQL rarely wait for one another.
//! A row holds ids only, never health data, so that erasing a patient does not break a chain.

pub mod access_log;
pub mod http;
pub mod verify;
#[cfg(test)]
mod verify_tests;

use diesel::prelude::*;
use diesel::sql_types::{BigInt, Binary, Integer};
use uuid::Uuid;

use crate::access::table::Action;
use crate::account::{AccountId, SessionId};
use crate::base::column::{self, Instant, text_enum};
use crate::base::db::{Conn, direct, kept, statement};
use crate::base::error::Error;
use crate::base::schema::{audit_events, audit_heads};
use crate::base::seal::sha256;
use crate::organization::OrganizationId;
use crate::patient::PatientId;

/// How many chains there are.
pub const CHAINS: u128 = 16;

text_enum!(
    /// How it ended.
    // A visit's outcome has the plain name in the API.
    #[schema(as = AccessOutcome)]
    Outcome {
        /// It was done.
        Done = "done",
        /// The policy refused it.
        Refused = "refused",
    }
);

/// What an audit row tells, before it has its place in a chain.
#[derive(Debug, Clone)]
pub struct Entry {
    /// What was done.
    pub action: Action,
    /// The noun it was done to.
    pub object_kind: &'static str,
    /// Which one.
    pub object_id: Option<Uuid>,
    /// Whose record that touches.
    pub patient: Option<PatientId>,
    /// Of which clinic.
    pub organization: Option<OrganizationId>,
    /// How it ended.
    pub outcome: Outcome,
}

/// Who did it; both empty for the system.
#[derive(Debug, Clone, Copy, Default)]
pub struct Actor {
    /// The account.
    pub account: Option<AccountId>,
    /// The sign-in session.
    pub session: Option<SessionId>,
}

/// Appends entries to the actor's chain. Called once, last, by the transaction:
/// the chain's head stays locked until the commit.
pub fn append(conn: &mut Conn, now: Instant, actor: Actor, entries: &[Entry]) -> Result<(), Error> {
    if entries.is_empty() {
        return Ok(());
    }
    let chain = chain_of(actor);
    let (mut seq, mut hash) = lock_head(conn, chain)?;
    for entry in entries {
        seq = seq.saturating_add(1);
        let fields = Fields {
            chain,
            seq,
            at: now,
            actor: actor.account.map(|account| account.0),
            session: actor.session.map(|session| session.0),
            action: entry.action.as_str(),
            object_kind: entry.object_kind,
            object: entry.object_id,
            patient: entry.patient.map(|patient| patient.0),
            organization: entry.organization.map(|organization| organization.0),
            outcome: entry.outcome.as_str(),
        };
        hash = link(&hash, &fields);
        let row = diesel::insert_into(audit_events::table).values((
            audit_events::chain.eq(chain),
            audit_events::seq.eq(seq),
            audit_events::at.eq(now),
            audit_events::actor_id.eq(actor.account),
            audit_events::session_id.eq(actor.session),
            audit_events::action.eq(entry.action.as_str()),
            audit_events::object_kind.eq(entry.object_kind),
            audit_events::object_id.eq(entry.object_id.map(column::Uuid)),
            audit_events::patient_id.eq(entry.patient),
            audit_events::organization_id.eq(entry.organization),
            audit_events::outcome.eq(entry.outcome),
            audit_events::hash.eq(hash.as_slice()),
        ));
        direct!(conn, |conn| kept!(row).execute(conn))?;
    }
    MoveHead { seq: &seq, hash: &hash, chain: &chain }.execute(conn)?;
    Ok(())
}

statement!(
    /// The chain is locked meanwhile: no time to prepare an `UPDATE`.
    MoveHead
    "UPDATE audit_heads SET seq = " seq: BigInt = i64,
    ", hash = " hash: Binary = Vec<u8>,
    " WHERE chain = " chain: Integer = i32
);

fn chain_of(actor: Actor) -> i32 {
    let account = actor.account.map_or(0, |account| account.0.as_u128());
    i32::try_from(account % CHAINS).unwrap_or(0)
}

fn lock_head(conn: &mut Conn, chain: i32) -> QueryResult<(i64, Vec<u8>)> {
    let head = audit_heads::table
        .filter(audit_heads::chain.eq(chain))
        .select((audit_heads::seq, audit_heads::hash));
    match conn {
        Conn::Postgres(conn) => head.for_update().get_result(conn),
        // One writer at a time: nothing to lock.
        Conn::Sqlite(conn) => head.get_result(conn),
    }
}

/// Recomputes every chain from its beginning. The connection should be inside one snapshot,
/// so that what is appended meanwhile is not mistaken for damage; `progress` hears how many
/// rows have been read so far.
pub fn verify(conn: &mut Conn, progress: &mut dyn FnMut(u64)) -> Result<verify::Report, Error> {
    verify::every_chain(conn, progress)
}

/// What the hash of a row covers, besides the hash before it.
#[derive(Debug, Clone, Copy)]
struct Fields<'a> {
    chain: i32,
    seq: i64,
    at: Instant,
    actor: Option<Uuid>,
    session: Option<Uuid>,
    action: &'a str,
    object_kind: &'a str,
    object: Option<Uuid>,
    patient: Option<Uuid>,
    organization: Option<Uuid>,
    outcome: &'a str,
}

/// The next hash of a chain: SHA-256 over the previous hash and every field of the row, each
/// with its length in front, so that no two rows read alike.
fn link(previous: &[u8], row: &Fields<'_>) -> Vec<u8> {
    let id = |id: &Option<Uuid>| id.map(|id| id.into_bytes().to_vec()).unwrap_or_default();
    let fields: [&[u8]; 12] = [
        previous,
        &row.chain.to_be_bytes(),
        &row.seq.to_be_bytes(),
        &row.at.micros().to_be_bytes(),
        &id(&row.actor),
        &id(&row.session),
        row.action.as_bytes(),
        row.object_kind.as_bytes(),
        &id(&row.object),
        &id(&row.patient),
        &id(&row.organization),
        row.outcome.as_bytes(),
    ];
    let mut bytes = Vec::new();
    for field in fields {
        bytes.extend_from_slice(&u32::try_from(field.len()).unwrap_or(u32::MAX).to_be_bytes());
        bytes.extend_from_slice(field);
    }
    sha256(&bytes)
}
