//! Visits to come in which somebody is expected who has left, or no longer gives the service: named, a task
//! of the clinic, and put into other hands.

use actix_web::http::Method;
use feldsher::practitioner::gone;
use feldsher::schedule::leave::vain;
use serde_json::{Value, json};

use crate::on_both;
use crate::support::world::{member, practitioner};
use crate::support::{Answer, Client, Engine, Person, World, key};

const TUESDAY_9: &str = "2026-11-24T09:00:00+07:00";
const TUESDAY_920: &str = "2026-11-24T09:20:00+07:00";
const TUESDAY_940: &str = "2026-11-24T09:40:00+07:00";

/// Who runs the clinic, and sees its visits.
async fn chief(world: &World) -> Client {
    let (house, admin) = (&world.house, &world.admin.client);
    member(house, admin, &world.clinic, "Ирина Главная", "clinic_admin", "glavnaya").await.client
}

async fn edits(client: &Client, path: &str, change: Value) -> Value {
    let version = client.get(path).await.expect(200)["version"].as_i64().unwrap();
    client.edit(Method::PATCH, path, version, &change).await.expect(200)
}

async fn gives(world: &World, chief: &Client, who: &Person, services: &[&String]) -> Value {
    let path = format!("/v1/practitioners/{}", who.id);
    let edited = edits(chief, &path, json!({ "services": services })).await;
    assert_eq!(edited["id"], json!(who.id), "{}", world.clinic);
    edited
}

async fn turns(world: &World, chief: &Client, name: &str, role: &str, state: &str) -> Value {
    let members = format!("/v1/organizations/{}/members", world.clinic);
    let all = chief.get(&members).await.expect(200);
    let all = all["items"].as_array().unwrap();
    let one = all.iter().find(|one| one["account"]["name"] == name).unwrap();
    let path = format!("{members}/{}/{role}", one["account"]["id"].as_str().unwrap());
    let version = one["version"].as_i64().unwrap();
    chief.edit(Method::PATCH, &path, version, &json!({ "state": state })).await.expect(200)
}

async fn unattended(world: &World) -> Vec<Value> {
    let path = format!("/v1/organizations/{}/unattended-visits", world.clinic);
    world.registrar.client.get(&path).await.expect(200)["items"].as_array().unwrap().clone()
}

async fn tasks(world: &World) -> Vec<Value> {
    let tasks = world.registrar.client.get("/v1/tasks").await.expect(200);
    tasks["items"].as_array().unwrap().clone()
}

/// The clinic's one task, about who is missing.
async fn task(world: &World) -> Value {
    let tasks = tasks(world).await;
    assert_eq!(tasks.len(), 1, "{tasks:?}");
    assert_eq!((&tasks[0]["code"], &tasks[0]["why"]), (&json!("practitioners"), &json!("gone")));
    tasks[0].clone()
}

async fn moves(client: &Client, visit: &Value, to: Value) -> Answer {
    let path = format!("/v1/appointments/{}/reschedule", visit["id"].as_str().unwrap());
    client.once(&path, &key(), &to).await
}

async fn acts(client: &Client, visit: &Value, act: &str) -> Answer {
    let path = format!("/v1/appointments/{}/{act}", visit["id"].as_str().unwrap());
    client.post(&path, &json!({})).await
}

