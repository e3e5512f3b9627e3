//! Whatever a server sends, a connection neither panics nor says more than it should, and ends once.

use std::vec;
use std::vec::Vec;

use proptest::prelude::*;

use super::*;

/// An authentic packet is answered by no more datagrams than this, when nothing of ours waits to
/// be sent.
const MOST_ANSWERS: usize = 3;

fn stage() -> impl Strategy<Value = Stage> {
    prop::sample::select(&Stage::ALL[..])
}

fn number() -> impl Strategy<Value = u64> {
    prop_oneof![
        0..6_u64,
        1000..1050_u64,
        any::<u16>().prop_map(u64::from),
        Just((1 << 60) + 1),
        0..1_u64 << 62,
    ]
}

fn bytes(max: usize) -> impl Strategy<Value = Vec<u8>> {
    prop::collection::vec(any::<u8>(), 0..max)
}

/// Frames that parse, most of them.
fn frame() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        3 => (0_u8..0x20, prop::collection::vec(number(), 0..8))
            .prop_map(|(kind, fields)| make::numbers(kind, &fields)),
        2 => (0..6_u64, number(), bytes(60), any::<bool>())
            .prop_map(|(id, offset, data, fin)| make::stream(id, offset, &data, fin)),
        1 => (number(), bytes(60)).prop_map(|(offset, data)| make::crypto(offset, &data)),
        1 => (0..6_u64, 0..6_u64, bytes(22))
            .prop_map(|(sequence, retire, id)| make::new_id(sequence, retire, &id)),
        1 => (0..40_u64).prop_map(|largest| make::ack(&[largest])),
        1 => bytes(40),
    ]
}

/// Opens streams and writes, when it can.
fn busy(world: &mut World<'_>) {
    if let Ok(stream) = world.client.open() {
        world.client.write(stream, &[1; 100]);
        world.flush();
    }
}

fn quiet(world: &mut World<'_>) {
    if world.has_ended() {
        world.bury();
    } else {
        world.wait(Micros::from_secs(60));
        assert!(world.has_ended(), "it outlives the silence");
        world.bury();
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn no_datagram_that_is_not_authentic_changes_anything(
        stage in stage(),
        datagrams in prop::collection::vec(bytes(100), 1..8),
        first in any::<u8>(),
    ) {
        let mut memory = Memory::new();
        let mut world = World::at(&mut memory, stage);
        let before = world.client.next_deadline();
        let id = world.server.client_id.clone();
        for bytes in datagrams {
            let long = [&[first | 0x80, 0, 0, 0, 1, 8][..], &id, &bytes].concat();
            let short = [&[first & 0x7f][..], &id, &bytes].concat();
            for datagram in [bytes, long, short] {
                prop_assert_eq!(world.give(&datagram), 0);
            }
        }
        prop_assert_eq!(world.end(), None);
        prop_assert_eq!(world.client.next_deadline(), before);
        quiet(&mut world);
    }

    #[test]
    fn no_frames_make_a_connection_panic_or_say_too_much(
        stage in stage(),
        packets in prop::collection::vec(
            (any::<bool>(), prop::collection::vec(frame(), 1..6)), 1..8),
    ) {
        let mut memory = Memory::new();
        let mut world = World::at(&mut memory, stage);
        busy(&mut world);
        for (first, frames) in packets {
            let spaces = stage.spaces();
            let space = if first { spaces[0] } else { spaces[spaces.len() - 1] };
            let answers = world.send(space, &frames.concat());
            prop_assert!(answers <= MOST_ANSWERS, "{} answers", answers);
        }
        quiet(&mut world);
    }

    #[test]
    fn no_bytes_in_crypto_frames_make_a_connection_panic(
        stage in stage(),
        kind in prop::sample::select(&[2_u8, 4, 8, 11, 13, 15, 20, 24][..]),
        body in bytes(300),
        cut in any::<prop::sample::Index>(),
    ) {
        let mut memory = Memory::new();
        let mut world = World::at(&mut memory, stage);
        let mut message = vec![kind, 0];
        message.extend((body.len() as u16).to_be_bytes());
        message.extend(body);
        let (front, back) = message.split_at(cut.index(message.len()));
        let space = *stage.spaces().last().unwrap();
        world.send(space, &make::crypto(front.len() as u64, back));
        world.send(space, &make::crypto(0, front));
        quiet(&mut world);
    }

    #[test]
    fn no_script_makes_a_connection_panic_or_live_for_ever(
        stage in any::<u8>(),
        steps in prop::collection::vec((any::<u8>(), any::<u8>(), frame()), 0..20),
    ) {
        let mut script = vec![stage];
        for (step, argument, frame) in steps {
            script.extend([step, argument, frame.len() as u8]);
            script.extend(frame);
        }
        play(&script);
    }
}
