//! Deeds beside one another on PostgreSQL: in one order, so that nobody waits in a circle
//! (`docs/architecture.md`, "Who waits for whom").

use actix_web::http::Method;
use actix_web::rt;
use chrono::TimeDelta;
use futures_util::future::join;
use serde_json::{Value, json};

use crate::clocks::{THE_END, locked, put_right, so_many_wait, turn_of};
use crate::support::world::made;
use crate::support::{Client, Engine, World, key};

const MONDAY_920: &str = "2026-11-23T09:20:00+07:00";
const TUESDAY_9: &str = "2026-11-24T09:00:00+07:00";
const WEDNESDAY_9: &str = "2026-11-25T09:00:00+07:00";

/// Nobody was ended so that somebody else could go on. The server counts a circle when the one that it
/// has ended has nothing to do, a moment later.
async fn nobody_waited_in_a_circle(world: &World) {
    let circles = "SELECT deadlocks AS n FROM pg_stat_database WHERE datname = current_database()";
    for _ in 0..15 {
        assert_eq!(world.house.count(circles), 0, "somebody waited in a circle");
        rt::time::sleep(std::time::Duration::from_millis(100)).await;
    }
}

async fn needs_a_room(world: &World, service: &str, clinic: &str) {
    let admin = &world.admin.client;
    let path = format!("/v1/healthcare-services/{service}");
    let version = admin.get(&path).await.expect(200)["version"].as_i64().unwrap();
    let needs = json!({"resources": ["room"]});
    admin.edit(Method::PATCH, &path, version, &needs).await.expect(200);
    for name in ["А", "Б"] {
        let room = json!({"kind": "room", "name": name, "organization": clinic,
            "location": world.village});
        made(admin, "/v1/resources", room).await;
    }
}

async fn moves(client: &Client, visit: &Value, start: &str) -> crate::support::Answer {
    let path = format!("/v1/appointments/{}/reschedule", visit["id"].as_str().unwrap());
    client.once(&path, &key(), &json!({ "start": start })).await
}

#[actix_web::test]
async fn who_moves_a_visit_gives_up_what_is_held_for_it_in_their_turn() {
    let world = &World::build(Engine::Postgres).await;
    needs_a_room(world, &world.service, &world.clinic).await;
    let visit = world.booked(TUESDAY_9).await;
    let office = &world.registrar.client;
    let path = format!("/v1/practitioners/{}/absences", world.doctor.id);
    let nine = json!({"from": TUESDAY_9, "to": "2026-11-24T09:20:00+07:00"});
    let absence = office.once(&path, &key(), &nine).await.expect(201);
    let path = format!("/v1/absences/{}/outcomes", absence["id"].as_str().unwrap());
    let offered = json!({"outcomes": [{"appointment": visit["id"], "outcome": "offered"}]});
    office.once(&path, &key(), &offered).await.expect(200);
    // Whoever puts the zone right has the clinic's turn, and waits for the visit.
    let visits = "SELECT 1 FROM appointments WHERE status = 'booked' FOR UPDATE";
    let go = locked(world, visits.to_owned()).await;
    let moving = async {
        so_many_wait(world, 1).await;
        join(moves(&world.asha.client, &visit, WEDNESDAY_9), async {
            so_many_wait(world, 2).await;
            go.send(()).unwrap();
        })
        .await
        .0
    };
    let (changed, moved) = join(put_right(world), moving).await;
    changed.expect(200);
    assert_eq!(moved.expect(200)["local_start"], "2026-11-25T10:00:00+08:00");
    nobody_waited_in_a_circle(world).await;
}

