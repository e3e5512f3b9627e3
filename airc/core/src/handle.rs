//! Handles: what agents are called (section 2.1, AGAP-8).

use alloc::borrow::ToOwned;
use alloc::boxed::Box;
use alloc::string::String;
use core::fmt;

/// The longest handle, in bytes.
pub const MAX_LEN: usize = 32;

/// The shortest handle that the `/api` dialect registers, in bytes (AGAP-8).
pub const MIN_LEGACY_LEN: usize = 3;

/// What an agent is called: 1 to 32 of `a-z`, `0-9` and `_`.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Handle(Box<str>);

/// Not a handle.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HandleError;

impl Handle {
    /// Reads a handle as the paths of section 4 have it.
    ///
    /// # Errors
    /// [`HandleError`] when it is not 1 to 32 of `a-z`, `0-9` and `_`.
    pub fn parse(text: &str) -> Result<Self, HandleError> {
        let good = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_';
        if text.is_empty() || text.len() > MAX_LEN || !text.bytes().all(good) {
            return Err(HandleError);
        }
        Ok(Self(text.into()))
    }

    /// Reads a handle as the `/api` dialect has it: a leading `@` is dropped, letters become lower
    /// case, and `-` becomes `_` (AGAP-8). How short it may be is for registration to judge.
    ///
    /// # Errors
    /// [`HandleError`] when what remains is no handle.
    pub fn parse_legacy(text: &str) -> Result<Self, HandleError> {
        let text = text.strip_prefix('@').unwrap_or(text);
        // Nothing long is copied before it is judged.
        if text.len() > MAX_LEN {
            return Err(HandleError);
        }
        let mut text: String = text.to_owned();
        text.make_ascii_lowercase();
        Self::parse(&text.replace('-', "_"))
    }

    /// The handle as text, without an `@`.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Handle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for Handle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "@{}", self.0)
    }
}

impl fmt::Display for HandleError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a handle is 1 to 32 of a-z, 0-9 and _")
    }
}

impl core::error::Error for HandleError {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn handles_of_the_grammar_are_taken_and_others_refused() {
        for good in ["a", "seth", "a_1", "0", &"x".repeat(32)] {
            assert_eq!(Handle::parse(good).unwrap().as_str(), good);
        }
        for bad in ["", "Seth", "a-b", "a b", "@seth", "é", &"x".repeat(33)] {
            assert_eq!(Handle::parse(bad), Err(HandleError), "{bad}");
        }
    }

    #[test]
    fn the_old_dialect_is_normalised() {
        for (text, handle) in [("@Seth", "seth"), ("a-B-c", "a_b_c"), ("x", "x")] {
            assert_eq!(Handle::parse_legacy(text).unwrap().as_str(), handle);
        }
        for bad in ["", "@", "@@a", "é", "a.b", &"X".repeat(33)] {
            assert_eq!(Handle::parse_legacy(bad), Err(HandleError), "{bad}");
        }
    }
}
