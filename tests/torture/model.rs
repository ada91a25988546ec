//! Booking against a model of intervals that a person can check by reading it.
//!
//! Whole sequences of deeds run inside one transaction that is thrown away at their end, so that
//! hundreds fit into a minute. After every deed the database holds what the model holds, and what
//! is offered is what the model finds free by trying every time.

use std::collections::BTreeMap;
use std::sync::Arc;

use chrono::TimeDelta;
use diesel::prelude::*;
use feldsher::access::caller::{self, Caller};
use feldsher::appointment::book::{self, BookAppointment};
use feldsher::appointment::change::{self, CancelAppointment};
use feldsher::appointment::reschedule::{self, RescheduleAppointment};
use feldsher::appointment::{Appointment, AppointmentId};
use feldsher::base::app::App;
use feldsher::base::column::{self, Instant};
use feldsher::base::db::Conn;
use feldsher::base::error::Error;
use feldsher::base::language::Language;
use feldsher::base::schema::{appointments, occupancies};
use feldsher::base::tx::Tx;
use feldsher::organization::ServiceId;
use feldsher::patient::PatientId;
use feldsher::practitioner::PractitionerId;
use feldsher::schedule::absence::{self, AbsenceId, AddAbsence};
use feldsher::schedule::slots::{self, SlotFilter};
use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::TestRunner;
use serde_json::json;

use crate::support::world::{made, practitioner};
use crate::support::{Engine, World};

/// Sequences per engine; `TEST_SEQUENCES` asks for another number.
const SEQUENCES: usize = 60;
const STEPS: usize = 50;
/// The day on which everything happens: Tuesday, 09:00 to 17:00 in Krasnoyarsk.
const OPEN: &str = "2026-11-24T02:00:00Z";
/// Times are multiples of this, from the opening on.
const TICK_MINUTES: i64 = 10;
const DAY_TICKS: i64 = 48;
const VISIT_TICKS: i64 = 2;
/// Kept free after each visit.
const BUFFER_TICKS: i64 = 1;
const HOLD_MINUTES: i64 = 10;
const HOLDS_MAX: usize = 3;
const DOCTORS: usize = 2;
const PATIENTS: usize = 3;

#[derive(Debug, Clone)]
enum Step {
    Book { doctor: Option<usize>, patient: usize, tick: i64, hold: bool },
    Confirm { visit: usize },
    Cancel { visit: usize },
    Move { visit: usize, doctor: Option<usize>, tick: i64 },
    Leave { doctor: usize, tick: i64, ticks: i64 },
    Return { absence: usize },
    Wait { minutes: i64 },
}

