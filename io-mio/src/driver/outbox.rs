//! What the application wants sent on each operation, in order, until the protocol takes it.

use std::collections::{HashMap, VecDeque};

use std::time::Duration;

use aire_proto::budget::{Cap, Charge, ChargeError, CurrencyMismatch, Dimension};
use aire_proto::wire::{Budget, MAX_SEND_PAYLOAD};
use aire_proto::{CancelReason, ErrorCode, StreamId};

use super::sent::UnderWay;
use super::tables::SharedLedger;
use super::unix_now;

/// Something to send on an operation.
#[derive(Debug)]
pub(super) enum Queued {
    /// INVOKE's arguments, or a STREAM frame's payload; `announced` once the protocol has written
    /// its envelope.
    Payload {
        bytes: Vec<u8>,
        announced: bool,
    },
    Budget(Budget),
    Stall(Stall),
    Delegate {
        target: String,
        target_did: String,
        sub_op: u64,
    },
    Resumable {
        ttl_secs: u64,
        token: Vec<u8>,
        last_seq: u64,
    },
    Finish,
    Fail {
        code: ErrorCode,
        detail: String,
        data: Vec<u8>,
    },
}

/// Something that does not wait for its turn.
#[derive(Debug)]
pub(super) enum Urgent {
    Cancel {
        reason: CancelReason,
        detail: String,
    },
    Abort(ErrorCode),
}

/// News about an operation's budget, for the protocol's timers.
#[derive(Clone, Copy, Debug)]
pub(super) enum Stall {
    Out { what: Dimension, patience: Duration },
    Over,
}

/// One operation's stream, besides what the protocol knows of it.
#[derive(Debug, Default)]
pub(super) struct Stream {
    pub(super) queue: VecDeque<Queued>,
    pub(super) queued_bytes: usize,
    pub(super) urgent: Option<Urgent>,
    /// What the operation may spend.
    pub(super) ledger: SharedLedger,
    /// The protocol counts in another ledger yet.
    pub(super) adopts_ledger: bool,
    /// The application reads nothing for now.
    pub(super) paused: bool,
    /// Bytes that the transport handed over and nobody could take yet.
    pub(super) unread: Vec<u8>,
    pub(super) unread_fin: bool,
    /// Of what was written, what the peer may not have yet.
    pub(super) under_way: UnderWay,
    /// The end was queued: nothing may follow.
    ended: bool,
}

/// Whether no frame may hold a payload this long (`WIRE-13`).
pub(crate) const fn is_too_long(payload: &[u8]) -> bool {
    payload.len() as u64 > MAX_SEND_PAYLOAD
}

impl Stream {
    pub(super) fn with_args(args: Vec<u8>) -> Self {
        let mut stream = Self {
            queued_bytes: args.len(),
            ..Self::default()
        };
        if !args.is_empty() {
            stream.queue.push_back(Queued::Payload {
                bytes: args,
                announced: true,
            });
        }
        stream
    }

    fn push(&mut self, payload: Vec<u8>) {
        self.queued_bytes = self.queued_bytes.saturating_add(payload.len());
        self.queue.push_back(Queued::Payload {
            bytes: payload,
            announced: false,
        });
    }

    /// Drops all that waits, since nobody takes it: how long each payload was.
    pub(super) fn give_up(&mut self) -> Vec<usize> {
        self.ended = true;
        self.queued_bytes = 0;
        let dropped = self.queue.drain(..).filter_map(|queued| match queued {
            Queued::Payload { bytes, .. } => Some(bytes.len()),
            _ => None,
        });
        dropped.collect()
    }
}

/// Why something was not queued.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum QueueError {
    /// As much waits as may wait. [`Event::Sent`](super::Event::Sent) says when there is room.
    Full,
    /// The operation is over, or its end is queued, or the peer takes nothing more.
    Ended,
    /// A payload is at most 1,048,576 bytes (`WIRE-13`).
    TooLong,
}

/// The calls that an application can make while it is told an event, and at any other time. They
/// are queued, and done in order; a call on an operation that ended meanwhile does nothing.
pub struct Calls<'a> {
    pub(super) streams: &'a mut HashMap<StreamId, Stream>,
    pub(super) touched: &'a mut Vec<StreamId>,
    pub(super) resumed: &'a mut Vec<StreamId>,
    pub(super) limit: usize,
}

