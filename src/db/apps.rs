//! The operator's apps, one for each platform: they belong to no seller. And what the operator has changed.
use super::connection::on;
use super::schema::{apps, operator_audit};
use super::{Conn, Error, Result};
use crate::domain::{RunId, Timestamp};
use diesel::prelude::*;
use serde_json::Value;
use uuid::Uuid;

/// An app as stored.
#[derive(Debug, Clone, PartialEq, Eq, Queryable, Insertable, AsChangeset)]
#[diesel(table_name = apps)]
pub struct AppRow {
    /// The connector's name.
    pub platform: String,
    /// How the platform names the app.
    pub client_id: String,
    /// A JSON object without secrets.
    pub settings: String,
    /// The app's secret, sealed.
    pub secret: Vec<u8>,
    /// When it was first entered.
    pub created_at: Timestamp,
    /// When it was last changed.
    pub updated_at: Timestamp,
}

/// All apps, by platform. There are at most as many as connectors.
pub fn apps(conn: &mut Conn) -> Result<Vec<AppRow>> {
    Ok(on!(conn, c => apps::table.order(apps::platform).load(c))?)
}

/// The app on this platform, if the operator has entered one.
pub fn app(conn: &mut Conn, platform: &str) -> Result<Option<AppRow>> {
    Ok(on!(conn, c => apps::table.find(platform).get_result(c).optional())?)
}

/// Inserts or replaces an app.
pub fn save_app(conn: &mut Conn, row: &AppRow) -> Result<()> {
    on!(conn, c => diesel::insert_into(apps::table).values(row).on_conflict(apps::platform).do_update().set(row).execute(c))?;
    Ok(())
}

/// Replaces the sealed secret of an app, if it is still as it was read. Returns whether it was.
pub fn replace_secret(conn: &mut Conn, platform: &str, before: &[u8], after: &[u8]) -> Result<bool> {
    let replaced = on!(conn, c => diesel::update(apps::table.find(platform)).filter(apps::secret.eq(before))
        .set(apps::secret.eq(after)).execute(c))?;
    Ok(replaced > 0)
}

/// Deletes an app.
///
/// # Errors
/// [`Error::NotFound`] when there is none.
pub fn delete_app(conn: &mut Conn, platform: &str) -> Result<()> {
    match on!(conn, c => diesel::delete(apps::table.find(platform)).execute(c))? {
        0 => Err(Error::NotFound),
        _ => Ok(()),
    }
}

/// An entry of the operator's log; it never contains secrets.
#[derive(Debug, Clone, PartialEq)]
pub struct OperatorEntry {
    /// Sorts by time.
    pub id: Uuid,
    /// When it was written.
    pub at: Timestamp,
    /// What was done, such as `app.changed`.
    pub action: String,
    /// What was changed.
    pub subject: String,
    /// The value before the change.
    pub before: Option<Value>,
    /// The value after the change.
    pub after: Option<Value>,
}

type EntryRow = (Vec<u8>, Timestamp, String, String, Option<String>, Option<String>);

/// Writes down what the operator has changed.
pub fn append_operator_audit(
    conn: &mut Conn,
    (action, subject): (&str, &str),
    before: Option<&Value>,
    after: Option<&Value>,
    now: Timestamp,
) -> Result<()> {
    // Any id that sorts by time will do: nothing refers to an entry.
    let id = RunId::new(now).bytes();
    on!(conn, c => diesel::insert_into(operator_audit::table).values((
        operator_audit::id.eq(&id), operator_audit::at.eq(now), operator_audit::action.eq(action), operator_audit::subject.eq(subject),
        operator_audit::before.eq(before.map(Value::to_string)), operator_audit::after.eq(after.map(Value::to_string)),
    )).execute(c))?;
    Ok(())
}

/// Whether the same was written down since then.
pub fn is_in_operator_audit(conn: &mut Conn, (action, subject): (&str, &str), after: &Value, since: Timestamp) -> Result<bool> {
    let same = operator_audit::table
        .select(operator_audit::id)
        .filter(operator_audit::at.gt(since))
        .filter(operator_audit::action.eq(action))
        .filter(operator_audit::subject.eq(subject))
        .filter(operator_audit::after.eq(after.to_string()));
    let found: Option<Vec<u8>> = on!(conn, c => same.first(c).optional())?;
    Ok(found.is_some())
}

/// The entries older than `after`, newest first.
pub fn operator_audit(conn: &mut Conn, after: Option<Uuid>, limit: i64) -> Result<Vec<OperatorEntry>> {
    let after = after.unwrap_or(Uuid::max()).as_bytes().to_vec();
    let rows: Vec<EntryRow> = on!(conn, c => operator_audit::table
        .filter(operator_audit::id.lt(&after)).order(operator_audit::id.desc()).limit(limit).load(c))?;
    let corrupt = || Error::Corrupt("operator_audit".to_owned());
    let json = |text: Option<String>| text.map(|text| serde_json::from_str(&text)).transpose().map_err(|_| corrupt());
    let entry = |(id, at, action, subject, before, after): EntryRow| {
        let id = Uuid::from_slice(&id).map_err(|_| corrupt())?;
        Ok(OperatorEntry { id, at, action, subject, before: json(before)?, after: json(after)? })
    };
    rows.into_iter().map(entry).collect()
}
