//! Conditions that are written into a statement instead of being bound to it.
//!
//! A partial index is of use only where its condition stands in the statement itself; and where a bound value stands
//! against a condition of an index, SQLite plans the statement anew each time that the value may be another. Unlike
//! diesel's own `sql`, a statement with these is kept prepared.
use diesel::backend::Backend;
use diesel::expression::{AppearsOnTable, Expression, SelectableExpression, ValidGrouping, is_aggregate};
use diesel::prelude::QueryResult;
use diesel::query_builder::{AstPass, QueryFragment, QueryId};
use diesel::sql_types::{Bool, SingleValue};
use std::marker::PhantomData;

/// A piece of SQL of this type, the same on both backends.
#[derive(Debug, Clone, Copy)]
pub(super) struct Literal<ST>(&'static str, PhantomData<ST>);

/// A condition.
pub(super) fn is(condition: &'static str) -> Literal<Bool> {
    literal(condition)
}

/// A piece of SQL of type `ST`.
pub(super) fn literal<ST>(text: &'static str) -> Literal<ST> {
    Literal(text, PhantomData)
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

/// None of its own: prepared statements are told apart by their text.
impl<ST> QueryId for Literal<ST> {
    type QueryId = ();
    const HAS_STATIC_QUERY_ID: bool = false;
}

impl<ST, Grouping> ValidGrouping<Grouping> for Literal<ST> {
    type IsAggregate = is_aggregate::Never;
}

impl<ST, Source> AppearsOnTable<Source> for Literal<ST> where Self: Expression {}

impl<ST, Source> SelectableExpression<Source> for Literal<ST> where Self: Expression {}
