//! Booking as a patient and a registrar do it.

use actix_web::http::Method;
use chrono::TimeDelta;
use serde_json::{Value, json};

use crate::on_both;
use crate::support::{Engine, World, key};

const TUESDAY_9: &str = "2026-11-24T09:00:00+07:00";
const TUESDAY_920: &str = "2026-11-24T09:20:00+07:00";

fn day(world: &World, path: &str) -> String {
    format!(
        "{path}?service={}&from=2026-11-24T00:00:00%2B07:00&to=2026-11-25T00:00:00%2B07:00",
        world.service
    )
}

on_both! {
    async fn a_patient_sees_free_times_in_village_time_books_one_and_it_is_gone(world: World) {
        let slots = world.asha.client.get(&day(world, "/v1/slots")).await.expect(200);
        let items = slots["items"].as_array().unwrap();
        assert_eq!(items.len(), 24, "09:00 to 17:00 in steps of twenty minutes");
        assert_eq!(items[0]["start"], "2026-11-24T02:00:00Z");
        assert_eq!(items[0]["local_start"], TUESDAY_9);
        assert_eq!(items[0]["time_zone"], "Asia/Krasnoyarsk");
        assert_eq!(items[0]["practitioner"]["name"], "Анна Лебедева");

        let booked = world.booked(TUESDAY_9).await;
        assert_eq!(booked["status"], "booked");
        assert_eq!(booked["start"], "2026-11-24T02:00:00Z");
        assert_eq!(booked["end"], "2026-11-24T02:20:00Z");
        assert_eq!(booked["local_start"], TUESDAY_9);
        assert_eq!(booked["encounter"]["status"], "planned");
        let code = booked["code"].as_str().unwrap();
        assert_eq!(code.len(), 6);
        let sms = world.house.sms_with("+70000000001", code).await;
        assert!(sms.contains("09:00"), "{sms}");

        let slots = world.asha.client.get(&day(world, "/v1/slots")).await.expect(200);
        assert_eq!(slots["items"][0]["local_start"], TUESDAY_920);
        let mine = world.asha.client.get("/v1/appointments").await.expect(200);
        assert_eq!(mine["items"][0]["id"], booked["id"]);
    }
}

on_both! {
    async fn any_doctor_is_found_and_a_taken_time_names_the_next_three(world: World) {
        let wish = json!({"service": world.service, "start": TUESDAY_9});
        let booked = world.asha.client.once("/v1/appointments", &key(), &wish).await.expect(201);
        assert_eq!(booked["practitioner"]["id"], json!(world.doctor.id));

        let refused = world.boris.client.once("/v1/appointments", &key(), &world.wish(TUESDAY_9)).await;
        assert_eq!(refused.refused(409), "slot_taken");
        let alternatives = refused.body["alternatives"].as_array().unwrap();
        assert_eq!(alternatives.len(), 3);
        assert_eq!(alternatives[0]["local_start"], TUESDAY_920);
        for slot in alternatives {
            assert_eq!(slot["time_zone"], "Asia/Krasnoyarsk");
            assert!(slot["practitioner"]["id"].is_string());
        }
        let next = world.wish(alternatives[0]["start"].as_str().unwrap());
        world.boris.client.once("/v1/appointments", &key(), &next).await.expect(201);
    }
}

on_both! {
    async fn a_patient_cannot_be_in_two_visits_at_once(world: World) {
        world.booked(TUESDAY_9).await;
        let wish = json!({
            "service": world.other_service, "practitioner": world.stranger.id,
            "start": "2026-11-24T09:00:00+07:00",
        });
        let refused = world.asha.client.once("/v1/appointments", &key(), &wish).await;
        assert_eq!(refused.refused(409), "patient_busy");
        for slot in refused.body["alternatives"].as_array().unwrap() {
            assert!(slot["start"].as_str().unwrap() >= "2026-11-24T02:20:00Z", "{slot}");
        }
    }
}

