//! What a connection does while it lives: paths, windows, and what was lost.

use std::vec::Vec;

use super::*;
use crate::StreamId;

const APPLICATION: Space = Space::Application;

#[test]
fn a_path_challenge_is_answered_in_a_full_datagram() {
    for stage in [Stage::Connected, Stage::Confirmed] {
        let mut memory = Memory::new();
        let mut world = World::at(&mut memory, stage);
        let heard = world.server.heard.len();
        world.send(APPLICATION, b"\x1a12345678");
        let answers = picked(&world, heard, |frame| match frame {
            Frame::PathResponse(data) => Some(*data),
            _ => None,
        });
        assert_eq!(answers, [*b"12345678"], "{stage:?}");
        assert_eq!(world.server.heard[heard].datagram_len, 1200);
        // An answer that is lost is asked for again: it is not repeated by itself.
        let heard = world.server.heard.len();
        world.wait(Micros::from_secs(10));
        let again = picked(&world, heard, |frame| match frame {
            Frame::PathResponse(data) => Some(*data),
            _ => None,
        });
        assert_eq!(again, [[0; 8]; 0]);
    }
}

#[test]
fn of_many_path_challenges_the_newest_two_are_answered() {
    let mut memory = Memory::new();
    let mut world = World::at(&mut memory, Stage::Confirmed);
    let payload: Vec<u8> = (0..9_u8)
        .flat_map(|at| [&[0x1a][..], &[at; 8]].concat())
        .collect();
    let heard = world.server.heard.len();
    assert!(world.send(APPLICATION, &payload) <= 2);
    let answers = picked(&world, heard, |frame| match frame {
        Frame::PathResponse(data) => Some(data[0]),
        _ => None,
    });
    assert_eq!(answers, [7, 8]);
}

#[test]
fn a_new_path_is_proven_by_the_answer_to_its_challenge_only() {
    let mut memory = Memory::new();
    let mut world = World::at(&mut memory, Stage::Confirmed);
    world.send(APPLICATION, &make::new_id(1, 0, b"server-2"));
    let now = world.now;
    world.client.address_changed(now).unwrap();
    let heard = world.server.heard.len();
    world.flush();
    let challenge = picked(&world, heard, |frame| match frame {
        Frame::PathChallenge(data) => Some(*data),
        _ => None,
    })[0];
    let mut wrong = challenge;
    wrong[7] ^= 1;
    world.send(APPLICATION, &[&[0x1b][..], &wrong].concat());
    assert!(world.client.is_migrating());
    world.send(APPLICATION, &[&[0x1b][..], &challenge].concat());
    assert!(!world.client.is_migrating());
    // The old path's id is given back.
    let retired = picked(&world, heard, |frame| match frame {
        Frame::RetireConnectionId(sequence) => Some(*sequence),
        _ => None,
    });
    assert_eq!(retired, [0]);
}

#[test]
fn an_address_does_not_change_without_leave_or_a_spare_id() {
    use crate::MigrationError;
    let mut memory = Memory::new();
    let mut world = World::at(&mut memory, Stage::Connected);
    let now = world.now;
    let error = world.client.address_changed(now);
    assert_eq!(error, Err(MigrationError::NotReady));
    let mut memory = Memory::new();
    let mut world = World::at(&mut memory, Stage::Confirmed);
    let error = world.client.address_changed(now);
    assert_eq!(error, Err(MigrationError::NoConnectionId));
    let mut memory = Memory::new();
    let mut server = Server::new();
    server.parameters.set(0x0c, &[]);
    let mut world = World::dial(&mut memory, &crate::tls::support::config(), server);
    world.advance_to(Stage::Confirmed);
    world.send(APPLICATION, &make::new_id(1, 0, b"server-2"));
    let error = world.client.address_changed(now);
    assert_eq!(error, Err(MigrationError::Forbidden));
}

