//! Packets that are wrong, repeated, or none at all (RFC 9000 §12, §17).

use std::vec;
use std::vec::Vec;

use super::super::hostile::Wire;
use super::*;

/// Has the server send `payload` in each space at each stage, spoiled by `spoil`.
fn spoiled(
    payload: &[u8],
    spoil: impl Fn(&mut Wire),
    check: impl Fn(&mut World<'_>, Stage, usize),
) {
    for stage in Stage::ALL {
        for space in stage.spaces() {
            let mut memory = Memory::new();
            let mut world = World::at(&mut memory, stage);
            let mut packet = world.server.draft(*space, payload);
            spoil(&mut packet);
            let datagram = world.server.seal(&packet);
            let dropped = world.client.stats().dropped_packets;
            let heard = world.server.heard.len();
            let datagrams = world.give(&datagram);
            if datagrams == 0 && world.end().is_none() {
                assert!(world.client.stats().dropped_packets >= dropped);
            }
            check(&mut world, stage, datagrams);
            let _ = heard;
        }
    }
}

fn is_dropped(world: &mut World<'_>, stage: Stage, datagrams: usize) {
    assert_eq!(datagrams, 0, "{stage:?}");
    assert_eq!(world.end(), None, "{stage:?}");
    let due = world
        .client
        .spaces
        .get(Space::Application)
        .received
        .deadline();
    assert_eq!(due, None, "{stage:?}: it is to be acknowledged");
}

#[test]
fn reserved_bits_are_a_violation() {
    for bits in 1..4 {
        let spoil = |packet: &mut Wire| {
            packet.bits |= match packet.space {
                Space::Application => bits << 3,
                _ => bits << 2,
            };
        };
        spoiled(make::PING, spoil, |world, stage, datagrams| {
            let heard = world.server.heard.len() - stage.farewells().len();
            let verdict = verdict(world, stage, heard, datagrams);
            assert_eq!(verdict, Some((Code::PROTOCOL_VIOLATION, 0)));
        });
    }
}

#[test]
fn a_packet_without_a_frame_is_a_violation() {
    spoiled(
        &[],
        |_| {},
        |world, stage, datagrams| {
            let heard = world.server.heard.len() - stage.farewells().len();
            let verdict = verdict(world, stage, heard, datagrams);
            assert_eq!(verdict, Some((Code::PROTOCOL_VIOLATION, 0)));
        },
    );
}

#[test]
fn a_packet_to_another_id_is_dropped() {
    spoiled(make::PING, |packet| packet.destination[3] ^= 1, is_dropped);
}

#[test]
fn a_packet_of_another_version_is_dropped() {
    let spoil = |packet: &mut Wire| packet.version = 2;
    for stage in [Stage::Hello, Stage::Shaking, Stage::Connected] {
        let mut memory = Memory::new();
        let mut world = World::at(&mut memory, stage);
        let mut packet = world.server.draft(stage.spaces()[0], make::PING);
        spoil(&mut packet);
        let datagram = world.server.seal(&packet);
        let datagrams = world.give(&datagram);
        is_dropped(&mut world, stage, datagrams);
    }
}

#[test]
fn an_initial_packet_with_a_token_is_dropped() {
    let mut memory = Memory::new();
    let mut world = World::at(&mut memory, Stage::Hello);
    let mut packet = world.server.draft(Space::Initial, make::PING);
    packet.token = b"token".to_vec();
    let datagram = world.server.seal(&packet);
    assert_eq!(world.give(&datagram), 0);
    assert!(!world.client.heard_server);
}

#[test]
fn the_server_keeps_the_id_of_its_first_packet() {
    for stage in [Stage::Shaking, Stage::Connected] {
        let mut memory = Memory::new();
        let mut world = World::at(&mut memory, stage);
        let mut packet = world.server.draft(stage.spaces()[0], make::PING);
        packet.source = b"server-9".to_vec();
        let datagram = world.server.seal(&packet);
        let datagrams = world.give(&datagram);
        is_dropped(&mut world, stage, datagrams);
    }
}

#[test]
fn a_packet_that_comes_twice_counts_once() {
    for stage in Stage::ALL {
        for space in stage.spaces() {
            let mut memory = Memory::new();
            let mut world = World::at(&mut memory, stage);
            let datagram = world.server.packet(*space, make::PING);
            world.give(&datagram);
            world.wait(Micros::from_millis(25));
            let dropped = world.client.stats().dropped_packets;
            assert_eq!(world.give(&datagram), 0);
            let application = world.client.spaces.get(Space::Application);
            assert_eq!(application.received.deadline(), None);
            assert_eq!(world.client.stats().dropped_packets, dropped + 1);
        }
    }
}

#[test]
fn a_packet_with_one_bit_flipped_is_dropped() {
    for stage in Stage::ALL {
        for space in stage.spaces() {
            let mut memory = Memory::new();
            let mut world = World::at(&mut memory, stage);
            let good = world.server.packet(*space, make::PING);
            for bit in 0..good.len() * 8 {
                let mut datagram = good.clone();
                datagram[bit / 8] ^= 1 << (bit % 8);
                let datagrams = world.give(&datagram);
                is_dropped(&mut world, stage, datagrams);
            }
            let answered = world.give(&good) + world.wait(Micros::from_millis(25));
            assert!(answered >= 1, "{stage:?}");
        }
    }
}

#[test]
fn garbage_of_every_length_changes_nothing() {
    for stage in Stage::ALL {
        let mut memory = Memory::new();
        let mut world = World::at(&mut memory, stage);
        let before = world.client.next_deadline();
        for len in 0..1500_usize {
            // Each kind of first byte, with our id where it would have to be.
            for first in [0x00, 0x40, 0x7f, 0x80, 0xc0, 0xd0, 0xe0, 0xf0, 0xff] {
                let mut datagram: Vec<u8> = (0..len).map(|at| (at * 7 + len) as u8).collect();
                if len > 30 {
                    datagram[0] = first;
                    if first & 0x80 == 0 {
                        datagram[1..9].copy_from_slice(&world.server.client_id);
                    } else {
                        datagram[1..6].copy_from_slice(&[0, 0, 0, 1, 8]);
                        datagram[6..14].copy_from_slice(&world.server.client_id);
                        datagram[14..24].copy_from_slice(b"\x08server-1\0");
                    }
                }
                assert_eq!(world.give(&datagram), 0);
            }
        }
        assert_eq!(world.end(), None);
        assert_eq!(world.client.next_deadline(), before);
    }
}

#[test]
fn garbage_behind_a_packet_does_not_harm_it() {
    for stage in [Stage::Shaking, Stage::Connected] {
        let space = Space::Handshake;
        for garbage in [
            vec![0; 50],
            vec![0xff; 50],
            vec![0x40; 50],
            vec![0xe0, 0, 0],
        ] {
            let mut memory = Memory::new();
            let mut world = World::at(&mut memory, stage);
            let mut datagram = world.server.packet(space, make::PING);
            datagram.extend(garbage);
            assert_eq!(world.give(&datagram), 1, "it is acknowledged");
            assert_eq!(world.end(), None);
        }
    }
}

#[test]
fn packets_of_one_datagram_all_count_if_they_go_to_the_same_id() {
    for same in [true, false] {
        let mut memory = Memory::new();
        let mut world = World::at(&mut memory, Stage::Connected);
        let mut datagram = world.server.packet(Space::Handshake, make::PING);
        let mut second = world
            .server
            .draft(Space::Application, &make::new_token(b"token"));
        if !same {
            let given = picked(&world, 0, |frame| match frame {
                Frame::NewConnectionId(new) => Some(new.id.to_vec()),
                _ => None,
            });
            second.destination.clone_from(&given[0]);
        }
        datagram.extend(world.server.seal(&second));
        world.give(&datagram);
        assert_eq!(world.client.token().is_some(), same);
    }
}

#[test]
fn packets_of_levels_that_are_done_or_to_come_are_dropped() {
    let mut memory = Memory::new();
    let mut world = World::at(&mut memory, Stage::Shaking);
    let early = world.server.packet(Space::Application, make::PING);
    assert_eq!(world.give(&early), 0);
    world.advance_to(Stage::Connected);
    for space in [Space::Initial, Space::Handshake] {
        if space == Space::Handshake {
            world.server.finish();
            world.send(Space::Application, make::HANDSHAKE_DONE);
            assert!(world.client.is_confirmed());
        }
        let late = world.server.packet(space, make::PING);
        let dropped = world.client.stats().dropped_packets;
        assert_eq!(world.give(&late), 0);
        assert_eq!(world.client.stats().dropped_packets, dropped + 1);
    }
}

/// A world whose server gave a token for its first id.
fn resettable(memory: &mut Memory) -> World<'_> {
    let mut server = Server::new();
    server.parameters.set(0x02, &[0xa5; 16]);
    let mut world = World::dial(memory, &crate::tls::support::config(), server);
    world.advance_to(Stage::Confirmed);
    world
}

