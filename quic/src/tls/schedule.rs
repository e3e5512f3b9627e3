//! The key schedule (RFC 8446 §7.1), and the hash over all messages that it is fed with (§4.4.1).
//! Both suites use SHA-256, so there is one hash only.

use sha2::{Digest, Sha256};

use super::codes::message;
use crate::crypto::{Secret, hkdf};

pub(super) type Hash = [u8; 32];

/// SHA-256 of nothing.
const EMPTY: Hash = [
    0xe3, 0xb0, 0xc4, 0x42, 0x98, 0xfc, 0x1c, 0x14, 0x9a, 0xfb, 0xf4, 0xc8, 0x99, 0x6f, 0xb9, 0x24,
    0x27, 0xae, 0x41, 0xe4, 0x64, 0x9b, 0x93, 0x4c, 0xa4, 0x95, 0x99, 0x1b, 0x78, 0x52, 0xb8, 0x55,
];

/// The longest exporter label: with TLS's prefix its length is one byte.
const LABEL_MAX: usize = 249;

/// All handshake messages so far, hashed.
#[derive(Clone)]
pub(super) struct Transcript(Sha256);

impl Transcript {
    pub(super) fn new() -> Self {
        Self(Sha256::new())
    }

    pub(super) fn add(&mut self, message: &[u8]) {
        self.0.update(message);
    }

    pub(super) fn hash(&self) -> Hash {
        self.hash_with(&[])
    }

    /// As if `more` had been added, which it is not.
    pub(super) fn hash_with(&self, more: &[u8]) -> Hash {
        let mut hash = self.0.clone();
        hash.update(more);
        hash.finalize().into()
    }

    /// Puts a hash in the first ClientHello's place, as HelloRetryRequest wants it.
    pub(super) fn fold(&mut self) {
        let hello = self.hash();
        self.0.reset();
        self.0.update([message::MESSAGE_HASH, 0, 0, 32]);
        self.0.update(hello);
    }
}

/// Early Secret. Without a pre-shared key, `psk` is zeros.
pub(super) fn early(psk: &Secret) -> Secret {
    hkdf::extract(Secret::ZERO.bytes(), psk.bytes())
}

/// Handshake Secret.
pub(super) fn handshake(early: &Secret, shared: &Secret) -> Secret {
    hkdf::extract(
        hkdf::derive(early, b"derived", &EMPTY).bytes(),
        shared.bytes(),
    )
}

/// Master Secret.
pub(super) fn master(handshake: &Secret) -> Secret {
    hkdf::extract(
        hkdf::derive(handshake, b"derived", &EMPTY).bytes(),
        Secret::ZERO.bytes(),
    )
}

/// The content of the Finished message of whose traffic secret `base` is (§4.4.4).
pub(super) fn finished(base: &Secret, transcript: &Hash) -> Hash {
    hkdf::hmac(hkdf::derive(base, b"finished", &[]).bytes(), transcript)
}

/// The proof that the client knows `psk`, which was a ticket's (§4.2.11.2).
pub(super) fn binder(psk: &Secret, transcript: &Hash) -> Hash {
    finished(
        &hkdf::derive(&early(psk), b"res binder", &EMPTY),
        transcript,
    )
}

/// The pre-shared key of a ticket (§4.6.1). `nonce` came behind a length of one byte.
pub(super) fn ticket_psk(resumption: &Secret, nonce: &[u8]) -> Secret {
    hkdf::derive(resumption, b"resumption", nonce)
}

/// Keying material for an application (§7.5). `false` when `label` has over 249 bytes or `out` over
/// 8160.
pub(super) fn export(exporter: &Secret, label: &[u8], context: &[u8], out: &mut [u8]) -> bool {
    if label.len() > LABEL_MAX {
        return false;
    }
    let secret = hkdf::derive(exporter, label, &EMPTY);
    let context: Hash = Sha256::digest(context).into();
    hkdf::expand_label(&secret, b"exporter", &context, out)
}
