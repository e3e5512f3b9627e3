//! What is sent to ask for consent, to give it, and to refuse it (section 4.4).

use alloc::borrow::ToOwned;
use alloc::string::String;

use super::fields::{Fields, object};
use super::signable;
use crate::error::Refusal;
use crate::handle::Handle;
use crate::json::{Object, Value};
use crate::limits;

/// A request, an acceptance or a block: which of them, the path says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConsentNotice {
    /// The one who acts (AGAP-2).
    pub from: Handle,
    /// The one who is asked, or was asking (AGAP-2).
    pub to: Handle,
    /// What the one who acts says to it, up to 280 characters.
    pub message: Option<String>,
    /// When the sender says that it was sent: Unix seconds.
    pub timestamp: u64,
    /// Random text of 1 to 128 characters.
    pub nonce: String,
    object: Object,
}

signable!(ConsentNotice);

/// What a notice is made of.
#[derive(Clone, Copy, Debug)]
pub struct ConsentDraft<'a> {
    /// The one who acts.
    pub from: &'a Handle,
    /// The one who is asked, or was asking.
    pub to: &'a Handle,
    /// What to say to it, up to 280 characters.
    pub message: Option<&'a str>,
    /// Unix seconds.
    pub timestamp: u64,
    /// Random text of 1 to 128 characters; new for each notice.
    pub nonce: &'a str,
}

impl ConsentNotice {
    /// Reads a request, an acceptance or a block.
    ///
    /// # Errors
    /// `invalid_request` names the field.
    pub fn read(value: Value) -> Result<Self, Refusal> {
        let object = object(value)?;
        let fields = Fields(&object);
        let message = fields.free_text("message", limits::MAX_CONSENT_MESSAGE)?;
        Ok(Self {
            from: fields.handle("from")?,
            to: fields.handle("to")?,
            message: message.map(ToOwned::to_owned),
            timestamp: fields.timestamp()?,
            nonce: fields.text("nonce", limits::nonce)?.to_owned(),
            object,
        })
    }

    /// A notice to send: it wants to be signed.
    ///
    /// # Errors
    /// As [`read`](Self::read).
    pub fn new(draft: ConsentDraft<'_>) -> Result<Self, Refusal> {
        let mut object = Object::new();
        object.insert("from", draft.from.as_str());
        object.insert("to", draft.to.as_str());
        object.insert_some("message", draft.message);
        object.insert("timestamp", draft.timestamp);
        object.insert("nonce", draft.nonce);
        Self::read(object.into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::json::parse;

    const GOOD: &str = r#"{"from":"seth","to":"alex","message":"Hey!","timestamp":1735776000,
        "nonce":"xyz789"}"#;

    #[test]
    fn a_notice_is_read_with_and_without_a_message() {
        let notice = ConsentNotice::read(parse(GOOD.as_bytes()).unwrap()).unwrap();
        assert_eq!(notice.message.as_deref(), Some("Hey!"));
        let silent = ConsentNotice::new(ConsentDraft {
            from: &notice.to,
            to: &notice.from,
            message: None,
            timestamp: 1,
            nonce: "1",
        });
        assert_eq!(silent.unwrap().message, None);
    }

    #[test]
    fn the_field_that_is_wrong_is_named() {
        let long = "x".repeat(281);
        for (from, to, start) in [
            ("seth", "se-th", "`from` is unusable"),
            (r#""to""#, r#""too""#, "`to` is missing"),
            ("Hey!", &long, "`message` is unusable"),
            ("Hey!", "\\u0000", "`message` is unusable"),
            ("1735776000", "{}", "`timestamp` is an object"),
            (r#""xyz789""#, "7", "`nonce` is a number"),
        ] {
            let text = GOOD.replacen(from, to, 1);
            let refusal = ConsentNotice::read(parse(text.as_bytes()).unwrap()).unwrap_err();
            assert!(refusal.message.starts_with(start), "{refusal}");
        }
    }
}
