//! RESUMABLE and RESUME on a connection, and the count of STREAM frames that both are about
//! (`RES-1` to `RES-4`).
#![cfg(feature = "ed25519")]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects
)]

mod support;

use aire_proto::connection::CallError;
use aire_proto::wire::{Budget, Cancel, Capability, FrameType, Resumable, Resume};
use aire_proto::{CancelReason, Config, ErrorCode, Role, StreamId};
use support::hello::HelloFrame;
use support::lone::{Lone, PEER_SEED, encoded, frame, invoke};
use support::script::Roomy;
use support::{Pair, UNIX_START, stream};

type Nodes = Pair<Roomy, Roomy>;

const OP: u64 = 4;
const MOST: u64 = (1 << 62) - 1;

const RESUMABLE: Capability<'static> = Capability {
    name: "aire.resumable/1",
    version: 1,
    required: false,
};

/// A connection whose peer can resume, as far as its minor version goes.
fn lone_at(role: Role, minor: u64) -> Lone<Roomy> {
    let mut lone = Lone::unstarted(role, Config::default());
    lone.end.capabilities.push(RESUMABLE);
    lone.end.start(lone.now());
    let hello = HelloFrame::signed(PEER_SEED, [5; 16], UNIX_START).with(|hello| {
        hello.minor = minor;
        hello.capabilities.push(RESUMABLE);
    });
    lone.arrives(StreamId::CONTROL, &hello.encode());
    lone.end.told();
    lone
}

fn lone(role: Role) -> Lone<Roomy> {
    lone_at(role, 4)
}

fn nodes() -> Nodes {
    let mut pair = Nodes::silent(Config::default());
    pair.client.capabilities.push(RESUMABLE);
    pair.server.capabilities.push(RESUMABLE);
    pair.shake_hands();
    pair
}

fn resume(token: &[u8], last_recv: u64) -> Vec<u8> {
    encoded(OP, &Resume { token, last_recv })
}

fn sequences(pair: &Nodes, op: StreamId) -> [Option<u64>; 2] {
    [&pair.client, &pair.server].map(|end| end.connection.sequence(op))
}

// ---- RESUME opens an operation ----

#[test]
fn resume_opens_an_operation_that_then_goes_on_as_any_other() {
    let mut pair = nodes();
    let op = pair.client.connection.resume(b"token", 7).unwrap();
    assert_eq!(op, stream(OP));
    pair.pump();
    assert_eq!(pair.server.told(), ["4 resumed 4 7"]);
    assert_eq!(sequences(&pair, op), [Some(7), Some(7)]);
    pair.server.send(op, b"eighth");
    pair.pump();
    pair.client.send(op, b"input");
    pair.client.connection.finish(op).unwrap();
    pair.server.connection.finish(op).unwrap();
    assert_eq!(sequences(&pair, op), [Some(8), Some(8)]);
    pair.pump();
    assert_eq!(
        pair.client.told(),
        ["4 stream eighth left 0", "4 ended Completed by Peer"]
    );
    let told = pair.server.told();
    assert_eq!(told.last().unwrap(), "4 ended Completed by Local");
    // The next one is opened on the next stream.
    assert_eq!(pair.client.invoke("a", "b", b""), stream(8));
}

#[test]
fn a_responder_refuses_a_resume_on_its_stream_alone() {
    let mut pair = nodes();
    let other = pair.client.invoke("a", "b", b"");
    let op = pair.client.connection.resume(b"spent", 0).unwrap();
    pair.pump();
    pair.server.told();
    let now = pair.now();
    let connection = &mut pair.server.connection;
    let refused = ErrorCode::ResumeInvalid;
    connection.fail(op, refused, "", &[], now).unwrap();
    pair.pump();
    assert_eq!(
        pair.client.told(),
        [
            "8 failed RESUME_INVALID ",
            "8 ended Failed(ResumeInvalid) by Peer"
        ]
    );
    assert!(pair.client.connection.op_id(other).is_some());
}

