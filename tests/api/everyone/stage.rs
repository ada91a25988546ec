//! Two clinics with the same objects in both, and everyone who may ask for them.

use std::collections::HashMap;

use actix_web::http::Method;
use chrono::TimeDelta;
use feldsher::access::Facts;
use feldsher::access::table::Action;
use feldsher::account::AccountId;
use feldsher::base::ctx::as_system;
use feldsher::encounter::{self, EncounterId};
use feldsher::task::{self, TaskCode, TaskWhy};
use serde_json::{Value, json};

use super::rows::Who;
use crate::support::world::{self, made};
use crate::support::{Client, Engine, World, key};

/// The objects of one clinic, by the names that the rows use.
#[derive(Default)]
pub struct Place {
    ids: HashMap<&'static str, String>,
}

impl Place {
    pub fn id(&self, name: &str) -> &str {
        self.ids.get(name).unwrap_or_else(|| panic!("no {name} on the stage"))
    }

    /// A login that nobody has.
    pub fn login(&self) -> String {
        format!("new.{}", key().split('-').next().unwrap_or_default())
    }

    fn keep(&mut self, name: &'static str, id: &Value) {
        self.ids.insert(name, id.as_str().expect("an id").to_owned());
    }

    /// A path of the API with the ids of this place.
    pub fn path(&self, template: &str, object: &str) -> String {
        let mut path = template.to_owned();
        if !object.is_empty() {
            path = path.replace("{id}", self.id(object));
        }
        path.replace("{absence}", self.id("absence"))
            .replace("{extra}", self.id("extra"))
            .replace("{closure}", self.id("closure"))
            .replace("{account}", self.id("account"))
            .replace("{ring}", self.id("ring"))
            .replace("{guest}", self.id("guest"))
            .replace("{participant}", self.id("participant"))
            .replace("{role}", "registrar")
            .replace("{token}", "0123456789abcdef")
            .replace("{probe}", self.id("probe"))
    }
}

pub struct Stage {
    pub people: HashMap<Who, Client>,
    /// Those who hear 401, and how.
    pub outsiders: Vec<(&'static str, Client, &'static str)>,
    pub home: Place,
    pub abroad: Place,
}

struct Cast<'a> {
    clinic: &'a str,
    village: &'a str,
    service: &'a str,
    admin: &'a Client,
    registrar: &'a world::Person,
    doctor: &'a world::Person,
    patient: &'a world::Person,
}

/// What is used up: one for each who may remove it.
pub const SPENT: [[&str; 3]; 3] = [
    ["absence", "absence of the second", "absence of the third"],
    ["extra", "extra of the second", "extra of the third"],
    ["closure", "closure of the second", "closure of the third"],
];

const NOTE: &str = "Жалоб нет";

