//! Leaving, which is not ending; and ending.

use actix_web::http::Method;
use chrono::TimeDelta;
use feldsher::call::gather::settle_end;
use serde_json::{Value, json};

use super::{Call, call, describe, entry, status, stays, tick, visit, written};
use crate::on_both;
use crate::support::peer::{Edge, Peer, kinds, ticket};
use crate::support::world::{PASSWORD, signed_in};
use crate::support::{Engine, World, key};

fn stay(role: &str, why: Option<&str>) -> (String, Option<String>) {
    (role.to_owned(), why.map(str::to_owned))
}

on_both! {
    async fn leaving_is_not_ending_for_either_side(world: World) {
        let mut call = call(world).await;
        describe(&mut call).await;
        let Call { visit, mut doctor, mut asha, doctors, .. } = call;
        doctor.say("leave", json!({"reason": "coffee"})).await;
        assert_eq!(doctor.closed().await, Some(1000));
        let left = asha.hear_of("peer").await;
        assert_eq!((&left["body"]["op"], &left["body"]["participant"]["id"]), (&json!("left"), &json!(doctor.id)));
        written(world, "left", 1).await;
        assert_eq!(status(&world.asha.client, &visit).await, "onleave");

        tick(world);
        let (mut doctor, welcome) = Peer::enter(&world.doctor.client, &visit).await;
        assert_eq!(entry(&welcome["body"]["roster"], &asha.id)["state"], "admitted");
        assert_eq!(asha.hear().await["body"]["op"], "joined");
        let anew = Edge::of(&asha.hear().await);
        assert!(anew.fresh && anew.generation > doctors.generation);
        assert_eq!(anew.name, doctors.name);
        assert_eq!(status(&world.asha.client, &visit).await, "in-progress");

        asha.say("leave", json!({})).await;
        assert_eq!(asha.closed().await, Some(1000));
        assert_eq!(doctor.hear_of("peer").await["body"]["op"], "left");
        written(world, "left", 2).await;
        assert_eq!(status(&world.asha.client, &visit).await, "onleave");
        tick(world);
        let (_asha, welcome) = Peer::enter(&world.asha.client, &visit).await;
        assert_eq!(entry(&welcome["body"]["roster"], &asha.id)["state"], "admitted");
        doctor.hear_of("negotiate").await;
        assert_eq!(status(&world.asha.client, &visit).await, "in-progress");
    }
}

async fn both_hear_the_end(world: &World, mut call: Call, outcome: &str) {
    for peer in [&mut call.doctor, &mut call.asha] {
        let (heard, code) = peer.hear_out().await;
        assert_eq!(code, Some(4410));
        let ended = heard.last().unwrap();
        assert_eq!(
            (&ended["t"], &ended["body"]),
            (&json!("ended"), &json!({"reason": "finished"}))
        );
    }
    let visit = &call.visit;
    let shown = world.asha.client.get(&format!("/v1/encounters/{visit}")).await.expect(200);
    assert_eq!((&shown["status"], &shown["outcome"]), (&json!("finished"), &json!(outcome)));
    assert_eq!(
        stays(&world.doctor.client, visit).await,
        [stay("patient", Some("finished")), stay("practitioner", Some("finished"))]
    );
    for who in [&world.asha, &world.doctor] {
        let late = who.client.post(&format!("/v1/encounters/{visit}/join"), &json!({})).await;
        assert_eq!(late.refused(410), "visit_over");
    }
    let mut back = Peer::resume(&world.house.url, &call.asha.cut()).await;
    assert_eq!(back.closed().await, Some(4410));
}

on_both! {
    async fn the_doctor_s_end_is_everybody_s(world: World) {
        let mut call = call(world).await;
        let unused = ticket(&world.asha.client, &call.visit).await;
        call.doctor.say("end", json!({"outcome": "technical_failure"})).await;
        both_hear_the_end(world, call, "technical_failure").await;
        let mut late = Peer::dial(&world.house.url).await;
        late.say("hello", json!({"ticket": unused})).await;
        assert_eq!(late.closed().await, Some(4410));
    }
}

on_both! {
    async fn finishing_over_http_is_the_same(world: World) {
        let call = call(world).await;
        let path = format!("/v1/encounters/{}/finish", call.visit);
        world.doctor.client.once(&path, &key(), &json!({})).await.expect(200);
        both_hear_the_end(world, call, "completed").await;
    }
}

on_both! {
    async fn going_on_by_telephone_is_an_end_too(world: World) {
        let call = call(world).await;
        let path = format!("/v1/encounters/{}/convert", call.visit);
        world.doctor.client.once(&path, &key(), &json!({"to": "phone"})).await.expect(200);
        both_hear_the_end(world, call, "converted_to_phone").await;
    }
}

