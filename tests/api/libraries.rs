//! Two libraries of other languages read our calendars, and understand what we meant.

use std::io::Write;
use std::process::{Command, Stdio};

use actix_web::http::Method;
use feldsher::calendar::event::{self, Event, Standing};
use serde_json::{Value, json};

use crate::on_both;
use crate::support::world::made;
use crate::support::{Client, Engine, World, key};

/// As Debian has them: `python3-icalendar` and `ruby-icalendar`.
const READERS: [(&str, &str, &str); 2] = [
    ("python3-icalendar", "/usr/bin/python3", "tests/api/calendars/read.py"),
    ("ruby-icalendar", "/usr/bin/ruby", "tests/api/calendars/read.rb"),
];

/// What each of them read.
fn read(text: &str) -> [Value; 2] {
    READERS.map(|(package, program, script)| {
        let begun = Command::new(program)
            .arg(script)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn();
        let mut reader = begun.unwrap_or_else(|error| {
            panic!("{program} with {package} is needed, tests/run installs it: {error}")
        });
        reader.stdin.take().unwrap().write_all(text.as_bytes()).unwrap();
        let done = reader.wait_with_output().unwrap();
        let said = String::from_utf8_lossy(&done.stderr);
        assert!(done.status.success(), "{package} (tests/run installs it): {said}\n{text}");
        serde_json::from_slice(&done.stdout).unwrap()
    })
}

/// Both read exactly this.
fn understood(text: &str, method: Option<&str>, events: &Value) {
    for (read, (package, ..)) in read(text).into_iter().zip(READERS) {
        assert_eq!(read, json!({"method": method, "events": events}), "{package}\n{text}");
    }
}

async fn file(client: &Client, path: &str) -> String {
    let answer = client.get(path).await;
    assert_eq!(answer.status, 200, "{path}: {}", answer.text);
    answer.text
}

on_both! {
    async fn two_libraries_read_a_visit_that_is_booked_moved_and_called_off(world: World) {
        let booked = world.booked("2026-11-24T09:00:00+07:00").await;
        let id = booked["id"].as_str().unwrap();
        let code = booked["code"].as_str().unwrap();
        let path = format!("/v1/appointments/{id}/calendar.ics");
        let mut expected = json!({
            "uid": format!("{id}@feldsher"), "sequence": 0, "status": "CONFIRMED",
            "start": "2026-11-24T02:00:00Z", "end": "2026-11-24T02:20:00Z",
            "summary": "Приём по видеосвязи", "description": format!("Код {code}."),
        });
        let asha = world.asha.client.in_language("ru");
        understood(&file(&asha, &path).await, Some("PUBLISH"), &json!([expected]));

        let elsewhere = json!({"start": "2026-11-25T23:40:00+14:00"});
        let moving = format!("/v1/appointments/{id}/reschedule");
        let moved = world.registrar.client.once(&moving, &key(), &elsewhere).await.expect(200);
        expected["sequence"] = json!(moved["version"].as_i64().unwrap() - 1);
        expected["start"] = json!("2026-11-25T09:40:00Z");
        expected["end"] = json!("2026-11-25T10:00:00Z");
        understood(&file(&asha, &path).await, Some("PUBLISH"), &json!([expected]));

        let off = world.asha.client.post(&format!("/v1/appointments/{id}/cancel"), &json!({})).await;
        let off = off.expect(200);
        expected["sequence"] = json!(off["version"].as_i64().unwrap() - 1);
        expected["status"] = json!("CANCELLED");
        understood(&file(&asha, &path).await, Some("CANCEL"), &json!([expected]));
        assert!(off["version"].as_i64() > moved["version"].as_i64(), "the count only grows");
    }
}

on_both! {
    async fn two_libraries_read_a_feed_in_which_nothing_is_taken(world: World) {
        let own = format!("/v1/practitioners/{}/calendar-feed", world.doctor.id);
        let feed = world.doctor.client.post(&own, &json!({})).await.expect(201);
        let text = file(&world.house.client(), feed["path"].as_str().unwrap()).await;
        understood(&text, None, &json!([]));
    }
}

on_both! {
    async fn two_libraries_read_a_feed(world: World) {
        let booked = world.booked("2026-11-24T09:00:00+07:00").await;
        let mut wish = world.wish("2026-11-24T10:00:00+07:00");
        wish["hold"] = json!(true);
        let held = world.boris.client.once("/v1/appointments", &key(), &wish).await.expect(201);
        let days = json!({"from": "2026-11-26T00:00:00+07:00", "to": "2026-11-28T00:00:00+07:00"});
        let absences = format!("/v1/practitioners/{}/absences", world.doctor.id);
        let away = made(&world.doctor.client, &absences, days).await;
        let own = format!("/v1/practitioners/{}/calendar-feed", world.doctor.id);
        let feed = world.doctor.client.post(&own, &json!({})).await.expect(201);
        let text = file(&world.house.client().in_language("ru"), feed["path"].as_str().unwrap()).await;
        let taken = |what: &Value, start: &str, end: &str, status: &str| json!({
            "uid": format!("{}@feldsher", what["id"].as_str().unwrap()), "sequence": 0,
            "start": start, "end": end, "status": status, "summary": "Занято", "description": null,
        });
        understood(&text, None, &json!([
            taken(&booked, "2026-11-24T02:00:00Z", "2026-11-24T02:20:00Z", "CONFIRMED"),
            taken(&held, "2026-11-24T03:00:00Z", "2026-11-24T03:20:00Z", "TENTATIVE"),
            taken(&away, "2026-11-25T17:00:00Z", "2026-11-27T17:00:00Z", "CONFIRMED"),
        ]));
        let gone = world.doctor.client.request(Method::DELETE, &own);
        assert_eq!(world.doctor.client.send(gone, None).await.status, 204);
    }
}

/// Long lines are folded between octets that may belong to one letter, and some letters are
/// escaped.
#[test]
fn two_libraries_put_folded_lines_together_again() {
    for pad in 0..4 {
        let long = "Приём; врач, как обычно: \\ спросит «что болит?»\nи скажет 再见 😀 ".repeat(4);
        let long = format!("{}{}", "x".repeat(pad), long.trim_end());
        let written = Event {
            uid: format!("{pad}@feldsher"),
            sequence: 7,
            changed_at: "2026-11-20T10:00:00Z".parse().unwrap(),
            start: "2026-12-31T20:30:00Z".parse().unwrap(),
            end: "2027-01-01T04:00:00Z".parse().unwrap(),
            standing: Standing::Tentative,
            summary: long.replace('\n', " "),
            description: Some(long.clone()),
        };
        let text = event::file(&[written], true);
        assert!(text.split("\r\n").all(|line| line.len() <= 75), "{text}");
        let expected = json!([{
            "uid": format!("{pad}@feldsher"), "sequence": 7, "status": "TENTATIVE",
            "start": "2026-12-31T20:30:00Z", "end": "2027-01-01T04:00:00Z",
            "summary": long.replace('\n', " "), "description": long,
        }]);
        understood(&text, Some("PUBLISH"), &expected);
    }
}
