//! A list of values in a statement that stays prepared.

use diesel::QueryResult;
use diesel::expression::{
    AppearsOnTable, Expression, SelectableExpression, TypedExpressionType, ValidGrouping,
};
use diesel::pg::Pg;
use diesel::query_builder::{AstPass, QueryFragment, QueryId};
use diesel::serialize::ToSql;
use diesel::sql_types::{Array, Bool, HasSqlType, SqlType};
use diesel::sqlite::Sqlite;

use super::AnyBackend;

/// SQLite binds at most 32,766 values: longer lists are sent as they are.
const FILLED_MAX: usize = 8192;

/// Whether a column has one of some values; see [`among`].
#[derive(Debug, Clone)]
pub struct Among<C, T> {
    column: C,
    values: Vec<T>,
}

/// As diesel's `eq_any`, which SQLite takes apart and plans anew each time, because its text is
/// another for every length. Here SQLite gets a list as long as the next power of two, its end
/// filled with the last value; PostgreSQL gets one array, as from diesel.
pub fn among<C, T>(column: C, values: impl Into<Vec<T>>) -> Among<C, T> {
    Among { column, values: values.into() }
}

impl<C: Expression, T> Expression for Among<C, T>
where
    C::SqlType: TypedExpressionType,
{
    type SqlType = Bool;
}
impl<C, T, QS: ?Sized> AppearsOnTable<QS> for Among<C, T>
where
    C: AppearsOnTable<QS>,
    Self: Expression,
{
}
impl<C, T, QS: ?Sized> SelectableExpression<QS> for Among<C, T>
where
    C: SelectableExpression<QS>,
    Self: AppearsOnTable<QS>,
{
}
impl<C: ValidGrouping<G>, T, G> ValidGrouping<G> for Among<C, T> {
    type IsAggregate = C::IsAggregate;
}
impl<C, T> QueryId for Among<C, T> {
    type QueryId = ();
    // The text depends on the values: it is the key under which the statement is kept.
    const HAS_STATIC_QUERY_ID: bool = false;
}

impl<C, T, S> QueryFragment<Pg> for Among<C, T>
where
    C: QueryFragment<Pg> + Expression<SqlType = S>,
    S: SqlType,
    Pg: HasSqlType<S>,
    Vec<T>: ToSql<Array<S>, Pg>,
{
    fn walk_ast<'b>(&'b self, mut pass: AstPass<'_, 'b, Pg>) -> QueryResult<()> {
        self.column.walk_ast(pass.reborrow())?;
        pass.push_sql(" = ANY(");
        pass.push_bind_param::<Array<S>, Vec<T>>(&self.values)?;
        pass.push_sql(")");
        Ok(())
    }
}

impl<C, T, S> QueryFragment<Sqlite> for Among<C, T>
where
    C: QueryFragment<Sqlite> + Expression<SqlType = S>,
    S: SqlType,
    Sqlite: HasSqlType<S>,
    T: ToSql<S, Sqlite>,
{
    fn walk_ast<'b>(&'b self, mut pass: AstPass<'_, 'b, Sqlite>) -> QueryResult<()> {
        let Some(last) = self.values.last() else {
            pass.push_sql("0");
            return Ok(());
        };
        self.column.walk_ast(pass.reborrow())?;
        pass.push_sql(" IN (");
        let fill = match self.values.len() {
            many @ ..=FILLED_MAX => many.next_power_of_two().saturating_sub(many),
            _ => 0,
        };
        let filled = self.values.iter().chain(std::iter::repeat_n(last, fill));
        for (at, value) in filled.enumerate() {
            if at > 0 {
                pass.push_sql(",");
            }
            pass.push_bind_param::<S, T>(value)?;
        }
        pass.push_sql(")");
        Ok(())
    }
}

impl<C, T> QueryFragment<AnyBackend> for Among<C, T>
where
    Self: QueryFragment<Pg> + QueryFragment<Sqlite>,
{
    fn walk_ast<'b>(&'b self, pass: AstPass<'_, 'b, AnyBackend>) -> QueryResult<()> {
        AnyBackend::walk_variant_ast(self, pass)
    }
}
