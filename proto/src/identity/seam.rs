//! The seams of identity: who signs, who verifies, and who knows a DID's key.

use super::PublicKey;
use crate::wire::SIGNATURE_LEN;

/// The bytes that a signature is over (`SIG-5`): one slice to a signer, which may need two passes;
/// two slices to a verifier, so that nothing is copied to join them.
#[derive(Clone, Copy, Debug)]
pub struct SignedMessage<'a> {
    /// The domain separator, 13 bytes.
    pub separator: &'a [u8],
    /// The inner payload and the block up to the timestamp, exactly as sent.
    pub covered: &'a [u8],
}

/// An identity that can sign.
pub trait Signer {
    /// The DID that it signs for.
    fn did(&self) -> &str;

    /// The verification method id: the DID, `#`, and a fragment.
    fn method(&self) -> &str;

    /// The Ed25519 signature (RFC 8032) over `message`.
    fn sign(&self, message: &[u8]) -> [u8; SIGNATURE_LEN];
}

/// Checks Ed25519 signatures. The default is small; a server may bring a faster one.
pub trait SignatureVerifier {
    /// Whether `signature` over `message` was made with `key`'s secret.
    fn verify(
        &self,
        key: &PublicKey,
        message: SignedMessage<'_>,
        signature: &[u8; SIGNATURE_LEN],
    ) -> bool;
}

/// What a resolver knows about a verification method.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Resolution {
    /// The key.
    Key(PublicKey),
    /// It must be fetched: the answer comes later, as a call.
    Fetch,
    /// There is none: `UNRESOLVABLE_DID` (`SIG-2`).
    Failed,
}

/// Knows the keys of DIDs (`SIG-2`). Answers at once; what must be fetched, it says so.
pub trait KeyResolver {
    /// The key that the verification method id `method` names.
    fn resolve(&self, method: &str) -> Resolution;
}

/// Resolves `did:key`, and nothing else: for nodes that talk to `did:key` peers only.
#[derive(Clone, Copy, Debug, Default)]
pub struct DidKeyResolver;

impl KeyResolver for DidKeyResolver {
    fn resolve(&self, method: &str) -> Resolution {
        PublicKey::from_did_key_method(method).map_or(Resolution::Failed, Resolution::Key)
    }
}
