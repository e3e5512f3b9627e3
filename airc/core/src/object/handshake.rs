//! Handshakes: consent, asked for and answered by payload (section 2.6).

use alloc::borrow::ToOwned;
use alloc::string::String;

use super::OwnedPayload;
use super::fields::Fields;
use crate::error::Refusal;
use crate::json::Object;
use crate::limits;

/// What a handshake does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Action {
    /// Asks the recipient for consent.
    Request,
    /// Gives it to the recipient.
    Accept,
    /// Refuses it to the recipient.
    Block,
}

impl Action {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Request, Self::Accept, Self::Block];

    /// The action as the wire has it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Request => "request",
            Self::Accept => "accept",
            Self::Block => "block",
        }
    }

    /// The action that the wire calls `text`.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|action| action.as_str() == text)
    }
}

/// A `handshake` payload's data.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Handshake {
    /// What it does.
    pub action: Action,
    /// What its sender says to it.
    pub message: Option<String>,
}

impl Handshake {
    /// The type of its payload.
    pub const KIND: &'static str = "handshake";

    /// Reads the data of a payload of its type.
    ///
    /// # Errors
    /// `invalid_request` names the field.
    pub fn read(data: &Object) -> Result<Self, Refusal> {
        let fields = Fields(data);
        let message = fields.free_text("payload.data.message", limits::MAX_CONSENT_MESSAGE)?;
        Ok(Self {
            action: fields.text("payload.data.action", |text| {
                Action::parse(text).ok_or("`request`, `accept` or `block` is expected")
            })?,
            message: message.map(ToOwned::to_owned),
        })
    }

    /// The payload that says this.
    #[must_use]
    pub fn into_payload(self) -> OwnedPayload {
        let mut data = Object::new();
        data.insert("action", self.action.as_str());
        data.insert_some("message", self.message);
        OwnedPayload {
            kind: Self::KIND.into(),
            data,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::json::parse;

    #[test]
    fn a_handshake_is_read_as_it_was_made() {
        for action in Action::ALL {
            for message in [None, Some("Hey!".into())] {
                let handshake = Handshake { action, message };
                let payload = handshake.clone().into_payload();
                assert_eq!(payload.kind, "handshake");
                assert_eq!(Handshake::read(&payload.data), Ok(handshake));
            }
        }
    }

    #[test]
    fn other_actions_and_long_messages_are_refused() {
        let long = alloc::format!(r#"{{"action":"request","message":"{}"}}"#, "a".repeat(281));
        for (text, field) in [
            (r#"{}"#, "`payload.data.action` is missing"),
            (r#"{"action":"hug"}"#, "`payload.data.action` is unusable"),
            (&long, "`payload.data.message` is unusable"),
        ] {
            let data = parse(text.as_bytes()).unwrap().into_object().unwrap();
            let refusal = Handshake::read(&data).unwrap_err();
            assert!(refusal.message.starts_with(field), "{refusal}");
        }
    }
}
