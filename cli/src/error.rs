//! What can go wrong in a command, and the exit codes that scripts see.

use std::fmt;
use std::io;
use std::path::PathBuf;
use std::process::ExitCode;

use aire_mio::{CancelReason, Closed, ErrorCode, Failure, ResolveError};
use aire_proto::connection::CloseReason;

use crate::common::present::one_line;

/// The exit codes, for `aire --help` and the manual page.
pub const EXIT_CODES: &str = "\
Exit codes:
  0    It is done.
  1    It failed: the agent answered with an ERROR, or something broke on the way.
  2    The command line, a file that it names, or the configuration is no good.
  3    The node or its name cannot be reached or resolved.
  4    Refused: the other side's identity is not good, or its policy does not admit this one.
  5    The budget is used up, or the deadline has passed.
  130  Cancelled with Ctrl-C.";

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
    /// The other side cannot be reached, or its name not resolved.
    Unreachable = 3,
    /// Authentication or policy.
    Refused = 4,
    /// Budget or deadline.
    OverBudget = 5,
    /// Ctrl-C.
    Interrupted = 130,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit as u8)
    }
}

/// Why a command did not do what it should.
#[derive(Debug)]
#[non_exhaustive]
pub enum Error {
    /// The arguments parse, and still make no sense.
    Usage(String),
    /// A configuration cannot be used. The words name file, line and field.
    Config(String),
    /// A file could not be read or written.
    File {
        /// Which.
        path: PathBuf,
        /// What was tried with it: "read", "write".
        doing: &'static str,
        /// Why it did not work.
        source: io::Error,
    },
    /// A file is there already, and would be lost.
    Exists(PathBuf),
    /// The library could not do something.
    Library(aire_mio::Error),
    /// An AIRC registry refused, or could not be asked.
    Airc(airc_client::Error),
    /// An operation came to another end than a good one.
    Operation(Failure),
    /// A name could not be resolved, or nobody answers there; in words.
    Unreachable(String),
    /// Somebody is not who they should be, or policy forbids it; in words.
    Refused(String),
    /// Something else failed; in words.
    Failed(String),
    /// A person pressed Ctrl-C.
    Interrupted,
    /// What was printed went nowhere.
    Output(io::Error),
}

