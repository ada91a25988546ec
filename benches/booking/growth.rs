//! What history costs: the same booking and the same day of a doctor beside ten thousand visits
//! that were, and beside millions.

use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};

use crate::engine::Engine;
use crate::load::{Request, drive_by, send_all};
use crate::report::{Row, Table};
use crate::world::{AROUND_THE_CLOCK, DOCTORS, World, first_search};
use crate::{Plan, tell, visits};

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

/// Writes visits that took place, the newest first.
fn fill(world: &World, engine: Engine, from: u64, to: u64) -> anyhow::Result<()> {
    // Each doctor's follow one another without a gap.
    let before = history_end(world).timestamp();
    let begins = format!("({before} - (n / {DOCTORS} + 1) * {})", visits::SECS);
    let mut done = from;
    while done < to {
        let next = to.min(done + CHUNK);
        tell(&format!("growth: {done} of {to} visits"));
        world.database.execute(&visits::sql(engine, &(done..next), &begins, true))?;
        done = next;
    }
    let tidy = match engine {
        Engine::Sqlite => "PRAGMA wal_checkpoint(TRUNCATE)",
        Engine::Postgres => "VACUUM ANALYZE",
    };
    world.database.execute(tidy)
}