fn step() -> impl Strategy<Value = Step> {
    let tick = -2..DAY_TICKS + 2;
    let doctor = || prop::option::of(0..DOCTORS);
    prop_oneof![
        8 => (doctor(), 0..PATIENTS, tick.clone(), any::<bool>())
            .prop_map(|(doctor, patient, tick, hold)| Step::Book { doctor, patient, tick, hold }),
        3 => (0..30_usize).prop_map(|visit| Step::Confirm { visit }),
        2 => (0..30_usize).prop_map(|visit| Step::Cancel { visit }),
        4 => (0..30_usize, doctor(), tick.clone())
            .prop_map(|(visit, doctor, tick)| Step::Move { visit, doctor, tick }),
        1 => (0..DOCTORS, tick, 1..8_i64)
            .prop_map(|(doctor, tick, ticks)| Step::Leave { doctor, tick, ticks }),
        1 => (0..4_usize).prop_map(|absence| Step::Return { absence }),
        3 => (1..8_i64).prop_map(|minutes| Step::Wait { minutes }),
    ]
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Standing {
    Held {
        until: i64,
    },
    Booked,
    Cancelled,
    /// Called off after the hold had run out: whether it counts as the one or the other depends
    /// on whether somebody needed the time in between.
    Lapsed,
}

#[derive(Debug, Clone)]
struct Visit {
    doctor: usize,
    patient: usize,
    tick: i64,
    standing: Standing,
}

impl Visit {
    fn is_live(&self, now: i64) -> bool {
        match self.standing {
            Standing::Held { until } => until > now,
            Standing::Booked => true,
            Standing::Cancelled | Standing::Lapsed => false,
        }
    }
}

/// What should be; times in ticks, `now` in minutes since the beginning.
#[derive(Debug, Default)]
struct Model {
    now: i64,
    visits: BTreeMap<usize, Visit>,
    absences: BTreeMap<usize, (usize, i64, i64)>,
}

fn overlap(a: (i64, i64), b: (i64, i64)) -> bool {
    a.0 < b.1 && b.0 < a.1
}

impl Model {
    fn works(&self, doctor: usize, tick: i64) -> bool {
        let visit = (tick, tick + VISIT_TICKS);
        visit.0 >= 0
            && visit.1 <= DAY_TICKS
            && !self
                .absences
                .values()
                .any(|(who, from, to)| *who == doctor && overlap(visit, (*from, *to)))
    }

    fn doctor_is_free(&self, doctor: usize, tick: i64, but: Option<usize>) -> bool {
        let wanted = (tick, tick + VISIT_TICKS + BUFFER_TICKS);
        !self.visits.iter().any(|(id, visit)| {
            Some(*id) != but
                && visit.doctor == doctor
                && visit.is_live(self.now)
                && overlap(wanted, (visit.tick, visit.tick + VISIT_TICKS + BUFFER_TICKS))
        })
    }

    fn patient_is_free(&self, patient: usize, tick: i64, but: Option<usize>) -> bool {
        let wanted = (tick, tick + VISIT_TICKS);
        !self.visits.iter().any(|(id, visit)| {
            Some(*id) != but
                && visit.patient == patient
                && visit.is_live(self.now)
                && overlap(wanted, (visit.tick, visit.tick + VISIT_TICKS))
        })
    }

    /// With whom a visit could be booked, or why not.
    fn book(
        &self,
        doctor: Option<usize>,
        patient: usize,
        tick: i64,
        hold: bool,
    ) -> Result<Vec<usize>, &'static str> {
        let held = |visit: &&Visit| {
            visit.patient == patient
                && matches!(visit.standing, Standing::Held { until } if until > self.now)
        };
        if hold && self.visits.values().filter(held).count() >= HOLDS_MAX {
            return Err("too_many_holds");
        }
        let asked = doctor.map_or((0..DOCTORS).collect(), |doctor| vec![doctor]);
        let working: Vec<usize> =
            asked.into_iter().filter(|doctor| self.works(*doctor, tick)).collect();
        if working.is_empty() {
            return Err("outside_hours");
        }
        let free: Vec<usize> =
            working.into_iter().filter(|doctor| self.doctor_is_free(*doctor, tick, None)).collect();
        if free.is_empty() {
            return Err("slot_taken");
        }
        if self.patient_is_free(patient, tick, None) { Ok(free) } else { Err("patient_busy") }
    }

    fn reschedule(
        &self,
        id: usize,
        doctor: Option<usize>,
        tick: i64,
    ) -> Result<usize, &'static str> {
        let visit = &self.visits[&id];
        match visit.standing {
            Standing::Cancelled => return Err("bad_state"),
            Standing::Lapsed => return Err("bad_state or hold_over"),
            Standing::Held { until } if until <= self.now => return Err("hold_over"),
            Standing::Held { .. } | Standing::Booked => {}
        }
        let doctor = doctor.unwrap_or(visit.doctor);
        if !self.works(doctor, tick) {
            return Err("outside_hours");
        }
        if !self.patient_is_free(visit.patient, tick, Some(id)) {
            return Err("patient_busy");
        }
        if self.doctor_is_free(doctor, tick, Some(id)) { Ok(doctor) } else { Err("slot_taken") }
    }

    fn confirm(&self, id: usize) -> Result<(), &'static str> {
        match self.visits[&id].standing {
            Standing::Booked => Ok(()),
            Standing::Held { until } if until > self.now => Ok(()),
            Standing::Held { .. } | Standing::Cancelled | Standing::Lapsed => Err("hold_over"),
        }
    }

    /// The starts that are offered for a doctor: every twenty minutes of the working day.
    fn offered(&self, doctor: usize) -> Vec<i64> {
        (0..DAY_TICKS)
            .step_by(usize::try_from(VISIT_TICKS).unwrap())
            .filter(|tick| self.works(doctor, *tick) && self.doctor_is_free(doctor, *tick, None))
            .collect()
    }
}

