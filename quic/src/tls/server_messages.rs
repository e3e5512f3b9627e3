//! The rest of what a server sends, as bytes: EncryptedExtensions, CertificateRequest, Certificate,
//! CertificateVerify and NewSessionTicket (RFC 8446 §4.3, §4.4, §4.6.1).

use super::client_hello::dns_name;
use super::codes::{ILLEGAL, alert, extension, malformed};
use super::extensions::{Extensions, is_known, misplaced, unsolicited};
use crate::coding::Reader;
use crate::config::Config;
use crate::error::{Code, Fault, fault};

/// What EncryptedExtensions must say for the connection to go on: our application protocol. Gives
/// the server's transport parameters (RFC 9001 §8.1, §8.2).
pub(super) fn encrypted_extensions<'a>(
    body: &'a [u8],
    config: &Config<'_>,
) -> Result<&'a [u8], Fault> {
    let mut body = Reader::new(body);
    let mut protocol = None;
    let mut parameters = None;
    for (kind, content) in Extensions::read(&mut body)? {
        match kind {
            extension::ALPN => protocol = Some(single_protocol(content).ok_or(malformed())?),
            extension::QUIC_TRANSPORT_PARAMETERS => parameters = Some(content),
            // The server's preference for the next time, which nobody here remembers.
            extension::SUPPORTED_GROUPS => {}
            extension::SERVER_NAME if dns_name(config.server_name).is_none() => {
                return Err(unsolicited());
            }
            extension::SERVER_NAME if content.is_empty() => {}
            extension::SERVER_NAME => return Err(malformed()),
            other => return Err(misplaced(other)),
        }
    }
    if !body.is_empty() {
        return Err(malformed());
    }
    if protocol != Some(config.alpn) {
        return Err(fault!(
            Code::crypto(alert::NO_APPLICATION_PROTOCOL),
            "the server does not speak our protocol"
        ));
    }
    parameters.ok_or(fault!(
        Code::crypto(alert::MISSING_EXTENSION),
        "no QUIC transport parameters"
    ))
}

fn single_protocol(content: &[u8]) -> Option<&[u8]> {
    let mut content = Reader::new(content);
    let mut list = Reader::new(content.u16_bytes()?);
    let name = list.u8_bytes()?;
    (list.is_empty() && content.is_empty()).then_some(name)
}

/// Checks a CertificateRequest, which is answered by an empty certificate whatever it asks for.
pub(super) fn certificate_request(body: &[u8]) -> Result<(), Fault> {
    let mut body = Reader::new(body);
    let context = body.u8_bytes().ok_or(malformed())?;
    let mut has_schemes = false;
    for (kind, _) in Extensions::read(&mut body)? {
        if kind == extension::SIGNATURE_ALGORITHMS {
            has_schemes = true;
        } else if is_known(kind) {
            return Err(misplaced(kind));
        }
    }
    if !body.is_empty() {
        return Err(malformed());
    }
    if !context.is_empty() {
        return Err(fault!(ILLEGAL, "CertificateRequest has a context"));
    }
    if !has_schemes {
        return Err(fault!(
            Code::crypto(alert::MISSING_EXTENSION),
            "CertificateRequest names no signature schemes"
        ));
    }
    Ok(())
}

/// The list of a Certificate message: entries of a certificate and extensions each.
pub(super) fn certificate(body: &[u8]) -> Result<Reader<'_>, Fault> {
    let mut body = Reader::new(body);
    let context = body.u8_bytes().ok_or(malformed())?;
    let list = body.u24_bytes().ok_or(malformed())?;
    if !body.is_empty() {
        return Err(malformed());
    }
    if !context.is_empty() {
        return Err(fault!(ILLEGAL, "Certificate has a context"));
    }
    Ok(Reader::new(list))
}

/// Scheme and signature of a CertificateVerify message.
pub(super) fn certificate_verify(body: &[u8]) -> Result<(u16, &[u8]), Fault> {
    let mut body = Reader::new(body);
    let scheme = body.u16().ok_or(malformed())?;
    let signature = body.u16_bytes().ok_or(malformed())?;
    if !body.is_empty() {
        return Err(malformed());
    }
    Ok((scheme, signature))
}

/// A NewSessionTicket message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct NewTicket<'a> {
    /// In seconds.
    pub(super) lifetime: u32,
    pub(super) age_add: u32,
    pub(super) nonce: &'a [u8],
    pub(super) ticket: &'a [u8],
}

impl<'a> NewTicket<'a> {
    pub(super) fn parse(body: &'a [u8]) -> Result<Self, Fault> {
        let mut body = Reader::new(body);
        let ticket = Self {
            lifetime: body.u32().ok_or(malformed())?,
            age_add: body.u32().ok_or(malformed())?,
            nonce: body.u8_bytes().ok_or(malformed())?,
            ticket: body.u16_bytes().ok_or(malformed())?,
        };
        for (kind, content) in Extensions::read(&mut body)? {
            if kind == extension::EARLY_DATA {
                early_data(content)?;
            } else if is_known(kind) {
                return Err(misplaced(kind));
            }
        }
        if !body.is_empty() || ticket.ticket.is_empty() {
            return Err(malformed());
        }
        Ok(ticket)
    }
}

/// 0-RTT is not used, but QUIC allows one value only (RFC 9001 §4.6.1).
fn early_data(content: &[u8]) -> Result<(), Fault> {
    match content.try_into().map(u32::from_be_bytes) {
        Ok(u32::MAX) => Ok(()),
        Ok(_) => Err(fault!(
            Code::PROTOCOL_VIOLATION,
            "a ticket limits 0-RTT by TLS's means"
        )),
        Err(_) => Err(malformed()),
    }
}
