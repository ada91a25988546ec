//! Column types written once for both databases: instants, ids, codes.
//!
//! `Moment` is `timestamptz` on PostgreSQL and microseconds since 1970 on SQLite;
//! `Uid` is `uuid` and a 16-byte blob. Both sort alike on the two engines.

use chrono::{DateTime, SubsecRound, TimeDelta, Utc};
use diesel::backend::Backend;
use diesel::deserialize::{self, FromSql, FromSqlRow};
use diesel::expression::AsExpression;
use diesel::pg::{Pg, PgValue};
use diesel::serialize::{self, IsNull, Output, ToSql};
use diesel::sql_types::{BigInt, Binary, HasSqlType};
use diesel::sqlite::Sqlite;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::base::db::AnyBackend;

/// The SQL side of the column types.
pub mod sql {
    use diesel::query_builder::QueryId;
    use diesel::sql_types::SqlType;

    /// An instant: `timestamptz`, or microseconds in an `INTEGER`.
    #[derive(SqlType, QueryId, Clone, Copy, Debug)]
    #[diesel(postgres_type(oid = 1184, array_oid = 1185), sqlite_type(name = "Long"))]
    pub struct Moment;

    /// A UUID: `uuid`, or 16 bytes in a `BLOB`.
    #[derive(SqlType, QueryId, Clone, Copy, Debug)]
    #[diesel(postgres_type(oid = 2950, array_oid = 2951), sqlite_type(name = "Binary"))]
    pub struct Uid;
}

/// Microseconds from 1970 to 2000, where PostgreSQL's clock begins.
const POSTGRES_EPOCH_MICROS: i64 = 946_684_800_000_000;

/// A moment in time, exact to the microsecond (what both databases keep).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, AsExpression, FromSqlRow)]
#[diesel(sql_type = sql::Moment)]
pub struct Instant(DateTime<Utc>);

impl Instant {
    /// The end of chrono's calendar.
    pub const MAX: Self = Self(DateTime::<Utc>::MAX_UTC);

    /// Cuts a time to whole microseconds, so that a row read back equals the row written.
    pub fn from_utc(time: DateTime<Utc>) -> Self {
        Self(time.trunc_subsecs(6))
    }

    /// The time as chrono knows it.
    pub fn utc(self) -> DateTime<Utc> {
        self.0
    }

    /// This moment moved by `delta`; stays put at the ends of the calendar.
    pub fn plus(self, delta: TimeDelta) -> Self {
        Self(self.0.checked_add_signed(delta).unwrap_or(self.0))
    }

    /// This moment moved back by `delta`.
    pub fn minus(self, delta: TimeDelta) -> Self {
        Self(self.0.checked_sub_signed(delta).unwrap_or(self.0))
    }

    /// How long after `earlier` this is; negative when it is before.
    pub fn since(self, earlier: Self) -> TimeDelta {
        self.0.signed_duration_since(earlier.0)
    }

    /// Microseconds since 1970.
    pub fn micros(self) -> i64 {
        self.0.timestamp_micros()
    }

    /// From microseconds since 1970; `None` outside chrono's calendar.
    pub fn from_micros(micros: i64) -> Option<Self> {
        DateTime::from_timestamp_micros(micros).map(Self)
    }
}

impl std::fmt::Display for Instant {
    /// RFC 3339 in UTC; the fraction only when there is one.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0.to_rfc3339_opts(chrono::SecondsFormat::AutoSi, true))
    }
}

impl Serialize for Instant {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Instant {
    /// RFC 3339 with an offset. A time without one is refused as `naive_time`:
    /// nobody can say which moment it means.
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = <std::borrow::Cow<'de, str>>::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

/// Why a text is not an instant. The display form is the problem code.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum InstantError {
    /// A wall time without an offset.
    #[error("naive_time")]
    Naive,
    /// Not a time at all.
    #[error("invalid_time")]
    Invalid,
}

impl std::str::FromStr for Instant {
    type Err = InstantError;

