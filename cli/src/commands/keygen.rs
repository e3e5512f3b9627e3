//! `aire keygen`: a new key.

use std::path::{Path, PathBuf};

use aire_mio::Identity;
use boring::error::ErrorStack;
use boring::pkey::{Id, PKey};
use serde::Serialize;

use crate::common::files::Draft;
use crate::common::identity::default_path;
use crate::{Error, Output};

/// Arguments of `aire keygen`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Where to write the key [default: $XDG_CONFIG_HOME/aire/key.pem].
    pub file: Option<PathBuf>,
    /// Replace the key that is there. Who was known by it is nobody then.
    #[arg(long)]
    pub force: bool,
}

#[derive(Serialize)]
struct Made<'a> {
    did: &'a str,
    file: &'a Path,
}

/// Writes the key, and prints its DID.
///
/// # Errors
/// [`Error::Exists`], [`Error::File`].
pub fn run(args: &Args, out: &mut Output) -> Result<(), Error> {
    let path = args.file.clone().map_or_else(default_path, Ok)?;
    let draft = Draft::private(&path, &new_key().map_err(aire_mio::Error::from)?)?;
    // Whatever is kept is known to be read again.
    let identity = Identity::from_pem_file(draft.path())?;
    match args.force {
        true => draft.replace()?,
        false => draft.keep_new()?,
    }
    let did = identity.did();
    out.present(&Made { did, file: &path }, |out| {
        out.note(format_args!("the key is in {}", path.display()));
        out.line(did)
    })
}

/// A new Ed25519 key, in PKCS#8 PEM.
fn new_key() -> Result<Vec<u8>, ErrorStack> {
    PKey::generate(Id::ED25519)?.private_key_to_pem_pkcs8()
}
