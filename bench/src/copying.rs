//! The contender that allocates and copies: the reference implementation's way, in Rust. A header
//! read field by field, then a fresh vector with the payload; strings and byte fields copied once
//! more out of that; and to send, a payload built in one vector and a frame around it in another.

use std::hint::black_box;

use crate::control::Sample;
use crate::stream::{Found, Run};
use aire_proto::wire::{FrameHeader, FrameType};

/// A frame that owns its payload.
#[derive(Clone, Debug)]
pub struct OwnedFrame {
    /// The envelope.
    pub header: FrameHeader,
    /// The payload, copied.
    pub payload: Vec<u8>,
}

struct Bytes<'a>(&'a [u8]);

impl<'a> Bytes<'a> {
    fn u8(&mut self) -> Option<u8> {
        let (&byte, rest) = self.0.split_first()?;
        self.0 = rest;
        Some(byte)
    }

    /// Byte by byte, as a reader of a stream does it.
    fn varint(&mut self) -> Option<u64> {
        let first = self.u8()?;
        let mut value = u64::from(first & 0x3f);
        for _ in 1..1 << (first >> 6) {
            value = value << 8 | u64::from(self.u8()?);
        }
        Some(value)
    }

    fn take(&mut self, len: u64) -> Option<&'a [u8]> {
        let (bytes, rest) = self.0.split_at_checked(usize::try_from(len).ok()?)?;
        self.0 = rest;
        Some(bytes)
    }

    fn bytes(&mut self) -> Option<Vec<u8>> {
        let len = self.varint()?;
        self.take(len).map(<[u8]>::to_vec)
    }

    fn string(&mut self) -> Option<String> {
        String::from_utf8(self.bytes()?).ok()
    }

    fn rest(&self) -> Vec<u8> {
        self.0.to_vec()
    }

    #[inline(always)]
    fn frame(&mut self) -> Option<OwnedFrame> {
        let header = FrameHeader {
            frame_type: FrameType::from_wire(self.u8()?),
            flags: self.u8()?,
            op_id: self.varint()?,
            payload_len: self.varint()?,
        };
        let payload = self.take(header.payload_len)?.to_vec();
        Some(OwnedFrame { header, payload })
    }
}

/// Finds every frame of `wire`, and copies its payload into memory of its own. The copy is gone
/// before the next frame comes, so the allocator has it easy.
#[inline(never)]
#[must_use]
pub fn decode(wire: &[u8]) -> u64 {
    let mut found = Found::default();
    let mut bytes = Bytes(wire);
    while let Some(frame) = bytes.frame() {
        found.header(frame.header);
        found.piece(black_box(&frame.payload));
    }
    found.sum()
}

#[inline(always)]
fn put_varint(out: &mut Vec<u8>, value: u64) {
    match value {
        0..0x40 => out.push(value as u8),
        0x40..0x4000 => out.extend_from_slice(&(value as u16 | 0x4000).to_be_bytes()),
        0x4000..0x4000_0000 => {
            out.extend_from_slice(&(value as u32 | 0x8000_0000).to_be_bytes());
        }
        _ => out.extend_from_slice(&(value | 0xc000_0000_0000_0000).to_be_bytes()),
    }
}

fn put_prefixed(out: &mut Vec<u8>, bytes: &[u8]) {
    put_varint(out, bytes.len() as u64);
    out.extend_from_slice(bytes);
}

#[inline(always)]
fn put_frame(frame_type: FrameType, op_id: u64, payload: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(18 + payload.len());
    out.push(frame_type.to_wire());
    out.push(0);
    put_varint(&mut out, op_id);
    put_varint(&mut out, payload.len() as u64);
    out.extend_from_slice(payload);
    out
}

/// Builds every frame in a vector of its own.
#[inline(never)]
#[must_use]
pub fn encode(run: &Run) -> u64 {
    let mut found = Found::default();
    for frame in &run.frames {
        let Some(payload) = run.payloads.get(frame.payload.clone()) else {
            break;
        };
        let built = put_frame(FrameType::Stream, frame.op_id, payload);
        found.piece(black_box(&built));
    }
    found.sum()
}

/// Decodes every frame of `wire` into values that own their fields; returns how many were good.
#[inline(never)]
#[must_use]
pub fn decode_control(wire: &[u8]) -> u64 {
    let mut good = 0;
    let mut bytes = Bytes(wire);
    while let Some(frame) = bytes.frame() {
        black_box(frame.header.op_id);
        let mut payload = Bytes(&frame.payload);
        let decoded = match frame.header.frame_type {
            FrameType::Hello => black_box(&hello(&mut payload)).is_some(),
            FrameType::Invoke => black_box(&invoke(&mut payload)).is_some(),
            FrameType::Cancel => black_box(&cancel(&mut payload)).is_some(),
            FrameType::Budget => black_box(&budget(&mut payload)).is_some(),
            FrameType::Delegate => black_box(&delegate(&mut payload)).is_some(),
            FrameType::Error => black_box(&error(&mut payload)).is_some(),
            FrameType::Resumable => black_box(&resumable(&mut payload)).is_some(),
            FrameType::Resume => black_box(&resume(&mut payload)).is_some(),
            _ => black_box(payload.rest()).is_empty(),
        };
        good += u64::from(decoded);
    }
    good
}

fn invoke(payload: &mut Bytes<'_>) -> Option<(String, String, Vec<u8>)> {
    Some((payload.string()?, payload.string()?, payload.rest()))
}

