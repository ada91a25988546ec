//! What the office or a law changes about a visit that was promised: who hears of it, what can be
//! taken back, and what is proposed instead.

use actix_web::http::Method;
use chrono::TimeDelta;
use serde_json::{Value, json};

use crate::on_both;
use crate::support::world::{made, member};
use crate::support::{Answer, Engine, World, key};

const TUESDAY_9: &str = "2026-11-24T09:00:00+07:00";
const TEXTS: &str = "SELECT count(*) AS n FROM outbox_messages";

fn path(visit: &Value, act: &str) -> String {
    format!("/v1/appointments/{}/{act}", visit["id"].as_str().unwrap())
}

async fn office(world: &World, visit: &Value, act: &str, body: Value) -> Answer {
    world.registrar.client.post(&path(visit, act), &body).await
}

/// What Boris books, or holds.
async fn boris(world: &World, start: &str, hold: bool) -> Value {
    let mut wish = world.wish(start);
    wish["hold"] = json!(hold);
    world.boris.client.once("/v1/appointments", &key(), &wish).await.expect(201)
}

on_both! {
    async fn a_patient_hears_that_the_clinic_calls_a_visit_off_and_that_it_takes_that_back(
        world: World
    ) {
        let booked = world.booked(TUESDAY_9).await;
        let texts = world.house.count(TEXTS);
        office(world, &booked, "cancel", json!({"code": "clinic"})).await.expect(200);
        let said = world.house.sms_with(&world.asha.login, "отменён").await;
        assert!(said.contains("09:00") && said.contains(booked["code"].as_str().unwrap()), "{said}");
        assert_eq!(world.house.count(TEXTS), texts + 1);
        assert_eq!(world.asha.client.post(&path(&booked, "undo"), &json!({})).await.refused(403), "forbidden");
        let back = office(world, &booked, "undo", json!({})).await.expect(200);
        assert_eq!((&back["status"], &back["encounter"]["status"]), (&json!("booked"), &json!("planned")));
        assert_eq!((back.get("cancellation_code"), back.get("cancellation_reason")), (None, None));
        assert_eq!(world.house.count(TEXTS), texts + 2, "they hear that it stands again");

        // Whoever calls off themselves, or had not been promised anything, is not told.
        world.asha.client.post(&path(&booked, "cancel"), &json!({})).await.expect(200);
        let held = boris(world, "2026-11-24T10:00:00+07:00", true).await;
        let before = world.house.count(TEXTS);
        office(world, &held, "cancel", json!({})).await.expect(200);
        assert_eq!(world.house.count(TEXTS), before);
        assert_eq!(office(world, &held, "undo", json!({})).await.refused(409), "bad_state");
        office(world, &booked, "undo", json!({})).await.expect(200);

        // Nobody is put out for it, and nothing comes back that has passed.
        office(world, &booked, "cancel", json!({"code": "technical"})).await.expect(200);
        boris(world, TUESDAY_9, false).await;
        let refused = office(world, &booked, "undo", json!({})).await;
        assert_eq!(refused.refused(409), "slot_taken");
        assert_eq!(refused.body["alternatives"][0]["local_start"], "2026-11-24T09:20:00+07:00");
        assert_eq!(refused.body["alternatives"].as_array().unwrap().len(), 3);
        let soon = world.booked("2026-11-23T09:20:00+07:00").await;
        office(world, &soon, "cancel", json!({})).await.expect(200);
        world.house.advance(TimeDelta::minutes(20));
        let registrar = world.resigned(&world.registrar).await;
        let late = registrar.client.post(&path(&soon, "undo"), &json!({})).await;
        assert_eq!(late.refused(409), "too_late");
    }
}

