//! Visits that need a room, a device, a feldsher or an interpreter: all of them or none.

use actix_web::http::Method;
use feldsher::resource::stranded;
use futures_util::future::join_all;
use serde_json::{Value, json};

use crate::on_both;
use crate::support::world::{ZONE, made, member, practitioner};
use crate::support::{Answer, Client, Engine, World, key};

const TUESDAY_9: &str = "2026-11-24T09:00:00+07:00";
const TUESDAY_920: &str = "2026-11-24T09:20:00+07:00";
const TUESDAY_940: &str = "2026-11-24T09:40:00+07:00";

async fn needs(world: &World, resources: Value) {
    let path = format!("/v1/healthcare-services/{}", world.service);
    let version = world.admin.client.get(&path).await.expect(200)["version"].as_i64().unwrap();
    let change = json!({ "resources": resources });
    world.admin.client.edit(Method::PATCH, &path, version, &change).await.expect(200);
}

async fn resource(world: &World, kind: &str, name: &str, location: &str) -> String {
    let body =
        json!({"kind": kind, "name": name, "organization": world.clinic, "location": location});
    let made = made(&world.admin.client, "/v1/resources", body).await;
    made["id"].as_str().unwrap().to_owned()
}

async fn elsewhere(world: &World) -> String {
    let body = json!({"name": "Больница", "kind": "clinic", "organization": world.clinic,
        "time_zone": "Asia/Krasnoyarsk", "link_class": "broadband"});
    made(&world.admin.client, "/v1/locations", body).await["id"].as_str().unwrap().to_owned()
}

/// Works from nine to five, on weekdays.
async fn works(world: &World, practitioner: &str) {
    let days = ["mon", "tue", "wed", "thu", "fri"];
    let rules = days.map(|day| json!({"weekday": day, "from": "09:00", "to": "17:00"}));
    let path = format!("/v1/practitioners/{practitioner}/schedule");
    world
        .registrar
        .client
        .edit(Method::PUT, &path, 1, &json!({ "rules": rules }))
        .await
        .expect(200);
}

async fn books(client: &Client, wish: &Value) -> Answer {
    client.once("/v1/appointments", &key(), wish).await
}

fn others(visit: &Value) -> Vec<(String, String)> {
    let others = visit["participants"].as_array().cloned().unwrap_or_default();
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    others.iter().map(|other| (text(&other["kind"]), text(&other["id"]))).collect()
}

/// Works from nine to five on Tuesdays, at a place.
async fn works_at(world: &World, practitioner: &str, version: i64, places: &[&str]) {
    let hours = [("09:00", "13:00"), ("13:00", "17:00")];
    let rules: Vec<Value> = places
        .iter()
        .zip(hours)
        .map(|(place, (from, to))| json!({"weekday": "tue", "from": from, "to": to, "location": place}))
        .collect();
    let path = format!("/v1/practitioners/{practitioner}/schedule");
    let body = json!({ "rules": rules });
    world.registrar.client.edit(Method::PUT, &path, version, &body).await.expect(200);
}

/// Another doctor of the clinic who gives the short service.
async fn second_doctor(world: &World) -> String {
    let services = [world.service.as_str()];
    let (house, admin) = (&world.house, &world.admin.client);
    let name = "Зинаида Вторая";
    let second = practitioner(house, admin, &world.clinic, name, "doctor", "vtoraya", &services);
    let second = second.await.id;
    works(world, &second).await;
    second
}

/// Somebody who translates, in the usual hours.
async fn interpreter(world: &World, name: &str, languages: &[&str]) -> String {
    let body = json!({"name": name, "kind": "interpreter", "organization": world.clinic,
        "time_zone": ZONE, "languages": languages});
    let made = made(&world.admin.client, "/v1/practitioners", body).await;
    let id = made["id"].as_str().unwrap().to_owned();
    works(world, &id).await;
    id
}

async fn slots(client: &Client, query: &str) -> Vec<Value> {
    let path = format!(
        "/v1/slots?from=2026-11-24T00:00:00%2B07:00&to=2026-11-25T00:00:00%2B07:00&{query}"
    );
    client.get(&path).await.expect(200)["items"].as_array().unwrap().clone()
}

fn starts(slots: &[Value]) -> Vec<&str> {
    slots.iter().map(|slot| slot["local_start"].as_str().unwrap().get(11..16).unwrap()).collect()
}

