//! What happens, by the dice; and the calm after it.

use super::client::{candidate, description, quality};
use super::*;
use crate::call::message::{Fallback, Presence, Turn};
use crate::call::rung::Rung;

/// How long a client waits on each rung of the ladder.
const RUNG_SECS: i64 = 8;
/// In so many half seconds all must be well.
const CALM_STEPS: u32 = 240;

impl World {
    pub(super) fn storm(&mut self) {
        let at = self.dice.pick(self.clients.len());
        let millis = self.dice.roll(400) as i64;
        self.pass(millis);
        match self.dice.roll(109) {
            0..=4 => self.enter(at),
            5..=11 if self.clients[at].line.is_none() || self.dice.chance(20) => self.resume(at),
            5..=11 => self.lose(at),
            12..=18 => self.decide(at, Admission::Admitted),
            19..=20 => self.decide(at, Admission::Held),
            21 => self.decide(at, Admission::Denied),
            22 => {
                if let Some(line) = self.heard_line(at) {
                    self.say(line, FromPeer::Leave);
                }
            }
            23 if !self.over && self.dice.chance(10) => {
                let is_dead = self.dice.chance(50);
                self.change_owner(is_dead);
            }
            24..=27 => {
                let millis = self.dice.roll(20_000) as i64;
                self.pass(millis);
                self.tick();
            }
            28 if self.dice.chance(10) => {
                self.tick();
                self.pass(200_000);
                self.tick();
            }
            29..=31 => self.ghost(),
            32..=38 => {
                let said = self.garbage(at);
                if let Some(line) = self.heard_line(at) {
                    self.say(line, said);
                }
            }
            39 if self.dice.chance(5) => self.sign_out(at),
            40 if self.dice.chance(30) => self.remove(at),
            41 => self.invite(at),
            42 => self.put_aside(at),
            43 if self.dice.chance(30) => self.lock(),
            44 => self.look_anywhere(),
            45 if self.dice.chance(2) => self.finish(),
            46..=70 => self.hear_some(at, 3),
            71..=99 => self.speak_some(at, 3),
            100..=101 if !self.arriving.is_empty() => {
                let which = self.dice.pick(self.arriving.len());
                self.arrive(which);
            }
            102..=104 if !self.news.is_empty() => {
                let which = self.dice.pick(self.news.len());
                let again = self.dice.chance(30);
                self.deliver(which, again);
            }
            105 if self.dice.chance(30) => self.wake_former(),
            106 if self.dice.chance(40) => self.hand_over_to_any(),
            107..=108 => self.lose_news(),
            _ => {}
        }
    }

    /// The socket of a client whom the process that has the room hears.
    fn heard_line(&self, at: usize) -> Option<LineId> {
        self.clients[at].line.filter(|line| self.open.contains_key(line))
    }

    fn look_anywhere(&mut self) {
        let lines: Vec<LineId> = self.open.keys().copied().collect();
        if !lines.is_empty() {
            let which = self.dice.pick(lines.len());
            self.look(lines[which]);
        }
    }

    fn say(&mut self, line: LineId, said: FromPeer) {
        self.apply(Event::Said(line, Frame { id: None, ack: None, said }));
    }

    /// A word from a socket that is closed: of a seat taken elsewhere, or of another process.
    fn ghost(&mut self) {
        if self.closed.is_empty() {
            return;
        }
        let last = self.closed.len().min(8);
        let line = self.closed[self.closed.len() - 1 - self.dice.pick(last)];
        let said = self.garbage(0);
        let event = if self.dice.chance(30) {
            Event::Lost(line)
        } else {
            Event::Said(line, Frame { id: None, ack: Some(9), said })
        };
        let effects = self.room.apply(event, self.clock());
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

    /// A frame may be said twice: whoever asks over plain HTTP repeats what was not answered.
    fn speak_some(&mut self, at: usize, most: usize) {
        for _ in 0..most {
            let Some(line) = self.heard_line(at) else { return };
            let Some(frame) = self.clients[at].up.pop_front() else { return };
            if self.dice.chance(3) {
                self.apply(Event::Said(line, frame.clone()));
            }
            self.apply(Event::Said(line, frame));
        }
    }

    fn hear_some(&mut self, at: usize, most: usize) {
        for _ in 0..most {
            let Some(text) = self.clients[at].down.pop_front() else { return };
            let now = self.now;
            let offer = self.count().to_string();
            if self.dice.chance(3) {
                self.clients[at].down.push_front(text.clone());
            }
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

    /// What was on the way arrives, in whatever order.
    fn settle(&mut self) {
        self.wake_former();
        while !self.arriving.is_empty() {
            let which = self.dice.pick(self.arriving.len());
            self.arrive(which);
        }
        while !self.news.is_empty() {
            let which = self.dice.pick(self.news.len());
            self.deliver(which, false);
        }
        let lines: Vec<LineId> = self.open.keys().copied().collect();
        for line in lines {
            self.look(line);
        }
    }

    /// The storm is over: what was under way comes to its end, everybody comes back and is let in,
    /// and time passes.
    pub(super) fn calm(&mut self) {
        if self.over {
            return;
        }
        self.settle();
        self.check_told();
        // As long as any seat is kept without a line.
        self.tick();
        self.pass(VOUCHED_SEAT_SECS * 1000);
        self.tick();
        self.check_ghosts();
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
        self.settle();
        for _ in 0..CALM_STEPS {
            self.pass(500);
            self.tick();
            for at in 0..self.clients.len() {
                self.hear_some(at, usize::MAX);
                self.speak_some(at, usize::MAX);
            }
            self.climb();
            if self.is_well() {
                return self.check_ghosts();
            }
        }
        let view: Vec<_> = self.clients.iter().map(|client| &client.connections).collect();
        panic!("seed {}: not connected: {:?}\n{view:#?}", self.seed, self.room.edges);
    }
}
