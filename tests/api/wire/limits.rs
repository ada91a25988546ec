//! What a socket may do, and what happens to one that does more.

use std::time::Duration;

use awc::ws::Message;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::{Call, NOTHING, call, describe, sdp, visit};
use crate::on_both;
use crate::support::peer::{PROTOCOL, Peer, dial, kinds};
use crate::support::{Engine, World};

/// What a client without WebSocket hears. Read from the wire: the tests' own client takes what
/// follows `Connection: Upgrade` for another protocol and reads no body.
async fn plainly(url: &str) -> String {
    let mut line = TcpStream::connect(url.trim_start_matches("http://")).await.unwrap();
    line.write_all(b"GET /v1/rtc HTTP/1.1\r\nHost: x\r\n\r\n").await.unwrap();
    let mut heard = String::new();
    let reading = async {
        let mut piece = [0_u8; 4096];
        while !heard.ends_with('}') {
            match line.read(&mut piece).await.unwrap() {
                0 => break,
                count => heard.push_str(&String::from_utf8_lossy(&piece[..count])),
            }
        }
    };
    tokio::time::timeout(Duration::from_secs(10), reading).await.expect("an answer");
    heard
}

on_both! {
    async fn only_our_own_pages_with_our_protocol_open_a_socket(world: World) {
        let url = &world.house.url;
        let foreign = dial(url, Some("https://evil.example"), Some(PROTOCOL)).await;
        assert_eq!(foreign.err(), Some(403));
        assert_eq!(dial(url, Some("null"), Some(PROTOCOL)).await.err(), Some(403));
        assert_eq!(dial(url, None, None).await.err(), Some(426));
        assert_eq!(dial(url, None, Some("other")).await.err(), Some(426));
        assert!(dial(url, Some(url), Some(PROTOCOL)).await.is_ok());
        let plain = plainly(url).await;
        assert!(plain.starts_with("HTTP/1.1 426"), "{plain}");
        assert!(plain.contains("application/problem+json"), "{plain}");
        assert!(plain.contains("\"code\":\"upgrade_required\""), "{plain}");
        world.house.app.rooms.stop();
        assert_eq!(dial(url, None, Some(PROTOCOL)).await.err(), Some(503));
    }
}

on_both! {
    async fn whoever_says_nothing_for_five_seconds_is_closed(world: World) {
        let mut peer = Peer::dial(&world.house.url).await;
        let mut asks = Peer::dial(&world.house.url).await;
        // Whether the socket lives is answered, and gives nobody more time.
        asks.say("ping", json!({})).await;
        let (heard, code) = asks.hear_out().await;
        assert_eq!((kinds(&heard), code), (vec!["pong"], Some(4408)));
        assert_eq!(peer.closed().await, Some(4408));
    }
}

