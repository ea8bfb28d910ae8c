//! Listings of a store that show the same SKU: an overwrite of one of them leaves out what any of them has sold without a report.
//!
//! A report does not say which of them it is about, but the story does, so each listing's own account is kept as if it were alone, and
//! what is missing at all of them together has to be left out.
use super::unseen::{OwnSales, Sale};
use super::{Checker, LastRead, is_in_flight};
use crate::journal::{Listing, Push, Store};
use crate::world::{Verdict, fail};
use std::time::Duration;

/// Reads that belong together are no further apart.
const READ_TOGETHER: Duration = Duration::from_secs(300);
/// An overwrite that has waited for so long takes no report for one of its own listing's sales, if another listing cannot be read.
const MAY_BE_UNCERTAIN_AFTER: Duration = Duration::from_secs(540);

/// One of the listings.
struct Member {
    id: String,
    own: OwnSales,
    read: Option<LastRead>,
    /// Why the service cannot know exactly what it has sold.
    excuse: Option<&'static str>,
}

impl Member {
    fn missing(&self) -> Option<i64> {
        self.own.missing(self.read?.then)
    }

    fn seen(&self) -> impl Fn(&Sale) -> bool + use<> {
        let sold = self.read.map_or(i64::MIN, |read| read.then.sold);
        move |sale| sale.sold_by_then <= sold
    }

    /// From here on the store's number counts, as it is now.
    fn begin(&mut self) {
        let (seen, Some(read)) = (self.seen(), self.read) else { return };
        self.own.unreported.retain(|sale| !seen(sale));
        self.own.reason = None;
        self.own.begun_with = Some(0);
        self.own.begun_with = self.own.missing(read.then).map(|others| -others);
    }
}

