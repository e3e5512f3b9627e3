//! DID documents: the keys (`SIG-2`), the names (`DISC-7`) and the places (`DISC-1`) in them. Only
//! what AIRE needs of one is read; what it does not know, it does not judge.

use std::fmt;

use aire_proto::address::Uri;
use aire_proto::address::service::{self, ServiceError};
use aire_proto::identity::{DidKey, PublicKey};
use serde::Deserialize;
use serde_json::value::RawValue;

use super::ResolveError;
use crate::Address;

/// The type of a verification method that AIRE can use (`SIG-2`).
pub(crate) const METHOD_TYPE: &str = "Ed25519VerificationKey2020";

/// The most verification methods, other names, services, and places of a service, that a document
/// may have: far more than anybody needs, and so few that no document takes much memory.
const MOST_ENTRIES: usize = 64;

/// A DID document, read and checked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Document {
    id: String,
    also_known_as: Vec<String>,
    methods: Vec<(String, Result<PublicKey, String>)>,
    endpoints: Result<Vec<Endpoint>, String>,
}

/// A place where an agent can be reached (`DISC-1`).
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Endpoint {
    /// Where.
    pub uri: Address,
    /// Which versions of the protocol are spoken there: a hint, since HELLO decides (`DISC-2`).
    pub accept: Vec<String>,
    /// Which agent there.
    pub agent: Option<String>,
}

impl From<Address> for Endpoint {
    fn from(uri: Address) -> Self {
        Self {
            uri,
            accept: Vec::new(),
            agent: None,
        }
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.uri.fmt(f)?;
        if let Some(agent) = &self.agent {
            write!(f, ", agent {agent:?}")?;
        }
        Ok(())
    }
}

/// A document as it stands in JSON. A field that is there twice is an error, so that no two readers
/// see different documents; fields that are not named here are skipped.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Written<'a> {
    id: String,
    #[serde(default)]
    also_known_as: Vec<String>,
    #[serde(borrow, default)]
    verification_method: Vec<&'a RawValue>,
    #[serde(borrow, default)]
    service: Vec<&'a RawValue>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct WrittenMethod {
    id: String,
    r#type: String,
    public_key_multibase: Option<String>,
}

/// The type of a service entry, which may be of any other kind.
#[derive(Deserialize)]
struct ServiceType<'a> {
    #[serde(borrow)]
    r#type: &'a RawValue,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct WrittenService {
    id: String,
    service_endpoint: Vec<WrittenEndpoint>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct WrittenEndpoint {
    uri: String,
    accept: Vec<String>,
    agent_id: Option<String>,
}

impl Document {
    /// Reads the document of `did`.
    ///
    /// # Errors
    /// [`ResolveError::Document`], [`ResolveError::OtherDocument`]. What is wrong with one of its
    /// entries is only found by who needs that entry.
    pub fn parse(json: &[u8], did: &str) -> Result<Self, ResolveError> {
        let bad = |reason: String| ResolveError::Document {
            did: did.into(),
            reason,
        };
        let written: Written<'_> =
            serde_json::from_slice(json).map_err(|error| bad(error.to_string()))?;
        if written.id != did {
            return Err(ResolveError::OtherDocument {
                did: did.into(),
                found: written.id,
            });
        }
        for (what, count) in [
            ("verificationMethod", written.verification_method.len()),
            ("alsoKnownAs", written.also_known_as.len()),
            ("service", written.service.len()),
        ] {
            if count > MOST_ENTRIES {
                return Err(bad(format!(
                    "{what} has {count} entries, and no more than {MOST_ENTRIES} are read"
                )));
            }
        }
        Ok(Self {
            id: written.id,
            also_known_as: written.also_known_as,
            methods: methods(&written.verification_method),
            endpoints: endpoints(&written.service),
        })
    }

