//! Frames that break a rule (RFC 9000 §12.4, §19).

use std::vec;
use std::vec::Vec;

use super::*;

const FRAME_TYPES: std::ops::RangeInclusive<u8> = 0x00..=0x1e;

/// A good frame of each type.
fn good(kind: u8) -> Vec<u8> {
    match kind {
        0x00 | 0x01 | 0x1e => vec![kind],
        0x02 => make::numbers(kind, &[0, 0, 0, 0]),
        0x03 => make::numbers(kind, &[0, 0, 0, 0, 0, 0, 0]),
        0x04 => make::numbers(kind, &[1, 7, 0]),
        0x05 | 0x11 | 0x15 => make::numbers(kind, &[1, 7]),
        0x06 => make::crypto(0, &[]),
        0x07 => make::new_token(b"token"),
        0x08..=0x0f => {
            let mut frame = make::numbers(kind, &[1]);
            for bit in [0x04, 0x02] {
                if kind & bit != 0 {
                    frame.push(0);
                }
            }
            frame
        }
        0x10 | 0x12..=0x14 | 0x16 | 0x17 => make::numbers(kind, &[1]),
        0x18 => make::new_id(1, 0, b"server-2"),
        0x19 => make::numbers(kind, &[1]),
        0x1a | 0x1b => [&[kind][..], &[9; 8]].concat(),
        0x1c => make::numbers(kind, &[0, 0, 0]),
        _ => make::numbers(kind, &[0, 0]),
    }
}

#[test]
fn good_frames_of_each_type_do_no_harm() {
    for kind in FRAME_TYPES.filter(|kind| !matches!(kind, 0x1c | 0x1d)) {
        let told = told(Stage::Confirmed, Space::Application, &good(kind));
        assert_eq!(told, None, "{kind:x}");
    }
}

#[test]
fn only_five_kinds_of_frame_may_come_in_the_handshake() {
    for kind in FRAME_TYPES {
        for (stage, space) in [
            (Stage::Hello, Space::Initial),
            (Stage::Shaking, Space::Initial),
            (Stage::Shaking, Space::Handshake),
            (Stage::Connected, Space::Handshake),
        ] {
            let mut memory = Memory::new();
            let mut world = World::at(&mut memory, stage);
            let heard = world.server.heard.len();
            // Nothing was acknowledged by this end that early.
            let has_ack = matches!(kind, 0x02 | 0x03) && space == Space::Handshake;
            if has_ack && stage == Stage::Shaking {
                continue;
            }
            let datagrams = world.send(space, &good(kind));
            if matches!(kind, 0x00..=0x03 | 0x06) {
                assert_eq!(world.end(), None, "{kind:x} at {stage:?}");
            } else if kind == 0x1c {
                let closed = matches!(world.end(), Some(CloseReason::Transport { .. }));
                assert!(closed, "{kind:x} at {stage:?}");
            } else {
                let verdict = verdict(&mut world, stage, heard, datagrams);
                let expected = (Code::PROTOCOL_VIOLATION, u64::from(kind));
                assert_eq!(
                    verdict,
                    Some(expected),
                    "{kind:x} at {stage:?} in {space:?}"
                );
            }
        }
    }
}

#[test]
fn an_unknown_frame_is_an_encoding_error_that_names_it_where_one_byte_can() {
    for stage in Stage::ALL {
        for space in stage.spaces() {
            for kind in 0x1f..=0xff_u8 {
                // Types from 0x40 on are not known by their first byte, and 0 means unknown.
                let named = if kind < 0x40 { u64::from(kind) } else { 0 };
                let told = told(stage, *space, &[kind, 0, 0, 0, 0, 0, 0, 0]);
                let expected = (Code::FRAME_ENCODING_ERROR, named);
                assert_eq!(told, Some(expected), "{kind:x} at {stage:?} in {space:?}");
                if stage != Stage::Confirmed && kind > 0x44 {
                    break;
                }
            }
        }
    }
}

#[test]
fn a_frame_that_is_cut_is_an_encoding_error() {
    for kind in FRAME_TYPES {
        let frame = good(kind);
        for cut in 1..frame.len() {
            // Behind a PING, so that the packet is never empty.
            let payload = [make::PING, &frame[..cut]].concat();
            let told = told(Stage::Confirmed, Space::Application, &payload);
            let expected = (Code::FRAME_ENCODING_ERROR, u64::from(kind));
            assert_eq!(told, Some(expected), "{kind:x} cut at {cut}");
        }
    }
}