#[test]
fn resume_is_said_whole_before_anything_else_on_the_stream() {
    let mut lone = lone(Role::Client);
    let op = lone.end.connection.resume(b"token", 1).unwrap();
    lone.end.send(op, b"input");
    lone.settle(lone.now());
    let frames = lone.frames(op);
    let types: Vec<FrameType> = frames.iter().map(|(header, _)| header.frame_type).collect();
    assert_eq!(types, [FrameType::Resume, FrameType::Stream]);
    let said = Resume::decode(&frames[0].1).unwrap();
    assert_eq!((said.token, said.last_recv), (&b"token"[..], 1));
    assert_eq!(
        lone.end.connection.sequence(op),
        Some(1),
        "input is not counted"
    );
}

#[test]
fn resume_may_not_be_called_when_nothing_may_be_opened() {
    let mut early = Lone::<Roomy>::started(Role::Client, Config::default());
    let not_open = Err(CallError::NotOpen);
    assert_eq!(early.end.connection.resume(b"t", 0), not_open);
    let mut plain = Lone::<Roomy>::connected(Role::Client, Config::default());
    let not_negotiated = Err(CallError::NotNegotiated);
    assert_eq!(plain.end.connection.resume(b"t", 0), not_negotiated);
    for minor in [2, 3] {
        let mut old = lone_at(Role::Client, minor);
        let resumed = old.end.connection.resume(b"t", 0);
        assert_eq!(resumed, not_negotiated, "minor {minor} knows no RESUME");
    }
    let mut full = lone(Role::Client);
    for _ in 0..4 {
        full.end.connection.resume(b"t", 0).unwrap();
    }
    let too_many = Err(CallError::TooManyOperations);
    assert_eq!(full.end.connection.resume(b"t", 0), too_many);
    let mut draining = lone(Role::Client);
    draining.end.connection.resume(b"t", 0).unwrap();
    let now = draining.now();
    draining.end.connection.goodbye(now);
    let refused = Err(CallError::Draining);
    assert_eq!(draining.end.connection.resume(b"t", 0), refused);
}

#[test]
fn a_refused_call_opens_nothing_and_uses_no_stream() {
    let mut lone = lone(Role::Client);
    let connection = &mut lone.end.connection;
    assert_eq!(
        connection.resume(b"t", MOST + 1),
        Err(CallError::NumberTooLarge)
    );
    let full = connection.resume(&[7; 300], 0);
    assert!(matches!(full, Err(CallError::OutboxFull { needed }) if needed > 300));
    assert_eq!(connection.live_operations(), 0);
    assert_eq!(connection.resume(b"t", MOST), Ok(stream(OP)));
    lone.settle(lone.now());
    // The count stays where it is at the end of all numbers.
    lone.arrives(stream(OP), &frame(0x04, OP, b"x"));
    assert!(lone.end.connection.sequence(stream(OP)) >= Some(MOST));
}

// ---- tokens ----

#[test]
fn a_token_may_have_no_byte_and_as_many_as_the_scratch_has_room_for() {
    // 1,024 bytes of scratch hold a token of 1,021 and two numbers.
    for (len, fits) in [(0, true), (1, true), (1_021, true), (1_022, false)] {
        for chunk in [usize::MAX, 1] {
            let mut lone = lone(Role::Server);
            lone.end.chunk = chunk;
            lone.arrives(stream(OP), &resume(&vec![9; len], 3));
            if fits {
                assert_eq!(lone.end.told(), ["4 resumed 4 3"], "{len}");
                assert_eq!(lone.end.connection.sequence(stream(OP)), Some(3));
            } else {
                let too_large = ErrorCode::FrameTooLarge.to_wire();
                assert_eq!(lone.errors(stream(OP)), [too_large]);
                assert_eq!(lone.end.pipes[&stream(OP)].stop, Some(too_large));
                assert_eq!(lone.end.told(), [""; 0], "it never began");
                assert!(lone.end.connection.is_open());
                assert_eq!(lone.end.connection.live_operations(), 0);
            }
        }
    }
}

#[test]
fn an_empty_token_can_be_sent_too() {
    let mut pair = nodes();
    pair.client.connection.resume(b"", 0).unwrap();
    pair.pump();
    assert_eq!(pair.server.told(), ["4 resumed 4 0"]);
}