#[actix_web::test]
async fn a_zone_is_put_right_beside_a_first_booking_at_another_clinic() {
    // One more connection than there are that wait.
    let world = &World::build_with(Engine::Postgres, |config| config.database.workers = 8).await;
    let first = "SELECT count(*) AS n FROM patients a, patients b
        WHERE a.name LIKE 'Аша%' AND b.name LIKE 'Борис%' AND a.ctid < b.ctid";
    assert_eq!(world.house.count(first), 1, "a zone is changed for her before it is for him");
    let book = async |client: &Client, start: &str| {
        let wish = json!({"service": world.other_service, "practitioner": world.stranger.id,
            "start": start});
        client.once("/v1/appointments", &key(), &wish).await
    };
    needs_a_room(world, &world.other_service, &world.other_clinic).await;
    // His is all but there; hers, which shares the clinic's turn, begins when his zone is waited for.
    let go = locked(world, THE_END.to_owned()).await;
    let his = book(&world.boris.client, TUESDAY_9);
    let rest = async {
        so_many_wait(world, 1).await;
        let hers = async {
            so_many_wait(world, 2).await;
            join(book(&world.asha.client, WEDNESDAY_9), async {
                so_many_wait(world, 3).await;
                go.send(()).unwrap();
            })
            .await
            .0
        };
        join(put_right(world), hers).await
    };
    let (his, (changed, hers)) = join(his, rest).await;
    his.expect(201);
    assert_eq!(changed.expect(200)["broken_promises"], 1);
    assert_eq!(hers.expect(201)["local_start"], "2026-11-25T10:00:00+08:00");
    let tasks = "SELECT count(*) AS n FROM tasks WHERE code = 'promises' AND status = 'requested'";
    assert_eq!(world.house.count(tasks), 1, "that clinic has a task");
    nobody_waited_in_a_circle(world).await;
}

/// A visit of this morning that was missed, and one of tomorrow that was called off.
async fn two_to_bring_back(world: &World) -> (Client, [String; 2]) {
    let missed = world.booked(MONDAY_920).await;
    let off = world.booked(TUESDAY_9).await;
    world.house.advance(TimeDelta::minutes(21));
    let office = world.resigned(&world.registrar).await.client;
    let path = |visit: &Value| format!("/v1/appointments/{}", visit["id"].as_str().unwrap());
    office.post(&format!("{}/noshow", path(&missed)), &json!({})).await.expect(200);
    office.post(&format!("{}/cancel", path(&off)), &json!({})).await.expect(200);
    (office, [path(&missed), path(&off)])
}

fn days(first: &str, last: &str) -> Value {
    json!({"from": format!("2026-11-{first}T00:00:00Z"), "to": format!("2026-11-{last}T12:00:00Z")})
}

#[actix_web::test]
async fn an_absence_that_is_saved_beside_an_undo_finds_the_visit() {
    let world = &World::build(Engine::Postgres).await;
    let (office, [missed, off]) = two_to_bring_back(world).await;
    let absences = format!("/v1/practitioners/{}/absences", world.doctor.id);
    for (visit, day) in [(missed, days("23", "23")), (off, days("24", "24"))] {
        let go = locked(world, THE_END.to_owned()).await;
        let (undo, empty, once) = (format!("{visit}/undo"), json!({}), key());
        let saving = async {
            so_many_wait(world, 1).await;
            join(office.once(&absences, &once, &day), async {
                so_many_wait(world, 2).await;
                go.send(()).unwrap();
            })
            .await
            .0
        };
        let (undone, saved) = join(office.post(&undo, &empty), saving).await;
        undone.expect(200);
        let saved = saved.expect(201);
        assert_eq!((&saved["status"], &saved["affected_count"]), (&json!("open"), &json!(1)));
    }
    nobody_waited_in_a_circle(world).await;
}

