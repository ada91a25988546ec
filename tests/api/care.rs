//! Nobody is missed: who is rung and does not come is told and called back, and a visit that broke
//! off is seen to.

use chrono::TimeDelta;
use feldsher::call::record::ledger;
use feldsher::encounter::ParticipantId;
use feldsher::task::job;
use serde_json::{Value, json};

use crate::on_both;
use crate::support::peer::{Peer, ticket};
use crate::support::visit::encounter_of;
use crate::support::world::{self, made};
use crate::support::{Answer, Client, Ending, Engine, Person, World, key};

const ASHA: &str = "+70000000001";
const RUNG: &str = "войдите до";
const UNSEEN: &str = "не состоялся";
const INTERPRETER: &str = "+70000000022";

fn monday(clock: &str) -> String {
    format!("2026-11-23T{clock}:00+07:00")
}

/// A visit whose door is open, and its people signed in anew.
struct Open {
    visit: String,
    appointment: String,
    doctor: Person,
    asha: Person,
    registrar: Person,
}

async fn open(world: &World) -> Open {
    let booked = world.booked(&monday("09:20")).await;
    world.house.advance(TimeDelta::minutes(6));
    let visit = encounter_of(&booked);
    let appointment = booked["id"].as_str().unwrap().to_owned();
    signed(world, visit, appointment, [&world.doctor, &world.asha, &world.registrar]).await
}

async fn signed(world: &World, visit: String, appointment: String, who: [&Person; 3]) -> Open {
    let [doctor, asha, registrar] = who;
    Open {
        visit,
        appointment,
        doctor: world.resigned(doctor).await,
        asha: world.resigned(asha).await,
        registrar: world.resigned(registrar).await,
    }
}

impl Open {
    async fn again(self, world: &World) -> Self {
        let who = [&self.doctor, &self.asha, &self.registrar];
        signed(world, self.visit.clone(), self.appointment.clone(), who).await
    }

    /// As [`Self::again`], hours later: the sign-ins of staff have run out.
    async fn again_by_password(self, world: &World) -> Self {
        let mut staff = Vec::new();
        for one in [&self.doctor, &self.registrar] {
            let password = json!({"login": one.login, "password": world::PASSWORD});
            let tokens =
                world.house.client().post("/v1/auth/password", &password).await.expect(200);
            staff.push(world::signed_in(&world.house, &tokens, &one.login, one.id.clone()));
        }
        let (registrar, doctor) = (staff.pop().unwrap(), staff.pop().unwrap());
        Self { doctor, registrar, ..self }
    }

    fn path(&self, what: &str) -> String {
        format!("/v1/encounters/{}/{what}", self.visit)
    }

    async fn rings(&self, client: &Client) -> Value {
        client.once(&self.path("rings"), &key(), &json!({})).await.expect(201)
    }

    async fn last_ring(&self) -> Value {
        let rings = self.doctor.client.get(&self.path("rings")).await.expect(200);
        rings["items"][0].clone()
    }

    async fn waiting(&self) -> Value {
        self.asha.client.get(&self.path("waiting")).await.expect(200)
    }

    /// The open tasks, as the office sees them.
    async fn tasks(&self) -> Vec<Value> {
        let tasks = self.registrar.client.get("/v1/tasks").await.expect(200);
        tasks["items"].as_array().unwrap().clone()
    }

    /// Both come, and the doctor lets the patient in.
    async fn talk(&self, world: &World) -> [ParticipantId; 2] {
        let asha = world.enters(&self.asha, &self.visit).await;
        let doctor = world.enters(&self.doctor, &self.visit).await;
        let whom = json!({"participant": asha});
        self.doctor.client.post(&self.path("admit"), &whom).await.expect(200);
        [doctor, asha]
    }

    async fn status(&self) -> Value {
        let path = format!("/v1/encounters/{}", self.visit);
        self.doctor.client.get(&path).await.expect(200)
    }
}

pub(crate) async fn passes(world: &World, seconds: i64) {
    world.house.advance(TimeDelta::seconds(seconds));
    // As two processes would.
    let app = &world.house.app;
    let (one, other) = futures_util::join!(job::tick(app), job::tick(app));
    one.unwrap();
    other.unwrap();
}

fn texts(world: &World, words: &str) -> usize {
    let sent = world.house.app.inbox.newest_first();
    sent.iter().filter(|sms| sms.to == ASHA && sms.text.contains(words)).count()
}