#[test]
fn a_resume_that_does_not_parse_ends_that_operation_alone() {
    for payload in [&b""[..], b"\x05tok", b"\x03tok"] {
        let mut lone = lone(Role::Server);
        lone.arrives(stream(OP), &frame(0x0b, OP, payload));
        let malformed = ErrorCode::MalformedFrame.to_wire();
        assert_eq!(lone.errors(stream(OP)), [malformed]);
        assert_eq!(lone.end.told(), [""; 0]);
        lone.arrives(stream(8), &invoke(8));
        assert_eq!(lone.end.told(), ["8 invoked 8 echo/say args 0"]);
    }
}

#[test]
fn a_resume_cut_anywhere_is_told_when_it_is_whole() {
    let whole = resume(b"a token", 300);
    for cut in 1..whole.len() {
        let mut lone = lone(Role::Server);
        lone.arrives(stream(OP), &whole[..cut]);
        assert_eq!(lone.end.told(), [""; 0]);
        lone.arrives(stream(OP), &whole[cut..]);
        assert_eq!(lone.end.told(), ["4 resumed 4 300"], "{cut}");
    }
}

// ---- where they may not come ----

#[test]
fn resume_anywhere_but_first_is_a_violation() {
    let violation = Some(ErrorCode::ProtocolViolation.to_wire());
    for before in [invoke(OP), resume(b"t", 0)] {
        let mut lone = lone(Role::Server);
        lone.arrives(stream(OP), &[before, resume(b"t", 0)].concat());
        assert_eq!(lone.end.closed_with, violation);
    }
    // INVOKE behind RESUME is one, too; and nobody resumes towards the initiator.
    let mut server = lone(Role::Server);
    server.arrives(stream(OP), &[resume(b"t", 0), invoke(OP)].concat());
    assert_eq!(server.end.closed_with, violation);
    let mut client = lone(Role::Client);
    client.end.invoke("a", "b", b"");
    client.settle(client.now());
    client.arrives(stream(OP), &resume(b"t", 0));
    assert_eq!(client.end.closed_with, violation);
}

#[test]
fn without_the_capability_either_frame_is_a_violation() {
    let resumable = Resumable {
        ttl_secs: 1,
        token: b"t",
        last_seq: 0,
    };
    let mut server = Lone::<Roomy>::connected(Role::Server, Config::default());
    server.arrives(stream(OP), &resume(b"t", 0));
    let mut client = Lone::<Roomy>::connected(Role::Client, Config::default());
    client.end.invoke("a", "b", b"");
    client.settle(client.now());
    client.arrives(stream(OP), &encoded(OP, &resumable));
    for lone in [server, client] {
        let violation = Some(ErrorCode::ProtocolViolation.to_wire());
        assert_eq!(lone.end.closed_with, violation);
        let told = &lone.end.log;
        assert!(!told.iter().any(|line| line.contains("resum")), "{told:?}");
    }
}

// ---- the count ----

#[test]
fn sequences_count_whole_stream_frames_of_the_responder_and_nothing_else() {
    let mut pair = nodes();
    let op = pair.client.invoke("a", "b", b"arguments");
    pair.pump();
    assert_eq!(sequences(&pair, op), [Some(0), Some(0)]);
    let now = pair.now();
    pair.client.send(op, b"input counts for nobody");
    pair.pump();
    let budget = Budget {
        tokens: Some(1),
        ..Budget::default()
    };
    pair.server
        .connection
        .send_budget(op, &budget, now)
        .unwrap();
    pair.client
        .connection
        .send_budget(op, &budget, now)
        .unwrap();
    pair.pump();
    assert_eq!(sequences(&pair, op), [Some(0), Some(0)]);
    for count in 1..=5 {
        let payload = vec![b'x'; (count as usize - 1) * 20];
        pair.server.send(op, &payload);
        pair.pump();
        assert_eq!(sequences(&pair, op), [Some(count), Some(count)]);
    }
    assert_eq!(pair.client.connection.sequence(stream(8)), None);
}

