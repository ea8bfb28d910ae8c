//! The options of `stocktide load` on the command line.
use super::face::Face;
use super::plan::{Mix, Offers, Plan, Task};
use crate::simulator::Rate;
use crate::simulator::args::FaultArgs;
use secrecy::SecretString;
use std::path::PathBuf;
use std::time::Duration;

/// Sends synthetic stock events to a running service and checks what a running simulated platform shows then.
#[derive(Debug, Clone, clap::Args)]
pub struct Args {
    /// The service.
    #[arg(long, value_name = "URL", default_value = "http://127.0.0.1:8080")]
    service: String,
    /// The operator's key.
    #[arg(long, value_name = "KEY", env = "STOCKTIDE_OPERATOR_KEY", hide_env_values = true)]
    operator_key: SecretString,
    /// The simulated platform, as both this command and the service reach it.
    #[arg(long, value_name = "URL", default_value = "http://127.0.0.1:8090")]
    platform: String,
    /// The same seed draws the same events.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Sellers to create [default: 100, with --overwrite 1].
    #[arg(long)]
    sellers: Option<usize>,
    /// Stores of each seller [default: 3, with --overwrite 1].
    #[arg(long)]
    stores: Option<usize>,
    /// SKUs of each seller, all paired in each of its stores [default: 200, with --overwrite 50000].
    #[arg(long)]
    skus: Option<usize>,
    /// Warehouses of each seller, 1 or 2; with two there are transfers.
    #[arg(long, default_value_t = 1)]
    warehouses: usize,
    /// Shares of the stores, in percent, over and over.
    #[arg(long, value_delimiter = ',', default_values_t = [100.0, 60.0, 35.0])]
    shares: Vec<f64>,
    /// Every so many sellers share exclusively; 0 for none [default: 3, with --overwrite 0].
    #[arg(long)]
    exclusive_every: Option<usize>,
    /// Whose wire format the service and the platform speak.
    #[arg(long, value_enum, default_value_t = Face::Own)]
    face: Face,
    /// What the platform offers for bringing an increase there exactly once.
    #[arg(long, value_enum, default_value_t = Offers::Keys)]
    offers: Offers,
    /// Items in one call to the platform at most.
    #[arg(long, default_value_t = 100)]
    max_items: usize,
    /// The rate limit in the settings of stores of the platform's own face, PER_SECOND or PER_SECOND:BURST [default: the connector's own; with --overwrite 50:50].
    #[arg(long, value_name = "RATE")]
    store_rate: Option<Rate>,
    /// Stock events to send.
    #[arg(long, default_value_t = 20_000, conflicts_with = "overwrite")]
    events: usize,
    /// Stock events in one request; some requests carry a single one.
    #[arg(long, default_value_t = 50)]
    batch: usize,
    /// Stock events per second [default: as fast as it goes].
    #[arg(long)]
    rate: Option<f64>,
    /// Zipf's exponent for drawing SKUs; 0 draws all alike.
    #[arg(long, default_value_t = 1.0)]
    zipf: f64,
    /// Kinds and their weights, such as purchase=30,sale=70 [default: all kinds].
    #[arg(long)]
    mix: Option<Mix>,
    /// The part of the requests that is sent twice, from 0 to 1.
    #[arg(long, value_name = "P", default_value_t = 0.05)]
    repeat: f64,
    /// Connections to the service.
    #[arg(long, default_value_t = 8)]
    connections: usize,
    /// How long a request may go unanswered, while the service restarts, before the run is given up.
    #[arg(long, value_name = "DURATION", default_value = "120s", value_parser = humantime::parse_duration)]
    patience: Duration,
    /// How long to wait for quiet after everything is sent.
    #[arg(long, value_name = "DURATION", default_value = "15m", value_parser = humantime::parse_duration)]
    quiet_within: Duration,
    /// Switch the faults off when everything is sent, instead of when everything is quiet.
    #[arg(long)]
    calm_settling: bool,
    /// Do not compare the service's records: it prunes them while the run goes on.
    #[arg(long)]
    records_pruned: bool,
    /// Instead of events: one overwrite of every listing, by a manual sync.
    #[arg(long)]
    overwrite: bool,
    /// With --overwrite: by a timed daily run in the next minute.
    #[arg(long, requires = "overwrite")]
    timed: bool,
    /// Do not tell how far it is.
    #[arg(long)]
    no_progress: bool,
    /// Write the report to this file too, as JSON.
    #[arg(long, value_name = "FILE")]
    pub json: Option<PathBuf>,
    /// Faults during the run.
    #[command(flatten)]
    faults: FaultArgs,
}

impl Args {
    /// The run that was asked for.
    pub fn plan(&self) -> Plan {
        let usual = if self.overwrite {
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
            sellers: self.sellers.unwrap_or(usual.sellers),
            stores: self.stores.unwrap_or(usual.stores),
            skus: self.skus.unwrap_or(usual.skus),
            warehouses: self.warehouses,
            shares: self.shares.clone(),
            exclusive_every: self.exclusive_every.unwrap_or(usual.exclusive_every),
            face: self.face,
            offers: self.offers,
            max_items: self.max_items,
            store_rate: self.store_rate.or(usual.store_rate),
            faults: self.faults.clone(),
            calm_settling: self.calm_settling,
            records_pruned: self.records_pruned,
            connections: self.connections,
            patience: self.patience,
            quiet_within: self.quiet_within,
            progress: !self.no_progress,
            ..usual
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
    fn an_overwrite_has_defaults_of_its_own_which_options_go_over() {
        let (events, overwrite) = (plan(""), plan("--overwrite --timed --stores 2 --cut 0.01"));
        assert_eq!((events.sellers, events.stores, events.skus, events.store_rate), (100, 3, 200, None));
        assert_eq!((overwrite.sellers, overwrite.stores, overwrite.skus), (1, 2, 50_000));
        assert_eq!((overwrite.task, overwrite.faults.cut), (Task::Overwrite { timed: true }, Some(0.01)));
        assert!(events.check().is_ok() && overwrite.check().is_ok());
    }
}
