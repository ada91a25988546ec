//! The media ladder over the wire, and the record that is left of a call.

use chrono::TimeDelta;
use feldsher::call::record::{Kept, Mark, MarkKind, ledger};
use feldsher::encounter::ParticipantId;
use serde_json::{Value, json};

use super::{Call, call, describe, tick, visit, written};
use crate::on_both;
use crate::support::peer::{Edge, Peer, kinds, ticket};
use crate::support::{Client, Ending, Engine, World};

fn report(loss: f64) -> Value {
    json!({
        "rtt": 80, "jitter": 5, "loss_in": loss, "loss_out": 0.0, "bitrate": 412_000, "mos": 4.1,
        "transport": "relay/udp", "room": 900_000, "sent": 1000, "received": 2000, "rung": "video"
    })
}

/// Both report, and five seconds pass; what the doctor has heard of it.
async fn both_report(world: &World, call: &mut Call, loss: f64) -> Vec<Value> {
    call.doctor.say_on(&call.doctors, "quality", report(loss)).await;
    call.asha.say_on(&call.ashas, "quality", report(loss)).await;
    call.asha.hear_all().await;
    let heard = call.doctor.hear_all().await;
    world.house.advance(TimeDelta::seconds(5));
    heard
}

on_both! {
    async fn what_one_side_measures_both_sides_hear_and_a_resume_knows_it(world: World) {
        let mut call = call(world).await;
        describe(&mut call).await;
        // One side alone finds the line bad.
        call.asha.say_on(&call.ashas, "quality", report(0.08)).await;
        call.asha.say_on(&call.ashas, "quality", report(0.08)).await;
        for peer in [&mut call.doctor, &mut call.asha] {
            let rung = peer.hear_of("rung").await;
            assert!(rung["seq"].is_u64(), "it is numbered");
            let body = &rung["body"];
            assert_eq!(body["edge"], call.doctors.name);
            assert_eq!((&body["rung"], &body["why"]), (&json!("audio_stills"), &json!("loss")));
            let send = json!({"audio_bps": 24_000, "video": null, "still_secs": 6});
            assert_eq!(body["send"], send);
            peer.send(json!({"v": 1, "t": "rung_ack", "edge": body["edge"], "body": {"step": body["step"]}})).await;
        }
        let (mut asha, _) = Peer::come_back(&world.house.url, &call.asha.cut()).await;
        let snapshot = asha.hear_of("snapshot").await;
        let ladder = &snapshot["body"]["edges"][0]["ladder"];
        assert_eq!((&ladder["rung"], &ladder["step"]), (&json!("audio_stills"), &json!(1)));
    }
}

on_both! {
    async fn a_wish_is_heard_by_both_with_who_has_it_and_the_telephone_needs_both(world: World) {
        let mut call = call(world).await;
        describe(&mut call).await;
        let wish = |rung: &str, why: &str| json!({"rung": rung, "why": why});
        call.asha.say_on(&call.ashas, "fallback", wish("audio_stills", "data_saver")).await;
        let told = call.doctor.hear_of("rung").await;
        assert_eq!(told["body"]["by"], json!(call.asha.id));
        assert_eq!(told["body"]["why"], "data_saver");
        call.asha.say_on(&call.ashas, "fallback", json!({"rung": "phone"})).await;
        let told = call.doctor.hear_of("rung").await;
        assert_eq!(told["body"]["rung"], "audio_stills", "one alone does not end the talk");
        assert_eq!(told["body"]["phone"], json!({"proposed": false, "agreed": [call.asha.id]}));
        call.doctor.say_on(&call.doctors, "fallback", json!({"rung": "phone"})).await;
        let told = call.asha.hear_of("rung").await;
        assert_eq!(told["body"]["why"], "data_saver");
        while call.asha.hear_of("rung").await["body"]["rung"] != "phone" {}
        // Nonsense is refused, and a stranger's edge is not there.
        call.asha.say_on(&call.ashas, "fallback", json!({"rung": "semaphore"})).await;
        assert_eq!(call.asha.refused().await, "bad_request");
        call.asha.say_on(&call.ashas, "fallback", json!({"rung": "audio", "why": "mood"})).await;
        assert_eq!(call.asha.refused().await, "bad_request");
        let nowhere = Edge { name: json!("e0"), ..call.ashas.clone() };
        call.asha.say_on(&nowhere, "fallback", json!({"rung": "audio"})).await;
        assert_eq!(call.asha.refused().await, "peer_gone");
    }
}

