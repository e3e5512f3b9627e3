//! The handshake (`HS`), and who a peer says to be (`ID-1`).

use std::time::Duration;

use aire_proto::ErrorCode::{BadSignature, IncompatibleVersion, MalformedFrame, ProtocolViolation};
use aire_proto::capability;
use aire_proto::identity::Did;
use aire_proto::wire::Hello;

use crate::commands::probe::peer::Peer;
use crate::commands::probe::trial::{Trial, good};
use crate::commands::probe::verdict::{
    Check, GOOD, Stop, Verdict, check, ensure, failed, hostile, not_applicable,
};
use crate::commands::probe::wire::{GOODBYE, HELLO, INVOKE, RESUMABLE, frame, prefixed, stranger};

pub(super) const CHECKS: &[Check] = &[
    check!(
        hello_comes_first,
        Must,
        0,
        ["HS-1", "HS-2"],
        "The server says one HELLO, and says it before all else."
    ),
    check!(
        hello_shape,
        Must,
        0,
        ["HS-4"],
        "The server's HELLO has the fields that it must have, and no others."
    ),
    check!(
        node_id_is_a_did,
        Must,
        2,
        ["ID-1"],
        "The server's NodeID is a DID."
    ),
    hostile!(
        double_hello,
        Must,
        0,
        ["HS-3"],
        "A second HELLO is PROTOCOL_VIOLATION."
    ),
    hostile!(
        goodbye_before_hello,
        Must,
        0,
        ["HS-3"],
        "Another first frame than HELLO is PROTOCOL_VIOLATION."
    ),
    hostile!(
        hello_on_operation,
        Must,
        0,
        ["HS-1", "HS-3"],
        "A HELLO on an operation is PROTOCOL_VIOLATION."
    ),
    hostile!(
        invoke_on_control,
        Must,
        0,
        ["WIRE-3", "GAP-15"],
        "An INVOKE on the control stream is PROTOCOL_VIOLATION."
    ),
    hostile!(
        other_major,
        Must,
        0,
        ["HS-6"],
        "Another major version is INCOMPATIBLE_VERSION."
    ),
    check!(
        later_minor,
        Must,
        0,
        ["HS-7"],
        "A client of a later minor version is served."
    ),
    check!(
        older_minor,
        Must,
        2,
        ["HS-7"],
        "A client of minor version 2 is served."
    ),
    check!(
        older_minor_frames,
        Should,
        4,
        ["GAP-13"],
        "A client of minor version 3 is sent no frame of minor version 4."
    ),
    hostile!(
        minor_0_and_1,
        Should,
        2,
        ["GAP-11"],
        "A client of minor version 0 or 1, which is not signed, is refused with BAD_SIGNATURE."
    ),
    hostile!(
        cut_hello,
        Must,
        0,
        ["HS-8"],
        "A HELLO that is cut anywhere is MALFORMED_FRAME."
    ),
    hostile!(
        empty_hello,
        Must,
        0,
        ["HS-8"],
        "A HELLO without a payload is MALFORMED_FRAME."
    ),
    hostile!(
        node_id_is_no_did,
        Must,
        2,
        ["ID-1"],
        "A NodeID that is no DID is MALFORMED_FRAME."
    ),
    check!(
        more_behind_hello,
        Should,
        2,
        ["GAP-10"],
        "Bytes behind the signature of a HELLO are ignored."
    ),
    check!(
        early_invoke,
        Must,
        0,
        ["HS-9", "GAP-12"],
        "An INVOKE that comes before HELLO waits for it, and is then served."
    ),
    hostile!(
        refused_early_invoke,
        Must,
        2,
        ["HS-9"],
        "An INVOKE beside a HELLO that is refused is not served."
    ),
];

fn hello_comes_first(trial: &Trial<'_>) -> Verdict {
    let mut peer = trial.greet()?;
    trial.serves(&mut peer, 4)?;
    let hellos = peer.streams().map(|(stream, _)| peer.count(stream, HELLO));
    let hellos: usize = hellos.sum();
    ensure(hellos == 1, || format!("{hellos} HELLOs came"))?;
    let op = peer.frames(0)[0].op;
    ensure(op == 0, || format!("its HELLO has the OpID {op}"))?;
    GOOD
}

fn hello_shape(trial: &Trial<'_>) -> Verdict {
    let payload = &trial.subject.hello.payload;
    let hello = Hello::decode(payload).map_err(|error| failed(error.to_string()))?;
    ensure(hello.major == 0, || {
        format!("its major version is {}", hello.major)
    })?;
    ensure(hello.trailing == 0 || hello.minor > 4, || {
        format!("{} bytes follow its signature", hello.trailing)
    })?;
    Ok(Some(format!("minor version {}", hello.minor)))
}

fn node_id_is_a_did(trial: &Trial<'_>) -> Verdict {
    let node_id = &trial.subject.hello.node_id;
    ensure(Did::parse(node_id).is_ok(), || format!("it is {node_id:?}"))?;
    GOOD
}

fn double_hello(trial: &Trial<'_>) -> Verdict {
    let mut peer = trial.greet()?;
    peer.send(0, &trial.hello().frame(trial.signer()), false)?;
    good(peer.refused(&[ProtocolViolation]))
}

fn goodbye_before_hello(trial: &Trial<'_>) -> Verdict {
    let hello = trial.hello().frame(trial.signer());
    let bytes = [frame(GOODBYE, 0, b""), hello].concat();
    good(trial.refuses_bytes(&bytes, &[ProtocolViolation]))
}

