//! A clinic of its own for every test: its own database, its own clock, a real server.

#![allow(dead_code, unused_imports, reason = "each test binary uses its own part of the support")]

pub mod client;
pub mod cluster;
pub mod engine;
pub mod peer;
pub mod poll;
pub mod probe;
pub mod raw;
pub mod relay;
pub mod template;
pub mod visit;
pub mod world;

use std::cell::RefCell;
use std::sync::Arc;
use std::time::Duration;

use actix_web::web;
use chrono::TimeDelta;
use feldsher::base::app::App;
use feldsher::base::background::Background;
use feldsher::base::clock::{Clock, ManualClock};
use feldsher::base::column::Instant;
use feldsher::base::config::Config;
use feldsher::base::db::Threads;

pub use client::{Answer, Client, key};
pub use engine::Engine;
pub use world::{Person, World};

/// Tests begin on a Monday, 09:00 in Krasnoyarsk.
pub const NOW: &str = "2026-11-23T02:00:00Z";

/// A running server with an empty database.
pub struct House {
    pub url: String,
    pub clock: Arc<ManualClock>,
    pub app: Arc<App>,
    pub engine: Engine,
    server: actix_web::dev::ServerHandle,
    background: RefCell<Option<Background>>,
    threads: RefCell<Option<Threads>>,
    database: Arc<engine::Database>,
}

/// How a process ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ending {
    /// It is asked to stop, and says goodbye.
    Asked,
    /// It dies without a word.
    Killed,
}

impl House {
    pub async fn open(engine: Engine) -> Self {
        Self::open_with(engine, |_| {}).await
    }

    pub async fn open_with(engine: Engine, change: impl FnOnce(&mut Config)) -> Self {
        Self::open_on(engine, Arc::new(engine.create()), NOW.parse().unwrap(), change).await
    }

    /// On a database that is there already, whose people live at [`NOW`].
    pub async fn open_in(database: engine::Database, change: impl FnOnce(&mut Config)) -> Self {
        Self::open_on(database.engine(), Arc::new(database), NOW.parse().unwrap(), change).await
    }

    /// With the machine's time, on a database that is there already.
    pub async fn open_today(database: engine::Database, change: impl FnOnce(&mut Config)) -> Self {
        let now = feldsher::base::clock::SystemClock.now();
        Self::open_on(database.engine(), Arc::new(database), now, change).await
    }

    async fn open_on(
        engine: Engine,
        database: Arc<engine::Database>,
        now: Instant,
        change: impl FnOnce(&mut Config),
    ) -> Self {
        let mut config = Config::defaults().unwrap();
        config.database.url.0 = database.url();
        config.database.workers = 4;
        config.http.workers = 1;
        // Tests read the SMS where a person at the demonstration does.
        config.demo = true;
        config.sms.adapter = feldsher::base::config::SmsAdapter::File;
        config.sms.path = database.directory().join("sms.jsonl");
        // This machine may have no network.
        config.probe.addresses = vec!["127.0.0.1".to_owned()];
        change(&mut config);
        let clock = Arc::new(ManualClock::new(now));
        let shared: Arc<dyn Clock> = Arc::<ManualClock>::clone(&clock);
        let (app, threads) = App::open(config, Some(database.directory()), shared).await.unwrap();
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let background = RefCell::new(Some(Background::start(&app)));
        let threads = RefCell::new(Some(threads));
        let server = feldsher::server::start(web::Data::from(Arc::clone(&app)), listener).unwrap();
        let handle = server.handle();
        actix_web::rt::spawn(server);
        Self { url, clock, app, engine, server: handle, background, threads, database }
    }

    pub fn now(&self) -> Instant {
        self.clock.now()
    }

    pub fn advance(&self, delta: TimeDelta) {
        self.clock.advance(delta);
    }

    pub fn client(&self) -> Client {
        Client::new(&self.url)
    }

    pub async fn close(self) {
        self.end(Ending::Asked).await;
    }

    /// Closes the house and leaves its database to somebody else, once every connection is closed.
    pub async fn leave(self) -> engine::Database {
        self.end(Ending::Asked).await;
        let Self { app, threads, database, .. } = self;
        drop(app);
        if let Some(threads) = threads.take() {
            let closed = actix_web::rt::task::spawn_blocking(|| threads.join());
            let closed = actix_web::rt::time::timeout(Duration::from_secs(20), closed).await;
            closed.expect("nobody holds the application any more").unwrap();
        }
        database.deserted().await;
        Arc::into_inner(database).expect("no other house on this database")
    }

    /// Ends this process; the next one opens on the same database.
    pub async fn next_process(&self, ending: Ending) -> Self {
        self.end(ending).await;
        // Its lock goes with it; its connections are still there, as those of a dying process are.
        drop(self.threads.take());
        Self::open_on(self.engine, Arc::clone(&self.database), self.now(), |_| {}).await
    }

    async fn end(&self, ending: Ending) {
        if ending == Ending::Asked {
            self.app.begin_stop();
            self.app.rooms.stop();
        }
        self.server.stop(ending == Ending::Asked).await;
        let background = self.background.take().expect("a running house");
        match ending {
            Ending::Asked => background.stop(Duration::from_secs(10)).await,
            Ending::Killed => background.abort().await,
        }
    }

    /// Where its files are.
    pub fn directory(&self) -> &std::path::Path {
        self.database.directory()
    }

    /// A question put to the database itself, past the application.
    pub fn count(&self, sql: &str) -> i64 {
        self.database.count(sql)
    }

    /// As [`House::count`], for a question whose answer is a text.
    pub fn text(&self, sql: &str) -> String {
        self.database.text(sql)
    }

    /// A statement put to the database itself; what it says when it refuses.
    pub fn execute(&self, sql: &str) -> Result<(), String> {
        self.database.execute(sql)
    }

    /// The newest SMS to a number.
    pub async fn sms(&self, to: &str) -> String {
        self.sms_with(to, "").await
    }

    /// The newest SMS to a number that says `words`.
    pub async fn sms_with(&self, to: &str, words: &str) -> String {
        for _ in 0..1600 {
            let sent = self.app.inbox.newest_first();
            let found = sent.into_iter().find(|sms| sms.to == to && sms.text.contains(words));
            if let Some(sms) = found {
                return sms.text;
            }
            actix_web::rt::time::sleep(Duration::from_millis(25)).await;
        }
        panic!("no such SMS to {to}");
    }

    /// Until no message waits to leave: what became of each is marked in the background.
    pub async fn all_sent(&self) {
        for _ in 0..1600 {
            if self.count("SELECT count(*) AS n FROM outbox_messages WHERE state = 'pending'") == 0
            {
                return;
            }
            actix_web::rt::time::sleep(Duration::from_millis(25)).await;
        }
        panic!("messages wait for ever");
    }
}

/// Writes a test once and runs it on both engines.
#[macro_export]
macro_rules! on_both {
    ($(#[$meta:meta])* async fn $name:ident($world:ident: World) $body:block) => {
        mod $name {
            use super::*;

            async fn run($world: &World) $body

            #[actix_web::test]
            async fn sqlite() {
                run(&World::build(Engine::Sqlite).await).await;
            }

            #[actix_web::test]
            async fn postgres() {
                run(&World::build(Engine::Postgres).await).await;
            }
        }
    };
}

/// What so many of a hundred do not exceed; the values are sorted, and there is one at least.
pub fn percentile<T: Copy>(sorted: &[T], percent: usize) -> T {
    sorted[(sorted.len() * percent / 100).min(sorted.len() - 1)]
}
