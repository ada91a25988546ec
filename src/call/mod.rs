//! The live rooms of this process: sockets on one side, the database on the other.
//!
//! A room is pure (`room.rs`); here its effects are carried out. Nothing rests on this memory
//! surviving: seats and admissions are rows, so that a client can come back after a restart.

pub mod budget;
pub mod departure;
pub mod edge;
pub mod event;
pub mod gather;
pub mod ice;
pub mod ladder;
pub mod line;
mod live;
pub mod mailbox;
pub mod message;
mod meter;
pub(crate) mod nodes;
mod places;
pub mod plan;
pub mod poll;
pub mod probe;
pub mod record;
pub mod relay;
pub mod room;
pub mod rung;
mod scan;
pub mod seat;
pub mod socket;
mod verbatim;
mod wire;

use std::collections::{HashMap, HashSet};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use serde_json::json;
use tokio::sync::watch;

use crate::account::SessionId;
use crate::base::app::App;
use crate::base::column::Instant;
use crate::base::config;
use crate::base::ctx::as_system;
use crate::base::tx;
use crate::call::budget::Knocks;
use crate::call::departure::{Departure, Owed, remember};
use crate::call::event::{CloseCode, Event, LineId, News, OverWhy};
use crate::call::line::{Line, Order};
use crate::call::live::Live;
use crate::call::nodes::Nodes;
use crate::call::places::tell_places;
use crate::call::poll::Polls;
use crate::call::record::ledger::{self, Ledger};
use crate::call::room::Room;
use crate::encounter::{EncounterId, ParticipantId};
use crate::practitioner::PractitionerId;

/// How often rooms look at the clock, in milliseconds.
const TICK_MS: u64 = 500;
/// How often those who wait are told of changes in the practitioner's day, in milliseconds.
const QUEUE_MS: u64 = 2000;
/// Every so many of these rounds everybody's place is looked at, changed or not.
const QUEUE_ROUNDS: u32 = 10;
/// How many most rooms hold: for more the space doubles.
const COUPLE: usize = 2;
/// How often every socket asks the database whether its seat is still good, in seconds.
pub const CHECK_SECS: i64 = 30;

/// The live rooms of this process.
#[derive(Default)]
pub struct Rooms {
    ice: Arc<config::Ice>,
    live: Mutex<HashMap<EncounterId, Live>>,
    /// Departures that are not written down yet.
    owed: Mutex<Vec<Owed>>,
    /// Whose day has changed since those who wait were told last.
    moved: Mutex<HashSet<PractitionerId>>,
    /// How many have heard their place on arriving since that round.
    placed: Mutex<HashMap<PractitionerId, u32>>,
    next_line: AtomicU64,
    stopping: AtomicBool,
    /// What is to be written into the record of calls.
    pub ledger: Arc<Ledger>,
    /// Who came with a wrong first frame.
    pub knocks: Knocks,
    /// Which rooms are this process's, and the way to the others.
    pub nodes: Nodes,
    /// Lines over plain HTTP.
    pub polls: Polls,
    restored: watch::Sender<bool>,
    clock: std::sync::OnceLock<Arc<dyn crate::base::clock::Clock>>,
}

impl Rooms {
    /// Rooms that live by `clock`, whose connections take the ways of `ice`.
    pub fn new(clock: Arc<dyn crate::base::clock::Clock>, ice: config::Ice, nodes: Nodes) -> Self {
        let rooms = Self { ice: Arc::new(ice), nodes, ..Self::default() };
        drop(rooms.clock.set(clock));
        rooms
    }

    fn now(&self) -> Instant {
        match self.clock.get() {
            Some(clock) => clock.now(),
            None => crate::base::clock::Clock::now(&crate::base::clock::SystemClock),
        }
    }

    /// A number for a new socket.
    pub fn new_line(&self) -> LineId {
        self.next_line.fetch_add(1, Ordering::Relaxed)
    }

    /// Whether the process is stopping: no new sockets.
    pub fn is_stopping(&self) -> bool {
        self.stopping.load(Ordering::SeqCst)
    }

    /// Waits until the seats of the process before are in their rooms. Whoever came back earlier
    /// would see a room without the others, and close the connection to them.
    pub async fn restored(&self) {
        // The sender lives as long as the rooms.
        self.restored.subscribe().wait_for(|restored| *restored).await.ok();
    }

    /// How many sockets are open.
    pub fn line_count(&self) -> usize {
        self.lock().values().map(|live| live.lines.len()).sum()
    }

    /// How many rooms are in memory.
    pub fn room_count(&self) -> usize {
        self.lock().len()
    }

