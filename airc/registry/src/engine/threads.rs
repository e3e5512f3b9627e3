//! The threads of an engine: workers, which check signatures and read, and the one that writes.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use airc_core::registry::Call;
use airc_core::store::Store;

use super::job::{CallJob, Job};
use super::queue::Taken;
use super::transact::transact;
use super::{EngineError, Shared};
use crate::store::{Access, Connection};

/// What waits for a worker.
pub(super) enum Work {
    /// A call: to be checked, and read for or handed on.
    Call(Box<CallJob>),
    /// Something that reads.
    Read(Box<dyn Job>),
}

/// Checks calls in front of the writer, and reads.
pub(super) fn work(shared: &Shared, connection: &mut dyn Connection) {
    while let Some(work) = shared.work.next() {
        match work {
            Work::Call(job) if job.is_abandoned() => {}
            Work::Call(mut job) => {
                let checked = catch_unwind(AssertUnwindSafe(|| {
                    check(shared, connection, &mut job.call);
                    job.call.writes()
                }));
                match checked {
                    Ok(true) => hand_on(shared, job),
                    Ok(false) => transact(shared, connection, Access::Read, vec![job]),
                    Err(_) => {
                        tracing::error!("a call panicked");
                        shared.counters.panics.add(1);
                        shared.counters.failures.add(1);
                        job.finish(Err(EngineError::Failed));
                    }
                }
            }
            Work::Read(job) => transact(shared, connection, Access::Read, vec![job]),
        }
    }
}

fn hand_on(shared: &Shared, job: Box<dyn Job>) {
    if let Err(job) = shared.writes.put(job) {
        job.finish(Err(EngineError::Stopped));
    }
}

/// Verifying takes longer than all else that a call does. If this cannot be done here, applying the
/// call does it.
fn check(shared: &Shared, connection: &mut dyn Connection, call: &mut Call) {
    let Some(signer) = call.signer().cloned() else {
        return;
    };
    let mut identity = None;
    let read = connection.read(&mut |store: &mut dyn Store| {
        identity = store.identity(&signer)?;
        Ok(())
    });
    match read {
        Ok(()) => {
            call.check(identity.as_ref(), shared.settings.clock.now());
        }
        Err(error) => tracing::warn!(%error, "a signature was not checked in advance"),
    }
}

/// Writes, many calls in one transaction, and forgets what is over.
pub(super) fn write(shared: &Shared, connection: &mut dyn Connection) {
    let mut next_expiry = Instant::now() + shared.settings.expire_every;
    loop {
        match shared.writes.take(shared.settings.batch, Some(next_expiry)) {
            Taken::Items(jobs) => transact(shared, connection, Access::Write, jobs),
            Taken::Nothing => {}
            Taken::Closed => return,
        }
        if Instant::now() >= next_expiry {
            next_expiry = Instant::now() + expire(shared, connection);
        }
        connection.tidy();
    }
}

/// Forgets some of what is over. For how long nothing needs to be forgotten.
fn expire(shared: &Shared, connection: &mut dyn Connection) -> Duration {
    let now = shared.settings.clock.now();
    let before = now.before_seconds(shared.registry.settings().retention);
    let limit = shared.settings.expire_limit;
    let mut gone = 0;
    let expired = connection.write(&mut |store: &mut dyn Store| {
        gone = store.expire(now, before, limit)?;
        Ok(())
    });
    if let Err(error) = expired {
        tracing::warn!(%error, "nothing was forgotten");
        return shared.settings.expire_every;
    }
    shared.counters.expired.add(gone);
    // From the limit on, there may be more of a kind.
    if gone < limit as u64 {
        shared.settings.expire_every
    } else {
        Duration::ZERO
    }
}

/// How a thread of an engine ends: the last worker lets the writer go, and one that panics takes the
/// engine with it.
pub(super) struct Ending {
    pub(super) shared: Arc<Shared>,
    is_worker: bool,
}

impl Ending {
    pub(super) fn of(shared: &Arc<Shared>, access: Access) -> Self {
        let is_worker = access == Access::Read;
        if is_worker {
            shared.workers.fetch_add(1, Ordering::SeqCst);
        }
        let shared = Arc::clone(shared);
        Self { shared, is_worker }
    }
}

impl Drop for Ending {
    fn drop(&mut self) {
        if std::thread::panicking() {
            tracing::error!("a thread of the engine panicked: the engine stops");
            self.shared.fail();
        } else if self.is_worker {
            self.shared.worker_ended();
        }
    }
}
