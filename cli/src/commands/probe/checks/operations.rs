//! Operations (`WIRE-9` to `WIRE-11`, `GAP-2` to `GAP-8`).

use aire_proto::ErrorCode::{self, AgentNotFound, ProtocolViolation};

use super::wire::is_malformed;
use crate::commands::probe::trial::{Trial, good, unknown_agent};
use crate::commands::probe::verdict::{Check, GOOD, Stop, Verdict, check, ensure, failed, hostile};
use crate::commands::probe::wire::{GOODBYE, INVOKE, STREAM, frame, prefixed};

pub(super) const CHECKS: &[Check] = &[
    check!(
        echo,
        Must,
        0,
        ["WIRE-9", "WIRE-10", "GAP-3"],
        "An operation is answered on its own stream, and ends."
    ),
    check!(
        fin_after_answer,
        Must,
        0,
        ["WIRE-11"],
        "The server ends its side after its terminal frame, also when the client's stays open."
    ),
    check!(
        half_close,
        Should,
        0,
        ["GAP-4"],
        "FIN behind INVOKE says that no input follows, and cancels nothing."
    ),
    check!(
        empty_arguments,
        Should,
        0,
        ["GAP-3", "GAP-4"],
        "An operation without arguments comes to an end."
    ),
    check!(
        in_parallel,
        Must,
        0,
        ["WIRE-9"],
        "Operations at the same time do not disturb each other."
    ),
    check!(
        unknown_agent_ends,
        Must,
        0,
        ["WIRE-10"],
        "An INVOKE of an agent that is not there comes to an end, and the connection goes on."
    ),
    check!(
        unknown_agent_code,
        Should,
        0,
        ["GAP-6"],
        "An INVOKE of an agent that is not there is AGENT_NOT_FOUND."
    ),
    hostile!(
        malformed_invoke,
        Should,
        0,
        ["GAP-3"],
        "An INVOKE that is malformed costs its operation alone."
    ),
    hostile!(
        op_id_0,
        Must,
        0,
        ["WIRE-3", "GAP-2"],
        "An operation's frame with OpID 0 is PROTOCOL_VIOLATION."
    ),
    hostile!(
        op_id_changes,
        Must,
        0,
        ["WIRE-9", "GAP-2"],
        "A frame with another OpID on an operation's stream is PROTOCOL_VIOLATION."
    ),
    hostile!(
        op_id_of_another,
        Must,
        0,
        ["WIRE-9", "GAP-2"],
        "An OpID that belongs to another live stream is PROTOCOL_VIOLATION."
    ),
    hostile!(
        stream_before_invoke,
        Must,
        0,
        ["WIRE-10"],
        "An operation that does not begin with INVOKE or RESUME is PROTOCOL_VIOLATION."
    ),
    hostile!(
        second_invoke,
        Should,
        0,
        ["WIRE-10"],
        "A second INVOKE on an operation's stream is PROTOCOL_VIOLATION."
    ),
    hostile!(
        empty_stream,
        Should,
        0,
        ["GAP-4"],
        "A stream that ends before it has a frame disturbs no other."
    ),
    check!(
        goodbye_lets_finish,
        Should,
        0,
        ["GAP-8"],
        "After GOODBYE, what runs finishes."
    ),
    check!(
        goodbye_closes,
        Should,
        0,
        ["GAP-8"],
        "After GOODBYE, the connection closes once nothing runs."
    ),
];

fn echo(trial: &Trial<'_>) -> Verdict {
    trial.echo()?;
    let mut peer = trial.greet()?;
    good(trial.serves(&mut peer, 4))
}

fn fin_after_answer(trial: &Trial<'_>) -> Verdict {
    let mut peer = trial.greet()?;
    peer.send(4, &trial.invoke(4, b"open"), false)?;
    good(trial.served(&mut peer, 4, b"open"))
}

fn half_close(trial: &Trial<'_>) -> Verdict {
    let mut peer = trial.greet()?;
    let invoke = trial.stream()?.invoke(4, b"5 20");
    peer.send(4, &invoke, true)?;
    let answer = peer.answer(4)?;
    ensure(answer.is_good() && answer.streams.len() == 5, || {
        format!("it came to {}, and not to five frames", answer.describe())
    })?;
    GOOD
}

fn empty_arguments(trial: &Trial<'_>) -> Verdict {
    let mut peer = trial.greet()?;
    peer.send(4, &trial.invoke(4, b""), true)?;
    good(trial.served(&mut peer, 4, b""))
}

