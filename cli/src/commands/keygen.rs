//! `aire keygen`: a new key.

use std::path::PathBuf;

use crate::{Error, Output};

/// Arguments of `aire keygen`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Where to write the key [default: $XDG_CONFIG_HOME/aire/key.pem].
    pub file: Option<PathBuf>,
    /// Replace the key that is there. Who was known by it is nobody then.
    #[arg(long)]
    pub force: bool,
}

/// Writes the key, and prints its DID.
///
/// # Errors
/// [`Error::Exists`], [`Error::File`].
pub fn run(_args: &Args, _out: &mut Output) -> Result<(), Error> {
    Err(Error::Failed("`aire keygen` is not built yet".into()))
}
