//! What a responder keeps: frames to send again, tokens, and what of it outlives a crash.

use std::time::Duration;

use aire_proto::ErrorCode;
use aire_proto::budget::Cap;
use aire_proto::connection::CallError;
use aire_proto::resume::Token;

use crate::audit::Invariant;
use crate::context::Context;
use crate::identity::ToySigner;
use crate::process::{Place, Process};
use crate::scenario::Fault;
use crate::work::Ending;

impl Process {
    /// Tells the initiator of a fresh token.
    pub(crate) fn issue(&mut self, job: u64, ctx: &mut Context) {
        let now = self.now(ctx);
        let Some(work) = self.works.get_mut(&job) else {
            return;
        };
        let (Some(retained), Some(place)) = (&mut work.retained, work.at) else {
            return;
        };
        let ttl = Duration::from_secs(ctx.scenario.ttl_secs);
        let resumable = retained.issue(Token::new(ctx.rng.bytes()), ttl, now.instant);
        let connection = self
            .connections
            .get_mut(&place.0)
            .and_then(|live| live.connection.as_mut());
        if let Some(connection) = connection {
            let sent = connection.send_resumable(place.1, &resumable);
            ctx.trace(
                self.node,
                format_args!("issues a token for {job}: {sent:?}"),
            );
        }
    }

    /// Sees to what ran out of time: what is retained, and work that no connection watches.
    pub(crate) fn expire(&mut self, job: u64, ctx: &mut Context) -> bool {
        let now = self.now(ctx);
        let Some(work) = self.works.get_mut(&job) else {
            return false;
        };
        if work.at.is_some() {
            return false;
        }
        let expired = match &work.retained {
            Some(retained) => retained.is_expired(now.instant),
            None => true,
        };
        if expired && !(ctx.scenario.has(Fault::RetainForever) && work.retained.is_some()) {
            // GAP-18: the work ends with what was retained of it.
            self.end_work(job, Ending::Dropped, ctx);
            self.works.remove(&job);
            return true;
        }
        if !work.is_running() {
            return false;
        }
        let patience_over = work.patience_until.is_some_and(|until| until <= ctx.now);
        let deadline_over = work.ledger.deadline() <= now.unix;
        if deadline_over && !ctx.scenario.has(Fault::IgnoreDeadline) {
            self.end_work(job, Ending::Failed(ErrorCode::DeadlineExceeded), ctx);
        } else if patience_over {
            self.end_work(job, Ending::Failed(ErrorCode::BudgetExceeded), ctx);
        }
        deadline_over || patience_over
    }

    /// Answers a RESUME.
    pub(crate) fn resume_work(
        &mut self,
        place: Place,
        token: &[u8],
        last_recv: u64,
        ctx: &mut Context,
    ) {
        let now = self.now(ctx);
        let Some(peer) = self.connections.get(&place.0).map(|live| live.peer) else {
            return;
        };
        let Some(shown) = self
            .connection(place)
            .and_then(|connection| connection.agreement()?.peer_key)
        else {
            return;
        };
        let spent_too = ctx.scenario.has(Fault::TakeSpentTokens);
        let found = self.works.iter_mut().find_map(|(job, work)| {
            let spent = spent_too && work.spent_tokens.iter().any(|spent| spent == token);
            let retained = work.retained.as_mut()?;
            (spent || retained.knows(token)).then_some((*job, spent, retained))
        });
        let judged = found.map(|(job, spent, retained)| {
            let owner = match ctx.audit.owner(job) {
                Some(node) if ctx.scenario.has(Fault::TakeForeignTokens) => {
                    ToySigner::new(node).key()
                }
                _ => shown,
            };
            let next = if spent {
                Ok(last_recv + 1)
            } else {
                retained.resume(token, last_recv, &owner, now.instant)
            };
            (job, next)
        });
        let code = match judged {
            None => ErrorCode::ResumeInvalid,
            Some((job, Ok(next))) => {
                ctx.stats.resumed += 1;
                ctx.audit.token_taken(token, job, peer);
                self.attach(job, place, token, next, ctx);
                return;
            }
            Some((_, Err(error))) => error.code(),
        };
        if let Some(connection) = self.connection(place) {
            let _ended = connection.fail(place.1, code, "", &[], now);
        }
    }

