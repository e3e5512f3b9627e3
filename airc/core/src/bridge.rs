//! The bridge to AIRE: every handle with a key is a `did:web` too, so that `@handle@domain` leads to
//! an agent that registered here.
//!
//! Whoever looks for `@handle@domain` asks the domain for the DID (`DISC-5`), the DID for its
//! document (`ID-3`), and believes the document when it names the handle (`DISC-7`). The document
//! says where the agent's node is (`DISC-1`), and the key that it proves itself with is its AIRC
//! key.

use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

use aire_proto::address::{DidWeb, HttpsBody, service};
use aire_proto::identity::{Did, DidKey};

use crate::PublicKey;
use crate::handle::Handle;
use crate::json::{Object, Value, object};
use crate::store::{AireEndpoint, IdentityRecord};
use crate::time::Time;

/// The type of the keys in a document.
const METHOD_TYPE: &str = "Ed25519VerificationKey2020";

/// The versions that a node is said to speak. They only help to choose: HELLO decides (`DISC-2`).
const ACCEPT: [&str; 2] = ["aire/v0.4", "aire/v0.2"];

/// The DID of a handle at `domain`, a host with `:port` unless that is 443:
/// `did:web:<domain>:agents:<handle>`. `None` when there is no `did:web` of that domain, as with
/// one that is an address.
#[must_use]
pub fn did(domain: &str, handle: &Handle) -> Option<String> {
    let did = format!("did:web:{}:agents:{handle}", domain.replacen(':', "%3A", 1));
    DidWeb::parse(&did).is_ok().then_some(did)
}

/// The body that answers who `handle` is (`DISC-5`): its DID and a line feed. `None` without a DID
/// or without a key.
#[must_use]
pub fn answer(domain: &str, identity: &IdentityRecord) -> Option<String> {
    identity.key?;
    let did = did(domain, &identity.handle)?;
    Did::parse(&did)
        .ok()
        .map(|did| format!("{}", HttpsBody(did)))
}

/// The DID document of an identity at `now`: its key, the one before while that is accepted
/// (AGAP-6), and where its node is. `None` without a DID or without a key.
#[must_use]
pub fn document(domain: &str, identity: &IdentityRecord, now: Time) -> Option<Value> {
    let did = did(domain, &identity.handle)?;
    let previous = identity.previous.filter(|previous| now < previous.until);
    let keys = [
        Some(("key-1", identity.key?)),
        previous.map(|previous| ("key-0", previous.key)),
    ];
    let methods: Vec<(String, PublicKey)> = keys
        .into_iter()
        .flatten()
        .map(|(fragment, key)| (format!("{did}#{fragment}"), key))
        .collect();
    let ids: Vec<&str> = methods.iter().map(|(id, _)| id.as_str()).collect();
    // A handle has no port: it is looked up at 443.
    let host = domain.split_once(':').map_or(domain, |(host, _)| host);
    let also_known_as = format!("aire://{}@{host}", identity.handle);
    let mut document: Object = [
        (
            "@context",
            Value::from(Vec::from([
                "https://www.w3.org/ns/did/v1",
                "https://w3id.org/security/suites/ed25519-2020/v1",
            ])),
        ),
        ("id", did.as_str().into()),
        ("alsoKnownAs", Vec::from([also_known_as]).into()),
        (
            "verificationMethod",
            methods
                .iter()
                .map(|(id, key)| method(&did, id, key))
                .collect::<Vec<_>>()
                .into(),
        ),
        ("authentication", ids.clone().into()),
        ("assertionMethod", ids.into()),
    ]
    .into_iter()
    .collect();
    if !identity.endpoints.is_empty() {
        document.insert("service", Vec::from([entry(&did, &identity.endpoints)]));
    }
    Some(document.into())
}

fn method(did: &str, id: &str, key: &PublicKey) -> Value {
    let key = DidKey::new(key);
    // What stands behind `did:key:` is the key in multibase.
    let multibase = key.did().strip_prefix("did:key:").unwrap_or_default();
    object([
        ("id", id.into()),
        ("type", METHOD_TYPE.into()),
        ("controller", did.into()),
        ("publicKeyMultibase", multibase.into()),
    ])
}

/// The service entry (`DISC-1`), the best place first (`DISC-2`).
fn entry(did: &str, endpoints: &[AireEndpoint]) -> Value {
    let places = endpoints.iter().map(|endpoint| {
        let mut place = Object::new();
        place.insert("uri", endpoint.uri.as_str());
        place.insert("accept", Vec::from(ACCEPT));
        place.insert_some("agentId", endpoint.agent.as_deref());
        Value::from(place)
    });
    object([
        ("id", format!("{did}#aire-endpoint").into()),
        ("type", service::TYPE.into()),
        ("serviceEndpoint", places.collect::<Vec<_>>().into()),
    ])
}

