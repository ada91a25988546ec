//! A request that is sent again under its key: one effect, one answer, and only for those who
//! may still have it.

use chrono::TimeDelta;
use serde_json::{Value, json};

use crate::on_both;
use crate::support::visit::encounter_of;
use crate::support::{Engine, Person, World, key};

/// A request with its key, and what was answered.
struct Sent<'a> {
    who: &'a Person,
    path: String,
    body: Value,
    key: String,
    answer: Value,
    status: u16,
}

async fn sent<'a>(who: &'a Person, path: &str, body: Value) -> Sent<'a> {
    let (path, key) = (path.to_owned(), key());
    let answer = who.client.once(&path, &key, &body).await;
    let status = answer.status.as_u16();
    assert!(answer.status.is_success(), "{}", answer.text);
    Sent { who, path, body, key, answer: answer.body, status }
}

/// A visit with its note, as the registrar, the doctor and the patient made it.
async fn story(world: &World) -> Vec<Sent<'_>> {
    let new = json!({
        "name": "Гаврила Новиков", "birth_date": "1980-01-01", "phone": "+70000000009",
        "location": world.village, "organization": world.clinic, "language": "ru"
    });
    let registered = sent(&world.registrar, "/v1/patients", new).await;
    let mut wish = world.wish("2026-11-23T09:20:00+07:00");
    wish["patient"] = json!(world.asha.id);
    let booked = sent(&world.registrar, "/v1/appointments", wish).await;
    let visit = encounter_of(&booked.answer);
    let mine = sent(&world.asha, "/v1/appointments", world.wish("2026-11-23T10:20:00+07:00")).await;
    let cancel = format!("/v1/appointments/{}/cancel", mine.answer["id"].as_str().unwrap());
    let cancelled = sent(&world.asha, &cancel, json!({"reason": "лучше"})).await;
    world.house.advance(TimeDelta::minutes(6));
    let guest = world.enters(&world.asha, &visit).await;
    world.enters(&world.doctor, &visit).await;
    let at = |rest: &str| format!("/v1/encounters/{visit}/{rest}");
    let admitted = sent(&world.doctor, &at("admit"), json!({"participant": guest})).await;
    let note =
        sent(&world.doctor, &at("notes"), json!({"assessment": "ОРВИ", "plan": "чай"})).await;
    let sign = format!("/v1/notes/{}/sign", note.answer["id"].as_str().unwrap());
    let signed = sent(&world.doctor, &sign, json!({})).await;
    let finished = sent(&world.doctor, &at("finish"), json!({})).await;
    vec![registered, booked, mine, cancelled, admitted, note, signed, finished]
}

/// How many rows there are of what a repeated request could double.
fn rows(world: &World) -> Vec<i64> {
    let count = |table: &str| world.house.count(&format!("SELECT count(*) AS n FROM {table}"));
    let tables =
        ["appointments", "occupancies", "patients", "notes", "outbox_messages", "call_events"];
    let mut rows: Vec<i64> = tables.into_iter().map(count).collect();
    rows.push(count("audit_events WHERE outcome = 'done'"));
    rows
}

on_both! {
    async fn a_repeated_request_is_answered_as_before_and_done_once(world: World) {
        let story = story(world).await;
        let before = rows(world);
        for request in &story {
            let again = request.who.client.once(&request.path, &request.key, &request.body).await;
            assert_eq!(again.header("idempotent-replayed"), Some("true"), "{}", request.path);
            assert_eq!(again.expect(request.status), request.answer, "{}", request.path);
        }
        assert_eq!(rows(world), before);
    }
}

on_both! {
    async fn whoever_may_no_longer_do_it_does_not_hear_what_came_of_it(world: World) {
        let story = story(world).await;
        let before = rows(world);
        world.house.execute("UPDATE memberships SET state = 'disabled'").unwrap();
        let mut refused = 0;
        for request in &story {
            let again = request.who.client.once(&request.path, &request.key, &request.body).await;
            if request.who.id == world.asha.id {
                assert_eq!(again.expect(request.status), request.answer, "hers as before");
                continue;
            }
            let now = request.who.client.once(&request.path, &key(), &request.body).await;
            let code = again.refused(now.status.as_u16());
            assert_eq!(code, now.refused(now.status.as_u16()), "{}", request.path);
            assert!(matches!(now.status.as_u16(), 403 | 404 | 422), "{}: {}", request.path, now.text);
            for secret in ["Новиков", "Кузнецова", "ОРВИ", "чай"] {
                assert!(!again.text.contains(secret), "{}", again.text);
            }
            refused += 1;
        }
        assert_eq!(refused, 6);
        assert_eq!(rows(world), before);
        // A right that comes back brings the answer back.
        world.house.execute("UPDATE memberships SET state = 'active'").unwrap();
        for request in &story {
            let again = request.who.client.once(&request.path, &request.key, &request.body).await;
            assert_eq!(again.expect(request.status), request.answer, "{}", request.path);
        }
    }
}
