//! Errors as the wire has them (section 5).

use alloc::string::String;
use core::fmt;

/// The error codes of section 5.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ErrorCode {
    /// Malformed JSON, or missing or unusable fields.
    InvalidRequest,
    /// A higher major version than ours.
    UnsupportedVersion,
    /// A signature or a token that is missing or wrong.
    AuthFailed,
    /// A nonce or a message id that was used before, or a timestamp out of the window.
    ReplayDetected,
    /// The recipient has not accepted, and the message cannot be held.
    ConsentRequired,
    /// The recipient has blocked the sender.
    ConsentBlocked,
    /// No such handle.
    IdentityNotFound,
    /// More than the recipient or the registry takes.
    PayloadTooLarge,
    /// The recipient does not list the payload's type, and the sender asked to be told.
    UnsupportedPayload,
    /// Too many requests, or too many held messages.
    RateLimited,
    /// Nothing is served at that path: not in section 5.
    NotFound,
    /// The path is served, but not with that method: not in section 5.
    MethodNotAllowed,
    /// The registry cannot answer now: not in section 5, but something has to be said.
    Unavailable,
}

impl ErrorCode {
    /// All of section 5, in its order, and then ours.
    pub const ALL: [Self; 13] = [
        Self::InvalidRequest,
        Self::UnsupportedVersion,
        Self::AuthFailed,
        Self::ReplayDetected,
        Self::ConsentRequired,
        Self::ConsentBlocked,
        Self::IdentityNotFound,
        Self::PayloadTooLarge,
        Self::UnsupportedPayload,
        Self::RateLimited,
        Self::NotFound,
        Self::MethodNotAllowed,
        Self::Unavailable,
    ];

    /// The code as the wire has it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::InvalidRequest => "invalid_request",
            Self::UnsupportedVersion => "unsupported_version",
            Self::AuthFailed => "auth_failed",
            Self::ReplayDetected => "replay_detected",
            Self::ConsentRequired => "consent_required",
            Self::ConsentBlocked => "consent_blocked",
            Self::IdentityNotFound => "identity_not_found",
            Self::PayloadTooLarge => "payload_too_large",
            Self::UnsupportedPayload => "unsupported_payload",
            Self::RateLimited => "rate_limited",
            Self::NotFound => "not_found",
            Self::MethodNotAllowed => "method_not_allowed",
            Self::Unavailable => "unavailable",
        }
    }

    /// The code that the wire calls `text`.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|code| code.as_str() == text)
    }

    /// The HTTP status that goes with it.
    #[must_use]
    pub const fn status(self) -> u16 {
        match self {
            Self::InvalidRequest | Self::UnsupportedVersion => 400,
            Self::AuthFailed | Self::ReplayDetected => 401,
            Self::ConsentRequired | Self::ConsentBlocked => 403,
            Self::IdentityNotFound | Self::NotFound => 404,
            Self::MethodNotAllowed => 405,
            Self::PayloadTooLarge => 413,
            Self::UnsupportedPayload => 422,
            Self::RateLimited => 429,
            Self::Unavailable => 503,
        }
    }
}

impl fmt::Display for ErrorCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Why a request was refused: what the answer's body says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// The code, which programs read.
    pub code: ErrorCode,
    /// A sentence, which people read.
    pub message: String,
    /// What else there is to know: names and values, all of them text.
    pub details: alloc::vec::Vec<(&'static str, String)>,
}

impl Refusal {
    /// A refusal without details.
    #[must_use]
    pub fn new(code: ErrorCode, message: impl Into<String>) -> Self {
        Self {
            code,
            message: message.into(),
            details: alloc::vec::Vec::new(),
        }
    }

    /// The refusal with one more detail.
    #[must_use]
    pub fn with(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.details.push((name, value.into()));
        self
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.code, self.message)
    }
}

impl core::error::Error for Refusal {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_code_is_read_back_as_it_is_written() {
        for code in ErrorCode::ALL {
            assert_eq!(ErrorCode::parse(code.as_str()), Some(code));
        }
        assert_eq!(ErrorCode::parse("teapot"), None);
    }
}
