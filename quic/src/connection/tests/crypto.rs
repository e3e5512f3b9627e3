//! The handshake's bytes (RFC 9000 §7.5, §19.6; RFC 9001 §4.1.3, §4.4, §4.6, §6).

use std::vec;
use std::vec::Vec;

use super::*;
use crate::tls::support::counted;

/// What the streams' memory holds for the handshake.
const ROOM: u64 = 3 * 1024;

#[test]
fn handshake_bytes_beyond_the_memory_are_refused() {
    let exceeded = Some((Code::CRYPTO_BUFFER_EXCEEDED, 6));
    for (stage, space) in [
        (Stage::Hello, Space::Initial),
        (Stage::Shaking, Space::Handshake),
    ] {
        for frame in [
            make::crypto(ROOM, b"x"),
            make::crypto(ROOM - 1, b"xy"),
            make::crypto((1 << 62) - 2, b"x"),
            // A message that says that it is longer.
            make::crypto(0, &[2, 0, 0x0b, 0xfd]),
            make::crypto(0, &[2, 0xff, 0xff, 0xff]),
        ] {
            assert_eq!(told(stage, space, &frame), exceeded, "{stage:?} {frame:x?}");
        }
        assert_eq!(told(stage, space, &make::crypto(ROOM - 1, b"x")), None);
        assert_eq!(
            told(stage, space, &make::crypto(0, &[2, 0, 0x0b, 0xfc])),
            None
        );
    }
}

#[test]
fn with_too_many_gaps_a_packet_is_not_acknowledged() {
    let mut memory = Memory::new();
    let mut world = World::at(&mut memory, Stage::Shaking);
    for gap in 0..6 {
        let frame = make::crypto(1001 + 2 * gap, b"x");
        assert_eq!(world.send(Space::Handshake, &frame), 1);
    }
    let lost = world.server.next[1];
    assert_eq!(world.send(Space::Handshake, &make::crypto(2000, b"x")), 0);
    world.send(Space::Handshake, make::PING);
    let acknowledged = picked(&world, 0, |frame| match frame {
        Frame::Ack(ack) => Some(ack.iter().any(|range| range.contains(&lost))),
        _ => None,
    });
    assert!(!acknowledged.contains(&true));
    assert_eq!(world.end(), None);
}

#[test]
fn a_level_that_is_done_may_be_repeated_but_not_go_on() {
    for (stage, space) in [
        (Stage::Shaking, Space::Initial),
        (Stage::Connected, Space::Handshake),
    ] {
        let mut memory = Memory::new();
        let mut world = World::at(&mut memory, stage);
        let flight = world.server.flight_of(space);
        let (len, tail) = (flight.len(), &flight[flight.len() - 50..]);
        for frame in [
            make::crypto(0, &flight[..50]),
            make::crypto(len as u64 - 50, tail),
            make::crypto(len as u64, b""),
        ] {
            world.send(space, &frame);
            assert_eq!(world.end(), None);
        }
        for frame in [
            make::crypto(len as u64, b"x"),
            make::crypto(len as u64 - 50, &[tail, b"x"].concat()),
            make::crypto(1 << 40, b"x"),
        ] {
            let violation = Some((Code::PROTOCOL_VIOLATION, 6));
            assert_eq!(told(stage, space, &frame), violation, "{stage:?}");
        }
    }
}

#[test]
fn bytes_behind_the_last_message_of_a_level_are_refused() {
    for (before, space) in [
        (Stage::Hello, Space::Initial),
        (Stage::Shaking, Space::Handshake),
    ] {
        let mut memory = Memory::new();
        let mut world = World::at(&mut memory, before);
        if before == Stage::Hello {
            world.server.set_ids();
            world.server.answer(0);
        }
        let mut flight = world.server.flight_of(space);
        flight.push(0);
        let heard = world.server.heard.len();
        let datagrams = world.send(space, &make::crypto(0, &flight));
        let Some(CloseReason::Violation(error)) = world.end() else {
            panic!("it goes on");
        };
        assert_eq!(error.code, Code::PROTOCOL_VIOLATION);
        assert_eq!(datagrams, 1);
        let farewells = world.farewells(heard);
        assert_eq!(farewells[0].2, Code::PROTOCOL_VIOLATION.0);
        world.bury();
    }
}

#[test]
fn messages_may_be_cut_anywhere_and_come_in_any_order() {
    for size in [1, 2, 3, 7, 50, 200, 1000] {
        for swapped in [false, true] {
            let mut memory = Memory::new();
            let mut world = World::at(&mut memory, Stage::Hello);
            world.server.set_ids();
            world.server.answer(0);
            for space in [Space::Initial, Space::Handshake] {
                let flight = world.server.flight_of(space);
                let mut pieces: Vec<(u64, &[u8])> = flight
                    .chunks(size)
                    .enumerate()
                    .map(|(at, piece)| ((at * size) as u64, piece))
                    .collect();
                if swapped {
                    pieces.chunks_mut(3).for_each(<[_]>::reverse);
                }
                for (offset, piece) in pieces {
                    world.send(space, &make::crypto(offset, piece));
                }
            }
            assert!(world.client.is_connected(), "{size} {swapped}");
        }
    }
}

