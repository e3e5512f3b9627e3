//! ACK frames (RFC 9000 §19.3): read, walked through and written. The frame's type is the caller's.

use core::ops::RangeInclusive;

use crate::coding::{Reader, Writer};
use crate::error::{Code, Fault, fault};
use crate::ranges::Range;

/// An ACK frame whose ranges were checked when it was read: none goes below packet number 0.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Ack<'a> {
    /// The largest packet number that is acknowledged.
    pub(crate) largest: u64,
    /// How long the peer kept that packet before it answered, not yet scaled by its exponent.
    pub(crate) delay: u64,
    /// How many packets right below the largest are acknowledged too.
    pub(crate) first: u64,
    /// The further ranges as they came: pairs of gap and length.
    pub(crate) ranges: &'a [u8],
}

impl<'a> Ack<'a> {
    /// Reads what stands behind the frame's type; `ecn` says that the type was 0x03.
    pub(crate) fn parse(reader: &mut Reader<'a>, ecn: bool) -> Result<Self, Fault> {
        Self::read(reader, ecn).ok_or(fault!(Code::FRAME_ENCODING_ERROR, "ACK"))
    }

    fn read(reader: &mut Reader<'a>, ecn: bool) -> Option<Self> {
        let largest = reader.varint()?;
        let delay = reader.varint()?;
        let count = reader.varint()?;
        let first = reader.varint()?;
        let mut smallest = largest.checked_sub(first)?;
        let ranges = reader.rest();
        // Each turn takes two bytes at least, so the frame's end bounds a count that lies.
        for _ in 0..count {
            smallest = *range_below(smallest, reader)?.start();
        }
        let len = ranges.len().checked_sub(reader.len())?;
        // Counts of ECN marks are skipped: this end marks no datagram.
        if ecn {
            for _ in 0..3 {
                reader.varint()?;
            }
        }
        Some(Self {
            largest,
            delay,
            first,
            ranges: ranges.get(..len)?,
        })
    }

    /// The acknowledged packet numbers, highest range first.
    pub(crate) fn iter(&self) -> Ranges<'a> {
        Ranges {
            next: self
                .largest
                .checked_sub(self.first)
                .map(|start| start..=self.largest),
            rest: Reader::new(self.ranges),
        }
    }
}

/// What [`Ack::iter`] gives.
#[derive(Clone, Debug)]
pub(crate) struct Ranges<'a> {
    next: Option<RangeInclusive<u64>>,
    rest: Reader<'a>,
}

impl Iterator for Ranges<'_> {
    type Item = RangeInclusive<u64>;

    fn next(&mut self) -> Option<Self::Item> {
        let range = self.next.take()?;
        self.next = range_below(*range.start(), &mut self.rest);
        Some(range)
    }
}

/// Reads the range that comes below one that starts at `smallest`.
fn range_below(smallest: u64, reader: &mut Reader<'_>) -> Option<RangeInclusive<u64>> {
    let gap = reader.varint()?;
    let len = reader.varint()?;
    let end = smallest.checked_sub(gap)?.checked_sub(2)?;
    Some(end.checked_sub(len)?..=end)
}

/// Writes an ACK frame without ECN counts, its type included. `ranges` ascend, as a range set has
/// them; `delay` is already scaled. `None` when there is nothing to acknowledge or no room for all
/// of it; then nothing is written.
pub(crate) fn encode(out: &mut Writer<'_>, ranges: &[Range], delay: u64) -> Option<()> {
    let start = out.len();
    let written = write(out, ranges, delay);
    if written.is_none() {
        out.truncate(start);
    }
    written
}

fn write(out: &mut Writer<'_>, ranges: &[Range], delay: u64) -> Option<()> {
    let (newest, older) = ranges.split_last()?;
    out.u8(0x02)?;
    out.varint(newest.end.checked_sub(1)?)?;
    out.varint(delay)?;
    out.varint(u64::try_from(older.len()).ok()?)?;
    out.varint(newest.len().checked_sub(1)?)?;
    let mut above = newest;
    for range in older.iter().rev() {
        out.varint(above.start.checked_sub(range.end)?.checked_sub(1)?)?;
        out.varint(range.len().checked_sub(1)?)?;
        above = range;
    }
    Some(())
}

#[cfg(test)]
#[allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects
)]
mod tests {
    use std::vec::Vec;

    use proptest::prelude::*;

