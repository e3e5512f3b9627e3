//! What runs a registry's decisions against its store: workers that check signatures and read, and
//! behind them one writer, which puts many calls into one transaction (group commit).
//!
//! ```text
//! call ─▶ places (bounded; full: Busy) ─▶ workers ─▶ reads: answer
//!                                             └────▶ writer: one transaction, durable, answers
//! ```
//!
//! What is answered is durable. What could not be done is undone for that call alone, and said with
//! [`EngineError::Failed`], which tells a stranger nothing; the log has the reason. A call that
//! panics fails in the same way, is counted ([`EngineStats::panics`]) and logged. A thread that
//! panics outside of a call would leave the engine without a part of itself: it stops as a whole,
//! every call gets [`EngineError::Stopped`], and [`Engine::failed`] tells the program, which should
//! end and be started again.

mod job;
mod queue;
mod stats;
mod threads;
mod transact;

use std::fmt;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError, mpsc};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use airc_core::registry::{Answer, Call, Registry};
use airc_core::store::{Store, Stored};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, TryAcquireError, oneshot, watch};

use self::job::{CallJob, Job, TaskJob, Waiting};
use self::queue::Queue;
use self::stats::Counters;
use self::threads::{Ending, Work};
use crate::clock::Clock;
use crate::store::{self, Access, Connection, Database, OpenError};

pub use self::stats::{EngineStats, TRANSACTION_BOUNDS_MS};

/// How an engine works.
#[derive(Clone, Debug)]
pub struct EngineSettings {
    /// How many calls may wait at once: beyond, [`EngineError::Busy`].
    pub queue: usize,
    /// How many calls go into one transaction.
    pub batch: usize,
    /// How many threads check signatures and read; each has a connection.
    pub workers: usize,
    /// How often a transaction is tried again that the store could not do for a passing reason. The
    /// pauses in between grow from 10 ms to 1 s.
    pub retries: u32,
    /// How often it is looked for what is to be forgotten.
    pub expire_every: Duration,
    /// How many rows of a kind are forgotten in one transaction.
    pub expire_limit: usize,
    /// What time it is.
    pub clock: Clock,
}

impl Default for EngineSettings {
    fn default() -> Self {
        let cores = thread::available_parallelism().map_or(2, usize::from);
        Self {
            queue: 4096,
            batch: 512,
            workers: cores.clamp(2, 16),
            retries: 8,
            expire_every: Duration::from_secs(10),
            expire_limit: 2000,
            clock: Clock::system(),
        }
    }
}

/// Why an engine did not do something.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum EngineError {
    /// The database could not be opened.
    Open(OpenError),
    /// Too much waits already. Nothing was done; try again in a moment.
    Busy,
    /// The store could not do it; the log says why. Nothing was done, unless the database went away
    /// just when it should have said so.
    Failed,
    /// The engine was stopped, or has failed. Nothing was done.
    Stopped,
}

impl fmt::Display for EngineError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Open(error) => error.fmt(f),
            Self::Busy => f.write_str("too many calls wait already: try again in a moment"),
            Self::Failed => f.write_str("the registry cannot do this now: try again later"),
            Self::Stopped => f.write_str("the registry is stopping: try again later"),
        }
    }
}

impl std::error::Error for EngineError {}

/// A registry with its store. Clones are the same engine; it ends, after what it has taken is
/// finished, when it is [stopped](Engine::stop) or the last one is dropped.
#[derive(Clone, Debug)]
pub struct Engine {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    shared: Arc<Shared>,
    threads: Mutex<Vec<JoinHandle<()>>>,
}

impl Drop for Inner {
    fn drop(&mut self) {
        self.shared.close();
    }
}

/// What the threads share with those that call.
pub(crate) struct Shared {
    registry: Arc<Registry>,
    settings: EngineSettings,
    /// A place for everything that waits.
    places: Arc<Semaphore>,
    work: Queue<Work>,
    writes: Queue<Box<dyn Job>>,
    /// How many have not ended.
    workers: AtomicUsize,
    counters: Counters,
    failed: watch::Sender<bool>,
}

