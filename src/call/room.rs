//! One room: who sits where, who talks to whom, what each must hear. No I/O, no clock of its own.
//!
//! The integrator feeds it [`Event`]s in order and carries out the [`Effect`]s in order.
//! Who may be let in or end the visit is decided outside, by the access policy and the database;
//! the room hears of it when it has been committed.

use chrono::TimeDelta;
use serde::Serialize;
use serde_json::{Value, json};

use crate::base::column::Instant;
use crate::call::edge::{Edge, Phase};
use crate::call::ice::IceServer;
use crate::call::mailbox::Mailbox;
use crate::call::message::{
    EdgeView, ErrorCode, Frame, FromPeer, MESSAGE_BYTES_MAX, MediaState, Peer, PeerChange,
    Readiness, SeatState, Turn,
};
use crate::encounter::presence::LeftWhy;
use crate::encounter::{Admission, ParticipantId, ParticipantRole};

/// One socket, as long as it lives.
pub type LineId = u64;

/// How long a silent line is not mentioned to the others, in seconds.
pub const MENTION_SECS: i64 = 3;
/// How long a practitioner's seat is kept without a line, in seconds.
pub const PRACTITIONER_SEAT_SECS: i64 = 60;
/// How long a patient's seat is kept without a line, in seconds.
pub const PATIENT_SEAT_SECS: i64 = 180;
/// How long a seat is kept while the other side reports that media flows, in seconds.
pub const VOUCHED_SEAT_SECS: i64 = 300;
/// How long a report vouches for the other side, in seconds.
const VOUCH_SECS: i64 = 15;
/// How long an offer or answer may take, in seconds.
pub const ANSWER_SECS: i64 = 10;
/// The most people in one room.
pub const SEATS_MAX: usize = 6;
/// How often a client says `ping`, in milliseconds.
pub const PING_MS: u32 = 5000;

/// Why a socket is closed (`docs/signaling.md`, "Close codes").
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(missing_docs, reason = "the specification says what each means")]
pub enum CloseCode {
    Done = 1000,
    Restart = 1012,
    BadFrame = 4400,
    SignIn = 4401,
    Forbidden = 4403,
    NoVisit = 4404,
    HelloTimeout = 4408,
    Superseded = 4409,
    Over = 4410,
    TooLarge = 4413,
    TooSlow = 4429,
    Internal = 4500,
}

/// Somebody who takes a seat.
#[derive(Debug, Clone)]
pub struct Guest {
    /// Their part in the visit.
    pub id: ParticipantId,
    /// As what.
    pub role: ParticipantRole,
    /// The name others see.
    pub name: String,
    /// Whether they are let in.
    pub admitted: bool,
    /// Since when they wait.
    pub since: Option<Instant>,
}

/// What a client must know to take its seat again.
#[derive(Debug, Clone)]
pub struct Credentials {
    /// The seat.
    pub sid: uuid::Uuid,
    /// Its secret; only said when the seat is new.
    pub secret: Option<String>,
    /// Counts the sockets of the seat.
    pub epoch: i32,
}

/// What happens to a room.
#[derive(Debug, Clone)]
pub enum Event {
    /// Somebody came with a ticket.
    Enter(Guest, LineId, Credentials, Vec<IceServer>),
    /// Somebody came back with the secret of their seat; the last number that arrived.
    Resume(Guest, LineId, Credentials, u64),
    /// Somebody was here when the process stopped, and may come back.
    Restore(Guest),
    /// A peer said something.
    Said(LineId, Frame),
    /// A socket is gone.
    Lost(LineId),
    /// The practitioner decided.
    Decided(ParticipantId, Admission),
    /// A sign-in ended that somebody's seat rests on.
    SignedOut(ParticipantId),
    /// The visit has ended.
    Over,
    /// Time has passed.
    Tick,
}

