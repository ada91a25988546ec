//! stub
use crate::base::column::Instant;
/// stub
#[derive(Clone, Copy, Debug)]
pub struct Zone(pub chrono_tz::Tz);
/// stub
pub fn local(at: Instant, zone: Zone) -> String { at.utc().with_timezone(&zone.0).to_rfc3339_opts(chrono::SecondsFormat::Secs, false) }
impl std::fmt::Display for Zone { fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result { f.write_str(self.0.name()) } }
