//! Second visits, and visits that are moved: beside whom, for how long, and what the patient hears.

use actix_web::http::Method;
use chrono::DateTime;
use futures_util::future::join;
use serde_json::{Value, json};

use crate::clocks::{THE_END, locked, so_many_wait};
use crate::on_both;
use crate::support::world::{made, practitioner};
use crate::support::{Answer, Client, Engine, World, key};

const NINE: &str = "2026-11-24T09:00:00+07:00";
const TEN: &str = "2026-11-24T10:00:00+07:00";
const ELEVEN: &str = "2026-11-24T11:00:00+07:00";

async fn with_terms(world: &World, change: Value) {
    let path = format!("/v1/healthcare-services/{}", world.service);
    let version = world.admin.client.get(&path).await.expect(200)["version"].as_i64().unwrap();
    world.admin.client.edit(Method::PATCH, &path, version, &change).await.expect(200);
}

async fn may_be_overbooked(world: &World) {
    with_terms(world, json!({"booking": {"overbook": true}})).await;
}

async fn another(world: &World) -> String {
    let body = json!({"name": "Ещё Один", "birth_date": "1990-01-01",
        "location": world.village, "organization": world.clinic});
    let new = made(&world.registrar.client, "/v1/patients", body).await;
    new["id"].as_str().unwrap().to_owned()
}

/// The office books for somebody, perhaps as a second visit.
async fn books(world: &World, patient: &str, start: &str, overbook: bool) -> Answer {
    let mut wish = world.wish(start);
    wish["patient"] = json!(patient);
    wish["overbook"] = json!(overbook);
    world.registrar.client.once("/v1/appointments", &key(), &wish).await
}

async fn act(client: &Client, visit: &Value, word: &str, body: Value) -> Answer {
    let path = format!("/v1/appointments/{}/{word}", visit["id"].as_str().unwrap());
    client.once(&path, &key(), &body).await
}

async fn moves(client: &Client, visit: &Value, start: &str, overbook: bool) -> Answer {
    act(client, visit, "reschedule", json!({"start": start, "overbook": overbook})).await
}

async fn starts(client: &Client, world: &World, more: &str) -> Vec<Value> {
    let path = format!(
        "/v1/slots?service={}&practitioner={}&limit=100{more}\
        &from=2026-11-24T00:00:00%2B07:00&to=2026-11-25T00:00:00%2B07:00",
        world.service, world.doctor.id
    );
    client.get(&path).await.expect(200)["items"].as_array().unwrap().clone()
}

fn texts(world: &World, phone: &str, words: &str) -> usize {
    let sent = world.house.app.inbox.newest_first();
    sent.iter().filter(|sms| sms.to == phone && sms.text.contains(words)).count()
}

on_both! {
    async fn nobody_comes_beside_a_visit_whose_service_takes_no_second_one(world: World) {
        let (alone, doctor) = alone_or_second(world).await;
        let book = async |service: &str, patient: &str, start: &str, overbook: bool| {
            books_with(world, &doctor, service, patient, start, overbook).await
        };
        let (asha, boris) = (world.asha.id.as_str(), world.boris.id.as_str());
        book(&alone, asha, NINE, false).await.expect(201);
        assert_eq!(book(&world.service, boris, NINE, true).await.refused(409), "no_overbooking");
        let reaching = "2026-11-24T09:10:00+07:00";
        assert_eq!(book(&world.service, boris, reaching, true).await.refused(409), "no_overbooking");
        book(&world.service, asha, TEN, false).await.expect(201);
        let second = book(&world.service, boris, TEN, true).await.expect(201);
        assert_eq!(second["overbooked"], true);
        // Nor by a move.
        assert_eq!(moves(&world.registrar.client, &second, NINE, true).await.refused(409), "no_overbooking");
    }
}

/// A service that takes no second visit, beside one that does, of one doctor; what the office books there.
async fn alone_or_second(world: &World) -> (String, String) {
    may_be_overbooked(world).await;
    let alone = made(
        &world.admin.client,
        "/v1/healthcare-services",
        json!({
            "name": {"en": "Alone", "ru": "Без второго"}, "organization": world.clinic,
            "specialty": "general-practice", "duration_minutes": 20, "modes": ["video"],
        }),
    );
    let alone = alone.await["id"].as_str().unwrap().to_owned();
    let services = [world.service.as_str(), &alone];
    let doctor = practitioner(
        &world.house,
        &world.admin.client,
        &world.clinic,
        "Один Врач",
        "doctor",
        "odin",
        &services,
    );
    let doctor = doctor.await.id;
    let rules = json!({"rules": [{"weekday": "tue", "from": "09:00", "to": "17:00"}]});
    let path = format!("/v1/practitioners/{doctor}/schedule");
    world.registrar.client.edit(Method::PUT, &path, 1, &rules).await.expect(200);
    (alone, doctor)
}

