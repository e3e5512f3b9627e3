//! Storage whose tables grow, with the buffers of [`Roomy`](super::support::script::Roomy): both
//! must do the same.

use std::collections::{BTreeMap, VecDeque};

use aire_proto::connection::Operation;
use aire_proto::storage::{BoundedVec, Storage};
use aire_proto::{Ledger, StreamId};

/// Tables that grow, buffers that do not.
#[derive(Debug)]
pub(crate) struct Bounded;

impl Storage for Bounded {
    type Outbox = BoundedVec<256>;
    type Scratch = BoundedVec<1024>;
    type Name = BoundedVec<256>;
    type Operations = BTreeMap<StreamId, Operation<Self::Outbox>>;
    type Ledger = Ledger;
    type Ledgers = BTreeMap<StreamId, Ledger>;
    type Scratches = BTreeMap<StreamId, Self::Scratch>;
    type Queue = VecDeque<StreamId>;
}
