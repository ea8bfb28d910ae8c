//! What overwrites must leave out: units that the store has sold by itself and that nobody has reported yet.
//!
//! For each listing, everything that is known about it is counted: what the store has sold, what requests have changed, what the
//! service believes them to have changed, and what was reported. So it is known by exactly how many units each overwrite must
//! fall short of its target. Where the service cannot know better, that is noted as a reason; where there is none, the number
//! has to be exactly what the store has sold without a report.
use super::{Checker, ListingState, Totals};
use crate::journal::{Listing, Push, State};
use crate::world::{Verdict, fail};
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;
use tokio::time::Instant;

/// The age of a sale is known this well: a claim may have waited for the limits since its read.
const AGE_KNOWN_WITHIN: Duration = Duration::from_secs(600);

/// Units that nobody has reported yet.
#[derive(Debug, Clone)]
pub(super) struct Sale {
    /// All units that the item had sold by then.
    pub(super) sold_by_then: i64,
    units: i64,
    pub(super) at: Instant,
    pub(super) report: Option<String>,
}

/// What is known of a listing's own sales.
#[derive(Debug, Clone, Default)]
pub(super) struct OwnSales {
    pub(super) unreported: VecDeque<Sale>,
    /// Units that were reported in the store's name.
    reported: i64,
    /// Units by which the service believes pushes to have changed what is shown.
    believed: i64,
    /// What is to be added to all these; `None` before the first overwrite that was read first.
    pub(super) begun_with: Option<i64>,
    /// The changes of pushes that were given up without a decision since the last overwrite.
    pub(super) perhaps: Vec<i64>,
    /// What they would have left.
    pub(super) late: BTreeSet<i64>,
    /// Those that are in doubt.
    pub(super) in_doubt: BTreeSet<String>,
    /// Those that the platform has applied.
    applied: BTreeSet<String>,
    /// What the last overwrite left out.
    pub(super) left_out: i64,
    /// Why the service cannot know exactly what the store has sold.
    pub(super) reason: Option<&'static str>,
}

/// By how much this push changes what its listing shows, as far as the service knows.
fn change_of(push: &Push) -> Option<i64> {
    if push.overwrite { Some(push.quantity? - push.shown_before?) } else { push.quantity.map(|_| push.change()) }
}

impl OwnSales {
    /// The units that are missing, when the item has sold and was changed so far.
    pub(super) fn missing(&self, totals: Totals) -> Option<i64> {
        Some(totals.sold - totals.changed + self.believed - self.reported + self.begun_with?)
    }

    pub(super) fn sold(&mut self, units: i64, totals: Totals, at: Instant, report: Option<String>) {
        self.unreported.push_back(Sale { sold_by_then: totals.sold, units, at, report });
    }

    pub(super) fn reported(&mut self, units: i64, id: &str) {
        self.reported += units;
        let of_report = |sale: &Sale| sale.report.as_deref() == Some(id);
        let counted = self.units(of_report);
        self.unreported.retain(|sale| !of_report(sale));
        if counted != units && self.begun_with.is_some() {
            self.reason = Some("reported, although it did not count any more");
        }
    }

    /// A request has changed what is shown. Returns whether it was by other than its push says.
    pub(super) fn changed(&mut self, push: &Push, change: i64, in_flight: bool) -> bool {
        let other = change_of(push).is_some_and(|believed| believed != change);
        if other || !in_flight {
            self.reason = Some("changed by other than was believed");
        }
        if !self.applied.insert(push.id.clone()) && change != 0 {
            self.reason = Some("applied again, as the store had sold as many units in between");
        }
        other && in_flight && self.begun_with.is_some()
    }

    /// A push is in another state.
    pub(super) fn moved(&mut self, before: Option<&Push>, push: &Push, applied: bool) {
        if push.state == State::Uncertain {
            self.in_doubt.insert(push.id.clone());
        }
        let Some(before) = before.filter(|before| before.state != push.state) else { return };
        if push.state == State::Confirmed {
            match change_of(push) {
                Some(change) => self.believed += change,
                None => self.begun_with = None,
            }
            if !applied {
                self.reason = Some("confirmed, but not applied");
            }
        }
        let ends = !matches!(push.state, State::Sending | State::Uncertain);
        if ends && self.in_doubt.remove(&push.id) && push.state != State::Confirmed {
            self.late.extend(before.quantity.map(|quantity| quantity + if before.overwrite { 0 } else { before.base.unwrap_or(0) }));
            match change_of(before) {
                Some(change) => self.perhaps.push(change),
                None => self.begun_with = None,
            }
        }
    }

    pub(super) fn units(&self, among: impl Fn(&Sale) -> bool) -> i64 {
        self.unreported.iter().filter(|sale| among(sale)).map(|sale| sale.units).sum()
    }

