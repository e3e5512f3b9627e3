//! What the loop does until a connection is up: it has the peer's key fetched, and looks who the
//! peer is.

use std::net::SocketAddr;

use tracing::debug;

use super::{Known, Loop};
use crate::Error;
use crate::driver::{ConnectionKey, Driver};

impl Known {
    /// Whether the peer is the one that this side dialled. If not, whoever dialled will be told.
    pub(super) fn expects(&self, peer: &str) -> bool {
        let Some(dialled) = &self.dialled else {
            return true;
        };
        match &dialled.expected {
            Some(expected) if expected != peer => {
                debug!(expected, peer, "another peer than was expected");
                dialled.explain(Error::OtherPeer {
                    expected: expected.clone(),
                    found: peer.into(),
                });
                false
            }
            _ => true,
        }
    }
}

impl Loop {
    /// Ends connections to somebody else than was expected.
    pub(super) fn drop_unwelcome(&mut self, driver: &mut Driver) {
        for key in std::mem::take(&mut self.unwelcome) {
            driver.drop_connection(key);
        }
    }
}

#[cfg(not(feature = "discovery"))]
impl Loop {
    /// Without a resolver nothing is fetched, so nothing is awaited.
    #[expect(clippy::unused_self, reason = "with a resolver it is used")]
    pub(super) fn key_awaited(&self, _key: ConnectionKey, method: &str, _source: SocketAddr) {
        debug!(method, "no resolver for this method");
    }
}

#[cfg(feature = "discovery")]
impl Loop {
    /// Has a key fetched. The answer comes as a message, and may come too late: the handshake's own
    /// time-out counts on.
    pub(super) fn key_awaited(&self, key: ConnectionKey, method: &str, source: SocketAddr) {
        let Some(resolver) = &self.service.resolver else {
            return debug!(method, "no resolver for this method");
        };
        let mailbox = self.mailbox.clone();
        resolver.fetch_key(method, source.ip(), move |answer| {
            mailbox.key_fetched(key, answer);
        });
    }

    pub(super) fn key_fetched(
        &mut self,
        driver: &mut Driver,
        key: ConnectionKey,
        answer: Result<aire_proto::identity::PublicKey, crate::ResolveError>,
    ) {
        let answer = answer.map_err(|error| {
            debug!(%error, "the peer's key cannot be had");
            let known = self.known.get(&key);
            if let Some(dialled) = known.and_then(|known| known.dialled.as_ref()) {
                dialled.explain(Error::Unresolved(error));
            }
        });
        driver.key_fetched(key, answer.ok(), &mut |key, event, calls| {
            self.event(key, event, calls);
        });
    }
}
