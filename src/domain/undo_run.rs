//! Runs that undo others: which run may be undone, and which overwrites that takes. [`undo`](super::undo) has the numbers.
use super::push::{Addressee, Push};
use super::run::{Run, RunKind, RunState};
use super::undo::{Found, LeftAlone, Restored, restored};
use super::{RunId, StoreId, Timestamp};
use std::collections::BTreeSet;

/// What a request to undo a run does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MayUndo {
    /// It starts a run that undoes it.
    Start,
    /// Nothing: this run is doing it.
    IsUndoneBy(RunId),
}

/// Whether this run may be undone. `former` is the newest run that undoes it, if there is one that is kept.
///
/// # Errors
/// Why not, in plain words.
pub fn may_undo(run: &Run, former: Option<&Run>) -> Result<MayUndo, &'static str> {
    if run.kind == RunKind::Undo {
        return Err("This run undoes another one. To bring its listings to their targets again, start a sync.");
    }
    match former {
        Some(undo) if !undo.has_ended() => return Ok(MayUndo::IsUndoneBy(undo.id)),
        Some(undo) if undo.state != RunState::Cancelled => return Err("This run was undone before."),
        _ => {}
    }
    if run.state == RunState::WaitingForAnswer {
        return Err("This run has not sent anything. To cancel it, answer it with no.");
    }
    if !run.has_ended() {
        return Err("This run is still under way. Cancel it, or wait until it has ended.");
    }
    if run.done + run.failed < run.total {
        return Err(
            "Some updates of this run are still on their way, or have taken the place of increases and wait because of a pause. It can be undone once they have ended.",
        );
    }
    if run.done == 0 {
        return Err("This run has overwritten nothing, so there is nothing to undo.");
    }
    Ok(MayUndo::Start)
}

/// A listing as it is now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listed {
    /// As it is paired.
    pub to: Addressee,
    /// What it shows, as far as known.
    pub shown: Option<i64>,
    /// What has happened to it.
    pub found: Found,
}

/// A confirmed overwrite of a run that is undone, and its listing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Undone {
    /// The overwrite.
    pub push: Push,
    /// Its listing.
    pub listed: Listed,
}

impl Undone {
    /// What its listing is set back to.
    ///
    /// # Errors
    /// Why it is left alone.
    pub fn restored(&self) -> Result<Restored, LeftAlone> {
        // Its overwrite may have been on its way as it was paired anew.
        if !self.push.goes_to(&self.listed.to) {
            return Err(LeftAlone::PairedAnew);
        }
        restored(self.push.id(), self.push.replaced(), &self.listed.found)
    }

    /// Whether its listing would show another number than it does, as far as known.
    pub fn changes(&self) -> bool {
        self.restored().is_ok_and(|restored| self.listed.shown != Some(restored.target(0)))
    }
}

/// The next page of listings of an undo as overwrites: the number of each is found as it is sent. One that is left alone has an
/// overwrite that has ended, which says why.
pub fn next_page(run: &mut Run, page: Vec<Undone>, is_last: bool, held: &BTreeSet<StoreId>, now: Timestamp) -> Vec<Push> {
    let overwrite = |undone: Undone| {
        let left_alone = undone.restored().err();
        let is_held = held.contains(&undone.listed.to.store_id);
        let mut push = Push::restoring(undone.listed.to, run.id, undone.push.id(), *undone.push.replaced(), now, is_held);
        if let Some(why) = left_alone {
            push.leave_alone(why, now);
        }
        push
    };
    let made: Vec<Push> = page.into_iter().map(overwrite).collect();
    let left_alone = made.iter().filter(|push| push.state().has_ended()).count();
    run.expand(made.len(), left_alone, is_last, now);
    made
}

/// What an undo would do, as far as is known before it is started.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct UndoExtent {
    /// Listings that would be set back to another number than they show.
    pub changed: i64,
    /// Listings that show that number already.
    pub unchanged: i64,
    /// Listings of which it is not known what they showed.
    pub unknown: i64,
    /// Listings that were overwritten or paired anew since.
    pub newer: i64,
}

