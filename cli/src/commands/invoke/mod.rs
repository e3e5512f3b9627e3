//! `aire invoke`: calls an agent, and prints what it streams.
//!
//! One thread does it all. It sleeps on a bell, which rings for what comes on the operation, for
//! signals, and for lines of further input.

mod feed;
mod session;
mod show;
mod ticket;

use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use aire_mio::{Client, Reconnect};
use aire_proto::UnixMillis;
use aire_proto::wire::{Budget, Currency};
use tracing::info;

use self::feed::Feed;
use self::session::Session;
use self::show::Show;
use self::ticket::TicketFile;
use crate::common::dial::{Call, Destination, DialArgs, read_arguments};
use crate::common::interrupt::Interrupts;
use crate::common::units::{money, time};
use crate::{Error, Output};

/// Arguments of `aire invoke`.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    /// The node: `aire://host[:port][/agent[/operation]]`, @name@domain, or a DID.
    pub target: String,
    /// The agent and what to ask of it; left out where the target names the agent.
    #[arg(value_name = "AGENT/OPERATION")]
    pub call: Option<String>,
    /// The operation's arguments, as text; - for stdin.
    #[arg(value_name = "ARGUMENTS", allow_negative_numbers = true)]
    pub arguments: Option<String>,
    /// The operation's arguments, from a file; - for stdin.
    #[arg(short, long, value_name = "FILE", conflicts_with = "arguments")]
    pub file: Option<PathBuf>,
    /// Stream further input from a file, a frame for each line; - for stdin, as you type.
    #[arg(long, value_name = "FILE")]
    pub input: Option<PathBuf>,
    /// Say at once that no further input comes: for agents that read until it ends. The stream is
    /// then closed on this side, so that Ctrl-C can only break it off, without a CANCEL.
    #[arg(long, conflicts_with = "input")]
    pub end_input: bool,
    /// Break the line after each frame: as on a terminal.
    #[arg(long)]
    pub lines: bool,
    /// Write frames as they are, on a terminal too: without line breaks between them, and with
    /// control characters.
    #[arg(long, conflicts_with_all = ["lines", "json"])]
    pub raw: bool,
    /// How many tokens it may spend.
    #[arg(long, value_name = "NUMBER", help_heading = "Budget")]
    pub tokens: Option<u64>,
    /// How much money it may spend: 0.25USD, or 0.25 for as many US dollars.
    #[arg(long, value_name = "AMOUNT", value_parser = money, help_heading = "Budget")]
    pub cost: Option<(u64, Currency)>,
    /// How long it may take: 30s, 5m. Then it is cancelled.
    #[arg(long, value_name = "TIME", value_parser = time, help_heading = "Budget")]
    pub deadline: Option<Duration>,
    /// Keep a ticket in this file, and go on where it was lost: when the connection is, and when
    /// the file has a ticket from an earlier run. It is removed when the operation ends.
    #[arg(long, value_name = "FILE")]
    pub resume: Option<PathBuf>,
    /// How to reach the node, and as whom.
    #[command(flatten)]
    pub dial: DialArgs,
}

const EXAMPLES: &str = "\
Ctrl-C asks the agent to stop and waits for its word; a second one does not wait.

Examples:
  aire invoke aire://localhost/echo/say \"hello\"
  aire invoke @weather@example.com forecast/today Oslo --deadline 30s
  aire invoke aire://localhost summarise/text --file book.txt --tokens 20000 > summary.txt
  aire invoke aire://localhost chat/talk --input -";

/// Calls, and prints.
///
/// # Errors
/// [`Error::Operation`] when it ends in another way than well; [`Error::Library`].
pub fn run(args: &Args, out: &mut Output) -> Result<(), Error> {
    let interrupts = Interrupts::watch()?;
    let destination = args.dial.find(&args.target)?;
    let (call, given) = args.split(&destination)?;
    let arguments = args.read_arguments(given.as_deref())?;
    let ticket = match &args.resume {
        Some(path) => Some(TicketFile::open(path, &call)?),
        None => None,
    };
    let client = args.connect(&destination, out)?;
    let show = Show::new(args, out);
    show.connected(&client, out)?;
    let operation = match ticket.as_ref().and_then(TicketFile::found) {
        Some(found) => {
            out.note("going on with the operation that was lost");
            client.resume(found)?
        }
        None => client.invoke(&call.agent, &call.operation, arguments)?,
    };
    info!(%call, id = %operation.id(), "the operation is open");
    let feed = match &args.input {
        Some(path) => Some(Feed::start(path, interrupts.bell())?),
        None => None,
    };
    let mut session = Session::new(operation, interrupts, show, feed, ticket);
    if let Some(budget) = args.budget() {
        session.limit(budget);
    }
    if args.end_input {
        session.end_input();
    }
    session.run(client, out)
}

impl Args {
    /// What is called, and the arguments among the words: where the target names the agent, they
    /// come right behind it.
    fn split(&self, destination: &Destination) -> Result<(Call, Option<String>), Error> {
        let agent_is_named = destination.named().0.is_some();
        match (&self.call, &self.arguments) {
            (Some(word), None) if agent_is_named && self.target_is_uri() => {
                if self.file.is_some() {
                    return Err(Error::Usage(format!(
                        "{} names the agent, so {word:?} is its arguments: not with --file",
                        self.target
                    )));
                }
                Ok((destination.call(None)?, Some(word.clone())))
            }
            (Some(call), Some(_)) if agent_is_named && self.target_is_uri() => {
                Err(Error::Usage(format!(
                    "{} names the agent already: leave {call:?} out, or quote the arguments",
                    self.target
                )))
            }
            (call, arguments) => Ok((destination.call(call.as_deref())?, arguments.clone())),
        }
    }

    /// A handle or a DID may have a default agent, which a person need not know of.
    fn target_is_uri(&self) -> bool {
        self.target.contains("://")
    }

    fn read_arguments(&self, given: Option<&str>) -> Result<Vec<u8>, Error> {
        let stdin = Path::new("-");
        let path = match (given, &self.file) {
            (Some("-"), _) => stdin,
            (Some(text), _) => return Ok(text.into()),
            (None, Some(path)) => path,
            (None, None) => return Ok(Vec::new()),
        };
        if path == stdin && self.input.as_deref() == Some(stdin) {
            return Err(Error::Usage(
                "stdin cannot be both the arguments and further input".into(),
            ));
        }
        read_arguments(path)
    }

    fn connect(&self, destination: &Destination, out: &Output) -> Result<Client, Error> {
        // Whoever resumes has to be who invoked (GAP-17): a key for now would be somebody else.
        let identity = match self.resume {
            Some(_) => self.dial.identity.load()?,
            None => self.dial.identity.load_or_generate(out)?,
        };
        let builder = self.dial.builder(identity);
        let builder = match self.resume {
            Some(_) => builder.reconnect(Reconnect::default()),
            None => builder.no_reconnect(),
        };
        destination.connect(builder)
    }

    fn budget(&self) -> Option<Budget> {
        let deadline = self.deadline.map(|time| {
            let now = SystemTime::now().duration_since(UNIX_EPOCH);
            let at = now.unwrap_or_default().saturating_add(time).as_millis();
            UnixMillis(i64::try_from(at).unwrap_or(i64::MAX))
        });
        let budget = Budget {
            tokens: self.tokens,
            cost_microunits: self.cost.map(|(amount, _)| amount),
            currency: self.cost.map(|(_, currency)| currency),
            deadline,
            ..Budget::default()
        };
        (budget != Budget::default()).then_some(budget)
    }
}
