//! The process itself: health, the pages, the demonstration's SMS, messages that leave.

use chrono::TimeDelta;
use feldsher::access::Facts;
use feldsher::access::table::Action;
use feldsher::base::ctx::as_system;
use feldsher::message::outbox::{self, Payload};

use crate::support::{Engine, House};

const TO: &str = "+70000000009";

async fn queue(house: &House, key: &str) {
    let key = key.to_owned();
    as_system(&house.app, move |tx| {
        tx.allow(Action::DeliverMessage, &Facts::NONE)?;
        let payload = Payload { to: TO.to_owned(), text: format!("text of {key}"), promise: None };
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
