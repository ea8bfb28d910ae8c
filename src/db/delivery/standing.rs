//! How a store stands: what of it is due, and whether it is held. One statement, whose answer says which others can be spared.
use crate::db::connection::on;
use crate::db::kept::kept;
use crate::db::literal::Literal;
use crate::db::pauses::is_of_running_sku;
use crate::db::pushes::{is_held, is_in_flight, is_increase, is_overwrite, is_uncertain, pack_is_held, pack_is_queued, pack_is_sending};
use crate::db::{Result, Tenant};
use crate::domain::circuit::probe_is_due;
use crate::domain::claim::{ClaimTerms, Next};
use crate::domain::drift::WAITS;
use crate::domain::frozen::Frozen;
use crate::domain::pause::{self, Above, Pause};
use crate::domain::push::PushKind;
use crate::domain::unseen;
use crate::domain::{StoreId, Timestamp};
use diesel::backend::Backend;
use diesel::deserialize::{self, FromSql};
use diesel::prelude::*;
use diesel::sql_types::{BigInt, Binary, Bool, Nullable, Text};
use std::sync::LazyLock;
use std::time::Duration;

impl<DB: Backend> FromSql<Text, DB> for Frozen
where
    String: FromSql<Text, DB>,
{
    fn from_sql(bytes: DB::RawValue<'_>) -> deserialize::Result<Self> {
        Self::parse(&String::from_sql(bytes)?).ok_or_else(|| "stores.frozen cannot be read".into())
    }
}

/// How a store stands.
#[derive(Debug, QueryableByName)]
pub(super) struct Standing {
    /// When the first increase is due.
    #[diesel(sql_type = Nullable<BigInt>)]
    increase: Option<Timestamp>,
    /// When the first increase is due that is not due yet.
    #[diesel(sql_type = Nullable<BigInt>)]
    later_increase: Option<Timestamp>,
    /// When the first overwrite is due.
    #[diesel(sql_type = Nullable<BigInt>)]
    overwrite: Option<Timestamp>,
    /// When the first listing is to be looked at.
    #[diesel(sql_type = Nullable<BigInt>)]
    look: Option<Timestamp>,
    /// When a check of its listings goes on.
    #[diesel(sql_type = Nullable<BigInt>)]
    check: Option<Timestamp>,
    /// Whether uncertain pushes are due now.
    #[diesel(sql_type = Bool)]
    pub(super) uncertain: bool,
    /// Whether earlier requests may still arrive at some listing.
    #[diesel(sql_type = Bool)]
    pub(super) settling: bool,
    /// Whether pushes are in flight or held, without those in packs.
    #[diesel(sql_type = Bool)]
    in_flight_or_held: bool,
    /// Whether packs are queued.
    #[diesel(sql_type = Bool)]
    pub(super) packed: bool,
    /// Whether packs are being sent.
    #[diesel(sql_type = Bool)]
    pub(super) packs_sent: bool,
    /// Whether listings are marked.
    #[diesel(sql_type = Bool)]
    pub(super) marked: bool,
    #[diesel(sql_type = Nullable<BigInt>)]
    pub(super) probe_at: Option<Timestamp>,
    #[diesel(sql_type = Bool)]
    paused: bool,
    #[diesel(sql_type = Bool)]
    seller_paused: bool,
    #[diesel(sql_type = Bool)]
    platform_paused: bool,
    #[diesel(sql_type = Nullable<Text>)]
    frozen: Option<Frozen>,
    #[diesel(sql_type = Nullable<BigInt>)]
    resumes_at: Option<Timestamp>,
    /// Whether pushes are held, apart from those of paused SKUs.
    #[diesel(sql_type = Bool)]
    held: bool,
    /// Whether the seller has paused any SKU.
    #[diesel(sql_type = Bool)]
    pub(super) skus_paused: bool,
    #[diesel(sql_type = Bool)]
    needs_reauthorisation: bool,
    #[diesel(sql_type = Bool)]
    pub(super) write_refused: bool,
    /// Whether the store leaves out unseen sales, and its sales are reported as its own.
    #[diesel(sql_type = Bool)]
    protects_named: bool,
    #[diesel(sql_type = BigInt)]
    unseen_sales_hours: i64,
    /// Whether several listings of the store may show the same SKU.
    #[diesel(sql_type = Bool)]
    pub(super) repeats_skus: bool,
}