impl Calls<'_> {
    /// Sends one STREAM frame.
    ///
    /// # Errors
    /// [`QueueError`]; then `payload` is lost, so ask [`room`](Self::room) first where it is
    /// dear.
    pub fn send(&mut self, stream: StreamId, payload: Vec<u8>) -> Result<(), QueueError> {
        if is_too_long(&payload) {
            return Err(QueueError::TooLong);
        }
        let limit = self.limit;
        let entry = self.open(stream)?;
        if entry.queued_bytes > limit || entry.queue.len() >= MAX_QUEUED_FRAMES {
            return Err(QueueError::Full);
        }
        entry.push(payload);
        Ok(())
    }

    /// As [`send`](Self::send), for a sender that keeps its own bound, and so never hears `Full`.
    pub(crate) fn send_counted(
        &mut self,
        stream: StreamId,
        payload: Vec<u8>,
    ) -> Result<(), QueueError> {
        self.open(stream)?.push(payload);
        Ok(())
    }

    /// How many bytes may be queued before [`send`](Self::send) says that the queue is full; 0
    /// also when the operation is over.
    #[must_use]
    pub fn room(&self, stream: StreamId) -> usize {
        self.streams.get(&stream).map_or(0, |entry| {
            if entry.ended || entry.queue.len() >= MAX_QUEUED_FRAMES {
                0
            } else {
                self.limit.saturating_sub(entry.queued_bytes)
            }
        })
    }

    /// Tells the peer what the operation may still spend. It replaces one that still waits with
    /// nothing behind it (`BUD-5`). Peers under minor 3 are told nothing (`GAP-13`).
    ///
    /// # Errors
    /// [`QueueError::Ended`].
    pub fn send_budget(&mut self, stream: StreamId, budget: Budget) -> Result<(), QueueError> {
        let entry = self.open(stream)?;
        if let Some(Queued::Budget(waiting)) = entry.queue.back_mut() {
            *waiting = budget;
            return Ok(());
        }
        entry.queue.push_back(Queued::Budget(budget));
        Ok(())
    }

    /// What an operation may spend, and has spent: to be shared with whoever works on it. `None`
    /// when the operation is over.
    #[must_use]
    pub fn ledger(&self, stream: StreamId) -> Option<SharedLedger> {
        self.streams.get(&stream).map(|entry| entry.ledger.clone())
    }

    /// Has the operation counted in `ledger` from now on: that of the operation that it goes on
    /// with.
    pub(crate) fn adopt_ledger(&mut self, stream: StreamId, ledger: SharedLedger) {
        if let Some(entry) = self.streams.get_mut(&stream) {
            entry.ledger = ledger;
            entry.adopts_ledger = true;
            self.touched.push(stream);
        }
    }

    /// Spends from an operation's budget: call it before the work is done (`BUD-6`).
    ///
    /// # Errors
    /// [`ChargeError`]: nothing was spent. End the operation then, or let it wait with
    /// [`out_of_budget`](Self::out_of_budget).
    pub fn charge(&mut self, stream: StreamId, charge: &Charge) -> Result<(), ChargeError> {
        let now = unix_now();
        self.ledger(stream).map_or(Ok(()), |ledger| {
            ledger.work(|ledger| ledger.charge(charge, now))
        })
    }

    /// Limits an operation by local policy, whatever its peer claims (`BUD-10`). Best called as
    /// soon as it is [`Invoked`](aire_proto::Event::Invoked).
    ///
    /// # Errors
    /// [`CurrencyMismatch`]: the peer's budget is in another currency already.
    pub fn cap(&mut self, stream: StreamId, cap: &Cap) -> Result<(), CurrencyMismatch> {
        let now = unix_now();
        self.ledger(stream)
            .map_or(Ok(()), |ledger| ledger.work(|ledger| ledger.cap(cap, now)))
    }

    /// An operation cannot go on within its budget: it waits for a top-up, no longer than
    /// `patience`, and ends then; with no patience it ends at once (`BUD-7`, `BUD-8`).
    ///
    /// # Errors
    /// [`QueueError::Ended`].
    pub fn out_of_budget(
        &mut self,
        stream: StreamId,
        what: Dimension,
        patience: Duration,
    ) -> Result<(), QueueError> {
        let stall = Queued::Stall(Stall::Out { what, patience });
        self.open(stream)?.queue.push_back(stall);
        Ok(())
    }

    /// The operation goes on within its budget after all.
    ///
    /// # Errors
    /// [`QueueError::Ended`].
    pub fn within_budget(&mut self, stream: StreamId) -> Result<(), QueueError> {
        self.open(stream)?
            .queue
            .push_back(Queued::Stall(Stall::Over));
        Ok(())
    }

    /// Tells the initiator where the operation is handed on to (`GAP-7`): an `aire://` URI, the
    /// DID there where it is known, and the operation's id on that connection, 0 when unknown.
    /// Peers under minor 3 are told nothing (`GAP-13`).
    ///
    /// # Errors
    /// [`QueueError::Ended`].
    pub fn send_delegate(
        &mut self,
        stream: StreamId,
        target: impl Into<String>,
        target_did: impl Into<String>,
        sub_op: u64,
    ) -> Result<(), QueueError> {
        self.open(stream)?.queue.push_back(Queued::Delegate {
            target: target.into(),
            target_did: target_did.into(),
            sub_op,
        });
        Ok(())
    }

    /// Tells the initiator how the operation can be resumed (`RES-2`). Does nothing where
    /// `aire.resumable/1` is not active.
    ///
    /// # Errors
    /// [`QueueError::Ended`].
    pub fn send_resumable(
        &mut self,
        stream: StreamId,
        ttl_secs: u64,
        token: Vec<u8>,
        last_seq: u64,
    ) -> Result<(), QueueError> {
        self.open(stream)?.queue.push_back(Queued::Resumable {
            ttl_secs,
            token,
            last_seq,
        });
        Ok(())
    }

    /// Sends nothing more: the answer is complete, or the input is.
    ///
    /// # Errors
    /// [`QueueError::Ended`].
    pub fn finish(&mut self, stream: StreamId) -> Result<(), QueueError> {
        let entry = self.open(stream)?;
        entry.queue.push_back(Queued::Finish);
        entry.ended = true;
        Ok(())
    }

    /// Ends the operation with an ERROR. What is queued before it is still sent. A detail is cut
    /// at 1,024 bytes, and data over 60 KiB left out: a node must take 64 KiB, and no more.
    ///
    /// # Errors
    /// [`QueueError::Ended`].
    pub fn fail(
        &mut self,
        stream: StreamId,
        code: ErrorCode,
        detail: impl Into<String>,
        data: Vec<u8>,
    ) -> Result<(), QueueError> {
        let entry = self.open(stream)?;
        entry.queue.push_back(Queued::Fail {
            code,
            detail: detail.into(),
            data,
        });
        entry.ended = true;
        Ok(())
    }

    /// Cancels the operation. What is queued and not begun is not sent. A detail is cut at 1,024
    /// bytes (`CAN-3`).
    ///
    /// # Errors
    /// [`QueueError::Ended`] when there is no such operation.
    pub fn cancel(
        &mut self,
        stream: StreamId,
        reason: CancelReason,
        detail: impl Into<String>,
    ) -> Result<(), QueueError> {
        self.urgent(
            stream,
            Urgent::Cancel {
                reason,
                detail: detail.into(),
            },
        )
    }

    /// Resets the operation's stream both ways, at once.
    ///
    /// # Errors
    /// [`QueueError::Ended`] when there is no such operation.
    pub fn abort(&mut self, stream: StreamId, code: ErrorCode) -> Result<(), QueueError> {
        self.urgent(stream, Urgent::Abort(code))
    }

    /// Reads nothing more of the operation until [`resume`](Self::resume): the peer is slowed
    /// down by QUIC's flow control.
    pub fn pause(&mut self, stream: StreamId) {
        if let Some(entry) = self.streams.get_mut(&stream) {
            entry.paused = true;
        }
    }

    /// Reads the operation again.
    pub fn resume(&mut self, stream: StreamId) {
        if let Some(entry) = self.streams.get_mut(&stream) {
            entry.paused = false;
            self.resumed.push(stream);
        }
    }

    fn urgent(&mut self, stream: StreamId, urgent: Urgent) -> Result<(), QueueError> {
        let entry = self.streams.get_mut(&stream).ok_or(QueueError::Ended)?;
        entry.urgent = Some(urgent);
        entry.ended = true;
        self.touched.push(stream);
        Ok(())
    }

    fn open(&mut self, stream: StreamId) -> Result<&mut Stream, QueueError> {
        let entry = self
            .streams
            .get_mut(&stream)
            .filter(|entry| !entry.ended)
            .ok_or(QueueError::Ended)?;
        self.touched.push(stream);
        Ok(entry)
    }
}

/// The most frames of one operation that may wait: a bound for those without payload.
const MAX_QUEUED_FRAMES: usize = 4096;
