//! Cryptography of packets: RFC 9001 over RustCrypto's primitives.

mod aes;
pub(crate) mod hkdf;
mod keys;
mod phases;
mod secret;

pub(crate) use keys::{Keys, Pair, SAMPLE_LEN, TAG_LEN, is_retry_authentic};
pub(crate) use phases::OneRtt;
pub(crate) use secret::{Secret, Seed};
