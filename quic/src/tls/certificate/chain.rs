//! From the server's certificate to an authority (RFC 5280 §6.1, the part that TLS needs).
//!
//! Each certificate is signed by an authority of the caller's, or by the next one that was sent
//! (RFC 8446 §4.4.2): there is no search. An authority's certificate obeys the same rules as one
//! between, its dates included.

use super::alert;
use super::date;
use super::extensions::{DIGITAL_SIGNATURE, Extensions, KEY_CERT_SIGN};
use super::key::ServerKey;
use super::name;
use super::x509::Certificate;
use crate::error::{Code, Fault, fault};

/// Checks that `leaf` names `server` and leads to one of `authorities` over certificates in
/// `above`, all of them valid at `now`. Whatever was sent behind an authority's is not looked at.
pub(super) fn check(
    leaf: &Certificate<'_>,
    above: &[&[u8]],
    authorities: &[&[u8]],
    server: &str,
    now: u64,
) -> Result<(), Fault> {
    is_servers(leaf, server, now)?;
    let mut below = *leaf;
    let mut above = above.iter();
    let mut between = 0u8;
    loop {
        let mut reason = fault!(
            Code::crypto(alert::UNKNOWN_CA),
            "no authority that is trusted"
        );
        // One that does not parse is one that signed nothing.
        let known = authorities
            .iter()
            .filter_map(|der| Certificate::parse(der).ok());
        for authority in known.filter(|authority| authority.subject == below.issuer) {
            // Two may have the same name: an old key and its successor.
            match issued(&authority, &below, between, now) {
                Ok(()) => return Ok(()),
                Err(error) => reason = error,
            }
        }
        let Some(next) = above.next() else {
            return Err(reason);
        };
        let next = Certificate::parse(next)?;
        if next.subject != below.issuer {
            return Err(reason);
        }
        issued(&next, &below, between, now)?;
        below = next;
        between = between.saturating_add(1);
    }
}

/// The rules for a server's own certificate.
fn is_servers(leaf: &Certificate<'_>, server: &str, now: u64) -> Result<(), Fault> {
    is_valid(leaf, now)?;
    let extensions = Extensions::parse(leaf.extensions)?;
    // Its signature makes the handshake: RFC 8446 §4.4.2.2.
    if extensions.path_len.is_some()
        || extensions.usage & DIGITAL_SIGNATURE == 0
        || !extensions.for_servers
    {
        return Err(fault!(
            Code::crypto(alert::UNSUPPORTED_CERTIFICATE),
            "certificate is not for a server"
        ));
    }
    match name::are_for(extensions.names, server) {
        Some(true) => Ok(()),
        Some(false) => Err(fault!(
            Code::crypto(alert::BAD_CERTIFICATE),
            "certificate is for another name"
        )),
        None => Err(fault!(
            Code::crypto(alert::BAD_CERTIFICATE),
            "certificate's names do not parse"
        )),
    }
}

/// Checks that `issuer` may sign, with `between` certificates from the server's up to it, and did
/// sign `certificate`.
fn issued(
    issuer: &Certificate<'_>,
    certificate: &Certificate<'_>,
    between: u8,
    now: u64,
) -> Result<(), Fault> {
    is_valid(issuer, now)?;
    let extensions = Extensions::parse(issuer.extensions)?;
    if extensions.path_len.is_none_or(|most| between > most)
        || extensions.usage & KEY_CERT_SIGN == 0
        || !extensions.for_servers
    {
        return Err(fault!(
            Code::crypto(alert::BAD_CERTIFICATE),
            "certificate is signed by one that may not"
        ));
    }
    ServerKey::parse(issuer.key)?.verify_certificate(
        certificate.algorithm,
        certificate.signed,
        certificate.signature,
    )
}

fn is_valid(certificate: &Certificate<'_>, now: u64) -> Result<(), Fault> {
    let Some((first, last)) = date::validity(certificate.validity) else {
        return Err(fault!(
            Code::crypto(alert::BAD_CERTIFICATE),
            "certificate's dates do not parse"
        ));
    };
    if now < first {
        return Err(fault!(
            Code::crypto(alert::CERTIFICATE_EXPIRED),
            "certificate is not valid yet"
        ));
    }
    if now > last {
        return Err(fault!(
            Code::crypto(alert::CERTIFICATE_EXPIRED),
            "certificate has expired"
        ));
    }
    Ok(())
}
