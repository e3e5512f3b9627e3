//! The wire format (`WIRE`, `TYPE`).

use std::time::Duration;

use aire_proto::ErrorCode::{FrameTooLarge, MalformedFrame, ProtocolViolation};
use aire_proto::varint;
use aire_proto::wire::{Hello, MIN_ACCEPTED_PAYLOAD, SignatureBlock};

use crate::commands::probe::peer::Peer;
use crate::commands::probe::trial::{Trial, good, unknown_agent};
use crate::commands::probe::verdict::{Check, GOOD, Stop, Verdict, check, ensure, failed, hostile};
use crate::commands::probe::wire::{
    BINDING, BUDGET, GOODBYE, HELLO, INVOKE, LATER, Numbers, RESERVED, STREAM, VENDOR, frame, head,
    number, prefixed,
};

pub(super) const CHECKS: &[Check] = &[
    check!(
        flags_zero,
        Must,
        0,
        ["WIRE-2"],
        "The server sends no flag that is not defined."
    ),
    check!(
        flags_ignored,
        Must,
        0,
        ["WIRE-2"],
        "Flags that are not defined are ignored."
    ),
    check!(
        shortest_numbers,
        Should,
        0,
        ["WIRE-5"],
        "The server writes numbers as short as they can be."
    ),
    check!(
        long_numbers_in_hello,
        Must,
        0,
        ["WIRE-6"],
        "A HELLO whose numbers all take eight bytes is taken."
    ),
    check!(
        long_numbers_in_invoke,
        Must,
        0,
        ["WIRE-6"],
        "An INVOKE whose numbers all take eight bytes is served."
    ),
    check!(
        byte_by_byte,
        Must,
        0,
        ["WIRE-7"],
        "Frames that come byte by byte are read as if they came whole."
    ),
    check!(
        concatenated,
        Must,
        0,
        ["WIRE-7"],
        "Frames that come in one piece are told apart."
    ),
    hostile!(
        payload_cut_by_fin,
        Must,
        0,
        ["WIRE-8"],
        "An operation's FIN in a payload ends the connection with ERROR."
    ),
    hostile!(
        header_cut_by_fin,
        Must,
        0,
        ["WIRE-8"],
        "An operation's FIN in a frame's header ends the connection with ERROR."
    ),
    hostile!(
        control_cut_by_fin,
        Must,
        0,
        ["WIRE-8"],
        "The control stream's FIN in a frame ends the connection with ERROR."
    ),
    check!(
        payload_of_64_kib,
        Must,
        0,
        ["WIRE-12"],
        "A payload of 65,536 bytes is taken."
    ),
    check!(
        skipped_payload_of_64_kib,
        Must,
        0,
        ["WIRE-12", "GAP-14"],
        "A payload of 65,536 bytes in a frame of an unknown type is skipped."
    ),
    hostile!(
        oversized_frame,
        May,
        0,
        ["WIRE-14", "GAP-19"],
        "A payload of 1 MiB and 64 KiB is served, or refused with FRAME_TOO_LARGE."
    ),
    hostile!(
        endless_frame,
        May,
        0,
        ["WIRE-14", "GAP-19"],
        "A frame that claims 2^40 bytes is refused with FRAME_TOO_LARGE, or harms no other operation."
    ),
    hostile!(
        endless_hello,
        May,
        0,
        ["WIRE-14", "GAP-19"],
        "A HELLO that claims 2^40 bytes ends the connection."
    ),
    hostile!(
        not_utf8_in_invoke,
        Must,
        0,
        ["WIRE-16"],
        "An agent's name that is not UTF-8 is MALFORMED_FRAME."
    ),
    hostile!(
        not_utf8_in_hello,
        Must,
        0,
        ["WIRE-16", "HS-8"],
        "A NodeID that is not UTF-8 is MALFORMED_FRAME."
    ),
    hostile!(
        reserved_type,
        Must,
        0,
        ["TYPE-1"],
        "A frame of type 0x02 on the control stream is PROTOCOL_VIOLATION."
    ),
    hostile!(
        reserved_type_on_operation,
        Must,
        0,
        ["TYPE-1"],
        "A frame of type 0x02 on an operation is PROTOCOL_VIOLATION."
    ),
    check!(
        own_types,
        Must,
        0,
        ["TYPE-2"],
        "The server sends no frame of a type that is reserved for later or for vendors."
    ),
    check!(
        unknown_types,
        Should,
        0,
        ["GAP-14"],
        "Frames of types for later and for vendors are skipped, on every stream."
    ),
];

