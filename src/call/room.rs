//! One room: who sits where, who talks to whom, what each must hear. No I/O, no clock of its own.
//!
//! The integrator feeds it [`Event`]s in order and carries out the [`Effect`]s in order.
//! Who may be let in or end the visit is decided outside, by the access policy and the database;
//! the room hears of it when it has been committed.

mod rungs;
#[cfg(test)]
mod sim;
mod telling;
#[cfg(test)]
#[path = "room_tests.rs"]
mod tests;

use std::sync::Arc;

use chrono::TimeDelta;
use serde_json::json;

use crate::account::SessionId;
use crate::base::column::Instant;
use crate::base::config;
use crate::call::COUPLE;
use crate::call::edge::{Edge, Phase};
use crate::call::event::{CloseCode, Credentials, Effect, Event, Guest, LineId, OverWhy};
use crate::call::ladder::Ladder;
use crate::call::mailbox::Mailbox;
use crate::call::message::{ErrorCode, Frame, FromPeer, MediaState, PeerChange, Readiness, Turn};
use crate::call::plan::{self, Plan};
use crate::call::record::trace::Trace;
use crate::encounter::guest::{ENDPOINTS_MAX, PEOPLE_MAX};
use crate::encounter::party::Party;
use crate::encounter::presence::LeftWhy;
use crate::encounter::queue::Queued;
use crate::encounter::{Admission, ParticipantId, ParticipantRole};

pub use self::telling::{error, unnumbered};

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
/// How long a room without seats remembers what was decided, for those on their way in.
const MEMORY_SECS: i64 = 60;
/// How often a client says `ping`, in milliseconds.
pub const PING_MS: u32 = 5000;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Line {
    Up(LineId),
    Silent { since: Instant, mentioned: bool },
}

/// What somebody who waits was told last.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Wait {
    practitioner_here: bool,
    place: Option<Queued>,
    awaited: Vec<ParticipantRole>,
}

#[derive(Debug)]
struct Seat {
    guest: Guest,
    /// The seat in the database.
    sid: uuid::Uuid,
    epoch: i32,
    session: SessionId,
    line: Line,
    mailbox: Mailbox,
    presence: Option<Readiness>,
    media: Option<MediaState>,
    told: Option<Wait>,
    /// When the other side last reported media from here.
    vouched_at: Option<Instant>,
}

impl Seat {
    fn new(guest: Guest, credentials: &Credentials, line: Line, mailbox: Mailbox) -> Self {
        Self {
            guest,
            sid: credentials.sid,
            epoch: credentials.epoch,
            session: credentials.session,
            line,
            mailbox,
            presence: None,
            media: None,
            told: None,
            vouched_at: None,
        }
    }

    /// Silent for so long that the others know.
    fn is_missed(&self) -> bool {
        matches!(self.line, Line::Silent { mentioned: true, .. })
    }
}

/// One room.
#[derive(Debug)]
pub struct Room {
    /// The ways that connections may take, and what the relays' passwords are made with.
    ice: Arc<config::Ice>,
    seats: Vec<Seat>,
    edges: Vec<Edge>,
    /// The practitioner's last word and its number, for those who are between two sockets when it is
    /// said.
    decided: Vec<(ParticipantId, bool, i32)>,
    rev: u64,
    generation: u64,
    over: bool,
    /// Who takes part; not known before the first has come.
    party: Option<Party>,
    /// Its place in the practitioner's day.
    place: Option<Queued>,
    /// An empty room is kept until then.
    kept_until: Instant,
    /// What the record has of the edges, and who was missed when it was looked at last.
    traces: Vec<Trace>,
    missed: Vec<ParticipantId>,
    /// How often it has kept how ready somebody is.
    readiness_kept: Vec<(ParticipantId, u32)>,
    effects: Vec<Effect>,
}

