//! What SQLite itself can do: the rows of a booking in a loop, without anything around it.
//!
//! The same schema with its guards, the same settings, prepared statements, one thread that
//! never waits for anybody. Rights, hours and texts are not looked at.

use std::time::{Duration, Instant};

use diesel::connection::SimpleConnection;
use diesel::prelude::*;
use diesel::query_builder::{AstPass, QueryFragment, QueryId};
use diesel::sql_types::{BigInt, Binary, Integer, Text};
use diesel::sqlite::{Sqlite, SqliteConnection};

use crate::engine::Database;
use crate::world::{PATIENTS_PER_DOCTOR, Wish};

const SLOT_MICROS: i64 = 20 * 60 * 1_000_000;
/// As long as what the product seals: the answer of a booking, the text of a confirmation.
const ANSWER_BYTES: usize = 850;
const MESSAGE_BYTES: usize = 330;

/// A statement that diesel keeps prepared.
macro_rules! statement {
    ($name:ident($($field:ident: $rust:ty as $sql:ty),+) $text:literal) => {
        struct $name<'a> { $($field: &'a $rust),+ }
        impl QueryId for $name<'_> {
            type QueryId = $name<'static>;
            const HAS_STATIC_QUERY_ID: bool = true;
        }
        impl QueryFragment<Sqlite> for $name<'_> {
            fn walk_ast<'b>(&'b self, mut pass: AstPass<'_, 'b, Sqlite>) -> QueryResult<()> {
                pass.push_sql($text);
                $(pass.push_bind_param_value_only::<$sql, _>(self.$field)?;)+
                Ok(())
            }
        }
        impl RunQueryDsl<SqliteConnection> for $name<'_> {}
    };
}

