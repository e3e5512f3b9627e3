//! How the server signs (`SIG`).

use aire_proto::identity::{Ed25519Verifier, SignatureVerifier as _, SignedMessage};
use aire_proto::wire::{FrameType, Hello, SignatureBlock, domain_separator};

use crate::commands::probe::trial::Trial;
use crate::commands::probe::verdict::{Check, GOOD, Stop, Verdict, check, ensure, failed};
use crate::commands::probe::wire::unix_now;

pub(super) const CHECKS: &[Check] = &[
    check!(
        own_block,
        Must,
        2,
        ["SIG-1", "SIG-4", "SIG-7"],
        "The server's HELLO carries a signature block of Ed25519, with 64 bytes of signature."
    ),
    check!(
        own_method,
        Must,
        2,
        ["SIG-3", "SIG-8"],
        "The server's verification method belongs to its NodeID."
    ),
    check!(
        own_signature,
        Must,
        2,
        ["SIG-2", "SIG-5"],
        "The server's signature is good, by the key of its DID."
    ),
    check!(
        own_timestamp,
        Must,
        2,
        ["SIG-9"],
        "The server's clock is within 300 s of this machine's."
    ),
    check!(
        own_nonce,
        Must,
        2,
        ["SIG-6"],
        "The server's nonces are fresh and differ."
    ),
];

/// The server's HELLO of a connection that is just made.
fn fresh(trial: &Trial<'_>) -> Result<Vec<u8>, Stop> {
    let peer = trial.greet()?;
    Ok(peer.frames(0)[0].payload.clone())
}

fn read(payload: &[u8]) -> Result<(Hello<'_>, SignatureBlock<'_>), Stop> {
    let hello = Hello::decode(payload).map_err(|error| failed(error.to_string()))?;
    let block = hello
        .block
        .ok_or_else(|| failed("the server's HELLO is not signed"))?;
    Ok((hello, block))
}

fn own_block(trial: &Trial<'_>) -> Verdict {
    let (_, block) = read(&trial.subject.hello.payload)?;
    let (algorithm, len) = (block.algorithm, block.signature.len());
    ensure(algorithm == SignatureBlock::ED25519, || {
        format!("its algorithm is {algorithm:#04x}")
    })?;
    ensure(len == 64, || format!("its signature has {len} bytes"))?;
    GOOD
}

fn own_method(trial: &Trial<'_>) -> Verdict {
    let (hello, block) = read(&trial.subject.hello.payload)?;
    ensure(block.did() == hello.node_id, || {
        format!("{:?} is no method of {:?}", block.method, hello.node_id)
    })?;
    let key = hello.node_id.strip_prefix("did:key:");
    let right = key.map(|key| format!("{}#{key}", hello.node_id));
    ensure(right.is_none_or(|right| right == block.method), || {
        format!("the method of a did:key is not named {:?}", block.method)
    })?;
    GOOD
}

fn own_signature(trial: &Trial<'_>) -> Verdict {
    let payload = fresh(trial)?;
    let (hello, block) = read(&payload)?;
    let key = trial.key(block.method)?;
    let message = SignedMessage {
        separator: &domain_separator(FrameType::Hello),
        covered: &payload[..hello.covered],
    };
    let is_good = block
        .signature
        .try_into()
        .is_ok_and(|signature| Ed25519Verifier.verify(&key, message, signature));
    ensure(is_good, || "its signature is wrong".into())?;
    GOOD
}

fn own_timestamp(trial: &Trial<'_>) -> Verdict {
    let payload = fresh(trial)?;
    let (_, block) = read(&payload)?;
    let ahead = block.timestamp.0.saturating_sub(unix_now());
    ensure(ahead.unsigned_abs() <= 300_000, || {
        format!("its clock is {ahead} ms ahead of this machine's")
    })?;
    GOOD
}

fn own_nonce(trial: &Trial<'_>) -> Verdict {
    let payloads = [fresh(trial)?, fresh(trial)?, fresh(trial)?];
    let mut nonces = Vec::new();
    for payload in &payloads {
        nonces.push(*read(payload)?.1.nonce);
    }
    ensure(!nonces.contains(&[0; 16]), || "one is all zeros".into())?;
    nonces.sort_unstable();
    nonces.dedup();
    ensure(nonces.len() == payloads.len(), || "one came twice".into())?;
    GOOD
}
