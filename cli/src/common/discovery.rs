//! How names are looked up.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use clap::Args;

use super::units::time;

/// How handles and DIDs are looked up.
#[derive(Clone, Debug, Args)]
pub struct DiscoveryArgs {
    /// The name server to ask [default: the system's].
    #[arg(long, value_name = "ADDRESS:PORT", help_heading = "Discovery")]
    pub dns: Option<SocketAddr>,
    /// Believe HTTPS servers that the CAs in this PEM file vouch for, beside the system's roots.
    #[arg(long, value_name = "FILE", help_heading = "Discovery")]
    pub https_ca: Option<PathBuf>,
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
