//! The responder's side of an operation: an agent that works, spends, hands on, and can be resumed.

use std::time::Duration;

use aire_proto::budget::{Cap, Charge, ChargeError, Dimension};
use aire_proto::connection::{CallError, Outcome, Side};
use aire_proto::delegation::Shares;
use aire_proto::identity::PublicKey;
use aire_proto::resume::{Retained, Terminal, Window};
use aire_proto::wire::{Budget, Currency, ErrorFrame};
use aire_proto::{CancelReason, ErrorCode, Ledger};

use crate::audit::Invariant;
use crate::context::Context;
use crate::plan::{MOST_CHILDREN, Plan, Way};
use crate::process::{Place, Process};
use crate::scenario::Fault;
use crate::told::Told;

/// How far the work is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stage {
    Running,
    /// All is done; what is retained can be asked for.
    Ended(Ending),
}

/// How the work ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ending {
    Finished,
    Failed(ErrorCode),
    /// Nobody wants the answer.
    Dropped,
}

/// An operation that this node works on, or retains.
#[derive(Debug)]
pub(crate) struct Work {
    pub(crate) plan: Plan,
    /// Through whom it came, the root's node first.
    pub(crate) via: Vec<String>,
    pub(crate) at: Option<Place>,
    pub(crate) stage: Stage,
    pub(crate) retained: Option<Retained<Vec<u8>, PublicKey>>,
    /// Tokens that were taken: only a node with a fault in it asks.
    pub(crate) spent_tokens: Vec<Vec<u8>>,
    /// The last frame that was made, and the last that was handed to the connection.
    pub(crate) produced: u64,
    pub(crate) sent: u64,
    pub(crate) terminal_sent: bool,
    /// A copy of the connection's, which is gone with it.
    pub(crate) ledger: Ledger,
    pub(crate) shares: Shares<MOST_CHILDREN>,
    pub(crate) children: Vec<u64>,
    pub(crate) spawned: bool,
    pub(crate) heard_budget: bool,
    pub(crate) starving: bool,
    pub(crate) starving_for_children: bool,
    /// What was free when it was out of budget last: where a top-up changes nothing, as under a
    /// local cap, waiting for the next is in vain.
    pub(crate) short_of: Option<Budget>,
    pub(crate) patience_until: Option<u64>,
    pub(crate) next_at: u64,
    /// An input frame of which a part has come.
    pub(crate) partial: Vec<u8>,
}

impl Work {
    fn new(plan: Plan, at: Place, next_at: u64) -> Self {
        Self {
            plan,
            via: Vec::new(),
            at: Some(at),
            stage: Stage::Running,
            retained: None,
            spent_tokens: Vec::new(),
            produced: 0,
            sent: 0,
            terminal_sent: false,
            ledger: Ledger::default(),
            shares: Shares::new(),
            children: Vec::new(),
            spawned: false,
            heard_budget: false,
            starving: false,
            starving_for_children: false,
            short_of: None,
            patience_until: None,
            next_at,
            partial: Vec::new(),
        }
    }

    pub(crate) fn is_running(&self) -> bool {
        self.stage == Stage::Running
    }
}