    /// The document that a `did:key` stands for.
    pub(super) fn of_key(did: &str, key: PublicKey) -> Self {
        Self {
            id: did.into(),
            also_known_as: Vec::new(),
            methods: vec![(DidKey::new(&key).method().into(), Ok(key))],
            endpoints: Ok(Vec::new()),
        }
    }

    /// Whose it is.
    #[must_use]
    pub fn id(&self) -> &str {
        &self.id
    }

    /// What else its subject is known as (`DISC-7`).
    #[must_use]
    pub fn also_known_as(&self) -> &[String] {
        &self.also_known_as
    }

    /// The key of the verification method whose id is `method`, byte for byte (`SIG-2`).
    ///
    /// # Errors
    /// [`ResolveError::NoMethod`], [`ResolveError::Key`].
    pub fn key(&self, method: &str) -> Result<PublicKey, ResolveError> {
        let unusable = |reason: &str| ResolveError::Key {
            method: method.into(),
            reason: reason.into(),
        };
        let mut named = self.methods.iter().filter(|(id, _)| id == method);
        let (_, key) = named.next().ok_or_else(|| ResolveError::NoMethod {
            method: method.into(),
        })?;
        if named.next().is_some() {
            return Err(unusable("there are several of that id"));
        }
        key.as_ref().copied().map_err(|reason| unusable(reason))
    }

    /// All keys that can be used, with their verification methods' ids.
    pub fn keys(&self) -> impl Iterator<Item = (&str, PublicKey)> + '_ {
        self.methods
            .iter()
            .filter_map(|(id, key)| Some((id.as_str(), *key.as_ref().ok()?)))
    }

    /// Where it can be reached, in the order of preference (`DISC-2`).
    ///
    /// # Errors
    /// [`ResolveError::Service`] when any entry breaks a rule, [`ResolveError::NoEndpoint`] when
    /// there is none.
    pub fn endpoints(&self) -> Result<&[Endpoint], ResolveError> {
        match &self.endpoints {
            Ok(endpoints) if endpoints.is_empty() => Err(ResolveError::NoEndpoint {
                did: self.id.clone(),
            }),
            Ok(endpoints) => Ok(endpoints),
            Err(reason) => Err(ResolveError::Service {
                did: self.id.clone(),
                reason: reason.clone(),
            }),
        }
    }
}

