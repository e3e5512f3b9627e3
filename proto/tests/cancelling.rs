//! CANCEL between two nodes: its detail, its answer and its deadlines, when it is late, and when it
//! is signed.
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
use aire_proto::identity::Signer;
use aire_proto::wire::Cancel;
use aire_proto::{CancelReason, Config, ErrorCode, Fixed, Role, StreamId};
use support::hello::{Block, HelloFrame, signed_cancel};
use support::lone::{Lone, PEER_SEED, encoded, frame, invoke};
use support::quick::QuickSigner;
use support::script::Roomy;
use support::{CANCELLED, Pair, UNIX_START, USER, stream};

/// Room for the longest detail.
type Wide = Fixed<4, 2048, 4, 2048>;
type Nodes = Pair<Wide, Wide>;

const OP: u64 = 4;

fn serving() -> Lone<Roomy> {
    let mut lone = Lone::connected(Role::Server, Config::default());
    lone.arrives(stream(OP), &invoke(OP));
    lone.end.told();
    lone
}

/// Two nodes with an operation of the client's, and nothing to tell.
fn working() -> (Nodes, StreamId) {
    let mut pair = Nodes::connected();
    let op = pair.client.invoke("a", "b", b"");
    pair.pump();
    pair.server.told();
    (pair, op)
}

fn cancel(detail: &str) -> Vec<u8> {
    encoded(
        OP,
        &Cancel {
            reason: USER,
            detail,
        },
    )
}

// ---- the answer ----

#[test]
fn every_reason_arrives_and_the_answer_may_be_any_terminal_frame() {
    let reasons = (0..=6).chain([0x3f, 0x40, 0x99, 1 << 40]);
    for wire in reasons {
        for answer in ["fail", "finish", "final frame"] {
            let (mut pair, op) = working();
            let reason = CancelReason::from_wire(wire);
            let now = pair.now();
            let client = &mut pair.client.connection;
            client.cancel(op, reason, "enough", now).unwrap();
            pair.pump();
            let heard = format!("4 cancelled {reason} enough");
            let told = pair.server.told();
            assert_eq!(told, [heard.as_str(), "4 input finished"][..told.len()]);
            match answer {
                "fail" => {
                    let connection = &mut pair.server.connection;
                    connection.fail(op, CANCELLED, "", &[], now).unwrap();
                }
                "final frame" => {
                    pair.server.send(op, b"last words");
                    pair.server.connection.finish(op).unwrap();
                }
                _ => pair.server.connection.finish(op).unwrap(),
            }
            pair.pump();
            let outcome = format!("4 ended Cancelled({reason:?}) by");
            assert_eq!(pair.server.told(), [format!("{outcome} Peer")]);
            let told = pair.client.told();
            assert_eq!(told.last().unwrap(), &format!("{outcome} Local"));
        }
    }
}

#[test]
fn a_cancel_that_nobody_answers_is_answered_at_the_deadline_and_not_before() {
    let mut lone = serving();
    lone.ends(stream(OP), &cancel(""));
    lone.end.told();
    lone.wait(4_999);
    assert_eq!(lone.errors(stream(OP)), []);
    assert_eq!(lone.end.connection.live_operations(), 1);
    lone.wait(1);
    assert_eq!(lone.errors(stream(OP)), [CANCELLED.to_wire()]);
    assert!(lone.end.pipes[&stream(OP)].fin);
    assert_eq!(
        lone.end.told(),
        ["4 ended Cancelled(UserCancelled) by Peer"]
    );
}

#[test]
fn a_canceller_waits_for_its_answer_until_the_deadline_and_then_resets() {
    let mut lone = Lone::<Roomy>::connected(Role::Client, Config::default());
    let op = lone.end.invoke("a", "b", b"");
    let now = lone.now();
    lone.end.connection.cancel(op, USER, "", now).unwrap();
    lone.settle(now);
    lone.wait(4_999);
    assert_eq!(lone.end.told(), [""; 0]);
    assert_eq!(lone.end.pipes[&op].stop, None);
    lone.wait(1);
    assert_eq!(lone.end.pipes[&op].stop, Some(CANCELLED.to_wire()));
    assert_eq!(
        lone.end.told(),
        ["4 ended Cancelled(UserCancelled) by Local"]
    );
}

