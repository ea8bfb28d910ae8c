//! One seller's rows, on a connection.
use super::changed::Changed;
use super::connection::{Backend, Conn};
use super::error::Result;
use super::schema::sellers;
use crate::domain::SellerId;
use diesel::prelude::*;

/// One seller's rows, on a connection. Its methods start their queries from [`scope`](Self::scope), which adds the seller.
#[expect(missing_debug_implementations, reason = "diesel's connections have none")]
pub struct Tenant<'a> {
    pub(super) conn: &'a mut Conn,
    seller: SellerId,
}

impl<'a> Tenant<'a> {
    /// For the operator, who changes a seller and writes that seller's audit log in one transaction.
    pub fn of(conn: &'a mut Conn, seller: SellerId) -> Self {
        Self { conn, seller }
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

    /// Waits until no other transaction writes for this seller. SQLite has one writer anyway.
    pub(super) fn lock(&mut self) -> Result<()> {
        let key = self.key();
        let own = sellers::table.select(sellers::id).filter(sellers::id.eq(&key)).filter(sellers::deleted_at.is_null());
        let _found: Vec<u8> = match &mut self.conn.backend {
            Backend::Sqlite(c) => own.get_result(c)?,
            Backend::Postgres(c) => own.for_update().get_result(c)?,
        };
        Ok(())
    }
}
