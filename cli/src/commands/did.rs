//! `aire did`: what others need to find an identity.

use std::path::PathBuf;

use clap::Subcommand;
use serde::Serialize;

use crate::common::identity::IdentityArgs;
use crate::{Error, Output};

/// Arguments of `aire did`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// What to do.
    #[command(subcommand)]
    pub what: What,
}

/// What to do with it.
#[derive(Debug, Subcommand)]
pub enum What {
    /// Print the DID and the public key.
    Show(ShowArgs),
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

/// Whose DID to show.
#[derive(Debug, clap::Args)]
pub struct ShowArgs {
    /// Whose.
    #[command(flatten)]
    pub identity: IdentityArgs,
}

/// What a DID document says.
#[derive(Debug, clap::Args)]
pub struct DocumentArgs {
    /// Whose key is in it.
    #[command(flatten)]
    pub identity: IdentityArgs,
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
pub fn run(args: &Args, out: &mut Output) -> Result<(), Error> {
    match &args.what {
        What::Show(args) => show(args, out),
        What::Document(_) | What::Publish { .. } => {
            Err(Error::Failed("`aire did document` is not built yet".into()))
        }
    }
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Shown<'a> {
    did: &'a str,
    verification_method: String,
    public_key_multibase: &'a str,
}

fn show(args: &ShowArgs, out: &mut Output) -> Result<(), Error> {
    let identity = args.identity.load()?;
    let did = identity.did();
    // What did:key calls the key, and the key itself in multibase, are the same text.
    let key = did.strip_prefix("did:key:").unwrap_or(did);
    let shown = Shown {
        did,
        verification_method: format!("{did}#{key}"),
        public_key_multibase: key,
    };
    out.present(&shown, |out| out.line(did))
}
