//! The auditor: it sees what applications send, receive and spend, knows what they were to do, and
//! believes nobody.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use aire_proto::identity::Signer as _;
use aire_proto::wire::Budget;
use aire_proto::{Ledger, UnixMillis};

use crate::identity::ToySigner;
use crate::plan::{Plan, Way};
use crate::scenario::Scenario;

/// What must hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Invariant {
    /// What completes has all its frames.
    NoStreamLost,
    /// Every payload is the next one, byte for byte.
    OrderKept,
    /// A whole tree spends no more than its root's snapshots allowed.
    WithinBudget,
    /// Nothing is charged, or held, past a deadline.
    WithinDeadline,
    /// Whoever works for nobody hears of it in time.
    CancelReachesLeaves,
    /// A spent or foreign token is refused.
    TokensWorkOnce,
    /// Operations, windows, nonces and unread bytes stay within their bounds.
    TablesBounded,
    /// With nothing under way, both ends know of the same operations.
    BothEndsAgree,
    /// An operation starts once, and ends once.
    StartedOnce,
    /// HELLO is refused when clocks are too far apart, and only then.
    ClocksJudged,
    /// No node here is told that it broke a rule.
    NobodyBreaksTheProtocol,
    /// Nothing is left, in the end.
    ComesToRest,
}

impl fmt::Display for Invariant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NoStreamLost => "no STREAM is lost",
            Self::OrderKept => "order is kept, and nothing comes twice but after a resume",
            Self::WithinBudget => "no tree outspends its budget",
            Self::WithinDeadline => "no operation outlives its deadline",
            Self::CancelReachesLeaves => "a cancel reaches every live leaf in time",
            Self::TokensWorkOnce => "no token works twice, or for another",
            Self::TablesBounded => "no table grows past its bound",
            Self::BothEndsAgree => "both ends agree when the link is idle",
            Self::StartedOnce => "an operation starts once",
            Self::ClocksJudged => "clocks apart by more than the window never meet",
            Self::NobodyBreaksTheProtocol => "no correct node breaks the protocol",
            Self::ComesToRest => "everything comes to rest",
        })
    }
}

/// An invariant that did not hold.
#[derive(Clone, Debug)]
pub struct Failure {
    /// Which.
    pub invariant: Invariant,
    /// What was seen.
    pub details: String,
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.invariant, self.details)
    }
}

/// In one thing that is counted, what a tree may spend.
#[derive(Clone, Copy, Debug, Default)]
struct Allowance {
    /// The highest total that a snapshot allowed; `None` before the first.
    most: Option<u64>,
    spent: u64,
}

/// What is known of one operation.
#[derive(Debug)]
struct Job {
    plan: Plan,
    parent: Option<u64>,
    from: usize,
    to: usize,
    /// Frames that were received whole, frames that were sent.
    received: u64,
    inputs: u64,
    started: bool,
    stopped: bool,
    finished: bool,
    over: bool,
    /// Since when nobody wants it any more.
    doomed: Option<u64>,
    tokens: Allowance,
    cost: Allowance,
    deadline: Option<UnixMillis>,
    /// When it was heard, by the clock that heard it.
    heard: UnixMillis,
}

/// Sees everything.
#[derive(Debug, Default)]
pub(crate) struct Auditor {
    jobs: BTreeMap<u64, Job>,
    /// Operations that are being worked on.
    live: BTreeSet<u64>,
    spent_tokens: BTreeSet<Vec<u8>>,
    /// Pairs of nodes, and when something happened between them last.
    disturbed: BTreeMap<(usize, usize), u64>,
    pub(crate) failure: Option<Failure>,
}

fn pair(a: usize, b: usize) -> (usize, usize) {
    (a.min(b), a.max(b))
}

impl Auditor {
    /// Notes that `invariant` did not hold. The first one counts.
    pub(crate) fn fail(&mut self, invariant: Invariant, details: String) {
        self.failure.get_or_insert(Failure { invariant, details });
    }

    /// What `job` is to do.
    pub(crate) fn plan(&self, job: u64) -> Option<Plan> {
        self.jobs.get(&job).map(|job| job.plan)
    }

    pub(crate) fn planned(&mut self, plan: Plan, parent: Option<u64>, from: usize, to: usize) {
        let job = Job {
            plan,
            parent,
            from,
            to,
            received: 0,
            inputs: 0,
            started: false,
            stopped: false,
            finished: false,
            over: false,
            doomed: None,
            tokens: Allowance::default(),
            cost: Allowance::default(),
            deadline: None,
            heard: UnixMillis(0),
        };
        self.jobs.insert(plan.job, job);
    }

