//! Sixty-four clients do everything at once, and the database is judged afterwards: no resource
//! twice at one time, nothing lost that was acknowledged, nothing there that was refused.
//!
//! `TEST_OPERATIONS` asks for another number of requests, `TEST_SEED` for another order of them.

mod care;
mod deeds;
mod guards;
mod judge;
mod stage;
mod tally;
mod unguarded;

use std::io::Write;
use std::time::{Duration, Instant};

use actix_web::rt;
use futures_util::future::{join, join_all};
use serde_json::{Value, json};

use crate::hammer::deeds::{Hammer, Line, Signed};
use crate::hammer::stage::Stage;
use crate::hammer::tally::Op;
use crate::server::{Server, feldsher};
use crate::support::engine::Database;
use crate::support::world::PASSWORD;
use crate::support::{Client, Engine};

const CLIENTS: usize = 64;
/// Requests of one run; `TEST_OPERATIONS` asks for another number.
const OPERATIONS: u64 = 2000;
/// How often a long run says how far it is.
const PROGRESS: Duration = Duration::from_secs(5);
/// Tokens are renewed long before they run out.
const RENEWAL: Duration = Duration::from_secs(20 * 60);

/// Strangers come from everywhere, holds run out soon, tokens last.
const SETTINGS: [(&str, &str); 6] = [
    ("FELDSHER__HTTP__TRUSTED_PROXIES", "1"),
    ("FELDSHER__BOOKING__HOLD_MINUTES", "1"),
    ("FELDSHER__SIGN_IN__ACCESS_TOKEN_MINUTES", "60"),
    ("FELDSHER__SIGN_IN__STAFF_IDLE_MINUTES", "600"),
    ("FELDSHER__SIGN_IN__CODES_PER_ADDRESS_HOUR", "1000"),
    ("FELDSHER__LOG__LEVEL", "warn"),
];

fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok().map(|text| text.parse().expect(name))
}

/// Past the test's own output, which nobody sees before its end.
fn say(what: &str) {
    writeln!(std::io::stderr(), "{what}").unwrap();
}

fn signed(tokens: &Value, patient: Option<String>) -> Signed {
    let text = |name: &str| tokens[name].as_str().unwrap().to_owned().into();
    Signed { token: text("access_token"), refresh: text("refresh_token"), patient }
}

/// Staff by password, patients by the code in the SMS.
async fn sign_in(database: &Database, stage: &Stage, client: &Client) -> Vec<Signed> {
    let mut people = Vec::new();
    for login in &stage.staff {
        let body = json!({"login": login, "password": PASSWORD});
        people.push(signed(&client.post("/v1/auth/password", &body).await.expect(200), None));
    }
    for (phone, patient) in stage.phones.iter().zip(&stage.patients) {
        let asked = client.post("/v1/auth/code", &json!({"phone": phone})).await.expect(202);
        let code = code_sent(database, phone).await;
        let body = json!({"challenge_id": asked["challenge_id"], "code": code});
        let tokens = client.post("/v1/auth/code/verify", &body).await.expect(200);
        people.push(signed(&tokens, Some(patient.clone())));
    }
    people
}

async fn code_sent(database: &Database, phone: &str) -> String {
    let path = database.directory().join("sms.jsonl");
    for _ in 0..400 {
        let sent = std::fs::read_to_string(&path).unwrap_or_default();
        let lines = sent.lines().rev().filter_map(|line| serde_json::from_str::<Value>(line).ok());
        if let Some(sms) = lines.into_iter().find(|sms| sms["to"] == phone) {
            let text = sms["text"].as_str().unwrap().to_owned();
            return text.chars().filter(char::is_ascii_digit).take(6).collect();
        }
        rt::time::sleep(Duration::from_millis(25)).await;
    }
    panic!("no code came to {phone}");
}

/// New tokens for everybody, now and then.
async fn stay_signed_in(hammer: &Hammer<'_>, client: &Client) {
    let mut renewed = Instant::now();
    while !hammer.is_over() {
        rt::time::sleep(Duration::from_millis(100)).await;
        if renewed.elapsed() < RENEWAL {
            continue;
        }
        renewed = Instant::now();
        for person in &hammer.people {
            let body = json!({"refresh_token": *person.refresh.borrow()});
            let tokens = client.post("/v1/auth/refresh", &body).await.expect(200);
            let fresh = signed(&tokens, None);
            person.token.swap(&fresh.token);
            person.refresh.swap(&fresh.refresh);
        }
    }
}

/// How far a long run is.
async fn report(hammer: &Hammer<'_>) {
    let (engine, total) = (hammer.stage.engine, hammer.total);
    let begun = Instant::now();
    let mut said = begun;
    while !hammer.is_over() {
        rt::time::sleep(Duration::from_millis(100)).await;
        if said.elapsed() < PROGRESS {
            continue;
        }
        said = Instant::now();
        let tally = hammer.tally.borrow();
        let rate = tally.done / begun.elapsed().as_secs().max(1);
        say(&format!(
            "{engine:?}: {}/{total}, {rate}/s, {} ok, {} slot_taken, {} patient_busy, \
             {} resource_busy, {} overloaded, {} wrong",
            tally.done,
            tally.said("ok"),
            tally.said("slot_taken"),
            tally.said("patient_busy"),
            tally.said("resource_busy"),
            tally.said("overloaded"),
            tally.wrong.len(),
        ));
    }
}

