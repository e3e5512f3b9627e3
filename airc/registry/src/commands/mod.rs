//! The subcommands of `airc-registry`.

mod args;
mod invite;
mod output;
mod serve;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Parser as _;
use tracing_subscriber::EnvFilter;

pub use args::{Cli, Command, Where};
pub use output::Output;

use crate::config::Loaded;
use crate::http::OPENAPI;
use crate::{Config, Error};

/// Runs the command line of this process.
#[must_use]
pub fn main() -> ExitCode {
    let cli = Cli::parse();
    start_log(&cli);
    let mut out = Output::stdout(cli.json);
    let done = run(&cli.command, &mut out).and_then(|()| out.flush());
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            if !error.is_quiet() {
                out.complain(&error);
            }
            error.exit().into()
        }
    }
}

/// Runs one command.
///
/// # Errors
/// Those of the command.
pub fn run(command: &Command, out: &mut Output) -> Result<(), Error> {
    match command {
        Command::Serve(args) => serve::run(args, out),
        Command::Invite(args) => invite::run(args, out),
        Command::Check(place) => check(place, out),
        Command::Openapi => out.text(OPENAPI),
    }
}

/// Says whether a configuration is good.
fn check(place: &Where, out: &mut Output) -> Result<(), Error> {
    let (loaded, path) = load(place)?;
    let config = loaded.check()?;
    serve::check_files(config)?;
    let said = match &path {
        Some(path) => path.display().to_string(),
        None => "the configuration without a file".to_owned(),
    };
    let checked = serde_json::json!({ "config": path, "listen": config.listen });
    out.present(&checked, |out| out.line(format_args!("{said} is good")))
}

/// The configuration that a command line means: the file that it names, or `registry.toml` here if
/// there is one, or none.
fn load(place: &Where) -> Result<(Loaded, Option<PathBuf>), Error> {
    let usual = PathBuf::from(USUAL_FILE);
    let path = match &place.config {
        Some(path) => Some(path.clone()),
        None => usual.exists().then_some(usual),
    };
    let mut loaded = match &path {
        Some(path) => Loaded::read(path)?,
        None => Loaded::none(),
    };
    if let Some(database) = &place.database {
        loaded.config.database.clone_from(database);
    }
    Ok((loaded, path))
}

/// The database of a configuration.
fn database(config: &Config) -> Result<crate::store::Database, Error> {
    let parsed = config.database.parse();
    parsed.map_err(|error| Error::Config(format!("database: {error}")))
}

/// A runtime for what is asynchronous.
fn runtime() -> Result<tokio::runtime::Runtime, Error> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .thread_name("airc-http")
        .build();
    runtime.map_err(|error| Error::Failed(format!("cannot start threads: {error}")))
}

/// Logs to stderr: what `AIRC_LOG` says, else what `-v` and the command's habit say.
fn start_log(cli: &Cli) {
    let daemon = matches!(cli.command, Command::Serve(_));
    let level = match (cli.verbose, daemon) {
        (0, false) => "warn",
        (0, true) | (1, false) => "info",
        (1, true) | (2, _) => "debug",
        _ => "trace",
    };
    let filter = std::env::var(LOG).map_or_else(|_| EnvFilter::new(level), EnvFilter::new);
    // A program that uses the library may have a log of its own.
    let _taken = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_ansi(
            std::io::IsTerminal::is_terminal(&std::io::stderr())
                && std::env::var_os("NO_COLOR").is_none(),
        )
        .with_writer(std::io::stderr)
        .try_init();
}

/// The environment variable with the log's filter, in the syntax of `tracing`.
const LOG: &str = "AIRC_LOG";

/// The configuration that is read when none is named.
const USUAL_FILE: &str = "registry.toml";