/// The people, as the deeds name them.
#[derive(Clone)]
struct Stage {
    app: Arc<App>,
    registrar: Caller,
    begin: Instant,
    service: ServiceId,
    doctors: Vec<PractitionerId>,
    patients: Vec<PatientId>,
}

impl Stage {
    async fn set(engine: Engine) -> (World, Self) {
        let world = World::build(engine).await;
        let admin = &world.admin.client;
        let service = made(admin, "/v1/healthcare-services", json!({
            "name": {"en": "Model", "ru": "Модель"}, "organization": world.clinic,
            "specialty": "general-practice", "duration_minutes": VISIT_TICKS * TICK_MINUTES,
            "modes": ["video"], "booking": {"buffer_after_minutes": BUFFER_TICKS * TICK_MINUTES},
        }))
        .await;
        let service = service["id"].as_str().unwrap().to_owned();
        let hours = json!({"rules": [{"weekday": "tue", "from": "09:00", "to": "17:00"}]});
        let mut doctors = Vec::new();
        for login in ["first.model", "second.model"] {
            let doctor = practitioner(
                &world.house,
                admin,
                &world.clinic,
                "Модельный Врач",
                "doctor",
                login,
                &[&service],
            )
            .await;
            let path = format!("/v1/practitioners/{}/schedule", doctor.id);
            let put = actix_web::http::Method::PUT;
            world.registrar.client.edit(put, &path, 1, &hours).await.expect(200);
            doctors.push(doctor.id.parse().unwrap());
        }
        let mut patients: Vec<PatientId> =
            [&world.asha, &world.boris].iter().map(|patient| patient.id.parse().unwrap()).collect();
        let third = made(
            &world.registrar.client,
            "/v1/patients",
            json!({
                "name": "Вера", "birth_date": "1980-01-01", "location": world.village,
                "organization": world.clinic, "language": "ru",
            }),
        )
        .await;
        patients.push(third["id"].as_str().unwrap().parse().unwrap());
        let app = Arc::clone(&world.house.app);
        let begin = world.house.now();
        let token = world.registrar.client.token.clone().unwrap();
        let session = app.tokens.verify_access(&token, begin).unwrap().session;
        let found = app.db.read(move |conn| caller::of_session(conn, session, begin)).await;
        let registrar = found.unwrap().unwrap();
        let stage =
            Self { app, registrar, begin, service: service.parse().unwrap(), doctors, patients };
        (world, stage)
    }

    fn now(&self, model: &Model) -> Instant {
        self.begin.plus(TimeDelta::minutes(model.now))
    }

    fn at(&self, tick: i64) -> Instant {
        let open: Instant = OPEN.parse().unwrap();
        open.plus(TimeDelta::minutes(TICK_MINUTES * tick))
    }

    /// A deed in a transaction of its own, within the one of the whole sequence.
    fn deed<T>(
        &self,
        conn: &mut Conn,
        model: &Model,
        deed: impl FnOnce(&mut Tx) -> Result<T, Error>,
    ) -> Result<Result<T, String>, Error> {
        let (now, caller) = (self.now(model), self.registrar.clone());
        let done = conn.transaction(|conn| {
            let mut tx = Tx::new(conn, &self.app, now, caller, Language::English);
            let value = deed(&mut tx)?;
            tx.end()?;
            Ok(value)
        });
        match done {
            Ok(value) => Ok(Ok(value)),
            Err(Error::Refused(refusal)) => Ok(Err(refusal.problem.code.to_owned())),
            Err(error) => Err(error),
        }
    }
}