fn count(world: &World, sql: &str) -> i64 {
    world.house.count(&format!("SELECT count(*) AS n FROM {sql}"))
}

/// The office takes the visit's task and says that it has reached the patient.
async fn reached(open: Open, world: &World) -> (Open, Answer) {
    let open = open.again_by_password(world).await;
    let task = open.tasks().await[0].clone();
    let path = |act: &str| format!("/v1/tasks/{}/{act}", task["id"].as_str().unwrap());
    let clerk = &open.registrar.client;
    clerk.once(&path("take"), &key(), &json!({"over": true})).await.expect(200);
    let said = clerk.once(&path("complete"), &key(), &json!({"outcome": "reached"})).await;
    (open, said)
}

on_both! {
    async fn who_does_not_answer_is_rung_twice_then_told_then_called_back(world: World) {
        let open = open(world).await;
        let ring = open.rings(&open.doctor.client).await;
        assert_eq!((&ring["state"], &ring["attempt"]), (&json!("ringing"), &json!(1)));
        assert_eq!(open.rings(&open.registrar.client).await["id"], ring["id"], "it rings already");
        let waiting = open.waiting().await;
        assert_eq!((&waiting["ring"]["id"], &waiting["poll_after"]), (&ring["id"], &json!(5)));

        passes(world, 44).await;
        assert_eq!(open.last_ring().await["attempt"], 1);
        passes(world, 1).await;
        let second = open.last_ring().await;
        assert_eq!((&second["state"], &second["attempt"]), (&json!("ringing"), &json!(2)));
        assert_eq!(texts(world, RUNG), 0);
        passes(world, 45).await;
        let third = open.last_ring().await;
        assert_eq!(third["state"], "no_answer");
        assert_eq!(third["told_at"], json!(world.house.now()));
        let text = world.house.sms_with(ASHA, RUNG).await;
        // 09:06 and a minute and a half and five minutes.
        assert!(text.contains("09:12") && !text.contains("Лебедева"), "{text}");
        assert!(open.tasks().await.is_empty());

        passes(world, 300).await;
        let tasks = open.tasks().await;
        assert_eq!(tasks.len(), 1);
        let task = &tasks[0];
        let said = [&task["code"], &task["status"], &task["why"], &task["owner"]["name"], &task["for"]["name"]];
        assert_eq!(said, ["callback", "requested", "no_answer", "Анна Лебедева", "Аша Кузнецова"]);
        assert_eq!(open.last_ring().await["task"]["id"], task["id"]);
        let waiting = open.waiting().await;
        assert_eq!((&waiting["ring"]["state"], &waiting["tasks"][0]["code"]), (&json!("no_answer"), &json!("callback")));
        passes(world, 60).await;
        assert_eq!((open.tasks().await.len(), texts(world, RUNG)), (1, 1), "and nothing twice");

        let path = |act: &str| format!("/v1/tasks/{}/{act}", task["id"].as_str().unwrap());
        let open = open.again(world).await;
        let (clerk, doctor) = (&open.registrar.client, &open.doctor.client);
        let done = json!({"outcome": "reached"});
        assert_eq!(clerk.once(&path("complete"), &key(), &done).await.refused(409), "task_taken");
        let taken = clerk.once(&path("take"), &key(), &json!({})).await.expect(200);
        assert_eq!((&taken["status"], &taken["owner"]["name"]), (&json!("accepted"), &json!("Нина Орлова")));
        assert_eq!(doctor.once(&path("take"), &key(), &json!({})).await.refused(409), "task_taken");
        let later = clerk.once(&path("complete"), &key(), &json!({"outcome": "not_reached"})).await.expect(200);
        let due = json!(world.house.now().plus(TimeDelta::minutes(30)));
        assert_eq!((&later["status"], &later["attempts"], &later["due_at"]), (&json!("in-progress"), &json!(1), &due));
        let over = doctor.once(&path("take"), &key(), &json!({"over": true})).await.expect(200);
        assert_eq!((&over["status"], &over["owner"]["name"]), (&json!("in-progress"), &json!("Анна Лебедева")));
        // Only a visit that broke off is ended by whoever works its task.
        let ends = json!({"outcome": "deferred", "convert": "deferred"});
        assert_eq!(doctor.once(&path("complete"), &key(), &ends).await.refused(409), "bad_state");
        assert_eq!(open.status().await["status"], "planned");
        for wrong in [json!({"outcome": "moved", "convert": "phone"}), json!({"outcome": "cured"}), json!({})] {
            doctor.once(&path("complete"), &key(), &wrong).await.refused(422);
        }
        let ended = doctor.once(&path("complete"), &key(), &done).await.expect(200);
        assert_eq!((&ended["status"], &ended["outcome"]), (&json!("completed"), &json!("reached")));
        assert_eq!(open.last_ring().await["state"], "called_back");
        assert_eq!(doctor.once(&path("take"), &key(), &json!({})).await.refused(410), "task_over");
        assert!(open.tasks().await.is_empty() && open.waiting().await.get("tasks").is_none());
        assert!(world.house.execute("UPDATE tasks SET attempts = 9").unwrap_err().contains("task_kept"));
    }
}

