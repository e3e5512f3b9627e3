//! The estimate of the round-trip time (RFC 9002 §5), in microseconds that fit 32 bits.

use crate::time::{Instant, Micros};

/// The timer granularity that the RFC assumes (§6.1.2).
pub(crate) const GRANULARITY: u32 = 1000;

/// What is assumed before the first sample (§6.2.2).
const INITIAL: u32 = 333_000;

/// Longer than any round trip, and short enough that no sum below overflows: 4.5 minutes.
const LONGEST: u32 = 1 << 28;

/// What is known about the round-trip time.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Rtt {
    latest: u32,
    smoothed: u32,
    variation: u32,
    min: u32,
    /// When the first sample was taken.
    first_sample: Option<Instant>,
}

impl Rtt {
    /// No sample yet.
    pub(crate) const fn new() -> Self {
        Self::guessed(INITIAL)
    }

    /// No sample yet, but something better than the RFC's constant to begin with.
    pub(crate) const fn guessed(rtt: u32) -> Self {
        Self {
            latest: 0,
            smoothed: rtt,
            variation: rtt / 2,
            min: 0,
            first_sample: None,
        }
    }

    /// Takes a sample: the time between a packet's sending and its acknowledgement, of which the
    /// peer says that `ack_delay` was its own doing.
    pub(crate) fn on_sample(&mut self, sample: Micros, ack_delay: u32, now: Instant) {
        let sample = bounded(sample);
        self.latest = sample;
        if self.first_sample.is_none() {
            self.first_sample = Some(now);
            self.min = sample;
            self.smoothed = sample;
            self.variation = sample / 2;
            return;
        }
        self.min = self.min.min(sample);
        // The peer's word must not make the round trip shorter than it ever was (§5.3).
        let adjusted = if sample >= self.min.saturating_add(ack_delay) {
            sample.saturating_sub(ack_delay)
        } else {
            sample
        };
        self.variation = average(self.variation, self.smoothed.abs_diff(adjusted), 4);
        self.smoothed = average(self.smoothed, adjusted, 8);
    }

    /// Forgets the minimum, which the path after persistent congestion may never reach (§5.2).
    pub(crate) const fn restart_min(&mut self) {
        self.min = self.latest;
    }

    /// When the first sample was taken; before it, nothing proves persistent congestion (§7.6.2).
    pub(crate) const fn first_sample(&self) -> Option<Instant> {
        self.first_sample
    }

    pub(crate) const fn smoothed(&self) -> u32 {
        self.smoothed
    }

    #[cfg(test)]
    pub(crate) const fn variation(&self) -> u32 {
        self.variation
    }

    #[cfg(test)]
    pub(crate) const fn min(&self) -> u32 {
        self.min
    }

    /// The probe timeout without the peer's delay and without backoff (§6.2.1).
    pub(crate) fn probe_timeout(&self) -> u32 {
        let margin = self.variation.saturating_mul(4).max(GRANULARITY);
        self.smoothed.saturating_add(margin)
    }

    /// How much later than a packet behind it a packet may come before it is lost: 9/8 of the
    /// round-trip time (§6.1.2).
    pub(crate) fn loss_delay(&self) -> Micros {
        let rtt = self.latest.max(self.smoothed);
        let delay = rtt.saturating_add(rtt / 8).max(GRANULARITY);
        Micros::new(u64::from(delay))
    }
}

/// As microseconds in 32 bits, no more than [`LONGEST`].
pub(crate) fn bounded(span: Micros) -> u32 {
    u32::try_from(span.get()).unwrap_or(LONGEST).min(LONGEST)
}

/// The moving average in which `new` weighs 1/`weight`.
fn average(old: u32, new: u32, weight: u32) -> u32 {
    let kept = old.saturating_mul(weight.saturating_sub(1));
    kept.saturating_add(new).checked_div(weight).unwrap_or(new)
}

#[cfg(test)]
#[allow(clippy::arithmetic_side_effects)]
mod tests {
    use super::*;

    const NOW: Instant = Instant::from_micros(7);

    fn micros(rtt: &Rtt) -> (u32, u32, u32) {
        (rtt.smoothed, rtt.variation, rtt.min)
    }

    fn with(samples: &[(u64, u32)]) -> Rtt {
        let mut rtt = Rtt::new();
        for &(sample, delay) in samples {
            rtt.on_sample(Micros::new(sample), delay, NOW);
        }
        rtt
    }

    #[test]
    fn before_a_sample_a_third_of_a_second_is_assumed() {
        assert_eq!(micros(&Rtt::new()), (333_000, 166_500, 0));
        assert_eq!(Rtt::new().probe_timeout(), 999_000);
        assert_eq!(Rtt::new().loss_delay(), Micros::new(374_625));
    }

    #[test]
    fn the_first_sample_replaces_the_guess_and_its_delay_does_not_count() {
        let rtt = with(&[(100_000, 90_000)]);
        assert_eq!(micros(&rtt), (100_000, 50_000, 100_000));
        assert_eq!(rtt.first_sample(), Some(NOW));
    }

    #[test]
    fn later_samples_move_the_average_by_an_eighth_and_the_variation_by_a_quarter() {
        // Variation: 3/4 * 50 ms + 1/4 * |100 ms - 180 ms|; average: 7/8 * 100 ms + 1/8 * 180 ms.
        let rtt = with(&[(100_000, 0), (180_000, 0)]);
        assert_eq!(micros(&rtt), (110_000, 57_500, 100_000));
    }

    #[test]
    fn the_delay_is_taken_off_only_where_the_minimum_allows_it() {
        assert_eq!(
            micros(&with(&[(100_000, 0), (180_000, 80_000)])),
            (100_000, 37_500, 100_000)
        );
        assert_eq!(
            micros(&with(&[(100_000, 0), (180_000, 80_001)])),
            (110_000, 57_500, 100_000)
        );
        // A new minimum is not adjusted, whatever the peer says.
        assert_eq!(
            micros(&with(&[(100_000, 0), (60_000, 50_000)])),
            (95_000, 47_500, 60_000)
        );
    }

    #[test]
    fn the_timeouts_never_go_below_the_granularity() {
        let mut rtt = with(&[(100, 0)]);
        for _ in 0..50 {
            rtt.on_sample(Micros::new(100), 0, NOW);
        }
        assert_eq!(rtt.probe_timeout(), 100 + GRANULARITY);
        assert_eq!(rtt.loss_delay(), Micros::new(1000));
    }

    #[test]
    fn absurd_samples_stay_within_bounds() {
        let mut rtt = with(&[(u64::MAX, u32::MAX), (0, u32::MAX), (u64::MAX, 0)]);
        assert!(rtt.smoothed() <= LONGEST && rtt.variation() <= LONGEST);
        assert!(rtt.probe_timeout() <= 5 * LONGEST);
        rtt.restart_min();
        assert_eq!(rtt.min(), LONGEST);
    }
}
