//! Working hours in full: cycles, places, closures, extra hours, terms of a service, and the
//! search that agrees with booking.

use actix_web::http::Method;
use futures_util::future::join_all;
use serde_json::{Value, json};

use crate::on_both;
use crate::support::world::{made, practitioner};
use crate::support::{Answer, Engine, Person, World, key};

const TUESDAY: &str = "from=2026-11-24T00:00:00%2B07:00&to=2026-11-25T00:00:00%2B07:00";

async fn slots(world: &World, query: &str) -> Value {
    let path = format!("/v1/slots?service={}&{query}", world.service);
    world.asha.client.get(&path).await.expect(200)
}

/// Local starts to the minute.
fn starts(found: &Value) -> Vec<&str> {
    let items = found["items"].as_array().unwrap();
    items.iter().map(|item| item["local_start"].as_str().unwrap().get(..16).unwrap()).collect()
}

fn names<'a>(found: &'a Value, what: &str) -> Vec<&'a str> {
    let items = found["items"].as_array().unwrap();
    items.iter().map(|item| item[what]["name"].as_str().unwrap()).collect()
}

async fn set_rules(world: &World, who: &Person, rules: Value) -> Answer {
    let path = format!("/v1/practitioners/{}/schedule", who.id);
    let read = world.registrar.client.get(&path).await.expect(200);
    let version = read["version"].as_i64().unwrap();
    world.registrar.client.edit(Method::PUT, &path, version, &json!({"rules": rules})).await
}

async fn set_service(world: &World, service: &str, change: Value) {
    let path = format!("/v1/healthcare-services/{service}");
    let version = world.admin.client.get(&path).await.expect(200)["version"].as_i64().unwrap();
    world.admin.client.edit(Method::PATCH, &path, version, &change).await.expect(200);
}

async fn book(who: &Person, wish: &Value) -> Answer {
    who.client.once("/v1/appointments", &key(), wish).await
}

async fn remove(who: &Person, path: &str) -> Answer {
    who.client.send(who.client.request(Method::DELETE, path), None).await
}

/// Another doctor of the same service, Tuesdays from nine to ten.
async fn second_doctor(world: &World) -> Person {
    let (house, admin) = (&world.house, &world.admin.client);
    let services = [world.service.as_str()];
    let second =
        practitioner(house, admin, &world.clinic, "Вторая Врач", "doctor", "vtoraya", &services);
    let second = second.await;
    let rules = json!([{"weekday": "tue", "from": "09:00", "to": "10:00"}]);
    set_rules(world, &second, rules).await.expect(200);
    second
}

on_both! {
    async fn a_rule_can_hold_every_second_week_at_a_place_for_one_service(world: World) {
        let rules = json!([
            {"weekday": "tue", "from": "09:00", "to": "10:00", "every_weeks": 2, "valid_from": "2026-11-23",
                "location": world.village, "service": world.service},
            {"weekday": "tue", "from": "09:00", "to": "10:00", "every_weeks": 2, "valid_from": "2026-11-30",
                "service": world.long_service},
        ]);
        let saved = set_rules(world, &world.doctor, rules.clone()).await.expect(200);
        assert_eq!(saved["rules"], rules);
        let month = "from=2026-11-23T00:00:00Z&to=2026-12-23T00:00:00Z";
        let found = slots(world, month).await;
        assert_eq!(starts(&found), [
            "2026-11-24T09:00", "2026-11-24T09:20", "2026-11-24T09:40",
            "2026-12-08T09:00", "2026-12-08T09:20", "2026-12-08T09:40",
            "2026-12-22T09:00", "2026-12-22T09:20", "2026-12-22T09:40",
        ]);
        assert_eq!(found["items"][0]["location"], json!({"id": world.village, "name": "Кедровка"}));
        assert_eq!(found["items"][0]["service"], json!({"id": world.service, "name": "GP visit"}));
        let long = format!("/v1/slots?service={}&{month}", world.long_service);
        let long = world.asha.client.get(&long).await.expect(200);
        assert_eq!(starts(&long), ["2026-12-01T09:00", "2026-12-15T09:00"]);
        assert!(long["items"][0].get("location").is_none());
        let other_week = book(&world.asha, &world.wish("2026-12-01T09:00:00+07:00")).await;
        assert_eq!(other_week.refused(422), "outside_hours");
        assert_eq!(book(&world.asha, &world.wish("2026-12-08T09:00:00+07:00")).await.status, 201);
    }
}

