//! One operation as a thread sees it: calls that wait.
//!
//! The event loop and the thread that works on the operation share a mailbox: what came from the
//! peer waits in it, bounded; what is to be sent is counted against a bound until the transport
//! has it. Whoever waits is woken at once by a cancel, whatever it waits for.

use std::collections::VecDeque;
use std::fmt;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use aire_proto::connection::{Outcome, Side};
use aire_proto::wire::Budget;
use aire_proto::{CancelReason, ErrorCode, OpId, StreamId};

use crate::ConnectionKey;
use crate::driver::is_too_long;
use crate::mailbox::{Command, Mailbox};

/// Why an operation did not come to a good end, or cannot go on.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Failure {
    /// An ERROR ended it.
    Failed {
        /// The code.
        code: ErrorCode,
        /// What happened, in the words of who sent it.
        detail: String,
        /// Whatever the agent added, at most 60 KiB: more is left out.
        data: Vec<u8>,
    },
    /// It was cancelled, by either side.
    Cancelled {
        /// Why.
        reason: CancelReason,
        /// Why, in the words of who cancelled.
        detail: String,
    },
    /// Its stream was reset, with this code.
    Reset(u64),
    /// The connection was lost, or closed, under it.
    Lost,
    /// Nothing more can be sent: this side has ended.
    Ended,
    /// Nothing came in time. The operation goes on.
    TimedOut,
    /// The payload is longer than a frame may be, and was not sent (`WIRE-13`). The operation goes
    /// on.
    TooLong,
}

impl Failure {
    /// An agent's own failure: `APPLICATION`, with words for the caller.
    pub fn application(detail: impl fmt::Display) -> Self {
        Self::Failed {
            code: ErrorCode::Application,
            detail: detail.to_string(),
            data: Vec::new(),
        }
    }

    /// What the peer is told, and in which words.
    pub(crate) fn to_error(&self) -> (ErrorCode, String, Vec<u8>) {
        match self {
            Self::Failed { code, detail, data } => (*code, detail.clone(), data.clone()),
            Self::Cancelled { .. } | Self::Reset(_) | Self::Lost => {
                (ErrorCode::Cancelled, String::new(), Vec::new())
            }
            other => (ErrorCode::Application, other.to_string(), Vec::new()),
        }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Failed { code, detail, .. } if detail.is_empty() => code.fmt(f),
            Self::Failed { code, detail, .. } => write!(f, "{code}: {detail}"),
            Self::Cancelled { reason, detail } if detail.is_empty() => {
                write!(f, "cancelled: {reason}")
            }
            Self::Cancelled { reason, detail } => write!(f, "cancelled: {reason}: {detail}"),
            Self::Reset(code) => {
                write!(f, "the stream was reset: {}", ErrorCode::from_wire(*code))
            }
            Self::Lost => f.write_str("the connection was lost"),
            Self::Ended => f.write_str("nothing more can be sent on this operation"),
            Self::TimedOut => f.write_str("nothing came in time"),
            Self::TooLong => f.write_str("a payload is at most 1,048,576 bytes"),
        }
    }
}

impl std::error::Error for Failure {}

/// Something that came on an operation.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Received {
    /// A STREAM frame's payload.
    Stream(Vec<u8>),
    /// What the operation may still spend.
    Budget(Budget),
    /// The responder handed the operation on.
    Delegated {
        /// Where to.
        target: String,
        /// The DID there; empty when unknown.
        target_did: String,
    },
}

impl Received {
    /// What it counts while it waits: also those without payload count, so that they are bounded.
    fn cost(&self) -> usize {
        let held = match self {
            Self::Stream(payload) => payload.len(),
            Self::Delegated { target, target_did } => target.len() + target_did.len(),
            Self::Budget(_) => 0,
        };
        held + FRAME_COST
    }
}

