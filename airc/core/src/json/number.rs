//! Numbers, by their canonical text.

use alloc::boxed::Box;
use alloc::string::{String, ToString};
use core::fmt;

/// A number: whole ones exactly as they were written, of any length; others as the double that they
/// are nearest to (AGAP-12).
///
/// What is kept is the canonical text. A whole number, which has neither `.` nor `e` in its text, is
/// its own. Any other is what ECMAScript writes (RFC 8785), so that `1.0` is `1`, `1E3` is `1000`
/// and `1e21` is `1e+21`. Zero has no sign: `-0` and `-0.0` are `0`, as `JSON.stringify` has it.
#[derive(Clone, PartialEq, Eq)]
pub struct Number(Repr);

/// Each number has one form here: what fits `Whole` is never `Text`.
#[derive(Clone, PartialEq, Eq)]
enum Repr {
    Whole(i64),
    Text(Box<str>),
}

impl Number {
    /// A double; `None` for infinities and what is not a number, which JSON cannot say.
    #[must_use]
    pub fn from_f64(value: f64) -> Option<Self> {
        value
            .is_finite()
            .then(|| Self::from_canonical(ryu_js::Buffer::new().format_finite(value)))
    }

    /// A number out of JSON text whose grammar was checked; `None` when it is beyond a double.
    pub(super) fn from_lexeme(lexeme: &str) -> Option<Self> {
        if lexeme.contains(['.', 'e', 'E']) {
            return Self::from_f64(lexeme.parse().ok()?);
        }
        Some(Self::from_canonical(lexeme))
    }

    /// `text` is `-0`, or canonical.
    fn from_canonical(text: &str) -> Self {
        Self(match text.parse() {
            Ok(whole) => Repr::Whole(whole),
            Err(_) => Repr::Text(text.into()),
        })
    }

    /// The number, if it is a whole one from 0 to 2^64 - 1.
    #[must_use]
    pub fn as_u64(&self) -> Option<u64> {
        match &self.0 {
            Repr::Whole(whole) => u64::try_from(*whole).ok(),
            Repr::Text(text) => text.parse().ok(),
        }
    }

    /// The number, if it is a whole one from -2^63 to 2^63 - 1.
    #[must_use]
    pub fn as_i64(&self) -> Option<i64> {
        match self.0 {
            Repr::Whole(whole) => Some(whole),
            Repr::Text(_) => None,
        }
    }

    /// The nearest double; infinite for whole numbers beyond.
    #[must_use]
    pub fn as_f64(&self) -> f64 {
        match &self.0 {
            // What a cast rounds to is what reading the digits rounds to.
            Repr::Whole(whole) => *whole as f64,
            Repr::Text(text) => text.parse().unwrap_or(f64::NAN),
        }
    }
}

/// The canonical text.
impl fmt::Display for Number {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Repr::Whole(whole) => write!(f, "{whole}"),
            Repr::Text(text) => f.write_str(text),
        }
    }
}

impl fmt::Debug for Number {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

impl From<i64> for Number {
    fn from(value: i64) -> Self {
        Self(Repr::Whole(value))
    }
}

impl From<i32> for Number {
    fn from(value: i32) -> Self {
        i64::from(value).into()
    }
}

impl From<u64> for Number {
    fn from(value: u64) -> Self {
        Self(match i64::try_from(value) {
            Ok(whole) => Repr::Whole(whole),
            Err(_) => Repr::Text(String::into_boxed_str(value.to_string())),
        })
    }
}

impl From<usize> for Number {
    fn from(value: usize) -> Self {
        (value as u64).into()
    }
}

impl From<u32> for Number {
    fn from(value: u32) -> Self {
        i64::from(value).into()
    }
}

impl From<u16> for Number {
    fn from(value: u16) -> Self {
        i64::from(value).into()
    }
}

impl From<u8> for Number {
    fn from(value: u8) -> Self {
        i64::from(value).into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whole_numbers_of_any_length_stay_as_they_are() {
        let long = "9".repeat(400);
        for text in [
            "0",
            "-1",
            "9223372036854775807",
            "-9223372036854775808",
            "9223372036854775808",
            "18446744073709551616",
            &long,
        ] {
            assert_eq!(Number::from_lexeme(text).unwrap().to_string(), text);
        }
    }

    #[test]
    fn other_numbers_are_what_ecmascript_writes() {
        for (lexeme, text) in [
            ("1.0", "1"),
            ("1E3", "1000"),
            ("1e21", "1e+21"),
            ("1.5e-7", "1.5e-7"),
            ("0.10", "0.1"),
            ("1e-400", "0"),
            ("-0", "0"),
            ("-0.0", "0"),
            ("-0e5", "0"),
            ("1e20", "100000000000000000000"),
        ] {
            assert_eq!(Number::from_lexeme(lexeme).unwrap().to_string(), text);
        }
        assert_eq!(Number::from_lexeme("1e999"), None);
        assert_eq!(Number::from_lexeme("-1e309"), None);
        assert_eq!(Number::from_f64(f64::NAN), None);
    }

    #[test]
    fn a_number_is_read_as_what_it_fits() {
        let number = Number::from(u64::MAX);
        assert_eq!((number.as_u64(), number.as_i64()), (Some(u64::MAX), None));
        let number = Number::from(-5);
        assert_eq!((number.as_u64(), number.as_i64()), (None, Some(-5)));
        let number = Number::from_f64(1.5).unwrap();
        assert_eq!((number.as_u64(), number.as_i64()), (None, None));
        assert_eq!(number.as_f64(), 1.5);
        assert_eq!(Number::from_lexeme("2.0").unwrap(), Number::from(2));
        assert_eq!(
            Number::from_lexeme("18446744073709551615").unwrap(),
            Number::from(u64::MAX)
        );
    }
}