on_both! {
    async fn a_cycle_without_a_beginning_and_unknown_references_are_named(world: World) {
        let cases = [
            (json!({"every_weeks": 2}), "invalid_body", "/rules/0/valid_from"),
            (json!({"every_weeks": 0}), "invalid_body", "/rules/0/every_weeks"),
            (json!({"every_weeks": 9, "valid_from": "2026-11-23"}), "invalid_body", "/rules/0/every_weeks"),
            (json!({"location": world.clinic}), "unknown_reference", "/rules/0/location"),
            (json!({"service": world.other_service}), "unknown_reference", "/rules/0/service"),
            (json!({"service": world.clinic}), "unknown_reference", "/rules/0/service"),
        ];
        for (more, code, pointer) in cases {
            let mut rule = json!({"weekday": "tue", "from": "09:00", "to": "10:00"});
            rule.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
            let answer = set_rules(world, &world.doctor, json!([rule])).await;
            assert_eq!(answer.refused(422), code, "{rule}");
            assert_eq!(answer.body["errors"][0]["pointer"], pointer);
        }
        let every = |from: &str| json!({"weekday": "tue", "from": "09:00", "to": "10:00", "every_weeks": 2, "valid_from": from});
        let clash = set_rules(world, &world.doctor, json!([every("2026-11-23"), every("2026-12-07")])).await;
        assert_eq!(clash.body["errors"][0]["pointer"], "/rules/1");
    }
}

on_both! {
    async fn a_closed_clinic_offers_extra_hours_only_and_names_the_visits_it_hits(world: World) {
        let extra = format!("/v1/practitioners/{}/extra-hours", world.doctor.id);
        let hours = json!({"from": "2026-11-24T10:00:00+07:00", "to": "2026-11-24T11:00:00+07:00"});
        made(&world.registrar.client, &extra, hours).await;
        let hit = world.booked("2026-11-24T09:00:00+07:00").await;
        world.booked("2026-11-24T10:20:00+07:00").await;
        world.booked("2026-11-25T09:00:00+07:00").await;
        let path = format!("/v1/organizations/{}/closures", world.clinic);
        let holiday = json!({"name": {"en": "Holiday", "ru": "Праздник"}, "from_date": "2026-11-24", "to_date": "2026-11-24"});
        let once = key();
        let added = world.registrar.client.once(&path, &once, &holiday).await.expect(201);
        assert_eq!(added["affected_count"], 1, "the one in extra hours takes place");
        assert_eq!(added["affected"][0]["id"], hit["id"]);
        assert_eq!(added["affected"][0]["patient"], hit["patient"]);
        assert_eq!(world.registrar.client.once(&path, &once, &holiday).await.expect(201), added);
        assert_eq!(starts(&slots(world, TUESDAY).await), ["2026-11-24T10:00", "2026-11-24T10:40"]);
        let closed = book(&world.boris, &world.wish("2026-11-24T11:00:00+07:00")).await;
        assert_eq!(closed.refused(422), "outside_hours");
        assert_eq!(book(&world.boris, &world.wish("2026-11-24T10:40:00+07:00")).await.status, 201);

        let listed = world.asha.client.get(&path).await.expect(200);
        assert_eq!(listed["items"], json!([{
            "id": added["id"], "name": "Holiday", "from_date": "2026-11-24", "to_date": "2026-11-24",
            "from": "00:00", "to": "24:00",
        }]));
        let abroad = made(&world.admin.client, &format!("/v1/organizations/{}/closures", world.other_clinic), holiday).await;
        assert_eq!(abroad["affected_count"], 0, "an administrator of the installation sees no visits");
        let one = format!("{path}/{}", added["id"].as_str().unwrap());
        // What it hits can be read again, as long as it is there, by who may see the visits.
        assert_eq!(world.registrar.client.get(&one).await.expect(200), added);
        // A patient and a doctor read of their own visits there, and of no others.
        for who in [&world.asha, &world.doctor] {
            assert_eq!(who.client.get(&one).await.expect(200)["affected"], added["affected"]);
        }
        assert_eq!(world.boris.client.get(&one).await.expect(200)["affected"], json!([]));
        let cancel = format!("/v1/appointments/{}/cancel", hit["id"].as_str().unwrap());
        world.registrar.client.once(&cancel, &key(), &json!({})).await.expect(200);
        let settled = world.registrar.client.get(&one).await.expect(200);
        assert_eq!((&settled["affected"], &settled["affected_count"]), (&json!([]), &json!(0)));
        let elsewhere = format!("/v1/organizations/{}/closures/{}", world.other_clinic, added["id"].as_str().unwrap());
        assert_eq!(world.registrar.client.get(&elsewhere).await.refused(404), "not_found");
        assert_eq!(remove(&world.doctor, &one).await.refused(403), "forbidden");
        assert_eq!(remove(&world.registrar, &one).await.status, 204);
        assert_eq!(remove(&world.registrar, &one).await.refused(404), "not_found");
        assert_eq!(starts(&slots(world, TUESDAY).await)[..2], ["2026-11-24T09:00", "2026-11-24T09:20"]);
    }
}

