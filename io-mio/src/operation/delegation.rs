//! Handing an operation on: to one node, or to several at a time.

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use aire_proto::ErrorCode;
use aire_proto::accounting::Accounting;
use aire_proto::delegation::{Path, Share, ShareError};
use tracing::{debug, warn};

use super::family::Family;
use super::shared::Bell;
use super::{Failure, Operation, Received};
use crate::Client;
use crate::mailbox::{Command, Via};
use crate::metrics::count;

/// What is asked of another node, and what it may spend.
#[derive(Debug)]
pub struct Branch<'a> {
    /// The connection to it.
    pub to: &'a Client,
    /// The agent there.
    pub agent: &'a str,
    /// The operation asked of it.
    pub operation: &'a str,
    /// Its arguments.
    pub args: Vec<u8>,
    /// How much of the delegator's free budget it begins with.
    pub share: Share,
}

/// What a failing branch means for the others.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OnFailure {
    /// The others are cancelled, and the whole fails with `DELEGATE_FAILED`.
    CancelOthers,
    /// The others go on.
    GoOn,
}

/// How a branch ended.
pub type BranchEnd = Result<(), Failure>;

impl Operation {
    /// Delegates this operation to another node: the initiator is told (DELEGATE, `GAP-7`), the
    /// new operation gets a share of this one's budget, and a cancel of this one reaches it, also
    /// after this one has ended (`CAN-8`). What it does not spend returns when it ends with an
    /// [`Accounting`].
    ///
    /// The answer is the new operation, for the caller to receive from, its accounting among the
    /// STREAM frames as the last one: or see
    /// [`forward`](Self::forward) and [`fan_out`](Self::fan_out). Dropping it cancels it.
    ///
    /// # Errors
    /// [`Failure::Failed`] with `DELEGATE_FAILED` when the other node cannot be asked, or has
    /// been already on the way here; with `BUDGET_EXCEEDED` when the share is not free; and as
    /// [`failure`](Self::failure).
    pub fn delegate(&mut self, branch: Branch<'_>) -> Result<Operation, Failure> {
        if let Some(failure) = self.failure() {
            return Err(failure);
        }
        let target_did = branch.to.peer().unwrap_or_default();
        self.check_circle(&target_did, branch.agent)?;
        let family = self.family();
        let (membership, budget) = family
            .open(branch.share, self.patience)
            .map_err(|error| refused_share(&error))?;
        let via = Via {
            path: self.about.path.clone(),
            did: self.about.node.clone(),
            agent: self.about.agent.clone(),
            membership: membership.clone(),
            budget,
        };
        let opened = branch
            .to
            .invoke_via(branch.agent, branch.operation, branch.args, via);
        let child = opened.map_err(|error| {
            membership.unused();
            delegate_failed(format_args!("{}: {error}", branch.to.address()))
        })?;
        let target = branch.to.address().uri_of(branch.agent, branch.operation);
        debug!(%target, target_did, "delegated");
        count(&self.mailbox.counters.delegated);
        self.tell(Command::Delegate {
            target,
            target_did,
            sub_op: child.id().get(),
        });
        Ok(child)
    }

    /// Delegates the whole operation to one node, and relays what comes back as it comes, until
    /// it ends: a handler may consist of this one call.
    ///
    /// # Errors
    /// As [`delegate`](Self::delegate) and [`relay`](Self::relay).
    pub fn forward(
        &mut self,
        to: &Client,
        agent: &str,
        operation: &str,
        args: impl Into<Vec<u8>>,
    ) -> Result<(), Failure> {
        let child = self.delegate(Branch {
            to,
            agent,
            operation,
            args: args.into(),
            share: Share::Part { of: 1 },
        })?;
        self.relay(child)
    }

    /// Delegates to several nodes at a time, and sends the initiator what comes back as it comes:
    /// a slow branch holds up no other. How each ended, in the order of `branches`.
    ///
    /// # Errors
    /// As [`delegate`](Self::delegate) and [`merge`](Self::merge).
    pub fn fan_out(
        &mut self,
        branches: Vec<Branch<'_>>,
        on_failure: OnFailure,
    ) -> Result<Vec<BranchEnd>, Failure> {
        let mut children = Vec::with_capacity(branches.len());
        for branch in branches {
            children.push(self.delegate(branch)?);
        }
        self.merge(children, on_failure, |_, payload| Some(payload))
    }

    /// Relays what comes on a delegated operation, until it ends. Its accounting is taken into
    /// this operation's books, and not passed on.
    ///
    /// # Errors
    /// [`Failure::Failed`] with `DELEGATE_FAILED` when it fails, but with `BUDGET_EXCEEDED` or
    /// `DEADLINE_EXCEEDED` when it is the budget that ended it; this operation's own
    /// [`Failure`] when it was cancelled.
    pub fn relay(&mut self, child: Operation) -> Result<(), Failure> {
        let each = |_: usize, payload| Some(payload);
        self.merge(vec![child], OnFailure::CancelOthers, each)
            .map(|_| ())
    }

