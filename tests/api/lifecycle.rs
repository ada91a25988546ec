//! The life of a visit: every move of its table, the door, and what does not end it.

use actix_web::http::Method;
use awc::error::WsProtocolError;
use awc::ws;
use chrono::TimeDelta;
use feldsher::access::Facts;
use feldsher::access::table::Action;
use feldsher::appointment::AppointmentId;
use feldsher::base::column::Instant;
use feldsher::base::ctx::as_system;
use feldsher::base::error::Error;
use feldsher::base::problem;
use feldsher::encounter;
use feldsher::encounter::lifecycle::{
    Act, AppointmentStatus as A, EncounterStatus as E, State, When, lines, moves, next,
};
use feldsher::task::job;
use futures_util::{SinkExt, Stream, StreamExt};
use serde_json::{Value, json};

use crate::on_both;
use crate::support::visit::encounter_of;
use crate::support::world::{PASSWORD, member};
use crate::support::{Answer, Client, Engine, Person, World, key};

const MONDAY_900: &str = "2026-11-23T02:00:00Z";
/// Twenty minutes after the tests begin; the door has been open for five.
const MONDAY_920: &str = "2026-11-23T09:20:00+07:00";

const STATES: [State; 9] = [
    (A::Proposed, E::Planned),
    (A::Pending, E::Planned),
    (A::Booked, E::Planned),
    (A::Arrived, E::Arrived),
    (A::Arrived, E::InProgress),
    (A::Arrived, E::Onleave),
    (A::Fulfilled, E::Finished),
    (A::Cancelled, E::Cancelled),
    (A::Noshow, E::Cancelled),
];

/// Patient and doctor of one visit, whose tokens are fresh, and the visit.
struct Scene {
    patient: Person,
    doctor: Person,
    appointment: String,
    encounter: String,
    /// Where it is put when it is moved.
    elsewhere: Instant,
}

impl Scene {
    async fn shown(&self) -> (Value, Value) {
        let appointment = format!("/v1/appointments/{}", self.appointment);
        let encounter = format!("/v1/encounters/{}", self.encounter);
        let appointment = self.doctor.client.get(&appointment).await.expect(200);
        let encounter = self.doctor.client.get(&encounter).await.expect(200);
        (appointment, encounter)
    }

    async fn state(&self) -> State {
        let (appointment, encounter) = self.shown().await;
        let status = |body: &Value| body["status"].as_str().unwrap().to_owned();
        (status(&appointment).parse().unwrap(), status(&encounter).parse().unwrap())
    }

    async fn ask(&self, word: Word) -> Answer {
        let (who, path, body) = self.request(word);
        who.once(&path, &key(), &body).await
    }

    fn request(&self, word: Word) -> (&Client, String, Value) {
        let appointment = |rest| format!("/v1/appointments/{}/{rest}", self.appointment);
        let encounter = |rest| format!("/v1/encounters/{}/{rest}", self.encounter);
        let (patient, doctor) = (&self.patient.client, &self.doctor.client);
        match word {
            Word::Confirm => (patient, appointment("confirm"), json!({})),
            Word::Cancel => (patient, appointment("cancel"), json!({"reason": "уехала"})),
            Word::Noshow => (doctor, appointment("noshow"), json!({})),
            Word::Link => (doctor, appointment("noshow"), json!({"cause": "link"})),
            Word::Absent => (doctor, encounter("finish"), json!({"outcome": "patient_absent"})),
            Word::Finish => (doctor, encounter("finish"), json!({})),
            Word::Convert => (doctor, encounter("convert"), json!({"to": "phone"})),
            Word::Defer => (doctor, encounter("convert"), json!({"to": "deferred"})),
            Word::Accept => (doctor, appointment("accept"), json!({})),
            Word::Decline => (doctor, appointment("decline"), json!({"reason": "нет мест"})),
            Word::Attend => (doctor, appointment("attend"), json!({})),
            Word::Undo => (doctor, appointment("undo"), json!({})),
            Word::Reopen => (doctor, encounter("reopen"), json!({})),
            Word::Move => {
                (patient, appointment("reschedule"), json!({"start": self.elsewhere.to_string()}))
            }
        }
    }

    async fn say(&self, word: Word) -> Value {
        self.ask(word).await.expect(200)
    }
}

/// What can be asked of a visit over HTTP.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Word {
    Confirm,
    Cancel,
    Noshow,
    Link,
    Absent,
    Finish,
    Convert,
    Defer,
    Accept,
    Decline,
    Attend,
    Undo,
    Reopen,
    Move,
}

impl Word {
    const ALL: [Self; 14] = [
        Self::Confirm,
        Self::Cancel,
        Self::Noshow,
        Self::Link,
        Self::Absent,
        Self::Finish,
        Self::Convert,
        Self::Defer,
        Self::Accept,
        Self::Decline,
        Self::Attend,
        Self::Undo,
        Self::Reopen,
        Self::Move,
    ];

    fn act(self) -> Act {
        match self {
            Self::Confirm => Act::Confirm,
            Self::Cancel => Act::Cancel,
            Self::Noshow | Self::Link | Self::Absent => Act::Noshow,
            Self::Finish => Act::Finish,
            Self::Convert | Self::Defer => Act::Convert,
            Self::Accept => Act::Accept,
            Self::Decline => Act::Decline,
            Self::Attend => Act::Attend,
            Self::Undo => Act::Undo,
            Self::Reopen => Act::Reopen,
            Self::Move => Act::Move,
        }
    }

    /// Saying again what has been done already is heard and changes nothing.
    fn is_said_again_in(self, state: State) -> bool {
        match self {
            Self::Confirm | Self::Accept => state.0 == A::Booked,
            Self::Cancel => state.0 == A::Cancelled,
            Self::Finish | Self::Absent => state.1 == E::Finished,
            _ => false,
        }
    }
}

/// Asha and the doctor, signed in anew, with a visit that is booked or held.
async fn scene(world: &World, start: &str, hold: bool) -> Scene {
    let (patient, doctor) = (world.asha.clone(), world.doctor.clone());
    let mut wish = world.wish(start);
    wish["hold"] = json!(hold);
    let made = patient.client.once("/v1/appointments", &key(), &wish).await.expect(201);
    let appointment = made["id"].as_str().unwrap().to_owned();
    let elsewhere = "2026-11-30T02:00:00Z".parse().unwrap();
    Scene { patient, doctor, appointment, encounter: encounter_of(&made), elsewhere }
}

