//! The contender that this workspace ships: `aire-proto`.

use std::hint::black_box;

use aire_proto::wire::{
    Budget, Cancel, Decoder, Delegate, ErrorFrame, FrameHeader, FrameType, Hello, Invoke, Piece,
    Resumable, Resume,
};

use crate::control::Sample;
use crate::stream::{Found, Run};

/// The payload behind an envelope of `len` bytes, and what follows it.
#[inline(always)]
fn split_payload(header: FrameHeader, len: usize, wire: &[u8]) -> Option<(&[u8], &[u8])> {
    let payload_len = usize::try_from(header.payload_len).ok()?;
    wire.get(len..)?.split_at_checked(payload_len)
}

/// Finds every frame of `wire`, and borrows its payload.
#[inline(never)]
#[must_use]
pub fn decode(wire: &[u8]) -> u64 {
    let mut found = Found::default();
    let mut rest = wire;
    while let Some((header, len)) = FrameHeader::decode(rest) {
        let Some((payload, behind)) = split_payload(header, len, rest) else {
            break;
        };
        found.frame(header, payload);
        rest = behind;
    }
    found.sum()
}

/// The same for frames that each have a buffer of their own, as when each comes in a packet of its
/// own: none waits for the length of the one before it.
#[inline(never)]
#[must_use]
pub fn decode_each(frames: &[&[u8]]) -> u64 {
    let mut found = Found::default();
    for frame in frames {
        let Some((header, len)) = FrameHeader::decode(frame) else {
            break;
        };
        let Some((payload, _)) = split_payload(header, len, frame) else {
            break;
        };
        found.frame(header, payload);
    }
    found.sum()
}

/// The same through the incremental decoder, which takes input that is cut anywhere.
#[inline(never)]
#[must_use]
pub fn decode_incremental(wire: &[u8]) -> u64 {
    let mut found = Found::default();
    let mut decoder = Decoder::new();
    let mut rest = wire;
    while let Some(piece) = decoder.next(&mut rest) {
        match piece {
            Piece::Header(header) => found.header(header),
            Piece::Payload { bytes, .. } => found.piece(bytes),
        }
    }
    found.sum()
}

/// Writes every frame's envelope to `out`, one behind the other; the payload stays where it is.
#[inline(never)]
#[must_use]
pub fn encode_envelopes(run: &Run, out: &mut [u8]) -> u64 {
    let mut found = Found::default();
    let mut room = out;
    for frame in &run.frames {
        let Some(payload) = run.payloads.get(frame.payload.clone()) else {
            break;
        };
        let header = FrameHeader::new(FrameType::Stream, frame.op_id, payload.len() as u64);
        let Ok(len) = header.encode(room) else {
            break;
        };
        let Some(behind) = room.get_mut(len..) else {
            break;
        };
        found.piece(payload);
        found.number(len as u64);
        room = behind;
    }
    found.sum()
}

/// Writes every frame to `out`, payload included.
#[inline(never)]
#[must_use]
pub fn encode_copied(run: &Run, out: &mut [u8]) -> u64 {
    let mut found = Found::default();
    let mut room = out;
    for frame in &run.frames {
        let Some(payload) = run.payloads.get(frame.payload.clone()) else {
            break;
        };
        let header = FrameHeader::new(FrameType::Stream, frame.op_id, payload.len() as u64);
        let Ok(len) = header.encode(room) else {
            break;
        };
        let Some(behind) = room.get_mut(len..) else {
            break;
        };
        let Some((place, rest)) = behind.split_at_mut_checked(payload.len()) else {
            break;
        };
        place.copy_from_slice(payload);
        found.number(len as u64);
        room = rest;
    }
    found.sum()
}

/// Decodes every frame of `wire`, the fields of its payload included; returns how many were good.
#[inline(never)]
#[must_use]
pub fn decode_control(wire: &[u8]) -> u64 {
    let mut good = 0;
    let mut rest = wire;
    while let Some((header, len)) = FrameHeader::decode(rest) {
        let Some((payload, behind)) = split_payload(header, len, rest) else {
            break;
        };
        black_box(header.op_id);
        let decoded = match header.frame_type {
            FrameType::Hello => black_box(&Hello::decode(payload)).is_ok(),
            FrameType::Invoke => black_box(&Invoke::decode(payload)).is_ok(),
            FrameType::Cancel => black_box(&Cancel::decode(payload)).is_ok(),
            FrameType::Budget => black_box(&Budget::decode(payload)).is_ok(),
            FrameType::Delegate => black_box(&Delegate::decode(payload)).is_ok(),
            FrameType::Error => black_box(&ErrorFrame::decode(payload)).is_ok(),
            FrameType::Resumable => black_box(&Resumable::decode(payload)).is_ok(),
            FrameType::Resume => black_box(&Resume::decode(payload)).is_ok(),
            _ => black_box(payload).is_empty(),
        };
        good += u64::from(decoded);
        rest = behind;
    }
    good
}

/// Writes `sample`'s frame to `out`; returns its length. HELLO is not here: it leaves with
/// [`hello_through_connection`](crate::control::hello_through_connection) only.
#[inline(never)]
#[must_use]
pub fn encode_control(sample: &Sample, out: &mut [u8]) -> usize {
    sample.encode(out)
}
