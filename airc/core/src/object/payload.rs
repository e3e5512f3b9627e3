//! Payloads: typed data that receivers interpret (section 2.4).

use alloc::string::String;

use super::fields::{Fields, refuse};
use crate::error::Refusal;
use crate::json::{Object, Value};
use crate::{canonical, limits};

/// A payload within its message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Payload<'a> {
    /// What it is: `game:chess`, `ack`.
    pub kind: &'a str,
    /// What it says.
    pub data: &'a Object,
    whole: &'a Value,
}

impl<'a> Payload<'a> {
    /// Reads a payload.
    ///
    /// # Errors
    /// `invalid_request` names the field.
    pub fn read(value: &'a Value) -> Result<Self, Refusal> {
        let object = value.as_object();
        let fields =
            Fields(object.ok_or_else(|| refuse("payload", value.kind(), "an object is expected"))?);
        let expected = "an object is expected";
        let data = fields.optional("payload.data", expected, Value::as_object)?;
        Ok(Self {
            kind: fields.text("payload.type", limits::payload_type)?,
            data: data.ok_or_else(|| refuse("payload.data", "missing", expected))?,
            whole: value,
        })
    }

    /// How large it is: bytes of its canonical JSON (AGAP-10).
    #[must_use]
    pub fn size(&self) -> usize {
        canonical::length(self.whole)
    }
}

/// A payload to be sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OwnedPayload {
    /// What it is: `game:chess`, `ack`.
    pub kind: String,
    /// What it says.
    pub data: Object,
}

impl From<OwnedPayload> for Value {
    fn from(payload: OwnedPayload) -> Self {
        crate::json::object([("type", payload.kind.into()), ("data", payload.data.into())])
    }
}

/// Whether an identity that lists `listed` can receive payloads of type `kind` (section 2.4.1).
/// `handshake` and `ack` it always can (AGAP-9). `game:*`, which the text uses for its conventions,
/// is every type that begins with `game:`.
#[must_use]
pub fn is_listed(listed: &[String], kind: &str) -> bool {
    let matches = |own: &String| match own.strip_suffix('*') {
        Some(space) => kind.starts_with(space),
        None => own == kind,
    };
    matches!(kind, super::Handshake::KIND | super::Ack::KIND) || listed.iter().any(matches)
}

/// One of the types that an identity lists: a payload type, or `game:*`.
pub(super) fn check_listed(text: &str) -> Result<&str, limits::Expected> {
    limits::payload_type(text.strip_suffix(":*").unwrap_or(text)).map(|_| text)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::json::parse;
    use alloc::borrow::ToOwned;

    #[test]
    fn a_payload_has_a_type_and_an_object() {
        let value = parse(br#"{"type":"game:chess","data":{"move":"e4"},"more":1}"#).unwrap();
        let payload = Payload::read(&value).unwrap();
        assert_eq!(payload.kind, "game:chess");
        assert_eq!(payload.size(), canonical::to_string(&value).len());
        for (text, field) in [
            ("[]", "`payload` is an array"),
            (r#"{"data":{}}"#, "`payload.type` is missing"),
            (r#"{"type":"a b","data":{}}"#, "`payload.type` is unusable"),
            (r#"{"type":1,"data":{}}"#, "`payload.type` is a number"),
            (r#"{"type":"ack"}"#, "`payload.data` is missing"),
            (r#"{"type":"ack","data":[]}"#, "`payload.data` is an array"),
        ] {
            let value = parse(text.as_bytes()).unwrap();
            let refusal = Payload::read(&value).unwrap_err();
            assert!(refusal.message.starts_with(field), "{refusal}");
        }
    }

    #[test]
    fn what_is_listed_can_be_received_and_handshakes_and_acks_always() {
        let listed = ["game:chess", "context:*"].map(ToOwned::to_owned);
        for kind in ["game:chess", "context:code", "ack", "handshake"] {
            assert!(is_listed(&listed, kind), "{kind}");
        }
        for kind in ["game:chess2", "game:go", "contextual", "handoff"] {
            assert!(!is_listed(&listed, kind), "{kind}");
        }
        for good in ["game:*", "ack", "a:b:*"] {
            assert!(check_listed(good).is_ok(), "{good}");
        }
        for bad in ["*", ":*", "game*", "a:**", ""] {
            assert!(check_listed(bad).is_err(), "{bad}");
        }
    }
}
