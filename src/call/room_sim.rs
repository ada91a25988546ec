//! The room under a storm: people who come, vanish, come back, lie and are sent out, by seed.
//!
//! Every seed is one visit; whatever happens, the invariants hold, and when the storm is over
//! everybody who is let in is connected again with everybody they have something to say to.
//! `TEST_SEEDS` and `TEST_EVENTS` make the storm longer.

#![expect(clippy::as_conversions, reason = "the numbers of a test are small")]

use std::collections::{BTreeMap, VecDeque};

use chrono::TimeDelta;
use serde_json::Value;
use uuid::Uuid;

use super::*;
use crate::call::edge::Phase;
use crate::call::message::{Fallback, Presence, Quality, Verbatim};
use crate::call::rung::Rung;
use crate::encounter::party::Companion;

const SEEDS: u64 = 2000;
const EVENTS: u64 = 300;
/// As what the third and the others come.
const GUESTS: [ParticipantRole; 5] = [
    ParticipantRole::Relative,
    ParticipantRole::Feldsher,
    ParticipantRole::Specialist,
    ParticipantRole::Interpreter,
    ParticipantRole::Trainee,
];
/// How long a client waits on each rung of the ladder.
const RUNG_SECS: i64 = 8;

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
}

/// An `RTCPeerConnection`, as far as the protocol sees it.
#[derive(Debug, Clone)]
struct Connection {
    peer: Uuid,
    offerer: bool,
    generation: u64,
    neg: u32,
    /// The offer that both sides agreed on.
    agreed: Option<String>,
    offered: Option<String>,
    since: Instant,
}

/// A browser that follows `docs/signaling.md`.
struct Client {
    id: ParticipantId,
    role: ParticipantRole,
    line: Option<LineId>,
    last_seq: u64,
    connections: BTreeMap<String, Connection>,
    away: Vec<Uuid>,
    locked: Option<bool>,
    /// On the way to the client, and from it.
    down: VecDeque<String>,
    up: VecDeque<Frame>,
}

/// What the database knows of somebody.
#[derive(Clone, Copy)]
struct Row {
    admitted: bool,
    seat: Option<(Uuid, i32)>,
    /// Whom they sit with.
    beside: Option<usize>,
    aside: bool,
    removed: bool,
}

struct World {
    seed: u64,
    dice: Dice,
    now: Instant,
    room: Room,
    clients: Vec<Client>,
    rows: Vec<Row>,
    /// Open sockets as the server sees them: whose, and the next number they must hear.
    open: BTreeMap<LineId, (usize, u64)>,
    closed: Vec<LineId>,
    gone: Vec<Uuid>,
    next: u128,
    over: bool,
    locked: bool,
    /// Counts what the room was told.
    rev: i32,
    /// Whose late ticket is being dealt with: they sit until the next look into the database.
    late: Option<usize>,
    /// More devices than there may be: somebody is turned away.
    crowded: bool,
}

impl World {
    fn new(seed: u64) -> Self {
        let mut dice = Dice(seed);
        let now: Instant = "2026-11-24T02:00:00Z".parse().unwrap();
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
        let clients = (0..count).map(|at| Client {
            // As far apart as real ids are: the name of an edge is made of both.
            id: ParticipantId(Uuid::from_u128(1 << (8 + 4 * at))),
            role: parts[at].0,
            line: None,
            last_seq: 0,
            connections: BTreeMap::new(),
            away: Vec::new(),
            locked: None,
            down: VecDeque::new(),
            up: VecDeque::new(),
        });
        let rows = parts.iter().enumerate().map(|(at, (_, beside))| Row {
            admitted: at == 0,
            seat: None,
            beside: *beside,
            aside: false,
            removed: false,
        });
        Self {
            seed,
            now,
            room: Room::new(Arc::default(), now),
            clients: clients.collect(),
            rows: rows.collect(),
            open: BTreeMap::new(),
            closed: Vec::new(),
            gone: Vec::new(),
            next: 1,
            over: false,
            locked: false,
            rev: 0,
            late: None,
            crowded: devices > ENDPOINTS_MAX,
            dice,
        }
    }

    fn count(&mut self) -> u128 {
        self.next += 1;
        self.next
    }

    fn who(&self, id: ParticipantId) -> usize {
        self.clients.iter().position(|client| client.id == id).unwrap()
    }

