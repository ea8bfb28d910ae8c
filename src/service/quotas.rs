//! Keeps the calls that apps have made lately in the database, so that a process that starts knows what is left of their quotas, and
//! nodes that share a database spend them together.
use crate::clock::Clock;
use crate::db::{self, Conn, Db};
use crate::domain::quota::{KEPT_FOR, Spent, slot_of};
use crate::platforms::limits::Book;
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use sha2::{Digest, Sha256};

/// How much of a digest of its name distinguishes a node.
const NODE_BYTES: usize = 8;

/// The rows of all apps, by a digest of each app's name, which holds its key. Where several nodes share the database, each has rows of its
/// own: a digest of its name follows.
#[derive(Clone)]
#[expect(missing_debug_implementations, reason = "nothing to show")]
pub struct AppCalls {
    db: Db,
    clock: Clock,
    /// What follows the digest of an app.
    suffix: String,
}

impl AppCalls {
    /// Keeps them in this database, which the node of this name may share with others.
    pub fn new(db: Db, clock: Clock, node: Option<&str>) -> Self {
        let suffix = |name: &str| format!(":{}", hex::encode(Sha256::digest(name).get(..NODE_BYTES).unwrap_or_default()));
        Self { db, clock, suffix: node.map(suffix).unwrap_or_default() }
    }

    fn since(&self) -> i64 {
        slot_of(self.clock.now() - KEPT_FOR)
    }

    /// The app, and this node's rows of it.
    fn keys_of(&self, app: &str) -> (String, String) {
        let app = hex::encode(Sha256::digest(app));
        let own = format!("{app}{}", self.suffix);
        (app, own)
    }

    /// What other nodes have spent.
    fn others(&self, conn: &mut Conn, app: &str, own: &str) -> db::Result<Spent> {
        match self.suffix.is_empty() {
            true => Ok(Spent::default()),
            false => Ok(spent(db::quotas::app_calls_of_others(conn, app, own, self.since())?)),
        }
    }
}

/// Several rows may be of the same slot.
fn spent(rows: Vec<(i64, i64)>) -> Spent {
    let one = |(slot, calls): (i64, i64)| Spent::new([(slot, u32::try_from(calls).unwrap_or(u32::MAX))]);
    rows.into_iter().fold(Spent::default(), |all, row| all.with(&one(row)))
}

impl Book for AppCalls {
    fn load(&self, app: &str) -> BoxFuture<'static, Result<[Spent; 2], String>> {
        let (book, (app, own), since) = (self.clone(), self.keys_of(app), self.since());
        async move {
            let db = book.db.clone();
            let read = db.read(move |conn| Ok([spent(db::quotas::app_calls(conn, &own, since)?), book.others(conn, &app, &own)?]));
            read.await.map_err(|error| error.to_string())
        }
        .boxed()
    }

    fn save(&self, app: &str, slots: Vec<(i64, u32)>) -> BoxFuture<'static, Result<Spent, String>> {
        let (book, (app, own), since) = (self.clone(), self.keys_of(app), self.since());
        async move {
            let db = book.db.clone();
            let saved = db.write(move |conn| {
                if !book.suffix.is_empty() {
                    db::quotas::lock_app(conn, &app)?;
                }
                db::quotas::save_app_calls(conn, &own, &slots, since)?;
                book.others(conn, &app, &own)
            });
            saved.await.map_err(|error| error.to_string())
        }
        .boxed()
    }
}
