//! Tickets: what one connection leaves so that the next needs no certificate (RFC 8446 §2.2,
//! §4.6.1), in the bytes that the caller keeps.
//!
//! | field | bytes |
//! |---|---|
//! | version of this format: 1 | 1 |
//! | cipher suite | 2 |
//! | when the ticket was issued, in seconds since 1970 | 8 |
//! | when the server last proved itself by its certificate, likewise | 8 |
//! | lifetime in seconds | 4 |
//! | age_add | 4 |
//! | pre-shared key | 32 |
//! | the server's ticket, behind its length | 2 + n |
//! | seal: SHA-256 over the server's name, whom we trust, and all of the above | 32 |
//!
//! The seal binds a ticket to the server and to the trust that it was earned with, and finds out
//! what a worn-out flash did to it: such a ticket is not used, and the handshake is a full one. It
//! is no defence against who can write where tickets are kept.

use sha2::{Digest, Sha256};

use super::codes;
use super::schedule::{self, Hash};
use super::server_messages::NewTicket;
use crate::coding::{Reader, Writer};
use crate::config::{Config, Suite, Trust};
use crate::crypto::Secret;

/// The most bytes that a ticket takes. Of larger ones, nothing is kept.
pub(crate) const TICKET_MAX: usize = 640;

const VERSION: u8 = 1;
const SEAL: usize = 32;
/// No certificate is believed for longer by way of tickets, and so no ticket is used for longer
/// (RFC 8446 §4.6.1).
const WEEK: u64 = 7 * 24 * 60 * 60;

/// A ticket that can be offered.
pub(super) struct Offer<'a> {
    pub(super) psk: Secret,
    /// What the server gave.
    pub(super) ticket: &'a [u8],
    /// How old it is in milliseconds, veiled by what the server gave for that.
    pub(super) age: u32,
    /// When the server last proved itself by its certificate.
    pub(super) authenticated: u64,
}

impl<'a> Offer<'a> {
    /// The ticket in `config`, when there is one that is sound, for this server, and not too old.
    pub(super) fn of(config: &Config<'a>) -> Option<Self> {
        let now = config.unix_time?;
        let (body, seal) = config.ticket?.split_last_chunk::<SEAL>()?;
        if *seal != sealed(config, body) {
            return None;
        }
        let mut body = Reader::new(body);
        let version = body.u8()?;
        let suite = body.u16()?;
        let issued = u64::from_be_bytes(body.array()?);
        let authenticated = u64::from_be_bytes(body.array()?);
        let lifetime = u64::from(body.u32()?);
        let age_add = body.u32()?;
        let psk = Secret::new(body.array()?);
        let ticket = body.u16_bytes()?;
        let is_offered = config
            .suites
            .iter()
            .any(|offered| codes::suite(*offered) == suite);
        let age = now.checked_sub(issued)?;
        let proof_age = now.checked_sub(authenticated)?;
        if version != VERSION || !is_offered || age >= lifetime || proof_age >= WEEK {
            return None;
        }
        Some(Self {
            psk,
            ticket,
            age: (age as u32).wrapping_mul(1000).wrapping_add(age_add),
            authenticated,
        })
    }
}

/// Writes `ticket` in the form that is kept. `false`, with nothing written, when it is not worth
/// keeping: it is dead already, too large, or nobody knows the time. `proven` says when the server
/// last proved itself by its certificate, where it did not do so on this connection.
pub(super) fn keep(
    ticket: &NewTicket<'_>,
    suite: Suite,
    resumption: &Secret,
    proven: Option<u64>,
    config: &Config<'_>,
    out: &mut Writer<'_>,
) -> bool {
    let start = out.len();
    let written = write(ticket, suite, resumption, proven, config, out);
    let kept = written.is_some() && out.len().saturating_sub(start) <= TICKET_MAX;
    if !kept {
        out.truncate(start);
    }
    kept
}

fn write(
    ticket: &NewTicket<'_>,
    suite: Suite,
    resumption: &Secret,
    proven: Option<u64>,
    config: &Config<'_>,
    out: &mut Writer<'_>,
) -> Option<()> {
    let now = config.unix_time.filter(|_| ticket.lifetime > 0)?;
    let start = out.len();
    out.u8(VERSION)?;
    out.u16(codes::suite(suite))?;
    out.bytes(&now.to_be_bytes())?;
    out.bytes(&proven.unwrap_or(now).to_be_bytes())?;
    out.u32(ticket.lifetime)?;
    out.u32(ticket.age_add)?;
    out.bytes(schedule::ticket_psk(resumption, ticket.nonce).bytes())?;
    out.u16(u16::try_from(ticket.ticket.len()).ok()?)?;
    out.bytes(ticket.ticket)?;
    let seal = sealed(config, out.written().get(start..)?);
    out.bytes(&seal)
}

/// The seal of a ticket whose other fields are `body`.
fn sealed(config: &Config<'_>, body: &[u8]) -> Hash {
    let mut hash = Sha256::new();
    add(&mut hash, config.server_name.as_bytes());
    match config.trust {
        Trust::Pins(pins) => {
            hash.update([0]);
            add(&mut hash, pins.as_flattened());
        }
        #[cfg(feature = "authority")]
        Trust::Authorities(authorities) => {
            hash.update([1]);
            for authority in authorities {
                add(&mut hash, authority);
            }
        }
    }
    add(&mut hash, body);
    hash.finalize().into()
}

/// Adds bytes behind their length, so that one part cannot be taken for another.
fn add(hash: &mut Sha256, bytes: &[u8]) {
    hash.update((bytes.len() as u32).to_be_bytes());
    hash.update(bytes);
}
