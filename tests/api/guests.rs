//! What a visit owes those who are asked to it, and what it does not give them.

use chrono::TimeDelta;
use serde_json::{Value, json};

use crate::care::passes;
use crate::on_both;
use crate::participants::{
    INTERPRETER, SISTER, at, guest, interpreter, invite, open_the_door, post, sister, visit,
};
use crate::support::peer::{Peer, kinds};
use crate::support::world::made;
use crate::support::{Client, Engine, World, key};

async fn agrees(world: &World, to: &str, path: &str) -> Value {
    made(&world.asha.client, path, json!({"kind": to, "form_version": 1})).await
}

async fn takes_back(world: &World, consent: &Value) {
    let path = format!("/v1/consents/{}/withdraw", consent["id"].as_str().unwrap());
    post(&world.asha.client, &path, json!({})).await;
}

async fn state(doctor: &Client, visit: &str, id: &str) -> Value {
    let people = doctor.get(&at(visit, "/participants")).await.expect(200);
    let people = people["items"].as_array().unwrap();
    people.iter().find(|one| one["id"] == id).unwrap()["state"].clone()
}

on_both! {
    async fn a_trainee_is_there_only_as_long_as_the_patient_agrees(world: World) {
        let visit = visit(world).await;
        let doctor_s = &world.doctor.client;
        let whom = json!({"role": "trainee", "practitioner": world.colleague.id});
        let trainee = invite(doctor_s, &visit, whom.clone()).await;
        open_the_door(world);
        let (mut doctor, _) = Peer::enter(doctor_s, &visit).await;
        let (mut learns, _) = Peer::enter(&world.colleague.client, &visit).await;
        doctor.say("admit", json!({"participant": trainee})).await;
        assert_eq!(doctor.refused().await, "consent_missing");
        let admission = at(&visit, "/admit");
        let asked = json!({"participant": trainee});
        assert_eq!(doctor_s.once(&admission, &key(), &asked).await.refused(409), "consent_missing");

        // For all visits, and for this one: while one of them stands, the trainee stays.
        let patients = format!("/v1/patients/{}/consents", world.asha.id);
        let always = agrees(world, "trainee", &patients).await;
        let once = agrees(world, "trainee", &at(&visit, "/consents")).await;
        post(doctor_s, &admission, asked.clone()).await;
        takes_back(world, &always).await;
        assert_eq!(state(doctor_s, &visit, &trainee).await, "admitted");
        takes_back(world, &once).await;
        assert_eq!(state(doctor_s, &visit, &trainee).await, "removed");
        let (heard, code) = learns.hear_out().await;
        assert_eq!((kinds(&heard).last(), code), (Some(&"removed"), Some(4403)));

        // The one for all visits reaches into this visit as well.
        let always = agrees(world, "trainee", &patients).await;
        assert_eq!(invite(doctor_s, &visit, whom.clone()).await, trainee);
        let (mut learns, _) = Peer::enter(&world.colleague.client, &visit).await;
        post(doctor_s, &admission, asked.clone()).await;
        takes_back(world, &always).await;
        assert_eq!(learns.hear_out().await.1, Some(4403));
        // Another's word is not the patient's.
        for kind in ["trainee", "third_party", "telehealth"] {
            let people = doctor_s.get(&at(&visit, "/participants")).await.expect(200);
            let own = people["items"].as_array().unwrap().iter().find(|one| one["role"] == "practitioner").unwrap();
            let of_doctor = json!({"kind": kind, "form_version": 1, "participant": own["id"]});
            let said = doctor_s.once(&at(&visit, "/consents"), &key(), &of_doctor).await;
            assert_eq!(said.refused(422), "invalid_body", "{kind}");
        }
    }
}

on_both! {
    async fn without_the_consent_to_another_person_they_leave_and_family_stays(world: World) {
        let visit = visit(world).await;
        let doctor = &world.doctor.client;
        let agreed = agrees(world, "third_party", &at(&visit, "/consents")).await;
        let specialist = json!({"role": "specialist", "practitioner": world.colleague.id});
        let specialist = invite(doctor, &visit, specialist).await;
        let sister = invite(&world.asha.client, &visit, sister()).await;
        takes_back(world, &agreed).await;
        assert_eq!(state(doctor, &visit, &specialist).await, "removed");
        assert_eq!(state(doctor, &visit, &sister).await, "invited");
    }
}

on_both! {
    async fn a_telephone_that_was_asked_to_a_visit_is_free_for_its_owner(world: World) {
        let visit = visit(world).await;
        invite(&world.asha.client, &visit, sister()).await;
        let registers = |phone: &str| json!({
            "organization": world.clinic, "name": "Ольга Сергеевна", "birth_date": "1970-01-01",
            "phone": phone, "location": world.village, "language": "ru",
        });
        let registrar = &world.registrar.client;
        let made = registrar.once("/v1/patients", &key(), &registers(SISTER)).await;
        assert_eq!(made.expect(201)["name"], "Ольга Сергеевна");
        let again = registrar.once("/v1/patients", &key(), &registers(SISTER)).await;
        assert_eq!(again.refused(409), "already_exists", "now it is somebody's");
        let olga = guest(world, SISTER).await;
        assert_eq!(olga.get("/v1/me").await.expect(200)["account"]["name"], "Ольга Сергеевна");
        assert_eq!(olga.get("/v1/invitations").await.expect(200)["items"][0]["role"], "relative");
    }
}

