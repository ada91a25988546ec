//! Booking against a model of intervals that a person can check by reading it.
//!
//! A sequence has a day, and everybody's hours of that day, of its own. Its deeds between two
//! restarts are kept together; a restart opens the database in another process's state. After every
//! deed the database holds what the model holds, and what is offered is what the model finds free by
//! trying every time. Then everything is called off, and the next sequence has its day.
//!
//! `TEST_SEQUENCES` asks for another number of sequences, `TEST_SEED` for others, or those of
//! another run, and `TEST_SEQUENCE` for one of them alone.

mod intervals;
mod leave;
mod plan;
mod seen;
mod stage;
mod step;
mod visits;
mod waiting;

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Add;
use std::sync::Arc;
use std::time::{Duration, Instant};

use diesel::prelude::*;
use feldsher::appointment::AppointmentId;
use feldsher::appointment::change::{self, CancelAppointment};
use feldsher::base::app::App;
use feldsher::base::clock::{Clock, ManualClock};
use feldsher::base::config::Config;
use feldsher::base::db::{Conn, Threads};
use feldsher::base::error::Error;
use feldsher::base::schema::{absences, appointments, closures, extra_hours, waitlist_entries};
use feldsher::base::tx::{Sees, Tx};
use feldsher::encounter::lifecycle::AppointmentStatus;
use feldsher::practitioner::PractitionerId;
use feldsher::schedule::absence::{self, AbsenceId};
use feldsher::schedule::closure::{self, ClosureId};
use feldsher::schedule::extra::{self, ExtraHoursId};
use feldsher::schedule::leave::lapsed;
use feldsher::waitlist::{EntryId, WaitStatus, join, task};

use crate::model::intervals::{Model, OFFER_MINUTES, PATIENTS, REACH, Range, SERVICES, Visit};
use crate::model::plan::Applied;
use crate::model::seen::Seen;
use crate::model::stage::{Stage, WEEKS};
use crate::model::step::Step;
use crate::support::Engine;
use crate::support::engine::Database;

/// Sequences per engine; `TEST_SEQUENCES` asks for another number.
const SEQUENCES: usize = 10;
/// As many are played at most until something of each common kind was done.
const SEQUENCES_MORE: usize = 4 * SEQUENCES;
const STEPS: usize = 50;
/// No sequence goes on into the night before its day, in minutes since it began.
const LATEST: i64 = 600;
/// How long a sequence that goes wrong is made shorter.
const SHORTENING: Duration = Duration::from_secs(60);

/// What is wrong, in words.
type Wrong = String;

/// What was done, so that a run that did nothing of some kind says so.
#[derive(Debug, Default, Clone, Copy)]
struct Counts {
    done: usize,
    refused: usize,
    restarts: usize,
    /// Times that were held for those who wait, that they took, and that they did not answer.
    held: usize,
    taken: usize,
    lapsed: usize,
    unanswered: usize,
    plans: usize,
    taken_back: usize,
    /// Visits of series that were booked, or could not be.
    in_a_row: usize,
    conflicts: usize,
}

impl Counts {
    /// Whether something was done of each kind that most runs do.
    fn has_all(&self) -> bool {
        let common = [
            self.done,
            self.refused,
            self.held,
            self.plans,
            self.restarts,
            self.in_a_row,
            self.conflicts,
        ];
        common.iter().all(|count| *count > 0)
    }
}

impl Add for Counts {
    type Output = Self;

    fn add(self, more: Self) -> Self {
        Self {
            done: self.done + more.done,
            refused: self.refused + more.refused,
            restarts: self.restarts + more.restarts,
            held: self.held + more.held,
            taken: self.taken + more.taken,
            lapsed: self.lapsed + more.lapsed,
            unanswered: self.unanswered + more.unanswered,
            plans: self.plans + more.plans,
            taken_back: self.taken_back + more.taken_back,
            in_a_row: self.in_a_row + more.in_a_row,
            conflicts: self.conflicts + more.conflicts,
        }
    }
}

/// What a sequence has made, by the number of its step.
#[derive(Default, Clone)]
struct Made {
    visits: BTreeMap<usize, AppointmentId>,
    wishes: BTreeMap<usize, EntryId>,
    absences: BTreeMap<usize, AbsenceId>,
    extra: BTreeMap<usize, ExtraHoursId>,
    closures: BTreeMap<usize, ClosureId>,
    plan: Option<Applied>,
    /// Visits that were moved since the last plan.
    moved: BTreeSet<usize>,
    counts: Counts,
}