on_both! {
    async fn who_comes_has_answered_and_is_rung_no_more(world: World) {
        let open = open(world).await;
        open.rings(&open.doctor.client).await;
        passes(world, 50).await;
        let asha = world.enters(&open.asha, &open.visit).await;
        assert_eq!(open.last_ring().await["state"], "answered");
        passes(world, 600).await;
        let open = open.again(world).await;
        assert_eq!((open.tasks().await.len(), texts(world, RUNG)), (0, 0));

        // In the waiting room, but looking elsewhere.
        let ring = open.rings(&open.doctor.client).await;
        let answer = open.path(&format!("rings/{}/answer", ring["id"].as_str().unwrap()));
        assert_eq!(open.doctor.client.post(&answer, &json!({})).await.refused(403), "forbidden");
        let boris = world.resigned(&world.boris).await;
        assert_eq!(boris.client.post(&answer, &json!({})).await.refused(404), "not_found");
        let said = open.asha.client.post(&answer, &json!({})).await.expect(200);
        assert_eq!(said["state"], "answered");
        open.asha.client.post(&answer, &json!({})).await.expect(200);
        assert!(world.house.execute("UPDATE rings SET state = 'no_answer'").unwrap_err().contains("ring_kept"));

        let doctor = world.enters(&open.doctor, &open.visit).await;
        let rings = open.path("rings");
        let myself = json!({"participant": doctor});
        assert_eq!(open.doctor.client.post(&rings, &myself).await.refused(409), "bad_state");
        let whom = json!({"participant": asha});
        open.doctor.client.post(&open.path("admit"), &whom).await.expect(200);
        assert_eq!(open.asha.client.post(&rings, &whom).await.refused(403), "forbidden");
        let other = world.stranger.client.post(&rings, &whom).await;
        assert!([401, 404].contains(&other.status.as_u16()), "{}", other.text);
    }
}

on_both! {
    async fn a_call_back_ends_when_the_two_meet_and_outlives_a_visit_that_was_missed(world: World) {
        let open = open(world).await;
        open.rings(&open.doctor.client).await;
        for seconds in [45, 45, 300] {
            passes(world, seconds).await;
        }
        assert_eq!(open.tasks().await.len(), 1);
        let asha = world.enters(&open.asha, &open.visit).await;
        assert_eq!(open.tasks().await.len(), 1, "they have not met yet");
        world.leaves(&open.visit, asha).await;
        open.talk(world).await;
        assert!(open.tasks().await.is_empty());
        assert_eq!(count(world, "tasks WHERE status = 'cancelled'"), 1);

        // Another patient does not come at all.
        let body = world.wish(&monday("09:40"));
        let boris = world.resigned(&world.boris).await;
        let booked = boris.client.once("/v1/appointments", &key(), &body).await.expect(201);
        world.house.advance(TimeDelta::minutes(20));
        let open = open.again(world).await;
        let rings = format!("/v1/encounters/{}/rings", encounter_of(&booked));
        made(&open.doctor.client, &rings, json!({})).await;
        for seconds in [45, 45, 300] {
            passes(world, seconds).await;
        }
        passes(world, 60).await;
        let noshow = format!("/v1/appointments/{}/noshow", booked["id"].as_str().unwrap());
        open.doctor.client.once(&noshow, &key(), &json!({})).await.expect(200);
        assert_eq!(open.tasks().await.len(), 1, "it was promised to call them");

        // A third is marked so before the time is over that the text gives.
        let body = world.wish(&monday("10:20"));
        let boris = world.resigned(&boris).await;
        let booked = boris.client.once("/v1/appointments", &key(), &body).await.expect(201);
        let mut open = open;
        for _ in 0..2 {
            world.house.advance(TimeDelta::minutes(20));
            open = open.again(world).await;
        }
        let rings = format!("/v1/encounters/{}/rings", encounter_of(&booked));
        made(&open.doctor.client, &rings, json!({})).await;
        for seconds in [45, 45] {
            passes(world, seconds).await;
        }
        let noshow = format!("/v1/appointments/{}/noshow", booked["id"].as_str().unwrap());
        open.doctor.client.once(&noshow, &key(), &json!({})).await.expect(200);
        assert_eq!(open.tasks().await.len(), 1);
        passes(world, 300).await;
        assert_eq!(open.tasks().await.len(), 2, "the text said so");
    }
}