on_both! {
    async fn a_visit_takes_one_of_each_kind_that_it_needs_or_nothing(world: World) {
        needs(world, json!(["room", "device", "feldsher"])).await;
        let refused = books(&world.asha.client, &world.wish(TUESDAY_9)).await;
        assert_eq!(refused.refused(409), "resource_busy");
        assert_eq!(world.house.count("SELECT count(*) AS n FROM occupancies"), 0);

        let room = resource(world, "room", "Кабинет", &world.village).await;
        let device = resource(world, "device", "ЭКГ", &world.village).await;
        works(world, &world.feldsher.id).await;
        let booked = books(&world.asha.client, &world.wish(TUESDAY_9)).await.expect(201);
        let taken = [("device", &device), ("feldsher", &world.feldsher.id), ("room", &room)];
        let taken = taken.map(|(kind, id)| (kind.to_owned(), id.clone()));
        assert_eq!(others(&booked), taken);
        let listed = world.asha.client.get("/v1/appointments").await.expect(200);
        assert_eq!(others(&listed["items"][0]), taken);
        assert_eq!(booked["participants"][0]["name"], "ЭКГ");

        // Another doctor at the same time has none of them; the clinic has one of each.
        let busy = "SELECT count(*) AS n FROM occupancies WHERE live";
        assert_eq!(world.house.count(busy), 5);
        let path = format!("/v1/appointments/{}/cancel", booked["id"].as_str().unwrap());
        world.asha.client.post(&path, &json!({})).await.expect(200);
        assert_eq!(world.house.count(busy), 0);
        books(&world.boris.client, &world.wish(TUESDAY_9)).await.expect(201);
    }
}

on_both! {
    async fn the_room_at_the_place_comes_first_then_the_least_used_and_a_named_one_before_all(
        world: World
    ) {
        needs(world, json!(["room"])).await;
        let clinic = elsewhere(world).await;
        let far = resource(world, "room", "Далёкий", &clinic).await;
        let near = resource(world, "room", "Ближний", &world.village).await;
        let room = |visit: Value| others(&visit)[0].1.clone();
        let first = books(&world.asha.client, &world.wish(TUESDAY_9)).await.expect(201);
        assert_eq!(room(first), near);
        let mut wish = world.wish(TUESDAY_920);
        wish["location"] = json!(clinic);
        assert_eq!(room(books(&world.asha.client, &wish).await.expect(201)), far);
        wish = world.wish(TUESDAY_940);
        wish["resources"] = json!([far]);
        assert_eq!(room(books(&world.asha.client, &wish).await.expect(201)), far);
        // Two at the same place: the one that has had less to do.
        let fresh = resource(world, "room", "Новый", &world.village).await;
        let next = world.wish("2026-11-24T10:00:00+07:00");
        assert_eq!(room(books(&world.asha.client, &next).await.expect(201)), fresh);

        wish["start"] = json!("2026-11-24T10:20:00+07:00");
        for unknown in [world.stranger.id.clone(), world.asha.id.clone()] {
            wish["resources"] = json!([near, unknown]);
            let refused = books(&world.asha.client, &wish).await;
            assert_eq!(refused.refused(422), "unknown_reference");
            assert_eq!(refused.body["errors"][0]["pointer"], "/resources/1");
        }
        // Out of use: nobody gets it.
        let path = format!("/v1/resources/{near}");
        let off = json!({"active": false});
        world.admin.client.edit(Method::PATCH, &path, 1, &off).await.expect(200);
        let stale = world.admin.client.edit(Method::PATCH, &path, 1, &off).await;
        assert_eq!(stale.refused(412), "stale_version");
        wish["resources"] = json!([near]);
        assert_eq!(books(&world.asha.client, &wish).await.refused(422), "unknown_reference");
        let listed = format!("/v1/resources?organization={}&kind=room", world.clinic);
        let listed = world.asha.client.get(&listed).await.expect(200);
        let names: Vec<&str> =
            listed["items"].as_array().unwrap().iter().map(|item| item["name"].as_str().unwrap()).collect();
        assert_eq!(names, ["Ближний", "Далёкий", "Новый"]);
        assert_eq!(listed["items"][0]["active"], false);
    }
}