#[cfg(test)]
mod tests {
    use aire_proto::address;

    use super::*;
    use crate::store::{Capabilities, PreviousKey};
    use alloc::string::ToString;
    use alloc::vec;

    fn identity() -> IdentityRecord {
        IdentityRecord {
            handle: Handle::parse("seth_1").unwrap(),
            key: Some(PublicKey([1; 32])),
            previous: Some(PreviousKey {
                key: PublicKey([2; 32]),
                until: Time::from_seconds(100),
            }),
            capabilities: Capabilities {
                payloads: vec![],
                max_payload_size: 65_536,
                delivery: vec!["poll".into()],
            },
            endpoints: vec![AireEndpoint {
                uri: "aire://node.example.com:4433".into(),
                agent: Some("summarizer".into()),
            }],
            created: Time(0),
        }
    }

    #[test]
    fn disc_5_a_handle_is_answered_with_its_did_and_one_line_feed() {
        let body = answer("example.com:8443", &identity()).unwrap();
        assert_eq!(body, "did:web:example.com%3A8443:agents:seth_1\n");
        let read = HttpsBody::parse(body.as_bytes()).unwrap();
        let web = DidWeb::of(read.0).unwrap();
        assert_eq!(
            web.document_url().to_string(),
            "https://example.com:8443/agents/seth_1/did.json"
        );
    }

    #[test]
    fn disc_7_the_document_names_the_handle_at_the_host() {
        for domain in ["example.com", "example.com:8443"] {
            let document = document(domain, &identity(), Time(0)).unwrap();
            let names = document.get("alsoKnownAs").unwrap().as_array().unwrap();
            let handle = address::Handle::parse("@seth_1@example.com").unwrap();
            assert!(handle.is_confirmed_by(names.iter().filter_map(Value::as_str)));
        }
    }

    #[test]
    fn disc_1_the_service_entry_is_one_that_a_resolver_takes() {
        let document = document("example.com", &identity(), Time(0)).unwrap();
        let entry = &document.get("service").unwrap().as_array().unwrap()[0];
        assert!(service::is_ours(
            entry.get("type").unwrap().as_str().unwrap()
        ));
        let places = entry.get("serviceEndpoint").unwrap().as_array().unwrap();
        service::check_entry(entry.get("id").unwrap().as_str().unwrap(), places.len()).unwrap();
        let uri = service::check_uri(places[0].get("uri").unwrap().as_str().unwrap()).unwrap();
        let agent = places[0].get("agentId").unwrap().as_str().unwrap();
        service::check_agent_id(agent, &uri).unwrap();
        let accept = places[0].get("accept").unwrap().as_array().unwrap();
        assert_eq!(
            service::check_accept(accept.iter().filter_map(Value::as_str)),
            Ok(true)
        );
        let nowhere = IdentityRecord {
            endpoints: vec![],
            ..identity()
        };
        let document = super::document("example.com", &nowhere, Time(0)).unwrap();
        assert_eq!(document.get("service"), None);
    }

    #[test]
    fn the_key_before_is_a_second_method_until_its_grace_period_is_over() {
        for (now, count) in [(0, 2), (99, 2), (100, 1)] {
            let now = Time::from_seconds(now);
            let document = document("example.com", &identity(), now).unwrap();
            let methods = document.get("verificationMethod").unwrap();
            let methods = methods.as_array().unwrap();
            assert_eq!(methods.len(), count);
            let text = |at: usize, key: &str| {
                let value = methods[at].get(key).unwrap();
                value.as_str().unwrap().to_string()
            };
            assert_eq!(text(0, "id"), "did:web:example.com:agents:seth_1#key-1");
            for (at, byte) in (0..count).zip([1, 2]) {
                let key = PublicKey::from_multibase(&text(at, "publicKeyMultibase"));
                assert_eq!(key, Some(PublicKey([byte; 32])));
            }
            for list in ["authentication", "assertionMethod"] {
                assert_eq!(document.get(list).unwrap().as_array().unwrap().len(), count);
            }
        }
    }

    #[test]
    fn without_a_name_or_a_key_there_is_no_did() {
        let keyless = IdentityRecord {
            key: None,
            ..identity()
        };
        assert_eq!(answer("example.com", &keyless), None);
        assert_eq!(document("example.com", &keyless, Time(0)), None);
        for domain in ["192.0.2.1", "[::1]:80", "", "a b", "example.com:x"] {
            assert_eq!(answer(domain, &identity()), None, "{domain}");
        }
    }
}
