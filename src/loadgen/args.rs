//! The options of `stocktide load` on the command line.
use super::face::Face;
use super::plan::{Mix, Offers, Plan, Task};
use crate::simulator::Rate;
use crate::simulator::args::FaultArgs;
use secrecy::SecretString;
use std::path::PathBuf;
use std::time::Duration;

/// Options of `stocktide load`.
#[derive(Debug, Clone, clap::Args)]
pub struct Args {
    /// URL of the service.
    #[arg(long, value_name = "URL", default_value = "http://127.0.0.1:8080")]
    service: String,
    /// Operator key of the service.
    #[arg(long, value_name = "KEY", env = "STOCKTIDE_OPERATOR_KEY", hide_env_values = true)]
    operator_key: SecretString,
    /// URL of the simulated platform; both this command and the service must reach it there.
    #[arg(long, value_name = "URL", default_value = "http://127.0.0.1:8090")]
    platform: String,
    /// Seed of the event generator; the same seed draws the same events.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Sellers to create [default: 100; with --overwrite: 1].
    #[arg(long)]
    sellers: Option<usize>,
    /// Stores per seller [default: 3; with --overwrite: 1].
    #[arg(long)]
    stores: Option<usize>,
    /// SKUs per seller, each paired in all of the seller's stores [default: 200; with --overwrite: 50000].
    #[arg(long)]
    skus: Option<usize>,
    /// Warehouses per seller, 1 or 2; with two there are also transfers.
    #[arg(long, default_value_t = 1)]
    warehouses: usize,
    /// Shares of a seller's stores in percent; the list is repeated as often as needed.
    #[arg(long, value_delimiter = ',', default_values_t = [100.0, 60.0, 35.0])]
    shares: Vec<f64>,
    /// Every Nth seller uses exclusive allocation; 0 for none [default: 3; with --overwrite: 0].
    #[arg(long, value_name = "N")]
    exclusive_every: Option<usize>,
    /// Wire format between the service and the platform.
    #[arg(long, value_enum, default_value_t = Face::Own)]
    face: Face,
    /// What the platform offers to apply an increase exactly once.
    #[arg(long, value_enum, default_value_t = Offers::Keys)]
    offers: Offers,
    /// Most items in one call to the platform.
    #[arg(long, default_value_t = 100)]
    max_items: usize,
    /// Rate limit in the settings of each store, with `--face own`: PER_SECOND or PER_SECOND:BURST calls [default: the connector's; with --overwrite: 50:50].
    #[arg(long, value_name = "RATE")]
    store_rate: Option<Rate>,
    /// Stock events to send.
    #[arg(long, default_value_t = 20_000, conflicts_with = "overwrite")]
    events: usize,
    /// Most stock events in one request; some requests carry a single event.
    #[arg(long, default_value_t = 50)]
    batch: usize,
    /// Stock events per second [default: as fast as possible].
    #[arg(long)]
    rate: Option<f64>,
    /// Zipf exponent for drawing SKUs; 0 draws all SKUs equally often.
    #[arg(long, default_value_t = 1.0)]
    zipf: f64,
    /// Event kinds and their weights, such as purchase=30,sale=70 [default: all kinds].
    #[arg(long)]
    mix: Option<Mix>,
    /// Fraction of requests to send twice, from 0 to 1.
    #[arg(long, value_name = "P", default_value_t = 0.05)]
    repeat: f64,
    /// Connections to the service, each with one request in flight.
    #[arg(long, default_value_t = 8)]
    connections: usize,
    /// How long to retry an unanswered request, for example while the service restarts, before giving up.
    #[arg(long, value_name = "DURATION", default_value = "120s", value_parser = humantime::parse_duration)]
    patience: Duration,
    /// How long to wait, once everything has been sent, until no push is under way.
    #[arg(long, value_name = "DURATION", default_value = "15m", value_parser = humantime::parse_duration)]
    quiet_within: Duration,
    /// Turn the faults off as soon as everything has been sent, instead of at the end.
    #[arg(long)]
    calm_settling: bool,
    /// Do not compare the service's records, because it prunes them during the run.
    #[arg(long)]
    records_pruned: bool,
    /// Instead of sending events, overwrite every listing once by a manual sync.
    #[arg(long)]
    overwrite: bool,
    /// With --overwrite: by a timed daily run, due about a minute from now.
    #[arg(long, requires = "overwrite")]
    timed: bool,
    /// Do not show progress.
    #[arg(long)]
    no_progress: bool,
    /// Also write the report to this file, as JSON.
    #[arg(long, value_name = "FILE")]
    pub json: Option<PathBuf>,
    /// Also write the report to this file, as an HTML page with pictures.
    #[arg(long, value_name = "FILE")]
    pub report: Option<PathBuf>,
    /// Faults of the simulated platform during the run.
    #[command(flatten)]
    faults: FaultArgs,
}

impl Args {
    /// The plan of the run; [`Plan::check`] has not been called yet.
    pub fn plan(&self) -> Plan {
        let defaults = if self.overwrite {
            Plan {
                task: Task::Overwrite { timed: self.timed },
                ..Plan::overwrite(&self.service, self.operator_key.clone(), &self.platform)
            }
        } else {
            let task = Task::Events {
                count: self.events,
                batch: self.batch,
                rate: self.rate,
                zipf: self.zipf,
                mix: self.mix.unwrap_or_default(),
                repeat: self.repeat,
            };
            Plan { task, ..Plan::events(&self.service, self.operator_key.clone(), &self.platform) }
        };
        Plan {
            seed: self.seed,
            sellers: self.sellers.unwrap_or(defaults.sellers),
            stores: self.stores.unwrap_or(defaults.stores),
            skus: self.skus.unwrap_or(defaults.skus),
            warehouses: self.warehouses,
            shares: self.shares.clone(),
            exclusive_every: self.exclusive_every.unwrap_or(defaults.exclusive_every),
            face: self.face,
            offers: self.offers,
            max_items: self.max_items,
            store_rate: self.store_rate.or(defaults.store_rate),
            faults: self.faults.clone(),
            calm_settling: self.calm_settling,
            records_pruned: self.records_pruned,
            connections: self.connections,
            patience: self.patience,
            quiet_within: self.quiet_within,
            progress: !self.no_progress,
            ..defaults
        }
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

    fn plan(line: &str) -> Plan {
        Cli::parse_from(["load", "--operator-key", "k"].into_iter().chain(line.split_whitespace())).args.plan()
    }

    #[test]
    fn an_overwrite_has_its_own_defaults_and_options_override_them() {
        let (events, overwrite) = (plan(""), plan("--overwrite --timed --stores 2 --cut 0.01"));
        assert_eq!((events.sellers, events.stores, events.skus, events.store_rate), (100, 3, 200, None));
        assert_eq!((overwrite.sellers, overwrite.stores, overwrite.skus), (1, 2, 50_000));
        assert_eq!((overwrite.task, overwrite.faults.cut), (Task::Overwrite { timed: true }, Some(0.01)));
        assert!(events.check().is_ok() && overwrite.check().is_ok());
    }
}
