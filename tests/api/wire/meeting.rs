//! Coming, waiting, being let in, and finding each other.

use std::time::Duration;

use actix_web::rt::time::sleep;
use feldsher::call::socket::HELLO_SECS_MAX;
use serde_json::json;

use super::{Call, NOTHING, call, describe, entry, sdp, status, visit};
use crate::on_both;
use crate::support::peer::{Edge, Peer, kinds, ticket};
use crate::support::{Engine, World, key};

on_both! {
    async fn two_people_meet_as_the_protocol_tells_it(world: World) {
        let visit = visit(world).await;
        let (mut asha, welcome) = Peer::enter(&world.asha.client, &visit).await;
        let body = &welcome["body"];
        assert_eq!((&body["epoch"], &body["edges"]), (&json!(1), &json!([])));
        assert_eq!((&body["ping_ms"], &body["resume_ms"]), (&json!(5000), &json!(180_000)));
        assert_eq!(body["participant"]["role"], "patient");
        assert_eq!(body["limits"]["message_bytes"], 65536);
        let me = entry(&body["roster"], &asha.id);
        assert_eq!((&me["state"], &me["since"]), (&json!("waiting"), &json!(world.house.now())));
        let waiting = asha.hear().await;
        assert_eq!((&waiting["t"], &waiting["seq"]), (&json!("waiting"), &json!(2)));
        assert_eq!(waiting["body"]["practitioner_here"], false);
        assert_eq!(waiting["body"]["position"], 1);
        assert_eq!(status(&world.asha.client, &visit).await, "arrived");

        let (mut doctor, welcome) = Peer::enter(&world.doctor.client, &visit).await;
        assert_eq!(entry(&welcome["body"]["roster"], &doctor.id)["state"], "admitted");
        assert_eq!(entry(&welcome["body"]["roster"], &asha.id)["state"], "waiting");
        let heard = asha.hear_all().await;
        assert_eq!(kinds(&heard), ["peer", "waiting"]);
        assert_eq!(heard[0]["body"]["op"], "joined");
        assert_eq!(heard[0]["body"]["participant"]["name"], "Анна Лебедева");
        assert_eq!(heard[1]["body"]["practitioner_here"], true);

        doctor.say("admit", json!({"participant": asha.id})).await;
        let told = doctor.hear_all().await;
        let heard = asha.hear_all().await;
        assert_eq!(kinds(&heard), ["admitted", "snapshot", "negotiate"]);
        assert_eq!(heard[1]["body"]["edges"], json!([]));
        let ashas = Edge::of(&heard[2]);
        assert_eq!(kinds(&told), ["peer", "negotiate"]);
        assert_eq!(told[0]["body"]["participant"]["state"], "admitted");
        let doctors = Edge::of(&told[1]);
        assert!(doctors.offers && doctors.fresh && !ashas.offers && ashas.fresh);
        assert_eq!((&doctors.name, doctors.generation), (&ashas.name, ashas.generation));
        assert_eq!(status(&world.asha.client, &visit).await, "in-progress");

        doctor.say_on(&doctors, "offer", sdp("of the doctor")).await;
        let offer = asha.hear().await;
        assert_eq!((&offer["t"], &offer["from"]), (&json!("offer"), &json!(doctor.id)));
        assert_eq!(offer["body"], sdp("of the doctor"));
        assert_eq!((&offer["neg"], &offer["gen"]), (&json!(1), &json!(doctors.generation)));
        let candidate = json!({
            "candidate": "candidate:1 1 udp 2 192.0.2.1 9 typ host", "sdpMid": "0",
            "sdpMLineIndex": 0, "usernameFragment": "h2Kx"
        });
        doctor.say_on(&doctors, "candidate", candidate.clone()).await;
        doctor.say_on(&doctors, "end_of_candidates", json!({})).await;
        assert_eq!(asha.hear().await["body"], candidate);
        assert_eq!(asha.hear().await["t"], "end_of_candidates");
        asha.say_on(&ashas, "answer", sdp("of Asha")).await;
        let answer = doctor.hear().await;
        assert_eq!((&answer["t"], &answer["from"]), (&json!("answer"), &json!(asha.id)));
        assert_eq!(answer["body"], sdp("of Asha"));
        asha.say_on(&ashas, "candidate", candidate.clone()).await;
        assert_eq!(doctor.hear().await["body"], candidate);

        asha.say("media_state", json!({"audio": true, "video": false})).await;
        let heard = [doctor.hear().await, doctor.hear().await];
        assert_eq!(kinds(&heard), ["peer", "media_state"]);
        assert_eq!(heard[1]["from"], json!(asha.id));
    }
}

