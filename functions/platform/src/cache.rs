//! A cache in memory, for what is read often and changes seldom.

use std::borrow::Borrow;
use std::collections::HashMap;
use std::fmt;
use std::hash::Hash;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

/// Values by key, each good for the same time. Clones share their values.
pub struct TtlCache<K, V> {
    ttl: Duration,
    max_entries: usize,
    entries: Arc<Mutex<HashMap<K, Entry<V>>>>,
}

struct Entry<V> {
    since: Instant,
    value: V,
}

impl<K, V> fmt::Debug for TtlCache<K, V> {
    /// The times: keys and values may be anyone's.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ttl = &self.ttl;
        f.debug_struct("TtlCache").field("ttl", ttl).finish_non_exhaustive()
    }
}

impl<K: Eq + Hash, V: Clone> TtlCache<K, V> {
    /// Makes an empty cache. One that is full forgets everything when it learns another key.
    #[must_use]
    pub fn new(ttl: Duration, max_entries: usize) -> TtlCache<K, V> {
        TtlCache { ttl, max_entries, entries: Arc::default() }
    }

    /// Returns the key's value while it is good.
    pub fn get<Q: Eq + Hash + ?Sized>(&self, key: &Q) -> Option<V>
    where
        K: Borrow<Q>,
    {
        self.get_newer_than(key, self.ttl)
    }

    /// Returns the key's value if it is younger than `age`.
    pub fn get_newer_than<Q: Eq + Hash + ?Sized>(&self, key: &Q, age: Duration) -> Option<V>
    where
        K: Borrow<Q>,
    {
        let entries = self.entries();
        let entry = entries.get(key)?;
        (entry.since.elapsed() < age).then(|| entry.value.clone())
    }

    /// Returns the key's value, however old it is.
    pub fn get_stale<Q: Eq + Hash + ?Sized>(&self, key: &Q) -> Option<V>
    where
        K: Borrow<Q>,
    {
        self.entries().get(key).map(|entry| entry.value.clone())
    }

    /// Stores a value that is true from now on.
    pub fn insert(&self, key: K, value: V) {
        let mut entries = self.entries();
        if entries.len() >= self.max_entries && !entries.contains_key(&key) {
            entries.clear();
        }
        entries.insert(key, Entry { since: Instant::now(), value });
    }

    /// Changes a value where it is stored; it ends when it would have ended before.
    pub fn update<Q: Eq + Hash + ?Sized>(&self, key: &Q, change: impl FnOnce(&mut V))
    where
        K: Borrow<Q>,
    {
        if let Some(entry) = self.entries().get_mut(key) {
            change(&mut entry.value);
        }
    }

    fn entries(&self) -> MutexGuard<'_, HashMap<K, Entry<V>>> {
        self.entries.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<K, V> Clone for TtlCache<K, V> {
    fn clone(&self) -> TtlCache<K, V> {
        TtlCache {
            ttl: self.ttl,
            max_entries: self.max_entries,
            entries: Arc::clone(&self.entries),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TTL: Duration = Duration::from_secs(30);

    #[tokio::test(start_paused = true)]
    async fn a_value_is_good_for_its_time_and_stays_readable_as_a_stale_one() {
        let cache = TtlCache::new(TTL, 10);
        cache.insert("a".to_owned(), 1);
        assert_eq!((cache.get("a"), cache.get("b")), (Some(1), None));

        tokio::time::advance(TTL / 2).await;
        assert_eq!(cache.get_newer_than("a", TTL / 2), None);
        cache.update("a", |value| *value += 1);
        assert_eq!(cache.clone().get("a"), Some(2));

        tokio::time::advance(TTL / 2).await;
        assert_eq!((cache.get("a"), cache.get_stale("a")), (None, Some(2)));
    }

    #[test]
    fn a_full_cache_forgets_everything_for_a_new_key() {
        let cache = TtlCache::new(TTL, 2);
        for key in [1, 2, 2] {
            cache.insert(key, ());
        }
        assert_eq!((cache.get(&1), cache.get(&2)), (Some(()), Some(())));

        cache.insert(3, ());
        assert_eq!((cache.get(&1), cache.get(&3)), (None, Some(())));
    }
}
