//! What the application asks of a connection.

use core::fmt;

use super::Connection;
use super::operation::{Operation, Outcome, Part, Side};
use super::outgoing::{Fin, Refused};
use crate::budget::ChargeError;
use crate::code::{CancelReason, ErrorCode};
use crate::delegation::PathRef;
use crate::id::{OpId, StreamId};
use crate::storage::{Storage, Table};
use crate::time::Now;
use crate::varint;
use crate::wire::{
    Budget, Cancel, Delegate, EncodeError, ErrorFrame, FrameHeader, FrameType, InvokeTarget,
    MAX_DETAIL_LEN, MAX_SEND_PAYLOAD, Payload, Resumable, Resume, Writer,
};

/// Why a call did nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum CallError {
    /// The handshake is not done, or the connection is over (`HS-9`).
    NotOpen,
    /// One side said GOODBYE: no operation may be opened (`GAP-8`).
    Draining,
    /// As many operations as there may be are live, or no stream id is left.
    TooManyOperations,
    /// There is no live operation on that stream.
    NoSuchOperation,
    /// The operation's sending side has ended, or is about to.
    SendingEnded,
    /// Only the responder may send this frame.
    NotTheResponder,
    /// The payload before it is not with the transport yet.
    Busy,
    /// The outbox has no room for these many bytes now; with an empty outbox, ever.
    OutboxFull {
        /// How many bytes it would take.
        needed: usize,
    },
    /// The payload is over 1,048,576 bytes (`WIRE-13`).
    PayloadTooLarge,
    /// A CANCEL's detail is over 1,024 bytes (`CAN-3`).
    DetailTooLong,
    /// The negotiated version, or the active set, does not know this frame (`GAP-13`, `RES-1`).
    NotNegotiated,
    /// A number is over 2^62 - 1.
    NumberTooLarge,
    /// The budget does not allow it (`BUD-6`).
    Budget(ChargeError),
}

impl fmt::Display for CallError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotOpen => f.write_str("the connection is not open"),
            Self::Draining => f.write_str("the connection takes no further operations"),
            Self::TooManyOperations => f.write_str("too many operations are live"),
            Self::NoSuchOperation => f.write_str("there is no such operation"),
            Self::SendingEnded => f.write_str("nothing more can be sent on this operation"),
            Self::NotTheResponder => f.write_str("only the responder may send this frame"),
            Self::Busy => f.write_str("the payload before it is still being sent"),
            Self::OutboxFull { needed } => {
                write!(f, "the outbox has no room for another {needed} bytes")
            }
            Self::PayloadTooLarge => f.write_str("a payload is at most 1,048,576 bytes"),
            Self::DetailTooLong => f.write_str("a cancel's detail is at most 1,024 bytes"),
            Self::NotNegotiated => f.write_str("the peer does not know this frame"),
            Self::NumberTooLarge => f.write_str("a number is over 2^62 - 1"),
            Self::Budget(error) => error.fmt(f),
        }
    }
}

impl core::error::Error for CallError {}

impl From<Refused> for CallError {
    fn from(refused: Refused) -> Self {
        match refused {
            Refused::Busy => Self::Busy,
            Refused::Full { needed } => Self::OutboxFull { needed },
            Refused::Encoding(EncodeError::NumberTooLarge) => Self::NumberTooLarge,
            Refused::Encoding(EncodeError::BufferTooSmall { needed }) => {
                Self::OutboxFull { needed }
            }
        }
    }
}

/// A STREAM frame has nothing before the application's bytes.
struct Nothing;

impl Payload for Nothing {
    const TYPE: FrameType = FrameType::Stream;
    const SINCE_MINOR: u64 = 0;

