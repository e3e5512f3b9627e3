//! RSA, as public authorities' servers have it: PSS in the handshake, either padding in
//! certificates, SHA-256 always, moduli of 2048 to 4096 bits. It allocates.

use rsa::{BoxedUint, Pkcs1v15Sign, Pss, PublicKey};
use sha2::{Digest as _, Sha256};

use super::der::{Der, SEQUENCE};

/// rsaEncryption with its NULL (RFC 3279 §2.3.1).
const RSA_KEY: [u8; 15] = [
    0x30, 0x0d, 0x06, 0x09, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x01, 0x05, 0x00,
];
/// sha256WithRSAEncryption with its NULL (RFC 4055 §5).
#[cfg(feature = "authority")]
pub(super) const PKCS1_ALGORITHM: [u8; 15] = [
    0x30, 0x0d, 0x06, 0x09, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x0b, 0x05, 0x00,
];
/// id-RSASSA-PSS: SHA-256, MGF1 over SHA-256, 32 bytes of salt (RFC 4055 §3.1).
#[cfg(feature = "authority")]
pub(super) const PSS_ALGORITHM: [u8; 67] = [
    0x30, 0x41, 0x06, 0x09, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x0a, 0x30,
    0x34, //
    0xa0, 0x0f, 0x30, 0x0d, 0x06, 0x09, 0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x02, 0x01, 0x05,
    0x00, //
    0xa1, 0x1c, 0x30, 0x1a, 0x06, 0x09, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x08, 0x30,
    0x0d, 0x06, 0x09, 0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x02, 0x01, 0x05, 0x00, //
    0xa2, 0x03, 0x02, 0x01, 0x20,
];

/// Reads a whole SubjectPublicKeyInfo.
pub(super) fn parse(info: &[u8]) -> Option<PublicKey> {
    let mut fields = Der::new(info).sequence()?;
    if fields.expect(SEQUENCE)?.whole != RSA_KEY {
        return None;
    }
    let mut key = Der::new(fields.bits()?);
    fields.end()?;
    let mut numbers = key.sequence()?;
    key.end()?;
    let modulus = number(numbers.unsigned()?)?;
    let exponent = number(numbers.unsigned()?)?;
    numbers.end()?;
    PublicKey::new_with_size_limits(modulus, exponent, 2048..=4096).ok()
}

/// RSASSA-PSS (RFC 8017 §8.1.2).
pub(super) fn verify_pss(key: &PublicKey, message: &[u8], signature: &[u8]) -> bool {
    let hash = Sha256::digest(message);
    key.verify(Pss::<Sha256>::new(), &hash, signature).is_ok()
}

/// RSASSA-PKCS1-v1_5 (RFC 8017 §8.2.2).
pub(super) fn verify_pkcs1(key: &PublicKey, message: &[u8], signature: &[u8]) -> bool {
    let hash = Sha256::digest(message);
    key.verify(Pkcs1v15Sign::new::<Sha256>(), &hash, signature)
        .is_ok()
}

/// At most 4096 bits, so that what an allocation costs is bounded before it is made.
fn number(magnitude: &[u8]) -> Option<BoxedUint> {
    if magnitude.len() > 512 {
        return None;
    }
    Some(BoxedUint::from_be_slice_vartime(magnitude))
}
