//! An operation's life over an in-memory link, on a virtual clock.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects
)]

mod support;

use aire_proto::connection::{CallError, Stall};
use aire_proto::{CancelReason, Config, ErrorCode};
use support::{CANCELLED, Pair, Small, USER, did, stream};

type Devices = Pair<Small, Small>;

#[test]
fn both_ends_learn_each_others_did_and_agree_on_the_version() {
    let pair = Devices::connected();
    assert_eq!(pair.client.connection.peer(), Some(&*did(&pair.server)));
    assert_eq!(pair.server.connection.peer(), Some(&*did(&pair.client)));
    for agreement in [
        pair.client.connection.agreement(),
        pair.server.connection.agreement(),
    ] {
        let agreement = agreement.expect("the handshake is done");
        assert_eq!(agreement.minor, 4);
        assert_eq!(agreement.active.len(), 1);
        assert!(agreement.peer_key.is_some());
    }
}

#[test]
fn an_operation_is_invoked_answered_and_over_on_both_ends() {
    let mut pair = Devices::connected();
    let op = pair.client.invoke("echo", "say", b"hello");
    pair.pump();
    assert_eq!(
        pair.server.told(),
        ["4 invoked 4 echo/say args 5", "4 args hello left 0"]
    );
    pair.server.send(op, b"hello");
    pair.server.connection.finish(op).unwrap();
    pair.pump();
    assert_eq!(
        pair.client.told(),
        ["4 stream hello left 0", "4 ended Completed by Peer"]
    );
    assert_eq!(pair.server.told(), ["4 ended Completed by Local"]);
    assert_eq!(pair.client.connection.live_operations(), 0);
    assert_eq!(pair.server.connection.live_operations(), 0);
}

#[test]
fn fin_after_invoke_means_no_more_input_and_not_a_cancel() {
    let mut pair = Devices::connected();
    let op = pair.client.invoke("a", "b", b"");
    pair.client.connection.finish(op).unwrap();
    pair.pump();
    assert_eq!(
        pair.server.told(),
        ["4 invoked 4 a/b args 0", "4 input finished"]
    );
    pair.server.send(op, b"x");
    pair.pump();
    pair.server.connection.finish(op).unwrap();
    pair.pump();
    assert_eq!(
        pair.client.told(),
        ["4 stream x left 0", "4 ended Completed by Peer"]
    );
}

#[test]
fn an_answer_may_hold_no_stream_frame_at_all() {
    let mut pair = Devices::connected();
    let op = pair.client.invoke("a", "b", b"");
    pair.pump();
    pair.server.connection.finish(op).unwrap();
    pair.pump();
    assert_eq!(pair.client.told(), ["4 ended Completed by Peer"]);
}

#[test]
fn either_end_opens_operations_on_streams_of_its_own() {
    let mut pair = Devices::connected();
    let up = pair.client.invoke("s", "x", b"");
    let down = pair.server.invoke("c", "y", b"");
    let down_again = pair.server.invoke("c", "z", b"");
    assert_eq!((up, down, down_again), (stream(4), stream(1), stream(5)));
    pair.pump();
    assert_eq!(pair.server.told(), ["4 invoked 4 s/x args 0"]);
    assert_eq!(
        pair.client.told(),
        ["1 invoked 1 c/y args 0", "5 invoked 5 c/z args 0"]
    );
    pair.client.connection.finish(down).unwrap();
    pair.client.connection.finish(down_again).unwrap();
    pair.server.connection.finish(up).unwrap();
    pair.pump();
    assert_eq!(pair.client.connection.live_operations(), 0);
    assert_eq!(pair.server.connection.live_operations(), 0);
}

#[test]
fn input_goes_on_after_invoke_until_the_initiator_finishes() {
    let mut pair = Devices::connected();
    let op = pair.client.invoke("a", "b", b"");
    pair.pump();
    pair.client.send(op, b"one");
    pair.pump();
    pair.client.send(op, b"");
    pair.client.connection.finish(op).unwrap();
    pair.pump();
    assert_eq!(
        pair.server.told(),
        [
            "4 invoked 4 a/b args 0",
            "4 stream one left 0",
            "4 stream  left 0",
            "4 input finished"
        ]
    );
}

