//! Many want one time: one gets it. The checker reads the database only.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Barrier};

use diesel::RunQueryDsl;
use feldsher::base::db::Conn;
use futures_util::future::join_all;
use serde_json::{Value, json};

use crate::on_both;
use crate::support::world::{made, practitioner};
use crate::support::{Engine, World, key};

const CLIENTS: usize = 64;
const ROUNDS: usize = 200;

/// Pairs of live appointments that overlap for one doctor or one patient.
pub const OVERLAPS: &str = "
    SELECT count(*) AS n FROM appointments a JOIN appointments b ON a.id < b.id
    AND (a.practitioner_id = b.practitioner_id OR a.patient_id = b.patient_id)
    AND a.starts_at < b.ends_at AND b.starts_at < a.ends_at
    WHERE a.status IN ('pending', 'booked', 'arrived', 'fulfilled')
    AND b.status IN ('pending', 'booked', 'arrived', 'fulfilled')";

/// Pairs of live appointments whose times, with what they keep clear, overlap for one doctor.
pub const OVERLAPS_WITH_BUFFERS: &str = "
    SELECT count(*) AS n FROM appointments a JOIN appointments b ON a.id < b.id
    AND a.practitioner_id = b.practitioner_id AND a.busy_from < b.busy_to AND b.busy_from < a.busy_to
    WHERE a.status IN ('pending', 'booked', 'arrived', 'fulfilled')
    AND b.status IN ('pending', 'booked', 'arrived', 'fulfilled')";

async fn crowd(world: &World) -> Vec<String> {
    let register = (0..CLIENTS).map(|number| {
        let body = json!({
            "name": format!("Пациент {number}"), "birth_date": "1980-01-01",
            "location": world.village, "organization": world.clinic
        });
        made(&world.registrar.client, "/v1/patients", body)
    });
    let made = join_all(register).await;
    made.iter().map(|patient| patient["id"].as_str().unwrap().to_owned()).collect()
}

/// The n-th twenty minutes of the doctor's working weeks, as an instant.
fn start(number: usize, late_minutes: usize) -> String {
    let (day, slot) = (number / 24, number % 24);
    let days_ahead = 1 + day + 2 * ((day + 1) / 5);
    let minutes = slot * 20 + late_minutes;
    let at = chrono::DateTime::parse_from_rfc3339("2026-11-23T09:00:00+07:00").unwrap()
        + chrono::TimeDelta::minutes(i64::try_from(days_ahead * 24 * 60 + minutes).unwrap());
    at.to_rfc3339()
}

on_both! {
    async fn of_64_clients_for_one_slot_one_wins_in_each_of_200_rounds(world: World) {
        let patients = crowd(world).await;
        let mut won = 0;
        for round in 0..ROUNDS {
            let rush = patients.iter().map(|patient| {
                let mut wish = world.wish(&start(round, 0));
                wish["patient"] = json!(patient);
                let client = &world.registrar.client;
                async move { client.once("/v1/appointments", &key(), &wish).await }
            });
            let answers = join_all(rush).await;
            let booked = answers.iter().filter(|answer| answer.status == 201).count();
            assert_eq!(booked, 1, "round {round}");
            won += booked;
            for answer in answers.iter().filter(|answer| answer.status != 201) {
                assert_eq!(answer.refused(409), "slot_taken");
            }
        }
        assert_eq!(world.house.count(OVERLAPS), 0);
        let live = "SELECT count(*) AS n FROM appointments WHERE status = 'booked'";
        assert_eq!(world.house.count(live), i64::try_from(won).unwrap());
    }
}

on_both! {
    async fn visits_of_different_lengths_never_overlap(world: World) {
        let patients = crowd(world).await;
        for round in 0..20 {
            let rush = patients.iter().enumerate().map(|(number, patient)| {
                // Twenty and forty-five minutes, begun at any five minutes of the next hour.
                let service = if number % 3 == 0 { &world.long_service } else { &world.service };
                let wish = json!({
                    "service": service, "practitioner": world.doctor.id, "patient": patient,
                    "start": start(round * 3, (number * 5) % 60),
                });
                let client = &world.registrar.client;
                async move { client.once("/v1/appointments", &key(), &wish).await }
            });
            let answers = join_all(rush).await;
            assert!(answers.iter().any(|answer| answer.status == 201), "round {round}");
            for answer in answers {
                assert!([201, 409, 422].contains(&answer.status.as_u16()), "{}", answer.text);
            }
        }
        assert_eq!(world.house.count(OVERLAPS), 0);
    }
}

