//! The contender that quiche parses with: `octets`. It does the same work as
//! [`ours`](crate::ours), down to the types that come out, the way its own users write it.

use std::hint::black_box;

use aire_proto::wire::{
    Budget, Cancel, Currency, Delegate, ErrorFrame, FrameHeader, FrameType, Invoke, Resumable,
    Resume, SignatureBlock,
};
use aire_proto::{CancelReason, ErrorCode, UnixMillis};
use octets::{Octets, OctetsMut, varint_len};

use crate::control::Sample;
use crate::stream::{Found, Run};

#[inline(always)]
fn get_frame<'a>(cursor: &mut Octets<'a>) -> Option<(FrameHeader, &'a [u8])> {
    let header = FrameHeader {
        frame_type: FrameType::from_wire(cursor.get_u8().ok()?),
        flags: cursor.get_u8().ok()?,
        op_id: cursor.get_varint().ok()?,
        payload_len: cursor.get_varint().ok()?,
    };
    let len = usize::try_from(header.payload_len).ok()?;
    Some((header, cursor.get_bytes(len).ok()?.buf()))
}

/// Finds every frame of `wire`, and borrows its payload.
#[inline(never)]
#[must_use]
pub fn decode(wire: &[u8]) -> u64 {
    let mut found = Found::default();
    let mut cursor = Octets::with_slice(wire);
    while let Some((header, payload)) = get_frame(&mut cursor) {
        found.frame(header, payload);
    }
    found.sum()
}

/// The same for frames that each have a buffer of their own.
#[inline(never)]
#[must_use]
pub fn decode_each(frames: &[&[u8]]) -> u64 {
    let mut found = Found::default();
    for frame in frames {
        let Some((header, payload)) = get_frame(&mut Octets::with_slice(frame)) else {
            break;
        };
        found.frame(header, payload);
    }
    found.sum()
}

#[inline(always)]
fn put_envelope(
    cursor: &mut OctetsMut<'_>,
    frame_type: FrameType,
    op_id: u64,
    len: usize,
) -> octets::Result<()> {
    cursor.put_u8(frame_type.to_wire())?;
    cursor.put_u8(0)?;
    cursor.put_varint(op_id)?;
    cursor.put_varint(len as u64)?;
    Ok(())
}

/// Writes every frame's envelope to `out`, one behind the other; the payload stays where it is.
#[inline(never)]
#[must_use]
pub fn encode_envelopes(run: &Run, out: &mut [u8]) -> u64 {
    let mut found = Found::default();
    let mut cursor = OctetsMut::with_slice(out);
    for frame in &run.frames {
        let Some(payload) = run.payloads.get(frame.payload.clone()) else {
            break;
        };
        let before = cursor.off();
        let put = put_envelope(&mut cursor, FrameType::Stream, frame.op_id, payload.len());
        if put.is_err() {
            break;
        }
        found.piece(payload);
        found.number((cursor.off() - before) as u64);
    }
    found.sum()
}

/// Writes every frame to `out`, payload included.
#[inline(never)]
#[must_use]
pub fn encode_copied(run: &Run, out: &mut [u8]) -> u64 {
    let mut found = Found::default();
    let mut cursor = OctetsMut::with_slice(out);
    for frame in &run.frames {
        let Some(payload) = run.payloads.get(frame.payload.clone()) else {
            break;
        };
        let before = cursor.off();
        let put = put_envelope(&mut cursor, FrameType::Stream, frame.op_id, payload.len());
        let envelope_len = cursor.off() - before;
        if put.is_err() || cursor.put_bytes(payload).is_err() {
            break;
        }
        found.number(envelope_len as u64);
    }
    found.sum()
}

/// A HELLO as this contender hands it out: as [`Hello`](aire_proto::wire::Hello), whose
/// capabilities cannot be built from outside.
#[derive(Clone, Copy, Debug)]
pub struct HelloFields<'a> {
    /// The major version.
    pub major: u64,
    /// The minor version.
    pub minor: u64,
    /// The sender.
    pub node_id: &'a str,
    /// The capability entries' bytes, and how many they are.
    pub capabilities: (&'a [u8], u64),
    /// The signature block.
    pub block: SignatureBlock<'a>,
    /// How many payload bytes it covers.
    pub covered: usize,
}