    /// The first of these units count no more.
    pub(super) fn forget(&mut self, mut units: i64) {
        while let Some(first) = self.unreported.front_mut().filter(|_| units > 0) {
            let taken = first.units.min(units);
            (first.units, units) = (first.units - taken, units - taken);
            if first.units == 0 {
                self.unreported.pop_front();
            }
        }
    }

    /// How many of the missing units an overwrite may have to leave out.
    fn explanations(&self, missing: i64) -> Vec<i64> {
        let least = |all: &[i64]| all.iter().copied().filter(|units| *units >= 0).min().unwrap_or(0);
        match self.perhaps.as_slice() {
            [] => vec![missing.max(0)],
            [change] => vec![missing.max(0), least(&[missing, missing + change])],
            many => (0..=missing.max(0) + many.iter().map(|change| change.abs()).sum::<i64>()).collect(),
        }
    }
}

impl Checker<'_> {
    fn totals_of(&self, listing: &Listing, store: &str) -> Totals {
        self.totals.get(&(store.to_owned(), listing.external_id.clone())).copied().unwrap_or_default()
    }

    /// How long ago this was by the service's clock, at most.
    pub(super) fn age(&self, since: Instant) -> Duration {
        let stepped = self.world.clock_steps.iter().filter(|(when, ms)| *ms > 0 && *when >= since && *when <= self.at);
        let stepped: i64 = stepped.map(|(_, ms)| ms).sum();
        self.at.saturating_duration_since(since) + Duration::from_millis(stepped.unsigned_abs()) + AGE_KNOWN_WITHIN
    }

    /// A sale that names its store is in the ledger; stores sell whole packs.
    pub(super) fn sale_reported(&mut self, seller: &str, store: &str, sku: &str, units: i64, id: &str) {
        self.named.insert(store.to_owned());
        let of_store = |l: &&Listing| l.store == store && l.sku == sku;
        let listings: Vec<_> = self.seller(seller).listings.values().filter(of_store).map(|l| (l.id.clone(), units / l.units)).collect();
        for (listing, units) in &listings {
            self.listed.entry(listing.clone()).or_default().overwritten.reported(*units);
        }
        match listings.as_slice() {
            [(listing, units)] => self.listed.entry(listing.clone()).or_default().own.reported(*units, id),
            siblings => self.sale_of_siblings(siblings, id),
        }
    }

    /// An overwrite begins: it leaves out what it has to, and nothing else.
    pub(super) fn leaves_out_unseen(&mut self, seller: &str, push: &Push, target: i64) -> Verdict {
        let Some(store) = self.sellers[seller].stores.get(&push.store).cloned() else { return Ok(()) };
        let Some(unseen) = push.unseen else {
            let protects = store.protects && self.named.contains(&store.id) && self.abilities[&store.name].read();
            return if protects { fail("overwrite without a look for unseen sales", format!("{push:?}")) } else { Ok(()) };
        };
        if push.quantity != Some((target - unseen).max(target.min(0))) {
            return fail("overwrite is not the target less the unseen sales", format!("the target is {target}: {push:?}"));
        }
        let read = self.last_read.get(&(store.name.clone(), push.external_id.clone())).copied();
        let Some(read) = read.filter(|read| Some(read.shown) == push.shown_before) else {
            return fail("overwrite without a read", format!("{read:?}: {push:?}"));
        };
        if let Some(listing) = self.sellers[seller].listings.get(&push.listing) {
            let siblings = self.siblings(listing);
            if siblings.len() > 1 {
                return self.siblings_leave_out(&siblings, &store, push, target);
            }
        }
        let ages: BTreeMap<Instant, Duration> = match self.listed.get(&push.listing) {
            Some(listed) => listed.own.unreported.iter().map(|sale| (sale.at, self.age(sale.at))).collect(),
            None => return Ok(()),
        };
        let limit = Duration::from_secs(3600 * store.unseen_hours.unsigned_abs());
        let own = &mut self.listed.entry(push.listing.clone()).or_default().own;
        let seen = |sale: &Sale| sale.sold_by_then <= read.then.sold;
        // A late request explains the number, so nothing is learned from it: what was left out before still is.
        let late = unseen <= own.left_out && own.late.contains(&read.shown);
        let found = match own.missing(read.then) {
            None => {
                own.unreported.retain(|sale| !seen(sale));
                own.reason = (unseen > 0).then_some("a late request");
                (unseen == 0 || late).then_some(unseen)
            }
            Some(missing) => {
                if missing < 0 {
                    own.reason = own.reason.or(Some("the store has restocked"));
                }
                let old = own.units(|sale| seen(sale) && ages.get(&sale.at).is_some_and(|age| *age >= limit));
                // What nobody has sold is missing for as long as anything.
                let old = old + (missing - own.units(seen)).max(0);
                let explains = |units: &i64| unseen <= *units && unseen >= (units - old).max(0);
                let found = own.explanations(missing).into_iter().find(explains);
                found.or(late.then_some(unseen))
            }
        };
        let Some(found) = found else {
            let what = if own.missing(read.then).is_some_and(|missing| unseen < missing) {
                "unseen sales put back on sale"
            } else {
                "more left out than was sold"
            };
            return fail(what, format!("{:?} are missing of {target}, {read:?}, {own:?}: {push:?}", own.missing(read.then)));
        };
        if unseen < found {
            own.forget(found - unseen);
            *self.counts.entry("unseen sales too old").or_default() += 1;
        }
        if read.kept {
            own.reason = Some("a cache has answered");
        }
        if !own.perhaps.is_empty() && unseen != own.units(seen) {
            own.reason = Some("an earlier push may have been applied");
        }
        if late && unseen != own.units(seen) {
            own.reason = Some("a late request explains what is shown");
        }
        if own.reason.is_none() && unseen != own.units(seen) {
            return fail("not exactly what was sold is left out", format!("{read:?}, {own:?}: {push:?}"));
        }
        if unseen == 0 && !read.kept {
            // From here on the store's number counts, as it is now.
            own.unreported.retain(|sale| !seen(sale));
            own.reason = None;
        }
        let exact = own.reason.is_none();
        own.perhaps.clear();
        own.left_out = unseen;
        own.begun_with = Some(0);
        own.begun_with = own.missing(read.then).map(|others| unseen - others);
        if unseen > 0 {
            *self.counts.entry(if exact { "unseen sales left out" } else { "unseen sales left out, as far as known" }).or_default() += 1;
        }
        Ok(())
    }

    /// The units that are missing from what a listing would show if every sale had been reported.
    pub(super) fn left_out(&self, listing: &Listing, store: &str) -> i64 {
        let own = |listing: &Listing| self.listed.get(&listing.id).map(|listed: &ListingState| &listed.own);
        let missing = |listing: &Listing| own(listing).and_then(|own| own.missing(self.totals_of(listing, store)));
        self.siblings(listing).iter().filter_map(missing).sum::<i64>().max(0)
    }

    /// What a listing shows after an overwrite, if nothing else goes on.
    pub(super) fn shown_by_rules(&self, listing: &Listing, store: &str, target: i64) -> i64 {
        (target - self.left_out(listing, store)).max(target.min(0))
    }

    /// The listings of which an overwrite leaves something out.
    fn leaving_out(&self) -> impl Iterator<Item = String> {
        self.sellers.values().flat_map(move |seller| {
            let is_pushed = |listing: &&Listing| seller.targets(&listing.sku)[&listing.id].is_some();
            seller.listings.values().filter(is_pushed).filter_map(move |listing| {
                let store = &seller.stores[&listing.store].name;
                let units = self.left_out(listing, store);
                (units > 0).then(|| format!("{units} of {} of {store}: {:?}", listing.external_id, self.listed[&listing.id].own))
            })
        })
    }

    /// Whether anything is left out anywhere.
    pub fn leaves_anything_out(&self) -> bool {
        self.leaving_out().next().is_some()
    }

    /// Everything was reported, an overwrite has followed where one may be sent, and where nothing speaks against it, what is left
    /// out is what nobody will ever report.
    pub fn check_left_out(&self) -> Verdict {
        for seller in self.sellers.values() {
            for listing in seller.listings.values().filter(|listing| seller.targets(&listing.sku)[&listing.id].is_some()) {
                let store = &seller.stores[&listing.store].name;
                let own = &self.listed[&listing.id].own;
                let siblings = self.siblings(listing);
                let of_all = siblings.iter().map(|sibling| &self.listed[&sibling.id].own);
                if siblings.len() > 1 && of_all.clone().any(|own| own.reason.is_some() || own.begun_with.is_none()) {
                    continue;
                }
                let (left_out, sold) = (self.left_out(listing, store), of_all.map(|own| own.units(|_| true)).sum::<i64>());
                if own.reason.is_none() && own.begun_with.is_some() && left_out != sold {
                    return fail(
                        "left out is not what is never reported",
                        format!("{} of {store}: {left_out}, {own:?}", listing.external_id),
                    );
                }
            }
        }
        Ok(())
    }

    /// What was sold long ago without a report does not count any more: every listing shows its target.
    pub fn check_nothing_left_out(&self) -> Verdict {
        match self.leaving_out().next() {
            Some(left_out) => fail("left out for too long", left_out),
            None => self.check_shown(),
        }
    }
}
