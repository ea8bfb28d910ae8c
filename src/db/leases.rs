//! The rows of nodes and shards: who works for which sellers. See [`domain::leases`](crate::domain::leases).
//!
//! A transaction that acts for a seller by a lease reads the shard's epoch together with the seller's row, and locks both: the
//! seller's against other writers, the shard's only against a change. So whoever takes a shard waits for the transactions that
//! began under its former epoch, or comes before them and makes them fail. On SQLite nothing need be locked, because it has one
//! writer at a time; there only simulations have several nodes.
use super::connection::{Backend, Conn, on};
use super::kept::kept;
use super::schema::{nodes, shards};
use super::{Result, id_of};
use crate::domain::leases::{Holding, Lease, Renewed, shard_of};
use crate::domain::{NodeId, SellerId, Timestamp};
use diesel::prelude::*;
use diesel::sql_types::{Array, BigInt, Binary, Nullable, SmallInt};
use diesel::{PgConnection, SqliteConnection};
use std::collections::BTreeMap;

/// A node of the service.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Node {
    /// Its id, drawn when it started.
    pub id: NodeId,
    /// Its name, for people.
    pub name: String,
    /// The version of the program.
    pub version: String,
    /// What it renews.
    pub renewal: i64,
    /// Whether it gives up its shards and takes no others.
    pub is_leaving: bool,
    /// When it started, by its own clock.
    pub started_at: Timestamp,
    /// Sellers with a running supervisor.
    pub active_sellers: i64,
    /// Stores with a running actor.
    pub active_stores: i64,
}

impl Node {
    /// What others watch.
    pub fn renewed(&self) -> Renewed {
        Renewed { node: self.id, renewal: self.renewal, is_leaving: self.is_leaving }
    }
}

/// Renews this node's row, and inserts it if there is none.
pub fn renew(conn: &mut Conn, node: &Node) -> Result<()> {
    let changing = (
        nodes::renewal.eq(node.renewal),
        nodes::leaving.eq(node.is_leaving),
        nodes::active_sellers.eq(node.active_sellers),
        nodes::active_stores.eq(node.active_stores),
    );
    let fixed = (
        nodes::id.eq(node.id.bytes()),
        nodes::name.eq(&node.name),
        nodes::version.eq(&node.version),
        nodes::started_at.eq(node.started_at),
    );
    on!(conn, c => diesel::insert_into(nodes::table).values((fixed, changing)).on_conflict(nodes::id).do_update().set(changing).execute(c))?;
    Ok(())
}

/// Deletes the rows of other nodes of this name, and so lets go of what they hold: a process has started in the place of one that
/// was killed. If one of them is still running after all, it is fenced, and takes its part again.
pub fn replace(conn: &mut Conn, node: &Node) -> Result<()> {
    let former = nodes::table.filter(nodes::name.eq(&node.name)).filter(nodes::id.ne(node.id.bytes()));
    on!(conn, c => diesel::delete(former).execute(c))?;
    Ok(())
}

/// All nodes and all shards.
pub fn rows(conn: &mut Conn) -> Result<(Vec<Node>, Vec<Holding>)> {
    type NodeRow = (Vec<u8>, String, String, i64, bool, Timestamp, i64, i64);
    let found: Vec<NodeRow> = on!(conn, c => nodes::table.order((nodes::started_at, nodes::id)).load(c))?;
    let node = |(id, name, version, renewal, is_leaving, started_at, active_sellers, active_stores): NodeRow| {
        let id = id_of(&id, NodeId::from_bytes, "nodes.id")?;
        Ok(Node { id, name, version, renewal, is_leaving, started_at, active_sellers, active_stores })
    };
    let held: Vec<(i16, Option<Vec<u8>>, i64)> = on!(conn, c => shards::table.order(shards::shard).load(c))?;
    let holding = |(shard, holder, epoch): (i16, Option<Vec<u8>>, i64)| {
        let holder = holder.map(|id| id_of(&id, NodeId::from_bytes, "shards.node")).transpose()?;
        Ok(Holding { lease: Lease { shard, epoch }, holder })
    };
    Ok((found.into_iter().map(node).collect::<Result<_>>()?, held.into_iter().map(holding).collect::<Result<_>>()?))
}

#[derive(QueryableByName)]
struct LeaseRow {
    #[diesel(sql_type = SmallInt)]
    shard: i16,
    #[diesel(sql_type = BigInt)]
    epoch: i64,
}

/// Changes who holds these shards, as long as they have these epochs, which are counted up. A shard that a transaction of its
/// present holder has locked is left as it is: that transaction ends soon, and the shard can be taken at the next look.
const CHANGE_HANDS: &str = "UPDATE shards SET node = $1, epoch = shards.epoch + 1 FROM (\
     SELECT shards.shard FROM shards JOIN unnest($2, $3) AS wanted (shard, epoch) \
     ON wanted.shard = shards.shard AND wanted.epoch = shards.epoch FOR UPDATE OF shards SKIP LOCKED) AS found \
     WHERE shards.shard = found.shard RETURNING shards.shard, shards.epoch";

/// Has this node hold these shards, or nobody. Returns those that have changed hands, with their new epochs.
pub fn change_hands(conn: &mut Conn, from: &[Lease], to: Option<NodeId>) -> Result<Vec<Lease>> {
    conn.transaction(|conn| match &mut conn.backend {
        Backend::Sqlite(c) => from.iter().filter_map(|lease| changed_hands(c, *lease, to).transpose()).collect(),
        Backend::Postgres(c) => all_changed_hands(c, from, to),
    })
}

