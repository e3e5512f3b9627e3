//! `aire ping`: how far it is to a node.

use std::time::{Duration, Instant};

use aire_mio::{Client, Failure};
use serde_json::json;

use crate::common::dial::{Call, DialArgs};
use crate::common::interrupt::Interrupts;
use crate::common::output::style;
use crate::common::present::{Took, millis, one_line};
use crate::common::units::time;
use crate::{Error, Output};

/// Arguments of `aire ping`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The node: `aire://host[:port]`, @name@domain, or a DID.
    pub target: String,
    /// An operation to call each time, without arguments: its round trip is measured too.
    #[arg(value_name = "AGENT/OPERATION")]
    pub call: Option<String>,
    /// So many times; until Ctrl-C when missing.
    #[arg(short, long, value_name = "NUMBER", value_parser = clap::value_parser!(u64).range(1..))]
    pub count: Option<u64>,
    /// How long between two.
    #[arg(short, long, value_name = "TIME", value_parser = time, default_value = "1s")]
    pub interval: Duration,
    /// How long to wait for each answer.
    #[arg(long, value_name = "TIME", value_parser = time, default_value = "10s")]
    pub timeout: Duration,
    /// How to reach the node, and as whom.
    #[command(flatten)]
    pub dial: DialArgs,
}

/// Pings, and prints each round trip and their summary.
///
/// # Errors
/// [`Error::Library`] when the node cannot be reached; [`Error::Unreachable`] when it never
/// answered; [`Error::Operation`] when the operation failed.
pub fn run(args: &Args, out: &mut Output) -> Result<(), Error> {
    let interrupts = Interrupts::watch()?;
    let destination = args.dial.find(&args.target)?;
    // A URI that names an agent asks for its operation too.
    let call = match &args.call {
        None if destination.named().0.is_none() || !args.target.contains("://") => None,
        given => Some(destination.call(given.as_deref())?),
    };
    let identity = args.dial.identity.load_or_generate(out)?;
    let began = Instant::now();
    let builder = args.dial.builder(identity).no_reconnect();
    let client = destination.connect(builder)?;
    connected(&client, began.elapsed(), out)?;
    interrupts.listen();

    let mut tally = Tally::default();
    let mut next = Instant::now();
    for nth in 1..=args.count.unwrap_or(u64::MAX) {
        while Instant::now() < next && !interrupts.came_yet() {
            interrupts.bell().wait(Some(next));
        }
        if interrupts.came_yet() {
            break;
        }
        next = Instant::now()
            .checked_add(args.interval)
            .unwrap_or_else(Instant::now);
        let trip = Trip::make(&client, call.as_ref(), args.timeout);
        trip.tell(nth, out)?;
        out.flush()?;
        tally.add(trip);
        if client.closed().is_some() {
            break;
        }
    }
    tally.tell(&args.target, out)?;
    tally.verdict(&client)
}

fn connected(client: &Client, took: Duration, out: &mut Output) -> Result<(), Error> {
    let address = client.address().to_string();
    let peer = client.peer().unwrap_or_default();
    let record = json!({
        "event": "connected", "address": address, "peer": peer, "took_ms": millis(took),
    });
    if out.is_json() {
        return out.record(&record);
    }
    out.line(format_args!("{address} is {peer}"))?;
    let took = Took(took);
    out.line(format_args!(
        "connected, with both HELLOs judged, in {took}"
    ))?;
    out.flush()
}

/// One time there and back.
#[derive(Debug)]
struct Trip {
    quic: Result<Duration, aire_mio::Error>,
    aire: Option<Result<Duration, Error>>,
}

impl Trip {
    fn make(client: &Client, call: Option<&Call>, timeout: Duration) -> Self {
        Self {
            quic: client.ping(timeout),
            aire: call.map(|call| ask(client, call, timeout)),
        }
    }

