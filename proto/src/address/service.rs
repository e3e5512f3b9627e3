//! The rules of a DID document's service entries (`DISC-1`), on what a reader of JSON found:
//! `{id, type: "AIREv1", serviceEndpoint: [{uri, accept: ["aire/v0.2", ...], agentId?}]}`.
//!
//! Entries of another [type](TYPE) are not AIRE's, and nothing is said about them.

use core::fmt;

use super::{Uri, UriError};

/// The type of our entries, exactly (`DISC-1`).
pub const TYPE: &str = "AIREv1";

/// The longest `agentId` that is read, in bytes. The specification sets no limit.
pub const MAX_AGENT_ID_LEN: usize = 1024;

/// What an entry's `accept` begins with, before major and minor version.
const PROTOCOL: &str = "aire/v";

/// Why an entry is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum ServiceError {
    /// The `id` is empty.
    Id,
    /// The `serviceEndpoint` is a string or an object; it must be an array.
    NotAnArray,
    /// The `serviceEndpoint` has no element.
    NoEndpoint,
    /// The `accept` of an endpoint has no element.
    NoAccept,
    /// The `uri` of an endpoint does not parse.
    Uri(UriError),
    /// The `uri` of an endpoint has userinfo: a handle, which leads back to where one came from.
    Userinfo,
    /// The `agentId` of an endpoint is empty or over [`MAX_AGENT_ID_LEN`] bytes long.
    AgentId,
    /// The `uri` and the `agentId` of an endpoint name two agents.
    TwoAgents,
}

impl fmt::Display for ServiceError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Id => "a service entry has an empty id",
            Self::NotAnArray => "serviceEndpoint must be an array of endpoints",
            Self::NoEndpoint => "serviceEndpoint has no endpoint",
            Self::NoAccept => "an endpoint accepts nothing: its accept is empty",
            Self::Uri(error) => return write!(f, "an endpoint's uri is refused: {error}"),
            Self::Userinfo => "an endpoint's uri has userinfo, which no service entry may have",
            Self::AgentId => "an endpoint's agentId must have 1 to 1024 bytes",
            Self::TwoAgents => "an endpoint's uri names another agent than its agentId",
        })
    }
}

impl core::error::Error for ServiceError {}

/// Whether an entry is AIRE's (`DISC-1`): the case counts.
#[must_use]
pub fn is_ours(kind: &str) -> bool {
    kind == TYPE
}

/// Checks an entry's `id` and how many endpoints its array has (`DISC-1`).
///
/// # Errors
/// [`ServiceError::Id`] or [`ServiceError::NoEndpoint`].
pub const fn check_entry(id: &str, endpoints: usize) -> Result<(), ServiceError> {
    if id.is_empty() {
        return Err(ServiceError::Id);
    }
    if endpoints == 0 {
        return Err(ServiceError::NoEndpoint);
    }
    Ok(())
}

/// Checks the `uri` of an endpoint (`DISC-1`, `URI-5`).
///
/// # Errors
/// [`ServiceError::Uri`] or [`ServiceError::Userinfo`].
pub fn check_uri(text: &str) -> Result<Uri<'_>, ServiceError> {
    let uri = Uri::parse(text).map_err(ServiceError::Uri)?;
    match uri.userinfo() {
        Some(_) => Err(ServiceError::Userinfo),
        None => Ok(uri),
    }
}

/// Checks the `accept` of an endpoint, and says whether a version that we speak is in it
/// (`DISC-1`). It may hold what we do not know, and only helps to choose: HELLO decides (`DISC-2`).
///
/// # Errors
/// [`ServiceError::NoAccept`].
pub fn check_accept<'e>(accept: impl IntoIterator<Item = &'e str>) -> Result<bool, ServiceError> {
    let mut accept = accept.into_iter().map(Version::parse).peekable();
    if accept.peek().is_none() {
        return Err(ServiceError::NoAccept);
    }
    // Whatever its minor, the handshake settles on the lower one.
    Ok(accept.flatten().any(|version| version.major == 0))
}

