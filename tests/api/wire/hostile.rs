//! People who want to break the live visit, or into another one.

use std::time::{Duration, Instant as Stopwatch};

use actix_web::rt::time::sleep;
use feldsher::call::socket::SILENCE_SECS_MAX;
use futures_util::future::{join, join_all};
use serde_json::json;
use tokio::io::AsyncWriteExt;

use super::{Call, NOTHING, call, describe, sdp, status, visit, written};
use crate::on_both;
use crate::support::peer::{Edge, Peer, Seat, kinds, ticket};
use crate::support::raw::Raw;
use crate::support::{Engine, World};

/// Longer than it takes to throw somebody out.
const OUT_SECS_MAX: u64 = 2;

/// Boris's visit with the doctor right after Asha's, whose doors are open at the same time.
pub(super) async fn next_visit(world: &World) -> String {
    let wish = world.wish("2026-11-23T09:20:00+07:00");
    let mut wish = wish;
    wish["practitioner"] = json!(world.stranger.id);
    wish["service"] = json!(world.other_service);
    let booked = world
        .boris
        .client
        .once("/v1/appointments", &crate::support::key(), &wish)
        .await
        .expect(201);
    booked["encounter"]["id"].as_str().unwrap().to_owned()
}

on_both! {
    async fn nobody_reaches_into_another_room(world: World) {
        let other = next_visit(world).await;
        let mut mine = call(world).await;
        describe(&mut mine).await;
        let (mut boris, _) = Peer::enter(&world.boris.client, &other).await;
        let (mut stranger, _) = Peer::enter(&world.stranger.client, &other).await;
        stranger.say("admit", json!({"participant": boris.id})).await;
        let theirs = Edge::of(&boris.hear_of("negotiate").await);
        stranger.hear_all().await;
        boris.hear_all().await;
        assert_ne!(theirs.name, mine.ashas.name);

        // An edge of the other room, from the side that offers and from the side that answers.
        for (kind, body) in [
            ("offer", sdp("of an intruder")),
            ("answer", sdp("of an intruder")),
            ("candidate", json!({"candidate": "candidate:1"})),
            ("end_of_candidates", json!({})),
        ] {
            mine.doctor.say_on(&theirs, kind, body.clone()).await;
            assert_eq!(mine.doctor.refused().await, "peer_gone", "{kind}");
            mine.asha.say_on(&theirs, kind, body).await;
            assert_eq!(mine.asha.refused().await, "peer_gone", "{kind}");
        }
        for kind in ["negotiate_request", "ice_restart_request"] {
            mine.asha.say(kind, json!({"edge": theirs.name})).await;
            assert_eq!(mine.asha.refused().await, "peer_gone", "{kind}");
        }
        // A participant of the other room.
        for kind in ["admit", "hold", "deny"] {
            mine.doctor.say(kind, json!({"participant": boris.id})).await;
            assert_eq!(mine.doctor.refused().await, "peer_gone", "{kind}");
            let path = format!("/v1/encounters/{}/{kind}", mine.visit);
            let body = json!({"participant": boris.id});
            world.doctor.client.post(&path, &body).await.refused(404);
            mine.asha.say(kind, json!({"participant": mine.doctor.id})).await;
            assert_eq!(mine.asha.refused().await, "forbidden", "{kind}");
        }
        // The envelope has no room for another session's name.
        let named = json!({"v": 1, "t": "leave", "sid": boris.seat.sid, "body": {}});
        mine.asha.send(named).await;
        assert_eq!(mine.asha.closed().await, Some(4400));

        assert_eq!(kinds(&boris.hear_all().await), NOTHING);
        assert_eq!(kinds(&stranger.hear_all().await), NOTHING);
        assert_eq!(status(&world.stranger.client, &other).await, "in-progress");
    }
}