    /// Takes what comes on delegated operations as it comes, until all have ended. `each` is told
    /// which one a payload is from, and says what the initiator gets.
    ///
    /// # Errors
    /// As [`relay`](Self::relay); with [`OnFailure::GoOn`] only this operation's own.
    pub fn merge(
        &mut self,
        children: Vec<Operation>,
        on_failure: OnFailure,
        mut each: impl FnMut(usize, Vec<u8>) -> Option<Vec<u8>>,
    ) -> Result<Vec<BranchEnd>, Failure> {
        let bell = Arc::new(Bell::default());
        self.shared.tell_also(&bell);
        for child in &children {
            child.shared.tell_also(&bell);
        }
        let mut ends: Vec<Option<BranchEnd>> = children.iter().map(|_| None).collect();
        let mut children = children;
        while ends.iter().any(Option::is_none) {
            // Whatever rings from here on is seen in the next round.
            let mut idle = true;
            for (index, child) in children.iter_mut().enumerate() {
                let end = match ends.get_mut(index) {
                    Some(end) if end.is_none() => end,
                    _ => continue,
                };
                match self.relay_one(index, child, &mut each)? {
                    Progress::Idle => {}
                    Progress::Moved => idle = false,
                    Progress::Over(over) => {
                        idle = false;
                        if let (Err(failure), OnFailure::CancelOthers) = (&over, on_failure) {
                            return Err(as_delegator(failure));
                        }
                        *end = Some(over);
                    }
                }
            }
            if let Some(failure) = self.failure() {
                return Err(failure);
            }
            if idle {
                // Wakes now and then all the same: a lost ring must not hang anybody.
                bell.wait(Instant::now().checked_add(Duration::from_secs(1)));
            }
        }
        Ok(ends.into_iter().flatten().collect())
    }

    /// Passes on one frame of a branch, if there is one.
    fn relay_one(
        &mut self,
        index: usize,
        child: &mut Operation,
        each: &mut impl FnMut(usize, Vec<u8>) -> Option<Vec<u8>>,
    ) -> Result<Progress, Failure> {
        match child.recv_frame_within(Duration::ZERO) {
            Ok(Some(Received::Stream(payload))) => {
                if Accounting::decode(&payload).is_none()
                    && let Some(payload) = each(index, payload)
                {
                    self.send(payload)?;
                }
                Ok(Progress::Moved)
            }
            Ok(Some(Received::Delegated {
                target,
                target_did,
                sub_op,
            })) => {
                self.tell(Command::Delegate {
                    target,
                    target_did,
                    sub_op,
                });
                Ok(Progress::Moved)
            }
            Ok(Some(Received::Budget(_))) => Ok(Progress::Moved),
            Ok(None) => Ok(Progress::Over(Ok(()))),
            Err(Failure::TimedOut) => Ok(Progress::Idle),
            Err(failure) => Ok(Progress::Over(Err(failure))),
        }
    }

    /// The family that this operation is the parent of.
    fn family(&self) -> Arc<Family> {
        let make = || Family::of(&self.shared, &self.mailbox);
        self.shared.family.get_or_init(make).clone()
    }

    /// Whether the way would lead round in a circle.
    fn check_circle(&self, did: &str, agent: &str) -> Result<(), Failure> {
        let path = self.about.path.as_deref();
        let been_there = path
            .and_then(|path| Path::decode(path).ok())
            .is_some_and(|path| path.contains(did, agent));
        if been_there || (did == self.about.node && agent == self.about.agent) {
            warn!(did, agent, "a delegation that goes round in a circle");
            count(&self.mailbox.counters.circles_refused);
            return Err(delegate_failed(format_args!(
                "{agent} at {did} is on the way here already"
            )));
        }
        Ok(())
    }
}

enum Progress {
    Idle,
    Moved,
    Over(BranchEnd),
}

/// What the initiator is told of a branch's failure: a budget that is exhausted is its own.
fn as_delegator(failure: &Failure) -> Failure {
    match failure {
        Failure::Failed {
            code: ErrorCode::BudgetExceeded | ErrorCode::DeadlineExceeded,
            ..
        } => failure.clone(),
        other => delegate_failed(format_args!("{other}")),
    }
}

fn delegate_failed(detail: fmt::Arguments<'_>) -> Failure {
    Failure::Failed {
        code: ErrorCode::DelegateFailed,
        detail: detail.to_string(),
        data: Vec::new(),
    }
}

fn refused_share(error: &ShareError) -> Failure {
    match error {
        ShareError::Charge(charge) => Failure::over_budget(*charge),
        other => delegate_failed(format_args!("{other}")),
    }
}