on_both! {
    async fn who_is_let_in_while_it_rings_is_not_called_back(world: World) {
        let open = open(world).await;
        let asha = world.enters(&open.asha, &open.visit).await;
        world.enters(&open.doctor, &open.visit).await;
        // Her page is in the background: it rings, and she is let in at once.
        open.rings(&open.doctor.client).await;
        open.doctor.client.post(&open.path("admit"), &json!({"participant": asha})).await.expect(200);
        assert_eq!(open.status().await["status"], "in-progress");
        passes(world, 45).await;
        assert_eq!(open.last_ring().await["state"], "answered");
        for seconds in [45, 300, 60] {
            passes(world, seconds).await;
        }
        assert_eq!((count(world, "tasks"), texts(world, RUNG)), (0, 0));
    }
}

on_both! {
    async fn who_is_let_in_and_does_not_look_is_rung_until_they_do(world: World) {
        let open = open(world).await;
        let (mut asha, _) = Peer::enter(&open.asha.client, &open.visit).await;
        let (_doctor, _) = Peer::enter(&open.doctor.client, &open.visit).await;
        let whom = json!({"participant": asha.id});
        open.doctor.client.post(&open.path("admit"), &whom).await.expect(200);
        assert_eq!(open.status().await["status"], "in-progress");
        // Somebody who is there is not texted, whatever was pressed.
        open.doctor.client.once(&open.path("rings"), &key(), &whom).await.expect(201);
        passes(world, 45).await;
        assert_eq!(open.last_ring().await["state"], "answered");

        asha.say("presence", json!({"state": "away"})).await;
        asha.lives().await;
        ledger::flush(&world.house.app).await;
        let ring = open.doctor.client.once(&open.path("rings"), &key(), &whom).await.expect(201);
        assert_eq!(asha.hear_of("ringing").await["body"]["ring"], ring["id"]);
        passes(world, 45).await;
        assert_eq!(open.last_ring().await["attempt"], 2);
        passes(world, 45).await;
        world.house.sms_with(ASHA, RUNG).await;
        let answer = open.path(&format!("rings/{}/answer", ring["id"].as_str().unwrap()));
        open.asha.client.post(&answer, &json!({})).await.expect(200);
        asha.say("presence", json!({"state": "ready"})).await;
        asha.lives().await;
        ledger::flush(&world.house.app).await;
        open.doctor.client.once(&open.path("rings"), &key(), &whom).await.expect(201);
        passes(world, 45).await;
        assert_eq!(open.last_ring().await["state"], "answered");
        assert_eq!((count(world, "tasks"), texts(world, RUNG)), (0, 1));
    }
}

