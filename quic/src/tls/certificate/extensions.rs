//! The extensions that a chain is judged by (RFC 5280 §4.2).

use super::alert;
use super::der::{BIT_STRING, Der, OBJECT_IDENTIFIER, OCTET_STRING};
use crate::error::{Code, Fault, fault};

/// The last byte of their identifiers, which begin with 2.5.29.
const KEY_USAGE: u8 = 0x0f;
const SUBJECT_ALT_NAME: u8 = 0x11;
const BASIC_CONSTRAINTS: u8 = 0x13;
const NAME_CONSTRAINTS: u8 = 0x1e;
const EXTENDED_KEY_USAGE: u8 = 0x25;
/// id-kp-serverAuth, 1.3.6.1.5.5.7.3.1.
const SERVER_AUTH: [u8; 8] = [0x2b, 0x06, 0x01, 0x05, 0x05, 0x07, 0x03, 0x01];

/// Bits of the first byte of a KeyUsage.
pub(super) const DIGITAL_SIGNATURE: u8 = 0x80;
pub(super) const KEY_CERT_SIGN: u8 = 0x04;

const MALFORMED: Fault = fault!(
    Code::crypto(alert::BAD_CERTIFICATE),
    "certificate's extensions do not parse"
);

/// What a certificate says that it is for.
pub(super) struct Extensions<'a> {
    /// It is an authority's, and as many more may stand between it and the server's.
    pub(super) path_len: Option<u8>,
    /// First byte of its KeyUsage; every bit is set when it has none.
    pub(super) usage: u8,
    /// It does not say that it is for anything but servers.
    pub(super) for_servers: bool,
    /// The names in its subjectAltName.
    pub(super) names: Der<'a>,
}

impl<'a> Extensions<'a> {
    pub(super) fn parse(mut list: Der<'a>) -> Result<Self, Fault> {
        let mut all = Self {
            path_len: None,
            usage: 0xff,
            for_servers: true,
            names: Der::new(&[]),
        };
        let mut seen = 0u64;
        while !list.is_empty() {
            let (id, critical, value) = next(&mut list).ok_or(MALFORMED)?;
            let kind = match *id {
                [0x55, 0x1d, kind @ 0..64] => kind,
                _ => u8::MAX,
            };
            // Each at most once (RFC 5280 §4.2).
            let bit = 1u64.checked_shl(kind.into()).unwrap_or(0);
            if seen & bit != 0 {
                return Err(MALFORMED);
            }
            seen |= bit;
            all.note(kind, critical, value)?;
        }
        Ok(all)
    }

    fn note(&mut self, kind: u8, critical: bool, value: Der<'a>) -> Result<(), Fault> {
        match kind {
            KEY_USAGE => self.usage = key_usage(value).ok_or(MALFORMED)?,
            SUBJECT_ALT_NAME => self.names = only_sequence(value).ok_or(MALFORMED)?,
            BASIC_CONSTRAINTS => self.path_len = basic_constraints(value).ok_or(MALFORMED)?,
            EXTENDED_KEY_USAGE => self.for_servers = is_for_servers(value).ok_or(MALFORMED)?,
            // They must be obeyed even where an authority did not mark them as critical.
            NAME_CONSTRAINTS => {
                return Err(fault!(
                    Code::crypto(alert::UNSUPPORTED_CERTIFICATE),
                    "authority's names are constrained"
                ));
            }
            _ if critical => {
                return Err(fault!(
                    Code::crypto(alert::UNSUPPORTED_CERTIFICATE),
                    "critical certificate extension that is not known"
                ));
            }
            _ => {}
        }
        Ok(())
    }
}

/// Identifier, criticality and content of the next extension.
fn next<'a>(list: &mut Der<'a>) -> Option<(&'a [u8], bool, Der<'a>)> {
    let mut extension = list.sequence()?;
    let id = extension.expect(OBJECT_IDENTIFIER)?.content;
    let critical = extension.flag()?;
    let value = extension.expect(OCTET_STRING)?.content;
    extension.end()?;
    Some((id, critical, Der::new(value)))
}

/// A SEQUENCE that is not empty and has nothing behind it.
fn only_sequence(mut value: Der<'_>) -> Option<Der<'_>> {
    let sequence = value.sequence()?;
    value.end()?;
    (!sequence.is_empty()).then_some(sequence)
}

/// The outer `None`: it does not parse. The inner one: not an authority's.
fn basic_constraints(mut value: Der<'_>) -> Option<Option<u8>> {
    let mut fields = value.sequence()?;
    value.end()?;
    let authority = fields.flag()?;
    let path_len = if fields.is_empty() {
        u8::MAX
    } else {
        match *fields.unsigned()? {
            [length] => length,
            // Longer than any chain that is taken.
            _ => u8::MAX,
        }
    };
    fields.end()?;
    Some(authority.then_some(path_len))
}

/// The first byte of a KeyUsage: named bits, so that the last one written is set.
fn key_usage(mut value: Der<'_>) -> Option<u8> {
    let bits = value.expect(BIT_STRING)?.content;
    value.end()?;
    let (&unused, bytes) = bits.split_first()?;
    let (&last, &first) = (bytes.last()?, bytes.first()?);
    (last != 0 && last.trailing_zeros() == u32::from(unused)).then_some(first)
}

fn is_for_servers(value: Der<'_>) -> Option<bool> {
    let mut purposes = only_sequence(value)?;
    let mut found = false;
    while !purposes.is_empty() {
        found |= purposes.expect(OBJECT_IDENTIFIER)?.content == SERVER_AUTH;
    }
    Some(found)
}
