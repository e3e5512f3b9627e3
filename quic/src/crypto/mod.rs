//! Cryptography of packets: RFC 9001 over RustCrypto's primitives.