on_both! {
    async fn nobody_is_booked_again_with_whoever_is_away_or_while_the_clinic_is_closed(world: World) {
        let booked = world.booked(TUESDAY_9).await;
        office(world, &booked, "cancel", json!({})).await.expect(200);
        let registrar = &world.registrar.client;
        let absences = format!("/v1/practitioners/{}/absences", world.doctor.id);
        let day = json!({"from": "2026-11-24T00:00:00+07:00", "to": "2026-11-25T00:00:00+07:00"});
        let leave = registrar.once(&absences, &key(), &day).await.expect(201);
        assert_eq!(leave["status"], "complete", "it hits nothing");
        let texts = world.house.count(TEXTS);
        let refused = office(world, &booked, "undo", json!({})).await;
        assert_eq!(refused.refused(422), "outside_hours");
        assert_eq!(refused.body["alternatives"][0]["local_start"], "2026-11-25T09:00:00+07:00");
        assert_eq!(world.house.count(TEXTS), texts, "nobody is told");
        let leave = format!("{absences}/{}", leave["id"].as_str().unwrap());
        let gone = registrar.send(registrar.request(Method::DELETE, &leave), None).await;
        assert_eq!(gone.status, 204);

        let closures = format!("/v1/organizations/{}/closures", world.clinic);
        let holiday = json!({"name": {"en": "Holiday", "ru": "Праздник"},
            "from_date": "2026-11-24", "to_date": "2026-11-24", "to": "09:10"});
        made(registrar, &closures, holiday).await;
        assert_eq!(office(world, &booked, "undo", json!({})).await.refused(422), "outside_hours");
        // Extra hours are worked all the same.
        let extra = format!("/v1/practitioners/{}/extra-hours", world.doctor.id);
        made(registrar, &extra, json!({"from": TUESDAY_9, "to": "2026-11-24T10:00:00+07:00"})).await;
        let back = office(world, &booked, "undo", json!({})).await.expect(200);
        assert_eq!(back["status"], "booked");
    }
}

on_both! {
    async fn a_day_that_is_full_takes_no_visit_back(world: World) {
        let service = format!("/v1/healthcare-services/{}", world.service);
        let cap = json!({"booking": {"daily_cap": 1}});
        world.admin.client.edit(Method::PATCH, &service, 1, &cap).await.expect(200);
        let off = world.booked(TUESDAY_9).await;
        office(world, &off, "cancel", json!({})).await.expect(200);
        let other = boris(world, "2026-11-24T10:00:00+07:00", false).await;
        let refused = office(world, &off, "undo", json!({})).await;
        assert_eq!(refused.refused(409), "day_full");
        assert_eq!(refused.body["alternatives"][0]["local_start"], "2026-11-25T09:00:00+07:00");
        office(world, &other, "cancel", json!({})).await.expect(200);
        office(world, &off, "undo", json!({})).await.expect(200);
    }
}

on_both! {
    async fn that_a_visit_was_missed_is_put_right_also_on_a_day_that_has_filled_up(world: World) {
        let service = format!("/v1/healthcare-services/{}", world.service);
        let cap = json!({"booking": {"daily_cap": 1}});
        world.admin.client.edit(Method::PATCH, &service, 1, &cap).await.expect(200);
        let missed = world.booked("2026-11-23T09:20:00+07:00").await;
        world.house.advance(TimeDelta::minutes(21));
        let registrar = world.resigned(&world.registrar).await.client;
        registrar.post(&path(&missed, "noshow"), &json!({})).await.expect(200);
        let boris = world.resigned(&world.boris).await.client;
        let wish = world.wish("2026-11-23T15:00:00+07:00");
        boris.once("/v1/appointments", &key(), &wish).await.expect(201);
        let back = registrar.post(&path(&missed, "undo"), &json!({})).await.expect(200);
        assert_eq!(back["status"], "booked");
    }
}

on_both! {
    async fn what_was_asked_for_is_not_accepted_into_a_closed_clinic(world: World) {
        let mut wish = world.wish(TUESDAY_9);
        wish["request"] = json!(true);
        let asked = world.asha.client.once("/v1/appointments", &key(), &wish).await.expect(201);
        let closed = json!({"name": {"en": "Repair", "ru": "Ремонт"}, "from_date": "2026-11-24",
            "to_date": "2026-11-24"});
        let path = format!("/v1/organizations/{}/closures", world.clinic);
        let closure = made(&world.registrar.client, &path, closed).await;
        assert_eq!((&closure["affected_count"], &closure["affected"][0]["id"]), (&json!(1), &asked["id"]));
        let refused = office(world, &asked, "accept", json!({})).await;
        assert_eq!(refused.refused(422), "outside_hours");
        let open = format!("{path}/{}", closure["id"].as_str().unwrap());
        let open = world.registrar.client.request(Method::DELETE, &open);
        assert_eq!(world.registrar.client.send(open, None).await.status, 204);
        let accepted = office(world, &asked, "accept", json!({})).await.expect(200);
        assert_eq!(accepted["status"], "booked");
    }
}

