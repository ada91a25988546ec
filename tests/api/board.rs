//! The board: a clinic's days in one answer, to its staff, and to doctors of visits their own.

use actix_web::http::Method;
use serde_json::{Value, json};

use crate::on_both;
use crate::support::world::made;
use crate::support::{Client, Engine, World, key};

const TUESDAY_9: &str = "2026-11-24T09:00:00+07:00";
const TUESDAY_930: &str = "2026-11-24T09:30:00+07:00";
/// Tuesday, as the clinic counts it.
const TUESDAY: &str = "from=2026-11-23T17:00:00Z&to=2026-11-24T17:00:00Z";

fn path(world: &World, query: &str) -> String {
    format!("/v1/organizations/{}/board?{query}", world.clinic)
}

async fn board(world: &World, client: &Client, query: &str) -> Value {
    client.get(&path(world, query)).await.expect(200)
}

fn of<'a>(board: &'a Value, practitioner: &str) -> &'a Value {
    let all = board["practitioners"].as_array().unwrap();
    all.iter().find(|one| one["id"] == practitioner).expect("somebody on the board")
}

on_both! {
    async fn a_day_of_a_clinic_is_one_answer(world: World) {
        let booked = world.booked(TUESDAY_9).await;
        let wish = json!({
            "service": world.service, "practitioner": world.doctor.id,
            "start": "2026-11-24T09:20:00+07:00", "hold": true, "reason": "Кашель",
        });
        let held = world.boris.client.once("/v1/appointments", &key(), &wish).await.expect(201);
        let called_off = world.booked("2026-11-24T11:00:00+07:00").await;
        let cancel = format!("/v1/appointments/{}/cancel", called_off["id"].as_str().unwrap());
        world.asha.client.once(&cancel, &key(), &json!({})).await.expect(200);
        let doctor = format!("/v1/practitioners/{}", world.doctor.id);
        let registrar = &world.registrar.client;
        let absence = made(registrar, &format!("{doctor}/absences"), json!({
            "from": "2026-11-24T15:00:00+07:00", "to": "2026-11-25T15:00:00+07:00",
            "reason": "отпуск",
        })).await;
        made(registrar, &format!("{doctor}/extra-hours"), json!({
            "from": "2026-11-24T18:00:00+07:00", "to": "2026-11-24T20:00:00+07:00",
            "service": world.service,
        })).await;
        made(registrar, &format!("/v1/organizations/{}/closures", world.clinic), json!({
            "name": {"en": "Drill", "ru": "Учения"}, "from_date": "2026-11-24",
            "to_date": "2026-11-24", "from": "13:00", "to": "14:00",
        })).await;

        let day = board(world, registrar, TUESDAY).await;
        assert_eq!(day["time_zone"], "Asia/Krasnoyarsk");
        let own = of(&day, &world.doctor.id);
        assert_eq!(own["working"], json!([
            {"from": "2026-11-24T02:00:00Z", "to": "2026-11-24T10:00:00Z", "kind": "weekly"},
            {"from": "2026-11-24T11:00:00Z", "to": "2026-11-24T13:00:00Z", "kind": "extra",
                "service": world.service},
        ]));
        let closed = json!([{"from": "2026-11-24T06:00:00Z", "to": "2026-11-24T07:00:00Z"}]);
        assert_eq!(own["closed"], closed);
        assert_eq!(own["absent"], json!([{
            "id": absence["id"], "from": "2026-11-24T08:00:00Z", "to": "2026-11-25T08:00:00Z",
            "status": "complete",
        }]));
        assert_eq!(own["services"].as_array().unwrap().len(), 2);
        assert_eq!(of(&day, &world.colleague.id)["absent"], json!([]));
        let visits = day["visits"].as_array().unwrap();
        let codes: Vec<&Value> = visits.iter().map(|visit| &visit["code"]).collect();
        assert_eq!(codes, [&booked["code"], &held["code"]], "called off is off the board");
        assert_eq!(visits[0]["version"], booked["version"]);
        assert_eq!(visits[0]["local_start"], booked["local_start"]);
        assert_eq!(visits[1]["status"], "pending");
        assert_eq!(visits[1]["hold_expires_at"], held["hold_expires_at"]);
        assert!(!day.to_string().contains("Кашель"), "why they come is not on the board");
        assert!(!day.to_string().contains("отпуск"), "nor why somebody is away");
    }
}

