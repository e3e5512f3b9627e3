//! Connection ids, both ends' (RFC 9000 §5.1, §19.15, §19.16).

use std::vec;
use std::vec::Vec;

use super::*;

/// What a server is told for the last of `frames`, each of which has a packet of its own.
fn told_last(frames: &[Vec<u8>]) -> Option<(Code, u64)> {
    let mut memory = Memory::new();
    let mut world = World::at(&mut memory, Stage::Confirmed);
    let (last, before) = frames.split_last().unwrap();
    for frame in before {
        world.send(Space::Application, frame);
        assert_eq!(world.end(), None);
    }
    let heard = world.server.heard.len();
    let datagrams = world.send(Space::Application, last);
    verdict(&mut world, Stage::Confirmed, heard, datagrams)
}

#[test]
fn a_new_id_that_contradicts_itself_or_another_is_refused() {
    let new = |sequence, retire, id: &[u8]| make::new_id(sequence, retire, id);
    let mut other_token = new(1, 0, b"server-2");
    *other_token.last_mut().unwrap() ^= 1;
    let violation = Some((Code::PROTOCOL_VIOLATION, 0x18));
    let malformed = Some((Code::FRAME_ENCODING_ERROR, 0x18));
    for (frames, expected) in [
        (vec![new(1, 0, b"server-2"), new(1, 0, b"server-2")], None),
        (
            vec![new(1, 0, b"server-2"), new(1, 0, b"server-3")],
            violation,
        ),
        (
            vec![new(1, 0, b"server-2"), new(2, 0, b"server-2")],
            violation,
        ),
        (vec![new(1, 0, b"server-2"), other_token], violation),
        (vec![new(0, 0, b"server-2")], violation),
        (vec![new(1, 0, b"server-1")], violation),
        (vec![new(1, 2, b"server-2")], malformed),
        (vec![new(1, 0, b"")], malformed),
        (vec![new(1, 0, &[7; 21])], malformed),
        (vec![new(1, 0, &[7; 20])], None),
        (vec![new(1, 0, &[7])], None),
    ] {
        assert_eq!(told_last(&frames), expected, "{frames:x?}");
    }
}

#[test]
fn more_ids_than_were_allowed_are_refused() {
    let new = |sequence, retire| make::new_id(sequence, retire, &[sequence as u8; 8]);
    let full = vec![new(1, 0), new(2, 0)];
    assert_eq!(told_last(&full), None);
    let over = [full.clone(), vec![new(3, 0)]].concat();
    let expected = Some((Code::CONNECTION_ID_LIMIT_ERROR, 0x18));
    assert_eq!(told_last(&over), expected);
    // What is retired makes room.
    assert_eq!(told_last(&[full, vec![new(3, 1)]].concat()), None);
}

#[test]
fn a_server_that_only_ever_retires_is_cut_off() {
    let mut memory = Memory::new();
    let mut world = World::at(&mut memory, Stage::Confirmed);
    for sequence in 1..100 {
        let heard = world.server.heard.len();
        let frame = make::new_id(sequence, sequence, &[sequence as u8; 8]);
        let datagrams = world.send(Space::Application, &frame);
        if world.end().is_some() {
            let verdict = verdict(&mut world, Stage::Confirmed, heard, datagrams);
            assert_eq!(verdict, Some((Code::CONNECTION_ID_LIMIT_ERROR, 0x18)));
            assert!(sequence >= 6, "too early: {sequence}");
            return;
        }
    }
    panic!("what is to be retired grows without end");
}

#[test]
fn a_server_may_retire_for_ever_if_it_hears_the_answers() {
    let mut memory = Memory::new();
    let mut world = World::at(&mut memory, Stage::Confirmed);
    for sequence in 1..100 {
        let heard = world.server.heard.len();
        let mut payload = world.server.ack(Space::Application);
        payload.extend(make::new_id(sequence, sequence, &[sequence as u8; 8]));
        world.send(Space::Application, &payload);
        let retired = picked(&world, heard, |frame| match frame {
            Frame::RetireConnectionId(sequence) => Some(*sequence),
            _ => None,
        });
        assert_eq!(retired, [sequence - 1]);
    }
    assert_eq!(world.end(), None);
}

