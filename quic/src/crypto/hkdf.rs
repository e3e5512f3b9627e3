//! HKDF with SHA-256 as TLS 1.3 and QUIC use it: RFC 5869, and the labels of RFC 8446 §7.1.
//!
//! Every key here is 32 bytes. A shorter one (QUIC's salt) is given with zeros behind it, which is
//! what HMAC does with it anyway; so nothing here can fail, save a length that a label cannot state.

use hmac::{KeyInit, Mac, SimpleHmac};
use sha2::Sha256;
use subtle::ConstantTimeEq;

use super::Secret;

/// What stands before each label.
const PREFIX: &[u8] = b"tls13 ";
/// A label's length is stated in one byte, prefix included.
const LABEL_MAX: usize = 255 - PREFIX.len();
/// A context's length is stated in one byte.
const CONTEXT_MAX: usize = 255;
/// Blocks are counted in one byte.
const OUT_MAX: usize = 255 * 32;

/// HMAC-SHA-256 of `parts`, one behind the other.
fn mac(key: &[u8; 32], parts: &[&[u8]]) -> [u8; 32] {
    let mut block = [0; 64];
    if let Some(front) = block.first_chunk_mut() {
        *front = *key;
    }
    let mut mac = SimpleHmac::<Sha256>::new(&block.into());
    for part in parts {
        mac.update(part);
    }
    mac.finalize().into_bytes().into()
}

/// HMAC-SHA-256 (RFC 2104).
pub(crate) fn hmac(key: &[u8; 32], data: &[u8]) -> [u8; 32] {
    mac(key, &[data])
}

/// Whether both are the same; how long that takes tells only their lengths.
pub(crate) fn equal(left: &[u8], right: &[u8]) -> bool {
    left.ct_eq(right).into()
}

/// HKDF-Extract.
pub(crate) fn extract(salt: &[u8; 32], input: &[u8]) -> Secret {
    Secret::new(mac(salt, &[input]))
}

/// HKDF-Expand-Label; `label` is without the prefix. `false`, and nothing written, when `label` has
/// more than 249 bytes, `context` more than 255, or `out` more than 8160.
#[must_use]
pub(crate) fn expand_label(secret: &Secret, label: &[u8], context: &[u8], out: &mut [u8]) -> bool {
    if label.len() > LABEL_MAX || context.len() > CONTEXT_MAX || out.len() > OUT_MAX {
        return false;
    }
    fill(secret, label, context, out);
    true
}

/// HKDF-Expand-Label to another secret, for labels and contexts that are known to be short. TLS's
/// Derive-Secret is this with a transcript's hash as context.
pub(crate) fn derive(secret: &Secret, label: &[u8], context: &[u8]) -> Secret {
    expand(secret, &[], 32, label, context, 1)
}

/// HKDF-Expand-Label where every length is known to be in range.
pub(super) fn fill(secret: &Secret, label: &[u8], context: &[u8], out: &mut [u8]) {
    let total = out.len();
    let mut block = Secret::ZERO;
    for (n, piece) in (1..=255).zip(out.chunks_mut(32)) {
        let before: &[u8] = if n == 1 { &[] } else { block.bytes() };
        block = expand(secret, before, total, label, context, n);
        for (to, from) in piece.iter_mut().zip(block.bytes()) {
            *to = *from;
        }
    }
}

/// The `n`th block of HKDF-Expand-Label, where every length is known to be in range.
fn expand(
    secret: &Secret,
    before: &[u8],
    total: usize,
    label: &[u8],
    context: &[u8],
    n: u8,
) -> Secret {
    let [.., high, low] = total.to_be_bytes();
    let label_len = PREFIX.len().saturating_add(label.len()) as u8;
    Secret::new(mac(
        secret.bytes(),
        &[
            before,
            &[high, low, label_len],
            PREFIX,
            label,
            &[context.len() as u8],
            context,
            &[n],
        ],
    ))
}

#[cfg(test)]
#[allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects
)]
mod tests {
    use std::vec::Vec;

    use super::*;
    use crate::packet::rfc9001::hex;

    /// The label as RFC 8446 §7.1 writes it, given to a stranger's HKDF.
    fn stranger(secret: &Secret, label: &[u8], context: &[u8], len: usize) -> Vec<u8> {
        let mut info = std::vec![(len >> 8) as u8, len as u8, label.len() as u8 + 6];
        info.extend_from_slice(b"tls13 ");
        info.extend_from_slice(label);
        info.push(context.len() as u8);
        info.extend_from_slice(context);
        let mut out = std::vec![0; len];
        ::hkdf::Hkdf::<Sha256>::from_prk(secret.bytes())
            .unwrap()
            .expand(&info, &mut out)
            .unwrap();
        out
    }

    #[test]
    fn the_second_case_of_rfc_4231() {
        let mut key = [0; 32];
        key[..4].copy_from_slice(b"Jefe");
        assert_eq!(
            hmac(&key, b"what do ya want for nothing?")[..],
            hex("5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843")
        );
    }

    #[test]
    fn the_first_secrets_of_rfc_8448() {
        let early = extract(&[0; 32], &[0; 32]);
        assert_eq!(
            early.bytes()[..],
            hex("33ad0a1c607ec03b09e6cd9893680ce210adf300aa1f2660e1b22e10f170f92a")
        );
        let nothing = hex("e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
        assert_eq!(
            derive(&early, b"derived", &nothing).bytes()[..],
            hex("6f2615a108c702c5678f54fc9dbab69716c076189c48250cebeac3576c3611ba")
        );
    }

    #[test]
    fn every_length_agrees_with_another_implementation() {
        let secret = Secret::new([0x5a; 32]);
        for len in [0, 1, 12, 16, 31, 32, 33, 64, 65, 255, 256, OUT_MAX] {
            let mut out = std::vec![0; len];
            assert!(expand_label(&secret, b"label", &[7; 40], &mut out));
            assert_eq!(out, stranger(&secret, b"label", &[7; 40], len));
        }
        let (label, context) = ([b'l'; LABEL_MAX], [9; CONTEXT_MAX]);
        let mut out = [0; 32];
        assert!(expand_label(&secret, &label, &context, &mut out));
        assert_eq!(out[..], stranger(&secret, &label, &context, 32));
        assert_eq!(&out, derive(&secret, &label, &context).bytes());
    }

    #[test]
    fn lengths_that_cannot_be_stated_are_refused_and_nothing_is_written() {
        let mut out = std::vec![3; OUT_MAX + 1];
        assert!(!expand_label(&Secret::ZERO, b"l", &[], &mut out));
        assert!(!expand_label(
            &Secret::ZERO,
            &[0; LABEL_MAX + 1],
            &[],
            &mut out[..9]
        ));
        assert!(!expand_label(
            &Secret::ZERO,
            b"l",
            &[0; CONTEXT_MAX + 1],
            &mut out[..9]
        ));
        assert!(out.iter().all(|byte| *byte == 3));
    }

    #[test]
    fn equal_means_the_same_bytes_and_the_same_length() {
        assert!(equal(b"same", b"same"));
        assert!(!equal(b"same", b"sama"));
        assert!(!equal(b"same", b"sam"));
    }
}
