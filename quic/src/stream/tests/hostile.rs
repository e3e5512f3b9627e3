//! Whatever comes, nothing panics and memory stays within its bounds.

use super::*;
use crate::carried::Carried;
use crate::coding::Writer;
use crate::error::Fault;
use proptest::prelude::*;
use std::vec::Vec;

#[derive(Clone, Debug)]
enum Step {
    Stream(u64, u64, usize, bool),
    Reset(u64, u64),
    Stop(u64),
    Limits(u64, u64),
    Blocked(u64),
    Write(u64, usize),
    Consume(u64, usize, bool),
    End(u64, u8),
    Open,
    Send(usize),
    Fate(usize, bool),
    Events,
}

/// Numbers near the edges, and small ones.
fn number() -> impl Strategy<Value = u64> {
    prop_oneof![
        8 => 0_u64..80,
        1 => (u64::from(u32::MAX) - 2)..(u64::from(u32::MAX) + 3),
        1 => (crate::varint::MAX - 3)..=crate::varint::MAX,
        1 => any::<u64>().prop_map(|any| any >> 2),
    ]
}

fn stream() -> impl Strategy<Value = u64> {
    prop_oneof![20 => 0_u64..14, 1 => number()]
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        6 => (stream(), number(), 0_usize..40, any::<bool>())
            .prop_map(|(id, offset, len, fin)| Step::Stream(id, offset, len, fin)),
        1 => (stream(), number()).prop_map(|(id, size)| Step::Reset(id, size)),
        1 => stream().prop_map(Step::Stop),
        2 => (stream(), number()).prop_map(|(id, limit)| Step::Limits(id, limit)),
        1 => stream().prop_map(Step::Blocked),
        4 => (stream(), 0_usize..80).prop_map(|(id, len)| Step::Write(id, len)),
        4 => (stream(), 0_usize..80, any::<bool>())
            .prop_map(|(id, len, fin)| Step::Consume(id, len, fin)),
        2 => (stream(), 0_u8..3).prop_map(|(id, how)| Step::End(id, how)),
        2 => Just(Step::Open),
        4 => (0_usize..120).prop_map(Step::Send),
        4 => (any::<usize>(), any::<bool>()).prop_map(|(which, acked)| Step::Fate(which, acked)),
        1 => Just(Step::Events),
    ]
}

fn apply(streams: &mut Streams<'_>, packets: &mut Vec<Carried>, step: Step) -> Result<(), Fault> {
    match step {
        Step::Stream(stream, offset, len, fin) => {
            streams.on_stream(id(stream), offset, &[7; 40][..len], fin)?;
        }
        Step::Reset(stream, size) => streams.on_reset_stream(id(stream), 1, size)?,
        Step::Stop(stream) => streams.on_stop_sending(id(stream), 2)?,
        Step::Limits(stream, limit) => {
            streams.on_max_stream_data(id(stream), limit)?;
            streams.on_max_data(limit);
            streams.on_max_streams(limit % 8)?;
        }
        Step::Blocked(stream) => streams.on_stream_data_blocked(id(stream))?,
        Step::Write(stream, len) => assert!(streams.write(id(stream), &[9; 80][..len]) <= len),
        Step::Consume(stream, len, fin) => streams.consume(id(stream), len, fin),
        Step::End(stream, 0) => streams.finish(id(stream)),
        Step::End(stream, 1) => streams.reset(id(stream), 3),
        Step::End(stream, _) => streams.stop_sending(id(stream), 4),
        Step::Open => {
            let could = streams.can_open();
            assert_eq!(streams.open().is_ok(), could);
        }
        Step::Send(room) => {
            let mut memory = [0; 120];
            let mut out = Writer::new(&mut memory[..room]);
            let mut carried = Carried::default();
            let wanted = streams.wants_to_send();
            streams.write_frames(&mut out, &mut carried);
            assert!(wanted || out.len() == 0);
            assert!(out.len() > 0 || !wanted || room < 100);
            packets.push(carried);
        }
        Step::Fate(which, acked) => {
            if let Some(which) = which.checked_rem(packets.len()) {
                if acked {
                    streams.on_acked(&packets[which]);
                } else {
                    streams.on_lost(&packets[which]);
                }
            }
        }
        Step::Events => while streams.poll_event().is_some() {},
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(500))]
    #[test]
    fn no_order_of_frames_and_calls_panics_or_breaks_a_bound(
        (slots, peers) in (0_usize..5, 0_u8..6),
        (rx, tx) in (0_usize..70, 0_usize..70),
        steps in prop::collection::vec(step(), 1..120)
    ) {
        let mut memory = Memory::new(slots, rx, tx);
        let mut streams = memory.streams(peers);
        streams.set_limits(Limits {
            max_data: 200,
            max_stream_data_bidi_local: 100,
            max_stream_data_bidi_remote: 100,
            max_streams_bidi: 3,
        });
        let mut packets = Vec::new();
        for step in steps {
            // An error would end the connection; here it goes on, and must still not panic.
            let _ = apply(&mut streams, &mut packets, step);
            let (received, consumed, limit) = streams.inbound.counts();
            prop_assert!(consumed <= received && received <= limit);
            prop_assert!(received - consumed <= streams.window() * slots as u64);
        }
    }
}
