//! The process ends and the next one opens: sound and picture flow on, the seats are still there.

use chrono::TimeDelta;
use serde_json::json;

use super::{Call, call, describe, entry, sdp, status, stays, tick, written};
use crate::on_both;
use crate::support::peer::{Edge, Peer, kinds};
use crate::support::{Client, Ending, Engine, House, World};

fn at(house: &House, client: &Client) -> Client {
    client.at(&house.url)
}

async fn shown(house: &House, world: &World, visit: &str) -> String {
    status(&at(house, &world.doctor.client), visit).await
}

/// Both come back to the next process and find each other as they were.
async fn both_come_back(world: &World, next: &House, call: Call) {
    let Call { visit, doctor, asha, doctors, ashas } = call;
    assert_eq!(shown(next, world, &visit).await, "in-progress");
    let (mut asha, resumed) = Peer::come_back(&next.url, &asha.cut()).await;
    assert_eq!(resumed["body"]["from_seq"], resumed["body"]["to_seq"]);
    let heard = asha.hear_all().await;
    assert_eq!(kinds(&heard), ["reset", "snapshot"]);
    let body = &heard[1]["body"];
    assert_eq!(entry(&body["roster"], &doctor.id)["state"], "reconnecting");
    assert_eq!(entry(&body["roster"], &asha.id)["state"], "admitted");
    assert_eq!(body["edges"][0]["id"], ashas.name, "the connection is kept");
    assert_eq!(body["edges"][0]["role"], "answerer");
    let (mut doctor, _) = Peer::come_back(&next.url, &doctor.cut()).await;
    let heard = doctor.hear_all().await;
    assert_eq!(kinds(&heard), ["reset", "snapshot"], "nothing is negotiated by itself");
    let kept = heard[1]["body"]["edges"][0]["gen"].as_u64().unwrap();
    assert!(kept > doctors.generation);
    let back = asha.hear().await;
    assert_eq!(back["body"]["participant"]["state"], "admitted");

    asha.say("ice_restart_request", json!({"edge": ashas.name, "why": "disconnected"})).await;
    let anew = Edge::of(&asha.hear().await);
    let doctors = Edge::of(&doctor.hear().await);
    assert_eq!(anew, Edge { offers: false, ..doctors.clone() });
    assert!(!anew.fresh && anew.generation > kept);
    doctor.say_on(&doctors, "offer", sdp("after the restart")).await;
    assert_eq!(asha.hear().await["body"], sdp("after the restart"));
    asha.say_on(&anew, "answer", sdp("after the restart")).await;
    assert_eq!(doctor.hear().await["t"], "answer");
    let stays = stays(&at(next, &world.doctor.client), &visit).await;
    assert!(stays.len() == 2 && stays.iter().all(|stay| stay.1.is_none()), "{stays:?}");
}

on_both! {
    async fn a_process_that_is_asked_to_stop_says_goodbye(world: World) {
        let mut call = call(world).await;
        describe(&mut call).await;
        tick(world);
        let (next, (asha, by_asha), (doctor, by_doctor)) = futures_util::join!(
            world.house.next_process(Ending::Asked),
            call.asha.hear_out(),
            call.doctor.hear_out()
        );
        assert_eq!((by_asha, by_doctor), (Some(1012), Some(1012)));
        for heard in [asha, doctor] {
            let bye = heard.last().unwrap();
            assert_eq!((&bye["t"], &bye["body"]["action"]), (&json!("bye"), &json!("resume")));
            assert!(bye["body"]["after_ms"].as_u64().unwrap() < 3000);
        }
        both_come_back(world, &next, call).await;
        next.close().await;
    }
}

on_both! {
    async fn a_process_that_dies_without_a_word_is_come_back_from_as_well(world: World) {
        let mut call = call(world).await;
        describe(&mut call).await;
        tick(world);
        let next = world.house.next_process(Ending::Killed).await;
        let (heard, code) = call.asha.hear_out().await;
        assert_eq!((kinds(&heard), code), (vec![], None));
        both_come_back(world, &next, call).await;
        next.close().await;
    }
}

on_both! {
    async fn whoever_does_not_come_back_to_the_next_process_has_left(world: World) {
        let Call { visit, asha, doctor, .. } = call(world).await;
        let next = world.house.next_process(Ending::Killed).await;
        let (mut asha, _) = Peer::come_back(&next.url, &asha.cut()).await;
        next.advance(TimeDelta::seconds(61));
        let left = asha.hear_of("peer").await;
        assert_eq!((&left["body"]["op"], &left["body"]["participant"]["id"]), (&json!("left"), &json!(doctor.id)));
        written(world, "lost", 1).await;
        assert_eq!(shown(&next, world, &visit).await, "onleave");
        let mut late = Peer::resume(&next.url, &doctor.cut()).await;
        assert_eq!(late.closed().await, Some(4401));
        let (mut doctor, welcome) = Peer::enter(&at(&next, &world.doctor.client), &visit).await;
        assert_eq!(entry(&welcome["body"]["roster"], &asha.id)["state"], "admitted");
        doctor.hear_of("negotiate").await;
        assert_eq!(shown(&next, world, &visit).await, "in-progress");
        next.close().await;
    }
}
