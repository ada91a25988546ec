//! More than two in a visit: who asks whom to come, what they see, who is sent out again.

use chrono::TimeDelta;
use serde_json::{Value, json};

use crate::on_both;
use crate::support::peer::{Peer, kinds, ticket};
use crate::support::world::made;
use crate::support::{Client, Engine, World, key};

pub(crate) const SISTER: &str = "+70000000021";
pub(crate) const INTERPRETER: &str = "+70000000022";

/// Asha's visit in twenty minutes; its door opens in five.
pub(crate) async fn visit(world: &World) -> String {
    let booked = world.booked("2026-11-23T09:20:00+07:00").await;
    booked["encounter"]["id"].as_str().unwrap().to_owned()
}

pub(crate) fn open_the_door(world: &World) {
    world.house.advance(TimeDelta::minutes(6));
}

pub(crate) fn at(visit: &str, rest: &str) -> String {
    format!("/v1/encounters/{visit}{rest}")
}

pub(crate) fn sister() -> Value {
    json!({"role": "relative", "name": "Ольга", "phone": SISTER, "language": "ru"})
}

pub(crate) fn interpreter() -> Value {
    json!({"role": "interpreter", "name": "Айгуль", "phone": INTERPRETER, "language": "ru"})
}

/// Asks somebody to come; their part in the visit.
pub(crate) async fn invite(who: &Client, visit: &str, whom: Value) -> String {
    let made = made(who, &at(visit, "/participants"), whom).await;
    assert_eq!((&made["state"], &made["standing"]), (&json!("invited"), &json!("invited")));
    made["id"].as_str().unwrap().to_owned()
}

/// The code of a refusal.
pub(crate) async fn refused(who: &Client, visit: &str, whom: &Value, status: u16) -> String {
    let answer = who.once(&at(visit, "/participants"), &key(), whom).await;
    answer.refused(status).to_owned()
}

pub(crate) async fn post(who: &Client, path: &str, body: Value) -> Value {
    who.once(path, &key(), &body).await.expect(200)
}

/// Whoever has a telephone signs in by a code; the invitation may have been the last text to it.
pub(crate) async fn guest(world: &World, phone: &str) -> Client {
    let client = world.house.client();
    let asked = client.post("/v1/auth/code", &json!({"phone": phone})).await.expect(202);
    let text = world.house.sms_with(phone, "код для входа").await;
    let code: String = text.chars().filter(char::is_ascii_digit).take(6).collect();
    let body = json!({"challenge_id": asked["challenge_id"], "code": code});
    let tokens = client.post("/v1/auth/code/verify", &body).await.expect(200);
    client.with_token(tokens["access_token"].as_str().unwrap())
}

/// What flows between two, as one of them hears it.
async fn flow(peer: &mut Peer, far: &str) -> Value {
    loop {
        let heard = peer.hear_of("negotiate").await;
        if heard["body"]["peer"] == far {
            return json!([heard["body"]["send"], heard["body"]["receive"]]);
        }
    }
}

fn both() -> Value {
    json!({"audio": true, "video": true})
}

fn voice() -> Value {
    json!({"audio": true, "video": false})
}