#[test]
fn frames_without_payload_count_and_parts_of_a_frame_do_not() {
    let mut lone = lone(Role::Client);
    let op = lone.end.invoke("a", "b", b"");
    lone.settle(lone.now());
    let count = |lone: &Lone<Roomy>| lone.end.connection.sequence(op);
    lone.arrives(op, &frame(0x04, OP, b"").repeat(3));
    assert_eq!(count(&lone), Some(3));
    let fourth = frame(0x04, OP, b"in pieces");
    for byte in &fourth[..fourth.len() - 1] {
        lone.arrives(op, &[*byte]);
        assert_eq!(count(&lone), Some(3));
    }
    lone.arrives(op, &fourth[fourth.len() - 1..]);
    assert_eq!(count(&lone), Some(4));
    let unknown = [frame(0x20, OP, b"reserved"), frame(0x90, OP, b"vendor")].concat();
    lone.arrives(op, &unknown);
    assert_eq!(
        count(&lone),
        Some(4),
        "frames of unknown types count for nothing"
    );
}

#[test]
fn what_was_received_when_the_connection_is_lost_can_still_be_asked() {
    let mut lone = lone(Role::Client);
    let op = lone.end.invoke("a", "b", b"");
    lone.settle(lone.now());
    let bytes = [frame(0x04, OP, b"one"), frame(0x04, OP, b"two")].concat();
    lone.arrives(op, &bytes[..bytes.len() - 1]);
    lone.end.connection.connection_lost(None);
    assert_eq!(
        lone.end.connection.sequence(op),
        Some(1),
        "before the end is told"
    );
    lone.settle(lone.now());
    assert_eq!(lone.end.connection.sequence(op), None);
}

#[test]
fn resumable_may_come_again_and_each_is_told() {
    let mut pair = nodes();
    let op = pair.client.invoke("a", "b", b"");
    pair.pump();
    for last_seq in 0..3 {
        let resumable = Resumable {
            ttl_secs: 60,
            token: &[last_seq as u8; 16],
            last_seq,
        };
        let connection = &mut pair.server.connection;
        assert_eq!(connection.sequence(op), Some(last_seq));
        connection.send_resumable(op, &resumable).unwrap();
        pair.server.send(op, b"x");
        pair.pump();
    }
    let told = pair.client.told();
    let resumables: Vec<&String> = told
        .iter()
        .filter(|line| line.contains("resumable"))
        .collect();
    assert_eq!(
        resumables,
        ["4 resumable 0", "4 resumable 1", "4 resumable 2"]
    );
    // On a resumed operation as well.
    let again = pair.client.connection.resume(b"token", 3).unwrap();
    pair.pump();
    let resumable = Resumable {
        ttl_secs: 1,
        token: b"fresh",
        last_seq: 3,
    };
    let connection = &mut pair.server.connection;
    connection.send_resumable(again, &resumable).unwrap();
    pair.pump();
    assert_eq!(pair.client.told(), ["8 resumable 3"]);
}

#[test]
fn an_end_before_resume_is_whole_makes_nothing_behind_it_a_violation() {
    let whole = resume(b"token", 3);
    let cancel = frame(0x05, OP, b"\x00\x00");
    for cut in 1..whole.len() {
        let mut lone = lone(Role::Server);
        lone.arrives(stream(OP), &whole[..cut]);
        lone.end.connection.finish(stream(OP)).unwrap();
        lone.ends(stream(OP), &[&whole[cut..], &cancel].concat());
        assert!(lone.end.connection.is_open(), "{cut}: {:?}", lone.end.log);
        lone.wait(5_000);
        assert_eq!(lone.end.connection.live_operations(), 0);
    }
}

#[test]
fn a_cancel_behind_a_resume_that_nobody_has_heard_of_is_told_to_nobody() {
    let resume = resume(b"token", 0);
    for cut in 1..resume.len() {
        let mut server = lone(Role::Server);
        server.arrives(stream(OP), &resume[..cut]);
        server.end.connection.finish(stream(OP)).unwrap();
        server.arrives(stream(OP), &resume[cut..]);
        let reason = Cancel {
            reason: CancelReason::UserCancelled,
            detail: "",
        };
        server.ends(stream(OP), &encoded(OP, &reason));
        assert_eq!(server.end.told(), Vec::<String>::new(), "cut at {cut}");
        assert_eq!(server.end.connection.live_operations(), 0);
    }
}
