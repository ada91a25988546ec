//! Every row of the matrix over HTTP: who may can, the others hear what they should and change
//! nothing.

use std::collections::BTreeSet;

use actix_web::http::Method;
use serde_json::{Value, json};
use uuid::Uuid;

use super::rows::{EVERYONE, Row, Who, rows};
use super::stage::{Place, SPENT, Stage};
use crate::on_both;
use crate::support::{Answer, Client, Engine, World, key};

const METHODS: [&str; 6] = ["GET", "POST", "PUT", "PATCH", "DELETE", "TRACE"];

async fn ask(client: &Client, row: &Row, path: &str, place: &Place) -> Answer {
    let method: Method = row.operation.0.parse().unwrap();
    let path = format!("{path}{}", (row.query)(place));
    let mut request = client.request(method.clone(), &path);
    if let Some(version) = row.version {
        request = request.insert_header(("If-Match", format!("\"{version}\"")));
    }
    if method == Method::POST {
        request = request.insert_header(("Idempotency-Key", key()));
    }
    let body = (row.body)(place);
    let sent = (method != Method::GET && method != Method::DELETE).then_some(&body);
    client.send(request, sent).await
}

/// Everything in the database but what a refusal may write: the audit log, kept answers and the
/// counters of attempts; and the heartbeat of the process.
struct Ledger {
    sql: String,
}

impl Ledger {
    fn of(world: &World) -> Self {
        // The last ones are written when time comes to it: what a room remembers of a call, which
        // node has a room, and what came of looking at a calendar elsewhere.
        let outside = "'audit_heads', 'audit_events', 'idempotency_keys', 'rate_counters',
            'rtc_nodes', 'rtc_rooms', 'rtc_posts', 'call_marks', 'call_minutes',
            'external_calendars', 'external_busy'";
        let sql = match world.house.engine {
            Engine::Sqlite => format!(
                "SELECT group_concat('SELECT ''' || name || ''' || coalesce(group_concat(' ||
                    (SELECT group_concat('quote(\"' || name || '\")', '||')
                     FROM pragma_table_info(tables.name)) ||
                    '), '''') AS t FROM \"' || name || '\"', ' UNION ALL ') AS t
                 FROM sqlite_master AS tables WHERE type = 'table' AND name NOT LIKE 'sqlite_%'
                 AND name NOT LIKE '%diesel%' AND name NOT IN ({outside})"
            ),
            Engine::Postgres => format!(
                "SELECT string_agg('SELECT ''' || tablename || ''' ||
                    coalesce(string_agg(x::text, '';'' ORDER BY x::text), '''') AS t FROM ' ||
                    quote_ident(tablename) || ' AS x', ' UNION ALL ') AS t
                 FROM pg_tables WHERE schemaname = current_schema()
                 AND tablename NOT LIKE '%diesel%' AND tablename NOT IN ({outside})"
            ),
        };
        let all = world.house.text(&sql);
        let glue = match world.house.engine {
            Engine::Sqlite => "group_concat(t)",
            Engine::Postgres => "string_agg(t, '' ORDER BY t)",
        };
        Self { sql: format!("SELECT {glue} AS t FROM ({all}) AS everything") }
    }

    fn read(&self, world: &World) -> String {
        world.house.text(&self.sql)
    }
}

/// A problem document without what differs between two requests.
fn said(answer: &Answer) -> Value {
    let mut body = answer.body.clone();
    body.as_object_mut().unwrap().remove("request_id");
    body
}

fn named(row: &Row, who: &str) -> String {
    format!("{} {} ({}) by {who}", row.operation.0, row.operation.1, row.object)
}

fn expect(row: &Row, who: &str, answer: &Answer, (status, code): (u16, &str)) {
    assert_eq!(answer.status.as_u16(), status, "{}: {}", named(row, who), answer.text);
    assert_eq!(answer.refused(status), code, "{}", named(row, who));
}

/// What somebody hears of an object in their own clinic who is not among those who may.
fn refusal(row: &Row, who: Who) -> (u16, &'static str) {
    if row.see.contains(&who) { (403, "forbidden") } else { row.hidden }
}

