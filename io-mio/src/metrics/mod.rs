//! What happens in a node or a client, counted: plain numbers to read, and atomics behind them
//! that the event loop and the threads of operations add to without ever waiting.

mod prometheus;
mod samples;

pub use samples::{Kind, Sample};

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use aire_proto::connection::{CloseReason, Outcome};
use aire_proto::wire::FrameType;
use aire_proto::{CancelReason, ErrorCode};

use crate::driver::Closed;

/// A group of counters: as plain numbers, and as the atomics that they are read from.
macro_rules! counted {
    (
        $(#[$meta:meta])* $plain:ident, $atomic:ident {
            $($(#[$field_meta:meta])* $field:ident,)*
        }
    ) => {
        $(#[$meta])*
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
        #[non_exhaustive]
        pub struct $plain {
            $($(#[$field_meta])* pub $field: u64,)*
        }

        impl $plain {
            /// Each counter with its name.
            pub fn each(&self) -> impl Iterator<Item = (&'static str, u64)> {
                [$((stringify!($field), self.$field),)*].into_iter()
            }

            /// All of them together.
            #[must_use]
            pub fn total(&self) -> u64 {
                self.each().map(|(_, count)| count).sum()
            }
        }

        impl std::ops::Add for $plain {
            type Output = Self;

            fn add(self, other: Self) -> Self {
                Self { $($field: self.$field.saturating_add(other.$field),)* }
            }
        }

        #[derive(Debug, Default)]
        pub(crate) struct $atomic {
            $(pub(crate) $field: AtomicU64,)*
        }

        impl $atomic {
            fn read(&self) -> $plain {
                $plain { $($field: self.$field.load(Ordering::Relaxed),)* }
            }

            /// Adds what was counted elsewhere.
            pub(crate) fn add(&self, more: &$plain) {
                $(if more.$field > 0 {
                    self.$field.fetch_add(more.$field, Ordering::Relaxed);
                })*
            }
        }
    };
}

counted! {
    /// Connections that ended before both HELLOs were good, by the reason.
    HandshakesFailed, HandshakesFailedCounters {
        /// The peer speaks another major version.
        incompatible_version,
        /// A capability that one side requires is missing on the other.
        missing_required_capability,
        /// What the peer said in place of a HELLO does not parse.
        malformed_frame,
        /// What the peer said breaks another rule of the protocol.
        protocol_violation,
        /// The peer's signature is missing or wrong, or does not belong to this connection.
        bad_signature,
        /// The peer's clock is too far from ours, or its HELLO is old.
        stale_timestamp,
        /// The peer's HELLO was heard before, or the replay guard is full (`SIG-10`, `SIG-11`).
        replayed_nonce,
        /// The peer's key cannot be found.
        unresolvable_did,
        /// The peer signed with another identity's key.
        key_mismatch,
        /// The peer's HELLO is larger than this side takes.
        frame_too_large,
        /// The local policy refused the peer (`TR-5`): see
        /// [`NodeBuilder::admit`](crate::NodeBuilder::admit).
        refused,
        /// The peer refused this side.
        by_peer,
        /// No HELLO came in time, or no answer at all.
        timeout,
        /// TLS or QUIC failed: a certificate that is not trusted, say.
        transport,
        /// The connection was lost meanwhile.
        lost,
    }
}

counted! {
    /// How operations ended that peers opened. One that goes on without its connection has not
    /// ended.
    OperationsEnded, OperationsEndedCounters {
        /// They came to their good end.
        completed,
        /// An ERROR with any other code ended them.
        failed,
        /// Somebody no longer wanted the answer: a CANCEL, or a reset of the stream.
        cancelled,
        /// Their tokens or their money were used up.
        budget_exceeded,
        /// Their deadline passed.
        deadline_exceeded,
        /// They never ran: there is no such agent, or no room, or a policy said no.
        refused,
        /// Their connection was lost.
        lost,
    }
}

counted! {
    /// What went over the network, counted in UDP payload, and what of it was payload of STREAM
    /// frames.
    Traffic, TrafficCounters {
        /// Datagrams that came, whatever was in them.
        datagrams_received,
        /// Datagrams that the socket took.
        datagrams_sent,
        /// Bytes in the datagrams that came.
        bytes_received,
        /// Bytes in the datagrams that the socket took.
        bytes_sent,
        /// Bytes of STREAM payload that came.
        stream_bytes_received,
        /// Bytes of STREAM payload that QUIC took.
        stream_bytes_sent,
    }
}

counted! {
    /// Frames by their type. Those count that QUIC delivered in order, or took, whatever became of
    /// them.
    Frames, FramesCounters {
        /// HELLO.
        hello,
        /// INVOKE.
        invoke,
        /// STREAM.
        stream,
        /// CANCEL.
        cancel,
        /// BUDGET.
        budget,
        /// DELEGATE.
        delegate,
        /// ERROR, of operations and of connections.
        error,
        /// GOODBYE.
        goodbye,
        /// RESUMABLE.
        resumable,
        /// RESUME.
        resume,
        /// Frames of vendors, ours among them.
        vendor,
        /// Frames of types that this version does not know.
        reserved,
    }
}

impl HandshakesFailed {
    fn count(&mut self, closed: &Closed) {
        let counter = match closed {
            Closed::Protocol(CloseReason::Handshake(error)) => match error.code() {
                ErrorCode::IncompatibleVersion => &mut self.incompatible_version,
                ErrorCode::MissingRequiredCapability => &mut self.missing_required_capability,
                ErrorCode::MalformedFrame => &mut self.malformed_frame,
                ErrorCode::BadSignature => &mut self.bad_signature,
                ErrorCode::StaleTimestamp => &mut self.stale_timestamp,
                ErrorCode::ReplayedNonce => &mut self.replayed_nonce,
                ErrorCode::UnresolvableDid => &mut self.unresolvable_did,
                ErrorCode::KeyMismatch => &mut self.key_mismatch,
                ErrorCode::FrameTooLarge => &mut self.frame_too_large,
                ErrorCode::Refused => &mut self.refused,
                _ => &mut self.protocol_violation,
            },
            Closed::Protocol(CloseReason::Violation { code, .. }) => match code {
                ErrorCode::MalformedFrame => &mut self.malformed_frame,
                ErrorCode::BadSignature => &mut self.bad_signature,
                _ => &mut self.protocol_violation,
            },
            Closed::Protocol(CloseReason::HandshakeTimeout) | Closed::NoAnswer => &mut self.timeout,
            Closed::Protocol(CloseReason::Peer(_)) => &mut self.by_peer,
            Closed::Protocol(CloseReason::Lost) => &mut self.lost,
            Closed::Handshake(_) | Closed::Transport(_) => &mut self.transport,
            // Somebody had changed their mind.
            Closed::Protocol(CloseReason::Done) => return,
        };
        *counter = counter.saturating_add(1);
    }
}

impl OperationsEnded {
    fn count(&mut self, outcome: Outcome) {
        let counter = match outcome {
            Outcome::Completed => &mut self.completed,
            Outcome::Failed(ErrorCode::BudgetExceeded)
            | Outcome::Cancelled(CancelReason::BudgetExceeded) => &mut self.budget_exceeded,
            Outcome::Failed(ErrorCode::DeadlineExceeded)
            | Outcome::Cancelled(CancelReason::DeadlineExceeded) => &mut self.deadline_exceeded,
            Outcome::Failed(ErrorCode::Refused | ErrorCode::AgentNotFound) => &mut self.refused,
            Outcome::Failed(_) => &mut self.failed,
            Outcome::Cancelled(_) | Outcome::Reset(_) => &mut self.cancelled,
            Outcome::Lost => &mut self.lost,
        };
        *counter = counter.saturating_add(1);
    }
}

impl Traffic {
    pub(crate) fn datagram_sent(&mut self, len: usize) {
        self.datagrams_sent = self.datagrams_sent.saturating_add(1);
        self.bytes_sent = self.bytes_sent.saturating_add(len as u64);
    }

    pub(crate) fn datagram_received(&mut self, len: usize) {
        self.datagrams_received = self.datagrams_received.saturating_add(1);
        self.bytes_received = self.bytes_received.saturating_add(len as u64);
    }
}

impl Frames {
    pub(crate) fn count(&mut self, frame: FrameType) {
        let counter = match frame {
            FrameType::Hello => &mut self.hello,
            FrameType::Invoke => &mut self.invoke,
            FrameType::Stream => &mut self.stream,
            FrameType::Cancel => &mut self.cancel,
            FrameType::Budget => &mut self.budget,
            FrameType::Delegate => &mut self.delegate,
            FrameType::Error => &mut self.error,
            FrameType::Goodbye => &mut self.goodbye,
            FrameType::Resumable => &mut self.resumable,
            FrameType::Resume => &mut self.resume,
            FrameType::Vendor(_) => &mut self.vendor,
            FrameType::CapabilityUpdate | FrameType::Reserved(_) => &mut self.reserved,
        };
        *counter = counter.saturating_add(1);
    }
}

/// Counters since the start. All only ever grow, but for those that say "now".
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Metrics {
    /// Connections that peers began.
    pub connections_accepted: u64,
    /// Connections that this side began.
    pub connections_dialled: u64,
    /// Connections now, those among them whose handshake goes on.
    pub connections_open: u64,
    /// Connections that did not get through their handshake.
    pub handshakes_failed: HandshakesFailed,
    /// Packets that would have begun a connection, and were dropped because their source begins
    /// too many (`TR-4`): see [`Settings::inbound_rate`](crate::Settings::inbound_rate).
    pub rate_limited: u64,
    /// Operations that this side served.
    pub served: u64,
    /// Operations now, of either side.
    pub operations_live: u64,
    /// How those ended that this side served.
    pub operations_ended: OperationsEnded,
    /// What went over the network.
    pub traffic: Traffic,
    /// Frames that came.
    pub frames_received: Frames,
    /// Frames that were sent.
    pub frames_sent: Frames,
    /// How often a producer waited for its budget (`BUD-9`).
    pub budget_stalls: u64,
    /// For how long in all.
    pub budget_stalled: Duration,
    /// How often a producer waited for QUIC: the peer, or the path, took no more bytes (`BUD-9`).
    pub transport_stalls: u64,
    /// For how long in all.
    pub transport_stalled: Duration,
    /// Operations that went on without their connection.
    pub detached: u64,
    /// Operations that were resumed.
    pub resumed: u64,
    /// RESUME frames that were refused.
    pub resumes_refused: u64,
    /// Operations that cannot be resumed because their store failed.
    pub store_failures: u64,
    /// Operations handed on to other nodes.
    pub delegated: u64,
    /// Operations refused because they came in a circle, or from too far.
    pub circles_refused: u64,
}

/// What several nodes of one process do together.
impl std::iter::Sum for Metrics {
    fn sum<I: Iterator<Item = Self>>(all: I) -> Self {
        all.fold(Self::default(), |one, other| Self {
            connections_accepted: one.connections_accepted + other.connections_accepted,
            connections_dialled: one.connections_dialled + other.connections_dialled,
            connections_open: one.connections_open + other.connections_open,
            handshakes_failed: one.handshakes_failed + other.handshakes_failed,
            rate_limited: one.rate_limited + other.rate_limited,
            served: one.served + other.served,
            operations_live: one.operations_live + other.operations_live,
            operations_ended: one.operations_ended + other.operations_ended,
            traffic: one.traffic + other.traffic,
            frames_received: one.frames_received + other.frames_received,
            frames_sent: one.frames_sent + other.frames_sent,
            budget_stalls: one.budget_stalls + other.budget_stalls,
            budget_stalled: one.budget_stalled + other.budget_stalled,
            transport_stalls: one.transport_stalls + other.transport_stalls,
            transport_stalled: one.transport_stalled + other.transport_stalled,
            detached: one.detached + other.detached,
            resumed: one.resumed + other.resumed,
            resumes_refused: one.resumes_refused + other.resumes_refused,
            store_failures: one.store_failures + other.store_failures,
            delegated: one.delegated + other.delegated,
            circles_refused: one.circles_refused + other.circles_refused,
        })
    }
}

/// The counters themselves.
#[derive(Debug, Default)]
pub(crate) struct Counters {
    pub(crate) connections_accepted: AtomicU64,
    pub(crate) connections_dialled: AtomicU64,
    /// Set, not counted, by the one thread that knows.
    pub(crate) connections_open: AtomicU64,
    handshakes_failed: HandshakesFailedCounters,
    pub(crate) rate_limited: AtomicU64,
    pub(crate) served: AtomicU64,
    /// Set, not counted, by the one thread that knows.
    pub(crate) operations_live: AtomicU64,
    operations_ended: OperationsEndedCounters,
    pub(crate) traffic: TrafficCounters,
    pub(crate) frames_received: FramesCounters,
    pub(crate) frames_sent: FramesCounters,
    budget_stalls: AtomicU64,
    budget_stalled: AtomicU64,
    transport_stalls: AtomicU64,
    transport_stalled: AtomicU64,
    pub(crate) detached: AtomicU64,
    pub(crate) resumed: AtomicU64,
    pub(crate) resumes_refused: AtomicU64,
    pub(crate) store_failures: AtomicU64,
    pub(crate) delegated: AtomicU64,
    pub(crate) circles_refused: AtomicU64,
}

/// Adds one.
pub(crate) fn count(counter: &AtomicU64) {
    counter.fetch_add(1, Ordering::Relaxed);
}

/// Says how many there are now.
pub(crate) fn set(gauge: &AtomicU64, now: usize) {
    gauge.store(now as u64, Ordering::Relaxed);
}

impl Counters {
    pub(crate) fn stalled_by_budget(&self, time: Duration) {
        count(&self.budget_stalls);
        self.budget_stalled
            .fetch_add(micros(time), Ordering::Relaxed);
    }

    pub(crate) fn stalled_by_transport(&self, time: Duration) {
        count(&self.transport_stalls);
        self.transport_stalled
            .fetch_add(micros(time), Ordering::Relaxed);
    }

    /// A connection ended before both HELLOs were good.
    pub(crate) fn handshake_failed(&self, closed: &Closed) {
        let mut failed = HandshakesFailed::default();
        failed.count(closed);
        self.handshakes_failed.add(&failed);
    }

    /// An operation ended that this side served.
    pub(crate) fn operation_ended(&self, outcome: Outcome) {
        let mut ended = OperationsEnded::default();
        ended.count(outcome);
        self.operations_ended.add(&ended);
    }

    pub(crate) fn read(&self) -> Metrics {
        let get = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        Metrics {
            connections_accepted: get(&self.connections_accepted),
            connections_dialled: get(&self.connections_dialled),
            connections_open: get(&self.connections_open),
            handshakes_failed: self.handshakes_failed.read(),
            rate_limited: get(&self.rate_limited),
            served: get(&self.served),
            operations_live: get(&self.operations_live),
            operations_ended: self.operations_ended.read(),
            traffic: self.traffic.read(),
            frames_received: self.frames_received.read(),
            frames_sent: self.frames_sent.read(),
            budget_stalls: get(&self.budget_stalls),
            budget_stalled: Duration::from_micros(get(&self.budget_stalled)),
            transport_stalls: get(&self.transport_stalls),
            transport_stalled: Duration::from_micros(get(&self.transport_stalled)),
            detached: get(&self.detached),
            resumed: get(&self.resumed),
            resumes_refused: get(&self.resumes_refused),
            store_failures: get(&self.store_failures),
            delegated: get(&self.delegated),
            circles_refused: get(&self.circles_refused),
        }
    }
}

fn micros(time: Duration) -> u64 {
    u64::try_from(time.as_micros()).unwrap_or(u64::MAX)
}
