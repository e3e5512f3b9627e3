//! Where consent stands (section 2.6).

use airc_core::handle::Handle;
use airc_core::json::{Object, Value};
use airc_core::store::ConsentState;

use super::{handle, owned, text};

/// Where consent stands between this agent and another, each way (AGAP-1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Standing {
    /// The other's consent to what this agent sends.
    pub outgoing: ConsentState,
    /// This agent's consent to what the other sends.
    pub incoming: ConsentState,
}

/// Where consent stands between this agent and others.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Consents {
    /// Who asked for this agent's consent, and what was answered.
    pub incoming: Vec<Consent>,
    /// Whose consent this agent asked for or was given.
    pub outgoing: Vec<Consent>,
}

/// One consent, this agent's or another's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Consent {
    /// The other.
    pub peer: Handle,
    /// Where it stands.
    pub state: ConsentState,
    /// What was said when it was asked for. Of `incoming`, a stranger's words.
    pub message: Option<String>,
}

impl Standing {
    pub(crate) fn read(document: &Object) -> Option<Self> {
        let state = |key| ConsentState::parse(text(document, key)?);
        Some(Self {
            outgoing: state("outgoing")?,
            incoming: state("incoming")?,
        })
    }
}

impl Consents {
    pub(crate) fn read(document: &Object) -> Option<Self> {
        let list = |key| {
            let entries = document.get(key)?.as_array()?.iter();
            let entries = entries.filter_map(Value::as_object);
            Some(entries.filter_map(Consent::read).collect())
        };
        Some(Self {
            incoming: list("incoming")?,
            outgoing: list("outgoing")?,
        })
    }
}

impl Consent {
    fn read(document: &Object) -> Option<Self> {
        Some(Self {
            peer: handle(document, "handle")?,
            state: ConsentState::parse(text(document, "state")?)?,
            message: owned(document, "message").filter(|message| !message.is_empty()),
        })
    }
}
