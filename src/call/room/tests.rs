//! Stories of one room, section by section of `docs/signaling.md`.

mod hello;
mod late;
mod leaving;
mod media;
mod negotiation;
mod recovery;
mod several;
mod waiting;

use std::collections::BTreeMap;

use serde_json::Value;
use uuid::Uuid;

use super::*;
use crate::base::config::IcePolicy;
use crate::call::edge::{ANSWER_SECS, Phase, RETRIES_MAX};
use crate::call::event::OverWhy;
use crate::call::message::read::{Misread, read};
use crate::call::record::{Kept, MarkKind, MarkWhy};
use crate::call::rung::Rung;
use crate::encounter::Admission;
use crate::encounter::guest::{ENDPOINTS_MAX, PEOPLE_MAX};
use crate::encounter::party::Companion;

const DOCTOR: u128 = 0xd1;
const ASHA: u128 = 0xa1;
const SISTER: u128 = 0xb1;
const INTERPRETER: u128 = 0xc1;
const TRAINEE: u128 = 0xe1;

fn id(who: u128) -> ParticipantId {
    ParticipantId(Uuid::from_u128(who))
}

/// A room, its clock, and what every socket has heard.
struct Story {
    room: Room,
    now: Instant,
    heard: BTreeMap<LineId, Vec<Value>>,
    closed: BTreeMap<LineId, CloseCode>,
    gone: Vec<(ParticipantId, LeftWhy)>,
    kept: Vec<Kept>,
    seats: BTreeMap<u128, (Uuid, i32)>,
    admitted: Vec<u128>,
    /// Who sits at whose device.
    sitting: BTreeMap<u128, ParticipantId>,
    /// What somebody's line was found to carry.
    carries: BTreeMap<u128, Rung>,
    party: Party,
    lines: u64,
}

impl Story {
    fn begin() -> Self {
        let now: Instant = "2026-11-24T02:00:00Z".parse().unwrap();
        Self {
            room: Room::new(Arc::default(), now),
            now,
            heard: BTreeMap::new(),
            closed: BTreeMap::new(),
            gone: Vec::new(),
            kept: Vec::new(),
            seats: BTreeMap::new(),
            admitted: vec![DOCTOR],
            sitting: BTreeMap::new(),
            carries: BTreeMap::new(),
            party: Party::default(),
            lines: 0,
        }
    }

    /// Doctor and Asha are connected; nothing is left to hear.
    fn in_call() -> (Self, LineId, LineId) {
        let mut story = Self::begin();
        let (asha, doctor) = (story.enter(ASHA), story.enter(DOCTOR));
        story.decide(ASHA, Admission::Admitted);
        story.negotiated(doctor, asha);
        story.hear(doctor);
        story.hear(asha);
        (story, doctor, asha)
    }

