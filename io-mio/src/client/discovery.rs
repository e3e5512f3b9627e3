//! Connecting to somebody whose place has to be found first (`DISC-1` to `DISC-7`).

use super::{Client, ClientBuilder, is_name};
use crate::resolver::{Resolved, Resolver};
use crate::{Address, Error};

/// Whether a target has to be looked up.
pub(super) fn is_to_be_resolved(target: &str) -> bool {
    is_name(target) && target.parse::<Address>().is_err()
}

impl ClientBuilder {
    /// Looks up handles and DIDs, and fetches the key of a node that is a `did:web` (`ID-2`);
    /// without one, only `aire://` URIs of `did:key` nodes can be connected to.
    #[must_use]
    pub fn resolver(mut self, resolver: Resolver) -> Self {
        self.resolver = Some(resolver);
        self
    }

    /// Connects to the first endpoint of a target that answers as it should.
    pub(super) fn discover(self, target: &str) -> Result<Client, Error> {
        let Some(resolver) = &self.resolver else {
            return Err(Error::NoResolver(target.into()));
        };
        let resolved = resolver.resolve(target).map_err(Error::Unresolved)?;
        self.connect_resolved(&resolved)
    }

    /// Connects to what was resolved: as [`connect`](Self::connect) does, for who has looked at it
    /// before.
    ///
    /// # Errors
    /// As [`connect`](Self::connect).
    pub fn connect_resolved(self, resolved: &Resolved) -> Result<Client, Error> {
        let Resolved {
            target,
            did,
            endpoints,
            ..
        } = resolved;
        if let (Some(expected), Some(found)) = (&self.expected, did)
            && expected != found
        {
            return Err(Error::OtherPeer {
                expected: expected.clone(),
                found: found.clone(),
            });
        }
        let mut tried = Vec::new();
        for endpoint in endpoints {
            let mut builder = self.clone();
            if let Some(did) = did {
                builder = builder.expect_peer(did.clone());
            }
            match builder.connect_to(endpoint.uri.clone()) {
                Ok(client) => return Ok(client),
                Err(error) => tried.push((endpoint.uri.to_string(), error)),
            }
        }
        match (tried.pop(), tried.is_empty()) {
            (Some((_, error)), true) => Err(error),
            (last, _) => {
                tried.extend(last);
                Err(Error::Unreachable {
                    target: target.to_string(),
                    tried,
                })
            }
        }
    }
}
