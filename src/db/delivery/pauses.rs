//! Pushes of a store brought in line with its pauses, as they are claimed: held while one is on, released after it. What holds is
//! decided by [`pause`](crate::domain::pause); how a pause began or ended does not matter here, so none can be forgotten.
use super::standing::Standing;
use crate::db::connection::on;
use crate::db::kept::kept;
use crate::db::packs::Which;
use crate::db::pauses::is_of_paused_sku;
use crate::db::pushes::{HELD, is_claimable};
use crate::db::schema::{listings, pushes, stores};
use crate::db::scope::pause_of_sku;
use crate::db::sets::among_ids;
use crate::db::{ROWS_PER_STATEMENT, Result, Tenant, id_of};
use crate::domain::push::WAITS_FOR_SKU;
use crate::domain::{ListingId, StoreId, Timestamp};
use diesel::prelude::*;

impl Tenant<'_> {
    /// Holds or releases the pushes of a store that stands like this. Returns how it stands then.
    pub(super) fn keep_to_pauses(&mut self, store: StoreId, standing: Standing, now: Timestamp) -> Result<Standing> {
        let scope = self.scope();
        if let Some(at) = standing.resumes_otherwise(now) {
            on!(self.conn, c => kept(diesel::update(scope.stores().filter(stores::id.eq(store.bytes()))).set(stores::resumes_at.eq(at))).run(c))?;
        }
        if standing.pause(now).is_some() {
            if standing.has_waiting() {
                self.hold_store(store, now)?;
            }
            return Ok(standing);
        }
        let releases = standing.has_left_a_pause(now);
        if releases {
            self.release_store(store, now)?;
        }
        let holds = standing.skus_paused && !standing.is_held(now) && self.hold_paused_skus(store, now)?;
        if releases || holds { self.standing(store, Timestamp::MIN, now) } else { Ok(standing) }
    }

    /// Holds what waits for the listings of paused SKUs. Returns whether there was anything.
    pub(super) fn hold_paused_skus(&mut self, store: StoreId, now: Timestamp) -> Result<bool> {
        let scope = self.scope();
        let ids: Vec<Vec<u8>> = on!(self.conn, c => scope.listings().inner_join(pause_of_sku!())
            .filter(listings::store_id.eq(store.bytes())).select(listings::id).load(c))?;
        let of = ids.iter().map(|id| id_of(id, ListingId::from_bytes, "listings.id")).collect::<Result<Vec<_>>>()?;
        let mut found = self.unpack_of(&of, Which::Active)?;
        for chunk in ids.chunks(ROWS_PER_STATEMENT) {
            let waiting = scope.pushes().filter(among_ids(pushes::listing_id, chunk.to_vec())).filter(is_claimable());
            let held = on!(self.conn, c => diesel::update(waiting.filter(is_of_paused_sku()))
                .set((pushes::state.eq(HELD), pushes::due_at.eq(None::<Timestamp>), pushes::updated_at.eq(now),
                    pushes::failing_since.eq(None::<Timestamp>), pushes::reason.eq(WAITS_FOR_SKU))).execute(c))?;
            found |= held > 0;
        }
        Ok(found)
    }
}