#[test]
fn a_64_kib_frame_passes_through_a_node_with_a_1_kib_buffer_in_pieces() {
    let mut pair = Devices::connected();
    pair.server.chunk = 1000;
    let args: Vec<u8> = (0..65_000_u32).map(|n| n as u8).collect();
    let op = pair.client.invoke("a", "b", &args);
    pair.pump();
    let told = pair.server.told();
    assert_eq!(told[0], "4 invoked 4 a/b args 65000");
    assert!(told.len() > 60 && told.last().unwrap().ends_with("left 0"));

    pair.client.chunk = 1000;
    pair.server.send(op, &vec![7; 65_536]);
    pair.server.connection.finish(op).unwrap();
    pair.pump();
    let told = pair.client.told();
    let received: usize = told
        .iter()
        .filter_map(|line| line.strip_prefix("4 stream "))
        .map(|rest| {
            let (len, unit) = rest.split_once(' ').unwrap();
            if unit.starts_with("bytes") {
                len.parse().unwrap()
            } else {
                len.len()
            }
        })
        .sum();
    assert_eq!(received, 65_536);
    assert_eq!(told.last().unwrap(), "4 ended Completed by Peer");
}

#[test]
fn input_cut_into_single_bytes_tells_the_same_story() {
    let story = |chunk: usize| {
        let mut pair = Devices::silent(Config::default());
        pair.client.chunk = chunk;
        pair.server.chunk = chunk;
        pair.shake_hands();
        let op = pair.client.invoke("agent", "operation", b"");
        pair.pump();
        pair.server.send(op, b"z");
        pair.pump();
        pair.client
            .connection
            .cancel(op, CancelReason::Other(0x41), "never mind", pair.now())
            .unwrap();
        pair.pump();
        let now = pair.now();
        pair.server
            .connection
            .fail(op, CANCELLED, "done", b"data", now)
            .unwrap();
        pair.pump();
        (pair.client.told(), pair.server.told())
    };
    let whole = story(usize::MAX);
    assert_eq!(
        whole.1,
        [
            "4 invoked 4 agent/operation args 0",
            "4 cancelled REASON(0x41) never mind",
            "4 ended Cancelled(Other(65)) by Peer"
        ]
    );
    for chunk in 1..12 {
        assert_eq!(story(chunk), whole, "in chunks of {chunk}");
    }
}

#[test]
fn a_cancel_is_told_with_its_reason_and_answered_with_error_cancelled() {
    let mut pair = Devices::connected();
    let op = pair.client.invoke("a", "b", b"");
    pair.pump();
    pair.server.told();
    let now = pair.now();
    pair.client
        .connection
        .cancel(op, USER, "enough", now)
        .unwrap();
    pair.pump();
    assert_eq!(pair.server.told(), ["4 cancelled USER_CANCELLED enough"]);
    assert_eq!(
        pair.client.told(),
        [""; 0],
        "it waits for the terminal frame"
    );
    pair.server
        .connection
        .fail(op, CANCELLED, "", &[], now)
        .unwrap();
    pair.pump();
    assert_eq!(
        pair.client.told(),
        [
            "4 failed CANCELLED ",
            "4 ended Cancelled(UserCancelled) by Local"
        ]
    );
    assert_eq!(
        pair.server.told(),
        ["4 ended Cancelled(UserCancelled) by Peer"]
    );
}

#[test]
fn a_responder_that_ignores_a_cancel_is_ended_after_five_seconds() {
    let mut pair = Devices::connected();
    let op = pair.client.invoke("a", "b", b"");
    pair.pump();
    let now = pair.now();
    pair.client.connection.cancel(op, USER, "", now).unwrap();
    pair.pump();
    pair.server.told();
    pair.millis += 4_999;
    pair.server.connection.handle_timeout(pair.now());
    pair.pump();
    assert_eq!(pair.server.told(), [""; 0]);
    pair.millis += 1;
    pair.server.connection.handle_timeout(pair.now());
    pair.pump();
    assert_eq!(
        pair.server.told(),
        ["4 ended Cancelled(UserCancelled) by Peer"]
    );
    assert_eq!(
        pair.client.told(),
        [
            "4 failed CANCELLED ",
            "4 ended Cancelled(UserCancelled) by Local"
        ]
    );
}

