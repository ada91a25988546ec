//! Who comes into a room, comes back to it, and is put back into it; and what they bring with them.

use serde_json::json;

use super::telling::bare;
use super::{Line, Room, Seat};
use crate::base::column::Instant;
use crate::call::edge::{Edge, Phase};
use crate::call::event::{CloseCode, Credentials, Effect, Guest, LineId};
use crate::call::mailbox::Mailbox;
use crate::call::message::told::PeerChange;
use crate::encounter::guest::{ENDPOINTS_MAX, PEOPLE_MAX};
use crate::encounter::party::Party;
use crate::encounter::presence::LeftWhy;
use crate::encounter::{Admission, ParticipantId, ParticipantRole};

impl Room {
    pub(super) fn enter(
        &mut self,
        guest: Guest,
        line: LineId,
        credentials: &Credentials,
        now: Instant,
    ) {
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
        let guest = match self.as_decided(guest, now) {
            Ok(guest) => guest,
            Err(word) => return self.turn_away(id, (line, 0), credentials, Some(word), now),
        };
        self.place = guest.place.or(self.place);
        self.begin_record(id);
        if self.over || (came == PeerChange::Joined && !self.has_place(&guest)) {
            return self.turn_away(id, (line, 0), credentials, None, now);
        }
        self.seats.push(Seat::new(guest, credentials, Line::Up(line), Mailbox::default()));
        self.tell_welcome(id, credentials, now);
        self.mention(id, came, now);
        self.connect(now);
    }

