//! Every frame of an operation, in both directions: what the application hears of it, and what is
//! skipped, refused, or never sent.
#![cfg(feature = "ed25519")]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects
)]

mod support;

use aire_proto::connection::{CallError, Stall};
use aire_proto::wire::{
    Budget, Cancel, Capability, Currency, Delegate, ErrorFrame, FrameType, Resumable, Resume,
};
use aire_proto::{Config, ErrorCode, Role, StreamId, Transmit, UnixMillis};
use aire_vectors::all;
use support::hello::HelloFrame;
use support::lone::{Lone, PEER_SEED, encoded, frame, invoke};
use support::script::Roomy;
use support::{Pair, Small, UNIX_START, USER, stream};

type Devices = Pair<Small, Small>;

const RESUMABLE: Capability<'static> = Capability {
    name: "aire.resumable/1",
    version: 1,
    required: false,
};

fn serving_with(config: Config) -> Lone<Small> {
    let mut lone = Lone::<Small>::connected(Role::Server, config);
    lone.arrives(stream(4), &invoke(4));
    lone.end.told();
    lone
}

fn serving() -> Lone<Small> {
    serving_with(Config::default())
}

/// Two nodes that can resume, with an operation of the client's on stream 4.
fn resumable_pair() -> (Devices, StreamId) {
    let mut pair = Devices::silent(Config::default());
    pair.client.capabilities.push(RESUMABLE);
    pair.server.capabilities.push(RESUMABLE);
    pair.shake_hands();
    let op = pair.client.invoke("a", "b", b"");
    pair.pump();
    pair.server.told();
    (pair, op)
}

/// A connection in `role` to a peer of an older minor, which could resume.
fn with_old_peer(role: Role, minor: u64) -> Lone<Small> {
    let mut lone = Lone::<Small>::unstarted(role, Config::default());
    lone.end.capabilities.push(RESUMABLE);
    lone.end.start(lone.now());
    let hello = HelloFrame::signed(PEER_SEED, [5; 16], UNIX_START).with(|hello| {
        hello.minor = minor;
        hello.capabilities.push(RESUMABLE);
    });
    lone.arrives(StreamId::CONTROL, &hello.encode());
    assert_eq!(lone.end.told(), ["hello", "connected"]);
    lone
}

#[test]
fn a_budget_goes_both_ways_and_each_one_is_told_whole() {
    let mut pair = Devices::connected();
    pair.client.exact = true;
    pair.server.exact = true;
    let op = pair.client.invoke("a", "b", b"");
    let budget = Budget {
        tokens: Some(10),
        cost_microunits: Some(2_000_000),
        currency: Currency::new(*b"EUR"),
        deadline: Some(UnixMillis(-1)),
        ..Budget::default()
    };
    let lower = Budget {
        tokens: Some(3),
        ..Budget::default()
    };
    pair.client
        .connection
        .send_budget(op, &budget, support::at(0))
        .unwrap();
    pair.client
        .connection
        .send_budget(op, &lower, support::at(0))
        .unwrap();
    pair.pump();
    assert_eq!(
        pair.server.told(),
        [
            "4 invoked 4 a/b args 0".to_owned(),
            format!("4 {budget:?}"),
            format!("4 {lower:?}")
        ]
    );
    pair.server
        .connection
        .send_budget(op, &lower, support::at(0))
        .unwrap();
    pair.pump();
    assert_eq!(pair.client.told(), [format!("4 {lower:?}")]);
    // One operation's budget is no other's.
    let other = pair.client.invoke("a", "c", b"");
    pair.client
        .connection
        .send_budget(other, &budget, support::at(0))
        .unwrap();
    pair.pump();
    assert_eq!(
        pair.server.told(),
        ["8 invoked 8 a/c args 0".to_owned(), format!("8 {budget:?}")]
    );
}