async fn outsiders_must_sign_in(stage: &Stage, row: &Row, path: &str) {
    for (name, client, code) in &stage.outsiders {
        let answer = ask(client, row, path, &stage.home).await;
        expect(row, name, &answer, (401, code));
    }
}

async fn the_others_are_refused(stage: &Stage, row: &Row, path: &str) {
    for who in EVERYONE.iter().filter(|who| !row.may.contains(who)) {
        let (client, name) = (&stage.people[who], format!("{who:?}"));
        let answer = ask(client, row, path, &stage.home).await;
        let expected = refusal(row, *who);
        expect(row, &name, &answer, expected);
        if expected.0 == 404 {
            let nowhere = row.operation.1.replace("{id}", &Uuid::new_v4().to_string());
            let missing = ask(client, row, &stage.home.path(&nowhere, ""), &stage.home).await;
            assert_eq!(said(&answer), said(&missing), "{}", named(row, &name));
        }
    }
}

/// The same row on the same object of the other clinic.
async fn the_other_clinic_is_closed(stage: &Stage, row: &Row) {
    let path = stage.abroad.path(row.operation.1, row.object);
    for who in EVERYONE {
        let abroad = *who == Who::Stranger || (*who == Who::SystemAdmin && row.may.contains(who));
        if abroad {
            continue;
        }
        let everybody_sees = row.see.len() == EVERYONE.len();
        let expected = if everybody_sees { (403, "forbidden") } else { row.hidden };
        let answer = ask(&stage.people[who], row, &path, &stage.abroad).await;
        expect(row, &format!("{who:?}, abroad"), &answer, expected);
    }
}

async fn what_is_missing_is_not_found(stage: &Stage, row: &Row) {
    let Some(first) = row.may.first() else { return };
    let client = &stage.people[first];
    for id in [Uuid::new_v4().to_string(), "not-an-id".to_owned()] {
        let path = stage.home.path(&row.operation.1.replace("{id}", &id), "");
        let answer = ask(client, row, &path, &stage.home).await;
        expect(row, &format!("{first:?}, {id}"), &answer, (404, "not_found"));
    }
}

async fn those_who_may_can(stage: &Stage, row: &Row, path: &str) {
    let home = &stage.home;
    for (turn, who) in row.may.iter().enumerate() {
        let mut path = path.to_owned();
        for names in SPENT {
            let own = names[turn.min(names.len() - 1)];
            path = path.replace(home.id(names[0]), home.id(own));
        }
        let answer = ask(&stage.people[who], row, &path, home).await;
        let (status, name) = (answer.status.as_u16(), named(row, &format!("{who:?}")));
        if turn == 0 || row.operation.0 == "GET" {
            assert!((200..300).contains(&status), "{name}: {status} {}", answer.text);
        } else {
            // The first may have used it up; the policy must still have let them through.
            let passed = (200..300).contains(&status) || [409, 412].contains(&status);
            assert!(passed, "{name}: {status} {}", answer.text);
        }
        if let Some((object, listed)) = row.lists {
            let holds = answer.text.contains(home.id(object));
            assert_eq!(holds, listed.contains(who), "{name}: {}", answer.text);
        }
    }
}

on_both! {
    async fn everyone_hears_of_everything_what_the_matrix_says(world: World) {
        let stage = Stage::set(world).await;
        let ledger = Ledger::of(world);
        for row in rows() {
            let path = stage.home.path(row.operation.1, row.object);
            if row.public {
                let answer = ask(&world.house.client(), &row, &path, &stage.home).await;
                let nothing_said = if row.operation.0 == "GET" { row.hidden } else { (422, "invalid_body") };
                expect(&row, "nobody, with nothing to say", &answer, nothing_said);
                continue;
            }
            world.house.all_sent().await;
            // What an admission has left in the record of its call comes a moment after it.
            feldsher::call::record::ledger::flush(&world.house.app).await;
            // What is asked for soon runs out, and is a task.
            feldsher::appointment::request::tick(&world.house.app).await.unwrap();
            let before = ledger.read(world);
            outsiders_must_sign_in(&stage, &row, &path).await;
            if row.operation.1 == "/v1/auth/logout" {
                continue;
            }
            the_others_are_refused(&stage, &row, &path).await;
            if row.may.len() < EVERYONE.len() {
                the_other_clinic_is_closed(&stage, &row).await;
            }
            if !row.object.is_empty() {
                what_is_missing_is_not_found(&stage, &row).await;
            }
            let after = ledger.read(world);
            let at = before.chars().zip(after.chars()).take_while(|(one, other)| one == other).count();
            let shown = |text: &str| text.chars().skip(at.saturating_sub(200)).take(400).collect::<String>();
            assert!(
                before == after,
                "a refusal changed something: {}\n{}\n{}",
                named(&row, "somebody"), shown(&before), shown(&after)
            );
            those_who_may_can(&stage, &row, &path).await;
        }
    }
}

