//! What an undone overwrite leaves: what its listing showed before, with what has happened since.
//!
//! *Before* is what was read from the shop just before the overwrite, or else what the service believed the listing to show.
//! *Since* is counted from the moment at which that number was learned:
//!
//! * Units sold come off: those that events report in the store's name, and where its unseen sales are protected, those that are
//!   found missing as the listing is read before it is set back. What was missing before the overwrite, too, is no sale since.
//! * Increases stay: those that were confirmed since, those that wait, and those that the overwrite has taken the place of.
//! * Nothing else counts. A number that somebody has edited in the shop meanwhile is overwritten, as by any run.
//!
//! A listing that another overwrite has set since is left alone, as its number is newer than the run. So is one that is paired with
//! another SKU by now, or of which it is not known what it showed.
//!
//! | showed | the run set | since | is set back to |
//! | --- | --- | --- | --- |
//! | 10 | 0 | nothing | 10 |
//! | 10 | 8 | 3 sold, an increase of 5 | 12 |
//! | 2 | 9 | 4 sold | 0 |
use super::PushId;
use super::units::UnitsEach;
use serde::{Deserialize, Serialize};

/// What the listing of an overwrite showed before it, and what had happened to the listing by then.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Replaced {
    /// Units shown; `None` where that is not known.
    pub shown: Option<i64>,
    /// Units that were missing then, because the store had sold them and nobody had reported that.
    pub unseen: i64,
    /// Units of the SKU that had been reported as sold by its store.
    pub sold: i64,
    /// Units by which confirmed increases had raised it.
    pub increased: i64,
    /// Units of waiting increases that the overwrite has taken the place of.
    pub contained: i64,
    /// Whether a sending after which this was learned may have been applied: what is read later may be the overwrite's own number.
    pub in_doubt: bool,
}

impl Replaced {
    /// What is known of most overwrites, which nothing was read for and which contain nothing.
    pub fn plain(shown: i64, sold: i64, increased: i64) -> Self {
        Self { shown: Some(shown), sold, increased, ..Self::default() }
    }

    /// It is learned anew, unless it may be too late for that.
    pub fn forget(&mut self) {
        if !self.in_doubt {
            *self = Self { contained: self.contained, ..Self::default() };
        }
    }

    /// The listing shows this, by an answer or by what is believed; what is known already stays.
    pub fn learn(&mut self, shown: i64, unseen: i64, sold: i64, increased: i64) {
        if self.shown.is_none() {
            *self = Self { shown: Some(shown), unseen, sold, increased, ..*self };
        }
    }
}

/// What is known of a listing when it is to be set back.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Found {
    /// The newest confirmed overwrite; `None` if it was paired with another SKU since.
    pub set_by: Option<PushId>,
    /// See [`Replaced::sold`].
    pub sold: i64,
    /// See [`Replaced::increased`].
    pub increased: i64,
    /// Units of increases that wait for it: they are part of what it is set to.
    pub waiting: i64,
    /// How many units of the SKU one of it is.
    pub units: UnitsEach,
}

/// How the number of an overwrite that takes back another comes about, in units of the listing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Restored {
    /// What was shown before.
    pub shown: i64,
    /// Units reported as sold since, less those that were missing before; below 0 if more were missing than reported.
    pub sold: i64,
    /// Units of increases since.
    pub increased: i64,
}

/// Why a listing is left alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LeftAlone {
    /// It is not known what it showed.
    Unknown,
    /// It has been overwritten since.
    Overwritten,
    /// It is paired with another SKU, or with another number of units.
    PairedAnew,
}

impl LeftAlone {
    /// In plain words.
    pub fn text(self) -> &'static str {
        match self {
            Self::Unknown => "Left alone: what it showed before the run is not known, so it cannot be restored.",
            Self::Overwritten => "Left alone: it has been overwritten since the run.",
            Self::PairedAnew => "Left alone: it has been paired anew since the run.",
        }
    }
}

