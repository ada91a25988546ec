//! Whose turn it is and how long it takes until then: from what stands in front, from how long the
//! practitioner's visits really last, and from what they say of being late.

use std::time::Duration;

use actix_web::http::Method;
use chrono::TimeDelta;
use serde_json::{Value, json};

use crate::on_both;
use crate::support::peer::Peer;
use crate::support::visit::{asks, begins, books, books_at, encounter_of, finishes, monday};
use crate::support::world::{self, PASSWORD};
use crate::support::{Client, Engine, Person, World, key};

const ASHA: &str = "+70000000001";
const BORIS: &str = "+70000000002";
const VERA: &str = "+70000000003";

/// The same as the API writes it.
fn utc(clock: &str) -> Value {
    let at: feldsher::base::column::Instant = monday(clock).parse().unwrap();
    json!(at)
}

async fn vera(world: &World) -> Person {
    let (house, clerk) = (&world.house, &world.registrar.client);
    world::patient(house, clerk, &world.clinic, &world.village, "Вера Третья", VERA).await
}

/// Position, earliest and latest, as the patient hears them.
async fn place(client: &Client, visit: &Value) -> (i64, Value, Value) {
    let queue = asks(client, visit).await["queue"].clone();
    let position = queue["position"].as_i64().unwrap_or_else(|| panic!("no place: {queue}"));
    (position, queue["earliest"].clone(), queue["latest"].clone())
}

/// Lets time pass until a clock shows this, and signs everybody in anew.
pub(crate) async fn until<const N: usize>(
    world: &World,
    at: &str,
    who: [&Person; N],
) -> [Person; N] {
    let at: feldsher::base::column::Instant = at.parse().unwrap();
    world.house.advance(at.since(world.house.now()));
    let mut fresh = Vec::new();
    for who in who {
        fresh.push(signs_in(world, who).await);
    }
    fresh.try_into().ok().unwrap()
}

/// A patient's sign-in outlasts a night, that of the staff does not.
pub(crate) async fn signs_in(world: &World, who: &Person) -> Person {
    if who.login.starts_with('+') {
        return world.resigned(who).await;
    }
    let body = json!({"login": who.login, "password": PASSWORD});
    let tokens = world.house.client().post("/v1/auth/password", &body).await.expect(200);
    world::signed_in(&world.house, &tokens, &who.login, who.id.clone())
}

async fn is_late(client: &Client, doctor: &str, body: Value) -> Value {
    let path = format!("/v1/practitioners/{doctor}/delay");
    client.once(&path, &key(), &body).await.expect(200)
}

fn counts(said: &Value) -> [&Value; 4] {
    ["to_come", "told", "by_sms", "unreached"].map(|field| &said[field])
}

const UNSENT: &str = "SELECT count(*) AS n FROM outbox_messages WHERE state = 'pending'";
const REFUSED: &str =
    "SELECT count(*) AS n FROM outbox_messages WHERE state = 'pending' AND attempts > 0";

/// Lets time pass until somebody has a text. One that counts as taken may be refused only now, and
/// waits from this moment on.
async fn comes_in_time(world: &World, to: &str, words: &str) -> String {
    for _ in 0..20 {
        world.house.advance(TimeDelta::seconds(61));
        for _ in 0..100 {
            if texts(world, to, words) > 0 {
                return world.house.sms_with(to, words).await;
            }
            actix_web::rt::time::sleep(Duration::from_millis(25)).await;
        }
    }
    panic!("no such SMS to {to}");
}

/// Waits until a question to the database has this answer.
async fn comes_to(world: &World, sql: &str, wanted: i64) {
    for _ in 0..400 {
        if world.house.count(sql) == wanted {
            return;
        }
        actix_web::rt::time::sleep(Duration::from_millis(25)).await;
    }
    assert_eq!(world.house.count(sql), wanted, "{sql}");
}

fn texts(world: &World, to: &str, words: &str) -> usize {
    let sent = world.house.app.inbox.newest_first();
    sent.iter().filter(|sms| sms.to == to && sms.text.contains(words)).count()
}