    fn guest(&self, at: usize) -> Guest {
        let Client { id, role, .. } = self.clients[at];
        let since = (!self.rows[at].admitted).then_some(self.now);
        Guest {
            id,
            role,
            name: "Asha".to_owned(),
            admitted: self.rows[at].admitted,
            since,
            place: None,
            sits_with: self.rows[at].beside.map(|host| self.clients[host].id),
            party: self.party(),
            carries: Rung::Video,
        }
    }

    fn party(&self) -> Party {
        let people = self.clients.iter().zip(&self.rows).filter(|(_, row)| !row.removed);
        let people = people.map(|(client, row)| Companion {
            id: client.id,
            role: client.role,
            sits_with: row.beside.map(|host| self.clients[host].id),
            aside: row.aside,
        });
        Party { rev: self.rev, locked: self.locked, people: people.collect() }
    }

    /// What must flow from one to another, if anything.
    fn flow(&self, one: usize, other: usize) -> Option<Plan> {
        let (here, there) = (self.rows[one], self.rows[other]);
        let talks = |row: Row| row.admitted && row.beside.is_none();
        let together = talks(here) && talks(there) && here.aside == there.aside;
        let plan = || plan::between(self.clients[one].role, self.clients[other].role);
        if together { plan() } else { None }
    }

    fn credentials(&self, (sid, epoch): (Uuid, i32)) -> Credentials {
        let secret = (epoch == 1).then(|| "secret".to_owned());
        Credentials { sid, secret, epoch, session: SessionId(sid) }
    }

    /* Events */

    fn apply(&mut self, event: Event) {
        let effects = self.room.apply(event, self.now);
        for effect in effects {
            self.carry_out(effect);
        }
        self.check();
    }

    fn carry_out(&mut self, effect: Effect) {
        let seed = self.seed;
        match effect {
            Effect::Send(line, text) => {
                let Some((at, expected)) = self.open.get_mut(&line) else {
                    panic!("seed {seed}: something is said to a socket that is closed: {text}");
                };
                let at = *at;
                assert!(
                    !said_of(&text, &["peer", "offer"]) || !self.rows[at].removed,
                    "seed {seed}: {text}"
                );
                if let Some(seq) = seq_of(&text) {
                    assert_eq!(seq, *expected, "seed {seed}: a gap or a repetition: {text}");
                    *expected += 1;
                }
                if NEGOTIATION.contains(&kind_of(&text)) {
                    assert!(self.rows[at].admitted, "seed {seed}: said to one not let in: {text}");
                    let from = text_of(&text, "from").or(text_of(&text, "peer")).unwrap();
                    let from = self.who(ParticipantId(from.parse().unwrap()));
                    let Some(plan) = self.flow(at, from) else {
                        panic!("seed {seed}: of one with whom there is nothing to talk: {text}");
                    };
                    if kind_of(&text) == "negotiate" {
                        let body = &serde_json::from_str::<Value>(&text).unwrap()["body"];
                        let planned = json!([plan.there, plan.back]);
                        assert_eq!(json!([body["send"], body["receive"]]), planned, "seed {seed}");
                    }
                }
                if self.clients[at].line == Some(line) {
                    self.clients[at].down.push_back(text);
                }
            }
            Effect::Close(line, _) => {
                let known = self.open.remove(&line);
                let Some((at, _)) = known else { panic!("seed {seed}: a socket is closed twice") };
                self.closed.push(line);
                let client = &mut self.clients[at];
                if client.line == Some(line) {
                    // What was written before the close still arrives, or does not.
                    client.line = None;
                    client.up.clear();
                }
            }
            Effect::Gone(id, sid, ..) => {
                assert!(!self.gone.contains(&sid), "seed {seed}: a seat is given up twice");
                self.gone.push(sid);
                let at = self.who(id);
                let row = &mut self.rows[at];
                row.seat = row.seat.filter(|(open, _)| *open != sid);
            }
            Effect::Keep(_) => {}
        }
    }

