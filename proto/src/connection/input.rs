//! From the transport to the application: stream bytes become events.

use super::Connection;
use super::event::{Event, Input};
use super::incoming::{Assembly, Mode, Source, assemble, scratch_of, skip};
use super::operation::{Known, Operation, Outcome, Part, Receiving, Side, Verdict};
use super::outgoing::Fin;
use crate::code::{CancelReason, ErrorCode};
use crate::delegation::{PATH_FRAME, Path};
use crate::id::{OpId, StreamId};
use crate::storage::{Buffer, Storage, Table};
use crate::time::Now;
use crate::wire::{
    Budget, Cancel, Delegate, ErrorFrame, FrameHeader, FrameType, InvokeTarget, Malformed, Piece,
    Resumable, Resume, TargetProgress,
};

/// Something to tell, before it borrows anything.
pub(super) enum Found<'i> {
    Ready(Event<'i>),
    Target {
        source: Source<'i>,
        op: OpId,
        args_len: u64,
    },
    Frame {
        frame: FrameType,
        source: Source<'i>,
        op: OpId,
    },
    /// Through whom a delegated operation comes.
    Path {
        source: Source<'i>,
    },
    /// A CANCEL that changes nothing here any more.
    Late {
        source: Source<'i>,
    },
}

/// One step through the input.
pub(super) enum Step<'i> {
    Found(Found<'i>),
    /// Look again: something was read, but nothing is to be told.
    Again,
    /// Nothing more can be read now.
    Rest,
}