on_both! {
    async fn the_visits_of_a_doctor_who_leaves_are_named_and_put_into_other_hands(world: World) {
        let chief = chief(world).await;
        let office = &world.registrar.client;
        let nobody = gives(world, &chief, &world.colleague, &[&world.service]).await;
        assert_eq!(nobody["affected_count"], 0);
        let booked = world.booked(TUESDAY_9).await;
        let mut wish = world.wish(TUESDAY_920);
        wish["request"] = json!(true);
        let asked = world.boris.client.once("/v1/appointments", &key(), &wish).await.expect(201);
        assert!(unattended(world).await.is_empty());

        let left = turns(world, &chief, "Анна Лебедева", "doctor", "disabled").await;
        assert_eq!((&left["state"], &left["affected_count"]), (&json!("disabled"), &json!(2)));
        assert_eq!(left["affected"][0]["code"], booked["code"]);
        let found = unattended(world).await;
        assert_eq!((&found[0]["id"], &found[1]["id"]), (&booked["id"], &asked["id"]));
        let missing = json!([{"id": world.doctor.id, "name": "Анна Лебедева", "kind": "practitioner", "why": "left"}]);
        assert_eq!(found[0]["missing"], missing);
        assert_eq!(found[0]["patient"]["name"], "Аша Кузнецова");
        let open = task(world).await;
        let work = |act: &str| format!("/v1/tasks/{}/{act}", open["id"].as_str().unwrap());
        office.post(&work("take"), &json!({})).await.expect(200);
        let done = office.post(&work("complete"), &json!({"outcome": "moved"})).await;
        assert_eq!(done.refused(409), "bad_state", "it ends with the last visit");

        // Nobody is promised what cannot be, and hears who can.
        for (who, visit) in [(&world.asha.client, &booked), (office, &booked), (office, &asked)] {
            let refused = moves(who, visit, json!({"start": TUESDAY_940})).await;
            assert_eq!(refused.refused(409), "practitioner_gone");
            let others = refused.body["alternatives"].as_array().unwrap();
            assert_eq!(others.len(), 3, "{others:?}");
            assert!(others.iter().all(|slot| slot["practitioner"]["id"] == json!(world.colleague.id)));
        }
        assert_eq!(acts(office, &asked, "accept").await.refused(409), "practitioner_gone");
        let there = json!({"start": TUESDAY_9, "practitioner": world.colleague.id});
        let moved = moves(office, &booked, there).await.expect(200);
        assert_eq!(moved["practitioner"]["id"], json!(world.colleague.id));
        gone::recheck(&world.house.app, false).await.unwrap();
        task(world).await;
        acts(office, &asked, "decline").await.expect(200);
        gone::recheck(&world.house.app, false).await.unwrap();
        assert!(tasks(world).await.is_empty());
        assert!(unattended(world).await.is_empty());
        // What was called off stays so, unless somebody gives it.
        acts(office, &booked, "cancel").await.expect(200);
        gives(world, &chief, &world.colleague, &[]).await;
        assert_eq!(acts(office, &booked, "undo").await.refused(409), "practitioner_gone");
    }
}

on_both! {
    async fn what_is_held_is_not_confirmed_with_a_doctor_who_has_left(world: World) {
        let chief = chief(world).await;
        gives(world, &chief, &world.colleague, &[&world.service]).await;
        let mut wish = world.wish(TUESDAY_9);
        wish["hold"] = json!(true);
        let held = world.asha.client.once("/v1/appointments", &key(), &wish).await.expect(201);
        turns(world, &chief, "Анна Лебедева", "doctor", "disabled").await;
        let refused = acts(&world.asha.client, &held, "confirm").await;
        assert_eq!(refused.refused(409), "practitioner_gone");
        let others = refused.body["alternatives"].as_array().unwrap();
        assert!(others.iter().all(|slot| slot["practitioner"]["id"] == json!(world.colleague.id)));
        assert_eq!(others.len(), 3);
    }
}

on_both! {
    async fn whoever_is_there_again_leaves_nobody(world: World) {
        let chief = chief(world).await;
        let booked = world.booked(TUESDAY_9).await;
        turns(world, &chief, "Анна Лебедева", "doctor", "disabled").await;
        task(world).await;
        let back = turns(world, &chief, "Анна Лебедева", "doctor", "active").await;
        assert_eq!((&back["affected"], &back["affected_count"]), (&json!([]), &json!(0)));
        assert!(tasks(world).await.is_empty());

        // The same of a service: it is taken away, and given back.
        let taken = gives(world, &chief, &world.doctor, &[&world.long_service]).await;
        assert_eq!((&taken["affected_count"], &taken["affected"][0]["id"]), (&json!(1), &booked["id"]));
        assert_eq!(unattended(world).await[0]["missing"][0]["why"], "service");
        task(world).await;
        let both = [&world.service, &world.long_service];
        assert_eq!(gives(world, &chief, &world.doctor, &both).await["affected_count"], 0);
        assert!(tasks(world).await.is_empty());
    }
}

