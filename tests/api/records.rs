//! Notes as the doctor writes them and the patient reads them, and nobody else.

use actix_web::http::Method;
use chrono::TimeDelta;
use feldsher::audit::{self, verify::Fault};
use serde_json::{Value, json};

use crate::on_both;
use crate::support::visit::encounter_of;
use crate::support::world::PASSWORD;
use crate::support::{Answer, Engine, Person, World, key};

const MONDAY_920: &str = "2026-11-23T09:20:00+07:00";
const NOBODYS: &str = "01a0c450-7f88-7396-b5a0-1fee086df75b";

/// A visit in which patient and doctor talk.
async fn visit(world: &World) -> String {
    let encounter = encounter_of(&world.booked(MONDAY_920).await);
    world.house.advance(TimeDelta::minutes(6));
    let guest = world.enters(&world.asha, &encounter).await;
    world.enters(&world.doctor, &encounter).await;
    let admit = format!("/v1/encounters/{encounter}/admit");
    world.doctor.client.post(&admit, &json!({"participant": guest})).await.expect(200);
    encounter
}

async fn draft(world: &World, encounter: &str, body: Value) -> Value {
    let path = format!("/v1/encounters/{encounter}/notes");
    world.doctor.client.once(&path, &key(), &body).await.expect(201)
}

async fn signed(world: &World, encounter: &str, plan: &str) -> Value {
    let note = draft(world, encounter, json!({"assessment": "ОРВИ", "plan": plan})).await;
    world.doctor.client.once(&path(&note, "/sign"), &key(), &json!({})).await.expect(200)
}

fn id(note: &Value) -> &str {
    note["id"].as_str().unwrap()
}

fn path(note: &Value, rest: &str) -> String {
    format!("/v1/notes/{}{rest}", id(note))
}

/// Everybody who has nothing to do with the treatment of Asha.
fn outsiders(world: &World) -> [&Person; 6] {
    let World { boris, colleague, stranger, registrar, feldsher, admin, .. } = world;
    [boris, colleague, stranger, registrar, feldsher, admin]
}

/// All of an answer that could tell one object from another.
fn told(answer: &Answer) -> (u16, String, Vec<(String, String)>) {
    let text = answer.text.replace(answer.body["request_id"].as_str().unwrap(), "");
    let of_the_moment = |name: &str| matches!(name, "date" | "x-request-id");
    let mut headers = answer.headers.clone();
    headers.retain(|(name, _)| !of_the_moment(name));
    headers.sort_unstable();
    (answer.status.as_u16(), text, headers)
}

async fn asked(who: &Person, method: Method, path: &str, body: Option<&Value>) -> Answer {
    let request = who.client.request(method, path).insert_header(("If-Match", "\"1\""));
    who.client.send(request, body).await
}

/// An id as SQL of this engine writes it.
fn literal(world: &World, id: &str) -> String {
    match world.house.engine {
        Engine::Sqlite => format!("x'{}'", id.replace('-', "")),
        Engine::Postgres => format!("'{id}'::uuid"),
    }
}

fn drop_trigger(world: &World, name: &str, table: &str) {
    let sql = match world.house.engine {
        Engine::Sqlite => format!("DROP TRIGGER {name}"),
        Engine::Postgres => format!("DROP TRIGGER {name} ON {table}"),
    };
    world.house.execute(&sql).unwrap();
}

async fn verified(world: &World) -> audit::verify::Report {
    let report = world.house.app.db.read(|conn| audit::verify(conn, &mut |_| {})).await;
    report.unwrap().unwrap()
}

