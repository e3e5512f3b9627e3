//! Identities that were looked up, kept for a while: clients have to (section 2.1).

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use airc_core::handle::Handle;

use crate::model::Identity;

/// How long an identity is kept: what section 2.1 recommends.
pub const IDENTITY_TTL: Duration = Duration::from_secs(300);

/// How old an identity has to be to be looked up again because a signature does not fit its keys:
/// so nobody makes a client look up at every message.
const WORTH_ANOTHER_LOOK: Duration = Duration::from_secs(10);

/// The most identities that are kept.
const CAPACITY: usize = 1024;

#[derive(Debug, Default)]
pub(crate) struct Cache(Mutex<HashMap<Handle, Entry>>);

#[derive(Debug)]
struct Entry {
    identity: Arc<Identity>,
    since: Instant,
}

impl Cache {
    fn entries(&self) -> MutexGuard<'_, HashMap<Handle, Entry>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What is known of `handle`, if it is fresh enough.
    pub(crate) fn get(&self, handle: &Handle, now: Instant) -> Option<Arc<Identity>> {
        let entries = self.entries();
        let entry = entries.get(handle)?;
        (entry.age(now) < IDENTITY_TTL).then(|| Arc::clone(&entry.identity))
    }

    /// Whether what is known of `handle` is so new that another look would be in vain.
    pub(crate) fn is_brand_new(&self, handle: &Handle, now: Instant) -> bool {
        let entries = self.entries();
        let entry = entries.get(handle);
        entry.is_some_and(|entry| entry.age(now) < WORTH_ANOTHER_LOOK)
    }

    pub(crate) fn put(&self, identity: Arc<Identity>, now: Instant) {
        let mut entries = self.entries();
        if entries.len() >= CAPACITY && !entries.contains_key(&identity.handle) {
            entries.retain(|_, entry| entry.age(now) < IDENTITY_TTL);
        }
        if entries.len() >= CAPACITY && !entries.contains_key(&identity.handle) {
            let oldest = entries.iter().min_by_key(|(_, entry)| entry.since);
            let oldest = oldest.map(|(handle, _)| handle.clone());
            oldest.and_then(|handle| entries.remove(&handle));
        }
        let since = now;
        entries.insert(identity.handle.clone(), Entry { identity, since });
    }

    pub(crate) fn forget(&self, handle: &Handle) {
        self.entries().remove(handle);
    }
}

impl Entry {
    fn age(&self, now: Instant) -> Duration {
        now.saturating_duration_since(self.since)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn known(text: &str) -> Arc<Identity> {
        Arc::new(Identity::nameless(Handle::parse(text).expect("a handle")))
    }

    #[test]
    fn an_identity_is_kept_for_its_time_and_no_longer() {
        let cache = Cache::default();
        let seth = known("seth");
        let start = Instant::now();
        cache.put(Arc::clone(&seth), start);
        let just_before = start + IDENTITY_TTL - Duration::from_nanos(1);
        assert!(cache.get(&seth.handle, just_before).is_some());
        assert!(cache.get(&seth.handle, start + IDENTITY_TTL).is_none());
        assert!(cache.is_brand_new(&seth.handle, start));
        assert!(!cache.is_brand_new(&seth.handle, start + WORTH_ANOTHER_LOOK));
        cache.forget(&seth.handle);
        assert!(cache.get(&seth.handle, start).is_none());
        assert!(!cache.is_brand_new(&seth.handle, start));
    }

    #[test]
    fn a_full_cache_forgets_the_oldest() {
        let cache = Cache::default();
        let start = Instant::now();
        for number in 0..=CAPACITY {
            let at = start + Duration::from_millis(number as u64);
            cache.put(known(&format!("a{number}")), at);
        }
        assert_eq!(cache.entries().len(), CAPACITY);
        let get = |text: &str| cache.get(&known(text).handle, start);
        assert!(get("a0").is_none());
        assert!(get("a1").is_some());
        assert!(get(&format!("a{CAPACITY}")).is_some());
    }
}
