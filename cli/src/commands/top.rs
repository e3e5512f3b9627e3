//! `aire top`: a running node, live.

use std::time::Duration;

use crate::common::units::time;
use crate::{Error, Output};

/// Arguments of `aire top`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Where the node tells its status: the address of `[http] listen` in its configuration.
    #[arg(value_name = "URL", default_value = "http://127.0.0.1:9433")]
    pub url: String,
    /// How often to look.
    #[arg(short, long, value_name = "TIME", value_parser = time, default_value = "1s")]
    pub interval: Duration,
    /// Look once, and print it.
    #[arg(long)]
    pub once: bool,
}

/// Shows it until `q` or Ctrl-C.
///
/// # Errors
/// [`Error::Unreachable`] when nobody tells the status there.
pub fn run(_args: &Args, _out: &mut Output) -> Result<(), Error> {
    Err(Error::Failed("`aire top` is not built yet".into()))
}
