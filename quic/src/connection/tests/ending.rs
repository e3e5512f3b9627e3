//! The end: ours, the server's, and what is said behind it (RFC 9000 §10.2).

use super::*;
use crate::StreamId;

#[test]
fn an_application_says_its_code_where_only_the_server_can_read_it() {
    for stage in Stage::ALL {
        let mut memory = Memory::new();
        let mut world = World::at(&mut memory, stage);
        let heard = world.server.heard.len();
        let now = world.now;
        world.client.close(0x1234, "goodbye", now);
        assert_eq!(world.flush(), 1);
        for (space, application, code, _) in world.farewells(heard) {
            let expected = match space {
                Space::Application => (true, 0x1234),
                _ => (false, Code::APPLICATION_ERROR.0),
            };
            assert_eq!((application, code), expected, "{stage:?}");
        }
        for packet in &world.server.heard[heard..] {
            let tells = packet.payload.windows(7).any(|text| text == b"goodbye");
            assert_eq!(tells, packet.space == Space::Application);
        }
        assert_eq!(world.farewells(heard).len(), stage.farewells().len());
        assert_eq!(world.end(), Some(CloseReason::Local { code: 0x1234 }));
        world.bury();
    }
}

#[test]
fn a_long_reason_is_cut_and_a_large_code_is_bounded() {
    let reason: &'static str = "ä".repeat(2000).leak();
    for stage in Stage::ALL {
        let mut memory = Memory::new();
        let mut world = World::at(&mut memory, stage);
        let heard = world.server.heard.len();
        let now = world.now;
        world.client.close(u64::MAX, reason, now);
        assert_eq!(world.flush(), 1);
        assert_eq!(world.farewells(heard).len(), stage.farewells().len());
        if stage == Stage::Confirmed {
            assert_eq!(world.farewells(heard)[0].2, (1 << 62) - 1);
            let told = &world.server.heard[heard].payload[11..];
            let text = std::str::from_utf8(told).unwrap();
            assert!((50..=200).contains(&told.len()) && reason.starts_with(text));
        }
        world.bury();
    }
}

#[test]
fn what_comes_behind_our_end_is_answered_ever_more_rarely() {
    for stage in Stage::ALL {
        let mut memory = Memory::new();
        let mut world = World::at(&mut memory, stage);
        let now = world.now;
        world.client.close(1, "", now);
        assert_eq!(world.flush(), 1);
        for count in 1..=70_u32 {
            let heard = world.server.heard.len();
            let space = *stage.spaces().last().unwrap();
            let answers = world.send(space, make::PING);
            assert_eq!(answers, usize::from(count.is_power_of_two()), "{count}");
            // The end and nothing else.
            let farewells = world.farewells(heard).len();
            assert_eq!(world.server.heard.len() - heard, farewells);
            assert_eq!(farewells, answers * stage.farewells().len());
        }
        world.bury();
    }
}

#[test]
fn behind_the_servers_end_nothing_is_said() {
    for (kind, fields) in [(0x1c, &[7, 0x10, 0][..]), (0x1d, &[9, 0])] {
        for stage in Stage::ALL {
            let space = *stage.spaces().last().unwrap();
            if kind == 0x1d && space != Space::Application {
                continue;
            }
            let mut memory = Memory::new();
            let mut world = World::at(&mut memory, stage);
            if stage == Stage::Confirmed {
                let stream = world.client.open().unwrap();
                world.client.write(stream, &[1; 900]);
            }
            assert_eq!(world.send(space, &make::numbers(kind, fields)), 0);
            let expected = match kind {
                0x1c => CloseReason::Transport {
                    code: Code(7),
                    frame_type: 0x10,
                },
                _ => CloseReason::Application { code: 9 },
            };
            assert_eq!(world.end(), Some(expected));
            for _ in 0..20 {
                assert_eq!(world.send(space, make::PING), 0);
            }
            // Our own end comes too late.
            let now = world.now;
            world.client.close(1, "", now);
            assert_eq!(world.flush(), 0);
            assert_eq!(world.end(), Some(expected));
            assert!(!world.client.is_drained());
            world.bury();
        }
    }
}

#[test]
fn it_is_over_three_probe_timeouts_behind_the_end() {
    for ours in [true, false] {
        let mut memory = Memory::new();
        let mut world = World::at(&mut memory, Stage::Confirmed);
        let (now, pto) = (world.now, world.client.recovery.pto());
        if ours {
            world.client.close(1, "", now);
        } else {
            world.send(Space::Application, &make::numbers(0x1d, &[1, 0]));
        }
        world.flush();
        let end = now.after(pto.times(3));
        assert_eq!(world.client.next_deadline(), Some(end));
        world.wait(pto.times(3).minus(Micros::new(1)));
        assert!(!world.client.is_drained());
        world.wait(Micros::new(1));
        assert!(world.client.is_drained());
        assert_eq!(world.send(Space::Application, make::PING), 0);
        let now = world.now;
        world.client.close(1, "", now);
        assert_eq!(world.flush(), 0);
    }
}

#[test]
fn the_end_is_the_last_event_whatever_the_application_does_then() {
    let mut memory = Memory::new();
    let mut world = World::at(&mut memory, Stage::Confirmed);
    let (first, second) = (world.client.open().unwrap(), world.client.open().unwrap());
    assert!(world.client.open().is_err());
    world.client.finish(first);
    world.flush();
    let mut payload = world.server.ack(Space::Application);
    payload.extend(make::stream(0, 0, b"all", true));
    payload.extend(make::stream(1, 0, b"more", false));
    world.send(Space::Application, &payload);
    let now = world.now;
    world.client.close(1, "", now);
    world.flush();
    assert!(world.has_ended());
    // What was there can still be read.
    assert_eq!(world.client.peek(first).bytes, b"all");
    world.client.consume(first, 3, true);
    world.client.reset(second, 1);
    world.client.stop_sending(second, 1);
    let theirs = StreamId::new(1).unwrap();
    world.client.consume(theirs, 4, false);
    assert_eq!(world.client.write(theirs, b"x"), 0);
    world.client.finish(theirs);
    world.client.ping();
    assert!(!world.client.update_keys(now));
    assert!(world.client.address_changed(now).is_err());
    assert!(world.client.open().is_err());
    assert_eq!(world.client.poll_event(), None);
    world.bury();
}

#[test]
fn a_violation_behind_the_end_changes_nothing() {
    let mut memory = Memory::new();
    let mut world = World::at(&mut memory, Stage::Confirmed);
    let now = world.now;
    world.client.close(1, "", now);
    world.flush();
    let heard = world.server.heard.len();
    world.send(Space::Application, &[0xff]);
    assert_eq!(world.farewells(heard), [(Space::Application, true, 1, 0)]);
    assert_eq!(world.end(), Some(CloseReason::Local { code: 1 }));
}

#[test]
fn without_keys_that_can_be_read_nothing_is_said() {
    let mut memory = Memory::new();
    let config = crate::tls::support::config();
    let mut world = World::dial(&mut memory, &config, Server::new());
    let now = world.now;
    world.client.close(1, "", now);
    // The server does not know us yet, and is told so nevertheless: it may have lost the hello.
    assert_eq!(world.flush(), 1);
    assert_eq!(world.server.heard[0].datagram_len, 1200);
    world.bury();
}