on_both! {
    async fn a_note_is_saved_as_it_is_typed_signed_once_and_read_by_the_patient(world: World) {
        let encounter = visit(world).await;
        let note = draft(world, &encounter, json!({"subjective": "кашель"})).await;
        assert_eq!((&note["status"], &note["version"]), (&json!("draft"), &json!(1)));
        let doctor = &world.doctor.client;
        let edit = |version, body: Value| {
            let path = path(&note, "");
            async move { doctor.edit(Method::PATCH, &path, version, &body).await }
        };
        let saved = edit(1, json!({"plan": "чай"})).await;
        assert_eq!(saved.header("etag"), Some("\"2\""));
        assert_eq!(saved.expect(200)["subjective"], "кашель");
        let stale = edit(1, json!({"plan": "мёд"})).await;
        assert_eq!(stale.refused(412), "stale_version");
        assert!(!stale.text.contains("чай") && !stale.text.contains("кашель"));
        let request = doctor.request(Method::PATCH, &path(&note, ""));
        let bare = doctor.send(request, Some(&json!({"plan": "мёд"}))).await;
        assert_eq!(bare.refused(428), "precondition_required");
        let stale = doctor.edit(Method::POST, &path(&note, "/sign"), 1, &json!({})).await;
        assert_eq!(stale.refused(412), "stale_version");

        let signed = doctor.once(&path(&note, "/sign"), &key(), &json!({})).await.expect(200);
        assert_eq!(signed["signer"]["name"], "Анна Лебедева");
        assert_eq!(signed["signature"]["verified"], true);
        assert_eq!((&signed["status"], &signed["version"]), (&json!("signed"), &json!(3)));
        let again = doctor.once(&path(&note, "/sign"), &key(), &json!({})).await.expect(200);
        assert_eq!(again, signed);
        assert_eq!(edit(3, json!({"plan": "мёд"})).await.refused(409), "note_signed");

        let read = world.asha.client.get(&path(&note, "")).await;
        assert_eq!(read.header("cache-control"), Some("no-store"));
        assert_eq!(read.expect(200), signed);
        for list in [
            format!("/v1/patients/{}/notes", world.asha.id),
            format!("/v1/encounters/{encounter}/notes"),
        ] {
            let listed = world.asha.client.get(&list).await;
            assert_eq!(listed.expect(200)["items"], json!([signed]));
        }
    }
}

on_both! {
    async fn a_draft_is_there_for_its_author_only(world: World) {
        let encounter = visit(world).await;
        let note = draft(world, &encounter, json!({"plan": "чай"})).await;
        let missing = json!({"id": NOBODYS});
        for who in outsiders(world).into_iter().chain([&world.asha]) {
            for (method, rest, body) in [
                (Method::GET, "", None),
                (Method::PATCH, "", Some(json!({"plan": "мёд"}))),
                (Method::POST, "/sign", Some(json!({}))),
                (Method::POST, "/addenda", Some(json!({"text": "ещё"}))),
            ] {
                let hidden = asked(who, method.clone(), &path(&note, rest), body.as_ref()).await;
                let none = asked(who, method, &path(&missing, rest), body.as_ref()).await;
                assert_eq!(hidden.refused(404), "not_found");
                assert_eq!(told(&hidden), told(&none));
            }
        }
        let list = format!("/v1/encounters/{encounter}/notes");
        assert_eq!(world.asha.client.get(&list).await.expect(200)["items"], json!([]));
        assert_eq!(world.doctor.client.get(&list).await.expect(200)["items"], json!([note]));
    }
}

on_both! {
    async fn a_signed_note_is_not_there_for_those_who_do_not_treat_the_patient(world: World) {
        let encounter = visit(world).await;
        let note = signed(world, &encounter, "чай").await;
        let missing = json!({"id": NOBODYS});
        let patient = |id: &str| format!("/v1/patients/{id}/notes");
        for who in outsiders(world) {
            for (hidden, none) in [
                (path(&note, ""), path(&missing, "")),
                (patient(&world.asha.id), patient(NOBODYS)),
                (
                    format!("/v1/encounters/{encounter}/notes"),
                    format!("/v1/encounters/{NOBODYS}/notes"),
                ),
            ] {
                let hidden = who.client.get(&hidden).await;
                let none = who.client.get(&none).await;
                assert_eq!(hidden.refused(404), "not_found");
                assert_eq!(told(&hidden), told(&none));
            }
            for (method, rest, body) in [
                (Method::PATCH, "", json!({"plan": "мёд"})),
                (Method::POST, "/sign", json!({})),
                (Method::POST, "/addenda", json!({"text": "ещё"})),
            ] {
                let hidden = asked(who, method.clone(), &path(&note, rest), Some(&body)).await;
                let none = asked(who, method, &path(&missing, rest), Some(&body)).await;
                assert_eq!(hidden.refused(404), "not_found");
                assert_eq!(told(&hidden), told(&none));
            }
        }
        let nobody = world.house.client();
        for path in [path(&note, ""), path(&missing, ""), patient(&world.asha.id)] {
            assert_eq!(nobody.get(&path).await.refused(401), "unauthorized");
        }
        let asha = &world.asha.client;
        let change = asha.edit(Method::PATCH, &path(&note, ""), 2, &json!({"plan": "мёд"})).await;
        assert_eq!(change.refused(403), "forbidden");
        assert_eq!(asha.post(&path(&note, "/sign"), &json!({})).await.refused(403), "forbidden");
        let begin = format!("/v1/encounters/{encounter}/notes");
        assert_eq!(asha.post(&begin, &json!({})).await.refused(403), "forbidden");
        let registrar = &world.registrar.client;
        assert_eq!(registrar.post(&begin, &json!({})).await.refused(403), "forbidden");
        assert_eq!(world.stranger.client.post(&begin, &json!({})).await.refused(404), "not_found");
    }
}

