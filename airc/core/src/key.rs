//! Keys as AIRC writes them (sections 2.1 and 7.1, appendix C).
//!
//! They are the Ed25519 keys of AIRE: an agent's one key is its `did:key` and its AIRC identity.

use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;

use aire_proto::identity::Ed25519Signer;

use crate::PublicKey;
use crate::base64;

/// What stands before the 32 bytes of an Ed25519 key in a SubjectPublicKeyInfo (RFC 8410).
const SPKI: [u8; 12] = [
    0x30, 0x2a, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x03, 0x21, 0x00,
];

/// What stands before the 32 bytes of the secret in PKCS#8 (RFC 8410).
const PKCS8: [u8; 16] = [
    0x30, 0x2e, 0x02, 0x01, 0x00, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x04, 0x22, 0x04, 0x20,
];

/// The same where the public key stands behind it, as some libraries write it (RFC 5958).
const PKCS8_WITH_PUBLIC: [u8; 16] = [
    0x30, 0x51, 0x02, 0x01, 0x01, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x04, 0x22, 0x04, 0x20,
];

/// What stands before that public key.
const PUBLIC_BEHIND: [u8; 3] = [0x81, 0x21, 0x00];

/// Why a text is no key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyError {
    /// It is no base64.
    NotBase64,
    /// It is not a public Ed25519 key.
    NotPublicKey,
    /// It is not a private Ed25519 key.
    NotPrivateKey,
}

impl fmt::Display for KeyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NotBase64 => "a key is base64 or base64url",
            Self::NotPublicKey => {
                "a public key is Ed25519: the base64 of its DER (SPKI) or of its 32 bytes, with or \
                 without `ed25519:` before it"
            }
            Self::NotPrivateKey => {
                "a private key is Ed25519 in PKCS#8: PEM, or the base64 of its DER"
            }
        })
    }
}

impl core::error::Error for KeyError {}

/// Reads a public key: the base64 of its DER (SPKI) or of its raw 32 bytes, after `ed25519:` or
/// not; or PEM.
///
/// # Errors
/// [`KeyError::NotBase64`], [`KeyError::NotPublicKey`].
pub fn parse(text: &str) -> Result<PublicKey, KeyError> {
    let bytes = match pem(text, "PUBLIC KEY") {
        Some(bytes) => bytes?,
        None => decode(text.strip_prefix("ed25519:").unwrap_or(text))?,
    };
    let raw = bytes.strip_prefix(&SPKI).unwrap_or(&bytes);
    let raw = raw.try_into().map_err(|_| KeyError::NotPublicKey)?;
    Ok(PublicKey(raw))
}

/// The base64 of a public key's DER (SPKI), as the text and its test vectors have it.
#[must_use]
pub fn to_spki_base64(key: &PublicKey) -> String {
    base64::encode(&[&SPKI[..], &key.0].concat())
}

/// Reads a private key: PKCS#8, in PEM or as the base64 of its DER.
///
/// # Errors
/// [`KeyError::NotBase64`]; [`KeyError::NotPrivateKey`], also when the secret is all zeros or the
/// public key beside it is another's.
pub fn parse_secret(text: &str) -> Result<Ed25519Signer, KeyError> {
    let bytes = match pem(text, "PRIVATE KEY") {
        Some(bytes) => bytes?,
        None => decode(text)?,
    };
    secret(&bytes).ok_or(KeyError::NotPrivateKey)
}

/// The PKCS#8 PEM of a secret seed, as `openssl genpkey -algorithm ed25519` writes it. It is the
/// secret: keep it where only its owner can read.
#[must_use]
pub fn secret_to_pem(seed: &[u8; 32]) -> String {
    let digits = base64::encode(&[&PKCS8[..], seed].concat());
    format!("-----BEGIN PRIVATE KEY-----\n{digits}\n-----END PRIVATE KEY-----\n")
}

fn secret(der: &[u8]) -> Option<Ed25519Signer> {
    let inner = der
        .strip_prefix(&PKCS8)
        .or_else(|| der.strip_prefix(&PKCS8_WITH_PUBLIC))?;
    let (seed, behind) = inner.split_first_chunk::<32>()?;
    // The signer panics on a seed that no random source gave.
    if seed.iter().all(|byte| *byte == 0) {
        return None;
    }
    let signer = Ed25519Signer::from_seed(*seed);
    let whole = if der.starts_with(&PKCS8) {
        behind.is_empty()
    } else {
        behind.strip_prefix(&PUBLIC_BEHIND) == Some(&signer.public_key().0[..])
    };
    whole.then_some(signer)
}

