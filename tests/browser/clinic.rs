//! The product itself, as a newcomer starts it: the binary, `demo`, a directory of its own.

use std::fs::File;
use std::io::{BufRead, BufReader};
use std::process::{Child, ChildStdout, Command, ExitStatus, Stdio};
use std::time::Duration;

use actix_web::rt;
use serde_json::{Value, json};
use tokio::sync::oneshot;

use crate::support::engine::Database;
use crate::support::{Client, Engine};

const START_SECS_MAX: u64 = 180;
const STOP_SECS_MAX: u64 = 40;
/// The rooms open two weeks ahead, so that the first free time can be talked about at once,
/// whatever the hour at which the tests run.
const OPENS_BEFORE_MINUTES: &str = "10080";

/// A running demo.
pub struct Clinic {
    pub url: String,
    people: Vec<Value>,
    sms: String,
    process: Child,
    /// A second process on the same database, and where it is reached.
    beside: Option<(Child, String)>,
    engine: Engine,
    database: Database,
    settings: Vec<(&'static str, String)>,
}

/// Somebody from the table that the demo prints.
#[derive(Debug, Clone)]
pub struct Person {
    pub name: String,
    pub login: String,
    pub password: String,
    pub phone: String,
}

impl Clinic {
    pub async fn open(engine: Engine) -> Self {
        Self::open_with(engine, Vec::new()).await
    }

