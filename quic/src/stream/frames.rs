//! How frames about streams are written (RFC 9000 §19).

use crate::coding::Writer;
use crate::frame::{STREAM_FIN, STREAM_LEN, STREAM_OFF, kind, write};
use crate::varint;

/// The longest data of one STREAM frame: its length fits a varint of two bytes.
const MAX_LEN: u32 = 0x3fff;

/// A STREAM frame that is about to be written. It always says its length, so that others may follow.
#[derive(Clone, Copy, Debug)]
pub(super) struct Stream {
    pub(super) id: u64,
    pub(super) offset: u64,
    pub(super) len: u32,
    pub(super) fin: bool,
}

impl Stream {
    /// As much of the frame as fits into `room`. `None` when that is no frame or not worth one.
    pub(super) fn cut_to(mut self, room: usize) -> Option<Self> {
        /// Data that is cut to less waits for the next packet: each piece costs a header, and a
        /// place in what is remembered of the packet and of the stream.
        const MIN_CUT: u32 = 32;
        let mut header = varint::len(self.id).saturating_add(2);
        if self.offset > 0 {
            header = header.saturating_add(varint::len(self.offset));
        }
        let room = u32::try_from(room.checked_sub(header)?).unwrap_or(u32::MAX);
        // The header counts one byte of length; a longer length takes another.
        let room = if room.min(self.len) < 64 {
            room
        } else {
            room.saturating_sub(1)
        };
        if self.len > room.min(MAX_LEN) {
            self.len = room.min(MAX_LEN);
            self.fin = false;
            if self.len < MIN_CUT {
                return None;
            }
        }
        Some(self)
    }

    /// Writes the frame up to its data, which is the `len` bytes that are returned, to be filled.
    pub(super) fn begin<'a>(&self, out: &'a mut Writer<'_>) -> Option<&'a mut [u8]> {
        let mut kind = kind::STREAM | STREAM_LEN;
        if self.fin {
            kind |= STREAM_FIN;
        }
        let len = u64::from(self.len);
        let written = if self.offset > 0 {
            write(out, kind | STREAM_OFF, &[self.id, self.offset, len])
        } else {
            write(out, kind, &[self.id, len])
        };
        if written {
            out.reserve(self.len as usize)
        } else {
            None
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::indexing_slicing)]
mod tests {
    use super::*;

    #[test]
    fn a_stream_frame_fills_any_room_exactly_or_almost_and_never_more() {
        let mut memory = [0; 600];
        for (id, offset) in [(0, 0), (4, 1), (400, 70_000), (varint::MAX, 1 << 40)] {
            for room in 0..600_usize {
                let whole = Stream {
                    id,
                    offset,
                    len: 500,
                    fin: true,
                };
                let Some(cut) = whole.cut_to(room) else {
                    assert!(room < 60);
                    continue;
                };
                let mut out = Writer::new(&mut memory[..room]);
                assert_eq!(cut.begin(&mut out).unwrap().len(), cut.len as usize);
                assert_eq!(cut.fin, cut.len == 500);
                assert!(cut.len == 500 || out.room() <= 1);
            }
        }
    }

    #[test]
    fn an_end_without_data_needs_room_for_its_header_only() {
        let end = Stream {
            id: 4,
            offset: 0,
            len: 0,
            fin: true,
        };
        assert!(end.cut_to(2).is_none());
        let mut memory = [0xff; 3];
        let mut out = Writer::new(&mut memory);
        end.cut_to(3).unwrap().begin(&mut out).unwrap();
        assert_eq!(out.written(), [0x0b, 4, 0]);
    }

    #[test]
    fn a_frame_without_room_leaves_nothing_behind() {
        let mut memory = [0; 4];
        let mut out = Writer::new(&mut memory);
        assert!(!write(&mut out, kind::MAX_STREAM_DATA, &[4, 70_000]));
        assert_eq!(out.len(), 0);
        assert!(write(&mut out, kind::MAX_STREAM_DATA, &[4, 70]));
        assert_eq!(out.written(), [0x11, 4, 0x40, 70]);
    }
}
