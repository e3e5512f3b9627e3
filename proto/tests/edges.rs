//! Peers and applications at their worst: odd OpIDs, FINs and resets at odd moments, scratches
//! that run out, ends that cross.
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
use aire_proto::wire::{Budget, Cancel, Goodbye};
use aire_proto::{CancelReason, Config, ErrorCode, Fixed, Role, StreamId, Transmit};
use support::lone::{Lone, encoded, frame, invoke};
use support::{CANCELLED, Pair, Small, USER, stream};

type Devices = Pair<Small, Small>;

const VIOLATION: u64 = 0x04;

fn server() -> Lone<Small> {
    Lone::connected(Role::Server, Config::default())
}

/// A server on which the peer has opened an operation on stream 4.
fn serving() -> Lone<Small> {
    let mut lone = server();
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

// ---- operation ids (GAP-2) ----

#[test]
fn an_operation_keeps_the_id_of_its_first_frame_whatever_it_is() {
    for op in [4, 1, 7, 9, (1 << 62) - 1] {
        let mut lone = server();
        lone.arrives(stream(4), &invoke(op));
        assert_eq!(lone.end.told(), [format!("4 invoked {op} echo/say args 0")]);
        assert_eq!(lone.end.connection.op_id(stream(4)).unwrap().get(), op);
        lone.arrives(stream(4), &frame(0x04, op, b"x"));
        assert_eq!(lone.end.told(), ["4 stream x left 0"]);
        // Our own frames carry it too.
        lone.end.send(stream(4), b"y");
        lone.settle(lone.now());
        assert_eq!(lone.frames(stream(4))[0].0.op_id, op);
        lone.arrives(stream(4), &frame(0x04, op ^ 2, b"x"));
        lone.assert_closed(VIOLATION, "another id later");
    }
}

#[test]
fn a_skipped_first_frame_binds_the_id_as_well() {
    for first in [0x0c, 0x7f, 0x80] {
        let mut lone = server();
        lone.arrives(stream(4), &frame(first, 9, b"?"));
        lone.arrives(stream(4), &invoke(9));
        assert_eq!(lone.end.told(), ["4 invoked 9 echo/say args 0"]);

        for then in [4, 11] {
            let mut lone = server();
            lone.arrives(stream(4), &frame(first, 9, b"?"));
            lone.arrives(stream(4), &invoke(then));
            lone.assert_closed(VIOLATION, "an id that changes before INVOKE");
        }
    }
}

#[test]
fn an_id_of_another_live_stream_is_a_violation_and_of_a_finished_one_is_free() {
    // Stream 4 takes the id that stream 8 would have.
    let mut lone = server();
    lone.arrives(stream(4), &invoke(8));
    lone.arrives(stream(8), &invoke(8));
    lone.assert_closed(VIOLATION, "a usual id that is taken");

    // The same the other way round, and with an id of ours.
    let mut lone = server();
    lone.arrives(stream(8), &invoke(8));
    lone.arrives(stream(4), &invoke(8));
    lone.assert_closed(VIOLATION, "an unusual id that is taken");
    let mut lone = server();
    assert_eq!(lone.end.invoke("a", "b", b""), stream(1));
    lone.arrives(stream(4), &invoke(1));
    lone.assert_closed(VIOLATION, "an id of our own operation");

    let mut lone = server();
    for _ in 0..3 {
        lone.ends(stream(4), &invoke(8));
        lone.end.connection.finish(stream(4)).unwrap();
        lone.settle(lone.now());
        assert_eq!(lone.end.connection.live_operations(), 0);
        lone.end.told();
    }
    lone.arrives(stream(8), &invoke(8));
    assert_eq!(lone.end.told(), ["8 invoked 8 echo/say args 0"]);
}

#[test]
fn a_stream_whose_first_frame_is_not_here_yet_has_taken_no_id() {
    let mut lone = server();
    lone.arrives(stream(8), &invoke(8)[..2]);
    lone.arrives(stream(4), &invoke(8));
    assert_eq!(lone.end.told(), ["4 invoked 8 echo/say args 0"]);
    lone.arrives(stream(8), &invoke(12)[2..]);
    assert_eq!(lone.end.told(), ["8 invoked 12 echo/say args 0"]);
}

// ---- operations that never came to be ----

#[test]
fn an_operation_given_up_before_its_names_were_whole_is_never_told_of() {
    for cut in 0..invoke(4).len() {
        let half = &invoke(4)[..cut];
        let mut lone = server();
        lone.arrives(stream(4), half);
        lone.end.connection.stream_reset(stream(4), 9);
        lone.settle(lone.now());
        assert_eq!(lone.end.told(), [""; 0], "reset after {cut}");
        assert_eq!(lone.end.connection.live_operations(), 0);

        let mut lone = server();
        lone.arrives(stream(4), half);
        lone.end.connection.stream_stopped(stream(4), 9);
        lone.settle(lone.now());
        assert_eq!(lone.end.told(), [""; 0], "stopped after {cut}");
        assert_eq!(lone.end.connection.live_operations(), 0);

        let mut lone = server();
        lone.arrives(stream(4), half);
        lone.end.connection.connection_lost(None);
        lone.settle(lone.now());
        assert_eq!(lone.end.told(), ["closed Lost"], "lost after {cut}");
        assert_eq!(lone.end.connection.live_operations(), 0);
    }
}

#[test]
fn a_stream_with_nothing_but_a_fin_is_answered_with_a_fin() {
    for first in [&b""[..], &frame(0x0c, 4, b"skipped")] {
        let mut lone = server();
        lone.ends(stream(4), first);
        assert_eq!(lone.end.told(), [""; 0]);
        assert_eq!(lone.end.connection.live_operations(), 0);
        let sent = &lone.end.pipes[&stream(4)];
        assert!(sent.fin && sent.bytes.is_empty() && sent.reset.is_none());
    }
}

#[test]
fn bytes_on_a_stream_that_we_never_opened_are_dropped() {
    let mut lone = server();
    lone.ends(stream(1), &frame(0x04, 1, b"x"));
    assert_eq!(lone.end.told(), [""; 0]);
    assert!(lone.end.connection.is_open());
    lone.end.connection.stream_reset(stream(1), 0);
    lone.end.connection.stream_stopped(stream(400), 0);
    assert_eq!(lone.end.connection.poll_transmit(), None);
}

// ---- INVOKE's names ----

#[test]
fn the_verdict_on_an_invoke_does_not_depend_on_how_it_is_cut() {
    type Tiny = Fixed<2, 128, 1, 300>;
    let name = |len: usize, fill: u8| {
        let mut string = vec![0x40 | (len >> 8) as u8, len as u8];
        string.extend(std::iter::repeat_n(fill, len));
        string
    };
    let good = b'n';
    let bad = 0xff;
    let payloads = [
        [name(140, good), name(156, good), vec![0; 50]].concat(),
        [name(140, good), name(157, good), vec![0; 50]].concat(),
        [name(290, good), name(20, bad)].concat(),
        [name(400, bad), name(1, good)].concat(),
        [name(298, bad), name(1, good)].concat(),
        [name(299, bad), name(1, good)].concat(),
        [name(400, good), vec![0x7f, 0xff]].concat(),
        [name(200, good), vec![0x7f, 0xff], vec![1; 200]].concat(),
        [name(200, good), vec![0x41, 0x00], vec![1; 400]].concat(),
        [name(100, bad), name(100, good), vec![0; 600]].concat(),
    ];
    for payload in payloads {
        let bytes = frame(0x03, 4, &payload);
        let told = |chunk: usize| {
            let mut lone = Lone::<Tiny>::connected(Role::Server, Config::default());
            lone.end.chunk = chunk;
            lone.arrives(stream(4), &bytes);
            let invoked = lone.end.told().into_iter().next();
            (invoked, lone.errors(stream(4)))
        };
        let whole = told(usize::MAX);
        for chunk in [1, 2, 3, 50, 299, 300, 301, 302, 400] {
            assert_eq!(told(chunk), whole, "{} bytes by {chunk}", payload.len());
        }
        assert!(whole.0.is_some() != whole.1.contains(&0x03) | whole.1.contains(&0x40));
    }
}

// ---- scratches (Fixed storage) ----

#[test]
fn a_frame_in_pieces_waits_for_a_scratch_and_loses_nothing() {
    // Two scratches, three streams.
    let ids = [4, 8, 12];
    for ends_by in ["the rest", "a reset"] {
        let mut lone = server();
        for id in ids {
            lone.arrives(stream(id), &invoke(id));
        }
        lone.end.told();
        let bytes = |id: u64| encoded(id, &budget(1000 + id));
        for id in ids {
            lone.arrives(stream(id), &bytes(id)[..6]);
        }
        lone.arrives(stream(12), &bytes(12)[6..7]);
        assert_eq!(lone.end.told(), [""; 0]);
        if ends_by == "a reset" {
            lone.end.connection.stream_reset(stream(4), 0);
            lone.settle(lone.now());
            assert_eq!(lone.end.told(), ["4 ended Reset(0) by Peer"]);
        } else {
            lone.arrives(stream(4), &bytes(4)[6..]);
            assert_eq!(lone.end.told(), ["4 budget Some(1004)"]);
        }
        lone.arrives(stream(12), &bytes(12)[7..]);
        assert_eq!(lone.end.told(), ["12 budget Some(1012)"]);
        lone.arrives(stream(8), &bytes(8)[6..]);
        assert_eq!(lone.end.told(), ["8 budget Some(1008)"]);
    }
}

#[test]
fn a_whole_frame_needs_no_scratch_even_when_all_are_taken() {
    let mut lone = server();
    for id in [4, 8, 12] {
        lone.arrives(stream(id), &invoke(id));
    }
    for id in [4, 8] {
        lone.arrives(stream(id), &encoded(id, &budget(1 << 40))[..7]);
    }
    lone.end.told();
    lone.arrives(stream(12), &encoded(12, &budget(5)));
    lone.arrives(stream(12), &frame(0x04, 12, b"goes through"));
    lone.arrives(stream(16), &invoke(16));
    lone.arrives(StreamId::CONTROL, &encoded(0, &Goodbye));
    assert_eq!(
        lone.end.told(),
        [
            "12 budget Some(5)",
            "12 stream goes through left 0",
            "16 invoked 16 echo/say args 0",
            "goodbye"
        ]
    );
}

#[test]
fn a_violation_while_frames_are_in_pieces_ends_everything_and_frees_everything() {
    let mut lone = server();
    for id in [4, 8] {
        lone.arrives(stream(id), &invoke(id));
        lone.arrives(stream(id), &encoded(id, &budget(1 << 40))[..7]);
    }
    lone.end.told();
    lone.ends(stream(8), b"");
    lone.assert_closed(0x03, "FIN inside a frame");
    assert_eq!(
        lone.end.told()[..2],
        ["4 ended Lost by Peer", "8 ended Lost by Peer"]
    );
}

// ---- ends that cross ----

#[test]
fn a_cancel_that_was_still_coming_in_when_we_ended_is_late() {
    let cancel = encoded(
        4,
        &Cancel {
            reason: USER,
            detail: "too late",
        },
    );
    for finishes in [true, false] {
        let mut lone = serving();
        lone.arrives(stream(4), &cancel[..cancel.len() - 1]);
        if finishes {
            lone.end.connection.finish(stream(4)).unwrap();
        } else {
            let now = lone.now();
            let failure = ErrorCode::Application;
            lone.end
                .connection
                .fail(stream(4), failure, "", &[], now)
                .unwrap();
        }
        lone.ends(stream(4), &cancel[cancel.len() - 1..]);
        let outcome = if finishes {
            "Completed"
        } else {
            "Failed(Application)"
        };
        assert_eq!(
            lone.end.told(),
            [
                "4 cancelled late USER_CANCELLED".to_owned(),
                format!("4 ended {outcome} by Local")
            ]
        );
        assert_eq!(lone.end.connection.counters().skipped_frames, 1);
    }
}

#[test]
fn what_happens_to_the_stream_behind_the_whole_answer_takes_nothing_back() {
    for stopped in [true, false] {
        let mut lone = serving();
        lone.end.connection.finish(stream(4)).unwrap();
        lone.settle(lone.now());
        if stopped {
            lone.end.connection.stream_stopped(stream(4), 9);
        } else {
            lone.end.connection.stream_reset(stream(4), 9);
        }
        lone.settle(lone.now());
        assert_eq!(lone.end.told(), ["4 ended Completed by Local"]);
    }
}

#[test]
fn an_initiator_whose_input_is_cut_short_by_the_answer_spoils_no_outcome() {
    let mut pair = Devices::connected();
    let op = pair.client.invoke("a", "b", b"");
    pair.pump();
    pair.server.told();
    // The client is in the middle of its input when the answer is complete.
    pair.server.reads = false;
    pair.client.window = Some(3);
    pair.client.send(op, b"a long input");
    pair.client.transmit(pair.now());
    pair.server.connection.finish(op).unwrap();
    pair.pump();
    pair.client.window = None;
    pair.server.reads = true;
    pair.pump();
    assert_eq!(pair.client.told(), ["4 ended Completed by Peer"]);
    let told = pair.server.told();
    assert_eq!(told.last().unwrap(), "4 ended Completed by Local");
    assert_eq!(pair.client.pipes[&op].reset, None, "carried");
}

#[test]
fn an_answer_that_did_not_reach_the_transport_is_lost_with_the_connection() {
    let mut lone = serving();
    lone.ends(stream(4), b"");
    assert_eq!(lone.end.told(), ["4 input finished"]);
    lone.end.window = Some(3);
    lone.end.send(stream(4), b"answer");
    lone.end.connection.finish(stream(4)).unwrap();
    lone.settle(lone.now());
    lone.end.connection.connection_lost(None);
    lone.settle(lone.now());
    assert_eq!(lone.end.told(), ["4 ended Lost by Peer", "closed Lost"]);
    assert_eq!(lone.end.connection.live_operations(), 0);
}

#[test]
fn goodbyes_that_cross_let_both_ends_finish_and_close() {
    let mut pair = Devices::connected();
    let up = pair.client.invoke("a", "b", b"");
    let down = pair.server.invoke("c", "d", b"");
    pair.pump();
    pair.client.told();
    pair.server.told();
    let now = pair.now();
    pair.client.connection.goodbye(now);
    pair.server.connection.goodbye(now);
    pair.pump();
    assert_eq!(pair.client.told(), ["goodbye"]);
    assert_eq!(pair.server.told(), ["goodbye"]);
    pair.server.connection.finish(up).unwrap();
    pair.pump();
    pair.client.connection.finish(down).unwrap();
    pair.pump();
    for end in [&mut pair.client, &mut pair.server] {
        let told = end.told();
        assert_eq!(told.len(), 3, "{told:?}");
        assert_eq!(told.last().unwrap(), "closed Done");
        assert!(
            told[..2]
                .iter()
                .all(|line| line.contains("ended Completed"))
        );
        assert_eq!(end.connection.live_operations(), 0);
    }
}

#[test]
fn a_goodbye_is_said_once_and_never_after_the_end() {
    let mut pair = Devices::connected();
    pair.client.invoke("a", "b", b"");
    pair.pump();
    let now = pair.now();
    pair.client.connection.goodbye(now);
    pair.client.connection.goodbye(now);
    pair.pump();
    let goodbyes = pair.server.told();
    assert_eq!(goodbyes.iter().filter(|line| *line == "goodbye").count(), 1);
    pair.client.connection.close();
    pair.client.connection.goodbye(now);
    pair.pump();
    assert_eq!(pair.client.closed_with, Some(0));
}

#[test]
fn after_the_close_nothing_is_transmitted_whatever_the_transport_reports() {
    let mut lone = serving();
    lone.end.window = Some(1);
    lone.end.send(stream(4), b"never to be sent");
    lone.settle(lone.now());
    // The ERROR does not fit the control stream's window any more.
    lone.arrives(stream(4), &frame(0x04, 6, b""));
    assert_eq!(lone.end.closed_with, Some(VIOLATION));
    lone.end.window = None;
    for id in [0, 4] {
        lone.end.connection.writable(stream(id));
        assert_eq!(lone.end.connection.poll_transmit(), None);
    }
    assert_eq!(lone.end.connection.live_operations(), 0);
    assert_eq!(
        lone.end.connection.send(stream(4), 1),
        Err(CallError::NoSuchOperation)
    );
}

// ---- cancels in every state ----

/// A state of the operation on stream 4, and how to bring it there.
type State = (&'static str, fn(&mut Devices));

const STATES: [State; 9] = [
    ("not sent yet", |_| {}),
    ("running", |pair| pair.pump()),
    ("input finished", |pair| {
        pair.client.connection.finish(stream(4)).unwrap();
        pair.pump();
    }),
    ("input half sent", |pair| {
        pair.pump();
        pair.client.window = Some(2);
        pair.server.reads = false;
        pair.client.send(stream(4), b"input");
        pair.client.transmit(support::at(0));
    }),
    ("answer half sent", |pair| {
        pair.pump();
        pair.server.window = Some(2);
        pair.client.reads = false;
        pair.server.send(stream(4), b"answer");
        pair.server.transmit(support::at(0));
    }),
    ("answered, FIN on its way", |pair| {
        pair.pump();
        pair.server.connection.finish(stream(4)).unwrap();
        pair.server.transmit(support::at(0));
    }),
    ("failed, on its way", |pair| {
        pair.pump();
        let connection = &mut pair.server.connection;
        let failure = ErrorCode::Application;
        connection
            .fail(stream(4), failure, "", &[], support::at(0))
            .unwrap();
    }),
    ("cancelled by the other end", |pair| {
        pair.pump();
        let connection = &mut pair.server.connection;
        connection
            .cancel(stream(4), USER, "", support::at(0))
            .unwrap();
        pair.pump();
    }),
    ("over", |pair| {
        pair.pump();
        pair.server.connection.finish(stream(4)).unwrap();
        pair.pump();
    }),
];

#[test]
fn a_cancel_in_any_state_ends_the_operation_once_on_both_ends() {
    for (state, bring) in STATES {
        for by_client in [true, false] {
            for detail in ["", &*"d".repeat(200)] {
                let context = format!("{state}, by the client: {by_client}");
                let mut pair = Devices::connected();
                let op = pair.client.invoke("a", "b", b"");
                bring(&mut pair);
                let now = pair.now();
                let end = if by_client {
                    &mut pair.client
                } else {
                    &mut pair.server
                };
                let knows = end.connection.op_id(op).is_some();
                let cancelled = end.connection.cancel(op, USER, detail, now);
                if !knows {
                    assert_eq!(cancelled, Err(CallError::NoSuchOperation), "{context}");
                    continue;
                }
                pair.client.window = None;
                pair.server.window = None;
                for id in [0, 4] {
                    pair.client.connection.writable(stream(id));
                    pair.server.connection.writable(stream(id));
                }
                pair.client.reads = true;
                pair.server.reads = true;
                pair.pump();
                for _ in 0..4 {
                    pair.wait(5_000);
                }
                for end in [&mut pair.client, &mut pair.server] {
                    assert_eq!(end.connection.live_operations(), 0, "{context}");
                    assert!(end.connection.is_open(), "{context}: {:?}", end.log);
                    let is_client = end.connection.role() == Role::Client;
                    let told = end.told();
                    let count = |what: &str| told.iter().filter(|line| line.contains(what)).count();
                    // A reset that overtakes INVOKE leaves the responder with nothing to tell.
                    let begun = if is_client { 1 } else { count(" invoked ") };
                    assert_eq!(count(" ended "), begun, "{context}: {told:?}");
                }
            }
        }
    }
}

#[test]
fn an_end_that_waits_to_be_told_can_no_longer_be_changed() {
    let mut lone = Lone::<Small>::connected(Role::Client, Config::default());
    let op = lone.end.invoke("a", "b", b"");
    lone.end.connection.finish(op).unwrap();
    lone.settle(lone.now());
    let now = lone.now();
    let mut pipe = support::Pipe::default();
    pipe.fin = true;
    lone.end.receive(op, &mut pipe, now);
    // It is over, but nobody asked for the event yet.
    let connection = &mut lone.end.connection;
    connection.abort(op, CANCELLED);
    assert_eq!(
        connection.cancel(op, USER, "", now),
        Err(CallError::NoSuchOperation)
    );
    lone.settle(now);
    assert_eq!(lone.end.told(), ["4 ended Completed by Peer"]);
    assert_eq!(lone.end.pipes[&op].reset, None);
}

#[test]
fn a_code_that_no_reset_can_carry_is_cut_to_the_largest_one() {
    let mut lone = serving();
    lone.end
        .connection
        .abort(stream(4), ErrorCode::Other(u64::MAX));
    let largest = (1 << 62) - 1;
    assert_eq!(
        lone.end.connection.poll_transmit(),
        Some(Transmit::Reset {
            stream: stream(4),
            code: largest
        })
    );
    // In a frame such a number is refused.
    let mut lone = serving();
    let now = lone.now();
    let connection = &mut lone.end.connection;
    let huge = ErrorCode::Other(u64::MAX);
    assert_eq!(
        connection.fail(stream(4), huge, "", &[], now),
        Err(CallError::NumberTooLarge)
    );
    assert_eq!(
        connection.send_budget(stream(4), &budget(1 << 62), now),
        Err(CallError::NumberTooLarge)
    );
    let reason = CancelReason::Other(1 << 62);
    connection.cancel(stream(4), reason, "", now).unwrap();
    lone.settle(now);
    assert_eq!(lone.end.pipes[&stream(4)].reset, Some(CANCELLED.to_wire()));
}
