//! The line breaks, and what must not break with it.

use chrono::TimeDelta;
use feldsher::base::ctx::as_system;
use feldsher::call::departure::Departure;
use feldsher::call::seat;
use feldsher::encounter::presence::LeftWhy;
use serde_json::json;

use super::{Call, NOTHING, call, describe, entry, sdp, status, stays, tick, visit, written};
use crate::on_both;
use crate::support::peer::{Edge, Peer, kinds};
use crate::support::{Engine, World};

on_both! {
    async fn whoever_comes_back_hears_exactly_what_was_missed(world: World) {
        let mut call = call(world).await;
        describe(&mut call).await;
        let Call { mut doctor, asha, doctors, ashas, .. } = call;
        let seat = asha.cut();
        doctor.say("media_state", json!({"audio": true, "video": false})).await;
        for number in 0..20 {
            let candidate = json!({"candidate": format!("candidate:{number}")});
            doctor.say_on(&doctors, "candidate", candidate).await;
        }
        doctor.hear_all().await;
        let (mut asha, resumed) = Peer::come_back(&world.house.url, &seat).await;
        let body = &resumed["body"];
        assert_eq!(body["epoch"], 2);
        assert_eq!((&body["from_seq"], &body["to_seq"]), (&json!(seat.last_seq), &json!(seat.last_seq + 22)));
        let heard = asha.hear_all().await;
        let mut expected = vec!["peer", "media_state"];
        expected.extend(["candidate"; 20]);
        expected.push("snapshot");
        assert_eq!(kinds(&heard), expected);
        for (number, message) in heard[2..22].iter().enumerate() {
            assert_eq!(message["body"]["candidate"], json!(format!("candidate:{number}")));
        }
        let edges = &heard[22]["body"]["edges"];
        assert_eq!(edges.as_array().unwrap().len(), 1);
        assert_eq!((&edges[0]["id"], &edges[0]["gen"]), (&ashas.name, &json!(ashas.generation)));
        assert_eq!((&edges[0]["peer"], &edges[0]["role"]), (&json!(doctor.id), &json!("answerer")));
        assert_eq!(kinds(&doctor.hear_all().await), NOTHING, "nothing is negotiated anew");
    }
}

on_both! {
    async fn whoever_comes_back_brings_what_the_room_was_not_told(world: World) {
        let mut call = call(world).await;
        describe(&mut call).await;
        let Call { mut doctor, asha, .. } = call;
        doctor.hear_all().await;
        let seat = asha.cut();
        // Written down by a process that died before it could tell anybody.
        for sql in [
            "UPDATE encounter_participants SET state = 'waiting', admitted_at = NULL WHERE role = 'patient'",
            "UPDATE encounters SET room_rev = room_rev + 1",
        ] {
            world.house.execute(sql).unwrap();
        }
        let (mut asha, _) = Peer::come_back(&world.house.url, &seat).await;
        asha.hear_of("waiting").await;
        let snapshots: Vec<_> =
            asha.hear_all().await.into_iter().filter(|one| one["t"] == "snapshot").collect();
        let last = &snapshots.last().unwrap()["body"];
        assert_eq!(last["edges"], json!([]));
        assert_eq!(entry(&last["roster"], &asha.id)["state"], "waiting");
        let told = doctor.hear_all().await;
        assert!(told.iter().any(|one| one["body"]["participant"]["state"] == "waiting"), "{told:?}");
    }
}

on_both! {
    async fn a_departure_that_is_written_late_ends_no_seat_that_was_come_back_to(world: World) {
        let call = call(world).await;
        let seat = call.asha.cut();
        let (asha, _) = Peer::come_back(&world.house.url, &seat).await;
        let gone = Departure {
            encounter: call.visit.parse().unwrap(),
            participant: asha.id.parse().unwrap(),
            sid: seat.sid.as_str().unwrap().parse().unwrap(),
            epoch: 1,
            why: LeftWhy::Lost,
        };
        let open = || world.house.count("SELECT count(*) AS n FROM rtc_sessions WHERE ended_at IS NULL");
        as_system(&world.house.app, move |tx| seat::give_up(tx, gone)).await.unwrap();
        assert_eq!(open(), 2, "somebody sits there");
        let (mut asha, _) = Peer::come_back(&world.house.url, &asha.cut()).await;
        assert!(asha.lives().await);
        let gone = Departure { epoch: 3, ..gone };
        as_system(&world.house.app, move |tx| seat::give_up(tx, gone)).await.unwrap();
        assert_eq!(open(), 1);
    }
}

