//! The load itself.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use aire_mio::{Client, Failure, Received};
use hdrhistogram::Histogram;

use crate::Error;
use crate::common::dial::Call;
use crate::common::interrupt::Interrupts;

/// What to do to a node.
pub(super) struct Load<'a> {
    pub(super) call: &'a Call,
    pub(super) arguments: &'a [u8],
    pub(super) concurrency: u32,
    pub(super) timeout: Duration,
    pub(super) warm_up: Duration,
    pub(super) stop: Stop,
}

/// When it is enough.
#[derive(Clone, Copy, Debug)]
pub(super) enum Stop {
    /// So many operations.
    After(u64),
    /// So long.
    At(Duration),
}

/// What came of it.
pub(super) struct Done {
    pub(super) books: Books,
    /// From the first operation that counts to the end of the last one.
    pub(super) took: Duration,
    /// Somebody pressed Ctrl-C.
    pub(super) interrupted: bool,
}

/// What one thread, or all, counted.
pub(super) struct Books {
    /// Microseconds from INVOKE to the end, of those that completed.
    pub(super) whole: Histogram<u64>,
    /// Microseconds from INVOKE to the first STREAM, of those with any.
    pub(super) first: Histogram<u64>,
    pub(super) frames: u64,
    pub(super) bytes: u64,
    /// How many failed, by what they said.
    pub(super) errors: BTreeMap<String, u64>,
}

/// What the threads look at.
struct Shared {
    /// How many may still begin.
    left: AtomicU64,
    over: AtomicBool,
}

impl Load<'_> {
    pub(super) fn run(&self, clients: &[Client], interrupts: &Interrupts) -> Result<Done, Error> {
        if !self.warm_up.is_zero() {
            let warm_up = Stop::At(self.warm_up);
            self.phase(clients, interrupts, warm_up)?;
        }
        let began = Instant::now();
        let books = self.phase(clients, interrupts, self.stop)?;
        Ok(Done {
            books,
            took: began.elapsed(),
            interrupted: interrupts.came_yet(),
        })
    }

    fn phase(
        &self,
        clients: &[Client],
        interrupts: &Interrupts,
        stop: Stop,
    ) -> Result<Books, Error> {
        let (left, until) = match stop {
            Stop::After(operations) => (operations, None),
            Stop::At(time) => (u64::MAX, Instant::now().checked_add(time)),
        };
        let shared = Shared {
            left: AtomicU64::new(left),
            over: AtomicBool::new(interrupts.came_yet()),
        };
        let mut books = Books::new()?;
        let ended = thread::scope(|scope| {
            let threads: Vec<_> = clients
                .iter()
                .flat_map(|client| (0..self.concurrency).map(move |_| client))
                .map(|client| {
                    let shared = &shared;
                    scope.spawn(move || {
                        let books = self.work(client, shared);
                        interrupts.bell().ring();
                        books
                    })
                })
                .collect();
            while !threads.iter().all(|thread| thread.is_finished()) {
                // A thread rings just before it has ended, so the bell alone does not do.
                let look = Instant::now().checked_add(LOOK);
                interrupts.bell().wait(until.min(look).or(look));
                let late = until.is_some_and(|until| Instant::now() >= until);
                if interrupts.came_yet() || late {
                    shared.over.store(true, Ordering::Relaxed);
                }
            }
            threads
                .into_iter()
                .map(|thread| thread.join())
                .collect::<Vec<_>>()
        });
        for one in ended {
            let one = one.map_err(|_| Error::Failed("a thread of the load panicked".into()))?;
            books.add(&one?)?;
        }
        Ok(books)
    }

    /// One operation after the other.
    fn work(&self, client: &Client, shared: &Shared) -> Result<Books, Error> {
        let mut books = Books::new()?;
        while !shared.is_over() && shared.take() {
            match self.once(client, shared, &mut books) {
                Ok(()) => {}
                Err(Abort::Cut) => break,
                Err(Abort::Failed(kind)) => {
                    let count = books.errors.entry(kind).or_default();
                    *count = count.saturating_add(1);
                    if client.closed().is_some() {
                        break;
                    }
                }
            }
        }
        Ok(books)
    }

    fn once(&self, client: &Client, shared: &Shared, books: &mut Books) -> Result<(), Abort> {
        let began = Instant::now();
        let opened = client.invoke(&self.call.agent, &self.call.operation, self.arguments);
        let mut operation = opened.map_err(|error| Abort::Failed(error.to_string()))?;
        operation.finish();
        let mut first = None;
        loop {
            let left = self.timeout.saturating_sub(began.elapsed());
            match operation.recv_frame_within(left.min(LOOK)) {
                Ok(Some(Received::Stream(payload))) => {
                    first.get_or_insert_with(|| began.elapsed());
                    books.frames = books.frames.saturating_add(1);
                    books.bytes = books.bytes.saturating_add(payload.len() as u64);
                }
                Ok(Some(_)) => {}
                Ok(None) => break,
                Err(Failure::TimedOut) if shared.is_over() => return Err(Abort::Cut),
                Err(Failure::TimedOut) if began.elapsed() < self.timeout => {}
                Err(failure) => return Err(Abort::Failed(kind(&failure))),
            }
        }
        books.whole.saturating_record(micros(began.elapsed()));
        if let Some(first) = first {
            books.first.saturating_record(micros(first));
        }
        Ok(())
    }
}

