//! A database for one test, on either engine.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use diesel::connection::SimpleConnection;
use diesel::prelude::*;
use feldsher::base::db::PgRust;
use feldsher::base::master_key;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Engine {
    Sqlite,
    Postgres,
}

/// Removed when the test ends.
pub struct Database {
    engine: Engine,
    directory: PathBuf,
    name: String,
    /// The PostgreSQL that holds it.
    server: String,
}

static NEXT: AtomicU32 = AtomicU32::new(0);
/// The name of a test's database, before the number of its process.
const NAMED: &str = "feldsher_test_";
/// The embedded database; what belongs to it is named after it.
const FILE: &str = "feldsher.db";

/// How long it may take until nobody is connected to a database that was left.
const GONE_WAIT: Duration = Duration::from_secs(30);

/// Where PostgreSQL is: tests/run starts one. Without it the tests fail, they are never skipped.
fn server() -> String {
    std::env::var("TEST_DATABASE_URL")
        .expect("TEST_DATABASE_URL is not set: run ./tests/run, which starts a private PostgreSQL")
}

fn in_server(server: &str, name: &str) -> String {
    let (before, query) = server.split_once('?').map_or((server, ""), |(b, q)| (b, q));
    let base = before.rsplit_once('/').expect("a URL with a database name").0;
    if query.is_empty() { format!("{base}/{name}") } else { format!("{base}/{name}?{query}") }
}

/// PgRust drives its own runtime, which a test's runtime does not allow on its thread.
fn elsewhere<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    std::thread::spawn(work).join().unwrap()
}

impl Engine {
    pub fn create(self) -> Database {
        let server = if self == Self::Postgres { server() } else { String::new() };
        self.create_from("template1", server)
    }

    /// Removes what earlier test processes left in a PostgreSQL that is not theirs alone.
    pub fn sweep() {
        let server = server();
        elsewhere(move || {
            let mut conn = PgRust::establish(&server).expect("PostgreSQL");
            let named =
                format!("SELECT datname::text AS t FROM pg_database WHERE datname LIKE '{NAMED}%'");
            for Text { t: name } in diesel::sql_query(named).load(&mut conn).unwrap() {
                let process = name.trim_start_matches(NAMED).split('_').next().unwrap();
                if !Path::new("/proc").join(process).exists() {
                    // Somebody else may be at the same.
                    drop(conn.batch_execute(&format!("DROP DATABASE IF EXISTS {name}")));
                }
            }
        });
    }

    /// A database in a PostgreSQL of the test's own.
    pub fn create_in(server: &str) -> Database {
        Self::Postgres.create_from("template1", server.to_owned())
    }

    fn create_from(self, template: &str, server: String) -> Database {
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let name = format!("{NAMED}{}_{number}", std::process::id());
        let directory = std::env::temp_dir().join(&name);
        std::fs::create_dir_all(&directory).unwrap();
        if self == Engine::Postgres {
            let sql = format!("CREATE DATABASE {name} TEMPLATE {template}");
            let server = server.clone();
            elsewhere(move || {
                let mut conn = PgRust::establish(&server).expect("PostgreSQL");
                // Whoever was killed with a connection to the template is noticed a little later. The
                // server itself waits five seconds before it refuses.
                let begun = Instant::now();
                while let Err(error) = conn.batch_execute(&sql) {
                    assert!(begun.elapsed() < GONE_WAIT, "{error}");
                }
            });
        }
        Database { engine: self, directory, name, server }
    }
}

#[derive(QueryableByName)]
struct Count {
    #[diesel(sql_type = diesel::sql_types::BigInt)]
    n: i64,
}

#[derive(QueryableByName)]
struct Text {
    #[diesel(sql_type = diesel::sql_types::Text)]
    t: String,
}

impl Database {
    pub fn url(&self) -> String {
        match self.engine {
            Engine::Sqlite => format!("sqlite:{}", self.file().display()),
            Engine::Postgres => in_server(&self.server, &self.name),
        }
    }

    pub fn directory(&self) -> &Path {
        &self.directory
    }

    pub fn engine(&self) -> Engine {
        self.engine
    }

    fn file(&self) -> PathBuf {
        self.directory.join(FILE)
    }