on_both! {
    async fn who_was_told_to_come_later_finds_the_door_open_then_and_is_not_thrown_out(world: World) {
        let visit = books(world, &world.asha, "09:40").await;
        let path = format!("/v1/encounters/{}", encounter_of(&visit));
        let closes_at = async |client: &Client| client.get(&path).await.expect(200)["closes_at"].clone();
        assert_eq!(closes_at(&world.asha.client).await, utc("10:30"));
        is_late(&world.doctor.client, &world.doctor.id, json!({"minutes": 180})).await;
        // Told for 12:40: twenty minutes from then, and the half hour that everybody has.
        assert_eq!(closes_at(&world.asha.client).await, utc("13:30"));

        let [doctor, asha] = until(world, &monday("12:41"), [&world.doctor, &world.asha]).await;
        // The time that was said has passed; what was promised stands.
        assert_eq!(closes_at(&asha.client).await, utc("13:30"));
        // Nor has she missed it: she can still say that she comes.
        let visit_path = format!("/v1/appointments/{}", visit["id"].as_str().unwrap());
        assert_eq!(asha.client.get(&visit_path).await.expect(200)["over_at"], utc("13:00"));
        asha.client.post(&format!("{visit_path}/attend"), &json!({})).await.expect(200);
        let (mut waits, _) = Peer::enter(&asha.client, &encounter_of(&visit)).await;
        assert_eq!(closes_at(&asha.client).await, utc("15:00"), "who has come is kept two hours");
        let [doctor, asha] = until(world, &monday("14:59"), [&doctor, &asha]).await;
        assert!(world.house.app.rooms.tick().is_empty());
        assert!(waits.lives().await);
        begins(world, &doctor, &asha, &visit).await;
        assert!(waits.lives().await);
    }
}

on_both! {
    async fn who_is_told_that_it_is_on_time_again_finds_the_door_as_planned(world: World) {
        let visit = books(world, &world.asha, "09:40").await;
        let path = format!("/v1/encounters/{}", encounter_of(&visit));
        is_late(&world.doctor.client, &world.doctor.id, json!({"minutes": 180})).await;
        is_late(&world.doctor.client, &world.doctor.id, json!({"minutes": 0})).await;
        assert_eq!(world.asha.client.get(&path).await.expect(200)["closes_at"], utc("10:30"));
    }
}

on_both! {
    async fn a_place_and_a_range_while_those_in_front_talk_finish_and_stay_away(world: World) {
        let vera = vera(world).await;
        let first = books(world, &vera, "09:20").await;
        let second = books(world, &world.boris, "09:40").await;
        let own = books(world, &world.asha, "10:00").await;
        let said = asks(&world.asha.client, &own).await;
        assert_eq!(said["queue"], json!({"position": 3, "earliest": utc("10:00"), "latest": utc("10:00"), "measured": false}));
        assert_eq!((&said["wait_minutes"], &said["poll_after"]), (&json!({"low": 60, "high": 60}), &json!(60)));
        assert_eq!((&said["can_join"], &said["reason"]), (&json!(false), &json!("too_early")));

        let everybody = [&world.doctor, &vera, &world.boris, &world.asha];
        let [doctor, vera, ..] = until(world, &monday("09:20"), everybody).await;
        begins(world, &doctor, &vera, &first).await;
        assert!(asks(&vera.client, &first).await.get("queue").is_none(), "it has begun");
        // Ten minutes of the planned twenty have passed.
        let everybody = [&doctor, &vera, &world.boris, &world.asha];
        let [doctor, vera, boris, asha] = until(world, &monday("09:30"), everybody).await;
        assert_eq!(place(&asha.client, &own).await, (3, utc("10:00"), utc("10:00")));
        // It takes longer than planned; Boris is due and has not come, so perhaps he never will.
        let everybody = [&doctor, &vera, &boris, &asha];
        let [doctor, vera, boris, asha] = until(world, &monday("09:50"), everybody).await;
        assert_eq!(place(&asha.client, &own).await, (3, utc("10:00"), utc("10:15")));
        let boris_waits = world.enters(&boris, &encounter_of(&second)).await;
        assert_eq!(place(&boris.client, &second).await, (2, utc("09:50"), utc("09:55")));
        assert_eq!(place(&asha.client, &own).await, (3, utc("10:10"), utc("10:15")));
        finishes(&doctor, &first).await;
        assert_eq!(place(&asha.client, &own).await, (2, utc("10:10"), utc("10:10")));
        let said = asks(&asha.client, &own).await;
        assert_eq!((&said["can_join"], &said["poll_after"]), (&json!(true), &json!(15)));

        // Boris does not stay: he may come again, but the earliest time is as without him.
        world.leaves(&encounter_of(&second), boris_waits).await;
        assert_eq!(place(&asha.client, &own).await, (2, utc("10:00"), utc("10:10")));
        // He calls off, and nobody waits for him.
        let cancel = format!("/v1/appointments/{}/cancel", second["id"].as_str().unwrap());
        boris.client.once(&cancel, &key(), &json!({})).await.expect(200);
        assert_eq!(place(&asha.client, &own).await, (1, utc("10:00"), utc("10:00")));
        assert!(asks(&boris.client, &second).await.get("queue").is_none());

        // Somebody between them who does not come at all.
        let later = books(world, &vera, "10:20").await;
        let [doctor, vera, asha] = until(world, &monday("10:02"), [&doctor, &vera, &asha]).await;
        assert_eq!(place(&vera.client, &later).await, (2, utc("10:20"), utc("10:25")));
        let noshow = format!("/v1/appointments/{}/noshow", own["id"].as_str().unwrap());
        doctor.client.once(&noshow, &key(), &json!({})).await.expect(200);
        assert_eq!(place(&vera.client, &later).await, (1, utc("10:20"), utc("10:20")));
        assert!(asks(&asha.client, &own).await.get("queue").is_none());
    }
}

