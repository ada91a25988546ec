//! The waiting list: a time that becomes free is held for one person after the other, in an order
//! that everybody can read, and nobody else can take it meanwhile.

use std::sync::Arc;

use actix_web::http::Method;
use chrono::TimeDelta;
use feldsher::base::app::App;
use feldsher::base::clock::{Clock, ManualClock};
use feldsher::base::ctx::as_system;
use feldsher::waitlist::task;
use futures_util::future::join_all;
use serde_json::{Value, json};

use crate::on_both;
use crate::race::OVERLAPS;
use crate::support::world::{made, patient};
use crate::support::{Answer, Client, Engine, Person, World, key};

const NINE: &str = "2026-11-24T09:00:00+07:00";
const NINE_20: &str = "2026-11-24T09:20:00+07:00";
const WEDNESDAY: &str = "2026-11-25T09:00:00+07:00";

/// Offers that stand for the same wish or the same time, or without what they promise.
const BROKEN: &str = "SELECT (SELECT count(*) FROM waitlist_offers a JOIN waitlist_offers b
      ON a.id < b.id AND a.status = 'standing' AND b.status = 'standing'
      AND (a.entry_id = b.entry_id
        OR (a.practitioner_id = b.practitioner_id AND a.starts_at = b.starts_at)))
    + (SELECT count(*) FROM waitlist_entries e WHERE (e.status = 'offered') <> EXISTS (
      SELECT 1 FROM waitlist_offers o WHERE o.entry_id = e.id AND o.status = 'standing'))
    + (SELECT count(*) FROM waitlist_offers o JOIN appointments v ON v.id = o.held_id
      WHERE o.status = 'standing' AND v.status <> 'pending') AS n";
const STANDING: &str = "SELECT count(*) AS n FROM waitlist_offers WHERE status = 'standing'";

/// A wish for one start: the twenty minutes that begin then, and no others.
fn only(world: &World, start: &str) -> Value {
    let at = chrono::DateTime::parse_from_rfc3339(start).unwrap();
    let until = (at + TimeDelta::minutes(5)).to_rfc3339();
    json!({"service": world.service, "earliest": start, "latest": until, "notice_minutes": 60})
}

fn with(mut body: Value, name: &str, value: impl Into<Value>) -> Value {
    body[name] = value.into();
    body
}

async fn joins(client: &Client, wish: &Value) -> Value {
    client.once("/v1/waitlist", &key(), wish).await.expect(201)
}

fn path(entry: &Value, act: &str) -> String {
    let id = entry["id"].as_str().unwrap();
    if act.is_empty() { format!("/v1/waitlist/{id}") } else { format!("/v1/waitlist/{id}/{act}") }
}

async fn act(client: &Client, entry: &Value, word: &str) -> Answer {
    client.once(&path(entry, word), &key(), &json!({})).await
}

async fn read(client: &Client, entry: &Value) -> Value {
    client.get(&path(entry, "")).await.expect(200)
}

async fn books(client: &Client, wish: &Value) -> Value {
    client.once("/v1/appointments", &key(), wish).await.expect(201)
}

async fn cancels(client: &Client, visit: &Value) -> Value {
    let path = format!("/v1/appointments/{}/cancel", visit["id"].as_str().unwrap());
    client.once(&path, &key(), &json!({})).await.expect(200)
}

async fn ticks(world: &World) {
    task::tick(&world.house.app, None).await.unwrap();
}

/// A patient without a telephone, and their visit.
async fn holder(world: &World, start: &str) -> (String, Value) {
    let body = json!({"name": "Пациент Без Телефона", "birth_date": "1980-01-01",
        "location": world.village, "organization": world.clinic});
    let new = made(&world.registrar.client, "/v1/patients", body).await;
    let id = new["id"].as_str().unwrap().to_owned();
    let wish = with(world.wish(start), "patient", id.clone());
    (id, books(&world.registrar.client, &wish).await)
}

async fn another(world: &World, name: &str, phone: &str) -> Person {
    let registrar = &world.registrar.client;
    patient(&world.house, registrar, &world.clinic, &world.village, name, phone).await
}

/// Lets time pass; everybody signs in again on the way, so that nobody is idle for too long.
async fn later<const N: usize>(world: &World, minutes: i64, people: [&Person; N]) -> [Person; N] {
    let mut people = people.map(Person::clone);
    let mut left = minutes;
    while left > 0 {
        let step = left.min(14);
        world.house.advance(TimeDelta::minutes(step));
        for person in &mut people {
            *person = world.resigned(person).await;
        }
        left -= step;
    }
    people
}

/// Another process on the same database. The embedded one has one process: there it is the same.
async fn second_process(world: &World) -> Arc<App> {
    let app = Arc::clone(&world.house.app);
    if world.house.engine == Engine::Sqlite {
        return app;
    }
    let clock: Arc<dyn Clock> = Arc::<ManualClock>::clone(&world.house.clock);
    let directory = app.config.sms.path.parent().unwrap().to_owned();
    let (second, threads) = App::open(app.config.clone(), Some(&directory), clock).await.unwrap();
    drop(threads);
    second
}

fn sms_to(world: &World, phone: &str, words: &str) -> usize {
    let sent = world.house.app.inbox.newest_first();
    sent.iter().filter(|sms| sms.to == phone && sms.text.contains(words)).count()
}

