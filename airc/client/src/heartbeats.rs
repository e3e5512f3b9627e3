//! Heartbeats in the background (section 2.2).

use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use crate::model::Beat;
use crate::{Client, Error};

/// How often a heartbeat is sent: what section 2.2 recommends, of its 30 to 60 seconds.
pub const HEARTBEAT_INTERVAL: Duration = Duration::from_secs(45);

/// The shortest interval: a registry is not to be flooded by mistake.
const MIN_INTERVAL: Duration = Duration::from_secs(1);

/// The longest interval. Presence has expired long before.
const MAX_INTERVAL: Duration = Duration::from_secs(3600);

/// The wait after the first heartbeat that failed; it doubles up to the interval.
const FIRST_WAIT: Duration = Duration::from_secs(1);

/// Heartbeats that go on as long as this value is there. What fails is tried again; it never ends
/// them.
#[derive(Debug)]
pub struct Heartbeats {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Debug)]
struct Shared {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug)]
struct State {
    beat: Beat,
    /// The next heartbeat is not to wait.
    at_once: bool,
    stop: bool,
    sent: u64,
    last_error: Option<Arc<Error>>,
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits, unless something is to be done before. Whether it is to go on.
    fn wait(&self, time: Duration) -> bool {
        let until = Instant::now() + time;
        let mut state = self.state();
        while !state.stop && !state.at_once {
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                break;
            }
            let waited = self.changed.wait_timeout(state, left);
            (state, _) = waited.unwrap_or_else(PoisonError::into_inner);
        }
        state.at_once = false;
        !state.stop
    }
}

impl Heartbeats {
    pub(crate) fn start(client: Client, beat: Beat, interval: Duration) -> Result<Self, Error> {
        let shared = Arc::new(Shared {
            state: Mutex::new(State {
                beat,
                at_once: true,
                stop: false,
                sent: 0,
                last_error: None,
            }),
            changed: Condvar::new(),
        });
        let theirs = Arc::clone(&shared);
        let interval = interval.clamp(MIN_INTERVAL, MAX_INTERVAL);
        let thread = thread::Builder::new()
            .name("airc-heartbeats".into())
            .spawn(move || run(&client, &theirs, interval))
            .map_err(Error::Thread)?;
        Ok(Self {
            shared,
            thread: Some(thread),
        })
    }

    /// Says something else from now on, beginning at once.
    pub fn set(&self, beat: Beat) {
        let mut state = self.shared.state();
        state.beat = beat;
        state.at_once = true;
        drop(state);
        self.shared.changed.notify_all();
    }

    /// How many heartbeats the registry has taken.
    #[must_use]
    pub fn sent(&self) -> u64 {
        self.shared.state().sent
    }

    /// Why the last heartbeat failed, unless it did not.
    #[must_use]
    pub fn last_error(&self) -> Option<Arc<Error>> {
        self.shared.state().last_error.clone()
    }

    /// Stops, and waits until a heartbeat that is on its way has come to its end: what is said of
    /// this agent afterwards is the last word.
    pub fn stop(mut self) {
        self.tell_to_stop();
        if let Some(thread) = self.thread.take() {
            // It does not panic, and if it did, it is over.
            let _over = thread.join();
        }
    }

    fn tell_to_stop(&self) {
        self.shared.state().stop = true;
        self.shared.changed.notify_all();
    }
}

/// Stops at once. A heartbeat that is on its way may still arrive; [`stop`](Heartbeats::stop) waits
/// for it.
impl Drop for Heartbeats {
    fn drop(&mut self) {
        self.tell_to_stop();
    }
}

fn run(client: &Client, shared: &Shared, interval: Duration) {
    let mut after_failure = FIRST_WAIT;
    let mut wait = Duration::ZERO;
    while shared.wait(wait) {
        let beat = shared.state().beat.clone();
        // Another try comes anyway, and nobody is to wait for this one in order to stop.
        let done = client.heartbeat_once(&beat);
        let mut state = shared.state();
        match done {
            Ok(_) => {
                state.sent = state.sent.saturating_add(1);
                state.last_error = None;
                (wait, after_failure) = (interval, FIRST_WAIT);
            }
            Err(error) => {
                wait = error.retry_after().unwrap_or(after_failure).min(interval);
                after_failure = after_failure.saturating_mul(2).min(interval);
                state.last_error = Some(Arc::new(error));
            }
        }
    }
}
