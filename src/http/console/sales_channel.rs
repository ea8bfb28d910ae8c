//! *Set up > Sales channel*: the module *Auto-sync inventory* with its switch and its frequency, and a summary of
//! allocation, stores and runs.
use super::components::{RunRow, StoreRow, extent_text, stores_text};
use super::field::Field;
use super::form::Posted;
use super::guard;
use super::page::{FormErrors, Frame, PageAnswer, field_errors, go_saying};
use super::pauses::{self, PauseLine};
use super::session::SellerVisit;
use super::show;
use super::split::{self, Split};
use crate::db::runs::{Extent, Run};
use crate::db::stores::Store;
use crate::domain::allocation::AllocationMode;
use crate::domain::frequency::Frequency;
use crate::domain::limits::MAX_STORES;
use crate::domain::pause::Level;
use crate::domain::schedule::next_run_after;
use crate::domain::settings::{MAX_CATCH_UP_HOURS, SyncSettings, parse_daily_at, parse_timezone};
use crate::domain::{RunId, StoreId, Timestamp};
use crate::http::state::State;
use crate::service::daily::last_date_of_all;
use crate::service::pauses::PauseView;
use crate::service::settings::{self, EnteredChange};
use askama::Template;
use chrono::{NaiveDate, NaiveTime};
use chrono_tz::Tz;
use std::collections::BTreeMap;

/// How many of the next daily runs are shown.
const RUNS_AHEAD: usize = 5;
/// At most so many runs that wait for an answer have a notice of their own.
const WAITING: i64 = 5;
const HERE: &str = "/console/sales-channel";
const INCREMENTAL: &str = "Incremental inventory synchronization";
const BOTH: &str = "Incremental inventory synchronization with a daily overwrite";

/// A future daily run, with a remark if daylight saving affects it.
struct NextRun {
    at: String,
    remark: Option<String>,
}

/// The next daily runs at this time in this zone; `last` is the latest date that has had its run.
fn runs_ahead(daily_at: NaiveTime, zone: Tz, now: Timestamp, last: Option<NaiveDate>) -> Vec<NextRun> {
    let settings = SyncSettings { auto_sync: true, frequency: Frequency::TimedFull, daily_at, ..SyncSettings::new(zone, now) };
    let mut at = now;
    let mut offset = None;
    (0..RUNS_AHEAD)
        .map(|_| {
            at = next_run_after(&settings, at, last);
            let local = at.in_zone(zone);
            let previous = offset.replace(chrono::Offset::fix(local.offset()));
            let remark = if local.time() != daily_at {
                Some(format!("Clocks skip {} on this day, so the run starts at {}.", daily_at.format("%H:%M"), local.format("%H:%M")))
            } else if previous.is_some_and(|previous| Some(previous) != offset) {
                Some("Clocks change before this run.".to_owned())
            } else {
                None
            };
            NextRun { at: format!("{} {}", local.format("%a %-d %b %Y, %H:%M"), show::zone_name(zone, at)), remark }
        })
        .collect()
}

#[derive(Template)]
#[template(path = "sales_channel.html")]
struct SalesChannelPage<'a> {
    frame: &'a Frame,
    here: &'static str,
    settings: &'a SyncSettings,
    daily_at: String,
    zone: String,
    extent: String,
    guard: String,
    nothing_listed: bool,
    runs_ahead: Vec<NextRun>,
    split: Split,
    exclusive: bool,
    stores: Vec<StoreRow>,
    runs: Vec<RunRow>,
    /// Runs that wait for an answer.
    waiting: Vec<String>,
    pauses: Vec<PauseLine>,
    everything_paused: bool,
}

struct Facts {
    settings: SyncSettings,
    last_date: Option<NaiveDate>,
    stores: Vec<Store>,
    extent: Extent,
    runs: Vec<(Run, i64)>,
    waiting: Vec<RunId>,
    pauses: (Vec<PauseView>, Vec<Store>),
    of_runs: BTreeMap<RunId, Vec<StoreId>>,
}

async fn facts(visit: &SellerVisit) -> Result<Facts, crate::db::Error> {
    let now = visit.frame.now;
    let read = visit.caller.db.read(move |t| {
        let latest = t.runs(None, 5)?;
        Ok(Facts {
            of_runs: t.stores_of_runs(&latest.iter().map(|run| run.id).collect::<Vec<_>>())?,
            settings: t.sync_settings()?,
            last_date: last_date_of_all(t, now)?,
            stores: t.stores(None, MAX_STORES)?,
            extent: t.overwrite_extent()?,
            runs: t.with_held(latest)?,
            waiting: t.waiting_runs(WAITING)?,
            pauses: pauses::lines(t, now)?,
        })
    });
    read.await
}