on_both! {
    async fn only_those_who_may_see_a_visit_hear_and_an_unchanged_answer_is_no_answer(world: World) {
        let own = world.booked(&monday("09:40")).await;
        let path = format!("/v1/encounters/{}/waiting", encounter_of(&own));
        assert_eq!(world.boris.client.get(&path).await.refused(404), "not_found");
        assert_eq!(world.stranger.client.get(&path).await.refused(404), "not_found");
        assert_eq!(world.house.client().get(&path).await.refused(401), "unauthorized");
        let before = books(world, &world.boris, "09:20").await;
        let said = world.asha.client.get(&path).await;
        assert_eq!(said.body["queue"]["position"], 2);
        for known in [&before["id"], &before["code"], &before["patient"]["name"], &before["encounter"]["id"]] {
            assert!(!said.text.contains(known.as_str().unwrap()), "{}", said.text);
        }
        assert!(said.text.len() < 400, "{} bytes", said.text.len());
        let tag = said.header("etag").unwrap().to_owned();
        let again = async |client: &Client| {
            let request = client.request(Method::GET, &path).insert_header(("If-None-Match", tag.clone()));
            client.send(request, None).await
        };
        let same = again(&world.asha.client).await;
        assert_eq!((same.status.as_u16(), same.text.as_str()), (304, ""));
        assert_eq!(same.header("etag"), Some(tag.as_str()));
        assert_eq!(again(&world.boris.client).await.refused(404), "not_found", "also with a tag");
        let cancel = format!("/v1/appointments/{}/cancel", before["id"].as_str().unwrap());
        world.boris.client.once(&cancel, &key(), &json!({})).await.expect(200);
        let changed = again(&world.asha.client).await.expect(200);
        assert_eq!(changed["queue"]["position"], 1);

        // Tomorrow's visit has no place today.
        let tomorrow = books_at(world, &world.boris, "2026-11-24T09:00:00+07:00").await;
        let said = asks(&world.boris.client, &tomorrow).await;
        assert!(said.get("queue").is_none() && said.get("wait_minutes").is_none(), "{said}");
    }
}

on_both! {
    async fn two_doctors_do_not_mix_and_what_was_measured_counts(world: World) {
        let vera = vera(world).await;
        let second = world::practitioner(
            &world.house, &world.admin.client, &world.clinic, "Зинаида Вторая", "doctor", "vtoraya",
            &[&world.service],
        ).await;
        let path = format!("/v1/practitioners/{}/schedule", second.id);
        let rules = json!({"rules": [{"weekday": "mon", "from": "09:00", "to": "17:00"}, {"weekday": "tue", "from": "09:00", "to": "17:00"}]});
        second.client.edit(Method::PUT, &path, 1, &rules).await.expect(200);

        // Five visits on Monday: eight to sixteen minutes each.
        let (mut doctor, mut boris) = (world.doctor.clone(), world.boris.clone());
        let day = [("09:20", 8), ("09:40", 16), ("10:00", 10), ("10:20", 14), ("10:40", 12)];
        let mut visits = Vec::new();
        for (start, minutes) in day {
            visits.push((books(world, &boris, start).await, start, minutes));
        }
        for (visit, start, minutes) in visits {
            [doctor, boris] = until(world, &monday(start), [&doctor, &boris]).await;
            begins(world, &doctor, &boris, &visit).await;
            world.house.advance(TimeDelta::minutes(minutes));
            doctor = signs_in(world, &doctor).await;
            finishes(&doctor, &visit).await;
        }
        let everybody = [&boris, &world.asha, &vera];
        let [boris, asha, vera] = until(world, "2026-11-24T08:30:00+07:00", everybody).await;
        let first = books_at(world, &boris, "2026-11-24T09:00:00+07:00").await;
        let own = books_at(world, &asha, "2026-11-24T09:20:00+07:00").await;
        // Another doctor's visit at the same hour is none of it.
        let mut elsewhere = world.wish("2026-11-24T09:00:00+07:00");
        elsewhere["practitioner"] = json!(second.id);
        let others = vera.client.once("/v1/appointments", &key(), &elsewhere).await.expect(201);
        assert_eq!(asks(&asha.client, &own).await["queue"]["position"], 2);
        assert_eq!(asks(&vera.client, &others).await["queue"]["position"], 1);

        let everybody = [&doctor, &boris, &asha, &vera];
        let [doctor, boris, asha, vera] = until(world, "2026-11-24T09:15:00+07:00", everybody).await;
        begins(world, &doctor, &boris, &first).await;
        let [asha, vera] = until(world, "2026-11-24T09:16:00+07:00", [&asha, &vera]).await;
        let queue = asks(&asha.client, &own).await["queue"].clone();
        // The quartiles are 10 and 14 minutes; the plan says 20.
        assert_eq!(queue, json!({
            "position": 2, "earliest": "2026-11-24T02:25:00Z", "latest": "2026-11-24T02:30:00Z",
            "measured": true,
        }));
        let queue = asks(&vera.client, &others).await["queue"].clone();
        assert_eq!((&queue["position"], &queue["measured"]), (&json!(1), &json!(false)));
    }
}

