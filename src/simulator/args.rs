//! What the command `simulate-platform` can be told, and the switches for faults that `load` shares with it.
use super::serve::listener;
use super::{Faults, Rate, Simulator, serve};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

/// Options of the served simulated platform.
#[derive(Debug, Clone, clap::Args)]
pub struct Args {
    /// Where it listens.
    #[arg(long, default_value = "127.0.0.1:8090")]
    pub listen: SocketAddr,
    /// The same seed draws the same faults.
    #[arg(long, default_value_t = 1)]
    pub seed: u64,
    /// A JSON file with faults to begin with, as `GET /control/faults` shows them; switches given here go over it.
    #[arg(long, value_name = "FILE")]
    pub faults: Option<PathBuf>,
    /// Switches for single faults.
    #[command(flatten)]
    pub switches: FaultArgs,
}

impl Args {
    /// The faults to begin with.
    ///
    /// # Errors
    /// The file cannot be read, or a fault is out of its bounds; in words.
    pub fn initial_faults(&self) -> Result<Faults, String> {
        let mut faults = self.faults.as_deref().map(read_faults).transpose()?.unwrap_or_default();
        self.switches.apply_to(&mut faults);
        faults.check()?;
        Ok(faults)
    }

    /// Serves until `shutdown` ends.
    ///
    /// # Errors
    /// The faults are not right, or the address cannot be listened on; in words.
    pub async fn run(&self, shutdown: impl Future<Output = ()> + Send + 'static) -> Result<(), String> {
        let simulator = Simulator::new(self.seed);
        simulator.set_faults(self.initial_faults()?);
        let listener = listener(self.listen).map_err(|e| format!("cannot listen on {}: {e}", self.listen))?;
        // The port that was found, where 0 asked for a free one.
        let address = listener.local_addr().map_err(|e| e.to_string())?;
        tracing::info!(%address, "the simulated platform listens; its control face is /control");
        serve::serve(listener, simulator, shutdown).await.map_err(|e| e.to_string())
    }
}

fn read_faults(path: &Path) -> Result<Faults, String> {
    let text = std::fs::read_to_string(path).map_err(|e| format!("cannot read {}: {e}", path.display()))?;
    serde_json::from_str(&text).map_err(|e| format!("{} does not hold faults: {e}", path.display()))
}

/// Switches for faults. What is not given stays as it is. Probabilities are from 0 to 1, for each call.
#[derive(Debug, Clone, Default, PartialEq, clap::Args)]
#[command(next_help_heading = "Faults of the simulated platform")]
pub struct FaultArgs {
    /// Each store's bucket, PER_SECOND or PER_SECOND:BURST calls; what goes beyond is answered 429.
    #[arg(long, value_name = "RATE")]
    pub limit_rate: Option<Rate>,
    /// How long each answer takes, in milliseconds.
    #[arg(long, value_name = "MS")]
    pub latency_ms: Option<u64>,
    /// Probability of a 429 out of the blue.
    #[arg(long, value_name = "P")]
    pub throttle: Option<f64>,
    /// What `Retry-After` says then, in seconds.
    #[arg(long, value_name = "S")]
    pub retry_after: Option<f64>,
    /// Probability of a 500 without applying.
    #[arg(long, value_name = "P")]
    pub error_before: Option<f64>,
    /// Probability of a 500 after applying.
    #[arg(long, value_name = "P")]
    pub error_after: Option<f64>,
    /// Probability that the answer is lost after applying.
    #[arg(long, value_name = "P")]
    pub lose_answer: Option<f64>,
    /// Probability that the connection is cut before applying.
    #[arg(long, value_name = "P")]
    pub cut: Option<f64>,
    /// Probability that the connection is cut and the request applied `--late-ms` later.
    #[arg(long, value_name = "P")]
    pub late: Option<f64>,
    /// How late, in milliseconds.
    #[arg(long, value_name = "MS")]
    pub late_ms: Option<u64>,
    /// Probability that nothing ever comes back.
    #[arg(long, value_name = "P")]
    pub never_answer: Option<f64>,
}

impl FaultArgs {
    /// Writes what was given over `faults`.
    pub fn apply_to(&self, faults: &mut Faults) {
        fn over<T: Copy>(place: &mut T, given: Option<T>) {
            *place = given.unwrap_or(*place);
        }
        faults.rate_limit = self.limit_rate.or(faults.rate_limit);
        over(&mut faults.latency_ms, self.latency_ms);
        over(&mut faults.throttle, self.throttle);
        over(&mut faults.retry_after_s, self.retry_after);
        over(&mut faults.error_before, self.error_before);
        over(&mut faults.error_after, self.error_after);
        over(&mut faults.lose_answer, self.lose_answer);
        over(&mut faults.cut, self.cut);
        over(&mut faults.late, self.late);
        over(&mut faults.late_ms, self.late_ms);
        over(&mut faults.never_answer, self.never_answer);
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
    fn switches_go_over_the_file_and_leave_the_rest_of_it() {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), r#"{"cut": 0.5, "throttle": 0.25, "idempotency": false}"#).unwrap();
        let given = faults(&format!("--faults {} --throttle 0.05 --limit-rate 50:100", file.path().display())).unwrap();
        assert_eq!((given.cut, given.throttle, given.idempotency), (0.5, 0.05, false));
        assert_eq!(given.rate_limit, Some(Rate { per_second: 50.0, burst: 100.0 }));
    }

    #[test]
    fn a_fault_out_of_its_bounds_is_named() {
        assert_eq!(faults("--cut 1.5").unwrap_err(), "cut must be from 0 to 1");
        assert!(faults("--faults /nowhere/at/all").unwrap_err().contains("/nowhere/at/all"));
        for wrong in ["0", "1e-300", "nan", "5:0"] {
            assert!(wrong.parse::<Rate>().unwrap_err().starts_with("must be PER_SECOND or PER_SECOND:BURST"));
        }
    }
}
