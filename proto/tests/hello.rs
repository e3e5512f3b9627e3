//! What goes over the control stream, in what order and by when; and what both ends agree on.
#![cfg(feature = "ed25519")]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects
)]

mod support;

use std::time::Duration;

use aire_proto::connection::{CallError, CloseReason};
use aire_proto::handshake::{HandshakeError, Local};
use aire_proto::wire::{Capability, FrameType, Hello, Malformed};
use aire_proto::{Config, ErrorCode, Fixed, Role, StreamId};
use support::hello::HelloFrame;
use support::lone::{Lone, PEER_SEED, closed, invoke};
use support::{Pair, Small, UNIX_START, stream};

const CONTROL: StreamId = StreamId::CONTROL;

fn good() -> HelloFrame {
    HelloFrame::signed(PEER_SEED, [5; 16], UNIX_START)
}

fn capability(name: &'static str, version: u64, required: bool) -> Capability<'static> {
    Capability {
        name,
        version,
        required,
    }
}

fn server() -> Lone<Small> {
    Lone::started(Role::Server, Config::default())
}

/// What a server tells the sender of `hello`: the code, or `None` when it is admitted.
fn verdict(hello: &HelloFrame) -> Option<ErrorCode> {
    let mut server = server();
    server.arrives(CONTROL, &hello.encode());
    server.end.closed_with.map(ErrorCode::from_wire)
}

// ---- capabilities ----

#[test]
fn capabilities_are_negotiated_over_the_wire_and_both_ends_agree() {
    let mut pair = Pair::<Small, Small>::silent(Config::default());
    pair.client.capabilities = vec![
        capability("com.example.b/1", 9, true),
        capability("aire.resumable/1", 1, false),
        capability("com.example.a/1", 2, false),
        capability("com.example.a/2", 5, false),
    ];
    pair.server.capabilities = vec![
        capability("com.example.a/1", 7, false),
        capability("com.example.b/1", 3, false),
        capability("com.example.a/3", 5, false),
    ];
    pair.shake_hands();
    let names = [
        ("com.example.a/1", Some(2)),
        ("com.example.a/2", None),
        ("com.example.a/3", None),
        ("com.example.b/1", Some(3)),
        ("aire.resumable/1", None),
    ];
    for (name, minor) in names {
        for (connection, local) in [
            (&pair.client.connection, &pair.client.capabilities),
            (&pair.server.connection, &pair.server.capabilities),
        ] {
            let active = connection.agreement().unwrap().active;
            assert_eq!(active.minor_of(local, name), minor, "{name}");
            assert_eq!(active.len(), 2);
            assert!(!active.resumable());
        }
    }
}

#[test]
fn a_missing_required_capability_closes_whoever_requires_it() {
    for client_requires in [true, false] {
        let mut pair = Pair::<Small, Small>::silent(Config::default());
        let needy = if client_requires {
            &mut pair.client
        } else {
            &mut pair.server
        };
        needy
            .capabilities
            .push(capability("com.example.x/1", 1, true));
        pair.client.start(pair.now());
        pair.server.start(pair.now());
        pair.pump();
        let code = Some(ErrorCode::MissingRequiredCapability.to_wire());
        assert!(pair.client.closed_with == code || pair.server.closed_with == code);
        assert!(pair.client.connection.is_closed() && pair.server.connection.is_closed());
    }
    // Another major of the same name is another capability.
    let hello = good().with(|hello| {
        hello.capabilities = vec![capability("aire.did-method.key/2", 1, true)];
    });
    assert_eq!(verdict(&hello), Some(ErrorCode::MissingRequiredCapability));
    // A name outside the grammar is read, never known, and counts when it is required.
    for (required, expected) in [
        (false, None),
        (true, Some(ErrorCode::MissingRequiredCapability)),
    ] {
        let odd = good().with(|hello| {
            hello.capabilities = vec![capability("ni hao \u{1F44B}", 1, required)];
        });
        assert_eq!(verdict(&odd), expected);
    }
}

#[test]
fn a_hello_lists_capabilities_in_the_order_of_their_names() {
    let mut end = support::End::<Small>::new(Role::Client, 1, Config::default(), support::at(0));
    end.capabilities = vec![
        capability("b.test/1", 1, false),
        capability("a.test/10", 1, false),
        capability("aire.resumable/1", 1, true),
        capability("a.test/2", 1, false),
    ];
    end.start(support::at(0));
    end.transmit(support::at(0));
    let frames = support::lone::frames(&end.pipes[&CONTROL].bytes);
    assert_eq!(frames.len(), 1);
    let hello = Hello::decode(&frames[0].1).unwrap();
    let names: Vec<&str> = hello.capabilities.iter().map(|entry| entry.name).collect();
    assert_eq!(
        names,
        ["a.test/10", "a.test/2", "aire.resumable/1", "b.test/1"]
    );
    assert_eq!((hello.major, hello.minor, hello.trailing), (0, 4, 0));
    assert!(hello.block.is_some(), "ours is always signed");
}

// ---- when, and in what order ----

#[test]
fn a_peer_that_says_no_hello_in_time_is_closed_with_refused() {
    for role in [Role::Client, Role::Server] {
        let config = Config {
            handshake_timeout: Duration::from_millis(1500),
            ..Config::default()
        };
        let mut lone = Lone::<Small>::started(role, config);
        // Half a HELLO is none.
        let hello = good().encode();
        lone.arrives(CONTROL, &hello[..hello.len() - 1]);
        let due = lone.end.connection.next_deadline().unwrap();
        assert_eq!(due.as_millis(), 1500);
        lone.wait(1499);
        assert!(!lone.end.connection.is_closed());
        lone.wait(1);
        assert_eq!(lone.end.told(), ["closed HandshakeTimeout"]);
        assert_eq!(lone.end.closed_with, Some(ErrorCode::Refused.to_wire()));
        assert_eq!(lone.errors(CONTROL), [ErrorCode::Refused.to_wire()]);
        assert_eq!(lone.end.connection.next_deadline(), None);
    }
}

#[test]
fn once_the_handshake_is_done_its_deadline_means_nothing() {
    let mut lone = Lone::<Small>::connected(Role::Server, Config::default());
    lone.wait(10_000);
    assert!(lone.end.connection.is_open());
    assert_eq!(lone.end.connection.next_deadline(), None, "nothing is due");
}

#[test]
fn a_hello_larger_than_the_scratch_is_too_large_by_its_header_alone() {
    for role in [Role::Client, Role::Server] {
        let fits = good().with(|hello| {
            let room = 1024 - hello.payload().len();
            hello.trailing = vec![0; room];
        });
        assert_eq!(fits.payload().len(), 1024);
        let mut lone = Lone::<Small>::started(role, Config::default());
        lone.arrives(CONTROL, &fits.encode());
        assert!(lone.end.connection.is_open());

        let too_large = fits.with(|hello| hello.trailing.push(0));
        let mut lone = Lone::<Small>::started(role, Config::default());
        lone.arrives(CONTROL, &too_large.encode()[..5]);
        lone.assert_closed(ErrorCode::FrameTooLarge.to_wire(), "1025 bytes");
    }
}

#[test]
fn a_node_id_that_the_name_buffer_cannot_hold_is_too_large() {
    let config = Config {
        danger_accept_unsigned_peers: true,
        ..Config::default()
    };
    for (len, expected) in [(256, None), (257, Some(ErrorCode::FrameTooLarge.to_wire()))] {
        let mut lone = Lone::<Small>::started(Role::Server, config);
        let hello = HelloFrame::unsigned(1, &"n".repeat(len));
        lone.arrives(CONTROL, &hello.encode());
        assert_eq!(lone.end.closed_with, expected, "{len} bytes");
    }
}

#[test]
fn a_hello_of_our_own_that_fits_no_outbox_is_an_error_and_not_a_frame() {
    type Tiny = Fixed<1, 64, 1, 128>;
    let now = support::at(0);
    let mut end = support::End::<Tiny>::new(Role::Client, 1, Config::default(), now);
    let local = Local {
        signer: &end.signer,
        capabilities: &end.capabilities,
    };
    assert!(end.connection.start(&local, &[0; 16], now).is_err());
    assert_eq!(end.connection.poll_transmit(), None);
}

#[test]
fn operation_bytes_ahead_of_the_hello_stay_unread_and_are_read_later() {
    for chunk in [1, 3, usize::MAX] {
        let mut lone = server();
        lone.end.chunk = chunk;
        lone.ends(stream(4), &invoke(4));
        lone.arrives(stream(8), &invoke(8)[..5]);
        assert_eq!(lone.end.told(), [""; 0]);
        assert_eq!(lone.end.connection.live_operations(), 0);
        let hello = good().encode();
        lone.arrives(CONTROL, &hello[..100]);
        assert_eq!(lone.end.told(), [""; 0]);
        lone.arrives(CONTROL, &hello[100..]);
        assert_eq!(
            lone.end.told(),
            [
                "hello",
                "connected",
                "4 invoked 4 echo/say args 0",
                "4 input finished"
            ]
        );
        lone.arrives(stream(8), &invoke(8)[5..]);
        assert_eq!(lone.end.told(), ["8 invoked 8 echo/say args 0"]);
    }
}

#[test]
fn no_operation_opens_before_the_handshake_or_after_the_end() {
    let mut lone = server();
    assert_eq!(
        lone.end.connection.invoke("a", "b", 0),
        Err(CallError::NotOpen)
    );
    lone.arrives(CONTROL, &good().encode());
    assert!(lone.end.connection.may_open().is_ok());
    lone.end.connection.close();
    assert_eq!(
        lone.end.connection.invoke("a", "b", 0),
        Err(CallError::NotOpen)
    );
}

#[test]
fn no_operation_frame_leaves_before_our_hello_has_left_whole() {
    let mut lone = Lone::<Small>::started(Role::Client, Config::default());
    // The transport takes ten bytes of each stream for now.
    lone.end.window = Some(10);
    lone.arrives(CONTROL, &good().encode());
    assert!(lone.end.connection.is_open());
    let op = lone.end.invoke("a", "b", b"");
    lone.settle(lone.now());
    assert_eq!(lone.end.pipes[&CONTROL].bytes.len(), 10);
    assert!(!lone.end.pipes.contains_key(&op), "HELLO goes first");
    lone.end.window = None;
    lone.end.connection.writable(CONTROL);
    lone.settle(lone.now());
    assert_eq!(lone.frames(CONTROL)[0].0.frame_type, FrameType::Hello);
    assert_eq!(lone.frames(op)[0].0.frame_type, FrameType::Invoke);
}

#[test]
fn the_servers_hello_waits_for_the_control_stream_to_exist() {
    let mut lone = server();
    lone.settle(lone.now());
    assert!(lone.end.pipes.is_empty(), "there is no stream to write to");
    lone.arrives(CONTROL, &good().encode()[..1]);
    assert_eq!(lone.frames(CONTROL)[0].0.frame_type, FrameType::Hello);
    assert_eq!(lone.frames(CONTROL)[0].0.op_id, 0);

    let mut client = Lone::<Small>::started(Role::Client, Config::default());
    client.settle(client.now());
    assert_eq!(client.frames(CONTROL).len(), 1, "a client opens it");
}

#[test]
fn a_node_says_hello_once_however_often_it_starts() {
    let mut lone = server();
    lone.end.start(lone.now());
    lone.arrives(CONTROL, &good().encode());
    lone.end.start(lone.now());
    lone.settle(lone.now());
    assert_eq!(lone.frames(CONTROL).len(), 1);
}

#[test]
fn a_second_hello_is_a_violation_whether_it_comes_at_once_or_late() {
    let hello = good().encode();
    for chunk in [1, usize::MAX] {
        for late in [true, false] {
            let mut lone = server();
            lone.end.chunk = chunk;
            if late {
                lone.arrives(CONTROL, &hello);
                lone.arrives(CONTROL, &hello);
            } else {
                lone.arrives(CONTROL, &hello.repeat(2));
            }
            lone.assert_closed(ErrorCode::ProtocolViolation.to_wire(), "a second HELLO");
        }
    }
}

#[test]
fn bytes_behind_the_signature_block_are_ignored_and_counted() {
    for trailing in [0_usize, 1, 300] {
        let hello = good().with(|hello| hello.trailing = vec![0xff; trailing]);
        let mut lone = server();
        lone.arrives(CONTROL, &hello.encode());
        let counted = lone.end.connection.counters().trailing_hello_bytes;
        assert_eq!(counted, trailing as u64);
        assert_eq!(lone.end.connection.agreement().unwrap().trailing, trailing);
    }
}

#[test]
fn half_a_hello_is_never_authenticated_even_when_it_would_parse() {
    // Cut behind the block it would be a good HELLO: but nobody has judged it yet.
    let long = good().with(|hello| hello.trailing = vec![0; 50]).encode();
    let mut lone = server();
    lone.arrives(CONTROL, &long[..long.len() - 1]);
    lone.end.authenticate(lone.now());
    lone.settle(lone.now());
    assert!(!lone.end.connection.is_open());
    assert_eq!(
        lone.end.log,
        [
            "refused MALFORMED_FRAME",
            &closed(CloseReason::Handshake(HandshakeError::Malformed(
                Malformed::Truncated
            )))
        ]
    );
}

#[test]
fn a_control_stream_that_ends_or_is_reset_before_hello_is_a_violation() {
    let mut lone = server();
    lone.ends(CONTROL, b"");
    lone.assert_closed(ErrorCode::ProtocolViolation.to_wire(), "FIN before HELLO");

    for stopped in [true, false] {
        let mut lone = server();
        lone.arrives(CONTROL, &good().encode()[..1]);
        if stopped {
            lone.end.connection.stream_stopped(CONTROL, 7);
        } else {
            lone.end.connection.stream_reset(CONTROL, 7);
        }
        lone.settle(lone.now());
        lone.assert_closed(ErrorCode::ProtocolViolation.to_wire(), "a reset");
    }

    // Behind HELLO, a peer that will say nothing more may say so.
    let mut lone = server();
    lone.ends(CONTROL, &good().encode());
    assert!(lone.end.connection.is_open());
}