impl Standing {
    /// When the first push or look is due, or a check goes on.
    pub(super) fn first_due(&self) -> Option<Timestamp> {
        self.increase.into_iter().chain(self.overwrite).chain(self.look).chain(self.check).min()
    }

    /// What is left once every increase that is due at `now` has been claimed; those behind a push in flight are claimed
    /// after it.
    pub(super) fn after_increases(&self, now: Timestamp) -> Next {
        if self.uncertain || self.packed || self.overwrite.is_some_and(|at| at <= now) || self.has_look(now) || self.has_check(now) {
            return Next::Unknown;
        }
        let later = self.later_increase.into_iter().chain(self.overwrite).chain(self.look).chain(self.check);
        Next::DueAt(later.chain(self.probe_at).min())
    }

    /// When the store needs attention: now or earlier if anything is due.
    pub(super) fn attention(&self, now: Timestamp) -> Option<Timestamp> {
        let probe_at = self.probe_at.map(|at| if probe_is_due(at, now) { at.min(now) } else { at });
        let pauses = if self.has_left_a_pause(now) || self.resumes_otherwise(now).is_some() { Some(now) } else { self.next_change(now) };
        self.first_due().into_iter().chain(self.packed.then_some(now)).chain(probe_at).chain(pauses).min()
    }

    /// When the first push of this kind is due.
    pub(super) fn first_of(&self, kind: PushKind) -> Option<Timestamp> {
        if kind.is_overwrite() { self.overwrite } else { self.increase }
    }

    /// Whether a push of this kind is due at `now`.
    pub(super) fn is_due(&self, kind: PushKind, now: Timestamp) -> bool {
        self.first_of(kind).is_some_and(|at| at <= now)
    }

    /// Whether any push has not ended, without those in packs. Meaningful if nothing was left out.
    pub(super) fn has_active(&self) -> bool {
        self.increase.is_some() || self.overwrite.is_some() || self.in_flight_or_held
    }

    /// Whether a listing is to be looked at now.
    pub(super) fn has_look(&self, now: Timestamp) -> bool {
        self.look.is_some_and(|at| at <= now)
    }

    /// Whether a check of its listings goes on now.
    pub(super) fn has_check(&self, now: Timestamp) -> bool {
        self.check.is_some_and(|at| at <= now)
    }

    /// See [`Store::pause`](crate::db::stores::Store::pause).
    pub(super) fn pause(&self, now: Timestamp) -> Option<Pause> {
        let (seller, platform) = (self.seller_paused, self.platform_paused);
        let above = Above { seller, platform, frozen: self.frozen.clone().unwrap_or_default() };
        pause::of_store(self.paused, &above, now)
    }

    /// See [`Store::is_held`](crate::db::stores::Store::is_held).
    pub(super) fn is_held(&self, now: Timestamp) -> bool {
        self.needs_reauthorisation || self.pause(now).is_some()
    }

    /// When a frozen window begins or ends next.
    pub(super) fn next_change(&self, now: Timestamp) -> Option<Timestamp> {
        self.frozen.as_ref()?.next_change(now)
    }

    /// When `resumes_at` has to be, if it has to be something else.
    pub(super) fn resumes_otherwise(&self, now: Timestamp) -> Option<Option<Timestamp>> {
        let at = self.frozen.as_ref().and_then(|frozen| frozen.next_end(now));
        (at != self.resumes_at).then_some(at)
    }

    /// Whether pushes are held although their store is not any more.
    pub(super) fn has_left_a_pause(&self, now: Timestamp) -> bool {
        self.held && !self.is_held(now)
    }

    /// Whether anything has not been sent yet.
    pub(super) fn has_waiting(&self) -> bool {
        self.increase.is_some() || self.overwrite.is_some() || self.packed
    }

    /// Whether overwrites of the store leave out its unseen sales.
    pub(super) fn protects(&self, terms: &ClaimTerms) -> bool {
        self.protects_named && terms.abilities.read
    }

    /// For how long units may be missing until they are drift.
    pub(super) fn unseen_for(&self) -> Duration {
        unseen::for_hours(self.unseen_sales_hours)
    }

