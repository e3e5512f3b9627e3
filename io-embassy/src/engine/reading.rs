//! From QUIC's buffer to the application: the protocol reads as far as the first payload, which
//! stays where it is until it is asked for.

use aire_proto::wire::{self, Cancel, Decoder, FrameType, Resumable};
use aire_proto::{CancelReason, ErrorCode, Event, Input, Now, StreamId};

use embassy_time::Instant;

use super::{Engine, quic_id};
use crate::Error;
use crate::log::debug;
use crate::options::Options;
use crate::slot::{NAME_LEN, Partial, Piece, Slot, Stage};

/// What is to be done about an event, once nothing is borrowed any more.
enum Then {
    Nothing,
    /// The node asks for an agent here.
    Offer,
    /// It asks for what is not here.
    Refuse(ErrorCode),
    /// There is no room for the stream.
    NoRoom,
    /// The operation cannot be read on.
    Break(Error),
}

impl Engine {
    /// The node opened a stream.
    pub(super) fn stream_opened(&mut self, id: aire_quic::StreamId) {
        let stream = StreamId::new(id.get());
        let slot = self.slots.iter_mut().find(|slot| slot.is_free());
        match (slot, stream) {
            (Some(slot), Some(stream)) => {
                *slot = Slot::default();
                slot.stage = Stage::Opening { begun: false };
                slot.stream = Some(stream);
                slot.served = true;
            }
            _ => self.refuse_stream(id),
        }
    }

    fn refuse_stream(&mut self, id: aire_quic::StreamId) {
        let code = ErrorCode::Refused.to_wire();
        self.quic.reset(id, code);
        self.quic.stop_sending(id, code);
    }

    /// The node reset its side of a stream: whatever lay before it is void (`CAN-1`).
    pub(super) fn stream_reset(&mut self, id: aire_quic::StreamId, code: u64) {
        let Some(stream) = StreamId::new(id.get()) else {
            return;
        };
        let known = stream == StreamId::CONTROL || self.proto.op_id(stream).is_some();
        self.proto.stream_reset(stream, code);
        if !known {
            // Given up before its first frame: nobody else will end our side of it.
            self.quic.reset(id, code);
        }
        if let Some(slot) = self
            .slot_of(stream)
            .and_then(|index| self.slots.get_mut(index))
        {
            slot.front = None;
            if matches!(slot.stage, Stage::Opening { .. }) {
                slot.stage = Stage::Opening { begun: true };
            }
            slot.wake();
        }
    }

    /// Reads on in an operation's stream, as far as its next payload.
    pub(super) fn read(&mut self, index: usize, now: Now) {
        while self.is_open() && self.read_some(index, now) {}
    }

    /// One step. Whether another one may find more.
    fn read_some(&mut self, index: usize, now: Now) -> bool {
        let Some(slot) = self.slots.get_mut(index) else {
            return false;
        };
        let Some((stream, id)) = slot.stream.and_then(|it| Some((it, quic_id(it)?))) else {
            return false;
        };
        if let Some(piece) = slot.front {
            // The application's turn, unless it does not want it.
            if slot.drops_input() {
                self.hand_out(index, piece.len);
            } else {
                self.look_ahead(index, piece);
            }
            return self
                .slots
                .get(index)
                .is_some_and(|slot| slot.front.is_none());
        }
        let peek = self.quic.peek(id);
        if peek.bytes.is_empty() && !peek.fin {
            return false;
        }
        let (offered, had_fin) = (peek.bytes.len(), peek.fin);
        let mut input = Input::new(peek.bytes, peek.fin);
        let event = self.proto.poll_input(stream, &mut input, now);
        let told = event.is_some();
        let then = event.map_or(Then::Nothing, |event| {
            note(slot, &event, &self.options, now)
        });
        let read = offered.saturating_sub(input.unread().len());
        let fin = had_fin && input.is_done();
        let waits = slot.front.map_or(0, |piece| piece.len);
        self.quic.consume(id, read.saturating_sub(waits), fin);
        if slot.stage == (Stage::Opening { begun: false }) && (read > 0 || fin) {
            slot.stage = Stage::Opening { begun: true };
        }
        self.skip_what_is_known(index);
        self.follow(index, stream, then, now);
        told || read > 0 || fin
    }