impl Stage {
    pub async fn set(world: &World) -> Self {
        let (house, admin) = (&world.house, &world.admin.client);
        let chief =
            world::member(house, admin, &world.clinic, "Ирина Главная", "clinic_admin", "glavnaya");
        let chief = chief.await;
        let clerk = world::member(
            house,
            admin,
            &world.other_clinic,
            "Инна Дальняя",
            "registrar",
            "dalnyaya",
        )
        .await;
        let zoya = world::patient(
            house,
            &clerk.client,
            &world.other_clinic,
            &world.village,
            "Зоя Дальняя",
            "+70000000003",
        )
        .await;
        let gone = world::practitioner(
            house,
            admin,
            &world.clinic,
            "Ушедший Врач",
            "doctor",
            "ushedshy",
            &[],
        )
        .await;
        let expired = world.boris.client.clone();
        let mut home = Place::default();
        let mut abroad = Place::default();
        for (place, doctor, patient, service) in [
            (&mut home, &world.doctor, &world.asha, &world.service),
            (&mut abroad, &world.stranger, &zoya, &world.other_service),
        ] {
            let missed = book(patient, doctor, service, "2026-11-23T02:20:00Z", false).await;
            place.keep("missed", &missed["id"]);
        }
        // The tokens so far run out; the first visits are near.
        house.advance(TimeDelta::minutes(26));
        let mut people = HashMap::new();
        for (who, person) in [
            (Who::Asha, &world.asha),
            (Who::Boris, &world.boris),
            (Who::Doctor, &world.doctor),
            (Who::Colleague, &world.colleague),
            (Who::Feldsher, &world.feldsher),
            (Who::Registrar, &world.registrar),
            (Who::Chief, &chief),
            (Who::Stranger, &world.stranger),
            (Who::SystemAdmin, &world.admin),
        ] {
            people.insert(who, world.resigned(person).await);
        }
        let (clerk, zoya, gone) = (
            world.resigned(&clerk).await,
            world.resigned(&zoya).await,
            world.resigned(&gone).await,
        );
        let cast = Cast {
            clinic: &world.clinic,
            village: &world.village,
            service: &world.service,
            admin: &people[&Who::SystemAdmin].client,
            registrar: &people[&Who::Registrar],
            doctor: &people[&Who::Doctor],
            patient: &people[&Who::Asha],
        };
        furnish(world, &mut home, cast).await;
        let cast = Cast {
            clinic: &world.other_clinic,
            village: &world.village,
            service: &world.other_service,
            admin: &people[&Who::SystemAdmin].client,
            registrar: &clerk,
            doctor: &people[&Who::Stranger],
            patient: &zoya,
        };
        furnish(world, &mut abroad, cast).await;

        somebody_waits(world, &people[&Who::Boris]).await;
        home.keep("deputy", &json!(world.colleague.id));
        abroad.keep("deputy", &json!(world.stranger.id));
        let guests = format!("/v1/encounters/{}/participants", home.id("live"));
        let advice = json!({"role": "specialist", "practitioner": world.colleague.id});
        made(&people[&Who::Doctor].client, &guests, advice).await;
        let admin = &people[&Who::SystemAdmin].client;
        let members = format!("/v1/organizations/{}/members", world.clinic);
        let listed = admin.get(&members).await.expect(200);
        let items = listed["items"].as_array().unwrap();
        let leaver = items.iter().find(|item| item["account"]["name"] == "Ушедший Врач").unwrap();
        let path = format!("{members}/{}/doctor", leaver["account"]["id"].as_str().unwrap());
        let version = leaver["version"].as_i64().unwrap();
        let end = json!({"state": "disabled"});
        admin.edit(Method::PATCH, &path, version, &end).await.expect(200);
        let registrar = &people[&Who::Registrar].client;
        let signed_out = world::patient(
            house,
            registrar,
            &world.clinic,
            &world.village,
            "Вера Вышедшая",
            "+70000000004",
        )
        .await
        .client;
        signed_out.post("/v1/auth/logout", &json!({})).await.expect(204);
        let outsiders = vec![
            ("nobody", house.client(), "unauthorized"),
            ("a garbage token", house.client().with_token("garbage"), "invalid_token"),
            ("an expired token", expired, "invalid_token"),
            ("a signed-out session", signed_out, "session_over"),
            ("a doctor who has left", gone.client, "session_over"),
        ];
        let people = people.into_iter().map(|(who, person)| (who, person.client)).collect();
        Self { people, outsiders, home, abroad }
    }
}

