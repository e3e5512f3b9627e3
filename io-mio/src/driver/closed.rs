//! Why a connection is over, in words for people.

use std::fmt;

use aire_proto::connection::CloseReason;
use boring::ssl::SslRef;
use boring::x509::X509VerifyError;

use super::sent::Quic;

/// Why a connection is over.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Closed {
    /// The protocol's reason.
    Protocol(CloseReason),
    /// The TLS or QUIC handshake failed; in words.
    Handshake(String),
    /// QUIC gave up on a connection that was up; in words.
    Transport(String),
    /// Nobody answered in time.
    NoAnswer,
}

impl fmt::Display for Closed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Protocol(reason) => reason.fmt(f),
            Self::Handshake(reason) => write!(f, "the QUIC handshake failed: {reason}"),
            Self::Transport(reason) => write!(f, "QUIC closed the connection: {reason}"),
            Self::NoAnswer => f.write_str("nobody answers there"),
        }
    }
}

impl std::error::Error for Closed {}

impl Closed {
    pub(super) fn of(reason: CloseReason, quic: &mut Quic) -> Self {
        if reason != CloseReason::Lost {
            return Self::Protocol(reason);
        }
        match in_words(quic) {
            // A peer that refuses our certificate, say, does so after our side is established.
            Some((words, true)) => Self::Handshake(words),
            Some((words, false)) => Self::Transport(words),
            None => Self::Protocol(reason),
        }
    }

    pub(super) fn before_hello(quic: &mut Quic) -> Self {
        in_words(quic).map_or(Self::NoAnswer, |(words, _)| Self::Handshake(words))
    }
}

/// What QUIC or TLS complains of, and whether it is TLS; `None` when nobody complains.
fn in_words(quic: &mut Quic) -> Option<(String, bool)> {
    let complains = |error: &&quiche::ConnectionError| !error.is_app && error.error_code != 0;
    if let Some(error) = quic.peer_error().filter(complains) {
        let code = error.error_code;
        let words = match alert(code) {
            Some(alert) if is_about_certificate(alert) => {
                format!("the peer does not trust our certificate ({})", name(alert))
            }
            Some(alert) => format!("the peer refuses: {}", name(alert)),
            None => format!("the peer says: {}", transport(code)),
        };
        return Some((words, alert(code).is_some()));
    }
    let code = quic.local_error().filter(complains)?.error_code;
    let words = match alert(code) {
        Some(alert) if is_about_certificate(alert) => {
            format!("the server is not trusted: {}", verdict(quic))
        }
        Some(alert) => format!("what the peer says is refused: {}", name(alert)),
        None => transport(code),
    };
    Some((words, alert(code).is_some()))
}

/// What is wrong with the peer's certificate.
fn verdict(quic: &mut Quic) -> &'static str {
    let tls: &mut SslRef = quic.as_mut();
    match tls.verify_result() {
        // The only verification of ours (see `tls`).
        Err(X509VerifyError::APPLICATION_VERIFICATION) => "its key is not the pinned one",
        Err(reason) => reason.error_string(),
        Ok(()) => "its certificate is bad",
    }
}

/// The TLS alert in a transport error code (RFC 9001 §4.8).
fn alert(code: u64) -> Option<u8> {
    code.checked_sub(0x100)?.try_into().ok()
}

/// `bad_certificate` to `certificate_unknown`, `unknown_ca`, and `decrypt_error`, which says that a
/// signature is wrong.
const fn is_about_certificate(alert: u8) -> bool {
    matches!(alert, 42..=46 | 48 | 51)
}

/// What an alert says (RFC 8446 §6.2).
fn name(alert: u8) -> String {
    let name = match alert {
        40 => "there are no common TLS parameters",
        42 => "the certificate is bad",
        44 => "the certificate was revoked",
        45 => "the certificate has expired",
        46 => "the certificate is not acceptable",
        48 => "the certificate's issuer is not known",
        51 => "a signature is wrong",
        70 => "another version of TLS is needed",
        109 => "a TLS extension is missing",
        116 => "a client certificate is needed",
        120 => "the other side speaks another protocol than AIRE",
        _ => return format!("TLS alert {alert}"),
    };
    name.into()
}

/// What a transport error code says (RFC 9000 §20.1).
fn transport(code: u64) -> String {
    let name = match code {
        0x1 => "internal error",
        0x2 => "the connection is refused",
        0x3 => "flow control was ignored",
        0x4 => "too many streams were opened",
        0x5 => "a stream was in another state",
        0x6 => "a stream's length changed",
        0x7 => "a QUIC frame was malformed",
        0x8 => "a transport parameter was bad",
        0xa => "QUIC's rules were broken",
        0xc => "the connection was given up before it was up",
        _ => return format!("transport error {code:#x}"),
    };
    format!("{name} (transport error {code:#x})")
}