on_both! {
    async fn a_relative_is_asked_waits_is_let_in_and_sees_nothing_of_the_rest(world: World) {
        let visit = visit(world).await;
        let id = invite(&world.asha.client, &visit, sister()).await;
        let text = world.house.sms_with(SISTER, "вас ждут на приёме").await;
        for secret in ["Аша", "Кузнецова", "Лебедева", "GP visit"] {
            assert!(!text.contains(secret), "{text}");
        }
        let sister = guest(world, SISTER).await;
        let seen = sister.get(&at(&visit, "/invitation")).await.expect(200);
        assert_eq!((&seen["role"], &seen["practitioner"]), (&json!("relative"), &json!("Анна Лебедева")));
        assert_eq!((&seen["organization"], &seen["reason"]), (&json!("Таёжная больница"), &json!("too_early")));
        assert_eq!(seen["local_start"], "2026-11-23T09:20:00+07:00");
        for secret in ["Кузнецова", "GP visit", "service", "patient\""] {
            assert!(!seen.to_string().contains(secret), "{secret}: {seen}");
        }
        let listed = sister.get("/v1/invitations").await.expect(200);
        assert_eq!(listed["items"], json!([seen]));
        assert_eq!(world.boris.client.get("/v1/invitations").await.expect(200)["items"], json!([]));
        for path in ["", "/waiting", "/participants", "/notes", "/calls", "/waiting-room"] {
            assert_eq!(sister.get(&at(&visit, path)).await.refused(404), "not_found", "{path}");
        }
        for list in ["/v1/appointments", "/v1/patients", "/v1/waiting-room"] {
            assert_eq!(sister.get(list).await.expect(200)["items"], json!([]), "{list}");
        }
        let early = sister.post(&at(&visit, "/join"), &json!({})).await;
        assert_eq!(early.refused(409), "too_early");

        open_the_door(world);
        let (mut doctor, _) = Peer::enter(&world.doctor.client, &visit).await;
        let (mut asha, _) = Peer::enter(&world.asha.client, &visit).await;
        assert_eq!(asha.hear_of("waiting").await["body"]["awaited"], json!(["relative"]));
        let (mut sister, welcome) = Peer::enter(&sister, &visit).await;
        assert_eq!(sister.id, id);
        let roster = welcome["body"]["roster"].as_array().unwrap();
        let roles: Vec<_> = roster.iter().map(|one| one["role"].as_str().unwrap()).collect();
        assert!(!roles.contains(&"patient"), "whoever waits sees the doctor alone: {roles:?}");
        assert_eq!(asha.hear_of("waiting").await["body"]["awaited"], json!([]));
        for one in [&asha.id, &id] {
            doctor.say("admit", json!({"participant": one})).await;
        }
        assert_eq!(flow(&mut asha, &doctor.id).await, json!([both(), both()]));
        assert_eq!(flow(&mut asha, &id).await, json!([voice(), voice()]));
        assert_eq!(flow(&mut sister, &doctor.id).await, json!([both(), both()]));
        let shown = world.doctor.client.get(&at(&visit, "")).await.expect(200);
        assert_eq!(shown["patient_side"], json!({"ready": true, "here": ["patient", "relative"], "awaited": []}));
        assert_eq!(shown["status"], "in-progress");

        // Whose line is silent is not here, though the seat is kept.
        drop(sister);
        let expected = json!({"ready": false, "here": ["patient"], "awaited": ["relative"]});
        for _ in 0..100 {
            world.house.advance(TimeDelta::milliseconds(400));
            actix_web::rt::time::sleep(std::time::Duration::from_millis(100)).await;
            feldsher::call::record::ledger::flush(&world.house.app).await;
            let shown = world.doctor.client.get(&at(&visit, "")).await.expect(200);
            if shown["patient_side"] == expected {
                return;
            }
        }
        panic!("a silent line counts as here");
    }
}

on_both! {
    async fn whoever_only_reads_the_page_is_not_shown_as_coming_in(world: World) {
        let visit = visit(world).await;
        invite(&world.asha.client, &visit, sister()).await;
        let sister = guest(world, SISTER).await;
        open_the_door(world);
        let standing = async || {
            let people = world.doctor.client.get(&at(&visit, "/participants")).await.expect(200);
            let all = people["items"].as_array().unwrap().clone();
            all.iter().find(|one| one["role"] == "relative").unwrap()["standing"].clone()
        };
        sister.post(&at(&visit, "/join"), &json!({"ahead": true})).await.expect(200);
        assert_eq!(standing().await, "invited", "the page has opened the way, nobody has pressed");
        let wrong = sister.post(&at(&visit, "/join"), &json!({"ahead": "yes"})).await;
        assert_eq!(wrong.refused(422), "invalid_body");
        sister.post(&at(&visit, "/join"), &json!({})).await.expect(200);
        assert_eq!(standing().await, "joining");
    }
}