#[test]
fn a_cancel_that_nobody_answers_resets_the_stream_after_five_seconds() {
    let mut pair = Devices::connected();
    let op = pair.client.invoke("a", "b", b"");
    pair.pump();
    pair.server.told();
    pair.server.reads = false;
    let now = pair.now();
    pair.client.connection.cancel(op, USER, "", now).unwrap();
    pair.pump();
    assert_eq!(
        pair.client
            .connection
            .next_deadline()
            .map(|at| at.as_millis()),
        Some(5_000)
    );
    pair.wait(5_000);
    assert_eq!(
        pair.client.told(),
        ["4 ended Cancelled(UserCancelled) by Local"]
    );
    pair.server.reads = true;
    pair.pump();
    assert_eq!(pair.server.told(), ["4 ended Reset(10) by Peer"]);
}

#[test]
fn a_cancel_after_the_terminal_frame_changes_nothing_and_is_told_as_late() {
    let mut pair = Devices::connected();
    let op = pair.client.invoke("a", "b", b"");
    pair.pump();
    pair.server.told();
    // Both happen before either hears of the other.
    let now = pair.now();
    pair.server.connection.finish(op).unwrap();
    pair.client.connection.cancel(op, USER, "", now).unwrap();
    pair.pump();
    assert_eq!(
        pair.server.told(),
        [
            "4 cancelled late USER_CANCELLED",
            "4 ended Completed by Local"
        ]
    );
    assert_eq!(pair.server.connection.counters().skipped_frames, 1);
    assert_eq!(
        pair.client.told(),
        ["4 ended Cancelled(UserCancelled) by Local"]
    );
}

#[test]
fn an_operation_is_cancelled_once() {
    let mut pair = Devices::connected();
    let op = pair.client.invoke("a", "b", b"");
    pair.pump();
    let now = pair.now();
    let connection = &mut pair.client.connection;
    connection.cancel(op, USER, "", now).unwrap();
    assert_eq!(
        connection.cancel(op, USER, "", now),
        Err(CallError::NoSuchOperation)
    );
    assert_eq!(connection.send(op, 1), Err(CallError::SendingEnded));
    let long = "x".repeat(1025);
    assert_eq!(
        connection.cancel(op, USER, &long, now),
        Err(CallError::DetailTooLong)
    );
}

#[test]
fn after_the_input_is_finished_a_cancel_is_a_reset() {
    let mut pair = Devices::connected();
    let op = pair.client.invoke("a", "b", b"");
    pair.client.connection.finish(op).unwrap();
    pair.pump();
    pair.server.told();
    let now = pair.now();
    pair.client.connection.cancel(op, USER, "", now).unwrap();
    pair.pump();
    assert_eq!(
        pair.client.told(),
        ["4 ended Cancelled(UserCancelled) by Local"]
    );
    assert_eq!(pair.server.told(), ["4 ended Reset(10) by Peer"]);
}

#[test]
fn an_error_ends_an_operation_and_carries_detail_and_data() {
    let mut pair = Devices::connected();
    let op = pair.client.invoke("nobody", "b", b"");
    pair.pump();
    let now = pair.now();
    pair.server
        .connection
        .fail(op, ErrorCode::AgentNotFound, "no nobody here", b"", now)
        .unwrap();
    pair.pump();
    assert_eq!(
        pair.client.told(),
        [
            "4 failed AGENT_NOT_FOUND no nobody here",
            "4 ended Failed(AgentNotFound) by Peer"
        ]
    );
    pair.server.told();
    assert_eq!(pair.server.connection.live_operations(), 0);
}