/// What is to be done about it, in this order.
#[derive(Debug, Clone, PartialEq)]
pub enum Effect {
    /// Write this to a socket.
    Send(LineId, String),
    /// Close a socket.
    Close(LineId, CloseCode),
    /// Somebody is no longer here: remember it.
    Gone(ParticipantId, LeftWhy),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Line {
    Up(LineId),
    Silent { since: Instant, mentioned: bool },
}

#[derive(Debug)]
struct Seat {
    guest: Guest,
    line: Line,
    mailbox: Mailbox,
    presence: Option<Readiness>,
    media: Option<MediaState>,
    /// When the other side last reported media from here.
    vouched_at: Option<Instant>,
}

/// One room.
#[derive(Debug)]
pub struct Room {
    seats: Vec<Seat>,
    edges: Vec<Edge>,
    /// The practitioner's last word, for those who are between two sockets when it is said.
    decided: Vec<(ParticipantId, bool)>,
    rev: u64,
    generation: u64,
    over: bool,
    effects: Vec<Effect>,
}

impl Room {
    /// An empty room. Generations begin at the time in seconds, so that those of a room that is
    /// opened again after a restart are higher than any before.
    pub fn new(now: Instant) -> Self {
        Self {
            seats: Vec::new(),
            edges: Vec::new(),
            decided: Vec::new(),
            rev: 0,
            generation: u64::try_from(now.utc().timestamp()).unwrap_or_default(),
            over: false,
            effects: Vec::new(),
        }
    }

    /// Whether nobody sits here any more.
    pub fn is_empty(&self) -> bool {
        self.seats.is_empty()
    }

    /// Who sits on a socket.
    pub fn seated(&self, line: LineId) -> Option<ParticipantId> {
        let seat = self.seats.iter().find(|seat| seat.line == Line::Up(line))?;
        Some(seat.guest.id)
    }

    /// Lets something happen; returns what is to be done about it.
    pub fn apply(&mut self, event: Event, now: Instant) -> Vec<Effect> {
        match event {
            Event::Enter(guest, line, credentials, ice) => {
                self.enter(guest, line, &credentials, &ice, now);
            }
            Event::Resume(guest, line, credentials, last_seq) => {
                self.resume(guest, line, &credentials, last_seq, now);
            }
            Event::Restore(guest) => self.restore(guest, now),
            Event::Said(line, frame) => self.said(line, frame, now),
            Event::Lost(line) => {
                if let Some(seat) = self.seats.iter_mut().find(|seat| seat.line == Line::Up(line)) {
                    seat.line = Line::Silent { since: now, mentioned: false };
                }
            }
            Event::Decided(id, admission) => self.decide(id, admission, now),
            Event::SignedOut(id) => self.remove(id, CloseCode::SignIn, LeftWhy::SignedOut, now),
            Event::Over => self.end(now),
            Event::Tick => self.tick(now),
        }
        std::mem::take(&mut self.effects)
    }

    fn enter(
        &mut self,
        mut guest: Guest,
        line: LineId,
        credentials: &Credentials,
        ice: &[IceServer],
        now: Instant,
    ) {
        let id = guest.id;
        if self.over {
            return self.effects.push(Effect::Close(line, CloseCode::Over));
        }
        if let Some((_, admitted)) = self.decided.iter().find(|(decided, _)| *decided == id) {
            guest.admitted = *admitted;
        }
        let came = if let Some(at) = self.seats.iter().position(|seat| seat.guest.id == id) {
            let old = self.seats.swap_remove(at);
            self.supersede(old.line);
            // A new seat knows nothing of the old connections.
            self.edges.retain(|edge| !edge.joins(id));
            PeerChange::State
        } else {
            PeerChange::Joined
        };
        if self.seats.len() >= SEATS_MAX {
            return self.effects.push(Effect::Close(line, CloseCode::Forbidden));
        }
        self.seats.push(Seat {
            guest,
            line: Line::Up(line),
            mailbox: Mailbox::default(),
            presence: None,
            media: None,
            vouched_at: None,
        });
        let welcome = self.welcome(id, credentials, ice, now);
        self.tell(id, "welcome", &welcome, now);
        self.mention(id, came, now);
        self.settle_in(id, now);
    }

    fn welcome(&self, id: ParticipantId, credentials: &Credentials, ice: &[IceServer], now: Instant) -> Value {
        let role = self.seat(id).map(|seat| seat.guest.role);
        json!({
            "sid": credentials.sid, "secret": credentials.secret, "epoch": credentials.epoch,
            "participant": {"id": id, "role": role},
            "ping_ms": PING_MS,
            "resume_ms": seat_secs(role.unwrap_or(ParticipantRole::Patient)) * 1000,
            "limits": {"message_bytes": MESSAGE_BYTES_MAX},
            "server_time": now,
            "roster": self.roster(id), "edges": self.edges_of(id),
            "ice_servers": ice,
        })
    }