    pub(super) fn resume(
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
            return self.turn_away(id, (line, last_seq), credentials, None, now);
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
            let word = self.last_word(id);
            return self.turn_away(id, (line, last_seq), credentials, word, now);
        }
        // The record may have them as silent, from before this room had or lost the seat: it is told
        // that they are back.
        if came == PeerChange::Joined && !self.missed.contains(&id) {
            self.missed.push(id);
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
    pub(super) fn go_on(&mut self, id: ParticipantId, was_lost: bool, now: Instant) {
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

    /// A seat that somebody may come back to, unless it is there; `false` when there is no
    /// room, or they were sent out since.
    /// Its connections may still be up: nothing is negotiated until somebody asks.
    pub(super) fn restore(
        &mut self,
        guest: Guest,
        credentials: &Credentials,
        now: Instant,
    ) -> bool {
        if self.seat(guest.id).is_some() {
            let id = guest.id;
            self.catch_up(guest, now);
            return self.seat(id).is_some();
        }
        if self.over {
            return false;
        }
        // First: whoever was sent out makes room.
        let Ok(guest) = self.as_decided(guest, now) else { return false };
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
    pub(super) fn catch_up(&mut self, mut guest: Guest, now: Instant) {
        let id = guest.id;
        let is_older = |seat: &&Seat| seat.guest.party.rev < guest.party.rev;
        let Some(was_admitted) = self.seat(id).filter(is_older).map(|seat| seat.guest.admitted)
        else {
            return;
        };
        if let Some(word) = self.judge(&mut guest) {
            return self.enact(id, word, now, now);
        }
        let (seen, since) = (guest.party.rev, guest.since.unwrap_or(now));
        // Nobody is connected with whoever does not stay in.
        if was_admitted && !guest.admitted {
            self.enact(id, Admission::Held, since, now);
        }
        self.learn(guest.party, now);
        let Some(seat) = self.seat_mut(id) else { return };
        seat.guest.party.rev = seen;
        if guest.admitted && !seat.guest.admitted {
            self.enact(id, Admission::Admitted, now, now);
        }
    }

    /// A seat for one more, and a device unless they sit at another's.
    pub(super) fn has_place(&self, guest: &Guest) -> bool {
        let with_device = self.ids(|seat| seat.guest.sits_with.is_none()).len();
        self.seats.len() < PEOPLE_MAX && (guest.sits_with.is_some() || with_device < ENDPOINTS_MAX)
    }

    /// What the room has heard since somebody sat down is newer than what stood then, or older.
    /// Whoever was sent out since may not sit: then the word that sent them.
    pub(super) fn as_decided(
        &mut self,
        mut guest: Guest,
        now: Instant,
    ) -> Result<Guest, Admission> {
        let word = self.judge(&mut guest);
        let party = std::mem::take(&mut guest.party);
        guest.party.rev = party.rev;
        self.learn(party, now);
        word.map_or(Ok(guest), Err)
    }

    /// As what somebody comes, and whether they are let in, by the newest that is known of them; the
    /// word that sent them out, if they were since they took their seat.
    pub(super) fn judge(&self, guest: &mut Guest) -> Option<Admission> {
        let of = |party: &Party| party.people.iter().find(|one| one.id == guest.id).copied();
        if let Some(known) = self.party.as_ref().filter(|known| known.rev > guest.party.rev) {
            match of(known) {
                Some(one) => {
                    let is_other = one.role != guest.role;
                    (guest.role, guest.sits_with) = (one.role, one.sits_with);
                    if is_other && one.role == ParticipantRole::Practitioner {
                        (guest.admitted, guest.party.rev) = (true, known.rev);
                    }
                }
                None if of(&guest.party).is_some() => return Some(Admission::Removed),
                None => {}
            }
        }
        let (id, seen) = (guest.id, guest.party.rev);
        let since = |(one, _, rev): &&(ParticipantId, Admission, i32)| *one == id && *rev > seen;
        let (_, word, _) = self.decided.iter().find(since)?;
        guest.admitted = *word == Admission::Admitted;
        sends_out(*word).then_some(*word)
    }

    /// The word that sent somebody out, if that is what was said of them last.
    fn last_word(&self, id: ParticipantId) -> Option<Admission> {
        let word = self.decided.iter().find(|(one, ..)| *one == id).map(|(_, word, _)| *word);
        let unasked = (self.party.is_some() && !self.is_asked(id)).then_some(Admission::Removed);
        word.filter(|word| sends_out(*word)).or(unasked)
    }

    /// Who takes part as it stood when somebody sat down.
    pub(super) fn learn(&mut self, party: Party, now: Instant) {
        match &self.party {
            None => {
                let rev = party.rev;
                self.party = Some(party);
                self.settle_admissions(rev, now);
            }
            Some(known) if known.rev < party.rev => self.arrange(party, now),
            Some(_) => {}
        }
    }

    /// There is no seat for them; `word`: because they were sent out, which they hear as the message
    /// that comes after those they have heard.
    pub(super) fn turn_away(
        &mut self,
        id: ParticipantId,
        (line, last_seq): (LineId, u64),
        credentials: &Credentials,
        word: Option<Admission>,
        now: Instant,
    ) {
        let (code, why, said) = match word {
            _ if self.over => (CloseCode::Over, LeftWhy::Finished, None),
            Some(Admission::Removed) => (CloseCode::Forbidden, LeftWhy::Removed, Some("removed")),
            Some(Admission::Denied) => (CloseCode::Forbidden, LeftWhy::Denied, Some("denied")),
            _ => (CloseCode::Forbidden, LeftWhy::Denied, None),
        };
        if let Some(t) = said {
            let text = Mailbox::starting_after(last_seq).post(now, None, |seq| bare(t, seq));
            self.effects.push(Effect::Send(line, text));
        }
        self.effects.push(Effect::Gone(id, credentials.sid, credentials.epoch, why));
        self.effects.push(Effect::Close(line, code));
    }

    pub(super) fn supersede(&mut self, line: Line) {
        if let Line::Up(old) = line {
            self.effects.push(Effect::Close(old, CloseCode::Superseded));
        }
    }
}

/// Whether a word ends the seat of whoever it is about.
pub(super) fn sends_out(word: Admission) -> bool {
    matches!(word, Admission::Denied | Admission::Removed)
}
