//! Resumption (`RES`).

use aire_proto::ErrorCode::{self, MalformedFrame, ProtocolViolation, ResumeInvalid};
use aire_proto::capability::RESUMABLE as CAPABILITY;
use aire_proto::identity::Ed25519Signer;
use aire_proto::wire::{Resumable, Resume};

use crate::commands::probe::peer::{Answer, Peer};
use crate::commands::probe::trial::{Trial, good};
use crate::commands::probe::verdict::{
    Check, GOOD, Stop, Verdict, check, ensure, failed, hostile, not_applicable, skipped,
};
use crate::commands::probe::wire::{RESUMABLE, RESUME, STREAM, encode, frame, random, stranger};

pub(super) const CHECKS: &[Check] = &[
    hostile!(
        resume_inactive,
        Must,
        4,
        ["RES-1", "CAP-9"],
        "RESUME where aire.resumable/1 is not active is PROTOCOL_VIOLATION."
    ),
    hostile!(
        resumable_inactive,
        Must,
        4,
        ["RES-1", "CAP-9"],
        "So is RESUMABLE."
    ),
    hostile!(
        resume_unknown_token,
        Must,
        4,
        ["RES-5"],
        "RESUME with a token that nobody issued is RESUME_INVALID, for that stream alone."
    ),
    hostile!(
        resume_odd_tokens,
        Must,
        4,
        ["RES-5"],
        "So it is with an empty token, and with one of 1,000 bytes."
    ),
    hostile!(
        resume_malformed,
        Must,
        4,
        ["RES-3"],
        "A RESUME that is cut is MALFORMED_FRAME."
    ),
    check!(
        resumable_shape,
        Must,
        4,
        ["RES-2", "RES-8", "RES-9"],
        "A RESUMABLE has a TTL, and a token of 16 bytes or more."
    ),
    check!(
        tokens_differ,
        Must,
        4,
        ["RES-9"],
        "Two operations have different tokens."
    ),
    check!(
        resume_goes_on,
        Must,
        4,
        ["RES-3", "RES-4", "RES-5"],
        "RESUME on a new connection replays what is missing, and goes on to the end."
    ),
    check!(
        resume_after_end,
        Must,
        4,
        ["RES-5", "RES-8"],
        "An operation that is over is replayed with its end."
    ),
    hostile!(
        resume_token_is_spent,
        Should,
        4,
        ["RES-10"],
        "A token that was used is RESUME_INVALID."
    ),
    hostile!(
        resume_by_another,
        Should,
        4,
        ["GAP-17"],
        "Another identity's RESUME is RESUME_INVALID."
    ),
];

fn resume(op: u64, token: &[u8], last_recv: u64) -> Vec<u8> {
    encode(op, &Resume { token, last_recv })
}

fn resume_inactive(trial: &Trial<'_>) -> Verdict {
    let mut peer = trial.greet()?;
    peer.send(4, &resume(4, &random::<32>(), 0), false)?;
    good(peer.refused(&[ProtocolViolation]))
}

fn resumable_inactive(trial: &Trial<'_>) -> Verdict {
    let mut peer = trial.streaming(2_000, 20)?;
    let resumable = Resumable {
        ttl_secs: 60,
        token: &random::<32>(),
        last_seq: 0,
    };
    peer.send(4, &encode(4, &resumable), false)?;
    good(peer.refused(&[ProtocolViolation]))
}

/// A connection on which operations can be resumed.
fn resuming(trial: &Trial<'_>) -> Result<Peer, Stop> {
    resuming_as(trial, trial.signer())
}

fn resuming_as(trial: &Trial<'_>, signer: &Ed25519Signer) -> Result<Peer, Stop> {
    if !trial.subject.hello.has(CAPABILITY) {
        return Err(not_applicable(format!(
            "the server does not advertise {CAPABILITY}"
        )));
    }
    trial.greet_as(signer, &trial.hello_of(signer, &[CAPABILITY]))
}

/// RESUME of these on operation 4 comes to `code`, and the connection goes on.
fn refuses(trial: &Trial<'_>, resume: &[u8], code: ErrorCode) -> Result<(), Stop> {
    refuses_as(trial, trial.signer(), resume, code)
}

fn refuses_as(
    trial: &Trial<'_>,
    signer: &Ed25519Signer,
    resume: &[u8],
    code: ErrorCode,
) -> Result<(), Stop> {
    let mut peer = resuming_as(trial, signer)?;
    peer.send(4, resume, true)?;
    let answer = peer.answer(4)?;
    ensure(answer.error == Some(code), || {
        format!("{code} was expected; it came to {}", answer.describe())
    })?;
    trial.serves(&mut peer, 8)
}

fn resume_unknown_token(trial: &Trial<'_>) -> Verdict {
    let resume = resume(4, &random::<32>(), 0);
    good(refuses(trial, &resume, ResumeInvalid))
}

