//! What goes over a connection's streams, counted frame by frame off the bytes themselves: so the
//! numbers are those of the wire, whichever side made a frame, and whatever became of it.
//!
//! The counts are plain numbers of the one thread that drives the connection. Once it has done all
//! there is to do, they are added to those that other threads read.

use std::collections::BTreeMap;

use aire_proto::StreamId;
use aire_proto::wire::{Decoder, FrameType, Piece};

use crate::metrics::{Counters, Frames, Traffic};

/// One direction of one stream.
#[derive(Debug, Default)]
struct Flow {
    decoder: Decoder,
    /// The frame that goes by is a STREAM.
    in_stream: bool,
    /// Bytes of STREAM payload so far.
    payload: u64,
}

impl Flow {
    fn pass(&mut self, mut bytes: &[u8], frames: &mut Frames, payload: &mut u64) {
        while !bytes.is_empty() {
            let Some(piece) = self.decoder.next(&mut bytes) else {
                return;
            };
            match piece {
                Piece::Header(header) => {
                    frames.count(header.frame_type);
                    self.in_stream = header.frame_type == FrameType::Stream;
                }
                Piece::Payload { bytes, .. } if self.in_stream => {
                    let len = bytes.len() as u64;
                    self.payload = self.payload.saturating_add(len);
                    *payload = payload.saturating_add(len);
                }
                Piece::Payload { .. } => {}
            }
        }
    }
}

#[derive(Debug, Default)]
struct Flows {
    received: Flow,
    sent: Flow,
}

/// The counts of one connection.
#[derive(Debug, Default)]
pub(super) struct Tally {
    flows: BTreeMap<StreamId, Flows>,
    frames_received: Frames,
    frames_sent: Frames,
    traffic: Traffic,
}

impl Tally {
    /// QUIC delivered these bytes.
    pub(super) fn received(&mut self, stream: StreamId, bytes: &[u8]) {
        if bytes.is_empty() {
            return;
        }
        let flow = &mut self.flows.entry(stream).or_default().received;
        let payload = &mut self.traffic.stream_bytes_received;
        flow.pass(bytes, &mut self.frames_received, payload);
    }

    /// QUIC took the first `count` bytes of these pieces.
    pub(super) fn sent(&mut self, stream: StreamId, pieces: [&[u8]; 3], count: usize) {
        if count == 0 {
            return;
        }
        let flow = &mut self.flows.entry(stream).or_default().sent;
        let mut left = count;
        for piece in pieces {
            let taken = piece.get(..left).unwrap_or(piece);
            left = left.saturating_sub(taken.len());
            let payload = &mut self.traffic.stream_bytes_sent;
            flow.pass(taken, &mut self.frames_sent, payload);
        }
    }

    /// The stream is over.
    pub(super) fn forget(&mut self, stream: StreamId) {
        self.flows.remove(&stream);
    }

    /// How many bytes of STREAM payload came on a stream, and were sent on it.
    pub(super) fn payload(&self, stream: StreamId) -> (u64, u64) {
        self.flows
            .get(&stream)
            .map_or((0, 0), |flows| (flows.received.payload, flows.sent.payload))
    }

    /// Adds what was counted since the last time.
    pub(super) fn gather(&mut self, counters: &Counters) {
        let received = std::mem::take(&mut self.frames_received);
        let sent = std::mem::take(&mut self.frames_sent);
        counters.frames_received.add(&received);
        counters.frames_sent.add(&sent);
        counters.traffic.add(&std::mem::take(&mut self.traffic));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A STREAM of three bytes, an empty GOODBYE, a frame of a vendor.
    const FRAMES: [&[u8]; 3] = [
        &[0x04, 0, 4, 3, 1, 2, 3],
        &[0x09, 0, 0, 0],
        &[0x80, 0, 0, 2, 7, 7],
    ];

    fn stream(id: u64) -> StreamId {
        StreamId::new(id).expect("a stream")
    }

    #[test]
    fn frames_count_once_wherever_their_bytes_are_cut() {
        let whole = FRAMES.concat();
        for a in 0..=whole.len() {
            let (mut tally, counters) = (Tally::default(), Counters::default());
            let (front, back) = whole.split_at(a);
            tally.received(stream(4), front);
            tally.gather(&counters);
            tally.received(stream(4), back);
            tally.gather(&counters);
            let read = counters.read();
            let frames = read.frames_received;
            let each = (frames.stream, frames.goodbye, frames.vendor, frames.total());
            assert_eq!(each, (1, 1, 1, 3), "cut at {a}");
            assert_eq!(read.traffic.stream_bytes_received, 3);
            assert_eq!(tally.payload(stream(4)), (3, 0));
        }
    }

    #[test]
    fn only_what_quic_took_is_sent() {
        let whole = FRAMES.concat();
        let [one, two, three] = FRAMES;
        for taken in 0..=whole.len() {
            let (mut tally, counters) = (Tally::default(), Counters::default());
            tally.sent(stream(4), [one, two, three], taken);
            let rest = whole.get(taken..).expect("no more was taken");
            tally.sent(stream(4), [rest, &[], &[]], rest.len());
            tally.gather(&counters);
            let read = counters.read();
            assert_eq!(read.frames_sent.total(), 3, "{taken} taken");
            assert_eq!(read.traffic.stream_bytes_sent, 3);
        }
    }

    #[test]
    fn streams_do_not_mix_and_one_that_is_over_is_forgotten() {
        let mut tally = Tally::default();
        let [one, ..] = FRAMES;
        tally.received(stream(4), one.get(..5).expect("seven"));
        tally.received(stream(8), one);
        assert_eq!(tally.payload(stream(4)), (1, 0));
        assert_eq!(tally.payload(stream(8)), (3, 0));
        tally.forget(stream(4));
        assert_eq!(tally.payload(stream(4)), (0, 0));
        assert_eq!(tally.flows.len(), 1);
    }
}
