//! `aire ping`: how far it is to a node.

use std::time::Duration;

use crate::common::discovery::DiscoveryArgs;
use crate::common::identity::IdentityArgs;
use crate::common::trust::TrustArgs;
use crate::common::units::time;
use crate::{Error, Output};

/// Arguments of `aire ping`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The node: aire://host[:port], @name@domain, or a DID.
    pub target: String,
    /// So many times; until Ctrl-C when missing.
    #[arg(short, long, value_name = "NUMBER")]
    pub count: Option<u64>,
    /// How long between two.
    #[arg(short, long, value_name = "TIME", value_parser = time, default_value = "1s")]
    pub interval: Duration,
    /// How long to wait for each answer.
    #[arg(long, value_name = "TIME", value_parser = time, default_value = "10s")]
    pub timeout: Duration,
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

/// Pings, and prints each round trip and their summary.
///
/// # Errors
/// [`Error::Library`] when the node cannot be reached.
pub fn run(_args: &Args, _out: &mut Output) -> Result<(), Error> {
    Err(Error::Failed("`aire ping` is not built yet".into()))
}
