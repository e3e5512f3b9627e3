//! From the application to QUIC: envelopes and control frames from the protocol's outbox, payloads
//! straight from the application's slices.

use core::task::{Poll, Waker};

use aire_proto::connection::CallError;
use aire_proto::{CancelReason, ErrorCode, Now, StreamId, Transmit};
use embassy_time::Instant;

use super::{Engine, quic_id};
use crate::Error;
use crate::slot::{Slot, Stage, cut};

/// The longest detail of an ERROR or a CANCEL that is sent, in bytes: outboxes are small.
const MAX_DETAIL: usize = 96;

impl Engine {
    /// QUIC can take more on a stream.
    pub(super) fn stream_writable(&mut self, id: aire_quic::StreamId) {
        let Some(stream) = StreamId::new(id.get()) else {
            return;
        };
        self.proto.writable(stream);
        if let Some(slot) = self
            .slot_of(stream)
            .and_then(|index| self.slots.get_mut(index))
        {
            slot.writer.wake();
        }
    }

    /// The node takes nothing more on a stream: whoever waits to send on it waits in vain.
    pub(super) fn stream_stopped(&mut self, id: aire_quic::StreamId, code: u64) {
        let Some(stream) = StreamId::new(id.get()) else {
            return;
        };
        self.proto.stream_stopped(stream, code);
        if let Some(slot) = self
            .slot_of(stream)
            .and_then(|index| self.slots.get_mut(index))
        {
            slot.stopped = true;
            slot.unwritten = 0;
            slot.payload_next = false;
            slot.wake();
        }
    }

    /// Hands the protocol's transmissions to QUIC. Whether there was any.
    pub(super) fn transmit(&mut self, at: Instant, now: Now) -> bool {
        let mut any = false;
        while let Some(transmit) = self.proto.poll_transmit() {
            any = true;
            match transmit {
                Transmit::Data {
                    stream,
                    head,
                    payload,
                    tail,
                    fin,
                } => {
                    let Some(id) = quic_id(stream) else { continue };
                    let mut count = self.quic.write(id, head);
                    let mut ended = false;
                    let payload_next = count == head.len() && !payload.is_empty();
                    if count == head.len() && payload.is_empty() {
                        let of_tail = self.quic.write(id, tail);
                        count = count.saturating_add(of_tail);
                        ended = fin && of_tail == tail.len();
                        if ended {
                            self.quic.finish(id);
                        }
                    }
                    self.proto.wrote(stream, count, ended, now);
                    let slot = self
                        .slots
                        .iter_mut()
                        .find(|slot| slot.stream == Some(stream));
                    if let Some(slot) = slot {
                        // The rest waits for the task that holds it.
                        slot.payload_next = payload_next;
                        slot.writer.wake();
                    }
                }
                Transmit::Reset { stream, code } => {
                    if let Some(id) = quic_id(stream) {
                        self.quic.reset(id, code);
                    }
                }
                Transmit::StopSending { stream, code } => {
                    if let Some(id) = quic_id(stream) {
                        self.quic.stop_sending(id, code);
                    }
                }
                Transmit::Close { code } => self.close_soon(code, at),
            }
        }
        any
    }

    /// Does something with the operation of a slot that can send, and sees to what follows from
    /// it. Waits while it is between two connections.
    fn sending<R>(
        &mut self,
        index: usize,
        waker: &Waker,
        work: impl FnOnce(&mut Self, StreamId, Now) -> Result<R, CallError>,
    ) -> Poll<Result<R, Error>> {
        let Some(slot) = self.slots.get_mut(index) else {
            return Poll::Ready(Err(Error::Ended));
        };
        if let Err(error) = slot.may_send() {
            return Poll::Ready(Err(error));
        }
        if slot.unwritten > 0 {
            return Poll::Ready(Err(Error::FrameUnfinished));
        }
        let Some(stream) = slot.stream else {
            slot.writer.register(waker);
            return Poll::Pending;
        };
        let at = Instant::now();
        let now = self.clock.at(at);
        match work(self, stream, now) {
            Ok(done) => {
                self.advance(at, now);
                Poll::Ready(Ok(done))
            }
            Err(error) => {
                let waits = match error {
                    CallError::Busy => true,
                    CallError::OutboxFull { .. } => !self.outbox_is_empty(index),
                    _ => false,
                };
                if !waits {
                    return Poll::Ready(Err(Error::Call(error)));
                }
                if let Some(slot) = self.slots.get_mut(index) {
                    slot.writer.register(waker);
                }
                Poll::Pending
            }
        }
    }

