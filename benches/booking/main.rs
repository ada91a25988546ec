//! Bookings per second over HTTP, beside what the database itself can do in the same run.
//!
//! `tests/run bench` starts a PostgreSQL and runs this; see docs/performance.md.

#![expect(clippy::print_stdout, reason = "a bench speaks to the terminal")]

mod bare;
mod engine;
mod growth;
mod limit;
mod load;
mod memory;
mod report;
mod search;
mod signaling;
mod visits;
mod world;

use std::io::Write;
use std::time::Duration;

use anyhow::{Context, bail};
use feldsher::base::telemetry;

use crate::bare::Bare;
use crate::engine::{Database, Engine};
use crate::limit::Pgbench;
use crate::load::{Sample, drive};
use crate::report::{Row, Table};
use crate::world::World;

const HELP: &str = "Usage: cargo bench --bench booking -- [sqlite] [postgres] [OPTION…]
  --seconds N   how long each measurement takes (10)
  --warm N      how long it runs before it is measured (2)
  --rounds N    how often it is repeated (3)
  --workers N   database threads of the product (its default)
  --search      the search for free times alone
  --signaling   the call's signaling alone, beside a bare echo and PeerJS
  --growth N    bookings and days beside 10,000 visits that were, ten times as many, and so on
                up to N (ten million are about an hour, and 20 GB of disk)
  --markdown    print the tables as Markdown
PostgreSQL is where TEST_DATABASE_URL says; `tests/run bench` starts one.";

struct Plan {
    engines: Vec<Engine>,
    measured: Duration,
    warm: Duration,
    rounds: u32,
    workers: Option<usize>,
    search: bool,
    signaling: bool,
    growth: Option<u32>,
    markdown: bool,
}

fn main() -> anyhow::Result<()> {
    let Some(mut plan) = plan()? else {
        println!("{HELP}");
        return Ok(());
    };
    // The log is written as the product writes it, and read by nobody.
    tracing_subscriber::fmt()
        .with_env_filter(telemetry::filter("info")?)
        .with_writer(std::io::sink)
        .init();
    let mut tables = Vec::new();
    if plan.signaling {
        tables = signaling::tables(&plan)?;
        plan.engines.clear();
    }
    for engine in &plan.engines {
        if let Some(largest) = plan.growth {
            tables.extend(growth::tables(*engine, &plan, largest.into())?);
            continue;
        }
        match engine {
            _ if plan.search => {}
            Engine::Sqlite => tables.push(sqlite(&plan)?),
            Engine::Postgres => tables.push(postgres(&plan)?),
        }
        tables.push(search::table(*engine, &plan)?);
    }
    tell("");
    for table in &tables {
        println!("{}", if plan.markdown { table.as_markdown() } else { table.as_text() });
    }
    Ok(())
}

fn plan() -> anyhow::Result<Option<Plan>> {
    let mut plan = Plan {
        engines: Vec::new(),
        measured: Duration::from_secs(10),
        warm: Duration::from_secs(2),
        rounds: 3,
        workers: None,
        search: false,
        signaling: false,
        growth: None,
        markdown: false,
    };
    let mut arguments = std::env::args().skip(1);
    while let Some(argument) = arguments.next() {
        let mut number = || -> anyhow::Result<u32> {
            let text = arguments.next().context("a number is missing")?;
            text.parse().with_context(|| format!("{text} is not a number"))
        };
        match argument.as_str() {
            "sqlite" => plan.engines.push(Engine::Sqlite),
            "postgres" => plan.engines.push(Engine::Postgres),
            "--seconds" => plan.measured = Duration::from_secs(number()?.max(1).into()),
            "--warm" => plan.warm = Duration::from_secs(number()?.into()),
            "--rounds" => plan.rounds = number()?.max(1),
            "--workers" => plan.workers = Some(usize::try_from(number()?)?),
            "--search" => plan.search = true,
            "--signaling" => plan.signaling = true,
            signaling::echo::ARGUMENT => {
                signaling::echo::serve()?;
                return Ok(None);
            }
            "--growth" => plan.growth = Some(number()?),
            "--markdown" => plan.markdown = true,
            // cargo's own.
            "--bench" => {}
            "--help" | "-h" => return Ok(None),
            other => bail!("{other} is unknown\n{HELP}"),
        }
    }
    if plan.engines.is_empty() {
        plan.engines = vec![Engine::Sqlite, Engine::Postgres];
    }
    Ok(Some(plan))
}

/// What is going on, on one line that the next replaces.
fn tell(what: &str) {
    print!("\r\x1b[2K{what}");
    drop(std::io::stdout().flush());
}

fn serve(database: Database, plan: &Plan) -> anyhow::Result<World> {
    let world = World::build(database, plan.workers, world::AROUND_THE_CLOCK)?;
    load::send_all(world.address, &world.first_uses(), 200)?;
    load::send_all(world.address, &[world::first_search(&world.people)], 200)?;
    Ok(world)
}