on_both! {
    async fn what_is_held_is_not_confirmed_into_a_closed_clinic(world: World) {
        let held = boris(world, TUESDAY_9, true).await;
        let closed = json!({"name": {"en": "Repair", "ru": "Ремонт"}, "from_date": "2026-11-24",
            "to_date": "2026-11-24"});
        let closures = format!("/v1/organizations/{}/closures", world.clinic);
        let closure = made(&world.registrar.client, &closures, closed).await;
        let refused = world.boris.client.post(&path(&held, "confirm"), &json!({})).await;
        assert_eq!(refused.refused(422), "outside_hours");
        assert_eq!(refused.body["alternatives"].as_array().unwrap().len(), 3);
        let open = format!("{closures}/{}", closure["id"].as_str().unwrap());
        let open = world.registrar.client.request(Method::DELETE, &open);
        assert_eq!(world.registrar.client.send(open, None).await.status, 204);
        let booked = world.boris.client.post(&path(&held, "confirm"), &json!({})).await.expect(200);
        assert_eq!(booked["status"], "booked", "it was held meanwhile");
    }
}

on_both! {
    async fn the_database_knows_which_visits_were_promised(world: World) {
        let held = boris(world, TUESDAY_9, true).await;
        world.boris.client.post(&path(&held, "cancel"), &json!({})).await.expect(200);
        let revive = "UPDATE appointments SET status = 'booked', cancellation_code = NULL \
            WHERE status = 'cancelled'";
        assert!(world.house.execute(revive).expect_err("over").contains("appointment_over"));
    }
}

on_both! {
    async fn a_time_that_is_no_longer_held_stands_in_no_promise_s_way_and_is_none(world: World) {
        let booked = world.booked(TUESDAY_9).await;
        boris(world, "2026-11-24T10:00:00+07:00", true).await;
        let dead = boris(world, "2026-11-24T15:00:00+07:00", true).await;
        // As if both had been promised under a law that set the clocks an hour later.
        for (visit, promised) in [(&booked, "2026-11-24T10:00:00+08:00"), (&dead, "2026-11-24T16:00:00+08:00")] {
            let code = visit["code"].as_str().unwrap();
            world.house.execute(&format!("UPDATE appointments SET local_start = '{promised}' WHERE code = '{code}'")).unwrap();
        }
        let busy = office(world, &booked, "keep-promise", json!({})).await;
        assert_eq!(busy.refused(409), "slot_taken");
        assert_eq!(busy.body["alternatives"].as_array().unwrap().len(), 3);

        world.house.advance(TimeDelta::minutes(11));
        let registrar = world.resigned(&world.registrar).await;
        let list = format!("/v1/organizations/{}/broken-promises", world.clinic);
        let broken = registrar.client.get(&list).await.expect(200);
        assert_eq!(broken["items"].as_array().unwrap().len(), 1, "{broken}");
        let over = registrar.client.post(&path(&dead, "keep-promise"), &json!({})).await;
        assert_eq!(over.refused(410), "hold_over");
        let doctor = format!("/v1/practitioners/{}", world.doctor.id);
        let admin = world.resigned(&world.admin).await;
        let version = admin.client.get(&doctor).await.expect(200)["version"].as_i64().unwrap();
        let reach = json!({"phone": "+7 000 000-77-01"});
        let told = admin.client.edit(Method::PATCH, &doctor, version, &reach).await.expect(200);
        assert!(!told.to_string().contains("7701"), "{told}");
        let kept = registrar.client.post(&path(&booked, "keep-promise"), &json!({})).await.expect(200);
        assert_eq!(kept["start"], "2026-11-24T03:00:00Z");
        let said = world.house.sms_with("+70000007701", kept["code"].as_str().unwrap()).await;
        assert!(said.contains("10:00"), "the doctor hears as well: {said}");
    }
}