/// What a sequence has made, by the number of its step.
#[derive(Default)]
struct Made {
    visits: BTreeMap<usize, AppointmentId>,
    absences: BTreeMap<usize, AbsenceId>,
}

/// The n-th of those there are, if there are any.
fn nth<V>(of: &BTreeMap<usize, V>, at: usize) -> Option<usize> {
    of.keys().nth(at.checked_rem(of.len())?).copied()
}

fn play(stage: &Stage, conn: &mut Conn, steps: &[Step]) -> Result<Result<(), String>, Error> {
    let (mut model, mut made) = (Model::default(), Made::default());
    for (number, step) in steps.iter().enumerate() {
        let wrong = take(stage, conn, &mut model, &mut made, number, step)?;
        let wrong = wrong.and_then(|()| compare(stage, conn, &model, &made));
        if let Err(wrong) = wrong {
            return Ok(Err(format!("step {number}, {step:?}: {wrong}")));
        }
    }
    offered(stage, conn, &model)
}

fn expect<T>(expected: Result<impl Sized, &str>, done: &Result<T, String>) -> Result<(), String> {
    match (expected, done) {
        (Ok(_), Ok(_)) => Ok(()),
        (Err(codes), Err(refused)) if codes.split(" or ").any(|code| code == refused) => Ok(()),
        (Ok(_), Err(refused)) => Err(format!("refused with {refused}, and should be done")),
        (Err(code), Ok(_)) => Err(format!("done, and should be refused with {code}")),
        (Err(code), Err(refused)) => Err(format!("refused with {refused} instead of {code}")),
    }
}

