//! A bounded set of ranges: received packet numbers, received and acknowledged bytes.

/// Half-open ranges, ascending, disjoint and not touching; at most `N` of them.
#[derive(Clone, Debug)]
pub(crate) struct RangeSet<const N: usize> {
    ranges: [Range; N],
    len: usize,
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
            ranges: [Range::new(0, 0); N],
            len: 0,
        }
    }

    pub(crate) const fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// The ranges, lowest first.
    pub(crate) fn as_slice(&self) -> &[Range] {
        self.ranges.get(..self.len).unwrap_or_default()
    }

    pub(crate) fn first(&self) -> Option<Range> {
        self.as_slice().first().copied()
    }

    pub(crate) fn last(&self) -> Option<Range> {
        self.as_slice().last().copied()
    }

    pub(crate) fn contains(&self, value: u64) -> bool {
        contains(self.as_slice(), value)
    }

    pub(crate) const fn clear(&mut self) {
        self.len = 0;
    }

    /// Adds `added`, merging what overlaps or touches. An empty range changes nothing.
    pub(crate) fn insert(&mut self, added: Range) -> Result<(), Full> {
        insert(&mut self.ranges, &mut self.len, added)
    }

    /// Forgets everything below `bound`.
    pub(crate) fn remove_below(&mut self, bound: u64) {
        remove_below(&mut self.ranges, &mut self.len, bound);
    }

    /// Takes the lowest range out.
    pub(crate) fn pop_first(&mut self) -> Option<Range> {
        let first = self.first()?;
        self.remove_below(first.end);
        Some(first)
    }
}

// What follows is compiled once, not for every `N`: the `len` first of `ranges` are in use.

fn contains(ranges: &[Range], value: u64) -> bool {
    ranges
        .iter()
        .any(|range| range.start <= value && value < range.end)
}

fn insert(ranges: &mut [Range], len: &mut usize, added: Range) -> Result<(), Full> {
    if added.start >= added.end {
        return Ok(());
    }
    let used = ranges.get(..*len).unwrap_or_default();
    // The ranges first..past overlap or touch the new one.
    let first = count(used, |range| range.end < added.start);
    let past = count(used, |range| range.start <= added.end);
    if first == past {
        let more = len.saturating_add(1);
        let mut moved = added;
        for range in ranges.get_mut(first..more).ok_or(Full)? {
            core::mem::swap(range, &mut moved);
        }
        *len = more;
        return Ok(());
    }
    let last = past.saturating_sub(1);
    let end = used.get(last).map_or(0, |range| range.end);
    if let Some(range) = ranges.get_mut(first) {
        range.start = range.start.min(added.start);
        range.end = end.max(added.end);
    }
    remove(ranges, len, first.saturating_add(1), past);
    Ok(())
}

fn remove_below(ranges: &mut [Range], len: &mut usize, bound: u64) {
    let used = ranges.get(..*len).unwrap_or_default();
    let gone = count(used, |range| range.end <= bound);
    remove(ranges, len, 0, gone);
    if *len > 0
        && let Some(range) = ranges.first_mut()
    {
        range.start = range.start.max(bound);
    }
}

/// Takes out the ranges from `start` up to, not including, `end`.
fn remove(ranges: &mut [Range], len: &mut usize, start: usize, end: usize) {
    let mut to = start;
    for from in end..*len {
        if let Some(&moved) = ranges.get(from)
            && let Some(range) = ranges.get_mut(to)
        {
            *range = moved;
            to = to.saturating_add(1);
        }
    }
    *len = to;
}

/// How many of `ranges` come first that are `so`.
fn count(ranges: &[Range], so: impl Fn(&Range) -> bool) -> usize {
    ranges.iter().take_while(|range| so(range)).count()
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