/// What looks like a packet that nobody can open, with `token` behind.
fn reset(len: usize, token: [u8; 16]) -> Vec<u8> {
    let mut datagram = vec![0x41; len];
    datagram.extend(token);
    datagram
}

#[test]
fn a_stateless_reset_ends_the_connection_without_a_word() {
    for len in [5, 20, 40, 1000] {
        let mut memory = Memory::new();
        let mut world = resettable(&mut memory);
        world.client.ping();
        assert_eq!(world.give(&reset(len, [0xa5; 16])), 0);
        assert_eq!(world.end(), Some(CloseReason::StatelessReset), "{len}");
        world.bury();
    }
}

#[test]
fn a_reset_needs_the_token_of_an_id_in_use() {
    let mut memory = Memory::new();
    let mut world = resettable(&mut memory);
    for bit in 0..128 {
        let mut token = [0xa5; 16];
        token[bit / 8] ^= 1 << (bit % 8);
        world.give(&reset(30, token));
    }
    world.give(&[0xa5; 15]);
    assert_eq!(world.end(), None);
    // With its id the token goes.
    world.send(Space::Application, &make::new_id(1, 1, b"server-2"));
    world.give(&reset(30, [0xa5; 16]));
    assert_eq!(world.end(), None);
    world.give(&reset(30, [1; 16]));
    assert_eq!(world.end(), Some(CloseReason::StatelessReset));
}

#[test]
fn a_packet_that_opens_is_no_reset() {
    let mut memory = Memory::new();
    let mut world = resettable(&mut memory);
    let mut datagram = world.server.packet(Space::Application, make::PING);
    let token = *datagram.last_chunk::<16>().unwrap();
    world.client.remote_ids.set_reset_token(token);
    world.give(&datagram);
    assert_eq!(world.end(), None);
    datagram[0] ^= 0x01;
    world.give(&datagram);
    assert_eq!(world.end(), Some(CloseReason::StatelessReset));
}
