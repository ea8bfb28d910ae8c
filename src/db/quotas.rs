//! The calls that platforms' apps have made lately: an app may serve several sellers, so these rows belong to none.
use super::connection::on;
use super::schema::app_calls;
use super::{Conn, Result};
use diesel::prelude::*;

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