on_both! {
    async fn a_freed_time_goes_to_one_after_the_other_in_an_order_that_is_told(world: World) {
        let (urgent, visit) = holder(world, NINE).await;
        let boris = joins(&world.boris.client, &only(world, NINE)).await;
        world.house.advance(TimeDelta::seconds(1));
        let asha = joins(&world.asha.client, &only(world, NINE)).await;
        let registrar = &world.registrar.client;
        let wish = with(with(only(world, NINE), "priority", "urgent"), "patient", urgent);
        assert_eq!(act_urgent(&world.asha.client, world).await.refused(403), "forbidden");
        let dora = joins(registrar, &wish).await;
        for (entry, position, urgent_ahead) in [(&dora, 1, 0), (&boris, 2, 1), (&asha, 3, 1)] {
            let shown = read(registrar, entry).await;
            assert_eq!(shown["status"], "waiting");
            let place = &shown["place"];
            assert_eq!((&place["position"], &place["ahead"]), (&json!(position), &json!(position - 1)));
            assert_eq!(place["urgent_ahead"], json!(urgent_ahead));
            assert_eq!(place["order"], json!(["first_whom_it_suits", "urgent_first", "longest_waiting"]));
        }
        let told = world.asha.client.in_language("ru").get(&path(&asha, "")).await;
        assert!(told.text.contains("сначала срочным"), "{}", told.text);
        assert!(!told.text.contains("Борис") && !told.text.contains("Телефона"), "{}", told.text);
        act(registrar, &dora, "withdraw").await.expect(200);

        // Freed: held for the first in the same transaction, and hidden from everybody else.
        cancels(registrar, &visit).await;
        assert_eq!(world.house.count(STANDING), 1);
        let offered = read(&world.boris.client, &boris).await;
        assert_eq!(offered["status"], "offered");
        assert_eq!(offered["offer"]["start"], "2026-11-24T02:00:00Z");
        assert_eq!(offered["offer"]["expires_at"], "2026-11-23T02:30:01Z");
        assert_eq!(offered["offer"]["local_start"], NINE);
        let sms = world.house.sms_with("+70000000002", "свободно").await;
        assert!(sms.contains("09:00") && sms.contains(boris["code"].as_str().unwrap()), "{sms}");
        assert!(!sms.contains("Лебедева") && !sms.contains("GP visit"), "{sms}");
        assert_eq!(sms_to(world, "+70000000001", "свободно"), 0, "one at a time");
        let taken = world.asha.client.once("/v1/appointments", &key(), &world.wish(NINE)).await;
        assert_eq!(taken.refused(409), "slot_taken");
        let slots = format!("/v1/slots?service={}&from={}", world.service, "2026-11-24T00:00:00Z");
        let free = world.asha.client.get(&slots).await.expect(200);
        assert_eq!(free["items"][0]["start"], "2026-11-24T02:20:00Z");

        // Declined: the next one, at once. Unanswered: nobody is left, so it is free again.
        let declined = act(&world.boris.client, &boris, "decline").await.expect(200);
        assert_eq!((&declined["status"], &declined["place"]["position"]), (&json!("waiting"), &json!(1)));
        assert_eq!(read(&world.asha.client, &asha).await["status"], "offered");
        act(&world.boris.client, &boris, "decline").await.expect(200);
        let [boris_later, asha_later] = later(world, 31, [&world.boris, &world.asha]).await;
        ticks(world).await;
        ticks(world).await;
        let lapsed = read(&asha_later.client, &asha).await;
        assert_eq!((&lapsed["status"], &lapsed["lapses"]), (&json!("waiting"), &json!(1)));
        assert_eq!(lapsed["place"]["position"], 2);
        let late = act(&asha_later.client, &asha, "accept").await;
        assert_eq!(late.refused(410), "offer_over");
        let alternatives = late.body["alternatives"].as_array().unwrap();
        assert!(!alternatives.is_empty() && alternatives.len() <= 3, "{}", late.text);
        assert_eq!(read(&boris_later.client, &boris).await["status"], "waiting", "refused it before");
        assert_eq!(world.house.count(STANDING), 0);
        books(&boris_later.client, &world.wish(NINE)).await;
        assert_eq!(world.house.count(BROKEN), 0);
        assert_eq!(world.house.count(OVERLAPS), 0);
    }
}

on_both! {
    async fn the_office_reads_its_list_in_the_order_in_which_people_are_asked(world: World) {
        holder(world, NINE).await;
        let registrar = &world.registrar.client;
        let boris = joins(&world.boris.client, &only(world, NINE)).await;
        world.house.advance(TimeDelta::seconds(1));
        let asha = joins(&world.asha.client, &only(world, NINE)).await;
        world.house.advance(TimeDelta::seconds(1));
        let (third, _) = holder(world, NINE_20).await;
        let wish = with(with(only(world, NINE), "priority", "urgent"), "patient", third);
        let urgent = joins(registrar, &wish).await;
        let gone = joins(&world.asha.client, &with(only(world, NINE), "service", world.long_service.clone())).await;
        act(&world.asha.client, &gone, "withdraw").await.expect(200);
        let list = format!("/v1/waitlist?order=turn&organization={}", world.clinic);
        let codes = |list: &Value| -> Vec<Value> {
            list["items"].as_array().unwrap().iter().map(|entry| entry["code"].clone()).collect()
        };
        let shown = registrar.get(&list).await.expect(200);
        let turns = [&urgent, &boris, &asha].map(|entry| entry["code"].clone());
        assert_eq!(codes(&shown), turns, "urgent first, then the oldest, and none that has ended");
        let places: Vec<&Value> =
            shown["items"].as_array().unwrap().iter().map(|entry| &entry["place"]["position"]).collect();
        assert_eq!(places, [1, 2, 3]);
        let told = shown["items"][1]["place"]["explanation"].as_str().unwrap();
        assert!(told.contains("Place 2; 1 before") && !told.contains("You"), "{told}");
        let own = world.boris.client.get(&list).await.expect(200);
        assert_eq!(codes(&own), [boris["code"].clone()]);
        let told = own["items"][0]["place"]["explanation"].as_str().unwrap();
        assert!(told.contains("Your place is 2"), "{told}");

        // Page by page it is the same; a page of another order begins nowhere here.
        let mut seen = Vec::new();
        let mut next = Some(format!("{list}&limit=1"));
        while let Some(path) = next {
            let page = registrar.get(&path).await;
            next = next_page(&page);
            seen.extend(codes(&page.expect(200)));
        }
        assert_eq!(seen, turns);
        let oldest = next_page(&registrar.get("/v1/waitlist?limit=1").await).unwrap();
        let refused = registrar.get(&oldest.replace("limit=1", "order=turn")).await;
        assert_eq!(refused.refused(400), "invalid_cursor");
        let elsewhere = format!("/v1/waitlist?organization={}", world.other_clinic);
        assert_eq!(registrar.get(&elsewhere).await.expect(200)["items"], json!([]));

        // The board says how many they are, to whoever may see them.
        let board = format!(
            "/v1/organizations/{}/board?from=2026-11-24T00:00:00Z&to=2026-11-25T00:00:00Z",
            world.clinic
        );
        assert_eq!(registrar.get(&board).await.expect(200)["waiting"], 3);
        assert!(world.doctor.client.get(&board).await.expect(200).get("waiting").is_none());
    }
}

