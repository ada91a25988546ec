//! A database for the bench on either engine, removed at the end.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, anyhow};
use chrono::{DateTime, Utc};
use diesel::connection::SimpleConnection;
use diesel::prelude::*;
use feldsher::base::column::{self, Instant, sql};
use feldsher::base::db::PgRust;

use crate::load::{Sample, repeat};

/// Which database.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Engine {
    /// The embedded one.
    Sqlite,
    /// PostgreSQL; `TEST_DATABASE_URL` says where.
    Postgres,
}

/// Removed when it is dropped.
pub struct Database {
    engine: Engine,
    directory: PathBuf,
    name: String,
}

fn server() -> anyhow::Result<String> {
    std::env::var("TEST_DATABASE_URL")
        .context("TEST_DATABASE_URL is not set: `tests/run bench` starts a PostgreSQL of its own")
}

impl Engine {
    /// An instant in a statement.
    pub fn at(self, instant: DateTime<Utc>) -> String {
        match self {
            Self::Sqlite => instant.timestamp_micros().to_string(),
            Self::Postgres => format!("'{}'::timestamptz", instant.to_rfc3339()),
        }
    }

    /// An id in a statement.
    pub fn id(self, id: &str) -> String {
        match self {
            Self::Sqlite => format!("x'{}'", id.replace('-', "")),
            Self::Postgres => format!("'{id}'::uuid"),
        }
    }

    /// An empty one.
    pub fn create(self, what: &str) -> anyhow::Result<Database> {
        let name = format!("feldsher_bench_{what}_{}", std::process::id());
        let directory = std::env::temp_dir().join(&name);
        std::fs::create_dir_all(&directory)?;
        if self == Self::Postgres {
            on_server(server()?, format!("CREATE DATABASE {name}"))?;
        }
        Ok(Database { engine: self, directory, name })
    }
}

impl Database {
    /// Its address.
    pub fn url(&self) -> String {
        match (self.engine, server()) {
            (Engine::Postgres, Ok(server)) => {
                let base = server.rsplit_once('/').map_or(server.as_str(), |(base, _)| base);
                format!("{base}/{}", self.name)
            }
            _ => format!("sqlite:{}", self.file().display()),
        }
    }

    /// A directory of its own.
    pub fn directory(&self) -> &Path {
        &self.directory
    }

    /// The file, on SQLite.
    pub fn file(&self) -> PathBuf {
        self.directory.join("feldsher.db")
    }

    /// Runs statements, past the application.
    pub fn execute(&self, sql: &str) -> anyhow::Result<()> {
        match self.engine {
            Engine::Postgres => on_server(self.url(), sql.to_owned()),
            Engine::Sqlite => {
                let mut conn = SqliteConnection::establish(&self.file().to_string_lossy())?;
                Ok(conn.batch_execute(sql)?)
            }
        }
    }

    /// Asks for all that a question finds, again and again, past the application.
    pub fn ask(&self, sql: &str, times: (Duration, Duration)) -> anyhow::Result<Sample> {
        let query = diesel::sql_query(sql.to_owned());
        match self.engine {
            Engine::Postgres => {
                let url = self.url();
                elsewhere(move || {
                    let mut conn = PgRust::establish(&url)?;
                    repeat(times, || {
                        query.clone().load::<Found>(&mut conn).map(|_rows| ()).map_err(Into::into)
                    })
                })
            }
            Engine::Sqlite => {
                let mut conn = SqliteConnection::establish(&self.file().to_string_lossy())?;
                repeat(times, || {
                    query.clone().load::<Found>(&mut conn).map(|_rows| ()).map_err(Into::into)
                })
            }
        }
    }

    /// One number that `sql` selects as `n`, on PostgreSQL.
    pub fn number(&self, sql: &str) -> anyhow::Result<f64> {
        let (url, sql) = (self.url(), sql.to_owned());
        elsewhere(move || {
            let query = diesel::sql_query(sql);
            Ok(query.get_result::<Number>(&mut PgRust::establish(&url)?)?.n)
        })
    }
}

/// A row about a visit.
#[derive(QueryableByName)]
#[expect(dead_code, reason = "it is read off the wire, which is what is measured")]
struct Found {
    #[diesel(sql_type = sql::Uid)]
    who: column::Uuid,
    #[diesel(sql_type = sql::Uid)]
    visit: column::Uuid,
    #[diesel(sql_type = sql::Moment)]
    starts: Instant,
    #[diesel(sql_type = sql::Moment)]
    ends: Instant,
}

#[derive(QueryableByName)]
struct Number {
    #[diesel(sql_type = diesel::sql_types::Double)]
    n: f64,
}

fn on_server(url: String, sql: String) -> anyhow::Result<()> {
    elsewhere(move || Ok(PgRust::establish(&url)?.batch_execute(&sql)?))
}

/// PgRust drives a runtime of its own, which another's thread does not allow.
pub fn elsewhere<T: Send + 'static>(
    work: impl FnOnce() -> anyhow::Result<T> + Send + 'static,
) -> anyhow::Result<T> {
    std::thread::spawn(work).join().map_err(|_panic| anyhow!("a database thread panicked"))?
}

impl Drop for Database {
    fn drop(&mut self) {
        drop(std::fs::remove_dir_all(&self.directory));
        if let (Engine::Postgres, Ok(server)) = (self.engine, server()) {
            let sql = format!("DROP DATABASE IF EXISTS {} WITH (FORCE)", self.name);
            drop(on_server(server, sql));
        }
    }
}
