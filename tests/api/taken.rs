//! What visits take of people's time, whoever asks.

use actix_web::http::Method;
use feldsher::access::Facts;
use feldsher::access::table::Action;
use feldsher::appointment::occupy::{LANE, SECOND_LANE};
use feldsher::appointment::taken;
use feldsher::base::column::Instant;
use feldsher::base::ctx::as_system;
use feldsher::practitioner::PractitionerId;
use serde_json::json;

use crate::on_both;
use crate::support::world::{made, practitioner};
use crate::support::{Engine, World, key};

on_both! {
    async fn the_longest_visit_is_known_to_the_end_of_what_it_keeps_clear(world: World) {
        let admin = &world.admin.client;
        let service = made(admin, "/v1/healthcare-services", json!({
            "name": {"en": "Long", "ru": "Долгий"}, "organization": world.clinic,
            "specialty": "general-practice", "duration_minutes": 480, "modes": ["video"],
            "booking": {"buffer_before_minutes": 120, "buffer_after_minutes": 120},
        })).await;
        let service = service["id"].as_str().unwrap();
        let doctor = practitioner(
            &world.house, admin, &world.clinic, "Долгов", "doctor", "dolgov", &[service],
        ).await;
        let rules = json!({"rules": [{"weekday": "tue", "from": "00:00", "to": "24:00"}]});
        let path = format!("/v1/practitioners/{}/schedule", doctor.id);
        world.registrar.client.edit(Method::PUT, &path, 1, &rules).await.expect(200);
        // Takes the doctor from 00:00Z to 12:00Z.
        let wish = json!({"service": service, "practitioner": doctor.id,
            "patient": world.asha.id, "start": "2026-11-24T02:00:00Z"});
        let booked = world.registrar.client.once("/v1/appointments", &key(), &wish).await.expect(201);

        let who: PractitionerId = doctor.id.parse().unwrap();
        let at = |text: &str| text.parse::<Instant>().unwrap();
        let late = (at("2026-11-24T11:40:00Z"), at("2026-11-24T11:50:00Z"));
        let (own, all) = as_system(&world.house.app, move |tx| {
            tx.allow(Action::SignIn, &Facts::NONE)?;
            let own = taken::of_people(tx, &[who.0], &[LANE], late)?;
            Ok((own, taken::of_people(tx, &[who.0], &[LANE, SECOND_LANE], late)?))
        }).await.unwrap();
        let (from, to) = (at("2026-11-24T00:00:00Z"), at("2026-11-24T12:00:00Z"));
        let visit = booked["id"].as_str().unwrap().parse().unwrap();
        assert_eq!(own, [(who.0, visit, from, to)]);
        assert_eq!(all, [(who.0, visit, from, to)]);
    }
}
