//! Whose key a command uses.

use std::env;
use std::path::PathBuf;

use aire_mio::Identity;
use clap::Args;

use crate::{Error, Output};

/// Whose key to use.
#[derive(Clone, Debug, Default, Args)]
pub struct IdentityArgs {
    /// The key's file: Ed25519 in PKCS#8 PEM, as `aire keygen` writes it [default:
    /// $XDG_CONFIG_HOME/aire/key.pem].
    #[arg(long, env = "AIRE_KEY", value_name = "FILE", help_heading = "Identity")]
    pub key: Option<PathBuf>,
}

impl IdentityArgs {
    /// The key of the file, or of the default one.
    ///
    /// # Errors
    /// [`Error::Usage`] when the default one is missing, [`Error::Library`] when there is none in
    /// the file.
    pub fn load(&self) -> Result<Identity, Error> {
        let path = self.key.clone().map_or_else(default_path, Ok)?;
        if self.key.is_none() && !path.exists() {
            return Err(Error::Usage(format!(
                "this needs a key that lasts, and there is none at {}: `aire keygen` makes one",
                path.display()
            )));
        }
        Ok(Identity::from_pem_file(path)?)
    }

    /// The same; where no file is named and the default one is missing, a key that lasts as long
    /// as this process, with a word about it.
    ///
    /// # Errors
    /// [`Error::Library`] when the file holds no key.
    pub fn load_or_generate(&self, out: &Output) -> Result<Identity, Error> {
        let exists = |path: &PathBuf| path.exists();
        if self.key.is_some() || default_path().as_ref().is_ok_and(exists) {
            return self.load();
        }
        let identity = Identity::generate()?;
        out.note(format_args!(
            "there is no key, so this is {} for now; `aire keygen` makes one that lasts",
            identity.did()
        ));
        Ok(identity)
    }
}

/// The directory of this user's keys and settings: `$XDG_CONFIG_HOME/aire`, else
/// `~/.config/aire`.
///
/// # Errors
/// [`Error::Usage`] when the environment names neither.
pub fn config_dir() -> Result<PathBuf, Error> {
    // The specification says that a relative path counts as none.
    let absolute = |path: &PathBuf| path.is_absolute();
    let named = |name| env::var_os(name).map(PathBuf::from).filter(absolute);
    named("XDG_CONFIG_HOME")
        .or_else(|| named("HOME").map(|home| home.join(".config")))
        .map(|dir| dir.join("aire"))
        .ok_or_else(|| {
            Error::Usage("neither XDG_CONFIG_HOME nor HOME is set: name the file itself".into())
        })
}

/// Where the key is when no file is named.
///
/// # Errors
/// As [`config_dir`].
pub fn default_path() -> Result<PathBuf, Error> {
    Ok(config_dir()?.join("key.pem"))
}