/// Frames, and what a server is told for each of them once everything is confirmed.
fn all_told(cases: &[(Vec<u8>, Code)]) {
    for (frame, code) in cases {
        let told = told(Stage::Confirmed, Space::Application, frame);
        let expected = (*code, u64::from(frame[0]));
        assert_eq!(told, Some(expected), "{frame:x?}");
    }
}

#[test]
fn what_was_never_sent_cannot_be_acknowledged() {
    for stage in Stage::ALL {
        for space in stage.spaces() {
            let mut memory = Memory::new();
            let mut world = World::at(&mut memory, stage);
            let heard = world.server.heard.len();
            let next = world.client.spaces.get(*space).next;
            let datagrams = world.send(*space, &make::ack(&[next]));
            let verdict = verdict(&mut world, stage, heard, datagrams);
            assert_eq!(verdict, Some((Code::PROTOCOL_VIOLATION, 2)));
        }
    }
    all_told(&[
        (
            make::numbers(0x02, &[1 << 61, 0, 0, 0]),
            Code::PROTOCOL_VIOLATION,
        ),
        // Below packet number 0.
        (
            make::numbers(0x02, &[0, 0, 0, 1]),
            Code::FRAME_ENCODING_ERROR,
        ),
        (
            make::numbers(0x02, &[0, 0, 1, 0, 0, 0]),
            Code::FRAME_ENCODING_ERROR,
        ),
    ]);
}

#[test]
fn frames_for_streams_that_cannot_have_them_are_refused() {
    use Code as C;
    let numbers = make::numbers;
    all_told(&[
        // Ours, but not opened.
        (make::stream(0, 0, b"x", false), C::STREAM_STATE_ERROR),
        (numbers(0x04, &[0, 0, 0]), C::STREAM_STATE_ERROR),
        (numbers(0x05, &[0, 0]), C::STREAM_STATE_ERROR),
        (numbers(0x11, &[0, 9]), C::STREAM_STATE_ERROR),
        (numbers(0x15, &[0, 9]), C::STREAM_STATE_ERROR),
        // Ours, of one way: there are none.
        (make::stream(2, 0, b"x", false), C::STREAM_STATE_ERROR),
        (numbers(0x04, &[2, 0, 0]), C::STREAM_STATE_ERROR),
        (numbers(0x05, &[2, 0]), C::STREAM_STATE_ERROR),
        (numbers(0x11, &[2, 9]), C::STREAM_STATE_ERROR),
        // The server's, of one way: it may open none, and may not tell us how to send there.
        (make::stream(3, 0, b"x", false), C::STREAM_LIMIT_ERROR),
        (numbers(0x04, &[3, 0, 0]), C::STREAM_LIMIT_ERROR),
        (numbers(0x15, &[3, 9]), C::STREAM_LIMIT_ERROR),
        (numbers(0x05, &[3, 0]), C::STREAM_STATE_ERROR),
        (numbers(0x11, &[3, 9]), C::STREAM_STATE_ERROR),
        // The server's second, where it may open one.
        (make::stream(5, 0, b"x", false), C::STREAM_LIMIT_ERROR),
        (numbers(0x04, &[5, 0, 0]), C::STREAM_LIMIT_ERROR),
        (numbers(0x05, &[5, 0]), C::STREAM_LIMIT_ERROR),
        (numbers(0x11, &[5, 9]), C::STREAM_LIMIT_ERROR),
        (numbers(0x15, &[5, 9]), C::STREAM_LIMIT_ERROR),
        (
            make::stream((1 << 62) - 3, 0, b"x", false),
            C::STREAM_LIMIT_ERROR,
        ),
    ]);
}

