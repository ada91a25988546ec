//! Clinics, places, services and people: who adds them, who finds them, who may no longer.

use actix_web::http::Method;
use serde_json::{Value, json};

use crate::on_both;
use crate::support::world::{self, ZONE, made};
use crate::support::{Client, Engine, World, key};

fn names(list: &Value) -> Vec<&str> {
    list["items"].as_array().unwrap().iter().map(|item| item["name"].as_str().unwrap()).collect()
}

fn new_patient(world: &World, name: &str) -> Value {
    json!({
        "name": name, "birth_date": "1988-02-29", "location": world.village,
        "organization": world.clinic, "language": "ru"
    })
}

on_both! {
    async fn whoever_is_signed_in_finds_clinics_places_services_and_doctors(world: World) {
        let asha = &world.asha.client;
        let clinics = asha.get("/v1/organizations").await.expect(200);
        assert_eq!(names(&clinics), ["Вторая больница", "Таёжная больница"]);
        let clinic = asha.get(&format!("/v1/organizations/{}", world.clinic)).await.expect(200);
        assert_eq!(clinic["time_zone"], ZONE);

        let region = made(&world.admin.client, "/v1/locations", json!({
            "name": "Край", "kind": "region", "time_zone": ZONE, "link_class": "4g"
        })).await;
        made(&world.admin.client, "/v1/locations", json!({
            "name": "Берёзовка", "kind": "village", "part_of": region["id"], "time_zone": ZONE,
            "latitude": 58.0, "longitude": 93.0, "link_class": "none"
        })).await;
        let path = format!("/v1/locations?kind=village&part_of={}", region["id"].as_str().unwrap());
        let villages = asha.get(&path).await.expect(200);
        assert_eq!(names(&villages), ["Берёзовка"]);
        assert_eq!(villages["items"][0]["part_of"], json!({"id": region["id"], "name": "Край"}));
        let path = format!("/v1/locations?organization={}", world.clinic);
        assert_eq!(names(&asha.get(&path).await.expect(200)), ["Кедровка"]);
        let home = asha.get(&format!("/v1/locations/{}", world.village)).await.expect(200);
        assert_eq!(home["link_class"], "2g");
        assert_eq!(home["organization"]["name"], "Таёжная больница");

        let path = format!("/v1/healthcare-services?organization={}&specialty=general-practice", world.clinic);
        let services = asha.get(&path).await.expect(200);
        assert_eq!(names(&services), ["GP visit", "Long visit"]);
        assert_eq!(services["items"][0]["modes"], json!(["video", "audio"]));
        assert_eq!(services["items"][0]["duration_minutes"], 20);

        let path = format!("/v1/practitioners?service={}", world.service);
        let doctors = asha.get(&path).await.expect(200);
        assert_eq!(names(&doctors), ["Анна Лебедева"]);
        let doctor = asha.get(&format!("/v1/practitioners/{}", world.doctor.id)).await.expect(200);
        assert_eq!(doctor["organization"], json!({"id": world.clinic, "name": "Таёжная больница"}));
        assert_eq!(doctor["services"].as_array().unwrap().len(), 2);
        assert!(doctor.get("sign_in_token").is_none());

        let nobody = world.house.client();
        for path in ["organizations", "locations", "healthcare-services", "practitioners", "patients"] {
            let unsigned = nobody.get(&format!("/v1/{path}")).await;
            assert_eq!(unsigned.refused(401), "unauthorized", "{path}");
            let missing = asha.get(&format!("/v1/{path}/{}", uuid::Uuid::nil())).await;
            assert_eq!(missing.refused(404), "not_found", "{path}");
        }
    }
}

on_both! {
    async fn a_service_is_named_and_sorted_in_the_language_of_the_reader(world: World) {
        for (en, ru) in [("Aardvark", "Яблоко"), ("Zebra", "Абрикос")] {
            made(&world.admin.client, "/v1/healthcare-services", json!({
                "name": {"en": en, "ru": ru}, "organization": world.other_clinic,
                "specialty": "pediatrics", "duration_minutes": 15, "modes": ["chat", "chat"]
            })).await;
        }
        let path = "/v1/healthcare-services?specialty=pediatrics&limit=1";
        let read = |items: Vec<Value>| -> Vec<String> {
            items.iter().map(|item| item["name"].as_str().unwrap().to_owned()).collect()
        };
        let english = read(world.asha.client.all_pages(path).await);
        assert_eq!(english, ["Aardvark", "Zebra"]);
        let russian = read(world.asha.client.in_language("ru").all_pages(path).await);
        assert_eq!(russian, ["Абрикос", "Яблоко"]);
    }
}

