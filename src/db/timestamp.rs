//! [`Timestamp`] as a column: a `BIGINT` of milliseconds since 1970, on both backends.
use crate::domain::Timestamp;
use diesel::backend::Backend;
use diesel::deserialize::{self, FromSql, Queryable};
use diesel::expression::AsExpression;
use diesel::internal::derives::as_expression::Bound;
use diesel::pg::Pg;
use diesel::serialize::{self, IsNull, Output, ToSql};
use diesel::sql_types::{BigInt, Nullable};
use diesel::sqlite::Sqlite;

macro_rules! as_expression {
    ($($type:ty => $sql_type:ty),+ $(,)?) => {$(
        impl<'a> AsExpression<$sql_type> for $type {
            type Expression = Bound<$sql_type, Self>;
            fn as_expression(self) -> Self::Expression {
                Bound::new(self)
            }
        }
    )+};
}
as_expression! {
    Timestamp => BigInt,
    Timestamp => Nullable<BigInt>,
    &'a Timestamp => BigInt,
    &'a Timestamp => Nullable<BigInt>,
}

impl ToSql<BigInt, Sqlite> for Timestamp {
    fn to_sql<'b>(&'b self, out: &mut Output<'b, '_, Sqlite>) -> serialize::Result {
        out.set_value(self.as_millis());
        Ok(IsNull::No)
    }
}

impl ToSql<BigInt, Pg> for Timestamp {
    fn to_sql<'b>(&'b self, out: &mut Output<'b, '_, Pg>) -> serialize::Result {
        ToSql::<BigInt, Pg>::to_sql(&self.as_millis(), &mut out.reborrow())
    }
}

impl<DB: Backend> ToSql<Nullable<BigInt>, DB> for Timestamp
where
    Self: ToSql<BigInt, DB>,
{
    fn to_sql<'b>(&'b self, out: &mut Output<'b, '_, DB>) -> serialize::Result {
        ToSql::<BigInt, DB>::to_sql(self, out)
    }
}

impl<DB: Backend> FromSql<BigInt, DB> for Timestamp
where
    i64: FromSql<BigInt, DB>,
{
    fn from_sql(value: DB::RawValue<'_>) -> deserialize::Result<Self> {
        <i64 as FromSql<BigInt, DB>>::from_sql(value).map(Self::from_millis)
    }
}

impl<DB: Backend> Queryable<BigInt, DB> for Timestamp
where
    Self: FromSql<BigInt, DB>,
{
    type Row = Self;
    fn build(row: Self) -> deserialize::Result<Self> {
        Ok(row)
    }
}