on_both! {
    async fn who_treats_the_patient_reads_what_was_signed_before(world: World) {
        let encounter = visit(world).await;
        let note = signed(world, &encounter, "чай").await;
        let wish = json!({
            "service": world.other_service, "practitioner": world.stranger.id,
            "start": "2026-11-24T11:00:00+07:00",
        });
        let booked = world.asha.client.once("/v1/appointments", &key(), &wish).await.expect(201);
        let read = world.stranger.client.get(&path(&note, "")).await.expect(200);
        assert_eq!(read["plan"], "чай");
        let add = path(&note, "/addenda");
        let added = world.stranger.client.post(&add, &json!({"text": "ещё"})).await;
        assert_eq!(added.refused(403), "forbidden");
        let cancel = format!("/v1/appointments/{}/cancel", booked["id"].as_str().unwrap());
        world.asha.client.post(&cancel, &json!({})).await.expect(200);
        let again = world.stranger.client.get(&path(&note, "")).await;
        assert_eq!(again.refused(404), "not_found", "a visit that was called off is none");
    }
}

on_both! {
    async fn a_second_draft_names_the_first_and_an_empty_note_is_not_signed(world: World) {
        let encounter = visit(world).await;
        let note = draft(world, &encounter, json!({"plan": " "})).await;
        let path_of = format!("/v1/encounters/{encounter}/notes");
        let second = world.doctor.client.post(&path_of, &json!({})).await;
        assert_eq!(second.refused(409), "already_exists");
        assert_eq!(second.body["note"]["id"], note["id"]);
        let empty = world.doctor.client.post(&path(&note, "/sign"), &json!({})).await;
        assert_eq!(empty.refused(422), "note_empty");
        let long = json!({"plan": "ё".repeat(20_001)});
        let long = world.doctor.client.edit(Method::PATCH, &path(&note, ""), 1, &long).await;
        assert_eq!(long.refused(422), "invalid_body");
        assert_eq!(long.body["errors"][0]["pointer"], "/plan");
        assert!(!long.text.contains('ё'), "what was sent is not repeated");
    }
}

on_both! {
    async fn a_visit_that_has_not_begun_or_was_called_off_has_no_note(world: World) {
        let booked = world.booked(MONDAY_920).await;
        let path = format!("/v1/encounters/{}/notes", encounter_of(&booked));
        assert_eq!(world.doctor.client.post(&path, &json!({})).await.refused(409), "bad_state");
        let cancel = format!("/v1/appointments/{}/cancel", booked["id"].as_str().unwrap());
        world.asha.client.post(&cancel, &json!({})).await.expect(200);
        assert_eq!(world.doctor.client.post(&path, &json!({})).await.refused(409), "bad_state");
    }
}

on_both! {
    async fn what_comes_later_is_added_to_a_signed_note_and_never_to_a_draft(world: World) {
        let encounter = visit(world).await;
        let note = draft(world, &encounter, json!({"plan": "чай"})).await;
        let text = json!({"text": "анализ пришёл"});
        let doctor = &world.doctor.client;
        assert_eq!(doctor.post(&path(&note, "/addenda"), &text).await.refused(409), "bad_state");
        doctor.post(&path(&note, "/sign"), &json!({})).await.expect(200);
        let blank = doctor.post(&path(&note, "/addenda"), &json!({"text": " \n"})).await;
        assert_eq!(blank.refused(422), "invalid_body");
        let added = doctor.once(&path(&note, "/addenda"), &key(), &text).await.expect(201);
        let read = world.asha.client.get(&path(&note, "")).await.expect(200);
        assert_eq!(read["addenda"], json!([added]));
        assert_eq!((&read["plan"], &read["version"]), (&json!("чай"), &json!(2)));
        let asha = world.asha.client.post(&path(&note, "/addenda"), &text).await;
        assert_eq!(asha.refused(403), "forbidden");
    }
}

