//! The `aire` command as a library, so that tests and other programs can call it.
//!
//! [`main`] is the whole program: it parses the command line ([`args`]), runs one of the
//! [`commands`], and turns its [`Error`] into an exit code.

#![forbid(unsafe_code)]

pub mod args;
pub mod commands;
pub mod common;
pub mod error;

use std::io;
use std::process::ExitCode;

use clap::Parser as _;
use tracing_subscriber::EnvFilter;

pub use args::Cli;
pub use common::output::Output;
pub use error::{Error, Exit};

/// Runs the command line of this process.
#[must_use]
pub fn main() -> ExitCode {
    let cli = Cli::parse();
    start_log(&cli);
    let mut out = Output::stdout(cli.json, cli.color);
    let done = commands::run(&cli.command, &mut out).and_then(|()| out.flush());
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

/// Logs to stderr: what `AIRE_LOG` says, else what `-v` and the command's habit say.
fn start_log(cli: &Cli) {
    let level = match (cli.verbose, cli.command.is_daemon()) {
        (0, false) => "warn",
        (0, true) => "info",
        (1, false) => "info",
        (1, true) | (2, _) => "debug",
        _ => "trace",
    };
    let filter = std::env::var(LOG).map_or_else(|_| EnvFilter::new(level), EnvFilter::new);
    let colour = common::output::wants_colour(cli.color, &io::stderr());
    // A program that uses the library may have a log of its own.
    let _taken = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_ansi(colour)
        .with_writer(io::stderr)
        .try_init();
}

/// The environment variable with the log's filter, in the syntax of `tracing`.
const LOG: &str = "AIRE_LOG";