/// The office books with that doctor.
async fn books_with(
    world: &World,
    doctor: &str,
    service: &str,
    patient: &str,
    start: &str,
    overbook: bool,
) -> Answer {
    let wish = json!({"service": service, "practitioner": doctor, "patient": patient,
        "start": start, "overbook": overbook});
    world.registrar.client.once("/v1/appointments", &key(), &wish).await
}

/// One of the two is all but committed when the other begins; on SQLite one comes after the other.
async fn at_once(
    world: &World,
    first: impl Future<Output = Answer>,
    other: impl Future<Output = Answer>,
) -> (Answer, Answer) {
    if world.house.engine == Engine::Sqlite {
        return (first.await, other.await);
    }
    let go = locked(world, THE_END.to_owned()).await;
    let rest = async {
        so_many_wait(world, 1).await;
        let goes_on = async {
            so_many_wait(world, 2).await;
            go.send(()).unwrap();
        };
        join(other, goes_on).await.0
    };
    join(first, rest).await
}

on_both! {
    async fn of_a_second_visit_and_one_that_allows_none_an_empty_time_has_the_first_to_come(world: World) {
        let (alone, doctor) = alone_or_second(world).await;
        let book = async |service: &str, patient: &str, start: &str, overbook: bool| {
            books_with(world, &doctor, service, patient, start, overbook).await
        };
        let (asha, boris) = (world.asha.id.as_str(), world.boris.id.as_str());
        let second = book(&world.service, asha, NINE, true);
        let (second, other) = at_once(world, second, book(&alone, boris, NINE, false)).await;
        assert_eq!(second.expect(201)["overbooked"], false, "where nobody is, nobody is the second");
        assert_eq!(other.refused(409), "slot_taken");
        let first = book(&alone, asha, TEN, false);
        let (first, other) = at_once(world, first, book(&world.service, boris, TEN, true)).await;
        first.expect(201);
        assert_eq!(other.refused(409), "no_overbooking");
        assert_eq!(world.house.count("SELECT count(*) AS n FROM occupancies WHERE live AND lane = 1"), 0);
    }
}

on_both! {
    async fn what_is_left_of_a_pair_keeps_its_time_from_all_who_do_not_come_as_a_second(world: World) {
        may_be_overbooked(world).await;
        let office = &world.registrar.client;
        let first = world.booked(NINE).await;
        let second = books(world, &world.boris.id, NINE, true).await.expect(201);
        act(office, &first, "cancel", json!({})).await.expect(200);
        let third = another(world).await;
        for client in [&world.asha.client, office] {
            let listed = starts(client, world, "").await;
            assert!(listed.iter().all(|slot| slot["local_start"] != NINE), "{listed:?}");
        }
        let own = world.asha.client.once("/v1/appointments", &key(), &world.wish(NINE)).await;
        assert_eq!(own.refused(409), "slot_taken");
        assert_eq!(own.body["alternatives"].as_array().unwrap().len(), 3);
        assert_eq!(books(world, &third, NINE, false).await.refused(409), "slot_taken");
        let elsewhere = world.booked(TEN).await;
        for client in [&world.asha.client, office] {
            assert_eq!(moves(client, &elsewhere, NINE, false).await.refused(409), "slot_taken");
        }
        // That it was called off was a mistake.
        act(office, &first, "undo", json!({})).await.expect(200);
        act(office, &first, "cancel", json!({})).await.expect(200);
        // Who comes beside it takes the place that is left, and that is all there is.
        let pair = books(world, &third, NINE, true).await.expect(201);
        assert_eq!(pair["overbooked"], false);
        let fourth = another(world).await;
        assert_eq!(books(world, &fourth, NINE, true).await.refused(409), "slot_taken");
        assert_eq!(moves(office, &elsewhere, NINE, true).await.refused(409), "slot_taken");
        let still = office.get(&format!("/v1/appointments/{}", second["id"].as_str().unwrap())).await.expect(200);
        assert_eq!((&still["status"], &still["overbooked"]), (&json!("booked"), &json!(true)));
    }
}

