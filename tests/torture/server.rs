//! `feldsher serve` as a process of its own, which can be killed and started again.

use std::net::TcpListener;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use actix_web::http::Method;
use actix_web::rt;

use crate::support::Client;
use crate::support::engine::Database;

/// 32 zero bytes: the secrets of invented people.
pub const MASTER_KEY: &str = "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=";

pub struct Server {
    pub url: String,
    process: Child,
}

/// The binary with the settings that fit a database.
pub fn feldsher(database: &Database) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_feldsher"));
    command
        .env("DATABASE_URL", database.url())
        .env("FELDSHER__SEAL__MASTER_KEY", MASTER_KEY)
        .env("FELDSHER__SMS__ADAPTER", "file")
        .env("FELDSHER__SMS__PATH", database.directory().join("sms.jsonl"))
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    command
}

impl Server {
    /// Starts a server and waits until it is ready.
    pub async fn start(database: &Database) -> Self {
        Self::start_with(database, &[]).await
    }

    /// As [`Server::start`], with some settings that differ.
    /// Between choosing a port and listening there, another test's connection may take it.
    pub async fn start_with(database: &Database, settings: &[(&str, &str)]) -> Self {
        for _ in 0..5 {
            match Self::try_start(database, settings).await {
                Ok(server) => return server,
                Err(said) if said.contains("is taken by another program") => {}
                Err(said) => panic!("the server ended before it was ready: {said}"),
            }
        }
        panic!("no port was free five times");
    }

    /// The server, or what it had to say when it ended at once.
    async fn try_start(database: &Database, settings: &[(&str, &str)]) -> Result<Self, String> {
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let address = format!("127.0.0.1:{port}");
        let process = feldsher(database)
            .arg("serve")
            .env("FELDSHER__HTTP__LISTEN", &address)
            .envs(settings.iter().copied())
            .stderr(log(database))
            .spawn()
            .expect("the server starts");
        let mut server = Self { url: format!("http://{address}"), process };
        for _ in 0..600 {
            let asked = server.client().request(Method::GET, "/health/ready").send().await;
            if asked.is_ok_and(|answer| answer.status().is_success()) {
                return Ok(server);
            }
            if server.process.try_wait().unwrap().is_some() {
                let said = std::fs::read_to_string(log_path(database)).unwrap();
                return Err(said.lines().next_back().unwrap_or_default().to_owned());
            }
            rt::time::sleep(Duration::from_millis(50)).await;
        }
        panic!("the server was not ready in 30 s");
    }

    pub fn client(&self) -> Client {
        Client::new(&self.url)
    }

    /// Sends a signal to the process.
    pub fn signal(&self, name: &str) {
        let number = self.process.id().to_string();
        let sent = Command::new("kill").args([name, &number]).status().unwrap();
        assert!(sent.success());
    }

    /// With what the process ends by itself.
    pub async fn ended(&mut self) -> Option<i32> {
        for _ in 0..600 {
            if let Some(ended) = self.process.try_wait().unwrap() {
                return ended.code();
            }
            rt::time::sleep(Duration::from_millis(50)).await;
        }
        panic!("the server did not end in 30 s");
    }

    /// As a power cut does: no word, no time to tidy up.
    pub fn kill(&mut self) {
        self.process.kill().unwrap();
        self.process.wait().unwrap();
    }
}

/// What the servers on a database had to say, beside it.
fn log(database: &Database) -> std::fs::File {
    std::fs::OpenOptions::new().create(true).append(true).open(log_path(database)).unwrap()
}

fn log_path(database: &Database) -> PathBuf {
    database.directory().join("server.log")
}

impl Drop for Server {
    fn drop(&mut self) {
        // Fails only when it has ended already.
        drop(self.process.kill());
        drop(self.process.wait());
    }
}
