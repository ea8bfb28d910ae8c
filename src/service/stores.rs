//! Stores: where stock is shown. Credentials go in and never come out.
pub use super::checks::{Checked, check};
pub(super) use super::checks::{ask, connect, reason_of};
use super::connection::{self, Credentials, connection};
use super::context::{Caller, Result, Service, audited};
use super::grants::grant_of;
use super::pauses::record_store;
use super::removal::{self, Removed};
use super::shares::{check_shares, percent};
use super::shops::{check_shop_is_new, connection_of, shop_of};
pub use super::store_change::StoreChange;
use super::store_figures::{ListingFigures, OverwriteOffer};
use crate::db::grants::Grant;
use crate::db::pushes::CancelScope;
use crate::db::stores::Store;
use crate::db::{self, Error, Tenant};
use crate::domain::allocation::Share;
use crate::domain::falls::{Falls, Restocks};
use crate::domain::limits::MAX_STORES;
use crate::domain::pause::{Above, Pause};
use crate::domain::problem::Checks;
use crate::domain::switching::StoreSwitches;
use crate::domain::{FieldError, StoreId, Timestamp, WarehouseCode, unseen};
use crate::platforms::{by_name, registry, transport};
use serde::Serialize;
use serde_json::{Map, Value, json};

/// Whether a store is pushed to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum StoreState {
    /// It is pushed to.
    Working,
    /// Its pushes are held until it is resumed, or a frozen window ends.
    Paused,
    /// It refused its credentials; its pushes are held until it accepts them again or gets new ones.
    NeedsReauthorisation,
    /// Synchronization is switched off.
    Off,
}

/// Why a store in rehearsal is paused.
const REHEARSAL: &str = "In rehearsal until it goes live";

/// A store as it appears in answers and in the audit log.
#[derive(Serialize, utoipa::ToSchema)]
#[schema(as = StoreAnswer)]
#[expect(missing_debug_implementations, reason = "a store's settings are its own business")]
pub struct StoreView {
    id: StoreId,
    name: String,
    platform: String,
    base_url: Option<String>,
    /// The warehouses it ships from; null for all.
    warehouses: Option<Vec<String>>,
    /// Its share of the pool, in percent; null for none.
    #[serde(serialize_with = "percent")]
    share_percent: Option<f64>,
    sync_enabled: bool,
    paused: bool,
    /// Whether overwrites leave out what the store has sold and nobody has reported yet.
    protect_unseen_sales: bool,
    /// For how many hours they do so; after that, what is missing in the store counts as drift.
    unseen_sales_hours: i64,
    /// When the first sale was reported that names the store. Unseen sales are protected from then on.
    sales_named_at: Option<Timestamp>,
    /// For which reasons falls are pushed to it: `adjustment`, `count`, `transfer`, `offline_sale`, `sale_elsewhere`.
    pushed_falls: Vec<&'static str>,
    /// Whether the store puts returned goods back on sale by itself.
    restocks_returns: bool,
    /// The same for canceled orders.
    restocks_cancellations: bool,
    state: StoreState,
    /// What keeps it from being sent to, if it is paused; its own pause is `paused`.
    pause: Option<Pause>,
    /// Whether it is new and paused until it goes live; nothing has been sent to it.
    rehearsal: bool,
    /// What is wrong with it, in plain words.
    problem: Option<String>,
    /// Whether credentials are stored for it; they are never shown.
    has_credentials: bool,
    last_success_at: Option<Timestamp>,
    created_at: Timestamp,
    updated_at: Timestamp,
    /// When its tokens end, unless its seller authorizes again; only where a single store is read, and that is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    authorization_ends_at: Option<Timestamp>,
    /// What its listings show; only where a single store is read.
    #[serde(skip_serializing_if = "Option::is_none")]
    listings: Option<ListingFigures>,
    /// An overwrite that is offered because listings do not show their targets; only where a single store is read.
    #[serde(skip_serializing_if = "Option::is_none")]
    overwrite: Option<OverwriteOffer>,
    /// The connector's own settings.
    #[serde(flatten)]
    #[schema(value_type = Object)]
    config: Map<String, Value>,
}

impl StoreState {
    /// The state of a store with these columns.
    pub fn of(needs_reauthorisation: bool, paused: bool, sync_enabled: bool) -> Self {
        if needs_reauthorisation {
            Self::NeedsReauthorisation
        } else if paused {
            Self::Paused
        } else if !sync_enabled {
            Self::Off
        } else {
            Self::Working
        }
    }
}

/// Whether a store is pushed to at `now`, according to its row.
pub fn state_of(store: &Store, now: Timestamp) -> StoreState {
    StoreState::of(store.needs_reauthorisation, store.pause(now).is_some(), store.sync_enabled)
}

