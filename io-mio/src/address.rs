//! Where a node is, and what to ask of it: an `aire://` URI that owns its parts (`URI-1` to
//! `URI-5`).

use std::fmt;
use std::net::{SocketAddr, ToSocketAddrs};
use std::str::FromStr;

pub use aire_proto::address::DEFAULT_PORT;
use aire_proto::address::{Encoded, Host, Uri};

use crate::Error;

/// Where a node is, and what to ask of it: an `aire://` URI without userinfo. Equal as `URI-4` has
/// it, printed in the normal form.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Address {
    /// The URI without agent and operation, in the normal form.
    node: String,
    host: String,
    port: u16,
    agent: Option<String>,
    operation: Option<String>,
}

impl Address {
    /// The host in lower case, without the brackets of an IPv6 address: what the certificate must
    /// be for.
    #[must_use]
    pub fn host(&self) -> String {
        self.host.clone()
    }

    /// The UDP port.
    #[must_use]
    pub const fn port(&self) -> u16 {
        self.port
    }

    /// The agent that the URI names, percent-decoded.
    #[must_use]
    pub fn agent(&self) -> Option<&str> {
        self.agent.as_deref()
    }

    /// The operation that the URI names, percent-decoded.
    #[must_use]
    pub fn operation(&self) -> Option<&str> {
        self.operation.as_deref()
    }

    /// The node's own URI, in the normal form: without agent and operation.
    #[must_use]
    pub fn node(&self) -> &str {
        &self.node
    }

    /// The URI of an agent's operation at this node.
    pub(crate) fn uri_of(&self, agent: &str, operation: &str) -> String {
        let (node, agent, operation) = (&self.node, Encoded(agent), Encoded(operation));
        match operation.0.is_empty() {
            true => format!("{node}/{agent}"),
            false => format!("{node}/{agent}/{operation}"),
        }
    }

    /// The first socket address of the host. Blocks while the system resolver works.
    ///
    /// # Errors
    /// [`Error::Resolve`].
    pub fn resolve(&self) -> Result<SocketAddr, Error> {
        let host = self.host();
        (host.as_str(), self.port)
            .to_socket_addrs()
            .map_err(|source| Error::Resolve {
                host: host.clone(),
                source: Some(source),
            })?
            .next()
            .ok_or(Error::Resolve { host, source: None })
    }
}

/// Takes over what was parsed. A handle is refused: it must be resolved first (`URI-5`).
impl TryFrom<Uri<'_>> for Address {
    type Error = Error;

    fn try_from(uri: Uri<'_>) -> Result<Self, Error> {
        if uri.userinfo().is_some() {
            return Err(Error::Uri {
                uri: uri.to_string(),
                reason: "it names a person, so it is a handle to be resolved first",
            });
        }
        Ok(Self {
            node: uri.node().to_string(),
            host: match uri.host() {
                Host::V6(ip) => ip.to_string(),
                other => other.to_string(),
            },
            port: uri.port(),
            agent: uri.agent().map(|agent| agent.to_string()),
            operation: uri.operation().map(|operation| operation.to_string()),
        })
    }
}

impl FromStr for Address {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        let uri = Uri::parse(text).map_err(|error| Error::Uri {
            uri: text.into(),
            reason: error.as_str(),
        })?;
        uri.try_into()
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.node)?;
        let mut segments = self.agent.iter().chain(&self.operation);
        segments.try_for_each(|segment| write!(f, "/{}", Encoded(segment)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<Address, String> {
        text.parse().map_err(|error: Error| error.to_string())
    }

    #[test]
    fn host_port_agent_and_operation_are_told_apart() {
        let all = parse("aire://Example.COM:99/my%20agent/op%2Fx").expect("it is good");
        assert_eq!(all.host(), "example.com");
        assert_eq!(all.port(), 99);
        assert_eq!(all.agent(), Some("my agent"));
        assert_eq!(all.operation(), Some("op/x"));
        let least = parse("aire://[::1]").expect("it is good");
        assert_eq!((least.host().as_str(), least.port()), ("::1", 4433));
        assert_eq!(least.agent(), None);
        assert_eq!(
            least.resolve().expect("an address"),
            "[::1]:4433".parse().expect("one")
        );
    }

    #[test]
    fn the_normal_form_is_printed_and_compared() {
        for (text, normal) in [
            ("aire://127.0.0.1:5", "aire://127.0.0.1:5"),
            ("AIRE://[0::1]:4433/", "aire://[::1]"),
            (
                "aire://A.example/%61%20b/%2f/",
                "aire://a.example/a%20b/%2F",
            ),
        ] {
            let address = parse(text).expect("it is good");
            assert_eq!(address.to_string(), normal);
            assert_eq!(parse(normal), Ok(address));
        }
        assert_ne!(parse("aire://a/b"), parse("aire://a/B"));
        assert_ne!(parse("aire://a/b"), parse("aire://a"));
    }

    #[test]
    fn an_operation_at_the_node_has_a_uri_whatever_was_asked_of_it() {
        let address = parse("aire://A:99/other/op").expect("it is good");
        let uri = address.uri_of("my agent", "a/b");
        assert_eq!(uri, "aire://a:99/my%20agent/a%2Fb");
        let back = parse(&uri).expect("it is good");
        assert_eq!(back.agent(), Some("my agent"));
        assert_eq!(back.operation(), Some("a/b"));
        assert_eq!(address.uri_of("agent", ""), "aire://a:99/agent");
        assert_eq!(address.node(), "aire://a:99");
    }

    #[test]
    fn what_is_no_uri_of_a_node_is_refused_with_the_reason() {
        for (text, reason) in [
            ("http://a", "begin with aire"),
            ("nonsense", "begin with aire"),
            ("aire://", "no host"),
            ("aire://me@host", "handle"),
            ("aire://a/b/c/d", "more than"),
            ("aire://a/%ff", "percent-encoded"),
            ("aire://a/%+f", "percent-encoded"),
            ("aire://a?x", "query"),
        ] {
            let error = parse(text).expect_err(text);
            assert!(error.contains(reason), "{text}: {error}");
        }
    }
}