fn get_prefixed<'a>(cursor: &mut Octets<'a>) -> Option<&'a [u8]> {
    Some(cursor.get_bytes_with_varint_length().ok()?.buf())
}

fn get_str<'a>(cursor: &mut Octets<'a>) -> Option<&'a str> {
    std::str::from_utf8(get_prefixed(cursor)?).ok()
}

fn rest<'a>(cursor: &Octets<'a>) -> &'a [u8] {
    cursor.buf().get(cursor.off()..).unwrap_or_default()
}

fn capability<'a>(cursor: &mut Octets<'a>) -> Option<(&'a str, u64, bool)> {
    let name = get_str(cursor)?;
    let version = cursor.get_varint().ok()?;
    match cursor.get_u8().ok()? {
        0 => Some((name, version, false)),
        1 => Some((name, version, true)),
        _ => None,
    }
}

fn hello<'a>(payload: &'a [u8]) -> Option<HelloFields<'a>> {
    let mut cursor = Octets::with_slice(payload);
    let major = cursor.get_varint().ok()?;
    let minor = cursor.get_varint().ok()?;
    let node_id = get_str(&mut cursor)?;
    let count = cursor.get_varint().ok()?;
    if count > 256 {
        return None;
    }
    let start = cursor.off();
    for _ in 0..count {
        let before = cursor.off();
        let (name, ..) = capability(&mut cursor)?;
        // No name twice, without memory for the names: look at those before it again.
        let mut earlier = Octets::with_slice(payload.get(start..before)?);
        while earlier.cap() > 0 {
            if capability(&mut earlier)?.0 == name {
                return None;
            }
        }
    }
    let capabilities = (payload.get(start..cursor.off())?, count);
    let algorithm = cursor.get_u8().ok()?;
    let method = get_str(&mut cursor)?;
    let nonce = cursor.get_bytes(16).ok()?.buf().try_into().ok()?;
    let timestamp = UnixMillis(cursor.get_u64().ok()? as i64);
    let covered = cursor.off();
    let signature = get_prefixed(&mut cursor)?;
    Some(HelloFields {
        major,
        minor,
        node_id,
        capabilities,
        block: SignatureBlock {
            algorithm,
            method,
            nonce,
            timestamp,
            signature,
        },
        covered,
    })
}

fn invoke(payload: &[u8]) -> Option<Invoke<'_>> {
    let mut cursor = Octets::with_slice(payload);
    Some(Invoke {
        agent: get_str(&mut cursor)?,
        operation: get_str(&mut cursor)?,
        args: rest(&cursor),
    })
}

fn cancel(payload: &[u8]) -> Option<Cancel<'_>> {
    let mut cursor = Octets::with_slice(payload);
    let cancel = Cancel {
        reason: CancelReason::from_wire(cursor.get_varint().ok()?),
        detail: get_str(&mut cursor)?,
    };
    (cursor.cap() == 0).then_some(cancel)
}

fn budget(payload: &[u8]) -> Option<Budget> {
    let mut cursor = Octets::with_slice(payload);
    let entries = cursor.get_varint().ok()?;
    if entries == 0 {
        return None;
    }
    let mut budget = Budget::default();
    let mut seen = [0_u64; 4];
    for _ in 0..entries {
        let field = cursor.get_u8().ok()?;
        let mut value = cursor.get_bytes_with_varint_length().ok()?;
        let bit = 1 << (field & 63);
        let word = seen.get_mut(usize::from(field >> 6))?;
        if *word & bit != 0 {
            return None;
        }
        *word |= bit;
        match field {
            1 => budget.tokens = Some(value.get_varint().ok()?),
            2 => budget.cost_microunits = Some(value.get_varint().ok()?),
            3 => {
                let letters = value.get_bytes(3).ok()?.buf().try_into().ok()?;
                budget.currency = Some(Currency::new(letters)?);
            }
            4 => budget.deadline = Some(UnixMillis(value.get_u64().ok()? as i64)),
            _ => continue,
        }
        if value.cap() > 0 {
            return None;
        }
    }
    Some(budget)
}