#[test]
fn a_responder_may_cancel_too_and_the_initiator_hears_the_reason() {
    let (mut pair, op) = working();
    let now = pair.now();
    let reason = CancelReason::ResourceExhausted;
    let server = &mut pair.server.connection;
    server.cancel(op, reason, "no room", now).unwrap();
    pair.pump();
    let told = pair.client.told();
    assert_eq!(told[0], "4 cancelled RESOURCE_EXHAUSTED no room");
    pair.wait(5_000);
    pair.wait(5_000);
    assert_eq!(pair.client.connection.live_operations(), 0);
    assert_eq!(pair.server.connection.live_operations(), 0);
}

// ---- the detail ----

#[test]
fn a_detail_of_1024_bytes_is_sent_and_a_longer_one_is_not() {
    for (len, taken) in [
        (0, Ok(())),
        (1023, Ok(())),
        (1024, Ok(())),
        (1025, Err(CallError::DetailTooLong)),
    ] {
        let (mut pair, op) = working();
        let detail = "é".repeat(len / 2) + &"x".repeat(len % 2);
        assert_eq!(detail.len(), len);
        let now = pair.now();
        let client = &mut pair.client.connection;
        assert_eq!(client.cancel(op, USER, &detail, now), taken);
        pair.pump();
        let cancelled = pair.server.told().len();
        assert_eq!(cancelled > 0, taken.is_ok(), "{len}");
    }
}

#[test]
fn a_longer_detail_of_a_peer_is_taken_where_there_is_room_for_it() {
    for (len, fits) in [(1025, true), (2044, true), (2046, false)] {
        let mut lone = Lone::<Wide>::connected(Role::Server, Config::default());
        lone.arrives(stream(OP), &invoke(OP));
        lone.end.told();
        lone.arrives(stream(OP), &cancel(&"d".repeat(len)));
        if fits {
            let heard = format!("4 cancelled USER_CANCELLED {len} bytes");
            assert_eq!(lone.end.told(), [heard]);
        } else {
            assert_eq!(
                lone.errors(stream(OP)),
                [ErrorCode::FrameTooLarge.to_wire()]
            );
        }
    }
}

#[test]
fn a_detail_that_is_no_text_is_malformed_and_ends_that_operation_alone() {
    for role in [Role::Server, Role::Client] {
        let mut lone = Lone::<Roomy>::connected(role, Config::default());
        for id in [OP, OP + 4] {
            if role == Role::Client {
                lone.end.invoke("a", "b", b"");
                lone.settle(lone.now());
            } else {
                lone.arrives(stream(id), &invoke(id));
            }
        }
        lone.end.told();
        lone.arrives(stream(OP), &frame(0x05, OP, b"\x00\x02\xff\xfe"));
        let malformed = ErrorCode::MalformedFrame;
        assert_eq!(lone.errors(stream(OP)), [malformed.to_wire()]);
        assert_eq!(lone.end.told(), ["4 ended Failed(MalformedFrame) by Local"]);
        lone.arrives(stream(OP + 4), &encoded(OP + 4, &user_cancel()));
        assert_eq!(lone.end.told(), ["8 cancelled USER_CANCELLED "]);
    }
}

fn user_cancel() -> Cancel<'static> {
    Cancel {
        reason: USER,
        detail: "",
    }
}

// ---- late ones ----

