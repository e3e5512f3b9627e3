//! Percent-coding of a path segment, both ways (RFC 3986 §2.1, `URI-3`).

use core::fmt::{self, Write};
use core::hash::{Hash, Hasher};

/// Why a text is no path segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum PercentError {
    /// It has a character that must be percent-encoded.
    BadCharacter,
    /// Two hexadecimal digits do not follow a percent sign.
    BadTriplet,
    /// It does not decode to UTF-8.
    NotUtf8,
}

impl PercentError {
    /// What is wrong, in words that go on from "because".
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::BadCharacter => {
                "its path has a character that must be percent-encoded, as a space must be %20"
            }
            Self::BadTriplet => {
                "its path is not percent-encoded: two hexadecimal digits follow a percent sign, \
                 and the sign itself is %25"
            }
            Self::NotUtf8 => "its path is not percent-encoded UTF-8",
        }
    }
}

impl fmt::Display for PercentError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl core::error::Error for PercentError {}

/// A percent-encoded path segment, which is known to decode to UTF-8 (`URI-3`).
///
/// Compared, hashed and printed by what it decodes to: every spelling of an agent's id names the
/// same agent. Case counts, and no Unicode normalisation is applied.
#[derive(Clone, Copy)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Percent<'a>(&'a str);

impl<'a> Percent<'a> {
    /// Reads one segment: RFC 3986's `*pchar`, which may be empty.
    ///
    /// # Errors
    /// Which rule it breaks.
    pub fn parse(text: &'a str) -> Result<Self, PercentError> {
        let mut bytes = text.bytes();
        while let Some(byte) = bytes.next() {
            if byte == b'%' {
                let mut hex = || bytes.next().is_some_and(|byte| byte.is_ascii_hexdigit());
                if !(hex() && hex()) {
                    return Err(PercentError::BadTriplet);
                }
            } else if !is_pchar(byte) {
                return Err(PercentError::BadCharacter);
            }
        }
        let segment = Self(text);
        let mut chars = segment.chars();
        while let Some(decoded) = chars.step() {
            decoded?;
        }
        Ok(segment)
    }

    /// The text as it was written, percent signs and all.
    #[must_use]
    pub const fn as_encoded(&self) -> &'a str {
        self.0
    }

    /// Whether there is nothing in it.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// What it decodes to, one character after the other.
    #[must_use]
    pub fn chars(&self) -> Chars<'a> {
        Chars(Bytes(self.0.bytes()))
    }

    /// Decodes it into the front of `out`; `None` where that is too short. The text as it was
    /// written is never shorter.
    #[must_use]
    pub fn decode_into<'o>(&self, out: &'o mut [u8]) -> Option<&'o str> {
        let mut len = 0_usize;
        for byte in Bytes(self.0.bytes()) {
            *out.get_mut(len)? = byte;
            len = len.saturating_add(1);
        }
        core::str::from_utf8(out.get(..len)?).ok()
    }

    /// Its normal form: as [`Encoded`] would write what it decodes to.
    pub(super) fn write_normal(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.bytes().try_for_each(|byte| write_encoded(byte, f))
    }

    fn bytes(&self) -> Bytes<'a> {
        Bytes(self.0.bytes())
    }
}

impl PartialEq for Percent<'_> {
    fn eq(&self, other: &Self) -> bool {
        self.bytes().eq(other.bytes())
    }
}

impl Eq for Percent<'_> {}

impl PartialEq<str> for Percent<'_> {
    fn eq(&self, other: &str) -> bool {
        self.bytes().eq(other.bytes())
    }
}

impl PartialEq<&str> for Percent<'_> {
    fn eq(&self, other: &&str) -> bool {
        self == *other
    }
}

impl Hash for Percent<'_> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.bytes().for_each(|byte| state.write_u8(byte));
        state.write_u8(0xff);
    }
}

impl fmt::Debug for Percent<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Percent({:?})", self.0)
    }
}

impl fmt::Display for Percent<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.chars().try_for_each(|decoded| f.write_char(decoded))
    }
}

/// The characters of a [`Percent`].
#[derive(Clone, Debug)]
pub struct Chars<'a>(Bytes<'a>);

impl Chars<'_> {
    fn step(&mut self) -> Option<Result<char, PercentError>> {
        let first = self.0.next()?;
        let len = match first {
            0..0x80 => 1,
            0x80..0xe0 => 2,
            0xe0..0xf0 => 3,
            0xf0.. => 4,
        };
        let mut code = [first, 0, 0, 0];
        for (slot, byte) in code.iter_mut().take(len).skip(1).zip(&mut self.0) {
            *slot = byte;
        }
        let text = code.get(..len).map(core::str::from_utf8);
        let decoded = text.and_then(|text| text.ok()?.chars().next());
        Some(decoded.ok_or(PercentError::NotUtf8))
    }
}

