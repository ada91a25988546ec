//! IANA time zones: what a clock on the wall in a village shows.

use chrono::{DateTime, FixedOffset, LocalResult, NaiveDateTime, Offset, TimeZone};
use chrono_tz::Tz;
use diesel::backend::Backend;
use diesel::deserialize::{self, FromSql, FromSqlRow};
use diesel::expression::AsExpression;
use diesel::serialize::{self, Output, ToSql};
use diesel::sql_types::Text;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::base::column::Instant;
use crate::base::laws;

/// No zone changes its clocks twice within this time and ends where it began.
pub const PROBE_SECS: i64 = 6 * 60 * 60;

/// An IANA zone, such as `Asia/Krasnoyarsk`: one that this program was built with, or one that the
/// laws in use have besides.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, AsExpression, FromSqlRow)]
#[diesel(sql_type = Text)]
pub struct Zone {
    name: &'static str,
    built_in: Option<Tz>,
}

impl From<Tz> for Zone {
    fn from(tz: Tz) -> Self {
        Self { name: tz.name(), built_in: Some(tz) }
    }
}

impl Zone {
    /// A zone as the database has it. One that is known no more keeps its name, and shows UTC.
    pub fn of_stored(text: &str) -> Self {
        text.parse()
            .unwrap_or_else(|UnknownZone| Self { name: laws::remember(text), built_in: None })
    }

    /// Whether anybody knows its laws: without them nothing can be said of what was promised by its clock.
    pub fn is_known(self) -> bool {
        self.built_in.is_some() || laws::find(self.name).is_some()
    }

    /// The same for what knows only the zones that were built in: of a younger zone, another whose
    /// clocks show the same at `at`.
    pub fn built_in(self, at: Instant) -> Tz {
        let unix_secs = at.utc().timestamp();
        let offset = offset_secs(self, unix_secs);
        let same = |tz: &&Tz| offset_secs(Self::from(**tz), unix_secs) == offset;
        let built_in = self.built_in.or_else(|| chrono_tz::TZ_VARIANTS.iter().find(same).copied());
        built_in.unwrap_or(Tz::UTC)
    }
}

/// A text that names no IANA zone. The display form is the problem code.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("unknown_time_zone")]
pub struct UnknownZone;

/// What a wall time means in a zone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wall {
    /// One instant, as nearly always.
    Once(Instant),
    /// The clocks jump over it: there is no such instant.
    Gap,
    /// The clocks show it twice: the first and the second time.
    Fold(Instant, Instant),
}

/// The instant, or instants, at which clocks in `zone` show `wall`.
pub fn resolve(wall: NaiveDateTime, zone: Zone) -> Wall {
    let built_in = zone.built_in.filter(|_| !laws::are_newer());
    let Some(built_in) = built_in else {
        return resolve_by(wall, |at| offset_secs(zone, at));
    };
    match built_in.from_local_datetime(&wall) {
        LocalResult::None => Wall::Gap,
        LocalResult::Single(at) => Wall::Once(Instant::from_utc(at.to_utc())),
        LocalResult::Ambiguous(first, second) => {
            Wall::Fold(Instant::from_utc(first.to_utc()), Instant::from_utc(second.to_utc()))
        }
    }
}

/// Asks what the offset is around the time, and keeps the instants at which the clock agrees.
fn resolve_by(wall: NaiveDateTime, offset_secs: impl Fn(i64) -> i64) -> Wall {
    let wall = wall.and_utc().timestamp();
    // Clocks differ from UTC by less than a day, and no zone changes them twice in six hours.
    let mut offsets: Vec<i64> =
        (-5..=5).map(|step| offset_secs(wall.saturating_add(step * PROBE_SECS))).collect();
    offsets.sort_unstable();
    offsets.dedup();
    let mut instants: Vec<i64> = offsets
        .into_iter()
        .filter(|offset| offset_secs(wall.saturating_sub(*offset)) == *offset)
        .map(|offset| wall.saturating_sub(offset))
        .collect();
    instants.sort_unstable();
    let at = |secs: i64| DateTime::from_timestamp(secs, 0).map(Instant::from_utc);
    match *instants {
        [first, .., second] => match (at(first), at(second)) {
            (Some(first), Some(second)) => Wall::Fold(first, second),
            _ => Wall::Gap,
        },
        [only] => at(only).map_or(Wall::Gap, Wall::Once),
        [] => Wall::Gap,
    }
}

/// How far the clocks of `zone` are ahead of UTC, in seconds, at an instant in seconds since 1970.
pub fn offset_secs(zone: Zone, unix_secs: i64) -> i64 {
    if let Some(offset) = laws::offset_secs(zone.name, unix_secs) {
        return i64::from(offset);
    }
    let at = DateTime::from_timestamp(unix_secs, 0);
    let Some((at, built_in)) = at.zip(zone.built_in) else { return 0 };
    i64::from(built_in.offset_from_utc_datetime(&at.naive_utc()).fix().local_minus_utc())
}

/// `at` as a clock in `zone` shows it: RFC 3339 with that zone's offset.
pub fn local(at: Instant, zone: Zone) -> String {
    wall(at, zone).to_rfc3339_opts(chrono::SecondsFormat::Secs, false)
}

