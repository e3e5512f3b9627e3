//! One test for each rule about which frame may come when.

use super::*;
use crate::carried::{Carried, Flags, Kind};
use crate::coding::Writer;
use crate::error::{Code, Fault};
use crate::stream::table::MAX_STREAMS;
use std::vec::Vec;

const LIMITS: Limits = Limits {
    max_data: 1000,
    max_stream_data_bidi_local: 100,
    max_stream_data_bidi_remote: 50,
    max_streams_bidi: 2,
};

fn code<T>(result: Result<T, Fault>) -> Option<Code> {
    result.err().map(|error| error.code)
}

/// Everything that one packet with much room carries.
fn packet(streams: &mut Streams<'_>) -> (Vec<u8>, Carried) {
    packet_of(streams, 1000)
}

fn packet_of(streams: &mut Streams<'_>, room: usize) -> (Vec<u8>, Carried) {
    let mut memory = [0; 1000];
    let mut out = Writer::new(&mut memory[..room]);
    let mut carried = Carried::default();
    streams.write_frames(&mut out, &mut carried);
    (out.written().to_vec(), carried)
}

fn events(streams: &mut Streams<'_>) -> Vec<Event> {
    core::iter::from_fn(|| streams.poll_event()).collect()
}

/// Ends stream `stream` on both sides.
fn end(streams: &mut Streams<'_>, stream: StreamId) {
    streams.on_stream(stream, 0, b"", true).unwrap();
    streams.consume(stream, 0, true);
    streams.finish(stream);
    let (_, carried) = packet(streams);
    streams.on_acked(&carried);
    events(streams);
}

#[test]
fn memory_is_shared_equally_and_told_as_limits() {
    let mut memory = Memory::new(4, 256, 128);
    let streams = memory.streams(3);
    assert_eq!((streams.window(), streams.peer_streams()), (256, 3));
    assert_eq!(streams.max_data(), 2048);
    let mut memory = Memory::new(2, 0, 0);
    assert_eq!(memory.streams(9).peer_streams(), 2);
    let mut memory = Memory::new(0, 0, 0);
    assert_eq!(memory.streams(9).open(), Err(OpenError::PeerLimit));
}

#[test]
fn streams_open_in_order_within_the_limit_and_the_slots() {
    let mut memory = Memory::new(4, 64, 64);
    let mut streams = memory.streams(1);
    assert_eq!(streams.open(), Err(OpenError::PeerLimit));
    streams.set_limits(LIMITS);
    assert_eq!(streams.open(), Ok(id(0)));
    assert_eq!(streams.open(), Ok(id(4)));
    assert_eq!(streams.open(), Err(OpenError::PeerLimit));
    assert!(!streams.can_open());
    streams.on_max_streams(1).unwrap();
    assert_eq!(events(&mut streams), []);
    streams.on_max_streams(9).unwrap();
    assert_eq!(events(&mut streams), [Event::StreamsAvailable]);
    assert_eq!(streams.open(), Ok(id(8)));
    assert_eq!(streams.open(), Err(OpenError::NoSlot));
    end(&mut streams, id(4));
    assert_eq!(streams.open(), Ok(id(12)));
}

#[test]
fn a_free_slot_is_told_when_there_was_none() {
    let mut memory = Memory::new(1, 64, 64);
    let mut streams = memory.streams(0);
    streams.set_limits(LIMITS);
    streams.open().unwrap();
    streams.finish(id(0));
    let (_, carried) = packet(&mut streams);
    streams.on_acked(&carried);
    streams.on_stream(id(0), 0, b"", true).unwrap();
    streams.consume(id(0), 0, true);
    assert_eq!(
        events(&mut streams),
        [Event::Finished(id(0)), Event::StreamsAvailable]
    );
    assert!(streams.can_open());
}

#[test]
fn a_frame_for_a_stream_that_was_not_opened_here_is_a_stream_state_error() {
    let mut memory = Memory::new(4, 64, 64);
    let mut streams = memory.streams(1);
    streams.set_limits(LIMITS);
    streams.open().unwrap();
    let state = Some(Code::STREAM_STATE_ERROR);
    // The next bidirectional stream, and unidirectional ones, which are never opened here.
    for stream in [4, 8, 2, 6, (1 << 62) - 2].map(id) {
        assert_eq!(code(streams.on_stream(stream, 0, b"x", false)), state);
        assert_eq!(code(streams.on_reset_stream(stream, 0, 0)), state);
        assert_eq!(code(streams.on_stop_sending(stream, 0)), state);
        assert_eq!(code(streams.on_max_stream_data(stream, 9)), state);
        assert_eq!(code(streams.on_stream_data_blocked(stream)), state);
    }
    assert_eq!(code(streams.on_stream(id(0), 0, b"x", false)), None);
}

