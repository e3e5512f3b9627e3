//! Identities that are bound to the connection (`GAP-21`).

use aire_proto::ErrorCode::BadSignature;
use aire_proto::capability::CHANNEL_BINDING;
use aire_proto::identity::{Ed25519Verifier, SignatureVerifier as _, SignedMessage};
use aire_proto::wire::{FrameType, SignatureBlock, domain_separator};

use crate::commands::probe::peer::Peer;
use crate::commands::probe::trial::{Trial, exporter, good};
use crate::commands::probe::verdict::{
    Check, GOOD, Stop, Verdict, check, ensure, failed, hostile, not_applicable,
};
use crate::commands::probe::wire::{BINDING, binding};

pub(super) const CHECKS: &[Check] = &[
    check!(
        binding_is_optional,
        Should,
        2,
        ["GAP-21"],
        "A client that does not bind its identity to the connection is served."
    ),
    check!(
        binding_is_taken,
        Should,
        2,
        ["GAP-21"],
        "A client that binds its identity to the connection is served, and so does the server bind."
    ),
    hostile!(
        binding_of_another,
        Should,
        2,
        ["GAP-21"],
        "A binding that was made for another connection is BAD_SIGNATURE."
    ),
];

fn binding_is_optional(trial: &Trial<'_>) -> Verdict {
    if trial.must_bind() {
        return Err(not_applicable("the server requires it"));
    }
    let mut peer = trial.greet()?;
    trial.serves(&mut peer, 4)?;
    ensure(peer.count(0, BINDING) == 0, || {
        "the server sent a binding that was not agreed on".into()
    })?;
    GOOD
}

/// A connection on which both sides agreed to bind, and its value.
fn agreed(trial: &Trial<'_>) -> Result<(Peer, [u8; 32]), Stop> {
    if !trial.subject.hello.has(CHANNEL_BINDING) {
        return Err(not_applicable(format!(
            "the server does not advertise {CHANNEL_BINDING}"
        )));
    }
    let hello = trial.hello_of(trial.signer(), &[CHANNEL_BINDING]);
    let mut peer = trial.greet_unbound(trial.signer(), &hello)?;
    let value = exporter(&mut peer)?;
    Ok((peer, value))
}

fn binding_is_taken(trial: &Trial<'_>) -> Verdict {
    let (mut peer, value) = agreed(trial)?;
    peer.send(0, &binding(trial.signer(), &value), false)?;
    trial.serves(&mut peer, 4)?;
    peer.until("the server's binding", |peer| peer.count(0, BINDING) > 0)?;
    let mut frames = peer.frames(0).iter();
    let Some(theirs) = frames.find(|frame| frame.kind == BINDING) else {
        return Err(failed("the server sent no binding"));
    };
    let (block, covered) = SignatureBlock::decode(&theirs.payload)
        .map_err(|error| failed(format!("the server's binding does not parse: {error}")))?;
    ensure(block.did() == trial.subject.hello.node_id, || {
        format!("{} bound in place of the server", block.did())
    })?;
    let key = trial.key(block.method)?;
    let signed = [&value[..], &theirs.payload[..covered]].concat();
    let message = SignedMessage {
        separator: &domain_separator(FrameType::from_wire(BINDING)),
        covered: &signed,
    };
    let is_good = block
        .signature
        .try_into()
        .is_ok_and(|signature| Ed25519Verifier.verify(&key, message, signature));
    ensure(is_good, || {
        "the server's binding is not for this connection".into()
    })?;
    GOOD
}

fn binding_of_another(trial: &Trial<'_>) -> Verdict {
    let (mut peer, mut value) = agreed(trial)?;
    value[0] ^= 1;
    peer.send(0, &binding(trial.signer(), &value), false)?;
    good(peer.refused(&[BadSignature]))
}
