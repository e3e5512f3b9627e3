//! Certificates from `tests/certificates`, which `make.py` there makes.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    clippy::panic
)]

#[cfg(all(feature = "authority", feature = "p256"))]
mod authority;
#[cfg(all(feature = "authority", feature = "p256"))]
mod hostile;
#[cfg(all(feature = "authority", feature = "p256"))]
mod refused;

use std::string::String;
use std::vec::Vec;

use proptest::prelude::*;
use sha2::{Digest, Sha256};

use super::{ServerKey, check};
use crate::coding::Reader;
use crate::config::Trust;
use crate::error::Fault;

const ED25519: u16 = 0x0807;
#[cfg(feature = "p256")]
const ECDSA: u16 = 0x0403;
#[cfg(feature = "rsa")]
const RSA_PSS: u16 = 0x0804;

fn file(path: &str) -> Vec<u8> {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/certificates/");
    std::fs::read(String::from(folder) + path).unwrap()
}

fn good(name: &str) -> Vec<u8> {
    file(&std::format!("good/{name}.der"))
}

/// The entries of a Certificate message.
fn list(chain: &[Vec<u8>]) -> Vec<u8> {
    let mut list = Vec::new();
    for certificate in chain {
        list.extend_from_slice(&u32::try_from(certificate.len()).unwrap().to_be_bytes()[1..]);
        list.extend_from_slice(certificate);
        list.extend_from_slice(&[0, 0]);
    }
    list
}

/// The SHA-256 of a SubjectPublicKeyInfo of 44 bytes: Ed25519 in a certificate of this folder.
fn pin(certificate: &[u8]) -> [u8; 32] {
    let start = certificate
        .windows(12)
        .position(|window| window.starts_with(&[0x30, 0x2a, 0x30, 0x05]) && window[11] == 0)
        .unwrap();
    Sha256::digest(&certificate[start..start + 44]).into()
}

fn pinned(list: &[u8], pins: &[[u8; 32]]) -> Result<ServerKey, Fault> {
    check(Reader::new(list), &Trust::Pins(pins), "anything", None)
}

fn alert(result: Result<ServerKey, Fault>) -> Option<u8> {
    result.err().and_then(|error| error.code.alert())
}

#[test]
fn a_pinned_key_is_believed_whatever_its_certificate_says_and_whatever_follows_it() {
    let server = good("server-self-signed");
    let pin = pin(&server);
    assert!(matches!(
        pinned(&list(std::slice::from_ref(&server)), &[[7; 32], pin]),
        Ok(ServerKey::Ed25519(_))
    ));
    let with_more = list(&[server, std::vec![1, 2, 3]]);
    assert!(pinned(&with_more, &[pin]).is_ok());
}

#[test]
fn a_key_that_is_not_pinned_is_refused() {
    let server = good("server-self-signed");
    let mut close = pin(&server);
    close[31] ^= 1;
    let list = list(&[server]);
    assert_eq!(alert(pinned(&list, &[])), Some(46));
    assert_eq!(alert(pinned(&list, &[close])), Some(46));
}

#[test]
fn only_the_first_certificate_can_be_pinned() {
    let other = good("authority");
    let pin = pin(&other);
    let list = list(&[good("server-ed25519"), other]);
    assert_eq!(alert(pinned(&list, &[pin])), Some(46));
}

#[test]
fn a_flipped_bit_of_a_pinned_certificate_changes_no_key() {
    let server = good("server-ed25519");
    let pins = [pin(&server)];
    let whole = list(std::slice::from_ref(&server));
    let key = pinned(&whole, &pins).unwrap();
    let mut taken = 0;
    for bit in 0..whole.len() * 8 {
        let mut list = whole.clone();
        list[bit / 8] ^= 1 << (bit % 8);
        if let Ok(other) = pinned(&list, &pins) {
            assert_eq!(other, key);
            taken += 1;
        }
    }
    // Names, dates, extensions and the signature say nothing about a pinned key.
    assert!(taken > 0);
}

#[test]
fn a_list_that_is_cut_is_refused() {
    let server = good("server-ed25519");
    let pins = [pin(&server)];
    let list = list(&[server]);
    for cut in 0..list.len() {
        assert_eq!(alert(pinned(&list[..cut], &pins)), Some(50));
    }
}

#[test]
fn a_certificate_that_is_cut_is_refused() {
    let server = good("server-ed25519");
    let pins = [pin(&server)];
    for cut in 0..server.len() {
        let list = list(&[server[..cut].to_vec()]);
        assert_eq!(alert(pinned(&list, &pins)), Some(42));
    }
}

#[test]
fn a_fifth_certificate_is_one_too_many() {
    let server = good("server-ed25519");
    let pins = [pin(&server)];
    assert!(pinned(&list(&std::vec![server.clone(); 4]), &pins).is_ok());
    assert_eq!(alert(pinned(&list(&std::vec![server; 5]), &pins)), Some(46));
}