/// Brings a visit that has just been booked, or held, to a state.
async fn bring(world: &World, scene: &Scene, state: State) {
    let visit = &scene.encounter;
    match state {
        (A::Proposed | A::Pending | A::Booked, _) => {}
        (A::Cancelled, _) => drop(scene.say(Word::Cancel).await),
        (A::Noshow, _) => drop(scene.say(Word::Noshow).await),
        (A::Arrived | A::Fulfilled, status) => {
            let guest = world.enters(&scene.patient, visit).await;
            world.enters(&scene.doctor, visit).await;
            if status != E::Arrived {
                let path = format!("/v1/encounters/{visit}/admit");
                let whom = json!({"participant": guest});
                scene.doctor.client.post(&path, &whom).await.expect(200);
            }
            match status {
                E::Onleave => world.leaves(visit, guest).await,
                E::Finished => drop(scene.say(Word::Finish).await),
                _ => {}
            }
        }
    }
    assert_eq!(scene.state().await, state);
}

/// One visit after the other, each twenty minutes later, at one minute after its start.
struct Day<'a> {
    world: &'a World,
    patient: Person,
    doctor: Person,
    count: i64,
}

impl<'a> Day<'a> {
    fn of(world: &'a World) -> Self {
        let (patient, doctor) = (world.asha.clone(), world.doctor.clone());
        Self { world, patient, doctor, count: 0 }
    }

    async fn visit_in(&mut self, state: State) -> Scene {
        self.count += 1;
        let begin: Instant = MONDAY_900.parse().unwrap();
        let start = begin.plus(TimeDelta::minutes(20 * self.count));
        let house = &self.world.house;
        house.advance(start.minus(TimeDelta::minutes(5)).since(house.now()));
        self.patient = self.world.resigned(&self.patient).await;
        self.doctor = self.world.resigned(&self.doctor).await;
        let mut wish = self.world.wish(&start.to_string());
        wish["hold"] = json!(state.0 == A::Pending);
        wish["request"] = json!(state.0 == A::Proposed);
        let made = self.patient.client.once("/v1/appointments", &key(), &wish).await.expect(201);
        self.world.house.advance(TimeDelta::minutes(6));
        let scene = Scene {
            patient: self.patient.clone(),
            doctor: self.doctor.clone(),
            appointment: made["id"].as_str().unwrap().to_owned(),
            encounter: encounter_of(&made),
            elsewhere: start.plus(TimeDelta::days(7)),
        };
        bring(self.world, &scene, state).await;
        scene
    }
}

on_both! {
    async fn what_is_in_the_table_moves_and_nothing_else_does(world: World) {
        // There are more pairs than twenty minutes in a usual day.
        let path = format!("/v1/practitioners/{}/schedule", world.doctor.id);
        let long = json!({"rules": [{"weekday": "mon", "from": "09:00", "to": "24:00"}]});
        world.doctor.client.edit(Method::PUT, &path, 2, &long).await.expect(200);
        let mut day = Day::of(world);
        let mut moved = Vec::new();
        for state in STATES {
            let scene = day.visit_in(state).await;
            let before = scene.shown().await;
            let (allowed, others): (Vec<Word>, Vec<Word>) =
                Word::ALL.iter().partition(|word| next(state, word.act()).is_some());
            for word in others {
                let what = format!("{word:?} in {state:?}");
                let answer = scene.ask(word).await;
                if word.is_said_again_in(state) {
                    answer.expect(200);
                } else if word == Word::Confirm && state.0 == A::Cancelled {
                    assert_eq!(answer.refused(410), "hold_over", "{what}");
                } else {
                    assert_eq!(answer.refused(409), "bad_state", "{what}");
                }
                assert_eq!(scene.shown().await, before, "{what}");
            }
            for (at, word) in allowed.into_iter().enumerate() {
                let scene = if at == 0 { &scene } else { &day.visit_in(state).await };
                let to = next(state, word.act()).unwrap();
                if word == Word::Undo && state.0 == A::Cancelled {
                    // It should have begun: `corrections.rs` takes one back in time.
                    assert_eq!(scene.ask(word).await.refused(409), "too_late");
                    moved.push((state, word.act(), to));
                    continue;
                }
                if word == Word::Undo && state.0 == A::Arrived {
                    assert_eq!(scene.ask(word).await.refused(409), "bad_state", "they are here");
                    everybody_leaves(world, scene).await;
                }
                scene.say(word).await;
                assert_eq!(scene.state().await, to, "{word:?} in {state:?}");
                moved.push((state, word.act(), to));
            }
        }
        let routed = |act: &Act| Word::ALL.iter().any(|word| word.act() == *act);
        for line in moves().filter(|(_, act, _)| routed(act)) {
            assert!(moved.contains(&line), "{line:?}");
        }
    }
}

on_both! {
    async fn every_act_in_every_state_leads_where_the_table_says_or_nowhere(world: World) {
        let mut day = Day::of(world);
        for state in STATES {
            let scene = day.visit_in(state).await;
            let id: AppointmentId = scene.appointment.parse().unwrap();
            for act in Act::ALL.iter().copied() {
                let tried = as_system(&world.house.app, move |tx| {
                    tx.allow(Action::KeepPromise, &Facts::NONE)?;
                    let mut led = None;
                    // Tried, and undone: the next act finds the same state.
                    let undone = tx.attempt(|tx| {
                        led = Some(encounter::advance(tx, id, act, None)?);
                        Err::<(), Error>(Error::from(&problem::CONFLICT))
                    });
                    match (led, undone) {
                        (Some(led), _) => Ok(Some(led)),
                        (None, Err(error)) if error.is(&problem::BAD_STATE) => Ok(None),
                        // What was called off comes back until it should have begun, and it has.
                        (None, Err(error)) if error.is(&problem::TOO_LATE) => {
                            assert_eq!((state.0, act), (A::Cancelled, Act::Undo));
                            Ok(next(state, act))
                        }
                        (None, Err(error)) => Err(error),
                        (None, Ok(())) => Ok(None),
                    }
                });
                let led = tried.await.unwrap_or_else(|error| panic!("{act} in {state:?}: {error}"));
                // This one was promised, and the schema lets only what was held be held again.
                let can_be = !matches!(act, Act::HoldAgain | Act::AskAgain);
                assert_eq!(led, next(state, act).filter(|_| can_be), "{act} in {state:?}");
            }
            assert_eq!(scene.state().await, state);
        }
    }
}

