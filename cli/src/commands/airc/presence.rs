//! `aire airc heartbeat` and `who`.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use airc_client::{Beat, Client, HEARTBEAT_INTERVAL, Handle, Presence, Status};
use clap::ValueEnum;
use serde::Serialize;

use super::show::{PresenceReport, presence_line};
use crate::common::interrupt::Interrupts;
use crate::common::present::one_line;
use crate::common::units::time;
use crate::{Error, Output};

/// Arguments of `aire airc heartbeat`.
#[derive(Debug, clap::Args)]
pub struct HeartbeatArgs {
    /// How this one is; the registry derives it from the last heartbeat's age if nothing is said.
    #[arg(long, value_enum)]
    pub status: Option<How>,
    /// What it is doing, up to 280 characters.
    #[arg(long, value_name = "TEXT")]
    pub context: Option<String>,
    /// Go on until Ctrl-C, and say offline then.
    #[arg(long)]
    pub keep: bool,
    /// How often, with --keep; the protocol wants 30 to 60 seconds.
    #[arg(long, value_name = "TIME", value_parser = time, requires = "keep")]
    pub every: Option<Duration>,
}

/// Arguments of `aire airc who`.
#[derive(Debug, clap::Args)]
pub struct WhoArgs {
    /// Only those who are so.
    #[arg(long, value_enum)]
    pub status: Option<How>,
    /// Go on until Ctrl-C, and print what changes.
    #[arg(long)]
    pub watch: bool,
    /// How often to look, with --watch.
    #[arg(
        long,
        value_name = "TIME",
        value_parser = time,
        requires = "watch",
        default_value = "15s"
    )]
    pub every: Duration,
}

/// How somebody is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum How {
    /// There.
    Online,
    /// There, and doing nothing.
    Idle,
    /// There, and not to be disturbed.
    Busy,
    /// Not there.
    Offline,
}

impl From<How> for Status {
    fn from(how: How) -> Self {
        match how {
            How::Online => Self::Online,
            How::Idle => Self::Idle,
            How::Busy => Self::Busy,
            How::Offline => Self::Offline,
        }
    }
}

pub(super) fn heartbeat(
    args: &HeartbeatArgs,
    client: &Client,
    out: &mut Output,
) -> Result<(), Error> {
    let beat = Beat {
        status: args.status.map(Into::into),
        context: args.context.clone(),
    };
    let interrupts = Interrupts::watch()?;
    // What is wrong is said before anything goes on in the background.
    let presence = client.heartbeat(&beat)?;
    if !args.keep {
        return out.present(&PresenceReport::from(&presence), |out| {
            let line = presence_line(&presence, out);
            out.line(line)
        });
    }
    out.note(format_args!("@{} is there until Ctrl-C", client.handle()));
    interrupts.listen();
    let every = args.every.unwrap_or(HEARTBEAT_INTERVAL);
    let beats = client.heartbeats(beat, every)?;
    let mut told = None;
    while !interrupts.came_yet() {
        let next = Instant::now().checked_add(LOOK);
        interrupts.bell().wait(next);
        let error = beats.last_error().map(|error| one_line(&error.to_string()));
        if error != told {
            match &error {
                Some(words) => out.note(format_args!("no heartbeat: {words}")),
                None => out.note("heartbeats go on"),
            }
            told = error;
        }
    }
    beats.stop();
    // Without this it is found out when the last heartbeat expires.
    let last = Beat {
        status: Some(Status::Offline),
        context: None,
    };
    let _too_late = client.heartbeat(&last);
    Ok(())
}

/// How often to look whether heartbeats fail.
const LOOK: Duration = Duration::from_secs(1);

pub(super) fn who(args: &WhoArgs, client: &Client, out: &mut Output) -> Result<(), Error> {
    let status = args.status.map(Into::into);
    let there = client.who(status)?;
    if !args.watch {
        let report: Vec<_> = there.iter().map(PresenceReport::from).collect();
        return out.present(&report, |out| {
            for presence in &there {
                let line = presence_line(presence, out);
                out.line(line)?;
            }
            Ok(())
        });
    }
    let interrupts = Interrupts::watch()?;
    interrupts.listen();
    let mut known = BTreeMap::new();
    compare(&mut known, there, out)?;
    while !interrupts.came_yet() {
        let next = Instant::now().checked_add(args.every);
        if interrupts.bell().wait(next) {
            continue;
        }
        match client.who(status) {
            Ok(there) => compare(&mut known, there, out)?,
            Err(error) if error.is_temporary() => {
                out.note(one_line(&error.to_string()));
            }
            Err(error) => return Err(error.into()),
        }
    }
    Ok(())
}

#[derive(Serialize)]
struct Change<'a> {
    event: &'static str,
    #[serde(flatten)]
    presence: PresenceReport<'a>,
}

/// Prints what is different from before.
fn compare(
    known: &mut BTreeMap<Handle, Presence>,
    there: Vec<Presence>,
    out: &mut Output,
) -> Result<(), Error> {
    let now: BTreeMap<_, _> = there
        .into_iter()
        .map(|presence| (presence.handle.clone(), presence))
        .collect();
    for (handle, presence) in &now {
        match known.get(handle) {
            None => tell("came", '+', presence, out)?,
            Some(before) => {
                let same = before.status == presence.status && before.context == presence.context;
                if !same {
                    tell("changed", '~', presence, out)?;
                }
            }
        }
    }
    for (handle, presence) in &*known {
        if !now.contains_key(handle) {
            tell("left", '-', presence, out)?;
        }
    }
    *known = now;
    out.flush()
}

fn tell(event: &'static str, mark: char, of: &Presence, out: &mut Output) -> Result<(), Error> {
    let presence = PresenceReport::from(of);
    if out.is_json() {
        return out.record(&Change { event, presence });
    }
    let line = presence_line(of, out);
    out.line(format_args!("{mark} {line}"))
}
