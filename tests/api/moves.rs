//! Visits that are moved, asked for, corrected, urgent, or a second one at the same time.

use actix_web::http::Method;
use chrono::TimeDelta;
use serde_json::{Value, json};

use crate::on_both;
use crate::support::world::{made, practitioner};
use crate::support::{Answer, Client, Engine, Person, World, key};

const TUESDAY_9: &str = "2026-11-24T09:00:00+07:00";
const TUESDAY_920: &str = "2026-11-24T09:20:00+07:00";
const TUESDAY_930: &str = "2026-11-24T09:30:00+07:00";

fn path(visit: &Value, act: &str) -> String {
    let id = visit["id"].as_str().unwrap();
    if act.is_empty() {
        format!("/v1/appointments/{id}")
    } else {
        format!("/v1/appointments/{id}/{act}")
    }
}

async fn moves(client: &Client, visit: &Value, start: &str) -> Answer {
    client.once(&path(visit, "reschedule"), &key(), &json!({ "start": start })).await
}

async fn books(client: &Client, wish: &Value) -> Answer {
    client.once("/v1/appointments", &key(), wish).await
}

/// A doctor of the clinic who gives the short service too, in the usual hours.
async fn second_doctor(world: &World) -> Person {
    let admin = &world.admin.client;
    let services = [world.service.as_str()];
    let second = practitioner(
        &world.house,
        admin,
        &world.clinic,
        "Зинаида Вторая",
        "doctor",
        "vtoraya",
        &services,
    );
    let second = second.await;
    let days = ["mon", "tue", "wed", "thu", "fri"];
    let rules = days.map(|day| json!({"weekday": day, "from": "09:00", "to": "17:00"}));
    let path = format!("/v1/practitioners/{}/schedule", second.id);
    second.client.edit(Method::PUT, &path, 1, &json!({ "rules": rules })).await.expect(200);
    second
}

/// Changes the short service.
async fn with_terms(world: &World, change: Value) {
    let path = format!("/v1/healthcare-services/{}", world.service);
    let version = world.admin.client.get(&path).await.expect(200)["version"].as_i64().unwrap();
    world.admin.client.edit(Method::PATCH, &path, version, &change).await.expect(200);
}

on_both! {
    async fn a_visit_is_moved_in_place_and_its_history_stays(world: World) {
        let booked = world.booked(TUESDAY_9).await;
        let moved = {
            let body = json!({"start": TUESDAY_930, "reason": "автобус"});
            let path = path(&booked, "reschedule");
            world.registrar.client.once(&path, &key(), &body).await.expect(200)
        };
        for same in ["id", "code", "encounter", "status", "patient"] {
            assert_eq!(moved[same], booked[same], "{same}");
        }
        assert_eq!(moved["start"], "2026-11-24T02:30:00Z");
        assert_eq!(moved["end"], "2026-11-24T02:50:00Z");
        assert_eq!(moved["local_start"], TUESDAY_930);
        assert_eq!(moved["version"], 2);
        let sms = world.house.sms_with("+70000000001", "перенос").await;
        assert!(sms.contains("09:30") && sms.contains(booked["code"].as_str().unwrap()), "{sms}");

        // Over itself, by ten minutes.
        moves(&world.registrar.client, &booked, "2026-11-24T09:40:00+07:00").await.expect(200);
        let shown = world.doctor.client.get(&path(&booked, "")).await.expect(200);
        let history = shown["moves"].as_array().unwrap();
        assert_eq!(history.len(), 2);
        assert_eq!(history[0]["from_start"], "2026-11-24T02:00:00Z");
        assert_eq!(history[0]["to_start"], "2026-11-24T02:30:00Z");
        assert_eq!(history[0]["reason"], "автобус");
        assert_eq!(history[0]["by"]["name"], "Нина Орлова");
        assert_eq!(history[1]["to_start"], "2026-11-24T02:40:00Z");
        let encounter = format!("/v1/encounters/{}", booked["encounter"]["id"].as_str().unwrap());
        let visit = world.asha.client.get(&encounter).await.expect(200);
        assert_eq!(visit["start"], "2026-11-24T02:40:00Z");
        assert_eq!(visit["opens_at"], "2026-11-24T02:25:00Z");
        // Patients take what is offered.
        let own = moves(&world.asha.client, &booked, "2026-11-24T09:30:00+07:00").await;
        assert_eq!(own.refused(422), "off_grid");
        assert_eq!(own.body["alternatives"].as_array().unwrap().len(), 3);
        // What it had is free.
        books(&world.boris.client, &world.wish(TUESDAY_9)).await.expect(201);
        for frozen in [
            "UPDATE appointment_moves SET number = 7",
            "DELETE FROM appointment_moves",
        ] {
            assert!(world.house.execute(frozen).is_err(), "{frozen}");
        }
    }
}

