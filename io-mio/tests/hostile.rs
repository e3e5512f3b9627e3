//! Peers that speak QUIC and break AIRE's rules, against a node over real QUIC.

mod support;

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, mpsc};
use std::time::{Duration, Instant};

use aire_mio::{Certificate, ErrorCode, Failure, Node, Operation, Settings};
use aire_proto::CancelReason;
use aire_proto::wire::{Budget, Cancel};
use support::raw::{
    BUDGET, CANCEL, GOODBYE, HELLO, INVOKE, Raw, STREAM, config, encode, frame, head, hello,
    hello_of, invoke, number,
};
use support::{any_port, builder, certificate, connect, echo, short_drain};

fn node() -> (Node, Certificate) {
    node_with(short_drain())
}

fn node_with(settings: Settings) -> (Node, Certificate) {
    let certificate = certificate();
    let node = builder(&certificate)
        .agent("wait", |operation: &mut Operation| {
            operation.sleep(Duration::from_secs(600))
        })
        .expect("a free name")
        .settings(settings)
        .listen(any_port())
        .expect("a free port");
    (node, certificate)
}

fn stream_payloads(frames: &[support::raw::Frame]) -> Vec<&[u8]> {
    frames
        .iter()
        .filter(|frame| frame.frame_type == STREAM)
        .map(|frame| frame.payload.as_slice())
        .collect()
}

/// Another operation of the same connection still gets its answer.
fn still_serves(raw: &mut Raw, op: u64) {
    let answer = raw.ask(op, "echo", b"still here");
    assert_eq!(stream_payloads(&answer), [b"still here"]);
}

#[test]
fn a_bare_peer_that_keeps_the_rules_is_served() {
    let (node, _) = node();
    let mut raw = Raw::greet(node.address());
    let answer = raw.ask(4, "echo", b"hello");
    assert_eq!(stream_payloads(&answer), [b"hello"]);
    assert!(answer.iter().all(|frame| frame.op == 4));
}

#[test]
fn the_end_of_a_stream_comes_although_the_packet_that_first_said_it_is_lost() {
    let certificate = certificate();
    let (end, ends) = mpsc::channel::<()>();
    let ends = Mutex::new(ends);
    let node = builder(&certificate)
        .agent("late", move |operation: &mut Operation| {
            operation.send([7; 300])?;
            let _told = ends.lock().expect("not poisoned").recv();
            Ok(())
        })
        .expect("a free name")
        .listen(any_port())
        .expect("a free port");
    let mut raw = Raw::greet(node.address());
    raw.linger(Duration::from_millis(50));
    raw.say(4, &invoke(4, "late", b""), true);
    raw.flush();
    let answer = loop {
        let datagram = raw.take_datagram();
        if (300..500).contains(&datagram.len()) {
            break datagram;
        }
        raw.look_at(datagram, node.address());
    };
    end.send(()).expect("the agent waits");
    raw.lose_for(Duration::from_millis(100));
    // Only now the answer is acknowledged.
    raw.look_at(answer, node.address());
    raw.until("the operation ends", |raw| raw.finished(4));
    assert_eq!(stream_payloads(&raw.frames(4)), [[7; 300]]);
}

#[test]
fn a_first_frame_that_is_no_hello_is_a_protocol_violation() {
    for first in [
        frame(GOODBYE, 0, b""),
        frame(STREAM, 0, b"x"),
        invoke(4, "echo", b""),
        frame(0x20, 0, b""),
        frame(0x90, 0, b"vendor"),
        frame(HELLO, 4, b""),
    ] {
        let (node, _) = node();
        let mut raw = Raw::connect(node.address());
        raw.say(0, &first, false);
        raw.is_told(ErrorCode::ProtocolViolation);
    }
}

#[test]
fn a_second_hello_is_a_protocol_violation() {
    let (node, _) = node();
    let mut raw = Raw::greet(node.address());
    raw.say(0, &hello(), false);
    raw.is_told(ErrorCode::ProtocolViolation);
}

