//! How often each source may ask (`DISC-8`): a bucket of tokens per source address, in a table
//! that does not grow.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::time::{Duration, Instant};

/// How often something may happen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rate {
    /// How often at once.
    pub burst: u32,
    /// After how long once more.
    pub every: Duration,
}

/// The buckets.
pub(super) struct Buckets {
    rate: Rate,
    most: usize,
    /// When each source's bucket is full again.
    full_at: HashMap<IpAddr, Instant>,
    /// What sources share that find no room in the table.
    others_full_at: Option<Instant>,
    swept: Option<Instant>,
}

impl Buckets {
    pub(super) fn new(rate: Rate, most: usize) -> Self {
        let every = rate.every.min(LONGEST);
        Self {
            rate: Rate { every, ..rate },
            most,
            full_at: HashMap::new(),
            others_full_at: None,
            swept: None,
        }
    }

    /// Takes a token out of the bucket of `source`, if there is one.
    pub(super) fn take(&mut self, source: IpAddr, now: Instant) -> bool {
        let source = neighbourhood(source);
        if !self.full_at.contains_key(&source) && self.full_at.len() >= self.most {
            self.sweep(now);
        }
        let room = self.full_at.len() < self.most;
        let rate = self.rate;
        match self.full_at.get_mut(&source) {
            Some(full_at) => take(rate, full_at, now),
            None if room => take(rate, self.full_at.entry(source).or_insert(now), now),
            None => take(rate, self.others_full_at.get_or_insert(now), now),
        }
    }

    /// Forgets the sources whose buckets are full: nothing is lost with them.
    fn sweep(&mut self, now: Instant) {
        let pause = self.rate.every;
        if self.swept.is_none_or(|swept| now >= swept + pause) {
            self.swept = Some(now);
            self.full_at.retain(|_, full_at| *full_at > now);
        }
    }
}

/// With more than this, sums of times might not be times any more.
const LONGEST: Duration = Duration::from_secs(24 * 60 * 60);

/// A token is `every` of time: a bucket holds `burst` of them, less the time until it is full.
fn take(rate: Rate, full_at: &mut Instant, now: Instant) -> bool {
    let next = (*full_at).max(now) + rate.every;
    let allowed = next <= now + rate.every.saturating_mul(rate.burst);
    if allowed {
        *full_at = next;
    }
    allowed
}

/// Who has one IPv6 address has all of its /64.
fn neighbourhood(source: IpAddr) -> IpAddr {
    match source.to_canonical() {
        IpAddr::V6(address) => {
            let network = address.to_bits() & !u128::from(u64::MAX);
            IpAddr::V6(Ipv6Addr::from_bits(network))
        }
        v4 => v4,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RATE: Rate = Rate {
        burst: 3,
        every: Duration::from_secs(1),
    };

    fn ip(text: &str) -> IpAddr {
        text.parse().expect("an address")
    }

    #[test]
    fn a_burst_is_allowed_and_then_one_at_a_time() {
        let mut buckets = Buckets::new(RATE, 8);
        let start = Instant::now();
        let took = |buckets: &mut Buckets, millis| {
            buckets.take(ip("192.0.2.1"), start + Duration::from_millis(millis))
        };
        for _ in 0..3 {
            assert!(took(&mut buckets, 0));
        }
        assert!(!took(&mut buckets, 0));
        assert!(!took(&mut buckets, 999));
        assert!(took(&mut buckets, 1000));
        assert!(!took(&mut buckets, 1001));
        // Not more than a burst is ever saved up.
        for _ in 0..3 {
            assert!(took(&mut buckets, 100_000));
        }
        assert!(!took(&mut buckets, 100_000));
        assert!(buckets.take(ip("192.0.2.2"), start));
    }

    #[test]
    fn the_addresses_of_one_network_share_a_bucket() {
        let mut buckets = Buckets::new(Rate { burst: 1, ..RATE }, 8);
        let now = Instant::now();
        assert!(buckets.take(ip("2001:db8::1"), now));
        assert!(!buckets.take(ip("2001:db8::ffff:1"), now));
        assert!(buckets.take(ip("2001:db8:0:1::1"), now));
        assert!(buckets.take(ip("192.0.2.1"), now));
        assert!(!buckets.take(ip("::ffff:192.0.2.1"), now));
    }

    #[test]
    fn a_full_table_makes_newcomers_share_and_hurts_nobody_in_it() {
        let mut buckets = Buckets::new(RATE, 2);
        let now = Instant::now();
        assert!(buckets.take(ip("192.0.2.1"), now));
        assert!(buckets.take(ip("192.0.2.2"), now));
        for last in 3..6 {
            assert!(buckets.take(IpAddr::from([192, 0, 2, last]), now));
        }
        assert!(
            !buckets.take(ip("192.0.2.9"), now),
            "the shared one is empty"
        );
        assert!(buckets.take(ip("192.0.2.1"), now));
        assert!(buckets.full_at.len() <= 2);
        // Full buckets make room.
        assert!(buckets.take(ip("192.0.2.9"), now + Duration::from_secs(60)));
        assert!(buckets.full_at.len() <= 2);
    }

    #[test]
    fn a_rate_of_nothing_allows_nothing() {
        let mut buckets = Buckets::new(Rate { burst: 0, ..RATE }, 2);
        assert!(!buckets.take(ip("192.0.2.1"), Instant::now()));
    }
}
