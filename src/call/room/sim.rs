//! The room under a storm: people who come, vanish, come back, lie and are sent out, while what was
//! written down is told late, twice and in another order, and the process that has the room dies or
//! does not know that it has it no more. By seed.
//!
//! Every seed is one visit; whatever happens, the laws hold (`laws.rs`), and when the storm is over
//! everybody who is let in is connected again with everybody they have something to say to.
//! `TEST_SEEDS` and `TEST_EVENTS` make the storm longer, `TEST_FIRST` begins at another seed.

#![expect(clippy::as_conversions, reason = "the numbers of a test are small")]

mod client;
mod laws;
mod seats;
mod storm;
mod written;

use std::collections::BTreeMap;

use uuid::Uuid;

use self::client::Client;
use super::*;
use crate::base::column;
use crate::call::edge::Phase;
use crate::call::event::OverWhy;
use crate::call::plan::{self, Plan};
use crate::call::record::{Kept, MarkKind, MarkWhy, not_before};
use crate::call::seat::name_after;
use crate::encounter::Admission;
use crate::encounter::guest::ENDPOINTS_MAX;
use crate::encounter::party::Companion;

/// The storm of an issue is 10,000 seeds of 500 events; every run of the tests has a share of it.
const SEEDS: u64 = 500;
const EVENTS: u64 = 300;
/// As what the third and the others come.
const GUESTS: [ParticipantRole; 5] = [
    ParticipantRole::Relative,
    ParticipantRole::Feldsher,
    ParticipantRole::Specialist,
    ParticipantRole::Interpreter,
    ParticipantRole::Trainee,
];
/// How long a seat that somebody has taken again is waited for (`call::DOUBT_SECS`).
const DOUBT_SECS: i64 = 30;
/// How long it takes until the rooms of a dead process are another's.
const TAKEN_OVER_MS: i64 = 5000;

/// How far the clocks of the processes are from the right time, at most.
const CLOCKS_WRONG_MS: u64 = 30_000;

/// SplitMix64: small, and the same on every machine.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % sides
    }

    fn pick(&mut self, count: usize) -> usize {
        self.roll(count as u64) as usize
    }

    fn chance(&mut self, percent: u64) -> bool {
        self.roll(100) < percent
    }

    /// How far a clock is from the right time.
    fn clock_ms(&mut self) -> i64 {
        self.roll(2 * CLOCKS_WRONG_MS) as i64 - CLOCKS_WRONG_MS as i64
    }
}

/// What the database knows of somebody.
#[derive(Clone)]
struct Row {
    /// Since which change of the visit they are let in, or are not; the first is from the beginning.
    admissions: Vec<(i32, bool)>,
    /// Since which change they are what they are.
    roles: Vec<(i32, ParticipantRole)>,
    denied: bool,
    seat: Option<(Uuid, i32)>,
    /// Their newest seat, also one that has ended.
    latest: Option<Uuid>,
    /// Whom they sit with, since which change.
    beside: Vec<(i32, Option<usize>)>,
    aside: bool,
    removed: bool,
}

impl Row {
    fn is_admitted(&self) -> bool {
        self.admissions.last().is_some_and(|(_, admitted)| *admitted)
    }

    /// Whether they were let in as of a change.
    fn was_admitted(&self, rev: i32) -> bool {
        as_of(rev, &self.admissions)
    }

    fn role(&self) -> ParticipantRole {
        self.role_at(i32::MAX)
    }

    fn beside(&self) -> Option<usize> {
        self.beside_at(i32::MAX)
    }

    /// With whom they sit as of a change.
    fn beside_at(&self, rev: i32) -> Option<usize> {
        as_of(rev, &self.beside)
    }

    /// As what they were asked to come as of a change.
    fn role_at(&self, rev: i32) -> ParticipantRole {
        as_of(rev, &self.roles)
    }
}

fn as_of<T: Copy>(rev: i32, changes: &[(i32, T)]) -> T {
    changes.iter().rev().find(|(since, _)| *since <= rev).unwrap().1
}

/// An open socket as the process that has the room sees it.
#[derive(Clone, Copy)]
struct Open {
    whose: usize,
    /// The next number they must hear.
    expected: u64,
    /// The seat that it was opened with, and which socket of that seat it is.
    seat: (Uuid, i32),
}

/// A seat was taken in the database, and the room has not heard of it.
struct Arrival {
    whose: usize,
    line: LineId,
    expected: u64,
    seat: (Uuid, i32),
    event: Event,
}

/// A process that believes in a room which is another's by now: it hears, and nobody hears it.
struct Former {
    room: Room,
    clock_ms: i64,
    lines: Vec<LineId>,
}

/// Somebody left a seat that had been taken again meanwhile: it is given up if nobody comes.
struct Doubt {
    whose: usize,
    seat: (Uuid, i32),
    until: Instant,
}

