//! A region in which very many visits stand open at once.

use std::sync::Arc;

use chrono::TimeDelta;
use feldsher::base::clock::{Clock, SystemClock};

use crate::engine::{Database, Engine};
use crate::visits;
use crate::world::{AROUND_THE_CLOCK, DOCTORS, World};

/// An open visit, and who takes part.
#[derive(Debug, Clone)]
pub struct Visit {
    /// The encounter's id.
    pub encounter: String,
    /// An access token of the doctor.
    pub doctor: String,
    /// An access token of the patient.
    pub patient: String,
}

/// Makes the people with the product itself, and `count` visits of today past it. Each doctor's
/// follow one another from now on.
pub fn build(engine: Engine, count: u64) -> anyhow::Result<(Database, Vec<Visit>)> {
    let world = World::build(engine.create("signaling")?, None, AROUND_THE_CLOCK)?;
    let first = (SystemClock.now().utc() + TimeDelta::minutes(1)).timestamp();
    let begins = format!("({first} + n / {DOCTORS} * {})", visits::SECS);
    world.database.execute(&visits::sql(engine, &(0..count), &begins, false))?;
    if engine == Engine::Sqlite {
        world.database.execute("PRAGMA wal_checkpoint(TRUNCATE)")?;
    }
    let people = Arc::clone(&world.people);
    let database = world.stop()?;
    let mut all = Vec::new();
    for number in 0..count {
        let begins = first + i64::try_from(number / DOCTORS * visits::SECS)?;
        let doctor = people.doctors.get(usize::try_from(visits::doctor(number))?);
        let patient = people.patients.get(usize::try_from(visits::patient(number))?);
        let (Some(doctor), Some(patient)) = (doctor, patient) else { continue };
        all.push(Visit {
            encounter: visits::encounter(begins, number)?,
            doctor: doctor.token.clone(),
            patient: patient.clone(),
        });
    }
    Ok((database, all))
}
