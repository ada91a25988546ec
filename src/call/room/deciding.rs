//! What was decided outside and the room hears of: who is let in, who takes part, that it is over.

use chrono::TimeDelta;
use serde_json::json;

use super::coming::sends_out;
use super::{Line, MEMORY_SECS, Room, Seat};
use crate::base::column::Instant;
use crate::call::COUPLE;
use crate::call::edge::Edge;
use crate::call::event::{CloseCode, Effect, OverWhy};
use crate::call::message::told::PeerChange;
use crate::call::record::MarkWhy;
use crate::encounter::party::Party;
use crate::encounter::presence::LeftWhy;
use crate::encounter::{Admission, ParticipantId, ParticipantRole};

impl Room {
    pub(super) fn decide(
        &mut self,
        id: ParticipantId,
        (admission, rev): (Admission, i32),
        now: Instant,
    ) {
        // Of two words that were committed one after the other the second may be told first.
        if self.is_decided_since(id, rev) {
            return;
        }
        self.hear_word(id, (admission, rev), now);
        // Also what is behind them, or is about nobody here, belongs into the record.
        self.keep_admission(id, admission, now);
    }

    /// A word about somebody that is not older than those heard before.
    fn hear_word(&mut self, id: ParticipantId, (admission, rev): (Admission, i32), now: Instant) {
        self.kept_until = now.plus(TimeDelta::seconds(MEMORY_SECS));
        self.remember(id, (admission, rev));
        // Whoever sat down after a word, as after being turned away, has it behind them.
        if self.seat(id).is_some_and(|seat| seat.guest.party.rev >= rev) {
            return;
        }
        self.enact(id, admission, now, now);
    }

    /// For those who are on their way in.
    fn remember(&mut self, id: ParticipantId, (admission, rev): (Admission, i32)) {
        self.decided.retain(|(decided, ..)| *decided != id);
        if self.decided.is_empty() {
            self.decided.reserve_exact(COUPLE);
        }
        self.decided.push((id, admission, rev));
    }

