//! One operation's life, in either role: which frames may come, how each side ends, and what came
//! of it (`WIRE-10`, `WIRE-11`, `CAN-1`, `CAN-5` to `CAN-7`, `GAP-4`).
//!
//! ```text
//!   initiator                               responder
//!   INVOKE ─────────────────────────────▶   Opening ─▶ Open
//!   Open     ◀──────────────── STREAM* ──   Open
//!   FIN ("no more input") ──────────────▶   input finished
//!   finished ◀─────────── FIN | ERROR FIN   terminal
//! ```

use super::incoming::{Incoming, Mode};
use super::outgoing::{Fin, Outgoing};
use crate::code::{CancelReason, ErrorCode};
use crate::delegation::PATH_FRAME;
use crate::id::OpId;
use crate::time::{Instant, UnixMillis};
use crate::wire::FrameType;

/// One of the two ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum Side {
    /// This one.
    Local,
    /// The other one.
    Peer,
}

/// What an operation came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum Outcome {
    /// Both sides ended with FIN, and nobody complained.
    Completed,
    /// An ERROR ended it.
    Failed(ErrorCode),
    /// A CANCEL ended it.
    Cancelled(CancelReason),
    /// A stream reset ended it, with this application code (`CAN-1`).
    Reset(u64),
    /// The connection was lost, or closed, under it (`CAN-1`).
    Lost,
}

/// Which end of the operation this is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Part {
    Initiator,
    Responder,
}

/// How far the peer's side is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Receiving {
    /// Its first frame is still to come: INVOKE or RESUME.
    Opening,
    /// Frames come.
    Open,
    /// Its terminal frame came; only FIN should follow.
    Terminal,
    /// FIN or a reset came, or we stopped listening.
    Finished,
}

/// One operation. Opaque: a [`Storage`](crate::storage::Storage) holds it, a
/// [`Connection`](super::Connection) runs it.
#[derive(Debug)]
pub struct Operation<B> {
    pub(super) id: OpId,
    /// The first frame came, or left, so the id is no longer the stream's guess (`GAP-2`).
    pub(super) bound: bool,
    pub(super) part: Part,
    pub(super) incoming: Incoming,
    pub(super) outgoing: Outgoing<B>,
    pub(super) receiving: Receiving,
    /// The first thing that went wrong, and through whom; it decides the outcome.
    pub(super) ended_by: Option<(Outcome, Side)>,
    /// A cancel is waiting for its answer, a terminal frame for its FIN.
    pub(super) deadline: Option<Instant>,
    /// STREAM frames from the responder so far, sent or received (`RES-4`).
    pub(super) sequence: u64,
    /// The deadline of the last BUDGET that we sent; the end of time when it had none.
    pub(super) granted_deadline: UnixMillis,
    /// It is out of budget, and waits until `deadline` for more (`BUD-8`).
    pub(super) stalled: bool,
    /// The peer is to be told what was spent.
    pub(super) owes_report: bool,
    /// Application code of a RESET_STREAM that the transport is to be told.
    pub(super) reset: Option<u64>,
    /// Application code of a STOP_SENDING that the transport is to be told.
    pub(super) stop: Option<u64>,
    /// It stands in the line of those that want to send.
    pub(super) in_send_line: bool,
    /// It stands in the line of those that have an event.
    pub(super) in_event_line: bool,
    /// The application has still to hear that the peer sends no more input.
    pub(super) tell_input_finished: bool,
    /// The application has heard of the end, or of nothing at all: of an operation whose opening
    /// frame did not come through there is no end to tell.
    pub(super) told_ended: bool,
}

/// Which frames of later versions, and of vendors, this side knows.
#[derive(Clone, Copy, Debug)]
pub(super) struct Known {
    /// RESUMABLE and RESUME (`RES-1`).
    pub(super) resumable: bool,
    /// The path of a delegated operation, before its INVOKE.
    pub(super) delegation: bool,
    /// The application wants vendor frames (`GAP-14`).
    pub(super) vendor: bool,
}

/// What a frame's arrival means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    Take,
    /// Too late to matter, or of a type that this version does not know.
    Skip,
    /// `PROTOCOL_VIOLATION`.
    Violation,
}

impl<B: Default> Operation<B> {
    pub(super) fn new(id: OpId, part: Part) -> Self {
        Self {
            id,
            bound: part == Part::Initiator,
            part,
            incoming: Incoming::default(),
            outgoing: Outgoing::default(),
            receiving: match part {
                Part::Initiator => Receiving::Open,
                Part::Responder => Receiving::Opening,
            },
            ended_by: None,
            deadline: None,
            sequence: 0,
            granted_deadline: UnixMillis(i64::MAX),
            stalled: false,
            owes_report: false,
            reset: None,
            stop: None,
            in_send_line: false,
            in_event_line: false,
            tell_input_finished: false,
            told_ended: part == Part::Responder,
        }
    }
}