/// What is refused of a visit whose planned end has passed, and how.
fn refused_after_the_end(state: State, word: Word) -> Option<(u16, &'static str)> {
    let whens: Vec<When> = lines(state, word.act()).map(|(line, _)| line.when).collect();
    let only_held = matches!(state.0, A::Proposed | A::Pending);
    if whens.contains(&When::Held) || (only_held && word == Word::Move) {
        return Some((410, "hold_over"));
    }
    // What nobody answered is over, and called off already.
    let by_hand = |when: &When| matches!(when, When::UntilEnd | When::UntilEndOrByClinic);
    let bound = whens.iter().any(by_hand) && !only_held;
    bound.then_some((409, "visit_past"))
}

on_both! {
    async fn once_its_end_has_passed_a_visit_is_only_what_it_was(world: World) {
        let path = format!("/v1/practitioners/{}/schedule", world.doctor.id);
        let long = json!({"rules": [{"weekday": "mon", "from": "09:00", "to": "24:00"}]});
        world.doctor.client.edit(Method::PUT, &path, 2, &long).await.expect(200);
        let mut day = Day::of(world);
        let mut office = world.registrar.clone();
        let mut refused = Vec::new();
        for state in STATES {
            let mut scene = day.visit_in(state).await;
            office = world.resigned(&office).await;
            for _ in 0..2 {
                world.house.advance(TimeDelta::minutes(10));
                day.patient = world.resigned(&day.patient).await;
                day.doctor = world.resigned(&day.doctor).await;
                office = world.resigned(&office).await;
            }
            day.count += 1;
            scene.patient = day.patient.clone();
            scene.doctor = day.doctor.clone();
            let before = scene.shown().await;
            for word in Word::ALL {
                let Some((status, code)) = refused_after_the_end(state, word) else { continue };
                let answer = scene.ask(word).await;
                assert_eq!(answer.refused(status), code, "{word:?} in {state:?}");
                // What nobody answered is ended in the background: another version says the same.
                match state.0 {
                    A::Proposed | A::Pending => {
                        assert_eq!(scene.shown().await.0["status"], before.0["status"]);
                    }
                    _ => assert_eq!(scene.shown().await, before, "{word:?} in {state:?}"),
                }
                refused.push((state.0, word));
            }
            let act = |word: &str| format!("/v1/appointments/{}/{word}", scene.appointment);
            match state.0 {
                A::Booked => {
                    // Nor does the clinic call it off: it did not take place, or is put to another time.
                    let off = office.client.post(&act("cancel"), &json!({"code": "patient"})).await;
                    assert_eq!(off.refused(409), "visit_past");
                    let missed = scene.say(Word::Noshow).await;
                    assert_eq!(missed["status"], "noshow");
                    scene.say(Word::Undo).await;
                    let to = json!({"start": scene.elsewhere.to_string()});
                    let moved = office.client.post(&act("reschedule"), &to).await.expect(200);
                    assert_eq!(moved["status"], "booked");
                }
                A::Proposed | A::Pending => {
                    let off = scene.say(Word::Cancel).await;
                    assert_eq!(off["cancellation_code"], "expired");
                }
                // Whoever waits is seen late perhaps.
                A::Arrived if state.1 == E::Arrived => drop(scene.say(Word::Cancel).await),
                _ => {}
            }
        }
        for known in [
            (A::Proposed, Word::Accept), (A::Proposed, Word::Decline), (A::Proposed, Word::Move),
            (A::Pending, Word::Confirm), (A::Pending, Word::Move),
            (A::Booked, Word::Attend), (A::Booked, Word::Cancel), (A::Booked, Word::Move),
        ] {
            assert!(refused.contains(&known), "{known:?}");
        }
        assert_eq!(refused.len(), 8, "{refused:?}");
    }
}

async fn everybody_leaves(world: &World, scene: &Scene) {
    let (_, encounter) = scene.shown().await;
    for somebody in encounter["participants"].as_array().unwrap() {
        let id = somebody["id"].as_str().unwrap().parse().unwrap();
        world.leaves(&scene.encounter, id).await;
    }
}

on_both! {
    async fn coming_being_let_in_leaving_and_coming_back_move_a_visit_and_leaving_ends_nothing(
        world: World
    ) {
        world.house.advance(TimeDelta::minutes(6));
        let scene = scene(world, MONDAY_920, false).await;
        let visit = &scene.encounter;
        let say = |word: &str, guest| {
            let path = format!("/v1/encounters/{visit}/{word}");
            let body = json!({"participant": guest});
            let client = scene.doctor.client.clone();
            async move { client.post(&path, &body).await }
        };
        let doctor = world.enters(&scene.doctor, visit).await;
        assert_eq!(scene.state().await, (A::Booked, E::Planned), "a doctor alone is no visit");
        let guest = world.enters(&scene.patient, visit).await;
        assert_eq!(scene.state().await, (A::Arrived, E::Arrived));
        assert_eq!(say("admit", doctor).await.refused(409), "bad_state");
        let waits = scene.doctor.client.get("/v1/waiting-room").await.expect(200);
        assert_eq!(waits["items"][0]["participant"]["id"], json!(guest));
        assert_eq!(say("admit", guest).await.expect(200)["state"], "admitted");
        assert_eq!(scene.state().await, (A::Arrived, E::InProgress));
        assert_eq!(say("admit", guest).await.expect(200)["state"], "admitted");

        for somebody in [doctor, guest] {
            world.leaves(visit, somebody).await;
            assert_eq!(scene.state().await, (A::Arrived, E::Onleave));
            world.comes_back(visit, somebody).await;
            assert_eq!(scene.state().await, (A::Arrived, E::InProgress), "nobody is asked again");
        }
        assert_eq!(say("hold", guest).await.expect(200)["state"], "waiting");
        assert_eq!(scene.state().await, (A::Arrived, E::Onleave));
        assert_eq!(say("admit", guest).await.expect(200)["state"], "admitted");
        assert_eq!(scene.state().await, (A::Arrived, E::InProgress));
        assert_eq!(say("deny", guest).await.expect(200)["state"], "denied");
        assert_eq!(scene.state().await, (A::Arrived, E::Onleave));
        assert_eq!(say("admit", guest).await.refused(409), "bad_state");
        world.enters(&scene.patient, visit).await;
        assert_eq!(say("admit", guest).await.expect(200)["state"], "admitted");
        for word in ["admit", "hold", "deny"] {
            let path = format!("/v1/encounters/{visit}/{word}");
            let whom = json!({"participant": guest});
            assert_eq!(scene.patient.client.post(&path, &whom).await.refused(403), "forbidden");
            assert_eq!(world.boris.client.post(&path, &whom).await.refused(404), "not_found");
        }

        world.leaves(visit, guest).await;
        world.leaves(visit, doctor).await;
        assert_eq!(scene.state().await, (A::Arrived, E::Onleave), "everybody has left");
        let finished = scene.say(Word::Finish).await;
        assert_eq!(finished["outcome"], "completed");
        assert_eq!(say("admit", guest).await.refused(409), "bad_state");
        let path = format!("/v1/encounters/{visit}/join");
        assert_eq!(scene.patient.client.post(&path, &json!({})).await.refused(410), "visit_over");
        assert_eq!(scene.doctor.client.post(&path, &json!({})).await.refused(410), "visit_over");
    }
}

