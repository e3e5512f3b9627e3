//! Cryptography of packets: RFC 9001 over RustCrypto's primitives.

pub(crate) mod hkdf;
mod secret;

pub(crate) use secret::{Secret, Seed};