/// Checks the `agentId` of an endpoint beside its `uri`. It is the plain text of an agent's id,
/// with no percent-encoding.
///
/// # Errors
/// [`ServiceError::AgentId`] or [`ServiceError::TwoAgents`].
pub fn check_agent_id(agent_id: &str, uri: &Uri<'_>) -> Result<(), ServiceError> {
    if !(1..=MAX_AGENT_ID_LEN).contains(&agent_id.len()) {
        return Err(ServiceError::AgentId);
    }
    match uri.agent() {
        Some(agent) if agent != agent_id => Err(ServiceError::TwoAgents),
        _ => Ok(()),
    }
}

/// A version of AIRE as `accept` has it (`DISC-1`). Printed as `aire/v0.4`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Version {
    /// The major version.
    pub major: u32,
    /// The minor version.
    pub minor: u32,
}

impl Version {
    /// Reads `aire/v` and two decimal numbers around a dot. `None` for anything else.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let (major, minor) = text.strip_prefix(PROTOCOL)?.split_once('.')?;
        Some(Self {
            major: number(major)?,
            minor: number(minor)?,
        })
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{PROTOCOL}{}.{}", self.major, self.minor)
    }
}

fn number(text: &str) -> Option<u32> {
    let canonical = text == "0" || !text.starts_with('0');
    let digits = canonical && text.bytes().all(|byte| byte.is_ascii_digit());
    digits.then(|| text.parse().ok())?
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::arithmetic_side_effects)]
mod tests {
    use super::*;

    #[test]
    fn disc_1_the_type_is_exact() {
        assert!(is_ours("AIREv1"));
        for other in ["AIREv2", "airev1", "AIREv1 ", "", "LinkedDomains"] {
            assert!(!is_ours(other), "{other}");
        }
    }

    #[test]
    fn disc_1_an_entry_has_an_id_and_an_endpoint() {
        assert_eq!(check_entry("#aire", 1), Ok(()));
        assert_eq!(check_entry("", 1), Err(ServiceError::Id));
        assert_eq!(check_entry("#aire", 0), Err(ServiceError::NoEndpoint));
    }

    #[test]
    fn disc_1_the_uri_of_an_endpoint_has_no_userinfo() {
        let uri = check_uri("aire://agents.example.com:4433/summarizer").unwrap();
        assert_eq!(uri.agent().unwrap(), "summarizer");
        assert_eq!(
            check_uri("aire://alice@example.com"),
            Err(ServiceError::Userinfo)
        );
        assert_eq!(
            check_uri("https://example.com"),
            Err(ServiceError::Uri(UriError::Scheme))
        );
    }

    #[test]
    fn disc_1_accept_is_not_empty_and_may_hold_what_is_unknown() {
        assert_eq!(check_accept([]), Err(ServiceError::NoAccept));
        assert_eq!(check_accept(["aire/v0.2"]), Ok(true));
        assert_eq!(check_accept(["x", "aire/v1.0", "aire/v0.9"]), Ok(true));
        assert_eq!(check_accept(["aire/v1.0", "other/v0.2"]), Ok(false));
    }

    #[test]
    fn disc_1_a_version_goes_both_ways() {
        let version = Version::parse("aire/v0.12").unwrap();
        assert_eq!((version.major, version.minor), (0, 12));
        assert_eq!(version.to_string(), "aire/v0.12");
        for bad in [
            "",
            "aire/v",
            "aire/v0",
            "aire/v0.",
            "aire/v.2",
            "aire/v0.2.1",
            "aire/v00.2",
            "aire/v0.02",
            "aire/v+0.2",
            "AIRE/v0.2",
            "aire/v0.2 ",
            "aire/v0.4294967296",
        ] {
            assert_eq!(Version::parse(bad), None, "{bad}");
        }
    }

    #[test]
    fn disc_1_uri_and_agent_id_name_one_agent() {
        let (node, agent) = ("aire://a.example", "aire://a.example/my%20agent");
        let check = |uri, id: &str| check_agent_id(id, &check_uri(uri).unwrap());
        assert_eq!(check(node, "my agent"), Ok(()));
        assert_eq!(check(agent, "my agent"), Ok(()));
        assert_eq!(check(agent, "my%20agent"), Err(ServiceError::TwoAgents));
        assert_eq!(check(node, ""), Err(ServiceError::AgentId));
        let long = "a".repeat(MAX_AGENT_ID_LEN);
        assert_eq!(check(node, &long), Ok(()));
        assert_eq!(check(node, &format!("{long}a")), Err(ServiceError::AgentId));
    }
}
