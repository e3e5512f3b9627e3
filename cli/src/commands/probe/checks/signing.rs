//! How the server judges signatures (`SIG`).

use aire_proto::ErrorCode;
use aire_proto::ErrorCode::{
    BadSignature, IncompatibleVersion, KeyMismatch, MalformedFrame, ReplayedNonce, StaleTimestamp,
    UnresolvableDid,
};
use aire_proto::capability::DEFINED;
use aire_proto::identity::Signer as _;
use aire_proto::wire::ErrorFrame;

use crate::commands::probe::trial::{Trial, good};
use crate::commands::probe::verdict::{Check, GOOD, Stop, Verdict, check, ensure, failed, hostile};
use crate::commands::probe::wire::{
    CANCEL, ERROR, Entry, HELLO, HelloDraft, frame, random, stranger, unix_now,
};

pub(super) const CHECKS: &[Check] = &[
    hostile!(
        tampered_signature,
        Must,
        2,
        ["SIG-12"],
        "A signature with one bit changed is BAD_SIGNATURE."
    ),
    hostile!(
        tampered_fields,
        Must,
        2,
        ["SIG-5", "SIG-12"],
        "A HELLO with one bit changed in any field that is signed is refused."
    ),
    hostile!(
        other_domain,
        Must,
        2,
        ["SIG-5", "SIG-13"],
        "A signature that was made for another type of frame is BAD_SIGNATURE."
    ),
    hostile!(
        other_key,
        Must,
        2,
        ["SIG-2"],
        "A signature by another key than the DID's is BAD_SIGNATURE."
    ),
    hostile!(
        unsigned,
        Must,
        2,
        ["SIG-7"],
        "A HELLO of minor version 2 or later without a signature is BAD_SIGNATURE."
    ),
    hostile!(
        other_algorithm,
        Must,
        2,
        ["SIG-1"],
        "An algorithm that is not Ed25519 is refused."
    ),
    hostile!(
        short_signature,
        Must,
        2,
        ["SIG-4"],
        "A signature that has not 64 bytes is refused."
    ),
    hostile!(
        stale_timestamp,
        Must,
        2,
        ["SIG-9"],
        "A timestamp that is ten minutes old is STALE_TIMESTAMP."
    ),
    hostile!(
        future_timestamp,
        Must,
        2,
        ["SIG-9"],
        "A timestamp that is ten minutes ahead is STALE_TIMESTAMP."
    ),
    hostile!(
        extreme_timestamps,
        Must,
        2,
        ["SIG-9"],
        "The least and the greatest timestamp that there are, are STALE_TIMESTAMP."
    ),
    check!(
        timestamp_in_window,
        Should,
        2,
        ["SIG-9"],
        "A timestamp that is four minutes off is taken, either way."
    ),
    hostile!(
        replayed_hello,
        Must,
        2,
        ["SIG-10"],
        "A HELLO that comes again on another connection is REPLAYED_NONCE."
    ),
    hostile!(
        reused_nonce,
        Must,
        2,
        ["SIG-10"],
        "A nonce that comes again under a new signature is REPLAYED_NONCE."
    ),
    check!(
        nonce_of_another,
        Must,
        2,
        ["SIG-10"],
        "A nonce that another identity used is taken."
    ),
    check!(
        nonce_is_not_burned,
        Should,
        2,
        ["GAP-9"],
        "A nonce under a wrong signature can be used by who owns it."
    ),
    hostile!(
        key_mismatch,
        Must,
        2,
        ["SIG-8"],
        "A verification method of another DID is KEY_MISMATCH."
    ),
    hostile!(
        other_fragment,
        Must,
        2,
        ["SIG-2", "SIG-3"],
        "A verification method that the DID does not have is UNRESOLVABLE_DID."
    ),
    hostile!(
        no_key_in_did,
        Must,
        2,
        ["ID-2", "SIG-2"],
        "A did:key that holds no Ed25519 key is UNRESOLVABLE_DID."
    ),
    hostile!(
        unknown_did_method,
        Must,
        2,
        ["SIG-2"],
        "A DID of an unknown method is UNRESOLVABLE_DID."
    ),
    hostile!(
        did_web_of_nobody,
        Must,
        2,
        ["ID-2", "SIG-2"],
        "A did:web whose host does not exist is UNRESOLVABLE_DID."
    ),
    hostile!(
        did_web_of_loopback,
        Must,
        2,
        ["SIG-2"],
        "A did:web of the server's own loopback address is UNRESOLVABLE_DID."
    ),
    hostile!(
        order_of_checks,
        Should,
        2,
        ["GAP-9"],
        "Of several faults the first in the agreed order is told."
    ),
    hostile!(
        no_detail,
        Should,
        2,
        ["SIG-14"],
        "An authentication error says no more than its code."
    ),
];

fn tampered_signature(trial: &Trial<'_>) -> Verdict {
    for from_end in [1, 32, 64] {
        let mut bytes = trial.hello().frame(trial.signer());
        let at = bytes.len() - from_end;
        bytes[at] ^= 1;
        trial.refuses_bytes(&bytes, &[BadSignature])?;
    }
    GOOD
}

