//! What a person may ask for: an `aire://` URI, a handle, or a DID.

use std::fmt;

use aire_proto::address::{Handle, SCHEME, Uri};
use aire_proto::identity::Did;

use super::ResolveError;
use crate::Address;

/// What is to be resolved.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Target {
    /// A URI says itself where the node is.
    Uri(Address),
    /// A handle, `@localpart@domain`.
    Handle(String),
    /// A DID.
    Did(String),
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Uri(address) => address.fmt(f),
            Self::Handle(text) | Self::Did(text) => f.write_str(text),
        }
    }
}

/// A target, and what is wanted there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Asked {
    pub(super) target: Target,
    pub(super) agent: Option<String>,
    pub(super) operation: Option<String>,
}

impl Asked {
    /// Reads what a person gave.
    pub(super) fn parse(text: &str) -> Result<Self, ResolveError> {
        let bad = |reason: String| ResolveError::Target {
            target: text.into(),
            reason,
        };
        let plain = |target| Self {
            target,
            agent: None,
            operation: None,
        };
        if text.starts_with("did:") {
            let did = Did::parse(text).map_err(|error| bad(error.to_string()))?;
            return Ok(plain(Target::Did(did.as_str().into())));
        }
        if is_uri(text) {
            let uri = Uri::parse(text).map_err(|error| bad(error.to_string()))?;
            let decoded = |it: aire_proto::address::Percent<'_>| it.to_string();
            let target = match uri.handle() {
                Some(handle) => Target::Handle(handle.to_string()),
                None => {
                    let address = Address::try_from(uri);
                    Target::Uri(address.map_err(|error| bad(error.to_string()))?)
                }
            };
            return Ok(Self {
                target,
                agent: uri.agent().map(decoded),
                operation: uri.operation().map(decoded),
            });
        }
        let handle = Handle::parse(text).map_err(|error| bad(error.to_string()))?;
        Ok(plain(Target::Handle(handle.to_string())))
    }
}

/// Whether a text means to be an `aire://` URI.
fn is_uri(text: &str) -> bool {
    let scheme = text.get(..SCHEME.len());
    scheme.is_some_and(|scheme| scheme.eq_ignore_ascii_case(SCHEME))
        && text
            .get(SCHEME.len()..)
            .is_some_and(|rest| rest.starts_with("://"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn uris_handles_and_dids_are_told_apart() {
        let target = |text| Asked::parse(text).map(|asked| asked.target);
        assert!(matches!(target("aire://a.example/x"), Ok(Target::Uri(_))));
        assert!(matches!(target("AIRE://a.example"), Ok(Target::Uri(_))));
        for text in ["@me@a.example", "me@a.example", "aire://me@a.example"] {
            assert_eq!(
                target(text),
                Ok(Target::Handle("@me@a.example".into())),
                "{text}"
            );
        }
        let did = "did:web:a.example";
        assert_eq!(target(did), Ok(Target::Did(did.into())));
        for bad in [
            "",
            "x",
            "@",
            "@@me@a.example",
            "did:",
            "https://a.example",
            "aire://",
            "me@",
        ] {
            let error = target(bad).expect_err(bad).to_string();
            assert!(error.contains("aire:// URI"), "{error}");
        }
    }

    #[test]
    fn a_handle_in_a_uri_keeps_what_is_wanted_there() {
        let asked = Asked::parse("aire://me@a.example/an%20agent/op").expect("a handle");
        assert_eq!(asked.agent.as_deref(), Some("an agent"));
        assert_eq!(asked.operation.as_deref(), Some("op"));
    }
}