on_both! {
    async fn a_clinic_administrator_adds_to_their_own_clinic_only(world: World) {
        let (house, admin) = (&world.house, &world.admin.client);
        let chief = world::member(house, admin, &world.clinic, "Ирина Главная", "clinic_admin", "glavnaya").await;
        for (clinic, status) in [(&world.clinic, 201), (&world.other_clinic, 403)] {
            let bodies = [
                ("/v1/locations".to_owned(), json!({
                    "name": "Сосновка", "kind": "village", "organization": clinic,
                    "time_zone": ZONE, "link_class": "3g"
                })),
                ("/v1/healthcare-services".to_owned(), json!({
                    "name": {"en": "Diabetes", "ru": "Диабет"}, "organization": clinic,
                    "specialty": "endocrinology", "duration_minutes": 30, "modes": ["video"]
                })),
                ("/v1/practitioners".to_owned(), json!({
                    "name": "Новый Врач", "kind": "doctor", "organization": clinic,
                    "time_zone": ZONE, "services": []
                })),
                (format!("/v1/organizations/{clinic}/members"), json!({
                    "name": "Новый Регистратор", "role": "registrar", "login": "novy.registrar"
                })),
            ];
            for (path, body) in bodies {
                let answer = chief.client.once(&path, &key(), &body).await;
                assert_eq!(answer.status.as_u16(), status, "{path} {}", answer.text);
                for other in [&world.asha, &world.doctor, &world.registrar] {
                    assert_eq!(other.client.once(&path, &key(), &body).await.refused(403), "forbidden", "{path}");
                }
            }
        }
        let nowhere = json!({"name": "Край", "kind": "region", "time_zone": ZONE, "link_class": "4g"});
        assert_eq!(chief.client.post("/v1/locations", &nowhere).await.refused(403), "forbidden");
        let clinic = json!({"name": "Третья больница", "time_zone": ZONE});
        assert_eq!(chief.client.post("/v1/organizations", &clinic).await.refused(403), "forbidden");
        let members = format!("/v1/organizations/{}/members", world.other_clinic);
        assert_eq!(chief.client.get(&members).await.refused(403), "forbidden");
    }
}

