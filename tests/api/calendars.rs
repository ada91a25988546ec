//! Calendars: what leaves for other programs, and what they tell us.

use std::io::{Read, Write};
use std::net::TcpListener;
use std::str::FromStr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use actix_web::http::Method;
use chrono::TimeDelta;
use feldsher::calendar::external;
use icalendar::{Calendar, CalendarComponent, Component};
use serde_json::{Value, json};

use crate::on_both;
use crate::support::world::made;
use crate::support::{Answer, Client, Engine, World, key};

const TUESDAY_9: &str = "2026-11-24T09:00:00+07:00";

async fn file(client: &Client, path: &str) -> (String, Vec<icalendar::Event>) {
    let answer = client.get(path).await;
    assert_eq!(answer.status, 200, "{path}: {}", answer.text);
    assert_eq!(answer.header("content-type"), Some("text/calendar; charset=utf-8"));
    let text = answer.text.clone();
    let events = Calendar::from_str(&text).unwrap().components.into_iter();
    let events = events.filter_map(|component| match component {
        CalendarComponent::Event(event) => Some(event),
        // Where nothing is taken.
        CalendarComponent::Other(_) if text.contains("BEGIN:VTIMEZONE") => None,
        other => panic!("not an event: {other:?}"),
    });
    let events = events.collect();
    (text, events)
}

on_both! {
    async fn a_visit_keeps_its_name_in_the_calendar_and_counts_its_changes(world: World) {
        let booked = world.booked(TUESDAY_9).await;
        let id = booked["id"].as_str().unwrap();
        let path = format!("/v1/appointments/{id}/calendar.ics");
        let (text, events) = file(&world.asha.client, &path).await;
        let [event] = &events[..] else { panic!("{text}") };
        assert_eq!(event.get_uid(), Some(format!("{id}@feldsher").as_str()));
        assert_eq!(event.property_value("DTSTART"), Some("20261124T020000Z"));
        assert_eq!(event.property_value("DTEND"), Some("20261124T022000Z"));
        assert_eq!(event.property_value("SEQUENCE"), Some("0"));
        assert_eq!(event.property_value("STATUS"), Some("CONFIRMED"));
        assert!(text.contains("METHOD:PUBLISH"), "{text}");

        // Nothing that a person at the same table should not know.
        for secret in [&booked["patient"]["name"], &booked["practitioner"]["name"], &booked["service"]["name"]] {
            assert!(!text.contains(secret.as_str().unwrap()), "{text}");
        }

        let cancel = format!("/v1/appointments/{id}/cancel");
        world.asha.client.post(&cancel, &json!({"reason": "Дорогу замело"})).await.expect(200);
        let (text, events) = file(&world.asha.client, &path).await;
        assert_eq!(events[0].get_uid(), Some(format!("{id}@feldsher").as_str()));
        assert_eq!(events[0].property_value("SEQUENCE"), Some("1"));
        assert_eq!(events[0].property_value("STATUS"), Some("CANCELLED"));
        assert!(text.contains("METHOD:CANCEL") && !text.contains("Дорогу"), "{text}");

        let stranger = world.boris.client.get(&path).await;
        assert_eq!(stranger.refused(404), "not_found");
    }
}

on_both! {
    async fn a_secret_address_tells_other_programs_when_a_doctor_is_busy_and_nothing_else(world: World) {
        let booked = world.booked(TUESDAY_9).await;
        let absence = json!({"from": "2026-11-26T00:00:00+07:00", "to": "2026-11-27T00:00:00+07:00", "reason": "Учёба"});
        made(&world.doctor.client, &format!("/v1/practitioners/{}/absences", world.doctor.id), absence).await;
        let own = format!("/v1/practitioners/{}/calendar-feed", world.doctor.id);
        assert_eq!(world.doctor.client.get(&own).await.expect(200)["created_at"], Value::Null);

        let first = world.doctor.client.post(&own, &json!({})).await.expect(201);
        let path = first["path"].as_str().unwrap().to_owned();
        let anybody = world.house.client();
        let (text, events) = file(&anybody, &path).await;
        let times: Vec<_> = events.iter().map(|event| event.property_value("DTSTART").unwrap()).collect();
        assert_eq!(times, ["20261124T020000Z", "20261125T170000Z"]);
        for secret in [&booked["patient"]["name"], &booked["service"]["name"], &json!("Учёба"), &booked["code"]] {
            assert!(!text.contains(secret.as_str().unwrap()), "{text}");
        }
        assert!(events.iter().all(|event| event.get_summary() == Some("Busy")), "{text}");

        let second = world.doctor.client.post(&own, &json!({})).await.expect(201);
        assert_eq!(anybody.get(&path).await.refused(404), "not_found");
        let path = second["path"].as_str().unwrap().to_owned();
        file(&anybody, &path).await;
        let kept = world.house.count("SELECT count(*) AS n FROM calendar_feeds");
        assert_eq!(kept, 1);

        let gone = world.doctor.client.send(world.doctor.client.request(Method::DELETE, &own), None).await;
        assert_eq!(gone.status, 204);
        assert_eq!(anybody.get(&path).await.refused(404), "not_found");
        let again = world.doctor.client.send(world.doctor.client.request(Method::DELETE, &own), None).await;
        assert_eq!(again.refused(404), "not_found");
    }
}