on_both! {
    async fn a_board_says_when_more_was_called_off_than_it_names(world: World) {
        let office = &world.registrar.client;
        let mut wish = world.wish(TUESDAY_9);
        wish["patient"] = json!(world.asha.id);
        for _ in 0..201 {
            let booked = office.once("/v1/appointments", &key(), &wish).await.expect(201);
            let cancel = format!("/v1/appointments/{}/cancel", booked["id"].as_str().unwrap());
            office.once(&cancel, &key(), &json!({})).await.expect(200);
        }
        let day = board(world, office, TUESDAY).await;
        assert_eq!((day["called_off"].as_array().unwrap().len(), &day["called_off_more"]), (200, &json!(true)));
        let whose = format!("{TUESDAY}&practitioner={}", world.colleague.id);
        assert_eq!(board(world, office, &whose).await["called_off_more"], false);
    }
}

on_both! {
    async fn what_was_called_off_by_mistake_is_seen_and_until_when_it_can_be_put_right(world: World) {
        let off = world.booked(TUESDAY_9).await;
        let registrar = &world.registrar.client;
        let cancel = |visit: &Value| format!("/v1/appointments/{}/cancel", visit["id"].as_str().unwrap());
        registrar.once(&cancel(&off), &key(), &json!({"code": "clinic"})).await.expect(200);
        // What was only held had been promised to nobody.
        let mut wish = world.wish("2026-11-24T09:20:00+07:00");
        wish["hold"] = json!(true);
        let held = world.boris.client.once("/v1/appointments", &key(), &wish).await.expect(201);
        registrar.once(&cancel(&held), &key(), &json!({})).await.expect(200);
        let day = board(world, registrar, TUESDAY).await;
        assert_eq!(day["visits"], json!([]));
        let gone = day["called_off"].as_array().unwrap();
        assert_eq!(gone.len(), 1, "{gone:?}");
        assert_eq!((&gone[0]["id"], &gone[0]["status"]), (&off["id"], &json!("cancelled")));
        assert_eq!((&gone[0]["cancellation_code"], &gone[0]["undo_until"]), (&json!("clinic"), &off["start"]));
        let undo = format!("/v1/appointments/{}/undo", off["id"].as_str().unwrap());
        registrar.once(&undo, &key(), &json!({})).await.expect(200);
        let day = board(world, registrar, TUESDAY).await;
        assert_eq!((&day["called_off"], &day["visits"][0]["id"]), (&json!([]), &off["id"]));
        assert!(day["visits"][0].get("undo_until").is_none());

        // What a leave called off comes back with the leave.
        let absences = format!("/v1/practitioners/{}/absences", world.doctor.id);
        let away = json!({"from": TUESDAY_9, "to": TUESDAY_930});
        let absence = made(registrar, &absences, away).await;
        let outcomes = format!("/v1/absences/{}/outcomes", absence["id"].as_str().unwrap());
        let decided = json!({"outcomes": [{"appointment": off["id"], "outcome": "cancelled"}]});
        registrar.once(&outcomes, &key(), &decided).await.expect(200);
        let day = board(world, registrar, TUESDAY).await;
        assert_eq!(day["called_off"][0]["cancellation_code"], "leave");
        assert!(day["called_off"][0].get("undo_until").is_none());

        // A missed visit is put right for a day, also past its patient's midnight.
        let missed = world.booked("2026-11-23T09:20:00+07:00").await;
        world.house.advance(chrono::TimeDelta::minutes(21));
        let office = world.resigned(&world.registrar).await.client;
        let noshow = format!("/v1/appointments/{}/noshow", missed["id"].as_str().unwrap());
        office.once(&noshow, &key(), &json!({})).await.expect(200);
        let monday = "from=2026-11-22T17:00:00Z&to=2026-11-23T17:00:00Z";
        let day = board(world, &office, monday).await;
        assert_eq!(day["visits"][0]["undo_until"], "2026-11-24T02:20:00Z");
    }
}

