//! The one type that an adapter drives: a connection between two nodes, without a socket.
//!
//! Each concern is a small machine of its own: the handshake, an operation, what arrives on a
//! stream, what waits to leave on one. This module ties them together.

mod calls;
mod config;
mod control;
mod control_input;
mod event;
mod incoming;
mod input;
mod operation;
mod outgoing;
mod output;
mod signed;
mod spending;
mod timer;

pub use calls::CallError;
pub use config::{Config, Signatures};
pub use control::Authenticated;
pub use event::{CloseReason, Event, Input};
pub use operation::{Operation, Outcome, Side};
pub use output::Transmit;
pub use signed::EXPORTER_LEN;
pub use spending::Stall;

use control::{Control, HelloState};

use crate::code::ErrorCode;
use crate::handshake::Agreement;
use crate::id::{OpId, Role, StreamId};
use crate::storage::{Buffer, Queue, Storage, Table};
use crate::time::{Instant, Now};
use operation::{Part, Receiving};

/// Things that were let pass, counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Counters {
    /// Frames of unknown types, or that came too late to matter (`CAN-6`, `GAP-14`).
    pub skipped_frames: u64,
    /// Bytes behind the peer's signature block (`GAP-10`).
    pub trailing_hello_bytes: u64,
    /// Operations refused for want of room, or because of a GOODBYE.
    pub refused_operations: u64,
    /// How often a producer had to wait for its budget (`BUD-9`).
    pub budget_stalls: u64,
    /// How often the transport took less than it was offered (`BUD-9`).
    pub transport_stalls: u64,
}

/// One end of an AIRE connection. See the [crate's first page](crate) for how to drive it.
pub struct Connection<S: Storage> {
    role: Role,
    config: Config,
    control: Control<S::Scratch>,
    agreement: Option<Agreement>,
    peer: S::Name,
    operations: S::Operations,
    ledgers: S::Ledgers,
    /// An operation has waited for its budget, so another may be waiting now.
    has_stalled: bool,
    scratches: S::Scratches,
    /// The scratch that the last event borrowed, to be given back.
    spent_scratch: Option<StreamId>,
    send_line: S::Queue,
    event_line: S::Queue,
    next_stream: Option<StreamId>,
    /// Live operations whose id is not their stream's: none, with peers that follow `GAP-2`.
    unusual_ids: usize,
    /// No deadline is earlier than this.
    earliest: Option<Instant>,
    /// Why the connection is over, once it is.
    closed: Option<CloseReason>,
    told_closed: bool,
    close_sent: bool,
    goodbye_sent: bool,
    goodbye_received: bool,
    drain_deadline: Option<Instant>,
    counters: Counters,
}

impl<S: Storage> Connection<S> {
    /// A connection whose QUIC handshake is done. Call [`start`](Self::start) next.
    #[must_use]
    pub fn new(role: Role, config: Config, now: Now) -> Self {
        let config = config.bounded();
        let handshake_deadline = now.instant.after(config.handshake_timeout);
        Self {
            role,
            config,
            control: Control::new(role, handshake_deadline),
            agreement: None,
            peer: S::Name::default(),
            operations: S::Operations::default(),
            ledgers: S::Ledgers::default(),
            has_stalled: false,
            scratches: S::Scratches::default(),
            spent_scratch: None,
            send_line: S::Queue::default(),
            event_line: S::Queue::default(),
            next_stream: Some(StreamId::first_operation(role)),
            unusual_ids: 0,
            earliest: Some(handshake_deadline),
            closed: None,
            told_closed: false,
            close_sent: false,
            goodbye_sent: false,
            goodbye_received: false,
            drain_deadline: None,
            counters: Counters::default(),
        }
    }

    /// Which end this is.
    #[must_use]
    pub const fn role(&self) -> Role {
        self.role
    }

    /// What both ends agreed on, once the handshake is done.
    #[must_use]
    pub const fn agreement(&self) -> Option<&Agreement> {
        self.agreement.as_ref()
    }

    /// Who the peer says it is: its DID, proven when
    /// [`Agreement::peer_key`](crate::handshake::Agreement::peer_key) is there.
    #[must_use]
    pub fn peer(&self) -> Option<&str> {
        self.agreement?;
        core::str::from_utf8(self.peer.as_slice()).ok()
    }

    /// Whether operations may be opened and their bytes read: the handshake is done, and the
    /// connection not over (`HS-9`, `GAP-12`).
    #[must_use]
    pub const fn is_open(&self) -> bool {
        matches!(self.control.hello, HelloState::Accepted) && self.closed.is_none()
    }

