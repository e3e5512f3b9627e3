//! Documents that were fetched, and failures to fetch one, for as long as they are fresh
//! (`DISC-8`). Bounded: the one that was not asked for longest goes first.

use std::collections::{BTreeMap, HashMap};
use std::time::Instant;

/// A bounded map whose entries pass.
pub(super) struct Cache<T> {
    most: usize,
    entries: HashMap<String, Entry<T>>,
    /// Keys by when they were last asked for.
    by_use: BTreeMap<u64, String>,
    uses: u64,
}

struct Entry<T> {
    value: T,
    stored: Instant,
    until: Instant,
    used: u64,
}

impl<T: Clone> Cache<T> {
    pub(super) fn new(most: usize) -> Self {
        Self {
            most,
            entries: HashMap::new(),
            by_use: BTreeMap::new(),
            uses: 0,
        }
    }

    /// What is stored and still fresh, and since when.
    pub(super) fn get(&mut self, key: &str, now: Instant) -> Option<(T, Instant)> {
        if self.entries.get(key)?.until <= now {
            self.remove(key);
            return None;
        }
        self.uses += 1;
        let entry = self.entries.get_mut(key)?;
        if let Some(key) = self.by_use.remove(&entry.used) {
            self.by_use.insert(self.uses, key);
        }
        entry.used = self.uses;
        Some((entry.value.clone(), entry.stored))
    }

    /// Stores a value until then.
    pub(super) fn insert(&mut self, key: &str, value: T, now: Instant, until: Instant) {
        self.remove(key);
        if self.most == 0 || until <= now {
            return;
        }
        while self.entries.len() >= self.most {
            let Some((_, oldest)) = self.by_use.pop_first() else {
                break;
            };
            self.entries.remove(&oldest);
        }
        self.uses += 1;
        self.by_use.insert(self.uses, key.into());
        let entry = Entry {
            value,
            stored: now,
            until,
            used: self.uses,
        };
        self.entries.insert(key.into(), entry);
    }

    fn remove(&mut self, key: &str) {
        if let Some(entry) = self.entries.remove(key) {
            self.by_use.remove(&entry.used);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn entries_pass() {
        let mut cache = Cache::new(2);
        let now = Instant::now();
        let later = now + Duration::from_secs(1);
        cache.insert("a", 1, now, later);
        assert_eq!(cache.get("a", now), Some((1, now)));
        assert_eq!(cache.get("a", later), None);
        cache.insert("b", 1, now, now);
        assert_eq!(cache.get("b", now), None);
        assert!(cache.entries.is_empty() && cache.by_use.is_empty());
    }

    #[test]
    fn the_one_unused_for_longest_goes_first() {
        let mut cache = Cache::new(2);
        let now = Instant::now();
        let later = now + Duration::from_secs(1);
        cache.insert("a", 1, now, later);
        cache.insert("b", 2, now, later);
        assert!(cache.get("a", now).is_some());
        cache.insert("c", 3, now, later);
        assert!(cache.get("b", now).is_none());
        cache.insert("a", 4, now, later);
        assert_eq!(cache.get("a", now), Some((4, now)));
        assert_eq!(cache.get("c", now), Some((3, now)));
        assert_eq!((cache.entries.len(), cache.by_use.len()), (2, 2));
    }

    #[test]
    fn a_cache_of_nothing_stores_nothing() {
        let mut cache = Cache::new(0);
        let now = Instant::now();
        cache.insert("a", 1, now, now + Duration::from_secs(1));
        assert_eq!(cache.get("a", now), None);
    }
}
