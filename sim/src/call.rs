//! The initiator's side of an operation: ask, listen, cancel, go on after a loss.

use std::time::Duration;

use aire_proto::connection::{CallError, Outcome};
use aire_proto::delegation::{Path, PathRef};
use aire_proto::resume::{Progress, Ticket};
use aire_proto::wire::{Budget, Resumable};
use aire_proto::{CancelReason, Connection, ErrorCode, Growing, StreamId, UnixMillis};

use crate::audit::Invariant;
use crate::context::Context;
use crate::live::Live;
use crate::plan::{Plan, Way};
use crate::process::{Place, Process};
use crate::told::Told;

/// How often a call looks for a way to its node.
const MOST_ATTEMPTS: u32 = 3;

/// How long a call waits for a way to its node, in milliseconds.
const MOST_WAIT: u64 = 15_000;

/// How often a root answers a report.
const MOST_TOP_UPS: u32 = 3;

/// An operation that this node asked for.
#[derive(Debug)]
pub(crate) struct Call {
    pub(crate) job: u64,
    pub(crate) target: usize,
    pub(crate) parent: Option<u64>,
    pub(crate) at: Option<Place>,
    progress: Progress,
    /// A frame of which a part has come.
    partial: Vec<u8>,
    invoked: bool,
    /// The connection has not heard of the deadline, so the application watches it.
    resumed: bool,
    retry_at: u64,
    attempts: u32,
    /// Until when it waits for room on a connection. Trees of operations can fill all there is,
    /// and would wait for each other for ever.
    gives_up_at: u64,
    pub(crate) cancel: Option<CancelReason>,
    /// The snapshot that goes with INVOKE.
    first_budget: Option<Budget>,
    inputs: u64,
    input_finished: bool,
    top_up: Option<(u64, Budget)>,
    top_ups: u32,
    /// What the responder said last that it has spent.
    report: Option<Budget>,
    last_budget: Option<Budget>,
    /// When it was sent, in milliseconds of the world.
    budget_at: u64,
    /// A token that must not work: this is no operation, but a try.
    probe: Option<Vec<u8>>,
}

impl Call {
    fn new(job: u64, target: usize, parent: Option<u64>, first_budget: Option<Budget>) -> Self {
        Self {
            job,
            target,
            parent,
            at: None,
            progress: Progress::new(),
            partial: Vec::new(),
            invoked: false,
            resumed: false,
            retry_at: 0,
            attempts: 0,
            gives_up_at: 0,
            cancel: None,
            first_budget,
            inputs: 0,
            input_finished: false,
            top_up: None,
            top_ups: 0,
            report: None,
            last_budget: None,
            budget_at: 0,
            probe: None,
        }
    }

    /// The responder is to hear of `budget`, unless the stream has ended.
    fn note_budget(&mut self, sent: bool, budget: &Budget, world: u64) {
        if sent {
            self.last_budget = Some(*budget);
            self.budget_at = world;
        }
    }

    /// When the answer is no longer wanted; the end of time without a deadline.
    fn deadline(&self) -> UnixMillis {
        let deadline = self.last_budget.and_then(|budget| budget.deadline);
        deadline.unwrap_or(UnixMillis(i64::MAX))
    }

    /// The token that it would resume with.
    pub(crate) fn token(&self) -> Option<Vec<u8>> {
        self.progress.resume().map(|resume| resume.token.to_vec())
    }
}

impl Process {
    /// Asks `target` for the operation of `plan`.
    pub(crate) fn ask(
        &mut self,
        plan: Plan,
        target: usize,
        parent: Option<u64>,
        budget: Option<Budget>,
        ctx: &mut Context,
    ) {
        ctx.audit.planned(plan, parent, self.node, target);
        ctx.trace(
            self.node,
            format_args!("asks n{target}: {plan:?} {budget:?}"),
        );
        let call = Call::new(plan.job, target, parent, budget);
        self.calls.insert(plan.job, call);
        ctx.stats.operations += 1;
    }

    /// Tries a token that must not work.
    pub(crate) fn probe(&mut self, target: usize, token: Vec<u8>, ctx: &mut Context) {
        let mut call = Call::new(ctx.fresh_id(), target, None, None);
        call.probe = Some(token);
        call.invoked = true;
        ctx.stats.probes += 1;
        ctx.trace(self.node, format_args!("probes n{target} as {}", call.job));
        self.calls.insert(call.job, call);
    }