struct World {
    seed: u64,
    dice: Dice,
    now: Instant,
    /// How far the clock of the process that has the room is from the right time.
    clock_ms: i64,
    room: Room,
    former: Option<Former>,
    clients: Vec<Client>,
    rows: Vec<Row>,
    open: BTreeMap<LineId, Open>,
    closed: Vec<LineId>,
    gone: Vec<(Uuid, i32)>,
    arriving: Vec<Arrival>,
    /// Written down, and not told yet.
    news: Vec<Event>,
    doubts: Vec<Doubt>,
    /// The newest that the room was told of somebody, and of the party.
    heard: Vec<i32>,
    party_heard: i32,
    next: u128,
    over: bool,
    locked: bool,
    /// What the record has by the marks alone: the edges that have begun and their ends, and of each
    /// line the newest by the times that are written, also by the word of a process that is no more.
    begun: BTreeMap<String, [Option<ParticipantId>; 2]>,
    standing: BTreeMap<ParticipantId, (Instant, MarkKind)>,
    /// Counts what is written down about the room.
    rev: i32,
    /// Whose visit it is.
    conducts: usize,
    /// More devices than there may be: somebody is turned away.
    crowded: bool,
}

impl World {
    fn new(seed: u64) -> Self {
        let mut dice = Dice(seed);
        let now: Instant = "2026-11-24T02:00:00Z".parse().unwrap();
        let clock_ms = dice.clock_ms();
        let count = 2 + dice.pick(5);
        let crowded = dice.chance(10);
        let mut devices = 2;
        let mut parts: Vec<(ParticipantRole, Option<usize>)> =
            vec![(ParticipantRole::Practitioner, None), (ParticipantRole::Patient, None)];
        for _ in 2..count {
            let role = GUESTS[dice.pick(GUESTS.len())];
            let beside = (devices == ENDPOINTS_MAX && !crowded) || dice.chance(25);
            devices += usize::from(!beside);
            parts.push((role, beside.then(|| dice.pick(2))));
        }
        // As far apart as real ids are: the name of an edge is made of both.
        let id = |at| ParticipantId(Uuid::from_u128(1_u128 << (8 + 4 * at)));
        let clients = (0..count).map(|at| Client::new(id(at)));
        let rows = parts.iter().enumerate().map(|(at, (role, beside))| Row {
            admissions: vec![(i32::MIN, at == 0)],
            roles: vec![(i32::MIN, *role)],
            denied: false,
            seat: None,
            latest: None,
            beside: vec![(i32::MIN, *beside)],
            aside: false,
            removed: false,
        });
        Self {
            seed,
            now,
            clock_ms,
            room: Room::new(Arc::default(), now.plus(TimeDelta::milliseconds(clock_ms))),
            former: None,
            clients: clients.collect(),
            rows: rows.collect(),
            open: BTreeMap::new(),
            closed: Vec::new(),
            gone: Vec::new(),
            arriving: Vec::new(),
            news: Vec::new(),
            doubts: Vec::new(),
            heard: vec![i32::MIN; count],
            party_heard: i32::MIN,
            begun: BTreeMap::new(),
            standing: BTreeMap::new(),
            next: 1,
            over: false,
            locked: false,
            rev: 0,
            conducts: 0,
            crowded: devices > ENDPOINTS_MAX,
            dice,
        }
    }

    fn count(&mut self) -> u128 {
        self.next += 1;
        self.next
    }

    fn pass(&mut self, millis: i64) {
        self.now = self.now.plus(TimeDelta::milliseconds(millis));
    }

    /// The time as the process that has the room knows it.
    fn clock(&self) -> Instant {
        self.now.plus(TimeDelta::milliseconds(self.clock_ms))
    }

    fn who(&self, id: ParticipantId) -> usize {
        self.clients.iter().position(|client| client.id == id).unwrap()
    }

    fn guest(&self, at: usize) -> Guest {
        let (id, role) = (self.clients[at].id, self.rows[at].role());
        let admitted = self.rows[at].is_admitted();
        Guest {
            id,
            role,
            name: "Asha".to_owned(),
            admitted,
            since: (!admitted).then_some(self.now),
            place: None,
            sits_with: self.rows[at].beside().map(|host| self.clients[host].id),
            party: self.party(),
            carries: crate::call::rung::Rung::Video,
        }
    }

    fn party(&self) -> Party {
        let people = self.clients.iter().zip(&self.rows).filter(|(_, row)| !row.removed);
        let people = people.map(|(client, row)| Companion {
            id: client.id,
            role: row.role(),
            sits_with: row.beside().map(|host| self.clients[host].id),
            aside: row.aside,
            admission: match row.is_admitted() {
                true => Admission::Admitted,
                false if row.denied => Admission::Denied,
                false => Admission::Held,
            },
        });
        Party { rev: self.rev, locked: self.locked, people: people.collect() }
    }

