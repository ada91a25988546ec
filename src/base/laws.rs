//! The laws of time zones, when they are newer than this program.
//!
//! A government moves its clocks with some weeks of notice; the tz database follows, and so does
//! the operating system. `[time] zoneinfo` names the directory of its compiled files (TZif,
//! RFC 9636); without one, what was compiled in holds.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock, PoisonError, RwLock};

use anyhow::{Context, bail};
use chrono_tz::{IANA_TZDB_VERSION, Tz};
use tz::TimeZone;

/// The longest name of a zone, in bytes; real ones have thirty.
const NAME_BYTES_MAX: usize = 64;
/// The largest file of a zone, in bytes; real ones have a few thousand.
const FILE_BYTES_MAX: u64 = 256 * 1024;

static LAWS: OnceLock<Laws> = OnceLock::new();

struct Laws {
    directory: PathBuf,
    version: String,
    zones: RwLock<HashMap<&'static str, Option<Arc<TimeZone>>>>,
}

/// Reads zones from `directory` from now on; an empty one leaves what was compiled in.
/// Once per process: the same clock for everybody.
pub fn use_directory(directory: &Path) -> anyhow::Result<()> {
    if directory.as_os_str().is_empty() {
        return Ok(());
    }
    let version = version_of(directory)
        .with_context(|| format!("time.zoneinfo: no tz database in {}", directory.display()))?;
    let laws = Laws { directory: directory.to_owned(), version, zones: RwLock::default() };
    // A directory that holds a version, but no zones, would fail at the first visit.
    laws.load(Tz::Europe__Moscow.name()).context("time.zoneinfo: Europe/Moscow is not there")?;
    let held = LAWS.get_or_init(|| laws);
    if held.directory != directory {
        bail!("time.zoneinfo: {} is in use already", held.directory.display());
    }
    Ok(())
}

/// The version of the tz database that is in use, such as `2026f`.
pub fn version() -> &'static str {
    LAWS.get().map_or(IANA_TZDB_VERSION, |laws| &laws.version)
}

/// How far the clocks of a zone are ahead of UTC at an instant, in seconds; `None` when what was
/// compiled in decides.
pub fn offset_secs(zone: &'static str, unix_secs: i64) -> Option<i32> {
    let zone = LAWS.get()?.zone(zone)?;
    Some(zone.find_local_time_type(unix_secs).ok()?.ut_offset())
}

/// The name of a zone that this program was not built with and the directory has, such as one that a
/// country has set up since.
pub fn find(name: &str) -> Option<&'static str> {
    LAWS.get()?.find(name)
}

/// Whether zones are read from a directory.
pub fn are_newer() -> bool {
    LAWS.get().is_some()
}

impl Laws {
    /// A name is kept for good: there are no more of them than the directory has files.
    fn find(&self, name: &str) -> Option<&'static str> {
        let known = self.zones.read().unwrap_or_else(PoisonError::into_inner);
        if let Some((name, found)) = known.get_key_value(name) {
            return found.is_some().then_some(*name);
        }
        drop(known);
        let found = if is_name(name) { self.load(name).ok()? } else { return None };
        let mut known = self.zones.write().unwrap_or_else(PoisonError::into_inner);
        if let Some((name, _)) = known.get_key_value(name) {
            return Some(*name);
        }
        let name: &'static str = Box::leak(Box::<str>::from(name));
        known.insert(name, Some(Arc::new(found)));
        Some(name)
    }

    fn zone(&self, zone: &'static str) -> Option<Arc<TimeZone>> {
        let known = self.zones.read().unwrap_or_else(PoisonError::into_inner);
        if let Some(found) = known.get(zone) {
            return found.clone();
        }
        drop(known);
        let found = match self.load(zone) {
            Ok(found) => Some(Arc::new(found)),
            Err(error) => {
                tracing::warn!(
                    zone,
                    error = format!("{error:#}"),
                    "a zone is not in time.zoneinfo; what was compiled in holds for it"
                );
                None
            }
        };
        let mut known = self.zones.write().unwrap_or_else(PoisonError::into_inner);
        known.insert(zone, found.clone());
        found
    }

    /// Names of zones are names of files: they come from our own list, or were looked at.
    fn load(&self, zone: &str) -> anyhow::Result<TimeZone> {
        let path = self.directory.join(zone);
        if std::fs::metadata(&path)?.len() > FILE_BYTES_MAX {
            bail!("{} is too large", path.display());
        }
        Ok(TimeZone::from_tz_data(&std::fs::read(&path)?)?)
    }
}

/// Whether a text can be the name of a zone: words like `Asia/Krasnoyarsk` (tz database, `theory.html`),
/// and so no way out of the directory, nor into `right/`, where clocks count leap seconds.
fn is_name(text: &str) -> bool {
    let word = |word: &str| {
        word.starts_with(|first: char| first.is_ascii_uppercase())
            && word.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_-+".contains(&byte))
    };
    text.len() <= NAME_BYTES_MAX && text.split('/').all(word)
}

/// What a directory says of its version: `tzdata.zi` begins with it, and some systems have a
/// file of its own.
fn version_of(directory: &Path) -> anyhow::Result<String> {
    let own = std::fs::read_to_string(directory.join("+VERSION"));
    if let Ok(own) = own {
        return Ok(own.trim().to_owned());
    }
    let source = std::fs::read_to_string(directory.join("tzdata.zi"))?;
    let first = source.lines().next().unwrap_or_default();
    match first.strip_prefix("# version ") {
        Some(version) => Ok(version.trim().to_owned()),
        None => bail!("tzdata.zi does not say its version"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A TZif file (RFC 9636) of a zone that never changes.
    fn tzif(offset_secs: i32) -> Vec<u8> {
        let block = || {
            let mut block = b"TZif2".to_vec();
            block.extend([0; 15]);
            for count in [0_u32, 0, 0, 0, 1, 4] {
                block.extend(count.to_be_bytes());
            }
            block.extend(offset_secs.to_be_bytes());
            block.extend([0, 0]);
            block.extend(b"NEW\0");
            block
        };
        let hours = offset_secs / 3600;
        [block(), block(), format!("\n<+{hours:02}>-{hours}\n").into_bytes()].concat()
    }

    #[test]
    fn a_zone_that_is_newer_than_the_program_is_found_in_the_directory_and_nowhere_else() {
        let directory =
            std::env::temp_dir().join(format!("feldsher-laws-{}", uuid::Uuid::now_v7()));
        std::fs::create_dir_all(directory.join("Asia")).unwrap();
        std::fs::create_dir_all(directory.join("right/Asia")).unwrap();
        for name in ["Asia/Novograd", "right/Asia/Novograd", "posixrules"] {
            std::fs::write(directory.join(name), tzif(9 * 3600)).unwrap();
        }
        std::fs::write(directory.join("Asia/Torn"), b"TZif").unwrap();
        let laws = Laws { directory, version: "2099a".to_owned(), zones: RwLock::default() };
        let name = laws.find("Asia/Novograd").unwrap();
        assert!(std::ptr::eq(name, laws.find("Asia/Novograd").unwrap()), "one name for one zone");
        let zone = laws.zone(name).unwrap();
        assert_eq!(zone.find_local_time_type(0).unwrap().ut_offset(), 9 * 3600);
        let climbs = "Asia/../Asia/Novograd";
        for none in ["Asia/Nowhere", "Asia/Torn", "right/Asia/Novograd", "posixrules", climbs, ""] {
            assert_eq!(laws.find(none), None, "{none}");
        }
        std::fs::remove_dir_all(&laws.directory).unwrap();
    }
}
