//! Budgets on a connection: snapshots come in, charges are checked, deadlines fire (`BUD-4` to
//! `BUD-10`).

use core::time::Duration;

use super::Connection;
use super::calls::CallError;
use super::operation::{Operation, Outcome, Part, Side};
use super::outgoing::{Fin, Refused};
use crate::budget::{Cap, Charge, ChargeError, CurrencyMismatch, Dimension, Ledger};
use crate::code::{CancelReason, ErrorCode};
use crate::id::StreamId;
use crate::storage::{Buffer, LedgerCell, Storage, Table};
use crate::time::{Instant, Now, UnixMillis};
use crate::varint;
use crate::wire::Budget;

/// Which layer keeps a producer from going on (`BUD-9`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum Stall {
    /// QUIC's flow control or congestion control: the peer, or the path, takes no more bytes.
    Transport,
    /// The budget: the operation waits for a top-up.
    Budget,
}

impl<S: Storage> Connection<S> {
    /// Spends from an operation's budget. Call it before the work is done and its frame sent
    /// (`BUD-6`). Without a budget it only counts.
    ///
    /// # Errors
    /// [`CallError::Budget`]: nothing was charged. End the operation with
    /// [`out_of_budget`](Self::out_of_budget), or wait there for a top-up.
    pub fn charge(&mut self, stream: StreamId, charge: &Charge, now: Now) -> Result<(), CallError> {
        // This is called for every frame. A ledger is there only for a live operation, so it is
        // the one thing to look up, but for the first charge, and once something had to wait.
        let cell = match self.ledgers.get_mut(stream) {
            Some(cell) => cell,
            None => self.ledger_mut(stream)?,
        };
        cell.with(|ledger| ledger.charge(charge, now.unix))
            .map_err(CallError::Budget)?;
        if self.has_stalled {
            // Whatever made room, a top-up or a share that came back: it waits no longer.
            self.end_stall_if(charge.tokens > 0 || charge.cost_microunits > 0, stream);
        }
        Ok(())
    }

    /// Limits an operation by local policy, whatever its peer claims, now and later (`BUD-10`).
    ///
    /// # Errors
    /// [`CallError::Budget`] when the peer's budget is in another currency, which ends the
    /// operation with [`ErrorCode::Refused`]; [`CallError::NoSuchOperation`].
    pub fn cap(&mut self, stream: StreamId, cap: &Cap, now: Now) -> Result<(), CallError> {
        let capped = self.ledger_mut(stream)?.with(|ledger| {
            ledger
                .cap(cap, now.unix)
                .map(|()| ledger.exhausted(now.unix).is_none())
        });
        match capped {
            Ok(can_go_on) => self.end_stall_if(can_go_on, stream),
            Err(mismatch) => {
                self.end_over_budget(stream, ErrorCode::Refused, now);
                return Err(CallError::Budget(mismatch.into()));
            }
        }
        self.await_budget_deadline(stream, now);
        Ok(())
    }

    /// An operation cannot go on within its budget. It waits for a top-up, no longer than
    /// `patience`, and the peer is told what was spent; with no patience, or past its deadline,
    /// it ends: a responder with ERROR, an initiator with CANCEL (`BUD-7`, `BUD-8`). So it does
    /// where the local policy's cap is what is exhausted: no top-up changes that.
    ///
    /// A top-up comes as [`Event::Budget`](super::Event::Budget): charge again then.
    pub fn out_of_budget(
        &mut self,
        stream: StreamId,
        what: Dimension,
        patience: Duration,
        now: Now,
    ) {
        let waits = what != Dimension::Deadline && !patience.is_zero();
        let least = Charge {
            tokens: u64::from(what == Dimension::Tokens),
            cost_microunits: u64::from(what == Dimension::Cost),
            currency: None,
        };
        // A top-up needs a ledger to go into, and a report one to come from. Where the local
        // policy is what ran out, the peer would top up for ever, and in vain.
        let can_be_helped = self
            .ledger_mut(stream)
            .is_ok_and(|cell| cell.with(|ledger| ledger.top_up_helps(&least)));
        if !waits || !can_be_helped {
            self.end_over_budget(stream, what.code(), now);
            return;
        }
        let deadline = now.instant.after(patience);
        let Some(operation) = self.operations.get_mut(stream) else {
            return;
        };
        if operation.stalled || !operation.is_working() {
            return;
        }
        operation.stalled = true;
        self.has_stalled = true;
        operation.owes_report = operation.part == Part::Responder;
        operation.deadline = Some(deadline);
        self.due(deadline);
        self.counters.budget_stalls = self.counters.budget_stalls.saturating_add(1);
        self.report(stream);
    }

