//! Deadlines: silence, the handshake's, probes, acknowledgments (RFC 9000 §10.1, §13.2; RFC 9002
//! §6.2).

use std::vec;
use std::vec::Vec;

use super::*;
use crate::config::Config;
use crate::tls::support;

const fn millis(millis: u64) -> Micros {
    Micros::from_millis(millis)
}

#[test]
fn a_handshake_that_takes_too_long_is_given_up_without_a_word() {
    for stage in [Stage::Hello, Stage::Shaking] {
        let mut memory = Memory::new();
        let config = Config {
            handshake_timeout: millis(7000),
            ..support::config()
        };
        let mut world = World::dial(&mut memory, &config, Server::new());
        world.advance_to(stage);
        world.wait(millis(6999));
        assert_eq!(world.end(), None);
        let heard = world.server.heard.len();
        world.wait(millis(1));
        assert_eq!(world.end(), Some(CloseReason::HandshakeTimeout));
        assert_eq!(world.server.heard.len(), heard);
        assert!(world.client.is_drained());
    }
}

#[test]
fn silence_ends_a_connection_after_the_shorter_of_both_timeouts() {
    for (ours, theirs, agreed) in [
        (30_000, 20_000, 20_000),
        (20_000, 30_000, 20_000),
        (20_000, 0, 20_000),
    ] {
        let mut memory = Memory::new();
        let config = Config {
            idle_timeout: millis(ours),
            ..support::config()
        };
        let mut server = Server::new();
        server.parameters.set(0x01, &make::varint(theirs));
        let mut world = World::dial(&mut memory, &config, server);
        world.advance_to(Stage::Confirmed);
        assert_eq!(world.wait(millis(agreed - 1)), 0);
        assert_eq!(world.end(), None);
        assert_eq!(world.wait(millis(1)), 0);
        assert_eq!(world.end(), Some(CloseReason::Idle));
        assert!(world.client.is_drained());
    }
}

#[test]
fn a_timeout_leaves_time_for_three_probes() {
    let mut memory = Memory::new();
    let mut server = Server::new();
    server.parameters.set(0x01, &make::varint(1));
    let mut world = World::dial(&mut memory, &support::config(), server);
    world.advance_to(Stage::Confirmed);
    let least = world.client.recovery.pto().times(3);
    assert_eq!(world.client.next_deadline(), Some(world.now.after(least)));
    world.wait(least.minus(Micros::new(1)));
    assert_eq!(world.end(), None);
    world.wait(Micros::new(1));
    assert_eq!(world.end(), Some(CloseReason::Idle));
}

#[test]
fn packets_that_count_postpone_the_end_and_others_do_not() {
    let mut memory = Memory::new();
    let mut world = World::at(&mut memory, Stage::Confirmed);
    let packet = world.server.packet(Space::Application, make::PING);
    world.wait(millis(20_000));
    world.give(&packet);
    world.wait(millis(20_000));
    assert_eq!(world.end(), None);
    // Repeated, or not authentic: 10 s remain.
    world.give(&packet);
    world.give(&[0x40; 100]);
    world.wait(millis(9_999));
    assert_eq!(world.end(), None);
    world.wait(millis(1));
    assert_eq!(world.end(), Some(CloseReason::Idle));
}

#[test]
fn only_the_first_packet_that_is_sent_postpones_the_end() {
    let mut memory = Memory::new();
    let mut world = World::at(&mut memory, Stage::Confirmed);
    world.wait(millis(10_000));
    world.client.ping();
    assert_eq!(world.flush(), 1);
    world.wait(millis(29_999));
    assert_eq!(world.end(), None, "it was postponed");
    world.wait(millis(1));
    assert_eq!(world.end(), Some(CloseReason::Idle), "probes did not");
}

/// When the client sends, in microseconds from `now` on, and how many datagrams each time.
fn sendings(world: &mut World<'_>, span: Micros) -> Vec<(u64, usize)> {
    let (begin, end) = (world.now, world.now.after(span));
    let mut all = vec![];
    while let Some(due) = world.client.next_deadline().filter(|due| *due <= end) {
        world.now = due.max(world.now);
        world.client.handle_timeout(world.now);
        let count = world.flush();
        if count > 0 {
            all.push((world.now.since(begin).get(), count));
        }
        if world.has_ended() {
            break;
        }
    }
    all
}

#[test]
fn the_first_message_is_repeated_after_twice_the_time_each_time() {
    let mut memory = Memory::new();
    let mut world = World::at(&mut memory, Stage::Hello);
    let all = sendings(&mut world, millis(20_000));
    // 333 ms and four times half of that; then twice, and again, until the handshake's time is up.
    let times: Vec<u64> = all.iter().map(|(at, _)| at / 1000).collect();
    assert_eq!(times, [999, 2997, 6993]);
    assert!(all.iter().all(|(_, count)| (1..=2).contains(count)));
    for packet in &world.server.heard {
        assert_eq!(packet.space, Space::Initial);
        assert_eq!(packet.datagram_len, 1200);
    }
}