on_both! {
    async fn being_late_is_told_to_exactly_those_behind_and_once(world: World) {
        let vera = vera(world).await;
        let first = world.booked(&monday("09:20")).await;
        let second = books(world, &world.boris, "09:40").await;
        // After a gap: what is lost in the morning is caught up by then.
        let noon = books(world, &vera, "12:00").await;
        let (doctor, id) = (&world.doctor.client, world.doctor.id.as_str());
        let path = format!("/v1/practitioners/{id}/delay");
        assert_eq!(doctor.get(&path).await.expect(200), json!({"minutes": 0}));

        let registrar = &world.registrar.client;
        let preview = is_late(registrar, id, json!({"minutes": 30, "dry_run": true})).await;
        assert_eq!(counts(&preview), [&json!(3), &json!(2), &json!(2), &json!(0)]);
        assert_eq!(preview["free_at"], utc("09:50"));
        assert_eq!(doctor.get(&path).await.expect(200)["minutes"], 0, "only looked at");
        assert_eq!(world.house.count("SELECT count(*) AS n FROM practitioner_delays"), 0);

        let said = is_late(registrar, id, json!({"minutes": 30})).await;
        assert_eq!(counts(&said), counts(&preview));
        let known = doctor.get(&path).await.expect(200);
        assert_eq!((&known["minutes"], &known["declared_at"]), (&json!(30), &json!(world.house.now())));
        assert_eq!(known["declared_by"]["name"], "Нина Орлова");
        for (to, visit, clock) in [(ASHA, &first, "09:50"), (BORIS, &second, "10:10")] {
            let text = world.house.sms_with(to, "позже").await;
            assert!(text.contains(clock) && text.contains(visit["code"].as_str().unwrap()), "{text}");
            assert!(!text.contains("Лебедева") && !text.contains("GP visit"), "{text}");
        }
        let queue = asks(&world.asha.client, &first).await["queue"].clone();
        assert_eq!(queue, json!({"position": 1, "earliest": utc("09:50"), "latest": utc("09:50"),
            "late_minutes": 30, "late_declared_at": world.house.now(), "measured": false}));
        let queue = asks(&vera.client, &noon).await["queue"].clone();
        assert_eq!((&queue["latest"], queue.get("late_minutes")), (&utc("12:00"), None));

        // The same again, and a little more, is no news; much more is.
        for minutes in [30, 35] {
            let said = is_late(doctor, id, json!({"minutes": minutes})).await;
            assert_eq!(said["told"], 0, "{minutes}");
        }
        assert_eq!(is_late(doctor, id, json!({"minutes": 60})).await["told"], 2);
        world.house.sms_with(ASHA, "10:20").await;
        world.house.sms_with(BORIS, "10:40").await;
        assert_eq!(is_late(doctor, id, json!({"minutes": 0})).await["told"], 2);
        assert_eq!(doctor.get(&path).await.expect(200), json!({"minutes": 0}));
        let text = world.house.sms_with(ASHA, "раньше").await;
        assert!(text.contains("09:20"), "{text}");
        world.house.sms_with(BORIS, "раньше").await;
        for to in [ASHA, BORIS] {
            assert_eq!((texts(world, to, "позже"), texts(world, to, "раньше")), (2, 1), "{to}");
        }
        assert_eq!(texts(world, VERA, "приём"), 0, "nothing of it moved her visit");
        let told = "SELECT count(*) AS n FROM audit_events WHERE action = 'delay.declare'";
        assert_eq!(world.house.count(told), 5);
    }
}

