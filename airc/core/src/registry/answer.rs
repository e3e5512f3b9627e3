//! What goes out: the answer, and what the call has changed.

use alloc::string::{String, ToString};
use alloc::vec::Vec;

use crate::error::Refusal;
use crate::handle::Handle;
use crate::json::{Object, Value, object};
use crate::legacy;
use crate::store::ConsentState;

/// The two ways in which a registry is talked to; their errors look different.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Dialect {
    /// The paths of section 4, and ours.
    #[default]
    V0,
    /// The paths behind `/api`.
    Api,
}

impl Dialect {
    /// The dialect of a target.
    #[must_use]
    pub fn of(target: &str) -> Self {
        if target == "/api" || target.starts_with("/api/") {
            Self::Api
        } else {
            Self::V0
        }
    }
}

/// What all answers are, but for the bridge's (section 3.3).
pub(crate) const JSON: &str = "application/json";

/// An HTTP response, without HTTP.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Response {
    /// The status code.
    pub status: u16,
    /// The `Content-Type`.
    pub content_type: &'static str,
    /// The body.
    pub body: String,
    /// Further headers.
    pub headers: Vec<(&'static str, String)>,
}

impl Response {
    /// A JSON value.
    #[must_use]
    pub fn json(status: u16, value: &Value) -> Self {
        Self::text(status, JSON, value.to_string())
    }

    /// Anything.
    #[must_use]
    pub(crate) const fn text(status: u16, content_type: &'static str, body: String) -> Self {
        Self {
            status,
            content_type,
            body,
            headers: Vec::new(),
        }
    }

    /// With one more header.
    #[must_use]
    pub(crate) fn with(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.headers.push((name, value.into()));
        self
    }

    /// What a refusal looks like in a dialect.
    #[must_use]
    pub fn refusal(dialect: Dialect, refusal: &Refusal) -> Self {
        let mut response = match dialect {
            Dialect::V0 => {
                let body = object([("error", error(refusal))]);
                Self::json(refusal.code.status(), &body)
            }
            Dialect::Api => legacy::refusal(refusal),
        };
        let allow = refusal.details.iter().find(|(name, _)| *name == "allow");
        if let Some((_, methods)) = allow {
            response.headers.push(("allow", methods.clone()));
        }
        response
    }
}

/// The error object of section 5.
pub(crate) fn error(refusal: &Refusal) -> Value {
    let details = refusal.details.iter();
    let details = details.map(|(name, value)| (*name, Value::from(value.as_str())));
    let mut error = Object::new();
    error.insert("code", refusal.code.as_str());
    error.insert("message", refusal.message.as_str());
    if !refusal.details.is_empty() {
        error.insert("details", object(details));
    }
    error.into()
}

/// The shape of section 5.
impl From<&Refusal> for Response {
    fn from(refusal: &Refusal) -> Self {
        Self::refusal(Dialect::V0, refusal)
    }
}

/// Something that a call has changed or come upon: for metrics and live views.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Effect {
    /// There is a new identity.
    Registered(Handle),
    /// An identity was changed by its owner.
    Updated(Handle),
    /// A key was replaced.
    Rotated(Handle),
    /// A heartbeat came.
    Presence(Handle),
    /// Messages are in an inbox that were not there before.
    Delivered {
        /// The sender.
        from: Handle,
        /// The recipient.
        to: Handle,
        /// How many.
        count: u64,
    },
    /// A message is kept back until there is consent.
    Held {
        /// The sender.
        from: Handle,
        /// The recipient.
        to: Handle,
    },
    /// Held messages were dropped, because their sender was blocked.
    Dropped {
        /// The sender.
        from: Handle,
        /// The recipient.
        to: Handle,
        /// How many.
        count: u64,
    },
    /// The consent of `to` to `from` stands elsewhere than before.
    Consent {
        /// The sender.
        from: Handle,
        /// The recipient, whose consent it is.
        to: Handle,
        /// Where it stands now.
        state: ConsentState,
    },
    /// Something was used for the second time, or its timestamp is out of the window.
    ReplayRefused(Handle),
    /// A signature did not verify.
    SignatureRefused(Handle),
}

/// What a call comes to.
#[derive(Clone, Debug)]
pub struct Answer {
    /// What it says.
    pub result: Result<Response, Refusal>,
    /// In which dialect it was asked.
    pub dialect: Dialect,
    /// Who asked, if that was proven.
    pub caller: Option<Handle>,
    /// What it has changed. Empty, or next to, when it was refused.
    pub effects: Vec<Effect>,
}

impl Answer {
    /// A refusal before anybody was known.
    #[must_use]
    pub const fn refused(dialect: Dialect, refusal: Refusal) -> Self {
        Self {
            result: Err(refusal),
            dialect,
            caller: None,
            effects: Vec::new(),
        }
    }

    /// The response, a refusal's too.
    #[must_use]
    pub fn into_response(self) -> Response {
        match self.result {
            Ok(response) => response,
            Err(refusal) => Response::refusal(self.dialect, &refusal),
        }
    }
}