on_both! {
    async fn after_a_restart_nobody_is_sent_up_again_by_mistake(world: World) {
        let mut call = call(world).await;
        describe(&mut call).await;
        call.asha.say_on(&call.ashas, "fallback", json!({"rung": "audio", "why": "no_media"})).await;
        call.doctor.hear_of("rung").await;
        tick(world);
        let next = world.house.next_process(Ending::Killed).await;
        let (mut doctor, _) = Peer::come_back(&next.url, &call.doctor.cut()).await;
        let snapshot = doctor.hear_of("snapshot").await;
        assert_eq!(snapshot["body"]["edges"][0].get("ladder"), None, "it does not know");
        let (mut asha, _) = Peer::come_back(&next.url, &call.asha.cut()).await;
        asha.hear_of("snapshot").await;
        let mut on_audio = report(0.0);
        on_audio["rung"] = json!("audio");
        asha.say_on(&call.ashas, "quality", on_audio).await;
        let told = doctor.hear_of("rung").await;
        assert_eq!((&told["body"]["rung"], &told["body"]["why"]), (&json!("audio"), &json!("begun")));
        next.close().await;
    }
}

/// Takes a seat with a page that says what it is.
async fn enter_as(client: &Client, visit: &str, page: &str) -> Peer {
    let ticket = ticket(client, visit).await;
    let mut peer = Peer::dial(&client.url).await;
    peer.say("hello", json!({"ticket": ticket, "client": page})).await;
    let welcome = peer.hear().await;
    peer.take_seat(&welcome);
    peer
}

async fn record(world: &World, client: &Client, visit: &str) -> Value {
    ledger::flush(&world.house.app).await;
    client.get(&format!("/v1/encounters/{visit}/call")).await.expect(200)
}

fn person<'a>(record: &'a Value, role: &str) -> &'a Value {
    record["people"].as_array().unwrap().iter().find(|one| one["role"] == role).unwrap()
}