    /// Whether the connection is over. Events and transmissions may be left.
    #[must_use]
    pub const fn is_closed(&self) -> bool {
        self.closed.is_some()
    }

    /// Whether either side said GOODBYE: no operation may be opened.
    #[must_use]
    pub const fn is_draining(&self) -> bool {
        self.goodbye_sent || self.goodbye_received
    }

    /// How many operations are live.
    #[must_use]
    pub fn live_operations(&self) -> usize {
        self.operations.len()
    }

    /// The wire id of the operation on `stream`.
    #[must_use]
    pub fn op_id(&self, stream: StreamId) -> Option<OpId> {
        self.operations.get(stream).map(|operation| operation.id)
    }

    /// What was let pass.
    #[must_use]
    pub const fn counters(&self) -> Counters {
        self.counters
    }

    /// The next thing to tell the application that no input carried. `None` when all is told.
    pub fn poll_event(&mut self) -> Option<Event<'static>> {
        while let Some(stream) = self.event_line.pop() {
            let Some(operation) = self.operations.get_mut(stream) else {
                continue;
            };
            operation.in_event_line = false;
            if core::mem::take(&mut operation.tell_input_finished) {
                self.settle(stream);
                return Some(Event::InputFinished { stream });
            }
            if operation.is_over() && !operation.told_ended {
                operation.told_ended = true;
                let (outcome, by) = operation.outcome();
                self.settle(stream);
                return Some(Event::Ended {
                    stream,
                    outcome,
                    by,
                });
            }
        }
        if self.told_closed {
            return None;
        }
        let reason = self.closed?;
        self.told_closed = true;
        Some(Event::Closed(reason))
    }

    /// Puts an operation into the lines that it belongs in, or forgets it. Called after every
    /// change of one.
    fn settle(&mut self, stream: StreamId) {
        let Some(operation) = self.operations.get_mut(stream) else {
            return;
        };
        let has_news =
            operation.tell_input_finished || (operation.is_over() && !operation.told_ended);
        if has_news && !operation.in_event_line {
            operation.in_event_line = true;
            self.event_line.push(stream);
        }
        let wants_to_send = operation.reset.is_some()
            || operation.stop.is_some()
            || operation.outgoing.wants_to_send();
        if wants_to_send && !operation.in_send_line {
            operation.in_send_line = true;
            self.send_line.push(stream);
        }
        let forgotten = operation.told_ended
            && operation.is_over()
            && !operation.in_send_line
            && !operation.in_event_line;
        if forgotten {
            if operation.id.get() != stream.get() {
                self.unusual_ids = self.unusual_ids.saturating_sub(1);
            }
            self.operations.remove(stream);
            self.ledgers.remove(stream);
            self.scratches.remove(stream);
            self.close_when_drained();
        }
    }

    /// Notes that something is due at `deadline`.
    fn due(&mut self, deadline: Instant) {
        self.earliest = Some(match self.earliest {
            Some(earliest) => earliest.min(deadline),
            None => deadline,
        });
    }

    /// Ends the connection: every operation with it (`CAN-1`), and the peer is told why.
    fn close_because(&mut self, reason: CloseReason) {
        if self.closed.is_some() {
            return;
        }
        self.closed = Some(reason);
        self.scratches.remove(StreamId::CONTROL);
        self.control.say(reason);
        while self.send_line.pop().is_some() {}
        let mut last = None;
        while let Some(stream) = self.operations.after(last) {
            last = Some(stream);
            if let Some(operation) = self.operations.get_mut(stream) {
                // An operation whose answer is whole has not lost anything.
                let answered = match operation.part {
                    Part::Initiator => true,
                    Part::Responder => operation.has_answered(),
                };
                if operation.receiving != Receiving::Finished || !answered {
                    operation.note(Outcome::Lost, Side::Peer);
                }
                operation.in_send_line = false;
                operation.receiving = Receiving::Finished;
                operation.outgoing.abandon();
                operation.reset = None;
                operation.stop = None;
                operation.tell_input_finished = false;
            }
            self.settle(stream);
        }
    }

    /// Ends the connection because the peer broke `rule`.
    fn violation(&mut self, code: ErrorCode, rule: &'static str) {
        self.close_because(CloseReason::Violation { code, rule });
    }
}

impl<S: Storage> core::fmt::Debug for Connection<S> {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Connection")
            .field("role", &self.role)
            .field("peer", &self.peer())
            .field("closed", &self.closed)
            .field("operations", &self.operations.len())
            .finish_non_exhaustive()
    }
}
