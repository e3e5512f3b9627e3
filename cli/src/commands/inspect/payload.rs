//! What the bytes of each frame's payload are.

use aire_proto::accounting::Accounting;
use aire_proto::delegation::{MAX_HOPS, Path};
use aire_proto::wire::{
    Budget, Cancel, Currency, Delegate, ErrorFrame, FrameType, Hello, Invoke, MAX_CAPABILITIES,
    Malformed, NONCE_LEN, Resumable, Resume, SignatureBlock,
};
use aire_proto::{CancelReason, ErrorCode, varint};
use jiff::Timestamp;

use super::signature::Verdict;
use super::walk::{Frame, Step, Walk, opaque};

/// Explains a payload, and has the protocol's decoder judge it.
pub(super) fn explain(kind: FrameType, walk: &mut Walk<'_>, frame: &mut Frame) -> Step<()> {
    let start = walk.at;
    let payload = walk.rest();
    match kind {
        FrameType::Hello => hello(walk)?,
        FrameType::Invoke => invoke(walk)?,
        FrameType::Stream => stream(walk),
        FrameType::Cancel => cancel(walk)?,
        FrameType::Budget => budget(walk)?,
        FrameType::Delegate => delegate(walk)?,
        FrameType::Error => error(walk)?,
        FrameType::Resumable => resumable(walk)?,
        FrameType::Resume => resume(walk)?,
        FrameType::Vendor(0x80) => block(walk)?,
        FrameType::Vendor(0x81) => path(walk)?,
        FrameType::Goodbye | FrameType::CapabilityUpdate => {}
        FrameType::Reserved(_) | FrameType::Vendor(_) => walk.remaining("Payload", opaque),
    }
    walk.remaining("Further bytes", |rest| {
        format!("{} bytes that this version does not know", rest.len())
    });
    let judged = |malformed: Malformed| (start, malformed.to_string());
    frame.signature = judge(kind, payload).map_err(judged)?;
    if let FrameType::CapabilityUpdate | FrameType::Reserved(_) = kind {
        frame
            .remarks
            .push("a node closes the connection over it".into());
    }
    Ok(())
}

/// What the protocol's own decoder makes of it.
fn judge(kind: FrameType, payload: &[u8]) -> Result<Option<Verdict>, Malformed> {
    let verdict = |block: &SignatureBlock<'_>, covered, did| {
        Some(Verdict::of(kind, payload, block, covered, did))
    };
    Ok(match kind {
        FrameType::Hello => {
            let hello = Hello::decode(payload)?;
            let block = hello.block.as_ref();
            block.and_then(|block| verdict(block, hello.covered, Some(hello.node_id)))
        }
        FrameType::Cancel => {
            let (_, block) = Cancel::decode_signed(payload)?;
            block.and_then(|(block, covered)| verdict(&block, covered, None))
        }
        FrameType::Vendor(0x80) => {
            let (block, _) = SignatureBlock::decode(payload)?;
            Some(Verdict::binding(&block))
        }
        FrameType::Invoke => Invoke::decode(payload).map(|_| None)?,
        FrameType::Budget => Budget::decode(payload).map(|_| None)?,
        FrameType::Delegate => Delegate::decode(payload).map(|_| None)?,
        FrameType::Error => ErrorFrame::decode(payload).map(|_| None)?,
        FrameType::Resumable => Resumable::decode(payload).map(|_| None)?,
        FrameType::Resume => Resume::decode(payload).map(|_| None)?,
        FrameType::Vendor(0x81) => match Path::decode(payload) {
            Err(aire_proto::delegation::PathError::Malformed(malformed)) => return Err(malformed),
            _ => None,
        },
        _ => None,
    })
}

fn hello(walk: &mut Walk<'_>) -> Step<()> {
    walk.varint("VerMajor", |major| format!("speaks version {major}.x"))?;
    walk.varint("VerMinor", |minor| format!("up to minor {minor}"))?;
    walk.string("NodeID")?;
    let count = walk.varint("NumCaps", |count| format!("{count} capabilities"))?;
    if count > MAX_CAPABILITIES {
        let reason = format!("{count} capabilities are more than {MAX_CAPABILITIES}");
        return Err((walk.at, reason));
    }
    for nth in 1..=count {
        walk.string(&format!("Capability {nth} name"))?;
        walk.varint(&format!("Capability {nth} version"), |minor| {
            format!("minor {minor}")
        })?;
        walk.u8(&format!("Capability {nth} required"), |byte| match byte {
            0 => "not required".into(),
            1 => "required".into(),
            _ => "neither 0 nor 1 (HS-5)".into(),
        })?;
    }
    match walk.rest().is_empty() {
        true => Ok(()),
        false => block(walk),
    }
}

/// A signature block (`SIG-4`).
fn block(walk: &mut Walk<'_>) -> Step<()> {
    walk.u8("AlgID", |algorithm| match algorithm {
        SignatureBlock::ED25519 => "Ed25519".into(),
        _ => "unknown: only 0x01, Ed25519, is (SIG-1)".into(),
    })?;
    walk.string("VerificationMethod")?;
    walk.bytes("Nonce", NONCE_LEN, |_| "fresh random bytes (SIG-6)".into())?;
    walk.bytes("Timestamp", 8, |bytes| instant(bytes, "signed at"))?;
    walk.prefixed("Signature", |bytes| match bytes.len() {
        64 => "over all before it (SIG-5)".into(),
        len => format!("{len} bytes, where Ed25519 has 64"),
    })?;
    Ok(())
}

