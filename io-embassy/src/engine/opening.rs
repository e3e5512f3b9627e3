//! Operations begin: ours, the node's, and those that outlived their connection.

use core::task::{Poll, Waker};

use aire_proto::connection::CallError;
use aire_proto::resume::{Progress, Ticket};
use aire_proto::{Now, StreamId};
use embassy_time::Instant;

use super::{Engine, Status};
use crate::Error;
use crate::clock::quic_instant;
use crate::log::info;
use crate::slot::{EXPIRED, Slot, Stage};

impl Engine {
    /// INVOKE, as soon as there is a connection, a slot and a stream for it.
    pub(crate) fn invoke(
        &mut self,
        agent: &str,
        operation: &str,
        args_len: usize,
        waker: &Waker,
    ) -> Poll<Result<usize, Error>> {
        let index = match self.may_open(waker) {
            Poll::Ready(Ok(index)) => index,
            Poll::Ready(Err(error)) => return Poll::Ready(Err(error)),
            Poll::Pending => return Poll::Pending,
        };
        let opened = self
            .proto
            .invoke(agent, operation, args_len)
            .and_then(|stream| self.open_stream(stream));
        let stream = match opened {
            Ok(stream) => stream,
            Err(error) => return Poll::Ready(Err(Error::Call(error))),
        };
        if let Some(slot) = self.slots.get_mut(index) {
            *slot = Slot::default();
            slot.stage = Stage::Held;
            slot.stream = Some(stream);
            slot.unwritten = args_len;
        }
        self.advance_now();
        Poll::Ready(Ok(index))
    }

    /// A slot for an operation of ours.
    fn may_open(&mut self, waker: &Waker) -> Poll<Result<usize, Error>> {
        if !self.wanted {
            return Poll::Ready(Err(Error::Off));
        }
        if self.holds_all() {
            return Poll::Ready(Err(Error::Busy));
        }
        let free = self.slots.iter().position(Slot::is_free);
        // Those that lost their connection go first.
        let others_first = self.slots.iter().any(|slot| slot.suspended);
        match free {
            Some(index) if !others_first && self.stream_is_there() => Poll::Ready(Ok(index)),
            // What the application let go of ends by itself, and the rest comes with time too.
            _ => {
                self.waiters.register(waker);
                Poll::Pending
            }
        }
    }

    /// Whether the application holds as many operations of ours as there may be: some of the room
    /// is kept for the node's.
    fn holds_all(&self) -> bool {
        let ours = |slot: &&Slot| slot.stage == Stage::Held && !slot.served;
        let held = self.slots.iter().filter(ours).count();
        let kept = usize::from(self.options.incoming);
        held >= self.slots.len().saturating_sub(kept)
    }

    /// Whether both QUIC and the protocol allow another operation of ours.
    fn stream_is_there(&self) -> bool {
        self.is_open() && self.proto.may_open().is_ok() && self.quic.can_open()
    }

    /// Opens the QUIC stream that the protocol has chosen.
    fn open_stream(&mut self, stream: StreamId) -> Result<StreamId, CallError> {
        match self.quic.open() {
            Ok(id) if id.get() == stream.get() => Ok(stream),
            _ => {
                // It was asked before, and both count the same; so this ends more than a stream.
                self.proto.close();
                Err(CallError::NotOpen)
            }
        }
    }

    /// The operation that the node has waited longest with.
    pub(crate) fn accept(&mut self) -> Option<usize> {
        let offered = self.slots.iter().enumerate();
        let (index, _) = offered
            .filter(|(_, slot)| slot.stage == Stage::Offered)
            .min_by_key(|(_, slot)| slot.stream)?;
        self.slots.get_mut(index)?.stage = Stage::Held;
        Some(index)
    }