/// A kind of frame, as a number that tells it from others.
fn kind(frame: &Frame<'_>) -> Option<(u8, u64)> {
    Some(match frame {
        Frame::MaxData(max) => (0x10, *max),
        Frame::MaxStreamData { max, .. } => (0x11, *max),
        Frame::MaxStreams { max, .. } => (0x12, *max),
        Frame::NewConnectionId(new) => (0x18, new.sequence),
        Frame::RetireConnectionId(sequence) => (0x19, *sequence),
        Frame::ResetStream { code, .. } => (0x04, *code),
        Frame::StopSending { code, .. } => (0x05, *code),
        Frame::Stream { data, fin, .. } => (0x08 | u8::from(*fin), data.len() as u64),
        _ => return None,
    })
}

/// Frames as [`kind`] tells them.
type Said = Vec<(u8, u64)>;

/// Has the client say something by `act`, loses it, and returns what was said first, and what was
/// said again.
fn said_again(act: impl Fn(&mut World<'_>)) -> (Said, Said) {
    let mut memory = Memory::new();
    let mut world = World::at(&mut memory, Stage::Confirmed);
    let heard = world.server.heard.len();
    act(&mut world);
    world.flush();
    world.wait(Micros::from_millis(25));
    let first = picked(&world, heard, kind);
    let heard = world.server.heard.len();
    world.wait(world.client.recovery.pto());
    let second = picked(&world, heard, kind);
    // Once it is acknowledged, there is peace.
    let heard = world.server.heard.len();
    let acknowledged = world.server.ack(APPLICATION);
    world.send(APPLICATION, &acknowledged);
    world.wait(Micros::from_secs(5));
    assert_eq!(picked(&world, heard, kind), []);
    (first, second)
}

#[test]
fn windows_that_open_are_told_again_when_that_was_lost() {
    let read_some = |world: &mut World<'_>| {
        let stream = StreamId::new(1).unwrap();
        world.send(APPLICATION, &make::stream(1, 0, &[7; 600], false));
        world.client.consume(stream, 600, false);
    };
    let (first, second) = said_again(read_some);
    assert_eq!(first, [(0x11, 1624)]);
    assert!(second.contains(&(0x11, 1624)));

    let read_all = |world: &mut World<'_>| {
        let stream = StreamId::new(1).unwrap();
        for round in 0..4 {
            world.send(
                APPLICATION,
                &make::stream(1, 1000 * round, &[7; 1000], false),
            );
            let acknowledged = world.server.ack(APPLICATION);
            world.client.consume(stream, 1000, false);
            if round < 3 {
                world.flush();
                world.send(APPLICATION, &acknowledged);
            }
        }
    };
    let (first, second) = said_again(read_all);
    assert!(first.contains(&(0x10, 4000 + 6 * 1024)), "{first:x?}");
    assert!(second.contains(&(0x10, 4000 + 6 * 1024)), "{second:x?}");
}

#[test]
fn a_place_for_another_stream_is_told_again_when_that_was_lost() {
    let (first, second) = said_again(|world| {
        let stream = StreamId::new(1).unwrap();
        world.send(APPLICATION, &make::stream(1, 0, b"all", true));
        world.client.consume(stream, 3, true);
        world.client.finish(stream);
        world.flush();
        let acknowledged = world.server.ack(APPLICATION);
        world.send(APPLICATION, &acknowledged);
    });
    assert!(first.contains(&(0x12, 2)), "{first:x?}");
    assert!(second.contains(&(0x12, 2)), "{second:x?}");
}

#[test]
fn ids_are_given_and_given_back_again_when_that_was_lost() {
    let (first, second) = said_again(|world| {
        world.send(APPLICATION, &make::new_id(1, 1, b"server-2"));
    });
    assert_eq!(first, [(0x19, 0)]);
    assert!(second.contains(&(0x19, 0)));
    let (first, second) = said_again(|world| {
        world.send(APPLICATION, &make::numbers(0x19, &[1]));
    });
    assert_eq!(first, [(0x18, 3)]);
    assert!(second.contains(&(0x18, 3)));
}