const NOTE_COLUMNS: &str = "encounter_id, patient_id, organization_id, author_id, status, version, \
    body_sealed, content_hash, signature, signature_kid, signed_at, signer_id, created_at, \
    updated_at";

on_both! {
    async fn the_database_itself_refuses_to_change_or_remove_what_is_signed(world: World) {
        let encounter = visit(world).await;
        let note = signed(world, &encounter, "чай").await;
        let addenda = path(&note, "/addenda");
        world.doctor.client.post(&addenda, &json!({"text": "ещё"})).await.expect(201);
        let started = draft(world, &encounter, json!({"plan": "мёд"})).await;
        let before = world.asha.client.get(&path(&note, "")).await.expect(200);

        let mut tricks: Vec<String> = [
            "UPDATE notes SET version = version + 1 WHERE status = 'signed'",
            "UPDATE notes SET status = 'draft' WHERE status = 'signed'",
            "UPDATE notes SET patient_id = (SELECT id FROM patients WHERE name LIKE 'Борис%') \
                WHERE status = 'draft'",
            "DELETE FROM notes WHERE status = 'signed'",
            "DELETE FROM notes WHERE status = 'draft'",
            "INSERT INTO notes SELECT * FROM notes WHERE status = 'signed' \
                ON CONFLICT (id) DO UPDATE SET version = 99",
            "UPDATE note_addenda SET created_at = created_at",
            "DELETE FROM note_addenda",
            "INSERT INTO note_addenda SELECT * FROM note_addenda WHERE true \
                ON CONFLICT (id) DO UPDATE SET created_at = excluded.created_at",
            "UPDATE audit_events SET outcome = 'refused'",
            "DELETE FROM audit_events",
            "INSERT INTO audit_events SELECT * FROM audit_events WHERE true \
                ON CONFLICT (chain, seq) DO UPDATE SET outcome = 'refused'",
        ]
        .map(str::to_owned)
        .to_vec();
        tricks.extend(match world.house.engine {
            Engine::Sqlite => past_the_triggers_of_sqlite(),
            Engine::Postgres => {
                ["TRUNCATE notes CASCADE", "TRUNCATE note_addenda", "TRUNCATE audit_events"]
                    .map(str::to_owned)
                    .to_vec()
            }
        });
        for sql in tricks {
            assert!(world.house.execute(&sql).is_err(), "{sql}");
        }
        if world.house.engine == Engine::Sqlite {
            let replace = format!(
                "INSERT OR REPLACE INTO notes (id, {NOTE_COLUMNS}) SELECT randomblob(16), \
                 {NOTE_COLUMNS} FROM notes WHERE status = 'draft'"
            );
            world.house.execute(&replace).unwrap();
            let kept = world.doctor.client.get(&path(&started, "")).await.expect(200);
            assert_eq!(kept, started, "the first draft stays, the second is left out");
        }
        assert_eq!(world.house.count("SELECT count(*) AS n FROM notes"), 2);
        assert_eq!(world.house.count("SELECT count(*) AS n FROM note_addenda"), 1);
        assert_eq!(world.asha.client.get(&path(&note, "")).await.expect(200), before);
        assert!(verified(world).await.is_whole());
    }
}