on_both! {
    async fn nobody_comes_back_as_somebody_else(world: World) {
        let other = next_visit(world).await;
        let Call { mut asha, mut doctor, .. } = call(world).await;
        let (mut boris, _) = Peer::enter(&world.boris.client, &other).await;
        boris.hear_all().await;
        let url = &world.house.url;
        let mixed = [
            Seat { sid: boris.seat.sid.clone(), ..asha.seat.clone() },
            Seat { secret: boris.seat.secret.clone(), ..asha.seat.clone() },
            Seat { secret: json!(""), ..boris.seat.clone() },
            Seat { epoch: i64::from(i32::MAX), ..boris.seat.clone() },
        ];
        for seat in mixed {
            let mut peer = Peer::resume(url, &seat).await;
            let (heard, code) = peer.hear_out().await;
            assert_eq!((kinds(&heard), code), (vec!["error"], Some(4401)));
        }
        // Numbers that nobody can have heard.
        let far = Seat { last_seq: 1 << 53, ..asha.seat.clone() };
        assert_eq!(Peer::resume(url, &far).await.closed().await, Some(4400));
        // A ticket that was used, by another socket of the same person.
        let used = ticket(&world.boris.client, &other).await;
        let mut second = Peer::dial(url).await;
        second.say("hello", json!({"ticket": used})).await;
        second.hear_of("welcome").await;
        let mut third = Peer::dial(url).await;
        third.say("hello", json!({"ticket": used})).await;
        assert_eq!(third.closed().await, Some(4401));
        // A second first frame changes nobody's seat.
        let stolen = ticket(&world.boris.client, &other).await;
        asha.say("hello", json!({"ticket": stolen})).await;
        assert_eq!(asha.refused().await, "bad_state");
        let seat = second.seat.clone();
        asha.say("resume", json!({"sid": seat.sid, "secret": seat.secret, "epoch": 1, "last_seq": 0})).await;
        asha.hear_of("error").await;
        assert!(asha.lives().await && doctor.lives().await && second.lives().await);
    }
}

on_both! {
    async fn what_was_said_once_cannot_be_said_again(world: World) {
        let mut call = call(world).await;
        describe(&mut call).await;
        let Call { mut doctor, mut asha, doctors, ashas, .. } = call;
        // The same offer, an older one, and one of a generation that never was.
        doctor.say_on(&doctors, "offer", sdp("again")).await;
        assert_eq!(doctor.refused().await, "stale_negotiation");
        doctor.say_on(&doctors.with_neg(0), "offer", sdp("again")).await;
        doctor.hear_of("error").await;
        doctor.say_on(&doctors.with_generation(doctors.generation + 1).with_neg(9), "offer", sdp("early")).await;
        assert_eq!(doctor.refused().await, "stale_negotiation");
        // The same answer twice, and candidates of another generation: dropped without a word.
        asha.say_on(&ashas, "answer", sdp("again")).await;
        let late = ashas.with_generation(ashas.generation - 1);
        asha.say_on(&late, "candidate", json!({"candidate": "late"})).await;
        assert_eq!(kinds(&asha.hear_all().await), NOTHING);
        assert_eq!(kinds(&doctor.hear_all().await), NOTHING);
        // Acknowledging what was never said takes nothing from anybody.
        asha.send(json!({"v": 1, "t": "ack", "ack": (1_u64 << 53) - 1, "body": {}})).await;
        doctor.say("media_state", json!({"audio": true, "video": true})).await;
        assert_eq!(asha.hear_of("media_state").await["from"], json!(doctor.id));
        let seat = asha.cut();
        doctor.say("media_state", json!({"audio": false, "video": true})).await;
        doctor.hear_all().await;
        let (mut asha, _) = Peer::come_back(&world.house.url, &seat).await;
        assert_eq!(kinds(&asha.hear_all().await), ["peer", "media_state", "snapshot"]);
    }
}

