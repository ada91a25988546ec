//! Leave and illness: every visit that an absence hits gets an outcome, and a plan for all of them
//! is a preview, one step, and ten minutes in which it can be taken back.

use actix_web::http::Method;
use chrono::TimeDelta;
use feldsher::schedule::leave::{lapsed, vain};
use serde_json::{Value, json};

use crate::on_both;
use crate::race::OVERLAPS;
use crate::support::world::{ZONE, made, signed_in};
use crate::support::{Answer, Client, Engine, Person, World, key};

const NINE: &str = "2026-11-24T09:00:00+07:00";
const NINE_20: &str = "2026-11-24T09:20:00+07:00";
const NINE_40: &str = "2026-11-24T09:40:00+07:00";

/// Complete absences in which a visit lies that has no outcome.
const UNSETTLED: &str = "SELECT count(*) AS n FROM absences a JOIN appointments v
    ON EXISTS (SELECT 1 FROM occupancies t WHERE t.appointment_id = v.id AND t.live
        AND t.resource_id = a.practitioner_id) WHERE a.status = 'complete'
    AND v.status IN ('booked', 'arrived') AND v.starts_at < a.ends_at AND v.ends_at > a.starts_at
    AND NOT EXISTS (SELECT 1 FROM absence_outcomes o WHERE o.absence_id = a.id
        AND o.appointment_id = v.id AND o.outcome = 'offered')";

pub fn id(body: &Value) -> &str {
    body["id"].as_str().unwrap()
}

pub fn visit(body: &Value) -> String {
    format!("/v1/appointments/{}", id(body))
}

/// Another doctor of the clinic who gives the short service, at these hours of every weekday.
pub async fn stand_in(world: &World, name: &str, login: &str, hours: (&str, &str)) -> Person {
    let body = json!({
        "name": name, "kind": "doctor", "organization": world.clinic, "time_zone": ZONE,
        "services": [world.service], "login": login, "language": "ru",
        "specialty": "general-practice",
    });
    let new = made(&world.admin.client, "/v1/practitioners", body).await;
    let token = json!({"token": new["sign_in_token"], "password": "correct horse battery 9"});
    let tokens = world.house.client().post("/v1/auth/token", &token).await.expect(200);
    let person = signed_in(&world.house, &tokens, login, id(&new).to_owned());
    let days = ["mon", "tue", "wed", "thu", "fri"];
    let rules = days.map(|day| json!({"weekday": day, "from": hours.0, "to": hours.1}));
    let path = format!("/v1/practitioners/{}/schedule", person.id);
    person.client.edit(Method::PUT, &path, 1, &json!({ "rules": rules })).await.expect(200);
    person
}

pub async fn books(client: &Client, wish: &Value) -> Value {
    client.once("/v1/appointments", &key(), wish).await.expect(201)
}

pub async fn away(world: &World, from: &str, to: &str) -> Value {
    let path = format!("/v1/practitioners/{}/absences", world.doctor.id);
    let body = json!({"from": from, "to": to, "reason": "операция"});
    world.registrar.client.once(&path, &key(), &body).await.expect(201)
}

async fn away_on_tuesday(world: &World) -> Value {
    away(world, "2026-11-24T00:00:00+07:00", "2026-11-25T00:00:00+07:00").await
}

pub async fn decide(client: &Client, absence: &Value, outcomes: Value) -> Answer {
    let path = format!("/v1/absences/{}/outcomes", id(absence));
    client.once(&path, &key(), &json!({ "outcomes": outcomes })).await
}

pub async fn complete(client: &Client, absence: &Value) -> Answer {
    client.post(&format!("/v1/absences/{}/complete", id(absence)), &json!({})).await
}

pub async fn read(client: &Client, absence: &Value) -> Value {
    client.get(&format!("/v1/absences/{}", id(absence))).await.expect(200)
}

pub async fn plans(world: &World, client: &Client, day: &str) -> Value {
    let path = format!("/v1/practitioners/{}/illness-plans", world.doctor.id);
    let body =
        json!({"from": format!("{day}T00:00:00+07:00"), "to": format!("{day}T23:59:00+07:00")});
    client.once(&path, &key(), &body).await.expect(201)
}

pub async fn act(client: &Client, plan: &Value, word: &str) -> Answer {
    client.once(&format!("/v1/illness-plans/{}/{word}", id(plan)), &key(), &json!({})).await
}

async fn edits(client: &Client, plan: &Value, version: i64, proposals: Value) -> Answer {
    let path = format!("/v1/illness-plans/{}", id(plan));
    client.edit(Method::PATCH, &path, version, &json!({ "proposals": proposals })).await
}

fn proposal<'a>(plan: &'a Value, booked: &Value) -> &'a Value {
    let all = plan["proposals"].as_array().unwrap();
    all.iter().find(|one| one["appointment"] == booked["id"]).expect("a proposal")
}

pub fn told(world: &World, words: &str) -> usize {
    let sent = world.house.app.inbox.newest_first();
    sent.iter().filter(|sms| sms.text.contains(words)).count()
}

on_both! {
    async fn an_absence_is_open_until_each_visit_that_it_hits_has_an_outcome(world: World) {
        let second = stand_in(world, "Зинаида Вторая", "vtoraya", ("09:00", "17:00")).await;
        let moved = world.booked(NINE).await;
        let offered = books(&world.boris.client, &world.wish(NINE_20)).await;
        let called_off = world.booked(NINE_40).await;
        let absence = away_on_tuesday(world).await;
        assert_eq!((&absence["status"], &absence["affected_count"]), (&json!("open"), &json!(3)));
        let registrar = &world.registrar.client;
        let open = read(registrar, &absence).await;
        assert_eq!(open["open_count"], 3);
        assert_eq!(open["reason"], "операция");
        assert_eq!(open["visits"][1]["code"], offered["code"]);
        assert!(open["visits"][1].get("outcome").is_none());
        let refused = complete(registrar, &absence).await;
        assert_eq!(refused.refused(409), "visits_open");
        assert_eq!(refused.body["visits"].as_array().unwrap().len(), 3);
        let asha = format!("/v1/absences/{}", id(&absence));
        assert_eq!(world.asha.client.get(&asha).await.refused(404), "not_found");
        assert_eq!(world.colleague.client.get(&asha).await.refused(403), "forbidden");

        let settled = decide(registrar, &absence, json!([
            {"appointment": moved["id"], "outcome": "moved", "practitioner": second.id},
            {"appointment": offered["id"], "outcome": "offered"},
            {"appointment": called_off["id"], "outcome": "cancelled", "reason": "врач болен"},
        ])).await.expect(200);
        assert_eq!((&settled["open_count"], &settled["status"]), (&json!(0), &json!("open")));
        assert_eq!(complete(registrar, &absence).await.expect(200)["status"], "complete");

        let there = world.asha.client.get(&visit(&moved)).await.expect(200);
        for same in ["id", "code", "start", "encounter", "status"] {
            assert_eq!(there[same], moved[same], "{same}");
        }
        assert_eq!(there["practitioner"]["id"], json!(second.id));
        let off = world.asha.client.get(&visit(&called_off)).await.expect(200);
        assert_eq!((&off["status"], &off["cancellation_code"]), (&json!("cancelled"), &json!("leave")));
        assert_eq!(off["cancellation_reason"], "врач болен");
        let text = world.house.sms_with("+70000000001", "изменения").await;
        for visit in [&moved, &called_off] {
            assert!(text.contains(visit["code"].as_str().unwrap()), "one text of both: {text}");
        }
        let text = world.house.sms_with("+70000000002", "Выберите").await;
        assert!(text.contains(offered["code"].as_str().unwrap()), "{text}");

        // The patient chooses: the visit is the same, and the other times are free again.
        let path = format!("{}/offer", visit(&offered));
        assert_eq!(world.asha.client.get(&path).await.refused(404), "not_found");
        let offer = world.boris.client.get(&path).await.expect(200);
        let times = offer["times"].as_array().unwrap();
        assert_eq!(times.len(), 3);
        let held = world.boris.client.get("/v1/appointments?status=pending").await.expect(200);
        assert_eq!(held["items"].as_array().unwrap().len(), 3);
        let confirm = format!("{}/confirm", visit(&held["items"][0]));
        assert_eq!(world.boris.client.post(&confirm, &json!({})).await.refused(409), "bad_state");
        let wrong = world.boris.client.post(&path, &json!({"number": 4})).await;
        assert_eq!(wrong.refused(422), "unknown_reference");
        let chosen = world.boris.client.post(&path, &json!({"number": 2})).await.expect(200);
        assert_eq!((&chosen["id"], &chosen["code"]), (&offered["id"], &offered["code"]));
        assert_eq!((&chosen["start"], &chosen["status"]), (&times[1]["start"], &json!("booked")));
        assert_eq!(world.boris.client.post(&path, &json!({"number": 1})).await.refused(409), "bad_state");
        let held = world.boris.client.get("/v1/appointments?status=pending").await.expect(200);
        assert_eq!(held["items"], json!([]));
        let after = read(registrar, &absence).await;
        assert_eq!((&after["status"], &after["open_count"]), (&json!("complete"), &json!(0)));
        let outcomes: Vec<&Value> =
            after["visits"].as_array().unwrap().iter().map(|visit| &visit["outcome"]).collect();
        assert_eq!(outcomes.iter().filter(|outcome| **outcome == "moved").count(), 2);
        assert_eq!(world.house.count(OVERLAPS), 0);
        assert_eq!(world.house.count(UNSETTLED), 0);
    }
}

