//! Measuring a line before the visit: who may, when, how much, and what is believed.

use chrono::TimeDelta;
use feldsher::base::config::Secret;
use serde_json::{Value, json};

use crate::on_both;
use crate::support::probe::{OFFER, found};
use crate::support::visit::encounter_of;
use crate::support::{Client, Engine, House, Person, World, key};

const TODAY: &str = "2026-11-23T09:20:00+07:00";

async fn probes(world: &World, start: &str) -> String {
    format!("/v1/encounters/{}/probes", encounter_of(&world.booked(start).await))
}

/// A probe that goes on: the address of what belongs to it.
async fn begun(client: &Client, probes: &str) -> String {
    let begun = client.post(probes, &json!({})).await.expect(201);
    format!("{probes}/{}", begun["id"].as_str().unwrap())
}

async fn answers(client: &Client, probe: &str) -> String {
    let offer = json!({"leg": "direct", "sdp": OFFER});
    let answer = client.post(&format!("{probe}/offers"), &offer).await.expect(200);
    answer["sdp"].as_str().unwrap().to_owned()
}

fn with(change: impl FnOnce(&mut Value)) -> Value {
    let mut found = found();
    change(&mut found);
    found
}

/// Waits until every connection of the house has ended.
async fn nobody_measures(house: &House) {
    for _ in 0..400 {
        if house.app.probes.count() == 0 {
            return;
        }
        actix_web::rt::time::sleep(std::time::Duration::from_millis(25)).await;
    }
    panic!("{} connections are left", house.app.probes.count());
}

on_both! {
    async fn a_patient_measures_and_the_doctor_reads_what_came_of_it(world: World) {
        let probes = probes(world, TODAY).await;
        let asha = &world.asha.client;
        let begun = asha.post(&probes, &json!({})).await.expect(201);
        assert_eq!(begun["legs"], json!([{"leg": "direct", "policy": "all", "ice_servers": []}]));
        let probe = format!("{probes}/{}", begun["id"].as_str().unwrap());

        let answer = answers(asha, &probe).await;
        assert!(answer.contains("m=application ") && answer.contains("a=candidate:"), "{answer}");
        assert!(answer.contains(" 127.0.0.1 "), "the server's own address: {answer}");
        assert_eq!(asha.get(&probes).await.expect(200)["items"], json!([]), "nothing is measured yet");

        let kept = asha.post(&format!("{probe}/result"), &found()).await.expect(200);
        assert_eq!((&kept["verdict"], &kept["advice"], &kept["side"]), (&json!("video"), &json!("ready"), &json!("patient")));
        assert_eq!(kept["advice_text"], "Video and voice will work here.");
        assert_eq!(kept["mos"], 4.29);
        assert_eq!(kept["legs"], json!([
            {"leg": "direct", "state": "connected", "ms": 412},
            {"leg": "relay_udp", "state": "untested"},
            {"leg": "relay_tls", "state": "failed"},
        ]));
        let russian = world.doctor.client.in_language("ru");
        let read = russian.get(&probes).await.expect(200)["items"][0].clone();
        assert_eq!(read["measures"], found()["measures"]);
        assert_eq!(read["advice_text"], "Видео и голос здесь будут работать.");

        // Another time, nothing passes: the newest stands first.
        world.house.advance(TimeDelta::minutes(2));
        let probe = self::begun(asha, &probes).await;
        let nothing = with(|found| {
            found["legs"] = json!([{"leg": "direct", "state": "failed"}]);
            found.as_object_mut().unwrap().retain(|name, _| !name.starts_with("measure"));
        });
        let kept = asha.post(&format!("{probe}/result"), &nothing).await.expect(200);
        assert_eq!((&kept["verdict"], &kept["advice"]), (&json!("phone"), &json!("phone")));
        assert_eq!(kept.get("measures"), None);
        let listed = asha.get(&probes).await.expect(200);
        let verdicts: Vec<&Value> = listed["items"].as_array().unwrap().iter().map(|one| &one["verdict"]).collect();
        assert_eq!(verdicts, ["phone", "video"]);
        nobody_measures(&world.house).await;
    }
}