on_both! {
    async fn a_service_that_is_offered_no_more_leaves_its_visits_to_the_office(world: World) {
        let chief = chief(world).await;
        let booked = world.booked(TUESDAY_9).await;
        let path = format!("/v1/healthcare-services/{}", world.service);
        let off = edits(&chief, &path, json!({"active": false})).await;
        assert_eq!((&off["active"], &off["affected_count"]), (&json!(false), &json!(1)));
        assert_eq!(unattended(world).await[0]["missing"][0]["why"], "inactive");
        task(world).await;
        // It stands, and the office can find it another time; its patient has none to choose.
        let to = json!({"start": TUESDAY_940});
        let refused = moves(&world.asha.client, &booked, to.clone()).await;
        assert_eq!(refused.refused(422), "service_inactive");
        moves(&world.registrar.client, &booked, to).await.expect(200);
        gone::recheck(&world.house.app, true).await.unwrap();
        task(world).await;
        // Nobody else can give it, though its doctor has left as well.
        turns(world, &chief, "Анна Лебедева", "doctor", "disabled").await;
        let missing = unattended(world).await[0]["missing"].clone();
        let why: Vec<&Value> = missing.as_array().unwrap().iter().map(|one| &one["why"]).collect();
        assert_eq!(why, ["left", "inactive"]);
        turns(world, &chief, "Анна Лебедева", "doctor", "active").await;
        let on = edits(&chief, &path, json!({"active": true})).await;
        assert_eq!(on["affected_count"], 0);
        assert!(tasks(world).await.is_empty());
    }
}

on_both! {
    async fn a_feldsher_who_leaves_is_missed_in_the_visits_of_others(world: World) {
        let chief = chief(world).await;
        let path = format!("/v1/healthcare-services/{}", world.service);
        edits(&chief, &path, json!({"resources": ["feldsher"]})).await;
        let works = async |who: &Person| {
            let rules = json!({"rules": [{"weekday": "tue", "from": "09:00", "to": "17:00"}]});
            let path = format!("/v1/practitioners/{}/schedule", who.id);
            world.registrar.client.edit(Method::PUT, &path, 1, &rules).await.expect(200);
        };
        works(&world.feldsher).await;
        let booked = world.booked(TUESDAY_9).await;
        let left = turns(world, &chief, "Вера Сойкина", "feldsher", "disabled").await;
        assert_eq!((&left["affected_count"], &left["affected"][0]["id"]), (&json!(1), &booked["id"]));
        let missing = unattended(world).await[0]["missing"].clone();
        assert_eq!((&missing[0]["kind"], &missing[0]["name"]), (&json!("feldsher"), &json!("Вера Сойкина")));
        task(world).await;
        let office = &world.registrar.client;
        let same = json!({"start": TUESDAY_9});
        assert_eq!(moves(office, &booked, same.clone()).await.refused(409), "resource_busy");
        // A move, also to the same time, gives the part to another.
        let (house, admin) = (&world.house, &world.admin.client);
        let other = practitioner(house, admin, &world.clinic, "Другая", "feldsher", "drugaya", &[]).await;
        works(&other).await;
        let moved = moves(office, &booked, same).await.expect(200);
        assert_eq!(moved["participants"][0]["id"], json!(other.id));
        gone::recheck(&world.house.app, false).await.unwrap();
        assert!(tasks(world).await.is_empty());
    }
}

