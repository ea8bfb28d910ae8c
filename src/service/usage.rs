//! Counts what sellers have used, before the rows that say so are deleted.
use crate::db::usage::counting::{self, Next};
use crate::db::{self, Db};
use crate::domain::Timestamp;
use crate::domain::usage::SETTLED_AFTER;
use std::time::Duration;

/// The pause between two steps.
const PAUSE: Duration = Duration::from_millis(20);

/// Counts what has settled by `now`. Returns up to which instant everything is counted.
///
/// # Errors
/// If the database fails; calling it again continues.
pub async fn count(db: &Db, now: Timestamp) -> db::Result<Timestamp> {
    let until = now - SETTLED_AFTER;
    loop {
        let step = match db.read(move |conn| counting::next(conn, until)).await? {
            Next::Save(step) => step,
            Next::Nothing(counted_to) => return Ok(counted_to),
        };
        let counted_to = step.span.to;
        if db.write(move |conn| counting::save(conn, &step)).await? && counted_to == until {
            return Ok(until);
        }
        tokio::time::sleep(PAUSE).await;
    }
}