    fn credentials(&self, (sid, epoch): (Uuid, i32)) -> Credentials {
        let secret = (epoch == 1).then(|| "secret".to_owned());
        Credentials { sid, secret, epoch, session: SessionId(sid) }
    }

    /* What the room does */

    fn apply(&mut self, event: Event) {
        let effects = self.room.apply(event, self.clock());
        for effect in effects {
            self.carry_out(effect);
        }
        self.check();
    }

    fn carry_out(&mut self, effect: Effect) {
        let seed = self.seed;
        match effect {
            Effect::Send(line, text) => self.send(line, text),
            Effect::Close(line, code) => {
                let known = self.open.remove(&line);
                let Some(open) = known else { panic!("seed {seed}: a socket is closed twice") };
                let is_newest = self.rows[open.whose].seat == Some(open.seat);
                assert!(
                    code != CloseCode::Superseded || !is_newest,
                    "seed {seed}: whoever came last is thrown out"
                );
                self.closed.push(line);
                let client = &mut self.clients[open.whose];
                if client.line == Some(line) {
                    // What was written before the close still arrives, or does not.
                    client.line = None;
                    client.up.clear();
                }
            }
            Effect::Gone(id, sid, epoch, _) => {
                let is_new = !self.gone.contains(&(sid, epoch));
                assert!(is_new, "seed {seed}: a seat is given up twice");
                self.gone.push((sid, epoch));
                self.give_up(self.who(id), (sid, epoch));
            }
            Effect::Keep(kept) => self.write_down(kept),
        }
    }

    fn tick(&mut self) {
        let now = self.clock();
        let (due, doubts): (Vec<Doubt>, Vec<Doubt>) =
            std::mem::take(&mut self.doubts).into_iter().partition(|doubt| doubt.until <= now);
        self.doubts = doubts;
        for Doubt { whose, seat, .. } in due {
            if !self.room.knows(seat.0) {
                self.give_up(whose, seat);
            }
        }
        self.apply(Event::Tick);
    }

    /* Processes */

    /// The process that has the room is dead, or is only taken for dead; another has it from now on.
    fn change_owner(&mut self, is_dead: bool) {
        self.wake_former();
        self.pass(TAKEN_OVER_MS);
        for Arrival { whose, line, .. } in std::mem::take(&mut self.arriving) {
            if self.clients[whose].line == Some(line) {
                self.clients[whose].lose_line();
            }
        }
        // What it had heard and not told its room is lost with it; the next reads what is written.
        self.news.retain(|_| self.dice.chance(50));
        self.doubts.clear();
        self.begun.clear();
        let lines: Vec<LineId> = std::mem::take(&mut self.open).into_keys().collect();
        self.closed.extend(&lines);
        let clock_ms = std::mem::replace(&mut self.clock_ms, self.dice.clock_ms());
        let opened = Room::new(Arc::default(), self.clock());
        let room = std::mem::replace(&mut self.room, opened);
        if !is_dead {
            self.former = Some(Former { room, clock_ms, lines });
        }
        self.heard.fill(i32::MIN);
        self.party_heard = i32::MIN;
        for at in 0..self.clients.len() {
            // A line that another process carried breaks at once; the others stand there and are mute.
            if is_dead || self.dice.chance(50) {
                self.clients[at].lose_line();
            }
            let Row { seat, denied, removed, .. } = self.rows[at];
            if let Some(seat) = seat
                && !denied
                && !removed
            {
                let event = Event::Restore(self.guest(at), self.credentials(seat));
                self.hear_of_party(self.rev);
                self.apply(event);
            }
        }
    }

    /// It learns that the room is another's: it says goodbye and forgets it.
    fn wake_former(&mut self) {
        let Some(Former { lines, .. }) = self.former.take() else { return };
        for client in &mut self.clients {
            if client.line.is_some_and(|line| lines.contains(&line)) {
                client.lose_line();
            }
        }
    }
}

/// How long a storm is asked for.
fn asked(name: &str, usual: u64) -> u64 {
    std::env::var(name).map_or(usual, |text| text.parse().expect("a number"))
}

fn weather(seeds: std::ops::Range<u64>) {
    let events = asked("TEST_EVENTS", EVENTS);
    for seed in seeds {
        let mut world = World::new(seed);
        for _ in 0..events {
            world.storm();
        }
        world.calm();
    }
}

#[test]
fn whatever_happens_in_a_room_the_invariants_hold_and_in_the_end_all_are_connected() {
    // Two halves at once; a failure names its seed.
    std::thread::scope(|threads| {
        let (first, seeds) = (asked("TEST_FIRST", 0), asked("TEST_SEEDS", SEEDS));
        let middle = first + seeds / 2;
        threads.spawn(move || weather(first..middle));
        threads.spawn(move || weather(middle..first + seeds));
    });
}