on_both! {
    async fn each_asks_whom_they_may_and_nobody_twice(world: World) {
        let visit = visit(world).await;
        let (asha, doctor) = (&world.asha.client, &world.doctor.client);
        let colleague = json!({"role": "specialist", "practitioner": world.colleague.id});
        let feldsher = json!({"role": "feldsher", "practitioner": world.feldsher.id});
        for staff in [&colleague, &feldsher] {
            assert_eq!(refused(asha, &visit, staff, 403).await, "forbidden");
        }
        assert_eq!(refused(&world.boris.client, &visit, &sister(), 404).await, "not_found");
        assert_eq!(refused(&world.colleague.client, &visit, &sister(), 404).await, "not_found");
        for (wrong, code) in [
            (json!({"role": "relative", "name": "Ольга"}), "invalid_body"),
            (json!({"role": "relative", "phone": SISTER}), "invalid_body"),
            (json!({"role": "patient", "name": "Ольга", "phone": SISTER}), "invalid_body"),
            (json!({"role": "relative", "name": "Ольга", "phone": "12"}), "invalid_phone"),
            (json!({"role": "feldsher", "name": "Вера", "phone": SISTER}), "invalid_body"),
            (json!({"role": "relative", "practitioner": world.feldsher.id}), "unknown_reference"),
            (json!({"role": "feldsher", "practitioner": world.colleague.id}), "unknown_reference"),
            (json!({"role": "specialist", "practitioner": world.stranger.id}), "unknown_reference"),
            (json!({"role": "relative", "name": "Ольга", "phone": SISTER, "sits_with": world.asha.id}), "unknown_reference"),
            (json!({"role": "relative", "name": "Ольга", "phone": SISTER, "reason": "x"}), "invalid_body"),
        ] {
            assert_eq!(refused(doctor, &visit, &wrong, 422).await, code, "{wrong}");
        }
        let herself = json!({"role": "relative", "name": "Я", "phone": "+70000000001"});
        assert_eq!(refused(asha, &visit, &herself, 409).await, "already_exists");
        let himself = json!({"role": "specialist", "practitioner": world.doctor.id});
        assert_eq!(refused(doctor, &visit, &himself, 409).await, "already_exists");
        invite(&world.registrar.client, &visit, feldsher.clone()).await;
        invite(doctor, &visit, colleague.clone()).await;
        for twice in [&feldsher, &colleague] {
            assert_eq!(refused(doctor, &visit, twice, 409).await, "already_exists");
        }
        // Who is of the clinic finds it on their own page; with the membership it ends.
        let theirs = &world.colleague.client;
        assert_eq!(theirs.get("/v1/invitations").await.expect(200)["items"][0]["role"], "specialist");
        world.house.execute("UPDATE memberships SET state = 'disabled' WHERE role = 'doctor'").unwrap();
        assert_eq!(theirs.get("/v1/invitations").await.expect(200)["items"], json!([]));
        assert_eq!(theirs.get(&at(&visit, "/invitation")).await.refused(404), "not_found");
        assert_eq!(theirs.post(&at(&visit, "/join"), &json!({})).await.refused(404), "not_found");
    }
}

on_both! {
    async fn a_fifth_device_is_refused_and_a_seat_beside_somebody_is_not(world: World) {
        let visit = visit(world).await;
        let (asha, doctor) = (&world.asha.client, &world.doctor.client);
        let host = invite(asha, &visit, sister()).await;
        invite(asha, &visit, interpreter()).await;
        let mut more = json!({"role": "feldsher", "practitioner": world.feldsher.id});
        assert_eq!(refused(doctor, &visit, &more, 409).await, "room_full");
        let people = doctor.get(&at(&visit, "/participants")).await.expect(200);
        let people = people["items"].as_array().unwrap();
        assert_eq!(people.len(), 4);
        let patient = people.iter().find(|one| one["role"] == "patient").unwrap();
        more["sits_with"] = patient["id"].clone();
        let beside = invite(doctor, &visit, more.clone()).await;
        let trainee = json!({"role": "trainee", "practitioner": world.colleague.id, "sits_with": beside});
        assert_eq!(refused(doctor, &visit, &trainee, 422).await, "unknown_reference", "who has no device");
        let trainee = json!({"role": "trainee", "practitioner": world.colleague.id, "sits_with": host});
        assert_eq!(refused(doctor, &visit, &trainee, 409).await, "consent_missing");
        made(asha, &at(&visit, "/consents"), json!({"kind": "trainee", "form_version": 1})).await;
        invite(doctor, &visit, trainee).await;
        let seventh = json!({"role": "relative", "name": "Брат", "phone": "+70000000023", "sits_with": host});
        assert_eq!(refused(doctor, &visit, &seventh, 409).await, "room_full");
        // Whose device goes takes along who sits there.
        post(doctor, &at(&visit, &format!("/participants/{host}/remove")), json!({})).await;
        let people = doctor.get(&at(&visit, "/participants")).await.expect(200);
        let gone = people["items"].as_array().unwrap().iter().filter(|one| one["standing"] == "removed");
        let mut gone: Vec<_> = gone.map(|one| one["role"].as_str().unwrap()).collect();
        gone.sort_unstable();
        assert_eq!(gone, ["relative", "trainee"]);
        invite(doctor, &visit, json!({"role": "specialist", "practitioner": world.colleague.id})).await;
    }
}

