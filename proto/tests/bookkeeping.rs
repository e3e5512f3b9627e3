//! What a connection keeps track of, and must neither lose nor keep too long: deadlines,
//! scratches, operation ids, resets, the input of a connection that is over.
#![cfg(feature = "ed25519")]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects
)]

mod support;

use aire_proto::connection::CloseReason;
use aire_proto::wire::{Budget, Cancel, FrameType};
use aire_proto::{CancelReason, Config, ErrorCode, Fixed, Input, Role, StreamId};
use support::lone::{Lone, closed, encoded, frame, invoke};
use support::{Pair, Small, USER, stream};

const CONTROL: StreamId = StreamId::CONTROL;

fn serving() -> Lone<Small> {
    let mut lone = Lone::<Small>::connected(Role::Server, Config::default());
    lone.arrives(stream(4), &invoke(4));
    assert_eq!(lone.end.told(), ["4 invoked 4 echo/say args 0"]);
    lone
}

fn budget(tokens: u64) -> Budget {
    Budget {
        tokens: Some(tokens),
        ..Budget::default()
    }
}

fn cancel(op: u64) -> Vec<u8> {
    encoded(
        op,
        &Cancel {
            reason: USER,
            detail: "enough",
        },
    )
}

fn due(lone: &Lone<Small>) -> Option<u64> {
    let due = lone.end.connection.next_deadline();
    due.map(|due| due.as_millis())
}

#[test]
fn every_deadline_is_announced_when_it_is_set() {
    let mut lone = serving();
    lone.wait(10_000);
    assert_eq!(due(&lone), None, "the handshake's has passed");
    lone.arrives(stream(4), &cancel(4));
    assert_eq!(due(&lone), Some(15_000), "an answer is due");
    lone.wait(1000);
    let now = lone.now();
    lone.end.connection.goodbye(now);
    lone.settle(now);
    assert_eq!(due(&lone), Some(15_000), "the earlier one counts");
    lone.wait(4000);
    assert_eq!(lone.errors(stream(4)), [ErrorCode::Cancelled.to_wire()]);
    assert_eq!(due(&lone), Some(20_000), "the peer's FIN is due");
    lone.wait(5000);
    assert_eq!(
        lone.end.told(),
        [
            "4 cancelled USER_CANCELLED enough",
            "4 ended Cancelled(UserCancelled) by Peer",
            "closed Done"
        ]
    );
    assert_eq!(due(&lone), None);
}

#[test]
fn a_drain_deadline_stands_alone_and_the_first_goodbye_sets_it() {
    let mut lone = serving();
    lone.wait(10_000);
    lone.arrives(CONTROL, &frame(0x09, 0, b""));
    assert_eq!(due(&lone), Some(40_000));
    lone.wait(1000);
    let now = lone.now();
    lone.end.connection.goodbye(now);
    lone.settle(now);
    assert_eq!(due(&lone), Some(40_000));
    lone.wait(28_999);
    assert!(lone.end.connection.is_open());
    lone.wait(1);
    assert_eq!(
        lone.end.told(),
        ["goodbye", "4 ended Lost by Peer", "closed Done"]
    );
}

#[test]
fn a_deadline_that_was_met_is_forgotten() {
    let mut lone = serving();
    lone.ends(stream(4), &cancel(4));
    lone.end.connection.finish(stream(4)).unwrap();
    lone.settle(lone.now());
    lone.wait(10_000);
    assert_eq!(due(&lone), None);
    assert!(lone.end.connection.is_open());
}

#[test]
fn dropped_frames_give_their_scratch_back() {
    // A second CANCEL is dropped, then frames in pieces follow on the same and on other streams.
    let mut lone = Lone::<Fixed<4, 128, 1, 1024>>::connected(Role::Server, Config::default());
    lone.end.chunk = 1;
    lone.arrives(stream(4), &invoke(4));
    lone.arrives(stream(8), &invoke(8));
    lone.arrives(stream(4), &cancel(4).repeat(2));
    lone.end.told();
    lone.arrives(stream(4), &encoded(4, &budget(5)));
    lone.arrives(stream(8), &encoded(8, &budget(6)));
    assert_eq!(lone.end.told(), ["4 budget Some(5)", "8 budget Some(6)"]);
}

