//! kill -9 in the middle of a booking load.

use std::cell::{Cell, RefCell};
use std::time::Duration;

use actix_web::http::Method;
use actix_web::rt;
use chrono::TimeDelta;
use feldsher::base::clock::{Clock, SystemClock};
use futures_util::future::join_all;
use serde_json::{Value, json};

use crate::server::{MASTER_KEY, Server, feldsher};
use crate::support::engine::Database;
use crate::support::world::PASSWORD;
use crate::support::{Client, Engine, House, World, client, key};

const KILLS: u64 = 20;
const CLIENTS: usize = 8;
/// Bookings that one round may try: 20 rounds fit into the doctor's next half year.
const TRIES_MAX: usize = 120;

#[actix_web::test]
async fn every_acknowledged_booking_survives_20_kills_and_none_is_there_twice_on_sqlite() {
    survive(Engine::Sqlite).await;
}

#[actix_web::test]
async fn every_acknowledged_booking_survives_20_kills_and_none_is_there_twice_on_postgres() {
    survive(Engine::Postgres).await;
}

/// A copy made beside the running server, as the handbook says, must not make the embedded database
/// forget what comes after it: SQLite trusts locks that a process loses by closing any descriptor.
#[actix_web::test]
async fn what_is_booked_after_a_copy_was_made_survives_a_kill_on_sqlite() {
    let clinic = build(Engine::Sqlite).await;
    let mut booked = Vec::new();
    for round in 0..2 {
        let mut server = Server::start(&clinic.database).await;
        let registrar = sign_in(&clinic, &server).await;
        for number in 0..2 {
            let copy = clinic.database.directory().join(format!("copy-{round}-{number}.db"));
            clinic.database.execute(&format!("VACUUM INTO '{}'", copy.display())).unwrap();
            let body = json!({
                "service": clinic.service, "practitioner": clinic.doctor,
                "patient": clinic.patients[0], "start": start(2 * round + number),
            });
            let visit = registrar.once("/v1/appointments", &key(), &body).await.expect(201);
            booked.push(visit["id"].as_str().unwrap().to_owned());
        }
        server.kill();
    }
    let server = Server::start(&clinic.database).await;
    let registrar = sign_in(&clinic, &server).await;
    for id in &booked {
        let visit = registrar.get(&format!("/v1/appointments/{id}")).await.expect(200);
        assert_eq!(visit["status"], "booked");
    }
}

/// One wish, with the key under which it may be sent again.
struct Wish {
    key: String,
    body: Value,
    /// The id that the server answered, if the answer came through.
    acknowledged: Option<String>,
}

/// Who books for whom.
pub struct Clinic {
    pub database: Database,
    registrar: String,
    pub doctor: String,
    pub service: String,
    pub patients: [String; 2],
}

async fn survive(engine: Engine) {
    let clinic = build(engine).await;
    let mut booked = 0;
    let mut lost_answers = 0;
    for round in 0..KILLS {
        let mut server = Server::start(&clinic.database).await;
        let wishes = load(&clinic, &mut server, round, booked).await;
        assert_eq!(clinic.database.count(OVERLAPS), 0, "round {round}");
        let server = Server::start(&clinic.database).await;
        let registrar = sign_in(&clinic, &server).await;
        for wish in &wishes {
            // Sent again under its key: an acknowledged one answers as before, a lost one is made now.
            let again = registrar.once("/v1/appointments", &wish.key, &wish.body).await.expect(201);
            match &wish.acknowledged {
                Some(id) => assert_eq!(again["id"], **id, "round {round}: another answer"),
                None => lost_answers += 1,
            }
            let path = format!("/v1/appointments/{}", again["id"].as_str().unwrap());
            assert_eq!(registrar.get(&path).await.expect(200)["status"], "booked");
        }
        booked += wishes.len();
        let there = clinic.database.count("SELECT count(*) AS n FROM appointments");
        assert_eq!(there, i64::try_from(booked).unwrap(), "round {round}");
    }
    assert_eq!(clinic.database.count(OVERLAPS), 0);
    assert!(lost_answers > 0, "no kill came between a wish and its answer: the load was too light");
    let verified = feldsher(&clinic.database).args(["audit", "verify"]).status().unwrap();
    assert!(verified.success(), "the audit chains are whole");
    println!("{booked} bookings, {lost_answers} answers lost, {KILLS} kills");
}