on_both! {
    async fn a_stranger_s_guess_does_not_wait_for_the_writer(world: World) {
        let visit = visit(world).await;
        let (asha, _) = Peer::enter(&world.asha.client, &visit).await;
        let guess = Seat { secret: json!("A".repeat(43)), ..asha.seat.clone() };
        let busy = join_all((0..8).map(|_| world.house.app.db.write(|_| {
            std::thread::sleep(Duration::from_secs(3));
            Ok::<_, feldsher::base::error::Error>(())
        })));
        let begun = Stopwatch::now();
        let guessing = async {
            sleep(Duration::from_millis(200)).await;
            let mut peer = Peer::resume(&world.house.url, &guess).await;
            assert_eq!(peer.closed().await, Some(4401));
            begun.elapsed()
        };
        let (_, answered) = join(busy, guessing).await;
        assert!(answered < Duration::from_secs(2), "{answered:?}");
    }
}

on_both! {
    async fn whoever_guesses_too_often_is_not_looked_up_and_keeps_nobody_out(world: World) {
        let visit = visit(world).await;
        let (asha, _) = Peer::enter(&world.asha.client, &visit).await;
        let seat = asha.seat.clone();
        let mut codes = Vec::new();
        for _ in 0..45 {
            let guess = Seat { sid: json!(uuid::Uuid::new_v4()), ..seat.clone() };
            codes.push(Peer::resume(&world.house.url, &guess).await.closed().await);
        }
        assert_eq!(&codes[..30], [Some(4401); 30]);
        assert_eq!(codes[44], Some(4429));
        // From the same address: a village behind one router.
        let (mut asha, _) = Peer::come_back(&world.house.url, &asha.cut()).await;
        assert!(asha.lives().await);
        let (mut doctor, _) = Peer::enter(&world.doctor.client, &visit).await;
        assert!(doctor.lives().await);
    }
}

on_both! {
    async fn a_flood_of_candidates_ends_at_sixty_four_however_it_is_sent(world: World) {
        let mut call = call(world).await;
        describe(&mut call).await;
        let Call { mut doctor, mut asha, doctors, ashas, .. } = call;
        let mut relayed = 0;
        for round in 0..4 {
            for number in 0..50 {
                let candidate = json!({"candidate": format!("{round} {number} {}", "x".repeat(900))});
                asha.say_on(&ashas, "candidate", candidate).await;
            }
            asha.hear_all().await;
            let heard = doctor.hear_all().await;
            relayed += heard.iter().filter(|message| message["t"] == "candidate").count();
            (asha, _) = Peer::come_back(&world.house.url, &asha.cut()).await;
        }
        assert_eq!(relayed, 64, "a new socket is no new generation");
        // Other generations cost nobody anything.
        for number in 1..40 {
            let other = ashas.with_generation(ashas.generation + number);
            asha.say_on(&other, "candidate", json!({"candidate": "x"})).await;
        }
        asha.hear_all().await;
        assert_eq!(kinds(&doctor.hear_all().await), NOTHING);
        // Asking for new generations without end is asking for no more than the frames allow.
        doctor.say_on(&doctors.with_neg(2), "offer", sdp("after the flood")).await;
        assert_eq!(asha.hear_of("offer").await["body"], sdp("after the flood"));
    }
}

#[actix_web::test]
async fn nobody_makes_the_other_s_browser_begin_anew_without_end() {
    let world = &World::build(Engine::Sqlite).await;
    let mut call = call(world).await;
    describe(&mut call).await;
    let Call { mut doctor, mut asha, ashas, .. } = call;
    for number in 0..40 {
        let kind = if number % 2 == 0 { "negotiate_request" } else { "ice_restart_request" };
        asha.say(kind, json!({"edge": ashas.name})).await;
    }
    let heard = asha.hear_all().await;
    assert_eq!(heard.iter().filter(|message| message["t"] == "error").count(), 30);
    assert_eq!(kinds(&doctor.hear_all().await), ["negotiate"; 10]);
    doctor.say("negotiate_request", json!({"edge": ashas.name})).await;
    assert!(Edge::of(&doctor.hear_of("negotiate").await).fresh);
}

