//! How a store stands: what of it is due, and whether it is held. One statement, whose answer says which others can be spared.
use crate::db::connection::on;
use crate::db::kept::kept;
use crate::db::literal::Literal;
use crate::db::pushes::{is_in_flight, is_increase, is_overwrite, is_uncertain};
use crate::db::{Result, Tenant};
use crate::domain::push::PushKind;
use crate::domain::{StoreId, Timestamp};
use diesel::prelude::*;
use diesel::sql_types::{BigInt, Binary, Bool, Nullable};
use std::sync::LazyLock;

/// How a store stands.
#[derive(Debug, QueryableByName)]
pub(super) struct Standing {
    /// When the first increase is due.
    #[diesel(sql_type = Nullable<BigInt>)]
    increase: Option<Timestamp>,
    /// When the first overwrite is due.
    #[diesel(sql_type = Nullable<BigInt>)]
    overwrite: Option<Timestamp>,
    /// When the first listing is to be looked at.
    #[diesel(sql_type = Nullable<BigInt>)]
    look: Option<Timestamp>,
    /// Whether uncertain pushes are due now.
    #[diesel(sql_type = Bool)]
    pub(super) uncertain: bool,
    /// Whether earlier requests may still arrive at some listing.
    #[diesel(sql_type = Bool)]
    pub(super) settling: bool,
    #[diesel(sql_type = Nullable<BigInt>)]
    pub(super) probe_at: Option<Timestamp>,
    #[diesel(sql_type = Bool)]
    paused: bool,
    #[diesel(sql_type = Bool)]
    needs_reauthorisation: bool,
}

impl Standing {
    /// When the first push or look is due.
    pub(super) fn first_due(&self) -> Option<Timestamp> {
        self.increase.into_iter().chain(self.overwrite).chain(self.look).min()
    }

    /// When the first push of this kind is due.
    pub(super) fn first_of(&self, kind: PushKind) -> Option<Timestamp> {
        if kind.is_overwrite() { self.overwrite } else { self.increase }
    }

    /// Whether a push of this kind is due at `now`.
    pub(super) fn is_due(&self, kind: PushKind, now: Timestamp) -> bool {
        self.first_of(kind).is_some_and(|at| at <= now)
    }

    /// Whether a listing is to be looked at now.
    pub(super) fn has_look(&self, now: Timestamp) -> bool {
        self.look.is_some_and(|at| at <= now)
    }

    /// See [`Store::is_held`](crate::db::stores::Store::is_held).
    pub(super) fn is_held(&self) -> bool {
        self.paused || self.needs_reauthorisation
    }
}

/// Of a seller ($1) and a store ($2) what is due after $3, and what is so at $4. One query for each kind of push, because in
/// the index the kind comes before the time.
static STANDING: LazyLock<String> = LazyLock::new(|| {
    let due = |kind: Literal<Bool>| {
        let kind = kind.sql();
        format!("(SELECT MIN(due_at) FROM pushes WHERE seller_id = $1 AND store_id = $2 AND {kind} AND due_at > $3)")
    };
    let (increase, overwrite) = (due(is_increase()), due(is_overwrite()));
    let uncertain = format!("{} AND {}", is_in_flight().sql(), is_uncertain().sql());
    format!(
        "SELECT {increase} AS increase, {overwrite} AS overwrite, \
         (SELECT MIN(look_at) FROM listings WHERE seller_id = $1 AND store_id = $2 AND look_at > $3) AS look, \
         EXISTS (SELECT 1 FROM pushes WHERE seller_id = $1 AND store_id = $2 AND {uncertain} AND +due_at <= $4) AS uncertain, \
         EXISTS (SELECT 1 FROM listings WHERE seller_id = $1 AND store_id = $2 AND settles_at > $4) AS settling, \
         probe_at, paused, needs_reauthorisation FROM stores WHERE seller_id = $1 AND id = $2"
    )
});

impl Tenant<'_> {
    /// How this store stands at `now`. Pushes and looks that were due by `after` are left out.
    pub(super) fn standing(&mut self, store: StoreId, after: Timestamp, now: Timestamp) -> Result<Standing> {
        let (key, store) = (self.key(), store.bytes());
        let found = on!(self.conn, c => {
            let query = diesel::sql_query(STANDING.as_str());
            let query = query.bind::<Binary, _>(&key).bind::<Binary, _>(&store).bind::<BigInt, _>(after).bind::<BigInt, _>(now);
            kept(query).get_result(c)
        })?;
        Ok(found)
    }
}