/// Eight bytes of milliseconds since 1970.
fn instant(bytes: &[u8], what: &str) -> String {
    let millis = bytes.try_into().map(i64::from_be_bytes).unwrap_or_default();
    match Timestamp::from_millisecond(millis) {
        Ok(time) => format!("{what} {time:.3}"),
        Err(_) => format!("{what} {millis} ms, which no calendar has"),
    }
}

fn invoke(walk: &mut Walk<'_>) -> Step<()> {
    walk.string("Agent")?;
    walk.string("Operation")?;
    walk.remaining("Arguments", opaque);
    Ok(())
}

fn stream(walk: &mut Walk<'_>) {
    walk.remaining("Payload", |bytes| match Accounting::decode(bytes) {
        Some(accounting) => accounted(&accounting),
        None => opaque(bytes),
    });
}

fn accounted(accounting: &Accounting) -> String {
    let cost = accounting.cost.map(|cost| {
        let currency = Currency::new(cost.currency).unwrap_or(Currency::USD);
        format!(", {} millionths of {currency}", cost.amount)
    });
    format!(
        "accounting (BUD-11): {} tokens in, {} tokens out{}, {} ms",
        accounting.tokens_in,
        accounting.tokens_out,
        cost.unwrap_or_default(),
        accounting.duration_ms
    )
}

fn cancel(walk: &mut Walk<'_>) -> Step<()> {
    // An empty payload is reason 0 without a detail.
    if walk.rest().is_empty() {
        return Ok(());
    }
    walk.varint("Reason", |reason| {
        CancelReason::from_wire(reason).to_string()
    })?;
    walk.string("Detail")?;
    match walk.rest().is_empty() {
        true => Ok(()),
        false => block(walk),
    }
}

fn budget(walk: &mut Walk<'_>) -> Step<()> {
    let count = walk.varint("NumEntry", |count| format!("{count} entries"))?;
    for nth in 1..=count {
        let field = walk.u8(&format!("Entry {nth} field"), |field| match field {
            0x01 => "tokens".into(),
            0x02 => "cost".into(),
            0x03 => "currency".into(),
            0x04 => "deadline".into(),
            0x81 => "tokens spent, of ours".into(),
            0x82 => "cost spent, of ours".into(),
            _ => "unknown, skipped (BUD-1)".into(),
        })?;
        walk.prefixed(&format!("Entry {nth} value"), |value| entry(field, value))?;
    }
    Ok(())
}

fn entry(field: u8, value: &[u8]) -> String {
    let number = match varint::decode(value) {
        Some((number, len)) if len == value.len() => Some(number),
        _ => None,
    };
    match (field, number) {
        (0x01, Some(tokens)) => format!("{tokens} tokens may be spent"),
        (0x02, Some(cost)) => format!("{cost} millionths may be spent"),
        (0x81, Some(tokens)) => format!("{tokens} tokens are spent"),
        (0x82, Some(cost)) => format!("{cost} millionths are spent"),
        (0x03, _) => opaque(value),
        (0x04, _) if value.len() == 8 => instant(value, "until"),
        (0x01 | 0x02 | 0x04 | 0x81 | 0x82, _) => "of the wrong length for its field".into(),
        _ => opaque(value),
    }
}

fn delegate(walk: &mut Walk<'_>) -> Step<()> {
    walk.string("Target")?;
    walk.string("TargetDID")?;
    walk.varint("SubOp", |id| match id {
        0 => "not known".into(),
        id => format!("operation {id} there"),
    })?;
    Ok(())
}

fn error(walk: &mut Walk<'_>) -> Step<()> {
    walk.varint("Code", |code| ErrorCode::from_wire(code).to_string())?;
    walk.string("Detail")?;
    walk.remaining("Data", |bytes| match Accounting::decode(bytes) {
        Some(accounting) => accounted(&accounting),
        None => opaque(bytes),
    });
    Ok(())
}

fn resumable(walk: &mut Walk<'_>) -> Step<()> {
    walk.varint("TTL", |seconds| format!("for {seconds} s from now"))?;
    walk.prefixed("Token", |token| {
        format!("{} bytes, to resume with: a secret", token.len())
    })?;
    walk.varint("LastSeq", |seq| format!("{seq} STREAM frames were sent"))?;
    Ok(())
}

fn resume(walk: &mut Walk<'_>) -> Step<()> {
    walk.prefixed("Token", |token| {
        format!("{} bytes, to resume with: a secret", token.len())
    })?;
    walk.varint("LastRecv", |seq| {
        format!("{seq} STREAM frames were received")
    })?;
    Ok(())
}

/// The path of a delegated operation, a vendor frame of ours.
fn path(walk: &mut Walk<'_>) -> Step<()> {
    let count = walk.varint("NumHops", |count| format!("{count} hops"))?;
    if count > MAX_HOPS as u64 {
        let reason = format!("{count} hops are more than {MAX_HOPS}");
        return Err((walk.at, reason));
    }
    for nth in 1..=count {
        walk.string(&format!("Hop {nth} DID"))?;
        walk.string(&format!("Hop {nth} agent"))?;
    }
    Ok(())
}
