//! Proof that nobody has changed the audit log: every hash is computed anew.
//!
//! What is found: a changed, removed, added or moved row, and a cut tail. The hashes hold no
//! secret, so whoever can rewrite a whole chain together with its head is found only by a copy
//! of the heads kept elsewhere; the report names them for that.

use diesel::prelude::*;
use diesel::result::Error as Failure;

use crate::audit::{CHAINS, Fields, link};
use crate::base::column::{self, Instant, text_enum};
use crate::base::db::Conn;
use crate::base::error::Error;
use crate::base::schema::{audit_events, audit_heads};

/// How many rows are in memory at once.
const PAGE_LEN: i64 = 1000;

text_enum!(
    /// What is wrong with a chain.
    Fault {
        /// The row is not what was written, or does not follow the row before it.
        Changed = "changed",
        /// The row is not there, though a later one is, or the head counts it.
        Missing = "missing",
        /// The row stands behind the head: nobody appended it.
        Added = "added",
        /// The row holds what no row can hold.
        Unreadable = "unreadable",
        /// The last row is whole, but the head's hash is another.
        HeadChanged = "head_changed",
        /// The chain has no head, or is none of ours.
        HeadMissing = "head_missing",
    }
);

/// The first wrong row of a chain.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Damage {
    /// Its number in the chain, from 1; 0 when the chain itself is wrong.
    pub seq: i64,
    /// What is wrong.
    pub fault: Fault,
}

/// What was found in one chain.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Chain {
    /// Which one.
    pub chain: i32,
    /// How many rows, from the first, are proven whole.
    pub rows: u64,
    /// The hash of the last of them: the head, when nothing is wrong.
    pub hash: Vec<u8>,
    /// The first wrong row.
    pub damage: Option<Damage>,
}

/// What was found in all chains.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Report {
    /// The chains, by number.
    pub chains: Vec<Chain>,
    /// How many rows were read.
    pub rows: u64,
}

impl Report {
    /// Whether nothing is wrong.
    pub fn is_whole(&self) -> bool {
        self.damaged().next().is_none()
    }

    /// The chains with a wrong row, and the row.
    pub fn damaged(&self) -> impl Iterator<Item = (i32, Damage)> {
        self.chains.iter().filter_map(|chain| Some((chain.chain, chain.damage?)))
    }
}

/// A row of `audit_events` as it is stored, whoever wrote it.
#[derive(Debug, Queryable)]
struct Row {
    chain: i32,
    seq: i64,
    at: Instant,
    actor_id: Option<column::Uuid>,
    session_id: Option<column::Uuid>,
    action: String,
    object_kind: String,
    object_id: Option<column::Uuid>,
    patient_id: Option<column::Uuid>,
    organization_id: Option<column::Uuid>,
    outcome: String,
    hash: Vec<u8>,
}

impl Row {
    fn fields(&self) -> Fields<'_> {
        let bare = |id: Option<column::Uuid>| id.map(|id| id.0);
        Fields {
            chain: self.chain,
            seq: self.seq,
            at: self.at,
            actor: bare(self.actor_id),
            session: bare(self.session_id),
            action: &self.action,
            object_kind: &self.object_kind,
            object: bare(self.object_id),
            patient: bare(self.patient_id),
            organization: bare(self.organization_id),
            outcome: &self.outcome,
        }
    }
}

pub(super) fn every_chain(conn: &mut Conn, progress: &mut dyn FnMut(u64)) -> Result<Report, Error> {
    let mut report = Report::default();
    for chain in numbers(conn)? {
        let found = one_chain(conn, chain, &mut report.rows, progress)?;
        report.chains.push(found);
    }
    Ok(report)
}

/// Our own chains, and those that only somebody else can have begun.
fn numbers(conn: &mut Conn) -> Result<Vec<i32>, Error> {
    let ours = i32::try_from(CHAINS).unwrap_or(i32::MAX);
    let mut numbers: Vec<i32> = (0..ours).collect();
    let others = audit_events::table.filter(audit_events::chain.ne_all(numbers.clone()));
    numbers.extend(others.select(audit_events::chain).distinct().load::<i32>(conn)?);
    let others = audit_heads::table.filter(audit_heads::chain.ne_all(numbers.clone()));
    numbers.extend(others.select(audit_heads::chain).load::<i32>(conn)?);
    numbers.sort_unstable();
    Ok(numbers)
}

