//! Several visits in a row, and "did it go through?".

use actix_web::http::Method;
use chrono::TimeDelta;
use serde_json::{Value, json};

use crate::on_both;
use crate::support::world::made;
use crate::support::{Engine, World, key};

fn series(world: &World) -> Value {
    json!({"service": world.service, "practitioner": world.doctor.id,
        "start": "2026-11-24T09:00:00+07:00", "every_weeks": 1, "count": 4})
}

const COUNT: &str = "SELECT count(*) AS n FROM appointments";

on_both! {
    async fn a_series_books_what_it_can_and_says_of_each_what_came_of_it(world: World) {
        let taken = world.wish("2026-12-08T09:00:00+07:00");
        world.boris.client.once("/v1/appointments", &key(), &taken).await.expect(201);
        let mut wish = series(world);
        wish["dry_run"] = json!(true);
        let path = "/v1/appointments/series";
        let would = world.asha.client.once(path, &key(), &wish).await.expect(200);
        let results = |body: &Value| -> Vec<String> {
            let items = body["items"].as_array().unwrap().iter();
            items.map(|item| item["result"].as_str().unwrap().to_owned()).collect()
        };
        assert_eq!(results(&would), ["free", "free", "conflict", "free"]);
        assert_eq!(world.house.count(COUNT), 1, "a dry run books nothing");
        assert_eq!(world.house.count("SELECT count(*) AS n FROM outbox_messages"), 1 + 2);
        assert!(would.get("id").is_none());

        wish["dry_run"] = json!(false);
        let key = key();
        let done = world.asha.client.once(path, &key, &wish).await.expect(200);
        assert_eq!(results(&done), ["booked", "booked", "conflict", "booked"]);
        assert_eq!(world.house.count(COUNT), 4);
        let conflict = &done["items"][2];
        assert_eq!(conflict["code"], "slot_taken");
        assert_eq!(conflict["alternatives"][0]["local_start"], "2026-12-08T09:20:00+07:00");
        for at in [0, 1, 3] {
            let visit = &done["items"][at]["appointment"];
            assert_eq!(visit["series"], done["id"]);
            assert!(visit["local_start"].as_str().unwrap().contains("T09:00:00+07:00"));
        }
        let again = world.asha.client.once(path, &key, &wish).await.expect(200);
        assert_eq!(again, done);
        assert_eq!(world.house.count(COUNT), 4);
        // One of them is a visit like any other.
        let one = done["items"][1]["appointment"]["id"].as_str().unwrap();
        let cancel = format!("/v1/appointments/{one}/cancel");
        world.asha.client.post(&cancel, &json!({})).await.expect(200);
    }
}

on_both! {
    async fn a_day_that_is_full_is_said_of_that_day_alone(world: World) {
        let terms = format!("/v1/healthcare-services/{}", world.service);
        let version = world.admin.client.get(&terms).await.expect(200)["version"].as_i64().unwrap();
        let cap = json!({"booking": {"daily_cap": 1}});
        world.admin.client.edit(Method::PATCH, &terms, version, &cap).await.expect(200);
        let taken = world.wish("2026-11-24T10:00:00+07:00");
        world.boris.client.once("/v1/appointments", &key(), &taken).await.expect(201);
        let done = world.asha.client.once("/v1/appointments/series", &key(), &series(world)).await.expect(200);
        let said = |at: usize| (done["items"][at]["result"].clone(), done["items"][at]["code"].clone());
        assert_eq!(said(0), (json!("conflict"), json!("day_full")));
        assert_eq!(done["items"][0]["alternatives"][0]["local_start"], "2026-11-25T09:00:00+07:00");
        assert_eq!(said(1), (json!("booked"), Value::Null));
    }
}