/// Where the answer says that the list goes on.
fn next_page(answer: &Answer) -> Option<String> {
    let link = answer.header("link")?;
    Some(link.split(['<', '>']).nth(1).unwrap().to_owned())
}

async fn act_urgent(client: &Client, world: &World) -> Answer {
    let wish = with(only(world, NINE), "priority", "urgent");
    client.once("/v1/waitlist", &key(), &wish).await
}

on_both! {
    async fn whoever_comes_while_a_time_is_free_has_it_offered_at_once_and_takes_it(world: World) {
        let entry = joins(&world.asha.client, &only(world, NINE)).await;
        assert_eq!(entry["status"], "offered");
        assert_eq!(entry["offer"]["practitioner"]["id"], json!(world.doctor.id));
        let booked = act(&world.asha.client, &entry, "accept").await.expect(200);
        assert_eq!((&booked["status"], &booked["local_start"]), (&json!("booked"), &json!(NINE)));
        let again = act(&world.asha.client, &entry, "accept").await.expect(200);
        assert_eq!(again["id"], booked["id"], "accepting twice is once");
        let ended = read(&world.asha.client, &entry).await;
        assert_eq!((&ended["status"], &ended["ended_why"]), (&json!("booked"), &json!("accepted")));
        assert_eq!(ended["appointment"], booked["id"]);
        assert!(ended.get("place").is_none() && ended.get("offer").is_none());
        world.house.sms_with("+70000000001", booked["code"].as_str().unwrap()).await;
        for word in ["decline", "withdraw"] {
            assert_eq!(act(&world.asha.client, &entry, word).await.refused(409), "bad_state");
        }
        let log = world.asha.client.get("/v1/me/access-log").await.expect(200);
        let lines = log["items"].as_array().unwrap();
        let by = |action: &str| lines.iter().find(|line| line["action"] == action).unwrap()["who"]["name"].clone();
        assert_eq!(by("waitlist.offer"), "Feldsher");
        assert_eq!(by("waitlist.accept"), "Аша Кузнецова");
    }
}

on_both! {
    async fn who_has_only_a_code_and_a_birth_date_can_answer(world: World) {
        let entry = joins(&world.asha.client, &only(world, NINE)).await;
        let ask = |code: &Value, born: &str, more: Value| {
            let mut body = json!({"code": code, "birth_date": born});
            for (name, value) in more.as_object().unwrap() {
                body[name] = value.clone();
            }
            let client = world.house.client();
            async move { client.post("/v1/offers/answer", &body).await }
        };
        let code = &entry["code"];
        assert_eq!(ask(code, "1961-04-13", json!({})).await.refused(404), "not_found");
        let shown = ask(code, "1961-04-12", json!({})).await;
        assert!(!shown.text.contains("Лебедева") && !shown.text.contains("GP visit"), "{}", shown.text);
        let shown = shown.expect(200);
        assert_eq!(shown["times"], json!([{"number": 1, "local_start": NINE, "time_zone": "Asia/Krasnoyarsk"}]));
        assert_eq!(shown["expires_at"], "2026-11-23T02:30:00Z");
        let taken = ask(code, "1961-04-12", json!({"accept": true})).await.expect(200);
        assert_eq!(taken["chosen"]["local_start"], NINE);
        let repeated = ask(code, "1961-04-12", json!({"accept": true})).await.expect(200);
        assert_eq!(repeated, taken, "an answer that was lost on the way can be asked for again");
        let visit = world.asha.client.get("/v1/appointments?status=booked").await.expect(200);
        assert_eq!(visit["items"][0]["code"], taken["code"]);
        let over = ask(code, "1961-04-12", json!({})).await;
        assert_eq!(over.refused(409), "bad_state");
        assert_eq!(ask(code, "1961-04-12", json!({})).await.refused(429), "too_many_attempts");

        // Declined, and too late.
        let boris = joins(&world.boris.client, &only(world, NINE_20)).await;
        let declined = ask(&boris["code"], "1961-04-12", json!({"accept": false})).await.expect(200);
        assert_eq!(declined["declined"], true);
        let late = ask(&boris["code"], "1961-04-12", json!({"accept": true})).await;
        assert_eq!(late.refused(410), "offer_over");
        let alternatives = late.body["alternatives"].as_array().unwrap();
        assert_eq!(alternatives.len(), 3);
        assert!(alternatives[0].get("practitioner").is_none() && !late.text.contains("Лебедева"));
        assert_eq!(read(&world.boris.client, &boris).await["status"], "waiting");
    }
}

