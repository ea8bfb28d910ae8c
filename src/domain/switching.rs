//! What a change of the sync settings or of a store brings about: what begins, what is held, released or cancelled.
use super::Timestamp;
use super::allocation::AllocationMode;
use super::drift::Policy;
use super::frequency::Frequency;
use super::guard::GuardChange;
use super::settings::SyncSettings;
use chrono::NaiveTime;
use chrono_tz::Tz;

/// A change of the sync settings; a field that is left out keeps its value.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct SettingsChange {
    /// Switching it on starts the frequency that was last chosen: incremental if none ever was.
    pub auto_sync: Option<bool>,
    /// Incremental, timed full coverage, or both.
    pub frequency: Option<Frequency>,
    /// Local time of the daily run.
    pub daily_at: Option<NaiveTime>,
    /// The seller's zone.
    pub timezone: Option<Tz>,
    /// How late a missed daily run is still caught up, in hours.
    pub catch_up_hours: Option<i64>,
    /// How stores share the pool.
    pub allocation_mode: Option<AllocationMode>,
    /// The seller's safety buffer, in units.
    pub buffer: Option<i64>,
    /// Whether a cancellation triggers increases like a return.
    pub trigger_on_cancellation: Option<bool>,
    /// Whether stock events create SKUs that do not exist.
    pub create_skus: Option<bool>,
    /// How much a run may change without asking.
    pub guard: GuardChange,
    /// What the daily check does about listings that differ.
    pub drift: Option<Policy>,
    /// Whether switching auto-sync on starts one overwrite of every listing; true when left out.
    pub initial_overwrite: Option<bool>,
}

/// The settings after a change, and what follows from it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Switched {
    /// The settings from now on.
    pub settings: SyncSettings,
    /// Auto-sync was switched off: waiting pushes and open runs of its making are cancelled.
    pub cancels: bool,
    /// Auto-sync was switched on: every listing is overwritten once.
    pub begins_initial_run: bool,
}

impl SettingsChange {
    /// Applies the change to `old`; `None` when nothing would be different.
    pub fn apply(&self, old: &SyncSettings, now: Timestamp) -> Option<Switched> {
        let auto_sync = self.auto_sync.unwrap_or(old.auto_sync);
        let switched_on = auto_sync && !old.auto_sync;
        let mut settings = SyncSettings {
            auto_sync,
            frequency: self.frequency.unwrap_or(old.frequency),
            daily_at: self.daily_at.unwrap_or(old.daily_at),
            timezone: self.timezone.unwrap_or(old.timezone),
            catch_up_hours: self.catch_up_hours.unwrap_or(old.catch_up_hours),
            allocation_mode: self.allocation_mode.unwrap_or(old.allocation_mode),
            buffer: self.buffer.unwrap_or(old.buffer),
            trigger_on_cancellation: self.trigger_on_cancellation.unwrap_or(old.trigger_on_cancellation),
            create_skus: self.create_skus.unwrap_or(old.create_skus),
            guard: self.guard.apply(old.guard),
            drift: self.drift.unwrap_or(old.drift),
            timed_since: old.timed_since,
            has_bundles: old.has_bundles,
        };
        if settings == *old {
            return None;
        }
        let schedule = |s: &SyncSettings| (s.is_timed(), s.daily_at, s.timezone);
        if schedule(&settings) != schedule(old) {
            settings.timed_since = now;
        }
        let begins_initial_run = switched_on && self.initial_overwrite.unwrap_or(true);
        Some(Switched { settings, cancels: old.auto_sync && !auto_sync, begins_initial_run })
    }
}

/// What decides whether a store is pushed to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StoreSwitches {
    /// Its own switch.
    pub sync_enabled: bool,
    /// The seller paused it.
    pub paused: bool,
    /// It refused its credentials.
    pub needs_reauthorisation: bool,
}

/// What follows from a change of a store.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StoreEffects {
    /// Its waiting pushes are cancelled.
    pub cancels: bool,
    /// Its waiting pushes are held.
    pub holds: bool,
    /// Its held pushes may be sent again, unless it is still paused.
    pub releases: bool,
}