on_both! {
    async fn one_room_is_never_in_two_visits_however_many_ask_at_once(world: World) {
        let doctors = ["odin", "dva", "tri", "chetyre"];
        needs(world, json!(["room", "interpreter"])).await;
        resource(world, "room", "Первый", &world.village).await;
        resource(world, "room", "Второй", &world.village).await;
        for name in ["Толмач", "Толмачева"] {
            let body = json!({"name": name, "kind": "interpreter", "organization": world.clinic,
                "time_zone": "Asia/Krasnoyarsk"});
            let made = made(&world.admin.client, "/v1/practitioners", body).await;
            works(world, made["id"].as_str().unwrap()).await;
        }
        for login in doctors {
            let body = json!({"name": "Врач", "kind": "doctor", "organization": world.clinic,
                "time_zone": "Asia/Krasnoyarsk", "services": [world.service], "login": login});
            let made = made(&world.admin.client, "/v1/practitioners", body).await;
            works(world, made["id"].as_str().unwrap()).await;
        }
        let mut patients = Vec::new();
        for number in 0..8 {
            let body = json!({"name": format!("Больной {number}"), "birth_date": "1980-01-01",
                "location": world.village, "organization": world.clinic});
            patients.push(made(&world.registrar.client, "/v1/patients", body).await["id"].clone());
        }
        for minute in [0, 20, 40] {
            let rush = patients.iter().map(|patient| {
                let start = format!("2026-11-24T09:{minute:02}:00+07:00");
                let wish = json!({"service": world.service, "start": start, "patient": patient});
                async move { books(&world.registrar.client, &wish).await }
            });
            let answers = join_all(rush).await;
            let booked = answers.iter().filter(|answer| answer.status == 201).count();
            assert_eq!(booked, 2, "two rooms, two interpreters");
            for answer in answers.iter().filter(|answer| answer.status != 201) {
                let code = answer.refused(409);
                assert!(["resource_busy", "slot_taken"].contains(&code.as_str()), "{code}");
                assert!(answer.body["alternatives"].is_array());
            }
        }
        let overlaps = "SELECT count(*) AS n FROM occupancies a JOIN occupancies b
            ON a.resource_id = b.resource_id AND a.lane = b.lane
            AND a.appointment_id < b.appointment_id
            AND a.starts_at < b.ends_at AND b.starts_at < a.ends_at WHERE a.live AND b.live";
        assert_eq!(world.house.count(overlaps), 0);
    }
}

on_both! {
    async fn a_moved_visit_takes_its_room_along_or_changes_it(world: World) {
        needs(world, json!(["room"])).await;
        let first = resource(world, "room", "Первый", &world.village).await;
        let booked = books(&world.asha.client, &world.wish(TUESDAY_9)).await.expect(201);
        let path = format!("/v1/appointments/{}/reschedule", booked["id"].as_str().unwrap());
        let to = |start: &str| json!({ "start": start });
        let moved = world.asha.client.post(&path, &to(TUESDAY_920)).await.expect(200);
        assert_eq!(others(&moved), [("room".to_owned(), first.clone())]);
        // The room is taken at nine by somebody else's visit.
        let boris = books(&world.boris.client, &world.wish(TUESDAY_9)).await.expect(201);
        assert_eq!(others(&boris)[0].1, first);
        let second = resource(world, "room", "Второй", &world.village).await;
        let mut wish = world.wish(TUESDAY_940);
        wish["resources"] = json!([second]);
        books(&world.boris.client, &wish).await.expect(201);
        let refused = world.asha.client.post(&path, &to(TUESDAY_940)).await;
        assert_eq!(refused.refused(409), "slot_taken");
        let moved = world.asha.client.post(&path, &to("2026-11-24T10:00:00+07:00")).await.expect(200);
        assert_eq!(others(&moved)[0].1, first);
        let path_of = format!("/v1/resources/{first}");
        let off = json!({"active": false});
        world.admin.client.edit(Method::PATCH, &path_of, 1, &off).await.expect(200);
        let moved = world.asha.client.post(&path, &to("2026-11-24T10:20:00+07:00")).await.expect(200);
        assert_eq!(others(&moved)[0].1, second, "the other is out of use");
    }
}

on_both! {
    async fn an_interpreter_has_no_sign_in(world: World) {
        let body = json!({"name": "Толмач", "kind": "interpreter", "organization": world.clinic,
            "time_zone": "Asia/Krasnoyarsk", "login": "tolmach"});
        let refused = world.admin.client.once("/v1/practitioners", &key(), &body).await;
        assert_eq!(refused.refused(422), "invalid_body");
    }
}