on_both! {
    async fn who_left_before_anybody_looked_is_found_by_the_house(world: World) {
        let booked = world.booked(TUESDAY_9).await;
        gone::recheck(&world.house.app, true).await.unwrap();
        assert!(tasks(world).await.is_empty());
        let chief = chief(world).await;
        turns(world, &chief, "Пётр Гусев", "doctor", "disabled").await;
        let none = format!("DELETE FROM practitioner_services WHERE service_id = (SELECT service_id
            FROM appointments WHERE code = '{}')", booked["code"].as_str().unwrap());
        world.house.execute(&none).unwrap();
        // A quick look finds the visits of who has left, and no others.
        gone::recheck(&world.house.app, false).await.unwrap();
        assert!(tasks(world).await.is_empty());
        gone::recheck(&world.house.app, true).await.unwrap();
        gone::recheck(&world.house.app, true).await.unwrap();
        task(world).await;
        acts(&world.asha.client, &booked, "cancel").await.expect(200);
        gone::recheck(&world.house.app, false).await.unwrap();
        assert!(tasks(world).await.is_empty());
    }
}

on_both! {
    async fn what_is_held_of_the_time_of_who_leaves_is_taken_back(world: World) {
        let chief = chief(world).await;
        let office = &world.registrar.client;
        gives(world, &chief, &world.colleague, &[&world.service]).await;
        let booked = world.booked(TUESDAY_9).await;
        let path = format!("/v1/practitioners/{}/absences", world.doctor.id);
        let long = json!({"from": "2026-11-23T00:00:00+07:00", "to": "2026-12-20T00:00:00+07:00"});
        let absence = office.once(&path, &key(), &long).await.expect(201);
        let path = format!("/v1/absences/{}", absence["id"].as_str().unwrap());
        let offered = json!({"outcomes": [{"appointment": booked["id"], "outcome": "offered"}]});
        let offers = format!("{path}/outcomes");
        let held = "SELECT count(*) AS n FROM offered_times";
        let wish = json!({"service": world.service, "earliest": TUESDAY_9,
            "latest": "2026-11-24T12:00:00+07:00", "notice_minutes": 60});
        // Left out: by the deed itself, and, where a service is taken away, by the house at once after it.
        for deed in ["member", "services"] {
            office.once(&offers, &key(), &offered).await.expect(200);
            assert_eq!(world.house.count(held), 3, "{deed}");
            let waits = world.boris.client.once("/v1/waitlist", &key(), &wish).await.expect(201);
            assert_eq!(waits["status"], "offered", "{deed}");
            if deed == "member" {
                turns(world, &chief, "Пётр Гусев", "doctor", "disabled").await;
            } else {
                gives(world, &chief, &world.colleague, &[]).await;
                vain::tick(&world.house.app).await.unwrap();
            }
            assert_eq!(world.house.count(held), 0, "{deed}");
            let entry = format!("/v1/waitlist/{}", waits["id"].as_str().unwrap());
            assert_eq!(world.boris.client.get(&entry).await.expect(200)["status"], "waiting", "{deed}");
            world.boris.client.post(&format!("{entry}/withdraw"), &json!({})).await.expect(200);
            let open = office.get(&path).await.expect(200);
            assert_eq!((&open["status"], &open["open_count"]), (&json!("open"), &json!(1)), "{deed}");
            if deed == "member" {
                turns(world, &chief, "Пётр Гусев", "doctor", "active").await;
            }
        }
    }
}

on_both! {
    async fn a_plan_for_whoever_is_ill_works_for_whoever_has_left(world: World) {
        let chief = chief(world).await;
        gives(world, &chief, &world.colleague, &[&world.service]).await;
        let booked = world.booked(TUESDAY_9).await;
        turns(world, &chief, "Анна Лебедева", "doctor", "disabled").await;
        let day = json!({"from": "2026-11-24T00:00:00+07:00", "to": "2026-11-24T23:59:00+07:00"});
        let plans = format!("/v1/practitioners/{}/illness-plans", world.doctor.id);
        let office = &world.registrar.client;
        let plan = office.once(&plans, &key(), &day).await.expect(201);
        assert_eq!((&plan["proposals"][0]["appointment"], &plan["proposals"][0]["act"]), (&booked["id"], &json!("move")));
        let apply = format!("/v1/illness-plans/{}/apply", plan["id"].as_str().unwrap());
        office.once(&apply, &key(), &json!({})).await.expect(200);
        gone::recheck(&world.house.app, false).await.unwrap();
        assert!(tasks(world).await.is_empty());
    }
}
