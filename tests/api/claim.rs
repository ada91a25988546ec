//! A patient waits, their doctor is not free, another one is: who may take whom, in which order, and
//! that nobody is taken twice.

use actix_web::http::Method;
use chrono::TimeDelta;
use feldsher::call::record::{Kept, Mark, MarkKind};
use futures_util::future::join;
use serde_json::{Value, json};

use crate::care;
use crate::on_both;
use crate::support::peer::{Edge, Peer, kinds};
use crate::support::visit::{asks, begins, books, encounter_of, finishes, monday};
use crate::support::world;
use crate::support::{Answer, Client, Engine, Person, World, key};
use crate::waiting;

const VERA: &str = "+70000000003";

/// The same as the API writes it.
pub(crate) fn utc(clock: &str) -> Value {
    let at: feldsher::base::column::Instant = monday(clock).parse().unwrap();
    json!(at)
}

/// Another doctor of the clinic who gives these services.
async fn doctor(world: &World, name: &str, login: &str, services: &[&str]) -> Person {
    let (house, admin) = (&world.house, &world.admin.client);
    world::practitioner(house, admin, &world.clinic, name, "doctor", login, services).await
}

pub(crate) async fn deputy(world: &World) -> Person {
    doctor(world, "Галина Смелова", "smelova", &[&world.service]).await
}

/// Lets time pass until a clock shows this, and signs everybody in anew.
pub(crate) async fn until<const N: usize>(
    world: &World,
    clock: &str,
    who: [&Person; N],
) -> [Person; N] {
    waiting::until(world, &monday(clock), who).await
}

/// At 09:35 the doctor is in the visit of 09:20; Asha has that of 09:40, and a deputy is free.
async fn the_doctor_talks(world: &World) -> ([Person; 3], Value) {
    let deputy = deputy(world).await;
    let first = books(world, &world.boris, "09:20").await;
    let own = books(world, &world.asha, "09:40").await;
    let everybody = [&world.doctor, &deputy, &world.boris, &world.asha];
    let [doctor, deputy, boris, asha] = until(world, "09:35", everybody).await;
    begins(world, &doctor, &boris, &first).await;
    ([doctor, deputy, asha], own)
}

/// Who waits for somebody else, as this doctor sees it.
async fn unseen(client: &Client, doctor: &Person) -> Value {
    client.get(&format!("/v1/practitioners/{}/claimable", doctor.id)).await.expect(200)
}

async fn visits(doctor: &Person) -> Vec<String> {
    let found = unseen(&doctor.client, doctor).await;
    let items = found["items"].as_array().unwrap().iter();
    items.map(|item| item["encounter"]["id"].as_str().unwrap().to_owned()).collect()
}

pub(crate) async fn claims(client: &Client, doctor: &Person, body: Value) -> Answer {
    let path = format!("/v1/practitioners/{}/claims", doctor.id);
    client.once(&path, &key(), &body).await
}

pub(crate) async fn takes(doctor: &Person, visit: &Value) -> Answer {
    claims(&doctor.client, doctor, json!({"encounter": encounter_of(visit)})).await
}

async fn takes_next(doctor: &Person) -> Answer {
    claims(&doctor.client, doctor, json!({})).await
}

fn sdp(whose: &str) -> Value {
    json!({"sdp": format!("v=0\r\no=- 1 1 IN IP4 0.0.0.0\r\ns={whose}\r\n")})
}

on_both! {
    async fn whoever_takes_a_visit_over_answers_for_its_call_back(world: World) {
        let ([doctor, deputy, asha], own) = the_doctor_talks(world).await;
        let (_patient, _) = Peer::enter(&asha.client, &encounter_of(&own)).await;
        let [doctor, deputy] = until(world, "09:44", [&doctor, &deputy]).await;
        let rings = format!("/v1/encounters/{}/rings", encounter_of(&own));
        doctor.client.once(&rings, &key(), &json!({})).await.expect(201);
        takes(&deputy, &own).await.expect(201);
        for seconds in [45, 45, 300] {
            care::passes(world, seconds).await;
        }
        let tasks = deputy.client.get("/v1/tasks").await.expect(200);
        let task = &tasks["items"][0];
        assert_eq!((&task["code"], &task["owner"]["name"]), (&json!("callback"), &json!("Галина Смелова")));
        assert_eq!(doctor.client.get("/v1/tasks").await.expect(200)["items"], json!([]));
    }
}