/// What the listing of this overwrite is set back to, before unseen sales are taken off.
///
/// # Errors
/// Why it is left alone.
pub fn restored(overwrite: PushId, replaced: &Replaced, now: &Found) -> Result<Restored, LeftAlone> {
    match now.set_by {
        Some(push) if push == overwrite => {}
        Some(_) => return Err(LeftAlone::Overwritten),
        None => return Err(LeftAlone::PairedAnew),
    }
    let shown = replaced.shown.ok_or(LeftAlone::Unknown)?;
    // What the store has put back since is not brought back: it is a unit too few rather than one too many.
    let reported = now.units.needed_for(now.sold.saturating_sub(replaced.sold).max(0));
    let confirmed = now.increased.saturating_sub(replaced.increased);
    Ok(Restored {
        shown,
        sold: reported.saturating_sub(replaced.unseen),
        increased: confirmed.saturating_add(replaced.contained).saturating_add(now.waiting),
    })
}

impl Restored {
    /// The number, in the place of a target: so many units that were found to be sold and not reported come off it as they do off
    /// targets. Of those that were missing before the run, only what is found missing again was there at that time, too.
    pub fn target(&self, unseen: i64) -> i64 {
        self.shown.saturating_add(self.increased).saturating_sub(self.sold.max(-unseen)).max(0)
    }

    /// In plain words; so many units were found to be sold and not reported.
    pub fn text(&self, unseen: i64) -> String {
        let units = |number: i64| if number == 1 { "1 unit".to_owned() } else { format!("{number} units") };
        let mut text = format!("{} shown before the run", self.shown);
        if self.increased > 0 {
            text.push_str(&format!(", plus {} added since", units(self.increased)));
        }
        if self.increased < 0 {
            text.push_str(&format!(", less {} taken off since", units(self.increased.saturating_neg())));
        }
        let sold = self.sold.saturating_add(unseen);
        if sold > 0 {
            text.push_str(&format!(", less {} sold since", units(sold)));
        }
        if self.shown.saturating_add(self.increased).saturating_sub(sold) < 0 {
            text.push_str(", so nothing is left");
        }
        text
    }
}

