//! The same visit over plain HTTP, where sockets die.

use std::time::Duration;

use actix_web::http::Method;
use actix_web::rt::time::sleep;
use chrono::TimeDelta;
use serde_json::{Value, json};

use super::{call, describe, entry, sdp, tick, visit};
use crate::on_both;
use crate::support::peer::{Edge, Peer, Seat, kinds, ticket};
use crate::support::poll::{Line, dial};
use crate::support::{Client, Engine, World};

fn hello(ticket: &str) -> Value {
    json!({"v": 1, "id": "c1", "t": "hello", "body": {"ticket": ticket}})
}

fn resume(seat: &Seat) -> Value {
    let Seat { sid, secret, epoch, last_seq } = seat;
    json!({"v": 1, "t": "resume",
        "body": {"sid": sid, "secret": secret, "epoch": epoch, "last_seq": last_seq}})
}

async fn enter(client: &Client, encounter: &str) -> Peer {
    let ticket = ticket(client, encounter).await;
    let mut peer = dial(&client.url);
    peer.send(hello(&ticket)).await;
    let welcome = peer.hear().await;
    assert_eq!((&welcome["t"], &welcome["seq"]), (&json!("welcome"), &json!(1)));
    peer.take_seat(&welcome);
    peer
}

fn codes(answer: &Value) -> Vec<&str> {
    kinds(answer["frames"].as_array().unwrap())
}

on_both! {
    async fn a_visit_is_held_over_http_and_goes_over_to_a_socket_and_back(world: World) {
        let visit = visit(world).await;
        let mut asha = enter(&world.asha.client, &visit).await;
        tick(world);
        let (mut doctor, _) = Peer::enter(&world.doctor.client, &visit).await;
        doctor.say("admit", json!({"participant": asha.id})).await;
        let doctors = Edge::of(&doctor.hear_of("negotiate").await);
        let ashas = Edge::of(&asha.hear_of("negotiate").await);
        doctor.say_on(&doctors, "offer", sdp("of the doctor")).await;
        assert_eq!(asha.hear_of("offer").await["body"], sdp("of the doctor"));
        asha.say_on(&ashas, "answer", sdp("of Asha")).await;
        for number in 0..5 {
            let body = json!({"candidate": format!("candidate:{number}")});
            asha.say_on(&ashas, "candidate", body).await;
        }
        assert_eq!(doctor.hear_of("answer").await["body"], sdp("of Asha"));
        for number in 0..5 {
            let said = doctor.hear_of("candidate").await;
            assert_eq!(said["body"]["candidate"], format!("candidate:{number}"));
        }

        // A socket lives again: it takes the seat, and nothing is missed.
        let seat = asha.seat.clone();
        let (mut on_socket, resumed) = Peer::come_back(&world.house.url, &seat).await;
        assert_eq!(resumed["body"]["epoch"], 2);
        assert_eq!(asha.closed().await, Some(4409));
        on_socket.hear_of("snapshot").await;
        let seat = on_socket.cut();
        let mut asha = dial(&world.house.url);
        asha.seat = seat.clone();
        asha.send(resume(&seat)).await;
        assert_eq!(asha.hear().await["body"]["epoch"], 3);
        asha.hear_of("snapshot").await;
        doctor.say("end", json!({})).await;
        assert_eq!(asha.hear_of("ended").await["body"]["reason"], "finished");
        assert_eq!(asha.closed().await, Some(4410));
    }
}

