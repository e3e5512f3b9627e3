//! What a check is, and what it comes to.

use std::fmt;

use serde::Serialize;

use super::trial::Trial;

/// How much a requirement binds a server, as the ledger says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub(super) enum Level {
    /// It must.
    #[serde(rename = "M")]
    Must,
    /// It should. So do the project's own decisions, where the specification is silent.
    #[serde(rename = "S")]
    Should,
    /// It may.
    #[serde(rename = "Y")]
    May,
}

impl fmt::Display for Level {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Must => "M",
            Self::Should => "S",
            Self::May => "Y",
        })
    }
}

/// One thing that is tried on a server.
pub(super) struct Check {
    /// The function that makes it: what it is called, but for the hyphens.
    pub(super) function: &'static str,
    /// The requirements of the ledger that it is about.
    pub(super) ids: &'static [&'static str],
    pub(super) level: Level,
    /// The minor version from which a server has to be so.
    pub(super) since: u64,
    /// Whether the server must serve others afterwards, and is asked to.
    pub(super) hostile: bool,
    /// What a good server does, in a sentence.
    pub(super) about: &'static str,
    pub(super) run: fn(&Trial<'_>) -> Verdict,
}

impl Check {
    /// What it is called on the command line.
    pub(super) fn name(&self) -> String {
        self.function.replace('_', "-")
    }

    /// Whether `wanted` is its name or one of its requirements, in any case.
    pub(super) fn is(&self, wanted: &str) -> bool {
        let is_id = |id: &&str| id.eq_ignore_ascii_case(wanted);
        self.ids.iter().any(is_id) || self.name().eq_ignore_ascii_case(wanted)
    }
}

/// What a check came to: good, perhaps with a word about it, or not.
pub(super) type Verdict = Result<Option<String>, Stop>;

/// It is as it should be.
pub(super) const GOOD: Verdict = Ok(None);

/// Why a check is not good.
#[derive(Debug)]
pub(super) enum Stop {
    /// The server does something else.
    Failed(String),
    /// It could not be tried.
    Skipped(String),
    /// The server need not be so.
    NotApplicable(String),
}

/// The server does something else: this.
pub(super) fn failed(reason: impl Into<String>) -> Stop {
    Stop::Failed(reason.into())
}

/// It could not be tried, for this reason.
pub(super) fn skipped(reason: impl Into<String>) -> Stop {
    Stop::Skipped(reason.into())
}

/// The server need not be so, for this reason.
pub(super) fn not_applicable(reason: impl Into<String>) -> Stop {
    Stop::NotApplicable(reason.into())
}

/// It is so, or the check failed.
pub(super) fn ensure(is_so: bool, otherwise: impl FnOnce() -> String) -> Result<(), Stop> {
    match is_so {
        true => Ok(()),
        false => Err(failed(otherwise())),
    }
}

/// The check that a function makes, so that a table of them reads as a table: its level, the minor
/// version from which it holds, the requirements, and what a good server does.
macro_rules! check {
    ($run:ident, $level:ident, $since:literal, [$($id:literal),+], $about:literal) => {
        $crate::commands::probe::verdict::check!(
            $run, $level, $since, [$($id),+], $about, false
        )
    };
    ($run:ident, $level:ident, $since:literal, [$($id:literal),+], $about:literal, $hostile:literal) => {
        $crate::commands::probe::verdict::Check {
            function: stringify!($run),
            ids: &[$($id),+],
            level: $crate::commands::probe::verdict::Level::$level,
            since: $since,
            hostile: $hostile,
            about: $about,
            run: $run,
        }
    };
}
pub(super) use check;

/// The same, of something that no good peer does.
macro_rules! hostile {
    ($run:ident, $level:ident, $since:literal, [$($id:literal),+], $about:literal) => {
        $crate::commands::probe::verdict::check!(
            $run, $level, $since, [$($id),+], $about, true
        )
    };
}
pub(super) use hostile;
