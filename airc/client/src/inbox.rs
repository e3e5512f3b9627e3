//! An inbox that is read on and on: each message once, and what cannot be understood acknowledged
//! as such.

use airc_core::handle::Handle;
use airc_core::object::thread::Seen;
use airc_core::object::{AckStatus, is_listed};
use airc_core::store::ConsentState;

use crate::model::{Cursor, Message, Proof};
use crate::{Client, Error};

/// The most ids that are remembered in order to take out what comes twice.
const MEMORY: usize = 10_000;

/// The most acknowledgments for one poll.
const MAX_ACKS: usize = 32;

/// An inbox, read from where the cursor stands.
#[derive(Debug)]
pub struct Inbox {
    client: Client,
    cursor: Option<Cursor>,
    seen: Seen,
    /// The payload types that are understood, if others are to be acknowledged as such.
    known: Option<Vec<String>>,
}

/// What came.
#[derive(Debug, Default)]
pub struct Batch {
    /// The messages, in the order that the registry delivers them in.
    pub messages: Vec<Message>,
    /// Whether there are more already.
    pub more: bool,
    /// Who asks for this agent's consent.
    pub pending: Vec<Handle>,
    /// How many messages could not be understood, and were left out.
    pub unreadable: usize,
    /// Why acknowledgments of payloads that are not known could not be sent. They are optional:
    /// nothing is lost.
    pub unacknowledged: Vec<Error>,
}

impl Inbox {
    /// The inbox of a client, from its beginning, or from where a cursor stands that was kept.
    #[must_use]
    pub fn new(client: Client, since: Option<Cursor>) -> Self {
        Self {
            client,
            cursor: since,
            seen: Seen::new(MEMORY),
            known: None,
        }
    }

    /// The same, which says `unsupported_payload` to who sends a payload of another type than
    /// these (section 2.4.1). Only to those who have agreed to hear from this agent, so that no
    /// answer asks for consent; never about an `ack` or a `handshake`.
    #[must_use]
    pub fn acknowledging(mut self, known: impl IntoIterator<Item = impl Into<String>>) -> Self {
        self.known = Some(known.into_iter().map(Into::into).collect());
        self
    }

    /// Where the next poll begins. Keep it once all that came is dealt with.
    #[must_use]
    pub fn cursor(&self) -> Option<&Cursor> {
        self.cursor.as_ref()
    }

    /// Asks once for up to `limit` messages.
    ///
    /// # Errors
    /// [`Error::Refused`] and the other ways in which a call fails. Nothing is lost then: the next
    /// poll begins at the same place.
    pub fn poll(&mut self, limit: usize) -> Result<Batch, Error> {
        let mut page = self.client.poll(self.cursor.as_ref(), limit)?;
        page.messages
            .retain(|message| self.seen.is_new(&message.from, &message.id));
        // A registry that does not get on is asked again later, not at once and forever.
        let got_on = page.cursor.is_some() && page.cursor != self.cursor;
        if page.cursor.is_some() {
            self.cursor = page.cursor;
        }
        Ok(Batch {
            unacknowledged: self.acknowledge(&page.messages),
            more: page.more && got_on,
            messages: page.messages,
            pending: page.pending,
            unreadable: page.unreadable,
        })
    }

    /// Says of each payload that is not known that it is not. Why that failed where it did.
    fn acknowledge(&self, messages: &[Message]) -> Vec<Error> {
        let Some(known) = &self.known else {
            return Vec::new();
        };
        let unknown = |message: &&Message| {
            let kind = message.payload_type();
            message.proof != Proof::Wrong && kind.is_some_and(|kind| !is_listed(known, kind))
        };
        let mut failed = Vec::new();
        for message in messages.iter().filter(unknown).take(MAX_ACKS) {
            if let Err(error) = self.say_unsupported(message) {
                // What holds for one holds for the next.
                let over = error.is_temporary();
                failed.push(error);
                if over {
                    break;
                }
            }
        }
        failed
    }

    fn say_unsupported(&self, message: &Message) -> Result<(), Error> {
        // Where there is no consent, an acknowledgment would be held, and ask for it (AGAP-3).
        let standing = self.client.consent_with(&message.from)?;
        if standing.outgoing != ConsentState::Accepted {
            return Ok(());
        }
        let kind = message.payload_type().unwrap_or_default();
        let reason = format!("Unknown payload type: {kind}");
        let status = AckStatus::UnsupportedPayload;
        self.client.ack(message, status, Some(&reason)).map(drop)
    }
}