on_both! {
    async fn a_line_can_be_measured_from_the_day_before_until_the_visit_is_over(world: World) {
        let early = probes(world, "2026-11-26T09:20:00+07:00").await;
        let refused = world.asha.client.post(&early, &json!({})).await;
        assert_eq!(refused.refused(409), "too_early");
        assert_eq!(refused.body["opens_at"], "2026-11-24T02:20:00Z");
        begun(&world.asha.client, &probes(world, "2026-11-24T16:40:00+07:00").await).await;

        let mut wish = world.wish("2026-11-23T10:00:00+07:00");
        wish["hold"] = json!(true);
        let held = world.asha.client.once("/v1/appointments", &key(), &wish).await.expect(201);
        let held = format!("/v1/encounters/{}/probes", encounter_of(&held));
        assert_eq!(world.asha.client.post(&held, &json!({})).await.refused(409), "bad_state");

        let today = world.booked(TODAY).await;
        let probes = format!("/v1/encounters/{}/probes", encounter_of(&today));
        let cancel = format!("/v1/appointments/{}/cancel", today["id"].as_str().unwrap());
        world.asha.client.post(&cancel, &json!({})).await.expect(200);
        assert_eq!(world.asha.client.post(&probes, &json!({})).await.refused(410), "visit_over");
    }
}

on_both! {
    async fn a_probe_is_its_beginners_alone_goes_on_for_ten_minutes_and_is_measured_once(world: World) {
        let probes = probes(world, TODAY).await;
        let (asha, feldsher) = (&world.asha.client, &world.feldsher.client);
        let mine = begun(asha, &probes).await;
        let theirs = begun(feldsher, &probes).await;
        let offer = json!({"leg": "direct", "sdp": OFFER});
        for (client, probe) in [(asha, &theirs), (feldsher, &mine)] {
            assert_eq!(client.post(&format!("{probe}/offers"), &offer).await.refused(409), "bad_state");
            assert_eq!(client.post(&format!("{probe}/result"), &found()).await.refused(409), "bad_state");
        }
        let other = self::probes(world, "2026-11-23T11:00:00+07:00").await;
        let elsewhere = format!("{other}/{}", mine.rsplit('/').next().unwrap());
        for of in ["offers", "result"] {
            let body = if of == "offers" { offer.clone() } else { found() };
            assert_eq!(asha.post(&format!("{elsewhere}/{of}"), &body).await.refused(404), "not_found");
            assert_eq!(world.boris.client.post(&format!("{mine}/{of}"), &body).await.refused(404), "not_found");
            assert_eq!(world.doctor.client.post(&format!("{mine}/{of}"), &body).await.refused(403), "forbidden");
        }
        let kept = feldsher.post(&format!("{theirs}/result"), &found()).await.expect(200);
        assert_eq!(kept["side"], "feldsher");
        assert_eq!(feldsher.post(&format!("{theirs}/result"), &found()).await.refused(409), "bad_state");
        assert_eq!(feldsher.post(&format!("{theirs}/offers"), &offer).await.refused(409), "bad_state");

        world.house.advance(TimeDelta::minutes(11));
        let asha = world.resigned(&world.asha).await.client;
        assert_eq!(asha.post(&format!("{mine}/result"), &found()).await.refused(409), "bad_state");
        world.house.advance(TimeDelta::days(2));
        feldsher::base::retention::sweep(&world.house.app).await;
        assert_eq!(world.house.count("SELECT count(*) AS n FROM link_probes"), 1, "what was measured stays");
    }
}

