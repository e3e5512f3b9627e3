//! What a resolver does, step by step.

use std::fmt;
use std::future::Future;
use std::time::{Duration, Instant};

use super::{ResolveError, Resolved};

/// A kind of step.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum What {
    /// The target was read.
    Target,
    /// The TXT record of a handle was looked up (`DISC-4`).
    Txt,
    /// A handle's answer was fetched over HTTPS (`DISC-5`).
    Https,
    /// The addresses of a host were looked up, and checked.
    Addresses,
    /// A TCP connection was made.
    Connect,
    /// TLS was agreed on, and the certificate checked.
    Tls,
    /// A document was asked for, and received.
    Get,
    /// A DID document was found, and read (`ID-3`).
    Document,
    /// The document was asked for a handle (`DISC-7`).
    AlsoKnownAs,
    /// The document was asked for its services (`DISC-1`).
    Endpoints,
}

impl What {
    /// Its name, in one word.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Target => "target",
            Self::Txt => "txt",
            Self::Https => "https",
            Self::Addresses => "addresses",
            Self::Connect => "connect",
            Self::Tls => "tls",
            Self::Get => "get",
            Self::Document => "document",
            Self::AlsoKnownAs => "also-known-as",
            Self::Endpoints => "endpoints",
        }
    }
}

impl fmt::Display for What {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// One step. Where a step is made of smaller ones, those come before it.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Step {
    /// What was done.
    pub what: What,
    /// To what: a name, an address, a URL, a DID.
    pub detail: String,
    /// For how long.
    pub took: Duration,
    /// What came of it.
    pub outcome: Result<String, ResolveError>,
}

/// All steps of a resolution, in order; those of a handle's two ways are one behind the other,
/// though they were taken at the same time (`DISC-6`).
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Trace {
    /// The steps.
    pub steps: Vec<Step>,
    /// For how long, in all.
    pub took: Duration,
    /// What came of it.
    pub outcome: Result<Resolved, ResolveError>,
}

/// The steps so far.
#[derive(Debug, Default)]
pub(super) struct Log {
    pub(super) steps: Vec<Step>,
    /// The one that is being taken.
    under_way: Option<(What, String, Instant)>,
}

impl Log {
    /// Does something, and notes what came of it.
    pub(super) async fn step<T>(
        &mut self,
        what: What,
        detail: &str,
        work: impl Future<Output = Result<T, ResolveError>>,
        tell: impl FnOnce(&T) -> String,
    ) -> Result<T, ResolveError> {
        let begun = Instant::now();
        self.under_way = Some((what, detail.into(), begun));
        let done = work.await;
        self.under_way = None;
        let told = done.as_ref().map(tell).map_err(Clone::clone);
        self.note(what, detail, begun, told);
        done
    }

    /// Notes what was done since `begun`.
    pub(super) fn note(
        &mut self,
        what: What,
        detail: &str,
        begun: Instant,
        outcome: Result<String, ResolveError>,
    ) {
        self.steps.push(Step {
            what,
            detail: detail.into(),
            took: begun.elapsed(),
            outcome,
        });
    }

    /// Notes what came of the step that was not waited for any longer. Whether any step was begun.
    pub(super) fn cut(&mut self, outcome: Result<String, ResolveError>) -> bool {
        if let Some((what, detail, begun)) = self.under_way.take() {
            self.note(what, &detail, begun, outcome);
        }
        !self.steps.is_empty()
    }
}