on_both! {
    async fn whoever_is_sent_out_is_gone_at_once_and_comes_back_only_when_asked_again(world: World) {
        let visit = visit(world).await;
        let agreed = json!({"kind": "third_party", "form_version": 1});
        made(&world.doctor.client, &at(&visit, "/consents"), agreed).await;
        let id = invite(&world.doctor.client, &visit, interpreter()).await;
        open_the_door(world);
        let interpreting = guest(world, INTERPRETER).await;
        let (mut doctor, _) = Peer::enter(&world.doctor.client, &visit).await;
        let (mut asha, _) = Peer::enter(&world.asha.client, &visit).await;
        let (mut third, _) = Peer::enter(&interpreting, &visit).await;
        for one in [&asha.id, &id] {
            doctor.say("admit", json!({"participant": one})).await;
        }
        assert_eq!(flow(&mut third, &asha.id).await, json!([voice(), voice()]));
        assert_eq!(flow(&mut doctor, &id).await, json!([voice(), voice()]));
        let in_hand = ticket(&interpreting, &visit).await;
        for who in [asha.id.clone(), doctor.id.clone()] {
            doctor.say("remove", json!({"participant": who})).await;
            assert_eq!(doctor.refused().await, "bad_state", "those whose visit it is stay");
        }
        third.say("remove", json!({"participant": asha.id})).await;
        assert_eq!(third.refused().await, "peer_gone", "a guest decides nothing and learns nothing");
        let begun = std::time::Instant::now();
        doctor.say("remove", json!({"participant": id})).await;
        let (heard, code) = third.hear_out().await;
        assert_eq!((kinds(&heard).last(), code), (Some(&"removed"), Some(4403)));
        assert!(begun.elapsed() < std::time::Duration::from_secs(2));
        let left = doctor.hear_of("peer").await;
        assert_eq!(left["body"]["op"], "left");
        assert_eq!(asha.hear_all().await.last().unwrap()["body"]["op"], "left");

        let mut late = Peer::dial(&world.house.url).await;
        late.say("hello", json!({"ticket": in_hand})).await;
        assert_eq!(late.closed().await, Some(4404), "a ticket in hand is worth nothing");
        let back = Peer::resume(&world.house.url, &third.cut()).await.closed().await;
        assert_eq!(back, Some(4404));
        for path in ["/join", "/invitation"] {
            let refused = if path == "/join" {
                interpreting.post(&at(&visit, path), &json!({})).await
            } else {
                interpreting.get(&at(&visit, path)).await
            };
            assert_eq!(refused.refused(404), "not_found", "{path}");
        }
        let stays = world.doctor.client.get(&at(&visit, "/calls")).await.expect(200);
        let whys: Vec<_> = stays["items"].as_array().unwrap().iter().map(|stay| &stay["why"]).collect();
        assert_eq!(whys, [&Value::Null, &Value::Null, &json!("removed")]);
        let removal = at(&visit, &format!("/participants/{id}/remove"));
        assert_eq!(post(&world.doctor.client, &removal, json!({})).await["standing"], "removed", "twice is once");

        assert_eq!(invite(&world.asha.client, &visit, interpreter()).await, id);
        let (mut third, _) = Peer::enter(&interpreting, &visit).await;
        assert_eq!(third.hear().await["t"], "waiting", "and waits to be let in again");
        // The patient says who hears them, but for those whom the clinic has asked.
        assert_eq!(post(&world.asha.client, &removal, json!({})).await["state"], "removed");
        assert_eq!(third.closed().await, Some(4403));
        let colleague = json!({"role": "specialist", "practitioner": world.colleague.id});
        let colleague = invite(&world.doctor.client, &visit, colleague).await;
        let removal = at(&visit, &format!("/participants/{colleague}/remove"));
        let refused = world.asha.client.once(&removal, &key(), &json!({})).await;
        assert_eq!(refused.refused(403), "forbidden");
    }
}