on_both! {
    async fn what_was_acknowledged_is_not_said_again(world: World) {
        let Call { mut doctor, mut asha, .. } = call(world).await;
        let behind = { let mut seat = asha.seat.clone(); seat.last_seq -= 1; seat };
        asha.send(json!({"v": 1, "t": "ack", "ack": asha.seat.last_seq, "body": {}})).await;
        asha.hear_all().await;
        let full = asha.cut();
        doctor.hear_all().await;
        // It says less than it acknowledged: those messages are gone, and it is told so.
        let (mut asha, resumed) = Peer::come_back(&world.house.url, &behind).await;
        assert_eq!(resumed["body"]["to_seq"], json!(behind.last_seq));
        let heard = asha.hear_all().await;
        assert_eq!(kinds(&heard)[..2], ["reset", "snapshot"]);
        assert_eq!(heard[0]["body"], json!({"reason": "messages_lost"}));
        assert!(full.last_seq > behind.last_seq);
    }
}

on_both! {
    async fn a_negotiation_that_is_over_comes_back_as_a_number_alone(world: World) {
        let mut call = call(world).await;
        describe(&mut call).await;
        let Call { mut doctor, asha, doctors, .. } = call;
        let seat = asha.cut();
        doctor.say_on(&doctors.with_neg(2), "offer", sdp("OLD")).await;
        doctor.say("negotiate_request", json!({"edge": doctors.name})).await;
        doctor.hear_of("negotiate").await;
        let (mut asha, _) = Peer::come_back(&world.house.url, &seat).await;
        let heard = asha.hear_all().await;
        assert_eq!(kinds(&heard)[..3], ["withdrawn", "negotiate", "snapshot"]);
        assert!(heard.iter().all(|message| !message.to_string().contains("OLD")));
    }
}

on_both! {
    async fn a_lost_answer_to_a_resume_costs_nothing(world: World) {
        let Call { asha, .. } = call(world).await;
        let seat = asha.cut();
        for epoch in 2..5 {
            // Each time only the first epoch is known: the answers were lost.
            let (peer, resumed) = Peer::come_back(&world.house.url, &seat).await;
            assert_eq!(resumed["body"]["epoch"], json!(epoch));
            peer.cut();
        }
    }
}

on_both! {
    async fn a_new_socket_fences_off_the_old_one(world: World) {
        let mut call = call(world).await;
        describe(&mut call).await;
        let Call { mut doctor, mut asha, ashas, .. } = call;
        let (mut again, _) = Peer::come_back(&world.house.url, &asha.seat).await;
        asha.say_on(&ashas, "candidate", json!({"candidate": "FENCED"})).await;
        assert_eq!(asha.closed().await, Some(4409));
        again.say_on(&ashas, "candidate", json!({"candidate": "heard"})).await;
        again.hear_all().await;
        let heard = doctor.hear_all().await;
        assert_eq!(kinds(&heard), ["candidate"]);
        assert_eq!(heard[0]["body"]["candidate"], "heard");
        // Twenty tabs come back at once: one has the seat.
        let seat = again.cut();
        let rush = (0..20).map(|_| Peer::resume(&world.house.url, &seat));
        let mut peers = futures_util::future::join_all(rush).await;
        // Each was answered, so whoever is to be fenced off has been.
        let answers = futures_util::future::join_all(peers.iter_mut().map(Peer::next)).await;
        assert!(answers.iter().any(Result::is_ok));
        let alive = futures_util::future::join_all(peers.iter_mut().map(Peer::lives)).await;
        assert_eq!(alive.iter().filter(|alive| **alive).count(), 1);
    }
}

