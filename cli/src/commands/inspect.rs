//! `aire inspect`: frames, byte by byte.

use std::path::PathBuf;

use crate::{Error, Output};

/// Arguments of `aire inspect`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The bytes in hex, blanks and colons between them as you like.
    #[arg(value_name = "HEX", required_unless_present = "file")]
    pub hex: Vec<String>,
    /// A file with the bytes, with hex, or with a qlog; - for stdin.
    #[arg(short, long, value_name = "FILE", conflicts_with = "hex")]
    pub file: Option<PathBuf>,
}

/// Explains the frames.
///
/// # Errors
/// [`Error::Failed`] when the bytes are no frames, after those that are.
pub fn run(_args: &Args, _out: &mut Output) -> Result<(), Error> {
    Err(Error::Failed("`aire inspect` is not built yet".into()))
}
