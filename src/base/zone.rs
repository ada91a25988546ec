//! IANA time zones: what a clock on the wall in a village shows.

use chrono::{LocalResult, NaiveDateTime, TimeZone};
use chrono_tz::Tz;
use diesel::backend::Backend;
use diesel::deserialize::{self, FromSql, FromSqlRow};
use diesel::expression::AsExpression;
use diesel::serialize::{self, Output, ToSql};
use diesel::sql_types::Text;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::base::column::Instant;

/// An IANA zone, such as `Asia/Krasnoyarsk`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, AsExpression, FromSqlRow)]
#[diesel(sql_type = Text)]
pub struct Zone(pub Tz);

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
    match zone.0.from_local_datetime(&wall) {
        LocalResult::None => Wall::Gap,
        LocalResult::Single(at) => Wall::Once(Instant::from_utc(at.to_utc())),
        LocalResult::Ambiguous(first, second) => {
            Wall::Fold(Instant::from_utc(first.to_utc()), Instant::from_utc(second.to_utc()))
        }
    }
}

/// `at` as a clock in `zone` shows it: RFC 3339 with that zone's offset.
pub fn local(at: Instant, zone: Zone) -> String {
    wall(at, zone).to_rfc3339_opts(chrono::SecondsFormat::Secs, false)
}

/// `at` in `zone`.
pub fn wall(at: Instant, zone: Zone) -> chrono::DateTime<Tz> {
    at.utc().with_timezone(&zone.0)
}

impl std::fmt::Display for Zone {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.0.name())
    }
}

impl std::str::FromStr for Zone {
    type Err = UnknownZone;

    fn from_str(text: &str) -> Result<Self, UnknownZone> {
        text.parse().map(Self).map_err(|_not_iana| UnknownZone)
    }
}

impl Serialize for Zone {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.0.name())
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
        <str as ToSql<Text, DB>>::to_sql(self.0.name(), out)
    }
}

impl<DB> FromSql<Text, DB> for Zone
where
    DB: Backend,
    String: FromSql<Text, DB>,
{
    fn from_sql(value: DB::RawValue<'_>) -> deserialize::Result<Self> {
        let text = <String as FromSql<Text, DB>>::from_sql(value)?;
        text.parse().map_err(|unknown: UnknownZone| unknown.to_string().into())
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
