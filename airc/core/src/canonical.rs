//! Canonical JSON: what is signed (section 3.1).
//!
//! It is RFC 8785: no whitespace, keys sorted by UTF-16 code units at every level, strings escaped
//! only where JSON must, numbers as ECMAScript writes them. Two things beside it: a whole number
//! is written as it came, of whatever length (AGAP-12), and "alphabetically" is read as RFC 8785's
//! order.
//!
//! A signer has to write the same. JavaScript's `JSON.stringify` does, once the keys are sorted.
//! Python's `json.dumps` does with `sort_keys=True`, `separators=(",", ":")` and
//! `ensure_ascii=False`, as long as no number is a float, which it writes as `1.0`, `1e+16` and
//! `1e-05` where ECMAScript has `1`, `10000000000000000` and `0.00001`; and no key has a character
//! beyond U+FFFF, which it sorts by its code point.

use alloc::string::String;
use core::fmt::{self, Write};

use crate::json::{Object, Value};

/// The canonical form of `value`.
#[must_use]
pub fn to_string(value: &Value) -> String {
    let mut text = String::new();
    // A string takes whatever it is given.
    let _never = write(value, &mut text);
    text
}

/// How long the canonical form of `value` is, in bytes.
#[must_use]
pub fn length(value: &Value) -> usize {
    struct Count(usize);
    impl Write for Count {
        fn write_str(&mut self, text: &str) -> fmt::Result {
            self.0 = self.0.saturating_add(text.len());
            Ok(())
        }
    }
    let mut count = Count(0);
    let _never = write(value, &mut count);
    count.0
}

/// Writes the canonical form of `value`.
///
/// # Errors
/// Those of `out`.
pub fn write(value: &Value, out: &mut impl Write) -> fmt::Result {
    match value {
        Value::Null => out.write_str("null"),
        Value::Bool(true) => out.write_str("true"),
        Value::Bool(false) => out.write_str("false"),
        Value::Number(number) => write!(out, "{number}"),
        Value::String(text) => write_text(text, out),
        Value::Array(items) => {
            out.write_char('[')?;
            for (at, item) in items.iter().enumerate() {
                if at > 0 {
                    out.write_char(',')?;
                }
                write(item, out)?;
            }
            out.write_char(']')
        }
        Value::Object(object) => write_object(object, None, out),
    }
}

/// Writes the canonical form of `object`, leaving out the entry `without`.
///
/// # Errors
/// Those of `out`.
pub fn write_object(object: &Object, without: Option<&str>, out: &mut impl Write) -> fmt::Result {
    out.write_char('{')?;
    let entries = object.iter().filter(|(key, _)| Some(*key) != without);
    for (at, (key, value)) in entries.enumerate() {
        if at > 0 {
            out.write_char(',')?;
        }
        write_text(key, out)?;
        out.write_char(':')?;
        write(value, out)?;
    }
    out.write_char('}')
}

/// A string with its quotes (RFC 8785, section 3.2.2.2).
fn write_text(text: &str, out: &mut impl Write) -> fmt::Result {
    out.write_char('"')?;
    let mut rest = text;
    let special = |character: char| character < ' ' || character == '"' || character == '\\';
    while let Some(at) = rest.find(special) {
        let (plain, behind) = rest.split_at_checked(at).unwrap_or((rest, ""));
        out.write_str(plain)?;
        let mut characters = behind.chars();
        match characters.next() {
            Some('"') => out.write_str("\\\"")?,
            Some('\\') => out.write_str("\\\\")?,
            Some('\u{8}') => out.write_str("\\b")?,
            Some('\t') => out.write_str("\\t")?,
            Some('\n') => out.write_str("\\n")?,
            Some('\u{c}') => out.write_str("\\f")?,
            Some('\r') => out.write_str("\\r")?,
            Some(control) => write!(out, "\\u{:04x}", u32::from(control))?,
            None => {}
        }
        rest = characters.as_str();
    }
    out.write_str(rest)?;
    out.write_char('"')
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::json::parse;

    fn canonical(text: &str) -> String {
        let value = parse(text.as_bytes()).unwrap();
        let written = to_string(&value);
        assert_eq!(length(&value), written.len());
        written
    }

    #[test]
    fn strings_are_escaped_only_where_they_must_be() {
        let text = r#""\u0000\u0007\u0008\u0009\u000a\u000b\u000c\u000d\u001f\u0022\u005c\/\u007f\u20ac\u2028""#;
        assert_eq!(
            canonical(text),
            "\"\\u0000\\u0007\\b\\t\\n\\u000b\\f\\r\\u001f\\\"\\\\/\u{7f}€\u{2028}\""
        );
    }

    #[test]
    fn keys_are_sorted_at_every_level_and_arrays_are_not() {
        assert_eq!(
            canonical(r#"{ "b": [3, {"d": 1, "c": 2}, 1], "a": {} }"#),
            r#"{"a":{},"b":[3,{"c":2,"d":1},1]}"#
        );
    }

    #[test]
    fn one_entry_of_the_outermost_object_can_be_left_out() {
        let value = parse(br#"{"a":{"signature":1},"signature":2,"z":3}"#).unwrap();
        let mut text = String::new();
        write_object(value.as_object().unwrap(), Some("signature"), &mut text).unwrap();
        assert_eq!(text, r#"{"a":{"signature":1},"z":3}"#);
    }
}