on_both! {
    async fn a_free_doctor_takes_who_waits_and_the_patient_keeps_the_seat(world: World) {
        let ([doctor, deputy, asha], own) = the_doctor_talks(world).await;
        let (mut patient, _) = Peer::enter(&asha.client, &encounter_of(&own)).await;
        assert!(visits(&deputy).await.is_empty(), "before the planned time nobody waits in vain");

        let everybody = [&doctor, &deputy, &asha];
        let [doctor, deputy, asha] = until(world, "09:44", everybody).await;
        let found = unseen(&deputy.client, &deputy).await;
        assert_eq!(found, json!({"free": true, "items": [{
            "encounter": {"id": encounter_of(&own)}, "start": utc("09:40"), "minutes": 20,
            "since": utc("09:35"), "service": {"id": world.service, "name": "GP visit"},
            "practitioner": {"id": doctor.id, "name": "Анна Лебедева"}, "because": "in_visit",
            "priority": "routine", "silent": false, "fits": true,
        }]}));
        assert_eq!(unseen(&doctor.client, &doctor).await, json!({"free": false, "items": []}));
        patient.hear_all().await;

        let path = format!("/v1/practitioners/{}/claims", deputy.id);
        let once = key();
        let taken = deputy.client.once(&path, &once, &json!({})).await.expect(201);
        assert_eq!((&taken["id"], &taken["status"]), (&own["encounter"]["id"], &json!("arrived")));
        assert_eq!(taken["practitioner"]["id"], json!(deputy.id));
        assert_eq!((&taken["start"], &taken["end"]), (&utc("09:44"), &utc("10:04")));
        assert_eq!(taken["patient"]["name"], "Аша Кузнецова");
        // Sent once more: the same answer, and nothing else.
        let again = deputy.client.once(&path, &once, &json!({})).await;
        assert_eq!(again.header("idempotent-replayed"), Some("true"));
        assert_eq!(again.expect(201), taken);
        let path = format!("/v1/appointments/{}", own["id"].as_str().unwrap());
        let visit = asha.client.get(&path).await.expect(200);
        assert_eq!((&visit["code"], &visit["status"]), (&own["code"], &json!("arrived")));
        assert_eq!(visit["moves"].as_array().unwrap().len(), 1);
        let moved = &visit["moves"][0];
        assert_eq!((&moved["because"], &moved["to_start"]), (&json!("in_visit"), &utc("09:44")));
        assert_eq!(moved["by"]["name"], "Галина Смелова");

        // The patient hears that there is something, and asks what.
        assert!(kinds(&patient.hear_all().await).contains(&"care"));
        let told = asks(&asha.client, &own).await;
        assert_eq!(told["taken_over"], json!({
            "by": {"id": deputy.id, "name": "Галина Смелова"},
            "from": {"id": doctor.id, "name": "Анна Лебедева"}, "because": "in_visit",
        }));
        assert_eq!((&told["status"], &told["queue"]["position"]), (&json!("arrived"), &json!(1)));

        // The former doctor has no say any more, and is told.
        let whom = json!({"participant": patient.id});
        let path = format!("/v1/encounters/{}", encounter_of(&own));
        let admit = doctor.client.post(&format!("{path}/admit"), &whom).await;
        assert_eq!(admit.refused(404), "not_found");
        for way in ["join", "finish"] {
            let refused = doctor.client.post(&format!("{path}/{way}"), &json!({})).await;
            assert_eq!(refused.refused(404), "not_found", "{way}");
        }
        let waiting = doctor.client.get("/v1/waiting-room").await.expect(200);
        assert_eq!(waiting["items"], json!([]));
        for who in [&doctor, &deputy] {
            let list = format!("/v1/practitioners/{}/claims", who.id);
            let list = who.client.get(&list).await;
            assert!(!list.text.contains("Кузнецова"), "{}", list.text);
            assert_eq!(list.expect(200)["items"], json!([{
                "at": utc("09:44"), "start": utc("09:40"), "because": "in_visit",
                "from": {"id": doctor.id, "name": "Анна Лебедева"},
                "to": {"id": deputy.id, "name": "Галина Смелова"},
            }]));
        }

        // The new doctor comes, lets the patient in, and the two find each other.
        let (mut desk, _) = Peer::enter(&deputy.client, &encounter_of(&own)).await;
        let heard = patient.hear_of("peer").await;
        assert_eq!(heard["body"]["participant"]["name"], "Галина Смелова");
        desk.say("admit", whom).await;
        let desks = Edge::of(&desk.hear_of("negotiate").await);
        let patients = Edge::of(&patient.hear_of("negotiate").await);
        desk.say_on(&desks, "offer", sdp("of the deputy")).await;
        assert_eq!(patient.hear_of("offer").await["body"], sdp("of the deputy"));
        patient.say_on(&patients, "answer", sdp("of Asha")).await;
        assert_eq!(desk.hear_of("answer").await["body"], sdp("of Asha"));
        let told = asks(&asha.client, &own).await;
        assert_eq!(told["status"], "in-progress");
        assert!(told.get("taken_over").is_none(), "they see who it is");
        let log = asha.client.get("/v1/me/access-log").await;
        assert!(log.text.contains("encounter.claim"), "{}", log.text);
        assert_eq!(unseen(&deputy.client, &deputy).await["free"], false);
        finishes(&deputy, &own).await;
        assert_eq!(patient.hear_of("ended").await["body"]["reason"], "finished");
    }
}

