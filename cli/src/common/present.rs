//! Values as people and programs like to see them.

use std::fmt::{self, Write as _};
use std::time::Duration;

use data_encoding::BASE64;
use serde::Serialize;

/// A time in milliseconds, or in seconds from ten of them on.
#[derive(Clone, Copy, Debug)]
pub struct Took(pub Duration);

impl fmt::Display for Took {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = match self.0.as_secs_f64() {
            long if long >= 10.0 => format!("{long:.1} s"),
            short => format!("{:.2} ms", short * 1000.0),
        };
        f.pad(&text)
    }
}

/// A time for programs: milliseconds, with microseconds behind the point.
#[must_use]
pub fn millis(time: Duration) -> f64 {
    time.as_micros() as f64 / 1000.0
}

/// A number of bytes: `512 B`, `1.5 kB`, `20.1 MB`.
#[derive(Clone, Copy, Debug)]
pub struct Size(pub u64);

impl fmt::Display for Size {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut rest = self.0 as f64;
        let mut units = ["B", "kB", "MB", "GB", "TB", "PB"].into_iter().peekable();
        let mut unit = units.next().unwrap_or_default();
        while let Some(next) = units.next_if(|_| rest >= 999.95) {
            rest /= 1000.0;
            unit = next;
        }
        let text = match unit {
            "B" => format!("{} B", self.0),
            unit => format!("{rest:.1} {unit}"),
        };
        f.pad(&text)
    }
}

/// Text of a stranger for a terminal: control characters are shown, and do nothing. Line breaks
/// and tabs stay.
#[must_use]
pub fn harmless(text: &str) -> String {
    escaped(text, |letter| matches!(letter, '\n' | '\t'))
}

/// As [`harmless`], on one line.
#[must_use]
pub fn one_line(text: &str) -> String {
    escaped(text, |_| false)
}

fn escaped(text: &str, stays: impl Fn(char) -> bool) -> String {
    let mut safe = String::with_capacity(text.len());
    for letter in text.chars() {
        // Marks that change the direction of writing can make a line say something else.
        let turns = matches!(letter, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
        match (letter.is_control() || turns) && !stays(letter) {
            true => {
                let _always = write!(safe, "{}", letter.escape_default());
            }
            false => safe.push(letter),
        }
    }
    safe
}

/// Bytes for programs: as text where they are UTF-8, else in base64.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Blob {
    /// They are text.
    Text(String),
    /// They are not.
    Base64(String),
}

impl From<&[u8]> for Blob {
    fn from(bytes: &[u8]) -> Self {
        match std::str::from_utf8(bytes) {
            Ok(text) => Self::Text(text.into()),
            Err(_) => Self::Base64(BASE64.encode(bytes)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_and_times_are_short() {
        for (bytes, text) in [
            (0, "0 B"),
            (999, "999 B"),
            (1_500, "1.5 kB"),
            (999_960, "1.0 MB"),
            (20_100_000, "20.1 MB"),
        ] {
            assert_eq!(Size(bytes).to_string(), text);
        }
        assert_eq!(Took(Duration::from_micros(1_234)).to_string(), "1.23 ms");
        assert_eq!(Took(Duration::from_secs(12)).to_string(), "12.0 s");
        assert_eq!(format!("{:>8}", Size(1)), "     1 B");
    }

    #[test]
    fn a_stranger_does_not_steer_the_terminal() {
        assert_eq!(harmless("a\x1b[2J\n\tb\r"), "a\\u{1b}[2J\n\tb\\r");
        assert_eq!(one_line("a\nb\u{202e}"), "a\\nb\\u{202e}");
    }

    #[test]
    fn bytes_are_text_where_they_can_be() {
        let json = |bytes: &[u8]| serde_json::to_string(&Blob::from(bytes)).expect("JSON");
        assert_eq!(json(b"hi"), r#"{"text":"hi"}"#);
        assert_eq!(json(&[0xff]), r#"{"base64":"/w=="}"#);
    }
}