#[test]
fn a_frame_of_type_two_is_a_protocol_violation_wherever_it_comes() {
    let (node, _) = node();
    let mut on_control = Raw::greet(node.address());
    on_control.say(0, &frame(0x02, 0, b""), false);
    on_control.is_told(ErrorCode::ProtocolViolation);
    let mut on_operation = Raw::greet(node.address());
    on_operation.say(4, &invoke(4, "wait", b""), false);
    on_operation.say(4, &frame(0x02, 4, b""), false);
    on_operation.is_told(ErrorCode::ProtocolViolation);
    let mut as_opening = Raw::greet(node.address());
    as_opening.say(4, &frame(0x02, 4, b""), false);
    as_opening.is_told(ErrorCode::ProtocolViolation);
}

#[test]
fn operation_frames_with_a_wrong_operation_id_are_a_protocol_violation() {
    let (node, _) = node();
    for (opening, then) in [
        (frame(BUDGET, 0, b""), None),
        (invoke(0, "wait", b""), None),
        (invoke(4, "wait", b""), Some(frame(STREAM, 8, b"x"))),
        (invoke(4, "wait", b""), Some(frame(STREAM, 0, b"x"))),
        (frame(STREAM, 4, b"x"), None),
        (frame(CANCEL, 4, b""), None),
    ] {
        let mut raw = Raw::greet(node.address());
        raw.say(4, &opening, false);
        if let Some(then) = then {
            raw.say(4, &then, false);
        }
        raw.is_told(ErrorCode::ProtocolViolation);
    }
}

#[test]
fn a_fin_in_the_middle_of_a_frame_is_malformed() {
    let (node, _) = node();
    for cut in [
        head(STREAM, 4, 100),
        [&head(STREAM, 4, 100)[..], b"half"].concat(),
        vec![STREAM],
        [&head(CANCEL, 4, 40)[..], b"\x00"].concat(),
    ] {
        let mut raw = Raw::greet(node.address());
        raw.say(4, &invoke(4, "wait", b""), false);
        raw.say(4, &cut, true);
        raw.is_told(ErrorCode::MalformedFrame);
    }
    let mut raw = Raw::greet(node.address());
    raw.say(0, &[GOODBYE, 0, 0], true);
    raw.is_told(ErrorCode::MalformedFrame);
}

#[test]
fn a_control_stream_that_is_reset_or_stopped_is_a_protocol_violation() {
    let (node, _) = node();
    for direction in [quiche::Shutdown::Write, quiche::Shutdown::Read] {
        let mut raw = Raw::greet(node.address());
        raw.quic
            .stream_shutdown(0, direction, 9)
            .expect("the stream is there");
        raw.until("the node closes", |raw| raw.quic.peer_error().is_some());
        assert_eq!(raw.closed_with(), Some(4));
    }
}

#[test]
fn an_oversized_control_frame_is_refused_without_being_read() {
    let (node, _) = node();
    let mut first = Raw::connect(node.address());
    first.say(0, &head(HELLO, 0, 1 << 20), false);
    first.is_told(ErrorCode::FrameTooLarge);
    let mut later = Raw::greet(node.address());
    later.say(0, &head(GOODBYE, 0, (1 << 62) - 1), false);
    later.is_told(ErrorCode::FrameTooLarge);
}

#[test]
fn a_stream_frame_that_claims_2_to_the_61_ends_its_own_operation_only() {
    let (node, _) = node();
    let mut raw = Raw::greet(node.address());
    raw.say(4, &invoke(4, "wait", b""), false);
    raw.say(8, &invoke(8, "echo", b"meanwhile"), false);
    raw.say(4, &head(STREAM, 4, 1 << 61), false);
    raw.until("the operation is over", |raw| raw.finished(4));
    assert_eq!(raw.errors(4), [ErrorCode::FrameTooLarge]);
    raw.until("the other is over", |raw| raw.finished(8));
    assert_eq!(stream_payloads(&raw.frames(8)), [b"meanwhile"]);
    still_serves(&mut raw, 12);
    assert!(raw.errors(0).is_empty());
}

