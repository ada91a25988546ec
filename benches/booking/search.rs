//! The search for free times: a hundred doctors and thirty days, 30 % of which are booked.

use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, Datelike, Days, FixedOffset, TimeDelta, Utc, Weekday};

use crate::engine::Engine;
use crate::load::{Request, answer_to, drive_by, send_all};
use crate::memory::Memory;
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
    let general = |query: &str| asked(&world, &format!("specialty=general-practice&{query}"));
    let all = ("their visits of 30 days, by SQL alone", visits(engine, &world));
    let day = ("its visits, by SQL alone", days_visits(engine, &world));
    for (what, request, alone) in [
        ("100 doctors, 30 days: the first hundred", general("limit=100"), Some(all)),
        ("the first of them", general("first=true"), None),
        ("in fair order", general("limit=100&order=fair"), None),
        ("nothing found in all 30 days", general("part_of_day=evening"), None),
        ("one doctor, 30 days: the first hundred", asked(&world, "limit=100"), None),
        ("a doctor's day", doctors_day(&world), Some(day)),
    ] {
        tell(what);
        let copy = Memory::of(answer_to(world.address, &request())?)?;
        let mut row = Row::new(what);
        let mut from_memory = Row::new("the same answer, from memory");
        let mut sql = Row::new(alone.as_ref().map_or("", |(name, _)| *name));
        let times = (Duration::from_secs(1), plan.measured / 2);
        for _ in 0..plan.rounds {
            row.add(&drive_by(1, world.address, times, &request)?.expect(200)?);
            from_memory.add(&drive_by(1, copy.address, times, &request)?.expect(200)?);
            if let Some((_, statement)) = &alone {
                sql.add(&world.database.ask(statement, times)?);
            }
        }
        if alone.is_some() {
            table.ratio(&row, &sql);
        }
        table.ratio(&row, &from_memory);
        table.rows.push(row);
        table.rows.extend(alone.is_some().then_some(sql));
        table.rows.push(from_memory);
    }
    world.close()?;
    Ok(table)
}

/// What all doctors have in the thirty days, which a search without an index of free time reads.
fn visits(engine: Engine, world: &World) -> String {
    let from = world.people.first;
    format!(
        "SELECT resource_id AS who, appointment_id AS visit, starts_at AS starts, ends_at AS ends
         FROM occupancies WHERE resource_id IN (SELECT id FROM practitioners) AND lane = 0 AND live
         AND starts_at >= {} AND starts_at < {}",
        engine.at(from),
        engine.at(from + Days::new(DAYS))
    )
}

/// The first working day that is booked.
fn working_day(world: &World) -> DateTime<Utc> {
    let days = (0..7).map(|day| world.people.first + Days::new(day));
    days.into_iter().find(|day| !is_weekend(*day)).unwrap_or(world.people.first)
}

/// A doctor asks for the visits of that day.
fn doctors_day(world: &World) -> Request {
    let (people, from) = (Arc::clone(&world.people), working_day(world));
    let path = format!(
        "/v1/appointments?from={}&to={}&limit=100",
        world::wire(from),
        world::wire(from + Days::new(1))
    );
    Arc::new(move || world::get(&path, people.doctors.first().map(|doctor| &doctor.token)))
}

fn is_weekend(at: DateTime<Utc>) -> bool {
    let zone = FixedOffset::east_opt(KRASNOYARSK_SECS);
    zone.is_some_and(|zone| {
        matches!(at.with_timezone(&zone).weekday(), Weekday::Sat | Weekday::Sun)
    })
}

/// What one doctor has on one day, with all that is shown of it.
fn days_visits(engine: Engine, world: &World) -> String {
    let from = working_day(world);
    let doctor = world.people.doctors.first().map(|doctor| &*doctor.id).unwrap_or_default();
    format!(
        "SELECT p.id AS who, a.id AS visit, a.starts_at AS starts, a.ends_at AS ends, a.code,
           a.reason_sealed, a.time_zone, a.local_start, a.status, s.name_en, s.name_ru, d.name,
           p.name, o.name, e.id, e.status
         FROM appointments a JOIN healthcare_services s ON s.id = a.service_id
           JOIN practitioners d ON d.id = a.practitioner_id JOIN patients p ON p.id = a.patient_id
           JOIN organizations o ON o.id = a.organization_id
           JOIN encounters e ON e.appointment_id = a.id
         WHERE a.practitioner_id = {} AND a.starts_at >= {} AND a.starts_at < {}
         ORDER BY a.starts_at, a.id",
        engine.id(doctor),
        engine.at(from),
        engine.at(from + Days::new(1))
    )
}

/// Books three of ten times of every doctor over HTTP. Returns how many.
fn book_a_third(world: &World) -> anyhow::Result<usize> {
    let mut requests = Vec::new();
    for doctor in 0..DOCTORS {
        for day in 0..DAYS {
            for visit in 0..VISITS_PER_DAY {
                let time = day * SLOTS_PER_DAY + NINE + visit;
                let start = world.people.start(time);
                let chance = (doctor * 7919 + day * 104_729 + visit * 1_299_709) % 10;
                if !is_weekend(start) && chance < 3 {
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