on_both! {
    async fn what_is_offered_has_all_that_the_service_needs(world: World) {
        needs(world, json!(["room"])).await;
        resource(world, "room", "Кабинет", &world.village).await;
        let second = second_doctor(world).await;
        books(&world.asha.client, &world.wish(TUESDAY_9)).await.expect(201);
        // The second doctor is free at nine, and the room is not.
        let query = format!("service={}&practitioner={second}", world.service);
        let listed = slots(&world.boris.client, &format!("{query}&limit=2")).await;
        assert_eq!(starts(&listed), ["09:20", "09:40"]);
        let first = slots(&world.boris.client, &format!("{query}&first=true")).await;
        assert_eq!(starts(&first), ["09:20"]);
        let mut wish = world.wish(TUESDAY_9);
        wish["practitioner"] = json!(second);
        let refused = books(&world.boris.client, &wish).await;
        assert_eq!(refused.refused(409), "resource_busy");
        let free = refused.body["alternatives"].as_array().unwrap().clone();
        assert_eq!(starts(&free), ["09:20", "09:40", "10:00"]);
        wish["start"] = free[0]["start"].clone();
        books(&world.boris.client, &wish).await.expect(201);
    }
}

on_both! {
    async fn nobody_is_offered_a_time_at_which_they_have_another_visit(world: World) {
        let second = second_doctor(world).await;
        let booked = books(&world.asha.client, &world.wish(TUESDAY_9)).await.expect(201);
        let query = format!("service={}&practitioner={second}", world.service);
        let own = slots(&world.asha.client, &format!("{query}&first=true")).await;
        assert_eq!(starts(&own), ["09:20"]);
        let registrar = &world.registrar.client;
        let of = |patient: &str| format!("{query}&first=true&patient={patient}");
        assert_eq!(starts(&slots(registrar, &of(&world.asha.id)).await), ["09:20"]);
        assert_eq!(starts(&slots(registrar, &of(&world.boris.id)).await), ["09:00"]);
        // For the visit itself its own time is free, with whoever is.
        let id = booked["id"].as_str().unwrap();
        let moving = format!("service={}&limit=2&moving={id}", world.service);
        let free = slots(registrar, &moving).await;
        assert_eq!(starts(&free), ["09:00", "09:00"]);
        let path = format!("/v1/slots?{moving}");
        assert_eq!(world.boris.client.get(&path).await.refused(422), "unknown_reference");
        let with = json!({"start": TUESDAY_9, "practitioner": second});
        registrar.once(&format!("/v1/appointments/{id}/reschedule"), &key(), &with).await.expect(200);
    }
}

on_both! {
    async fn room_device_and_feldsher_are_at_the_place_of_the_visit(world: World) {
        needs(world, json!(["room", "feldsher"])).await;
        let far = elsewhere(world).await;
        let room = resource(world, "room", "Кабинет", &world.village).await;
        works_at(world, &world.feldsher.id, 1, &[&far]).await;
        let mut wish = world.wish(TUESDAY_9);
        // The room is in the village and the feldsher is not: no place has both.
        for location in [Value::Null, json!(world.village), json!(far)] {
            wish["location"] = location;
            let refused = books(&world.asha.client, &wish).await;
            assert_eq!(refused.refused(409), "resource_busy");
            assert_eq!(refused.body["alternatives"], json!([]));
        }
        // In the village from one o'clock on.
        works_at(world, &world.feldsher.id, 2, &[&far, &world.village]).await;
        wish["location"] = json!(world.village);
        let refused = books(&world.asha.client, &wish).await;
        assert_eq!(refused.refused(409), "resource_busy");
        let free = refused.body["alternatives"].as_array().unwrap().clone();
        assert_eq!(starts(&free), ["13:00", "13:20", "13:40"]);
        let there = format!("service={}&first=true&visit_location={}", world.service, world.village);
        assert_eq!(starts(&slots(&world.asha.client, &there).await), ["13:00"]);
        wish["start"] = free[0]["start"].clone();
        let booked = books(&world.asha.client, &wish).await.expect(201);
        assert_eq!(booked["location"]["id"], json!(world.village));
        let at = booked["participants"].as_array().unwrap();
        let held = at.iter().find(|other| other["id"] == json!(room)).unwrap();
        assert_eq!(held["location"], json!({"id": world.village, "name": "Кедровка"}));
        // It stays there when it is moved, though another room is free elsewhere.
        resource(world, "room", "Далёкий", &far).await;
        let path = format!("/v1/appointments/{}/reschedule", booked["id"].as_str().unwrap());
        let refused = world.asha.client.post(&path, &json!({"start": TUESDAY_920})).await;
        assert_eq!(refused.refused(409), "resource_busy");
        let alternatives = refused.body["alternatives"].as_array().unwrap();
        assert_eq!(starts(alternatives), ["13:00", "13:20", "13:40"]);
        // Who has said no place is seen where all of it is, all at one place.
        wish["location"] = Value::Null;
        wish["start"] = json!(TUESDAY_940);
        let booked = books(&world.boris.client, &wish).await.expect(201);
        assert_eq!(booked["location"]["id"], json!(far));
    }
}