impl Room {
    /// An empty room, whose connections take the ways of `ice`. Generations begin at the time in
    /// milliseconds, so that those of a room that is opened again after a restart are higher than
    /// any before.
    pub fn new(ice: Arc<config::Ice>, now: Instant) -> Self {
        Self {
            ice,
            seats: Vec::with_capacity(COUPLE),
            edges: Vec::new(),
            decided: Vec::new(),
            rev: 0,
            generation: u64::try_from(now.utc().timestamp_millis()).unwrap_or_default(),
            over: false,
            party: None,
            place: None,
            kept_until: now,
            traces: Vec::new(),
            missed: Vec::new(),
            readiness_kept: Vec::new(),
            effects: Vec::new(),
        }
    }

    /// Whether nobody sits here and nobody can be on the way who has not heard the last word.
    pub fn is_done(&self, now: Instant) -> bool {
        self.seats.is_empty() && now >= self.kept_until
    }

    /// Who sits on a socket.
    pub fn seated(&self, line: LineId) -> Option<ParticipantId> {
        let seat = self.seats.iter().find(|seat| seat.line == Line::Up(line))?;
        Some(seat.guest.id)
    }

    /// Whether a socket has a seat; what it has worked through is forgotten.
    pub fn heeds(&mut self, line: LineId, ack: Option<u64>) -> bool {
        let Some(id) = self.seated(line) else { return false };
        if let (Some(ack), Some(seat)) = (ack, self.seat_mut(id)) {
            seat.mailbox.acknowledge(ack);
        }
        true
    }

    /// Whether there is such a seat.
    pub fn knows(&self, sid: uuid::Uuid) -> bool {
        self.seats.iter().any(|seat| seat.sid == sid)
    }

    /// Everybody who has a seat.
    pub fn present(&self) -> Vec<ParticipantId> {
        self.ids(|_| true)
    }

    /// Whether somebody waits to be let in.
    pub fn is_waited_in(&self) -> bool {
        self.seats.iter().any(|seat| !seat.guest.admitted)
    }

    /// Whether somebody's seat rests on a sign-in session.
    pub fn rests_on(&self, session: SessionId) -> bool {
        self.seats.iter().any(|seat| seat.session == session)
    }

    /// Lets something happen; returns what is to be done about it.
    pub fn apply(&mut self, event: Event, now: Instant) -> Vec<Effect> {
        let cause = rungs::Cause::of(&event);
        match event {
            Event::Enter(guest, line, credentials) => {
                self.enter(guest, line, &credentials, now);
            }
            Event::Resume(guest, line, credentials, last_seq) => {
                self.resume(guest, line, &credentials, last_seq, now);
            }
            Event::Restore(guest, credentials) => {
                self.restore(guest, &credentials, now);
            }
            Event::Said(line, frame) => self.said(line, frame, now),
            Event::Lost(line) => {
                if let Some(seat) = self.seats.iter_mut().find(|seat| seat.line == Line::Up(line)) {
                    seat.line = Line::Silent { since: now, mentioned: false };
                }
            }
            Event::Decided(id, admission, rev) => self.decide(id, (admission, rev), now),
            Event::Party(party) => self.arrange(party, now),
            Event::Queued(place) => self.place = place,
            Event::News(news) => self.tell_news(news, now),
            Event::SignedOut(session) => {
                for id in self.ids(|seat| seat.session == session) {
                    self.remove(id, CloseCode::SignIn, LeftWhy::SignedOut, now);
                }
            }
            Event::Barred(id) => self.remove(id, CloseCode::Forbidden, LeftWhy::Denied, now),
            Event::Over(why) => self.end(why, now),
            Event::Reopened => self.over = false,
            Event::Tick => self.tick(now),
        }
        self.tell_who_waits(now);
        self.follow(cause, now);
        std::mem::take(&mut self.effects)
    }