    /// What follows `welcome`: the truth about waiting, or the edges to whoever is inside.
    fn settle_in(&mut self, id: ParticipantId, now: Instant) {
        if !self.is_admitted(id) {
            self.tell_waiting(id, now);
        } else if self.role(id) == Some(ParticipantRole::Practitioner) {
            let waiting: Vec<_> = self.ids(|seat| !seat.guest.admitted);
            for other in waiting {
                self.tell_waiting(other, now);
            }
        }
        self.connect(now);
    }

    fn resume(
        &mut self,
        guest: Guest,
        line: LineId,
        credentials: &Credentials,
        last_seq: u64,
        now: Instant,
    ) {
        let id = guest.id;
        if self.over {
            return self.effects.push(Effect::Close(line, CloseCode::Over));
        }
        let returned = if self.seat(id).is_some() {
            PeerChange::State
        } else {
            self.restore(guest, now);
            PeerChange::Joined
        };
        let Some(seat) = self.seats.iter_mut().find(|seat| seat.guest.id == id) else { return };
        let missed = seat.mailbox.replay(last_seq, now);
        let was = std::mem::replace(&mut seat.line, Line::Up(line));
        let to_seq = seat.mailbox.last_seq();
        let body = json!({
            "epoch": credentials.epoch, "participant": {"id": id},
            "from_seq": last_seq, "to_seq": if missed.is_some() { to_seq } else { last_seq },
        });
        self.supersede(was);
        self.effects.push(Effect::Send(line, unnumbered("resumed", None, &body)));
        match missed {
            Some(missed) => {
                self.effects.extend(missed.into_iter().map(|text| Effect::Send(line, text)));
            }
            None => {
                if let Some(seat) = self.seats.iter_mut().find(|seat| seat.guest.id == id) {
                    seat.mailbox = Mailbox::starting_after(last_seq);
                }
                self.tell(id, "reset", &json!({"reason": "messages_lost"}), now);
            }
        }
        self.tell_snapshot(id, now);
        let mentioned = matches!(was, Line::Silent { mentioned: true, .. });
        if mentioned || returned == PeerChange::Joined {
            self.mention(id, returned, now);
        }
        if returned == PeerChange::Joined {
            self.settle_in(id, now);
        }
    }

    /// A seat that somebody may come back to. Its connections may still be up: nothing is
    /// negotiated until somebody asks.
    fn restore(&mut self, guest: Guest, now: Instant) {
        let id = guest.id;
        if self.seats.len() >= SEATS_MAX || self.seat(id).is_some() {
            return;
        }
        self.seats.push(Seat {
            guest,
            line: Line::Silent { since: now, mentioned: true },
            mailbox: Mailbox::default(),
            presence: None,
            media: None,
            vouched_at: None,
        });
        for (one, other) in self.missing_edges() {
            let generation = self.next_generation();
            self.edges.push(Edge::new(one, other, generation, Phase::Up));
        }
    }

    fn supersede(&mut self, line: Line) {
        if let Line::Up(old) = line {
            self.effects.push(Effect::Close(old, CloseCode::Superseded));
        }
    }

    fn said(&mut self, line: LineId, frame: Frame, now: Instant) {
        let Some(id) = self.seated(line) else { return };
        if let (Some(ack), Some(seat)) = (frame.ack, self.seat_mut(id)) {
            seat.mailbox.acknowledge(ack);
        }
        let refused = self.hear(id, line, frame.said, now).err();
        if let Some(code) = refused {
            self.effects.push(Effect::Send(line, error(code, frame.id.as_deref())));
        }
    }