fn delegate(payload: &[u8]) -> Option<Delegate<'_>> {
    let mut cursor = Octets::with_slice(payload);
    Some(Delegate {
        target: get_str(&mut cursor)?,
        target_did: get_str(&mut cursor)?,
        sub_op: cursor.get_varint().ok()?,
    })
}

fn error(payload: &[u8]) -> Option<ErrorFrame<'_>> {
    let mut cursor = Octets::with_slice(payload);
    Some(ErrorFrame {
        code: ErrorCode::from_wire(cursor.get_varint().ok()?),
        detail: get_str(&mut cursor)?,
        data: rest(&cursor),
    })
}

fn resumable(payload: &[u8]) -> Option<Resumable<'_>> {
    let mut cursor = Octets::with_slice(payload);
    Some(Resumable {
        ttl_secs: cursor.get_varint().ok()?,
        token: get_prefixed(&mut cursor)?,
        last_seq: cursor.get_varint().ok()?,
    })
}

fn resume(payload: &[u8]) -> Option<Resume<'_>> {
    let mut cursor = Octets::with_slice(payload);
    Some(Resume {
        token: get_prefixed(&mut cursor)?,
        last_recv: cursor.get_varint().ok()?,
    })
}

/// Decodes every frame of `wire`, the fields of its payload included; returns how many were good.
#[inline(never)]
#[must_use]
pub fn decode_control(wire: &[u8]) -> u64 {
    let mut good = 0;
    let mut cursor = Octets::with_slice(wire);
    while let Some((header, payload)) = get_frame(&mut cursor) {
        black_box(header.op_id);
        let decoded = match header.frame_type {
            FrameType::Hello => black_box(&hello(payload)).is_some(),
            FrameType::Invoke => black_box(&invoke(payload)).is_some(),
            FrameType::Cancel => black_box(&cancel(payload)).is_some(),
            FrameType::Budget => black_box(&budget(payload)).is_some(),
            FrameType::Delegate => black_box(&delegate(payload)).is_some(),
            FrameType::Error => black_box(&error(payload)).is_some(),
            FrameType::Resumable => black_box(&resumable(payload)).is_some(),
            FrameType::Resume => black_box(&resume(payload)).is_some(),
            _ => black_box(payload).is_empty(),
        };
        good += u64::from(decoded);
    }
    good
}

fn prefixed_len(bytes: &[u8]) -> usize {
    varint_len(bytes.len() as u64) + bytes.len()
}

fn put_prefixed(cursor: &mut OctetsMut<'_>, bytes: &[u8]) -> octets::Result<()> {
    cursor.put_varint(bytes.len() as u64)?;
    cursor.put_bytes(bytes)
}

/// Writes `sample`'s frame to `out`; returns its length, 0 when it does not fit.
#[inline(never)]
#[must_use]
pub fn encode_control(sample: &Sample, out: &mut [u8]) -> usize {
    let mut cursor = OctetsMut::with_slice(out);
    match put_control(sample, &mut cursor) {
        Ok(()) => cursor.off(),
        Err(_) => 0,
    }
}