    /// The operation goes on within its budget after all, whoever found that out.
    pub fn within_budget(&mut self, stream: StreamId) {
        if let Some(operation) = self.operations.get_mut(stream)
            && operation.stalled
        {
            operation.stalled = false;
            operation.deadline = None;
        }
    }

    /// Counts the operation in `ledger` from now on: one that is shared with the thread that
    /// spends from it. Without this call the connection makes one when it needs it.
    ///
    /// # Errors
    /// As [`ledger_mut`](Self::ledger_mut).
    pub fn keep_ledger(
        &mut self,
        stream: StreamId,
        ledger: S::Ledger,
        now: Now,
    ) -> Result<(), CallError> {
        *self.ledger_mut(stream)? = ledger;
        self.await_budget_deadline(stream, now);
        Ok(())
    }

    /// What keeps the operation's sending side from going on now; `None` when nothing does.
    #[must_use]
    pub fn stall(&self, stream: StreamId) -> Option<Stall> {
        let operation = self.operations.get(stream)?;
        if operation.stalled {
            Some(Stall::Budget)
        } else {
            operation.outgoing.blocked.then_some(Stall::Transport)
        }
    }

    /// The operation's ledger, to look at or to hand shares out of; it begins to be kept with
    /// this call.
    ///
    /// # Errors
    /// [`CallError::NoSuchOperation`]; [`CallError::TooManyOperations`] when no further ledger
    /// can be kept.
    pub fn ledger_mut(&mut self, stream: StreamId) -> Result<&mut S::Ledger, CallError> {
        if self.operations.get(stream).is_none() {
            return Err(CallError::NoSuchOperation);
        }
        if self.ledgers.get(stream).is_none() {
            self.ledgers
                .insert(stream, S::Ledger::default())
                .map_err(|_| CallError::TooManyOperations)?;
        }
        self.ledgers
            .get_mut(stream)
            .ok_or(CallError::NoSuchOperation)
    }

    /// A copy of the operation's ledger; `None` when it has none.
    pub fn ledger(&mut self, stream: StreamId) -> Option<Ledger> {
        self.ledgers
            .get_mut(stream)
            .map(|cell| cell.with(|ledger| *ledger))
    }

    /// Ends the wait for a top-up, if there is one and the operation `can_go_on`.
    fn end_stall_if(&mut self, can_go_on: bool, stream: StreamId) {
        if can_go_on && let Some(operation) = self.operations.get_mut(stream) {
            operation.end_stall();
        }
    }

    /// Takes a BUDGET from the peer. What it may not say ends the operation.
    pub(super) fn take_budget(
        &mut self,
        stream: StreamId,
        budget: &Budget,
        now: Now,
    ) -> Result<(), CurrencyMismatch> {
        if budget.is_report() {
            return Ok(());
        }
        let Ok(cell) = self.ledger_mut(stream) else {
            self.end_over_budget(stream, ErrorCode::Refused, now);
            return Ok(());
        };
        let updated = cell.with(|ledger| {
            ledger
                .update(budget)
                .map(|()| ledger.exhausted(now.unix).is_none())
        });
        let can_go_on = match updated {
            Ok(can_go_on) => can_go_on,
            Err(mismatch) => {
                self.end_over_budget(stream, ErrorCode::Refused, now);
                return Err(mismatch);
            }
        };
        self.end_stall_if(can_go_on, stream);
        if let Some(operation) = self.operations.get_mut(stream) {
            // Whoever says that nothing is left waits to hear what was spent.
            let halts = budget.tokens == Some(0) || budget.cost_microunits == Some(0);
            operation.owes_report |= halts && operation.part == Part::Responder;
        }
        self.report(stream);
        self.await_budget_deadline(stream, now);
        Ok(())
    }

