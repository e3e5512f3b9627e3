//! `aire://[userinfo@]host[:port][/agent-id[/operation]]` (`URI-1` to `URI-5`).

use core::fmt;
use core::net::Ipv6Addr;

use super::{Handle, HandleError, Host, HostError, Percent, PercentError};

/// What a URI begins with, before `://`; in upper case just as well (`URI-1`).
pub const SCHEME: &str = "aire";

/// The UDP port of a URI that names none (`URI-2`).
pub const DEFAULT_PORT: u16 = 4433;

/// The longest URI that is read, in bytes. The specification sets no limit.
pub const MAX_URI_LEN: usize = 4096;

/// Why a text is no `aire://` URI.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum UriError {
    /// It is over [`MAX_URI_LEN`] bytes long.
    TooLong,
    /// It does not begin with `aire://`.
    Scheme,
    /// What stands before an `@`, or the host behind it, makes no handle.
    Handle(HandleError),
    /// The host is no name and no address.
    Host(HostError),
    /// The port is no number from 1 to 65535.
    Port,
    /// It has a query or a fragment.
    QueryOrFragment,
    /// The agent's id or the operation is not percent-encoded UTF-8.
    Path(PercentError),
    /// The agent's id or the operation is empty, and a slash follows.
    EmptySegment,
    /// More follows behind the operation.
    TooManySegments,
}

impl UriError {
    /// What is wrong, in words that go on from "because".
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::TooLong => "it is over 4096 bytes long",
            Self::Scheme => "it does not begin with aire://",
            Self::Handle(error) => error.as_str(),
            Self::Host(error) => error.as_str(),
            Self::Port => "its port is no number from 1 to 65535",
            Self::QueryOrFragment => "it has a query or a fragment",
            Self::Path(error) => error.as_str(),
            Self::EmptySegment => "its path has an empty agent or operation",
            Self::TooManySegments => "its path has more than an agent and an operation",
        }
    }
}

impl fmt::Display for UriError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl core::error::Error for UriError {}

/// An `aire://` URI (`URI-1`).
///
/// Compared and hashed by its parts after RFC 3986's normalisation (`URI-4`), printed in the normal
/// form: scheme and host in lower case, no default port, no dot segments, no slash at the end, and
/// agent and operation as [`Encoded`](super::Encoded) writes them. Nothing in an agent's id has a
/// meaning of its own to the scheme, so `%21` and `!` are the same there.
///
/// A URI with userinfo is a handle (`URI-5`), and equals only the same person's: it must be
/// [resolved](Self::handle), and never goes on the wire.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Uri<'a> {
    userinfo: Option<&'a str>,
    host: Host<'a>,
    port: u16,
    agent: Option<Percent<'a>>,
    operation: Option<Percent<'a>>,
}

impl<'a> Uri<'a> {
    /// Reads a URI. A slash at the end says nothing.
    ///
    /// # Errors
    /// Which rule it breaks.
    pub fn parse(text: &'a str) -> Result<Self, UriError> {
        if text.len() > MAX_URI_LEN {
            return Err(UriError::TooLong);
        }
        let (scheme, rest) = text.split_once("://").ok_or(UriError::Scheme)?;
        if !scheme.eq_ignore_ascii_case(SCHEME) {
            return Err(UriError::Scheme);
        }
        if rest.contains(['?', '#']) {
            return Err(UriError::QueryOrFragment);
        }
        let end = rest.find('/').unwrap_or(rest.len());
        let (authority, path) = rest.split_at_checked(end).unwrap_or((rest, ""));
        let (userinfo, node) = match authority.split_once('@') {
            Some((userinfo, node)) => (Some(userinfo), node),
            None => (None, authority),
        };
        let (host, port) = parse_node(node)?;
        let (agent, operation) = parse_path(path)?;
        let uri = Self {
            userinfo,
            host,
            port,
            agent,
            operation,
        };
        match userinfo {
            Some(localpart) => Handle::new(localpart, host)
                .map(|_| uri)
                .map_err(UriError::Handle),
            None => Ok(uri),
        }
    }

