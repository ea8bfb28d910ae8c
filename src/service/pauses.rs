//! Pauses: of everything, of a store, of a SKU, by the seller; and what is paused at present, whoever did it.
use super::context::{Caller, Error, OPERATOR, Result, Service, audited};
use crate::db::pauses::{Paused, Subject};
use crate::db::platform_pauses::PlatformPause;
use crate::db::{self, Tenant};
use crate::domain::ids::check_text;
use crate::domain::limits::MAX_STORES;
use crate::domain::pause::{Level, MAX_PAUSED_SKUS, MAX_REASON_CHARS};
use crate::domain::problem::Checks;
use crate::domain::{FrozenWindowId, Sku, StoreId, Timestamp};
use serde::Serialize;
use serde_json::json;

/// Something that is paused.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, utoipa::ToSchema)]
#[schema(as = PauseAnswer)]
pub struct PauseView {
    /// Whether it is a platform, everything, a store, a SKU, or stores in a frozen window.
    pub level: Level,
    /// The platform whose stores are paused.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub platform: Option<String>,
    /// The store that is paused.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub store_id: Option<StoreId>,
    /// The SKU that is paused, in all stores.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sku: Option<String>,
    /// The frozen window.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub window_id: Option<FrozenWindowId>,
    /// The name of the frozen window.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Since when; null where a former version has paused a store.
    pub since: Option<Timestamp>,
    /// When it ends by itself.
    pub until: Option<Timestamp>,
    /// By whom: a key, or the operator.
    pub by: Option<String>,
    /// Why, in the words of whoever did it.
    pub reason: Option<String>,
}

impl PauseView {
    fn new(level: Level) -> Self {
        let (platform, store_id, sku, window_id, name) = (None, None, None, None, None);
        Self { level, platform, store_id, sku, window_id, name, since: None, until: None, by: None, reason: None }
    }

    /// Where it is in the list: the widest first.
    pub fn position(&self) -> String {
        let level = match self.level {
            Level::Platform => 0,
            Level::Seller => 1,
            Level::Store => 2,
            Level::Sku => 3,
            Level::Window => 4,
        };
        let ids = [self.store_id.map(|id| id.to_string()), self.window_id.map(|id| id.to_string())];
        let subject: String = self.platform.iter().chain(&self.sku).chain(ids.iter().flatten()).map(String::as_str).collect();
        format!("{level} {subject}")
    }
}

impl From<Paused> for PauseView {
    fn from(Paused { subject, since, by, reason }: Paused) -> Self {
        let (level, store_id, sku) = match subject {
            Subject::Everything => (Level::Seller, None, None),
            Subject::Store(id) => (Level::Store, Some(id), None),
            Subject::Sku(sku) => (Level::Sku, None, Some(sku)),
        };
        Self { store_id, sku, since: Some(since), by: Some(by), reason, ..Self::new(level) }
    }
}

impl From<PlatformPause> for PauseView {
    fn from(PlatformPause { platform, since, reason }: PlatformPause) -> Self {
        Self { platform: Some(platform), since: Some(since), by: Some(OPERATOR.to_owned()), reason, ..Self::new(Level::Platform) }
    }
}

/// Checks the reason of a pause.
pub(super) fn check_reason(pointer: &str, reason: Option<&str>) -> Result<()> {
    let mut checks = Checks::default();
    if let Some(reason) = reason {
        checks.take(pointer, check_text(reason, "a reason", MAX_REASON_CHARS));
    }
    Ok(checks.done()?)
}

/// What keeps this seller's stores from being sent to at `now`, the widest first.
///
/// # Errors
/// If the database fails.
pub fn in_force(t: &mut Tenant<'_>, now: Timestamp) -> db::Result<Vec<PauseView>> {
    let (stores, zone) = (t.stores(None, MAX_STORES)?, t.sync_settings()?.timezone);
    let platforms = t.platform_pauses()?.into_iter().filter(|pause| stores.iter().any(|store| store.platform == pause.platform));
    let mut found: Vec<PauseView> = platforms.map(PauseView::from).collect();
    let recorded = t.pauses()?;
    let is_recorded = |id: StoreId| recorded.iter().any(|pause| pause.subject == Subject::Store(id));
    let unrecorded = stores.iter().filter(|store| store.paused && !is_recorded(store.id));
    let unrecorded: Vec<PauseView> =
        unrecorded.map(|store| PauseView { store_id: Some(store.id), ..PauseView::new(Level::Store) }).collect();
    found.extend(recorded.into_iter().map(PauseView::from));
    found.extend(unrecorded);
    for window in t.frozen_windows()?.into_iter().filter(|window| window.contains(now, zone)) {
        let (from, until) = window.interval(zone);
        found.push(PauseView {
            window_id: Some(window.id),
            name: Some(window.name),
            since: Some(from),
            until: Some(until),
            by: Some(window.created_by),
            ..PauseView::new(Level::Window)
        });
    }
    found.sort_by_key(PauseView::position);
    Ok(found)
}