/// A HELLO that says one thing, signed for another.
fn tampered(
    trial: &Trial<'_>,
    field: &str,
    codes: &[ErrorCode],
    change: impl FnOnce(&mut HelloDraft),
) -> Result<(), Stop> {
    let signed = trial.hello();
    let mut sent = signed.clone();
    change(&mut sent);
    let mut payload = sent.payload(trial.signer());
    let signature = signed.payload(trial.signer());
    let at = payload.len() - 64;
    payload.truncate(at);
    payload.extend(&signature[signature.len() - 64..]);
    trial
        .refuses_bytes(&frame(HELLO, 0, &payload), codes)
        .map_err(|stop| match stop {
            Stop::Failed(reason) => failed(format!("{field}: {reason}")),
            other => other,
        })
}

fn tampered_fields(trial: &Trial<'_>) -> Verdict {
    let bad = [BadSignature];
    let major = [IncompatibleVersion, BadSignature];
    let someone = [KeyMismatch, BadSignature, UnresolvableDid, MalformedFrame];
    tampered(trial, "major version", &major, |hello| hello.major ^= 1)?;
    tampered(trial, "minor version", &bad, |hello| hello.minor ^= 1)?;
    tampered(trial, "NodeID", &someone, |hello| {
        flip_last(&mut hello.node_id);
    })?;
    tampered(trial, "capability's name", &bad, |hello| {
        entries(hello).for_each(|entry| flip_last(&mut entry.name));
    })?;
    tampered(trial, "capability's version", &bad, |hello| {
        entries(hello).for_each(|entry| entry.version ^= 1);
    })?;
    tampered(trial, "capability's required byte", &bad, |hello| {
        entries(hello).for_each(|entry| entry.required ^= 1);
    })?;
    tampered(trial, "number of capabilities", &bad, |hello| {
        hello.capabilities.pop();
    })?;
    tampered(trial, "verification method", &someone, |hello| {
        let block = hello.block.iter_mut();
        block.for_each(|block| flip_last(&mut block.method));
    })?;
    tampered(trial, "nonce", &bad, |hello| {
        hello.block.iter_mut().for_each(|block| block.nonce[0] ^= 1);
    })?;
    tampered(trial, "timestamp", &bad, |hello| {
        hello
            .block
            .iter_mut()
            .for_each(|block| block.timestamp ^= 1);
    })?;
    GOOD
}

fn flip_last(bytes: &mut [u8]) {
    bytes.last_mut().into_iter().for_each(|byte| *byte ^= 1);
}

/// The one entry that is surely the probe's own.
fn entries(hello: &mut HelloDraft) -> impl Iterator<Item = &mut Entry> {
    let own = DEFINED[0].as_bytes();
    hello
        .capabilities
        .iter_mut()
        .filter(move |entry| entry.name == own)
}

fn other_domain(trial: &Trial<'_>) -> Verdict {
    let hello = trial.hello().block(|block| block.signed_as = CANCEL);
    good(trial.refuses(trial.signer(), &hello, &[BadSignature]))
}

fn other_key(trial: &Trial<'_>) -> Verdict {
    good(trial.refuses(&stranger(), &trial.hello(), &[BadSignature]))
}

fn unsigned(trial: &Trial<'_>) -> Verdict {
    for minor in [2, 4] {
        let mut hello = trial.hello();
        (hello.minor, hello.block) = (minor, None);
        trial.refuses(trial.signer(), &hello, &[BadSignature])?;
    }
    GOOD
}

fn other_algorithm(trial: &Trial<'_>) -> Verdict {
    for algorithm in [0, 2, 0xff] {
        let hello = trial.hello().block(|block| block.algorithm = algorithm);
        trial.refuses(trial.signer(), &hello, &[BadSignature, MalformedFrame])?;
    }
    GOOD
}

fn short_signature(trial: &Trial<'_>) -> Verdict {
    for len in [0, 63] {
        let hello = trial.hello().block(|block| block.signature_len = len);
        trial.refuses(trial.signer(), &hello, &[BadSignature, MalformedFrame])?;
    }
    GOOD
}

/// A good HELLO, but for its timestamp.
fn timed(trial: &Trial<'_>, timestamp: i64) -> HelloDraft {
    trial.hello().block(|block| block.timestamp = timestamp)
}

/// The server's clock, which the window is about.
fn server_now(trial: &Trial<'_>) -> i64 {
    unix_now().saturating_add(trial.subject.hello.clock_ahead)
}

fn stale_timestamp(trial: &Trial<'_>) -> Verdict {
    let hello = timed(trial, server_now(trial) - 600_000);
    good(trial.refuses(trial.signer(), &hello, &[StaleTimestamp]))
}

fn future_timestamp(trial: &Trial<'_>) -> Verdict {
    let hello = timed(trial, server_now(trial) + 600_000);
    good(trial.refuses(trial.signer(), &hello, &[StaleTimestamp]))
}