#[test]
fn only_the_responder_delegates_and_the_initiator_hears_of_it() {
    let mut pair = Devices::connected();
    let op = pair.client.invoke("a", "b", b"");
    pair.pump();
    let delegate = Delegate {
        target: "aire://b.example/agent",
        target_did: "",
        sub_op: 8,
    };
    assert_eq!(
        pair.client.connection.send_delegate(op, &delegate),
        Err(CallError::NotTheResponder)
    );
    pair.server.connection.send_delegate(op, &delegate).unwrap();
    pair.pump();
    assert_eq!(pair.client.told(), ["4 delegated aire://b.example/agent"]);
    // It ends nothing: the delegator stays on the path.
    pair.server.send(op, b"relayed");
    pair.pump();
    assert_eq!(pair.client.told(), ["4 stream relayed left 0"]);
}

#[test]
fn resumption_frames_travel_only_when_both_ends_advertised_it() {
    let resumable = Resumable {
        ttl_secs: 60,
        token: b"0123456789abcdef",
        last_seq: 7,
    };
    let (mut pair, op) = resumable_pair();
    assert_eq!(
        pair.client.connection.send_resumable(op, &resumable),
        Err(CallError::NotTheResponder)
    );
    pair.server
        .connection
        .send_resumable(op, &resumable)
        .unwrap();
    let later = Resumable {
        last_seq: 9,
        ..resumable
    };
    pair.server.connection.send_resumable(op, &later).unwrap();
    pair.pump();
    assert_eq!(pair.client.told(), ["4 resumable 7", "4 resumable 9"]);

    let mut plain = Devices::connected();
    let op = plain.client.invoke("a", "b", b"");
    plain.pump();
    assert_eq!(
        plain.server.connection.send_resumable(op, &resumable),
        Err(CallError::NotNegotiated)
    );
}

#[test]
fn a_resume_opens_an_operation_in_place_of_invoke() {
    let resume = Resume {
        token: b"0123456789abcdef",
        last_recv: 3,
    };
    for chunk in [1, 5, usize::MAX] {
        let mut lone = with_old_peer(Role::Server, 4);
        lone.end.chunk = chunk;
        lone.ends(stream(4), &encoded(4, &resume));
        assert_eq!(lone.end.told(), ["4 resumed 4 3", "4 input finished"]);
        let now = lone.now();
        let connection = &mut lone.end.connection;
        connection
            .fail(stream(4), ErrorCode::ResumeInvalid, "", &[], now)
            .unwrap();
        lone.settle(now);
        assert_eq!(lone.end.told(), ["4 ended Failed(ResumeInvalid) by Local"]);
        assert!(lone.end.connection.is_open(), "only the stream is closed");
        // A malformed one opens nothing.
        lone.arrives(stream(8), &frame(0x0b, 8, b"\x10short"));
        assert_eq!(lone.errors(stream(8)), [0x03]);
        assert_eq!(lone.end.told(), [""; 0]);
    }
}

#[test]
fn frames_newer_than_the_negotiated_minor_are_never_sent() {
    let budget = Budget {
        tokens: Some(1),
        ..Budget::default()
    };
    let delegate = Delegate {
        target: "aire://b",
        target_did: "",
        sub_op: 0,
    };
    let resumable = Resumable {
        ttl_secs: 1,
        token: b"token",
        last_seq: 0,
    };
    for minor in [2, 3, 4] {
        let mut lone = with_old_peer(Role::Server, minor);
        lone.arrives(stream(4), &invoke(4));
        let connection = &mut lone.end.connection;
        let budgets = if minor < 3 {
            Err(CallError::NotNegotiated)
        } else {
            Ok(())
        };
        assert_eq!(
            connection.send_budget(stream(4), &budget, support::at(0)),
            budgets
        );
        assert_eq!(connection.send_delegate(stream(4), &delegate), budgets);
        let resumables = if minor < 4 {
            Err(CallError::NotNegotiated)
        } else {
            Ok(())
        };
        assert_eq!(connection.send_resumable(stream(4), &resumable), resumables);
        // Received all the same, they are handled as if they were negotiated.
        lone.end.told();
        lone.arrives(stream(4), &encoded(4, &budget));
        lone.arrives(
            stream(4),
            &encoded(
                4,
                &Cancel {
                    reason: USER,
                    detail: "",
                },
            ),
        );
        assert_eq!(
            lone.end.told(),
            ["4 budget Some(1)", "4 cancelled USER_CANCELLED "]
        );
        // And under minor 3 a cancel is a reset.
        let own = lone.end.invoke("a", "b", b"");
        lone.settle(lone.now());
        let now = lone.now();
        lone.end.connection.cancel(own, USER, "", now).unwrap();
        lone.settle(now);
        let pipe = &lone.end.pipes[&own];
        assert_eq!(pipe.reset.is_some(), minor < 3, "minor {minor}");
        assert_eq!(pipe.fin, minor >= 3, "minor {minor}");
    }
}