    fn negotiated(&mut self, offerer: LineId, answerer: LineId) {
        let (edge, generation) = self.last_negotiation(offerer);
        self.say(offerer, "offer", &edge, 1, generation, r#"{"sdp":"o"}"#);
        self.say(answerer, "answer", &edge, 1, generation, r#"{"sdp":"a"}"#);
        assert_eq!(self.room.edges[0].phase(), Phase::Up);
    }

    fn last_negotiation(&self, line: LineId) -> (String, u64) {
        let asked = self.heard[&line].iter().rfind(|one| one["t"] == "negotiate").unwrap();
        (asked["edge"].as_str().unwrap().to_owned(), asked["gen"].as_u64().unwrap())
    }

    fn guest(&self, who: u128) -> Guest {
        let role = match who {
            DOCTOR => ParticipantRole::Practitioner,
            INTERPRETER => ParticipantRole::Interpreter,
            TRAINEE => ParticipantRole::Trainee,
            _ => ParticipantRole::Patient,
        };
        let admitted = self.admitted.contains(&who);
        let since = (!admitted).then_some(self.now);
        let (name, place, sits_with) = (format!("{who:x}"), None, self.sitting.get(&who).copied());
        let party = self.party.clone();
        let carries = self.carries.get(&who).copied().unwrap_or(Rung::Video);
        Guest { id: id(who), role, name, admitted, since, place, sits_with, party, carries }
    }

    fn credentials(&self, who: u128) -> Credentials {
        let (sid, epoch) = self.seats[&who];
        let secret = (epoch == 1).then(|| "secret".to_owned());
        Credentials { sid, secret, epoch, session: SessionId(Uuid::from_u128(who)) }
    }

    fn new_line(&mut self) -> LineId {
        self.lines += 1;
        self.heard.insert(self.lines, Vec::new());
        self.lines
    }

    fn apply(&mut self, event: Event) {
        for effect in self.room.apply(event, self.now) {
            match effect {
                Effect::Send(line, text) => {
                    assert!(!self.closed.contains_key(&line), "said after the close: {text}");
                    let message = serde_json::from_str(&text).unwrap();
                    self.heard.get_mut(&line).unwrap().push(message);
                }
                Effect::Close(line, code) => {
                    assert_eq!(self.closed.insert(line, code), None);
                }
                Effect::Gone(id, _, _, why) => self.gone.push((id, why)),
                Effect::Keep(kept) => self.kept.push(kept),
            }
        }
    }

    fn enter(&mut self, who: u128) -> LineId {
        let line = self.new_line();
        self.seats.insert(who, (Uuid::from_u128(1000 + u128::from(line)), 1));
        let (guest, credentials) = (self.guest(who), self.credentials(who));
        self.apply(Event::Enter(guest, line, credentials));
        line
    }

    fn resume(&mut self, who: u128, last_seq: u64) -> LineId {
        let line = self.new_line();
        self.seats.get_mut(&who).unwrap().1 += 1;
        let (guest, credentials) = (self.guest(who), self.credentials(who));
        self.apply(Event::Resume(guest, line, credentials, last_seq));
        line
    }

    fn decide(&mut self, who: u128, admission: Admission) {
        self.admitted.retain(|one| *one != who);
        if admission == Admission::Admitted {
            self.admitted.push(who);
        }
        self.party.rev += 1;
        self.apply(Event::Decided(id(who), admission, self.party.rev));
    }

    fn frame(&mut self, line: LineId, text: &str) {
        self.apply(Event::Said(line, read(text).unwrap()));
    }

    fn say(&mut self, line: LineId, t: &str, edge: &str, neg: u32, generation: u64, body: &str) {
        self.frame(
            line,
            &format!(
                r#"{{"v":1,"id":"c1","t":"{t}","edge":"{edge}","neg":{neg},"gen":{generation},"body":{body}}}"#
            ),
        );
    }

    fn pass(&mut self, secs: i64) {
        self.now = self.now.plus(TimeDelta::seconds(secs));
        self.apply(Event::Tick);
    }

    /// What a socket heard since last asked, by kind.
    fn hear(&mut self, line: LineId) -> Vec<String> {
        self.messages(line).iter().map(|one| one["t"].as_str().unwrap().to_owned()).collect()
    }

    fn messages(&mut self, line: LineId) -> Vec<Value> {
        std::mem::take(self.heard.get_mut(&line).unwrap())
    }

    /// The error that a socket heard last, and nothing else.
    fn refused(&mut self, line: LineId) -> String {
        let heard = self.messages(line);
        assert_eq!((heard.len(), &heard[0]["t"]), (1, &Value::from("error")), "{heard:?}");
        heard[0]["body"]["code"].as_str().unwrap().to_owned()
    }
}

fn companion(who: u128, role: ParticipantRole, aside: bool) -> Companion {
    Companion { id: id(who), role, sits_with: None, aside, admission: Admission::Admitted }
}

/// Somebody who waits.
fn held(who: u128, role: ParticipantRole) -> Companion {
    Companion { admission: Admission::Held, ..companion(who, role, false) }
}

/// Whom a party names as what, from a change on.
fn told(rev: i32, people: &[Companion]) -> Party {
    Party { rev, locked: false, people: people.to_vec() }
}
