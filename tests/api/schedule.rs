//! Working hours, absences and free times as staff and patients meet them.

use actix_web::http::Method;
use chrono::{DateTime, SecondsFormat, TimeDelta, Utc};
use serde_json::{Value, json};

use crate::on_both;
use crate::support::world::made;
use crate::support::{Answer, Engine, Person, World, key};

const TUESDAY: &str = "from=2026-11-24T00:00:00%2B07:00&to=2026-11-25T00:00:00%2B07:00";
const TUESDAY_9: &str = "2026-11-24T09:00:00+07:00";

fn schedule(who: &Person) -> String {
    format!("/v1/practitioners/{}/schedule", who.id)
}

fn absences(who: &Person) -> String {
    format!("/v1/practitioners/{}/absences", who.id)
}

async fn slots(world: &World, query: &str) -> Answer {
    world.asha.client.get(&format!("/v1/slots?service={}&{query}", world.service)).await
}

fn texts(items: &Value, field: &str) -> Vec<String> {
    let items = items["items"].as_array().unwrap();
    items.iter().map(|item| item[field].as_str().unwrap().to_owned()).collect()
}

on_both! {
    async fn working_hours_are_replaced_as_a_whole_by_whoever_read_them_last(world: World) {
        let path = schedule(&world.doctor);
        let read = world.registrar.client.get(&path).await;
        let etag = read.header("etag").unwrap().to_owned();
        let before = read.expect(200);
        assert_eq!(etag, format!("\"{}\"", before["version"]));
        assert_eq!(before["time_zone"], "Asia/Krasnoyarsk");
        assert_eq!(before["practitioner"]["id"], json!(world.doctor.id));
        assert_eq!(before["rules"].as_array().unwrap().len(), 5);
        assert_eq!(before["rules"][0], json!({"weekday": "mon", "from": "09:00", "to": "17:00"}));

        let booked = world.booked(TUESDAY_9).await;
        let night = json!({"rules": [
            {"weekday": "wed", "from": "00:00", "to": "01:00"},
            {"weekday": "tue", "from": "23:00", "to": "24:00", "valid_to": "2026-11-24"},
        ]});
        let version = before["version"].as_i64().unwrap();
        let blind = world.registrar.client.request(Method::PUT, &path);
        let blind = world.registrar.client.send(blind, Some(&night)).await;
        assert_eq!(blind.refused(428), "precondition_required");
        let saved = world.registrar.client.edit(Method::PUT, &path, version, &night).await.expect(200);
        assert_eq!(saved["version"], version + 1);
        assert_eq!(saved["rules"][0], night["rules"][1], "listed from Monday to Sunday");
        let stale = world.doctor.client.edit(Method::PUT, &path, version, &night).await;
        assert_eq!(stale.refused(412), "stale_version");

        let free = slots(world, "from=2026-11-24T00:00:00%2B07:00&to=2026-12-03T00:00:00%2B07:00").await.expect(200);
        assert_eq!(texts(&free, "local_start"), [
            "2026-11-24T23:00:00+07:00", "2026-11-24T23:20:00+07:00", "2026-11-24T23:40:00+07:00",
            "2026-11-25T00:00:00+07:00", "2026-11-25T00:20:00+07:00", "2026-11-25T00:40:00+07:00",
            "2026-12-02T00:00:00+07:00", "2026-12-02T00:20:00+07:00", "2026-12-02T00:40:00+07:00",
        ]);
        let mut over_midnight = world.wish("2026-11-24T23:50:00+07:00");
        let refused = world.asha.client.once("/v1/appointments", &key(), &over_midnight).await;
        assert_eq!(refused.refused(422), "off_grid", "a patient takes what is offered");
        over_midnight["patient"] = json!(world.asha.id);
        world.registrar.client.once("/v1/appointments", &key(), &over_midnight).await.expect(201);
        let kept = format!("/v1/appointments/{}", booked["id"].as_str().unwrap());
        assert_eq!(world.asha.client.get(&kept).await.expect(200)["status"], "booked");
    }
}

