//! Opening a database: the engine by the URL, migrations, the settings durability rests on.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::time::Duration;

use diesel::connection::SimpleConnection;
use diesel::prelude::*;
use diesel::sql_types::{BigInt, Integer, Text};
use diesel::sqlite::SqliteConnection;
use diesel_migrations::{EmbeddedMigrations, MigrationHarness, embed_migrations};

use super::{Conn, Db, PgRust, Threads, executor, fingerprint};

pub(super) const SQLITE_MIGRATIONS: EmbeddedMigrations = embed_migrations!("migrations/sqlite");
pub(super) const POSTGRES_MIGRATIONS: EmbeddedMigrations = embed_migrations!("migrations/postgres");

/// Older versions can corrupt a database when a checkpoint meets a writer (fixed in 3.51.3).
const SQLITE_VERSION_MIN: (u32, u32, u32) = (3, 51, 3);

/// "feldsher" in ASCII, as a lock number: nodes that start together migrate one after another.
const MIGRATION_LOCK: i64 = 0x6665_6c64_7368_6572;

/// With what the process ends when the disk does not keep the log: whoever watches over it starts it again.
const DISK_FAILED: i32 = 74;

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
    /// The schema was made from another text than this program has; nothing was changed.
    #[error(
        "another build of feldsher made this database, and its schema ({0}) differs from the one \
         that this program knows; nothing was changed. Start the build that made it, or give this \
         one an empty database"
    )]
    OtherSchema(&'static str),
    /// Another server process has this file open.
    #[error("{0} is in use by another feldsher process")]
    InUse(PathBuf),
    /// The embedded library or a pragma is not what durability needs.
    #[error("unsafe SQLite set-up: {0}")]
    Unsafe(String),
    /// A file of the database, or its directory, could not be made or opened.
    #[error("cannot open {0}")]
    File(PathBuf, #[source] std::io::Error),
    /// A database thread could not be started.
    #[error("cannot start the database threads")]
    Threads(#[from] std::io::Error),
}

/// A database that answers and is ours alone, its schema as somebody left it.
pub enum Reached {
    /// The embedded database: its file, the lock on it, the writer.
    Sqlite(PathBuf, File, Conn),
    /// A server, and the first connection to it.
    Postgres(String, Conn),
}

/// Reaches the database and changes nothing in it. A schema that is not ours is refused.
pub fn reach(url: &DatabaseUrl) -> Result<Reached, OpenError> {
    let mut reached = match url {
        DatabaseUrl::Sqlite(path) => {
            let path = real_path(path)?;
            let lock = lock_file(&path)?;
            let writer = sqlite(&path)?;
            Reached::Sqlite(path, lock, writer)
        }
        DatabaseUrl::Postgres(url) => {
            Reached::Postgres(url.clone(), Conn::Postgres(PgRust::establish(url)?))
        }
    };
    check(reached.conn())?;
    Ok(reached)
}

fn check(conn: &mut Conn) -> Result<(), OpenError> {
    if is_made(conn)? { fingerprint::check(conn) } else { Ok(()) }
}

/// Whether there is a schema.
fn is_made(conn: &mut Conn) -> QueryResult<bool> {
    let tables = match conn {
        Conn::Postgres(_) => {
            "SELECT CAST(count(*) AS int) AS value FROM pg_tables
             WHERE schemaname = current_schema() AND tablename = 'settings'"
        }
        Conn::Sqlite(_) => {
            "SELECT count(*) AS value FROM sqlite_schema
             WHERE type = 'table' AND name = 'settings'"
        }
    };
    let found: Number = diesel::sql_query(tables).get_result(conn)?;
    Ok(found.value > 0)
}

impl Reached {
    fn conn(&mut self) -> &mut Conn {
        match self {
            Self::Sqlite(_, _, conn) | Self::Postgres(_, conn) => conn,
        }
    }

    /// Asks something before the schema is touched; `None` when there is none yet.
    pub fn ask<T>(
        &mut self,
        question: impl FnOnce(&mut Conn) -> QueryResult<T>,
    ) -> Result<Option<T>, OpenError> {
        let conn = self.conn();
        Ok(if is_made(conn)? { Some(question(conn)?) } else { None })
    }

    /// Brings the schema up to date. Returns the versions applied.
    pub fn migrate(&mut self) -> Result<Vec<String>, OpenError> {
        apply(self.conn())
    }

    /// Brings the schema up to date and starts the database threads.
    pub fn start(
        mut self,
        workers: usize,
        queue_len_max: usize,
    ) -> Result<(Db, Threads), OpenError> {
        self.migrate()?;
        match self {
            Self::Sqlite(path, lock, mut writer) => {
                begin_log_anew(&mut writer)?;
                let log = log_of(&path)?;
                let disk = executor::Disk {
                    sync: Box::new(move || log.sync_data()),
                    // What the disk has is unknown, and it may well say "done" when asked again. Nothing
                    // is closed: SQLite would bring into the file what may not be in the log.
                    failed: Box::new(|| std::process::exit(DISK_FAILED)),
                };
                start_sqlite(&path, (lock, writer), (workers, queue_len_max), disk)
            }
            Self::Postgres(url, first) => {
                drop(first);
                Ok(executor::start_postgres(&url, workers.clamp(1, 64), queue_len_max)?)
            }
        }
    }
}

/// Starts the threads of an embedded database; `sync` brings its log to disk.
pub(super) fn start_sqlite(
    path: &Path,
    (lock, writer): (File, Conn),
    (workers, queue_len_max): (usize, usize),
    disk: executor::Disk,
) -> Result<(Db, Threads), OpenError> {
    let mut readers = Vec::new();
    for _ in 0..workers.clamp(1, 8) {
        let mut reader = sqlite(path)?;
        reader.batch_execute("PRAGMA query_only = 1")?;
        readers.push(reader);
    }
    let checkpointer = sqlite(path)?;
    let own = executor::Own { writer, checkpointer, readers, lock };
    Ok(executor::start_sqlite(own, queue_len_max, disk)?)
}

/// Opens the database, brings its schema up to date and starts the database threads.
pub fn open(
    url: &DatabaseUrl,
    workers: usize,
    queue_len_max: usize,
) -> Result<(Db, Threads), OpenError> {
    reach(url)?.start(workers, queue_len_max)
}

/// Brings the schema up to date and closes again. Returns the versions applied.
pub fn migrate(url: &DatabaseUrl) -> Result<Vec<String>, OpenError> {
    reach(url)?.migrate()
}

fn apply(conn: &mut Conn) -> Result<Vec<String>, OpenError> {
    if let Conn::Postgres(conn) = conn {
        conn.batch_execute(&format!("SELECT pg_advisory_lock({MIGRATION_LOCK})"))?;
    }
    // Another node may have made the schema since this one was reached.
    check(conn)?;
    let migrate = |conn: &mut Conn| {
        let applied = run_pending(conn)?;
        fingerprint::keep(conn)?;
        Ok::<_, OpenError>(applied)
    };
    let applied = executor::writing(conn, migrate)?;
    if let Conn::Postgres(conn) = conn {
        conn.batch_execute(&format!("SELECT pg_advisory_unlock({MIGRATION_LOCK})"))?;
    }
    Ok(applied)
}

fn run_pending(conn: &mut Conn) -> Result<Vec<String>, OpenError> {
    let failed =
        |error: Box<dyn std::error::Error + Send + Sync>| OpenError::Migrate(error.to_string());
    let applied = match conn {
        Conn::Postgres(conn) => conn.run_pending_migrations(POSTGRES_MIGRATIONS),
        Conn::Sqlite(conn) => conn.run_pending_migrations(SQLITE_MIGRATIONS),
    };
    Ok(applied.map_err(failed)?.iter().map(ToString::to_string).collect())
}

/// The file itself, whatever link leads to it: SQLite names its log after that, and two servers that
/// come by two names must meet at one lock. Made when it is missing.
fn real_path(path: &Path) -> Result<PathBuf, OpenError> {
    let name = path.to_string_lossy();
    if name.starts_with("file:") || name.starts_with(":memory:") {
        return Err(OpenError::Unsafe(format!("{name} is not the path of a file")));
    }
    if let Some(parent) = path.parent() {
        std::fs::create_dir_all(parent).map_err(|error| at(parent, error))?;
    }
    // SQLite would make the file for all to read; its companions take the mode of the file. One
    // that is there is never opened here: closing it would drop the locks of every connection of
    // this process (POSIX), and whoever reads the file from elsewhere would think it is alone,
    // and throw the log away that we still write.
    if !path.try_exists().map_err(|error| at(path, error))? {
        drop(private(path)?);
    }
    path.canonicalize().map_err(|error| at(path, error))
}

/// Brings all of the log that was found into the file. A log that a failed disk has left may be whole in
/// memory alone: it is written anew while nobody has been answered.
fn begin_log_anew(writer: &mut Conn) -> Result<(), OpenError> {
    let Checkpoint { busy } =
        diesel::sql_query("PRAGMA wal_checkpoint(TRUNCATE)").get_result(writer)?;
    if busy != 0 {
        tracing::warn!("another program reads the database: the log of the last run stays in use");
    }
    Ok(())
}

/// Holds `PATH.lock` for the life of the process: a second server would bypass the one writer.
fn lock_file(path: &Path) -> Result<File, OpenError> {
    let mut name = path.as_os_str().to_owned();
    name.push(".lock");
    let file = private(Path::new(&name))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(std::fs::TryLockError::WouldBlock) => Err(OpenError::InUse(path.to_owned())),
        Err(std::fs::TryLockError::Error(error)) => Err(at(Path::new(&name), error)),
    }
}

/// The log (WAL) of a database that is open. SQLite holds no lock on it, so that closing it drops none.
fn log_of(path: &Path) -> Result<File, OpenError> {
    let mut name = path.as_os_str().to_owned();
    name.push("-wal");
    let name = Path::new(&name);
    // Never made here: one that SQLite does not write is the wrong one.
    std::fs::OpenOptions::new().write(true).open(name).map_err(|error| at(name, error))
}

/// Opens or makes a file that nobody else on the machine may read.
fn private(path: &Path) -> Result<File, OpenError> {
    let mut options = std::fs::OpenOptions::new();
    options.create(true).truncate(false).write(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(path).map_err(|error| at(path, error))
}

fn at(path: &Path, error: std::io::Error) -> OpenError {
    OpenError::File(path.to_owned(), error)
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
struct Checkpoint {
    #[diesel(sql_type = Integer)]
    busy: i32,
}

#[derive(QueryableByName)]
struct MmapSize {
    #[diesel(sql_type = BigInt)]
    mmap_size: i64,
}

fn sqlite(path: &Path) -> Result<Conn, OpenError> {
    let mut conn = SqliteConnection::establish(&path.to_string_lossy())?;
    conn.batch_execute(
        "PRAGMA busy_timeout = 5000; PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL;
         PRAGMA foreign_keys = ON; PRAGMA cache_size = -16384; PRAGMA temp_store = MEMORY;
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_start_waits_for_whoever_writes_at_that_moment() {
        let place = std::env::temp_dir().join(format!("feldsher-busy-{}", std::process::id()));
        let file = place.join("feldsher.db");
        let url = DatabaseUrl::Sqlite(file.clone());
        assert!(!migrate(&url).unwrap().is_empty());
        let mut other = SqliteConnection::establish(&file.to_string_lossy()).unwrap();
        other.batch_execute("BEGIN IMMEDIATE").unwrap();
        let writes = std::thread::spawn(move || {
            std::thread::sleep(Duration::from_millis(300));
            other.batch_execute("COMMIT").unwrap();
        });
        let started = migrate(&url);
        writes.join().unwrap();
        std::fs::remove_dir_all(&place).unwrap();
        assert_eq!(started.unwrap().len(), 0);
    }

    #[test]
    fn a_directory_that_cannot_be_made_is_named() {
        let file = std::env::temp_dir().join(format!("feldsher-no-place-{}", std::process::id()));
        std::fs::write(&file, "").unwrap();
        let refused = reach(&DatabaseUrl::Sqlite(file.join("inside/feldsher.db"))).err();
        std::fs::remove_file(&file).unwrap();
        let said = refused.unwrap().to_string();
        assert!(said.contains(&file.join("inside").display().to_string()), "{said}");
    }
}
