//! The command line: one function a command. Exit status 0: done; 1: it failed; 2: a wrong setting or argument.
use crate::config::{Config, ConfigError};
use crate::{app, db, demo, loadgen, simulator, telemetry};
use anyhow::Context;
use clap::{Args, Parser, Subcommand};
use std::path::PathBuf;
use std::process::ExitCode;

/// Keeps the stock shown in sellers' online stores true.
#[derive(Debug, Parser)]
#[command(version, about)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Runs the service.
    Serve(Serve),
    /// Shows the main job: service on SQLite, simulated stores, three sellers, events that keep flowing.
    Demo(demo::Args),
    /// Brings the database's tables up to date, or takes them away.
    Migrate(Migrate),
    /// Writes a copy of an SQLite database to a new file, while the service goes on. PostgreSQL has pg_dump.
    Backup(Backup),
    /// Brings all stores' credentials under the present credential key, while the service goes on.
    Reseal(Settings),
    /// Serves the simulated platform, with faults on demand.
    SimulatePlatform(simulator::args::Args),
    /// Sends synthetic stock events to a running service, and checks what a running simulated platform shows then.
    Load(Box<loadgen::Args>),
    /// Checks the settings and prints them all with unit, bounds and default; secrets are masked.
    CheckConfig(Settings),
}

/// Where settings come from; later ones stand over earlier ones.
#[derive(Debug, Args)]
struct Settings {
    /// A TOML file with settings.
    #[arg(long, env = "STOCKTIDE_CONFIG", value_name = "FILE")]
    config: Option<PathBuf>,
    /// Where to listen.
    #[arg(long, value_name = "ADDRESS:PORT")]
    listen: Option<String>,
    /// The database: sqlite:///absolute/path.db, sqlite://relative.db or postgres://…
    #[arg(long, value_name = "URL")]
    database: Option<String>,
    /// Any setting, by its name; can be given several times.
    #[arg(long = "set", value_name = "NAME=VALUE")]
    settings: Vec<String>,
}

impl Settings {
    fn load(&self) -> Result<Config, ConfigError> {
        let mut flags = Vec::new();
        for pair in &self.settings {
            let (name, value) = pair.split_once('=').ok_or_else(|| ConfigError {
                name: "--set".to_owned(),
                detail: "must be name=value, such as retry_base_ms=500".to_owned(),
            })?;
            flags.push((name.trim().to_owned(), value.to_owned()));
        }
        flags.extend(self.listen.clone().map(|value| ("listen".to_owned(), value)));
        flags.extend(self.database.clone().map(|value| ("database_url".to_owned(), value)));
        // That one names the file itself.
        let environment = std::env::vars().filter(|(name, _)| name != "STOCKTIDE_CONFIG");
        Config::load(self.config.as_deref(), environment, flags)
    }
}

#[derive(Debug, Args)]
struct Serve {
    #[command(flatten)]
    settings: Settings,
    /// Does not bring the tables up to date at the start.
    #[arg(long)]
    no_migrate: bool,
}

#[derive(Debug, Args)]
struct Migrate {
    #[command(flatten)]
    settings: Settings,
    /// Takes all tables away, with all that is in them.
    #[arg(long)]
    down: bool,
}

#[derive(Debug, Args)]
struct Backup {
    #[command(flatten)]
    settings: Settings,
    /// The file to write; it must not be there yet.
    file: PathBuf,
}

/// Runs the program.
pub fn run() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => {
            error.print().ok();
            return ExitCode::from(u8::try_from(error.exit_code()).unwrap_or(2));
        }
    };
    match carry_out(cli.command) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("stocktide: {error:#}");
            ExitCode::from(if error.is::<ConfigError>() || matches!(error.downcast_ref(), Some(loadgen::Error::Plan(_))) { 2 } else { 1 })
        }
    }
}

fn carry_out(command: Command) -> anyhow::Result<()> {
    match command {
        Command::Serve(serve) => {
            let config = serve.settings.load()?;
            telemetry::start_logging(&config.log, config.log_json);
            in_system(run_service(config, !serve.no_migrate))
        }
        Command::Demo(args) => in_system(demo::run(args)),
        Command::Migrate(migrate) => {
            let config = migrate.settings.load()?;
            telemetry::start_logging(&config.log, config.log_json);
            if migrate.down {
                return db::migrate_down(&config.db.url).context("the tables could not be taken away");
            }
            let ran = in_system(async move { app::migrate(&config).await })?;
            println!("{} migrations ran{}", ran.len(), ran.iter().map(|name| format!("\n  {name}")).collect::<String>());
            Ok(())
        }
        Command::Backup(backup) => {
            let config = backup.settings.load()?;
            telemetry::start_logging(&config.log, config.log_json);
            db::back_up(&config.db.url, &backup.file).context("the database could not be backed up")
        }
        Command::Reseal(settings) => {
            let config = settings.load()?;
            telemetry::start_logging(&config.log, config.log_json);
            reseal(&config)
        }
        Command::SimulatePlatform(args) => {
            telemetry::start_logging("info", false);
            in_system(async move { args.run(app::shutdown_signal()).await.map_err(anyhow::Error::msg) })
        }
        Command::Load(args) => in_system(load(args)),
        Command::CheckConfig(settings) => {
            print!("{}", settings.load()?.table());
            Ok(())
        }
    }
}

fn in_system<T>(work: impl Future<Output = anyhow::Result<T>>) -> anyhow::Result<T> {
    actix::System::new().block_on(work)
}

/// Exit status 0 only when nothing is left under another key.
fn reseal(config: &Config) -> anyhow::Result<()> {
    let sealer = config.sealer()?;
    let mut conn = db::Conn::establish(&config.db.url)?;
    let db::fleet::Resealed { resealed, present, unopened } = db::fleet::reseal_credentials(&mut conn, &sealer)?;
    println!("{resealed} stores' credentials were sealed under the present key; {present} were already");
    anyhow::ensure!(unopened == 0, "the credentials of {unopened} stores open under neither key");
    Ok(())
}

async fn run_service(config: Config, migrate: bool) -> anyhow::Result<()> {
    if migrate {
        for name in app::migrate(&config).await? {
            tracing::info!(name, "a migration ran");
        }
    }
    let service = app::start(&config).await?;
    let stop = service.stop_token();
    tokio::spawn(async move {
        app::shutdown_signal().await;
        stop.cancel();
    });
    service.run().await
}

/// Exit status 0 only when nothing is lost, twice or left.
async fn load(args: Box<loadgen::Args>) -> anyhow::Result<()> {
    let report = loadgen::run(args.plan()).await?;
    println!("{report}");
    if let Some(path) = &args.json {
        std::fs::write(path, serde_json::to_string_pretty(&report)?).with_context(|| format!("cannot write {}", path.display()))?;
    }
    anyhow::ensure!(report.passed(), "the platform does not show what it must");
    Ok(())
}
