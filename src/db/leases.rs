//! The rows of nodes and shards: who works for which sellers. See [`domain::leases`](crate::domain::leases).
//!
//! A transaction that acts for a seller by a lease reads the shard's epoch together with the seller's row, and locks both: the
//! seller's against other writers, the shard's only against a change. So whoever takes a shard waits for the transactions that
//! began under its former epoch, or comes before them and makes them fail.
use super::connection::{Backend, Conn, on};
use super::kept::kept;
use super::schema::{nodes, shards};
use super::{Error, Result, id_of};
use crate::domain::leases::{Holding, Lease, Renewed, shard_of};
use crate::domain::{NodeId, SellerId, Timestamp};
use diesel::PgConnection;
use diesel::prelude::*;
use diesel::sql_types::{Array, BigInt, Binary, Nullable, SmallInt};
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

/// Has this node hold these shards, or nobody. Returns those that have changed hands, with their new epochs. Only on PostgreSQL.
pub fn change_hands(conn: &mut Conn, from: &[Lease], to: Option<NodeId>) -> Result<Vec<Lease>> {
    conn.transaction(|conn| changed_hands(conn, from, to))
}

fn changed_hands(conn: &mut Conn, from: &[Lease], to: Option<NodeId>) -> Result<Vec<Lease>> {
    let Backend::Postgres(c) = &mut conn.backend else { return Ok(Vec::new()) };
    let query = diesel::sql_query(CHANGE_HANDS)
        .bind::<Nullable<Binary>, _>(to.map(|node| node.bytes()))
        .bind::<Array<SmallInt>, _>(from.iter().map(|lease| lease.shard).collect::<Vec<_>>())
        .bind::<Array<BigInt>, _>(from.iter().map(|lease| lease.epoch).collect::<Vec<_>>());
    let changed: Vec<LeaseRow> = query.load(c)?;
    Ok(changed.into_iter().map(|LeaseRow { shard, epoch }| Lease { shard, epoch }).collect())
}

/// Deletes the rows of these nodes, unless they hold something. Only on PostgreSQL.
pub fn remove_nodes(conn: &mut Conn, gone: &[NodeId]) -> Result<()> {
    conn.transaction(|conn| {
        let Backend::Postgres(c) = &mut conn.backend else { return Ok(()) };
        let holds = "SELECT 1 FROM shards WHERE shards.node = nodes.id";
        diesel::sql_query(format!("DELETE FROM nodes WHERE id = ANY($1) AND NOT EXISTS ({holds})"))
            .bind::<Array<Binary>, _>(gone.iter().map(NodeId::bytes).collect::<Vec<_>>())
            .execute(c)?;
        Ok(())
    })
}

#[derive(QueryableByName)]
struct EpochRow {
    #[diesel(sql_type = BigInt)]
    epoch: i64,
}

/// Locks a seller that is not deleted for a write, and this shard against a change; returns the shard's epoch.
pub(super) fn lock_with_epoch(c: &mut PgConnection, seller: &[u8], shard: i16) -> Result<i64> {
    let query = diesel::sql_query(
        "SELECT h.epoch FROM sellers o JOIN shards h ON h.shard = $2 WHERE o.id = $1 AND o.deleted_at IS NULL \
         FOR UPDATE OF o FOR SHARE OF h",
    );
    let row: EpochRow = kept(query.bind::<Binary, _>(seller).bind::<SmallInt, _>(shard)).get_result(c)?;
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

/// What nodes tell one another: `pg_notify` on one channel, which all of them listen to.
const CHANNEL: &str = "stocktide_nodes";

/// Has a connection listen to what other nodes say. What it says costs no wait for the disk.
pub fn listen_statements() -> String {
    format!("LISTEN {CHANNEL}; SET synchronous_commit = off")
}

/// Tells all nodes that listen, this one included. At most 8,000 bytes.
pub fn tell(conn: &mut Conn, payload: &str) -> Result<()> {
    let Backend::Postgres(c) = &mut conn.backend else { return Ok(()) };
    kept(
        diesel::sql_query("SELECT pg_notify($1, $2)")
            .bind::<diesel::sql_types::Text, _>(CHANNEL)
            .bind::<diesel::sql_types::Text, _>(payload),
    )
    .run(c)?;
    Ok(())
}

/// What nodes have said since this was asked last.
pub fn heard(conn: &mut Conn) -> Result<Vec<String>> {
    let Backend::Postgres(c) = &mut conn.backend else { return Ok(Vec::new()) };
    c.notifications_iter().map(|notice| notice.map(|notice| notice.payload).map_err(Error::from)).collect()
}
