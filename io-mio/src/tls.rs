//! Certificates and trust (`TR-1`): TLS 1.3 with the server's certificate verified, unless an
//! option that begins with `danger_` says otherwise.

use std::fmt;
use std::fs;
use std::net::IpAddr;
use std::path::{Path, PathBuf};

use boring::asn1::Asn1Time;
use boring::bn::{BigNum, MsbOption};
use boring::ec::{EcGroup, EcKey};
use boring::hash::MessageDigest;
use boring::nid::Nid;
use boring::pkey::{PKey, Private};
use boring::ssl::{
    SslAlert, SslContextBuilder, SslMethod, SslVerifyError, SslVerifyMode, SslVersion,
};
use boring::x509::extension::{BasicConstraints, ExtendedKeyUsage, SubjectAlternativeName};
use boring::x509::{X509, X509NameBuilder};

use crate::Error;

/// The ALPN of AIRE (`GAP-1`).
pub const ALPN: &[u8] = b"aire/v0";

/// A public key's fingerprint: SHA-256 of its SubjectPublicKeyInfo, DER.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Pin(pub [u8; 32]);

impl Pin {
    /// Reads 64 hexadecimal digits.
    #[must_use]
    pub fn from_hex(text: &str) -> Option<Self> {
        let mut pin = [0; 32];
        if text.len() != 64 || !text.bytes().all(|digit| digit.is_ascii_hexdigit()) {
            return None;
        }
        for (index, byte) in pin.iter_mut().enumerate() {
            *byte = u8::from_str_radix(text.get(index * 2..index * 2 + 2)?, 16).ok()?;
        }
        Some(Self(pin))
    }

    fn of(certificate: &boring::x509::X509Ref) -> Option<Self> {
        let spki = certificate.public_key().ok()?.public_key_to_der().ok()?;
        Some(Self(boring::sha::sha256(&spki)))
    }
}

impl fmt::Display for Pin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for Pin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Pin({self})")
    }
}

/// A server's certificate chain and private key.
#[derive(Clone)]
pub struct Certificate {
    chain: Vec<X509>,
    key: PKey<Private>,
    pin: Pin,
}

impl fmt::Debug for Certificate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Certificate({})", self.pin)
    }
}

impl Certificate {
    /// A PEM chain, the server's own certificate first, and its PEM private key.
    ///
    /// # Errors
    /// [`Error::File`], [`Error::FileContent`], [`Error::CertificateMismatch`].
    pub fn from_pem_files(
        certificate: impl AsRef<Path>,
        key: impl AsRef<Path>,
    ) -> Result<Self, Error> {
        let (certificate, key) = (certificate.as_ref(), key.as_ref());
        let chain = X509::stack_from_pem(&read(certificate)?).unwrap_or_default();
        let not_a_certificate = || Error::FileContent {
            path: certificate.into(),
            expected: "a certificate in PEM, with its chain behind it",
        };
        let leaf = chain.first().ok_or_else(not_a_certificate)?;
        let private = PKey::private_key_from_pem(&read(key)?).map_err(|_| Error::FileContent {
            path: key.into(),
            expected: "a private key in PEM, without a passphrase",
        })?;
        let public = leaf.public_key().map_err(|_| not_a_certificate())?;
        if !public.public_eq(&private) {
            return Err(Error::CertificateMismatch {
                certificate: certificate.into(),
                key: key.into(),
            });
        }
        let pin = Pin::of(leaf).ok_or_else(not_a_certificate)?;
        Ok(Self {
            chain,
            key: private,
            pin,
        })
    }

    /// A new self-signed certificate for development, good for 30 days, for `localhost`,
    /// `127.0.0.1`, `::1` and `names`. Nobody trusts it but who pins it.
    ///
    /// # Errors
    /// [`Error::Tls`] when the TLS library refuses a name.
    pub fn self_signed(names: &[&str]) -> Result<Self, Error> {
        let group = EcGroup::from_curve_name(Nid::X9_62_PRIME256V1)?;
        let key = PKey::from_ec_key(EcKey::generate(&group)?)?;
        let mut name = X509NameBuilder::new()?;
        name.append_entry_by_nid(Nid::COMMONNAME, "aire development")?;
        let name = name.build();

        let mut serial = BigNum::new()?;
        serial.rand(127, MsbOption::MAYBE_ZERO, false)?;
        let mut builder = X509::builder()?;
        builder.set_version(2)?;
        let serial = serial.to_asn1_integer()?;
        builder.set_serial_number(&serial)?;
        builder.set_subject_name(&name)?;
        builder.set_issuer_name(&name)?;
        builder.set_pubkey(&key)?;
        let (from, until) = (Asn1Time::days_from_now(0)?, Asn1Time::days_from_now(30)?);
        builder.set_not_before(&from)?;
        builder.set_not_after(&until)?;

        let mut alternative = SubjectAlternativeName::new();
        alternative.dns("localhost").ip("127.0.0.1").ip("::1");
        for name in names {
            if name.parse::<IpAddr>().is_ok() {
                alternative.ip(name);
            } else {
                alternative.dns(name);
            }
        }
        let alternative = alternative.build(&builder.x509v3_context(None, None))?;
        for extension in [
            BasicConstraints::new().build()?,
            ExtendedKeyUsage::new().server_auth().build()?,
            alternative,
        ] {
            builder.append_extension(&extension)?;
        }
        builder.sign(&key, MessageDigest::sha256())?;
        let certificate = builder.build();
        let pin = Pin::of(&certificate).ok_or(Error::Tls("the new key has no DER form".into()))?;
        Ok(Self {
            chain: vec![certificate],
            key,
            pin,
        })
    }

