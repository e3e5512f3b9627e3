//! From a `did:web` to the URL of its document (`ID-3`).
//!
//! A peer's HELLO decides what is fetched, so nothing gets into the URL that could change which
//! file of which server is meant once a proxy or a server has decoded it.

use core::fmt;

use super::{HostError, Name, Percent};
use crate::identity::{Did, MAX_DID_LEN};

/// The TCP port of a document whose DID names none.
pub const HTTPS_PORT: u16 = 443;

/// Why a text is no `did:web`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum DidWebError {
    /// It is over 256 bytes long.
    TooLong,
    /// It does not have the syntax of a DID.
    NotADid,
    /// It is a DID of another method.
    OtherMethod,
    /// The host is no DNS name.
    Host(HostError),
    /// Behind the host stands something other than `%3A` and a port from 1 to 65535.
    Port,
    /// A segment of the path is empty, a dot segment, or hides a character that would change what
    /// the URL means.
    Segment,
}

impl fmt::Display for DidWebError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::TooLong => "it is over 256 bytes long",
            Self::NotADid => "it does not have the syntax of a DID",
            Self::OtherMethod => "it is a DID of another method than did:web",
            Self::Host(error) => error.as_str(),
            Self::Port => "its host is followed by something that is no port, as %3A8443 would be",
            Self::Segment => {
                "its path has an empty segment, a dot segment, or an encoded character that does \
                 not belong into a path"
            }
        })
    }
}

impl core::error::Error for DidWebError {}

/// A `did:web` whose document has a URL (`ID-3`). As the method has it, the host is a name and no
/// address.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct DidWeb<'a> {
    did: Did<'a>,
    host: Name<'a>,
    port: u16,
}

impl<'a> DidWeb<'a> {
    /// Reads a `did:web`.
    ///
    /// # Errors
    /// Which rule it breaks.
    pub fn parse(text: &'a str) -> Result<Self, DidWebError> {
        Self::of(Did::parse(text).map_err(|_| DidWebError::NotADid)?)
    }

    /// Takes a DID for a `did:web`.
    ///
    /// # Errors
    /// Which rule it breaks.
    pub fn of(did: Did<'a>) -> Result<Self, DidWebError> {
        if did.as_str().len() > MAX_DID_LEN {
            return Err(DidWebError::TooLong);
        }
        if did.method() != "web" {
            return Err(DidWebError::OtherMethod);
        }
        let mut parts = did.identifier().split(':');
        let server = parts.next().unwrap_or_default();
        if !parts.all(is_harmless) {
            return Err(DidWebError::Segment);
        }
        let (host, port) = match server.split_once('%') {
            Some((host, encoded)) => (host, parse_port(encoded)?),
            None => (server, HTTPS_PORT),
        };
        let host = Name::parse(host).map_err(DidWebError::Host)?;
        Ok(Self { did, host, port })
    }

    /// The DID as it was written. Two DIDs are the same when their text is.
    #[must_use]
    pub const fn did(&self) -> Did<'a> {
        self.did
    }

    /// The host that serves the document.
    #[must_use]
    pub const fn host(&self) -> Name<'a> {
        self.host
    }

    /// The TCP port that it is served at.
    #[must_use]
    pub const fn port(&self) -> u16 {
        self.port
    }

    /// The segments of the path, still percent-encoded. There may be none.
    pub fn segments(&self) -> impl Iterator<Item = &'a str> + Clone + use<'a> {
        self.did.identifier().split(':').skip(1)
    }

    /// The URL of its document.
    #[must_use]
    pub const fn document_url(&self) -> DocumentUrl<'a> {
        DocumentUrl(*self)
    }
}

/// Reads what follows the percent sign of `host%3Aport`.
fn parse_port(encoded: &str) -> Result<u16, DidWebError> {
    let digits = encoded
        .strip_prefix("3A")
        .or_else(|| encoded.strip_prefix("3a"))
        .ok_or(DidWebError::Port)?;
    // The parser of numbers takes a plus sign, which no DID has, and zeros in front.
    match digits.parse() {
        Ok(port) if !digits.starts_with('0') => Ok(port),
        _ => Err(DidWebError::Port),
    }
}

/// Whether a segment means one name in a path, however often somebody decodes it.
fn is_harmless(segment: &str) -> bool {
    let Ok(segment) = Percent::parse(segment) else {
        return false;
    };
    let harmful = |decoded: char| {
        decoded.is_control() || matches!(decoded, '/' | '\\' | '?' | '#' | '%' | ';')
    };
    !segment.is_empty() && segment != "." && segment != ".." && !segment.chars().any(harmful)
}

/// Prints the URL of a DID document: `https://host/.well-known/did.json`, or
/// `https://host/segment/.../did.json` (`ID-3`). Segments keep their percent-encoding.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct DocumentUrl<'a>(DidWeb<'a>);

impl DocumentUrl<'_> {
    /// The path of a document whose DID has none.
    pub const WELL_KNOWN: &'static str = "/.well-known/did.json";
}

