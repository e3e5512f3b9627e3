//! The server's transport parameters (RFC 9000 §7.3, §7.4, §18.2; RFC 9001 §8.2).

use std::vec;
use std::vec::Vec;

use super::super::hostile::Parameters;
use super::*;
use crate::tls::support::{self, IN_ENCRYPTED_EXTENSIONS, set_extension};

const ENCRYPTED_EXTENSIONS: u8 = 8;

/// What `server` is told for the first flight of its Handshake level.
fn told_for_flight(server: Server, spoil: impl Fn(&mut Parameters)) -> Option<(Code, u64)> {
    let mut memory = Memory::new();
    let mut world = World::dial(&mut memory, &support::config(), server);
    world.flush();
    world.server.set_ids();
    spoil(&mut world.server.parameters);
    world.server.answer(0);
    world.advance_to(Stage::Shaking);
    let heard = world.server.heard.len();
    let flight = world.server.flight_of(Space::Handshake);
    let datagrams = world.send(Space::Handshake, &make::crypto(0, &flight));
    let verdict = verdict(&mut world, Stage::Shaking, heard, datagrams);
    assert_eq!(verdict.is_none(), world.client.is_connected());
    verdict
}

fn refused(spoil: impl Fn(&mut Parameters)) -> bool {
    told_for_flight(Server::new(), spoil) == Some((Code::TRANSPORT_PARAMETER_ERROR, 6))
}

fn taken(spoil: impl Fn(&mut Parameters)) -> bool {
    told_for_flight(Server::new(), spoil).is_none()
}

/// IPv4, IPv6, connection id, reset token.
fn preferred(id: &[u8]) -> Vec<u8> {
    [&[9; 24][..], &support::counted(1, id), &[8; 16]].concat()
}

#[test]
fn numbers_out_of_their_bounds_are_refused_and_those_at_them_are_taken() {
    for (id, good, bad) in [
        (0x03, &[1200, 65_527, (1 << 62) - 1][..], &[0, 1199][..]),
        (0x08, &[0, 1 << 60], &[(1 << 60) + 1, (1 << 62) - 1]),
        (0x09, &[0, 1 << 60], &[(1 << 60) + 1]),
        (0x0a, &[0, 20], &[21, 255, 256]),
        (0x0b, &[0, (1 << 14) - 1], &[1 << 14, 1 << 40]),
        (0x0e, &[2, 1 << 40], &[0, 1]),
        (0x01, &[0, (1 << 62) - 1], &[]),
        (0x04, &[0, (1 << 62) - 1], &[]),
        (0x05, &[0, (1 << 62) - 1], &[]),
        (0x06, &[0, (1 << 62) - 1], &[]),
        (0x07, &[0, (1 << 62) - 1], &[]),
    ] {
        for value in good {
            let set = |own: &mut Parameters| own.set(id, &make::varint(*value));
            assert!(taken(set), "{id:x} {value}");
        }
        for value in bad {
            let set = |own: &mut Parameters| own.set(id, &make::varint(*value));
            assert!(refused(set), "{id:x} {value}");
        }
        assert!(refused(|own| own.set(id, &[])), "{id:x} without a value");
        assert!(refused(|own| own.set(id, &[0x40])), "{id:x} cut");
        assert!(
            refused(|own| own.set(id, &[0x05, 0x00])),
            "{id:x} with more"
        );
    }
}

#[test]
fn values_of_the_wrong_length_are_refused() {
    for (id, good, bad) in [
        (
            0x02,
            vec![vec![7; 16]],
            vec![vec![], vec![7; 15], vec![7; 17]],
        ),
        (0x0c, vec![vec![]], vec![vec![0]]),
        (
            0x0d,
            vec![preferred(b"x"), preferred(&[7; 20])],
            vec![
                vec![],
                preferred(b""),
                preferred(&[7; 21]),
                [&preferred(b"x")[..], &[0]].concat(),
                preferred(b"x")[..41].to_vec(),
            ],
        ),
    ] {
        for value in good {
            assert!(taken(|own| own.set(id, &value)), "{id:x} {value:x?}");
        }
        for value in bad {
            assert!(refused(|own| own.set(id, &value)), "{id:x} {value:x?}");
        }
    }
}