/// When a run is over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Until {
    /// After so many requests.
    Done(u64),
    /// When the judge finds something, or after so many requests.
    Found(u64),
}

/// Stops the clients as soon as the judge finds something. What was wrong for a moment is wrong.
async fn look(hammer: &Hammer<'_>, database: &Database, until: Until) {
    while matches!(until, Until::Found(_)) && !hammer.is_over() {
        rt::time::sleep(Duration::from_millis(500)).await;
        hammer.found.replace(judge::judge(database, hammer.stage));
    }
}

/// Falls on a database with as many servers as its engine takes.
async fn strike<'a>(
    database: &Database,
    stage: &'a Stage,
    until: Until,
    favourite: Option<Op>,
) -> Hammer<'a> {
    let (Until::Done(total) | Until::Found(total)) = until;
    let mut servers = vec![Server::start_with(database, &SETTINGS).await];
    if stage.engine == Engine::Postgres && matches!(until, Until::Done(_)) {
        servers.push(Server::start_with(database, &SETTINGS).await);
    }
    let seed = number("TEST_SEED").unwrap_or_else(|| u64::from(std::process::id()));
    let first = servers[0].client();
    let people = sign_in(database, stage, &first).await;
    let hammer = Hammer::new(stage, people, (total, seed), favourite);
    let lines: Vec<Line> = (0..CLIENTS)
        .map(|number| {
            let http = Client::kept(&servers[number % servers.len()].url);
            // A third are patients, the others staff.
            let people = if number % 3 == 0 { &stage.phones } else { &stage.staff };
            let from = if number % 3 == 0 { stage.staff.len() } else { 0 };
            Line { hammer: &hammer, http, person: from + (number / 3) % people.len() }
        })
        .collect();
    let crowd = join_all(lines.iter().map(|line| async move {
        while !line.hammer.is_over() {
            line.act().await;
        }
    }));
    let keepers = join(stay_signed_in(&hammer, &first), report(&hammer));
    let begun = Instant::now();
    join(crowd, join(keepers, look(&hammer, database, until))).await;
    let tally = hammer.tally.borrow();
    say(&format!(
        "{:?}: {} requests in {:.1} s, seed {seed}{}",
        stage.engine,
        tally.done,
        begun.elapsed().as_secs_f64(),
        tally.table()
    ));
    drop(tally);
    drop(lines);
    for server in &mut servers {
        server.kill();
    }
    hammer
}

async fn stand(engine: Engine) {
    let (database, stage) = Stage::set(engine).await;
    let total = number("TEST_OPERATIONS").unwrap_or(OPERATIONS);
    let hammer = strike(&database, &stage, Until::Done(total), None).await;
    let tally = hammer.tally.borrow();
    let log = std::fs::read_to_string(database.directory().join("server.log")).unwrap();
    assert_eq!(tally.wrong, Vec::<String>::new(), "{log}");
    assert_eq!(judge::judge(&database, &stage), Vec::<String>::new());
    let found = judge::visits(&database, engine);
    assert_eq!(hammer.ledger.borrow().differences(&found), Vec::<String>::new());
    let booked = "SELECT count(*) AS n FROM audit_events WHERE action = 'appointment.book'
        AND outcome = 'done'";
    let told: u64 = [Op::Book, Op::BookAny, Op::Hold, Op::Ask, Op::Urgent, Op::Overbook]
        .map(|op| tally.ok(op))
        .iter()
        .sum();
    let told = told + hammer.in_series.get();
    assert_eq!(u64::try_from(database.count(booked)).unwrap(), told, "audited bookings");

    // A hammer that is always refused says nothing, nor one that never is.
    assert_eq!(tally.too_rare(), Vec::<String>::new());
    for code in ["slot_taken", "patient_busy", "resource_busy", "too_many_holds", "bad_state"] {
        assert!(tally.said(code) > 0, "nobody was refused with {code}");
    }
    assert!(tally.said("overloaded") * 100 <= tally.done, "more than one in a hundred turned away");
    if engine == Engine::Postgres {
        let deadlocks = "SELECT deadlocks AS n FROM pg_stat_database
            WHERE datname = current_database()";
        say(&format!("Postgres: {} deadlocks", database.count(deadlocks)));
    }
    let verified = feldsher(&database).args(["audit", "verify"]).status().unwrap();
    assert!(verified.success(), "the audit chains are whole");
}

#[actix_web::test]
async fn nothing_is_taken_twice_and_nothing_is_lost_under_64_clients_on_sqlite() {
    stand(Engine::Sqlite).await;
}

#[actix_web::test]
async fn nothing_is_taken_twice_and_nothing_is_lost_under_64_clients_of_two_servers_on_postgres() {
    stand(Engine::Postgres).await;
}
