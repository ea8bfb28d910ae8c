//! The command line. Exit status 0: success; 1: failure; 2: an invalid setting or argument.
use crate::config::{Config, ConfigError};
use crate::{app, db, demo, loadgen, ready, simulator, telemetry};
use anyhow::Context;
use clap::{Args, Parser, Subcommand};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// Keeps the stock shown in sellers' online stores accurate.
#[derive(Debug, Parser)]
#[command(version, about)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run the service.
    Serve(Serve),
    /// Run a live demonstration: a service on SQLite, simulated stores, three sellers and a steady flow of events.
    Demo(demo::Args),
    /// Migrate the database to the current schema, or drop its tables.
    Migrate(Migrate),
    /// Copy an SQLite database to a new file; the service may keep running. For PostgreSQL, use pg_dump.
    Backup(Backup),
    /// Ask the service that runs with these settings whether it is ready: exit status 0 if so, otherwise 1 and the reason.
    Ready(Settings),
    /// Reseal all stores' credentials with the current credential key; the service may keep running.
    Reseal(Settings),
    /// Run the simulated platform, with faults on demand.
    #[command(after_help = simulator::args::CONTROL)]
    SimulatePlatform(simulator::args::Args),
    /// Send synthetic stock events to a running service and check what a running simulated platform shows afterwards.
    Load(Box<loadgen::Args>),
    /// Send a mail to this address by the mail server of the settings, to see whether it arrives.
    CheckMail(CheckMail),
    /// Check the settings and print each with its value, unit, bounds and default; secrets are masked.
    CheckConfig(Settings),
}

/// Sources of settings; flags override environment variables, which override the file.
#[derive(Debug, Args)]
struct Settings {
    /// TOML file with settings.
    #[arg(long, env = "STOCKTIDE_CONFIG", value_name = "FILE")]
    config: Option<PathBuf>,
    /// Address and port to listen on.
    #[arg(long, value_name = "ADDRESS:PORT")]
    listen: Option<String>,
    /// Database URL: sqlite:///absolute/path.db, sqlite://relative.db or postgres://…
    #[arg(long, value_name = "URL")]
    database: Option<String>,
    /// Any setting by name; may be repeated.
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
        // Variables of others need not be text.
        let environment =
            std::env::vars_os().filter_map(|(name, value)| Some((name.into_string().ok()?, value.to_string_lossy().into_owned())));
        // Names the file and is not a setting.
        let environment = environment.filter(|(name, _)| name != "STOCKTIDE_CONFIG");
        Config::load(self.config.as_deref(), environment, flags)
    }
}

#[derive(Debug, Args)]
struct Serve {
    #[command(flatten)]
    settings: Settings,
    /// Do not migrate the database on startup.
    #[arg(long)]
    no_migrate: bool,
}

#[derive(Debug, Args)]
struct Migrate {
    #[command(flatten)]
    settings: Settings,
    /// Drop all tables and everything in them.
    #[arg(long)]
    down: bool,
}

#[derive(Debug, Args)]
struct CheckMail {
    #[command(flatten)]
    settings: Settings,
    /// Whom to send it to.
    address: String,
}

#[derive(Debug, Args)]
struct Backup {
    #[command(flatten)]
    settings: Settings,
    /// File to write; it must not exist yet.
    file: PathBuf,
    /// Read the whole backup after it was written, and say what it holds.
    #[arg(long)]
    verify: bool,
    /// Write nothing: verify a backup that was written before.
    #[arg(long, conflicts_with = "verify")]
    verify_only: bool,
}

/// Parses the command line and runs its command.
pub fn run() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => {
            error.print().ok();
            return ExitCode::from(u8::try_from(error.exit_code()).unwrap_or(2));
        }
    };
    match execute(cli.command) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("stocktide: {error:#}");
            ExitCode::from(if error.is::<ConfigError>() || matches!(error.downcast_ref(), Some(loadgen::Error::Plan(_))) { 2 } else { 1 })
        }
    }
}

