//! Messages and their payloads (sections 2.3 and 2.4).

use std::cmp::Ordering;

use airc_core::handle::Handle;
use airc_core::json::{Object, Value};

use super::{handle, number, owned, text};

/// A payload: data of a type that sender and recipient both know (section 2.4).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Payload {
    /// Its type: `game:chess`, `context:code`, `handoff`.
    pub kind: String,
    /// What is in it.
    pub data: Object,
}

impl Payload {
    /// A payload of this type.
    pub fn new(kind: impl Into<String>, data: Object) -> Self {
        let kind = kind.into();
        Self { kind, data }
    }

    fn read(document: &Object) -> Option<Self> {
        Some(Self {
            kind: owned(document, "type")?,
            data: document.get("data")?.as_object()?.clone(),
        })
    }

    pub(crate) fn to_value(&self) -> Value {
        let entries = [
            ("type", Value::from(self.kind.as_str())),
            ("data", Value::from(self.data.clone())),
        ];
        airc_core::json::object(entries)
    }
}

/// What is known of a message's signature.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Proof {
    /// It is by a key of the sender that the registry names.
    Verified,
    /// There is none: the sender came through the `/api` dialect, and the registry is all that
    /// vouches for it.
    Unsigned,
    /// It is by no key of the sender, or the message is signed for somebody else. An old message of
    /// a sender that has changed its key since looks like that as well.
    Wrong,
    /// It was not checked: the sender's identity could not be had.
    Unchecked,
}

/// A message that somebody sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    /// Unique for its sender.
    pub id: String,
    /// The sender.
    pub from: Handle,
    /// The recipient.
    pub to: Handle,
    /// When the sender says that it was sent: Unix seconds.
    pub timestamp: u64,
    /// What it says to people. A stranger's words.
    pub body: Option<String>,
    /// What it says to programs, if there is a payload with a type.
    pub payload: Option<Payload>,
    /// What is known of its signature.
    pub proof: Proof,
    /// The whole message as it was sent.
    pub document: Object,
}

impl Message {
    /// Reads a message, its signature not looked at; `None` if it cannot be put anywhere.
    pub(crate) fn read(document: &Object) -> Option<Self> {
        let payload = document.get("payload").and_then(Value::as_object);
        Some(Self {
            id: owned(document, "id")?,
            from: handle(document, "from")?,
            to: handle(document, "to")?,
            timestamp: number(document, "timestamp")?,
            body: owned(document, "body").filter(|body| !body.is_empty()),
            payload: payload.and_then(Payload::read),
            proof: match text(document, "signature") {
                Some(_) => Proof::Unchecked,
                None => Proof::Unsigned,
            },
            document: document.clone(),
        })
    }

    /// The type of its payload, if it has one.
    #[must_use]
    pub fn payload_type(&self) -> Option<&str> {
        self.payload.as_ref().map(|payload| payload.kind.as_str())
    }

    /// What no other message has.
    pub(crate) fn key(&self) -> (&Handle, &str) {
        (&self.from, &self.id)
    }

    /// The order in a thread: by time, then by id (section 2.5).
    pub(crate) fn thread_order(&self, other: &Self) -> Ordering {
        let key = |message: &Self| (message.timestamp, message.id.clone(), message.from.clone());
        key(self).cmp(&key(other))
    }
}

/// Puts the messages of a thread in order, each of them once (section 2.5).
pub(crate) fn in_thread_order(messages: &mut Vec<Message>) {
    messages.sort_by(Message::thread_order);
    messages.dedup_by(|later, kept| later.key() == kept.key());
}