    fn enter(&mut self, guest: Guest, line: LineId, credentials: &Credentials, now: Instant) {
        // Of two seats that were taken at once the later one may be heard of first, and it counts.
        if self.seat(guest.id).is_some_and(|seat| seat.sid > credentials.sid) {
            return self.effects.push(Effect::Close(line, CloseCode::Superseded));
        }
        let id = guest.id;
        // First: what is news to the room about who takes part is not for the seat that ends here.
        let old = self.take_out(id);
        let came = if old.is_some() { PeerChange::State } else { PeerChange::Joined };
        if let Some(old) = old {
            self.supersede(old.line);
        }
        let guest = self.as_decided(guest, now);
        self.place = guest.place.or(self.place);
        if self.over || (came == PeerChange::Joined && !self.has_place(&guest)) {
            return self.turn_away(id, line, credentials);
        }
        self.seats.push(Seat::new(guest, credentials, Line::Up(line), Mailbox::default()));
        self.tell_welcome(id, credentials, now);
        self.mention(id, came, now);
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
        self.place = guest.place.or(self.place);
        if self.over {
            return self.turn_away(id, line, credentials);
        }
        if let Some(seat) = self.seat(id) {
            let same = seat.sid == credentials.sid;
            // Two came back at once, or a new ticket was quicker: the later one has the seat.
            if (same && seat.epoch > credentials.epoch) || (!same && seat.sid > credentials.sid) {
                return self.effects.push(Effect::Close(line, CloseCode::Superseded));
            }
            if !same && let Some(old) = self.take_out(id) {
                self.supersede(old.line);
            }
        }
        let came = if self.seat(id).is_some() { PeerChange::State } else { PeerChange::Joined };
        if !self.restore(guest, credentials, now) {
            return self.turn_away(id, line, credentials);
        }
        let Some(seat) = self.seat_mut(id) else { return };
        let was_missed = seat.is_missed();
        seat.epoch = credentials.epoch;
        let was = std::mem::replace(&mut seat.line, Line::Up(line));
        let missed = seat.mailbox.replay(last_seq, now);
        let to_seq = if missed.is_some() { seat.mailbox.last_seq() } else { last_seq };
        self.supersede(was);
        self.resumed(id, line, credentials.epoch, (last_seq, to_seq));
        let was_lost = missed.is_none();
        if let Some(missed) = missed {
            self.effects.extend(missed.into_iter().map(|text| Effect::Send(line, text)));
        } else {
            if let Some(seat) = self.seat_mut(id) {
                (seat.mailbox, seat.told) = (Mailbox::starting_after(last_seq), None);
            }
            self.tell(id, "reset", &json!({"reason": "messages_lost"}), now);
        }
        self.tell_snapshot(id, now);
        if was_missed {
            self.mention(id, came, now);
        }
        self.go_on(id, was_lost, now);
        self.connect(now);
    }

    /// The negotiations under way of somebody who has come back: they have their time again, or
    /// begin anew when what was said of them is lost.
    fn go_on(&mut self, id: ParticipantId, was_lost: bool, now: Instant) {
        let mut lost = Vec::new();
        for edge in self.edges.iter_mut().filter(|edge| edge.joins(id)) {
            edge.wait_anew(now);
            if was_lost && edge.phase() != Phase::Up {
                lost.push(edge.id.clone());
            }
        }
        for name in lost {
            self.negotiate(&name, true, now);
        }
    }

    /// A seat that somebody may come back to, unless it is there; `false` when there is no room.
    /// Its connections may still be up: nothing is negotiated until somebody asks.
    fn restore(&mut self, guest: Guest, credentials: &Credentials, now: Instant) -> bool {
        if self.seat(guest.id).is_some() {
            let id = guest.id;
            self.catch_up(guest, now);
            return self.seat(id).is_some();
        }
        if self.over {
            return false;
        }
        // First: whoever was sent out makes room.
        let guest = self.as_decided(guest, now);
        if !self.has_place(&guest) {
            return false;
        }
        let line = Line::Silent { since: now, mentioned: true };
        self.seats.push(Seat::new(guest, credentials, line, Mailbox::of_another_process()));
        for (one, other, plan) in self.missing_edges() {
            let generation = self.next_generation();
            self.edges.push(Edge::new(one, other, plan, generation, Phase::Up));
        }
        true
    }