#[test]
fn a_stream_over_the_limit_is_a_stream_limit_error() {
    let mut memory = Memory::new(4, 64, 64);
    let mut streams = memory.streams(2);
    let limit = Some(Code::STREAM_LIMIT_ERROR);
    for stream in [9, 13, (1 << 62) - 3].map(id) {
        assert_eq!(code(streams.on_stream(stream, 0, b"x", false)), limit);
        assert_eq!(code(streams.on_reset_stream(stream, 0, 0)), limit);
        assert_eq!(code(streams.on_stop_sending(stream, 0)), limit);
        assert_eq!(code(streams.on_max_stream_data(stream, 9)), limit);
        assert_eq!(code(streams.on_stream_data_blocked(stream)), limit);
    }
    assert_eq!(code(streams.on_stream(id(5), 0, b"x", false)), None);
}

#[test]
fn a_unidirectional_stream_of_the_peer_is_over_the_limit_and_is_not_sent_on() {
    let mut memory = Memory::new(4, 64, 64);
    let mut streams = memory.streams(4);
    let limit = Some(Code::STREAM_LIMIT_ERROR);
    assert_eq!(code(streams.on_stream(id(3), 0, b"x", false)), limit);
    assert_eq!(code(streams.on_reset_stream(id(3), 0, 0)), limit);
    assert_eq!(code(streams.on_stream_data_blocked(id(3))), limit);
    let state = Some(Code::STREAM_STATE_ERROR);
    assert_eq!(code(streams.on_stop_sending(id(3), 0)), state);
    assert_eq!(code(streams.on_max_stream_data(id(3), 9)), state);
}

