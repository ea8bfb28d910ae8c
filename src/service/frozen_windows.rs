//! Frozen windows: the calendar of times during which nothing is sent.
use super::context::{Caller, Error, Result, Service, audited};
use crate::db::stores::Store;
use crate::db::{self, Tenant};
use crate::domain::frozen::{FrozenWindow, KEPT_FOR, LOCAL, MAX_WINDOWS, parse_local};
use crate::domain::ids::check_text;
use crate::domain::limits::{MAX_NAME_CHARS, MAX_STORES};
use crate::domain::problem::Checks;
use crate::domain::{FrozenWindowId, StoreId, Timestamp};
use chrono_tz::Tz;
use serde::Serialize;
use serde_json::json;

/// A window as it was entered.
#[derive(Debug, Clone, Default)]
pub struct EnteredWindow {
    /// What the seller calls it.
    pub name: String,
    /// When it begins, in local time.
    pub from: String,
    /// When it ends, in local time.
    pub to: String,
    /// Only these stores.
    pub store_ids: Option<Vec<StoreId>>,
}

/// A window as it appears in answers and in the audit log.
#[derive(Debug, Clone, Serialize, utoipa::ToSchema)]
#[schema(as = FrozenWindowAnswer)]
pub struct WindowView {
    /// Its id.
    pub id: FrozenWindowId,
    /// What the seller calls it.
    pub name: String,
    /// When it begins, in the seller's time zone.
    #[schema(example = "2026-12-24T18:00")]
    pub from: String,
    /// When it ends, in the seller's time zone.
    #[schema(example = "2026-12-27T06:00")]
    pub to: String,
    /// The stores to which nothing is sent; null for all.
    pub store_ids: Option<Vec<StoreId>>,
    /// The instant at which it begins.
    pub begins_at: Timestamp,
    /// The instant at which it ends.
    pub ends_at: Timestamp,
    /// Whether it is on.
    pub active: bool,
    /// Who has entered it.
    pub created_by: String,
    /// When it was entered.
    pub created_at: Timestamp,
}

/// Describes a window as of `now`.
pub fn view(window: &FrozenWindow, zone: Tz, now: Timestamp) -> WindowView {
    let (begins_at, ends_at) = window.interval(zone);
    WindowView {
        id: window.id,
        name: window.name.clone(),
        from: window.from.format(LOCAL).to_string(),
        to: window.to.format(LOCAL).to_string(),
        store_ids: window.store_ids.clone(),
        begins_at,
        ends_at,
        active: window.contains(now, zone),
        created_by: window.created_by.clone(),
        created_at: window.created_at,
    }
}

/// The seller's windows in the order in which they begin, as of `now`.
///
/// # Errors
/// If the database fails.
pub fn list(t: &mut Tenant<'_>, now: Timestamp) -> db::Result<Vec<WindowView>> {
    let zone = t.sync_settings()?.timezone;
    Ok(t.frozen_windows()?.iter().map(|window| view(window, zone, now)).collect())
}

/// Adds a window. Where it is on already, it holds from now on.
///
/// # Errors
/// Every invalid field, a store that does not exist, or a conflict if there are too many.
pub async fn add(service: &Service, caller: &Caller, entered: EnteredWindow) -> Result<WindowView> {
    let mut checks = Checks::default();
    checks.take("/name", check_text(&entered.name, "a name", MAX_NAME_CHARS));
    let from = checks.take("/from", parse_local(&entered.from));
    let to = checks.take("/to", parse_local(&entered.to));
    match entered.store_ids.as_deref() {
        Some([]) => checks.note("/store_ids", "is empty; omit it for all"),
        Some(ids) if i64::try_from(ids.len()).is_ok_and(|count| count > MAX_STORES) => {
            checks.note("/store_ids", format!("may have at most {MAX_STORES} entries"));
        }
        _ => {}
    }
    checks.done()?;
    let (Some(from), Some(to)) = (from, to) else { return Err(Error::field("/from", "is required")) };
    let (now, actor) = (service.now(), caller.actor());
    let (id, name, store_ids) = (FrozenWindowId::new(now), entered.name, entered.store_ids);
    let window = FrozenWindow { id, name, from, to, store_ids, created_at: now, created_by: actor.clone() };
    let added = caller.db.write(move |t| {
        if let Some(index) = t.missing_store(window.store_ids.as_deref().unwrap_or_default())? {
            return Ok(Err(Error::NoSuch { pointer: format!("/store_ids/{index}"), what: "store" }));
        }
        let zone = t.sync_settings()?.timezone;
        window.check(zone, now).map_err(db::Error::Invalid)?;
        let (old, kept): (Vec<_>, Vec<_>) = t.frozen_windows()?.into_iter().partition(|window| window.interval(zone).1 + KEPT_FOR < now);
        if kept.len() >= MAX_WINDOWS {
            return Err(db::Error::Conflict(format!("a seller may have at most {MAX_WINDOWS} frozen windows; delete one that is over")));
        }
        for window in old {
            t.delete_frozen_window(window.id)?;
        }
        t.add_frozen_window(&window)?;
        t.freeze(now)?;
        let view = view(&window, zone, now);
        let mut entry = audited(&actor, "frozen_window.added", &window.name);
        entry.after = Some(json!(view));
        t.append_audit(&entry, now)?;
        Ok(Ok(view))
    });
    added.await?
}

/// Deletes a window. If it is on, it ends, and what has waited is sent.
///
/// # Errors
/// No such window.
pub async fn remove(service: &Service, caller: &Caller, id: FrozenWindowId) -> Result<()> {
    let (now, actor) = (service.now(), caller.actor());
    let removed = caller.db.write(move |t| {
        let zone = t.sync_settings()?.timezone;
        let Some(window) = t.frozen_windows()?.into_iter().find(|window| window.id == id) else { return Err(db::Error::NotFound) };
        t.delete_frozen_window(id)?;
        t.freeze(now)?;
        let mut entry = audited(&actor, "frozen_window.removed", &window.name);
        entry.before = Some(json!(view(&window, zone, now)));
        t.append_audit(&entry, now)
    });
    Ok(removed.await?)
}

/// The window that keeps a store from being sent to at `now`, if it is one that does; of several, the one that ends last.
///
/// # Errors
/// If the database fails.
pub(super) fn window_over(t: &mut Tenant<'_>, store: &Store, now: Timestamp) -> db::Result<Option<WindowView>> {
    if store.above.frozen.until(now).is_none() {
        return Ok(None);
    }
    let windows = list(t, now)?;
    let concerned =
        windows.into_iter().filter(|window| window.active && window.store_ids.as_ref().is_none_or(|ids| ids.contains(&store.id)));
    Ok(concerned.max_by_key(|window| window.ends_at))
}
