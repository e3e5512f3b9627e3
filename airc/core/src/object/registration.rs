//! Registrations and updates of an identity (sections 2.1 and 4.1, AGAP-14).

use alloc::borrow::ToOwned;
use alloc::string::String;
use alloc::vec::Vec;

use aire_proto::address::service;

use super::fields::{Fields, object, refuse};
use super::payload::check_listed;
use super::signable;
use crate::error::Refusal;
use crate::handle::Handle;
use crate::json::{Object, Value};
use crate::store::{AireEndpoint, Capabilities};
use crate::{PublicKey, key, limits};

/// The one way of delivery that version 0.1 has.
const POLL: &str = "poll";

/// A registration, or an update of what is registered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Registration {
    /// The handle.
    pub handle: Handle,
    /// Its key.
    pub key: PublicKey,
    /// The payload types that it can receive, each of them once.
    pub payloads: Vec<String>,
    /// The largest payload that it takes, in bytes of canonical JSON; the registry's default if
    /// none.
    pub max_payload_size: Option<u64>,
    /// Where its AIRE node is (our extension), the best place first.
    pub endpoints: Vec<AireEndpoint>,
    /// When the sender says that it was sent: Unix seconds.
    pub timestamp: Option<u64>,
    /// Random text of 1 to 128 characters.
    pub nonce: Option<String>,
    object: Object,
}

signable!(Registration);

/// What a registration is made of.
#[derive(Clone, Copy, Debug)]
pub struct RegistrationDraft<'a> {
    /// The handle.
    pub handle: &'a Handle,
    /// Its key.
    pub key: &'a PublicKey,
    /// The payload types that it can receive: `game:chess`, or `game:*`.
    pub payloads: &'a [String],
    /// The largest payload that it takes, in bytes of canonical JSON.
    pub max_payload_size: Option<u64>,
    /// Where its AIRE node is, the best place first.
    pub endpoints: &'a [AireEndpoint],
    /// Unix seconds.
    pub timestamp: u64,
    /// Random text of 1 to 128 characters; new for each registration.
    pub nonce: &'a str,
}

impl Registration {
    /// Reads a registration.
    ///
    /// # Errors
    /// `invalid_request` names the field.
    pub fn read(value: Value) -> Result<Self, Refusal> {
        let object = object(value)?;
        let fields = Fields(&object);
        let expected = "an object is expected";
        let capabilities = fields.optional("capabilities", expected, Value::as_object)?;
        let capabilities =
            Fields(capabilities.ok_or_else(|| refuse("capabilities", "missing", expected))?);
        check_delivery(capabilities)?;
        let nonce = fields.optional_text("nonce", limits::nonce)?;
        Ok(Self {
            handle: fields.handle("handle")?,
            key: fields.key("publicKey")?,
            payloads: payloads(capabilities)?,
            max_payload_size: capabilities.optional(
                "capabilities.maxPayloadSize",
                "a whole number of bytes is expected",
                Value::as_u64,
            )?,
            endpoints: endpoints(fields)?,
            timestamp: fields.optional_timestamp()?,
            nonce: nonce.map(ToOwned::to_owned),
            object,
        })
    }

    /// A registration to send: it wants to be signed.
    ///
    /// # Errors
    /// As [`read`](Self::read).
    pub fn new(draft: RegistrationDraft<'_>) -> Result<Self, Refusal> {
        let mut capabilities = Object::new();
        capabilities.insert("payloads", draft.payloads.to_vec());
        capabilities.insert("delivery", Value::from(alloc::vec![POLL]));
        capabilities.insert_some("maxPayloadSize", draft.max_payload_size);
        let endpoints: Vec<Value> = draft.endpoints.iter().map(endpoint_value).collect();
        let mut object = Object::new();
        object.insert("handle", draft.handle.as_str());
        object.insert("publicKey", key::to_spki_base64(draft.key));
        object.insert("capabilities", capabilities);
        object.insert_some("aire", (!endpoints.is_empty()).then_some(endpoints));
        object.insert("timestamp", draft.timestamp);
        object.insert("nonce", draft.nonce);
        Self::read(object.into())
    }