on_both! {
    async fn the_office_changes_what_a_doctor_does_and_where_their_clock_stands(world: World) {
        let admin = &world.admin.client;
        let doctor = format!("/v1/practitioners/{}", world.doctor.id);
        let change = |body: Value| {
            let doctor = doctor.clone();
            async move {
                let version = admin.get(&doctor).await.expect(200)["version"].as_i64().unwrap();
                admin.edit(Method::PATCH, &doctor, version, &body).await
            }
        };
        let service = json!({"organization": world.clinic, "name": {"en": "Heart", "ru": "Сердце"},
            "specialty": "cardiology", "duration_minutes": 30, "modes": ["video"]});
        let service = made(admin, "/v1/healthcare-services", service).await;
        let found = |service: &Value| format!(
            "/v1/slots?service={}&from=2026-11-24T00:00:00Z&to=2026-11-25T00:00:00Z&limit=1",
            service.as_str().unwrap()
        );
        let none = world.asha.client.get(&found(&service["id"])).await.expect(200);
        assert_eq!(none["items"], json!([]));
        let both = json!({"services": [world.service, service["id"]]});
        let given = change(both).await.expect(200);
        assert_eq!(given["services"].as_array().unwrap().len(), 2);
        let some = world.asha.client.get(&found(&service["id"])).await.expect(200);
        assert_eq!(some["items"][0]["practitioner"]["id"], json!(world.doctor.id));
        let gone = world.asha.client.get(&found(&json!(world.long_service))).await.expect(200);
        assert_eq!(gone["items"], json!([]), "what they no longer do is not offered");
        let foreign = change(json!({"services": [world.other_service]})).await;
        assert_eq!(foreign.refused(422), "unknown_reference");

        let first = &some["items"][0]["start"];
        let moved = change(json!({"time_zone": "Asia/Kamchatka"})).await.expect(200);
        assert_eq!(moved["time_zone"], "Asia/Kamchatka");
        let there = world.asha.client.get(&found(&service["id"])).await.expect(200);
        assert_ne!(&there["items"][0]["start"], first, "their hours are meant by another clock");
        for (wrong, code) in [
            (json!({"phone": "8 800 555"}), "invalid_phone"),
            (json!({"time_zone": "Asia/Atlantis"}), "unknown_time_zone"),
            (json!({"languages": []}), "invalid_body"),
        ] {
            assert_eq!(change(wrong).await.refused(422), code);
        }
        let forbidden = world.doctor.client.edit(Method::PATCH, &doctor, 1, &json!({"services": []})).await;
        assert_eq!(forbidden.refused(403), "forbidden");
    }
}

