//! A transaction of jobs: tried again when that may help, and never undone for all because of one.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::thread;
use std::time::{Duration, Instant};

use airc_core::store::{Store, StoreError, Stored};

use super::job::Job;
use super::{EngineError, Shared};
use crate::store::{Access, Connection};

/// How many jobs a transaction may lose before it fails as a whole: the store fails, then, and not
/// the jobs.
const MAX_LOST: usize = 16;

const FIRST_PAUSE: Duration = Duration::from_millis(10);
const LONGEST_PAUSE: Duration = Duration::from_secs(1);

/// What happened in a transaction that was not committed.
struct Undone {
    error: StoreError,
    /// Which job was at it.
    culprit: Option<usize>,
    panicked: bool,
}

/// Runs jobs in one transaction, and tells each what came of it.
pub(super) fn transact(
    shared: &Shared,
    connection: &mut dyn Connection,
    access: Access,
    mut jobs: Vec<Box<dyn Job>>,
) {
    let (mut tried, mut lost) = (0, 0);
    loop {
        jobs.retain(|job| !job.is_abandoned());
        if jobs.is_empty() {
            return;
        }
        let began = Instant::now();
        let undone = match attempt(shared, connection, access, &mut jobs) {
            Ok(()) => {
                match access {
                    Access::Write => shared.counters.committed(jobs.len(), began.elapsed()),
                    Access::Read => shared.counters.reads.add(1),
                }
                jobs.into_iter().for_each(|job| job.finish(Ok(())));
                return;
            }
            Err(undone) => undone,
        };
        if undone.error.transient && tried < shared.settings.retries {
            tracing::warn!(error = %undone.error, tried, "a transaction is tried again");
            shared.counters.retries.add(1);
            thread::sleep(pause(tried));
            tried += 1;
            continue;
        }
        tracing::error!(error = %undone.error, "a transaction failed");
        if undone.panicked {
            shared.counters.panics.add(1);
        }
        let failed = match undone.culprit {
            Some(culprit) if !undone.error.transient && lost < MAX_LOST => {
                lost += 1;
                vec![jobs.remove(culprit)]
            }
            _ => std::mem::take(&mut jobs),
        };
        shared.counters.failures.add(failed.len() as u64);
        for job in failed {
            job.finish(Err(EngineError::Failed));
        }
    }
}

fn pause(tried: u32) -> Duration {
    FIRST_PAUSE
        .saturating_mul(2_u32.saturating_pow(tried))
        .min(LONGEST_PAUSE)
}

fn attempt(
    shared: &Shared,
    connection: &mut dyn Connection,
    access: Access,
    jobs: &mut [Box<dyn Job>],
) -> Result<(), Undone> {
    let now = shared.settings.clock.now();
    let (mut culprit, mut panicked) = (None, false);
    let mut work = |store: &mut dyn Store| -> Stored<()> {
        for (index, job) in jobs.iter_mut().enumerate() {
            culprit = Some(index);
            // The store undoes all that a job has done, so that nothing half-done is ever seen.
            let run = catch_unwind(AssertUnwindSafe(|| job.run(now, store)));
            run.unwrap_or_else(|_| {
                panicked = true;
                Err(StoreError {
                    message: "a call panicked".to_owned(),
                    transient: false,
                })
            })?;
        }
        culprit = None;
        Ok(())
    };
    let result = match access {
        Access::Write => connection.write(&mut work),
        Access::Read => connection.read(&mut work),
    };
    result.map_err(|error| Undone {
        error,
        culprit,
        panicked,
    })
}