on_both! {
    async fn a_part_of_one_thing_is_no_part_of_another(world: World) {
        let stage = Stage::set(world).await;
        let (home, abroad) = (&stage.home, &stage.abroad);
        let doctor = &stage.people[&Who::Doctor];
        for act in ["admit", "hold", "deny"] {
            for visit in ["live", "second"] {
                let path = format!("/v1/encounters/{}/{act}", home.id(visit));
                let guest = if visit == "live" { abroad } else { home };
                let body = json!({"participant": guest.id("participant")});
                assert_eq!(doctor.post(&path, &body).await.refused(404), "not_found", "{path}");
            }
        }
        for act in ["remove", "side"] {
            let (visit, guest) = (home.id("live"), abroad.id("guest"));
            let path = format!("/v1/encounters/{visit}/participants/{guest}/{act}");
            let body = if act == "side" { json!({"aside": true}) } else { json!({}) };
            assert_eq!(doctor.post(&path, &body).await.refused(404), "not_found", "{path}");
        }
        let path = format!("/v1/practitioners/{}/absences/{}", home.id("practitioner"), abroad.id("absence"));
        let removed = doctor.send(doctor.request(Method::DELETE, &path), None).await;
        assert_eq!(removed.refused(404), "not_found");
        let path = format!("/v1/practitioners/{}/absences", abroad.id("practitioner"));
        let listed = stage.people[&Who::Stranger].get(&path).await.expect(200);
        assert!(listed.to_string().contains(abroad.id("absence")), "{listed}");
        let path = format!("/v1/practitioners/{}/extra-hours/{}", home.id("practitioner"), abroad.id("extra"));
        let removed = doctor.send(doctor.request(Method::DELETE, &path), None).await;
        assert_eq!(removed.refused(404), "not_found");
        let registrar = &stage.people[&Who::Registrar];
        let path = format!("/v1/organizations/{}/closures/{}", home.id("clinic"), abroad.id("closure"));
        let removed = registrar.send(registrar.request(Method::DELETE, &path), None).await;
        assert_eq!(removed.refused(404), "not_found");
        let admin = &stage.people[&Who::SystemAdmin];
        let path = format!("/v1/organizations/{}/members/{}/registrar", home.id("clinic"), abroad.id("account"));
        let end = json!({"state": "disabled"});
        assert_eq!(admin.edit(Method::PATCH, &path, 1, &end).await.refused(404), "not_found");
    }
}

on_both! {
    async fn a_method_that_is_not_in_the_matrix_is_refused_as_that(world: World) {
        let stage = Stage::set(world).await;
        let rows = rows();
        let operations: BTreeSet<_> = rows.iter().map(|row| row.operation).collect();
        let mut asked = BTreeSet::new();
        for row in &rows {
            let path = stage.home.path(row.operation.1, row.object);
            for method in METHODS {
                let known = operations.contains(&(method, row.operation.1));
                if known || !asked.insert((method, row.operation.1)) {
                    continue;
                }
                let client = &stage.people[&Who::SystemAdmin];
                let answer = client.send(client.request(method.parse().unwrap(), &path), None).await;
                assert_eq!(answer.refused(405), "method_not_allowed", "{method} {path}");
                let allowed: BTreeSet<_> = answer.header("allow").unwrap().split(", ").collect();
                let mut there: BTreeSet<_> = METHODS
                    .into_iter()
                    .filter(|method| operations.contains(&(*method, row.operation.1)))
                    .collect();
                if there.contains("GET") {
                    there.insert("HEAD");
                }
                assert_eq!(allowed, there, "{path}");
            }
        }
        assert!(asked.len() > 150, "{}", asked.len());
    }
}
