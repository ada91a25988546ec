//! What each in the room hears, and how it is written.

use chrono::TimeDelta;
use serde::Serialize;
use serde_json::{Value, json};

use super::{Line, PING_MS, Room, Seat, Wait, seat_secs};
use crate::base::column::Instant;
use crate::call::event::{Credentials, Effect, LineId, News};
use crate::call::ice::{self, IceServer};
use crate::call::message::told::{EdgeView, ErrorCode, Peer, PeerChange, SeatState};
use crate::call::message::{MESSAGE_BYTES_MAX, Readiness, Turn};
use crate::encounter::guest::is_guest;
use crate::encounter::show::Standing;
use crate::encounter::{ParticipantId, ParticipantRole};

impl Room {
    /// Whoever sits here for long hears of them anew whenever they may need them: passwords run out.
    pub(super) fn ice_servers(&self, id: ParticipantId, now: Instant) -> Vec<IceServer> {
        ice::servers(&self.ice, id.0, now)
    }

    pub(super) fn tell_welcome(
        &mut self,
        id: ParticipantId,
        credentials: &Credentials,
        now: Instant,
    ) {
        let role = self.role(id).unwrap_or(ParticipantRole::Patient);
        let body = json!({
            "sid": credentials.sid, "secret": credentials.secret, "epoch": credentials.epoch,
            "participant": {"id": id, "role": role},
            "ping_ms": PING_MS,
            "resume_ms": TimeDelta::seconds(seat_secs(role)).num_milliseconds(),
            "limits": {"message_bytes": MESSAGE_BYTES_MAX},
            "locked": self.is_locked(),
            "server_time": now,
            "roster": self.roster(id), "edges": self.edges_of(id),
            "ice_servers": self.ice_servers(id, now),
        });
        self.tell(id, "welcome", &body, now);
    }

    pub(super) fn resumed(
        &mut self,
        id: ParticipantId,
        line: LineId,
        epoch: i32,
        (from_seq, to_seq): (u64, u64),
    ) {
        let body = json!({
            "epoch": epoch, "participant": {"id": id}, "from_seq": from_seq, "to_seq": to_seq,
        });
        self.effects.push(Effect::Send(line, unnumbered("resumed", None, &body)));
    }

    /// Tells the others about somebody. Who waits hears of practitioners only.
    pub(super) fn mention(&mut self, id: ParticipantId, op: PeerChange, now: Instant) {
        self.rev = self.rev.saturating_add(1);
        let Some(peer) = self.seat(id).map(|seat| self.view(seat)) else { return };
        let body = json!({"rev": self.rev, "op": op, "participant": peer});
        let practitioner = peer.role == ParticipantRole::Practitioner;
        for other in self.ids(|seat| seat.guest.id != id && (seat.guest.admitted || practitioner)) {
            self.tell(other, "peer", &body, now);
        }
    }

    /// Whoever waits is told how it stands, as soon as it stands otherwise.
    pub(super) fn tell_who_waits(&mut self, now: Instant) {
        for id in self.ids(|seat| !seat.guest.admitted) {
            if self.seat(id).is_some_and(|seat| seat.told.as_ref() != Some(&self.wait_now(id))) {
                self.tell_waiting(id, now);
            }
        }
    }

    pub(super) fn tell_waiting(&mut self, id: ParticipantId, now: Instant) {
        let Some(seat) = self.seat(id) else { return };
        let (wait, since) = (self.wait_now(id), seat.guest.since);
        if let Some(seat) = self.seat_mut(id) {
            seat.told = Some(wait.clone());
        }
        let Wait { practitioner_here, place, awaited } = wait;
        let mut body = json!({
            "since": since, "practitioner_here": practitioner_here, "awaited": awaited,
        });
        if let (Some(place), Some(body)) = (place, body.as_object_mut()) {
            let eta = match place.latest {
                Some(latest) => json!({"earliest": place.earliest, "latest": latest}),
                None => json!({"earliest": place.earliest}),
            };
            body.insert("position".to_owned(), place.position.into());
            body.insert("eta".to_owned(), eta);
            if let Some(late) = place.late_minutes {
                body.insert("late_minutes".to_owned(), late.into());
            }
        }
        self.tell(id, "waiting", &body, now);
    }

    /// Says that there is something new, not what: that is asked for over HTTP, by whoever may know.
    pub(super) fn tell_news(&mut self, news: News, now: Instant) {
        match news {
            News::Ringing(id, ring) => self.tell(id, "ringing", &json!({"ring": ring}), now),
            News::Care => self.tell_all("care", now),
            // Who is asked to a visit reads nothing of it, nor how often something is written.
            News::Chat => {
                for id in self.ids(|seat| !is_guest(seat.guest.role)) {
                    self.tell(id, "chat", &json!({}), now);
                }
            }
        }
    }

    fn tell_all(&mut self, t: &str, now: Instant) {
        for id in self.ids(|_| true) {
            self.tell(id, t, &json!({}), now);
        }
    }

