//! What a store's listings show beside their targets, and the overwrite that is offered where the two differ: listings may
//! be paired long after auto-sync was switched on, and increases are added to whatever the store showed before.
use crate::db::troubles::Troubles;
use crate::db::{Result, SellerDb, Tenant};
use crate::domain::{ListingId, StoreId};
use serde::Serialize;

/// A store's listings by what they show.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, utoipa::ToSchema)]
pub struct ListingFigures {
    /// All of them.
    total: i64,
    /// Those that last showed something other than their target.
    differ_from_target: i64,
    /// Those that were neither overwritten nor read since they were paired, so that it is not known what they show.
    never_checked: i64,
    /// There are so many that only some were compared: the two numbers above may be larger.
    partly: bool,
    /// Those whose SKU has rules of its own, which come before the store's share and rules.
    with_own_rules: i64,
}

/// An overwrite that is offered: `POST /v1/syncs` with this body.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, utoipa::ToSchema)]
pub struct OverwriteOffer {
    /// Listings that do not show their target, as far as is known: of a request that pairs listings, those of them; otherwise of the
    /// store.
    listings: i64,
    /// Why, in plain words.
    reason: &'static str,
    #[schema(example = "POST")]
    method: &'static str,
    #[schema(example = "/v1/syncs")]
    path: &'static str,
    body: OfferedSync,
}

/// The body of the request that is offered.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, utoipa::ToSchema)]
struct OfferedSync {
    store_ids: Vec<StoreId>,
}

impl OverwriteOffer {
    /// `None` if everything shows its target.
    fn of(store: StoreId, troubles: Troubles) -> Option<Self> {
        let listings = troubles.differ + troubles.unknown;
        let reason = match troubles.unknown {
            0 => "Some listings do not show their target. Overwrite them, so that increases start from correct numbers.",
            _ => "Some listings were never overwritten. Overwrite them, so that increases start from correct numbers.",
        };
        let body = OfferedSync { store_ids: vec![store] };
        (listings > 0).then_some(Self { listings, reason, method: "POST", path: "/v1/syncs", body })
    }
}

/// The overwrite that is offered for this store.
///
/// # Errors
/// If the database fails.
pub fn overwrite_offer(t: &mut Tenant<'_>, store: StoreId) -> Result<Option<OverwriteOffer>> {
    Ok(OverwriteOffer::of(store, t.troubles(&[store])?.remove(&store).unwrap_or_default()))
}

/// The overwrite that is offered for these listings of the store: what it costs to find out does not depend on how many others the
/// store has.
///
/// # Errors
/// If the database fails.
pub fn offer_for(t: &mut Tenant<'_>, store: StoreId, listings: &[ListingId]) -> Result<Option<OverwriteOffer>> {
    Ok(OverwriteOffer::of(store, t.compared(listings)?))
}

/// The overwrite to offer once listings are paired. They are saved by then, so not being able to find out is no failure of the
/// request.
pub async fn after_pairing(
    db: &SellerDb,
    find: impl FnMut(&mut Tenant<'_>) -> Result<Option<OverwriteOffer>> + Send + 'static,
) -> Option<OverwriteOffer> {
    db.read(find).await.unwrap_or_else(|error| {
        tracing::warn!(%error, seller.id = %db.id(), "could not find out whether an overwrite is to be offered");
        None
    })
}

/// What this store's listings show, and the overwrite that is offered.
///
/// # Errors
/// If the database fails.
pub fn figures(t: &mut Tenant<'_>, store: StoreId) -> Result<(ListingFigures, Option<OverwriteOffer>)> {
    let troubles = t.troubles(&[store])?.remove(&store).unwrap_or_default();
    let figures = ListingFigures {
        total: t.store_loads()?.get(&store).map_or(0, |load| load.listings),
        differ_from_target: troubles.differ,
        never_checked: troubles.unknown,
        partly: troubles.partly,
        with_own_rules: t.own_rules()?.get(&store).copied().unwrap_or(0),
    };
    Ok((figures, OverwriteOffer::of(store, troubles)))
}
