//! Which bytes of a window have arrived, were acknowledged or were lost.

/// How many spans a set holds.
pub(super) const MAX: usize = 4;

/// Bytes from `start` up to, not including, `end`, counted from where the window begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Span {
    pub(super) start: u32,
    pub(super) end: u32,
}

impl Span {
    const EMPTY: Self = Self::new(0, 0);

    pub(super) const fn new(start: u32, end: u32) -> Self {
        Self { start, end }
    }

    pub(super) const fn len(self) -> u32 {
        self.end.saturating_sub(self.start)
    }

    pub(super) const fn is_empty(self) -> bool {
        self.end <= self.start
    }
}

/// At most [`MAX`] spans, ascending, disjoint and not touching. They are relative to a window that
/// moves, so 32 bits do where [`crate::ranges::RangeSet`] takes 64: a slot holds three such sets.
#[derive(Clone, Debug)]
pub(super) struct Spans([Span; MAX]);

/// The set has no room for another span; nothing was changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Full;

impl Spans {
    pub(super) const fn new() -> Self {
        Self([Span::EMPTY; MAX])
    }

    pub(super) fn clear(&mut self) {
        *self = Self::new();
    }

    /// The spans, lowest first.
    pub(super) fn iter(&self) -> impl Iterator<Item = Span> {
        self.0.iter().copied().take_while(|span| !span.is_empty())
    }

    /// Appends a span that lies behind all others.
    fn push(&mut self, span: Span) -> Result<(), Full> {
        let free = self.0.iter_mut().find(|span| span.is_empty());
        *free.ok_or(Full)? = span;
        Ok(())
    }

    /// Adds `added`, merging what overlaps or touches. An empty span changes nothing.
    pub(super) fn insert(&mut self, mut added: Span) -> Result<(), Full> {
        if added.is_empty() {
            return Ok(());
        }
        let mut merged = Self::new();
        for span in self.iter() {
            if span.end < added.start {
                merged.push(span)?;
            } else if span.start > added.end {
                // The rest lies behind this one just as it lay behind the added one.
                merged.push(added)?;
                added = span;
            } else {
                added = Span::new(added.start.min(span.start), added.end.max(span.end));
            }
        }
        merged.push(added)?;
        *self = merged;
        Ok(())
    }

    /// Adds `added`, and when the set is full also what lies between it and a neighbour.
    pub(super) fn insert_widened(&mut self, added: Span) {
        if self.insert(added).is_ok() {
            return;
        }
        // Full, so nothing touches `added`, and one of the two neighbours exists.
        let before = self.0.iter().rposition(|span| span.end < added.start);
        if let Some(span) = self.0.get_mut(before.unwrap_or(0)) {
            span.start = span.start.min(added.start);
            span.end = span.end.max(added.end);
        }
    }

    /// Forgets everything below `bound`.
    pub(super) fn remove_below(&mut self, bound: u32) {
        self.map(|span| Span::new(span.start.max(bound), span.end));
    }

    /// The window begins `count` bytes later: what lies before is forgotten.
    pub(super) fn advance(&mut self, count: u32) {
        self.map(|span| {
            Span::new(
                span.start.saturating_sub(count),
                span.end.saturating_sub(count),
            )
        });
    }

    /// Where the bytes end that are there without a gap, when those below `end` are. What they
    /// swallow is forgotten.
    pub(super) fn absorb(&mut self, mut end: u32) -> u32 {
        for span in self.iter() {
            if span.start <= end {
                end = end.max(span.end);
            }
        }
        self.remove_below(end);
        end
    }

    /// Keeps what `change` leaves of each span.
    fn map(&mut self, change: impl Fn(Span) -> Span) {
        let mut kept = Self::new();
        for span in self.iter().map(change).filter(|span| !span.is_empty()) {
            // There are no more than before, so they fit.
            let _ = kept.push(span);
        }
        *self = kept;
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
    use std::vec::Vec;

    fn set(spans: &[(u32, u32)]) -> Spans {
        let mut set = Spans::new();
        for &(start, end) in spans {
            set.insert(Span::new(start, end)).unwrap();
        }
        set
    }

    #[test]
    fn a_full_set_refuses_what_does_not_merge_and_stays_as_it_was() {
        let mut full = set(&[(2, 3), (5, 6), (8, 9), (20, 30)]);
        let before: Vec<_> = full.iter().collect();
        for alone in [(0, 1), (11, 12), (40, 41)] {
            assert_eq!(full.insert(Span::new(alone.0, alone.1)), Err(Full));
        }
        assert_eq!(full.iter().collect::<Vec<_>>(), before);
        full.insert(Span::new(3, 5)).unwrap();
        assert_eq!(full.iter().count(), 3);
    }

    #[test]
    fn a_full_set_widens_towards_its_neighbour() {
        let full = set(&[(2, 3), (5, 6), (8, 9), (20, 30)]);
        for (added, first, last) in [((0, 1), (0, 3), (20, 30)), ((40, 41), (2, 3), (20, 41))] {
            let mut widened = full.clone();
            widened.insert_widened(Span::new(added.0, added.1));
            let spans: Vec<_> = widened.iter().collect();
            assert_eq!(spans[0], Span::new(first.0, first.1));
            assert_eq!(spans[3], Span::new(last.0, last.1));
        }
        let mut widened = full;
        widened.insert_widened(Span::new(11, 12));
        assert_eq!(widened.iter().nth(2), Some(Span::new(8, 12)));
    }

    #[test]
    fn a_prefix_swallows_the_spans_that_it_reaches_one_after_another() {
        let mut gaps = set(&[(4, 6), (8, 9), (12, 13)]);
        assert_eq!(gaps.absorb(3), 3);
        assert_eq!(gaps.absorb(4), 6);
        assert_eq!(gaps.absorb(8), 9);
        assert_eq!(gaps.iter().collect::<Vec<_>>(), [Span::new(12, 13)]);
    }

    proptest! {
        #[test]
        fn spans_agree_with_a_table_of_bits(
            steps in prop::collection::vec((0_u32..60, 0_u32..12, 0_u8..4), 1..60)
        ) {
            let mut set = Spans::new();
            let mut bits = std::vec![false; 80];
            for (start, len, what) in steps {
                let at = start as usize;
                match what {
                    0 => {
                        set.advance(len);
                        bits.drain(..len as usize);
                        bits.resize(80, false);
                    }
                    1 => {
                        set.remove_below(start);
                        bits[..at].fill(false);
                    }
                    _ => {
                        if set.insert(Span::new(start, start + len)).is_ok() {
                            bits[at..at + len as usize].fill(true);
                        }
                    }
                }
                let mut seen = std::vec![false; 80];
                let mut end = None;
                for span in set.iter() {
                    prop_assert!(end.is_none_or(|end| end < span.start));
                    end = Some(span.end);
                    seen[span.start as usize..span.end as usize].fill(true);
                }
                prop_assert_eq!(&seen, &bits);
            }
        }

        #[test]
        fn a_widened_set_covers_everything_that_was_added(
            added in prop::collection::vec((0_u32..200, 1_u32..6), 1..30)
        ) {
            let mut set = Spans::new();
            for &(start, len) in &added {
                set.insert_widened(Span::new(start, start + len));
                prop_assert!(set.iter().any(|span| span.start <= start && start + len <= span.end));
            }
            for &(start, len) in &added {
                prop_assert!(set.iter().any(|span| span.start <= start && start + len <= span.end));
            }
            let spans: Vec<_> = set.iter().collect();
            prop_assert!(spans.windows(2).all(|pair| pair[0].end < pair[1].start));
        }
    }
}