    /// Whether nothing may be sent, not even to find out whether the store accepts a write again.
    pub(super) fn accepts_nothing(&self, now: Timestamp) -> bool {
        self.pause(now).is_some() || (self.needs_reauthorisation && !self.write_refused)
    }
}

/// Of a seller ($1) and a store ($2) what is due after $3, and what is so at $4. One query for each kind of push, because in
/// the index the kind comes before the time.
static STANDING: LazyLock<String> = LazyLock::new(|| {
    let due = |kind: Literal<Bool>, after: &str| {
        let kind = kind.sql();
        format!("(SELECT MIN(due_at) FROM pushes WHERE seller_id = $1 AND store_id = $2 AND {kind} AND due_at > {after})")
    };
    let (increase, later, overwrite) = (due(is_increase(), "$3"), due(is_increase(), "$4"), due(is_overwrite(), "$3"));
    let (in_flight, held) = (is_in_flight().sql(), is_held().sql());
    let uncertain = format!("{in_flight} AND {}", is_uncertain().sql());
    let (queued, sent, packs_held) = (pack_is_queued().sql(), pack_is_sending().sql(), pack_is_held().sql());
    let of_running_sku = is_of_running_sku().sql();
    format!(
        "SELECT {increase} AS increase, {later} AS later_increase, {overwrite} AS overwrite, \
         (SELECT MIN(look_at) FROM listings WHERE seller_id = $1 AND store_id = $2 AND look_at > $3) AS look, \
         (SELECT MIN(continues_at) FROM drift_checks WHERE seller_id = $1 AND store_id = $2 AND continues_at IS NOT NULL) AS \"check\", \
         EXISTS (SELECT 1 FROM pushes WHERE seller_id = $1 AND store_id = $2 AND {uncertain} AND +due_at <= $4) AS uncertain, \
         EXISTS (SELECT 1 FROM listings WHERE seller_id = $1 AND store_id = $2 AND settles_at > $4) AS settling, \
         EXISTS (SELECT 1 FROM pushes WHERE seller_id = $1 AND store_id = $2 AND {in_flight}) OR \
         EXISTS (SELECT 1 FROM pushes WHERE seller_id = $1 AND store_id = $2 AND {held}) AS in_flight_or_held, \
         EXISTS (SELECT 1 FROM push_packs WHERE seller_id = $1 AND store_id = $2 AND {queued}) AS packed, \
         EXISTS (SELECT 1 FROM push_packs WHERE seller_id = $1 AND store_id = $2 AND {sent}) AS packs_sent, \
         EXISTS (SELECT 1 FROM listings WHERE seller_id = $1 AND store_id = $2 AND marked) AS marked, \
         EXISTS (SELECT 1 FROM pushes WHERE seller_id = $1 AND store_id = $2 AND {held} AND {of_running_sku}) OR \
         EXISTS (SELECT 1 FROM push_packs WHERE seller_id = $1 AND store_id = $2 AND {packs_held}) AS held, \
         EXISTS (SELECT 1 FROM pauses WHERE seller_id = $1 AND level = 3) AS skus_paused, \
         probe_at, paused, seller_paused, platform_paused, frozen, resumes_at, needs_reauthorisation, write_refused, \
         protect_unseen_sales AND sales_named_at IS NOT NULL AS protects_named, unseen_sales_hours, repeats_skus FROM stores WHERE seller_id = $1 AND id = $2"
    )
});

impl Tenant<'_> {
    /// The state of this store at `now`, leaving out pushes and looks that were already due at `after`.
    pub(super) fn standing(&mut self, store: StoreId, after: Timestamp, now: Timestamp) -> Result<Standing> {
        let (key, store) = (self.key(), store.bytes());
        let mut found: Standing = on!(self.conn, c => {
            let query = diesel::sql_query(STANDING.as_str());
            let query = query.bind::<Binary, _>(&key).bind::<Binary, _>(&store).bind::<BigInt, _>(after).bind::<BigInt, _>(now);
            kept(query).get_result(c)
        })?;
        // No check waits for longer than that, unless the clock was set back.
        let at = found.check.map(|at| if at > now + WAITS { now } else { at });
        found.check = at.filter(|at| *at > after && !found.is_held(now));
        Ok(found)
    }
}