    /// A restarted process goes on with what its tickets say.
    pub(crate) fn use_tickets(&mut self, ctx: &mut Context) {
        for (job, (bytes, target)) in self.tickets.clone() {
            let progress = Ticket::decode(&bytes)
                .ok()
                .and_then(|ticket| Progress::from_ticket(&ticket).ok());
            let Some(progress) = progress else {
                let details = format!("the ticket of {job} cannot be read");
                ctx.audit.fail(Invariant::NoStreamLost, details);
                continue;
            };
            let mut call = Call::new(job, target, None, None);
            call.progress = progress;
            call.invoked = true;
            ctx.stats.restored += 1;
            ctx.trace(self.node, format_args!("goes on with {job} by ticket"));
            self.calls.insert(job, call);
        }
    }

    fn save_ticket(&mut self, job: u64) {
        let Some(call) = self.calls.get(&job) else {
            return;
        };
        if call.parent.is_some() {
            return;
        }
        let mut bytes = [0; Ticket::MAX_LEN];
        let ticket = call.progress.ticket("aire://node", "agent", "work");
        if let Some(Ok(written)) = ticket.map(|ticket| ticket.encode(&mut bytes)) {
            let ticket = (written.to_vec(), call.target);
            self.tickets.insert(job, ticket);
        }
    }

    pub(crate) fn drive_calls(&mut self, ctx: &mut Context) -> bool {
        let jobs: Vec<u64> = self.calls.keys().copied().collect();
        let mut progress = false;
        for job in jobs {
            let at = self.calls.get(&job).map(|call| call.at);
            progress |= match at {
                Some(Some(place)) => self.talk(job, place, ctx),
                Some(None) => self.find_a_way(job, ctx),
                None => false,
            };
        }
        progress
    }

    /// When [`drive_calls`](Self::drive_calls) is due next.
    pub(crate) fn next_call(&self, ctx: &Context) -> u64 {
        let now = self.now(ctx);
        let due = |call: &Call| {
            let act = match call.at {
                None if call.retry_at > ctx.now => call.retry_at,
                None => call.gives_up_at,
                Some(_) => call.top_up.map_or(u64::MAX, |(at, _)| at),
            };
            let left = call.deadline().0.saturating_sub(now.unix.0).max(0);
            let deadline = now.instant.after(Duration::from_millis(left as u64));
            [act, self.clock.world_of(deadline)]
        };
        let due = self.calls.values().flat_map(due);
        due.filter(|at| *at > ctx.now).min().unwrap_or(u64::MAX)
    }

    /// Opens the operation, if there is a connection for it; sees to it that there will be.
    fn find_a_way(&mut self, job: u64, ctx: &mut Context) -> bool {
        let now = self.now(ctx);
        let Some(call) = self.calls.get_mut(&job) else {
            return false;
        };
        let overdue = call.resumed && call.deadline() <= now.unix;
        if call.gives_up_at == 0 {
            call.gives_up_at = ctx.now + MOST_WAIT;
        }
        if call.cancel.is_some() || overdue || call.gives_up_at <= ctx.now {
            self.end_call(job, None, ctx);
            return true;
        }
        if call.retry_at > ctx.now {
            return false;
        }
        let target = call.target;
        let to_target = |live: &&Live| live.peer == target;
        let open: Vec<u64> = self
            .connections
            .iter()
            .filter(|(_, live)| to_target(live) && live.may_open())
            .map(|(id, _)| *id)
            .collect();
        if let Some(id) = ctx.rng.pick(&open) {
            return self.open(job, id, ctx);
        }
        let mut others = self.connections.values().filter(to_target);
        if others.any(Live::is_promising) {
            return false;
        }
        call.attempts += 1;
        call.retry_at = ctx.now + 250 * u64::from(call.attempts);
        if call.attempts > MOST_ATTEMPTS {
            self.end_call(job, None, ctx);
        } else {
            self.dial(target, ctx);
        }
        true
    }

