//! Options of the `simulate-platform` command, and the fault options that it shares with `load`.
use super::faults::{Faults, Rate};
use super::misbehavior::{Chance, Misbehavior};
use super::platform::Simulator;
use super::serve::{listener, serve};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

/// What `--help` says about the calls under `/control`.
pub const CONTROL: &str = "\
While it runs, control it under /control (STORE is a store's external_store):
  GET, PUT /control/faults                the faults; PUT replaces all of them, so change what GET answers
  GET      /control/stats                 counters of calls, changes and faults
  GET      /control/receipts?after=SEQ    the changes that were applied
  GET      /control/stores/STORE/items    what the store shows; of an item it does not know, 0
  PUT      /control/stores/STORE/items    {\"items\": [{\"external_id\": \"A\", \"quantity\": 7}]}: create items, or set what they show
  POST     /control/stores/STORE/sell     {\"external_id\": \"A\", \"quantity\": 1}: sell units, which no stock event reports";

fn misbehave_help() -> String {
    let kinds = Misbehavior::ALL.map(|(_, name)| name).join(", ");
    format!("Probability of a kind of misbehavior of real shops; may be given several times. KIND is one of {kinds}")
}

/// Options of `stocktide simulate-platform`.
#[derive(Debug, Clone, clap::Args)]
pub struct Args {
    /// Address and port to listen on.
    #[arg(long, default_value = "127.0.0.1:8090")]
    pub listen: SocketAddr,
    /// Seed of the fault generator; the same seed draws the same faults.
    #[arg(long, default_value_t = 1)]
    pub seed: u64,
    /// JSON file with the initial faults, in the format of `GET /control/faults`; the options below override it.
    #[arg(long, value_name = "FILE")]
    pub faults: Option<PathBuf>,
    /// Options for single faults.
    #[command(flatten)]
    pub switches: FaultArgs,
}

impl Args {
    /// The faults of the file, overridden by the options. Fails if the file cannot be read or a value is out of bounds.
    pub fn initial_faults(&self) -> Result<Faults, String> {
        let mut faults = self.faults.as_deref().map(read_faults).transpose()?.unwrap_or_default();
        self.switches.apply_to(&mut faults);
        faults.check()?;
        Ok(faults)
    }

    /// Serves until `shutdown` completes. Fails if the faults are invalid or the address cannot be bound.
    pub async fn run(&self, shutdown: impl Future<Output = ()> + Send + 'static) -> Result<(), String> {
        let simulator = Simulator::new(self.seed);
        simulator.set_faults(self.initial_faults()?);
        let listener = listener(self.listen).map_err(|e| format!("cannot listen on {}: {e}", self.listen))?;
        // Shows the actual port if port 0 asked for any free one.
        let address = listener.local_addr().map_err(|e| e.to_string())?;
        tracing::info!(%address, "the simulated platform is listening; control it under /control");
        serve(listener, simulator, shutdown).await.map_err(|e| e.to_string())
    }
}

fn read_faults(path: &Path) -> Result<Faults, String> {
    let text = std::fs::read_to_string(path).map_err(|e| format!("cannot read {}: {e}", path.display()))?;
    serde_json::from_str(&text).map_err(|e| format!("{} is not a valid faults file: {e}", path.display()))
}

/// Options for faults; those not given leave the fault unchanged. Probabilities are from 0 to 1 and apply to each call.
#[derive(Debug, Clone, Default, PartialEq, clap::Args)]
#[command(next_help_heading = "Faults of the simulated platform")]
pub struct FaultArgs {
    /// Rate limit of each store in calls, PER_SECOND or PER_SECOND:BURST; calls beyond it are answered 429.
    #[arg(long, value_name = "RATE")]
    pub limit_rate: Option<Rate>,
    /// Delay before each answer, in milliseconds.
    #[arg(long, value_name = "MS")]
    pub latency_ms: Option<u64>,
    /// Probability of a 429 although the rate limit is not exceeded.
    #[arg(long, value_name = "P")]
    pub throttle: Option<f64>,
    /// `Retry-After` of these 429 answers, in seconds.
    #[arg(long, value_name = "S")]
    pub retry_after: Option<f64>,
    /// Probability of a 500 without applying the request.
    #[arg(long, value_name = "P")]
    pub error_before: Option<f64>,
    /// Probability of a 500 after applying the request.
    #[arg(long, value_name = "P")]
    pub error_after: Option<f64>,
    /// Probability that the request is applied and its answer lost.
    #[arg(long, value_name = "P")]
    pub lose_answer: Option<f64>,
    /// Probability that the connection is cut and the request not applied.
    #[arg(long, value_name = "P")]
    pub cut: Option<f64>,
    /// Probability that the connection is cut and the request applied `--late-ms` later.
    #[arg(long, value_name = "P")]
    pub late: Option<f64>,
    /// Delay of late requests, in milliseconds.
    #[arg(long, value_name = "MS")]
    pub late_ms: Option<u64>,
    /// Probability that the request is neither answered nor applied.
    #[arg(long, value_name = "P")]
    pub never_answer: Option<f64>,
    /// Probability of kinds of misbehavior.
    #[arg(long, value_name = "KIND:P", help = misbehave_help())]
    pub misbehave: Vec<Chance>,
    /// How much each row that is written delays the answer, in milliseconds.
    #[arg(long, value_name = "MS")]
    pub row_ms: Option<u64>,
    /// How much longer each row makes an answer, in bytes.
    #[arg(long, value_name = "BYTES")]
    pub row_bytes: Option<usize>,
    /// How long a cache repeats its first answer to a read, in seconds (at most 300).
    #[arg(long, value_name = "S")]
    pub cache_s: Option<f64>,
}

impl FaultArgs {
    /// Overrides `faults` with the options that were given.
    pub fn apply_to(&self, faults: &mut Faults) {
        fn set<T: Copy>(value: &mut T, given: Option<T>) {
            *value = given.unwrap_or(*value);
        }
        faults.rate_limit = self.limit_rate.or(faults.rate_limit);
        set(&mut faults.latency_ms, self.latency_ms);
        set(&mut faults.throttle, self.throttle);
        set(&mut faults.retry_after_s, self.retry_after);
        set(&mut faults.error_before, self.error_before);
        set(&mut faults.error_after, self.error_after);
        set(&mut faults.lose_answer, self.lose_answer);
        set(&mut faults.cut, self.cut);
        set(&mut faults.late, self.late);
        set(&mut faults.late_ms, self.late_ms);
        set(&mut faults.never_answer, self.never_answer);
        faults.misbehave.extend(self.misbehave.iter().map(|Chance(kind, p)| (*kind, *p)));
        set(&mut faults.row_ms, self.row_ms);
        set(&mut faults.row_bytes, self.row_bytes);
        set(&mut faults.cache_s, self.cache_s);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;

    #[derive(Parser)]
    struct Cli {
        #[command(flatten)]
        args: Args,
    }

    fn faults(line: &str) -> Result<Faults, String> {
        Cli::parse_from(std::iter::once("x").chain(line.split_whitespace())).args.initial_faults()
    }

    #[test]
    fn options_override_the_file_and_leave_the_rest_of_it() {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), r#"{"cut": 0.5, "throttle": 0.25, "idempotency": false}"#).unwrap();
        let line = format!(
            "--faults {} --throttle 0.05 --limit-rate 50:100 --misbehave challenge:0.5 --misbehave php_notice:1",
            file.path().display()
        );
        let given = faults(&line).unwrap();
        assert_eq!(given.misbehave.values().copied().collect::<Vec<_>>(), [0.5, 1.0]);
        assert_eq!((given.cut, given.throttle, given.idempotency), (0.5, 0.05, false));
        assert_eq!(given.rate_limit, Some(Rate { per_second: 50.0, burst: 100.0 }));
    }

    #[test]
    fn the_help_names_every_kind_of_misbehavior_and_every_call_that_controls_the_platform() {
        let help = <Cli as clap::CommandFactory>::command().render_help().to_string();
        let words: Vec<&str> = help.split(|c: char| !(c.is_alphanumeric() || c == '_')).collect();
        for (_, name) in Misbehavior::ALL {
            assert!(words.contains(&name), "{name} is missing:\n{help}");
        }
        let served = include_str!("serve.rs");
        let paths = served.split(".route(\"").skip(1).filter_map(|rest| rest.split('"').next());
        // Shops of a platform's own face are opened by tests alone.
        for path in paths.filter(|path| !path.contains("shopee")) {
            assert!(CONTROL.contains(&path.replace("{store}", "STORE")), "{path} is missing");
        }
    }

    #[test]
    fn an_error_names_the_fault_that_is_out_of_bounds() {
        assert_eq!(faults("--cut 1.5").unwrap_err(), "cut must be from 0 to 1");
        assert_eq!(faults("--cache-s 301").unwrap_err(), "cache_s must be from 0 to 300 seconds");
        assert!(faults("--faults /nowhere/at/all").unwrap_err().contains("/nowhere/at/all"));
        for wrong in ["0", "1e-300", "nan", "5:0"] {
            assert!(wrong.parse::<Rate>().unwrap_err().starts_with("must be PER_SECOND or PER_SECOND:BURST"));
        }
    }
}