on_both! {
    async fn outcomes_that_do_not_fit_change_nothing_and_name_the_visit(world: World) {
        let second = stand_in(world, "Зинаида Вторая", "vtoraya", ("09:00", "17:00")).await;
        let first = world.booked(NINE).await;
        let other = books(&world.boris.client, &world.wish(NINE_20)).await;
        let elsewhere = books(&world.boris.client, &world.wish("2026-11-25T09:00:00+07:00")).await;
        let absence = away_on_tuesday(world).await;
        let doctor = &world.doctor.client;
        let before = read(doctor, &absence).await;
        let to = |visit: &Value| json!({"appointment": visit["id"], "outcome": "moved", "practitioner": second.id, "start": NINE});
        let refused = decide(doctor, &absence, json!([to(&first), to(&other)])).await;
        assert_eq!(refused.refused(409), "slot_taken");
        assert_eq!(refused.body["appointment"], other["id"]);
        assert_eq!(refused.body["alternatives"][0]["local_start"], NINE_20);
        assert_eq!(refused.body["alternatives"][0]["practitioner"]["id"], json!(second.id));
        let cases = [
            (json!([{"appointment": elsewhere["id"], "outcome": "cancelled"}]), "unknown_reference"),
            (json!([{"appointment": first["id"], "outcome": "moved"}]), "invalid_body"),
            (json!([{"appointment": first["id"], "outcome": "cancelled", "start": NINE}]), "invalid_body"),
            (json!([{"appointment": first["id"], "outcome": "moved", "start": NINE_40}]), "outside_hours"),
            (json!([{"appointment": first["id"], "outcome": "moved", "practitioner": world.stranger.id}]), "unknown_reference"),
            (json!([]), "invalid_body"),
        ];
        for (outcomes, code) in cases {
            assert_eq!(decide(doctor, &absence, outcomes.clone()).await.refused(422), code, "{outcomes}");
        }
        let forbidden = decide(&world.colleague.client, &absence, json!([to(&first)])).await;
        assert_eq!(forbidden.refused(403), "forbidden");
        assert_eq!(read(doctor, &absence).await, before);
        // A day with no visits is complete at once.
        let free = away(world, "2026-12-07T00:00:00+07:00", "2026-12-08T00:00:00+07:00").await;
        assert_eq!(free["status"], "complete");
    }
}

on_both! {
    async fn an_offer_that_nobody_answers_lapses_and_opens_the_absence_again(world: World) {
        let booked = world.booked("2026-11-26T09:00:00+07:00").await;
        let absence = away(world, "2026-11-26T00:00:00+07:00", "2026-11-27T00:00:00+07:00").await;
        let offered = json!([{"appointment": booked["id"], "outcome": "offered"}]);
        let shown = decide(&world.registrar.client, &absence, offered.clone()).await.expect(200);
        let times = shown["visits"][0]["offered"].as_array().unwrap().clone();
        assert_eq!(times.len(), 3);
        let until = shown["visits"][0]["expires_at"].as_str().unwrap();
        assert_eq!(until, "2026-11-23T03:10:00Z", "an hour to answer, and half an hour before the first");
        complete(&world.registrar.client, &absence).await.expect(200);
        // Staff who do nothing for half an hour are signed out.
        let mut registrar = world.resigned(&world.registrar).await;
        for _ in 0..5 {
            world.house.advance(TimeDelta::minutes(15));
            registrar = world.resigned(&registrar).await;
        }
        let asha = world.resigned(&world.asha).await;
        lapsed::lapse_due(&world.house.app).await.unwrap();
        let open = read(&registrar.client, &absence).await;
        assert_eq!((&open["status"], &open["open_count"]), (&json!("open"), &json!(1)));
        let stored = "SELECT count(*) AS n FROM absences WHERE status = 'open'";
        assert_eq!(world.house.count(stored), 1, "the database says so too");
        let path = format!("{}/offer", visit(&booked));
        assert_eq!(asha.client.post(&path, &json!({"number": 1})).await.refused(410), "offer_over");
        assert_eq!(complete(&registrar.client, &absence).await.refused(409), "visits_open");
        let boris = world.resigned(&world.boris).await;
        books(&boris.client, &world.wish(times[1]["start"].as_str().unwrap())).await;
        assert_eq!(asha.client.get(&visit(&booked)).await.expect(200)["status"], "booked");
        // It can be offered again; whoever moves it by themselves needs no offer.
        decide(&registrar.client, &absence, offered.clone()).await.expect(200);
        let pending = "SELECT count(*) AS n FROM appointments WHERE status = 'pending'";
        assert_eq!(world.house.count(pending), 3);
        let friday = json!({"start": "2026-11-27T09:00:00+07:00"});
        asha.client.once(&format!("{}/reschedule", visit(&booked)), &key(), &friday).await.expect(200);
        assert_eq!(world.house.count(pending), 0);
        assert_eq!(read(&registrar.client, &absence).await["open_count"], 0);
        let booked = books(&asha.client, &world.wish("2026-11-24T09:00:00+07:00")).await;
        let path = format!("/v1/practitioners/{}/absences", world.doctor.id);
        let day = json!({"from": "2026-11-24T00:00:00+07:00", "to": "2026-11-25T00:00:00+07:00"});
        let absence = made(&registrar.client, &path, day).await;
        let offered = json!([{"appointment": booked["id"], "outcome": "offered"}]);
        // An absence that is taken away lets go what it held.
        decide(&registrar.client, &absence, offered).await.expect(200);
        let held = "SELECT count(*) AS n FROM appointments WHERE status = 'pending'";
        assert_eq!(world.house.count(held), 3);
        let path = format!("/v1/practitioners/{}/absences/{}", world.doctor.id, id(&absence));
        let removed = registrar.client.send(registrar.client.request(Method::DELETE, &path), None).await;
        assert_eq!(removed.status, 204, "{}", removed.text);
        assert_eq!(world.house.count(held), 0);
        // Who was told to choose another time hears that the first one stands.
        let again = "SELECT count(*) AS n FROM outbox_messages WHERE dedupe_key LIKE 'booked|%|%'";
        assert_eq!(world.house.count(again), 1);
    }
}

on_both! {
    async fn who_has_only_a_code_and_a_birth_date_can_choose_too(world: World) {
        let booked = world.booked(NINE).await;
        let absence = away_on_tuesday(world).await;
        let ask = |body: Value| {
            let client = world.house.client();
            async move { client.post("/v1/offers/answer", &body).await }
        };
        let known = json!({"code": booked["code"], "birth_date": "1961-04-12"});
        assert_eq!(ask(known.clone()).await.refused(404), "not_found");
        let offered = json!([{"appointment": booked["id"], "outcome": "offered"}]);
        decide(&world.registrar.client, &absence, offered).await.expect(200);
        // What is offered to them is not counted among what they hold.
        let mut held = world.wish("2026-11-30T09:00:00+07:00");
        held["hold"] = json!(true);
        books(&world.asha.client, &held).await;
        let wrong = json!({"code": booked["code"], "birth_date": "1961-04-13"});
        assert_eq!(ask(wrong).await.refused(404), "not_found");
        let shown = ask(known.clone()).await.expect(200);
        assert_eq!(shown["times"].as_array().unwrap().len(), 3);
        assert!(!shown.to_string().contains("Лебедева"), "no names: {shown}");
        let mut answer = known;
        answer["number"] = json!(3);
        let chosen = ask(answer.clone()).await.expect(200);
        assert_eq!(chosen["chosen"]["local_start"], shown["times"][2]["local_start"]);
        let moved = world.asha.client.get(&visit(&booked)).await.expect(200);
        assert_eq!(moved["local_start"], shown["times"][2]["local_start"]);
        assert_eq!(moved["moves"][0]["by"]["name"], "Аша Кузнецова");
        assert_eq!(ask(answer).await.refused(409), "bad_state");
        let again = json!({"code": booked["code"], "birth_date": "1961-04-12"});
        assert_eq!(ask(again).await.refused(429), "too_many_attempts", "five questions an hour");
    }
}