on_both! {
    async fn a_visit_that_is_called_off_or_missed_has_nobody_in_it(world: World) {
        let mut day = Day::of(world);
        for word in [Word::Cancel, Word::Noshow, Word::Link, Word::Absent, Word::Finish] {
            let scene = day.visit_in((A::Arrived, E::Arrived)).await;
            world.house.advance(TimeDelta::seconds(1));
            scene.say(word).await;
            let (_, encounter) = scene.shown().await;
            for somebody in encounter["participants"].as_array().unwrap() {
                assert_eq!(somebody["state"], "left", "{word:?}");
            }
            let calls = format!("/v1/encounters/{}/calls", scene.encounter);
            let calls = scene.doctor.client.get(&calls).await.expect(200);
            assert_eq!(calls["items"].as_array().unwrap().len(), 2);
            for stay in calls["items"].as_array().unwrap() {
                assert_eq!(stay["why"], "finished", "{word:?}");
            }
        }
    }
}

on_both! {
    async fn nobody_is_missed_before_the_visit_should_have_begun(world: World) {
        let scene = scene(world, MONDAY_920, false).await;
        let before = scene.shown().await;
        for word in [Word::Noshow, Word::Link, Word::Absent] {
            let early = scene.ask(word).await;
            assert_eq!(early.refused(409), "too_early", "{word:?}");
            assert_eq!(early.body["opens_at"], "2026-11-23T02:20:00Z");
        }
        assert_eq!(scene.shown().await, before);
        let path = format!("/v1/appointments/{}/noshow", scene.appointment);
        assert_eq!(scene.patient.client.post(&path, &json!({})).await.refused(403), "forbidden");
        assert_eq!(world.feldsher.client.post(&path, &json!({})).await.refused(403), "forbidden");
        assert_eq!(world.stranger.client.post(&path, &json!({})).await.refused(404), "not_found");
    }
}

on_both! {
    async fn whose_fault_it_was_that_a_visit_did_not_take_place_is_kept(world: World) {
        let mut day = Day::of(world);
        let missed = day.visit_in((A::Arrived, E::Arrived)).await.say(Word::Noshow).await;
        assert_eq!((&missed["status"], &missed["noshow_cause"]), (&json!("noshow"), &json!("patient")));
        let scene = day.visit_in((A::Arrived, E::Arrived)).await;
        let failed = scene.say(Word::Link).await;
        assert_eq!((&failed["status"], &failed["noshow_cause"]), (&json!("noshow"), &json!("link")));

        let scene = day.visit_in((A::Arrived, E::InProgress)).await;
        assert_eq!(scene.ask(Word::Link).await.refused(409), "bad_state");
        let path = format!("/v1/encounters/{}/finish", scene.encounter);
        let body = json!({"outcome": "technical_failure"});
        let ended = scene.doctor.client.post(&path, &body).await.expect(200);
        assert_eq!((&ended["status"], &ended["outcome"]), (&json!("finished"), &json!("technical_failure")));

        let scene = day.visit_in((A::Booked, E::Planned)).await;
        let phoned = scene.say(Word::Convert).await;
        assert_eq!((&phoned["status"], &phoned["outcome"]), (&json!("finished"), &json!("converted_to_phone")));
        assert_eq!(scene.state().await, (A::Fulfilled, E::Finished), "it counts as a visit");
        let scene = day.visit_in((A::Arrived, E::InProgress)).await;
        let later = scene.say(Word::Defer).await;
        assert_eq!(later["outcome"], "converted_to_deferred");
        let tasks = |status: &str| {
            let sql = "SELECT count(*) AS n FROM tasks WHERE code = 'deferred' AND status =";
            world.house.count(&format!("{sql} '{status}'"))
        };
        assert_eq!(tasks("requested"), 1, "somebody must write");
        scene.say(Word::Reopen).await;
        assert_eq!((tasks("requested"), tasks("cancelled")), (0, 1), "or talk, after all");
    }
}

on_both! {
    async fn only_who_conducts_a_visit_ends_it_and_twice_is_once(world: World) {
        let scene = Day::of(world).visit_in((A::Arrived, E::InProgress)).await;
        let path = format!("/v1/encounters/{}/finish", scene.encounter);
        let registrar = world.resigned(&world.registrar).await;
        let stranger = world.resigned(&world.stranger).await;
        assert_eq!(scene.patient.client.post(&path, &json!({})).await.refused(403), "forbidden");
        assert_eq!(registrar.client.post(&path, &json!({})).await.refused(403), "forbidden");
        assert_eq!(stranger.client.post(&path, &json!({})).await.refused(404), "not_found");
        assert_eq!(scene.state().await, (A::Arrived, E::InProgress));

        world.house.advance(TimeDelta::seconds(1));
        let first = scene.say(Word::Finish).await;
        let other = json!({"outcome": "technical_failure"});
        let second = scene.doctor.client.post(&path, &other).await.expect(200);
        assert_eq!(second, first, "the first word holds");
        let ended = "SELECT count(*) AS n FROM audit_events WHERE action = 'encounter.finish' \
            AND outcome = 'done'";
        assert_eq!(world.house.count(ended), 1);
        let calls = format!("/v1/encounters/{}/calls", scene.encounter);
        let calls = scene.patient.client.get(&calls).await.expect(200);
        for stay in calls["items"].as_array().unwrap() {
            assert_eq!(stay["why"], "finished");
        }
    }
}