impl<S: Storage> Connection<S> {
    /// Reads on in `input`, which the transport delivered on `stream`: the next event, or `None`
    /// when all is read or nothing can be read now.
    ///
    /// Call it until it returns `None`. What [`Input::unread`] then still holds has to be offered
    /// again, after the next call that changed something: bytes of operations wait for the
    /// handshake (`GAP-12`), a control stream waits for
    /// [`authenticate`](Self::authenticate), and with fixed storage a frame in pieces may wait
    /// for a scratch. An application that can take no more stops calling, and the same holds.
    pub fn poll_input<'a, 'i: 'a>(
        &'a mut self,
        stream: StreamId,
        input: &mut Input<'i>,
        now: Now,
    ) -> Option<Event<'a>> {
        if let Some(spent) = self.spent_scratch.take() {
            self.scratches.remove(spent);
        }
        let found = loop {
            let step = if self.closed.is_some() {
                *input = Input::new(&[], false);
                Step::Rest
            } else if stream == StreamId::CONTROL {
                self.read_control(input, now)
            } else {
                self.read_operation(stream, input, now)
            };
            match step {
                Step::Found(found) => break found,
                Step::Again => {}
                Step::Rest => return None,
            }
        };
        self.tell(stream, found)
    }

    /// Turns what was found into an event, which may borrow from the stream's scratch.
    fn tell<'a, 'i: 'a>(&'a mut self, stream: StreamId, found: Found<'i>) -> Option<Event<'a>> {
        let source = match found {
            Found::Ready(event) => return Some(event),
            Found::Target { source, .. }
            | Found::Frame { source, .. }
            | Found::Path { source }
            | Found::Late { source } => source,
        };
        let bytes = match source {
            Source::Input(bytes) => bytes,
            Source::Scratch => {
                self.spent_scratch = Some(stream);
                self.scratches.get(stream)?.as_slice()
            }
        };
        match found {
            Found::Ready(event) => Some(event),
            Found::Target { op, args_len, .. } => match InvokeTarget::decode(bytes) {
                Ok(TargetProgress::Done(target, _)) => Some(Event::Invoked {
                    stream,
                    op,
                    agent: target.agent,
                    operation: target.operation,
                    args_len,
                }),
                _ => None,
            },
            Found::Frame { frame, op, .. } => frame_event(stream, op, frame, bytes).ok(),
            Found::Path { .. } => {
                let path = Path::decode(bytes).ok()?;
                Some(Event::DelegatedVia { stream, path })
            }
            Found::Late { .. } => {
                let cancel = Cancel::decode(bytes).ok()?;
                Some(Event::CancelledLate { stream, cancel })
            }
        }
    }

    fn read_operation<'i>(
        &mut self,
        stream: StreamId,
        input: &mut Input<'i>,
        now: Now,
    ) -> Step<'i> {
        if !self.is_open() {
            return Step::Rest;
        }
        let Some(operation) = self.operations.get_mut(stream) else {
            return self.new_operation(stream, input);
        };
        if operation.receiving == Receiving::Finished {
            *input = Input::new(&[], false);
            return Step::Rest;
        }
        let decoder = &mut operation.incoming.decoder;
        match operation.incoming.mode {
            Mode::Between => match decoder.next(&mut input.bytes) {
                Some(Piece::Header(header)) => self.operation_header(stream, header, now),
                _ if input.fin => {
                    input.fin = false;
                    self.operation_fin(stream, now)
                }
                _ => Step::Rest,
            },
            Mode::Whole(frame) => {
                match assemble(&mut self.scratches, stream, decoder, &mut input.bytes) {
                    Assembly::Whole(source) => self.whole_frame(stream, frame, source, now),
                    Assembly::NoScratch => Step::Rest,
                    Assembly::Incomplete => self.end_of_input(input),
                }
            }
            Mode::Names => self.invoke_names(stream, input, now),
            mode => match decoder.next(&mut input.bytes) {
                Some(Piece::Payload { bytes, remaining }) => {
                    if remaining == 0 {
                        operation.incoming.mode = Mode::Between;
                        operation.count_received(mode);
                    }
                    pass_on(stream, mode, bytes, remaining)
                }
                _ => self.end_of_input(input),
            },
        }
    }

    /// Bytes on a stream that has no operation: the peer opens one, or they are too late.
    fn new_operation<'i>(&mut self, stream: StreamId, input: &mut Input<'i>) -> Step<'i> {
        if stream.opener() == self.role || input.is_done() {
            *input = Input::new(&[], false);
            return Step::Rest;
        }
        // The operation's id is known with its first frame; until then its stream's stands in.
        let op = OpId::new(stream.get());
        let room = self.operations.len() < self.config.max_operations && !self.goodbye_sent;
        let added = op.filter(|_| room).map(|op| {
            let operation = Operation::new(op, Part::Responder);
            self.operations.insert(stream, operation).is_ok()
        });
        if added == Some(true) {
            return Step::Again;
        }
        self.counters.refused_operations = self.counters.refused_operations.saturating_add(1);
        *input = Input::new(&[], false);
        Step::Found(Found::Ready(Event::NoRoom { stream }))
    }

    fn operation_header<'i>(
        &mut self,
        stream: StreamId,
        header: FrameHeader,
        now: Now,
    ) -> Step<'i> {
        if let Err(rule) = self.check_op_id(stream, header) {
            self.violation(ErrorCode::ProtocolViolation, rule);
            return Step::Rest;
        }
        let active = self.agreement.map(|agreed| agreed.active);
        let known = Known {
            resumable: active.is_some_and(|active| active.resumable()),
            delegation: active.is_some_and(|active| active.delegation()),
            vendor: self.config.vendor_frames,
        };
        let limit = self.config.max_payload;
        let frame = header.frame_type;
        let Some(operation) = self.operations.get_mut(stream) else {
            return Step::Rest;
        };
        match operation.judge(frame, known) {
            Verdict::Violation => {
                self.violation(
                    ErrorCode::ProtocolViolation,
                    "a frame came that must not come here or now",
                );
                return Step::Rest;
            }
            Verdict::Skip => {
                operation.incoming.mode = skip(header.payload_len);
                self.count_skipped();
                return Step::Again;
            }
            Verdict::Take => {}
        }
        let (mode, limit) = match frame {
            FrameType::Invoke => (Mode::Names, limit),
            FrameType::Stream => (Mode::Stream, limit),
            frame => (Mode::Whole(frame), S::Scratch::CAPACITY as u64),
        };
        if header.payload_len > limit {
            operation.incoming.mode = Mode::Skip;
            self.refuse_input(stream, ErrorCode::FrameTooLarge, now);
            return Step::Again;
        }
        if header.payload_len > 0 {
            operation.incoming.mode = mode;
            return Step::Again;
        }
        match mode {
            Mode::Stream => {
                operation.count_received(mode);
                pass_on(stream, mode, &[], 0)
            }
            Mode::Names => {
                self.malformed(stream, now);
                Step::Again
            }
            _ => self.whole_frame(stream, frame, Source::Input(&[]), now),
        }
    }

    /// Binds a stream to the operation id of its first frame, and holds it to that (`GAP-2`).
    fn check_op_id(&mut self, stream: StreamId, header: FrameHeader) -> Result<(), &'static str> {
        let op = OpId::new(header.op_id).ok_or("a frame of an operation had OpID 0")?;
        let Some(operation) = self.operations.get_mut(stream) else {
            return Ok(());
        };
        if operation.bound {
            return if operation.id == op {
                Ok(())
            } else {
                Err("the OpID changed in the middle of a stream")
            };
        }
        operation.bound = true;
        operation.id = op;
        if op.get() != stream.get() {
            self.unusual_ids = self.unusual_ids.saturating_add(1);
        } else if self.unusual_ids == 0 {
            return Ok(());
        }
        let mut last = None;
        while let Some(other) = self.operations.after(last) {
            last = Some(other);
            let taken = other != stream
                && self
                    .operations
                    .get(other)
                    .is_some_and(|operation| operation.bound && operation.id == op);
            if taken {
                return Err("an OpID is in use on another stream");
            }
        }
        Ok(())
    }

    /// INVOKE's names: read from the input where they are whole there, else put together.
    fn invoke_names<'i>(&mut self, stream: StreamId, input: &mut Input<'i>, now: Now) -> Step<'i> {
        let Some(operation) = self.operations.get_mut(stream) else {
            return Step::Rest;
        };
        let decoder = &mut operation.incoming.decoder;
        let gathered = self.scratches.get(stream).map(Buffer::as_slice);
        let left = decoder.remaining();
        // No further than a scratch reaches, so that the verdict does not depend on the cut.
        let here = usize::try_from(left)
            .unwrap_or(usize::MAX)
            .min(input.bytes.len())
            .min(S::Scratch::CAPACITY);
        let front = gathered.unwrap_or_else(|| input.bytes.get(..here).unwrap_or_default());
        let front_len = front.len();
        let progress = match InvokeTarget::decode(front) {
            Ok(progress) => progress,
            Err(_) => {
                operation.incoming.mode = skip(left);
                self.malformed(stream, now);
                return Step::Again;
            }
        };
        let more = match progress {
            TargetProgress::Done(_, consumed) => {
                let source = if gathered.is_some() {
                    Source::Scratch
                } else {
                    match decoder.next_within(&mut input.bytes, consumed) {
                        Some(Piece::Payload { bytes, .. }) => Source::Input(bytes),
                        _ => return Step::Rest,
                    }
                };
                let args_len = decoder.remaining();
                operation.receiving = Receiving::Open;
                operation.told_ended = false;
                operation.incoming.mode = if args_len == 0 {
                    Mode::Between
                } else {
                    Mode::Args
                };
                let op = operation.id;
                return Step::Found(Found::Target {
                    source,
                    op,
                    args_len,
                });
            }
            TargetProgress::Needs(more) => more,
        };
        let whole = more.saturating_add(front_len);
        // What is in the input was looked at, but not read yet: all of it belongs to the names.
        let needs = if gathered.is_none() { whole } else { more };
        if needs as u64 > left {
            operation.incoming.mode = skip(left);
            self.malformed(stream, now);
            return Step::Again;
        }
        if whole > S::Scratch::CAPACITY {
            operation.incoming.mode = skip(left);
            self.refuse_input(stream, ErrorCode::FrameTooLarge, now);
            return Step::Again;
        }
        if input.bytes.is_empty() {
            return self.end_of_input(input);
        }
        let Some(scratch) = scratch_of(&mut self.scratches, stream) else {
            return Step::Rest;
        };
        if let Some(Piece::Payload { bytes, .. }) = decoder.next_within(&mut input.bytes, needs) {
            let kept = scratch.append(bytes);
            debug_assert!(kept.is_some(), "its room was checked");
        }
        Step::Again
    }

    /// A control frame is here, whole.
    fn whole_frame<'i>(
        &mut self,
        stream: StreamId,
        frame: FrameType,
        source: Source<'i>,
        now: Now,
    ) -> Step<'i> {
        let opening = self
            .operations
            .get(stream)
            .is_some_and(|operation| operation.receiving == Receiving::Opening);
        let bytes = self.bytes_of(stream, source);
        let noted = bytes
            .ok_or(Malformed::Truncated)
            .and_then(|bytes| Note::of(frame, bytes, opening));
        let signed_well = match (&noted, bytes) {
            (Ok(Note::Cancel(_)), Some(bytes)) => self.check_cancel(bytes, now.unix),
            _ => Ok(()),
        };
        let Some(operation) = self.operations.get_mut(stream) else {
            return Step::Rest;
        };
        operation.incoming.mode = Mode::Between;
        let op = operation.id;
        if operation.has_ended_sending() {
            // We ended before it was here: too late (CAN-6). It is the peer's last word, so one is
            // passed on (CAN-8), but none that is not the peer's, or that was heard in time, and
            // nothing about an operation that the application has never heard of.
            let tells = operation.part == Part::Responder
                && !operation.told_ended
                && matches!(noted, Ok(Note::Cancel(_)))
                && signed_well.is_ok()
                && !operation.is_cancelled_by_peer();
            if tells {
                operation.receiving = Receiving::Terminal;
            } else if matches!(noted, Ok(Note::Resume { .. })) {
                // It opened the stream all the same: what follows is judged as behind any.
                operation.receiving = Receiving::Open;
            }
            self.count_skipped();
            if tells {
                return Step::Found(Found::Late { source });
            }
            self.drop_scratch(stream, source);
            return Step::Again;
        }
        if let Err(code) = signed_well {
            self.drop_scratch(stream, source);
            self.refuse_input(stream, code, now);
            return Step::Again;
        }
        match noted {
            Err(_) => {
                self.drop_scratch(stream, source);
                self.malformed(stream, now);
                return Step::Again;
            }
            Ok(Note::Other) if operation.receiving == Receiving::Opening => {
                // The path comes before INVOKE, so it may be all that is ever told.
                operation.told_ended = false;
                return Step::Found(Found::Path { source });
            }
            Ok(Note::Budget(budget)) => {
                if let Err(mismatch) = self.take_budget(stream, &budget, now) {
                    self.drop_scratch(stream, source);
                    let refused = Event::BudgetRefused { stream, mismatch };
                    return Step::Found(Found::Ready(refused));
                }
            }
            Ok(Note::Cancel(reason)) => {
                if operation.ended_by.is_some() {
                    self.drop_scratch(stream, source);
                    self.count_skipped();
                    return Step::Again;
                }
                operation.note(Outcome::Cancelled(reason), Side::Peer);
                self.set_deadline(stream, now);
            }
            Ok(Note::Error(code)) => {
                operation.note_error(code);
                operation.receiving = Receiving::Terminal;
                self.end_sending(stream);
                self.set_deadline(stream, now);
            }
            Ok(Note::Resume { last_recv }) => {
                operation.receiving = Receiving::Open;
                operation.told_ended = false;
                operation.sequence = last_recv;
            }
            Ok(Note::Other) => {}
        }
        Step::Found(Found::Frame { frame, source, op })
    }

    fn operation_fin<'i>(&mut self, stream: StreamId, now: Now) -> Step<'i> {
        let Some(operation) = self.operations.get_mut(stream) else {
            return Step::Rest;
        };
        if !operation.incoming.at_boundary() {
            self.violation(
                ErrorCode::MalformedFrame,
                "a stream ended in the middle of a frame",
            );
            return Step::Rest;
        }
        if operation.receiving == Receiving::Opening {
            // Opened and given up without a frame: nobody will end our side but us.
            operation.outgoing.fin = Fin::Queued;
        }
        operation.receiving = Receiving::Finished;
        match operation.part {
            Part::Initiator => self.end_sending(stream),
            Part::Responder => {
                // Behind an end, whoever's, the end of the input is no news.
                operation.tell_input_finished = operation.ended_by.is_none()
                    && !operation.has_ended_sending()
                    && !operation.told_ended;
                if operation.is_cancelled_by_peer() {
                    // Its CANCEL still waits for our terminal frame.
                } else if operation.outgoing.fin == Fin::Sent {
                    operation.deadline = None;
                }
            }
        }
        if self
            .operations
            .get(stream)
            .is_some_and(|operation| operation.part == Part::Initiator)
        {
            self.set_deadline(stream, now);
        }
        self.settle(stream);
        Step::Rest
    }

    /// The peer reset its side of `stream`, with this application code: a cancellation (`CAN-1`).
    pub fn stream_reset(&mut self, stream: StreamId, code: u64) {
        if stream == StreamId::CONTROL {
            self.violation(ErrorCode::ProtocolViolation, "the control stream was reset");
            return;
        }
        let Some(operation) = self.operations.get_mut(stream) else {
            return;
        };
        operation.receiving = Receiving::Finished;
        if !operation.has_answered() {
            operation.note(Outcome::Reset(code), Side::Peer);
        }
        self.kill(stream, ErrorCode::Cancelled.to_wire());
    }

    /// The peer asked us to stop sending on `stream`, with this application code. A responder
    /// takes it as a cancellation (`CAN-1`); an initiator only sends no more input.
    pub fn stream_stopped(&mut self, stream: StreamId, code: u64) {
        if stream == StreamId::CONTROL {
            self.violation(
                ErrorCode::ProtocolViolation,
                "the control stream was stopped",
            );
            return;
        }
        let Some(operation) = self.operations.get_mut(stream) else {
            return;
        };
        if operation.part == Part::Responder {
            if !operation.has_answered() {
                operation.note(Outcome::Reset(code), Side::Peer);
            }
            self.kill(stream, ErrorCode::Cancelled.to_wire());
        } else if operation.outgoing.fin != Fin::Sent {
            operation.outgoing.abandon();
            operation.reset = Some(code);
            self.settle(stream);
        }
    }

    /// The operation's input does not parse: it ends, and no other (`GAP-3`).
    fn malformed(&mut self, stream: StreamId, now: Now) {
        self.refuse_input(stream, ErrorCode::MalformedFrame, now);
    }

    /// Ends one operation because of what came on it: ERROR, and nothing more is read
    /// (`GAP-19`).
    fn refuse_input(&mut self, stream: StreamId, code: ErrorCode, now: Now) {
        self.scratches.remove(stream);
        let Some(operation) = self.operations.get_mut(stream) else {
            return;
        };
        operation.note(Outcome::Failed(code), Side::Local);
        operation.receiving = Receiving::Finished;
        operation.stop = Some(code.to_wire());
        self.fail_or_reset(stream, code, now);
    }

    /// The input ends in the middle of a frame.
    pub(super) fn end_of_input<'i>(&mut self, input: &mut Input<'_>) -> Step<'i> {
        if input.fin {
            input.fin = false;
            self.violation(
                ErrorCode::MalformedFrame,
                "a stream ended in the middle of a frame",
            );
        }
        Step::Rest
    }

    pub(super) fn bytes_of<'a>(&'a self, stream: StreamId, source: Source<'a>) -> Option<&'a [u8]> {
        match source {
            Source::Input(bytes) => Some(bytes),
            Source::Scratch => self.scratches.get(stream).map(Buffer::as_slice),
        }
    }

    pub(super) fn drop_scratch(&mut self, stream: StreamId, source: Source<'_>) {
        if matches!(source, Source::Scratch) {
            self.scratches.remove(stream);
        }
    }

    pub(super) fn count_skipped(&mut self) {
        self.counters.skipped_frames = self.counters.skipped_frames.saturating_add(1);
    }
}

