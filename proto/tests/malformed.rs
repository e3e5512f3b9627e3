//! What a receiver must refuse: every malformed vector against a real connection, whole, byte by
//! byte, and with FIN on its own, in the place that the vector names.
#![cfg(feature = "ed25519")]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects
)]

mod support;

use aire_proto::storage::Storage;
use aire_proto::wire::{FrameType, Goodbye};
use aire_proto::{Config, Role, StreamId};
use aire_vectors::{Closes, MalformedVector, OPERATION, Place, Vector, own};
use support::lone::{Lone, encoded, frame, invoke};
use support::{Small, stream};

/// How the bytes arrive.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Cut {
    Whole,
    Bytes,
    FinApart,
}

const CUTS: [Cut; 3] = [Cut::Whole, Cut::Bytes, Cut::FinApart];

fn malformed(vectors: &[Vector]) -> impl Iterator<Item = (&str, &MalformedVector)> {
    vectors
        .iter()
        .filter_map(|vector| Some((&*vector.id, vector.as_malformed()?)))
}

fn deliver<S: Storage>(lone: &mut Lone<S>, on: StreamId, vector: &MalformedVector, cut: Cut) {
    lone.end.chunk = if cut == Cut::Bytes { 1 } else { usize::MAX };
    if cut == Cut::FinApart && vector.fin {
        lone.deliver(on, &vector.encoded, false);
        lone.deliver(on, b"", true);
    } else {
        lone.deliver(on, &vector.encoded, vector.fin);
    }
    lone.end.chunk = usize::MAX;
}

/// The roles in which a connection can be the receiver of a vector.
fn roles(place: Place) -> &'static [Role] {
    match place {
        Place::ControlFirst | Place::Control => &[Role::Server, Role::Client],
        Place::Operation | Place::OperationAfterInvoke => &[Role::Server],
        Place::Reply => &[Role::Client],
    }
}

/// A connection that stands where the vector's peer is about to send, with an operation of ours
/// beside it that has to survive.
fn prepare<S: Storage>(role: Role, place: Place) -> (Lone<S>, StreamId, Option<StreamId>) {
    if place == Place::ControlFirst {
        let lone = Lone::started(role, Config::default());
        return (lone, StreamId::CONTROL, None);
    }
    let mut lone = Lone::connected(role, Config::default());
    let on = stream(OPERATION);
    match place {
        Place::OperationAfterInvoke => {
            lone.arrives(on, &invoke(OPERATION));
            assert_eq!(lone.end.told(), ["4 invoked 4 echo/say args 0"]);
        }
        Place::Reply => assert_eq!(lone.end.invoke("echo", "say", b""), on),
        _ => {}
    }
    let beside = lone.end.invoke("other", "work", b"");
    lone.settle(lone.now());
    let on = if place == Place::Control {
        StreamId::CONTROL
    } else {
        on
    };
    (lone, on, Some(beside))
}

/// Asserts that only the operation on `on` ended, with `code`, and that everything else works.
fn assert_operation_closed<S: Storage>(
    lone: &mut Lone<S>,
    on: StreamId,
    beside: StreamId,
    code: u64,
    context: &str,
) {
    assert!(
        lone.end.connection.is_open(),
        "{context}: {:?}",
        lone.end.log
    );
    assert_eq!(lone.errors(on), [code], "{context}: the ERROR");
    assert_eq!(lone.errors(StreamId::CONTROL), [0; 0], "{context}");
    let sent = &lone.end.pipes[&on];
    assert!(sent.fin, "{context}: a terminal frame is followed by FIN");
    assert_eq!(sent.stop, Some(code), "{context}: nothing more is read");
    assert_eq!(lone.end.connection.op_id(on), None, "{context}: it is over");
    lone.end.told();

    // The operation beside it goes on to its end.
    let op = beside.get();
    lone.ends(beside, &frame(0x04, op, b"answer"));
    assert_eq!(
        lone.end.told(),
        [
            format!("{op} stream answer left 0"),
            format!("{op} ended Completed by Peer")
        ],
        "{context}"
    );
    // And so does a new one.
    let fresh = if lone.end.connection.role() == Role::Server {
        8
    } else {
        1
    };
    lone.ends(stream(fresh), &invoke(fresh));
    assert_eq!(
        lone.end.told(),
        [
            format!("{fresh} invoked {fresh} echo/say args 0"),
            format!("{fresh} input finished")
        ],
        "{context}"
    );
    lone.end.connection.finish(stream(fresh)).unwrap();
    lone.settle(lone.now());
    assert_eq!(lone.end.connection.live_operations(), 0, "{context}");
}

