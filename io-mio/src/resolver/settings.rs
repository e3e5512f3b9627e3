//! The limits and times of a resolver.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use super::pins::Pins;
use super::rate::Rate;

/// How a resolver behaves. Start from [`ResolverSettings::default`].
#[derive(Clone, Debug)]
pub struct ResolverSettings {
    /// How long one document, or one look-up, may take in all; 8 s by default: less than the
    /// handshake that waits for it.
    pub timeout: Duration,
    /// The most bytes of a DID document; 64 KiB by default.
    pub max_document: usize,
    /// How many documents, and failures to fetch one, are remembered; 1,024 by default.
    pub cache_entries: usize,
    /// For how long a document is used at most, whatever its server says; 1 h by default. So long
    /// may a key be believed in that was taken out of it.
    pub max_cache_age: Duration,
    /// For how long a document is used whose server says nothing; 5 min by default.
    pub default_cache_age: Duration,
    /// For how long a failure is remembered; 10 s by default.
    pub failure_cache_age: Duration,
    /// How many documents each source may have fetched ([`Resolver::fetch_key`]); 20 at once, and
    /// one more every second, by default. IPv6 addresses of one /64 are one source.
    ///
    /// [`Resolver::fetch_key`]: super::Resolver::fetch_key
    pub per_source: Rate,
    /// How many sources are told apart; 4,096 by default. Those beyond share one rate.
    pub sources: usize,
    /// How many documents are fetched at a time; 32 by default.
    pub max_fetches: usize,
    /// How many may wait for documents; 1,024 by default. Others are refused at once.
    pub max_waiting: usize,
    /// Which keys of which DIDs are good; all that their documents hold by default.
    pub pins: Pins,
    /// A PEM file of CAs that are trusted for HTTPS, beside those of the system.
    pub extra_roots: Option<PathBuf>,
    /// The name server to ask, with its port; by default whom the system asks, and its hosts file.
    /// For documents and handles: the hosts of `aire://` URIs are looked up by the system.
    pub dns: Option<SocketAddr>,
    /// The TCP port of `https` URLs that name none; 443 by default.
    pub https_port: u16,
    /// Connects to private, loopback, link-local and other addresses that are not of the public
    /// internet. Every peer can then make this machine fetch URLs from its own network: for tests,
    /// and for networks where nobody is a stranger.
    pub danger_allow_private: bool,
}

impl Default for ResolverSettings {
    fn default() -> Self {
        Self {
            timeout: Duration::from_secs(8),
            max_document: 64 * 1024,
            cache_entries: 1024,
            max_cache_age: Duration::from_secs(60 * 60),
            default_cache_age: Duration::from_secs(5 * 60),
            failure_cache_age: Duration::from_secs(10),
            per_source: Rate {
                burst: 20,
                every: Duration::from_secs(1),
            },
            sources: 4096,
            max_fetches: 32,
            max_waiting: 1024,
            pins: Pins::none(),
            extra_roots: None,
            dns: None,
            https_port: 443,
            danger_allow_private: false,
        }
    }
}