    fn hear(&mut self, id: ParticipantId, line: LineId, said: FromPeer, now: Instant) -> Result<(), ErrorCode> {
        match said {
            FromPeer::Ack => {}
            FromPeer::Ping => {
                let body = json!({"server_time": now});
                self.effects.push(Effect::Send(line, unnumbered("pong", None, &body)));
            }
            FromPeer::Presence(presence) => {
                self.update(id, now, |seat| seat.presence = Some(presence.state));
            }
            FromPeer::MediaState(media) => {
                self.update(id, now, |seat| seat.media = Some(media));
                let inside = self.is_admitted(id);
                let others =
                    self.ids(|seat| inside && seat.guest.admitted && seat.guest.id != id);
                for other in others {
                    self.relay(id, other, "media_state", None, &media, now);
                }
            }
            FromPeer::Quality(_) => {
                let others = self.ids(|seat| seat.guest.id != id);
                for other in others {
                    if let Some(seat) = self.seat_mut(other) {
                        seat.vouched_at = Some(now);
                    }
                }
            }
            FromPeer::Offer(edge, turn, sdp) => {
                let other = self.edge(id, &edge)?.offer(id, turn, now)?;
                self.relay(id, other, "offer", Some((&edge, turn)), &json!({"sdp": sdp}), now);
            }
            FromPeer::Answer(edge, turn, sdp) => {
                if let Some(other) = self.edge(id, &edge)?.answer(id, turn)? {
                    self.relay(id, other, "answer", Some((&edge, turn)), &json!({"sdp": sdp}), now);
                }
            }
            FromPeer::Candidate(edge, turn, candidate) => {
                if let Some(other) = self.edge(id, &edge)?.candidate(id, turn)? {
                    self.relay(id, other, "candidate", Some((&edge, turn)), &candidate, now);
                }
            }
            FromPeer::EndOfCandidates(edge, turn) => {
                if let Some(other) = self.edge(id, &edge)?.candidate(id, turn)? {
                    let nothing = json!({});
                    self.relay(id, other, "end_of_candidates", Some((&edge, turn)), &nothing, now);
                }
            }
            FromPeer::NegotiateRequest(edge, failed) => {
                if self.edge(id, &edge)?.is_current(failed) {
                    self.negotiate(&edge, true, now);
                }
            }
            FromPeer::IceRestartRequest(edge, failed) => {
                if self.edge(id, &edge)?.is_current(failed) {
                    self.negotiate(&edge, false, now);
                }
            }
            FromPeer::Leave => self.remove(id, CloseCode::Done, LeftWhy::Left, now),
            // A second hello is a mistake; the rest is decided outside and comes back as events.
            FromPeer::Hello(_) | FromPeer::Resume(_) => return Err(ErrorCode::BadState),
            FromPeer::Admit(_) | FromPeer::Hold(_) | FromPeer::Deny(_) | FromPeer::End(_) => {
                return Err(ErrorCode::Internal);
            }
        }
        Ok(())
    }

    fn edge(&mut self, id: ParticipantId, name: &str) -> Result<&mut Edge, ErrorCode> {
        if !self.is_admitted(id) {
            return Err(ErrorCode::NotAdmitted);
        }
        let found = self.edges.iter_mut().find(|edge| edge.id == name && edge.joins(id));
        found.ok_or(ErrorCode::PeerGone)
    }

    fn decide(&mut self, id: ParticipantId, admission: Admission, now: Instant) {
        let admitted = admission == Admission::Admitted;
        self.decided.retain(|(decided, _)| *decided != id);
        self.decided.push((id, admitted));
        let Some(seat) = self.seat_mut(id) else { return };
        if seat.guest.admitted == admitted && admission != Admission::Denied {
            return;
        }
        seat.guest.admitted = admitted;
        seat.guest.since = (!admitted).then_some(now);
        match admission {
            Admission::Admitted => self.tell(id, "admitted", &json!({}), now),
            Admission::Held => self.tell_waiting(id, now),
            Admission::Denied => {
                self.tell(id, "denied", &json!({}), now);
                return self.remove(id, CloseCode::Forbidden, LeftWhy::Denied, now);
            }
        }
        self.edges.retain(|edge| admitted || !edge.joins(id));
        self.mention(id, PeerChange::State, now);
        self.tell_snapshot(id, now);
        self.connect(now);
    }

    fn end(&mut self, now: Instant) {
        self.over = true;
        self.edges.clear();
        for id in self.ids(|_| true) {
            self.tell(id, "ended", &json!({"reason": "finished"}), now);
        }
        for seat in std::mem::take(&mut self.seats) {
            if let Line::Up(line) = seat.line {
                self.effects.push(Effect::Close(line, CloseCode::Over));
            }
        }
    }

    fn remove(&mut self, id: ParticipantId, code: CloseCode, why: LeftWhy, now: Instant) {
        let Some(at) = self.seats.iter().position(|seat| seat.guest.id == id) else { return };
        self.mention(id, PeerChange::Left, now);
        self.edges.retain(|edge| !edge.joins(id));
        let seat = self.seats.swap_remove(at);
        self.effects.push(Effect::Gone(id, why));
        if let Line::Up(line) = seat.line {
            self.effects.push(Effect::Close(line, code));
        }
        if seat.guest.role == ParticipantRole::Practitioner {
            for other in self.ids(|seat| !seat.guest.admitted) {
                self.tell_waiting(other, now);
            }
        }
    }