#[test]
fn a_late_cancel_is_told_to_the_responder_and_answered_by_nothing() {
    for end in ["finish", "fail", "cancel"] {
        for chunk in [usize::MAX, 1] {
            let mut lone = serving();
            lone.end.chunk = chunk;
            let now = lone.now();
            let connection = &mut lone.end.connection;
            match end {
                "finish" => connection.finish(stream(OP)).unwrap(),
                "fail" => {
                    let failure = ErrorCode::Application;
                    connection.fail(stream(OP), failure, "", &[], now).unwrap();
                }
                _ => connection.cancel(stream(OP), USER, "", now).unwrap(),
            }
            lone.settle(now);
            let before = lone.frames(stream(OP));
            lone.ends(stream(OP), &cancel("too late"));
            let told = lone.end.told();
            assert_eq!(told.len(), 2, "{end}: {told:?}");
            assert_eq!(told[0], "4 cancelled late USER_CANCELLED", "{end}");
            assert!(told[1].starts_with("4 ended "), "{end}: {told:?}");
            assert_eq!(lone.frames(stream(OP)), before, "{end}: nothing is said");
            assert_eq!(lone.end.connection.live_operations(), 0);
        }
    }
}

#[test]
fn of_late_cancels_the_first_is_told() {
    let mut lone = serving();
    lone.end.connection.finish(stream(OP)).unwrap();
    lone.arrives(stream(OP), &cancel("").repeat(5));
    assert_eq!(lone.end.told(), ["4 cancelled late USER_CANCELLED"]);
    assert_eq!(lone.end.connection.counters().skipped_frames, 5);
}

#[test]
fn a_cancel_behind_one_that_came_in_time_is_not_told_as_late() {
    let mut lone = serving();
    lone.arrives(stream(OP), &cancel(""));
    let now = lone.now();
    let connection = &mut lone.end.connection;
    connection
        .fail(stream(OP), CANCELLED, "", &[], now)
        .unwrap();
    lone.arrives(stream(OP), &cancel("again"));
    assert_eq!(lone.end.told(), ["4 cancelled USER_CANCELLED "]);
}

#[test]
fn initiators_hear_nothing_of_a_late_cancel() {
    let mut lone = Lone::<Roomy>::connected(Role::Client, Config::default());
    let op = lone.end.invoke("a", "b", b"");
    let now = lone.now();
    let failure = ErrorCode::Application;
    let connection = &mut lone.end.connection;
    connection.fail(op, failure, "", &[], now).unwrap();
    lone.settle(now);
    lone.ends(op, &cancel("crossing"));
    assert_eq!(lone.end.told(), ["4 ended Failed(Application) by Local"]);
}

#[test]
fn a_late_cancel_that_does_not_parse_is_dropped() {
    let mut lone = serving();
    lone.end.connection.finish(stream(OP)).unwrap();
    lone.ends(stream(OP), &frame(0x05, OP, b"\x00\x01\xff"));
    assert_eq!(lone.end.told(), ["4 ended Completed by Local"]);
    assert_eq!(lone.errors(stream(OP)), []);
}

// ---- peers under minor 3 ----

#[test]
fn under_minor_3_a_cancel_is_a_reset_both_ways_and_a_received_one_still_counts() {
    let old = |role| {
        let mut lone = Lone::<Roomy>::started(role, Config::default());
        let hello = HelloFrame::signed(PEER_SEED, [5; 16], UNIX_START);
        let hello = hello.with(|hello| hello.minor = 2);
        lone.arrives(StreamId::CONTROL, &hello.encode());
        lone.end.told();
        lone
    };
    let mut client = old(Role::Client);
    let op = client.end.invoke("a", "b", b"");
    let now = client.now();
    client.settle(now);
    client.end.connection.cancel(op, USER, "", now).unwrap();
    client.settle(now);
    let code = Some(CANCELLED.to_wire());
    let pipe = &client.end.pipes[&op];
    assert_eq!((pipe.reset, pipe.stop), (code, code));
    assert_eq!(
        client.end.told(),
        ["4 ended Cancelled(UserCancelled) by Local"]
    );

    let mut server = old(Role::Server);
    server.arrives(stream(OP), &invoke(OP));
    server.end.told();
    server.arrives(stream(OP), &cancel("all the same"));
    assert_eq!(
        server.end.told(),
        ["4 cancelled USER_CANCELLED all the same"]
    );
}

