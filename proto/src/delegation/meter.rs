//! What a parent knows of one child, in one dimension.

/// No limit, as [`Ledger`](crate::Ledger) has it.
pub(super) const NONE: u64 = u64::MAX;

/// Totals over the child's whole life. The child's limit is never above `bound`, whatever is
/// still on its way to it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Meter {
    /// What it has reported to have spent.
    pub(super) known: u64,
    /// What it can ever have spent: all that it was granted, less what it told us it cannot use.
    pub(super) bound: u64,
    /// The limits that the child may have had before the latest snapshot that raised them. A
    /// report of any other limit is younger than that snapshot.
    low: u64,
    high: u64,
}

impl Meter {
    /// A child whose first snapshot says `limit`.
    pub(super) const fn new(limit: u64) -> Self {
        Self {
            known: 0,
            bound: limit,
            low: NONE,
            high: NONE,
        }
    }

    /// What it may still spend, for all we know, and what is committed for it. Nothing is
    /// committed where there is no limit.
    pub(super) const fn outstanding(&self) -> u64 {
        if self.bound == NONE {
            0
        } else {
            self.bound.saturating_sub(self.known)
        }
    }

    pub(super) const fn is_open(&self) -> bool {
        self.bound == NONE
    }

    /// Whether the child has certainly stopped, at `known`.
    pub(super) const fn is_exact(&self) -> bool {
        self.bound == self.known
    }

    /// A snapshot is sent that leaves `more` from its arrival on. Where the child then stands is
    /// unknown, so all of it comes on top. `certain`: its limit is `bound` until then.
    pub(super) fn raise(&mut self, more: u64, certain: bool) {
        self.high = self.bound;
        self.low = if certain { self.bound } else { self.known };
        self.bound = self.bound.saturating_add(more);
    }

    /// Whether a child with this limit has taken the latest snapshot that raised it.
    pub(super) const fn proves(&self, limit: u64) -> bool {
        limit < self.low || limit > self.high
    }

    /// The total that a report sets: `spent` so far, and `remaining` from there.
    pub(super) fn limit(&self, spent: u64, remaining: u64) -> u64 {
        self.known.max(spent).saturating_add(remaining)
    }

    /// Takes a report. `latest`: nothing that could raise the child's limit is on its way to it.
    pub(super) fn report(&mut self, spent: u64, remaining: u64, latest: bool) {
        let limit = self.limit(spent, remaining);
        self.known = self.known.max(spent.min(self.bound));
        // Without a limit nothing is committed, so it becomes one only where nothing has to be.
        if latest && (!self.is_open() || remaining == 0) {
            self.bound = self.bound.min(limit).max(self.known);
        }
    }

    /// What the child has spent in all, at its end: as accounted for, or at most.
    pub(super) fn end(&self, spent: Option<u64>) -> u64 {
        match spent {
            Some(spent) => spent.clamp(self.known, self.bound),
            None if self.is_open() => self.known,
            None => self.bound,
        }
    }
}