    fn write(&self, _out: &mut Writer<'_>) {}
}

impl<S: Storage> Connection<S> {
    /// Opens an operation: INVOKE of `operation` at `agent`, with `args_len` bytes of arguments,
    /// which the application hands over as [`Transmit::Data`](super::Transmit::Data) asks for
    /// them. Ask the transport first whether the peer allows another stream.
    ///
    /// # Errors
    /// [`CallError`]; nothing was opened.
    pub fn invoke(
        &mut self,
        agent: &str,
        operation: &str,
        args_len: usize,
    ) -> Result<StreamId, CallError> {
        self.open_operation(None, agent, operation, args_len)
    }

    fn open_operation(
        &mut self,
        via: Option<&PathRef<'_>>,
        agent: &str,
        operation: &str,
        args_len: usize,
    ) -> Result<StreamId, CallError> {
        self.may_open()?;
        let (stream, op) = self.next_operation()?;
        let target = InvokeTarget { agent, operation };
        let target_len = target.encoded_len().map_err(Refused::Encoding)?;
        let args_len = args_len as u64;
        let payload_len = args_len.saturating_add(target_len as u64);
        if payload_len > MAX_SEND_PAYLOAD {
            return Err(CallError::PayloadTooLarge);
        }
        let mut opened = Operation::new(op, Part::Initiator);
        let header = FrameHeader::new(FrameType::Invoke, op.get(), payload_len);
        if let Some(via) = via {
            opened.outgoing.push(op.get(), via)?;
        }
        opened.outgoing.announce(header, &target, args_len)?;
        self.add_opened(stream, opened)?;
        Ok(stream)
    }

    /// The stream and the id of the next operation that this side opens.
    fn next_operation(&self) -> Result<(StreamId, OpId), CallError> {
        let stream = self.next_stream.ok_or(CallError::TooManyOperations)?;
        let op = OpId::new(stream.get()).ok_or(CallError::TooManyOperations)?;
        Ok((stream, op))
    }

    fn add_opened(
        &mut self,
        stream: StreamId,
        opened: Operation<S::Outbox>,
    ) -> Result<(), CallError> {
        self.operations
            .insert(stream, opened)
            .map_err(|_| CallError::TooManyOperations)?;
        self.next_stream = stream.next();
        self.settle(stream);
        Ok(())
    }

    /// As [`invoke`](Self::invoke), for an operation that is delegated on behalf of another: `via`
    /// tells a peer that knows [`DELEGATION`](crate::capability::DELEGATION) through whom it
    /// comes; others are told nothing.
    ///
    /// # Errors
    /// [`CallError`]; nothing was opened.
    pub fn invoke_via(
        &mut self,
        via: &PathRef<'_>,
        agent: &str,
        operation: &str,
        args_len: usize,
    ) -> Result<StreamId, CallError> {
        let active = self.agreement.map(|agreed| agreed.active);
        let via = active
            .is_some_and(|active| active.delegation())
            .then_some(via);
        self.open_operation(via, agent, operation, args_len)
    }

    /// Goes on with an operation of a lost connection: RESUME with its latest token, and the
    /// number of STREAM frames that were received whole. The responder sends what follows them.
    /// Ask the transport first whether the peer allows another stream.
    ///
    /// # Errors
    /// [`CallError`]; nothing was opened.
    pub fn resume(&mut self, token: &[u8], last_recv: u64) -> Result<StreamId, CallError> {
        self.may_open()?;
        let known = self.minor() >= Resume::SINCE_MINOR
            && self
                .agreement
                .is_some_and(|agreed| agreed.active.resumable());
        if !known {
            return Err(CallError::NotNegotiated);
        }
        let (stream, op) = self.next_operation()?;
        let mut opened = Operation::new(op, Part::Initiator);
        opened.sequence = last_recv;
        let resume = Resume { token, last_recv };
        opened.outgoing.push(op.get(), &resume)?;
        self.add_opened(stream, opened)?;
        Ok(stream)
    }

    /// How many STREAM frames of the responder there were so far: sent, on its own side; received
    /// whole, on the initiator's. Counted from 1, over all connections of the operation
    /// (`RES-4`).
    #[must_use]
    pub fn sequence(&self, stream: StreamId) -> Option<u64> {
        self.operations
            .get(stream)
            .map(|operation| operation.sequence)
    }