on_both! {
    async fn three_offers_in_a_row_that_nobody_answers_end_the_wish(world: World) {
        let wish = json!({"service": world.service, "earliest": NINE, "latest": WEDNESDAY});
        let entry = joins(&world.asha.client, &wish).await;
        assert_eq!(entry["offer"]["local_start"], NINE);
        let mut asha = world.asha.clone();
        for (lapses, next) in [(1, NINE_20), (2, "2026-11-24T09:40:00+07:00")] {
            [asha] = later(world, 31, [&asha]).await;
            ticks(world).await;
            let shown = read(&asha.client, &entry).await;
            assert_eq!((&shown["lapses"], &shown["status"]), (&json!(lapses), &json!("offered")));
            assert_eq!(shown["offer"]["local_start"], next, "another time, not the same again");
        }
        [asha] = later(world, 31, [&asha]).await;
        ticks(world).await;
        let ended = read(&asha.client, &entry).await;
        assert_eq!((&ended["status"], &ended["ended_why"]), (&json!("expired"), &json!("unanswered")));
        world.house.sms_with("+70000000001", "ожидание закончилось").await;
        assert_eq!(world.house.count(STANDING), 0);
        assert_eq!(act(&asha.client, &entry, "accept").await.refused(410), "offer_over");
    }
}

on_both! {
    async fn a_visit_is_brought_forward_in_place_and_its_old_time_is_freed_for_the_next(world: World) {
        let visit = world.booked(WEDNESDAY).await;
        let (_, first) = holder(world, NINE).await;
        let wish = with(only(world, NINE), "appointment", visit["id"].clone());
        let earlier = with(wish.clone(), "latest", "2026-11-30T09:00:00+07:00");
        let refused = world.boris.client.once("/v1/waitlist", &key(), &earlier).await;
        assert_eq!(refused.refused(422), "unknown_reference", "somebody else's visit");
        let entry = joins(&world.asha.client, &wish).await;
        assert_eq!(entry["status"], "waiting");
        let boris = joins(&world.boris.client, &only(world, WEDNESDAY)).await;
        assert_eq!(boris["status"], "waiting");
        cancels(&world.registrar.client, &first).await;
        assert_eq!(read(&world.asha.client, &entry).await["status"], "offered");
        let own = format!("/v1/appointments/{}", visit["id"].as_str().unwrap());
        let still = world.asha.client.get(&own).await.expect(200);
        assert_eq!(still["local_start"], WEDNESDAY, "nothing is lost before the answer");
        let moved = act(&world.asha.client, &entry, "accept").await.expect(200);
        for same in ["id", "code", "encounter", "status"] {
            assert_eq!(moved[same], visit[same], "{same}");
        }
        assert_eq!(moved["local_start"], NINE);
        assert_eq!(moved["moves"][0]["by"]["name"], "Аша Кузнецова");
        let offered = read(&world.boris.client, &boris).await;
        assert_eq!((&offered["status"], &offered["offer"]["local_start"]), (&json!("offered"), &json!(WEDNESDAY)));
        assert_eq!(world.house.count(BROKEN), 0);
        assert_eq!(world.house.count(OVERLAPS), 0);
        let pending = "SELECT count(*) AS n FROM appointments WHERE status = 'pending'";
        assert_eq!(world.house.count(pending), 1);
    }
}

