//! Handles: what people call an agent, and where it is looked up (`DISC-3` to `DISC-5`, `DISC-7`).

use core::fmt;

use super::host::is_label;
use super::{DEFAULT_PORT, Host, HostError, MAX_NAME_LEN, Name, Uri};

/// The longest localpart that is read, in bytes. The specification sets no limit; none that is
/// longer fits into DNS.
pub const MAX_LOCALPART_LEN: usize = MAX_NAME_LEN;

/// The label under which handles are in DNS (`DISC-4`).
const TXT_LABEL: &str = "_aire";

/// Why a text is no handle.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum HandleError {
    /// It has no `@` between localpart and domain.
    NoAt,
    /// The localpart is empty, too long, or has a character that it may not have.
    Localpart,
    /// The domain is no DNS name.
    Domain(HostError),
}

impl HandleError {
    /// What is wrong, in words that go on from "because".
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::NoAt => "it is not like @name@example.com",
            Self::Localpart => {
                "the name before the @ of a handle has 1 to 253 letters, digits, underscores, \
                 hyphens and dots, all of ASCII"
            }
            Self::Domain(error) => error.as_str(),
        }
    }
}

impl fmt::Display for HandleError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl core::error::Error for HandleError {}

/// A handle: `localpart@domain` (`DISC-3`). Printed as people see it, `@localpart@domain`. The
/// localpart's case counts, the domain's does not.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Handle<'a> {
    localpart: &'a str,
    domain: Name<'a>,
}

impl<'a> Handle<'a> {
    /// Reads what a person typed: exactly one `@` in front is stripped (`DISC-3`).
    ///
    /// # Errors
    /// Which rule it breaks.
    pub fn parse(text: &'a str) -> Result<Self, HandleError> {
        let text = text.strip_prefix('@').unwrap_or(text);
        let (localpart, domain) = text.split_once('@').ok_or(HandleError::NoAt)?;
        check_localpart(localpart)?;
        let domain = Name::parse(domain).map_err(HandleError::Domain)?;
        Ok(Self { localpart, domain })
    }

    /// The handle that a URI's userinfo and host are (`URI-5`).
    pub(super) fn new(localpart: &'a str, host: Host<'a>) -> Result<Self, HandleError> {
        check_localpart(localpart)?;
        match host {
            Host::Name(domain) => Ok(Self { localpart, domain }),
            Host::V4(_) | Host::V6(_) => Err(HandleError::Domain(HostError::NotAName)),
        }
    }

    /// The person or agent within the domain.
    #[must_use]
    pub const fn localpart(&self) -> &'a str {
        self.localpart
    }

    /// The domain.
    #[must_use]
    pub const fn domain(&self) -> Name<'a> {
        self.domain
    }

    /// The name of its TXT record (`DISC-4`): absolute, and written without the dot at its end.
    /// `None` where DNS has no such name, since a label would be empty or the whole too long.
    /// HTTPS is then the only way.
    #[must_use]
    pub fn txt_name(&self) -> Option<TxtName<'a>> {
        let dots = 2;
        let len = [TXT_LABEL, self.localpart, self.domain.as_str()]
            .iter()
            .fold(dots, |sum: usize, part| sum.saturating_add(part.len()));
        let fits = len <= MAX_NAME_LEN && self.localpart.split('.').all(is_label);
        fits.then_some(TxtName(*self))
    }

    /// The URL that answers with its DID (`DISC-5`).
    #[must_use]
    pub const fn https_url(&self) -> HttpsUrl<'a> {
        HttpsUrl(*self)
    }

    /// What the DID document must hold in `alsoKnownAs` (`DISC-7`): `aire://localpart@domain`.
    #[must_use]
    pub const fn also_known_as(&self) -> Uri<'a> {
        Uri::of_host(Some(self.localpart), Host::Name(self.domain), DEFAULT_PORT)
    }

    /// Whether the entries of a DID document's `alsoKnownAs` confirm the handle (`DISC-7`). What is
    /// no `aire://` URI among them is somebody else's business.
    #[must_use]
    pub fn is_confirmed_by<'e>(&self, entries: impl IntoIterator<Item = &'e str>) -> bool {
        entries
            .into_iter()
            .any(|entry| Uri::parse(entry).is_ok_and(|uri| uri == self.also_known_as()))
    }
}

fn check_localpart(text: &str) -> Result<(), HandleError> {
    let characters = text
        .bytes()
        .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'.'));
    if characters && (1..=MAX_LOCALPART_LEN).contains(&text.len()) {
        Ok(())
    } else {
        Err(HandleError::Localpart)
    }
}

impl fmt::Display for Handle<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "@{}@{}", self.localpart, self.domain)
    }
}

/// Prints the name of a handle's TXT record: `_aire.localpart.domain` (`DISC-4`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct TxtName<'a>(Handle<'a>);

impl fmt::Display for TxtName<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{TXT_LABEL}.{}.{}", self.0.localpart, self.0.domain)
    }
}