on_both! {
    async fn a_visit_that_a_race_puts_into_a_complete_absence_is_found(world: World) {
        let booked = world.booked("2026-11-25T09:00:00+07:00").await;
        let absence = away_on_tuesday(world).await;
        assert_eq!(absence["status"], "complete");
        let day = match world.house.engine {
            Engine::Sqlite => "86400000000",
            Engine::Postgres => "interval '1 day'",
        };
        world.house.execute(&format!(
            "UPDATE appointments SET starts_at = starts_at - {day}, ends_at = ends_at - {day},
                busy_from = busy_from - {day}, busy_to = busy_to - {day}"
        )).unwrap();
        let registrar = &world.registrar.client;
        let shown = read(registrar, &absence).await;
        assert_eq!((&shown["status"], &shown["open_count"]), (&json!("open"), &json!(1)));
        assert_eq!(complete(registrar, &absence).await.refused(409), "visits_open");
        let off = json!([{"appointment": booked["id"], "outcome": "cancelled"}]);
        decide(registrar, &absence, off).await.expect(200);
        assert_eq!(complete(registrar, &absence).await.expect(200)["status"], "complete");
    }
}

on_both! {
    async fn the_database_knows_that_a_complete_absence_has_no_open_visit(world: World) {
        let offered = world.booked(NINE).await;
        let absence = away_on_tuesday(world).await;
        let copy = |how: &str| format!(
            "INSERT {how} INTO absences (id, practitioner_id, starts_at, ends_at, status, created_at)
             SELECT {}, practitioner_id, starts_at, ends_at, 'complete', created_at FROM absences",
            match (world.house.engine, how) {
                (Engine::Postgres, _) => "gen_random_uuid()",
                (Engine::Sqlite, "") => "randomblob(16)",
                (Engine::Sqlite, _) => "id",
            }
        );
        let mut attacks = vec!["UPDATE absences SET status = 'complete'".to_owned(), copy("")];
        if world.house.engine == Engine::Sqlite {
            for how in ["OR REPLACE", "OR IGNORE", "OR ABORT"] {
                attacks.push(copy(how));
                attacks.push(format!("UPDATE {how} absences SET status = 'complete'"));
            }
        }
        for attack in &attacks {
            let refusal = world.house.execute(attack).expect_err(attack);
            assert!(refusal.contains("visits_open"), "{attack}: {refusal}");
            assert_eq!(world.house.count(UNSETTLED), 0, "{attack}");
        }

        let later = books(&world.boris.client, &world.wish("2026-11-25T09:00:00+07:00")).await;
        let outcome = json!([{"appointment": offered["id"], "outcome": "offered"}]);
        decide(&world.registrar.client, &absence, outcome).await.expect(200);
        complete(&world.registrar.client, &absence).await.expect(200);
        let (day, other) = match world.house.engine {
            Engine::Sqlite => ("86400000000", format!("x'{}'", id(&later).replace('-', ""))),
            Engine::Postgres => ("interval '1 day'", format!("'{}'", id(&later))),
        };
        let mut attacks = vec![
            "DELETE FROM absence_outcomes".to_owned(),
            "UPDATE absence_outcomes SET outcome = 'cancelled', expires_at = NULL".to_owned(),
            format!("UPDATE absence_outcomes SET appointment_id = {other}"),
            format!("UPDATE absences SET ends_at = ends_at + {day}"),
            "INSERT INTO absence_outcomes SELECT absence_id, appointment_id, 'cancelled',
                from_practitioner_id, from_starts_at, NULL, NULL, NULL, decided_by, decided_at
                FROM absence_outcomes".to_owned(),
            "DELETE FROM absences".to_owned(),
        ];
        match world.house.engine {
            Engine::Sqlite => {
                for how in ["OR REPLACE", "OR IGNORE"] {
                    attacks.push(attacks[4].replacen("INSERT", &format!("INSERT {how}"), 1));
                    attacks.push(format!("UPDATE {how} absence_outcomes SET appointment_id = {other}"));
                    attacks.push(format!("UPDATE {how} absences SET ends_at = ends_at + {day}"));
                }
            }
            Engine::Postgres => {
                attacks.push("TRUNCATE absence_outcomes".to_owned());
                attacks.push("TRUNCATE absences CASCADE".to_owned());
            }
        }
        for attack in &attacks {
            world.house.execute(attack).expect_err(attack);
            assert_eq!(world.house.count(UNSETTLED), 0, "{attack}");
        }
        let shown = read(&world.registrar.client, &absence).await;
        assert_eq!(shown["status"], "complete");
    }
}

on_both! {
    async fn a_plan_moves_nothing_until_it_is_applied_and_can_be_taken_back(world: World) {
        let second = stand_in(world, "Зинаида Вторая", "vtoraya", ("09:00", "09:40")).await;
        let first = world.booked(NINE).await;
        let other = books(&world.boris.client, &world.wish(NINE_20)).await;
        let last = world.booked(NINE_40).await;
        let late = books(&world.boris.client, &world.wish("2026-11-24T16:00:00+07:00")).await;
        let registrar = &world.registrar.client;
        let shown = async || {
            let mut all = Vec::new();
            for (who, one) in [(&world.asha, &first), (&world.boris, &other), (&world.asha, &last), (&world.boris, &late)] {
                all.push(who.client.get(&visit(one)).await.expect(200));
            }
            all
        };
        let before = shown().await;
        let plan = plans(world, registrar, "2026-11-24").await;
        assert_eq!((&plan["status"], &plan["version"]), (&json!("draft"), &json!(1)));
        assert_eq!(plan["proposals"].as_array().unwrap().len(), 4);
        for kept in [&first, &other] {
            let one = proposal(&plan, kept);
            assert_eq!((&one["act"], &one["start"]), (&json!("move"), &kept["start"]));
            assert_eq!(one["practitioner"]["id"], json!(second.id));
            assert_eq!(one["why"], json!(["same_time", "same_language", "same_zone"]));
        }
        assert_eq!(proposal(&plan, &last)["act"], "offer");
        assert_eq!(proposal(&plan, &last)["why"], json!(["nobody_free_that_day", "other_days_free"]));
        assert_eq!(shown().await, before, "a preview moves nothing");
        assert_eq!(world.house.count("SELECT count(*) AS n FROM absences"), 0);

        let change = json!([{"appointment": late["id"], "act": "cancel"}]);
        assert_eq!(edits(registrar, &plan, 7, change.clone()).await.refused(412), "stale_version");
        let edited = edits(registrar, &plan, 1, change).await.expect(200);
        assert_eq!(proposal(&edited, &late)["why"], json!(["edited"]));
        let refused = edits(registrar, &plan, 2, json!([{"appointment": late["id"], "act": "move"}])).await;
        assert_eq!(refused.refused(422), "invalid_body");
        let stranger = json!([{"appointment": late["id"], "act": "move", "practitioner": world.stranger.id}]);
        assert_eq!(edits(registrar, &plan, 2, stranger).await.refused(422), "unknown_reference");

        let words = "SELECT count(*) AS n FROM outbox_messages";
        let messages = world.house.count(words);
        let applied = act(registrar, &plan, "apply").await.expect(200);
        assert_eq!((&applied["status"], &applied["undo_until"]), (&json!("applied"), &json!("2026-11-23T02:10:00Z")));
        assert_eq!(act(registrar, &plan, "apply").await.expect(200), applied, "twice is once");
        let absence = registrar.get(&format!("/v1/absences/{}", applied["absence"].as_str().unwrap())).await.expect(200);
        assert_eq!((&absence["status"], &absence["open_count"]), (&json!("complete"), &json!(0)));
        let now = shown().await;
        assert_eq!(now[0]["practitioner"]["id"], json!(second.id));
        assert_eq!(now[3]["status"], "cancelled");
        assert_eq!(world.house.count(words), messages + 2, "one message for each patient");
        assert_eq!(world.house.count(OVERLAPS), 0);
        assert_eq!(edits(registrar, &plan, 4, json!([])).await.refused(409), "bad_state");

        world.house.advance(TimeDelta::minutes(9));
        let undone = act(registrar, &plan, "undo").await.expect(200);
        assert_eq!(undone["status"], "undone");
        assert!(undone.get("absence").is_none());
        assert_eq!(act(registrar, &plan, "undo").await.expect(200), undone, "twice is once");
        for (was, is) in before.iter().zip(shown().await) {
            for same in ["id", "start", "end", "status", "practitioner", "local_start"] {
                assert_eq!(is[same], was[same], "{same}");
            }
        }
        assert_eq!(world.house.count("SELECT count(*) AS n FROM absences"), 0);
        let waiting = "SELECT count(*) AS n FROM outbox_messages WHERE state = 'pending' AND attempts = 0";
        assert_eq!(world.house.count(waiting), 0);
        assert_eq!(told(world, "изменения") + told(world, "перенос"), 0, "nobody heard of it");
        assert_eq!(world.house.count(OVERLAPS), 0);
        books(&world.boris.client, &json!({"service": world.service, "practitioner": second.id, "start": NINE})).await;
    }
}