#[test]
fn numbers_beyond_their_bounds_are_refused() {
    let numbers = make::numbers;
    all_told(&[
        (numbers(0x12, &[(1 << 60) + 1]), Code::FRAME_ENCODING_ERROR),
        (numbers(0x13, &[(1 << 60) + 1]), Code::FRAME_ENCODING_ERROR),
        (numbers(0x16, &[(1 << 60) + 1]), Code::FRAME_ENCODING_ERROR),
        (numbers(0x17, &[(1 << 60) + 1]), Code::FRAME_ENCODING_ERROR),
        (
            make::stream(1, (1 << 62) - 1, b"x", false),
            Code::FRAME_ENCODING_ERROR,
        ),
        (
            make::crypto((1 << 62) - 1, b"x"),
            Code::FRAME_ENCODING_ERROR,
        ),
        (make::new_token(b""), Code::FRAME_ENCODING_ERROR),
    ]);
    for frame in [
        numbers(0x10, &[(1 << 62) - 1]),
        numbers(0x11, &[1, (1 << 62) - 1]),
        numbers(0x12, &[1 << 60]),
        numbers(0x13, &[1 << 60]),
    ] {
        assert_eq!(told(Stage::Confirmed, Space::Application, &frame), None);
    }
}

#[test]
fn more_bytes_than_a_stream_or_the_connection_may_have_are_refused() {
    use Code as C;
    all_told(&[
        (make::stream(1, 1024, b"x", false), C::FLOW_CONTROL_ERROR),
        (make::stream(1, 0, &[0; 1025], false), C::FLOW_CONTROL_ERROR),
        (make::stream(1, 1 << 40, b"x", true), C::FLOW_CONTROL_ERROR),
        (make::numbers(0x04, &[1, 0, 1025]), C::FLOW_CONTROL_ERROR),
    ]);
    let full = make::stream(1, 0, &[0; 1024], true);
    assert_eq!(told(Stage::Confirmed, Space::Application, &full), None);
}

#[test]
fn the_final_size_of_a_stream_stays() {
    let fin = |offset, data: &[u8]| make::stream(1, offset, data, true);
    let more = |offset, data: &[u8]| make::stream(1, offset, data, false);
    let reset = |size| make::numbers(0x04, &[1, 0, size]);
    for (first, second) in [
        (fin(0, b"abc"), fin(0, b"ab")),
        (fin(0, b"abc"), fin(0, b"abcd")),
        (fin(0, b"abc"), more(3, b"d")),
        (fin(0, b"abc"), reset(2)),
        (fin(0, b"abc"), reset(4)),
        (more(0, b"abc"), fin(0, b"ab")),
        (more(0, b"abc"), reset(2)),
        (reset(3), more(3, b"d")),
        (reset(3), fin(0, b"ab")),
        (reset(3), reset(4)),
    ] {
        for payloads in [
            vec![[first.clone(), second.clone()].concat()],
            vec![first.clone(), second.clone()],
        ] {
            let mut memory = Memory::new();
            let mut world = World::at(&mut memory, Stage::Confirmed);
            let mut heard = 0;
            let mut datagrams = 0;
            for payload in payloads {
                assert_eq!(world.end(), None);
                heard = world.server.heard.len();
                datagrams = world.send(Space::Application, &payload);
            }
            let verdict = verdict(&mut world, Stage::Confirmed, heard, datagrams);
            let expected = (Code::FINAL_SIZE_ERROR, u64::from(second[0]));
            assert_eq!(verdict, Some(expected), "{first:x?} {second:x?}");
        }
    }
}

#[test]
fn a_path_response_that_nobody_asked_for_is_ignored() {
    let frame = [&[0x1b][..], &[1; 8]].concat();
    assert_eq!(told(Stage::Confirmed, Space::Application, &frame), None);
}

#[test]
fn a_token_that_is_too_long_is_forgotten_with_the_one_before() {
    let mut memory = Memory::new();
    let mut world = World::at(&mut memory, Stage::Confirmed);
    world.send(Space::Application, &make::new_token(b"good"));
    assert_eq!(world.client.token(), Some(&b"good"[..]));
    assert_eq!(world.events.pop(), Some(Event::Token));
    world.send(Space::Application, &make::new_token(&[7; 257]));
    assert_eq!(world.client.token(), None);
    assert_eq!(world.end(), None);
    assert!(!world.events.contains(&Event::Token));
}

#[test]
fn nothing_counts_behind_a_frame_that_ends_the_connection() {
    let payload = [make::numbers(0x1c, &[0x0a, 6, 0]), vec![0xff, 0xff]].concat();
    let mut memory = Memory::new();
    let mut world = World::at(&mut memory, Stage::Confirmed);
    assert_eq!(world.send(Space::Application, &payload), 0);
    let expected = CloseReason::Transport {
        code: Code::PROTOCOL_VIOLATION,
        frame_type: 6,
    };
    assert_eq!(world.end(), Some(expected));
    world.bury();
}