/// Why an operation does not count as one that completed.
enum Abort {
    /// Time was up while it ran.
    Cut,
    Failed(String),
}

impl Shared {
    fn is_over(&self) -> bool {
        self.over.load(Ordering::Relaxed)
    }

    /// Whether one more may begin.
    fn take(&self) -> bool {
        let less = |left: u64| left.checked_sub(1);
        let taken = self
            .left
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, less);
        taken.is_ok()
    }
}

impl Books {
    fn new() -> Result<Self, Error> {
        let histogram = || {
            Histogram::new_with_bounds(1, LONGEST, DIGITS)
                .map_err(|error| Error::Failed(format!("no histogram: {error}")))
        };
        Ok(Self {
            whole: histogram()?,
            first: histogram()?,
            frames: 0,
            bytes: 0,
            errors: BTreeMap::new(),
        })
    }

    fn add(&mut self, other: &Self) -> Result<(), Error> {
        let failed = |error| Error::Failed(format!("histograms do not add up: {error}"));
        self.whole.add(&other.whole).map_err(failed)?;
        self.first.add(&other.first).map_err(failed)?;
        self.frames = self.frames.saturating_add(other.frames);
        self.bytes = self.bytes.saturating_add(other.bytes);
        for (kind, count) in &other.errors {
            let sum = self.errors.entry(kind.clone()).or_default();
            *sum = sum.saturating_add(*count);
        }
        Ok(())
    }

    /// How many completed.
    pub(super) fn completed(&self) -> u64 {
        self.whole.len()
    }

    /// How many failed.
    pub(super) fn failed(&self) -> u64 {
        self.errors.values().sum()
    }
}

/// A failure without its details, so that equal ones are counted together.
fn kind(failure: &Failure) -> String {
    match failure {
        Failure::Failed { code, .. } => code.to_string(),
        Failure::Cancelled { reason, .. } => format!("cancelled: {reason}"),
        Failure::TimedOut => "took too long".into(),
        other => other.to_string(),
    }
}

fn micros(time: Duration) -> u64 {
    u64::try_from(time.as_micros()).unwrap_or(u64::MAX)
}

/// How often those who wait look up.
const LOOK: Duration = Duration::from_millis(50);

/// The longest time that is told apart, in microseconds: an hour.
const LONGEST: u64 = 3_600_000_000;

/// Significant digits of the times: 0.1 %.
const DIGITS: u8 = 3;