/// OR REPLACE deletes what is in its way, by any unique key and by the rowid, and asks no
/// trigger of deletion.
fn past_the_triggers_of_sqlite() -> Vec<String> {
    let mut tricks = vec![
        format!(
            "INSERT OR REPLACE INTO notes (rowid, id, {NOTE_COLUMNS}) SELECT rowid, \
             randomblob(16), {NOTE_COLUMNS} FROM notes WHERE status = 'signed'"
        ),
        "UPDATE OR REPLACE notes SET rowid = (SELECT rowid FROM notes WHERE status = 'signed') \
         WHERE status = 'draft'"
            .to_owned(),
        "UPDATE OR REPLACE notes SET id = (SELECT id FROM notes WHERE status = 'signed') \
         WHERE status = 'draft'"
            .to_owned(),
        "INSERT OR REPLACE INTO note_addenda (rowid, id, note_id, author_id, text_sealed, \
         created_at) SELECT rowid, randomblob(16), note_id, author_id, text_sealed, created_at \
         FROM note_addenda"
            .to_owned(),
        "INSERT OR REPLACE INTO audit_events (rowid, chain, seq, at, action, object_kind, \
         outcome, hash) SELECT rowid, chain, (SELECT max(seq) + 1 FROM audit_events AS other \
         WHERE other.chain = audit_events.chain), at, action, object_kind, outcome, hash \
         FROM audit_events LIMIT 1"
            .to_owned(),
    ];
    for table in ["notes", "note_addenda", "audit_events"] {
        let from = if table == "notes" { "notes WHERE status = 'signed'" } else { table };
        tricks.push(format!("INSERT OR REPLACE INTO {table} SELECT * FROM {from}"));
        tricks.push(format!("UPDATE OR REPLACE {table} SET rowid = rowid + 1"));
    }
    tricks
}

on_both! {
    async fn a_body_put_into_another_note_does_not_open_and_the_note_says_so(world: World) {
        let encounter = visit(world).await;
        let first = signed(world, &encounter, "чай").await;
        let second = signed(world, &encounter, "мёд").await;
        let third = draft(world, &encounter, json!({"plan": "сон"})).await;
        let put = |from: &Value, into: &Value| {
            let (from, into) = (literal(world, id(from)), literal(world, id(into)));
            let sql = "UPDATE notes SET body_sealed = (SELECT body_sealed FROM notes WHERE id =";
            world.house.execute(&format!("{sql} {from}) WHERE id = {into}"))
        };
        assert!(put(&first, &second).unwrap_err().contains("note_signed"));
        put(&first, &third).unwrap();
        let broken = world.doctor.client.get(&path(&third, "")).await;
        assert_eq!(broken.refused(500), "internal");
        assert!(!broken.text.contains("чай"));

        drop_trigger(world, "notes_signed", "notes");
        put(&first, &second).unwrap();
        let shown = world.asha.client.get(&path(&second, "")).await.expect(200);
        assert_eq!(shown["signature"]["verified"], false);
        assert_eq!((shown.get("plan"), shown.get("assessment")), (None, None));
        let list = format!("/v1/patients/{}/notes", world.asha.id);
        let list = world.asha.client.get(&list).await.expect(200);
        let whole = list["items"].as_array().unwrap().iter().find(|note| note["id"] == first["id"]);
        assert_eq!(whole, Some(&first), "one damaged note does not hide the others");

        let other = literal(world, id(&first));
        let moved = format!("UPDATE notes SET version = version + 1 WHERE id = {other}");
        world.house.execute(&moved).unwrap();
        let shown = world.asha.client.get(&path(&first, "")).await.expect(200);
        assert_eq!(shown["signature"]["verified"], false, "an older body is not taken for a newer");
    }
}

on_both! {
    async fn the_audit_log_is_whole_after_the_story_and_shows_where_it_was_changed(world: World) {
        let encounter = visit(world).await;
        let note = signed(world, &encounter, "чай").await;
        world.asha.client.get(&path(&note, "")).await.expect(200);
        let finish = format!("/v1/encounters/{encounter}/finish");
        world.doctor.client.post(&finish, &json!({})).await.expect(200);
        let report = verified(world).await;
        assert!(report.is_whole());
        let rows = "SELECT count(*) AS n FROM audit_events";
        assert_eq!(i64::try_from(report.rows).unwrap(), world.house.count(rows));
        for action in ["note.create", "note.sign", "note.read", "encounter.finish"] {
            assert_eq!(world.house.count(&format!("{rows} WHERE action = '{action}'")), 1);
        }

        let of_read = |column: &str| {
            let sql = "AS n FROM audit_events WHERE action = 'note.read'";
            world.house.count(&format!("SELECT CAST({column} AS bigint) {sql}"))
        };
        let (chain, seq) = (of_read("chain"), of_read("seq"));
        drop_trigger(world, "audit_events_frozen", "audit_events");
        let doctor = "(SELECT account_id FROM practitioners WHERE name LIKE 'Олег%')";
        let blame = format!("UPDATE audit_events SET actor_id = {doctor} WHERE action = 'note.read'");
        world.house.execute(&blame).unwrap();
        let report = verified(world).await;
        let found: Vec<_> = report.damaged().map(|(at, damage)| (i64::from(at), damage)).collect();
        assert_eq!(found.len(), 1);
        let (at, damage) = found[0];
        assert_eq!((at, damage.seq, damage.fault), (chain, seq, Fault::Changed));
    }
}

