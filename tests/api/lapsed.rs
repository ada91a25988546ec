//! Holds that nobody confirmed and requests that nobody answered: whoever reads them sees that they are
//! over, and who asked hears it.

use chrono::TimeDelta;
use feldsher::appointment::expiry;
use serde_json::{Value, json};

use crate::on_both;
use crate::support::{Engine, Person, World, key};

const MONDAY_940: &str = "2026-11-23T09:40:00+07:00";
const TUESDAY_9: &str = "2026-11-24T09:00:00+07:00";

fn path(visit: &Value) -> String {
    format!("/v1/appointments/{}", visit["id"].as_str().unwrap())
}

async fn books(world: &World, who: &Person, start: &str, how: &str) -> Value {
    let mut wish = world.wish(start);
    wish[how] = json!(true);
    who.client.once("/v1/appointments", &key(), &wish).await.expect(201)
}

/// What the clinic did not answer until its end, an hour from now, is over then.
async fn an_hour_later<const N: usize>(world: &World, people: [&Person; N]) -> [Person; N] {
    let mut people = people.map(Person::clone);
    for _ in 0..5 {
        world.house.advance(TimeDelta::minutes(13));
        for person in &mut people {
            *person = world.resigned(person).await;
        }
    }
    people
}

fn texts(world: &World, phone: &str, words: &str) -> usize {
    let sent = world.house.app.inbox.newest_first();
    sent.iter().filter(|sms| sms.to == phone && sms.text.contains(words)).count()
}

on_both! {
    async fn what_has_run_out_is_called_off_for_every_reader_and_ends_by_itself(world: World) {
        let held = books(world, &world.asha, TUESDAY_9, "hold").await;
        let asked = books(world, &world.boris, MONDAY_940, "request").await;
        assert_eq!(expiry::tick(&world.house.app).await.unwrap(), 0, "nothing has run out");
        let [asha, boris, office] =
            an_hour_later(world, [&world.asha, &world.boris, &world.registrar]).await;

        for (who, visit) in [(&asha, &held), (&boris, &asked), (&office, &held), (&office, &asked)] {
            let shown = who.client.get(&path(visit)).await.expect(200);
            assert_eq!((&shown["status"], &shown["cancellation_code"]), (&json!("cancelled"), &json!("expired")));
            assert_eq!(shown["encounter"]["status"], "cancelled");
            assert!(shown.get("hold_expires_at").is_none(), "{shown}");
            let listed = who.client.get("/v1/appointments?status=cancelled").await.expect(200);
            let listed = listed["items"].as_array().unwrap().clone();
            assert!(listed.iter().any(|one| one["id"] == visit["id"] && one["status"] == "cancelled"));
            for status in ["pending", "proposed"] {
                let path = format!("/v1/appointments?status={status}");
                let listed = who.client.get(&path).await.expect(200);
                assert_eq!(listed["items"], json!([]), "{status}");
            }
        }
        let file = asha.client.get(&format!("{}/calendar.ics", path(&held))).await;
        assert!(file.text.contains("STATUS:CANCELLED"), "{}", file.text);
        let cancel = format!("{}/cancel", path(&held));
        let cancelled = asha.client.once(&cancel, &key(), &json!({})).await.expect(200);
        assert_eq!(cancelled["cancellation_code"], "expired", "what is over is not called off");

        // The house looks as well: one of the two ends it, and both are behind it then.
        expiry::tick(&world.house.app).await.unwrap();
        assert_eq!(expiry::tick(&world.house.app).await.unwrap(), 0);
        let ended = "SELECT count(*) AS n FROM appointments WHERE status = 'cancelled'
            AND cancellation_code = 'expired' AND hold_expires_at IS NULL";
        assert_eq!(world.house.count(ended), 2);
        let code = asked["code"].as_str().unwrap();
        let sms = world.house.sms_with("+70000000002", "не ответила").await;
        assert!(sms.contains(code), "{sms}");
        assert_eq!(texts(world, "+70000000001", "не ответила"), 0, "a hold was nobody's to answer");
    }
}

on_both! {
    async fn a_request_that_is_moved_is_answered_before_it_is_over(world: World) {
        let asked = books(world, &world.boris, "2026-11-26T09:00:00+07:00", "request").await;
        let office = &world.registrar.client;
        let elsewhere = json!({"start": MONDAY_940});
        let moved = office.once(&format!("{}/reschedule", path(&asked)), &key(), &elsewhere).await;
        let moved = moved.expect(200);
        assert_eq!((&moved["status"], &moved["hold_expires_at"]), (&json!("proposed"), &moved["end"]));
        let listed = format!("/v1/appointments?status=proposed&organization={}", world.clinic);
        let waiting = office.get(&listed).await.expect(200);
        assert_eq!(waiting["items"][0]["hold_expires_at"], moved["end"]);
        let other = format!("/v1/appointments?status=proposed&organization={}", world.other_clinic);
        assert_eq!(office.get(&other).await.expect(200)["items"], json!([]));
        let [office] = an_hour_later(world, [&world.registrar]).await;
        let accepted = office.client.post(&format!("{}/accept", path(&asked)), &json!({})).await;
        assert_eq!(accepted.refused(410), "hold_over");
        assert_eq!(office.client.get(&listed).await.expect(200)["items"], json!([]));
        expiry::tick(&world.house.app).await.unwrap();
        let code = asked["code"].as_str().unwrap();
        let sms = world.house.sms_with("+70000000002", "не ответила").await;
        assert!(sms.contains(code), "{sms}");
        // Once it is written down the answer is the same.
        for late in ["accept", "decline"] {
            let path = format!("{}/{late}", path(&asked));
            assert_eq!(office.client.post(&path, &json!({})).await.refused(410), "hold_over", "{late}");
        }
    }
}

on_both! {
    async fn who_asked_hears_it_also_when_somebody_else_takes_the_time(world: World) {
        let later = "2026-11-23T10:20:00+07:00";
        let asked = books(world, &world.boris, later, "request").await;
        // As if the clinic had been asked two days ago.
        let over = match world.house.engine {
            Engine::Sqlite => "hold_expires_at - 7200000000",
            Engine::Postgres => "hold_expires_at - interval '2 hours'",
        };
        world.house.execute(&format!("UPDATE appointments SET hold_expires_at = {over}
            WHERE hold_expires_at IS NOT NULL")).unwrap();
        let wish = world.wish(later);
        world.asha.client.once("/v1/appointments", &key(), &wish).await.expect(201);
        let sms = world.house.sms_with("+70000000002", "не ответила").await;
        assert!(sms.contains(asked["code"].as_str().unwrap()), "{sms}");
        assert_eq!(expiry::tick(&world.house.app).await.unwrap(), 0);
        assert_eq!(texts(world, "+70000000002", "не ответила"), 1);
    }
}
