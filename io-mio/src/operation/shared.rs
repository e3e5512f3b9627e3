//! The mailbox between an operation's thread and the event loop.
//!
//! What came from the peer waits in it, bounded; what is to be sent is counted against a bound
//! until the transport has it. Whoever waits is woken at once by a cancel, whatever it waits for.

use std::collections::VecDeque;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use aire_proto::connection::{Outcome, Side};

use super::failure::{Failure, Received};

#[derive(Default)]
pub(super) struct State {
    pub(super) inbox: VecDeque<Received>,
    pub(super) inbox_bytes: usize,
    /// The frame that is arriving.
    pub(super) partial: Vec<u8>,
    /// The loop reads nothing more until the inbox is emptier.
    pub(super) paused: bool,
    /// Bytes that were sent and are not with the transport yet.
    pub(super) unsent: usize,
    /// The peer sends no more, and all is well.
    pub(super) finished: bool,
    pub(super) failure: Option<Failure>,
    /// This side ended its sending.
    pub(super) sending_ended: bool,
    pub(super) over: bool,
}

/// The mailbox between an operation's thread and the event loop.
pub(crate) struct Shared {
    state: Mutex<State>,
    changed: Condvar,
    /// How many bytes of output may wait for the transport before the thread has to wait.
    pub(super) send_queue: usize,
}

impl Shared {
    /// A mailbox of an operation that begins with so many bytes of arguments to send.
    pub(crate) fn new(send_queue: usize, args_len: usize) -> Arc<Self> {
        let state = State {
            // Nobody tells when none are sent.
            unsent: if args_len == 0 {
                0
            } else {
                args_len + FRAME_COST
            },
            ..State::default()
        };
        Arc::new(Self {
            state: Mutex::new(state),
            changed: Condvar::new(),
            send_queue,
        })
    }

    /// A handler that panics holds no lock, so a poisoned one cannot be inconsistent.
    pub(super) fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits for news, or until `until`: then `None`.
    pub(super) fn wait<'a>(
        &self,
        state: MutexGuard<'a, State>,
        until: Option<Instant>,
    ) -> Option<MutexGuard<'a, State>> {
        let Some(until) = until else {
            let waited = self.changed.wait(state);
            return Some(waited.unwrap_or_else(PoisonError::into_inner));
        };
        let left = until.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return None;
        }
        let waited = self.changed.wait_timeout(state, left);
        Some(waited.unwrap_or_else(PoisonError::into_inner).0)
    }

    /// Takes a piece of a STREAM frame. Whether the loop should stop reading the operation.
    pub(crate) fn stream(&self, bytes: &[u8], remaining: u64) -> bool {
        let mut state = self.lock();
        state.partial.extend_from_slice(bytes);
        if remaining > 0 {
            return false;
        }
        let payload = std::mem::take(&mut state.partial);
        self.put(&mut state, Received::Stream(payload))
    }

    /// Takes a control frame. Whether the loop should stop reading the operation.
    pub(crate) fn notice(&self, received: Received) -> bool {
        self.put(&mut self.lock(), received)
    }

    fn put(&self, state: &mut State, received: Received) -> bool {
        match (state.inbox.back_mut(), &received) {
            // Only the latest counts (BUD-5).
            (Some(Received::Budget(waiting)), Received::Budget(budget)) => *waiting = *budget,
            _ => {
                state.inbox_bytes = state.inbox_bytes.saturating_add(received.cost());
                state.inbox.push_back(received);
                state.paused |= state.inbox_bytes > INBOX_BOUND;
            }
        }
        self.changed.notify_all();
        state.paused
    }

    pub(crate) fn sent(&self, len: usize) {
        let mut state = self.lock();
        state.unsent = state.unsent.saturating_sub(len + FRAME_COST);
        self.changed.notify_all();
    }

    /// The peer takes nothing more: who waits to send need not wait.
    pub(crate) fn unwanted(&self) {
        let mut state = self.lock();
        state.sending_ended = true;
        state.unsent = 0;
        self.changed.notify_all();
    }

    pub(crate) fn finished(&self) {
        self.lock().finished = true;
        self.changed.notify_all();
    }

    pub(crate) fn failed(&self, failure: Failure) {
        self.lock().failure.get_or_insert(failure);
        self.changed.notify_all();
    }

    pub(crate) fn ended(&self, outcome: Outcome, by: Side) {
        let mut state = self.lock();
        state.over = true;
        state.finished = true;
        let failure = match (outcome, by) {
            (Outcome::Completed, _) => None,
            (Outcome::Failed(code), _) => Some(Failure::Failed {
                code,
                detail: String::new(),
                data: Vec::new(),
            }),
            (Outcome::Cancelled(reason), _) => Some(Failure::Cancelled {
                reason,
                detail: String::new(),
            }),
            (Outcome::Reset(code), _) => Some(Failure::Reset(code)),
            (Outcome::Lost, _) => Some(Failure::Lost),
        };
        if state.failure.is_none() {
            state.failure = failure;
        }
        self.changed.notify_all();
    }
}

/// How many bytes of input may wait for a handler before its peer is slowed down.
pub(super) const INBOX_BOUND: usize = 256 * 1024;
/// What a waiting frame counts besides its payload.
pub(super) const FRAME_COST: usize = 64;
