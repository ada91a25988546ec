//! Which tasks are still to be done, as the indexes of open tasks have it, written out: SQLite takes such an
//! index only for the very words that made it, and never for bound values.

use diesel::QueryResult;
use diesel::backend::Backend;
use diesel::expression::{
    AppearsOnTable, Expression, SelectableExpression, ValidGrouping, is_aggregate,
};
use diesel::query_builder::{AstPass, QueryFragment, QueryId};
use diesel::sql_types::Bool;

use crate::base::schema::tasks;

/// Declares a condition on `tasks`: columns, each followed by what is said of it.
macro_rules! condition {
    ($(#[$meta:meta])* $name:ident $first:ident $said:literal $($next:ident $more:literal)*) => {
        $(#[$meta])*
        #[derive(Debug, Clone, Copy, QueryId)]
        pub(crate) struct $name;

        impl Expression for $name {
            type SqlType = Bool;
        }
        impl<QS: ?Sized> AppearsOnTable<QS> for $name where tasks::status: AppearsOnTable<QS> {}
        impl<QS: ?Sized> SelectableExpression<QS> for $name where
            tasks::status: SelectableExpression<QS>
        {
        }
        impl<G> ValidGrouping<G> for $name {
            type IsAggregate = is_aggregate::No;
        }
        impl<DB: Backend> QueryFragment<DB> for $name
        where
            tasks::$first: QueryFragment<DB>,
            $(tasks::$next: QueryFragment<DB>,)*
        {
            fn walk_ast<'b>(&'b self, mut pass: AstPass<'_, 'b, DB>) -> QueryResult<()> {
                pass.push_sql("(");
                tasks::$first.walk_ast(pass.reborrow())?;
                pass.push_sql($said);
                $(
                    pass.push_sql(" AND ");
                    tasks::$next.walk_ast(pass.reborrow())?;
                    pass.push_sql($more);
                )*
                pass.push_sql(")");
                Ok(())
            }
        }
    };
}

condition! {
    /// Something is still to be done.
    IsOpen
    status " IN ('requested', 'accepted', 'in-progress')"
}

condition! {
    /// A patient is still to be told.
    IsUntold
    code " = 'untold'" status " IN ('requested', 'accepted', 'in-progress')"
}