    fn open(&mut self, job: u64, id: u64, ctx: &mut Context) -> bool {
        let now = self.now(ctx);
        // Whose operations led here: those of the parent, and the parent itself.
        let parent = self.calls.get(&job).and_then(|call| call.parent);
        let mut via = Vec::new();
        if let Some(work) = parent.and_then(|parent| self.works.get(&parent)) {
            via.clone_from(&work.via);
            via.push(self.did());
        }
        let Some(call) = self.calls.get_mut(&job) else {
            return false;
        };
        let Some(live) = self.connections.get_mut(&id) else {
            return false;
        };
        let Some(connection) = &mut live.connection else {
            return false;
        };
        let opened = if let Some(token) = &call.probe {
            connection.resume(token, 0)
        } else if call.invoked {
            let Some(resume) = call.progress.resume() else {
                self.end_call(job, None, ctx);
                return true;
            };
            ctx.stats.resumes += 1;
            let used = (call.target, resume.token.to_vec());
            ctx.audit.goes_on_from(job, resume.last_recv);
            let resumed = connection.resume(resume.token, resume.last_recv);
            self.used_tokens.push(used);
            resumed
        } else {
            let Some(plan) = ctx.audit.plan(job) else {
                return false;
            };
            let args = plan.payload(Way::Arguments, 0);
            let invoked = if via.is_empty() {
                connection.invoke("agent", "work", args.len())
            } else {
                invoke_via(connection, &via, args.len())
            };
            if let Ok(stream) = invoked {
                live.payloads.insert(stream, args);
            }
            invoked
        };
        let stream = match opened {
            Ok(stream) => stream,
            Err(error) => {
                ctx.trace(self.node, format_args!("{job} does not open: {error}"));
                self.end_call(job, None, ctx);
                return true;
            }
        };
        call.invoked = true;
        call.partial.clear();
        call.at = Some((id, stream));
        self.call_at.insert((id, stream), job);
        ctx.trace(self.node, format_args!("opens {job} on c{id} s{stream}"));
        if let Some(budget) = call.first_budget.take() {
            let sent = connection.send_budget(stream, &budget, now);
            call.note_budget(sent.is_ok(), &budget, ctx.now);
            ctx.trace(self.node, format_args!("{job} gets {budget:?}: {sent:?}"));
        }
        true
    }

    /// Sends input, and what a root has decided.
    fn talk(&mut self, job: u64, place: Place, ctx: &mut Context) -> bool {
        let now = self.now(ctx);
        let Some(plan) = ctx.audit.plan(job) else {
            return false;
        };
        let (Some(call), Some(live)) =
            (self.calls.get_mut(&job), self.connections.get_mut(&place.0))
        else {
            return false;
        };
        let Some(connection) = &mut live.connection else {
            return false;
        };
        if let Some((at, budget)) = call.top_up
            && at <= ctx.now
        {
            call.top_up = None;
            ctx.stats.top_ups += 1;
            let sent = connection.send_budget(place.1, &budget, now);
            call.note_budget(sent.is_ok(), &budget, ctx.now);
            ctx.trace(self.node, format_args!("{job} gets {budget:?}: {sent:?}"));
            return true;
        }
        if call.resumed && call.deadline() <= now.unix && call.cancel.is_none() {
            self.cancel_call(job, CancelReason::DeadlineExceeded, ctx);
            return true;
        }
        let silent = call.input_finished || call.cancel.is_some();
        if silent || connection.may_send(place.1).is_err() {
            return false;
        }
        // Input is not sent again, so only what cannot be resumed has any.
        if call.inputs < plan.inputs && !plan.resumable {
            call.inputs += 1;
            let payload = plan.payload(Way::Input, call.inputs);
            if connection.send(place.1, payload.len()).is_ok() && !payload.is_empty() {
                live.payloads.insert(place.1, payload);
            }
            return true;
        }
        // Some say at once that no input follows, others leave that open.
        call.input_finished = true;
        job.is_multiple_of(3) && connection.finish(place.1).is_ok()
    }

    /// The application no longer wants the operation.
    pub(crate) fn cancel_call(&mut self, job: u64, reason: CancelReason, ctx: &mut Context) {
        let now = self.now(ctx);
        let Some(call) = self.calls.get_mut(&job) else {
            return;
        };
        if call.cancel.is_some() || call.probe.is_some() {
            return;
        }
        call.cancel = Some(reason);
        let at = call.at;
        ctx.stats.cancels += 1;
        ctx.audit.doomed(job, ctx.now);
        ctx.trace(self.node, format_args!("cancels {job}: {reason}"));
        self.tickets.remove(&job);
        if let Some(place) = at
            && let Some(connection) = self.connection(place)
        {
            // It may have ended a moment ago.
            let _ended = connection.cancel(place.1, reason, "", now);
        }
    }