on_both! {
    async fn the_record_says_who_was_there_and_how_the_line_was(world: World) {
        let visit = visit(world).await;
        let mut asha = enter_as(&world.asha.client, &visit, "web/chromium/phone").await;
        asha.say("presence", json!({"state": "ready"})).await;
        asha.hear_all().await;
        tick(world);
        let mut doctor = enter_as(&world.doctor.client, &visit, "web/firefox/desktop").await;
        tick(world);
        doctor.say("admit", json!({"participant": asha.id})).await;
        let doctors = Edge::of(&doctor.hear_of("negotiate").await);
        let ashas = Edge::of(&asha.hear_of("negotiate").await);
        let mut call = Call { visit, doctor, asha, doctors, ashas };
        describe(&mut call).await;
        for _ in 0..14 {
            both_report(world, &mut call, 0.0).await;
        }
        both_report(world, &mut call, 0.05).await;
        let heard = both_report(world, &mut call, 0.05).await;
        assert_eq!(kinds(&heard), ["rung"], "two bad reports");
        call.asha.say_on(&call.ashas, "ice_restart_request", json!({})).await;
        call.doctor.hear_of("negotiate").await;
        tick(world);
        call.asha.say("leave", json!({})).await;
        call.asha.closed().await;
        call.doctor.hear_of("peer").await;
        written(world, "left", 1).await;

        let shown = record(world, &world.doctor.client, &call.visit).await;
        let (patient, practitioner) = (person(&shown, "patient"), person(&shown, "practitioner"));
        assert_eq!((&patient["browser"], &patient["form"]), (&json!("chromium"), &json!("phone")));
        assert_eq!(practitioner["browser"], "firefox");
        let marks: Vec<_> = patient["marks"].as_array().unwrap().iter().map(|mark| mark["kind"].clone()).collect();
        assert_eq!(marks, [json!("ready"), json!("admitted")]);
        assert_eq!(patient["stays"][0]["why"], "left");

        assert_eq!(shown["edges"].as_array().unwrap().len(), 1);
        let edge = &shown["edges"][0];
        assert_eq!(edge["ends"], json!([call.doctor.id, call.asha.id]));
        assert_eq!(edge["why"], "left");
        let rungs: Vec<_> = edge["rungs"].as_array().unwrap().iter().map(|span| (span["rung"].clone(), span["why"].clone())).collect();
        assert_eq!(rungs, [(json!("video"), json!("begun")), (json!("small_video"), json!("loss"))]);
        assert_eq!(edge["anew"][0]["kind"], "restart");
        let ways: Vec<_> = edge["ways"].as_array().unwrap().iter().map(|way| way["way"].clone()).collect();
        assert_eq!(ways, [json!("relay/udp"), json!("relay/udp")], "as each side sees it");
        let minutes = edge["minutes"].as_array().unwrap();
        assert!(minutes.len() >= 4, "two minutes of two sides: {minutes:?}");
        let of_both: i64 = minutes.iter().map(|minute| minute["reports"].as_i64().unwrap()).sum();
        assert_eq!(of_both, 32);
        let received: i64 = minutes.iter().map(|minute| minute["received"].as_i64().unwrap()).sum();
        assert_eq!(received, 32 * 2000);
        assert!(minutes.iter().any(|minute| minute["loss"]["worst"] == 0.05), "{minutes:?}");
        assert_eq!(minutes[0]["rtt"], json!({"p50": 80.0, "worst": 80.0}));
        let outcome = &shown["outcome"];
        assert_eq!((&outcome["modality"], &outcome["reconnects"]), (&json!("video"), &json!(1)));
        assert_eq!(outcome["technical_failure"], false);

        // The patient sees their own side, without figures and without what others came with.
        let own = record(world, &world.asha.client, &call.visit).await;
        assert_eq!(person(&own, "patient")["form"], "phone");
        assert_eq!(person(&own, "practitioner").get("browser"), None);
        assert_eq!(person(&own, "practitioner")["marks"], json!([]));
        assert_eq!(own["edges"][0]["rungs"], edge["rungs"]);
        for hidden in ["minutes", "ways"] {
            assert_eq!(own["edges"][0].get(hidden), None, "{hidden}");
        }
        // It tells nobody what was said on the wire, or where anybody is.
        let text = shown.to_string();
        for secret in ["candidate", "192.0.2", "v=0", "secret"] {
            assert!(!text.contains(secret), "{secret} is in {text}");
        }
    }
}

on_both! {
    async fn two_who_never_heard_each_other_are_advised_not_to_blame_the_patient(world: World) {
        let mut call = call(world).await;
        let before = record(world, &world.registrar.client, &call.visit).await;
        assert_eq!(before["outcome"]["technical_failure"], false, "it is too early to say");
        world.house.advance(TimeDelta::seconds(25));
        call.asha.say("leave", json!({})).await;
        call.asha.closed().await;
        written(world, "left", 1).await;
        let shown = record(world, &world.registrar.client, &call.visit).await;
        let outcome = &shown["outcome"];
        assert_eq!((&outcome["modality"], &outcome["failures"]), (&json!("none"), &json!(["never_connected"])));
        assert_eq!(outcome["noshow_advice"], "link");
        let own = record(world, &world.asha.client, &call.visit).await;
        assert_eq!(own["outcome"]["noshow_advice"], Value::Null, "advice is for the clinic");
        call.doctor.say("end", json!({"outcome": "technical_failure"})).await;
        call.doctor.closed().await;
        let shown = record(world, &world.doctor.client, &call.visit).await;
        assert_eq!(shown["ended_as"], "technical_failure");
        assert_eq!(shown["outcome"]["failures"], json!(["said", "never_connected"]));
    }
}

on_both! {
    async fn what_was_written_survives_the_process_and_the_lists_are_closed(world: World) {
        let mut call = call(world).await;
        describe(&mut call).await;
        for _ in 0..13 {
            both_report(world, &mut call, 0.0).await;
        }
        ledger::flush(&world.house.app).await;
        let next = world.house.next_process(Ending::Killed).await;
        let path = format!("/v1/encounters/{}/call", call.visit);
        let shown = world.doctor.client.at(&next.url).get(&path).await.expect(200);
        let edge = &shown["edges"][0];
        assert_eq!(edge["minutes"].as_array().unwrap().len(), 2, "the minute that ran is lost");
        assert_eq!(edge["up"].as_array().unwrap().len(), 1);
        next.close().await;
        for (column, wrong) in [("kind", "sneezed"), ("why", "mood"), ("way", "pigeon"), ("rung", "semaphore"), ("form", "toaster")] {
            let sql = format!("UPDATE call_marks SET {column} = '{wrong}'");
            assert!(world.house.execute(&sql).is_err(), "{column} takes {wrong}");
        }
        assert!(world.house.execute("UPDATE call_minutes SET loss_p95 = 10001").is_err());
    }
}