fn flags_zero(trial: &Trial<'_>) -> Verdict {
    let mut peer = trial.greet()?;
    trial.serves(&mut peer, 4)?;
    for (stream, came) in peer.streams() {
        if let Some(frame) = came.frames.iter().find(|frame| frame.flags != 0) {
            return Err(failed(format!(
                "{} on stream {stream} has the flags {:#04x}",
                frame.name(),
                frame.flags
            )));
        }
    }
    GOOD
}

fn flags_ignored(trial: &Trial<'_>) -> Verdict {
    let mut hello = trial.hello();
    hello.flags = 0xff;
    let mut peer = trial.greet_as(trial.signer(), &hello)?;
    let mut invoke = trial.invoke(4, b"flags");
    invoke[1] = 0xff;
    peer.send(4, &invoke, true)?;
    good(trial.served(&mut peer, 4, b"flags"))
}

fn shortest_numbers(trial: &Trial<'_>) -> Verdict {
    let mut peer = trial.greet()?;
    trial.serves(&mut peer, 4)?;
    for (stream, came) in peer.streams() {
        if let Some(frame) = came.frames.iter().find(|frame| !frame.is_shortest) {
            let name = frame.name();
            return Err(failed(format!(
                "the envelope of {name} on stream {stream} has a longer number"
            )));
        }
    }
    // Written again by the shortest rule, the HELLO must be as long as it was.
    let payload = &peer.frames(0)[0].payload;
    let hello = Hello::decode(payload).map_err(|error| failed(error.to_string()))?;
    let len = |number: u64| varint::encoded_len(number).unwrap_or(0);
    let text = |text: &str| len(text.len() as u64) + text.len();
    let entries = hello.capabilities.iter();
    let entries: usize = entries
        .map(|entry| text(entry.name) + len(entry.version) + 1)
        .sum();
    let block = hello.block.map_or(0, |block: SignatureBlock<'_>| {
        let signature = block.signature.len();
        1 + text(block.method) + 16 + 8 + len(signature as u64) + signature
    });
    let count = len(hello.capabilities.len() as u64);
    let inner = len(hello.major) + len(hello.minor) + text(hello.node_id) + count + entries;
    let shortest = inner + block + hello.trailing;
    ensure(shortest == payload.len(), || {
        format!(
            "the HELLO takes {} bytes and would fit {shortest}",
            payload.len()
        )
    })?;
    GOOD
}

fn long_numbers_in_hello(trial: &Trial<'_>) -> Verdict {
    let mut hello = trial.hello();
    hello.numbers = Numbers::Long;
    let hello = hello.block(|block| block.numbers = Numbers::Long);
    good(trial.takes(trial.signer(), &hello))
}

fn long_numbers_in_invoke(trial: &Trial<'_>) -> Verdict {
    let mut peer = trial.greet()?;
    let long = Numbers::Long;
    let target = match trial.subject.echo.clone() {
        Ok(echo) => echo,
        Err(_) => unknown_agent(),
    };
    let mut payload = long.prefixed(target.agent.as_bytes());
    payload.extend(long.prefixed(target.operation.as_bytes()));
    payload.extend(b"long");
    let mut invoke = vec![INVOKE, 0];
    invoke.extend(long.write(4));
    invoke.extend(long.prefixed(&payload));
    peer.send(4, &invoke, true)?;
    good(trial.served(&mut peer, 4, b"long"))
}

fn byte_by_byte(trial: &Trial<'_>) -> Verdict {
    let mut peer = trial.connect()?;
    peer.send_slowly(0, &trial.hello().frame(trial.signer()))?;
    trial.greet_on(&mut peer, b"")?;
    peer.send_slowly(4, &trial.invoke(4, b"slowly"))?;
    peer.send(4, b"", true)?;
    good(trial.served(&mut peer, 4, b"slowly"))
}

