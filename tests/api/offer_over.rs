//! Visits for which other times were offered that are not to be had any more: every reader hears that the
//! visit does not take place as it was booked, the patient once, and the office has a task to call them.

use actix_web::http::Method;
use chrono::TimeDelta;
use feldsher::schedule::leave::lapsed;
use serde_json::{Value, json};

use crate::leave::{act, away, books, complete, decide, id, plans, read, stand_in, told, visit};
use crate::on_both;
use crate::support::world::{made, patient};
use crate::support::{Client, Engine, Person, World, key};

const THURSDAY_9: &str = "2026-11-26T09:00:00+07:00";
const THURSDAY: (&str, &str) = ("2026-11-26T00:00:00+07:00", "2026-11-27T00:00:00+07:00");
const FRIDAY_9: &str = "2026-11-27T09:00:00+07:00";
const OVER: &str = "приёма не будет";
const OPEN: &str = "SELECT count(*) AS n FROM tasks WHERE code = 'unanswered'
    AND status IN ('requested', 'accepted', 'in-progress')";
const UNSEEN: &str = "SELECT count(*) AS n FROM lapsed_offers WHERE NOT seen_to";

/// So much later, in steps in which nobody is signed out.
pub async fn later<const N: usize>(world: &World, mins: i64, people: [&Person; N]) -> [Person; N] {
    let mut people = people.map(Person::clone);
    for _ in 0..mins / 13 + 1 {
        world.house.advance(TimeDelta::minutes(13));
        for person in &mut people {
            *person = world.resigned(person).await;
        }
    }
    people
}

/// What the background does every few seconds, done now, by several at once.
pub async fn looks(world: &World) {
    let app = &world.house.app;
    let (one, other) = futures_util::join!(lapsed::lapse_due(app), lapsed::lapse_due(app));
    one.and(other).unwrap();
    let (one, other) = futures_util::join!(lapsed::tick(app), lapsed::tick(app));
    one.and(other).unwrap();
    assert_eq!(world.house.count(UNSEEN), 0);
}

pub async fn tasks(office: &Client) -> Vec<Value> {
    office.get("/v1/tasks").await.expect(200)["items"].as_array().unwrap().clone()
}

async fn offers(world: &World, office: &Client, booked: &Value, absence: &Value) {
    let outcomes = json!([{"appointment": booked["id"], "outcome": "offered"}]);
    decide(office, absence, outcomes).await.expect(200);
    assert!(!is_over(world, office, booked).await);
}

async fn is_over(world: &World, who: &Client, booked: &Value) -> bool {
    let said = who.get(&visit(booked)).await.expect(200).get("offer_over").is_some();
    let ask = json!({"code": booked["code"], "birth_date": "1961-04-12"});
    let found = world.house.client().post("/v1/appointments/lookup", &ask).await;
    // One code is asked about a few times in an hour.
    if found.status != 429 {
        assert_eq!(found.body.get("offer_over").is_some(), said, "{}", found.body);
    }
    said
}

async fn calendar(who: &Client, booked: &Value) -> String {
    let file = who.get(&format!("{}/calendar.ics", visit(booked))).await;
    assert_eq!(file.status, 200, "{}", file.text);
    file.text.clone()
}

/// A visit on Thursday whose offer nobody has answered, with everybody still signed in.
async fn lapses(world: &World) -> (Value, Value, [Person; 2]) {
    let booked = world.booked(THURSDAY_9).await;
    let absence = away(world, THURSDAY.0, THURSDAY.1).await;
    offers(world, &world.registrar.client, &booked, &absence).await;
    complete(&world.registrar.client, &absence).await.expect(200);
    let people = later(world, 75, [&world.registrar, &world.asha]).await;
    looks(world).await;
    (booked, absence, people)
}