on_both! {
    async fn a_patient_who_books_everywhere_at_once_has_one_visit(world: World) {
        for round in 0..10 {
            let wishes = [
                json!({"service": world.service, "practitioner": world.doctor.id, "start": start(round, 0)}),
                json!({"service": world.other_service, "practitioner": world.stranger.id, "start": start(round, 0)}),
            ];
            let rush = wishes.iter().cycle().take(16).map(|wish| async move {
                world.asha.client.once("/v1/appointments", &key(), wish).await
            });
            let answers = join_all(rush).await;
            let booked = answers.iter().filter(|answer| answer.status == 201).count();
            assert_eq!(booked, 1, "round {round}");
        }
        assert_eq!(world.house.count(OVERLAPS), 0);
    }
}

on_both! {
    async fn one_key_sent_100_times_books_once_and_answers_100_times_the_same(world: World) {
        let wish = world.wish(&start(0, 0));
        let key = key();
        let sent = (0..100).map(|_| world.asha.client.once("/v1/appointments", &key, &wish));
        let answers = join_all(sent).await;
        let first = &answers[0].body;
        assert!(first["id"].is_string(), "{}", answers[0].text);
        for answer in &answers {
            assert_eq!(answer.status, 201);
            assert_eq!(&answer.body, first);
        }
        let replayed = |answer: &&crate::support::Answer| answer.header("idempotent-replayed") == Some("true");
        assert_eq!(answers.iter().filter(replayed).count(), 99);
        assert_eq!(world.house.count("SELECT count(*) AS n FROM appointments"), 1);

        let mut other: Value = wish.clone();
        other["reason"] = json!("another body");
        let refused = world.asha.client.once("/v1/appointments", &key, &other).await;
        assert_eq!(refused.refused(422), "idempotency_key_reused");
        // The same key of another person is another key.
        let mut for_boris = wish.clone();
        for_boris["start"] = json!(start(1, 0));
        world.boris.client.once("/v1/appointments", &key, &for_boris).await.expect(201);
    }
}

on_both! {
    async fn the_database_itself_refuses_what_would_book_twice(world: World) {
        let booked = world.booked(&start(0, 0)).await;
        let id = booked["id"].as_str().unwrap().replace('-', "");
        let id = match world.house.engine {
            Engine::Sqlite => format!("x'{id}'"),
            Engine::Postgres => format!("'{id}'"),
        };
        let no = match world.house.engine {
            Engine::Sqlite => "0",
            Engine::Postgres => "false",
        };
        let mut attacks = vec![
            format!("UPDATE occupancies SET live = {no} WHERE appointment_id = {id}"),
            format!("UPDATE occupancies SET ends_at = starts_at WHERE appointment_id = {id}"),
            format!("UPDATE occupancies SET resource_kind = 'room' WHERE appointment_id = {id}"),
            format!("UPDATE occupancies SET lane = 1 WHERE appointment_id = {id}"),
            format!(
                "UPDATE occupancies SET lane = 1 WHERE resource_kind = 'practitioner' \
                 AND appointment_id = {id}"
            ),
            format!("UPDATE appointments SET priority = 'urgent' WHERE id = {id}"),
            format!("UPDATE appointments SET resources = 1 WHERE id = {id}"),
            format!("UPDATE appointments SET busy_from = ends_at WHERE id = {id}"),
            format!("UPDATE appointments SET status = 'noshow' WHERE id = {id}"),
            format!("UPDATE appointments SET status = 'cancelled' WHERE id = {id}"),
            format!("DELETE FROM occupancies WHERE appointment_id = {id}"),
            format!("DELETE FROM appointments WHERE id = {id}"),
            format!("UPDATE appointments SET code = 'XXXXXX' WHERE id = {id}"),
            "TRUNCATE occupancies CASCADE".to_owned(),
        ];
        if world.house.engine == Engine::Sqlite {
            attacks.pop();
            for table in ["occupancies", "appointments"] {
                attacks.push(format!("UPDATE OR REPLACE {table} SET rowid = rowid + 1"));
                attacks.push(format!("INSERT OR REPLACE INTO {table} SELECT * FROM {table}"));
            }
            attacks.push(
                "INSERT OR REPLACE INTO occupancies (rowid, appointment_id, resource_kind, \
                 resource_id, lane, starts_at, ends_at, live) SELECT rowid, randomblob(16), \
                 resource_kind, resource_id, lane, starts_at, ends_at, 0 FROM occupancies"
                    .to_owned(),
            );
        }
        for attack in attacks {
            assert!(world.house.execute(&attack).is_err(), "{attack}");
        }
        let live = "SELECT count(*) AS n FROM occupancies WHERE live";
        assert_eq!(world.house.count(live), 2);
        let wish = world.wish(&start(0, 0));
        let again = world.boris.client.once("/v1/appointments", &key(), &wish).await;
        assert_eq!(again.refused(409), "slot_taken");
    }
}