    fn check(&self) {
        let seed = self.seed;
        for at in 0..self.clients.len() {
            let lines = self.open.values().filter(|(whose, _)| *whose == at).count();
            assert!(lines <= 1, "seed {seed}: somebody has {lines} live sockets");
        }
        assert!(
            !self.over || self.room.seats.is_empty(),
            "seed {seed}: somebody sits after the end"
        );
        for seat in &self.room.seats {
            let row = self.rows[self.who(seat.guest.id)];
            assert_eq!(
                seat.guest.admitted, row.admitted,
                "seed {seed}: the room lets in by itself"
            );
            if let super::Line::Up(line) = seat.line {
                assert!(self.open.contains_key(&line), "seed {seed}: a seat on a closed socket");
            }
            if !row.admitted {
                assert_eq!(seat.told, Some(self.room.wait_now(seat.guest.id)), "seed {seed}");
            }
            let is_late = self.late == Some(self.who(seat.guest.id));
            assert!(!row.removed || is_late, "seed {seed}: somebody sits who was sent out");
        }
        let mut seated: Vec<usize> =
            self.room.seats.iter().map(|seat| self.who(seat.guest.id)).collect();
        seated.sort_unstable();
        let devices = seated.iter().filter(|at| self.rows[**at].beside.is_none()).count();
        assert!(devices <= ENDPOINTS_MAX, "seed {seed}: {devices} devices");
        assert!(seated.windows(2).all(|two| two[0] != two[1]), "seed {seed}: two in a seat");
        let mut wanted = 0;
        for (number, one) in seated.iter().enumerate() {
            for other in &seated[number + 1..] {
                let Some(plan) = self.flow(*one, *other) else { continue };
                wanted += 1;
                let (id, far) = (self.clients[*one].id, self.clients[*other].id);
                let edge = self.room.edges.iter().find(|edge| edge.joins(id) && edge.joins(far));
                let seen = edge.and_then(|edge| edge.seen_by(id));
                let seen = seen.unwrap_or_else(|| panic!("seed {seed}: an edge is missing"));
                assert_eq!((seen.send, seen.receive), (plan.there, plan.back), "seed {seed}");
            }
        }
        assert_eq!(self.room.edges.len(), wanted, "seed {seed}: an edge that nobody wants");
    }

    fn enter(&mut self, at: usize) {
        if self.rows[at].removed {
            return;
        }
        self.sit_down(at);
    }

    /// The ticket was good, the seat taken and the invitation then taken back, all before the room
    /// hears of the newcomer; the first look into the database sends them out.
    fn come_too_late(&mut self, at: usize) {
        if !self.rows[at].removed {
            return;
        }
        self.late = Some(at);
        self.sit_down(at);
        self.apply(Event::Barred(self.clients[at].id));
        self.late = None;
        self.rows[at].seat = None;
        self.check();
    }

    fn sit_down(&mut self, at: usize) {
        let sid = Uuid::from_u128(self.count());
        let line = self.count() as LineId;
        self.rows[at].seat = Some((sid, 1));
        self.forget_line(at);
        let client = &mut self.clients[at];
        (client.line, client.last_seq) = (Some(line), 0);
        client.connections.clear();
        self.open.insert(line, (at, 1));
        let (guest, credentials) = (self.guest(at), self.credentials((sid, 1)));
        self.apply_with_old_socket(at, line, Event::Enter(guest, line, credentials));
    }

    /// A socket comes while the server may not have noticed that the older one is dead; for that
    /// one moment there are two.
    fn apply_with_old_socket(&mut self, at: usize, line: LineId, event: Event) {
        self.apply(event);
        let others = self.open.iter().any(|(id, (whose, _))| *whose == at && *id != line);
        assert!(!others, "seed {}: the older socket is not closed", self.seed);
    }

    fn resume(&mut self, at: usize) {
        let Some((sid, epoch)) = self.rows[at].seat else { return self.enter(at) };
        if self.clients[at].last_seq == 0 {
            // The welcome never arrived: this client does not know its seat.
            return self.enter(at);
        }
        let line = self.count() as LineId;
        self.rows[at].seat = Some((sid, epoch + 1));
        self.forget_line(at);
        if self.dice.chance(10) {
            // The page was reloaded: the seat is known, the connections are gone.
            self.clients[at].connections.clear();
        }
        let client = &mut self.clients[at];
        client.line = Some(line);
        let last_seq = client.last_seq;
        self.open.insert(line, (at, last_seq + 1));
        let (guest, credentials) = (self.guest(at), self.credentials((sid, epoch + 1)));
        self.apply_with_old_socket(at, line, Event::Resume(guest, line, credentials, last_seq));
    }

