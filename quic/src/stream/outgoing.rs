//! Fills packets with frames about streams, and learns what became of them.

use super::StreamId;
use super::send::Progress;
use super::table::{Events, Streams};
use crate::carried::{Carried, Flags, Kind, Piece};
use crate::coding::Writer;
use crate::frame::{self, kind};

/// What of a stream's data is to be sent.
#[derive(Clone, Copy)]
enum Data {
    Lost,
    New,
}

/// What is remembered of a frame about `stream`; only one with data has an offset and a length.
const fn piece(kind: Kind, stream: StreamId, offset: u64, len: u32) -> Piece {
    Piece {
        kind,
        stream: stream.get() as u32,
        offset: offset as u32,
        len: len as u16,
    }
}

impl Streams<'_> {
    fn is_max_streams_due(&self) -> bool {
        self.max_streams_lost || self.next_max_accepted > self.max_accepted
    }

    /// Whether [`Self::write_frames`] has something to write, given a packet's room.
    pub(crate) fn wants_to_send(&self) -> bool {
        let window = self.window();
        let credit = self.outbound.credit();
        let mut used = self.slots.iter().filter(|slot| slot.used);
        self.inbound.is_due()
            || self.is_max_streams_due()
            || used.any(|slot| {
                slot.send.reset_due().is_some()
                    || slot.receive.is_stop_due()
                    || slot.receive.is_limit_due(window)
                    || slot.send.next_lost().is_some()
                    || slot.send.next_new(credit).is_some()
            })
    }

    /// Writes what is due while there is room in `out` and in `carried`: first what is not data,
    /// then data that was lost, then new data. The streams take turns from packet to packet.
    pub(crate) fn write_frames(&mut self, out: &mut Writer<'_>, carried: &mut Carried) {
        self.write_limits(out, carried);
        for index in 0..self.slots.len() {
            self.write_control(index, out, carried);
        }
        let first = self.turn;
        while self.write_round(Data::Lost, first, out, carried) {}
        self.write_round(Data::New, first, out, carried);
    }

    fn write_limits(&mut self, out: &mut Writer<'_>, carried: &mut Carried) {
        if self.inbound.is_due() && frame::write(out, kind::MAX_DATA, &[self.inbound.next()]) {
            self.inbound.on_sent();
            carried.flags.insert(Flags::MAX_DATA);
        }
        let count = self.next_max_accepted;
        if self.is_max_streams_due() && frame::write(out, kind::MAX_STREAMS_BIDI, &[count]) {
            self.max_accepted = count;
            self.max_streams_lost = false;
            carried.flags.insert(Flags::MAX_STREAMS);
        }
    }

    /// RESET_STREAM, STOP_SENDING and MAX_STREAM_DATA of the stream in slot `index`.
    fn write_control(&mut self, index: usize, out: &mut Writer<'_>, carried: &mut Carried) {
        let window = self.window();
        let Some(slot) = self.slots.get_mut(index).filter(|slot| slot.used) else {
            return;
        };
        let id = slot.id.get();
        if let Some((code, size)) = slot.send.reset_due()
            && carried.has_room()
            && frame::write(out, kind::RESET_STREAM, &[id, code, size])
        {
            slot.send.on_reset_sent();
            carried.push(piece(Kind::Reset, slot.id, 0, 0));
        }
        if slot.receive.is_stop_due()
            && carried.has_room()
            && frame::write(out, kind::STOP_SENDING, &[id, slot.receive.code()])
        {
            slot.receive.on_stop_sent();
            carried.push(piece(Kind::Stop, slot.id, 0, 0));
        }
        if slot.receive.is_limit_due(window)
            && carried.has_room()
            && frame::write(
                out,
                kind::MAX_STREAM_DATA,
                &[id, slot.receive.next_limit(window)],
            )
        {
            slot.receive.on_limit_sent(window);
            carried.push(piece(Kind::MaxStreamData, slot.id, 0, 0));
        }
    }

    /// Writes one frame with data for each stream that has some, beginning with slot `first`. False
    /// when there was nothing to write, or no room.
    fn write_round(
        &mut self,
        data: Data,
        first: usize,
        out: &mut Writer<'_>,
        carried: &mut Carried,
    ) -> bool {
        let mut written = false;
        for index in (first..self.slots.len()).chain(0..first) {
            if carried.has_room() && self.write_data(data, index, out, carried).is_some() {
                if self.turn == first {
                    let next = index.saturating_add(1);
                    self.turn = if next < self.slots.len() { next } else { 0 };
                }
                written = true;
            }
        }
        written
    }

    /// Writes one frame with data of the stream in slot `index`; `None` when there was none to write.
    fn write_data(
        &mut self,
        data: Data,
        index: usize,
        out: &mut Writer<'_>,
        carried: &mut Carried,
    ) -> Option<()> {
        let parts = self.parts(index).filter(|parts| parts.slot.used)?;
        let (id, send) = (parts.slot.id, &mut parts.slot.send);
        let span = match data {
            Data::Lost => send.next_lost(),
            Data::New => send.next_new(parts.outbound.credit()),
        };
        let frame = send.frame(id.get(), span?).cut_to(out.room())?;
        let new = send.on_sent(&frame, parts.tx, frame.begin(out)?);
        parts.outbound.on_sent(u64::from(new));
        let kind = if frame.fin {
            Kind::StreamFin
        } else {
            Kind::Stream
        };
        carried.push(piece(kind, id, frame.offset, frame.len));
        Some(())
    }

    /// The slot of the stream that `piece` is about, unless that is over.
    fn find_piece(&self, piece: &Piece) -> Option<usize> {
        self.slots
            .iter()
            .position(|slot| slot.used && slot.id.get() as u32 == piece.stream)
    }

    /// The peer has a packet with these frames.
    pub(crate) fn on_acked(&mut self, carried: &Carried) {
        for piece in carried.pieces().filter(|piece| piece.kind != Kind::Crypto) {
            let Some(index) = self.find_piece(piece) else {
                continue;
            };
            if let Some(parts) = self.parts(index) {
                match parts.slot.send.on_acked(piece, parts.tx) {
                    Progress::Nothing => {}
                    Progress::Room => parts.slot.events.insert(Events::WRITABLE),
                    Progress::Finished => parts.slot.events.insert(Events::FINISHED),
                }
            }
            self.release(index);
        }
    }

    /// These frames are to be sent again, as far as they still matter.
    pub(crate) fn on_lost(&mut self, carried: &Carried) {
        if carried.flags.contains(Flags::MAX_DATA) {
            self.inbound.on_lost();
        }
        self.max_streams_lost |= carried.flags.contains(Flags::MAX_STREAMS);
        for piece in carried.pieces().filter(|piece| piece.kind != Kind::Crypto) {
            let index = self.find_piece(piece);
            let Some(parts) = index.and_then(|index| self.parts(index)) else {
                continue;
            };
            match piece.kind {
                Kind::Stop => parts.slot.receive.on_stop_lost(),
                Kind::MaxStreamData => parts.slot.receive.on_limit_lost(),
                _ => parts.slot.send.on_lost(piece),
            }
        }
    }
}
