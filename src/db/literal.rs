//! Conditions that are written into a statement instead of being bound to it.
//!
//! A partial index is used only by a statement that repeats its condition literally; and where a bound value meets the
//! condition of an index, SQLite plans the statement again whenever the value may have changed. Unlike with diesel's own
//! `sql`, a statement with these stays prepared.
use diesel::backend::Backend;
use diesel::expression::{AppearsOnTable, Expression, SelectableExpression, ValidGrouping, is_aggregate};
use diesel::prelude::QueryResult;
use diesel::query_builder::{AstPass, QueryFragment, QueryId};
use diesel::sql_types::{Bool, SingleValue};
use std::marker::PhantomData;

/// A piece of SQL of type `ST`, the same on both backends.
#[derive(Debug, Clone, Copy)]
pub(super) struct Literal<ST>(&'static str, PhantomData<ST>);

pub(super) fn is(condition: &'static str) -> Literal<Bool> {
    literal(condition)
}

pub(super) fn literal<ST>(text: &'static str) -> Literal<ST> {
    Literal(text, PhantomData)
}

impl<ST> Literal<ST> {
    /// For a statement that is written as text.
    pub(super) fn sql(self) -> &'static str {
        self.0
    }
}

impl<ST: SingleValue> Expression for Literal<ST> {
    type SqlType = ST;
}

impl<ST, DB: Backend> QueryFragment<DB> for Literal<ST> {
    fn walk_ast<'b>(&'b self, mut out: AstPass<'_, 'b, DB>) -> QueryResult<()> {
        out.push_sql(self.0);
        Ok(())
    }
}

/// It has none of its own: prepared statements are distinguished by their text.
impl<ST> QueryId for Literal<ST> {
    type QueryId = ();
    const HAS_STATIC_QUERY_ID: bool = false;
}

impl<ST, Grouping> ValidGrouping<Grouping> for Literal<ST> {
    type IsAggregate = is_aggregate::Never;
}

impl<ST, Source> AppearsOnTable<Source> for Literal<ST> where Self: Expression {}

impl<ST, Source> SelectableExpression<Source> for Literal<ST> where Self: Expression {}
