//! Who this node is: its Ed25519 key, its DID, and what it can do.

use std::fs;
use std::path::Path;
use std::sync::Arc;

use aire_proto::capability::{CHANNEL_BINDING, DELEGATION, check_local};
use aire_proto::identity::{Ed25519Signer, PublicKey, Signer};
use aire_proto::wire::Capability;
use boring::pkey::{Id, PKey};

use crate::Error;

/// A node's identity. Cheap to clone; the secret is shared, and never printed.
#[derive(Clone, Debug)]
pub struct Identity {
    signer: Arc<Ed25519Signer>,
    capabilities: Arc<[Capability<'static>]>,
    /// The application chose the capabilities: nothing is added to them.
    chosen: bool,
}

impl Identity {
    /// A new random key. Its DID lasts as long as this value and its clones.
    ///
    /// # Errors
    /// [`Error::Tls`] when the random source fails.
    pub fn generate() -> Result<Self, Error> {
        let mut seed = [0; 32];
        boring::rand::rand_bytes(&mut seed)?;
        Ok(Self::from_seed(seed))
    }

    /// The key with this secret seed, 32 bytes from a cryptographic random source.
    #[must_use]
    pub fn from_seed(seed: [u8; 32]) -> Self {
        Self {
            signer: Arc::new(Ed25519Signer::from_seed(seed)),
            capabilities: Arc::new([
                offered("aire.did-method.key/1"),
                offered(CHANNEL_BINDING),
                offered(DELEGATION),
            ]),
            chosen: false,
        }
    }

    /// The Ed25519 key of a PKCS#8 PEM file, as `openssl genpkey -algorithm ed25519` writes it.
    ///
    /// # Errors
    /// [`Error::File`], [`Error::FileContent`].
    pub fn from_pem_file(path: impl AsRef<Path>) -> Result<Self, Error> {
        let path = path.as_ref();
        let pem = fs::read(path).map_err(|source| Error::File {
            path: path.into(),
            source,
        })?;
        let mut seed = [0; 32];
        PKey::private_key_from_pem(&pem)
            .ok()
            .filter(|key| key.id() == Id::ED25519)
            .and_then(|key| key.raw_private_key(&mut seed).ok().map(<[u8]>::len))
            .filter(|len| *len == seed.len())
            .ok_or(Error::FileContent {
                path: path.into(),
                expected: "an Ed25519 private key in PKCS#8 PEM; `openssl genpkey -algorithm \
                           ed25519` makes one",
            })?;
        Ok(Self::from_seed(seed))
    }

    /// The same key, speaking for another DID, whose document holds it under `fragment`: for
    /// `did:web:example.com` and `key-1`, the verification method `did:web:example.com#key-1`.
    ///
    /// # Errors
    /// [`Error::Did`] when `did` is no DID, `fragment` is empty, or both are too long.
    pub fn with_did(self, did: &str, fragment: &str) -> Result<Self, Error> {
        let named = format!("{did}#{fragment}");
        let signer = Ed25519Signer::clone(&self.signer).with_method(&named);
        Ok(Self {
            signer: Arc::new(signer.ok_or(Error::Did(named))?),
            ..self
        })
    }

    /// The same identity, advertising `capabilities` in place of what it did.
    ///
    /// # Errors
    /// [`Error::Capability`] names the one that may not be advertised (`CAP-1`, `CAP-2`).
    pub fn with_capabilities(self, capabilities: &[Capability<'static>]) -> Result<Self, Error> {
        check_local(capabilities).map_err(|(index, source)| Error::Capability {
            name: capabilities
                .get(index)
                .map_or("", |entry| entry.name)
                .into(),
            source,
        })?;
        Ok(Self {
            signer: self.signer,
            capabilities: capabilities.into(),
            chosen: true,
        })
    }

    /// The same identity, refusing every peer that does not prove that its key sits at the other
    /// end of the very connection (`GAP-21`): other implementations among them.
    ///
    /// # Errors
    /// [`Error::Capability`] when the list is full.
    pub fn require_channel_binding(self) -> Result<Self, Error> {
        let chosen = self.chosen;
        let required = Capability {
            required: true,
            ..offered(CHANNEL_BINDING)
        };
        let others = self.capabilities.iter().copied();
        let mut list: Vec<_> = others.filter(|entry| entry.name != required.name).collect();
        list.push(required);
        list.sort_by_key(|entry| entry.name);
        Ok(Self {
            chosen,
            ..self.with_capabilities(&list)?
        })
    }

    /// The same identity, advertising `name` too, unless the application chose what it advertises.
    pub(crate) fn also(self, name: &'static str) -> Self {
        if self.chosen || self.capabilities.iter().any(|entry| entry.name == name) {
            return self;
        }
        let mut list = self.capabilities.to_vec();
        list.push(offered(name));
        list.sort_by_key(|entry| entry.name);
        Self {
            capabilities: list.into(),
            ..self
        }
    }

    /// The DID.
    #[must_use]
    pub fn did(&self) -> &str {
        self.signer.did()
    }

    /// The id of its verification method: the DID, `#`, and a fragment.
    #[must_use]
    pub fn method(&self) -> &str {
        self.signer.method()
    }

    /// Its public key.
    #[must_use]
    pub fn public_key(&self) -> PublicKey {
        self.signer.public_key()
    }

    /// Its key, for programs that build and sign frames themselves.
    #[must_use]
    pub fn signer(&self) -> &Ed25519Signer {
        &self.signer
    }

    /// What it can do.
    #[must_use]
    pub fn capabilities(&self) -> &[Capability<'static>] {
        &self.capabilities
    }

    pub(crate) fn local(&self) -> aire_proto::handshake::Local<'_> {
        aire_proto::handshake::Local {
            signer: &*self.signer,
            capabilities: &self.capabilities,
        }
    }
}

/// A capability that a peer may lack.
fn offered(name: &'static str) -> Capability<'static> {
    let version = u64::from(!name.ends_with("/0"));
    Capability {
        name,
        version,
        required: false,
    }
}
