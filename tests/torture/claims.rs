//! Two processes on one PostgreSQL: two doctors take the same patient at the same moment, one at
//! each, and a patient who sits at one of them hears what happened at the other.

use actix_web::http::Method;
use chrono::TimeDelta;
use feldsher::base::clock::{Clock, SystemClock};
use futures_util::future::join;
use serde_json::{Value, json};

use crate::server::{MASTER_KEY, Server};
use crate::support::engine::Database;
use crate::support::peer::{Peer, kinds};
use crate::support::visit::encounter_of;
use crate::support::world::{self, Person};
use crate::support::{Answer, Client, Engine, House, World, key};

/// Those whom they both reach for, one after another.
const PATIENTS: [(&str, &str); 3] = [
    ("Зоя Первая", "+70000000031"),
    ("Вера Вторая", "+70000000032"),
    ("Ольга Третья", "+70000000033"),
];

struct Stage {
    /// Who waits, and in which visit, the first planned first.
    waiting: Vec<(Person, String)>,
    doctor: Person,
    takers: [Person; 2],
    database: Database,
}

impl Stage {
    /// Patients wait for their doctor, who does not come, in visits that should have begun.
    async fn set(database: Database) -> Self {
        let house = House::open_today(database, |config| {
            MASTER_KEY.clone_into(&mut config.seal.master_key.0);
        });
        let world = World::build_in(house.await).await;
        let taker = async |name, login| {
            let (house, admin) = (&world.house, &world.admin.client);
            let services = [world.service.as_str()];
            world::practitioner(house, admin, &world.clinic, name, "doctor", login, &services).await
        };
        let takers =
            [taker("Галина Смелова", "smelova").await, taker("Роман Второй", "vtoroy").await];
        let days = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"];
        let rules = days.map(|day| json!({"weekday": day, "from": "00:00", "to": "24:00"}));
        for who in [&world.doctor, &takers[0], &takers[1]] {
            let path = format!("/v1/practitioners/{}/schedule", who.id);
            let version = who.client.get(&path).await.expect(200)["version"].as_i64().unwrap();
            who.client
                .edit(Method::PUT, &path, version, &json!({"rules": rules}))
                .await
                .expect(200);
        }
        let mut waiting = Vec::new();
        for (number, (name, phone)) in PATIENTS.into_iter().enumerate() {
            let (house, clerk) = (&world.house, &world.registrar.client);
            let (clinic, village) = (&world.clinic, &world.village);
            let patient = world::patient(house, clerk, clinic, village, name, phone).await;
            let start = SystemClock.now().utc() + TimeDelta::minutes(30);
            let wish = json!({
                "service": world.service, "practitioner": world.doctor.id, "patient": patient.id,
                "start": start.format("%Y-%m-%dT%H:%M:00Z").to_string(),
            });
            let booked =
                world.registrar.client.once("/v1/appointments", &key(), &wish).await.expect(201);
            let visit = encounter_of(&booked);
            let code = booked["code"].as_str().unwrap();
            let earlier = |minutes: i64| {
                let by = format!("interval '{minutes} minutes'");
                let moved = format!(
                    "UPDATE appointments SET starts_at = starts_at - {by}, ends_at = ends_at - {by},
                       busy_from = busy_from - {by}, busy_to = busy_to - {by} WHERE code = '{code}';
                     UPDATE encounters SET starts_at = starts_at - {by}
                     WHERE appointment_id = (SELECT id FROM appointments WHERE code = '{code}')"
                );
                world.house.execute(&moved).unwrap();
            };
            // It should have begun five minutes ago: she comes, and has waited since long before.
            earlier(35);
            world.enters(&patient, &visit).await;
            earlier(25 * i64::try_from(PATIENTS.len() - 1 - number).unwrap());
            waiting.push((patient, visit));
        }
        let doctor = world.doctor.clone();
        let database = world.house.leave().await;
        Self { waiting, doctor, takers, database }
    }
}

async fn takes(client: Client, who: &Person, body: &Value) -> Answer {
    client.once(&format!("/v1/practitioners/{}/claims", who.id), &key(), body).await
}

async fn finishes(client: &Client, visit: &str) {
    client.post(&format!("/v1/encounters/{visit}/finish"), &json!({})).await.expect(200);
}

#[actix_web::test]
async fn of_two_processes_one_gives_a_patient_away_and_the_other_says_so() {
    let stage = Stage::set(Engine::Postgres.create()).await;
    let here = Server::start(&stage.database).await;
    let there = Server::start(&stage.database).await;
    let [one, two] = &stage.takers;
    for (who, visit) in &stage.waiting {
        let (mut patient, _) = Peer::enter(&who.client.at(&here.url), visit).await;
        patient.hear_all().await;
        let this = json!({"encounter": visit});
        let (left, right) = join(
            takes(one.client.at(&here.url), one, &this),
            takes(two.client.at(&there.url), two, &this),
        )
        .await;
        let (won, lost, at, elsewhere) = match left.status.as_u16() {
            201 => (one, right, &here, &there),
            _ => (two, left, &there, &here),
        };
        assert_eq!(lost.refused(409), "already_taken");
        // At either of them it is the same visit, and the patient is told where they sit.
        for server in [at, elsewhere] {
            let path = format!("/v1/encounters/{visit}");
            let shown = who.client.at(&server.url).get(&path).await.expect(200);
            assert_eq!(shown["practitioner"]["id"], json!(won.id));
            let former = stage.doctor.client.at(&server.url);
            let refused = former.post(&format!("{path}/join"), &json!({})).await;
            assert_eq!(refused.refused(404), "not_found");
        }
        while patient.hear().await["t"] != "care" {}
        // The new doctor sits down at the process that lost, and the two find each other.
        let (mut desk, _) = Peer::enter(&won.client.at(&elsewhere.url), visit).await;
        desk.say("admit", json!({"participant": patient.id})).await;
        patient.hear_of("admitted").await;
        desk.hear_of("negotiate").await;
        finishes(&won.client.at(&elsewhere.url), visit).await;
        assert_eq!(kinds(&patient.hear_out().await.0).last(), Some(&"ended"));
    }
    let taken = "SELECT count(*) AS n FROM appointment_moves WHERE because IS NOT NULL";
    assert_eq!(usize::try_from(stage.database.count(taken)), Ok(PATIENTS.len()));
}
