//! TLS's numbers (RFC 8446 §4, §6 and appendix B; RFC 9001 §8.2), and the errors that many messages
//! share.

use crate::config::{Group, Suite};
use crate::error::{Code, Fault, fault};

/// Alerts: what a peer is told when a handshake fails.
pub(super) mod alert {
    pub(in crate::tls) const UNEXPECTED_MESSAGE: u8 = 10;
    pub(in crate::tls) const ILLEGAL_PARAMETER: u8 = 47;
    pub(in crate::tls) const DECODE_ERROR: u8 = 50;
    pub(in crate::tls) const DECRYPT_ERROR: u8 = 51;
    pub(in crate::tls) const PROTOCOL_VERSION: u8 = 70;
    pub(in crate::tls) const MISSING_EXTENSION: u8 = 109;
    pub(in crate::tls) const UNSUPPORTED_EXTENSION: u8 = 110;
    pub(in crate::tls) const NO_APPLICATION_PROTOCOL: u8 = 120;
}

/// Types of handshake messages.
pub(super) mod message {
    pub(in crate::tls) const CLIENT_HELLO: u8 = 1;
    pub(in crate::tls) const SERVER_HELLO: u8 = 2;
    pub(in crate::tls) const NEW_SESSION_TICKET: u8 = 4;
    pub(in crate::tls) const ENCRYPTED_EXTENSIONS: u8 = 8;
    pub(in crate::tls) const CERTIFICATE: u8 = 11;
    pub(in crate::tls) const CERTIFICATE_REQUEST: u8 = 13;
    pub(in crate::tls) const CERTIFICATE_VERIFY: u8 = 15;
    pub(in crate::tls) const FINISHED: u8 = 20;
    pub(in crate::tls) const MESSAGE_HASH: u8 = 254;
}

/// Types of extensions.
pub(super) mod extension {
    pub(in crate::tls) const SERVER_NAME: u16 = 0;
    pub(in crate::tls) const SUPPORTED_GROUPS: u16 = 10;
    pub(in crate::tls) const SIGNATURE_ALGORITHMS: u16 = 13;
    pub(in crate::tls) const ALPN: u16 = 16;
    pub(in crate::tls) const PRE_SHARED_KEY: u16 = 41;
    pub(in crate::tls) const EARLY_DATA: u16 = 42;
    pub(in crate::tls) const SUPPORTED_VERSIONS: u16 = 43;
    pub(in crate::tls) const COOKIE: u16 = 44;
    pub(in crate::tls) const PSK_KEY_EXCHANGE_MODES: u16 = 45;
    pub(in crate::tls) const KEY_SHARE: u16 = 51;
    pub(in crate::tls) const QUIC_TRANSPORT_PARAMETERS: u16 = 57;
}

/// The version that every hello says it is, for middleboxes' sake.
pub(super) const LEGACY_VERSION: u16 = 0x0303;
/// The version that is meant.
pub(super) const TLS_1_3: u16 = 0x0304;
/// psk_dhe_ke: a pre-shared key, and a key exchange as well.
pub(super) const PSK_DHE_KE: u8 = 1;

/// The signature schemes that a server may prove itself by, best first.
pub(super) const SCHEMES: &[u16] = &[
    // ed25519
    0x0807,
    // ecdsa_secp256r1_sha256
    #[cfg(feature = "p256")]
    0x0403,
    // rsa_pss_rsae_sha256
    #[cfg(feature = "rsa")]
    0x0804,
];

pub(super) const fn suite(suite: Suite) -> u16 {
    match suite {
        Suite::Aes128Gcm => 0x1301,
        #[cfg(feature = "chacha20")]
        Suite::ChaCha20Poly1305 => 0x1303,
    }
}

pub(super) const fn group(group: Group) -> u16 {
    match group {
        Group::X25519 => 0x001d,
        #[cfg(feature = "p256")]
        Group::P256 => 0x0017,
    }
}

/// A message that ends too early, or not where it should.
pub(super) const fn malformed() -> Fault {
    fault!(
        Code::crypto(alert::DECODE_ERROR),
        "TLS message does not parse"
    )
}

/// A value that the rules do not allow.
pub(super) const ILLEGAL: Code = Code::crypto(alert::ILLEGAL_PARAMETER);

/// A message that is not due.
pub(super) const fn unexpected() -> Fault {
    fault!(
        Code::crypto(alert::UNEXPECTED_MESSAGE),
        "TLS message out of order"
    )
}

/// What is to be sent does not fit, or cannot be said.
pub(super) const fn no_room() -> Fault {
    fault!(Code::INTERNAL_ERROR, "handshake message cannot be written")
}
