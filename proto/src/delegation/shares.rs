//! The books of a delegator: how an operation's ledger is shared among the operations that it was
//! handed on to, so that the whole tree never spends more than the root's snapshots allow.
//!
//! A BUDGET counts from the moment it arrives (`BUD-5`), and its sender does not know what the
//! receiver has spent by then. So a snapshot that raises a child's limit is committed in full on
//! top of all that the child may have been granted before; nothing is taken back on a guess. What
//! lets go of it is a report that is certainly younger than that snapshot: it states a limit, spent
//! and remaining together, that the child could not have had before. Reports that prove nothing
//! only say what was spent. A child that never reports keeps all that it was granted.
//!
//! Reports have to come in the order in which they were sent, and a responder sends one when it is
//! told that nothing remains, when it is out of budget, and again whenever what it has out with
//! children of its own changes while it is.

use core::fmt;

use heapless::Vec;

use super::meter::{Meter, NONE};
use crate::budget::{Charge, ChargeError, CurrencyMismatch, Dimension, Ledger};
use crate::time::UnixMillis;
use crate::varint;
use crate::wire::{Budget, Currency};

/// How much of what is free a child starts with. A dimension without a limit stays without one,
/// and a share may be nothing: the child then waits for its first grant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum Share {
    /// So much.
    Amount(Charge),
    /// One of so many equal parts of what is free now; of 1, all of it. 0 counts as 1.
    Part {
        /// How many parts.
        of: u32,
    },
}

/// Why the books have not changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum ShareError {
    /// There is no room for another child.
    Full,
    /// A child of this name is open.
    Duplicate,
    /// There is no such child.
    Unknown,
    /// The share is more than what is free, or the deadline has passed.
    Charge(ChargeError),
}

impl fmt::Display for ShareError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Full => f.write_str("no room for another delegated operation"),
            Self::Duplicate => f.write_str("the delegated operation is open already"),
            Self::Unknown => f.write_str("no such delegated operation"),
            Self::Charge(error) => error.fmt(f),
        }
    }
}

impl core::error::Error for ShareError {}

impl From<ChargeError> for ShareError {
    fn from(error: ChargeError) -> Self {
        Self::Charge(error)
    }
}

impl From<CurrencyMismatch> for ShareError {
    fn from(mismatch: CurrencyMismatch) -> Self {
        Self::Charge(mismatch.into())
    }
}

/// Tokens and cost, in this order.
type Amounts = [u64; 2];

#[derive(Clone, Copy, Debug)]
struct Child {
    id: u64,
    meters: [Meter; 2],
    /// What its latest snapshot limits.
    limited: [bool; 2],
    deadline: UnixMillis,
    /// A report has proved that the latest snapshot which raised a limit is there.
    seen: bool,
    /// Since then, or with it, the limit was set to zero.
    halted: [bool; 2],
    /// It is out of budget, and was not answered yet.
    wants: bool,
}

impl Child {
    fn outstanding(&self) -> Amounts {
        self.meters.map(|meter| meter.outstanding())
    }

    /// What is outstanding, and was not called back.
    fn running(&self) -> Amounts {
        both(self.outstanding(), self.halted)
            .map(|(outstanding, halted)| if halted { 0 } else { outstanding })
    }

    fn is_exact(&self, limited: [bool; 2]) -> bool {
        both(self.meters, limited)
            .into_iter()
            .all(|(meter, limited)| !limited || meter.is_exact())
    }

    /// Writes down that a snapshot of `amounts` goes out. What it adds is committed already.
    fn send(&mut self, ledger: &mut Ledger, amounts: Amounts) -> Budget {
        let raises = both(both(self.meters, self.halted), amounts)
            .into_iter()
            .any(|((meter, halted), more)| match more {
                NONE => halted || !meter.is_open(),
                more => more > 0,
            });
        if raises {
            let before = self.outstanding();
            let each = self.meters.iter_mut().zip(amounts).zip(self.halted);
            for ((meter, more), halted) in each {
                meter.raise(more, self.seen && !halted);
            }
            // What was set aside is not needed where the limit is gone.
            let [tokens, cost] = both(self.meters, before)
                .map(|(meter, before)| if meter.is_open() { before } else { 0 });
            ledger.settle(&charge(ledger, [tokens, cost]), &Charge::default());
            self.seen = false;
            self.halted = [false; 2];
        }
        self.halted = both(self.halted, amounts).map(|(halted, more)| halted || more == 0);
        self.limited = amounts.map(|amount| amount != NONE);
        self.wants = self.wants && !raises && self.is_exact(self.limited);
        self.deadline = ledger.deadline();
        snapshot(ledger, amounts)
    }

