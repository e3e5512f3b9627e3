//! What is told, and what is written down to check it.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use aire_examples::line;
use aire_mio::{BranchEnd, CancelReason};

/// Tells what `who` does.
pub(crate) fn say(who: &str, direction: &str, frame: &str, rest: &str) {
    println!(
        "{}",
        line(&format!("{who:<11}"), direction, frame, None, rest)
    );
}

/// The program fails unless `claim` is true.
pub(crate) fn check(holds: bool, claim: &str) -> Result<(), String> {
    if holds {
        println!("  yes: {claim}");
        Ok(())
    } else {
        Err(format!("not true: {claim}"))
    }
}

/// What all workers did, counted apart from the library's own books.
#[derive(Default)]
pub(crate) struct Story {
    allowed: AtomicU64,
    spent: AtomicU64,
    overspent: AtomicBool,
    ends: Mutex<Vec<BranchEnd>>,
    cancelled: Mutex<Vec<CancelReason>>,
    changed: Condvar,
}

impl Story {
    /// The caller allows so many tokens, of all that were ever spent.
    pub(crate) fn allow(&self, total: u64) {
        self.allowed.store(total, Ordering::SeqCst);
    }

    pub(crate) fn allowed(&self) -> u64 {
        self.allowed.load(Ordering::SeqCst)
    }

    /// A worker has spent one token.
    pub(crate) fn spend(&self) {
        if self.spent.fetch_add(1, Ordering::SeqCst) >= self.allowed() {
            self.overspent.store(true, Ordering::SeqCst);
        }
    }

    pub(crate) fn spent(&self) -> u64 {
        self.spent.load(Ordering::SeqCst)
    }

    /// Whether there ever was more spent than allowed.
    pub(crate) fn was_overspent(&self) -> bool {
        self.overspent.load(Ordering::SeqCst)
    }

    pub(crate) fn ended(&self, ends: Vec<BranchEnd>) {
        *lock(&self.ends) = ends;
    }

    pub(crate) fn ends(&self) -> Vec<BranchEnd> {
        lock(&self.ends).clone()
    }

    /// A worker was cancelled.
    pub(crate) fn cancel(&self, reason: CancelReason) {
        lock(&self.cancelled).push(reason);
        self.changed.notify_all();
    }

    /// How workers were cancelled, once `count` were, or `most` is over.
    pub(crate) fn cancelled(&self, count: usize, most: Duration) -> Vec<CancelReason> {
        let fewer = |reasons: &mut Vec<CancelReason>| reasons.len() < count;
        let waited = self
            .changed
            .wait_timeout_while(lock(&self.cancelled), most, fewer);
        waited.unwrap_or_else(PoisonError::into_inner).0.clone()
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
