//! Who a peer is: DIDs, keys, signatures, and protection against replays.

mod did;
mod key;
mod replay;
mod seam;

#[cfg(feature = "ed25519")]
mod ed25519;

pub use did::{Did, DidError, MAX_DID_LEN};
pub use key::{DID_KEY_LEN, DidKey, METHOD_LEN, PublicKey};
#[cfg(feature = "alloc")]
pub use replay::GrowingReplayGuard;
pub use replay::{FixedReplayGuard, ReplayGuard, ReplayRefused};
pub use seam::{DidKeyResolver, KeyResolver, Resolution, SignatureVerifier, SignedMessage, Signer};

#[cfg(feature = "ed25519")]
pub use ed25519::{Ed25519Signer, Ed25519Verifier};