on_both! {
    async fn a_visit_that_ended_early_is_not_reopened_into_the_time_that_another_was_given(
        world: World
    ) {
        let deputy = deputy(world).await;
        let path = format!("/v1/practitioners/{}/schedule", deputy.id);
        let hours = json!({"rules": [{"weekday": "mon", "from": "09:00", "to": "17:00"}]});
        deputy.client.edit(Method::PUT, &path, 1, &hours).await.expect(200);
        let mut wish = world.wish(&monday("09:20"));
        wish["practitioner"] = json!(deputy.id);
        let early = world.boris.client.once("/v1/appointments", &key(), &wish).await.expect(201);
        let waits = books(world, &world.asha, "09:20").await;
        let everybody = [&deputy, &world.boris, &world.asha];
        let [deputy, boris, asha] = until(world, "09:20", everybody).await;
        begins(world, &deputy, &boris, &early).await;
        world.enters(&asha, &encounter_of(&waits)).await;
        let [deputy] = until(world, "09:24", [&deputy]).await;
        finishes(&deputy, &early).await;
        takes(&deputy, &waits).await.expect(201);
        let path = format!("/v1/encounters/{}", encounter_of(&early));
        let refused = deputy.client.once(&format!("{path}/reopen"), &key(), &json!({})).await;
        assert_eq!(refused.refused(409), "slot_taken");
        assert_eq!(deputy.client.get(&path).await.expect(200)["status"], "finished");
        assert_eq!(world.house.count(crate::race::OVERLAPS_WITH_BUFFERS), 0);
    }
}

on_both! {
    async fn of_two_who_are_free_each_patient_has_one(world: World) {
        let one = deputy(world).await;
        let two = doctor(world, "Роман Второй", "vtoroy", &[&world.service]).await;
        let vera = world::patient(
            &world.house, &world.registrar.client, &world.clinic, &world.village, "Вера Третья", VERA,
        ).await;
        let rounds = [("09:20", "09:23"), ("10:20", "10:30"), ("11:20", "11:23")];
        let mut mine = Vec::new();
        for (start, _) in rounds {
            mine.push(books(world, &world.asha, start).await);
        }
        let second = books(world, &world.boris, "12:00").await;
        let third = books(world, &vera, "12:20").await;
        let (mut asha, mut one, mut two) = (world.asha.clone(), one, two);
        for (visit, (_, at)) in mine.iter().zip(rounds) {
            [asha, one, two] = until(world, at, [&asha, &one, &two]).await;
            world.enters(&asha, &encounter_of(visit)).await;
            let (left, right) = join(takes(&one, visit), takes(&two, visit)).await;
            let (won, lost) = if left.status == 201 { (&one, right) } else { (&two, left) };
            assert_eq!(lost.refused(409), "already_taken");
            let shown = asha.client.get(&format!("/v1/encounters/{}", encounter_of(visit))).await;
            assert_eq!(shown.expect(200)["practitioner"]["id"], json!(won.id));
            finishes(won, visit).await;
        }
        // Two wait and two come: each gets another, whoever of the two was quicker.
        let [boris, vera, one, two] = until(world, "12:23", [&world.boris, &vera, &one, &two]).await;
        world.enters(&boris, &encounter_of(&second)).await;
        world.enters(&vera, &encounter_of(&third)).await;
        let (left, right) = join(takes_next(&one), takes_next(&two)).await;
        let mut taken = [left.expect(201)["id"].clone(), right.expect(201)["id"].clone()];
        let mut waited = [second["encounter"]["id"].clone(), third["encounter"]["id"].clone()];
        taken.sort_by_key(Value::to_string);
        waited.sort_by_key(Value::to_string);
        assert_eq!(taken, waited);
        assert_eq!(takes_next(&one).await.refused(409), "not_free", "somebody waits for them now");
        assert_eq!(world.house.count(crate::race::OVERLAPS_WITH_BUFFERS), 0);
    }
}