// ---- signed ones ----

fn good_block() -> Block {
    Block::by(PEER_SEED, [8; 16], UNIX_START)
}

/// What the connection says to this block behind a CANCEL: `None` when it is good.
fn verdict(block: &Block, seed: [u8; 32], chunk: usize) -> Option<ErrorCode> {
    let mut lone = serving();
    lone.arrives(stream(OP + 4), &invoke(OP + 4));
    lone.end.told();
    lone.end.chunk = chunk;
    lone.arrives(stream(OP), &signed_cancel(OP, &user_cancel(), block, seed));
    let told = lone.end.told();
    let errors = lone.errors(stream(OP));
    assert!(lone.end.connection.is_open(), "only the operation ends");
    assert!(lone.end.connection.op_id(stream(OP + 4)).is_some());
    if told == ["4 cancelled USER_CANCELLED "] {
        assert_eq!(errors, []);
        return None;
    }
    let code = ErrorCode::from_wire(errors[0]);
    assert_eq!(told, [format!("4 ended Failed({code:?}) by Local")]);
    Some(code)
}

#[test]
fn a_cancel_signed_by_the_peer_is_taken_whole_or_in_pieces() {
    for chunk in [usize::MAX, 1, 7] {
        assert_eq!(verdict(&good_block(), PEER_SEED, chunk), None);
    }
}

#[test]
fn a_signed_cancel_is_refused_for_each_fault_with_its_own_code() {
    use ErrorCode::{BadSignature, KeyMismatch, StaleTimestamp};

    type Change = fn(&mut Block);
    let faults: [(&str, Change, ErrorCode); 9] = [
        ("first bit", |block| block.spoiled = Some(0), BadSignature),
        ("last bit", |block| block.spoiled = Some(63), BadSignature),
        ("short", |block| block.signature_len = 63, BadSignature),
        ("none", |block| block.signature_len = 0, BadSignature),
        ("algorithm", |block| block.algorithm = 2, BadSignature),
        (
            "another identity",
            |block| {
                block.method = QuickSigner::from_seed([3; 32]).method().to_owned();
            },
            KeyMismatch,
        ),
        ("no identity", |block| block.method.clear(), KeyMismatch),
        ("old", |block| block.timestamp -= 300_001, StaleTimestamp),
        ("early", |block| block.timestamp += 300_001, StaleTimestamp),
    ];
    for (fault, change, code) in faults {
        let mut block = good_block();
        change(&mut block);
        for chunk in [usize::MAX, 3] {
            assert_eq!(verdict(&block, PEER_SEED, chunk), Some(code), "{fault}");
        }
    }
}

#[test]
fn the_order_of_a_blocks_checks_is_that_of_a_hello() {
    // Identity before algorithm, algorithm before time, time before signature (GAP-9).
    let mut block = good_block();
    block.timestamp = 0;
    block.spoiled = Some(1);
    assert_eq!(
        verdict(&block, PEER_SEED, 64),
        Some(ErrorCode::StaleTimestamp)
    );
    block.algorithm = 9;
    assert_eq!(
        verdict(&block, PEER_SEED, 64),
        Some(ErrorCode::BadSignature)
    );
    block.method = "did:key:zNobody#zNobody".to_owned();
    assert_eq!(verdict(&block, PEER_SEED, 64), Some(ErrorCode::KeyMismatch));
}

#[test]
fn a_timestamp_at_the_windows_edges_is_good() {
    for off in [-300_000, 300_000] {
        let mut block = good_block();
        block.timestamp += off;
        assert_eq!(verdict(&block, PEER_SEED, usize::MAX), None, "{off}");
    }
    for timestamp in [i64::MIN, i64::MAX] {
        let mut block = good_block();
        block.timestamp = timestamp;
        let stale = Some(ErrorCode::StaleTimestamp);
        assert_eq!(verdict(&block, PEER_SEED, usize::MAX), stale);
    }
}