on_both! {
    async fn nothing_passes_before_somebody_is_let_in(world: World) {
        let visit = visit(world).await;
        let (mut asha, _) = Peer::enter(&world.asha.client, &visit).await;
        let (mut doctor, _) = Peer::enter(&world.doctor.client, &visit).await;
        let guessed = Edge {
            name: json!("e1"), generation: 1, neg: 1, offers: true, fresh: true,
        };
        for kind in ["offer", "answer"] {
            asha.say_on(&guessed, kind, sdp("SMUGGLED")).await;
            assert_eq!(asha.refused().await, "not_admitted");
        }
        asha.say_on(&guessed, "candidate", json!({"candidate": "SMUGGLED"})).await;
        assert_eq!(asha.refused().await, "not_admitted");
        asha.say("negotiate_request", json!({"edge": "e1"})).await;
        assert_eq!(asha.refused().await, "not_admitted");
        doctor.say_on(&guessed, "offer", sdp("SMUGGLED")).await;
        assert_eq!(doctor.refused().await, "peer_gone");
        let heard = [asha.hear_all().await, doctor.hear_all().await].concat();
        assert!(heard.iter().all(|message| !message.to_string().contains("SMUGGLED")), "{heard:?}");
    }
}

on_both! {
    async fn the_doctor_s_word_over_http_is_the_same_act(world: World) {
        let visit = visit(world).await;
        let doctors = &world.doctor.client;
        let (mut asha, _) = Peer::enter(&world.asha.client, &visit).await;
        let (mut doctor, _) = Peer::enter(doctors, &visit).await;
        let whom = json!({"participant": asha.id});
        let word = async |what: &str| {
            doctors.once(&format!("/v1/encounters/{visit}/{what}"), &key(), &whom).await.expect(200)
        };
        asha.hear_all().await;
        assert_eq!(word("admit").await["state"], "admitted");
        assert_eq!(kinds(&asha.hear_all().await), ["admitted", "snapshot", "negotiate"]);
        let edge = Edge::of(&doctor.hear_of("negotiate").await);

        assert_eq!(word("hold").await["state"], "waiting");
        let heard = asha.hear_all().await;
        assert_eq!(kinds(&heard), ["waiting", "snapshot"]);
        assert_eq!(heard[1]["body"]["edges"], json!([]));
        let heard = doctor.hear_all().await;
        assert_eq!(kinds(&heard), ["peer"]);
        assert_eq!(heard[0]["body"]["participant"]["state"], "waiting");
        doctor.say_on(&edge, "offer", sdp("too late")).await;
        assert_eq!(doctor.refused().await, "peer_gone");
        asha.say_on(&edge, "answer", sdp("too late")).await;
        assert_eq!(asha.refused().await, "not_admitted");
        assert_eq!(status(doctors, &visit).await, "onleave");

        assert_eq!(word("admit").await["state"], "admitted");
        let again = Edge::of(&asha.hear_of("negotiate").await);
        assert_eq!(again.name, edge.name);
        assert!(again.generation > edge.generation && again.fresh);
        assert_eq!(status(doctors, &visit).await, "in-progress");

        assert_eq!(word("deny").await["state"], "denied");
        let (heard, code) = asha.hear_out().await;
        assert_eq!((kinds(&heard), code), (vec!["denied"], Some(4403)));
        let back = Peer::resume(&world.house.url, &asha.cut()).await.closed().await;
        assert_eq!(back, Some(4401), "the seat has ended");
        let (mut asha, welcome) = Peer::enter(&world.asha.client, &visit).await;
        assert_eq!(entry(&welcome["body"]["roster"], &asha.id)["state"], "waiting");
        assert_eq!(asha.hear().await["t"], "waiting");
    }
}

on_both! {
    async fn hold_and_deny_over_the_socket_are_told_to_both(world: World) {
        let mut call = call(world).await;
        let whom = json!({"participant": call.asha.id});
        call.doctor.say("hold", whom.clone()).await;
        assert_eq!(kinds(&call.doctor.hear_all().await), ["peer"]);
        assert_eq!(kinds(&call.asha.hear_all().await), ["waiting", "snapshot"]);
        call.doctor.say("deny", json!({"participant": call.asha.id, "reason": "later"})).await;
        let (heard, code) = call.asha.hear_out().await;
        assert_eq!((kinds(&heard), code), (vec!["denied"], Some(4403)));
        let left = call.doctor.hear().await;
        assert_eq!((&left["t"], &left["body"]["op"]), (&json!("peer"), &json!("left")));
        call.doctor.say("admit", whom).await;
        assert_eq!(call.doctor.refused().await, "bad_state", "nobody waits");
    }
}

