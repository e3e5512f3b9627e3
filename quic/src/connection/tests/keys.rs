//! Key updates (RFC 9001 §6).

use super::*;

const APPLICATION: Space = Space::Application;

#[test]
fn the_server_updates_its_keys_and_the_client_follows() {
    let mut memory = Memory::new();
    let mut world = World::at(&mut memory, Stage::Confirmed);
    for generation in 1..4_usize {
        world.server.update_keys();
        world.send(APPLICATION, make::PING);
        world.client.ping();
        world.flush();
        assert_eq!(
            world.server.heard.last().unwrap().phase,
            generation % 2 == 1
        );
        let acknowledged = world.server.ack(APPLICATION);
        world.send(APPLICATION, &acknowledged);
        world.wait(Micros::from_secs(2));
    }
    assert_eq!(world.end(), None);
}

#[test]
fn keys_that_are_updated_again_before_anything_answered_are_refused() {
    let mut memory = Memory::new();
    let mut world = World::at(&mut memory, Stage::Confirmed);
    world.server.update_keys();
    assert_eq!(world.send(APPLICATION, make::PING), 0);
    world.server.update_keys();
    let heard = world.server.heard.len();
    let datagrams = world.send(APPLICATION, make::PING);
    let verdict = verdict(&mut world, Stage::Confirmed, heard, datagrams);
    assert_eq!(verdict, Some((Code::KEY_UPDATE_ERROR, 0)));
}

#[test]
fn an_acknowledgment_of_new_keys_under_old_ones_is_refused() {
    let mut memory = Memory::new();
    let mut world = World::at(&mut memory, Stage::Confirmed);
    world.client.ping();
    world.flush();
    let acknowledged = world.server.ack(APPLICATION);
    world.send(APPLICATION, &acknowledged);
    assert!(world.client.update_keys(world.now));
    assert!(!world.client.update_keys(world.now));
    world.client.ping();
    world.flush();
    assert!(world.server.heard.last().unwrap().phase);
    let heard = world.server.heard.len();
    let acknowledged = world.server.ack(APPLICATION);
    let datagrams = world.send(APPLICATION, &acknowledged);
    let verdict = verdict(&mut world, Stage::Confirmed, heard, datagrams);
    assert_eq!(verdict, Some((Code::KEY_UPDATE_ERROR, 2)));
}

#[test]
fn keys_are_not_updated_before_the_server_confirmed() {
    let mut memory = Memory::new();
    let mut world = World::at(&mut memory, Stage::Connected);
    assert!(!world.client.update_keys(world.now));
}

#[test]
fn a_packet_of_the_old_phase_counts_for_a_while() {
    for (late, counts) in [(0, true), (50, true), (3000, false)] {
        let mut memory = Memory::new();
        let mut world = World::at(&mut memory, Stage::Confirmed);
        let old = world.server.draft(APPLICATION, &make::new_token(b"late"));
        let old = world.server.seal(&old);
        world.server.update_keys();
        world.send(APPLICATION, make::PING);
        world.wait(Micros::from_millis(late));
        world.give(&old);
        assert_eq!(world.client.token().is_some(), counts, "after {late} ms");
        assert_eq!(world.end(), None);
    }
}

#[test]
fn a_packet_that_goes_back_to_old_keys_is_dropped() {
    let mut memory = Memory::new();
    let mut world = World::at(&mut memory, Stage::Confirmed);
    world.server.update_keys();
    world.send(APPLICATION, make::PING);
    let mut packet = world.server.draft(APPLICATION, &make::new_token(b"back"));
    packet.bits = 0;
    let datagram = world.server.seal_as(&packet, 0);
    world.give(&datagram);
    assert_eq!(world.client.token(), None);
    assert_eq!(world.end(), None);
}

#[test]
fn new_keys_on_a_packet_before_one_with_old_keys_are_refused() {
    let mut memory = Memory::new();
    let mut world = World::at(&mut memory, Stage::Confirmed);
    let early = world.server.draft(APPLICATION, make::PING);
    world.send(APPLICATION, make::PING);
    world.server.update_keys();
    let mut early = early;
    early.bits = 0x04;
    let datagram = world.server.seal(&early);
    let heard = world.server.heard.len();
    let datagrams = world.give(&datagram);
    let verdict = verdict(&mut world, Stage::Confirmed, heard, datagrams);
    assert_eq!(verdict, Some((Code::KEY_UPDATE_ERROR, 0)));
}

#[test]
fn keys_that_wear_out_are_updated_or_the_connection_ends_there() {
    let mut memory = Memory::new();
    let mut world = World::at(&mut memory, Stage::Confirmed);
    world.client.application.as_mut().unwrap().wear(1 << 22);
    world.client.ping();
    world.flush();
    let last = world.server.heard.last().unwrap();
    assert!(last.phase, "the server's acknowledgment allows an update");
    // The server does not follow, so that there are no keys to change to.
    world.client.application.as_mut().unwrap().wear(1 << 23);
    world.client.ping();
    assert_eq!(world.flush(), 0);
    let Some(CloseReason::Violation(error)) = world.end() else {
        panic!("it goes on");
    };
    assert_eq!(error.code, Code::AEAD_LIMIT_REACHED);
    world.bury();
}
