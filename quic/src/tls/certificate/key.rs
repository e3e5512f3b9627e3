//! Public keys in certificates (RFC 5280 §4.1.2.7), and what they verify: the signatures of
//! CertificateVerify (RFC 8446 §4.4.3) and of certificates.

use ed25519_compact::{PublicKey, Signature};

use super::alert;
#[cfg(feature = "p256")]
use super::der::Der;
use crate::error::{Code, Fault, fault};
#[cfg(feature = "p256")]
use crate::tls::curve;

/// SignatureScheme numbers (RFC 8446 §4.2.3).
const ED25519: u16 = 0x0807;
#[cfg(feature = "p256")]
const ECDSA_P256_SHA256: u16 = 0x0403;
#[cfg(feature = "rsa")]
const RSA_PSS_SHA256: u16 = 0x0804;
#[cfg(feature = "rsa")]
const RSA_PKCS1_SHA256: u16 = 0x0401;

/// What a SubjectPublicKeyInfo is before the 32 bytes of an Ed25519 key (RFC 8410 §4).
const ED25519_KEY: [u8; 12] = [
    0x30, 0x2a, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x03, 0x21, 0x00,
];
/// id-Ed25519, no parameters (RFC 8410 §3).
#[cfg(feature = "authority")]
const ED25519_ALGORITHM: [u8; 7] = [0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70];

/// What a SubjectPublicKeyInfo is before the 65 bytes of an uncompressed point on P-256
/// (RFC 5480 §2).
#[cfg(feature = "p256")]
const P256_KEY: [u8; 26] = [
    0x30, 0x59, 0x30, 0x13, 0x06, 0x07, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01, 0x06, 0x08, 0x2a,
    0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07, 0x03, 0x42, 0x00,
];
/// ecdsa-with-SHA256, no parameters (RFC 5758 §3.2).
#[cfg(all(feature = "p256", feature = "authority"))]
const ECDSA_SHA256_ALGORITHM: [u8; 12] = [
    0x30, 0x0a, 0x06, 0x08, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x04, 0x03, 0x02,
];

/// A public key from a certificate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum ServerKey {
    Ed25519([u8; 32]),
    /// The point, not compressed, not yet known to be on the curve.
    #[cfg(feature = "p256")]
    P256([u8; 65]),
    #[cfg(feature = "rsa")]
    Rsa(::rsa::PublicKey),
}

impl ServerKey {
    /// Reads a whole SubjectPublicKeyInfo.
    pub(super) fn parse(info: &[u8]) -> Result<Self, Fault> {
        if let Some(key) = info.strip_prefix(&ED25519_KEY)
            && let Ok(key) = key.try_into()
        {
            return Ok(Self::Ed25519(key));
        }
        #[cfg(feature = "p256")]
        if let Some(point) = info.strip_prefix(&P256_KEY)
            && let Ok(point) = point.try_into()
        {
            return Ok(Self::P256(point));
        }
        #[cfg(feature = "rsa")]
        if let Some(key) = super::rsa::parse(info) {
            return Ok(Self::Rsa(key));
        }
        Err(fault!(
            Code::crypto(alert::UNSUPPORTED_CERTIFICATE),
            "certificate's key is of a kind that is not supported"
        ))
    }

    /// Verifies a CertificateVerify: `message` is all that the signature covers, the 64 spaces
    /// included.
    pub(crate) fn verify(
        &self,
        scheme: u16,
        message: &[u8],
        signature: &[u8],
    ) -> Result<(), Fault> {
        // PKCS #1 is for certificates alone.
        #[cfg(feature = "rsa")]
        let scheme = if scheme == RSA_PKCS1_SHA256 {
            0
        } else {
            scheme
        };
        match self.signed(scheme, message, signature) {
            Some(true) => Ok(()),
            Some(false) => Err(fault!(
                Code::crypto(alert::DECRYPT_ERROR),
                "CertificateVerify does not verify"
            )),
            None => Err(fault!(
                Code::crypto(alert::ILLEGAL_PARAMETER),
                "signature scheme does not fit the server's key"
            )),
        }
    }

