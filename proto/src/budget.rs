//! What an operation may spend, and the ledger that meters work against it.
//!
//! A BUDGET says what remains from the moment it arrives (`BUD-5`). The ledger keeps totals, so
//! that spending, shares handed to delegated operations, and the local policy's caps all count
//! against the same limit, whatever order they come in.

use core::fmt;
use core::time::Duration;

use crate::code::ErrorCode;
use crate::time::UnixMillis;
use crate::wire::{Budget, Currency};

/// An amount that is spent, or handed on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Charge {
    /// Tokens.
    pub tokens: u64,
    /// Millionths of the currency's unit.
    pub cost_microunits: u64,
    /// What the cost is in; US dollars when missing. Without a cost it says nothing.
    pub currency: Option<Currency>,
}

impl Charge {
    /// So many tokens, and no cost.
    #[must_use]
    pub const fn tokens(tokens: u64) -> Self {
        Self {
            tokens,
            cost_microunits: 0,
            currency: None,
        }
    }

    /// The same with a cost beside it.
    #[must_use]
    pub const fn with_cost(self, microunits: u64, currency: Currency) -> Self {
        Self {
            cost_microunits: microunits,
            currency: Some(currency),
            ..self
        }
    }
}

/// The local policy's limits for a whole operation, whatever its peer claims (`BUD-10`). A field
/// that is missing sets no limit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Cap {
    /// Tokens in all.
    pub tokens: Option<u64>,
    /// Millionths of the currency's unit in all.
    pub cost_microunits: Option<u64>,
    /// What the cost is in; US dollars when missing. Budgets in other currencies are refused.
    pub currency: Option<Currency>,
    /// How long the operation may take from now.
    pub time: Option<Duration>,
}

/// What a budget limits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum Dimension {
    /// Tokens.
    Tokens,
    /// Money.
    Cost,
    /// Time.
    Deadline,
}

impl Dimension {
    /// The code of an operation that ends because this is exhausted (`BUD-7`).
    #[must_use]
    pub const fn code(self) -> ErrorCode {
        match self {
            Self::Tokens | Self::Cost => ErrorCode::BudgetExceeded,
            Self::Deadline => ErrorCode::DeadlineExceeded,
        }
    }
}

/// Two amounts of money that cannot be compared: nothing is ever converted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct CurrencyMismatch {
    /// What the operation is counted in.
    pub counted_in: Currency,
    /// What came.
    pub came: Currency,
}

/// Why nothing was charged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum ChargeError {
    /// It would pass the budget (`BUD-6`).
    Exhausted(Dimension),
    /// It is in another currency than the budget.
    Currency(CurrencyMismatch),
}

impl From<CurrencyMismatch> for ChargeError {
    fn from(mismatch: CurrencyMismatch) -> Self {
        Self::Currency(mismatch)
    }
}

impl fmt::Display for CurrencyMismatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "the operation is counted in {}, not in {}",
            self.counted_in, self.came
        )
    }
}

impl fmt::Display for ChargeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Exhausted(Dimension::Tokens) => f.write_str("the token budget is exhausted"),
            Self::Exhausted(Dimension::Cost) => f.write_str("the money budget is exhausted"),
            Self::Exhausted(Dimension::Deadline) => f.write_str("the deadline has passed"),
            Self::Currency(mismatch) => mismatch.fmt(f),
        }
    }
}

impl core::error::Error for CurrencyMismatch {}
impl core::error::Error for ChargeError {}

/// No limit. Larger than every number that a frame can carry.
const NONE: u64 = u64::MAX;
/// The largest limit that is one.
const LARGEST: u64 = u64::MAX - 1;

/// One thing that is counted. All totals, of the operation's whole life.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Account {
    /// What the latest snapshot allows.
    limit: u64,
    /// What the local policy allows.
    cap: u64,
    spent: u64,
    /// Handed to delegated operations, and not accounted for by them yet.
    committed: u64,
    /// How many delegated operations may spend without a limit, for all we know.
    unbounded: usize,
}

impl Account {
    const OPEN: Self = Self {
        limit: NONE,
        cap: NONE,
        spent: 0,
        committed: 0,
        unbounded: 0,
    };

    fn bound(&self) -> u64 {
        self.limit.min(self.cap)
    }

    /// What may still be spent or handed on.
    fn free(&self) -> u64 {
        match self.bound() {
            NONE => NONE,
            // Until they have told what they spent, nobody knows what is left.
            _ if self.unbounded > 0 => 0,
            bound => bound
                .saturating_sub(self.spent)
                .saturating_sub(self.committed),
        }
    }

    /// What the local policy leaves. Shares that are out may come back.
    fn under_cap(&self) -> u64 {
        match self.cap {
            NONE => NONE,
            cap => cap.saturating_sub(self.spent),
        }
    }

    fn update(&mut self, remaining: Option<u64>) {
        self.limit = remaining.map_or(NONE, |left| self.spent.saturating_add(left).min(LARGEST));
    }

