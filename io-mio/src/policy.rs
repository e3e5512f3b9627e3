//! Whom a node wants as a peer (`TR-5`): a decision on who it is, and never on what it can do.

use std::collections::HashSet;
use std::fmt;
use std::net::SocketAddr;

use aire_proto::identity::{Did, DidError};

/// Who is about to be connected: its HELLO is good.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct Peer<'a> {
    /// Its DID.
    pub did: &'a str,
    /// Where it is. Whoever asks for a connection may be behind an address with many others.
    pub address: SocketAddr,
    /// Whether it proved to be that DID. It always did, but for peers that
    /// `danger_accept_unsigned_peers` lets in.
    pub authenticated: bool,
    /// Whether it also proved that its key is at the other end of this connection (`GAP-21`).
    pub channel_bound: bool,
}

/// A decision that a program makes.
pub(crate) type Policy = Box<dyn Fn(&Peer<'_>) -> bool + Send + Sync>;

/// A policy by two lists of DIDs: who is denied is refused, and where there is an allow list, so is
/// everybody who is not on it.
///
/// ```
/// # fn main() -> Result<(), aire_mio::AccessError> {
/// let mut list = aire_mio::AccessList::default();
/// list.deny("did:web:spam.example")?;
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug, Default)]
pub struct AccessList {
    allow: Option<HashSet<String>>,
    deny: HashSet<String>,
}

/// A list names something that is no DID, which would never match anybody.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AccessError {
    /// What it names.
    pub named: String,
    source: DidError,
}

impl fmt::Display for AccessError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?} is {}", self.named, self.source)
    }
}

impl std::error::Error for AccessError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        Some(&self.source)
    }
}

impl AccessList {
    /// Nobody is let in from now on but those that [`allow`](Self::allow) names.
    pub fn allow_none(&mut self) {
        self.allow.get_or_insert_default();
    }

    /// Lets `did` in, and from now on nobody who is not allowed.
    ///
    /// # Errors
    /// [`AccessError`]: nothing has changed.
    pub fn allow(&mut self, did: &str) -> Result<(), AccessError> {
        let did = checked(did)?;
        self.allow.get_or_insert_default().insert(did);
        Ok(())
    }

    /// Refuses `did`, whether it is allowed or not.
    ///
    /// # Errors
    /// [`AccessError`]: nothing has changed.
    pub fn deny(&mut self, did: &str) -> Result<(), AccessError> {
        self.deny.insert(checked(did)?);
        Ok(())
    }

    /// Whether it lets `peer` in. A peer that proved nothing is on no allow list.
    #[must_use]
    pub fn admits(&self, peer: &Peer<'_>) -> bool {
        let allowed = match &self.allow {
            Some(allow) => peer.authenticated && allow.contains(peer.did),
            None => true,
        };
        allowed && !self.deny.contains(peer.did)
    }
}

fn checked(did: &str) -> Result<String, AccessError> {
    match Did::parse(did) {
        Ok(did) => Ok(did.as_str().into()),
        Err(source) => Err(AccessError {
            named: did.into(),
            source,
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const A: &str = "did:web:a.example";
    const B: &str = "did:web:b.example";

    fn peer(did: &str) -> Peer<'_> {
        Peer {
            did,
            address: ([127, 0, 0, 1], 1).into(),
            authenticated: true,
            channel_bound: true,
        }
    }

    #[test]
    fn an_empty_list_lets_everybody_in() {
        assert!(AccessList::default().admits(&peer(A)));
    }

    #[test]
    fn who_is_denied_is_refused_even_if_allowed() {
        let mut list = AccessList::default();
        list.deny(A).expect("a DID");
        assert!(!list.admits(&peer(A)) && list.admits(&peer(B)));
        list.allow(A).expect("a DID");
        assert!(!list.admits(&peer(A)) && !list.admits(&peer(B)));
    }

    #[test]
    fn an_allow_list_lets_nobody_else_in_and_nobody_who_proved_nothing() {
        let mut list = AccessList::default();
        list.allow_none();
        assert!(!list.admits(&peer(A)));
        list.allow(A).expect("a DID");
        assert!(list.admits(&peer(A)) && !list.admits(&peer(B)));
        let claims = Peer {
            authenticated: false,
            ..peer(A)
        };
        assert!(!list.admits(&claims));
    }

    #[test]
    fn what_is_no_did_is_named_and_changes_nothing() {
        let mut list = AccessList::default();
        let error = list.allow("web:a.example").expect_err("no DID");
        let said = error.to_string();
        assert!(said.contains("\"web:a.example\" is not a DID"), "{said}");
        assert!(list.deny("").is_err());
        assert!(list.admits(&peer(A)));
    }
}