on_both! {
    async fn nobody_is_woken_and_nobody_s_time_runs_at_night(world: World) {
        let late = "2026-11-24T12:00:00+07:00";
        let early = "2026-11-24T09:00:00+07:00";
        let noon = books(&world.boris.client, &world.wish(late)).await;
        let clara = another(world, "Клара Ночная", "+70000000005").await;
        let morning = books(&clara.client, &world.wish(early)).await;
        let entry = joins(&world.asha.client, &only(world, late)).await;
        let other = json!({"name": "Дарья Ранняя", "birth_date": "1980-01-01",
            "location": world.village, "organization": world.clinic});
        let other = made(&world.registrar.client, "/v1/patients", other).await;
        let soon = with(only(world, early), "patient", other["id"].clone());
        let soon = joins(&world.registrar.client, &soon).await;
        // 23:00 where they live.
        world.house.advance(TimeDelta::hours(14));
        let boris = world.resigned(&world.boris).await;
        let clara = world.resigned(&clara).await;
        cancels(&boris.client, &noon).await;
        cancels(&clara.client, &morning).await;
        let asha = world.resigned(&world.asha).await;
        let offered = read(&asha.client, &entry).await;
        assert_eq!(offered["offer"]["local_expires_at"], "2026-11-24T08:30:00+07:00");
        // Nine o'clock with an hour's notice leaves no waking minute: it is passed over, and free.
        let waiting = format!("SELECT count(*) AS n FROM waitlist_entries WHERE code = '{}'
            AND status = 'waiting'", soon["code"].as_str().unwrap());
        assert_eq!(world.house.count(&waiting), 1);
        let due = match world.house.engine {
            Engine::Sqlite => "1795482000000000",
            Engine::Postgres => "timestamptz '2026-11-24T08:00:00+07:00'",
        };
        let told = format!("SELECT count(*) AS n FROM outbox_messages WHERE state = 'pending' AND due_at = {due}");
        assert_eq!(world.house.count(&told), 1, "the text leaves in the morning");
        world.house.advance(TimeDelta::minutes(9 * 60 + 29));
        ticks(world).await;
        let asha = world.resigned(&asha).await;
        world.house.app.outbox.notify_one();
        world.house.sms_with("+70000000001", "свободно").await;
        act(&asha.client, &entry, "accept").await.expect(200);
    }
}

on_both! {
    async fn times_that_become_free_without_a_deed_are_found(world: World) {
        // A hold that runs out.
        let held = with(world.wish(NINE), "hold", true);
        books(&world.boris.client, &held).await;
        let asha = joins(&world.asha.client, &only(world, NINE)).await;
        assert_eq!(asha["status"], "waiting");
        // Hours on a day that has none.
        let saturday = "2026-11-28T10:00:00+07:00";
        let boris = joins(&world.boris.client, &only(world, saturday)).await;
        let extra = format!("/v1/practitioners/{}/extra-hours", world.doctor.id);
        let hours = json!({"from": saturday, "to": "2026-11-28T11:00:00+07:00"});
        made(&world.doctor.client, &extra, hours).await;
        ticks(world).await;
        let offered = read(&world.boris.client, &boris).await;
        assert_eq!((&offered["status"], &offered["offer"]["local_start"]), (&json!("offered"), &json!(saturday)));
        let [ashas] = later(world, 11, [&world.asha]).await;
        ticks(world).await;
        let offered = read(&ashas.client, &asha).await;
        assert_eq!((&offered["status"], &offered["offer"]["local_start"]), (&json!("offered"), &json!(NINE)));
        assert_eq!(world.house.count(BROKEN), 0);
    }
}

on_both! {
    async fn whatever_frees_a_time_offers_it_in_the_same_moment(world: World) {
        let registrar = &world.registrar.client;
        let (_, moved) = holder(world, NINE).await;
        let asked = with(world.wish(NINE_20), "request", true);
        let asked = books(&world.boris.client, &asked).await;
        let forty = "2026-11-24T09:40:00+07:00";
        let held = books(&world.boris.client, &with(world.wish(forty), "hold", true)).await;
        let clara = another(world, "Клара Третья", "+70000000005").await;
        let dina = another(world, "Дина Четвёртая", "+70000000006").await;
        let by_move = joins(&world.asha.client, &only(world, NINE)).await;
        let by_refusal = joins(&clara.client, &only(world, NINE_20)).await;
        let by_release = joins(&dina.client, &only(world, forty)).await;
        let act_on = |visit: &Value, word: &str, body: Value| {
            let path = format!("/v1/appointments/{}/{word}", visit["id"].as_str().unwrap());
            async move { registrar.once(&path, &key(), &body).await.expect(200) }
        };
        act_on(&moved, "reschedule", json!({"start": "2026-11-26T09:00:00+07:00"})).await;
        act_on(&asked, "decline", json!({})).await;
        cancels(&world.boris.client, &held).await;
        for (who, entry) in [(&world.asha, &by_move), (&clara, &by_refusal), (&dina, &by_release)] {
            assert_eq!(read(&who.client, entry).await["status"], "offered");
        }
        // Moved over itself, nothing is given away in between.
        let entry = read(&world.asha.client, &by_move).await;
        act(&world.asha.client, &entry, "withdraw").await.expect(200);
        assert_eq!(world.house.count(STANDING), 2);
        assert_eq!(world.house.count(BROKEN), 0);
    }
}

on_both! {
    async fn what_is_offered_is_answered_and_not_confirmed_moved_or_counted_as_a_hold(world: World) {
        let entry = joins(&world.asha.client, &only(world, NINE)).await;
        let held = world.asha.client.get("/v1/appointments?status=pending").await.expect(200);
        let held = held["items"][0].clone();
        let path = |word: &str| format!("/v1/appointments/{}/{word}", held["id"].as_str().unwrap());
        let refused = world.asha.client.post(&path("confirm"), &json!({})).await;
        assert_eq!(refused.refused(409), "bad_state");
        let elsewhere = json!({"start": "2026-11-26T09:00:00+07:00"});
        let refused = world.registrar.client.once(&path("reschedule"), &key(), &elsewhere).await;
        assert_eq!(refused.refused(409), "bad_state");
        for start in ["2026-11-26T09:00:00+07:00", "2026-11-26T09:20:00+07:00", "2026-11-26T09:40:00+07:00"] {
            books(&world.asha.client, &with(world.wish(start), "hold", true)).await;
        }
        let fourth = with(world.wish("2026-11-26T10:00:00+07:00"), "hold", true);
        let refused = world.asha.client.once("/v1/appointments", &key(), &fourth).await;
        assert_eq!(refused.refused(409), "too_many_holds");
        // Giving the held time back declines it.
        cancels(&world.asha.client, &held).await;
        assert_eq!(read(&world.asha.client, &entry).await["status"], "waiting");
        let declined = "SELECT count(*) AS n FROM waitlist_offers WHERE status = 'declined'";
        assert_eq!(world.house.count(declined), 1);
        // Whoever books the same by another way waits no longer.
        let visit = books(&world.asha.client, &world.wish(NINE)).await;
        let ended = read(&world.asha.client, &entry).await;
        assert_eq!((&ended["status"], &ended["ended_why"]), (&json!("booked"), &json!("booked_otherwise")));
        assert_eq!(ended["appointment"], visit["id"]);
        // Also into the very time that is held for them.
        let boris = joins(&world.boris.client, &only(world, NINE_20)).await;
        assert_eq!(boris["status"], "offered");
        books(&world.boris.client, &world.wish(NINE_20)).await;
        assert_eq!(read(&world.boris.client, &boris).await["status"], "booked");
        assert_eq!(world.house.count(BROKEN), 0);
        assert_eq!(world.house.count(OVERLAPS), 0);
    }
}

on_both! {
    async fn an_absence_takes_back_what_was_offered_and_the_place_is_kept(world: World) {
        let entry = joins(&world.asha.client, &only(world, NINE)).await;
        world.house.sms_with("+70000000001", "свободно").await;
        let absences = format!("/v1/practitioners/{}/absences", world.doctor.id);
        let day = json!({"from": "2026-11-24T00:00:00+07:00", "to": "2026-11-25T00:00:00+07:00"});
        let absence = made(&world.registrar.client, &absences, day).await;
        assert_eq!(absence["status"], "complete", "nobody has a visit in it");
        let waits = read(&world.asha.client, &entry).await;
        assert_eq!((&waits["status"], &waits["lapses"]), (&json!("waiting"), &json!(0)));
        world.house.sms_with("+70000000001", "очередь цела").await;
        // Taken away again, the time is offered again.
        let path = format!("{absences}/{}", absence["id"].as_str().unwrap());
        let registrar = &world.registrar.client;
        let removed = registrar.send(registrar.request(Method::DELETE, &path), None).await;
        assert_eq!(removed.status, 204);
        ticks(world).await;
        assert_eq!(read(&world.asha.client, &entry).await["status"], "offered");
    }
}

on_both! {
    async fn a_visit_that_is_called_off_leaves_a_wish_only_to_who_lost_it(world: World) {
        let (_, _first) = holder(world, NINE).await;
        let lost = world.booked(WEDNESDAY).await;
        let wish = with(only(world, NINE), "appointment", lost["id"].clone());
        let entry = joins(&world.asha.client, &wish).await;
        cancels(&world.registrar.client, &lost).await;
        let waits = read(&world.asha.client, &entry).await;
        assert_eq!(waits["status"], "waiting");
        assert!(waits.get("appointment").is_none());
        let own = books(&world.boris.client, &world.wish(WEDNESDAY)).await;
        let wish = with(only(world, NINE), "appointment", own["id"].clone());
        let entry = joins(&world.boris.client, &wish).await;
        cancels(&world.boris.client, &own).await;
        let ended = read(&world.boris.client, &entry).await;
        assert_eq!((&ended["status"], &ended["ended_why"]), (&json!("withdrawn"), &json!("visit_over")));
    }
}

on_both! {
    async fn a_wish_whose_time_has_passed_ends_and_is_told(world: World) {
        let (_, _visit) = holder(world, "2026-11-23T10:00:00+07:00").await;
        let wish = with(only(world, "2026-11-23T10:00:00+07:00"), "notice_minutes", 0);
        let entry = joins(&world.asha.client, &wish).await;
        let [asha] = later(world, 66, [&world.asha]).await;
        ticks(world).await;
        let ended = read(&asha.client, &entry).await;
        assert_eq!((&ended["status"], &ended["ended_why"]), (&json!("expired"), &json!("window_over")));
        world.house.sms_with("+70000000001", "ожидание закончилось").await;
        let again = act(&asha.client, &entry, "withdraw").await;
        assert_eq!(again.refused(409), "bad_state");
    }
}

on_both! {
    async fn wishes_that_make_no_sense_are_refused_and_strangers_see_nothing(world: World) {
        let asha = &world.asha.client;
        holder(world, NINE).await;
        let entry = joins(asha, &only(world, NINE)).await;
        let again = asha.once("/v1/waitlist", &key(), &only(world, NINE)).await;
        assert_eq!(again.refused(409), "already_exists");
        let base = || json!({"service": world.long_service});
        for (wish, code) in [
            (with(base(), "latest", "2026-11-22T09:00:00+07:00"), "in_the_past"),
            (with(base(), "latest", "2036-11-22T09:00:00+07:00"), "too_far"),
            (with(with(base(), "earliest", WEDNESDAY), "latest", NINE), "invalid_body"),
            (with(base(), "notice_minutes", 10_081), "invalid_body"),
            (with(base(), "notice_minutes", -1), "invalid_body"),
            (with(base(), "parts_of_day", json!(["morning", "morning"])), "invalid_body"),
            (with(base(), "parts_of_day", json!(["night"])), "invalid_body"),
            (with(base(), "practitioner", world.stranger.id.clone()), "unknown_reference"),
            (with(base(), "patient", world.boris.id.clone()), "unknown_reference"),
            (with(base(), "appointment", entry["id"].clone()), "unknown_reference"),
            (with(base(), "urgent", true), "invalid_body"),
        ] {
            let refused = asha.once("/v1/waitlist", &key(), &wish).await;
            assert_eq!(refused.refused(422), code, "{wish}");
        }
        joins(asha, &with(base(), "parts_of_day", json!(["evening"]))).await;
        joins(asha, &json!({"service": world.other_service, "parts_of_day": ["evening"]})).await;
        let admin = &world.admin.client;
        let fourth = made(admin, "/v1/healthcare-services", json!({
            "name": {"en": "Fourth", "ru": "Четвёртая"}, "organization": world.clinic,
            "specialty": "cardiology", "duration_minutes": 20, "modes": ["video"]})).await;
        let refused = asha.once("/v1/waitlist", &key(), &json!({"service": fourth["id"]})).await;
        assert_eq!(refused.refused(409), "too_many_wishes");

        for stranger in [&world.boris.client, &world.stranger.client, &world.colleague.client] {
            assert_eq!(stranger.get(&path(&entry, "")).await.refused(404), "not_found");
            for word in ["accept", "decline", "withdraw"] {
                assert_eq!(act(stranger, &entry, word).await.refused(404), "not_found", "{word}");
            }
            let listed = stranger.get("/v1/waitlist").await.expect(200);
            assert_eq!(listed["items"], json!([]));
        }
        let query = format!("/v1/waitlist?service={}&status=waiting", world.service);
        let listed = world.registrar.client.get(&query).await.expect(200);
        assert_eq!(listed["items"].as_array().unwrap().len(), 1);
        assert_eq!(listed["items"][0]["id"], entry["id"]);
        assert_eq!(asha.get("/v1/waitlist").await.expect(200)["items"].as_array().unwrap().len(), 3);
        let first = asha.get("/v1/waitlist?limit=1").await;
        assert!(first.header("link").is_some(), "there is more");
        assert_eq!(act(asha, &entry, "accept").await.refused(409), "bad_state", "nothing was offered");
        assert_eq!(act(asha, &entry, "decline").await.refused(409), "bad_state");
        // A repeated request puts nobody on the list twice.
        act(asha, &entry, "withdraw").await.expect(200);
        act(asha, &entry, "withdraw").await.expect(200);
        let same = key();
        let one = asha.once("/v1/waitlist", &same, &only(world, NINE)).await.expect(201);
        let two = asha.once("/v1/waitlist", &same, &only(world, NINE)).await.expect(201);
        assert_eq!(one["id"], two["id"]);
    }
}

on_both! {
    async fn many_at_once_never_give_one_time_to_two_or_two_times_to_one(world: World) {
        let mut visits = Vec::new();
        let mut waiting = Vec::new();
        let starts: Vec<String> = (0..6).map(|slot| {
            let at = chrono::DateTime::parse_from_rfc3339(NINE).unwrap() + TimeDelta::minutes(slot * 20);
            at.to_rfc3339()
        }).collect();
        for start in &starts {
            visits.push(holder(world, start).await.1);
        }
        let window = json!({"service": world.service, "earliest": NINE, "notice_minutes": 60,
            "latest": "2026-11-24T10:45:00+07:00"});
        for number in 0..8 {
            let body = json!({"name": format!("Ждущий {number}"), "birth_date": "1980-01-01",
                "location": world.village, "organization": world.clinic});
            let new = made(&world.registrar.client, "/v1/patients", body).await;
            let wish = with(window.clone(), "patient", new["id"].clone());
            waiting.push(joins(&world.registrar.client, &wish).await);
            world.house.advance(TimeDelta::seconds(1));
        }
        let processes = [Arc::clone(&world.house.app), second_process(world).await];
        let app = |number: usize| &processes[number % 2];
        let registrar = &world.registrar.client;
        let look = |number| async move { task::tick(app(number), None).await.map(drop) };
        let looks = (0..6).map(look);
        let (_, looked) = futures_util::join!(
            join_all(visits.iter().map(|visit| cancels(registrar, visit))),
            join_all(looks),
        );
        for look in looked {
            look.unwrap();
        }
        ticks(world).await;
        assert_eq!(world.house.count(STANDING), 6);
        assert_eq!(world.house.count(BROKEN), 0);
        for entry in waiting.iter().take(6) {
            assert_eq!(read(registrar, entry).await["status"], "offered", "those who came first");
        }

        // Accepting and withdrawing at once: one of the two.
        let rush = waiting.iter().take(3).map(|entry| async move {
            futures_util::join!(act(registrar, entry, "accept"), act(registrar, entry, "withdraw"))
        });
        for (accepted, withdrawn) in join_all(rush).await {
            let both = (accepted.status.as_u16(), withdrawn.status.as_u16());
            assert!([(200, 409), (409, 200), (410, 200)].contains(&both), "{both:?}");
        }
        ticks(world).await;
        assert_eq!(world.house.count(BROKEN), 0);

        // The deadline passes: many look at once, somebody still tries to accept.
        let [registrar] = later(world, 31, [&world.registrar]).await;
        let registrar = &registrar.client;
        let lapse = |number| async move { as_system(app(number), task::lapse_due).await.map(drop) };
        let lapses = (0..4).map(lapse);
        let looks = (0..4).map(look);
        let late = waiting.iter().skip(3).take(3).map(|entry| act(registrar, entry, "accept"));
        let (lapsed, looked, late) =
            futures_util::join!(join_all(lapses), join_all(looks), join_all(late));
        lapsed.into_iter().chain(looked).for_each(|done| done.unwrap());
        for answer in late {
            // Whoever lost one time may by then have been offered another.
            if answer.status != 200 {
                assert_eq!(answer.refused(410), "offer_over");
            }
        }
        let late = "SELECT count(*) AS n FROM waitlist_offers
            WHERE status = 'accepted' AND answered_at >= expires_at";
        assert_eq!(world.house.count(late), 0, "nobody takes a time after its deadline");
        ticks(world).await;
        assert_eq!(world.house.count(BROKEN), 0);
        assert_eq!(world.house.count(OVERLAPS), 0);
        let twice = "SELECT count(*) AS n FROM (SELECT entry_id FROM waitlist_offers
            GROUP BY entry_id, practitioner_id, starts_at HAVING count(*) > 1) AS x";
        assert_eq!(world.house.count(twice), 0, "nobody is asked about the same time again");
    }
}