fn take(
    stage: &Stage,
    conn: &mut Conn,
    model: &mut Model,
    made: &mut Made,
    number: usize,
    step: &Step,
) -> Result<Result<(), String>, Error> {
    match step {
        Step::Book { doctor, patient, tick, hold } => {
            let wanted: BookAppointment = serde_json::from_value(json!({
                "service": stage.service, "practitioner": doctor.map(|doctor| stage.doctors[doctor]),
                "patient": stage.patients[*patient], "start": stage.at(*tick), "hold": hold,
            }))
            .unwrap();
            let expected = model.book(*doctor, *patient, *tick, *hold);
            let done = stage.deed(conn, model, |tx| book::book(tx, wanted))?;
            if let Err(wrong) = expect(expected.as_ref().map_err(|code| *code), &done) {
                return Ok(Err(wrong));
            }
            if let (Ok(free), Ok(booked)) = (expected, done) {
                let doctor = stage.doctors.iter().position(|id| *id == booked.practitioner.id);
                let Some(doctor) = doctor.filter(|doctor| free.contains(doctor)) else {
                    return Ok(Err("booked with somebody who is not free".to_owned()));
                };
                let standing = match hold {
                    true => Standing::Held { until: model.now + HOLD_MINUTES },
                    false => Standing::Booked,
                };
                let visit = Visit { doctor, patient: *patient, tick: *tick, standing };
                model.visits.insert(number, visit);
                made.visits.insert(number, booked.id);
            }
        }
        Step::Confirm { visit } => {
            let Some(at) = nth(&model.visits, *visit) else { return Ok(Ok(())) };
            let (id, expected) = (made.visits[&at], model.confirm(at));
            let done = stage.deed(conn, model, |tx| change::confirm(tx, id))?;
            if let Err(wrong) = expect(expected, &done) {
                return Ok(Err(wrong));
            }
            if done.is_ok() {
                model.visits.get_mut(&at).unwrap().standing = Standing::Booked;
            }
        }
        Step::Cancel { visit } => {
            let Some(at) = nth(&model.visits, *visit) else { return Ok(Ok(())) };
            let id = made.visits[&at];
            let why = CancelAppointment::default();
            let done = stage.deed(conn, model, |tx| change::cancel(tx, id, &why))?;
            if let Err(wrong) = expect(Ok::<_, &str>(()), &done) {
                return Ok(Err(wrong));
            }
            let now = model.now;
            let visit = model.visits.get_mut(&at).unwrap();
            visit.standing = match visit.standing {
                Standing::Held { until } if until <= now => Standing::Lapsed,
                Standing::Lapsed => Standing::Lapsed,
                _ => Standing::Cancelled,
            };
        }
        Step::Move { visit, doctor, tick } => {
            let Some(at) = nth(&model.visits, *visit) else { return Ok(Ok(())) };
            let wanted: RescheduleAppointment = serde_json::from_value(json!({
                "start": stage.at(*tick), "practitioner": doctor.map(|doctor| stage.doctors[doctor]),
            }))
            .unwrap();
            let (id, expected) = (made.visits[&at], model.reschedule(at, *doctor, *tick));
            let done: Result<Appointment, String> =
                stage.deed(conn, model, |tx| reschedule::reschedule(tx, id, None, &wanted))?;
            if let Err(wrong) = expect(expected, &done) {
                return Ok(Err(wrong));
            }
            if let (Ok(doctor), Ok(_)) = (expected, done) {
                let visit = model.visits.get_mut(&at).unwrap();
                (visit.doctor, visit.tick) = (doctor, *tick);
            }
        }
        Step::Leave { doctor, tick, ticks } => {
            let wanted =
                AddAbsence { from: stage.at(*tick), to: stage.at(tick + ticks), reason: None };
            let who = stage.doctors[*doctor];
            let done = stage.deed(conn, model, |tx| absence::add(tx, who, &wanted))?;
            if let Err(wrong) = expect(Ok::<_, &str>(()), &done) {
                return Ok(Err(wrong));
            }
            model.absences.insert(number, (*doctor, *tick, tick + ticks));
            made.absences.insert(number, done.unwrap().absence.id);
        }
        Step::Return { absence: which } => {
            let Some(at) = nth(&model.absences, *which) else { return Ok(Ok(())) };
            let (id, who) = (made.absences[&at], stage.doctors[model.absences[&at].0]);
            let done = stage.deed(conn, model, |tx| absence::remove(tx, who, id))?;
            if let Err(wrong) = expect(Ok::<_, &str>(()), &done) {
                return Ok(Err(wrong));
            }
            model.absences.remove(&at);
            made.absences.remove(&at);
        }
        Step::Wait { minutes } => model.now += minutes,
    }
    Ok(Ok(()))
}

/// Whether the time that the database says is taken is the model's.
fn compare(stage: &Stage, conn: &mut Conn, model: &Model, made: &Made) -> Result<(), String> {
    let now = stage.now(model);
    let mut found: Vec<(column::Uuid, Instant, Instant)> = occupancies::table
        .inner_join(appointments::table.on(appointments::id.eq(occupancies::appointment_id)))
        .filter(occupancies::live)
        .filter(appointments::id.eq_any(made.visits.values().copied().collect::<Vec<_>>()))
        .filter(appointments::hold_expires_at.is_null().or(appointments::hold_expires_at.gt(now)))
        .select((occupancies::resource_id, occupancies::starts_at, occupancies::ends_at))
        .load(conn)
        .map_err(|error| error.to_string())?;
    let live = model.visits.values().filter(|visit| visit.is_live(model.now));
    let mut expected: Vec<(column::Uuid, Instant, Instant)> = live
        .flat_map(|visit| {
            let (doctor, patient) =
                (stage.doctors[visit.doctor].0, stage.patients[visit.patient].0);
            let (start, end) = (stage.at(visit.tick), stage.at(visit.tick + VISIT_TICKS));
            let busy_to = stage.at(visit.tick + VISIT_TICKS + BUFFER_TICKS);
            [(column::Uuid(doctor), start, busy_to), (column::Uuid(patient), start, end)]
        })
        .collect();
    let place = |row: &(column::Uuid, Instant, Instant)| (row.0.0, row.1, row.2);
    found.sort_by_key(place);
    expected.sort_by_key(place);
    let alike = found.iter().map(place).eq(expected.iter().map(place));
    if alike { Ok(()) } else { Err(format!("taken are {found:?}, and should be {expected:?}")) }
}

