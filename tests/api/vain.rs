//! What the waiting list offers stays true: closed clinics, other hours, visits that are earlier already,
//! and a day that is full of one's own visit.

use actix_web::http::Method;
use feldsher::waitlist::task;
use serde_json::{Value, json};

use crate::on_both;
use crate::support::world::made;
use crate::support::{Answer, Client, Engine, World, key};

const NINE: &str = "2026-11-24T09:00:00+07:00";
const WEDNESDAY: &str = "2026-11-25T09:00:00+07:00";

async fn with_terms(world: &World, change: Value) {
    let path = format!("/v1/healthcare-services/{}", world.service);
    let version = world.admin.client.get(&path).await.expect(200)["version"].as_i64().unwrap();
    world.admin.client.edit(Method::PATCH, &path, version, &change).await.expect(200);
}

/// Wishes for a time of the service between two hours of a day.
async fn joins(
    client: &Client,
    world: &World,
    (from, to): (&str, &str),
    visit: Option<&Value>,
) -> Value {
    let mut wish =
        json!({"service": world.service, "earliest": from, "latest": to, "notice_minutes": 60});
    if let Some(visit) = visit {
        wish["appointment"] = visit["id"].clone();
    }
    client.once("/v1/waitlist", &key(), &wish).await.expect(201)
}

async fn read(client: &Client, entry: &Value) -> Value {
    client.get(&format!("/v1/waitlist/{}", entry["id"].as_str().unwrap())).await.expect(200)
}

async fn accepts(client: &Client, entry: &Value) -> Answer {
    let path = format!("/v1/waitlist/{}/accept", entry["id"].as_str().unwrap());
    client.once(&path, &key(), &json!({})).await
}

on_both! {
    async fn who_wishes_to_be_earlier_is_not_kept_from_it_by_their_own_visit(world: World) {
        with_terms(world, json!({"booking": {"daily_cap": 1}})).await;
        let visit = world.booked("2026-11-24T15:00:00+07:00").await;
        let window = (NINE, "2026-11-24T10:00:00+07:00");
        // Whoever has no visit there meets a full day.
        let other = joins(&world.boris.client, world, window, None).await;
        assert_eq!(other["status"], "waiting");
        let wish = joins(&world.asha.client, world, window, Some(&visit)).await;
        assert_eq!(wish["status"], "offered", "{wish}");
        task::tick(&world.house.app, None).await.unwrap();
        assert_eq!(read(&world.boris.client, &other).await["status"], "waiting");
        let moved = accepts(&world.asha.client, &wish).await.expect(200);
        assert_eq!((&moved["id"], &moved["local_start"]), (&visit["id"], &json!(NINE)));
    }
}

on_both! {
    async fn a_time_that_only_its_own_visit_keeps_from_being_held_is_looked_for_once(world: World) {
        with_terms(world, json!({"booking": {"daily_cap": 1, "buffer_after_minutes": 10}})).await;
        let visit = world.booked("2026-11-24T10:00:00+07:00").await;
        // Twenty minutes and the ten after them reach into the visit that is to be moved.
        let window = ("2026-11-24T09:40:00+07:00", "2026-11-24T09:59:00+07:00");
        let wish = joins(&world.asha.client, world, window, Some(&visit)).await;
        assert_eq!(wish["status"], "waiting", "{wish}");
        task::tick(&world.house.app, None).await.unwrap();
        assert_eq!(read(&world.asha.client, &wish).await["status"], "waiting");
    }
}

