//! What resumption asks of the mailbox between an operation's thread and the event loop: on the
//! responder's side who sends (`GAP-18`), on the initiator's how to go on elsewhere.

use aire_proto::CancelReason;
use aire_proto::budget::CurrencyMismatch;
use aire_proto::connection::{Outcome, Side};
use aire_proto::resume::{Progress, Ticket};
use aire_proto::wire::{Budget, Resumable};
use tracing::debug;

use super::delivery::{Delivery, Route};
use super::shared::{Place, Shared, State};
use super::{Failure, Operation, Received};
use crate::driver::{SharedLedger, unix_now};
use crate::store::Limits;

/// How a suspended operation goes on.
pub(crate) struct Continuation {
    pub(crate) token: Vec<u8>,
    /// How many STREAM frames came whole.
    pub(crate) received: u64,
    /// The application wants it to end.
    pub(crate) cancelled: Option<(CancelReason, String)>,
    /// The application sends no more.
    pub(crate) finished: bool,
}

/// A responder's side.
impl Shared {
    /// From now on the frames are in a store too. Whether the operation is still there to be
    /// resumed.
    pub(crate) fn keep(&self, limits: Limits) -> bool {
        let mut state = self.lock();
        let kept = state.failure.is_none() && !state.over;
        if kept {
            state.delivery = Some(Delivery::new(limits));
        }
        kept
    }

    /// The store failed. Whether the operation goes on as one that cannot be resumed: only where
    /// its handler sends for itself.
    pub(crate) fn forsake(&self) -> bool {
        let mut state = self.lock();
        let own = state.is_own();
        if own {
            state.delivery = None;
        }
        own
    }

    /// Who sends; `None` for an operation that cannot be resumed.
    pub(crate) fn route(&self) -> Option<Route> {
        self.lock().delivery.as_ref().map(|delivery| delivery.route)
    }

    /// A frame of this length is in the store. Where the handler is to send it; `None` when a pump
    /// does, or nobody.
    pub(crate) fn appended(&self, len: usize) -> Option<Place> {
        let mut state = self.lock();
        let place = state.place;
        if let Some(delivery) = &mut state.delivery {
            delivery.appended(len);
        }
        state.is_own().then_some(place)
    }

    /// The number of the last frame that is in the store.
    pub(crate) fn last_kept(&self) -> u64 {
        let state = self.lock();
        let next = state.delivery.as_ref().map_or(1, Delivery::next);
        next.saturating_sub(1)
    }

    /// The connection is lost. Whether the operation goes on without one.
    pub(crate) fn detach(&self) -> bool {
        let mut state = self.lock();
        let live = state.failure.is_none() && !state.over;
        let Some(delivery) = state.delivery.as_mut().filter(|_| live) else {
            return false;
        };
        delivery.route = Route::Nobody;
        state.unsent = 0;
        self.notify(&state);
        true
    }

    /// A pump has taken the frames up to `taken` from the store. It speaks with the initiator at
    /// `place`, if it is on this node. Returns the place that the handler must leave.
    pub(crate) fn pumped(&self, taken: u64, place: Option<Place>) -> Option<Place> {
        let mut state = self.lock();
        let own = state.is_own().then_some(state.place);
        let delivery = state.delivery.as_mut()?;
        delivery.pumped(taken);
        if own.is_some() {
            state.unsent = 0;
        }
        if let Some(place) = place {
            state.place = place;
        }
        self.notify(&state);
        own
    }

    /// Whether what comes at `place` is no longer for this operation's handler.
    pub(crate) fn has_left(&self, place: Place) -> bool {
        let state = self.lock();
        let left = state
            .delivery
            .as_ref()
            .is_some_and(|it| it.route != Route::Own);
        left || state.place != place
    }

    /// Whether as much input waits for the handler as may wait.
    pub(crate) fn is_full(&self) -> bool {
        self.lock().paused
    }

    /// What the operation may spend.
    pub(crate) const fn ledger(&self) -> &SharedLedger {
        &self.ledger
    }

    /// A BUDGET came another way than over the handler's own stream.
    pub(crate) fn budget(&self, budget: &Budget) -> Result<(), CurrencyMismatch> {
        self.ledger.work(|ledger| ledger.update(budget))?;
        self.budget_changed();
        self.notice(Received::Budget(*budget));
        Ok(())
    }
}