on_both! {
    async fn a_wrong_rule_is_named_and_changes_nothing(world: World) {
        let path = schedule(&world.doctor);
        let before = world.doctor.client.get(&path).await.expect(200);
        let version = before["version"].as_i64().unwrap();
        let good = json!({"weekday": "mon", "from": "09:00", "to": "12:00"});
        let cases = [
            (json!({"weekday": "mon", "from": "11:00", "to": "13:00"}), "/rules/1"),
            (json!({"weekday": "tue", "from": "13:00", "to": "13:00"}), "/rules/1/to"),
            (json!({"weekday": "tue", "from": "09:00", "to": "24:01"}), "/rules/1/to"),
            (json!({"weekday": "tue", "from": "9:00", "to": "12:00"}), "/rules/1/from"),
            (json!({"weekday": "tuesday", "from": "09:00", "to": "12:00"}), "/rules/1/weekday"),
            (json!({"weekday": "tue", "from": "09:00", "to": "12:00", "valid_from": "2026-13-01"}), "/rules/1/valid_from"),
            (json!({"weekday": "tue", "from": "09:00", "to": "12:00", "valid_from": "2026-12-02", "valid_to": "2026-12-01"}), "/rules/1/valid_to"),
            (json!({"weekday": "tue", "from": "09:00", "to": "12:00", "room": 4}), "/rules/1/room"),
        ];
        for (rule, pointer) in cases {
            let body = json!({"rules": [good, rule]});
            let answer = world.doctor.client.edit(Method::PUT, &path, version, &body).await;
            assert_eq!(answer.refused(422), "invalid_body", "{rule}");
            assert_eq!(answer.body["errors"][0]["pointer"], pointer, "{}", answer.text);
        }
        assert_eq!(world.doctor.client.get(&path).await.expect(200), before);
    }
}

on_both! {
    async fn a_schedule_is_seen_by_its_clinic_and_changed_by_its_doctor_and_registrar(world: World) {
        let (path, none) = (schedule(&world.doctor), json!({"rules": []}));
        world.colleague.client.get(&path).await.expect(200);
        let forbidden = world.colleague.client.edit(Method::PUT, &path, 2, &none).await;
        assert_eq!(forbidden.refused(403), "forbidden");
        let nowhere = format!("/v1/practitioners/{}/schedule", world.clinic);
        for outsider in [&world.stranger, &world.asha] {
            let hidden = outsider.client.get(&path).await;
            let missing = outsider.client.get(&nowhere).await;
            assert_eq!(hidden.refused(404), "not_found");
            assert_eq!(hidden.body["detail"], missing.body["detail"]);
            assert_eq!(outsider.client.edit(Method::PUT, &path, 2, &none).await.refused(404), "not_found");
            assert_eq!(outsider.client.get(&absences(&world.doctor)).await.refused(404), "not_found");
        }
        assert_eq!(world.house.client().get(&path).await.refused(401), "unauthorized");
    }
}

on_both! {
    async fn an_absence_names_the_visits_it_hits_and_keeps_its_reason_to_itself(world: World) {
        let hit = world.booked(TUESDAY_9).await;
        world.booked("2026-11-25T09:00:00+07:00").await;
        let path = absences(&world.doctor);
        let day_off = json!({"from": "2026-11-24T09:10:00+07:00", "to": "2026-11-25T00:00:00+07:00", "reason": " операция "});
        let once = key();
        let added = world.registrar.client.once(&path, &once, &day_off).await.expect(201);
        assert_eq!(added["affected_count"], 1);
        assert_eq!(added["affected"], json!([{
            "id": hit["id"], "code": hit["code"], "start": hit["start"],
            "local_start": TUESDAY_9, "time_zone": "Asia/Krasnoyarsk", "patient": hit["patient"],
        }]));
        assert_eq!(world.registrar.client.once(&path, &once, &day_off).await.expect(201), added);
        assert_eq!(slots(world, TUESDAY).await.expect(200)["items"], json!([]));

        let listed = world.doctor.client.get(&path).await.expect(200);
        assert_eq!(listed["items"].as_array().unwrap().len(), 1);
        assert_eq!(listed["items"][0]["reason"], "операция");
        let listed = world.colleague.client.get(&path).await.expect(200);
        assert!(listed["items"][0].get("reason").is_none(), "a colleague need not know why");
        let stored = "SELECT count(*) AS n FROM absences WHERE reason_sealed IS NOT NULL";
        assert_eq!(world.house.count(stored), 1);

        let one = format!("{path}/{}", added["id"].as_str().unwrap());
        let elsewhere = format!("{}/{}", absences(&world.colleague), added["id"].as_str().unwrap());
        let remove = async |who: &Person, path: &str| {
            who.client.send(who.client.request(Method::DELETE, path), None).await
        };
        assert_eq!(remove(&world.colleague, &one).await.refused(403), "forbidden");
        assert_eq!(remove(&world.registrar, &elsewhere).await.refused(404), "not_found");
        assert_eq!(remove(&world.registrar, &one).await.status, 204);
        assert_eq!(remove(&world.registrar, &one).await.refused(404), "not_found");
        assert_eq!(texts(&slots(world, TUESDAY).await.expect(200), "start").len(), 23);
    }
}

