//! The database as one seller's code sees it.
use super::database::Db;
use super::delivery::{EndedCall, Finished};
use super::error::Result;
use super::tenant::Tenant;
use crate::domain::SellerId;
use crate::domain::leases::Lease;

impl Db {
    /// The rows of one seller.
    pub fn seller(&self, id: SellerId) -> SellerDb {
        SellerDb { db: self.clone(), seller: id, lease: None }
    }
}

/// Gives access to one seller's rows and to no others: work gets a [`Tenant`], never a connection.
#[derive(Debug, Clone)]
pub struct SellerDb {
    db: Db,
    seller: SellerId,
    lease: Option<Lease>,
}

impl SellerDb {
    /// The seller.
    pub fn id(&self) -> SellerId {
        self.seller
    }

    /// The same rows for work that only the node may do that holds the seller's shard by this lease: every write makes sure of it,
    /// and is [`Error::Fenced`](super::Error::Fenced) otherwise. `None`: nobody else can hold it.
    #[must_use]
    pub fn under(&self, lease: Option<Lease>) -> Self {
        Self { lease, ..self.clone() }
    }

    /// By what lease its writes are made.
    pub fn lease(&self) -> Option<Lease> {
        self.lease
    }

    /// Reads; see [`Db::read`]. Only a limited number of one seller's reads run at once.
    ///
    /// # Errors
    /// Those of `work`; [`Error::Unavailable`](super::Error::Unavailable) without a connection,
    /// [`Error::TooMuchAtOnce`](super::Error::TooMuchAtOnce) if the seller's other reads take too long.
    pub async fn read<T: Send + 'static>(&self, mut work: impl FnMut(&mut Tenant<'_>) -> Result<T> + Send + 'static) -> Result<T> {
        let seller = self.seller;
        self.db.read_of(seller, move |conn| work(&mut Tenant::of(conn, seller))).await
    }

    /// Saves the end of a call, in a transaction that many calls share. When the database fails, it may simply be done again.
    ///
    /// # Errors
    /// Those of [`Self::write`].
    pub async fn finish(&self, call: EndedCall) -> Result<Finished> {
        self.db.writer.finish(call.under(self.lease)).await
    }

    /// Writes in a transaction that holds the seller's lock, so that one seller's writes happen one after another.
    /// `work` may run twice; only one run is committed.
    ///
    /// # Errors
    /// Those of `work` and of the commit; [`Error::NotFound`](super::Error::NotFound) when the seller was deleted.
    pub async fn write<T: Send + 'static>(&self, mut work: impl FnMut(&mut Tenant<'_>) -> Result<T> + Send + 'static) -> Result<T> {
        let (seller, lease) = (self.seller, self.lease);
        self.db
            .writer
            .write(seller, move |conn| {
                let mut tenant = Tenant::under(conn, seller, lease);
                tenant.lock()?;
                work(&mut tenant)
            })
            .await
    }
}