#[test]
fn the_signature_of_another_identity_under_the_peers_name_is_bad() {
    let bad = Some(ErrorCode::BadSignature);
    assert_eq!(verdict(&good_block(), [3; 32], usize::MAX), bad);
}

#[test]
fn a_signature_over_another_type_of_frame_is_bad() {
    let inner = [0, 0];
    let hello = good_block().behind(&inner, aire_proto::wire::FrameType::Hello, &[], PEER_SEED);
    let mut lone = serving();
    lone.arrives(stream(OP), &frame(0x05, OP, &[&inner[..], &hello].concat()));
    assert_eq!(lone.errors(stream(OP)), [ErrorCode::BadSignature.to_wire()]);
}

#[test]
fn no_bit_of_a_signed_cancel_can_be_flipped() {
    let whole = signed_cancel(OP, &user_cancel(), &good_block(), PEER_SEED);
    let (header, payload) = whole.split_at(whole.len() - 2 - 65 - 24);
    assert!(!header.is_empty());
    // Nonce, timestamp and signature: what is before them fails for other reasons, too.
    for at in 0..payload.len() * 8 {
        let mut spoiled = whole.clone();
        spoiled[header.len() + at / 8] ^= 1 << (at % 8);
        let mut lone = serving();
        lone.arrives(stream(OP), &spoiled);
        let told = lone.end.told();
        let good = told.iter().any(|line| line.contains("cancelled"));
        assert!(!good, "bit {at}: {told:?}");
    }
}

#[test]
fn an_unsigned_peer_cannot_sign_a_cancel() {
    let config = Config {
        danger_accept_unsigned_peers: true,
        ..Config::default()
    };
    let did = QuickSigner::from_seed(PEER_SEED).did().to_owned();
    let mut lone = Lone::<Roomy>::started(Role::Server, config);
    let hello = HelloFrame::unsigned(1, &did);
    lone.arrives(StreamId::CONTROL, &hello.encode());
    lone.arrives(stream(OP), &invoke(OP));
    lone.end.told();
    let signed = signed_cancel(OP, &user_cancel(), &good_block(), PEER_SEED);
    lone.arrives(stream(OP), &signed);
    assert_eq!(lone.errors(stream(OP)), [ErrorCode::BadSignature.to_wire()]);
    // Without a block it cancels as ever.
    lone.arrives(stream(OP + 4), &invoke(OP + 4));
    lone.end.told();
    lone.arrives(stream(OP + 4), &encoded(OP + 4, &user_cancel()));
    assert_eq!(lone.end.told(), ["8 cancelled USER_CANCELLED "]);
}

#[test]
fn without_a_verifier_no_signed_cancel_is_good() {
    let config = Config {
        signatures: None,
        ..Config::default()
    };
    let mut lone = Lone::<Roomy>::connected(Role::Server, config);
    lone.arrives(stream(OP), &invoke(OP));
    let signed = signed_cancel(OP, &user_cancel(), &good_block(), PEER_SEED);
    lone.arrives(stream(OP), &signed);
    assert_eq!(lone.errors(stream(OP)), [ErrorCode::BadSignature.to_wire()]);
}

#[test]
fn a_late_cancel_with_a_wrong_signature_is_passed_on_to_nobody() {
    for (spoiled, told) in [(None, true), (Some(5), false)] {
        for chunk in [usize::MAX, 3] {
            let mut lone = serving();
            lone.end.chunk = chunk;
            lone.end.connection.finish(stream(OP)).unwrap();
            lone.settle(lone.now());
            let mut block = good_block();
            block.spoiled = spoiled;
            lone.ends(
                stream(OP),
                &signed_cancel(OP, &user_cancel(), &block, PEER_SEED),
            );
            let late = lone
                .end
                .told()
                .contains(&"4 cancelled late USER_CANCELLED".to_owned());
            assert_eq!(late, told, "{spoiled:?}");
            assert_eq!(lone.errors(stream(OP)), []);
        }
    }
}