on_both! {
    async fn a_first_frame_that_is_no_hello_is_refused(world: World) {
        let url = &world.house.url;
        for first in [
            Message::Text("{}".into()),
            Message::Text("hello".into()),
            Message::Text(r#"{"v":2,"t":"hello","body":{"ticket":"x"}}"#.into()),
            Message::Text(r#"{"v":1,"t":"leave","body":{}}"#.into()),
            Message::Text(r#"{"v":1,"t":"hello","body":{}}"#.into()),
            Message::Binary(b"hello".to_vec().into()),
        ] {
            let mut peer = Peer::dial(url).await;
            peer.send_raw(first).await;
            let (heard, code) = peer.hear_out().await;
            assert_eq!((kinds(&heard), code), (vec![], Some(4400)));
        }
        let mut peer = Peer::dial(url).await;
        peer.say("hello", json!({"ticket": "x".repeat(70_000)})).await;
        assert_eq!(peer.closed().await, Some(4413));
    }
}

on_both! {
    async fn what_is_not_the_protocol_closes_the_socket_and_the_seat_stays(world: World) {
        let Call { mut doctor, mut asha, .. } = call(world).await;
        let deep = format!(r#"{{"v":1,"t":"ping","body":{}{}}}"#, "[".repeat(20), "]".repeat(20));
        for (wrong, expected) in [
            (Message::Binary(b"v=0".to_vec().into()), 4400),
            (Message::Text("not json".into()), 4400),
            (Message::Text(r#"{"v":1,"t":"ping","colour":"red"}"#.into()), 4400),
            (Message::Text(r#"{"v":3,"t":"ping"}"#.into()), 4400),
            (Message::Text(deep.into()), 4400),
            (Message::Text("x".repeat((64 << 10) + 1).into()), 4413),
        ] {
            asha.send_raw(wrong).await;
            assert_eq!(asha.closed().await, Some(expected));
            (asha, _) = Peer::come_back(&world.house.url, &asha.cut()).await;
            assert_eq!(kinds(&asha.hear_all().await), ["snapshot"]);
        }
        assert_eq!(kinds(&doctor.hear_all().await), NOTHING, "short cuts are not mentioned");
    }
}

on_both! {
    async fn mistakes_are_answered_and_twenty_are_enough(world: World) {
        let mut call = call(world).await;
        describe(&mut call).await;
        let Call { mut doctor, mut asha, doctors, .. } = call;
        doctor.send(json!({"v": 1, "t": "dance", "id": "d1", "body": {}})).await;
        let error = doctor.hear_of("error").await;
        assert_eq!(error["re"], "d1");
        assert_eq!(error["body"], json!({"code": "unsupported", "retryable": false}));
        doctor.say("presence", json!({"state": "ready", "mood": "good"})).await;
        assert_eq!(doctor.refused().await, "bad_request");
        let next = doctors.with_neg(2);
        doctor.say_on(&next, "offer", json!({"sdp": "x".repeat((48 << 10) + 1)})).await;
        assert_eq!(doctor.refused().await, "too_large");
        doctor.say_on(&next, "candidate", json!({"candidate": "x".repeat(1025)})).await;
        assert_eq!(doctor.refused().await, "too_large");
        // The largest description there is goes through.
        let large = json!({"sdp": "x".repeat(48 << 10)});
        doctor.say_on(&next, "offer", large.clone()).await;
        assert_eq!(asha.hear_of("offer").await["body"], large);

        for number in 0..45 {
            asha.send(json!({"v": 1, "t": "dance", "id": number.to_string()})).await;
        }
        let (heard, code) = asha.hear_out().await;
        assert_eq!(code, Some(4400));
        assert_eq!(kinds(&heard), vec!["error"; 20]);
        let (mut asha, _) = Peer::come_back(&world.house.url, &asha.cut()).await;
        assert_eq!(kinds(&asha.hear_all().await), ["snapshot"]);
        assert_eq!(kinds(&doctor.hear_all().await), NOTHING);
    }
}

on_both! {
    async fn a_flood_is_cut_off_and_the_other_is_not_disturbed(world: World) {
        let mut call = call(world).await;
        describe(&mut call).await;
        let Call { mut doctor, mut asha, doctors, .. } = call;
        for _ in 0..80 {
            asha.say("presence", json!({"state": "ready"})).await;
        }
        let (heard, code) = asha.hear_out().await;
        assert_eq!(code, Some(4429));
        assert!(heard.iter().all(|message| message["t"] != "error"), "{heard:?}");
        let told = doctor.hear_all().await;
        assert_eq!(kinds(&told), ["peer"], "said once, told once");
        let (mut asha, _) = Peer::come_back(&world.house.url, &asha.cut()).await;
        doctor.say_on(&doctors.with_neg(2), "offer", sdp("after the flood")).await;
        assert_eq!(asha.hear_of("offer").await["body"], sdp("after the flood"));
    }
}

on_both! {
    async fn sixty_four_candidates_per_side_and_generation_and_no_more(world: World) {
        let mut call = call(world).await;
        describe(&mut call).await;
        let Call { mut doctor, mut asha, ashas, .. } = call;
        for number in 0..64 {
            asha.say_on(&ashas, "candidate", json!({"candidate": number.to_string()})).await;
            let relayed = doctor.hear().await;
            assert_eq!(relayed["body"]["candidate"], Value::String(number.to_string()));
            if number % 16 == 15 {
                // A fresh socket, so that only the candidates are too many.
                (asha, _) = Peer::come_back(&world.house.url, &asha.cut()).await;
            }
        }
        asha.say_on(&ashas, "candidate", json!({"candidate": "one more"})).await;
        let error = asha.hear_of("error").await;
        assert_eq!(error["body"], json!({"code": "rate_limited", "retryable": true}));
        assert_eq!(kinds(&doctor.hear_all().await), NOTHING);
    }
}

on_both! {
    async fn a_wrong_key_to_a_seat_opens_nothing(world: World) {
        let visit = visit(world).await;
        let (asha, _) = Peer::enter(&world.asha.client, &visit).await;
        let seat = asha.cut();
        let (mut stolen, mut early, mut unknown) = (seat.clone(), seat.clone(), seat.clone());
        stolen.secret = json!("A".repeat(43));
        early.epoch = 2;
        unknown.sid = json!(uuid::Uuid::new_v4());
        for wrong in [stolen, early, unknown] {
            let mut peer = Peer::resume(&world.house.url, &wrong).await;
            assert_eq!(peer.hear().await["t"], "error");
            assert_eq!(peer.closed().await, Some(4401));
        }
        let (mut asha, _) = Peer::come_back(&world.house.url, &seat).await;
        assert_eq!(kinds(&asha.hear_all().await), ["waiting", "snapshot"]);
    }
}
