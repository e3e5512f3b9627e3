//! What happens in a node or a client, counted.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// Counters since the start. All only ever grow.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Metrics {
    /// Operations that this side served.
    pub served: u64,
    /// How often a producer waited for its budget (`BUD-9`).
    pub budget_stalls: u64,
    /// For how long in all.
    pub budget_stalled: Duration,
    /// How often a producer waited for QUIC: the peer, or the path, took no more bytes (`BUD-9`).
    pub transport_stalls: u64,
    /// For how long in all.
    pub transport_stalled: Duration,
    /// Operations that went on without their connection.
    pub detached: u64,
    /// Operations that were resumed.
    pub resumed: u64,
    /// RESUME frames that were refused.
    pub resumes_refused: u64,
    /// Operations that cannot be resumed because their store failed.
    pub store_failures: u64,
    /// Operations handed on to other nodes.
    pub delegated: u64,
    /// Operations refused because they came in a circle, or from too far.
    pub circles_refused: u64,
}

/// The counters themselves.
#[derive(Debug, Default)]
pub(crate) struct Counters {
    pub(crate) served: AtomicU64,
    budget_stalls: AtomicU64,
    budget_stalled: AtomicU64,
    transport_stalls: AtomicU64,
    transport_stalled: AtomicU64,
    pub(crate) detached: AtomicU64,
    pub(crate) resumed: AtomicU64,
    pub(crate) resumes_refused: AtomicU64,
    pub(crate) store_failures: AtomicU64,
    pub(crate) delegated: AtomicU64,
    pub(crate) circles_refused: AtomicU64,
}

/// Adds one.
pub(crate) fn count(counter: &AtomicU64) {
    counter.fetch_add(1, Ordering::Relaxed);
}

impl Counters {
    pub(crate) fn stalled_by_budget(&self, time: Duration) {
        count(&self.budget_stalls);
        self.budget_stalled
            .fetch_add(micros(time), Ordering::Relaxed);
    }

    pub(crate) fn stalled_by_transport(&self, time: Duration) {
        count(&self.transport_stalls);
        self.transport_stalled
            .fetch_add(micros(time), Ordering::Relaxed);
    }

    pub(crate) fn read(&self) -> Metrics {
        let get = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        Metrics {
            served: get(&self.served),
            budget_stalls: get(&self.budget_stalls),
            budget_stalled: Duration::from_micros(get(&self.budget_stalled)),
            transport_stalls: get(&self.transport_stalls),
            transport_stalled: Duration::from_micros(get(&self.transport_stalled)),
            detached: get(&self.detached),
            resumed: get(&self.resumed),
            resumes_refused: get(&self.resumes_refused),
            store_failures: get(&self.store_failures),
            delegated: get(&self.delegated),
            circles_refused: get(&self.circles_refused),
        }
    }
}

fn micros(time: Duration) -> u64 {
    u64::try_from(time.as_micros()).unwrap_or(u64::MAX)
}
