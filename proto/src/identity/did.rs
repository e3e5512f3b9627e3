//! DID syntax, as W3C DID Core 1.0 §3.1 gives it (`ID-1`).

use core::fmt;

/// The longest DID that is kept, passed on or looked up, in bytes. The syntax itself sets no limit.
pub const MAX_DID_LEN: usize = 256;

/// A string in DID syntax: `did:method:identifier`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Did<'a>(&'a str);

/// Why a string is no DID.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct DidError;

impl fmt::Display for DidError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("not a DID: it must look like did:method:identifier")
    }
}

impl core::error::Error for DidError {}

impl<'a> Did<'a> {
    /// Checks the syntax; says nothing about whether the DID resolves.
    ///
    /// # Errors
    /// [`DidError`].
    pub fn parse(text: &'a str) -> Result<Self, DidError> {
        let rest = text.strip_prefix("did:").ok_or(DidError)?;
        let (method, identifier) = rest.split_once(':').ok_or(DidError)?;
        let method_ok = !method.is_empty()
            && method
                .bytes()
                .all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit());
        // Segments may be empty but for the last one.
        let last_ok = identifier
            .rsplit(':')
            .next()
            .is_some_and(|last| !last.is_empty());
        if method_ok && last_ok && identifier_characters(identifier) {
            Ok(Self(text))
        } else {
            Err(DidError)
        }
    }

    /// The whole DID.
    #[must_use]
    pub const fn as_str(&self) -> &'a str {
        self.0
    }

    /// The method's name: `key`, `web`, ...
    #[must_use]
    pub fn method(&self) -> &'a str {
        self.0.split(':').nth(1).unwrap_or_default()
    }

    /// What the method resolves: all behind the second colon.
    #[must_use]
    pub fn identifier(&self) -> &'a str {
        self.0.splitn(3, ':').nth(2).unwrap_or_default()
    }
}

impl fmt::Display for Did<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }
}

fn identifier_characters(identifier: &str) -> bool {
    let mut bytes = identifier.bytes();
    while let Some(byte) = bytes.next() {
        let ok = match byte {
            b'%' => {
                let mut hex = || bytes.next().is_some_and(|byte| byte.is_ascii_hexdigit());
                hex() && hex()
            }
            b':' | b'.' | b'-' | b'_' => true,
            other => other.is_ascii_alphanumeric(),
        };
        if !ok {
            return false;
        }
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_syntax_of_did_core_is_kept() {
        for good in [
            "did:web:example.com",
            "did:web:localhost%3A8443:a",
            "did:x9::b",
            "did:k:Z_-.",
        ] {
            assert!(Did::parse(good).is_ok(), "{good}");
        }
        for bad in [
            "",
            "did",
            "did:",
            "did:web",
            "did:web:",
            "did::x",
            "did:Web:x",
            "did:web:a:",
            "DID:web:a",
            "did:web:a/b",
            "did:web:a#b",
            "did:web:%3",
            "did:web:%zz",
            "did:web:a b",
            "did:web:é",
        ] {
            assert!(Did::parse(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn method_and_identifier_are_told_apart() {
        let did = Did::parse("did:web:example.com:agents");
        assert_eq!(did.map(|did| did.method()), Ok("web"));
        assert_eq!(did.map(|did| did.identifier()), Ok("example.com:agents"));
    }
}
