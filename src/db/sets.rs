//! Lists of values in statements that stay prepared: however many values there are, they are one bound value (two for pairs),
//! an array on PostgreSQL and the text of a JSON array on SQLite.
//!
//! diesel's own `eq_any` does that on PostgreSQL only; on SQLite every number of values is a statement of its own, which is
//! planned anew each time.
use diesel::backend::Backend;
use diesel::expression::{AppearsOnTable, Expression, SelectableExpression, ValidGrouping, is_aggregate};
use diesel::pg::Pg;
use diesel::prelude::*;
use diesel::query_builder::{AstPass, QueryFragment, QueryId};
use diesel::sql_types::{Array, Binary, Bool, Text};
use diesel::sqlite::Sqlite;
use std::cell::OnceCell;

/// Values of one type.
#[derive(Debug)]
pub(super) enum Values {
    Ids(Vec<Vec<u8>>),
    Texts(Vec<String>),
}

impl From<Vec<Vec<u8>>> for Values {
    fn from(ids: Vec<Vec<u8>>) -> Self {
        Self::Ids(ids)
    }
}

impl From<Vec<String>> for Values {
    fn from(texts: Vec<String>) -> Self {
        Self::Texts(texts)
    }
}

impl Values {
    fn push<'b>(&'b self, out: &mut AstPass<'_, 'b, Pg>) -> QueryResult<()> {
        match self {
            Self::Ids(ids) => out.push_bind_param::<Array<Binary>, _>(ids),
            Self::Texts(texts) => out.push_bind_param::<Array<Text>, _>(texts),
        }
    }

    /// The SQL that turns `part`, the text of a value, into that value again on SQLite.
    fn read(&self, part: &'static str) -> [&'static str; 3] {
        match self {
            Self::Ids(_) => ["unhex(", part, ")"],
            Self::Texts(_) => ["", part, ""],
        }
    }

    /// The text of each value, ids in hexadecimal digits.
    fn texts(&self) -> Vec<String> {
        match self {
            Self::Ids(ids) => ids.iter().map(hex::encode).collect(),
            Self::Texts(texts) => texts.clone(),
        }
    }

    /// [`Self::texts`] as a JSON array.
    fn json(&self) -> String {
        match self {
            Self::Texts(texts) => json(texts),
            // Nothing in hexadecimal digits is escaped, and there may be a hundred thousand.
            Self::Ids(ids) => {
                let mut text = String::with_capacity(2 + ids.iter().map(|id| 2 * id.len() + 3).sum::<usize>());
                let mut before = '[';
                for id in ids {
                    text.extend([before, '"']);
                    text.extend(id.iter().flat_map(|byte| [byte >> 4, byte & 0xf]).filter_map(|digit| char::from_digit(digit.into(), 16)));
                    text.push('"');
                    before = ',';
                }
                text.push_str(if ids.is_empty() { "[]" } else { "]" });
                text
            }
        }
    }
}

fn json(texts: &[String]) -> String {
    // Every string has a JSON form.
    serde_json::to_string(texts).unwrap_or_default()
}

/// A condition: a column has one of these values.
#[derive(Debug)]
pub(super) struct Among<C> {
    column: C,
    values: Values,
    json: OnceCell<String>,
}

/// Whether `column` holds one of these ids.
pub(super) fn among_ids<C>(column: C, ids: Vec<Vec<u8>>) -> Among<C> {
    Among { column, values: Values::Ids(ids), json: OnceCell::new() }
}

/// Whether `column` holds one of these texts.
pub(super) fn among<C>(column: C, texts: Vec<String>) -> Among<C> {
    Among { column, values: Values::Texts(texts), json: OnceCell::new() }
}

impl<C: QueryFragment<Pg>> QueryFragment<Pg> for Among<C> {
    fn walk_ast<'b>(&'b self, mut out: AstPass<'_, 'b, Pg>) -> QueryResult<()> {
        self.column.walk_ast(out.reborrow())?;
        out.push_sql(" = ANY(");
        self.values.push(&mut out)?;
        out.push_sql(")");
        Ok(())
    }
}

impl<C: QueryFragment<Sqlite>> QueryFragment<Sqlite> for Among<C> {
    fn walk_ast<'b>(&'b self, mut out: AstPass<'_, 'b, Sqlite>) -> QueryResult<()> {
        self.column.walk_ast(out.reborrow())?;
        out.push_sql(" IN (SELECT ");
        self.values.read("value").iter().for_each(|part| out.push_sql(part));
        out.push_sql(" FROM json_each(");
        out.push_bind_param::<Text, _>(self.json.get_or_init(|| self.values.json()))?;
        out.push_sql("))");
        Ok(())
    }
}

/// A condition: two columns, the first of which is the seller's, hold one of these pairs.
#[derive(Debug)]
pub(super) struct AmongPairs<S, C> {
    seller: S,
    column: C,
    sellers: Vec<Vec<u8>>,
    values: Values,
    /// The only seller, if there is one; then the pairs are a list of values.
    of_one: bool,
    json: OnceCell<String>,
}