    /// What was on the way is lost with the socket.
    fn forget_line(&mut self, at: usize) {
        let client = &mut self.clients[at];
        client.line = None;
        client.down.clear();
        client.up.clear();
    }

    /// The server notices that a socket is dead.
    fn lose(&mut self, at: usize) {
        self.forget_line(at);
        let line = self.open.iter().find(|(_, (whose, _))| *whose == at).map(|(line, _)| *line);
        if let Some(line) = line {
            self.open.remove(&line);
            self.closed.push(line);
            self.apply(Event::Lost(line));
        }
    }

    fn arrange(&mut self) {
        self.rev += 1;
        self.apply(Event::Party(self.party()));
    }

    /// Takes an invitation back, and with it those who sit at that device.
    fn remove(&mut self, at: usize) {
        for one in 0..self.clients.len() {
            let goes = one == at || self.rows[one].beside == Some(at);
            if one < 2 || !goes || self.rows[one].removed {
                continue;
            }
            let row = &mut self.rows[one];
            (row.removed, row.admitted, row.aside) = (true, false, false);
            let id = self.clients[one].id;
            self.rev += 1;
            self.apply(Event::Decided(id, Admission::Removed, self.rev));
            self.rows[one].seat = None;
            assert!(self.room.seat(id).is_none(), "seed {}: still here", self.seed);
        }
        self.arrange();
    }

    fn invite(&mut self, at: usize) {
        if self.rows[at].removed && !self.locked {
            self.rows[at].removed = false;
            self.arrange();
        }
    }

    fn put_aside(&mut self, at: usize) {
        if self.rows[at].admitted {
            self.rows[at].aside = !self.rows[at].aside;
            self.arrange();
        }
    }

    fn lock(&mut self) {
        self.locked = !self.locked;
        self.arrange();
    }

    fn decide(&mut self, at: usize, admission: Admission) {
        if at > 0 && !self.rows[at].removed {
            let row = &mut self.rows[at];
            row.admitted = admission == Admission::Admitted;
            let comes_back = !row.admitted && std::mem::take(&mut row.aside);
            self.rev += 1;
            self.apply(Event::Decided(self.clients[at].id, admission, self.rev));
            if comes_back {
                self.arrange();
            }
        }
    }

    fn restart(&mut self) {
        self.pass(1000);
        self.closed.extend(self.open.keys());
        self.open.clear();
        self.room = Room::new(Arc::default(), self.now);
        for at in 0..self.clients.len() {
            self.forget_line(at);
            let Some(seat) = self.rows[at].seat else { continue };
            if self.dice.chance(80) {
                let event = Event::Restore(self.guest(at), self.credentials(seat));
                self.apply(event);
            }
        }
    }

    fn pass(&mut self, millis: i64) {
        self.now = self.now.plus(TimeDelta::milliseconds(millis));
    }

    fn say(&mut self, line: LineId, said: FromPeer) {
        self.apply(Event::Said(line, Frame { id: None, ack: None, said }));
    }

    fn ghost(&mut self) {
        let Some(line) = self.closed.last().copied() else { return };
        let said = self.garbage(0);
        let event = if self.dice.chance(30) {
            Event::Lost(line)
        } else {
            Event::Said(line, Frame { id: None, ack: Some(9), said })
        };
        let effects = self.room.apply(event, self.now);
        assert_eq!(effects, Vec::new(), "seed {}: a socket without a seat is heard", self.seed);
    }