impl Process {
    /// Begins with an operation whose arguments are here.
    pub(crate) fn start_work(&mut self, place: Place, args: &[u8], ctx: &mut Context) {
        let now = self.now(ctx);
        let job = args.first_chunk().map_or(0, |job| u64::from_be_bytes(*job));
        ctx.audit.started(job, args);
        let Some(plan) = ctx.audit.plan(job) else {
            return;
        };
        let next_at = ctx.now + plan.pause_before(1);
        let mut work = Work::new(plan, place, next_at);
        work.via = self.paths.remove(&place).unwrap_or_default();
        ctx.audit.came_via(job, &work.via);
        let kept = self.works.values().filter(|work| work.retained.is_some());
        let room = kept.count() < ctx.scenario.max_retained;
        let Some(connection) = self.connection(place) else {
            return;
        };
        let agreement = connection.agreement();
        let owner = agreement
            .filter(|agreed| agreed.active.resumable())
            .and_then(|agreed| agreed.peer_key);
        let cap = Cap {
            tokens: plan.cap,
            ..Cap::default()
        };
        if plan.cap.is_some() && connection.cap(place.1, &cap, now).is_err() {
            let details = format!("{job} cannot be capped");
            ctx.audit.fail(Invariant::TablesBounded, details);
        }
        if let Some(owner) = owner.filter(|_| plan.resumable && room) {
            let memory = vec![0; ctx.scenario.window_bytes];
            let window = Window::new(memory, ctx.scenario.window_frames);
            work.retained = Some(Retained::new(window, owner));
        }
        self.works.insert(job, work);
        self.work_at.insert(place, job);
        self.sync_ledger(job);
        self.issue(job, ctx);
    }

    /// Copies the connection's ledger, so that it outlives the connection.
    pub(crate) fn sync_ledger(&mut self, job: u64) {
        let Some(place) = self.works.get(&job).and_then(|work| work.at) else {
            return;
        };
        let ledger = self
            .connection(place)
            .and_then(|connection| connection.ledger(place.1));
        if let (Some(work), Some(ledger)) = (self.works.get_mut(&job), ledger) {
            work.ledger = ledger;
        }
    }

    /// Works on the ledger, wherever it is.
    pub(crate) fn with_ledger<R>(
        &mut self,
        job: u64,
        run: impl FnOnce(&mut Work, &mut Ledger) -> R,
    ) -> Option<R> {
        self.sync_ledger(job);
        let work = self.works.get_mut(&job)?;
        let mut ledger = work.ledger;
        let result = run(work, &mut ledger);
        work.ledger = ledger;
        if let Some(place) = work.at
            && let Some(connection) = self.connection(place)
            && let Ok(cell) = connection.ledger_mut(place.1)
        {
            *cell = ledger;
        }
        Some(result)
    }

    pub(crate) fn drive_works(&mut self, ctx: &mut Context) -> bool {
        let jobs: Vec<u64> = self.works.keys().copied().collect();
        let mut progress = false;
        for job in jobs {
            progress |= self.drive(job, ctx);
        }
        progress
    }

    fn drive(&mut self, job: u64, ctx: &mut Context) -> bool {
        if self.expire(job, ctx) {
            return true;
        }
        if self.send_retained(job, ctx) {
            return true;
        }
        let Some(work) = self.works.get(&job) else {
            return false;
        };
        match work.stage {
            Stage::Running => self.work_on(job, ctx),
            Stage::Ended(ending) => self.send_terminal(job, ending, ctx),
        }
    }

    /// Sends what is retained and was not sent on this connection.
    fn send_retained(&mut self, job: u64, ctx: &mut Context) -> bool {
        let Some(work) = self.works.get_mut(&job) else {
            return false;
        };
        let (Some(place), Some(retained)) = (work.at, &work.retained) else {
            return false;
        };
        let Some(live) = self.connections.get_mut(&place.0) else {
            return false;
        };
        let Some(connection) = &mut live.connection else {
            return false;
        };
        if work.sent >= retained.window().last() || connection.may_send(place.1).is_err() {
            return false;
        }
        let Some((front, back)) = retained.window().get(work.sent + 1) else {
            let details = format!("frame {} of {job} is not retained", work.sent + 1);
            ctx.audit.fail(Invariant::NoStreamLost, details);
            return false;
        };
        let payload = [front, back].concat();
        if connection.send(place.1, payload.len()).is_ok() {
            work.sent += 1;
            if !payload.is_empty() {
                live.payloads.insert(place.1, payload);
            }
        }
        true
    }