/// A patient waits for the doctor since half past eight, for something that the colleague does as
/// well, and that nothing else on the stage is about.
async fn somebody_waits(world: &World, patient: &world::Person) {
    let (doctor, service) = (&world.doctor, &world.long_service);
    let late = book(patient, doctor, service, "2026-11-24T02:00:00Z", false).await;
    let code = late["code"].as_str().unwrap();
    let (by, colleague, service) = match world.house.engine {
        Engine::Sqlite => ("88200000000", hex(&world.colleague.id), hex(service)),
        Engine::Postgres => ("interval '24.5 hours'", quoted(&world.colleague.id), quoted(service)),
    };
    let sql = format!(
        "UPDATE appointments SET starts_at = starts_at - {by}, ends_at = ends_at - {by},
           busy_from = busy_from - {by}, busy_to = busy_to - {by} WHERE code = '{code}';
         UPDATE encounters SET starts_at = starts_at - {by}
         WHERE appointment_id = (SELECT id FROM appointments WHERE code = '{code}');
         INSERT INTO practitioner_services (practitioner_id, service_id)
         VALUES ({colleague}, {service})"
    );
    world.house.execute(&sql).unwrap();
    world.enters(patient, late["encounter"]["id"].as_str().unwrap()).await;
}

fn hex(id: &str) -> String {
    format!("x'{}'", id.replace('-', ""))
}

fn quoted(id: &str) -> String {
    format!("'{id}'")
}

async fn book(
    patient: &world::Person,
    doctor: &world::Person,
    service: &str,
    start: &str,
    hold: bool,
) -> Value {
    let body = json!({"service": service, "practitioner": doctor.id, "start": start, "hold": hold});
    made(&patient.client, "/v1/appointments", body).await
}

/// A call-back that the doctor answers for, as when nobody came to a ring.
async fn task_about(world: &World, visit: &str, doctor: &world::Person) -> String {
    let me = doctor.client.get("/v1/me").await.expect(200);
    let owner: AccountId = me["account"]["id"].as_str().unwrap().parse().unwrap();
    let visit: EncounterId = visit.parse().unwrap();
    let opened = as_system(&world.house.app, move |tx| {
        tx.allow(Action::WatchVisits, &Facts::NONE)?;
        let visit = encounter::find_row(tx, visit)?;
        task::open(tx, &visit, TaskCode::Callback, TaskWhy::NoAnswer, Some(owner))
    });
    opened.await.unwrap().to_string()
}