on_both! {
    async fn a_wrong_place_or_person_is_named_with_the_field_at_fault(world: World) {
        let nil = uuid::Uuid::nil().to_string();
        let place = |change: Value| merged(json!({
            "name": "Сосновка", "kind": "village", "organization": world.clinic, "time_zone": ZONE,
            "latitude": 58.1, "longitude": 93.4, "link_class": "2g"
        }), change);
        let service = |change: Value| merged(json!({
            "name": {"en": "Visit", "ru": "Приём"}, "organization": world.clinic,
            "specialty": "cardiology", "duration_minutes": 20, "modes": ["video"]
        }), change);
        let doctor = |change: Value| merged(json!({
            "name": "Врач", "kind": "doctor", "organization": world.clinic, "time_zone": ZONE,
            "services": [world.service]
        }), change);
        let patient = |change: Value| merged(new_patient(world, "Пациент"), change);
        let members = format!("/v1/organizations/{}/members", world.clinic);
        let member = |change: Value| merged(json!({
            "name": "Кто", "role": "registrar", "login": "kto.to"
        }), change);
        let region = made(&world.admin.client, "/v1/locations", json!({
            "name": "Край", "kind": "region", "time_zone": ZONE, "link_class": "4g"
        })).await;
        let cases = [
            ("/v1/organizations", json!({"name": " ", "time_zone": ZONE}), "invalid_body", "/name"),
            ("/v1/organizations", json!({"name": "А", "time_zone": "Asia/Nowhere"}), "unknown_time_zone", "/time_zone"),
            ("/v1/locations", place(json!({"name": "ж".repeat(201)})), "invalid_body", "/name"),
            ("/v1/locations", place(json!({"latitude": 91})), "invalid_body", "/latitude"),
            ("/v1/locations", place(json!({"longitude": -181})), "invalid_body", "/longitude"),
            ("/v1/locations", place(json!({"longitude": null})), "invalid_body", "/longitude"),
            ("/v1/locations", place(json!({"link_class": "5g"})), "invalid_body", "/link_class"),
            ("/v1/locations", place(json!({"part_of": nil})), "unknown_reference", "/part_of"),
            ("/v1/locations", place(json!({"organization": nil})), "unknown_reference", "/organization"),
            ("/v1/healthcare-services", service(json!({"duration_minutes": 4})), "invalid_body", "/duration_minutes"),
            ("/v1/healthcare-services", service(json!({"duration_minutes": 481})), "invalid_body", "/duration_minutes"),
            ("/v1/healthcare-services", service(json!({"modes": []})), "invalid_body", "/modes"),
            ("/v1/healthcare-services", service(json!({"modes": ["smoke"]})), "invalid_body", "/modes/0"),
            ("/v1/healthcare-services", service(json!({"name": {"en": "", "ru": "Приём"}})), "invalid_body", "/name/en"),
            ("/v1/healthcare-services", service(json!({"specialty": "Сердце"})), "invalid_body", "/specialty"),
            ("/v1/practitioners", doctor(json!({"services": [world.service, world.other_service]})), "unknown_reference", "/services/1"),
            ("/v1/practitioners", doctor(json!({"login": "a b"})), "invalid_body", "/login"),
            ("/v1/practitioners", doctor(json!({"kind": "surgeon"})), "invalid_body", "/kind"),
            (&members, member(json!({"role": "doctor"})), "invalid_body", "/role"),
            (&members, member(json!({"login": "ab"})), "invalid_body", "/login"),
            ("/v1/patients", patient(json!({"birth_date": "1899-12-31"})), "invalid_body", "/birth_date"),
            ("/v1/patients", patient(json!({"birth_date": "2026-11-24"})), "invalid_body", "/birth_date"),
            ("/v1/patients", patient(json!({"birth_date": "2025-02-29"})), "invalid_body", "/birth_date"),
            ("/v1/patients", patient(json!({"phone": "12"})), "invalid_phone", "/phone"),
            ("/v1/patients", patient(json!({"location": nil})), "unknown_reference", "/location"),
            ("/v1/patients", patient(json!({"location": region["id"]})), "unknown_reference", "/location"),
        ];
        let patients = || world.house.count("SELECT count(*) AS n FROM patients");
        let before = patients();
        for (path, body, code, pointer) in cases {
            let who = if path == "/v1/patients" { &world.registrar } else { &world.admin };
            let answer = who.client.once(path, &key(), &body).await;
            assert_eq!(answer.refused(422), code, "{body}");
            assert_eq!(answer.body["errors"][0]["pointer"], pointer, "{}", answer.text);
        }
        assert_eq!(patients(), before);
    }
}

fn merged(mut body: Value, change: Value) -> Value {
    for (name, value) in change.as_object().unwrap() {
        body[name] = value.clone();
    }
    body
}

on_both! {
    async fn a_login_or_a_phone_belongs_to_one_person(world: World) {
        let doctor = json!({
            "name": "Двойник", "kind": "doctor", "organization": world.clinic, "time_zone": ZONE,
            "login": "LEBEDEVA"
        });
        let refused = world.admin.client.once("/v1/practitioners", &key(), &doctor).await;
        assert_eq!(refused.refused(409), "already_exists");
        assert_eq!(refused.body["errors"][0]["pointer"], "/login");
        let mut child = new_patient(world, "Ваня Кузнецов");
        child["phone"] = json!("+70000000001");
        let refused = world.registrar.client.once("/v1/patients", &key(), &child).await;
        assert_eq!(refused.refused(409), "already_exists");
        assert_eq!(refused.body["errors"][0]["pointer"], "/phone");
        // Asha's family shares her phone: the child is registered without one.
        child.as_object_mut().unwrap().remove("phone");
        let made = world.feldsher.client.once("/v1/patients", &key(), &child).await.expect(201);
        assert!(made.get("phone").is_none());
        assert_eq!(made["location"], json!({"id": world.village, "name": "Кедровка", "link_class": "2g"}));
        assert_eq!(made["time_zone"], ZONE);
    }
}

on_both! {
    async fn adding_the_same_doctor_twice_with_one_key_adds_one_with_one_token(world: World) {
        let body = json!({
            "name": "Новая Врач", "kind": "doctor", "organization": world.clinic,
            "time_zone": ZONE, "services": [world.service, world.service], "login": "novaya"
        });
        let once = key();
        let first = world.admin.client.once("/v1/practitioners", &once, &body).await.expect(201);
        let again = world.admin.client.once("/v1/practitioners", &once, &body).await.expect(201);
        assert_eq!(first, again);
        assert!(first["sign_in_token"].as_str().is_some_and(|token| token.len() >= 22));
        assert_eq!(first["services"].as_array().unwrap().len(), 1);
        let count = "SELECT count(*) AS n FROM practitioners WHERE name = 'Новая Врач'";
        assert_eq!(world.house.count(count), 1);
    }
}