    /// Lets something happen in a room; `line` is a socket that comes with it.
    #[must_use]
    pub fn apply(
        &self,
        encounter: EncounterId,
        line: Option<Line>,
        event: Event,
    ) -> Vec<Departure> {
        let now = self.now();
        let mut rooms = self.lock();
        if let Some(line) = &line
            && self.is_stopping()
        {
            say_farewell(line);
            return Vec::new();
        }
        if !event.opens_room() && !rooms.contains_key(&encounter) {
            return Vec::new();
        }
        let live = rooms.entry(encounter).or_insert_with(|| Live {
            room: Room::new(Arc::clone(&self.ice), now),
            lines: Vec::with_capacity(COUPLE),
            ledger: Arc::clone(&self.ledger),
        });
        let came = line.as_ref().map(|line| line.id);
        live.lines.extend(line);
        let departures = live.carry_out(encounter, event, now);
        if let Some(came) = came {
            // What was committed between the taking of the seat and this moment told the room
            // of nobody: the newcomer looks once more.
            live.order(came, Order::Check);
        }
        if live.is_done(now) {
            rooms.remove(&encounter);
        }
        departures
    }

    /// Hears what a committed transaction tells; what comes of it must be remembered.
    #[must_use]
    pub fn hear(&self, event: &tx::Event) -> Vec<Departure> {
        match event {
            // The room is on another node, or nowhere: whoever comes reads what was written.
            tx::Event::Admission(encounter, ..)
            | tx::Event::PartyChanged(encounter, _)
            | tx::Event::EncounterOver(encounter)
            | tx::Event::EncounterReopened(encounter)
                if !self.nodes.holds(*encounter) =>
            {
                Vec::new()
            }
            tx::Event::Admission(encounter, participant, admission, rev) => {
                self.apply(*encounter, None, Event::Decided(*participant, *admission, *rev))
            }
            tx::Event::PartyChanged(encounter, party) => {
                self.apply(*encounter, None, Event::Party(party.clone()))
            }
            tx::Event::EncounterOver(encounter) => {
                self.apply(*encounter, None, Event::Over(OverWhy::Finished))
            }
            tx::Event::EncounterReopened(encounter) => {
                self.apply(*encounter, None, Event::Reopened)
            }
            tx::Event::SessionEnded(session) => self.sign_out(*session),
            tx::Event::Ringing(encounter, participant, ring) => {
                self.apply(*encounter, None, Event::News(News::Ringing(*participant, *ring)))
            }
            tx::Event::CareMoved(encounter) => {
                self.apply(*encounter, None, Event::News(News::Care))
            }
            tx::Event::Wrote(encounter) => self.apply(*encounter, None, Event::News(News::Chat)),
            tx::Event::MessageQueued => Vec::new(),
            tx::Event::QueueMoved(practitioner) => {
                self.moved().insert(*practitioner);
                Vec::new()
            }
        }
    }

    /// A sign-in ended: whoever sits on it must go.
    #[must_use]
    pub fn sign_out(&self, session: SessionId) -> Vec<Departure> {
        let now = self.now();
        let mut departures = Vec::new();
        for (encounter, live) in self.lock().iter_mut() {
            if live.room.rests_on(session) {
                departures.extend(live.carry_out(*encounter, Event::SignedOut(session), now));
            }
        }
        departures
    }

    /// Whether somebody has this seat, or may come back to it. A look through all rooms: for those
    /// who would otherwise not be heard.
    pub fn knows(&self, sid: uuid::Uuid) -> bool {
        self.lock().values().any(|live| live.room.knows(sid))
    }

    /// Whether a room has not heard of a change of its visit: whoever was to tell it may be dead.
    pub fn is_behind(&self, encounter: EncounterId, rev: i32) -> bool {
        self.lock().get(&encounter).is_some_and(|live| live.room.is_behind(rev))
    }

    /// Whether a socket still has its seat; `ack` is what it has worked through.
    pub fn heeds(&self, encounter: EncounterId, line: LineId, ack: Option<u64>) -> bool {
        self.lock().get_mut(&encounter).is_some_and(|live| live.room.heeds(line, ack))
    }

