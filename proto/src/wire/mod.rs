//! Frames as bytes: the envelope, one file per frame type, and the incremental decoder.
//!
//! Every payload file has the same inside: the struct, what it decodes from, what it encodes to,
//! its limits, its tests. Decoding borrows from the input; encoding writes into the caller's
//! slice, and says how much it needs when that is too short.

mod budget;
mod cancel;
mod cursor;
mod decoder;
mod delegate;
mod envelope;
mod error;
mod hello;
mod invoke;
mod resume;
mod signature;

pub use budget::{Budget, Currency};
pub use cancel::{Cancel, MAX_DETAIL_LEN};
pub use cursor::{Reader, Writer};
pub use decoder::{Decoder, Piece};
pub use delegate::Delegate;
pub use envelope::{
    FrameHeader, FrameType, MAX_HEADER_LEN, MAX_SEND_PAYLOAD, MIN_ACCEPTED_PAYLOAD,
};
pub use error::ErrorFrame;
pub(crate) use hello::HelloInner;
pub use hello::{Capabilities, Capability, Hello, MAX_CAPABILITIES};
pub use invoke::{Invoke, InvokeTarget, TargetProgress};
pub use resume::{Resumable, Resume};
pub use signature::{NONCE_LEN, SIGNATURE_LEN, SignatureBlock, domain_separator};

use core::fmt;

/// Why bytes are not the frame that they claim to be. Every variant is `MALFORMED_FRAME` on the
/// wire.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum Malformed {
    /// The payload ends before the field does.
    Truncated,
    /// A string's bytes are not UTF-8 (`WIRE-16`).
    NotUtf8,
    /// A capability's required byte is neither 0 nor 1 (`HS-5`).
    RequiredByte,
    /// A HELLO names more capabilities than [`MAX_CAPABILITIES`].
    TooManyCapabilities,
    /// A HELLO names one capability twice (`CAP-7`).
    DuplicateCapability,
    /// The NodeID is not a DID (`ID-1`).
    NodeIdNotADid,
    /// A BUDGET with no entry at all (`BUD-1`).
    NoBudgetEntry,
    /// A BUDGET with one field twice (`BUD-1`).
    DuplicateBudgetField,
    /// A BUDGET value whose length does not fit its field (`BUD-2`).
    BudgetValueLength,
    /// A currency that is not three ASCII letters (`BUD-2`).
    Currency,
    /// Something that is no signature block follows a CANCEL's detail (`SIG-13`).
    TrailingBytes,
}

impl fmt::Display for Malformed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Truncated => "the payload ends in the middle of a field",
            Self::NotUtf8 => "a string is not UTF-8",
            Self::RequiredByte => "a capability's required byte is neither 0 nor 1",
            Self::TooManyCapabilities => "a HELLO names more than 256 capabilities",
            Self::DuplicateCapability => "a capability is named twice",
            Self::NodeIdNotADid => "the NodeID is not a DID",
            Self::NoBudgetEntry => "a BUDGET has no entry",
            Self::DuplicateBudgetField => "a BUDGET names a field twice",
            Self::BudgetValueLength => "a BUDGET value has the wrong length for its field",
            Self::Currency => "a currency is not three ASCII letters",
            Self::TrailingBytes => "what follows a CANCEL's detail is no signature block",
        })
    }
}

impl core::error::Error for Malformed {}

/// Why a frame could not be encoded. Nothing was written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum EncodeError {
    /// The slice is too short.
    BufferTooSmall {
        /// How many bytes the encoding takes.
        needed: usize,
    },
    /// A number is over 2^62 - 1, which no varint can hold.
    NumberTooLarge,
}

impl fmt::Display for EncodeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::BufferTooSmall { needed } => {
                write!(
                    f,
                    "the buffer is too small: the encoding takes {needed} bytes"
                )
            }
            Self::NumberTooLarge => f.write_str("a number is over 2^62 - 1"),
        }
    }
}

impl core::error::Error for EncodeError {}

/// A frame payload that can be written.
pub trait Payload {
    /// The type of the frame that carries it.
    const TYPE: FrameType;
    /// The first minor version that knows this frame; peers below it are not sent it (`GAP-13`).
    const SINCE_MINOR: u64;

    /// Writes the fields. The writer counts, whether or not the bytes fit.
    fn write(&self, out: &mut Writer<'_>);

    /// How many payload bytes [`encode`](Self::encode) writes.
    ///
    /// # Errors
    /// [`EncodeError::NumberTooLarge`] when a field has no encoding.
    fn encoded_len(&self) -> Result<usize, EncodeError> {
        let mut out = Writer::new(&mut []);
        self.write(&mut out);
        match out.finish() {
            Ok(len) => Ok(len),
            Err(EncodeError::BufferTooSmall { needed }) => Ok(needed),
            Err(error) => Err(error),
        }
    }

    /// Writes the payload to the front of `out`; returns its length in bytes.
    ///
    /// # Errors
    /// [`EncodeError::BufferTooSmall`] with the length that it takes;
    /// [`EncodeError::NumberTooLarge`] when a field has no encoding.
    fn encode(&self, out: &mut [u8]) -> Result<usize, EncodeError> {
        let mut out = Writer::new(out);
        self.write(&mut out);
        out.finish()
    }

    /// Writes envelope and payload to the front of `out`; returns their length in bytes.
    /// `op_id` is 0 on the control stream (`WIRE-3`).
    ///
    /// # Errors
    /// As [`encode`](Self::encode).
    fn encode_frame(&self, op_id: u64, out: &mut [u8]) -> Result<usize, EncodeError> {
        let payload_len = self.encoded_len()?;
        let header = FrameHeader {
            frame_type: Self::TYPE,
            flags: 0,
            op_id,
            payload_len: payload_len as u64,
        };
        let mut out = Writer::new(out);
        header.write(&mut out);
        self.write(&mut out);
        out.finish()
    }
}

/// GOODBYE: the sender opens no further operation; live ones finish (`GAP-8`). Its payload is
/// empty, and ignored when it is not.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Goodbye;

impl Payload for Goodbye {
    const TYPE: FrameType = FrameType::Goodbye;
    const SINCE_MINOR: u64 = 0;

    fn write(&self, _out: &mut Writer<'_>) {}
}
