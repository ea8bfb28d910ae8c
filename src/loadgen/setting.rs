//! What a run was made with: its options, and its surroundings.
use super::api::Api;
use super::face::Face;
use super::plan::{Offers, Plan, Task};
use super::platform::Platform;
use crate::clock::Clock;
use crate::simulator::Faults;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::collections::BTreeMap;
use std::fmt;

/// The run's name, and what is needed to repeat it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[expect(missing_docs, reason = "documented in `Plan`")]
pub struct Setting {
    pub run: String,
    pub seed: u64,
    pub sellers: usize,
    pub stores: usize,
    pub skus: usize,
    pub face: Face,
    pub offers: Offers,
    /// The other options by their names on the command line.
    #[serde(default)]
    pub options: BTreeMap<String, String>,
    /// Where and when it ran.
    #[serde(default)]
    pub surroundings: Surroundings,
}

/// Where and when a run took place.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Surroundings {
    /// When it began, in UTC.
    pub started_at: String,
    /// The version of this program.
    pub version: String,
    /// The kind of database that the service names: `sqlite` or `postgres`. Empty if it names none.
    pub database: String,
    /// The number of cores that this program may use.
    pub cores: usize,
    /// The processor architecture and operating system.
    pub machine: String,
    /// What the platform was asked to do wrong, and what else was not as usual there, by the names of `GET /control/faults`.
    pub faults: BTreeMap<String, String>,
}

#[derive(Deserialize)]
struct Ready {
    #[serde(default)]
    backend: String,
}

impl Surroundings {
    /// Asks the service and the platform.
    pub(super) async fn find(api: &Api, platform: &Platform, clock: &Clock) -> Self {
        let ready: Option<Ready> = api.get("/readyz", None).await.ok();
        Self {
            started_at: clock.now().to_utc().format("%Y-%m-%d %H:%M:%S UTC").to_string(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            database: ready.map(|ready| ready.backend).unwrap_or_default(),
            cores: std::thread::available_parallelism().map_or(0, usize::from),
            machine: format!("{} {}", std::env::consts::ARCH, std::env::consts::OS),
            faults: platform.faults().await.ok().as_ref().map(unusual).unwrap_or_default(),
        }
    }
}

/// The faults that differ from those of a new platform. The token is a secret and left out.
fn unusual(faults: &Faults) -> BTreeMap<String, String> {
    let members = |faults: &Faults| match serde_json::to_value(faults) {
        Ok(Value::Object(members)) => members,
        _ => serde_json::Map::new(),
    };
    let usual = members(&Faults::default());
    let differs = |(name, value): &(String, Value)| name != "token" && usual.get(name) != Some(value);
    members(faults).into_iter().filter(differs).map(|(name, value)| (name, text(&value))).collect()
}

/// A JSON value without quotes and braces.
fn text(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Array(items) => items.iter().map(text).collect::<Vec<_>>().join(", "),
        Value::Object(members) => members.iter().map(|(name, value)| format!("{name} {}", text(value))).collect::<Vec<_>>().join(", "),
        other => other.to_string(),
    }
}

impl Setting {
    pub(super) fn of(plan: &Plan, run: &str, surroundings: Surroundings) -> Self {
        let Plan { seed, sellers, stores, skus, face, offers, .. } = *plan;
        let shares: Vec<String> = plan.shares.iter().map(f64::to_string).collect();
        let mut options = vec![
            ("warehouses", plan.warehouses.to_string()),
            ("shares", shares.join(",")),
            ("exclusive-every", plan.exclusive_every.to_string()),
            ("max-items", plan.max_items.to_string()),
            ("connections", plan.connections.to_string()),
        ];
        options.extend(plan.store_rate.map(|rate| ("store-rate", format!("{}:{}", rate.per_second, rate.burst))));
        options.extend(plan.calm_settling.then(|| ("calm-settling", "yes".to_owned())));
        options.extend(plan.records_pruned.then(|| ("records-pruned", "yes".to_owned())));
        match plan.task {
            Task::Overwrite { timed } => options.push(("overwrite", if timed { "timed" } else { "manual" }.to_owned())),
            Task::Events { count, batch, rate, zipf, mix, repeat } => options.extend([
                ("events", count.to_string()),
                ("batch", batch.to_string()),
                ("rate", rate.map_or_else(|| "as fast as possible".to_owned(), |rate| format!("{rate} events/s"))),
                ("zipf", zipf.to_string()),
                ("mix", mix.to_string()),
                ("repeat", repeat.to_string()),
            ]),
        }
        let options = options.into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
        Self { run: run.to_owned(), seed, sellers, stores, skus, face, offers, options, surroundings }
    }
}

impl fmt::Display for Setting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { run, seed, sellers, stores, skus, face, offers, .. } = self;
        let listings = sellers * stores * skus;
        write!(f, "run {run}, seed {seed}: {sellers} sellers × {stores} stores × {skus} SKUs = {listings} listings; ")?;
        match face {
            Face::Own => write!(f, "the platform offers {offers:?}"),
            _ => write!(f, "wire format of {face:?}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_unusual_faults_are_reported_and_no_token() {
        assert_eq!(unusual(&Faults::default()), BTreeMap::new());
        let faults = Faults {
            cut: 0.05,
            token: Some("secret".to_owned()),
            rate_limit: "5:10".parse().ok(),
            reject_items: vec!["a".to_owned(), "b".to_owned()],
            ..Faults::default()
        };
        let found = unusual(&faults);
        let found: Vec<_> = found.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        assert_eq!(found, [("cut", "0.05"), ("rate_limit", "burst 10.0, per_second 5.0"), ("reject_items", "a, b")]);
    }

    #[test]
    fn the_options_are_those_of_the_command_line() {
        let setting = Setting::of(&Plan::events("", "".into(), ""), "r", Surroundings::default());
        let of = |name: &str| setting.options.get(name).map(String::as_str);
        assert_eq!((of("rate"), of("batch"), of("shares")), (Some("as fast as possible"), Some("50"), Some("100,60,35")));
        assert_eq!(of("mix"), Some("purchase=25,return=10,adjustment=15,count=5,sale=30,cancellation=5,transfer=10"));
        let timed = Plan { task: Task::Overwrite { timed: true }, ..Plan::overwrite("", "".into(), "") };
        let setting = Setting::of(&timed, "r", Surroundings::default());
        assert_eq!(setting.options.get("overwrite").map(String::as_str), Some("timed"));
        assert_eq!(setting.options.get("store-rate").map(String::as_str), Some("50:50"));
    }
}
