//! The process itself: health, the pages, the demonstration's SMS, messages that leave.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use actix_web::http::Method;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use chrono::TimeDelta;
use feldsher::access::Facts;
use feldsher::access::table::Action;
use feldsher::base::app::App;
use feldsher::base::clock::SystemClock;
use feldsher::base::config::Config;
use feldsher::base::ctx::as_system;
use feldsher::message::outbox::{self, Payload};

use crate::support::engine::Database;
use crate::support::{Engine, House};

const TO: &str = "+70000000009";

async fn queue(house: &House, key: &str) {
    let key = key.to_owned();
    as_system(&house.app, move |tx| {
        tx.allow(Action::DeliverMessage, &Facts::NONE)?;
        let payload = Payload {
            to: Some(TO.to_owned()),
            text: format!("text of {key}"),
            promise: None,
            leave: None,
        };
        if outbox::put(tx, &payload, &key, TimeDelta::hours(1))? {
            tx.tell(feldsher::base::tx::Event::MessageQueued);
        }
        Ok(())
    })
    .await
    .unwrap();
}

#[actix_web::test]
async fn a_stopping_process_lives_but_is_not_ready() {
    for engine in [Engine::Sqlite, Engine::Postgres] {
        let house = House::open(engine).await;
        let client = house.client();
        // On PostgreSQL the other nodes must have heard of it first.
        for _ in 0..100 {
            if client.get("/health/ready").await.status == 200 {
                break;
            }
            actix_web::rt::time::sleep(Duration::from_millis(50)).await;
        }
        assert_eq!(client.get("/health/ready").await.expect(200)["status"], "ready");
        house.app.begin_stop();
        assert_eq!(client.get("/health/ready").await.refused(503), "overloaded");
        client.get("/health/live").await.expect(200);
        house.close().await;
    }
}

#[actix_web::test]
async fn a_message_leaves_once_however_often_it_is_queued() {
    for engine in [Engine::Sqlite, Engine::Postgres] {
        let house = House::open(engine).await;
        for _ in 0..3 {
            queue(&house, "first").await;
        }
        queue(&house, "second").await;
        for _ in 0..200 {
            if house.count("SELECT count(*) AS n FROM outbox_messages WHERE state = 'sent'") == 2 {
                break;
            }
            actix_web::rt::time::sleep(std::time::Duration::from_millis(25)).await;
        }
        let sent = house.client().get("/demo/sms").await.expect(200);
        let items = sent["items"].as_array().unwrap();
        assert_eq!(items.len(), 2, "{sent}");
        assert!(items.iter().all(|sms| sms["to"] == TO && sms["at"].is_string()), "{sent}");
        house.close().await;
    }
}

#[actix_web::test]
async fn only_a_demonstration_shows_its_sms() {
    let house = House::open_with(Engine::Sqlite, |config| config.demo = false).await;
    queue(&house, "secret").await;
    for path in ["/demo/sms", "/demo/sms/view"] {
        assert_eq!(house.client().get(path).await.refused(404), "not_found", "{path}");
    }
    house.close().await;
}

/// What a process says that cannot start.
async fn cannot_start(database: &Database, key: &str, directory: Option<&Path>) -> String {
    let mut config = Config::defaults().unwrap();
    config.database.url.0 = database.url();
    config.seal.master_key.0 = key.to_owned();
    let started = App::open(config, directory, Arc::new(SystemClock)).await;
    format!("{:#}", started.err().expect("a refusal"))
}

#[actix_web::test]
async fn a_wrong_or_missing_key_is_found_before_the_schema_is_touched() {
    for engine in [Engine::Sqlite, Engine::Postgres] {
        let database = House::open(engine).await.leave().await;
        // As if this version had everything still to migrate, and would fail at it.
        database.execute("DELETE FROM __diesel_schema_migrations").unwrap();
        let directory = Some(database.directory());
        let wrong = cannot_start(&database, &STANDARD.encode([9; 32]), directory).await;
        assert!(wrong.contains("not the one that this database was sealed with"), "{wrong}");
        std::fs::remove_file(database.directory().join("master.key")).unwrap();
        let missing = cannot_start(&database, "", directory).await;
        assert!(missing.contains("is missing"), "{missing}");
        assert_eq!(database.count("SELECT count(*) AS n FROM __diesel_schema_migrations"), 0);
    }
}

#[actix_web::test]
async fn without_a_key_an_empty_server_stays_empty() {
    let database = Engine::Postgres.create();
    let refused = cannot_start(&database, "", None).await;
    assert!(refused.contains("a master key is needed"), "{refused}");
    let tables = "SELECT count(*) AS n FROM pg_tables WHERE schemaname = 'public'";
    assert_eq!(database.count(tables), 0);
}

#[actix_web::test]
async fn a_database_that_another_build_made_is_refused_in_words_and_left_as_it_is() {
    for engine in [Engine::Sqlite, Engine::Postgres] {
        let house = House::open(engine).await;
        let key = std::fs::read_to_string(house.directory().join("master.key")).unwrap();
        let database = house.leave().await;
        let directory = Some(database.directory());
        let rows = "SELECT count(*) AS n FROM settings";
        for change in [
            "UPDATE settings SET value = (SELECT value FROM settings WHERE name = 'seal_check')
              WHERE name = 'schema 0001'",
            // One that was made before there were fingerprints.
            "DELETE FROM settings WHERE name = 'schema 0001'",
        ] {
            database.execute(change).unwrap();
            let left = database.count(rows);
            for sealed_with in [key.trim(), &STANDARD.encode([9; 32])] {
                let refused = cannot_start(&database, sealed_with, directory).await;
                assert!(
                    refused.contains("another build of feldsher made this database"),
                    "{refused}"
                );
                assert!(refused.contains("give this one an empty database"), "{refused}");
            }
            assert_eq!(database.count(rows), left);
        }
    }
}

#[actix_web::test]
async fn what_is_only_posted_to_says_so_to_whoever_asks_otherwise() {
    let house = House::open(Engine::Sqlite).await;
    for path in ["/v1/appointments/lookup", "/v1/appointments/series"] {
        for method in [Method::GET, Method::PATCH, Method::DELETE, Method::PUT] {
            let request = house.client().request(method.clone(), path);
            let answer = house.client().send(request, None).await;
            assert_eq!(answer.refused(405), "method_not_allowed", "{method} {path}");
            assert_eq!(answer.header("allow"), Some("POST"), "{method} {path}");
        }
    }
    house.close().await;
}