impl Iterator for Chars<'_> {
    type Item = char;

    fn next(&mut self) -> Option<char> {
        // What is in a `Percent` decodes.
        self.step()?.ok()
    }
}

/// The bytes that well-formed percent-encoded text decodes to.
#[derive(Clone, Debug)]
struct Bytes<'a>(core::str::Bytes<'a>);

impl Iterator for Bytes<'_> {
    type Item = u8;

    fn next(&mut self) -> Option<u8> {
        match self.0.next()? {
            b'%' => {
                let high = digit(self.0.next()?)?;
                let low = digit(self.0.next()?)?;
                Some(high << 4 | low)
            }
            other => Some(other),
        }
    }
}

fn digit(byte: u8) -> Option<u8> {
    let value = char::from(byte).to_digit(16)?;
    u8::try_from(value).ok()
}

/// Prints any text as one path segment of a URI (`URI-3`), in the normal form: what RFC 3986 allows
/// in a segment stands as it is, all else as `%` and two upper-case digits.
///
/// The segments `.` and `..` are the two that no URI can name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Encoded<'a>(pub &'a str);

impl fmt::Display for Encoded<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.bytes().try_for_each(|byte| write_encoded(byte, f))
    }
}

fn write_encoded(byte: u8, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    if is_pchar(byte) {
        f.write_char(char::from(byte))
    } else {
        write!(f, "%{byte:02X}")
    }
}

/// RFC 3986's `pchar`, but for percent-encoded ones.
const fn is_pchar(byte: u8) -> bool {
    byte.is_ascii_alphanumeric()
        || matches!(
            byte,
            b'-' | b'.'
                | b'_'
                | b'~'
                | b'!'
                | b'$'
                | b'&'
                | b'\''
                | b'('
                | b')'
                | b'*'
                | b'+'
                | b','
                | b';'
                | b'='
                | b':'
                | b'@'
        )
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn uri_3_what_is_encoded_decodes_to_itself() {
        for text in [
            "",
            "agent",
            "my agent",
            "a/b",
            "100%",
            "Ünï\u{1F980}",
            "\0\n?#",
        ] {
            let encoded = Encoded(text).to_string();
            let percent = Percent::parse(&encoded).unwrap();
            assert_eq!(percent, text, "{encoded}");
            assert_eq!(percent.to_string(), text);
            let mut out = vec![0; encoded.len()];
            assert_eq!(percent.decode_into(&mut out), Some(text));
            assert_eq!(percent.as_encoded(), encoded);
        }
        assert_eq!(Encoded("é/ ").to_string(), "%C3%A9%2F%20");
        assert_eq!(
            Encoded("a-._~!$&'()*+,;=:@").to_string(),
            "a-._~!$&'()*+,;=:@"
        );
    }

    #[test]
    fn uri_3_case_counts_in_the_text_and_not_in_the_digits() {
        let parse = |text| Percent::parse(text).unwrap();
        assert_eq!(parse("%c3%a9"), parse("%C3%A9"));
        assert_eq!(parse("%61"), parse("a"));
        assert_ne!(parse("%41"), parse("a"));
        assert_ne!(parse("a"), parse("ab"));
    }

    #[test]
    fn uri_3_what_is_no_segment_is_refused_with_the_reason() {
        use PercentError::*;
        for (text, error) in [
            ("a b", BadCharacter),
            ("a/b", BadCharacter),
            ("é", BadCharacter),
            ("a\\b", BadCharacter),
            ("a\0", BadCharacter),
            ("%", BadTriplet),
            ("%4", BadTriplet),
            ("%+f", BadTriplet),
            ("%4%41", BadTriplet),
            ("%zz", BadTriplet),
            ("%ff", NotUtf8),
            ("%C3", NotUtf8),
            ("%C3a", NotUtf8),
            ("%C0%80", NotUtf8),
            ("%ED%A0%80", NotUtf8),
            ("%80", NotUtf8),
            ("%F5%80%80%80", NotUtf8),
        ] {
            assert_eq!(Percent::parse(text), Err(error), "{text}");
        }
    }

    #[test]
    fn a_short_buffer_takes_nothing() {
        let percent = Percent::parse("%C3%A9a").unwrap();
        assert_eq!(percent.decode_into(&mut [0; 2]), None);
        assert_eq!(percent.decode_into(&mut [0; 3]), Some("éa"));
        assert!(!percent.is_empty() && Percent::parse("").unwrap().is_empty());
    }
}
