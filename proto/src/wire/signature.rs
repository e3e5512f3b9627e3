//! The signature block that follows a signed frame's inner payload (`SIG-4`), and the bytes that
//! it signs (`SIG-5`).

use super::{FrameType, Malformed, Reader, Writer};
use crate::time::UnixMillis;

/// Bytes in a nonce.
pub const NONCE_LEN: usize = 16;

/// Bytes in an Ed25519 signature.
pub const SIGNATURE_LEN: usize = 64;

/// `"AIRE-SIG-v1"`, a NUL, and the frame's type: 13 bytes (`GAP-20`). A signature over one type
/// of frame is worth nothing on another.
#[must_use]
pub const fn domain_separator(frame_type: FrameType) -> [u8; 13] {
    let [a, b, c, d, e, f, g, h, i, j, k, l] = *b"AIRE-SIG-v1\0";
    [a, b, c, d, e, f, g, h, i, j, k, l, frame_type.to_wire()]
}

/// A signature block as it stands on the wire: nothing is judged yet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct SignatureBlock<'a> {
    /// The algorithm; 0x01 is Ed25519, the only one (`SIG-1`).
    pub algorithm: u8,
    /// The verification method: a DID, `#`, and a fragment.
    pub method: &'a str,
    /// Fresh random bytes (`SIG-6`).
    pub nonce: &'a [u8; NONCE_LEN],
    /// When it was signed, by the signer's clock.
    pub timestamp: UnixMillis,
    /// The signature, of whatever length the peer claims.
    pub signature: &'a [u8],
}

impl<'a> SignatureBlock<'a> {
    /// Ed25519's number (`SIG-1`).
    pub const ED25519: u8 = 0x01;

    /// Reads a payload that is a block alone. Bytes that follow it are a later version's, and
    /// ignored.
    ///
    /// # Errors
    /// [`Malformed::Truncated`], [`Malformed::NotUtf8`].
    pub fn decode(payload: &'a [u8]) -> Result<(Self, usize), Malformed> {
        Self::read(payload, &mut Reader::new(payload))
    }

    /// Reads a block. `payload` is the whole payload that `reader` reads from. Returns the block
    /// and how many bytes of `payload` the signature covers: inner payload, then AlgID to
    /// Timestamp.
    pub(super) fn read(
        payload: &'a [u8],
        reader: &mut Reader<'a>,
    ) -> Result<(Self, usize), Malformed> {
        let algorithm = reader.u8()?;
        let method = reader.string()?;
        let nonce = reader.array()?;
        let timestamp = UnixMillis(reader.i64()?);
        let covered = payload.len().saturating_sub(reader.rest().len());
        let signature = reader.prefixed()?;
        let block = Self {
            algorithm,
            method,
            nonce,
            timestamp,
            signature,
        };
        Ok((block, covered))
    }

    /// The DID that the verification method belongs to: all before the first `#`.
    #[must_use]
    pub fn did(&self) -> &'a str {
        match self.method.split_once('#') {
            Some((did, _)) => did,
            None => self.method,
        }
    }

    /// Writes AlgID to Timestamp: the part that is signed.
    pub(crate) fn write_signed_part(
        method: &str,
        nonce: &[u8; NONCE_LEN],
        timestamp: UnixMillis,
        out: &mut Writer<'_>,
    ) {
        out.u8(Self::ED25519);
        out.prefixed(method.as_bytes());
        out.bytes(nonce);
        out.bytes(&timestamp.0.to_be_bytes());
    }
}