fn execute(command: Command) -> anyhow::Result<()> {
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
                return db::migrate_down(&config.db.url).context("could not drop the tables");
            }
            let applied = in_system(async move { app::migrate(&config).await })?;
            println!("applied {} migrations{}", applied.len(), applied.iter().map(|name| format!("\n  {name}")).collect::<String>());
            Ok(())
        }
        Command::Backup(backup) => {
            let config = backup.settings.load()?;
            telemetry::start_logging(&config.log, config.log_json);
            if !backup.verify_only {
                db::back_up(&config.db.url, &backup.file).context("could not back up the database")?;
            }
            if backup.verify || backup.verify_only { verify(&config, &backup.file) } else { Ok(()) }
        }
        Command::Ready(settings) => {
            let listen = settings.load()?.listen;
            ready::ask(listen).with_context(|| format!("not ready at {listen}"))
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
        Command::CheckMail(check) => {
            let config = check.settings.load()?;
            in_system(async move { app::check_mail(&config, &check.address).await })?;
            println!("the mail server has taken the mail");
            Ok(())
        }
        Command::CheckConfig(settings) => {
            print!("{}", settings.load()?.table());
            Ok(())
        }
    }
}

fn in_system<T>(work: impl Future<Output = anyhow::Result<T>>) -> anyhow::Result<T> {
    actix::System::new().block_on(work)
}

/// Fails if the backup is damaged, or if its credentials cannot be opened with the credential key.
fn verify(config: &Config, file: &Path) -> anyhow::Result<()> {
    let sealer = config.existing_sealer()?;
    let db::Backup { held, migrations_due, sealed_under_another_key } =
        db::verify_backup(file, sealer.as_ref()).with_context(|| format!("{} is no sound backup", file.display()))?;
    let latest = held.latest_event.map_or_else(|| "none".to_owned(), |at| at.to_string());
    println!("{} is sound: {} sellers, {} stores, latest stock event {latest}", file.display(), held.sellers, held.stores);
    if migrations_due > 0 {
        println!("it is of a former version: {migrations_due} migrations will run when a service starts on it");
    }
    match sealed_under_another_key {
        None => println!("the credential key is not here, so whether it opens the stores' credentials was not checked"),
        Some(0) => println!("the credential key opens all stores' credentials"),
        Some(stores) => anyhow::bail!("the credentials of {stores} stores were sealed under another key: keep that key with this backup"),
    }
    Ok(())
}

/// Fails if any credentials could not be opened with either key.
fn reseal(config: &Config) -> anyhow::Result<()> {
    let sealer = config.sealer()?;
    let mut conn = db::Conn::establish(&config.db.url)?;
    let db::fleet::Resealed { resealed, present, unopened } = db::fleet::reseal_credentials(&mut conn, &sealer)?;
    println!("resealed the credentials of {resealed} stores and apps; those of {present} already used the current key");
    anyhow::ensure!(unopened == 0, "the credentials of {unopened} stores or apps could not be opened with either key");
    Ok(())
}

async fn run_service(config: Config, migrate: bool) -> anyhow::Result<()> {
    app::ignore_hangups();
    if migrate {
        for name in app::migrate(&config).await? {
            tracing::info!(name, "applied a migration");
        }
    } else {
        app::check_database(&config).await?;
    }
    let service = app::start(&config).await?;
    let stop = service.stop_token();
    tokio::spawn(async move {
        app::shutdown_signal().await;
        stop.cancel();
    });
    service.run().await
}

/// Fails if anything was lost, applied twice or left unfinished.
async fn load(args: Box<loadgen::Args>) -> anyhow::Result<()> {
    let report = loadgen::run(args.plan()).await?;
    println!("{report}");
    if let Some(path) = &args.json {
        std::fs::write(path, serde_json::to_string_pretty(&report)?).with_context(|| format!("cannot write {}", path.display()))?;
    }
    if let Some(path) = &args.report {
        std::fs::write(path, report.page()?).with_context(|| format!("cannot write {}", path.display()))?;
    }
    anyhow::ensure!(report.passed(), "the check failed: see the verdict above");
    Ok(())
}
