//! What a server is told, on its command line: the same for all four.

use std::ffi::OsString;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;

use crate::{Credentials, Feature, Stack};

/// The options of every server.
#[derive(Clone, Debug, clap::Args)]
pub struct Options {
    /// PEM file with the certificate chain, the server's own first.
    #[arg(long)]
    pub cert: PathBuf,
    /// PEM file with the private key.
    #[arg(long)]
    pub key: PathBuf,
    /// UDP address to listen on. Port 0: any that is free.
    #[arg(long, default_value = "127.0.0.1:0")]
    pub listen: SocketAddr,
    /// Validate every client's address with a Retry first.
    #[arg(long)]
    pub retry: bool,
    /// Accept TLS_CHACHA20_POLY1305_SHA256 only ([`Feature::ForceChaCha`]).
    #[arg(long)]
    pub chacha: bool,
    /// Accept key shares of P-256 only: a client that sent another gets a HelloRetryRequest
    /// ([`Feature::HelloRetryRequest`]).
    #[arg(long)]
    pub p256: bool,
    /// How many bidirectional streams the client may have open at once.
    #[arg(long, default_value_t = Self::MAX_STREAMS)]
    pub max_streams: u32,
    /// The idle timeout in milliseconds.
    #[arg(long, default_value_t = Self::IDLE_MS)]
    pub idle_ms: u32,
}

impl Options {
    const MAX_STREAMS: u32 = 100;
    const IDLE_MS: u32 = 30_000;

    /// A server that proves itself with `credentials`, and is plain otherwise.
    #[must_use]
    pub fn new(credentials: &Credentials) -> Self {
        Self {
            cert: credentials.cert_file(),
            key: credentials.key_file(),
            listen: (Ipv4Addr::LOCALHOST, 0).into(),
            retry: false,
            chacha: false,
            p256: false,
            max_streams: Self::MAX_STREAMS,
            idle_ms: Self::IDLE_MS,
        }
    }

    /// The command line.
    pub(crate) fn args(&self) -> Vec<OsString> {
        let mut args: Vec<OsString> = [
            ("--cert", self.cert.clone().into_os_string()),
            ("--key", self.key.clone().into_os_string()),
            ("--listen", self.listen.to_string().into()),
            ("--max-streams", self.max_streams.to_string().into()),
            ("--idle-ms", self.idle_ms.to_string().into()),
        ]
        .into_iter()
        .flat_map(|(name, value)| [name.into(), value])
        .collect();
        let flags = [
            (self.retry, "--retry"),
            (self.chacha, "--chacha"),
            (self.p256, "--p256"),
        ];
        args.extend(flags.iter().filter(|flag| flag.0).map(|flag| flag.1.into()));
        args
    }

    /// The first option that `stack` cannot carry out.
    pub(crate) fn beyond(&self, stack: Stack) -> Option<Feature> {
        [
            (self.chacha, Feature::ForceChaCha),
            (self.p256, Feature::HelloRetryRequest),
        ]
        .into_iter()
        .find_map(|(asked, feature)| (asked && !stack.can(feature)).then_some(feature))
    }
}
