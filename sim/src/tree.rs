//! Handing work on: shares of the budget go down the tree, reports come up, and ends go down.

use aire_proto::ErrorCode;
use aire_proto::budget::{Charge, Dimension};
use aire_proto::delegation::Share;
use aire_proto::wire::{Budget, Delegate};

use crate::audit::Invariant;
use crate::context::Context;
use crate::plan::Plan;
use crate::process::Process;
use crate::scenario::Fault;
use crate::work::Ending;

impl Process {
    /// Hands parts of the work on.
    pub(crate) fn hand_on(&mut self, job: u64, ctx: &mut Context) {
        let Some(plan) = self.works.get(&job).map(|work| work.plan) else {
            return;
        };
        for _ in 0..plan.children {
            let others: Vec<usize> = (0..ctx.scenario.nodes)
                .filter(|n| *n != self.node)
                .collect();
            let Some(target) = ctx.rng.pick(&others) else {
                return;
            };
            let child = ctx.fresh_id();
            let unix = self.now(ctx).unix;
            let uncommitted = ctx.scenario.has(Fault::ShareNotCommitted);
            let share = match ctx.rng.below(3) {
                0 => Share::Amount(Charge::tokens(ctx.rng.between(0, 60))),
                _ => Share::Part {
                    of: plan.children as u32 + 1,
                },
            };
            let opened = self.with_ledger(job, |work, ledger| {
                let mut copy = *ledger;
                let ledger = if uncommitted { &mut copy } else { ledger };
                work.shares.open(ledger, child, share, unix)
            });
            let Some(Ok(budget)) = opened else {
                continue;
            };
            let scenario = ctx.scenario.clone();
            let child_plan = Plan::random(&mut ctx.rng, &scenario, child, plan.depth + 1, true);
            if let Some(work) = self.works.get_mut(&job) {
                work.children.push(child);
            }
            ctx.stats.delegations += 1;
            self.ask(child_plan, target, Some(job), Some(budget), ctx);
            self.tell_delegated(job, child);
        }
    }

    fn tell_delegated(&mut self, job: u64, child: u64) {
        if let Some(place) = self.works.get(&job).and_then(|work| work.at)
            && let Some(connection) = self.connection(place)
        {
            let delegate = Delegate {
                target: "aire://node/agent",
                target_did: "",
                sub_op: child,
            };
            let _ended = connection.send_delegate(place.1, &delegate);
        }
    }

    pub(crate) fn child_reported(
        &mut self,
        job: u64,
        child: u64,
        report: &Budget,
        ctx: &mut Context,
    ) {
        let told = self.with_ledger(job, |work, ledger| {
            work.shares.reported(ledger, child, report)
        });
        if let Some(Err(error)) = told {
            ctx.trace(
                self.node,
                format_args!("{job} does not take a report: {error}"),
            );
        }
        self.settle_books(job, ctx);
    }

    /// A child's operation is over; what it spent, if it said so at its end.
    pub(crate) fn child_over(
        &mut self,
        job: u64,
        child: u64,
        report: Option<Budget>,
        completed: bool,
        ctx: &mut Context,
    ) {
        let spent = report.map(|report| Charge {
            tokens: report.tokens_spent.unwrap_or(0),
            cost_microunits: report.cost_microunits_spent.unwrap_or(0),
            currency: report.currency,
        });
        let strict = self.with_ledger(job, |work, ledger| {
            work.children.retain(|open| *open != child);
            work.shares.closed(ledger, child, spent);
            let committed = ledger.committed();
            let kept = committed.tokens > 0 || committed.cost_microunits > 0;
            (work.plan.strict, work.shares.is_empty() && kept)
        });
        let strict = strict.map(|(strict, leaks)| {
            if leaks {
                let details = format!("{job} has no children, and sets aside for them");
                ctx.audit.fail(Invariant::WithinBudget, details);
            }
            strict
        });
        let stops = strict == Some(true) && !completed;
        if stops {
            self.end_work(job, Ending::Failed(ErrorCode::DelegateFailed), ctx);
        }
        self.settle_books(job, ctx);
    }

    /// What the work was short of for a child, another child gave back.
    fn eat(&mut self, job: u64) {
        let Some(work) = self.works.get_mut(&job) else {
            return;
        };
        if !work.starving_for_children {
            return;
        }
        work.starving_for_children = false;
        work.starving = false;
        work.patience_until = None;
        if let Some(place) = work.at
            && let Some(connection) = self.connection(place)
        {
            connection.within_budget(place.1);
        }
    }

    /// Sends what the books say to the children; when they starve, so does the work.
    pub(crate) fn settle_books(&mut self, job: u64, ctx: &mut Context) {
        let now = self.now(ctx);
        loop {
            let next = self.with_ledger(job, |work, ledger| work.shares.poll(ledger, now.unix));
            let Some(Some((child, budget))) = next else {
                break;
            };
            self.grant(child, &budget, ctx);
        }
        let Some(work) = self.works.get(&job) else {
            return;
        };
        if !work.is_running() {
            return;
        }
        if !work.shares.starving() {
            self.eat(job);
            return;
        }
        let (starving, place, report) = (work.starving, work.at, work.ledger.report());
        if !starving {
            let what = work.ledger.exhausted(now.unix).unwrap_or(Dimension::Tokens);
            if let Some(work) = self.works.get_mut(&job) {
                work.starving_for_children = true;
            }
            self.starve(job, what, ctx);
        } else if let Some(place) = place
            && let Some(connection) = self.connection(place)
        {
            let _ended = connection.send_budget(place.1, &report, now);
        }
    }
}