    /// Verifies a certificate's signature by `algorithm`, a whole AlgorithmIdentifier.
    #[cfg(feature = "authority")]
    pub(super) fn verify_certificate(
        &self,
        algorithm: &[u8],
        message: &[u8],
        signature: &[u8],
    ) -> Result<(), Fault> {
        let result = scheme(algorithm).and_then(|scheme| self.signed(scheme, message, signature));
        match result {
            Some(true) => Ok(()),
            Some(false) => Err(fault!(
                Code::crypto(alert::BAD_CERTIFICATE),
                "certificate's signature does not verify"
            )),
            None => Err(fault!(
                Code::crypto(alert::UNSUPPORTED_CERTIFICATE),
                "certificate is signed in a way that is not supported"
            )),
        }
    }

    /// Whether `signature` is this key's for `message`; `None` when such a key makes none of
    /// `scheme`.
    fn signed(&self, scheme: u16, message: &[u8], signature: &[u8]) -> Option<bool> {
        match (self, scheme) {
            (Self::Ed25519(key), ED25519) => Some(ed25519(key, message, signature)),
            #[cfg(feature = "p256")]
            (Self::P256(point), ECDSA_P256_SHA256) => {
                Some(p256(point, message, signature).is_some())
            }
            #[cfg(feature = "rsa")]
            (Self::Rsa(key), RSA_PSS_SHA256) => {
                Some(super::rsa::verify_pss(key, message, signature))
            }
            #[cfg(feature = "rsa")]
            (Self::Rsa(key), RSA_PKCS1_SHA256) => {
                Some(super::rsa::verify_pkcs1(key, message, signature))
            }
            _ => None,
        }
    }
}

/// The scheme that a certificate's AlgorithmIdentifier stands for.
#[cfg(feature = "authority")]
fn scheme(algorithm: &[u8]) -> Option<u16> {
    if algorithm == ED25519_ALGORITHM {
        return Some(ED25519);
    }
    #[cfg(feature = "p256")]
    if algorithm == ECDSA_SHA256_ALGORITHM {
        return Some(ECDSA_P256_SHA256);
    }
    #[cfg(feature = "rsa")]
    if algorithm == super::rsa::PKCS1_ALGORITHM {
        return Some(RSA_PKCS1_SHA256);
    }
    #[cfg(feature = "rsa")]
    if algorithm == super::rsa::PSS_ALGORITHM {
        return Some(RSA_PSS_SHA256);
    }
    None
}

// Each verifier has a frame of its own: together they would take 3 KiB more of stack.
#[inline(never)]
fn ed25519(key: &[u8; 32], message: &[u8], signature: &[u8]) -> bool {
    let Ok(signature) = Signature::from_slice(signature) else {
        return false;
    };
    PublicKey::new(*key).verify(message, &signature).is_ok()
}

#[cfg(feature = "p256")]
#[inline(never)]
fn p256(point: &[u8; 65], message: &[u8], signature: &[u8]) -> Option<()> {
    use p256::ecdsa::signature::hazmat::PrehashVerifier as _;
    use p256::ecdsa::{Signature, VerifyingKey};
    use sha2::{Digest as _, Sha256};

    let key = VerifyingKey::from_affine(curve::read(point)?).ok()?;
    // ECDSA-Sig-Value (RFC 3279 §2.2.3).
    let mut outer = Der::new(signature);
    let mut numbers = outer.sequence()?;
    outer.end()?;
    let r = scalar(numbers.unsigned()?)?;
    let s = scalar(numbers.unsigned()?)?;
    numbers.end()?;
    let signature = Signature::from_scalars(r, s).ok()?;
    key.verify_prehash(&Sha256::digest(message), &signature)
        .ok()
}

/// A number in 32 bytes, when it is not larger.
#[cfg(feature = "p256")]
fn scalar(magnitude: &[u8]) -> Option<[u8; 32]> {
    let mut scalar = [0; 32];
    let start = scalar.len().checked_sub(magnitude.len())?;
    scalar.get_mut(start..)?.copy_from_slice(magnitude);
    Some(scalar)
}