on_both! {
    async fn who_waited_for_an_earlier_time_waits_on_when_a_plan_is_taken_back(world: World) {
        let second = stand_in(world, "Зинаида Вторая", "vtoraya", ("09:00", "09:40")).await;
        let (late, later) = ("2026-11-24T16:00:00+07:00", "2026-11-24T16:20:00+07:00");
        let moved = books(&world.asha.client, &world.wish(late)).await;
        let called_off = books(&world.boris.client, &world.wish(later)).await;
        // Neither could come so soon: nothing is offered to them meanwhile.
        let waits = async |who: &Person, booked: &Value| {
            let wish = json!({"service": world.service, "appointment": booked["id"],
                "earliest": "2026-11-24T08:00:00+07:00", "latest": "2026-11-24T09:05:00+07:00",
                "parts_of_day": ["evening"]});
            who.client.once("/v1/waitlist", &key(), &wish).await.expect(201)
        };
        let asha = waits(&world.asha, &moved).await;
        let boris = waits(&world.boris, &called_off).await;
        assert_eq!((&asha["status"], &boris["status"]), (&json!("waiting"), &json!("waiting")));
        let wishes = async |who: &Person| who.client.get("/v1/waitlist").await.expect(200)["items"].clone();

        let registrar = &world.registrar.client;
        let plan = plans(world, registrar, "2026-11-24").await;
        let change = json!([
            {"appointment": moved["id"], "act": "move", "practitioner": second.id, "start": NINE},
            {"appointment": called_off["id"], "act": "cancel"},
        ]);
        edits(registrar, &plan, 1, change).await.expect(200);
        act(registrar, &plan, "apply").await.expect(200);
        let ended = wishes(&world.asha).await;
        assert_eq!((&ended[0]["status"], &ended[0]["ended_why"]), (&json!("booked"), &json!("booked_otherwise")));
        assert!(wishes(&world.boris).await[0].get("appointment").is_none(), "for any visit");

        world.house.advance(TimeDelta::minutes(5));
        act(registrar, &plan, "undo").await.expect(200);
        let again = wishes(&world.asha).await;
        let again: Vec<&Value> =
            again.as_array().unwrap().iter().filter(|one| one["status"] == "waiting").collect();
        assert_eq!(again.len(), 1);
        for same in ["appointment", "latest", "parts_of_day", "created_at", "notice_minutes"] {
            assert_eq!(again[0][same], asha[same], "{same}");
        }
        assert_ne!(again[0]["id"], asha["id"]);
        assert_eq!(wishes(&world.boris).await[0]["appointment"], called_off["id"]);
        act(registrar, &plan, "undo").await.expect(200);
        assert_eq!(wishes(&world.asha).await.as_array().unwrap().len(), 2, "twice is once");
    }
}

on_both! {
    async fn patients_hear_of_a_plan_once_when_it_can_no_longer_be_taken_back(world: World) {
        stand_in(world, "Зинаида Вторая", "vtoraya", ("09:00", "17:00")).await;
        let first = world.booked(NINE).await;
        let second = world.booked(NINE_40).await;
        let alone = books(&world.boris.client, &world.wish(NINE_20)).await;
        let plan = plans(world, &world.doctor.client, "2026-11-24").await;
        act(&world.doctor.client, &plan, "apply").await.expect(200);
        world.house.advance(TimeDelta::minutes(11));
        let text = world.house.sms_with("+70000000001", "изменения").await;
        for visit in [&first, &second] {
            assert!(text.contains(visit["code"].as_str().unwrap()), "{text}");
        }
        let text = world.house.sms_with("+70000000002", "перенос").await;
        assert!(text.contains(alone["code"].as_str().unwrap()), "{text}");
        assert_eq!((told(world, "изменения"), told(world, "перенос")), (1, 1));
        let doctor = world.resigned(&world.doctor).await;
        assert_eq!(act(&doctor.client, &plan, "undo").await.refused(410), "undo_over");
    }
}

on_both! {
    async fn what_was_changed_since_is_not_told_when_the_ten_minutes_are_over(world: World) {
        stand_in(world, "Зинаида Вторая", "vtoraya", ("09:00", "17:00")).await;
        let moved = world.booked(NINE).await;
        let off = world.booked(NINE_20).await;
        let stays = world.booked(NINE_40).await;
        let offered = books(&world.boris.client, &world.wish("2026-11-24T10:00:00+07:00")).await;
        let registrar = &world.registrar.client;
        let plan = plans(world, registrar, "2026-11-24").await;
        edits(registrar, &plan, 1, json!([{"appointment": offered["id"], "act": "offer"}])).await.expect(200);
        act(registrar, &plan, "apply").await.expect(200);
        let friday = json!({"start": "2026-11-27T15:00:00+07:00"});
        let later = json!({"start": "2026-11-27T16:00:00+07:00"});
        for (booked, to) in [(&moved, &friday), (&offered, &later)] {
            registrar.once(&format!("{}/reschedule", visit(booked)), &key(), to).await.expect(200);
        }
        registrar.post(&format!("{}/cancel", visit(&off)), &json!({})).await.expect(200);
        world.house.advance(TimeDelta::minutes(11));
        let code = |booked: &Value| booked["code"].as_str().unwrap().to_owned();
        // Of her three visits, the plan tells of the one that is as it has put it.
        let text = world.house.sms_with("+70000000001", &format!("перенос на вт 24 ноя 09:40 (местное), код {}", code(&stays))).await;
        assert!(!text.contains(&code(&moved)), "{text}");
        world.house.all_sent().await;
        assert_eq!((told(world, "изменения"), told(world, "Выберите"), told(world, "отменён")), (0, 0, 1));
        assert_eq!(told(world, "перенос"), 3);
    }
}

on_both! {
    async fn the_more_urgent_visit_is_placed_before_the_routine_one(world: World) {
        stand_in(world, "Зинаида Вторая", "vtoraya", ("10:00", "10:20")).await;
        let routine = world.booked("2026-11-23T10:00:00+07:00").await;
        let mut wish = world.wish("2026-11-23T10:20:00+07:00");
        wish["patient"] = json!(world.boris.id);
        wish["priority"] = json!("stat");
        let urgent = books(&world.registrar.client, &wish).await;
        let plan = plans(world, &world.registrar.client, "2026-11-23").await;
        assert_eq!(plan["proposals"][0]["appointment"], urgent["id"], "triage first");
        let one = proposal(&plan, &urgent);
        assert_eq!((&one["act"], &one["start"]), (&json!("move"), &routine["start"]));
        assert_eq!(one["why"], json!(["triage_first", "nearest_same_day", "same_language", "same_zone"]));
        assert_eq!(proposal(&plan, &routine)["act"], "offer");
        let applied = act(&world.registrar.client, &plan, "apply").await.expect(200);
        assert_eq!(applied["status"], "applied");
        let there = world.boris.client.get(&visit(&urgent)).await.expect(200);
        assert_eq!((&there["start"], &there["priority"]), (&routine["start"], &json!("stat")));
        assert_eq!(world.house.count(OVERLAPS), 0);
    }
}