#[test]
fn a_parameter_comes_once_and_unknown_ones_do_not_matter() {
    for id in [0x00, 0x01, 0x04, 0x08, 0x0f] {
        let twice = |own: &mut Parameters| {
            let mut other = own.clone();
            other.remove(id);
            own.add(id, &[5]);
        };
        assert!(refused(twice), "{id:x}");
    }
    assert!(taken(|own| own.add(27, b"greased")));
    assert!(taken(|own| own.add((1 << 62) - 1, &[])));
    assert!(taken(|own| own.add(0x11, &[])));
}

#[test]
fn connection_ids_that_do_not_belong_to_this_handshake_are_refused() {
    for id in [0x00, 0x0f] {
        assert!(refused(|own| own.remove(id)), "{id:x} is missing");
        assert!(refused(|own| own.set(id, b"another!")), "{id:x} is another");
        assert!(refused(|own| own.set(id, b"")), "{id:x} is empty");
        assert!(refused(|own| own.set(id, &[7; 21])), "{id:x} is too long");
    }
    // There was no Retry.
    assert!(refused(|own| own.set(0x10, b"retry-id")));
    assert!(refused(|own| own.set(0x10, b"")));
}

#[test]
fn a_server_without_ids_prefers_no_other_address() {
    let without_id = || {
        let mut server = Server::new();
        server.id.clear();
        server
    };
    assert_eq!(told_for_flight(without_id(), |_| {}), None);
    let told = told_for_flight(without_id(), |own| own.set(0x0d, &preferred(b"server-2")));
    assert_eq!(told, Some((Code::TRANSPORT_PARAMETER_ERROR, 6)));
}

#[test]
fn the_id_of_a_preferred_address_is_the_servers_second() {
    let mut memory = Memory::new();
    let mut server = Server::new();
    server.parameters.set(0x0d, &preferred(b"server-2"));
    server.given.push(b"server-2".to_vec());
    let mut world = World::dial(&mut memory, &support::config(), server);
    world.advance_to(Stage::Confirmed);
    // It is one of the three that are allowed, and has a token that resets.
    let heard = world.server.heard.len();
    world.send(Space::Application, &make::new_id(2, 1, b"server-3"));
    assert_eq!(world.server.heard[heard].destination, b"server-2");
    world.send(Space::Application, &make::new_id(3, 2, b"server-4"));
    let retired = picked(&world, heard, |frame| match frame {
        Frame::RetireConnectionId(sequence) => Some(*sequence),
        _ => None,
    });
    assert_eq!(retired, [0, 1]);
}

#[test]
fn without_the_extension_there_is_no_connection() {
    fn without(body: &mut Vec<u8>) {
        set_extension(body, IN_ENCRYPTED_EXTENSIONS, 57, None);
    }
    fn empty(body: &mut Vec<u8>) {
        set_extension(body, IN_ENCRYPTED_EXTENSIONS, 57, Some(&[]));
    }
    fn cut(body: &mut Vec<u8>) {
        set_extension(body, IN_ENCRYPTED_EXTENSIONS, 57, Some(&[0x04]));
    }
    for (spoil, code) in [
        (without as support::Spoil, Code::crypto(109)),
        (empty, Code::TRANSPORT_PARAMETER_ERROR),
        (cut, Code::TRANSPORT_PARAMETER_ERROR),
    ] {
        let mut server = Server::new();
        server.tls.spoil = Some((ENCRYPTED_EXTENSIONS, spoil));
        assert_eq!(told_for_flight(server, |_| {}), Some((code, 6)));
    }
}

#[test]
fn what_the_server_allows_is_kept_to() {
    let mut memory = Memory::new();
    let mut server = Server::new();
    server.parameters.set(0x04, &make::varint(150));
    server.parameters.set(0x06, &make::varint(100));
    server.parameters.set(0x08, &make::varint(2));
    server.parameters.set(0x0e, &make::varint(2));
    let mut world = World::dial(&mut memory, &support::config(), server);
    world.advance_to(Stage::Confirmed);
    let (first, second) = (world.client.open().unwrap(), world.client.open().unwrap());
    assert!(world.client.open().is_err());
    assert_eq!(world.client.write(first, &[1; 500]), 500);
    assert_eq!(world.client.write(second, &[2; 500]), 500);
    world.flush();
    let lens = picked(&world, 0, |frame| match frame {
        Frame::Stream { stream, data, .. } => Some((stream.get(), data.len())),
        _ => None,
    });
    assert_eq!(lens, [(0, 100), (4, 50)]);
    // Of our ids, the server takes two.
    let given = picked(&world, 0, |frame| match frame {
        Frame::NewConnectionId(new) => Some(new.sequence),
        _ => None,
    });
    assert_eq!(given, [1]);
}
