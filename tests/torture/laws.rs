//! A country moves its clocks after a visit was booked, and the tz database is newer than the
//! program.

use std::path::Path;
use std::process::Stdio;

use chrono::DateTime;
use feldsher::base::clock::{Clock, SystemClock};
use serde_json::{Value, json};

use crate::kill::{Clinic, build, sign_in, start};
use crate::server::{Server, feldsher};
use crate::support::{Engine, key};

const HOUR: i32 = 60 * 60;

/// A TZif file (RFC 9636) of a zone that changes from one offset to another.
fn tzif(change_at: i64, before_secs: i32, after_secs: i32) -> Vec<u8> {
    let header = |times: u32, types: u32, letters: u32| {
        let mut header = b"TZif2".to_vec();
        header.extend([0; 15]);
        for count in [0, 0, 0, times, types, letters] {
            header.extend(count.to_be_bytes());
        }
        header
    };
    let kind = |offset: i32, name_at: u8| {
        let mut kind = offset.to_be_bytes().to_vec();
        kind.extend([0, name_at]);
        kind
    };
    let hours = after_secs / HOUR;
    // The block of version 1 is there and says nothing.
    let mut file = header(0, 1, 4);
    file.extend(kind(before_secs, 0));
    file.extend(b"OLD\0");
    file.extend(header(1, 2, 8));
    file.extend(change_at.to_be_bytes());
    file.push(1);
    file.extend(kind(before_secs, 0));
    file.extend(kind(after_secs, 4));
    file.extend(format!("OLD\0+{hours:02}\0").bytes());
    file.extend(format!("\n<+{hours:02}>-{hours}\n").bytes());
    file
}

/// A tz database of two zones: Krasnoyarsk is eight hours ahead of UTC in an hour, before any
/// visit: on a Sunday, the first is a few hours away.
fn newer_laws(directory: &Path) {
    let soon = SystemClock.now().utc().timestamp() + i64::from(HOUR);
    for (zone, before, after) in
        [("Asia/Krasnoyarsk", 7 * HOUR, 8 * HOUR), ("Europe/Moscow", 3 * HOUR, 3 * HOUR)]
    {
        let path = directory.join(zone);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, tzif(soon, before, after)).unwrap();
    }
    std::fs::write(directory.join("tzdata.zi"), "# version 2099a\n").unwrap();
}

/// What `feldsher tz check` says, and whether it is content.
fn check(clinic: &Clinic, laws: Option<&Path>, arguments: &[&str]) -> (bool, String) {
    let mut command = feldsher(&clinic.database);
    if let Some(laws) = laws {
        command.env("FELDSHER__TIME__ZONEINFO", laws);
    }
    command.args(["tz", "check"]).args(arguments).stdout(Stdio::piped()).stderr(Stdio::piped());
    let done = command.output();
    let done = done.unwrap();
    let said = [done.stdout, done.stderr].concat();
    (done.status.success(), String::from_utf8(said).unwrap())
}

async fn moved(engine: Engine) {
    let clinic = build(engine).await;
    let mut booked: Vec<Value> = Vec::new();
    {
        let server = Server::start(&clinic.database).await;
        let registrar = sign_in(&clinic, &server).await;
        // Neighbours all through a morning: none can move unless the next one has.
        for number in 0..6 {
            let body = json!({
                "service": clinic.service, "practitioner": clinic.doctor,
                "patient": clinic.patients[number % 2], "start": start(number),
            });
            booked.push(registrar.once("/v1/appointments", &key(), &body).await.expect(201));
        }
    }
    let (content, said) = check(&clinic, None, &[]);
    assert!(content && said.contains("every promised time stands"), "{said}");

    let laws = clinic.database.directory().join("zoneinfo");
    newer_laws(&laws);
    let (content, said) = check(&clinic, Some(&laws), &[]);
    assert!(!content && said.contains("tz database 2099a"), "{said}");
    for visit in &booked {
        let code = visit["code"].as_str().unwrap();
        let promised = visit["local_start"].as_str().unwrap();
        let line = said.lines().find(|line| line.starts_with(code)).expect(code);
        assert!(line.contains(promised) && line.contains("move to"), "{line}");
    }
    let (content, said) = check(&clinic, Some(&laws), &["--repair"]);
    assert!(content && said.contains("6 visits and held times moved"), "{said}");
    let (content, said) = check(&clinic, Some(&laws), &[]);
    assert!(content && said.contains("every promised time stands"), "{said}");

    let server = Server::start(&clinic.database).await;
    let registrar = sign_in(&clinic, &server).await;
    for visit in &booked {
        let path = format!("/v1/appointments/{}", visit["id"].as_str().unwrap());
        let now = registrar.get(&path).await.expect(200);
        let local = |visit: &Value| {
            let text = visit["local_start"].as_str().unwrap();
            DateTime::parse_from_rfc3339(text).unwrap()
        };
        assert_eq!(local(&now).naive_local(), local(visit).naive_local(), "the promise");
        assert_eq!(local(&now).offset().local_minus_utc(), 8 * HOUR);
        assert_eq!(local(visit) - local(&now), chrono::TimeDelta::hours(1), "the instant moves");
    }
}

#[actix_web::test]
async fn a_new_law_moves_the_instant_and_keeps_the_promise_on_sqlite() {
    moved(Engine::Sqlite).await;
}

#[actix_web::test]
async fn a_new_law_moves_the_instant_and_keeps_the_promise_on_postgres() {
    moved(Engine::Postgres).await;
}
