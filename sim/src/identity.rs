//! Identities that cost nothing: a checksum with a key in it stands in for Ed25519. Nobody in here
//! forges, and the real signatures are tested where they are made.

use aire_proto::identity::{DidKey, PublicKey, SignatureVerifier, SignedMessage, Signer};

use crate::rng::mix;

/// A node's identity.
#[derive(Clone, Debug)]
pub(crate) struct ToySigner {
    key: PublicKey,
    did: DidKey,
}

impl ToySigner {
    /// The identity of node `node`.
    #[must_use]
    pub(crate) fn new(node: usize) -> Self {
        let mut key = [0x41; 32];
        key[..8].copy_from_slice(&mix(node as u64, 0x1d).to_le_bytes());
        let key = PublicKey(key);
        Self {
            key,
            did: DidKey::new(&key),
        }
    }

    /// The public key.
    #[must_use]
    pub(crate) const fn key(&self) -> PublicKey {
        self.key
    }
}

fn seal(key: &PublicKey, parts: [&[u8]; 2]) -> [u8; 64] {
    let mut state = 0;
    for byte in key.0.iter().chain(parts[0]).chain(parts[1]) {
        state = (state ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3);
    }
    let mut signature = [0; 64];
    for (index, chunk) in signature.chunks_mut(8).enumerate() {
        chunk.copy_from_slice(&mix(state, index as u64).to_le_bytes());
    }
    signature
}

impl Signer for ToySigner {
    fn did(&self) -> &str {
        self.did.did()
    }

    fn method(&self) -> &str {
        self.did.method()
    }

    fn sign(&self, message: &[u8]) -> [u8; 64] {
        seal(&self.key, [message, &[]])
    }
}

/// Checks what a [`ToySigner`] signed.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ToyVerifier;

impl SignatureVerifier for ToyVerifier {
    fn verify(&self, key: &PublicKey, message: SignedMessage<'_>, signature: &[u8; 64]) -> bool {
        seal(key, [message.separator, message.covered]) == *signature
    }
}
