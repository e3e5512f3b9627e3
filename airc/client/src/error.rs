//! What can go wrong between a client and a registry.

use std::fmt;
use std::io;
use std::path::PathBuf;
use std::time::Duration;

use airc_core::error::ErrorCode;
use airc_core::handle::{Handle, HandleError};

/// Why a call did not do what it should.
#[derive(Debug)]
#[non_exhaustive]
pub enum Error {
    /// The registry's address cannot be used.
    Url {
        /// The address as it was given.
        url: String,
        /// What is wrong with it.
        why: &'static str,
    },
    /// The registry would be spoken to in the clear, over a network.
    InTheClear {
        /// Its address.
        url: String,
    },
    /// The text is no handle.
    Handle {
        /// The text as it was given.
        handle: String,
        /// What a handle is.
        source: HandleError,
    },
    /// The call has to be signed, and the client has no key.
    NoKey,
    /// A file could not be read or written.
    File {
        /// Which.
        path: PathBuf,
        /// What was tried with it: "read", "write".
        doing: &'static str,
        /// Why it did not work.
        source: io::Error,
    },
    /// A file does not hold what it should.
    FileContent {
        /// Which.
        path: PathBuf,
        /// What it should hold.
        expected: &'static str,
    },
    /// The system gives no random bytes.
    Random(getrandom::Error),
    /// The system gives no thread.
    Thread(io::Error),
    /// What was to be sent breaks a rule of the protocol, and was not sent.
    Unsendable(String),
    /// The recipient does not list the payload's type, and the caller wanted to be told
    /// (section 2.4.1). Nothing was sent.
    Unlisted {
        /// The recipient.
        to: Handle,
        /// The payload's type.
        payload: String,
    },
    /// The registry refused (section 5).
    Refused(Box<Refused>),
    /// The registry cannot be reached, or the connection broke. Whether a call that changes
    /// something did so is unknown.
    Transport {
        /// What was asked: method and URL.
        what: String,
        /// Why it failed.
        source: Box<ureq::Error>,
    },
    /// The registry points elsewhere. What is signed is for one place, so nobody follows.
    Redirected {
        /// What was asked: method and URL.
        what: String,
        /// Where it points, if it says.
        to: Option<String>,
    },
    /// What came back is no answer of an AIRC registry.
    Answer {
        /// What was asked: method and URL.
        what: String,
        /// The HTTP status.
        status: u16,
        /// What is wrong with the answer.
        why: String,
    },
}

/// What a registry says when it refuses (section 5).
///
/// The words are the registry's: a program that shows them on a terminal has to make their control
/// characters harmless.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Refused {
    /// The code. An answer without one, of a proxy, say, counts as its status tells:
    /// [`ErrorCode::RateLimited`] for 429, and [`ErrorCode::Unavailable`] for 502, 503 and 504.
    pub code: ErrorCode,
    /// The HTTP status.
    pub status: u16,
    /// A sentence for people, at most [`MAX_MESSAGE`] bytes of it.
    pub message: String,
    /// What else the registry says: names and values, values that are no text as JSON.
    pub details: Vec<(String, String)>,
    /// When to try again, if the registry says.
    pub retry_after: Option<Duration>,
    /// By how many seconds this machine's clock is ahead of the registry's (or behind: negative),
    /// if the answer has a date.
    pub clock_ahead: Option<i64>,
}

/// The longest sentence of a registry that is kept, in bytes.
pub const MAX_MESSAGE: usize = 1024;

/// Clocks that differ by more seconds than this are mentioned when a timestamp is refused.
const WORTH_MENTIONING: u64 = 60;

impl Refused {
    /// What the registry says under `name`.
    #[must_use]
    pub fn detail(&self, name: &str) -> Option<&str> {
        let found = self.details.iter().find(|(known, _)| known == name);
        found.map(|(_, value)| value.as_str())
    }
}

impl Error {
    /// The registry's code, if it refused.
    #[must_use]
    pub fn code(&self) -> Option<ErrorCode> {
        self.refused().map(|refused| refused.code)
    }

    /// What the registry said, if it refused.
    #[must_use]
    pub fn refused(&self) -> Option<&Refused> {
        match self {
            Self::Refused(refused) => Some(refused),
            _ => None,
        }
    }

    /// Whether nobody has the handle.
    #[must_use]
    pub fn is_not_found(&self) -> bool {
        self.code() == Some(ErrorCode::IdentityNotFound)
    }

    /// Whether the recipient's consent is missing: not given yet, or refused.
    #[must_use]
    pub fn is_about_consent(&self) -> bool {
        matches!(
            self.code(),
            Some(ErrorCode::ConsentRequired | ErrorCode::ConsentBlocked)
        )
    }

    /// Whether the registry does not believe who is asking: a key or an invite that it does not
    /// accept, a clock that is wrong, or a nonce that was used before.
    #[must_use]
    pub fn is_about_identity(&self) -> bool {
        matches!(
            self.code(),
            Some(ErrorCode::AuthFailed | ErrorCode::ReplayDetected)
        )
    }

    /// Whether the same call may succeed later.
    #[must_use]
    pub fn is_temporary(&self) -> bool {
        match self {
            Self::Transport { .. } => true,
            _ => matches!(
                self.code(),
                Some(ErrorCode::RateLimited | ErrorCode::Unavailable)
            ),
        }
    }