impl<B> Operation<B> {
    /// Judges a frame by its type alone.
    pub(super) fn judge(&self, frame: FrameType, known: Known) -> Verdict {
        use FrameType as F;
        use Part::{Initiator, Responder};
        use Verdict::{Skip, Take, Violation};

        match (frame, self.part) {
            (F::Hello | F::CapabilityUpdate | F::Goodbye, _) => return Violation,
            (F::Resumable | F::Resume, _) if !known.resumable => return Violation,
            (F::Invoke | F::Resume, Initiator) => return Violation,
            (F::Delegate | F::Resumable, Responder) => return Violation,
            _ => {}
        }
        if self.receiving == Receiving::Opening {
            return match frame {
                F::Invoke | F::Resume => Take,
                F::Vendor(PATH_FRAME) if known.delegation => Take,
                F::Reserved(_) | F::Vendor(_) => Skip,
                _ => Violation,
            };
        }
        match frame {
            F::Invoke | F::Resume => Violation,
            F::Reserved(_) => Skip,
            F::Vendor(_) if !known.vendor => Skip,
            // It changes nothing here, but may have to be passed on (CAN-8).
            F::Cancel
                if self.part == Responder
                    && self.receiving == Receiving::Open
                    && self.has_ended_sending() =>
            {
                Take
            }
            // After either side's terminal frame nothing more can matter (CAN-6).
            _ if self.receiving != Receiving::Open || self.has_ended_sending() => Skip,
            _ => Take,
        }
    }

    /// Whether our terminal frame is queued or sent. An initiator that only said "no more input"
    /// has not ended.
    pub(super) fn has_ended_sending(&self) -> bool {
        match self.part {
            Part::Responder => self.outgoing.fin != Fin::Open,
            Part::Initiator => matches!(
                self.ended_by,
                Some((Outcome::Failed(_) | Outcome::Reset(_), Side::Local))
            ),
        }
    }

    /// Whether our side is complete and with the transport. For a responder that is the answer:
    /// what the peer then does to the stream cancels nothing.
    pub(super) fn has_answered(&self) -> bool {
        self.part == Part::Responder && self.outgoing.fin == Fin::Sent
    }

    /// Whether there is work left that a budget could stop: an end has not begun, and an initiator
    /// has not got its whole answer.
    pub(super) fn is_working(&self) -> bool {
        self.ended_by.is_none()
            && !self.has_ended_sending()
            && (self.part == Part::Responder || self.receiving != Receiving::Finished)
    }

    /// Waits for a top-up no longer: `deadline` was the end of its patience.
    pub(super) fn end_stall(&mut self) {
        if core::mem::take(&mut self.stalled) {
            self.deadline = None;
        }
    }

    /// Whether the peer's CANCEL decides the outcome.
    pub(super) fn is_cancelled_by_peer(&self) -> bool {
        matches!(self.ended_by, Some((Outcome::Cancelled(_), Side::Peer)))
    }

    /// Notes that a frame came whole: the responder's STREAM frames are counted (`RES-4`).
    pub(super) fn count_received(&mut self, mode: Mode) {
        if mode == Mode::Stream && self.part == Part::Initiator {
            self.sequence = self.sequence.saturating_add(1);
        }
    }

    /// Notes why the operation ends; the first reason stays.
    pub(super) fn note(&mut self, outcome: Outcome, side: Side) {
        self.ended_by.get_or_insert((outcome, side));
    }

    /// Notes the peer's ERROR. Its answer to a cancel is no new reason.
    pub(super) fn note_error(&mut self, code: ErrorCode) {
        let answers_cancel = code == ErrorCode::Cancelled
            && matches!(self.ended_by, Some((Outcome::Cancelled(_), Side::Local)));
        if !answers_cancel {
            self.ended_by = Some((Outcome::Failed(code), Side::Peer));
        }
    }

    pub(super) fn outcome(&self) -> (Outcome, Side) {
        self.ended_by.unwrap_or((
            Outcome::Completed,
            match self.part {
                Part::Initiator => Side::Peer,
                Part::Responder => Side::Local,
            },
        ))
    }

    /// Whether both sides are done and the transport has been told everything.
    pub(super) fn is_over(&self) -> bool {
        self.receiving == Receiving::Finished
            && self.outgoing.fin == Fin::Sent
            && self.reset.is_none()
            && self.stop.is_none()
    }
}

/// An operation on a small device, with an outbox of 64 bytes, costs less than this much memory.
const _: () = {
    type Small = Operation<heapless::Vec<u8, 64, u16>>;
    assert!(core::mem::size_of::<Small>() < 256);
};