on_both! {
    async fn what_lies_in_a_place_is_at_that_place(world: World) {
        needs(world, json!(["room"])).await;
        let body = json!({"name": "ФАП", "kind": "station", "organization": world.clinic,
            "part_of": world.village, "time_zone": ZONE, "link_class": "4g"});
        let station = made(&world.admin.client, "/v1/locations", body).await;
        let room = resource(world, "room", "Кабинет", station["id"].as_str().unwrap()).await;
        let mut wish = world.wish(TUESDAY_9);
        wish["location"] = json!(world.village);
        let booked = books(&world.asha.client, &wish).await.expect(201);
        assert_eq!(others(&booked)[0].1, room);
        assert_eq!(booked["participants"][0]["location"]["name"], "ФАП");
    }
}

on_both! {
    async fn an_interpreter_speaks_with_both_sides(world: World) {
        needs(world, json!(["interpreter"])).await;
        let doctor = format!("/v1/practitioners/{}", world.doctor.id);
        let russian = json!({"languages": ["ru"]});
        world.admin.client.edit(Method::PATCH, &doctor, 1, &russian).await.expect(200);
        let second = second_doctor(world).await;
        let path = format!("/v1/practitioners/{second}");
        world.admin.client.edit(Method::PATCH, &path, 1, &json!({"languages": ["kk"]})).await.expect(200);
        let other = interpreter(world, "Иная", &["ru", "tt"]).await;
        let evenki = interpreter(world, "Эвенкийская", &["ru", "evn"]).await;
        let path = format!("/v1/patients/{}", world.asha.id);
        let asha = world.asha.client.get(&path).await.expect(200);
        assert_eq!((&asha["languages"], &asha["version"]), (&json!([]), &json!(1)));
        let spoken = json!({"languages": ["ru", "evn"]});
        let asha = world.registrar.client.edit(Method::PATCH, &path, 1, &spoken).await.expect(200);
        assert_eq!((&asha["languages"], &asha["version"]), (&json!(["ru", "evn"]), &json!(2)));
        let stale = world.registrar.client.edit(Method::PATCH, &path, 1, &spoken).await;
        assert_eq!(stale.refused(412), "stale_version");
        for start in [TUESDAY_9, TUESDAY_920] {
            let booked = books(&world.asha.client, &world.wish(start)).await.expect(201);
            assert_eq!(others(&booked), [("interpreter".to_owned(), evenki.clone())]);
        }
        // Nobody has said what Boris speaks: whoever is free translates for him.
        let second_wish = json!({"service": world.service, "practitioner": second, "start": TUESDAY_9});
        assert_eq!(books(&world.boris.client, &second_wish).await.refused(409), "resource_busy");
        let third = interpreter(world, "Казахская", &["kk", "en"]).await;
        let booked = books(&world.boris.client, &second_wish).await.expect(201);
        assert_eq!(others(&booked)[0].1, third, "the second doctor speaks no Russian");
        // Nobody stands between the second doctor and her.
        let query = format!("service={}&practitioner={second}&patient={}", world.service, world.asha.id);
        assert!(slots(&world.registrar.client, &query).await.is_empty());
        let query = format!("service={}&first=true", world.service);
        let free = slots(&world.asha.client, &query).await;
        assert_eq!(free[0]["practitioner"]["id"], json!(world.doctor.id));
        assert_eq!(starts(&free), ["09:40"]);
        assert_ne!(other, third);
    }
}