on_both! {
    async fn an_oversized_frame_closes_only_its_own_socket_however_it_is_cut(world: World) {
        let mut call = call(world).await;
        describe(&mut call).await;
        let Call { mut doctor, mut asha, .. } = call;
        // A frame that is as large as its head says, and one that never ends.
        let visit_ticket = ticket(&world.asha.client, &call.visit).await;
        let mut raw = Raw::dial(&world.house.url).await;
        raw.say("hello", json!({"ticket": visit_ticket})).await;
        assert_eq!(raw.next().await.unwrap()["t"], "welcome");
        assert_eq!(asha.closed().await, Some(4409));
        let whole = Raw::frame(1, &[b'x'; (64 << 10) + 1]);
        raw.line.write_all(&whole).await.unwrap();
        assert_eq!(raw.closed().await, Some(4413));
        let mut raw = Raw::dial(&world.house.url).await;
        let visit_ticket = ticket(&world.asha.client, &call.visit).await;
        raw.say("hello", json!({"ticket": visit_ticket})).await;
        let welcome = raw.next().await.unwrap();
        for part in 0..80 {
            // Text, then more of it, and never the end.
            let mut piece = Raw::frame(u8::from(part == 0), &[b'x'; 1024]);
            piece[0] &= 0x0f;
            if raw.line.write_all(&piece).await.is_err() {
                break;
            }
        }
        assert_eq!(raw.closed().await, Some(4413));
        asha.take_seat(&welcome);
        asha.seat.last_seq = 1;
        let (mut asha, _) = Peer::come_back(&world.house.url, &asha.cut()).await;
        assert!(asha.lives().await && doctor.lives().await);
    }
}

#[actix_web::test]
async fn a_frame_without_end_is_not_kept() {
    let world = &World::build(Engine::Sqlite).await;
    let visit = visit(world).await;
    let (mut asha, _) = Peer::enter(&world.asha.client, &visit).await;
    let url = &world.house.url;
    // Of a stranger who has said nothing yet, and of somebody with a seat.
    for seated in [false, true] {
        let mut raw = Raw::dial(url).await;
        if seated {
            raw.say("hello", json!({"ticket": ticket(&world.doctor.client, &visit).await})).await;
            assert_eq!(raw.next().await.unwrap()["t"], "welcome");
        }
        let mut head = vec![0x81, 0xff];
        head.extend_from_slice(&(1_u64 << 40).to_be_bytes());
        head.extend_from_slice(&[0; 4]);
        raw.line.write_all(&head).await.unwrap();
        // What comes after the close is thrown away, until the server hangs up.
        let (piece, begun) = (vec![b'x'; 1 << 20], Stopwatch::now());
        while raw.line.write_all(&piece).await.is_ok() {
            assert!(begun.elapsed().as_secs() < 4, "as long as they like");
        }
    }
    assert!(asha.lives().await);
}

/// Whether the server still has a connection to this port: from the system's own table.
fn is_held(url: &str, port: u16) -> bool {
    let server: u16 = url.rsplit_once(':').unwrap().1.parse().unwrap();
    let table = std::fs::read_to_string("/proc/net/tcp").unwrap();
    let ends = (format!(":{server:04X}"), format!(":{port:04X}"));
    table.lines().any(|line| {
        let mut words = line.split_whitespace().skip(1);
        let (local, remote) = (words.next().unwrap_or(""), words.next().unwrap_or(""));
        local.ends_with(&ends.0) && remote.ends_with(&ends.1)
    })
}

