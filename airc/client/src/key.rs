//! The key of an agent, and the file that it is kept in.

use std::fmt;
use std::fs::{self, File};
use std::io::Write as _;
use std::path::Path;

use airc_core::{PublicKey, key};
use aire_proto::identity::{Ed25519Signer, Signer as _};
use tempfile::NamedTempFile;

use crate::{Error, system};

/// An agent's Ed25519 key. It is an AIRE key too: its `did:key` is who the agent is there, and an
/// [`Ed25519Signer`] becomes one.
///
/// Cheap enough to clone. The secret is never printed.
#[derive(Clone)]
pub struct SigningKey(Ed25519Signer);

/// What a file of a key has to hold.
const EXPECTED: &str = "an Ed25519 private key in PKCS#8 PEM; `aire keygen` makes one";

/// The largest file of a key, in bytes.
const MAX_FILE: u64 = 16 * 1024;

impl SigningKey {
    /// A new key, which lasts as long as this value and its clones.
    ///
    /// # Errors
    /// [`Error::Random`].
    pub fn generate() -> Result<Self, Error> {
        Ok(Self::from_seed(system::seed()?))
    }

    /// The key with this secret seed: 32 bytes from a cryptographic random source.
    ///
    /// # Panics
    /// When `seed` is all zeros: no random source gave that.
    #[must_use]
    pub fn from_seed(seed: [u8; 32]) -> Self {
        Self(Ed25519Signer::from_seed(seed))
    }

    /// The key of a PKCS#8 PEM file, as `aire keygen` and `openssl genpkey -algorithm ed25519` write
    /// it.
    ///
    /// # Errors
    /// [`Error::File`], [`Error::FileContent`].
    pub fn from_pem_file(path: impl AsRef<Path>) -> Result<Self, Error> {
        let path = path.as_ref();
        let failed = |source| Error::reading(path, source);
        let wrong = || Error::FileContent {
            path: path.into(),
            expected: EXPECTED,
        };
        if fs::metadata(path).map_err(failed)?.len() > MAX_FILE {
            return Err(wrong());
        }
        let pem = fs::read(path).map_err(failed)?;
        let pem = String::from_utf8(pem).map_err(|_| wrong())?;
        key::parse_secret(&pem).map(Self).map_err(|_| wrong())
    }

    /// A new key in a new file, which this user alone may read (mode 0600).
    ///
    /// # Errors
    /// [`Error::Random`]; [`Error::File`], also when there is a file already: a key that is lost
    /// cannot be had back (section 6.2).
    pub fn create_pem_file(path: impl AsRef<Path>) -> Result<Self, Error> {
        let path = path.as_ref();
        let seed = system::seed()?;
        let failed = |source| Error::writing(path, source);
        let dir = path.parent().filter(|dir| !dir.as_os_str().is_empty());
        let dir = dir.unwrap_or(Path::new("."));
        // Temporary files are made with mode 0600.
        let mut file = NamedTempFile::with_prefix_in(".airc-", dir).map_err(failed)?;
        file.write_all(key::secret_to_pem(&seed).as_bytes())
            .map_err(failed)?;
        file.as_file().sync_all().map_err(failed)?;
        file.persist_noclobber(path)
            .map_err(|error| failed(error.error))?;
        // The name survives a crash of the machine too.
        File::open(dir)
            .and_then(|dir| dir.sync_all())
            .map_err(failed)?;
        Ok(Self::from_seed(seed))
    }

    /// The public key.
    #[must_use]
    pub fn public_key(&self) -> PublicKey {
        self.0.public_key()
    }

    /// The key's own DID, `did:key:z...`: who the agent is in AIRE.
    #[must_use]
    pub fn did(&self) -> &str {
        self.0.did()
    }

    pub(crate) fn signer(&self) -> &Ed25519Signer {
        &self.0
    }
}

/// The key of an AIRE identity is an AIRC key.
impl From<Ed25519Signer> for SigningKey {
    fn from(signer: Ed25519Signer) -> Self {
        Self(signer)
    }
}

impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The secret stays out of logs.
        write!(f, "SigningKey({})", self.did())
    }
}
