//! What the clinic's desk does besides single bookings: promises that a law has broken, visits that
//! follow others, a series that meets a full day.

use chrono::TimeDelta;
use feldsher::appointment::promise;
use serde_json::{Value, json};

use crate::on_both;
use crate::support::visit::encounter_of;
use crate::support::{Client, Engine, World, key};

fn id(of: &Value) -> &str {
    of["id"].as_str().unwrap()
}

/// As if a visit had been booked under a law that set the clocks an hour later.
pub fn break_promise(world: &World, visit: &Value, promised: &str) {
    let code = visit["code"].as_str().unwrap();
    let sql = format!("UPDATE appointments SET local_start = '{promised}' WHERE code = '{code}'");
    world.house.execute(&sql).unwrap();
}

async fn tasks(client: &Client, status: &str) -> Vec<Value> {
    let tasks = client.get(&format!("/v1/tasks?status={status}")).await.expect(200);
    tasks["items"].as_array().unwrap().clone()
}

on_both! {
    async fn broken_promises_are_one_task_of_the_clinic_that_ends_with_the_last(world: World) {
        let office = &world.registrar.client;
        let app = &world.house.app;
        let visits = [world.booked("2026-11-24T09:00:00+07:00").await, world.booked("2026-11-24T15:00:00+07:00").await];
        assert_eq!((promise::tick(app).await.unwrap(), tasks(office, "open").await.len()), (0, 0));
        break_promise(world, &visits[0], "2026-11-24T10:00:00+08:00");
        break_promise(world, &visits[1], "2026-11-24T16:00:00+08:00");
        // Every look counts them; the task is one.
        assert_eq!(promise::tick(app).await.unwrap(), 2);
        assert_eq!(promise::tick(app).await.unwrap(), 2);
        let open = tasks(office, "open").await;
        assert_eq!(open.len(), 1);
        let task = &open[0];
        assert_eq!((&task["code"], &task["why"], &task["organization"]["id"]), (&json!("promises"), &json!("law"), &json!(world.clinic)));
        assert_eq!((task.get("for"), task.get("focus"), task.get("practitioner")), (None, None, None));
        // It can be taken; it is done when nothing is left, and not when somebody says so.
        let path = |act: &str| format!("/v1/tasks/{}/{act}", id(task));
        assert_eq!(office.once(&path("take"), &key(), &json!({})).await.expect(200)["status"], "accepted");
        let done = office.once(&path("complete"), &key(), &json!({"outcome": "moved"})).await;
        assert_eq!(done.refused(409), "bad_state");

        let list = office.get(&format!("/v1/organizations/{}/broken-promises", world.clinic)).await.expect(200);
        let first = &list["items"][0];
        assert_eq!((&first["id"], &first["patient"], &first["practitioner"]), (&visits[0]["id"], &visits[0]["patient"], &visits[0]["practitioner"]));

        // A promise that is kept is a move like any other.
        let keep = |visit: &Value| format!("/v1/appointments/{}/keep-promise", id(visit));
        let kept = office.post(&keep(&visits[0]), &json!({})).await.expect(200);
        let moved = &kept["moves"][0];
        assert_eq!((&moved["from_start"], &moved["to_start"]), (&visits[0]["start"], &kept["start"]));
        assert_ne!(visits[0]["start"], kept["start"]);
        assert!(moved["by"]["name"].is_string(), "{moved}");
        assert_eq!(kept["version"], visits[0]["version"].as_i64().unwrap() + 1);
        let again = office.post(&keep(&visits[0]), &json!({})).await.expect(200);
        assert_eq!(again["moves"].as_array().unwrap().len(), 1, "what stands is not moved");
        assert_eq!(tasks(office, "open").await.len(), 1, "one is left");
        office.post(&keep(&visits[1]), &json!({})).await.expect(200);
        assert_eq!((tasks(office, "open").await.len(), tasks(office, "cancelled").await.len()), (0, 1));

        // Feldsher itself moves a visit by nobody's name.
        break_promise(world, &visits[0], "2026-11-24T12:00:00+09:00");
        assert_eq!(promise::tick(app).await.unwrap(), 1);
        let broken = promise::all_broken(app, |_| ()).await.unwrap();
        assert_eq!(promise::keep_all(app, broken).await.unwrap().kept.len(), 1);
        assert!(tasks(office, "open").await.is_empty());
        let now = office.get(&format!("/v1/appointments/{}", id(&visits[0]))).await.expect(200);
        assert_eq!((now["moves"].as_array().unwrap().len(), now["moves"][1].get("by")), (2, None));
    }
}