#[test]
fn vendor_frames_reach_an_application_that_asked_for_them_and_no_other() {
    for (vendor_frames, skipped) in [(true, 2), (false, 4)] {
        for chunk in [1, usize::MAX] {
            let mut lone = serving_with(Config {
                vendor_frames,
                ..Config::default()
            });
            lone.end.chunk = chunk;
            for (frame_type, payload) in [
                (0x80, &b"vendor"[..]),
                (0x0c, b"reserved"),
                (0xff, b""),
                (0x7f, b""),
            ] {
                lone.arrives(stream(4), &frame(frame_type, 4, payload));
            }
            lone.arrives(stream(4), &frame(0x04, 4, b"."));
            let mut told = lone.end.told();
            assert_eq!(told.pop().unwrap(), "4 stream . left 0");
            let vendors: &[&str] = if vendor_frames {
                &["4 vendor 0x80", "4 vendor 0xff"]
            } else {
                &[]
            };
            assert_eq!(told, vendors);
            assert_eq!(lone.end.connection.counters().skipped_frames, skipped);
        }
    }
}

#[test]
fn unknown_types_of_any_length_are_skipped_even_before_invoke() {
    for chunk in [1, 1000, usize::MAX] {
        let mut lone = Lone::<Small>::connected(Role::Server, Config::default());
        lone.end.chunk = chunk;
        lone.arrives(stream(4), &frame(0x20, 4, &[0; 3000]));
        lone.arrives(stream(4), &frame(0x00, 4, b""));
        lone.arrives(stream(4), &invoke(4));
        assert_eq!(lone.end.told(), ["4 invoked 4 echo/say args 0"]);
        assert_eq!(lone.end.connection.counters().skipped_frames, 2);
    }
}

#[test]
fn flags_are_ignored_on_every_frame_and_zero_on_ours() {
    let mut lone = Lone::<Small>::connected(Role::Server, Config::default());
    for mut bytes in [
        invoke(4),
        frame(0x04, 4, b"x"),
        encoded(
            4,
            &Cancel {
                reason: USER,
                detail: "",
            },
        ),
    ] {
        bytes[1] = 0xff;
        lone.arrives(stream(4), &bytes);
    }
    assert_eq!(
        lone.end.told(),
        [
            "4 invoked 4 echo/say args 0",
            "4 stream x left 0",
            "4 cancelled USER_CANCELLED "
        ]
    );
    lone.end.connection.finish(stream(4)).unwrap();
    lone.settle(lone.now());
    for on in [StreamId::CONTROL, stream(4)] {
        assert!(lone.frames(on).iter().all(|(header, _)| header.flags == 0));
    }
}