on_both! {
    async fn a_move_that_collides_changes_nothing_and_names_what_is_free(world: World) {
        let booked = world.booked(TUESDAY_9).await;
        books(&world.boris.client, &world.wish(TUESDAY_920)).await.expect(201);
        let before = world.asha.client.get(&path(&booked, "")).await.expect(200);
        for start in [TUESDAY_920, TUESDAY_930, "2026-11-24T09:10:00+07:00"] {
            let refused = moves(&world.registrar.client, &booked, start).await;
            assert_eq!(refused.refused(409), "slot_taken", "{start}");
            assert_eq!(refused.body["alternatives"].as_array().unwrap().len(), 3);
        }
        let elsewhere = json!({"service": world.other_service, "practitioner": world.stranger.id,
            "start": "2026-11-24T11:00:00+07:00"});
        books(&world.asha.client, &elsewhere).await.expect(201);
        let refused = moves(&world.registrar.client, &booked, "2026-11-24T11:10:00+07:00").await;
        assert_eq!(refused.refused(409), "patient_busy");
        let refused = moves(&world.registrar.client, &booked, "2026-11-24T07:00:00+07:00").await;
        assert_eq!(refused.refused(422), "outside_hours");
        let refused = moves(&world.registrar.client, &booked, "2026-11-22T09:00:00+07:00").await;
        assert_eq!(refused.refused(422), "in_the_past");
        assert_eq!(world.asha.client.get(&path(&booked, "")).await.expect(200), before);
        assert_eq!(world.house.count(crate::race::OVERLAPS), 0);
    }
}

on_both! {
    async fn a_move_says_which_version_it_means_and_what_is_over_is_not_moved(world: World) {
        let booked = world.booked(TUESDAY_9).await;
        let to = json!({"start": TUESDAY_930});
        let stale = world.registrar.client.edit(Method::POST, &path(&booked, "reschedule"), 7, &to).await;
        assert_eq!(stale.refused(412), "stale_version");
        world.registrar.client.edit(Method::POST, &path(&booked, "reschedule"), 1, &to).await.expect(200);
        world.asha.client.post(&path(&booked, "cancel"), &json!({})).await.expect(200);
        assert_eq!(moves(&world.registrar.client, &booked, TUESDAY_9).await.refused(409), "bad_state");

        let mut wish = world.wish(TUESDAY_9);
        wish["hold"] = json!(true);
        let held = books(&world.asha.client, &wish).await.expect(201);
        let moved = moves(&world.registrar.client, &held, TUESDAY_930).await.expect(200);
        assert_eq!(moved["status"], "pending");
        assert_eq!(moved["hold_expires_at"], held["hold_expires_at"]);
        world.house.advance(TimeDelta::minutes(11));
        let asha = world.resigned(&world.asha).await;
        let registrar = world.resigned(&world.registrar).await;
        let late = moves(&registrar.client, &held, TUESDAY_920).await;
        assert_eq!(late.refused(410), "hold_over");
        assert_eq!(late.body["alternatives"].as_array().unwrap().len(), 3);
        let late = asha.client.post(&path(&held, "confirm"), &json!({})).await;
        assert_eq!(late.refused(410), "hold_over");
        assert_eq!(late.body["alternatives"][0]["local_start"], TUESDAY_940);
        // A dead hold is in nobody's way.
        let boris = world.resigned(&world.boris).await;
        let booked = books(&boris.client, &world.wish(TUESDAY_9)).await.expect(201);
        moves(&registrar.client, &booked, TUESDAY_930).await.expect(200);
    }
}
const TUESDAY_940: &str = "2026-11-24T09:40:00+07:00";

