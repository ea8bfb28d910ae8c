//! The calls that platforms' apps have made lately: an app may serve several sellers, so these rows belong to none.
use super::connection::{Backend, on};
use super::schema::app_calls;
use super::{Conn, Result};
use diesel::prelude::*;
use diesel::sql_types::Text;

/// The calls of an app that other nodes have written down, by slot, from `since` on: those in rows whose names begin with the app's, but
/// are not `own`.
pub fn app_calls_of_others(conn: &mut Conn, app: &str, own: &str, since: i64) -> Result<Vec<(i64, i64)>> {
    Ok(on!(conn, c => app_calls::table.select((app_calls::slot, app_calls::calls)).filter(app_calls::app.like(format!("{app}%")))
        .filter(app_calls::app.ne(own)).filter(app_calls::slot.ge(since)).load(c))?)
}

/// Until the commit, no other node writes down or counts the calls of this app.
pub fn lock_app(conn: &mut Conn, app: &str) -> Result<()> {
    if let Backend::Postgres(c) = &mut conn.backend {
        diesel::sql_query("SELECT pg_advisory_xact_lock(hashtextextended($1, 0))").bind::<Text, _>(app).execute(c)?;
    }
    Ok(())
}

/// An app's calls by slot, from `since` on.
pub fn app_calls(conn: &mut Conn, app: &str, since: i64) -> Result<Vec<(i64, i64)>> {
    Ok(on!(conn, c => app_calls::table.select((app_calls::slot, app_calls::calls))
        .filter(app_calls::app.eq(app)).filter(app_calls::slot.ge(since)).order(app_calls::slot).load(c))?)
}

/// Sets the calls of these slots of an app, and deletes those before `since`.
pub fn save_app_calls(conn: &mut Conn, app: &str, slots: &[(i64, u32)], since: i64) -> Result<()> {
    on!(conn, c => diesel::delete(app_calls::table.filter(app_calls::app.eq(app)).filter(app_calls::slot.lt(since))).execute(c))?;
    for (slot, calls) in slots {
        let calls = i64::from(*calls);
        on!(conn, c => diesel::insert_into(app_calls::table)
            .values((app_calls::app.eq(app), app_calls::slot.eq(slot), app_calls::calls.eq(calls)))
            .on_conflict((app_calls::app, app_calls::slot)).do_update().set(app_calls::calls.eq(calls)).execute(c))?;
    }
    Ok(())
}
