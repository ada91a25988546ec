//! `feldsher demo`: an invented region, in a database of its own, with everything to try.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::Context;
use clap::Args;
use feldsher::base::app::App;
use feldsher::base::clock::SystemClock;
use feldsher::base::config::{Config, Secret, SmsAdapter};
use feldsher::base::db::DatabaseUrl;
use feldsher::base::seal::{hex, sha256};
use feldsher::base::telemetry;
use feldsher::demo::{self, SignIn};
use serde_json::json;

use crate::cli::serve::{self, Signals};
use crate::cli::{say, wait};

/// How many patients the table names; the others are in the JSON.
const PATIENTS_SHOWN: usize = 6;

/// What `feldsher demo` is told.
#[derive(Debug, Args)]
#[command(after_help = "Example: feldsher demo --port 8081 --dir demo\n\
    With DATABASE_URL=postgres://… the region is made in that database, which must be empty.")]
pub struct Demo {
    /// Where to listen on this machine; 0 takes any free port
    #[arg(long, default_value_t = 8080)]
    port: u16,
    /// Keep the region here; left out: a fresh directory, removed at the end
    #[arg(long, value_name = "DIR")]
    dir: Option<PathBuf>,
    /// Print how to sign in as one line of JSON
    #[arg(long)]
    json: bool,
}

/// Makes the region, says who can sign in, and serves until a signal.
pub fn run(demo: &Demo, file: Option<&Path>) -> anyhow::Result<()> {
    let mut config = Config::load(file)?;
    let address: SocketAddr = config.http.listen.parse().context("http.listen")?;
    let address = SocketAddr::new(address.ip(), demo.port);
    let directory = Directory::of(demo, &config)?;
    adapt(&mut config, &Config::defaults()?, demo, &directory);
    telemetry::start(&config.log)?;
    let served = wait(async {
        let listener = serve::listen(address, "--port, such as --port 8081")?;
        let url = format!("http://{}", listener.local_addr()?);
        config.demo_url.clone_from(&url);
        let mut signals = Signals::new()?;
        let clock = Arc::new(SystemClock);
        let (app, threads) = App::open(config, Some(&directory.path), clock).await?;
        let people = tokio::select! {
            people = demo::seed(&app) => people.context("cannot make the region")?,
            () = signals.next() => {
                drop(app);
                serve::close(threads).await;
                return Ok(());
            }
        };
        let announce = || match demo.json {
            true => say(as_json(&url, &people)),
            false => say(as_table(&url, &people, &directory)),
        };
        serve::run(app, threads, listener, &mut signals, announce).await
    });
    directory.clear();
    served
}

/// What a demonstration does differently. PostgreSQL is for whoever asks for it by name.
fn adapt(config: &mut Config, defaults: &Config, demo: &Demo, directory: &Directory) {
    config.demo = true;
    if !is_postgres(config) {
        let database = directory.path.join("feldsher.db");
        config.database.url = Secret(format!("sqlite:{}", database.display()));
    }
    // A program reads the SMS at /demo/sms; a person also where the table is.
    config.sms.adapter = if demo.json { SmsAdapter::File } else { SmsAdapter::Terminal };
    config.sms.path = directory.path.join("sms.jsonl");
    if config.visit.opens_before_minutes == defaults.visit.opens_before_minutes {
        // Whoever books the soonest time shall not have to wait for the door.
        config.visit.opens_before_minutes = 60;
    }
    if config.log.level == defaults.log.level {
        // A line a request would carry the table away.
        config.log.level = "warn".to_owned();
    }
}

fn is_postgres(config: &Config) -> bool {
    matches!(config.database.url.0.parse(), Ok(DatabaseUrl::Postgres(_)))
}

/// Where the demonstration keeps its files.
struct Directory {
    path: PathBuf,
    is_kept: bool,
}

impl Directory {
    fn of(demo: &Demo, config: &Config) -> anyhow::Result<Self> {
        let (path, is_kept) = match &demo.dir {
            Some(path) => (path.clone(), true),
            // The database outlives us, so the key that seals it must be found again.
            None if is_postgres(config) => {
                (named(&hex(&sha256(config.database.url.0.as_bytes()))), true)
            }
            None => (named(&uuid::Uuid::new_v4().simple().to_string()), false),
        };
        let mut builder = std::fs::DirBuilder::new();
        builder.recursive(true);
        #[cfg(unix)]
        std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
        builder.create(&path).with_context(|| format!("cannot make {}", path.display()))?;
        Ok(Self { path, is_kept })
    }