    /// The responder has the arguments, and begins.
    pub(crate) fn started(&mut self, job: u64, args: &[u8]) {
        let Some(known) = self.jobs.get_mut(&job) else {
            self.fail(Invariant::OrderKept, format!("nobody asked for {job}"));
            return;
        };
        if args != known.plan.payload(Way::Arguments, 0) {
            self.fail(
                Invariant::OrderKept,
                format!("the arguments of {job} are wrong"),
            );
        } else if known.started {
            self.fail(Invariant::StartedOnce, format!("{job} started again"));
        } else {
            known.started = true;
            if !known.plan.budgeted {
                known.tokens.most = known.plan.cap;
            }
            self.live.insert(job);
        }
    }

    /// What the responder was told of the path to it: a hop for every delegator.
    pub(crate) fn came_via(&mut self, job: u64, hops: &[String]) {
        let mut delegators = Vec::new();
        let mut at = self.jobs.get(&job);
        while let Some(known) = at {
            let Some(parent) = known.parent else {
                break;
            };
            delegators.insert(0, known.from);
            at = self.jobs.get(&parent);
        }
        let expected = delegators.iter().map(|node| ToySigner::new(*node));
        if !expected
            .map(|signer| signer.did().to_owned())
            .eq(hops.iter().cloned())
        {
            let details = format!("{job} came through {delegators:?}, it is told {hops:?}");
            self.fail(Invariant::NobodyBreaksTheProtocol, details);
        }
    }

    /// The initiator goes on from frame `received`, which it is known to have had.
    pub(crate) fn goes_on_from(&mut self, job: u64, received: u64) {
        let Some(known) = self.jobs.get_mut(&job) else {
            return;
        };
        if received > known.received {
            let had = known.received;
            let details = format!("{job} goes on from frame {received}, but had {had}");
            self.fail(Invariant::NoStreamLost, details);
        } else {
            known.received = received;
        }
    }

    /// A whole frame arrived: it must be the next.
    pub(crate) fn received(&mut self, job: u64, way: Way, bytes: &[u8]) {
        let Some(known) = self.jobs.get_mut(&job) else {
            return;
        };
        let count = match way {
            Way::Output => &mut known.received,
            _ => &mut known.inputs,
        };
        let expected = known.plan.payload(way, *count + 1);
        *count += 1;
        if bytes != expected {
            let details = format!(
                "{way:?} {count} of {job} has {} bytes, not the expected {}",
                bytes.len(),
                expected.len()
            );
            self.fail(Invariant::OrderKept, details);
        }
    }

    /// The responder's application has done all that there was to do.
    pub(crate) fn finished(&mut self, job: u64) {
        if let Some(known) = self.jobs.get_mut(&job) {
            known.finished = true;
        }
    }

    /// The initiator no longer waits for the operation; `completed` when it was told that the
    /// answer is whole.
    pub(crate) fn call_over(&mut self, job: u64, completed: bool) {
        let Some(known) = self.jobs.get_mut(&job) else {
            return;
        };
        known.over = true;
        if !completed {
            return;
        }
        let (received, frames) = (known.received, known.plan.frames);
        if received != frames || !known.finished {
            let details = format!("{job} completed with {received} of {frames} frames");
            self.fail(Invariant::NoStreamLost, details);
        }
    }

    /// The node no longer works on `job`.
    pub(crate) fn stopped(&mut self, job: u64, now: u64) {
        if let Some(known) = self.jobs.get_mut(&job) {
            known.stopped = true;
        }
        self.live.remove(&job);
        // CAN-8: what it was delegated to is to stop as well.
        let children: Vec<u64> = self
            .jobs
            .iter()
            .filter(|(_, other)| other.parent == Some(job))
            .map(|(child, _)| *child)
            .collect();
        for child in children {
            self.doomed(child, now);
        }
    }

    /// A crash took the memory of whoever asked for `job`; with a ticket he goes on later.
    pub(crate) fn asker_died(&mut self, job: u64, has_ticket: bool, now: u64) {
        if let Some(known) = self.jobs.get_mut(&job)
            && !has_ticket
        {
            known.over = true;
            known.doomed.get_or_insert(now);
        }
    }

    /// Which node asked for `job`.
    pub(crate) fn owner(&self, job: u64) -> Option<usize> {
        self.jobs.get(&job).map(|known| known.from)
    }

    /// Nobody wants `job` any more.
    pub(crate) fn doomed(&mut self, job: u64, now: u64) {
        if let Some(known) = self.jobs.get_mut(&job) {
            known.doomed.get_or_insert(now);
        }
    }

    /// Something happened between two nodes: a cut, a crash, a lost connection.
    pub(crate) fn disturbed(&mut self, a: usize, b: usize, now: u64) {
        self.disturbed.insert(pair(a, b), now);
    }