pub(super) async fn page(visit: SellerVisit, state: State) -> PageAnswer {
    let facts = facts(&visit).await?;
    let stores = StoreRow::all(&visit).await?;
    let (frame, settings) = (&visit.frame, &facts.settings);
    let name = |id: &StoreId| facts.stores.iter().find(|store| store.id == *id).map(|store| store.name.clone());
    let run_row = |run: Run, held| {
        let stores = stores_text(facts.of_runs.get(&run.id), name);
        RunRow::new(frame, run, held, stores)
    };
    frame.page(&SalesChannelPage {
        frame,
        here: "sales-channel",
        daily_at: settings.daily_at.format("%H:%M").to_string(),
        zone: show::zone_name(settings.timezone, frame.now),
        extent: extent_text(facts.extent),
        guard: guard::text_of(settings.guard),
        nothing_listed: facts.extent.listings == 0,
        runs_ahead: if settings.is_timed() {
            runs_ahead(settings.daily_at, settings.timezone, state.clock.now(), facts.last_date)
        } else {
            Vec::new()
        },
        split: split::of_stores(&facts.stores),
        exclusive: settings.allocation_mode == AllocationMode::Exclusive,
        stores,
        waiting: facts.waiting.iter().map(RunId::to_string).collect(),
        runs: facts.runs.into_iter().map(|(run, held)| run_row(run, held)).collect(),
        everything_paused: facts.pauses.0.iter().any(|pause| pause.level == Level::Seller),
        pauses: pauses::shown(frame, facts.pauses),
        settings,
    })
}

#[derive(Template)]
#[template(path = "switch_off.html")]
struct SwitchOffPage<'a> {
    frame: &'a Frame,
    here: &'static str,
    pending: String,
}

/// Asks for confirmation before automatic synchronization is turned off.
pub(super) async fn switch_off_page(visit: SellerVisit) -> PageAnswer {
    let loads = visit.caller.db.read(|t| t.store_loads()).await?;
    let pending = loads.values().map(|load| load.waiting + load.held).sum();
    let frame = &visit.frame;
    frame.page(&SwitchOffPage { frame, here: "sales-channel", pending: show::units(pending) })
}

/// Turns automatic synchronization on or off.
pub(super) async fn switch(posted: Posted<SellerVisit>, state: State) -> PageAnswer {
    let on = posted.fields.text("auto_sync") == "on";
    let initial = posted.fields.has("initial_overwrite");
    let caller = &posted.visit.caller;
    let change = EnteredChange { auto_sync: Some(on), initial_overwrite: Some(initial), ..EnteredChange::default() };
    let (settings, initial_run) = settings::change(&state.service, caller, change).await?;
    let frequency = match settings.frequency {
        Frequency::Incremental => INCREMENTAL.to_owned(),
        Frequency::TimedFull => format!("Timed full coverage, daily at {}", settings.daily_at.format("%H:%M")),
        Frequency::IncrementalAndDaily => format!("{BOTH} at {}", settings.daily_at.format("%H:%M")),
    };
    let notice = match (settings.auto_sync, initial_run) {
        (true, Some(_)) => {
            let extent = caller.db.read(|t| t.overwrite_extent()).await?;
            format!("Automatic synchronization is on: {frequency}. Overwriting {} now.", extent_text(extent))
        }
        (true, None) => format!("Automatic synchronization is on: {frequency}."),
        (false, _) => "Automatic synchronization is off. Its pending updates are canceled.".to_owned(),
    };
    Ok(go_saying(HERE, &notice))
}

#[derive(Template)]
#[template(path = "frequency.html")]
struct FrequencyPage<'a> {
    frame: &'a Frame,
    here: &'static str,
    auto_sync: bool,
    frequency: Frequency,
    daily_at: Field,
    timezone: Field,
    catch_up: Field,
    zones: Vec<&'static str>,
    runs_ahead: Vec<NextRun>,
    errors: Vec<String>,
}

/// What the seller typed, valid or not.
struct FrequencyForm {
    frequency: Frequency,
    /// The latest date that has had its run.
    last_date: Option<NaiveDate>,
    daily_at: String,
    timezone: String,
    catch_up_hours: String,
}

impl FrequencyForm {
    fn of(settings: &SyncSettings, last_date: Option<NaiveDate>) -> Self {
        Self {
            last_date,
            frequency: settings.frequency,
            daily_at: settings.daily_at.format("%H:%M").to_string(),
            timezone: settings.timezone.name().to_owned(),
            catch_up_hours: settings.catch_up_hours.to_string(),
        }
    }