on_both! {
    async fn a_held_time_is_kept_then_confirmed_or_given_back(world: World) {
        let mut wish = world.wish(TUESDAY_9);
        wish["hold"] = json!(true);
        let held = world.asha.client.once("/v1/appointments", &key(), &wish).await.expect(201);
        assert_eq!(held["status"], "pending");
        assert_eq!(held["hold_expires_at"], "2026-11-23T02:10:00Z");
        let taken = world.boris.client.once("/v1/appointments", &key(), &world.wish(TUESDAY_9)).await;
        assert_eq!(taken.refused(409), "slot_taken");

        let confirm = format!("/v1/appointments/{}/confirm", held["id"].as_str().unwrap());
        let confirmed = world.asha.client.post(&confirm, &json!({})).await.expect(200);
        assert_eq!(confirmed["status"], "booked");
        assert!(confirmed.get("hold_expires_at").is_none());

        wish["start"] = json!(TUESDAY_920);
        let held = world.asha.client.once("/v1/appointments", &key(), &wish).await.expect(201);
        world.house.advance(TimeDelta::minutes(11));
        let boris = world.resigned(&world.boris).await;
        let asha = world.resigned(&world.asha).await;
        let slots = boris.client.get(&day(world, "/v1/slots")).await.expect(200);
        assert_eq!(slots["items"][0]["local_start"], TUESDAY_920, "an expired hold is free again");
        boris.client.once("/v1/appointments", &key(), &world.wish(TUESDAY_920)).await.expect(201);
        let confirm = format!("/v1/appointments/{}/confirm", held["id"].as_str().unwrap());
        assert_eq!(asha.client.post(&confirm, &json!({})).await.refused(410), "hold_over");
    }
}

on_both! {
    async fn a_cancelled_time_is_free_at_once_and_cancelling_twice_is_once(world: World) {
        let booked = world.booked(TUESDAY_9).await;
        let path = format!("/v1/appointments/{}/cancel", booked["id"].as_str().unwrap());
        let why = json!({"reason": "дорогу замело"});
        let cancelled = world.asha.client.post(&path, &why).await.expect(200);
        assert_eq!(cancelled["status"], "cancelled");
        assert_eq!(cancelled["encounter"]["status"], "cancelled");
        assert_eq!(cancelled["cancellation_reason"], "дорогу замело");
        world.asha.client.post(&path, &why).await.expect(200);
        world.boris.client.once("/v1/appointments", &key(), &world.wish(TUESDAY_9)).await.expect(201);
        assert_eq!(world.house.count("SELECT count(*) AS n FROM appointments WHERE version = 2"), 1);
    }
}

on_both! {
    async fn an_edit_needs_the_version_that_was_read(world: World) {
        let booked = world.booked(TUESDAY_9).await;
        let path = format!("/v1/appointments/{}", booked["id"].as_str().unwrap());
        let read = world.asha.client.get(&path).await;
        assert_eq!(read.header("etag"), Some("\"1\""));
        let change = json!({"reason": "кашель"});
        let request = world.asha.client.request(Method::PATCH, &path);
        let blind = world.asha.client.send(request, Some(&change)).await;
        assert_eq!(blind.refused(428), "precondition_required");
        let edited = world.asha.client.edit(Method::PATCH, &path, 1, &change).await;
        assert_eq!(edited.header("etag"), Some("\"2\""));
        assert_eq!(edited.expect(200)["reason"], "кашель");
        let stale = world.asha.client.edit(Method::PATCH, &path, 1, &change).await;
        assert_eq!(stale.refused(412), "stale_version");
    }
}

on_both! {
    async fn a_day_off_takes_its_times_away_and_outside_hours_is_refused(world: World) {
        let absences = format!("/v1/practitioners/{}/absences", world.doctor.id);
        let day_off = json!({"from": "2026-11-24T12:00:00+07:00", "to": "2026-11-25T00:00:00+07:00"});
        world.registrar.client.once(&absences, &key(), &day_off).await.expect(201);
        let slots = world.asha.client.get(&day(world, "/v1/slots")).await.expect(200);
        assert_eq!(slots["items"].as_array().unwrap().len(), 9, "09:00 to 12:00");
        for start in ["2026-11-24T13:00:00+07:00", "2026-11-24T08:40:00+07:00", "2026-11-28T09:00:00+07:00"] {
            let refused = world.asha.client.once("/v1/appointments", &key(), &world.wish(start)).await;
            assert_eq!(refused.refused(422), "outside_hours", "{start}");
            let others = refused.body["alternatives"].as_array().unwrap();
            assert_eq!(others.len(), 3, "{start}");
            let next = others.iter().map(|slot| slot["start"].as_str().unwrap());
            assert!(next.clone().is_sorted() && next.clone().all(|at| at > "2026-11-24T01:40:00Z"));
        }
        let between = world.asha.client.once("/v1/appointments", &key(), &world.wish("2026-11-24T09:10:00+07:00")).await;
        assert_eq!(between.refused(422), "off_grid");
        assert_eq!(between.body["alternatives"][0]["local_start"], "2026-11-24T09:20:00+07:00");
    }
}