on_both! {
    async fn a_patient_decides_nothing_and_nobody_decides_about_strangers(world: World) {
        let visit = visit(world).await;
        let (mut asha, _) = Peer::enter(&world.asha.client, &visit).await;
        let (mut doctor, _) = Peer::enter(&world.doctor.client, &visit).await;
        for (kind, body) in [
            ("admit", json!({"participant": asha.id})),
            ("hold", json!({"participant": doctor.id})),
            ("deny", json!({"participant": doctor.id})),
            ("end", json!({})),
        ] {
            asha.say(kind, body).await;
            assert_eq!(asha.refused().await, "forbidden", "{kind}");
        }
        doctor.say("deny", json!({"participant": doctor.id})).await;
        assert_eq!(doctor.refused().await, "bad_state", "not even about oneself");

        let wish = world.wish("2026-11-23T09:40:00+07:00");
        let other = world.boris.client.once("/v1/appointments", &key(), &wish).await.expect(201);
        let other = other["encounter"]["id"].as_str().unwrap().to_owned();
        world.house.advance(chrono::TimeDelta::minutes(20));
        let boris = world.resigned(&world.boris).await;
        let (mut boris, _) = Peer::enter(&boris.client, &other).await;
        assert_eq!(boris.hear().await["t"], "waiting");
        for kind in ["admit", "hold", "deny"] {
            doctor.say(kind, json!({"participant": boris.id})).await;
            assert_eq!(doctor.refused().await, "peer_gone", "{kind}");
        }
        assert_eq!(kinds(&boris.hear_all().await), NOTHING);
        assert_eq!(status(&world.resigned(&world.asha).await.client, &visit).await, "arrived");
    }
}

on_both! {
    async fn a_visit_of_others_has_no_door(world: World) {
        let visit = visit(world).await;
        for who in [&world.boris, &world.stranger, &world.colleague, &world.registrar] {
            let path = format!("/v1/encounters/{visit}/join");
            let refused = who.client.post(&path, &json!({})).await;
            assert!([403, 404].contains(&refused.status.as_u16()), "{}", refused.text);
        }
        // A ticket is no access token, and the other way round.
        let access = world.asha.client.token.clone().unwrap();
        let ticket = ticket(&world.asha.client, &visit).await;
        let asked = world.house.client().with_token(&ticket).get("/v1/me").await;
        assert_eq!(asked.refused(401), "invalid_token");
        let mut peer = Peer::dial(&world.house.url).await;
        peer.say("hello", json!({"ticket": access})).await;
        assert_eq!(peer.closed().await, Some(4401));
    }
}

on_both! {
    async fn a_ticket_works_once_and_for_two_minutes(world: World) {
        let visit = visit(world).await;
        let once = ticket(&world.asha.client, &visit).await;
        let hello = json!({"v": 1, "t": "hello", "id": "h1", "body": {"ticket": once}});
        let mut one = Peer::dial(&world.house.url).await;
        let mut two = Peer::dial(&world.house.url).await;
        one.send(hello.clone()).await;
        two.send(hello.clone()).await;
        let (first, second) = futures_util::join!(one.hear(), two.hear());
        let (welcome, refused, mut loser) =
            if first["t"] == "welcome" { (first, second, two) } else { (second, first, one) };
        assert_eq!(welcome["t"], "welcome");
        assert_eq!((&refused["t"], &refused["re"]), (&json!("error"), &json!("h1")));
        assert_eq!(loser.closed().await, Some(4401));

        let late = ticket(&world.asha.client, &visit).await;
        let never = ticket(&world.doctor.client, &visit).await;
        world.house.advance(chrono::TimeDelta::seconds(126));
        for ticket in [late, never, once, "x".to_owned(), String::new()] {
            let mut peer = Peer::dial(&world.house.url).await;
            peer.say("hello", json!({"ticket": ticket})).await;
            assert_eq!(peer.hear().await["t"], "error");
            assert_eq!(peer.closed().await, Some(4401));
        }
    }
}