on_both! {
    async fn of_a_practitioner_who_has_not_come_nobody_knows_an_end(world: World) {
        let vera = vera(world).await;
        let first = world.booked(&monday("09:20")).await;
        let second = books(world, &world.boris, "09:40").await;
        let noon = books(world, &vera, "12:00").await;
        let everybody = [&world.doctor, &world.asha, &world.boris, &vera];
        let [doctor, asha, boris, vera] = until(world, &monday("09:30"), everybody).await;
        // Of whoever waits behind a patient who is not there either nothing is the practitioner's fault.
        assert_eq!(place(&boris.client, &second).await, (2, utc("09:40"), utc("09:50")));
        let (mut room, _) = Peer::enter(&asha.client, &encounter_of(&first)).await;
        let told = room.hear_of("waiting").await["body"].clone();
        assert_eq!(told["eta"], json!({"earliest": utc("09:30")}), "{told}");
        let said = asks(&asha.client, &first).await;
        assert_eq!(said["queue"], json!({"position": 1, "earliest": utc("09:30"), "measured": false}));
        assert_eq!(said["wait_minutes"], json!({"low": 0}));
        assert_eq!(place(&boris.client, &second).await, (2, utc("09:50"), Value::Null));
        assert_eq!(place(&vera.client, &noon).await, (3, utc("12:00"), utc("12:00")), "a gap is left");

        // A word of theirs is an end, and so is their coming.
        is_late(&doctor.client, &doctor.id, json!({"minutes": 15})).await;
        assert_eq!(place(&asha.client, &first).await, (1, utc("09:45"), utc("09:45")));
        is_late(&doctor.client, &doctor.id, json!({"minutes": 0})).await;
        assert_eq!(place(&asha.client, &first).await.2, Value::Null);
        let (_doctors, _) = Peer::enter(&doctor.client, &encounter_of(&first)).await;
        assert_eq!(place(&asha.client, &first).await, (1, utc("09:30"), utc("09:30")));
        loop {
            let eta = room.hear_of("waiting").await["body"]["eta"].clone();
            if eta == json!({"earliest": utc("09:30"), "latest": utc("09:30")}) {
                break;
            }
        }
    }
}

on_both! {
    async fn only_the_practitioner_and_their_clinic_s_office_say_it(world: World) {
        world.booked(&monday("09:20")).await;
        let path = format!("/v1/practitioners/{}/delay", world.doctor.id);
        let clerk = world::member(
            &world.house, &world.admin.client, &world.other_clinic, "Инна Дальняя", "registrar",
            "dalnyaya",
        ).await;
        let late = json!({"minutes": 15});
        for hidden in [&clerk, &world.stranger, &world.asha, &world.admin] {
            assert_eq!(hidden.client.once(&path, &key(), &late).await.refused(404), "not_found");
            assert_eq!(hidden.client.get(&path).await.refused(404), "not_found");
        }
        for seen in [&world.colleague, &world.feldsher] {
            assert_eq!(seen.client.once(&path, &key(), &late).await.refused(403), "forbidden");
            seen.client.get(&path).await.expect(200);
        }
        for wrong in [json!({"minutes": 4}), json!({"minutes": -5}), json!({"minutes": 181}),
            json!({}), json!({"minutes": 15, "why": "чай"}), json!({"minutes": "15"})]
        {
            let answer = world.doctor.client.once(&path, &key(), &wrong).await;
            assert_eq!(answer.refused(422), "invalid_body", "{wrong}");
        }
        assert_eq!(world.house.count("SELECT count(*) AS n FROM practitioner_delays"), 0);
        // Two at the same moment: one of them tells.
        let says = |who: &Person| {
            let (client, path) = (who.client.clone(), path.clone());
            async move { client.once(&path, &key(), &json!({"minutes": 15})).await.expect(200) }
        };
        let (one, other) = futures_util::join!(says(&world.doctor), says(&world.registrar));
        let told = [&one["told"], &other["told"]].map(|told| told.as_i64().unwrap());
        assert_eq!(told[0] + told[1], 1, "{told:?}");
        world.house.sms_with(ASHA, "позже").await;
        assert_eq!(texts(world, ASHA, "позже"), 1);
    }
}

