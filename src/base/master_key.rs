//! The master key: where it is kept, how it is first made, and the proof that it is the right one.

use std::io::{ErrorKind, Write};
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use diesel::prelude::*;
use zeroize::Zeroizing;

use crate::base::config::Config;
use crate::base::db::{self, Conn, DatabaseUrl, Db, Each, Threads};
use crate::base::schema::settings;
use crate::base::seal::{self, KEY_BYTES, Seal};

/// The file that holds the key when the settings do not.
pub const FILE_NAME: &str = "master.key";
/// The setting, in the database, that only the right key opens.
const CHECK_NAME: &str = "seal_check";
const CHECK_PLACE: &str = "settings|value|seal_check";
const CHECK_TEXT: &[u8] = b"feldsher";

/// The database, its schema up to date, and the seal that belongs to it.
pub struct Opened {
    /// The way to the database.
    pub db: Db,
    /// Its threads.
    pub threads: Threads,
    /// Encryption at rest.
    pub seal: Seal,
}

/// Finds the master key, or makes the first one, and opens the database with it. A key that did
/// not seal this database is refused before its schema is touched: a new version that is started
/// with the wrong key leaves everything to the old one. Waits for disk and network.
pub fn open(config: &Config, directory: Option<&Path>) -> anyhow::Result<Opened> {
    let url: DatabaseUrl = config.database.url.0.parse()?;
    let mut reached = db::reach(&url)?;
    let known = reached.ask(find)?.flatten();
    let (master, origin) = if config.seal.master_key.0.is_empty() {
        let file = file(&url, directory)?;
        (read_or_make(&file, known.is_some())?, file.display().to_string())
    } else {
        let master = decode(&config.seal.master_key.0).context("seal.master_key")?;
        (master, "seal.master_key".to_owned())
    };
    let seal = Seal::new(&master)?;
    let prove = |check: &[u8]| match seal.open(CHECK_PLACE, check) {
        Ok(_) => Ok(()),
        Err(_) => bail!(
            "the key in {origin} is not the one that this database was sealed with; \
             put the right key back, notes cannot be opened with another"
        ),
    };
    match known {
        Some(check) => prove(&check)?,
        None => {
            reached.migrate()?;
            let own = seal.seal(CHECK_PLACE, CHECK_TEXT)?;
            let kept = reached.ask(|conn| remember(conn, own))?.flatten();
            prove(&kept.context("the settings table does not keep what is written")?)?;
        }
    }
    let (db, threads) = reached.start(config.database.workers, config.database.queue_len_max)?;
    Ok(Opened { db, threads, seal })
}

/// The 32 bytes behind a text in base64.
pub fn decode(text: &str) -> anyhow::Result<Zeroizing<Vec<u8>>> {
    match STANDARD.decode(text.trim()) {
        Ok(bytes) if bytes.len() == KEY_BYTES => Ok(Zeroizing::new(bytes)),
        // The error of the decoder quotes a piece of the key.
        _ => bail!("the master key must be {KEY_BYTES} bytes in base64"),
    }
}

fn file(url: &DatabaseUrl, directory: Option<&Path>) -> anyhow::Result<PathBuf> {
    match (directory, url) {
        (Some(directory), _) => Ok(directory.join(FILE_NAME)),
        (None, DatabaseUrl::Sqlite(database)) => Ok(database.with_file_name(FILE_NAME)),
        (None, DatabaseUrl::Postgres(_)) => bail!(
            "a master key is needed with PostgreSQL: make one with \
             `head -c 32 /dev/urandom | base64 > master.key` and set \
             FELDSHER__SEAL__MASTER_KEY_FILE=/path/to/master.key on every node"
        ),
    }
}

