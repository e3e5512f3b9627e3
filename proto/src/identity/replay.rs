//! The replay guard: which nonces were seen, shared by all connections of a node (`SIG-10`,
//! `SIG-11`).
//!
//! A nonce enters only after its signature verified (`GAP-9`), so nobody fills the memory of an
//! identity that he cannot sign for. Entries are keyed by the public key that verified: a HELLO
//! names exactly one, and its 32 bytes are bounded where a DID's text is not.
//!
//! An accepted timestamp may lie a window ahead of the clock, and is then acceptable for two
//! windows; so an entry is kept for two, in the order of arrival.

use core::fmt;
use core::time::Duration;

use super::PublicKey;
use crate::time::Instant;
use crate::wire::NONCE_LEN;

/// The nonce was seen, or there is no room to remember it: `REPLAYED_NONCE`, either way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum ReplayRefused {
    /// Seen before, within the window.
    Seen,
    /// This identity has as many live nonces as it may.
    IdentityFull,
    /// The guard has as many live nonces as it may.
    GuardFull,
}

impl fmt::Display for ReplayRefused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Seen => "the nonce was seen before",
            Self::IdentityFull => "this identity has too many live nonces",
            Self::GuardFull => "the replay guard is full",
        })
    }
}

impl core::error::Error for ReplayRefused {}

/// Remembers nonces.
pub trait ReplayGuard {
    /// Takes `nonce` of `key` in, for as long as a signature with it could be accepted.
    /// `window` is the timestamp window.
    ///
    /// # Errors
    /// [`ReplayRefused`], and nothing is remembered.
    fn admit(
        &mut self,
        key: &PublicKey,
        nonce: &[u8; NONCE_LEN],
        window: Duration,
        now: Instant,
    ) -> Result<(), ReplayRefused>;
}

struct Entry {
    key: PublicKey,
    nonce: [u8; NONCE_LEN],
    until: Instant,
}

/// A guard over a fixed table of `N` nonces, at most `PER_KEY` of one identity: 56 bytes each.
pub struct FixedReplayGuard<const N: usize, const PER_KEY: usize> {
    entries: heapless::Deque<Entry, N>,
}

impl<const N: usize, const PER_KEY: usize> FixedReplayGuard<N, PER_KEY> {
    /// An empty guard.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            entries: heapless::Deque::new(),
        }
    }
}

impl<const N: usize, const PER_KEY: usize> Default for FixedReplayGuard<N, PER_KEY> {
    fn default() -> Self {
        Self::new()
    }
}

impl<const N: usize, const PER_KEY: usize> ReplayGuard for FixedReplayGuard<N, PER_KEY> {
    fn admit(
        &mut self,
        key: &PublicKey,
        nonce: &[u8; NONCE_LEN],
        window: Duration,
        now: Instant,
    ) -> Result<(), ReplayRefused> {
        while self.entries.front().is_some_and(|entry| entry.until < now) {
            self.entries.pop_front();
        }
        let own = self.entries.iter().filter(|entry| entry.key == *key);
        let mut live = 0_usize;
        for entry in own {
            if entry.nonce == *nonce {
                return Err(ReplayRefused::Seen);
            }
            live = live.saturating_add(1);
        }
        if live >= PER_KEY {
            return Err(ReplayRefused::IdentityFull);
        }
        let entry = Entry {
            key: *key,
            nonce: *nonce,
            until: now.after(window.saturating_mul(2)),
        };
        self.entries
            .push_back(entry)
            .map_err(|_| ReplayRefused::GuardFull)
    }
}

#[cfg(feature = "alloc")]
pub use growing::GrowingReplayGuard;

#[cfg(feature = "alloc")]
mod growing {
    use alloc::collections::{BTreeMap, BTreeSet, VecDeque};
    use core::time::Duration;

    use super::{Entry, ReplayGuard, ReplayRefused};
    use crate::identity::PublicKey;
    use crate::time::Instant;
    use crate::wire::NONCE_LEN;

    /// A guard whose tables grow, up to its bounds.
    pub struct GrowingReplayGuard {
        arrival: VecDeque<Entry>,
        seen: BTreeMap<PublicKey, BTreeSet<[u8; NONCE_LEN]>>,
        most: usize,
        most_per_key: usize,
    }

