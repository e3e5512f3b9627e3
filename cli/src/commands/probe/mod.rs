//! `aire probe`: a node, judged from outside against the specification.
//!
//! Each check has connections of its own, so that none depends on another; several run at a time,
//! since most of the time they wait. What is hostile is followed by a good connection, which the
//! node must serve.

mod checks;
mod peer;
mod report;
mod trial;
mod verdict;
mod wire;

use std::num::NonZeroUsize;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{self, Sender};
use std::thread;
use std::time::{Duration, Instant};

use aire_mio::Address;

use self::report::{Report, Table};
use self::trial::{Given, Subject, Target};
use self::verdict::{Check, Stop, Verdict, failed, not_applicable};
use crate::common::identity::IdentityArgs;
use crate::common::trust::TrustArgs;
use crate::common::units::time;
use crate::{Error, Output};

/// Arguments of `aire probe`.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Levels: M, a server must be so; S, it should; Y, it may. What this project decided where the
specification is silent (GAP-...) is S. A failed check of level M is a failure, of the others a
warning.

Exit codes: 0 when no check of level M failed, 1 otherwise, 3 when the node cannot be reached, 4 when
its certificate is not believed or it does not take this key.")]
pub struct Args {
    /// The node: `aire://host[:port]`.
    #[arg(required_unless_present = "list")]
    pub uri: Option<String>,
    /// An operation of the node that answers with its arguments, as AGENT/OPERATION. Where there is
    /// none, the checks that need it are skipped.
    #[arg(
        long,
        visible_alias = "agent",
        value_name = "AGENT/OPERATION",
        default_value = "echo/echo"
    )]
    pub echo: String,
    /// An operation of the node that answers with numbered frames: its arguments are their number
    /// and the milliseconds between two ("20 50"), and each costs a token.
    #[arg(
        long,
        visible_alias = "stream-agent",
        value_name = "AGENT/OPERATION",
        default_value = "stream/tokens"
    )]
    pub stream: String,
    /// Only the checks of these requirements, or with these names: SIG-9, double-hello.
    #[arg(long, value_name = "ID", value_delimiter = ',')]
    pub only: Vec<String>,
    /// All but these.
    #[arg(long, value_name = "ID", value_delimiter = ',')]
    pub skip: Vec<String>,
    /// Print the checks, and run none.
    #[arg(long)]
    pub list: bool,
    /// How long a check waits for each thing that should happen. No check takes longer than six
    /// times that.
    #[arg(long, value_name = "TIME", value_parser = time, default_value = "10s")]
    pub timeout: Duration,
    /// How many checks run at a time.
    #[arg(long, value_name = "NUMBER", default_value = "8")]
    pub jobs: NonZeroUsize,
    /// Which servers to believe.
    #[command(flatten)]
    pub trust: TrustArgs,
    /// Who asks.
    #[command(flatten)]
    pub identity: IdentityArgs,
}

/// Probes, and prints a table.
///
/// # Errors
/// [`Error::Failed`] when a check of level M failed; [`Error::Unreachable`] and [`Error::Refused`]
/// when the node cannot be judged at all; [`Error::Usage`].
pub fn run(args: &Args, out: &mut Output) -> Result<(), Error> {
    let chosen = choose(args)?;
    let uri = match &args.uri {
        Some(uri) if !args.list => uri,
        _ => return report::list(&chosen, out),
    };
    let address: Address = uri.parse()?;
    if address.agent().is_some() {
        let words = "a node is probed, not an agent: name its operations with --echo and --stream";
        return Err(Error::Usage(words.into()));
    }
    if args.timeout.is_zero() {
        return Err(Error::Usage(
            "--timeout is the time that answers have: it cannot be 0".into(),
        ));
    }
    let target = |text: &str| text.parse::<Target>().map_err(Error::Usage);
    let given = Given {
        address: address.clone(),
        trust: args.trust.trust(),
        any_certificate: args.trust.danger_accept_any_certificate,
        identity: args.identity.load_or_generate(out)?,
        patience: args.timeout,
        echo: target(&args.echo)?,
        stream: target(&args.stream)?,
    };
    let begun = Instant::now();
    let subject = Subject::meet(given)?;
    let mut table = Table::new(address.node(), &subject, chosen.len());
    table.begin(out)?;
    run_all(&chosen, &subject, args.jobs.get(), |index, report| {
        table.add(index, report, out)
    })?;
    table.end(begun.elapsed(), out)?;
    match table.failures() {
        0 => Ok(()),
        count => Err(Error::Failed(format!(
            "{count} of the checks that a server must pass failed"
        ))),
    }
}

/// The checks that were asked for.
fn choose(args: &Args) -> Result<Vec<&'static Check>, Error> {
    for wanted in args.only.iter().chain(&args.skip) {
        if !checks::all().any(|check| check.is(wanted)) {
            return Err(Error::Usage(format!(
                "no check has the name or the requirement {wanted:?}; `aire probe --list` shows \
                 them all"
            )));
        }
    }
    let is_in = |check: &Check, list: &[String]| list.iter().any(|wanted| check.is(wanted));
    let chosen: Vec<_> = checks::all()
        .filter(|check| args.only.is_empty() || is_in(check, &args.only))
        .filter(|check| !is_in(check, &args.skip))
        .collect();
    match chosen.is_empty() {
        true => Err(Error::Usage("no check is left".into())),
        false => Ok(chosen),
    }
}

/// Runs `jobs` checks at a time, and hands out what each comes to, with its index.
fn run_all(
    checks: &[&'static Check],
    subject: &Subject,
    jobs: usize,
    mut done: impl FnMut(usize, Report) -> Result<(), Error>,
) -> Result<(), Error> {
    let next = AtomicUsize::new(0);
    let work = |reporting: Sender<(usize, Report)>| loop {
        let index = next.fetch_add(1, Ordering::Relaxed);
        let Some(check) = checks.get(index) else {
            return;
        };
        // Nobody listens when nothing can be printed any more.
        if reporting.send((index, try_one(check, subject))).is_err() {
            return;
        }
    };
    thread::scope(|scope| {
        let (reporting, reports) = mpsc::channel();
        for _ in 0..jobs.min(checks.len()).min(MOST_JOBS) {
            let (work, reporting) = (&work, reporting.clone());
            scope.spawn(move || work(reporting));
        }
        drop(reporting);
        reports
            .into_iter()
            .try_for_each(|(index, report)| done(index, report))
    })
}

fn try_one(check: &'static Check, subject: &Subject) -> Report {
    let begun = Instant::now();
    let verdict = if subject.hello.minor < check.since {
        Err(not_applicable(format!(
            "the server speaks minor version {}, and this is of {}",
            subject.hello.minor, check.since
        )))
    } else {
        (check.run)(&subject.trial())
    };
    let verdict = if check.hostile {
        alive_after(verdict, subject)
    } else {
        verdict
    };
    Report::new(check, verdict, begun.elapsed())
}

/// What is hostile must not have harmed the server.
fn alive_after(verdict: Verdict, subject: &Subject) -> Verdict {
    if let Err(Stop::Skipped(_) | Stop::NotApplicable(_)) = verdict {
        return verdict;
    }
    match subject.trial().is_alive() {
        Err(Stop::Failed(reason)) => Err(failed(format!(
            "afterwards the server does not serve who comes next: {reason}"
        ))),
        _ => verdict,
    }
}

/// More threads than any run of checks needs.
const MOST_JOBS: usize = 64;
