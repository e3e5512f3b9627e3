//! The envelope of every frame: `Type:u8, Flags:u8, OpID:varint, PayloadLen:varint` (`WIRE-1`).

use super::{EncodeError, Writer};
use crate::varint;

/// The most bytes that an envelope takes: type, flags and two varints of eight bytes.
pub const MAX_HEADER_LEN: usize = 18;

/// Every receiver accepts payloads up to this many bytes (`WIRE-12`).
pub const MIN_ACCEPTED_PAYLOAD: u64 = 65_536;

/// Senders stay at or under this many payload bytes (`WIRE-13`).
pub const MAX_SEND_PAYLOAD: u64 = 1_048_576;

/// What a frame is for (§3).
///
/// The variants stand in the order of their wire bytes, so that the compiler's numbers for them
/// are those bytes, and going from one to the other takes no table.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum FrameType {
    /// 0x00, and 0x0C to 0x7F: left to later versions (`TYPE-2`).
    Reserved(u8),
    /// 0x01: who a node is and what it can do; first on the control stream.
    Hello,
    /// 0x02: reserved by the specification, always a violation (`TYPE-1`).
    CapabilityUpdate,
    /// 0x03: begins an operation.
    Invoke,
    /// 0x04: a piece of the answer, or of further input.
    Stream,
    /// 0x05: asks for the end of an operation.
    Cancel,
    /// 0x06: what an operation may still spend.
    Budget,
    /// 0x07: says where an operation was handed on to.
    Delegate,
    /// 0x08: a failure, of an operation or of the connection.
    Error,
    /// 0x09: no further operations.
    Goodbye,
    /// 0x0A: a token to resume an operation with.
    Resumable,
    /// 0x0B: resumes an operation, in place of INVOKE.
    Resume,
    /// 0x80 to 0xFF: left to vendors (`TYPE-2`).
    Vendor(u8),
}

impl FrameType {
    /// The type that a wire byte stands for. Every byte stands for one.
    #[inline]
    #[must_use]
    pub const fn from_wire(byte: u8) -> Self {
        match byte {
            0x01 => Self::Hello,
            0x02 => Self::CapabilityUpdate,
            0x03 => Self::Invoke,
            0x04 => Self::Stream,
            0x05 => Self::Cancel,
            0x06 => Self::Budget,
            0x07 => Self::Delegate,
            0x08 => Self::Error,
            0x09 => Self::Goodbye,
            0x0a => Self::Resumable,
            0x0b => Self::Resume,
            0x00 | 0x0c..=0x7f => Self::Reserved(byte),
            0x80..=0xff => Self::Vendor(byte),
        }
    }

    /// The byte on the wire.
    #[inline]
    #[must_use]
    pub const fn to_wire(self) -> u8 {
        match self {
            Self::Hello => 0x01,
            Self::CapabilityUpdate => 0x02,
            Self::Invoke => 0x03,
            Self::Stream => 0x04,
            Self::Cancel => 0x05,
            Self::Budget => 0x06,
            Self::Delegate => 0x07,
            Self::Error => 0x08,
            Self::Goodbye => 0x09,
            Self::Resumable => 0x0a,
            Self::Resume => 0x0b,
            Self::Reserved(byte) | Self::Vendor(byte) => byte,
        }
    }

    /// The specification's name, in capitals.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Hello => "HELLO",
            Self::CapabilityUpdate => "CAPABILITY",
            Self::Invoke => "INVOKE",
            Self::Stream => "STREAM",
            Self::Cancel => "CANCEL",
            Self::Budget => "BUDGET",
            Self::Delegate => "DELEGATE",
            Self::Error => "ERROR",
            Self::Goodbye => "GOODBYE",
            Self::Resumable => "RESUMABLE",
            Self::Resume => "RESUME",
            Self::Reserved(_) => "RESERVED",
            Self::Vendor(_) => "VENDOR",
        }
    }
}

/// A decoded envelope.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct FrameHeader {
    /// What the frame is for.
    pub frame_type: FrameType,
    /// No flag is defined: zero on send, ignored on receive (`WIRE-2`).
    pub flags: u8,
    /// The operation; 0 is the connection (`WIRE-3`).
    pub op_id: u64,
    /// How many payload bytes follow.
    pub payload_len: u64,
}

impl FrameHeader {
    /// A header to send: flags zero.
    #[must_use]
    pub const fn new(frame_type: FrameType, op_id: u64, payload_len: u64) -> Self {
        Self {
            frame_type,
            flags: 0,
            op_id,
            payload_len,
        }
    }

