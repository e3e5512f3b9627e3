//! What can go wrong outside of a request, and the exit codes that scripts see.

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;

/// The exit codes, for `airc-registry --help`.
pub const EXIT_CODES: &str = "\
Exit codes:
  0    It is done.
  1    It failed: something broke on the way.
  2    The command line, a file that it names, or the configuration is no good.";

/// How a command ends: see [`EXIT_CODES`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Exit {
    /// It is done.
    Done = 0,
    /// It failed.
    Failed = 1,
    /// What it was given is no good.
    Usage = 2,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit as u8)
    }
}

/// Why a registry could not start, or a command did not do what it should.
#[derive(Debug)]
#[non_exhaustive]
pub enum Error {
    /// The arguments parse, and still make no sense.
    Usage(String),
    /// A configuration cannot be used. The words name file, line and field.
    Config(String),
    /// A file could not be read.
    File {
        /// Which.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// A certificate or a key is no good; in words.
    Tls(String),
    /// Nobody can listen there.
    Listen {
        /// Where.
        address: SocketAddr,
        /// Why not.
        source: io::Error,
    },
    /// The store cannot be opened, or has failed; in words.
    Store(String),
    /// Something else failed; in words.
    Failed(String),
    /// What was printed went nowhere.
    Output(io::Error),
}

impl Error {
    /// The exit code.
    #[must_use]
    pub fn exit(&self) -> Exit {
        match self {
            Self::Usage(_) | Self::Config(_) | Self::File { .. } | Self::Tls(_) => Exit::Usage,
            Self::Listen { .. } | Self::Store(_) | Self::Failed(_) => Exit::Failed,
            // Whoever closes the pipe has seen enough: `airc-registry ... | head`.
            Self::Output(_) if self.is_quiet() => Exit::Done,
            Self::Output(_) => Exit::Failed,
        }
    }

    /// Whether there is nothing to say about it.
    #[must_use]
    pub fn is_quiet(&self) -> bool {
        matches!(self, Self::Output(error) if error.kind() == io::ErrorKind::BrokenPipe)
    }

    /// A file that could not be read.
    pub fn reading(path: impl Into<PathBuf>, source: io::Error) -> Self {
        let path = path.into();
        Self::File { path, source }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Usage(words)
            | Self::Config(words)
            | Self::Tls(words)
            | Self::Store(words)
            | Self::Failed(words) => f.write_str(words),
            Self::File { path, source } => write!(f, "cannot read {}: {source}", path.display()),
            Self::Listen { address, source } => write!(f, "cannot listen on {address}: {source}"),
            Self::Output(source) => write!(f, "cannot print: {source}"),
        }
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::File { source, .. } | Self::Listen { source, .. } | Self::Output(source) => {
                Some(source)
            }
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nobody_is_told_that_they_closed_the_pipe() {
        let closed = Error::Output(io::ErrorKind::BrokenPipe.into());
        assert!(closed.is_quiet());
        assert_eq!(closed.exit(), Exit::Done);
        let full = Error::Output(io::ErrorKind::StorageFull.into());
        assert!(!full.is_quiet());
        assert_eq!(full.exit(), Exit::Failed);
    }

    #[test]
    fn every_exit_code_is_documented() {
        for exit in [Exit::Done, Exit::Failed, Exit::Usage] {
            let line = format!("\n  {} ", exit as u8);
            assert!(EXIT_CODES.contains(&line), "{exit:?}");
        }
    }
}