on_both! {
    async fn what_is_offered_and_not_answered_is_said_to_every_reader_and_to_the_office(world: World) {
        let (booked, absence, [office, asha]) = lapses(world).await;
        let (office, asha) = (&office.client, &asha.client);
        assert!(is_over(world, asha, &booked).await);
        let listed = asha.get("/v1/appointments?status=booked").await.expect(200);
        assert_eq!(listed["items"][0]["offer_over"], true, "{listed}");
        let shown = asha.get(&visit(&booked)).await.expect(200);
        let waiting = format!("/v1/encounters/{}/waiting", shown["encounter"]["id"].as_str().unwrap());
        let waits = asha.get(&waiting).await.expect(200);
        assert_eq!((&waits["offer_over"], &waits["tasks"][0]["code"]), (&json!(true), &json!("unanswered")));
        let file = calendar(asha, &booked).await;
        assert!(file.contains("STATUS:CANCELLED") && file.contains("METHOD:CANCEL"), "{file}");
        assert!(file.contains("SEQUENCE:2"), "a calendar takes only what is newer: {file}");
        // Whoever comes too late hears what is free.
        let path = format!("{}/offer", visit(&booked));
        let code = json!({"code": booked["code"], "birth_date": "1961-04-12"});
        for late in [
            asha.get(&path).await,
            asha.once(&path, &key(), &json!({"number": 1})).await,
            world.house.client().post("/v1/offers/answer", &code).await,
        ] {
            assert_eq!(late.refused(410), "offer_over");
            assert_eq!(late.body["alternatives"].as_array().unwrap().len(), 3, "{}", late.body);
        }
        let week = format!("/v1/organizations/{}/board?from=2026-11-23T00:00:00Z&to=2026-11-30T00:00:00Z", world.clinic);
        let board = office.get(&week).await.expect(200);
        let over = |one: &&Value| one["offer_over"] == true;
        assert_eq!(board["visits"].as_array().unwrap().iter().filter(over).count(), 1, "{board}");

        let all = tasks(office).await;
        assert_eq!(all.len(), 1, "{all:?}");
        let task = &all[0];
        assert_eq!((&task["code"], &task["why"], task.get("owner")), (&json!("unanswered"), &json!("offer_over"), None));
        assert_eq!(task["visit"]["local_start"], THURSDAY_9);
        // Ended by day, and half an hour is left to call.
        let due: chrono::DateTime<chrono::Utc> = task["due_at"].as_str().unwrap().parse().unwrap();
        let left = due - world.house.app.clock.now().utc();
        assert!((TimeDelta::zero()..=TimeDelta::minutes(30)).contains(&left), "{left}");
        world.house.sms_with("+70000000001", OVER).await;
        looks(world).await;
        world.house.all_sent().await;
        assert_eq!((tasks(office).await.len(), told(world, OVER)), (1, 1), "once");
        assert_eq!(complete(office, &absence).await.refused(409), "visits_open");

        // Whoever moves it themselves needs no call.
        let friday = json!({"start": FRIDAY_9});
        asha.once(&format!("{}/reschedule", visit(&booked)), &key(), &friday).await.expect(200);
        assert!(tasks(office).await.is_empty() && !is_over(world, asha, &booked).await);
        assert!(calendar(asha, &booked).await.contains("STATUS:CONFIRMED"));
        assert!(asha.get(&waiting).await.expect(200).get("offer_over").is_none());
        looks(world).await;
        assert_eq!(world.house.count(OPEN), 0, "nor later");
    }
}

on_both! {
    async fn what_is_offered_anew_called_off_or_replaced_is_no_task_any_more(world: World) {
        let (booked, absence, [office, asha]) = lapses(world).await;
        assert_eq!(world.house.count(OPEN), 1);
        offers(world, &office.client, &booked, &absence).await;
        looks(world).await;
        assert_eq!((world.house.count(OPEN), is_over(world, &asha.client, &booked).await), (0, false));
        let file = calendar(&asha.client, &booked).await;
        assert!(file.contains("STATUS:TENTATIVE") && file.contains("SEQUENCE:3"), "{file}");
        // It lapses again: that is other news.
        let [office, asha] = later(world, 100, [&office, &asha]).await;
        looks(world).await;
        assert_eq!((world.house.count(OPEN), is_over(world, &asha.client, &booked).await), (1, true));
        world.house.all_sent().await;
        assert_eq!(told(world, OVER), 2);
        let off = json!([{"appointment": booked["id"], "outcome": "cancelled"}]);
        decide(&office.client, &absence, off).await.expect(200);
        looks(world).await;
        assert_eq!((world.house.count(OPEN), is_over(world, &asha.client, &booked).await), (0, false));
    }
}

on_both! {
    async fn with_the_absence_goes_the_task_and_who_was_told_hears_that_the_visit_stands(world: World) {
        let (booked, absence, [office, asha]) = lapses(world).await;
        world.house.sms_with("+70000000001", OVER).await;
        let path = format!("/v1/practitioners/{}/absences/{}", world.doctor.id, id(&absence));
        let removed = office.client.send(office.client.request(Method::DELETE, &path), None).await;
        assert_eq!(removed.status, 204, "{}", removed.text);
        assert!(tasks(&office.client).await.is_empty() && !is_over(world, &asha.client, &booked).await);
        let file = calendar(&asha.client, &booked).await;
        assert!(file.contains("STATUS:CONFIRMED") && file.contains("SEQUENCE:3"), "{file}");
        let stands = "SELECT count(*) AS n FROM outbox_messages WHERE dedupe_key LIKE 'booked|%|%'";
        assert_eq!(world.house.count(stands), 1);
        assert_eq!(world.house.count("SELECT count(*) AS n FROM lapsed_offers"), 0);
    }
}

