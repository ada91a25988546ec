//! The search for free times: a hundred doctors and thirty days, 30 % of which are booked.

use std::sync::Arc;
use std::time::Duration;

use chrono::{Datelike, Days, FixedOffset, TimeDelta, Weekday};

use crate::engine::Engine;
use crate::load::{Request, drive_by, send_all};
use crate::report::{Row, Table};
use crate::world::{self, DOCTORS, OFFICE_HOURS, PATIENTS_PER_DOCTOR, SLOTS_PER_DAY, Wish, World};
use crate::{Plan, tell};

const DAYS: u64 = 30;
/// Nine in the morning of Krasnoyarsk, in visits after midnight of UTC.
const NINE: u64 = 6;
const VISITS_PER_DAY: u64 = 24;
/// Seven hours ahead of UTC.
const KRASNOYARSK_SECS: i32 = 7 * 60 * 60;

/// One client asks.
pub fn table(engine: Engine, plan: &Plan) -> anyhow::Result<Table> {
    tell("search: making the region");
    let world = World::build(engine.create("search")?, plan.workers, OFFICE_HOURS)?;
    send_all(world.address, &world.first_uses(), 200)?;
    let booked = book_a_third(&world)?;
    let mut table = Table::new(match engine {
        Engine::Sqlite => "SQLite, the search",
        Engine::Postgres => "PostgreSQL, the search",
    });
    table.notes.push(format!("{booked} visits are booked; one client asks."));
    for (what, query) in [
        ("100 doctors, 30 days: the first hundred", "specialty=general-practice&limit=100"),
        ("the first of them", "specialty=general-practice&first=true"),
        ("in fair order", "specialty=general-practice&limit=100&order=fair"),
        ("nothing found in all 30 days", "specialty=general-practice&part_of_day=evening"),
        ("one doctor, 30 days: the first hundred", "limit=100"),
    ] {
        tell(what);
        let mut row = Row::new(what);
        let request = asked(&world, query);
        for _ in 0..plan.rounds {
            let times = (Duration::from_secs(1), plan.measured / 2);
            row.add(&drive_by(1, world.address, times, &request)?.expect(200)?);
        }
        table.rows.push(row);
    }
    world.close()?;
    Ok(table)
}

/// Books three of ten times of every doctor over HTTP. Returns how many.
fn book_a_third(world: &World) -> anyhow::Result<usize> {
    let zone = FixedOffset::east_opt(KRASNOYARSK_SECS);
    let mut requests = Vec::new();
    for doctor in 0..DOCTORS {
        for day in 0..DAYS {
            for visit in 0..VISITS_PER_DAY {
                let time = day * SLOTS_PER_DAY + NINE + visit;
                let start = world.people.start(time);
                let is_weekend = zone.is_some_and(|zone| {
                    matches!(start.with_timezone(&zone).weekday(), Weekday::Sat | Weekday::Sun)
                });
                let chance = (doctor * 7919 + day * 104_729 + visit * 1_299_709) % 10;
                if !is_weekend && chance < 3 {
                    let patient = doctor * PATIENTS_PER_DOCTOR + visit % PATIENTS_PER_DOCTOR;
                    let wish = Wish { doctor, time, patient };
                    requests.push(world::booking(&world.people, wish, patient));
                }
            }
        }
    }
    tell("search: booking three times of ten");
    let (parts, address) = (requests.chunks(requests.len() / 8 + 1), world.address);
    std::thread::scope(|scope| {
        let sending: Vec<_> =
            parts.map(|part| scope.spawn(move || send_all(address, part, 201))).collect();
        for part in sending {
            part.join().map_err(|_panic| anyhow::anyhow!("a client panicked"))??;
        }
        anyhow::Ok(())
    })?;
    Ok(requests.len())
}

/// A patient asks for the times of the 30 days; without a specialty, for those of one doctor.
fn asked(world: &World, query: &str) -> Request {
    let people = Arc::clone(&world.people);
    let from = people.first - TimeDelta::hours(1);
    let to = from + Days::new(DAYS);
    let mut query = format!("{query}&from={}&to={}", world::wire(from), world::wire(to));
    if let Some(doctor) = people.doctors.first().filter(|_| !query.contains("specialty")) {
        query += &format!("&service={}&practitioner={}", doctor.service, doctor.id);
    }
    Arc::new(move || world::get(&format!("/v1/slots?{query}"), people.patients.first()))
}