impl StoreSwitches {
    /// What follows when these switches replace `old`, or when the seller enters `new_credentials`.
    pub fn effects_after(self, old: Self, new_credentials: bool) -> StoreEffects {
        StoreEffects {
            cancels: old.sync_enabled && !self.sync_enabled,
            holds: self.paused && !old.paused,
            releases: (old.paused && !self.paused && !self.needs_reauthorisation) || new_credentials,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::settings::parse_daily_at;
    use proptest::prelude::*;

    const CREATED: Timestamp = Timestamp::from_millis(1_000);
    const NOW: Timestamp = Timestamp::from_millis(9_000);

    fn settings(auto_sync: bool, frequency: Frequency) -> SyncSettings {
        SyncSettings { auto_sync, frequency, ..SyncSettings::new(Tz::Asia__Taipei, CREATED) }
    }

    fn switch(on: bool) -> SettingsChange {
        SettingsChange { auto_sync: Some(on), ..SettingsChange::default() }
    }

    #[test]
    fn switching_on_starts_an_initial_run_unless_declined_and_keeps_the_chosen_frequency() {
        let (incremental, timed) = (Frequency::Incremental, Frequency::TimedFull);
        for (chosen, change, begins, frequency) in [
            (timed, switch(true), true, timed),
            (incremental, switch(true), true, incremental),
            (timed, SettingsChange { initial_overwrite: Some(true), ..switch(true) }, true, timed),
            (timed, SettingsChange { initial_overwrite: Some(false), ..switch(true) }, false, timed),
            (timed, SettingsChange { frequency: Some(incremental), ..switch(true) }, true, incremental),
            (incremental, SettingsChange { frequency: Some(timed), ..switch(true) }, true, timed),
        ] {
            let switched = change.apply(&settings(false, chosen), NOW).unwrap();
            assert_eq!((switched.begins_initial_run, switched.settings.frequency), (begins, frequency), "{change:?}");
            assert!(switched.settings.auto_sync && !switched.cancels);
        }
    }

    #[test]
    fn switching_off_cancels_and_keeps_the_frequency() {
        let switched = switch(false).apply(&settings(true, Frequency::TimedFull), NOW).unwrap();
        assert!(switched.cancels && !switched.begins_initial_run);
        assert_eq!(switched.settings.frequency, Frequency::TimedFull);
    }

    #[test]
    fn a_change_that_leaves_everything_as_it_was_is_none() {
        for (on, frequency) in [(true, Frequency::Incremental), (true, Frequency::TimedFull), (false, Frequency::Incremental)] {
            let old = settings(on, frequency);
            assert_eq!(SettingsChange::default().apply(&old, NOW), None);
            assert_eq!(SettingsChange { initial_overwrite: Some(true), ..switch(on) }.apply(&old, NOW), None);
        }
    }

    #[test]
    fn an_initial_overwrite_is_not_repeated_while_auto_sync_stays_on() {
        let change = SettingsChange { buffer: Some(3), initial_overwrite: Some(true), ..switch(true) };
        let switched = change.apply(&settings(true, Frequency::Incremental), NOW).unwrap();
        assert!(!switched.begins_initial_run && !switched.cancels);
        assert_eq!(switched.settings.buffer, 3);
    }

    #[test]
    fn earlier_daily_times_count_from_the_change_only_when_the_schedule_changes() {
        let timed = settings(true, Frequency::TimedFull);
        let none = SettingsChange::default();
        for (change, since) in [
            (SettingsChange { daily_at: parse_daily_at("04:00").ok(), ..none }, NOW),
            (SettingsChange { timezone: Some(Tz::UTC), ..none }, NOW),
            (SettingsChange { frequency: Some(Frequency::Incremental), ..none }, NOW),
            // There are daily runs before and after.
            (SettingsChange { frequency: Some(Frequency::IncrementalAndDaily), ..none }, CREATED),
            (switch(false), NOW),
            (SettingsChange { catch_up_hours: Some(1), ..none }, CREATED),
            (SettingsChange { allocation_mode: Some(AllocationMode::Exclusive), ..none }, CREATED),
            (SettingsChange { buffer: Some(1), ..none }, CREATED),
            (SettingsChange { trigger_on_cancellation: Some(true), ..none }, CREATED),
        ] {
            assert_eq!(change.apply(&timed, NOW).unwrap().settings.timed_since, since, "{change:?}");
        }
    }

    #[test]
    fn every_field_that_is_given_is_applied() {
        let change = SettingsChange {
            daily_at: parse_daily_at("23:59").ok(),
            timezone: Some(Tz::Europe__Berlin),
            catch_up_hours: Some(7),
            allocation_mode: Some(AllocationMode::Exclusive),
            buffer: Some(5),
            trigger_on_cancellation: Some(true),
            create_skus: Some(false),
            guard: GuardChange { zero_percent: Some(None), units: Some(Some(7)) },
            ..SettingsChange::default()
        };
        let new = change.apply(&settings(false, Frequency::Incremental), NOW).unwrap().settings;
        assert_eq!((Some(new.daily_at), new.timezone, new.catch_up_hours), (change.daily_at, Tz::Europe__Berlin, 7));
        assert_eq!(
            (new.allocation_mode, new.buffer, new.trigger_on_cancellation, new.create_skus),
            (AllocationMode::Exclusive, 5, true, false)
        );
        assert_eq!((new.guard.zero_percent, new.guard.units), (None, Some(7)));
    }

    #[test]
    fn a_store_cancels_when_switched_off_holds_when_paused_and_releases_when_resumed() {
        let working = StoreSwitches { sync_enabled: true, paused: false, needs_reauthorisation: false };
        let (off, paused) = (StoreSwitches { sync_enabled: false, ..working }, StoreSwitches { paused: true, ..working });
        let refused = StoreSwitches { needs_reauthorisation: true, ..working };
        let refused_and_paused = StoreSwitches { paused: true, ..refused };
        for (old, new, credentials, (cancels, holds, releases)) in [
            (working, working, false, (false, false, false)),
            (working, off, false, (true, false, false)),
            (off, off, false, (false, false, false)),
            (off, working, false, (false, false, false)),
            (working, paused, false, (false, true, false)),
            (paused, paused, false, (false, false, false)),
            (paused, working, false, (false, false, true)),
            (refused, refused, false, (false, false, false)),
            (refused, refused, true, (false, false, true)),
            (refused_and_paused, refused, false, (false, false, false)),
            (refused_and_paused, refused, true, (false, false, true)),
            (working, working, true, (false, false, true)),
        ] {
            let effects = new.effects_after(old, credentials);
            assert_eq!(effects, StoreEffects { cancels, holds, releases }, "{old:?} {new:?} {credentials}");
        }
    }

    fn any_change() -> impl Strategy<Value = SettingsChange> {
        let frequency = prop_oneof![Just(Frequency::Incremental), Just(Frequency::TimedFull), Just(Frequency::IncrementalAndDaily)];
        let option = proptest::option::of::<proptest::bool::Any>;
        (option(proptest::bool::ANY), proptest::option::of(frequency), proptest::option::of(0i64..3), option(proptest::bool::ANY)).prop_map(
            |(auto_sync, frequency, buffer, initial_overwrite)| SettingsChange {
                auto_sync,
                frequency,
                buffer,
                initial_overwrite,
                ..SettingsChange::default()
            },
        )
    }

    proptest! {
        #[test]
        fn a_change_made_twice_changes_nothing_the_second_time(change in any_change(), on: bool, timed: bool) {
            let old = settings(on, if timed { Frequency::TimedFull } else { Frequency::Incremental });
            if let Some(switched) = change.apply(&old, NOW) {
                prop_assert_eq!(change.apply(&switched.settings, NOW), None);
                prop_assert!(!(switched.cancels && switched.begins_initial_run));
                prop_assert!(!switched.cancels || !switched.settings.auto_sync);
                prop_assert!(!switched.begins_initial_run || (switched.settings.auto_sync && !on));
            }
        }
    }
}
