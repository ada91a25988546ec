//! Booking against a model of intervals that a person can check by reading it.
//!
//! The deeds between two restarts are kept together, so that hundreds of sequences fit into a
//! minute; a restart opens the database in another process's state. After every deed the database
//! holds what the model holds, and at the end of a sequence what is offered is what the model finds
//! free by trying every time. Then everything is called off, and the next sequence has its week.

mod intervals;
mod waiting;

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
use feldsher::base::clock::Clock;
use feldsher::base::column::{self, Instant};
use feldsher::base::config::Config;
use feldsher::base::db::Conn;
use feldsher::base::db::Threads;
use feldsher::base::error::Error;
use feldsher::base::language::Language;
use feldsher::base::schema::{appointments, occupancies};
use feldsher::base::tx::Tx;
use feldsher::organization::ServiceId;
use feldsher::patient::PatientId;
use feldsher::practitioner::PractitionerId;
use feldsher::schedule::absence::{self, AbsenceId, AddAbsence};
use feldsher::schedule::slots::{self, SlotFilter};
use feldsher::waitlist::EntryId;
use feldsher::waitlist::join;
use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::TestRunner;
use serde_json::json;

use crate::model::intervals::{
    BUFFER_TICKS, DAY_TICKS, HOLD_MINUTES, Model, PATIENTS, Standing, Step, TICK_MINUTES,
    VISIT_TICKS, Visit, WAITERS, step,
};
use crate::support::engine::Database;
use crate::support::world::{made, practitioner};
use crate::support::{Engine, World};