#[test]
fn a_reset_by_the_initiator_cancels_the_work() {
    let mut pair = Devices::connected();
    let op = pair.client.invoke("a", "b", b"");
    pair.pump();
    pair.server.told();
    pair.client.connection.abort(op, CANCELLED);
    pair.pump();
    assert_eq!(pair.server.told(), ["4 ended Reset(10) by Peer"]);
    assert_eq!(pair.client.told(), ["4 ended Reset(10) by Local"]);
}

#[test]
fn stop_sending_from_the_initiator_cancels_the_work() {
    let mut pair = Devices::connected();
    let op = pair.client.invoke("a", "b", b"");
    pair.client.connection.finish(op).unwrap();
    pair.pump();
    pair.server.told();
    pair.server.connection.stream_stopped(op, 77);
    pair.pump();
    assert_eq!(pair.server.told(), ["4 ended Reset(77) by Peer"]);
}

#[test]
fn losing_the_connection_ends_every_operation_and_then_the_connection() {
    let mut pair = Devices::connected();
    let _first = pair.client.invoke("a", "b", b"");
    let _second = pair.client.invoke("a", "c", b"");
    pair.pump();
    pair.server.told();
    pair.server.connection.connection_lost(None);
    pair.server.events();
    assert_eq!(
        pair.server.told(),
        [
            "4 ended Lost by Peer",
            "8 ended Lost by Peer",
            "closed Lost"
        ]
    );
    assert_eq!(pair.server.connection.poll_transmit(), None);
    assert_eq!(pair.server.connection.next_deadline(), None);
}

#[test]
fn a_blocked_stream_remembers_how_far_it_got_and_others_go_on() {
    let mut pair = Devices::connected();
    let slow = pair.client.invoke("a", "b", b"");
    let fast = pair.client.invoke("a", "c", b"");
    pair.pump();
    pair.server.told();
    pair.client.told();
    pair.client.window = Some(10);
    pair.server.reads = false;
    pair.client.send(slow, b"0123456789abcdef");
    let now = pair.now();
    pair.client.transmit(now);
    assert_eq!(pair.client.connection.stall(slow), Some(Stall::Transport));
    assert_eq!(
        pair.client.connection.send(slow, 1),
        Err(CallError::Busy),
        "its memory is still needed"
    );
    pair.client.send(fast, b"ok");
    pair.client.transmit(now);
    assert_eq!(pair.client.connection.stall(fast), None);
    pair.server.reads = true;
    pair.pump();
    let told = pair.server.told();
    assert!(told.contains(&"8 stream ok left 0".to_owned()), "{told:?}");
    let slow_text: String = told
        .iter()
        .filter_map(|line| line.strip_prefix("4 stream "))
        .map(|rest| rest.split_once(' ').unwrap().0)
        .collect();
    assert_eq!(slow_text, "0123456789abcdef");
}

#[test]
fn control_frames_queue_behind_a_payload_that_is_half_sent() {
    let mut pair = Devices::connected();
    let op = pair.client.invoke("a", "b", b"");
    pair.pump();
    pair.server.told();
    pair.client.window = Some(4);
    pair.server.reads = false;
    pair.client.send(op, b"payload");
    let now = pair.now();
    pair.client.transmit(now);
    pair.client
        .connection
        .cancel(op, USER, "late", now)
        .unwrap();
    pair.server.reads = true;
    pair.pump();
    let told = pair.server.told();
    assert_eq!(told.last().unwrap(), "4 cancelled USER_CANCELLED late");
}