on_both! {
    async fn what_the_network_cut_off_is_asked_for_and_sent_once_more(world: World) {
        let visit = visit(world).await;
        let first = hello(&ticket(&world.asha.client, &visit).await);
        let (line, opened) = Line::open(&world.house.url, &first).await;
        assert!(codes(&opened).contains(&"welcome") && opened["batch"] == 1);
        line.send(1, &[json!({"v": 1, "t": "ping", "body": {}})]).await.expect(204);
        // Whatever followed the welcome.
        let mut batch = 1;
        let pong = loop {
            let answer = line.ask(batch).await.expect(200);
            if codes(&answer).contains(&"pong") {
                break answer;
            }
            batch = answer["batch"].as_u64().unwrap();
        };
        assert_eq!(line.ask(batch).await.expect(200), pong, "the same answer, told once more");
        let batch = pong["batch"].as_u64().unwrap();
        assert_eq!(line.ask(batch - 2).await.refused(409), "conflict");
        assert_eq!(line.ask(batch + 1).await.refused(409), "conflict");

        // The same frames again are no other frames; a gap is refused.
        line.send(1, &[json!({"v": 1, "t": "ping", "body": {}})]).await.expect(204);
        line.send(2, &[json!({"v": 1, "id": "c9", "t": "nonsense", "body": {}})]).await.expect(204);
        assert_eq!(line.send(4, &[]).await.refused(409), "conflict");
        let answer = line.ask(batch).await.expect(200);
        assert_eq!(codes(&answer), ["error"], "the ping was answered once");
        assert_eq!((&answer["frames"][0]["re"], &answer["frames"][0]["body"]["code"]),
            (&json!("c9"), &json!("unsupported")));

        // A later request takes the line, an earlier one ends with nothing.
        let batch = answer["batch"].as_u64().unwrap();
        let early = line.ask(batch);
        let later = async {
            sleep(Duration::from_millis(300)).await;
            let asked = line.ask(batch);
            let said = async {
                sleep(Duration::from_millis(300)).await;
                line.send(3, &[json!({"v": 1, "t": "ping", "body": {}})]).await.expect(204);
            };
            futures_util::join!(asked, said).0
        };
        let (early, later) = futures_util::join!(early, later);
        assert_eq!(early.expect(200)["frames"], json!([]));
        assert_eq!(codes(&later.expect(200)), ["pong"]);
    }
}

on_both! {
    async fn wrong_requests_and_wrong_frames_are_refused(world: World) {
        let visit = visit(world).await;
        let url = &world.house.url;
        let client = world.house.client();
        let poll = "/v1/rtc/poll";
        assert_eq!(client.post(poll, &json!({})).await.refused(422), "invalid_body");
        assert_eq!(client.post(poll, &json!({"after": 0})).await.refused(422), "invalid_body");
        assert_eq!(client.post("/v1/rtc/send", &json!({})).await.refused(404), "not_found");
        let stray = Line { client: client.clone(), name: "nobody".to_owned() };
        assert_eq!(stray.ask(0).await.refused(404), "not_found");
        assert_eq!(stray.send(1, &[]).await.refused(404), "not_found");
        assert_eq!(client.get(poll).await.refused(405), "method_not_allowed");
        let elsewhere = client.request(Method::POST, poll).insert_header(("Origin", "https://evil.example"));
        let refused = client.send(elsewhere, Some(&json!({"first": {}}))).await;
        assert_eq!(refused.refused(403), "forbidden");
        let large = json!({"first": hello(&"x".repeat(20_000))});
        assert_eq!(client.post(poll, &large).await.refused(413), "too_large");

        let lines = || world.house.app.rooms.polls.line_count();
        let before = lines();
        for first in [json!({}), json!([]), json!(7), json!("hello"), json!({"v": 2, "t": "hello"}),
            json!({"v": 1, "t": "leave", "body": {}}),
            json!([[[[[[[[[[]]]]]]]]]])] {
            let (_, opened) = Line::open(url, &first).await;
            assert_eq!((&opened["close"], &opened["frames"]), (&json!(4400), &json!([])), "{first}");
            assert_eq!(opened["line"], json!(null), "there is nothing more to say on it");
        }
        for _ in 0..100 {
            Line::open(url, &json!(7)).await;
        }
        assert_eq!(lines(), before, "what was refused is not kept");
        let (_, opened) = Line::open(url, &hello("a ticket")).await;
        assert_eq!((&opened["close"], codes(&opened)), (&json!(4401), vec!["error"]));
        assert_eq!(lines(), before);

        let used = ticket(&world.asha.client, &visit).await;
        let (line, opened) = Line::open(url, &hello(&used)).await;
        let welcome = &opened["frames"][0]["body"];
        let (_, replayed) = Line::open(url, &hello(&used)).await;
        assert_eq!(replayed["close"], 4401, "a ticket works once");
        let guess = Seat { sid: welcome["sid"].clone(), secret: json!("guess"), epoch: 1, last_seq: 0 };
        let (_, guessed) = Line::open(url, &resume(&guess)).await;
        assert_eq!(guessed["close"], 4401, "somebody else's seat");

        let many = vec![json!({"v": 1, "t": "ping", "body": {}}); 61];
        assert_eq!(line.send(1, &many).await.refused(413), "too_large");
        let huge = json!({"v": 1, "t": "ping", "body": {"x": "x".repeat(66_000)}});
        assert_eq!(line.send(1, &[huge]).await.refused(413), "too_large");
        let more = vec![json!({"v": 1, "t": "ping", "body": {"x": "x".repeat(50_000)}}); 3];
        assert_eq!(line.send(1, &more).await.refused(413), "too_large");
        let body = json!({"number": 1, "frames": [], "more": 1});
        assert_eq!(line.request("/v1/rtc/send", &body).await.refused(422), "invalid_body");
        line.send(1, &[json!({"v": 1, "t": "ack", "body": {}})]).await.expect(204);
        // A frame that is none ends the line, as on a socket.
        line.send(2, &[json!([])]).await.expect(204);
        let mut after = 1;
        let close = loop {
            let answer = line.ask(after).await.expect(200);
            if let Some(code) = answer["close"].as_u64() {
                break code;
            }
            after = answer["batch"].as_u64().unwrap();
        };
        assert_eq!(close, 4400);
        assert_eq!(line.send(3, &[]).await.refused(404), "not_found");
    }
}