on_both! {
    async fn a_page_that_comes_back_by_itself_answers_no_ring(world: World) {
        let open = open(world).await;
        let (mut asha, _) = Peer::enter(&open.asha.client, &open.visit).await;
        let (mut doctor, _) = Peer::enter(&open.doctor.client, &open.visit).await;
        let whom = json!({"participant": asha.id});
        let away = json!({"state": "away"});
        let stands = async || {
            let ring = open.last_ring().await;
            (ring["state"].as_str().unwrap().to_owned(), ring["attempt"].as_i64().unwrap())
        };
        asha.say("presence", away.clone()).await;
        asha.lives().await;
        open.doctor.client.once(&open.path("rings"), &key(), &whom).await.expect(201);
        // The telephone lies in a pocket. Its line flaps.
        let (mut asha, _) = Peer::come_back(&world.house.url, &asha.cut()).await;
        asha.say("presence", away.clone()).await;
        asha.lives().await;
        assert_eq!(stands().await, ("ringing".to_owned(), 1));
        // Its seat has ended, and it takes another by itself.
        let ticket = ticket(&open.asha.client, &open.visit).await;
        let mut asha = Peer::dial(&world.house.url).await;
        asha.say("hello", json!({"ticket": ticket, "away": true})).await;
        let welcome = asha.hear_of("welcome").await;
        asha.take_seat(&welcome);
        passes(world, 45).await;
        assert_eq!(stands().await, ("ringing".to_owned(), 2));
        passes(world, 45).await;
        assert_eq!(stands().await.0, "no_answer");
        world.house.sms_with(ASHA, RUNG).await;

        // She is let in; a line that was silent and is back shows nobody who looks.
        open.doctor.client.post(&open.path("admit"), &whom).await.expect(200);
        asha.say("presence", away.clone()).await;
        asha.lives().await;
        let seat = asha.cut();
        let tells = async |doctor: &mut Peer, state: &str| {
            while doctor.hear_of("peer").await["body"]["participant"]["state"] != state {}
        };
        for _ in 0..400 {
            if world.house.app.rooms.line_count() == 1 {
                break;
            }
            actix_web::rt::time::sleep(std::time::Duration::from_millis(25)).await;
        }
        world.house.advance(TimeDelta::seconds(4));
        tells(&mut doctor, "reconnecting").await;
        let (mut asha, _) = Peer::come_back(&world.house.url, &seat).await;
        asha.say("presence", away).await;
        asha.lives().await;
        ledger::flush(&world.house.app).await;
        open.doctor.client.once(&open.path("rings"), &key(), &whom).await.expect(201);
        passes(world, 45).await;
        assert_eq!(stands().await, ("ringing".to_owned(), 2), "nobody is seen to look");
        // Somebody opens the page.
        Peer::enter(&open.asha.client, &open.visit).await;
        assert_eq!(stands().await.0, "answered");
    }
}

on_both! {
    async fn who_was_only_asked_to_come_is_rung_and_is_nobody_s_task(world: World) {
        let open = open(world).await;
        let whom = json!({"role": "interpreter", "name": "Айгуль", "phone": INTERPRETER, "language": "ru"});
        let guest = made(&open.doctor.client, &open.path("participants"), whom).await;
        let whom = json!({"participant": guest["id"]});
        let ring = open.doctor.client.once(&open.path("rings"), &key(), &whom).await.expect(201);
        let client = world.house.client();
        let asked = client.post("/v1/auth/code", &json!({"phone": INTERPRETER})).await.expect(202);
        let text = world.house.sms_with(INTERPRETER, "код для входа").await;
        let code: String = text.chars().filter(char::is_ascii_digit).take(6).collect();
        let proof = json!({"challenge_id": asked["challenge_id"], "code": code});
        let tokens = client.post("/v1/auth/code/verify", &proof).await.expect(200);
        let interpreter = client.with_token(tokens["access_token"].as_str().unwrap());
        let seen = interpreter.get(&open.path("invitation")).await.expect(200);
        assert_eq!((&seen["ring"]["id"], &seen["ring"]["state"]), (&ring["id"], &json!("ringing")));
        for seconds in [45, 45, 300, 60] {
            passes(world, seconds).await;
        }
        let last = open.last_ring().await;
        assert_eq!((&last["state"], last.get("due_at"), last.get("task")), (&json!("no_answer"), None, None));
        assert_eq!(count(world, "tasks"), 0);
        let waiting = open.waiting().await;
        assert_eq!((waiting.get("ring"), waiting.get("tasks")), (None, None), "the patient is promised nothing");
        let again = open.doctor.client.once(&open.path("rings"), &key(), &whom).await.expect(201);
        let answer = open.path(&format!("rings/{}/answer", again["id"].as_str().unwrap()));
        assert_eq!(interpreter.post(&answer, &json!({})).await.expect(200)["state"], "answered");
    }
}

on_both! {
    async fn nobody_is_told_to_come_after_the_door_has_closed(world: World) {
        let open = open(world).await;
        // The door of a visit that has not begun closes at 10:10.
        world.house.advance(TimeDelta::minutes(61));
        let open = open.again_by_password(world).await;
        open.rings(&open.doctor.client).await;
        passes(world, 45).await;
        passes(world, 45).await;
        let text = world.house.sms_with(ASHA, RUNG).await;
        assert!(text.contains("10:10"), "{text}");
        passes(world, 90).await;
        assert_eq!(count(world, "tasks WHERE code = 'callback'"), 1, "and is called when it has");
    }
}