on_both! {
    async fn a_closure_can_be_a_part_of_each_day_and_a_wrong_one_is_named(world: World) {
        let path = format!("/v1/organizations/{}/closures", world.clinic);
        let name = json!({"en": "Short days", "ru": "Короткие дни"});
        let short = json!({"name": name, "from_date": "2026-11-24", "to_date": "2026-11-25", "from": "09:30"});
        made(&world.registrar.client, &path, short).await;
        let days = slots(world, "from=2026-11-24T00:00:00%2B07:00&to=2026-11-26T00:00:00%2B07:00").await;
        assert_eq!(starts(&days), ["2026-11-24T09:00", "2026-11-25T09:00"]);
        let cases = [
            (json!({"to_date": "2026-11-23"}), "invalid_body", "/to_date"),
            (json!({"to_date": "2027-01-25"}), "invalid_body", "/to_date"),
            (json!({"from_date": "1900-01-01"}), "invalid_body", "/from_date"),
            (json!({"from": "12:00", "to": "12:00"}), "invalid_body", "/to"),
            (json!({"from_date": "2026-11-01", "to_date": "2026-11-02"}), "in_the_past", "/to_date"),
            (json!({"name": {"en": "Holiday"}}), "invalid_body", "/name"),
        ];
        for (more, code, pointer) in cases {
            let mut body = json!({"name": name, "from_date": "2026-11-24", "to_date": "2026-11-24"});
            body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
            let answer = world.registrar.client.once(&path, &key(), &body).await;
            assert_eq!(answer.refused(422), code, "{body}");
            assert!(answer.body["errors"][0]["pointer"].as_str().unwrap().starts_with(pointer), "{}", answer.text);
        }
    }
}

