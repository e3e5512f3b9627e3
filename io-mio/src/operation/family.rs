//! An operation and those that it was delegated to: the budget flows down to them, what is left
//! of it returns, and a cancel reaches all of them, from whatever thread it is seen.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use aire_proto::CancelReason;
use aire_proto::accounting::Accounting;
use aire_proto::budget::{Charge, Dimension};
use aire_proto::delegation::{Share, ShareError, Shares};
use aire_proto::wire::Budget;
use tracing::debug;

use super::{Failure, Shared};
use crate::driver::{SharedLedger, unix_now};
use crate::mailbox::{Command, Mailbox};

/// The most operations that one may be delegated to at a time.
pub(crate) const MAX_CHILDREN: usize = 64;

/// One operation and its children. Lives as long as any of them.
pub(crate) struct Family {
    ledger: SharedLedger,
    parent: Weak<Shared>,
    parent_mailbox: Mailbox,
    books: Mutex<Books>,
}

#[derive(Default)]
struct Books {
    shares: Shares<MAX_CHILDREN>,
    children: Vec<Child>,
    next: u64,
    /// How long the parent waits for a top-up when its children are out of budget.
    patience: Duration,
    /// The parent has asked for a top-up, and none has come.
    asked: bool,
    /// The family is cancelled: who joins it now is cancelled at once.
    cancelled: bool,
}

struct Child {
    name: u64,
    shared: Weak<Shared>,
    mailbox: Mailbox,
}

/// A child's place in its family.
#[derive(Clone)]
pub(crate) struct Membership {
    family: Arc<Family>,
    name: u64,
}

impl Family {
    pub(super) fn of(parent: &Arc<Shared>, mailbox: &Mailbox) -> Arc<Self> {
        Arc::new(Self {
            ledger: parent.ledger.clone(),
            parent: Arc::downgrade(parent),
            parent_mailbox: mailbox.clone(),
            books: Mutex::default(),
        })
    }

    fn lock(&self) -> MutexGuard<'_, Books> {
        self.books.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Sets a share aside for a child to be: its membership, and the snapshot that it begins with.
    pub(super) fn open(
        self: &Arc<Self>,
        share: Share,
        patience: Duration,
    ) -> Result<(Membership, Budget), ShareError> {
        let mut books = self.lock();
        let name = books.next;
        books.patience = patience;
        let budget = self
            .ledger
            .work(|ledger| books.shares.open(ledger, name, share, unix_now()))?;
        books.next = name.wrapping_add(1);
        let family = self.clone();
        Ok((Membership { family, name }, budget))
    }

    /// The parent's ledger took a snapshot, or a share came back: passes on what follows.
    pub(crate) fn rebalance(&self) {
        let mut books = self.lock();
        books.asked = false;
        self.settle(&mut books);
    }

    /// Sends what the books say is to be sent.
    fn settle(&self, books: &mut Books) {
        let mut next = || {
            self.ledger
                .work(|ledger| books.shares.poll(ledger, unix_now()))
        };
        let mut due = Vec::new();
        while let Some(step) = next() {
            due.push(step);
        }
        for (name, budget) in due {
            let Some(child) = books.children.iter().find(|child| child.name == name) else {
                continue;
            };
            if let Some(shared) = child.shared.upgrade() {
                debug!(child = name, ?budget, "a share");
                let place = shared.place();
                child.mailbox.operation(place, Command::Budget(budget));
            }
        }
        self.ask_for_more(books);
    }

    /// Children are out of budget, and so is their parent: its initiator is told (`BUD-8`).
    fn ask_for_more(&self, books: &mut Books) {
        if books.asked || books.patience.is_zero() || !books.shares.starving() {
            return;
        }
        let what = self.ledger.work(|ledger| ledger.exhausted(unix_now()));
        if let (Some(what), Some(parent)) = (what, self.parent.upgrade())
            && what != Dimension::Deadline
        {
            books.asked = true;
            let patience = books.patience;
            let ask = Command::OutOfBudget { what, patience };
            self.parent_mailbox.operation(parent.place(), ask);
        }
    }

    /// Cancels every child, now and later: the parent was cancelled, or failed (`CAN-8`).
    pub(crate) fn cancel(&self, detail: &str) {
        let mut books = self.lock();
        books.cancelled = true;
        for child in &books.children {
            child.cancel(detail);
        }
    }
}

impl Child {
    fn cancel(&self, detail: &str) {
        let Some(shared) = self.shared.upgrade() else {
            return;
        };
        let reason = CancelReason::UpstreamCancelled;
        shared.failed(Failure::Cancelled {
            reason,
            detail: detail.into(),
        });
        let detail = detail.into();
        let cancel = Command::Cancel { reason, detail };
        self.mailbox.operation(shared.place(), cancel);
    }
}

impl Membership {
    /// The child exists now.
    pub(crate) fn join(&self, shared: &Arc<Shared>, mailbox: &Mailbox) {
        let child = Child {
            name: self.name,
            shared: Arc::downgrade(shared),
            mailbox: mailbox.clone(),
        };
        let mut books = self.family.lock();
        if books.cancelled {
            child.cancel("");
        }
        books.children.push(child);
    }

    /// The child reported what it has spent.
    pub(crate) fn reported(&self, report: &Budget) {
        let mut books = self.family.lock();
        let ledger = &self.family.ledger;
        let taken = ledger.work(|ledger| books.shares.reported(ledger, self.name, report));
        if let Err(error) = taken {
            debug!(%error, "a report that nobody can use");
        }
        self.family.settle(&mut books);
    }

    /// The child has ended, or never came to be; with an accounting, what it did not spend
    /// returns.
    pub(crate) fn closed(&self, accounting: Option<&Accounting>) {
        let spent = accounting.map(Accounting::spent);
        let mut books = self.family.lock();
        let ledger = &self.family.ledger;
        ledger.work(|ledger| books.shares.closed(ledger, self.name, spent));
        books.children.retain(|child| child.name != self.name);
        self.family.settle(&mut books);
    }

    /// The child never came to be: its share returns whole.
    pub(super) fn unused(&self) {
        let mut books = self.family.lock();
        let nothing = Some(Charge::default());
        let ledger = &self.family.ledger;
        ledger.work(|ledger| books.shares.closed(ledger, self.name, nothing));
        self.family.settle(&mut books);
    }
}
