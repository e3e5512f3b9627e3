//! What must not be seen: traffic secrets, and the seed that a connection's randomness comes from.

use core::fmt;

use zeroize::Zeroize;

use super::hkdf;

/// A secret of the key schedule (RFC 8446 §7.1): as long as SHA-256's output, gone when dropped.
#[derive(Clone)]
#[repr(align(4))]
pub(crate) struct Secret([u8; 32]);

impl Secret {
    /// All zeros: the key schedule's input where there is no secret yet.
    pub(crate) const ZERO: Self = Self([0; 32]);

    pub(crate) const fn new(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    pub(crate) const fn bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl Drop for Secret {
    fn drop(&mut self) {
        self.0.zeroize();
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret")
    }
}

/// The caller's 32 random bytes, from which everything random in a connection is derived. Each use
/// has a label of its own, so that nothing which is sent tells anything about the rest.
#[derive(Debug)]
pub(crate) struct Seed(Secret);

impl Seed {
    pub(crate) const fn new(bytes: [u8; 32]) -> Self {
        Self(Secret::new(bytes))
    }

    /// What is needed once.
    pub(crate) fn derive(&self, label: &[u8]) -> [u8; 32] {
        *hkdf::derive(&self.0, label, &[]).bytes()
    }

    /// What is needed again and again: the `n`th.
    pub(crate) fn derive_n(&self, label: &[u8], n: u32) -> [u8; 32] {
        *hkdf::derive(&self.0, label, &n.to_be_bytes()).bytes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_seed_gives_differs_by_seed_label_and_number() {
        let (one, other) = (Seed::new([1; 32]), Seed::new([2; 32]));
        let all = [
            one.derive(b"a"),
            one.derive(b"b"),
            one.derive_n(b"a", 0),
            one.derive_n(b"a", 1),
            other.derive(b"a"),
            other.derive_n(b"a", 0),
        ];
        for (at, left) in all.iter().enumerate() {
            assert!(all.iter().skip(at + 1).all(|right| left != right));
        }
        assert_eq!(one.derive(b"a"), Seed::new([1; 32]).derive(b"a"));
    }

    #[test]
    fn a_secret_does_not_print_itself() {
        assert_eq!(std::format!("{:?}", Seed::new([7; 32])), "Seed(Secret)");
    }
}
