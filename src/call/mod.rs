//! The live rooms of this process: sockets on one side, the database on the other.
//!
//! A room is pure (`room.rs`); here its effects are carried out. Nothing rests on this memory
//! surviving: seats and admissions are rows, so that a client can come back after a restart.

pub mod edge;
pub mod ice;
pub mod mailbox;
pub mod message;
pub mod room;
#[cfg(test)]
mod room_tests;
pub mod seat;
pub mod socket;

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use serde_json::json;
use tokio::sync::{mpsc, watch};

use crate::account::SessionId;
use crate::base::app::App;
use crate::base::column::Instant;
use crate::base::ctx::as_system;
use crate::base::tx;
use crate::call::room::{CloseCode, Effect, Event, LineId, Room};
use crate::encounter::presence::LeftWhy;
use crate::encounter::{EncounterId, ParticipantId};

/// How many messages may wait for a slow socket before it is closed.
pub const QUEUE_LEN_MAX: usize = 128;
/// How often rooms look at the clock, in milliseconds.
const TICK_MS: u64 = 500;

/// What a socket is told to do.
#[derive(Debug)]
pub enum Order {
    /// Write this.
    Send(String),
    /// Close; nothing after it counts.
    Close(CloseCode),
}

/// A socket, as its room sees it.
#[derive(Debug, Clone)]
pub struct Line {
    /// Its number in this process.
    pub id: LineId,
    /// The sign-in session it rests on.
    pub session: SessionId,
    /// The way to it; bounded.
    pub orders: mpsc::Sender<Order>,
}

struct Live {
    room: Room,
    lines: Vec<Line>,
}

/// The live rooms of this process.
#[derive(Default)]
pub struct Rooms {
    live: Mutex<HashMap<EncounterId, Live>>,
    next_line: AtomicU64,
    stopping: AtomicBool,
    clock: std::sync::OnceLock<Arc<dyn crate::base::clock::Clock>>,
}

/// A seat that became empty: what must still be written to the database.
pub type Departure = (EncounterId, ParticipantId, LeftWhy);

impl Rooms {
    /// Rooms that live by `clock`.
    pub fn new(clock: Arc<dyn crate::base::clock::Clock>) -> Self {
        let rooms = Self::default();
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

    /// How many sockets are open.
    pub fn line_count(&self) -> usize {
        self.lock().values().map(|live| live.lines.len()).sum()
    }

    /// Lets something happen in a room; `line` is a socket that comes with it.
    pub fn apply(&self, encounter: EncounterId, line: Option<Line>, event: Event) -> Vec<Departure> {
        let now = self.now();
        let mut rooms = self.lock();
        if line.is_none() && !matches!(event, Event::Restore(_)) && !rooms.contains_key(&encounter) {
            return Vec::new();
        }
        let live = rooms
            .entry(encounter)
            .or_insert_with(|| Live { room: Room::new(now), lines: Vec::new() });
        live.lines.extend(line);
        let departures = live.carry_out(encounter, event, now);
        if live.room.is_empty() && live.lines.is_empty() {
            rooms.remove(&encounter);
        }
        departures
    }

    /// Hears what a committed transaction tells.
    pub fn hear(&self, event: &tx::Event) {
        match event {
            tx::Event::Admission(encounter, participant, admission) => {
                // Whoever is turned away is "denied" in the database already.
                self.apply(*encounter, None, Event::Decided(*participant, *admission));
            }
            tx::Event::EncounterOver(encounter) => {
                self.apply(*encounter, None, Event::Over);
            }
            tx::Event::SessionEnded(_) | tx::Event::MessageQueued => {}
        }
    }

    /// A sign-in ended: whoever sits on it must go.
    pub fn sign_out(&self, session: SessionId) -> Vec<Departure> {
        let now = self.now();
        let mut departures = Vec::new();
        for (encounter, live) in self.lock().iter_mut() {
            let lines: Vec<_> =
                live.lines.iter().filter(|line| line.session == session).map(|line| line.id).collect();
            for line in lines {
                if let Some(id) = live.room.seated(line) {
                    departures.extend(live.carry_out(*encounter, Event::SignedOut(id), now));
                }
            }
        }
        departures
    }

    /// Lets time pass in every room.
    pub fn tick(&self) -> Vec<Departure> {
        let now = self.now();
        let mut departures = Vec::new();
        self.lock().retain(|encounter, live| {
            departures.extend(live.carry_out(*encounter, Event::Tick, now));
            !(live.room.is_empty() && live.lines.is_empty())
        });
        departures
    }

    /// Says goodbye to every socket: the seats stay, clients come back to the next process.
    pub fn stop(&self) {
        self.stopping.store(true, Ordering::SeqCst);
        for live in self.lock().values_mut() {
            for line in live.lines.drain(..) {
                // Spread over three seconds, so that the next process is not run over.
                let after_ms = line.id.wrapping_mul(2_654_435_761) % 3000;
                let bye = room::unnumbered("bye", None, &json!({"action": "resume", "after_ms": after_ms}));
                drop(line.orders.try_send(Order::Send(bye)));
                drop(line.orders.try_send(Order::Close(CloseCode::Restart)));
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<EncounterId, Live>> {
        // A panic under the lock leaves at worst one room with a message missing, and its
        // clients resume; refusing everybody else would be worse.
        self.live.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Live {
    fn carry_out(&mut self, encounter: EncounterId, event: Event, now: Instant) -> Vec<Departure> {
        if let Event::Lost(gone) = &event {
            let gone = *gone;
            self.lines.retain(|line| line.id != gone);
        }
        let mut departures = Vec::new();
        for effect in self.room.apply(event, now) {
            match effect {
                Effect::Send(to, text) => self.order(to, Order::Send(text)),
                Effect::Close(to, code) => {
                    self.order(to, Order::Close(code));
                    self.lines.retain(|line| line.id != to);
                }
                Effect::Gone(id, why) => departures.push((encounter, id, why)),
            }
        }
        departures
    }

    /// Never waits: a socket that does not keep up is cut off, and resumes.
    fn order(&mut self, to: LineId, order: Order) {
        let Some(line) = self.lines.iter().find(|line| line.id == to) else { return };
        if line.orders.try_send(order).is_err() {
            // Dropping the sender tells the socket's task to close as too slow.
            self.lines.retain(|line| line.id != to);
        }
    }
}

/// Writes down who has left.
pub async fn remember(app: &Arc<App>, departures: Vec<Departure>) {
    for (encounter, id, why) in departures {
        let done = as_system(app, move |tx| seat::give_up(tx, encounter, id, why)).await;
        if let Err(error) = done {
            tracing::error!(encounter.id = %encounter, %error, "a departure could not be written down");
        }
    }
}

/// Keeps the rooms going until `stop`: restores the seats of the process before, then ticks.
pub async fn run(app: Arc<App>, mut stop: watch::Receiver<bool>) {
    match as_system(&app, seat::left_behind).await {
        Ok(guests) => {
            for (encounter, guest) in guests {
                app.rooms.apply(encounter, None, Event::Restore(guest));
            }
        }
        Err(error) => tracing::error!(%error, "the seats of the process before could not be read"),
    }
    let mut ticks = tokio::time::interval(Duration::from_millis(TICK_MS));
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            _ = ticks.tick() => remember(&app, app.rooms.tick()).await,
            _ = stop.changed() => return,
        }
    }
}
