//! `aire completions`: what a shell needs to complete the command line.

use clap::CommandFactory as _;
use clap_complete::Shell;

use crate::{Cli, Error, Output};

/// Arguments of `aire completions`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The shell.
    pub shell: Shell,
}

/// Prints the script.
///
/// # Errors
/// [`Error::Output`].
pub fn run(args: &Args, out: &mut Output) -> Result<(), Error> {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut Cli::command(), "aire", &mut script);
    out.bytes(&script)
}