#[actix_web::test]
async fn whoever_never_reads_is_cut_off_and_nobody_waits_for_them() {
    let world = &World::build(Engine::Sqlite).await;
    let mut call = call(world).await;
    describe(&mut call).await;
    let Call { visit, mut doctor, mut asha, doctors, .. } = call;
    let mut deaf = Raw::dial(&world.house.url).await;
    deaf.say("hello", json!({"ticket": ticket(&world.asha.client, &visit).await})).await;
    assert_eq!(deaf.next().await.unwrap()["t"], "welcome");
    assert_eq!(asha.closed().await, Some(4409));
    let mut edge = Edge::of(&doctor.hear_of("negotiate").await);
    assert_eq!(edge.name, doctors.name);
    let large = "x".repeat(47 << 10);
    let begun = Stopwatch::now();
    let lines = || world.house.app.rooms.line_count();
    while lines() == 2 {
        assert!(begun.elapsed().as_secs() < 30, "the line was to be cut");
        doctor.say_on(&edge, "offer", json!({"sdp": large})).await;
        edge.neg += 1;
        sleep(Duration::from_millis(40)).await;
    }
    assert!(doctor.lives().await, "the one who reads goes on");
    // What waits for the deaf one is thrown away, and so is the connection.
    let port = deaf.line.local_addr().unwrap().port();
    let begun = Stopwatch::now();
    while is_held(&world.house.url, port) {
        assert!(begun.elapsed().as_secs() < 60, "the connection is held for ever");
        assert!(doctor.lives().await);
        sleep(Duration::from_secs(1)).await;
    }
    assert!(doctor.lives().await);
    let (mut asha, _) = Peer::enter(&world.asha.client, &visit).await;
    assert!(asha.lives().await);
}

#[actix_web::test]
async fn whoever_reads_too_late_hears_why_they_were_cut_off() {
    let world = &World::build(Engine::Sqlite).await;
    let mut call = call(world).await;
    describe(&mut call).await;
    let Call { visit, mut doctor, mut asha, .. } = call;
    let mut slow = Raw::dial(&world.house.url).await;
    slow.say("hello", json!({"ticket": ticket(&world.asha.client, &visit).await})).await;
    assert_eq!(asha.closed().await, Some(4409));
    let mut edge = Edge::of(&doctor.hear_of("negotiate").await);
    let large = "x".repeat(47 << 10);
    while world.house.app.rooms.line_count() == 2 {
        doctor.say_on(&edge, "offer", json!({"sdp": large})).await;
        edge.neg += 1;
        sleep(Duration::from_millis(40)).await;
    }
    assert_eq!(slow.closed().await, Some(4429));
}

on_both! {
    async fn a_right_that_ends_in_the_middle_of_a_flood_ends_at_once(world: World) {
        let mut call = call(world).await;
        describe(&mut call).await;
        let Call { mut doctor, mut asha, doctors, .. } = call;
        let mut said = 0;
        for number in 0..20 {
            asha.say("media_state", json!({"audio": number % 2 == 0, "video": false})).await;
            doctor.say_on(&doctors, "candidate", json!({"candidate": format!("{number}")})).await;
            said = number;
        }
        assert_eq!(said, 19);
        let begun = Stopwatch::now();
        let nothing = json!({});
        let leaving = world.asha.client.post("/v1/auth/logout", &nothing);
        let talking = async {
            for number in 0..20 {
                asha.say("media_state", json!({"audio": false, "video": number % 2 == 0})).await;
            }
        };
        let (left, ()) = join(leaving, talking).await;
        assert_eq!(left.status, 204);
        // What she says from here on, nobody hears.
        for number in 0..20 {
            asha.say("media_state", json!({"audio": true, "video": true, "screen": number % 2 == 0})).await;
        }
        let (_, code) = asha.hear_out().await;
        assert_eq!(code, Some(4401));
        assert!(begun.elapsed().as_secs() < OUT_SECS_MAX, "{:?}", begun.elapsed());
        let heard = doctor.hear_all().await;
        let at = heard.iter().position(|message| message["body"]["op"] == "left").expect("left");
        assert!(begun.elapsed().as_secs() < OUT_SECS_MAX, "{:?}", begun.elapsed());
        // A candidate of the doctor's own that came too late is answered, and by nobody but the room.
        let after = kinds(&heard[at + 1..]);
        assert!(after.iter().all(|kind| *kind == "error"), "{after:?} after she left");
        assert!(heard.iter().all(|message| message["body"]["screen"] != json!(true)));
        written(world, "signed_out", 1).await;
    }
}