fn refuse_all<S: Storage>() {
    let vectors = own();
    let mut count = 0;
    for (id, vector) in malformed(&vectors) {
        for role in roles(vector.on) {
            for cut in CUTS {
                let context = format!("{id}, to a {role:?}, {cut:?}");
                let (mut lone, on, beside) = prepare::<S>(*role, vector.on);
                deliver(&mut lone, on, vector, cut);
                let code = vector.code.number();
                match (vector.closes, beside) {
                    (Closes::Operation, Some(beside)) => {
                        assert_operation_closed(&mut lone, on, beside, code, &context);
                    }
                    _ => lone.assert_closed(code, &context),
                }
                count += 1;
            }
        }
    }
    assert!(count > 1500, "{count}");
}

#[test]
fn every_malformed_vector_is_refused_with_its_code_by_a_device() {
    refuse_all::<Small>();
}

#[cfg(feature = "alloc")]
#[test]
fn every_malformed_vector_is_refused_with_its_code_by_a_server() {
    refuse_all::<aire_proto::Growing>();
}

#[test]
fn an_operation_that_never_came_to_be_has_no_end_to_tell() {
    let vectors = own();
    for (id, vector) in malformed(&vectors) {
        if vector.on != Place::Operation || vector.closes != Closes::Operation {
            continue;
        }
        for cut in CUTS {
            let (mut lone, on, _) = prepare::<Small>(Role::Server, vector.on);
            deliver(&mut lone, on, vector, cut);
            assert_eq!(lone.end.told(), [""; 0], "{id}, {cut:?}");
        }
    }
}

#[test]
fn a_connection_that_has_not_said_hello_tells_its_complaint_with_the_close_alone() {
    let mut end = support::End::<Small>::new(Role::Client, 1, Config::default(), support::at(0));
    let mut pipe = support::Pipe::default();
    pipe.bytes = encoded(0, &Goodbye);
    end.receive(StreamId::CONTROL, &mut pipe, support::at(0));
    end.transmit(support::at(0));
    assert_eq!(end.closed_with, Some(0x04));
    assert!(end.pipes.is_empty(), "no frame before HELLO");
}

#[test]
fn a_goodbye_may_hold_anything_and_even_more_than_a_scratch() {
    for len in [1, 1024, 1025, 65_536, 1_048_576] {
        for chunk in [997, usize::MAX] {
            let mut lone = Lone::<Small>::connected(Role::Server, Config::default());
            lone.end.chunk = chunk;
            lone.arrives(stream(4), &invoke(4));
            lone.end.told();
            lone.arrives(StreamId::CONTROL, &frame(0x09, 0, &vec![7; len]));
            assert_eq!(lone.end.told(), ["goodbye"], "{len}");
            assert!(lone.end.connection.is_draining());
        }
    }
}

#[test]
fn a_goodbye_counts_once_however_often_it_is_said() {
    let mut lone = Lone::<Small>::connected(Role::Server, Config::default());
    lone.arrives(stream(4), &invoke(4));
    lone.end.told();
    let goodbyes = encoded(0, &Goodbye).repeat(3);
    lone.arrives(StreamId::CONTROL, &goodbyes);
    assert_eq!(lone.end.told(), ["goodbye"]);
}

#[test]
fn reserved_and_vendor_frames_on_the_control_stream_are_skipped_and_counted() {
    for chunk in [1, usize::MAX] {
        let mut lone = Lone::<Small>::connected(Role::Client, Config::default());
        lone.end.chunk = chunk;
        for (frame_type, op_id, len) in [
            (0x00, 0, 3),
            (0x0c, 0, 0),
            (0x7f, 9, 5),
            (0x80, 0, 2000),
            (0xff, 4, 1),
        ] {
            lone.arrives(StreamId::CONTROL, &frame(frame_type, op_id, &vec![1; len]));
        }
        assert!(lone.end.connection.is_open());
        assert_eq!(lone.end.connection.counters().skipped_frames, 5);
        lone.arrives(StreamId::CONTROL, &encoded(0, &Goodbye));
        assert_eq!(lone.end.told(), ["goodbye", "closed Done"]);
        assert_eq!(lone.end.closed_with, Some(0));
    }
}

#[test]
fn the_peers_complaint_closes_the_connection_and_is_not_answered_with_another() {
    for chunk in [1, usize::MAX] {
        let mut lone = Lone::<Small>::connected(Role::Client, Config::default());
        lone.end.chunk = chunk;
        lone.arrives(StreamId::CONTROL, &frame(0x08, 0, b"\x05\x03why!!"));
        assert_eq!(lone.end.told(), ["closed Peer(BadSignature)"]);
        assert_eq!(lone.end.closed_with, Some(0));
        let types: Vec<FrameType> = lone
            .frames(StreamId::CONTROL)
            .iter()
            .map(|(header, _)| header.frame_type)
            .collect();
        assert_eq!(types, [FrameType::Hello]);
    }
}