/// What an overwrite of an undo takes back.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Undo {
    /// The overwrite of the run that is undone.
    pub of: PushId,
    /// What that has replaced.
    pub replaced: Replaced,
    /// How the number came about; `None` before it is sent.
    pub restored: Option<Restored>,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::unseen;
    use proptest::prelude::*;

    const RUNS: PushId = PushId(uuid::Uuid::from_u128(1));
    const LATER: PushId = PushId(uuid::Uuid::from_u128(2));

    fn untouched() -> Found {
        Found { set_by: Some(RUNS), ..Found::default() }
    }

    #[test]
    fn a_listing_gets_back_what_it_showed_less_sales_and_with_increases() {
        let ten = Replaced::plain(10, 40, 7);
        let untouched = Found { sold: 40, increased: 7, ..untouched() };
        for (name, replaced, now, expected) in [
            ("nothing happened", ten, untouched, 10),
            ("three were sold", ten, Found { sold: 43, ..untouched }, 7),
            ("an increase was confirmed", ten, Found { increased: 12, ..untouched }, 15),
            ("one waits", ten, Found { waiting: 4, ..untouched }, 14),
            ("one was part of what the run has set", Replaced { contained: 2, ..ten }, untouched, 12),
            ("all of it", Replaced { contained: 2, ..ten }, Found { sold: 41, increased: 10, waiting: 1, ..untouched }, 15),
            ("more was sold than was shown", ten, Found { sold: 60, ..untouched }, 0),
            ("what was missing before was reported after", Replaced { unseen: 3, ..ten }, Found { sold: 43, ..untouched }, 10),
            ("it is not found missing any more", Replaced { unseen: 3, ..ten }, untouched, 10),
            ("it shows packs of six", ten, Found { sold: 53, units: UnitsEach::new(6).unwrap(), ..untouched }, 7),
        ] {
            assert_eq!(restored(RUNS, &replaced, &now).map(|found| found.target(0)), Ok(expected), "{name}");
        }
        let missing_then = restored(RUNS, &Replaced { unseen: 3, ..ten }, &untouched).unwrap();
        let left = [0, 2, 3, 5].map(|found| unseen::quantity(missing_then.target(found), found));
        assert_eq!(left, [10, 10, 10, 8], "what is found missing beyond those was sold since");
    }

    #[test]
    fn a_listing_is_left_alone_where_its_number_is_newer_than_the_run_or_was_never_known() {
        let unknown = Replaced::default();
        for (replaced, now, expected) in [
            (unknown, untouched(), LeftAlone::Unknown),
            (Replaced::plain(10, 0, 0), Found { set_by: Some(LATER), ..untouched() }, LeftAlone::Overwritten),
            (unknown, Found { set_by: Some(LATER), ..untouched() }, LeftAlone::Overwritten),
            (Replaced::plain(10, 0, 0), Found { set_by: None, ..untouched() }, LeftAlone::PairedAnew),
        ] {
            assert_eq!(restored(RUNS, &replaced, &now), Err(expected));
        }
    }

    #[test]
    fn what_was_shown_is_learned_once_for_all_sendings_of_which_one_may_have_been_applied() {
        let mut replaced = Replaced { contained: 2, ..Replaced::default() };
        replaced.learn(10, 1, 4, 0);
        replaced.learn(8, 0, 5, 0);
        assert_eq!((replaced.shown, replaced.unseen, replaced.sold), (Some(10), 1, 4));
        replaced.forget();
        assert_eq!(replaced, Replaced { contained: 2, ..Replaced::default() }, "nothing was applied, so it is read again");
        replaced.learn(8, 0, 5, 0);
        replaced.in_doubt = true;
        replaced.forget();
        assert_eq!(replaced.shown, Some(8), "what is read now may be its own number");
    }

    #[test]
    fn the_arithmetic_stands_in_words() {
        let plain = Restored { shown: 10, sold: 0, increased: 0 };
        for (restored, unseen, expected) in [
            (plain, 0, "10 shown before the run"),
            (Restored { sold: 1, ..plain }, 0, "10 shown before the run, less 1 unit sold since"),
            (Restored { sold: 1, increased: 5, ..plain }, 2, "10 shown before the run, plus 5 units added since, less 3 units sold since"),
            (Restored { sold: -3, ..plain }, 3, "10 shown before the run"),
            (Restored { sold: -3, ..plain }, 0, "10 shown before the run"),
            (Restored { sold: 12, ..plain }, 0, "10 shown before the run, less 12 units sold since, so nothing is left"),
        ] {
            assert_eq!(restored.text(unseen), expected);
        }
    }

    proptest! {
        /// A shop that shows what it has, sells, and is added to: whatever the run has set in between, the undo leaves what there
        /// would be without the run, however many of the sales are reported by then, and whenever.
        #[test]
        fn an_undone_run_leaves_what_there_would_be_without_it(
            shown in 0i64..1_000,
            unseen in 0i64..50,
            before in (0i64..500, 0i64..500),
            sales in 0i64..300,
            reported in 0i64..400,
            increases in (0i64..100, 0i64..100, 0i64..100),
        ) {
            let replaced = Replaced { shown: Some(shown), unseen, sold: before.0, increased: before.1, contained: increases.0, in_doubt: false };
            // Of those that nobody had reported before the run and those since, some are by now.
            let reported = reported.min(unseen + sales);
            let now = Found { sold: before.0 + reported, increased: before.1 + increases.1, waiting: increases.2, ..untouched() };
            let missing = unseen + sales - reported;
            let left = shown + increases.0 + increases.1 + increases.2 - sales;
            let target = restored(RUNS, &replaced, &now).unwrap().target(missing);
            prop_assert_eq!(unseen::quantity(target, missing), left.max(0));
        }

        #[test]
        fn an_undo_never_shows_less_than_nothing_nor_overflows(shown: i64, unseen in 0..i64::MAX, sold: i64, then: i64, increased: i64, waiting in 0..i64::MAX) {
            let replaced = Replaced { shown: Some(shown), unseen, sold: then, increased: then, contained: 0, in_doubt: false };
            let found = restored(RUNS, &replaced, &Found { sold, increased, waiting, ..untouched() }).unwrap();
            prop_assert!(found.target(unseen) >= 0 && !found.text(unseen).is_empty());
        }
    }
}
