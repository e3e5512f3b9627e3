//! `aire://host[:port][/agent[/operation]]` (`URI-1` to `URI-3`).

use std::fmt;
use std::net::{SocketAddr, ToSocketAddrs};
use std::str::FromStr;

use url::{Host, Url};

use crate::Error;

/// The port of a URI that names none (`URI-2`).
pub const DEFAULT_PORT: u16 = 4433;

/// Where a node is, and what to ask of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Address {
    host: Host<String>,
    port: u16,
    agent: Option<String>,
    operation: Option<String>,
}

impl Address {
    /// The host, without the brackets of an IPv6 address: what the certificate must be for.
    #[must_use]
    pub fn host(&self) -> String {
        match &self.host {
            Host::Ipv6(ip) => ip.to_string(),
            other => other.to_string(),
        }
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

    /// The URI of an agent's operation at this node.
    pub(crate) fn uri_of(&self, agent: &str, operation: &str) -> String {
        let (agent, operation) = (encode_percent(agent), encode_percent(operation));
        match operation.is_empty() {
            true => format!("{self}/{agent}"),
            false => format!("{self}/{agent}/{operation}"),
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

impl FromStr for Address {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        let bad = |reason| Error::Uri {
            uri: text.into(),
            reason,
        };
        let url = Url::parse(text).map_err(|_| bad("it does not parse"))?;
        if url.scheme() != "aire" {
            return Err(bad("it does not begin with aire://"));
        }
        if !url.username().is_empty() || url.password().is_some() {
            return Err(bad(
                "it names a person, so it is a handle to be resolved first",
            ));
        }
        if url.query().is_some() || url.fragment().is_some() {
            return Err(bad("it has a query or a fragment"));
        }
        let host = match url.host() {
            // For an unknown scheme the parser leaves IPv4 addresses and case alone.
            Some(Host::Domain(name)) => {
                Host::parse(name).map_err(|_| bad("its host is no name and no address"))?
            }
            Some(other) => other.to_owned(),
            None => return Err(bad("it names no host")),
        };
        let mut segments = url
            .path()
            .split('/')
            .skip(1)
            .filter(|text| !text.is_empty());
        let mut next = || {
            let segment = segments.next().map(decode_percent);
            segment
                .transpose()
                .map_err(|()| bad("its path is not percent-encoded UTF-8"))
        };
        let (agent, operation, rest) = (next()?, next()?, next()?);
        if rest.is_some() {
            return Err(bad("its path has more than an agent and an operation"));
        }
        Ok(Self {
            host,
            port: url.port().unwrap_or(DEFAULT_PORT),
            agent,
            operation,
        })
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "aire://{}:{}", self.host, self.port)
    }
}

/// Everything but RFC 3986's unreserved characters in percent signs.
fn encode_percent(segment: &str) -> String {
    let mut encoded = String::with_capacity(segment.len());
    for byte in segment.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => {
                encoded.push(char::from(byte));
            }
            other => encoded.push_str(&format!("%{other:02X}")),
        }
    }
    encoded
}

fn decode_percent(segment: &str) -> Result<String, ()> {
    let mut bytes = Vec::with_capacity(segment.len());
    let mut rest = segment.as_bytes();
    while let Some((&byte, after)) = rest.split_first() {
        rest = after;
        if byte != b'%' {
            bytes.push(byte);
            continue;
        }
        let (hex, after) = after.split_at_checked(2).ok_or(())?;
        // A sign is no digit, although the parser takes one.
        let hex = std::str::from_utf8(hex).map_err(|_| ())?;
        if hex.starts_with('+') {
            return Err(());
        }
        bytes.push(u8::from_str_radix(hex, 16).map_err(|_| ())?);
        rest = after;
    }
    String::from_utf8(bytes).map_err(|_| ())
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
        assert_eq!(
            parse("aire://127.0.0.1:5").expect("good").to_string(),
            "aire://127.0.0.1:5"
        );
    }

    #[test]
    fn what_is_no_uri_of_a_node_is_refused_with_the_reason() {
        for (text, reason) in [
            ("http://a", "begin with aire"),
            ("nonsense", "does not parse"),
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
