//! The clinic in which the sequences are played: few people, rooms and interpreters, so that all
//! are in each other's way.

use std::sync::Arc;

use actix_web::http::Method;
use chrono::TimeDelta;
use diesel::prelude::*;
use feldsher::access::caller::{self, Caller};
use feldsher::base::app::App;
use feldsher::base::clock::ManualClock;
use feldsher::base::column::Instant;
use feldsher::base::db::Conn;
use feldsher::base::error::Error;
use feldsher::base::language::Language;
use feldsher::base::tx::{Sees, Tx};
use feldsher::organization::{OrganizationId, ServiceId};
use feldsher::patient::PatientId;
use feldsher::practitioner::PractitionerId;
use serde_json::{Value, json};

use super::intervals::{
    DEVICES, DOCTORS, INTERPRETERS_END, Kind, Model, NEXT_DAY, PATIENTS, ROOMS, Range, SERVICES,
    Service, TICK_MINUTES, WAITERS, WORKERS, Who,
};
use super::step;
use crate::support::world::{ZONE, made};
use crate::support::{Engine, World};

/// Sequences take turns on so many Tuesdays, each with hours of its own, as many as somebody can have.
pub const WEEKS: usize = 24;
/// The first of them, 09:00 in Krasnoyarsk.
const OPEN: &str = "2026-11-24T02:00:00Z";
/// A sequence begins so long before its day.
const AHEAD_HOURS: i64 = 24;

/// The people, as the deeds name them.
#[derive(Clone)]
pub struct Stage {
    /// None between two processes.
    pub app: Option<Arc<App>>,
    pub registrar: Caller,
    /// When the sequence that is played has its day.
    pub open: Instant,
    pub clinic: OrganizationId,
    pub services: Vec<ServiceId>,
    pub workers: Vec<PractitionerId>,
    pub rooms: Vec<uuid::Uuid>,
    pub devices: Vec<uuid::Uuid>,
    pub patients: Vec<PatientId>,
}

fn id(body: &Value) -> &str {
    body["id"].as_str().unwrap()
}

pub fn time(tick: i64) -> String {
    let minutes = 9 * 60 + tick * TICK_MINUTES;
    format!("{:02}:{:02}", minutes / 60, minutes % 60)
}

fn open(week: usize) -> Instant {
    OPEN.parse::<Instant>().unwrap().plus(TimeDelta::weeks(i64::try_from(week).unwrap()))
}

impl Stage {
    pub async fn set(engine: Engine, seed: u64) -> (World, Arc<ManualClock>, Self) {
        let world = World::build(engine).await;
        let (admin, registrar) = (&world.admin.client, &world.registrar.client);
        let mut services = Vec::new();
        for Service { visit, before, after, needs } in SERVICES {
            let name = |kind: &Kind| match kind {
                Kind::Room => "room",
                Kind::Device => "device",
                Kind::Interpreter => "interpreter",
                Kind::Feldsher => "feldsher",
            };
            let needs: Vec<&str> = needs.iter().map(name).collect();
            let booking = json!({
                "buffer_before_minutes": before * TICK_MINUTES,
                "buffer_after_minutes": after * TICK_MINUTES,
                // No day but the next is offered.
                "horizon_days": 3,
            });
            let body = json!({
                "name": {"en": "Model", "ru": "Модель"}, "organization": world.clinic,
                "specialty": "general-practice", "duration_minutes": visit * TICK_MINUTES,
                "modes": ["video"], "resources": needs, "booking": booking,
            });
            let made = made(admin, "/v1/healthcare-services", body).await;
            services.push(id(&made).to_owned());
        }
        let (mut rooms, mut devices) = (Vec::new(), Vec::new());
        for (kind, many, things) in [("room", ROOMS, &mut rooms), ("device", DEVICES, &mut devices)]
        {
            for number in 0..many {
                let body = json!({"kind": kind, "name": format!("Станция {number}"),
                    "organization": world.clinic, "location": world.village});
                things.push(id(&made(admin, "/v1/resources", body).await).parse().unwrap());
            }
        }
        let mut workers = Vec::new();
        for number in 0..WORKERS {
            let mut body = json!({"name": "Модельный Человек", "kind": "interpreter",
                "time_zone": ZONE, "organization": world.clinic});
            if number >= INTERPRETERS_END {
                body["kind"] = json!("feldsher");
            }
            if number < DOCTORS {
                body["kind"] = json!("doctor");
                body["specialty"] = json!("general-practice");
                body["services"] = json!(services);
            }
            let worker = made(admin, "/v1/practitioners", body).await;
            let path = format!("/v1/practitioners/{}/schedule", id(&worker));
            let days = (0..WEEKS).map(|week| step::hours(seed, week)[number].clone());
            let rules: Vec<Value> = days.enumerate().flat_map(rules_of_day).collect();
            registrar.edit(Method::PUT, &path, 1, &json!({"rules": rules})).await.expect(200);
            workers.push(id(&worker).parse().unwrap());
        }
        let mut patients: Vec<PatientId> =
            [&world.asha, &world.boris].iter().map(|patient| patient.id.parse().unwrap()).collect();
        while patients.len() < PATIENTS + WAITERS {
            let body = json!({
                "name": format!("Пациент {}", patients.len()), "birth_date": "1980-01-01",
                "location": world.village, "organization": world.clinic, "language": "ru",
            });
            patients.push(id(&made(registrar, "/v1/patients", body).await).parse().unwrap());
        }
        let app = Arc::clone(&world.house.app);
        let now = world.house.now();
        let token = registrar.token.clone().unwrap();
        let session = app.tokens.verify_access(&token, now).unwrap().session;
        let found = app.db.read(move |conn| caller::of_session(conn, session, now)).await;
        let registrar = found.unwrap().unwrap();
        let services = services.iter().map(|id| id.parse().unwrap()).collect();
        let app = Some(app);
        let (open, clinic) = (open(0), world.clinic.parse().unwrap());
        let stage =
            Self { app, registrar, open, clinic, services, workers, rooms, devices, patients };
        let clock = Arc::clone(&world.house.clock);
        (world, clock, stage)
    }