impl Checker<'_> {
    /// The listings of the SKU in its store, this one among them.
    pub(super) fn siblings(&self, listing: &Listing) -> Vec<Listing> {
        let of_seller = self.sellers.values().find(|seller| seller.listings.contains_key(&listing.id));
        let all = of_seller.into_iter().flat_map(|seller| seller.listings.values());
        all.filter(|other| other.store == listing.store && other.sku == listing.sku).cloned().collect()
    }

    /// One of several listings of a SKU is paired, moved or unpaired: what was reported and not attributed yet is forgotten.
    pub(super) fn sibling_changes(&mut self, seller: &str, listing: &Listing, deleted: bool) {
        let before = self.sellers.get(seller).and_then(|seller| seller.listings.get(&listing.id)).cloned();
        if !deleted && before.as_ref().is_some_and(|before| before.sku == listing.sku && before.units == listing.units) {
            return;
        }
        let skus = [Some(listing.sku.clone()), before.map(|before| before.sku)];
        let of_seller = self.sellers.get(seller).into_iter().flat_map(|seller| seller.listings.values());
        let others =
            of_seller.filter(|other| other.id != listing.id && other.store == listing.store && skus.contains(&Some(other.sku.clone())));
        for id in others.map(|other| other.id.clone()).collect::<Vec<_>>() {
            self.listed.entry(id).or_default().own.reason = Some("another listing of the SKU came or went");
        }
    }

    /// A sale was reported that only the story knows the listing of.
    pub(super) fn sale_of_siblings(&mut self, listings: &[(String, i64)], id: &str) {
        let sold_by = |(listing, _): &&(String, i64)| {
            self.listed.get(listing).is_some_and(|listed| listed.own.unreported.iter().any(|sale| sale.report.as_deref() == Some(id)))
        };
        match listings.iter().find(sold_by).cloned() {
            Some((listing, units)) => self.listed.entry(listing).or_default().own.reported(units, id),
            None => {
                for (listing, _) in listings {
                    self.listed.entry(listing.clone()).or_default().own.reason = Some("reported, although nobody knows what has sold it");
                }
            }
        }
    }

    fn member(&self, listing: &Listing, store: &Store, push: &Push) -> Member {
        let listed = &self.listed[&listing.id];
        let read = self.last_read.get(&(store.name.clone(), listing.external_id.clone())).copied();
        let own = listed.own.clone();
        let has_other = |other: &Push| is_in_flight(other.state) && other.id != push.id && other.call != push.call;
        let excuse = match read {
            _ if own.reason.is_some() => own.reason,
            None => Some("never read"),
            Some(read) if read.kept => Some("a cache has answered"),
            Some(read) if own.late.contains(&read.shown) => Some("a late request explains what is shown"),
            Some(read) if self.at - read.at > READ_TOGETHER => Some("not read for some time"),
            Some(_) if !own.perhaps.is_empty() || !own.in_doubt.is_empty() => Some("an earlier push may have been applied"),
            Some(_) if listed.active.values().any(has_other) => Some("something is on its way to it"),
            Some(read) if own.missing(read.then).is_some_and(|missing| missing < 0) => Some("the store has restocked"),
            Some(_) => None,
        };
        Member { id: listing.id.clone(), own, read, excuse }
    }

    /// An overwrite of one of several listings begins.
    pub(super) fn siblings_leave_out(&mut self, siblings: &[Listing], store: &Store, push: &Push, target: i64) -> Verdict {
        let unseen = push.unseen.unwrap_or(0);
        let limit = Duration::from_secs(3600 * store.unseen_hours.unsigned_abs());
        let mut members: Vec<Member> = siblings.iter().map(|listing| self.member(listing, store, push)).collect();
        let missing: i64 = members.iter().filter_map(Member::missing).map(|missing| missing.max(0)).sum();
        // What is missing for too long does not count, and what nobody has sold is missing for as long as anything.
        let old = |member: &Member| {
            let (seen, own) = (member.seen(), &member.own);
            let old = own.units(|sale| seen(sale) && self.age(sale.at) >= limit);
            old + (member.missing().unwrap_or(0) - own.units(&seen)).max(0)
        };
        let old: i64 = members.iter().map(old).sum();
        let stepped = self.world.clock_steps.iter().any(|(at, _)| self.begun_at.get(&push.id).is_none_or(|begun| at >= begun));
        let has_waited = self.begun_at.get(&push.id).is_none_or(|begun| self.at - *begun > MAY_BE_UNCERTAIN_AFTER);
        let excuse = members.iter().find_map(|member| member.excuse);
        let fits = (missing - old.max(0)..=missing).contains(&unseen);
        let reads_failed = has_waited || stepped;
        if !fits && excuse.is_none() && !reads_failed {
            let what =
                if unseen < missing { "a sibling's unseen sales put back on sale" } else { "more left out of siblings than was sold" };
            let of: Vec<_> = members.iter().map(|member| (member.missing(), &member.read, &member.own)).collect();
            return fail(what, format!("{missing} are missing of {target}, {old} of them too old: {of:?}: {push:?}"));
        }
        let all_read = members.iter().all(|member| member.read.is_some_and(|read| !read.kept && self.at - read.at <= READ_TOGETHER));
        let is_clear = unseen == missing || (fits && excuse.is_none());
        let why = if is_clear { None } else { Some("another listing of the SKU could not be read") };
        if is_clear && unseen < missing {
            let mut units = missing - unseen;
            for member in &mut members {
                let seen = member.seen();
                let too_old = member.own.units(|sale| seen(sale) && self.age(sale.at) >= limit).min(units);
                member.own.forget(too_old);
                units -= too_old;
            }
        }
        if fits && unseen < missing {
            *self.counts.entry("unseen sales too old").or_default() += 1;
        }
        for member in &mut members {
            if unseen == 0 && all_read && excuse.is_none_or(|why| why != "something is on its way to it") || member.own.begun_with.is_none()
            {
                member.begin();
            } else if why.is_some() {
                member.own.reason = why;
            }
        }
        // What the service believes to be missing of all of them.
        let believed: i64 = members.iter().filter_map(Member::missing).sum();
        let own = members.iter_mut().find(|member| member.id == push.listing);
        if let Some(own) = own {
            own.own.begun_with = own.own.begun_with.map(|others| others + unseen - believed);
            own.own.perhaps.clear();
            own.own.left_out = unseen;
        }
        if unseen > 0 && excuse.is_none() {
            *self.counts.entry("unseen sales left out of siblings").or_default() += 1;
        }
        for member in members {
            self.listed.entry(member.id).or_default().own = member.own;
        }
        *self.counts.entry("overwrite beside siblings").or_default() += 1;
        Ok(())
    }
}
