//! A zone that is put right, or that nobody knows any more, beside deeds that go by it.

use std::sync::{Arc, Mutex, mpsc};
use std::time::Duration;

use actix_web::http::Method;
use actix_web::rt;
use chrono::TimeDelta;
use diesel::RunQueryDsl;
use feldsher::base::db::Conn;
use serde_json::{Value, json};

use crate::on_both;
use crate::support::visit::encounter_of;
use crate::support::{Answer, Engine, World, key};

const TUESDAY_9: &str = "2026-11-24T09:00:00+07:00";
const RIGHT: &str = "Asia/Irkutsk";

/// Locks something in a transaction of its own, until the answer is used.
pub async fn locked(world: &World, sql: String) -> mpsc::Sender<()> {
    let (go, wait) = mpsc::channel();
    let (has, ready) = mpsc::channel();
    let wait = Arc::new(Mutex::new(wait));
    let app = Arc::clone(&world.house.app);
    rt::spawn(async move {
        let held = move |conn: &mut Conn| -> diesel::QueryResult<()> {
            diesel::sql_query(&sql).execute(conn)?;
            has.send(()).ok();
            wait.lock().unwrap().recv().ok();
            Ok(())
        };
        app.db.write(held).await.unwrap().unwrap();
    });
    while ready.try_recv().is_err() {
        rt::time::sleep(Duration::from_millis(5)).await;
    }
    go
}