    fn garbage(&mut self, at: usize) -> FromPeer {
        let names: Vec<_> = self.room.edges.iter().map(|edge| edge.id.clone()).collect();
        let edge = if names.is_empty() || self.dice.chance(20) {
            "e0".to_owned()
        } else {
            names[self.dice.pick(names.len())].clone()
        };
        let generation = (self.room.generation + 1).saturating_sub(self.dice.roll(4));
        let turn = Turn { neg: self.dice.roll(9) as u32, generation };
        let failed = self.dice.chance(50).then_some(generation);
        let rungs = Rung::ALL;
        match self.dice.roll(13) {
            0 => FromPeer::Offer(edge, turn, description("garbage")),
            1 => FromPeer::Answer(edge, turn, description("garbage")),
            2 | 3 => FromPeer::Candidate(edge, turn, candidate()),
            4 => FromPeer::EndOfCandidates(edge, turn),
            5 => FromPeer::NegotiateRequest(edge, failed),
            6 => FromPeer::IceRestartRequest(edge, failed),
            7 => FromPeer::Presence(Presence { state: Readiness::Away }),
            8 => FromPeer::Quality(edge, quality()),
            10 => FromPeer::RungAck(edge, self.dice.roll(9) as u32),
            11 => FromPeer::Fallback(
                edge,
                Fallback { rung: rungs[self.dice.pick(rungs.len())], why: None },
            ),
            9 => FromPeer::MediaState(MediaState {
                audio: self.dice.chance(50),
                video: at > 0,
                screen: false,
            }),
            _ => FromPeer::Ping,
        }
    }

    fn storm(&mut self) {
        let at = self.dice.pick(self.clients.len());
        let millis = self.dice.roll(400) as i64;
        self.pass(millis);
        match self.dice.roll(100) {
            0..=4 => self.enter(at),
            5..=11 if self.clients[at].line.is_none() || self.dice.chance(20) => self.resume(at),
            5..=11 => self.lose(at),
            12..=18 => self.decide(at, Admission::Admitted),
            19..=20 => self.decide(at, Admission::Held),
            21 => self.decide(at, Admission::Denied),
            22 => {
                if let Some(line) = self.clients[at].line {
                    self.say(line, FromPeer::Leave);
                }
            }
            23 if !self.over && self.dice.chance(5) => self.restart(),
            24..=27 => {
                let millis = self.dice.roll(20_000) as i64;
                self.pass(millis);
                self.apply(Event::Tick);
            }
            28 if self.dice.chance(10) => {
                self.apply(Event::Tick);
                self.pass(200_000);
                self.apply(Event::Tick);
            }
            29..=31 => self.ghost(),
            32..=38 => {
                let said = self.garbage(at);
                if let Some(line) = self.clients[at].line {
                    self.say(line, said);
                }
            }
            39 if self.dice.chance(5) => self.sign_out(at),
            40 if self.dice.chance(30) => self.remove(at),
            41 => self.invite(at),
            42 => self.put_aside(at),
            43 if self.dice.chance(30) => self.lock(),
            44 => self.come_too_late(at),
            45 if self.dice.chance(2) => {
                self.over = true;
                self.apply(Event::Over(OverWhy::Finished));
            }
            46..=70 => self.hear_some(at, 3),
            _ => self.speak_some(at, 3),
        }
    }

    fn sign_out(&mut self, at: usize) {
        if let Some((sid, _)) = self.rows[at].seat {
            self.apply(Event::SignedOut(SessionId(sid)));
            assert!(self.room.seat(self.clients[at].id).is_none(), "seed {}", self.seed);
        }
    }

    /* Clients */

    fn speak_some(&mut self, at: usize, most: usize) {
        for _ in 0..most {
            let (Some(line), Some(frame)) =
                (self.clients[at].line, self.clients[at].up.pop_front())
            else {
                return;
            };
            self.apply(Event::Said(line, frame));
        }
    }

    fn hear_some(&mut self, at: usize, most: usize) {
        for _ in 0..most {
            let Some(text) = self.clients[at].down.pop_front() else { return };
            let now = self.now;
            let offer = self.count().to_string();
            self.clients[at].hear(&text, now, offer);
        }
    }

    fn climb(&mut self) {
        // Two ends that have agreed on different things have no connection, and their browsers know.
        let agreed: Vec<(String, Option<String>)> = self
            .clients
            .iter()
            .flat_map(|client| &client.connections)
            .map(|(edge, one)| (edge.clone(), one.agreed.clone()))
            .collect();
        let is_up = |edge: &String, mine: &Option<String>| {
            let ends = agreed.iter().filter(|(name, _)| name == edge);
            mine.is_some() && ends.map(|(_, theirs)| theirs).all(|theirs| theirs == mine)
        };
        for client in &mut self.clients {
            let mut asks = Vec::new();
            for (edge, connection) in &mut client.connections {
                let waited = self.now.since(connection.since) >= TimeDelta::seconds(RUNG_SECS);
                let is_up = is_up(edge, &connection.agreed);
                if !is_up && waited && !client.away.contains(&connection.peer) {
                    connection.since = self.now;
                    asks.push((edge.clone(), connection.generation));
                }
            }
            for (edge, generation) in asks {
                client.say(FromPeer::IceRestartRequest(edge, Some(generation)));
            }
        }
    }