fn put_control(sample: &Sample, out: &mut OctetsMut<'_>) -> octets::Result<()> {
    put_envelope(
        out,
        sample.frame_type(),
        sample.op_id(),
        payload_len(sample),
    )?;
    match sample {
        Sample::Hello(hello) => {
            out.put_varint(hello.major)?;
            out.put_varint(hello.minor)?;
            put_prefixed(out, hello.node_id.as_bytes())?;
            out.put_varint(hello.capabilities.len() as u64)?;
            for entry in &hello.capabilities {
                put_prefixed(out, entry.name.as_bytes())?;
                out.put_varint(entry.version)?;
                out.put_u8(u8::from(entry.required))?;
            }
            out.put_u8(SignatureBlock::ED25519)?;
            put_prefixed(out, hello.method.as_bytes())?;
            out.put_bytes(&hello.nonce)?;
            out.put_u64(hello.timestamp.0 as u64)?;
            put_prefixed(out, &hello.signature)?;
        }
        Sample::Invoke(invoke) => {
            put_prefixed(out, invoke.agent.as_bytes())?;
            put_prefixed(out, invoke.operation.as_bytes())?;
            out.put_bytes(invoke.args)?;
        }
        Sample::Cancel(cancel) => {
            out.put_varint(cancel.reason.to_wire())?;
            put_prefixed(out, cancel.detail.as_bytes())?;
        }
        Sample::Budget(budget) => {
            out.put_varint(budget_entries(budget))?;
            for (field, number) in [(1, budget.tokens), (2, budget.cost_microunits)] {
                if let Some(number) = number {
                    out.put_u8(field)?;
                    out.put_varint(varint_len(number) as u64)?;
                    out.put_varint(number)?;
                }
            }
            if let Some(currency) = &budget.currency {
                out.put_u8(3)?;
                put_prefixed(out, currency.letters())?;
            }
            if let Some(deadline) = budget.deadline {
                out.put_u8(4)?;
                out.put_varint(8)?;
                out.put_u64(deadline.0 as u64)?;
            }
        }
        Sample::Delegate(delegate) => {
            put_prefixed(out, delegate.target.as_bytes())?;
            put_prefixed(out, delegate.target_did.as_bytes())?;
            out.put_varint(delegate.sub_op)?;
        }
        Sample::Error(error) => {
            out.put_varint(error.code.to_wire())?;
            put_prefixed(out, error.detail.as_bytes())?;
            out.put_bytes(error.data)?;
        }
        Sample::Goodbye => {}
        Sample::Resumable(resumable) => {
            out.put_varint(resumable.ttl_secs)?;
            put_prefixed(out, resumable.token)?;
            out.put_varint(resumable.last_seq)?;
        }
        Sample::Resume(resume) => {
            put_prefixed(out, resume.token)?;
            out.put_varint(resume.last_recv)?;
        }
    }
    Ok(())
}

fn budget_entries(budget: &Budget) -> u64 {
    u64::from(budget.tokens.is_some())
        + u64::from(budget.cost_microunits.is_some())
        + u64::from(budget.currency.is_some())
        + u64::from(budget.deadline.is_some())
}

fn payload_len(sample: &Sample) -> usize {
    match sample {
        Sample::Hello(hello) => {
            let entries: usize = hello
                .capabilities
                .iter()
                .map(|entry| prefixed_len(entry.name.as_bytes()) + varint_len(entry.version) + 1)
                .sum();
            varint_len(hello.major)
                + varint_len(hello.minor)
                + prefixed_len(hello.node_id.as_bytes())
                + varint_len(hello.capabilities.len() as u64)
                + entries
                + 1
                + prefixed_len(hello.method.as_bytes())
                + hello.nonce.len()
                + 8
                + prefixed_len(&hello.signature)
        }
        Sample::Invoke(invoke) => {
            prefixed_len(invoke.agent.as_bytes())
                + prefixed_len(invoke.operation.as_bytes())
                + invoke.args.len()
        }
        Sample::Cancel(cancel) => {
            varint_len(cancel.reason.to_wire()) + prefixed_len(cancel.detail.as_bytes())
        }
        Sample::Budget(budget) => {
            let number = |number: Option<u64>| number.map_or(0, |number| 2 + varint_len(number));
            varint_len(budget_entries(budget))
                + number(budget.tokens)
                + number(budget.cost_microunits)
                + budget.currency.map_or(0, |_| 5)
                + budget.deadline.map_or(0, |_| 10)
        }
        Sample::Delegate(delegate) => {
            prefixed_len(delegate.target.as_bytes())
                + prefixed_len(delegate.target_did.as_bytes())
                + varint_len(delegate.sub_op)
        }
        Sample::Error(error) => {
            varint_len(error.code.to_wire())
                + prefixed_len(error.detail.as_bytes())
                + error.data.len()
        }
        Sample::Goodbye => 0,
        Sample::Resumable(resumable) => {
            varint_len(resumable.ttl_secs)
                + prefixed_len(resumable.token)
                + varint_len(resumable.last_seq)
        }
        Sample::Resume(resume) => prefixed_len(resume.token) + varint_len(resume.last_recv),
    }
}