    /// Goes on with the work, if anything can be done now.
    fn work_on(&mut self, job: u64, ctx: &mut Context) -> bool {
        let now = self.now(ctx);
        let Some(work) = self.works.get(&job) else {
            return false;
        };
        let plan = work.plan;
        let caught_up = match &work.retained {
            Some(retained) => work.at.is_none() || work.sent == retained.window().last(),
            None => work.at.is_some(),
        };
        if let Some(place) = work.at {
            let live = self.connections.get(&place.0);
            let connection = live.and_then(|live| live.connection.as_ref());
            match connection.map(|connection| connection.may_send(place.1)) {
                Some(Err(CallError::SendingEnded | CallError::NoSuchOperation)) => {
                    // The connection has ended it: its budget, its deadline.
                    let what = work.ledger.exhausted(now.unix).map(Dimension::code);
                    self.end_work(job, what.map_or(Ending::Dropped, Ending::Failed), ctx);
                    return true;
                }
                Some(Err(_)) => return false,
                _ => {}
            }
        }
        let Some(work) = self.works.get_mut(&job) else {
            return false;
        };
        if !caught_up || work.starving || (plan.budgeted && !work.heard_budget) {
            return false;
        }
        if !work.spawned {
            work.spawned = true;
            self.hand_on(job, ctx);
            return true;
        }
        if work.produced >= plan.frames {
            return self.finish_work(job, ctx);
        }
        if work.next_at > ctx.now {
            return false;
        }
        if plan.fails_at == Some(work.produced) {
            self.end_work(job, Ending::Failed(ErrorCode::Application), ctx);
            return true;
        }
        if self.pay(job, ctx) {
            self.produce(job, ctx);
        }
        true
    }

    /// Spends what a frame costs; `false` when it cannot.
    fn pay(&mut self, job: u64, ctx: &mut Context) -> bool {
        let now = self.now(ctx);
        let Some(work) = self.works.get_mut(&job) else {
            return false;
        };
        let plan = work.plan;
        let charge = Charge::tokens(plan.tokens).with_cost(plan.cost, Currency::USD);
        let place = work.at;
        let charged = match place {
            Some(place) => match self.connection(place) {
                Some(connection) => connection.charge(place.1, &charge, now),
                None => return false,
            },
            None => work
                .ledger
                .charge(&charge, now.unix)
                .map_err(CallError::from),
        };
        self.sync_ledger(job);
        let what = match charged {
            Ok(()) => {
                let left = self.works.get(&job).map(|work| work.ledger.free().tokens);
                ctx.trace(self.node, format_args!("{job} pays, {left:?} left"));
                ctx.audit.charged(job, plan.tokens, plan.cost, now.unix);
                return true;
            }
            Err(CallError::Budget(ChargeError::Exhausted(what))) => what,
            Err(error) => {
                let details = format!("{job} cannot be charged: {error}");
                ctx.audit.fail(Invariant::WithinBudget, details);
                return false;
            }
        };
        let ignored = match what {
            Dimension::Deadline => ctx.scenario.has(Fault::IgnoreDeadline),
            Dimension::Tokens | Dimension::Cost => ctx.scenario.has(Fault::WorkUnpaid),
        };
        if ignored {
            ctx.audit.charged(job, plan.tokens, plan.cost, now.unix);
            return true;
        }
        self.starve(job, what, ctx);
        false
    }

    /// Waits for a top-up, or ends.
    pub(crate) fn starve(&mut self, job: u64, what: Dimension, ctx: &mut Context) {
        let now = self.now(ctx);
        ctx.stats.exhausted += 1;
        let Some(work) = self.works.get_mut(&job) else {
            return;
        };
        let free = work.ledger.free();
        let in_vain = work.short_of.replace(free) == Some(free);
        let patience = if in_vain { 0 } else { work.plan.patience };
        ctx.trace(self.node, format_args!("{job} is out of {what:?}"));
        work.starving = true;
        match work.at {
            Some(place) => {
                if what == Dimension::Deadline {
                    ctx.stats.overtime += 1;
                }
                if let Some(connection) = self.connection(place) {
                    let patience = Duration::from_millis(patience);
                    connection.out_of_budget(place.1, what, patience, now);
                }
            }
            None => work.patience_until = Some(ctx.now + patience),
        }
    }

