//! Deadlines: the handshake's, an operation's, the drain's.

use super::operation::Receiving;
use super::outgoing::Fin;
use super::{CloseReason, Connection};
use crate::code::ErrorCode;
use crate::id::StreamId;
use crate::storage::{Storage, Table};
use crate::time::{Instant, Now};

impl<S: Storage> Connection<S> {
    /// When [`handle_timeout`](Self::handle_timeout) is due next, at the latest. It may turn out
    /// that nothing was.
    #[must_use]
    pub const fn next_deadline(&self) -> Option<Instant> {
        if self.closed.is_some() {
            None
        } else {
            self.earliest
        }
    }

    /// Does what is due at `now`.
    pub fn handle_timeout(&mut self, now: Now) {
        let due = self
            .earliest
            .is_some_and(|earliest| earliest <= now.instant);
        if !due || self.closed.is_some() {
            return;
        }
        self.earliest = None;
        if !self.is_open() {
            let deadline = self.control.handshake_deadline;
            if deadline <= now.instant {
                self.close_because(CloseReason::HandshakeTimeout);
                return;
            }
            self.due(deadline);
        }
        if let Some(deadline) = self.drain_deadline {
            if deadline <= now.instant {
                self.close_because(CloseReason::Done);
                return;
            }
            self.due(deadline);
        }
        let mut last = None;
        while let Some(stream) = self.operations.after(last) {
            last = Some(stream);
            self.check_budget_deadline(stream, now);
            match self.operations.get(stream).and_then(|op| op.deadline) {
                Some(deadline) if deadline <= now.instant => self.expire(stream, now),
                Some(deadline) => self.due(deadline),
                None => {}
            }
        }
    }

    /// An operation's time is over.
    fn expire(&mut self, stream: StreamId, now: Now) {
        let Some(operation) = self.operations.get_mut(stream) else {
            return;
        };
        operation.deadline = None;
        let unanswered_cancel = operation.is_cancelled_by_peer();
        if operation.stalled {
            self.end_over_budget(stream, ErrorCode::BudgetExceeded, now);
        } else if unanswered_cancel && operation.outgoing.fin == Fin::Open {
            // The application did not end it in time, so we do (CAN-5).
            self.fail_or_reset(stream, ErrorCode::Cancelled, now);
        } else {
            // The peer did not answer our cancel (CAN-7), or never sent the FIN that it owes.
            self.kill(stream, ErrorCode::Cancelled.to_wire());
        }
    }

    /// Gives an operation the cancel timeout from now to come to its end.
    pub(super) fn set_deadline(&mut self, stream: StreamId, now: Now) {
        let deadline = now.instant.after(self.config.cancel_timeout);
        if let Some(operation) = self.operations.get_mut(stream)
            && !operation.is_over()
        {
            operation.stalled = false;
            operation.deadline = Some(deadline);
            self.due(deadline);
        }
    }

    /// Ends an operation at transport level, both ways, as far as it has not ended yet.
    pub(super) fn kill(&mut self, stream: StreamId, code: u64) {
        if let Some(operation) = self.operations.get_mut(stream) {
            operation.stalled = false;
            operation.deadline = None;
            if operation.outgoing.fin != Fin::Sent {
                operation.outgoing.abandon();
                operation.reset = Some(code);
            }
            if operation.receiving != Receiving::Finished {
                operation.receiving = Receiving::Finished;
                operation.stop = Some(code);
            }
        }
        self.scratches.remove(stream);
        self.settle(stream);
    }

    /// The peer's side is complete, so ours ends too (`WIRE-11`): with FIN, or with a reset where
    /// a frame is only half sent.
    pub(super) fn end_sending(&mut self, stream: StreamId) {
        if let Some(operation) = self.operations.get_mut(stream)
            && operation.outgoing.fin == Fin::Open
        {
            if operation.outgoing.payload_done() {
                operation.outgoing.fin = Fin::Queued;
            } else {
                operation.outgoing.abandon();
                operation.reset = Some(ErrorCode::Cancelled.to_wire());
            }
        }
        self.settle(stream);
    }

    /// Ends our side with ERROR `code` and FIN; with a reset where a frame is only half sent, or
    /// the outbox has no room.
    pub(super) fn fail_or_reset(&mut self, stream: StreamId, code: ErrorCode, now: Now) {
        use crate::wire::ErrorFrame;

        let Some(operation) = self.operations.get_mut(stream) else {
            return;
        };
        let error = ErrorFrame {
            code,
            detail: "",
            data: &[],
        };
        if operation.outgoing.fin == Fin::Open {
            let op_id = operation.id.get();
            let queued =
                operation.outgoing.payload_done() && operation.outgoing.push(op_id, &error).is_ok();
            if queued {
                operation.outgoing.fin = Fin::Queued;
            } else {
                operation.outgoing.abandon();
                operation.reset = Some(code.to_wire());
            }
        }
        self.set_deadline(stream, now);
        self.settle(stream);
    }
}
