//! `aire airc`: who is there, consent, and messages, at an AIRC registry.

mod consent;
mod cursor;
mod follow;
mod identity;
mod messages;
mod payload;
mod presence;
mod show;

use std::path::PathBuf;

use airc_client::{Client, Handle};
use clap::Subcommand;

use crate::common::identity::IdentityArgs;
use crate::{Error, Output};

/// Arguments of `aire airc`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// What to do.
    #[command(subcommand)]
    pub what: What,
    /// Where, and as whom.
    #[command(flatten)]
    pub registry: RegistryArgs,
}

/// Which registry, and who to be there.
#[derive(Debug, clap::Args)]
pub struct RegistryArgs {
    /// The registry: https://host, with a path if its paths have one in front.
    #[arg(
        long,
        global = true,
        env = "AIRC_REGISTRY",
        value_name = "URL",
        help_heading = "Registry"
    )]
    pub registry: Option<String>,
    /// Who this is there: 1 to 32 of a-z, 0-9 and _.
    #[arg(
        long,
        global = true,
        env = "AIRC_HANDLE",
        value_name = "NAME",
        help_heading = "Registry"
    )]
    pub handle: Option<String>,
    /// The key's file: Ed25519 in PKCS#8 PEM, as `aire keygen` writes it [default:
    /// $XDG_CONFIG_HOME/aire/key.pem].
    #[arg(
        long,
        global = true,
        env = "AIRE_KEY",
        value_name = "FILE",
        help_heading = "Registry"
    )]
    pub key: Option<PathBuf>,
    /// Believe registries that the CAs in this PEM file vouch for, and no others.
    #[arg(long, global = true, value_name = "FILE", help_heading = "Registry")]
    pub ca: Option<PathBuf>,
    /// Speak to a registry on another machine without TLS. Whoever is on the way can read
    /// everything, take an invite, and change every answer.
    #[arg(long, global = true, help_heading = "Registry")]
    pub danger_in_the_clear: bool,
}

/// What to do at a registry.
#[derive(Debug, Subcommand)]
pub enum What {
    /// Register the handle with the key, or change what it can take.
    Register(identity::RegisterArgs),
    /// Say that this one is there.
    Heartbeat(presence::HeartbeatArgs),
    /// List who is there.
    Who(presence::WhoArgs),
    /// Show who has a handle.
    Identity(identity::IdentityOf),
    /// Ask for consent, give it, refuse it, and see where it stands.
    Consent(consent::Args),
    /// Send a message.
    Send(messages::SendArgs),
    /// Print what has come since the last time.
    Poll(follow::PollArgs),
    /// Print all messages to and from somebody.
    Thread(messages::ThreadArgs),
    /// Say what became of a message.
    Ack(messages::AckArgs),
    /// Change to a new key.
    Rotate(identity::RotateArgs),
}

/// Does it.
///
/// # Errors
/// [`Error::Airc`] with what the registry refuses, and the other ways in which it fails.
pub fn run(args: &Args, out: &mut Output) -> Result<(), Error> {
    let at = &args.registry;
    match &args.what {
        What::Register(args) => identity::register(args, at, out),
        What::Heartbeat(args) => presence::heartbeat(args, &at.client()?, out),
        What::Who(args) => presence::who(args, &at.visitor()?, out),
        What::Identity(args) => identity::show(args, at, out),
        What::Consent(args) => consent::run(args, &at.client()?, out),
        What::Send(args) => messages::send(args, &at.client()?, out),
        What::Poll(args) => follow::poll(args, &at.client()?, out),
        What::Thread(args) => messages::thread(args, &at.client()?, out),
        What::Ack(args) => messages::ack(args, &at.client()?, out),
        What::Rotate(args) => identity::rotate(args, &at.client()?, out),
    }
}

impl RegistryArgs {
    /// A client with a handle and a key.
    fn client(&self) -> Result<Client, Error> {
        Ok(self.builder()?.build()?)
    }

    fn builder(&self) -> Result<airc_client::Builder, Error> {
        let handle = self.handle.as_deref().ok_or_else(|| {
            Error::Usage("who is this at the registry? --handle or AIRC_HANDLE says".into())
        })?;
        let key = self.key.clone();
        let identity = IdentityArgs { key }.load()?;
        let builder = self.bare(bare(handle))?;
        Ok(builder.key(identity.signer().clone()))
    }

    /// A client of nobody, for what is public.
    fn visitor(&self) -> Result<Client, Error> {
        // The name is for what is signed, and nothing is: it is never sent.
        let handle = self.handle.as_deref().unwrap_or("visitor");
        Ok(self.bare(bare(handle))?.build()?)
    }

    fn bare(&self, handle: &str) -> Result<airc_client::Builder, Error> {
        let registry = self.registry.as_deref().ok_or_else(|| {
            Error::Usage("which registry? --registry or AIRC_REGISTRY names it".into())
        })?;
        let mut builder = Client::builder(registry, handle)
            .user_agent(concat!("aire/", env!("CARGO_PKG_VERSION")));
        if let Some(path) = &self.ca {
            builder = builder.ca_file(path)?;
        }
        if self.danger_in_the_clear {
            builder = builder.danger_in_the_clear();
        }
        Ok(builder)
    }
}

/// A handle as people write it: with an `@` before it, or without.
fn handle(text: &str) -> Result<Handle, String> {
    Handle::parse(bare(text)).map_err(|error| error.to_string())
}

fn bare(text: &str) -> &str {
    text.strip_prefix('@').unwrap_or(text)
}