on_both! {
    async fn the_database_itself_refuses_two_wishes_two_offers_and_another_ending(world: World) {
        let offered = joins(&world.asha.client, &only(world, NINE)).await;
        holder(world, WEDNESDAY).await;
        world.house.advance(TimeDelta::seconds(1));
        joins(&world.boris.client, &only(world, WEDNESDAY)).await;
        let ended = joins(&world.boris.client, &json!({"service": world.long_service, "parts_of_day": ["evening"]})).await;
        act(&world.boris.client, &ended, "withdraw").await.expect(200);
        let fresh = match world.house.engine {
            Engine::Sqlite => "randomblob(16)",
            Engine::Postgres => "gen_random_uuid()",
        };
        let entries = "code, status, patient_id, service_id, organization_id, earliest_at, latest_at, \
            parts_of_day, notice_minutes, priority, lapses, created_by, created_at, updated_at, version";
        let values = entries.replacen("code", "'ATTACK'", 1);
        let hows: &[&str] = match world.house.engine {
            Engine::Sqlite => &["", "OR IGNORE", "OR REPLACE"],
            Engine::Postgres => &[""],
        };
        let mut attacks = vec![
            "UPDATE waitlist_entries SET status = 'waiting' WHERE status = 'offered'".to_owned(),
            "UPDATE waitlist_entries SET status = 'offered' WHERE status = 'waiting'".to_owned(),
            "UPDATE waitlist_entries SET status = 'waiting', ended_why = NULL WHERE status = 'withdrawn'".to_owned(),
            "UPDATE waitlist_entries SET status = 'expired', ended_why = 'unanswered' WHERE status = 'offered'".to_owned(),
            "UPDATE waitlist_entries SET lapses = 4".to_owned(),
            format!("UPDATE waitlist_entries SET patient_id = {fresh}"),
            "UPDATE waitlist_offers SET starts_at = expires_at".to_owned(),
            format!("UPDATE waitlist_offers SET held_id = {fresh}"),
            "DELETE FROM waitlist_offers".to_owned(),
            "DELETE FROM waitlist_entries".to_owned(),
        ];
        for how in hows {
            attacks.push(format!(
                "INSERT {how} INTO waitlist_entries (id, {entries}) SELECT {fresh}, {values} \
                 FROM waitlist_entries WHERE status = 'waiting'"
            ));
            attacks.push(format!(
                "INSERT {how} INTO waitlist_offers (id, entry_id, held_id, practitioner_id, starts_at, \
                 status, offered_at, expires_at) SELECT {fresh}, entry_id, held_id, practitioner_id, \
                 starts_at, status, offered_at, expires_at FROM waitlist_offers"
            ));
            attacks.push(format!(
                "INSERT {how} INTO waitlist_offers (id, entry_id, held_id, practitioner_id, starts_at, \
                 status, offered_at, expires_at) SELECT {fresh}, e.id, o.held_id, o.practitioner_id, \
                 o.starts_at, o.status, o.offered_at, o.expires_at FROM waitlist_offers o, waitlist_entries e \
                 WHERE e.status = 'waiting'"
            ));
        }
        let state = |table: &str| {
            let one = format!("SELECT count(*) AS n FROM waitlist_{table}");
            world.house.count(&one)
        };
        let before = (state("entries"), state("offers"));
        for attack in &attacks {
            // Whether it is refused or does nothing, it must not have done anything.
            drop(world.house.execute(attack));
            assert_eq!((state("entries"), state("offers")), before, "{attack}");
            assert_eq!(world.house.count(BROKEN), 0, "{attack}");
        }
        assert_eq!(read(&world.asha.client, &offered).await, offered, "as it was");
    }
}