/// The store without its secrets, as of `now`.
pub fn view(store: &Store, now: Timestamp) -> StoreView {
    StoreView {
        id: store.id,
        name: store.name.clone(),
        platform: store.platform.clone(),
        base_url: store.base_url.clone(),
        warehouses: store.warehouses.as_ref().map(|codes| codes.iter().map(ToString::to_string).collect()),
        share_percent: store.share.map(Share::percent),
        sync_enabled: store.sync_enabled,
        paused: store.paused,
        protect_unseen_sales: store.protect_unseen_sales,
        unseen_sales_hours: store.unseen_sales_hours,
        sales_named_at: store.sales_named_at,
        pushed_falls: store.falls.words(),
        restocks_returns: store.restocks.returns,
        restocks_cancellations: store.restocks.cancellations,
        state: state_of(store, now),
        pause: store.pause(now),
        rehearsal: store.rehearsal,
        problem: store.problem.clone(),
        has_credentials: store.credentials.is_some(),
        last_success_at: store.last_success_at,
        created_at: store.created_at,
        updated_at: store.updated_at,
        authorization_ends_at: None,
        listings: None,
        overwrite: None,
        config: serde_json::from_str(&store.config).unwrap_or_default(),
    }
}

impl StoreView {
    /// The same, with when its tokens end.
    pub fn with_grant(self, grant: &Grant) -> Self {
        Self { authorization_ends_at: grant.ends_at, ..self }
    }

    /// The same, with what the store's listings show.
    pub fn with_figures(self, (listings, overwrite): (ListingFigures, Option<OverwriteOffer>)) -> Self {
        Self { listings: Some(listings), overwrite, ..self }
    }
}

/// Checks with the connector that the store's settings and credentials are valid.
fn check_with_platform(service: &Service, store: &Store, credentials: &Credentials) -> Result<(), Vec<FieldError>> {
    let Some(platform) = by_name(&store.platform) else {
        let known: Vec<&str> = registry().iter().map(|p| p.name()).collect();
        return Err(vec![FieldError::new("/platform", format!("must be one of: {}", known.join(", ")))]);
    };
    platform.check_config(&connection_of(store, credentials))?;
    let literal = store.base_url.as_deref().and_then(transport::literal_address);
    if !service.allow_private_targets && literal.is_some_and(|ip| !transport::is_public(ip)) {
        return Err(vec![FieldError::new("/base_url", "must not be a loopback or private address")]);
    }
    Ok(())
}

fn seal(service: &Service, t: &Tenant<'_>, store: StoreId, credentials: &Credentials) -> db::Result<Option<Vec<u8>>> {
    connection::seal(t.seller(), store, credentials, &service.sealer).map_err(|e| Error::Unavailable(e.to_string()))
}

fn check_warehouses(t: &mut Tenant<'_>, store: &Store) -> db::Result<()> {
    let codes = store.warehouses.clone().unwrap_or_default();
    let unknown = t.unknown_warehouses(&codes)?;
    let error = |code: &WarehouseCode| FieldError::new("/warehouses", format!("warehouse {code} does not exist; create it first"));
    if unknown.is_empty() { Ok(()) } else { Err(Error::Invalid(unknown.iter().map(error).collect())) }
}

/// Adds a store.
///
/// # Errors
/// Every invalid field, or a conflict if the seller has too many stores or has connected this shop already.
pub async fn create(service: &Service, caller: &Caller, entered: StoreChange) -> Result<Store> {
    let mut checks = Checks::default();
    if entered.name.is_none() {
        checks.note("/name", "is required");
    }
    if entered.platform.is_none() {
        checks.note("/platform", "is required");
    }
    checks.done()?;
    let now = service.now();
    let mut store = Store {
        id: StoreId::new(now),
        name: String::new(),
        platform: entered.platform.clone().unwrap_or_default(),
        base_url: None,
        config: "{}".to_owned(),
        credentials: None,
        warehouses: None,
        share: Some(Share::ALL),
        sync_enabled: true,
        paused: false,
        needs_reauthorisation: false,
        problem: None,
        probe_at: None,
        last_success_at: None,
        created_at: now,
        updated_at: now,
        shop: None,
        write_refused: false,
        protect_unseen_sales: true,
        unseen_sales_hours: unseen::DEFAULT_HOURS,
        sales_named_at: None,
        has_multiples: false,
        repeats_skus: false,
        above: Above::default(),
        resumes_at: None,
        rehearsal: false,
        falls: Falls::default(),
        restocks: Restocks::default(),
    };
    let mut credentials = Credentials::new();
    (store.rehearsal, store.paused) = (entered.rehearsal == Some(true), entered.rehearsal == Some(true));
    entered.apply(&mut store, &mut credentials)?;
    check_with_platform(service, &store, &credentials)?;
    let (service, actor) = (service.clone(), caller.actor());
    let saved = caller.db.write(move |t| {
        let most = t.limits()?.max_stores();
        if i64::try_from(t.stores(None, MAX_STORES)?.len()).unwrap_or(i64::MAX) >= most {
            return Err(Error::Conflict(format!("a seller may have at most {most} stores")));
        }
        let mut store = store.clone();
        check_warehouses(t, &store)?;
        check_shop_is_new(t, &store)?;
        store.shop = shop_of(&store);
        store.above = t.above(&store)?;
        store.resumes_at = store.above.frozen.next_end(now);
        store.credentials = seal(&service, t, store.id, &credentials)?;
        t.save_store(&store)?;
        if store.paused {
            let why = entered.pause_reason.as_deref().or(store.rehearsal.then_some(REHEARSAL));
            record_store(t, store.id, true, (&actor, why), now)?;
        }
        if store.credentials.is_some() {
            t.save_grant(store.id, &grant_of(store.id, &credentials, entered.client_id.clone(), now))?;
        }
        let settings = t.sync_settings()?;
        check_shares(t, &settings, "/share_percent")?;
        let mut entry = audited(&actor, "store.created", &store.name);
        entry.after = Some(json!(view(&store, now)));
        t.append_audit(&entry, now)?;
        Ok(store)
    });
    Ok(saved.await?)
}

