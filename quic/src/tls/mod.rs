//! The handshake: TLS 1.3 as a client (RFC 8446, RFC 9001).

mod certificate;