    fn clear(self) {
        if !self.is_kept
            && let Err(error) = std::fs::remove_dir_all(&self.path)
        {
            tracing::warn!(%error, "the demonstration's directory could not be removed");
        }
    }
}

fn named(name: &str) -> PathBuf {
    let name: String = name.chars().take(12).collect();
    std::env::temp_dir().join(format!("feldsher-demo-{name}"))
}

fn as_json(url: &str, people: &[SignIn]) -> String {
    json!({"url": url, "people": people, "sms": "/demo/sms"}).to_string()
}

fn as_table(url: &str, people: &[SignIn], directory: &Directory) -> String {
    let mut left_out = 0_usize;
    let mut patients = 0_usize;
    let rows: Vec<[&str; 4]> = people
        .iter()
        .filter(|person| {
            patients = patients.saturating_add(usize::from(person.phone.is_some()));
            let shown = person.phone.is_none() || patients <= PATIENTS_SHOWN;
            left_out = left_out.saturating_add(usize::from(!shown));
            shown
        })
        .map(|person| {
            let login = person.login.as_deref().or(person.phone.as_deref()).unwrap_or_default();
            let secret = person.password.as_deref().unwrap_or("a code by SMS, shown here");
            [person.role.as_ref(), person.name.as_ref(), login, secret]
        })
        .collect();
    let head = ["ROLE", "NAME", "SIGN IN WITH", "AND"];
    let mut widths = head.map(|cell| cell.chars().count());
    for row in &rows {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = (*width).max(cell.chars().count());
        }
    }
    let mut text = String::from("\nFeldsher: an invented region. Nobody here is real.\n\n");
    for row in std::iter::once(&head).chain(&rows) {
        let cells = row.iter().zip(widths).map(|(cell, width)| format!("{cell:<width$}"));
        let line = cells.collect::<Vec<_>>().join("  ");
        text.extend(["  ", line.trim_end(), "\n"]);
    }
    if let (true, Some(last)) = (left_out > 0, people.iter().rfind(|one| one.phone.is_some())) {
        let number = last.phone.as_deref().unwrap_or_default();
        text.push_str(&format!("  … and {left_out} more patients, up to {number}\n"));
    }
    let keeping = if directory.is_kept { "stay" } else { "are removed at the end" };
    text.push_str(&format!(
        "\n  Patient   {url}/\n  Doctor    {url}/doctor\n  Board     {url}/board\n  SMS       {url}/demo/sms/view\n\n\
         Its files {keeping}: {}. Ctrl-C stops.\n",
        directory.path.display()
    ));
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn people() -> Vec<SignIn> {
        vec![
            SignIn {
                role: "doctor".into(),
                name: "Анна Лебедева".into(),
                login: Some("lebedeva".into()),
                password: Some("correct horse".into()),
                phone: None,
            },
            SignIn {
                role: "patient".into(),
                name: "Аша Кузнецова".into(),
                login: None,
                password: None,
                phone: Some("+70000000001".into()),
            },
        ]
    }

    #[test]
    fn the_json_is_one_line_with_the_promised_members() {
        let line = as_json("http://127.0.0.1:8080", &people());
        assert!(!line.contains('\n'));
        let read: serde_json::Value = serde_json::from_str(&line).unwrap();
        assert_eq!(read["url"], "http://127.0.0.1:8080");
        assert_eq!(read["sms"], "/demo/sms");
        assert_eq!(read["people"][0]["login"], "lebedeva");
        assert_eq!(read["people"][1]["phone"], "+70000000001");
        assert!(read["people"][1]["password"].is_null());
    }

    #[test]
    fn the_table_lines_up_and_names_the_pages() {
        let directory = Directory { path: PathBuf::from("/tmp/x"), is_kept: false };
        let text = as_table("http://127.0.0.1:8080", &people(), &directory);
        let place = |needle: &str| {
            let line = text.lines().find(|line| line.contains(needle)).unwrap();
            line.split(needle).next().unwrap().chars().count()
        };
        assert_eq!(place("lebedeva"), place("+70000000001"));
        assert!(text.contains("http://127.0.0.1:8080/doctor"), "{text}");
    }
}