on_both! {
    async fn minutes_are_kept_for_ninety_days_and_the_rest_stays(world: World) {
        let mut call = call(world).await;
        describe(&mut call).await;
        both_report(world, &mut call, 0.0).await;
        call.asha.say("leave", json!({})).await;
        call.asha.closed().await;
        ledger::flush(&world.house.app).await;
        let count = |table: &str| world.house.count(&format!("SELECT count(*) AS n FROM {table}"));
        assert!(count("call_minutes") > 0);
        world.house.advance(TimeDelta::days(89));
        feldsher::base::retention::sweep(&world.house.app).await;
        assert!(count("call_minutes") > 0);
        let marks = count("call_marks");
        world.house.advance(TimeDelta::days(2));
        feldsher::base::retention::sweep(&world.house.app).await;
        assert_eq!(count("call_minutes"), 0);
        assert!(count("call_marks") >= marks, "they belong to the visit");
    }
}

on_both! {
    async fn what_a_page_says_too_often_hides_nothing_and_a_row_that_cannot_be_written_takes_no_other(world: World) {
        let mut call = call(world).await;
        describe(&mut call).await;
        both_report(world, &mut call, 0.0).await;
        let (visit, now) = (call.visit.parse().unwrap(), world.house.now());
        let ledger = &world.house.app.rooms.ledger;
        let asha: ParticipantId = call.asha.id.parse().unwrap();
        let nobody = ParticipantId(uuid::Uuid::from_u128(7));
        // Long before the talk, so that they would come first.
        for second in 0..2500 {
            let at = now.minus(TimeDelta::seconds(3000 - second));
            ledger.keep(visit, Kept::Mark(Mark::of(MarkKind::Away, asha, at)));
            if second == 1200 {
                ledger.keep(visit, Kept::Mark(Mark::of(MarkKind::Away, nobody, at)));
            }
        }
        let shown = record(world, &world.doctor.client, &call.visit).await;
        assert_eq!(shown["edges"].as_array().unwrap().len(), 1);
        assert_eq!(shown["edges"][0]["up"].as_array().unwrap().len(), 1, "the talk is there");
        let kept = world.house.count("SELECT count(*) AS n FROM call_marks WHERE kind = 'away'");
        assert_eq!(kept, 2500, "all but the one of nobody");
        assert_eq!(person(&shown, "patient")["marks"].as_array().unwrap().len(), 2001);
    }
}

on_both! {
    async fn a_minute_with_two_connections_has_one_row_that_is_shown_once(world: World) {
        let mut call = call(world).await;
        describe(&mut call).await;
        world.house.advance(TimeDelta::seconds(5));
        for _ in 0..3 {
            both_report(world, &mut call, 0.0).await;
        }
        // Back to wait and in again, all in one minute: the edge ends and begins anew.
        for what in ["hold", "admit"] {
            call.doctor.say(what, json!({"participant": call.asha.id})).await;
            tick(world);
        }
        call.doctors = Edge::of(&call.doctor.hear_of("negotiate").await);
        call.ashas = Edge::of(&call.asha.hear_of("negotiate").await);
        for _ in 0..3 {
            both_report(world, &mut call, 0.0).await;
        }
        call.asha.say("leave", json!({})).await;
        call.asha.closed().await;
        written(world, "left", 1).await;
        let shown = record(world, &world.doctor.client, &call.visit).await;
        let edges = shown["edges"].as_array().unwrap();
        let minutes: Vec<&Value> =
            edges.iter().flat_map(|edge| edge["minutes"].as_array().unwrap()).collect();
        let of_both: i64 = minutes.iter().map(|minute| minute["reports"].as_i64().unwrap()).sum();
        assert_eq!((edges.len(), of_both), (2, 12), "{minutes:?}");
        let received: i64 = minutes.iter().map(|minute| minute["received"].as_i64().unwrap()).sum();
        assert_eq!(received, 12 * 2000);
    }
}