    /// The storm is over: everybody comes back, is let in, and time passes.
    fn calm(&mut self) {
        if self.over {
            return;
        }
        for at in 0..self.clients.len() {
            if self.locked {
                self.lock();
            }
            self.invite(at);
            if self.rows[at].aside {
                self.put_aside(at);
            }
            if self.clients[at].line.is_none() {
                self.resume(at);
            }
            self.decide(at, Admission::Admitted);
        }
        for _ in 0..240 {
            self.pass(500);
            self.apply(Event::Tick);
            for at in 0..self.clients.len() {
                self.hear_some(at, usize::MAX);
                self.speak_some(at, usize::MAX);
            }
            self.climb();
            if self.is_well() {
                return;
            }
        }
        let view: Vec<_> = self.clients.iter().map(|client| &client.connections).collect();
        panic!("seed {}: not connected: {:?}\n{view:#?}", self.seed, self.room.edges);
    }

    fn is_well(&self) -> bool {
        let quiet =
            self.clients.iter().all(|client| client.down.is_empty() && client.up.is_empty());
        let here = |client: &Client| self.room.seat(client.id).is_some();
        let all_here = self.crowded || self.clients.iter().all(here);
        let all_know = self.clients.iter().filter(|client| here(client));
        // Which edges there are is looked at after every event.
        quiet
            && all_here
            && all_know.into_iter().all(|client| client.locked == Some(self.locked))
            && self.room.edges.iter().all(|edge| {
                let agreed = [edge.offerer, edge.answerer].map(|end| {
                    let client = &self.clients[self.who(end)];
                    client.connections.get(&edge.id).and_then(|one| one.agreed.clone())
                });
                edge.phase() == Phase::Up && agreed[0].is_some() && agreed[0] == agreed[1]
            })
    }
}

impl Client {
    fn say(&mut self, said: FromPeer) {
        let ack = Some(self.last_seq);
        self.up.push_back(Frame { id: None, ack, said });
    }

    fn hear(&mut self, text: &str, now: Instant, offer: String) {
        if let Some(seq) = seq_of(text) {
            if seq <= self.last_seq {
                return;
            }
            self.last_seq = seq;
        }
        if kind_of(text) == "peer" {
            return self.see(text);
        }
        if !matches!(
            kind_of(text),
            "welcome" | "waiting" | "snapshot" | "negotiate" | "offer" | "answer" | "lock"
        ) {
            return;
        }
        let message: &Value = &serde_json::from_str(text).unwrap();
        let body = &message["body"];
        self.locked = body["locked"].as_bool().or(self.locked);
        match message["t"].as_str().unwrap() {
            "welcome" => {
                self.connections.clear();
                self.take_over(body, now);
            }
            "waiting" => self.connections.clear(),
            "snapshot" => self.take_over(body, now),
            "negotiate" => self.negotiate(message, now, offer),
            "offer" => {
                let (edge, turn) = place(message);
                let Some(connection) = self.connections.get_mut(&edge) else { return };
                let sdp = body["sdp"].as_str().unwrap().to_owned();
                if turn.generation < connection.generation || connection.offerer {
                    return;
                }
                (connection.generation, connection.neg) = (turn.generation, turn.neg);
                connection.agreed = Some(sdp.clone());
                self.say(FromPeer::Candidate(edge.clone(), turn, candidate()));
                self.say(FromPeer::Answer(edge, turn, description(&sdp)));
            }
            "answer" => {
                let (edge, turn) = place(message);
                let Some(connection) = self.connections.get_mut(&edge) else { return };
                let current = Turn { neg: connection.neg, generation: connection.generation };
                let sdp = body["sdp"].as_str().map(str::to_owned);
                if turn == current && sdp == connection.offered {
                    connection.agreed = sdp;
                }
            }
            _ => {}
        }
    }