#[test]
fn messages_that_have_no_place_behind_the_handshake_are_refused() {
    let unexpected = Some((Code::crypto(10), 6));
    for (kind, expected) in [
        (1, unexpected),
        (2, unexpected),
        (8, unexpected),
        (11, unexpected),
        // A certificate is asked for in the handshake, or never.
        (13, Some((Code::PROTOCOL_VIOLATION, 6))),
        (20, unexpected),
        (24, unexpected),
        (4, Some((Code::crypto(50), 6))),
    ] {
        for stage in [Stage::Connected, Stage::Confirmed] {
            let frame = make::crypto(0, &[kind, 0, 0, 1, 0]);
            assert_eq!(told(stage, Space::Application, &frame), expected, "{kind}");
        }
    }
}

#[test]
fn a_ticket_for_early_data_must_allow_all_or_nothing() {
    let ticket = |limit: &[u8]| {
        let mut body = vec![0, 0, 0, 60, 0, 0, 0, 0, 1, 0, 0, 1, 7];
        body.extend(counted(2, &[&[0, 42][..], &counted(2, limit)].concat()));
        make::crypto(0, &[&[4][..], &counted(3, &body)].concat())
    };
    for (limit, expected) in [
        (&[0xff; 4][..], None),
        (
            &[0xff, 0xff, 0xff, 0xfe],
            Some((Code::PROTOCOL_VIOLATION, 6)),
        ),
        (&[0; 4], Some((Code::PROTOCOL_VIOLATION, 6))),
        (&[0xff; 3], Some((Code::crypto(50), 6))),
    ] {
        let told = told(Stage::Confirmed, Space::Application, &ticket(limit));
        assert_eq!(told, expected);
    }
}

fn tickets(world: &mut World<'_>) -> usize {
    let before = world.events.len();
    world.events.retain(|event| *event != Event::Ticket);
    before - world.events.len()
}

#[test]
fn the_last_of_two_tickets_in_one_frame_is_kept() {
    let mut memory = Memory::new();
    let mut world = World::at(&mut memory, Stage::Confirmed);
    let (first, second) = (
        world.server.ticket(b"first"),
        world.server.ticket(b"second"),
    );
    world.send(Space::Application, &make::crypto(0, &first));
    assert_eq!(tickets(&mut world), 1);
    let only_first = world.client.ticket().unwrap().to_vec();
    let both = [&first[..], &second].concat();
    let frame = make::crypto(first.len() as u64, &both);
    world.send(Space::Application, &frame);
    assert_eq!(tickets(&mut world), 1);
    let kept = world.client.ticket().unwrap();
    assert_ne!(kept, only_first);
    assert!(kept.windows(6).any(|window| window == b"second"));
}

#[test]
fn a_ticket_may_come_in_pieces() {
    let mut memory = Memory::new();
    let mut world = World::at(&mut memory, Stage::Confirmed);
    let ticket = world.server.ticket(&[7; 400]);
    for (at, piece) in ticket.chunks(100).enumerate().rev() {
        world.send(Space::Application, &make::crypto(100 * at as u64, piece));
    }
    assert_eq!(tickets(&mut world), 1);
}

#[test]
fn a_ticket_that_is_too_large_is_ignored_and_the_connection_lives() {
    for len in [650, 700, 800, 5000, 60_000] {
        let mut memory = Memory::new();
        let mut world = World::at(&mut memory, Stage::Confirmed);
        let ticket = world.server.ticket(&vec![7; len]);
        for (at, piece) in ticket.chunks(1000).enumerate() {
            let frame = make::crypto(1000 * at as u64, piece);
            world.send(Space::Application, &frame);
            world.wait(Micros::from_millis(25));
        }
        assert_eq!(world.end(), None, "{len}");
        assert_eq!(world.client.ticket(), None);
        assert_eq!(tickets(&mut world), 0);
        // All of it was acknowledged: it does not come again.
        let last = picked(&world, 0, |frame| match frame {
            Frame::Ack(ack) => Some(ack.largest),
            _ => None,
        });
        assert_eq!(last.last(), Some(&(world.server.next[2] - 1)), "{len}");
        // The connection is as good as before.
        world.send(Space::Application, &make::stream(1, 0, b"x", true));
        assert!(world.client.peek(crate::StreamId::new(1).unwrap()).fin);
    }
}

#[test]
fn handshake_bytes_far_ahead_of_a_ticket_are_ignored() {
    for offset in [767, 768, 100_000, (1 << 62) - 10] {
        let frame = make::crypto(offset, b"xy");
        assert_eq!(told(Stage::Confirmed, Space::Application, &frame), None);
    }
}
