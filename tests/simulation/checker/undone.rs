//! What an undone run leaves: for each listing what it showed before the run, less what was sold since, and with the increases since.
//!
//! For each overwrite of a run it is noted what its listing showed before, as far as the service can know that, with everything that was
//! reported and increased by then. Where an answer stays out, the service may have learned that at one of several times.
use super::{Checker, ListingState};
use crate::journal::{Listing, Push, State};
use crate::world::{Verdict, fail};
use std::collections::{BTreeMap, BTreeSet};

/// What a listing showed before an overwrite.
#[derive(Debug, Clone, Copy)]
struct Before {
    shown: Option<i64>,
    /// Units that were missing then, because nobody had reported their sale.
    unseen: i64,
    /// Units of the listing that had been reported as sold.
    reported: i64,
    /// Units by which increases had raised it.
    increased: i64,
}

/// What is known of the overwrites of a listing.
#[derive(Debug, Default)]
pub(super) struct Overwritten {
    reported: i64,
    /// The same when it was last learned what the listing shows.
    reported_when_shown: i64,
    increased: i64,
    /// The newest confirmed overwrite.
    set_by: String,
    /// Units of the increases that the overwrite which begins next takes the place of.
    contained: i64,
    /// By overwrite.
    before: BTreeMap<String, Vec<Before>>,
    contains: BTreeMap<String, i64>,
    /// Those whose answer stayed out.
    were_uncertain: BTreeSet<String>,
}

impl Overwritten {
    pub(super) fn reported(&mut self, units: i64) {
        self.reported += units;
    }

    /// It was learned what the listing shows.
    pub(super) fn shown(&mut self) {
        self.reported_when_shown = self.reported;
    }

    fn believed(&self, shown: Option<i64>) -> Before {
        Before { shown, unseen: 0, reported: self.reported_when_shown, increased: self.increased }
    }

    /// A push is in another state; `shown` is what the listing is believed to have shown until then.
    pub(super) fn moved(&mut self, was: Option<State>, push: &Push, starts: bool, shown: Option<i64>) {
        if push.state == State::Superseded && was != Some(State::Superseded) && !push.overwrite {
            let is_contained = push.reason.as_deref() == Some("An overwrite of the listing contains this.");
            self.contained += push.quantity.filter(|_| is_contained).unwrap_or(0);
        }
        if push.overwrite && starts {
            *self.contains.entry(push.id.clone()).or_default() += std::mem::take(&mut self.contained);
            let before = self.before.entry(push.id.clone()).or_default();
            if !self.were_uncertain.contains(&push.id) {
                before.clear();
            }
            let (unseen, reported, increased) = (push.unseen.unwrap_or(0), self.reported, self.increased);
            before.extend(push.shown_before.map(|shown| Before { shown: Some(shown), unseen, reported, increased }));
        }
        if push.overwrite && push.state == State::Uncertain && was != Some(State::Uncertain) {
            self.were_uncertain.insert(push.id.clone());
            let believed = self.believed(shown);
            self.before.entry(push.id.clone()).or_default().push(believed);
        }
        if push.state == State::Confirmed && was != Some(State::Confirmed) {
            if push.overwrite {
                let believed = self.believed(shown);
                if push.shown_before.is_none() {
                    self.before.entry(push.id.clone()).or_default().push(believed);
                }
                self.set_by.clone_from(&push.id);
            } else {
                self.increased += push.change();
            }
        }
    }

    /// What the listing is set back to if this overwrite is taken back, before the sales come off that are found missing now: whatever may
    /// be known of it.
    fn restored(&self, undone: &str, contained: i64, missing: i64) -> Vec<i64> {
        let contains = self.contains.get(undone).copied().unwrap_or(0) + contained;
        let number = |before: &Before| {
            let sold = (self.reported - before.reported - before.unseen).max(-missing);
            Some((before.shown? + self.increased - before.increased + contains - sold).max(0))
        };
        self.before.get(undone).into_iter().flatten().filter_map(number).collect()
    }
}

impl Checker<'_> {
    /// A listing was changed, perhaps what is known about what it shows.
    pub(super) fn listing_learned(&mut self, seller: &str, listing: &Listing) {
        let known = self.sellers.get(seller).and_then(|seller| seller.listings.get(&listing.id));
        let is_learned = known.is_none_or(|known| (known.shown, known.shown_at) != (listing.shown, listing.shown_at));
        let listed = self.listed.entry(listing.id.clone()).or_default();
        if is_learned {
            listed.overwritten.shown();
        }
    }

    /// The number of an overwrite that begins, before unseen sales are taken off.
    pub(super) fn aims_at(&mut self, seller: &str, push: &Push, undone: Option<&str>) -> Verdict<Option<i64>> {
        match (self.target(seller, &push.listing), undone) {
            (Some(_), Some(undone)) => self.sets_back(push, undone).map(Some),
            (target, _) => Ok(target),
        }
    }

    /// If this push is one of an undo: the overwrite that it takes back.
    pub(super) fn taken_back_by(&mut self, push: &Push) -> Option<String> {
        if let Some(run) = self.runs.get(&push.run).filter(|run| !run.undoes.is_empty()) {
            self.undo_of.entry(push.id.clone()).or_insert_with(|| run.undoes.clone());
        }
        let run = self.undo_of.get(&push.id)?;
        let is_undone = |other: &&Push| other.run == *run && other.listing == push.listing && other.state == State::Confirmed;
        Some(self.pushes.values().find(is_undone).map(|other| other.id.clone()).unwrap_or_default())
    }

    /// An overwrite of an undo begins. Returns the number that takes the place of its target.
    fn sets_back(&mut self, push: &Push, undone: &str) -> Verdict<i64> {
        let Some(listed) = self.listed.get(&push.listing) else { return Ok(push.quantity.unwrap_or(0)) };
        let overwritten = &listed.overwritten;
        if overwritten.set_by != undone {
            return fail("undo of what was set later", format!("by {}, not by {undone}: {push:?}", overwritten.set_by));
        }
        let unseen = push.unseen.unwrap_or(0);
        let earlier = overwritten.contains.get(&push.id).copied().unwrap_or(0);
        let may_be = overwritten.restored(undone, overwritten.contained + earlier, unseen);
        let Some(target) = may_be.iter().copied().find(|target| push.quantity == Some((target - unseen).max(0))) else {
            let detail = format!("may be set to {may_be:?}, less {unseen}: {push:?}, {overwritten:?}");
            return fail("undo does not leave what was shown before less sales", detail);
        };
        *self.counts.entry("listing set back").or_default() += 1;
        Ok(target)
    }

    /// Whether this push of an undo ends because its listing is left alone, for which there must be a reason.
    pub(super) fn is_left_alone(&mut self, push: &Push, undone: Option<&str>) -> Verdict<bool> {
        let (Some(undone), Some(reason)) = (undone, push.reason.as_deref().filter(|reason| reason.starts_with("Left alone:"))) else {
            return Ok(false);
        };
        let Some(ListingState { overwritten, .. }) = self.listed.get(&push.listing) else { return Ok(true) };
        let is_newer = overwritten.set_by != undone;
        let is_unknown = overwritten.before.get(undone).into_iter().flatten().any(|before| before.shown.is_none());
        let has_cause = if reason.contains("overwritten since") { is_newer } else { is_unknown };
        if has_cause {
            *self.counts.entry("listing left alone by an undo").or_default() += 1;
            return Ok(true);
        }
        fail("listing left alone without a cause", format!("{push:?}, {overwritten:?}"))
    }
}
