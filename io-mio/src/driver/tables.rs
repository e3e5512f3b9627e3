//! The tables of a connection on an operating system: they grow, and a ledger is shared with the
//! thread that spends from it.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, PoisonError};

use aire_proto::budget::Ledger;
use aire_proto::connection::Operation;
use aire_proto::storage::{BoundedVec, LedgerCell, Storage};
use aire_proto::{Growing, StreamId};

/// One operation's ledger: the event loop applies snapshots to it, and whoever serves the
/// operation charges it, from any thread.
#[derive(Clone, Debug, Default)]
pub struct SharedLedger(Arc<Mutex<Ledger>>);

impl SharedLedger {
    /// Works on the ledger. Nobody holds it for longer than a few instructions.
    pub fn work<R>(&self, work: impl FnOnce(&mut Ledger) -> R) -> R {
        // No call on a ledger panics half way.
        work(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl LedgerCell for SharedLedger {
    fn with<R>(&mut self, work: impl FnOnce(&mut Ledger) -> R) -> R {
        self.work(work)
    }
}

#[derive(Debug)]
pub(super) struct Tables;

impl Storage for Tables {
    type Outbox = <Growing as Storage>::Outbox;
    type Scratch = <Growing as Storage>::Scratch;
    type Name = BoundedVec<2048>;
    type Operations = BTreeMap<StreamId, Operation<Self::Outbox>>;
    type Ledger = SharedLedger;
    type Ledgers = BTreeMap<StreamId, SharedLedger>;
    type Scratches = BTreeMap<StreamId, Self::Scratch>;
    type Queue = VecDeque<StreamId>;
}
