//! What the application does with streams.

use super::receive::Receive;
use super::send::Send;
use super::table::{Slot, Streams, ring};
use super::{OpenError, Peek, StreamId};

impl Streams<'_> {
    /// Opens a bidirectional stream.
    pub(crate) fn open(&mut self) -> Result<StreamId, OpenError> {
        if self.opened >= self.max_opened {
            return Err(OpenError::PeerLimit);
        }
        let id = StreamId::local(self.opened);
        let window = self.window();
        let mut own = self.slots.iter_mut().skip(self.peer_slots);
        let slot = own.find(|slot| !slot.used).ok_or(OpenError::NoSlot)?;
        *slot = Slot::with(id, Receive::new(window), Send::new(self.initial.0));
        self.opened = self.opened.saturating_add(1);
        Ok(id)
    }

    /// Whether [`Self::open`] succeeds now.
    pub(crate) fn can_open(&self) -> bool {
        let mut own = self.slots.iter().skip(self.peer_slots);
        self.opened < self.max_opened && own.any(|slot| !slot.used)
    }

    /// What can be read now; nothing of a stream that is over.
    pub(crate) fn peek(&self, id: StreamId) -> Peek<'_> {
        let found = self
            .find(id)
            .and_then(|index| Some((index, self.slots.get(index)?)));
        found.map_or_else(Peek::default, |(index, slot)| {
            slot.receive.peek(ring(self.rx, self.rx_ring, index))
        })
    }

    /// `count` bytes were read, and the end behind them when `fin`.
    pub(crate) fn consume(&mut self, id: StreamId, count: usize, fin: bool) {
        if let Some(index) = self.find(id) {
            if let Some(parts) = self.parts(index) {
                let receive = &mut parts.slot.receive;
                receive.consume(parts.inbound, parts.rx, count, fin);
            }
            self.release(index);
        }
    }

    /// Takes as many of `bytes` as there is room for, and returns how many those are. After a short
    /// write, `Writable` tells of room.
    pub(crate) fn write(&mut self, id: StreamId, bytes: &[u8]) -> usize {
        let parts = self.find(id).and_then(|index| self.parts(index));
        parts.map_or(0, |parts| parts.slot.send.write(parts.tx, bytes))
    }

    /// The stream ends behind what was written.
    pub(crate) fn finish(&mut self, id: StreamId) {
        if let Some(parts) = self.find(id).and_then(|index| self.parts(index)) {
            parts.slot.send.finish();
        }
    }

    /// Gives up sending; without effect when everything has arrived or was given up before.
    pub(crate) fn reset(&mut self, id: StreamId, code: u64) {
        if let Some(parts) = self.find(id).and_then(|index| self.parts(index)) {
            parts.slot.send.reset(code);
        }
    }

    /// Gives up reading. What was not read is gone; the peer is asked to send no more.
    pub(crate) fn stop_sending(&mut self, id: StreamId, code: u64) {
        if let Some(index) = self.find(id) {
            if let Some(parts) = self.parts(index) {
                parts.slot.receive.stop(parts.inbound, code);
            }
            self.release(index);
        }
    }
}
