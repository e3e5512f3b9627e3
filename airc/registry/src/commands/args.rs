//! The command line.

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::{Parser, Subcommand};

use crate::config::{Domain, Time};
use crate::error::EXIT_CODES;

/// A registry of AIRC: who is online, consent, and signed messages.
///
/// `airc-registry serve` runs one on this machine, without any configuration.
#[derive(Debug, Parser)]
#[command(name = "airc-registry", version, after_help = EXIT_CODES, propagate_version = true)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
    /// Print JSON: one document, or one line for each thing that happens.
    #[arg(long, global = true, help_heading = "Output")]
    pub json: bool,
    /// Log more to stderr; twice for all that happens. AIRC_LOG takes a filter instead.
    #[arg(short, long, global = true, action = clap::ArgAction::Count, help_heading = "Output")]
    pub verbose: u8,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Run a registry until SIGINT or SIGTERM.
    Serve(Serve),
    /// Issue, list and revoke the keys that new agents register with.
    #[command(subcommand)]
    Invite(Invite),
    /// Say whether the configuration is good, and serve nothing.
    Check(Where),
    /// Print the OpenAPI document of what a registry serves.
    Openapi,
}

/// Where a registry's configuration and its data are.
#[derive(Clone, Debug, Default, clap::Args)]
pub struct Where {
    /// The configuration; registry.toml in this directory if there is one.
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Where things are kept: sqlite:PATH or postgres://USER@HOST/NAME.
    #[arg(
        long,
        value_name = "DATABASE",
        env = "AIRC_DATABASE",
        hide_env_values = true
    )]
    pub database: Option<String>,
}

/// Arguments of `airc-registry serve`. They count for more than the configuration.
#[derive(Debug, clap::Args)]
pub struct Serve {
    /// Where the configuration and the data are.
    #[command(flatten)]
    pub place: Where,
    /// The address to listen on [default: 127.0.0.1:4480].
    #[arg(long, value_name = "ADDRESS")]
    pub listen: Option<SocketAddr>,
    /// The host that clients reach it at, with :PORT unless it is the usual one.
    #[arg(long)]
    pub domain: Option<Domain>,
    /// The certificate chain, in PEM.
    #[arg(long, value_name = "FILE", requires = "tls_key")]
    pub tls_cert: Option<PathBuf>,
    /// The certificate's private key, in PEM.
    #[arg(long, value_name = "FILE", requires = "tls_cert")]
    pub tls_key: Option<PathBuf>,
    /// Let everybody register, without an invite.
    #[arg(long)]
    pub open: bool,
}

/// What to do with invites.
#[derive(Debug, Subcommand)]
pub enum Invite {
    /// Issue one, and print its key: once, for it is kept nowhere.
    Create {
        /// Where the configuration and the data are.
        #[command(flatten)]
        place: Where,
        /// How many agents it is good for; 0 for any number.
        #[arg(long, default_value_t = 1, value_name = "N")]
        uses: u32,
        /// For how long: 12h, 30d.
        #[arg(long, value_name = "TIME")]
        expires: Option<Time>,
        /// What to remember about it.
        #[arg(long, default_value = "")]
        note: String,
    },
    /// List them all; their keys are not known.
    List {
        /// Where the configuration and the data are.
        #[command(flatten)]
        place: Where,
    },
    /// Revoke one: nobody registers with it any more.
    Revoke {
        /// Where the configuration and the data are.
        #[command(flatten)]
        place: Where,
        /// What it is called in the list.
        id: String,
    },
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory as _;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }
}