/// Whether the seller's id in `seller` and the text or id in `column` are one of these pairs.
pub(super) fn of_sellers<S, C, T>(seller: S, column: C, pairs: impl Iterator<Item = (Vec<u8>, T)>) -> AmongPairs<S, C>
where
    Vec<T>: Into<Values>,
{
    let (sellers, values): (Vec<_>, Vec<T>) = pairs.unzip();
    let of_one = sellers.first().is_some_and(|first| sellers.iter().all(|other| other == first));
    AmongPairs { seller, column, sellers, values: values.into(), of_one, json: OnceCell::new() }
}

impl<S, C> AmongPairs<S, C> {
    /// What precedes the list, where it is that of one seller.
    fn push_one<'b, DB>(&'b self, out: &mut AstPass<'_, 'b, DB>) -> QueryResult<()>
    where
        S: QueryFragment<DB>,
        C: QueryFragment<DB>,
        DB: Backend + diesel::sql_types::HasSqlType<Binary>,
        Vec<u8>: diesel::serialize::ToSql<Binary, DB>,
    {
        self.seller.walk_ast(out.reborrow())?;
        out.push_sql(" = ");
        if let Some(seller) = self.sellers.first() {
            out.push_bind_param::<Binary, _>(seller)?;
        }
        out.push_sql(" AND ");
        self.column.walk_ast(out.reborrow())
    }

    fn push_columns<'b, DB: Backend>(&'b self, out: &mut AstPass<'_, 'b, DB>) -> QueryResult<()>
    where
        S: QueryFragment<DB>,
        C: QueryFragment<DB>,
    {
        out.push_sql("(");
        self.seller.walk_ast(out.reborrow())?;
        out.push_sql(", ");
        self.column.walk_ast(out.reborrow())?;
        out.push_sql(")");
        Ok(())
    }
}

impl<S: QueryFragment<Pg>, C: QueryFragment<Pg>> QueryFragment<Pg> for AmongPairs<S, C> {
    fn walk_ast<'b>(&'b self, mut out: AstPass<'_, 'b, Pg>) -> QueryResult<()> {
        out.push_sql("(");
        if self.of_one {
            self.push_one(&mut out)?;
            out.push_sql(" = ANY(");
        } else {
            self.push_columns(&mut out)?;
            out.push_sql(" IN (SELECT * FROM unnest(");
            out.push_bind_param::<Array<Binary>, _>(&self.sellers)?;
            out.push_sql(", ");
        }
        self.values.push(&mut out)?;
        out.push_sql(if self.of_one { "))" } else { ")))" });
        Ok(())
    }
}

impl<S: QueryFragment<Sqlite>, C: QueryFragment<Sqlite>> QueryFragment<Sqlite> for AmongPairs<S, C> {
    fn walk_ast<'b>(&'b self, mut out: AstPass<'_, 'b, Sqlite>) -> QueryResult<()> {
        out.push_sql("(");
        let value = if self.of_one {
            self.push_one(&mut out)?;
            out.push_sql(" IN (SELECT ");
            "value"
        } else {
            self.push_columns(&mut out)?;
            // A pair is one text: the digits of the seller's id, and those of the value or the value itself.
            out.push_sql(" IN (SELECT unhex(substr(value, 1, 32)), ");
            "substr(value, 33)"
        };
        self.values.read(value).iter().for_each(|part| out.push_sql(part));
        out.push_sql(" FROM json_each(");
        let texts = || match self.of_one {
            true => self.values.texts(),
            false => self.sellers.iter().zip(self.values.texts()).map(|(seller, text)| hex::encode(seller) + &text).collect(),
        };
        out.push_bind_param::<Text, _>(self.json.get_or_init(|| json(&texts())))?;
        out.push_sql(")))");
        Ok(())
    }
}

macro_rules! condition {
    ($name:ident<$($part:ident),+>) => {
        impl<$($part: Expression),+> Expression for $name<$($part),+> {
            type SqlType = Bool;
        }

        /// It has none of its own: prepared statements are distinguished by their text.
        impl<$($part),+> QueryId for $name<$($part),+> {
            type QueryId = ();
            const HAS_STATIC_QUERY_ID: bool = false;
        }

        impl<$($part,)+ Grouping> ValidGrouping<Grouping> for $name<$($part),+> {
            type IsAggregate = is_aggregate::Never;
        }

        impl<$($part: AppearsOnTable<Source>,)+ Source> AppearsOnTable<Source> for $name<$($part),+> where Self: Expression {}

        impl<$($part: SelectableExpression<Source>,)+ Source> SelectableExpression<Source> for $name<$($part),+> where
            Self: AppearsOnTable<Source>
        {
        }
    };
}

condition!(Among<C>);
condition!(AmongPairs<S, C>);