    impl GrowingReplayGuard {
        /// An empty guard for at most `most` live nonces, and `most_per_key` of one identity.
        #[must_use]
        pub const fn new(most: usize, most_per_key: usize) -> Self {
            Self {
                arrival: VecDeque::new(),
                seen: BTreeMap::new(),
                most,
                most_per_key,
            }
        }

        /// How many nonces are remembered.
        #[must_use]
        pub fn len(&self) -> usize {
            self.arrival.len()
        }

        /// Whether nothing is remembered.
        #[must_use]
        pub fn is_empty(&self) -> bool {
            self.arrival.is_empty()
        }

        fn forget_expired(&mut self, now: Instant) {
            while self.arrival.front().is_some_and(|entry| entry.until < now) {
                let Some(entry) = self.arrival.pop_front() else {
                    return;
                };
                if let Some(nonces) = self.seen.get_mut(&entry.key) {
                    nonces.remove(&entry.nonce);
                    if nonces.is_empty() {
                        self.seen.remove(&entry.key);
                    }
                }
            }
        }
    }

    impl ReplayGuard for GrowingReplayGuard {
        fn admit(
            &mut self,
            key: &PublicKey,
            nonce: &[u8; NONCE_LEN],
            window: Duration,
            now: Instant,
        ) -> Result<(), ReplayRefused> {
            self.forget_expired(now);
            if let Some(nonces) = self.seen.get(key) {
                if nonces.contains(nonce) {
                    return Err(ReplayRefused::Seen);
                }
                if nonces.len() >= self.most_per_key {
                    return Err(ReplayRefused::IdentityFull);
                }
            }
            if self.arrival.len() >= self.most {
                return Err(ReplayRefused::GuardFull);
            }
            self.seen.entry(*key).or_default().insert(*nonce);
            self.arrival.push_back(Entry {
                key: *key,
                nonce: *nonce,
                until: now.after(window.saturating_mul(2)),
            });
            Ok(())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const WINDOW: Duration = Duration::from_secs(300);

    fn guards(check: impl Fn(&mut dyn ReplayGuard)) {
        check(&mut FixedReplayGuard::<4, 2>::new());
        #[cfg(feature = "alloc")]
        check(&mut GrowingReplayGuard::new(4, 2));
    }

    fn key(byte: u8) -> PublicKey {
        PublicKey([byte; 32])
    }

    #[test]
    fn a_repeated_nonce_is_refused_until_no_signature_with_it_could_be_accepted() {
        guards(|guard| {
            let start = Instant::from_millis(0);
            assert_eq!(guard.admit(&key(1), &[1; 16], WINDOW, start), Ok(()));
            for second in [0, 300, 600] {
                let now = Instant::from_millis(second * 1000);
                assert_eq!(
                    guard.admit(&key(1), &[1; 16], WINDOW, now),
                    Err(ReplayRefused::Seen)
                );
            }
            let later = Instant::from_millis(600_001);
            assert_eq!(guard.admit(&key(1), &[1; 16], WINDOW, later), Ok(()));
        });
    }

    #[test]
    fn the_same_nonce_of_another_identity_is_another_nonce() {
        guards(|guard| {
            let now = Instant::default();
            assert_eq!(guard.admit(&key(1), &[1; 16], WINDOW, now), Ok(()));
            assert_eq!(guard.admit(&key(2), &[1; 16], WINDOW, now), Ok(()));
        });
    }

    #[test]
    fn past_its_bounds_the_guard_refuses_instead_of_growing() {
        guards(|guard| {
            let now = Instant::default();
            for nonce in 0..2 {
                assert_eq!(guard.admit(&key(1), &[nonce; 16], WINDOW, now), Ok(()));
                assert_eq!(guard.admit(&key(2), &[nonce; 16], WINDOW, now), Ok(()));
            }
            assert_eq!(
                guard.admit(&key(1), &[9; 16], WINDOW, now),
                Err(ReplayRefused::IdentityFull)
            );
            assert_eq!(
                guard.admit(&key(3), &[9; 16], WINDOW, now),
                Err(ReplayRefused::GuardFull)
            );
            let later = Instant::from_millis(600_001);
            assert_eq!(guard.admit(&key(3), &[9; 16], WINDOW, later), Ok(()));
        });
    }
}
