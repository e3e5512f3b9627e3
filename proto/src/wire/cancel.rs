//! CANCEL: `Reason:varint, DetailLen:varint, Detail:UTF-8` (`CAN-2`), and a signature block when
//! it is signed (`SIG-13`).

use super::{FrameType, Malformed, Payload, Reader, SignatureBlock, Writer};
use crate::code::CancelReason;

/// The longest detail that a sender should send, in bytes (`CAN-3`).
pub const MAX_DETAIL_LEN: usize = 1024;

/// A wish to end an operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Cancel<'a> {
    /// Why.
    pub reason: CancelReason,
    /// Why, in words; may be empty.
    pub detail: &'a str,
}

impl<'a> Cancel<'a> {
    /// Reads a payload. An empty one is reason 0 with no detail.
    ///
    /// # Errors
    /// [`Malformed::Truncated`], [`Malformed::NotUtf8`], [`Malformed::TrailingBytes`].
    pub fn decode(payload: &'a [u8]) -> Result<Self, Malformed> {
        Self::decode_signed(payload).map(|(cancel, _)| cancel)
    }

    /// Reads a payload and the signature block behind it, where there is one, with the number of
    /// payload bytes that it covers.
    ///
    /// # Errors
    /// As [`decode`](Self::decode).
    pub fn decode_signed(
        payload: &'a [u8],
    ) -> Result<(Self, Option<(SignatureBlock<'a>, usize)>), Malformed> {
        let mut reader = Reader::new(payload);
        if reader.is_empty() {
            let cancel = Self {
                reason: CancelReason::UserCancelled,
                detail: "",
            };
            return Ok((cancel, None));
        }
        let cancel = Self {
            reason: CancelReason::from_wire(reader.varint()?),
            detail: reader.string()?,
        };
        if reader.is_empty() {
            return Ok((cancel, None));
        }
        let block =
            SignatureBlock::read(payload, &mut reader).map_err(|_| Malformed::TrailingBytes)?;
        Ok((cancel, Some(block)))
    }
}

impl Payload for Cancel<'_> {
    const TYPE: FrameType = FrameType::Cancel;
    const SINCE_MINOR: u64 = 3;

    fn write(&self, out: &mut Writer<'_>) {
        out.varint(self.reason.to_wire());
        out.prefixed(self.detail.as_bytes());
    }
}
