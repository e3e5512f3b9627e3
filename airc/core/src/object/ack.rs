//! Acknowledgments: what became of a message (section 2.7).

use alloc::borrow::ToOwned;
use alloc::string::String;

use super::OwnedPayload;
use super::fields::Fields;
use crate::error::Refusal;
use crate::json::Object;
use crate::limits;

/// What became of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum AckStatus {
    /// It came.
    Received,
    /// The receiver does not want it.
    Rejected,
    /// The receiver cannot interpret its payload.
    UnsupportedPayload,
}

impl AckStatus {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Received, Self::Rejected, Self::UnsupportedPayload];

    /// The status as the wire has it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Received => "received",
            Self::Rejected => "rejected",
            Self::UnsupportedPayload => "unsupported_payload",
        }
    }

    /// The status that the wire calls `text`.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|status| status.as_str() == text)
    }
}

/// An `ack` payload's data.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ack {
    /// The id of the message that it is about.
    pub reference: String,
    /// What became of it.
    pub status: AckStatus,
    /// Why.
    pub reason: Option<String>,
}

impl Ack {
    /// The type of its payload.
    pub const KIND: &'static str = "ack";

    /// Reads the data of a payload of its type.
    ///
    /// # Errors
    /// `invalid_request` names the field.
    pub fn read(data: &Object) -> Result<Self, Refusal> {
        let fields = Fields(data);
        let reason = fields.free_text("payload.data.reason", limits::MAX_REASON)?;
        Ok(Self {
            reference: fields
                .text("payload.data.ref", limits::message_id)?
                .to_owned(),
            status: fields.text("payload.data.status", |text| {
                AckStatus::parse(text)
                    .ok_or("`received`, `rejected` or `unsupported_payload` is expected")
            })?,
            reason: reason.map(ToOwned::to_owned),
        })
    }

    /// The payload that says this.
    #[must_use]
    pub fn into_payload(self) -> OwnedPayload {
        let mut data = Object::new();
        data.insert("ref", self.reference);
        data.insert("status", self.status.as_str());
        data.insert_some("reason", self.reason);
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
    fn an_ack_is_read_as_it_was_made() {
        for status in AckStatus::ALL {
            for reason in [None, Some("Unknown payload type: game:chess".into())] {
                let ack = Ack {
                    reference: "msg_abc123xyz".into(),
                    status,
                    reason,
                };
                let payload = ack.clone().into_payload();
                assert_eq!(payload.kind, "ack");
                assert_eq!(Ack::read(&payload.data), Ok(ack));
            }
        }
    }

    #[test]
    fn an_ack_for_nothing_or_of_another_status_is_refused() {
        for (text, field) in [
            (r#"{"status":"received"}"#, "`payload.data.ref` is missing"),
            (
                r#"{"ref":"1","status":"received"}"#,
                "`payload.data.ref` is unusable",
            ),
            (r#"{"ref":"msg_1"}"#, "`payload.data.status` is missing"),
            (
                r#"{"ref":"msg_1","status":"lost"}"#,
                "`payload.data.status` is unusable",
            ),
        ] {
            let data = parse(text.as_bytes()).unwrap().into_object().unwrap();
            let refusal = Ack::read(&data).unwrap_err();
            assert!(refusal.message.starts_with(field), "{refusal}");
        }
    }
}