on_both! {
    async fn a_plan_that_is_taken_back_brings_the_task_back_and_tells_nobody_twice(world: World) {
        stand_in(world, "Зинаида Вторая", "vtoraya", ("09:00", "17:00")).await;
        let (booked, _, [office, asha]) = lapses(world).await;
        world.house.sms_with("+70000000001", OVER).await;
        let plan = plans(world, &office.client, "2026-11-26").await;
        act(&office.client, &plan, "apply").await.expect(200);
        looks(world).await;
        assert_eq!((world.house.count(OPEN), is_over(world, &asha.client, &booked).await), (0, false));
        act(&office.client, &plan, "undo").await.expect(200);
        looks(world).await;
        assert_eq!((world.house.count(OPEN), is_over(world, &asha.client, &booked).await), (1, true));
        world.house.all_sent().await;
        assert_eq!(told(world, OVER), 1);
        // Somebody has called, and it still lies there.
        let task = tasks(&office.client).await[0].clone();
        let path = |word: &str| format!("/v1/tasks/{}/{word}", id(&task));
        office.client.post(&path("take"), &json!({})).await.expect(200);
        office.client.post(&path("complete"), &json!({"outcome": "reached"})).await.expect(200);
        looks(world).await;
        assert_eq!((world.house.count(OPEN), is_over(world, &asha.client, &booked).await), (0, true));
    }
}

on_both! {
    async fn the_last_time_taken_back_at_night_is_told_by_day_and_not_to_who_has_moved(world: World) {
        // It is 23:00 there, and nine in the morning at the clinic.
        let far = made(&world.admin.client, "/v1/locations", json!({
            "name": "Далеко", "kind": "village", "organization": world.clinic,
            "time_zone": "America/Sao_Paulo", "latitude": -23.5, "longitude": -46.6, "link_class": "2g"
        })).await;
        let office = &world.registrar.client;
        let village = id(&far);
        let nika = patient(&world.house, office, &world.clinic, village, "Ника Дальняя", "+70000000007").await;
        let vera = patient(&world.house, office, &world.clinic, village, "Вера Дальняя", "+70000000008").await;
        let late = books(&nika.client, &world.wish(THURSDAY_9)).await;
        let moves = books(&vera.client, &world.wish("2026-11-26T09:20:00+07:00")).await;
        let absence = away(world, THURSDAY.0, THURSDAY.1).await;
        for booked in [&late, &moves] {
            offers(world, office, booked, &absence).await;
        }
        let closure = json!({"name": {"en": "Repair", "ru": "Ремонт"},
            "from_date": "2026-11-23", "to_date": "2026-11-26"});
        made(office, &format!("/v1/organizations/{}/closures", world.clinic), closure).await;
        looks(world).await;
        assert_eq!(read(office, &absence).await["open_count"], 2);
        assert_eq!(world.house.count(OPEN), 2, "the office hears at once");
        assert!(is_over(world, &nika.client, &late).await && is_over(world, &vera.client, &moves).await);
        let due: Vec<Value> = tasks(office).await.iter().map(|task| task["due_at"].clone()).collect();
        assert_eq!(due, [json!("2026-11-23T02:30:00Z"), json!("2026-11-23T02:30:00Z")]);
        let path = format!("{}/reschedule", visit(&moves));
        vera.client.once(&path, &key(), &json!({"start": FRIDAY_9})).await.expect(200);
        // 07:55 there.
        world.house.advance(TimeDelta::minutes(8 * 60 + 55));
        let waits = "SELECT count(*) AS n FROM outbox_messages WHERE dedupe_key LIKE 'offer over|%'
            AND state = 'pending' AND attempts = 0";
        assert_eq!((world.house.count(waits), told(world, OVER)), (2, 0));
        world.house.advance(TimeDelta::minutes(6));
        world.house.sms_with("+70000000007", OVER).await;
        world.house.all_sent().await;
        assert_eq!(told(world, OVER), 1, "who has another time hears nothing of it");
    }
}

async fn removes(world: &World, office: &Client, absence: &Value) {
    let path = format!("/v1/practitioners/{}/absences/{}", world.doctor.id, id(absence));
    let removed = office.send(office.request(Method::DELETE, &path), None).await;
    assert_eq!(removed.status, 204, "{}", removed.text);
}

const STANDS: &str = "SELECT count(*) AS n FROM outbox_messages WHERE dedupe_key LIKE 'booked|%|%'";