    /// What the identity can take, `max_payload` bytes if it did not say how much.
    #[must_use]
    pub fn capabilities(&self, max_payload: u64) -> Capabilities {
        Capabilities {
            payloads: self.payloads.clone(),
            max_payload_size: self.max_payload_size.unwrap_or(max_payload),
            delivery: alloc::vec![POLL.into()],
        }
    }
}

/// Version 0.1 polls; what else is listed is for later versions, and ignored.
fn check_delivery(capabilities: Fields<'_>) -> Result<(), Refusal> {
    let name = "capabilities.delivery";
    let expected = "`[\"poll\"]` is expected";
    let listed = capabilities.optional(name, expected, Value::as_array)?;
    match listed {
        None => Ok(()),
        Some(listed) if listed.iter().any(|way| way.as_str() == Some(POLL)) => Ok(()),
        Some(_) => Err(refuse(name, "unusable", expected)),
    }
}

fn payloads(capabilities: Fields<'_>) -> Result<Vec<String>, Refusal> {
    let name = "capabilities.payloads";
    let expected = "an array of payload types is expected";
    let listed = capabilities.optional(name, expected, Value::as_array)?;
    let listed = listed.unwrap_or_default();
    if listed.len() > limits::MAX_PAYLOAD_TYPES {
        let expected = alloc::format!("{} types at most", limits::MAX_PAYLOAD_TYPES);
        return Err(refuse(name, "too long", expected));
    }
    let mut payloads: Vec<String> = Vec::new();
    for value in listed {
        let text = value.as_str().ok_or(expected).and_then(check_listed);
        let text = text.map_err(|expected| refuse(name, "unusable", expected))?;
        if !payloads.iter().any(|known| known == text) {
            payloads.push(text.to_owned());
        }
    }
    Ok(payloads)
}

fn endpoints(fields: Fields<'_>) -> Result<Vec<AireEndpoint>, Refusal> {
    let values = match fields.get("aire") {
        None => return Ok(Vec::new()),
        Some(Value::Array(values)) => &values[..],
        Some(value) => core::slice::from_ref(value),
    };
    if values.len() > limits::MAX_ENDPOINTS {
        let expected = alloc::format!("{} endpoints at most", limits::MAX_ENDPOINTS);
        return Err(refuse("aire", "too long", expected));
    }
    values.iter().map(endpoint).collect()
}

fn endpoint(value: &Value) -> Result<AireEndpoint, Refusal> {
    let expected = "an object with a `uri` is expected";
    let fields = value.as_object().map(Fields);
    let fields = fields.ok_or_else(|| refuse("aire", value.kind(), expected))?;
    let text = fields.text("aire.uri", limits::uri)?;
    let uri = service::check_uri(text).map_err(|error| refuse("aire.uri", "unusable", error))?;
    let agent = fields.optional_text("aire.agent", |agent| {
        service::check_agent_id(agent, &uri).map(|()| agent.to_owned())
    })?;
    Ok(AireEndpoint {
        uri: text.to_owned(),
        agent,
    })
}

