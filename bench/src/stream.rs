//! STREAM frames as input, and what a decoder has to hand out of them.

use std::ops::Range;

use aire_proto::wire::{FrameHeader, FrameType};

/// The payload sizes that are measured, in bytes.
pub const SIZES: [usize; 5] = [32, 100, 256, 1024, 65_536];

/// The operation whose frames are measured: an id of two bytes on the wire, as every operation
/// but the first sixteen of a connection has.
pub const OP_ID: u64 = 404;

/// How many wire bytes a run has at most, unless four frames are more: what a transport hands
/// over at once, and what stays in the first-level cache, so that no contender waits for memory.
const RUN_BYTES: usize = 16 * 1024;

/// A frame to send: its operation, and its payload in the application's memory.
#[derive(Clone, Debug)]
pub struct Outgoing {
    /// The operation.
    pub op_id: u64,
    /// Where in [`Run::payloads`] the payload lies.
    pub payload: Range<usize>,
}

/// STREAM frames one behind the other, as they stand on the wire and as an application has them.
#[derive(Clone, Debug)]
pub struct Run {
    /// The frames' bytes.
    pub wire: Vec<u8>,
    /// The frames, to be encoded.
    pub frames: Vec<Outgoing>,
    /// The payloads' bytes, one behind the other.
    pub payloads: Vec<u8>,
}

impl Run {
    /// Frames of [`OP_ID`], all with `payload_len` bytes of payload.
    #[must_use]
    pub fn uniform(payload_len: usize) -> Self {
        let frames = (RUN_BYTES / (payload_len + 6)).clamp(4, 128);
        Self::of((0..frames).map(|_| (OP_ID, payload_len)))
    }

    /// One frame of [`OP_ID`].
    #[must_use]
    pub fn one(payload_len: usize) -> Self {
        Self::of([(OP_ID, payload_len)].into_iter())
    }

    /// Frames of many operations, with ids of 1, 2 and 4 bytes and payloads of 1 to 128 bytes in
    /// no order: the branches on a varint's length cannot be foretold, and there are too many
    /// frames to learn them by heart.
    #[must_use]
    pub fn mixed() -> Self {
        // xorshift64: the same frames each time, without a pattern.
        let mut state = 0x9e37_79b9_7f4a_7c15_u64;
        let mut random = move || {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            state
        };
        Self::of((0..16_384).map(|_| {
            let op_id = match random() % 3 {
                0 => 4,
                1 => 404,
                _ => 40_404,
            };
            (op_id, 1 + (random() % 128) as usize)
        }))
    }

    fn of(frames: impl Iterator<Item = (u64, usize)>) -> Self {
        let mut run = Self {
            wire: Vec::new(),
            frames: Vec::new(),
            payloads: Vec::new(),
        };
        for (op_id, len) in frames {
            let start = run.payloads.len();
            run.payloads
                .extend((0..len).map(|index| (start + index) as u8));
            let header = FrameHeader::new(FrameType::Stream, op_id, len as u64);
            let mut envelope = [0; 18];
            let envelope_len = header.encode(&mut envelope).expect("18 bytes hold it");
            run.wire.extend_from_slice(&envelope[..envelope_len]);
            run.wire.extend_from_slice(&run.payloads[start..]);
            run.frames.push(Outgoing {
                op_id,
                payload: start..start + len,
            });
        }
        run
    }

    /// Every frame's bytes.
    #[must_use]
    pub fn each(&self) -> Vec<&[u8]> {
        let mut rest = self.wire.as_slice();
        let mut frames = Vec::new();
        while let Some((header, len)) = FrameHeader::decode(rest) {
            let (frame, behind) = rest.split_at(len + header.payload_len as usize);
            frames.push(frame);
            rest = behind;
        }
        frames
    }

    /// How many frames there are.
    #[must_use]
    pub fn len(&self) -> u64 {
        self.frames.len() as u64
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.frames.is_empty()
    }

    /// Wire bytes of a frame, on average.
    #[must_use]
    pub fn bytes_per_frame(&self) -> u64 {
        self.wire.len() as u64 / self.len()
    }
}

/// Everything that a decoder found, as one number: so every field had to be computed, and all
/// decoders found the same, or the numbers differ.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Found(u64);

impl Found {
    /// Takes in a frame: its whole header, and where its payload is. The payload's bytes are not
    /// looked at, as no decoder has to.
    #[inline(always)]
    pub fn frame(&mut self, header: FrameHeader, payload: &[u8]) {
        self.header(header);
        self.piece(payload);
    }

    /// Takes in a header. Of the type, whether it is STREAM: what a receiver asks.
    #[inline(always)]
    pub fn header(&mut self, header: FrameHeader) {
        self.number(u64::from(header.frame_type == FrameType::Stream));
        self.number(u64::from(header.flags) ^ header.op_id);
        self.number(header.payload_len);
    }

    /// Takes in where a piece of a payload is.
    #[inline(always)]
    pub fn piece(&mut self, bytes: &[u8]) {
        self.number(bytes.as_ptr() as u64);
        self.number(bytes.len() as u64);
    }

    /// Takes in a number.
    #[inline(always)]
    pub fn number(&mut self, number: u64) {
        self.0 = self.0.wrapping_add(number);
    }

    /// The sum of it all.
    #[must_use]
    pub fn sum(self) -> u64 {
        self.0
    }
}
