//! The mailbox between an operation's thread and the event loop.
//!
//! What came from the peer waits in it, bounded; what is to be sent is counted against a bound
//! until the transport has it. Whoever waits is woken at once by a cancel, whatever it waits for.

use std::collections::VecDeque;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Instant;

use aire_proto::accounting::Accounting;
use aire_proto::connection::{Outcome, Side};
use aire_proto::resume::Progress;
use aire_proto::{CancelReason, StreamId};

use super::delivery::Delivery;
use super::failure::{Failure, Received};
use super::family::{Family, Membership};
use crate::driver::{ConnectionKey, SharedLedger};

/// Wakes a thread that waits for several things at a time: operations, and whatever else rings it.
/// See [`Operation::rings`](super::Operation::rings).
#[derive(Debug, Default)]
pub struct Bell {
    rung: Mutex<bool>,
    changed: Condvar,
}

impl Bell {
    /// Wakes who waits, or the next one who does.
    pub fn ring(&self) {
        *self.rung.lock().unwrap_or_else(PoisonError::into_inner) = true;
        self.changed.notify_all();
    }

    /// Waits until it has rung since the last call, or until `until`: then `false`. Any number of
    /// rings in between count as one.
    pub fn wait(&self, until: Option<Instant>) -> bool {
        let mut rung = self.rung.lock().unwrap_or_else(PoisonError::into_inner);
        while !std::mem::take(&mut *rung) {
            rung = match until.map(|at| at.saturating_duration_since(Instant::now())) {
                None => self
                    .changed
                    .wait(rung)
                    .unwrap_or_else(PoisonError::into_inner),
                Some(left) if left.is_zero() => return false,
                Some(left) => {
                    let waited = self.changed.wait_timeout(rung, left);
                    waited.unwrap_or_else(PoisonError::into_inner).0
                }
            };
        }
        true
    }
}

/// Where an operation runs now: another place after it was resumed.
pub(crate) type Place = (ConnectionKey, StreamId);

pub(super) struct State {
    pub(super) place: Place,
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
    /// What the peer accounted for, last.
    pub(super) accounting: Option<Accounting>,
    /// How many BUDGET frames came.
    pub(super) budgets: u64,
    /// How many STREAM frames came whole, over all connections (`RES-4`), and the token to go on
    /// with. For initiators.
    pub(super) progress: Progress,
    /// How many of these frames the application has.
    pub(super) taken: u64,
    /// The connection is lost, and another one awaited.
    pub(super) suspended: bool,
    /// The application wants the operation to end.
    pub(super) cancelled: Option<(CancelReason, String)>,
    /// The application left it without ending it.
    pub(super) left: bool,
    /// Of a responder's resumable operation.
    pub(super) delivery: Option<Delivery>,
    /// Who else is told that something changed.
    bells: Vec<Arc<Bell>>,
}

/// The mailbox between an operation's thread and the event loop.
pub(crate) struct Shared {
    state: Mutex<State>,
    changed: Condvar,
    /// How many bytes of output may wait for the transport before the thread has to wait.
    pub(super) send_queue: usize,
    /// What the operation may spend.
    pub(super) ledger: SharedLedger,
    /// Those that it was delegated to, once it was.
    pub(crate) family: OnceLock<Arc<Family>>,
    /// Whom it was delegated by, when this side delegated it.
    pub(crate) membership: OnceLock<Membership>,
}

impl Shared {
    /// A mailbox of an operation that begins with so many bytes of arguments to send.
    pub(crate) fn new(
        place: Place,
        send_queue: usize,
        args_len: usize,
        ledger: SharedLedger,
    ) -> Arc<Self> {
        let state = State {
            place,
            inbox: VecDeque::new(),
            inbox_bytes: 0,
            partial: Vec::new(),
            paused: false,
            // Nobody tells when none are sent.
            unsent: if args_len == 0 {
                0
            } else {
                args_len + FRAME_COST
            },
            finished: false,
            failure: None,
            sending_ended: false,
            over: false,
            accounting: None,
            budgets: 0,
            progress: Progress::new(),
            taken: 0,
            suspended: false,
            cancelled: None,
            left: false,
            delivery: None,
            bells: Vec::new(),
        };
        Arc::new(Self {
            state: Mutex::new(state),
            changed: Condvar::new(),
            send_queue,
            ledger,
            family: OnceLock::new(),
            membership: OnceLock::new(),
        })
    }

    /// Where the operation runs now.
    pub(crate) fn place(&self) -> Place {
        self.lock().place
    }

    /// Rings `bell` too, from now on, whenever something changes.
    pub(crate) fn tell_also(&self, bell: &Arc<Bell>) {
        self.lock().bells.push(bell.clone());
        bell.ring();
    }

    /// Wakes whoever waits.
    pub(super) fn notify(&self, state: &State) {
        self.changed.notify_all();
        for bell in &state.bells {
            bell.ring();
        }
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
        state.progress.stream_received();
        if self.membership.get().is_some() {
            state.accounting = Accounting::decode(&payload).or(state.accounting);
        }
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
        self.notify(state);
        state.paused
    }

    /// The operation's ledger took a snapshot: who waits for a top-up tries again (`BUD-8`), and
    /// those that it was delegated to get theirs.
    pub(crate) fn budget_changed(&self) {
        let mut state = self.lock();
        state.budgets = state.budgets.saturating_add(1);
        self.notify(&state);
        drop(state);
        if let Some(family) = self.family.get() {
            family.rebalance();
        }
    }

    /// Notes what the peer accounted for in an ERROR.
    pub(crate) fn accounted(&self, data: &[u8]) {
        if let Some(accounting) = Accounting::decode(data) {
            self.lock().accounting = Some(accounting);
        }
    }

    /// It is over: who delegated it takes back what was not spent.
    pub(crate) fn closed(&self) {
        if let Some(membership) = self.membership.get() {
            let accounting = self.lock().accounting;
            membership.closed(accounting.as_ref());
        }
    }

    /// Those that it was delegated to hear of its cancel (`CAN-8`).
    pub(crate) fn cancel_family(&self) {
        if let Some(family) = self.family.get() {
            family.cancel("");
        }
    }

    pub(crate) fn sent(&self, len: usize) {
        let mut state = self.lock();
        state.unsent = state.unsent.saturating_sub(len + FRAME_COST);
        self.notify(&state);
    }

    /// The peer takes nothing more: who waits to send need not wait.
    pub(crate) fn unwanted(&self) {
        let mut state = self.lock();
        state.sending_ended = true;
        state.unsent = 0;
        self.notify(&state);
    }

    pub(crate) fn finished(&self) {
        let mut state = self.lock();
        state.finished = true;
        self.notify(&state);
    }

    pub(crate) fn failed(&self, failure: Failure) {
        let mut state = self.lock();
        state.failure.get_or_insert(failure);
        self.notify(&state);
        drop(state);
        self.cancel_family();
    }

    pub(crate) fn ended(&self, outcome: Outcome, by: Side) {
        // Whoever hears of the end finds the books settled.
        self.closed();
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
        self.notify(&state);
        let failed = state.failure.is_some();
        drop(state);
        if failed {
            self.cancel_family();
        }
    }
}

/// How many bytes of input may wait for a handler before its peer is slowed down.
pub(super) const INBOX_BOUND: usize = 256 * 1024;
/// What a waiting frame counts besides its payload.
pub(super) const FRAME_COST: usize = 64;