/// A sequence between two pieces.
#[derive(Default, Clone)]
struct Record {
    model: Model,
    made: Made,
    /// How many steps were taken.
    steps: usize,
    /// What was done since by nobody.
    swept: bool,
}

/// A piece of a sequence that is being played.
struct Game<'a> {
    stage: &'a Stage,
    conn: &'a mut Conn,
    model: Model,
    made: Made,
    /// The number of the step.
    number: usize,
}

/// The n-th of those there are, if there are any.
fn nth<V>(of: &BTreeMap<usize, V>, at: usize) -> Option<usize> {
    of.keys().nth(at.checked_rem(of.len())?).copied()
}

fn expect<T>(expected: Result<impl Sized, &str>, done: &Result<T, String>) -> Result<(), Wrong> {
    match (expected, done) {
        (Ok(_), Ok(_)) => Ok(()),
        (Err(codes), Err(refused)) if codes.split(" or ").any(|code| code == refused) => Ok(()),
        (Ok(_), Err(refused)) => Err(format!("refused with {refused}, and should be done")),
        (Err(code), Ok(_)) => Err(format!("done, and should be refused with {code}")),
        (Err(code), Err(refused)) => Err(format!("refused with {refused} instead of {code}")),
    }
}

impl Game<'_> {
    fn deed<T>(
        &mut self,
        deed: impl FnOnce(&mut Tx) -> Result<T, Error>,
    ) -> Result<Result<T, String>, Wrong> {
        let done = self.stage.deed(self.conn, &self.model, deed)?;
        let counts = &mut self.made.counts;
        *(if done.is_ok() { &mut counts.done } else { &mut counts.refused }) += 1;
        Ok(done)
    }

    fn take(&mut self, step: &Step) -> Result<(), Wrong> {
        match step {
            Step::Book { service, doctor, patient, tick, hold } => {
                self.book((*service, *patient, *tick), *doctor, *hold)
            }
            Step::Series { service, doctor, patient, tick, dry } => {
                self.series((*service, *patient, *tick), *doctor, *dry)
            }
            Step::Confirm { visit } => self.confirm(*visit),
            Step::Cancel { visit } => self.cancel(*visit),
            Step::Undo { visit } => self.undo(*visit),
            Step::Move { visit, doctor, tick } => self.put(*visit, *doctor, *tick),
            Step::Leave { worker, tick, ticks } => self.leave(*worker, (*tick, *ticks)),
            Step::Settle { hit, fate } => self.settle(*hit, fate),
            Step::Complete { absence } => self.complete(*absence),
            Step::Choose { visit, number } => self.choose(*visit, *number),
            Step::Return { absence } => self.come_back(*absence),
            Step::Plan { doctor, tick, ticks } => self.plan(*doctor, (*tick, *ticks)),
            Step::TakeBack => self.take_back(),
            Step::Extra { worker, tick, ticks } => self.extra(*worker, (*tick, *ticks)),
            Step::Less { extra } => self.less(*extra),
            Step::Close { tick, ticks } => self.close((*tick, *ticks)),
            Step::Open { closure } => self.open(*closure),
            Step::Wait { minutes } => {
                self.model.now = (self.model.now + minutes).min(LATEST);
                Ok(())
            }
            Step::Wish { service, doctor, who } => self.wish(*service, *doctor, *who),
            Step::Answer { wish, accept } => self.answer(*wish, *accept),
            Step::Withdraw { wish } => self.withdraw(*wish),
            // They happen between two transactions.
            Step::Sweep | Step::Restart => Ok(()),
        }
    }

    /// What must hold after a step.
    fn check(&mut self, before: &Model, step: &Step) -> Result<(), Wrong> {
        let (stage, number) = (self.stage, self.number);
        let seen = Seen::of(stage, self.conn, &self.model, &self.made)?;
        seen.adopt(stage, &mut self.model, &self.made)?;
        self.see_instead(&seen)?;
        self.watch(&seen, before, step)?;
        seen.compare(stage, &self.model)?;
        if let Some(clash) = self.model.clash() {
            return Err(format!("two take one time: {clash:?}"));
        }
        // One service after the other; for a patient now and then.
        let patient = number.is_multiple_of(3).then_some(number / 3 % PATIENTS);
        let asked = (number % SERVICES.len(), patient, Sees::Latest);
        seen::offered(stage, self.conn, &self.model, asked)
    }

    /// What ended by itself while nobody did anything.
    fn swept(&mut self) -> Result<(), Wrong> {
        let before = self.model.clone();
        for absence in self.model.absences.keys().copied().collect::<Vec<_>>() {
            self.lapse(absence);
        }
        self.check(&before, &Step::Sweep)
    }

    fn play(&mut self, steps: &[Step], swept: bool) -> Result<(), Wrong> {
        if swept {
            self.swept().map_err(|wrong| format!("swept before step {}: {wrong}", self.number))?;
        }
        for step in steps {
            let before = self.model.clone();
            let done = self.take(step).and_then(|()| match step {
                Step::Sweep | Step::Restart => Ok(()),
                step => self.check(&before, step),
            });
            done.map_err(|wrong| format!("step {}, {step:?}: {wrong}", self.number))?;
            if matches!(step, Step::Plan { .. }) {
                self.made.moved.clear();
            } else {
                let lies = |visit: &Visit| (visit.place.doctor, visit.place.tick);
                let is_moved = |(number, visit): &(&usize, &Visit)| {
                    before.visits.get(*number).is_some_and(|old| lies(old) != lies(visit))
                };
                let moved = self.model.visits.iter().filter(is_moved);
                self.made.moved.extend(moved.map(|(number, _)| *number));
            }
            self.number += 1;
        }
        Ok(())
    }
}