/// Everything that visits hold, as one text.
fn holdings(world: &World) -> String {
    let sql = match world.house.engine {
        Engine::Sqlite => {
            "SELECT group_concat(t, ';') AS t FROM (
               SELECT quote(appointment_id) || resource_kind || quote(resource_id) || lane
                 || '|' || starts_at || '|' || ends_at || '|' || live AS t FROM occupancies
               UNION ALL SELECT quote(id) || status || starts_at || '|' || ends_at || '|'
                 || busy_from || '|' || busy_to || quote(practitioner_id) || quote(patient_id)
               FROM appointments ORDER BY 1)"
        }
        Engine::Postgres => {
            "SELECT string_agg(t, ';' ORDER BY t) AS t FROM (
               SELECT o::text AS t FROM occupancies o UNION ALL
               SELECT concat_ws('|', id, status, starts_at, ends_at, busy_from, busy_to,
                 practitioner_id, patient_id) FROM appointments) AS x"
        }
    };
    world.house.text(sql)
}

/// A second visit of the same doctor at the time of the first, written past the application:
/// what it holds, then the row itself. `shift` is added to its times.
fn second_visit(engine: Engine, first: &str, how: &str, lane: u8, shift_minutes: i64) -> String {
    let (fresh, code, add) = match engine {
        Engine::Sqlite => {
            let micros = shift_minutes * 60_000_000;
            ("x'00000000000000000000000000000abc'", "'ATTACK'", format!(" + {micros}"))
        }
        Engine::Postgres => (
            "'00000000-0000-0000-0000-000000000abc'::uuid",
            "'ATTACK'",
            format!(" + interval '{shift_minutes} minutes'"),
        ),
    };
    let (overbooked, before, after) = match (engine, lane) {
        (Engine::Sqlite, 0) => ("0", how, ""),
        (Engine::Sqlite, _) => ("1", how, ""),
        (Engine::Postgres, 0) => ("false", "", how),
        (Engine::Postgres, _) => ("true", "", how),
    };
    format!(
        "BEGIN;
         INSERT {before} INTO occupancies
           (appointment_id, resource_kind, resource_id, lane, starts_at, ends_at, live)
         SELECT {fresh}, resource_kind, resource_id,
           CASE resource_kind WHEN 'practitioner' THEN {lane} ELSE 0 END,
           starts_at{add}, ends_at{add}, live
         FROM occupancies WHERE appointment_id = {first} AND resource_kind = 'practitioner' {after};
         INSERT {before} INTO occupancies
           (appointment_id, resource_kind, resource_id, lane, starts_at, ends_at, live)
         SELECT {fresh}, 'patient', (SELECT id FROM patients WHERE name LIKE 'Борис%'), 0,
           starts_at{add}, ends_at{add}, live
         FROM occupancies WHERE appointment_id = {first} AND resource_kind = 'patient' {after};
         INSERT {before} INTO appointments
           (id, code, status, service_id, organization_id, practitioner_id, patient_id, starts_at,
            ends_at, busy_from, busy_to, priority, overbooked, mode, moves, resources, time_zone,
            local_start, created_by, created_at, updated_at, version)
         SELECT {fresh}, {code}, status, service_id, organization_id, practitioner_id,
           (SELECT id FROM patients WHERE name LIKE 'Борис%'), starts_at{add}, ends_at{add},
           busy_from{add}, busy_to{add}, priority, {overbooked}, mode, 0, 0, time_zone,
           local_start, created_by, created_at, updated_at, 1
         FROM appointments WHERE id = {first} {after};
         COMMIT;"
    )
}

