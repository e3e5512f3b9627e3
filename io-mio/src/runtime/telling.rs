//! From the driver's events to whoever works on an operation, and from its commands to the driver.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Mutex, PoisonError};

use aire_proto::{ErrorCode, StreamId};
use tracing::error;

use crate::address::Address;
use crate::agent::EventAgent;
use crate::driver::{Calls, ConnectionKey, Event, QueueError};
use crate::mailbox::Command;
use crate::operation::{Failure, Received, Shared};

/// Whether a node says that it hands an operation on to the agent that was asked in the first
/// place: to itself.
pub(super) fn is_circle(asked: &Option<(String, String)>, event: &aire_proto::Event<'_>) -> bool {
    let (Some((peer, agent)), aire_proto::Event::Delegated { delegate, .. }) = (asked, event)
    else {
        return false;
    };
    let target: Option<Address> = delegate.target.parse().ok();
    let named = target.as_ref().and_then(Address::agent);
    delegate.target_did == peer && named.is_none_or(|named| named == agent)
}

/// Whether the thread has so much waiting that nothing more is to be read.
pub(super) fn tell_thread(shared: &Shared, event: aire_proto::Event<'_>) -> bool {
    use aire_proto::Event as E;
    match event {
        E::Stream {
            bytes, remaining, ..
        } => return shared.stream(bytes, remaining),
        E::Budget { budget, .. } => {
            match shared.membership.get() {
                Some(membership) if budget.is_report() => membership.reported(&budget),
                _ => shared.budget_changed(),
            }
            return shared.notice(Received::Budget(budget));
        }
        E::BudgetRefused { mismatch, .. } => shared.failed(Failure::Currency(mismatch)),
        E::Delegated { delegate, .. } => {
            return shared.notice(Received::Delegated {
                target: delegate.target.into(),
                target_did: delegate.target_did.into(),
                sub_op: delegate.sub_op,
            });
        }
        E::Cancelled { cancel, .. } => shared.failed(Failure::Cancelled {
            reason: cancel.reason,
            detail: cancel.detail.into(),
        }),
        E::Resumable { resumable, .. } => shared.resumable(&resumable),
        E::CancelledLate { .. } => shared.cancel_family(),
        E::Failed { error, .. } => {
            shared.accounted(error.data);
            shared.closed();
            shared.failed(Failure::Failed {
                code: error.code,
                detail: error.detail.into(),
                data: error.data.into(),
            });
        }
        E::InputFinished { .. } => shared.finished(),
        E::Ended { outcome, by, .. } => shared.ended(outcome, by),
        _ => {}
    }
    false
}

pub(super) fn tell_in_loop(
    agent: &Mutex<dyn EventAgent>,
    key: ConnectionKey,
    stream: StreamId,
    event: Event<'_>,
    calls: &mut Calls<'_>,
) {
    let told = catch_unwind(AssertUnwindSafe(|| {
        let mut agent = agent.lock().unwrap_or_else(PoisonError::into_inner);
        agent.event(key, event, calls);
    }));
    if told.is_err() {
        error!("an agent in the loop panicked");
        let detail = "the agent panicked";
        let _ended = calls.fail(stream, ErrorCode::Application, detail, Vec::new());
    }
}

pub(super) fn apply(
    calls: &mut Calls<'_>,
    stream: StreamId,
    command: Command,
) -> Result<(), QueueError> {
    match command {
        Command::Send(payload) => calls.send_counted(stream, payload),
        Command::Budget(budget) => calls.send_budget(stream, budget),
        Command::Finish => calls.finish(stream),
        Command::Fail { code, detail, data } => calls.fail(stream, code, detail, data),
        Command::Cancel { reason, detail } => calls.cancel(stream, reason, detail),
        Command::Resume => {
            calls.resume(stream);
            Ok(())
        }
        Command::OutOfBudget { what, patience } => calls.out_of_budget(stream, what, patience),
        Command::WithinBudget => calls.within_budget(stream),
        Command::Delegate {
            target,
            target_did,
            sub_op,
        } => calls.send_delegate(stream, target, target_did, sub_op),
        Command::Resumable {
            ttl_secs,
            token,
            last_seq,
        } => calls.send_resumable(stream, ttl_secs, token, last_seq),
        Command::Abort => calls.abort(stream, ErrorCode::Cancelled),
        Command::Adopt(ledger) => {
            calls.adopt_ledger(stream, ledger);
            Ok(())
        }
    }
}