    /// Reads an envelope from the front of `input`: the header, and how many bytes it took.
    /// `None` when `input` ends first. Any complete envelope is valid; limits are for the caller.
    #[inline(always)]
    #[must_use]
    pub fn decode(input: &[u8]) -> Option<(Self, usize)> {
        let &[frame_type, flags, ..] = input else {
            return None;
        };
        // The numbers first, the header from them in one place: a header that two paths build
        // goes through memory.
        let (op_id, payload_len, len) = match short_numbers(input) {
            Some(numbers) => numbers,
            None => any_numbers(input)?,
        };
        let header = Self {
            frame_type: FrameType::from_wire(frame_type),
            flags,
            op_id,
            payload_len,
        };
        Some((header, len))
    }

    /// As [`decode`](Self::decode), for input that probably ends first: small before fast.
    pub(super) fn decode_cut(input: &[u8]) -> Option<(Self, usize)> {
        let &[frame_type, flags, ..] = input else {
            return None;
        };
        let (op_id, payload_len, len) = any_numbers(input)?;
        let header = Self {
            frame_type: FrameType::from_wire(frame_type),
            flags,
            op_id,
            payload_len,
        };
        Some((header, len))
    }

    /// Writes the envelope to the front of `out`; returns its length, at most
    /// [`MAX_HEADER_LEN`].
    ///
    /// # Errors
    /// [`EncodeError`] when `out` is too short, or a number is over 2^62 - 1.
    #[inline]
    pub fn encode(&self, out: &mut [u8]) -> Result<usize, EncodeError> {
        match self.encode_short(out) {
            Some(len) => Ok(len),
            None => self.encode_any(out),
        }
    }

    #[inline(always)]
    fn encode_short(&self, out: &mut [u8]) -> Option<usize> {
        let out: &mut [u8; SHORT_LEN] = out.first_chunk_mut()?;
        if (self.op_id | self.payload_len) >= 1 << 30 {
            return None;
        }
        let [frame_type, flags, ..] = out;
        *frame_type = self.frame_type.to_wire();
        *flags = self.flags;
        let behind = put_short(out, 2, self.op_id as u32)?;
        put_short(out, behind, self.payload_len as u32)
    }

    #[cold]
    #[inline(never)]
    fn encode_any(&self, out: &mut [u8]) -> Result<usize, EncodeError> {
        let mut out = Writer::new(out);
        self.write(&mut out);
        out.finish()
    }

    pub(crate) fn write(&self, out: &mut Writer<'_>) {
        out.bytes(&[self.frame_type.to_wire(), self.flags]);
        out.varint(self.op_id);
        out.varint(self.payload_len);
    }
}

/// Room for a short envelope: one whose numbers take up to four bytes each, as nearly all do.
const SHORT_LEN: usize = 10;

/// The operation id, the payload's length, and how many bytes the envelope takes.
type Numbers = (u64, u64, usize);

/// Reads the numbers of a short envelope. `None` for any other, and for input so short that it
/// might end first.
///
/// Whoever reads frame after frame waits for one thing: the payload's length, which says where the
/// next frame begins. So that way is made short. A number of two bytes is loaded together with the
/// two before it, which takes a byte swap and a mask, but no shift; and behind each length of the
/// operation id there is code of its own, in which the payload length has a fixed place.
#[inline(always)]
fn short_numbers(input: &[u8]) -> Option<Numbers> {
    let front: &[u8; SHORT_LEN] = input.first_chunk()?;
    let &[_, _, first, ..] = front;
    match first {
        0x00..=0x3f => short_len::<3>(front, u64::from(first)),
        0x40..=0x7f => short_len::<4>(front, four_bytes::<0>(front)? & 0x3fff),
        0x80..=0xbf => short_len::<6>(front, four_bytes::<2>(front)? & 0x3fff_ffff),
        _ => None,
    }
}

/// The numbers, from an operation id and a payload length that begins at `AT`.
#[inline(always)]
fn short_len<const AT: usize>(front: &[u8; SHORT_LEN], op_id: u64) -> Option<Numbers> {
    let first = *front.get(AT)?;
    Some(match first {
        0x00..=0x3f => (op_id, u64::from(first), const { AT + 1 }),
        0x40..=0x7f => {
            let len = match AT {
                3 => four_bytes::<1>(front)?,
                4 => four_bytes::<2>(front)?,
                _ => four_bytes::<4>(front)?,
            };
            (op_id, len & 0x3fff, const { AT + 2 })
        }
        0x80..=0xbf => {
            let len = four_bytes::<AT>(front)?;
            (op_id, len & 0x3fff_ffff, const { AT + 4 })
        }
        _ => return None,
    })
}

/// The four bytes from `AT` on, as a number.
#[inline(always)]
fn four_bytes<const AT: usize>(front: &[u8; SHORT_LEN]) -> Option<u64> {
    let bytes = front.get(AT..)?.first_chunk()?;
    Some(u64::from(u32::from_be_bytes(*bytes)))
}

