//! Resumption tokens (`RES-9`).

use core::fmt;
use core::hint::black_box;

/// What an initiator shows to resume an operation: 256 random bits, which mean nothing in
/// themselves (`RES-11`).
///
/// Whoever knows one may resume, as far as [`Retained`](super::Retained) lets anybody but the
/// owner; so it never shows in logs, and is compared in constant time only.
#[derive(Clone, Copy)]
pub struct Token([u8; 32]);

impl Token {
    /// A token of `random` bytes, which come from a cryptographically secure generator (`RES-9`).
    #[must_use]
    pub const fn new(random: [u8; 32]) -> Self {
        Self(random)
    }

    /// The bytes that go into RESUMABLE.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// Whether `shown` is this token. How long that takes says at most whether the length is
    /// right.
    #[must_use]
    pub fn matches(&self, shown: &[u8]) -> bool {
        let differing = self
            .0
            .iter()
            .zip(shown)
            .fold(0, |differing, (ours, theirs)| {
                // The compiler shall not see that it could stop at the first difference.
                black_box(differing | (ours ^ theirs))
            });
        shown.len() == self.0.len() && differing == 0
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token(..)")
    }
}

#[cfg(feature = "defmt")]
impl defmt::Format for Token {
    fn format(&self, f: defmt::Formatter<'_>) {
        defmt::write!(f, "Token(..)");
    }
}