on_both! {
    async fn whoever_waits_in_the_room_hears_it_there_and_can_be_moved_from_there(world: World) {
        let second = books(world, &world.boris, "09:20").await;
        let own = world.booked(&monday("09:40")).await;
        let everybody = [&world.doctor, &world.boris, &world.asha];
        let [doctor, boris, asha] = until(world, &monday("09:26"), everybody).await;
        let (mut room, _) = Peer::enter(&asha.client, &encounter_of(&own)).await;
        let waiting = room.hear_of("waiting").await;
        assert_eq!(waiting["body"]["position"], 2);
        assert_eq!(waiting["body"]["eta"], json!({"earliest": utc("09:40"), "latest": utc("09:50")}));
        let said = is_late(&doctor.client, &doctor.id, json!({"minutes": 30})).await;
        assert_eq!(counts(&said), [&json!(2), &json!(2), &json!(1), &json!(0)], "Asha is there");
        let waiting = room.hear_of("waiting").await;
        assert_eq!(waiting["body"]["late_minutes"], 30);
        // Boris is due and not here: half an hour is said of Asha, and he may still come before her.
        assert_eq!(waiting["body"]["eta"], json!({"earliest": utc("10:10"), "latest": utc("10:30")}));
        world.house.sms_with(BORIS, "позже").await;
        assert_eq!(texts(world, ASHA, "позже"), 0);
        // Many changes at once are one word, and somebody who goes is one less in front.
        let cancel = format!("/v1/appointments/{}/cancel", second["id"].as_str().unwrap());
        boris.client.once(&cancel, &key(), &json!({})).await.expect(200);
        let waiting = room.hear_of("waiting").await;
        assert_eq!((&waiting["body"]["position"], &waiting["body"]["practitioner_here"]), (&json!(1), &json!(false)));

        let shown = asha.client.get(&format!("/v1/appointments/{}", own["id"].as_str().unwrap())).await.expect(200);
        assert_eq!(shown["status"], "arrived");
        let reschedule = format!("/v1/appointments/{}/reschedule", own["id"].as_str().unwrap());
        let moved = asha.client.once(&reschedule, &key(), &json!({"start": monday("15:00")})).await.expect(200);
        assert_eq!((&moved["status"], &moved["start"]), (&json!("booked"), &utc("15:00")));
        assert_eq!(moved["code"], own["code"]);
        let said = asks(&asha.client, &own).await;
        assert_eq!((&said["status"], &said["can_join"]), (&json!("planned"), &json!(false)));
        assert_eq!(said["queue"]["position"], 1);
        room.hear_of("ended").await;
        world.house.sms_with(ASHA, "перенос").await;
    }
}

on_both! {
    async fn whoever_is_in_the_room_when_the_visit_is_moved_leaves_it_and_can_come_back_at_once(world: World) {
        let own = world.booked(&monday("09:40")).await;
        let [clerk, asha] = until(world, &monday("09:46"), [&world.registrar, &world.asha]).await;
        let (mut room, _) = Peer::enter(&asha.client, &encounter_of(&own)).await;
        let reschedule = format!("/v1/appointments/{}/reschedule", own["id"].as_str().unwrap());
        // The door of that time is open as well.
        clerk.client.once(&reschedule, &key(), &json!({"start": monday("10:00")})).await.expect(200);
        room.hear_of("ended").await;
        assert_eq!(room.closed().await, Some(4410));
        let (mut room, _) = Peer::enter(&asha.client, &encounter_of(&own)).await;
        assert_eq!(room.hear_of("waiting").await["body"]["position"], 1);

        // Whoever was to tell the room of a move is dead: it is found with the next look at the seat.
        let gone = "UPDATE encounter_participants SET state = 'left', waiting_since = NULL WHERE state = 'waiting'";
        world.house.execute(gone).unwrap();
        world.house.advance(TimeDelta::seconds(31));
        room.hear_of("ended").await;
        assert_eq!(room.closed().await, Some(4410));
        let (mut room, _) = Peer::enter(&asha.client, &encounter_of(&own)).await;
        assert_eq!(room.hear_of("waiting").await["body"]["position"], 1);
    }
}

on_both! {
    async fn nobody_is_woken_and_what_was_not_sent_is_taken_back_in_silence(world: World) {
        let doctor = &world.doctor;
        let path = format!("/v1/practitioners/{}/schedule", doctor.id);
        let early = json!({"rules": [{"weekday": "tue", "from": "06:00", "to": "12:00"}]});
        doctor.client.edit(Method::PUT, &path, 2, &early).await.expect(200);
        let own = books_at(world, &world.asha, "2026-11-24T10:00:00+07:00").await;
        let [doctor] = until(world, "2026-11-24T05:00:00+07:00", [doctor]).await;
        let said = is_late(&doctor.client, &doctor.id, json!({"minutes": 60})).await;
        assert_eq!(counts(&said), [&json!(1), &json!(1), &json!(1), &json!(0)]);
        let due = "SELECT count(*) AS n FROM outbox_messages WHERE state = 'pending'";
        assert_eq!(world.house.count(due), 1, "it waits for the morning");
        let said = is_late(&doctor.client, &doctor.id, json!({"minutes": 0})).await;
        assert_eq!(said["told"], 0, "nobody has heard anything yet");
        assert_eq!(world.house.count(due), 0);
        // What was given up may have come or not: it is said again, the same as it was.
        let said = is_late(&doctor.client, &doctor.id, json!({"minutes": 45})).await;
        assert_eq!(said["by_sms"], 1);
        world.house.execute("UPDATE outbox_messages SET state = 'failed' WHERE state = 'pending'").unwrap();
        for by_sms in [1, 0] {
            let said = is_late(&doctor.client, &doctor.id, json!({"minutes": 45})).await;
            assert_eq!((&said["told"], &said["by_sms"]), (&json!(by_sms), &json!(by_sms)));
        }
        until(world, "2026-11-24T08:00:00+07:00", []).await;
        let text = world.house.sms_with(ASHA, "позже").await;
        assert!(text.contains("10:45") && text.contains(own["code"].as_str().unwrap()), "{text}");
        assert_eq!(texts(world, ASHA, "приём"), 1, "and nothing else");
    }
}