    fn see(&mut self, text: &str) {
        let peer: Uuid = text_of(text, "id").unwrap().parse().unwrap();
        let state = text_of(text, "state").unwrap();
        let left = text_of(text, "op") == Some("left");
        let inside = !left && matches!(state, "admitted" | "reconnecting");
        if !inside {
            self.connections.retain(|_, connection| connection.peer != peer);
        }
        self.away.retain(|one| *one != peer);
        if inside && state == "reconnecting" {
            self.away.push(peer);
        }
    }

    fn negotiate(&mut self, message: &Value, now: Instant, offer: String) {
        let body = &message["body"];
        let (edge, turn) = place(message);
        let peer = body["peer"].as_str().unwrap().parse().unwrap();
        let offerer = body["role"] == "offerer";
        let neg = self.connections.get(&edge).map_or(0, |connection| connection.neg);
        let turn = Turn { neg: neg + u32::from(offerer), generation: turn.generation };
        let connection = Connection {
            peer,
            offerer,
            generation: turn.generation,
            neg: turn.neg,
            agreed: None,
            offered: offerer.then(|| offer.clone()),
            since: now,
        };
        self.connections.insert(edge.clone(), connection);
        if offerer {
            self.say(FromPeer::Offer(edge.clone(), turn, description(&offer)));
            self.say(FromPeer::Candidate(edge, turn, candidate()));
        }
    }

    /// The snapshot names the edges there are: what is not there is closed, what is new is asked
    /// for, what is broken as well.
    fn take_over(&mut self, body: &Value, now: Instant) {
        let edges = body["edges"].as_array().unwrap();
        self.connections.retain(|edge, _| edges.iter().any(|known| known["id"] == **edge));
        self.away.clear();
        for one in body["roster"].as_array().unwrap() {
            if one["state"] == "reconnecting" {
                self.away.push(one["id"].as_str().unwrap().parse().unwrap());
            }
        }
        for known in edges {
            let edge = known["id"].as_str().unwrap().to_owned();
            let generation = known["gen"].as_u64().unwrap();
            let offerer = known["role"] == "offerer";
            if let Some(connection) = self.connections.get_mut(&edge) {
                (connection.generation, connection.offerer) = (generation, offerer);
                if connection.agreed.is_none() {
                    self.say(FromPeer::IceRestartRequest(edge, Some(generation)));
                }
                continue;
            }
            let peer = known["peer"].as_str().unwrap().parse().unwrap();
            let connection = Connection {
                peer,
                offerer,
                generation,
                neg: 0,
                agreed: None,
                offered: None,
                since: now,
            };
            self.connections.insert(edge.clone(), connection);
            self.say(FromPeer::NegotiateRequest(edge, None));
        }
    }
}

const NEGOTIATION: [&str; 5] = ["negotiate", "offer", "answer", "candidate", "end_of_candidates"];

/// The number of a message, without reading all of it.
fn seq_of(text: &str) -> Option<u64> {
    let (_, rest) = text.split_once(r#""seq":"#)?;
    rest.split(',').next()?.parse().ok()
}

fn kind_of(text: &str) -> &str {
    text_of(text, "t").unwrap()
}

fn text_of<'a>(text: &'a str, name: &str) -> Option<&'a str> {
    let (_, rest) = text.split_once(&format!(r#""{name}":""#))?;
    rest.split('"').next()
}

fn place(message: &Value) -> (String, Turn) {
    let turn = Turn {
        neg: message["neg"].as_u64().unwrap() as u32,
        generation: message["gen"].as_u64().unwrap(),
    };
    (message["edge"].as_str().unwrap().to_owned(), turn)
}

fn description(sdp: &str) -> Verbatim {
    Verbatim::of(&json!({"sdp": sdp}))
}

fn candidate() -> Verbatim {
    Verbatim::of(&json!({"candidate": "candidate:1 1 udp 1 192.0.2.1 9 typ host"}))
}

fn quality() -> Quality {
    Quality {
        rtt: 80.0,
        jitter: 5.0,
        loss_in: 0.0,
        loss_out: 0.0,
        bitrate: 400_000.0,
        mos: 4.2,
        ..Quality::default()
    }
}

fn said_of(text: &str, kinds: &[&str]) -> bool {
    kinds.contains(&kind_of(text))
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
        let seeds = asked("TEST_SEEDS", SEEDS);
        threads.spawn(move || weather(0..seeds / 2));
        threads.spawn(move || weather(seeds / 2..seeds));
    });
}
