//! A push, its plain record, and how one is made. Only the files beside this one may change its fields.
use super::state::{PushKind, PushState};
use crate::domain::delivery::Resolution;
use crate::domain::undo::{Replaced, Undo};
use crate::domain::{CallId, ListingId, PushId, RunId, StoreId, Timestamp};
use std::collections::BTreeMap;

macro_rules! push {
    ($($(#[$doc:meta])+ $field:ident: $type:ty,)+) => {
        /// One quantity change for one listing.
        #[derive(Debug, Clone, PartialEq, Eq)]
        pub struct Push { $(pub(super) $field: $type,)+ }

        /// A push as plain data: what the database saves and what people see.
        #[derive(Debug, Clone, PartialEq, Eq)]
        pub struct Record { $($(#[$doc])+ pub $field: $type,)+ }

        impl Push {
            /// The push as plain data.
            pub fn into_record(self) -> Record {
                Record { $($field: self.$field,)+ }
            }

            /// The push that was saved as this record.
            ///
            /// # Errors
            /// No transition produces this combination of fields.
            pub fn from_record(record: Record) -> Result<Self, Invalid> {
                record.check()?;
                Ok(Self { $($field: record.$field,)+ })
            }
        }
    };
}

push! {
    /// Its id; ids sort by creation.
    id: PushId,
    /// The store it goes to.
    store_id: StoreId,
    /// The listing it goes to.
    listing_id: ListingId,
    /// The listing's SKU.
    sku: String,
    /// The platform's name of the listing when the push was made: a repeated call must be identical.
    external_id: String,
    /// The connector's own fields of the listing when the push was made, as JSON.
    extra: Option<String>,
    /// Relative or absolute.
    kind: PushKind,
    /// Units. An overwrite has none until its target is read, which happens as it is sent.
    quantity: Option<i64>,
    /// Where it is in its life.
    state: PushState,
    /// How often it was sent.
    attempts: i32,
    /// Why it is in this state, in plain words.
    reason: Option<String>,
    /// What the seller can do about it.
    next_step: Option<String>,
    /// Why it was made, where neither an event nor a run was the reason: an overwrite that heals its listing keeps this.
    cause: Option<String>,
    /// The platform's last answer, shortened.
    raw_answer: Option<String>,
    /// When it was made.
    created_at: Timestamp,
    /// When it last changed.
    updated_at: Timestamp,
    /// When it needs attention; `None` while it does not.
    due_at: Option<Timestamp>,
    /// When its success became known.
    confirmed_at: Option<Timestamp>,
    /// The call that carried it last.
    call_id: Option<CallId>,
    /// What the listing showed before it was sent, where that was read.
    base: Option<i64>,
    /// How an unknown outcome of its last call is determined.
    resolution: Option<Resolution>,
    /// Since when it has been failing without a break.
    failing_since: Option<Timestamp>,
    /// The most items in its next call, after a call was refused as a whole.
    batch_limit: Option<i32>,
    /// Cancelled while in flight: it must not be sent again if it was not applied.
    cancel_requested: bool,
    /// The run it belongs to.
    run_id: Option<RunId>,
    /// Whether an earlier sending of this very call is unresolved.
    in_doubt: bool,
    /// Rejected, and part of what an overwrite of its listing has shown since: a retry does not send it again.
    contained: bool,
    /// Of an overwrite that was read first: what its listing showed.
    shown_before: Option<i64>,
    /// Of an overwrite that was read first: units that its store had sold and nobody had reported yet. They are taken off its
    /// target.
    unseen: Option<i64>,
    /// Of an overwrite of a run: what its listing showed before it.
    replaced: Replaced,
    /// Of an overwrite of an undo: what it takes back.
    undo: Option<Undo>,
}

/// The reason of a push that is held because its store is.
pub const WAITS_FOR_STORE: &str = "Its store is on hold, for the reason that the store gives. It is sent once the store works again.";

/// Why a push of a paused SKU waits.
pub const WAITS_FOR_SKU: &str = "Its SKU is paused. It is sent once the SKU is resumed.";

/// A push that no transition produces.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{push}: {what}")]
pub struct Invalid {
    /// The push.
    pub push: PushId,
    /// What is wrong with it.
    pub what: &'static str,
}

impl Record {
    fn check(&self) -> Result<(), Invalid> {
        let in_flight = self.state.is_in_flight();
        let by_read = matches!(self.resolution, Some(Resolution::ReadBack | Resolution::AwaitShown));
        let impossible = [
            (self.kind == PushKind::Increase && self.quantity.is_none(), "an increase without a quantity"),
            (self.kind == PushKind::Overwrite && self.base.is_some(), "an overwrite with a base"),
            (self.base.is_some() && self.call_id.is_none(), "a base without the call it was read for"),
            (self.shown_before.is_some() != self.unseen.is_some(), "unseen sales without the read that found them"),
            (in_flight && self.call_id.is_none(), "in flight without a call"),
            (in_flight && self.quantity.is_none(), "in flight without a quantity"),
            (in_flight && self.resolution.is_none(), "in flight without a way to determine its outcome"),
            (in_flight && by_read && self.kind == PushKind::Increase && self.base.is_none(), "to be decided by a read, but without a base"),
            (self.state == PushState::Uncertain && !self.in_doubt, "uncertain, but not in doubt"),
            (self.in_doubt && !in_flight, "in doubt, but not in flight"),
            (self.state.is_claimable() && self.due_at.is_none(), "waiting for its turn, but never due"),
            (self.state == PushState::Uncertain && self.due_at.is_none(), "uncertain, but never due"),
        ];
        match impossible.into_iter().find(|(is_so, _)| *is_so) {
            Some((_, what)) => Err(Invalid { push: self.id, what }),
            None => Ok(()),
        }
    }
}

/// The listing that a push goes to, as it is paired when the push is made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Addressee {
    /// Its store.
    pub store_id: StoreId,
    /// The listing.
    pub listing_id: ListingId,
    /// Its SKU.
    pub sku: String,
    /// The platform's name of it.
    pub external_id: String,
    /// The connector's own fields of it, as JSON.
    pub extra: Option<String>,
}

impl Addressee {
    /// The connector's own field of the listing; empty when it has none of that name.
    pub fn extra_field(&self, name: &str) -> String {
        extra_field(self.extra.as_deref(), name)
    }
}

fn extra_field(extra: Option<&str>, name: &str) -> String {
    let fields: BTreeMap<String, String> = extra.and_then(|text| serde_json::from_str(text).ok()).unwrap_or_default();
    fields.get(name).cloned().unwrap_or_default()
}

impl Push {
    /// An increase, or a fall of `units` below 0, due now unless its store is held.
    pub fn increase(to: Addressee, units: i64, now: Timestamp, held: bool) -> Self {
        Self { quantity: Some(units), ..Self::new(PushKind::Increase, to, now, held) }
    }

    /// An overwrite, due now unless its store is held. Its target is read as it is sent.
    pub fn overwrite(to: Addressee, now: Timestamp, run: Option<RunId>, reason: Option<&str>, held: bool) -> Self {
        let new = Self::new(PushKind::Overwrite, to, now, held);
        Self { run_id: run, reason: reason.map(str::to_owned).or(new.reason), cause: reason.map(str::to_owned), ..new }
    }

    pub(super) fn new(kind: PushKind, to: Addressee, now: Timestamp, held: bool) -> Self {
        Self {
            id: PushId::new(now),
            store_id: to.store_id,
            listing_id: to.listing_id,
            sku: to.sku,
            external_id: to.external_id,
            extra: to.extra,
            kind,
            quantity: None,
            state: if held { PushState::Held } else { PushState::Queued },
            attempts: 0,
            reason: held.then(|| WAITS_FOR_STORE.to_owned()),
            next_step: None,
            cause: None,
            raw_answer: None,
            created_at: now,
            updated_at: now,
            due_at: (!held).then_some(now),
            confirmed_at: None,
            call_id: None,
            base: None,
            resolution: None,
            failing_since: None,
            batch_limit: None,
            cancel_requested: false,
            run_id: None,
            in_doubt: false,
            contained: false,
            shown_before: None,
            unseen: None,
            replaced: Replaced::default(),
            undo: None,
        }
    }

    /// The push as plain data.
    pub fn record(&self) -> Record {
        self.clone().into_record()
    }

    /// Its id; ids sort by creation.
    pub fn id(&self) -> PushId {
        self.id
    }

    /// The store it goes to.
    pub fn store_id(&self) -> StoreId {
        self.store_id
    }

    /// The listing it goes to.
    pub fn listing_id(&self) -> ListingId {
        self.listing_id
    }

    /// The platform's name of the listing.
    pub fn external_id(&self) -> &str {
        &self.external_id
    }

    /// The connector's own fields of the listing, as JSON.
    pub fn extra(&self) -> Option<&str> {
        self.extra.as_deref()
    }

    /// Relative or absolute.
    pub fn kind(&self) -> PushKind {
        self.kind
    }

    /// Units; see [`Record::quantity`].
    pub fn quantity(&self) -> Option<i64> {
        self.quantity
    }

    /// Where it is in its life.
    pub fn state(&self) -> PushState {
        self.state
    }

    /// When it last changed.
    pub fn updated_at(&self) -> Timestamp {
        self.updated_at
    }

    /// When it needs attention.
    pub fn due_at(&self) -> Option<Timestamp> {
        self.due_at
    }

    /// The call that carried it last.
    pub fn call_id(&self) -> Option<CallId> {
        self.call_id
    }

    /// What the listing showed before it was sent, where that was read.
    pub fn base(&self) -> Option<i64> {
        self.base
    }

    /// Whether an earlier sending of this very call is unresolved.
    pub fn in_doubt(&self) -> bool {
        self.in_doubt
    }

    /// Whether it was cancelled while in flight.
    pub fn cancel_requested(&self) -> bool {
        self.cancel_requested
    }

    /// The run it belongs to.
    pub fn run_id(&self) -> Option<RunId> {
        self.run_id
    }

    /// Whether it is part of what an overwrite of its listing has shown since it was rejected.
    pub fn is_contained(&self) -> bool {
        self.contained
    }

    /// Whether its success is known.
    pub fn is_confirmed(&self) -> bool {
        self.state == PushState::Confirmed
    }

    /// Whether it waits for its store.
    pub fn is_held(&self) -> bool {
        self.state == PushState::Held
    }

    /// Whether it is absolute.
    pub fn is_overwrite(&self) -> bool {
        self.kind == PushKind::Overwrite
    }

    /// The most items in its next call.
    pub fn batch_limit(&self) -> Option<usize> {
        self.batch_limit.and_then(|n| usize::try_from(n).ok()).map(|n| n.max(1))
    }

    /// The connector's own field of the listing; empty when it has none of that name.
    pub fn extra_field(&self, name: &str) -> String {
        extra_field(self.extra.as_deref(), name)
    }

    pub(super) fn wait(&mut self, state: PushState, reason: Option<&str>, now: Timestamp, due: Timestamp) {
        self.state = state;
        (self.call_id, self.base, self.in_doubt) = (None, None, false);
        (self.shown_before, self.unseen) = (None, None);
        if let Some(reason) = reason {
            self.reason = Some(reason.to_owned());
        }
        self.touch(now, Some(due));
    }

    pub(super) fn end(&mut self, state: PushState, now: Timestamp) {
        self.state = state;
        self.in_doubt = false;
        self.touch(now, None);
    }

    pub(super) fn touch(&mut self, now: Timestamp, due: Option<Timestamp>) {
        self.updated_at = now;
        self.due_at = due;
    }

    pub(super) fn invalid(&self, what: &'static str) -> Invalid {
        Invalid { push: self.id, what }
    }
}