fn hello_on_operation(trial: &Trial<'_>) -> Verdict {
    let mut peer = trial.greet()?;
    let payload = trial.hello().payload(trial.signer());
    peer.send(4, &frame(HELLO, 4, &payload), false)?;
    good(peer.refused(&[ProtocolViolation]))
}

fn invoke_on_control(trial: &Trial<'_>) -> Verdict {
    let mut peer = trial.greet()?;
    let names = [prefixed(b"echo"), prefixed(b"echo")].concat();
    peer.send(0, &frame(INVOKE, 0, &names), false)?;
    good(peer.refused(&[ProtocolViolation]))
}

fn other_major(trial: &Trial<'_>) -> Verdict {
    let mut hello = trial.hello();
    hello.major = 1;
    trial.refuses(trial.signer(), &hello, &[IncompatibleVersion])?;
    let mut hello = trial.hello();
    hello.major = (1 << 62) - 1;
    good(trial.refuses(trial.signer(), &hello, &[IncompatibleVersion]))
}

fn later_minor(trial: &Trial<'_>) -> Verdict {
    for minor in [9, (1 << 62) - 1] {
        let mut hello = trial.hello();
        hello.minor = minor;
        trial.takes(trial.signer(), &hello)?;
    }
    GOOD
}

fn older_minor(trial: &Trial<'_>) -> Verdict {
    let mut hello = trial.hello();
    hello.minor = 2;
    good(trial.takes(trial.signer(), &hello))
}

fn older_minor_frames(trial: &Trial<'_>) -> Verdict {
    if !trial.subject.hello.has(capability::RESUMABLE) {
        return Err(not_applicable("the server resumes nothing"));
    }
    trial.stream()?;
    let mut hello = trial.hello_of(trial.signer(), &[capability::RESUMABLE]);
    hello.minor = 3;
    let mut peer = trial.greet_as(trial.signer(), &hello)?;
    trial.stream_on(&mut peer, 4, 5, 0, b"")?;
    peer.answer(4)?;
    ensure(peer.count(4, RESUMABLE) == 0, || "RESUMABLE came".into())?;
    GOOD
}

fn minor_0_and_1(trial: &Trial<'_>) -> Verdict {
    for minor in [0, 1] {
        let mut hello = trial.hello();
        (hello.minor, hello.block) = (minor, None);
        hello.node_id = b"an opaque name".into();
        trial.refuses(trial.signer(), &hello, &[BadSignature])?;
    }
    GOOD
}

fn cut_hello(trial: &Trial<'_>) -> Verdict {
    let whole = trial.hello().payload(trial.signer());
    let mut unsigned = trial.hello();
    unsigned.block = None;
    let inner = unsigned.payload(trial.signer()).len();
    // In the NodeID, in the capabilities, in VMID, nonce, timestamp, and signature.
    let method = inner + 1 + 2;
    let block = method + trial.hello().block.map_or(0, |block| block.method.len());
    for len in [
        1,
        8,
        inner - 1,
        method,
        block + 3,
        block + 20,
        whole.len() - 1,
    ] {
        let bytes = frame(HELLO, 0, &whole[..len]);
        trial.refuses_bytes(&bytes, &[MalformedFrame])?;
    }
    GOOD
}

fn empty_hello(trial: &Trial<'_>) -> Verdict {
    good(trial.refuses_bytes(&frame(HELLO, 0, b""), &[MalformedFrame]))
}

fn node_id_is_no_did(trial: &Trial<'_>) -> Verdict {
    for name in ["node-7", "did:", "did:key", "did:Key:z6Mk", "did:key:"] {
        let mut hello = trial.hello();
        hello.node_id = name.into();
        let hello = hello.block(|block| block.method = format!("{name}#key-1").into());
        trial.refuses(trial.signer(), &hello, &[MalformedFrame])?;
    }
    GOOD
}

fn more_behind_hello(trial: &Trial<'_>) -> Verdict {
    let mut hello = trial.hello();
    hello.trailing = b"of a later version".into();
    good(trial.takes(trial.signer(), &hello))
}

/// A connection on which INVOKE is said before HELLO.
fn early(trial: &Trial<'_>) -> Result<Peer, Stop> {
    let mut peer = trial.connect()?;
    // For QUIC the control stream is then open too: the server may say its HELLO on it (RFC 9000,
    // 3.2). On this side it has to be made first.
    peer.send(0, b"", false)?;
    peer.send(4, &trial.invoke(4, b"early"), true)?;
    Ok(peer)
}

fn early_invoke(trial: &Trial<'_>) -> Verdict {
    let mut peer = early(trial)?;
    peer.linger(Duration::from_millis(300));
    ensure(peer.frames(4).is_empty() && !peer.has_ended(4), || {
        "it was answered before there was a HELLO".into()
    })?;
    trial.greet_on(&mut peer, &trial.hello().frame(trial.signer()))?;
    good(trial.served(&mut peer, 4, b"early"))
}

fn refused_early_invoke(trial: &Trial<'_>) -> Verdict {
    let mut peer = early(trial)?;
    // Signed by somebody else.
    let hello = trial.hello().frame(&stranger());
    peer.send(0, &hello, false)?;
    peer.refused(&[BadSignature])?;
    ensure(peer.frames(4).is_empty(), || "it was answered".into())?;
    GOOD
}
