//! Who waits at a clinic, as its office sees it; and what the former doctor says of a visit at the
//! moment in which it changes hands.

use actix_web::http::Method;
use chrono::TimeDelta;
use futures_util::future::join;
use serde_json::{Value, json};

use crate::claim::{claims, deputy, takes, until, utc};
use crate::on_both;
use crate::support::visit::{begins, books, encounter_of, finishes, monday};
use crate::support::{Engine, Person, World, key};

/// Who waits, as somebody's office sees it.
async fn waits(who: &Person) -> Vec<Value> {
    let found = who.client.get("/v1/unseen").await.expect(200);
    found["items"].as_array().unwrap().clone()
}

on_both! {
    async fn the_office_sees_who_waits_for_whom_and_gives_them_to_whoever_is_free(world: World) {
        let deputy = deputy(world).await;
        let rules = json!({"rules": [{"weekday": "mon", "from": "09:00", "to": "12:00"}]});
        let path = format!("/v1/practitioners/{}/schedule", deputy.id);
        deputy.client.edit(Method::PUT, &path, 1, &rules).await.expect(200);
        let first = books(world, &world.boris, "09:20").await;
        let own = books(world, &world.asha, "09:40").await;
        let everybody = [&world.doctor, &world.boris, &world.asha, &world.registrar];
        let [doctor, boris, asha, clerk] = until(world, "09:35", everybody).await;
        assert!(waits(&clerk).await.is_empty());
        begins(world, &doctor, &boris, &first).await;
        let patient = world.enters(&asha, &encounter_of(&own)).await;
        // Before her time she waits for her own doctor.
        let found = waits(&clerk).await;
        assert_eq!(found, [json!({
            "encounter": {"id": encounter_of(&own)}, "patient": {"id": asha.id, "name": "Аша Кузнецова"},
            "start": utc("09:40"), "minutes": 20, "since": utc("09:35"),
            "service": {"id": world.service, "name": "GP visit"},
            "practitioner": {"id": doctor.id, "name": "Анна Лебедева"},
            "priority": "routine", "silent": false, "takers": [],
        })]);

        let everybody = [&doctor, &deputy, &asha, &clerk, &world.stranger];
        let [doctor, deputy, asha, clerk, stranger] = until(world, "09:44", everybody).await;
        let found = waits(&clerk).await;
        let free = json!([{"id": deputy.id, "name": "Галина Смелова"}]);
        assert_eq!((&found[0]["because"], &found[0]["takers"]), (&json!("in_visit"), &free));
        let path = format!("/v1/unseen?organization={}", world.clinic);
        assert_eq!(clerk.client.get(&path).await.expect(200)["items"], json!(found));
        // Another clinic's people, doctors and patients have no office here.
        for nobody in [&stranger, &doctor, &asha] {
            assert!(waits(nobody).await.is_empty());
            let refused = nobody.client.get("/v1/unseen?clinic=x").await;
            assert_eq!(refused.refused(400), "invalid_query");
        }

        // Nobody is free who has somebody of their own waiting, or a visit too soon.
        let soon = json!({"service": world.service, "practitioner": deputy.id,
            "patient": boris.id, "start": monday("09:50"), "priority": "urgent"});
        let soon = clerk.client.once("/v1/appointments", &key(), &soon).await.expect(201);
        assert_eq!(waits(&clerk).await[0]["takers"], json!([]));
        let cancel = format!("/v1/appointments/{}/cancel", soon["id"].as_str().unwrap());
        clerk.client.once(&cancel, &key(), &json!({})).await.expect(200);
        assert_eq!(waits(&clerk).await[0]["takers"], free);

        let given = claims(&clerk.client, &deputy, json!({"encounter": encounter_of(&own)})).await;
        assert_eq!(given.expect(201)["practitioner"]["id"], json!(deputy.id));
        let found = waits(&clerk).await;
        assert_eq!(found[0]["practitioner"]["id"], json!(deputy.id));
        assert_eq!((found[0].get("because"), &found[0]["takers"]), (None, &json!([])), "she is on the way");
        world.enters(&deputy, &encounter_of(&own)).await;
        let admit = format!("/v1/encounters/{}/admit", encounter_of(&own));
        deputy.client.post(&admit, &json!({"participant": patient})).await.expect(200);
        assert!(waits(&clerk).await.is_empty());
    }
}

on_both! {
    async fn nobody_calls_off_or_moves_a_visit_that_has_just_become_another_s(world: World) {
        let mut deputy = deputy(world).await;
        let (mut doctor, mut asha) = (world.doctor.clone(), world.asha.clone());
        let rounds = ["09:20", "10:00", "10:40", "11:20", "12:00", "12:40"];
        let mut visits = Vec::new();
        for start in rounds {
            visits.push(books(world, &asha, start).await);
        }
        for (number, (visit, start)) in visits.iter().zip(rounds).enumerate() {
            [doctor, deputy, asha] = until(world, start, [&doctor, &deputy, &asha]).await;
            world.enters(&asha, &encounter_of(visit)).await;
            world.house.advance(TimeDelta::seconds(190));
            let path = format!("/v1/appointments/{}", visit["id"].as_str().unwrap());
            let (act, body) = match number % 2 {
                0 => ("cancel", json!({"code": "clinic"})),
                _ => ("reschedule", json!({"start": "2026-11-24T09:00:00+07:00"})),
            };
            let (act, once) = (format!("{path}/{act}"), key());
            let (said, taken) = join(doctor.client.once(&act, &once, &body), takes(&deputy, visit)).await;
            let shown = asha.client.get(&path).await.expect(200);
            if taken.status == 201 {
                assert!([404, 409].contains(&said.status.as_u16()), "{}", said.text);
                assert_eq!(shown["status"], "arrived");
                assert_eq!(shown["practitioner"]["id"], json!(deputy.id));
                finishes(&deputy, visit).await;
            } else {
                said.expect(200);
                assert_eq!(taken.status, 409, "{}", taken.text);
                assert_eq!(shown["practitioner"]["id"], json!(doctor.id));
                assert_ne!(shown["status"], "arrived");
                if number % 2 == 1 {
                    asha.client.once(&format!("{path}/cancel"), &key(), &json!({})).await.expect(200);
                }
            }
        }
    }
}