on_both! {
    async fn that_a_visit_was_finished_is_taken_back_until_a_note_is_signed(world: World) {
        let mut day = Day::of(world);
        // The talk had begun: it goes on, and ends as it really did.
        let scene = day.visit_in((A::Fulfilled, E::Finished)).await;
        let path = format!("/v1/encounters/{}/reopen", scene.encounter);
        let [registrar, boris, stranger] = [&world.registrar, &world.boris, &world.stranger];
        assert_eq!(scene.patient.client.post(&path, &json!({})).await.refused(403), "forbidden");
        let registrar = world.resigned(registrar).await;
        assert_eq!(registrar.client.post(&path, &json!({})).await.refused(403), "forbidden");
        for other in [boris, stranger] {
            let other = world.resigned(other).await;
            assert_eq!(other.client.post(&path, &json!({})).await.refused(404), "not_found");
        }
        let back = scene.say(Word::Reopen).await;
        assert_eq!((&back["status"], back.get("outcome")), (&json!("onleave"), None));
        assert_eq!(back["can_join"], true);
        let said = world.house.sms_with(&world.asha.login, "не окончен").await;
        // Two hours after its planned end.
        assert!(said.contains("войдите до 11:40"), "{said}");
        world.enters(&scene.doctor, &scene.encounter).await;
        world.enters(&scene.patient, &scene.encounter).await;
        assert_eq!(scene.state().await, (A::Arrived, E::InProgress), "nobody is asked again");
        let end = json!({"outcome": "technical_failure"});
        let finish = format!("/v1/encounters/{}/finish", scene.encounter);
        let ended = scene.doctor.client.post(&finish, &end).await.expect(200);
        assert_eq!(ended["outcome"], "technical_failure");

        // What was signed was signed about a visit that took place.
        let notes = format!("/v1/encounters/{}/notes", scene.encounter);
        let note = scene.doctor.client.post(&notes, &json!({"plan": "чай"})).await.expect(201);
        let sign = format!("/v1/notes/{}/sign", note["id"].as_str().unwrap());
        scene.doctor.client.post(&sign, &json!({})).await.expect(200);
        assert_eq!(scene.ask(Word::Reopen).await.refused(409), "note_signed");
        // Who runs the clinic is not told what notes there are.
        let admin = world.resigned(&world.admin).await.client;
        let chief = member(&world.house, &admin, &world.clinic, "Ирина", "clinic_admin", "glavnaya");
        assert_eq!(chief.await.client.post(&path, &json!({})).await.refused(409), "bad_state");
        let sql = "UPDATE appointments SET status = 'arrived' WHERE status = 'fulfilled'";
        assert!(world.house.execute(sql).expect_err("signed").contains("appointment_over"));

        // It ended before there was a talk: the patient is expected again, or did not come.
        let scene = day.visit_in((A::Arrived, E::Arrived)).await;
        scene.say(Word::Finish).await;
        let notes = format!("/v1/encounters/{}/notes", scene.encounter);
        let draft = scene.doctor.client.post(&notes, &json!({"plan": "чай"})).await.expect(201);
        let texts = "SELECT count(*) AS n FROM outbox_messages";
        let before = world.house.count(texts);
        let back = scene.say(Word::Reopen).await;
        assert_eq!(back["status"], "planned");
        assert_eq!(world.house.count(texts), before + 1, "they can come in again");
        assert_eq!(scene.state().await, (A::Booked, E::Planned));
        // What was begun about it stays a draft.
        let sign = format!("/v1/notes/{}/sign", draft["id"].as_str().unwrap());
        assert_eq!(scene.doctor.client.post(&sign, &json!({})).await.refused(409), "bad_state");
        let sql = "UPDATE notes SET status = 'signed' WHERE status = 'draft'";
        assert!(world.house.execute(sql).expect_err("expected").contains("note_early"));
        assert_eq!(scene.say(Word::Link).await["noshow_cause"], "link");
        assert_eq!(scene.doctor.client.post(&sign, &json!({})).await.refused(409), "bad_state");

        // When nobody can come any more, the office calls.
        let missed = day.visit_in((A::Arrived, E::Arrived)).await;
        missed.say(Word::Finish).await;
        let scene = day.visit_in((A::Fulfilled, E::Finished)).await;
        world.house.advance(TimeDelta::hours(2));
        let unseen = "SELECT count(*) AS n FROM tasks WHERE code = 'unseen' AND status = 'requested'";
        assert_eq!(world.house.count(unseen), 0);
        let password = json!({"login": scene.doctor.login, "password": PASSWORD});
        let again = world.house.client().post("/v1/auth/password", &password).await.expect(200);
        let doctor = scene.doctor.client.with_token(again["access_token"].as_str().unwrap());
        let path = format!("/v1/encounters/{}/reopen", missed.encounter);
        let before = world.house.count(texts);
        let back = doctor.post(&path, &json!({})).await.expect(200);
        assert_eq!((&back["status"], &back["can_join"]), (&json!("planned"), &json!(false)));
        assert_eq!(world.house.count(texts), before, "they cannot come in, and are called");
        assert_eq!(world.house.count(unseen), 1);

        // Until a day after its end.
        world.house.advance(TimeDelta::hours(22));
        let password = json!({"login": scene.doctor.login, "password": PASSWORD});
        let again = world.house.client().post("/v1/auth/password", &password).await.expect(200);
        let doctor = scene.doctor.client.with_token(again["access_token"].as_str().unwrap());
        let path = format!("/v1/encounters/{}/reopen", scene.encounter);
        assert_eq!(doctor.post(&path, &json!({})).await.refused(409), "too_late");
        let done = "SELECT count(*) AS n FROM audit_events WHERE action = 'encounter.reopen' \
            AND outcome = 'done'";
        assert_eq!(world.house.count(done), 3);
    }
}