    /// The next sequence has another day.
    pub fn turn_to(&mut self, week: usize) {
        self.open = open(week);
    }

    pub fn now(&self, model: &Model) -> Instant {
        let begin = self.open.minus(TimeDelta::hours(AHEAD_HOURS));
        begin.plus(TimeDelta::minutes(model.now))
    }

    /// An instant in minutes since the beginning, as `now` of the model.
    pub fn minute(&self, at: Instant) -> i64 {
        at.since(self.open.minus(TimeDelta::hours(AHEAD_HOURS))).num_minutes()
    }

    pub fn at(&self, tick: i64) -> Instant {
        self.open.plus(TimeDelta::minutes(TICK_MINUTES * tick))
    }

    /// The day, as a calendar of the clinic has it.
    pub fn date(&self) -> String {
        self.open.utc().date_naive().to_string()
    }

    /// The tick at which an instant lies.
    pub fn tick(&self, at: Instant) -> i64 {
        at.since(self.open).num_minutes() / TICK_MINUTES
    }

    pub fn worker(&self, id: PractitionerId) -> usize {
        self.workers.iter().position(|one| *one == id).expect("somebody who works here")
    }

    pub fn patient(&self, id: PatientId) -> usize {
        self.patients.iter().position(|one| *one == id).expect("a patient of ours")
    }

    pub fn id_of(&self, who: Who) -> uuid::Uuid {
        match who {
            Who::Worker(worker) => self.workers[worker].0,
            Who::Patient(patient) => self.patients[patient].0,
            Who::Room(room) => self.rooms[room],
            Who::Device(device) => self.devices[device],
        }
    }

    /// A deed in a transaction of its own, within the one of the whole piece: done, or refused with
    /// a code. An error is our own mistake.
    pub fn deed<T>(
        &self,
        conn: &mut Conn,
        model: &Model,
        deed: impl FnOnce(&mut Tx) -> Result<T, Error>,
    ) -> Result<Result<T, String>, String> {
        self.deed_that(Sees::Latest, conn, model, deed)
    }

    /// As [`Stage::deed`], of one that may only read, and so may read out of memory.
    pub fn deed_that<T>(
        &self,
        sees: Sees,
        conn: &mut Conn,
        model: &Model,
        deed: impl FnOnce(&mut Tx) -> Result<T, Error>,
    ) -> Result<Result<T, String>, String> {
        let (now, caller) = (self.now(model), self.registrar.clone());
        let done = conn.transaction(|conn| {
            let tx = Tx::new(conn, self.app.as_ref().unwrap(), now, caller, Language::English);
            let mut tx = tx.seeing(sees);
            let value = deed(&mut tx)?;
            tx.end()?;
            Ok(value)
        });
        match done {
            Ok(value) => Ok(Ok(value)),
            Err(Error::Refused(refusal)) => Ok(Err(refusal.problem.code.to_owned())),
            Err(error) => Err(error.to_string()),
        }
    }
}

fn rules_of_day((week, windows): (usize, Vec<Range>)) -> Vec<Value> {
    let rule = |(from, to): Range| {
        let (weekday, later) = if from < NEXT_DAY { ("tue", 0) } else { ("wed", 1) };
        let date = open(week).plus(TimeDelta::days(later)).utc().date_naive().to_string();
        json!({"weekday": weekday, "from": time(from - later * NEXT_DAY),
            "to": time(to - later * NEXT_DAY), "valid_from": date, "valid_to": date})
    };
    windows.into_iter().map(rule).collect()
}