    /// What may still be spent, by whoever it is with; `None` without a limit. A share that is
    /// out may be spent even where a snapshot went below it.
    fn remaining(&self) -> Option<u64> {
        match self.bound() {
            NONE => None,
            bound => Some(bound.saturating_sub(self.spent).max(self.committed)),
        }
    }

    /// By how much the shares are larger than what the budget leaves for them.
    fn overcommitted(&self) -> u64 {
        match self.bound() {
            NONE => 0,
            bound => self
                .committed
                .saturating_sub(bound.saturating_sub(self.spent)),
        }
    }
}

/// What one operation may spend, and has spent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ledger {
    tokens: Account,
    cost: Account,
    /// What the cost is counted in, once there is any.
    currency: Option<Currency>,
    /// Whether the local policy fixed the currency.
    currency_capped: bool,
    deadline: UnixMillis,
    deadline_cap: UnixMillis,
}

/// No deadline.
const NEVER: UnixMillis = UnixMillis(i64::MAX);

impl Default for Ledger {
    fn default() -> Self {
        Self {
            tokens: Account::OPEN,
            cost: Account::OPEN,
            currency: None,
            currency_capped: false,
            deadline: NEVER,
            deadline_cap: NEVER,
        }
    }
}

impl Ledger {
    /// Applies the local policy: from now on nothing passes `cap`, whatever a snapshot says
    /// (`BUD-10`). The latest call counts.
    ///
    /// # Errors
    /// [`CurrencyMismatch`] when money was counted in another currency: nothing has changed.
    pub fn cap(&mut self, cap: &Cap, now: UnixMillis) -> Result<(), CurrencyMismatch> {
        if cap.cost_microunits.is_some() {
            self.count_in(cap.currency)?;
        }
        self.currency_capped = cap.cost_microunits.is_some();
        self.tokens.cap = cap.tokens.unwrap_or(NONE);
        self.cost.cap = cap.cost_microunits.unwrap_or(NONE);
        self.deadline_cap = cap.time.map_or(NEVER, |time| {
            let millis = i64::try_from(time.as_millis()).unwrap_or(i64::MAX);
            UnixMillis(now.0.saturating_add(millis))
        });
        Ok(())
    }

    /// Takes a snapshot: it replaces the one before, up or down, and says what remains from now
    /// on (`BUD-3`, `BUD-5`). Shares that are handed out count against it.
    ///
    /// # Errors
    /// [`CurrencyMismatch`] when it is in another currency than the local policy, or than what
    /// was spent: nothing has changed.
    pub fn update(&mut self, budget: &Budget) -> Result<(), CurrencyMismatch> {
        if budget.cost_microunits.is_some() {
            self.count_in(budget.currency)?;
        }
        self.tokens.update(budget.tokens);
        self.cost.update(budget.cost_microunits);
        self.deadline = budget.deadline.unwrap_or(NEVER);
        Ok(())
    }

    /// Spends `charge`, all of it or nothing (`BUD-6`). Constant time, a handful of instructions.
    ///
    /// # Errors
    /// [`ChargeError`]; nothing was spent.
    #[inline]
    pub fn charge(&mut self, charge: &Charge, now: UnixMillis) -> Result<(), ChargeError> {
        self.check(charge, now)?;
        self.tokens.spent = self.tokens.spent.saturating_add(charge.tokens);
        self.cost.spent = self.cost.spent.saturating_add(charge.cost_microunits);
        Ok(())
    }

    /// Sets `share` aside for a delegated operation: it counts as if it were spent, until
    /// [`settle`](Self::settle) says what became of it.
    ///
    /// # Errors
    /// [`ChargeError`]; nothing was set aside.
    pub fn commit(&mut self, share: &Charge, now: UnixMillis) -> Result<(), ChargeError> {
        self.check(share, now)?;
        self.tokens.committed = self.tokens.committed.saturating_add(share.tokens);
        self.cost.committed = self.cost.committed.saturating_add(share.cost_microunits);
        Ok(())
    }

    /// Releases `share`, which was committed, of which `spent` was spent: the rest is free again.
    pub fn settle(&mut self, share: &Charge, spent: &Charge) {
        let (tokens, cost) = (&mut self.tokens, &mut self.cost);
        tokens.committed = tokens.committed.saturating_sub(share.tokens);
        cost.committed = cost.committed.saturating_sub(share.cost_microunits);
        tokens.spent = tokens.spent.saturating_add(spent.tokens);
        cost.spent = cost.spent.saturating_add(spent.cost_microunits);
        if spent.cost_microunits > 0 && self.currency.is_none() {
            self.currency = Some(spent.currency.unwrap_or(Currency::USD));
        }
    }

    /// So many delegated operations may spend tokens, and money, without a limit. Where there is
    /// one now, nothing is free before they have told what they spent.
    pub(crate) fn delegated_without_limit(&mut self, tokens: usize, cost: usize) {
        self.tokens.unbounded = tokens;
        self.cost.unbounded = cost;
    }