    /// Takes up an operation of an earlier life: it waits for a connection.
    pub(crate) fn take_up(&mut self, ticket: &[u8]) -> Result<usize, Error> {
        if !self.wanted {
            return Err(Error::Off);
        }
        if self.holds_all() {
            return Err(Error::Busy);
        }
        let ticket = Ticket::decode(ticket)?;
        let index = self
            .slots
            .iter()
            .position(Slot::is_free)
            .ok_or(Error::Busy)?;
        let slot = self.slots.get_mut(index).ok_or(Error::Busy)?;
        *slot = Slot::default();
        slot.progress = Progress::from_ticket(&ticket).map_err(|_| Error::TokenTooLong)?;
        slot.stage = Stage::Held;
        slot.suspended = true;
        let now = self.clock.now();
        if self.is_open() {
            self.resume_suspended(now);
            self.advance_now();
        }
        Ok(index)
    }

    /// Goes on with the operations that outlived their connection.
    pub(super) fn resume_suspended(&mut self, now: Now) {
        for index in 0..self.slots.len() {
            if self.slots.get(index).is_some_and(|slot| slot.suspended) {
                self.resume_one(index, now);
            }
        }
    }

    fn resume_one(&mut self, index: usize, now: Now) {
        let stream_is_there = self.stream_is_there();
        let Some(slot) = self.slots.get_mut(index) else {
            return;
        };
        let resume = slot.progress.resume().filter(|_| slot.has_token(now.unix));
        let Some(resume) = resume else {
            self.give_up(index, EXPIRED);
            return;
        };
        if !stream_is_there {
            return;
        }
        let stream = match self.proto.resume(resume.token, resume.last_recv) {
            Ok(stream) => stream,
            Err(CallError::TooManyOperations | CallError::NotOpen | CallError::Draining) => return,
            // The node resumes nothing any more.
            Err(_) => {
                self.give_up(index, Err(Error::Lost));
                return;
            }
        };
        if self.open_stream(stream).is_err() {
            return;
        }
        let Some(slot) = self.slots.get_mut(index) else {
            return;
        };
        info!(
            "an operation goes on behind frame {}",
            slot.progress.received()
        );
        slot.stream = Some(stream);
        slot.suspended = false;
        slot.resumed = slot.resumed.wrapping_add(1);
        slot.skip = slot.partial.given;
        slot.wake();
        let (cancels, finished) = (slot.cancels, slot.finished);
        match cancels {
            Some(reason) => self.cancel_or_abort(index, reason, "", now),
            // A stream that was just opened takes it.
            None if finished => drop(self.proto.finish(stream)),
            None => {}
        }
    }

    /// An operation does not go on.
    fn give_up(&mut self, index: usize, end: Result<(), Error>) {
        let Some(slot) = self.slots.get_mut(index) else {
            return;
        };
        slot.suspended = false;
        slot.end.get_or_insert(end);
        slot.wake();
        if slot.stage == Stage::Orphan {
            self.free(index);
        }
    }

    /// Gives up the operations whose tokens' time is over.
    pub(crate) fn drop_expired(&mut self) {
        let now = self.clock.now();
        for index in 0..self.slots.len() {
            let slot = self.slots.get(index);
            if slot.is_some_and(|slot| slot.suspended && !slot.has_token(now.unix)) {
                self.give_up(index, EXPIRED);
            }
        }
    }

    /// The application wants a connection, or none. GOODBYE is said to the node.
    pub(crate) fn want(&mut self, wanted: bool) {
        let now = self.clock.now();
        self.wanted = wanted;
        if !wanted {
            self.part(now);
        }
        self.waiters.wake();
        self.wake_runner();
    }

    fn part(&mut self, now: Now) {
        if !self.up {
            // Nobody there has heard of us yet.
            self.quic.close(0, "", quic_instant(Instant::now()));
            return;
        }
        if self.proto.is_open() {
            self.proto.goodbye(now);
        } else {
            self.proto.close();
        }
        self.advance_now();
    }

    pub(crate) fn is_off(&self) -> bool {
        !self.wanted && self.status == Status::Off
    }
}
