//! Heartbeats (section 2.2).

use alloc::borrow::ToOwned;
use alloc::string::String;

use super::fields::{Fields, object};
use super::signable;
use crate::error::Refusal;
use crate::handle::Handle;
use crate::json::{Object, Value};
use crate::limits;
use crate::store::Status;

impl Status {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Online, Self::Idle, Self::Busy, Self::Offline];

    /// The status as the wire has it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Online => "online",
            Self::Idle => "idle",
            Self::Busy => "busy",
            Self::Offline => "offline",
        }
    }

    /// The status that the wire calls `text`.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|status| status.as_str() == text)
    }
}

/// A heartbeat.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Heartbeat {
    /// Whose.
    pub handle: Handle,
    /// What it says of itself; if nothing, its status is derived from the heartbeat's age.
    pub status: Option<Status>,
    /// What it is doing, up to 280 characters.
    pub context: Option<String>,
    /// When the sender says that it was sent: Unix seconds.
    pub timestamp: u64,
    /// Random text of 1 to 128 characters.
    pub nonce: String,
    object: Object,
}

signable!(Heartbeat);

/// What a heartbeat is made of.
#[derive(Clone, Copy, Debug)]
pub struct HeartbeatDraft<'a> {
    /// Whose.
    pub handle: &'a Handle,
    /// What it says of itself.
    pub status: Option<Status>,
    /// What it is doing, up to 280 characters.
    pub context: Option<&'a str>,
    /// Unix seconds.
    pub timestamp: u64,
    /// Random text of 1 to 128 characters; new for each heartbeat.
    pub nonce: &'a str,
}

impl Heartbeat {
    /// Reads a heartbeat.
    ///
    /// # Errors
    /// `invalid_request` names the field.
    pub fn read(value: Value) -> Result<Self, Refusal> {
        let object = object(value)?;
        let fields = Fields(&object);
        let context = fields.free_text("context", limits::MAX_CONTEXT)?;
        Ok(Self {
            handle: fields.handle("handle")?,
            status: fields.optional_text("status", |text| {
                Status::parse(text).ok_or("`online`, `idle`, `busy` or `offline` is expected")
            })?,
            context: context.map(ToOwned::to_owned),
            timestamp: fields.timestamp()?,
            nonce: fields.text("nonce", limits::nonce)?.to_owned(),
            object,
        })
    }

    /// A heartbeat to send: it wants to be signed.
    ///
    /// # Errors
    /// As [`read`](Self::read).
    pub fn new(draft: HeartbeatDraft<'_>) -> Result<Self, Refusal> {
        let mut object = Object::new();
        object.insert("handle", draft.handle.as_str());
        object.insert_some("status", draft.status.map(Status::as_str));
        object.insert_some("context", draft.context);
        object.insert("timestamp", draft.timestamp);
        object.insert("nonce", draft.nonce);
        Self::read(object.into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::json::parse;

    const GOOD: &str = r#"{"handle":"seth","status":"busy","context":"building auth.js",
        "timestamp":1735776000,"nonce":"abc123"}"#;

    #[test]
    fn a_heartbeat_is_read_and_may_leave_out_status_and_context() {
        let heartbeat = Heartbeat::read(parse(GOOD.as_bytes()).unwrap()).unwrap();
        assert_eq!(heartbeat.status, Some(Status::Busy));
        assert_eq!(heartbeat.context.as_deref(), Some("building auth.js"));
        let bare = Heartbeat::new(HeartbeatDraft {
            handle: &heartbeat.handle,
            status: None,
            context: None,
            timestamp: 1,
            nonce: "1",
        });
        let bare = bare.unwrap();
        assert_eq!((bare.status, bare.context), (None, None));
    }

    #[test]
    fn the_field_that_is_wrong_is_named() {
        let long = "x".repeat(281);
        for (from, to, start) in [
            ("seth", "Seth", "`handle` is unusable"),
            ("busy", "asleep", "`status` is unusable"),
            ("building auth.js", &long, "`context` is unusable"),
            ("1735776000", "true", "`timestamp` is true or false"),
            (r#""abc123""#, r#""""#, "`nonce` is unusable"),
            (r#""nonce""#, r#""once""#, "`nonce` is missing"),
        ] {
            let text = GOOD.replacen(from, to, 1);
            let refusal = Heartbeat::read(parse(text.as_bytes()).unwrap()).unwrap_err();
            assert!(refusal.message.starts_with(start), "{refusal}");
        }
    }
}
