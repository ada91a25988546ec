//! Visits that need a room, a device, a feldsher or an interpreter: all of them or none.

use actix_web::http::Method;
use futures_util::future::join_all;
use serde_json::{Value, json};

use crate::on_both;
use crate::support::world::made;
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