/// Prints the URL that answers with a handle's DID:
/// `https://domain/.well-known/aire-did?name=localpart` (`DISC-5`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct HttpsUrl<'a>(Handle<'a>);

impl HttpsUrl<'_> {
    /// The path that the domain serves.
    pub const PATH: &'static str = "/.well-known/aire-did";
    /// The only parameter of the query. Its value needs no percent-encoding.
    pub const PARAMETER: &'static str = "name";
}

impl fmt::Display for HttpsUrl<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (path, parameter) = (HttpsUrl::PATH, HttpsUrl::PARAMETER);
        let Handle { localpart, domain } = self.0;
        write!(f, "https://{domain}{path}?{parameter}={localpart}")
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::arithmetic_side_effects)]
mod tests {
    use super::*;

    #[test]
    fn disc_3_exactly_one_leading_at_is_stripped() {
        let handle = Handle::parse("@Alice_1.b-c@Example.COM").unwrap();
        assert_eq!(handle.localpart(), "Alice_1.b-c");
        assert_eq!(handle.domain().as_str(), "Example.COM");
        assert_eq!(handle.to_string(), "@Alice_1.b-c@example.com");
        assert_eq!(Handle::parse("Alice_1.b-c@example.com"), Ok(handle));
        assert_eq!(
            Handle::parse("@@alice@example.com"),
            Err(HandleError::Localpart)
        );
    }

    #[test]
    fn disc_3_what_is_no_handle_is_refused_with_the_reason() {
        use HandleError::*;
        for (text, error) in [
            ("", NoAt),
            ("@", NoAt),
            ("alice", NoAt),
            ("@alice", NoAt),
            ("@@example.com", Localpart),
            ("a b@example.com", Localpart),
            ("a%41@example.com", Localpart),
            ("a&name=b@example.com", Localpart),
            ("é@example.com", Localpart),
            ("a/b@example.com", Localpart),
            ("a@", Domain(HostError::Missing)),
            ("a@b@c", Domain(HostError::BadLabel)),
            ("a@b:443", Domain(HostError::BadLabel)),
            ("a@b/c", Domain(HostError::BadLabel)),
            ("a@é", Domain(HostError::NotAscii)),
            ("a@127.0.0.1", Domain(HostError::AlmostIpv4)),
            ("a@[::1]", Domain(HostError::BadLabel)),
        ] {
            assert_eq!(Handle::parse(text), Err(error), "{text}");
        }
        let long = "a".repeat(MAX_LOCALPART_LEN);
        assert!(Handle::parse(&format!("{long}@b")).is_ok());
        assert_eq!(Handle::parse(&format!("{long}a@b")), Err(Localpart));
    }

    #[test]
    fn disc_4_the_txt_record_is_under_aire_of_localpart_and_domain() {
        let name = |text: &str| Some(Handle::parse(text).unwrap().txt_name()?.to_string());
        assert_eq!(
            name("alice.work@Example.com").as_deref(),
            Some("_aire.alice.work.example.com")
        );
        for impossible in [".@b", "a..b@c", ".a@b", "a.@b", "-a@b"] {
            assert_eq!(name(impossible), None, "{impossible}");
        }
        let label = "a".repeat(63);
        assert!(name(&format!("{label}@b")).is_some());
        assert_eq!(name(&format!("{label}a@b")), None);
        let most = MAX_NAME_LEN - "_aire.".len() - ".b".len();
        let long = [&*label, &label, &label, &label].join(".");
        assert_eq!(
            name(&format!("{}@b", &long[..most])).unwrap().len(),
            MAX_NAME_LEN
        );
        assert_eq!(name(&format!("{}@b", &long[..=most])), None);
    }

    #[test]
    fn disc_5_the_https_url_asks_the_domain_for_the_localpart() {
        let handle = Handle::parse("@Alice@Example.com").unwrap();
        assert_eq!(
            handle.https_url().to_string(),
            "https://example.com/.well-known/aire-did?name=Alice"
        );
    }

    #[test]
    fn disc_7_the_document_confirms_the_handle_by_its_uri() {
        let handle = Handle::parse("@alice@example.com").unwrap();
        assert_eq!(
            handle.also_known_as().to_string(),
            "aire://alice@example.com"
        );
        for good in ["aire://alice@example.com", "AIRE://alice@EXAMPLE.com:4433/"] {
            assert!(handle.is_confirmed_by(["acct:alice", good]), "{good}");
        }
        for bad in [
            "aire://example.com",
            "aire://bob@example.com",
            "aire://Alice@example.com",
            "aire://alice@example.org",
            "aire://alice@example.com:1",
            "aire://alice@example.com/agent",
            "https://alice@example.com",
            "alice@example.com",
        ] {
            assert!(!handle.is_confirmed_by([bad]), "{bad}");
        }
        assert!(!handle.is_confirmed_by([]));
    }
}