fn in_parallel(trial: &Trial<'_>) -> Verdict {
    let mut peer = trial.greet()?;
    // The later ones first: QUIC's streams come in any order.
    let ops = [16, 4, 12, 8];
    let text = |op: u64| format!("operation {op}").repeat(200);
    for op in ops {
        let invoke = trial.invoke(op, text(op).as_bytes());
        peer.send(op, &invoke, true)?;
    }
    for op in ops {
        trial.served(&mut peer, op, text(op).as_bytes())?;
    }
    GOOD
}

/// How an INVOKE of nobody ends.
fn invoke_nobody(trial: &Trial<'_>) -> Result<Option<ErrorCode>, Stop> {
    let mut peer = trial.greet()?;
    peer.send(4, &unknown_agent().invoke(4, b"?"), true)?;
    let answer = peer.answer(4)?;
    ensure(answer.streams.is_empty(), || {
        "somebody answered for an agent that is not there".into()
    })?;
    trial.serves(&mut peer, 8)?;
    Ok(answer.error)
}

fn unknown_agent_ends(trial: &Trial<'_>) -> Verdict {
    invoke_nobody(trial).map(|_| None)
}

fn unknown_agent_code(trial: &Trial<'_>) -> Verdict {
    match invoke_nobody(trial)? {
        Some(AgentNotFound) => GOOD,
        Some(code) => Err(failed(format!("it is {code}"))),
        None => Err(failed("it ends without an ERROR")),
    }
}

fn malformed_invoke(trial: &Trial<'_>) -> Verdict {
    let names = [
        // A name that is longer than the frame, a number that is cut, and no operation.
        [0x3f, b'e', b'c', b'h', b'o'].into(),
        vec![0xc0],
        prefixed(b"echo"),
    ];
    let mut peer = trial.greet()?;
    for (op, payload) in [4, 8, 12].into_iter().zip(names) {
        peer.send(op, &frame(INVOKE, op, &payload), true)?;
        is_malformed(&mut peer, op)?;
        ensure(!peer.is_over(), || "it costs the whole connection".into())?;
    }
    good(trial.serves(&mut peer, 16))
}

fn op_id_0(trial: &Trial<'_>) -> Verdict {
    let mut peer = trial.greet()?;
    peer.send(4, &trial.invoke(0, b"nobody"), false)?;
    good(peer.refused(&[ProtocolViolation]))
}

fn op_id_changes(trial: &Trial<'_>) -> Verdict {
    let mut peer = trial.greet()?;
    let other = frame(STREAM, 8, b"of another operation");
    match trial.subject.stream {
        // One that runs for long, so that its end does not come first.
        Ok(_) => trial.stream_on(&mut peer, 4, 200, 50, &other)?,
        Err(_) => peer.send(4, &[trial.invoke(4, b"changes"), other].concat(), false)?,
    }
    good(peer.refused(&[ProtocolViolation]))
}

fn op_id_of_another(trial: &Trial<'_>) -> Verdict {
    let mut peer = trial.streaming(200, 50)?;
    peer.send(8, &trial.invoke(4, b"four again"), false)?;
    good(peer.refused(&[ProtocolViolation]))
}

fn stream_before_invoke(trial: &Trial<'_>) -> Verdict {
    let mut peer = trial.greet()?;
    peer.send(4, &frame(STREAM, 4, b"of what?"), false)?;
    good(peer.refused(&[ProtocolViolation]))
}

fn second_invoke(trial: &Trial<'_>) -> Verdict {
    let mut peer = trial.streaming(200, 50)?;
    peer.send(4, &trial.invoke(4, b"again"), false)?;
    good(peer.refused(&[ProtocolViolation]))
}

fn empty_stream(trial: &Trial<'_>) -> Verdict {
    let mut peer = trial.greet()?;
    peer.send(4, b"", true)?;
    good(trial.serves(&mut peer, 8))
}

fn goodbye_lets_finish(trial: &Trial<'_>) -> Verdict {
    let mut peer = trial.streaming(10, 50)?;
    // What it holds is ignored.
    peer.send(0, &frame(GOODBYE, 0, b"\xff\xfe"), false)?;
    let answer = peer.answer(4)?;
    ensure(answer.is_good() && answer.streams.len() == 10, || {
        format!("it came to {}, and not to ten frames", answer.describe())
    })?;
    GOOD
}

fn goodbye_closes(trial: &Trial<'_>) -> Verdict {
    let mut peer = trial.greet()?;
    trial.serves(&mut peer, 4)?;
    peer.send(0, &frame(GOODBYE, 0, b""), false)?;
    peer.until_over("the end of the connection", |_| true)?;
    let code = peer.closed_with().map_or(0, ErrorCode::to_wire);
    ensure(code == 0, || peer.describe())?;
    GOOD
}