#[test]
fn longer_than_minimal_varints_are_read_everywhere_on_a_live_connection() {
    let mut lone = Lone::<Small>::connected(Role::Server, Config::default());
    // OpID 4 and length 11 in eight bytes each; the names' lengths in four and two.
    let mut bytes = vec![0x03, 0];
    bytes.extend_from_slice(&(4 | 3_u64 << 62).to_be_bytes());
    bytes.extend_from_slice(&(13 | 3_u64 << 62).to_be_bytes());
    bytes.extend_from_slice(b"\x80\0\0\x04echo\x40\x03say");
    lone.arrives(stream(4), &bytes);
    assert_eq!(lone.end.told(), ["4 invoked 4 echo/say args 0"]);
    lone.arrives(stream(4), b"\x06\0\x40\x04\x40\x05\x40\x01\x01\x01\x07");
    assert_eq!(lone.end.told(), ["4 budget Some(7)"]);
}

#[test]
fn a_signed_cancel_and_an_empty_one_are_cancels() {
    for vector in all() {
        let Some(signed) = vector
            .as_frame()
            .filter(|_| vector.id.starts_with("cancel-signed"))
        else {
            continue;
        };
        let signing = signed.signing.as_ref().unwrap();
        let mut lone = Lone::<Small>::started(Role::Server, Config::default());
        let hello = HelloFrame::signed(signing.inputs.seed, [5; 16], UNIX_START);
        lone.arrives(StreamId::CONTROL, &hello.encode());
        lone.arrives(stream(4), &invoke(signed.frame.op_id));
        lone.end.told();
        lone.arrives(stream(4), &signed.encoded);
        assert!(
            lone.end.told()[0].starts_with("4 cancelled "),
            "{}",
            vector.id
        );
    }
    let mut lone = serving();
    lone.arrives(stream(4), &frame(0x05, 4, b""));
    assert_eq!(lone.end.told(), ["4 cancelled USER_CANCELLED "]);
}

#[test]
fn a_second_cancel_is_dropped_and_frames_behind_a_terminal_one_too() {
    let cancel = encoded(
        4,
        &Cancel {
            reason: USER,
            detail: "",
        },
    );
    let mut lone = serving();
    lone.arrives(stream(4), &cancel.repeat(3));
    assert_eq!(lone.end.told(), ["4 cancelled USER_CANCELLED "]);
    assert_eq!(lone.end.connection.counters().skipped_frames, 2);

    let mut client = Lone::<Small>::connected(Role::Client, Config::default());
    let op = client.end.invoke("a", "b", b"");
    let failure = ErrorFrame {
        code: ErrorCode::Application,
        detail: "broke",
        data: b"{}",
    };
    let bytes = [encoded(4, &failure), frame(0x04, 4, b"late"), cancel].concat();
    client.ends(op, &bytes);
    assert_eq!(
        client.end.told(),
        [
            "4 failed APPLICATION broke",
            "4 ended Failed(Application) by Peer"
        ]
    );
    assert_eq!(client.end.connection.counters().skipped_frames, 2);
}

#[test]
fn an_answer_to_a_cancel_keeps_its_outcome_and_another_failure_replaces_it() {
    for (code, outcome) in [
        (ErrorCode::Cancelled, "Cancelled(UserCancelled) by Local"),
        (ErrorCode::Application, "Failed(Application) by Peer"),
    ] {
        let mut lone = Lone::<Small>::connected(Role::Client, Config::default());
        let op = lone.end.invoke("a", "b", b"");
        let now = lone.now();
        lone.end.connection.cancel(op, USER, "", now).unwrap();
        let answer = ErrorFrame {
            code,
            detail: "",
            data: &[],
        };
        lone.ends(op, &encoded(4, &answer));
        assert_eq!(lone.end.told()[1], format!("4 ended {outcome}"));
    }
}

#[test]
fn the_initiator_may_fail_an_operation_too() {
    let mut pair = Devices::connected();
    let op = pair.client.invoke("a", "b", b"");
    pair.pump();
    pair.server.told();
    let now = pair.now();
    let failure = ErrorCode::BudgetExceeded;
    pair.client
        .connection
        .fail(op, failure, "spent", b"", now)
        .unwrap();
    pair.pump();
    assert_eq!(
        pair.server.told(),
        [
            "4 failed BUDGET_EXCEEDED spent",
            "4 ended Failed(BudgetExceeded) by Peer"
        ]
    );
    assert_eq!(
        pair.client.told(),
        ["4 ended Failed(BudgetExceeded) by Local"]
    );
}