on_both! {
    async fn what_cannot_have_been_measured_is_refused_by_name(world: World) {
        let probes = probes(world, TODAY).await;
        let asha = &world.asha.client;
        let result = format!("{}/result", begun(asha, &probes).await);
        let set = |name: &str, value: Value| with(|found| found["measures"][name] = value);
        for (body, pointer) in [
            (set("rtt_p50_ms", json!(-1)), "/measures/rtt_p50_ms"),
            (set("rtt_p95_ms", json!(60_001)), "/measures/rtt_p95_ms"),
            (set("rtt_p95_ms", json!(79)), "/measures/rtt_p95_ms"),
            (set("jitter_ms", json!(60_001)), "/measures/jitter_ms"),
            (set("loss_up_permille", json!(1001)), "/measures/loss_up_permille"),
            (set("loss_down_permille", json!(-1)), "/measures/loss_down_permille"),
            (set("up_kbits", json!(100_001)), "/measures/up_kbits"),
            (set("down_kbits", json!(1e30)), "/measures/down_kbits"),
            (set("down_kbits", json!(1.5)), "/measures/down_kbits"),
            (set("mood", json!(1)), "/measures/mood"),
            (with(|found| found["legs"][0]["ms"] = json!(-1)), "/legs/0"),
            (with(|found| found["legs"][0]["state"] = json!("failed")), "/legs/0"),
            (with(|found| found["legs"][1]["leg"] = json!("direct")), "/legs/0"),
            (with(|found| found["legs"][0]["leg"] = json!("pigeon")), "/legs/0/leg"),
            (with(|found| found["measured_on"] = json!("relay_tls")), "/measured_on"),
            (with(|found| found["measured_on"] = Value::Null), "/measured_on"),
            (with(|found| found["measures"] = Value::Null), "/measured_on"),
            (with(|found| found["devices"]["camera"] = json!("broken")), "/devices/camera"),
            (with(|found| found["verdict"] = json!("video")), "/verdict"),
        ] {
            let refused = asha.post(&result, &body).await;
            assert_eq!(refused.refused(422), "invalid_body", "{body}");
            assert_eq!(refused.body["errors"][0]["pointer"], pointer, "{}", refused.text);
        }
        asha.post(&result, &found()).await.expect(200);
    }
}

on_both! {
    async fn the_database_keeps_no_probe_with_a_hole(world: World) {
        let probes = probes(world, TODAY).await;
        let probe = begun(&world.asha.client, &probes).await;
        for change in [
            "verdict = 'video'",
            "measured_on = 'direct'",
            "measured_at = begun_at",
            "direct = 'connected'",
            "direct = 'perhaps'",
            "rtt_p50_ms = 80",
            "side = 'relative'",
        ] {
            let sql = format!("UPDATE link_probes SET {change}");
            assert!(world.house.execute(&sql).is_err(), "{change}");
        }
        world.asha.client.post(&format!("{probe}/result"), &found()).await.expect(200);
        for change in ["mos = NULL", "mos = 9", "loss_up_permille = 1001", "camera = NULL", "measured_on = NULL"] {
            let sql = format!("UPDATE link_probes SET {change}");
            assert!(world.house.execute(&sql).is_err(), "{change}");
        }
    }
}

on_both! {
    async fn nobody_measures_all_day(world: World) {
        let probes = probes(world, TODAY).await;
        for _ in 0..20 {
            begun(&world.asha.client, &probes).await;
        }
        let refused = world.asha.client.post(&probes, &json!({})).await;
        assert_eq!(refused.refused(429), "too_many_attempts");
        assert!(refused.header("retry-after").is_some());
        begun(&world.feldsher.client, &probes).await;
    }
}

/// A house whose settings differ.
async fn changed(change: impl FnOnce(&mut feldsher::base::config::Config)) -> World {
    World::build_with(Engine::Sqlite, change).await
}

#[actix_web::test]
async fn each_way_has_its_own_servers_with_a_name_that_says_nothing() {
    let world = changed(|config| {
        config.ice.stun_urls = vec!["stun:turn.example:3478".to_owned()];
        config.ice.turn_urls = vec![
            "turn:turn.example:3478?transport=udp".to_owned(),
            "turn:turn.example:3478?transport=tcp".to_owned(),
            "turns:turn.example:443?transport=tcp".to_owned(),
        ];
        config.ice.turn_secret = Secret("north".to_owned());
    })
    .await;
    let probes = probes(&world, TODAY).await;
    let begun = world.asha.client.post(&probes, &json!({})).await.expect(201);
    let said: Vec<(&str, &str, &Value)> = begun["legs"]
        .as_array()
        .unwrap()
        .iter()
        .map(|leg| {
            let text = |name: &str| leg[name].as_str().unwrap();
            (text("leg"), text("policy"), &leg["ice_servers"][0]["urls"])
        })
        .collect();
    let udp = json!(["turn:turn.example:3478?transport=udp"]);
    let tls = json!(["turns:turn.example:443?transport=tcp"]);
    let expected = [
        ("direct", "all", &Value::Null),
        ("relay_udp", "relay", &udp),
        ("relay_tls", "relay", &tls),
    ];
    assert_eq!(said, expected);
    let name = begun["legs"][1]["ice_servers"][0]["username"].as_str().unwrap();
    assert!(name.len() < 32 && !begun.to_string().contains(&world.asha.id), "{begun}");
}

