//! What ends a connection, and the code that the peer is told.

use core::fmt;

/// A transport error code (RFC 9000 §20.1).
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Code(pub u64);

impl Code {
    /// Nothing is wrong.
    pub const NO_ERROR: Self = Self(0x00);
    /// This end failed.
    pub const INTERNAL_ERROR: Self = Self(0x01);
    /// The server takes no connection now.
    pub const CONNECTION_REFUSED: Self = Self(0x02);
    /// More bytes than allowed.
    pub const FLOW_CONTROL_ERROR: Self = Self(0x03);
    /// More streams than allowed.
    pub const STREAM_LIMIT_ERROR: Self = Self(0x04);
    /// A frame for a stream that cannot take it.
    pub const STREAM_STATE_ERROR: Self = Self(0x05);
    /// A stream's final size changed.
    pub const FINAL_SIZE_ERROR: Self = Self(0x06);
    /// A frame that does not parse.
    pub const FRAME_ENCODING_ERROR: Self = Self(0x07);
    /// Transport parameters that break a rule.
    pub const TRANSPORT_PARAMETER_ERROR: Self = Self(0x08);
    /// More connection ids than allowed.
    pub const CONNECTION_ID_LIMIT_ERROR: Self = Self(0x09);
    /// Any other broken rule.
    pub const PROTOCOL_VIOLATION: Self = Self(0x0a);
    /// A token that the server does not take.
    pub const INVALID_TOKEN: Self = Self(0x0b);
    /// An application's error, told before its keys were there.
    pub const APPLICATION_ERROR: Self = Self(0x0c);
    /// More handshake bytes out of order than there is room for.
    pub const CRYPTO_BUFFER_EXCEEDED: Self = Self(0x0d);
    /// A key update that was not allowed.
    pub const KEY_UPDATE_ERROR: Self = Self(0x0e);
    /// Too many packets under one key.
    pub const AEAD_LIMIT_REACHED: Self = Self(0x0f);
    /// No network path is left.
    pub const NO_VIABLE_PATH: Self = Self(0x10);

    /// TLS failed with `alert` (RFC 9001 §4.8).
    #[must_use]
    pub const fn crypto(alert: u8) -> Self {
        Self(0x0100 | alert as u64)
    }

    /// The TLS alert, when this is one.
    #[must_use]
    pub const fn alert(self) -> Option<u8> {
        if self.0 & !0xff == 0x0100 {
            Some(self.0 as u8)
        } else {
            None
        }
    }
}

impl fmt::Debug for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = match *self {
            Self::NO_ERROR => "NO_ERROR",
            Self::INTERNAL_ERROR => "INTERNAL_ERROR",
            Self::CONNECTION_REFUSED => "CONNECTION_REFUSED",
            Self::FLOW_CONTROL_ERROR => "FLOW_CONTROL_ERROR",
            Self::STREAM_LIMIT_ERROR => "STREAM_LIMIT_ERROR",
            Self::STREAM_STATE_ERROR => "STREAM_STATE_ERROR",
            Self::FINAL_SIZE_ERROR => "FINAL_SIZE_ERROR",
            Self::FRAME_ENCODING_ERROR => "FRAME_ENCODING_ERROR",
            Self::TRANSPORT_PARAMETER_ERROR => "TRANSPORT_PARAMETER_ERROR",
            Self::CONNECTION_ID_LIMIT_ERROR => "CONNECTION_ID_LIMIT_ERROR",
            Self::PROTOCOL_VIOLATION => "PROTOCOL_VIOLATION",
            Self::INVALID_TOKEN => "INVALID_TOKEN",
            Self::APPLICATION_ERROR => "APPLICATION_ERROR",
            Self::CRYPTO_BUFFER_EXCEEDED => "CRYPTO_BUFFER_EXCEEDED",
            Self::KEY_UPDATE_ERROR => "KEY_UPDATE_ERROR",
            Self::AEAD_LIMIT_REACHED => "AEAD_LIMIT_REACHED",
            Self::NO_VIABLE_PATH => "NO_VIABLE_PATH",
            Self(other) => {
                return match self.alert() {
                    Some(alert) => write!(f, "TLS alert {alert}"),
                    None => write!(f, "0x{other:x}"),
                };
            }
        };
        f.write_str(name)
    }
}

/// A rule that was broken: the connection ends with `code`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Error {
    /// What the peer is told.
    pub code: Code,
    /// Which rule; empty without the feature `reasons`.
    pub reason: &'static str,
}

impl Error {
    pub(crate) const fn new(code: Code, reason: &'static str) -> Self {
        Self { code, reason }
    }
}

/// A rule that was broken, as this crate passes it on: every rule is known when it is compiled, and
/// a reference to one is a quarter of an [`Error`].
pub(crate) type Fault = &'static Error;

/// The [`Fault`] of breaking the rule `reason`, which the peer is told by `code`. Both are constants.
macro_rules! fault {
    ($code:expr, $reason:expr $(,)?) => {
        const { &$crate::error::Error::new($code, $crate::error::said($reason)) }
    };
}
pub(crate) use fault;

/// What is left of a reason: nothing without the feature `reasons`, so that no text takes flash.
pub(crate) const fn said(reason: &'static str) -> &'static str {
    if cfg!(any(test, feature = "reasons")) {
        reason
    } else {
        ""
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.code, f)?;
        if self.reason.is_empty() {
            return Ok(());
        }
        write!(f, ": {}", self.reason)
    }
}

impl core::error::Error for Error {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_code_reads_by_its_name_and_an_alert_by_its_number() {
        assert!(std::format!("{}", Code::NO_ERROR) == "NO_ERROR");
        assert!(std::format!("{}", Code::crypto(42)) == "TLS alert 42");
        assert!(std::format!("{}", Code(0x4242)) == "0x4242");
        assert_eq!(Code::crypto(120).alert(), Some(120));
        assert_eq!(Code(0x200).alert(), None);
    }
}