/// An endpoint as the wire has it.
fn endpoint_value(endpoint: &AireEndpoint) -> Value {
    let mut object = Object::new();
    object.insert("uri", endpoint.uri.as_str());
    object.insert_some("agent", endpoint.agent.as_deref());
    object.into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::json::parse;
    use aire_proto::identity::{Ed25519Signer, Ed25519Verifier};
    use alloc::string::ToString;

    const GOOD: &str = r#"{"handle":"seth","capabilities":{"payloads":["game:tictactoe"],
        "delivery":["poll"]},"aire":{"uri":"aire://example.com:4433","agent":"seth"},
        "publicKey":"MCowBQYDK2VwAyEAET21PtQaGkQXHEsYV4stGuvNRwsVSQDawWBruB8LGDk="}"#;

    fn read(text: &str) -> Result<Registration, Refusal> {
        Registration::read(parse(text.as_bytes()).unwrap())
    }

    #[test]
    fn a_registration_is_read_and_need_not_be_signed() {
        let registration = read(GOOD).unwrap();
        assert_eq!(registration.payloads, ["game:tictactoe"]);
        assert_eq!(registration.endpoints[0].uri, "aire://example.com:4433");
        assert_eq!(registration.endpoints[0].agent.as_deref(), Some("seth"));
        assert!(registration.timestamp.is_none() && registration.nonce.is_none());
        let capabilities = registration.capabilities(7);
        assert_eq!(capabilities.max_payload_size, 7);
        assert_eq!(capabilities.delivery, ["poll"]);
    }

    #[test]
    fn a_registration_that_is_made_is_read_as_the_same() {
        let signer = Ed25519Signer::from_seed([1; 32]);
        let endpoint = |uri: &str, agent| AireEndpoint {
            uri: uri.into(),
            agent,
        };
        let endpoints = [
            endpoint("aire://a.example", None),
            endpoint("aire://b.example:5", Some("x".into())),
        ];
        let mut made = Registration::new(RegistrationDraft {
            handle: &Handle::parse("seth").unwrap(),
            key: &signer.public_key(),
            payloads: &["context:*".into(), "handoff".into()],
            max_payload_size: Some(1000),
            endpoints: &endpoints,
            timestamp: 1735776000,
            nonce: "1",
        })
        .unwrap();
        made.sign(&signer);
        let read = read(&made.clone().into_value().to_string()).unwrap();
        assert_eq!(read, made);
        assert_eq!(read.endpoints, endpoints);
        assert_eq!(read.verify(&[read.key], &Ed25519Verifier), Ok(0));
    }

    #[test]
    fn what_is_listed_twice_is_there_once_and_other_ways_of_delivery_are_ignored() {
        let text = GOOD.replacen(
            r#"["game:tictactoe"]"#,
            r#"["ack","game:*","ack"],"maxPayloadSize":1e3"#,
            1,
        );
        let registration = read(&text.replacen(r#"["poll"]"#, r#"["webhook","poll"]"#, 1)).unwrap();
        assert_eq!(registration.payloads, ["ack", "game:*"]);
        assert_eq!(registration.max_payload_size, Some(1000));
        assert_eq!(registration.capabilities(7).delivery, ["poll"]);
    }

    #[test]
    fn the_field_that_is_wrong_is_named() {
        let many_types = alloc::format!("[{}\"a\"]", "\"a\",".repeat(64));
        let many_endpoints = alloc::format!("[{}1]", "1,".repeat(4));
        let long_uri = alloc::format!("aire://{}", "a".repeat(506));
        let endpoint = r#"{"uri":"aire://example.com:4433","agent":"seth"}"#;
        for (from, to, start) in [
            ("seth", "Seth", "`handle` is unusable"),
            ("publicKey", "key", "`publicKey` is missing"),
            ("MCow", "MCox", "`publicKey` is unusable"),
            ("capabilities", "can", "`capabilities` is missing"),
            (
                r#"["poll"]"#,
                r#"["webhook"]"#,
                "`capabilities.delivery` is unusable",
            ),
            (
                r#"["poll"]"#,
                r#""poll""#,
                "`capabilities.delivery` is a string",
            ),
            ("game:tictactoe", "*", "`capabilities.payloads` is unusable"),
            (
                r#"["game:tictactoe"]"#,
                "{}",
                "`capabilities.payloads` is an object",
            ),
            (
                r#"["game:tictactoe"]"#,
                &many_types,
                "`capabilities.payloads` is too long",
            ),
            (
                "delivery",
                "maxPayloadSize",
                "`capabilities.maxPayloadSize` is an array",
            ),
            (endpoint, "7", "`aire` is a number"),
            (endpoint, &many_endpoints, "`aire` is too long"),
            ("uri", "url", "`aire.uri` is missing"),
            ("aire://", "http://", "`aire.uri` is unusable"),
            (
                "aire://example.com:4433",
                &long_uri,
                "`aire.uri` is unusable",
            ),
            ("aire://", "aire://x@", "`aire.uri` is unusable"),
            ("4433", "4433/other", "`aire.agent` is unusable"),
            (r#"agent":"seth"#, r#"agent":""#, "`aire.agent` is unusable"),
            ("{", r#"{"timestamp":"1","#, "`timestamp` is a string"),
            ("{", r#"{"nonce":"","#, "`nonce` is unusable"),
        ] {
            let text = GOOD.replacen(from, to, 1);
            assert_ne!(text, GOOD, "{from}");
            let refusal = read(&text).expect_err(to);
            assert!(refusal.message.starts_with(start), "{start}: {refusal}");
        }
    }
}