async fn set_state(
    world: &World,
    client: &Client,
    who: &str,
    role: &str,
    state: &str,
) -> crate::support::Answer {
    let members = format!("/v1/organizations/{}/members", world.clinic);
    let list = world.admin.client.get(&members).await.expect(200);
    let member = list["items"]
        .as_array()
        .unwrap()
        .iter()
        .find(|member| member["account"]["id"] == who && member["role"] == role)
        .unwrap()
        .clone();
    let version = member["version"].as_i64().unwrap();
    client
        .edit(Method::PATCH, &format!("{members}/{who}/{role}"), version, &json!({"state": state}))
        .await
}

on_both! {
    async fn a_member_whose_membership_ends_is_out_at_once(world: World) {
        let nina = &world.registrar;
        nina.client.get("/v1/patients").await.expect(200);
        let answer = set_state(world, &world.admin.client, &nina.id, "registrar", "disabled").await;
        assert_eq!(answer.header("etag"), Some("\"2\""));
        assert_eq!(answer.expect(200)["state"], "disabled");
        assert_eq!(nina.client.get("/v1/patients").await.refused(401), "session_over");
        let password = json!({"login": nina.login, "password": world::PASSWORD});
        let refused = world.house.client().post("/v1/auth/password", &password).await;
        assert_eq!(refused.refused(401), "wrong_credentials");

        set_state(world, &world.admin.client, &nina.id, "registrar", "active").await.expect(200);
        let tokens = world.house.client().post("/v1/auth/password", &password).await.expect(200);
        let back = world::signed_in(&world.house, &tokens, &nina.login, nina.id.clone());
        back.client.get("/v1/patients").await.expect(200);
    }
}

on_both! {
    async fn a_doctor_whose_membership_ends_cannot_be_booked(world: World) {
        let path = format!("/v1/organizations/{}/members", world.clinic);
        let list = world.admin.client.get(&path).await.expect(200);
        let anna = list["items"].as_array().unwrap().iter()
            .find(|member| member["account"]["name"] == "Анна Лебедева").unwrap()["account"]["id"]
            .as_str().unwrap().to_owned();
        set_state(world, &world.admin.client, &anna, "doctor", "disabled").await.expect(200);
        let path = format!("/v1/practitioners?service={}", world.service);
        assert_eq!(names(&world.asha.client.get(&path).await.expect(200)), [""; 0]);
        let wish = world.wish("2026-11-24T09:00:00+07:00");
        let refused = world.asha.client.once("/v1/appointments", &key(), &wish).await;
        assert_eq!(refused.refused(422), "unknown_reference");
        assert_eq!(world.doctor.client.get("/v1/appointments").await.refused(401), "session_over");
    }
}

on_both! {
    async fn a_clinic_keeps_its_last_administrator(world: World) {
        let (house, admin) = (&world.house, &world.admin.client);
        let first = world::member(house, admin, &world.clinic, "Первая", "clinic_admin", "pervaya").await;
        let alone = set_state(world, &first.client, &first.id, "clinic_admin", "disabled").await;
        assert_eq!(alone.refused(409), "last_admin");
        let second = world::member(house, &first.client, &world.clinic, "Второй", "clinic_admin", "vtoroy").await;
        let (one, other) = futures_util::future::join(
            set_state(world, &first.client, &second.id, "clinic_admin", "disabled"),
            set_state(world, &second.client, &first.id, "clinic_admin", "disabled"),
        ).await;
        let won = [&one, &other].iter().filter(|answer| answer.status == 200).count();
        assert_eq!(won, 1, "{} {}", one.text, other.text);
        let left = "SELECT count(*) AS n FROM memberships WHERE role = 'clinic_admin' AND state = 'active'";
        assert_eq!(house.count(left), 1);
    }
}

on_both! {
    async fn a_membership_is_changed_only_as_it_was_read(world: World) {
        let path = format!("/v1/organizations/{}/members/{}/registrar", world.clinic, world.registrar.id);
        let end = json!({"state": "disabled"});
        let admin = &world.admin.client;
        let blind = admin.send(admin.request(Method::PATCH, &path), Some(&end)).await;
        assert_eq!(blind.refused(428), "precondition_required");
        assert_eq!(admin.edit(Method::PATCH, &path, 7, &end).await.refused(412), "stale_version");
        let invited = json!({"state": "invited"});
        assert_eq!(admin.edit(Method::PATCH, &path, 1, &invited).await.refused(422), "invalid_body");
        let elsewhere = format!("/v1/organizations/{}/members/{}/registrar", world.other_clinic, world.registrar.id);
        assert_eq!(admin.edit(Method::PATCH, &elsewhere, 1, &end).await.refused(404), "not_found");
        let own = &world.registrar.client;
        assert_eq!(own.edit(Method::PATCH, &path, 1, &end).await.refused(403), "forbidden");
    }
}