#[test]
fn streams_that_are_given_up_are_given_up_again_when_that_was_lost() {
    let (first, second) = said_again(|world| {
        let stream = world.client.open().unwrap();
        world.client.write(stream, b"x");
        world.client.reset(stream, 77);
        world.client.stop_sending(stream, 78);
    });
    for said in [first, second] {
        assert!(
            said.contains(&(0x04, 77)) && said.contains(&(0x05, 78)),
            "{said:x?}"
        );
    }
    let (first, second) = said_again(|world| {
        let stream = world.client.open().unwrap();
        world.client.write(stream, b"abc");
        world.client.finish(stream);
    });
    assert_eq!(first, [(0x09, 3)]);
    assert!(second.contains(&(0x09, 3)));
}

#[test]
fn what_the_server_knows_to_have_arrived_is_not_acknowledged_for_ever() {
    let mut memory = Memory::new();
    let mut world = World::at(&mut memory, Stage::Confirmed);
    // A number is missing, so that there are two ranges.
    world.server.next[2] += 1;
    assert_eq!(world.send(APPLICATION, make::PING), 1);
    let ranges = |world: &mut World<'_>| {
        let heard = world.server.heard.len();
        // It waits for something that it can go with.
        assert_eq!(world.send(APPLICATION, make::PING), 0);
        let stream = world.client.open().unwrap();
        world.client.write(stream, b"x");
        world.flush();
        let acks = picked(world, heard, |frame| match frame {
            Frame::Ack(ack) => Some(ack.iter().count()),
            _ => None,
        });
        acks[0]
    };
    assert_eq!(ranges(&mut world), 2);
    let acknowledged = world.server.ack(APPLICATION);
    world.send(APPLICATION, &acknowledged);
    assert_eq!(ranges(&mut world), 1);
}

#[test]
fn a_stop_sending_is_answered_by_a_reset_with_its_code() {
    let mut memory = Memory::new();
    let mut world = World::at(&mut memory, Stage::Confirmed);
    let stream = world.client.open().unwrap();
    world.client.write(stream, &[1; 500]);
    world.flush();
    let heard = world.server.heard.len();
    world.send(APPLICATION, &make::numbers(0x05, &[0, 99]));
    assert!(picked(&world, heard, kind).contains(&(0x04, 99)));
    let stopped = Event::Stopped { stream, code: 99 };
    assert!(world.events.contains(&stopped));
}

#[test]
fn the_first_window_bounds_what_is_sent_at_once() {
    let mut memory = Memory::new();
    let mut server = Server::new();
    server.parameters.set(0x04, &make::varint(1 << 30));
    server.parameters.set(0x06, &make::varint(1 << 30));
    let mut world = World::dial(&mut memory, &crate::tls::support::config(), server);
    world.advance_to(Stage::Confirmed);
    let stream = world.client.open().unwrap();
    let mut sent = 0;
    let mut silent = 0;
    // The server acknowledges nothing.
    while silent < 3 {
        world.client.write(stream, &[1; 1024]);
        let datagrams = world.take();
        sent += datagrams.iter().map(Vec::len).sum::<usize>();
        silent += usize::from(datagrams.is_empty());
        assert!(sent <= 14_720, "{sent}");
    }
}

#[test]
fn both_streams_go_on_side_by_side() {
    let mut memory = Memory::new();
    let mut world = World::at(&mut memory, Stage::Confirmed);
    let streams = [world.client.open().unwrap(), world.client.open().unwrap()];
    for stream in streams {
        assert_eq!(world.client.write(stream, &[1; 1024]), 1024);
    }
    let heard = world.server.heard.len();
    world.flush();
    let mut lens = [0; 5];
    for (stream, len) in picked(&world, heard, |frame| match frame {
        Frame::Stream { stream, data, .. } => Some((stream.get() as usize, data.len())),
        _ => None,
    }) {
        lens[stream] += len;
    }
    // The server's window for each.
    assert_eq!((lens[0], lens[4]), (1000, 1000));
}
