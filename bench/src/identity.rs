//! A HELLO's signature, to be made and checked.

use std::hint::black_box;

use aire_proto::identity::{
    DidKeyResolver, Ed25519Signer, Ed25519Verifier, KeyResolver, PublicKey, Resolution,
    SignatureVerifier, SignedMessage, Signer,
};
use aire_proto::wire::SIGNATURE_LEN;

use crate::control::signed_bytes;

/// How many bytes of a signed message are the domain separator.
const SEPARATOR_LEN: usize = 13;

/// A signer, as many bytes as the sample HELLO has under its signature, and a signature over them.
pub struct Signed {
    signer: Ed25519Signer,
    key: PublicKey,
    bytes: Vec<u8>,
    signature: [u8; SIGNATURE_LEN],
}

impl Signed {
    /// Signs once.
    #[must_use]
    pub fn hello() -> Self {
        let signer = Ed25519Signer::from_seed([7; 32]);
        let bytes = signed_bytes();
        Self {
            key: signer.public_key(),
            signature: signer.sign(&bytes),
            signer,
            bytes,
        }
    }

    /// Signs again.
    #[must_use]
    pub fn sign(&self) -> [u8; SIGNATURE_LEN] {
        self.signer.sign(black_box(&self.bytes))
    }

    /// Whether the signature is good.
    #[must_use]
    pub fn verify(&self) -> bool {
        let (separator, covered) = black_box(self.bytes.as_slice()).split_at(SEPARATOR_LEN);
        let message = SignedMessage { separator, covered };
        Ed25519Verifier.verify(black_box(&self.key), message, black_box(&self.signature))
    }

    /// The key that the signer's verification method names.
    #[must_use]
    pub fn resolve(&self) -> Resolution {
        DidKeyResolver.resolve(black_box(self.signer.method()))
    }
}