    /// The root's application changes its mind about what may be spent.
    pub(crate) fn change_budget(&mut self, job: u64, ctx: &mut Context) {
        let unix = self.now(ctx).unix;
        if let Some(call) = self.calls.get_mut(&job)
            && call.parent.is_none()
            && let Some(last) = call.last_budget
        {
            call.top_up = Some((ctx.now, next_budget(&last, unix, ctx)));
        }
    }

    /// Sends a child what its parent's books say.
    pub(crate) fn grant(&mut self, job: u64, budget: &Budget, ctx: &mut Context) {
        let now = self.now(ctx);
        ctx.stats.grants += 1;
        ctx.trace(self.node, format_args!("grants {job} {budget:?}"));
        let Some(call) = self.calls.get_mut(&job) else {
            return;
        };
        let Some(place) = call.at else {
            // Not opened yet: the latest snapshot goes with it.
            if !call.invoked {
                call.first_budget = Some(*budget);
            }
            return;
        };
        let live = self.connections.get_mut(&place.0);
        if let Some(connection) = live.and_then(|live| live.connection.as_mut()) {
            let sent = connection.send_budget(place.1, budget, now);
            call.note_budget(sent.is_ok(), budget, ctx.now);
        }
    }

    pub(crate) fn call_hears(&mut self, job: u64, told: Told, ctx: &mut Context) {
        let unix = self.now(ctx).unix;
        let Some(call) = self.calls.get_mut(&job) else {
            return;
        };
        match told {
            Told::Stream {
                bytes, remaining, ..
            } => {
                call.partial.extend_from_slice(&bytes);
                if remaining == 0 {
                    self.take_frame(job, ctx);
                }
            }
            Told::Budget { budget, .. } if budget.is_report() => {
                self.take_report(job, &budget, ctx)
            }
            Told::Resumable {
                ttl_secs,
                token,
                last_seq,
                ..
            } => {
                let resumable = Resumable {
                    ttl_secs,
                    token: &token,
                    last_seq,
                };
                if call.progress.resumable(&resumable, unix).is_err() {
                    let details = "a token of ours is too long".to_owned();
                    ctx.audit.fail(Invariant::TablesBounded, details);
                }
                call.attempts = 0;
                if let (Some(_), Some(place)) = (&call.probe, call.at) {
                    // The RESUME that used the token has not come through, so it was still good.
                    self.give_up_probe(place, ctx);
                } else {
                    self.save_ticket(job);
                }
            }
            Told::Failed { code, .. } => {
                use ErrorCode::{ResumeExpired, ResumeInvalid, ResumeUnavailable};
                let refused = matches!(code, ResumeExpired | ResumeInvalid | ResumeUnavailable);
                ctx.stats.refused_resumes += u64::from(refused);
            }
            Told::Ended { outcome, .. } => self.call_ended(job, outcome, ctx),
            _ => {}
        }
    }

    fn give_up_probe(&mut self, place: Place, ctx: &Context) {
        let now = self.now(ctx);
        if let Some(connection) = self.connection(place) {
            let _ended = connection.cancel(place.1, CancelReason::UserCancelled, "", now);
        }
    }

    /// A frame has come to its last byte.
    fn take_frame(&mut self, job: u64, ctx: &mut Context) {
        let Some(call) = self.calls.get_mut(&job) else {
            return;
        };
        let frame = std::mem::take(&mut call.partial);
        call.progress.stream_received();
        let (received, at) = (call.progress.received(), call.at);
        ctx.stats.frames += 1;
        if call.probe.is_some() {
            return;
        }
        ctx.audit.received(job, Way::Output, &frame);
        let counted = at.and_then(|place| self.connection(place)?.sequence(place.1));
        if counted.is_some_and(|counted| counted != received) {
            let details = format!("{job} has {received} frames, the connection {counted:?}");
            ctx.audit.fail(Invariant::BothEndsAgree, details);
        }
    }

    fn take_report(&mut self, job: u64, report: &Budget, ctx: &mut Context) {
        let unix = self.now(ctx).unix;
        let Some(call) = self.calls.get_mut(&job) else {
            return;
        };
        call.report = Some(*report);
        if let Some(parent) = call.parent {
            self.child_reported(parent, job, report, ctx);
            return;
        }
        let answers = call.top_ups < MOST_TOP_UPS && ctx.rng.percent(70);
        if let Some(last) = call.last_budget.filter(|_| answers) {
            call.top_ups += 1;
            let at = ctx.now + ctx.rng.between(0, 1_500);
            call.top_up = Some((at, next_budget(&last, unix, ctx)));
        }
    }