    /// The certificate chain in PEM: what a client takes as [`Trust::ca_file`].
    ///
    /// # Errors
    /// [`Error::Tls`].
    pub fn chain_pem(&self) -> Result<Vec<u8>, Error> {
        let mut pem = Vec::new();
        for certificate in &self.chain {
            pem.extend_from_slice(&certificate.to_pem()?);
        }
        Ok(pem)
    }

    /// The private key in PKCS#8 PEM.
    ///
    /// # Errors
    /// [`Error::Tls`].
    pub fn key_pem(&self) -> Result<Vec<u8>, Error> {
        Ok(self.key.private_key_to_pem_pkcs8()?)
    }

    /// The fingerprint that a client can pin.
    #[must_use]
    pub const fn pin(&self) -> Pin {
        self.pin
    }
}

/// Which servers a client trusts.
#[derive(Clone, Debug)]
pub struct Trust(Trusted);

#[derive(Clone, Debug)]
enum Trusted {
    SystemRoots,
    CaFile(PathBuf),
    Pinned(Pin),
    Anybody,
}

impl Trust {
    /// Those whose certificate the system's roots vouch for, for the host's name.
    #[must_use]
    pub const fn system_roots() -> Self {
        Self(Trusted::SystemRoots)
    }

    /// Those whose certificate the CAs in this PEM file vouch for, for the host's name.
    pub fn ca_file(path: impl Into<PathBuf>) -> Self {
        Self(Trusted::CaFile(path.into()))
    }

    /// The one that holds this key, whatever its certificate says.
    #[must_use]
    pub const fn pinned(pin: Pin) -> Self {
        Self(Trusted::Pinned(pin))
    }

    /// Anybody who answers: whoever sits on the path can read and change everything. AIRE's own
    /// signatures still say who the peer claims to be, but a HELLO can be relayed (`GAP-21`).
    #[must_use]
    pub const fn danger_accept_any_certificate() -> Self {
        Self(Trusted::Anybody)
    }

    /// TLS 1.3 for a client with this trust: for programs that drive QUIC themselves. The host's
    /// name is to be checked on top of it where [`checks_name`](Self::checks_name) says so.
    ///
    /// # Errors
    /// [`Error::Tls`], [`Error::File`], [`Error::FileContent`].
    pub fn tls(&self) -> Result<SslContextBuilder, Error> {
        client(self)
    }

    /// Whether the certificate must be for the host's name.
    #[must_use]
    pub const fn checks_name(&self) -> bool {
        matches!(self.0, Trusted::SystemRoots | Trusted::CaFile(_))
    }
}

fn context() -> Result<SslContextBuilder, Error> {
    let mut context = SslContextBuilder::new(SslMethod::tls())?;
    context.set_min_proto_version(Some(SslVersion::TLS1_3))?;
    context.set_max_proto_version(Some(SslVersion::TLS1_3))?;
    Ok(context)
}

/// TLS for a server with `certificate`.
pub(crate) fn server(certificate: &Certificate) -> Result<SslContextBuilder, Error> {
    let mut context = context()?;
    present(&mut context, certificate)?;
    Ok(context)
}

/// TLS for an HTTP server with `certificate`: browsers and libraries have not all got to 1.3.
#[cfg(feature = "discovery")]
pub(crate) fn https(certificate: &Certificate) -> Result<boring::ssl::SslContext, Error> {
    let mut context = SslContextBuilder::new(SslMethod::tls())?;
    context.set_min_proto_version(Some(SslVersion::TLS1_2))?;
    present(&mut context, certificate)?;
    Ok(context.build())
}

fn present(context: &mut SslContextBuilder, certificate: &Certificate) -> Result<(), Error> {
    let mut chain = certificate.chain.iter();
    if let Some(leaf) = chain.next() {
        context.set_certificate(leaf)?;
    }
    for intermediate in chain {
        context.add_extra_chain_cert(intermediate.clone())?;
    }
    context.set_private_key(&certificate.key)?;
    Ok(())
}

/// TLS for a client that trusts `trust`.
pub(crate) fn client(trust: &Trust) -> Result<SslContextBuilder, Error> {
    let mut context = context()?;
    match &trust.0 {
        Trusted::SystemRoots => {
            context.set_default_verify_paths()?;
            context.set_verify(SslVerifyMode::PEER);
        }
        Trusted::CaFile(path) => {
            let roots = X509::stack_from_pem(&read(path)?).unwrap_or_default();
            if roots.is_empty() {
                return Err(Error::FileContent {
                    path: path.clone(),
                    expected: "CA certificates in PEM",
                });
            }
            for root in roots {
                context.cert_store_mut().add_cert(&root)?;
            }
            context.set_verify(SslVerifyMode::PEER);
        }
        Trusted::Pinned(pin) => {
            let pin = *pin;
            context.set_custom_verify_callback(SslVerifyMode::PEER, move |ssl| {
                let shown = ssl.peer_certificate().and_then(|shown| Pin::of(&shown));
                if shown == Some(pin) {
                    Ok(())
                } else {
                    Err(SslVerifyError::Invalid(SslAlert::CERTIFICATE_UNKNOWN))
                }
            });
        }
        Trusted::Anybody => context.set_verify(SslVerifyMode::NONE),
    }
    Ok(context)
}

fn read(path: &Path) -> Result<Vec<u8>, Error> {
    fs::read(path).map_err(|source| Error::File {
        path: path.into(),
        source,
    })
}
