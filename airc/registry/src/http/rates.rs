//! How often anybody may ask (section 5.1).
//!
//! What is proven to come from an identity counts against that identity, and nothing else does: so
//! nobody uses up what belongs to another. Everything else counts against an address, and so does
//! what claims to come from an identity and does not.

use std::collections::HashMap;
use std::hash::{BuildHasher as _, Hash, RandomState};
use std::net::{IpAddr, Ipv6Addr};
use std::num::NonZeroU32;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use airc_core::handle::Handle;
use governor::clock::{Clock as _, MonotonicClock};
use governor::middleware::StateInformationMiddleware;
use governor::state::keyed::DashMapStateStore;
use governor::{Quota, RateLimiter};

use crate::config::Limits;

/// Where somebody stands: what the `RateLimit-*` headers say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Standing {
    /// How many requests may come at once.
    pub(crate) limit: u32,
    /// How many of them are left.
    pub(crate) remaining: u32,
    /// Seconds until all are there again.
    pub(crate) reset: u64,
    /// Seconds until the next one is, if this one came too early.
    pub(crate) retry_after: Option<u64>,
}

impl Standing {
    /// Whether the request came too early.
    pub(crate) const fn is_over(&self) -> bool {
        self.retry_after.is_some()
    }
}

/// An address as limits count it: all of an IPv6 /64 is one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Address(IpAddr);

impl From<IpAddr> for Address {
    fn from(address: IpAddr) -> Self {
        match address.to_canonical() {
            IpAddr::V6(v6) => {
                let network = v6.to_bits() & !u128::from(u64::MAX);
                Self(Ipv6Addr::from_bits(network).into())
            }
            v4 => Self(v4),
        }
    }
}

/// Somebody who may be known by a token before it is known whose it is.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Caller {
    /// By name.
    Handle(Handle),
    /// By a keyed hash of the token.
    Token(u64),
}

/// All limits of a registry.
#[derive(Debug)]
pub(crate) struct Rates {
    hasher: RandomState,
    identities: Option<Table<Caller>>,
    addresses: Option<Table<Address>>,
    failures: Option<Table<Address>>,
}

impl Rates {
    pub(crate) fn new(limits: &Limits) -> Self {
        let burst = limits.burst;
        Self {
            hasher: RandomState::new(),
            identities: Table::new(limits.requests_per_identity, burst),
            addresses: Table::new(limits.requests_per_address, burst),
            failures: Table::new(limits.requests_per_address, burst),
        }
    }

    /// Somebody by the token that they bear.
    pub(crate) fn token(&self, token: &str) -> Caller {
        Caller::Token(self.hasher.hash_one(token))
    }

    /// Counts a request that nobody signed. `None`: there is no limit.
    pub(crate) fn anonymous(&self, address: Address) -> Option<Standing> {
        Some(self.addresses.as_ref()?.charge(&address))
    }

    /// Whether a request that claims to come from `caller` at `address` comes too early: either has
    /// used up what it has. Counts nothing.
    pub(crate) fn too_early(&self, address: Address, callers: &[Caller]) -> Option<Standing> {
        let failed = self
            .failures
            .as_ref()
            .and_then(|table| table.look(&address));
        failed.or_else(|| {
            let table = self.identities.as_ref()?;
            callers.iter().find_map(|caller| table.look(caller))
        })
    }

    /// Counts a request that was proven to come from `handle`, who was known as `callers` before.
    pub(crate) fn proven(&self, handle: &Handle, callers: &[Caller]) -> Option<Standing> {
        let table = self.identities.as_ref()?;
        let standing = table.charge(&Caller::Handle(handle.clone()));
        if let Some(wait) = table.wait_of(&Caller::Handle(handle.clone())) {
            for caller in callers {
                table.block(caller.clone(), wait);
            }
        }
        Some(standing)
    }

    /// Counts a request that claimed to come from somebody, and did not.
    pub(crate) fn failed(&self, address: Address) -> Option<Standing> {
        Some(self.failures.as_ref()?.charge(&address))
    }

    /// Forgets those who have all of their requests again. To be called now and then.
    pub(crate) fn tidy(&self) {
        if let Some(table) = &self.identities {
            table.tidy();
        }
        for table in [&self.addresses, &self.failures].into_iter().flatten() {
            table.tidy();
        }
    }
}

