//! `aire airc send`, `thread` and `ack`.

use airc_client::{AckStatus, Client, ConsentState, Draft, Handle, MAX_PAGE, Message, Sent};
use clap::ValueEnum;
use serde::Serialize;

use super::handle;
use super::payload::Given;
use super::show::{MessageReport, message_lines};
use crate::common::present::one_line;
use crate::{Error, Output};

/// Arguments of `aire airc send`.
#[derive(Debug, clap::Args)]
pub struct SendArgs {
    /// To whom.
    #[arg(value_name = "HANDLE", value_parser = handle)]
    pub to: Handle,
    /// What it says to people.
    #[arg(required_unless_present = "payload")]
    pub text: Option<String>,
    /// What it says to programs: a type, and an object in JSON or the file that holds it.
    #[arg(long, value_name = "TYPE=JSON|TYPE=@FILE")]
    pub payload: Option<Given>,
    /// What to do when the recipient does not list the payload's type.
    #[arg(long, value_enum, default_value_t, requires = "payload")]
    pub unlisted: Unlisted,
    /// Fail rather than wait for consent, and when the registry finds that the recipient does not
    /// list the payload's type.
    #[arg(long)]
    pub strict: bool,
}

/// What to do with a payload that the recipient does not list.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum Unlisted {
    /// Send the text alone, if there is one; else the payload anyway.
    #[default]
    Text,
    /// Send it anyway.
    Send,
    /// Send nothing, and fail.
    Refuse,
}

impl From<Unlisted> for airc_client::Unlisted {
    fn from(unlisted: Unlisted) -> Self {
        match unlisted {
            Unlisted::Text => Self::TextOnly,
            Unlisted::Send => Self::Send,
            Unlisted::Refuse => Self::Refuse,
        }
    }
}

/// Arguments of `aire airc thread`.
#[derive(Debug, clap::Args)]
pub struct ThreadArgs {
    /// With whom.
    #[arg(value_name = "HANDLE", value_parser = handle)]
    pub peer: Handle,
}

/// Arguments of `aire airc ack`.
#[derive(Debug, clap::Args)]
pub struct AckArgs {
    /// The message's id. It has to be in the inbox still.
    #[arg(value_name = "ID")]
    pub id: String,
    /// Who sent it, where several sent one with that id.
    #[arg(long, value_name = "HANDLE", value_parser = handle)]
    pub from: Option<Handle>,
    /// What became of it.
    #[arg(long, value_enum, default_value_t)]
    pub status: Became,
    /// Why.
    #[arg(long, value_name = "TEXT")]
    pub reason: Option<String>,
}

/// What became of a message.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
#[value(rename_all = "snake_case")]
pub enum Became {
    /// It came.
    #[default]
    Received,
    /// It is not wanted.
    Rejected,
    /// Its payload is not known here.
    UnsupportedPayload,
}

impl From<Became> for AckStatus {
    fn from(became: Became) -> Self {
        match became {
            Became::Received => Self::Received,
            Became::Rejected => Self::Rejected,
            Became::UnsupportedPayload => Self::UnsupportedPayload,
        }
    }
}

#[derive(Serialize)]
struct SentReport<'a> {
    id: &'a str,
    consent: &'static str,
    text_only: bool,
}

pub(super) fn send(args: &SendArgs, client: &Client, out: &mut Output) -> Result<(), Error> {
    let payload = args.payload.as_ref().map(Given::read).transpose()?;
    let mut draft = match (payload, &args.text) {
        (None, text) => Draft::text(&args.to, text.as_deref().unwrap_or_default()),
        (Some(payload), None) => Draft::payload(&args.to, payload),
        (Some(payload), Some(text)) => Draft::payload(&args.to, payload).with_text(text),
    };
    draft = draft.unlisted(args.unlisted.into());
    if args.strict {
        draft = draft.strict();
    }
    let sent = client.send(&draft)?;
    if sent.text_only {
        let to = &args.to;
        out.note(format_args!(
            "@{to} does not list that payload: the text went alone"
        ));
    }
    tell(&sent, &args.to, out)
}

fn tell(sent: &Sent, to: &Handle, out: &mut Output) -> Result<(), Error> {
    let report = SentReport {
        id: &sent.id,
        consent: sent.consent.as_str(),
        text_only: sent.text_only,
    };
    out.present(&report, |out| {
        let what = match sent.consent {
            ConsentState::Accepted => format!("is delivered to @{to}"),
            _ => format!("waits for @{to}'s consent"),
        };
        out.line(format_args!("{} {what}", sent.id))
    })
}

pub(super) fn thread(args: &ThreadArgs, client: &Client, out: &mut Output) -> Result<(), Error> {
    let messages = client.thread(&args.peer)?;
    let report: Vec<_> = messages.iter().map(MessageReport::from).collect();
    out.present(&report, |out| {
        let mut all = messages.iter();
        all.try_for_each(|message| message_lines(message, out))
    })
}

pub(super) fn ack(args: &AckArgs, client: &Client, out: &mut Output) -> Result<(), Error> {
    let message = find(args, client)?;
    let status = args.status.into();
    let sent = client.ack(&message, status, args.reason.as_deref())?;
    tell(&sent, &message.from, out)
}

/// The message that is meant: an acknowledgment goes to its sender.
fn find(args: &AckArgs, client: &Client) -> Result<Message, Error> {
    let mut found: Option<Message> = None;
    let mut since = None;
    loop {
        let page = client.poll(since.as_ref(), MAX_PAGE)?;
        for message in page.messages {
            let meant = message.id == args.id
                && args.from.as_ref().is_none_or(|from| *from == message.from);
            if !meant {
                continue;
            }
            if found
                .as_ref()
                .is_some_and(|found| found.from != message.from)
            {
                let id = one_line(&args.id);
                let why = format!("several sent a message with the id {id}: --from says whose");
                return Err(Error::Usage(why));
            }
            found = Some(message);
        }
        let stuck = page.cursor.is_none() || page.cursor == since;
        if !page.more || stuck {
            break;
        }
        since = page.cursor;
    }
    found.ok_or_else(|| {
        let id = one_line(&args.id);
        Error::Usage(format!("no message in the inbox has the id {id}"))
    })
}