fn concatenated(trial: &Trial<'_>) -> Verdict {
    let mut peer = trial.connect()?;
    let hello = trial.hello().frame(trial.signer());
    let skipped = frame(LATER, 0, b"skipped");
    trial.greet_on(&mut peer, &[&hello[..], &skipped, &skipped].concat())?;
    let mut bytes = trial.invoke(4, b"concatenated");
    bytes.extend(frame(STREAM, 4, b""));
    bytes.extend(frame(STREAM, 4, b"input that nobody takes"));
    peer.send(4, &bytes, true)?;
    trial.served(&mut peer, 4, b"concatenated")?;
    good(trial.serves(&mut peer, 8))
}

fn payload_cut_by_fin(trial: &Trial<'_>) -> Verdict {
    let mut peer = trial.greet()?;
    let invoke = trial.invoke(4, b"cut, alas");
    peer.send(4, &invoke[..invoke.len() - 3], true)?;
    good(peer.refused(&[MalformedFrame, ProtocolViolation]))
}

fn header_cut_by_fin(trial: &Trial<'_>) -> Verdict {
    let mut peer = trial.greet()?;
    // The first of a number's two bytes is the last that comes.
    peer.send(4, &[INVOKE, 0, 4, 0x40], true)?;
    good(peer.refused(&[MalformedFrame, ProtocolViolation]))
}

fn control_cut_by_fin(trial: &Trial<'_>) -> Verdict {
    let mut peer = trial.greet()?;
    let goodbye = frame(GOODBYE, 0, b"farewell");
    peer.send(0, &goodbye[..goodbye.len() - 1], true)?;
    good(peer.refused(&[MalformedFrame, ProtocolViolation]))
}

fn payload_of_64_kib(trial: &Trial<'_>) -> Verdict {
    let mut peer = trial.greet()?;
    let most = usize::try_from(MIN_ACCEPTED_PAYLOAD).unwrap_or(0);
    let names = payload_len(&trial.invoke(4, b""));
    let args: Vec<u8> = (0..most - names).map(|at| at as u8).collect();
    peer.send(4, &trial.invoke(4, &args), true)?;
    let answer = peer.answer(4)?;
    ensure(answer.error != Some(FrameTooLarge), || {
        "it is refused with FRAME_TOO_LARGE".into()
    })?;
    ensure(
        trial.subject.echo.is_err() || answer.streams.concat() == args,
        || {
            format!(
                "its echo comes back otherwise: it came to {}",
                answer.describe()
            )
        },
    )?;
    GOOD
}

/// How long the payload of a whole frame is.
fn payload_len(frame: &[u8]) -> usize {
    let (frames, _) = crate::commands::probe::wire::frames(frame);
    frames.first().map_or(0, |frame| frame.payload.len())
}

fn skipped_payload_of_64_kib(trial: &Trial<'_>) -> Verdict {
    let mut peer = trial.greet()?;
    let unknown = frame(LATER, 4, &vec![0xa5; 65_536]);
    let invoke = trial.invoke(4, b"behind it");
    peer.send(4, &[unknown, invoke].concat(), true)?;
    good(trial.served(&mut peer, 4, b"behind it"))
}

fn oversized_frame(trial: &Trial<'_>) -> Verdict {
    let mut peer = trial.greet()?;
    let args = vec![0x5a; (1 << 20) + (1 << 16)];
    peer.send(4, &trial.invoke(4, &args), true)?;
    refuses_or(&mut peer, |peer| {
        let answer = peer.answer(4)?;
        if is_too_large(answer.error, answer.reset) {
            return Ok(Some("it is refused".into()));
        }
        let is_served = answer.is_good() && answer.streams.concat() == args;
        ensure(is_served || trial.subject.echo.is_err(), || {
            format!("it came to {}", answer.describe())
        })?;
        Ok(Some("it is served".into()))
    })
}

fn endless_frame(trial: &Trial<'_>) -> Verdict {
    let mut peer = trial.greet()?;
    let names = [prefixed(b"echo"), prefixed(b"echo")].concat();
    let endless = [head(INVOKE, 4, 1 << 40), names, vec![0; 2000]].concat();
    peer.send(4, &endless, false)?;
    refuses_or(&mut peer, |peer| {
        trial.serves(peer, 8)?;
        match peer.has_ended(4) {
            true => {
                let answer = peer.answer(4)?;
                ensure(is_too_large(answer.error, answer.reset), || {
                    format!("it came to {}", answer.describe())
                })?;
                Ok(Some("it is refused".into()))
            }
            false => Ok(Some("its bytes are awaited".into())),
        }
    })
}