/// One limit for each of many.
struct Table<K: Clone + Eq + Hash> {
    quota: Quota,
    clock: MonotonicClock,
    hasher: RandomState,
    limiter:
        RateLimiter<Key<K>, DashMapStateStore<Key<K>>, MonotonicClock, StateInformationMiddleware>,
    /// How many are known apart, and whether so many are.
    most_known: usize,
    is_full: AtomicBool,
    charges: AtomicUsize,
    /// Who has nothing left, and until when: so that it can be seen without counting.
    blocked: Mutex<HashMap<Key<K>, Instant>>,
}

impl<K: Clone + Eq + Hash> std::fmt::Debug for Table<K> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Table")
            .field("quota", &self.quota)
            .field("known", &self.limiter.len())
            .finish_non_exhaustive()
    }
}

/// Who is counted. When the table is full, newcomers share what is left.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Key<K> {
    Own(K),
    Shared(u16),
}

impl<K: Clone + Eq + Hash> Table<K> {
    /// `None` without a limit.
    fn new(per_minute: u32, burst: u32) -> Option<Self> {
        let per_minute = NonZeroU32::new(per_minute)?;
        let most = per_minute.saturating_mul(NonZeroU32::new(burst).unwrap_or(NonZeroU32::MIN));
        let quota = Quota::per_minute(per_minute).allow_burst(most);
        Some(Self {
            quota,
            clock: MonotonicClock,
            hasher: RandomState::new(),
            limiter: RateLimiter::dashmap_with_clock(quota, MonotonicClock).with_middleware(),
            most_known: MOST_KNOWN,
            is_full: AtomicBool::new(false),
            charges: AtomicUsize::new(0),
            blocked: Mutex::new(HashMap::new()),
        })
    }

    /// Sees now and then whether the table is full: counting it is too dear for every request.
    fn measure(&self) {
        let is_full = self.limiter.len() >= self.most_known;
        self.is_full.store(is_full, Ordering::Relaxed);
    }

    fn key(&self, of: &K) -> Key<K> {
        if !self.is_full.load(Ordering::Relaxed) {
            return Key::Own(of.clone());
        }
        // The lowest bits of a hash are as good as any.
        #[allow(clippy::cast_possible_truncation)]
        let slot = self.hasher.hash_one(of) as u16;
        Key::Shared(slot % SHARED)
    }

    fn charge(&self, of: &K) -> Standing {
        let charges = self.charges.fetch_add(1, Ordering::Relaxed);
        if charges.is_multiple_of(MEASURED) {
            self.measure();
        }
        let key = self.key(of);
        match self.limiter.check_key(&key) {
            Ok(left) => {
                let remaining = left.remaining_burst_capacity();
                if remaining == 0 {
                    self.block_key(key, self.quota.replenish_interval());
                }
                self.standing(remaining, None)
            }
            Err(early) => {
                let wait = early.wait_time_from(self.clock.now());
                self.block_key(key, wait);
                self.standing(0, Some(wait))
            }
        }
    }

    /// Where somebody stands who has nothing left.
    fn look(&self, of: &K) -> Option<Standing> {
        let wait = self.wait_of(of)?;
        Some(self.standing(0, Some(wait)))
    }

    fn wait_of(&self, of: &K) -> Option<Duration> {
        let blocked = self.blocked.lock().unwrap_or_else(PoisonError::into_inner);
        let until = blocked.get(&self.key(of))?;
        let wait = until.saturating_duration_since(Instant::now());
        (!wait.is_zero()).then_some(wait)
    }

    fn block(&self, of: K, wait: Duration) {
        self.block_key(self.key(&of), wait);
    }

    fn block_key(&self, key: Key<K>, wait: Duration) {
        let mut blocked = self.blocked.lock().unwrap_or_else(PoisonError::into_inner);
        let now = Instant::now();
        // Whoever finds no room is counted all the same, and only later seen to be over.
        if blocked.len() < self.most_known {
            blocked.insert(key, now + wait);
        }
    }

    fn standing(&self, remaining: u32, wait: Option<Duration>) -> Standing {
        let limit = self.quota.burst_size().get();
        let missing = limit.saturating_sub(remaining);
        let reset = self.quota.replenish_interval().saturating_mul(missing);
        Standing {
            limit,
            remaining,
            reset: whole_seconds(reset),
            retry_after: wait.map(|wait| whole_seconds(wait).max(1)),
        }
    }