/// Whether what is offered is what trying every time finds.
fn offered(stage: &Stage, conn: &mut Conn, model: &Model) -> Result<Result<(), String>, Error> {
    for (at, doctor) in stage.doctors.iter().enumerate() {
        let wanted: SlotFilter = serde_json::from_value(json!({
            "service": stage.service, "practitioner": doctor, "limit": 100,
            "from": stage.at(-1), "to": stage.at(DAY_TICKS + 1),
        }))
        .unwrap();
        let page = stage.deed(conn, model, |tx| slots::list(tx, &wanted))?;
        let found: Vec<Instant> = match page {
            Ok(page) => page.items.iter().map(|slot| slot.start).collect(),
            Err(code) => return Ok(Err(format!("free times are refused with {code}"))),
        };
        let expected: Vec<Instant> =
            model.offered(at).into_iter().map(|tick| stage.at(tick)).collect();
        if found != expected {
            return Ok(Err(format!("offered are {found:?}, and should be {expected:?}")));
        }
    }
    Ok(Ok(()))
}

/// Plays a sequence and forgets it.
async fn verdict(stage: &Stage, steps: Vec<Step>) -> Result<(), String> {
    let (stage, app) = (stage.clone(), Arc::clone(&stage.app));
    let played = app
        .db
        .write(move |conn| -> Result<(), Outcome> {
            let played = play(&stage, conn, &steps);
            // An error undoes all of it.
            Err(Outcome(played.unwrap_or_else(|error| Err(error.to_string()))))
        })
        .await
        .expect("room in the queue");
    match played {
        Ok(()) => Err("a sequence was kept".to_owned()),
        Err(Outcome(verdict)) => verdict,
    }
}

/// How a sequence went, carried out of the transaction that it is undone with.
struct Outcome(Result<(), String>);

impl From<diesel::result::Error> for Outcome {
    fn from(error: diesel::result::Error) -> Self {
        Self(Err(error.to_string()))
    }
}

/// Leaves out whatever is not needed to go wrong.
async fn smallest(stage: &Stage, mut steps: Vec<Step>) -> Vec<Step> {
    let mut at = 0;
    while at < steps.len() {
        let mut fewer = steps.clone();
        fewer.remove(at);
        if verdict(stage, fewer.clone()).await.is_err() {
            steps = fewer;
        } else {
            at += 1;
        }
    }
    steps
}

async fn agree(engine: Engine) {
    let (_world, stage) = Stage::set(engine).await;
    let asked = std::env::var("TEST_SEQUENCES").ok().and_then(|count| count.parse().ok());
    let mut runner = TestRunner::default();
    let sequence = prop::collection::vec(step(), STEPS);
    for number in 0..asked.unwrap_or(SEQUENCES) {
        let steps = sequence.new_tree(&mut runner).unwrap().current();
        if verdict(&stage, steps.clone()).await.is_err() {
            let steps = smallest(&stage, steps).await;
            let wrong = verdict(&stage, steps.clone()).await;
            panic!("sequence {number} goes wrong: {wrong:?}\n{steps:#?}");
        }
    }
}

#[actix_web::test]
async fn booking_does_what_a_model_of_intervals_says_on_sqlite() {
    agree(Engine::Sqlite).await;
}

#[actix_web::test]
async fn booking_does_what_a_model_of_intervals_says_on_postgres() {
    agree(Engine::Postgres).await;
}