on_both! {
    async fn extra_hours_are_offered_unless_their_practitioner_is_away(world: World) {
        let path = format!("/v1/practitioners/{}/extra-hours", world.doctor.id);
        let saturday = json!({
            "from": "2026-11-28T10:00:00+07:00", "to": "2026-11-28T11:00:00+07:00",
            "service": world.service, "location": world.village,
        });
        let added = made(&world.doctor.client, &path, saturday).await;
        assert_eq!(added["from"], "2026-11-28T03:00:00Z");
        let query = "from=2026-11-28T00:00:00%2B07:00&to=2026-11-29T00:00:00%2B07:00";
        let found = slots(world, query).await;
        assert_eq!(starts(&found), ["2026-11-28T10:00", "2026-11-28T10:20", "2026-11-28T10:40"]);
        assert_eq!(found["items"][0]["location"]["name"], "Кедровка");
        let long = format!("/v1/slots?service={}&{query}", world.long_service);
        assert_eq!(world.asha.client.get(&long).await.expect(200)["items"], json!([]));
        let long = json!({"service": world.long_service, "practitioner": world.doctor.id, "start": "2026-11-28T10:00:00+07:00"});
        assert_eq!(book(&world.asha, &long).await.refused(422), "outside_hours");
        assert_eq!(book(&world.asha, &world.wish("2026-11-28T10:20:00+07:00")).await.status, 201);
        let away = json!({"from": "2026-11-28T10:00:00+07:00", "to": "2026-11-28T10:20:00+07:00"});
        made(&world.doctor.client, &format!("/v1/practitioners/{}/absences", world.doctor.id), away).await;
        assert_eq!(starts(&slots(world, query).await), ["2026-11-28T10:40"]);

        let listed = world.colleague.client.get(&path).await.expect(200);
        assert_eq!(listed["items"], json!([added]));
        let one = format!("{path}/{}", added["id"].as_str().unwrap());
        assert_eq!(remove(&world.colleague, &one).await.refused(403), "forbidden");
        assert_eq!(remove(&world.doctor, &one).await.status, 204);
        assert_eq!(remove(&world.doctor, &one).await.refused(404), "not_found");
        assert_eq!(slots(world, query).await["items"], json!([]));

        let (from, to) = ("2026-11-28T03:00:00Z", "2026-11-28T04:00:00Z");
        let wrong = [
            (json!({"from": from, "to": from}), "invalid_body", "/to"),
            (json!({"from": from, "to": "2026-11-29T03:01:00Z"}), "invalid_body", "/to"),
            (json!({"from": "2026-11-28T03:00:01Z", "to": to}), "invalid_body", "/from"),
            (json!({"from": "2026-11-22T03:00:00Z", "to": "2026-11-22T04:00:00Z"}), "in_the_past", "/to"),
            (json!({"from": "2026-11-28T03:00:00", "to": to}), "naive_time", "/from"),
            (json!({"from": from, "to": to, "service": world.other_service}), "unknown_reference", "/service"),
            (json!({"from": from, "to": to, "location": world.clinic}), "unknown_reference", "/location"),
        ];
        for (body, code, pointer) in wrong {
            let answer = world.doctor.client.once(&path, &key(), &body).await;
            assert_eq!(answer.refused(422), code, "{body}");
            assert_eq!(answer.body["errors"][0]["pointer"], pointer);
        }
    }
}

on_both! {
    async fn patients_take_what_is_offered_and_staff_any_time_within_working_hours(world: World) {
        set_service(world, &world.service, json!({"booking": {"align_minutes": 15}})).await;
        let found = slots(world, TUESDAY).await;
        assert_eq!(starts(&found)[..3], ["2026-11-24T09:00", "2026-11-24T09:15", "2026-11-24T09:30"]);
        assert_eq!(starts(&found).last(), Some(&"2026-11-24T16:30"), "16:45 would end too late");
        let between = world.wish("2026-11-24T09:20:00+07:00");
        assert_eq!(book(&world.asha, &between).await.refused(422), "off_grid");
        assert_eq!(book(&world.asha, &world.wish("2026-11-24T16:45:00+07:00")).await.refused(422), "outside_hours");
        let mut for_asha = between;
        for_asha["patient"] = json!(world.asha.id);
        assert_eq!(book(&world.registrar, &for_asha).await.status, 201);
        let found = slots(world, TUESDAY).await;
        assert_eq!(starts(&found)[..3], ["2026-11-24T09:00", "2026-11-24T09:45", "2026-11-24T10:00"]);
    }
}

on_both! {
    async fn what_is_kept_clear_before_a_visit_is_not_offered(world: World) {
        world.booked("2026-11-24T10:00:00+07:00").await;
        set_service(world, &world.service, json!({"booking": {"buffer_after_minutes": 10}})).await;
        let found = slots(world, TUESDAY).await;
        let near: Vec<_> = starts(&found).into_iter().filter(|start| *start < "2026-11-24T10:00").collect();
        assert_eq!(near, ["2026-11-24T09:00", "2026-11-24T09:20"], "09:40 would keep the doctor until 10:10");
    }
}