#[test]
fn a_refused_operation_gives_its_scratch_back_before_it_is_over() {
    for bad in [
        // INVOKE whose second name runs past the payload; BUDGET without an entry.
        frame(0x03, 8, b"\x04echo\x09say"),
        [invoke(8), frame(0x06, 8, b"\x00\x00\x00")].concat(),
    ] {
        let mut lone = Lone::<Fixed<4, 128, 1, 1024>>::connected(Role::Server, Config::default());
        lone.end.chunk = 1;
        lone.arrives(stream(4), &invoke(4));
        // Its ERROR cannot leave, so it lingers.
        lone.end.window = Some(0);
        lone.arrives(stream(8), &bad);
        lone.end.told();
        lone.arrives(stream(4), &encoded(4, &budget(5)));
        assert_eq!(lone.end.told(), ["4 budget Some(5)"]);
        assert!(lone.end.connection.op_id(stream(8)).is_some());
        lone.wait(5000);
        assert!(lone.end.connection.op_id(stream(8)).is_none());
        let pipe = &lone.end.pipes[&stream(8)];
        assert_eq!(pipe.stop, Some(0x03));
        assert_eq!(pipe.reset, Some(ErrorCode::Cancelled.to_wire()));
    }
}

#[test]
fn bad_input_while_a_payload_is_half_sent_ends_in_a_reset_with_its_code() {
    let mut lone = serving();
    lone.end.window = Some(3);
    lone.end.send(stream(4), b"a long answer");
    lone.settle(lone.now());
    lone.arrives(stream(4), &frame(0x06, 4, b"\x00"));
    let pipe = &lone.end.pipes[&stream(4)];
    let code = Some(ErrorCode::MalformedFrame.to_wire());
    assert_eq!((pipe.reset, pipe.stop, pipe.fin), (code, code, false));
    assert_eq!(lone.end.told(), ["4 ended Failed(MalformedFrame) by Local"]);
}

#[test]
fn an_unusual_id_is_kept_track_of_while_usual_ones_come_and_go() {
    let mut lone = Lone::<Small>::connected(Role::Server, Config::default());
    lone.arrives(stream(4), &invoke(16));
    lone.ends(stream(8), &invoke(8));
    lone.end.connection.finish(stream(8)).unwrap();
    lone.settle(lone.now());
    assert_eq!(lone.end.connection.live_operations(), 1);
    lone.arrives(stream(16), &invoke(16));
    lone.assert_closed(0x04, "an id that is still taken");
}

#[test]
fn an_initiator_that_is_asked_to_stop_resets_its_side_and_still_hears_the_answer() {
    let mut lone = Lone::<Small>::connected(Role::Client, Config::default());
    let op = lone.end.invoke("a", "b", b"");
    lone.settle(lone.now());
    lone.end.connection.stream_stopped(op, 7);
    lone.settle(lone.now());
    assert_eq!(lone.end.pipes[&op].reset, Some(7));
    lone.ends(op, &frame(0x04, 4, b"answer"));
    assert_eq!(
        lone.end.told(),
        ["4 stream answer left 0", "4 ended Completed by Peer"]
    );
}

#[test]
fn a_whole_answer_stays_whole_when_the_connection_is_lost_behind_it() {
    let mut lone = Lone::<Small>::connected(Role::Client, Config::default());
    let op = lone.end.invoke("a", "b", b"");
    lone.settle(lone.now());
    // Our own FIN does not get out any more.
    lone.end.window = Some(0);
    let now = lone.now();
    let mut pipe = support::Pipe::default();
    pipe.bytes = frame(0x04, 4, b"answer");
    pipe.fin = true;
    lone.end.receive(op, &mut pipe, now);
    lone.end.connection.connection_lost(None);
    lone.settle(now);
    assert_eq!(
        lone.end.told(),
        [
            "4 stream answer left 0",
            "4 ended Completed by Peer",
            "closed Lost"
        ]
    );
}