    /// Whether an outbox with no room has nothing in it, so that there never will be room.
    fn outbox_is_empty(&self, index: usize) -> bool {
        let stream = self.slots.get(index).and_then(|slot| slot.stream);
        stream.is_none_or(|stream| self.proto.stall(stream).is_none())
    }

    /// Begins a STREAM frame of `len` bytes.
    pub(crate) fn begin(
        &mut self,
        index: usize,
        len: usize,
        waker: &Waker,
    ) -> Poll<Result<(), Error>> {
        self.sending(index, waker, |engine, stream, _| {
            engine.proto.send(stream, len)?;
            if let Some(slot) = engine.slots.get_mut(index) {
                slot.unwritten = len;
                slot.payload_next = false;
                slot.frame_on = slot.resumed;
            }
            Ok(())
        })
    }

    /// Sends a BUDGET.
    pub(crate) fn send_budget(
        &mut self,
        index: usize,
        budget: &aire_proto::wire::Budget,
        waker: &Waker,
    ) -> Poll<Result<(), Error>> {
        self.sending(index, waker, |engine, stream, now| {
            engine.proto.send_budget(stream, budget, now)
        })
    }

    /// Writes on in the frame that was begun. How many bytes QUIC took, at least one.
    pub(crate) fn write(
        &mut self,
        index: usize,
        bytes: &[u8],
        waker: &Waker,
    ) -> Poll<Result<usize, Error>> {
        let Some(slot) = self.slots.get_mut(index) else {
            return Poll::Ready(Err(Error::Ended));
        };
        if slot.stream.is_none() || slot.frame_on != slot.resumed {
            let error = slot.trouble().unwrap_or(Error::FrameCut);
            return Poll::Ready(Err(error));
        }
        if let Err(error) = slot.may_send() {
            return Poll::Ready(Err(error));
        }
        if bytes.len() > slot.unwritten {
            return Poll::Ready(Err(Error::FrameOverrun));
        }
        slot.writer.register(waker);
        let (Some(stream), true) = (slot.stream, slot.payload_next) else {
            return Poll::Pending;
        };
        let Some(id) = quic_id(stream) else {
            return Poll::Ready(Err(Error::Ended));
        };
        let count = self.quic.write(id, bytes);
        if count == 0 {
            return Poll::Pending;
        }
        let at = Instant::now();
        let now = self.clock.at(at);
        slot.unwritten = slot.unwritten.saturating_sub(count);
        if self.proto.wrote(stream, count, false, now) {
            slot.payload_next = false;
            // What was queued behind the payload may go now.
            self.proto.writable(stream);
            self.advance(at, now);
        }
        self.wake_runner();
        Poll::Ready(Ok(count))
    }

    /// Sends nothing more.
    pub(crate) fn finish(&mut self, index: usize) -> Result<(), Error> {
        let Some(slot) = self.slots.get_mut(index) else {
            return Err(Error::Ended);
        };
        slot.may_send()?;
        if slot.unwritten > 0 {
            return Err(Error::FrameUnfinished);
        }
        if let Some(stream) = slot.stream {
            self.proto.finish(stream)?;
        }
        slot.finished = true;
        self.advance_now();
        Ok(())
    }

