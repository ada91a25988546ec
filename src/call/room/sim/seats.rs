//! Who takes a seat in the database, and how they come to the room and go.

use super::*;

impl World {
    /// As `call::seat::give_up` does: whoever has come back since is not gone.
    pub(super) fn give_up(&mut self, whose: usize, (sid, epoch): (Uuid, i32)) {
        let Some((open, taken)) = self.rows[whose].seat else { return };
        if open == sid && taken <= epoch {
            self.rows[whose].seat = None;
        } else if open == sid {
            let until = self.clock().plus(TimeDelta::seconds(DOUBT_SECS));
            self.doubts.push(Doubt { whose, seat: (sid, taken), until });
        }
    }

    /// With a new ticket.
    pub(super) fn enter(&mut self, at: usize) {
        if self.rows[at].removed || self.over {
            return;
        }
        // Any process may take it, by its own clock.
        let clock_ms = self.dice.clock_ms();
        let now = self.now.plus(TimeDelta::milliseconds(clock_ms));
        let name = name_after(self.rows[at].latest.map(column::Uuid), now).0;
        let seat = (name, 1);
        self.rows[at].latest = Some(name);
        self.rows[at].denied = false;
        self.clients[at].connections.clear();
        self.clients[at].last_seq = 0;
        self.come(at, seat, None);
    }

    pub(super) fn resume(&mut self, at: usize) {
        let Row { seat, denied, removed, .. } = self.rows[at];
        let Some((sid, epoch)) = seat else { return self.enter(at) };
        // Sent away, or the welcome never arrived: this client has no seat that it knows of.
        if denied || removed || self.clients[at].last_seq == 0 {
            return self.enter(at);
        }
        if self.over {
            return;
        }
        let client = &mut self.clients[at];
        if self.dice.chance(10) {
            // The page was reloaded: the seat is known, the connections are gone, and perhaps what
            // was heard last.
            client.connections.clear();
            client.last_seq = client.last_seq.saturating_sub(self.dice.roll(3)).max(1);
        }
        let last_seq = client.last_seq;
        self.come(at, (sid, epoch + 1), Some(last_seq));
    }

    /// Takes a seat in the database; mostly the room hears of it at once.
    pub(super) fn come(&mut self, at: usize, seat: (Uuid, i32), last_seq: Option<u64>) {
        let line = self.count() as LineId;
        self.rows[at].seat = Some(seat);
        self.clients[at].lose_line();
        self.clients[at].line = Some(line);
        let (guest, credentials) = (self.guest(at), self.credentials(seat));
        let event = match last_seq {
            None => Event::Enter(guest, line, credentials),
            Some(last_seq) => Event::Resume(guest, line, credentials, last_seq),
        };
        let expected = last_seq.unwrap_or_default() + 1;
        self.arriving.push(Arrival { whose: at, line, expected, seat, event });
        if self.dice.chance(85) {
            self.arrive(self.arriving.len() - 1);
        }
    }

    pub(super) fn arrive(&mut self, which: usize) {
        let Arrival { whose, line, expected, seat, event } = self.arriving.swap_remove(which);
        self.open.insert(line, Open { whose, expected, seat });
        let read = match &event {
            Event::Enter(guest, ..) | Event::Resume(guest, ..) => guest.party.rev,
            _ => unreachable!("somebody comes"),
        };
        if !self.is_outdated(whose, seat) {
            self.hear_of_party(read);
        }
        let known = self.room.seat(self.clients[whose].id).map(|known| known.sid);
        if matches!(event, Event::Enter(..)) && known.is_none_or(|known| known <= seat.0) {
            // With what somebody has come is written beside the room, and says that they are here.
            let id = self.clients[whose].id;
            self.stand(id, MarkKind::Device, self.clock());
        }
        self.apply(event);
        if let Some(seat) = self.room.seat(self.clients[whose].id)
            && seat.line == Line::Up(line)
        {
            let is_known = seat.guest.party.rev >= read;
            assert!(is_known, "seed {}: what was read with them is forgotten", self.seed);
        }
        let others = self.open.iter().filter(|(_, open)| open.whose == whose).count();
        assert!(others <= 1, "seed {}: the older socket is not closed", self.seed);
        self.look(line);
        if self.clients[whose].line != Some(line) {
            // Whoever came by it has not waited.
            self.lose_socket(line);
        }
    }

    /// Whether a later seat or socket of somebody is there.
    pub(super) fn is_outdated(&self, whose: usize, (sid, epoch): (Uuid, i32)) -> bool {
        let there = self.room.seat(self.clients[whose].id);
        there.is_some_and(|seat| (seat.sid, seat.epoch) > (sid, epoch))
    }

    /// The database has the last word on who may sit on a socket.
    pub(super) fn look(&mut self, line: LineId) {
        let Some(Open { whose, seat, .. }) = self.open.get(&line).copied() else { return };
        let row = &self.rows[whose];
        if row.removed || row.denied {
            self.apply(Event::Barred(self.clients[whose].id));
        } else if row.seat != Some(seat) {
            if self.clients[whose].line == Some(line) {
                self.clients[whose].lose_line();
            }
            self.lose_socket(line);
        } else if self.room.is_behind(self.rev) {
            self.hear_of_party(self.rev);
            self.apply(Event::Party(self.party()));
        }
    }

    pub(super) fn lose_socket(&mut self, line: LineId) {
        if self.open.remove(&line).is_some() {
            self.closed.push(line);
            self.apply(Event::Lost(line));
        }
    }

    /// The server notices that a socket is dead, or only its owner does.
    pub(super) fn lose(&mut self, at: usize) {
        self.clients[at].lose_line();
        let line = self.open.iter().find(|(_, open)| open.whose == at).map(|(line, _)| *line);
        if let Some(line) = line
            && self.dice.chance(70)
        {
            self.lose_socket(line);
        }
    }
}
