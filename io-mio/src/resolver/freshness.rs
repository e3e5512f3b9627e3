//! For how long a document may be used (`DISC-8`): what its server says with Cache-Control (RFC
//! 9111), within this side's bounds.

use std::time::Duration;

/// What `Cache-Control` headers, in the order in which they came, and an `Age` header say. Without
/// a word it is `default`; it is never more than `most`, and nothing when it must not be stored, or
/// would have to be asked for again each time anyway.
pub(super) fn lifetime<'a>(
    cache_control: impl Iterator<Item = &'a [u8]>,
    age: Option<&[u8]>,
    default: Duration,
    most: Duration,
) -> Duration {
    let mut max_age = None;
    for header in cache_control {
        for (name, value) in directives(header) {
            match name.as_slice() {
                b"no-store" | b"no-cache" => return Duration::ZERO,
                b"max-age" => {
                    // What cannot be read is stale, and of several the shortest counts.
                    let seconds = value.as_deref().and_then(seconds).unwrap_or(0);
                    max_age = Some(max_age.map_or(seconds, |other: u64| other.min(seconds)));
                }
                _ => {}
            }
        }
    }
    let Some(max_age) = max_age else {
        return default.min(most);
    };
    let age = age.and_then(|age| seconds(age.trim_ascii())).unwrap_or(0);
    Duration::from_secs(max_age.saturating_sub(age)).min(most)
}

/// A number of seconds; one too large to be told counts as for ever.
fn seconds(digits: &[u8]) -> Option<u64> {
    if digits.is_empty() || !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let text = std::str::from_utf8(digits).ok()?;
    Some(text.parse().unwrap_or(u64::MAX))
}

/// The directives of a header: each name in lower case, and its argument without quotes.
fn directives(header: &[u8]) -> Vec<(Vec<u8>, Option<Vec<u8>>)> {
    let mut found = Vec::new();
    let (mut name, mut value) = (Vec::new(), None::<Vec<u8>>);
    let (mut quoted, mut escaped) = (false, false);
    for &byte in header.iter().chain(b",") {
        match byte {
            _ if escaped => {
                escaped = false;
                value.get_or_insert_default().push(byte);
            }
            b'\\' if quoted => escaped = true,
            b'"' => quoted = !quoted,
            b',' if !quoted => {
                let name = std::mem::take(&mut name).trim_ascii().to_ascii_lowercase();
                let value = value.take().map(|value| value.trim_ascii().to_vec());
                if !name.is_empty() {
                    found.push((name, value));
                }
            }
            b'=' if !quoted && value.is_none() => value = Some(Vec::new()),
            _ => match &mut value {
                Some(value) => value.push(byte),
                None => name.push(byte),
            },
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    const DEFAULT: u64 = 300;
    const MOST: u64 = 3600;

    fn secs(headers: &[&str], age: Option<&str>) -> u64 {
        lifetime(
            headers.iter().map(|header| header.as_bytes()),
            age.map(str::as_bytes),
            Duration::from_secs(DEFAULT),
            Duration::from_secs(MOST),
        )
        .as_secs()
    }

    #[test]
    fn max_age_counts_up_to_the_most() {
        assert_eq!(secs(&["max-age=60"], None), 60);
        assert_eq!(secs(&["public, Max-Age = 60 , immutable"], None), 60);
        assert_eq!(secs(&["max-age=\"60\""], None), 60);
        assert_eq!(secs(&["max-age=999999"], None), MOST);
        assert_eq!(secs(&["max-age=99999999999999999999999"], None), MOST);
        assert_eq!(secs(&["max-age=0"], None), 0);
    }

    #[test]
    fn without_a_word_the_default_counts() {
        assert_eq!(secs(&[], None), DEFAULT);
        assert_eq!(
            secs(&["public", ",,", "s-maxage=9", "x=\"max-age=1\""], None),
            DEFAULT
        );
    }

    #[test]
    fn what_may_not_be_stored_or_used_is_not() {
        for header in [
            "no-store",
            "NO-STORE",
            "no-cache",
            "no-cache=\"set-cookie\"",
            "max-age=60, no-store",
        ] {
            assert_eq!(secs(&[header], None), 0, "{header}");
        }
        assert_eq!(secs(&["max-age=60", "no-store"], None), 0);
    }

    #[test]
    fn what_cannot_be_read_is_stale() {
        for header in [
            "max-age",
            "max-age=",
            "max-age=-1",
            "max-age=1.5",
            "max-age=x",
            "max-age=60, max-age=x",
        ] {
            assert_eq!(secs(&[header], None), 0, "{header}");
        }
        assert_eq!(secs(&["max-age=60, max-age=30"], None), 30);
    }

    #[test]
    fn time_spent_in_other_caches_is_subtracted() {
        assert_eq!(secs(&["max-age=60"], Some("50")), 10);
        assert_eq!(secs(&["max-age=60"], Some("61")), 0);
        assert_eq!(secs(&["max-age=60"], Some("soon")), 60);
    }
}