on_both! {
    async fn whoever_shows_a_ticket_first_takes_their_time_and_nobody_sees_them(world: World) {
        let (url, visit) = (&world.house.url, visit(world).await);
        let (mut doctor, _) = Peer::enter(&world.doctor.client, &visit).await;
        let good = ticket(&world.asha.client, &visit).await;
        doctor.hear_all().await;
        let mut asha = Peer::dial(url).await;
        asha.say("prepare", json!({"ticket": good})).await;
        assert_eq!(asha.hear().await["t"], "pong");
        sleep(Duration::from_secs(HELLO_SECS_MAX + 1)).await;
        assert!(asha.lives().await, "a first frame has five seconds, this one has longer");
        assert_eq!(kinds(&doctor.hear_all().await), NOTHING, "nobody is here");
        asha.say("hello", json!({"ticket": good})).await;
        let welcome = asha.hear().await;
        assert_eq!(welcome["t"], "welcome", "the ticket was not used up");
        assert_eq!(doctor.hear_of("peer").await["body"]["op"], "joined");

        let late = ticket(&world.asha.client, &visit).await;
        let mut two = [Peer::dial(url).await, Peer::dial(url).await];
        for peer in &mut two {
            peer.say("prepare", json!({"ticket": late})).await;
            assert_eq!(peer.hear().await["t"], "pong");
        }
        let [mut one, mut other] = two;
        one.say("prepare", json!({"ticket": late})).await;
        assert_eq!(one.closed().await, Some(4400), "once is enough");
        world.house.advance(chrono::TimeDelta::seconds(126));
        other.say("hello", json!({"ticket": late})).await;
        assert_eq!(other.hear_out().await.1, Some(4401), "it lives as long as any ticket");
        let mut stranger = Peer::dial(url).await;
        stranger.send(json!({"v": 1, "t": "prepare", "id": "p1", "body": {"ticket": "x"}})).await;
        assert_eq!(stranger.hear().await["re"], "p1");
        assert_eq!(stranger.closed().await, Some(4401));

        let mut last = Peer::dial(url).await;
        let fresh = ticket(&world.asha.client, &visit).await;
        last.say("prepare", json!({"ticket": fresh})).await;
        assert_eq!(last.hear().await["t"], "pong");
        world.house.app.rooms.stop();
        assert_eq!(last.closed().await, Some(1012), "nobody is waited for who has not come yet");
    }
}

on_both! {
    async fn who_makes_offers_is_settled_and_old_ones_are_refused(world: World) {
        let mut call = call(world).await;
        let (doctors, ashas) = (call.doctors.clone(), call.ashas.clone());
        call.asha.say_on(&ashas, "offer", sdp("glare")).await;
        assert_eq!(call.asha.refused().await, "bad_state");
        call.doctor.say_on(&doctors, "answer", sdp("glare")).await;
        assert_eq!(call.doctor.refused().await, "bad_state");
        describe(&mut call).await;
        let (doctor, asha) = (&mut call.doctor, &mut call.asha);
        for old in [
            doctors.clone(),
            doctors.with_neg(2).with_generation(doctors.generation - 1),
            doctors.with_neg(2).with_generation(doctors.generation + 1),
        ] {
            doctor.say_on(&old, "offer", sdp("stale")).await;
            assert_eq!(doctor.refused().await, "stale_negotiation", "{old:?}");
        }
        // A newer offer takes the place of an unanswered one; the late answer is dropped.
        doctor.say_on(&doctors.with_neg(2), "offer", sdp("second")).await;
        doctor.say_on(&doctors.with_neg(3), "offer", sdp("third")).await;
        assert_eq!(asha.hear_of("offer").await["neg"], 2);
        assert_eq!(asha.hear_of("offer").await["neg"], 3);
        asha.say_on(&ashas.with_neg(2), "answer", sdp("late")).await;
        asha.say_on(&ashas.with_neg(3), "answer", sdp("third")).await;
        asha.hear_all().await;
        assert_eq!(doctor.hear_of("answer").await["neg"], 3);
        // Candidates of another generation are dropped without a word.
        let old = ashas.with_generation(ashas.generation - 1);
        asha.say_on(&old, "candidate", json!({"candidate": "old"})).await;
        assert_eq!(kinds(&asha.hear_all().await), NOTHING);
        assert_eq!(kinds(&doctor.hear_all().await), NOTHING);
        let foreign = Edge { name: json!("e000000000"), ..doctors };
        doctor.say_on(&foreign, "offer", sdp("foreign")).await;
        assert_eq!(doctor.refused().await, "peer_gone");
    }
}

on_both! {
    async fn both_may_ask_for_a_restart_and_it_happens_once(world: World) {
        let mut call = call(world).await;
        describe(&mut call).await;
        let Call { doctor, asha, doctors, .. } = &mut call;
        let failed = json!({
            "v": 1, "t": "ice_restart_request", "gen": doctors.generation,
            "body": {"edge": doctors.name, "why": "disconnected"}
        });
        doctor.send(failed.clone()).await;
        asha.send(failed).await;
        let early = doctor.hear_all().await;
        let ashas = asha.hear_all().await;
        let heard = [[early, doctor.hear_all().await].concat(), ashas];
        let negotiated = heard.map(|heard| {
            assert_eq!(kinds(&heard).iter().filter(|kind| **kind == "negotiate").count(), 1);
            Edge::of(heard.iter().find(|message| message["t"] == "negotiate").unwrap())
        });
        assert!(negotiated.iter().all(|edge| !edge.fresh && edge.name == doctors.name));
        assert!(negotiated.iter().all(|edge| edge.generation > doctors.generation));
        assert_eq!(negotiated[0].generation, negotiated[1].generation);
        asha.say("negotiate_request", json!({"edge": doctors.name})).await;
        let anew = Edge::of(&doctor.hear_of("negotiate").await);
        assert!(anew.fresh && anew.generation > negotiated[0].generation);
    }
}
