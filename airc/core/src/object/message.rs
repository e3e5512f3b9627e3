//! Messages (section 2.3).

use alloc::borrow::ToOwned;
use alloc::format;
use alloc::string::String;

use super::fields::{Fields, object, refuse};
use super::{OwnedPayload, Payload, signable};
use crate::error::{ErrorCode, Refusal};
use crate::handle::Handle;
use crate::json::{Object, Value};
use crate::limits;

/// The version that we speak (section 3.4).
pub const VERSION: &str = "0.1";

/// The longest version, in bytes.
const MAX_VERSION: usize = 64;

/// A message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    /// `msg_` and more; unique for its sender within a day.
    pub id: String,
    /// The sender.
    pub from: Handle,
    /// The recipient.
    pub to: Handle,
    /// When the sender says that it was sent: Unix seconds.
    pub timestamp: u64,
    /// Random text of 16 to 128 characters.
    pub nonce: String,
    /// Whether the sender wants to be told when the recipient does not list the payload's type
    /// (AGAP-9), or has not consented.
    pub strict: bool,
    object: Object,
}

signable!(Message);

/// What a message is made of.
#[derive(Clone, Debug)]
pub struct MessageDraft<'a> {
    /// `msg_` and more; new for each message.
    pub id: &'a str,
    /// The sender.
    pub from: &'a Handle,
    /// The recipient.
    pub to: &'a Handle,
    /// Unix seconds.
    pub timestamp: u64,
    /// Random text of 16 to 128 characters; new for each message.
    pub nonce: &'a str,
    /// What people read.
    pub body: Option<&'a str>,
    /// What programs read.
    pub payload: Option<OwnedPayload>,
    /// Whether to be told when the recipient does not list the payload's type, or has not
    /// consented.
    pub strict: bool,
}

impl Message {
    /// Reads a message.
    ///
    /// # Errors
    /// `unsupported_version` for a higher major version (AGAP-11), `payload_too_large` for a body
    /// over [`limits::MAX_BODY`]; else `invalid_request` names the field.
    pub fn read(value: Value) -> Result<Self, Refusal> {
        let object = object(value)?;
        let fields = Fields(&object);
        // A later version may have other fields: nothing is said about them before this.
        check_version(fields.text("v", |text| match text {
            "" => Err("a version such as `0.1` is expected"),
            _ => Ok(text),
        })?)?;
        let body = fields.optional("body", "a string is expected", Value::as_str)?;
        if body.is_some_and(|body| body.len() > limits::MAX_BODY) {
            let message = format!("`body` is too long: it may have {} bytes", limits::MAX_BODY);
            return Err(Refusal::new(ErrorCode::PayloadTooLarge, message).with("field", "body"));
        }
        let payload = fields.get("payload").map(Payload::read).transpose()?;
        if payload.is_none() && body.is_none_or(str::is_empty) {
            let expected = "a message has a body, a payload, or both";
            return Err(refuse("body", "missing", expected));
        }
        let strict = fields.optional("strict", "true or false is expected", Value::as_bool)?;
        Ok(Self {
            id: fields.text("id", limits::message_id)?.to_owned(),
            from: fields.handle("from")?,
            to: fields.handle("to")?,
            timestamp: fields.timestamp()?,
            nonce: fields.text("nonce", limits::message_nonce)?.to_owned(),
            strict: strict.unwrap_or(false),
            object,
        })
    }

    /// A message to send: it wants to be signed.
    ///
    /// # Errors
    /// As [`read`](Self::read).
    pub fn new(draft: MessageDraft<'_>) -> Result<Self, Refusal> {
        let mut object = Object::new();
        object.insert("v", VERSION);
        object.insert("id", draft.id);
        object.insert("from", draft.from.as_str());
        object.insert("to", draft.to.as_str());
        object.insert("timestamp", draft.timestamp);
        object.insert("nonce", draft.nonce);
        object.insert_some("body", draft.body);
        object.insert_some("payload", draft.payload);
        object.insert_some("strict", draft.strict.then_some(true));
        Self::read(object.into())
    }

    /// What people read; empty if there is nothing.
    #[must_use]
    pub fn body(&self) -> &str {
        let body = self.object.get("body").and_then(Value::as_str);
        body.unwrap_or_default()
    }

    /// What programs read.
    #[must_use]
    pub fn payload(&self) -> Option<Payload<'_>> {
        Payload::read(self.object.get("payload")?).ok()
    }
}

