//! A push and what it has replaced, or takes back.
use super::account::Account;
use super::fall::change;
use super::record::{Addressee, Push, Record};
use super::state::{Effect, PushKind, PushState};
use crate::domain::undo::{LeftAlone, Replaced, Restored, Undo};
use crate::domain::{PushId, RunId, Timestamp, unseen};

impl Record {
    /// How its quantity came about, where it is not just the target.
    pub fn arithmetic(&self) -> Option<String> {
        let quantity = self.quantity?;
        if self.kind == PushKind::Increase {
            let taken = change(self.base, quantity);
            let cut_short = || format!("{} of {} were taken off, because the store showed no more", -taken, -quantity);
            return (taken != quantity).then(cut_short);
        }
        match self.undo {
            Some(undo) => Some(undo.restored?.text(self.unseen.unwrap_or(0))),
            None => unseen::text(quantity, self.unseen?),
        }
    }
}

impl Record {
    /// What it does to what its listing shows, and how many units that is: those that are added or taken off, or the number itself.
    pub fn effect(&self) -> (Effect, Option<i64>) {
        match self.kind {
            PushKind::Increase if self.quantity < Some(0) => (Effect::Decrease, self.quantity.map(i64::saturating_abs)),
            PushKind::Increase => (Effect::Increase, self.quantity),
            PushKind::Overwrite => (Effect::Overwrite, self.quantity),
        }
    }
}

impl Push {
    /// An overwrite of an undo, which takes back another one; due now unless its store is held. Its number is found as it is sent.
    pub fn restoring(to: Addressee, run: RunId, of: PushId, replaced: Replaced, now: Timestamp, held: bool) -> Self {
        let new = Self::new(PushKind::Overwrite, to, now, held);
        Self { run_id: Some(run), undo: Some(Undo { of, replaced, restored: None }), ..new }
    }

    /// What it takes back.
    pub fn undo(&self) -> Option<&Undo> {
        self.undo.as_ref()
    }

    /// Whether this is the listing that it was made for, paired as it was then.
    pub fn goes_to(&self, to: &Addressee) -> bool {
        (self.listing_id, &self.sku, &self.external_id, &self.extra) == (to.listing_id, &to.sku, &to.external_id, &to.extra)
    }

    /// What it has replaced.
    pub fn replaced(&self) -> &Replaced {
        &self.replaced
    }

    /// Its listing keeps the number that it has.
    pub fn leave_alone(&mut self, why: LeftAlone, now: Timestamp) {
        self.end(PushState::Cancelled, now);
        self.reason = Some(why.text().to_owned());
    }

    /// How the number that it is given came about.
    pub fn note_restored(&mut self, restored: Restored) {
        if let Some(undo) = &mut self.undo {
            undo.restored = Some(restored);
        }
    }

    /// It takes the place of waiting increases of so many units.
    pub fn note_contains(&mut self, units: i64) {
        if self.run_id.is_some() || self.undo.is_some() {
            self.replaced.contained = self.replaced.contained.saturating_add(units);
        }
    }

    /// What a read just before it has found, and how many units of the SKU had been reported as sold by then.
    pub fn note_replaced(&mut self, shown: i64, unseen: i64, sold: i64, account: &Account) {
        if self.run_id.is_some() {
            self.replaced.forget();
            self.replaced.learn(shown, unseen, sold, account.increased);
        }
    }

    /// Where nothing was read before it, what its listing is believed to have shown.
    pub(super) fn note_account_replaced(&mut self, account: &Account) {
        if let (PushKind::Overwrite, Some(_), Some(shown)) = (self.kind, self.run_id, account.shown) {
            self.replaced.learn(shown, 0, account.sold_when_shown, account.increased);
        }
    }
}
