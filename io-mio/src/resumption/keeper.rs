//! What a node keeps of its resumable operations: one thread that looks after all of them.

use std::collections::HashMap;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use tracing::{debug, error, warn};

use super::Resumable;
use super::kept::{Kept, Tokens};
use crate::driver::unix_now;
use crate::metrics::count;
use crate::operation::{About, Operation};
use crate::store::{OperationKey, Record, ResumeStore, StoreError};

/// How often it looks.
const TICK: Duration = Duration::from_millis(250);

/// Every so many looks the store forgets what is past its time.
const SWEEP_TICKS: u64 = 20;

/// For so long a node is believed to work on an operation after it last said so.
pub(super) const LEASE: Duration = Duration::from_secs(10);

/// A node's resumable agents, and the operations of theirs that are live.
pub(crate) struct Keeper {
    pub(super) store: Arc<dyn ResumeStore>,
    agents: HashMap<String, Resumable>,
    /// Whether a token is good for other identities than the initiator's (`GAP-17`).
    pub(super) anyone: bool,
    /// The DID of this node.
    node: String,
    table: Mutex<Table>,
    stopped: Condvar,
}

#[derive(Default)]
struct Table {
    /// The operations that this node works on.
    live: HashMap<OperationKey, Arc<Kept>>,
    /// Who speaks with the initiator of a resumed operation on this node.
    pumps: HashMap<OperationKey, Arc<Tokens>>,
    over: bool,
}

impl Keeper {
    pub(crate) fn new(
        store: Arc<dyn ResumeStore>,
        agents: HashMap<String, Resumable>,
        anyone: bool,
        node: String,
    ) -> Arc<Self> {
        Arc::new(Self {
            store,
            agents,
            anyone,
            node,
            table: Mutex::default(),
            stopped: Condvar::new(),
        })
    }

    /// Starts the thread.
    pub(crate) fn start(self: &Arc<Self>) -> std::io::Result<JoinHandle<()>> {
        let keeper = self.clone();
        thread::Builder::new()
            .name("aire-keeper".into())
            .spawn(move || keeper.run())
    }

    fn lock(&self) -> MutexGuard<'_, Table> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn run(&self) {
        let mut ticks = 0_u64;
        loop {
            let table = self.lock();
            let waited = self.stopped.wait_timeout_while(table, TICK, |it| !it.over);
            let table = waited.unwrap_or_else(PoisonError::into_inner).0;
            if table.over {
                return;
            }
            let live: Vec<_> = table.live.values().cloned().collect();
            let pumps: Vec<_> = table.pumps.values().cloned().collect();
            drop(table);
            for kept in live {
                let here = self.lock().pumps.contains_key(&kept.key());
                kept.tick(here);
            }
            for pump in pumps {
                self.renew(&pump);
            }
            if ticks.is_multiple_of(SWEEP_TICKS)
                && let Err(error) = self.store.sweep(unix_now())
            {
                debug!(%error, "the resume store was not swept");
            }
            ticks = ticks.wrapping_add(1);
        }
    }

    /// Gives the initiator of a resumed operation another token in time.
    fn renew(&self, pump: &Tokens) {
        if !pump.is_due(unix_now()) {
            return;
        }
        match pump.renew(&*self.store) {
            Ok(until) => {
                if let Some(kept) = self.worker(&pump.key) {
                    kept.wanted_until(until);
                }
            }
            // It is tried again; the pump meets the same store, and says so.
            Err(error) => debug!(%error, "no further resumption token"),
        }
    }

    /// How operations of this agent can be resumed; `None` when they cannot.
    pub(crate) fn agent(&self, agent: &str) -> Option<Resumable> {
        self.agents.get(agent).copied()
    }

    /// Begins to keep an operation, before its handler runs and on its thread. Should the store
    /// fail, it is served as one that cannot be resumed.
    pub(crate) fn keep(self: &Arc<Self>, how: Resumable, operation: &mut Operation) {
        let (shared, mailbox) = operation.parts();
        if !shared.keep(how.limits()) {
            return;
        }
        match self.open(how, operation.about()) {
            Ok(key) => {
                let tokens = Tokens::new(key, how, shared.clone(), mailbox.clone());
                let kept = Kept::new(tokens, self.clone());
                if let Err(error) = kept.renew() {
                    kept.forsake(&error);
                    return;
                }
                self.lock().live.insert(key, kept.clone());
                operation.kept_by(kept);
            }
            Err(error) => {
                warn!(%error, "this operation cannot be resumed");
                count(&mailbox.counters.store_failures);
                shared.forsake();
            }
        }
    }

    fn open(&self, how: Resumable, about: &About) -> Result<OperationKey, StoreError> {
        let key = OperationKey::random()?;
        let record = Record {
            owner: about.peer.clone(),
            agent: about.agent.clone(),
            operation: about.operation.clone(),
            node: self.node.clone(),
            limits: how.limits(),
        };
        self.store.open(&key, &record, LEASE, unix_now())?;
        Ok(key)
    }

    /// Whoever works on the operation on this node.
    pub(super) fn worker(&self, key: &OperationKey) -> Option<Arc<Kept>> {
        self.lock().live.get(key).cloned()
    }

    /// The operation has ended, or can no longer be resumed.
    pub(super) fn release(&self, key: &OperationKey) {
        self.lock().live.remove(key);
    }

    /// From now on `pump` speaks with the initiator. Returns who did so before. `None` when the
    /// node stops.
    pub(super) fn attend(&self, pump: &Arc<Tokens>) -> Option<Option<Arc<Tokens>>> {
        let mut table = self.lock();
        if table.over {
            return None;
        }
        Some(table.pumps.insert(pump.key, pump.clone()))
    }

    /// `pump` no longer speaks with the initiator. Whether it was the last one that did.
    pub(super) fn leave(&self, pump: &Arc<Tokens>) -> bool {
        let mut table = self.lock();
        let last = table
            .pumps
            .get(&pump.key)
            .is_some_and(|it| Arc::ptr_eq(it, pump));
        if last {
            table.pumps.remove(&pump.key);
        }
        last
    }

    /// Ends all operations that outlived their connection, and says so to whoever comes back for
    /// them.
    pub(crate) fn stop(&self, thread: JoinHandle<()>) {
        let mut table = self.lock();
        table.over = true;
        let live: Vec<_> = table.live.drain().map(|(_, kept)| kept).collect();
        table.pumps.clear();
        drop(table);
        self.stopped.notify_all();
        if thread.join().is_err() {
            error!("the thread that keeps resumable operations panicked");
        }
        for kept in live {
            kept.stop();
        }
    }
}