on_both! {
    async fn a_word_counts_from_now_when_whoever_was_due_has_not_come(world: World) {
        let vera = vera(world).await;
        books(world, &world.boris, "09:20").await;
        let own = books(world, &world.asha, "09:40").await;
        books(world, &vera, "10:40").await;
        let everybody = [&world.doctor, &world.asha];
        let [doctor, asha] = until(world, &monday("10:05"), everybody).await;
        let said = is_late(&doctor.client, &doctor.id, json!({"minutes": 30})).await;
        assert_eq!(said["free_at"], utc("11:10"), "nobody is here: Vera comes next");
        world.enters(&asha, &encounter_of(&own)).await;
        let said = is_late(&doctor.client, &doctor.id, json!({"minutes": 30})).await;
        assert_eq!((&said["free_at"], &said["minutes"]), (&utc("10:35"), &json!(30)));
        assert_eq!(place(&asha.client, &own).await.1, utc("10:35"));
        let void = "UPDATE practitioner_delays SET free_at = declared_at";
        world.house.execute(void).unwrap_err();
    }
}

on_both! {
    async fn one_visit_is_worth_four_texts(world: World) {
        world.booked(&monday("09:20")).await;
        let (doctor, id) = (&world.doctor.client, world.doctor.id.as_str());
        for minutes in [30, 0, 30, 0] {
            let said = is_late(doctor, id, json!({"minutes": minutes})).await;
            assert_eq!(counts(&said), [&json!(1), &json!(1), &json!(1), &json!(0)]);
            comes_to(world, UNSENT, 0).await;
        }
        let said = is_late(doctor, id, json!({"minutes": 30})).await;
        assert_eq!(counts(&said), [&json!(1), &json!(1), &json!(0), &json!(1)]);
        assert_eq!((texts(world, ASHA, "позже"), texts(world, ASHA, "раньше")), (2, 2));
        assert_eq!(world.house.count("SELECT count(*) AS n FROM delay_notices WHERE texts = 4"), 1);
        world.house.execute("UPDATE delay_notices SET texts = 5").unwrap_err();
    }
}

on_both! {
    async fn a_retry_does_not_take_back_what_was_said_since(world: World) {
        world.booked(&monday("09:20")).await;
        let (doctor, id) = (&world.doctor.client, world.doctor.id.as_str());
        comes_to(world, UNSENT, 0).await;
        let gateway = &world.house.app.config.sms.path;
        let aside = gateway.with_extension("aside");
        std::fs::rename(gateway, &aside).unwrap();
        std::fs::create_dir(gateway).unwrap();
        is_late(doctor, id, json!({"minutes": 60})).await;
        comes_to(world, REFUSED, 1).await;
        let said = is_late(doctor, id, json!({"minutes": 0})).await;
        assert_eq!(said["by_sms"], 1, "the first may have come all the same");
        comes_to(world, REFUSED, 2).await;
        std::fs::remove_dir(gateway).unwrap();
        std::fs::rename(&aside, gateway).unwrap();
        let text = comes_in_time(world, ASHA, "раньше").await;
        assert!(text.contains("09:20"), "{text}");
        comes_to(world, UNSENT, 0).await;
        assert_eq!(texts(world, ASHA, "позже"), 0);
    }
}

on_both! {
    async fn a_text_that_could_only_leave_after_the_visit_reaches_nobody(world: World) {
        let doctor = &world.doctor;
        let path = format!("/v1/practitioners/{}/schedule", doctor.id);
        let early = json!({"rules": [{"weekday": "tue", "from": "06:00", "to": "12:00"}]});
        doctor.client.edit(Method::PUT, &path, 2, &early).await.expect(200);
        books_at(world, &world.asha, "2026-11-24T07:00:00+07:00").await;
        let [doctor] = until(world, "2026-11-24T05:00:00+07:00", [doctor]).await;
        // Texts leave from eight o'clock on.
        for (minutes, by_sms, unreached) in [(90, 1, 0), (60, 0, 1)] {
            let said = is_late(&doctor.client, &doctor.id, json!({"minutes": minutes})).await;
            let expected = [&json!(1), &json!(1), &json!(by_sms), &json!(unreached)];
            assert_eq!(counts(&said), expected, "{minutes}");
            assert_eq!(world.house.count(UNSENT), by_sms, "{minutes}");
        }
    }
}