on_both! {
    async fn the_own_doctor_s_word_and_a_claim_at_one_moment_are_one_of_the_two(world: World) {
        let mut deputy = deputy(world).await;
        let (mut doctor, mut asha) = (world.doctor.clone(), world.asha.clone());
        let rounds = ["09:20", "10:00", "10:40", "11:20", "12:00", "12:40"];
        let mut visits = Vec::new();
        for start in rounds {
            visits.push(books(world, &asha, start).await);
        }
        for (visit, start) in visits.iter().zip(rounds) {
            [doctor, deputy, asha] = until(world, start, [&doctor, &deputy, &asha]).await;
            let guest = world.enters(&asha, &encounter_of(visit)).await;
            world.house.advance(TimeDelta::seconds(190));
            let path = format!("/v1/encounters/{}/admit", encounter_of(visit));
            let whom = json!({"participant": guest});
            let (let_in, taken) = join(doctor.client.post(&path, &whom), takes(&deputy, visit)).await;
            let path = format!("/v1/encounters/{}", encounter_of(visit));
            let shown = asha.client.get(&path).await.expect(200);
            let is_in = shown["participants"].to_string().contains("admitted");
            if taken.status == 201 {
                assert_eq!(let_in.refused(404), "not_found");
                assert_eq!((&shown["practitioner"]["id"], is_in), (&json!(deputy.id), false));
                finishes(&deputy, visit).await;
            } else {
                assert_eq!(taken.refused(409), "already_taken");
                let_in.expect(200);
                assert_eq!((&shown["practitioner"]["id"], is_in), (&json!(doctor.id), true));
                finishes(&doctor, visit).await;
            }
        }
    }
}

on_both! {
    async fn who_is_not_free_takes_nobody(world: World) {
        let deputy = deputy(world).await;
        let rules = json!({"rules": [{"weekday": "mon", "from": "09:00", "to": "11:00"}]});
        let path = format!("/v1/practitioners/{}/schedule", deputy.id);
        deputy.client.edit(actix_web::http::Method::PUT, &path, 1, &rules).await.expect(200);
        let own = books(world, &world.asha, "09:20").await;
        let with_deputy = |start: &str| {
            json!({"service": world.service, "practitioner": deputy.id, "start": monday(start)})
        };
        let soon = with_deputy("09:40");
        let soon = world.boris.client.once("/v1/appointments", &key(), &soon).await.expect(201);
        let everybody = [&world.asha, &world.boris, &deputy, &world.registrar];
        let [asha, boris, deputy, clerk] = until(world, "09:25", everybody).await;
        world.enters(&asha, &encounter_of(&own)).await;
        // A visit in a quarter of an hour is too soon for one of twenty minutes.
        let found = unseen(&deputy.client, &deputy).await;
        assert_eq!((&found["free"], &found["items"][0]["fits"]), (&json!(true), &json!(false)));
        assert_eq!(found["items"][0]["because"], "not_here");
        assert_eq!(takes_next(&deputy).await.refused(409), "not_free");
        assert_eq!(takes(&deputy, &own).await.refused(409), "not_free");

        // In a visit, and waited for.
        let [asha, boris, deputy, clerk] = until(world, "09:34", [&asha, &boris, &deputy, &clerk]).await;
        begins(world, &deputy, &boris, &soon).await;
        assert_eq!(takes_next(&deputy).await.refused(409), "not_free");
        let [asha, deputy, clerk] = until(world, "09:43", [&asha, &deputy, &clerk]).await;
        finishes(&deputy, &soon).await;
        // What is left until ten is given back; the clinic's office may say it for the doctor.
        let found = unseen(&clerk.client, &deputy).await;
        assert_eq!((&found["free"], &found["items"][0]["fits"]), (&json!(true), &json!(true)));
        let taken = claims(&clerk.client, &deputy, json!({})).await.expect(201);
        assert_eq!(taken["id"], own["encounter"]["id"]);
        assert_eq!(takes_next(&deputy).await.refused(409), "not_free", "somebody waits for them");
        let [deputy, asha] = until(world, "09:50", [&deputy, &asha]).await;
        finishes(&deputy, &own).await;
        assert_eq!(takes_next(&deputy).await.refused(409), "nobody_waits");

        // After hours the office sends nobody, and whoever is there may stay.
        let late = books(world, &asha, "11:00").await;
        let [asha, deputy, clerk] = until(world, "11:05", [&asha, &deputy, &clerk]).await;
        world.enters(&asha, &encounter_of(&late)).await;
        assert_eq!(claims(&clerk.client, &deputy, json!({})).await.refused(409), "not_free");
        takes(&deputy, &late).await.expect(201);
        assert_eq!(world.house.count(crate::race::OVERLAPS_WITH_BUFFERS), 0);
    }
}