on_both! {
    async fn whoever_waits_hears_that_the_visit_was_called_off(world: World) {
        let visit = visit(world).await;
        let (mut asha, _) = Peer::enter(&world.asha.client, &visit).await;
        let shown = world.doctor.client.get(&format!("/v1/encounters/{visit}")).await.expect(200);
        let appointment = shown["appointment"]["id"].as_str().unwrap();
        let path = format!("/v1/appointments/{appointment}/cancel");
        world.doctor.client.once(&path, &key(), &json!({"reason": "ill"})).await.expect(200);
        let (heard, code) = asha.hear_out().await;
        assert_eq!((kinds(&heard), code), (vec!["waiting", "ended"], Some(4410)));
        assert_eq!(status(&world.asha.client, &visit).await, "cancelled");
    }
}

/// Within two seconds of the answer that says that it is written down. The clock of the house stands,
/// so the look that each socket takes every half minute has no part in it.
async fn is_out_at_once(peer: &mut Peer) {
    let written = std::time::Instant::now();
    assert_eq!(peer.closed().await, Some(4401));
    assert!(written.elapsed() <= std::time::Duration::from_secs(2), "{:?}", written.elapsed());
}

on_both! {
    async fn signing_out_closes_the_sockets_of_that_sign_in_at_once(world: World) {
        let Call { visit, mut doctor, mut asha, .. } = call(world).await;
        let left = world.asha.client.post("/v1/auth/logout", &json!({})).await;
        assert_eq!(left.status, 204);
        is_out_at_once(&mut asha).await;
        assert_eq!(doctor.hear_of("peer").await["body"]["op"], "left");
        let mut back = Peer::resume(&world.house.url, &asha.cut()).await;
        assert_eq!(back.closed().await, Some(4401));
        written(world, "signed_out", 1).await;
        assert_eq!(status(&world.doctor.client, &visit).await, "onleave");
        assert!(doctor.lives().await);
    }
}

on_both! {
    async fn a_copied_refresh_token_ends_the_call_that_rests_on_it(world: World) {
        let Call { mut asha, .. } = call(world).await;
        let used = json!({"refresh_token": world.asha.refresh_token});
        let now = world.resigned(&world.asha).await;
        now.client.get("/v1/me").await.expect(200);
        let replayed = world.house.client().post("/v1/auth/refresh", &used).await;
        assert_eq!(replayed.refused(401), "session_over");
        is_out_at_once(&mut asha).await;
    }
}

on_both! {
    async fn a_doctor_whose_membership_ends_leaves_the_call(world: World) {
        let Call { mut doctor, mut asha, .. } = call(world).await;
        let path = format!("/v1/organizations/{}/members", world.clinic);
        let members = world.admin.client.get(&path).await.expect(200);
        let found = members["items"].as_array().unwrap().iter()
            .find(|member| member["account"]["name"] == "Анна Лебедева").unwrap();
        let path = format!("{path}/{}/doctor", found["account"]["id"].as_str().unwrap());
        let version = found["version"].as_i64().unwrap();
        let ended = json!({"state": "disabled"});
        world.admin.client.edit(Method::PATCH, &path, version, &ended).await.expect(200);
        is_out_at_once(&mut doctor).await;
        assert_eq!(asha.hear_of("peer").await["body"]["op"], "left");
    }
}

on_both! {
    async fn what_another_process_ended_is_noticed_within_half_a_minute(world: World) {
        let Call { mut doctor, mut asha, .. } = call(world).await;
        // Nobody tells this process.
        let ended = "UPDATE accounts SET security_version = security_version + 1 WHERE login = 'lebedeva'";
        world.house.execute(ended).unwrap();
        assert!(doctor.lives().await);
        world.house.advance(TimeDelta::seconds(31));
        assert_eq!(doctor.closed().await, Some(4401));
        assert!(asha.lives().await);
    }
}