on_both! {
    async fn a_series_goes_by_the_clock_where_the_patient_lives(world: World) {
        let admin = &world.admin.client;
        let place = json!({"name": "Ньюпорт", "kind": "village", "organization": world.clinic,
            "time_zone": "America/New_York", "link_class": "4g"});
        let place = made(admin, "/v1/locations", place).await;
        let patient = json!({"name": "Дальний", "birth_date": "1980-01-01",
            "location": place["id"], "organization": world.clinic});
        let patient = made(&world.registrar.client, "/v1/patients", patient).await;
        // 22:00 on the eve in New York is 10:00 in Krasnoyarsk, and 09:00 when summer has come there.
        let wish = json!({"service": world.service, "practitioner": world.doctor.id,
            "patient": patient["id"], "start": "2027-03-08T22:00:00-05:00",
            "every_days": 7, "count": 2});
        let done = world.registrar.client.once("/v1/appointments/series", &key(), &wish).await.expect(200);
        assert_eq!(done["time_zone"], "America/New_York");
        assert_eq!(done["items"][0]["appointment"]["start"], "2027-03-09T03:00:00Z");
        assert_eq!(done["items"][1]["appointment"]["start"], "2027-03-16T02:00:00Z");
        assert_eq!(done["items"][1]["local_start"], "2027-03-15T22:00:00-04:00");
        // What the clocks skip is no time.
        let gap = json!({"service": world.service, "practitioner": world.doctor.id,
            "patient": patient["id"], "start": "2027-03-13T02:30:00-05:00",
            "every_days": 1, "count": 2, "dry_run": true});
        let gap = world.registrar.client.once("/v1/appointments/series", &key(), &gap).await.expect(200);
        assert_eq!(gap["items"][1]["code"], "time_in_gap");
        assert_eq!(gap["items"][1]["start"], Value::Null);
        // That time is afternoon where the doctor sits, and a Sunday; what is free comes after it.
        let instead = gap["items"][1]["alternatives"].as_array().unwrap();
        assert_eq!(instead.len(), 3);
        assert_eq!(instead[0]["start"], "2027-03-15T02:00:00Z");
    }
}

on_both! {
    async fn a_series_that_makes_no_sense_is_refused_whole(world: World) {
        for (field, value) in [
            ("count", json!(0)),
            ("count", json!(13)),
            ("every_weeks", json!(0)),
            ("every_weeks", json!(14)),
            ("every_days", json!(7)),
            ("every_weeks", Value::Null),
        ] {
            let mut wish = series(world);
            wish[field] = value;
            let refused = world.asha.client.once("/v1/appointments/series", &key(), &wish).await;
            assert_eq!(refused.refused(422), "invalid_body", "{wish}");
        }
        let mut wish = series(world);
        wish["start"] = json!("2026-11-17T09:00:00+07:00");
        let refused = world.asha.client.once("/v1/appointments/series", &key(), &wish).await;
        assert_eq!(refused.refused(422), "in_the_past");
        assert_eq!(world.house.count(COUNT), 0);
    }
}

on_both! {
    async fn whoever_has_lost_the_line_hears_whether_it_went_through_and_nothing_else(world: World) {
        let mut wish = world.wish("2026-11-24T09:00:00+07:00");
        wish["hold"] = json!(true);
        let held = world.asha.client.once("/v1/appointments", &key(), &wish).await.expect(201);
        let nobody = world.house.client();
        let path = "/v1/appointments/lookup";
        let code = held["code"].as_str().unwrap();
        let ask = json!({"code": format!(" {} ", code.to_lowercase()), "birth_date": "1961-04-12"});
        let found = nobody.post(path, &ask).await.expect(200);
        let expected = json!({"status": "pending", "local_start": "2026-11-24T09:00:00+07:00",
            "time_zone": "Asia/Krasnoyarsk"});
        assert_eq!(found, expected);
        for wrong in [
            json!({"code": code, "birth_date": "1961-04-13"}),
            json!({"code": "ZZZZZZ", "birth_date": "1961-04-12"}),
        ] {
            assert_eq!(nobody.post(path, &wrong).await.refused(404), "not_found");
        }
        world.house.advance(TimeDelta::minutes(11));
        assert_eq!(nobody.post(path, &ask).await.expect(200)["status"], "cancelled", "it ran out");
        // A birth date is not guessed: five questions about one code.
        nobody.post(path, &ask).await.expect(200);
        nobody.post(path, &ask).await.expect(200);
        let guess = nobody.post(path, &ask).await;
        assert_eq!(guess.refused(429), "too_many_attempts");
        assert!(guess.header("retry-after").is_some());
        world.house.advance(TimeDelta::hours(1));
        nobody.post(path, &ask).await.expect(200);
        // Nor are codes: thirty questions from one address.
        for number in 0..29 {
            let wrong = json!({"code": format!("AAAA{number}"), "birth_date": "1961-04-12"});
            nobody.post(path, &wrong).await.refused(404);
        }
        let wrong = json!({"code": "BBBBBB", "birth_date": "1961-04-12"});
        assert_eq!(nobody.post(path, &wrong).await.refused(429), "too_many_attempts");
    }
}
