//! Somebody with the database in their hands changes the audit log, two hundred times.

use std::path::PathBuf;

use diesel::connection::SimpleConnection;
use diesel::prelude::*;
use diesel::result::Error as Failure;
use uuid::Uuid;

use crate::access::table::Action;
use crate::account::{AccountId, SessionId};
use crate::audit::verify::{Damage, Fault, Report};
use crate::audit::{Actor, CHAINS, Entry, Outcome, append, verify};
use crate::base::column::{self, Instant};
use crate::base::db::{self, Conn, DatabaseUrl};
use crate::base::schema::{audit_events, audit_heads};
use crate::organization::OrganizationId;
use crate::patient::PatientId;

const TAMPERINGS: u32 = 200;
const ROWS_PER_CHAIN: i64 = 12;

/// A database of its own, removed at the end.
struct Log {
    conn: Conn,
    directory: PathBuf,
}

impl Drop for Log {
    fn drop(&mut self) {
        drop(std::fs::remove_dir_all(&self.directory));
    }
}

impl Log {
    fn open() -> Self {
        let directory = std::env::temp_dir().join(format!("feldsher_audit_{}", Uuid::new_v4()));
        let file = directory.join("feldsher.db");
        db::migrate(&DatabaseUrl::Sqlite(file.clone())).unwrap();
        let conn = SqliteConnection::establish(&file.to_string_lossy()).unwrap();
        Self { conn: Conn::Sqlite(conn), directory }
    }

    /// Rows in three chains; the guards of the schema are out of the way.
    fn of_tampered() -> Self {
        let mut log = Self::open();
        let mut dice = Dice(7);
        for chain in [0, 5, 15] {
            for _ in 0..ROWS_PER_CHAIN {
                append(&mut log.conn, now(&mut dice), actor(chain), &[entry(&mut dice)]).unwrap();
            }
        }
        log.conn
            .batch_execute(
                "DROP TRIGGER audit_events_frozen; DROP TRIGGER audit_events_kept;
                 DROP TRIGGER audit_events_in_order",
            )
            .unwrap();
        log
    }

    fn report(&mut self) -> Report {
        verify(&mut self.conn, &mut |_| {}).unwrap()
    }
}

/// Repeatable chance (xorshift).
struct Dice(u64);

impl Dice {
    fn below(&mut self, sides: i64) -> i64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        i64::try_from(self.0 % u64::try_from(sides).unwrap()).unwrap()
    }

    /// One of `from..=to`.
    fn within(&mut self, from: i64, to: i64) -> i64 {
        from + self.below(to - from + 1)
    }

    fn uuid(&mut self) -> Uuid {
        Uuid::from_u64_pair(u64::try_from(self.below(i64::MAX)).unwrap(), self.0)
    }
}

fn now(dice: &mut Dice) -> Instant {
    Instant::from_micros(1_790_000_000_000_000 + dice.below(1_000_000_000)).unwrap()
}

fn actor(chain: u128) -> Actor {
    // Chain 0 is also the system's.
    let account = (chain > 0).then(|| AccountId(Uuid::from_u128(chain + 16 * CHAINS)));
    Actor { account, session: account.map(|_| SessionId(Uuid::from_u128(chain))) }
}

fn entry(dice: &mut Dice) -> Entry {
    let at = usize::try_from(dice.below(i64::try_from(Action::ALL.len()).unwrap())).unwrap();
    Entry {
        action: Action::ALL[at],
        object_kind: "Note",
        object_id: Some(dice.uuid()),
        patient: Some(PatientId(dice.uuid())),
        organization: (dice.below(2) == 0).then(|| OrganizationId(dice.uuid())),
        outcome: if dice.below(4) == 0 { Outcome::Refused } else { Outcome::Done },
    }
}

fn one(chain: i32, seq: i64) -> audit_events::BoxedQuery<'static, db::AnyBackend> {
    audit_events::table
        .filter(audit_events::chain.eq(chain))
        .filter(audit_events::seq.eq(seq))
        .into_boxed()
}

macro_rules! set {
    ($conn:expr, $chain:expr, $seq:expr, $($change:expr),+) => {
        diesel::update(
            audit_events::table
                .filter(audit_events::chain.eq($chain))
                .filter(audit_events::seq.eq($seq)),
        )
        .set(($($change,)+))
        .execute($conn)
        .unwrap()
    };
}