/// The product on SQLite beside the bare loop.
fn sqlite(plan: &Plan) -> anyhow::Result<Table> {
    tell("SQLite: making the region");
    let world = serve(Engine::Sqlite.create("sqlite")?, plan)?;
    let mut bare = Bare::copy(&world.database, Engine::Sqlite.create("bare")?)?;
    let mut http = Row::new("bookings over HTTP");
    let mut each = Row::new("bare loop, one booking per commit");
    let mut grouped = Row::new("bare loop, 32 bookings per commit");
    for round in 1..=plan.rounds {
        tell(&format!("SQLite, round {round} of {}: over HTTP", plan.rounds));
        http.add(&book(&world, plan)?);
        tell(&format!("SQLite, round {round} of {}: the bare loop", plan.rounds));
        each.rates.push(bare.run(1, plan.measured / 2)?);
        grouped.rates.push(bare.run(32, plan.measured / 2)?);
    }
    let mut table = Table::new("SQLite");
    table.ratio(&http, &each);
    table.ratio(&http, &grouped);
    table.rows = vec![http, each, grouped];
    others(&world, plan, &mut table.rows)?;
    world.close()?;
    Ok(table)
}

/// The product on PostgreSQL beside pgbench on the same server.
fn postgres(plan: &Plan) -> anyhow::Result<Table> {
    tell("PostgreSQL: making the region");
    let mut pgbench = Pgbench::build()?;
    let world = serve(Engine::Postgres.create("postgres")?, plan)?;
    let mut http = Row::new("bookings over HTTP");
    let mut few = Row::new("pgbench, 16 clients");
    let mut many = Row::new("pgbench, 64 clients");
    for round in 1..=plan.rounds {
        tell(&format!("PostgreSQL, round {round} of {}: over HTTP", plan.rounds));
        http.add(&book(&world, plan)?);
        tell(&format!("PostgreSQL, round {round} of {}: pgbench", plan.rounds));
        few.rates.push(pgbench.run(16, plan.measured)?);
        many.rates.push(pgbench.run(64, plan.measured)?);
    }
    let mut table = Table::new("PostgreSQL");
    table.ratio(&http, &few);
    table.ratio(&http, &many);
    table.notes.push(statements(&world)?);
    table.rows = vec![http, few, many];
    others(&world, plan, &mut table.rows)?;
    world.close()?;
    Ok(table)
}

/// How many statements a booking sends, BEGIN and COMMIT among them, where the server counts.
fn statements(world: &World) -> anyhow::Result<String> {
    tell("PostgreSQL: counting statements");
    let counting = "CREATE EXTENSION IF NOT EXISTS pg_stat_statements";
    if world.database.execute(counting).is_err() {
        return Ok("Statements per booking: not counted (no pg_stat_statements).".to_owned());
    }
    let calls = "SELECT coalesce(sum(calls), 0)::float8 AS n FROM pg_stat_statements
        JOIN pg_database d ON d.oid = dbid WHERE d.datname = current_database()
        AND query NOT LIKE '%pg_stat_statements%'";
    let booked = "SELECT count(*)::float8 AS n FROM appointments";
    world.database.execute("ALTER SYSTEM SET pg_stat_statements.track = 'top'")?;
    world.database.execute("SELECT pg_reload_conf()")?;
    let second = Duration::from_secs(1);
    // The workers hear of the new setting with their next statement.
    drive(world.address, second, second, &world.booking())?.expect(201)?;
    let before = (world.database.number(calls)?, world.database.number(booked)?);
    drive(world.address, second, second, &world.booking())?.expect(201)?;
    let after = (world.database.number(calls)?, world.database.number(booked)?);
    world.database.execute("ALTER SYSTEM RESET pg_stat_statements.track")?;
    world.database.execute("SELECT pg_reload_conf()")?;
    let per_booking = (after.0 - before.0) / (after.1 - before.1);
    Ok(format!("Statements per booking, `BEGIN` and `COMMIT` among them: {per_booking:.1}."))
}

fn book(world: &World, plan: &Plan) -> anyhow::Result<Sample> {
    drive(world.address, plan.warm, plan.measured, &world.booking())?.expect(201)
}

/// What else is asked for, once there are bookings.
fn others(world: &World, plan: &Plan, rows: &mut Vec<Row>) -> anyhow::Result<()> {
    for (what, request, status) in [
        ("refused bookings (409, with three other times)", world.late_booking(), 409),
        ("a doctor's free times of 7 days", world.free_times(), 200),
        ("a doctor's day", world.day(), 200),
    ] {
        tell(what);
        let mut row = Row::new(what);
        for _ in 0..plan.rounds {
            let sample = drive(world.address, plan.warm / 2, plan.measured / 2, &request)?;
            row.add(&sample.expect(status)?);
        }
        rows.push(row);
    }
    Ok(())
}