impl UndoExtent {
    /// Counts a listing.
    pub fn add(&mut self, of: &Undone) {
        match of.restored() {
            Ok(_) if of.changes() => self.changed += 1,
            Ok(_) => self.unchanged += 1,
            Err(LeftAlone::Unknown) => self.unknown += 1,
            Err(LeftAlone::Overwritten | LeftAlone::PairedAnew) => self.newer += 1,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::push::{PushState, Record};
    use crate::domain::undo::Replaced;
    use crate::domain::{ListingId, PushId};

    const NOW: Timestamp = Timestamp::from_millis(1_000);

    fn finished(done: i64) -> Run {
        Run { state: RunState::Finished, finished_at: Some(NOW), expanded: true, total: done, done, ..Run::start(RunKind::Manual, NOW) }
    }

    #[test]
    fn a_run_that_has_overwritten_something_is_undone_once() {
        let run = finished(3);
        let undo = Run::undo(run.id, NOW);
        let ended = |state| Run { state, finished_at: Some(NOW), ..undo.clone() };
        assert_eq!(may_undo(&run, None), Ok(MayUndo::Start));
        assert_eq!(may_undo(&run, Some(&undo)), Ok(MayUndo::IsUndoneBy(undo.id)), "the same request again starts nothing");
        assert!(may_undo(&run, Some(&ended(RunState::Finished))).unwrap_err().contains("undone before"));
        assert_eq!(may_undo(&run, Some(&ended(RunState::Cancelled))), Ok(MayUndo::Start), "the rest of it");
        assert_eq!(may_undo(&Run { state: RunState::Cancelled, ..run }, None), Ok(MayUndo::Start), "what it has done before");
    }

    #[test]
    fn a_run_that_may_not_be_undone_says_why() {
        let ended = finished(3);
        let waiting = Run { state: RunState::WaitingForAnswer, ..Run::start(RunKind::Daily, NOW) };
        let missed = Run { state: RunState::Missed, ..finished(0) };
        for (run, expected) in [
            (Run::start(RunKind::Manual, NOW), "still under way"),
            (waiting, "has not sent anything"),
            (missed, "nothing to undo"),
            (Run { total: 4, ..ended.clone() }, "still on their way"),
            (Run { kind: RunKind::Undo, ..ended }, "undoes another one"),
        ] {
            let refused = may_undo(&run, None).unwrap_err();
            assert!(refused.contains(expected), "{refused}");
        }
    }

    #[test]
    fn every_listing_gets_an_overwrite_or_a_record_that_says_why_not() {
        let store = StoreId::new(NOW);
        let to = |name: &str| Addressee {
            store_id: store,
            listing_id: ListingId::new(NOW),
            sku: name.to_owned(),
            external_id: name.to_owned(),
            extra: None,
        };
        let undone = |name: &str, replaced: Replaced, set_by: Option<PushId>| {
            let to = to(name);
            let push = Push::overwrite(to.clone(), NOW, Some(RunId::new(NOW)), None, false);
            let record = Record { state: PushState::Confirmed, due_at: None, quantity: Some(1), replaced, ..push.into_record() };
            let found = Found { set_by: set_by.or(Some(record.id)), ..Found::default() };
            Undone { push: Push::from_record(record).unwrap(), listed: Listed { to, shown: Some(1), found } }
        };
        let plain = Replaced::plain(7, 0, 0);
        let page = vec![undone("A", plain, None), undone("B", Replaced::default(), None), undone("C", plain, Some(PushId::new(NOW)))];
        let mut extent = UndoExtent::default();
        page.iter().for_each(|undone| extent.add(undone));
        assert_eq!(extent, UndoExtent { changed: 1, unchanged: 0, unknown: 1, newer: 1 });
        let mut run = Run::undo(RunId::new(NOW), NOW);
        let made = next_page(&mut run, page, true, &BTreeSet::new(), NOW);
        let states: Vec<PushState> = made.iter().map(Push::state).collect();
        assert_eq!(states, [PushState::Queued, PushState::Cancelled, PushState::Cancelled]);
        assert_eq!((run.total, run.failed, run.expanded, run.has_ended()), (3, 2, true, false));
        let reasons: Vec<String> = made.into_iter().filter_map(|push| push.into_record().reason).collect();
        assert!(reasons[0].contains("cannot be restored") && reasons[1].contains("overwritten since"), "{reasons:?}");
    }

    #[test]
    fn an_undo_of_which_every_listing_is_left_alone_ends_at_once() {
        let mut run = Run::undo(RunId::new(NOW), NOW);
        assert_eq!(next_page(&mut run, Vec::new(), true, &BTreeSet::new(), NOW), []);
        assert_eq!(run.state, RunState::Finished);
    }
}