    /// Stops the child in every dimension that is limited, until it has told what it spent.
    fn halt(&mut self, ledger: &mut Ledger) -> (u64, Budget) {
        let amounts = free(ledger).map(|free| if free == NONE { NONE } else { 0 });
        (self.id, self.send(ledger, amounts))
    }

    /// The snapshot that gives the child one of `parts` parts of what is free, and what it may
    /// not have spent yet.
    fn grant(&self, free: Amounts, parts: u64) -> Step {
        let mut amounts = [NONE; 2];
        let (mut empty, mut blocked) = (false, false);
        let each = amounts.iter_mut().zip(free).zip(self.meters);
        for ((amount, free), meter) in each.filter(|((_, free), _)| *free != NONE) {
            let outstanding = meter.outstanding();
            if free == 0 && outstanding == 0 {
                return Step::Wait;
            }
            empty |= outstanding == 0;
            blocked |= free <= outstanding;
            let part = free.checked_div(parts).unwrap_or(free).max(1);
            let more = outstanding.saturating_add(part);
            *amount = more.min(free).min(varint::MAX);
        }
        match (blocked, empty) {
            (false, _) => Step::Grant(amounts),
            (true, true) => Step::Halt,
            (true, false) => Step::Wait,
        }
    }
}

/// What can be done for a child that is out of budget.
enum Step {
    Grant(Amounts),
    /// It is out of one thing, and holds more of the other than could be added: it gives that
    /// back first.
    Halt,
    Wait,
}

/// The children of one operation, at most `N` at a time.
///
/// After every change (a child opened, reported or closed; the ledger charged or updated)
/// [`poll`](Self::poll) until it has nothing more to send.
#[derive(Clone, Debug, Default)]
pub struct Shares<const N: usize> {
    children: Vec<Child, N>,
}