    fn tick(&mut self, now: Instant) {
        let mut silent = Vec::new();
        let mut gone = Vec::new();
        for seat in &mut self.seats {
            let Line::Silent { since, mentioned } = &mut seat.line else { continue };
            let silence = now.since(*since);
            let vouched = seat
                .vouched_at
                .is_some_and(|at| now.since(at) <= TimeDelta::seconds(VOUCH_SECS));
            let kept = if vouched { VOUCHED_SEAT_SECS } else { seat_secs(seat.guest.role) };
            if silence >= TimeDelta::seconds(kept) {
                gone.push(seat.guest.id);
            } else if !*mentioned && silence >= TimeDelta::seconds(MENTION_SECS) {
                *mentioned = true;
                silent.push(seat.guest.id);
            }
        }
        for id in silent {
            self.mention(id, PeerChange::State, now);
        }
        for id in gone {
            self.remove(id, CloseCode::Done, LeftWhy::Lost, now);
        }
        let stuck: Vec<_> =
            self.edges.iter().filter(|edge| edge.is_stuck(now)).map(|edge| edge.id.clone()).collect();
        for edge in stuck {
            self.negotiate(&edge, true, now);
        }
    }

    /// Every two who are let in have an edge; new ones are negotiated.
    fn connect(&mut self, now: Instant) {
        for (one, other) in self.missing_edges() {
            let generation = self.next_generation();
            let edge = Edge::new(one, other, generation, Phase::Up);
            let name = edge.id.clone();
            self.edges.push(edge);
            self.negotiate(&name, true, now);
        }
    }

    /// Pairs without an edge, the offerer first: the practitioner, else the lower id.
    fn missing_edges(&self) -> Vec<(ParticipantId, ParticipantId)> {
        let mut inside: Vec<_> = self
            .seats
            .iter()
            .filter(|seat| seat.guest.admitted)
            .map(|seat| (seat.guest.role != ParticipantRole::Practitioner, seat.guest.id))
            .collect();
        inside.sort();
        let mut pairs = Vec::new();
        for (at, (_, one)) in inside.iter().enumerate() {
            for (_, other) in inside.iter().skip(at.saturating_add(1)) {
                if !self.edges.iter().any(|edge| edge.joins(*one) && edge.joins(*other)) {
                    pairs.push((*one, *other));
                }
            }
        }
        pairs
    }

    /// Opens the next generation of an edge and tells both sides their part in it.
    fn negotiate(&mut self, name: &str, fresh: bool, now: Instant) {
        let generation = self.next_generation();
        let Some(edge) = self.edges.iter_mut().find(|edge| edge.id == name) else { return };
        edge.restart(generation, now);
        let (sides, turn) = ([edge.offerer, edge.answerer], Turn { neg: 0, generation });
        for id in sides {
            let view = self.edges_of(id).into_iter().find(|view| view.id == name);
            let Some(view) = view else { continue };
            let body = json!({
                "peer": view.peer, "role": view.role, "polite": view.polite, "gen": generation,
                "fresh": fresh,
            });
            self.post(id, "negotiate", None, Some((name, turn)), &body, now);
        }
    }

    fn next_generation(&mut self) -> u64 {
        self.generation = self.generation.saturating_add(1);
        self.generation
    }

    fn update(&mut self, id: ParticipantId, now: Instant, change: impl FnOnce(&mut Seat)) {
        if let Some(seat) = self.seat_mut(id) {
            change(seat);
            self.mention(id, PeerChange::State, now);
        }
    }

    /// Tells the others about somebody. Who waits hears of practitioners only.
    fn mention(&mut self, id: ParticipantId, op: PeerChange, now: Instant) {
        self.rev = self.rev.saturating_add(1);
        let Some(peer) = self.seat(id).map(view) else { return };
        let body = json!({"rev": self.rev, "op": op, "participant": peer});
        let practitioner = peer.role == ParticipantRole::Practitioner;
        let others = self.ids(|seat| seat.guest.id != id && (seat.guest.admitted || practitioner));
        for other in others {
            self.tell(other, "peer", &body, now);
        }
    }

    fn tell_waiting(&mut self, id: ParticipantId, now: Instant) {
        let practitioner_here = self.seats.iter().any(|seat| {
            seat.guest.role == ParticipantRole::Practitioner && matches!(seat.line, Line::Up(_))
        });
        let since = self.seat(id).and_then(|seat| seat.guest.since);
        let body = json!({"since": since, "practitioner_here": practitioner_here, "position": 1});
        self.tell(id, "waiting", &body, now);
    }