fn read_or_make(file: &Path, is_sealed: bool) -> anyhow::Result<Zeroizing<Vec<u8>>> {
    match std::fs::read_to_string(file) {
        Ok(text) => decode(&Zeroizing::new(text)).with_context(|| file.display().to_string()),
        Err(error) if error.kind() == ErrorKind::NotFound && is_sealed => bail!(
            "{} is missing, and this database was sealed with it; put the file back",
            file.display()
        ),
        Err(error) if error.kind() == ErrorKind::NotFound => {
            make(file).with_context(|| format!("cannot write {}", file.display()))
        }
        Err(error) => Err(error).with_context(|| format!("cannot read {}", file.display())),
    }
}

/// Written whole and to the disk before anything is sealed with it.
fn make(file: &Path) -> anyhow::Result<Zeroizing<Vec<u8>>> {
    let master = Zeroizing::new(seal::random::<KEY_BYTES>()?.to_vec());
    let text = Zeroizing::new(format!("{}\n", STANDARD.encode(&master)));
    let mut options = std::fs::OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let mut out = options.open(file)?;
    out.write_all(text.as_bytes())?;
    out.sync_all()?;
    #[cfg(unix)]
    if let Some(directory) = file.parent().filter(|path| !path.as_os_str().is_empty()) {
        std::fs::File::open(directory)?.sync_all()?;
    }
    Ok(master)
}

/// Two nodes that start together on one database end with the check value of the first.
fn remember(conn: &mut Conn, check: Vec<u8>) -> QueryResult<Option<Vec<u8>>> {
    Each(
        diesel::insert_into(settings::table)
            .values((settings::name.eq(CHECK_NAME), settings::value.eq(check)))
            .on_conflict_do_nothing(),
    )
    .execute(conn)?;
    find(conn)
}

fn find(conn: &mut Conn) -> QueryResult<Option<Vec<u8>>> {
    settings::table.find(CHECK_NAME).select(settings::value).first(conn).optional()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::config::Secret;

    struct Place(PathBuf);

    impl Place {
        fn new(name: &str) -> Self {
            let path = std::env::temp_dir().join(format!("feldsher-{name}-{}", std::process::id()));
            std::fs::create_dir_all(&path).unwrap();
            Self(path)
        }

        fn open(&self, key: &str) -> anyhow::Result<Seal> {
            let mut config = Config::defaults().unwrap();
            config.database.url.0 = format!("sqlite:{}", self.0.join("test.db").display());
            config.seal.master_key = Secret(key.to_owned());
            let Opened { db, threads, seal } = super::open(&config, None)?;
            drop(db);
            threads.join();
            Ok(seal)
        }
    }

    impl Drop for Place {
        fn drop(&mut self) {
            drop(std::fs::remove_dir_all(&self.0));
        }
    }

    #[test]
    fn the_first_start_makes_a_key_that_later_starts_find() {
        let place = Place::new("first-key");
        let sealed = place.open("").unwrap().seal("x", b"rash").unwrap();
        let again = place.open("").unwrap();
        assert_eq!(again.open("x", &sealed).unwrap().as_slice(), b"rash");
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt;
            let mode = place.0.join(FILE_NAME).metadata().unwrap().permissions().mode();
            assert_eq!(mode & 0o777, 0o600);
        }
    }

    #[test]
    fn a_wrong_or_missing_key_is_refused_in_words() {
        let place = Place::new("wrong-key");
        place.open("").unwrap();
        let refused = place.open(&STANDARD.encode([9; 32])).err().unwrap().to_string();
        assert!(refused.contains("not the one that this database was sealed with"), "{refused}");
        std::fs::remove_file(place.0.join(FILE_NAME)).unwrap();
        let refused = place.open("").err().unwrap().to_string();
        assert!(refused.contains("is missing"), "{refused}");
        assert!(!place.0.join(FILE_NAME).exists(), "no second key is made");
    }

    #[test]
    fn postgresql_without_a_key_says_what_to_do() {
        let url = DatabaseUrl::Postgres("postgres://x/y".to_owned());
        let refused = file(&url, None).unwrap_err().to_string();
        assert!(refused.contains("FELDSHER__SEAL__MASTER_KEY_FILE"), "{refused}");
        assert!(decode("c2hvcnQ=").is_err() && decode("not base64!").is_err());
    }
}