    fn from_str(text: &str) -> Result<Self, InstantError> {
        match DateTime::parse_from_rfc3339(text) {
            Ok(time) if (1970..=2200).contains(&chrono::Datelike::year(&time)) => {
                Ok(Self::from_utc(time.with_timezone(&Utc)))
            }
            Ok(_) => Err(InstantError::Invalid),
            Err(_) if is_naive(text) => Err(InstantError::Naive),
            Err(_) => Err(InstantError::Invalid),
        }
    }
}

fn is_naive(text: &str) -> bool {
    ["%Y-%m-%dT%H:%M", "%Y-%m-%dT%H:%M:%S%.f", "%Y-%m-%d %H:%M", "%Y-%m-%d %H:%M:%S%.f"]
        .iter()
        .any(|format| chrono::NaiveDateTime::parse_from_str(text, format).is_ok())
        || chrono::NaiveDate::parse_from_str(text, "%Y-%m-%d").is_ok()
}

impl utoipa::PartialSchema for Instant {
    fn schema() -> utoipa::openapi::RefOr<utoipa::openapi::Schema> {
        utoipa::openapi::ObjectBuilder::new()
            .schema_type(utoipa::openapi::schema::Type::String)
            .format(Some(utoipa::openapi::SchemaFormat::KnownFormat(
                utoipa::openapi::KnownFormat::DateTime,
            )))
            .into()
    }
}
impl utoipa::ToSchema for Instant {}

impl ToSql<sql::Moment, Pg> for Instant {
    fn to_sql<'b>(&'b self, out: &mut Output<'b, '_, Pg>) -> serialize::Result {
        let micros = self.micros() - POSTGRES_EPOCH_MICROS;
        ToSql::<BigInt, Pg>::to_sql(&micros, &mut out.reborrow())
    }
}
impl ToSql<sql::Moment, Sqlite> for Instant {
    fn to_sql<'b>(&'b self, out: &mut Output<'b, '_, Sqlite>) -> serialize::Result {
        out.set_value(self.micros());
        Ok(IsNull::No)
    }
}
impl FromSql<sql::Moment, Pg> for Instant {
    fn from_sql(value: PgValue<'_>) -> deserialize::Result<Self> {
        let micros = <i64 as FromSql<BigInt, Pg>>::from_sql(value)?;
        Self::from_micros(micros.saturating_add(POSTGRES_EPOCH_MICROS))
            .ok_or_else(|| "instant out of range".into())
    }
}
impl FromSql<sql::Moment, Sqlite> for Instant {
    fn from_sql(value: <Sqlite as Backend>::RawValue<'_>) -> deserialize::Result<Self> {
        let micros = <i64 as FromSql<BigInt, Sqlite>>::from_sql(value)?;
        Self::from_micros(micros).ok_or_else(|| "instant out of range".into())
    }
}

/// Lifts a column type known to both engines to the connection that may be either.
macro_rules! on_any {
    ($sql:ty => $rust:ty) => {
        impl ::diesel::serialize::ToSql<$sql, $crate::base::db::AnyBackend> for $rust {
            fn to_sql<'b>(
                &'b self,
                out: &mut ::diesel::serialize::Output<'b, '_, $crate::base::db::AnyBackend>,
            ) -> ::diesel::serialize::Result {
                out.set_value((<$sql as ::std::default::Default>::default(), self));
                Ok(::diesel::serialize::IsNull::No)
            }
        }
        impl ::diesel::deserialize::FromSql<$sql, $crate::base::db::AnyBackend> for $rust {
            fn from_sql(
                value: $crate::base::db::AnyRaw<'_>,
            ) -> ::diesel::deserialize::Result<Self> {
                value.from_sql::<$rust, $sql>()
            }
        }
    };
}
pub(crate) use on_any;

impl Default for sql::Moment {
    fn default() -> Self {
        Self
    }
}
impl Default for sql::Uid {
    fn default() -> Self {
        Self
    }
}

impl HasSqlType<sql::Moment> for AnyBackend {
    fn metadata(lookup: &mut Self::MetadataLookup) -> Self::TypeMetadata {
        AnyBackend::lookup_sql_type::<sql::Moment>(lookup)
    }
}
impl HasSqlType<sql::Uid> for AnyBackend {
    fn metadata(lookup: &mut Self::MetadataLookup) -> Self::TypeMetadata {
        AnyBackend::lookup_sql_type::<sql::Uid>(lookup)
    }
}
on_any!(sql::Moment => Instant);