#[test]
fn an_invoke_that_does_not_decode_ends_its_own_operation_only() {
    let (node, _) = node();
    let mut raw = Raw::greet(node.address());
    let not_utf8 = [&number(2)[..], &[0xff, 0xfe], &number(0)].concat();
    let too_long_a_name = [&number(1000)[..], b"short"].concat();
    for (op, payload) in [
        (4, b"".to_vec()),
        (8, not_utf8),
        (12, too_long_a_name),
        (16, number(1 << 61)),
    ] {
        raw.say(op, &frame(INVOKE, op, &payload), false);
        raw.until("the operation is over", |raw| raw.finished(op));
        assert_eq!(
            raw.errors(op),
            [ErrorCode::MalformedFrame],
            "operation {op}"
        );
    }
    still_serves(&mut raw, 20);
}

#[test]
fn unknown_frames_are_skipped_and_what_follows_them_is_read() {
    let (node, _) = node();
    let mut raw = Raw::greet(node.address());
    raw.say(0, &frame(0x55, 0, &[7; 5000]), false);
    raw.say(0, &frame(0xaa, 0, b"vendor"), false);
    raw.say(4, &frame(0x33, 4, b"before"), false);
    raw.say(4, &invoke(4, "echo", b"x"), false);
    raw.say(4, &frame(0xf0, 4, &[9; 3000]), true);
    raw.until("the answer is here", |raw| raw.finished(4));
    assert_eq!(stream_payloads(&raw.frames(4)), [b"x"]);
}

#[test]
fn a_tampered_signature_is_a_bad_signature() {
    let (node, _) = node();
    let good = hello();
    let mut bad = good.clone();
    *bad.last_mut().expect("a signature") ^= 1;
    let mut raw = Raw::connect(node.address());
    raw.say(0, &bad, false);
    raw.is_told(ErrorCode::BadSignature);
    // What is signed cannot change either: here the number of capabilities' version.
    let mut bad = good;
    let name = b"aire.did-method.key/1";
    let at = bad
        .windows(name.len())
        .position(|window| window == name)
        .expect("it is advertised");
    bad[at + name.len()] = 2;
    let mut raw = Raw::connect(node.address());
    raw.say(0, &bad, false);
    raw.is_told(ErrorCode::BadSignature);
}

#[test]
fn the_same_hello_on_a_second_connection_is_a_replayed_nonce() {
    let (node, _) = node();
    let hello = hello_of([7; 32]);
    let mut first = Raw::connect(node.address());
    first.say(0, &hello, false);
    let answer = first.ask(4, "echo", b"first");
    assert_eq!(stream_payloads(&answer), [b"first"]);
    let mut second = Raw::connect(node.address());
    second.say(0, &hello, false);
    second.is_told(ErrorCode::ReplayedNonce);
    still_serves(&mut first, 8);
}

#[test]
fn past_its_bound_the_replay_guard_refuses_an_identity_and_no_other() {
    let (node, _) = node_with(Settings {
        replay_capacity_per_peer: 2,
        ..short_drain()
    });
    for _ in 0..2 {
        let mut raw = Raw::connect(node.address());
        raw.say(0, &hello_of([9; 32]), false);
        still_serves(&mut raw, 4);
    }
    let mut raw = Raw::connect(node.address());
    raw.say(0, &hello_of([9; 32]), false);
    raw.is_told(ErrorCode::ReplayedNonce);
    still_serves(&mut Raw::greet(node.address()), 4);
}

#[test]
fn operations_that_overtake_hello_wait_for_it() {
    let (node, _) = node();
    let mut raw = Raw::connect(node.address());
    raw.say(4, &invoke(4, "echo", b"early"), true);
    raw.linger(Duration::from_millis(100));
    assert!(raw.frames(4).is_empty(), "nobody knows yet who asks");
    raw.say(0, &hello(), false);
    raw.until("the answer is here", |raw| raw.finished(4));
    assert_eq!(stream_payloads(&raw.frames(4)), [b"early"]);
}

