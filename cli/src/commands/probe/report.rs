//! What the checks came to, as a table for people or a document for programs.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::Serialize;

use super::trial::Subject;
use super::verdict::{Check, Level, Stop, Verdict};
use crate::common::output::style;
use crate::{Error, Output};

/// What a check came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
enum Outcome {
    Pass,
    Fail,
    /// It failed, and the server need not pass.
    Warning,
    Skipped,
    NotApplicable,
}

impl Outcome {
    const fn word(self) -> &'static str {
        match self {
            Self::Pass => "pass",
            Self::Fail => "FAIL",
            Self::Warning => "warn",
            Self::Skipped => "skip",
            Self::NotApplicable => "n/a",
        }
    }
}

/// A check and what it came to.
#[derive(Debug, Serialize)]
pub(super) struct Report {
    name: String,
    ids: &'static [&'static str],
    level: Level,
    about: &'static str,
    outcome: Outcome,
    /// Why it did not pass, or a word about how.
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
    took_ms: u64,
}

impl Report {
    pub(super) fn new(check: &Check, verdict: Verdict, took: Duration) -> Self {
        let (outcome, reason) = match (verdict, check.level) {
            (Ok(word), _) => (Outcome::Pass, word),
            (Err(Stop::Failed(reason)), Level::Must) => (Outcome::Fail, Some(reason)),
            (Err(Stop::Failed(reason)), _) => (Outcome::Warning, Some(reason)),
            (Err(Stop::Skipped(reason)), _) => (Outcome::Skipped, Some(reason)),
            (Err(Stop::NotApplicable(reason)), _) => (Outcome::NotApplicable, Some(reason)),
        };
        Self {
            name: check.name(),
            ids: check.ids,
            level: check.level,
            about: check.about,
            outcome,
            // It may hold what the server said: no control codes on somebody's terminal.
            reason: reason.map(|reason| reason.replace(char::is_control, "\u{fffd}")),
            took_ms: u64::try_from(took.as_millis()).unwrap_or(u64::MAX),
        }
    }

    fn print(&self, out: &mut Output) -> Result<(), Error> {
        let look = match self.outcome {
            Outcome::Pass => style::GOOD,
            Outcome::Fail => style::BAD,
            Outcome::Warning => style::WARNING,
            Outcome::Skipped | Outcome::NotApplicable => style::DIM,
        };
        let word = out.styled(look, format!("{:<4}", self.outcome.word()));
        let name = out.styled(style::STRONG, format!("{:<26}", self.name));
        let ids = self.ids.join(" ");
        let line = format!("{word}  {}  {name} {ids:<20} {}", self.level, self.about);
        out.line(line)?;
        if let Some(reason) = &self.reason {
            out.line(format_args!("         {reason}"))?;
        }
        // A person watches as it comes.
        out.flush()
    }
}

/// The reports of a run. They come in any order, and are printed in that of the checks.
#[derive(Debug, Serialize)]
pub(super) struct Table {
    uri: String,
    address: String,
    did: String,
    minor: u64,
    capabilities: Vec<String>,
    checks: Vec<Report>,
    summary: BTreeMap<Outcome, usize>,
    took_ms: u64,
    #[serde(skip)]
    early: BTreeMap<usize, Report>,
}

impl Table {
    pub(super) fn new(uri: &str, subject: &Subject, checks: usize) -> Self {
        let printable = |text: &str| text.replace(char::is_control, "\u{fffd}");
        let names = subject.hello.capabilities.iter();
        Self {
            uri: uri.into(),
            address: subject.address.to_string(),
            did: printable(&subject.hello.node_id),
            minor: subject.hello.minor,
            capabilities: names.map(|(name, _)| printable(name)).collect(),
            checks: Vec::with_capacity(checks),
            summary: BTreeMap::new(),
            took_ms: 0,
            early: BTreeMap::new(),
        }
    }

    /// Says who is judged.
    pub(super) fn begin(&self, out: &mut Output) -> Result<(), Error> {
        if out.is_json() {
            return Ok(());
        }
        let uri = out.styled(style::STRONG, &self.uri).to_string();
        out.line(format_args!("{uri} is {}", self.did))?;
        let capabilities = match self.capabilities.as_slice() {
            [] => "without capabilities".into(),
            names => format!("with {}", names.join(", ")),
        };
        out.line(format_args!("minor version {}, {capabilities}", self.minor))?;
        out.line("")?;
        out.flush()
    }

    /// Takes the report of the check with this index.
    pub(super) fn add(
        &mut self,
        index: usize,
        report: Report,
        out: &mut Output,
    ) -> Result<(), Error> {
        *self.summary.entry(report.outcome).or_default() += 1;
        self.early.insert(index, report);
        while let Some(report) = self.early.remove(&self.checks.len()) {
            if !out.is_json() {
                report.print(out)?;
            }
            self.checks.push(report);
        }
        Ok(())
    }

    /// Says what all of it came to.
    pub(super) fn end(&mut self, took: Duration, out: &mut Output) -> Result<(), Error> {
        self.took_ms = u64::try_from(took.as_millis()).unwrap_or(u64::MAX);
        for outcome in [
            Outcome::Pass,
            Outcome::Fail,
            Outcome::Warning,
            Outcome::Skipped,
            Outcome::NotApplicable,
        ] {
            self.summary.entry(outcome).or_default();
        }
        let table = &*self;
        out.present(table, |out| {
            let of = |outcome| table.summary.get(&outcome).copied().unwrap_or_default();
            out.line("")?;
            out.line(format_args!(
                "{} checks in {:.1} s: {} passed, {} failed, {} warnings, {} skipped, {} not \
                 applicable",
                table.checks.len(),
                took.as_secs_f64(),
                of(Outcome::Pass),
                of(Outcome::Fail),
                of(Outcome::Warning),
                of(Outcome::Skipped),
                of(Outcome::NotApplicable)
            ))
        })
    }

    /// How many checks failed that a server must pass.
    pub(super) fn failures(&self) -> usize {
        self.summary
            .get(&Outcome::Fail)
            .copied()
            .unwrap_or_default()
    }
}

/// A check, for who asks which there are.
#[derive(Serialize)]
struct Listed {
    name: String,
    ids: &'static [&'static str],
    level: Level,
    since_minor: u64,
    hostile: bool,
    about: &'static str,
}

/// Prints the checks that there are.
pub(super) fn list(checks: &[&Check], out: &mut Output) -> Result<(), Error> {
    let listed = checks.iter().map(|check| Listed {
        name: check.name(),
        ids: check.ids,
        level: check.level,
        since_minor: check.since,
        hostile: check.hostile,
        about: check.about,
    });
    let listed: Vec<_> = listed.collect();
    out.present(&listed, |out| {
        for check in &listed {
            let name = out.styled(style::STRONG, format!("{:<26}", check.name));
            let ids = check.ids.join(" ");
            let line = format!("{}  {name} {ids:<20} {}", check.level, check.about);
            out.line(line)?;
        }
        Ok(())
    })
}