on_both! {
    async fn nobody_is_taken_whom_their_own_doctor_sees_or_who_is_not_theirs_to_take(world: World) {
        let deputy = deputy(world).await;
        let own = books(world, &world.asha, "09:20").await;
        let everybody = [&world.doctor, &deputy, &world.asha, &world.colleague, &world.stranger];
        let [doctor, deputy, asha, colleague, stranger] = until(world, "09:22", everybody).await;
        assert_eq!(takes(&deputy, &own).await.refused(409), "bad_state", "nobody waits there");
        let guest = world.enters(&asha, &encounter_of(&own)).await;
        assert!(visits(&deputy).await.is_empty(), "the doctor may be on the way");
        world.house.advance(TimeDelta::minutes(1));
        assert_eq!(visits(&deputy).await, [encounter_of(&own)]);

        // Another service, another clinic, and somebody else's name.
        assert_eq!(takes_next(&colleague).await.refused(409), "nobody_waits");
        assert_eq!(takes(&colleague, &own).await.refused(422), "unknown_reference");
        assert_eq!(takes(&stranger, &own).await.refused(422), "unknown_reference");
        assert_eq!(takes_next(&stranger).await.refused(409), "nobody_waits");
        assert_eq!(claims(&stranger.client, &deputy, json!({})).await.refused(404), "not_found");
        assert_eq!(claims(&colleague.client, &deputy, json!({})).await.refused(403), "forbidden");
        assert_eq!(claims(&asha.client, &deputy, json!({})).await.refused(404), "not_found");
        let path = format!("/v1/practitioners/{}/claims", deputy.id);
        let keyless = deputy.client.post(&path, &json!({})).await;
        assert_eq!(keyless.refused(400), "idempotency_key_missing");
        let misspelt = claims(&deputy.client, &deputy, json!({"visit": encounter_of(&own)})).await;
        assert_eq!(misspelt.refused(422), "invalid_body");

        // The own doctor comes into the room: they see their patient themselves.
        let seat = world.enters(&doctor, &encounter_of(&own)).await;
        assert!(visits(&deputy).await.is_empty());
        assert_eq!(takes(&deputy, &own).await.refused(409), "bad_state");
        world.leaves(&encounter_of(&own), seat).await;
        assert_eq!(visits(&deputy).await, [encounter_of(&own)]);
        let late = format!("/v1/practitioners/{}/delay", doctor.id);
        doctor.client.once(&late, &key(), &json!({"minutes": 30})).await.expect(200);
        assert_eq!(unseen(&deputy.client, &deputy).await["items"][0]["because"], "late");
        let away = json!({"from": monday("09:00"), "to": monday("12:00")});
        let path = format!("/v1/practitioners/{}/absences", doctor.id);
        doctor.client.once(&path, &key(), &away).await.expect(201);
        assert_eq!(unseen(&deputy.client, &deputy).await["items"][0]["because"], "absent");

        // The patient goes, and nobody waits; comes again, and is let in.
        world.leaves(&encounter_of(&own), guest).await;
        assert!(visits(&deputy).await.is_empty());
        assert_eq!(takes_next(&deputy).await.refused(409), "nobody_waits");
        world.comes_back(&encounter_of(&own), guest).await;
        let admit = format!("/v1/encounters/{}/admit", encounter_of(&own));
        doctor.client.post(&admit, &json!({"participant": guest})).await.expect(200);
        assert!(visits(&deputy).await.is_empty());
        assert_eq!(takes(&deputy, &own).await.refused(409), "already_taken");
        assert_eq!(takes_next(&deputy).await.refused(409), "nobody_waits");
    }
}