    /// A node's own URI, without an agent.
    ///
    /// # Errors
    /// [`UriError::Port`] for port 0.
    pub const fn new(host: Host<'a>, port: u16) -> Result<Self, UriError> {
        if port == 0 {
            return Err(UriError::Port);
        }
        Ok(Self::of_host(None, host, port))
    }

    pub(super) const fn of_host(userinfo: Option<&'a str>, host: Host<'a>, port: u16) -> Self {
        Self {
            userinfo,
            host,
            port,
            agent: None,
            operation: None,
        }
    }

    /// The same node, with nothing asked of it: without userinfo, agent and operation.
    #[must_use]
    pub const fn node(&self) -> Self {
        Self::of_host(None, self.host, self.port)
    }

    /// What stands before the `@`: the localpart of a handle (`URI-5`).
    #[must_use]
    pub const fn userinfo(&self) -> Option<&'a str> {
        self.userinfo
    }

    /// The handle that userinfo and host are (`URI-5`). A port does not change whose it is.
    #[must_use]
    pub fn handle(&self) -> Option<Handle<'a>> {
        Handle::new(self.userinfo?, self.host).ok()
    }

    /// The host.
    #[must_use]
    pub const fn host(&self) -> Host<'a> {
        self.host
    }

    /// The UDP port (`URI-2`).
    #[must_use]
    pub const fn port(&self) -> u16 {
        self.port
    }

    /// The agent's id, which is not empty (`URI-3`).
    #[must_use]
    pub const fn agent(&self) -> Option<Percent<'a>> {
        self.agent
    }

    /// The operation, which is not empty (`URI-3`).
    #[must_use]
    pub const fn operation(&self) -> Option<Percent<'a>> {
        self.operation
    }
}

impl fmt::Display for Uri<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{SCHEME}://")?;
        if let Some(userinfo) = self.userinfo {
            write!(f, "{userinfo}@")?;
        }
        write!(f, "{}", self.host)?;
        if self.port != DEFAULT_PORT {
            write!(f, ":{}", self.port)?;
        }
        for segment in [self.agent, self.operation].into_iter().flatten() {
            f.write_str("/")?;
            segment.write_normal(f)?;
        }
        Ok(())
    }
}

/// Reads `host[:port]`.
fn parse_node(text: &str) -> Result<(Host<'_>, u16), UriError> {
    if text.parse::<Ipv6Addr>().is_ok() {
        return Err(UriError::Host(HostError::BadIpv6));
    }
    // The colons of an IPv6 address are within its brackets.
    let from = match text.starts_with('[') {
        true => text.find(']').ok_or(UriError::Host(HostError::BadIpv6))?,
        false => 0,
    };
    let colon = text
        .char_indices()
        .skip_while(|(at, _)| *at < from)
        .find(|(_, letter)| *letter == ':');
    let (host, port) = match colon.and_then(|(at, _)| text.split_at_checked(at)) {
        Some((host, port)) => (host, port.strip_prefix(':').unwrap_or_default()),
        None => (text, ""),
    };
    let host = Host::parse(host).map_err(UriError::Host)?;
    Ok((host, parse_port(port)?))
}

/// Reads RFC 3986's `port`, which may be empty and have zeros in front.
fn parse_port(text: &str) -> Result<u16, UriError> {
    if text.is_empty() {
        return Ok(DEFAULT_PORT);
    }
    // The parser of numbers takes a plus sign.
    if !text.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(UriError::Port);
    }
    match text.parse() {
        Ok(0) | Err(_) => Err(UriError::Port),
        Ok(port) => Ok(port),
    }
}

type AgentAndOperation<'a> = (Option<Percent<'a>>, Option<Percent<'a>>);

