//! What a signature is worth, as far as the bytes alone can tell.

use std::fmt;

use aire_proto::identity::{Ed25519Verifier, PublicKey, SignatureVerifier as _, SignedMessage};
use aire_proto::wire::{FrameType, SIGNATURE_LEN, SignatureBlock, domain_separator};
use serde::Serialize;

/// What a signature is worth.
#[derive(Debug, PartialEq, Eq, Serialize)]
pub(super) struct Verdict {
    pub(super) verified: Verified,
    pub(super) words: String,
}

/// Whether a signature is good.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Verified {
    Good,
    Bad,
    /// The bytes do not suffice to tell.
    Unknown,
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.words)
    }
}

impl Verdict {
    fn new(verified: Verified, words: impl Into<String>) -> Self {
        let words = words.into();
        Self { verified, words }
    }

    /// Of a block over the first `covered` bytes of a payload. `did` is who the frame says sent it.
    pub(super) fn of(
        kind: FrameType,
        payload: &[u8],
        block: &SignatureBlock<'_>,
        covered: usize,
        did: Option<&str>,
    ) -> Self {
        if block.algorithm != SignatureBlock::ED25519 {
            return Self::new(
                Verified::Bad,
                "the signature's algorithm is unknown (SIG-1)",
            );
        }
        if did.is_some_and(|did| did != block.did()) {
            let words = "the verification method belongs to another DID than the NodeID (SIG-8)";
            return Self::new(Verified::Bad, words);
        }
        let Some(key) = PublicKey::from_did_key_method(block.method) else {
            return Self::new(
                Verified::Unknown,
                match block.did().starts_with("did:key:") {
                    true => "the verification method holds no key that could verify (SIG-3)",
                    false => "not verified: the key is in a DID document, see `aire resolve`",
                },
            );
        };
        let Ok(signature) = <&[u8; SIGNATURE_LEN]>::try_from(block.signature) else {
            return Self::new(Verified::Bad, "the signature is not 64 bytes long");
        };
        let message = SignedMessage {
            separator: &domain_separator(kind),
            covered: payload.get(..covered).unwrap_or_default(),
        };
        match Ed25519Verifier.verify(&key, message, signature) {
            true => Self::new(
                Verified::Good,
                "the signature is good; whether it is fresh, and no replay, only a node can tell",
            ),
            false => Self::new(Verified::Bad, "the signature is wrong: BAD_SIGNATURE"),
        }
    }

    /// Of a channel binding, which signs what no frame holds.
    pub(super) fn binding(block: &SignatureBlock<'_>) -> Self {
        match block.algorithm {
            SignatureBlock::ED25519 => Self::new(
                Verified::Unknown,
                "not verified: it signs a secret of the TLS session (GAP-21)",
            ),
            _ => Self::new(
                Verified::Bad,
                "the signature's algorithm is unknown (SIG-1)",
            ),
        }
    }
}
