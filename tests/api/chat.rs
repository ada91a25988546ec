//! Talking with whoever waits: who reads what, how much, and that the words stand nowhere else.

use actix_web::http::Method;
use chrono::TimeDelta;
use serde_json::{Value, json};

use crate::on_both;
use crate::support::peer::Peer;
use crate::support::visit::encounter_of;
use crate::support::{Client, Engine, World, key};
use crate::waiting::signs_in;

const SECRET: &str = "Камера не включается";

async fn writes(client: &Client, path: &str, to: &str, text: &str) -> Value {
    client.once(path, &key(), &json!({"text": text, "to": to})).await.expect(201)
}

async fn reads(client: &Client, path: &str) -> Vec<String> {
    let said = client.get(path).await.expect(200);
    let items = said["items"].as_array().unwrap();
    items.iter().map(|one| one["text"].as_str().unwrap().to_owned()).collect()
}

on_both! {
    async fn the_patient_the_doctor_and_the_office_read_what_is_theirs(world: World) {
        let booked = world.booked("2026-11-23T09:20:00+07:00").await;
        let path = format!("/v1/encounters/{}/messages", encounter_of(&booked));
        let early = json!({"text": "Рано", "to": "office"});
        assert_eq!(world.asha.client.post(&path, &early).await.refused(409), "too_early");
        world.house.advance(TimeDelta::minutes(6));
        let asha = world.resigned(&world.asha).await.client;
        let doctor = world.resigned(&world.doctor).await.client;
        let office = world.resigned(&world.registrar).await.client;

        let first = writes(&asha, &path, "office", SECRET).await;
        assert_eq!((&first["from"], &first["own"]), (&json!("patient"), &json!(true)));
        writes(&asha, &path, "practitioner", "Только врачу").await;
        let chats = format!("/v1/chats?organization={}", world.clinic);
        let open = office.get(&chats).await.expect(200);
        assert_eq!((&open["items"][0]["unanswered"], &open["items"][0]["patient"]["name"]), (&json!(1), &json!("Аша Кузнецова")));
        assert_eq!(doctor.get(&chats).await.expect(200)["items"], json!([]));
        let offices = writes(&office, &path, "office", "Нажмите на замок").await;
        assert_eq!(office.get(&chats).await.expect(200)["items"], json!([]), "answered");
        let answer = writes(&doctor, &path, "practitioner", "Вижу вас").await;
        assert_eq!(answer["from"], "practitioner");
        for told in [&first, &offices, &answer] {
            assert!(told.get("seq").is_none(), "whoever may not read does not learn how much there is");
        }

        let all = [SECRET, "Только врачу", "Нажмите на замок", "Вижу вас"];
        assert_eq!(reads(&asha, &path).await, all);
        assert_eq!(reads(&doctor, &path).await, all);
        assert_eq!(reads(&office, &path).await, [SECRET, "Нажмите на замок"]);
        assert_eq!(reads(&asha, &format!("{path}?after={}", offices["id"].as_str().unwrap())).await, ["Вижу вас"]);
        let wait = format!("/v1/encounters/{}/waiting", encounter_of(&booked));
        assert_eq!(asha.get(&wait).await.expect(200)["last_message"], answer["id"]);
        assert_eq!(office.get(&wait).await.expect(200)["last_message"], offices["id"]);

        let private = json!({"text": "Врачу", "to": "practitioner"});
        assert_eq!(office.post(&path, &private).await.refused(403), "forbidden");
        let boris = world.resigned(&world.boris).await.client;
        assert_eq!(boris.get(&path).await.refused(404), "not_found");
        assert_eq!(boris.post(&path, &private).await.refused(404), "not_found");
        for wrong in [json!({"text": "  ", "to": "office"}), json!({"text": "x".repeat(501), "to": "office"}),
            json!({"text": "Я"}), json!({"text": "Я", "to": "everybody"})]
        {
            asha.post(&path, &wrong).await.refused(422);
        }
        // The words are sealed, and stand in no log of deeds; that they were read does.
        let sealed = "SELECT count(*) AS n FROM chat_messages WHERE length(text_sealed) > 0";
        assert_eq!(world.house.count(sealed), 4);
        for sql in ["UPDATE chat_messages SET seq = 9", "DELETE FROM chat_messages"] {
            assert!(world.house.execute(sql).unwrap_err().contains("message_kept"), "{sql}");
        }
        let read = "SELECT count(*) AS n FROM audit_events WHERE action = 'chat.read' AND outcome = 'done'";
        assert_eq!(world.house.count(read), 4);
        reads(&asha, &format!("{path}?after={}", answer["id"].as_str().unwrap())).await;
        assert_eq!(world.house.count(read), 4, "nothing new was read");
    }
}