    use super::*;
    use crate::ranges::RangeSet;

    fn parse(bytes: &[u8]) -> Result<Ack<'_>, Fault> {
        Ack::parse(&mut Reader::new(bytes), false)
    }

    #[test]
    fn ranges_come_highest_first_and_the_rest_of_the_packet_is_left() {
        // 20..=18, a gap of 17 and 16, 15..=15, a gap of 14, 13..=10; then a PING.
        let bytes = [20, 5, 2, 2, 1, 0, 0, 3, 1];
        let mut reader = Reader::new(&bytes);
        let ack = Ack::parse(&mut reader, false).unwrap();
        assert_eq!((ack.largest, ack.delay, ack.first), (20, 5, 2));
        assert!(ack.iter().eq([18..=20, 15..=15, 10..=13]));
        assert_eq!(reader.rest(), [1]);
    }

    #[test]
    fn ecn_counts_are_skipped_and_must_be_there() {
        let bytes = [4, 0, 0, 4, 1, 2, 3, 9];
        let mut reader = Reader::new(&bytes);
        let ack = Ack::parse(&mut reader, true).unwrap();
        assert!(ack.iter().eq([0..=4]));
        assert_eq!(reader.rest(), [9]);
        assert!(Ack::parse(&mut Reader::new(&bytes[..6]), true).is_err());
    }

    #[test]
    fn a_range_below_zero_is_an_encoding_error() {
        let wrong = Err(Code::FRAME_ENCODING_ERROR);
        let code = |bytes: &[u8]| parse(bytes).map(|_| ()).map_err(|error| error.code);
        assert_eq!(code(&[4, 0, 0, 5]), wrong);
        assert_eq!(code(&[4, 0, 1, 3, 0, 0]), wrong);
        assert_eq!(code(&[4, 0, 1, 2, 0, 1]), wrong);
        assert_eq!(code(&[4, 0, 1, 2, 0, 0]), Ok(()));
    }

    #[test]
    fn a_count_of_ranges_that_lies_ends_with_the_frame() {
        let mut bytes = std::vec![9, 0];
        bytes.extend([0xff; 8]);
        bytes.extend([0, 0, 0]);
        assert!(parse(&bytes).is_err());
    }

    #[test]
    fn nothing_to_acknowledge_or_no_room_writes_nothing() {
        let mut out = [0; 5];
        let mut writer = Writer::new(&mut out);
        assert!(encode(&mut writer, &[], 0).is_none());
        assert!(encode(&mut writer, &[Range::new(1, 2), Range::new(3, 4)], 0).is_none());
        assert_eq!(writer.len(), 0);
        assert!(encode(&mut writer, &[Range::new(3, 4)], 0).is_some());
        assert_eq!(writer.written(), [2, 3, 0, 0, 0]);
    }

    proptest! {
        #[test]
        fn what_is_written_is_read_again(
            steps in prop::collection::vec((0_u64..1 << 40, 1_u64..1 << 20), 1..8),
            delay in 0_u64..1 << 62,
        ) {
            let mut set = RangeSet::<8>::new();
            for (start, len) in steps {
                set.insert(Range::new(start, start + len)).unwrap();
            }
            let mut out = [0; 200];
            let mut writer = Writer::new(&mut out);
            encode(&mut writer, set.as_slice(), delay).unwrap();
            let mut reader = Reader::new(writer.written());
            prop_assert_eq!(reader.u8(), Some(2));
            let ack = Ack::parse(&mut reader, false).unwrap();
            prop_assert!(reader.is_empty());
            prop_assert_eq!(ack.delay, delay);
            let wanted: Vec<_> = set.as_slice().iter().rev().map(|r| r.start..=r.end - 1).collect();
            prop_assert_eq!(ack.iter().collect::<Vec<_>>(), wanted);
        }

        #[test]
        fn any_bytes_are_an_ack_with_falling_ranges_or_an_error(
            bytes in prop::collection::vec(any::<u8>(), 0..64),
            ecn: bool,
        ) {
            if let Ok(ack) = Ack::parse(&mut Reader::new(&bytes), ecn) {
                let ranges: Vec<_> = ack.iter().collect();
                prop_assert!(ranges.iter().all(|range| range.start() <= range.end()));
                for pair in ranges.windows(2) {
                    prop_assert!(pair[1].end() + 1 < *pair[0].start());
                }
            }
        }
    }
}
