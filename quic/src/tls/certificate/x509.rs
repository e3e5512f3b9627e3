//! The frame of an X.509 certificate (RFC 5280 §4.1), taken apart and not yet judged.

use super::alert;
use super::der::{Der, SEQUENCE};
use crate::error::{Code, Fault, fault};

/// `[0] EXPLICIT INTEGER 2`: TLS takes no other version (RFC 8446 §4.4.2.2).
const VERSION_3: [u8; 5] = [0xa0, 0x03, 0x02, 0x01, 0x02];
const EXTENSIONS: u8 = 0xa3;

/// A certificate's parts, each as it stands in it.
#[derive(Clone, Copy)]
#[cfg_attr(
    not(feature = "authority"),
    allow(dead_code, reason = "a pin is about the key alone")
)]
pub(super) struct Certificate<'a> {
    /// What the issuer signed.
    pub(super) signed: &'a [u8],
    /// How: the AlgorithmIdentifier with its parameters.
    pub(super) algorithm: &'a [u8],
    pub(super) signature: &'a [u8],
    pub(super) issuer: &'a [u8],
    /// The two dates.
    pub(super) validity: Der<'a>,
    pub(super) subject: &'a [u8],
    /// The SubjectPublicKeyInfo.
    pub(super) key: &'a [u8],
    /// The extensions, one behind the other.
    pub(super) extensions: Der<'a>,
}

impl<'a> Certificate<'a> {
    pub(super) fn parse(bytes: &'a [u8]) -> Result<Self, Fault> {
        take_apart(bytes).ok_or(fault!(
            Code::crypto(alert::BAD_CERTIFICATE),
            "certificate is not X.509 v3 in DER"
        ))
    }
}

fn take_apart(bytes: &[u8]) -> Option<Certificate<'_>> {
    let mut outer = Der::new(bytes);
    let mut certificate = outer.sequence()?;
    outer.end()?;
    let body = certificate.expect(SEQUENCE)?;
    let algorithm = certificate.expect(SEQUENCE)?.whole;
    let signature = certificate.bits()?;
    certificate.end()?;

    let mut fields = Der::new(body.content);
    if fields.element()?.whole != VERSION_3 {
        return None;
    }
    let _serial = fields.unsigned()?;
    // Only the one inside is signed, so the other must not say anything else.
    if fields.expect(SEQUENCE)?.whole != algorithm {
        return None;
    }
    let issuer = fields.expect(SEQUENCE)?.whole;
    let validity = fields.sequence()?;
    let subject = fields.expect(SEQUENCE)?.whole;
    let key = fields.expect(SEQUENCE)?.whole;
    let extensions = match fields.optional(EXTENSIONS)? {
        None => Der::new(&[]),
        Some(wrapped) => {
            let mut wrapped = Der::new(wrapped.content);
            let extensions = wrapped.sequence()?;
            wrapped.end()?;
            // There is no empty list of them.
            if extensions.is_empty() {
                return None;
            }
            extensions
        }
    };
    // The unique identifiers of X.509 v2 end here: no authority makes them (RFC 5280 §4.1.2.8).
    fields.end()?;
    Some(Certificate {
        signed: body.whole,
        algorithm,
        signature,
        issuer,
        validity,
        subject,
        key,
        extensions,
    })
}
