//! RESUMABLE (`RES-2`) and RESUME (`RES-3`).

use super::{FrameType, Malformed, Payload, Reader, Writer};

/// The responder's word that the operation can be resumed. The latest one counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Resumable<'a> {
    /// For how many seconds from now.
    pub ttl_secs: u64,
    /// The token to resume with, opaque to the initiator.
    pub token: &'a [u8],
    /// How many STREAM frames the responder had sent by then.
    pub last_seq: u64,
}

impl<'a> Resumable<'a> {
    /// Reads a payload. Bytes that follow are a later version's, and ignored.
    ///
    /// # Errors
    /// [`Malformed::Truncated`].
    pub fn decode(payload: &'a [u8]) -> Result<Self, Malformed> {
        let mut reader = Reader::new(payload);
        Ok(Self {
            ttl_secs: reader.varint()?,
            token: reader.prefixed()?,
            last_seq: reader.varint()?,
        })
    }
}

impl Payload for Resumable<'_> {
    const TYPE: FrameType = FrameType::Resumable;
    const SINCE_MINOR: u64 = 4;

    fn write(&self, out: &mut Writer<'_>) {
        out.varint(self.ttl_secs);
        out.prefixed(self.token);
        out.varint(self.last_seq);
    }
}

/// The initiator's wish to go on with an operation, first on a new stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Resume<'a> {
    /// The token of the last RESUMABLE.
    pub token: &'a [u8],
    /// How many STREAM frames the initiator has received.
    pub last_recv: u64,
}

impl<'a> Resume<'a> {
    /// Reads a payload. Bytes that follow are a later version's, and ignored.
    ///
    /// # Errors
    /// [`Malformed::Truncated`].
    pub fn decode(payload: &'a [u8]) -> Result<Self, Malformed> {
        let mut reader = Reader::new(payload);
        Ok(Self {
            token: reader.prefixed()?,
            last_recv: reader.varint()?,
        })
    }
}

impl Payload for Resume<'_> {
    const TYPE: FrameType = FrameType::Resume;
    const SINCE_MINOR: u64 = 4;

    fn write(&self, out: &mut Writer<'_>) {
        out.prefixed(self.token);
        out.varint(self.last_recv);
    }
}