#[actix_web::test]
async fn the_text_carries_a_link_whose_code_no_server_sees() {
    let world = World::build_with(Engine::Sqlite, |config| {
        config.http.public_url = "https://clinic.example".to_owned();
    });
    let world = world.await;
    let entry = joins(&world.asha.client, &only(&world, NINE)).await;
    let sms = world.house.sms_with("+70000000001", "свободно").await;
    let link = format!("https://clinic.example/#offer={}", entry["code"].as_str().unwrap());
    assert!(sms.ends_with(&link), "{sms}");
}

on_both! {
    async fn the_board_tells_a_time_that_is_offered_from_one_that_a_patient_holds(world: World) {
        let entry = joins(&world.asha.client, &only(world, NINE)).await;
        let own = with(world.wish(NINE_20), "hold", true);
        let own = books(&world.boris.client, &own).await;
        let day = "from=2026-11-23T17:00:00Z&to=2026-11-24T17:00:00Z";
        let path = format!("/v1/organizations/{}/board?{day}", world.clinic);
        let offered = async |start: &str| {
            let board = world.registrar.client.get(&path).await.expect(200);
            let visits = board["visits"].as_array().unwrap();
            visits.iter().find(|visit| visit["local_start"] == start).unwrap()["offered"].clone()
        };
        assert_eq!(offered(NINE).await, true);
        assert_eq!((offered(NINE_20).await, &own["status"]), (json!(false), &json!("pending")));
        act(&world.asha.client, &entry, "accept").await.expect(200);
        assert_eq!(offered(NINE).await, false, "it is a visit now");
    }
}