#[derive(Default)]
struct State {
    inbox: VecDeque<Received>,
    inbox_bytes: usize,
    /// The frame that is arriving.
    partial: Vec<u8>,
    /// The loop reads nothing more until the inbox is emptier.
    paused: bool,
    /// Bytes that were sent and are not with the transport yet.
    unsent: usize,
    /// The peer sends no more, and all is well.
    finished: bool,
    failure: Option<Failure>,
    /// This side ended its sending.
    sending_ended: bool,
    over: bool,
}

/// The mailbox between an operation's thread and the event loop.
pub(crate) struct Shared {
    state: Mutex<State>,
    changed: Condvar,
    /// How many bytes of output may wait for the transport before the thread has to wait.
    send_queue: usize,
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
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits for news, or until `until`: then `None`.
    fn wait<'a>(
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
const INBOX_BOUND: usize = 256 * 1024;
/// What a waiting frame counts besides its payload.
const FRAME_COST: usize = 64;

/// One operation, in the hands of one thread. Dropping it before its end cancels it.
pub struct Operation {
    pub(crate) connection: ConnectionKey,
    pub(crate) stream: StreamId,
    pub(crate) shared: Arc<Shared>,
    pub(crate) mailbox: Mailbox,
    pub(crate) about: About,
}

/// What an operation is about.
#[derive(Clone, Debug)]
pub(crate) struct About {
    pub(crate) op: OpId,
    pub(crate) agent: String,
    pub(crate) operation: String,
    pub(crate) args: Vec<u8>,
    pub(crate) peer: String,
    /// Which part this side plays.
    pub(crate) responder: bool,
}

impl fmt::Debug for Operation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Operation")
            .field("op", &self.about.op)
            .field("agent", &self.about.agent)
            .field("operation", &self.about.operation)
            .field("peer", &self.about.peer)
            .finish_non_exhaustive()
    }
}

impl Operation {
    /// Its id on the wire.
    #[must_use]
    pub const fn id(&self) -> OpId {
        self.about.op
    }

    /// The agent that serves it.
    #[must_use]
    pub fn agent(&self) -> &str {
        &self.about.agent
    }

    /// What is asked of the agent.
    #[must_use]
    pub fn operation(&self) -> &str {
        &self.about.operation
    }

    /// The arguments. Empty on the initiator's side, which has them.
    #[must_use]
    pub fn args(&self) -> &[u8] {
        &self.about.args
    }

    /// The DID of the node at the other end.
    #[must_use]
    pub fn peer(&self) -> &str {
        &self.about.peer
    }

    /// The next STREAM payload from the peer; `None` once it has sent all. Waits as long as it
    /// takes. Other frames are skipped; [`recv_frame`](Self::recv_frame) has them.
    ///
    /// # Errors
    /// [`Failure`] when the operation ends in another way.
    pub fn recv(&mut self) -> Result<Option<Vec<u8>>, Failure> {
        loop {
            match self.recv_frame()? {
                Some(Received::Stream(payload)) => return Ok(Some(payload)),
                Some(_) => {}
                None => return Ok(None),
            }
        }
    }

    /// The next frame from the peer; `None` once it has sent all. Waits as long as it takes.
    ///
    /// # Errors
    /// [`Failure`] when the operation ends in another way. What came before is told first.
    pub fn recv_frame(&mut self) -> Result<Option<Received>, Failure> {
        self.recv_frame_until(None)
    }

    /// As [`recv_frame`](Self::recv_frame), but waits no longer than `most`.
    ///
    /// # Errors
    /// [`Failure::TimedOut`], and as [`recv_frame`](Self::recv_frame).
    pub fn recv_frame_within(&mut self, most: Duration) -> Result<Option<Received>, Failure> {
        self.recv_frame_until(Instant::now().checked_add(most))
    }