fn cancel(payload: &mut Bytes<'_>) -> Option<(u64, String)> {
    Some((payload.varint()?, payload.string()?))
}

fn delegate(payload: &mut Bytes<'_>) -> Option<(String, String, u64)> {
    Some((payload.string()?, payload.string()?, payload.varint()?))
}

fn error(payload: &mut Bytes<'_>) -> Option<(u64, String, Vec<u8>)> {
    Some((payload.varint()?, payload.string()?, payload.rest()))
}

fn resumable(payload: &mut Bytes<'_>) -> Option<(u64, Vec<u8>, u64)> {
    Some((payload.varint()?, payload.bytes()?, payload.varint()?))
}

fn resume(payload: &mut Bytes<'_>) -> Option<(Vec<u8>, u64)> {
    Some((payload.bytes()?, payload.varint()?))
}

/// A HELLO that owns its fields.
#[derive(Clone, Debug)]
#[expect(dead_code, reason = "that it was built is what is measured")]
struct OwnedHello {
    version: [u64; 2],
    node_id: String,
    capabilities: Vec<(String, u64, u8)>,
    algorithm: u8,
    method: String,
    nonce: Vec<u8>,
    timestamp: Vec<u8>,
    signature: Vec<u8>,
}

fn hello(payload: &mut Bytes<'_>) -> Option<OwnedHello> {
    let version = [payload.varint()?, payload.varint()?];
    let node_id = payload.string()?;
    let mut capabilities: Vec<(String, u64, u8)> = Vec::new();
    for _ in 0..payload.varint()? {
        let entry = (payload.string()?, payload.varint()?, payload.u8()?);
        if capabilities.iter().any(|other| other.0 == entry.0) {
            return None;
        }
        capabilities.push(entry);
    }
    Some(OwnedHello {
        version,
        node_id,
        capabilities,
        algorithm: payload.u8()?,
        method: payload.string()?,
        nonce: payload.take(16)?.to_vec(),
        timestamp: payload.take(8)?.to_vec(),
        signature: payload.bytes()?,
    })
}

fn budget(payload: &mut Bytes<'_>) -> Option<Vec<(u8, Vec<u8>)>> {
    let mut entries: Vec<(u8, Vec<u8>)> = Vec::new();
    for _ in 0..payload.varint()? {
        let entry = (payload.u8()?, payload.bytes()?);
        if entries.iter().any(|other| other.0 == entry.0) {
            return None;
        }
        entries.push(entry);
    }
    Some(entries)
}

/// Builds `sample`'s frame; returns its length.
#[inline(never)]
#[must_use]
pub fn encode_control(sample: &Sample) -> usize {
    let mut payload = Vec::new();
    let out = &mut payload;
    match sample {
        Sample::Hello(hello) => {
            put_varint(out, hello.major);
            put_varint(out, hello.minor);
            put_prefixed(out, hello.node_id.as_bytes());
            put_varint(out, hello.capabilities.len() as u64);
            for entry in &hello.capabilities {
                put_prefixed(out, entry.name.as_bytes());
                put_varint(out, entry.version);
                out.push(u8::from(entry.required));
            }
            out.push(1);
            put_prefixed(out, hello.method.as_bytes());
            out.extend_from_slice(&hello.nonce);
            out.extend_from_slice(&hello.timestamp.0.to_be_bytes());
            put_prefixed(out, &hello.signature);
        }
        Sample::Invoke(invoke) => {
            put_prefixed(out, invoke.agent.as_bytes());
            put_prefixed(out, invoke.operation.as_bytes());
            out.extend_from_slice(invoke.args);
        }
        Sample::Cancel(cancel) => {
            put_varint(out, cancel.reason.to_wire());
            put_prefixed(out, cancel.detail.as_bytes());
        }
        Sample::Budget(budget) => {
            let numbers = [(1, budget.tokens), (2, budget.cost_microunits)];
            let count = numbers
                .iter()
                .filter(|(_, number)| number.is_some())
                .count()
                + usize::from(budget.currency.is_some())
                + usize::from(budget.deadline.is_some());
            put_varint(out, count as u64);
            for (field, number) in numbers {
                if let Some(number) = number {
                    let mut value = Vec::new();
                    put_varint(&mut value, number);
                    out.push(field);
                    put_prefixed(out, &value);
                }
            }
            if let Some(currency) = budget.currency {
                out.push(3);
                put_prefixed(out, currency.letters());
            }
            if let Some(deadline) = budget.deadline {
                out.push(4);
                put_prefixed(out, &deadline.0.to_be_bytes());
            }
        }
        Sample::Delegate(delegate) => {
            put_prefixed(out, delegate.target.as_bytes());
            put_prefixed(out, delegate.target_did.as_bytes());
            put_varint(out, delegate.sub_op);
        }
        Sample::Error(error) => {
            put_varint(out, error.code.to_wire());
            put_prefixed(out, error.detail.as_bytes());
            out.extend_from_slice(error.data);
        }
        Sample::Goodbye => {}
        Sample::Resumable(resumable) => {
            put_varint(out, resumable.ttl_secs);
            put_prefixed(out, resumable.token);
            put_varint(out, resumable.last_seq);
        }
        Sample::Resume(resume) => {
            put_prefixed(out, resume.token);
            put_varint(out, resume.last_recv);
        }
    }
    let frame = put_frame(sample.frame_type(), sample.op_id(), &payload);
    black_box(&frame).len()
}