on_both! {
    async fn who_does_not_come_back_to_what_was_ended_by_mistake_is_reminded_and_was_not_cut_off(
        world: World
    ) {
        let scene = Day::of(world).visit_in((A::Fulfilled, E::Finished)).await;
        scene.say(Word::Reopen).await;
        world.house.advance(TimeDelta::minutes(11));
        job::tick(&world.house.app).await.unwrap();
        let said = world.house.sms_with(&world.asha.login, "ещё открыт").await;
        assert!(said.contains("войдите до 11:40"), "{said}");
        let sent = world.house.app.inbox.newest_first();
        assert!(!sent.iter().any(|sms| sms.text.contains("прервалась")));
        let tasks = "SELECT count(*) AS n FROM tasks WHERE code = 'interrupted'";
        assert_eq!(world.house.count(tasks), 1);
    }
}

on_both! {
    async fn whose_visit_lies_ahead_is_told_when_it_is_and_not_to_come_in(world: World) {
        let scene = scene(world, "2026-11-26T09:20:00+07:00", false).await;
        let texts = "SELECT count(*) AS n FROM outbox_messages";
        scene.say(Word::Convert).await;
        let before = world.house.count(texts);
        let back = scene.say(Word::Reopen).await;
        assert_eq!((&back["can_join"], &back["reason"]), (&json!(false), &json!("too_early")));
        assert_eq!(world.house.count(texts), before + 1);
        let said = async || loop {
            let sent = world.house.app.inbox.newest_first().into_iter();
            let own: Vec<_> = sent.filter(|sms| sms.to == world.asha.login).collect();
            if own.iter().filter(|sms| sms.text.contains("запись на")).count() == 2 {
                return own;
            }
            assert!(own.iter().all(|sms| !sms.text.contains("войдите")), "not today");
            actix_web::rt::time::sleep(std::time::Duration::from_millis(25)).await;
        };
        let said = tokio::time::timeout(std::time::Duration::from_secs(20), said()).await;
        let said = said.expect("when it is");
        assert!(said[0].text.contains("запись на"));
        let tasks = "SELECT count(*) AS n FROM tasks";
        assert_eq!(world.house.count(tasks), 0);
    }
}

on_both! {
    async fn nobody_is_told_to_come_in_to_a_visit_by_telephone(world: World) {
        let scene = scene(world, MONDAY_920, false).await;
        world.house.execute("UPDATE appointments SET mode = 'phone'").unwrap();
        world.house.advance(TimeDelta::minutes(10));
        scene.say(Word::Convert).await;
        let texts = "SELECT count(*) AS n FROM outbox_messages";
        let before = world.house.count(texts);
        assert_eq!(scene.say(Word::Reopen).await["can_join"], true);
        assert_eq!(world.house.count(texts), before);
    }
}

on_both! {
    async fn what_a_signed_note_says_took_place_is_neither_moved_nor_called_off_nor_missed(
        world: World
    ) {
        let mut day = Day::of(world);
        let signed = async |scene: &Scene| {
            let notes = format!("/v1/encounters/{}/notes", scene.encounter);
            let note = scene.doctor.client.post(&notes, &json!({"plan": "чай"})).await.expect(201);
            let sign = format!("/v1/notes/{}/sign", note["id"].as_str().unwrap());
            scene.doctor.client.post(&sign, &json!({})).await.expect(200);
        };
        let scene = day.visit_in((A::Arrived, E::Arrived)).await;
        signed(&scene).await;
        let undo = format!("/v1/appointments/{}/undo", scene.appointment);
        for word in [Word::Move, Word::Cancel, Word::Noshow, Word::Link, Word::Absent] {
            assert_eq!(scene.ask(word).await.refused(409), "note_signed", "{word:?}");
            assert_eq!(scene.state().await, (A::Arrived, E::Arrived), "{word:?}");
        }
        // Who plans the day is not told what notes there are.
        let registrar = world.resigned(&world.registrar).await;
        let cancel = format!("/v1/appointments/{}/cancel", scene.appointment);
        assert_eq!(registrar.client.post(&cancel, &json!({})).await.refused(409), "bad_state");
        everybody_leaves(world, &scene).await;
        assert_eq!(scene.doctor.client.post(&undo, &json!({})).await.refused(409), "note_signed");
        for to in ["planned", "cancelled"] {
            let sql = format!("UPDATE encounters SET status = '{to}' WHERE status = 'arrived'");
            assert!(world.house.execute(&sql).expect_err(to).contains("note_signed"));
        }
        // It ends as what it was.
        scene.say(Word::Finish).await;
        assert_eq!(scene.state().await, (A::Fulfilled, E::Finished));

        // An earlier schema let one be booked again: its note does not hold it there.
        let scene = day.visit_in((A::Arrived, E::Arrived)).await;
        signed(&scene).await;
        let (table, text) = match world.house.engine {
            Engine::Sqlite => ("", include_str!("../../migrations/sqlite/0002_what_comes_back/up.sql")),
            Engine::Postgres => (
                " ON encounters",
                include_str!("../../migrations/postgres/0002_what_comes_back/up.sql"),
            ),
        };
        let guard = text.find("CREATE TRIGGER encounters_signed");
        let guard = text.get(guard.unwrap()..).unwrap();
        world.house.execute(&format!("DROP TRIGGER encounters_signed{table}")).unwrap();
        for back in [
            "UPDATE appointments SET status = 'booked' WHERE status = 'arrived'",
            "UPDATE encounters SET status = 'planned', arrived_at = NULL, see_to_at = NULL WHERE status = 'arrived'",
            guard,
        ] {
            world.house.execute(back).unwrap();
        }
        assert_eq!(scene.say(Word::Cancel).await["status"], "cancelled");
        assert_eq!(scene.state().await, (A::Cancelled, E::Cancelled));
    }
}