on_both! {
    async fn a_visit_is_put_into_other_hands(world: World) {
        let second = second_doctor(world).await;
        let booked = world.booked(TUESDAY_9).await;
        let to = |who: &str| json!({"start": TUESDAY_9, "practitioner": who});
        let path_of = path(&booked, "reschedule");
        let moved = world.registrar.client.once(&path_of, &key(), &to(&second.id)).await.expect(200);
        assert_eq!(moved["practitioner"]["id"], json!(second.id));
        assert_eq!(moved["moves"][0]["from_practitioner"]["name"], "Анна Лебедева");
        assert_eq!(world.doctor.client.get(&path(&booked, "")).await.refused(404), "not_found");
        second.client.get(&path(&booked, "")).await.expect(200);
        let encounter = format!("/v1/encounters/{}", booked["encounter"]["id"].as_str().unwrap());
        second.client.get(&encounter).await.expect(200);
        world.doctor.client.get(&encounter).await.refused(404);
        // The first doctor is free again, and the other is not.
        books(&world.boris.client, &world.wish(TUESDAY_9)).await.expect(201);
        let who = json!({"service": world.service, "practitioner": second.id, "start": TUESDAY_9});
        assert_eq!(books(&world.boris.client, &who).await.status, 409);
        let unknown = world.registrar.client.once(&path_of, &key(), &to(&world.stranger.id)).await;
        assert_eq!(unknown.refused(422), "unknown_reference");
    }
}

on_both! {
    async fn two_who_change_places_at_once_never_overlap(world: World) {
        let first = world.booked(TUESDAY_9).await;
        let second = books(&world.boris.client, &world.wish(TUESDAY_920)).await.expect(201);
        for round in 0..6 {
            let (a, b) = if round % 2 == 0 { (TUESDAY_930, TUESDAY_940) } else { (TUESDAY_940, TUESDAY_930) };
            let asha = moves(&world.registrar.client, &first, a);
            let boris = moves(&world.registrar.client, &second, b);
            let (one, other) = futures_util::future::join(asha, boris).await;
            for answer in [one, other] {
                assert!([200, 409].contains(&answer.status.as_u16()), "{}", answer.text);
            }
            assert_eq!(world.house.count(crate::race::OVERLAPS), 0, "round {round}");
        }
    }
}

on_both! {
    async fn a_visit_that_was_asked_for_takes_its_time_until_the_clinic_answers(world: World) {
        let mut wish = world.wish(TUESDAY_9);
        wish["request"] = json!(true);
        let asked = books(&world.asha.client, &wish).await.expect(201);
        assert_eq!(asked["status"], "proposed");
        assert_eq!(asked["hold_expires_at"], "2026-11-24T02:20:00Z", "by its end at the latest");
        let taken = books(&world.boris.client, &world.wish(TUESDAY_9)).await;
        assert_eq!(taken.refused(409), "slot_taken");
        let accept = path(&asked, "accept");
        assert_eq!(world.asha.client.post(&accept, &json!({})).await.refused(403), "forbidden");
        let accepted = world.registrar.client.post(&accept, &json!({})).await.expect(200);
        assert_eq!(accepted["status"], "booked");
        assert!(accepted.get("hold_expires_at").is_none());
        world.house.sms_with("+70000000001", asked["code"].as_str().unwrap()).await;

        wish["start"] = json!(TUESDAY_920);
        let asked = books(&world.asha.client, &wish).await.expect(201);
        let why = json!({"reason": "нет врача"});
        let declined = world.doctor.client.post(&path(&asked, "decline"), &why).await.expect(200);
        assert_eq!((&declined["status"], &declined["cancellation_code"]), (&json!("cancelled"), &json!("declined")));
        assert_eq!(declined["cancellation_reason"], "нет врача");
        world.house.sms_with("+70000000001", "не смогла").await;
        books(&world.boris.client, &world.wish(TUESDAY_920)).await.expect(201);
        wish["hold"] = json!(true);
        assert_eq!(books(&world.asha.client, &wish).await.refused(422), "invalid_body");
    }
}

