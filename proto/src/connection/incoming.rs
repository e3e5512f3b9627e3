//! The receiving side of one stream: which frame is arriving, and what becomes of its bytes.

use crate::id::StreamId;
use crate::storage::{Buffer, Table};
use crate::wire::{Decoder, FrameType, Piece};

/// What happens to the payload of the frame that is arriving.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Mode {
    /// No frame is arriving.
    #[default]
    Between,
    /// Its bytes are dropped.
    Skip,
    /// INVOKE: the names at its front are arriving.
    Names,
    /// INVOKE: its arguments pass through.
    Args,
    /// STREAM: its bytes pass through.
    Stream,
    /// A control frame: it is put together whole.
    Whole(FrameType),
}

#[derive(Debug, Default)]
pub(super) struct Incoming {
    pub(super) decoder: Decoder,
    pub(super) mode: Mode,
}

impl Incoming {
    /// Whether a FIN may come here (`WIRE-8`).
    pub(super) fn at_boundary(&self) -> bool {
        self.decoder.at_boundary() && self.mode == Mode::Between
    }
}

/// Where a frame's bytes lie: in the input, or put together in the stream's scratch.
#[derive(Clone, Copy)]
pub(super) enum Source<'i> {
    Input(&'i [u8]),
    Scratch,
}

/// How a frame that must be whole comes along.
pub(super) enum Assembly<'i> {
    Whole(Source<'i>),
    Incomplete,
    /// Every scratch is taken.
    NoScratch,
}

/// The mode for a payload that is dropped.
pub(super) const fn skip(payload_left: u64) -> Mode {
    if payload_left == 0 {
        Mode::Between
    } else {
        Mode::Skip
    }
}

/// The scratch of `stream`, a new one if need be; `None` when all are taken.
pub(super) fn scratch_of<B: Buffer, T: Table<B>>(
    scratches: &mut T,
    stream: StreamId,
) -> Option<&mut B> {
    if scratches.get(stream).is_none() {
        scratches.insert(stream, B::default()).ok()?;
    }
    scratches.get_mut(stream)
}

/// Puts a control frame together, or finds it whole in the input. Its length was checked against
/// the scratch's before.
pub(super) fn assemble<'i, B: Buffer>(
    scratches: &mut impl Table<B>,
    stream: StreamId,
    decoder: &mut Decoder,
    input: &mut &'i [u8],
) -> Assembly<'i> {
    let is_whole = decoder.remaining() <= input.len() as u64;
    if is_whole && scratches.get(stream).is_none() {
        return match decoder.next(input) {
            Some(Piece::Payload { bytes, .. }) => Assembly::Whole(Source::Input(bytes)),
            _ => Assembly::Incomplete,
        };
    }
    if input.is_empty() {
        return Assembly::Incomplete;
    }
    let Some(scratch) = scratch_of(scratches, stream) else {
        return Assembly::NoScratch;
    };
    match decoder.next(input) {
        Some(Piece::Payload { bytes, remaining }) => {
            let kept = scratch.append(bytes);
            debug_assert!(kept.is_some(), "the header was checked");
            if remaining == 0 {
                Assembly::Whole(Source::Scratch)
            } else {
                Assembly::Incomplete
            }
        }
        _ => Assembly::Incomplete,
    }
}
