//! Opening a database: the engine by the URL, migrations, the settings durability rests on.

use std::path::PathBuf;
use std::time::Duration;

use diesel::connection::SimpleConnection;
use diesel::prelude::*;
use diesel::sql_types::{BigInt, Integer, Text};
use diesel::sqlite::SqliteConnection;
use diesel_migrations::{EmbeddedMigrations, MigrationHarness, embed_migrations};

use super::{Conn, Db, PgRust, Threads, executor};

const SQLITE_MIGRATIONS: EmbeddedMigrations = embed_migrations!("migrations/sqlite");
const POSTGRES_MIGRATIONS: EmbeddedMigrations = embed_migrations!("migrations/postgres");

/// Older versions can corrupt a database when a checkpoint meets a writer (fixed in 3.51.3).
const SQLITE_VERSION_MIN: (u32, u32, u32) = (3, 51, 3);

/// "feldsher" in ASCII, as a lock number: nodes that start together migrate one after another.
const MIGRATION_LOCK: i64 = 0x6665_6c64_7368_6572;

/// Which database, and where.
#[derive(Clone, PartialEq, Eq)]
pub enum DatabaseUrl {
    /// `sqlite:PATH`.
    Sqlite(PathBuf),
    /// `postgres://…`; may hold a password, so it is never printed.
    Postgres(String),
}

impl std::fmt::Debug for DatabaseUrl {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Sqlite(path) => write!(f, "sqlite:{}", path.display()),
            Self::Postgres(_) => f.write_str("postgres://***"),
        }
    }
}

impl std::str::FromStr for DatabaseUrl {
    type Err = OpenError;

    fn from_str(url: &str) -> Result<Self, OpenError> {
        if url.starts_with("postgres://") || url.starts_with("postgresql://") {
            return Ok(Self::Postgres(url.to_owned()));
        }
        match url.strip_prefix("sqlite:") {
            Some(path) if !path.is_empty() => {
                Ok(Self::Sqlite(PathBuf::from(path.strip_prefix("//").unwrap_or(path))))
            }
            _ => Err(OpenError::Scheme),
        }
    }
}