    /// What was read with somebody who sits here may be newer than all that the room was told: whoever
    /// was to tell it may be dead.
    fn catch_up(&mut self, mut guest: Guest, now: Instant) {
        let id = guest.id;
        let is_older = |seat: &&Seat| seat.guest.party.rev < guest.party.rev;
        let Some(was_admitted) = self.seat(id).filter(is_older).map(|seat| seat.guest.admitted)
        else {
            return;
        };
        self.judge(&mut guest);
        let seen = guest.party.rev;
        // Nobody is connected with whoever does not stay in.
        if was_admitted && !guest.admitted {
            self.enact(id, Admission::Held, now);
        }
        self.learn(guest.party, now);
        let Some(seat) = self.seat_mut(id) else { return };
        seat.guest.party.rev = seen;
        if guest.admitted && !seat.guest.admitted {
            self.enact(id, Admission::Admitted, now);
        }
    }

    /// A seat for one more, and a device unless they sit at another's.
    fn has_place(&self, guest: &Guest) -> bool {
        let with_device = self.ids(|seat| seat.guest.sits_with.is_none()).len();
        self.seats.len() < PEOPLE_MAX && (guest.sits_with.is_some() || with_device < ENDPOINTS_MAX)
    }

    /// What the room has heard since somebody sat down is newer than what stood then, or older.
    fn as_decided(&mut self, mut guest: Guest, now: Instant) -> Guest {
        self.judge(&mut guest);
        let party = std::mem::take(&mut guest.party);
        guest.party.rev = party.rev;
        self.learn(party, now);
        guest
    }

    /// As what somebody comes, and whether they are let in, by the newest that is known of them.
    fn judge(&self, guest: &mut Guest) {
        let of = |party: &Party| party.people.iter().find(|one| one.id == guest.id).copied();
        if let Some(known) = self.party.as_ref().filter(|known| known.rev > guest.party.rev) {
            match of(known) {
                Some(one) if one.role != guest.role => {
                    guest.role = one.role;
                    if one.role == ParticipantRole::Practitioner {
                        (guest.admitted, guest.party.rev) = (true, known.rev);
                    }
                }
                Some(_) => {}
                // Sent out since they took their seat.
                None if of(&guest.party).is_some() => {
                    (guest.admitted, guest.party.rev) = (false, known.rev);
                }
                None => {}
            }
        }
        let (id, seen) = (guest.id, guest.party.rev);
        let since = |(one, _, rev): &&(ParticipantId, bool, i32)| *one == id && *rev > seen;
        if let Some((_, admitted, _)) = self.decided.iter().find(since) {
            guest.admitted = *admitted;
        }
    }

    /// Who takes part as it stood when somebody sat down.
    fn learn(&mut self, party: Party, now: Instant) {
        match &self.party {
            None => self.party = Some(party),
            Some(known) if known.rev < party.rev => self.arrange(party, now),
            Some(_) => {}
        }
    }

    fn turn_away(&mut self, id: ParticipantId, line: LineId, credentials: &Credentials) {
        let (code, why) = if self.over {
            (CloseCode::Over, LeftWhy::Finished)
        } else {
            (CloseCode::Forbidden, LeftWhy::Denied)
        };
        self.effects.push(Effect::Gone(id, credentials.sid, credentials.epoch, why));
        self.effects.push(Effect::Close(line, code));
    }

    fn supersede(&mut self, line: Line) {
        if let Line::Up(old) = line {
            self.effects.push(Effect::Close(old, CloseCode::Superseded));
        }
    }

    fn said(&mut self, line: LineId, frame: Frame, now: Instant) {
        if !self.heeds(line, frame.ack) {
            return;
        }
        let Some(id) = self.seated(line) else { return };
        if let Err(code) = self.hear(id, line, frame.said, now) {
            self.effects.push(Effect::Send(line, error(code, frame.id.as_deref())));
        }
    }

