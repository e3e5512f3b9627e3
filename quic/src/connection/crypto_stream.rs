//! The handshake's bytes, in order, both ways (RFC 9000 §7.5, §19.6).

use crate::carried::{Carried, Kind, Piece};
use crate::coding::Writer;
use crate::error::{Code, Fault, fault};
use crate::frame::kind;
use crate::ranges::{Range, RangeSet};

/// How many gaps the peer's handshake bytes may have.
const MAX_GAPS: usize = 6;

/// The header of a TLS handshake message: its type, and its length in three bytes.
const MESSAGE_HEADER: usize = 4;

/// What the server sends at one encryption level. The bytes lie in memory that every call is given
/// anew, since it is lent.
#[derive(Debug)]
pub(crate) struct Incoming {
    /// The offset of the memory's first byte.
    base: u64,
    received: RangeSet<MAX_GAPS>,
}

/// How much of a CRYPTO frame was taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Taken {
    /// All of it, or it was known.
    All,
    /// So many bytes from its front; there is room for more once messages were consumed.
    Part(usize),
    /// Nothing: there are too many gaps.
    Nothing,
}

impl Incoming {
    pub(crate) const fn new() -> Self {
        Self {
            base: 0,
            received: RangeSet::new(),
        }
    }

    /// Begins the next encryption level, and says how many bytes the one before had.
    pub(crate) fn restart(&mut self) -> u64 {
        core::mem::replace(self, Self::new()).base
    }

    /// Whether all that came was consumed.
    pub(crate) fn is_empty(&self) -> bool {
        self.received.is_empty()
    }

    /// Takes the bytes of a CRYPTO frame, as far as `memory` goes.
    pub(crate) fn take(&mut self, memory: &mut [u8], offset: u64, data: &[u8]) -> Taken {
        let skipped = usize::try_from(self.base.saturating_sub(offset)).unwrap_or(usize::MAX);
        let Some(fresh) = data.get(skipped..) else {
            return Taken::All;
        };
        let start = offset.max(self.base);
        let at = usize::try_from(start.saturating_sub(self.base)).unwrap_or(usize::MAX);
        let room = memory.get_mut(at..).unwrap_or_default();
        let count = fresh.len().min(room.len());
        let end = start.saturating_add(count as u64);
        if self.received.insert(Range::new(start, end)).is_err() {
            return Taken::Nothing;
        }
        for (to, from) in room.iter_mut().zip(fresh) {
            *to = *from;
        }
        if count == fresh.len() {
            Taken::All
        } else {
            Taken::Part(skipped.saturating_add(count))
        }
    }

    /// The next whole message, its header included.
    ///
    /// # Errors
    /// `CRYPTO_BUFFER_EXCEEDED`: it is longer than `memory`.
    pub(crate) fn message<'a>(&self, memory: &'a [u8]) -> Result<Option<&'a [u8]>, Fault> {
        let there = self
            .received
            .first()
            .filter(|range| range.start == self.base)
            .map_or(0, |range| usize::try_from(range.len()).unwrap_or(0));
        let bytes = memory.get(..there).unwrap_or_default();
        let Some(&[_, a, b, c]) = bytes.first_chunk::<MESSAGE_HEADER>() else {
            return Ok(None);
        };
        let len = (u32::from_be_bytes([0, a, b, c]) as usize).saturating_add(MESSAGE_HEADER);
        if len > memory.len() {
            return Err(fault!(
                Code::CRYPTO_BUFFER_EXCEEDED,
                "a handshake message is longer than there is memory for"
            ));
        }
        Ok(bytes.get(..len))
    }

    /// The first `count` bytes were read.
    pub(crate) fn consume(&mut self, memory: &mut [u8], count: usize) {
        self.base = self.base.saturating_add(count as u64);
        self.received.remove_below(self.base);
        let count = count.min(memory.len());
        memory.copy_within(count.., 0);
    }
}

/// What this end sends at one encryption level: whole flights, which are repeated until the level
/// is done. That the server goes on says that it has them.
#[derive(Debug)]
pub(crate) struct Outgoing {
    /// The offset of the flight's first byte.
    base: u64,
    len: usize,
    to_send: RangeSet<4>,
}

impl Outgoing {
    pub(crate) const fn new() -> Self {
        Self {
            base: 0,
            len: 0,
            to_send: RangeSet::new(),
        }
    }

    /// The flight before is with the server, and another, of `len` bytes, follows it.
    pub(crate) fn next_flight(&mut self, len: usize) {
        self.base = self.base.saturating_add(self.len as u64);
        self.len = len;
        self.to_send.clear();
        self.send_all();
    }

    /// All of it is to be sent, perhaps again.
    pub(crate) fn send_all(&mut self) {
        let end = self.base.saturating_add(self.len as u64);
        // One range always fits, when it covers all others.
        let _merged = self.to_send.insert(Range::new(self.base, end));
    }

    /// Nothing of it matters any more.
    pub(crate) fn discard(&mut self) {
        *self = Self::new();
    }

    pub(crate) fn wants_to_send(&self) -> bool {
        !self.to_send.is_empty()
    }