#[test]
fn a_client_whose_server_may_not_send_yet_keeps_it_going() {
    // The server has said hello and no more: until it is known to trust our address, probes go on
    // although nothing is missing.
    let mut memory = Memory::new();
    let mut world = World::at(&mut memory, Stage::Shaking);
    let acknowledged = world.server.ack(Space::Initial);
    world.send(Space::Initial, &acknowledged);
    let heard = world.server.heard.len();
    assert!(sendings(&mut world, millis(5000)).len() >= 2);
    let probes = &world.server.heard[heard..];
    assert!(probes.iter().all(|probe| probe.space == Space::Handshake));
    assert!(probes.iter().all(Heard::is_ack_eliciting));
}

#[test]
fn what_is_sent_is_probed_for_after_twice_the_time_each_time() {
    let mut memory = Memory::new();
    let mut world = World::at(&mut memory, Stage::Confirmed);
    let pto = world.client.recovery.pto().get();
    let stream = world.client.open().unwrap();
    world.client.write(stream, b"request");
    assert_eq!(world.flush(), 1);
    let heard = world.server.heard.len();
    let all = sendings(&mut world, Micros::new(16 * pto));
    let times: Vec<u64> = all.iter().map(|(at, _)| *at).collect();
    assert_eq!(times, [pto, 3 * pto, 7 * pto, 15 * pto]);
    // Each time the data is there again.
    let data = picked(&world, heard, |frame| match frame {
        Frame::Stream { data, .. } => Some(data.to_vec()),
        _ => None,
    });
    assert!(data.len() >= 4 && data.iter().all(|data| data == b"request"));
    // An answer ends it.
    let acknowledged = world.server.ack(Space::Application);
    world.send(Space::Application, &acknowledged);
    assert_eq!(sendings(&mut world, millis(10_000)), []);
}

#[test]
fn every_second_packet_is_acknowledged_at_once_and_a_single_one_after_25_ms() {
    let mut memory = Memory::new();
    let mut world = World::at(&mut memory, Stage::Confirmed);
    for _ in 0..20 {
        assert_eq!(world.send(Space::Application, make::PING), 0);
        assert_eq!(world.send(Space::Application, make::PING), 1);
        assert_eq!(world.wait(millis(100)), 0);
    }
    assert_eq!(world.send(Space::Application, make::PING), 0);
    assert_eq!(world.wait(millis(24)), 0);
    assert_eq!(world.wait(millis(1)), 1);
    let last = world.server.heard.last().unwrap();
    assert!(!last.is_ack_eliciting());
    let [Frame::Ack(ack)] = &last.frames()[..] else {
        panic!("no ACK alone");
    };
    assert_eq!(ack.largest, world.server.next[2] - 1);
    // In units of 8 us.
    assert_eq!(ack.delay, 25_000 / 8);
}

#[test]
fn what_needs_no_acknowledgment_gets_none() {
    let mut memory = Memory::new();
    let mut world = World::at(&mut memory, Stage::Confirmed);
    for _ in 0..20 {
        let acknowledged = world.server.ack(Space::Application);
        assert_eq!(world.send(Space::Application, &acknowledged), 0);
        assert_eq!(world.send(Space::Application, &[0; 50]), 0);
    }
    assert_eq!(world.wait(millis(5000)), 0);
}

#[test]
fn a_packet_out_of_order_is_acknowledged_at_once() {
    let mut memory = Memory::new();
    let mut world = World::at(&mut memory, Stage::Confirmed);
    let late = world.server.packet(Space::Application, make::PING);
    assert_eq!(world.send(Space::Application, make::PING), 1);
    assert_eq!(world.give(&late), 1);
}

#[test]
fn handshake_packets_are_acknowledged_at_once() {
    for (stage, space) in [
        (Stage::Hello, Space::Initial),
        (Stage::Shaking, Space::Handshake),
        (Stage::Connected, Space::Handshake),
    ] {
        let mut memory = Memory::new();
        let mut world = World::at(&mut memory, stage);
        let heard = world.server.heard.len();
        assert_eq!(world.send(space, make::PING), 1);
        let answer = &world.server.heard[heard];
        assert_eq!(answer.space, space);
        assert!(matches!(answer.frames()[..], [Frame::Ack(_)]));
    }
}

#[test]
fn a_new_path_that_does_not_answer_ends_the_connection() {
    let mut memory = Memory::new();
    let mut world = World::at(&mut memory, Stage::Confirmed);
    world.send(Space::Application, &make::new_id(1, 0, b"server-2"));
    let now = world.now;
    world.client.address_changed(now).unwrap();
    let heard = world.server.heard.len();
    world.flush();
    world.wait(millis(29_000));
    let challenges = picked(&world, heard, |frame| match frame {
        Frame::PathChallenge(data) => Some(*data),
        _ => None,
    });
    assert_eq!(challenges.len(), 6);
    let Some(CloseReason::Violation(error)) = world.end() else {
        panic!("it goes on");
    };
    assert_eq!(error.code, Code::NO_VIABLE_PATH);
    let packet = &world.server.heard[heard];
    assert_eq!(packet.destination, b"server-2");
    assert_eq!(packet.datagram_len, 1200);
}