on_both! {
    async fn a_visit_that_was_missed_comes_back_into_a_leave_that_is_open_again(world: World) {
        let scene = Day::of(world).visit_in((A::Noshow, E::Cancelled)).await;
        let registrar = world.resigned(&world.registrar).await;
        let path = format!("/v1/practitioners/{}/absences", world.doctor.id);
        let today = json!({"from": "2026-11-23T00:00:00Z", "to": "2026-11-23T12:00:00Z"});
        let leave = registrar.client.once(&path, &key(), &today).await.expect(201);
        assert_eq!(leave["status"], "complete");
        scene.say(Word::Undo).await;
        let listed = registrar.client.get(&path).await.expect(200);
        assert_eq!(listed["items"][0]["status"], "open", "{listed}");
        let leave = format!("/v1/absences/{}", leave["id"].as_str().unwrap());
        let leave = registrar.client.get(&leave).await.expect(200);
        assert_eq!(leave["visits"][0]["id"], json!(scene.appointment));
    }
}

on_both! {
    async fn the_door_says_why_it_is_shut_and_when_to_ask_again(world: World) {
        let scene = scene(world, "2026-11-23T10:00:00+07:00", false).await;
        let path = format!("/v1/encounters/{}", scene.encounter);
        let join = format!("{path}/join");
        let early = scene.patient.client.get(&path).await.expect(200);
        assert_eq!((&early["can_join"], &early["reason"]), (&json!(false), &json!("too_early")));
        assert_eq!(early["opens_at"], "2026-11-23T02:45:00Z");
        assert_eq!((&early["poll_after"], &early["server_time"]), (&json!(60), &json!("2026-11-23T02:00:00Z")));
        let refused = scene.patient.client.post(&join, &json!({})).await;
        assert_eq!(refused.refused(409), "too_early");
        assert_eq!(refused.body["opens_at"], early["opens_at"]);

        world.house.advance(TimeDelta::seconds(44 * 60 + 53));
        let patient = world.resigned(&scene.patient).await;
        let soon = patient.client.get(&path).await.expect(200);
        assert_eq!((&soon["can_join"], &soon["poll_after"]), (&json!(false), &json!(7)));
        world.house.advance(TimeDelta::seconds(7));
        let open = patient.client.get(&path).await.expect(200);
        assert_eq!((&open["can_join"], &open["poll_after"]), (&json!(true), &json!(5)));
        assert_eq!(open.get("reason"), None);
        let joined = patient.client.post(&join, &json!({})).await.expect(200);
        assert_eq!(joined["participant"]["role"], "patient");
        assert!(joined["ws_url"].as_str().unwrap().starts_with("ws://"));
        assert!(!joined["ws_url"].as_str().unwrap().contains(joined["ticket"].as_str().unwrap()));

        // Nobody came: thirty minutes after the planned end it is over.
        world.house.advance(TimeDelta::minutes(65) - TimeDelta::seconds(1));
        let patient = world.resigned(&patient).await;
        assert_eq!(patient.client.get(&path).await.expect(200)["can_join"], true);
        world.house.advance(TimeDelta::seconds(1));
        let over = patient.client.get(&path).await.expect(200);
        assert_eq!((&over["can_join"], &over["reason"]), (&json!(false), &json!("over")));
        assert_eq!((&over["poll_after"], &over["closes_at"]), (&json!(300), &json!("2026-11-23T03:50:00Z")));
        assert_eq!(patient.client.post(&join, &json!({})).await.refused(410), "visit_over");
    }
}

on_both! {
    async fn a_time_that_is_only_held_opens_no_door(world: World) {
        world.house.advance(TimeDelta::minutes(6));
        let scene = scene(world, MONDAY_920, true).await;
        let path = format!("/v1/encounters/{}", scene.encounter);
        let held = scene.patient.client.get(&path).await.expect(200);
        assert_eq!((&held["can_join"], &held["reason"]), (&json!(false), &json!("on_hold")));
        assert_eq!(held["poll_after"], 10);
        let join = format!("{path}/join");
        assert_eq!(scene.patient.client.post(&join, &json!({})).await.refused(409), "bad_state");
        scene.say(Word::Confirm).await;
        scene.patient.client.post(&join, &json!({})).await.expect(200);
        scene.say(Word::Cancel).await;
        let off = scene.patient.client.get(&path).await.expect(200);
        assert_eq!((&off["can_join"], &off["reason"]), (&json!(false), &json!("cancelled")));
        assert_eq!(scene.patient.client.post(&join, &json!({})).await.refused(410), "visit_over");
    }
}

on_both! {
    async fn a_patient_who_waits_is_not_sent_away_because_the_doctor_is_late(world: World) {
        world.house.advance(TimeDelta::minutes(6));
        let scene = scene(world, MONDAY_920, false).await;
        let path = format!("/v1/encounters/{}", scene.encounter);
        world.enters(&scene.patient, &scene.encounter).await;
        // 09:40 is the planned end; the clock stands at 11:39:59, then at 11:40.
        world.house.advance(TimeDelta::minutes(154) - TimeDelta::seconds(1));
        let patient = world.resigned(&scene.patient).await;
        let open = patient.client.get(&path).await.expect(200);
        assert_eq!((&open["can_join"], &open["closes_at"]), (&json!(true), &json!("2026-11-23T04:40:00Z")));
        patient.client.post(&format!("{path}/join"), &json!({})).await.expect(200);
        world.house.advance(TimeDelta::seconds(1));
        assert_eq!(patient.client.get(&path).await.expect(200)["reason"], "over");
        let late = patient.client.post(&format!("{path}/join"), &json!({})).await;
        assert_eq!(late.refused(410), "visit_over");
    }
}

on_both! {
    async fn who_waits_hears_at_once_that_the_visit_is_called_off(world: World) {
        world.house.advance(TimeDelta::minutes(6));
        let scene = scene(world, MONDAY_920, false).await;
        let path = format!("/v1/encounters/{}/join", scene.encounter);
        let joined = scene.patient.client.post(&path, &json!({})).await.expect(200);
        let (_, mut socket) = awc::Client::new()
            .ws(joined["ws_url"].as_str().unwrap())
            .protocols(["feldsher.rtc.v1"])
            .connect()
            .await
            .unwrap();
        let hello = json!({"v": 1, "t": "hello", "body": {"ticket": joined["ticket"]}});
        socket.send(ws::Message::Text(hello.to_string().into())).await.unwrap();
        hear(&mut socket, "waiting").await;
        let cancel = format!("/v1/appointments/{}/cancel", scene.appointment);
        scene.doctor.client.post(&cancel, &json!({})).await.expect(200);
        hear(&mut socket, "ended").await;
        let last = socket.next().await.expect("a goodbye").unwrap();
        let ws::Frame::Close(Some(why)) = last else { panic!("{last:?}") };
        assert_eq!(u16::from(why.code), 4410);
        assert_eq!(scene.state().await, (A::Cancelled, E::Cancelled));
    }
}