on_both! {
    async fn a_guest_hears_when_it_is_elsewhere_and_never_the_code(world: World) {
        let booked = world.booked("2026-11-23T09:20:00+07:00").await;
        let visit = booked["encounter"]["id"].as_str().unwrap();
        let code = booked["code"].as_str().unwrap();
        let asked = invite(&world.asha.client, visit, sister()).await;
        world.house.sms_with(SISTER, "09:20").await;
        let path = format!("/v1/appointments/{}", booked["id"].as_str().unwrap());
        let later = json!({"start": "2026-11-23T09:40:00+07:00"});
        post(&world.asha.client, &format!("{path}/reschedule"), later).await;
        world.house.sms_with(SISTER, "09:40").await;

        // Rung in vain: a text without the code, to the page of guests; after a removal none.
        world.house.advance(TimeDelta::minutes(26));
        let doctor = world.resigned(&world.doctor).await.client;
        let asha = world.resigned(&world.asha).await.client;
        let rings = at(visit, "/rings");
        doctor.once(&rings, &key(), &json!({"participant": asked})).await.expect(201);
        passes(world, 45).await;
        passes(world, 45).await;
        let text = world.house.sms_with(SISTER, "врач ждёт").await;
        assert!(!text.contains(code) && !text.contains("#/visit/"), "{text}");
        let other = invite(&asha, visit, interpreter()).await;
        doctor.once(&rings, &key(), &json!({"participant": other})).await.expect(201);
        post(&asha, &at(visit, &format!("/participants/{other}/remove")), json!({})).await;
        let refused = doctor.once(&rings, &key(), &json!({"participant": other})).await;
        assert_eq!(refused.refused(409), "bad_state");
        post(&asha, &format!("{path}/cancel"), json!({})).await;
        world.house.sms_with(SISTER, "не будет").await;
        let sent = world.house.app.inbox.newest_first();
        assert!(!sent.iter().any(|sms| sms.to == INTERPRETER && sms.text.contains("врач ждёт")));
    }
}

on_both! {
    async fn whom_the_clinic_asks_comes_in_with_consent_and_whom_the_patient_brings_without(world: World) {
        let visit = visit(world).await;
        let (asha, doctor_s) = (&world.asha.client, &world.doctor.client);
        let advice = json!({"role": "specialist", "practitioner": world.colleague.id});
        let specialist = invite(doctor_s, &visit, advice).await;
        let called = invite(doctor_s, &visit, interpreter()).await;
        open_the_door(world);
        let (mut doctor, _) = Peer::enter(doctor_s, &visit).await;
        let (advisor, _) = Peer::enter(&world.colleague.client, &visit).await;
        let speaking = guest(world, INTERPRETER).await;
        let (speaks, _) = Peer::enter(&speaking, &visit).await;
        let admission = at(&visit, "/admit");
        for one in [&specialist, &called] {
            doctor.say("admit", json!({"participant": one})).await;
            assert_eq!(doctor.refused().await, "consent_missing");
            let refused = doctor_s.once(&admission, &key(), &json!({"participant": one})).await;
            assert_eq!(refused.refused(409), "consent_missing");
            assert_eq!(refused.body["consent"], "third_party");
            assert_eq!(state(doctor_s, &visit, one).await, "waiting");
        }

        // The doctor writes down what the patient says.
        let said = json!({"kind": "third_party", "form_version": 1});
        let agreed = made(doctor_s, &at(&visit, "/consents"), said).await;
        for one in [&specialist, &called] {
            post(doctor_s, &admission, json!({"participant": one})).await;
        }
        takes_back(world, &agreed).await;
        for (peer, id) in [(advisor, &specialist), (speaks, &called)] {
            let mut peer = peer;
            assert_eq!(peer.hear_out().await.1, Some(4403));
            assert_eq!(state(doctor_s, &visit, id).await, "removed");
        }

        // The same interpreter, asked by the patient, is the patient's, as family is: let in, and
        // not sent out.
        let olga = invite(asha, &visit, sister()).await;
        let (_olga, _) = Peer::enter(&guest(world, SISTER).await, &visit).await;
        assert_eq!(invite(asha, &visit, interpreter()).await, called);
        let (_speaks, _) = Peer::enter(&speaking, &visit).await;
        for one in [&olga, &called] {
            post(doctor_s, &admission, json!({"participant": one})).await;
        }
        takes_back(world, &agrees(world, "third_party", &at(&visit, "/consents")).await).await;
        for one in [&olga, &called] {
            assert_eq!(state(doctor_s, &visit, one).await, "admitted");
        }
    }
}

on_both! {
    async fn a_withdrawal_finds_whoever_is_asked_at_the_same_moment(world: World) {
        let visit = visit(world).await;
        let (asha, doctor) = (&world.asha.client, &world.doctor.client);
        let host = invite(asha, &visit, sister()).await;
        let patients = format!("/v1/patients/{}/consents", world.asha.id);
        let beside = json!({"role": "specialist", "practitioner": world.colleague.id, "sits_with": host});
        // One visit sends twelve invitations in a day.
        for round in 0..11 {
            let agreed = agrees(world, "third_party", &patients).await;
            let people = at(&visit, "/participants");
            let asked = key();
            let (answer, ()) = tokio::join!(doctor.once(&people, &asked, &beside), takes_back(world, &agreed));
            let states = world.house.count(
                "SELECT count(*) AS n FROM encounter_participants WHERE role = 'specialist' AND state <> 'removed'",
            );
            assert_eq!(states, 0, "round {round}");
            if answer.status != 201 {
                assert_eq!(answer.refused(409), "consent_missing", "round {round}");
            }
        }
    }
}