on_both! {
    async fn nobody_holds_more_than_three_times_at_once(world: World) {
        let hold = |start: &str| {
            let mut wish = world.wish(start);
            wish["hold"] = json!(true);
            wish
        };
        for start in [TUESDAY_9, TUESDAY_920, TUESDAY_940] {
            books(&world.asha.client, &hold(start)).await.expect(201);
        }
        let fourth = hold("2026-11-24T10:00:00+07:00");
        assert_eq!(books(&world.asha.client, &fourth).await.refused(409), "too_many_holds");
        books(&world.boris.client, &fourth).await.expect(201);
        books(&world.asha.client, &world.wish("2026-11-24T11:00:00+07:00")).await.expect(201);
        world.house.advance(TimeDelta::minutes(11));
        let asha = world.resigned(&world.asha).await;
        books(&asha.client, &hold("2026-11-24T10:00:00+07:00")).await.expect(201);
    }
}

on_both! {
    async fn that_somebody_did_not_come_can_be_taken_back_until_the_next_day(world: World) {
        let booked = world.booked("2026-11-23T09:20:00+07:00").await;
        world.house.advance(TimeDelta::minutes(21));
        let registrar = world.resigned(&world.registrar).await;
        let missed = json!({"cause": "clinic"});
        let missed = registrar.client.post(&path(&booked, "noshow"), &missed).await.expect(200);
        assert_eq!(missed["noshow_cause"], "clinic");
        let undone = registrar.client.post(&path(&booked, "undo"), &json!({})).await.expect(200);
        assert_eq!((&undone["status"], &undone["encounter"]["status"]), (&json!("booked"), &json!("planned")));
        assert!(undone.get("noshow_cause").is_none());
        let audited = "SELECT count(*) AS n FROM audit_events WHERE action = 'appointment.undo' \
            AND outcome = 'done'";
        assert_eq!(world.house.count(audited), 1);
        // A hold that has run out is in nobody's way.
        registrar.client.post(&path(&booked, "noshow"), &json!({})).await.expect(200);
        let mut wish = world.wish("2026-11-23T09:30:00+07:00");
        wish["patient"] = json!(world.boris.id);
        wish["hold"] = json!(true);
        books(&registrar.client, &wish).await.expect(201);
        let refused = registrar.client.post(&path(&booked, "undo"), &json!({})).await;
        assert_eq!(refused.refused(409), "slot_taken");
        world.house.advance(TimeDelta::minutes(11));
        let registrar = world.resigned(&registrar).await;
        registrar.client.post(&path(&booked, "undo"), &json!({})).await.expect(200);
        // What the patient can no longer have is not given back.
        registrar.client.post(&path(&booked, "noshow"), &json!({})).await.expect(200);
        let mut wish = world.wish("2026-11-23T09:35:00+07:00");
        wish["patient"] = json!(world.boris.id);
        books(&registrar.client, &wish).await.expect(201);
        let refused = registrar.client.post(&path(&booked, "undo"), &json!({})).await;
        assert_eq!(refused.refused(409), "slot_taken");
        let shown = registrar.client.get(&path(&booked, "")).await.expect(200);
        assert_eq!(shown["status"], "noshow");
        // Not a day later, whoever asks.
        let tomorrow = world.house.execute(&match world.house.engine {
            Engine::Sqlite => "UPDATE appointments SET starts_at = starts_at - 86400000000, \
                busy_from = busy_from - 86400000000, local_start = '2026-11-22T09:20:00+07:00' \
                WHERE status = 'noshow'".to_owned(),
            Engine::Postgres => "UPDATE appointments SET starts_at = starts_at - interval '1 day', \
                busy_from = busy_from - interval '1 day', local_start = '2026-11-22T09:20:00+07:00' \
                WHERE status = 'noshow'".to_owned(),
        });
        tomorrow.unwrap();
        let late = registrar.client.post(&path(&booked, "undo"), &json!({})).await;
        assert_eq!(late.refused(409), "too_late");
    }
}