/// Until so many transactions wait for another.
pub async fn so_many_wait(world: &World, many: i64) {
    let waiting = "SELECT count(*) AS n FROM pg_stat_activity
        WHERE datname = current_database() AND wait_event_type = 'Lock'";
    for _ in 0..1000 {
        if world.house.count(waiting) == many {
            return;
        }
        rt::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("{many} should wait");
}

/// What whoever holds a time for a patient, or moves their visit, waits for after having read the patient.
pub fn turn_of(patient: &str) -> String {
    let [.., a, b, c, d, e, f, g, h] = patient.parse::<uuid::Uuid>().unwrap().into_bytes();
    let key = i64::from_be_bytes([a, b, c, d, e, f, g, h]);
    format!("SELECT pg_advisory_xact_lock({key})")
}

/// What every deed waits for when all but its commit is done.
pub const THE_END: &str = "SELECT 1 FROM audit_heads FOR UPDATE";

pub async fn put_right(world: &World) -> Answer {
    let village = format!("/v1/locations/{}", world.village);
    world.admin.client.edit(Method::PATCH, &village, 1, &json!({"time_zone": RIGHT})).await
}

/// The zone is put right when a deed has read the wrong one and waits; then the deed goes on.
async fn put_right_before(
    world: &World,
    deed: impl Future<Output = Answer>,
    go: mpsc::Sender<()>,
) -> (Answer, Value) {
    let change = async {
        so_many_wait(world, 1).await;
        let changed = put_right(world).await;
        go.send(()).unwrap();
        changed.expect(200)
    };
    futures_util::future::join(deed, change).await
}

/// The zone is being put right while a deed has done all but its commit; then the deed goes on.
async fn put_right_after(
    world: &World,
    deed: impl Future<Output = Answer>,
    go: mpsc::Sender<()>,
) -> (Answer, Value) {
    let change = async {
        so_many_wait(world, 1).await;
        let goes_on = async {
            so_many_wait(world, 2).await;
            go.send(()).unwrap();
        };
        futures_util::future::join(put_right(world), goes_on).await.0.expect(200)
    };
    futures_util::future::join(deed, change).await
}

async fn shown(world: &World, visit: &Value) -> Value {
    let path = format!("/v1/appointments/{}", visit["id"].as_str().unwrap());
    world.asha.client.get(&path).await.expect(200)
}

#[actix_web::test]
async fn who_has_read_a_wrong_zone_books_by_the_right_one() {
    let world = &World::build(Engine::Postgres).await;
    let go = locked(world, turn_of(&world.asha.id)).await;
    let mut wish = world.wish(TUESDAY_9);
    wish["hold"] = json!(true);
    let once = key();
    let booking = world.asha.client.once("/v1/appointments", &once, &wish);
    let (booked, changed) = put_right_before(world, booking, go).await;
    assert_eq!(changed["broken_promises"], 0);
    let booked = booked.expect(201);
    assert_eq!(booked["time_zone"], RIGHT);
    assert_eq!(booked["local_start"], "2026-11-24T10:00:00+08:00");
}

#[actix_web::test]
async fn a_zone_is_put_right_after_the_booking_that_is_being_made_by_it() {
    let world = &World::build(Engine::Postgres).await;
    let go = locked(world, THE_END.to_owned()).await;
    let wish = world.wish(TUESDAY_9);
    let once = key();
    let booking = world.asha.client.once("/v1/appointments", &once, &wish);
    let (booked, changed) = put_right_after(world, booking, go).await;
    let booked = booked.expect(201);
    assert_eq!(booked["local_start"], TUESDAY_9, "so they were told");
    assert_eq!(changed["broken_promises"], 1);
    let kept = shown(world, &booked).await;
    assert_eq!((&kept["time_zone"], &kept["local_start"]), (&json!(RIGHT), &json!(TUESDAY_9)));
    let list = format!("/v1/organizations/{}/broken-promises", world.clinic);
    let broken = world.registrar.client.get(&list).await.expect(200);
    assert_eq!(broken["items"][0]["id"], booked["id"]);
}

#[actix_web::test]
async fn who_has_read_a_wrong_zone_moves_a_visit_by_the_right_one() {
    let world = &World::build(Engine::Postgres).await;
    let booked = world.booked(TUESDAY_9).await;
    let go = locked(world, turn_of(&world.asha.id)).await;
    let path = format!("/v1/appointments/{}/reschedule", booked["id"].as_str().unwrap());
    let (once, to) = (key(), json!({"start": "2026-11-24T11:00:00+07:00"}));
    let moving = world.asha.client.once(&path, &once, &to);
    let (moved, changed) = put_right_before(world, moving, go).await;
    assert_eq!(changed["broken_promises"], 1);
    let moved = moved.expect(200);
    assert_eq!(moved["time_zone"], RIGHT);
    assert_eq!(moved["local_start"], "2026-11-24T12:00:00+08:00");
}

#[actix_web::test]
async fn who_comes_to_live_at_a_place_has_its_right_zone() {
    let world = &World::build(Engine::Postgres).await;
    let go = locked(world, THE_END.to_owned()).await;
    let body = json!({"name": "Вера Иная", "birth_date": "1961-04-12", "language": "ru",
        "location": world.village, "organization": world.clinic});
    let once = key();
    let coming = world.registrar.client.once("/v1/patients", &once, &body);
    let (patient, _) = put_right_after(world, coming, go).await;
    let path = format!("/v1/patients/{}", patient.expect(201)["id"].as_str().unwrap());
    let patient = world.registrar.client.get(&path).await.expect(200);
    assert_eq!(patient["time_zone"], RIGHT);
}

on_both! {
    async fn what_is_booked_again_goes_by_the_zone_that_was_put_right_meanwhile(world: World) {
        let booked = world.booked(TUESDAY_9).await;
        let path = |act: &str| format!("/v1/appointments/{}/{act}", booked["id"].as_str().unwrap());
        let registrar = &world.registrar.client;
        registrar.post(&path("cancel"), &json!({})).await.expect(200);
        assert_eq!(put_right(world).await.expect(200)["broken_promises"], 0);
        assert_eq!(registrar.get("/v1/tasks").await.expect(200)["items"], json!([]));
        let back = registrar.post(&path("undo"), &json!({})).await.expect(200);
        assert_eq!((&back["time_zone"], &back["local_start"]), (&json!(RIGHT), &json!(TUESDAY_9)));
        assert_eq!(registrar.get("/v1/tasks").await.expect(200)["items"][0]["code"], "promises");
    }
}

on_both! {
    async fn what_was_ended_or_missed_by_mistake_goes_by_the_zone_that_was_put_right_meanwhile(
        world: World
    ) {
        let ended = world.booked(TUESDAY_9).await;
        let missed = world.booked("2026-11-23T09:20:00+07:00").await;
        let doctor = &world.doctor.client;
        let visit = format!("/v1/encounters/{}", encounter_of(&ended));
        doctor.post(&format!("{visit}/convert"), &json!({"to": "phone"})).await.expect(200);
        world.house.advance(TimeDelta::minutes(21));
        let registrar = world.resigned(&world.registrar).await.client;
        let path = |act: &str| format!("/v1/appointments/{}/{act}", missed["id"].as_str().unwrap());
        registrar.post(&path("noshow"), &json!({})).await.expect(200);
        let village = format!("/v1/locations/{}", world.village);
        let right = json!({"time_zone": RIGHT});
        let admin = world.resigned(&world.admin).await.client;
        let changed = admin.edit(Method::PATCH, &village, 1, &right).await.expect(200);
        assert_eq!(changed["broken_promises"], 0);
        assert_eq!(registrar.get("/v1/tasks").await.expect(200)["items"], json!([]));
        // Its time has passed on either clock: nothing can be done about it.
        let back = registrar.post(&path("undo"), &json!({})).await.expect(200);
        assert_eq!(back["time_zone"], RIGHT);
        assert_eq!(registrar.get("/v1/tasks").await.expect(200)["items"], json!([]));

        let doctor = world.resigned(&world.doctor).await.client;
        doctor.post(&format!("{visit}/reopen"), &json!({})).await.expect(200);
        let path = format!("/v1/appointments/{}", ended["id"].as_str().unwrap());
        let back = registrar.get(&path).await.expect(200);
        assert_eq!((&back["time_zone"], &back["local_start"]), (&json!(RIGHT), &json!(TUESDAY_9)));
        assert_eq!(registrar.get("/v1/tasks").await.expect(200)["items"][0]["code"], "promises");
    }
}

#[actix_web::test]
async fn an_absence_is_not_completed_beside_a_visit_that_comes_back_into_it() {
    let world = &World::build(Engine::Postgres).await;
    let missed = world.booked("2026-11-23T09:20:00+07:00").await;
    world.house.advance(TimeDelta::minutes(21));
    let registrar = world.resigned(&world.registrar).await;
    let visit = format!("/v1/appointments/{}", missed["id"].as_str().unwrap());
    registrar.client.post(&format!("{visit}/noshow"), &json!({})).await.expect(200);
    let path = format!("/v1/practitioners/{}/absences", world.doctor.id);
    let today = json!({"from": "2026-11-23T00:00:00Z", "to": "2026-11-23T12:00:00Z"});
    let leave = registrar.client.once(&path, &key(), &today).await.expect(201);
    // Another visit in it had kept it open.
    world.house.execute("UPDATE absences SET status = 'open'").unwrap();
    let go = locked(world, THE_END.to_owned()).await;
    let (undo, empty) = (format!("{visit}/undo"), json!({}));
    let complete = format!("/v1/absences/{}/complete", leave["id"].as_str().unwrap());
    let undoing = registrar.client.post(&undo, &empty);
    let completing = async {
        so_many_wait(world, 1).await;
        futures_util::future::join(registrar.client.post(&complete, &empty), async {
            so_many_wait(world, 2).await;
            go.send(()).unwrap();
        })
        .await
        .0
    };
    let (undone, completed) = futures_util::future::join(undoing, completing).await;
    assert_eq!(undone.expect(200)["status"], "booked");
    assert_eq!(completed.refused(409), "visits_open");
    let wrong = "SELECT count(*) AS n FROM absences WHERE status = 'complete'";
    assert_eq!(world.house.count(wrong), 0);
}

on_both! {
    async fn a_zone_that_is_known_no_more_hides_nothing_and_moves_nothing(world: World) {
        let booked = world.booked(TUESDAY_9).await;
        for table in ["organizations", "locations", "practitioners", "patients", "appointments"] {
            let lost = format!("UPDATE {table} SET time_zone = 'Asia/Vanished'");
            world.house.execute(&lost).unwrap();
        }
        let (asha, registrar) = (&world.asha.client, &world.registrar.client);
        let now = shown(world, &booked).await;
        assert_eq!((&now["time_zone"], &now["local_start"]), (&json!("Asia/Vanished"), &json!(TUESDAY_9)));
        let patient = asha.get(&format!("/v1/patients/{}", world.asha.id)).await.expect(200);
        assert_eq!(patient["time_zone"], "Asia/Vanished");
        asha.get(&format!("/v1/locations/{}", world.village)).await.expect(200);
        asha.get(&format!("/v1/slots?service={}", world.service)).await.expect(200);
        let clinic = format!("/v1/organizations/{}", world.clinic);
        registrar.get(&format!("{clinic}/board?from=2026-11-24T00:00:00Z&to=2026-11-25T00:00:00Z")).await.expect(200);
        let broken = registrar.get(&format!("{clinic}/broken-promises")).await.expect(200);
        assert_eq!(broken["items"], json!([]), "nobody can say");
        // Nobody can choose it any more.
        let again = json!({"time_zone": "Asia/Vanished"});
        let path = format!("/v1/locations/{}", world.village);
        let refused = world.admin.client.edit(Method::PATCH, &path, 1, &again).await;
        assert_eq!(refused.refused(422), "unknown_time_zone");
    }
}
