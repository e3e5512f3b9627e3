//! The seam to a source of randomness.

/// A cryptographically secure random source: a hardware generator, or a generator seeded by one.
///
/// Every key, nonce and connection id of a connection comes from it. A source that others can
/// guess gives all of them away.
///
/// Any closure that fills bytes is one, so that every version of `rand_core` fits:
///
/// ```
/// # struct Rng;
/// # impl Rng { fn fill_bytes(&mut self, bytes: &mut [u8]) { bytes.fill(4) } }
/// # let mut rng = Rng;
/// let random = move |bytes: &mut [u8]| rng.fill_bytes(bytes);
/// # fn is_one(_: impl aire_embassy::Random) {}
/// # is_one(random);
/// ```
pub trait Random {
    /// Fills `bytes` with fresh random bytes.
    fn fill(&mut self, bytes: &mut [u8]);
}

impl<F: FnMut(&mut [u8])> Random for F {
    fn fill(&mut self, bytes: &mut [u8]) {
        self(bytes);
    }
}