/// It thinks about its answer until it is told another.
const SAYS_NOTHING_YET: u16 = 0;

/// A calendar server that says what it is told to say.
struct Elsewhere {
    url: String,
    says: Arc<Mutex<(u16, String)>>,
    asked: Arc<AtomicUsize>,
}

impl Elsewhere {
    fn open() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}/me.ics", listener.local_addr().unwrap());
        let says = Arc::new(Mutex::new((404, String::new())));
        let asked = Arc::new(AtomicUsize::new(0));
        let (told, count) = (Arc::clone(&says), Arc::clone(&asked));
        std::thread::spawn(move || {
            for line in listener.incoming() {
                let Ok(mut line) = line else { return };
                let mut request = [0; 4096];
                let _heard = line.read(&mut request);
                count.fetch_add(1, Ordering::SeqCst);
                while told.lock().unwrap().0 == SAYS_NOTHING_YET {
                    std::thread::sleep(std::time::Duration::from_millis(10));
                }
                let (status, body) = told.lock().unwrap().clone();
                let head = format!(
                    "HTTP/1.1 {status} X\r\nConnection: close\r\nContent-Length: {}\r\n\r\n",
                    body.len()
                );
                line.write_all((head + &body).as_bytes()).ok();
            }
        });
        Self { url, says, asked }
    }

    fn says(&self, status: u16, events: &str) {
        let lines: String = events.lines().map(|line| format!("{}\r\n", line.trim())).collect();
        let body = format!(
            "BEGIN:VCALENDAR\r\nVERSION:2.0\r\nPRODID:-//x//x//EN\r\n{lines}END:VCALENDAR\r\n"
        );
        *self.says.lock().unwrap() = (status, body);
    }
}

on_both! {
    async fn whoever_helps_in_a_visit_is_busy_then_for_other_programs_too(world: World) {
        let service = format!("/v1/healthcare-services/{}", world.service);
        let needs = json!({"resources": ["feldsher"]});
        world.admin.client.edit(Method::PATCH, &service, 1, &needs).await.expect(200);
        let rules = json!({"rules": [{"weekday": "tue", "from": "09:00", "to": "17:00"}]});
        let own = format!("/v1/practitioners/{}", world.feldsher.id);
        let schedule = format!("{own}/schedule");
        world.registrar.client.edit(Method::PUT, &schedule, 1, &rules).await.expect(200);
        let booked = world.booked(TUESDAY_9).await;
        let feed = world.feldsher.client.post(&format!("{own}/calendar-feed"), &json!({})).await;
        let path = feed.expect(201)["path"].as_str().unwrap().to_owned();
        let (_, events) = file(&world.house.client(), &path).await;
        let times: Vec<_> = events.iter().map(|event| event.property_value("DTSTART").unwrap()).collect();
        assert_eq!(times, ["20261124T020000Z"]);
        let cancel = format!("/v1/appointments/{}/cancel", booked["id"].as_str().unwrap());
        world.asha.client.post(&cancel, &json!({})).await.expect(200);
        let (text, events) = file(&world.house.client(), &path).await;
        assert!(events.is_empty(), "{text}");
    }
}

async fn nine_is_free(world: &World) -> bool {
    let query = "from=2026-11-24T00:00:00%2B07:00&to=2026-11-25T00:00:00%2B07:00";
    let path = format!("/v1/slots?service={}&{query}", world.service);
    let free: Value = world.asha.client.get(&path).await.expect(200);
    free["items"].as_array().unwrap().iter().any(|slot| slot["local_start"] == TUESDAY_9)
}

/// What the doctor's calendar elsewhere says of itself once it was read.
async fn read(world: &World, own: &str) -> Value {
    // The house's own rounds may have been here first; what counts is what is written.
    external::round(&world.house.app).await.unwrap();
    for _ in 0..200 {
        let state = world.doctor.client.get(own).await.expect(200);
        if state["state"] != "new" {
            return state;
        }
        actix_web::rt::time::sleep(std::time::Duration::from_millis(25)).await;
    }
    panic!("the calendar was not read")
}