    /// Whether an operation may be opened now.
    ///
    /// # Errors
    /// [`CallError`] says why not.
    pub fn may_open(&self) -> Result<(), CallError> {
        if !self.is_open() {
            Err(CallError::NotOpen)
        } else if self.is_draining() {
            Err(CallError::Draining)
        } else if self.operations.len() >= self.config.max_operations {
            Err(CallError::TooManyOperations)
        } else {
            Ok(())
        }
    }

    /// Begins a STREAM frame of `len` payload bytes, which the application hands over as
    /// [`Transmit::Data`](super::Transmit::Data) asks for them.
    ///
    /// # Errors
    /// [`CallError::Busy`] until the payload before it is with the transport; others as named.
    pub fn send(&mut self, stream: StreamId, len: usize) -> Result<(), CallError> {
        let len = len as u64;
        if len > MAX_SEND_PAYLOAD {
            return Err(CallError::PayloadTooLarge);
        }
        let operation = self.sending(stream)?;
        let header = FrameHeader::new(FrameType::Stream, operation.id.get(), len);
        operation.outgoing.announce(header, &Nothing, len)?;
        if operation.part == Part::Responder {
            operation.sequence = operation.sequence.saturating_add(1);
        }
        self.settle(stream);
        Ok(())
    }

    /// Whether [`send`](Self::send) would be taken now.
    ///
    /// # Errors
    /// [`CallError`] says why not.
    pub fn may_send(&self, stream: StreamId) -> Result<(), CallError> {
        let operation = self
            .operations
            .get(stream)
            .ok_or(CallError::NoSuchOperation)?;
        if operation.outgoing.fin != Fin::Open {
            Err(CallError::SendingEnded)
        } else if !operation.outgoing.payload_done() {
            Err(CallError::Busy)
        } else {
            Ok(())
        }
    }

    /// Tells the peer what the operation may still spend, from when it hears it (`BUD-4`,
    /// `BUD-5`). An initiator cancels the operation at the deadline that it sets here, should the
    /// responder not have ended it by then.
    ///
    /// # Errors
    /// [`CallError`]; nothing was queued.
    pub fn send_budget(
        &mut self,
        stream: StreamId,
        budget: &Budget,
        now: Now,
    ) -> Result<(), CallError> {
        self.send_frame(stream, budget, true)?;
        self.granted(stream, budget, now);
        Ok(())
    }

    /// Tells the initiator where the operation was handed on to (`GAP-7`).
    ///
    /// # Errors
    /// [`CallError`]; nothing was queued.
    pub fn send_delegate(
        &mut self,
        stream: StreamId,
        delegate: &Delegate<'_>,
    ) -> Result<(), CallError> {
        self.send_frame(stream, delegate, false)
    }

    /// Tells the initiator how the operation can be resumed (`RES-2`).
    ///
    /// # Errors
    /// [`CallError`]; nothing was queued.
    pub fn send_resumable(
        &mut self,
        stream: StreamId,
        resumable: &Resumable<'_>,
    ) -> Result<(), CallError> {
        if !self
            .agreement
            .is_some_and(|agreed| agreed.active.resumable())
        {
            return Err(CallError::NotNegotiated);
        }
        self.send_frame(stream, resumable, false)
    }

    fn send_frame<P: Payload>(
        &mut self,
        stream: StreamId,
        frame: &P,
        by_initiator: bool,
    ) -> Result<(), CallError> {
        if self.minor() < P::SINCE_MINOR {
            return Err(CallError::NotNegotiated);
        }
        let operation = self.sending(stream)?;
        if operation.part == Part::Initiator && !by_initiator {
            return Err(CallError::NotTheResponder);
        }
        let op_id = operation.id.get();
        operation.outgoing.push(op_id, frame)?;
        self.settle(stream);
        Ok(())
    }

