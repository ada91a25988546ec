//! Statements of diesel's that are always the same text, and stay prepared under a name.
//!
//! diesel writes out an `INSERT` at every execution to look it up among the prepared ones by its
//! text. For the rows of a booking that was a twentieth of the time of SQLite's writer.

use std::marker::PhantomData;

use diesel::QueryResult;
use diesel::RunQueryDsl;
use diesel::backend::Backend;
use diesel::query_builder::{AstPass, QueryFragment, QueryId};

/// A statement whose text is that of every other with the name `N`: see [`kept`].
#[derive(Debug)]
pub(crate) struct Kept<Q, N> {
    query: Q,
    name: PhantomData<N>,
}

impl<Q, N> Kept<Q, N> {
    pub(crate) fn under(query: Q, _name: N) -> Self {
        Self { query, name: PhantomData }
    }
}

/// The statement, under a name of its own for this place in the code. Only values may differ from one
/// execution to the next: no list, no column that is left out, no part of the text.
macro_rules! kept {
    ($query:expr) => {{
        struct Name;
        $crate::base::db::Kept::under($query, Name)
    }};
}
pub(crate) use kept;

impl<Q, N: 'static> QueryId for Kept<Q, N> {
    type QueryId = N;
    const HAS_STATIC_QUERY_ID: bool = true;
}

impl<Q, N, DB> QueryFragment<DB> for Kept<Q, N>
where
    DB: Backend<QueryBuilder: Default>,
    Q: QueryFragment<DB>,
    N: 'static,
{
    fn walk_ast<'b>(&'b self, pass: AstPass<'_, 'b, DB>) -> QueryResult<()> {
        #[cfg(debug_assertions)]
        same::check::<N, DB>(&self.query, pass.backend())?;
        self.query.walk_ast(pass)
    }
}

impl<Q, N, C> RunQueryDsl<C> for Kept<Q, N> {}

/// What a release build takes on trust.
#[cfg(debug_assertions)]
mod same {
    use std::any::{TypeId, type_name};
    use std::collections::HashMap;
    use std::sync::{LazyLock, Mutex, PoisonError};

    use diesel::QueryResult;
    use diesel::backend::Backend;
    use diesel::query_builder::{QueryBuilder, QueryFragment};
    use diesel::result::Error::QueryBuilderError;

    static TEXTS: LazyLock<Mutex<HashMap<(TypeId, &str), String>>> = LazyLock::new(Mutex::default);

    /// An error when the text is another than it was before.
    pub(super) fn check<N, DB>(query: &impl QueryFragment<DB>, backend: &DB) -> QueryResult<()>
    where
        N: 'static,
        DB: Backend<QueryBuilder: Default>,
    {
        let mut text = DB::QueryBuilder::default();
        query.to_sql(&mut text, backend)?;
        let text = text.finish();
        let mut texts = TEXTS.lock().unwrap_or_else(PoisonError::into_inner);
        let place = (TypeId::of::<N>(), type_name::<DB>());
        let first = texts.entry(place).or_insert_with(|| text.clone());
        if *first == text {
            return Ok(());
        }
        let name = type_name::<N>();
        Err(QueryBuilderError(format!("{name} was {first:?}, and is {text:?}").into()))
    }
}

#[cfg(test)]
mod tests {
    use diesel::connection::SimpleConnection;
    use diesel::prelude::*;
    use diesel::sqlite::SqliteConnection;

    diesel::table! {
        notes (id) {
            id -> Integer,
            text -> Nullable<Text>,
        }
    }

    fn note(conn: &mut SqliteConnection, id: i32, text: Option<&str>) -> QueryResult<usize> {
        let row = diesel::insert_into(notes::table)
            .values((notes::id.eq(id), notes::text.eq(text)))
            .on_conflict_do_nothing();
        kept!(row).execute(conn)
    }

    #[test]
    fn each_execution_has_its_own_values() {
        let mut conn = SqliteConnection::establish(":memory:").unwrap();
        conn.batch_execute("CREATE TABLE notes (id INTEGER PRIMARY KEY, text TEXT)").unwrap();
        assert_eq!(note(&mut conn, 1, Some("one")), Ok(1));
        assert_eq!(note(&mut conn, 2, None), Ok(1));
        assert_eq!(note(&mut conn, 2, Some("again")), Ok(0));
        let kept: Vec<(i32, Option<String>)> = notes::table.load(&mut conn).unwrap();
        assert_eq!(kept, [(1, Some("one".to_owned())), (2, None)]);
    }

    #[test]
    fn what_is_not_the_same_text_is_found_by_the_tests() {
        let mut conn = SqliteConnection::establish(":memory:").unwrap();
        conn.batch_execute("CREATE TABLE notes (id INTEGER PRIMARY KEY, text TEXT)").unwrap();
        let mut any_of = |ids: &[i32]| {
            let few = notes::table.filter(notes::id.eq_any(ids.to_vec()));
            kept!(diesel::delete(few)).execute(&mut conn)
        };
        assert_eq!(any_of(&[1, 2]), Ok(0));
        let error = any_of(&[1, 2, 3]).unwrap_err().to_string();
        assert!(error.contains("was \"DELETE") && error.contains("and is"), "{error}");
    }
}