/// Changes one field of one row.
fn change(conn: &mut Conn, dice: &mut Dice, chain: i32) -> Damage {
    let seq = dice.within(1, ROWS_PER_CHAIN);
    let id = Some(column::Uuid(dice.uuid()));
    let changed = match dice.below(10) {
        0 => {
            let at: Instant = one(chain, seq).select(audit_events::at).first(conn).unwrap();
            let at = at.plus(chrono::TimeDelta::microseconds(1));
            set!(conn, chain, seq, audit_events::at.eq(at))
        }
        1 => set!(conn, chain, seq, audit_events::actor_id.eq(id)),
        2 => set!(conn, chain, seq, audit_events::session_id.eq(id)),
        3 => set!(conn, chain, seq, audit_events::action.eq("note.reads")),
        4 => set!(conn, chain, seq, audit_events::object_kind.eq("Notes")),
        5 => set!(conn, chain, seq, audit_events::object_id.eq(None::<column::Uuid>)),
        6 => set!(conn, chain, seq, audit_events::patient_id.eq(id)),
        7 => set!(conn, chain, seq, audit_events::organization_id.eq(id)),
        8 => {
            let is: Outcome = one(chain, seq).select(audit_events::outcome).first(conn).unwrap();
            let other = if is == Outcome::Done { Outcome::Refused } else { Outcome::Done };
            set!(conn, chain, seq, audit_events::outcome.eq(other))
        }
        _ => {
            let mut hash: Vec<u8> = one(chain, seq).select(audit_events::hash).first(conn).unwrap();
            hash[usize::try_from(dice.below(32)).unwrap()] ^= 1;
            set!(conn, chain, seq, audit_events::hash.eq(hash))
        }
    };
    assert_eq!(changed, 1);
    Damage { seq, fault: Fault::Changed }
}

/// Removes a row that has a successor.
fn remove(conn: &mut Conn, dice: &mut Dice, chain: i32) -> Damage {
    let seq = dice.within(1, ROWS_PER_CHAIN - 1);
    let row =
        audit_events::table.filter(audit_events::chain.eq(chain)).filter(audit_events::seq.eq(seq));
    assert_eq!(diesel::delete(row).execute(conn).unwrap(), 1);
    if dice.below(2) == 0 {
        return Damage { seq, fault: Fault::Missing };
    }
    // The gap closed, and the head told so: the successor no longer follows.
    shift(conn, chain, seq + 1, -1);
    set_head_seq(conn, chain, ROWS_PER_CHAIN - 1);
    Damage { seq, fault: Fault::Changed }
}

/// Removes the last rows; what is left is whole.
fn cut(conn: &mut Conn, dice: &mut Dice, chain: i32) -> Damage {
    let seq = dice.within(1, ROWS_PER_CHAIN);
    let tail =
        audit_events::table.filter(audit_events::chain.eq(chain)).filter(audit_events::seq.ge(seq));
    diesel::delete(tail).execute(conn).unwrap();
    if seq == 1 || dice.below(2) == 0 {
        return Damage { seq, fault: Fault::Missing };
    }
    set_head_seq(conn, chain, seq - 1);
    Damage { seq: seq - 1, fault: Fault::HeadChanged }
}

/// Adds a row with any hash, between two others or at the end.
fn insert(conn: &mut Conn, dice: &mut Dice, chain: i32) -> Damage {
    let seq = dice.within(1, ROWS_PER_CHAIN + 1);
    shift(conn, chain, seq, 1);
    let entry = entry(dice);
    diesel::insert_into(audit_events::table)
        .values((
            audit_events::chain.eq(chain),
            audit_events::seq.eq(seq),
            audit_events::at.eq(now(dice)),
            audit_events::action.eq(entry.action.as_str()),
            audit_events::object_kind.eq(entry.object_kind),
            audit_events::outcome.eq(entry.outcome),
            audit_events::hash.eq(vec![7_u8; 32]),
        ))
        .execute(conn)
        .unwrap();
    if dice.below(2) == 0 {
        set_head_seq(conn, chain, ROWS_PER_CHAIN + 1);
        return Damage { seq, fault: Fault::Changed };
    }
    let at_end = seq == ROWS_PER_CHAIN + 1;
    Damage { seq, fault: if at_end { Fault::Added } else { Fault::Changed } }
}

/// Swaps two rows.
fn reorder(conn: &mut Conn, dice: &mut Dice, chain: i32) -> Damage {
    let first = dice.within(1, ROWS_PER_CHAIN - 1);
    let second = dice.within(first + 1, ROWS_PER_CHAIN);
    set!(conn, chain, first, audit_events::seq.eq(9999));
    set!(conn, chain, second, audit_events::seq.eq(first));
    set!(conn, chain, 9999, audit_events::seq.eq(second));
    Damage { seq: first, fault: Fault::Changed }
}

