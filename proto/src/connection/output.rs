//! From the connection to the transport.

use core::ops::Range;

use super::operation::{Part, Receiving};
use super::outgoing::Fin;
use super::{CloseReason, Connection};
use crate::id::StreamId;
use crate::storage::{Queue, Storage, Table};
use crate::time::Now;

/// Something for the transport to do.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum Transmit<'a> {
    /// Write to `stream`: `head`, then the bytes `payload` of what the application is sending on
    /// it, then `tail`, then FIN when `fin`. Report how far it got with
    /// [`Connection::wrote`], before the next transmission is polled.
    Data {
        /// The stream.
        stream: StreamId,
        /// Envelopes and control frames.
        head: &'a [u8],
        /// Which bytes of the application's arguments or STREAM payload; `0..0` when
        /// none.
        payload: Range<u64>,
        /// Control frames behind the payload.
        tail: &'a [u8],
        /// Whether the stream ends here.
        fin: bool,
    },
    /// Send RESET_STREAM with this application code.
    Reset {
        /// The stream.
        stream: StreamId,
        /// The code.
        code: u64,
    },
    /// Send STOP_SENDING with this application code, and drop what has come on the stream or
    /// still comes: [`poll_input`](Connection::poll_input) is to see nothing more of it.
    StopSending {
        /// The stream.
        stream: StreamId,
        /// The code.
        code: u64,
    },
    /// Send what is queued, then CONNECTION_CLOSE with this application code. The last one.
    Close {
        /// The code.
        code: u64,
    },
}

impl<S: Storage> Connection<S> {
    /// The next thing for the transport. `None` when there is nothing, or all that there is waits
    /// for [`writable`](Self::writable).
    pub fn poll_transmit(&mut self) -> Option<Transmit<'_>> {
        if self.close_sent {
            return None;
        }
        if self.control.wants_to_send() {
            let next = self.control.outgoing.next();
            return Some(Transmit::Data {
                stream: StreamId::CONTROL,
                head: next.head,
                payload: 0..0,
                tail: next.tail,
                fin: next.fin,
            });
        }
        if let Some(reason) = self.closed {
            self.close_sent = true;
            return Some(Transmit::Close {
                code: reason.told_to_peer().map_or(0, |code| code.to_wire()),
            });
        }
        if !self.control.said_hello {
            return None;
        }
        let stream = loop {
            let stream = self.send_line.pop()?;
            let Some(operation) = self.operations.get_mut(stream) else {
                continue;
            };
            operation.in_send_line = false;
            if let Some(code) = operation.reset.take() {
                self.settle(stream);
                return Some(Transmit::Reset { stream, code });
            }
            if let Some(code) = operation.stop.take() {
                self.settle(stream);
                return Some(Transmit::StopSending { stream, code });
            }
            if operation.outgoing.wants_to_send() {
                break stream;
            }
            self.settle(stream);
        };
        let next = self.operations.get(stream)?.outgoing.next();
        Some(Transmit::Data {
            stream,
            head: next.head,
            payload: next.payload,
            tail: next.tail,
            fin: next.fin,
        })
    }

    /// The transport took the first `count` bytes of the last [`Transmit::Data`] on `stream`, and
    /// its FIN when `fin`. When that is less than all, the stream waits for
    /// [`writable`](Self::writable).
    ///
    /// Returns whether the application's payload is wholly with the transport, so that its memory
    /// is free.
    pub fn wrote(&mut self, stream: StreamId, count: usize, fin: bool, now: Now) -> bool {
        if stream == StreamId::CONTROL {
            self.control.outgoing.took(count as u64, fin);
            self.control.said_hello |= self.control.started && self.control.outgoing.is_flushed();
            self.close_when_drained();
            return true;
        }
        let Some(operation) = self.operations.get_mut(stream) else {
            return true;
        };
        operation.outgoing.took(count as u64, fin);
        if operation.outgoing.blocked {
            self.counters.transport_stalls = self.counters.transport_stalls.saturating_add(1);
        }
        let payload_done = operation.outgoing.payload_done();
        let owes_report = operation.owes_report;
        let finished = operation.outgoing.fin == Fin::Sent;
        let awaits_peer = operation.receiving != Receiving::Finished;
        if finished && !awaits_peer {
            operation.deadline = None;
        } else if finished && operation.part == Part::Responder {
            // Our answer is whole: the peer has only its FIN to send.
            self.set_deadline(stream, now);
        }
        self.settle(stream);
        if owes_report {
            self.report(stream);
        }
        payload_done
    }

    /// The transport can take more on `stream` again.
    pub fn writable(&mut self, stream: StreamId) {
        if stream == StreamId::CONTROL {
            self.control.outgoing.blocked = false;
        } else if let Some(operation) = self.operations.get_mut(stream) {
            operation.outgoing.blocked = false;
            self.settle(stream);
        }
    }
}

impl CloseReason {
    /// Whether the transport is already gone.
    #[must_use]
    pub const fn is_loss(&self) -> bool {
        matches!(self, Self::Lost)
    }
}
