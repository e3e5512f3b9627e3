//! `aire resolve`: where a name leads, step by step.

use crate::common::discovery::DiscoveryArgs;
use crate::{Error, Output};

/// Arguments of `aire resolve`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// What to resolve: @name@domain, a DID, or an aire:// URI.
    pub target: String,
    /// How names are looked up.
    #[command(flatten)]
    pub discovery: DiscoveryArgs,
}

/// Resolves, and prints each step with its time.
///
/// # Errors
/// [`Error::Unreachable`] when it leads nowhere.
pub fn run(_args: &Args, _out: &mut Output) -> Result<(), Error> {
    Err(Error::Failed("`aire resolve` is not built yet".into()))
}