statement!(TakeKey(principal: Vec<u8> as Binary, key: String as Text, print: Vec<u8> as Binary, expires: i64 as BigInt)
    "INSERT INTO idempotency_keys (principal, route, key, fingerprint, status, expires_at)
     VALUES (?1, 'POST /v1/appointments', ?2, ?3, 0, ?4) ON CONFLICT DO NOTHING");
statement!(Occupy(appointment: Vec<u8> as Binary, doctor: Vec<u8> as Binary, patient: Vec<u8> as Binary, start: i64 as BigInt, end: i64 as BigInt)
    "INSERT INTO occupancies (appointment_id, resource_kind, resource_id, lane, starts_at, ends_at, live)
     VALUES (?1, 'practitioner', ?2, 0, ?4, ?5, 1), (?1, 'patient', ?3, 0, ?4, ?5, 1) ON CONFLICT DO NOTHING");
statement!(Book(id: Vec<u8> as Binary, code: String as Text, service: Vec<u8> as Binary, clinic: Vec<u8> as Binary,
        doctor: Vec<u8> as Binary, patient: Vec<u8> as Binary, start: i64 as BigInt, end: i64 as BigInt,
        reason: Vec<u8> as Binary, account: Vec<u8> as Binary, now: i64 as BigInt)
    "INSERT INTO appointments (id, code, status, service_id, organization_id, practitioner_id,
       patient_id, starts_at, ends_at, busy_from, busy_to, priority, overbooked, mode, moves,
       resources, time_zone, local_start, reason_sealed, created_by,
       created_at, updated_at, version)
     VALUES (?1, ?2, 'booked', ?3, ?4, ?5, ?6, ?7, ?8, ?7, ?8, 'routine', 0, 'video', 0, 0, 'Asia/Krasnoyarsk',
       '2026-11-23T09:00:00+07:00', ?9, ?10, ?11, ?11, 1) ON CONFLICT (code) DO NOTHING");
statement!(Plan(id: Vec<u8> as Binary, appointment: Vec<u8> as Binary, patient: Vec<u8> as Binary, doctor: Vec<u8> as Binary,
        clinic: Vec<u8> as Binary, start: i64 as BigInt, now: i64 as BigInt)
    "INSERT INTO encounters (id, appointment_id, status, patient_id, practitioner_id,
       organization_id, starts_at, updated_at)
     VALUES (?1, ?2, 'planned', ?3, ?4, ?5, ?6, ?7)");
statement!(Say(id: Vec<u8> as Binary, key: String as Text, payload: Vec<u8> as Binary, now: i64 as BigInt, expires: i64 as BigInt)
    "INSERT INTO outbox_messages (id, channel, dedupe_key, payload_sealed, state, attempts,
       due_at, expires_at, created_at)
     VALUES (?1, 'sms', ?2, ?3, 'pending', 0, ?4, ?5, ?4) ON CONFLICT DO NOTHING");
statement!(Record(chain: i32 as Integer, seq: i64 as BigInt, now: i64 as BigInt, account: Vec<u8> as Binary,
        object: Vec<u8> as Binary, patient: Vec<u8> as Binary, clinic: Vec<u8> as Binary, hash: Vec<u8> as Binary)
    "INSERT INTO audit_events (chain, seq, at, actor_id, session_id, action, object_kind,
       object_id, patient_id, organization_id, outcome, hash)
     VALUES (?1, ?2, ?3, ?4, ?4, 'appointment.book', 'Appointment', ?5, ?6, ?7, 'done', ?8)");
statement!(MoveHead(chain: i32 as Integer, seq: i64 as BigInt, hash: Vec<u8> as Binary)
    "UPDATE audit_heads SET seq = ?2, hash = ?3 WHERE chain = ?1");
statement!(KeepAnswer(principal: Vec<u8> as Binary, key: String as Text, answer: Vec<u8> as Binary)
    "UPDATE idempotency_keys SET status = 201, answer_sealed = ?3
     WHERE principal = ?1 AND route = 'POST /v1/appointments' AND key = ?2");

#[derive(QueryableByName)]
struct Doctor {
    #[diesel(sql_type = Binary)]
    id: Vec<u8>,
    #[diesel(sql_type = Binary)]
    clinic: Vec<u8>,
    #[diesel(sql_type = Binary)]
    service: Vec<u8>,
}

#[derive(QueryableByName)]
struct Patient {
    #[diesel(sql_type = Binary)]
    id: Vec<u8>,
    #[diesel(sql_type = Binary)]
    account: Vec<u8>,
}

#[derive(QueryableByName)]
struct Head {
    #[diesel(sql_type = Integer)]
    chain: i32,
    #[diesel(sql_type = BigInt)]
    seq: i64,
}

/// The loop, on a copy of the region's file.
pub struct Bare {
    conn: SqliteConnection,
    _database: Database,
    doctors: Vec<Doctor>,
    patients: Vec<Patient>,
    heads: Vec<Head>,
    next: u64,
}

impl Bare {
    /// Copies the region before anything was booked in it.
    pub fn copy(region: &Database, database: Database) -> anyhow::Result<Self> {
        region.execute(&format!("VACUUM INTO '{}'", database.file().display()))?;
        let mut conn = SqliteConnection::establish(&database.file().to_string_lossy())?;
        conn.batch_execute(
            "PRAGMA busy_timeout = 5000; PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL;
             PRAGMA foreign_keys = ON; PRAGMA cache_size = -16384; PRAGMA temp_store = MEMORY;
             PRAGMA mmap_size = 0; PRAGMA secure_delete = ON; PRAGMA trusted_schema = OFF;",
        )?;
        let doctors = diesel::sql_query(
            "SELECT p.id, p.organization_id AS clinic, s.service_id AS service
             FROM practitioners p JOIN practitioner_services s ON s.practitioner_id = p.id
             ORDER BY p.id",
        )
        .load(&mut conn)?;
        let patients =
            diesel::sql_query("SELECT id, account_id AS account FROM patients ORDER BY id")
                .load(&mut conn)?;
        let heads = diesel::sql_query("SELECT chain, seq FROM audit_heads ORDER BY chain")
            .load(&mut conn)?;
        Ok(Self { conn, _database: database, doctors, patients, heads, next: 0 })
    }

    /// Bookings per second with so many in each commit.
    pub fn run(&mut self, per_commit: u32, measured: Duration) -> anyhow::Result<f64> {
        let (begin, mut booked) = (Instant::now(), 0_u32);
        while begin.elapsed() < measured {
            self.conn.batch_execute("BEGIN IMMEDIATE")?;
            for _ in 0..per_commit {
                self.book()?;
            }
            self.conn.batch_execute("COMMIT")?;
            booked += per_commit;
        }
        Ok(f64::from(booked) / begin.elapsed().as_secs_f64())
    }

    fn book(&mut self) -> anyhow::Result<()> {
        let number = self.next;
        self.next += 1;
        let wish = Wish::number(number);
        let missing = || anyhow::anyhow!("the region is not whole");
        let doctor = self.doctors.get(usize::try_from(wish.doctor)?).ok_or_else(missing)?;
        let patient = self.patients.get(usize::try_from(wish.patient)?).ok_or_else(missing)?;
        let chains = u64::try_from(self.heads.len())?;
        let chain = usize::try_from(wish.patient % PATIENTS_PER_DOCTOR % chains)?;
        let head = self.heads.get_mut(chain).ok_or_else(missing)?;
        head.seq += 1;
        let now = 1_790_000_000_000_000 + i64::try_from(number)?;
        let start = 1_800_000_000_000_000 + i64::try_from(wish.time)? * SLOT_MICROS;
        let end = start + SLOT_MICROS;
        let fresh = || uuid::Uuid::now_v7();
        let (id, key) = (fresh(), uuid::Uuid::new_v4().to_string());
        let (appointment, hash) = (id.as_bytes().to_vec(), vec![7; 32]);
        let conn = &mut self.conn;
        let account = &patient.account;
        let expires = now + 72 * 3600 * 1_000_000;
        TakeKey { principal: account, key: &key, print: &hash, expires: &expires }.execute(conn)?;
        Occupy {
            appointment: &appointment,
            doctor: &doctor.id,
            patient: &patient.id,
            start: &start,
            end: &end,
        }
        .execute(conn)?;
        Book {
            id: &appointment,
            code: &format!("{number:06}"),
            service: &doctor.service,
            clinic: &doctor.clinic,
            doctor: &doctor.id,
            patient: &patient.id,
            start: &start,
            end: &end,
            reason: &vec![7; 50],
            account,
            now: &now,
        }
        .execute(conn)?;
        Plan {
            id: &fresh().as_bytes().to_vec(),
            appointment: &appointment,
            patient: &patient.id,
            doctor: &doctor.id,
            clinic: &doctor.clinic,
            start: &start,
            now: &now,
        }
        .execute(conn)?;
        Say {
            id: &fresh().as_bytes().to_vec(),
            key: &format!("booked|{id}"),
            payload: &vec![7; MESSAGE_BYTES],
            now: &now,
            expires: &start,
        }
        .execute(conn)?;
        KeepAnswer { principal: account, key: &key, answer: &vec![7; ANSWER_BYTES] }
            .execute(conn)?;
        Record {
            chain: &head.chain,
            seq: &head.seq,
            now: &now,
            account,
            object: &appointment,
            patient: &patient.id,
            clinic: &doctor.clinic,
            hash: &hash,
        }
        .execute(conn)?;
        MoveHead { chain: &head.chain, seq: &head.seq, hash: &hash }.execute(conn)?;
        Ok(())
    }
}
