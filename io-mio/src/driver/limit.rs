//! How many connections a source address may begin before it has said who it is (`TR-4`).
//!
//! Each source has a bucket of tokens that fills up by itself: a connection that begins takes one,
//! and gives it back once both HELLOs are good. So a whole fleet behind one address may come back
//! at once, and who never says who it is, or is not wanted, is held off.
//!
//! A bucket is one number, the time at which it will be full again, and one that is full is none.
//! There are only so many: where there is no room for another, those sources that have none share
//! one, so that many addresses buy little.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv4Addr};

use crate::settings::Rate;

/// Whom a limit counts as one: an IPv4 address, or the 64 bits of an IPv6 address that a network
/// gives out whole, so that everybody there has as many addresses as they like.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Source {
    V4(Ipv4Addr),
    V6([u16; 4]),
    /// All those that there is no bucket left for.
    Others,
}

impl From<IpAddr> for Source {
    fn from(address: IpAddr) -> Self {
        match address.to_canonical() {
            IpAddr::V4(address) => Self::V4(address),
            IpAddr::V6(address) => {
                let [a, b, c, d, ..] = address.segments();
                Self::V6([a, b, c, d])
            }
        }
    }
}

/// The buckets.
#[derive(Debug)]
pub(super) struct Limiter {
    /// When each bucket will be full, in microseconds by the driver's clock.
    full_at: HashMap<Source, u64>,
    most: usize,
    /// How long a bucket takes for one token, and for all of them, in microseconds.
    token: u64,
    bucket: u64,
    /// Before then it is not worth while to look for buckets that are full.
    sweep_at: u64,
}

impl Limiter {
    pub(super) fn new(rate: Rate, most: usize) -> Self {
        let token = SECOND / u64::from(rate.per_second.max(1));
        Self {
            full_at: HashMap::new(),
            most,
            token,
            bucket: token.saturating_mul(u64::from(rate.burst.max(1))),
            sweep_at: 0,
        }
    }

    /// Whether `source` may begin a connection. Takes nothing.
    pub(super) fn allows(&self, source: Source, now: u64) -> bool {
        let source = self.bucket_of(source);
        let full_at = self.full_at.get(&source).copied().unwrap_or_default();
        full_at.max(now).saturating_add(self.token) <= now.saturating_add(self.bucket)
    }

    /// Takes a token for a connection of `source`, if there is one: the bucket that it is to be
    /// given back to.
    pub(super) fn take(&mut self, source: Source, now: u64) -> Option<Source> {
        self.make_room(source, now);
        if !self.allows(source, now) {
            return None;
        }
        let source = self.bucket_of(source);
        let full_at = self.full_at.entry(source).or_default();
        *full_at = (*full_at).max(now).saturating_add(self.token);
        Some(source)
    }

    /// The connection's peer is known, and wanted.
    pub(super) fn give_back(&mut self, source: Source) {
        if let Some(full_at) = self.full_at.get_mut(&source) {
            *full_at = full_at.saturating_sub(self.token);
        }
    }

    /// The bucket that counts for `source`.
    fn bucket_of(&self, source: Source) -> Source {
        if self.full_at.len() < self.most || self.full_at.contains_key(&source) {
            source
        } else {
            Source::Others
        }
    }

    /// Forgets the buckets that are full, where there is no room for another. Not with every
    /// packet: it looks at all of them.
    fn make_room(&mut self, source: Source, now: u64) {
        let full = self.full_at.len() >= self.most && !self.full_at.contains_key(&source);
        if full && now >= self.sweep_at {
            self.full_at.retain(|_, full_at| *full_at > now);
            self.sweep_at = now.saturating_add(SECOND);
        }
    }
}

const SECOND: u64 = 1_000_000;

/// How many sources have buckets of their own: less than 1 MiB of them.
pub(super) const MAX_SOURCES: usize = 16_384;

#[cfg(test)]
mod tests {
    use super::*;