/// Pauses something. One that is paused already stays as it is. Returns the pause.
async fn pause(service: &Service, caller: &Caller, subject: Subject, reason: Option<String>) -> Result<PauseView> {
    check_reason("/reason", reason.as_deref())?;
    let (now, actor) = (service.now(), caller.actor());
    let paused = caller.db.write(move |t| {
        if let Some(there) = t.pause_of(&subject)? {
            return Ok(there);
        }
        if matches!(subject, Subject::Sku(_)) && t.paused_sku_count()? >= MAX_PAUSED_SKUS {
            return Err(db::Error::Conflict(format!("at most {MAX_PAUSED_SKUS} SKUs may be paused at the same time")));
        }
        let new = Paused { subject: subject.clone(), since: now, by: actor.clone(), reason: reason.clone() };
        t.add_pause(&new)?;
        let name = name_of(&subject);
        let mut entry = audited(&actor, "paused", &name);
        entry.after = Some(json!({ "reason": new.reason }));
        t.append_audit(&entry, now)?;
        Ok(new)
    });
    Ok(paused.await?.into())
}

/// Ends a pause, if it is on.
async fn resume(service: &Service, caller: &Caller, subject: Subject) -> Result<()> {
    let (now, actor) = (service.now(), caller.actor());
    let resumed = caller.db.write(move |t| {
        let Some(there) = t.pause_of(&subject)? else { return Ok(()) };
        t.end_pause(&subject, now)?;
        let name = name_of(&subject);
        let mut entry = audited(&actor, "resumed", &name);
        entry.before = Some(json!({ "since": there.since, "by": there.by, "reason": there.reason }));
        t.append_audit(&entry, now)
    });
    Ok(resumed.await?)
}

/// As it is called in the audit log.
fn name_of(subject: &Subject) -> String {
    match subject {
        Subject::Everything => "all stores".to_owned(),
        Subject::Store(id) => format!("store:{id}"),
        Subject::Sku(sku) => format!("sku:{sku}"),
    }
}

/// Pauses all stores: what becomes due waits, and is sent once, merged, after [`resume_all`].
///
/// # Errors
/// A reason that is too long.
pub async fn pause_all(service: &Service, caller: &Caller, reason: Option<String>) -> Result<PauseView> {
    pause(service, caller, Subject::Everything, reason).await
}

/// Ends the pause of all stores. A store that is paused for another reason stays paused.
///
/// # Errors
/// If the database fails.
pub async fn resume_all(service: &Service, caller: &Caller) -> Result<()> {
    resume(service, caller, Subject::Everything).await
}

async fn existing(caller: &Caller, sku: &str) -> Result<Subject> {
    let missing = || Error::Rows(db::Error::NotFound);
    let sku = Sku::parse(sku).map_err(|_| missing())?;
    let wanted = sku.to_string();
    let known = caller.db.read(move |t| Ok(t.sku_names(&[wanted.as_str()])?.contains_key(&wanted))).await?;
    if known { Ok(Subject::Sku(sku.to_string())) } else { Err(missing()) }
}

/// Pauses a SKU in all stores.
///
/// # Errors
/// No such SKU, a reason that is too long, or a conflict if too many are paused.
pub async fn pause_sku(service: &Service, caller: &Caller, sku: &str, reason: Option<String>) -> Result<PauseView> {
    pause(service, caller, existing(caller, sku).await?, reason).await
}

/// Ends the pause of a SKU.
///
/// # Errors
/// No such SKU.
pub async fn resume_sku(service: &Service, caller: &Caller, sku: &str) -> Result<()> {
    resume(service, caller, existing(caller, sku).await?).await
}

/// Records that a store was paused or resumed, which its own row decides.
pub(super) fn record_store(
    t: &mut Tenant<'_>,
    store: StoreId,
    paused: bool,
    (by, reason): (&str, Option<&str>),
    now: Timestamp,
) -> db::Result<()> {
    let subject = Subject::Store(store);
    if !paused {
        return t.end_pause(&subject, now);
    }
    t.add_pause(&Paused { subject, since: now, by: by.to_owned(), reason: reason.map(str::to_owned) })
}