    /// A RESUME with this token was answered.
    pub(crate) fn token_taken(&mut self, token: &[u8], job: u64, peer: usize) {
        let owner = self.jobs.get(&job).map(|known| known.from);
        if owner != Some(peer) {
            let details = format!("node {peer} resumed {job} of {owner:?}");
            self.fail(Invariant::TokensWorkOnce, details);
        } else if !self.spent_tokens.insert(token.to_vec()) {
            let details = format!("a token of {job} was taken twice");
            self.fail(Invariant::TokensWorkOnce, details);
        }
    }

    /// The responder has taken a snapshot; `ledger` is how it stands with it.
    pub(crate) fn budget_heard(
        &mut self,
        job: u64,
        budget: &Budget,
        ledger: &Ledger,
        unix: UnixMillis,
    ) {
        let Some(known) = self.jobs.get_mut(&job) else {
            return;
        };
        let spent = ledger.spent();
        let cap = known.plan.cap.unwrap_or(u64::MAX);
        known.tokens.allow(spent.tokens, budget.tokens, cap);
        known
            .cost
            .allow(spent.cost_microunits, budget.cost_microunits, u64::MAX);
        known.deadline = budget.deadline;
        known.heard = unix;
    }

    /// Something was spent on `job`: it and all that it was delegated from pay.
    pub(crate) fn charged(&mut self, job: u64, tokens: u64, cost: u64, unix: UnixMillis) {
        let deadline = self.jobs.get(&job).and_then(|known| known.deadline);
        if deadline.is_some_and(|deadline| unix >= deadline) {
            let details = format!("{job} was charged at {unix:?}, past its deadline");
            self.fail(Invariant::WithinDeadline, details);
        }
        let mut payer = Some(job);
        while let Some(known) = payer.and_then(|payer| self.jobs.get_mut(&payer)) {
            let overspent = known.tokens.spend(tokens) | known.cost.spend(cost);
            let (tree, tokens, cost) = (known.plan.job, known.tokens, known.cost);
            payer = known.parent;
            if overspent {
                let details = format!("the tree of {tree} has spent {tokens:?}, {cost:?}");
                self.fail(Invariant::WithinBudget, details);
                return;
            }
        }
    }

    /// `job` could still send at `unix`, by its own clock.
    pub(crate) fn still_open(&mut self, job: u64, unix: UnixMillis) {
        let Some(known) = self.jobs.get(&job) else {
            return;
        };
        // A deadline that has passed already ends the operation as soon as it is heard.
        let until = known.deadline.map(|deadline| deadline.max(known.heard));
        if until.is_some_and(|until| unix.0 > until.0 + 50) {
            let details = format!("{job} goes on at {unix:?}, past {:?}", known.deadline);
            self.fail(Invariant::WithinDeadline, details);
        }
    }

    /// Whether those whom a cancel was for have heard it.
    pub(crate) fn check_cancels(&mut self, scenario: &Scenario, now: u64) {
        let late = self.live.iter().find_map(|job| {
            let known = self.jobs.get(job)?;
            let harm = self.disturbed.get(&pair(known.from, known.to));
            let lost = harm.map_or(0, |at| at + scenario.lost_bound(known.plan.resumable));
            let until = known.doomed?.max(lost) + scenario.cancel_bound();
            (now > until).then(|| format!("{job}, doomed at {:?}, still runs", known.doomed))
        });
        if let Some(details) = late {
            self.fail(Invariant::CancelReachesLeaves, details);
        }
    }

    /// At the end nothing may be left.
    pub(crate) fn check_rest(&mut self) {
        if let Some(job) = self.live.first() {
            let details = format!("{job} never ended");
            self.fail(Invariant::ComesToRest, details);
        }
        let waits = self
            .jobs
            .iter()
            .find(|(_, known)| !known.over && known.parent.is_none());
        if let Some((job, _)) = waits {
            let details = format!("{job} was never answered");
            self.fail(Invariant::ComesToRest, details);
        }
    }

    /// The operations that are being worked on.
    pub(crate) fn live(&self) -> Vec<u64> {
        self.live.iter().copied().collect()
    }
}

impl Allowance {
    fn allow(&mut self, spent: u64, remaining: Option<u64>, cap: u64) {
        // Where there ever was no limit, a tree may have spent what its root does not know of.
        let total = remaining.map_or(u64::MAX, |left| spent.saturating_add(left));
        self.most = Some(self.most.unwrap_or(0).max(total).min(cap));
    }

    fn spend(&mut self, amount: u64) -> bool {
        self.spent += amount;
        self.most.is_some_and(|most| self.spent > most)
    }
}
