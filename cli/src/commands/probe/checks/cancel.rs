//! Cancellation (`CAN`), and frames that are signed behind HELLO (`SIG-13`).

use std::time::{Duration, Instant};

use aire_proto::ErrorCode::{BadSignature, Cancelled, KeyMismatch};
use aire_proto::identity::Ed25519Signer;
use aire_proto::wire::Cancel;
use aire_proto::{CancelReason, ErrorCode};

use super::wire::is_malformed;
use crate::commands::probe::peer::{Answer, Peer};
use crate::commands::probe::trial::{Trial, good};
use crate::commands::probe::verdict::{Check, GOOD, Stop, Verdict, check, ensure, failed, hostile};
use crate::commands::probe::wire::{Block, CANCEL, encode, frame, number, prefixed, stranger};

pub(super) const CHECKS: &[Check] = &[
    check!(
        reset_cancels,
        Must,
        0,
        ["CAN-1"],
        "A client's reset of an operation's stream stops the operation."
    ),
    check!(
        stop_cancels,
        Must,
        0,
        ["CAN-1", "GAP-4"],
        "A client that asks for no more of an operation gets no more, and is served on."
    ),
    check!(
        cancel_ends,
        Must,
        3,
        ["CAN-2", "CAN-5"],
        "CANCEL stops an operation: its terminal frame and FIN come within 5 s."
    ),
    check!(
        cancel_ends_early,
        Must,
        3,
        ["CAN-5"],
        "A CANCEL that comes with its INVOKE does the same."
    ),
    check!(
        cancel_empty,
        Must,
        3,
        ["CAN-2"],
        "A CANCEL with an empty payload does the same."
    ),
    hostile!(
        cancel_twice,
        Must,
        3,
        ["CAN-5"],
        "A CANCEL that comes twice does no more."
    ),
    check!(
        cancel_other_reasons,
        Must,
        3,
        ["CAN-4"],
        "Reasons that are reserved, or a vendor's, cancel too."
    ),
    check!(
        cancel_after_end,
        Must,
        3,
        ["CAN-6"],
        "A CANCEL after the operation's end is dropped."
    ),
    check!(
        cancel_one_of_two,
        Must,
        3,
        ["CAN-5"],
        "A CANCEL ends its operation, and no other."
    ),
    hostile!(
        cancel_malformed,
        Must,
        3,
        ["CAN-2", "WIRE-16"],
        "A CANCEL whose detail is cut or not UTF-8 is MALFORMED_FRAME."
    ),
    check!(
        cancel_signed,
        May,
        3,
        ["SIG-13"],
        "A CANCEL with a good signature cancels."
    ),
    hostile!(
        cancel_signed_wrong,
        May,
        3,
        ["SIG-13"],
        "A CANCEL with a wrong signature is BAD_SIGNATURE."
    ),
    hostile!(
        cancel_signed_by_another,
        Must,
        3,
        ["SIG-8"],
        "A CANCEL that another identity signed is KEY_MISMATCH."
    ),
];

/// Longer than any check waits.
const MANY: u32 = 2_000;

fn reset_cancels(trial: &Trial<'_>) -> Verdict {
    let mut peer = trial.streaming(MANY, 20)?;
    peer.reset(4, Cancelled.to_wire());
    let answer = peer.answer(4)?;
    ensure(answer.streams.len() < MANY as usize, || {
        "it went on to its end".into()
    })?;
    good(trial.serves(&mut peer, 8))
}

fn stop_cancels(trial: &Trial<'_>) -> Verdict {
    let mut peer = trial.streaming(MANY, 20)?;
    peer.stop(4, Cancelled.to_wire());
    good(trial.serves(&mut peer, 8))
}

fn cancel(reason: CancelReason, detail: &str) -> Vec<u8> {
    encode(4, &Cancel { reason, detail })
}

/// Sends `cancel` on operation 4, which ends cancelled and in time.
fn ends(peer: &mut Peer, cancel: &[u8]) -> Result<Answer, Stop> {
    peer.send(4, cancel, false)?;
    let sent = Instant::now();
    let answer = peer.answer(4)?;
    let took = sent.elapsed();
    let is_cancelled = answer.reset.is_none() && matches!(answer.error, Some(Cancelled));
    // Or it ended well in the very moment: with a final STREAM.
    let is_final = answer.is_good() && answer.streams.len() < MANY as usize;
    ensure(is_cancelled || is_final || answer.cancel.is_some(), || {
        format!("it came to {}", answer.describe())
    })?;
    ensure(took <= CANCEL_TIME + ON_THE_WAY, || {
        format!("its end took {} ms", took.as_millis())
    })?;
    Ok(answer)
}

/// How long a CANCEL may wait for the terminal frame (`CAN-5`).
const CANCEL_TIME: Duration = Duration::from_secs(5);

/// What the way there and back may take on top of it.
const ON_THE_WAY: Duration = Duration::from_secs(1);