impl<const N: usize> Shares<N> {
    /// No children.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            children: Vec::new(),
        }
    }

    /// How many children are open.
    #[must_use]
    pub fn len(&self) -> usize {
        self.children.len()
    }

    /// Whether no child is open.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.children.is_empty()
    }

    /// Opens `child`, and sets its share aside. The snapshot goes to it before anything else
    /// does.
    ///
    /// # Errors
    /// [`ShareError::Full`], [`ShareError::Duplicate`]; [`ShareError::Charge`] when the share is
    /// more than what is free. Nothing has changed.
    pub fn open(
        &mut self,
        ledger: &mut Ledger,
        child: u64,
        share: Share,
        now: UnixMillis,
    ) -> Result<Budget, ShareError> {
        if self.position(child).is_some() {
            return Err(ShareError::Duplicate);
        }
        if self.children.is_full() {
            return Err(ShareError::Full);
        }
        let asked = match share {
            Share::Amount(amount) => {
                let [_, cost] = free(ledger);
                if cost != NONE && amount.cost_microunits > 0 {
                    same_currency(ledger, amount.currency)?;
                }
                [amount.tokens, amount.cost_microunits].map(|amount| amount.min(varint::MAX))
            }
            Share::Part { of } => free(ledger).map(|free| {
                free.checked_div(u64::from(of.max(1)))
                    .unwrap_or(free)
                    .min(varint::MAX)
            }),
        };
        let [tokens, cost] =
            both(free(ledger), asked).map(|(free, asked)| if free == NONE { NONE } else { asked });
        let amounts = [tokens, cost];
        ledger.commit(&charge(ledger, amounts), now)?;
        let opened = Child {
            id: child,
            meters: amounts.map(Meter::new),
            limited: amounts.map(|amount| amount != NONE),
            deadline: ledger.deadline(),
            // It has no limit before its first snapshot, so every limit that it reports is ours.
            seen: true,
            halted: amounts.map(|amount| amount == 0),
            wants: false,
        };
        self.children.push(opened).map_err(|_| ShareError::Full)?;
        self.count_open(ledger);
        Ok(snapshot(ledger, amounts))
    }

    /// Takes a report of `child`; a BUDGET that is none says nothing.
    ///
    /// # Errors
    /// [`ShareError::Unknown`]; [`ShareError::Charge`] when it is in another currency. Nothing has
    /// changed.
    pub fn reported(
        &mut self,
        ledger: &mut Ledger,
        child: u64,
        report: &Budget,
    ) -> Result<(), ShareError> {
        let at = self.position(child).ok_or(ShareError::Unknown)?;
        let child = self.children.get_mut(at).ok_or(ShareError::Unknown)?;
        if !report.is_report() {
            return Ok(());
        }
        let spent = [
            report.tokens_spent.unwrap_or(0),
            report.cost_microunits_spent.unwrap_or(0),
        ];
        let [_, cost_spent] = spent;
        if cost_spent > 0 {
            same_currency(ledger, report.currency)?;
        }
        let left = remaining(report);
        child.seen |= both(child.meters, both(spent, left))
            .into_iter()
            .any(|(meter, (spent, left))| meter.proves(meter.limit(spent, left)));
        let before = child.meters;
        for (meter, (spent, left)) in child.meters.iter_mut().zip(both(spent, left)) {
            meter.report(spent, left, child.seen);
        }
        // An old report is no answer to what it has been granted since.
        child.wants |= child.seen || child.halted.contains(&true);
        let changes: [(u64, u64); 2] = both(before, child.meters).map(|(before, after)| {
            let released = before.outstanding().saturating_sub(after.outstanding());
            (released, after.known.saturating_sub(before.known))
        });
        let released = charge(ledger, changes.map(|(released, _)| released));
        let mut spent = charge(ledger, changes.map(|(_, spent)| spent));
        spent.currency = spent.currency.or(report.currency);
        ledger.settle(&released, &spent);
        self.count_open(ledger);
        Ok(())
    }

    /// `child` has ended. What an accounting leaves of its share is free again; without one all
    /// that it was granted counts as spent, as does cost in another currency. Returns what was
    /// counted for it in all; `None` when there is no such child.
    pub fn closed(
        &mut self,
        ledger: &mut Ledger,
        child: u64,
        spent: Option<Charge>,
    ) -> Option<Charge> {
        let at = self.position(child)?;
        let child = self.children.swap_remove(at);
        let accounted = spent.map_or([None; 2], |spent| {
            let same = spent.cost_microunits == 0 || same_currency(ledger, spent.currency).is_ok();
            [
                Some(spent.tokens),
                Some(spent.cost_microunits).filter(|_| same),
            ]
        });
        let totals = both(child.meters, accounted).map(|(meter, spent)| meter.end(spent));
        let late =
            both(child.meters, totals).map(|(meter, total)| total.saturating_sub(meter.known));
        let currency = spent.and_then(|spent| spent.currency);
        let with_currency = |charge: Charge| Charge {
            currency: charge.currency.or(currency),
            ..charge
        };
        let late = with_currency(charge(ledger, late));
        ledger.settle(&charge(ledger, child.outstanding()), &late);
        self.count_open(ledger);
        Some(with_currency(charge(ledger, totals)))
    }

    /// The next snapshot to send, and the child that it is for.
    ///
    /// First come those that bring a new deadline, or another set of limits: such a snapshot
    /// leaves nothing in the limited dimensions, since no other number is safe while the child
    /// runs, and it is granted again once it has told where it stopped. Then children are halted,
    /// those with most outstanding first, until what stays out fits what remains. Then what is
    /// free is shared among those that are out of budget, in equal parts.
    pub fn poll(&mut self, ledger: &mut Ledger, now: UnixMillis) -> Option<(u64, Budget)> {
        let sent = self
            .refresh(ledger)
            .or_else(|| self.halt(ledger))
            .or_else(|| self.grant(ledger, now));
        self.count_open(ledger);
        sent
    }

    fn refresh(&mut self, ledger: &mut Ledger) -> Option<(u64, Budget)> {
        let limited = free(ledger).map(|free| free != NONE);
        let deadline = ledger.deadline();
        self.children
            .iter_mut()
            .find(|child| child.deadline != deadline || child.limited != limited)
            .map(|child| child.halt(ledger))
    }

    fn halt(&mut self, ledger: &mut Ledger) -> Option<(u64, Budget)> {
        let over = ledger.overcommitted();
        let over = [over.tokens, over.cost_microunits];
        // What those that were halted will give back is as good as here.
        let coming = self.children.iter().fold([0; 2], |sum: Amounts, child| {
            let back = both(child.outstanding(), child.running());
            both(sum, back)
                .map(|(sum, (all, running))| sum.saturating_add(all.saturating_sub(running)))
        });
        let [tokens, cost] = both(over, coming).map(|(over, coming)| over > coming);
        if !tokens && !cost {
            return None;
        }
        let weight = |child: &Child| {
            let [in_tokens, in_cost] = child.running();
            if tokens { in_tokens } else { in_cost }
        };
        self.children
            .iter_mut()
            .filter(|child| weight(child) > 0)
            .max_by_key(|child| weight(child))
            .map(|child| child.halt(ledger))
    }

    fn grant(&mut self, ledger: &mut Ledger, now: UnixMillis) -> Option<(u64, Budget)> {
        if ledger.exhausted(now) == Some(Dimension::Deadline) {
            return None;
        }
        let free = free(ledger);
        let parts = self.children.iter().filter(|child| child.wants).count() as u64;
        for child in self.children.iter_mut().filter(|child| child.wants) {
            match child.grant(free, parts) {
                Step::Grant(amounts) => {
                    ledger.commit(&charge(ledger, amounts), now).ok()?;
                    child.wants = false;
                    return Some((child.id, child.send(ledger, amounts)));
                }
                Step::Halt if child.running() != [0; 2] => {
                    child.wants = false;
                    return Some(child.halt(ledger));
                }
                Step::Halt | Step::Wait => {}
            }
        }
        None
    }

    fn position(&self, child: u64) -> Option<usize> {
        self.children.iter().position(|open| open.id == child)
    }

    /// Tells the ledger how many children have no limit, for all we know.
    fn count_open(&self, ledger: &mut Ledger) {
        let [tokens, cost] = self.children.iter().fold([0_usize; 2], |sum, child| {
            both(sum, child.meters).map(|(sum, meter)| sum.saturating_add(meter.is_open().into()))
        });
        ledger.delegated_without_limit(tokens, cost);
    }

    /// Whether a child is out of budget and nothing can be given to it: the operation itself is
    /// out of budget, and reports so. Holds once [`poll`](Self::poll) has nothing more to send.
    #[must_use]
    pub fn starving(&self) -> bool {
        self.children.iter().any(|child| child.wants)
    }
}