#[test]
fn a_peer_that_never_says_hello_is_told_off_in_time() {
    let mut settings = short_drain();
    settings.protocol.handshake_timeout = Duration::from_millis(300);
    let (node, certificate) = node_with(settings);
    let mut raw = Raw::connect(node.address());
    // Half a HELLO is none; the peer has to open the stream to be answered on it.
    let hello = hello();
    raw.say(0, &hello[..hello.len() - 1], false);
    raw.is_told(ErrorCode::Refused);
    let mut mute = Raw::connect(node.address());
    mute.until("the node closes", |raw| raw.quic.peer_error().is_some());
    assert_eq!(mute.closed_with(), Some(ErrorCode::Refused.to_wire()));
    assert_eq!(echo(&connect(&node, &certificate), "on time"), "on time");
}

#[test]
fn a_thousand_operations_opened_and_reset_at_once_leave_nothing_behind() {
    let served = Arc::new(AtomicUsize::new(0));
    let live = served.clone();
    let certificate = certificate();
    let node = builder(&certificate)
        .agent("wait", move |operation: &mut Operation| {
            live.fetch_add(1, Ordering::SeqCst);
            let slept = operation.sleep(Duration::from_secs(600));
            live.fetch_sub(1, Ordering::SeqCst);
            slept
        })
        .expect("a free name")
        .settings(Settings {
            max_streams: 1000,
            ..short_drain()
        })
        .listen(any_port())
        .expect("a free port");
    let mut raw = Raw::greet(node.address());
    for op in (4..4004).step_by(4) {
        raw.say(op, &invoke(op, "wait", b""), false);
    }
    for op in (4..4004).step_by(4) {
        // Some are gone already: there are not threads for all.
        let _gone = raw.quic.stream_shutdown(op, quiche::Shutdown::Write, 10);
    }
    raw.until("the streams come back", |raw| {
        raw.quic.peer_streams_left_bidi() >= 500
    });
    support::eventually("every handler has ended", || {
        raw.turn();
        served.load(Ordering::SeqCst) == 0
    });
    still_serves(&mut raw, 4004);
    assert_eq!(
        echo(&connect(&node, &certificate), "others too"),
        "others too"
    );
}

/// Opens and spoils operations in every way, many more than may be open at a time: each has to
/// give its stream back.
#[test]
fn operations_that_end_badly_give_their_streams_back() {
    let (node, _) = node_with(Settings {
        max_streams: 8,
        ..short_drain()
    });
    type Spoil = fn(&mut Raw, u64);
    let ways: [(&str, Spoil); 8] = [
        ("reset by the peer", |raw, op| {
            raw.say(op, &invoke(op, "wait", b""), false);
            raw.quic
                .stream_shutdown(op, quiche::Shutdown::Write, 10)
                .expect("open");
        }),
        ("stopped by the peer", |raw, op| {
            raw.say(op, &invoke(op, "wait", b""), false);
            raw.quic
                .stream_shutdown(op, quiche::Shutdown::Read, 10)
                .expect("open");
        }),
        ("reset and stopped by the peer", |raw, op| {
            raw.say(op, &invoke(op, "wait", b""), false);
            for direction in [quiche::Shutdown::Write, quiche::Shutdown::Read] {
                raw.quic.stream_shutdown(op, direction, 10).expect("open");
            }
        }),
        ("reset at once, without a frame", |raw, op| {
            raw.say(op, b"", false);
            raw.quic
                .stream_shutdown(op, quiche::Shutdown::Write, 10)
                .expect("open");
        }),
        ("finished without a frame", |raw, op| raw.say(op, b"", true)),
        ("of no known agent", |raw, op| {
            raw.say(op, &invoke(op, "nobody", &[1; 5000]), true);
        }),
        ("too large", |raw, op| {
            raw.say(op, &invoke(op, "wait", b""), false);
            raw.say(op, &head(STREAM, op, 1 << 40), false);
        }),
        ("cancelled", |raw, op| {
            raw.say(op, &invoke(op, "wait", b""), false);
            let cancel = Cancel {
                reason: CancelReason::UserCancelled,
                detail: "enough",
            };
            raw.say(op, &encode(op, &cancel), true);
        }),
    ];
    for (name, spoil) in ways {
        let mut raw = Raw::greet(node.address());
        for n in 1..=40 {
            raw.until(&format!("a stream for number {n} that is {name}"), |raw| {
                raw.quic.peer_streams_left_bidi() > 0
            });
            spoil(&mut raw, n * 4);
        }
        raw.until(&format!("a stream after those {name}"), |raw| {
            raw.quic.peer_streams_left_bidi() > 0
        });
        still_serves(&mut raw, 41 * 4);
    }
}