on_both! {
    async fn a_patient_who_waited_in_vain_is_called(world: World) {
        let open = open(world).await;
        let asha = world.enters(&open.asha, &open.visit).await;
        world.leaves(&open.visit, asha).await;
        // Who has come is waited for until 11:40.
        world.house.advance(TimeDelta::minutes(150));
        passes(world, 239).await;
        assert_eq!(count(world, "tasks"), 0);
        passes(world, 1).await;
        let text = world.house.sms_with(ASHA, UNSEEN).await;
        assert!(!text.contains("Лебедева"), "{text}");
        passes(world, 60).await;
        assert_eq!((count(world, "tasks"), texts(world, UNSEEN)), (1, 1));
        let open = open.again_by_password(world).await;
        let tasks = open.tasks().await;
        let task = &tasks[0];
        assert_eq!((&task["code"], &task["why"], task.get("owner")), (&json!("unseen"), &json!("door_closed"), None));
        // It is no visit that broke off: the call ends the task, not the visit.
        let path = |act: &str| format!("/v1/tasks/{}/{act}", task["id"].as_str().unwrap());
        let clerk = &open.registrar.client;
        clerk.once(&path("take"), &key(), &json!({})).await.expect(200);
        let ends = json!({"outcome": "reached", "convert": "phone"});
        assert_eq!(clerk.once(&path("complete"), &key(), &ends).await.refused(409), "bad_state");
        clerk.once(&path("complete"), &key(), &json!({"outcome": "moved"})).await.expect(200);
        assert!(open.tasks().await.is_empty());
    }
}

on_both! {
    async fn a_patient_who_was_seen_in_time_is_nobody_s_task(world: World) {
        let open = open(world).await;
        open.talk(world).await;
        assert_eq!(count(world, "encounters WHERE see_to_at IS NOT NULL"), 0);
        open.doctor.client.post(&open.path("finish"), &json!({})).await.expect(200);
        world.house.advance(TimeDelta::minutes(300));
        passes(world, 1).await;
        assert_eq!((count(world, "tasks"), texts(world, UNSEEN)), (0, 0));
    }
}

on_both! {
    async fn a_ring_ends_with_the_visit_and_texts_are_few(world: World) {
        let open = open(world).await;
        for _ in 0..4 {
            open.rings(&open.doctor.client).await;
            passes(world, 45).await;
            passes(world, 45).await;
        }
        assert_eq!(count(world, "rings WHERE told_at IS NOT NULL"), 3);
        assert_eq!(count(world, "rings WHERE state = 'gone'"), 3, "a new ring takes over");
        open.rings(&open.doctor.client).await;
        let cancel = format!("/v1/appointments/{}/cancel", open.appointment);
        open.doctor.client.once(&cancel, &key(), &json!({"code": "clinic"})).await.expect(200);
        assert_eq!(open.last_ring().await["state"], "gone");
        passes(world, 600).await;
        assert_eq!(count(world, "tasks"), 0);
        let open = open.again(world).await;
        let again = open.doctor.client.post(&open.path("rings"), &json!({})).await;
        assert_eq!(again.refused(410), "visit_over");
    }
}

on_both! {
    async fn who_cannot_be_texted_is_called_at_once_and_who_cannot_sign_in_is_not_rung(world: World) {
        let open = open(world).await;
        world.house.execute("UPDATE accounts SET phone_sealed = NULL WHERE name = 'Аша Кузнецова'").unwrap();
        open.rings(&open.doctor.client).await;
        passes(world, 45).await;
        passes(world, 45).await;
        assert_eq!(open.tasks().await[0]["why"], "no_telephone");

        let child = json!({"name": "Без Телефона", "birth_date": "2020-01-01",
            "location": world.village, "organization": world.clinic});
        let child = made(&open.registrar.client, "/v1/patients", child).await;
        let mut wish = world.wish(&monday("09:40"));
        wish["patient"] = child["id"].clone();
        let booked = open.registrar.client.once("/v1/appointments", &key(), &wish).await.expect(201);
        let rings = format!("/v1/encounters/{}/rings", encounter_of(&booked));
        assert_eq!(open.doctor.client.post(&rings, &json!({})).await.refused(409), "too_early");
        world.house.advance(TimeDelta::minutes(20));
        let doctor = world.resigned(&open.doctor).await;
        assert_eq!(doctor.client.post(&rings, &json!({})).await.refused(409), "nobody_to_ring");
    }
}

