//! What stores' platforms have granted: by whose app, when tokens are renewed next, and when they can no longer be.
use super::connection::on;
use super::schema::grants;
use super::{Result, Tenant};
use crate::domain::{StoreId, Timestamp};
use diesel::prelude::*;

/// A store's grant as stored.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Grant {
    /// The operator's app through which the store was connected; `None` for the seller's own.
    pub client_id: Option<String>,
    /// When its tokens are next renewed, whether it has work or not; `None` for never.
    pub renew_at: Option<Timestamp>,
    /// When they can no longer be renewed, so that the seller must have authorized the app again; `None` for never, or unknown.
    pub ends_at: Option<Timestamp>,
}

type Row = (Option<String>, Option<Timestamp>, Option<Timestamp>);

impl Tenant<'_> {
    /// The grant of a store; one without anything if nothing is known of it.
    pub fn grant(&mut self, store: StoreId) -> Result<Grant> {
        let scope = self.scope();
        let row: Option<Row> = on!(self.conn, c => scope.grants().filter(grants::store_id.eq(store.bytes()))
            .select((grants::client_id, grants::renew_at, grants::ends_at)).get_result(c).optional())?;
        let (client_id, renew_at, ends_at) = row.unwrap_or_default();
        Ok(Grant { client_id, renew_at, ends_at })
    }

    /// Saves the grant of a store.
    pub fn save_grant(&mut self, store: StoreId, grant: &Grant) -> Result<()> {
        let values = (grants::client_id.eq(&grant.client_id), grants::renew_at.eq(grant.renew_at), grants::ends_at.eq(grant.ends_at));
        let row = (grants::seller_id.eq(self.key()), grants::store_id.eq(store.bytes()), values);
        on!(self.conn, c => diesel::insert_into(grants::table).values(row).on_conflict((grants::seller_id, grants::store_id))
            .do_update().set(values).execute(c))?;
        Ok(())
    }

    /// Takes the turn to renew a store's tokens until `until`, unless another process has it. Returns whether it was taken. A turn
    /// that lasts longer than any can was taken before the clock was set back.
    pub fn take_renewal_turn(&mut self, store: StoreId, now: Timestamp, until: Timestamp) -> Result<bool> {
        let scope = self.scope();
        let free = grants::turn_until.is_null().or(grants::turn_until.le(now)).or(grants::turn_until.gt(until));
        let taken = on!(self.conn, c => diesel::update(scope.grants().filter(grants::store_id.eq(store.bytes())).filter(free))
            .set(grants::turn_until.eq(until)).execute(c))?;
        if taken > 0 {
            return Ok(true);
        }
        let row = (grants::seller_id.eq(self.key()), grants::store_id.eq(store.bytes()), grants::turn_until.eq(until));
        let new = on!(self.conn, c => diesel::insert_into(grants::table).values(row)
            .on_conflict((grants::seller_id, grants::store_id)).do_nothing().execute(c))?;
        Ok(new > 0)
    }

    /// Ends the turn to renew a store's tokens.
    pub fn end_renewal_turn(&mut self, store: StoreId) -> Result<()> {
        let scope = self.scope();
        on!(self.conn, c => diesel::update(scope.grants().filter(grants::store_id.eq(store.bytes())))
            .set(grants::turn_until.eq(None::<Timestamp>)).execute(c))?;
        Ok(())
    }

    /// Deletes the grant of a removed store.
    pub fn delete_grant(&mut self, store: StoreId) -> Result<()> {
        let scope = self.scope();
        on!(self.conn, c => diesel::delete(scope.grants().filter(grants::store_id.eq(store.bytes()))).execute(c))?;
        Ok(())
    }
}
