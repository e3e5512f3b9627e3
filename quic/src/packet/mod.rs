//! Packets on the wire: headers, packet numbers, protection (RFC 9000 §17, RFC 9001 §5).
//!
//! A datagram that came goes through [`Datagram`], which splits it into packets by what can be read
//! without keys; each [`Sealed`] is then opened in place. A packet that is to go begins as a
//! [`Draft`], takes frames, and is sealed in place.

mod id;
mod number;
mod open;
mod parse;
mod retry;
#[cfg(test)]
#[allow(clippy::unwrap_used)]
pub(crate) mod rfc9001;
mod seal;

pub(crate) use id::ConnectionId;
pub(crate) use open::{Opened, Sealed};
pub(crate) use parse::{Datagram, Packet, Versions};
pub(crate) use retry::Retry;
pub(crate) use seal::Draft;

/// QUIC version 1.
pub(crate) const VERSION: u32 = 1;

/// Set in packets with a long header.
const LONG: u8 = 0x80;
/// Set in every packet of version 1.
const FIXED: u8 = 0x40;
/// The phase bit of a 1-RTT packet.
const PHASE: u8 = 0x04;

/// Packets with a long header that carry frames, as a client sends and takes them: 0-RTT is off.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Long {
    /// RFC 9000 §17.2.2.
    Initial,
    /// RFC 9000 §17.2.4.
    Handshake,
}

/// The bits of a first byte that are masked.
const fn masked_bits(first: u8) -> u8 {
    if first & LONG == 0 { 0x1f } else { 0x0f }
}

/// The bits of a first byte that must be 0.
const fn reserved_bits(first: u8) -> u8 {
    if first & LONG == 0 { 0x18 } else { 0x0c }
}
