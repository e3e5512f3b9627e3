//! Certificates that were tampered with, and certificates that an authority should never have
//! signed.

use ed25519_compact::{KeyPair, Seed};
use rustls_pki_types::{
    AlgorithmIdentifier, CertificateDer, InvalidSignature, ServerName,
    SignatureVerificationAlgorithm, UnixTime, alg_id,
};

use super::authority::{NOW, judge};
use super::*;

const SERVER: &str = "node.example";

#[test]
fn a_certificate_with_a_flipped_bit_is_refused() {
    // Curves are slow without optimisation: of some certificates, each seventh bit will do.
    for (server, authority, step) in [
        ("server-ed25519", "authority", 1),
        ("server-p256-by-ed25519", "authority", 7),
        ("server-by-between", "between", 7),
    ] {
        let whole = good(server);
        let authorities = [good(authority)];
        assert!(
            judge(
                std::slice::from_ref(&whole),
                &authorities,
                SERVER,
                Some(NOW)
            )
            .is_ok()
        );
        for bit in (0..whole.len() * 8).step_by(step) {
            let mut certificate = whole.clone();
            certificate[bit / 8] ^= 1 << (bit % 8);
            let result = judge(&[certificate], &authorities, SERVER, Some(NOW));
            assert!(result.is_err(), "{server}, bit {bit}");
        }
    }
}

#[test]
fn a_certificate_that_is_cut_is_refused() {
    let whole = good("server-ed25519");
    let authorities = [good("authority")];
    for cut in 0..whole.len() {
        let result = judge(&[whole[..cut].to_vec()], &authorities, SERVER, Some(NOW));
        assert_eq!(alert(result), Some(42));
    }
}

/// Puts a body into a certificate that the authority signs, whatever the body says.
fn seal(pair: &KeyPair, body: &[u8]) -> Vec<u8> {
    let signature = pair.sk.sign(body, None);
    let mut content = body.to_vec();
    content.extend_from_slice(&[0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x03, 0x41, 0x00]);
    content.extend_from_slice(signature.as_ref());
    let mut certificate = std::vec![0x30, 0x82];
    certificate.extend_from_slice(&u16::try_from(content.len()).unwrap().to_be_bytes());
    certificate.extend_from_slice(&content);
    certificate
}

fn pair() -> KeyPair {
    KeyPair::from_seed(Seed::from_slice(&file("authority.seed")).unwrap())
}

/// The signed part of a good certificate.
fn body(certificate: &[u8]) -> Vec<u8> {
    super::super::Certificate::parse(certificate)
        .unwrap()
        .signed
        .to_vec()
}

#[test]
fn a_body_that_is_sealed_again_is_the_same_certificate() {
    let whole = good("server-ed25519");
    assert_eq!(seal(&pair(), &body(&whole)), whole);
}

#[derive(Debug)]
struct Ed25519;

impl SignatureVerificationAlgorithm for Ed25519 {
    fn verify_signature(
        &self,
        key: &[u8],
        message: &[u8],
        signature: &[u8],
    ) -> Result<(), InvalidSignature> {
        let key = ServerKey::Ed25519(key.try_into().map_err(|_| InvalidSignature)?);
        key.verify(ED25519, message, signature)
            .map_err(|_| InvalidSignature)
    }

    fn public_key_alg_id(&self) -> AlgorithmIdentifier {
        alg_id::ED25519
    }

    fn signature_alg_id(&self) -> AlgorithmIdentifier {
        alg_id::ED25519
    }
}

/// Whether rustls-webpki believes it.
fn second_opinion(certificate: &[u8], authority: &[u8], server: &str) -> bool {
    let authority = CertificateDer::from(authority);
    let certificate = CertificateDer::from(certificate);
    let anchor = webpki::anchor_from_trusted_cert(&authority).unwrap();
    let Ok(leaf) = webpki::EndEntityCert::try_from(&certificate) else {
        return false;
    };
    leaf.verify_for_usage(
        &[&Ed25519],
        &[anchor],
        &[],
        UnixTime::since_unix_epoch(core::time::Duration::from_secs(NOW)),
        webpki::KeyUsage::server_auth(),
        None,
        None,
    )
    .is_ok()
        && leaf
            .verify_is_valid_for_subject_name(&ServerName::try_from(server).unwrap())
            .is_ok()
}

#[test]
fn what_is_taken_of_a_hostile_authority_a_second_opinion_takes_as_well() {
    let (authority, pair) = (good("authority"), pair());
    for (name, server) in [
        ("server-ed25519", SERVER),
        ("server-unknown-extension", SERVER),
        ("server-generalized", SERVER),
        ("server-names", "any.wild.example"),
        ("server-names", "192.0.2.1"),
    ] {
        let body = body(&good(name));
        let mut taken = 0u32;
        for bit in (0..body.len() * 8).step_by(7) {
            let mut body = body.clone();
            body[bit / 8] ^= 1 << (bit % 8);
            let certificate = seal(&pair, &body);
            let authorities = std::slice::from_ref(&authority);
            let chain = std::slice::from_ref(&certificate);
            if judge(chain, authorities, server, Some(NOW)).is_ok() {
                let agreed = second_opinion(&certificate, &authority, server);
                assert!(agreed, "{name} for {server}, bit {bit}");
                taken += 1;
            }
        }
        // Serial numbers, the subject, the key and what is not critical.
        assert!(taken > 50, "{name}: {taken}");
    }
}

proptest! {
    #[test]
    fn nothing_that_an_authority_signs_panics(
        cut in 0usize..400,
        patches in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..6),
        tail in prop::collection::vec(any::<u8>(), 0..8),
    ) {
        let mut body = body(&good("server-names"));
        for (index, byte) in &patches {
            let at = index.index(body.len());
            body[at] = *byte;
        }
        body.truncate(cut.max(20));
        body.extend_from_slice(&tail);
        let certificate = seal(&pair(), &body);
        let authority = good("authority");
        let chain = std::slice::from_ref(&certificate);
        let authorities = std::slice::from_ref(&authority);
        if judge(chain, authorities, "first.example", Some(NOW)).is_ok() {
            prop_assert!(second_opinion(&certificate, &authority, "first.example"));
        }
    }

    #[test]
    fn arbitrary_bytes_lead_to_no_authority(
        chain in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..200), 0..5),
        server in ".{0,20}",
    ) {
        let authorities = [good("authority"), chain.concat()];
        prop_assert!(judge(&chain, &authorities, &server, Some(NOW)).is_err());
    }
}