/// `at` in `zone`.
pub fn wall(at: Instant, zone: Zone) -> DateTime<FixedOffset> {
    let offset = i32::try_from(offset_secs(zone, at.utc().timestamp())).ok();
    match offset.and_then(FixedOffset::east_opt) {
        Some(offset) => at.utc().with_timezone(&offset),
        None => at.utc().fixed_offset(),
    }
}

impl std::fmt::Display for Zone {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name)
    }
}

impl std::str::FromStr for Zone {
    type Err = UnknownZone;

    fn from_str(text: &str) -> Result<Self, UnknownZone> {
        if let Ok(built_in) = text.parse::<Tz>() {
            return Ok(Self::from(built_in));
        }
        let younger = laws::find(text).map(|name| Self { name, built_in: None });
        younger.ok_or(UnknownZone)
    }
}

impl Serialize for Zone {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.name)
    }
}

impl<'de> Deserialize<'de> for Zone {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = <std::borrow::Cow<'de, str>>::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

impl<DB> ToSql<Text, DB> for Zone
where
    DB: Backend,
    str: ToSql<Text, DB>,
{
    fn to_sql<'b>(&'b self, out: &mut Output<'b, '_, DB>) -> serialize::Result {
        <str as ToSql<Text, DB>>::to_sql(self.name, out)
    }
}

impl<DB> FromSql<Text, DB> for Zone
where
    DB: Backend,
    String: FromSql<Text, DB>,
{
    fn from_sql(value: DB::RawValue<'_>) -> deserialize::Result<Self> {
        let text = <String as FromSql<Text, DB>>::from_sql(value)?;
        Ok(Self::of_stored(&text))
    }
}

impl utoipa::PartialSchema for Zone {
    fn schema() -> utoipa::openapi::RefOr<utoipa::openapi::Schema> {
        utoipa::openapi::ObjectBuilder::new()
            .schema_type(utoipa::openapi::schema::Type::String)
            .description(Some("An IANA time zone, such as Asia/Krasnoyarsk."))
            .into()
    }
}
impl utoipa::ToSchema for Zone {}

#[cfg(test)]
mod tests {
    use super::*;

    proptest::proptest! {
        #[test]
        fn asking_around_a_time_finds_what_chrono_finds(
            zone in 0..chrono_tz::TZ_VARIANTS.len(),
            minutes in 631_152_000_i64 / 60..2_051_222_400 / 60,
        ) {
            let zone = Zone::from(chrono_tz::TZ_VARIANTS[zone]);
            let wall = DateTime::from_timestamp(minutes * 60, 0).unwrap().naive_utc();
            let found = resolve_by(wall, |at| offset_secs(zone, at));
            proptest::prop_assert_eq!(found, resolve(wall, zone));
        }
    }

    #[test]
    fn asking_around_a_time_knows_gaps_and_folds() {
        for (zone, wall) in [
            ("America/New_York", "2027-03-14T02:30:00"),
            ("America/New_York", "2026-11-01T01:30:00"),
            ("Europe/Volgograd", "2020-12-27T01:30:00"),
            // An hour before the other zones of Europe, in UTC.
            ("Europe/Chisinau", "2026-03-29T02:30:00"),
            ("Europe/Chisinau", "2026-10-25T02:30:00"),
            ("Pacific/Apia", "2011-12-30T12:00:00"),
            ("Australia/Lord_Howe", "2026-04-05T01:45:00"),
        ] {
            let (zone, wall) = (zone.parse().unwrap(), wall.parse().unwrap());
            assert_eq!(resolve_by(wall, |at| offset_secs(zone, at)), resolve(wall, zone), "{wall}");
        }
    }

    #[test]
    fn a_zone_of_the_database_that_is_known_no_more_keeps_its_name_and_shows_utc() {
        let at = "2026-11-01T05:30:00Z".parse().unwrap();
        let lost = Zone::of_stored("Asia/Lost");
        assert_eq!((lost.to_string().as_str(), lost.is_known()), ("Asia/Lost", false));
        assert_eq!(local(at, lost), "2026-11-01T05:30:00+00:00");
        assert_eq!(lost, Zone::of_stored("Asia/Lost"));
        assert!(Zone::of_stored("Asia/Krasnoyarsk").is_known());
    }

    #[test]
    fn a_gap_has_no_instant_and_a_fold_has_two() {
        let zone: Zone = "America/New_York".parse().unwrap();
        let at = |text: &str| resolve(text.parse().unwrap(), zone);
        assert_eq!(at("2027-03-14T02:30:00"), Wall::Gap);
        let first = "2026-11-01T05:30:00Z".parse().unwrap();
        let second = "2026-11-01T06:30:00Z".parse().unwrap();
        assert_eq!(at("2026-11-01T01:30:00"), Wall::Fold(first, second));
        assert_eq!(local(first, zone), "2026-11-01T01:30:00-04:00");
        assert_eq!("Asia/Nowhere".parse::<Zone>(), Err(UnknownZone));
    }
}
