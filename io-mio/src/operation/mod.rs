//! One operation as a thread sees it: calls that wait.
//!
//! The event loop and the thread that works on the operation share a mailbox: what came from the
//! peer waits in it, bounded; what is to be sent is counted against a bound until the transport
//! has it. Whoever waits is woken at once by a cancel, whatever it waits for.

mod delegation;
mod delivery;
mod failure;
mod family;
mod resuming;
mod shared;
mod spending;

pub use delegation::{Branch, BranchEnd, OnFailure};
pub(crate) use delivery::Route;
pub use failure::{Failure, Received};
pub(crate) use family::Membership;
pub use shared::Bell;
pub(crate) use shared::{Place, Shared};

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use aire_proto::accounting;
use aire_proto::wire::Budget;
use aire_proto::{CancelReason, OpId};
use tracing::debug;

use crate::driver::is_too_long;
use crate::mailbox::{Command, Mailbox};
use crate::resumption::Kept;
use crate::store::Terminal;
use shared::{FRAME_COST, INBOX_BOUND};

/// One operation, in the hands of one thread. Dropping it before its end cancels it.
pub struct Operation {
    shared: Arc<Shared>,
    mailbox: Mailbox,
    about: About,
    /// How long to wait for a top-up.
    patience: Duration,
    /// When this side began to work on it.
    began: Instant,
    /// Its accounting was sent.
    accounted: bool,
    /// A responder's, when it can be resumed.
    kept: Option<Arc<Kept>>,
}

/// What an operation is about.
#[derive(Clone, Debug)]
pub(crate) struct About {
    pub(crate) op: OpId,
    pub(crate) agent: String,
    pub(crate) operation: String,
    pub(crate) args: Vec<u8>,
    pub(crate) peer: String,
    /// Where the responder is, as the initiator has it; empty on the responder's side.
    pub(crate) address: String,
    /// The DID of this node.
    pub(crate) node: String,
    /// Through whom it was delegated, as it came; `None` when it was not.
    pub(crate) path: Option<Vec<u8>>,
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
    pub(crate) fn new(shared: Arc<Shared>, mailbox: Mailbox, about: About) -> Self {
        Self {
            shared,
            mailbox,
            about,
            patience: Duration::ZERO,
            began: Instant::now(),
            accounted: false,
            kept: None,
        }
    }

    pub(crate) fn parts(&self) -> (Arc<Shared>, Mailbox) {
        (self.shared.clone(), self.mailbox.clone())
    }

    pub(crate) const fn about(&self) -> &About {
        &self.about
    }

    /// From now on its frames go into a store first.
    pub(crate) fn kept_by(&mut self, kept: Arc<Kept>) {
        self.kept = Some(kept);
    }