#[test]
fn a_server_without_ids_can_give_none() {
    let mut memory = Memory::new();
    let mut server = Server::new();
    server.id = vec![];
    let mut world = World::dial(&mut memory, &crate::tls::support::config(), server);
    world.advance_to(Stage::Confirmed);
    let heard = world.server.heard.len();
    let datagrams = world.send(Space::Application, &make::new_id(1, 0, b"server-2"));
    let verdict = verdict(&mut world, Stage::Confirmed, heard, datagrams);
    assert_eq!(verdict, Some((Code::PROTOCOL_VIOLATION, 0x18)));
}

#[test]
fn when_the_server_retires_the_id_in_use_another_takes_its_place() {
    let mut memory = Memory::new();
    let mut world = World::at(&mut memory, Stage::Confirmed);
    world.send(Space::Application, &make::new_id(1, 0, b"server-2"));
    let heard = world.server.heard.len();
    world.send(Space::Application, &make::new_id(2, 1, b"server-3"));
    let answer = world.server.heard[heard].clone();
    assert_eq!(answer.destination, b"server-2");
    assert!(matches!(
        answer.frames()[..],
        [Frame::Ack(_), Frame::RetireConnectionId(0)]
    ));
    world.client.ping();
    world.flush();
    assert_eq!(world.server.heard.last().unwrap().destination, b"server-2");
    assert_eq!(world.end(), None);
}

#[test]
fn an_id_of_ours_that_is_unknown_or_in_use_cannot_be_retired() {
    let retire = |sequence| make::numbers(0x19, &[sequence]);
    let violation = Some((Code::PROTOCOL_VIOLATION, 0x19));
    // The server was given 0, 1 and 2, and sends to 0.
    for sequence in [3, 4, 1 << 32, (1 << 62) - 1, 0] {
        assert_eq!(told_last(&[retire(sequence)]), violation, "{sequence}");
    }
    for sequence in [1, 2] {
        assert_eq!(told_last(&[retire(sequence), retire(sequence)]), None);
    }
}

#[test]
fn a_retired_id_of_ours_is_replaced_and_what_comes_to_it_is_dropped() {
    let mut memory = Memory::new();
    let mut world = World::at(&mut memory, Stage::Confirmed);
    let given = picked(&world, 0, |frame| match frame {
        Frame::NewConnectionId(new) => Some((new.sequence, new.id.to_vec())),
        _ => None,
    });
    assert_eq!(given.iter().map(|(at, _)| *at).collect::<Vec<_>>(), [1, 2]);
    let first = world.server.client_id.clone();
    // The server moves to id 1, and retires 0.
    world.server.client_id.clone_from(&given[0].1);
    let heard = world.server.heard.len();
    world.send(Space::Application, &make::numbers(0x19, &[0]));
    let replaced = picked(&world, heard, |frame| match frame {
        Frame::NewConnectionId(new) => Some((new.sequence, new.retire_prior_to)),
        _ => None,
    });
    assert_eq!(replaced, [(3, 0)]);
    world.server.client_id = first;
    let dropped = world.client.stats().dropped_packets;
    assert_eq!(world.send(Space::Application, make::PING), 0);
    assert_eq!(world.client.stats().dropped_packets, dropped + 1);
    // The id that it came to is another one: this one is good.
    world.server.client_id = given[1].1.clone();
    assert_eq!(
        world.send(Space::Application, &make::numbers(0x19, &[1])),
        1
    );
    assert_eq!(world.end(), None);
}

#[test]
fn every_id_of_ours_has_a_reset_token_of_its_own() {
    let mut memory = Memory::new();
    let world = World::at(&mut memory, Stage::Confirmed);
    let given = picked(&world, 0, |frame| match frame {
        Frame::NewConnectionId(new) => Some((new.id.to_vec(), new.reset_token)),
        _ => None,
    });
    assert_eq!(given.len(), 2);
    assert_ne!(given[0].0, given[1].0);
    assert_ne!(given[0].1, given[1].1);
    assert!(given.iter().all(|(id, _)| *id != world.server.client_id));
}
