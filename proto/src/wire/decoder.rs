//! The incremental decoder: bytes of one stream in, cut anywhere, envelopes and payload pieces
//! out (`WIRE-7`). It never fails, since every byte sequence is a sequence of envelopes; it never
//! buffers more than one envelope; payload pieces are slices of the input.

use super::{FrameHeader, MAX_HEADER_LEN};
use crate::varint;

/// What the decoder found next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Piece<'a> {
    /// A frame begins. With a `payload_len` of 0 it also ends here.
    Header(FrameHeader),
    /// The next bytes of the frame's payload, never empty.
    Payload {
        /// A slice of the input.
        bytes: &'a [u8],
        /// How many payload bytes of this frame are still to come; 0 ends the frame.
        remaining: u64,
    },
}

/// One stream's decoding state: 32 bytes.
#[derive(Clone, Debug, Default)]
pub struct Decoder {
    /// The bytes of an envelope that the input cut.
    partial: [u8; MAX_HEADER_LEN],
    partial_len: u8,
    remaining: u64,
}

impl Decoder {
    /// A decoder at the start of a stream.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            partial: [0; MAX_HEADER_LEN],
            partial_len: 0,
            remaining: 0,
        }
    }

    /// Whether a frame could begin here: a FIN anywhere else is malformed (`WIRE-8`).
    #[must_use]
    pub const fn at_boundary(&self) -> bool {
        self.partial_len == 0 && self.remaining == 0
    }

    /// Payload bytes of the current frame that are still to come.
    #[must_use]
    pub const fn remaining(&self) -> u64 {
        self.remaining
    }

    /// Takes the next piece off the front of `input`; `None` when it needs more bytes, with
    /// `input` then empty.
    #[inline]
    pub fn next<'a>(&mut self, input: &mut &'a [u8]) -> Option<Piece<'a>> {
        self.next_within(input, usize::MAX)
    }

    /// As [`next`](Self::next), with payload pieces of at most `most` bytes.
    #[inline]
    pub(crate) fn next_within<'a>(
        &mut self,
        input: &mut &'a [u8],
        most: usize,
    ) -> Option<Piece<'a>> {
        if self.remaining > 0 {
            return self.payload(input, most);
        }
        if self.partial_len == 0
            && let Some((header, len)) = FrameHeader::decode(input)
        {
            *input = input.get(len..).unwrap_or_default();
            self.remaining = header.payload_len;
            return Some(Piece::Header(header));
        }
        self.cut_header(input)
    }

    #[inline]
    fn payload<'a>(&mut self, input: &mut &'a [u8], most: usize) -> Option<Piece<'a>> {
        let len = usize::try_from(self.remaining)
            .unwrap_or(usize::MAX)
            .min(input.len())
            .min(most);
        if len == 0 {
            return None;
        }
        let (bytes, rest) = input.split_at_checked(len)?;
        *input = rest;
        self.remaining = self.remaining.saturating_sub(len as u64);
        Some(Piece::Payload {
            bytes,
            remaining: self.remaining,
        })
    }

    /// Collects an envelope that the input cuts, byte by byte: rare, so small before fast.
    #[cold]
    fn cut_header<'a>(&mut self, input: &mut &'a [u8]) -> Option<Piece<'a>> {
        while let Some((&byte, rest)) = input.split_first() {
            let slot = self.partial.get_mut(usize::from(self.partial_len))?;
            *slot = byte;
            self.partial_len = self.partial_len.saturating_add(1);
            *input = rest;
            let so_far = self.partial.get(..usize::from(self.partial_len))?;
            if let Some((header, _)) = FrameHeader::decode_cut(so_far) {
                self.partial_len = 0;
                self.remaining = header.payload_len;
                return Some(Piece::Header(header));
            }
        }
        None
    }
}

const _: () = assert!(MAX_HEADER_LEN == 2 + 2 * varint::MAX_LEN);

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic)]
mod tests {
    use super::*;
    use crate::wire::FrameType;

    const TWO_FRAMES: [u8; 15] = [
        0x04, 0x00, 0x80, 0x00, 0x40, 0x00, 0x40, 0x03, 1, 2, 3, // STREAM, 3 bytes
        0x09, 0x00, 0x00, 0x00, // GOODBYE
    ];

    fn run(chunks: &[&[u8]]) -> (heapless::Vec<FrameHeader, 4>, heapless::Vec<u8, 8>) {
        let mut decoder = Decoder::new();
        let mut headers = heapless::Vec::new();
        let mut payload = heapless::Vec::new();
        for chunk in chunks {
            let mut input = *chunk;
            while let Some(piece) = decoder.next(&mut input) {
                match piece {
                    Piece::Header(header) => headers.push(header).unwrap(),
                    Piece::Payload { bytes, .. } => payload.extend_from_slice(bytes).unwrap(),
                }
            }
            assert!(input.is_empty());
        }
        assert!(decoder.at_boundary());
        (headers, payload)
    }

    #[test]
    fn input_may_be_cut_at_any_two_places() {
        let whole = run(&[&TWO_FRAMES]);
        assert_eq!(whole.0.len(), 2);
        assert_eq!(whole.0[1].frame_type, FrameType::Goodbye);
        for a in 0..=TWO_FRAMES.len() {
            for b in a..=TWO_FRAMES.len() {
                let cut = run(&[&TWO_FRAMES[..a], &TWO_FRAMES[a..b], &TWO_FRAMES[b..]]);
                assert_eq!(cut, whole, "cut at {a} and {b}");
            }
        }
    }

    #[test]
    fn the_decoder_knows_when_a_frame_is_unfinished() {
        for end in 1..11 {
            let mut decoder = Decoder::new();
            let mut input = &TWO_FRAMES[..end];
            while decoder.next(&mut input).is_some() {}
            assert!(!decoder.at_boundary(), "after {end} bytes");
        }
    }

    #[test]
    fn payload_pieces_are_slices_of_the_input() {
        let mut decoder = Decoder::new();
        let mut input = &TWO_FRAMES[..];
        decoder.next(&mut input);
        let Some(Piece::Payload { bytes, remaining }) = decoder.next(&mut input) else {
            panic!("a payload follows");
        };
        assert!(core::ptr::eq(bytes, &TWO_FRAMES[8..11]));
        assert_eq!(remaining, 0);
    }
}