    fn produce(&mut self, job: u64, ctx: &mut Context) {
        let Some(work) = self.works.get_mut(&job) else {
            return;
        };
        work.produced += 1;
        let seq = work.produced;
        work.next_at = ctx.now + work.plan.pause_before(seq + 1);
        if ctx.scenario.has(Fault::LoseFrame) && seq == 2 {
            return;
        }
        let payload = work.plan.payload(Way::Output, seq);
        if let Some(retained) = &mut work.retained {
            match retained.push(&payload) {
                Ok(pushed) if pushed.retained => {}
                // Larger than the window: it goes out once, and is gone.
                Ok(_) => self.send_now(job, payload),
                Err(_) => {
                    let details = format!("{job} works on after its end");
                    ctx.audit.fail(Invariant::NoStreamLost, details);
                }
            }
            if seq.is_multiple_of(5) {
                self.issue(job, ctx);
            }
        } else {
            self.send_now(job, payload);
        }
    }

    /// Sends a frame that nothing retains.
    fn send_now(&mut self, job: u64, payload: Vec<u8>) {
        let Some(work) = self.works.get_mut(&job) else {
            return;
        };
        let Some(live) = work.at.and_then(|place| self.connections.get_mut(&place.0)) else {
            return;
        };
        let (Some(place), Some(connection)) = (work.at, &mut live.connection) else {
            return;
        };
        if connection.send(place.1, payload.len()).is_ok() {
            work.sent += 1;
            if !payload.is_empty() {
                live.payloads.insert(place.1, payload);
            }
        }
    }

    /// All frames are made: once the children are done, so is the work.
    fn finish_work(&mut self, job: u64, ctx: &mut Context) -> bool {
        let Some(work) = self.works.get(&job) else {
            return false;
        };
        if !work.children.is_empty() {
            return false;
        }
        ctx.audit.finished(job);
        self.end_work(job, Ending::Finished, ctx);
        true
    }

    /// The work ends here: what it was handed on to is cancelled (`CAN-8`), what was retained is
    /// sealed, or forgotten.
    pub(crate) fn end_work(&mut self, job: u64, ending: Ending, ctx: &mut Context) {
        let Some(work) = self.works.get_mut(&job) else {
            return;
        };
        if !work.is_running() {
            return;
        }
        ctx.trace(self.node, format_args!("{job} ends: {ending:?}"));
        work.stage = Stage::Ended(ending);
        let terminal = match ending {
            Ending::Finished => Terminal::Finished,
            Ending::Failed(code) => Terminal::Error(ErrorFrame {
                code,
                detail: "",
                data: &[],
            }),
            // Forgotten at once.
            Ending::Dropped => Terminal::Finished,
        };
        if ending == Ending::Dropped {
            work.retained = None;
        }
        if let Some(retained) = &mut work.retained
            && retained.finish(terminal).is_err()
        {
            let details = format!("{job} ended twice");
            ctx.audit.fail(Invariant::StartedOnce, details);
        }
        let children = work.children.clone();
        ctx.audit.stopped(job, ctx.now);
        if !ctx.scenario.has(Fault::CancelNotPassedOn) {
            for child in children {
                self.cancel_call(child, CancelReason::UpstreamCancelled, ctx);
            }
        }
    }

