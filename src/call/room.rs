//! One room: who sits where, who talks to whom, what each must hear. No I/O, no clock of its own.
//!
//! The integrator feeds it [`Event`]s in order and carries out the [`Effect`]s in order.
//! Who may be let in or end the visit is decided outside, by the access policy and the database;
//! the room hears of it when it has been committed.

mod coming;
mod deciding;
mod edges;
mod rungs;
#[cfg(test)]
mod sim;
mod telling;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use chrono::TimeDelta;
use serde_json::json;

use crate::account::SessionId;
use crate::base::column::Instant;
use crate::base::config;
use crate::call::COUPLE;
use crate::call::edge::Edge;
use crate::call::event::{CloseCode, Credentials, Effect, Event, Guest, LineId};
use crate::call::mailbox::Mailbox;
use crate::call::message::told::{ErrorCode, PeerChange};
use crate::call::message::{Frame, FromPeer, MediaState, Readiness};
use crate::call::record::MarkKind;
use crate::call::record::trace::Trace;
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
    decided: Vec<(ParticipantId, Admission, i32)>,
    rev: u64,
    generation: u64,
    over: bool,
    /// Who takes part is being set anew: connections wait until that is done.
    arranging: bool,
    /// Who takes part; not known before the first has come.
    party: Option<Party>,
    /// Its place in the practitioner's day.
    place: Option<Queued>,
    /// An empty room is kept until then.
    kept_until: Instant,
    /// What the record has of the edges, and who was missed when it was looked at last.
    traces: Vec<Trace>,
    missed: Vec<ParticipantId>,
    /// What the record says last of who is let in.
    admissions_kept: Vec<(ParticipantId, MarkKind)>,
    /// How often it has kept how ready somebody is.
    readiness_kept: Vec<rungs::ReadinessKept>,
    effects: Vec<Effect>,
}

impl Room {
    /// An empty room, whose connections take the ways of `ice`. Generations begin at the time in
    /// milliseconds, so that those of a room that is opened again after a restart are usually higher
    /// than any before. Clocks differ: a page takes over whatever number the snapshot says.
    pub fn new(ice: Arc<config::Ice>, now: Instant) -> Self {
        Self {
            ice,
            seats: Vec::with_capacity(COUPLE),
            edges: Vec::new(),
            decided: Vec::new(),
            rev: 0,
            generation: u64::try_from(now.utc().timestamp_millis()).unwrap_or_default(),
            over: false,
            arranging: false,
            party: None,
            place: None,
            kept_until: now,
            traces: Vec::new(),
            missed: Vec::new(),
            admissions_kept: Vec::new(),
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

    /// Whether who takes part is known as it stood before a change of the visit.
    pub fn is_behind(&self, rev: i32) -> bool {
        self.party.as_ref().is_none_or(|party| party.rev < rev)
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
