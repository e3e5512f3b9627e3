//! `aire airc poll`: what has come, each message once, also over several runs.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use airc_client::{Batch, Client, Cursor, Handle, Inbox, MAX_PAGE};
use serde_json::json;

use super::cursor::Kept;
use super::show::{MessageReport, message_lines};
use crate::common::interrupt::Interrupts;
use crate::common::present::one_line;
use crate::common::units::time;
use crate::{Error, Output};

/// Arguments of `aire airc poll`.
#[derive(Debug, clap::Args)]
pub struct PollArgs {
    /// Go on until Ctrl-C.
    #[arg(long)]
    pub follow: bool,
    /// How often to ask, with --follow.
    #[arg(
        long,
        value_name = "TIME",
        value_parser = time,
        requires = "follow",
        default_value = "3s"
    )]
    pub every: Duration,
    /// Begin at this cursor of the registry's, and keep none.
    #[arg(long, value_name = "CURSOR", conflicts_with = "from_start", value_parser = cursor)]
    pub since: Option<Cursor>,
    /// Begin with the oldest message, whatever was printed before.
    #[arg(long)]
    pub from_start: bool,
    /// A payload type that is understood here. Who sends another one is told so, if they want to
    /// hear from this one.
    #[arg(long = "payload", value_name = "TYPE")]
    pub payloads: Vec<String>,
}

fn cursor(text: &str) -> Result<Cursor, String> {
    Cursor::from_text(text).ok_or_else(|| "that is no cursor of a registry".into())
}

/// How long to wait at most before another try, when the registry cannot answer.
const MAX_WAIT: Duration = Duration::from_secs(60);

pub(super) fn poll(args: &PollArgs, client: &Client, out: &mut Output) -> Result<(), Error> {
    let kept = match args.since {
        Some(_) => None,
        None => Some(Kept::of(client)?),
    };
    let since = match (&args.since, &kept) {
        (Some(since), _) => Some(since.clone()),
        (None, Some(kept)) if !args.from_start => kept.read()?,
        _ => None,
    };
    let mut inbox = Inbox::new(client.clone(), since);
    if !args.payloads.is_empty() {
        inbox = inbox.acknowledging(&args.payloads);
    }
    let mut reader = Reader {
        inbox,
        kept,
        asking: BTreeSet::new(),
    };
    match args.follow {
        false => reader.read_all(out),
        true => reader.follow(args.every, out),
    }
}

struct Reader {
    inbox: Inbox,
    kept: Option<Kept>,
    /// Who was said to be asking for consent.
    asking: BTreeSet<Handle>,
}

impl Reader {
    /// Prints all that is there.
    fn read_all(&mut self, out: &mut Output) -> Result<(), Error> {
        while self.read(out)? {}
        Ok(())
    }

    /// Prints a part of what is there. Whether there is more.
    fn read(&mut self, out: &mut Output) -> Result<bool, Error> {
        let batch = self.inbox.poll(MAX_PAGE)?;
        self.print(&batch, out)?;
        // What was not printed comes again.
        if let (Some(kept), Some(cursor)) = (&self.kept, self.inbox.cursor()) {
            kept.write(cursor)?;
        }
        Ok(batch.more)
    }

    fn print(&mut self, batch: &Batch, out: &mut Output) -> Result<(), Error> {
        for message in &batch.messages {
            match out.is_json() {
                true => out.record(&MessageReport::from(message))?,
                false => message_lines(message, out)?,
            }
        }
        for from in &batch.pending {
            if !self.asking.insert(from.clone()) {
                continue;
            }
            match out.is_json() {
                true => {
                    out.record(&json!({ "event": "consent_requested", "from": from.as_str() }))?
                }
                false => out.note(format_args!(
                    "@{from} asks for consent: `aire airc consent accept {from}` gives it"
                )),
            }
        }
        // Who asks again later is said to.
        self.asking.retain(|from| batch.pending.contains(from));
        if batch.unreadable > 0 {
            let count = batch.unreadable;
            out.note(format_args!("messages that cannot be understood: {count}"));
        }
        for error in &batch.unacknowledged {
            let why = one_line(&error.to_string());
            out.note(format_args!(
                "a payload that is not known is not acknowledged: {why}"
            ));
        }
        out.flush()
    }

    fn follow(&mut self, every: Duration, out: &mut Output) -> Result<(), Error> {
        let interrupts = Interrupts::watch()?;
        interrupts.listen();
        let mut wait = every;
        while !interrupts.came_yet() {
            let more = match self.read(out) {
                Ok(more) => {
                    wait = every;
                    more
                }
                Err(Error::Airc(error)) if error.is_temporary() => {
                    let asked = error.retry_after().unwrap_or_default();
                    wait = wait.saturating_mul(2).max(asked).min(MAX_WAIT).max(every);
                    out.note(one_line(&error.to_string()));
                    false
                }
                Err(error) => return Err(error),
            };
            if !more {
                interrupts.bell().wait(Instant::now().checked_add(wait));
            }
        }
        Ok(())
    }
}
