//! Which text a schema was made from. The first release may still change it in place: a database
//! that an earlier build made then looks right, and fails in the middle of a visit.

use diesel::prelude::*;
use diesel::sql_types::Text;

use super::open::OpenError;
use super::{Conn, Each};
use crate::base::schema::settings;
use crate::base::seal::sha256;

/// Every migration: its version, and its text for SQLite and for PostgreSQL.
const MIGRATIONS: [(&str, [&str; 2]); 7] = [
    (
        "0001",
        [
            include_str!("../../../migrations/sqlite/0001_base/up.sql"),
            include_str!("../../../migrations/postgres/0001_base/up.sql"),
        ],
    ),
    (
        "0002",
        [
            include_str!("../../../migrations/sqlite/0002_what_comes_back/up.sql"),
            include_str!("../../../migrations/postgres/0002_what_comes_back/up.sql"),
        ],
    ),
    (
        "0003",
        [
            include_str!("../../../migrations/sqlite/0003_as_it_was/up.sql"),
            include_str!("../../../migrations/postgres/0003_as_it_was/up.sql"),
        ],
    ),
    (
        "0004",
        [
            include_str!("../../../migrations/sqlite/0004_ahead/up.sql"),
            include_str!("../../../migrations/postgres/0004_ahead/up.sql"),
        ],
    ),
    (
        "0005",
        [
            include_str!("../../../migrations/sqlite/0005_waiting_only/up.sql"),
            include_str!("../../../migrations/postgres/0005_waiting_only/up.sql"),
        ],
    ),
    (
        "0006",
        [
            include_str!("../../../migrations/sqlite/0006_more_tasks/up.sql"),
            include_str!("../../../migrations/postgres/0006_more_tasks/up.sql"),
        ],
    ),
    (
        "0007",
        [
            include_str!("../../../migrations/sqlite/0007_offers_over/up.sql"),
            include_str!("../../../migrations/postgres/0007_offers_over/up.sql"),
        ],
    ),
];

#[derive(QueryableByName)]
struct Version {
    #[diesel(sql_type = Text)]
    version: String,
}

fn name(version: &str) -> String {
    format!("schema {version}")
}

/// The fingerprint of a migration on this engine.
fn of(conn: &Conn, [sqlite, postgres]: [&str; 2]) -> Vec<u8> {
    match conn {
        Conn::Sqlite(_) => sha256(sqlite.as_bytes()),
        Conn::Postgres(_) => sha256(postgres.as_bytes()),
    }
}

fn applied(conn: &mut Conn) -> QueryResult<Vec<String>> {
    let versions = "SELECT version FROM __diesel_schema_migrations";
    let versions: Vec<Version> = diesel::sql_query(versions).load(conn)?;
    Ok(versions.into_iter().map(|row| row.version).collect())
}

/// Refuses a schema that another text than ours has made; there must be one. What a later program
/// has added is its own affair.
pub(super) fn check(conn: &mut Conn) -> Result<(), OpenError> {
    let applied = applied(conn)?;
    for (version, text) in MIGRATIONS {
        if !applied.iter().any(|one| one == version) {
            continue;
        }
        let known: Option<Vec<u8>> = settings::table
            .find(name(version))
            .select(settings::value)
            .get_result(conn)
            .optional()?;
        if known != Some(of(conn, text)) {
            return Err(OpenError::OtherSchema(version));
        }
    }
    Ok(())
}

/// Remembers which texts have been applied.
pub(super) fn keep(conn: &mut Conn) -> QueryResult<()> {
    let applied = applied(conn)?;
    for (version, text) in MIGRATIONS {
        if applied.iter().any(|one| one == version) {
            let value = of(conn, text);
            let row = (settings::name.eq(name(version)), settings::value.eq(value));
            Each(diesel::insert_into(settings::table).values(row).on_conflict_do_nothing())
                .execute(conn)?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use diesel::migration::MigrationSource;

    use super::*;
    use crate::base::db::open::{POSTGRES_MIGRATIONS, SQLITE_MIGRATIONS};

    #[test]
    fn every_migration_has_a_fingerprint() {
        let ours: Vec<&str> = MIGRATIONS.iter().map(|(version, _)| *version).collect();
        let sqlite: Vec<String> =
            MigrationSource::<diesel::sqlite::Sqlite>::migrations(&SQLITE_MIGRATIONS)
                .unwrap()
                .iter()
                .map(|migration| migration.name().version().to_string())
                .collect();
        let postgres: Vec<String> =
            MigrationSource::<diesel::pg::Pg>::migrations(&POSTGRES_MIGRATIONS)
                .unwrap()
                .iter()
                .map(|migration| migration.name().version().to_string())
                .collect();
        assert_eq!(sqlite, ours);
        assert_eq!(postgres, ours);
    }
}