on_both! {
    async fn a_patient_sees_who_touched_the_record_and_who_was_refused(world: World) {
        let encounter = visit(world).await;
        let note = signed(world, &encounter, "чай").await;
        world.asha.client.get(&path(&note, "")).await.expect(200);
        world.stranger.client.get(&path(&note, "")).await.refused(404);
        world.colleague.client.get(&format!("/v1/patients/{}/notes", world.asha.id)).await.refused(404);
        world.boris.client.get(&path(&note, "")).await.refused(404);
        let expected = [
            (json!({"name": "Олег Чужой", "role": "doctor"}), "note.read"),
            (json!({"name": "Пётр Гусев", "role": "doctor"}), "note.list"),
            (json!({"name": "Борис Волков"}), "note.read"),
        ];
        let mut refused = Vec::new();
        // A refusal is written after its answer.
        for _ in 0..200 {
            let log = world.asha.client.get("/v1/me/access-log?limit=100").await.expect(200);
            let items = log["items"].as_array().unwrap().clone();
            let own = |item: &Value| item["action"] == "note.read" && item["self"] == true;
            assert!(items.iter().any(own));
            let doctor = json!({"name": "Анна Лебедева", "role": "doctor"});
            for action in ["note.create", "note.sign", "encounter.join", "encounter.admit"] {
                let done = |item: &Value| item["action"] == action && item["who"] == doctor;
                assert!(items.iter().any(done), "{action}");
            }
            assert!(!log.to_string().contains("чай"));
            refused = items.into_iter().filter(|item| item["outcome"] == "refused").collect();
            if refused.len() == expected.len() {
                break;
            }
            actix_web::rt::time::sleep(std::time::Duration::from_millis(20)).await;
        }
        assert_eq!(refused.len(), expected.len());
        for (who, action) in expected {
            let line = refused.iter().find(|line| line["who"] == who).expect("the refusal");
            assert_eq!((&line["action"], &line["self"]), (&json!(action), &json!(false)));
        }
        for other in [&world.stranger, &world.boris] {
            let theirs = other.client.get("/v1/me/access-log?limit=100").await.expect(200);
            assert!(!theirs.to_string().contains(id(&note)));
        }
        assert_eq!(world.house.client().get("/v1/me/access-log").await.refused(401), "unauthorized");
    }
}

/// How many tables, or files, of the database hold these words as they are.
fn holders(world: &World, words: &str) -> i64 {
    match world.house.engine {
        Engine::Sqlite => {
            let url = world.house.app.config.database.url.0.clone();
            let file = url.trim_start_matches("sqlite:").to_owned();
            let files = ["", "-wal", "-shm"].map(|end| std::fs::read(format!("{file}{end}")));
            let bytes = words.as_bytes();
            let holds = |file: &Vec<u8>| file.windows(bytes.len()).any(|part| part == bytes);
            let found = files.iter().flatten().filter(|file| holds(file)).count();
            i64::try_from(found).unwrap()
        }
        Engine::Postgres => {
            let hex: String = words.bytes().map(|byte| format!("{byte:02x}")).collect();
            let rows = format!(
                "SELECT count(*) AS n FROM %I t WHERE position(''{words}'' in t::text) > 0 \
                 OR position(''{hex}'' in t::text) > 0"
            );
            world.house.count(&format!(
                "SELECT count(*) AS n FROM information_schema.tables WHERE table_schema = 'public' \
                 AND (xpath('/row/n/text()', query_to_xml(format('{rows}', table_name), false, \
                 true, '')))[1]::text <> '0'"
            ))
        }
    }
}