fn changed_hands(c: &mut SqliteConnection, from: Lease, to: Option<NodeId>) -> Result<Option<Lease>> {
    let next = Lease { epoch: from.epoch + 1, ..from };
    let shard = shards::table.filter(shards::shard.eq(from.shard)).filter(shards::epoch.eq(from.epoch));
    let changed = diesel::update(shard).set((shards::node.eq(to.map(|node| node.bytes())), shards::epoch.eq(next.epoch))).execute(c)?;
    Ok((changed > 0).then_some(next))
}

fn all_changed_hands(c: &mut PgConnection, from: &[Lease], to: Option<NodeId>) -> Result<Vec<Lease>> {
    let query = diesel::sql_query(CHANGE_HANDS)
        .bind::<Nullable<Binary>, _>(to.map(|node| node.bytes()))
        .bind::<Array<SmallInt>, _>(from.iter().map(|lease| lease.shard).collect::<Vec<_>>())
        .bind::<Array<BigInt>, _>(from.iter().map(|lease| lease.epoch).collect::<Vec<_>>());
    let changed: Vec<LeaseRow> = query.load(c)?;
    Ok(changed.into_iter().map(|LeaseRow { shard, epoch }| Lease { shard, epoch }).collect())
}

/// Deletes the rows of these nodes, unless they hold something.
pub fn remove_nodes(conn: &mut Conn, gone: &[NodeId]) -> Result<()> {
    let holds = "SELECT 1 FROM shards WHERE shards.node = nodes.id";
    conn.transaction(|conn| {
        for node in gone {
            let query = diesel::sql_query(format!("DELETE FROM nodes WHERE id = $1 AND NOT EXISTS ({holds})"));
            on!(conn, c => query.bind::<Binary, _>(node.bytes()).execute(c))?;
        }
        Ok(())
    })
}

#[derive(QueryableByName)]
struct EpochRow {
    #[diesel(sql_type = BigInt)]
    epoch: i64,
}

/// The epoch of shard `$2`, with a seller `$1` that is not deleted.
const EPOCH: &str = "SELECT h.epoch FROM sellers o JOIN shards h ON o.id = $1 AND h.shard = $2 WHERE o.deleted_at IS NULL";

/// Locks a seller that is not deleted for a write, and this shard against a change; returns the shard's epoch.
pub(super) fn lock_with_epoch(conn: &mut Conn, seller: &[u8], shard: i16) -> Result<i64> {
    let row: EpochRow = match &mut conn.backend {
        Backend::Sqlite(c) => kept(diesel::sql_query(EPOCH).bind::<Binary, _>(seller).bind::<SmallInt, _>(shard)).get_result(c)?,
        Backend::Postgres(c) => {
            let query = diesel::sql_query(format!("{EPOCH} FOR UPDATE OF o FOR SHARE OF h"));
            kept(query.bind::<Binary, _>(seller).bind::<SmallInt, _>(shard)).get_result(c)?
        }
    };
    Ok(row.epoch)
}

/// A seller that stock events are recorded for.
#[derive(QueryableByName)]
pub(super) struct LockedSeller {
    #[diesel(sql_type = Binary)]
    pub id: Vec<u8>,
    #[diesel(sql_type = BigInt)]
    pub sku_count: i64,
    /// How many it may have, if the operator has set a limit for it.
    #[diesel(sql_type = Nullable<BigInt>)]
    pub max_skus: Option<i64>,
    #[diesel(sql_type = BigInt)]
    pub setup_version: i64,
    /// The epoch of the seller's shard, if that is among those that were asked for.
    #[diesel(sql_type = Nullable<BigInt>)]
    pub epoch: Option<i64>,
}

/// Locks those of these sellers that are not deleted, in the order of their ids, and the shards of those that are held here.
pub(super) fn lock_sellers(c: &mut PgConnection, sellers: &BTreeMap<SellerId, bool>) -> Result<Vec<LockedSeller>> {
    let query = diesel::sql_query(
        "SELECT o.id, o.sku_count, o.max_skus, o.setup_version, h.epoch FROM unnest($1, $2) AS v (id, shard) JOIN sellers o ON o.id = v.id \
         LEFT JOIN LATERAL (SELECT shards.epoch FROM shards WHERE shards.shard = v.shard FOR SHARE) h ON TRUE \
         WHERE o.deleted_at IS NULL ORDER BY o.id FOR UPDATE OF o",
    );
    let query = query
        .bind::<Array<Binary>, _>(sellers.keys().map(SellerId::bytes).collect::<Vec<_>>())
        .bind::<Array<Nullable<SmallInt>>, _>(sellers.iter().map(|(id, here)| here.then(|| shard_of(*id))).collect::<Vec<_>>());
    Ok(kept(query).load(c)?)
}

/// On SQLite, the epochs of the shards of those of these sellers that are held here.
pub(super) fn epochs(c: &mut SqliteConnection, sellers: &BTreeMap<SellerId, bool>) -> Result<BTreeMap<SellerId, i64>> {
    let epoch = |shard: i16| shards::table.select(shards::epoch).filter(shards::shard.eq(shard));
    let here = sellers.iter().filter(|(_, here)| **here).map(|(seller, _)| *seller);
    here.map(|seller| Ok((seller, epoch(shard_of(seller)).get_result(c)?))).collect()
}
