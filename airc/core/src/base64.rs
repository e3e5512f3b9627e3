//! Base64 of keys and signatures, in the forms that are about.

use alloc::string::String;
use alloc::vec::Vec;

use data_encoding::{BASE64, BASE64_NOPAD, BASE64URL_NOPAD};

/// The longest text that is looked at: no key or signature comes near.
const MAX_LEN: usize = 256;

/// Reads base64 or base64url, padded or not.
pub(crate) fn decode(text: &str) -> Option<Vec<u8>> {
    if text.len() > MAX_LEN {
        return None;
    }
    let digits = text.trim_end_matches('=');
    // Padding is there whole, or not at all.
    if digits.len() < text.len() && text.len() != digits.len().next_multiple_of(4) {
        return None;
    }
    let encoding = match digits.contains(['-', '_']) {
        true => BASE64URL_NOPAD,
        false => BASE64_NOPAD,
    };
    encoding.decode(digits.as_bytes()).ok()
}

/// Writes base64 with padding.
pub(crate) fn encode(bytes: &[u8]) -> String {
    BASE64.encode(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_alphabets_are_read_with_and_without_padding() {
        for text in ["+/8=", "+/8", "-_8=", "-_8"] {
            assert_eq!(decode(text).as_deref(), Some(&[0xfb, 0xff][..]), "{text}");
        }
        assert_eq!(encode(&[0xfb, 0xff]), "+/8=");
    }

    #[test]
    fn what_is_no_base64_is_refused() {
        let long = "A".repeat(MAX_LEN + 4);
        // The last of these has bits left over: another text for the same bytes.
        for text in [
            "+/8==", "+/8===", "=", "+_8=", "+/ 8", "+/8=\n", "A", "é", "A=A=", "+/9=", &long,
        ] {
            assert_eq!(decode(text), None, "{text}");
        }
    }
}