    /// Ends the stream behind the last frame.
    fn send_terminal(&mut self, job: u64, ending: Ending, ctx: &mut Context) -> bool {
        let now = self.now(ctx);
        let Some(work) = self.works.get_mut(&job) else {
            return false;
        };
        let Some(place) = work.at.filter(|_| !work.terminal_sent) else {
            return false;
        };
        let Some(connection) = self
            .connections
            .get_mut(&place.0)
            .and_then(|live| live.connection.as_mut())
        else {
            return false;
        };
        if connection.may_send(place.1) == Err(CallError::Busy) {
            return false;
        }
        work.terminal_sent = true;
        if ending == Ending::Finished && work.plan.budgeted {
            // What was spent, for the books of whoever asked: with every end, replayed or not.
            let _no_room = connection.send_budget(place.1, &work.ledger.report(), now);
        }
        let _ended = match ending {
            Ending::Finished if ctx.scenario.has(Fault::ForgetFin) => Ok(()),
            Ending::Finished => connection.finish(place.1),
            Ending::Failed(code) => connection.fail(place.1, code, "", &[], now),
            // Either the connection has ended it already, or it was cancelled.
            Ending::Dropped => connection.fail(place.1, ErrorCode::Cancelled, "", &[], now),
        };
        true
    }

    pub(crate) fn work_hears(&mut self, place: Place, told: Told, ctx: &mut Context) {
        if let Told::Resumed {
            token, last_recv, ..
        } = told
        {
            self.resume_work(place, &token, last_recv, ctx);
            return;
        }
        let Some(job) = self.work_at.get(&place).copied() else {
            return;
        };
        match told {
            Told::Stream {
                bytes, remaining, ..
            } => {
                if let Some(work) = self.works.get_mut(&job) {
                    work.partial.extend_from_slice(&bytes);
                    if remaining == 0 {
                        let frame = std::mem::take(&mut work.partial);
                        ctx.audit.received(job, Way::Input, &frame);
                    }
                }
            }
            Told::Cancelled { late, .. } => {
                ctx.stats.cancelled += u64::from(!late);
                ctx.stats.late_cancels += u64::from(late);
                self.end_work(job, Ending::Dropped, ctx);
                if let Some(work) = self.works.get_mut(&job)
                    && job.is_multiple_of(5)
                {
                    // An agent that says nothing more: the connection answers for it (CAN-5).
                    work.terminal_sent = true;
                }
            }
            Told::Budget { budget, .. } => self.take_budget(job, &budget, ctx),
            Told::Ended { outcome, by, .. } => self.work_ended(job, place, outcome, by, ctx),
            _ => {}
        }
    }

    fn take_budget(&mut self, job: u64, budget: &Budget, ctx: &mut Context) {
        let unix = self.now(ctx).unix;
        self.sync_ledger(job);
        let Some(work) = self.works.get_mut(&job) else {
            return;
        };
        ctx.stats.budgets += 1;
        work.heard_budget = true;
        work.starving = false;
        work.starving_for_children = false;
        let ledger = work.ledger;
        ctx.audit.budget_heard(job, budget, &ledger, unix);
        self.settle_books(job, ctx);
    }

    fn work_ended(
        &mut self,
        job: u64,
        place: Place,
        outcome: Outcome,
        by: Side,
        ctx: &mut Context,
    ) {
        self.work_at.remove(&place);
        let Some(work) = self.works.get_mut(&job) else {
            return;
        };
        if work.at != Some(place) {
            return;
        }
        work.at = None;
        match (outcome, by) {
            // It goes on by itself until it is resumed, or until its time is over (GAP-18).
            (Outcome::Lost, _) if work.retained.is_some() => {
                if work.starving {
                    work.patience_until = Some(ctx.now + work.plan.patience);
                }
            }
            (Outcome::Completed, _) => {}
            (Outcome::Failed(code), Side::Local) => {
                self.end_work(job, Ending::Failed(code), ctx);
            }
            _ => {
                self.end_work(job, Ending::Dropped, ctx);
                if let Some(work) = self.works.get_mut(&job) {
                    work.retained = None;
                }
            }
        }
    }
}