#[test]
fn goodbye_lets_live_operations_finish_and_refuses_new_ones() {
    let mut pair = Devices::connected();
    let op = pair.client.invoke("a", "b", b"");
    pair.pump();
    pair.server.told();
    let now = pair.now();
    pair.server.connection.goodbye(now);
    pair.pump();
    assert_eq!(pair.client.told(), ["goodbye"]);
    assert_eq!(
        pair.client.connection.invoke("a", "c", 0),
        Err(CallError::Draining)
    );
    assert_eq!(
        pair.server.connection.invoke("a", "c", 0),
        Err(CallError::Draining)
    );
    pair.server.send(op, b"last words");
    pair.server.connection.finish(op).unwrap();
    pair.pump();
    let told = pair.client.told();
    assert_eq!(
        told[..2],
        ["4 stream last words left 0", "4 ended Completed by Peer"]
    );
    assert_eq!(told[2], "closed Done");
    assert_eq!(
        pair.server.told(),
        ["4 ended Completed by Local", "closed Done"]
    );
}

#[test]
fn an_operation_that_crosses_a_goodbye_is_refused() {
    let mut pair = Devices::connected();
    let _live = pair.client.invoke("a", "b", b"");
    pair.pump();
    let now = pair.now();
    pair.client.invoke("a", "c", b"");
    pair.server.connection.goodbye(now);
    pair.pump();
    assert!(pair.server.told().contains(&"8 no room".to_owned()));
    assert_eq!(pair.server.connection.counters().refused_operations, 1);
}

#[test]
fn the_drain_ends_at_its_deadline_even_with_work_left() {
    let mut pair = Devices::connected();
    pair.client.invoke("a", "b", b"");
    pair.pump();
    let now = pair.now();
    pair.server.connection.goodbye(now);
    pair.pump();
    pair.client.told();
    pair.server.told();
    pair.wait(30_000);
    assert_eq!(pair.server.told(), ["4 ended Lost by Peer", "closed Done"]);
}

#[test]
fn an_operation_past_the_table_is_refused_and_the_others_live() {
    let mut pair = Pair::<Fixed16, Small>::connected();
    for _ in 0..5 {
        pair.client.invoke("a", "b", b"");
    }
    pair.pump();
    let told = pair.server.told();
    assert_eq!(told.last().unwrap(), "20 no room");
    assert_eq!(pair.server.connection.live_operations(), 4);
}

type Fixed16 = aire_proto::Fixed<16, 128, 2, 1024>;

#[test]
fn an_initiator_that_never_ends_its_side_is_stopped() {
    let mut pair = Devices::connected();
    let op = pair.client.invoke("a", "b", b"");
    pair.pump();
    pair.server.told();
    pair.client.reads = false;
    pair.server.connection.finish(op).unwrap();
    pair.pump();
    assert_eq!(pair.server.told(), [""; 0], "the initiator owes a FIN");
    pair.wait(5_000);
    assert_eq!(pair.server.told(), ["4 ended Completed by Local"]);
}

#[test]
fn a_peer_without_minor_3_is_cancelled_by_reset_and_sent_no_newer_frame() {
    // A HELLO of minor 2 in the peer's place.
    let mut pair = Devices::silent(Config::default());
    support::old_peer::shake_hands(&mut pair, 2);
    assert_eq!(pair.client.connection.agreement().unwrap().minor, 2);
    let op = pair.client.invoke("a", "b", b"");
    pair.client.transmit(pair.now());
    let connection = &mut pair.client.connection;
    let budget = aire_proto::wire::Budget {
        tokens: Some(5),
        ..Default::default()
    };
    assert_eq!(
        connection.send_budget(op, &budget, support::at(0)),
        Err(CallError::NotNegotiated)
    );
    connection.cancel(op, USER, "", support::at(0)).unwrap();
    pair.client.transmit(support::at(0));
    let pipe = &pair.client.pipes[&op];
    assert_eq!((pipe.reset, pipe.stop), (Some(10), Some(10)));
}

#[test]
fn a_payload_over_a_mebibyte_is_not_sent() {
    let mut pair = Devices::connected();
    let connection = &mut pair.client.connection;
    let too_large = Err(CallError::PayloadTooLarge);
    // The names count too: "a", "b" and their lengths take four bytes.
    assert_eq!(connection.invoke("a", "b", 1_048_573), too_large);
    let op = connection.invoke("a", "b", 1_048_572).unwrap();
    assert_eq!(connection.send(op, 1_048_577).err(), too_large.err());
}
