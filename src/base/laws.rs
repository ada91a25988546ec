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
    laws.load(Tz::Europe__Moscow).context("time.zoneinfo: Europe/Moscow is not there")?;
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
pub fn offset_secs(zone: Tz, unix_secs: i64) -> Option<i32> {
    let zone = LAWS.get()?.zone(zone)?;
    Some(zone.find_local_time_type(unix_secs).ok()?.ut_offset())
}

/// Whether zones are read from a directory.
pub fn are_newer() -> bool {
    LAWS.get().is_some()
}

impl Laws {
    fn zone(&self, zone: Tz) -> Option<Arc<TimeZone>> {
        let known = self.zones.read().unwrap_or_else(PoisonError::into_inner);
        if let Some(found) = known.get(zone.name()) {
            return found.clone();
        }
        drop(known);
        let found = match self.load(zone) {
            Ok(found) => Some(Arc::new(found)),
            Err(error) => {
                tracing::warn!(
                    zone = zone.name(),
                    error = format!("{error:#}"),
                    "a zone is not in time.zoneinfo; what was compiled in holds for it"
                );
                None
            }
        };
        let mut known = self.zones.write().unwrap_or_else(PoisonError::into_inner);
        known.insert(zone.name(), found.clone());
        found
    }

    /// Names of zones are names of files, and come from our own list only.
    fn load(&self, zone: Tz) -> anyhow::Result<TimeZone> {
        let path = self.directory.join(zone.name());
        if std::fs::metadata(&path)?.len() > FILE_BYTES_MAX {
            bail!("{} is too large", path.display());
        }
        Ok(TimeZone::from_tz_data(&std::fs::read(&path)?)?)
    }
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