#[test]
fn a_responder_may_cancel_and_the_initiator_answers() {
    let mut pair = Devices::connected();
    let op = pair.client.invoke("a", "b", b"");
    pair.pump();
    pair.server.told();
    let now = pair.now();
    pair.server
        .connection
        .cancel(op, USER, "no more", now)
        .unwrap();
    pair.pump();
    assert_eq!(
        pair.client.told(),
        [
            "4 cancelled USER_CANCELLED no more",
            "4 ended Cancelled(UserCancelled) by Peer"
        ]
    );
    assert_eq!(
        pair.server.told(),
        ["4 ended Cancelled(UserCancelled) by Local"]
    );
}

#[test]
fn control_frames_larger_than_the_scratch_are_too_large_and_pass_on_a_larger_node() {
    for len in [1024_usize, 1025, 60_000] {
        let error = [&b"\x0c\x00"[..], &vec![b'x'; len - 2]].concat();
        let bytes = frame(0x08, 4, &error);
        let mut lone = Lone::<Small>::connected(Role::Client, Config::default());
        let op = lone.end.invoke("a", "b", b"");
        lone.settle(lone.now());
        lone.arrives(op, &bytes);
        let told = lone.errors(op);
        assert_eq!(
            told,
            if len > 1024 { vec![0x40] } else { vec![] },
            "{len} bytes"
        );
        assert!(lone.end.connection.is_open());
    }
    #[cfg(feature = "alloc")]
    for chunk in [1000, usize::MAX] {
        let error = [&b"\x0c\x00"[..], &vec![b'x'; 65_534]].concat();
        let mut lone = Lone::<aire_proto::Growing>::connected(Role::Client, Config::default());
        lone.end.chunk = chunk;
        let op = lone.end.invoke("a", "b", b"");
        lone.ends(op, &frame(0x08, 4, &error));
        assert_eq!(
            lone.end.told(),
            [
                "4 failed DEADLINE_EXCEEDED ",
                "4 ended Failed(DeadlineExceeded) by Peer"
            ]
        );
    }
}

#[test]
fn a_stream_payload_of_the_limit_passes_and_one_byte_more_is_too_large() {
    for (limit, len, fits) in [
        (65_536, 65_536, true),
        (65_536, 65_537, false),
        // Nobody may take less than 65,536.
        (10, 65_536, true),
        (1_048_576, 1_048_576, true),
        (1_048_576, 1_048_577, false),
    ] {
        let mut lone = serving_with(Config {
            max_payload: limit,
            ..Config::default()
        });
        lone.end.chunk = 40_000;
        lone.arrives(stream(4), &frame(0x04, 4, &vec![7; len]));
        if fits {
            assert!(lone.end.told().last().unwrap().ends_with("left 0"));
            assert!(lone.errors(stream(4)).is_empty());
        } else {
            assert_eq!(lone.errors(stream(4)), [0x40]);
            assert_eq!(lone.end.pipes[&stream(4)].stop, Some(0x40));
            lone.wait(5000);
            assert_eq!(lone.end.told(), ["4 ended Failed(FrameTooLarge) by Local"]);
        }
    }
}

#[test]
fn nothing_over_a_mebibyte_and_no_detail_over_a_kibibyte_is_sent() {
    let mut lone = Lone::<Roomy>::connected(Role::Client, Config::default());
    let connection = &mut lone.end.connection;
    assert_eq!(
        connection.invoke("agent", "op", 1_048_576),
        Err(CallError::PayloadTooLarge),
        "the names count too"
    );
    let op = connection.invoke("agent", "op", 1_048_576 - 9).unwrap();
    lone.end.payloads.insert(op, vec![0; 1_048_576]);
    lone.settle(lone.now());
    let connection = &mut lone.end.connection;
    assert_eq!(
        connection.send(op, 1_048_577),
        Err(CallError::PayloadTooLarge)
    );
    assert_eq!(connection.send(op, 1_048_576), Ok(()));
    let now = support::at(0);
    let long = "d".repeat(1025);
    assert_eq!(
        connection.cancel(op, USER, &long, now),
        Err(CallError::DetailTooLong)
    );
}

