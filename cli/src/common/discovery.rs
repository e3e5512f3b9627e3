//! How names are looked up.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use aire_mio::{Pins, Resolver, ResolverSettings};
use clap::Args;

use super::units::time;
use crate::Error;

/// How handles and DIDs are looked up.
#[derive(Clone, Debug, Args)]
pub struct DiscoveryArgs {
    /// The name server to ask [default: the system's].
    #[arg(long, value_name = "ADDRESS:PORT", help_heading = "Discovery")]
    pub dns: Option<SocketAddr>,
    /// Believe HTTPS servers that the CAs in this PEM file vouch for, beside the system's roots.
    #[arg(long, value_name = "FILE", help_heading = "Discovery")]
    pub https_ca: Option<PathBuf>,
    /// The TCP port of HTTPS servers whose name comes without one, in place of 443.
    #[arg(long, value_name = "PORT", help_heading = "Discovery")]
    pub https_port: Option<u16>,
    /// Where the keys of did:web identities are remembered, from their first sight on.
    #[arg(long, value_name = "FILE", help_heading = "Discovery")]
    pub known_keys: Option<PathBuf>,
    /// How long each look-up may take.
    #[arg(
        long,
        value_name = "TIME",
        value_parser = time,
        default_value = "10s",
        help_heading = "Discovery"
    )]
    pub lookup_timeout: Duration,
    /// Fetch from private, loopback and link-local addresses too. A name that somebody else chose
    /// can then reach into this network.
    #[arg(long, help_heading = "Discovery")]
    pub danger_allow_private: bool,
}

impl DiscoveryArgs {
    /// A resolver that looks things up as they say.
    ///
    /// # Errors
    /// [`Error::Library`] when a file is no good, or the system names no name server.
    pub fn resolver(&self) -> Result<Resolver, Error> {
        let usual = ResolverSettings::default();
        let settings = ResolverSettings {
            timeout: self.lookup_timeout,
            dns: self.dns,
            extra_roots: self.https_ca.clone(),
            https_port: self.https_port.unwrap_or(usual.https_port),
            pins: remembering(self.known_keys.as_deref()),
            danger_allow_private: self.danger_allow_private,
            ..usual
        };
        Ok(Resolver::new(settings)?)
    }
}

/// Keys that are trusted from their first sight on, where a file remembers them.
pub(crate) fn remembering(file: Option<&Path>) -> Pins {
    match file {
        Some(file) => Pins::none().trust_on_first_use(file),
        None => Pins::none(),
    }
}