/// Puts one object of every kind into a clinic.
async fn furnish(world: &World, place: &mut Place, cast: Cast<'_>) {
    let Cast { clinic, village, service, admin, registrar, doctor, patient } = cast;
    for (name, id) in [
        ("clinic", clinic),
        ("village", village),
        ("service", service),
        ("account", &registrar.id),
        ("practitioner", &doctor.id),
        ("patient", &patient.id),
    ] {
        place.ids.insert(name, id.to_owned());
    }
    let day = json!({"from": "2026-12-01T00:00:00Z", "to": "2026-12-02T00:00:00Z"});
    let days = json!({"name": {"en": "Holiday", "ru": "Праздник"},
        "from_date": "2026-12-03", "to_date": "2026-12-04"});
    let [absences, extra, closures] = SPENT;
    for (names, client, path, body) in [
        (absences, &doctor.client, format!("/v1/practitioners/{}/absences", doctor.id), &day),
        (extra, &doctor.client, format!("/v1/practitioners/{}/extra-hours", doctor.id), &day),
        (closures, &registrar.client, format!("/v1/organizations/{clinic}/closures"), &days),
    ] {
        for name in names {
            place.keep(name, &made(client, &path, body.clone()).await["id"]);
        }
    }
    let hit = book(patient, doctor, service, "2026-12-02T03:00:00Z", false).await;
    place.keep("hit", &hit["id"]);
    let hour = json!({"from": "2026-12-02T03:00:00Z", "to": "2026-12-02T04:00:00Z"});
    let leave = format!("/v1/practitioners/{}/absences", doctor.id);
    place.keep("leave", &made(&doctor.client, &leave, hour).await["id"]);
    let plans = format!("/v1/practitioners/{}/illness-plans", doctor.id);
    let day = json!({"from": "2026-12-09T00:00:00Z", "to": "2026-12-10T00:00:00Z"});
    place.keep("plan", &made(&doctor.client, &plans, day).await["id"]);
    for (name, start) in [("planned", "03:00"), ("held", "03:20")] {
        let start = format!("2026-11-23T{start}:00Z");
        let booked = book(patient, doctor, service, &start, name == "held").await;
        place.keep(name, &booked["id"]);
    }
    for (name, start) in [("asked", "05:00"), ("unwanted", "05:20")] {
        let body = json!({"service": service, "practitioner": doctor.id, "request": true,
            "start": format!("2026-11-23T{start}:00Z")});
        place.keep(name, &made(&patient.client, "/v1/appointments", body).await["id"]);
    }
    // One wish that was met, and one for which a time is held.
    for (name, start) in [("met wish", "03:00"), ("wish", "03:20")] {
        let wish = json!({"service": service, "practitioner": doctor.id, "earliest": format!("2026-12-15T{start}:00Z"),
            "latest": format!("2026-12-15T{start}:30Z")});
        place.keep(name, &made(&patient.client, "/v1/waitlist", wish).await["id"]);
        if name == "met wish" {
            let accept = format!("/v1/waitlist/{}/accept", place.id(name));
            patient.client.post(&accept, &json!({})).await.expect(200);
        }
    }
    let hamlet = json!({"name": "Заимка", "kind": "village", "organization": clinic,
        "time_zone": world::ZONE, "link_class": "2g"});
    place.keep("hamlet", &made(admin, "/v1/locations", hamlet).await["id"]);
    let room =
        json!({"kind": "room", "name": "Кабинет", "organization": clinic, "location": village});
    place.keep("room", &made(admin, "/v1/resources", room).await["id"]);
    for (name, start) in
        [("live", "02:40"), ("second", "03:40"), ("noted", "04:00"), ("drafted", "04:20")]
    {
        let start = format!("2026-11-23T{start}:00Z");
        let booked = book(patient, doctor, service, &start, false).await;
        place.keep(name, &booked["encounter"]["id"]);
        if name == "live" {
            let join = format!("/v1/encounters/{}/join", place.id(name));
            let joined = patient.client.post(&join, &json!({})).await.expect(200);
            place.keep("participant", &joined["participant"]["id"]);
            let probes = format!("/v1/encounters/{}/probes", place.id(name));
            place.keep("probe", &made(&patient.client, &probes, json!({})).await["id"]);
            let rings = format!("/v1/encounters/{}/rings", place.id(name));
            place.keep("ring", &made(&doctor.client, &rings, json!({})).await["id"]);
            place.keep("task", &json!(task_about(world, place.id(name), doctor).await));
            let guests = format!("/v1/encounters/{}/participants", place.id(name));
            let sister = json!({"role": "relative", "name": "Сестра", "phone": "+70000000092"});
            place.keep("guest", &made(&patient.client, &guests, sister).await["id"]);
        }
        // As when both have come over their sockets.
        let code = booked["code"].as_str().unwrap();
        let sql = format!(
            "UPDATE encounter_participants SET state = 'waiting', waiting_since = updated_at;
             UPDATE encounters SET status = 'in-progress', arrived_at = updated_at
             WHERE appointment_id = (SELECT id FROM appointments WHERE code = '{code}');
             UPDATE appointments SET status = 'arrived' WHERE code = '{code}'"
        );
        world.house.execute(&sql).unwrap();
    }
    for (name, visit) in [("signed", "noted"), ("draft", "drafted")] {
        let notes = format!("/v1/encounters/{}/notes", place.id(visit));
        let note = made(&doctor.client, &notes, json!({"subjective": NOTE})).await;
        place.keep(name, &note["id"]);
    }
    let consents = format!("/v1/patients/{}/consents", place.id("patient"));
    let agreed = json!({"kind": "telehealth", "form_version": 1});
    place.keep("consent", &made(&patient.client, &consents, agreed).await["id"]);
    let sign = format!("/v1/notes/{}/sign", place.id("signed"));
    doctor.client.post(&sign, &json!({})).await.expect(200);
}