#[test]
fn an_outbox_without_room_says_how_much_it_would_take() {
    let mut lone = serving();
    let budget = Budget {
        tokens: Some(1),
        ..Budget::default()
    };
    lone.end.window = Some(0);
    let connection = &mut lone.end.connection;
    // 128 bytes hold sixteen frames of eight.
    for _ in 0..16 {
        connection
            .send_budget(stream(4), &budget, support::at(0))
            .unwrap();
    }
    assert_eq!(
        connection.send_budget(stream(4), &budget, support::at(0)),
        Err(CallError::OutboxFull { needed: 8 })
    );
    lone.end.window = None;
    lone.settle(lone.now());
    lone.end
        .connection
        .send_budget(stream(4), &budget, support::at(0))
        .unwrap();
    lone.settle(lone.now());
    assert_eq!(lone.frames(stream(4)).len(), 17);
}

#[test]
fn a_transport_that_takes_the_bytes_but_not_the_fin_is_asked_again() {
    let mut lone = serving();
    lone.ends(stream(4), b"");
    lone.end.send(stream(4), b"answer");
    lone.end.connection.finish(stream(4)).unwrap();
    let now = lone.now();
    let connection = &mut lone.end.connection;
    let Some(Transmit::Data {
        head,
        payload,
        fin: true,
        ..
    }) = connection.poll_transmit()
    else {
        panic!("the answer and its FIN are one transmission");
    };
    let count = head.len() + payload.count();
    assert!(
        connection.wrote(stream(4), count, false, now),
        "its memory is free"
    );
    assert_eq!(connection.poll_transmit(), None, "blocked");
    assert_eq!(connection.stall(stream(4)), Some(Stall::Transport));
    connection.writable(stream(4));
    let Some(Transmit::Data {
        head,
        payload,
        tail,
        fin: true,
        ..
    }) = connection.poll_transmit()
    else {
        panic!("the FIN is left");
    };
    assert!(head.is_empty() && payload.is_empty() && tail.is_empty());
    connection.wrote(stream(4), 0, true, now);
    lone.settle(now);
    let told = lone.end.told();
    assert_eq!(told.last().unwrap(), "4 ended Completed by Local");
}

#[test]
fn every_operation_frame_says_its_operation_and_every_control_frame_says_none() {
    let (mut pair, op) = resumable_pair();
    let now = pair.now();
    pair.server.send(op, b"x");
    pair.server.transmit(now);
    let resumable = Resumable {
        ttl_secs: 1,
        token: b"token",
        last_seq: 1,
    };
    pair.server
        .connection
        .send_resumable(op, &resumable)
        .unwrap();
    pair.server
        .connection
        .fail(op, ErrorCode::Application, "", &[], now)
        .unwrap();
    pair.server.connection.goodbye(now);
    pair.server.transmit(now);
    let sent = support::lone::frames(&pair.server.pipes[&op].bytes);
    let types: Vec<FrameType> = sent.iter().map(|(header, _)| header.frame_type).collect();
    assert_eq!(
        types,
        [FrameType::Stream, FrameType::Resumable, FrameType::Error]
    );
    assert!(sent.iter().all(|(header, _)| header.op_id == op.get()));
    let control = support::lone::frames(&pair.server.pipes[&StreamId::CONTROL].bytes);
    assert_eq!(control.len(), 1, "HELLO was carried before");
    assert!(control.iter().all(|(header, _)| header.op_id == 0));
}