#[test]
fn a_complaint_is_offered_even_when_the_control_stream_was_blocked() {
    let mut lone = Lone::<Small>::started(Role::Client, Config::default());
    lone.end.window = Some(10);
    lone.settle(lone.now());
    lone.end.window = None;
    lone.arrives(CONTROL, &frame(0x09, 0, b""));
    let types: Vec<FrameType> = lone
        .frames(CONTROL)
        .iter()
        .map(|(header, _)| header.frame_type)
        .collect();
    assert_eq!(types, [FrameType::Hello, FrameType::Error]);
}

#[test]
fn a_connection_that_is_over_takes_all_input_and_reads_none() {
    let mut lone = serving();
    lone.end.connection.close();
    lone.settle(lone.now());
    let now = lone.now();
    for on in [CONTROL, stream(4), stream(8), stream(1)] {
        let bytes = invoke(8);
        let mut input = Input::new(&bytes, true);
        let event = lone.end.connection.poll_input(on, &mut input, now);
        assert!(event.is_none());
        assert!(input.is_done());
    }
}

#[test]
fn input_behind_the_end_of_an_operation_is_taken_and_dropped() {
    let mut lone = serving();
    let now = lone.now();
    // Both sides are done, but nobody asked for the event yet.
    lone.end.connection.abort(stream(4), ErrorCode::Refused);
    let bytes = frame(0x04, 4, b"late");
    let mut input = Input::new(&bytes, true);
    let event = lone.end.connection.poll_input(stream(4), &mut input, now);
    assert!(event.is_none());
    assert!(input.is_done());
}

#[test]
fn a_detail_of_exactly_a_kibibyte_is_sent() {
    type Roomy = Fixed<4, 1100, 2, 1100>;
    let mut pair = Pair::<Roomy, Roomy>::connected();
    let op = pair.client.invoke("a", "b", b"");
    pair.pump();
    pair.server.told();
    let detail = "d".repeat(1024);
    let now = pair.now();
    let connection = &mut pair.client.connection;
    let reason = CancelReason::Internal;
    connection.cancel(op, reason, &detail, now).unwrap();
    pair.pump();
    assert_eq!(pair.server.told(), ["4 cancelled INTERNAL 1024 bytes"]);
}

#[test]
fn a_goodbye_that_fits_no_outbox_closes_at_once() {
    // A HELLO that fills the control stream's outbox to the brim, and does not leave.
    type Brim = Fixed<2, 128, 1, 297>;
    let mut lone = Lone::<Brim>::unstarted(Role::Server, Config::default());
    lone.end.start(lone.now());
    lone.end.window = Some(0);
    let hello = support::hello::HelloFrame::signed([3; 32], [1; 16], support::UNIX_START);
    lone.arrives(CONTROL, &hello.encode());
    assert!(lone.end.connection.is_open());
    let now = lone.now();
    for _ in 0..2 {
        lone.end.connection.goodbye(now);
    }
    lone.settle(now);
    let told = lone.end.told();
    assert_eq!(told.last().unwrap(), &closed(CloseReason::Done));
}

#[test]
fn a_skipped_frame_does_not_hold_up_what_stands_behind_it() {
    let now = support::at(0);
    let mut lone = serving();
    let goodbye = [frame(0x80, 0, b"skipped"), frame(0x09, 0, b"")].concat();
    let more = [frame(0x0c, 4, b"skipped"), frame(0x04, 4, b"x")].concat();
    for (on, bytes, told) in [
        (stream(4), more, "4 stream x left 0"),
        (CONTROL, goodbye, "goodbye"),
    ] {
        let mut input = Input::new(&bytes, false);
        let event = lone.end.connection.poll_input(on, &mut input, now);
        assert_eq!(event.map(support::describe).unwrap(), told);
        assert!(input.is_done());
    }
}