    /// When to try again, if the registry said.
    #[must_use]
    pub fn retry_after(&self) -> Option<Duration> {
        self.refused().and_then(|refused| refused.retry_after)
    }

    /// A text that should be a handle.
    pub(crate) fn handle(text: &str, source: HandleError) -> Self {
        let handle = text.chars().take(MAX_SHOWN).collect();
        Self::Handle { handle, source }
    }

    pub(crate) fn reading(path: impl Into<PathBuf>, source: io::Error) -> Self {
        let (path, doing) = (path.into(), "read");
        Self::File {
            path,
            doing,
            source,
        }
    }

    pub(crate) fn writing(path: impl Into<PathBuf>, source: io::Error) -> Self {
        let (path, doing) = (path.into(), "write");
        Self::File {
            path,
            doing,
            source,
        }
    }
}

/// The most characters of a wrong text that an error repeats.
const MAX_SHOWN: usize = 64;

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Url { url, why } => write!(f, "{url:?} is no registry's address: {why}"),
            Self::InTheClear { url } => write!(
                f,
                "{url} is in the clear: whoever is on the way reads and changes what is sent; use \
                 https, or allow it with a setting that begins with danger"
            ),
            Self::Handle { handle, source } => write!(f, "{handle:?} is no handle: {source}"),
            Self::NoKey => f.write_str("this has to be signed, and the client was given no key"),
            Self::File {
                path,
                doing,
                source,
            } => write!(f, "cannot {doing} {}: {source}", path.display()),
            Self::FileContent { path, expected } => {
                write!(f, "{} does not hold {expected}", path.display())
            }
            Self::Random(source) => write!(f, "the system gives no random bytes: {source}"),
            Self::Thread(source) => write!(f, "the system gives no thread: {source}"),
            Self::Unsendable(why) => write!(f, "this cannot be sent: {why}"),
            Self::Unlisted { to, payload } => {
                write!(
                    f,
                    "@{to} does not list {payload:?} among the payloads it takes"
                )
            }
            Self::Refused(refused) => refused.fmt(f),
            Self::Transport { what, source } => write!(f, "{what}: {source}"),
            Self::Redirected { what, to: Some(to) } => write!(
                f,
                "{what} points to {to:?}: if that is the registry, give that address"
            ),
            Self::Redirected { what, to: None } => write!(f, "{what} points elsewhere"),
            Self::Answer { what, status, why } => {
                write!(
                    f,
                    "{what} answers {status}, and not as a registry does: {why}"
                )
            }
        }
    }
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.code, self.message)?;
        if let Some(wait) = self.retry_after {
            write!(f, "; try again in {} s", wait.as_secs())?;
        }
        match self.clock_ahead {
            Some(ahead)
                if self.code == ErrorCode::ReplayDetected
                    && ahead.unsigned_abs() > WORTH_MENTIONING =>
            {
                let seconds = ahead.unsigned_abs();
                let which = if ahead > 0 { "ahead of" } else { "behind" };
                write!(
                    f,
                    "; this machine's clock is {seconds} s {which} the registry's"
                )
            }
            _ => Ok(()),
        }
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Handle { source, .. } => Some(source),
            Self::File { source, .. } | Self::Thread(source) => Some(source),
            Self::Random(source) => Some(source),
            Self::Transport { source, .. } => Some(source),
            Self::Refused(refused) => Some(refused.as_ref()),
            _ => None,
        }
    }
}

impl std::error::Error for Refused {}

impl From<getrandom::Error> for Error {
    fn from(error: getrandom::Error) -> Self {
        Self::Random(error)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(code: ErrorCode) -> Refused {
        Refused {
            code,
            status: code.status(),
            message: "no".into(),
            details: vec![("consent_status".into(), "pending".into())],
            retry_after: None,
            clock_ahead: Some(-400),
        }
    }

    #[test]
    fn each_code_answers_the_questions_that_programs_ask() {
        for code in ErrorCode::ALL {
            let error = Error::Refused(Box::new(refused(code)));
            let temporary = [ErrorCode::RateLimited, ErrorCode::Unavailable].contains(&code);
            assert_eq!(error.is_temporary(), temporary, "{code}");
            assert_eq!(error.is_not_found(), code == ErrorCode::IdentityNotFound);
            let consent = [ErrorCode::ConsentRequired, ErrorCode::ConsentBlocked];
            assert_eq!(error.is_about_consent(), consent.contains(&code), "{code}");
            let identity = [ErrorCode::AuthFailed, ErrorCode::ReplayDetected];
            assert_eq!(error.is_about_identity(), identity.contains(&code));
            assert_eq!(error.code(), Some(code));
        }
    }

    #[test]
    fn a_clock_that_is_wrong_is_mentioned_where_it_is_the_reason() {
        let replay = refused(ErrorCode::ReplayDetected).to_string();
        assert_eq!(
            replay,
            "replay_detected: no; this machine's clock is 400 s behind the registry's"
        );
        let other = refused(ErrorCode::AuthFailed);
        assert_eq!(other.to_string(), "auth_failed: no");
        assert_eq!(other.detail("consent_status"), Some("pending"));
    }
}