    fn source(address: &str) -> Source {
        Source::from(address.parse::<IpAddr>().expect("an address"))
    }

    fn limiter(most: usize) -> Limiter {
        let rate = Rate {
            per_second: 10,
            burst: 3,
        };
        Limiter::new(rate, most)
    }

    /// How many connections `source` may begin now.
    fn taken(limiter: &mut Limiter, source: Source, now: u64) -> usize {
        (0..100)
            .take_while(|_| limiter.take(source, now).is_some())
            .count()
    }

    #[test]
    fn a_source_has_its_burst_and_then_its_rate() {
        let (mut limiter, one) = (limiter(10), source("192.0.2.1"));
        assert_eq!(taken(&mut limiter, one, 5 * SECOND), 3);
        assert!(!limiter.allows(one, 5 * SECOND + 99_999));
        assert_eq!(taken(&mut limiter, one, 5 * SECOND + 100_000), 1);
        assert_eq!(taken(&mut limiter, one, 5 * SECOND + 300_000), 2);
        assert_eq!(
            taken(&mut limiter, one, 60 * SECOND),
            3,
            "no more than that"
        );
    }

    #[test]
    fn one_source_does_not_hold_up_another() {
        let mut limiter = limiter(10);
        assert_eq!(taken(&mut limiter, source("192.0.2.1"), 0), 3);
        assert_eq!(taken(&mut limiter, source("192.0.2.2"), 0), 3);
    }

    #[test]
    fn a_network_of_ipv6_is_one_source_and_a_mapped_address_is_its_ipv4() {
        assert_eq!(source("2001:db8:1:2::1"), source("2001:db8:1:2:ffff::9"));
        assert_ne!(source("2001:db8:1:2::1"), source("2001:db8:1:3::1"));
        assert_eq!(source("::ffff:192.0.2.1"), source("192.0.2.1"));
    }

    #[test]
    fn who_says_who_it_is_gives_its_token_back() {
        let (mut limiter, one) = (limiter(10), source("192.0.2.1"));
        for _ in 0..100 {
            let bucket = limiter.take(one, 0).expect("it is always given back");
            limiter.give_back(bucket);
        }
        assert_eq!(taken(&mut limiter, one, 0), 3);
        limiter.give_back(source("192.0.2.99"));
        assert_eq!(limiter.full_at.len(), 1, "nobody gets more than a full one");
    }

    #[test]
    fn the_table_is_bounded_and_sources_without_a_place_share_one_bucket() {
        let mut limiter = limiter(2);
        assert_eq!(taken(&mut limiter, source("192.0.2.1"), 0), 3);
        assert_eq!(taken(&mut limiter, source("192.0.2.2"), 0), 3);
        assert_eq!(taken(&mut limiter, source("192.0.2.3"), 0), 3);
        for last in 4..100 {
            let late = source(&format!("192.0.2.{last}"));
            assert_eq!(taken(&mut limiter, late, 0), 0);
        }
        assert!(limiter.full_at.len() <= 3);
        // Their time is over: there is room again.
        assert_eq!(taken(&mut limiter, source("192.0.2.4"), 2 * SECOND), 3);
        assert_eq!(taken(&mut limiter, source("192.0.2.5"), 2 * SECOND), 3);
        assert_eq!(limiter.full_at.len(), 2);
    }

    #[test]
    fn no_rate_at_all_still_lets_somebody_in() {
        let rate = Rate {
            per_second: 0,
            burst: 0,
        };
        let mut limiter = Limiter::new(rate, 10);
        assert_eq!(taken(&mut limiter, source("192.0.2.1"), 0), 1);
        let rate = Rate {
            per_second: u32::MAX,
            burst: u32::MAX,
        };
        let mut limiter = Limiter::new(rate, 10);
        assert_eq!(taken(&mut limiter, source("192.0.2.1"), 0), 100);
    }
}