on_both! {
    async fn a_ring_goes_on_in_the_next_process(world: World) {
        let open = open(world).await;
        open.rings(&open.doctor.client).await;
        let next = world.house.next_process(Ending::Killed).await;
        for _ in 0..2 {
            next.advance(TimeDelta::seconds(45));
            job::tick(&next.app).await.unwrap();
        }
        assert_eq!(next.count("SELECT count(*) AS n FROM rings WHERE state = 'no_answer'"), 1);
        // It was away for an hour: nobody is told to come, somebody calls.
        let last = next.next_process(Ending::Killed).await;
        last.advance(TimeDelta::hours(5));
        job::tick(&last.app).await.unwrap();
        assert_eq!(last.count("SELECT count(*) AS n FROM tasks WHERE code = 'callback'"), 1);
    }
}

on_both! {
    async fn a_visit_that_stays_interrupted_becomes_a_task_and_both_know(world: World) {
        let open = open(world).await;
        let [doctor, asha] = open.talk(world).await;
        world.leaves(&open.visit, asha).await;
        assert_eq!(open.status().await["status"], "onleave");
        passes(world, 599).await;
        assert_eq!(count(world, "tasks"), 0);
        passes(world, 1).await;
        let open = open.again(world).await;
        let tasks = open.tasks().await;
        let said = [&tasks[0]["code"], &tasks[0]["why"], &tasks[0]["owner"]["name"]];
        assert_eq!(said, ["interrupted", "interrupted", "Анна Лебедева"]);
        assert_eq!(open.waiting().await["tasks"][0]["code"], "interrupted");
        let text = world.house.sms_with(ASHA, "прервалась").await;
        assert!(text.contains("11:40"), "until the door closes: {text}");
        passes(world, 60).await;
        assert_eq!(count(world, "tasks"), 1);

        // It is resumed within its window, and interrupted again: another task, no other text.
        world.comes_back(&open.visit, asha).await;
        assert_eq!(open.status().await["status"], "in-progress");
        assert!(open.tasks().await.is_empty());
        world.leaves(&open.visit, asha).await;
        passes(world, 300).await;
        world.comes_back(&open.visit, asha).await;
        passes(world, 300).await;
        assert_eq!(count(world, "tasks"), 1, "they were together again in time");
        world.leaves(&open.visit, doctor).await;
        passes(world, 600).await;
        let open = open.again(world).await;
        let task = open.tasks().await[0].clone();
        assert_eq!((count(world, "tasks"), texts(world, "прервалась")), (2, 1));

        // Whoever works the task ends the visit as it really ended.
        let path = |act: &str| format!("/v1/tasks/{}/{act}", task["id"].as_str().unwrap());
        let clerk = &open.registrar.client;
        let convert = open.path("convert");
        assert_eq!(clerk.post(&convert, &json!({"to": "deferred"})).await.refused(403), "forbidden");
        clerk.once(&path("take"), &key(), &json!({"over": true})).await.expect(200);
        let moved = json!({"outcome": "moved"});
        assert_eq!(clerk.once(&path("complete"), &key(), &moved).await.refused(422), "invalid_body");
        let end = json!({"outcome": "deferred", "convert": "deferred"});
        clerk.once(&path("complete"), &key(), &end).await.expect(200);
        let visit = open.status().await;
        assert_eq!((&visit["status"], &visit["outcome"]), (&json!("finished"), &json!("converted_to_deferred")));
        assert_eq!(count(world, "tasks WHERE status = 'completed' AND outcome = 'deferred'"), 1);

        // The patient waits for words now: the doctor's task, until they are signed.
        let tasks = open.tasks().await;
        let said = [&tasks[0]["code"], &tasks[0]["why"], &tasks[0]["owner"]["name"]];
        assert_eq!((tasks.len(), said), (1, [&json!("deferred"), &json!("deferred"), &json!("Анна Лебедева")]));
        let doctor = &open.doctor.client;
        let path = |act: &str| format!("/v1/tasks/{}/{act}", tasks[0]["id"].as_str().unwrap());
        doctor.once(&path("take"), &key(), &json!({})).await.expect(200);
        let again = json!({"outcome": "deferred"});
        assert_eq!(doctor.once(&path("complete"), &key(), &again).await.refused(422), "invalid_body");
        let note = doctor.post(&open.path("notes"), &json!({"plan": "чай"})).await.expect(201);
        let sign = format!("/v1/notes/{}/sign", note["id"].as_str().unwrap());
        doctor.post(&sign, &json!({})).await.expect(200);
        assert!(open.tasks().await.is_empty());
        assert_eq!(count(world, "tasks WHERE code = 'deferred' AND outcome = 'reached'"), 1);
    }
}