on_both! {
    async fn a_doctor_sees_everybody_s_hours_and_of_visits_their_own(world: World) {
        let booked = world.booked(TUESDAY_9).await;
        let own = board(world, &world.doctor.client, TUESDAY).await;
        assert_eq!(own["visits"][0]["id"], booked["id"]);
        let other = board(world, &world.colleague.client, TUESDAY).await;
        assert_eq!(other["visits"], json!([]));
        assert_eq!(of(&other, &world.doctor.id)["working"].as_array().unwrap().len(), 1);
        let only = format!("{TUESDAY}&practitioner={}", world.colleague.id);
        let only = board(world, &world.registrar.client, &only).await;
        assert_eq!(only["practitioners"].as_array().unwrap().len(), 1);
        assert_eq!(only["visits"], json!([]));
        for stranger in [&world.stranger, &world.asha] {
            let refused = stranger.client.get(&path(world, TUESDAY)).await;
            assert_eq!(refused.refused(404), "not_found");
        }
    }
}

on_both! {
    async fn whoever_has_left_is_on_the_board_as_long_as_visits_are(world: World) {
        world.booked(TUESDAY_9).await;
        let members = format!("/v1/organizations/{}/members", world.clinic);
        let all = world.admin.client.get(&members).await.expect(200);
        let members_of = all["items"].as_array().unwrap();
        let doctor = members_of.iter().find(|one| one["account"]["name"] == "Анна Лебедева");
        let doctor = doctor.expect("the doctor is a member");
        let path = format!("{members}/{}/doctor", doctor["account"]["id"].as_str().unwrap());
        let version = doctor["version"].as_i64().unwrap();
        let ended = json!({"state": "disabled"});
        world.admin.client.edit(Method::PATCH, &path, version, &ended).await.expect(200);
        let day = board(world, &world.registrar.client, TUESDAY).await;
        of(&day, &world.doctor.id);
        let quiet = "from=2026-11-25T17:00:00Z&to=2026-11-26T17:00:00Z";
        let next = board(world, &world.registrar.client, quiet).await;
        let there = next["practitioners"].as_array().unwrap();
        assert!(there.iter().all(|one| one["id"] != json!(world.doctor.id)));
    }
}

on_both! {
    async fn a_board_has_an_end(world: World) {
        let registrar = &world.registrar.client;
        let week = "from=2026-11-23T00:00:00Z&to=2026-12-01T00:00:00Z";
        board(world, registrar, week).await;
        for (query, code) in [
            ("from=2026-11-23T00:00:00Z&to=2026-12-01T00:00:01Z", "range_too_wide"),
            ("from=2026-11-23T00:00:00Z&to=2026-11-23T00:00:00Z", "range_too_wide"),
        ] {
            assert_eq!(registrar.get(&path(world, query)).await.refused(422), code, "{query}");
        }
        let foreign = format!("{week}&practitioner={}", world.stranger.id);
        let refused = registrar.get(&path(world, &foreign)).await;
        assert_eq!(refused.refused(422), "unknown_reference");
        for query in ["", "from=2026-11-23T00:00:00Z", "from=x&to=y"] {
            let answer = registrar.get(&path(world, query)).await;
            assert!(matches!(answer.status.as_u16(), 400 | 422), "{query}: {}", answer.status);
        }
    }
}

