//! `aire serve`: a node, as a TOML file says.

use std::path::PathBuf;

use crate::{Error, Output};

/// Arguments of `aire serve`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The node's configuration.
    #[arg(value_name = "CONFIG", default_value = "aire.toml")]
    pub config: PathBuf,
    /// Say whether the configuration is good, and serve nothing.
    #[arg(long)]
    pub check: bool,
}

/// Serves until SIGINT or SIGTERM.
///
/// # Errors
/// [`Error::Config`], [`Error::Library`].
pub fn run(_args: &Args, _out: &mut Output) -> Result<(), Error> {
    Err(Error::Failed("`aire serve` is not built yet".into()))
}