on_both! {
    async fn a_plan_that_no_longer_fits_changes_nothing_and_can_be_edited(world: World) {
        let second = stand_in(world, "Зинаида Вторая", "vtoraya", ("09:00", "17:00")).await;
        let first = world.booked(NINE).await;
        let other = books(&world.boris.client, &world.wish(NINE_20)).await;
        let registrar = &world.registrar.client;
        let plan = plans(world, registrar, "2026-11-24").await;
        // Meanwhile somebody takes the stand-in's time, and a new visit is booked.
        let taken = json!({"service": world.service, "practitioner": second.id, "start": NINE, "patient": world.boris.id});
        books(registrar, &taken).await;
        let new = world.booked(NINE_40).await;
        let refused = act(registrar, &plan, "apply").await;
        assert_eq!(refused.refused(409), "plan_conflicts");
        assert_eq!(refused.body["conflicts"], json!([
            {"appointment": first["id"], "code": "slot_taken"},
            {"appointment": new["id"], "code": "not_in_plan"},
        ]));
        assert_eq!(world.house.count("SELECT count(*) AS n FROM absences"), 0);
        let same = world.boris.client.get(&visit(&other)).await.expect(200);
        assert_eq!(same["practitioner"]["id"], json!(world.doctor.id));
        let again = registrar.get(&format!("/v1/illness-plans/{}", id(&plan))).await.expect(200);
        assert_eq!(again, plan, "the plan is as it was");
        edits(registrar, &plan, 1, json!([
            {"appointment": first["id"], "act": "move", "practitioner": second.id, "start": "2026-11-24T11:00:00+07:00"},
            {"appointment": new["id"], "act": "keep"},
        ])).await.expect(200);
        let applied = act(registrar, &plan, "apply").await.expect(200);
        let absence = json!({"id": applied["absence"]});
        let shown = read(registrar, &absence).await;
        assert_eq!((&shown["status"], &shown["open_count"]), (&json!("open"), &json!(1)), "one was kept");
        assert_eq!(shown["visits"][0]["id"], new["id"]);
    }
}

on_both! {
    async fn taking_a_plan_back_names_what_is_in_the_way(world: World) {
        let second = stand_in(world, "Зинаида Вторая", "vtoraya", ("09:00", "17:00")).await;
        let off = world.booked(NINE).await;
        let moved = books(&world.boris.client, &world.wish(NINE_20)).await;
        let registrar = &world.registrar.client;
        let plan = plans(world, registrar, "2026-11-24").await;
        edits(registrar, &plan, 1, json!([{"appointment": off["id"], "act": "cancel"}])).await.expect(200);
        act(registrar, &plan, "apply").await.expect(200);
        let elsewhere = json!({"service": world.other_service, "practitioner": world.stranger.id, "start": NINE});
        let instead = books(&world.asha.client, &elsewhere).await;
        let to = json!({"start": "2026-11-24T15:00:00+07:00"});
        world.boris.client.once(&format!("{}/reschedule", visit(&moved)), &key(), &to).await.expect(200);
        let refused = act(registrar, &plan, "undo").await;
        assert_eq!(refused.refused(409), "plan_conflicts");
        let mut conflicts = refused.body["conflicts"].as_array().unwrap().clone();
        conflicts.sort_by_key(|one| one["code"].to_string());
        assert_eq!(conflicts, [
            json!({"appointment": moved["id"], "code": "changed_meanwhile"}),
            json!({"appointment": off["id"], "code": "slot_taken"}),
        ]);
        assert_eq!(world.asha.client.get(&visit(&off)).await.expect(200)["status"], "cancelled");
        let still = registrar.get(&format!("/v1/illness-plans/{}", id(&plan))).await.expect(200);
        assert_eq!(still["status"], "applied");
        world.asha.client.post(&format!("{}/cancel", visit(&instead)), &json!({})).await.expect(200);
        let to = json!({"start": NINE_20, "practitioner": second.id});
        registrar.once(&format!("{}/reschedule", visit(&moved)), &key(), &to).await.expect(200);
        assert_eq!(act(registrar, &plan, "undo").await.expect(200)["status"], "undone");
        assert_eq!(world.asha.client.get(&visit(&off)).await.expect(200)["status"], "booked");
        let back = world.boris.client.get(&visit(&moved)).await.expect(200);
        assert_eq!(back["practitioner"]["id"], json!(world.doctor.id));
    }
}

on_both! {
    async fn what_was_only_held_or_asked_for_comes_back_as_that_while_its_time_lasts(world: World) {
        let registrar = &world.registrar.client;
        let wish = |start: &str, how: &str| {
            let mut wish = world.wish(start);
            wish[how] = json!(true);
            wish
        };
        let held = books(&world.boris.client, &wish(NINE, "hold")).await;
        let asked = books(&world.asha.client, &wish(NINE_20, "request")).await;
        let call_both_off = || async {
            let plan = plans(world, registrar, "2026-11-24").await;
            let change = json!([{"appointment": held["id"], "act": "cancel"},
                {"appointment": asked["id"], "act": "cancel"}]);
            edits(registrar, &plan, 1, change).await.expect(200);
            act(registrar, &plan, "apply").await.expect(200);
            plan
        };
        let plan = call_both_off().await;
        let off = world.boris.client.get(&visit(&held)).await.expect(200);
        assert_eq!((&off["status"], &off["cancellation_code"]), (&json!("cancelled"), &json!("leave")));
        // Not even the database would promise it.
        let revive = "UPDATE appointments SET status = 'booked', cancellation_code = NULL WHERE status = 'cancelled'";
        assert!(world.house.execute(revive).expect_err("held").contains("appointment_over"));
        act(registrar, &plan, "undo").await.expect(200);
        for (client, was, status) in [(&world.boris.client, &held, "pending"), (&world.asha.client, &asked, "proposed")] {
            let back = client.get(&visit(was)).await.expect(200);
            assert_eq!((&back["status"], back["status"].as_str()), (&was["status"], Some(status)));
            assert_eq!(back["hold_expires_at"], was["hold_expires_at"], "no longer than before");
            assert_eq!(back["encounter"]["status"], "planned");
        }

        // Its ten minutes end before the plan is taken back.
        world.house.advance(TimeDelta::minutes(5));
        let plan = call_both_off().await;
        world.house.advance(TimeDelta::minutes(6));
        let [boris, asha, office] = [&world.boris, &world.asha, &world.registrar];
        let boris = world.resigned(boris).await.client;
        let asha = world.resigned(asha).await.client;
        let office = world.resigned(office).await.client;
        let moves = "SELECT count(*) AS n FROM audit_events WHERE action = 'appointment.move'";
        let before = world.house.count(moves);
        act(&office, &plan, "undo").await.expect(200);
        assert_eq!(world.house.count(moves), before + 1, "one of the two came back");
        let over = boris.get(&visit(&held)).await.expect(200);
        assert_eq!((&over["status"], &over["cancellation_code"]), (&json!("cancelled"), &json!("expired")));
        let late = boris.post(&format!("{}/confirm", visit(&held)), &json!({})).await;
        assert_eq!(late.refused(410), "hold_over");
        let back = asha.get(&visit(&asked)).await.expect(200);
        assert_eq!((&back["status"], &back["hold_expires_at"]), (&json!("proposed"), &asked["hold_expires_at"]));
        assert_eq!(office.post(&format!("{}/accept", visit(&asked)), &json!({})).await.expect(200)["status"], "booked");
        books(&boris, &world.wish(NINE)).await;
        assert_eq!(world.house.count(OVERLAPS), 0);
    }
}