impl fmt::Display for DocumentUrl<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "https://{}", self.0.host)?;
        if self.0.port != HTTPS_PORT {
            write!(f, ":{}", self.0.port)?;
        }
        let mut segments = self.0.segments().peekable();
        if segments.peek().is_none() {
            return f.write_str(DocumentUrl::WELL_KNOWN);
        }
        for segment in segments {
            write!(f, "/{segment}")?;
        }
        f.write_str("/did.json")
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::arithmetic_side_effects)]
mod tests {
    use super::*;

    #[test]
    fn id_3_a_did_web_is_the_url_of_its_document() {
        for (did, url) in [
            (
                "did:web:example.com",
                "https://example.com/.well-known/did.json",
            ),
            (
                "did:web:Example.COM",
                "https://example.com/.well-known/did.json",
            ),
            (
                "did:web:localhost%3A8443",
                "https://localhost:8443/.well-known/did.json",
            ),
            (
                "did:web:localhost%3a65535",
                "https://localhost:65535/.well-known/did.json",
            ),
            (
                "did:web:example.com%3A443",
                "https://example.com/.well-known/did.json",
            ),
            (
                "did:web:example.com:agents:Alice",
                "https://example.com/agents/Alice/did.json",
            ),
            ("did:web:localhost%3A1:a", "https://localhost:1/a/did.json"),
            (
                "did:web:example.com:a%20b:%C3%A9",
                "https://example.com/a%20b/%C3%A9/did.json",
            ),
            (
                "did:web:example.com:a%3Ab:...",
                "https://example.com/a%3Ab/.../did.json",
            ),
        ] {
            let parsed = DidWeb::parse(did).unwrap();
            assert_eq!(parsed.document_url().to_string(), url);
            assert_eq!(parsed.did().as_str(), did);
        }
        let did = DidWeb::parse("did:web:localhost%3A8443:a:b").unwrap();
        assert_eq!((did.host().as_str(), did.port()), ("localhost", 8443));
        assert!(did.segments().eq(["a", "b"]));
    }

    #[test]
    fn id_3_nothing_that_a_peer_says_leads_out_of_the_path_or_the_host() {
        use DidWebError::*;
        for (did, error) in [
            ("did:web:", NotADid),
            ("did:web:a/b", NotADid),
            ("did:web:a?x", NotADid),
            ("did:web:a#key", NotADid),
            ("did:web:user@a", NotADid),
            ("did:web:[::1]", NotADid),
            ("did:web:a:", NotADid),
            ("did:key:z6Mk", OtherMethod),
            ("did:web::a", Host(HostError::Missing)),
            ("did:web:%3A80", Host(HostError::Missing)),
            ("did:web:127.0.0.1", Host(HostError::AlmostIpv4)),
            ("did:web:127.1%3A8443", Host(HostError::AlmostIpv4)),
            ("did:web:2130706433", Host(HostError::AlmostIpv4)),
            ("did:web:a..b", Host(HostError::BadLabel)),
            ("did:web:a.", Host(HostError::BadLabel)),
            ("did:web:..", Host(HostError::BadLabel)),
            ("did:web:user%40a", Port),
            ("did:web:a%2Fb", Port),
            ("did:web:a%3F", Port),
            ("did:web:a%3A", Port),
            ("did:web:a%3A0", Port),
            ("did:web:a%3A0443", Port),
            ("did:web:a%3A65536", Port),
            ("did:web:a%3A80%40b", Port),
            ("did:web:a%3A80%3A81", Port),
            ("did:web:a%3Ax", Port),
            ("did:web:a%00", Port),
            ("did:web:ex%61mple.com", Port),
            ("did:web:a::b", Segment),
            ("did:web:a:.", Segment),
            ("did:web:a:..:b", Segment),
            ("did:web:a:%2e%2E:b", Segment),
            ("did:web:a:.%2e", Segment),
            ("did:web:a:%252e%252e", Segment),
            ("did:web:a:b%2Fc", Segment),
            ("did:web:a:b%5Cc", Segment),
            ("did:web:a:b%3Fc", Segment),
            ("did:web:a:b%23c", Segment),
            ("did:web:a:..%3Bx", Segment),
            ("did:web:a:b%0D%0AHost%3A", Segment),
            ("did:web:a:%00", Segment),
            ("did:web:a:%C2%85", Segment),
            ("did:web:a:%FF", Segment),
        ] {
            assert_eq!(DidWeb::parse(did), Err(error), "{did}");
        }
    }

    #[test]
    fn id_3_a_did_web_has_256_bytes_at_most() {
        let most = format!("did:web:a:{}", "b".repeat(MAX_DID_LEN - "did:web:a:".len()));
        assert!(DidWeb::parse(&most).is_ok());
        assert_eq!(
            DidWeb::parse(&format!("{most}b")),
            Err(DidWebError::TooLong)
        );
    }
}
