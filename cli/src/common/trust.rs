//! Which servers a command believes.

use std::path::PathBuf;

use aire_mio::{Pin, Trust};
use clap::Args;

/// Which servers to believe; those that the system's roots vouch for, when nothing is given.
#[derive(Clone, Debug, Default, Args)]
#[group(id = "trust", multiple = false)]
pub struct TrustArgs {
    /// Believe servers that the CAs in this PEM file vouch for, and no others.
    #[arg(long, value_name = "FILE", help_heading = "Trust")]
    pub ca: Option<PathBuf>,
    /// Believe the server with this key alone: SHA-256 of its SubjectPublicKeyInfo, in hex.
    #[arg(long, value_name = "HEX", value_parser = pin, help_heading = "Trust")]
    pub pin: Option<Pin>,
    /// Believe whoever answers. Anybody on the path can then read and change everything.
    #[arg(long, help_heading = "Trust")]
    pub danger_accept_any_certificate: bool,
}

impl TrustArgs {
    /// As the library takes it.
    #[must_use]
    pub fn trust(&self) -> Trust {
        match (&self.ca, self.pin, self.danger_accept_any_certificate) {
            (Some(path), ..) => Trust::ca_file(path),
            (_, Some(pin), _) => Trust::pinned(pin),
            (_, _, true) => Trust::danger_accept_any_certificate(),
            _ => Trust::system_roots(),
        }
    }
}

fn pin(text: &str) -> Result<Pin, String> {
    Pin::from_hex(text).ok_or_else(|| "64 hexadecimal digits are needed".into())
}