on_both! {
    async fn what_a_plan_moved_is_back_as_it_was(world: World) {
        let second = stand_in(world, "Зинаида Вторая", "vtoraya", ("09:00", "17:00")).await;
        let path = format!("/v1/healthcare-services/{}", world.service);
        let terms = json!({"booking": {"overbook": true}});
        world.admin.client.edit(Method::PATCH, &path, 1, &terms).await.expect(200);
        let registrar = &world.registrar.client;
        let wish = |start: &str, how: &str| {
            let mut wish = world.wish(start);
            wish[how] = json!(true);
            wish
        };
        let coming = world.booked(NINE).await;
        world.asha.client.post(&format!("{}/attend", visit(&coming)), &json!({})).await.expect(200);
        let mut beside = wish(NINE, "overbook");
        beside["patient"] = json!(world.boris.id);
        let beside = books(registrar, &beside).await;
        let asked = books(&world.asha.client, &wish(NINE_20, "request")).await;
        let held = books(&world.boris.client, &wish(NINE_40, "hold")).await;
        // They stay, though the clinic has closed for the morning since.
        let closed = json!({"name": {"en": "Repair", "ru": "Ремонт"}, "from_date": "2026-11-24",
            "to_date": "2026-11-24", "from": "09:00", "to": "12:00"});
        made(registrar, &format!("/v1/organizations/{}/closures", world.clinic), closed).await;
        let all = [(&world.asha, &coming), (&world.boris, &beside), (&world.asha, &asked), (&world.boris, &held)];
        let mut before = Vec::new();
        for (who, booked) in all {
            before.push(who.client.get(&visit(booked)).await.expect(200));
        }
        let plan = plans(world, registrar, "2026-11-24").await;
        let to = |booked: &Value, start: &str| json!({"appointment": booked["id"], "act": "move",
            "practitioner": second.id, "start": start});
        let edited = edits(registrar, &plan, 1, json!([
            to(&coming, "2026-11-24T13:00:00+07:00"), to(&beside, "2026-11-24T13:20:00+07:00"),
            to(&asked, "2026-11-24T13:40:00+07:00"), to(&held, "2026-11-24T14:00:00+07:00"),
        ]));
        edited.await.expect(200);
        let sent = world.house.count("SELECT count(*) AS n FROM outbox_messages");
        act(registrar, &plan, "apply").await.expect(200);
        let there = world.boris.client.get(&visit(&beside)).await.expect(200);
        assert_eq!((&there["overbooked"], &there["start"]), (&json!(false), &json!("2026-11-24T06:20:00Z")));
        act(registrar, &plan, "undo").await.expect(200);
        for ((who, booked), was) in all.into_iter().zip(&before) {
            let now = who.client.get(&visit(booked)).await.expect(200);
            for same in ["start", "local_start", "practitioner", "status", "overbooked", "confirmed_at", "hold_expires_at"] {
                assert_eq!(now[same], was[same], "{same} of {}", was["status"]);
            }
        }
        assert_eq!(before[0]["confirmed_at"], "2026-11-23T02:00:00Z");
        assert_eq!(before[1]["overbooked"], true);
        let left = "SELECT count(*) AS n FROM outbox_messages WHERE state <> 'failed'";
        assert_eq!(world.house.count(left), sent, "nobody hears of it");
        assert_eq!(world.house.count("SELECT count(*) AS n FROM occupancies WHERE live AND lane = 1"), 1);
    }
}

on_both! {
    async fn a_plan_for_a_leave_that_is_saved_already_can_be_taken_back(world: World) {
        stand_in(world, "Зинаида Вторая", "vtoraya", ("09:00", "17:00")).await;
        let booked = world.booked(NINE).await;
        let leave = away_on_tuesday(world).await;
        let registrar = &world.registrar.client;
        let plan = plans(world, registrar, "2026-11-24").await;
        act(registrar, &plan, "apply").await.expect(200);
        assert_eq!(complete(registrar, &leave).await.expect(200)["status"], "complete");
        act(registrar, &plan, "undo").await.expect(200);
        let back = world.asha.client.get(&visit(&booked)).await.expect(200);
        assert_eq!(back["practitioner"]["id"], json!(world.doctor.id));
        let open = read(registrar, &leave).await;
        assert_eq!((&open["status"], &open["open_count"]), (&json!("open"), &json!(1)));
        assert_eq!(world.house.count("SELECT count(*) AS n FROM absences WHERE status = 'open'"), 1);
    }
}

on_both! {
    async fn two_whom_a_plan_has_put_to_one_anothers_times_come_back(world: World) {
        let second = stand_in(world, "Зинаида Вторая", "vtoraya", ("09:00", "17:00")).await;
        let first = world.booked(NINE).await;
        let next = world.booked(NINE_20).await;
        let registrar = &world.registrar.client;
        let plan = plans(world, registrar, "2026-11-24").await;
        let to = |booked: &Value, start: &str| json!({"appointment": booked["id"], "act": "move",
            "practitioner": second.id, "start": start});
        edits(registrar, &plan, 1, json!([to(&first, NINE_40), to(&next, NINE)])).await.expect(200);
        let refused = act(registrar, &plan, "apply").await;
        // The first goes away before the next takes its time.
        refused.expect(200);
        act(registrar, &plan, "undo").await.expect(200);
        for booked in [&first, &next] {
            let now = world.asha.client.get(&visit(booked)).await.expect(200);
            assert_eq!(now["start"], booked["start"]);
        }
    }
}

on_both! {
    async fn an_offered_time_is_chosen_also_when_the_visit_should_be_over(world: World) {
        stand_in(world, "Зинаида Вторая", "vtoraya", ("09:00", "17:00")).await;
        let booked = world.booked("2026-11-23T09:20:00+07:00").await;
        let today = away(world, "2026-11-23T09:10:00+07:00", "2026-11-23T12:00:00+07:00").await;
        let offered = json!([{"appointment": booked["id"], "outcome": "offered"}]);
        decide(&world.registrar.client, &today, offered).await.expect(200);
        world.house.advance(TimeDelta::minutes(45));
        let asha = world.resigned(&world.asha).await;
        let path = format!("{}/offer", visit(&booked));
        let offer = asha.client.get(&path).await.expect(200);
        let chosen = asha.client.post(&path, &json!({"number": 2})).await.expect(200);
        assert_eq!((&chosen["id"], &chosen["start"]), (&booked["id"], &offer["times"][1]["start"]));
    }
}

on_both! {
    async fn a_plan_is_taken_back_but_for_what_somebody_has_changed(world: World) {
        stand_in(world, "Зинаида Вторая", "vtoraya", ("09:00", "17:00")).await;
        let off = world.booked(NINE).await;
        let moved = books(&world.boris.client, &world.wish(NINE_20)).await;
        let other = world.booked("2026-11-24T11:00:00+07:00").await;
        let registrar = &world.registrar.client;
        let plan = plans(world, registrar, "2026-11-24").await;
        edits(registrar, &plan, 1, json!([{"appointment": off["id"], "act": "cancel"}])).await.expect(200);
        act(registrar, &plan, "apply").await.expect(200);
        let elsewhere = json!({"service": world.other_service, "practitioner": world.stranger.id, "start": NINE});
        books(&world.asha.client, &elsewhere).await;
        let to = json!({"start": "2026-11-24T15:00:00+07:00"});
        world.boris.client.once(&format!("{}/reschedule", visit(&moved)), &key(), &to).await.expect(200);
        let undo = async |except: Value| {
            let path = format!("/v1/illness-plans/{}/undo", id(&plan));
            registrar.once(&path, &key(), &json!({ "except": except })).await
        };
        let refused = undo(json!([moved["id"]])).await;
        assert_eq!(refused.refused(409), "plan_conflicts");
        assert_eq!(refused.body["conflicts"], json!([{"appointment": off["id"], "code": "slot_taken"}]));
        assert_eq!(undo(json!([world.clinic])).await.refused(422), "unknown_reference");
        let undone = undo(json!([moved["id"], off["id"]])).await.expect(200);
        assert_eq!((&undone["status"], undone.get("absence")), (&json!("undone"), None));
        let back = world.asha.client.get(&visit(&other)).await.expect(200);
        assert_eq!((&back["start"], &back["practitioner"]["id"]), (&other["start"], &json!(world.doctor.id)));
        assert_eq!(world.asha.client.get(&visit(&off)).await.expect(200)["status"], "cancelled");
        let stays = world.boris.client.get(&visit(&moved)).await.expect(200);
        assert_eq!(stays["start"], "2026-11-24T08:00:00Z");
        // Who has not heard of it yet is told now; of the other, nobody ever.
        let text = world.house.sms_with("+70000000001", "отменён").await;
        assert!(text.contains(off["code"].as_str().unwrap()), "{text}");
        world.house.advance(TimeDelta::minutes(11));
        world.house.all_sent().await;
        assert_eq!((told(world, "изменения"), told(world, "отменён"), told(world, "перенос")), (0, 1, 1));
        assert_eq!(world.house.count(OVERLAPS), 0);
    }
}