    /// Lets time pass in every room, and sends sockets to ask whether their seats are good.
    #[must_use]
    pub fn tick(&self) -> Vec<Departure> {
        if !self.nodes.is_alone() && !self.nodes.tenure().speaks() {
            // Somebody else may have the rooms by now: time passes there.
            return Vec::new();
        }
        let now = self.now();
        let owed = std::mem::take(&mut *self.owed());
        let mut rooms = self.lock();
        let (mut departures, mut doubted) = (Vec::new(), Vec::new());
        for one in owed {
            let Departure { encounter, sid, .. } = one.departure;
            match one.doubted_until {
                Some(until) if until > now => doubted.push(one),
                // They have come; or the room is another node's, which has the seat with it.
                Some(_) if !self.nodes.holds(encounter) => {}
                Some(_) if rooms.get(&encounter).is_some_and(|live| live.room.knows(sid)) => {}
                _ => departures.push(one.departure),
            }
        }
        self.owed().append(&mut doubted);
        rooms.retain(|encounter, live| {
            departures.extend(live.carry_out(*encounter, Event::Tick, now));
            live.send_to_check(now);
            !live.is_done(now)
        });
        departures
    }

    /// Says goodbye to every socket: the seats stay, clients come back to the next process.
    pub fn stop(&self) {
        let now = self.now();
        let mut rooms = self.lock();
        self.stopping.store(true, Ordering::SeqCst);
        for (encounter, live) in rooms.iter_mut() {
            for kept in live.room.close_record(now) {
                self.ledger.keep(*encounter, kept);
            }
            live.lines.drain(..).for_each(|line| say_farewell(&line));
        }
        if let Some(office) = self.nodes.office() {
            office.stop();
        }
    }

    /// Drops the rooms that `keep` does not want; their sockets close and are come back to.
    pub fn retain(&self, keep: impl Fn(&EncounterId) -> bool) {
        self.lock().retain(|encounter, _| keep(encounter));
    }

    /// Drops rooms that another node has by now, and what is still to be written down about them:
    /// they may be sat in there.
    pub fn lose(&self, is_lost: impl Fn(&EncounterId) -> bool) {
        self.owed().retain(|one| !is_lost(&one.departure.encounter));
        self.ledger.forget_standings(&is_lost);
        self.retain(|encounter| !is_lost(encounter));
    }

    /// The visits that have a room in memory.
    pub fn names(&self) -> HashSet<EncounterId> {
        self.lock().keys().copied().collect()
    }

    /// Everybody who has a seat here.
    pub fn present(&self) -> Vec<(EncounterId, ParticipantId)> {
        let rooms = self.lock();
        let seated = rooms.iter().flat_map(|(encounter, live)| {
            live.room.present().into_iter().map(move |id| (*encounter, id))
        });
        seated.collect()
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<EncounterId, Live>> {
        // A panic under the lock leaves at worst one room with a message missing, and its
        // clients resume; refusing everybody else would be worse.
        self.live.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn say_farewell(line: &Line) {
    line.order(Order::Send(farewell(line.id)));
    line.order(Order::Close(CloseCode::Restart));
}

/// What is said before a socket closes to be come back from: spread over three seconds, so that the
/// next process is not run over.
fn farewell(line: LineId) -> String {
    let after_ms = line.wrapping_mul(2_654_435_761) % 3000;
    room::unnumbered("bye", None, &json!({"action": "resume", "after_ms": after_ms}))
}

/// Keeps the rooms going until `stop`: restores the seats of the process before, then ticks. Where
/// there are other nodes, [`nodes`] restores what nobody has.
pub async fn run(app: Arc<App>, mut stop: watch::Receiver<bool>) {
    if app.rooms.nodes.is_alone() {
        match as_system(&app, |tx| seat::left_behind(tx, None)).await {
            Ok(seats) => {
                for (encounter, guest, credentials) in seats {
                    let restore = Event::Restore(guest, credentials);
                    remember(&app, app.rooms.apply(encounter, None, restore)).await;
                }
            }
            Err(error) => {
                tracing::error!(%error, "the seats of the process before could not be read");
            }
        }
        app.rooms.restored.send_replace(true);
    }
    let every = |millis| {
        let mut ticks = tokio::time::interval(Duration::from_millis(millis));
        ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        ticks
    };
    let mut stopped = stop.clone();
    let record = ledger::run(&app, stop.clone());
    let rooms = async {
        let mut ticks = every(TICK_MS);
        loop {
            tokio::select! {
                _ = ticks.tick() => {
                    app.rooms.polls.sweep();
                    remember(&app, app.rooms.tick()).await;
                }
                _ = stop.changed() => return,
            }
        }
    };
    // By itself: rooms do not wait for a question about queues.
    let queues = async {
        let (mut ticks, mut rounds) = (every(QUEUE_MS), 0_u32);
        loop {
            tokio::select! {
                _ = ticks.tick() => tell_places(&app, rounds.is_multiple_of(QUEUE_ROUNDS)).await,
                _ = stopped.changed() => return,
            }
            rounds = rounds.wrapping_add(1);
        }
    };
    tokio::join!(rooms, queues, record);
}