fn resume_odd_tokens(trial: &Trial<'_>) -> Verdict {
    for token in [&[][..], &[7; 1_000]] {
        refuses(trial, &resume(4, token, 3), ResumeInvalid)?;
    }
    GOOD
}

fn resume_malformed(trial: &Trial<'_>) -> Verdict {
    // A token that is longer than the frame, and no LastRecv.
    for payload in [&[32, 1, 2, 3][..], &[2, 1, 2], &[]] {
        refuses(trial, &frame(RESUME, 4, payload), MalformedFrame)?;
    }
    GOOD
}

/// What is needed to go on with operation 4.
struct Ticket {
    ttl_secs: u64,
    token: Vec<u8>,
    payloads: Vec<Vec<u8>>,
}

/// Begins a resumable operation of `count` frames, and loses the connection when `seen` frames
/// came; or when it is over, with `seen` as `count`.
fn lose(trial: &Trial<'_>, count: u32, pause: u32, seen: usize) -> Result<Ticket, Stop> {
    let mut peer = resuming(trial)?;
    trial.stream_on(&mut peer, 4, count, pause, b"")?;
    peer.until("STREAM frames", |peer| {
        peer.has_ended(4) || (seen < count as usize && peer.count(4, STREAM) >= seen)
    })?;
    let frames = peer.frames(4);
    let last = frames.iter().rfind(|frame| frame.kind == RESUMABLE);
    let Some(last) = last else {
        let words = "the operation that streams is not resumable: no RESUMABLE came";
        return Err(skipped(words));
    };
    let resumable = Resumable::decode(&last.payload)
        .map_err(|error| failed(format!("the RESUMABLE does not parse: {error}")))?;
    let streams = frames.iter().filter(|frame| frame.kind == STREAM);
    let ticket = Ticket {
        ttl_secs: resumable.ttl_secs,
        token: resumable.token.into(),
        payloads: streams.map(|frame| frame.payload.clone()).collect(),
    };
    // A client whose network is gone says no farewell; here it does, since an idle timeout would
    // outlast the check.
    drop(peer);
    Ok(ticket)
}

fn resumable_shape(trial: &Trial<'_>) -> Verdict {
    let ticket = lose(trial, 3, 0, 3)?;
    ensure(ticket.ttl_secs > 0, || "its TTL is zero".into())?;
    let len = ticket.token.len();
    ensure(len >= 16, || format!("its token has {len} bytes"))?;
    Ok(Some(format!(
        "{} s, a token of {len} bytes",
        ticket.ttl_secs
    )))
}

fn tokens_differ(trial: &Trial<'_>) -> Verdict {
    let (one, other) = (lose(trial, 3, 0, 3)?, lose(trial, 3, 0, 3)?);
    ensure(one.token != other.token, || {
        "they have the same token".into()
    })?;
    GOOD
}

/// Resumes behind the first `last` frames.
fn go_on(trial: &Trial<'_>, ticket: &Ticket, last: usize) -> Result<Answer, Stop> {
    let mut peer = resuming(trial)?;
    peer.send(4, &resume(4, &ticket.token, last as u64), false)?;
    peer.answer(4)
}

fn resume_goes_on(trial: &Trial<'_>) -> Verdict {
    let ticket = lose(trial, 40, 20, 8)?;
    // As if the last few had been lost.
    let last = ticket.payloads.len().saturating_sub(3);
    let answer = go_on(trial, &ticket, last)?;
    ensure(
        answer.is_good() && answer.streams.len() == 40 - last,
        || {
            format!(
                "{} frames behind the first {last} were expected; it came to {}",
                40 - last,
                answer.describe()
            )
        },
    )?;
    let again = &ticket.payloads[last..];
    ensure(answer.streams.starts_with(again), || {
        "the frames that come again are not those that came first".into()
    })?;
    GOOD
}

fn resume_after_end(trial: &Trial<'_>) -> Verdict {
    let ticket = lose(trial, 5, 0, 5)?;
    let answer = go_on(trial, &ticket, 2)?;
    let is_same = ticket.payloads.get(2..) == Some(&answer.streams);
    ensure(answer.is_good() && is_same, || {
        format!(
            "the last three of five frames were expected; it came to {}",
            answer.describe()
        )
    })?;
    GOOD
}

fn resume_token_is_spent(trial: &Trial<'_>) -> Verdict {
    let ticket = lose(trial, 5, 0, 5)?;
    go_on(trial, &ticket, 2)?;
    let again = resume(4, &ticket.token, 2);
    good(refuses(trial, &again, ResumeInvalid))
}

fn resume_by_another(trial: &Trial<'_>) -> Verdict {
    let ticket = lose(trial, 5, 0, 5)?;
    let theirs = resume(4, &ticket.token, 0);
    good(refuses_as(trial, &stranger(), &theirs, ResumeInvalid))
}