on_both! {
    async fn a_dry_run_of_a_move_says_what_would_come_of_it_and_changes_nothing(world: World) {
        let booked = world.booked(TUESDAY_9).await;
        let wish = json!({
            "service": world.service, "practitioner": world.doctor.id, "start": TUESDAY_930,
            "patient": world.boris.id,
        });
        world.registrar.client.once("/v1/appointments", &key(), &wish).await.expect(201);
        let appointment = format!("/v1/appointments/{}", booked["id"].as_str().unwrap());
        let reschedule = format!("{appointment}/reschedule");
        let registrar = &world.registrar.client;
        let try_out = |start: &'static str| json!({"start": start, "dry_run": true});
        let told = || world.house.count("SELECT count(*) AS n FROM outbox_messages");
        let before = told();

        let would = registrar.post(&reschedule, &try_out("2026-11-24T10:10:00+07:00")).await;
        let would = would.expect(200);
        assert_eq!(would["start"], "2026-11-24T03:10:00Z");
        assert_eq!(would["local_start"], "2026-11-24T10:10:00+07:00");
        let taken = registrar.post(&reschedule, &try_out(TUESDAY_930)).await;
        assert_eq!(taken.refused(409), "slot_taken");
        assert_eq!(taken.body["alternatives"].as_array().unwrap().len(), 3);
        let night = registrar.post(&reschedule, &try_out("2026-11-24T23:00:00+07:00")).await;
        assert_eq!(night.refused(422), "outside_hours");
        let stale = registrar.edit(Method::POST, &reschedule, 9, &try_out(TUESDAY_930)).await;
        assert_eq!(stale.refused(412), "stale_version");

        let same = registrar.get(&appointment).await.expect(200);
        for field in ["start", "version", "practitioner"] {
            assert_eq!(same[field], booked[field], "{field}");
        }
        assert!(same.get("moves").is_none());
        assert_eq!(told(), before, "nobody hears of it");
        let real = json!({"start": "2026-11-24T10:10:00+07:00"});
        registrar.once(&reschedule, &key(), &real).await.expect(200);
    }
}

on_both! {
    async fn a_visit_whose_doctor_is_away_says_so_and_what_is_held_says_for_which(world: World) {
        let booked = world.booked(TUESDAY_9).await;
        let doctor = format!("/v1/practitioners/{}", world.doctor.id);
        let registrar = &world.registrar.client;
        let absence = made(registrar, &format!("{doctor}/absences"), json!({
            "from": TUESDAY_9, "to": TUESDAY_930,
        })).await;
        let outcomes = format!("/v1/absences/{}/outcomes", absence["id"].as_str().unwrap());
        let offered = json!({"outcomes": [{"appointment": booked["id"], "outcome": "offered"}]});
        registrar.once(&outcomes, &key(), &offered).await.expect(200);

        let list = world.asha.client.get("/v1/appointments").await.expect(200);
        let visits = list["items"].as_array().unwrap();
        let own = visits.iter().find(|visit| visit["id"] == booked["id"]).unwrap();
        let path = format!("/v1/appointments/{}", booked["id"].as_str().unwrap());
        let offer = world.asha.client.get(&format!("{path}/offer")).await.expect(200);
        assert_eq!(own["offer_expires_at"], offer["expires_at"]);
        assert!(own.get("held_for").is_none());
        assert_eq!(visits.len(), 1 + offer["times"].as_array().unwrap().len());
        for held in visits.iter().filter(|visit| visit["id"] != booked["id"]) {
            assert_eq!(held["held_for"], booked["id"]);
        }
        let one = world.asha.client.get(&path).await.expect(200);
        assert_eq!(one["offer_expires_at"], offer["expires_at"]);

        let week = "from=2026-11-23T00:00:00Z&to=2026-12-01T00:00:00Z";
        let board = board(world, registrar, week).await;
        let there = board["visits"].as_array().unwrap();
        let held = there.iter().filter(|visit| visit["offered"] == true).count();
        assert_eq!(held, offer["times"].as_array().unwrap().len());

        world.asha.client.once(&format!("{path}/offer"), &key(), &json!({"number": 1})).await
            .expect(200);
        let list = world.asha.client.get("/v1/appointments?status=booked").await.expect(200);
        assert!(list["items"][0].get("offer_expires_at").is_none(), "{list}");
    }
}