on_both! {
    async fn what_is_written_past_the_application_cannot_book_twice_either(world: World) {
        let engine = world.house.engine;
        let booked = world.booked(&start(0, 0)).await;
        let other = json!({"service": world.service, "practitioner": world.doctor.id,
            "start": start(1, 0)});
        let other = made(&world.boris.client, "/v1/appointments", other).await;
        let literal = |body: &Value| {
            let hex = body["id"].as_str().unwrap().replace('-', "");
            match engine {
                Engine::Sqlite => format!("x'{hex}'"),
                Engine::Postgres => format!("'{hex}'"),
            }
        };
        let (first, second) = (literal(&booked), literal(&other));
        let hows: &[&str] = match engine {
            Engine::Sqlite => &["", "OR IGNORE", "OR REPLACE", "OR FAIL", "OR ROLLBACK", "OR ABORT"],
            Engine::Postgres => &["", "ON CONFLICT DO NOTHING"],
        };
        let mut attacks = Vec::new();
        for how in hows {
            for shift in [0, 10, -10] {
                attacks.push(second_visit(engine, &first, how, 0, shift));
            }
        }
        let update_hows: &[&str] = match engine {
            Engine::Sqlite => &["", "OR IGNORE", "OR REPLACE", "OR FAIL", "OR ROLLBACK"],
            Engine::Postgres => &[""],
        };
        for how in update_hows {
            // A move onto the other, of the row, of what it holds, and of all at once.
            attacks.push(format!(
                "UPDATE {how} appointments SET (starts_at, ends_at, busy_from, busy_to) =
                 (SELECT starts_at, ends_at, busy_from, busy_to FROM appointments WHERE id = {first})
                 WHERE id = {second}"
            ));
            attacks.push(format!(
                "UPDATE {how} occupancies SET (starts_at, ends_at) =
                 (SELECT starts_at, ends_at FROM appointments WHERE id = {first})"
            ));
            attacks.push(format!(
                "UPDATE {how} occupancies SET resource_id = (SELECT practitioner_id FROM \
                 appointments WHERE id = {first}) WHERE appointment_id = {first}"
            ));
            attacks.push(format!(
                "UPDATE {how} appointments SET patient_id = practitioner_id WHERE id = {first}"
            ));
            attacks.push(format!("UPDATE {how} occupancies SET appointment_id = {second} \
                WHERE appointment_id = {first}"));
        }
        // One more thing that the visit holds, after the fact.
        let one_more = match engine {
            Engine::Sqlite => "randomblob(16)",
            Engine::Postgres => "gen_random_uuid()",
        };
        for kind in ["room", "patient", "practitioner", "interpreter"] {
            attacks.push(format!(
                "INSERT INTO occupancies
                   (appointment_id, resource_kind, resource_id, lane, starts_at, ends_at, live)
                 SELECT appointment_id, '{kind}', {one_more}, 0, starts_at, ends_at, live
                 FROM occupancies WHERE appointment_id = {first} AND resource_kind = 'patient'"
            ));
        }
        let before = holdings(world);
        assert!(attacks.len() >= 15, "{}", attacks.len());
        for attack in &attacks {
            // Whether it is refused or does nothing, it must not have done anything.
            drop(world.house.execute(attack));
            assert!(holdings(world) == before, "{attack}");
        }
        assert_eq!(world.house.count(OVERLAPS), 0);
        // The second lane is another time: that is what overbooking is, and only once.
        world.house.execute(&second_visit(engine, &first, "", 1, 0)).unwrap();
        let third = second_visit(engine, &first, "", 1, 0).replace("abc'", "abd'").replace("ATTACK", "ATTAKK");
        world.house.execute(&third).unwrap_err();
    }
}

