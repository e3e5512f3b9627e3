//! The table of what is in flight, in all spaces together, in the order of sending.

use super::{Ack, Space};
use crate::carried::Carried;
use crate::time::Instant;

/// How many packets may be in flight.
pub(crate) const MAX_SENT: usize = 32;

// What a connection pays for its packets in flight.
const _: () = assert!(size_of::<Entry>() <= 64 && size_of::<Table>() <= 2048 + 8);

/// A packet as the connection sends it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Sent {
    /// Rises within a space.
    pub(crate) number: u64,
    /// When it was sent.
    pub(crate) time: Instant,
    /// Its bytes in the datagram, headers and padding included.
    pub(crate) size: u16,
    /// It has a frame other than ACK, PADDING and CONNECTION_CLOSE.
    pub(crate) ack_eliciting: bool,
    /// It is ack-eliciting or has PADDING. Nothing else is remembered: the fate of an ACK that
    /// travels alone is never reported.
    pub(crate) in_flight: bool,
    /// What it carried.
    pub(crate) carried: Carried,
}

/// A packet in the table.
#[derive(Clone, Copy, Debug)]
pub(super) struct Entry {
    pub(super) carried: Carried,
    pub(super) time: Instant,
    /// The number's low 32 bits: a packet does not stay for 2^32 others.
    number: u32,
    pub(super) size: u16,
    pub(super) space: Space,
    flags: u8,
}

const ACK_ELICITING: u8 = 1;
/// It counts for congestion control and for the round-trip time. What was sent on another path
/// does not.
const COUNTED: u8 = 1 << 1;
/// Its content was reported as lost already, for a probe to repeat it.
const REPEATED: u8 = 1 << 2;
/// The ACK frame in work acknowledges it.
const ACKED: u8 = 1 << 3;

impl Entry {
    fn new(space: Space, sent: &Sent) -> Self {
        Self {
            carried: sent.carried,
            time: sent.time,
            number: sent.number as u32,
            size: sent.size,
            space,
            flags: COUNTED | if sent.ack_eliciting { ACK_ELICITING } else { 0 },
        }
    }

    /// The whole number, of which `next`, the next number of the space, tells the upper bits.
    pub(super) const fn number(&self, next: u64) -> u64 {
        let distance = (next as u32).wrapping_sub(self.number);
        next.saturating_sub(distance as u64)
    }

    pub(super) const fn is_ack_eliciting(&self) -> bool {
        self.flags & ACK_ELICITING != 0
    }

    pub(super) const fn is_counted(&self) -> bool {
        self.flags & COUNTED != 0
    }

    pub(super) const fn is_repeated(&self) -> bool {
        self.flags & REPEATED != 0
    }

    pub(super) const fn is_acked(&self) -> bool {
        self.flags & ACKED != 0
    }

    pub(super) const fn set_repeated(&mut self) {
        self.flags |= REPEATED;
    }

    pub(super) const fn set_uncounted(&mut self) {
        self.flags &= !COUNTED;
    }

    /// Whether nothing is lost with it: it carried nothing, or another packet carries it too.
    const fn is_expendable(&self) -> bool {
        self.is_repeated() || !self.is_ack_eliciting()
    }
}

/// The packets in flight, oldest first.
#[derive(Clone, Debug)]
pub(super) struct Table {
    entries: heapless::Vec<Entry, MAX_SENT>,
}

impl Table {
    pub(super) const fn new() -> Self {
        Self {
            entries: heapless::Vec::new(),
        }
    }

    pub(super) fn has_room(&self) -> bool {
        !self.entries.is_full()
    }

    /// Whether a probe finds a place, if need be that of a packet which can be forgotten.
    pub(super) fn has_room_for_probe(&self) -> bool {
        self.has_room() || self.iter().any(Entry::is_expendable)
    }

    /// Forgets the oldest packet that can be forgotten.
    pub(super) fn evict(&mut self) -> Option<Entry> {
        let index = self.iter().position(Entry::is_expendable)?;
        Some(self.entries.remove(index))
    }

    /// Adds a packet; `false` when there is no room.
    pub(super) fn push(&mut self, space: Space, sent: &Sent) -> bool {
        self.entries.push(Entry::new(space, sent)).is_ok()
    }