/// The verification methods, each with its key or why it cannot be used. What is no verification
/// method at all is skipped.
fn methods(written: &[&RawValue]) -> Vec<(String, Result<PublicKey, String>)> {
    let read = written
        .iter()
        .filter_map(|raw| serde_json::from_str::<WrittenMethod>(raw.get()).ok());
    read.map(|method| {
        let key = if method.r#type == METHOD_TYPE {
            let key = method.public_key_multibase.as_deref();
            key.and_then(PublicKey::from_multibase)
                .ok_or_else(|| "its publicKeyMultibase is no Ed25519 key".to_owned())
        } else {
            Err(format!("it is a {:?}, not an {METHOD_TYPE}", method.r#type))
        };
        (method.id, key)
    })
    .collect()
}

/// The places of all AIRE services, in order; or the rule that one breaks.
fn endpoints(written: &[&RawValue]) -> Result<Vec<Endpoint>, String> {
    let mut found = Vec::new();
    for (index, raw) in written.iter().enumerate() {
        let kind = serde_json::from_str::<ServiceType<'_>>(raw.get());
        let is_ours = kind.is_ok_and(|kind| {
            serde_json::from_str::<String>(kind.r#type.get())
                .is_ok_and(|kind| service::is_ours(&kind))
        });
        if is_ours {
            let read = places(raw).map_err(|reason| format!("service[{index}]: {reason}"))?;
            found.extend(read);
        }
    }
    Ok(found)
}

/// The places of one service.
fn places(raw: &RawValue) -> Result<Vec<Endpoint>, String> {
    let entry: WrittenService =
        serde_json::from_str(raw.get()).map_err(|error| error.to_string())?;
    let count = entry.service_endpoint.len();
    service::check_entry(&entry.id, count).map_err(|error| error.to_string())?;
    if count > MOST_ENTRIES {
        return Err(format!(
            "its serviceEndpoint has {count} entries, and no more than {MOST_ENTRIES} are read"
        ));
    }
    let read = entry.service_endpoint.into_iter().map(|written| {
        let uri = written
            .check()
            .map_err(|error| format!("{:?}: {error}", written.uri))?;
        let uri = Address::try_from(uri).map_err(|error| error.to_string())?;
        Ok(Endpoint {
            uri,
            accept: written.accept,
            agent: written.agent_id,
        })
    });
    read.collect()
}

impl WrittenEndpoint {
    fn check(&self) -> Result<Uri<'_>, ServiceError> {
        let uri = service::check_uri(&self.uri)?;
        service::check_accept(self.accept.iter().map(String::as_str))?;
        if let Some(agent) = &self.agent_id {
            service::check_agent_id(agent, &uri)?;
        }
        Ok(uri)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DID: &str = "did:web:example.com";
    const KEY: &str = "z6MktwupdmLXVVqTzCw4i46r4uGyosGXRnR3XjN4Zq7oMMsw";

    fn parse(json: &str) -> Result<Document, ResolveError> {
        Document::parse(json.as_bytes(), DID)
    }

    fn with_service(endpoint: &str) -> Result<Vec<Endpoint>, ResolveError> {
        let json = format!(
            r##"{{"id":"{DID}","service":[{{"id":"#x","type":"LinkedDomains","serviceEndpoint":"https://x"}},
            {{"id":"#aire","type":"AIREv1","serviceEndpoint":{endpoint}}}]}}"##
        );
        parse(&json)?.endpoints().map(<[_]>::to_vec)
    }

    #[test]
    fn a_key_is_found_by_its_whole_id_and_exact_type() {
        let document = parse(&format!(
            r##"{{"@context":["x"],"id":"{DID}","verificationMethod":[
            {{"id":"{DID}#key-1","type":"Ed25519VerificationKey2020","controller":"{DID}","publicKeyMultibase":"{KEY}"}},
            {{"id":"{DID}#jwk","type":"JsonWebKey2020","publicKeyJwk":{{"kty":"OKP"}}}},
            {{"id":"{DID}#bad","type":"Ed25519VerificationKey2020","publicKeyMultibase":"zzz"}},
            {{"id":"{DID}#none","type":"Ed25519VerificationKey2020"}},
            {{"id":"#relative","type":"Ed25519VerificationKey2020","publicKeyMultibase":"{KEY}"}},
            {{"id":"{DID}#twice","type":"Ed25519VerificationKey2020","publicKeyMultibase":"{KEY}"}},
            {{"id":"{DID}#twice","type":"Ed25519VerificationKey2020","publicKeyMultibase":"{KEY}"}},
            "a string", 7, {{"type":"x"}}]}}"##
        ));
        let document = document.expect("it parses");
        let key = |fragment: &str| document.key(&format!("{DID}#{fragment}"));
        assert_eq!(key("key-1").ok(), PublicKey::from_multibase(KEY));
        for fragment in ["key-2", "KEY-1", "relative", ""] {
            let error = key(fragment).expect_err("there is none");
            assert!(matches!(error, ResolveError::NoMethod { .. }), "{error}");
        }
        for (fragment, word) in [
            ("jwk", "JsonWebKey2020"),
            ("bad", "no Ed25519 key"),
            ("none", "no Ed25519 key"),
            ("twice", "several"),
        ] {
            let error = key(fragment).expect_err("it cannot be used").to_string();
            assert!(error.contains(word), "{error}");
        }
        assert_eq!(document.keys().count(), 4);
    }

    #[test]
    fn a_document_of_another_did_or_no_document_is_refused() {
        let other = parse(r#"{"id":"did:web:example.org"}"#).expect_err("another's");
        assert!(
            matches!(other, ResolveError::OtherDocument { found, .. } if found == "did:web:example.org")
        );
        let deep = format!(
            r#"{{"id":"{DID}","x":{}1{}}}"#,
            "[".repeat(100_000),
            "]".repeat(100_000)
        );
        // Nobody needs what is in there, and it does no harm.
        let _either = parse(&deep);
        let deep = format!(
            r#"{{"id":"{DID}","alsoKnownAs":{}{}}}"#,
            "[".repeat(100_000),
            "]".repeat(100_000)
        );
        for bad in [
            "",
            "[]",
            "{}",
            r#"{"id":7}"#,
            "{\"id\":\"did:web:example.com\"} x",
            r#"{"id":"did:web:example.com","id":"did:web:example.com"}"#,
            r#"{"id":"did:web:example.com","verificationMethod":[],"verificationMethod":[]}"#,
            r#"{"id":"did:web:example.com","alsoKnownAs":"aire://a@b"}"#,
            r#"{"id":"did:web:example.com","alsoKnownAs":[1]}"#,
            r#"{"id":"did:web:example.com","verificationMethod":{}}"#,
            &deep,
        ] {
            assert!(
                matches!(parse(bad), Err(ResolveError::Document { .. })),
                "{bad}"
            );
        }
        let many = format!(
            r#"{{"id":"{DID}","alsoKnownAs":["a"{}]}}"#,
            r#","a""#.repeat(64)
        );
        assert!(matches!(parse(&many), Err(ResolveError::Document { .. })));
    }

    #[test]
    fn services_keep_their_order() {
        let found = with_service(
            r#"[{"uri":"aire://b.example:1","accept":["aire/v0.2"],"agentId":"x"},
                {"uri":"aire://a.example","accept":["aire/v0.4","aire/v0.2"],"extra":{}}]"#,
        );
        let found = found.expect("they are good");
        assert_eq!(found.len(), 2);
        assert_eq!(found[0].uri.host(), "b.example");
        assert_eq!(found[0].agent.as_deref(), Some("x"));
        assert_eq!(found[1].uri.port(), 4433);
        assert_eq!(found[1].accept, ["aire/v0.4", "aire/v0.2"]);
    }

    #[test]
    fn a_service_that_breaks_a_rule_is_refused_and_hurts_no_key() {
        for bad in [
            r#""aire://a.example""#,
            "[]",
            r#"{"uri":"aire://a.example","accept":["aire/v0.2"]}"#,
            r#"["aire://a.example"]"#,
            r#"[{"uri":"aire://a.example"}]"#,
            r#"[{"uri":"aire://a.example","accept":[]}]"#,
            r#"[{"uri":"aire://a.example","accept":"aire/v0.2"}]"#,
            r#"[{"uri":"aire://me@a.example","accept":["aire/v0.2"]}]"#,
            r#"[{"uri":"https://a.example","accept":["aire/v0.2"]}]"#,
            r#"[{"accept":["aire/v0.2"]}]"#,
            r#"[{"uri":"aire://a.example","uri":"aire://b.example","accept":["aire/v0.2"]}]"#,
        ] {
            let error = with_service(bad).expect_err(bad);
            assert!(
                matches!(error, ResolveError::Service { .. }),
                "{bad}: {error}"
            );
        }
    }

    #[test]
    fn a_service_of_another_type_is_none() {
        for kind in [r#""airev1""#, r#""AIREv1 ""#, r#"["AIREv1"]"#, "1"] {
            let json = format!(
                r##"{{"id":"{DID}","service":[{{"id":"#a","type":{kind},"serviceEndpoint":[{{"uri":"aire://a.example","accept":["aire/v0.2"]}}]}}]}}"##
            );
            let document = parse(&json).expect("it parses");
            let error = document.endpoints().expect_err(kind);
            assert!(matches!(error, ResolveError::NoEndpoint { .. }), "{kind}");
        }
    }
}
