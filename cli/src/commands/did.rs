//! `aire did`: what others need to find an identity.

use std::path::{Path, PathBuf};

use aire_mio::publish::{Publication, PublishError};
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
    /// The DID: did:web:example.org, or did:web:example.org:people:alice.
    #[arg(long, value_name = "DID")]
    pub did: String,
    /// What the key is called in the document.
    #[arg(long, value_name = "NAME", default_value = KEY_ID)]
    pub key_id: String,
    /// Where the node is, as aire://host:port; several in the order in which to try them.
    #[arg(long = "endpoint", value_name = "URI")]
    pub endpoints: Vec<String>,
    /// The agent that is meant at the endpoints.
    #[arg(long, value_name = "ID", requires = "endpoints")]
    pub agent: Option<String>,
    /// A handle that this identity goes by: @name@domain.
    #[arg(long = "handle", value_name = "HANDLE")]
    pub handles: Vec<String>,
    /// Whose key is in it.
    #[command(flatten)]
    pub identity: IdentityArgs,
}

/// What a key is called in its DID's document when nothing is said.
pub(crate) const KEY_ID: &str = "key-1";

/// Shows, prints or publishes.
///
/// # Errors
/// [`Error::Library`], [`Error::File`], [`Error::Usage`].
pub fn run(args: &Args, out: &mut Output) -> Result<(), Error> {
    match &args.what {
        What::Show(args) => show(args, out),
        What::Document(args) => document(args, out),
        What::Publish { dir, document } => publish(dir, document, out),
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

impl DocumentArgs {
    fn publication(&self) -> Result<Publication, Error> {
        let identity = self.identity.load()?.with_did(&self.did, &self.key_id)?;
        let wrong = |error: PublishError| Error::Usage(error.to_string());
        let mut publication = Publication::of(&identity).map_err(wrong)?;
        for uri in &self.endpoints {
            publication = publication
                .endpoint(uri, &[], self.agent.as_deref())
                .map_err(wrong)?;
        }
        for handle in &self.handles {
            publication = publication.handle(handle).map_err(wrong)?;
        }
        Ok(publication)
    }
}

/// The document is JSON whoever reads it.
fn document(args: &DocumentArgs, out: &mut Output) -> Result<(), Error> {
    out.bytes(args.publication()?.document().as_bytes())
}

#[derive(Serialize)]
struct Published {
    did: String,
    files: Vec<PathBuf>,
    txt_records: Vec<TxtRecord>,
}

#[derive(Serialize)]
struct TxtRecord {
    name: String,
    value: String,
}

fn publish(dir: &Path, args: &DocumentArgs, out: &mut Output) -> Result<(), Error> {
    let publication = args.publication()?;
    let files = publication.write_to(dir).map_err(|error| match error {
        PublishError::File { path, source } => Error::writing(path, source),
        other => Error::Usage(other.to_string()),
    })?;
    let records = publication.txt_records().into_iter();
    let published = Published {
        did: publication.did().into(),
        files,
        txt_records: records
            .map(|(name, value)| TxtRecord { name, value })
            .collect(),
    };
    out.present(&published, |out| {
        for file in &published.files {
            out.line(file.display())?;
        }
        if !published.txt_records.is_empty() {
            out.note("these DNS records let the handles be found faster:");
        }
        for record in &published.txt_records {
            out.line(format_args!("{} TXT \"{}\"", record.name, record.value))?;
        }
        Ok(())
    })
}
