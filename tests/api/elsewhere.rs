//! Visits that the staff of one clinic books at another, for a patient of their own.

use serde_json::{Value, json};

use crate::on_both;
use crate::support::world::member;
use crate::support::{Answer, Client, Engine, World, key};

const NINE: &str = "2026-11-24T09:00:00+07:00";
const TEN: &str = "2026-11-24T10:00:00+07:00";

fn wish(world: &World, start: &str) -> Value {
    json!({"service": world.other_service, "practitioner": world.stranger.id, "start": start,
        "patient": world.asha.id})
}

fn path(visit: &Value, act: &str) -> String {
    format!("/v1/appointments/{}{act}", visit["id"].as_str().unwrap())
}

async fn act(client: &Client, visit: &Value, word: &str, body: Value) -> Answer {
    client.once(&path(visit, &format!("/{word}")), &key(), &body).await
}

async fn listed(client: &Client, world: &World, visit: &Value) -> bool {
    let path = format!("/v1/appointments?patient={}", world.asha.id);
    let items = client.get(&path).await.expect(200)["items"].as_array().unwrap().clone();
    items.iter().any(|one| one["id"] == visit["id"])
}

on_both! {
    async fn who_books_for_their_own_patient_elsewhere_can_see_to_it(world: World) {
        let office = &world.registrar.client;
        let mut hold = wish(world, NINE);
        hold["hold"] = json!(true);
        let held = office.once("/v1/appointments", &key(), &hold).await.expect(201);
        assert_eq!(office.get(&path(&held, "")).await.expect(200)["status"], "pending");
        assert_eq!(act(office, &held, "confirm", json!({})).await.expect(200)["status"], "booked");
        act(office, &held, "reschedule", json!({"start": TEN})).await.expect(200);
        assert!(listed(office, world, &held).await);

        // Not whoever else works there, nor for anything else.
        let other = member(
            &world.house, &world.admin.client, &world.clinic, "Вторая Запись", "registrar", "vtoraya",
        ).await;
        for client in [&other.client, &world.feldsher.client] {
            assert_eq!(client.get(&path(&held, "")).await.refused(404), "not_found");
            assert_eq!(act(client, &held, "cancel", json!({})).await.refused(404), "not_found");
            assert!(!listed(client, world, &held).await);
        }
        assert_eq!(act(office, &held, "noshow", json!({})).await.refused(403), "forbidden");
        assert_eq!(act(office, &held, "cancel", json!({})).await.expect(200)["status"], "cancelled");

        // Nor who booked it once, and works there no more.
        let again = office.once("/v1/appointments", &key(), &wish(world, NINE)).await.expect(201);
        world.house.execute("UPDATE memberships SET state = 'disabled' WHERE role = 'registrar'").unwrap();
        assert_eq!(office.get(&path(&again, "")).await.refused(404), "not_found");
    }
}

on_both! {
    async fn the_staff_of_another_clinic_takes_what_is_offered_there(world: World) {
        let office = &world.registrar.client;
        let off = "2026-11-24T09:07:00+07:00";
        let refused = office.once("/v1/appointments", &key(), &wish(world, off)).await;
        assert_eq!(refused.refused(422), "off_grid");
        let booked = office.once("/v1/appointments", &key(), &wish(world, NINE)).await.expect(201);
        let refused = act(office, &booked, "reschedule", json!({"start": off})).await;
        assert_eq!(refused.refused(422), "off_grid");
        // At home they say when.
        let mut own = world.wish("2026-11-24T11:07:00+07:00");
        own["patient"] = json!(world.asha.id);
        office.once("/v1/appointments", &key(), &own).await.expect(201);
    }
}