    /// `sql` selects one number as `n`.
    pub fn count(&self, sql: &str) -> i64 {
        let query = diesel::sql_query(sql.to_owned());
        match self.engine {
            Engine::Sqlite => {
                let mut conn = SqliteConnection::establish(&self.file().to_string_lossy()).unwrap();
                query.get_result::<Count>(&mut conn).unwrap().n
            }
            Engine::Postgres => {
                let url = self.url();
                elsewhere(move || {
                    query.get_result::<Count>(&mut PgRust::establish(&url).unwrap()).unwrap().n
                })
            }
        }
    }

    /// `sql` selects one text as `t`.
    pub fn text(&self, sql: &str) -> String {
        let query = diesel::sql_query(sql.to_owned());
        match self.engine {
            Engine::Sqlite => {
                let mut conn = SqliteConnection::establish(&self.file().to_string_lossy()).unwrap();
                query.get_result::<Text>(&mut conn).unwrap().t
            }
            Engine::Postgres => {
                let url = self.url();
                elsewhere(move || {
                    query.get_result::<Text>(&mut PgRust::establish(&url).unwrap()).unwrap().t
                })
            }
        }
    }

    /// `sql` selects texts as `t`.
    pub fn texts(&self, sql: &str) -> Vec<String> {
        let query = diesel::sql_query(sql.to_owned());
        let rows: Vec<Text> = match self.engine {
            Engine::Sqlite => {
                let mut conn = SqliteConnection::establish(&self.file().to_string_lossy()).unwrap();
                query.load(&mut conn).unwrap()
            }
            Engine::Postgres => {
                let url = self.url();
                elsewhere(move || query.load(&mut PgRust::establish(&url).unwrap()).unwrap())
            }
        };
        rows.into_iter().map(|row| row.t).collect()
    }

    /// Waits until nobody is connected any more. A connection that its client let go of is closed
    /// by the runtime of whoever waits here, so the thread must not be kept meanwhile.
    pub async fn deserted(&self) {
        if self.engine == Engine::Sqlite {
            return;
        }
        let begun = Instant::now();
        while self.connected() > 0 {
            assert!(begun.elapsed() < GONE_WAIT, "somebody is still connected to {}", self.name);
            actix_web::rt::time::sleep(Duration::from_millis(10)).await;
        }
    }

    fn connected(&self) -> i64 {
        let sql = format!(
            "SELECT count(*) AS n FROM pg_stat_activity
             WHERE datname = '{}' AND backend_type = 'client backend'",
            self.name
        );
        let server = self.server.clone();
        elsewhere(move || {
            let mut conn = PgRust::establish(&server).unwrap();
            diesel::sql_query(sql).get_result::<Count>(&mut conn).unwrap().n
        })
    }

    /// Another database that holds the same; no server may have this one open.
    pub fn copy(&self) -> Database {
        let copy = self.engine.create_from(&self.name, self.server.clone());
        for entry in std::fs::read_dir(&self.directory).unwrap() {
            let (path, name) = entry.map(|entry| (entry.path(), entry.file_name())).unwrap();
            if name == master_key::FILE_NAME || name.to_string_lossy().starts_with(FILE) {
                std::fs::copy(path, copy.directory.join(name)).unwrap();
            }
        }
        copy
    }

    pub fn execute(&self, sql: &str) -> Result<(), String> {
        let sql = sql.to_owned();
        let done = match self.engine {
            Engine::Sqlite => {
                let mut conn = SqliteConnection::establish(&self.file().to_string_lossy()).unwrap();
                conn.batch_execute("PRAGMA busy_timeout = 5000; PRAGMA foreign_keys = ON").unwrap();
                conn.batch_execute(&sql)
            }
            Engine::Postgres => {
                let url = self.url();
                elsewhere(move || PgRust::establish(&url).unwrap().batch_execute(&sql))
            }
        };
        done.map_err(|error| error.to_string())
    }
}

impl Drop for Database {
    fn drop(&mut self) {
        drop(std::fs::remove_dir_all(&self.directory));
        if self.engine == Engine::Postgres {
            let sql = format!("DROP DATABASE IF EXISTS {} WITH (FORCE)", self.name);
            let server = self.server.clone();
            elsewhere(move || {
                if let Ok(mut conn) = PgRust::establish(&server) {
                    drop(conn.batch_execute(&sql));
                }
            });
        }
    }
}