on_both! {
    async fn what_cannot_be_had_any_more_is_not_offered_any_longer(world: World) {
        let office = &world.registrar.client;
        let tuesday = (NINE, "2026-11-24T09:05:00+07:00");
        let wednesday = (WEDNESDAY, "2026-11-25T09:05:00+07:00");
        let asha = joins(&world.asha.client, world, tuesday, None).await;
        let boris = joins(&world.boris.client, world, wednesday, None).await;
        assert_eq!((&asha["status"], &boris["status"]), (&json!("offered"), &json!("offered")));
        let code = asha["code"].as_str().unwrap();
        world.house.sms_with("+70000000001", code).await;

        let closure = json!({"name": {"en": "Repair", "ru": "Ремонт"},
            "from_date": "2026-11-24", "to_date": "2026-11-24"});
        let path = format!("/v1/organizations/{}/closures", world.clinic);
        let closed = office.once(&path, &key(), &closure).await.expect(201);
        assert_eq!(closed["affected_count"], 0, "nobody has a visit then");
        let after = read(&world.asha.client, &asha).await;
        assert_eq!((&after["status"], after.get("offer"), &after["lapses"]), (&json!("waiting"), None, &json!(0)));
        world.house.sms_with("+70000000001", "очередь цела").await;
        assert_ne!(accepts(&world.asha.client, &asha).await.status, 200);
        assert_eq!(read(&world.boris.client, &boris).await["status"], "offered", "another day");

        let path = format!("/v1/practitioners/{}/schedule", world.doctor.id);
        let version = office.get(&path).await.expect(200)["version"].as_i64().unwrap();
        let rules = json!({"rules": [{"weekday": "thu", "from": "09:00", "to": "17:00"}]});
        let code = boris["code"].as_str().unwrap();
        world.house.sms_with("+70000000002", code).await;
        office.edit(Method::PUT, &path, version, &rules).await.expect(200);
        assert_eq!(read(&world.boris.client, &boris).await["status"], "waiting", "in the same deed");
        world.house.sms_with("+70000000002", "очередь цела").await;
        let late = accepts(&world.boris.client, &boris).await;
        assert_eq!(late.refused(410), "offer_over");
        let free = late.body["alternatives"].as_array().unwrap();
        assert_eq!(free[0]["local_start"], "2026-11-26T09:00:00+07:00", "{free:?}");
    }
}

on_both! {
    async fn what_a_service_or_a_doctor_does_no_more_is_not_offered_from_that_deed_on(world: World) {
        let office = &world.registrar.client;
        let tuesday = (NINE, "2026-11-24T09:05:00+07:00");
        let wish = joins(&world.asha.client, world, tuesday, None).await;
        assert_eq!(wish["status"], "offered");
        with_terms(world, json!({"active": false})).await;
        let after = read(&world.asha.client, &wish).await;
        assert_eq!((&after["status"], &after["lapses"]), (&json!("waiting"), &json!(0)));
        assert_eq!(accepts(&world.asha.client, &wish).await.refused(410), "offer_over");
        with_terms(world, json!({"active": true})).await;
        task::tick(&world.house.app, None).await.unwrap();
        assert_eq!(read(&world.asha.client, &wish).await["status"], "offered");

        // So are extra hours that are gone.
        let sunday = ("2026-11-29T09:00:00+07:00", "2026-11-29T09:05:00+07:00");
        let extra = format!("/v1/practitioners/{}/extra-hours", world.doctor.id);
        let hours = json!({"from": sunday.0, "to": "2026-11-29T10:00:00+07:00"});
        let hours = made(office, &extra, hours).await;
        let other = joins(&world.boris.client, world, sunday, None).await;
        assert_eq!(other["status"], "offered");
        let gone = office.request(Method::DELETE, &format!("{extra}/{}", hours["id"].as_str().unwrap()));
        assert_eq!(office.send(gone, None).await.status, 204);
        assert_eq!(read(&world.boris.client, &other).await["status"], "waiting");

        let members = format!("/v1/organizations/{}/members", world.clinic);
        let all = world.admin.client.get(&members).await.expect(200);
        let is_hers = |one: &&Value| one["role"] == "doctor" && one["account"]["name"] == "Анна Лебедева";
        let doctor = all["items"].as_array().unwrap().iter().find(is_hers);
        let doctor = doctor.expect("the doctor is a member");
        let path = format!("{members}/{}/doctor", doctor["account"]["id"].as_str().unwrap());
        let version = doctor["version"].as_i64().unwrap();
        let ends = json!({"state": "disabled"});
        world.admin.client.edit(Method::PATCH, &path, version, &ends).await.expect(200);
        assert_eq!(read(&world.asha.client, &wish).await["status"], "waiting");
        assert_eq!(accepts(&world.asha.client, &wish).await.refused(410), "offer_over");
    }
}

