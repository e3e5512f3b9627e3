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
    let total = out.len();
    let mut block = Secret::ZERO;
    for (n, piece) in (1..=255).zip(out.chunks_mut(32)) {
        let before: &[u8] = if n == 1 { &[] } else { block.bytes() };
        block = expand(secret, before, total, label, context, n);
        for (to, from) in piece.iter_mut().zip(block.bytes()) {
            *to = *from;
        }
    }
    true
}

/// HKDF-Expand-Label to another secret, for labels and contexts that are known to be short. TLS's
/// Derive-Secret is this with a transcript's hash as context.
pub(crate) fn derive(secret: &Secret, label: &[u8], context: &[u8]) -> Secret {
    debug_assert!(label.len() <= LABEL_MAX && context.len() <= CONTEXT_MAX);
    expand(secret, &[], 32, label, context, 1)
}

/// The `n`th block of HKDF-Expand-Label. The lengths are in range: who calls this has seen to it.
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
