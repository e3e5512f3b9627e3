//! ERROR: `code:varint, detail:string, data:rest` (`GAP-5`).

use super::{FrameType, Malformed, Payload, Reader, Writer};
use crate::code::ErrorCode;

/// A failure: of the operation that the frame names, or of the connection with OpID 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct ErrorFrame<'a> {
    /// What happened.
    pub code: ErrorCode,
    /// What happened, in words; may be empty.
    pub detail: &'a str,
    /// Opaque bytes for the application, an accounting object for one (`BUD-11`).
    pub data: &'a [u8],
}

impl<'a> ErrorFrame<'a> {
    /// Reads a payload.
    ///
    /// # Errors
    /// [`Malformed::Truncated`], [`Malformed::NotUtf8`].
    pub fn decode(payload: &'a [u8]) -> Result<Self, Malformed> {
        let mut reader = Reader::new(payload);
        Ok(Self {
            code: ErrorCode::from_wire(reader.varint()?),
            detail: reader.string()?,
            data: reader.rest(),
        })
    }
}

impl Payload for ErrorFrame<'_> {
    const TYPE: FrameType = FrameType::Error;
    const SINCE_MINOR: u64 = 0;

    fn write(&self, out: &mut Writer<'_>) {
        out.varint(self.code.to_wire());
        out.prefixed(self.detail.as_bytes());
        out.bytes(self.data);
    }
}