on_both! {
    async fn what_nobody_took_back_is_taken_back_by_itself(world: World) {
        let wish = joins(&world.asha.client, world, (NINE, "2026-11-24T09:05:00+07:00"), None).await;
        task::tick(&world.house.app, None).await.unwrap();
        assert_eq!(read(&world.asha.client, &wish).await["status"], "offered");
        // By no deed.
        world.house.execute("UPDATE healthcare_services SET active = false").unwrap();
        task::tick(&world.house.app, None).await.unwrap();
        let after = read(&world.asha.client, &wish).await;
        assert_eq!((&after["status"], &after["lapses"]), (&json!("waiting"), &json!(0)));
    }
}

on_both! {
    async fn a_leave_that_puts_a_visit_early_enough_ends_the_wish_for_it(world: World) {
        let visit = world.booked("2026-11-26T15:00:00+07:00").await;
        let latest = "2026-11-25T09:05:00+07:00";
        let wish = joins(&world.asha.client, world, (WEDNESDAY, latest), Some(&visit)).await;
        assert_eq!(wish["offer"]["local_start"], WEDNESDAY);
        let office = &world.registrar.client;
        let path = format!("/v1/practitioners/{}/absences", world.doctor.id);
        let away = json!({"from": "2026-11-26T08:00:00+07:00", "to": "2026-11-26T18:00:00+07:00", "reason": "операция"});
        let absence = office.once(&path, &key(), &away).await.expect(201);
        let path = format!("/v1/absences/{}/outcomes", absence["id"].as_str().unwrap());
        let outcomes = json!({"outcomes": [{"appointment": visit["id"], "outcome": "moved",
            "practitioner": world.doctor.id, "start": NINE}]});
        office.once(&path, &key(), &outcomes).await.expect(200);
        let after = read(&world.asha.client, &wish).await;
        assert_eq!((&after["status"], &after["ended_why"]), (&json!("booked"), &json!("booked_otherwise")));
        assert_ne!(accepts(&world.asha.client, &wish).await.status, 200);
        let path = format!("/v1/appointments/{}", visit["id"].as_str().unwrap());
        assert_eq!(office.get(&path).await.expect(200)["local_start"], NINE);
    }
}

on_both! {
    async fn an_offer_follows_the_held_time_that_a_law_has_moved(world: World) {
        let visit = world.booked("2026-11-26T15:00:00+07:00").await;
        let earlier = (NINE, "2026-11-24T09:05:00+07:00");
        let wish = joins(&world.asha.client, world, earlier, Some(&visit)).await;
        let held = wish["offer"]["held"].as_str().unwrap();
        // As if it had been promised under a law that set the clocks an hour later.
        let sql = "UPDATE appointments SET local_start = '2026-11-24T10:00:00+08:00' WHERE status = 'pending'";
        world.house.execute(sql).unwrap();
        let path = format!("/v1/appointments/{held}/keep-promise");
        let kept = world.registrar.client.post(&path, &json!({})).await.expect(200);
        assert_eq!(kept["local_start"], "2026-11-24T10:00:00+07:00");
        // Somebody who is away where it was offered first takes nothing from it.
        let path = format!("/v1/practitioners/{}/absences", world.doctor.id);
        let away = json!({"from": "2026-11-24T08:30:00+07:00", "to": "2026-11-24T09:30:00+07:00"});
        made(&world.registrar.client, &path, away).await;
        let offer = read(&world.asha.client, &wish).await["offer"].clone();
        assert_eq!((&offer["start"], &offer["local_start"]), (&kept["start"], &kept["local_start"]));
        let moved = accepts(&world.asha.client, &wish).await.expect(200);
        assert_eq!((&moved["id"], &moved["start"]), (&visit["id"], &kept["start"]));
    }
}