on_both! {
    async fn two_who_come_and_go_at_one_instant_leave_a_true_log(world: World) {
        let Call { visit, mut doctor, mut asha, .. } = call(world).await;
        for round in 1..=12 {
            join(doctor.say("leave", json!({})), asha.say("leave", json!({}))).await;
            assert_eq!(join(doctor.closed(), asha.closed()).await, (Some(1000), Some(1000)));
            written(world, "left", 2 * round).await;
            assert_eq!(status(&world.doctor.client, &visit).await, "onleave", "round {round}");
            let url = &world.house.url;
            let (first, second) =
                join(ticket(&world.doctor.client, &visit), ticket(&world.asha.client, &visit)).await;
            let (mut one, mut two) = join(Peer::dial(url), Peer::dial(url)).await;
            join(one.say("hello", json!({"ticket": first})), two.say("hello", json!({"ticket": second}))).await;
            let (here, there) = join(one.hear(), two.hear()).await;
            one.take_seat(&here);
            two.take_seat(&there);
            assert_eq!(status(&world.doctor.client, &visit).await, "in-progress", "round {round}");
            (doctor, asha) = (one, two);
        }
        // The clock stood still: only the order of the lines tells who was here when.
        let shown = world.doctor.client.get(&format!("/v1/encounters/{visit}/calls")).await.expect(200);
        let stays = shown["items"].as_array().unwrap();
        assert_eq!(stays.len(), 26, "{shown}");
        assert_eq!(stays.iter().filter(|stay| stay["left_at"].is_null()).count(), 2);
    }
}

#[actix_web::test]
async fn dribbled_heads_and_frames_hold_no_line_for_long() {
    let world = &World::build(Engine::Sqlite).await;
    let url = &world.house.url;
    let head = Raw::upgrade();
    let begun = Stopwatch::now();
    let dribble = async || {
        let mut raw = Raw::connect(url).await;
        for byte in head.bytes().take(100) {
            if raw.line.write_all(&[byte]).await.is_err() {
                break;
            }
            sleep(Duration::from_millis(200)).await;
        }
        raw.hung_up().await;
        begun.elapsed()
    };
    // After the upgrade, the first frame a byte at a time.
    let whisper = async || {
        let mut raw = Raw::dial(url).await;
        for byte in Raw::frame(1, &[b'x'; 100]) {
            if raw.line.write_all(&[byte]).await.is_err() {
                break;
            }
            sleep(Duration::from_millis(100)).await;
        }
        (raw.closed().await, begun.elapsed())
    };
    let honest = async {
        let mut call = call(world).await;
        describe(&mut call).await;
        assert!(call.asha.lives().await);
        begun.elapsed()
    };
    let dribbles = join_all((0..100).map(|_| dribble()));
    let whispers = join_all((0..100).map(|_| whisper()));
    let ((dribbled, whispered), undisturbed) = join(join(dribbles, whispers), honest).await;
    assert!(undisturbed < Duration::from_secs(5), "{undisturbed:?}");
    let longest = dribbled.iter().max().unwrap();
    assert!(*longest < Duration::from_secs(15), "{longest:?}");
    for (code, took) in whispered {
        assert_eq!(code, Some(4408));
        assert!(took < Duration::from_secs(9), "{took:?}");
    }
}

