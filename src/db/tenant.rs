//! One seller's rows, on a connection.
use super::changed::Changed;
use super::connection::{Backend, Conn};
use super::error::{Error, Result};
use super::leases::lock_with_epoch;
use super::schema::sellers;
use crate::domain::SellerId;
use crate::domain::leases::Lease;
use diesel::prelude::*;

/// One seller's rows, on a connection. Its methods start their queries from [`scope`](Self::scope), which adds the seller.
#[expect(missing_debug_implementations, reason = "diesel's connections have none")]
pub struct Tenant<'a> {
    pub(super) conn: &'a mut Conn,
    seller: SellerId,
    /// What [`lock`](Self::lock) makes sure of, if anything.
    lease: Option<Lease>,
}

impl<'a> Tenant<'a> {
    /// For work that only the node may do that holds the seller's shard by this lease.
    pub(super) fn under(conn: &'a mut Conn, seller: SellerId, lease: Option<Lease>) -> Self {
        Self { conn, seller, lease }
    }

    /// For the operator, who changes a seller and writes that seller's audit log in one transaction.
    pub fn of(conn: &'a mut Conn, seller: SellerId) -> Self {
        Self { conn, seller, lease: None }
    }
}

impl Tenant<'_> {
    /// The seller.
    pub fn seller(&self) -> SellerId {
        self.seller
    }

    /// The seller's id as stored in every row.
    pub(super) fn key(&self) -> Vec<u8> {
        self.seller.bytes()
    }

    /// Notes what this transaction changes for the seller. It is reported after the commit.
    pub(super) fn note(&mut self, changed: Changed) {
        self.conn.note(self.seller, changed);
    }

    /// Waits until no other transaction writes for this seller. SQLite has one writer anyway. With a lease, its shard changes
    /// hands only after this transaction.
    ///
    /// # Errors
    /// [`Error::Fenced`] if it has changed hands already.
    pub(super) fn lock(&mut self) -> Result<()> {
        let key = self.key();
        if let Some(lease) = self.lease {
            let epoch = lock_with_epoch(self.conn, &key, lease.shard)?;
            return if epoch == lease.epoch { Ok(()) } else { Err(Error::Fenced) };
        }
        let own = sellers::table.select(sellers::id).filter(sellers::id.eq(&key)).filter(sellers::deleted_at.is_null());
        let _found: Vec<u8> = match &mut self.conn.backend {
            Backend::Sqlite(c) => own.get_result(c)?,
            Backend::Postgres(c) => own.for_update().get_result(c)?,
        };
        Ok(())
    }
}
