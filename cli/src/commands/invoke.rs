//! `aire invoke`: calls an agent, and prints what it streams.

use std::path::PathBuf;
use std::time::Duration;

use aire_proto::wire::Currency;

use crate::common::discovery::DiscoveryArgs;
use crate::common::identity::IdentityArgs;
use crate::common::trust::TrustArgs;
use crate::common::units::{money, time};
use crate::{Error, Output};

/// Arguments of `aire invoke`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The node: aire://host[:port][/agent[/operation]], @name@domain, or a DID.
    pub target: String,
    /// The agent and what to ask of it, as AGENT/OPERATION, where the target does not say.
    #[arg(value_name = "AGENT/OPERATION")]
    pub call: Option<String>,
    /// The operation's arguments, as text.
    #[arg(long, value_name = "TEXT", group = "arguments")]
    pub arg: Option<String>,
    /// The operation's arguments, from a file; - for stdin.
    #[arg(long, value_name = "FILE", group = "arguments")]
    pub arg_file: Option<PathBuf>,
    /// Stream further input from a file, a frame for each line; - for stdin.
    #[arg(long, value_name = "FILE")]
    pub input: Option<PathBuf>,
    /// Write frames as they are, without a line break after each.
    #[arg(long)]
    pub raw: bool,
    /// How many tokens it may spend.
    #[arg(long, value_name = "NUMBER", help_heading = "Budget")]
    pub tokens: Option<u64>,
    /// How much money it may spend: 0.25USD.
    #[arg(long, value_name = "AMOUNT", value_parser = money, help_heading = "Budget")]
    pub cost: Option<(u64, Currency)>,
    /// How long it may take: 30s, 5m.
    #[arg(long, value_name = "TIME", value_parser = time, help_heading = "Budget")]
    pub deadline: Option<Duration>,
    /// Keep a ticket in this file, connect again after a loss, and go on where it was lost: also
    /// when the file has one from an earlier run.
    #[arg(long, value_name = "FILE")]
    pub resume: Option<PathBuf>,
    /// How long to try to connect.
    #[arg(long, value_name = "TIME", value_parser = time, default_value = "10s")]
    pub connect_timeout: Duration,
    /// Refuse a node that is not this DID.
    #[arg(long, value_name = "DID", help_heading = "Trust")]
    pub expect: Option<String>,
    /// Which servers to believe.
    #[command(flatten)]
    pub trust: TrustArgs,
    /// Who asks.
    #[command(flatten)]
    pub identity: IdentityArgs,
    /// How names are looked up.
    #[command(flatten)]
    pub discovery: DiscoveryArgs,
}

/// Calls, and prints.
///
/// # Errors
/// [`Error::Operation`] when it ends in another way than well; [`Error::Library`].
pub fn run(_args: &Args, _out: &mut Output) -> Result<(), Error> {
    Err(Error::Failed("`aire invoke` is not built yet".into()))
}