fn both<A, B>([a, b]: [A; 2], [x, y]: [B; 2]) -> [(A, B); 2] {
    [(a, x), (b, y)]
}

fn remaining(budget: &Budget) -> Amounts {
    [budget.tokens, budget.cost_microunits].map(|left| left.unwrap_or(NONE))
}

fn free(ledger: &Ledger) -> Amounts {
    remaining(&ledger.free())
}

fn charge(ledger: &Ledger, amounts: Amounts) -> Charge {
    let [tokens, cost_microunits] = amounts.map(|amount| if amount == NONE { 0 } else { amount });
    Charge {
        tokens,
        cost_microunits,
        currency: ledger.spent().currency,
    }
}

/// What goes to a child. Never without an entry (`BUD-1`): a currency alone limits nothing.
fn snapshot(ledger: &Ledger, amounts: Amounts) -> Budget {
    let [tokens, cost_microunits] = amounts.map(|amount| Some(amount).filter(|n| *n != NONE));
    let free = ledger.free();
    let unlimited = tokens.is_none() && cost_microunits.is_none() && free.deadline.is_none();
    Budget {
        tokens,
        cost_microunits,
        currency: free.currency.or(unlimited.then_some(Currency::USD)),
        ..free
    }
}

fn same_currency(ledger: &Ledger, came: Option<Currency>) -> Result<(), CurrencyMismatch> {
    let came = came.unwrap_or(Currency::USD);
    match ledger.spent().currency {
        Some(counted_in) if !counted_in.matches(came) => Err(CurrencyMismatch { counted_in, came }),
        _ => Ok(()),
    }
}