on_both! {
    async fn what_is_held_of_somebody_who_is_away_too_is_let_go_and_nobody_hears_of_it(world: World) {
        let second = stand_in(world, "Зинаида Вторая", "vtoraya", ("09:00", "17:00")).await;
        let booked = world.booked(NINE).await;
        let week = away(world, "2026-11-23T00:00:00+07:00", "2026-12-25T00:00:00+07:00").await;
        let registrar = &world.registrar.client;
        let offered = json!([{"appointment": booked["id"], "outcome": "offered"}]);
        let shown = decide(registrar, &week, offered).await.expect(200);
        let times = shown["visits"][0]["offered"].as_array().unwrap().clone();
        assert_eq!(times.len(), 3);
        complete(registrar, &week).await.expect(200);
        // Whoever asks by code does not hear that all is well.
        let ask = json!({"code": booked["code"], "birth_date": "1961-04-12"});
        let look = async || world.house.client().post("/v1/appointments/lookup", &ask).await.expect(200);
        assert_eq!(look().await["offered"], true);
        let path = format!("/v1/practitioners/{}/absences", second.id);
        let hour = |time: &Value| {
            let start: chrono::DateTime<chrono::Utc> = time["start"].as_str().unwrap().parse().unwrap();
            json!({"from": start.to_rfc3339(), "to": (start + TimeDelta::minutes(5)).to_rfc3339()})
        };
        let gone = registrar.once(&path, &key(), &hour(&times[1])).await.expect(201);
        assert_eq!((&gone["status"], &gone["affected_count"]), (&json!("complete"), &json!(0)));
        let offer = world.asha.client.get(&format!("{}/offer", visit(&booked))).await.expect(200);
        assert_eq!(offer["times"], json!([times[0], times[2]]));
        assert_eq!(read(registrar, &week).await["status"], "complete");
        let held = "SELECT count(*) AS n FROM appointments WHERE status = 'pending'";
        assert_eq!(world.house.count(held), 2);
        for time in [&times[0], &times[2]] {
            registrar.once(&path, &key(), &hour(time)).await.expect(201);
        }
        let open = read(registrar, &week).await;
        assert_eq!((&open["status"], &open["open_count"]), (&json!("open"), &json!(1)));
        assert_eq!(world.house.count(held), 0);
        assert_eq!(told(world, "отменён"), 0);
        assert_eq!(look().await.get("offered"), None);

        // Nor does whoever only held a time hear that it is called off.
        let mut hold = world.wish("2026-12-29T09:00:00+07:00");
        hold["hold"] = json!(true);
        let held = books(&world.boris.client, &hold).await;
        let day = away(world, "2026-12-29T00:00:00+07:00", "2026-12-30T00:00:00+07:00").await;
        let off = json!([{"appointment": held["id"], "outcome": "cancelled"}]);
        let texts = "SELECT count(*) AS n FROM outbox_messages";
        let before = world.house.count(texts);
        decide(registrar, &day, off).await.expect(200);
        assert_eq!(world.house.count(texts), before);
    }
}

on_both! {
    async fn what_is_held_in_place_of_a_visit_is_taken_back_when_nobody_works_then_any_more(world: World) {
        let registrar = &world.registrar.client;
        let booked = world.booked("2026-11-26T09:00:00+07:00").await;
        let thursday = away(world, "2026-11-26T00:00:00+07:00", "2026-11-27T00:00:00+07:00").await;
        let offered = json!([{"appointment": booked["id"], "outcome": "offered"}]);
        let shown = decide(registrar, &thursday, offered.clone()).await.expect(200);
        let times = shown["visits"][0]["offered"].as_array().unwrap().clone();
        assert_eq!(times.len(), 3);
        complete(registrar, &thursday).await.expect(200);
        let held = "SELECT count(*) AS n FROM appointments WHERE status = 'pending'";
        let closes = async |from: &str, to: &str, hours: Value| {
            let mut closure = json!({"name": {"en": "Repair", "ru": "Ремонт"}, "from_date": from, "to_date": to});
            closure.as_object_mut().unwrap().extend(hours.as_object().unwrap().clone());
            made(registrar, &format!("/v1/organizations/{}/closures", world.clinic), closure).await;
        };
        let (day, clock) = times[1]["local_start"].as_str().unwrap().split_once('T').unwrap();
        let (hour, minute) = (clock.get(..2).unwrap(), clock.get(..5).unwrap());
        closes(day, day, json!({"from": minute, "to": format!("{hour}:59")})).await;
        let path = format!("{}/offer", visit(&booked));
        let offer = world.asha.client.get(&path).await.expect(200);
        assert_eq!(offer["times"], json!([times[0], times[2]]));
        assert_eq!(world.house.count(held), 2);
        let choice = json!({"number": 2});
        assert_eq!(world.asha.client.post(&path, &choice).await.refused(410), "offer_over");
        assert_eq!(read(registrar, &thursday).await["status"], "complete", "two are left");

        // With the last one the visit has no outcome again.
        closes("2026-11-23", "2026-11-25", json!({})).await;
        assert_eq!(world.house.count(held), 0);
        let open = read(registrar, &thursday).await;
        assert_eq!((&open["status"], &open["open_count"]), (&json!("open"), &json!(1)));
        assert_eq!(told(world, "отменён"), 0);

        // Weekly hours are looked at behind; whoever chooses before that hears it too.
        decide(registrar, &thursday, offered).await.expect(200);
        assert_eq!(world.house.count(held), 3);
        let path = format!("/v1/practitioners/{}/schedule", world.doctor.id);
        let version = registrar.get(&path).await.expect(200)["version"].as_i64().unwrap();
        let nights = json!({"rules": [{"weekday": "thu", "from": "01:00", "to": "02:00"}]});
        registrar.edit(Method::PUT, &path, version, &nights).await.expect(200);
        let path = format!("{}/offer", visit(&booked));
        let chosen = world.asha.client.post(&path, &json!({"number": 1})).await;
        assert_eq!(chosen.refused(410), "offer_over");
        vain::tick(&world.house.app).await.unwrap();
        assert_eq!(world.house.count(held), 0);
        assert_eq!(read(registrar, &thursday).await["open_count"], 1);
        assert_eq!(world.house.count(UNSETTLED), 0);
    }
}

/// The short service needs a feldsher; these work on Tuesdays from nine to five.
async fn needs_a_feldsher(world: &World, feldshers: &[&str]) {
    let path = format!("/v1/healthcare-services/{}", world.service);
    let change = json!({"resources": ["feldsher"]});
    world.admin.client.edit(Method::PATCH, &path, 1, &change).await.expect(200);
    for feldsher in feldshers {
        works_on_tuesdays(world, feldsher).await;
    }
}

async fn second_feldsher(world: &World) -> String {
    let body = json!({"name": "Клим Второй", "kind": "feldsher", "organization": world.clinic,
        "time_zone": ZONE});
    id(&made(&world.admin.client, "/v1/practitioners", body).await).to_owned()
}

fn helper(visit: &Value) -> &Value {
    &visit["participants"][0]["id"]
}

on_both! {
    async fn the_absence_of_a_helper_is_open_until_another_helps(world: World) {
        let ill = &world.feldsher.id;
        needs_a_feldsher(world, &[ill]).await;
        let helped = world.booked(NINE).await;
        assert_eq!(helper(&helped), &json!(ill));
        let path = format!("/v1/practitioners/{ill}/absences");
        let day = json!({"from": "2026-11-24T00:00:00+07:00", "to": "2026-11-25T00:00:00+07:00"});
        let registrar = &world.registrar.client;
        let absence = registrar.once(&path, &key(), &day).await.expect(201);
        assert_eq!((&absence["status"], &absence["affected_count"]), (&json!("open"), &json!(1)));
        assert_eq!(absence["affected"][0]["code"], helped["code"]);
        let open = read(registrar, &absence).await;
        assert_eq!((&open["open_count"], &open["visits"][0]["helps"]), (&json!(1), &json!(true)));
        assert_eq!(complete(registrar, &absence).await.refused(409), "visits_open");
        let attack = "UPDATE absences SET status = 'complete'";
        assert!(world.house.execute(attack).unwrap_err().contains("visits_open"));

        // There is nobody else yet, then somebody who is named, and must be free.
        let another = json!([{"appointment": helped["id"], "outcome": "replaced"}]);
        let refused = decide(registrar, &absence, another.clone()).await;
        assert_eq!(refused.refused(409), "resource_busy");
        assert_eq!(refused.body["appointment"], helped["id"]);
        let second = second_feldsher(world).await;
        works_on_tuesdays(world, &second).await;
        let mut named = another.clone();
        named[0]["helper"] = json!(world.colleague.id);
        assert_eq!(decide(registrar, &absence, named.clone()).await.refused(409), "resource_busy");
        named[0]["helper"] = json!(second);
        let settled = decide(registrar, &absence, named).await.expect(200);
        let visit_there = &settled["visits"][0];
        assert_eq!((&visit_there["outcome"], &settled["open_count"]), (&json!("replaced"), &json!(0)));
        assert_eq!(visit_there["helper"]["name"], "Клим Второй");
        assert_eq!(complete(registrar, &absence).await.expect(200)["status"], "complete");
        let now = world.asha.client.get(&visit(&helped)).await.expect(200);
        for same in ["code", "start", "practitioner", "status"] {
            assert_eq!(now[same], helped[same], "{same}");
        }
        assert_eq!(helper(&now), &json!(second));
        assert_eq!(world.house.count(UNSETTLED), 0);
        assert_eq!(world.house.count(OVERLAPS), 0);
        // Only who helps is replaced so.
        let absence = away_on_tuesday(world).await;
        assert_eq!(decide(registrar, &absence, another).await.refused(422), "invalid_body");
    }
}