    fn page<'a>(&self, frame: &'a Frame, auto_sync: bool, errors: &FormErrors) -> FrequencyPage<'a> {
        let runs = parse_daily_at(&self.daily_at).ok().zip(parse_timezone(&self.timezone).ok());
        FrequencyPage {
            frame,
            here: "sales-channel",
            auto_sync,
            frequency: self.frequency,
            daily_at: Field::new("daily_at", "Update time", "time")
                .value(&self.daily_at)
                .help("Every listing is overwritten daily at this time.")
                .checked(errors, "/daily_at"),
            timezone: Field::new("timezone", "Time zone", "text")
                .value(&self.timezone)
                .suggesting("zones")
                .help("All times in this console use this time zone.")
                .checked(errors, "/timezone"),
            catch_up: Field::new("catch_up_hours", "Run late by up to", "number")
                .value(&self.catch_up_hours)
                .within(0, MAX_CATCH_UP_HOURS, "1")
                .suffix("hours")
                .help("If the service is down at the update time, the run can still start up to this much later.")
                .checked(errors, "/catch_up_hours"),
            zones: chrono_tz::TZ_VARIANTS.iter().map(|zone| zone.name()).collect(),
            runs_ahead: runs.map(|(at, zone)| runs_ahead(at, zone, frame.now, self.last_date)).unwrap_or_default(),
            errors: errors.elsewhere(&["/daily_at", "/timezone", "/catch_up_hours"]),
        }
    }
}

pub(super) async fn frequency_page(visit: SellerVisit) -> PageAnswer {
    let now = visit.frame.now;
    let (settings, last_date) = visit.caller.db.read(move |t| Ok((t.sync_settings()?, last_date_of_all(t, now)?))).await?;
    visit.frame.page(&FrequencyForm::of(&settings, last_date).page(&visit.frame, settings.auto_sync, &FormErrors::default()))
}

/// *Complete* saves the form; *Update preview* only shows its next runs.
pub(super) async fn frequency(posted: Posted<SellerVisit>, state: State) -> PageAnswer {
    let (visit, fields) = (&posted.visit, &posted.fields);
    let now = visit.frame.now;
    let (old, last_date) = visit.caller.db.read(move |t| Ok((t.sync_settings()?, last_date_of_all(t, now)?))).await?;
    let frequency = match fields.text("frequency") {
        "timed_full" => Frequency::TimedFull,
        "incremental_and_daily" => Frequency::IncrementalAndDaily,
        _ => Frequency::Incremental,
    };
    // A field that is missing or empty keeps its saved value.
    let or = |name: &str, saved: String| fields.some(name).map_or(saved, str::to_owned);
    let saved = FrequencyForm::of(&old, last_date);
    let form = FrequencyForm {
        frequency,
        last_date,
        daily_at: or("daily_at", saved.daily_at),
        timezone: or("timezone", saved.timezone),
        catch_up_hours: or("catch_up_hours", saved.catch_up_hours),
    };
    if fields.text("do") == "show" {
        return visit.frame.page(&form.page(&visit.frame, old.auto_sync, &FormErrors::default()));
    }
    let change = EnteredChange {
        frequency: Some(frequency),
        daily_at: Some(form.daily_at.clone()),
        timezone: Some(form.timezone.clone()),
        // -1 is out of bounds, so text that is not a number gets the same error.
        catch_up_hours: Some(form.catch_up_hours.parse().unwrap_or(-1)),
        ..EnteredChange::default()
    };
    match field_errors(settings::change(&state.service, &visit.caller, change).await)? {
        Err(errors) => visit.frame.rejected(&form.page(&visit.frame, old.auto_sync, &errors)),
        Ok((settings, _)) => {
            let when = if settings.auto_sync { "" } else { " It applies once automatic synchronization is on." };
            let next = || show::full(next_run_after(&settings, state.clock.now(), last_date), settings.timezone);
            let daily = || format!("Every listing is overwritten daily at {}, next on {}.", settings.daily_at.format("%H:%M"), next());
            let notice = match frequency {
                Frequency::Incremental => format!("{INCREMENTAL} is saved. Stock increases are sent as they happen.{when}"),
                Frequency::TimedFull => format!("Timed full coverage is saved. {}{when}", daily()),
                Frequency::IncrementalAndDaily => format!("{BOTH} is saved. Stock increases are sent as they happen. {}{when}", daily()),
            };
            Ok(go_saying(HERE, &notice))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ahead(at: &str, now: &str) -> Vec<(String, bool)> {
        let runs = runs_ahead(parse_daily_at(at).unwrap(), Tz::Europe__Berlin, now.parse().unwrap(), None);
        runs.into_iter().map(|run| (run.at, run.remark.is_some())).collect()
    }

    #[test]
    fn the_next_runs_show_the_effects_of_daylight_saving() {
        let runs = ahead("02:30", "2026-03-27T12:00:00Z");
        assert_eq!(runs[0], ("Sat 28 Mar 2026, 02:30 Europe/Berlin (UTC+01:00)".to_owned(), false));
        assert_eq!(runs[1], ("Sun 29 Mar 2026, 03:00 Europe/Berlin (UTC+02:00)".to_owned(), true));
        assert_eq!(runs[2], ("Mon 30 Mar 2026, 02:30 Europe/Berlin (UTC+02:00)".to_owned(), false));
        assert_eq!(runs.len(), RUNS_AHEAD);
        let autumn = ahead("02:30", "2026-10-24T12:00:00Z");
        assert_eq!(autumn[0].0, "Sun 25 Oct 2026, 02:30 Europe/Berlin (UTC+02:00)");
        assert!(autumn[1].1, "clocks change before this run");
    }
}