fn extreme_timestamps(trial: &Trial<'_>) -> Verdict {
    for timestamp in [i64::MIN, -1, 0, i64::MAX] {
        let hello = timed(trial, timestamp);
        trial.refuses(trial.signer(), &hello, &[StaleTimestamp])?;
    }
    GOOD
}

fn timestamp_in_window(trial: &Trial<'_>) -> Verdict {
    for off in [-240_000, 240_000] {
        let hello = timed(trial, server_now(trial) + off);
        trial.takes(trial.signer(), &hello)?;
    }
    GOOD
}

fn replayed_hello(trial: &Trial<'_>) -> Verdict {
    let hello = trial.hello();
    trial.takes(trial.signer(), &hello)?;
    good(trial.refuses(trial.signer(), &hello, &[ReplayedNonce]))
}

fn reused_nonce(trial: &Trial<'_>) -> Verdict {
    let nonce = random();
    let hello = || trial.hello().block(|block| block.nonce = nonce);
    trial.takes(trial.signer(), &hello())?;
    let mut again = hello().block(|block| block.timestamp -= 1000);
    again.minor = 3;
    good(trial.refuses(trial.signer(), &again, &[ReplayedNonce]))
}

fn nonce_of_another(trial: &Trial<'_>) -> Verdict {
    let nonce = random();
    let hello = trial.hello().block(|block| block.nonce = nonce);
    trial.takes(trial.signer(), &hello)?;
    let other = stranger();
    let hello = trial
        .hello_of(&other, &[])
        .block(|block| block.nonce = nonce);
    good(trial.takes(&other, &hello))
}

fn nonce_is_not_burned(trial: &Trial<'_>) -> Verdict {
    let hello = trial.hello();
    trial.refuses(&stranger(), &hello, &[BadSignature])?;
    good(trial.takes(trial.signer(), &hello))
}

fn key_mismatch(trial: &Trial<'_>) -> Verdict {
    let other = stranger();
    let hello = trial
        .hello()
        .block(|block| block.method = other.method().into());
    good(trial.refuses(&other, &hello, &[KeyMismatch]))
}

/// A HELLO of a DID that cannot be resolved.
fn unresolvable(trial: &Trial<'_>, did: &str, fragment: &str) -> Verdict {
    let mut hello = trial.hello();
    hello.node_id = did.into();
    let hello = hello.block(|block| block.method = format!("{did}#{fragment}").into());
    good(trial.refuses(trial.signer(), &hello, &[UnresolvableDid]))
}

fn other_fragment(trial: &Trial<'_>) -> Verdict {
    let other = stranger();
    let hello = trial
        .hello_of(&other, &[])
        .block(|block| block.method = format!("{}#key-1", other.did()).into());
    good(trial.refuses(&other, &hello, &[UnresolvableDid]))
}

fn no_key_in_did(trial: &Trial<'_>) -> Verdict {
    for key in [
        "z",
        "z0OIl",
        "z6Mk",
        // secp256k1's.
        "zQ3shokFTS3brHcDQrn82RUDfCZESWL1ZdCEJwekUDPQiYBme",
    ] {
        unresolvable(trial, &format!("did:key:{key}"), key)?;
    }
    GOOD
}

fn unknown_did_method(trial: &Trial<'_>) -> Verdict {
    unresolvable(trial, "did:aireprobe:nobody", "key-1")
}

fn did_web_of_nobody(trial: &Trial<'_>) -> Verdict {
    unresolvable(trial, "did:web:aire-probe.invalid", "key-1")
}

fn did_web_of_loopback(trial: &Trial<'_>) -> Verdict {
    unresolvable(trial, "did:web:127.0.0.1%3A1", "key-1")
}

fn order_of_checks(trial: &Trial<'_>) -> Verdict {
    let other = stranger();
    // Major before signature; whose method before timestamp; timestamp before key and signature.
    let mut hello = timed(trial, 0);
    hello.major = 7;
    trial.refuses(&other, &hello, &[IncompatibleVersion])?;
    let hello = timed(trial, 0).block(|block| block.method = other.method().into());
    trial.refuses(trial.signer(), &hello, &[KeyMismatch])?;
    trial.refuses(&other, &timed(trial, 0), &[StaleTimestamp])?;
    // Signature before capabilities.
    let mut hello = trial.hello();
    let required = "x-aire-probe.nobody-has-it/1";
    let entry = Entry::new(required, true);
    hello.capabilities.push(entry);
    good(trial.refuses(&other, &hello, &[BadSignature]))
}

fn no_detail(trial: &Trial<'_>) -> Verdict {
    let mut peer = trial.connect()?;
    peer.send(0, &trial.hello().frame(&stranger()), false)?;
    peer.refused(&[BadSignature])?;
    for frame in peer.frames(0).iter().filter(|frame| frame.kind == ERROR) {
        let error = ErrorFrame::decode(&frame.payload)
            .map_err(|error| failed(format!("the ERROR does not parse: {error}")))?;
        ensure(error.detail.is_empty() && error.data.is_empty(), || {
            format!("the ERROR says {:?}", error.detail)
        })?;
    }
    GOOD
}