on_both! {
    async fn behind_a_locked_door_nobody_new_comes_in_and_nobody_is_lost(world: World) {
        let visit = visit(world).await;
        invite(&world.asha.client, &visit, sister()).await;
        invite(&world.asha.client, &visit, interpreter()).await;
        open_the_door(world);
        let (sister, third) = (guest(world, SISTER).await, guest(world, INTERPRETER).await);
        let (mut doctor, welcome) = Peer::enter(&world.doctor.client, &visit).await;
        assert_eq!(welcome["body"]["locked"], false);
        let (inside, _) = Peer::enter(&sister, &visit).await;
        let in_hand = ticket(&third, &visit).await;
        let lock = at(&visit, "/lock");
        let refused = world.asha.client.once(&lock, &key(), &json!({"locked": true})).await;
        assert_eq!(refused.refused(403), "forbidden");
        doctor.say("lock", json!({"locked": true})).await;
        assert_eq!(doctor.hear_of("lock").await["body"]["locked"], true);
        assert_eq!(third.get(&at(&visit, "/invitation")).await.expect(200)["locked"], true);
        assert_eq!(third.post(&at(&visit, "/join"), &json!({})).await.refused(409), "room_locked");
        let mut late = Peer::dial(&world.house.url).await;
        late.say("hello", json!({"ticket": in_hand})).await;
        assert_eq!(late.closed().await, Some(4403));
        let more = json!({"role": "relative", "name": "Брат", "phone": "+70000000023"});
        assert_eq!(self::refused(&world.asha.client, &visit, &more, 409).await, "room_locked");

        // Whoever was in comes back, by the same seat and with a new ticket; and the visit is Asha's.
        let (back, _) = Peer::come_back(&world.house.url, &inside.cut()).await;
        drop(back);
        let (_again, welcome) = Peer::enter(&sister, &visit).await;
        assert_eq!(welcome["body"]["locked"], true);
        let (_asha, welcome) = Peer::enter(&world.asha.client, &visit).await;
        assert_eq!(welcome["body"]["locked"], true);

        assert_eq!(post(&world.doctor.client, &lock, json!({"locked": false})).await["locked"], false);
        Peer::enter(&third, &visit).await;
    }
}

