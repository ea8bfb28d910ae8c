//! Runs on their way to pushes: weighed first, and answered where they have asked.
use super::context::{Caller, Error, Result, Service, audited};
use crate::db::runs::{Expanded, Run};
use crate::db::{self, Db, SellerDb, fleet};
use crate::domain::guard::{Answered, Guard, Weighing};
use crate::domain::run::Expansion;
use crate::domain::{RunId, Timestamp};
use serde_json::json;
use std::sync::Arc;

/// Turns the next page of listings of a seller's open runs into pushes, or weighs a run that has not begun. Returns whether
/// there was anything to do.
///
/// # Errors
/// If the database fails; what was weighed then is weighed again.
pub async fn expand(seller: &SellerDb, now: Timestamp) -> db::Result<bool> {
    match seller.write(move |t| t.expand_runs(now)).await? {
        Expanded::Nothing => return Ok(false),
        Expanded::Page => {}
        Expanded::Unweighed(expansion, guard) => weigh(seller, *expansion, guard, now).await?,
    }
    Ok(true)
}

/// Reads page by page, outside of any transaction that others wait for.
async fn weigh(seller: &SellerDb, expansion: Expansion, guard: Guard, now: Timestamp) -> db::Result<()> {
    let (expansion, mut weighing, mut after) = (Arc::new(expansion), Weighing::default(), None);
    let run = &expansion.run;
    loop {
        let of = Arc::clone(&expansion);
        let page = seller.read(move |t| t.weigh_page(&of, guard, after)).await?;
        page.listings.into_iter().for_each(|(store, shown, target)| weighing.add(store, shown, target));
        after = page.next;
        if after.is_none() {
            break;
        }
    }
    let emptied = weighing.emptied();
    if !emptied.is_empty() {
        for (store, showing) in seller.read(move |t| t.showing_listings(&emptied)).await? {
            weighing.showing(store, showing);
        }
    }
    let question = weighing.question(guard, now);
    if let Some(question) = &question {
        tracing::warn!(seller.id = %seller.id(), run.id = %run.id, kind = run.kind.as_str(), reason = question.text(), "a run waits for an answer");
    }
    let id = run.id;
    seller.write(move |t| t.save_weighing(id, question.clone())).await
}

/// Lets a run that waits for an answer go ahead, or ends it. The same answer again changes nothing.
///
/// # Errors
/// No such run, or one that does not wait for an answer.
pub async fn answer(service: &Service, caller: &Caller, id: RunId, go: bool) -> Result<Run> {
    let (now, actor) = (service.now(), caller.actor());
    let (answered, run) = caller
        .db
        .write(move |t| {
            let (answered, run) = t.answer_run(id, go, now)?;
            if answered == Answered::Taken {
                let subject = id.to_string();
                let mut entry = audited(&actor, "sync.answered", &subject);
                entry.after = Some(json!({ "go": go, "stores": run.question.as_ref().map(|question| &question.stores) }));
                t.append_audit(&entry, now)?;
            }
            Ok((answered, run))
        })
        .await?;
    match answered {
        Answered::Taken | Answered::Repeated => Ok(run),
        Answered::NotAsked => Err(Error::conflict("This sync does not wait for an answer.")),
    }
}

/// Ends the runs of all sellers that have waited too long for an answer.
///
/// # Errors
/// If the database fails; those that are left are found again.
pub async fn lapse(all: &Db, now: Timestamp) -> db::Result<()> {
    for seller in all.read(move |conn| fleet::sellers_that_did_not_answer(conn, now)).await? {
        match all.seller(seller).write(move |t| t.lapse_questions(now)).await {
            // Deleted in between.
            Ok(_) | Err(db::Error::NotFound) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}
