//! What the peer's frames do to streams (RFC 9000 §19.4 to §19.14).

use super::StreamId;
use super::receive::{Outcome, Receive};
use super::send::Send;
use super::table::{Events, MAX_STREAMS, Slot, Streams};
use crate::error::{Code, Fault, fault};

/// Whether a STREAM frame was taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Taken {
    Yes,
    /// There are too many gaps in the stream: the packet must not be acknowledged, so that the
    /// frame comes again.
    NoRoom,
}

/// Which half of a stream a frame is about, seen from here.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Half {
    Receiving,
    Sending,
}

impl Streams<'_> {
    /// The slot of the stream that a frame of the peer is about; `None` when the stream is over.
    /// Streams that the peer opens by that are made (RFC 9000 §2.1, §3.2).
    fn resolve(&mut self, id: StreamId, half: Half) -> Result<Option<usize>, Fault> {
        match (id.is_local(), id.is_bidirectional()) {
            (true, true) if id.index() < self.opened => {}
            (true, _) => {
                return Err(fault!(
                    Code::STREAM_STATE_ERROR,
                    "a frame for a stream that this end did not open"
                ));
            }
            (false, false) if half == Half::Sending => {
                return Err(fault!(
                    Code::STREAM_STATE_ERROR,
                    "a frame about sending on a stream that only the peer sends on"
                ));
            }
            (false, true) if id.index() < self.max_accepted => self.accept_up_to(id.index()),
            (false, _) => {
                return Err(fault!(
                    Code::STREAM_LIMIT_ERROR,
                    "more streams than allowed"
                ));
            }
        }
        Ok(self.find(id))
    }

    /// Makes the peer's streams up to the one with `index`. There is a slot for each: the limit
    /// grows only when one becomes free.
    fn accept_up_to(&mut self, index: u64) {
        let window = self.window();
        while self.accepted <= index {
            let free = self
                .slots
                .iter_mut()
                .take(self.peer_slots)
                .find(|slot| !slot.used);
            if let Some(slot) = free {
                let id = StreamId::remote(self.accepted);
                *slot = Slot::with(id, Receive::new(window), Send::new(self.initial.1));
                slot.events.insert(Events::OPENED);
            }
            self.accepted = self.accepted.saturating_add(1);
        }
    }

    /// STREAM (RFC 9000 §19.8).
    pub(crate) fn on_stream(
        &mut self,
        id: StreamId,
        offset: u64,
        data: &[u8],
        fin: bool,
    ) -> Result<Taken, Fault> {
        let Some(index) = self.resolve(id, Half::Receiving)? else {
            return Ok(Taken::Yes);
        };
        let mut taken = Taken::Yes;
        if let Some(parts) = self.parts(index) {
            let slot = parts.slot;
            let receive = &mut slot.receive;
            match receive.on_data(parts.inbound, parts.rx, offset, data, fin)? {
                Outcome::Nothing => {}
                Outcome::News => slot.events.insert(Events::READABLE),
                Outcome::NoRoom => taken = Taken::NoRoom,
            }
        }
        self.release(index);
        Ok(taken)
    }

    /// RESET_STREAM (RFC 9000 §19.4).
    pub(crate) fn on_reset_stream(
        &mut self,
        id: StreamId,
        code: u64,
        size: u64,
    ) -> Result<(), Fault> {
        let Some(index) = self.resolve(id, Half::Receiving)? else {
            return Ok(());
        };
        if let Some(parts) = self.parts(index)
            && parts.slot.receive.on_reset(parts.inbound, code, size)?
        {
            parts.slot.events.insert(Events::RESET);
        }
        self.release(index);
        Ok(())
    }

    /// STOP_SENDING (RFC 9000 §19.5): answered by a reset with the same code (§3.5).
    pub(crate) fn on_stop_sending(&mut self, id: StreamId, code: u64) -> Result<(), Fault> {
        let index = self.resolve(id, Half::Sending)?;
        if let Some(parts) = index.and_then(|index| self.parts(index))
            && parts.slot.send.reset(code)
        {
            parts.slot.events.insert(Events::STOPPED);
        }
        Ok(())
    }

    /// MAX_DATA (RFC 9000 §19.9).
    pub(crate) fn on_max_data(&mut self, limit: u64) {
        self.outbound.raise(limit);
    }

    /// MAX_STREAM_DATA (RFC 9000 §19.10).
    pub(crate) fn on_max_stream_data(&mut self, id: StreamId, limit: u64) -> Result<(), Fault> {
        let index = self.resolve(id, Half::Sending)?;
        if let Some(parts) = index.and_then(|index| self.parts(index)) {
            parts.slot.send.raise_limit(limit);
        }
        Ok(())
    }

    /// MAX_STREAMS for bidirectional streams (RFC 9000 §19.11).
    pub(crate) fn on_max_streams(&mut self, count: u64) -> Result<(), Fault> {
        if count > MAX_STREAMS {
            return Err(fault!(
                Code::FRAME_ENCODING_ERROR,
                "a MAX_STREAMS over 2^60"
            ));
        }
        let could_open = self.can_open();
        self.max_opened = self.max_opened.max(count);
        self.available |= !could_open && self.can_open();
        Ok(())
    }

    /// STREAM_DATA_BLOCKED (RFC 9000 §19.13): says nothing that the windows do not say already, but
    /// may open the stream, or be about none.
    pub(crate) fn on_stream_data_blocked(&mut self, id: StreamId) -> Result<(), Fault> {
        self.resolve(id, Half::Receiving).map(|_| ())
    }
}