    /// How it stands for somebody who waits; nobody waits for themself.
    pub(super) fn wait_now(&self, id: ParticipantId) -> Wait {
        let practitioner_here = self
            .seats
            .iter()
            .any(|seat| seat.guest.role == ParticipantRole::Practitioner && !seat.is_missed());
        let is_here =
            |one: ParticipantId| one == id || self.seat(one).is_some_and(|seat| !seat.is_missed());
        let party = self.party.as_ref();
        let awaited = party.map(|party| party.awaited(is_here)).unwrap_or_default();
        Wait { practitioner_here, place: self.place, awaited }
    }

    pub(super) fn tell_snapshot(&mut self, id: ParticipantId, now: Instant) {
        let body = json!({
            "rev": self.rev, "participant": {"id": id, "role": self.role(id)},
            "roster": self.roster(id), "edges": self.edges_of(id), "server_time": now,
            "locked": self.is_locked(), "ice_servers": self.ice_servers(id, now),
        });
        self.tell(id, "snapshot", &body, now);
    }

    pub(super) fn tell(&mut self, id: ParticipantId, t: &str, body: &Value, now: Instant) {
        self.post(id, t, None, None, &body.to_string(), now);
    }

    /// Passes on what somebody said; `body` is JSON.
    pub(super) fn relay(
        &mut self,
        from: ParticipantId,
        to: ParticipantId,
        t: &str,
        turn: (&str, Turn),
        body: &str,
        now: Instant,
    ) {
        self.post(to, t, Some(from), Some(turn), body, now);
    }

    /// Numbers a message, keeps it for a resume, and sends it when there is a line; `body` is JSON.
    pub(super) fn post(
        &mut self,
        id: ParticipantId,
        t: &str,
        from: Option<ParticipantId>,
        turn: Option<(&str, Turn)>,
        body: &str,
        now: Instant,
    ) {
        let Some(seat) = self.seats.iter_mut().find(|seat| seat.guest.id == id) else { return };
        let edge = turn.map(|(edge, _)| edge);
        let (neg, generation) = (turn.map(|(_, at)| at.neg), turn.map(|(_, at)| at.generation));
        let text = seat.mailbox.post(now, edge, |seq| {
            enclose(write(&Envelope { v: 1, seq, t, from, edge, neg, generation }), body)
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
            .map(|seat| self.view(seat))
            .collect()
    }

    fn edges_of(&self, id: ParticipantId) -> Vec<EdgeView> {
        self.edges.iter().filter_map(|edge| edge.seen_by(id)).collect()
    }

    fn view(&self, seat: &Seat) -> Peer {
        let aside = self.is_aside(seat.guest.id);
        Peer {
            id: seat.guest.id,
            role: seat.guest.role,
            name: seat.guest.name.clone(),
            state: match (seat.guest.admitted, seat.is_missed()) {
                (true, false) => SeatState::Admitted,
                (true, true) => SeatState::Reconnecting,
                (false, false) => SeatState::Waiting,
                (false, true) => SeatState::Away,
            },
            since: seat.guest.since.filter(|_| !seat.guest.admitted),
            presence: seat.presence,
            media: seat.media,
            standing: standing(seat, aside),
            sits_with: seat.guest.sits_with,
            aside,
        }
    }
}

fn standing(seat: &Seat, aside: bool) -> Standing {
    match (seat.is_missed(), seat.guest.admitted, seat.presence) {
        (true, ..) => Standing::Disconnected,
        (false, true, _) if aside => Standing::InSideRoom,
        (false, true, _) => Standing::InCall,
        (false, false, Some(Readiness::DeviceCheck)) => Standing::Testing,
        (false, false, _) => Standing::Ready,
    }
}

/// The envelope of a numbered message, in its order; its body comes last.
#[derive(Serialize)]
struct Envelope<'a> {
    v: u8,
    seq: u64,
    t: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    from: Option<ParticipantId>,
    #[serde(skip_serializing_if = "Option::is_none")]
    edge: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    neg: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none", rename = "gen")]
    generation: Option<u64>,
}

/// Puts a body, as JSON, into its envelope, which has something else in it already.
fn enclose(mut envelope: String, body: &str) -> String {
    const NAME: &str = ",\"body\":";
    envelope.pop();
    envelope.reserve_exact(NAME.len().saturating_add(body.len()).saturating_add(1));
    envelope.push_str(NAME);
    envelope.push_str(body);
    envelope.push('}');
    envelope
}

/// A numbered message that says nothing but its kind.
pub(super) fn bare(t: &str, seq: u64) -> String {
    let envelope = Envelope { v: 1, seq, t, from: None, edge: None, neg: None, generation: None };
    enclose(write(&envelope), "{}")
}

#[derive(Serialize)]
struct Unnumbered<'a> {
    v: u8,
    t: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    re: Option<&'a str>,
    body: &'a Value,
}

pub(super) fn write(message: &impl Serialize) -> String {
    // Plain structures with text for keys: there is nothing in them that JSON cannot say.
    serde_json::to_string(message).unwrap_or_default()
}

/// A message outside the numbering: it is about this socket only.
pub fn unnumbered(t: &str, re: Option<&str>, body: &Value) -> String {
    write(&Unnumbered { v: 1, t, re, body })
}

/// The answer to a frame that could not be followed.
pub fn error(code: ErrorCode, re: Option<&str>) -> String {
    unnumbered("error", re, &json!({"code": code, "retryable": code.is_retryable()}))
}
