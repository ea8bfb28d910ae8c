//! What is loaded as overwrites of an undo are claimed: what their listings are set back to.
use crate::db::connection::on;
use crate::db::schema::listings;
use crate::db::sets::among_ids;
use crate::db::{Result, Tenant, id_of, units_of};
use crate::domain::claim::{self, Aimed};
use crate::domain::push::Push;
use crate::domain::undo::Found;
use crate::domain::{ListingId, PushId, Timestamp};
use diesel::prelude::*;
use std::collections::HashMap;

impl Tenant<'_> {
    /// Puts what the listings of an undo are set back to in the place of their targets. Takes those that are left alone off the page,
    /// and returns them.
    pub(super) fn aim_back(
        &mut self,
        page: &mut Vec<Push>,
        targets: &mut HashMap<ListingId, Option<i64>>,
        now: Timestamp,
    ) -> Result<Aimed> {
        let mut left = Aimed::default();
        let of: Vec<ListingId> = page.iter().filter(|push| push.undo().is_some()).map(Push::listing_id).collect();
        if of.is_empty() {
            return Ok(left);
        }
        let mut found = self.found_now(&of)?;
        for increase in self.waiting_increases(&of)?.iter().filter(|push| push.is_mergeable()) {
            if let (Some(found), Some(units)) = (found.get_mut(&increase.listing_id()), increase.quantity()) {
                found.waiting = found.waiting.saturating_add(units);
            }
        }
        for mut push in std::mem::take(page) {
            match claim::aim_back(&mut push, &found, targets) {
                Ok(()) => page.push(push),
                Err(why) => left.leave_alone(push, why, now),
            }
        }
        Ok(left)
    }

    /// What has happened to these listings so far.
    fn found_now(&mut self, of: &[ListingId]) -> Result<HashMap<ListingId, Found>> {
        type Row = (Vec<u8>, Option<Vec<u8>>, i64, i64, i64);
        let (scope, ids) = (self.scope(), of.iter().map(ListingId::bytes).collect::<Vec<_>>());
        let columns = (listings::id, listings::set_by, listings::sold, listings::increased, listings::units);
        let rows: Vec<Row> = on!(self.conn, c => scope.listings().filter(among_ids(listings::id, ids)).select(columns).load(c))?;
        let read = |(id, set_by, sold, increased, units): Row| {
            let set_by = set_by.map(|id| id_of(&id, PushId::from_bytes, "listings.set_by")).transpose()?;
            let found = Found { set_by, sold, increased, waiting: 0, units: units_of(units)? };
            Ok((id_of(&id, ListingId::from_bytes, "listings.id")?, found))
        };
        rows.into_iter().map(read).collect()
    }
}
