//! What a connection tells its application, and what it is given to read.

use core::fmt;

use super::operation::{Outcome, Side};
use crate::budget::CurrencyMismatch;
use crate::code::ErrorCode;
use crate::delegation::Path;
use crate::handshake::HandshakeError;
use crate::id::{OpId, StreamId};
use crate::wire::{Budget, Cancel, Delegate, ErrorFrame, Resumable, Resume};

/// Bytes that the transport delivered on one stream, and how much of them has been read.
#[derive(Clone, Debug)]
pub struct Input<'a> {
    pub(super) bytes: &'a [u8],
    pub(super) fin: bool,
}

impl<'a> Input<'a> {
    /// `bytes` of a stream, in order; `fin` when the stream ends behind them.
    #[must_use]
    pub const fn new(bytes: &'a [u8], fin: bool) -> Self {
        Self { bytes, fin }
    }

    /// What has not been read. When this is not empty although
    /// [`poll_input`](super::Connection::poll_input) has no more events, the connection cannot
    /// take it yet: keep it, and offer it again, with what came since behind it.
    #[must_use]
    pub const fn unread(&self) -> &'a [u8] {
        self.bytes
    }

    /// Whether all of it has been read, the end of the stream included.
    #[must_use]
    pub const fn is_done(&self) -> bool {
        self.bytes.is_empty() && !self.fin
    }
}

/// Why a connection is over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum CloseReason {
    /// Both sides finished what they had (`GAP-8`), or the application closed it.
    Done,
    /// The peer's HELLO was refused.
    Handshake(HandshakeError),
    /// No HELLO came in time.
    HandshakeTimeout,
    /// The peer broke a rule of the protocol; the code is what it was told.
    Violation {
        /// What the peer was told.
        code: ErrorCode,
        /// Which rule.
        rule: &'static str,
    },
    /// The peer said, in an ERROR or as it closed, that it cannot go on.
    Peer(ErrorCode),
    /// The transport lost the peer.
    Lost,
}

impl fmt::Display for CloseReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Done => f.write_str("the connection was closed"),
            Self::Handshake(error) => write!(f, "{}: {error}", error.code()),
            Self::HandshakeTimeout => f.write_str("the peer sent no HELLO in time"),
            Self::Violation { code, rule } => write!(f, "{code}: {rule}"),
            Self::Peer(code) => write!(f, "the peer closed the connection: {code}"),
            Self::Lost => f.write_str("the connection was lost"),
        }
    }
}

impl core::error::Error for CloseReason {}

/// What happened. An operation is named by its stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum Event<'a> {
    /// The peer's HELLO is here and passed the checks of its bytes. Answer with
    /// [`authenticate`](super::Connection::authenticate).
    HelloReceived,
    /// The peer proved that its key sits at the other end of this very connection: operations may
    /// be opened now (`GAP-21`).
    ChannelBound,
    /// The operation that the peer opens next on this stream was delegated: through whom it comes.
    /// Refuse it when it came in a circle or from too far. [`Event::Invoked`] follows, or
    /// [`Event::Ended`].
    DelegatedVia {
        /// The operation.
        stream: StreamId,
        /// The delegators.
        path: Path<'a>,
    },
    /// The peer opened an operation, and all names are here (`GAP-3`).
    Invoked {
        /// The operation.
        stream: StreamId,
        /// Its id on the wire.
        op: OpId,
        /// The agent asked for.
        agent: &'a str,
        /// The operation asked of it.
        operation: &'a str,
        /// How many bytes of arguments follow as [`Event::Args`]; 0 when there is none.
        args_len: u64,
    },
    /// A piece of an INVOKE's arguments: a slice of the transport's buffer.
    Args {
        /// The operation.
        stream: StreamId,
        /// The next bytes, never empty.
        bytes: &'a [u8],
        /// How many more follow; 0 ends the arguments.
        remaining: u64,
    },
    /// A piece of a STREAM frame: a slice of the transport's buffer.
    Stream {
        /// The operation.
        stream: StreamId,
        /// The next bytes; empty only for a frame without payload.
        bytes: &'a [u8],
        /// How many more of this frame follow; 0 ends the frame.
        remaining: u64,
    },
    /// The peer wants the operation to end: stop the work, then
    /// [`fail`](super::Connection::fail) or [`finish`](super::Connection::finish) it (`CAN-5`).
    Cancelled {
        /// The operation.
        stream: StreamId,
        /// Why.
        cancel: Cancel<'a>,
    },
    /// The peer wants an operation to end that this side has ended already: nothing is to be
    /// answered (`CAN-6`), but what the operation was delegated to must hear of it (`CAN-8`).
    /// Only responders hear it.
    CancelledLate {
        /// The operation.
        stream: StreamId,
        /// Why.
        cancel: Cancel<'a>,
    },
    /// The peer says what the operation may still spend: its ledger has it already (`BUD-5`). Or
    /// it reports what was spent: see [`Budget::is_report`].
    Budget {
        /// The operation.
        stream: StreamId,
        /// How much.
        budget: Budget,
    },
    /// The peer's budget is in another currency than the operation is counted in: the operation
    /// ends, as nothing is ever converted. [`Event::Ended`] follows.
    BudgetRefused {
        /// The operation.
        stream: StreamId,
        /// What did not match.
        mismatch: CurrencyMismatch,
    },
    /// The responder handed the operation on; it stays on the path.
    Delegated {
        /// The operation.
        stream: StreamId,
        /// Where to.
        delegate: Delegate<'a>,
    },
    /// The responder says how the operation can be resumed.
    Resumable {
        /// The operation.
        stream: StreamId,
        /// The token.
        resumable: Resumable<'a>,
    },
    /// The peer wants to resume an operation on this new stream.
    Resumed {
        /// The new operation.
        stream: StreamId,
        /// Its id on the wire.
        op: OpId,
        /// The token and the place.
        resume: Resume<'a>,
    },
    /// The peer ends the operation with an ERROR. [`Event::Ended`] follows.
    Failed {
        /// The operation.
        stream: StreamId,
        /// The failure.
        error: ErrorFrame<'a>,
    },
    /// A vendor's frame, when [`Config::vendor_frames`](super::Config::vendor_frames) asks for
    /// them (`GAP-14`).
    Vendor {
        /// The operation.
        stream: StreamId,
        /// 0x80 to 0xFF.
        frame_type: u8,
        /// The whole payload.
        payload: &'a [u8],
    },
    /// The initiator sends no more input (`GAP-4`). Only responders hear it.
    InputFinished {
        /// The operation.
        stream: StreamId,
    },
    /// The operation is over and forgotten.
    Ended {
        /// The operation.
        stream: StreamId,
        /// What came of it.
        outcome: Outcome,
        /// Who ended it.
        by: Side,
    },
    /// The peer opened an operation, but there is no room for it: the adapter resets the stream
    /// both ways with [`ErrorCode::Refused`], and drops what comes on it.
    NoRoom {
        /// The stream.
        stream: StreamId,
    },
    /// The peer takes no further operations; live ones go on (`GAP-8`).
    Goodbye,
    /// The connection is over. Every operation's [`Event::Ended`] came before.
    Closed(CloseReason),
}
