//! Storage that grows with use, up to its bounds: for machines with an allocator.

use alloc::collections::{BTreeMap, VecDeque};
use alloc::vec::Vec;

use super::{Buffer, Queue, Storage, Table};
use crate::budget::Ledger;
use crate::connection::Operation;
use crate::id::StreamId;

/// Tables that grow. [`Config::max_operations`](crate::Config::max_operations) bounds the
/// operations; an outbox holds at most 128 KiB, a control frame at most 64 KiB.
#[derive(Debug)]
pub struct Growing;

impl Storage for Growing {
    type Outbox = BoundedVec<{ 128 * 1024 }>;
    type Scratch = BoundedVec<{ 64 * 1024 }>;
    type Name = BoundedVec<2048>;
    type Operations = BTreeMap<StreamId, Operation<Self::Outbox>>;
    type Ledger = Ledger;
    type Ledgers = BTreeMap<StreamId, Ledger>;
    type Scratches = BTreeMap<StreamId, Self::Scratch>;
    type Queue = VecDeque<StreamId>;
}

/// A vector that never holds more than `MOST` bytes.
#[derive(Clone, Debug, Default)]
pub struct BoundedVec<const MOST: usize>(Vec<u8>);

impl<const MOST: usize> Buffer for BoundedVec<MOST> {
    const CAPACITY: usize = MOST;

    fn as_slice(&self) -> &[u8] {
        &self.0
    }

    fn grow(&mut self, len: usize) -> Option<&mut [u8]> {
        let start = self.0.len();
        let end = start.checked_add(len).filter(|end| *end <= MOST)?;
        self.0.resize(end, 0);
        self.0.get_mut(start..)
    }

    fn truncate(&mut self, len: usize) {
        self.0.truncate(len);
    }
}

impl<V> Table<V> for BTreeMap<StreamId, V> {
    fn get(&self, stream: StreamId) -> Option<&V> {
        BTreeMap::get(self, &stream)
    }

    fn get_mut(&mut self, stream: StreamId) -> Option<&mut V> {
        BTreeMap::get_mut(self, &stream)
    }

    fn insert(&mut self, stream: StreamId, value: V) -> Result<(), V> {
        BTreeMap::insert(self, stream, value);
        Ok(())
    }

    fn remove(&mut self, stream: StreamId) -> Option<V> {
        BTreeMap::remove(self, &stream)
    }

    fn after(&self, stream: Option<StreamId>) -> Option<StreamId> {
        use core::ops::Bound::{Excluded, Unbounded};
        let from = stream.map_or(Unbounded, Excluded);
        let mut range = self.range((from, Unbounded));
        range.next().map(|(stream, _)| *stream)
    }

    fn len(&self) -> usize {
        BTreeMap::len(self)
    }
}

impl Queue for VecDeque<StreamId> {
    fn push(&mut self, stream: StreamId) {
        self.push_back(stream);
    }

    fn pop(&mut self) -> Option<StreamId> {
        self.pop_front()
    }
}
