//! A bounded set of ranges: received packet numbers, received and acknowledged bytes.

/// Half-open ranges, ascending, disjoint and not touching; at most `N` of them.
#[derive(Clone, Debug, Default)]
pub(crate) struct RangeSet<const N: usize> {
    ranges: heapless::Vec<Range, N>,
}

/// From `start` up to, not including, `end`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Range {
    pub(crate) start: u64,
    pub(crate) end: u64,
}

impl Range {
    pub(crate) const fn new(start: u64, end: u64) -> Self {
        Self { start, end }
    }

    pub(crate) const fn len(self) -> u64 {
        self.end.saturating_sub(self.start)
    }
}

/// The set has no room for another range; nothing was changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Full;

impl<const N: usize> RangeSet<N> {
    pub(crate) const fn new() -> Self {
        Self {
            ranges: heapless::Vec::new(),
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.ranges.is_empty()
    }

    /// The ranges, lowest first.
    pub(crate) fn as_slice(&self) -> &[Range] {
        &self.ranges
    }

    pub(crate) fn first(&self) -> Option<Range> {
        self.ranges.first().copied()
    }

    pub(crate) fn last(&self) -> Option<Range> {
        self.ranges.last().copied()
    }

    pub(crate) fn contains(&self, value: u64) -> bool {
        self.ranges
            .iter()
            .any(|range| range.start <= value && value < range.end)
    }

    pub(crate) fn clear(&mut self) {
        self.ranges.clear();
    }

    /// Adds `added`, merging what overlaps or touches. An empty range changes nothing.
    pub(crate) fn insert(&mut self, added: Range) -> Result<(), Full> {
        if added.start >= added.end {
            return Ok(());
        }
        // The ranges first..past overlap or touch the new one.
        let first = self.ranges.partition_point(|range| range.end < added.start);
        let past = self
            .ranges
            .partition_point(|range| range.start <= added.end);
        let Some(count) = past.checked_sub(first).filter(|&count| count > 0) else {
            return self.ranges.insert(first, added).map_err(|_| Full);
        };
        let end = past
            .checked_sub(1)
            .and_then(|last| self.ranges.get(last))
            .map_or(added.end, |range| range.end.max(added.end));
        if let Some(range) = self.ranges.get_mut(first) {
            range.start = range.start.min(added.start);
            range.end = end;
        }
        for _ in 1..count {
            self.ranges.remove(first.saturating_add(1));
        }
        Ok(())
    }

    /// Forgets everything below `bound`.
    pub(crate) fn remove_below(&mut self, bound: u64) {
        let gone = self.ranges.partition_point(|range| range.end <= bound);
        for _ in 0..gone {
            self.ranges.remove(0);
        }
        if let Some(range) = self.ranges.first_mut() {
            range.start = range.start.max(bound);
        }
    }

    /// Takes the lowest range out.
    pub(crate) fn pop_first(&mut self) -> Option<Range> {
        (!self.ranges.is_empty()).then(|| self.ranges.remove(0))
    }
}

#[cfg(test)]
#[allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects
)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn touching_ranges_become_one() {
        let mut set = RangeSet::<4>::new();
        set.insert(Range::new(0, 2)).unwrap();
        set.insert(Range::new(4, 6)).unwrap();
        set.insert(Range::new(2, 4)).unwrap();
        assert_eq!(set.as_slice(), [Range::new(0, 6)]);
    }

    #[test]
    fn a_full_set_still_takes_what_merges() {
        let mut set = RangeSet::<2>::new();
        set.insert(Range::new(0, 1)).unwrap();
        set.insert(Range::new(5, 6)).unwrap();
        assert_eq!(set.insert(Range::new(3, 4)), Err(Full));
        set.insert(Range::new(1, 5)).unwrap();
        assert_eq!(set.as_slice(), [Range::new(0, 6)]);
    }

    proptest! {
        #[test]
        fn a_range_set_agrees_with_a_table_of_bits(
            steps in prop::collection::vec((0_u64..60, 0_u64..12, any::<bool>()), 1..40)
        ) {
            let mut set = RangeSet::<64>::new();
            let mut bits = [false; 128];
            for (start, len, remove) in steps {
                if remove {
                    set.remove_below(start);
                    bits[..start as usize].fill(false);
                } else {
                    set.insert(Range::new(start, start + len)).unwrap();
                    bits[start as usize..(start + len) as usize].fill(true);
                }
                for (value, &there) in bits.iter().enumerate() {
                    prop_assert_eq!(set.contains(value as u64), there);
                }
                for pair in set.as_slice().windows(2) {
                    prop_assert!(pair[0].end < pair[1].start);
                }
            }
        }
    }
}
