//! `aire inspect`: frames, byte by byte.

mod input;
mod payload;
mod print;
mod qlog;
mod signature;
mod walk;

use std::path::PathBuf;

use clap::ValueEnum;
use serde::Serialize;

use self::input::Input;
use self::walk::{Broken, Frame};
use crate::{Error, Output};

/// Arguments of `aire inspect`.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    /// The bytes in hex, blanks and colons between them as you like.
    #[arg(value_name = "HEX", required_unless_present = "file")]
    pub hex: Vec<String>,
    /// A file with the bytes, with hex, or with a qlog; - for stdin.
    #[arg(short, long, value_name = "FILE", conflicts_with = "hex")]
    pub file: Option<PathBuf>,
    /// What the file holds.
    #[arg(
        long = "as",
        value_name = "FORMAT",
        value_enum,
        default_value_t,
        requires = "file"
    )]
    pub format: Format,
}

const EXAMPLES: &str = "\
Signatures of did:key identities are verified. What begins with a frame that is cut off, or
malformed, is explained up to there, and the exit code is 1.

Examples:
  aire inspect 05 00 07 02 00 00
  aire inspect --file frames.bin
  aire inspect --file client-1f2e.sqlog";

/// What a file holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// Judge by what is in it.
    #[default]
    Auto,
    /// The bytes themselves.
    Binary,
    /// Hexadecimal digits.
    Hex,
    /// A qlog, as JSON-SEQ or as lines of JSON.
    Qlog,
}

/// Explains the frames.
///
/// # Errors
/// [`Error::Failed`] when the bytes are no frames, after those that are.
pub fn run(args: &Args, out: &mut Output) -> Result<(), Error> {
    let input = match &args.file {
        Some(path) => input::read(path, args.format)?,
        None => Input::Bytes(input::hex(&args.hex.join(" "))?),
    };
    match input {
        Input::Bytes(bytes) => {
            let found = Found::of(&bytes);
            out.present(&found, |out| print::frames(&found, &bytes, out))?;
            found.verdict()
        }
        Input::Qlog(text) => {
            let log = qlog::Log::read(&text)?;
            out.present(&log, |out| log.print(out))?;
            log.verdict()
        }
    }
}

/// The frames in some bytes.
#[derive(Debug, Serialize)]
struct Found {
    frames: Vec<Frame>,
    /// Why what follows the frames is none.
    error: Option<Broken>,
}

impl Found {
    fn of(bytes: &[u8]) -> Self {
        let (frames, error) = walk::frames(bytes);
        Self { frames, error }
    }

    fn verdict(&self) -> Result<(), Error> {
        match &self.error {
            None => Ok(()),
            Some(broken) => Err(Error::Failed(broken.to_string())),
        }
    }
}
