//! What a registry tells: identities, presence, consent and messages, as far as they can be
//! understood. What is unknown is ignored (section 3.4).

mod identity;
mod message;
mod standing;

use airc_core::handle::Handle;
use airc_core::json::{Object, Value};
use airc_core::store::Status;

pub use identity::{AireEndpoint, Capabilities, Identity, Presence, PreviousKey};
pub use message::{Message, Proof};
pub use standing::{Consent, Consents, Standing};

/// What an agent says of itself with a heartbeat (section 2.2).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Beat {
    /// How it is; the registry derives it from the heartbeat's age where nothing is said.
    pub status: Option<Status>,
    /// What it is doing, up to 280 characters.
    pub context: Option<String>,
}

/// A registry's place in an inbox or a thread, which only the registry understands.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Cursor(String);

/// The longest cursor that is taken, in bytes.
const MAX_CURSOR: usize = 1024;

impl Cursor {
    /// A cursor that was kept as text; `None` when it cannot be one.
    #[must_use]
    pub fn from_text(text: &str) -> Option<Self> {
        let good = !text.is_empty() && text.len() <= MAX_CURSOR;
        good.then(|| Self(text.into()))
    }

    /// The cursor as text, to be kept.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// A part of an inbox or a thread.
#[derive(Clone, Debug, Default)]
pub struct Page {
    /// The messages, in the order that the registry delivers them in.
    pub messages: Vec<Message>,
    /// Where the next part begins; none if the registry gives none.
    pub cursor: Option<Cursor>,
    /// Whether there are more behind them already.
    pub more: bool,
    /// Who asks for this agent's consent.
    pub pending: Vec<Handle>,
    /// How many messages could not be understood, and were left out.
    pub unreadable: usize,
}

fn text<'a>(object: &'a Object, key: &str) -> Option<&'a str> {
    object.get(key)?.as_str()
}

fn owned(object: &Object, key: &str) -> Option<String> {
    text(object, key).map(Into::into)
}

fn handle(object: &Object, key: &str) -> Option<Handle> {
    Handle::parse(text(object, key)?).ok()
}

fn number(object: &Object, key: &str) -> Option<u64> {
    object.get(key)?.as_u64()
}

/// The strings of an array; what else is in it is left out.
fn texts(value: Option<&Value>) -> Vec<String> {
    let items = value.and_then(Value::as_array).unwrap_or_default();
    let texts = items.iter().filter_map(Value::as_str);
    texts.map(Into::into).collect()
}