on_both! {
    async fn a_place_whose_zone_was_wrong_keeps_what_its_people_were_promised(world: World) {
        let (admin, registrar) = (&world.admin.client, &world.registrar.client);
        let village = format!("/v1/locations/{}", world.village);
        let booked = world.booked(TUESDAY_9).await;
        let edit = |version: i64, body: Value| {
            let village = village.clone();
            async move { admin.edit(Method::PATCH, &village, version, &body).await }
        };
        // Another name for the same clocks breaks nothing.
        let same = edit(1, json!({"time_zone": "Asia/Novosibirsk", "link_class": "3g"})).await.expect(200);
        assert_eq!((&same["broken_promises"], &same["link_class"]), (&json!(0), &json!("3g")));
        let moved = edit(2, json!({"time_zone": "Asia/Irkutsk", "name": "Кедровый"})).await.expect(200);
        assert_eq!((&moved["broken_promises"], &moved["name"]), (&json!(1), &json!("Кедровый")));
        assert_eq!((&moved["time_zone"], &moved["version"]), (&json!("Asia/Irkutsk"), &json!(3)));
        assert_eq!(edit(2, json!({"name": "Иной"})).await.refused(412), "stale_version");
        for (wrong, code) in [
            (json!({"time_zone": "Asia/Atlantis"}), "unknown_time_zone"),
            (json!({"latitude": 91, "longitude": 0}), "invalid_body"),
            (json!({"latitude": 58}), "invalid_body"),
        ] {
            assert_eq!(edit(3, wrong).await.refused(422), code);
        }
        let name = json!({"name": "Иной"});
        let forbidden = registrar.edit(Method::PATCH, &village, 3, &name).await;
        assert_eq!(forbidden.refused(403), "forbidden");

        let patient = format!("/v1/patients/{}", world.asha.id);
        let patient = world.asha.client.get(&patient).await.expect(200);
        assert_eq!(patient["time_zone"], "Asia/Irkutsk");
        let list = format!("/v1/organizations/{}/broken-promises", world.clinic);
        let broken = registrar.get(&list).await.expect(200);
        let one = &broken["items"][0];
        assert_eq!((&one["id"], &one["promised"]), (&booked["id"], &json!(TUESDAY_9)));
        assert_eq!((&one["shown"], &one["proposed"]),
            (&json!("2026-11-24T10:00:00+08:00"), &json!("2026-11-24T01:00:00Z")));
        let tasks = registrar.get("/v1/tasks").await.expect(200);
        let task = &tasks["items"][0];
        assert_eq!((&task["code"], &task["why"]), (&json!("promises"), &json!("zone")));
        let kept = office(world, &booked, "keep-promise", json!({})).await.expect(200);
        assert_eq!(kept["local_start"], "2026-11-24T09:00:00+08:00");
        assert_eq!(registrar.get("/v1/tasks").await.expect(200)["items"], json!([]));

        // The clinic's own clock tells the office its day, and moves nothing.
        let clinic = format!("/v1/organizations/{}", world.clinic);
        let renamed = json!({"name": "Кедровая больница", "time_zone": "Asia/Irkutsk"});
        let changed = admin.edit(Method::PATCH, &clinic, 1, &renamed).await.expect(200);
        assert_eq!((&changed["time_zone"], &changed["version"]), (&json!("Asia/Irkutsk"), &json!(2)));
        assert_eq!(admin.edit(Method::PATCH, &clinic, 1, &renamed).await.refused(412), "stale_version");
        let day = "from=2026-11-24T00:00:00Z&to=2026-11-25T00:00:00Z";
        let board = registrar.get(&format!("{clinic}/board?{day}")).await.expect(200);
        assert_eq!(board["time_zone"], "Asia/Irkutsk");
        assert_eq!(registrar.get(&list).await.expect(200)["items"], json!([]));

        // A visit of today that should have begun is still to come by the clock that it was promised by.
        let today = world.booked("2026-11-23T09:20:00+07:00").await;
        assert_eq!(today["local_start"], "2026-11-23T10:20:00+08:00");
        world.house.advance(TimeDelta::minutes(21));
        let (admin, registrar) = (world.resigned(&world.admin).await, world.resigned(&world.registrar).await);
        let back = json!({"time_zone": "Asia/Krasnoyarsk"});
        // Another clinic's patients live there as well: it is not for one clinic to say.
        let house = &world.house;
        let chief = member(house, &admin.client, &world.clinic, "Ирина", "clinic_admin", "glavnaya").await;
        let far = member(house, &admin.client, &world.other_clinic, "Ада", "registrar", "dalnyaya").await;
        let guest = json!({"name": "Вера Иная", "birth_date": "1961-04-12", "language": "ru",
            "phone": "+70000000009", "location": world.village, "organization": world.other_clinic});
        made(&far.client, "/v1/patients", guest).await;
        let refused = chief.client.edit(Method::PATCH, &village, 3, &back).await;
        assert_eq!(refused.refused(403), "forbidden");
        let moved = admin.client.edit(Method::PATCH, &village, 3, &back).await.expect(200);
        assert_eq!(moved["broken_promises"], 2);
        let broken = registrar.client.get(&list).await.expect(200);
        assert_eq!(broken["items"][0]["id"], today["id"], "{broken}");
        let kept = registrar.client.post(&path(&today, "keep-promise"), &json!({})).await.expect(200);
        assert_eq!(kept["start"], "2026-11-23T03:20:00Z");
    }
}

on_both! {
    async fn who_calls_a_visit_off_by_hand_for_a_leave_can_take_that_back(world: World) {
        let booked = world.booked(TUESDAY_9).await;
        office(world, &booked, "cancel", json!({"code": "leave"})).await.expect(200);
        let back = office(world, &booked, "undo", json!({})).await.expect(200);
        assert_eq!(back["status"], "booked");
        assert_eq!(back.get("cancellation_code"), None);
    }
}