impl State {
    /// Whether a frame may be sent now.
    pub(super) fn has_room(&self, len: usize, send_queue: usize) -> bool {
        match &self.delivery {
            Some(delivery) if delivery.route != Route::Own => delivery.has_room(len, send_queue),
            _ => self.unsent <= send_queue,
        }
    }

    /// Whether the handler sends for itself.
    pub(super) fn is_own(&self) -> bool {
        self.delivery
            .as_ref()
            .is_none_or(|delivery| delivery.route == Route::Own)
    }
}

/// An initiator's side.
impl Shared {
    /// The responder says how the operation can be resumed (`RES-2`).
    pub(crate) fn resumable(&self, resumable: &Resumable<'_>) {
        let taken = self.lock().progress.resumable(resumable, unix_now());
        if let Err(error) = taken {
            debug!(%error, "the operation cannot be resumed");
        }
    }

    /// Counts on where another process stopped.
    pub(crate) fn goes_on_from(&self, progress: Progress) {
        let mut state = self.lock();
        state.taken = progress.received();
        state.progress = progress;
    }

    /// The connection is lost. Whether the operation can go on over another one; then it waits
    /// for that.
    pub(crate) fn suspend(&self) -> bool {
        let mut state = self.lock();
        let ended = state.over || state.finished || state.failure.is_some() || state.left;
        let live = state.progress.expires().is_some_and(|at| unix_now() < at);
        if ended || !live {
            return false;
        }
        state.suspended = true;
        state.partial.clear();
        state.unsent = 0;
        true
    }

    /// With what a suspended operation goes on; `None` when its token's time is over.
    pub(crate) fn continuation(&self) -> Option<Continuation> {
        let state = self.lock();
        let live = state.progress.expires().is_some_and(|at| unix_now() < at);
        let resume = state.progress.resume().filter(|_| live)?;
        Some(Continuation {
            token: resume.token.to_vec(),
            received: resume.last_recv,
            cancelled: state.cancelled.clone(),
            finished: state.sending_ended,
        })
    }

    /// The operation goes on at `place`. Whether so much waits that nothing is to be read yet.
    pub(crate) fn moved(&self, place: Place) -> bool {
        let mut state = self.lock();
        state.place = place;
        state.suspended = false;
        self.notify(&state);
        state.paused
    }

    /// A suspended operation does not go on: its stream alone had ended, like this.
    pub(crate) fn gave_up_as(&self, outcome: Outcome, by: Side) {
        self.lock().suspended = false;
        self.ended(outcome, by);
    }

    /// A suspended operation does not go on.
    pub(crate) fn gave_up(&self, failure: Failure) {
        let mut state = self.lock();
        state.over = true;
        state.suspended = false;
        state.failure.get_or_insert(failure);
        self.notify(&state);
    }
}

impl Operation {
    /// All that another process needs to go on with the operation: see [`Ticket`], whose bytes
    /// these are. They belong where secrets are kept. What [`recv`](Self::recv) returned so far is
    /// not sent again; so write the ticket down after what was received has been dealt with.
    ///
    /// `None` on the responder's side, while the responder has not said how to resume, and once
    /// the operation is over.
    #[must_use]
    pub fn ticket(&self) -> Option<Vec<u8>> {
        let state = self.shared.lock();
        let resume = state.progress.resume()?;
        if self.about.responder || (state.over && state.inbox.is_empty()) {
            return None;
        }
        let ticket = Ticket {
            address: &self.about.address,
            agent: &self.about.agent,
            operation: &self.about.operation,
            token: resume.token,
            received: state.taken,
            expires: state.progress.expires()?,
        };
        let mut bytes = vec![0; Ticket::MAX_LEN];
        match ticket.encode(&mut bytes) {
            Ok(written) => Some(written.to_vec()),
            Err(error) => {
                debug!(%error, "no ticket");
                None
            }
        }
    }

    /// Lets go of the operation without ending it, and returns its [`ticket`](Self::ticket). It
    /// goes on at the responder; [`Client::abandon`](crate::Client::abandon) next, so that the
    /// responder does not wait for this connection to take what it produces. An operation without
    /// a ticket is cancelled.
    #[must_use]
    pub fn leave(self) -> Option<Vec<u8>> {
        let ticket = self.ticket();
        if ticket.is_some() {
            self.shared.lock().left = true;
        }
        ticket
    }
}
