//! `aire airc register`, `identity` and `rotate`.

use std::path::PathBuf;

use airc_client::{Client, Handle, Registration};
use aire_mio::Identity;
use serde::Serialize;

use super::show::{self, Document};
use super::{RegistryArgs, handle};
use crate::{Error, Output};

/// Arguments of `aire airc register`.
#[derive(Debug, clap::Args)]
pub struct RegisterArgs {
    /// What a closed registry wants to see of who registers.
    #[arg(long, env = "AIRC_INVITE", value_name = "KEY", hide_env_values = true)]
    pub invite: Option<String>,
    /// A payload type that this one can take: game:chess, or game:* for all of them.
    #[arg(long = "payload", value_name = "TYPE")]
    pub payloads: Vec<String>,
    /// The largest payload that this one takes, in bytes.
    #[arg(long, value_name = "BYTES")]
    pub max_payload_size: Option<u64>,
    /// Where this one's AIRE node is, as aire://host:port: @handle@registry leads there then.
    #[arg(long, value_name = "URI")]
    pub aire: Option<String>,
    /// The agent that is meant there.
    #[arg(long, value_name = "ID", requires = "aire")]
    pub agent: Option<String>,
}

/// Arguments of `aire airc identity`.
#[derive(Debug, clap::Args)]
pub struct IdentityOf {
    /// Whose; one's own if nobody is named.
    #[arg(value_name = "HANDLE", value_parser = handle)]
    pub of: Option<Handle>,
}

/// Arguments of `aire airc rotate`.
#[derive(Debug, clap::Args)]
pub struct RotateArgs {
    /// The file of the new key, as `aire keygen` writes it.
    #[arg(value_name = "NEWKEY")]
    pub new: PathBuf,
}

pub(super) fn register(
    args: &RegisterArgs,
    at: &RegistryArgs,
    out: &mut Output,
) -> Result<(), Error> {
    let mut builder = at.builder()?;
    if let Some(invite) = &args.invite {
        builder = builder.invite(invite);
    }
    let mut registration = Registration {
        payloads: args.payloads.clone(),
        max_payload_size: args.max_payload_size,
        endpoints: Vec::new(),
    };
    if let Some(uri) = &args.aire {
        registration = registration.endpoint(uri, args.agent.as_deref());
    }
    let registered = builder.build()?.register(&registration)?;
    let identity = &registered.identity;
    out.present(&Document(&identity.document), |out| {
        out.note(match registered.new {
            true => "registered",
            false => "changed what was registered",
        });
        show::identity_lines(identity, out)
    })
}

pub(super) fn show(args: &IdentityOf, at: &RegistryArgs, out: &mut Output) -> Result<(), Error> {
    let of = match &args.of {
        Some(of) => of.clone(),
        None => {
            let own = at.handle.as_deref().ok_or_else(|| {
                Error::Usage("whose identity? Name a handle, or say who this is".into())
            })?;
            handle(own).map_err(|why| Error::Usage(format!("{own:?}: {why}")))?
        }
    };
    let identity = at.visitor()?.identity(&of)?;
    out.present(&Document(&identity.document), |out| {
        show::identity_lines(&identity, out)
    })
}

#[derive(Serialize)]
struct Rotated<'a> {
    handle: &'a str,
    did: &'a str,
    key: &'a std::path::Path,
    /// Until when the key before counts: Unix seconds.
    previous_key_valid_until: Option<u64>,
}

pub(super) fn rotate(args: &RotateArgs, client: &Client, out: &mut Output) -> Result<(), Error> {
    let new = Identity::from_pem_file(&args.new)?;
    client.rotate(new.signer().clone())?;
    // The key is changed, whatever can be found out about it.
    let identity = client.fresh_identity(client.handle()).ok();
    let until = identity.and_then(|identity| identity.previous.map(|previous| previous.until));
    let rotated = Rotated {
        handle: client.handle().as_str(),
        did: new.did(),
        key: &args.new,
        previous_key_valid_until: until,
    };
    out.present(&rotated, |out| {
        let key = args.new.display();
        out.note(format_args!("use --key {key} from now on"));
        if let Some(until) = until {
            let until = show::time(until);
            out.note(format_args!("the key before counts until {until}"));
        }
        out.line(format_args!("@{} is {} now", client.handle(), new.did()))
    })
}