on_both! {
    async fn a_talk_goes_on_when_its_time_has_run_out_until_one_of_the_two_leaves(world: World) {
        let visit = visit(world).await;
        let (mut asha, _) = Peer::enter(&world.asha.client, &visit).await;
        // A patient who has come keeps the door open two hours longer: until 11:40.
        world.house.advance(TimeDelta::minutes(149));
        let body = json!({"login": world.doctor.login, "password": PASSWORD});
        let tokens = world.house.client().post("/v1/auth/password", &body).await.expect(200);
        let present = signed_in(&world.house, &tokens, "lebedeva", world.doctor.id.clone());
        let (mut doctor, _) = Peer::enter(&present.client, &visit).await;
        doctor.say("admit", json!({"participant": asha.id})).await;
        doctor.hear_of("negotiate").await;
        let shown: Value = present.client.get(&format!("/v1/encounters/{visit}")).await.expect(200);
        assert_eq!(shown["closes_at"], "2026-11-23T05:05:00Z", "it moves on");
        world.house.advance(TimeDelta::minutes(6));
        // Every socket looks its seat up before it answers what comes next.
        assert!(world.house.app.rooms.tick().is_empty());
        assert!(doctor.lives().await && asha.lives().await);
        assert_eq!(status(&present.client, &visit).await, "in-progress");
        // Whoever lost their seat meanwhile comes back to the talk as well.
        ticket(&present.client, &visit).await;

        doctor.say("leave", json!({})).await;
        assert_eq!(doctor.closed().await, Some(1000));
        written(world, "left", 1).await;
        assert_eq!(status(&present.client, &visit).await, "onleave");
        world.house.advance(TimeDelta::seconds(31));
        its_time_is_over(&mut asha).await;
        written(world, "time_over", 1).await;
        let finish = format!("/v1/encounters/{visit}/finish");
        present.client.once(&finish, &key(), &json!({})).await.expect(200);
        assert_eq!(
            stays(&present.client, &visit).await,
            [stay("patient", Some("time_over")), stay("practitioner", Some("left"))]
        );
    }
}

async fn its_time_is_over(peer: &mut Peer) {
    let (heard, code) = peer.hear_out().await;
    assert_eq!(code, Some(4410));
    assert_eq!(heard.last().unwrap()["body"], json!({"reason": "time_over"}));
}

on_both! {
    async fn whoever_only_waits_hears_that_the_time_has_run_out(world: World) {
        let visit = visit(world).await;
        let (mut asha, _) = Peer::enter(&world.asha.client, &visit).await;
        world.house.advance(TimeDelta::minutes(155));
        its_time_is_over(&mut asha).await;
        written(world, "time_over", 1).await;
        let asha = world.resigned(&world.asha).await;
        assert_eq!(status(&asha.client, &visit).await, "arrived");
        let late = asha.client.post(&format!("/v1/encounters/{visit}/join"), &json!({})).await;
        assert_eq!(late.refused(410), "visit_over");
    }
}

on_both! {
    async fn a_socket_does_not_outlive_a_sign_in_that_nobody_uses(world: World) {
        let visit = visit(world).await;
        let (mut doctor, _) = Peer::enter(&world.doctor.client, &visit).await;
        let (mut asha, _) = Peer::enter(&world.asha.client, &visit).await;
        // The doctor signed in at nine; it is past half past.
        world.house.advance(TimeDelta::minutes(26));
        assert_eq!(doctor.closed().await, Some(4401));
        let mut back = Peer::resume(&world.house.url, &doctor.cut()).await;
        assert_eq!(back.closed().await, Some(4401));
        written(world, "signed_out", 1).await;
        assert!(asha.lives().await, "patients are signed in for a week");
    }
}

on_both! {
    async fn a_talk_is_not_cut_off_by_a_sign_in_that_runs_out_meanwhile(world: World) {
        let Call { mut doctor, mut asha, .. } = call(world).await;
        world.house.advance(TimeDelta::minutes(26));
        // Every socket looks its seat up before it answers what comes next.
        assert!(world.house.app.rooms.tick().is_empty());
        assert!(doctor.lives().await && asha.lives().await);
        doctor.say("hold", json!({"participant": asha.id})).await;
        asha.hear_of("waiting").await;
        world.house.advance(TimeDelta::seconds(31));
        assert_eq!(doctor.closed().await, Some(4401));
        assert!(asha.lives().await);
    }
}

on_both! {
    async fn a_late_word_of_the_end_does_not_close_a_visit_that_goes_on(world: World) {
        let mut call = call(world).await;
        call.doctor.say("end", json!({"outcome": "completed"})).await;
        call.doctor.hear_out().await;
        call.asha.hear_out().await;
        let path = format!("/v1/encounters/{}", call.visit);
        world.doctor.client.post(&format!("{path}/reopen"), &json!({})).await.expect(200);
        // Another process says that it has ended, or that it has not: what is written counts.
        let visit = call.visit.parse().unwrap();
        settle_end(&world.house.app, visit).await;
        let (_doctor, _) = Peer::enter(&world.doctor.client, &call.visit).await;
        let (mut asha, _) = Peer::enter(&world.asha.client, &call.visit).await;
        let end = json!({"outcome": "completed"});
        world.doctor.client.post(&format!("{path}/finish"), &end).await.expect(200);
        asha.hear_out().await;
        settle_end(&world.house.app, visit).await;
        let mut back = Peer::resume(&world.house.url, &asha.cut()).await;
        assert_eq!(back.closed().await, Some(4410));
    }
}