/// A busy machine can leave the model alone for longer than PostgreSQL lets a transaction rest.
fn be_patient(conn: &mut Conn) -> Result<(), Error> {
    if let Conn::Postgres(conn) = conn {
        diesel::sql_query("SET LOCAL idle_in_transaction_session_timeout = 0").execute(conn)?;
    }
    Ok(())
}

/// Calls everything off, whoever made it, so that the next sequence finds nothing.
fn clear(stage: &Stage, conn: &mut Conn, model: &Model) -> Result<(), Wrong> {
    let text = |error: diesel::result::Error| error.to_string();
    let refused = |code: String| format!("not cleared away: {code}");
    // Nobody waits for what is called off.
    let wishes: Vec<EntryId> = waitlist_entries::table
        .filter(waitlist_entries::service_id.eq_any(stage.services.clone()))
        .filter(waitlist_entries::status.eq_any([WaitStatus::Waiting, WaitStatus::Offered]))
        .select(waitlist_entries::id)
        .load(conn)
        .map_err(text)?;
    for id in wishes {
        stage.deed(conn, model, |tx| join::withdraw(tx, id))?.map_err(refused)?;
    }
    let visits: Vec<AppointmentId> = appointments::table
        .filter(appointments::starts_at.ge(stage.at(REACH.0)))
        .filter(appointments::starts_at.lt(stage.at(REACH.1)))
        .filter(
            appointments::status.eq_any([AppointmentStatus::Booked, AppointmentStatus::Pending]),
        )
        .select(appointments::id)
        .load(conn)
        .map_err(text)?;
    for id in visits {
        let why = CancelAppointment::default();
        stage.deed(conn, model, |tx| change::cancel(tx, id, &why))?.map_err(refused)?;
    }
    let leaves: Vec<(PractitionerId, AbsenceId)> = absences::table
        .filter(absences::practitioner_id.eq_any(stage.workers.clone()))
        .select((absences::practitioner_id, absences::id))
        .load(conn)
        .map_err(text)?;
    for (who, id) in leaves {
        stage.deed(conn, model, |tx| absence::remove(tx, who, id))?.map_err(refused)?;
    }
    let extra: Vec<(PractitionerId, ExtraHoursId)> = extra_hours::table
        .filter(extra_hours::practitioner_id.eq_any(stage.workers.clone()))
        .select((extra_hours::practitioner_id, extra_hours::id))
        .load(conn)
        .map_err(text)?;
    for (who, id) in extra {
        stage.deed(conn, model, |tx| extra::remove(tx, who, id))?.map_err(refused)?;
    }
    let closed: Vec<ClosureId> = closures::table
        .filter(closures::organization_id.eq(stage.clinic))
        .select(closures::id)
        .load(conn)
        .map_err(text)?;
    for id in closed {
        stage.deed(conn, model, |tx| closure::remove(tx, stage.clinic, id))?.map_err(refused)?;
    }
    Ok(())
}