on_both! {
    async fn a_patient_is_seen_by_themselves_their_clinic_and_who_treats_them(world: World) {
        let path = format!("/v1/patients/{}", world.asha.id);
        for who in [&world.asha, &world.registrar, &world.feldsher] {
            let seen = who.client.get(&path).await.expect(200);
            assert_eq!(seen["phone"], "+70000000001");
            assert_eq!(seen["birth_date"], "1961-04-12");
            assert_eq!(seen["location"]["name"], "Кедровка");
        }
        for who in [&world.boris, &world.doctor, &world.stranger, &world.admin] {
            let hidden = who.client.get(&path).await;
            let missing = who.client.get(&format!("/v1/patients/{}", uuid::Uuid::nil())).await;
            assert_eq!(hidden.refused(404), "not_found");
            assert_eq!(hidden.body["detail"], missing.body["detail"]);
        }
        world.booked("2026-11-24T09:00:00+07:00").await;
        let wish = json!({"service": world.other_service, "start": "2026-11-25T09:00:00+07:00"});
        world.asha.client.once("/v1/appointments", &key(), &wish).await.expect(201);
        let treating = world.doctor.client.get(&path).await.expect(200);
        assert_eq!(treating["phone"], "+70000000001");
        let elsewhere = world.stranger.client.get(&path).await.expect(200);
        assert_eq!(elsewhere["phone_ending"], "0001");
        assert!(elsewhere.get("phone").is_none());
    }
}

on_both! {
    async fn a_list_of_patients_holds_whom_the_reader_may_see(world: World) {
        let list = "/v1/patients";
        assert_eq!(names(&world.asha.client.get(list).await.expect(200)), ["Аша Кузнецова"]);
        assert_eq!(names(&world.registrar.client.get(list).await.expect(200)), ["Аша Кузнецова", "Борис Волков"]);
        for who in [&world.doctor, &world.stranger, &world.admin] {
            assert_eq!(names(&who.client.get(list).await.expect(200)), [""; 0]);
        }
        let booked = world.booked("2026-11-24T09:00:00+07:00").await;
        assert_eq!(names(&world.doctor.client.get(list).await.expect(200)), ["Аша Кузнецова"]);
        assert_eq!(names(&world.colleague.client.get(list).await.expect(200)), [""; 0]);
        let cancel = format!("/v1/appointments/{}/cancel", booked["id"].as_str().unwrap());
        world.asha.client.post(&cancel, &json!({})).await.expect(200);
        assert_eq!(names(&world.doctor.client.get(list).await.expect(200)), [""; 0]);
    }
}

on_both! {
    async fn patients_are_found_by_how_their_name_begins_page_by_page(world: World) {
        for name in ["Семёнова Анна", "СЕМЕНОВ Пётр", "Семенихин Лев", "Сёмина Ия", "Яковлев Семён"] {
            made(&world.registrar.client, "/v1/patients", new_patient(world, name)).await;
        }
        let nina = &world.registrar.client;
        let found = nina.all_pages("/v1/patients?query=%D0%A1%D0%B5%D0%BC%D1%91%D0%BD%D0%BE%D0%B2&limit=1").await;
        let found: Vec<_> = found.iter().map(|patient| patient["name"].as_str().unwrap()).collect();
        assert_eq!(found, ["СЕМЕНОВ Пётр", "Семёнова Анна"]);
        let all = nina.all_pages("/v1/patients?limit=2").await;
        let mut ids: Vec<_> = all.iter().map(|patient| patient["id"].to_string()).collect();
        assert_eq!(ids.len(), 7);
        ids.sort();
        ids.dedup();
        assert_eq!(ids.len(), 7);
        assert_eq!(nina.get("/v1/patients?limit=101").await.refused(400), "invalid_query");
        assert_eq!(nina.get("/v1/patients?cursor=x").await.refused(400), "invalid_cursor");
        assert_eq!(nina.get("/v1/patients?phone=1").await.refused(400), "invalid_query");
    }
}
