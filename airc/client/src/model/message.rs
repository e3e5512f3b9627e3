//! Messages and their payloads (sections 2.3 and 2.4).

use airc_core::handle::Handle;
use airc_core::json::{Object, Value};
use airc_core::object::{OwnedPayload, Payload, thread};
use airc_core::signing;

use super::{handle, number, owned};

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
    pub payload: Option<OwnedPayload>,
    /// What is known of its signature.
    pub proof: Proof,
    /// The whole message as it was sent.
    pub document: Object,
}

impl Message {
    /// Reads a message, its signature not looked at; `None` if it cannot be put anywhere.
    pub(crate) fn read(document: &Object) -> Option<Self> {
        Some(Self {
            id: owned(document, "id")?,
            from: handle(document, "from")?,
            to: handle(document, "to")?,
            timestamp: number(document, "timestamp")?,
            body: owned(document, "body").filter(|body| !body.is_empty()),
            payload: payload(document),
            proof: match is_signed(document) {
                true => Proof::Unchecked,
                false => Proof::Unsigned,
            },
            document: document.clone(),
        })
    }

    /// The type of its payload, if it has one.
    #[must_use]
    pub fn payload_type(&self) -> Option<&str> {
        self.payload.as_ref().map(|payload| payload.kind.as_str())
    }
}

/// For the order of a thread (section 2.5).
impl thread::Entry for Message {
    fn from(&self) -> &Handle {
        &self.from
    }

    fn id(&self) -> &str {
        &self.id
    }

    fn timestamp(&self) -> u64 {
        self.timestamp
    }
}

/// Whether there is a signature that the registry took for one: it marks what came without.
fn is_signed(document: &Object) -> bool {
    let unsigned = document.get("unsigned").and_then(Value::as_bool);
    document.contains(signing::FIELD) && unsigned != Some(true)
}

fn payload(document: &Object) -> Option<OwnedPayload> {
    let payload = Payload::read(document.get("payload")?).ok()?;
    Some(OwnedPayload {
        kind: payload.kind.into(),
        data: payload.data.clone(),
    })
}