/// Sequences per engine; `TEST_SEQUENCES` asks for another number.
const SEQUENCES: usize = 60;
const STEPS: usize = 50;
/// Sequences take turns on so many Tuesdays.
const WEEKS: i64 = 48;
/// The first of them, 09:00 to 17:00 in Krasnoyarsk.
const OPEN: &str = "2026-11-24T02:00:00Z";
/// The people, as the deeds name them.
#[derive(Clone)]
struct Stage {
    /// None between two processes.
    app: Option<Arc<App>>,
    registrar: Caller,
    begin: Instant,
    /// When the doctors of this sequence begin to work.
    open: Instant,
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
        while patients.len() < PATIENTS + WAITERS {
            let body = json!({
                "name": format!("Пациент {}", patients.len()), "birth_date": "1980-01-01",
                "location": world.village, "organization": world.clinic, "language": "ru",
            });
            let made = made(&world.registrar.client, "/v1/patients", body).await;
            patients.push(made["id"].as_str().unwrap().parse().unwrap());
        }
        let app = Arc::clone(&world.house.app);
        let begin = world.house.now();
        let token = world.registrar.client.token.clone().unwrap();
        let session = app.tokens.verify_access(&token, begin).unwrap().session;
        let found = app.db.read(move |conn| caller::of_session(conn, session, begin)).await;
        let registrar = found.unwrap().unwrap();
        let (open, service) = (OPEN.parse().unwrap(), service.parse().unwrap());
        let app = Some(app);
        let stage = Self { app, registrar, begin, open, service, doctors, patients };
        (world, stage)
    }

    fn now(&self, model: &Model) -> Instant {
        self.begin.plus(TimeDelta::minutes(model.now))
    }

    fn at(&self, tick: i64) -> Instant {
        self.open.plus(TimeDelta::minutes(TICK_MINUTES * tick))
    }

    /// The tick at which an instant lies.
    fn tick(&self, at: Instant) -> i64 {
        at.since(self.open).num_minutes() / TICK_MINUTES
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
            let mut tx = Tx::new(conn, self.app.as_ref().unwrap(), now, caller, Language::English);
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
#[derive(Default, Clone)]
struct Made {
    visits: BTreeMap<usize, AppointmentId>,
    wishes: BTreeMap<usize, EntryId>,
    absences: BTreeMap<usize, AbsenceId>,
}

/// The n-th of those there are, if there are any.
fn nth<V>(of: &BTreeMap<usize, V>, at: usize) -> Option<usize> {
    of.keys().nth(at.checked_rem(of.len())?).copied()
}

/// A sequence that is being played.
#[derive(Default, Clone)]
struct Game {
    model: Model,
    made: Made,
    /// How many steps were taken.
    steps: usize,
}

/// Plays steps up to a restart.
fn play(
    stage: &Stage,
    conn: &mut Conn,
    game: &mut Game,
    steps: &[Step],
) -> Result<Result<(), String>, Error> {
    let Game { model, made, steps: taken } = game;
    if let Err(wrong) = compare(stage, conn, model, made) {
        return Ok(Err(format!("before step {taken}: {wrong}")));
    }
    for step in steps {
        let before = model.clone();
        let mut wrong = take(stage, conn, model, made, *taken, step)?;
        if wrong.is_ok() {
            wrong = waiting::watch(stage, conn, (&before, model), made, step)?;
        }
        let wrong = wrong.and_then(|()| compare(stage, conn, model, made));
        if let Err(wrong) = wrong {
            return Ok(Err(format!("step {taken}, {step:?}: {wrong}")));
        }
        *taken += 1;
    }
    offered(stage, conn, model)
}

/// Calls everything off, so that the next sequence finds nothing.
fn clear(stage: &Stage, conn: &mut Conn, game: &Game) -> Result<Result<(), String>, Error> {
    // Nobody waits for what is called off.
    for number in game.model.waiting.keys() {
        let id = game.made.wishes[number];
        if let Err(code) = stage.deed(conn, &game.model, |tx| join::withdraw(tx, id))? {
            return Ok(Err(format!("a wish stays: {code}")));
        }
    }
    for id in game.made.visits.values() {
        let why = CancelAppointment::default();
        if let Err(code) = stage.deed(conn, &game.model, |tx| change::cancel(tx, *id, &why))? {
            return Ok(Err(format!("not called off: {code}")));
        }
    }
    for (number, id) in &game.made.absences {
        let who = stage.doctors[game.model.absences[number].0];
        if let Err(code) = stage.deed(conn, &game.model, |tx| absence::remove(tx, who, *id))? {
            return Ok(Err(format!("an absence stays: {code}")));
        }
    }
    Ok(Ok(()))
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
            // Those who wait keep what they took.
            if model.visits[&at].patient >= PATIENTS {
                return Ok(Ok(()));
            }
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
        Step::Wish { doctor, who } => {
            return waiting::wish(stage, conn, (model, made), number, (*doctor, *who));
        }
        Step::Answer { wish, accept } => {
            return waiting::answer(stage, conn, (model, made), number, (*wish, *accept));
        }
        // It happens between two transactions.
        Step::Restart => {}
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

/// The clinic, in the process that has it open now.
struct Theatre {
    database: Database,
    config: Config,
    clock: Arc<dyn Clock>,
    threads: Option<Threads>,
    stage: Stage,
    restarts: usize,
    /// Times that were held for those who wait, and those that they took.
    held: usize,
    taken: usize,
}

impl Theatre {
    async fn open(engine: Engine) -> Self {
        let (world, mut stage) = Stage::set(engine).await;
        let app = stage.app.take().unwrap();
        let (mut config, clock) = (app.config.clone(), Arc::clone(&app.clock));
        // Its few patients are asked all day long.
        config.booking.waitlist_offers_max = 1_000_000;
        drop(app);
        let database = world.house.leave().await;
        let mut theatre =
            Self { database, config, clock, threads: None, stage, restarts: 0, held: 0, taken: 0 };
        theatre.restart().await;
        theatre
    }

    /// All that a process knows is forgotten, and another one opens the database.
    async fn restart(&mut self) {
        drop(self.stage.app.take());
        if let Some(threads) = self.threads.take() {
            actix_web::rt::task::spawn_blocking(|| threads.join()).await.unwrap();
        }
        let (config, clock) = (self.config.clone(), Arc::clone(&self.clock));
        let opened = App::open(config, Some(self.database.directory()), clock).await;
        let (app, threads) = opened.expect("the database opens again");
        (self.stage.app, self.threads) = (Some(app), Some(threads));
        self.restarts += 1;
    }

    /// A piece of a sequence in a transaction that is kept.
    async fn keep<T: Send + 'static>(
        &self,
        piece: impl FnOnce(&Stage, &mut Conn) -> Result<T, Error> + Clone + Send + 'static,
    ) -> Result<T, String> {
        let stage = self.stage.clone();
        let kept = self.stage.app.as_ref().unwrap().db.write(move |conn| piece(&stage, conn)).await;
        kept.expect("room in the queue").map_err(|error| error.to_string())
    }

    /// Plays a sequence and calls everything off again.
    async fn verdict(&mut self, steps: &[Step]) -> Result<(), String> {
        let mut game = Game::default();
        let mut verdict = Ok(());
        for piece in steps.split_inclusive(|step| matches!(step, Step::Restart)) {
            let (mut next, steps) = (game.clone(), piece.to_vec());
            let played = self.keep(move |stage, conn| {
                let verdict = play(stage, conn, &mut next, &steps)?;
                Ok((next, verdict))
            });
            match played.await {
                Ok((played, said)) => (game, verdict) = (played, said),
                Err(error) => verdict = Err(error),
            }
            if verdict.is_err() {
                break;
            }
            if matches!(piece.last(), Some(Step::Restart)) {
                self.restart().await;
            }
        }
        self.held += game.model.held_and_taken.0;
        self.taken += game.model.held_and_taken.1;
        let cleared = self.keep(move |stage, conn| clear(stage, conn, &game)).await;
        verdict.and(cleared.and_then(|cleared| cleared))
    }

    /// Leaves out whatever is not needed to go wrong.
    async fn smallest(&mut self, mut steps: Vec<Step>) -> Vec<Step> {
        let mut at = 0;
        while at < steps.len() {
            let mut fewer = steps.clone();
            fewer.remove(at);
            if self.verdict(&fewer).await.is_err() {
                steps = fewer;
            } else {
                at += 1;
            }
        }
        steps
    }
}

async fn agree(engine: Engine) {
    let mut theatre = Theatre::open(engine).await;
    let asked = std::env::var("TEST_SEQUENCES").ok().and_then(|count| count.parse().ok());
    let sequences = asked.unwrap_or(SEQUENCES);
    let mut runner = TestRunner::default();
    let sequence = prop::collection::vec(step(), STEPS);
    for number in 0..sequences {
        let week = i64::try_from(number).unwrap() % WEEKS;
        theatre.stage.open = OPEN.parse::<Instant>().unwrap().plus(TimeDelta::weeks(week));
        let steps = sequence.new_tree(&mut runner).unwrap().current();
        if theatre.verdict(&steps).await.is_err() {
            let steps = theatre.smallest(steps).await;
            let wrong = theatre.verdict(&steps).await;
            panic!("sequence {number} goes wrong: {wrong:?}\n{steps:#?}");
        }
    }
    let Theatre { restarts, held, taken, .. } = theatre;
    println!(
        "{sequences} sequences of {STEPS} steps, {restarts} restarts, {taken} of {held} taken"
    );
    assert!(held > taken && taken > 0, "nobody ever waited: {held} held, {taken} taken");
}

#[actix_web::test]
async fn booking_does_what_a_model_of_intervals_says_on_sqlite() {
    agree(Engine::Sqlite).await;
}

#[actix_web::test]
async fn booking_does_what_a_model_of_intervals_says_on_postgres() {
    agree(Engine::Postgres).await;
}
