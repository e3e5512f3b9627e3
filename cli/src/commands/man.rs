//! `aire man`: the manual, out of the command line's own words.

use std::fs;
use std::path::{Path, PathBuf};

use clap::{Command, CommandFactory as _};
use clap_mangen::Man;

use crate::error::EXIT_CODES;
use crate::{Cli, Error, Output};

/// Arguments of `aire man`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The page of this subcommand; `aire` itself when missing. Two words for one below it: did
    /// publish.
    #[arg(value_name = "COMMAND")]
    pub command: Vec<String>,
    /// Write every page into this directory instead: aire.1, aire-invoke.1 and so on.
    #[arg(long, value_name = "DIR", conflicts_with = "command")]
    pub dir: Option<PathBuf>,
}

/// Prints one page as roff, or writes them all.
///
/// # Errors
/// [`Error::Usage`] when there is no such command; [`Error::Output`], [`Error::File`].
pub fn run(args: &Args, out: &mut Output) -> Result<(), Error> {
    let mut root = Cli::command().disable_help_subcommand(true);
    root.build();
    if let Some(dir) = &args.dir {
        fs::create_dir_all(dir).map_err(|source| Error::writing(dir, source))?;
        return write_all(&root, dir);
    }
    let mut command = &root;
    for name in &args.command {
        command = command.find_subcommand(name).ok_or_else(|| {
            Error::Usage(format!("there is no command `{}`", args.command.join(" ")))
        })?;
    }
    let mut page = Vec::new();
    self::page(command)
        .render(&mut page)
        .map_err(Error::Output)?;
    out.bytes(&page)
}

fn write_all(command: &Command, dir: &Path) -> Result<(), Error> {
    let page = page(command);
    let path = dir.join(page.get_filename());
    page.generate_to(dir)
        .map_err(|source| Error::writing(path, source))?;
    let mut below = command.get_subcommands();
    below.try_for_each(|command| write_all(command, dir))
}

/// One page. The exit codes are the same for every command.
fn page(command: &Command) -> Man {
    Man::new(command.clone().after_help(EXIT_CODES))
        .source(concat!("aire ", env!("CARGO_PKG_VERSION")))
        .manual("AIRE")
}