on_both! {
    async fn an_absence_that_is_put_right_tells_nobody_that_the_visit_stands(world: World) {
        let (booked, absence, [office, asha]) = lapses(world).await;
        world.house.sms_with("+70000000001", OVER).await;
        let before = tasks(&office.client).await;
        // The times of an absence are put right by another in its place.
        let right = json!({"from": THURSDAY.0, "to": "2026-11-28T00:00:00+07:00"});
        let path = format!("/v1/practitioners/{}/absences", world.doctor.id);
        let right = made(&office.client, &path, right).await;
        removes(world, &office.client, &absence).await;
        looks(world).await;
        world.house.all_sent().await;
        let after = tasks(&office.client).await;
        assert_eq!((after.len(), &after[0]["id"]), (1, &before[0]["id"]));
        assert!(is_over(world, &asha.client, &booked).await);
        assert_eq!((told(world, OVER), world.house.count(STANDS)), (1, 0));
        removes(world, &office.client, &right).await;
        looks(world).await;
        assert!(tasks(&office.client).await.is_empty() && !is_over(world, &asha.client, &booked).await);
        assert_eq!(world.house.count(STANDS), 1);
    }
}

on_both! {
    async fn what_is_offered_for_an_absence_that_is_put_right_is_over(world: World) {
        let booked = world.booked(THURSDAY_9).await;
        let absence = away(world, THURSDAY.0, THURSDAY.1).await;
        let office = &world.registrar.client;
        offers(world, office, &booked, &absence).await;
        away(world, THURSDAY.0, "2026-11-28T00:00:00+07:00").await;
        removes(world, office, &absence).await;
        looks(world).await;
        world.house.all_sent().await;
        assert_eq!((world.house.count(OPEN), world.house.count(STANDS), told(world, OVER)), (1, 0, 1));
        assert!(is_over(world, &world.asha.client, &booked).await);
    }
}

on_both! {
    async fn an_offer_that_is_over_says_so_also_of_who_was_moved_before(world: World) {
        let booked = world.booked(THURSDAY_9).await;
        let thursday = away(world, THURSDAY.0, THURSDAY.1).await;
        let office = &world.registrar.client;
        let moved = json!([{"appointment": booked["id"], "outcome": "moved",
            "practitioner": world.doctor.id, "start": FRIDAY_9}]);
        decide(office, &thursday, moved).await.expect(200);
        let friday = away(world, THURSDAY.1, "2026-11-28T00:00:00+07:00").await;
        offers(world, office, &booked, &friday).await;
        let [asha] = later(world, 75, [&world.asha]).await;
        looks(world).await;
        assert!(is_over(world, &asha.client, &booked).await);
        let late = asha.client.get(&format!("{}/offer", visit(&booked))).await;
        assert_eq!(late.refused(410), "offer_over");
    }
}

on_both! {
    async fn an_offer_ends_with_the_start_of_its_visit_and_then_nobody_is_written_to(world: World) {
        let booked = world.booked("2026-11-23T11:00:00+07:00").await;
        let monday = away(world, "2026-11-23T10:00:00+07:00", "2026-11-24T00:00:00+07:00").await;
        offers(world, &world.registrar.client, &booked, &monday).await;
        let path = format!("{}/offer", visit(&booked));
        let offer = world.asha.client.get(&path).await.expect(200);
        assert_eq!(offer["expires_at"], booked["start"], "and not a day from now");
        let [asha] = later(world, 117, [&world.asha]).await;
        looks(world).await;
        world.house.all_sent().await;
        assert_eq!(asha.client.get(&path).await.refused(410), "offer_over");
        assert_eq!((world.house.count(OPEN), told(world, OVER)), (1, 0));
    }
}

on_both! {
    async fn whoever_waits_for_a_doctor_who_is_away_reads_so(world: World) {
        let booked = world.booked("2026-11-23T11:00:00+07:00").await;
        let monday = away(world, "2026-11-23T10:55:00+07:00", "2026-11-23T12:00:00+07:00").await;
        offers(world, &world.registrar.client, &booked, &monday).await;
        let [asha, office] = later(world, 105, [&world.asha, &world.registrar]).await;
        let encounter = asha.client.get(&visit(&booked)).await.expect(200)["encounter"]["id"].clone();
        let path = |word: &str| format!("/v1/encounters/{}/{word}", encounter.as_str().unwrap());
        world.enters(&asha, encounter.as_str().unwrap()).await;
        let [asha, office] = later(world, 12, [&asha, &office]).await;
        looks(world).await;
        let waiting = asha.client.get(&path("waiting")).await.expect(200);
        assert_eq!((&waiting["status"], &waiting["offer_over"]), (&json!("arrived"), &json!(true)), "{waiting}");
        assert!(is_over(world, &asha.client, &booked).await);
        assert_eq!((tasks(&office.client).await.len(), world.house.count(OPEN)), (1, 1));
        let day = format!("/v1/organizations/{}/board?from=2026-11-23T00:00:00Z&to=2026-11-24T00:00:00Z", world.clinic);
        let board = office.client.get(&day).await.expect(200);
        assert_eq!(board["visits"][0]["offer_over"], true, "{board}");
    }
}
