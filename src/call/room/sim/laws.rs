//! What holds after everything that happens.

use serde_json::Value;

use super::client::{NEGOTIATION, kind_of, seq_of, text_of};
use super::*;

impl World {
    /// What must flow from one to another by what the room has been told, if anything.
    fn flow(&self, one: usize, other: usize) -> Option<Plan> {
        let seat = |at: usize| self.room.seat(self.clients[at].id);
        let (here, there) = (seat(one)?, seat(other)?);
        let talks = |seat: &Seat| seat.guest.admitted && seat.guest.sits_with.is_none();
        let aside = |seat: &Seat| self.room.is_aside(seat.guest.id);
        let together = talks(here) && talks(there) && aside(here) == aside(there);
        let plan = || plan::between(here.guest.role, there.guest.role);
        if together { plan() } else { None }
    }

    /// What is said to a socket: numbered without a gap, and of a negotiation only to those who have
    /// something to say to each other.
    pub(super) fn send(&mut self, line: LineId, text: String) {
        let seed = self.seed;
        let Some(open) = self.open.get_mut(&line) else {
            panic!("seed {seed}: something is said to a socket that is closed: {text}");
        };
        let at = open.whose;
        if let Some(seq) = seq_of(&text) {
            assert_eq!(seq, open.expected, "seed {seed}: a gap or a repetition: {text}");
            open.expected += 1;
        }
        if NEGOTIATION.contains(&kind_of(&text)) {
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

    /// A connection ends in the record once, after it has begun, and whoever it says was put out is
    /// out.
    pub(super) fn write_down(&mut self, kept: Kept) {
        let seed = self.seed;
        let Kept::Mark(mark) = kept else { return };
        match (mark.kind, mark.edge, mark.participant) {
            (MarkKind::Begun, Some(edge), from) => {
                let known = self.begun.insert(edge, [from, mark.peer]);
                assert_eq!(known, None, "seed {seed}: a connection begins twice");
            }
            (MarkKind::Ended, Some(edge), _) => {
                let ends = self.begun.remove(&edge);
                let ends = ends.unwrap_or_else(|| panic!("seed {seed}: {edge} has not begun"));
                let stays = |id: ParticipantId| self.room.is_admitted(id);
                let put_out = [MarkWhy::Held, MarkWhy::Denied, MarkWhy::Removed];
                assert!(
                    !mark.why.is_some_and(|why| put_out.contains(&why))
                        || !ends.into_iter().flatten().all(stays),
                    "seed {seed}: nobody was put out"
                );
            }
            (kind @ (MarkKind::Silent | MarkKind::Back), _, Some(who)) => {
                self.stand(who, kind, mark.at);
            }
            _ => {}
        }
    }

    /// As the record takes it: of what is written of a line, the newest by the clock counts.
    pub(super) fn stand(&mut self, who: ParticipantId, kind: MarkKind, at: Instant) {
        let last = self.standing.get(&who).map(|(last, _)| *last);
        let at = not_before(at, last);
        if last.is_none_or(|last| at > last) {
            self.standing.insert(who, (at, kind));
        }
    }

    pub(super) fn check(&self) {
        let seed = self.seed;
        assert!(!self.over || self.room.seats.is_empty(), "seed {seed}: somebody sits at the end");
        let known = self.room.party.as_ref().map_or(i32::MIN, |party| party.rev);
        assert!(known >= self.party_heard, "seed {seed}: the party is an older one");
        let mut lines = Vec::new();
        for seat in &self.room.seats {
            let at = self.who(seat.guest.id);
            let newest = seat.guest.party.rev.max(self.heard[at]);
            assert_eq!(
                seat.guest.admitted,
                self.rows[at].was_admitted(newest),
                "seed {seed}: the room lets in by itself, or does not let in: number {at}, seat of \
                 {}, heard {}, {:?}, {:?}",
                seat.guest.party.rev,
                self.heard[at],
                self.rows[at].admissions,
                self.rows[at].roles,
            );
            let party = self.room.party.as_ref();
            if party.is_some_and(|party| party.people.iter().any(|one| one.id == seat.guest.id)) {
                let role = self.rows[at].role_at(known);
                assert_eq!(seat.guest.role, role, "seed {seed}: somebody sits there as another");
                let host = self.rows[at].beside_at(known).map(|host| self.clients[host].id);
                assert_eq!(seat.guest.sits_with, host, "seed {seed}: at another's device");
            }
            if let Line::Up(line) = seat.line {
                let open = self.open.get(&line).map(|open| (open.whose, open.seat.0));
                assert_eq!(open, Some((at, seat.sid)), "seed {seed}: a seat on a foreign socket");
                lines.push(line);
            }
            if !seat.guest.admitted {
                assert_eq!(seat.told, Some(self.room.wait_now(seat.guest.id)), "seed {seed}");
            }
        }
        let without = self.open.keys().find(|line| !lines.contains(line));
        assert_eq!(without, None, "seed {seed}: a socket without a seat");
        self.check_seats();
        self.check_memory();
    }

    /// Nothing that the room remembers is of somebody who is not there, or of a connection that has
    /// ended: what a mailbox would say again, what the record follows, and who is missed.
    fn check_memory(&self) {
        let (seed, room) = (self.seed, &self.room);
        for seat in &room.seats {
            let joins = |name: &str| {
                room.edges.iter().any(|edge| edge.id == name && edge.joins(seat.guest.id))
            };
            let gone = seat.mailbox.edges().find(|name| !joins(name));
            assert_eq!(gone, None, "seed {seed}: a negotiation that is over would be said again");
        }
        let followed: Vec<&str> = self.begun.keys().map(|edge| &**edge).collect();
        let mut edges: Vec<&str> = room.edges.iter().map(|edge| &*edge.id).collect();
        edges.sort_unstable();
        assert_eq!(followed, edges, "seed {seed}: the record has others than there are");
        let mut missed = room.ids(Seat::is_missed);
        let is_silent =
            |(_, (_, kind)): &(&ParticipantId, &(Instant, MarkKind))| *kind == MarkKind::Silent;
        let silent = self.standing.iter().filter(is_silent).map(|(id, _)| *id);
        // Of whoever has no seat nobody asks it.
        let silent: Vec<_> = silent.filter(|id| room.seat(*id).is_some()).collect();
        missed.sort_unstable();
        assert_eq!(silent, missed, "seed {seed}: the record misses others");
        for (number, (id, ..)) in room.decided.iter().enumerate() {
            let again = room.decided[number + 1..].iter().any(|(other, ..)| other == id);
            assert!(!again, "seed {seed}: two words about one");
        }
    }

    fn check_seats(&self) {
        let seed = self.seed;
        let mut seated: Vec<usize> =
            self.room.seats.iter().map(|seat| self.who(seat.guest.id)).collect();
        seated.sort_unstable();
        let devices = self.room.ids(|seat| seat.guest.sits_with.is_none()).len();
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

    /// What was written down has reached the room, also where whoever was to tell it is dead: somebody
    /// is here whose seat was looked at since.
    pub(super) fn check_told(&self) {
        if self.open.is_empty() {
            return;
        }
        for seat in &self.room.seats {
            let is_written = self.rows[self.who(seat.guest.id)].is_admitted();
            assert_eq!(seat.guest.admitted, is_written, "seed {}: a word is lost", self.seed);
        }
        assert_eq!(self.room.is_locked(), self.locked, "seed {}: the door", self.seed);
    }

    /// Everything was told and time has passed: whoever sits in the room has that seat, whoever was
    /// sent out does not sit, and of whom it is written that they are here, they are.
    pub(super) fn check_ghosts(&self) {
        for seat in &self.room.seats {
            let row = &self.rows[self.who(seat.guest.id)];
            let taken = (seat.sid, seat.epoch);
            assert_eq!(row.seat, Some(taken), "seed {}: a ghost sits there", self.seed);
            assert!(!row.removed && !row.denied, "seed {}: sent out, and here", self.seed);
        }
        for (client, row) in self.clients.iter().zip(&self.rows) {
            let is_here = row.seat.is_some() && !row.removed && !row.denied;
            let sits = self.room.seat(client.id).is_some();
            assert!(!is_here || sits, "seed {}: it is written that somebody is here", self.seed);
        }
    }

    /// Whether a page shows those who are here and nobody else, and has no other connections.
    fn shows_no_ghost(&self, client: &Client) -> bool {
        let here = self.room.seats.iter().map(|seat| seat.guest.id.0).collect();
        let of_edge = |name: &String| {
            self.room.edges.iter().any(|edge| edge.id == *name && edge.joins(client.id))
        };
        client.roster == here && client.connections.keys().all(of_edge)
    }

    /// Whether everybody is connected with everybody they have something to say to.
    pub(super) fn is_well(&self) -> bool {
        let quiet =
            self.clients.iter().all(|client| client.down.is_empty() && client.up.is_empty());
        let here = |client: &Client| self.room.seat(client.id).is_some();
        let all_here = self.crowded || self.clients.iter().all(here);
        let mut all_know = self.clients.iter().filter(|client| here(client));
        // Which edges there are is looked at after every event.
        quiet
            && all_here
            && all_know
                .all(|client| client.locked == Some(self.locked) && self.shows_no_ghost(client))
            && self.room.seats.iter().all(|seat| seat.guest.admitted)
            && self.room.edges.iter().all(|edge| {
                let agreed = [edge.offerer, edge.answerer].map(|end| {
                    let client = &self.clients[self.who(end)];
                    client.connections.get(&edge.id).and_then(|one| one.agreed.clone())
                });
                edge.phase() == Phase::Up && agreed[0].is_some() && agreed[0] == agreed[1]
            })
    }
}
