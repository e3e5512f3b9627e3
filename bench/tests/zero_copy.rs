//! No allocation and no copy of a payload between the transport's buffer and the application:
//! counted by the allocator, and seen in where the bytes lie.

use aire_bench::allocations::{self, Counting};
use aire_bench::link::{Device, Link, Receiver, Sender, range_in};
use aire_bench::stream::{Run, SIZES};
use aire_bench::{copying, ours};
use aire_proto::storage::Storage;
use aire_proto::{Event, Growing, Input, StreamId, Transmit};

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// Longer than any frame here.
const ROOM: usize = 128 * 1024;

fn payload(len: usize) -> Vec<u8> {
    (0..len).map(|index| index as u8).collect()
}

#[test]
fn the_counter_counts() {
    assert!(allocations::are_counted());
    let run = Run::uniform(100);
    let copied = allocations::during(|| {
        assert_ne!(copying::decode(&run.wire), 0);
    });
    assert_eq!(copied, run.len(), "one vector for each frame");
}

#[test]
fn the_codec_allocates_nothing() {
    for run in SIZES.map(Run::uniform) {
        let mut out = vec![0; run.wire.len()];
        let counted = allocations::during(|| {
            assert_ne!(ours::decode(&run.wire), 0);
            assert_ne!(ours::decode_incremental(&run.wire), 0);
            assert_ne!(ours::encode_envelopes(&run, &mut out), 0);
            assert_ne!(ours::encode_copied(&run, &mut out), 0);
        });
        assert_eq!(counted, 0);
        assert_eq!(out, run.wire);
    }
}

/// Echoes every size many times. [`Link::echo`] itself fails when what an end is handed does not
/// lie in the buffer that it was given to read.
fn steady_echoes_allocate_nothing<S: Storage>() {
    let mut link: Link<S, S> = Link::connected(ROOM);
    let stream = link.open();
    // Growing storage takes its memory on first use, and keeps it.
    link.echo(stream, &payload(1));
    for len in SIZES {
        let sent = payload(len);
        let counted = allocations::during(|| {
            for _ in 0..100 {
                let echoed = link.echo(stream, &sent);
                assert_eq!(link.down[echoed], sent);
            }
        });
        assert_eq!(counted, 0, "for payloads of {len} bytes");
    }
}

#[test]
fn a_steady_stream_allocates_nothing_with_fixed_storage() {
    steady_echoes_allocate_nothing::<Device>();
}

#[test]
fn a_steady_stream_allocates_nothing_with_growing_storage() {
    steady_echoes_allocate_nothing::<Growing>();
}

#[test]
fn each_direction_alone_allocates_nothing() {
    fn alone<S: Storage>() {
        let mut receiver: Receiver<S> = Receiver::new(100, 64);
        let mut sender: Sender<S> = Sender::new();
        receiver.read();
        sender.send(100, 1);
        let counted = allocations::during(|| {
            receiver.read();
            sender.send(100, 64);
        });
        assert_eq!(counted, 0);
    }
    alone::<Device>();
    alone::<Growing>();
}

#[test]
fn fixed_storage_allocates_nothing_from_hello_to_the_end_of_an_operation() {
    let mut link: Link<Device, Device> = Link::new(ROOM);
    let sent = payload(100);
    let counted = allocations::during(|| {
        link.shake_hands();
        link.operation(&sent);
    });
    assert_eq!(counted, 0);
}

/// A frame that comes in pieces of `cut` bytes: every piece of its payload is a slice of the
/// piece that the transport delivered, and nothing is allocated for it.
fn cut_frames_are_not_put_together<S: Storage>(cut: usize) {
    let mut link: Link<S, S> = Link::connected(ROOM);
    let stream = link.open();
    let sent = payload(1000);
    link.up.clear();
    link.client.connection.send(stream, sent.len()).unwrap();
    link.client.transmit(stream, &sent, &mut link.up, link.now);

    let mut heard = Vec::with_capacity(sent.len());
    let counted = allocations::during(|| {
        for piece in link.up.chunks(cut) {
            let mut input = Input::new(piece, false);
            while let Some(event) = link
                .server
                .connection
                .poll_input(stream, &mut input, link.now)
            {
                let Event::Stream { bytes, .. } = event else {
                    panic!("unexpected: {event:?}");
                };
                assert!(range_in(bytes, piece).is_some(), "it was copied");
                heard.extend_from_slice(bytes);
            }
            assert!(input.is_done());
        }
    });
    assert_eq!(counted, 0);
    assert_eq!(heard, sent);
}

#[test]
fn frames_that_arrive_in_pieces_are_handed_on_in_pieces() {
    for cut in [1, 2, 3, 7, 64, 999] {
        cut_frames_are_not_put_together::<Device>(cut);
        cut_frames_are_not_put_together::<Growing>(cut);
    }
}

/// The next thing for the transport: framing bytes before the payload, the payload's range, and
/// framing bytes behind it.
fn next_data<S: Storage>(
    link: &mut Link<S, S>,
    stream: StreamId,
) -> (usize, std::ops::Range<u64>, usize) {
    match link.client.connection.poll_transmit() {
        Some(Transmit::Data {
            stream: on,
            head,
            payload,
            tail,
            fin: false,
        }) if on == stream => (head.len(), payload, tail.len()),
        other => panic!("unexpected: {other:?}"),
    }
}

/// What waits to be sent is an envelope and a range: there is no room for the payload anywhere,
/// since the outbox of a device holds 64 bytes.
fn a_payload_is_sent_from_where_it_lies<S: Storage>() {
    let mut link: Link<S, S> = Link::connected(ROOM);
    let stream = link.open();
    let now = link.now;
    let counted = allocations::during(|| {
        link.client.connection.send(stream, 60_000).unwrap();
        // Type, flags, one byte of OpID, four of length.
        assert_eq!(next_data(&mut link, stream), (7, 0..60_000, 0));

        // The transport takes the envelope and 40 bytes; the application keeps the rest.
        assert!(!link.client.connection.wrote(stream, 47, false, now));
        assert!(link.client.connection.poll_transmit().is_none());
        link.client.connection.writable(stream);
        assert_eq!(next_data(&mut link, stream), (0, 40..60_000, 0));
        assert!(link.client.connection.wrote(stream, 59_960, false, now));
    });
    assert_eq!(counted, 0);
}

#[test]
fn what_is_transmitted_names_the_payload_by_its_range() {
    a_payload_is_sent_from_where_it_lies::<Device>();
    // Its outbox took its memory for INVOKE, and keeps it.
    a_payload_is_sent_from_where_it_lies::<Growing>();
}

#[test]
fn a_charge_and_a_retained_frame_allocate_nothing() {
    let mut charge = aire_bench::spending::by_connection::<Growing>(3);
    let mut retain = aire_bench::spending::by_window(100);
    let counted = allocations::during(|| {
        assert_ne!(charge(), 0);
        assert_ne!(retain(), 0);
    });
    assert_eq!(counted, 0);
}