on_both! {
    async fn an_interrupted_visit_is_a_task_until_it_goes_on_or_is_ended(world: World) {
        let open = open(world).await;
        let [_, asha] = open.talk(world).await;
        world.leaves(&open.visit, asha).await;
        passes(world, 600).await;
        // "I will come back in a minute", and did not: somebody answers for it again.
        let (open, said) = reached(open, world).await;
        assert_eq!(said.expect(200)["status"], "completed");
        assert!(open.tasks().await.is_empty());
        passes(world, 599).await;
        assert_eq!(count(world, "tasks"), 1);
        passes(world, 1).await;
        assert_eq!(count(world, "tasks"), 2);
        let (open, said) = reached(open, world).await;
        said.expect(200);
        // At the latest when the door closes; then only an end ends it.
        passes(world, 3 * 3600).await;
        assert_eq!(count(world, "tasks WHERE status = 'requested' AND code = 'interrupted'"), 1);
        let (open, said) = reached(open, world).await;
        assert_eq!(said.refused(409), "visit_not_ended");
        let task = open.tasks().await[0].clone();
        assert_eq!((&task["status"], &open.status().await["status"]), (&json!("accepted"), &json!("onleave")));
        let path = format!("/v1/tasks/{}/complete", task["id"].as_str().unwrap());
        let end = json!({"outcome": "reached", "convert": "phone"});
        open.registrar.client.once(&path, &key(), &end).await.expect(200);
        assert_eq!(open.status().await["outcome"], "converted_to_phone");
        assert!(open.tasks().await.is_empty());
    }
}

on_both! {
    async fn when_the_door_closes_on_an_interrupted_visit_there_is_a_task(world: World) {
        let open = open(world).await;
        let [doctor, asha] = open.talk(world).await;
        // The door of a visit that has begun closes at 11:40.
        world.house.advance(TimeDelta::minutes(150));
        world.leaves(&open.visit, doctor).await;
        passes(world, 179).await;
        assert_eq!(count(world, "tasks"), 0);
        passes(world, 61).await;
        assert_eq!(count(world, "tasks WHERE code = 'interrupted' AND why = 'door_closed'"), 1);
        assert_eq!(texts(world, "прервалась"), 0, "it is too late to come");
        world.leaves(&open.visit, asha).await;
        passes(world, 600).await;
        assert_eq!(count(world, "tasks"), 1);
        // Only the practitioner's word ends it.
        let open = open.again_by_password(world).await;
        let finish = json!({"outcome": "technical_failure"});
        open.doctor.client.post(&open.path("finish"), &finish).await.expect(200);
        assert_eq!(count(world, "tasks WHERE status = 'cancelled'"), 1);
    }
}

on_both! {
    async fn tasks_are_listed_by_clinic_state_and_owner(world: World) {
        let open = open(world).await;
        open.rings(&open.doctor.client).await;
        for seconds in [45, 45, 300] {
            passes(world, seconds).await;
        }
        let open = open.again(world).await;
        let me = open.doctor.client.get("/v1/me").await.expect(200)["account"]["id"].clone();
        let me = me.as_str().unwrap();
        let clerk = world::member(
            &world.house, &world.resigned(&world.admin).await.client, &world.other_clinic,
            "Инна Дальняя", "registrar", "dalnyaya",
        ).await;
        let found = async |client: &Client, query: &str| {
            let tasks = client.get(&format!("/v1/tasks?{query}")).await.expect(200);
            tasks["items"].as_array().unwrap().len()
        };
        let (office, clinic) = (&open.registrar.client, &world.clinic);
        for (query, many) in [
            (format!("organization={clinic}"), 1),
            (format!("organization={}", world.other_clinic), 0),
            (format!("status=requested&owner={me}&encounter={}", open.visit), 1),
            ("status=completed".to_owned(), 0),
        ] {
            assert_eq!(found(office, &query).await, many, "{query}");
        }
        assert_eq!(found(&open.doctor.client, "").await, 1);
        assert_eq!((found(&clerk.client, "").await, found(&open.asha.client, "").await), (0, 0));
        assert_eq!(office.get("/v1/tasks?status=lost").await.refused(400), "invalid_query");
    }
}
