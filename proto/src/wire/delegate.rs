//! DELEGATE: `target:string, target-did:string, sub-op:varint` (`GAP-7`).

use super::{FrameType, Malformed, Payload, Reader, Writer};

/// Word to the initiator that the operation was handed on. The delegator stays on the path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Delegate<'a> {
    /// Where to: an `aire://` URI.
    pub target: &'a str,
    /// The DID of the node there; empty when unknown.
    pub target_did: &'a str,
    /// The delegator's operation id on the connection downstream; 0 when unknown.
    pub sub_op: u64,
}

impl<'a> Delegate<'a> {
    /// Reads a payload. Bytes that follow are a later version's, and ignored.
    ///
    /// # Errors
    /// [`Malformed::Truncated`], [`Malformed::NotUtf8`].
    pub fn decode(payload: &'a [u8]) -> Result<Self, Malformed> {
        let mut reader = Reader::new(payload);
        Ok(Self {
            target: reader.string()?,
            target_did: reader.string()?,
            sub_op: reader.varint()?,
        })
    }
}

impl Payload for Delegate<'_> {
    const TYPE: FrameType = FrameType::Delegate;
    const SINCE_MINOR: u64 = 3;

    fn write(&self, out: &mut Writer<'_>) {
        out.prefixed(self.target.as_bytes());
        out.prefixed(self.target_did.as_bytes());
        out.varint(self.sub_op);
    }
}
