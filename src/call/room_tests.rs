//! Stories of one room, section by section of `docs/signaling.md`.

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

/* 3. Hello */

#[test]
fn what_a_line_was_found_to_carry_is_said_with_the_first_negotiation() {
    let mut story = Story::begin();
    story.carries.insert(ASHA, Rung::Audio);
    let (asha, doctor) = (story.enter(ASHA), story.enter(DOCTOR));
    story.decide(ASHA, Admission::Admitted);
    for line in [asha, doctor] {
        let asked = story.heard[&line].iter().rfind(|one| one["t"] == "negotiate").unwrap();
        let ladder = &asked["body"]["ladder"];
        assert_eq!((&ladder["rung"], &ladder["why"]), (&"audio".into(), &"probed".into()));
        assert_eq!(ladder["send"]["video"], serde_json::Value::Null);
    }
}

#[test]
fn a_patient_waits_and_knows_whether_the_doctor_is_here() {
    let mut story = Story::begin();
    let asha = story.enter(ASHA);
    let heard = story.messages(asha);
    assert_eq!((&heard[0]["t"], &heard[0]["seq"]), (&Value::from("welcome"), &Value::from(1)));
    assert_eq!(heard[0]["body"]["epoch"], 1);
    assert_eq!(heard[0]["body"]["resume_ms"], 180_000);
    assert_eq!(heard[1]["body"]["practitioner_here"], false);
    let doctor = story.enter(DOCTOR);
    let heard = story.messages(asha);
    assert_eq!((&heard[0]["t"], &heard[0]["body"]["op"]), (&"peer".into(), &"joined".into()));
    assert_eq!(heard[1]["body"]["practitioner_here"], true);
    story.frame(doctor, r#"{"v":1,"t":"leave"}"#);
    let heard = story.messages(asha);
    assert_eq!((&heard[0]["t"], &heard[0]["body"]["op"]), (&"peer".into(), &"left".into()));
    assert_eq!(heard[1]["body"]["practitioner_here"], false);
}

#[test]
fn the_newest_device_wins_and_begins_with_number_one() {
    let (mut story, doctor, phone) = Story::in_call();
    let tablet = story.enter(ASHA);
    assert_eq!(story.closed[&phone], CloseCode::Superseded);
    let heard = story.messages(tablet);
    assert_eq!((&heard[0]["t"], &heard[0]["seq"]), (&"welcome".into(), &1.into()));
    assert_eq!(heard[1]["body"]["fresh"], true, "new edges for a new seat");
    assert_eq!(story.hear(doctor), ["peer", "negotiate"], "she is seen all the while");
    assert_eq!(story.gone, [], "nobody has left");
}

#[test]
fn whoever_waits_sees_the_doctor_and_no_other_patient() {
    let mut story = Story::begin();
    story.enter(SISTER);
    let asha = story.enter(ASHA);
    story.enter(DOCTOR);
    let heard = story.messages(asha);
    let names: Vec<_> = heard[0]["body"]["roster"].as_array().unwrap().iter().collect();
    assert_eq!(names.len(), 1);
    assert!(heard.iter().all(|one| !one.to_string().contains(&id(SISTER).0.to_string())));
}

#[test]
fn the_room_has_a_last_seat() {
    let mut story = Story::begin();
    for who in (1..).take(ENDPOINTS_MAX) {
        story.enter(who);
    }
    let late = story.enter(ASHA);
    assert_eq!(story.closed[&late], CloseCode::Forbidden);
    assert_eq!(story.gone, [(id(ASHA), LeftWhy::Denied)], "the database must not think she waits");
    let again = story.enter(1);
    assert!(!story.closed.contains_key(&again), "who sits here can change the device");
    for who in (10..).take(PEOPLE_MAX - ENDPOINTS_MAX) {
        story.sitting.insert(who, id(1));
        let beside = story.enter(who);
        assert!(
            !story.closed.contains_key(&beside),
            "whoever sits beside somebody takes no device"
        );
    }
    story.sitting.insert(20, id(1));
    let one_more = story.enter(20);
    assert_eq!(story.closed[&one_more], CloseCode::Forbidden);
}

/* Three and more */

fn companion(who: u128, role: ParticipantRole, aside: bool) -> Companion {
    Companion { id: id(who), role, sits_with: None, aside, admission: Admission::Admitted }
}

#[test]
fn each_hears_what_flows_to_and_from_each_of_the_others() {
    let (mut story, doctor, asha) = Story::in_call();
    let interpreter = story.enter(INTERPRETER);
    let trainee = story.enter(TRAINEE);
    story.decide(INTERPRETER, Admission::Admitted);
    story.decide(TRAINEE, Admission::Admitted);
    let flows = |story: &mut Story, line, peer: u128| {
        let heard = story.heard[&line].clone();
        let of =
            |one: &&Value| one["t"] == "negotiate" && one["body"]["peer"] == id(peer).0.to_string();
        let body = &heard.iter().rfind(of).unwrap()["body"];
        let way = |way: &str| {
            (body[way]["audio"].as_bool().unwrap(), body[way]["video"].as_bool().unwrap())
        };
        (way("send"), way("receive"))
    };
    let (nothing, voice, both) = ((false, false), (true, false), (true, true));
    assert_eq!(flows(&mut story, doctor, INTERPRETER), (voice, voice));
    assert_eq!(flows(&mut story, interpreter, ASHA), (voice, voice));
    assert_eq!(flows(&mut story, doctor, TRAINEE), (both, nothing));
    assert_eq!(flows(&mut story, trainee, DOCTOR), (nothing, both));
    assert_eq!(flows(&mut story, trainee, INTERPRETER), (nothing, voice));
    assert_eq!(story.room.edges.len(), 6);
    story.hear(asha);
}

#[test]
fn whoever_sits_at_another_s_device_is_seen_and_has_no_connection() {
    let (mut story, doctor, _) = Story::in_call();
    story.sitting.insert(SISTER, id(ASHA));
    let sister = story.enter(SISTER);
    story.decide(SISTER, Admission::Admitted);
    assert_eq!(story.room.edges.len(), 1);
    let told = story.messages(doctor);
    assert_eq!(told.last().unwrap()["body"]["participant"]["sits_with"], id(ASHA).0.to_string());
    assert_eq!(story.hear(sister), ["welcome", "waiting", "admitted", "snapshot"]);
}

#[test]
fn somebody_who_is_sent_out_hears_it_and_is_gone_at_once() {
    let (mut story, doctor, _) = Story::in_call();
    let interpreter = story.enter(INTERPRETER);
    story.decide(INTERPRETER, Admission::Admitted);
    story.hear(doctor);
    story.hear(interpreter);
    story.decide(INTERPRETER, Admission::Removed);
    assert_eq!(story.hear(interpreter), ["removed"]);
    assert_eq!(story.closed[&interpreter], CloseCode::Forbidden);
    assert_eq!(story.gone, [(id(INTERPRETER), LeftWhy::Removed)]);
    assert_eq!(story.hear(doctor), ["peer"]);
    assert_eq!(story.room.edges.len(), 1);
    // A ticket that was taken before finds no way past what was decided since.
    story.admitted.push(INTERPRETER);
    story.party.rev -= 1;
    let late = story.enter(INTERPRETER);
    assert_eq!(story.hear(late), ["removed"], "nothing of the room, and no seat");
    assert_eq!(story.closed[&late], CloseCode::Forbidden);
}

#[test]
fn who_is_aside_talks_with_who_is_aside_and_with_nobody_else() {
    let (mut story, doctor, asha) = Story::in_call();
    let interpreter = story.enter(INTERPRETER);
    story.decide(INTERPRETER, Admission::Admitted);
    assert_eq!(story.room.edges.len(), 3);
    for line in [doctor, asha, interpreter] {
        story.hear(line);
    }
    let mut rev = story.party.rev;
    let mut party = |aside: &[u128], locked| {
        rev += 1;
        let people = [
            (DOCTOR, ParticipantRole::Practitioner),
            (ASHA, ParticipantRole::Patient),
            (INTERPRETER, ParticipantRole::Interpreter),
        ];
        let people = people.map(|(who, role)| companion(who, role, aside.contains(&who)));
        Event::Party(Party { rev, locked, people: people.to_vec() })
    };
    story.apply(party(&[INTERPRETER], false));
    assert_eq!(story.room.edges.len(), 1);
    let heard = story.messages(interpreter);
    assert_eq!((heard.len(), &heard[0]["t"]), (1, &Value::from("snapshot")));
    assert_eq!(heard[0]["body"]["edges"], serde_json::json!([]));
    let told = story.messages(doctor);
    assert_eq!(told[0]["body"]["participant"]["standing"], "in_side_room");
    assert_eq!(told[1]["body"]["edges"].as_array().unwrap().len(), 1);
    story.apply(party(&[INTERPRETER, DOCTOR], false));
    let joined = story.room.edges.iter().map(|edge| (edge.offerer, edge.answerer));
    assert_eq!(joined.collect::<Vec<_>>(), [(id(DOCTOR), id(INTERPRETER))]);
    story.apply(party(&[], false));
    assert_eq!(story.room.edges.len(), 3);
    story.hear(asha);
    story.apply(party(&[], true));
    let heard = story.messages(asha);
    assert_eq!((&heard[0]["t"], &heard[0]["body"]["locked"]), (&"lock".into(), &true.into()));
    assert_eq!(heard.len(), 1, "nobody moved");
}

#[test]
fn an_older_word_that_comes_later_changes_nothing() {
    let (mut story, doctor, asha) = Story::in_call();
    let rev = story.party.rev;
    let companions = |aside: bool| {
        let mut asha = companion(ASHA, ParticipantRole::Patient, false);
        asha.aside = aside;
        vec![companion(DOCTOR, ParticipantRole::Practitioner, false), asha]
    };
    let party = |rev, aside| Event::Party(Party { rev, locked: false, people: companions(aside) });
    story.apply(party(rev + 4, true));
    assert_eq!(story.room.edges.len(), 0);
    story.apply(party(rev + 3, false));
    assert_eq!(story.room.edges.len(), 0, "she stays aside");
    story.apply(Event::Decided(id(ASHA), Admission::Removed, rev + 6));
    story.apply(Event::Decided(id(ASHA), Admission::Admitted, rev + 5));
    assert_eq!(story.closed[&asha], CloseCode::Forbidden);
    // Asked to come again, she waits as it is written, whatever was said before.
    story.admitted.retain(|one| *one != ASHA);
    story.party = Party { rev: rev + 8, locked: false, people: companions(false) };
    let again = story.enter(ASHA);
    assert!(!story.room.is_admitted(id(ASHA)));
    assert_eq!(story.hear(again), ["welcome", "waiting"]);
    story.hear(doctor);
}

/// Whom a party names as what, from a change on.
fn told(rev: i32, people: &[Companion]) -> Party {
    Party { rev, locked: false, people: people.to_vec() }
}

#[test]
fn whoever_conducts_the_visit_sits_beside_nobody_also_when_their_coming_is_heard_of_late() {
    let (mut story, ..) = Story::in_call();
    let asha = companion(ASHA, ParticipantRole::Patient, false);
    let specialist = Companion {
        sits_with: Some(id(ASHA)),
        ..companion(SISTER, ParticipantRole::Specialist, false)
    };
    let conducts = companion(SISTER, ParticipantRole::Practitioner, false);
    let doctor = companion(DOCTOR, ParticipantRole::Practitioner, false);
    story.apply(Event::Party(told(4, &[asha, doctor])));
    story.sitting.insert(SISTER, id(ASHA));
    story.party = told(5, &[asha, doctor, specialist]);
    // They took the seat, and then the visit; the room hears of the visit first.
    story.apply(Event::Party(told(7, &[asha, conducts])));
    story.enter(SISTER);
    let joined: Vec<_> =
        story.room.edges.iter().map(|edge| (edge.offerer, edge.answerer)).collect();
    assert_eq!(joined, [(id(SISTER), id(ASHA))]);
}

#[test]
fn a_seat_from_before_somebody_was_sent_out_is_none() {
    let (mut story, doctor, asha) = Story::in_call();
    let both = [
        companion(DOCTOR, ParticipantRole::Practitioner, false),
        companion(ASHA, ParticipantRole::Patient, false),
    ];
    let interpreter = companion(INTERPRETER, ParticipantRole::Interpreter, false);
    story.admitted.push(INTERPRETER);
    story.seats.insert(INTERPRETER, (Uuid::from_u128(900), 1));
    story.party = told(5, &[both[0], both[1], interpreter]);
    story.apply(Event::Party(told(7, &both)));
    story.hear(doctor);
    let restore = Event::Restore(story.guest(INTERPRETER), story.credentials(INTERPRETER));
    story.apply(restore);
    story.apply(Event::Decided(id(INTERPRETER), Admission::Removed, 6));
    assert_eq!(story.room.present(), [id(ASHA), id(DOCTOR)]);
    for (line, last_seq) in [(story.resume(INTERPRETER, 9), 9), (story.enter(INTERPRETER), 0)] {
        let heard = story.messages(line);
        assert_eq!(heard.len(), 1, "nothing of the room: {heard:?}");
        assert_eq!((&heard[0]["t"], &heard[0]["seq"]), (&"removed".into(), &(last_seq + 1).into()));
        assert_eq!(story.closed[&line], CloseCode::Forbidden);
    }
    assert_eq!(story.gone, [(id(INTERPRETER), LeftWhy::Removed); 2]);
    assert_eq!(story.hear(doctor), [""; 0], "nobody has come");
    assert_eq!(story.hear(asha), [""; 0]);
}

#[test]
fn whoever_was_sent_out_and_asked_again_unheard_waits() {
    let (mut story, doctor, _) = Story::in_call();
    let both = [
        companion(DOCTOR, ParticipantRole::Practitioner, false),
        companion(ASHA, ParticipantRole::Patient, false),
    ];
    let sister = companion(SISTER, ParticipantRole::Relative, false);
    story.party = told(3, &[both[0], both[1], sister]);
    story.admitted.push(SISTER);
    let line = story.enter(SISTER);
    assert!(story.room.is_admitted(id(SISTER)));
    story.hear(line);
    // Sent out with 6 and 7, of which nobody hears.
    let again = told(8, &[both[0], both[1], Companion { admission: Admission::Held, ..sister }]);
    story.apply(Event::Party(again.clone()));
    assert!(!story.room.is_admitted(id(SISTER)));
    assert!(!story.room.edges.iter().any(|edge| edge.joins(id(SISTER))));
    assert!(story.hear(line).contains(&"waiting".to_owned()));
    story.apply(Event::Decided(id(SISTER), Admission::Admitted, 5));
    assert!(!story.room.is_admitted(id(SISTER)), "an older word");
    // Also whoever was on the way.
    story.enter(SISTER);
    assert!(!story.room.is_admitted(id(SISTER)), "read before");
    story.apply(Event::Decided(id(SISTER), Admission::Admitted, 9));
    assert!(story.room.is_admitted(id(SISTER)));
    story.hear(doctor);
}

#[test]
fn the_record_says_of_what_is_made_good_what_it_says_of_what_is_told() {
    let (mut story, ..) = Story::in_call();
    let marks = |story: &mut Story| {
        let kept = std::mem::take(&mut story.kept).into_iter();
        let marks = kept.filter_map(|kept| match kept {
            Kept::Mark(mark) if mark.kind != MarkKind::Rebuilt => Some((mark.kind, mark.why)),
            _ => None,
        });
        marks.collect::<Vec<_>>()
    };
    marks(&mut story);
    // The doctor held her, let her in again and sent her out; whoever was to tell it died each time.
    let since = story.now;
    story.admitted.retain(|one| *one != ASHA);
    story.party.rev += 1;
    let mut held = story.guest(ASHA);
    story.now = story.now.plus(TimeDelta::seconds(2));
    held.since = Some(since);
    let line = story.new_line();
    story.seats.get_mut(&ASHA).unwrap().1 += 1;
    story.apply(Event::Resume(held, line, story.credentials(ASHA), 0));
    let told = marks(&mut story);
    assert!(told.contains(&(MarkKind::Ended, Some(MarkWhy::Held))), "{told:?}");
    assert!(told.contains(&(MarkKind::Held, None)), "{told:?}");
    assert_eq!(story.room.seat(id(ASHA)).unwrap().guest.since, Some(since), "not since now");

    story.admitted.push(ASHA);
    story.party.rev += 1;
    story.resume(ASHA, 0);
    let told = marks(&mut story);
    assert!(told.contains(&(MarkKind::Admitted, None)), "{told:?}");
    story.apply(Event::Decided(id(ASHA), Admission::Admitted, story.party.rev));
    assert_eq!(marks(&mut story), [], "told late, and known");

    let both = [
        companion(DOCTOR, ParticipantRole::Practitioner, false),
        companion(ASHA, ParticipantRole::Patient, false),
    ];
    let rev = story.party.rev;
    story.apply(Event::Party(self::told(rev + 1, &both)));
    story.apply(Event::Party(self::told(rev + 2, &both[..1])));
    assert_eq!(marks(&mut story), [(MarkKind::Ended, Some(MarkWhy::Removed))]);
}

#[test]
fn whoever_comes_back_brings_what_the_room_was_not_told() {
    let (mut story, doctor, asha) = Story::in_call();
    let interpreter = story.enter(INTERPRETER);
    story.decide(INTERPRETER, Admission::Admitted);
    let people = [
        companion(DOCTOR, ParticipantRole::Practitioner, false),
        companion(ASHA, ParticipantRole::Patient, false),
        companion(INTERPRETER, ParticipantRole::Interpreter, false),
    ];
    story.party.people = people.to_vec();
    story.apply(Event::Party(story.party.clone()));
    for line in [doctor, asha, interpreter] {
        story.hear(line);
    }
    // Who was to tell the room of these is dead: she waits again, the door is locked, and nobody
    // asks the interpreter to come any more.
    story.admitted.retain(|one| *one != ASHA);
    story.party = Party { rev: story.party.rev + 3, locked: true, people: people[..2].to_vec() };
    let seen = story.room.seat(id(ASHA)).unwrap().mailbox.last_seq();
    let asha = story.resume(ASHA, seen);
    let heard = story.hear(asha);
    assert_eq!(heard.first().map(String::as_str), Some("resumed"));
    assert!(["lock", "waiting"].iter().all(|t| heard.iter().any(|one| one == t)), "{heard:?}");
    assert!(!story.room.is_admitted(id(ASHA)));
    assert_eq!(story.room.edges.len(), 0);
    assert_eq!(story.closed[&interpreter], CloseCode::Forbidden);
    assert_eq!(story.gone, [(id(INTERPRETER), LeftWhy::Removed)]);
    let told = story.messages(doctor);
    assert!(told.iter().any(|one| one["body"]["participant"]["state"] == "waiting"), "{told:?}");
    // Told late, the word that let her in before is older than what she brought.
    story.apply(Event::Decided(id(ASHA), Admission::Admitted, story.party.rev - 1));
    assert!(!story.room.is_admitted(id(ASHA)));

    // And the other way: she comes back let in, and to whoever conducts the visit now.
    story.admitted.push(ASHA);
    let mut people = people[..2].to_vec();
    people[0].role = ParticipantRole::Specialist;
    people.push(companion(TRAINEE, ParticipantRole::Practitioner, false));
    story.party = Party { rev: story.party.rev + 1, locked: false, people };
    let seen = story.room.seat(id(ASHA)).unwrap().mailbox.last_seq();
    story.hear(doctor);
    let asha = story.resume(ASHA, seen);
    let heard = story.hear(asha);
    assert!(
        ["admitted", "negotiate"].iter().all(|t| heard.iter().any(|one| one == t)),
        "{heard:?}"
    );
    assert_eq!(story.room.role(id(DOCTOR)), Some(ParticipantRole::Specialist));
    assert_eq!(story.room.edges.len(), 1);
}

#[test]
fn what_is_read_with_whoever_comes_back_undoes_nothing_that_was_decided_since() {
    let (mut story, _, _) = Story::in_call();
    let seen = story.room.seat(id(ASHA)).unwrap().mailbox.last_seq();
    story.decide(ASHA, Admission::Held);
    // Read between the two words: she was let in then, and is not now.
    story.party.rev += 1;
    story.admitted.push(ASHA);
    story.apply(Event::Decided(id(ASHA), Admission::Held, story.party.rev + 1));
    let asha = story.resume(ASHA, seen);
    assert!(!story.hear(asha).contains(&"admitted".to_owned()));
    assert!(!story.room.is_admitted(id(ASHA)));
}

#[test]
fn of_whoever_conducts_the_visit_or_was_sent_out_no_earlier_word_that_is_told_late_counts() {
    let mut story = Story::begin();
    let people = |doctor| {
        let all = [
            companion(ASHA, ParticipantRole::Patient, false),
            companion(doctor, ParticipantRole::Practitioner, false),
            companion(INTERPRETER, ParticipantRole::Interpreter, false),
        ];
        all.to_vec()
    };
    story.party.people = people(DOCTOR);
    for who in [ASHA, DOCTOR, TRAINEE, INTERPRETER] {
        story.enter(who);
    }
    let told = |rev, doctor, count: usize| {
        let people = people(doctor)[..count].to_vec();
        Event::Party(Party { rev, locked: false, people })
    };
    story.apply(told(5, TRAINEE, 2));
    assert_eq!(story.gone, [(id(DOCTOR), LeftWhy::Removed), (id(INTERPRETER), LeftWhy::Removed)]);
    story.apply(Event::Decided(id(TRAINEE), Admission::Held, 4));
    assert!(story.room.is_admitted(id(TRAINEE)));
    story.apply(Event::Decided(id(INTERPRETER), Admission::Admitted, 3));
    // Asked to come again meanwhile; the seat is from before.
    story.apply(told(6, TRAINEE, 3));
    story.admitted.push(INTERPRETER);
    story.party.rev = 2;
    story.enter(INTERPRETER);
    assert!(!story.room.is_admitted(id(INTERPRETER)));
}

#[test]
fn whoever_was_asked_for_advice_conducts_the_visit_and_the_former_practitioner_goes() {
    let mut story = Story::begin();
    let (asha, doctor, other) = (story.enter(ASHA), story.enter(DOCTOR), story.enter(TRAINEE));
    let conducts = |who, rev| {
        let people = [(ASHA, ParticipantRole::Patient), (who, ParticipantRole::Practitioner)];
        let people = people.map(|(who, role)| companion(who, role, false)).to_vec();
        Event::Party(Party { rev, locked: false, people })
    };
    for line in [asha, doctor, other] {
        story.hear(line);
    }
    story.decide(DOCTOR, Admission::Removed);
    story.party.rev += 1;
    story.apply(conducts(TRAINEE, story.party.rev));
    assert_eq!(story.messages(doctor)[0]["t"], "removed");
    let heard = story.messages(other);
    let snapshot = heard.iter().find(|one| one["t"] == "snapshot").unwrap();
    assert_eq!(snapshot["body"]["participant"]["role"], "practitioner");
    story.decide(ASHA, Admission::Admitted);
    let joined = |story: &Story| {
        let edges = story.room.edges.iter().map(|edge| (edge.offerer, edge.answerer));
        edges.collect::<Vec<_>>()
    };
    assert_eq!(joined(&story), [(id(TRAINEE), id(ASHA))]);

    // Taken back: what was said of the first one counts no more.
    story.decide(ASHA, Admission::Held);
    story.decide(TRAINEE, Admission::Removed);
    story.party.rev += 1;
    story.apply(conducts(DOCTOR, story.party.rev));
    story.admitted.push(DOCTOR);
    story.enter(DOCTOR);
    story.decide(ASHA, Admission::Admitted);
    assert_eq!(joined(&story), [(id(DOCTOR), id(ASHA))]);
}

#[test]
fn whoever_waits_hears_who_else_of_their_side_is_not_here() {
    let mut story = Story::begin();
    story.party.people = vec![
        companion(ASHA, ParticipantRole::Patient, false),
        companion(INTERPRETER, ParticipantRole::Interpreter, false),
    ];
    let asha = story.enter(ASHA);
    let awaited = |heard: Vec<Value>| heard.last().unwrap()["body"]["awaited"].clone();
    assert_eq!(awaited(story.messages(asha)), serde_json::json!(["interpreter"]));
    story.enter(INTERPRETER);
    assert_eq!(awaited(story.messages(asha)), serde_json::json!([]));
}

/* 4. and 5. Waiting and admission */

#[test]
fn the_place_in_the_queue_is_told_to_who_waits_and_anew_when_it_changes() {
    let mut story = Story::begin();
    let asha = story.enter(ASHA);
    assert!(story.messages(asha)[1]["body"].get("position").is_none(), "nobody knows yet");
    let place = |position, late_minutes| {
        let (earliest, latest) = (story_time(20), story_time(40));
        Some(Queued { position, earliest, latest, late_minutes, measured: true })
    };
    story.apply(Event::Queued(place(3, None)));
    let heard = story.messages(asha);
    assert_eq!((&heard[0]["t"], &heard[0]["body"]["position"]), (&"waiting".into(), &3.into()));
    assert_eq!(heard[0]["body"]["eta"]["latest"], "2026-11-24T02:40:00Z");
    assert!(heard[0]["body"].get("late_minutes").is_none());
    story.apply(Event::Queued(place(3, None)));
    story.frame(asha, r#"{"v":1,"t":"presence","body":{"state":"ready"}}"#);
    assert_eq!(story.hear(asha), Vec::<String>::new(), "nothing new, nothing said");
    story.apply(Event::Queued(place(2, Some(30))));
    let heard = story.messages(asha);
    assert_eq!(
        (&heard[0]["body"]["position"], &heard[0]["body"]["late_minutes"]),
        (&2.into(), &30.into())
    );
    // Who comes later waits for the same visit; who is let in hears no more of it.
    let sister = story.enter(SISTER);
    assert_eq!(story.messages(sister)[1]["body"]["position"], 2);
    let doctor = story.enter(DOCTOR);
    story.hear(doctor);
    story.apply(Event::Queued(place(1, None)));
    assert_eq!(story.hear(doctor), Vec::<String>::new(), "it is no news to the practitioner");
}

fn story_time(minute: i64) -> Instant {
    let two: Instant = "2026-11-24T02:00:00Z".parse().unwrap();
    two.plus(TimeDelta::minutes(minute))
}

#[test]
fn not_a_byte_of_a_session_description_passes_before_both_are_let_in() {
    let mut story = Story::begin();
    let (asha, doctor) = (story.enter(ASHA), story.enter(DOCTOR));
    story.decide(SISTER, Admission::Admitted);
    let sister = story.enter(SISTER);
    let (edge, generation) = story.last_negotiation(doctor);
    story.hear(asha);
    story.hear(doctor);
    for t in ["offer", "answer"] {
        story.say(asha, t, &edge, 1, generation, r#"{"sdp":"v=0"}"#);
        assert_eq!(story.refused(asha), "not_admitted");
    }
    story.say(asha, "candidate", &edge, 1, generation, r#"{"candidate":"c"}"#);
    assert_eq!(story.refused(asha), "not_admitted");
    story.say(doctor, "offer", &edge, 1, generation, r#"{"sdp":"v=0"}"#);
    assert_eq!(story.hear(asha), Vec::<String>::new(), "the two inside talk; she hears nothing");
    assert!(story.hear(sister).contains(&"offer".to_owned()));
}

#[test]
fn both_sides_hear_which_ways_their_connection_may_take_each_time_it_is_made() {
    for (policy, word) in [(IcePolicy::All, "all"), (IcePolicy::Relay, "relay")] {
        let mut story = Story::begin();
        let ice = config::Ice { policy, ..config::Ice::default() };
        story.room = Room::new(Arc::new(ice), story.now);
        let (asha, doctor) = (story.enter(ASHA), story.enter(DOCTOR));
        story.decide(ASHA, Admission::Admitted);
        let (edge, generation) = story.last_negotiation(doctor);
        let body = format!(r#"{{"edge":"{edge}"}}"#);
        story.say(asha, "ice_restart_request", &edge, 0, generation, &body);
        for line in [asha, doctor] {
            let heard = story.messages(line);
            let said: Vec<_> = heard.iter().filter(|one| one["t"] == "negotiate").collect();
            assert_eq!(said.len(), 2);
            assert!(said.iter().all(|one| one["body"]["ice_policy"] == word), "{said:?}");
        }
    }
}

#[test]
fn whoever_has_sat_here_for_long_hears_of_relays_with_passwords_that_are_still_good() {
    let mut story = Story::begin();
    let ice = config::Ice {
        turn_urls: vec!["turn:turn.example".to_owned()],
        turn_secret: config::Secret("north".to_owned()),
        turn_credential_secs: 60,
        ..config::Ice::default()
    };
    story.room = Room::new(Arc::new(ice), story.now);
    let is_good = |said: &Value, now: Instant| {
        let name = said["body"]["ice_servers"][0]["username"].as_str().unwrap();
        name.split_once(':').unwrap().0.parse::<i64>().unwrap() > now.utc().timestamp()
    };
    let (asha, doctor) = (story.enter(ASHA), story.enter(DOCTOR));
    let welcome = story.messages(asha).remove(0);
    assert!(is_good(&welcome, story.now));
    story.pass(1800);
    assert!(!is_good(&welcome, story.now), "what she heard when she came is good no more");
    story.decide(ASHA, Admission::Admitted);
    let heard = story.messages(asha);
    let kinds: Vec<_> = heard.iter().map(|said| said["t"].as_str().unwrap()).collect();
    assert_eq!(kinds, ["admitted", "snapshot", "negotiate"]);
    assert!(heard[1..].iter().all(|said| is_good(said, story.now)), "{heard:?}");
    let (edge, generation) = story.last_negotiation(doctor);
    story.negotiated(doctor, asha);
    story.pass(1800);
    assert!(!heard[1..].iter().any(|said| is_good(said, story.now)));
    story.hear(asha);
    story.hear(doctor);
    let body = format!(r#"{{"edge":"{edge}"}}"#);
    story.say(asha, "ice_restart_request", &edge, 0, generation, &body);
    for line in [asha, doctor] {
        let again = story.messages(line).remove(0);
        assert_eq!((&again["t"], &again["body"]["fresh"]), (&"negotiate".into(), &false.into()));
        assert!(is_good(&again, story.now));
    }
    story.pass(1800);
    story.apply(Event::Lost(asha));
    let asha = story.resume(ASHA, 1);
    let snapshot = story.messages(asha).into_iter().find(|said| said["t"] == "snapshot");
    assert!(is_good(&snapshot.unwrap(), story.now));
}

#[test]
fn the_one_let_in_hears_it_in_the_order_of_the_specification() {
    let mut story = Story::begin();
    let (asha, doctor) = (story.enter(ASHA), story.enter(DOCTOR));
    story.hear(asha);
    story.hear(doctor);
    story.decide(ASHA, Admission::Admitted);
    let heard = story.messages(asha);
    let kinds: Vec<_> = heard.iter().map(|one| one["t"].as_str().unwrap()).collect();
    assert_eq!(kinds, ["admitted", "snapshot", "negotiate"]);
    assert_eq!(heard[1]["body"]["edges"], serde_json::json!([]));
    assert_eq!(
        (&heard[2]["body"]["role"], &heard[2]["body"]["polite"]),
        (&"answerer".into(), &true.into())
    );
    let heard = story.messages(doctor);
    assert_eq!(heard[0]["body"]["participant"]["state"], "admitted");
    assert_eq!(
        (&heard[1]["body"]["role"], &heard[1]["body"]["fresh"]),
        (&"offerer".into(), &true.into())
    );
}

#[test]
fn being_held_ends_the_edges_and_what_was_on_the_way_is_withdrawn() {
    let (mut story, doctor, asha) = Story::in_call();
    let (edge, generation) = (story.room.edges[0].id.clone(), story.room.generation);
    let seen = story.room.seat(id(ASHA)).unwrap().mailbox.last_seq();
    story.apply(Event::Lost(asha));
    story.say(doctor, "offer", &edge, 2, generation, r#"{"sdp":"secret"}"#);
    story.decide(ASHA, Admission::Held);
    assert_eq!(story.room.edges.len(), 0);
    let asha = story.resume(ASHA, seen);
    let heard = story.messages(asha);
    assert!(heard.iter().all(|one| !one.to_string().contains("secret")), "{heard:?}");
    let kinds: Vec<_> = heard.iter().map(|one| one["t"].as_str().unwrap()).collect();
    assert_eq!(kinds, ["resumed", "withdrawn", "waiting", "snapshot", "snapshot"]);
    assert_eq!(heard[3]["body"]["edges"], serde_json::json!([]));
    let state = story.messages(doctor).last().unwrap()["body"]["participant"]["state"].clone();
    assert_eq!(state, "waiting");
}

#[test]
fn whoever_is_turned_away_hears_it_and_is_gone() {
    let (mut story, doctor, asha) = Story::in_call();
    story.decide(ASHA, Admission::Denied);
    assert_eq!(story.hear(asha), ["denied"]);
    assert_eq!(story.closed[&asha], CloseCode::Forbidden);
    assert_eq!(story.gone, [(id(ASHA), LeftWhy::Denied)]);
    assert_eq!(story.hear(doctor), ["peer"]);
    let asha = story.enter(ASHA);
    assert_eq!(story.hear(asha), ["welcome", "waiting"], "she may ask again");
}

#[test]
fn a_word_that_is_told_late_or_twice_does_not_reach_who_has_come_again_since() {
    let (mut story, _, _) = Story::in_call();
    story.decide(ASHA, Admission::Denied);
    let again = story.enter(ASHA);
    story.apply(Event::Decided(id(ASHA), Admission::Denied, story.party.rev));
    assert_eq!(story.hear(again), ["welcome", "waiting"]);
    assert!(!story.closed.contains_key(&again));
}

#[test]
fn of_two_seats_taken_at_once_the_later_one_counts_whichever_is_heard_of_first() {
    let mut story = Story::begin();
    let newer = story.enter(ASHA);
    let (guest, line) = (story.guest(ASHA), story.new_line());
    let older = Credentials { sid: Uuid::from_u128(1), ..story.credentials(ASHA) };
    story.apply(Event::Enter(guest, line, older));
    assert_eq!(story.closed, BTreeMap::from([(line, CloseCode::Superseded)]));
    assert_eq!(story.room.seated(newer), Some(id(ASHA)));
}

#[test]
fn a_word_said_while_somebody_is_between_two_sockets_is_not_lost() {
    let mut story = Story::begin();
    story.apply(Event::Decided(id(ASHA), Admission::Admitted, 1));
    assert!(!story.room.is_done(story.now), "an empty room remembers for a while");
    let asha = story.enter(ASHA);
    assert_eq!(story.hear(asha), ["welcome"]);
    assert!(story.room.is_admitted(id(ASHA)));
}

/* 6. and 7. Negotiation and candidates */

#[test]
fn an_offer_an_answer_and_candidates_are_relayed_with_their_sender() {
    let mut story = Story::begin();
    let (asha, doctor) = (story.enter(ASHA), story.enter(DOCTOR));
    story.decide(ASHA, Admission::Admitted);
    let (edge, generation) = story.last_negotiation(doctor);
    story.hear(asha);
    story.say(doctor, "candidate", &edge, 1, generation, r#"{"candidate":"early"}"#);
    story.say(doctor, "offer", &edge, 1, generation, r#"{"sdp":"o"}"#);
    story.say(doctor, "end_of_candidates", &edge, 1, generation, "{}");
    let heard = story.messages(asha);
    let kinds: Vec<_> = heard.iter().map(|one| one["t"].as_str().unwrap()).collect();
    assert_eq!(kinds, ["candidate", "offer", "end_of_candidates"], "at once and in order");
    for one in heard {
        assert_eq!(one["from"], id(DOCTOR).0.to_string());
        assert_eq!((&one["edge"], &one["neg"]), (&edge.clone().into(), &1.into()));
    }
}

#[test]
fn there_is_no_glare() {
    let (mut story, doctor, asha) = Story::in_call();
    let (edge, generation) =
        (story.room.edges[0].id.clone(), story.room.edges[0].seen_by(id(ASHA)).unwrap().generation);
    story.say(asha, "offer", &edge, 9, generation, r#"{"sdp":"o"}"#);
    assert_eq!(story.refused(asha), "bad_state");
    story.say(doctor, "answer", &edge, 1, generation, r#"{"sdp":"a"}"#);
    assert_eq!(story.refused(doctor), "bad_state");
    story.say(doctor, "offer", &edge, 2, generation - 1, r#"{"sdp":"o"}"#);
    assert_eq!(story.refused(doctor), "stale_negotiation");
    story.say(doctor, "offer", "e0", 2, generation, r#"{"sdp":"o"}"#);
    assert_eq!(story.refused(doctor), "peer_gone");
    assert_eq!(story.hear(asha), Vec::<String>::new());
}

#[test]
fn a_negotiation_that_hangs_is_begun_anew_five_times_while_both_are_here() {
    let mut story = Story::begin();
    let (asha, doctor) = (story.enter(ASHA), story.enter(DOCTOR));
    story.decide(ASHA, Admission::Admitted);
    story.hear(doctor);
    for _ in 0..RETRIES_MAX {
        story.pass(ANSWER_SECS);
        assert_eq!(story.hear(doctor), ["negotiate"]);
    }
    story.pass(ANSWER_SECS);
    assert_eq!(story.hear(doctor), Vec::<String>::new(), "now it waits to be asked");
    story.apply(Event::Lost(asha));
    let seen = story.room.seat(id(ASHA)).unwrap().mailbox.last_seq();
    story.resume(ASHA, seen);
    story.pass(ANSWER_SECS);
    assert_eq!(story.hear(doctor), ["negotiate"], "somebody has come back");
}

#[test]
fn nobody_is_asked_again_while_the_other_side_has_no_socket() {
    let mut story = Story::begin();
    let (asha, doctor) = (story.enter(ASHA), story.enter(DOCTOR));
    story.decide(ASHA, Admission::Admitted);
    story.apply(Event::Lost(asha));
    story.hear(doctor);
    story.pass(ANSWER_SECS * 3);
    assert_eq!(story.hear(doctor), ["peer"]);
}

/* 8. Media state and quality */

#[test]
fn a_silent_microphone_is_shown_for_what_it_is() {
    let (mut story, doctor, asha) = Story::in_call();
    story.frame(asha, r#"{"v":1,"t":"media_state","body":{"audio":false,"video":true}}"#);
    let heard = story.messages(doctor);
    assert_eq!(heard[0]["body"]["participant"]["media"]["audio"], false);
    assert_eq!(
        (&heard[1]["t"], &heard[1]["body"]["audio"]),
        (&"media_state".into(), &false.into())
    );
    let quality = r#"{"rtt":1,"jitter":1,"loss_in":0,"loss_out":0,"bitrate":1,"mos":4}"#;
    let edge = story.room.edges[0].id.clone();
    story.say(asha, "quality", &edge, 0, 0, quality);
    assert_eq!(story.hear(doctor), Vec::<String>::new(), "it is not relayed");
    story.say(asha, "quality", "e0", 0, 0, quality);
    assert_eq!(story.refused(asha), "peer_gone");
}

fn loss(share: f64) -> String {
    format!(r#"{{"rtt":80,"jitter":5,"loss_in":{share},"loss_out":0,"bitrate":1,"mos":4}}"#)
}

#[test]
fn a_bad_line_takes_the_picture_of_both_away_and_a_good_one_brings_it_back() {
    let (mut story, doctor, asha) = Story::in_call();
    let edge = story.room.edges[0].id.clone();
    for _ in 0..2 {
        story.say(asha, "quality", &edge, 0, 0, &loss(0.05));
        story.pass(5);
    }
    for line in [doctor, asha] {
        let heard = story.messages(line);
        let rung = heard.iter().find(|message| message["t"] == "rung").unwrap();
        let body = &rung["body"];
        assert_eq!((&body["edge"], &body["step"]), (&edge.clone().into(), &1.into()));
        assert_eq!((&body["rung"], &body["why"]), (&"small_video".into(), &"loss".into()));
        assert_eq!(body["send"]["video"]["width"], 320);
    }
    for _ in 0..12 {
        for line in [doctor, asha] {
            story.say(line, "quality", &edge, 0, 0, &loss(0.0));
        }
        story.pass(5);
    }
    let heard = story.messages(doctor);
    assert_eq!(heard.len(), 1);
    assert_eq!(
        (&heard[0]["body"]["rung"], &heard[0]["body"]["why"]),
        (&"video".into(), &"recovered".into())
    );
}

#[test]
fn what_whoever_sends_no_picture_thinks_of_its_room_takes_nobody_s_picture() {
    let (mut story, doctor, asha) = Story::in_call();
    let edge = story.room.edges[0].id.clone();
    let thin = r#"{"rtt":80,"jitter":5,"loss_in":0,"loss_out":0,"bitrate":1,"mos":4,"room":32000}"#;
    let report = |story: &mut Story, times| {
        for _ in 0..times {
            story.say(asha, "quality", &edge, 0, 0, thin);
            story.pass(5);
        }
    };
    story.frame(asha, r#"{"v":1,"t":"media_state","body":{"audio":true,"video":false}}"#);
    report(&mut story, 4);
    assert!(!story.hear(doctor).contains(&"rung".to_owned()));
    story.frame(asha, r#"{"v":1,"t":"media_state","body":{"audio":true,"video":true}}"#);
    report(&mut story, 2);
    assert!(story.hear(doctor).contains(&"rung".to_owned()));
}

#[test]
fn whoever_comes_back_learns_the_rung_and_a_new_negotiation_does_not_withdraw_it() {
    let (mut story, doctor, asha) = Story::in_call();
    let edge = story.room.edges[0].id.clone();
    let generation = story.room.edges[0].generation();
    let before = story.room.seat(id(ASHA)).unwrap().mailbox.last_seq();
    story.say(doctor, "fallback", &edge, 0, 0, r#"{"rung":"audio","why":"data_saver"}"#);
    let heard = story.messages(asha);
    assert_eq!((&heard[0]["t"], &heard[0]["body"]["why"]), (&"rung".into(), &"data_saver".into()));
    assert_eq!(heard[0]["body"]["by"], Value::from(id(DOCTOR).to_string()));
    let view = story.room.edges[0].seen_by(id(ASHA)).unwrap().ladder.unwrap();
    assert_eq!((view.step, view.send.video), (1, None));
    story.say(doctor, "negotiate_request", &edge, 0, generation, "{}");
    assert!(story.room.edges[0].generation() > generation);
    let seat = story.room.seat(id(ASHA)).unwrap();
    let told = seat.mailbox.clone().replay(before, story.now);
    assert!(told.unwrap().iter().any(|text| text.contains(r#""t":"rung""#)));
    let doctors = story.messages(doctor);
    assert!(doctors.iter().any(|message| message["t"] == "rung"), "whoever asked hears it too");
}

#[test]
fn wishes_without_end_are_refused() {
    let (mut story, doctor, _) = Story::in_call();
    let edge = story.room.edges[0].id.clone();
    let ask = |rung: &str| format!(r#"{{"rung":"{rung}"}}"#);
    for _ in 0..5 {
        story.say(doctor, "fallback", &edge, 0, 0, &ask("audio"));
        story.say(doctor, "fallback", &edge, 0, 0, &ask("video"));
    }
    story.hear(doctor);
    story.say(doctor, "fallback", &edge, 0, 0, &ask("audio"));
    assert_eq!(story.refused(doctor), "rate_limited");
}

#[test]
fn the_record_says_when_an_edge_began_went_down_and_ended_and_why() {
    let (mut story, _, asha) = Story::in_call();
    let edge = story.room.edges[0].id.clone();
    let generation = story.room.edges[0].generation();
    story.say(asha, "quality", &edge, 0, 0, &loss(0.2));
    story.say(asha, "ice_restart_request", &edge, 0, generation, "{}");
    story.say(asha, "leave", "", 0, 0, "{}");
    let marks: Vec<(MarkKind, Option<MarkWhy>)> = story
        .kept
        .iter()
        .filter_map(|kept| match kept {
            Kept::Mark(mark) => Some((mark.kind, mark.why)),
            Kept::Minute(_) => None,
        })
        .collect();
    let expected = [
        (MarkKind::Admitted, None),
        (MarkKind::Begun, None),
        (MarkKind::Rung, Some(MarkWhy::Loss)),
        (MarkKind::Up, None),
        (MarkKind::Restart, None),
        (MarkKind::Ended, Some(MarkWhy::Left)),
    ];
    assert_eq!(marks, expected);
    let minutes = story.kept.iter().filter(|kept| matches!(kept, Kept::Minute(_)));
    assert_eq!(minutes.count(), 1, "the minute that ran is closed with the edge");
}

/* 9. Recovery */

#[test]
fn a_failed_generation_is_reported_by_both_and_begun_anew_once() {
    let (mut story, doctor, asha) = Story::in_call();
    let edge = story.room.edges[0].clone();
    let generation = edge.seen_by(id(ASHA)).unwrap().generation;
    for line in [doctor, asha] {
        story.say(line, "ice_restart_request", &edge.id, 0, generation, r#"{"why":"failed"}"#);
    }
    for line in [doctor, asha] {
        let heard = story.messages(line);
        assert_eq!(heard.len(), 1);
        assert_eq!(
            (&heard[0]["t"], &heard[0]["body"]["fresh"]),
            (&"negotiate".into(), &false.into())
        );
        assert!(heard[0]["gen"].as_u64().unwrap() > generation);
    }
    let body = format!(r#"{{"edge":"{}","why":"reload"}}"#, edge.id);
    story.frame(asha, &format!(r#"{{"v":1,"t":"negotiate_request","body":{body}}}"#));
    assert_eq!(story.messages(doctor)[0]["body"]["fresh"], true);
}

#[test]
fn a_cut_socket_comes_back_with_what_it_missed_and_nothing_is_negotiated() {
    let (mut story, doctor, asha) = Story::in_call();
    let seen = story.room.seat(id(ASHA)).unwrap().mailbox.last_seq();
    story.apply(Event::Lost(asha));
    story.pass(MENTION_SECS - 1);
    assert_eq!(story.hear(doctor), Vec::<String>::new(), "most cuts are shorter");
    story.pass(1);
    assert_eq!(story.messages(doctor)[0]["body"]["participant"]["state"], "reconnecting");
    story.frame(doctor, r#"{"v":1,"t":"media_state","body":{"audio":true,"video":false}}"#);
    let back = story.resume(ASHA, seen);
    let heard = story.messages(back);
    let kinds: Vec<_> = heard.iter().map(|one| one["t"].as_str().unwrap()).collect();
    assert_eq!(kinds, ["resumed", "peer", "media_state", "snapshot"]);
    assert_eq!(heard[0]["body"]["epoch"], 2);
    assert_eq!(
        (&heard[0]["body"]["from_seq"], &heard[0]["body"]["to_seq"]),
        (&seen.into(), &(seen + 2).into())
    );
    assert_eq!(heard[3]["seq"], seen + 3);
    assert_eq!(heard[3]["body"]["edges"].as_array().unwrap().len(), 1);
    assert_eq!(story.messages(doctor)[0]["body"]["participant"]["state"], "admitted");
}

#[test]
fn what_is_acknowledged_is_forgotten_and_cannot_be_asked_for_again() {
    let (mut story, _, asha) = Story::in_call();
    let last = story.room.seat(id(ASHA)).unwrap().mailbox.last_seq();
    story.frame(asha, &format!(r#"{{"v":1,"t":"ack","ack":{last},"body":{{}}}}"#));
    let back = story.resume(ASHA, last - 1);
    assert_eq!(story.closed[&asha], CloseCode::Superseded);
    let heard = story.messages(back);
    let kinds: Vec<_> = heard.iter().map(|one| one["t"].as_str().unwrap()).collect();
    assert_eq!(kinds, ["resumed", "reset", "snapshot"]);
    assert_eq!(heard[1]["seq"], last, "numbered last_seq + 1");
}

#[test]
fn what_a_superseded_socket_says_no_longer_counts() {
    let (mut story, doctor, old) = Story::in_call();
    let seen = story.room.seat(id(ASHA)).unwrap().mailbox.last_seq();
    let new = story.resume(ASHA, seen);
    story.hear(doctor);
    story.frame(old, r#"{"v":1,"t":"media_state","body":{"audio":true,"video":true}}"#);
    story.frame(old, r#"{"v":1,"t":"leave"}"#);
    story.apply(Event::Lost(old));
    assert_eq!(story.hear(doctor), Vec::<String>::new());
    assert_eq!(story.room.seated(new), Some(id(ASHA)));
}

#[test]
fn of_two_who_come_back_at_once_the_later_epoch_has_the_seat() {
    let (mut story, _, _) = Story::in_call();
    let seen = story.room.seat(id(ASHA)).unwrap().mailbox.last_seq();
    story.seats.get_mut(&ASHA).unwrap().1 = 2;
    let second = story.resume(ASHA, seen);
    story.seats.get_mut(&ASHA).unwrap().1 = 1;
    let first = story.resume(ASHA, seen);
    assert_eq!(story.closed[&first], CloseCode::Superseded);
    assert_eq!(story.room.seated(second), Some(id(ASHA)));
}

#[test]
fn a_doctor_s_seat_is_kept_a_minute_and_a_patient_s_three() {
    let (mut story, doctor, asha) = Story::in_call();
    story.apply(Event::Lost(doctor));
    story.apply(Event::Lost(asha));
    story.pass(PRACTITIONER_SEAT_SECS - 1);
    assert_eq!(story.gone, []);
    story.pass(1);
    assert_eq!(story.gone, [(id(DOCTOR), LeftWhy::Lost)]);
    story.pass(PATIENT_SEAT_SECS - PRACTITIONER_SEAT_SECS);
    assert_eq!(story.gone[1], (id(ASHA), LeftWhy::Lost));
    assert!(story.room.is_done(story.now));
}

#[test]
fn a_seat_is_kept_longer_while_the_other_side_reports_that_media_flow() {
    let (mut story, doctor, asha) = Story::in_call();
    story.apply(Event::Lost(asha));
    let edge = story.room.edges[0].id.clone();
    let quality = r#"{"rtt":1,"jitter":1,"loss_in":0,"loss_out":0,"bitrate":1,"mos":4}"#;
    for _ in 0..(VOUCHED_SEAT_SECS / 5 - 1) {
        story.say(doctor, "quality", &edge, 0, 0, quality);
        story.pass(5);
    }
    assert_eq!(story.gone, []);
    story.pass(5);
    assert_eq!(story.gone, [(id(ASHA), LeftWhy::Lost)], "not for ever");
}

#[test]
fn after_a_restart_of_the_server_media_go_on_and_numbers_too() {
    let (mut story, _, _) = Story::in_call();
    let before = story.room.generation;
    story.now = story.now.plus(TimeDelta::seconds(2));
    story.room = Room::new(Arc::default(), story.now);
    for who in [DOCTOR, ASHA] {
        let restore = Event::Restore(story.guest(who), story.credentials(who));
        story.apply(restore);
    }
    let doctor = story.resume(DOCTOR, 40);
    let heard = story.messages(doctor);
    let kinds: Vec<_> = heard.iter().map(|one| one["t"].as_str().unwrap()).collect();
    assert_eq!(kinds, ["resumed", "reset", "snapshot"], "nothing is negotiated");
    assert_eq!((&heard[1]["seq"], &heard[2]["seq"]), (&41.into(), &42.into()));
    assert!(heard[2]["body"]["edges"][0]["gen"].as_u64().unwrap() > before);
    assert_eq!(heard[2]["body"]["roster"][1]["state"], "reconnecting");
    let asha = story.resume(ASHA, 1);
    assert_eq!(story.hear(asha), ["resumed", "reset", "snapshot"]);
    assert_eq!(story.messages(doctor)[0]["body"]["participant"]["state"], "admitted");
}

#[test]
fn a_negotiation_lost_with_a_restart_is_begun_anew_for_who_comes_back() {
    let (mut story, _, _) = Story::in_call();
    story.now = story.now.plus(TimeDelta::seconds(2));
    story.room = Room::new(Arc::default(), story.now);
    let restore = Event::Restore(story.guest(ASHA), story.credentials(ASHA));
    story.apply(restore);
    let doctor = story.enter(DOCTOR);
    let (edge, generation) = story.last_negotiation(doctor);
    story.say(doctor, "offer", &edge, 1, generation, r#"{"sdp":"o"}"#);
    story.hear(doctor);
    let asha = story.resume(ASHA, 2);
    assert_eq!(story.hear(asha), ["resumed", "reset", "snapshot", "negotiate"]);
    assert_eq!(story.hear(doctor), ["peer", "negotiate"]);
}

/* 10. Leave and end */

#[test]
fn leaving_is_not_ending_and_the_patient_stays_let_in() {
    let (mut story, doctor, asha) = Story::in_call();
    story.frame(doctor, r#"{"v":1,"t":"leave","body":{"reason":"user"}}"#);
    assert_eq!(story.closed[&doctor], CloseCode::Done);
    assert_eq!(story.messages(asha)[0]["body"]["op"], "left");
    let doctor = story.enter(DOCTOR);
    assert_eq!(story.hear(asha), ["peer", "negotiate"]);
    assert_eq!(story.hear(doctor), ["welcome", "negotiate"]);
}

#[test]
fn the_end_is_told_to_everybody_also_to_who_waits() {
    let (mut story, doctor, asha) = Story::in_call();
    let sister = story.enter(SISTER);
    for line in [doctor, asha, sister] {
        story.hear(line);
    }
    story.apply(Event::Over(OverWhy::TimeOver));
    for line in [doctor, asha, sister] {
        let heard = story.messages(line);
        assert_eq!(
            (&heard[0]["t"], &heard[0]["body"]["reason"]),
            (&"ended".into(), &"time_over".into())
        );
        assert_eq!(story.closed[&line], CloseCode::Over);
    }
    assert_eq!(story.gone.len(), 3);
    let late = story.enter(ASHA);
    assert_eq!(story.closed[&late], CloseCode::Over, "who was on the way does not sit alone");
    story.pass(MEMORY_SECS);
    assert!(story.room.is_done(story.now));
}

#[test]
fn a_visit_that_was_ended_by_mistake_lets_people_in_again() {
    let (mut story, ..) = Story::in_call();
    story.apply(Event::Over(OverWhy::Finished));
    let early = story.enter(ASHA);
    assert_eq!(story.closed[&early], CloseCode::Over);
    story.apply(Event::Reopened);
    let asha = story.enter(ASHA);
    assert!(!story.closed.contains_key(&asha));
    assert_eq!(story.hear(asha).first().map(String::as_str), Some("welcome"));
}

#[test]
fn signing_out_ends_the_socket_and_the_seat_at_once() {
    let (mut story, doctor, asha) = Story::in_call();
    story.apply(Event::SignedOut(SessionId(Uuid::from_u128(ASHA))));
    assert_eq!(story.closed[&asha], CloseCode::SignIn);
    assert_eq!(story.messages(doctor)[0]["body"]["op"], "left");
    assert_eq!(story.gone, [(id(ASHA), LeftWhy::SignedOut)]);
    story.apply(Event::Barred(id(DOCTOR)));
    assert_eq!(story.closed[&doctor], CloseCode::Forbidden);
}

/* 11. Errors */

#[test]
fn an_error_quotes_the_frame_it_is_about() {
    let (mut story, _, asha) = Story::in_call();
    story.frame(asha, r#"{"v":1,"id":"c17","t":"hello","body":{"ticket":"t"}}"#);
    let heard = story.messages(asha);
    assert_eq!((&heard[0]["re"], &heard[0]["body"]["code"]), (&"c17".into(), &"bad_state".into()));
    assert_eq!(heard[0]["seq"], Value::Null, "errors are not numbered");
    assert_eq!(read("{}"), Err(Misread::NotOurs));
}

#[test]
fn a_page_that_says_without_end_that_it_is_away_does_not_fill_the_record() {
    let (mut story, _, asha) = Story::in_call();
    for turn in 0..5000 {
        let state = if turn % 2 == 0 { "away" } else { "ready" };
        story.frame(asha, &format!(r#"{{"v":1,"t":"presence","body":{{"state":"{state}"}}}}"#));
    }
    story.decide(ASHA, Admission::Removed);
    let marks = story.kept.iter().filter_map(|kept| match kept {
        Kept::Mark(mark) => Some(mark),
        Kept::Minute(_) => None,
    });
    let (said, rest): (Vec<_>, Vec<_>) =
        marks.partition(|mark| matches!(mark.kind, MarkKind::Ready | MarkKind::Away));
    assert_eq!(said.len(), 60);
    let last = rest.last().unwrap();
    assert_eq!((last.kind, last.why), (MarkKind::Ended, Some(MarkWhy::Removed)));
}
