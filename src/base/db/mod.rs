//! The only place that knows there are two databases.
//!
//! Deeds run on database threads that own their connections: SQLite has one writer, which commits what has
//! queued up in one go, a thread beside it that brings the log to disk before anybody is answered, one that
//! brings the log into the file, and a few readers; PostgreSQL has a number of equal workers. The queues are
//! bounded; a full one is an answer, not a wait.
//!
//! Statements stay prepared on their connection, with three exceptions that hot ones avoid:
//! diesel prepares an `UPDATE` anew each time (`statement!` does not), and SQLite a list (`eq_any`;
//! [`among`] does not) and a bound `LIMIT`. So what is found by its key is asked for with
//! `get_result`; `first` says `LIMIT`.

mod among;
mod checkpoint;
mod durable;
mod executor;
mod fingerprint;
#[cfg(test)]
mod house;
mod kept;
pub mod link;
mod open;
mod postgres;

use diesel::prelude::*;
use diesel::query_builder::{AstPass, QueryFragment, QueryId};
use diesel::sqlite::SqliteConnection;

pub use self::among::among;
pub use self::executor::{Db, QueueFull, Threads};
pub(crate) use self::kept::{Kept, kept};
pub use self::open::{DatabaseUrl, OpenError, Reached, migrate, open, reach};
pub use self::postgres::PgRust;
pub use self::{MultiBackend as AnyBackend, MultiRawValue as AnyRaw};

/// A connection to either database. One query text serves both.
#[derive(diesel::MultiConnection)]
#[expect(clippy::large_enum_variant, reason = "a handful of connections, each made once")]
pub enum Conn {
    /// PostgreSQL, for a region.
    Postgres(PgRust),
    /// The embedded database, for one machine.
    Sqlite(SqliteConnection),
}

/// Lifts a statement that both engines know, but `Conn` does not, such as `ON CONFLICT`.
#[derive(Debug, Clone, Copy)]
pub struct Each<Q>(pub Q);

impl<Q: QueryId> QueryId for Each<Q> {
    type QueryId = Q::QueryId;
    const HAS_STATIC_QUERY_ID: bool = Q::HAS_STATIC_QUERY_ID;
}
impl<Q: diesel::query_builder::Query> diesel::query_builder::Query for Each<Q> {
    type SqlType = Q::SqlType;
}
impl<Q> RunQueryDsl<Conn> for Each<Q> {}
impl<Q> QueryFragment<AnyBackend> for Each<Q>
where
    Q: QueryFragment<diesel::pg::Pg> + QueryFragment<diesel::sqlite::Sqlite>,
{
    fn walk_ast<'b>(&'b self, pass: AstPass<'_, 'b, AnyBackend>) -> QueryResult<()> {
        AnyBackend::walk_variant_ast(&self.0, pass)
    }
}

/// Who may be at a subject at the same time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Turn {
    /// Nobody else.
    Alone(uuid::Uuid),
    /// All who come for this, and nobody who must be alone.
    Together(uuid::Uuid),
}

/// Lets those who would change the same things go one after the other, until the transaction
/// ends. Whoever needs several turns asks for them at once, and before anything else is locked: see
/// "Who waits for whom" in `docs/architecture.md`. SQLite has one writer anyway.
pub fn take_turns(conn: &mut Conn, turns: &[Turn]) -> QueryResult<()> {
    let Conn::Postgres(conn) = conn else { return Ok(()) };
    let mut keys: Vec<(i64, bool)> = turns
        .iter()
        .map(|turn| match turn {
            Turn::Alone(subject) => (turn_key(*subject), false),
            Turn::Together(subject) => (turn_key(*subject), true),
        })
        .collect();
    // In one order, so that nobody waits in a circle; who is alone is together as well.
    keys.sort_unstable();
    keys.dedup_by_key(|(key, _)| *key);
    for (key, together) in keys {
        let lock = match together {
            true => "SELECT pg_advisory_xact_lock_shared($1)",
            false => "SELECT pg_advisory_xact_lock($1)",
        };
        diesel::sql_query(lock).bind::<diesel::sql_types::BigInt, _>(key).execute(conn)?;
    }
    Ok(())
}

/// The random end of a UUIDv7; two subjects that share it wait for one another, no more.
fn turn_key(subject: uuid::Uuid) -> i64 {
    let [.., a, b, c, d, e, f, g, h] = subject.into_bytes();
    i64::from_be_bytes([a, b, c, d, e, f, g, h])
}

/// Whether the server ended a transaction so that another could go on: done again, it can succeed.
///
/// A failed serialization (40001) has a kind of its own. A deadlock (40P01) has none, and its words
/// are in the server's language; but nothing else tells in several lines who waits for whom, and
/// hints where to read more.
pub fn gave_way(error: &diesel::result::Error) -> bool {
    use diesel::result::DatabaseErrorKind::{SerializationFailure, Unknown};
    match error {
        diesel::result::Error::DatabaseError(SerializationFailure, _) => true,
        diesel::result::Error::DatabaseError(Unknown, info) => {
            info.hint().is_some() && info.details().is_some_and(|lines| lines.lines().count() > 1)
        }
        _ => false,
    }
}

/// What a guard of the schema said when it refused a statement (`resource_busy`, `note_signed`):
/// both engines use the same names. `None` for any other failure.
pub fn refusal(error: &diesel::result::Error) -> Option<String> {
    let diesel::result::Error::DatabaseError(kind, info) = error else { return None };
    match kind {
        diesel::result::DatabaseErrorKind::ExclusionViolation => {
            info.constraint_name().map(str::to_owned)
        }
        _ => {
            let message = info.message();
            let is_name = !message.is_empty()
                && message.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_');
            is_name.then(|| message.to_owned())
        }
    }
}

/// Declares a statement that is written out, and therefore stays prepared: pieces of SQL, each
/// followed by the value that comes there, and after a semicolon what is left.
macro_rules! statement {
    (
        $(#[$meta:meta])* $name:ident
        $($text:literal $field:ident: $sql:ty = $rust:ty),+ $(; $rest:literal)?
    ) => {
        $(#[$meta])*
        struct $name<'a> { $($field: &'a $rust),+ }
        impl ::diesel::query_builder::QueryId for $name<'_> {
            type QueryId = $name<'static>;
            const HAS_STATIC_QUERY_ID: bool = true;
        }
        impl ::diesel::query_builder::QueryFragment<$crate::base::db::AnyBackend> for $name<'_> {
            fn walk_ast<'b>(
                &'b self,
                mut pass: ::diesel::query_builder::AstPass<'_, 'b, $crate::base::db::AnyBackend>,
            ) -> ::diesel::QueryResult<()> {
                $(
                    pass.push_sql($text);
                    pass.push_bind_param::<$sql, $rust>(self.$field)?;
                )+
                $(pass.push_sql($rest);)?
                Ok(())
            }
        }
        impl ::diesel::RunQueryDsl<$crate::base::db::Conn> for $name<'_> {}
    };
}
pub(crate) use statement;

/// Runs a query on the connection of whichever engine it is.
///
/// Through [`Conn`] itself diesel writes out the text of a statement twice at every execution,
/// although it stays prepared. For what every request or booking asks, that was a quarter of the
/// time of SQLite's writer.
macro_rules! direct {
    ($conn:expr, |$engine:ident| $query:expr) => {
        match &mut *$conn {
            $crate::base::db::Conn::Postgres($engine) => $query,
            $crate::base::db::Conn::Sqlite($engine) => $query,
        }
    };
}
pub(crate) use direct;
