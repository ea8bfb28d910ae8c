//! Who changed what: settings, rules, stores, keys. Written in the transaction of the change; never holds a secret.
use super::connection::on;
use super::schema::audit;
use super::{Error, Result, Tenant};
use crate::domain::{RunId, Timestamp};
use diesel::prelude::*;
use serde_json::Value;
use uuid::Uuid;

/// One entry of the audit log.
#[derive(Debug, Clone, PartialEq)]
pub struct AuditEntry {
    /// Sorts by time.
    pub id: Uuid,
    /// When it was written.
    pub at: Timestamp,
    /// `operator`, or `key:` and the key's id.
    pub actor: String,
    /// What was done, for example `store.update`.
    pub action: String,
    /// What was changed.
    pub subject: String,
    /// The value before the change.
    pub before: Option<Value>,
    /// The value after the change.
    pub after: Option<Value>,
}

#[derive(Queryable, Insertable, Debug)]
#[diesel(table_name = audit)]
struct AuditRow {
    seller_id: Vec<u8>,
    id: Vec<u8>,
    at: Timestamp,
    actor: String,
    action: String,
    subject: String,
    before: Option<String>,
    after: Option<String>,
}

/// A change to be written to the audit log.
#[derive(Debug, Clone, PartialEq)]
pub struct Change<'a> {
    /// See [`AuditEntry::actor`].
    pub actor: &'a str,
    /// See [`AuditEntry::action`].
    pub action: &'a str,
    /// What was changed.
    pub subject: &'a str,
    /// The value before the change.
    pub before: Option<Value>,
    /// The value after the change.
    pub after: Option<Value>,
}

impl Tenant<'_> {
    /// Writes a change to the audit log.
    pub fn append_audit(&mut self, change: &Change<'_>, now: Timestamp) -> Result<()> {
        let row = AuditRow {
            seller_id: self.key(),
            // Any id that sorts by time will do: nothing refers to an entry.
            id: RunId::new(now).bytes(),
            at: now,
            actor: change.actor.to_owned(),
            action: change.action.to_owned(),
            subject: change.subject.to_owned(),
            before: change.before.as_ref().map(Value::to_string),
            after: change.after.as_ref().map(Value::to_string),
        };
        on!(self.conn, c => diesel::insert_into(audit::table).values(&row).execute(c))?;
        Ok(())
    }

    /// The entries older than `after`, newest first.
    pub fn audit(&mut self, after: Option<Uuid>, limit: i64) -> Result<Vec<AuditEntry>> {
        let scope = self.scope();
        let after = after.unwrap_or(Uuid::max()).as_bytes().to_vec();
        let rows: Vec<AuditRow> = on!(self.conn, c => scope.audit()
            .filter(audit::id.lt(&after)).order(audit::id.desc()).limit(limit).load(c))?;
        let json = |text: Option<String>| text.map(|text| serde_json::from_str(&text)).transpose();
        rows.into_iter()
            .map(|row| {
                let corrupt = |_| Error::Corrupt("audit".to_owned());
                Ok(AuditEntry {
                    id: Uuid::from_slice(&row.id).map_err(|_| Error::Corrupt("audit.id".to_owned()))?,
                    at: row.at,
                    actor: row.actor,
                    action: row.action,
                    subject: row.subject,
                    before: json(row.before).map_err(corrupt)?,
                    after: json(row.after).map_err(corrupt)?,
                })
            })
            .collect()
    }
}