/// What a control frame changes, before it is told.
enum Note {
    Cancel(CancelReason),
    Error(ErrorCode),
    Budget(Budget),
    Resume { last_recv: u64 },
    Other,
}

impl Note {
    /// `opening`: the operation's first frame is still to come.
    fn of(frame: FrameType, payload: &[u8], opening: bool) -> Result<Self, Malformed> {
        Ok(match frame {
            FrameType::Cancel => Self::Cancel(Cancel::decode(payload)?.reason),
            FrameType::Error => Self::Error(ErrorFrame::decode(payload)?.code),
            FrameType::Budget => Self::Budget(Budget::decode(payload)?),
            FrameType::Delegate => Delegate::decode(payload).map(|_| Self::Other)?,
            FrameType::Resumable => Resumable::decode(payload).map(|_| Self::Other)?,
            FrameType::Resume => Self::Resume {
                last_recv: Resume::decode(payload)?.last_recv,
            },
            FrameType::Vendor(PATH_FRAME) if opening => Path::decode(payload)
                .map(|_| Self::Other)
                .map_err(|_| Malformed::Truncated)?,
            _ => Self::Other,
        })
    }
}

fn frame_event(
    stream: StreamId,
    op: OpId,
    frame: FrameType,
    payload: &[u8],
) -> Result<Event<'_>, Malformed> {
    Ok(match frame {
        FrameType::Cancel => Event::Cancelled {
            stream,
            cancel: Cancel::decode(payload)?,
        },
        FrameType::Budget => Event::Budget {
            stream,
            budget: Budget::decode(payload)?,
        },
        FrameType::Delegate => Event::Delegated {
            stream,
            delegate: Delegate::decode(payload)?,
        },
        FrameType::Error => Event::Failed {
            stream,
            error: ErrorFrame::decode(payload)?,
        },
        FrameType::Resumable => Event::Resumable {
            stream,
            resumable: Resumable::decode(payload)?,
        },
        FrameType::Resume => Event::Resumed {
            stream,
            op,
            resume: Resume::decode(payload)?,
        },
        other => Event::Vendor {
            stream,
            frame_type: other.to_wire(),
            payload,
        },
    })
}

/// Hands a piece of a frame that passes through to the application.
#[inline]
fn pass_on(stream: StreamId, mode: Mode, bytes: &[u8], remaining: u64) -> Step<'_> {
    Step::Found(Found::Ready(match mode {
        Mode::Stream => Event::Stream {
            stream,
            bytes,
            remaining,
        },
        Mode::Args => Event::Args {
            stream,
            bytes,
            remaining,
        },
        _ => return Step::Again,
    }))
}