on_both! {
    async fn absences_are_paged_with_those_to_come_first_and_wrong_ones_refused(world: World) {
        let path = absences(&world.doctor);
        for day in [3, 1, 2] {
            let body = json!({"from": format!("2026-12-0{day}T00:00:00Z"), "to": format!("2026-12-0{day}T12:00:00Z")});
            made(&world.doctor.client, &path, body).await;
        }
        let first = world.doctor.client.get(&format!("{path}?limit=2")).await;
        let next = first.next_page().unwrap();
        assert_eq!(texts(&first.expect(200), "from"), ["2026-12-03T00:00:00Z", "2026-12-02T00:00:00Z"]);
        let last = world.doctor.client.get(&next).await;
        assert!(last.header("link").is_none());
        assert_eq!(texts(&last.expect(200), "from"), ["2026-12-01T00:00:00Z"]);

        let wrong = [
            (json!({"from": "2026-12-05T00:00:00Z", "to": "2026-12-05T00:00:00Z"}), "invalid_body", "/to"),
            (json!({"from": "2026-11-01T00:00:00Z", "to": "2026-11-02T00:00:00Z"}), "in_the_past", "/to"),
            (json!({"from": "2026-12-05T00:00:00", "to": "2026-12-06T00:00:00Z"}), "naive_time", "/from"),
            (json!({"from": "2026-12-05T00:00:00Z", "to": "2026-12-06T00:00:00Z", "reason": "ж".repeat(501)}), "invalid_body", "/reason"),
        ];
        for (body, code, pointer) in wrong {
            let answer = world.doctor.client.once(&path, &key(), &body).await;
            assert_eq!(answer.refused(422), code, "{body}");
            assert_eq!(answer.body["errors"][0]["pointer"], pointer);
        }
        assert_eq!(world.house.count("SELECT count(*) AS n FROM absences"), 3);
    }
}

on_both! {
    async fn free_times_are_paged_without_loss_and_listing_them_writes_nothing(world: World) {
        let rows = "SELECT count(*) AS n FROM audit_events";
        let before = world.house.count(rows);
        let seen = all_pages(world, &format!("{TUESDAY}&limit=7")).await;
        assert_eq!(seen.len(), 24);
        assert!(seen.is_sorted_by(|one, next| one < next));
        assert_eq!(world.house.count(rows), before);
    }
}

/// Every page of a list, each beginning where the one before ended.
async fn all_pages(world: &World, query: &str) -> Vec<String> {
    let path = format!("/v1/slots?service={}&{query}", world.service);
    let all = world.asha.client.all_pages(&path).await;
    all.iter().map(|slot| slot["start"].as_str().unwrap().to_owned()).collect()
}