    /// Goes on with `job` on a new stream, from frame `next`.
    fn attach(&mut self, job: u64, place: Place, token: &[u8], next: u64, ctx: &mut Context) {
        let now = self.now(ctx);
        self.sync_ledger(job);
        let Some(work) = self.works.get_mut(&job) else {
            return;
        };
        let old = work.at.replace(place);
        work.spent_tokens.push(token.to_vec());
        work.sent = match ctx.scenario.fault {
            Some(Fault::ReplayFromLastRecv) => next.saturating_sub(2),
            Some(Fault::SkipAtResume) => next,
            _ => next - 1,
        };
        work.terminal_sent = false;
        // What it is short of is told again to whoever listens now.
        work.starving = false;
        work.starving_for_children = false;
        work.patience_until = None;
        work.short_of = None;
        let (ledger, cap) = (work.ledger, work.plan.cap);
        ctx.trace(self.node, format_args!("{job} goes on from {next}"));
        self.work_at.insert(place, job);
        if let Some(old) = old {
            self.work_at.remove(&old);
            if let Some(connection) = self.connection(old) {
                connection.abort(old.1, ErrorCode::Cancelled);
            }
        }
        if let Some(connection) = self.connection(place)
            && let Ok(cell) = connection.ledger_mut(place.1)
        {
            *cell = ledger;
            let cap = Cap {
                tokens: cap,
                ..Cap::default()
            };
            // It also sees to the timer for the deadline that came with the ledger.
            let _same = connection.cap(place.1, &cap, now);
        }
        self.issue(job, ctx);
        self.settle_books(job, ctx);
    }

    /// A crash: what is not durable is gone, the rest is detached.
    pub(crate) fn forget_works(&mut self, ctx: &mut Context) {
        let works = std::mem::take(&mut self.works);
        for (job, mut work) in works {
            let durable = ctx.scenario.durable && work.retained.is_some();
            if !durable {
                if work.is_running() {
                    ctx.audit.stopped(job, ctx.now);
                }
                continue;
            }
            work.at = None;
            work.terminal_sent = false;
            work.partial.clear();
            // Nobody can tell any more what its children spend.
            let mut ledger = work.ledger;
            for child in std::mem::take(&mut work.children) {
                work.shares.closed(&mut ledger, child, None);
            }
            work.ledger = ledger;
            if work.starving {
                work.patience_until = Some(ctx.now + work.plan.patience);
            }
            self.works.insert(job, work);
        }
    }

    /// When [`drive_works`](Self::drive_works) is due next.
    pub(crate) fn next_work(&self, ctx: &Context) -> u64 {
        let now = self.now(ctx);
        let mut next = u64::MAX;
        let mut due = |at: u64| {
            if at > ctx.now {
                next = next.min(at);
            }
        };
        for work in self.works.values() {
            if work.is_running() && !work.starving {
                due(work.next_at);
            }
            if work.at.is_some() {
                continue;
            }
            if let Some(until) = work.retained.as_ref().and_then(|kept| kept.kept_until()) {
                due(self.clock.world_of(until));
            }
            if work.is_running() {
                due(work.patience_until.unwrap_or(u64::MAX));
                let left = work.ledger.deadline().0.saturating_sub(now.unix.0).max(0);
                let deadline = now.instant.after(Duration::from_millis(left as u64));
                due(self.clock.world_of(deadline));
            }
        }
        next
    }

    /// The bounds on what is worked on and retained.
    pub(crate) fn check_works(&mut self, ctx: &mut Context) {
        let now = self.now(ctx);
        let mut kept = 0;
        for (job, work) in &self.works {
            if work.is_running() {
                let open = work.at.is_none_or(|place| {
                    let live = self.connections.get(&place.0);
                    let connection = live.and_then(|live| live.connection.as_ref());
                    connection.is_some_and(|connection| {
                        !matches!(connection.may_send(place.1), Err(CallError::SendingEnded))
                    })
                });
                if open {
                    ctx.audit.still_open(*job, now.unix);
                }
            }
            let Some(retained) = &work.retained else {
                continue;
            };
            kept += 1;
            let window = retained.window();
            let large = window.bytes_used() > ctx.scenario.window_bytes
                || window.len() > ctx.scenario.window_frames as usize;
            let old = work.at.is_none()
                && retained
                    .kept_until()
                    .is_some_and(|until| until.after(Duration::from_millis(50)) < now.instant);
            if large || old {
                let details = format!("n{} retains {job}: {work:?}", self.node);
                ctx.audit.fail(Invariant::TablesBounded, details);
            }
        }
        if kept > ctx.scenario.max_retained {
            let details = format!("n{} retains {kept} operations", self.node);
            ctx.audit.fail(Invariant::TablesBounded, details);
        }
        self.check_calls(ctx);
    }
}