    /// Tells the peer what was spent, where that is owed and there is room for it now.
    pub(super) fn report(&mut self, stream: StreamId) {
        let known = self.minor() >= <Budget as crate::wire::Payload>::SINCE_MINOR;
        let (Some(operation), Some(cell)) = (
            self.operations.get_mut(stream),
            self.ledgers.get_mut(stream),
        ) else {
            return;
        };
        if !operation.owes_report {
            return;
        }
        let mut report = cell.with(|ledger| ledger.report());
        for number in [
            &mut report.tokens,
            &mut report.cost_microunits,
            &mut report.tokens_spent,
            &mut report.cost_microunits_spent,
        ] {
            // No larger number fits a frame.
            *number = number.map(|number| number.min(varint::MAX));
        }
        let op_id = operation.id.get();
        // Without room now it is said later; a peer that knows no BUDGET is owed none.
        operation.owes_report = known
            && operation.outgoing.fin == Fin::Open
            && match operation.outgoing.push(op_id, &report) {
                Err(Refused::Full { needed }) => needed <= S::Outbox::CAPACITY,
                _ => false,
            };
        self.settle(stream);
    }

    /// Sees to it that the timer fires when the operation's budget runs out of time.
    fn await_budget_deadline(&mut self, stream: StreamId, now: Now) {
        if let Some(deadline) = self.budget_deadline(stream) {
            self.due(instant_of(deadline, now));
        }
    }

    /// When work on the operation must have ended: by what the peer or our policy allows, or by
    /// what we allowed the peer.
    fn budget_deadline(&mut self, stream: StreamId) -> Option<UnixMillis> {
        let granted = self.operations.get(stream)?.granted_deadline;
        let own = self
            .ledgers
            .get_mut(stream)
            .map_or(granted, |cell| cell.with(|ledger| ledger.deadline()));
        Some(own.min(granted)).filter(|deadline| deadline.0 != i64::MAX)
    }

    /// Ends the operation if its time is over, else sees to the timer.
    pub(super) fn check_budget_deadline(&mut self, stream: StreamId, now: Now) {
        let Some(deadline) = self.budget_deadline(stream) else {
            return;
        };
        let working = self
            .operations
            .get(stream)
            .is_some_and(Operation::is_working);
        if !working {
            return;
        }
        if deadline <= now.unix {
            self.end_over_budget(stream, ErrorCode::DeadlineExceeded, now);
        } else {
            self.due(instant_of(deadline, now));
        }
    }

    /// Notes what a BUDGET of ours allows the peer.
    pub(super) fn granted(&mut self, stream: StreamId, budget: &Budget, now: Now) {
        if let Some(operation) = self.operations.get_mut(stream)
            && operation.part == Part::Initiator
            && !budget.is_report()
        {
            operation.granted_deadline = budget.deadline.unwrap_or(UnixMillis(i64::MAX));
            self.await_budget_deadline(stream, now);
        }
    }

    /// Ends an operation that must not go on: a responder's with ERROR, an initiator's with
    /// CANCEL (`BUD-7`).
    pub(super) fn end_over_budget(&mut self, stream: StreamId, code: ErrorCode, now: Now) {
        let Some(operation) = self.operations.get_mut(stream) else {
            return;
        };
        if !operation.is_working() {
            return;
        }
        if operation.part == Part::Responder {
            operation.note(Outcome::Failed(code), Side::Local);
            self.fail_or_reset(stream, code, now);
            return;
        }
        let reason = match code {
            ErrorCode::DeadlineExceeded => CancelReason::DeadlineExceeded,
            ErrorCode::BudgetExceeded => CancelReason::BudgetExceeded,
            _ => CancelReason::Internal,
        };
        let _ended = self.cancel(stream, reason, "", now);
    }
}

/// When the wall clock will say `deadline`, unless it is set in between: whoever wakes up looks at
/// it again.
fn instant_of(deadline: UnixMillis, now: Now) -> Instant {
    let left = u64::try_from(deadline.0.saturating_sub(now.unix.0)).unwrap_or(0);
    now.instant.after(Duration::from_millis(left))
}

impl From<ChargeError> for CallError {
    fn from(error: ChargeError) -> Self {
        Self::Budget(error)
    }
}