/// Reads until the other side says `what`.
async fn hear<S>(socket: &mut S, what: &str)
where
    S: Stream<Item = Result<ws::Frame, WsProtocolError>> + Unpin,
{
    loop {
        let frame = socket.next().await.expect("an open socket").unwrap();
        let ws::Frame::Text(text) = frame else { panic!("{frame:?}") };
        let said: Value = serde_json::from_slice(&text).unwrap();
        if said["t"] == what {
            break;
        }
    }
}

on_both! {
    async fn a_membership_that_ends_in_the_middle_of_the_day_ends_everything_at_once(world: World) {
        let scene = Day::of(world).visit_in((A::Arrived, E::InProgress)).await;
        let notes = format!("/v1/encounters/{}/notes", scene.encounter);
        let note = scene.doctor.client.post(&notes, &json!({"plan": "чай"})).await.expect(201);
        let note = format!("/v1/notes/{}", note["id"].as_str().unwrap());
        let visit = format!("/v1/encounters/{}", scene.encounter);
        let me = scene.doctor.client.get("/v1/me").await.expect(200);
        let account = me["account"]["id"].as_str().unwrap();
        let member = format!("/v1/organizations/{}/members/{account}/doctor", world.clinic);
        let admin = world.resigned(&world.admin).await;
        let state = |state: &str| json!({"state": state});
        admin.client.edit(Method::PATCH, &member, 1, &state("disabled")).await.expect(200);

        for path in [&note, &visit, &notes] {
            assert_eq!(scene.doctor.client.get(path).await.refused(401), "session_over");
        }
        assert_eq!(scene.ask(Word::Finish).await.refused(401), "session_over");
        let token = json!({"refresh_token": scene.doctor.refresh_token});
        world.house.client().post("/v1/auth/refresh", &token).await.refused(401);
        let password = json!({"login": scene.doctor.login, "password": PASSWORD});
        let signing = world.house.client().post("/v1/auth/password", &password).await;
        assert_eq!(signing.refused(401), "wrong_credentials");
        let here = scene.patient.client.get(&visit).await.expect(200);
        assert_eq!(here["status"], "in-progress", "the visit itself has not ended");

        admin.client.edit(Method::PATCH, &member, 2, &state("active")).await.expect(200);
        let again = world.house.client().post("/v1/auth/password", &password).await.expect(200);
        let doctor = scene.doctor.client.with_token(again["access_token"].as_str().unwrap());
        assert_eq!(doctor.get(&note).await.expect(200)["plan"], "чай");
        doctor.post(&format!("{visit}/finish"), &json!({})).await.expect(200);
    }
}

on_both! {
    async fn every_change_has_its_version_and_a_change_of_an_older_one_is_refused(world: World) {
        let scene = scene(world, MONDAY_920, true).await;
        let path = format!("/v1/appointments/{}", scene.appointment);
        let held = scene.patient.client.get(&path).await;
        assert_eq!(held.header("etag"), Some("\"1\""));
        let edit = |version, reason: &str| {
            let (client, path) = (scene.patient.client.clone(), path.clone());
            let body = json!({"reason": reason});
            async move { client.edit(Method::PATCH, &path, version, &body).await }
        };
        let edited = edit(1, "кашель").await;
        assert_eq!(edited.header("etag"), Some("\"2\""));
        assert_eq!(edited.expect(200)["reason"], "кашель");
        let stale = edit(1, "насморк").await;
        assert_eq!(stale.refused(412), "stale_version");
        assert!(!stale.text.contains("кашель"));
        let request = scene.patient.client.request(Method::PATCH, &path);
        let bare = scene.patient.client.send(request, Some(&json!({"reason": "насморк"}))).await;
        assert_eq!(bare.refused(428), "precondition_required");
        let confirmed = scene.ask(Word::Confirm).await;
        assert_eq!(confirmed.header("etag"), Some("\"3\""));
        let cancelled = scene.ask(Word::Cancel).await;
        assert_eq!(cancelled.header("etag"), Some("\"4\""));
        assert_eq!(cancelled.body["cancellation_reason"], "уехала");
        assert_eq!(edit(4, "насморк").await.refused(409), "bad_state");
        let kept = scene.patient.client.get(&path).await.expect(200);
        assert_eq!((&kept["reason"], &kept["version"]), (&json!("кашель"), &json!(4)));
    }
}

on_both! {
    async fn a_word_sent_again_with_its_key_is_answered_again_and_done_once(world: World) {
        world.house.advance(TimeDelta::minutes(6));
        let called_off = scene(world, MONDAY_920, true).await;
        for word in [Word::Confirm, Word::Cancel] {
            replay(&called_off, word).await;
        }
        let held = scene(world, MONDAY_920, false).await;
        bring(world, &held, (A::Arrived, E::InProgress)).await;
        replay(&held, Word::Finish).await;
        let done = |action: &str| {
            let sql = "SELECT count(*) AS n FROM audit_events WHERE outcome = 'done' AND action =";
            world.house.count(&format!("{sql} '{action}'"))
        };
        for action in ["appointment.confirm", "appointment.cancel", "encounter.finish"] {
            assert_eq!(done(action), 1, "{action}");
        }
    }
}

async fn replay(scene: &Scene, word: Word) {
    let (who, path, body) = scene.request(word);
    let key = key();
    let first = who.once(&path, &key, &body).await;
    let again = who.once(&path, &key, &body).await;
    assert_eq!(first.header("idempotent-replayed"), None);
    assert_eq!(again.header("idempotent-replayed"), Some("true"), "{word:?}");
    assert_eq!(first.header("etag"), again.header("etag"));
    let (first, again) = (first.expect(200), again.expect(200));
    assert_eq!(first, again);
    let other = match word {
        Word::Cancel => json!({"reason": "иначе"}),
        Word::Finish => json!({"outcome": "technical_failure"}),
        _ => return,
    };
    assert_eq!(who.once(&path, &key, &other).await.refused(422), "idempotency_key_reused");
}