    fn tell(&self, nth: u64, out: &mut Output) -> Result<(), Error> {
        if out.is_json() {
            let aire = self.aire.as_ref();
            return out.record(&json!({
                "event": "ping",
                "nth": nth,
                "quic_ms": self.quic.as_ref().ok().map(|took| millis(*took)),
                "quic_error": self.quic.as_ref().err().map(ToString::to_string),
                "aire_ms": aire.and_then(|it| it.as_ref().ok()).map(|took| millis(*took)),
                "aire_error": aire.and_then(|it| it.as_ref().err()).map(ToString::to_string),
            }));
        }
        let quic = match &self.quic {
            Ok(took) => Took(*took).to_string(),
            Err(error) => out.styled(style::BAD, error).to_string(),
        };
        let aire = match &self.aire {
            None => String::new(),
            Some(Ok(took)) => format!("  aire {}", Took(*took)),
            Some(Err(error)) => {
                let words = one_line(&error.to_string());
                format!("  aire {}", out.styled(style::BAD, words))
            }
        };
        let nth = out.styled(style::DIM, format!("{nth:>4}"));
        out.line(format_args!("{nth}  quic {quic}{aire}"))
    }
}

/// An operation's round trip.
fn ask(client: &Client, call: &Call, timeout: Duration) -> Result<Duration, Error> {
    let began = Instant::now();
    let mut operation = client.invoke(&call.agent, &call.operation, Vec::new())?;
    operation.finish();
    loop {
        let left = timeout.saturating_sub(began.elapsed());
        match operation.recv_frame_within(left) {
            Ok(Some(_)) => {}
            Ok(None) => return Ok(began.elapsed()),
            Err(Failure::TimedOut) => return Err(aire_mio::Error::TimedOut.into()),
            Err(failure) => return Err(failure.into()),
        }
    }
}

#[derive(Debug, Default)]
struct Tally {
    sent: u64,
    quic: Trips,
    aire: Trips,
    /// What went wrong with the last operation that went wrong.
    failure: Option<Error>,
    called: u64,
}

/// The least, the most, and the sum, for any number of them.
#[derive(Clone, Copy, Debug, Default)]
struct Trips {
    count: u32,
    least: Duration,
    most: Duration,
    sum: Duration,
}

impl Trips {
    fn add(&mut self, took: Duration) {
        self.least = match self.count {
            0 => took,
            _ => self.least.min(took),
        };
        self.most = self.most.max(took);
        self.sum = self.sum.saturating_add(took);
        self.count = self.count.saturating_add(1);
    }

    fn average(&self) -> Duration {
        self.sum.checked_div(self.count).unwrap_or_default()
    }

    fn as_json(&self) -> serde_json::Value {
        json!({
            "answered": self.count,
            "min_ms": millis(self.least),
            "avg_ms": millis(self.average()),
            "max_ms": millis(self.most),
        })
    }

    fn line(&self, name: &str) -> String {
        format!(
            "{name} min/avg/max  {} / {} / {}",
            Took(self.least),
            Took(self.average()),
            Took(self.most)
        )
    }
}

impl Tally {
    fn add(&mut self, trip: Trip) {
        self.sent = self.sent.saturating_add(1);
        if let Ok(took) = trip.quic {
            self.quic.add(took);
        }
        match trip.aire {
            None => {}
            Some(Ok(took)) => {
                self.called = self.called.saturating_add(1);
                self.aire.add(took);
            }
            Some(Err(error)) => {
                self.called = self.called.saturating_add(1);
                self.failure = Some(error);
            }
        }
    }

    fn tell(&self, target: &str, out: &mut Output) -> Result<(), Error> {
        let answered = u64::from(self.quic.count);
        let lost = self.sent.saturating_sub(answered);
        if out.is_json() {
            let aire = (self.called > 0).then(|| self.aire.as_json());
            return out.record(&json!({
                "event": "summary",
                "sent": self.sent,
                "lost": lost,
                "quic": self.quic.as_json(),
                "aire": aire,
            }));
        }
        out.line(format_args!(
            "{target}: {} sent, {answered} answered, {lost} lost",
            self.sent
        ))?;
        if answered > 0 {
            out.line(self.quic.line("quic"))?;
        }
        if self.aire.count > 0 {
            out.line(self.aire.line("aire"))?;
        }
        Ok(())
    }

    fn verdict(self, client: &Client) -> Result<(), Error> {
        if let Some(closed) = client.closed() {
            return Err(aire_mio::Error::Closed(closed).into());
        }
        if self.sent > 0 && self.quic.count == 0 {
            return Err(Error::Unreachable("no answer came".into()));
        }
        self.failure.map_or(Ok(()), Err)
    }
}