    /// A piece of it was lost.
    pub(crate) fn on_lost(&mut self, piece: &Piece) {
        let start = u64::from(piece.offset).max(self.base);
        let end = u64::from(piece.offset)
            .saturating_add(u64::from(piece.len))
            .min(self.base.saturating_add(self.len as u64));
        if self.to_send.insert(Range::new(start, end)).is_err() {
            self.send_all();
        }
    }

    /// Writes CRYPTO frames, as many as there is room for. `flight` holds the bytes.
    pub(crate) fn write_frames(
        &mut self,
        flight: &[u8],
        out: &mut Writer<'_>,
        carried: &mut Carried,
    ) {
        while carried.has_room() {
            let Some(range) = self.to_send.first() else {
                return;
            };
            // Type, offset and a length of two bytes.
            let header = crate::varint::len(range.start).saturating_add(3);
            let Some(room) = out.room().checked_sub(header).filter(|&room| room > 0) else {
                return;
            };
            let count = usize::try_from(range.len()).unwrap_or(0).min(room);
            let at = usize::try_from(range.start.saturating_sub(self.base)).unwrap_or(usize::MAX);
            let bytes = flight
                .get(at..)
                .and_then(|rest| rest.get(..count))
                .unwrap_or_default();
            let written = out
                .u8(kind::CRYPTO)
                .and_then(|()| out.varint(range.start))
                .and_then(|()| out.u16(count as u16 | 0x4000))
                .and_then(|()| out.bytes(bytes));
            if written.is_none() || bytes.is_empty() {
                return;
            }
            carried.push(Piece {
                kind: Kind::Crypto,
                stream: 0,
                offset: range.start as u32,
                len: count as u16,
            });
            self.to_send
                .remove_below(range.start.saturating_add(count as u64));
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::indexing_slicing)]
mod tests {
    use super::*;

    #[test]
    fn messages_come_out_in_order_whatever_the_order_of_their_pieces() {
        let mut memory = [0; 32];
        let mut incoming = Incoming::new();
        let flight = [1, 0, 0, 2, 7, 8, 2, 0, 0, 1, 9];
        assert_eq!(incoming.take(&mut memory, 5, &flight[5..]), Taken::All);
        assert_eq!(incoming.message(&memory), Ok(None));
        assert_eq!(incoming.take(&mut memory, 0, &flight[..7]), Taken::All);
        assert_eq!(incoming.message(&memory), Ok(Some(&flight[..6])));
        incoming.consume(&mut memory, 6);
        assert_eq!(incoming.message(&memory), Ok(Some(&flight[6..])));
        incoming.consume(&mut memory, 5);
        assert!(incoming.is_empty());
        assert_eq!(incoming.take(&mut memory, 0, &flight), Taken::All);
        assert_eq!(incoming.message(&memory), Ok(None));
    }

    #[test]
    fn what_does_not_fit_is_taken_after_the_messages_before_it() {
        let mut memory = [0; 8];
        let mut incoming = Incoming::new();
        let flight = [1, 0, 0, 2, 7, 8, 2, 0, 0, 1, 9];
        assert_eq!(incoming.take(&mut memory, 0, &flight), Taken::Part(8));
        assert_eq!(incoming.message(&memory), Ok(Some(&flight[..6])));
        incoming.consume(&mut memory, 6);
        assert_eq!(incoming.take(&mut memory, 0, &flight), Taken::All);
        assert_eq!(incoming.message(&memory), Ok(Some(&flight[6..])));
    }

    #[test]
    fn a_message_that_is_longer_than_the_memory_and_too_many_gaps_are_refused() {
        let mut memory = [0; 64];
        let mut incoming = Incoming::new();
        incoming.take(&mut memory, 0, &[1, 0, 1, 0]);
        assert_eq!(
            incoming.message(&memory).unwrap_err().code,
            Code::CRYPTO_BUFFER_EXCEEDED
        );
        let mut incoming = Incoming::new();
        for gap in 0..MAX_GAPS as u64 {
            assert_eq!(incoming.take(&mut memory, 1 + 2 * gap, &[0]), Taken::All);
        }
        assert_eq!(incoming.take(&mut memory, 40, &[0]), Taken::Nothing);
        assert_eq!(incoming.take(&mut memory, 63, &[0; 2]), Taken::Nothing);
    }

    #[test]
    fn what_is_lost_is_sent_again_and_nothing_else() {
        let flight: std::vec::Vec<u8> = (0..100).collect();
        let mut outgoing = Outgoing::new();
        outgoing.next_flight(100);
        let mut buffer = [0; 60];
        let mut first = Carried::default();
        let mut out = Writer::new(&mut buffer);
        outgoing.write_frames(&flight, &mut out, &mut first);
        assert_eq!(out.len(), 60);
        let mut buffer = [0; 60];
        let mut second = Carried::default();
        let mut out = Writer::new(&mut buffer);
        outgoing.write_frames(&flight, &mut out, &mut second);
        assert!(!outgoing.wants_to_send());
        for piece in first.pieces() {
            outgoing.on_lost(piece);
        }
        let mut buffer = [0; 200];
        let mut again = Carried::default();
        outgoing.write_frames(&flight, &mut Writer::new(&mut buffer), &mut again);
        assert!(again.pieces().eq(first.pieces()));
        assert!(!outgoing.wants_to_send());
    }
}
