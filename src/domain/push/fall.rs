//! A fall: an increase by less than nothing, which takes units off. It is pushed only where its seller has chosen that.
//!
//! Shops sell, so a fall of what is shown may be a sale. That leaves more open after an answer that was lost than for an increase.
use super::account::Account;
use super::record::Push;
use super::state::PushKind;
use super::update::{ListingUpdate, VerdictContext};
use crate::domain::{CallId, Timestamp};

impl Push {
    /// Whether it takes units off.
    pub fn is_fall(&self) -> bool {
        self.kind == PushKind::Increase && self.quantity < Some(0)
    }

    /// Whether its listing shows nothing that this could take off.
    pub fn takes_nothing(&self) -> bool {
        self.is_fall() && self.base.is_some() && self.change_of_shown() == Some(0)
    }

    /// There is nothing at its listing that it could take off, so nothing is sent.
    pub fn confirm_unsent(&mut self, account: &Account, ctx: VerdictContext<'_>) -> ListingUpdate {
        let update = self.confirm(account, self.base, ctx);
        self.reason = Some("The store showed nothing that could be taken off.".to_owned());
        self.call_id = Some(CallId::new(ctx.now));
        ListingUpdate { before: None, ..update }
    }

    /// What a listing that shows this shows once a fall has been sent again and the lost one has arrived after all, where both are taken
    /// off. A rise would show that by itself; a fall looks like a sale.
    pub(super) fn left_by_both(&self, shown: i64) -> Option<i64> {
        self.change_of_shown().filter(|_| self.is_fall()).map(|change| shown.saturating_add(change.saturating_mul(2)))
    }

    /// What a read says about a fall of unknown outcome: whether it was applied; `None` if that remains open, or this is no fall. Shops
    /// sell meanwhile. If less has gone than this takes off, it was not applied; if more has gone, it was, as otherwise even more would
    /// have been sold in this short time. Nothing follows while an earlier request may have arrived late.
    pub(super) fn fall_by_read(&self, account: &Account, shown: i64, now: Timestamp) -> Option<bool> {
        let (base, left) = (self.base?, self.expected_after()?);
        let is_late = account.is_in_doubt(now) || account.late.contains(shown) || account.shown == Some(shown);
        if !self.is_fall() || left >= base || is_late {
            return None;
        }
        (shown < base).then_some(shown <= left)
    }
}

/// What a listing that shows `base` shows after a change by `units`. A fall takes no more than is shown: nothing is sold below 0
/// anyway, and many platforms refuse such a number.
pub(super) fn after(base: i64, units: i64) -> i64 {
    let sum = base.saturating_add(units);
    if units < 0 { sum.max(base.min(0)) } else { sum }
}

/// By how much a listing changes that is to change by `units`, where `base` is what it shows, if that was read.
pub(super) fn change(base: Option<i64>, units: i64) -> i64 {
    base.filter(|_| units < 0).map_or(units, |base| after(base, units).saturating_sub(base))
}
