//! What is written down about the visit, and when the room hears of it.

use super::*;

impl World {
    /// Mostly at once.
    pub(super) fn tell(&mut self, event: Event) {
        self.news.push(event);
        if self.dice.chance(70) {
            self.deliver(self.news.len() - 1, false);
        }
    }

    /// Tells the room; `again`: and once more later.
    pub(super) fn deliver(&mut self, at: usize, again: bool) {
        let event = if again { self.news[at].clone() } else { self.news.swap_remove(at) };
        match &event {
            Event::Decided(id, _, rev) => {
                let at = self.who(*id);
                self.heard[at] = self.heard[at].max(*rev);
            }
            Event::Party(party) => self.hear_of_party(party.rev),
            _ => {}
        }
        if self.dice.chance(50) {
            self.tell_former(event.clone());
        }
        self.apply(event);
    }

    /// It says of everybody whether they are let in; whoever conducts the visit is by being named so,
    /// and whoever is not named is sent out.
    pub(super) fn hear_of_party(&mut self, rev: i32) {
        if rev <= self.party_heard || self.over {
            return;
        }
        self.party_heard = rev;
        for heard in &mut self.heard {
            *heard = (*heard).max(rev);
        }
    }

    /// Nobody hears what the former owner says, and it writes nothing down, unless it was just about
    /// to when it lost the room.
    pub(super) fn tell_former(&mut self, event: Event) {
        let Some(former) = &mut self.former else { return };
        let now = self.now.plus(TimeDelta::milliseconds(former.clock_ms));
        for effect in former.room.apply(event, now) {
            if let Effect::Gone(id, sid, epoch, _) = effect
                && self.dice.chance(20)
            {
                self.give_up(self.who(id), (sid, epoch));
            }
        }
    }

    /// A process that has written something down dies before it tells.
    pub(super) fn lose_news(&mut self) {
        if !self.news.is_empty() {
            let which = self.dice.pick(self.news.len());
            self.news.swap_remove(which);
        }
    }

    pub(super) fn write(&mut self, at: usize, admitted: bool) {
        self.rev += 1;
        self.rows[at].admissions.push((self.rev, admitted));
    }

    pub(super) fn decide(&mut self, at: usize, admission: Admission) {
        if at == self.conducts || self.rows[at].removed || self.rows[at].denied {
            return;
        }
        let admitted = admission == Admission::Admitted;
        if admission != Admission::Denied && admitted == self.rows[at].is_admitted() {
            // As it is written already: whoever presses again has the room hear it anew.
            return self.arrange();
        }
        self.write(at, admitted);
        let row = &mut self.rows[at];
        row.denied = admission == Admission::Denied;
        let comes_back = !admitted && std::mem::take(&mut row.aside);
        self.tell(Event::Decided(self.clients[at].id, admission, self.rev));
        if comes_back {
            self.arrange();
        }
    }

    pub(super) fn arrange(&mut self) {
        self.rev += 1;
        self.tell(Event::Party(self.party()));
    }

    /// Takes an invitation back, and with it those who sit at that device.
    pub(super) fn remove(&mut self, at: usize) {
        if at != self.conducts && self.send_out(at, None) {
            self.arrange();
        }
    }

    /// Sends somebody out with those who sit at their device, but for one; whether somebody went.
    pub(super) fn send_out(&mut self, at: usize, but: Option<usize>) -> bool {
        let mut went = false;
        for one in 0..self.clients.len() {
            let goes = one == at || self.rows[one].beside() == Some(at);
            // The patient is never sent out.
            if !goes || one == 1 || Some(one) == but || self.rows[one].removed {
                continue;
            }
            went = true;
            self.write(one, false);
            let row = &mut self.rows[one];
            (row.removed, row.denied, row.aside, row.seat) = (true, false, false, None);
            self.tell(Event::Decided(self.clients[one].id, Admission::Removed, self.rev));
        }
        went
    }

    /// Who conducted the visit before comes for their advice.
    pub(super) fn invite(&mut self, at: usize) {
        if self.rows[at].removed && !self.locked {
            let role = match self.rows[at].role() {
                ParticipantRole::Practitioner => ParticipantRole::Specialist,
                role => role,
            };
            let since = self.rev + 1;
            let row = &mut self.rows[at];
            row.removed = false;
            row.roles.push((since, role));
            self.arrange();
        }
    }

    /// To one of those who may conduct it.
    pub(super) fn hand_over_to_any(&mut self) {
        let is_doctor = |at: &usize| {
            let role = self.rows[*at].role();
            matches!(role, ParticipantRole::Specialist | ParticipantRole::Practitioner)
        };
        let doctors: Vec<usize> =
            (0..self.rows.len()).filter(|at| *at != self.conducts).filter(is_doctor).collect();
        if !doctors.is_empty() {
            let which = self.dice.pick(doctors.len());
            self.hand_over(doctors[which]);
        }
    }

    /// The visit is another's by now, who may sit there already: as `encounter::claim` does.
    pub(super) fn hand_over(&mut self, to: usize) {
        let role = self.rows[to].role();
        let is_doctor = matches!(role, ParticipantRole::Specialist | ParticipantRole::Practitioner);
        let devices = self.rows.iter().filter(|row| row.beside().is_none()).count();
        let has_place = self.rows[to].beside().is_none() || devices < ENDPOINTS_MAX;
        if to == self.conducts || !is_doctor || !has_place || self.over {
            return;
        }
        // Whoever takes it over does not go with those beside the one before.
        self.send_out(self.conducts, Some(to));
        self.conducts = to;
        self.locked = false;
        for row in &mut self.rows {
            row.aside = false;
        }
        let since = self.rev + 1;
        let row = &mut self.rows[to];
        row.roles.push((since, ParticipantRole::Practitioner));
        row.beside.push((since, None));
        row.admissions.push((since, true));
        (row.removed, row.denied) = (false, false);
        self.arrange();
    }

    pub(super) fn put_aside(&mut self, at: usize) {
        if self.rows[at].is_admitted() {
            self.rows[at].aside = !self.rows[at].aside;
            self.arrange();
        }
    }

    pub(super) fn lock(&mut self) {
        self.locked = !self.locked;
        self.arrange();
    }

    pub(super) fn finish(&mut self) {
        self.over = true;
        self.tell_former(Event::Over(OverWhy::Finished));
        self.apply(Event::Over(OverWhy::Finished));
    }

    pub(super) fn sign_out(&mut self, at: usize) {
        if let Some((sid, _)) = self.rows[at].seat {
            self.tell_former(Event::SignedOut(SessionId(sid)));
            self.apply(Event::SignedOut(SessionId(sid)));
            let seat = self.room.seat(self.clients[at].id);
            assert!(seat.is_none_or(|seat| seat.sid != sid), "seed {}", self.seed);
        }
    }
}
