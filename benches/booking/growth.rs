//! What history costs: the same booking and the same day of a doctor beside ten thousand visits
//! that were, and beside millions.

use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};

use crate::engine::Engine;
use crate::load::{Request, drive_by, send_all};
use crate::report::{Row, Table};
use crate::world::{AROUND_THE_CLOCK, DOCTORS, PATIENTS_PER_DOCTOR, World, first_search};
use crate::{Plan, tell};

/// The smallest history.
const FIRST: u64 = 10_000;
/// So many visits are written in one go.
const CHUNK: u64 = 50_000;

const NAMES: [&str; 4] =
    ["beside 10,000 visits", "beside 100,000", "beside 1,000,000", "beside 10,000,000"];

/// One client books, and reads days, beside histories of ten times the size each, up to `largest`.
pub fn tables(engine: Engine, plan: &Plan, largest: u64) -> anyhow::Result<[Table; 2]> {
    tell("growth: making the region");
    let world = World::build(engine.create("growth")?, plan.workers, AROUND_THE_CLOCK)?;
    send_all(world.address, &world.first_uses(), 200)?;
    send_all(world.address, &[first_search(&world.people)], 200)?;
    let mut booking = Table::new(match engine {
        Engine::Sqlite => "SQLite, one booking after the other",
        Engine::Postgres => "PostgreSQL, one booking after the other",
    });
    let mut day = Table::new(match engine {
        Engine::Sqlite => "SQLite, a doctor's day",
        Engine::Postgres => "PostgreSQL, a doctor's day",
    });
    let (mut stored, mut size) = (0, FIRST);
    for name in NAMES {
        if size > largest {
            break;
        }
        fill(&world, engine, stored, size)?;
        stored = size;
        size *= 10;
        for (table, request, status) in
            [(&mut booking, world.booking(), 201), (&mut day, past_day(&world), 200)]
        {
            let mut row = Row::new(name);
            for _ in 0..plan.rounds {
                let times = (Duration::from_secs(1), plan.measured / 2);
                row.add(&drive_by(1, world.address, times, &request)?.expect(status)?);
            }
            table.rows.push(row);
        }
    }
    for table in [&mut booking, &mut day] {
        table.growth();
    }
    world.close()?;
    Ok([booking, day])
}

/// When the history ends: three days before the times that are booked.
fn history_end(world: &World) -> DateTime<Utc> {
    world.people.first - TimeDelta::days(3)
}

/// The last eight hours of the history, 24 visits of each doctor: a day that the bookings of the
/// bench do not fill.
fn past_day(world: &World) -> Request {
    world.time_before(history_end(world), TimeDelta::hours(8))
}

/// Writes visits that took place, the newest first, through the guards of the schema.
fn fill(world: &World, engine: Engine, from: u64, to: u64) -> anyhow::Result<()> {
    let mut done = from;
    while done < to {
        let next = to.min(done + CHUNK);
        tell(&format!("growth: {done} of {to} visits"));
        world.database.execute(&visits(world, engine, done, next))?;
        done = next;
    }
    let tidy = match engine {
        Engine::Sqlite => "PRAGMA wal_checkpoint(TRUNCATE)",
        Engine::Postgres => "VACUUM ANALYZE",
    };
    world.database.execute(tidy)
}

fn visits(world: &World, engine: Engine, from: u64, to: u64) -> String {
    let last = to - 1;
    let before = history_end(world).timestamp();
    let (live, no) = match engine {
        Engine::Sqlite => ("1", "0"),
        Engine::Postgres => ("true", "false"),
    };
    // When the n-th visit began, in seconds; each doctor's follow one another without a gap.
    let begins = format!("({before} - (n / {DOCTORS} + 1) * 1200)");
    let numbers = match engine {
        Engine::Sqlite => format!(
            "WITH RECURSIVE count (n) AS
               (SELECT {from} UNION ALL SELECT n + 1 FROM count WHERE n < {last})"
        ),
        Engine::Postgres => {
            format!("WITH count AS (SELECT n FROM generate_series({from}::bigint, {last}) n)")
        }
    };
    // Ids grow with time, as those of the product do.
    let id = |kind: u64| match engine {
        Engine::Sqlite => format!("unhex(printf('%012x700%d%016x', {begins} * 1000, {kind}, n))"),
        Engine::Postgres => format!(
            "(lpad(to_hex({begins} * 1000), 12, '0') || '700{kind}' || lpad(to_hex(n), 16, '0'))::uuid"
        ),
    };
    let at = |secs: &str| match engine {
        Engine::Sqlite => format!("{secs} * 1000000"),
        Engine::Postgres => format!("to_timestamp({secs})"),
    };
    let (visit, encounter) = (id(1), id(2));
    let (start, end) = (at("begins"), at("(begins + 1200)"));
    let code = match engine {
        Engine::Sqlite => "printf('H%08X', n)",
        Engine::Postgres => "'H' || upper(lpad(to_hex(n), 8, '0'))",
    };
    format!(
        "BEGIN;
         CREATE TEMPORARY TABLE doctor AS SELECT row_number() OVER (ORDER BY d.id) - 1 AS at, d.id,
             d.organization_id, s.service_id
           FROM practitioners d JOIN practitioner_services s ON s.practitioner_id = d.id;
         CREATE TEMPORARY TABLE patient AS SELECT row_number() OVER (ORDER BY id) - 1 AS at, id,
             account_id FROM patients;
         CREATE TEMPORARY TABLE visit AS {numbers}
           SELECT n, {begins} AS begins, {visit} AS id, {encounter} AS encounter, d.id AS doctor,
             d.organization_id AS clinic, d.service_id AS service, p.id AS patient,
             p.account_id AS account
           FROM count JOIN doctor d ON d.at = n % {DOCTORS}
           JOIN patient p ON p.at = d.at * {PATIENTS_PER_DOCTOR} + n / {DOCTORS} % {PATIENTS_PER_DOCTOR};
         INSERT INTO occupancies (appointment_id, resource_kind, resource_id, lane, starts_at,
             ends_at, live)
           SELECT id, 'practitioner', doctor, 0, {start}, {end}, {live} FROM visit;
         INSERT INTO occupancies (appointment_id, resource_kind, resource_id, lane, starts_at,
             ends_at, live)
           SELECT id, 'patient', patient, 0, {start}, {end}, {live} FROM visit;
         INSERT INTO appointments (id, code, status, service_id, organization_id, practitioner_id,
             patient_id, starts_at, ends_at, busy_from, busy_to, priority, overbooked, mode, moves,
             resources, time_zone, local_start, created_by, created_at, updated_at, version)
           SELECT id, {code}, 'fulfilled', service, clinic, doctor, patient, {start}, {end}, {start},
             {end}, 'routine', {no}, 'video', 0, 0, 'Asia/Krasnoyarsk',
             '2026-01-01T09:00:00+07:00', account, {start}, {end}, 1 FROM visit;
         INSERT INTO encounters (id, appointment_id, status, outcome, patient_id, practitioner_id,
             organization_id, starts_at, ended_at, updated_at)
           SELECT encounter, id, 'finished', 'completed', patient, doctor, clinic, {start}, {end},
             {end} FROM visit;
         DROP TABLE visit;
         DROP TABLE patient;
         DROP TABLE doctor;
         COMMIT;"
    )
}