on_both! {
    async fn urgent_first_then_the_longest_wait_and_a_silent_line_last(world: World) {
        let deputy = deputy(world).await;
        let vera = world::patient(
            &world.house, &world.registrar.client, &world.clinic, &world.village, "Вера Третья", VERA,
        ).await;
        // Planned first, but late: she waits since she came.
        let late = books(world, &vera, "09:20").await;
        let patient = books(world, &world.asha, "09:40").await;
        let everybody = [&world.asha, &world.registrar, &vera, &deputy, &world.boris];
        let [asha, clerk, vera, deputy, boris] = until(world, "09:41", everybody).await;
        let (mut seat, _) = Peer::enter(&asha.client, &encounter_of(&patient)).await;
        let urgent = json!({"service": world.service, "practitioner": world.doctor.id,
            "patient": boris.id, "start": monday("10:00"), "priority": "urgent"});
        let urgent = clerk.client.once("/v1/appointments", &key(), &urgent).await.expect(201);
        let [vera, boris, deputy] = until(world, "09:49", [&vera, &boris, &deputy]).await;
        assert!(seat.lives().await);
        world.enters(&vera, &encounter_of(&late)).await;
        world.enters(&boris, &encounter_of(&urgent)).await;
        assert_eq!(visits(&deputy).await, [encounter_of(&patient), encounter_of(&late)]);
        let [deputy, vera] = until(world, "10:03", [&deputy, &vera]).await;
        let order = [encounter_of(&urgent), encounter_of(&patient), encounter_of(&late)];
        assert_eq!(visits(&deputy).await, order);
        assert!(seat.lives().await);

        // However often a line was cut before, what it is now counts.
        let visit = encounter_of(&patient).parse().unwrap();
        let whose = seat.id.parse().unwrap();
        for number in 0..5001 {
            let at = world.house.now().minus(TimeDelta::hours(1) - TimeDelta::milliseconds(number));
            let mark = Mark::of(MarkKind::Back, whose, at);
            world.house.app.rooms.ledger.keep(visit, Kept::Mark(mark));
        }
        feldsher::call::record::ledger::flush(&world.house.app).await;
        // Her line breaks: the seat is kept, and those who can talk go before her.
        drop(seat);
        silent(world, &deputy, &encounter_of(&patient)).await;
        let order = [encounter_of(&urgent), encounter_of(&late), encounter_of(&patient)];
        assert_eq!(visits(&deputy).await, order);
        assert_eq!(takes_next(&deputy).await.expect(201)["id"], json!(encounter_of(&urgent)));
        let shown = vera.client.get(&format!("/v1/encounters/{}", encounter_of(&late))).await;
        assert_eq!(shown.expect(200)["practitioner"]["id"], json!(world.doctor.id));
    }
}

/// What everybody is told of a doctor who has an interrupted visit, from the visit behind it.
async fn stands(world: &World, who: [&Person; 3], own: &Value) -> Value {
    let [doctor, deputy, asha] = who;
    let free = unseen(&doctor.client, doctor).await["free"].clone();
    let seat = world.enters(asha, &encounter_of(own)).await;
    let found = unseen(&deputy.client, deputy).await;
    let queue = asks(&asha.client, own).await["queue"].clone();
    world.leaves(&encounter_of(own), seat).await;
    let knows_an_end = queue.get("latest").is_some();
    json!([free, found["items"][0]["because"], queue["position"], knows_an_end])
}

