//! How long things may be, and what they may be made of.
//!
//! Lengths count what the text counts: characters are Unicode scalar values; sizes are in bytes.
//! Each check gives the text back, or says what is expected in its place.

/// The largest request body, in bytes (AGAP-10).
pub const MAX_REQUEST: usize = 1 << 20;

/// The longest context of a presence, in characters (section 2.2).
pub const MAX_CONTEXT: usize = 280;

/// The shortest nonce of a message, in characters (section 2.3).
pub const MIN_MESSAGE_NONCE: usize = 16;

/// The longest nonce, in characters.
pub const MAX_NONCE: usize = 128;

/// What a message's id begins with (section 2.3).
pub const ID_PREFIX: &str = "msg_";

/// The longest rest of a message's id, in bytes.
pub const MAX_ID_REST: usize = 64;

/// The longest body of a message, in bytes.
pub const MAX_BODY: usize = 65_536;

/// The largest payload that an identity takes when it says nothing, in bytes of canonical JSON
/// (section 2.1, AGAP-10).
pub const DEFAULT_MAX_PAYLOAD: u64 = 65_536;

/// The longest payload type, in bytes.
pub const MAX_PAYLOAD_TYPE: usize = 128;

/// How many payload types an identity may list.
pub const MAX_PAYLOAD_TYPES: usize = 64;

/// The longest message of a consent request, in characters.
pub const MAX_CONSENT_MESSAGE: usize = 280;

/// The longest reason of an acknowledgment, in characters.
pub const MAX_REASON: usize = 280;

/// How many AIRE endpoints an identity may list.
pub const MAX_ENDPOINTS: usize = 4;

/// The longest `aire://` URI of an endpoint, in bytes.
pub const MAX_URI: usize = 512;

/// What is expected in place of a text that was refused: the end of a sentence.
pub type Expected = &'static str;

/// The nonce of a message or of signed headers: 16 to 128 characters, none of them a control.
///
/// # Errors
/// What is expected.
pub fn message_nonce(text: &str) -> Result<&str, Expected> {
    let expected = "16 to 128 random characters are expected";
    length_within(text, MIN_MESSAGE_NONCE, MAX_NONCE)
        .filter(|text| !text.contains(char::is_control))
        .ok_or(expected)
}

/// The nonce of anything else: the text's own examples have 6 characters, its vectors 12.
///
/// # Errors
/// What is expected.
pub fn nonce(text: &str) -> Result<&str, Expected> {
    length_within(text, 1, MAX_NONCE)
        .filter(|text| !text.contains(char::is_control))
        .ok_or("1 to 128 random characters are expected")
}

/// A message's id: `msg_` and 1 to 64 of `A-Z`, `a-z`, `0-9`, `_` and `-`. The text says
/// alphanumeric, but has `_` in its vectors and a UUID's `-` in its example.
///
/// # Errors
/// What is expected.
pub fn message_id(text: &str) -> Result<&str, Expected> {
    let good = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-';
    text.strip_prefix(ID_PREFIX)
        .filter(|rest| (1..=MAX_ID_REST).contains(&rest.len()) && rest.bytes().all(good))
        .map(|_| text)
        .ok_or("`msg_` and 1 to 64 of A-Z, a-z, 0-9, _ and - are expected")
}

/// A payload's type: parts divided by `:`, each of `A-Z`, `a-z`, `0-9`, `_`, `-`, `.` and `/`, 128
/// bytes at most (`game:tictactoe`, `ack`).
///
/// # Errors
/// What is expected.
pub fn payload_type(text: &str) -> Result<&str, Expected> {
    let good = |byte: u8| byte.is_ascii_alphanumeric() || b"_-./".contains(&byte);
    let parts_are_good = text
        .split(':')
        .all(|part| !part.is_empty() && part.bytes().all(good));
    (text.len() <= MAX_PAYLOAD_TYPE && parts_are_good)
        .then_some(text)
        .ok_or("a type such as `game:chess` is expected, 128 bytes at most")
}

/// A URI of at most 512 bytes, whose grammar is looked at elsewhere.
///
/// # Errors
/// What is expected.
pub fn uri(text: &str) -> Result<&str, Expected> {
    (1..=MAX_URI)
        .contains(&text.len())
        .then_some(text)
        .ok_or("`aire://host:port` is expected, 512 bytes at most")
}

/// Free text of at most `most` characters, none of them U+0000, which not every store can keep.
#[must_use]
pub fn free_text(text: &str, most: usize) -> Option<&str> {
    length_within(text, 0, most).filter(|text| !text.contains('\0'))
}

/// `text`, if it has `least` to `most` characters.
fn length_within(text: &str, least: usize, most: usize) -> Option<&str> {
    // No more characters are counted than matter.
    let count = text.chars().take(most.saturating_add(1)).count();
    (least..=most).contains(&count).then_some(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nonces_are_measured_in_characters() {
        assert!(message_nonce(&"é".repeat(16)).is_ok());
        assert!(message_nonce(&"é".repeat(128)).is_ok());
        assert!(message_nonce(&"é".repeat(129)).is_err());
        assert!(message_nonce("0123456789abcde").is_err());
        assert!(message_nonce("0123456789abcde\n").is_err());
        assert!(nonce("abc123").is_ok());
        assert!(nonce("").is_err() && nonce("\0").is_err());
        assert!(nonce(&"a".repeat(129)).is_err());
    }

    #[test]
    fn ids_of_the_text_and_of_its_examples_are_taken() {
        for good in [
            "msg_abc123xyz",
            "msg_test_001",
            "msg_6fa459ea-ee8a-3ca4-894e-db77e160355e",
        ] {
            assert_eq!(message_id(good), Ok(good));
        }
        let long = alloc::format!("msg_{}", "a".repeat(65));
        for bad in ["msg_", "msg", "abc", "MSG_a", "msg_a b", "msg_é", &long] {
            assert!(message_id(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn payload_types_are_names_divided_by_colons() {
        for good in ["ack", "game:tictactoe", "a:b:c", "vnd.x/y_z-1"] {
            assert_eq!(payload_type(good), Ok(good));
        }
        let long = "a".repeat(129);
        for bad in ["", ":", "a:", ":a", "a::b", "a b", "é", "a\n", "a*", &long] {
            assert!(payload_type(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn free_text_is_measured_in_characters() {
        assert!(free_text("", 0).is_some());
        assert!(free_text(&"\u{1f600}".repeat(280), MAX_CONTEXT).is_some());
        assert!(free_text(&"a".repeat(281), MAX_CONTEXT).is_none());
        assert!(free_text("a\0", MAX_CONTEXT).is_none());
    }
}
