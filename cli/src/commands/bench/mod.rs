//! `aire bench`: load on a node, and how it bears it.
//!
//! A thread for each operation that is under way at a time. Each keeps books of its own, which are
//! added up at the end, so that they do not wait for each other.

mod load;
mod report;

use std::path::PathBuf;
use std::time::Duration;

use self::load::{Load, Stop};
use self::report::Report;
use crate::common::dial::{DialArgs, read_arguments};
use crate::common::interrupt::Interrupts;
use crate::common::units::time;
use crate::{Error, Output};

/// Arguments of `aire bench`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The node: `aire://host[:port][/agent[/operation]]`, @name@domain, or a DID.
    pub target: String,
    /// The agent and what to ask of it; left out where the target names the agent.
    #[arg(value_name = "AGENT/OPERATION")]
    pub call: Option<String>,
    /// So many connections.
    #[arg(
        short,
        long,
        value_name = "NUMBER",
        default_value_t = 1,
        value_parser = clap::value_parser!(u32).range(1..=1024)
    )]
    pub connections: u32,
    /// So many operations at a time on each connection.
    #[arg(
        long,
        value_name = "NUMBER",
        default_value_t = 1,
        value_parser = clap::value_parser!(u32).range(1..=1024)
    )]
    pub concurrency: u32,
    /// So many operations in all, the warm-up aside.
    #[arg(
        short = 'n',
        long,
        value_name = "NUMBER",
        conflicts_with = "duration",
        value_parser = clap::value_parser!(u64).range(1..)
    )]
    pub operations: Option<u64>,
    /// So long, whatever the number of operations [default: 10s].
    #[arg(short, long, value_name = "TIME", value_parser = time)]
    pub duration: Option<Duration>,
    /// How long to load the node before anything is counted.
    #[arg(long, value_name = "TIME", value_parser = time, default_value = "1s")]
    pub warm_up: Duration,
    /// Arguments of so many bytes.
    #[arg(
        long,
        value_name = "BYTES",
        default_value_t = 0,
        conflicts_with = "file",
        value_parser = clap::value_parser!(u32).range(..=1_048_576)
    )]
    pub size: u32,
    /// Arguments from a file; - for stdin.
    #[arg(long, value_name = "FILE")]
    pub file: Option<PathBuf>,
    /// How long an operation may take before it counts as failed.
    #[arg(long, value_name = "TIME", value_parser = time, default_value = "30s")]
    pub timeout: Duration,
    /// How to reach the node, and as whom.
    #[command(flatten)]
    pub dial: DialArgs,
}

/// Loads the node, and prints a histogram of its latencies.
///
/// # Errors
/// [`Error::Library`] when the node cannot be reached; [`Error::Failed`] when operations failed.
pub fn run(args: &Args, out: &mut Output) -> Result<(), Error> {
    let threads = u64::from(args.connections).saturating_mul(args.concurrency.into());
    if threads > MOST_THREADS {
        return Err(Error::Usage(format!(
            "{threads} operations at a time are more than the {MOST_THREADS} that one process \
             can measure well: start several"
        )));
    }
    let interrupts = Interrupts::watch()?;
    let destination = args.dial.find(&args.target)?;
    let call = destination.call(args.call.as_deref())?;
    let arguments = match &args.file {
        Some(path) => read_arguments(path)?,
        None => (b'a'..=b'z').cycle().take(args.size as usize).collect(),
    };
    let identity = args.dial.identity.load_or_generate(out)?;
    let connect = || {
        let builder = args.dial.builder(identity.clone()).no_reconnect();
        destination.connect(builder)
    };
    let clients = (0..args.connections).map(|_| connect());
    let clients = clients.collect::<Result<Vec<_>, _>>()?;
    interrupts.listen();
    let load = Load {
        call: &call,
        arguments: &arguments,
        concurrency: args.concurrency,
        timeout: args.timeout,
        warm_up: args.warm_up,
        stop: match args.operations {
            Some(operations) => Stop::After(operations),
            None => Stop::At(args.duration.unwrap_or(DURATION)),
        },
    };
    let done = load.run(&clients, &interrupts)?;
    let report = Report::new(args, &call, arguments.len(), &done);
    out.present(&report, |out| report.print(&done, out))?;
    match (done.books.failed(), done.interrupted) {
        (0, false) => Ok(()),
        (_, true) => Err(Error::Interrupted),
        (failed, false) => Err(Error::Failed(format!("{failed} operations failed"))),
    }
}

/// How long it takes when nobody says.
const DURATION: Duration = Duration::from_secs(10);

/// More threads than this measure the scheduler.
const MOST_THREADS: u64 = 4096;
