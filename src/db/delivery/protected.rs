//! What is loaded and saved as overwrites of a store are read first because its unseen sales are protected.
use super::claim::Waiting;
use crate::db::connection::on;
use crate::db::packs::Which;
use crate::db::schema::listings;
use crate::db::sets::{among, among_ids};
use crate::db::{Result, Tenant, id_of};
use crate::domain::access::Access;
use crate::domain::claim::outcome::Answer;
use crate::domain::claim::{self, ClaimTerms, ClaimedCall, ProtectedPage, ReadFacts, Siblings, Work};
use crate::domain::delivery::ItemResult;
use crate::domain::push::{Addressee, Push};
use crate::domain::unseen::Expectation;
use crate::domain::{ListingId, PushId, StoreId};
use diesel::prelude::*;
use std::collections::{BTreeMap, HashMap};

/// What was known of listings when it was decided to read them, and what those beside the overwrites' own were found to show.
#[derive(Debug, Clone, Default)]
pub struct ReadBefore {
    /// What was expected of all of them.
    pub expected: HashMap<ListingId, Expectation>,
    /// What the others show.
    pub beside: HashMap<ListingId, ItemResult>,
}

impl Tenant<'_> {
    /// Overwrites that are read before they are claimed.
    pub(super) fn read_then_overwrite(&mut self, store: StoreId, page: Vec<Push>, repeats_skus: bool, terms: &ClaimTerms) -> Result<Work> {
        let of: Vec<ListingId> = page.iter().map(Push::listing_id).collect();
        let siblings = if repeats_skus { self.siblings(store, &of)? } else { Vec::new() };
        let (page, beside) = claim::with_siblings(page, &siblings, terms);
        let of: Vec<ListingId> = page.iter().map(Push::listing_id).chain(beside.iter().copied()).collect();
        let before = self.expectations(&of)?;
        let beside: Vec<Addressee> = if beside.is_empty() { Vec::new() } else { self.addressees(&beside)?.into_values().collect() };
        Ok(Work::ReadThenOverwrite(ProtectedPage { page, beside, before }))
    }

    /// The listings of the store that show the SKU of one of these, of each SKU with several.
    pub(super) fn siblings(&mut self, store: StoreId, of: &[ListingId]) -> Result<Vec<Siblings>> {
        let (scope, ids) = (self.scope(), of.iter().map(ListingId::bytes).collect::<Vec<_>>());
        let mut skus: Vec<String> =
            on!(self.conn, c => scope.listings().select(listings::sku).filter(among_ids(listings::id, ids)).load(c))?;
        skus.sort_unstable();
        skus.dedup();
        let rows: Vec<(String, Vec<u8>)> = on!(self.conn, c => scope.listings().select((listings::sku, listings::id))
            .filter(listings::store_id.eq(store.bytes())).filter(among(listings::sku, skus)).load(c))?;
        let mut by_sku: BTreeMap<String, Siblings> = BTreeMap::new();
        for (sku, id) in rows {
            by_sku.entry(sku).or_default().push(id_of(&id, ListingId::from_bytes, "listings.id")?);
        }
        let mut siblings: Vec<Siblings> = by_sku.into_values().filter(|of_sku| of_sku.len() > 1).collect();
        siblings.iter_mut().for_each(|of_sku| of_sku.sort_unstable());
        Ok(siblings)
    }

    /// Claims overwrites whose listings were read: `answer` is that to a read of `page`'s listings, in order, and `before` what was
    /// known when it was decided to read them, and was read beside them. Targets and expectations are read in the same transaction, so
    /// that a reported sale lowers both or neither.
    pub fn claim_overwrites_after_read(
        &mut self,
        store: StoreId,
        page: &[PushId],
        before: &ReadBefore,
        answer: Answer<'_>,
        terms: &ClaimTerms,
    ) -> Result<Option<ClaimedCall>> {
        let now = answer.now;
        let standing = self.standing(store, now, now)?;
        if standing.accepts_nothing(now) || !standing.protects(terms) {
            return Ok(None);
        }
        if standing.skus_paused {
            self.hold_paused_skus(store, now)?;
        }
        let Waiting { pushes: waiting, of, mut busy } = self.still_waiting(store, page, &standing)?;
        let siblings = if standing.repeats_skus { self.siblings(store, &of)? } else { Vec::new() };
        let beside: Vec<ListingId> = siblings.iter().flatten().filter(|id| !of.contains(id)).copied().collect();
        if !beside.is_empty() {
            if standing.packs_sent {
                self.unpack_of(&beside, Which::Sending)?;
            }
            busy.extend(self.in_flight_among(&beside)?);
        }
        let known: Vec<ListingId> = of.iter().copied().chain(beside).collect();
        let (accounts, expected) = (self.accounts(known.iter().copied())?, self.expectations(&known)?);
        let mut targets = self.targets_of(&of)?;
        let mut waiting: Vec<Push> = waiting.into_values().collect();
        let limit = standing.unseen_for();
        let before_read = waiting.clone();
        let left = self.aim_back(&mut waiting, &mut targets, now)?;
        let waiting = waiting.into_iter().map(|push| (push.id(), push)).collect();
        let facts = ReadFacts {
            busy: &busy,
            accounts: &accounts,
            before: &before.expected,
            expected: &expected,
            targets: &targets,
            siblings: &siblings,
            beside: &before.beside,
            limit,
        };
        let mut after = claim::overwrites_after_read(page, waiting, &facts, answer, terms);
        after.aimed.prepend(left);
        self.put(&after.others)?;
        // Those that were given up, or were refused as their listings were read.
        self.count_run_progress(&before_read, &after.others, now)?;
        self.notify_rejected(store, &before_read, &after.others, now)?;
        self.note_outcome(store, answer.outcome, now)?;
        self.update_listings(store, after.updates, now)?;
        self.put_expectations(&after.expectations)?;
        let call = self.send_aimed(after.aimed, claim::overwrite_after_read(&terms.abilities), now)?;
        if call.is_none() && standing.write_refused && Access::after(answer.outcome, false) == Access::Unknown {
            // Nothing is sent, so it is still to be found out whether the store accepts a write.
            self.probe_once_due(store, terms, now)?;
        }
        Ok(call)
    }
}