on_both! {
    async fn small_steps_add_up_for_whoever_has_heard_of_none(world: World) {
        world.booked(&monday("09:20")).await;
        books(world, &world.boris, "10:20").await;
        let (doctor, id) = (&world.doctor.client, world.doctor.id.as_str());
        // Until the last one the gap swallows all but two minutes.
        for (minutes, told) in [(30, 1), (34, 0), (38, 0), (42, 1), (46, 1)] {
            assert_eq!(is_late(doctor, id, json!({"minutes": minutes})).await["told"], told, "{minutes}");
        }
        world.house.sms_with(BORIS, "позже").await;
        assert_eq!(texts(world, ASHA, "09:50") + texts(world, ASHA, "10:05"), 2);
    }
}

/// The clock's night lies between eleven and one, so that a text leaves before it and one waits.
async fn what_was_heard_counts(engine: Engine) {
    let world = World::build_with(engine, |config| {
        (config.booking.night_from_hour, config.booking.night_to_hour) = (11, 13);
    });
    let world = &world.await;
    world.booked(&monday("15:00")).await;
    is_late(&world.doctor.client, &world.doctor.id, json!({"minutes": 60})).await;
    assert!(world.house.sms_with(ASHA, "позже").await.contains("16:00"));
    comes_to(world, UNSENT, 0).await;
    let [doctor] = until(world, &monday("11:05"), [&world.doctor]).await;
    // Half an hour is not sent before it is corrected: what Asha knows is an hour.
    for (minutes, told) in [(30, 1), (0, 1), (60, 0), (30, 1), (20, 1)] {
        let said = is_late(&doctor.client, &doctor.id, json!({"minutes": minutes})).await;
        assert_eq!((&said["told"], &said["by_sms"]), (&json!(told), &json!(told)), "{minutes}");
        assert_eq!(world.house.count(UNSENT), told, "{minutes}");
    }
    until(world, &monday("13:00"), []).await;
    let text = world.house.sms_with(ASHA, "раньше").await;
    assert!(text.contains("15:20"), "{text}");
    assert_eq!((texts(world, ASHA, "позже"), texts(world, ASHA, "раньше")), (1, 1));
}

mod what_was_heard_counts_not_what_was_queued {
    use super::*;

    #[actix_web::test]
    async fn sqlite() {
        what_was_heard_counts(Engine::Sqlite).await;
    }

    #[actix_web::test]
    async fn postgres() {
        what_was_heard_counts(Engine::Postgres).await;
    }
}

on_both! {
    async fn of_those_who_should_have_been_seen_by_now_an_urgent_one_is_next(world: World) {
        let routine = books(world, &world.asha, "09:20").await;
        let wish = json!({"service": world.service, "practitioner": world.doctor.id,
            "patient": world.boris.id, "start": monday("09:40"), "priority": "urgent"});
        let urgent = world.registrar.client.once("/v1/appointments", &key(), &wish).await.expect(201);
        let positions = async |asha: &Client, boris: &Client| {
            (place(asha, &routine).await.0, place(boris, &urgent).await.0)
        };
        let (asha, boris) = (&world.asha.client, &world.boris.client);
        assert_eq!(positions(asha, boris).await, (1, 2), "each at the time that was promised");
        let people = [&world.asha, &world.boris, &world.doctor];
        let [asha, boris, doctor] = until(world, &monday("09:36"), people).await;
        // The practitioner's list has the same order, whoever came first.
        let waits = async |doctor: &Person| {
            let list = doctor.client.get("/v1/waiting-room").await.expect(200);
            let items = list["items"].as_array().unwrap().clone();
            items.iter().map(|one| (one["encounter"]["id"].clone(), one["priority"].clone())).collect::<Vec<_>>()
        };
        let row = |visit: &Value, priority: &str| (json!(encounter_of(visit)), json!(priority));
        world.enters(&boris, &encounter_of(&urgent)).await;
        world.enters(&asha, &encounter_of(&routine)).await;
        assert_eq!(waits(&doctor).await, [row(&routine, "routine"), row(&urgent, "urgent")]);
        let [asha, boris, doctor] = until(world, &monday("09:41"), [&asha, &boris, &doctor]).await;
        assert_eq!(positions(&asha.client, &boris.client).await, (2, 1));
        assert_eq!(waits(&doctor).await, [row(&urgent, "urgent"), row(&routine, "routine")]);
    }
}

on_both! {
    async fn a_second_word_counts_from_whoever_was_told_to_come_later(world: World) {
        let first = books(world, &world.asha, "09:40").await;
        books(world, &world.boris, "10:20").await;
        let [doctor] = until(world, &monday("09:39"), [&world.doctor]).await;
        is_late(&doctor.client, &doctor.id, json!({"minutes": 45})).await;
        // As she was told, she is not here yet; the word is about her and not about the one behind her.
        let [doctor, asha] = until(world, &monday("09:50"), [&doctor, &world.asha]).await;
        let said = is_late(&doctor.client, &doctor.id, json!({"minutes": 60})).await;
        assert_eq!(said["free_at"], utc("10:50"));
        assert_eq!(place(&asha.client, &first).await.1, utc("10:50"));
    }
}