/// Reads `[/agent-id[/operation]]` as it is without its dot segments (RFC 3986 §5.2.4), which may
/// be percent-encoded.
fn parse_path(text: &str) -> Result<AgentAndOperation<'_>, UriError> {
    let Some(text) = text.strip_prefix('/') else {
        return Ok((None, None));
    };
    let mut kept = [None; 2];
    let mut depth = 0_usize;
    for segment in text.split('/') {
        let segment = Percent::parse(segment).map_err(UriError::Path)?;
        if segment == ".." {
            depth = depth.saturating_sub(1);
        } else if segment != "." {
            if let Some(place) = kept.get_mut(depth) {
                *place = Some(segment);
            }
            depth = depth.saturating_add(1);
        }
    }
    if text.is_empty() || text.ends_with('/') {
        depth = depth.saturating_sub(1);
    }
    if depth > kept.len() {
        return Err(UriError::TooManySegments);
    }
    let [agent, operation] = kept;
    let (agent, operation) = match depth {
        0 => (None, None),
        1 => (agent, None),
        _ => (agent, operation),
    };
    let mut segments = [agent, operation].into_iter().flatten();
    if segments.any(|segment| segment.is_empty()) {
        return Err(UriError::EmptySegment);
    }
    Ok((agent, operation))
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::panic, clippy::arithmetic_side_effects)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    fn uri(text: &str) -> Uri<'_> {
        Uri::parse(text).unwrap_or_else(|error| panic!("{text}: {error}"))
    }

    #[test]
    fn uri_1_the_parts_of_a_uri_are_told_apart() {
        let all = uri("aire://Example.COM:99/my%20agent/op%2Fx");
        assert!(matches!(all.host(), Host::Name(name) if name.as_str() == "Example.COM"));
        assert_eq!(all.port(), 99);
        assert_eq!(all.agent().unwrap(), "my agent");
        assert_eq!(all.operation().unwrap(), "op/x");
        assert_eq!((all.userinfo(), all.handle()), (None, None));
        let least = uri("aire://[::1]");
        assert_eq!(least.host(), Host::V6([0, 0, 0, 0, 0, 0, 0, 1].into()));
        assert_eq!((least.agent(), least.operation()), (None, None));
        assert_eq!(uri("aire://[::1]:5/a").port(), 5);
        assert_eq!(
            uri("aire://192.0.2.1:5").host(),
            Host::V4([192, 0, 2, 1].into())
        );
        assert_eq!(uri("AiRe://a").to_string(), "aire://a");
    }

    #[test]
    fn uri_2_the_default_port_is_4433() {
        for text in ["aire://a", "aire://a:", "aire://a:4433", "aire://a:04433/"] {
            assert_eq!(uri(text).port(), 4433, "{text}");
            assert_eq!(uri(text).to_string(), "aire://a");
        }
        let node = Uri::new(Host::V4([127, 0, 0, 1].into()), 4433).unwrap();
        assert_eq!(node, uri("aire://127.0.0.1"));
        assert_eq!(Uri::new(node.host(), 0), Err(UriError::Port));
    }

    #[test]
    fn uri_4_normal_forms_are_printed_and_compared() {
        for (text, normal) in [
            ("aire://A.example/Agent/Op", "aire://a.example/Agent/Op"),
            ("aire://a/%61%2d%7E", "aire://a/a-~"),
            ("aire://a/%c3%a9", "aire://a/%C3%A9"),
            ("aire://a/x%21:y", "aire://a/x!:y"),
            ("aire://a/x%2fy", "aire://a/x%2Fy"),
            ("aire://a/b/", "aire://a/b"),
            ("aire://a/b/c/", "aire://a/b/c"),
            ("aire://a/./b/../c", "aire://a/c"),
            ("aire://a/../b/.", "aire://a/b"),
            ("aire://a/b/c/d/../%2E%2e", "aire://a/b"),
            ("aire://a/b/%2e/c", "aire://a/b/c"),
            ("aire://a/..", "aire://a"),
            ("aire://a/b//../c", "aire://a/b/c"),
            ("aire://[0:0:0:0:0:0:0:1]:4433", "aire://[::1]"),
            ("aire://alice@EXAMPLE.com:1", "aire://alice@example.com:1"),
        ] {
            assert_eq!(uri(text).to_string(), normal);
            assert_eq!(uri(text), uri(normal), "{text}");
            assert_eq!(HashSet::from([uri(text), uri(normal)]).len(), 1);
        }
    }

    #[test]
    fn uri_4_what_differs_in_a_part_is_not_equal() {
        let texts = [
            "aire://a.example",
            "aire://b.example",
            "aire://192.0.2.1",
            "aire://[::ffff:192.0.2.1]",
            "aire://a.example:1",
            "aire://a.example/a",
            "aire://a.example/A",
            "aire://a.example/a/b",
            "aire://a.example/a/B",
            "aire://a.example/a%2Fb",
            "aire://a.example/ab",
            "aire://a.example/e%CC%81",
            "aire://a.example/%C3%A9",
            "aire://me@a.example",
            "aire://Me@a.example",
        ];
        let set: HashSet<_> = texts.iter().map(|text| uri(text)).collect();
        assert_eq!(set.len(), texts.len());
    }

    #[test]
    fn uri_5_userinfo_and_host_are_a_handle() {
        let handle = Handle::parse("@alice@example.com").unwrap();
        let person = uri("aire://alice@example.com/agent");
        assert_eq!(person.node(), uri("aire://example.com"));
        assert_eq!(person.userinfo(), Some("alice"));
        assert_eq!(person.handle(), Some(handle));
        for (text, error) in [
            ("aire://@a", HandleError::Localpart),
            ("aire://a:b@c", HandleError::Localpart),
            ("aire://a%41@c", HandleError::Localpart),
            (
                "aire://a@127.0.0.1",
                HandleError::Domain(HostError::NotAName),
            ),
            ("aire://a@[::1]", HandleError::Domain(HostError::NotAName)),
        ] {
            assert_eq!(Uri::parse(text), Err(UriError::Handle(error)), "{text}");
        }
    }

    #[test]
    fn uri_1_what_is_no_uri_is_refused_with_the_reason() {
        use UriError::*;
        for (text, error) in [
            ("", Scheme),
            ("nonsense", Scheme),
            ("aire:", Scheme),
            ("aire:a", Scheme),
            (" aire://a", Scheme),
            ("aires://a", Scheme),
            ("http://a", Scheme),
            ("aire://", Host(HostError::Missing)),
            ("aire:///a", Host(HostError::Missing)),
            ("aire://:4433", Host(HostError::Missing)),
            ("aire://a b", Host(HostError::BadLabel)),
            ("aire://a\\@b", Handle(HandleError::Localpart)),
            ("aire://a@b@c", Host(HostError::BadLabel)),
            ("aire://127.1", Host(HostError::AlmostIpv4)),
            ("aire://é", Host(HostError::NotAscii)),
            ("aire://[::1", Host(HostError::BadIpv6)),
            ("aire://[::1]5", Host(HostError::BadIpv6)),
            ("aire://[::1]é:5", Host(HostError::BadIpv6)),
            ("aire://::1", Host(HostError::BadIpv6)),
            ("aire://2001:db8::1/a", Host(HostError::BadIpv6)),
            ("aire://a:0", Port),
            ("aire://a:65536", Port),
            ("aire://a:+5", Port),
            ("aire://a:5:5", Port),
            ("aire://a:x", Port),
            ("aire://a?x", QueryOrFragment),
            ("aire://a/b?x", QueryOrFragment),
            ("aire://a/b#x", QueryOrFragment),
            ("aire://a/b c", Path(PercentError::BadCharacter)),
            ("aire://a/b\n", Path(PercentError::BadCharacter)),
            ("aire://a/%ff", Path(PercentError::NotUtf8)),
            ("aire://a/b/c/%+f", Path(PercentError::BadTriplet)),
            ("aire://a//", EmptySegment),
            ("aire://a//b", EmptySegment),
            ("aire://a/b//", EmptySegment),
            ("aire://a/b//.", EmptySegment),
            ("aire://a/b/c/d", TooManySegments),
            ("aire://a/b/c//", TooManySegments),
        ] {
            assert_eq!(Uri::parse(text), Err(error), "{text}");
        }
        let long = format!("aire://a/{}", "b".repeat(MAX_URI_LEN - 9));
        assert!(Uri::parse(&long).is_ok());
        assert_eq!(Uri::parse(&format!("{long}b")), Err(TooLong));
    }
}