/// Whether we speak a version: all of our major version (section 3.4, AGAP-11).
///
/// # Errors
/// `unsupported_version` for a higher one, `invalid_request` for what is no version.
pub fn check_version(text: &str) -> Result<(), Refusal> {
    let good = |byte: u8| byte.is_ascii_alphanumeric() || b".-+".contains(&byte);
    let (major, _) = text.split_once('.').unwrap_or((text, ""));
    let is_version = text.len() <= MAX_VERSION
        && text.bytes().all(good)
        && !major.is_empty()
        && major.bytes().all(|byte| byte.is_ascii_digit());
    if !is_version {
        return Err(refuse(
            "v",
            "unusable",
            "a version such as `0.1` is expected",
        ));
    }
    if major.bytes().any(|byte| byte != b'0') {
        let message = format!("version {text} is not spoken here: speak {VERSION}");
        return Err(Refusal::new(ErrorCode::UnsupportedVersion, message).with("supported", VERSION));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::json::parse;

    const GOOD: &str = r#"{"v":"0.1","id":"msg_abc123","from":"seth","to":"alex",
        "timestamp":1735776000,"nonce":"random1234567890","body":"Hello",
        "payload":{"type":"game:chess","data":{"move":"e4"}},"later":[1]}"#;

    fn read(text: &str) -> Result<Message, Refusal> {
        Message::read(parse(text.as_bytes()).unwrap())
    }

    #[test]
    fn a_message_is_read_and_what_nobody_knows_is_kept() {
        let message = read(GOOD).unwrap();
        assert_eq!(message.from.as_str(), "seth");
        assert_eq!(message.body(), "Hello");
        let payload = message.payload().unwrap();
        assert_eq!(payload.kind, "game:chess");
        assert_eq!(payload.data.get("move").and_then(Value::as_str), Some("e4"));
        assert!(!message.strict && !message.is_signed());
        assert!(message.object().contains("later"));
    }

    #[test]
    fn the_field_that_is_wrong_is_named() {
        for (from, to, start) in [
            (r#""v":"0.1","#, "", "`v` is missing"),
            (r#""0.1""#, "0.1", "`v` is a number"),
            (r#""0.1""#, r#""x""#, "`v` is unusable"),
            ("msg_abc123", "abc123", "`id` is unusable"),
            (r#""seth""#, r#""Seth""#, "`from` is unusable"),
            (r#""to":"alex","#, r#""to":null,"#, "`to` is missing"),
            ("1735776000", "1735776000.5", "`timestamp` is a number"),
            ("1735776000", r#""1735776000""#, "`timestamp` is a string"),
            ("1735776000", "-1", "`timestamp` is a number"),
            ("random1234567890", "short", "`nonce` is unusable"),
            (r#""Hello""#, "1", "`body` is a number"),
            ("[1]", r#"1,"strict":"yes""#, "`strict` is a string"),
            (r#""type""#, r#""kind""#, "`payload.type` is missing"),
        ] {
            let text = GOOD.replacen(from, to, 1);
            assert_ne!(text, GOOD);
            let refusal = read(&text).unwrap_err();
            assert_eq!(refusal.code, ErrorCode::InvalidRequest);
            assert!(refusal.message.starts_with(start), "{refusal}");
        }
        assert!(read("[]").is_err());
    }

    #[test]
    fn a_body_or_a_payload_must_be_there() {
        let draft = |body, payload| {
            Message::new(MessageDraft {
                id: "msg_1",
                from: &Handle::parse("a").unwrap(),
                to: &Handle::parse("b").unwrap(),
                timestamp: 1,
                nonce: "0123456789abcdef",
                body,
                payload,
                strict: true,
            })
        };
        let payload = OwnedPayload {
            kind: "handoff".into(),
            data: Object::new(),
        };
        for (body, payload) in [
            (Some("a"), None),
            (None, Some(payload.clone())),
            (Some(""), Some(payload.clone())),
        ] {
            assert!(draft(body, payload).unwrap().strict);
        }
        for body in [None, Some("")] {
            let refusal = draft(body, None).unwrap_err();
            assert_eq!(refusal.code, ErrorCode::InvalidRequest);
        }
        let long = "a".repeat(limits::MAX_BODY + 1);
        assert!(draft(Some(&long[1..]), None).is_ok());
        let refusal = draft(Some(&long), None).unwrap_err();
        assert_eq!(refusal.code, ErrorCode::PayloadTooLarge);
    }

    #[test]
    fn every_minor_version_of_ours_is_spoken_and_no_higher_major() {
        for good in ["0.1", "0.1.0", "0.2", "0.99.1-beta+x", "0", "00.1"] {
            assert_eq!(check_version(good), Ok(()), "{good}");
        }
        for higher in ["1.0", "1", "10.0", "99999999999999999999999.0"] {
            let refusal = check_version(higher).unwrap_err();
            assert_eq!(refusal.code, ErrorCode::UnsupportedVersion, "{higher}");
        }
        for bad in ["", ".1", "v0.1", "-1.0", "0.1 ", "+0.1", &"0".repeat(65)] {
            let refusal = check_version(bad).unwrap_err();
            assert_eq!(refusal.code, ErrorCode::InvalidRequest, "{bad}");
        }
    }

    #[test]
    fn a_higher_major_version_is_told_so_whatever_else_is_wrong() {
        let refusal = read(r#"{"v":"1.0"}"#).unwrap_err();
        assert_eq!(refusal.code, ErrorCode::UnsupportedVersion);
    }
}