/// A UUID as both engines store it; what every id is made of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, AsExpression, FromSqlRow)]
#[diesel(sql_type = sql::Uid)]
pub struct Uuid(pub uuid::Uuid);

impl Uuid {
    /// A new UUIDv7 (RFC 9562) whose time part is `now`.
    pub fn new(now: Instant) -> Self {
        let seconds = u64::try_from(now.utc().timestamp()).unwrap_or_default();
        let nanos = now.utc().timestamp_subsec_nanos();
        let time = uuid::Timestamp::from_unix(uuid::NoContext, seconds, nanos);
        Self(uuid::Uuid::new_v7(time))
    }

    /// The time part of a UUIDv7, in whole milliseconds; `None` for another kind.
    pub fn made_at(self) -> Option<Instant> {
        let (seconds, nanos) = self.0.get_timestamp()?.to_unix();
        let time = DateTime::from_timestamp(i64::try_from(seconds).ok()?, nanos)?;
        Some(Instant::from_utc(time))
    }
}

impl ToSql<sql::Uid, Pg> for Uuid {
    fn to_sql<'b>(&'b self, out: &mut Output<'b, '_, Pg>) -> serialize::Result {
        std::io::Write::write_all(out, self.0.as_bytes())?;
        Ok(IsNull::No)
    }
}
impl ToSql<sql::Uid, Sqlite> for Uuid {
    fn to_sql<'b>(&'b self, out: &mut Output<'b, '_, Sqlite>) -> serialize::Result {
        out.set_value(self.0.as_bytes().as_slice());
        Ok(IsNull::No)
    }
}
impl FromSql<sql::Uid, Pg> for Uuid {
    fn from_sql(value: PgValue<'_>) -> deserialize::Result<Self> {
        Ok(Self(uuid::Uuid::from_slice(value.as_bytes())?))
    }
}
impl FromSql<sql::Uid, Sqlite> for Uuid {
    fn from_sql(value: <Sqlite as Backend>::RawValue<'_>) -> deserialize::Result<Self> {
        let bytes = <Vec<u8> as FromSql<Binary, Sqlite>>::from_sql(value)?;
        Ok(Self(uuid::Uuid::from_slice(&bytes)?))
    }
}
on_any!(sql::Uid => Uuid);

/// Declares an id: `id!(PatientId)` is a UUIDv7 that cannot be mistaken for another noun's id.
macro_rules! id {
    ($(#[$meta:meta])* $name:ident) => {
        $(#[$meta])*
        #[derive(
            Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash,
            ::diesel::expression::AsExpression, ::diesel::deserialize::FromSqlRow,
            ::serde::Serialize, ::serde::Deserialize,
        )]
        #[diesel(sql_type = $crate::base::column::sql::Uid)]
        #[serde(transparent)]
        pub struct $name(pub ::uuid::Uuid);

        impl $name {
            /// A new UUIDv7 (RFC 9562) whose time part is `now`.
            pub fn new(now: $crate::base::column::Instant) -> Self {
                Self($crate::base::column::Uuid::new(now).0)
            }
        }
        impl ::std::fmt::Display for $name {
            fn fmt(&self, f: &mut ::std::fmt::Formatter<'_>) -> ::std::fmt::Result {
                ::std::fmt::Display::fmt(&self.0, f)
            }
        }
        impl ::std::str::FromStr for $name {
            type Err = ::uuid::Error;
            fn from_str(text: &str) -> Result<Self, Self::Err> {
                ::uuid::Uuid::parse_str(text).map(Self)
            }
        }
        impl ::utoipa::PartialSchema for $name {
            fn schema() -> ::utoipa::openapi::RefOr<::utoipa::openapi::Schema> {
                ::utoipa::openapi::ObjectBuilder::new()
                    .schema_type(::utoipa::openapi::schema::Type::String)
                    .format(Some(::utoipa::openapi::SchemaFormat::KnownFormat(
                        ::utoipa::openapi::KnownFormat::Uuid,
                    )))
                    .into()
            }
        }
        impl ::utoipa::ToSchema for $name {}
        const _: () = {
            use ::diesel::backend::Backend;
            use ::diesel::deserialize::{self, FromSql};
            use ::diesel::pg::{Pg, PgValue};
            use ::diesel::serialize::{self, Output, ToSql};
            use ::diesel::sqlite::Sqlite;
            use $crate::base::column::{Uuid, sql::Uid};
            impl ToSql<Uid, Pg> for $name {
                fn to_sql<'b>(&'b self, out: &mut Output<'b, '_, Pg>) -> serialize::Result {
                    ToSql::<Uid, Pg>::to_sql(&Uuid(self.0), &mut out.reborrow())
                }
            }
            impl ToSql<Uid, Sqlite> for $name {
                fn to_sql<'b>(&'b self, out: &mut Output<'b, '_, Sqlite>) -> serialize::Result {
                    out.set_value(self.0.as_bytes().as_slice());
                    Ok(serialize::IsNull::No)
                }
            }
            impl FromSql<Uid, Pg> for $name {
                fn from_sql(value: PgValue<'_>) -> deserialize::Result<Self> {
                    <Uuid as FromSql<Uid, Pg>>::from_sql(value).map(|uuid| Self(uuid.0))
                }
            }
            impl FromSql<Uid, Sqlite> for $name {
                fn from_sql(value: <Sqlite as Backend>::RawValue<'_>) -> deserialize::Result<Self> {
                    <Uuid as FromSql<Uid, Sqlite>>::from_sql(value).map(|uuid| Self(uuid.0))
                }
            }
            $crate::base::column::on_any!(Uid => $name);
        };
    };
}
pub(crate) use id;

