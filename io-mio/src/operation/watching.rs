//! An operation from other threads than the one that works on it: one takes what comes, one waits
//! for the moment at which the work must stop, while the handler waits for something else.

use std::sync::Arc;
use std::time::{Duration, Instant};

use aire_proto::budget::Ledger;

use super::shared::{INBOX_BOUND, State};
use super::{Failure, Operation, Received, Shared};
use crate::mailbox::{Command, Mailbox};

/// Looks at an operation from another thread: for whoever has to stop work that does not ask by
/// itself, a program for example. It keeps nothing alive.
#[derive(Clone)]
pub struct Watch {
    shared: Arc<Shared>,
}

impl std::fmt::Debug for Watch {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Watch").finish_non_exhaustive()
    }
}

impl Watch {
    /// Why the operation must stop, once it must.
    #[must_use]
    pub fn failure(&self) -> Option<Failure> {
        self.shared.lock().failure.clone()
    }

    /// Waits until the operation must stop, or this side has ended it, as the end of its handler
    /// does.
    ///
    /// # Errors
    /// [`Failure`] when it must stop: it was cancelled, its deadline has passed, its connection is
    /// lost for good.
    pub fn wait(&self) -> Result<(), Failure> {
        self.wait_until(None)
    }

    /// As [`wait`](Self::wait), but no longer than `most`.
    ///
    /// # Errors
    /// [`Failure::TimedOut`], and as [`wait`](Self::wait).
    pub fn wait_within(&self, most: Duration) -> Result<(), Failure> {
        self.wait_until(Instant::now().checked_add(most))
    }

    fn wait_until(&self, until: Option<Instant>) -> Result<(), Failure> {
        let mut state = self.shared.lock();
        loop {
            if let Some(failure) = &state.failure {
                return Err(failure.clone());
            }
            if state.sending_ended || state.over {
                return Ok(());
            }
            state = match self.shared.wait(state, until) {
                Some(state) => state,
                None => return Err(Failure::TimedOut),
            };
        }
    }

    /// What the operation may spend, and has spent.
    #[must_use]
    pub fn ledger(&self) -> Ledger {
        self.shared.ledger.work(|ledger| *ledger)
    }
}

/// What comes on an operation, for another thread than the one that sends on it. Each frame comes
/// once: to whoever asks first, where the operation itself is asked too.
pub struct Input {
    shared: Arc<Shared>,
    mailbox: Mailbox,
    responder: bool,
}

impl std::fmt::Debug for Input {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Input").finish_non_exhaustive()
    }
}

impl Input {
    /// As [`Operation::recv`]. A responder's input ends with its answer.
    ///
    /// # Errors
    /// [`Failure::Ended`] when this side has answered; [`Failure`] when the operation ends in
    /// another way.
    pub fn recv(&mut self) -> Result<Option<Vec<u8>>, Failure> {
        loop {
            match self.recv_frame()? {
                Some(Received::Stream(payload)) => return Ok(Some(payload)),
                Some(_) => {}
                None => return Ok(None),
            }
        }
    }

    /// As [`Operation::recv_frame`].
    ///
    /// # Errors
    /// As [`recv`](Self::recv).
    pub fn recv_frame(&mut self) -> Result<Option<Received>, Failure> {
        self.shared.take(&self.mailbox, None, self.responder)
    }

    /// As [`recv_frame`](Self::recv_frame), but waits no longer than `most`.
    ///
    /// # Errors
    /// [`Failure::TimedOut`], and as [`recv`](Self::recv).
    pub fn recv_frame_within(&mut self, most: Duration) -> Result<Option<Received>, Failure> {
        let until = Instant::now().checked_add(most);
        self.shared.take(&self.mailbox, until, self.responder)
    }
}

impl Operation {
    /// A look at the operation for another thread, which then knows when the work must stop.
    #[must_use]
    pub fn watch(&self) -> Watch {
        Watch {
            shared: self.shared.clone(),
        }
    }

    /// What comes on the operation, for another thread: this one then only sends.
    #[must_use]
    pub fn input(&self) -> Input {
        Input {
            shared: self.shared.clone(),
            mailbox: self.mailbox.clone(),
            responder: self.about.responder,
        }
    }
}

impl Shared {
    /// Takes the next frame. Waits for it, but not past `until`, nor past the end of this side's
    /// sending where it `ends_with_ours`.
    pub(super) fn take(
        &self,
        mailbox: &Mailbox,
        until: Option<Instant>,
        ends_with_ours: bool,
    ) -> Result<Option<Received>, Failure> {
        let mut state = self.lock();
        loop {
            if let Some(received) = state.inbox.pop_front() {
                let place = state.place;
                if state.took(&received) {
                    mailbox.operation(place, Command::Resume);
                }
                return Ok(Some(received));
            }
            if let Some(failure) = &state.failure {
                return Err(failure.clone());
            }
            if ends_with_ours && state.sending_ended {
                return Err(Failure::Ended);
            }
            if state.finished {
                return Ok(None);
            }
            state = match self.wait(state, until) {
                Some(state) => state,
                None => return Err(Failure::TimedOut),
            };
        }
    }

    /// This side sends nothing more. Whether that is news.
    pub(super) fn end_sending(&self) -> bool {
        let mut state = self.lock();
        let news = !std::mem::replace(&mut state.sending_ended, true);
        self.notify(&state);
        news
    }
}

impl State {
    /// Notes that the application has a frame. Whether the loop may read on.
    fn took(&mut self, received: &Received) -> bool {
        self.inbox_bytes = self.inbox_bytes.saturating_sub(received.cost());
        self.taken += u64::from(matches!(received, Received::Stream(_)));
        let reads_on = self.paused && self.inbox_bytes < INBOX_BOUND / 2;
        if reads_on {
            self.paused = false;
        }
        reads_on
    }
}