    /// Sends nothing more: a responder's answer is complete, an initiator has no more input
    /// (`GAP-4`).
    ///
    /// # Errors
    /// [`CallError::NoSuchOperation`], [`CallError::SendingEnded`].
    pub fn finish(&mut self, stream: StreamId) -> Result<(), CallError> {
        let operation = self.sending(stream)?;
        operation.outgoing.fin = Fin::Queued;
        if operation.part == Part::Responder {
            operation.end_stall();
        }
        self.settle(stream);
        Ok(())
    }

    /// Ends the operation with ERROR `code`, `detail` in words, and `data` for the application.
    ///
    /// # Errors
    /// [`CallError`]; the operation goes on.
    pub fn fail(
        &mut self,
        stream: StreamId,
        code: ErrorCode,
        detail: &str,
        data: &[u8],
        now: Now,
    ) -> Result<(), CallError> {
        let operation = self.sending(stream)?;
        let op_id = operation.id.get();
        let error = ErrorFrame { code, detail, data };
        operation.outgoing.push(op_id, &error)?;
        operation.outgoing.fin = Fin::Queued;
        operation.note(Outcome::Failed(code), Side::Local);
        self.set_deadline(stream, now);
        self.settle(stream);
        Ok(())
    }

    /// Asks the peer to end the operation, and waits for its terminal frame; after the cancel
    /// timeout the stream is reset (`CAN-7`). Peers under minor 3, and streams whose sending side
    /// has ended, know only the reset, so there it comes at once (`GAP-13`). Either way
    /// [`Event::Ended`](super::Event::Ended) follows.
    ///
    /// # Errors
    /// [`CallError::NoSuchOperation`], also when it is being cancelled already;
    /// [`CallError::DetailTooLong`].
    pub fn cancel(
        &mut self,
        stream: StreamId,
        reason: CancelReason,
        detail: &str,
        now: Now,
    ) -> Result<(), CallError> {
        if detail.len() > MAX_DETAIL_LEN {
            return Err(CallError::DetailTooLong);
        }
        let minor = self.minor();
        let operation = self
            .operations
            .get_mut(stream)
            .filter(|operation| operation.ended_by.is_none() && !operation.is_over())
            .ok_or(CallError::NoSuchOperation)?;
        operation.note(Outcome::Cancelled(reason), Side::Local);
        let op_id = operation.id.get();
        let cancel = Cancel { reason, detail };
        let said = minor >= Cancel::SINCE_MINOR
            && operation.outgoing.fin == Fin::Open
            && operation.outgoing.push(op_id, &cancel).is_ok();
        if said {
            operation.outgoing.fin = Fin::Queued;
            self.set_deadline(stream, now);
            self.settle(stream);
        } else {
            self.kill(stream, ErrorCode::Cancelled.to_wire());
        }
        Ok(())
    }

    /// Resets the operation's stream both ways, at once, with `code`.
    pub fn abort(&mut self, stream: StreamId, code: ErrorCode) {
        if let Some(operation) = self.operations.get_mut(stream)
            && !operation.is_over()
        {
            // No larger number fits a RESET_STREAM.
            let code = code.to_wire().min(varint::MAX);
            operation.note(Outcome::Reset(code), Side::Local);
            self.kill(stream, code);
        }
    }

    /// The negotiated minor version; 0 before there is one.
    pub(super) fn minor(&self) -> u64 {
        self.agreement.map_or(0, |agreed| agreed.minor)
    }

    /// The operation on `stream`, while it may send.
    fn sending(&mut self, stream: StreamId) -> Result<&mut Operation<S::Outbox>, CallError> {
        let operation = self
            .operations
            .get_mut(stream)
            .ok_or(CallError::NoSuchOperation)?;
        if operation.outgoing.fin == Fin::Open {
            Ok(operation)
        } else {
            Err(CallError::SendingEnded)
        }
    }
}
