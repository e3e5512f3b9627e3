//! `aire did`: what others need to find an identity.

use std::path::PathBuf;

use clap::Subcommand;

use crate::common::identity::IdentityArgs;
use crate::{Error, Output};

/// Arguments of `aire did`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// What to do; `show` when missing.
    #[command(subcommand)]
    pub what: Option<What>,
    /// Whose.
    #[command(flatten)]
    pub identity: IdentityArgs,
}

/// What to do with it.
#[derive(Debug, Subcommand)]
pub enum What {
    /// Print the DID and the public key.
    Show,
    /// Print the DID document (did.json) that makes a key findable by a domain.
    Document(DocumentArgs),
    /// Write the documents as files for a static web server.
    Publish {
        /// The web server's document root.
        dir: PathBuf,
        /// What they say.
        #[command(flatten)]
        document: DocumentArgs,
    },
}

/// What a DID document says.
#[derive(Debug, clap::Args)]
pub struct DocumentArgs {
    /// The DID: did:web:example.org, or with a path.
    #[arg(long, value_name = "DID")]
    pub did: String,
    /// Where the node is, as aire://host:port; several in the order in which to try them.
    #[arg(long = "endpoint", value_name = "URI", required = true)]
    pub endpoints: Vec<String>,
    /// The agent that the endpoints are for.
    #[arg(long, value_name = "ID")]
    pub agent: Option<String>,
    /// A handle that this identity goes by: @name@domain.
    #[arg(long = "handle", value_name = "HANDLE")]
    pub handles: Vec<String>,
}

/// Shows, prints or publishes.
///
/// # Errors
/// [`Error::Library`], [`Error::File`], [`Error::Usage`].
pub fn run(_args: &Args, _out: &mut Output) -> Result<(), Error> {
    Err(Error::Failed("`aire did` is not built yet".into()))
}
