//! The default signer and verifier, over `ed25519-compact`: no_std, no allocation, 32 KiB of
//! flash.

use core::fmt;

use ed25519_compact::{KeyPair, Seed, Signature};

use super::{DidKey, MAX_DID_LEN, PublicKey, SignatureVerifier, SignedMessage, Signer};
use crate::wire::SIGNATURE_LEN;

/// A node's Ed25519 key, and its DID.
#[derive(Clone)]
pub struct Ed25519Signer {
    pair: KeyPair,
    did: heapless::String<MAX_DID_LEN>,
    method: heapless::String<MAX_METHOD_LEN>,
}

/// The longest verification method id, in bytes.
const MAX_METHOD_LEN: usize = 320;

impl Ed25519Signer {
    /// A signer whose DID is the key's own `did:key`. `seed` is the secret: 32 bytes from a
    /// cryptographic random source.
    ///
    /// # Panics
    /// When `seed` is all zeros: no random source gave that.
    #[must_use]
    pub fn from_seed(seed: [u8; 32]) -> Self {
        let pair = KeyPair::from_seed(Seed::new(seed));
        let did_key = DidKey::new(&PublicKey(*pair.pk));
        let mut did = heapless::String::new();
        let mut method = heapless::String::new();
        let fits = did.push_str(did_key.did()).is_ok() && method.push_str(did_key.method()).is_ok();
        debug_assert!(fits);
        Self { pair, did, method }
    }

    /// The same key, speaking for another DID, whose document names it as `method`: `did:web`,
    /// say. `None` when `method` is not `did`, `#` and a fragment, or is over 320 bytes.
    #[must_use]
    pub fn with_method(mut self, method: &str) -> Option<Self> {
        let (did, fragment) = method.split_once('#')?;
        super::Did::parse(did).ok()?;
        if fragment.is_empty() {
            return None;
        }
        self.did = did.try_into().ok()?;
        self.method = method.try_into().ok()?;
        Some(self)
    }

    /// The public key.
    #[must_use]
    pub fn public_key(&self) -> PublicKey {
        PublicKey(*self.pair.pk)
    }
}

impl fmt::Debug for Ed25519Signer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The secret stays out of logs.
        write!(f, "Ed25519Signer({})", self.did)
    }
}

impl Signer for Ed25519Signer {
    fn did(&self) -> &str {
        &self.did
    }

    fn method(&self) -> &str {
        &self.method
    }

    fn sign(&self, message: &[u8]) -> [u8; SIGNATURE_LEN] {
        *self.pair.sk.sign(message, None)
    }
}

/// Verifies with `ed25519-compact`.
#[derive(Clone, Copy, Debug, Default)]
pub struct Ed25519Verifier;

impl SignatureVerifier for Ed25519Verifier {
    fn verify(
        &self,
        key: &PublicKey,
        message: SignedMessage<'_>,
        signature: &[u8; SIGNATURE_LEN],
    ) -> bool {
        let key = ed25519_compact::PublicKey::new(key.0);
        let Ok(mut state) = key.verify_incremental(&Signature::new(*signature)) else {
            return false;
        };
        state.absorb(message.separator);
        state.absorb(message.covered);
        state.verify().is_ok()
    }
}
