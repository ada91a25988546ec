//! People who come into a visit and leave it, as their sockets would report it.

use feldsher::access::Facts;
use feldsher::access::table::Action;
use feldsher::base::ctx::as_system;
use feldsher::encounter::presence::{self, LeftWhy};
use feldsher::encounter::{EncounterId, ParticipantId};
use serde_json::{Value, json};

use super::{Person, World};

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

/// The id of the visit of an appointment.
pub fn encounter_of(appointment: &Value) -> String {
    appointment["encounter"]["id"].as_str().unwrap().to_owned()
}