async fn works_on_tuesdays(world: &World, feldsher: &str) {
    let rules = json!({"rules": [{"weekday": "tue", "from": "09:00", "to": "17:00"}]});
    let path = format!("/v1/practitioners/{feldsher}/schedule");
    world.registrar.client.edit(Method::PUT, &path, 1, &rules).await.expect(200);
}

on_both! {
    async fn a_plan_for_a_feldsher_who_is_ill_lets_another_help_and_can_be_taken_back(world: World) {
        let ill = &world.feldsher.id;
        needs_a_feldsher(world, &[ill]).await;
        let helped = world.booked(NINE).await;
        let second = second_feldsher(world).await;
        works_on_tuesdays(world, &second).await;
        let registrar = &world.registrar.client;
        let path = format!("/v1/practitioners/{ill}/illness-plans");
        let day = json!({"from": "2026-11-24T00:00:00+07:00", "to": "2026-11-24T23:59:00+07:00"});
        let plan = registrar.once(&path, &key(), &day).await.expect(201);
        let one = proposal(&plan, &helped);
        assert_eq!((&one["act"], &one["why"]), (&json!("replace"), &json!(["another_helper"])));
        act(registrar, &plan, "apply").await.expect(200);
        let now = world.asha.client.get(&visit(&helped)).await.expect(200);
        assert_eq!((helper(&now), &now["start"]), (&json!(second), &helped["start"]));
        assert_eq!(world.house.count(UNSETTLED), 0);
        assert_eq!(act(registrar, &plan, "undo").await.expect(200)["status"], "undone");
        let back = world.asha.client.get(&visit(&helped)).await.expect(200);
        assert_eq!(helper(&back), &json!(ill));
    }
}

on_both! {
    async fn what_is_offered_at_night_is_told_in_the_morning_and_can_be_answered_by_day(world: World) {
        let booked = world.booked("2026-11-26T09:00:00+07:00").await;
        // 02:00 of the next day where the patient lives.
        world.house.advance(TimeDelta::hours(17));
        let password = json!({"login": world.registrar.login, "password": "correct horse battery 9"});
        let tokens = world.house.client().post("/v1/auth/password", &password).await.expect(200);
        let registrar = signed_in(&world.house, &tokens, &world.registrar.login, String::new());
        let path = format!("/v1/practitioners/{}/absences", world.doctor.id);
        let body = json!({"from": "2026-11-26T00:00:00+07:00", "to": "2026-11-27T00:00:00+07:00"});
        let absence = registrar.client.once(&path, &key(), &body).await.expect(201);
        let offered = json!([{"appointment": booked["id"], "outcome": "offered"}]);
        let shown = decide(&registrar.client, &absence, offered).await.expect(200);
        let first = &shown["visits"][0]["offered"][0];
        assert_eq!(first["local_start"], "2026-11-24T09:40:00+07:00", "{shown}");
        assert_eq!(shown["visits"][0]["expires_at"], "2026-11-24T02:10:00Z");
        let due = "SELECT count(*) AS n FROM outbox_messages WHERE due_at = 1795482000000000";
        let due = match world.house.engine {
            Engine::Sqlite => due.to_owned(),
            Engine::Postgres => due.replace("1795482000000000", "'2026-11-24T01:00:00Z'"),
        };
        assert_eq!(world.house.count(&due), 1, "08:00 where the patient lives");
    }
}

on_both! {
    async fn who_has_no_telephone_is_named_and_who_was_moved_reads_why(world: World) {
        let second = stand_in(world, "Зинаида Вторая", "vtoraya", ("09:00", "17:00")).await;
        let booked = world.booked(NINE).await;
        let silent = json!({"name": "Без Телефона", "birth_date": "1950-02-03",
            "location": world.village, "organization": world.clinic});
        let silent = made(&world.registrar.client, "/v1/patients", silent).await;
        let mut wish = world.wish(NINE_20);
        wish["patient"] = silent["id"].clone();
        books(&world.registrar.client, &wish).await;
        let absence = away_on_tuesday(world).await;
        let shown = read(&world.registrar.client, &absence).await;
        let unreached = |number: usize| shown["visits"][number]["unreached"].clone();
        assert_eq!((unreached(0), unreached(1)), (json!(false), json!(true)));
        let outcome = json!([{"appointment": booked["id"], "outcome": "moved",
            "practitioner": second.id, "start": NINE, "reason": "Возьмите таблетки"}]);
        decide(&world.registrar.client, &absence, outcome).await.expect(200);
        let mine = world.asha.client.get("/v1/appointments").await.expect(200);
        assert_eq!(mine["items"][0]["moved_reason"], "Возьмите таблетки");
        assert_eq!(told(world, "таблетки"), 0, "what concerns health is in no text");
        // What was said of an earlier move is not said of the next.
        let later = json!({"start": NINE_40, "practitioner": second.id});
        let path = format!("{}/reschedule", visit(&booked));
        world.registrar.client.once(&path, &key(), &later).await.expect(200);
        let mine = world.asha.client.get(&visit(&booked)).await.expect(200);
        assert_eq!(mine.get("moved_reason"), None);
    }
}

on_both! {
    async fn what_was_held_in_place_of_a_visit_is_taken_though_the_office_put_somebody_beside_it(
        world: World
    ) {
        let path = format!("/v1/healthcare-services/{}", world.service);
        let terms = json!({"booking": {"overbook": true}});
        world.admin.client.edit(Method::PATCH, &path, 1, &terms).await.expect(200);
        let booked = world.booked("2026-11-26T09:00:00+07:00").await;
        let absence = away(world, "2026-11-26T00:00:00+07:00", "2026-11-27T00:00:00+07:00").await;
        let offered = json!([{"appointment": booked["id"], "outcome": "offered"}]);
        let shown = decide(&world.registrar.client, &absence, offered).await.expect(200);
        let first = &shown["visits"][0]["offered"][0];
        let mut beside = world.wish(first["start"].as_str().unwrap());
        beside["patient"] = json!(world.boris.id);
        beside["overbook"] = json!(true);
        books(&world.registrar.client, &beside).await;
        let choice = json!({"number": first["number"]});
        let taken = world.asha.client.post(&format!("{}/offer", visit(&booked)), &choice).await;
        let taken = taken.expect(200);
        assert_eq!((&taken["start"], &taken["overbooked"]), (&first["start"], &json!(false)));
    }
}

on_both! {
    async fn a_plan_that_moved_somebody_who_waited_already_can_be_taken_back(world: World) {
        let second = stand_in(world, "Зинаида Вторая", "vtoraya", ("09:00", "17:00")).await;
        let booked = world.booked("2026-11-23T09:20:00+07:00").await;
        world.house.advance(TimeDelta::minutes(10));
        world.enters(&world.asha, booked["encounter"]["id"].as_str().unwrap()).await;
        assert_eq!(world.asha.client.get(&visit(&booked)).await.expect(200)["status"], "arrived");
        let registrar = &world.registrar.client;
        let plan = plans(world, registrar, "2026-11-23").await;
        let to = json!([{"appointment": booked["id"], "act": "move", "practitioner": second.id,
            "start": "2026-11-23T10:00:00+07:00"}]);
        edits(registrar, &plan, 1, to).await.expect(200);
        act(registrar, &plan, "apply").await.expect(200);
        act(registrar, &plan, "undo").await.expect(200);
        let back = world.asha.client.get(&visit(&booked)).await.expect(200);
        assert_eq!((&back["start"], &back["practitioner"]["id"]), (&booked["start"], &json!(world.doctor.id)));
    }
}
