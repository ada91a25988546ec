//! The laws of time zones, when they are newer than this program.
//!
//! A government moves its clocks with some weeks of notice; the tz database follows, and so does
//! the operating system. `[time] zoneinfo` names the directory of its compiled files (TZif,
//! RFC 9636); without one, what was compiled in holds.

use std::collections::{HashMap, HashSet};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, OnceLock, PoisonError};

use anyhow::{Context, bail};
use chrono_tz::{IANA_TZDB_VERSION, Tz};
use tz::TimeZone;

/// The longest name of a zone, in bytes; real ones have thirty.
const NAME_BYTES_MAX: usize = 64;
/// The largest file of a zone, in bytes; real ones have a few thousand.
const FILE_BYTES_MAX: u64 = 256 * 1024;

/// How deep a directory is looked into, and how many zones are read; real ones have three levels and six
/// hundred.
const LEVELS_MAX: usize = 4;
const ZONES_MAX: usize = 4096;

static LAWS: OnceLock<Laws> = OnceLock::new();
/// Names of zones that were told of once, or that the database has and nobody knows.
static NAMES: Mutex<Option<HashSet<&'static str>>> = Mutex::new(None);

struct Laws {
    directory: PathBuf,
    version: String,
    zones: HashMap<&'static str, TimeZone>,
}

/// Reads zones from `directory`, all of them now: what becomes of it later changes nothing. An empty one
/// leaves what was compiled in. Once per process: the same clock for everybody.
pub fn use_directory(directory: &Path) -> anyhow::Result<()> {
    if directory.as_os_str().is_empty() {
        return Ok(());
    }
    if let Some(held) = LAWS.get() {
        if held.directory != directory {
            bail!("time.zoneinfo: {} is in use already", held.directory.display());
        }
        return Ok(());
    }
    let laws = Laws::read(directory)?;
    LAWS.get_or_init(|| laws);
    Ok(())
}

/// The version of the tz database that is in use, such as `2026f`.
pub fn version() -> &'static str {
    LAWS.get().map_or(IANA_TZDB_VERSION, |laws| &laws.version)
}

/// How far the clocks of a zone are ahead of UTC at an instant, in seconds; `None` when what was
/// compiled in decides.
pub fn offset_secs(zone: &'static str, unix_secs: i64) -> Option<i32> {
    let Some(known) = LAWS.get()?.zones.get(zone) else {
        if is_new(zone) {
            tracing::warn!(
                zone,
                "a zone is not in time.zoneinfo; what was compiled in holds for it"
            );
        }
        return None;
    };
    Some(known.find_local_time_type(unix_secs).ok()?.ut_offset())
}

/// The name of a zone that this program was not built with and the directory has, such as one that a
/// country has set up since.
pub fn find(name: &str) -> Option<&'static str> {
    LAWS.get()?.zones.get_key_value(name).map(|(name, _)| *name)
}

/// The name of a zone that the database has, and neither this program nor the directory: it is kept, so that
/// nothing is lost until somebody brings its laws, and the log says it once. There are no more of them than
/// were once known.
pub fn remember(name: &str) -> &'static str {
    let mut names = NAMES.lock().unwrap_or_else(PoisonError::into_inner);
    let names = names.get_or_insert_default();
    if let Some(name) = names.get(name) {
        return name;
    }
    tracing::error!(
        zone = name,
        "the database has a zone that neither this program nor time.zoneinfo knows; its clocks are shown \
         as UTC and its promises are left alone until time.zoneinfo names a directory that has it"
    );
    let name: &'static str = Box::leak(Box::<str>::from(name));
    names.insert(name);
    name
}

/// Whether a zone is named for the first time.
fn is_new(zone: &'static str) -> bool {
    let mut names = NAMES.lock().unwrap_or_else(PoisonError::into_inner);
    names.get_or_insert_default().insert(zone)
}

/// Whether zones are read from a directory.
pub fn are_newer() -> bool {
    LAWS.get().is_some()
}

impl Laws {
    /// Refuses, in words, a directory that has no tz database.
    fn read(directory: &Path) -> anyhow::Result<Self> {
        let version = version_of(directory)
            .with_context(|| format!("time.zoneinfo: no tz database in {}", directory.display()))?;
        let mut zones = HashMap::new();
        collect(directory, "", LEVELS_MAX, &mut zones)
            .with_context(|| format!("time.zoneinfo: {} cannot be read", directory.display()))?;
        // A directory that holds a version, but no zones, would fail at the first visit.
        if !zones.contains_key(Tz::Europe__Moscow.name()) {
            bail!("time.zoneinfo: Europe/Moscow is not there");
        }
        Ok(Self { directory: directory.to_owned(), version, zones })
    }
}

/// Reads what can be a zone in a directory and below; other files lie there as well.
fn collect(
    directory: &Path,
    within: &str,
    levels: usize,
    zones: &mut HashMap<&'static str, TimeZone>,
) -> std::io::Result<()> {
    for entry in std::fs::read_dir(directory)? {
        let path = entry?.path();
        let Some(word) = path.file_name().and_then(|word| word.to_str()) else { continue };
        let name = if within.is_empty() { word.to_owned() } else { format!("{within}/{word}") };
        if !is_name(&name) || zones.len() >= ZONES_MAX {
            continue;
        }
        // A link to a file is a zone by another name.
        let Ok(there) = std::fs::metadata(&path) else { continue };
        if there.is_dir() && levels > 0 {
            // What cannot be read is no zone; only the directory itself must be.
            collect(&path, &name, levels - 1, zones).ok();
        } else if there.is_file() && there.len() <= FILE_BYTES_MAX {
            let Ok(read) = std::fs::read(&path) else { continue };
            if let Ok(zone) = TimeZone::from_tz_data(&read) {
                zones.insert(Box::leak(name.into_boxed_str()), zone);
            }
        }
    }
    Ok(())
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
        std::fs::create_dir_all(directory.join("Europe")).unwrap();
        for name in ["Asia/Novograd", "right/Asia/Novograd", "posixrules"] {
            std::fs::write(directory.join(name), tzif(9 * 3600)).unwrap();
        }
        std::fs::write(directory.join("Asia/Torn"), b"TZif").unwrap();
        // A file that cannot be read, by whomever, is no zone.
        #[cfg(target_os = "linux")]
        std::os::unix::fs::symlink("/proc/self/mem", directory.join("Asia/Shut")).unwrap();
        let said = |directory: &Path| format!("{:#}", Laws::read(directory).err().unwrap());
        assert!(
            said(&directory).starts_with("time.zoneinfo: no tz database in /"),
            "{}",
            said(&directory)
        );
        std::fs::write(directory.join("+VERSION"), "2099a\n").unwrap();
        assert_eq!(said(&directory), "time.zoneinfo: Europe/Moscow is not there");
        std::fs::write(directory.join("Europe/Moscow"), tzif(3 * 3600)).unwrap();
        let laws = Laws::read(&directory).unwrap();
        assert_eq!(laws.version, "2099a");
        let mut names: Vec<&str> = laws.zones.keys().copied().collect();
        names.sort_unstable();
        assert_eq!(names, ["Asia/Novograd", "Europe/Moscow"]);
        std::fs::remove_dir_all(&directory).unwrap();
        let zone = &laws.zones["Asia/Novograd"];
        assert_eq!(
            zone.find_local_time_type(0).unwrap().ut_offset(),
            9 * 3600,
            "it was read before"
        );
        for none in ["Asia/../Asia/Novograd", "right/Asia/Novograd", "posixrules", ""] {
            assert!(!is_name(none), "{none}");
        }
    }
}
