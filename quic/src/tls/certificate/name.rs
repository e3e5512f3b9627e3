//! Is a certificate for the server that was dialled? (RFC 9525 §6). Only subjectAltName counts,
//! never the subject's common name.

use super::address;
use super::der::Der;

const DNS_NAME: u8 = 0x82;
const IP_ADDRESS: u8 = 0x87;
/// Every kind of GeneralName (RFC 5280 §4.2.1.6).
const KINDS: [u8; 9] = [
    0xa0, 0x81, DNS_NAME, 0xa3, 0xa4, 0xa5, 0x86, IP_ADDRESS, 0x88,
];

/// Whether one of `names`, the GeneralNames in a subjectAltName, is `server`. `None`: they do not
/// parse.
pub(super) fn are_for(mut names: Der<'_>, server: &str) -> Option<bool> {
    let mut octets = [0; address::MAX];
    let (tag, wanted) = match address::parse(server.as_bytes(), &mut octets) {
        Some(octets) => (IP_ADDRESS, octets),
        None => (DNS_NAME, host(server)),
    };
    let mut found = false;
    while !names.is_empty() {
        let name = names.element()?;
        if !has(&KINDS, name.tag) {
            return None;
        }
        if name.tag == tag {
            found |= match tag {
                DNS_NAME => is_dns(name.content, wanted),
                _ => name.content == wanted,
            };
        }
    }
    Some(found)
}

/// Whether `byte` is among `bytes`, which are too few for the search of `core` to be worth its flash.
pub(super) fn has(bytes: &[u8], byte: u8) -> bool {
    bytes.iter().any(|&other| other == byte)
}

/// The name without the dot of the root, or nothing, which no certificate names, when it is not
/// one of a host: labels of letters, digits, hyphens and underscores (RFC 1123 §2.1, and use).
fn host(name: &str) -> &[u8] {
    let name = name.strip_suffix('.').unwrap_or(name).as_bytes();
    let fits = name.len() <= 253
        && name.split(|&byte| byte == b'.').all(|label| {
            (1..=63).contains(&label.len())
                && label
                    .iter()
                    .all(|&byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_')
        });
    if fits { name } else { &[] }
}

/// Whether `presented` is `wanted`, in any case of letters. A `*` stands for the whole first label
/// and only with two labels behind it, so that no certificate is for all of a top level.
fn is_dns(presented: &[u8], wanted: &[u8]) -> bool {
    if wanted.is_empty() {
        return false;
    }
    match presented.strip_prefix(b"*.") {
        None => presented.eq_ignore_ascii_case(wanted),
        Some(parent) => {
            let mut labels = wanted.splitn(2, |&byte| byte == b'.').skip(1);
            has(parent, b'.')
                && labels
                    .next()
                    .is_some_and(|above| parent.eq_ignore_ascii_case(above))
        }
    }
}