    fn check(&mut self, charge: &Charge, now: UnixMillis) -> Result<(), ChargeError> {
        if now >= self.deadline() {
            return Err(ChargeError::Exhausted(Dimension::Deadline));
        }
        if charge.tokens > self.tokens.free() {
            return Err(ChargeError::Exhausted(Dimension::Tokens));
        }
        if charge.cost_microunits > 0 {
            if charge.cost_microunits > self.cost.free() {
                self.same_currency(charge.currency)?;
                return Err(ChargeError::Exhausted(Dimension::Cost));
            }
            let came = charge.currency.unwrap_or(Currency::USD);
            // Mostly it is the same to the letter, as it was the last time.
            if self.currency != Some(came) {
                self.same_currency(charge.currency)?;
                self.currency = Some(came);
            }
        }
        Ok(())
    }

    /// Whether money may be counted in `currency`.
    fn same_currency(&self, currency: Option<Currency>) -> Result<(), CurrencyMismatch> {
        let came = currency.unwrap_or(Currency::USD);
        match self.currency {
            Some(counted_in) if !counted_in.matches(came) => {
                Err(CurrencyMismatch { counted_in, came })
            }
            _ => Ok(()),
        }
    }

    /// Counts money in `currency` from now on, which cannot change once any was counted.
    fn count_in(&mut self, currency: Option<Currency>) -> Result<(), CurrencyMismatch> {
        let counted = self.cost.spent > 0 || self.cost.committed > 0 || self.currency_capped;
        if counted {
            self.same_currency(currency)?;
        }
        self.currency = Some(currency.unwrap_or(Currency::USD));
        Ok(())
    }

    /// When work must have ended; the end of time without a deadline.
    #[must_use]
    pub fn deadline(&self) -> UnixMillis {
        self.deadline.min(self.deadline_cap)
    }

    /// What is exhausted now, if anything is: nothing more can be charged in that dimension.
    #[must_use]
    pub fn exhausted(&self, now: UnixMillis) -> Option<Dimension> {
        if now >= self.deadline() {
            Some(Dimension::Deadline)
        } else if self.tokens.free() == 0 {
            Some(Dimension::Tokens)
        } else if self.cost.free() == 0 {
            Some(Dimension::Cost)
        } else {
            None
        }
    }

    /// Whether `charge` could be taken if the peer allowed all there is: when not, the local policy
    /// is what stands in the way, and no top-up helps.
    #[must_use]
    pub fn top_up_helps(&self, charge: &Charge) -> bool {
        charge.tokens <= self.tokens.under_cap() && charge.cost_microunits <= self.cost.under_cap()
    }

    /// Whether tokens or money are limited, by the peer or by the local policy.
    #[must_use]
    pub fn is_limited(&self) -> bool {
        self.tokens.bound() != NONE || self.cost.bound() != NONE
    }

    /// What may still be spent or handed on, shares that are out taken off.
    #[must_use]
    pub fn free(&self) -> Budget {
        let open = |free| if free == NONE { None } else { Some(free) };
        self.snapshot(open(self.tokens.free()), open(self.cost.free()))
    }

    /// What remains of the budget, shares that are out included.
    #[must_use]
    pub fn remaining(&self) -> Budget {
        self.snapshot(self.tokens.remaining(), self.cost.remaining())
    }

    fn snapshot(&self, tokens: Option<u64>, cost_microunits: Option<u64>) -> Budget {
        Budget {
            tokens,
            cost_microunits,
            currency: cost_microunits.and(self.currency),
            deadline: Some(self.deadline()).filter(|deadline| *deadline != NEVER),
            ..Budget::default()
        }
    }

    /// [`remaining`](Self::remaining), and what was spent: what a responder tells its initiator
    /// when it is out of budget. What remains is left out as long as delegated operations may
    /// spend without a limit that has come since.
    #[must_use]
    pub fn report(&self) -> Budget {
        let remaining = self.remaining();
        let spent_in = self.currency.filter(|_| self.cost.spent > 0);
        Budget {
            tokens_spent: Some(self.tokens.spent),
            cost_microunits_spent: Some(self.cost.spent).filter(|spent| *spent > 0),
            currency: remaining.currency.or(spent_in),
            tokens: remaining.tokens.filter(|_| self.tokens.unbounded == 0),
            cost_microunits: remaining
                .cost_microunits
                .filter(|_| self.cost.unbounded == 0),
            ..remaining
        }
    }

    /// What was spent, by this operation and by those delegated that were settled.
    #[must_use]
    pub const fn spent(&self) -> Charge {
        Charge {
            tokens: self.tokens.spent,
            cost_microunits: self.cost.spent,
            currency: self.currency,
        }
    }

    /// What is set aside for delegated operations.
    #[must_use]
    pub const fn committed(&self) -> Charge {
        Charge {
            tokens: self.tokens.committed,
            cost_microunits: self.cost.committed,
            currency: self.currency,
        }
    }

    /// By how much what is set aside is larger than what remains: a snapshot went down.
    #[must_use]
    pub fn overcommitted(&self) -> Charge {
        Charge {
            tokens: self.tokens.overcommitted(),
            cost_microunits: self.cost.overcommitted(),
            currency: self.currency,
        }
    }
}