impl Error {
    /// The exit code.
    #[must_use]
    pub fn exit(&self) -> Exit {
        match self {
            Self::Usage(_) | Self::Config(_) | Self::File { .. } | Self::Exists(_) => Exit::Usage,
            Self::Library(error) => exit_of_library(error),
            Self::Airc(error) => exit_of_airc(error),
            Self::Operation(failure) => exit_of_operation(failure),
            Self::Unreachable(_) => Exit::Unreachable,
            Self::Refused(_) => Exit::Refused,
            Self::Failed(_) => Exit::Failed,
            Self::Interrupted => Exit::Interrupted,
            // Whoever closes the pipe has seen enough: `aire ... | head`.
            Self::Output(error) if error.kind() == io::ErrorKind::BrokenPipe => Exit::Done,
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
        let (path, doing) = (path.into(), "read");
        Self::File {
            path,
            doing,
            source,
        }
    }

    /// A file that could not be written.
    pub fn writing(path: impl Into<PathBuf>, source: io::Error) -> Self {
        let (path, doing) = (path.into(), "write");
        Self::File {
            path,
            doing,
            source,
        }
    }
}

fn exit_of_library(error: &aire_mio::Error) -> Exit {
    use aire_mio::Error as E;
    match error {
        E::File { .. }
        | E::FileContent { .. }
        | E::CertificateMismatch { .. }
        | E::Capability { .. }
        | E::Uri { .. }
        | E::Did(_)
        | E::NoResolver(_)
        | E::AgentTaken(_)
        | E::Ticket(_) => Exit::Usage,
        E::Resolve { .. } | E::TimedOut | E::NotConnected(_) => Exit::Unreachable,
        E::Closed(closed) => exit_of_closed(closed),
        E::Unresolved(error) => exit_of_resolver(error),
        E::OtherPeer { .. } => Exit::Refused,
        // Whoever was reached and refused says more than who was not reached.
        E::Unreachable { tried, .. } => {
            let mut exits = tried.iter().map(|(_, error)| exit_of_library(error));
            let told = exits.find(|exit| *exit != Exit::Unreachable);
            told.unwrap_or(Exit::Unreachable)
        }
        _ => Exit::Failed,
    }
}

const fn exit_of_resolver(error: &ResolveError) -> Exit {
    match error {
        ResolveError::Target { .. } | ResolveError::PinFile { .. } => Exit::Usage,
        ResolveError::KeyChanged { .. } | ResolveError::NotAlsoKnownAs { .. } => Exit::Refused,
        _ => Exit::Unreachable,
    }
}

fn exit_of_closed(closed: &Closed) -> Exit {
    match closed {
        Closed::Handshake(_) | Closed::Protocol(CloseReason::Handshake(_)) => Exit::Refused,
        Closed::Protocol(CloseReason::Violation { code, .. } | CloseReason::Peer(code)) => {
            exit_of_code(*code)
        }
        Closed::Transport(_) | Closed::NoAnswer | Closed::Protocol(_) => Exit::Unreachable,
    }
}

fn exit_of_airc(error: &airc_client::Error) -> Exit {
    use airc_client::Error as E;
    use airc_client::ErrorCode as Code;
    match error {
        E::Url { .. }
        | E::InTheClear { .. }
        | E::Handle { .. }
        | E::NoKey
        | E::File { .. }
        | E::FileContent { .. }
        | E::Unsendable(_) => Exit::Usage,
        E::Transport { .. } => Exit::Unreachable,
        E::Unlisted { .. } => Exit::Refused,
        E::Refused(refused) => match refused.code {
            Code::IdentityNotFound | Code::Unavailable => Exit::Unreachable,
            Code::AuthFailed
            | Code::ReplayDetected
            | Code::ConsentRequired
            | Code::ConsentBlocked
            | Code::UnsupportedPayload => Exit::Refused,
            _ => Exit::Failed,
        },
        _ => Exit::Failed,
    }
}

fn exit_of_operation(failure: &Failure) -> Exit {
    match failure {
        Failure::Failed { code, .. } => exit_of_code(*code),
        Failure::Cancelled {
            reason: CancelReason::BudgetExceeded | CancelReason::DeadlineExceeded,
            ..
        } => Exit::OverBudget,
        Failure::Reset(code) => exit_of_code(ErrorCode::from_wire(*code)),
        Failure::Lost => Exit::Unreachable,
        _ => Exit::Failed,
    }
}

const fn exit_of_code(code: ErrorCode) -> Exit {
    match code {
        ErrorCode::BudgetExceeded | ErrorCode::DeadlineExceeded => Exit::OverBudget,
        ErrorCode::Refused
        | ErrorCode::BadSignature
        | ErrorCode::StaleTimestamp
        | ErrorCode::ReplayedNonce
        | ErrorCode::UnresolvableDid
        | ErrorCode::KeyMismatch
        | ErrorCode::MissingRequiredCapability
        | ErrorCode::IncompatibleVersion => Exit::Refused,
        _ => Exit::Failed,
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Usage(words)
            | Self::Config(words)
            | Self::Unreachable(words)
            | Self::Refused(words)
            | Self::Failed(words) => f.write_str(words),
            Self::File {
                path,
                doing,
                source,
            } => write!(f, "cannot {doing} {}: {source}", path.display()),
            Self::Exists(path) => write!(
                f,
                "{} is there already; move it away, or give --force to lose what is in it",
                path.display()
            ),
            Self::Library(error) => error.fmt(f),
            // Half of the words are a stranger's.
            Self::Airc(error) => f.write_str(&one_line(&error.to_string())),
            Self::Operation(failure) => failure.fmt(f),
            Self::Interrupted => f.write_str("cancelled"),
            Self::Output(source) => write!(f, "cannot print: {source}"),
        }
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::File { source, .. } | Self::Output(source) => Some(source),
            Self::Library(error) => Some(error),
            Self::Airc(error) => Some(error),
            Self::Operation(failure) => Some(failure),
            _ => None,
        }
    }
}

impl From<aire_mio::Error> for Error {
    fn from(error: aire_mio::Error) -> Self {
        Self::Library(error)
    }
}

impl From<airc_client::Error> for Error {
    fn from(error: airc_client::Error) -> Self {
        Self::Airc(error)
    }
}

impl From<Failure> for Error {
    fn from(failure: Failure) -> Self {
        Self::Operation(failure)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_agent_says_decides_the_exit_code() {
        let failed = |code| Failure::Failed {
            code,
            detail: String::new(),
            data: Vec::new(),
        };
        for (failure, exit) in [
            (failed(ErrorCode::Application), Exit::Failed),
            (failed(ErrorCode::AgentNotFound), Exit::Failed),
            (failed(ErrorCode::Refused), Exit::Refused),
            (failed(ErrorCode::BudgetExceeded), Exit::OverBudget),
            (failed(ErrorCode::DeadlineExceeded), Exit::OverBudget),
            (Failure::Lost, Exit::Unreachable),
        ] {
            assert_eq!(Error::from(failure.clone()).exit(), exit, "{failure}");
        }
    }

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
        for exit in [
            Exit::Done,
            Exit::Failed,
            Exit::Usage,
            Exit::Unreachable,
            Exit::Refused,
            Exit::OverBudget,
            Exit::Interrupted,
        ] {
            let line = format!("\n  {} ", exit as u8);
            assert!(EXIT_CODES.contains(&line), "{exit:?}");
        }
    }
}