async fn elsewhere(engine: Engine) {
    let world = World::build_with(engine, |config| config.calendar.private_hosts = true).await;
    let calendar = Elsewhere::open();
    let own = format!("/v1/practitioners/{}/external-calendar", world.doctor.id);
    let set = world.doctor.client.request(Method::PUT, &own);
    let set = world.doctor.client.send(set, Some(&json!({"url": calendar.url}))).await.expect(200);
    assert_eq!((&set["state"], &set["host"]), (&json!("new"), &json!("127.0.0.1")));
    let read = async || read(&world, &own).await;

    let state = read().await;
    assert_eq!((&state["state"], &state["trouble"]), (&json!("failed"), &json!("refused")));
    assert!(nine_is_free(&world).await);
    let booked = world.booked(TUESDAY_9).await;
    let visit = format!("/v1/appointments/{}", booked["id"].as_str().unwrap());
    world.asha.client.post(&format!("{visit}/cancel"), &json!({})).await.expect(200);

    calendar.says(200, "BEGIN:VEVENT\nUID:1\nDTSTART;TZID=Asia/Krasnoyarsk:20261103T090000\nDURATION:PT15M\nRRULE:FREQ=WEEKLY\nSUMMARY:Обход\nEND:VEVENT");
    world.house.advance(TimeDelta::minutes(6));
    let state = read().await;
    assert_eq!((&state["state"], &state["trouble"]), (&json!("read"), &Value::Null));
    assert!(state["busy_count"].as_i64().unwrap() > 20, "{state}");
    assert!(!nine_is_free(&world).await);
    let wanted =
        json!({"service": world.service, "practitioner": world.doctor.id, "start": TUESDAY_9});
    let refused = world.asha.client.once("/v1/appointments", &key(), &wanted).await;
    assert_eq!(refused.refused(422), "outside_hours");
    // Nor does a visit that was called off come back there.
    let back = world.registrar.client.post(&format!("{visit}/undo"), &json!({})).await;
    assert_eq!(back.refused(422), "outside_hours");

    // What was said last stays while the server is silent.
    calendar.says(500, "");
    world.house.execute("UPDATE external_calendars SET due_at = read_at").unwrap();
    let state = read().await;
    assert_eq!((&state["state"], &state["trouble"]), (&json!("failed"), &json!("refused")));
    assert!(!nine_is_free(&world).await);

    let gone = world.doctor.client.request(Method::DELETE, &own);
    assert_eq!(world.doctor.client.send(gone, None).await.status, 204);
    assert!(nine_is_free(&world).await);
    let kept = world.house.count("SELECT count(*) AS n FROM external_calendars");
    assert_eq!(kept, 0);
}

/// Another calendar is named while the former one is being read: what that says is heard by nobody.
async fn named_anew(engine: Engine) {
    let world = World::build_with(engine, |config| config.calendar.private_hosts = true).await;
    let (former, other) = (Elsewhere::open(), Elsewhere::open());
    former.says(SAYS_NOTHING_YET, "");
    other.says(200, "BEGIN:VEVENT\nUID:2\nDTSTART:20261124T080000Z\nDURATION:PT15M\nEND:VEVENT");
    let own = format!("/v1/practitioners/{}/external-calendar", world.doctor.id);
    let name = async |calendar: &Elsewhere| {
        let set = world.doctor.client.request(Method::PUT, &own);
        world.doctor.client.send(set, Some(&json!({"url": calendar.url}))).await.expect(200)
    };
    name(&former).await;
    let app = Arc::clone(&world.house.app);
    let reading = actix_web::rt::spawn(async move { external::round(&app).await });
    for _ in 0..200 {
        if former.asked.load(Ordering::SeqCst) > 0 {
            break;
        }
        actix_web::rt::time::sleep(std::time::Duration::from_millis(25)).await;
    }
    assert_eq!(name(&other).await["state"], "new");
    former.says(200, "BEGIN:VEVENT\nUID:1\nDTSTART:20261124T020000Z\nDURATION:PT15M\nEND:VEVENT");
    reading.await.unwrap().unwrap();
    let state = read(&world, &own).await;
    assert_eq!((&state["state"], &state["busy_count"]), (&json!("read"), &json!(1)));
    assert!(nine_is_free(&world).await, "only the former one says otherwise");
}

#[actix_web::test]
async fn another_calendar_is_read_for_itself_sqlite() {
    named_anew(Engine::Sqlite).await;
}

#[actix_web::test]
async fn another_calendar_is_read_for_itself_postgres() {
    named_anew(Engine::Postgres).await;
}

#[actix_web::test]
async fn times_that_a_calendar_elsewhere_takes_are_not_offered_sqlite() {
    elsewhere(Engine::Sqlite).await;
}

#[actix_web::test]
async fn times_that_a_calendar_elsewhere_takes_are_not_offered_postgres() {
    elsewhere(Engine::Postgres).await;
}

on_both! {
    async fn an_address_of_our_own_network_is_refused_without_a_look(world: World) {
        let own = format!("/v1/practitioners/{}/external-calendar", world.doctor.id);
        let put = async |url: &str| -> Answer {
            let request = world.doctor.client.request(Method::PUT, &own);
            world.doctor.client.send(request, Some(&json!({"url": url}))).await
        };
        for wrong in ["http://calendar.example/me.ics", "file:///etc/passwd", "", "https://a:b@calendar.example/"] {
            assert_eq!(put(wrong).await.refused(422), "invalid_body", "{wrong}");
        }
        put("https://127.0.0.1:1/me.ics").await.expect(200);
        external::round(&world.house.app).await.unwrap();
        let mut state = world.doctor.client.get(&own).await.expect(200);
        for _ in 0..200 {
            if state["state"] != "new" {
                break;
            }
            actix_web::rt::time::sleep(std::time::Duration::from_millis(25)).await;
            state = world.doctor.client.get(&own).await.expect(200);
        }
        assert_eq!(state["trouble"], "private_address");
    }
}
