//! Where consent stands (section 2.6).

use airc_core::handle::Handle;
use airc_core::json::Object;
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

/// Somebody who asked for this agent's consent, or was answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request {
    /// Who asked.
    pub from: Handle,
    /// Where this agent's consent stands.
    pub state: ConsentState,
    /// What was said. A stranger's words.
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

impl Request {
    pub(crate) fn read(document: &Object) -> Option<Self> {
        Some(Self {
            from: handle(document, "from")?,
            state: ConsentState::parse(text(document, "consent")?)?,
            message: owned(document, "message").filter(|message| !message.is_empty()),
        })
    }
}
