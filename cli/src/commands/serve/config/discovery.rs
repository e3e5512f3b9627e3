//! How a node is found, and how it finds out whose key a peer's is.

use std::net::SocketAddr;
use std::path::PathBuf;

use serde::Deserialize;
use toml::Spanned;

use super::values::{DidText, Time};
use crate::commands::did::KEY_ID;

/// Names. Without this section a node is its key (did:key), and knows only peers that are theirs.
#[derive(Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Discovery {
    /// Who the node is, where that is not its key: did:web:example.org.
    pub(crate) did: Option<Spanned<DidText>>,
    /// What its key is called in the DID's document.
    pub(crate) key_id: String,
    /// Whether the keys of did:web peers are looked up.
    pub(crate) resolve: bool,
    /// The name server to ask; whom the system asks when missing.
    pub(crate) dns: Option<SocketAddr>,
    /// CAs for HTTPS in PEM, beside the system's.
    pub(crate) https_ca: Option<PathBuf>,
    /// The TCP port of HTTPS servers whose name comes without one.
    pub(crate) https_port: Option<u16>,
    /// Where the keys of did:web peers are remembered, from their first sight on.
    pub(crate) known_keys: Option<PathBuf>,
    /// How long a look-up may take.
    pub(crate) timeout: Option<Time>,
    /// Whether documents may be fetched from private, loopback and link-local addresses.
    pub(crate) danger_allow_private: bool,
    /// Whether the node serves its own documents.
    pub(crate) publish: Option<Publish>,
}

impl Default for Discovery {
    fn default() -> Self {
        Self {
            did: None,
            key_id: KEY_ID.into(),
            resolve: true,
            dns: None,
            https_ca: None,
            https_port: None,
            known_keys: None,
            timeout: None,
            danger_allow_private: false,
            publish: None,
        }
    }
}

/// An HTTPS server with the DID's document, and the answers about its handles.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Publish {
    /// The TCP address. TLS is that of the node.
    pub(crate) listen: Spanned<SocketAddr>,
    /// Where the node is: aire://host:port, in the order in which to try them.
    pub(crate) endpoints: Spanned<Vec<String>>,
    /// The agent that is meant there.
    pub(crate) agent: Option<String>,
    /// Handles of the DID: @name@domain.
    #[serde(default = "no_handles")]
    pub(crate) handles: Spanned<Vec<String>>,
}

fn no_handles() -> Spanned<Vec<String>> {
    Spanned::new(0..0, Vec::new())
}
