//! Visits that are written past the product.

use std::ops::Range;

use crate::engine::Engine;
use crate::world::{DOCTORS, PATIENTS_PER_DOCTOR};

/// How long each takes, in seconds.
pub const SECS: u64 = 1200;

/// Which doctor conducts the `number`th visit.
pub fn doctor(number: u64) -> u64 {
    number % DOCTORS
}

/// Whose visit it is: one of the doctor's own patients.
pub fn patient(number: u64) -> u64 {
    doctor(number) * PATIENTS_PER_DOCTOR + number / DOCTORS % PATIENTS_PER_DOCTOR
}

/// The encounter of the `number`th visit, which begins at `begins`, in seconds.
pub fn encounter(begins: i64, number: u64) -> anyhow::Result<String> {
    // Ids grow with time, as those of the product do.
    let hex = format!("{:012x}70028{number:015x}", begins * 1000);
    Ok(uuid::Uuid::parse_str(&hex)?.to_string())
}

/// Writes the visits with these numbers. `begins` says in SQL when the n-th begins, in seconds;
/// `are_over`: they took place. The people's numbers are in their names.
pub fn sql(engine: Engine, numbers: &Range<u64>, begins: &str, are_over: bool) -> String {
    let (from, last) = (numbers.start, numbers.end.saturating_sub(1));
    let (live, no) = match engine {
        Engine::Sqlite => ("1", "0"),
        Engine::Postgres => ("true", "false"),
    };
    let numbers = match engine {
        Engine::Sqlite => format!(
            "WITH RECURSIVE count (n) AS
               (SELECT {from} UNION ALL SELECT n + 1 FROM count WHERE n < {last})"
        ),
        Engine::Postgres => {
            format!("WITH count AS (SELECT n FROM generate_series({from}::bigint, {last}) n)")
        }
    };
    let id = |kind: u64| match engine {
        Engine::Sqlite => format!("unhex(printf('%012x700{kind}8%015x', {begins} * 1000, n))"),
        Engine::Postgres => format!(
            "(lpad(to_hex({begins} * 1000), 12, '0') || '700{kind}8' || lpad(to_hex(n), 15, '0'))::uuid"
        ),
    };
    let at = |secs: &str| match engine {
        Engine::Sqlite => format!("{secs} * 1000000"),
        Engine::Postgres => format!("to_timestamp({secs})"),
    };
    let (code, local) = match engine {
        Engine::Sqlite => (
            "printf('H%08X', n)",
            "strftime('%Y-%m-%dT%H:%M:%S+07:00', begins, 'unixepoch', '+7 hours')",
        ),
        Engine::Postgres => (
            "'H' || upper(lpad(to_hex(n), 8, '0'))",
            "to_char(to_timestamp(begins) AT TIME ZONE 'Asia/Krasnoyarsk',
               'YYYY-MM-DD\"T\"HH24:MI:SS\"+07:00\"')",
        ),
    };
    // What took place passes the guards, which would take an hour to look at ten million on PostgreSQL.
    let guards = match engine {
        Engine::Sqlite => "",
        Engine::Postgres if are_over => "SET LOCAL session_replication_role = replica;",
        Engine::Postgres => "",
    };
    let (visit, encounter) = (id(1), id(2));
    let (start, end) = (at("begins"), at(&format!("(begins + {SECS})")));
    let (status, stage, outcome, ended) = if are_over {
        ("fulfilled", "finished", "'completed'", end.as_str())
    } else {
        ("booked", "planned", "NULL", "NULL")
    };
    format!(
        "BEGIN; {guards}
         CREATE TEMPORARY TABLE doctor AS SELECT CAST(substr(d.name, 8) AS integer) AS at, d.id,
             d.organization_id, s.service_id
           FROM practitioners d JOIN practitioner_services s ON s.practitioner_id = d.id;
         CREATE TEMPORARY TABLE patient AS SELECT CAST(substr(name, 9) AS integer) AS at, id,
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
           SELECT id, {code}, '{status}', service, clinic, doctor, patient, {start}, {end}, {start},
             {end}, 'routine', {no}, 'video', 0, 0, 'Asia/Krasnoyarsk', {local}, account, {start},
             {start}, 1 FROM visit;
         INSERT INTO encounters (id, appointment_id, status, outcome, patient_id, practitioner_id,
             organization_id, starts_at, ended_at, updated_at)
           SELECT encounter, id, '{stage}', {outcome}, patient, doctor, clinic, {start}, {ended},
             {start} FROM visit;
         DROP TABLE visit;
         DROP TABLE patient;
         DROP TABLE doctor;
         COMMIT;"
    )
}
