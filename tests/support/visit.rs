//! People who come into a visit and leave it, as their sockets would report it.

use feldsher::access::Facts;
use feldsher::access::table::Action;
use feldsher::base::ctx::as_system;
use feldsher::encounter::presence::{self, LeftWhy};
use feldsher::encounter::{EncounterId, ParticipantId};
use serde_json::{Value, json};

use super::{Client, Person, World, key};

impl World {
    /// Somebody takes a ticket and comes; their id in the visit.
    pub async fn enters(&self, who: &Person, encounter: &str) -> ParticipantId {
        let path = format!("/v1/encounters/{encounter}/join");
        let joined = who.client.post(&path, &json!({})).await.expect(200);
        let id = joined["participant"]["id"].as_str().unwrap().parse().unwrap();
        self.comes_back(encounter, id).await;
        id
    }

    /// Somebody who has been in the visit comes again.
    pub async fn comes_back(&self, encounter: &str, id: ParticipantId) {
        let encounter: EncounterId = encounter.parse().unwrap();
        let entered = as_system(&self.house.app, move |tx| {
            tx.allow(Action::JoinEncounter, &Facts::NONE)?;
            presence::enter(tx, encounter, id)
        });
        entered.await.unwrap();
    }

    /// Somebody closes the page.
    pub async fn leaves(&self, encounter: &str, id: ParticipantId) {
        let encounter: EncounterId = encounter.parse().unwrap();
        let left = as_system(&self.house.app, move |tx| {
            tx.allow(Action::JoinEncounter, &Facts::NONE)?;
            presence::leave(tx, encounter, id, LeftWhy::Left)
        });
        left.await.unwrap();
    }
}

/// A time of the world's first Monday, as the village's clock shows it.
pub fn monday(clock: &str) -> String {
    format!("2026-11-23T{clock}:00+07:00")
}

/// A patient books the doctor's visit at a time of that Monday.
pub async fn books(world: &World, who: &Person, clock: &str) -> Value {
    books_at(world, who, &monday(clock)).await
}

/// As [`books`], on any day.
pub async fn books_at(world: &World, who: &Person, start: &str) -> Value {
    who.client.once("/v1/appointments", &key(), &world.wish(start)).await.expect(201)
}

/// The patient comes, and the doctor lets them in.
pub async fn begins(world: &World, doctor: &Person, who: &Person, visit: &Value) -> ParticipantId {
    let encounter = encounter_of(visit);
    let guest = world.enters(who, &encounter).await;
    world.enters(doctor, &encounter).await;
    let path = format!("/v1/encounters/{encounter}/admit");
    doctor.client.post(&path, &json!({"participant": guest})).await.expect(200);
    guest
}

/// The doctor ends a visit.
pub async fn finishes(doctor: &Person, visit: &Value) {
    let path = format!("/v1/encounters/{}/finish", encounter_of(visit));
    doctor.client.post(&path, &json!({})).await.expect(200);
}

/// What a patient who waits hears.
pub async fn asks(client: &Client, visit: &Value) -> Value {
    client.get(&format!("/v1/encounters/{}/waiting", encounter_of(visit))).await.expect(200)
}

/// The id of the visit of an appointment.
pub fn encounter_of(appointment: &Value) -> String {
    appointment["encounter"]["id"].as_str().unwrap().to_owned()
}
