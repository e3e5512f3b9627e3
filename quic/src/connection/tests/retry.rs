//! Retry and Version Negotiation (RFC 9000 §6, §8.1.2, §17.2.5).

use std::vec;
use std::vec::Vec;

use super::super::hostile::{Parameters, retry};
use super::*;

#[test]
fn a_retry_is_followed_and_its_token_is_in_every_initial_packet() {
    let mut memory = Memory::new();
    let mut world = World::at(&mut memory, Stage::Hello);
    let hello = world.server.hello(0).unwrap();
    let heard = world.server.heard.len();
    let datagram = world.server.retry(b"retry-id", b"a token");
    assert_eq!(world.give(&datagram), 1);
    assert_eq!(world.server.hello(0), Some(hello));
    world.advance_to(Stage::Confirmed);
    assert!(world.client.is_confirmed());
    let again = &world.server.heard[heard..];
    let initial: Vec<&Heard> = again
        .iter()
        .filter(|packet| packet.space == Space::Initial)
        .collect();
    assert!(initial.len() >= 2);
    for packet in initial {
        assert_eq!(packet.token, b"a token");
    }
    assert_eq!(again[0].destination, b"retry-id");
    // Packet numbers go on.
    assert_eq!(again[0].number, 1);
}

#[test]
fn the_token_of_a_retry_is_for_that_connection_only() {
    for stage in Stage::ALL {
        let mut memory = Memory::new();
        let mut world = World::at(&mut memory, Stage::Hello);
        let datagram = world.server.retry(b"retry-id", b"a token");
        world.give(&datagram);
        world.advance_to(stage);
        assert_eq!(world.client.token(), None, "{stage:?}");
        let config = crate::tls::support::config();
        world.client.connect(&config, &[9; 32], world.now).unwrap();
        world.server = Server::new();
        world.flush();
        assert_eq!(world.server.heard[0].token, b"", "{stage:?}");
    }
}

#[test]
fn a_token_that_was_kept_is_offered_and_a_retry_replaces_it() {
    let mut memory = Memory::new();
    let config = crate::tls::support::config();
    let mut world = World::dial(&mut memory, &config, Server::new());
    world.client.offer_token(b"kept");
    world.flush();
    assert_eq!(world.server.heard[0].token, b"kept");
    let datagram = world.server.retry(b"retry-id", b"a token");
    world.give(&datagram);
    assert_eq!(world.server.heard[1].token, b"a token");
}

/// Gives the client a Retry that it must not follow.
fn ignored(world: &mut World<'_>, datagram: &[u8]) {
    assert_eq!(world.give(datagram), 0);
    assert_eq!(world.end(), None);
}

#[test]
fn a_retry_that_is_wrong_is_ignored() {
    let mut memory = Memory::new();
    let mut world = World::at(&mut memory, Stage::Hello);
    let (original, client) = (
        world.server.original.clone(),
        world.server.client_id.clone(),
    );
    let good = retry(&original, &client, b"retry-id", b"a token");
    for bit in 0..good.len() * 8 {
        let mut datagram = good.clone();
        datagram[bit / 8] ^= 1 << (bit % 8);
        // The last four bits of the first byte mean nothing, but are covered by the tag.
        ignored(&mut world, &datagram);
    }
    for cut in 0..good.len() {
        ignored(&mut world, &good[..cut]);
    }
    for datagram in [
        retry(&original, &client, &original, b"a token"),
        retry(&original, &client, b"retry-id", b""),
        retry(&original, &client, b"retry-id", &[7; 257]),
        retry(&original, b"another!", b"retry-id", b"a token"),
        retry(b"another!", &client, b"retry-id", b"a token"),
    ] {
        ignored(&mut world, &datagram);
    }
    let now = world.now;
    world.client.handle_datagram(&mut good.clone(), now);
    assert_eq!(world.take().len(), 1);
}

