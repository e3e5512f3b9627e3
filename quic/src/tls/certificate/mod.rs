//! Whom the server's certificate makes it: the Certificate message's list (RFC 8446 §4.4.2) against
//! what the caller trusts, and the key that the server must then prove to hold (§4.4.3).
//!
//! Certificates are read strictly: X.509 v3 in DER, nothing left over. What is not understood and
//! matters is refused.
//!
//! rustls-webpki would be the usual choice. Above the cryptography it takes 25.0 KiB of flash on
//! thumbv7m (opt-level "s", LTO) and 1.8 KiB of stack; this takes 8.4 KiB and 0.6 KiB, pins
//! included, of the 96 KiB that the crate may take. It is the tests' second opinion instead.

#[cfg(feature = "authority")]
mod address;
#[cfg(feature = "authority")]
mod chain;
#[cfg(feature = "authority")]
mod date;
mod der;
#[cfg(feature = "authority")]
mod extensions;
mod key;
#[cfg(feature = "authority")]
mod name;
#[cfg(feature = "rsa")]
mod rsa;
#[cfg(test)]
mod tests;
mod x509;

use sha2::{Digest, Sha256};
use subtle::{Choice, ConstantTimeEq};

use crate::coding::Reader;
use crate::config::Trust;
use crate::error::{Code, Fault, fault};
pub(crate) use key::ServerKey;
use x509::Certificate;

/// As many certificates are taken from a server: its own and three between it and an authority.
const MAX_CHAIN: usize = 4;

/// TLS alerts (RFC 8446 §6.2).
mod alert {
    pub(super) const BAD_CERTIFICATE: u8 = 42;
    pub(super) const UNSUPPORTED_CERTIFICATE: u8 = 43;
    #[cfg(feature = "authority")]
    pub(super) const CERTIFICATE_EXPIRED: u8 = 45;
    pub(super) const CERTIFICATE_UNKNOWN: u8 = 46;
    pub(super) const ILLEGAL_PARAMETER: u8 = 47;
    #[cfg(feature = "authority")]
    pub(super) const UNKNOWN_CA: u8 = 48;
    pub(super) const DECODE_ERROR: u8 = 50;
    pub(super) const DECRYPT_ERROR: u8 = 51;
    pub(super) const UNSUPPORTED_EXTENSION: u8 = 110;
}

/// Checks the entries of a Certificate message, `certificate_list` without its length, and gives
/// the key of the server's own certificate, the first.
///
/// `server_name` is what was dialled, a DNS name or an IP address in text; `unix_time` is now, in
/// seconds. A pinned key needs neither.
pub(crate) fn check(
    list: Reader<'_>,
    trust: &Trust<'_>,
    server_name: &str,
    unix_time: Option<u64>,
) -> Result<ServerKey, Fault> {
    let mut room = [&[][..]; MAX_CHAIN];
    let (leaf, above) = split(list, &mut room)?;
    let leaf = Certificate::parse(leaf)?;
    let key = ServerKey::parse(leaf.key)?;
    match *trust {
        Trust::Pins(pins) => {
            let _ = (above, server_name, unix_time);
            pinned(&leaf, pins)?;
        }
        #[cfg(feature = "authority")]
        Trust::Authorities(authorities) => {
            let Some(now) = unix_time else {
                return Err(fault!(
                    Code::crypto(alert::CERTIFICATE_UNKNOWN),
                    "no authority is trusted without the time"
                ));
            };
            chain::check(&leaf, above, authorities, server_name, now)?;
        }
    }
    Ok(key)
}

/// The first certificate and those behind it. No extension was offered for them (no OCSP, no SCT),
/// so none may come.
fn split<'r, 'a>(
    mut list: Reader<'a>,
    room: &'r mut [&'a [u8]; MAX_CHAIN],
) -> Result<(&'a [u8], &'r [&'a [u8]]), Fault> {
    const CUT: Fault = fault!(
        Code::crypto(alert::DECODE_ERROR),
        "certificate list does not parse"
    );
    let mut count = 0usize;
    while !list.is_empty() {
        let certificate = list.u24_bytes().ok_or(CUT)?;
        let extensions = list.u16_bytes().ok_or(CUT)?;
        if !extensions.is_empty() {
            return Err(fault!(
                Code::crypto(alert::UNSUPPORTED_EXTENSION),
                "certificate extension that was not asked for"
            ));
        }
        let Some(slot) = room.get_mut(count) else {
            return Err(fault!(
                Code::crypto(alert::CERTIFICATE_UNKNOWN),
                "certificate chain is too long"
            ));
        };
        *slot = certificate;
        count = count.saturating_add(1);
    }
    match room.get(..count).and_then(<[_]>::split_first) {
        Some((leaf, above)) => Ok((leaf, above)),
        None => Err(fault!(Code::crypto(alert::DECODE_ERROR), "no certificate")),
    }
}

fn pinned(leaf: &Certificate<'_>, pins: &[[u8; 32]]) -> Result<(), Fault> {
    let hash: [u8; 32] = Sha256::digest(leaf.key).into();
    let mut known = Choice::from(0);
    for pin in pins {
        known |= pin.ct_eq(&hash);
    }
    if bool::from(known) {
        Ok(())
    } else {
        Err(fault!(
            Code::crypto(alert::CERTIFICATE_UNKNOWN),
            "server's key is not pinned"
        ))
    }
}