#[test]
fn an_extension_beside_a_certificate_was_not_asked_for() {
    let server = good("server-ed25519");
    let pins = [pin(&server)];
    let mut list = list(&[server]);
    list.truncate(list.len() - 2);
    list.extend_from_slice(&[0, 4, 0, 5, 0, 0]);
    assert_eq!(alert(pinned(&list, &pins)), Some(110));
}

/// The key of a certificate, pinned or not.
fn key(name: &str) -> Result<ServerKey, Fault> {
    ServerKey::parse(super::Certificate::parse(&good(name)).unwrap().key)
}

/// The server's key verifies its signature and nothing that differs in one bit.
fn only_its_own_signature_verifies(key: &ServerKey, scheme: u16, path: &str) {
    let message = file("verify.message");
    let signature = file(path);
    assert_eq!(key.verify(scheme, &message, &signature), Ok(()));
    let refused = |message: &[u8], signature: &[u8]| {
        let error = key.verify(scheme, message, signature).unwrap_err();
        assert_eq!(error.code.alert(), Some(51));
    };
    refused(&message[1..], &signature);
    refused(&message, &[]);
    refused(&message, &signature[..signature.len() - 1]);
    refused(&message, &[&signature[..], &[0]].concat());
    for byte in 0..signature.len() {
        let mut signature = signature.clone();
        signature[byte] ^= 1 << (byte % 8);
        refused(&message, &signature);
    }
    for other in [0x0401, 0x0403, 0x0503, 0x0804, 0x0807, 0x0808, 0] {
        if other != scheme {
            let error = key.verify(other, &message, &signature).unwrap_err();
            assert_eq!(error.code.alert(), Some(47));
        }
    }
}

#[test]
fn a_certificate_verify_by_ed25519_is_verified() {
    let key = key("server-ed25519").unwrap();
    only_its_own_signature_verifies(&key, ED25519, "verify-ed25519.signature");
}

#[cfg(feature = "p256")]
#[test]
fn a_certificate_verify_by_ecdsa_is_verified() {
    let key = key("server-p256").unwrap();
    only_its_own_signature_verifies(&key, ECDSA, "verify-p256.signature");
}

#[cfg(feature = "p256")]
#[test]
fn a_point_that_is_not_on_the_curve_verifies_nothing() {
    let ServerKey::P256(mut point) = key("server-p256").unwrap() else {
        panic!("not P-256")
    };
    point[64] ^= 1;
    let (message, signature) = (file("verify.message"), file("verify-p256.signature"));
    let error = ServerKey::P256(point)
        .verify(ECDSA, &message, &signature)
        .unwrap_err();
    assert_eq!(error.code.alert(), Some(51));
}

#[cfg(not(feature = "p256"))]
#[test]
fn a_p256_key_is_not_supported_without_the_feature() {
    assert_eq!(alert(key("server-p256")), Some(43));
}

#[cfg(feature = "rsa")]
#[test]
fn a_certificate_verify_by_rsa_pss_is_verified_and_pkcs1_is_not() {
    let key = key("server-rsa").unwrap();
    only_its_own_signature_verifies(&key, RSA_PSS, "verify-rsa-pss.signature");
    let (message, signature) = (file("verify.message"), file("verify-rsa-pkcs1.signature"));
    let error = key.verify(0x0401, &message, &signature).unwrap_err();
    assert_eq!(error.code.alert(), Some(47));
    let error = key.verify(RSA_PSS, &message, &signature).unwrap_err();
    assert_eq!(error.code.alert(), Some(51));
}

#[cfg(feature = "rsa")]
#[test]
fn an_rsa_key_with_a_flipped_bit_verifies_nothing_and_panics_nowhere() {
    let certificate = good("server-rsa");
    let info = super::Certificate::parse(&certificate).unwrap().key;
    let (message, signature) = (file("verify.message"), file("verify-rsa-pss.signature"));
    for bit in (0..info.len() * 8).step_by(5) {
        let mut info = info.to_vec();
        info[bit / 8] ^= 1 << (bit % 8);
        if let Ok(key) = ServerKey::parse(&info) {
            assert!(key.verify(RSA_PSS, &message, &signature).is_err());
        }
    }
}

#[cfg(not(feature = "rsa"))]
#[test]
fn an_rsa_key_is_not_supported_without_the_feature() {
    assert_eq!(alert(key("server-rsa")), Some(43));
}

proptest! {
    #[test]
    fn arbitrary_bytes_are_no_certificate(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        prop_assert!(pinned(&bytes, &[[0; 32]]).is_err());
        prop_assert!(pinned(&list(std::slice::from_ref(&bytes)), &[[0; 32]]).is_err());
        prop_assert!(ServerKey::parse(&bytes).is_err());
    }
}