#[test]
fn only_one_retry_is_followed_and_none_behind_any_other_packet() {
    let mut memory = Memory::new();
    let mut world = World::at(&mut memory, Stage::Hello);
    let (original, client) = (
        world.server.original.clone(),
        world.server.client_id.clone(),
    );
    let datagram = world.server.retry(b"retry-id", b"a token");
    world.give(&datagram);
    ignored(&mut world, &datagram);
    ignored(
        &mut world,
        &retry(&original, &client, b"retry-2!", b"other"),
    );
    ignored(
        &mut world,
        &retry(b"retry-id", &client, b"retry-2!", b"other"),
    );
    world.advance_to(Stage::Confirmed);

    for stage in [Stage::Shaking, Stage::Connected, Stage::Confirmed] {
        let mut memory = Memory::new();
        let mut world = World::at(&mut memory, stage);
        let (original, client) = (
            world.server.original.clone(),
            world.server.client_id.clone(),
        );
        ignored(
            &mut world,
            &retry(&original, &client, b"retry-id", b"a token"),
        );
    }
    let mut memory = Memory::new();
    let mut world = World::at(&mut memory, Stage::Hello);
    world.send(Space::Initial, make::PING);
    ignored(
        &mut world,
        &retry(&original, &client, b"retry-id", b"a token"),
    );
}

#[test]
fn the_server_has_to_own_up_to_its_retry() {
    type Spoil = fn(&mut Parameters);
    let spoils: [Spoil; 5] = [
        |parameters| parameters.remove(0x10),
        |parameters| parameters.set(0x10, b"another!"),
        |parameters| parameters.set(0x10, b""),
        |parameters| parameters.set(0x00, b"retry-id"),
        |parameters| parameters.set(0x0f, b"retry-id"),
    ];
    for spoil in spoils {
        let mut memory = Memory::new();
        let mut world = World::at(&mut memory, Stage::Hello);
        let datagram = world.server.retry(b"retry-id", b"a token");
        world.give(&datagram);
        world.server.set_ids();
        spoil(&mut world.server.parameters);
        world.server.answer(0);
        world.advance_to(Stage::Shaking);
        let heard = world.server.heard.len();
        let flight = world.server.flight_of(Space::Handshake);
        let datagrams = world.send(Space::Handshake, &make::crypto(0, &flight));
        let verdict = verdict(&mut world, Stage::Shaking, heard, datagrams);
        assert_eq!(verdict, Some((Code::TRANSPORT_PARAMETER_ERROR, 6)));
    }
}

#[test]
fn a_server_of_other_versions_ends_the_connection_without_a_word() {
    let mut memory = Memory::new();
    let mut world = World::at(&mut memory, Stage::Hello);
    let datagram = world.server.versions(&[0x0a0a_0a0a, 0x6b33_43cf]);
    assert_eq!(world.give(&datagram), 0);
    assert_eq!(world.end(), Some(CloseReason::Version));
    world.bury();
}

#[test]
fn a_version_negotiation_that_cannot_be_true_is_ignored() {
    let mut memory = Memory::new();
    let mut world = World::at(&mut memory, Stage::Hello);
    let good = world.server.versions(&[2]);
    let mut to_another = good.clone();
    to_another[6] ^= 1;
    let mut from_another = good.clone();
    from_another[15] ^= 1;
    for datagram in [
        world.server.versions(&[1]),
        world.server.versions(&[2, 1, 3]),
        world.server.versions(&[]),
        good[..good.len() - 1].to_vec(),
        to_another,
        from_another,
    ] {
        assert_eq!(world.give(&datagram), 0);
        assert_eq!(world.end(), None);
    }
    assert!(!world.client.heard_server);
    let mut behind_a_retry = World::at(&mut memory, Stage::Hello);
    let datagram = behind_a_retry.server.retry(b"retry-id", b"a token");
    behind_a_retry.give(&datagram);
    behind_a_retry.give(&good);
    let mut from_retry = vec![0x80, 0, 0, 0, 0, 8];
    from_retry.extend(&behind_a_retry.server.client_id);
    from_retry.extend(b"\x08retry-id\0\0\0\x02");
    behind_a_retry.give(&from_retry);
    assert_eq!(behind_a_retry.end(), None);
    for stage in [Stage::Shaking, Stage::Connected, Stage::Confirmed] {
        let mut memory = Memory::new();
        let mut world = World::at(&mut memory, stage);
        for source in [&world.server.original.clone(), &world.server.id.clone()] {
            let mut datagram = vec![0x80, 0, 0, 0, 0, 8];
            datagram.extend(&world.server.client_id);
            datagram.push(8);
            datagram.extend(source);
            datagram.extend([0, 0, 0, 2]);
            world.give(&datagram);
        }
        assert_eq!(world.end(), None, "{stage:?}");
    }
}