    fn call_ended(&mut self, job: u64, outcome: Outcome, ctx: &mut Context) {
        let Some(call) = self.calls.get_mut(&job) else {
            return;
        };
        if let Some(place) = call.at.take() {
            self.call_at.remove(&place);
        }
        let goes_on = outcome == Outcome::Lost
            && call.cancel.is_none()
            && call.probe.is_none()
            && call.progress.resume().is_some();
        if goes_on {
            call.resumed = true;
            // An older report is no account of the end.
            call.report = None;
            call.gives_up_at = 0;
            call.retry_at = ctx.now + ctx.rng.between(0, 800);
        } else {
            self.end_call(job, Some(outcome), ctx);
        }
    }

    /// The application has its answer, or knows that there will be none.
    fn end_call(&mut self, job: u64, outcome: Option<Outcome>, ctx: &mut Context) {
        let Some(call) = self.calls.remove(&job) else {
            return;
        };
        self.tickets.remove(&job);
        ctx.trace(self.node, format_args!("{job} is over: {outcome:?}"));
        if call.probe.is_some() {
            return;
        }
        let completed = outcome == Some(Outcome::Completed);
        ctx.stats.completed += u64::from(completed);
        ctx.stats.failed += u64::from(!completed);
        ctx.audit.doomed(job, ctx.now);
        ctx.audit.call_over(job, completed);
        if let Some(parent) = call.parent {
            self.child_over(
                parent,
                job,
                completed.then_some(call.report).flatten(),
                completed,
                ctx,
            );
        }
    }

    /// No initiator holds on to an operation past the deadline that it set.
    pub(crate) fn check_calls(&mut self, ctx: &mut Context) {
        let unix = self.now(ctx).unix;
        // One cancel timeout for the terminal frame, and one for the FIN behind it.
        let slack = (2 * ctx.scenario.cancel_timeout * 101 / 100 + 100) as i64;
        for call in self.calls.values() {
            let (Some(place), Some(budget)) = (call.at, call.last_budget) else {
                continue;
            };
            let connection = self
                .connections
                .get(&place.0)
                .and_then(|live| live.connection.as_ref());
            let open = connection.and_then(|connection: &Connection<_>| connection.op_id(place.1));
            let sent = self.clock.now(call.budget_at).unix;
            let late = budget
                .deadline
                .is_some_and(|deadline| unix.0 > deadline.max(sent).0.saturating_add(slack));
            if open.is_some() && late {
                let details = format!("{} is held past {:?}", call.job, budget.deadline);
                ctx.audit.fail(Invariant::WithinDeadline, details);
            }
        }
    }
}

/// Opens an operation that comes through `via`, the root first.
fn invoke_via(
    connection: &mut Connection<Growing>,
    via: &[String],
    args_len: usize,
) -> Result<StreamId, CallError> {
    let (own, before) = match via.split_last() {
        Some((own, before)) => (own.as_str(), before),
        None => ("", via),
    };
    // The path as it came: so few hops, with names so short, that every length is one byte.
    let mut payload = vec![before.len() as u8];
    for did in before {
        payload.push(did.len() as u8);
        payload.extend_from_slice(did.as_bytes());
        payload.extend_from_slice(b"\x05agent");
    }
    let before = Path::decode(&payload).ok();
    match PathRef::new(before, own, "agent") {
        Ok(path) => connection.invoke_via(&path, "agent", "work", args_len),
        Err(_) => Err(CallError::TooManyOperations),
    }
}

/// A random budget that sets the limits that `like` sets.
pub(crate) fn next_budget(like: &Budget, unix: UnixMillis, ctx: &mut Context) -> Budget {
    let rng = &mut ctx.rng;
    let tokens = like
        .tokens
        .map(|_| rng.pick(&[0, 20, 100, 500]).unwrap_or(0));
    let cost = like
        .cost_microunits
        .map(|_| rng.pick(&[0, 1_000, 20_000]).unwrap_or(0));
    let deadline = if rng.percent(20) {
        Some(UnixMillis(unix.0 + rng.between(0, 8_000) as i64))
    } else {
        like.deadline
    };
    Budget {
        tokens,
        cost_microunits: cost,
        deadline,
        ..*like
    }
}
