//! `aire airc consent`.

use airc_client::{Client, Consent, ConsentState, Handle};
use clap::{Subcommand, ValueEnum};
use serde::Serialize;

use super::handle;
use crate::common::output::style;
use crate::common::present::one_line;
use crate::{Error, Output};

/// Arguments of `aire airc consent`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// What to do.
    #[command(subcommand)]
    pub what: What,
}

/// What to do about consent.
#[derive(Debug, Subcommand)]
pub enum What {
    /// Ask somebody for consent to what this one sends.
    Request {
        /// Whom.
        #[arg(value_name = "HANDLE", value_parser = handle)]
        peer: Handle,
        /// A word about why.
        #[arg(long, value_name = "TEXT")]
        message: Option<String>,
    },
    /// Let somebody write to this one. Who asked may be written to as well then.
    Accept {
        /// Whom.
        #[arg(value_name = "HANDLE", value_parser = handle)]
        peer: Handle,
    },
    /// Refuse what somebody sends; what waits for consent is dropped.
    Block {
        /// Whom.
        #[arg(value_name = "HANDLE", value_parser = handle)]
        peer: Handle,
    },
    /// List who asked this one, whom this one asked, and what was answered.
    List {
        /// Only those where it stands so.
        #[arg(long, value_enum)]
        state: Option<State>,
    },
    /// Show where consent stands with somebody, each way.
    Status {
        /// With whom.
        #[arg(value_name = "HANDLE", value_parser = handle)]
        peer: Handle,
    },
}

/// Where consent can stand in a list.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum State {
    /// Asked, and not answered.
    Pending,
    /// Given.
    Accepted,
    /// Refused.
    Blocked,
}

impl From<State> for ConsentState {
    fn from(state: State) -> Self {
        match state {
            State::Pending => Self::Pending,
            State::Accepted => Self::Accepted,
            State::Blocked => Self::Blocked,
        }
    }
}

#[derive(Serialize)]
struct Done<'a> {
    handle: &'a str,
    consent: &'static str,
}

#[derive(Serialize)]
struct Listed<'a> {
    incoming: Vec<Entry<'a>>,
    outgoing: Vec<Entry<'a>>,
}

#[derive(Serialize)]
struct Entry<'a> {
    handle: &'a str,
    consent: &'static str,
    message: Option<&'a str>,
}

impl<'a> From<&'a Consent> for Entry<'a> {
    fn from(consent: &'a Consent) -> Self {
        Self {
            handle: consent.peer.as_str(),
            consent: consent.state.as_str(),
            message: consent.message.as_deref(),
        }
    }
}

#[derive(Serialize)]
struct Stands<'a> {
    handle: &'a str,
    outgoing: &'static str,
    incoming: &'static str,
}

pub(super) fn run(args: &Args, client: &Client, out: &mut Output) -> Result<(), Error> {
    match &args.what {
        What::Request { peer, message } => {
            let state = client.request_consent(peer, message.as_deref())?;
            done(peer, state, out)
        }
        What::Accept { peer } => done(peer, client.accept_consent(peer)?, out),
        What::Block { peer } => done(peer, client.block_consent(peer)?, out),
        What::List { state } => list(*state, client, out),
        What::Status { peer } => status(peer, client, out),
    }
}

fn done(peer: &Handle, state: ConsentState, out: &mut Output) -> Result<(), Error> {
    let (handle, consent) = (peer.as_str(), state.as_str());
    out.present(&Done { handle, consent }, |out| {
        out.line(format_args!("@{peer}: {consent}"))
    })
}

fn list(state: Option<State>, client: &Client, out: &mut Output) -> Result<(), Error> {
    let consents = client.consents(state.map(Into::into))?;
    let report = Listed {
        incoming: consents.incoming.iter().map(Entry::from).collect(),
        outgoing: consents.outgoing.iter().map(Entry::from).collect(),
    };
    out.present(&report, |out| {
        for (way, list) in [("from", &report.incoming), ("to", &report.outgoing)] {
            for entry in list {
                let handle = format!("@{}", entry.handle);
                let handle = out.styled(style::STRONG, format!("{handle:20}"));
                let message = one_line(entry.message.unwrap_or_default());
                let line = format!("{way:4}  {handle}  {:8}  {message}", entry.consent);
                out.line(line.trim_end())?;
            }
        }
        Ok(())
    })
}

fn status(peer: &Handle, client: &Client, out: &mut Output) -> Result<(), Error> {
    let standing = client.consent_with(peer)?;
    let report = Stands {
        handle: peer.as_str(),
        outgoing: standing.outgoing.as_str(),
        incoming: standing.incoming.as_str(),
    };
    out.present(&report, |out| {
        let own = client.handle();
        out.line(format_args!("from @{own} to @{peer}: {}", report.outgoing))?;
        out.line(format_args!("from @{peer} to @{own}: {}", report.incoming))
    })
}