/// Why a database could not be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The URL names neither engine.
    #[error("the database URL must begin with sqlite: or postgres://")]
    Scheme,
    /// The file or server did not answer.
    #[error("cannot reach the database")]
    Connect(#[from] diesel::ConnectionError),
    /// A setting could not be made or read back.
    #[error("cannot set up the database")]
    SetUp(#[from] diesel::result::Error),
    /// A migration failed; the database stays at the version before it.
    #[error("cannot migrate the database: {0}")]
    Migrate(String),
    /// Another server process has this file open.
    #[error("{0} is in use by another feldsher process")]
    InUse(PathBuf),
    /// The embedded library or a pragma is not what durability needs.
    #[error("unsafe SQLite set-up: {0}")]
    Unsafe(String),
    /// The lock file or a thread could not be made.
    #[error("cannot make the files of the database")]
    Io(#[from] std::io::Error),
}

/// Opens the database, brings its schema up to date and starts the database threads.
pub fn open(
    url: &DatabaseUrl,
    workers: usize,
    queue_len_max: usize,
) -> Result<(Db, Threads), OpenError> {
    match url {
        DatabaseUrl::Sqlite(path) => {
            let lock = lock_file(path)?;
            let mut writer = sqlite(path)?;
            apply(&mut writer)?;
            let mut readers = Vec::new();
            for _ in 0..workers.clamp(1, 8) {
                let mut reader = sqlite(path)?;
                reader.batch_execute("PRAGMA query_only = 1")?;
                readers.push(reader);
            }
            Ok(executor::start_sqlite(writer, readers, queue_len_max, lock)?)
        }
        DatabaseUrl::Postgres(url) => {
            let mut first = Conn::Postgres(PgRust::establish(url)?);
            apply(&mut first)?;
            drop(first);
            Ok(executor::start_postgres(url, workers.clamp(1, 64), queue_len_max)?)
        }
    }
}

/// Brings the schema up to date and closes again. Returns the versions applied.
pub fn migrate(url: &DatabaseUrl) -> Result<Vec<String>, OpenError> {
    match url {
        DatabaseUrl::Sqlite(path) => {
            let _lock = lock_file(path)?;
            apply(&mut sqlite(path)?)
        }
        DatabaseUrl::Postgres(url) => apply(&mut Conn::Postgres(PgRust::establish(url)?)),
    }
}

fn apply(conn: &mut Conn) -> Result<Vec<String>, OpenError> {
    let failed =
        |error: Box<dyn std::error::Error + Send + Sync>| OpenError::Migrate(error.to_string());
    let applied = match conn {
        Conn::Postgres(conn) => {
            conn.batch_execute(&format!("SELECT pg_advisory_lock({MIGRATION_LOCK})"))?;
            let applied = conn.run_pending_migrations(POSTGRES_MIGRATIONS).map_err(failed)?;
            let applied: Vec<_> = applied.iter().map(ToString::to_string).collect();
            conn.batch_execute(&format!("SELECT pg_advisory_unlock({MIGRATION_LOCK})"))?;
            applied
        }
        Conn::Sqlite(conn) => {
            let applied = conn.run_pending_migrations(SQLITE_MIGRATIONS).map_err(failed)?;
            applied.iter().map(ToString::to_string).collect()
        }
    };
    Ok(applied)
}

/// Holds `PATH.lock` for the life of the process: a second server would bypass the one writer.
fn lock_file(path: &std::path::Path) -> Result<std::fs::File, OpenError> {
    if let Some(parent) = path.parent() {
        std::fs::create_dir_all(parent)?;
    }
    let mut name = path.as_os_str().to_owned();
    name.push(".lock");
    let file = private().open(&name)?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(std::fs::TryLockError::WouldBlock) => Err(OpenError::InUse(path.to_owned())),
        Err(std::fs::TryLockError::Error(error)) => Err(OpenError::Io(error)),
    }
}

/// Opens or makes a file that nobody else on the machine may read.
fn private() -> std::fs::OpenOptions {
    let mut options = std::fs::OpenOptions::new();
    options.create(true).truncate(false).write(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options
}

#[derive(QueryableByName)]
struct Setting {
    #[diesel(sql_type = Text)]
    value: String,
}

#[derive(QueryableByName)]
struct Number {
    #[diesel(sql_type = Integer)]
    value: i32,
}

#[derive(QueryableByName)]
struct MmapSize {
    #[diesel(sql_type = BigInt)]
    mmap_size: i64,
}

fn sqlite(path: &std::path::Path) -> Result<Conn, OpenError> {
    // SQLite would make the file for all to read; its companions take the mode of the file.
    drop(private().open(path)?);
    let mut conn = SqliteConnection::establish(&path.to_string_lossy())?;
    conn.batch_execute(
        "PRAGMA busy_timeout = 5000; PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL;
         PRAGMA foreign_keys = ON; PRAGMA cache_size = -65536; PRAGMA temp_store = MEMORY;
         PRAGMA mmap_size = 0; PRAGMA secure_delete = ON; PRAGMA trusted_schema = OFF;",
    )?;
    check_sqlite(&mut conn)?;
    Ok(Conn::Sqlite(conn))
}

/// A pragma that does not take is silent, so the settings that durability rests on are read back.
fn check_sqlite(conn: &mut SqliteConnection) -> Result<(), OpenError> {
    let version: Setting =
        diesel::sql_query("SELECT sqlite_version() AS value").get_result(conn)?;
    let mut parts = version.value.split('.').map(|part| part.parse::<u32>().unwrap_or_default());
    let mut part = || parts.next().unwrap_or_default();
    if (part(), part(), part()) < SQLITE_VERSION_MIN {
        return Err(OpenError::Unsafe(format!("version {}", version.value)));
    }
    let journal: Setting =
        diesel::sql_query("SELECT journal_mode AS value FROM pragma_journal_mode")
            .get_result(conn)?;
    if journal.value != "wal" {
        return Err(OpenError::Unsafe(format!("journal_mode is {}", journal.value)));
    }
    let synchronous: Number =
        diesel::sql_query("SELECT synchronous AS value FROM pragma_synchronous")
            .get_result(conn)?;
    if synchronous.value != 2 {
        return Err(OpenError::Unsafe("synchronous is not FULL".to_owned()));
    }
    let keys: Number = diesel::sql_query("SELECT foreign_keys AS value FROM pragma_foreign_keys")
        .get_result(conn)?;
    if keys.value != 1 {
        return Err(OpenError::Unsafe("foreign_keys is off".to_owned()));
    }
    // This pragma has no table of its own; without support for mapping it answers nothing.
    let mapped: Vec<MmapSize> = diesel::sql_query("PRAGMA mmap_size").load(conn)?;
    if mapped.iter().any(|size| size.mmap_size != 0) {
        return Err(OpenError::Unsafe("mmap_size is not 0".to_owned()));
    }
    Ok(())
}

/// How long a database thread waits before it tries to reach a lost server again.
pub(super) const RECONNECT_WAIT: Duration = Duration::from_millis(500);