    /// Ends a served operation with ERROR.
    pub(crate) fn fail(
        &mut self,
        index: usize,
        code: ErrorCode,
        detail: &str,
    ) -> Result<(), Error> {
        let now = self.clock.now();
        let Some(slot) = self.slots.get_mut(index) else {
            return Err(Error::Ended);
        };
        if let Some(Err(error)) = slot.end {
            return Err(error);
        }
        if slot.finished || slot.end.is_some() {
            return Err(Error::Ended);
        }
        slot.finished = true;
        self.fail_or_abort(index, code, detail, now);
        self.advance_now();
        Ok(())
    }

    /// ERROR, or where a frame is half written or the outbox has no room, a reset.
    pub(super) fn fail_or_abort(&mut self, index: usize, code: ErrorCode, detail: &str, now: Now) {
        let Some(slot) = self.slots.get_mut(index) else {
            return;
        };
        let Some(stream) = slot.stream else { return };
        let half_written = core::mem::take(&mut slot.unwritten) > 0;
        let detail = cut(detail, MAX_DETAIL);
        let said = !half_written
            && (self.proto.fail(stream, code, detail, &[], now).is_ok()
                || self.proto.fail(stream, code, "", &[], now).is_ok());
        if !said {
            self.proto.abort(stream, code);
        }
    }

    /// Asks the node to end an operation.
    pub(crate) fn cancel(
        &mut self,
        index: usize,
        reason: CancelReason,
        detail: &str,
    ) -> Result<(), Error> {
        let now = self.clock.now();
        let Some(slot) = self.slots.get_mut(index) else {
            return Err(Error::Ended);
        };
        if let Some(end) = slot.end {
            return Err(end.err().unwrap_or(Error::Ended));
        }
        slot.cancels.get_or_insert(reason);
        slot.wake();
        self.cancel_or_abort(index, reason, detail, now);
        self.advance_now();
        Ok(())
    }

    /// CANCEL, or where a frame is half written, a reset. One that is between two connections is
    /// cancelled on the next.
    pub(super) fn cancel_or_abort(
        &mut self,
        index: usize,
        reason: CancelReason,
        detail: &str,
        now: Now,
    ) {
        let Some(slot) = self.slots.get_mut(index) else {
            return;
        };
        let Some(stream) = slot.stream else { return };
        if core::mem::take(&mut slot.unwritten) > 0 {
            self.proto.abort(stream, ErrorCode::Cancelled);
        } else {
            // It may have been cancelled before.
            let _cancelled = self
                .proto
                .cancel(stream, reason, cut(detail, MAX_DETAIL), now);
        }
    }

    pub(crate) fn advance_now(&mut self) {
        let at = Instant::now();
        let now = self.clock.at(at);
        self.advance(at, now);
    }

    /// The application lets go of an operation: one that it has not ended is ended for it.
    pub(crate) fn release(&mut self, index: usize) {
        let now = self.clock.now();
        let Some(slot) = self.slots.get_mut(index) else {
            return;
        };
        if slot.end.is_some() && slot.stream.is_none() {
            self.free(index);
            return;
        }
        slot.stage = Stage::Orphan;
        self.end_orphan(index, now);
        self.read(index, now);
        self.advance_now();
    }

    fn end_orphan(&mut self, index: usize, now: Now) {
        let Some(Slot {
            served,
            finished,
            cancelled,
            cancels,
            ..
        }) = self.slots.get_mut(index)
        else {
            return;
        };
        match (*served, *finished, *cancelled) {
            (true, true, _) => {}
            (true, false, None) => self.fail_or_abort(index, ErrorCode::Application, "", now),
            (true, false, Some(_)) => self.fail_or_abort(index, ErrorCode::Cancelled, "", now),
            (false, ..) => {
                let reason = *cancels.get_or_insert(CancelReason::UserCancelled);
                self.cancel_or_abort(index, reason, "", now);
            }
        }
    }
}