    /// Whether its stream is gone.
    pub(crate) fn is_over(&self) -> bool {
        self.shared.lock().over
    }

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
                state.taken += u64::from(matches!(received, Received::Stream(_)));
                if state.paused && state.inbox_bytes < INBOX_BOUND / 2 {
                    state.paused = false;
                    self.mailbox.operation(state.place, Command::Resume);
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

    /// From now on `bell` rings whenever something happens to it: a frame came, the peer has sent
    /// all, it must stop, or what was sent is on its way. For a thread that waits for other things
    /// too: ring the bell for those as well, and when it rings, take what there is with
    /// [`recv_frame_within`](Self::recv_frame_within) and no time. It rings at once, for what came
    /// before.
    pub fn rings(&self, bell: &Arc<Bell>) {
        self.shared.tell_also(bell);
    }

    /// Whether [`send`](Self::send) would not wait now, if it were so many bytes: for a thread that
    /// waits for other things too, which [`rings`](Self::rings) tells when to ask again.
    #[must_use]
    pub fn has_room(&self, len: usize) -> bool {
        let state = self.shared.lock();
        let over = state.failure.is_some() || state.sending_ended || state.over;
        over || (!state.suspended && state.has_room(len, self.shared.send_queue))
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
        self.accounted |= payload.starts_with(&accounting::MAGIC);
        self.wait_for_room(payload.len())?;
        // What others send must not come twice.
        if let Some(place) = self.keep_frame(&payload)? {
            self.mailbox.operation(place, Command::Send(payload));
        }
        Ok(())
    }

    /// Puts a frame into the store, if the operation has one, before it is sent. Where it is to be
    /// sent; `None` when a pump does that.
    fn keep_frame(&mut self, payload: &[u8]) -> Result<Option<Place>, Failure> {
        let Some(kept) = &self.kept else {
            return Ok(Some(self.shared.place()));
        };
        match kept.append(payload) {
            Ok(place) => Ok(place),
            Err(error) => {
                let goes_on = kept.forsake(&error);
                self.kept = None;
                if goes_on {
                    return Ok(Some(self.shared.place()));
                }
                self.shared.failed(Failure::Lost);
                Err(Failure::Lost)
            }
        }
    }

    /// Puts the end into the store, if the operation has one. Where the peer is to be told; `None`
    /// when a pump does that.
    fn keep_end(&mut self, terminal: impl FnOnce() -> Terminal) -> Option<Place> {
        match self.kept.take() {
            Some(kept) => kept.finish(&terminal()),
            None => Some(self.shared.place()),
        }
    }

    /// Waits until so many bytes more may be on their way, and counts them.
    fn wait_for_room(&self, len: usize) -> Result<(), Failure> {
        let mut stalled = None;
        let mut state = self.shared.lock();
        loop {
            if let Some(failure) = &state.failure {
                return Err(failure.clone());
            }
            if state.sending_ended || state.over {
                return Err(Failure::Ended);
            }
            if !state.suspended && state.has_room(len, self.shared.send_queue) {
                break;
            }
            stalled.get_or_insert_with(Instant::now);
            state = match self.shared.wait(state, None) {
                Some(state) => state,
                None => return Err(Failure::TimedOut),
            };
        }
        if state.is_own() {
            state.unsent = state.unsent.saturating_add(len + FRAME_COST);
        }
        drop(state);
        if let Some(began) = stalled {
            let waited = began.elapsed();
            debug!(layer = "transport", ?waited, "the producer had stalled");
            self.mailbox.counters.stalled_by_transport(waited);
        }
        Ok(())
    }

    /// Tells the peer what the operation may still spend, from when it hears it. Past a deadline
    /// that is set here the operation is cancelled.
    pub fn send_budget(&mut self, budget: Budget) {
        self.tell(Command::Budget(budget));
    }

    /// Sends nothing more. An initiator then still receives; for a responder it is the end, and
    /// comes by itself when its handler returns.
    pub fn finish(&mut self) {
        if std::mem::replace(&mut self.shared.lock().sending_ended, true) {
            return;
        }
        if let Some(place) = self.keep_end(|| Terminal::Finished) {
            self.mailbox.operation(place, Command::Finish);
        }
    }

    /// Ends the operation with an ERROR. A handler rather returns the [`Failure`].
    pub fn fail(&mut self, failure: &Failure) {
        if std::mem::replace(&mut self.shared.lock().sending_ended, true) {
            return;
        }
        let (code, detail, mut data) = failure.to_error();
        if data.is_empty() && self.owes_accounting() {
            data = self.encoded_accounting();
        }
        let terminal = || Terminal::Failed {
            code,
            detail: detail.clone(),
            data: data.clone(),
        };
        if let Some(place) = self.keep_end(terminal) {
            let command = Command::Fail { code, detail, data };
            self.mailbox.operation(place, command);
        }
    }

    /// Asks the peer to end the operation. [`recv_frame`](Self::recv_frame) says how it ended.
    pub fn cancel(&mut self, reason: CancelReason, detail: impl Into<String>) {
        let detail = detail.into();
        let mut state = self.shared.lock();
        state.sending_ended = true;
        state.cancelled.get_or_insert((reason, detail.clone()));
        drop(state);
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
        self.mailbox.operation(self.shared.place(), command);
    }
}

impl Drop for Operation {
    fn drop(&mut self) {
        let state = self.shared.lock();
        let answered = self.about.responder && state.sending_ended;
        let given_up = !state.over && !answered && !state.left && state.failure.is_none();
        drop(state);
        if given_up {
            let reason = match self.shared.membership.get() {
                Some(_) => CancelReason::UpstreamCancelled,
                None => CancelReason::UserCancelled,
            };
            self.cancel(reason, "");
        }
    }
}