#[test]
fn no_more_streams_are_open_than_the_settings_allow() {
    let (node, _) = node_with(Settings {
        max_streams: 3,
        ..short_drain()
    });
    let mut raw = Raw::greet(node.address());
    for op in [4, 8, 12] {
        raw.say(op, &invoke(op, "wait", b""), false);
    }
    raw.linger(Duration::from_millis(100));
    assert_eq!(raw.quic.peer_streams_left_bidi(), 0);
    assert_eq!(
        raw.quic.stream_send(16, b"x", false),
        Err(quiche::Error::StreamLimit)
    );
    // One that is over makes room for one.
    raw.quic
        .stream_shutdown(8, quiche::Shutdown::Write, 10)
        .expect("open");
    raw.until("there is room", |raw| raw.quic.peer_streams_left_bidi() > 0);
}

#[test]
fn a_reset_reaches_a_handler_that_reads_nothing() {
    let (told, heard) = std::sync::mpsc::channel();
    let certificate = certificate();
    let node = builder(&certificate)
        .agent("deaf", move |operation: &mut Operation| {
            let slept = operation.sleep(Duration::from_secs(600));
            told.send(slept.clone()).expect("the test listens");
            slept
        })
        .expect("a free name")
        .settings(short_drain())
        .listen(any_port())
        .expect("a free port");
    let mut raw = Raw::greet(node.address());
    raw.say(4, &invoke(4, "deaf", b""), false);
    // More than anybody takes who does not read: the node stops reading.
    let flood = frame(STREAM, 4, &[0; 60_000]);
    let mut sent = 0;
    let deadline = Instant::now() + Duration::from_millis(500);
    let mut rest: &[u8] = &flood;
    while Instant::now() < deadline {
        match raw.quic.stream_send(4, rest, false) {
            Ok(len) => {
                sent += len;
                rest = &rest[len..];
                if rest.is_empty() {
                    rest = &flood;
                }
            }
            Err(quiche::Error::Done) => {}
            Err(error) => panic!("{error}"),
        }
        raw.turn();
    }
    assert!(
        (300_000..2_000_000).contains(&sent),
        "{sent} bytes were taken"
    );
    raw.quic
        .stream_shutdown(4, quiche::Shutdown::Write, 10)
        .expect("open");
    raw.until("the handler is told", |_| match heard.try_recv() {
        Ok(slept) => {
            assert_eq!(slept, Err(Failure::Reset(10)));
            true
        }
        Err(_) => false,
    });
    still_serves(&mut raw, 8);
}

#[test]
fn a_flood_of_budgets_is_bounded_and_the_latest_counts() {
    let (told, heard) = std::sync::mpsc::channel();
    let (go, may_read) = std::sync::mpsc::channel::<()>();
    let may_read = std::sync::Mutex::new(may_read);
    let certificate = certificate();
    let node = builder(&certificate)
        .agent("slow", move |operation: &mut Operation| {
            may_read.lock().expect("one at a time").recv().expect("go");
            let mut budgets = Vec::new();
            while let Some(received) = operation.recv_frame()? {
                if let aire_mio::Received::Budget(budget) = received {
                    budgets.push(budget.tokens);
                }
            }
            told.send(budgets).expect("the test listens");
            Ok(())
        })
        .expect("a free name")
        .listen(any_port())
        .expect("a free port");
    let mut raw = Raw::greet(node.address());
    raw.say(4, &invoke(4, "slow", b""), false);
    for tokens in 0..50_000 {
        let budget = Budget {
            tokens: Some(tokens),
            ..Budget::default()
        };
        raw.say(4, &encode(4, &budget), tokens == 49_999);
    }
    raw.linger(Duration::from_millis(100));
    go.send(()).expect("it waits");
    raw.until("the operation is over", |raw| raw.finished(4));
    let budgets = heard.recv().expect("told");
    assert_eq!(budgets.last(), Some(&Some(49_999)));
    assert!(
        budgets.len() < 10_000,
        "{} budgets were kept",
        budgets.len()
    );
    let order: BTreeSet<_> = budgets.iter().copied().collect();
    assert!(order.into_iter().eq(budgets), "in order");
}