/// So many visits at once, as on a Monday morning in a whole region: copies of one, since nobody
/// could book them all with one doctor.
async fn many_visits(world: &World, count: usize) -> Vec<String> {
    let first = visit(world).await;
    let (some_id, list) = match world.house.engine {
        Engine::Sqlite => ("randomblob(16)", "group_concat(hex(id))"),
        Engine::Postgres => ("gen_random_uuid()", "string_agg(CAST(id AS text), ',')"),
    };
    let on = if world.house.engine == Engine::Postgres { " ON appointments" } else { "" };
    // One doctor cannot be promised so often.
    world.house.execute(&format!("DROP TRIGGER appointments_occupied{on}")).unwrap();
    let copies = count - 1;
    let numbers = format!(
        "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {copies})"
    );
    let rest = "organization_id, practitioner_id, patient_id, starts_at";
    let more = "ends_at, busy_from, busy_to, priority, overbooked, mode, moves, resources, status, \
        service_id, time_zone, local_start, created_by, created_at, updated_at, version";
    for sql in [
        format!(
            "{numbers} INSERT INTO appointments (id, code, {rest}, {more})
             SELECT {some_id}, 'copy ' || n.i, {rest}, {more} FROM appointments, n"
        ),
        format!(
            "INSERT INTO encounters (id, appointment_id, status, updated_at, {rest})
             SELECT {some_id}, id, 'planned', updated_at, {rest} FROM appointments
             WHERE code LIKE 'copy %'"
        ),
    ] {
        world.house.execute(&sql).unwrap();
    }
    let ids = world.house.text(&format!("SELECT {list} AS t FROM encounters"));
    let ids: Vec<String> =
        ids.split(',').map(|id| uuid::Uuid::parse_str(id).unwrap().to_string()).collect();
    assert!(ids.len() == count && ids.contains(&first));
    ids
}

on_both! {
    async fn five_hundred_who_come_at_once_and_die_without_a_word_leave_nothing_behind(world: World) {
        let visits = many_visits(world, 250).await;
        let mut tickets = Vec::new();
        for visit in &visits {
            for who in [&world.asha, &world.doctor] {
                tickets.push(ticket(&who.client, visit).await);
            }
        }
        let url = &world.house.url;
        let begun = Stopwatch::now();
        let come = async |ticket: &String| loop {
            let mut peer = Peer::dial(url).await;
            peer.say("hello", json!({"ticket": ticket})).await;
            let welcome = peer.hear().await;
            // A database that is too busy says so, and the ticket is still good.
            if welcome["body"]["retryable"] == true {
                sleep(Duration::from_millis(200)).await;
                continue;
            }
            assert_eq!(welcome["t"], "welcome", "{welcome}");
            peer.take_seat(&welcome);
            break peer;
        };
        let peers = join_all(tickets.iter().map(come)).await;
        println!("500 came in {:?}", begun.elapsed());
        let rooms = &world.house.app.rooms;
        // Where it takes long, those who came first have been silent for too long meanwhile.
        let are_all_there = |since: Stopwatch| {
            since.elapsed().as_secs() >= SILENCE_SECS_MAX || rooms.line_count() == 500
        };
        assert!(are_all_there(begun), "{} are there", rooms.line_count());
        let seats: Vec<Seat> = peers.into_iter().map(Peer::cut).collect();
        let died = Stopwatch::now();
        while rooms.line_count() > 0 {
            assert!(died.elapsed().as_secs() < OUT_SECS_MAX, "{} are left", rooms.line_count());
            sleep(Duration::from_millis(10)).await;
        }
        // They may come back all at once as well, for as long as seats are kept.
        let come_back = async |seat: &Seat| Peer::come_back(url, seat).await.0;
        let begun = Stopwatch::now();
        let peers = join_all(seats.iter().map(come_back)).await;
        assert!(are_all_there(begun), "{} are there", rooms.line_count());
        drop(peers);
        while rooms.line_count() > 0 {
            sleep(Duration::from_millis(10)).await;
        }
        world.house.advance(chrono::TimeDelta::seconds(181));
        written(world, "lost", 500).await;
        assert_eq!(rooms.room_count(), 0);
        let open = "SELECT count(*) AS n FROM rtc_sessions WHERE ended_at IS NULL";
        assert_eq!(world.house.count(open), 0);
        let (mut asha, _) = Peer::enter(&world.asha.client, &visits[7]).await;
        assert!(asha.lives().await);
    }
}