/// Reads the numbers of any envelope.
#[cold]
#[inline(never)]
fn any_numbers(input: &[u8]) -> Option<Numbers> {
    let (_, rest) = input.split_first_chunk::<2>()?;
    let (op_id, op_id_len) = varint::decode(rest)?;
    let (payload_len, len_len) = varint::decode(rest.get(op_id_len..)?)?;
    let len = op_id_len.wrapping_add(len_len).wrapping_add(2);
    Some((op_id, payload_len, len))
}

/// Writes `value`, which is under 2^30, at `at`; returns where it ends.
#[inline(always)]
fn put_short(out: &mut [u8; SHORT_LEN], at: usize, value: u32) -> Option<usize> {
    let place = out.get_mut(at..)?;
    let len = match value {
        0..=0x3f => {
            *place.first_mut()? = value as u8;
            1
        }
        0x40..=0x3fff => {
            *place.first_chunk_mut()? = (value as u16 | 0x4000).to_be_bytes();
            2
        }
        _ => {
            *place.first_chunk_mut()? = (value | 0x8000_0000).to_be_bytes();
            4
        }
    };
    Some(at.wrapping_add(len))
}

#[cfg(test)]
#[allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects
)]
mod tests {
    use super::*;

    #[test]
    fn every_type_byte_survives_both_ways() {
        for byte in 0..=u8::MAX {
            assert_eq!(FrameType::from_wire(byte).to_wire(), byte);
        }
    }

    /// `value` in `len` bytes, minimal or not.
    fn varint_of(value: u64, len: usize) -> heapless::Vec<u8, 8> {
        let mut bytes = heapless::Vec::from_slice(&value.to_be_bytes()[8 - len..]).unwrap();
        bytes[0] |= (len.trailing_zeros() as u8) << 6;
        bytes
    }

    #[test]
    fn short_and_long_envelopes_read_the_same_wherever_the_input_ends() {
        let numbers = [
            (0x2a, 1),
            (0x2a, 2),
            (0x2a, 4),
            (0x2a, 8),
            (0x3fff, 2),
            (0x1234, 4),
            (0x3fff_ffff, 4),
            (0x1234_5678_9abc_def0, 8),
        ];
        for (op_id, op_id_len) in numbers {
            for (payload_len, len_len) in numbers {
                let mut input = heapless::Vec::<u8, 40>::from_slice(&[0x04, 0x81]).unwrap();
                input.extend(varint_of(op_id, op_id_len));
                input.extend(varint_of(payload_len, len_len));
                let len = input.len();
                input.extend([0xff; 12]);
                let header = FrameHeader {
                    frame_type: FrameType::Stream,
                    flags: 0x81,
                    op_id,
                    payload_len,
                };
                for end in 0..input.len() {
                    let expected = (end >= len).then_some((header, len));
                    assert_eq!(FrameHeader::decode(&input[..end]), expected, "{end}");
                    assert_eq!(FrameHeader::decode_cut(&input[..end]), expected, "{end}");
                }
            }
        }
    }

    #[test]
    fn short_and_long_envelopes_are_written_alike_wherever_the_room_ends() {
        let numbers = [
            0,
            0x3f,
            0x40,
            0x3fff,
            0x4000,
            0x3fff_ffff,
            1 << 30,
            varint::MAX,
        ];
        for op_id in numbers {
            for payload_len in numbers {
                let header = FrameHeader::new(FrameType::Vendor(0x9c), op_id, payload_len);
                let mut expected = heapless::Vec::<u8, 18>::from_slice(&[0x9c, 0]).unwrap();
                for number in [op_id, payload_len] {
                    let len = varint::encoded_len(number).unwrap();
                    expected.extend(varint_of(number, len));
                }
                for room in 0..20 {
                    let mut out = [0; 20];
                    let written = header.encode(&mut out[..room]);
                    if room < expected.len() {
                        let needed = expected.len();
                        assert_eq!(written, Err(EncodeError::BufferTooSmall { needed }));
                    } else {
                        assert_eq!(written, Ok(expected.len()));
                        assert_eq!(out[..expected.len()], expected);
                    }
                }
            }
        }
    }

    #[test]
    fn a_header_says_how_much_room_it_needs() {
        let header = FrameHeader::new(FrameType::Stream, 16_384, 100);
        for room in 0..8 {
            assert_eq!(
                header.encode(&mut [0; 8][..room]),
                Err(EncodeError::BufferTooSmall { needed: 8 })
            );
        }
        let mut out = [0; 8];
        assert_eq!(header.encode(&mut out), Ok(8));
        assert_eq!(FrameHeader::decode(&out), Some((header, 8)));
        let too_large = FrameHeader::new(FrameType::Stream, 1 << 62, 0);
        assert_eq!(
            too_large.encode(&mut [0; 32]),
            Err(EncodeError::NumberTooLarge)
        );
    }
}