/// The clinic, in the process that has it open now.
struct Theatre {
    database: Database,
    config: Config,
    clock: Arc<ManualClock>,
    threads: Option<Threads>,
    stage: Stage,
    seed: u64,
}

impl Theatre {
    async fn open(engine: Engine, seed: u64) -> Self {
        let (world, clock, mut stage) = Stage::set(engine, seed).await;
        let app = stage.app.take().unwrap();
        let mut config = app.config.clone();
        // Its few patients are asked all day long.
        config.booking.waitlist_offers_max = 1_000_000;
        config.booking.waitlist_max = 10;
        config.booking.offer_hours = u32::try_from(OFFER_MINUTES / 60).unwrap();
        drop(app);
        let database = world.house.leave().await;
        let mut theatre = Self { database, config, clock, threads: None, stage, seed };
        theatre.restart().await;
        theatre
    }

    /// All that a process knows is forgotten, and another one opens the database.
    async fn restart(&mut self) {
        drop(self.stage.app.take());
        if let Some(threads) = self.threads.take() {
            actix_web::rt::task::spawn_blocking(|| threads.join()).await.unwrap();
        }
        let clock: Arc<dyn Clock> = Arc::<ManualClock>::clone(&self.clock);
        let opened = App::open(self.config.clone(), Some(self.database.directory()), clock).await;
        let (app, threads) = opened.expect("the database opens again");
        (self.stage.app, self.threads) = (Some(app), Some(threads));
    }

    /// What goes on in the background is done once.
    async fn sweep(&self, model: &Model) {
        self.clock.set(self.stage.now(model));
        let app = self.stage.app.as_ref().unwrap();
        task::tick(app, None).await.expect("the waiting list is looked after");
        lapsed::lapse_due(app).await.expect("offers that are over are ended");
        lapsed::tick(app).await.expect("their visits are looked after");
    }