on_both! {
    async fn notice_and_horizon_of_a_service_hold_for_search_and_booking(world: World) {
        set_service(world, &world.service, json!({"booking": {"lead_minutes": 120, "horizon_days": 2}})).await;
        let found = slots(world, "limit=100").await;
        assert_eq!(starts(&found).first(), Some(&"2026-11-23T11:00"), "it is nine now");
        assert_eq!(starts(&found).last(), Some(&"2026-11-25T09:00"));
        for (start, code) in [
            ("2026-11-23T10:40:00+07:00", "too_soon"),
            ("2026-11-25T09:20:00+07:00", "too_far"),
            ("2026-11-23T08:00:00+07:00", "in_the_past"),
        ] {
            let mut wish = world.wish(start);
            assert_eq!(book(&world.asha, &wish).await.refused(422), code, "{start}");
            wish["patient"] = json!(world.asha.id);
            assert_eq!(book(&world.registrar, &wish).await.refused(422), code, "{start}");
        }
        assert_eq!(book(&world.asha, &world.wish("2026-11-25T09:00:00+07:00")).await.status, 201);
    }
}

on_both! {
    async fn a_daily_cap_holds_however_many_book_at_once(world: World) {
        set_service(world, &world.service, json!({"booking": {"daily_cap": 3}})).await;
        let wishes: Vec<Value> = (0..12)
            .map(|number| {
                let start = format!("2026-11-24T{:02}:{:02}:00+07:00", 9 + number / 3, number % 3 * 20);
                let mut wish = world.wish(&start);
                wish["patient"] = json!(world.asha.id);
                wish
            })
            .collect();
        let answers = join_all(wishes.iter().map(|wish| book(&world.registrar, wish))).await;
        let booked = answers.iter().filter(|answer| answer.status == 201).count();
        assert_eq!(booked, 3);
        let full = answers.iter().find(|answer| answer.status != 201).unwrap();
        assert_eq!(full.refused(409), "day_full");
        assert_eq!(full.body["alternatives"][0]["local_start"], "2026-11-25T09:00:00+07:00");
        let found = slots(world, "from=2026-11-24T00:00:00%2B07:00&to=2026-11-26T00:00:00%2B07:00").await;
        assert_eq!(starts(&found).first(), Some(&"2026-11-25T09:00"));
        let code = answers.iter().find(|answer| answer.status == 201).unwrap().body["id"].clone();
        let cancel = format!("/v1/appointments/{}/cancel", code.as_str().unwrap());
        world.registrar.client.post(&cancel, &json!({})).await.expect(200);
        assert!(starts(&slots(world, TUESDAY).await).len() > 10, "a cancelled visit does not count");
        let long = json!({"service": world.long_service, "practitioner": world.doctor.id, "start": "2026-11-24T15:00:00+07:00"});
        assert_eq!(book(&world.boris, &long).await.status, 201, "another service has its own count");
    }
}

on_both! {
    async fn a_service_that_is_not_offered_now_has_no_times(world: World) {
        let booked = world.booked("2026-11-24T09:00:00+07:00").await;
        set_service(world, &world.service, json!({"active": false})).await;
        assert_eq!(slots(world, TUESDAY).await["items"], json!([]));
        let refused = book(&world.asha, &world.wish("2026-11-24T09:20:00+07:00")).await;
        assert_eq!(refused.refused(422), "service_inactive");
        assert_eq!(refused.body["errors"][0]["pointer"], "/service");
        let path = format!("/v1/appointments/{}", booked["id"].as_str().unwrap());
        assert_eq!(world.asha.client.get(&path).await.expect(200)["status"], "booked");
    }
}