/// Declares a closed set of codes: one Rust enum, one text in SQL and JSON.
macro_rules! text_enum {
    ($(#[$meta:meta])* $name:ident { $($(#[$vmeta:meta])* $variant:ident = $text:tt),+ $(,)? }) => {
        #[derive(
            Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash,
            ::diesel::expression::AsExpression, ::diesel::deserialize::FromSqlRow,
            ::serde::Serialize, ::serde::Deserialize, ::utoipa::ToSchema,
        )]
        $(#[$meta])*
        #[diesel(sql_type = ::diesel::sql_types::Text)]
        pub enum $name { $($(#[$vmeta])* #[serde(rename = $text)] $variant),+ }

        impl $name {
            /// Every code, in the order of declaration.
            pub const ALL: &'static [Self] = &[$(Self::$variant),+];

            /// The code as it stands in SQL and JSON.
            pub fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $text),+ }
            }
        }
        impl ::std::fmt::Display for $name {
            fn fmt(&self, f: &mut ::std::fmt::Formatter<'_>) -> ::std::fmt::Result {
                f.write_str(self.as_str())
            }
        }
        impl ::std::str::FromStr for $name {
            type Err = $crate::base::column::UnknownCode;
            fn from_str(text: &str) -> Result<Self, Self::Err> {
                match text { $($text => Ok(Self::$variant),)+ _ => Err($crate::base::column::UnknownCode) }
            }
        }
        impl<DB> ::diesel::serialize::ToSql<::diesel::sql_types::Text, DB> for $name
        where
            DB: ::diesel::backend::Backend,
            str: ::diesel::serialize::ToSql<::diesel::sql_types::Text, DB>,
        {
            fn to_sql<'b>(
                &'b self,
                out: &mut ::diesel::serialize::Output<'b, '_, DB>,
            ) -> ::diesel::serialize::Result {
                <str as ::diesel::serialize::ToSql<::diesel::sql_types::Text, DB>>::to_sql(self.as_str(), out)
            }
        }
        impl<DB> ::diesel::deserialize::FromSql<::diesel::sql_types::Text, DB> for $name
        where
            DB: ::diesel::backend::Backend,
            String: ::diesel::deserialize::FromSql<::diesel::sql_types::Text, DB>,
        {
            fn from_sql(value: DB::RawValue<'_>) -> ::diesel::deserialize::Result<Self> {
                let text = <String as ::diesel::deserialize::FromSql<::diesel::sql_types::Text, DB>>::from_sql(value)?;
                text.parse().map_err(|_: $crate::base::column::UnknownCode| concat!("unknown ", stringify!($name)).into())
            }
        }
    };
}
pub(crate) use text_enum;

/// A text that is none of the known codes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("unknown code")]
pub struct UnknownCode;
