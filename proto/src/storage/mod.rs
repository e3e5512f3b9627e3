//! Where a connection keeps what it must remember. The state machine is one; its tables and
//! buffers are the caller's choice: [`Fixed`] sizes in a microcontroller's RAM, or [`Growing`]
//! ones on a server (feature `alloc`).

mod fixed;
#[cfg(feature = "alloc")]
mod growing;

pub use fixed::Fixed;
#[cfg(feature = "alloc")]
pub use growing::{BoundedVec, Growing};

use crate::budget::Ledger;
use crate::connection::Operation;
use crate::id::StreamId;

/// A bounded run of bytes.
pub trait Buffer: Default {
    /// The most bytes that it can hold.
    const CAPACITY: usize;

    /// What is in it.
    fn as_slice(&self) -> &[u8];

    /// Appends `len` zero bytes and hands out exactly those. `None`, and nothing changed, past
    /// the buffer's bound.
    fn grow(&mut self, len: usize) -> Option<&mut [u8]>;

    /// Drops all but the first `len` bytes.
    fn truncate(&mut self, len: usize);

    /// Appends `bytes`. `None`, and nothing changed, past the buffer's bound.
    fn append(&mut self, bytes: &[u8]) -> Option<()> {
        self.grow(bytes.len())?.copy_from_slice(bytes);
        Some(())
    }
}

/// A bounded map from streams to what is known of them.
pub trait Table<V>: Default {
    /// The value of `stream`.
    fn get(&self, stream: StreamId) -> Option<&V>;

    /// The value of `stream`, to change.
    fn get_mut(&mut self, stream: StreamId) -> Option<&mut V>;

    /// Adds `stream`, which is not in the table. Gives `value` back when the table is full.
    ///
    /// # Errors
    /// `value`, when there is no room.
    fn insert(&mut self, stream: StreamId, value: V) -> Result<(), V>;

    /// Takes `stream` out.
    fn remove(&mut self, stream: StreamId) -> Option<V>;

    /// The stream that comes after `stream` in the table's own order, or the first one.
    fn after(&self, stream: Option<StreamId>) -> Option<StreamId>;

    /// How many there are.
    fn len(&self) -> usize;

    /// Whether there is none.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// A first-in, first-out line of streams. Each stands in it at most once, so a line as long as
/// the operation table is never full.
pub trait Queue: Default {
    /// Joins the end. A full line loses nothing that is in it.
    fn push(&mut self, stream: StreamId);

    /// Leaves the front.
    fn pop(&mut self) -> Option<StreamId>;
}

/// Where an operation's ledger lives: in the table, or shared with the thread that spends from it.
pub trait LedgerCell: Default {
    /// Works on the ledger.
    fn with<R>(&mut self, work: impl FnOnce(&mut Ledger) -> R) -> R;
}

impl LedgerCell for Ledger {
    fn with<R>(&mut self, work: impl FnOnce(&mut Ledger) -> R) -> R {
        work(self)
    }
}

/// The tables and buffers of one connection.
pub trait Storage {
    /// What waits to be sent on an operation besides STREAM payloads: envelopes and control
    /// frames.
    type Outbox: Buffer;
    /// One control frame that arrives in pieces; and the control stream's outbox, HELLO included.
    type Scratch: Buffer;
    /// The peer's NodeID.
    type Name: Buffer;
    /// The live operations.
    type Operations: Table<Operation<Self::Outbox>>;
    /// One operation's ledger.
    type Ledger: LedgerCell;
    /// The ledgers of operations that have a budget.
    type Ledgers: Table<Self::Ledger>;
    /// The control frames that are arriving in pieces, one per stream.
    type Scratches: Table<Self::Scratch>;
    /// Operations that have something to say.
    type Queue: Queue;
}