#[test]
fn any_frame_about_a_new_stream_opens_it_and_those_before_it() {
    let opened = [Event::Opened(id(1)), Event::Opened(id(5))];
    let frames: [fn(&mut Streams<'_>) -> Option<Code>; 4] = [
        |streams| code(streams.on_stream(id(5), 9, b"", false)),
        |streams| code(streams.on_max_stream_data(id(5), 0)),
        |streams| code(streams.on_stream_data_blocked(id(5))),
        |streams| code(streams.on_stream(id(5), 9, b"gap", false)),
    ];
    for frame in frames {
        let mut memory = Memory::new(4, 64, 64);
        let mut streams = memory.streams(3);
        assert_eq!(frame(&mut streams), None);
        assert_eq!(events(&mut streams), opened);
        assert_eq!(frame(&mut streams), None);
        assert_eq!(events(&mut streams), []);
        assert_eq!(streams.write(id(1), b"x"), 1);
    }
}

#[test]
fn a_limit_on_streams_grows_when_one_is_over_and_not_before_the_peer_was_told() {
    let mut memory = Memory::new(2, 64, 64);
    let mut streams = memory.streams(1);
    streams.set_limits(LIMITS);
    end(&mut streams, id(1));
    assert_eq!(
        code(streams.on_stream(id(5), 0, b"", false)),
        Some(Code::STREAM_LIMIT_ERROR)
    );
    assert!(streams.wants_to_send());
    let (bytes, carried) = packet(&mut streams);
    assert_eq!(bytes, [0x12, 2]);
    assert!(carried.flags.contains(Flags::MAX_STREAMS) && !streams.wants_to_send());
    streams.on_lost(&carried);
    assert_eq!(packet(&mut streams).0, [0x12, 2]);
    streams.on_stream(id(5), 0, b"x", false).unwrap();
    assert_eq!(events(&mut streams)[0], Event::Opened(id(5)));
}

#[test]
fn a_stream_that_is_over_takes_frames_without_effect() {
    let mut memory = Memory::new(2, 64, 64);
    let mut streams = memory.streams(1);
    streams.set_limits(LIMITS);
    let own = streams.open().unwrap();
    for stream in [own, id(1)] {
        end(&mut streams, stream);
        packet(&mut streams);
        assert_eq!(streams.on_stream(stream, 5, b"late", true), Ok(Taken::Yes));
        streams.on_reset_stream(stream, 1, 99).unwrap();
        streams.on_stop_sending(stream, 1).unwrap();
        streams.on_max_stream_data(stream, 99).unwrap();
        assert_eq!(streams.peek(stream), Peek::default());
        assert_eq!(streams.write(stream, b"x"), 0);
        streams.consume(stream, 1, true);
        streams.finish(stream);
        streams.reset(stream, 1);
        streams.stop_sending(stream, 1);
        assert!(events(&mut streams).is_empty() && !streams.wants_to_send());
    }
}

#[test]
fn a_max_streams_past_2_to_the_60_is_a_frame_encoding_error() {
    let mut memory = Memory::new(1, 64, 64);
    let mut streams = memory.streams(0);
    assert_eq!(code(streams.on_max_streams(MAX_STREAMS)), None);
    assert_eq!(
        code(streams.on_max_streams(MAX_STREAMS + 1)),
        Some(Code::FRAME_ENCODING_ERROR)
    );
}

#[test]
fn a_stop_is_answered_by_a_reset_with_its_code() {
    let mut memory = Memory::new(1, 64, 64);
    let mut streams = memory.streams(0);
    streams.set_limits(LIMITS);
    let stream = streams.open().unwrap();
    streams.write(stream, b"abc");
    packet(&mut streams);
    streams.write(stream, b"def");
    streams.on_stop_sending(stream, 70).unwrap();
    streams.on_stop_sending(stream, 71).unwrap();
    assert_eq!(events(&mut streams), [Event::Stopped { stream, code: 70 }]);
    assert_eq!(packet(&mut streams).0, [0x04, 0, 0x40, 70, 3]);
    assert_eq!(streams.write(stream, b"x"), 0);
}

#[test]
fn a_slot_waits_for_the_final_size_after_a_stop_and_for_its_events() {
    let mut memory = Memory::new(1, 64, 64);
    let mut streams = memory.streams(0);
    streams.set_limits(LIMITS);
    let stream = streams.open().unwrap();
    streams.stop_sending(stream, 5);
    streams.finish(stream);
    let (bytes, carried) = packet(&mut streams);
    assert_eq!(bytes, [0x05, 0, 5, 0x0b, 0, 0]);
    streams.on_acked(&carried);
    assert_eq!(events(&mut streams), [Event::Finished(stream)]);
    assert_eq!(streams.open(), Err(OpenError::NoSlot));
    streams.on_reset_stream(stream, 5, 40).unwrap();
    assert_eq!(events(&mut streams), [Event::StreamsAvailable]);
    assert_eq!(streams.inbound.counts().0, streams.inbound.counts().1);
    assert_eq!(streams.open(), Ok(id(4)));
}

#[test]
fn both_kinds_of_streams_begin_with_the_limit_that_is_theirs() {
    let mut memory = Memory::new(2, 64, 256);
    let mut streams = memory.streams(1);
    streams.set_limits(LIMITS);
    let own = streams.open().unwrap();
    streams.on_stream(id(1), 0, b"x", false).unwrap();
    streams.write(own, &[1; 200]);
    streams.write(id(1), &[1; 200]);
    let lengths = |carried: &Carried| -> Vec<_> {
        let pieces = carried.pieces().filter(|piece| piece.kind == Kind::Stream);
        pieces.map(|piece| (piece.stream, piece.len)).collect()
    };
    assert_eq!(lengths(&packet(&mut streams).1), [(1, 50), (0, 100)]);
    assert!(!streams.wants_to_send());
    streams.on_max_stream_data(own, 110).unwrap();
    assert_eq!(lengths(&packet(&mut streams).1), [(0, 10)]);
}

#[test]
fn the_connection_limit_bounds_all_streams_together() {
    let mut memory = Memory::new(2, 64, 64);
    let mut streams = memory.streams(0);
    streams.set_limits(Limits {
        max_data: 40,
        ..LIMITS
    });
    for _ in 0..2 {
        let stream = streams.open().unwrap();
        streams.write(stream, &[1; 30]);
    }
    let (_, carried) = packet(&mut streams);
    assert_eq!(carried.pieces().map(|piece| piece.len).sum::<u16>(), 40);
    assert!(!streams.wants_to_send());
    // What is sent again was paid for before.
    streams.on_lost(&carried);
    let (_, carried) = packet(&mut streams);
    assert_eq!(carried.pieces().map(|piece| piece.len).sum::<u16>(), 40);
    streams.on_max_data(45);
    assert!(streams.wants_to_send());
}

#[test]
fn streams_take_turns_when_a_packet_holds_only_one() {
    let mut memory = Memory::new(3, 64, 200);
    let mut streams = memory.streams(0);
    streams.set_limits(Limits {
        max_streams_bidi: 3,
        ..LIMITS
    });
    for _ in 0..3 {
        let stream = streams.open().unwrap();
        streams.write(stream, &[1; 100]);
    }
    let order: Vec<_> = (0..6)
        .map(|_| {
            packet_of(&mut streams, 60)
                .1
                .pieces()
                .next()
                .unwrap()
                .stream
        })
        .collect();
    assert_eq!(order, [0, 4, 8, 0, 4, 8]);
}

#[test]
fn lost_data_goes_before_new_data_of_all_streams() {
    let mut memory = Memory::new(2, 64, 200);
    let mut streams = memory.streams(0);
    streams.set_limits(LIMITS);
    let (first, second) = (streams.open().unwrap(), streams.open().unwrap());
    streams.write(second, &[1; 40]);
    let (_, carried) = packet(&mut streams);
    streams.write(first, &[2; 40]);
    streams.on_lost(&carried);
    let (_, carried) = packet(&mut streams);
    let order: Vec<_> = carried.pieces().map(|piece| piece.stream).collect();
    assert_eq!(order, [4, 0]);
}

#[test]
fn a_packet_that_can_remember_no_more_gets_no_more_frames() {
    let mut memory = Memory::new(4, 64, 64);
    let mut streams = memory.streams(0);
    streams.set_limits(Limits {
        max_streams_bidi: 4,
        ..LIMITS
    });
    for _ in 0..4 {
        let stream = streams.open().unwrap();
        streams.reset(stream, 1);
    }
    let (_, first) = packet(&mut streams);
    assert_eq!(first.pieces().count(), crate::carried::MAX_PIECES);
    assert!(streams.wants_to_send());
    assert_eq!(packet(&mut streams).1.pieces().count(), 1);
    assert!(!streams.wants_to_send());
}