    /// Does with whoever sits here what was decided about them; `since`: how long they have waited, if
    /// they have to.
    pub(super) fn enact(
        &mut self,
        id: ParticipantId,
        admission: Admission,
        since: Instant,
        now: Instant,
    ) {
        let admitted = admission == Admission::Admitted;
        if admitted {
            // Their turn has come: what was known of the wait is over.
            self.place = None;
        }
        let Some(seat) = self.seat_mut(id) else { return };
        if seat.guest.admitted == admitted && !sends_out(admission) {
            return;
        }
        seat.guest.admitted = admitted;
        seat.guest.since = (!admitted).then_some(since);
        seat.told = None;
        if !admitted {
            self.cut_edges(id);
            // Whatever brought the word: the record says why.
            self.end_traces(|trace| trace.joins(id), end_of(admission), now);
        }
        self.keep_admission(id, admission, now);
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
    pub(super) fn arrange(&mut self, party: Party, now: Instant) {
        if self.party.as_ref().is_some_and(|known| known.rev > party.rev) {
            return;
        }
        // Who is connected with whom is seen when all of it is done: whoever is let in by one word of
        // it has nothing to say to somebody who is sent out by the next.
        self.arranging = true;
        self.rearrange(party, now);
        self.arranging = false;
        self.connect(now);
    }

    fn rearrange(&mut self, party: Party, now: Instant) {
        self.kept_until = now.plus(TimeDelta::seconds(MEMORY_SECS));
        let (rev, before) = (party.rev, self.party.replace(party));
        // Whom nobody asks to come any more, that was decided by then.
        for one in before.iter().flat_map(|was| &was.people) {
            if !self.is_asked(one.id) && !self.is_decided_since(one.id, rev) {
                self.hear_word(one.id, (Admission::Removed, rev), now);
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
        for id in self.change_roles(now) {
            if !moved.contains(&id) {
                moved.push(id);
            }
        }
        self.settle_admissions(rev, now);
        if moved.is_empty() {
            return;
        }
        let unwanted: Vec<Edge> =
            self.edges.iter().filter(|edge| !self.wants(edge)).cloned().collect();
        self.edges.retain(|edge| unwanted.iter().all(|gone| gone.id != edge.id));
        for edge in &unwanted {
            self.withdraw(edge);
            self.end_traces(|trace| trace.edge == edge.id, MarkWhy::Plan, now);
        }
        for id in moved {
            self.mention(id, PeerChange::State, now);
        }
        for id in self.ids(|seat| seat.guest.admitted) {
            self.tell_snapshot(id, now);
        }
    }

    /// Who is let in as the party stands and who is not, that was decided by then too: whoever was to
    /// tell it may be dead, and a seat may be from before somebody was sent out and asked again.
    pub(super) fn settle_admissions(&mut self, rev: i32, now: Instant) {
        let people = self.party.iter().flat_map(|party| &party.people);
        let words: Vec<(ParticipantId, Admission)> = people
            .filter(|one| one.role != ParticipantRole::Practitioner)
            .map(|one| (one.id, one.admission))
            .collect();
        for (id, word) in words {
            if self.is_decided_since(id, rev) {
                continue;
            }
            let is_so = |seat: &Seat| seat.guest.admitted == (word == Admission::Admitted);
            if sends_out(word) || self.seat(id).is_some_and(|seat| !is_so(seat)) {
                self.hear_word(id, (word, rev), now);
            } else {
                self.remember(id, (word, rev));
            }
        }
    }

    fn is_decided_since(&self, id: ParticipantId, rev: i32) -> bool {
        self.decided.iter().any(|(decided, _, at)| *decided == id && *at > rev)
    }

    /// Whoever conducts the visit is another: those in the room become what they are now and sit where
    /// they sit now, and of whoever conducts it no earlier word counts. Says whose part has changed.
    fn change_roles(&mut self, now: Instant) -> Vec<ParticipantId> {
        let Some(party) = &self.party else { return Vec::new() };
        let (rev, people) = (party.rev, party.people.clone());
        let part = |id| people.iter().find(|one| one.id == id).map(|one| (one.role, one.sits_with));
        let conducts = |id| part(id).is_some_and(|(role, _)| role == ParticipantRole::Practitioner);
        self.decided.retain(|(id, _, since)| !conducts(*id) || *since > rev);
        let is_other = |seat: &Seat| {
            let sits = (seat.guest.role, seat.guest.sits_with);
            part(seat.guest.id).is_some_and(|part| part != sits)
        };
        let changed = self.ids(is_other);
        for id in &changed {
            // What flows between two is a matter of their roles: their connections begin anew.
            self.cut_edges(*id);
            self.end_traces(|trace| trace.joins(*id), MarkWhy::Plan, now);
            let Some(seat) = self.seat_mut(*id) else { continue };
            let Some((role, sits_with)) = part(*id) else { continue };
            (seat.guest.role, seat.guest.sits_with) = (role, sits_with);
            if conducts(*id) {
                seat.guest.party.rev = rev;
                (seat.guest.admitted, seat.guest.since, seat.told) = (true, None, None);
            }
        }
        changed
    }

    pub(super) fn is_locked(&self) -> bool {
        self.party.as_ref().is_some_and(|party| party.locked)
    }

    pub(super) fn is_asked(&self, id: ParticipantId) -> bool {
        self.party.as_ref().is_some_and(|party| party.people.iter().any(|one| one.id == id))
    }

    pub(super) fn is_aside(&self, id: ParticipantId) -> bool {
        self.party.as_ref().is_some_and(|party| party.is_aside(id))
    }

    pub(super) fn end(&mut self, why: OverWhy, now: Instant) {
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
}

/// Why the connections end of somebody who does not stay in.
fn end_of(admission: Admission) -> MarkWhy {
    match admission {
        Admission::Admitted => MarkWhy::Plan,
        Admission::Held => MarkWhy::Held,
        Admission::Denied => MarkWhy::Denied,
        Admission::Removed => MarkWhy::Removed,
    }
}