fn switches(store: &Store) -> StoreSwitches {
    let Store { sync_enabled, paused, needs_reauthorisation, .. } = *store;
    StoreSwitches { sync_enabled, paused, needs_reauthorisation }
}

/// Changes a store, and holds, releases or cancels its waiting pushes accordingly.
///
/// # Errors
/// No such store, every invalid field, or a conflict if it becomes a shop that the seller has connected already.
pub async fn change(service: &Service, caller: &Caller, id: StoreId, entered: StoreChange) -> Result<Store> {
    let (actor, service) = (caller.actor(), service.clone());
    Ok(caller.db.write(move |t| change_in(t, &service, &actor, id, &entered)).await?)
}

/// [`change`] as a part of a transaction.
pub(super) fn change_in(t: &mut Tenant<'_>, service: &Service, actor: &str, id: StoreId, entered: &StoreChange) -> db::Result<Store> {
    let now = service.now();
    let old = t.store(id)?;
    let mut store = Store { updated_at: now, ..old.clone() };
    let opened = connection(t.seller(), &old, &service.sealer);
    let mut credentials = opened.map(|connection| connection.credentials).unwrap_or_default();
    let new_credentials = entered.credentials.is_some();
    entered.apply(&mut store, &mut credentials).map_err(Error::Invalid)?;
    check_with_platform(service, &store, &credentials).map_err(Error::Invalid)?;
    check_warehouses(t, &store)?;
    // What the app's secret is sent to is not for the seller to choose.
    if store.base_url != old.base_url && !new_credentials && t.grant(id)?.client_id.is_some() {
        let detail = "cannot be changed, because this store was connected through the operator's app; connect it again, or enter credentials of your own";
        return Err(Error::Invalid(vec![FieldError::new("/base_url", detail)]));
    }
    // A store of a former version that is the same shop as another one can still be changed, renamed or paused.
    if shop_of(&store) != shop_of(&old) {
        check_shop_is_new(t, &store)?;
        store.shop = shop_of(&store);
    } else if store.shop.is_none() && check_shop_is_new(t, &store).is_ok() {
        store.shop = shop_of(&store);
    }
    if new_credentials {
        store.credentials = seal(service, t, id, &credentials)?;
        t.save_grant(id, &grant_of(id, &credentials, entered.client_id.clone(), now))?;
    }
    t.save_store(&store)?;
    let settings = t.sync_settings()?;
    check_shares(t, &settings, "/share_percent")?;
    // The address and the settings are ways in, too: a corrected one is tried at once.
    let is_way_in_new = new_credentials || store.base_url != old.base_url || store.config != old.config;
    let effects = switches(&store).effects_after(switches(&old), is_way_in_new);
    if effects.cancels {
        t.cancel_pushes(CancelScope::Store(id), "The store was switched off.", now)?;
    }
    if store.paused != old.paused {
        record_store(t, id, store.paused, (actor, entered.pause_reason.as_deref()), now)?;
    }
    if old.rehearsal && !store.rehearsal {
        t.cancel_pushes(CancelScope::RunsOf(id), "Its run came in the store's rehearsal.", now)?;
    }
    if effects.holds {
        t.hold_store(id, now)?;
    }
    if effects.releases {
        t.release_store(id, now)?;
    }
    if is_way_in_new {
        t.hurry_store(id, now)?;
    }
    let store = t.store(id)?;
    let mut entry = audited(actor, if new_credentials { "store.credentials_changed" } else { "store.changed" }, &store.name);
    (entry.before, entry.after) = (Some(json!(view(&old, now))), Some(json!(view(&store, now))));
    t.append_audit(&entry, now)?;
    Ok(store)
}

/// Removes a store with its listings and rules, and cancels its waiting pushes. Once this returns, the store is gone, but
/// of a large one some rows are left, which the housekeeping deletes.
///
/// # Errors
/// No such store.
pub async fn delete(service: &Service, caller: &Caller, id: StoreId) -> Result<()> {
    let (now, actor) = (service.now(), caller.actor());
    let deleted = caller.db.write(move |t| {
        let store = t.delete_store(id, now)?;
        let mut entry = audited(&actor, "store.deleted", &store.name);
        entry.before = Some(json!(view(&store, now)));
        t.append_audit(&entry, now)
    });
    deleted.await?;
    removal::begin(&service.db, Removed::Store(caller.db.id(), id), now).await;
    Ok(())
}