on_both! {
    async fn the_newest_device_has_the_seat(world: World) {
        let Call { visit, mut doctor, mut asha, ashas, .. } = call(world).await;
        let (mut tablet, welcome) = Peer::enter(&world.asha.client, &visit).await;
        assert_eq!(tablet.id, asha.id);
        assert_ne!(tablet.seat.sid, asha.seat.sid);
        assert_eq!(entry(&welcome["body"]["roster"], &tablet.id)["state"], "admitted");
        assert_eq!(asha.closed().await, Some(4409));
        let mut back = Peer::resume(&world.house.url, &asha.cut()).await;
        assert_eq!(back.closed().await, Some(4409));
        let anew = Edge::of(&tablet.hear_of("negotiate").await);
        assert!(anew.fresh && anew.generation > ashas.generation);
        let heard = doctor.hear_all().await;
        assert!(heard.iter().all(|message| message["body"]["op"] != "left"), "{heard:?}");
        assert_eq!(Edge::of(heard.iter().find(|one| one["t"] == "negotiate").unwrap()).name, anew.name);
        assert_eq!(stays(&world.doctor.client, &visit).await.len(), 2, "nobody left");

        // The later seat is the later one within one instant too, and where a clock is behind.
        for behind in [0, 0, 0, 2, 2] {
            world.house.advance(TimeDelta::seconds(-behind));
            let (next, _) = Peer::enter(&world.asha.client, &visit).await;
            assert_eq!(tablet.closed().await, Some(4409));
            tablet = next;
        }
        assert!(tablet.lives().await);
    }
}

on_both! {
    async fn a_long_silence_is_mentioned_and_at_last_the_seat_is_given_up(world: World) {
        let Call { visit, mut doctor, asha, .. } = call(world).await;
        let id = asha.id.clone();
        let seat = asha.cut();
        lost(world, 1).await;
        world.house.advance(TimeDelta::seconds(4));
        let told = doctor.hear().await;
        assert_eq!((&told["t"], &told["body"]["op"]), (&json!("peer"), &json!("state")));
        assert_eq!(told["body"]["participant"]["state"], "reconnecting");
        let (asha, _) = Peer::come_back(&world.house.url, &seat).await;
        assert_eq!(doctor.hear().await["body"]["participant"]["state"], "admitted");
        assert_eq!(status(&world.doctor.client, &visit).await, "in-progress", "nobody has left");

        let seat = asha.cut();
        lost(world, 1).await;
        world.house.advance(TimeDelta::seconds(181));
        let left = doctor.hear_of("peer").await;
        assert_eq!((&left["body"]["op"], &left["body"]["participant"]["id"]), (&json!("left"), &json!(id)));
        written(world, "lost", 1).await;
        assert_eq!(status(&world.doctor.client, &visit).await, "onleave");
        let mut back = Peer::resume(&world.house.url, &seat).await;
        assert_eq!(back.closed().await, Some(4401));
        tick(world);
        let (asha, _) = Peer::enter(&world.asha.client, &visit).await;
        assert_eq!(asha.id, id);
        doctor.hear_of("negotiate").await;
        assert_eq!(status(&world.doctor.client, &visit).await, "in-progress", "once let in, always let in");
        let stays = stays(&world.doctor.client, &visit).await;
        let patient: Vec<_> = stays.iter().filter(|stay| stay.0 == "patient").collect();
        assert_eq!(patient.len(), 2);
        assert_eq!(patient[0].1.as_deref(), Some("lost"));
    }
}

/// A process takes the patient's seat again for them, and does not get as far as the room.
fn taken_again(world: &World) {
    let sql = "UPDATE rtc_sessions SET epoch = epoch + 1 WHERE participant_id IN
        (SELECT id FROM encounter_participants WHERE role = 'patient')";
    world.house.execute(sql).unwrap();
}

/// Lets more time pass than somebody may be on the way to the room, and the rooms hear of it.
async fn nobody_is_on_the_way(world: &World) {
    world.house.advance(TimeDelta::seconds(31));
    tick(world);
    actix_web::rt::time::sleep(std::time::Duration::from_millis(50)).await;
}