fn decode(text: &str) -> Result<Vec<u8>, KeyError> {
    base64::decode(text).ok_or(KeyError::NotBase64)
}

/// What is within the PEM of `kind`, if `text` is PEM at all.
fn pem(text: &str, kind: &str) -> Option<Result<Vec<u8>, KeyError>> {
    let (label, rest) = text
        .trim()
        .strip_prefix("-----BEGIN ")?
        .split_once("-----")?;
    let digits = rest.strip_suffix(&*format!("-----END {kind}-----"));
    let digits = digits.filter(|digits| label == kind && digits.len() < 200);
    let digits: Option<String> = digits.map(|digits| digits.split_ascii_whitespace().collect());
    Some(match digits {
        Some(digits) => decode(&digits),
        None if kind == "PUBLIC KEY" => Err(KeyError::NotPublicKey),
        None => Err(KeyError::NotPrivateKey),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::string::ToString;

    /// Appendix C.
    const PUBLIC: &str = "MCowBQYDK2VwAyEAET21PtQaGkQXHEsYV4stGuvNRwsVSQDawWBruB8LGDk=";
    const PRIVATE: &str = "MC4CAQAwBQYDK2VwBCIEIJD+08LthT5FplB3b8rKUNd7ZqcmODp2KLs3EIhn+Nxs";

    #[test]
    fn a_public_key_is_read_in_each_of_its_forms() {
        let key = parse(PUBLIC).unwrap();
        assert_eq!(to_spki_base64(&key), PUBLIC);
        let raw = base64::encode(&key.0);
        let url = PUBLIC.replace('+', "-").replace('/', "_");
        for text in [
            raw.clone(),
            raw.trim_end_matches('=').to_string(),
            url.trim_end_matches('=').to_string(),
            format!("ed25519:{raw}"),
            format!("ed25519:{PUBLIC}"),
            format!("-----BEGIN PUBLIC KEY-----\r\n{PUBLIC}\r\n-----END PUBLIC KEY-----\r\n"),
        ] {
            assert_eq!(parse(&text), Ok(key), "{text}");
        }
    }

    #[test]
    fn other_texts_are_no_public_key() {
        let not_base64 = ["ed25519:ed25519:AAAA", "a key", "Ed25519:AAAA"];
        for text in not_base64 {
            assert_eq!(parse(text), Err(KeyError::NotBase64), "{text}");
        }
        let private = format!("-----BEGIN PRIVATE KEY-----\n{PUBLIC}\n-----END PRIVATE KEY-----");
        let shorter = base64::encode(&[1; 31]);
        let longer = base64::encode(&[&SPKI[..], &[1; 33]].concat());
        // The algorithm is X25519.
        let x25519 = PUBLIC.replace("2VwAy", "2VuAy");
        for text in [PRIVATE, "", &private, &shorter, &longer, &x25519] {
            assert_eq!(parse(text), Err(KeyError::NotPublicKey), "{text}");
        }
    }

    #[test]
    fn a_private_key_is_read_and_is_the_public_ones() {
        let signer = parse_secret(PRIVATE).unwrap();
        let key = signer.public_key();
        assert_eq!(to_spki_base64(&key), PUBLIC);
        let der = base64::decode(PRIVATE).unwrap();
        let seed: [u8; 32] = der.strip_prefix(&PKCS8).unwrap().try_into().unwrap();
        let with_public = [&PKCS8_WITH_PUBLIC[..], &seed, &PUBLIC_BEHIND, &key.0].concat();
        for text in [secret_to_pem(&seed), base64::encode(&with_public)] {
            assert_eq!(parse_secret(&text).unwrap().public_key(), key, "{text}");
        }
        let others = [&PKCS8_WITH_PUBLIC[..], &seed, &PUBLIC_BEHIND, &[1; 32]].concat();
        let zeros = [&PKCS8[..], &[0; 32]].concat();
        let longer = [&der[..], &[0]].concat();
        for der in [&others, &zeros, &longer, &seed.to_vec()] {
            let error = parse_secret(&base64::encode(der)).unwrap_err();
            assert_eq!(error, KeyError::NotPrivateKey);
        }
    }
}