on_both! {
    async fn times_are_found_by_specialty_language_mode_place_and_part_of_the_day(world: World) {
        let second = second_doctor(world).await;
        let of = async |query: &str| {
            let path = format!("/v1/slots?specialty=general-practice&limit=100&{TUESDAY}&{query}");
            world.asha.client.get(&path).await.expect(200)
        };
        let all = of("").await;
        let mut services = names(&all, "service");
        services.sort_unstable();
        services.dedup();
        assert_eq!(services, ["Elsewhere", "GP visit", "Long visit"]);
        assert!(of("mode=phone").await["items"].as_array().unwrap().is_empty());
        assert_eq!(of("mode=audio").await, all);
        let none = world.asha.client.get(&format!("/v1/slots?specialty=cardiology&{TUESDAY}")).await;
        assert_eq!(none.expect(200)["items"], json!([]));

        let path = format!("/v1/practitioners/{}", second.id);
        let spoken = json!({"languages": ["kk", "ru", "kk"]});
        let edited = world.admin.client.edit(Method::PATCH, &path, 1, &spoken).await.expect(200);
        assert_eq!(edited["languages"], json!(["kk", "ru"]));
        assert_eq!(edited["version"], 2);
        let stale = world.admin.client.edit(Method::PATCH, &path, 1, &spoken).await;
        assert_eq!(stale.refused(412), "stale_version");
        let wrong = world.admin.client.edit(Method::PATCH, &path, 2, &json!({"languages": ["kk-Latn"]})).await;
        assert_eq!(wrong.refused(422), "invalid_body");
        let kazakh = of("language=kk").await;
        assert_eq!(names(&kazakh, "practitioner"), ["Вторая Врач"; 3]);
        assert_eq!(of("language=ru").await["items"].as_array().unwrap().len(), 3, "the others speak English");

        let rules = json!([{"weekday": "tue", "from": "09:00", "to": "10:00", "location": world.village}]);
        set_rules(world, &second, rules).await.expect(200);
        let there = of(&format!("practitioner_location={}", world.village)).await;
        assert_eq!(names(&there, "practitioner"), ["Вторая Врач"; 3]);
        for (part, from, to) in [("morning", "00:00", "11:59"), ("afternoon", "12:00", "16:59")] {
            let found = slots(world, &format!("{TUESDAY}&part_of_day={part}&limit=100")).await;
            assert!(!starts(&found).is_empty());
            assert!(starts(&found).iter().all(|start| (from..=to).contains(&start.get(11..).unwrap())), "{part}");
        }
        assert_eq!(slots(world, &format!("{TUESDAY}&part_of_day=evening")).await["items"], json!([]));
        let both = format!("/v1/slots?service={}&specialty=general-practice", world.service);
        assert_eq!(world.asha.client.get(&both).await.refused(400), "invalid_query");
    }
}

on_both! {
    async fn times_are_ordered_by_start_by_who_is_known_or_by_who_has_least_to_do(world: World) {
        let second = second_doctor(world).await;
        let seen = json!({"service": world.service, "practitioner": second.id, "start": "2026-11-24T09:40:00+07:00"});
        let seen = book(&world.asha, &seen).await.expect(201);
        let soonest = slots(world, &format!("{TUESDAY}&limit=4")).await;
        // Of equal starts, the one with the lesser id is first.
        let mut by_id = [(&world.doctor.id, "Анна Лебедева"), (&second.id, "Вторая Врач")];
        by_id.sort_unstable();
        let [(_, one), (_, other)] = by_id;
        assert_eq!(names(&soonest, "practitioner"), [one, other, one, other]);
        // Nobody has been seen yet.
        let known = slots(world, &format!("{TUESDAY}&order=same_practitioner&limit=4")).await;
        assert_eq!(known, soonest);
        let sql = format!("UPDATE appointments SET status = 'arrived' WHERE code = '{}'", seen["code"].as_str().unwrap());
        world.house.execute(&sql).unwrap();
        let path = format!("/v1/slots?service={}&{TUESDAY}&order=same_practitioner&limit=3", world.service);
        let first = world.asha.client.get(&path).await;
        let next = first.next_page().unwrap();
        let first = first.expect(200);
        assert_eq!(names(&first, "practitioner"), ["Вторая Врач", "Вторая Врач", "Анна Лебедева"]);
        assert_eq!(starts(&first), ["2026-11-24T09:00", "2026-11-24T09:20", "2026-11-24T09:00"]);
        let rest = world.asha.client.get(&next).await.expect(200);
        assert_eq!(starts(&rest)[0], "2026-11-24T09:20");
        let for_asha = format!("{path}&patient={}", world.asha.id);
        assert_eq!(world.registrar.client.get(&for_asha).await.expect(200), first);
        assert_eq!(world.stranger.client.get(&for_asha).await.refused(422), "unknown_reference");
        let boris = world.boris.client.get(&path).await.expect(200);
        assert_eq!(names(&boris, "practitioner")[0], one);

        let fair = slots(world, &format!("{TUESDAY}&order=fair&limit=2")).await;
        assert_eq!(names(&fair, "practitioner"), ["Анна Лебедева", "Вторая Врач"], "the second has a visit");
        for start in ["13:00", "13:20"] {
            book(&world.boris, &world.wish(&format!("2026-11-24T{start}:00+07:00"))).await.expect(201);
        }
        let fair = slots(world, &format!("{TUESDAY}&order=fair&limit=2")).await;
        assert_eq!(names(&fair, "practitioner"), ["Вторая Врач", "Анна Лебедева"]);
    }
}