on_both! {
    async fn that_a_patient_will_come_is_noted_once_and_forgotten_with_a_move(world: World) {
        let booked = world.booked(TUESDAY_9).await;
        let attend = path(&booked, "attend");
        let noted = world.registrar.client.post(&attend, &json!({})).await.expect(200);
        assert_eq!((&noted["status"], &noted["confirmed_at"]), (&json!("booked"), &json!("2026-11-23T02:00:00Z")));
        let again = world.registrar.client.post(&attend, &json!({})).await.expect(200);
        assert_eq!(again["version"], noted["version"]);
        assert_eq!(world.asha.client.post(&attend, &json!({})).await.expect(200), again, "they say so themselves");
        assert_eq!(world.boris.client.post(&attend, &json!({})).await.refused(404), "not_found");
        let moved = moves(&world.registrar.client, &booked, TUESDAY_930).await.expect(200);
        assert!(moved.get("confirmed_at").is_none());
    }
}

on_both! {
    async fn a_cancelled_visit_says_who_called_it_off(world: World) {
        let mine = world.booked(TUESDAY_9).await;
        let lie = json!({"code": "clinic"});
        let refused = world.asha.client.post(&path(&mine, "cancel"), &lie).await;
        assert_eq!(refused.refused(422), "invalid_body");
        let off = world.asha.client.post(&path(&mine, "cancel"), &json!({})).await.expect(200);
        assert_eq!(off["cancellation_code"], "patient");
        for (code, said) in [(Value::Null, "clinic"), (json!("leave"), "leave"), (json!("technical"), "technical")] {
            let booked = world.booked(TUESDAY_9).await;
            let body = json!({ "code": code });
            let off = world.doctor.client.post(&path(&booked, "cancel"), &body).await.expect(200);
            assert_eq!(off["cancellation_code"], said);
        }
    }
}

on_both! {
    async fn an_urgent_visit_lies_between_the_others_today_and_nobody_beside_it(world: World) {
        with_terms(world, json!({"booking": {"overbook": true}})).await;
        let registrar = &world.registrar.client;
        let urgent = |start: &str| {
            json!({"service": world.service, "practitioner": world.doctor.id, "start": start,
                "patient": world.asha.id, "priority": "urgent"})
        };
        let now = "2026-11-23T09:07:00+07:00";
        let mine = json!({"service": world.service, "practitioner": world.doctor.id,
            "start": now, "priority": "stat"});
        assert_eq!(books(&world.asha.client, &mine).await.refused(403), "forbidden");
        let booked = books(registrar, &urgent(now)).await.expect(201);
        assert_eq!((&booked["priority"], &booked["status"]), (&json!("urgent"), &json!("booked")));
        assert_eq!(books(registrar, &urgent(TUESDAY_9)).await.refused(422), "not_today");
        let night = "2026-11-23T23:00:00+07:00";
        assert_eq!(books(registrar, &urgent(night)).await.refused(422), "outside_hours");
        // Not beside it, whichever lane.
        let mut beside = world.wish("2026-11-23T09:20:00+07:00");
        beside["patient"] = json!(world.boris.id);
        assert_eq!(books(registrar, &beside).await.refused(409), "slot_taken");
        beside["overbook"] = json!(true);
        assert_eq!(books(registrar, &beside).await.refused(409), "slot_taken");
        beside["start"] = json!("2026-11-23T09:40:00+07:00");
        let first = world.booked("2026-11-23T09:40:00+07:00").await;
        assert_eq!(books(registrar, &beside).await.expect(201)["overbooked"], true);
        let cancel = format!("/v1/appointments/{}/cancel", first["id"].as_str().unwrap());
        world.asha.client.once(&cancel, &key(), &json!({})).await.expect(200);
        // An urgent one takes both lanes, or none.
        let both = books(registrar, &urgent("2026-11-23T09:50:00+07:00")).await;
        assert_eq!(both.refused(409), "slot_taken");
        assert_eq!(world.house.count("SELECT count(*) AS n FROM occupancies WHERE lane = 1"), 2);
        // It is moved as a whole.
        moves(registrar, &booked, "2026-11-23T10:00:00+07:00").await.expect(200);
        assert_eq!(world.house.count("SELECT count(*) AS n FROM occupancies WHERE live AND lane = 1"), 2);
    }
}

