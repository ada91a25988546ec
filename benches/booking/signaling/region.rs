//! A region in which very many visits stand open at once.

use chrono::{DateTime, TimeDelta, Utc};
use feldsher::base::clock::{Clock, SystemClock};

use crate::engine::{Database, Engine};
use crate::world::{AROUND_THE_CLOCK, DOCTORS, PATIENTS_PER_DOCTOR, World};

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

/// Makes the people with the product itself, and `visits` of today past it, through the guards of
/// the schema.
pub fn build(visits: u64) -> anyhow::Result<(Database, Vec<Visit>)> {
    let world = World::build(Engine::Sqlite.create("signaling")?, None, AROUND_THE_CLOCK)?;
    let begin = SystemClock.now().utc();
    world.database.execute(&sql(visits, begin))?;
    let people = std::sync::Arc::clone(&world.people);
    let database = world.stop()?;
    let all = (0..visits).filter_map(|number| {
        let doctor = number % DOCTORS;
        let patient = doctor * PATIENTS_PER_DOCTOR + number / DOCTORS % PATIENTS_PER_DOCTOR;
        Some(Visit {
            encounter: encounter(begin, number),
            doctor: people.doctors.get(usize::try_from(doctor).ok()?)?.token.clone(),
            patient: people.patients.get(usize::try_from(patient).ok()?)?.clone(),
        })
    });
    Ok((database, all.collect()))
}

fn millis(begin: DateTime<Utc>) -> i64 {
    begin.timestamp_millis()
}

fn encounter(begin: DateTime<Utc>, number: u64) -> String {
    let hex = format!("{:012x}70028{number:015x}", millis(begin));
    uuid::Uuid::parse_str(&hex).map(|id| id.to_string()).unwrap_or_default()
}

/// The people's numbers are in their names. Each doctor's visits follow one another, twenty minutes each, from now on.
fn sql(visits: u64, begin: DateTime<Utc>) -> String {
    let last = visits.saturating_sub(1);
    let first = (begin + TimeDelta::minutes(1)).timestamp();
    let id = |kind: u64| format!("unhex(printf('%012x700{kind}8%015x', {}, n))", millis(begin));
    let (visit, encounter) = (id(1), id(2));
    format!(
        "BEGIN;
         CREATE TEMPORARY TABLE doctor AS SELECT CAST(substr(d.name, 8) AS integer) AS at, d.id,
             d.organization_id, s.service_id
           FROM practitioners d JOIN practitioner_services s ON s.practitioner_id = d.id;
         CREATE TEMPORARY TABLE patient AS SELECT CAST(substr(name, 9) AS integer) AS at, id,
             account_id FROM patients;
         CREATE TEMPORARY TABLE visit AS WITH RECURSIVE count (n) AS
             (SELECT 0 UNION ALL SELECT n + 1 FROM count WHERE n < {last})
           SELECT n, ({first} + n / {DOCTORS} * 1200) * 1000000 AS begins, {visit} AS id,
             {encounter} AS encounter, d.id AS doctor, d.organization_id AS clinic,
             d.service_id AS service, p.id AS patient, p.account_id AS account
           FROM count JOIN doctor d ON d.at = n % {DOCTORS}
           JOIN patient p ON p.at = d.at * {PATIENTS_PER_DOCTOR} + n / {DOCTORS} % {PATIENTS_PER_DOCTOR};
         INSERT INTO occupancies (appointment_id, resource_kind, resource_id, lane, starts_at,
             ends_at, live)
           SELECT id, 'practitioner', doctor, 0, begins, begins + 1200000000, 1 FROM visit;
         INSERT INTO occupancies (appointment_id, resource_kind, resource_id, lane, starts_at,
             ends_at, live)
           SELECT id, 'patient', patient, 0, begins, begins + 1200000000, 1 FROM visit;
         INSERT INTO appointments (id, code, status, service_id, organization_id, practitioner_id,
             patient_id, starts_at, ends_at, busy_from, busy_to, priority, overbooked, mode, moves,
             resources, time_zone, local_start, created_by, created_at, updated_at, version)
           SELECT id, printf('H%08X', n), 'booked', service, clinic, doctor, patient, begins,
             begins + 1200000000, begins, begins + 1200000000, 'routine', 0, 'video', 0, 0,
             'Asia/Krasnoyarsk',
             strftime('%Y-%m-%dT%H:%M:%S+07:00', begins / 1000000, 'unixepoch', '+7 hours'),
             account, begins, begins, 1
           FROM visit;
         INSERT INTO encounters (id, appointment_id, status, patient_id, practitioner_id,
             organization_id, starts_at, updated_at)
           SELECT encounter, id, 'planned', patient, doctor, clinic, begins, begins FROM visit;
         DROP TABLE visit;
         DROP TABLE patient;
         DROP TABLE doctor;
         COMMIT;
         PRAGMA wal_checkpoint(TRUNCATE);"
    )
}
