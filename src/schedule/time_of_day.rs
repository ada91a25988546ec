//! What a clock on the wall and a calendar beside it show.

use chrono::{Datelike, NaiveDate};
use diesel::backend::Backend;
use diesel::deserialize::{self, FromSql, FromSqlRow};
use diesel::expression::AsExpression;
use diesel::serialize::{self, Output, ToSql};
use diesel::sql_types::Integer;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::base::column::text_enum;

text_enum!(
    /// A day of the week (FHIR days-of-week).
    Weekday {
        /// Monday.
        Monday = "mon",
        /// Tuesday.
        Tuesday = "tue",
        /// Wednesday.
        Wednesday = "wed",
        /// Thursday.
        Thursday = "thu",
        /// Friday.
        Friday = "fri",
        /// Saturday.
        Saturday = "sat",
        /// Sunday.
        Sunday = "sun",
    }
);

impl Weekday {
    /// The day of the week of a date.
    pub fn of(date: NaiveDate) -> Self {
        match date.weekday() {
            chrono::Weekday::Mon => Self::Monday,
            chrono::Weekday::Tue => Self::Tuesday,
            chrono::Weekday::Wed => Self::Wednesday,
            chrono::Weekday::Thu => Self::Thursday,
            chrono::Weekday::Fri => Self::Friday,
            chrono::Weekday::Sat => Self::Saturday,
            chrono::Weekday::Sun => Self::Sunday,
        }
    }
}

/// Minutes from midnight to midnight.
const DAY_MINUTES: i32 = 24 * 60;

/// What a clock on the wall shows, from `00:00` to `24:00`, the end of the day.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, AsExpression, FromSqlRow)]
#[diesel(sql_type = Integer)]
pub struct TimeOfDay(i32);

impl TimeOfDay {
    /// The beginning of the day.
    pub const MIDNIGHT: Self = Self(0);
    /// The end of the day.
    pub const END: Self = Self(DAY_MINUTES);

    /// `None` outside the day.
    pub fn of_minutes(minutes: i32) -> Option<Self> {
        (0..=DAY_MINUTES).contains(&minutes).then_some(Self(minutes))
    }

    /// Minutes after midnight.
    pub fn minutes(self) -> i32 {
        self.0
    }
}

/// A text that is no time of day.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a time of day is written as 09:00, from 00:00 to 24:00")]
pub struct NotTimeOfDay;

impl std::str::FromStr for TimeOfDay {
    type Err = NotTimeOfDay;

    fn from_str(text: &str) -> Result<Self, NotTimeOfDay> {
        let two_digits = |part: &str| {
            let is_number = part.len() == 2 && part.bytes().all(|byte| byte.is_ascii_digit());
            if is_number { part.parse::<i32>().ok() } else { None }
        };
        let (hour, minute) = text.split_once(':').ok_or(NotTimeOfDay)?;
        match (two_digits(hour), two_digits(minute)) {
            (Some(hour), Some(minute @ 0..=59)) => {
                Self::of_minutes(hour * 60 + minute).ok_or(NotTimeOfDay)
            }
            _ => Err(NotTimeOfDay),
        }
    }
}

impl std::fmt::Display for TimeOfDay {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:02}:{:02}", self.0 / 60, self.0 % 60)
    }
}

impl Serialize for TimeOfDay {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for TimeOfDay {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = <std::borrow::Cow<'de, str>>::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

impl<DB> ToSql<Integer, DB> for TimeOfDay
where
    DB: Backend,
    i32: ToSql<Integer, DB>,
{
    fn to_sql<'b>(&'b self, out: &mut Output<'b, '_, DB>) -> serialize::Result {
        <i32 as ToSql<Integer, DB>>::to_sql(&self.0, out)
    }
}

impl<DB> FromSql<Integer, DB> for TimeOfDay
where
    DB: Backend,
    i32: FromSql<Integer, DB>,
{
    fn from_sql(value: DB::RawValue<'_>) -> deserialize::Result<Self> {
        let minutes = <i32 as FromSql<Integer, DB>>::from_sql(value)?;
        Self::of_minutes(minutes).ok_or_else(|| "a time of day out of range".into())
    }
}

impl utoipa::PartialSchema for TimeOfDay {
    fn schema() -> utoipa::openapi::RefOr<utoipa::openapi::Schema> {
        utoipa::openapi::ObjectBuilder::new()
            .schema_type(utoipa::openapi::schema::Type::String)
            .pattern(Some("^([01][0-9]|2[0-3]):[0-5][0-9]$|^24:00$"))
            .description(Some("Wall time, such as 09:00; 24:00 is the end of the day."))
            .into()
    }
}
impl utoipa::ToSchema for TimeOfDay {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_of_day_is_written_in_four_digits_and_may_end_the_day() {
        for good in ["00:00", "09:05", "23:59", "24:00"] {
            assert_eq!(good.parse::<TimeOfDay>().unwrap().to_string(), good);
        }
        for bad in ["24:01", "9:00", "09:60", "09:00:00", "+9:00", "09", "", "ab:cd"] {
            assert_eq!(bad.parse::<TimeOfDay>(), Err(NotTimeOfDay), "{bad}");
        }
    }
}