impl fmt::Debug for Shared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Shared")
            .field("settings", &self.settings)
            .field("counters", &self.counters)
            .finish_non_exhaustive()
    }
}

impl Shared {
    /// Takes nothing more in. What was taken goes its way.
    fn close(&self) {
        self.places.close();
        self.work.close();
    }

    fn worker_ended(&self) {
        if self.workers.fetch_sub(1, Ordering::SeqCst) == 1 {
            self.writes.close();
        }
    }

    /// Nothing goes its way any more: whoever waits is told by the loss of what it waits for.
    fn fail(&self) {
        self.places.close();
        drop(self.work.abandon());
        drop(self.writes.abandon());
        self.failed.send_replace(true);
    }
}

impl Engine {
    /// Opens a database, makes its tables if they are missing, and starts the threads.
    ///
    /// It waits for the database: not for a thread that runs asynchronous tasks.
    ///
    /// # Errors
    /// [`EngineError::Open`].
    pub fn open(
        database: &Database,
        registry: Arc<Registry>,
        settings: EngineSettings,
    ) -> Result<Self, EngineError> {
        let workers = settings.workers.max(1);
        let places = settings.queue.clamp(1, Semaphore::MAX_PERMITS);
        let shared = Arc::new(Shared {
            registry,
            places: Arc::new(Semaphore::new(places)),
            work: Queue::new(),
            writes: Queue::new(),
            workers: AtomicUsize::new(0),
            counters: Counters::default(),
            failed: watch::Sender::new(false),
            settings: EngineSettings {
                queue: places,
                ..settings
            },
        });
        // Counts as a worker until all are there. Should one not start, the others end with this.
        let _opener = Ending::of(&shared, Access::Read);
        let engine = Self {
            inner: Arc::new(Inner {
                shared,
                threads: Mutex::new(Vec::new()),
            }),
        };
        // The writer first: it makes the tables.
        engine.start(database, "airc-writer".to_owned(), Access::Write)?;
        for number in 1..=workers {
            engine.start(database, format!("airc-worker-{number}"), Access::Read)?;
        }
        Ok(engine)
    }

    /// Starts a thread, and waits until it has its connection.
    fn start(&self, database: &Database, name: String, access: Access) -> Result<(), EngineError> {
        let (opened, has_opened) = mpsc::channel();
        let ending = Ending::of(&self.inner.shared, access);
        let (database, at) = (database.clone(), database.to_string());
        let run = move || {
            let ending = ending;
            let mut connection = match store::open(&database, access) {
                Ok(connection) => connection,
                Err(error) => {
                    // If nobody waits for it, the opener has given up.
                    let _gone = opened.send(Err(error));
                    return;
                }
            };
            if opened.send(Ok(())).is_err() {
                return;
            }
            let connection: &mut dyn Connection = &mut *connection;
            match access {
                Access::Read => threads::work(&ending.shared, connection),
                Access::Write => threads::write(&ending.shared, connection),
            }
        };
        let failed = |reason: String| {
            let database = at.clone();
            EngineError::Open(OpenError::Failed { database, reason })
        };
        let thread = thread::Builder::new()
            .name(name)
            .spawn(run)
            .map_err(|error| failed(error.to_string()))?;
        let mut threads = self.threads();
        threads.push(thread);
        drop(threads);
        match has_opened.recv() {
            Ok(opened) => opened.map_err(EngineError::Open),
            Err(_) => Err(failed("it was not opened: see the log".to_owned())),
        }
    }

    fn threads(&self) -> std::sync::MutexGuard<'_, Vec<JoinHandle<()>>> {
        self.inner
            .threads
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    /// Does what a call asks for. When it has changed something, that is durable when this returns.
    ///
    /// Dropping the future before leaves it open whether the call is done.
    ///
    /// # Errors
    /// [`EngineError::Busy`], [`EngineError::Failed`] or [`EngineError::Stopped`].
    pub async fn call(&self, call: Call) -> Result<Answer, EngineError> {
        let (waiting, answer) = Waiting::new(self.place()?);
        let job = Box::new(CallJob {
            registry: Arc::clone(&self.inner.shared.registry),
            call,
            answer: None,
            waiting,
        });
        self.put(Work::Call(job))?;
        result(answer).await
    }