on_both! {
    // More is taken before the first free time than the search looks at in one go.
    async fn pages_of_a_full_diary_hold_every_free_time_once_whatever_their_length(world: World) {
        let nine = |day: i64| "2026-11-24T02:00:00Z".parse::<DateTime<Utc>>().unwrap() + TimeDelta::days(day);
        let start = |day, slot: i64| (nine(day) + TimeDelta::minutes(20 * slot)).to_rfc3339_opts(SecondsFormat::Secs, true);
        // Tuesday to Thursday whole, then some of Friday, and of Monday all but the last.
        let is_taken = |day, slot| day < 3 || (day == 3 && slot % 3 == 1) || (day == 6 && slot < 23);
        let mut free = Vec::new();
        for day in [0, 1, 2, 3, 6, 7] {
            for slot in 0..24 {
                if !is_taken(day, slot) {
                    free.push(start(day, slot));
                    continue;
                }
                let patient = [&world.asha.id, &world.boris.id][usize::from(slot % 2 == 1)];
                let body = json!({
                    "service": world.service, "practitioner": world.doctor.id, "patient": patient,
                    "start": start(day, slot),
                });
                made(&world.registrar.client, "/v1/appointments", body).await;
            }
        }
        let range = "from=2026-11-23T17:00:00Z&to=2026-12-01T17:00:00Z";
        for limit in [1, 7, 100] {
            assert_eq!(all_pages(world, &format!("{range}&limit={limit}")).await, free, "{limit} on a page");
        }
        for order in ["fair", "same_practitioner"] {
            assert_eq!(all_pages(world, &format!("{range}&limit=5&order={order}")).await, free, "{order}");
        }
        let first = slots(world, &format!("{range}&first=true")).await.expect(200);
        assert_eq!(texts(&first, "start"), [start(3, 0)]);
        let evening = slots(world, &format!("{range}&part_of_day=evening")).await.expect(200);
        assert_eq!(evening["items"], json!([]));
        let morning: Vec<String> = free.iter().filter(|at| at.get(11..13).unwrap() < "05").cloned().collect();
        assert_eq!(all_pages(world, &format!("{range}&limit=4&part_of_day=morning")).await, morning);
    }
}

on_both! {
    async fn free_times_begin_after_now_and_are_shown_in_the_clock_of_the_place(world: World) {
        let coming = slots(world, "limit=1").await.expect(200);
        assert_eq!(texts(&coming, "local_start"), ["2026-11-23T09:20:00+07:00"], "09:00 is now");
        let past = slots(world, "from=2026-11-02T00:00:00Z&to=2026-11-06T00:00:00Z").await.expect(200);
        assert_eq!(past["items"], json!([]));

        let far = json!({"name": "Усть-Хайрюзово", "kind": "village", "time_zone": "Asia/Kamchatka", "link_class": "2g"});
        let far = made(&world.admin.client, "/v1/locations", far).await;
        let there = slots(world, &format!("{TUESDAY}&limit=1&location={}", far["id"].as_str().unwrap())).await.expect(200);
        assert_eq!(there["items"][0]["local_start"], "2026-11-24T14:00:00+12:00");
        assert_eq!(there["items"][0]["time_zone"], "Asia/Kamchatka");
        assert_eq!(there["items"][0]["start"], "2026-11-24T02:00:00Z");
    }
}

on_both! {
    async fn a_wrong_question_for_free_times_is_named(world: World) {
        let other = format!("practitioner={}", world.stranger.id);
        let place = format!("location={}", world.clinic);
        let cases = [
            ("from=2026-11-24T00:00:00Z&to=2026-12-25T00:00:01Z", 422, "range_too_wide"),
            ("from=2026-11-24T00:00:00Z&to=2026-11-24T00:00:00Z", 422, "range_too_wide"),
            ("from=2026-11-24T00:00:00", 422, "naive_time"),
            (other.as_str(), 422, "unknown_reference"),
            (place.as_str(), 422, "unknown_reference"),
            ("limit=0", 400, "invalid_query"),
            ("cursor=nonsense", 400, "invalid_cursor"),
            ("doctor=any", 400, "invalid_query"),
        ];
        for (query, status, code) in cases {
            assert_eq!(slots(world, query).await.refused(status), code, "{query}");
        }
        let widest = slots(world, "from=2026-11-24T00:00:00Z&to=2026-12-25T00:00:00Z&limit=100").await;
        assert_eq!(widest.expect(200)["items"].as_array().unwrap().len(), 100);
        let unknown = format!("/v1/slots?service={}", world.clinic);
        assert_eq!(world.asha.client.get(&unknown).await.refused(422), "unknown_reference");
        assert_eq!(world.asha.client.get("/v1/slots").await.refused(400), "invalid_query");
        assert_eq!(world.house.client().get("/v1/slots?service=x").await.status, 400);
        let nobody = format!("/v1/slots?service={}", world.service);
        assert_eq!(world.house.client().get(&nobody).await.refused(401), "unauthorized");
    }
}
