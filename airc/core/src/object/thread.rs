//! Threads: the messages of two identities, in order and each of them once (section 2.5).

use alloc::borrow::ToOwned;
use alloc::collections::{BTreeSet, VecDeque};
use alloc::string::String;
use alloc::vec::Vec;

use super::Message;
use crate::handle::Handle;
use crate::store::MessageRecord;

/// What identifies a thread: both handles, the smaller one first.
#[must_use]
pub fn key<'a>(a: &'a Handle, b: &'a Handle) -> (&'a Handle, &'a Handle) {
    (a.min(b), a.max(b))
}

/// What has a place in a thread.
pub trait Entry {
    /// The sender.
    fn from(&self) -> &Handle;

    /// Unique for its sender within a day.
    fn id(&self) -> &str;

    /// When the sender says that it was sent: Unix seconds.
    fn timestamp(&self) -> u64;
}

impl Entry for Message {
    fn from(&self) -> &Handle {
        &self.from
    }

    fn id(&self) -> &str {
        &self.id
    }

    fn timestamp(&self) -> u64 {
        self.timestamp
    }
}

impl Entry for MessageRecord {
    fn from(&self) -> &Handle {
        &self.from
    }

    fn id(&self) -> &str {
        &self.id
    }

    fn timestamp(&self) -> u64 {
        self.timestamp
    }
}

/// Sorts by timestamp, then by id; and where both are the same, by sender, so that everybody sees
/// one order.
pub fn sort<T: Entry>(entries: &mut [T]) {
    entries.sort_by(|a, b| {
        let by_time = a.timestamp().cmp(&b.timestamp());
        by_time
            .then_with(|| a.id().cmp(b.id()))
            .then_with(|| a.from().cmp(b.from()))
    });
}

/// Leaves of each sender's id the first one alone. An id is its sender's: another's is another
/// message.
pub fn deduplicate<T: Entry>(entries: &mut Vec<T>) {
    let mut seen = Seen::new(entries.len());
    entries.retain(|entry| seen.is_new(entry.from(), entry.id()));
}

/// Remembers the last so many messages, for one who polls: what comes again is known.
#[derive(Clone, Debug, Default)]
pub struct Seen {
    capacity: usize,
    known: BTreeSet<(Handle, String)>,
    order: VecDeque<(Handle, String)>,
}

impl Seen {
    /// Remembers `capacity` messages.
    #[must_use]
    pub fn new(capacity: usize) -> Self {
        Self {
            capacity,
            ..Self::default()
        }
    }

    /// Whether a message was not seen yet, or too long ago. Remembers it.
    pub fn is_new(&mut self, from: &Handle, id: &str) -> bool {
        let message = (from.clone(), id.to_owned());
        if self.known.contains(&message) {
            return false;
        }
        self.known.insert(message.clone());
        self.order.push_back(message);
        if self.order.len() > self.capacity
            && let Some(oldest) = self.order.pop_front()
        {
            self.known.remove(&oldest);
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::time::Time;

    fn message(from: &str, id: &str, timestamp: u64) -> MessageRecord {
        MessageRecord {
            from: Handle::parse(from).unwrap(),
            to: Handle::parse("bob").unwrap(),
            id: id.into(),
            timestamp,
            received: Time(0),
            signed: true,
            envelope: String::new(),
        }
    }

    fn ids(entries: &[MessageRecord]) -> Vec<&str> {
        entries.iter().map(Entry::id).collect()
    }

    #[test]
    fn a_thread_is_the_same_from_both_sides() {
        let (seth, alex) = (
            Handle::parse("seth").unwrap(),
            Handle::parse("alex").unwrap(),
        );
        assert_eq!(key(&seth, &alex), (&alex, &seth));
        assert_eq!(key(&alex, &seth), (&alex, &seth));
        assert_eq!(key(&alex, &alex), (&alex, &alex));
    }

    #[test]
    fn messages_are_sorted_by_timestamp_then_id() {
        let mut entries = [
            message("a", "msg_2", 2),
            message("a", "msg_c", 1),
            message("b", "msg_b", 1),
            message("a", "msg_1", 3),
        ];
        sort(&mut entries);
        assert_eq!(ids(&entries), ["msg_b", "msg_c", "msg_2", "msg_1"]);
    }

    #[test]
    fn what_comes_twice_from_one_sender_is_there_once() {
        let mut entries = alloc::vec![
            message("a", "msg_1", 1),
            message("b", "msg_1", 1),
            message("a", "msg_1", 1),
            message("a", "msg_2", 1),
        ];
        deduplicate(&mut entries);
        assert_eq!(ids(&entries), ["msg_1", "msg_1", "msg_2"]);
    }

    #[test]
    fn what_was_seen_is_forgotten_when_there_is_no_room_for_it() {
        let from = Handle::parse("a").unwrap();
        let mut seen = Seen::new(2);
        assert!(seen.is_new(&from, "msg_1"));
        assert!(seen.is_new(&from, "msg_2"));
        assert!(!seen.is_new(&from, "msg_1"));
        assert!(seen.is_new(&from, "msg_3"));
        assert!(!seen.is_new(&from, "msg_2"));
        assert!(seen.is_new(&from, "msg_1"));
    }
}