on_both! {
    async fn a_question_to_the_office_is_answered_by_the_doctor_too_and_after_the_end(world: World) {
        let booked = world.booked("2026-11-23T09:20:00+07:00").await;
        let path = format!("/v1/encounters/{}/messages", encounter_of(&booked));
        world.house.advance(TimeDelta::minutes(6));
        let asha = world.resigned(&world.asha).await.client;
        let doctor = world.resigned(&world.doctor).await.client;
        let office = world.resigned(&world.registrar).await.client;
        let chats = format!("/v1/chats?organization={}", world.clinic);
        writes(&asha, &path, "office", SECRET).await;
        writes(&doctor, &path, "practitioner", "Только вам").await;
        assert_eq!(office.get(&chats).await.expect(200)["items"][0]["unanswered"], 1);
        writes(&doctor, &path, "office", "Я перезвоню").await;
        assert_eq!(office.get(&chats).await.expect(200)["items"], json!([]), "answered");

        writes(&asha, &path, "office", "Когда?").await;
        let cancel = format!("/v1/appointments/{}/cancel", booked["id"].as_str().unwrap());
        asha.once(&cancel, &key(), &json!({})).await.expect(200);
        let line = |to: &str| json!({"text": "Завтра", "to": to});
        assert_eq!(asha.post(&path, &line("office")).await.refused(410), "visit_over");
        assert_eq!(doctor.post(&path, &line("practitioner")).await.refused(410), "visit_over");
        assert_eq!(office.get(&chats).await.expect(200)["items"][0]["unanswered"], 1);
        writes(&office, &path, "office", "Завтра").await;
        assert_eq!(office.get(&chats).await.expect(200)["items"], json!([]));
        assert_eq!(reads(&asha, &path).await.last().unwrap(), "Завтра");
        writes(&doctor, &path, "office", "В девять").await;

        world.house.advance(TimeDelta::hours(12));
        let office = signs_in(world, &world.registrar).await.client;
        assert_eq!(office.post(&path, &line("office")).await.refused(410), "visit_over");
    }
}

on_both! {
    async fn a_line_is_written_once_and_not_too_many(world: World) {
        let booked = world.booked("2026-11-23T09:20:00+07:00").await;
        let path = format!("/v1/encounters/{}/messages", encounter_of(&booked));
        world.house.advance(TimeDelta::minutes(6));
        let asha = world.resigned(&world.asha).await.client;
        let key = key();
        let body = json!({"text": SECRET, "to": "office"});
        let first = asha.once(&path, &key, &body).await.expect(201);
        let again = asha.once(&path, &key, &body).await;
        assert_eq!(again.header("idempotent-replayed"), Some("true"));
        assert_eq!(again.expect(201), first);
        for _ in 0..9 {
            writes(&asha, &path, "office", "Ещё").await;
        }
        let fast = asha.post(&path, &body).await;
        assert!(fast.header("retry-after").is_some());
        assert_eq!(fast.refused(429), "too_many_attempts");
        world.house.advance(TimeDelta::minutes(1));
        writes(&asha, &path, "office", "Снова").await;
        // As if there were two hundred.
        let row = "INSERT INTO chat_messages (id, encounter_id, organization_id, seq, audience, side, author_id, text_sealed, created_at)
            SELECT encounter_id, encounter_id, organization_id, 200, audience, side, author_id, text_sealed, created_at FROM chat_messages WHERE seq = 1";
        world.house.execute(row).unwrap();
        assert_eq!(asha.post(&path, &body).await.refused(409), "chat_full");
        let cancel = format!("/v1/appointments/{}/cancel", booked["id"].as_str().unwrap());
        asha.once(&cancel, &crate::support::key(), &json!({})).await.expect(200);
        assert_eq!(asha.post(&path, &body).await.refused(410), "visit_over");
    }
}

on_both! {
    async fn whoever_has_a_seat_hears_that_there_is_something(world: World) {
        let booked = world.booked("2026-11-23T09:20:00+07:00").await;
        let visit = encounter_of(&booked);
        world.house.advance(TimeDelta::minutes(6));
        let asha = world.resigned(&world.asha).await;
        let doctor = world.resigned(&world.doctor).await;
        let (mut seat, _welcome) = Peer::enter(&asha.client, &visit).await;
        let path = format!("/v1/encounters/{visit}/messages");
        writes(&doctor.client, &path, "practitioner", SECRET).await;
        let heard = seat.hear_of("chat").await;
        assert!(!heard.to_string().contains(SECRET), "{heard}");
        let rings = format!("/v1/encounters/{visit}/rings");
        let ring = doctor.client.once(&rings, &key(), &json!({})).await.expect(201);
        assert_eq!(seat.hear_of("ringing").await["body"]["ring"], ring["id"]);
        let answer = format!("{rings}/{}/answer", ring["id"].as_str().unwrap());
        asha.client.send(asha.client.request(Method::POST, &answer), Some(&json!({}))).await.expect(200);
        seat.hear_of("care").await;
    }
}
