//! Spending from an operation's budget.

use std::time::{Duration, Instant};

use aire_proto::accounting::{Accounting, MAX_LEN};
use aire_proto::budget::{Charge, ChargeError, Dimension, Ledger};
use tracing::debug;

use super::{Failure, Operation};
use crate::driver::unix_now;
use crate::mailbox::Command;

impl Operation {
    /// How long [`charge`](Self::charge) waits for a top-up before it gives up; not at all by
    /// default (`BUD-8`).
    pub fn set_budget_patience(&mut self, most: Duration) {
        self.patience = most;
    }

    /// Spends from the operation's budget: call it before the work is done (`BUD-6`). Without a
    /// budget, the peer's or the local policy's, it only counts. Where the budget does not
    /// suffice it waits for a top-up as long as
    /// [`set_budget_patience`](Self::set_budget_patience) says, and the peer is told what was
    /// spent so far.
    ///
    /// # Errors
    /// [`Failure::Failed`] with `BUDGET_EXCEEDED` or `DEADLINE_EXCEEDED`, and nothing was spent:
    /// return it from a handler, so that the peer is told (`BUD-7`). [`Failure::Currency`].
    /// [`Failure`] when the operation was cancelled, or ended.
    pub fn charge(&mut self, charge: &Charge) -> Result<(), Failure> {
        let began = Instant::now();
        let until = began.checked_add(self.patience);
        let mut waits = false;
        loop {
            let budgets = self.shared.lock().budgets;
            if let Some(failure) = self.failure() {
                return Err(failure);
            }
            let refused = match self.try_charge(charge) {
                Ok(()) => {
                    if waits {
                        self.went_on(began);
                    }
                    return Ok(());
                }
                Err(refused) => refused,
            };
            let what = match refused {
                ChargeError::Exhausted(what) if what != Dimension::Deadline => what,
                _ => return Err(Failure::over_budget(refused)),
            };
            let helps = self
                .shared
                .ledger
                .work(|ledger| ledger.top_up_helps(charge));
            let may_wait = helps && !self.patience.is_zero();
            if !may_wait || !self.wait_for_budget(what, budgets, until) {
                return Err(Failure::over_budget(refused));
            }
            waits = true;
        }
    }

    /// As [`charge`](Self::charge), but never waits.
    ///
    /// # Errors
    /// [`ChargeError`]: nothing was spent.
    pub fn try_charge(&self, charge: &Charge) -> Result<(), ChargeError> {
        self.shared
            .ledger
            .work(|ledger| ledger.charge(charge, unix_now()))
    }

    /// What the operation may spend, and has spent.
    #[must_use]
    pub fn ledger(&self) -> Ledger {
        self.shared.ledger.work(|ledger| *ledger)
    }

    /// What a final STREAM or an ERROR may say of this operation's cost (`BUD-11`): of the tokens
    /// that were charged, `tokens_in` were read, and the others produced, in the time that it
    /// `took`. [`Accounting::encode`] has the bytes.
    ///
    /// An operation that was delegated by a node of ours sends one by itself, all tokens counted
    /// as produced, unless its handler has.
    #[must_use]
    pub fn accounting(&self, tokens_in: u64, took: Duration) -> Accounting {
        Accounting::from_ledger(&self.ledger(), tokens_in, took)
    }

    /// Whether a delegator waits to hear what was spent, where there is anything to tell: without an accounting the whole share
    /// counts as spent there.
    pub(super) fn owes_accounting(&self) -> bool {
        let counts = || {
            let ledger = self.ledger();
            ledger.is_limited() || ledger.spent() != Charge::default()
        };
        self.about.responder && self.about.path.is_some() && !self.accounted && counts()
    }

    /// What was spent and produced since the operation began, for its end.
    pub(super) fn encoded_accounting(&self) -> Vec<u8> {
        let mut buffer = [0; MAX_LEN];
        let accounting = self.accounting(0, self.began.elapsed());
        // It is as long as it may be.
        accounting
            .encode(&mut buffer)
            .map_or_else(|_| Vec::new(), |encoded| encoded.to_vec())
    }

    /// Sends the accounting that a delegator waits for, unless the handler has: the last STREAM of
    /// an operation that ends well.
    pub(crate) fn account(&mut self) {
        if self.owes_accounting() {
            let encoded = self.encoded_accounting();
            // An operation that has ended meanwhile needs none.
            let _ended = self.send(encoded);
        }
    }

    /// Waits until a BUDGET comes after the `budgets` that were seen, but not past `until`.
    fn wait_for_budget(&self, what: Dimension, budgets: u64, until: Option<Instant>) -> bool {
        debug!(layer = "budget", ?what, "the producer stalls");
        let patience = self.patience;
        self.tell(Command::OutOfBudget { what, patience });
        let mut state = self.shared.lock();
        while state.budgets == budgets && state.failure.is_none() {
            state = match self.shared.wait(state, until) {
                Some(state) => state,
                None => return false,
            };
        }
        true
    }

    fn went_on(&self, began: Instant) {
        let waited = began.elapsed();
        debug!(layer = "budget", ?waited, "the producer goes on");
        self.mailbox.counters.stalled_by_budget(waited);
        self.tell(Command::WithinBudget);
    }
}