    fn tell_snapshot(&mut self, id: ParticipantId, now: Instant) {
        let body = json!({
            "rev": self.rev, "participant": {"id": id, "role": self.role(id)},
            "roster": self.roster(id), "edges": self.edges_of(id), "server_time": now,
        });
        self.tell(id, "snapshot", &body, now);
    }

    fn tell(&mut self, id: ParticipantId, t: &str, body: &Value, now: Instant) {
        self.post(id, t, None, None, body, now);
    }

    fn relay(
        &mut self,
        from: ParticipantId,
        to: ParticipantId,
        t: &str,
        turn: Option<(&str, Turn)>,
        body: &impl Serialize,
        now: Instant,
    ) {
        self.post(to, t, Some(from), turn, body, now);
    }

    /// Numbers a message, keeps it for a resume, and sends it when there is a line.
    fn post(
        &mut self,
        id: ParticipantId,
        t: &str,
        from: Option<ParticipantId>,
        turn: Option<(&str, Turn)>,
        body: &impl Serialize,
        now: Instant,
    ) {
        let Some(seat) = self.seats.iter_mut().find(|seat| seat.guest.id == id) else { return };
        let text = seat.mailbox.post(now, |seq| {
            let mut message = json!({"v": 1, "seq": seq, "t": t, "body": body});
            if let Some(from) = from {
                set(&mut message, "from", json!(from));
            }
            if let Some((edge, turn)) = turn {
                set(&mut message, "edge", json!(edge));
                set(&mut message, "neg", json!(turn.neg));
                set(&mut message, "gen", json!(turn.generation));
            }
            message.to_string()
        });
        if let Line::Up(line) = seat.line {
            self.effects.push(Effect::Send(line, text));
        }
    }

    fn roster(&self, id: ParticipantId) -> Vec<Peer> {
        let all = self.is_admitted(id);
        self.seats
            .iter()
            .filter(|seat| {
                let own = seat.guest.id == id;
                all || own || seat.guest.role == ParticipantRole::Practitioner
            })
            .map(view)
            .collect()
    }

    fn edges_of(&self, id: ParticipantId) -> Vec<EdgeView> {
        self.edges.iter().filter_map(|edge| edge.seen_by(id)).collect()
    }

    fn ids(&self, keep: impl Fn(&Seat) -> bool) -> Vec<ParticipantId> {
        self.seats.iter().filter(|seat| keep(seat)).map(|seat| seat.guest.id).collect()
    }

    fn seat(&self, id: ParticipantId) -> Option<&Seat> {
        self.seats.iter().find(|seat| seat.guest.id == id)
    }

    fn seat_mut(&mut self, id: ParticipantId) -> Option<&mut Seat> {
        self.seats.iter_mut().find(|seat| seat.guest.id == id)
    }

    fn role(&self, id: ParticipantId) -> Option<ParticipantRole> {
        self.seat(id).map(|seat| seat.guest.role)
    }

    fn is_admitted(&self, id: ParticipantId) -> bool {
        self.seat(id).is_some_and(|seat| seat.guest.admitted)
    }
}

fn seat_secs(role: ParticipantRole) -> i64 {
    match role {
        ParticipantRole::Practitioner => PRACTITIONER_SEAT_SECS,
        ParticipantRole::Patient => PATIENT_SEAT_SECS,
    }
}

fn view(seat: &Seat) -> Peer {
    let silent = matches!(seat.line, Line::Silent { mentioned: true, .. });
    Peer {
        id: seat.guest.id,
        role: seat.guest.role,
        name: seat.guest.name.clone(),
        state: match (seat.guest.admitted, silent) {
            (true, false) => SeatState::Admitted,
            (true, true) => SeatState::Reconnecting,
            (false, false) => SeatState::Waiting,
            (false, true) => SeatState::Away,
        },
        since: seat.guest.since,
        presence: seat.presence,
        media: seat.media,
    }
}

fn set(message: &mut Value, name: &str, value: Value) {
    if let Value::Object(members) = message {
        members.insert(name.to_owned(), value);
    }
}

/// A message outside the numbering: it is about this socket only.
pub fn unnumbered(t: &str, re: Option<&str>, body: &Value) -> String {
    let mut message = json!({"v": 1, "t": t, "body": body});
    if let Some(re) = re {
        set(&mut message, "re", json!(re));
    }
    message.to_string()
}

/// The answer to a frame that could not be followed.
pub fn error(code: ErrorCode, re: Option<&str>) -> String {
    unnumbered("error", re, &json!({"code": code, "retryable": code.is_retryable()}))
}
