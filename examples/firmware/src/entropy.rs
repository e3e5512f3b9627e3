//! Randomness, and the one place where this program is weaker than a device may be.
//!
//! **A REAL BOARD MUST TAKE ITS SEED FROM ITS TRUE RANDOM NUMBER GENERATOR.** The emulated boards
//! have none. Their seed comes from the host, over semihosting, as `seed=` and 64 hexadecimal
//! digits of the command line, fresh for every run: whoever knows or repeats a seed knows every key
//! that is agreed upon in the run. Without a seed the program does not start. There is no default.

use chacha20::ChaCha20;
use chacha20::cipher::{KeyIvInit, StreamCipher};

use crate::host::Arguments;

/// A generator: the ChaCha20 key stream under the seed.
pub struct Entropy(ChaCha20);

impl Entropy {
    /// A generator over a seed that nobody else knows, and that is never used again.
    pub fn from_seed(seed: &[u8; 32]) -> Self {
        Self(ChaCha20::new(seed.into(), &[0; 12].into()))
    }

    /// A generator over the host's seed: the stand-in for a TRNG. `None` where it gave none, or
    /// not 64 hexadecimal digits.
    pub fn from_host(arguments: &Arguments) -> Option<Self> {
        let digits = arguments.get("seed")?.as_bytes();
        let mut seed = [0; 32];
        if digits.len() != 2 * seed.len() {
            return None;
        }
        let digit = |byte: u8| char::from(byte).to_digit(16);
        for (byte, pair) in seed.iter_mut().zip(digits.chunks_exact(2)) {
            *byte = (digit(pair[0])? << 4 | digit(pair[1])?) as u8;
        }
        Some(Self::from_seed(&seed))
    }

    /// Fills `bytes`.
    pub fn fill(&mut self, bytes: &mut [u8]) {
        bytes.fill(0);
        self.0.apply_keystream(bytes);
    }

    /// A number.
    pub fn number(&mut self) -> u64 {
        let mut bytes = [0; 8];
        self.fill(&mut bytes);
        u64::from_le_bytes(bytes)
    }
}

impl aire_embassy::Random for Entropy {
    fn fill(&mut self, bytes: &mut [u8]) {
        Self::fill(self, bytes);
    }
}