on_both! {
    async fn a_doctor_elsewhere_sees_no_wish_of_a_patient_they_treat(world: World) {
        // The stranger, of another clinic, has a visit with the patient and so treats her.
        let theirs = json!({"service": world.other_service, "practitioner": world.stranger.id,
            "start": WEDNESDAY, "patient": world.asha.id});
        books(&world.asha.client, &theirs).await;
        let visit = books(&world.asha.client, &world.wish(NINE_20)).await;
        let sooner = with(only(world, NINE), "appointment", visit["id"].clone());
        let entry = joins(&world.asha.client, &sooner).await;
        assert_eq!(entry["status"], "offered");
        let stranger = &world.stranger.client;
        assert_eq!(stranger.get(&path(&entry, "")).await.refused(404), "not_found");
        for word in ["accept", "decline", "withdraw"] {
            assert_eq!(act(stranger, &entry, word).await.refused(404), "not_found", "{word}");
        }
        assert_eq!(stranger.get("/v1/waitlist").await.expect(200)["items"], json!([]));
        let moved = act(&world.registrar.client, &entry, "accept").await.expect(200);
        assert_eq!((&moved["id"], &moved["local_start"]), (&visit["id"], &json!(NINE)));
    }
}

on_both! {
    async fn what_the_office_takes_back_goes_to_the_next_and_the_first_is_told(world: World) {
        let first = joins(&world.asha.client, &only(world, NINE)).await;
        world.house.sms_with("+70000000001", "свободно").await;
        let second = joins(&world.boris.client, &only(world, NINE)).await;
        assert_eq!((&first["status"], &second["status"]), (&json!("offered"), &json!("waiting")));
        let held = format!("/v1/appointments/{}/cancel", first["offer"]["held"].as_str().unwrap());
        world.registrar.client.once(&held, &key(), &json!({"code": "clinic"})).await.expect(200);
        world.house.sms_with("+70000000001", "очередь цела").await;
        assert_eq!(read(&world.asha.client, &first).await["status"], "waiting");
        assert_eq!(read(&world.boris.client, &second).await["status"], "offered");
    }
}

on_both! {
    async fn who_leaves_the_list_and_comes_back_is_not_texted_without_end(world: World) {
        let wish = json!({"service": world.service, "notice_minutes": 60});
        let mut offers = 0;
        for _ in 0..12 {
            let entry = joins(&world.asha.client, &wish).await;
            offers += usize::from(entry["status"] == "offered");
            act(&world.asha.client, &entry, "withdraw").await.expect(200);
        }
        assert_eq!(offers, 8, "so many in 24 hours");
    }
}
