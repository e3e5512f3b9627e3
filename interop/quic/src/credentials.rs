//! Certificates and keys for servers, made by each test for itself.

use std::error::Error;
use std::fs;
use std::path::PathBuf;

use boring::ec::{EcGroup, EcKey};
use boring::nid::Nid;
use boring::pkey::{Id, PKey};
use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, ExtendedKeyUsagePurpose, IsCa,
    KeyPair, KeyUsagePurpose, PublicKeyData, date_time_ymd,
};
use tempfile::TempDir;

/// The name that every server's certificate is for.
pub const NAME: &str = "localhost";

/// The kind of every key in a chain.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyKind {
    /// Ed25519.
    Ed25519,
    /// ECDSA on P-256, with SHA-256.
    P256,
}

/// A certificate chain and its key, in files that go away with this.
#[derive(Debug)]
pub struct Credentials {
    files: TempDir,
    anchor: Vec<u8>,
    spki: Vec<u8>,
}

impl Credentials {
    /// A certificate that vouches for itself.
    ///
    /// # Errors
    /// What rcgen or the file system says.
    pub fn self_signed(kind: KeyKind) -> Result<Self, Box<dyn Error>> {
        let key = kind.generate()?;
        let certificate = server()?.self_signed(&key)?;
        Self::write(&key, &certificate.pem(), certificate.der())
    }

    /// A certificate from a certificate authority, with `intermediates` between the two. The
    /// authority's own certificate is not sent.
    ///
    /// # Errors
    /// As [`self_signed`](Self::self_signed).
    pub fn issued(kind: KeyKind, intermediates: usize) -> Result<Self, Box<dyn Error>> {
        let mut issuer = CertifiedIssuer::self_signed(authority("root"), kind.generate()?)?;
        let anchor = issuer.der().to_vec();
        let mut chain = String::new();
        for number in 0..intermediates {
            let params = authority(&format!("intermediate {number}"));
            issuer = CertifiedIssuer::signed_by(params, kind.generate()?, &issuer)?;
            chain.insert_str(0, &issuer.pem());
        }
        let key = kind.generate()?;
        chain.insert_str(0, &server()?.signed_by(&key, &issuer)?.pem());
        Self::write(&key, &chain, &anchor)
    }

    fn write(key: &KeyPair, chain: &str, anchor: &[u8]) -> Result<Self, Box<dyn Error>> {
        let made = Self {
            files: tempfile::tempdir()?,
            anchor: anchor.to_vec(),
            spki: key.subject_public_key_info(),
        };
        fs::write(made.cert_file(), chain)?;
        fs::write(made.key_file(), key.serialize_pem())?;
        Ok(made)
    }

    /// The chain in PEM, the server's own certificate first.
    #[must_use]
    pub fn cert_file(&self) -> PathBuf {
        self.files.path().join("chain.pem")
    }

    /// The server's private key: PKCS #8 in PEM.
    #[must_use]
    pub fn key_file(&self) -> PathBuf {
        self.files.path().join("key.pem")
    }

    /// The certificate that a client has to trust, DER: the authority's, or the self-signed one.
    #[must_use]
    pub fn anchor(&self) -> &[u8] {
        &self.anchor
    }

    /// The SubjectPublicKeyInfo of the server's key, DER: what a pin is the SHA-256 of.
    #[must_use]
    pub fn spki(&self) -> &[u8] {
        &self.spki
    }
}

impl KeyKind {
    /// rcgen writes its own Ed25519 keys with the public key beside the private one (RFC 5958),
    /// which neither BoringSSL nor aioquic reads. BoringSSL writes what all of them do.
    fn generate(self) -> Result<KeyPair, Box<dyn Error>> {
        let key = match self {
            Self::Ed25519 => PKey::generate(Id::ED25519)?,
            Self::P256 => {
                let group = EcGroup::from_curve_name(Nid::X9_62_PRIME256V1)?;
                PKey::from_ec_key(EcKey::generate(&group)?)?
            }
        };
        let pem = String::from_utf8(key.private_key_to_pem_pkcs8()?)?;
        Ok(KeyPair::from_pem(&pem)?)
    }
}

fn server() -> Result<CertificateParams, rcgen::Error> {
    let mut params = CertificateParams::new([NAME.to_owned(), "127.0.0.1".to_owned()])?;
    name(&mut params, "server");
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    params.use_authority_key_identifier_extension = true;
    Ok(params)
}

fn authority(title: &str) -> CertificateParams {
    let mut params = CertificateParams::default();
    name(&mut params, title);
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
    params
}

fn name(params: &mut CertificateParams, title: &str) {
    params.distinguished_name.push(DnType::CommonName, title);
    // rcgen's own dates are those of a certificate that never expires.
    params.not_before = date_time_ymd(2025, 1, 1);
    params.not_after = date_time_ymd(2049, 12, 31);
}