on_both! {
    async fn the_first_free_time_is_one_answer(world: World) {
        let rules = json!([{"weekday": "tue", "from": "09:00", "to": "09:20", "valid_from": "2026-12-15"}]);
        set_rules(world, &world.doctor, rules).await.expect(200);
        let path = format!("/v1/slots?service={}&first=true", world.service);
        let answer = world.asha.client.get(&path).await;
        assert!(answer.header("link").is_none());
        assert_eq!(starts(&answer.expect(200)), ["2026-12-15T09:00"]);
        assert_eq!(slots(world, "").await["items"], json!([]), "not within seven days");
    }
}

on_both! {
    async fn a_doctor_in_kaliningrad_sees_a_patient_in_kamchatka_at_one_moment(world: World) {
        let doctor = json!({
            "name": "Янина Балтийская", "kind": "doctor", "organization": world.clinic,
            "time_zone": "Europe/Kaliningrad", "services": [world.service],
        });
        let doctor = made(&world.admin.client, "/v1/practitioners", doctor).await;
        assert_eq!(doctor["languages"], json!(["en"]), "the language of texts to them");
        let path = format!("/v1/practitioners/{}/schedule", doctor["id"].as_str().unwrap());
        let rules = json!({"rules": [{"weekday": "mon", "from": "09:00", "to": "09:20"}]});
        world.registrar.client.edit(Method::PUT, &path, 1, &rules).await.expect(200);
        let place = json!({"name": "Усть-Хайрюзово", "kind": "village", "organization": world.clinic,
            "time_zone": "Asia/Kamchatka", "link_class": "2g"});
        let place = made(&world.admin.client, "/v1/locations", place).await;
        let patient = json!({"name": "Олег Восточный", "birth_date": "1970-01-01", "language": "ru",
            "location": place["id"], "organization": world.clinic});
        let patient = made(&world.registrar.client, "/v1/patients", patient).await;
        let (doctor, patient) = (doctor["id"].as_str().unwrap(), patient["id"].as_str().unwrap());
        let query = format!(
            "/v1/slots?service={}&practitioner={doctor}&patient={patient}&from=2026-11-30T00:00:00Z", world.service
        );
        let found = world.registrar.client.get(&query).await.expect(200);
        let slot = &found["items"][0];
        assert_eq!(slot["start"], "2026-11-30T07:00:00Z");
        assert_eq!(slot["local_start"], "2026-11-30T19:00:00+12:00");
        assert_eq!(slot["time_zone"], "Asia/Kamchatka");
        let wish = json!({"service": world.service, "practitioner": doctor, "patient": patient, "start": slot["start"]});
        let booked = book(&world.registrar, &wish).await.expect(201);
        assert_eq!(booked["local_start"], "2026-11-30T19:00:00+12:00");
        assert_eq!(world.registrar.client.get(&query).await.expect(200)["items"], json!([]));
    }
}