on_both! {
    async fn lists_are_paged_without_loss_or_repetition(world: World) {
        for slot in 0..7 {
            world.booked(&format!("2026-11-2{}T{:02}:00:00+07:00", 4 + slot % 3, 9 + slot)).await;
        }
        let mut seen = Vec::new();
        let mut path = "/v1/appointments?limit=3".to_owned();
        loop {
            let answer = world.doctor.client.get(&path).await;
            let link = answer.header("link").map(str::to_owned);
            for item in answer.expect(200)["items"].as_array().unwrap() {
                seen.push((item["start"].clone().to_string(), item["id"].to_string()));
            }
            let Some(link) = link else { break };
            let (next, rel) = link.trim_start_matches('<').split_once('>').unwrap();
            assert!(rel.contains("rel=\"next\""));
            path = next.to_owned();
        }
        assert_eq!(seen.len(), 7);
        assert!(seen.is_sorted());
        seen.dedup();
        assert_eq!(seen.len(), 7);
        let broken = world.doctor.client.get("/v1/appointments?cursor=nonsense").await;
        assert_eq!(broken.refused(400), "invalid_cursor");
        let greedy = world.doctor.client.get("/v1/appointments?limit=101").await;
        assert_eq!(greedy.refused(400), "invalid_query");
    }
}

on_both! {
    async fn the_same_key_answers_the_same_for_72_hours(world: World) {
        let (key, wish) = (key(), world.wish(TUESDAY_9));
        let first = world.asha.client.once("/v1/appointments", &key, &wish).await.expect(201);
        world.house.advance(TimeDelta::hours(72) - TimeDelta::seconds(1));
        feldsher::base::retention::sweep(&world.house.app).await;
        let asha = world.resigned(&world.asha).await;
        let again = asha.client.once("/v1/appointments", &key, &wish).await;
        assert_eq!(again.header("idempotent-replayed"), Some("true"));
        assert_eq!(again.expect(201), first);
    }
}

on_both! {
    async fn a_kept_answer_is_thrown_away_when_its_time_is_over(world: World) {
        world.booked(TUESDAY_9).await;
        let kept = "SELECT count(*) AS n FROM idempotency_keys";
        assert!(world.house.count(kept) > 0);
        world.house.advance(TimeDelta::hours(73));
        feldsher::base::retention::sweep(&world.house.app).await;
        assert_eq!(world.house.count(kept), 0);
    }
}

on_both! {
    async fn when_the_law_moves_the_clocks_the_promised_local_time_stands(world: World) {
        let visits = [world.booked("2026-11-24T09:00:00+07:00").await, world.booked("2026-11-24T15:00:00+07:00").await];
        let list = format!("/v1/organizations/{}/broken-promises", world.clinic);
        let none = world.registrar.client.get(&list).await.expect(200);
        assert_eq!(none["items"], json!([]));

        // As if both had been booked under a law that set the clocks an hour later.
        for (visit, promised) in visits.iter().zip(["2026-11-24T10:00:00+08:00", "2026-11-24T16:00:00+08:00"]) {
            let code = visit["code"].as_str().unwrap();
            world.house.execute(&format!("UPDATE appointments SET local_start = '{promised}' WHERE code = '{code}'")).unwrap();
        }
        let broken = world.registrar.client.get(&list).await.expect(200);
        assert_eq!(broken["items"].as_array().unwrap().len(), 2);
        let first = &broken["items"][0];
        assert_eq!(first["promised"], "2026-11-24T10:00:00+08:00");
        assert_eq!(first["shown"], "2026-11-24T09:00:00+07:00");
        assert_eq!(first["proposed"], "2026-11-24T03:00:00Z");

        let keep = |visit: &Value| format!("/v1/appointments/{}/keep-promise", visit["id"].as_str().unwrap());
        let kept = world.registrar.client.post(&keep(&visits[0]), &json!({})).await.expect(200);
        assert_eq!(kept["start"], "2026-11-24T03:00:00Z");
        assert_eq!(kept["local_start"], "2026-11-24T10:00:00+07:00");
        assert_eq!((&kept["code"], &kept["id"]), (&visits[0]["code"], &visits[0]["id"]));
        assert_eq!(kept["version"], visits[0]["version"].as_i64().unwrap() + 1);
        let said = world.house.sms_with(&world.asha.login, "10:00").await;
        assert!(said.contains("24 ноя 10:00") && said.contains("как был"), "{said}");
        // A promise that stands is left alone.
        let again = world.registrar.client.post(&keep(&visits[0]), &json!({})).await.expect(200);
        assert_eq!(again["version"], kept["version"]);

        // The doctor is busy at the time that would keep the other promise.
        world.booked("2026-11-24T16:00:00+07:00").await;
        let busy = world.registrar.client.post(&keep(&visits[1]), &json!({})).await;
        assert_eq!(busy.refused(409), "slot_taken");
        let left = world.registrar.client.get(&list).await.expect(200);
        assert_eq!(left["items"].as_array().unwrap().len(), 1);
        assert_eq!(left["items"][0]["code"], visits[1]["code"]);
    }
}