    /// Looks for a CANCEL behind a payload that the agent has not read, and perhaps never will: it
    /// is to be heard while the agent works (`CAN-5`). The protocol reads it in its turn.
    fn look_ahead(&mut self, index: usize, piece: Piece) {
        let Some(slot) = self.slots.get_mut(index) else {
            return;
        };
        if !slot.served || slot.cancelled.is_some() || piece.remaining > 0 {
            return;
        }
        let Some(id) = slot.stream.and_then(quic_id) else {
            return;
        };
        let behind = self.quic.peek(id).bytes.get(piece.len..);
        slot.cancelled = cancel_in(behind.unwrap_or_default());
        if slot.cancelled.is_some() {
            slot.wake();
        }
    }

    fn follow(&mut self, index: usize, stream: StreamId, then: Then, now: Now) {
        let Some(slot) = self.slots.get_mut(index) else {
            return;
        };
        match then {
            Then::Nothing => {}
            Then::Offer => {
                slot.stage = Stage::Offered;
                self.waiters.wake();
            }
            Then::Refuse(code) => {
                slot.stage = Stage::Orphan;
                self.fail_or_abort(index, code, "", now);
            }
            Then::NoRoom => {
                if let Some(id) = quic_id(stream) {
                    self.refuse_stream(id);
                }
                self.free(index);
            }
            Then::Break(error) => {
                slot.end = Some(Err(error));
                slot.front = None;
                slot.wake();
                self.proto.abort(stream, ErrorCode::Cancelled);
            }
        }
    }

    /// After a resumption, the beginning of a frame that the application has already comes again.
    fn skip_what_is_known(&mut self, index: usize) {
        let Some(slot) = self.slots.get_mut(index) else {
            return;
        };
        let (Some(piece), Some(id)) = (&mut slot.front, slot.stream.and_then(quic_id)) else {
            return;
        };
        if piece.args || slot.skip == 0 {
            return;
        }
        let known = usize::try_from(slot.skip)
            .unwrap_or(usize::MAX)
            .min(piece.len);
        self.quic.consume(id, known, false);
        slot.skip = slot.skip.saturating_sub(known as u64);
        piece.len = piece.len.saturating_sub(known);
        if piece.len == 0 {
            slot.front = None;
        }
    }

    /// Reads on after the application took something, and sees to what follows from it.
    pub(crate) fn read_on(&mut self, index: usize) {
        let at = Instant::now();
        let now = self.clock.at(at);
        self.read(index, now);
        self.advance(at, now);
    }

    /// The first `most` bytes of the payload that lies in front, to be handed out with
    /// [`hand_out`](Self::hand_out).
    pub(crate) fn front(&self, index: usize, most: usize) -> &[u8] {
        let Some(slot) = self.slots.get(index) else {
            return &[];
        };
        let (Some(piece), Some(id)) = (slot.front, slot.stream.and_then(quic_id)) else {
            return &[];
        };
        let bytes = self.quic.peek(id).bytes;
        let len = most.min(piece.len).min(bytes.len());
        bytes.get(..len).unwrap_or_default()
    }

    /// The application has `count` bytes of the payload that lies in front.
    pub(crate) fn hand_out(&mut self, index: usize, count: usize) {
        let Some(slot) = self.slots.get_mut(index) else {
            return;
        };
        let (Some(piece), Some(id)) = (&mut slot.front, slot.stream.and_then(quic_id)) else {
            return;
        };
        let count = count.min(piece.len);
        self.quic.consume(id, count, false);
        piece.len = piece.len.saturating_sub(count);
        let left = piece.left();
        if piece.args {
            slot.args_left = left;
        } else if left == 0 {
            slot.partial = Partial::default();
            slot.progress.stream_received();
        } else {
            slot.partial.given = slot.partial.given.saturating_add(count as u64);
            slot.partial.left = left;
        }
        if piece.len == 0 {
            slot.front = None;
        }
    }
}