    pub(super) fn iter(&self) -> core::slice::Iter<'_, Entry> {
        self.entries.iter()
    }

    pub(super) fn iter_mut(&mut self) -> core::slice::IterMut<'_, Entry> {
        self.entries.iter_mut()
    }

    /// When the last packet of `space` was sent that still has to be acknowledged.
    pub(super) fn last_ack_eliciting(&self, space: Space) -> Option<Instant> {
        self.iter()
            .rfind(|entry| entry.space == space && entry.is_ack_eliciting())
            .map(|entry| entry.time)
    }

    /// Marks what `ack` acknowledges. Both run from high numbers to low ones, side by side, so that
    /// a frame of many ranges costs no more than its reading.
    pub(super) fn mark_acked(&mut self, space: Space, next: u64, ack: &Ack<'_>) {
        let mut ranges = ack.iter();
        let mut range = ranges.next();
        for entry in self.entries.iter_mut().rev() {
            if entry.space != space {
                continue;
            }
            let number = entry.number(next);
            while range.as_ref().is_some_and(|range| *range.start() > number) {
                range = ranges.next();
            }
            match &range {
                Some(range) if range.contains(&number) => entry.flags |= ACKED,
                Some(_) => {}
                None => return,
            }
        }
    }

    /// Shows each packet to `keep`, oldest first, and takes those out that it does not want. One
    /// pass moves the rest, however many go.
    pub(super) fn sweep(&mut self, keep: &mut dyn FnMut(&Entry) -> bool) {
        self.entries.retain(|entry| keep(entry));
    }
}

#[cfg(test)]
#[allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects
)]
mod tests {
    use std::vec::Vec;

    use super::*;
    use crate::coding::Reader;

    fn packet(number: u64, ack_eliciting: bool) -> Sent {
        Sent {
            number,
            time: Instant::from_micros(number),
            size: 1200,
            ack_eliciting,
            in_flight: true,
            carried: Carried::default(),
        }
    }

    fn numbers(table: &Table, next: u64) -> Vec<u64> {
        table.iter().map(|entry| entry.number(next)).collect()
    }

    #[test]
    fn numbers_are_whole_again_across_the_boundary_of_32_bits() {
        let base = (1 << 40) + u64::from(u32::MAX) - 1;
        let mut table = Table::new();
        for number in base..base + 4 {
            assert!(table.push(Space::Application, &packet(number, true)));
        }
        let wanted: Vec<_> = (base..base + 4).collect();
        assert_eq!(numbers(&table, base + 4), wanted);
    }

    #[test]
    fn only_the_packets_of_the_ack_s_space_and_ranges_are_marked() {
        let mut table = Table::new();
        for number in 0..8 {
            table.push(Space::Handshake, &packet(number, true));
            table.push(Space::Application, &packet(number, true));
        }
        // 6..=6 and 2..=3.
        let bytes = [6, 0, 1, 0, 1, 1];
        let ack = Ack::parse(&mut Reader::new(&bytes), false).unwrap();
        table.mark_acked(Space::Application, 8, &ack);
        let marked: Vec<_> = table.iter().filter(|entry| entry.is_acked()).collect();
        assert!(marked.iter().all(|entry| entry.space == Space::Application));
        assert!(marked.iter().map(|entry| entry.number(8)).eq([2, 3, 6]));
    }

    #[test]
    fn ranges_about_packets_that_are_gone_are_passed_over() {
        let mut table = Table::new();
        table.push(Space::Application, &packet(0, true));
        table.push(Space::Application, &packet(8, true));
        // 8, 6, 4, 2 and 0.
        let bytes = [8, 0, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0];
        let ack = Ack::parse(&mut Reader::new(&bytes), false).unwrap();
        table.mark_acked(Space::Application, 9, &ack);
        assert!(table.iter().all(Entry::is_acked));
    }

    #[test]
    fn a_full_table_gives_up_the_oldest_packet_whose_content_is_elsewhere() {
        let mut table = Table::new();
        for number in 0..MAX_SENT as u64 {
            assert!(table.push(Space::Application, &packet(number, number != 9)));
        }
        assert!(!table.has_room() && table.has_room_for_probe());
        assert!(!table.push(Space::Application, &packet(99, true)));
        table.iter_mut().nth(4).unwrap().set_repeated();
        assert_eq!(table.evict().map(|entry| entry.number(32)), Some(4));
        assert_eq!(table.evict().map(|entry| entry.number(32)), Some(9));
        assert!(table.evict().is_none());
    }
}