/// Pairs of appointments that overlap for one doctor or one patient.
const OVERLAPS: &str = "
    SELECT count(*) AS n FROM appointments a JOIN appointments b ON a.id < b.id
    AND (a.practitioner_id = b.practitioner_id OR a.patient_id = b.patient_id)
    AND a.starts_at < b.ends_at AND b.starts_at < a.ends_at";

pub async fn build(engine: Engine) -> Clinic {
    let house = House::open_with(engine, |config| {
        MASTER_KEY.clone_into(&mut config.seal.master_key.0);
    });
    let world = World::build_in(house.await).await;
    let clinic = (world.registrar.login.clone(), world.doctor.id.clone(), world.service.clone());
    let patients = [world.asha.id.clone(), world.boris.id.clone()];
    let database = world.house.leave().await;
    let (registrar, doctor, service) = clinic;
    Clinic { database, registrar, doctor, service, patients }
}

pub async fn sign_in(clinic: &Clinic, server: &Server) -> Client {
    let client = server.client();
    let body = json!({"login": clinic.registrar, "password": PASSWORD});
    let tokens = client.post("/v1/auth/password", &body).await.expect(200);
    client.with_token(tokens["access_token"].as_str().unwrap())
}

/// Books as fast as it can until the server is killed under it.
async fn load(clinic: &Clinic, server: &mut Server, round: u64, first: usize) -> Vec<Wish> {
    let registrar = sign_in(clinic, server).await;
    let tried = Cell::new(0);
    let wishes = RefCell::new(Vec::new());
    let dead = Cell::new(false);
    let one = || async {
        while !dead.get() && tried.get() < TRIES_MAX {
            let number = first + tried.replace(tried.get() + 1);
            let body = json!({
                "service": clinic.service, "practitioner": clinic.doctor,
                "patient": clinic.patients[number % 2], "start": start(number),
            });
            let key = key();
            let acknowledged = book(&registrar, &key, &body).await;
            wishes.borrow_mut().push(Wish { key, body, acknowledged });
        }
    };
    let crowd = join_all((0..CLIENTS).map(|_| one()));
    let blow = async {
        // Another moment in every round, from the first booking on.
        while tried.get() <= CLIENTS {
            rt::time::sleep(Duration::from_millis(1)).await;
        }
        rt::time::sleep(Duration::from_millis(13 * round)).await;
        server.kill();
        dead.set(true);
    };
    futures_util::future::join(crowd, blow).await;
    wishes.into_inner()
}

/// The id of the appointment, when the whole answer came through.
pub async fn book(registrar: &Client, key: &str, body: &Value) -> Option<String> {
    let request = registrar.request(Method::POST, "/v1/appointments");
    let sent = request.insert_header(("Idempotency-Key", key)).send_json(body).await;
    let answer = client::read(sent.ok()?).await;
    let id = answer.body["id"].as_str()?.to_owned();
    assert_eq!(answer.status.as_u16(), 201, "{}", answer.text);
    Some(id)
}

/// The n-th twenty minutes of the doctor's working weeks, from next Monday at 09:00 on.
pub fn start(number: usize) -> String {
    let number = i64::try_from(number).unwrap();
    let (day, slot) = (number / 24, number % 24);
    let days = day + 2 * (day / 5);
    let now = SystemClock.now().utc();
    let to_monday = 7 - i64::from(chrono::Datelike::weekday(&now).num_days_from_monday());
    let monday = now.date_naive() + TimeDelta::days(to_monday + days);
    // 09:00 in Krasnoyarsk is 02:00 in UTC all the year.
    let at = monday.and_hms_opt(2, 0, 0).unwrap() + TimeDelta::minutes(20 * slot);
    at.and_utc().to_rfc3339_opts(chrono::SecondsFormat::Secs, true)
}