on_both! {
    async fn whoever_is_put_aside_stays_and_is_not_heard(world: World) {
        let visit = visit(world).await;
        let id = invite(&world.asha.client, &visit, interpreter()).await;
        open_the_door(world);
        let interpreting = guest(world, INTERPRETER).await;
        let (mut doctor, _) = Peer::enter(&world.doctor.client, &visit).await;
        let (mut asha, _) = Peer::enter(&world.asha.client, &visit).await;
        let (mut third, _) = Peer::enter(&interpreting, &visit).await;
        doctor.say("side", json!({"participant": id, "aside": true})).await;
        assert_eq!(doctor.refused().await, "bad_state", "who waits is aside already");
        for one in [&asha.id, &id] {
            doctor.say("admit", json!({"participant": one})).await;
        }
        flow(&mut third, &doctor.id).await;
        asha.say("side", json!({"participant": id, "aside": true})).await;
        assert_eq!(asha.refused().await, "forbidden");
        third.hear_all().await;
        doctor.hear_all().await;
        doctor.say("side", json!({"participant": id, "aside": true})).await;
        let heard = third.hear_of("snapshot").await;
        assert_eq!(heard["body"]["edges"], json!([]));
        let told = doctor.hear_of("snapshot").await;
        assert_eq!(told["body"]["edges"].as_array().unwrap().len(), 1);
        let shown = world.asha.client.get(&at(&visit, "/participants")).await.expect(200);
        let standing = |id: &str| {
            let all = shown["items"].as_array().unwrap().iter();
            all.clone().find(|one| one["id"] == id).unwrap()["standing"].clone()
        };
        assert_eq!((standing(&id), standing(&asha.id)), (json!("in_side_room"), json!("in_call")));

        // A seat that is taken anew is still aside.
        let (mut third, welcome) = Peer::enter(&interpreting, &visit).await;
        assert_eq!(welcome["body"]["edges"], json!([]));
        assert_eq!(kinds(&third.hear_all().await), Vec::<&str>::new());
        let path = at(&visit, &format!("/participants/{id}/side"));
        post(&world.doctor.client, &path, json!({"aside": false})).await;
        assert_eq!(flow(&mut third, &asha.id).await, json!([voice(), voice()]));
    }
}

on_both! {
    async fn a_child_s_visit_is_held_with_the_mother_and_one_device_serves_two(world: World) {
        let registrar = &world.registrar.client;
        let child = json!({
            "name": "Миша Кузнецов", "birth_date": "2019-05-01", "location": world.village,
            "organization": world.clinic
        });
        let child = made(registrar, "/v1/patients", child).await;
        let mut wish = world.wish("2026-11-23T09:20:00+07:00");
        wish["patient"] = child["id"].clone();
        let booked = made(registrar, "/v1/appointments", wish).await;
        let visit = booked["encounter"]["id"].as_str().unwrap().to_owned();
        let mother = invite(registrar, &visit, sister()).await;
        let feldsher = json!({"role": "feldsher", "practitioner": world.feldsher.id, "sits_with": mother});
        invite(registrar, &visit, feldsher).await;
        open_the_door(world);
        let shown = world.doctor.client.get(&at(&visit, "")).await.expect(200);
        assert_eq!(shown["patient_side"]["awaited"], json!(["relative", "feldsher"]));
        let (mut doctor, _) = Peer::enter(&world.doctor.client, &visit).await;
        let (mut together, _) = Peer::enter(&guest(world, SISTER).await, &visit).await;
        let shown = world.doctor.client.get(&at(&visit, "")).await.expect(200);
        assert_eq!((&shown["status"], &shown["patient_side"]["ready"]), (&json!("arrived"), &json!(true)));
        doctor.say("admit", json!({"participant": mother})).await;
        assert_eq!(flow(&mut together, &doctor.id).await, json!([both(), both()]));
        let shown = world.doctor.client.get(&at(&visit, "")).await.expect(200);
        assert_eq!(shown["status"], "in-progress");
    }
}

on_both! {
    async fn nobody_is_asked_to_what_is_over_and_an_invitation_is_no_way_to_flood_a_telephone(world: World) {
        let visit = visit(world).await;
        let asha = &world.asha.client;
        for _ in 0..12 {
            world.house.advance(TimeDelta::seconds(1));
            let id = invite(asha, &visit, sister()).await;
            post(asha, &at(&visit, &format!("/participants/{id}/remove")), json!({})).await;
        }
        assert_eq!(refused(asha, &visit, &sister(), 429).await, "too_many_attempts");
        // Twelve invitations, and no more than four texts to one telephone.
        world.house.sms_with(SISTER, "вас ждут").await;
        let queued = "SELECT count(*) AS n FROM outbox_messages WHERE dedupe_key LIKE 'invited|%'";
        assert_eq!(world.house.count(queued), 4);
        let appointment = asha.get(&at(&visit, "")).await.expect(200)["appointment"]["id"].clone();
        let path = format!("/v1/appointments/{}/cancel", appointment.as_str().unwrap());
        post(asha, &path, json!({})).await;
        assert_eq!(refused(asha, &visit, &sister(), 410).await, "visit_over");
    }
}