/// Rewrites the end of the chain, or the place that names it.
fn behead(conn: &mut Conn, dice: &mut Dice, chain: i32) -> Damage {
    let head = audit_heads::table.filter(audit_heads::chain.eq(chain));
    match dice.below(4) {
        0 => {
            diesel::update(head).set(audit_heads::hash.eq(vec![9_u8; 32])).execute(conn).unwrap();
            Damage { seq: ROWS_PER_CHAIN, fault: Fault::HeadChanged }
        }
        1 => {
            set_head_seq(conn, chain, ROWS_PER_CHAIN + 3);
            Damage { seq: ROWS_PER_CHAIN + 1, fault: Fault::Missing }
        }
        2 => {
            set_head_seq(conn, chain, ROWS_PER_CHAIN - 2);
            Damage { seq: ROWS_PER_CHAIN - 1, fault: Fault::Added }
        }
        _ => {
            diesel::delete(head).execute(conn).unwrap();
            Damage { seq: 0, fault: Fault::HeadMissing }
        }
    }
}

/// Moves a row to another chain, where nothing expects it.
fn transplant(conn: &mut Conn, dice: &mut Dice, chain: i32) -> Damage {
    let seq = dice.within(1, ROWS_PER_CHAIN - 1);
    set!(conn, chain, seq, audit_events::chain.eq(77), audit_events::seq.eq(1));
    Damage { seq, fault: Fault::Missing }
}

fn set_head_seq(conn: &mut Conn, chain: i32, seq: i64) {
    let head = audit_heads::table.filter(audit_heads::chain.eq(chain));
    diesel::update(head).set(audit_heads::seq.eq(seq)).execute(conn).unwrap();
}

/// Renumbers the rows of a chain from `seq` on.
fn shift(conn: &mut Conn, chain: i32, seq: i64, by: i64) {
    let far = 1_000_000;
    let rows = audit_events::table.filter(audit_events::chain.eq(chain));
    diesel::update(rows.filter(audit_events::seq.ge(seq)))
        .set(audit_events::seq.eq(audit_events::seq + far))
        .execute(conn)
        .unwrap();
    diesel::update(rows.filter(audit_events::seq.ge(far)))
        .set(audit_events::seq.eq(audit_events::seq + (by - far)))
        .execute(conn)
        .unwrap();
}

#[test]
fn whoever_changes_the_audit_log_is_found_at_the_very_row() {
    let mut log = Log::of_tampered();
    let whole = log.report();
    assert!(whole.is_whole(), "{whole:?}");
    assert_eq!(whole.rows, 3 * u64::try_from(ROWS_PER_CHAIN).unwrap());
    let ways = [change, remove, cut, insert, reorder, behead, transplant];
    let mut dice = Dice(20_261_124);
    let mut found = 0;
    for round in 0..TAMPERINGS {
        let way = usize::try_from(dice.below(7)).unwrap();
        let chain = [0, 5, 15][usize::try_from(dice.below(3)).unwrap()];
        let undone: Result<(), Failure> = log.conn.transaction(|conn| {
            let damage = ways[way](conn, &mut dice, chain);
            let report = verify(conn, &mut |_| {}).unwrap();
            let seen: Vec<_> = report.damaged().collect();
            assert_eq!(seen.first(), Some(&(chain, damage)), "round {round}, way {way}");
            found += 1;
            Err(Failure::RollbackTransaction)
        });
        assert_eq!(undone, Err(Failure::RollbackTransaction));
    }
    assert_eq!(found, TAMPERINGS);
    assert_eq!(log.report(), whole, "every tampering was undone");
}

#[test]
fn a_row_that_cannot_be_read_is_named_and_the_other_chains_are_still_proven() {
    let mut log = Log::of_tampered();
    log.conn
        .batch_execute(
            "PRAGMA ignore_check_constraints = 1;
             UPDATE audit_events SET patient_id = x'00' WHERE chain = 5 AND seq = 4",
        )
        .unwrap();
    let report = log.report();
    let damage = Damage { seq: 4, fault: Fault::Unreadable };
    assert_eq!(report.damaged().collect::<Vec<_>>(), [(5, damage)]);
    let rows = |chain: usize| report.chains[chain].rows;
    assert_eq!((rows(0), rows(5), rows(15)), (12, 3, 12));
}

#[test]
fn a_long_log_is_read_in_pages_and_tells_how_far_it_is() {
    let mut log = Log::open();
    let mut dice = Dice(3);
    let entries: Vec<Entry> = (0..2500).map(|_| entry(&mut dice)).collect();
    let appended: Result<(), crate::base::error::Error> =
        log.conn.transaction(|conn| append(conn, now(&mut dice), actor(3), &entries));
    appended.unwrap();
    let mut heard = Vec::new();
    let report = verify(&mut log.conn, &mut |rows| heard.push(rows)).unwrap();
    assert!(report.is_whole());
    assert_eq!(report.rows, 2500);
    heard.dedup();
    assert_eq!(heard, [0, 1000, 2000, 2500]);
}