    /// A piece of a sequence in a transaction that is kept.
    async fn keep<T: Send + 'static>(
        &self,
        piece: impl FnOnce(&Stage, &mut Conn) -> T + Clone + Send + 'static,
    ) -> T {
        let stage = self.stage.clone();
        let piece = move |conn: &mut Conn| {
            be_patient(conn)?;
            Ok::<T, Error>(piece(&stage, conn))
        };
        let kept = self.stage.app.as_ref().unwrap().db.write(piece).await;
        kept.expect("room in the queue").expect("the piece is kept")
    }

    /// Whether what is offered is also right for those who only read, out of what the process
    /// remembers.
    async fn look(&self, model: &Model) -> Result<(), Wrong> {
        let (stage, model) = (self.stage.clone(), model.clone());
        let look = move |conn: &mut Conn| {
            be_patient(conn)?;
            let offered =
                |service| seen::offered(&stage, conn, &model, (service, None, Sees::Snapshot));
            Ok::<_, Error>((0..SERVICES.len()).try_for_each(offered))
        };
        let seen = self.stage.app.as_ref().unwrap().db.read(look).await;
        seen.expect("room in the queue").expect("a look")
    }

    /// Plays a sequence and calls everything off again. Says what went wrong, and after how many
    /// steps.
    async fn verdict(
        &mut self,
        hours: &[Vec<Range>],
        steps: &[Step],
    ) -> (Counts, Result<(), (usize, Wrong)>) {
        let mut record = Record::default();
        record.model.hours = hours.to_vec();
        let mut restarts = 0;
        let mut wrong = None;
        let breaks = |step: &Step| matches!(step, Step::Restart | Step::Sweep);
        for piece in steps.split_inclusive(breaks) {
            let (before, piece_steps) = (record, piece.to_vec());
            let played = self.keep(move |stage, conn| {
                let Record { model, made, steps, swept } = before;
                let mut game = Game { stage, conn, model, made, number: steps };
                let wrong = game.play(&piece_steps, swept).err();
                let Game { model, made, number, .. } = game;
                (Record { model, made, steps: number, swept: false }, wrong)
            });
            (record, wrong) = played.await;
            if wrong.is_none() {
                wrong = self.look(&record.model).await.err();
            }
            if wrong.is_some() {
                break;
            }
            match piece.last() {
                Some(Step::Restart) => {
                    self.restart().await;
                    restarts += 1;
                }
                Some(Step::Sweep) => {
                    self.sweep(&record.model).await;
                    record.swept = true;
                }
                _ => {}
            }
        }
        let model = record.model.clone();
        let cleared = self.keep(move |stage, conn| clear(stage, conn, &model)).await;
        let wrong = wrong.or(cleared.err());
        let counts = Counts { restarts, ..record.made.counts };
        (counts, wrong.map_or(Ok(()), |wrong| Err((record.steps, wrong))))
    }

    /// Leaves out whatever is not needed to go wrong.
    async fn shortest(&mut self, hours: &[Vec<Range>], steps: Vec<Step>) -> Vec<Step> {
        let begun = Instant::now();
        let mut steps = steps;
        for many in [16, 8, 4, 2, 1] {
            let mut at = 0;
            while at < steps.len() && begun.elapsed() < SHORTENING {
                let mut fewer = steps.clone();
                fewer.drain(at..(at + many).min(steps.len()));
                match self.verdict(hours, &fewer).await.1 {
                    Err((last, _)) => {
                        fewer.truncate(last + 1);
                        steps = fewer;
                    }
                    Ok(()) => at += many,
                }
            }
        }
        steps
    }

    /// Plays a sequence by its number.
    async fn play(&mut self, number: usize) -> Counts {
        let (seed, day) = (self.seed, number % WEEKS);
        self.stage.turn_to(day);
        let (hours, mut steps) = (step::hours(seed, day), step::sequence(seed, number, STEPS));
        let (counts, verdict) = self.verdict(&hours, &steps).await;
        if let Err((last, wrong)) = verdict {
            steps.truncate(last + 1);
            let steps = self.shortest(&hours, steps).await;
            let shortest = self.verdict(&hours, &steps).await.1;
            let lines: Vec<String> = steps.iter().map(|step| format!("  {step:?}")).collect();
            panic!(
                "sequence {number} goes wrong: {wrong}\nthe shortest that does: {shortest:?}\n\
                 hours {hours:?}\n{}\n\
                 again: TEST_SEED={seed} TEST_SEQUENCE={number} tests/run torture model",
                lines.join("\n")
            );
        }
        counts
    }
}

fn asked(name: &str) -> Option<u64> {
    std::env::var(name).ok().map(|text| text.parse().expect(name))
}

async fn agree(engine: Engine) {
    let begun = Instant::now();
    let seed = asked("TEST_SEED").unwrap_or_else(|| u64::from(std::process::id()));
    let count = |name| asked(name).map(|count| usize::try_from(count).unwrap());
    let one = count("TEST_SEQUENCE");
    let many = count("TEST_SEQUENCES").unwrap_or(SEQUENCES);
    println!("{engine:?}: seed {seed}");
    let mut theatre = Theatre::open(engine, seed).await;
    let opened = begun.elapsed();
    let (mut sum, mut played) = (Counts::default(), 0);
    if let Some(one) = one {
        sum = theatre.play(one).await;
        played = 1;
    } else {
        // Ten by chance may lack one kind of deed; the next ones have it.
        while played < many || (played < SEQUENCES_MORE && many >= SEQUENCES && !sum.has_all()) {
            sum = sum + theatre.play(played).await;
            played += 1;
        }
    }
    println!(
        "{engine:?}: {played} sequences of {STEPS} steps, opened in {:.1} s, played in {:.1} s, {sum:?}",
        opened.as_secs_f64(),
        (begun.elapsed() - opened).as_secs_f64()
    );
    assert!(played < SEQUENCES || sum.has_all(), "something was never done");
    // In a short run an offer may happen to be neither taken nor left to lapse.
    assert!(played < 10 * SEQUENCES || (sum.taken > 0 && sum.lapsed > 0), "nobody ever answered");
}

#[actix_web::test]
async fn booking_does_what_a_model_of_intervals_says_on_sqlite() {
    agree(Engine::Sqlite).await;
}

#[actix_web::test]
async fn booking_does_what_a_model_of_intervals_says_on_postgres() {
    agree(Engine::Postgres).await;
}