#[test]
fn after_goodbye_a_peer_opens_nothing_and_what_is_open_ends_well() {
    let (node, _) = node();
    let mut raw = Raw::greet(node.address());
    raw.say(4, &invoke(4, "wait", b""), false);
    raw.linger(Duration::from_millis(50));
    raw.say(0, &frame(GOODBYE, 0, b"whatever"), false);
    raw.linger(Duration::from_millis(50));
    assert_eq!(raw.quic.peer_error(), None, "an operation is live");
    raw.quic
        .stream_shutdown(4, quiche::Shutdown::Write, 10)
        .expect("open");
    raw.until("the node closes", |raw| raw.quic.peer_error().is_some());
    assert_eq!(raw.closed_with(), Some(0));
}

#[test]
fn a_client_that_offers_another_protocol_is_refused() {
    let (node, certificate) = node();
    let mut config = config();
    config
        .set_application_protos(&[b"h3"])
        .expect("a good name");
    let mut raw = Raw::dial(node.address(), &mut config);
    raw.until("the node refuses", |raw| raw.quic.peer_error().is_some());
    // RFC 9001 §8.1: no_application_protocol, a TLS alert.
    let error = raw.quic.peer_error().expect("refused");
    assert_eq!((error.is_app, error.error_code), (false, 0x178));
    assert!(!raw.quic.is_established());
    assert_eq!(echo(&connect(&node, &certificate), "fine"), "fine");
}

#[test]
fn a_client_that_moves_to_another_port_or_address_keeps_its_operations() {
    let (node, _) = node();
    let mut raw = Raw::greet(node.address());
    raw.say(4, &invoke(4, "wait", b""), false);
    raw.say(8, &invoke(8, "echo", b"before"), false);
    raw.until("the answer is here", |raw| raw.finished(8));
    while raw.quic.scids_left() > 0 {
        let (mut id, mut token) = ([0; quiche::MAX_CONN_ID_LEN], [0; 16]);
        boring::rand::rand_bytes(&mut id).expect("random");
        boring::rand::rand_bytes(&mut token).expect("random");
        let id = quiche::ConnectionId::from_ref(&id);
        raw.quic
            .new_scid(&id, u128::from_be_bytes(token), false)
            .expect("room for it");
    }
    raw.until("the node gave ids to move with", |raw| {
        raw.quic.available_dcids() > 0
    });
    // 127.0.0.2 is another address for the node, and this machine too.
    for last in [1, 2] {
        let address = raw.another_address(last);
        raw.quic
            .probe_path(address, node.address())
            .expect("a path to try");
        raw.until("the path is good", |raw| {
            raw.quic
                .is_path_validated(address, node.address())
                .unwrap_or(false)
        });
        raw.quic
            .migrate(address, node.address())
            .expect("the path is good");
        let op = 8 + 4 * (raw.came.len() as u64 - 1);
        still_serves(&mut raw, op);
        raw.until("there is another id", |raw| raw.quic.available_dcids() > 0);
    }
    assert!(
        raw.errors(4).is_empty() && !raw.finished(4),
        "it still runs"
    );
    raw.say(4, b"", true);
    raw.quic
        .stream_shutdown(4, quiche::Shutdown::Read, 10)
        .expect("open");
    raw.linger(Duration::from_millis(50));
    assert_eq!(raw.quic.peer_error(), None);
}
