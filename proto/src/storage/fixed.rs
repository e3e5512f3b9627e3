//! Storage of fixed size, in place: for machines without an allocator.

use heapless::{Deque, LinearMap, Vec};

use super::{Buffer, Queue, Storage, Table};
use crate::budget::Ledger;
use crate::connection::Operation;
use crate::id::StreamId;

/// Room for `OPS` operations with outboxes of `OUTBOX` bytes, and for `SCRATCHES` control frames
/// of up to `SCRATCH` bytes that arrive in pieces at the same time.
///
/// A peer's HELLO and our own take a scratch each, so `SCRATCH` is at least their size: 512 bytes
/// hold one with a `did:key` and a few capabilities. When every scratch is taken, a further cut
/// frame waits in the transport.
#[derive(Debug)]
pub struct Fixed<
    const OPS: usize,
    const OUTBOX: usize,
    const SCRATCHES: usize,
    const SCRATCH: usize,
>;

impl<const OPS: usize, const OUTBOX: usize, const SCRATCHES: usize, const SCRATCH: usize> Storage
    for Fixed<OPS, OUTBOX, SCRATCHES, SCRATCH>
{
    type Outbox = Vec<u8, OUTBOX, u16>;
    type Scratch = Vec<u8, SCRATCH>;
    type Name = Vec<u8, 256, u16>;
    type Operations = LinearMap<StreamId, Operation<Self::Outbox>, OPS>;
    type Ledger = Ledger;
    type Ledgers = LinearMap<StreamId, Ledger, OPS>;
    type Scratches = LinearMap<StreamId, Self::Scratch, SCRATCHES>;
    type Queue = Deque<StreamId, OPS>;
}

impl<L: heapless::LenType, const N: usize> Buffer for Vec<u8, N, L> {
    const CAPACITY: usize = N;

    fn as_slice(&self) -> &[u8] {
        self
    }

    fn grow(&mut self, len: usize) -> Option<&mut [u8]> {
        let start = self.len();
        self.resize(start.checked_add(len)?, 0).ok()?;
        self.get_mut(start..)
    }

    fn truncate(&mut self, len: usize) {
        Vec::truncate(self, len);
    }

    fn append(&mut self, bytes: &[u8]) -> Option<()> {
        self.extend_from_slice(bytes).ok()
    }
}

impl<V, const N: usize> Table<V> for LinearMap<StreamId, V, N> {
    fn get(&self, stream: StreamId) -> Option<&V> {
        LinearMap::get(self, &stream)
    }

    fn get_mut(&mut self, stream: StreamId) -> Option<&mut V> {
        LinearMap::get_mut(self, &stream)
    }

    fn insert(&mut self, stream: StreamId, value: V) -> Result<(), V> {
        LinearMap::insert(self, stream, value)
            .map(|_| ())
            .map_err(|(_, value)| value)
    }

    fn remove(&mut self, stream: StreamId) -> Option<V> {
        LinearMap::remove(self, &stream)
    }

    fn after(&self, stream: Option<StreamId>) -> Option<StreamId> {
        // The map's own order changes with removals; the ids' order does not.
        self.keys()
            .copied()
            .filter(|key| stream.is_none_or(|stream| *key > stream))
            .min()
    }

    fn len(&self) -> usize {
        LinearMap::len(self)
    }
}

impl<const N: usize> Queue for Deque<StreamId, N> {
    fn push(&mut self, stream: StreamId) {
        let pushed = self.push_back(stream);
        debug_assert!(pushed.is_ok(), "a stream stands in line once");
    }

    fn pop(&mut self) -> Option<StreamId> {
        self.pop_front()
    }
}
