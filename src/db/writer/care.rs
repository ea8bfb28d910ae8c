//! With how much care a group's stock events are recorded and its calls finished: all together as long as nothing is unusual
//! about them, since that takes the fewest statements.
use crate::db::connection::Conn;
use crate::db::delivery::{EndedCall, Finished, Taken, finish_together};
use crate::db::error::{Error, Result};
use crate::db::ledger::{self, RecordRequest, Recorded, Repeats};
use std::cell::Cell;

/// How the stock events of a group are recorded and its calls finished, depending on what went wrong before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Care {
    Together(Repeats),
    /// Each request and each call in a savepoint of its own.
    Apart,
}

/// What recording stock events uses besides the database.
pub(super) type Beside<'a> = (&'a mut ledger::Setups, &'a mut Taken);

/// Records all requests. If that fails because of the rows of one, says how to record them when the transaction is repeated:
/// looking for repeats, or each separately.
pub(super) fn record(
    conn: &mut Conn,
    (setups, taken): Beside<'_>,
    requests: &[RecordRequest],
    limits: ledger::Limits,
    care: &Cell<Care>,
) -> Result<Vec<Result<Recorded>>> {
    if requests.is_empty() {
        return Ok(Vec::new());
    }
    let Care::Together(repeats) = care.get() else { return record_apart(conn, (setups, taken), requests, limits) };
    match ledger::record(conn, (setups, taken), requests, limits, repeats) {
        Ok(recorded) => Ok(recorded.into_iter().map(Ok).collect()),
        Err(error) if error.is_fatal() => Err(error),
        Err(error) if repeats == Repeats::NotExpected => {
            care.set(Care::Together(Repeats::LookedFor));
            Err(error)
        }
        Err(error) => {
            tracing::warn!(%error, "stock events of several requests could not be recorded together; trying each separately");
            care.set(Care::Apart);
            Err(error)
        }
    }
}

/// Records each request in a savepoint of its own.
fn record_apart(
    conn: &mut Conn,
    (setups, taken): Beside<'_>,
    requests: &[RecordRequest],
    limits: ledger::Limits,
) -> Result<Vec<Result<Recorded>>> {
    let mut results = Vec::with_capacity(requests.len());
    for request in requests {
        let begun = taken.len();
        let one = std::slice::from_ref(request);
        let one = conn.transaction(|conn| ledger::record(conn, (&mut *setups, &mut *taken), one, limits, Repeats::LookedFor));
        match one {
            Err(error) if error.is_fatal() => return Err(error),
            Err(error) => {
                taken.roll_back(begun);
                results.push(Err(error));
            }
            Ok(mut recorded) => results.push(recorded.pop().ok_or(Error::Busy)),
        }
    }
    Ok(results)
}

/// Finishes calls: those that have succeeded plainly together, each other one in a savepoint of its own. If that fails because of
/// some row, the transaction is repeated, and every call is finished separately.
pub(super) fn finish(conn: &mut Conn, calls: &[EndedCall], care: &Cell<Care>) -> Result<Vec<Result<Finished>>> {
    let together = if care.get() == Care::Apart { Ok(vec![None; calls.len()]) } else { finish_together(conn, calls) };
    let together = together.inspect_err(|error| {
        if !error.is_fatal() {
            tracing::warn!(%error, "several calls could not be finished together; trying each separately");
            care.set(Care::Apart);
        }
    })?;
    let mut finished = Vec::with_capacity(calls.len());
    for (call, plainly) in calls.iter().zip(together) {
        finished.push(match plainly.map_or_else(|| conn.transaction(|conn| call.save(conn)), Ok) {
            Err(error) if error.is_fatal() => return Err(error),
            done => done,
        });
    }
    Ok(finished)
}
