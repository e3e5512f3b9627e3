//! The handshake: TLS 1.3 as a client (RFC 8446), as QUIC carries it (RFC 9001 §4 and §8).
//!
//! [`Client`] is fed whole handshake messages and says what each led to. It asks for the
//! configuration each time, so that memory holds it once. Not spoken: TLS 1.2, 0-RTT, client
//! certificates (a server that asks for one is given none), KeyUpdate (QUIC has its own), renewed
//! authentication, and anything but SHA-256.

mod certificate;
mod client;
mod client_hello;
mod codes;
#[cfg(feature = "p256")]
mod curve;
mod exchange;
mod extensions;
mod schedule;
mod server_hello;
mod server_messages;
#[cfg(any(test, feature = "fuzzing"))]
pub(crate) mod support;
#[cfg(test)]
mod tests;
mod ticket;

#[cfg(feature = "fuzzing")]
pub(crate) use certificate::check as check_certificates;
pub(crate) use client::{Client, Level, Progress};
pub(crate) use ticket::TICKET_MAX;