/// Notes in the slot what an event says of its operation.
fn note(slot: &mut Slot, event: &Event<'_>, options: &Options, now: Now) -> Then {
    match event {
        Event::Invoked {
            agent,
            operation,
            args_len,
            ..
        } => {
            slot.args_left = *args_len;
            let Some(agent) = options.agents.iter().find(|known| *known == agent) else {
                return Then::Refuse(ErrorCode::AgentNotFound);
            };
            slot.agent = agent;
            if operation.len() > NAME_LEN {
                debug!("an operation's name is too long to be served");
                return Then::Refuse(ErrorCode::Refused);
            }
            slot.keep_text(operation);
            return Then::Offer;
        }
        Event::Args {
            bytes, remaining, ..
        } => slot.front = piece(true, bytes, *remaining),
        Event::Stream {
            bytes, remaining, ..
        } => {
            // What the application has not asked for of the arguments is behind.
            slot.args_left = 0;
            let piece = piece(false, bytes, *remaining);
            let expected = slot.partial.given.saturating_add(slot.partial.left);
            let whole = piece.as_ref().map_or(0, Piece::left);
            let first_of_a_resumed = slot.skip > 0 && slot.skip == slot.partial.given;
            if first_of_a_resumed && whole != expected {
                return Then::Break(Error::OtherFrame);
            }
            slot.front = piece;
        }
        Event::Cancelled { cancel, .. } => {
            slot.cancelled = Some(cancel.reason);
            if !slot.served {
                slot.keep_text(cancel.detail);
            }
            slot.wake();
            return Then::Nothing;
        }
        Event::Budget { budget, .. } => {
            slot.budgets = slot.budgets.wrapping_add(1);
            slot.news.budget = Some(*budget);
        }
        Event::Delegated { delegate, .. } => {
            slot.news.delegated = true;
            slot.keep_text(delegate.target);
        }
        Event::Resumable { resumable, .. } => return note_token(slot, resumable, now),
        // No token of ours is out there (RES-5).
        Event::Resumed { .. } => return Then::Refuse(ErrorCode::ResumeInvalid),
        Event::Failed { error, .. } if !slot.served => slot.keep_text(error.detail),
        Event::NoRoom { .. } => return Then::NoRoom,
        _ => {}
    }
    slot.wake();
    Then::Nothing
}

/// The first CANCEL that is whole in `frames`.
fn cancel_in(mut frames: &[u8]) -> Option<CancelReason> {
    let mut decoder = Decoder::default();
    let mut cancels = false;
    loop {
        match decoder.next(&mut frames)? {
            wire::Piece::Header(header) => cancels = header.frame_type == FrameType::Cancel,
            wire::Piece::Payload { bytes, remaining } if cancels => {
                let whole = Cancel::decode(bytes).ok().filter(|_| remaining == 0);
                return whole.map(|cancel| cancel.reason);
            }
            wire::Piece::Payload { .. } => {}
        }
    }
}

fn note_token(slot: &mut Slot, resumable: &Resumable<'_>, now: Now) -> Then {
    match slot.progress.resumable(resumable, now.unix) {
        Ok(()) => slot.news.resumable = true,
        Err(error) => debug!("an operation cannot be resumed: {}", error),
    }
    slot.wake();
    Then::Nothing
}

#[allow(clippy::unnecessary_wraps, reason = "a slot's front is optional")]
const fn piece(args: bool, bytes: &[u8], remaining: u64) -> Option<Piece> {
    Some(Piece {
        args,
        len: bytes.len(),
        remaining,
    })
}