/// Whether that is how a frame is refused for its size.
fn is_too_large(error: Option<aire_proto::ErrorCode>, reset: Option<u64>) -> bool {
    match error {
        Some(code) => code == FrameTooLarge,
        None => reset.is_some(),
    }
}

/// `otherwise`, unless the server refused the whole connection for a frame's size.
fn refuses_or(peer: &mut Peer, otherwise: impl FnOnce(&mut Peer) -> Verdict) -> Verdict {
    match otherwise(peer) {
        Err(Stop::Failed(_)) if peer.closed_with() == Some(FrameTooLarge) => {
            Ok(Some("the connection is refused".into()))
        }
        verdict => verdict,
    }
}

fn endless_hello(trial: &Trial<'_>) -> Verdict {
    let mut peer = trial.connect()?;
    let hello = trial.hello().payload(trial.signer());
    let endless = [head(HELLO, 0, 1 << 40), hello, vec![0; 4000]].concat();
    peer.send(0, &endless, false)?;
    good(peer.refused(&[FrameTooLarge, MalformedFrame, ProtocolViolation]))
}

fn not_utf8_in_invoke(trial: &Trial<'_>) -> Verdict {
    let mut peer = trial.greet()?;
    let payload = [prefixed(b"\xff\xfe"), prefixed(b"")].concat();
    peer.send(4, &frame(INVOKE, 4, &payload), true)?;
    good(is_malformed(&mut peer, 4))
}

/// The server refuses a frame of operation `op` with `MALFORMED_FRAME`: the operation, or the
/// whole connection with it.
pub(super) fn is_malformed(peer: &mut Peer, op: u64) -> Result<(), Stop> {
    peer.until("MALFORMED_FRAME", |peer| {
        peer.is_refused() || peer.has_ended(op)
    })?;
    if !peer.has_ended(op) {
        return peer.refused(&[MalformedFrame]);
    }
    let answer = peer.answer(op)?;
    ensure(answer.error == Some(MalformedFrame), || {
        format!(
            "MALFORMED_FRAME was expected; the operation came to {}",
            answer.describe()
        )
    })
}

fn not_utf8_in_hello(trial: &Trial<'_>) -> Verdict {
    let mut hello = trial.hello();
    hello.node_id = b"did:key:\xff\xfe".into();
    good(trial.refuses(trial.signer(), &hello, &[MalformedFrame]))
}

fn reserved_type(trial: &Trial<'_>) -> Verdict {
    let mut peer = trial.greet()?;
    peer.send(0, &frame(RESERVED, 0, b"update"), false)?;
    good(peer.refused(&[ProtocolViolation]))
}

fn reserved_type_on_operation(trial: &Trial<'_>) -> Verdict {
    let mut peer = trial.greet()?;
    peer.send(4, &frame(RESERVED, 4, b"update"), false)?;
    good(peer.refused(&[ProtocolViolation]))
}

fn own_types(trial: &Trial<'_>) -> Verdict {
    let mut peer = trial.greet()?;
    trial.serves(&mut peer, 4)?;
    if trial.subject.stream.is_ok() {
        trial.stream_on(&mut peer, 8, 3, 0, b"")?;
        peer.answer(8)?;
    }
    peer.linger(Duration::from_millis(100));
    for (stream, came) in peer.streams() {
        let is_agreed = |kind: u8| kind == BINDING && trial.must_bind();
        let is_strange =
            |kind: u8| (kind == 0 || kind == RESERVED || kind > 0x0b) && !is_agreed(kind);
        if let Some(frame) = came.frames.iter().find(|frame| is_strange(frame.kind)) {
            return Err(failed(format!(
                "{} came on stream {stream}, and no capability that asks for it is active",
                frame.name()
            )));
        }
    }
    GOOD
}

fn unknown_types(trial: &Trial<'_>) -> Verdict {
    let mut peer = trial.greet()?;
    let of = |op: u64| {
        let kinds = [0x0c, 0x40, LATER, VENDOR, 0xff];
        let frames = kinds.map(|kind| frame(kind, op, &number(BUDGET.into())));
        frames.concat()
    };
    peer.send(0, &of(0), false)?;
    let invoke = trial.invoke(4, b"among strangers");
    peer.send(4, &[of(4), invoke, of(4)].concat(), true)?;
    trial.served(&mut peer, 4, b"among strangers")?;
    good(trial.serves(&mut peer, 8))
}
