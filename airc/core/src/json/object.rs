//! Objects, whose keys are unique and stand in canonical order.

use alloc::string::String;
use alloc::vec::Vec;
use core::cmp::Ordering;

use super::Value;

/// An object: unique keys in the order of their UTF-16 code units, as RFC 8785 sorts them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Object(Vec<(String, Value)>);

/// The order of two texts by UTF-16 code units.
///
/// It is that of UTF-8's bytes, except that what takes two units (UTF-8's lead bytes from 0xf0)
/// begins with 0xd800 to 0xdbff there, and so comes before U+E000 to U+FFFF (0xee and 0xef).
fn utf16_order(a: &str, b: &str) -> Ordering {
    let differing = a.bytes().zip(b.bytes()).find(|(a, b)| a != b);
    match differing {
        None => a.len().cmp(&b.len()),
        Some((0xee | 0xef, 0xf0..)) => Ordering::Greater,
        Some((0xf0.., 0xee | 0xef)) => Ordering::Less,
        Some((a, b)) => a.cmp(&b),
    }
}

impl Object {
    /// An object without entries.
    #[must_use]
    pub const fn new() -> Self {
        Self(Vec::new())
    }

    /// An object with these entries, or a key that comes twice among them.
    pub(super) fn from_unique(mut entries: Vec<(String, Value)>) -> Result<Self, String> {
        // Sorted at once: entries one after the other would take quadratic time.
        let ascending = |(a, _): &(String, Value), (b, _): &(String, Value)| utf16_order(a, b);
        entries.sort_by(ascending);
        let twice = entries.windows(2).find_map(|pair| match pair {
            [(a, _), (b, _)] if a == b => Some(a.clone()),
            _ => None,
        });
        match twice {
            Some(key) => Err(key),
            None => Ok(Self(entries)),
        }
    }

    fn find(&self, key: &str) -> Result<usize, usize> {
        self.0.binary_search_by(|(own, _)| utf16_order(own, key))
    }

    /// What stands under `key`.
    #[must_use]
    pub fn get(&self, key: &str) -> Option<&Value> {
        let at = self.find(key).ok()?;
        self.0.get(at).map(|(_, value)| value)
    }

    /// Whether there is an entry under `key`.
    #[must_use]
    pub fn contains(&self, key: &str) -> bool {
        self.find(key).is_ok()
    }

    /// Adds or replaces an entry. What stood there before.
    pub fn insert(&mut self, key: impl Into<String>, value: impl Into<Value>) -> Option<Value> {
        let (key, value) = (key.into(), value.into());
        match self.find(&key) {
            Ok(at) => self
                .0
                .get_mut(at)
                .map(|(_, old)| core::mem::replace(old, value)),
            Err(at) => {
                self.0.insert(at, (key, value));
                None
            }
        }
    }

    /// Adds or replaces an entry, if there is a value for it.
    pub fn insert_some(&mut self, key: impl Into<String>, value: Option<impl Into<Value>>) {
        if let Some(value) = value {
            self.insert(key, value);
        }
    }

    /// Takes an entry out.
    pub fn remove(&mut self, key: &str) -> Option<Value> {
        let at = self.find(key).ok()?;
        Some(self.0.remove(at).1)
    }

    /// The entries in canonical order.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = (&str, &Value)> {
        self.0.iter().map(|(key, value)| (key.as_str(), value))
    }

    /// How many entries there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// Of a key that comes twice, the last one counts.
impl<K: Into<String>, V: Into<Value>> FromIterator<(K, V)> for Object {
    fn from_iter<I: IntoIterator<Item = (K, V)>>(entries: I) -> Self {
        let mut entries: Vec<(String, Value)> = entries
            .into_iter()
            .map(|(key, value)| (key.into(), value.into()))
            .collect();
        // Stable: the last of equals is the first from behind.
        entries.reverse();
        entries.sort_by(|(a, _), (b, _)| utf16_order(a, b));
        entries.dedup_by(|(later, _), (kept, _)| later == kept);
        Self(entries)
    }
}

/// The entries in canonical order.
impl IntoIterator for Object {
    type Item = (String, Value);
    type IntoIter = alloc::vec::IntoIter<(String, Value)>;

    fn into_iter(self) -> Self::IntoIter {
        self.0.into_iter()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::string::ToString;

    #[test]
    fn keys_are_ordered_by_utf16_code_units() {
        let texts = [
            "",
            "\0",
            "a",
            "aa",
            "b",
            "é",
            "\u{7ff}",
            "\u{800}",
            "\u{d7ff}",
            "\u{e000}",
            "\u{ffff}",
            "\u{10000}",
            "\u{10ffff}",
            "a\u{ffff}",
            "a\u{10000}",
            "\u{10000}a",
        ];
        for a in texts {
            for b in texts {
                let expected = a.encode_utf16().cmp(b.encode_utf16());
                assert_eq!(utf16_order(a, b), expected, "{a:?} {b:?}");
            }
        }
    }

    #[test]
    fn an_object_is_a_map() {
        let mut object: Object = [("b", 1), ("a", 2), ("b", 3)].into_iter().collect();
        assert_eq!(object.len(), 2);
        assert_eq!(object.get("b").and_then(Value::as_u64), Some(3));
        assert_eq!(object.insert("c", 4), None);
        assert_eq!(object.insert("a", 5), Some(2.into()));
        object.insert_some("d", None::<u64>);
        assert_eq!(object.remove("b"), Some(3.into()));
        assert_eq!(object.remove("b"), None);
        assert_eq!(Value::from(object).to_string(), r#"{"a":5,"c":4}"#);
    }
}
