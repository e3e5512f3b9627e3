//! `aire bench`: load on a node, and how it bears it.

use std::path::PathBuf;
use std::time::Duration;

use crate::common::discovery::DiscoveryArgs;
use crate::common::identity::IdentityArgs;
use crate::common::trust::TrustArgs;
use crate::common::units::time;
use crate::{Error, Output};

/// Arguments of `aire bench`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The node: aire://host[:port][/agent[/operation]], @name@domain, or a DID.
    pub target: String,
    /// The agent and what to ask of it, as AGENT/OPERATION, where the target does not say.
    #[arg(value_name = "AGENT/OPERATION")]
    pub call: Option<String>,
    /// So many connections.
    #[arg(long, value_name = "NUMBER", default_value_t = 1)]
    pub connections: u32,
    /// So many operations at a time on each connection.
    #[arg(long, value_name = "NUMBER", default_value_t = 1)]
    pub concurrency: u32,
    /// So many operations in all.
    #[arg(short = 'n', long, value_name = "NUMBER", conflicts_with = "duration")]
    pub operations: Option<u64>,
    /// So long, whatever the number of operations [default: 10s].
    #[arg(long, value_name = "TIME", value_parser = time)]
    pub duration: Option<Duration>,
    /// Arguments of so many bytes.
    #[arg(
        long,
        value_name = "BYTES",
        default_value_t = 0,
        conflicts_with = "arg_file"
    )]
    pub size: usize,
    /// Arguments from a file.
    #[arg(long, value_name = "FILE")]
    pub arg_file: Option<PathBuf>,
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

/// Loads the node, and prints a histogram of its latencies.
///
/// # Errors
/// [`Error::Library`] when the node cannot be reached; [`Error::Failed`] when operations failed.
pub fn run(_args: &Args, _out: &mut Output) -> Result<(), Error> {
    Err(Error::Failed("`aire bench` is not built yet".into()))
}