on_both! {
    async fn a_room_that_is_out_of_use_names_the_visits_that_hold_it(world: World) {
        needs(world, json!(["room"])).await;
        let first = resource(world, "room", "Первый", &world.village).await;
        let booked = books(&world.asha.client, &world.wish(TUESDAY_9)).await.expect(201);
        let (house, admin) = (&world.house, &world.admin.client);
        let chief = member(house, admin, &world.clinic, "Ирина Главная", "clinic_admin", "glavnaya");
        let chief = chief.await.client;
        let path = format!("/v1/resources/{first}");
        let renamed = json!({"name": "Бывший первый"});
        let edited = chief.edit(Method::PATCH, &path, 1, &renamed).await.expect(200);
        assert_eq!((&edited["name"], &edited["affected_count"]), (&renamed["name"], &json!(0)));
        let off = json!({"active": false});
        let edited = chief.edit(Method::PATCH, &path, 2, &off).await.expect(200);
        assert_eq!((&edited["replaced"], &edited["affected_count"]), (&json!(0), &json!(1)));
        assert_eq!(edited["affected"][0]["code"], booked["code"]);
        let registrar = &world.registrar.client;
        let stranded = format!("/v1/organizations/{}/stranded-visits", world.clinic);
        let left = registrar.get(&stranded).await.expect(200);
        assert_eq!((&left["items"][0]["id"], &left["items"][0]["resource"]["id"]), (&booked["id"], &json!(first)));
        let task = registrar.get("/v1/tasks").await.expect(200)["items"][0].clone();
        assert_eq!((&task["code"], &task["why"]), (&json!("things"), &json!("out_of_use")));
        let done = format!("/v1/tasks/{}", task["id"].as_str().unwrap());
        registrar.post(&format!("{done}/take"), &json!({})).await.expect(200);
        let reached = json!({"outcome": "reached"});
        let refused = registrar.post(&format!("{done}/complete"), &reached).await;
        assert_eq!(refused.refused(409), "bad_state", "it ends with the last visit");
        // A move, also to the same time, gives it another room.
        let second = resource(world, "room", "Второй", &world.village).await;
        let path = format!("/v1/appointments/{}/reschedule", booked["id"].as_str().unwrap());
        let same = json!({"start": TUESDAY_9});
        let moved = registrar.once(&path, &key(), &same).await.expect(200);
        assert_eq!(others(&moved), [("room".to_owned(), second.clone())]);
        assert_eq!(registrar.get(&stranded).await.expect(200)["items"], json!([]));
        stranded::recheck(&world.house.app).await.unwrap();
        assert_eq!(registrar.get("/v1/tasks").await.expect(200)["items"], json!([]));
        // Where another is free, nobody need see to it, and the patient can read what was done.
        resource(world, "room", "Третий", &world.village).await;
        let path = format!("/v1/resources/{second}");
        let edited = chief.edit(Method::PATCH, &path, 1, &off).await.expect(200);
        assert_eq!((&edited["replaced"], &edited["affected_count"]), (&json!(1), &json!(0)));
        let path = format!("/v1/appointments/{}", booked["id"].as_str().unwrap());
        let now = world.asha.client.get(&path).await.expect(200);
        assert_eq!(now["participants"][0]["name"], "Третий");
        assert_eq!(registrar.get("/v1/tasks").await.expect(200)["items"], json!([]));
        assert!(world.asha.client.get("/v1/me/access-log").await.text.contains("resource.edit"));
        // On again: what waited for it has it.
        let third = now["participants"][0]["id"].as_str().unwrap();
        let path = format!("/v1/resources/{third}");
        chief.edit(Method::PATCH, &path, 1, &off).await.expect(200);
        assert_eq!(registrar.get("/v1/tasks").await.expect(200)["items"].as_array().unwrap().len(), 1);
        let on = json!({"active": true});
        let edited = chief.edit(Method::PATCH, &path, 2, &on).await.expect(200);
        assert_eq!(edited["affected_count"], 0);
        assert_eq!(registrar.get("/v1/tasks").await.expect(200)["items"], json!([]));
        // Switched off while the visit was called off: it comes back to a task, and has what is free next.
        let visit = format!("/v1/appointments/{}", booked["id"].as_str().unwrap());
        registrar.post(&format!("{visit}/cancel"), &json!({})).await.expect(200);
        let edited = chief.edit(Method::PATCH, &path, 3, &off).await.expect(200);
        assert_eq!((&edited["replaced"], &edited["affected_count"]), (&json!(0), &json!(0)));
        registrar.post(&format!("{visit}/undo"), &json!({})).await.expect(200);
        stranded::recheck(&world.house.app).await.unwrap();
        assert_eq!(registrar.get("/v1/tasks").await.expect(200)["items"][0]["code"], "things");
        let path = format!("/v1/resources/{second}");
        chief.edit(Method::PATCH, &path, 2, &on).await.expect(200);
        stranded::recheck(&world.house.app).await.unwrap();
        let now = world.asha.client.get(&visit).await.expect(200);
        assert_eq!(now["participants"][0]["name"], "Второй");
        assert_eq!(registrar.get("/v1/tasks").await.expect(200)["items"], json!([]));
    }
}