on_both! {
    async fn a_task_about_promises_ends_when_the_visit_is_called_off_too(world: World) {
        let visit = world.booked("2026-11-24T09:00:00+07:00").await;
        break_promise(world, &visit, "2026-11-24T10:00:00+08:00");
        assert_eq!(promise::tick(&world.house.app).await.unwrap(), 1);
        let office = &world.registrar.client;
        promise::recheck(&world.house.app).await.unwrap();
        assert_eq!(tasks(office, "open").await.len(), 1, "it is still broken");
        let cancel = format!("/v1/appointments/{}/cancel", id(&visit));
        office.post(&cancel, &json!({})).await.expect(200);
        promise::recheck(&world.house.app).await.unwrap();
        assert!(tasks(office, "open").await.is_empty());
    }
}

on_both! {
    async fn a_visit_remembers_which_one_it_follows(world: World) {
        let book = async |client: &Client, start: &str, follows: &Value| {
            let mut wish = world.wish(start);
            wish["patient"] = json!(world.asha.id);
            wish["follows"] = follows.clone();
            client.once("/v1/appointments", &key(), &wish).await
        };
        let before = world.booked("2026-11-23T09:20:00+07:00").await;
        let early = book(&world.registrar.client, "2026-11-30T09:00:00+07:00", &before["id"]).await;
        assert_eq!(early.refused(409), "bad_state", "it has not begun");
        world.house.advance(TimeDelta::minutes(6));
        let [doctor, asha] = [world.resigned(&world.doctor).await, world.resigned(&world.asha).await];
        let visit = encounter_of(&before);
        world.enters(&asha, &visit).await;
        let after = book(&doctor.client, "2026-11-30T09:00:00+07:00", &before["id"]).await.expect(201);
        assert_eq!(after["follows"], before["id"]);
        // Both sides read it, also in their lists.
        for side in [&doctor.client, &asha.client] {
            let read = side.get(&format!("/v1/appointments/{}", id(&after))).await.expect(200);
            assert_eq!(read["follows"], before["id"]);
            let list = side.get("/v1/appointments?from=2026-11-29T00:00:00Z").await.expect(200);
            assert_eq!(list["items"][0]["follows"], before["id"]);
        }
        // Nobody follows a visit of somebody else, nor one that is not there.
        let mut wish = world.wish("2026-11-30T10:00:00+07:00");
        wish["follows"] = before["id"].clone();
        let boris = world.resigned(&world.boris).await;
        let foreign = boris.client.once("/v1/appointments", &key(), &wish).await;
        assert_eq!(foreign.refused(422), "unknown_reference");
        wish["patient"] = json!(world.boris.id);
        let registrar = world.resigned(&world.registrar).await;
        let other = registrar.client.once("/v1/appointments", &key(), &wish).await;
        assert_eq!(other.refused(422), "unknown_reference");
        // What a visit follows never changes.
        let forget = format!("UPDATE appointments SET follows_id = NULL WHERE code = '{}'", after["code"].as_str().unwrap());
        assert!(world.house.execute(&forget).unwrap_err().contains("appointment_kept"));
    }
}

on_both! {
    async fn a_full_day_is_a_conflict_of_one_visit_of_a_series(world: World) {
        world.house.execute("UPDATE healthcare_services SET daily_cap = 1").unwrap();
        world.booked("2026-11-24T12:00:00+07:00").await;
        let wish = json!({"service": world.service, "practitioner": world.doctor.id, "patient": world.boris.id,
            "start": "2026-11-24T09:00:00+07:00", "every_days": 1, "count": 3, "mode": "audio"});
        let done = world.registrar.client.once("/v1/appointments/series", &key(), &wish).await.expect(200);
        let results: Vec<&Value> = done["items"].as_array().unwrap().iter().map(|item| &item["result"]).collect();
        assert_eq!(results, ["conflict", "booked", "booked"]);
        assert_eq!(done["items"][0]["code"], "day_full");
        assert_eq!(done["items"][1]["appointment"]["mode"], "audio");
    }
}