on_both! {
    async fn who_floods_is_closed_and_nobody_else_notices(world: World) {
        let mut call = call(world).await;
        describe(&mut call).await;
        let seat = call.asha.cut();
        let (line, opened) = Line::open(&world.house.url, &resume(&seat)).await;
        assert_eq!(codes(&opened)[0], "resumed");
        let pings = vec![json!({"v": 1, "t": "ping", "body": {}}); 60];
        let mut number = 0;
        while number < 50 {
            let sent = line.send(number + 1, &pings).await;
            match sent.status.as_u16() {
                204 => number += 1,
                503 => {}
                404 => break,
                other => panic!("{other}: {}", sent.text),
            }
        }
        assert!(number < 50, "nobody stopped it");
        let mut after = 1;
        let close = loop {
            let answer = line.ask(after).await.expect(200);
            if let Some(code) = answer["close"].as_u64() {
                break code;
            }
            after = answer["batch"].as_u64().unwrap();
        };
        assert_eq!(close, 4429);
        assert!(call.doctor.lives().await);
    }
}

on_both! {
    async fn a_line_that_nobody_asks_on_is_lost_like_a_socket(world: World) {
        let mut call = call(world).await;
        describe(&mut call).await;
        let seat = call.asha.cut();
        let (line, opened) = Line::open(&world.house.url, &resume(&seat)).await;
        assert_eq!(codes(&opened)[0], "resumed");
        call.doctor.hear_all().await;
        let begun = std::time::Instant::now();
        // Frames alone are a sign of life as well.
        for number in 1..3 {
            sleep(Duration::from_secs(4)).await;
            line.send(number, &[json!({"v": 1, "t": "ack", "body": {}})]).await.expect(204);
        }
        let lost = async {
            loop {
                sleep(Duration::from_millis(500)).await;
                if line.send(3, &[]).await.status == 404 {
                    return begun.elapsed();
                }
            }
        };
        let (lost, ()) = futures_util::join!(lost, async {
            // The doctor's own line is alive all the time.
            for _ in 0..8 {
                sleep(Duration::from_secs(3)).await;
                assert!(call.doctor.lives().await);
            }
        });
        assert!(lost >= Duration::from_secs(8 + 14) && lost < Duration::from_secs(40), "{lost:?}");
        world.house.advance(TimeDelta::seconds(4));
        let silent = call.doctor.hear_of("peer").await;
        assert_eq!(silent["body"]["participant"]["state"], "reconnecting");
        let (mut asha, _) = Peer::come_back(&world.house.url, &Seat { epoch: 2, ..seat }).await;
        let snapshot = asha.hear_of("snapshot").await;
        assert_eq!(entry(&snapshot["body"]["roster"], &asha.id)["state"], "admitted");
    }
}