    fn hear(
        &mut self,
        id: ParticipantId,
        line: LineId,
        said: FromPeer,
        now: Instant,
    ) -> Result<(), ErrorCode> {
        match said {
            FromPeer::Ack => {}
            FromPeer::Ping => {
                let body = json!({"server_time": now});
                self.effects.push(Effect::Send(line, unnumbered("pong", None, &body)));
            }
            FromPeer::Presence(presence) => self.show_presence(id, presence.state, now),
            FromPeer::MediaState(media) => self.show_media(id, media, now),
            FromPeer::Quality(edge, said) => self.report(id, &edge, &said, now)?,
            FromPeer::Fallback(edge, wish) => self.wish(id, &edge, wish, now)?,
            FromPeer::RungAck(edge, step) => self.acknowledge_rung(id, &edge, step)?,
            FromPeer::Offer(edge, turn, said) => {
                let other = self.edge(id, &edge)?.offer(id, turn, now)?;
                self.relay(id, other, "offer", (&edge, turn), said.as_str(), now);
            }
            FromPeer::Answer(edge, turn, said) => {
                if let Some(other) = self.edge(id, &edge)?.answer(id, turn)? {
                    self.relay(id, other, "answer", (&edge, turn), said.as_str(), now);
                }
            }
            FromPeer::Candidate(edge, turn, said) => {
                if let Some(other) = self.edge(id, &edge)?.candidate(id, turn)? {
                    self.relay(id, other, "candidate", (&edge, turn), said.as_str(), now);
                }
            }
            FromPeer::EndOfCandidates(edge, turn) => {
                if let Some(other) = self.edge(id, &edge)?.candidate(id, turn)? {
                    self.relay(id, other, "end_of_candidates", (&edge, turn), "{}", now);
                }
            }
            FromPeer::NegotiateRequest(edge, failed) => {
                if self.edge(id, &edge)?.ask(id, failed, now)? {
                    self.negotiate(&edge, true, now);
                }
            }
            FromPeer::IceRestartRequest(edge, failed) => {
                if self.edge(id, &edge)?.ask(id, failed, now)? {
                    self.negotiate(&edge, false, now);
                }
            }
            FromPeer::Leave => self.remove(id, CloseCode::Done, LeftWhy::Left, now),
            // A second hello is a mistake; the rest is decided outside and comes back as events.
            FromPeer::Prepare(_) | FromPeer::Hello(_) | FromPeer::Resume(_) => {
                return Err(ErrorCode::BadState);
            }
            FromPeer::Admit(_)
            | FromPeer::Hold(_)
            | FromPeer::Deny(_)
            | FromPeer::Remove(_)
            | FromPeer::Lock(_)
            | FromPeer::Side(_)
            | FromPeer::End(_) => return Err(ErrorCode::Internal),
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

    fn decide(&mut self, id: ParticipantId, (admission, rev): (Admission, i32), now: Instant) {
        // Of two words that were committed one after the other the second may be told first.
        if self.decided.iter().any(|(decided, _, at)| *decided == id && *at > rev) {
            return;
        }
        let admitted = admission == Admission::Admitted;
        self.kept_until = now.plus(TimeDelta::seconds(MEMORY_SECS));
        self.decided.retain(|(decided, ..)| *decided != id);
        self.decided.push((id, admitted, rev));
        // Whoever sat down after a word, as after being turned away, has it behind them.
        if self.seat(id).is_some_and(|seat| seat.guest.party.rev >= rev) {
            return;
        }
        self.enact(id, admission, now);
    }

    /// Does with whoever sits here what was decided about them.
    fn enact(&mut self, id: ParticipantId, admission: Admission, now: Instant) {
        let admitted = admission == Admission::Admitted;
        if admitted {
            // Their turn has come: what was known of the wait is over.
            self.place = None;
        }
        let Some(seat) = self.seat_mut(id) else { return };
        let stays = matches!(admission, Admission::Admitted | Admission::Held);
        if seat.guest.admitted == admitted && stays {
            return;
        }
        seat.guest.admitted = admitted;
        seat.guest.since = (!admitted).then_some(now);
        seat.told = None;
        if !admitted {
            self.cut_edges(id);
        }
        match admission {
            Admission::Admitted => self.tell(id, "admitted", &json!({}), now),
            Admission::Held => self.tell_waiting(id, now),
            Admission::Denied => {
                self.tell(id, "denied", &json!({}), now);
                return self.remove(id, CloseCode::Forbidden, LeftWhy::Denied, now);
            }
            Admission::Removed => {
                self.tell(id, "removed", &json!({}), now);
                return self.remove(id, CloseCode::Forbidden, LeftWhy::Removed, now);
            }
        }
        self.mention(id, PeerChange::State, now);
        self.tell_snapshot(id, now);
        self.connect(now);
    }

    /// Who takes part is another: the door is locked or opened, somebody goes aside or comes back, or
    /// is asked to come no more.
    fn arrange(&mut self, party: Party, now: Instant) {
        if self.party.as_ref().is_some_and(|known| known.rev > party.rev) {
            return;
        }
        self.kept_until = now.plus(TimeDelta::seconds(MEMORY_SECS));
        let (rev, before) = (party.rev, self.party.replace(party));
        // Whom nobody asks to come any more, that was decided by then.
        for one in before.iter().flat_map(|was| &was.people) {
            if !self.is_asked(one.id) {
                self.decide(one.id, (Admission::Removed, rev), now);
            }
        }
        let (was_locked, is_locked) =
            (before.as_ref().is_some_and(|was| was.locked), self.is_locked());
        if was_locked != is_locked {
            for id in self.ids(|_| true) {
                self.tell(id, "lock", &json!({"locked": is_locked}), now);
            }
        }
        let was_aside = |id| before.as_ref().is_some_and(|was| was.is_aside(id));
        let mut moved = self.ids(|seat| was_aside(seat.guest.id) != self.is_aside(seat.guest.id));
        for id in self.change_roles() {
            if !moved.contains(&id) {
                moved.push(id);
            }
        }
        if moved.is_empty() {
            return;
        }
        let unwanted: Vec<Edge> =
            self.edges.iter().filter(|edge| !self.wants(edge)).cloned().collect();
        self.edges.retain(|edge| unwanted.iter().all(|gone| gone.id != edge.id));
        for edge in &unwanted {
            self.withdraw(edge);
        }
        for id in moved {
            self.mention(id, PeerChange::State, now);
        }
        for id in self.ids(|seat| seat.guest.admitted) {
            self.tell_snapshot(id, now);
        }
        self.connect(now);
    }

    /// Whoever conducts the visit is another: those in the room become what they are now, and of
    /// whoever conducts it no earlier word counts. Says whose part has changed.
    fn change_roles(&mut self) -> Vec<ParticipantId> {
        let Some(party) = &self.party else { return Vec::new() };
        let (rev, people) = (party.rev, party.people.clone());
        let role = |id| people.iter().find(|one| one.id == id).map(|one| one.role);
        let conducts = |id| role(id) == Some(ParticipantRole::Practitioner);
        self.decided.retain(|(id, _, since)| !conducts(*id) || *since > rev);
        let is_other =
            |seat: &Seat| role(seat.guest.id).is_some_and(|role| role != seat.guest.role);
        let changed = self.ids(is_other);
        for id in &changed {
            // What flows between two is a matter of their roles: their connections begin anew.
            self.cut_edges(*id);
            let Some(seat) = self.seat_mut(*id) else { continue };
            seat.guest.role = role(*id).unwrap_or(seat.guest.role);
            if conducts(*id) {
                seat.guest.party.rev = rev;
                (seat.guest.admitted, seat.guest.since) = (true, None);
                (seat.guest.sits_with, seat.told) = (None, None);
            }
        }
        changed
    }

    fn is_locked(&self) -> bool {
        self.party.as_ref().is_some_and(|party| party.locked)
    }

    fn is_asked(&self, id: ParticipantId) -> bool {
        self.party.as_ref().is_some_and(|party| party.people.iter().any(|one| one.id == id))
    }

    fn is_aside(&self, id: ParticipantId) -> bool {
        self.party.as_ref().is_some_and(|party| party.is_aside(id))
    }

    fn wants(&self, edge: &Edge) -> bool {
        let (Some(one), Some(other)) = (self.seat(edge.offerer), self.seat(edge.answerer)) else {
            return false;
        };
        self.plan(one, other).is_some()
    }

    /// What flows between two; nothing to or from who waits, sits at another's device, or is on the
    /// other side of the side room's door.
    fn plan(&self, one: &Seat, other: &Seat) -> Option<Plan> {
        let talks = |seat: &Seat| seat.guest.admitted && seat.guest.sits_with.is_none();
        let together = self.is_aside(one.guest.id) == self.is_aside(other.guest.id);
        if !talks(one) || !talks(other) || !together {
            return None;
        }
        plan::between(one.guest.role, other.guest.role)
    }

    fn end(&mut self, why: OverWhy, now: Instant) {
        let (reason, left) = match why {
            OverWhy::Finished => ("finished", LeftWhy::Finished),
            OverWhy::TimeOver => ("time_over", LeftWhy::TimeOver),
        };
        self.over = true;
        self.kept_until = now.plus(TimeDelta::seconds(MEMORY_SECS));
        self.edges.clear();
        for id in self.ids(|_| true) {
            self.tell(id, "ended", &json!({"reason": reason}), now);
        }
        for seat in std::mem::take(&mut self.seats) {
            self.effects.push(Effect::Gone(seat.guest.id, seat.sid, seat.epoch, left));
            if let Line::Up(line) = seat.line {
                self.effects.push(Effect::Close(line, CloseCode::Over));
            }
        }
    }

    fn remove(&mut self, id: ParticipantId, code: CloseCode, why: LeftWhy, now: Instant) {
        self.mention(id, PeerChange::Left, now);
        let Some(seat) = self.take_out(id) else { return };
        self.effects.push(Effect::Gone(id, seat.sid, seat.epoch, why));
        if let Line::Up(line) = seat.line {
            self.effects.push(Effect::Close(line, code));
        }
    }

    fn take_out(&mut self, id: ParticipantId) -> Option<Seat> {
        let at = self.seats.iter().position(|seat| seat.guest.id == id)?;
        self.cut_edges(id);
        Some(self.seats.swap_remove(at))
    }

    /// Somebody's connections end, and what was said of them is not said again.
    fn cut_edges(&mut self, id: ParticipantId) {
        let (cut, kept) =
            std::mem::take(&mut self.edges).into_iter().partition(|edge| edge.joins(id));
        self.edges = kept;
        for edge in cut {
            self.withdraw(&edge);
        }
    }

    fn withdraw(&mut self, edge: &Edge) {
        for end in [edge.offerer, edge.answerer] {
            if let Some(seat) = self.seat_mut(end) {
                seat.mailbox.withdraw(&edge.id);
            }
        }
    }

    fn tick(&mut self, now: Instant) {
        let mut silent = Vec::new();
        let mut gone = Vec::new();
        for seat in &mut self.seats {
            let Line::Silent { since, mentioned } = &mut seat.line else { continue };
            let silence = now.since(*since);
            let vouched =
                seat.vouched_at.is_some_and(|at| now.since(at) <= TimeDelta::seconds(VOUCH_SECS));
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
        self.begin_stuck_anew(now);
    }

    /// Whoever has no line cannot answer: asking them again would only fill their mailbox.
    fn begin_stuck_anew(&mut self, now: Instant) {
        let up = self.ids(|seat| matches!(seat.line, Line::Up(_)));
        let mut stuck = Vec::new();
        for edge in self.edges.iter_mut().filter(|edge| edge.is_stuck(now)) {
            if up.contains(&edge.offerer) && up.contains(&edge.answerer) {
                edge.count_retry();
                stuck.push(edge.id.clone());
            }
        }
        for name in stuck {
            self.negotiate(&name, true, now);
        }
    }

    /// Every two who have something to send each other have an edge; new ones are negotiated.
    fn connect(&mut self, now: Instant) {
        for (one, other, plan) in self.missing_edges() {
            let generation = self.next_generation();
            let mut edge = Edge::new(one, other, plan, generation, Phase::Up);
            let ends = [one, other].into_iter().filter_map(|end| self.seat(end));
            if let Some(carries) = ends.map(|seat| seat.guest.carries).min() {
                edge.ladder = Ladder::begun(carries);
            }
            let name = edge.id.clone();
            self.edges.push(edge);
            self.negotiate(&name, true, now);
        }
    }

    /// Pairs without an edge, the offerer first: the practitioner, else the lower id.
    fn missing_edges(&self) -> Vec<(ParticipantId, ParticipantId, Plan)> {
        let mut inside: Vec<&Seat> = self.seats.iter().filter(|seat| seat.guest.admitted).collect();
        inside
            .sort_by_key(|seat| (seat.guest.role != ParticipantRole::Practitioner, seat.guest.id));
        let mut pairs = Vec::new();
        for (at, one) in inside.iter().enumerate() {
            for other in inside.iter().skip(at.saturating_add(1)) {
                let (from, to) = (one.guest.id, other.guest.id);
                if self.edges.iter().any(|edge| edge.joins(from) && edge.joins(to)) {
                    continue;
                }
                pairs.extend(self.plan(one, other).map(|plan| (from, to, plan)));
            }
        }
        pairs
    }

    /// Opens the next generation of an edge and tells both sides their part in it.
    fn negotiate(&mut self, name: &str, fresh: bool, now: Instant) {
        let generation = self.next_generation();
        let Some(edge) = self.edges.iter_mut().find(|edge| edge.id == name) else { return };
        edge.restart(generation, now);
        let edge = edge.clone();
        self.withdraw(&edge);
        let (turn, policy) = (Turn { neg: 0, generation }, self.ice.policy);
        for view in [edge.seen_by(edge.offerer), edge.seen_by(edge.answerer)].into_iter().flatten()
        {
            let id = edge.other(view.peer);
            let body = json!({
                "peer": view.peer, "role": view.role, "polite": view.polite, "gen": generation,
                "fresh": fresh, "ice_policy": policy, "send": view.send, "receive": view.receive,
                "ladder": view.ladder, "ice_servers": self.ice_servers(id, now),
            });
            self.post(id, "negotiate", None, Some((name, turn)), &body.to_string(), now);
        }
    }

    fn next_generation(&mut self) -> u64 {
        self.generation = self.generation.saturating_add(1);
        self.generation
    }

    fn show_presence(&mut self, id: ParticipantId, presence: Readiness, now: Instant) {
        let Some(seat) = self.seat_mut(id) else { return };
        if seat.presence.replace(presence) != Some(presence) {
            self.keep_readiness(id, presence, now);
            self.mention(id, PeerChange::State, now);
        }
    }

    fn show_media(&mut self, id: ParticipantId, media: MediaState, now: Instant) {
        let Some(seat) = self.seat_mut(id) else { return };
        if seat.media.replace(media) == Some(media) {
            return;
        }
        self.mention(id, PeerChange::State, now);
        if self.is_admitted(id) {
            let body = telling::write(&media);
            for other in self.ids(|seat| seat.guest.admitted && seat.guest.id != id) {
                self.post(other, "media_state", Some(id), None, &body, now);
            }
        }
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
        ParticipantRole::Practitioner | ParticipantRole::Specialist | ParticipantRole::Trainee => {
            PRACTITIONER_SEAT_SECS
        }
        ParticipantRole::Patient
        | ParticipantRole::Relative
        | ParticipantRole::Feldsher
        | ParticipantRole::Interpreter => PATIENT_SEAT_SECS,
    }
}