fn one_chain(
    conn: &mut Conn,
    chain: i32,
    read: &mut u64,
    progress: &mut dyn FnMut(u64),
) -> Result<Chain, Error> {
    let head: Option<(i64, Vec<u8>)> = audit_heads::table
        .filter(audit_heads::chain.eq(chain))
        .select((audit_heads::seq, audit_heads::hash))
        .first(conn)
        .optional()?;
    let mut found = Chain { chain, rows: 0, hash: vec![0; 32], damage: None };
    let ours = u128::try_from(chain).is_ok_and(|chain| chain < CHAINS);
    let Some((head_seq, head_hash)) = head.filter(|_| ours) else {
        found.damage = Some(Damage { seq: 0, fault: Fault::HeadMissing });
        return Ok(found);
    };
    let mut last = 0;
    // Nothing before the first page is skipped, so that a row numbered 0 or less is seen.
    let mut after = None;
    loop {
        let rows = match page(conn, chain, after, PAGE_LEN) {
            Err(Failure::DeserializationError(_)) => readable(conn, chain, after)?,
            rows => Page { rows: rows?, unreadable: None },
        };
        let whole = rows.unreadable.is_none();
        let end = rows.rows.is_empty() && whole;
        *read = read.saturating_add(u64::try_from(rows.rows.len()).unwrap_or(u64::MAX));
        progress(*read);
        for row in rows.rows {
            found.damage = check(&row, last, head_seq, &found.hash);
            if found.damage.is_some() {
                return Ok(found);
            }
            (last, after) = (row.seq, Some(row.seq));
            found.rows = found.rows.saturating_add(1);
            found.hash = row.hash;
        }
        if let Some(seq) = rows.unreadable {
            found.damage = Some(Damage { seq, fault: Fault::Unreadable });
            return Ok(found);
        }
        if end {
            break;
        }
    }
    found.damage = if head_seq != last {
        Some(Damage { seq: last.saturating_add(1), fault: Fault::Missing })
    } else if head_hash != found.hash {
        Some(Damage { seq: last, fault: Fault::HeadChanged })
    } else {
        None
    };
    Ok(found)
}

fn check(row: &Row, last: i64, head_seq: i64, hash: &[u8]) -> Option<Damage> {
    let expected = last.saturating_add(1);
    let (seq, fault) = match row.seq {
        // Rows are numbered from 1.
        seq if seq < expected => (seq, Fault::Added),
        seq if seq > expected => (expected, Fault::Missing),
        seq if seq > head_seq => (seq, Fault::Added),
        seq if link(hash, &row.fields()) != row.hash => (seq, Fault::Changed),
        _ => return None,
    };
    Some(Damage { seq, fault })
}

struct Page {
    rows: Vec<Row>,
    /// The number of a row behind them that cannot be read.
    unreadable: Option<i64>,
}

fn page(conn: &mut Conn, chain: i32, after: Option<i64>, limit: i64) -> QueryResult<Vec<Row>> {
    let mut rows = audit_events::table.filter(audit_events::chain.eq(chain)).into_boxed();
    if let Some(after) = after {
        rows = rows.filter(audit_events::seq.gt(after));
    }
    rows.order(audit_events::seq).limit(limit).load(conn)
}

/// The rows of a page one by one, up to the first that cannot be read.
fn readable(conn: &mut Conn, chain: i32, after: Option<i64>) -> Result<Page, Error> {
    let mut rows: Vec<Row> = Vec::new();
    loop {
        let last = rows.last().map(|row| row.seq).or(after);
        match page(conn, chain, last, 1) {
            Err(Failure::DeserializationError(_)) => {
                let seq = last.map_or(1, |last| last.saturating_add(1));
                return Ok(Page { rows, unreadable: Some(seq) });
            }
            next => match next?.pop() {
                Some(row) => rows.push(row),
                None => return Ok(Page { rows, unreadable: None }),
            },
        }
    }
}
