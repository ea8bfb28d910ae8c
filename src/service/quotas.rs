//! Keeps the calls that apps have made lately in the database, so that a process that starts knows what is left of their quotas.
use crate::clock::Clock;
use crate::db::{self, Db};
use crate::domain::quota::{KEPT_FOR, Spent, slot_of};
use crate::platforms::limits::Book;
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use sha2::{Digest, Sha256};

/// The rows of all apps, by a digest of each app's name, which holds its key.
#[derive(Clone)]
#[expect(missing_debug_implementations, reason = "nothing to show")]
pub struct AppCalls {
    db: Db,
    clock: Clock,
}

impl AppCalls {
    /// Keeps them in this database.
    pub fn new(db: Db, clock: Clock) -> Self {
        Self { db, clock }
    }

    fn since(&self) -> i64 {
        slot_of(self.clock.now() - KEPT_FOR)
    }
}

fn key_of(app: &str) -> String {
    hex::encode(Sha256::digest(app))
}

impl Book for AppCalls {
    fn load(&self, app: &str) -> BoxFuture<'static, Result<Spent, String>> {
        let (book, app, since) = (self.clone(), key_of(app), self.since());
        async move {
            let rows = book.db.read(move |conn| db::quotas::app_calls(conn, &app, since)).await.map_err(|error| error.to_string())?;
            Ok(Spent::new(rows.into_iter().map(|(slot, calls)| (slot, u32::try_from(calls).unwrap_or(u32::MAX)))))
        }
        .boxed()
    }

    fn save(&self, app: &str, slots: Vec<(i64, u32)>) -> BoxFuture<'static, Result<(), String>> {
        let (book, app, since) = (self.clone(), key_of(app), self.since());
        async move {
            let saved = book.db.write(move |conn| db::quotas::save_app_calls(conn, &app, &slots, since)).await;
            saved.map_err(|error| error.to_string())
        }
        .boxed()
    }
}