on_both! {
    async fn an_interrupted_visit_keeps_its_doctor_while_somebody_is_in_it_or_expected_back(world: World) {
        let deputy = deputy(world).await;
        let first = books(world, &world.boris, "09:20").await;
        let own = books(world, &world.asha, "09:40").await;
        let everybody = [&world.doctor, &deputy, &world.boris, &world.asha];
        let [doctor, deputy, boris, asha] = until(world, "09:44", everybody).await;
        let visit = encounter_of(&first);
        let patient = world.enters(&boris, &visit).await;
        let at_desk = world.enters(&doctor, &visit).await;
        let admit = format!("/v1/encounters/{visit}/admit");
        doctor.client.post(&admit, &json!({"participant": patient})).await.expect(200);
        let busy = json!([false, "in_visit", 2, true]);
        let free = json!([true, "not_here", 1, false]);
        assert_eq!(stands(world, [&doctor, &deputy, &asha], &own).await, busy, "they talk");

        world.leaves(&visit, patient).await;
        let [doctor, deputy, asha] = until(world, "09:59", [&doctor, &deputy, &asha]).await;
        assert_eq!(stands(world, [&doctor, &deputy, &asha], &own).await, busy, "the doctor waits");
        world.comes_back(&visit, patient).await;
        world.leaves(&visit, at_desk).await;
        world.leaves(&visit, patient).await;
        assert_eq!(stands(world, [&doctor, &deputy, &asha], &own).await, busy, "just broken off");
        let [doctor, deputy, asha] = until(world, "10:08", [&doctor, &deputy, &asha]).await;
        assert_eq!(stands(world, [&doctor, &deputy, &asha], &own).await, busy, "nine minutes");
        let [doctor, deputy, asha] = until(world, "10:10", [&doctor, &deputy, &asha]).await;
        assert_eq!(stands(world, [&doctor, &deputy, &asha], &own).await, free, "eleven minutes");

        // Whoever comes back is in front again.
        world.comes_back(&visit, patient).await;
        assert_eq!(stands(world, [&doctor, &deputy, &asha], &own).await, busy, "the patient waits");
        world.leaves(&visit, patient).await;
        assert_eq!(stands(world, [&doctor, &deputy, &asha], &own).await, free, "nobody");
        let seat = world.enters(&asha, &encounter_of(&own)).await;
        assert_eq!(takes_next(&deputy).await.expect(201)["id"], json!(encounter_of(&own)));
        world.leaves(&encounter_of(&own), seat).await;
        world.comes_back(&visit, patient).await;
        world.comes_back(&visit, at_desk).await;
        let found = doctor.client.get(&format!("/v1/encounters/{visit}")).await.expect(200);
        assert_eq!(found["status"], "in-progress", "it can still go on");
    }
}

on_both! {
    async fn a_clock_that_is_a_minute_ahead_does_not_settle_whose_line_is_silent(world: World) {
        let deputy = deputy(world).await;
        let own = books(world, &world.asha, "09:40").await;
        let [asha] = until(world, "09:41", [&world.asha]).await;
        let (mut seat, _) = Peer::enter(&asha.client, &encounter_of(&own)).await;
        let [deputy] = until(world, "09:49", [&deputy]).await;
        assert!(seat.lives().await);
        let (visit, whose) = (encounter_of(&own).parse().unwrap(), seat.id.parse().unwrap());
        let ahead = TimeDelta::minutes(1);
        for (then, now) in [(MarkKind::Silent, MarkKind::Back), (MarkKind::Back, MarkKind::Silent)] {
            // The process that had the room is gone, and its clock with it.
            let marks = [(then, world.house.now().plus(ahead)), (now, world.house.now())];
            for (kind, at) in marks {
                let mark = Kept::Mark(Mark::of(kind, whose, at));
                world.house.app.rooms.ledger.keep(visit, mark);
                feldsher::call::record::ledger::flush(&world.house.app).await;
                let found = unseen(&deputy.client, &deputy).await;
                let of_visit = &found["items"][0];
                assert_eq!(of_visit["silent"], kind == MarkKind::Silent, "{kind:?}: {found}");
            }
        }
        drop(seat);
    }
}

/// Waits until a broken line is known and written down.
async fn silent(world: &World, doctor: &Person, visit: &str) {
    for _ in 0..100 {
        world.house.advance(TimeDelta::milliseconds(400));
        actix_web::rt::time::sleep(std::time::Duration::from_millis(100)).await;
        feldsher::call::record::ledger::flush(&world.house.app).await;
        let found = unseen(&doctor.client, doctor).await;
        let items = found["items"].as_array().unwrap();
        let of_visit = items.iter().find(|item| item["encounter"]["id"] == visit);
        if of_visit.is_some_and(|item| item["silent"] == true) {
            return;
        }
    }
    panic!("nobody notices the silence");
}