fn cancel_ends(trial: &Trial<'_>) -> Verdict {
    let mut peer = trial.streaming(MANY, 20)?;
    let cancel = cancel(CancelReason::UserCancelled, "enough of it");
    let answer = ends(&mut peer, &cancel)?;
    trial.serves(&mut peer, 8)?;
    Ok(Some(answer.describe()))
}

fn cancel_ends_early(trial: &Trial<'_>) -> Verdict {
    let mut peer = trial.greet()?;
    let cancel = cancel(CancelReason::UserCancelled, "");
    trial.stream_on(&mut peer, 4, MANY, 20, &cancel)?;
    ends(&mut peer, b"")?;
    good(trial.serves(&mut peer, 8))
}

fn cancel_empty(trial: &Trial<'_>) -> Verdict {
    let mut peer = trial.streaming(MANY, 20)?;
    ends(&mut peer, &frame(CANCEL, 4, b""))?;
    good(trial.serves(&mut peer, 8))
}

fn cancel_twice(trial: &Trial<'_>) -> Verdict {
    let mut peer = trial.streaming(MANY, 20)?;
    let cancel = cancel(CancelReason::UserCancelled, "");
    ends(&mut peer, &[cancel.clone(), cancel].concat())?;
    good(trial.serves(&mut peer, 8))
}

fn cancel_other_reasons(trial: &Trial<'_>) -> Verdict {
    for reason in [0x3f, 0x40, (1 << 62) - 1] {
        let mut peer = trial.streaming(MANY, 20)?;
        ends(&mut peer, &cancel(CancelReason::Other(reason), ""))?;
        trial.serves(&mut peer, 8)?;
    }
    GOOD
}

fn cancel_after_end(trial: &Trial<'_>) -> Verdict {
    let mut peer = trial.greet()?;
    peer.send(4, &trial.invoke(4, b"over"), false)?;
    trial.served(&mut peer, 4, b"over")?;
    peer.send(4, &cancel(CancelReason::UserCancelled, "too late"), true)?;
    trial.serves(&mut peer, 8)?;
    good(trial.served(&mut peer, 4, b"over"))
}

fn cancel_one_of_two(trial: &Trial<'_>) -> Verdict {
    let mut peer = trial.streaming(MANY, 20)?;
    trial.stream_on(&mut peer, 8, 20, 20, b"")?;
    ends(&mut peer, &cancel(CancelReason::UserCancelled, ""))?;
    let other = peer.answer(8)?;
    ensure(other.is_good() && other.streams.len() == 20, || {
        format!("the other one came to {}", other.describe())
    })?;
    GOOD
}

fn cancel_malformed(trial: &Trial<'_>) -> Verdict {
    let not_utf8 = [number(0), prefixed(b"\xff\xfe")].concat();
    let cut = [number(0), number(9), b"cut".into()].concat();
    for payload in [not_utf8, cut] {
        let mut peer = trial.streaming(MANY, 20)?;
        peer.send(4, &frame(CANCEL, 4, &payload), false)?;
        is_malformed(&mut peer, 4)?;
    }
    GOOD
}

/// CANCEL of operation 4, with a block of `signer`.
fn signed(signer: &Ed25519Signer) -> Vec<u8> {
    let inner = [number(0), prefixed(b"signed")].concat();
    let payload = Block::new(signer, CANCEL).sign(signer, &[], &inner);
    frame(CANCEL, 4, &payload)
}

/// A CANCEL that is refused, with its operation or the whole connection.
fn refuses(peer: &mut Peer, cancel: &[u8], code: ErrorCode) -> Result<(), Stop> {
    peer.send(4, cancel, false)?;
    peer.until(&code.to_string(), |peer| {
        peer.is_refused() || peer.has_ended(4)
    })?;
    if !peer.has_ended(4) {
        return peer.refused(&[code]);
    }
    let answer = peer.answer(4)?;
    match answer.error {
        Some(said) if said == code => Ok(()),
        _ => Err(failed(format!(
            "{code} was expected; it came to {}",
            answer.describe()
        ))),
    }
}

fn cancel_signed(trial: &Trial<'_>) -> Verdict {
    let mut peer = trial.streaming(MANY, 20)?;
    ends(&mut peer, &signed(trial.signer()))?;
    good(trial.serves(&mut peer, 8))
}

fn cancel_signed_wrong(trial: &Trial<'_>) -> Verdict {
    let mut peer = trial.streaming(MANY, 20)?;
    let mut cancel = signed(trial.signer());
    cancel.last_mut().into_iter().for_each(|byte| *byte ^= 1);
    good(refuses(&mut peer, &cancel, BadSignature))
}

fn cancel_signed_by_another(trial: &Trial<'_>) -> Verdict {
    let mut peer = trial.streaming(MANY, 20)?;
    good(refuses(&mut peer, &signed(&stranger()), KeyMismatch))
}