on_both! {
    async fn no_word_of_a_patient_can_be_read_in_the_database(world: World) {
        let asha = &world.asha;
        world.house.advance(TimeDelta::minutes(2));
        let phone = json!({"phone": asha.login});
        world.house.client().post("/v1/auth/code", &phone).await.expect(202);
        let sign_in = world.house.sms(&asha.login).await;
        let mut wish = world.wish(MONDAY_920);
        wish["reason"] = json!("сыпь на локте");
        let booked = asha.client.once("/v1/appointments", &key(), &wish).await.expect(201);
        let encounter = encounter_of(&booked);
        let confirmation = confirmation(world, booked["code"].as_str().unwrap()).await;
        world.house.advance(TimeDelta::minutes(6));
        world.enters(asha, &encounter).await;
        let sections = json!({
            "subjective": "жжёт по ночам", "objective": "эритема восемь", "assessment": "псориаз",
            "plan": "мазь дважды",
        });
        let note = draft(world, &encounter, sections).await;
        let saved = json!({"plan": "мазь трижды"});
        let doctor = &world.doctor.client;
        doctor.edit(Method::PATCH, &path(&note, ""), 1, &saved).await.expect(200);
        doctor.once(&path(&note, "/sign"), &key(), &json!({})).await.expect(200);
        let addendum = json!({"text": "соскоб чистый"});
        doctor.once(&path(&note, "/addenda"), &key(), &addendum).await.expect(201);
        let away = json!({
            "from": "2026-11-25T09:00:00+07:00", "to": "2026-11-25T12:00:00+07:00",
            "reason": "похороны дяди",
        });
        let absences = format!("/v1/practitioners/{}/absences", world.doctor.id);
        doctor.once(&absences, &key(), &away).await.expect(201);
        let other = wish_of_boris(world);
        let second = world.boris.client.once("/v1/appointments", &key(), &other).await.expect(201);
        let cancel = format!("/v1/appointments/{}/cancel", second["id"].as_str().unwrap());
        let why = json!({"reason": "уже прошло"});
        world.boris.client.once(&cancel, &key(), &why).await.expect(200);

        let code: String = sign_in.chars().filter(char::is_ascii_digit).take(6).collect();
        let tokens = [&asha.refresh_token, &world.doctor.refresh_token];
        let words = [
            "сыпь на локте",
            "жжёт по ночам",
            "эритема восемь",
            "псориаз",
            "мазь дважды",
            "мазь трижды",
            "соскоб чистый",
            "похороны дяди",
            "уже прошло",
            "70000000001",
            "70000000002",
            &sign_in,
            &confirmation,
            &code,
            tokens[0],
            tokens[1],
            PASSWORD,
        ];
        for words in words {
            assert_eq!(holders(world, words), 0, "{words}");
        }
        // The search finds what is there to be found.
        assert!(holders(world, "Таёжная больница") > 0);
        assert!(holders(world, booked["code"].as_str().unwrap()) > 0);
        // Everything that was looked for had been written.
        let sealed = [
            ("appointments", "reason_sealed"), ("appointments", "cancellation_sealed"),
            ("notes", "body_sealed"), ("note_addenda", "text_sealed"),
            ("outbox_messages", "payload_sealed"), ("idempotency_keys", "answer_sealed"),
            ("absences", "reason_sealed"), ("accounts", "phone_sealed"),
        ];
        for (table, column) in sealed {
            let sql = format!("SELECT count(*) AS n FROM {table} WHERE {column} IS NOT NULL");
            assert!(world.house.count(&sql) > 0, "{table}.{column}");
        }
    }
}

/// The SMS that names a booking; it is sent after the answer.
async fn confirmation(world: &World, code: &str) -> String {
    for _ in 0..200 {
        let sms = world.house.sms("+70000000001").await;
        if sms.contains(code) {
            return sms;
        }
        actix_web::rt::time::sleep(std::time::Duration::from_millis(25)).await;
    }
    panic!("no confirmation");
}

fn wish_of_boris(world: &World) -> Value {
    let mut wish = world.wish("2026-11-24T10:00:00+07:00");
    wish["reason"] = json!("сыпь на локте");
    wish
}