on_both! {
    async fn a_second_visit_is_put_into_a_time_only_where_the_service_allows_it_and_once(world: World) {
        let registrar = &world.registrar.client;
        world.booked(TUESDAY_9).await;
        let mut second = world.wish(TUESDAY_9);
        second["patient"] = json!(world.boris.id);
        second["overbook"] = json!(true);
        assert_eq!(books(registrar, &second).await.refused(409), "no_overbooking");
        with_terms(world, json!({"booking": {"overbook": true}})).await;
        let mut own = world.wish(TUESDAY_9);
        own["overbook"] = json!(true);
        assert_eq!(books(&world.boris.client, &own).await.refused(403), "forbidden");
        let beside = books(registrar, &second).await.expect(201);
        assert_eq!(beside["overbooked"], true);
        let family = json!({"name": "Ещё Один", "birth_date": "1990-01-01",
            "location": world.village, "organization": world.clinic});
        let third = made(registrar, "/v1/patients", family).await;
        second["patient"] = third["id"].clone();
        assert_eq!(books(registrar, &second).await.refused(409), "slot_taken");
        second["priority"] = json!("urgent");
        assert_eq!(books(registrar, &second).await.refused(422), "invalid_body");
        // Moved, it is a visit like any other.
        let moved = moves(registrar, &beside, TUESDAY_920).await.expect(200);
        assert_eq!(moved["overbooked"], false);
    }
}

on_both! {
    async fn what_lies_around_a_visit_is_kept_free_for_the_practitioner_and_not_for_the_patient(
        world: World
    ) {
        with_terms(world, json!({"booking": {"buffer_before_minutes": 5, "buffer_after_minutes": 10}})).await;
        let booked = world.booked("2026-11-24T10:00:00+07:00").await;
        assert_eq!(booked["end"], "2026-11-24T03:20:00Z");
        let of_boris = |start: &str| {
            let mut wish = world.wish(start);
            wish["patient"] = json!(world.boris.id);
            wish
        };
        for start in ["2026-11-24T10:20:00+07:00", "2026-11-24T10:34:00+07:00", "2026-11-24T09:40:00+07:00"] {
            let refused = books(&world.registrar.client, &of_boris(start)).await;
            assert_eq!(refused.refused(409), "slot_taken", "{start}");
        }
        books(&world.registrar.client, &of_boris("2026-11-24T10:35:00+07:00")).await.expect(201);
        // The patient goes from one to the next.
        let next = json!({"service": world.other_service, "practitioner": world.stranger.id,
            "start": "2026-11-24T10:20:00+07:00"});
        books(&world.asha.client, &next).await.expect(201);
        // A move keeps the buffers.
        let refused = moves(&world.registrar.client, &booked, "2026-11-24T11:05:00+07:00").await;
        assert_eq!(refused.refused(409), "slot_taken");
        moves(&world.registrar.client, &booked, "2026-11-24T11:10:00+07:00").await.expect(200);
    }
}

on_both! {
    async fn a_visit_that_is_moved_does_not_fill_its_own_day(world: World) {
        with_terms(world, json!({"booking": {"daily_cap": 1}})).await;
        let booked = world.booked(TUESDAY_9).await;
        let wish = json!({"service": world.service, "practitioner": world.doctor.id, "start": "2026-11-24T10:00:00+07:00"});
        assert_eq!(books(&world.boris.client, &wish).await.refused(409), "day_full");
        let moved = moves(&world.asha.client, &booked, "2026-11-24T09:20:00+07:00").await.expect(200);
        assert_eq!(moved["start"], "2026-11-24T02:20:00Z");
        // Nor does it hide the other times of that day.
        let day = "from=2026-11-24T00:00:00%2B07:00&to=2026-11-25T00:00:00%2B07:00";
        let id = booked["id"].as_str().unwrap();
        let path = format!("/v1/slots?service={}&{day}&limit=1&moving={id}", world.service);
        let free = world.asha.client.get(&path).await.expect(200);
        assert_eq!(free["items"][0]["start"], "2026-11-24T02:00:00Z");
        let path = format!("/v1/slots?service={}&{day}&limit=1", world.service);
        assert_eq!(world.boris.client.get(&path).await.expect(200)["items"], json!([]));
    }
}
