//! Tests of the whole table: the rules of RFC 9000, any frames at all, and a lossy network.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects
)]

mod hostile;
mod model;
mod rules;
mod simulation;

use super::*;

/// Memory for a few streams.
struct Memory {
    slots: std::vec::Vec<Slot>,
    rx: std::vec::Vec<u8>,
    tx: std::vec::Vec<u8>,
}

impl Memory {
    fn new(slots: usize, rx: usize, tx: usize) -> Self {
        Self {
            slots: (0..slots).map(|_| Slot::new()).collect(),
            rx: std::vec![0; slots * rx],
            tx: std::vec![0; slots * tx],
        }
    }

    fn streams(&mut self, peer_streams: u8) -> Streams<'_> {
        Streams::new(&mut self.slots, &mut self.rx, &mut self.tx, peer_streams)
    }
}

fn id(id: u64) -> StreamId {
    StreamId::new(id).unwrap()
}
