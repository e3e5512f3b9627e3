//! What an engine has done, for metrics.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// The upper bounds of the first classes of [`EngineStats::transactions`], in milliseconds. The last
/// class has none.
pub const TRANSACTION_BOUNDS_MS: [u64; 10] = [1, 2, 5, 10, 20, 50, 100, 250, 500, 1000];

/// What an engine has done since it was opened, and what waits.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct EngineStats {
    /// How many calls, reads and writes wait or are worked on.
    pub waiting: usize,
    /// How many may.
    pub capacity: usize,
    /// How many transactions that write were committed.
    pub batches: u64,
    /// How many calls and writes were in them.
    pub batched: u64,
    /// How many transactions that read were finished.
    pub reads: u64,
    /// How many transactions were tried again.
    pub retries: u64,
    /// How many calls, reads and writes failed over the store.
    pub failures: u64,
    /// How many of them panicked: each is a bug.
    pub panics: u64,
    /// How many rows were forgotten because their time was over.
    pub expired: u64,
    /// How many committed transactions took how long, by [`TRANSACTION_BOUNDS_MS`]: from its begin
    /// until it was durable.
    pub transactions: [u64; TRANSACTION_BOUNDS_MS.len() + 1],
    /// How long they took together, in microseconds.
    pub transaction_time_us: u64,
}

/// A number that only grows.
#[derive(Debug, Default)]
pub(super) struct Counter(AtomicU64);

impl Counter {
    pub(super) fn add(&self, amount: u64) {
        self.0.fetch_add(amount, Ordering::Relaxed);
    }

    fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

#[derive(Debug, Default)]
pub(super) struct Counters {
    batches: Counter,
    batched: Counter,
    pub(super) reads: Counter,
    pub(super) retries: Counter,
    pub(super) failures: Counter,
    pub(super) panics: Counter,
    pub(super) expired: Counter,
    transactions: [Counter; TRANSACTION_BOUNDS_MS.len() + 1],
    transaction_time_us: Counter,
}

impl Counters {
    pub(super) fn committed(&self, calls: usize, took: Duration) {
        self.batches.add(1);
        self.batched.add(calls as u64);
        let us = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
        self.transaction_time_us.add(us);
        let class = TRANSACTION_BOUNDS_MS
            .iter()
            .position(|bound| us <= bound * 1000)
            .unwrap_or(TRANSACTION_BOUNDS_MS.len());
        self.transactions[class].add(1);
    }

    pub(super) fn stats(&self, waiting: usize, capacity: usize) -> EngineStats {
        EngineStats {
            waiting,
            capacity,
            batches: self.batches.get(),
            batched: self.batched.get(),
            reads: self.reads.get(),
            retries: self.retries.get(),
            failures: self.failures.get(),
            panics: self.panics.get(),
            expired: self.expired.get(),
            transactions: std::array::from_fn(|class| self.transactions[class].get()),
            transaction_time_us: self.transaction_time_us.get(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_transaction_counts_in_the_class_of_its_time() {
        let counters = Counters::default();
        counters.committed(3, Duration::from_micros(1000));
        counters.committed(1, Duration::from_micros(1001));
        counters.committed(1, Duration::from_secs(60));
        let stats = counters.stats(1, 2);
        assert_eq!((stats.batches, stats.batched), (3, 5));
        assert_eq!(stats.transactions, [1, 1, 0, 0, 0, 0, 0, 0, 0, 0, 1]);
        assert_eq!(stats.transaction_time_us, 60_002_001);
    }
}