#[actix_web::test]
async fn an_undo_beside_an_absence_or_a_closure_that_is_saved_finds_it() {
    let world = &World::build(Engine::Postgres).await;
    let (office, [_, off]) = two_to_bring_back(world).await;
    let absences = format!("/v1/practitioners/{}/absences", world.doctor.id);
    let closures = format!("/v1/organizations/{}/closures", world.clinic);
    let closed = json!({"name": {"en": "Day off", "ru": "Выходной"}, "from_date": "2026-11-24",
        "to_date": "2026-11-24"});
    for (path, body) in [(&closures, closed), (&absences, days("24", "24"))] {
        let go = locked(world, THE_END.to_owned()).await;
        let (undo, empty, once) = (format!("{off}/undo"), json!({}), key());
        let undoing = async {
            so_many_wait(world, 1).await;
            join(office.post(&undo, &empty), async {
                so_many_wait(world, 2).await;
                go.send(()).unwrap();
            })
            .await
            .0
        };
        let (saved, undone) = join(office.once(path, &once, &body), undoing).await;
        assert_eq!(saved.expect(201)["affected_count"], 0);
        assert_eq!(undone.refused(422), "outside_hours");
    }
    nobody_waited_in_a_circle(world).await;
}

#[actix_web::test]
async fn who_holds_a_time_and_who_moves_a_visit_of_one_patient_do_not_wait_in_a_circle() {
    let world = &World::build(Engine::Postgres).await;
    // A day's number of visits is counted under the practitioner's lock, which comes after the turns.
    let path = format!("/v1/healthcare-services/{}", world.service);
    let cap = json!({"booking": {"daily_cap": 10}});
    world.admin.client.edit(Method::PATCH, &path, 1, &cap).await.expect(200);
    let visit = world.booked(TUESDAY_9).await;
    let go = locked(world, turn_of(&world.asha.id)).await;
    let mut held = world.wish("2026-11-24T10:00:00+07:00");
    held["hold"] = json!(true);
    let once = key();
    let holding = world.asha.client.once("/v1/appointments", &once, &held);
    let moving = async {
        so_many_wait(world, 1).await;
        join(moves(&world.asha.client, &visit, WEDNESDAY_9), async {
            so_many_wait(world, 2).await;
            go.send(()).unwrap();
        })
        .await
        .0
    };
    let (held, moved) = join(holding, moving).await;
    held.expect(201);
    moved.expect(200);
    nobody_waited_in_a_circle(world).await;
}

#[actix_web::test]
async fn a_visit_that_is_booked_as_a_plan_is_completed_keeps_its_absence_open() {
    let world = &World::build(Engine::Postgres).await;
    let office = &world.registrar.client;
    let path = format!("/v1/practitioners/{}/illness-plans", world.doctor.id);
    let plan = office.once(&path, &key(), &days("24", "24")).await.expect(201);
    // Whoever completes an absence has looked at its visits, and waits before the schema does.
    let waits = "CREATE FUNCTION waits() RETURNS trigger LANGUAGE plpgsql AS $$
        BEGIN PERFORM pg_advisory_xact_lock(4711); RETURN NEW; END $$;
        CREATE TRIGGER absences_about_to BEFORE UPDATE ON absences FOR EACH ROW
        WHEN (NEW.status = 'complete') EXECUTE FUNCTION waits()";
    world.house.execute(waits).unwrap();
    let go = locked(world, "SELECT pg_advisory_xact_lock(4711)".to_owned()).await;
    let (once, empty) = (key(), json!({}));
    let apply = format!("/v1/illness-plans/{}/apply", plan["id"].as_str().unwrap());
    let booking = async {
        so_many_wait(world, 1).await;
        let visit = world.booked(TUESDAY_9).await;
        go.send(()).unwrap();
        visit
    };
    let (applied, visit) = join(office.once(&apply, &once, &empty), booking).await;
    let absence = format!("/v1/absences/{}", applied.expect(200)["absence"].as_str().unwrap());
    let shown = office.get(&absence).await.expect(200);
    assert_eq!((&shown["status"], &shown["open_count"]), (&json!("open"), &json!(1)));
    let refused = office.post(&format!("{absence}/complete"), &empty).await;
    assert_eq!(refused.refused(409), "visits_open");
    assert_eq!(refused.body["visits"][0]["id"], visit["id"]);
}