on_both! {
    async fn who_sat_there_for_the_former_doctor_goes_and_who_was_asked_for_advice_conducts(world: World) {
        let deputy = deputy(world).await;
        let first = books(world, &world.boris, "09:20").await;
        let own = books(world, &world.asha, "09:40").await;
        let everybody = [&world.doctor, &deputy, &world.boris, &world.asha];
        let [doctor, deputy, boris, asha] = until(world, "09:38", everybody).await;
        begins(world, &doctor, &boris, &first).await;
        let visit = encounter_of(&own);
        let (mut patient, _) = Peer::enter(&asha.client, &visit).await;
        let (mut desk, _) = Peer::enter(&doctor.client, &visit).await;
        let advice = json!({"role": "specialist", "practitioner": deputy.id});
        let guests = format!("/v1/encounters/{visit}/participants");
        doctor.client.once(&guests, &key(), &advice).await.expect(201);
        let (mut expert, welcome) = Peer::enter(&deputy.client, &visit).await;
        assert_eq!(welcome["body"]["participant"]["role"], "specialist");
        world.house.advance(TimeDelta::minutes(3));
        patient.hear_all().await;
        expert.hear_all().await;
        desk.hear_all().await;

        // With one of his patients the doctor sits in the room of the other as well.
        takes(&deputy, &own).await.expect(201);
        let (heard, code) = desk.hear_out().await;
        assert_eq!((kinds(&heard), code), (vec!["removed"], Some(4403)));
        let left = desk.id.clone();
        let back = Peer::resume(&world.house.url, &desk.cut()).await.closed().await;
        assert!([Some(4401), Some(4404)].contains(&back), "{back:?}");
        let heard = patient.hear_all().await;
        let told = |op: &str, id: &str| {
            heard.iter().any(|said| said["t"] == "peer" && said["body"]["op"] == op && said["body"]["participant"]["id"] == id)
        };
        assert!(told("left", &left), "{heard:?}");
        assert!(told("state", &expert.id), "{heard:?}");
        let snapshot = expert.hear_of("snapshot").await;
        assert_eq!(snapshot["body"]["participant"]["role"], "practitioner");
        expert.say("admit", json!({"participant": patient.id})).await;
        assert!(Edge::of(&expert.hear_of("negotiate").await).offers);
        assert!(!Edge::of(&patient.hear_of("negotiate").await).offers);
        assert_eq!(asks(&asha.client, &own).await["status"], "in-progress");

        // What was decided about the former doctor does not hinder him when he takes her back.
        let hold = format!("/v1/encounters/{visit}/hold");
        deputy.client.post(&hold, &json!({"participant": patient.id})).await.expect(200);
        assert_eq!(takes(&doctor, &own).await.refused(409), "already_taken", "it has begun");
    }
}

on_both! {
    async fn a_patient_comes_back_to_the_first_doctor_who_is_free_again(world: World) {
        let deputy = deputy(world).await;
        let own = books(world, &world.asha, "09:20").await;
        let [doctor, deputy, asha] = until(world, "09:23", [&world.doctor, &deputy, &world.asha]).await;
        let visit = encounter_of(&own);
        let (mut patient, _) = Peer::enter(&asha.client, &visit).await;
        // He looks in, and is called away.
        let (mut desk, _) = Peer::enter(&doctor.client, &visit).await;
        assert!(visits(&deputy).await.is_empty());
        desk.say("leave", json!({"reason": "user"})).await;
        desk.closed().await;
        while visits(&deputy).await.is_empty() {
            actix_web::rt::time::sleep(std::time::Duration::from_millis(25)).await;
        }
        takes(&deputy, &own).await.expect(201);
        assert!(visits(&doctor).await.is_empty(), "she is on the way");
        assert_eq!(takes(&doctor, &own).await.refused(409), "already_taken");
        // She does not come; the first doctor has, meanwhile.
        let [doctor, asha] = until(world, "09:26", [&doctor, &asha]).await;
        takes(&doctor, &own).await.expect(201);
        let told = asks(&asha.client, &own).await;
        assert_eq!(told["taken_over"]["by"]["id"], json!(doctor.id));
        let (mut desk, welcome) = Peer::enter(&doctor.client, &visit).await;
        let me = welcome["body"]["roster"].as_array().unwrap().iter().find(|one| one["id"] == desk.id.as_str());
        assert_eq!(me.unwrap()["state"], "admitted");
        desk.say("admit", json!({"participant": patient.id})).await;
        assert!(Edge::of(&desk.hear_of("negotiate").await).offers);
        patient.hear_of("negotiate").await;
        let path = format!("/v1/appointments/{}", own["id"].as_str().unwrap());
        let shown = asha.client.get(&path).await;
        assert_eq!(shown.expect(200)["moves"].as_array().unwrap().len(), 2);
        drop(deputy);
    }
}