    fn tidy(&self) {
        self.limiter.retain_recent();
        self.limiter.shrink_to_fit();
        self.measure();
        let mut blocked = self.blocked.lock().unwrap_or_else(PoisonError::into_inner);
        let now = Instant::now();
        blocked.retain(|_, until| *until > now);
        blocked.shrink_to_fit();
    }
}

/// Seconds, a part of one counted as one.
fn whole_seconds(time: Duration) -> u64 {
    time.as_secs()
        .saturating_add(u64::from(time.subsec_nanos() > 0))
}

/// How many a table knows apart.
const MOST_KNOWN: usize = 100_000;

/// At every so many requests it is seen whether a table is full.
const MEASURED: usize = 256;

/// Among how many limits the others are spread.
const SHARED: u16 = 4096;

#[cfg(test)]
mod tests {
    use super::*;

    fn rates(identity: u32, address: u32) -> Rates {
        Rates::new(&Limits {
            requests_per_identity: identity,
            requests_per_address: address,
            ..Limits::default()
        })
    }

    fn address(text: &str) -> Address {
        text.parse::<IpAddr>().unwrap().into()
    }

    #[test]
    fn twice_the_limit_may_come_at_once_and_no_more() {
        let rates = rates(60, 10);
        let here = address("192.0.2.1");
        for left in (0..20).rev() {
            let standing = rates.anonymous(here).unwrap();
            assert_eq!((standing.limit, standing.remaining), (20, left));
            assert!(!standing.is_over());
        }
        let standing = rates.anonymous(here).unwrap();
        assert!(standing.is_over() && standing.remaining == 0);
        assert!(standing.retry_after.unwrap() <= 6, "one comes every 6 s");
        assert_eq!(standing.reset, 120);
        assert!(!rates.anonymous(address("192.0.2.2")).unwrap().is_over());
    }

    #[test]
    fn all_of_a_64_is_one_address() {
        assert_eq!(address("2001:db8::1"), address("2001:db8::ffff:0:0:2"));
        assert_ne!(address("2001:db8::1"), address("2001:db8:0:1::1"));
        assert_eq!(address("::ffff:192.0.2.1"), address("192.0.2.1"));
    }

    #[test]
    fn nobody_uses_up_what_belongs_to_another() {
        let rates = rates(1, 1);
        let alice = Handle::parse("alice").unwrap();
        let callers = [Caller::Handle(alice.clone())];
        let (bad, good) = (address("192.0.2.1"), address("192.0.2.2"));
        for _ in 0..5 {
            // What claims to be alice and is not.
            rates.failed(bad);
        }
        assert!(rates.too_early(bad, &callers).is_some());
        assert_eq!(rates.too_early(good, &callers), None);
        assert_eq!(rates.proven(&alice, &callers).unwrap().remaining, 1);
    }

    #[test]
    fn whoever_has_nothing_left_is_seen_by_name_and_by_token() {
        let rates = rates(1, 1);
        let alice = Handle::parse("alice").unwrap();
        let (name, token) = (Caller::Handle(alice.clone()), rates.token("secret"));
        let here = address("192.0.2.1");
        for _ in 0..2 {
            assert_eq!(rates.too_early(here, std::slice::from_ref(&token)), None);
            let standing = rates.proven(&alice, std::slice::from_ref(&token)).unwrap();
            assert!(!standing.is_over());
        }
        for caller in [name, token] {
            assert!(rates.too_early(here, &[caller]).unwrap().is_over());
        }
        let other = rates.token("another");
        assert_eq!(rates.too_early(here, &[other]), None);
    }

    #[test]
    fn no_limit_is_no_limit() {
        let rates = rates(0, 0);
        for _ in 0..1000 {
            assert_eq!(rates.anonymous(address("::1")), None);
        }
    }

    #[test]
    fn a_table_does_not_grow_without_end() {
        let mut table: Table<u32> = Table::new(1, 1).unwrap();
        table.most_known = 1000;
        for of in 0..10_000 {
            table.charge(&of);
        }
        assert!(table.limiter.len() <= 1000 + MEASURED + usize::from(SHARED));
        assert!(table.blocked.lock().unwrap().len() <= 1000);
        // Newcomers are limited all the same.
        let spent = (10_000..30_000).filter(|of| table.charge(of).is_over());
        assert!(spent.count() > 0);
    }
}