    /// Reads one state of the store. The task may run more than once.
    ///
    /// # Errors
    /// [`EngineError::Busy`], [`EngineError::Failed`] or [`EngineError::Stopped`].
    pub async fn read<T: Send + 'static>(
        &self,
        task: impl FnMut(&mut dyn Store) -> Stored<T> + Send + 'static,
    ) -> Result<T, EngineError> {
        let (job, result_of) = self.task(task)?;
        self.put(Work::Read(job))?;
        result(result_of).await
    }

    /// Changes the store. The task may run more than once, of which only the last one counts; what it
    /// has changed is durable when this returns.
    ///
    /// # Errors
    /// [`EngineError::Busy`], [`EngineError::Failed`] or [`EngineError::Stopped`].
    pub async fn write<T: Send + 'static>(
        &self,
        task: impl FnMut(&mut dyn Store) -> Stored<T> + Send + 'static,
    ) -> Result<T, EngineError> {
        let (job, result_of) = self.task(task)?;
        let put = self.inner.shared.writes.put(job);
        put.map_err(|_| EngineError::Stopped)?;
        result(result_of).await
    }

    #[expect(clippy::type_complexity, reason = "two things, for two functions")]
    fn task<T: Send + 'static>(
        &self,
        task: impl FnMut(&mut dyn Store) -> Stored<T> + Send + 'static,
    ) -> Result<(Box<dyn Job>, oneshot::Receiver<Result<T, EngineError>>), EngineError> {
        let (waiting, result_of) = Waiting::new(self.place()?);
        let job = TaskJob {
            task,
            result: None,
            waiting,
        };
        Ok((Box::new(job), result_of))
    }

    fn place(&self) -> Result<OwnedSemaphorePermit, EngineError> {
        let places = Arc::clone(&self.inner.shared.places);
        places.try_acquire_owned().map_err(|error| match error {
            TryAcquireError::NoPermits => EngineError::Busy,
            TryAcquireError::Closed => EngineError::Stopped,
        })
    }

    fn put(&self, work: Work) -> Result<(), EngineError> {
        let put = self.inner.shared.work.put(work);
        put.map_err(|_| EngineError::Stopped)
    }

    /// Takes nothing more in, finishes what was taken, closes the database, and ends the threads; of
    /// all clones of the engine.
    pub async fn stop(self) {
        self.inner.shared.close();
        let threads = std::mem::take(&mut *self.threads());
        let join = move || {
            for thread in threads {
                // One that panicked has said so.
                let _panicked = thread.join();
            }
        };
        // The runtime may be going down itself: then they end by themselves.
        let _aborted = tokio::task::spawn_blocking(join).await;
    }

    /// Waits until the engine has failed: a thread of it is gone, and every call gets
    /// [`EngineError::Stopped`]. The program should end.
    pub async fn failed(&self) {
        let mut failed = self.inner.shared.failed.subscribe();
        if failed.wait_for(|failed| *failed).await.is_err() {
            // The sender is in what `self` holds.
            std::future::pending::<()>().await;
        }
    }

    /// Whether the engine takes calls: it has neither failed nor been stopped.
    #[must_use]
    pub fn is_running(&self) -> bool {
        !self.inner.shared.places.is_closed()
    }

    /// What it has done.
    #[must_use]
    pub fn stats(&self) -> EngineStats {
        let shared = &self.inner.shared;
        let capacity = shared.settings.queue;
        let free = shared.places.available_permits();
        shared
            .counters
            .stats(capacity.saturating_sub(free), capacity)
    }

    /// The registry that decides.
    #[must_use]
    pub fn registry(&self) -> &Arc<Registry> {
        &self.inner.shared.registry
    }

    /// The clock that it goes by.
    #[must_use]
    pub fn clock(&self) -> &Clock {
        &self.inner.shared.settings.clock
    }
}

/// A job that is dropped instead of finished was one of an engine that failed.
async fn result<T>(receiver: oneshot::Receiver<Result<T, EngineError>>) -> Result<T, EngineError> {
    receiver.await.unwrap_or(Err(EngineError::Stopped))
}