    fn recv_frame_until(&mut self, until: Option<Instant>) -> Result<Option<Received>, Failure> {
        let mut state = self.shared.lock();
        loop {
            if let Some(received) = state.inbox.pop_front() {
                state.inbox_bytes = state.inbox_bytes.saturating_sub(received.cost());
                if state.paused && state.inbox_bytes < INBOX_BOUND / 2 {
                    state.paused = false;
                    self.tell(Command::Resume);
                }
                return Ok(Some(received));
            }
            if let Some(failure) = &state.failure {
                return Err(failure.clone());
            }
            if state.finished {
                return Ok(None);
            }
            state = match self.shared.wait(state, until) {
                Some(state) => state,
                None => return Err(Failure::TimedOut),
            };
        }
    }

    /// Sends one STREAM frame of at most 1,048,576 bytes. Waits while as much is on its way as
    /// [`Settings::send_queue`](crate::Settings::send_queue) allows.
    ///
    /// # Errors
    /// [`Failure`] when the operation was cancelled, or ended: also while it waits.
    /// [`Failure::TooLong`].
    pub fn send(&mut self, payload: impl Into<Vec<u8>>) -> Result<(), Failure> {
        let payload = payload.into();
        if is_too_long(&payload) {
            return Err(Failure::TooLong);
        }
        let mut state = self.shared.lock();
        loop {
            if let Some(failure) = &state.failure {
                return Err(failure.clone());
            }
            if state.sending_ended || state.over {
                return Err(Failure::Ended);
            }
            if state.unsent <= self.shared.send_queue {
                break;
            }
            state = match self.shared.wait(state, None) {
                Some(state) => state,
                None => return Err(Failure::TimedOut),
            };
        }
        state.unsent = state.unsent.saturating_add(payload.len() + FRAME_COST);
        drop(state);
        self.tell(Command::Send(payload));
        Ok(())
    }

    /// Tells the peer what the operation may still spend.
    pub fn send_budget(&mut self, budget: Budget) {
        self.tell(Command::Budget(budget));
    }

    /// Sends nothing more. An initiator then still receives; for a responder it is the end, and
    /// comes by itself when its handler returns.
    pub fn finish(&mut self) {
        if !std::mem::replace(&mut self.shared.lock().sending_ended, true) {
            self.tell(Command::Finish);
        }
    }

    /// Ends the operation with an ERROR. A handler rather returns the [`Failure`].
    pub fn fail(&mut self, failure: &Failure) {
        if !std::mem::replace(&mut self.shared.lock().sending_ended, true) {
            let (code, detail, data) = failure.to_error();
            self.tell(Command::Fail { code, detail, data });
        }
    }

    /// Asks the peer to end the operation. [`recv_frame`](Self::recv_frame) says how it ended.
    pub fn cancel(&mut self, reason: CancelReason, detail: impl Into<String>) {
        self.shared.lock().sending_ended = true;
        let detail = detail.into();
        self.tell(Command::Cancel { reason, detail });
    }

    /// Why the operation must stop, once it must: a long computation asks now and then.
    #[must_use]
    pub fn failure(&self) -> Option<Failure> {
        self.shared.lock().failure.clone()
    }

    /// Waits for `time`, or until the operation must stop: for work that has a pace.
    ///
    /// # Errors
    /// [`Failure`], at once, when the operation was cancelled or ended.
    pub fn sleep(&mut self, time: Duration) -> Result<(), Failure> {
        let until = Instant::now().checked_add(time);
        let mut state = self.shared.lock();
        loop {
            if let Some(failure) = &state.failure {
                return Err(failure.clone());
            }
            state = match self.shared.wait(state, until) {
                Some(state) => state,
                None => return Ok(()),
            };
        }
    }

    fn tell(&self, command: Command) {
        self.mailbox
            .operation(self.connection, self.stream, command);
    }
}

impl Drop for Operation {
    fn drop(&mut self) {
        let state = self.shared.lock();
        let answered = self.about.responder && state.sending_ended;
        let given_up = !state.over && !answered && state.failure.is_none();
        drop(state);
        if given_up {
            self.cancel(CancelReason::UserCancelled, "");
        }
    }
}