#[actix_web::test]
async fn a_clinic_can_do_without() {
    let world = changed(|config| config.probe.enabled = false).await;
    let probes = probes(&world, TODAY).await;
    assert_eq!(world.asha.client.post(&probes, &json!({})).await.refused(409), "probe_off");
    assert_eq!(world.asha.client.get(&probes).await.expect(200)["items"], json!([]));
}

/// Boris has a visit as well.
async fn second(world: &World, who: &Person) -> String {
    let wish = world.wish("2026-11-23T09:40:00+07:00");
    let booked = who.client.once("/v1/appointments", &key(), &wish).await.expect(201);
    format!("/v1/encounters/{}/probes", encounter_of(&booked))
}

#[actix_web::test]
async fn when_every_port_is_taken_the_next_is_told_to_come_back_and_a_new_try_ends_the_old_one() {
    let port = crate::support::relay::free_port();
    let world = changed(|config| {
        (config.probe.port_from, config.probe.port_to) = (port, port);
    })
    .await;
    let first = begun(&world.asha.client, &probes(&world, TODAY).await).await;
    let answer = answers(&world.asha.client, &first).await;
    assert!(answer.contains(&format!(" 127.0.0.1 {port} ")), "{answer}");
    let other = begun(&world.boris.client, &second(&world, &world.boris).await).await;
    let offer = json!({"leg": "direct", "sdp": OFFER});
    let refused = world.boris.client.post(&format!("{other}/offers"), &offer).await;
    assert_eq!(refused.refused(503), "overloaded");
    assert_eq!(refused.header("retry-after"), Some("20"));

    // The page of the first tries anew: its own connection makes room, a moment later.
    let offers = format!("{first}/offers");
    for turn in 0.. {
        let answer = world.asha.client.post(&offers, &offer).await;
        if answer.status == 200 {
            break;
        }
        assert_eq!(answer.refused(503), "overloaded");
        assert!(turn < 40, "the connection before does not end");
        actix_web::rt::time::sleep(std::time::Duration::from_millis(50)).await;
    }
    assert_eq!(world.house.app.probes.count(), 1);
    world.house.app.probes.stop();
    nobody_measures(&world.house).await;
    answers(&world.boris.client, &other).await;
}

#[actix_web::test]
async fn offers_of_every_kind_are_answered_or_refused_and_leave_nothing_behind() {
    let world = changed(|_| {}).await;
    let probe = begun(&world.asha.client, &probes(&world, TODAY).await).await;
    let offers = format!("{probe}/offers");
    let mut dice = 20_261_123_u64;
    let mut roll = |below: usize| {
        dice = dice.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(dice >> 33).unwrap() % below
    };
    let mut heard = std::collections::BTreeMap::new();
    for _ in 0..150 {
        let mut bytes = OFFER.as_bytes().to_vec();
        for _ in 0..=roll(6) {
            let at = roll(bytes.len());
            match roll(4) {
                0 => bytes[at] = b' ' + u8::try_from(roll(94)).unwrap(),
                1 => drop(bytes.remove(at)),
                2 => bytes.truncate(at.max(1)),
                _ => {
                    let piece = bytes[at..(at + roll(60)).min(bytes.len())].to_vec();
                    bytes.splice(at..at, piece);
                }
            }
        }
        let sdp = String::from_utf8(bytes).unwrap();
        let body = json!({"leg": "direct", "sdp": sdp});
        let mut answer = world.asha.client.post(&offers, &body).await;
        while answer.status == 429 {
            // Those before still close.
            actix_web::rt::time::sleep(std::time::Duration::from_millis(50)).await;
            answer = world.asha.client.post(&offers, &body).await;
        }
        let status = answer.status.as_u16();
        assert!([200, 422].contains(&status), "{status} {} to {sdp:?}", answer.text);
        *heard.entry(status).or_insert(0) += 1;
        if status == 422 {
            assert_eq!(answer.refused(422), "invalid_offer");
        }
    }
    assert!(heard[&422] > 10, "{heard:?}");
    let body = json!({"leg": "direct", "sdp": "x".repeat(20_000)});
    assert_eq!(world.asha.client.post(&offers, &body).await.refused(422), "invalid_offer");
    answers(&world.asha.client, &probe).await;
    world.house.app.probes.stop();
    nobody_measures(&world.house).await;
}