    /// As [`Clinic::open`], with some settings that differ.
    pub async fn open_with(engine: Engine, settings: Vec<(&'static str, String)>) -> Self {
        let database = engine.create();
        let (process, said) = start(engine, &database, &settings, "0").await;
        Self {
            url: url_of(&said),
            beside: None,
            people: said["people"].as_array().unwrap().clone(),
            sms: said["sms"].as_str().unwrap().to_owned(),
            process,
            engine,
            database,
            settings,
        }
    }

    /// As a power cut does: no word, no time to tidy up.
    pub fn kill(&mut self) {
        self.process.kill().unwrap();
        self.process.wait().unwrap();
    }

    /// Starts again where it was: the same directory, the same port.
    pub async fn start_again(&mut self) {
        let port = self.url.rsplit_once(':').unwrap().1.to_owned();
        let (process, said) = start(self.engine, &self.database, &self.settings, &port).await;
        self.process = process;
        assert_eq!(said["url"], *self.url);
    }

    /// Starts a second process on the same database; its address.
    pub async fn start_another(&mut self) -> String {
        let (process, said) = start(self.engine, &self.database, &self.settings, "0").await;
        let url = url_of(&said);
        self.beside = Some((process, url.clone()));
        url
    }

    /// Kills the first of two processes; from now on the second is the clinic.
    pub fn kill_the_first(&mut self) {
        self.kill();
        (self.process, self.url) = self.beside.take().expect("another");
    }

    pub fn client(&self) -> Client {
        Client::new(&self.url)
    }

    /// Does something behind the server's back, on PostgreSQL.
    pub fn execute(&self, sql: &str) -> Result<(), String> {
        self.database.execute(sql)
    }

    /// What the server has written down so far.
    pub fn log(&self) -> String {
        std::fs::read_to_string(self.database.directory().join("stderr.log")).unwrap()
    }

    /// Everybody of one role, in the order of the table.
    pub fn everybody(&self, role: &str) -> Vec<Person> {
        let text = |who: &Value, field: &str| who[field].as_str().unwrap_or_default().to_owned();
        let found = self.people.iter().filter(|who| who["role"] == role);
        let people: Vec<Person> = found
            .map(|who| Person {
                name: text(who, "name"),
                login: text(who, "login"),
                password: text(who, "password"),
                phone: text(who, "phone"),
            })
            .collect();
        assert!(!people.is_empty(), "the demo has no {role}");
        people
    }

    /// The sign-in code in the newest SMS to a number.
    pub async fn code_for(&self, phone: &str) -> String {
        let client = self.client();
        for _ in 0..100 {
            let inbox = client.get(&self.sms).await.expect(200);
            let newest = inbox["items"].as_array().unwrap().iter().find(|sms| sms["to"] == phone);
            let code: String = newest
                .and_then(|sms| sms["text"].as_str())
                .map(|text| text.chars().take_while(char::is_ascii_digit).collect())
                .unwrap_or_default();
            if code.len() == 6 {
                return code;
            }
            rt::time::sleep(Duration::from_millis(100)).await;
        }
        panic!("no code came by SMS");
    }

    /// A patient who signs in without a browser.
    pub async fn patient(&self, who: &Person) -> Client {
        let client = self.client();
        let asked = client.post("/v1/auth/code", &json!({"phone": who.phone})).await.expect(202);
        let code = self.code_for(&who.phone).await;
        let body = json!({"challenge_id": asked["challenge_id"], "code": code});
        let tokens = client.post("/v1/auth/code/verify", &body).await.expect(200);
        client.with_token(tokens["access_token"].as_str().unwrap())
    }

    /// Somebody of the staff who signs in without a browser.
    pub async fn staff(&self, who: &Person) -> Client {
        let client = self.client();
        let body = json!({"login": who.login, "password": who.password});
        let tokens = client.post("/v1/auth/password", &body).await.expect(200);
        client.with_token(tokens["access_token"].as_str().unwrap())
    }

    /// Asks the server to stop, as a service manager does, and waits until it has.
    pub async fn stop(mut self) -> ExitStatus {
        let id = self.process.id().to_string();
        assert!(Command::new("kill").args(["-TERM", &id]).status().unwrap().success());
        for _ in 0..STOP_SECS_MAX * 10 {
            if let Some(status) = self.process.try_wait().unwrap() {
                return status;
            }
            rt::time::sleep(Duration::from_millis(100)).await;
        }
        panic!("the server did not stop in {STOP_SECS_MAX} s");
    }
}

impl Drop for Clinic {
    fn drop(&mut self) {
        // Fails only when it has ended already.
        drop(self.process.kill());
        drop(self.process.wait());
        if let Some((process, _)) = &mut self.beside {
            drop(process.kill());
            drop(process.wait());
        }
        if std::thread::panicking() {
            let log = std::fs::read_to_string(self.database.directory().join("stderr.log"));
            let log = log.unwrap_or_default();
            let lines: Vec<&str> = log.lines().collect();
            let last = lines.len().saturating_sub(40);
            println!("--- the server's last words:\n{}", lines[last..].join("\n"));
        }
    }
}

fn url_of(said: &Value) -> String {
    said["url"].as_str().unwrap().trim_end_matches('/').to_owned()
}

/// Starts the demo, and waits for what it says when it listens.
async fn start(
    engine: Engine,
    database: &Database,
    settings: &[(&'static str, String)],
    port: &str,
) -> (Child, Value) {
    let log = database.directory().join("stderr.log");
    let mut command = Command::new(env!("CARGO_BIN_EXE_feldsher"));
    command
        .args(["demo", "--json", "--port", port, "--dir"])
        .arg(database.directory().join("demo"))
        .env_remove("DATABASE_URL")
        .env("FELDSHER__VISIT__OPENS_BEFORE_MINUTES", OPENS_BEFORE_MINUTES)
        // What is asked for soon runs out.
        .env("FELDSHER__BOOKING__REQUEST_HOURS", "12")
        .envs(settings.iter().map(|(name, value)| (name, value)))
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(File::options().create(true).append(true).open(&log).unwrap());
    if engine == Engine::Postgres {
        command.env("DATABASE_URL", database.url());
    }
    let mut process = command.spawn().expect("the server starts");
    let line = first_line(process.stdout.take().unwrap());
    let line = rt::time::timeout(Duration::from_secs(START_SECS_MAX), line).await;
    let said = line.map(|line| serde_json::from_str(&line.unwrap_or_default()));
    match said {
        Ok(Ok(said)) => (process, said),
        // Ended here: nobody holds it who would end it.
        no_answer => {
            drop(process.kill());
            let log = std::fs::read_to_string(log).unwrap_or_default();
            panic!("the demo did not say that it listens: {no_answer:?}\n{log}");
        }
    }
}

/// The first line a process prints; the rest is read on, so that it never waits for a reader.
fn first_line(stdout: ChildStdout) -> oneshot::Receiver<String> {
    let (tell, heard) = oneshot::channel();
    std::thread::spawn(move || {
        let mut lines = BufReader::new(stdout).lines().map_while(Result::ok);
        drop(tell.send(lines.next().unwrap_or_default()));
        lines.for_each(drop);
    });
    heard
}