on_both! {
    async fn a_seat_that_was_taken_again_and_not_come_back_to_is_given_up(world: World) {
        let Call { mut doctor, asha, .. } = call(world).await;
        let _seat = asha.cut();
        lost(world, 1).await;
        taken_again(world);
        world.house.advance(TimeDelta::seconds(181));
        while doctor.hear_of("peer").await["body"]["op"] != "left" {}
        let left = "SELECT count(*) AS n FROM call_events WHERE why = 'lost'";
        for _ in 0..200 {
            if world.house.count(left) == 1 {
                break;
            }
            nobody_is_on_the_way(world).await;
        }
        assert_eq!(world.house.count(left), 1, "nobody wrote down that she is gone");
        let open = "SELECT count(*) AS n FROM rtc_sessions WHERE ended_at IS NULL";
        assert_eq!(world.house.count(open), 1);
    }
}

on_both! {
    async fn whoever_is_late_for_a_seat_that_was_taken_again_keeps_it(world: World) {
        let Call { mut doctor, asha, .. } = call(world).await;
        let seat = asha.cut();
        lost(world, 1).await;
        taken_again(world);
        world.house.advance(TimeDelta::seconds(181));
        while doctor.hear_of("peer").await["body"]["op"] != "left" {}
        let (mut asha, _) = Peer::come_back(&world.house.url, &seat).await;
        for _ in 0..4 {
            nobody_is_on_the_way(world).await;
            assert!(asha.lives().await && doctor.lives().await);
        }
        assert_eq!(world.house.count("SELECT count(*) AS n FROM call_events WHERE why = 'lost'"), 0);
        let open = "SELECT count(*) AS n FROM rtc_sessions WHERE ended_at IS NULL";
        assert_eq!(world.house.count(open), 2);
    }
}

on_both! {
    async fn whose_sound_still_arrives_keeps_the_seat_longer(world: World) {
        let mut call = call(world).await;
        describe(&mut call).await;
        let Call { mut doctor, asha, doctors, .. } = call;
        let seat = asha.cut();
        lost(world, 1).await;
        let report = json!({
            "rtt": 84, "jitter": 6, "loss_in": 0.012, "loss_out": 0.0, "bitrate": 412_000,
            "mos": 4.2, "transport": "relay/udp"
        });
        for _ in 0..20 {
            world.house.advance(TimeDelta::seconds(10));
            doctor.say_on(&doctors, "quality", report.clone()).await;
            let heard = doctor.hear_all().await;
            assert!(heard.iter().all(|message| message["body"]["op"] != "left"), "{heard:?}");
        }
        let (mut asha, _) = Peer::come_back(&world.house.url, &seat).await;
        let heard = asha.hear_all().await;
        assert!(kinds(&heard).contains(&"snapshot"), "after two hundred seconds: {heard:?}");
    }
}

on_both! {
    async fn a_silent_doctor_is_gone_for_those_who_wait(world: World) {
        let visit = visit(world).await;
        let (mut asha, _) = Peer::enter(&world.asha.client, &visit).await;
        let (doctor, _) = Peer::enter(&world.doctor.client, &visit).await;
        asha.hear_all().await;
        let seat = doctor.cut();
        lost(world, 1).await;
        world.house.advance(TimeDelta::seconds(4));
        assert_eq!(asha.hear_of("waiting").await["body"]["practitioner_here"], false);
        let (_doctor, _) = Peer::come_back(&world.house.url, &seat).await;
        assert_eq!(asha.hear_of("waiting").await["body"]["practitioner_here"], true);
    }
}

/// Waits until the server has noticed that lines are gone; so many are left.
async fn lost(world: &World, left: usize) {
    for _ in 0..400 {
        if world.house.app.rooms.line_count() == left {
            return;
        }
        actix_web::rt::time::sleep(std::time::Duration::from_millis(25)).await;
    }
    panic!("{left} lines were to be left");
}