on_both! {
    async fn both_of_a_pair_can_be_moved_and_put_back(world: World) {
        let office = &world.registrar.client;
        let first = world.booked(NINE).await;
        assert_eq!(moves(office, &first, NINE, true).await.expect(200)["overbooked"], false);
        assert_eq!(moves(office, &first, TEN, true).await.refused(409), "no_overbooking");
        may_be_overbooked(world).await;
        let second = books(world, &world.boris.id, NINE, true).await.expect(201);
        assert_eq!(moves(office, &second, TEN, false).await.expect(200)["overbooked"], false);
        assert_eq!(moves(office, &second, NINE, false).await.refused(409), "slot_taken");
        let own = moves(&world.boris.client, &second, NINE, true).await;
        assert_eq!(own.refused(403), "forbidden");
        assert_eq!(moves(office, &second, NINE, true).await.expect(200)["overbooked"], true);
        moves(office, &first, ELEVEN, false).await.expect(200);
        assert_eq!(moves(office, &first, NINE, true).await.expect(200)["overbooked"], false);
        // Where nobody is, nobody is the second.
        assert_eq!(moves(office, &second, ELEVEN, true).await.expect(200)["overbooked"], false);
        assert_eq!(world.house.count("SELECT count(*) AS n FROM occupancies WHERE live AND lane = 1"), 0);
    }
}

on_both! {
    async fn a_visit_is_moved_as_long_as_it_is_whatever_its_service_says_by_now(world: World) {
        with_terms(world, json!({"duration_minutes": 60})).await;
        let long = world.booked(NINE).await;
        with_terms(world, json!({"duration_minutes": 20})).await;
        let office = &world.registrar.client;
        books(world, &world.boris.id, "2026-11-24T12:00:00+07:00", false).await.expect(201);
        for client in [office, &world.asha.client] {
            let late = moves(client, &long, "2026-11-24T16:40:00+07:00", false).await;
            assert_eq!(late.refused(422), "outside_hours");
        }
        let more = format!("&moving={}", long["id"].as_str().unwrap());
        let listed = starts(&world.asha.client, world, &more).await;
        assert!(!listed.is_empty());
        let at = |slot: &Value, name: &str| DateTime::parse_from_rfc3339(slot[name].as_str().unwrap()).unwrap();
        for slot in &listed {
            assert_eq!((at(slot, "end") - at(slot, "start")).num_minutes(), 60, "{slot}");
            let body = json!({"start": slot["start"], "dry_run": true});
            act(&world.asha.client, &long, "reschedule", body).await.expect(200);
        }
        let refused = moves(office, &long, "2026-11-24T11:40:00+07:00", false).await;
        assert_eq!(refused.refused(409), "slot_taken");
        let others = refused.body["alternatives"].as_array().unwrap();
        assert_eq!(others.len(), 3);
        for slot in others {
            let body = json!({"start": slot["start"], "dry_run": true});
            act(&world.asha.client, &long, "reschedule", body).await.expect(200);
        }
        // And the other way round.
        with_terms(world, json!({"duration_minutes": 20})).await;
        let short = books(world, &another(world).await, "2026-11-24T15:00:00+07:00", false).await.expect(201);
        with_terms(world, json!({"duration_minutes": 60})).await;
        let moved = moves(office, &short, "2026-11-24T16:40:00+07:00", false).await.expect(200);
        assert_eq!(moved["end"], "2026-11-24T10:00:00Z");
    }
}

on_both! {
    async fn who_stays_where_they_were_promised_hears_of_no_move(world: World) {
        let booked = world.booked(NINE).await;
        act(&world.asha.client, &booked, "attend", json!({})).await.expect(200);
        let body = json!({"start": NINE, "practitioner": world.doctor.id});
        let same = act(&world.registrar.client, &booked, "reschedule", body).await.expect(200);
        assert_eq!(same.get("moves"), None, "{same}");
        assert!(same["confirmed_at"].is_string(), "{same}");
        assert_eq!(texts(world, "+70000000001", "перенос"), 0);
        moves(&world.registrar.client, &booked, TEN, false).await.expect(200);
        world.house.sms_with("+70000000001", "перенос").await;
    }
}

on_both! {
    async fn a_visit_begins_on_a_whole_minute(world: World) {
        let office = &world.registrar.client;
        for start in ["2026-11-24T09:00:30+07:00", "2026-11-24T09:00:00.5+07:00"] {
            let refused = books(world, &world.asha.id, start, false).await;
            assert_eq!(refused.refused(422), "off_minute", "{start}");
            assert_eq!(refused.body["errors"][0]["pointer"], "/start");
        }
        let booked = books(world, &world.asha.id, "2026-11-24T09:07:00+07:00", false).await.expect(201);
        let refused = moves(office, &booked, "2026-11-24T10:00:00.000001+07:00", false).await;
        assert_eq!(refused.refused(422), "off_minute");
    }
}