/// Two deeds that lock two things in opposite order, and wait for one another.
#[actix_web::test]
async fn of_two_deeds_that_wait_for_one_another_both_are_done_on_postgres() {
    let world = World::build(Engine::Postgres).await;
    let database = &world.house.app.db;
    let meeting = Arc::new(Barrier::new(2));
    let tries = Arc::new(AtomicUsize::new(0));
    let deed = |first: i64, second: i64| {
        let (meeting, tries) = (Arc::clone(&meeting), Arc::clone(&tries));
        database.write(move |conn: &mut Conn| -> diesel::QueryResult<()> {
            lock(conn, first)?;
            // Only the first time: whoever comes again meets nobody.
            if tries.fetch_add(1, Ordering::SeqCst) < 2 {
                meeting.wait();
            }
            lock(conn, second)
        })
    };
    let (one, other) = futures_util::future::join(deed(1, 2), deed(2, 1)).await;
    one.unwrap().unwrap();
    other.unwrap().unwrap();
    assert_eq!(tries.load(Ordering::SeqCst), 3, "one of them was done again");
}

fn lock(conn: &mut Conn, key: i64) -> diesel::QueryResult<()> {
    let lock = diesel::sql_query(format!("SELECT pg_advisory_xact_lock({key})"));
    lock.execute(conn).map(|_| ())
}

on_both! {
    async fn who_moves_to_a_free_room_and_who_books_one_do_not_wait_for_one_another(world: World) {
        let patients = crowd(world).await;
        let admin = &world.admin.client;
        let path = format!("/v1/healthcare-services/{}", world.service);
        let version = admin.get(&path).await.expect(200)["version"].as_i64().unwrap();
        let needs = json!({"resources": ["device", "room"]});
        admin.edit(actix_web::http::Method::PATCH, &path, version, &needs).await.expect(200);
        for kind in ["room", "device"] {
            for name in ["А", "Б", "В"] {
                let body = json!({"kind": kind, "name": name, "organization": world.clinic,
                    "location": world.village});
                made(admin, "/v1/resources", body).await;
            }
        }
        let office = &world.registrar.client;
        for login in ["second.race", "third.race", "fourth.race"] {
            let service = [world.service.as_str()];
            let who = practitioner(
                &world.house, admin, &world.clinic, "Врач", "doctor", login, &service,
            ).await;
            let days = ["mon", "tue", "wed", "thu", "fri"];
            let rules = days.map(|day| json!({"weekday": day, "from": "09:00", "to": "17:00"}));
            let path = format!("/v1/practitioners/{}/schedule", who.id);
            let put = actix_web::http::Method::PUT;
            office.edit(put, &path, 1, &json!({ "rules": rules })).await.expect(200);
        }
        let book = async |patient: &String, round: usize| {
            let wish = json!({"service": world.service, "patient": patient,
                "start": start(round, 0)});
            office.once("/v1/appointments", &key(), &wish).await
        };
        for round in 0..12 {
            let first = book(&patients[0], 2 * round).await.expect(201);
            // What the first visit has is taken there, or soon will be.
            book(&patients[12], 2 * round + 1).await.expect(201);
            let path = format!("/v1/appointments/{}/reschedule", first["id"].as_str().unwrap());
            let elsewhere = json!({"start": start(2 * round + 1, 0)});
            let once = key();
            let rush = join_all(patients[1..12].iter().map(|patient| book(patient, 2 * round + 1)));
            let moves = office.once(&path, &once, &elsewhere);
            let (answer, answers) = futures_util::future::join(moves, rush).await;
            for answer in answers.iter().chain([&answer]) {
                assert!([200, 201, 409].contains(&answer.status.as_u16()), "{}", answer.text);
            }
        }
        assert_eq!(world.house.count(OVERLAPS), 0);
        if world.house.engine == Engine::Postgres {
            let circles = "SELECT deadlocks AS n FROM pg_stat_database
                WHERE datname = current_database()";
            assert_eq!(world.house.count(circles), 0, "nobody waited in a circle");
        }
    }
}
