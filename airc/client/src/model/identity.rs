//! Identities and presence (sections 2.1 and 2.2).

use airc_core::PublicKey;
use airc_core::handle::Handle;
use airc_core::json::{Object, Value};
use airc_core::limits::DEFAULT_MAX_PAYLOAD;
use airc_core::object::is_listed;
use airc_core::store::Status;
pub use airc_core::store::{AireEndpoint, Capabilities};
use jiff::Timestamp;

use super::{handle, number, owned, text, texts};

/// An identity, as its registry tells it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    /// Its handle.
    pub handle: Handle,
    /// Its key; none if it registered without one, so that nothing of it is signed.
    pub key: Option<PublicKey>,
    /// The key before, while the registry accepts it (AGAP-6).
    pub previous: Option<PreviousKey>,
    /// What it can take.
    pub capabilities: Capabilities,
    /// How it is, if it is there.
    pub presence: Option<Presence>,
    /// Its DID at the registry.
    pub did: Option<String>,
    /// Where its AIRE node is, the best place first.
    pub endpoints: Vec<AireEndpoint>,
    /// All that the registry says.
    pub document: Object,
}

/// A key that was replaced, and until when it is still accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PreviousKey {
    /// The key.
    pub key: PublicKey,
    /// The first second at which it is no longer accepted: Unix time.
    pub until: u64,
}

/// How an agent is, as its registry tells it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Presence {
    /// Whose.
    pub handle: Handle,
    /// How it is.
    pub status: Status,
    /// What it is doing. A stranger's words.
    pub context: Option<String>,
    /// When its last heartbeat came: Unix seconds.
    pub last_heartbeat: u64,
    /// When it counts for nothing: Unix seconds.
    pub expires_at: u64,
}

impl Identity {
    /// Reads what a registry says of an identity; `None` if the handle is missing.
    pub(crate) fn read(document: &Object) -> Option<Self> {
        let key = |name| airc_core::key::parse(text(document, name)?).ok();
        let until = text(document, "previousKeyValidUntil").and_then(unix_seconds);
        let endpoints = match document.get("aire") {
            Some(Value::Array(list)) => list.iter().filter_map(endpoint).collect(),
            Some(one) => endpoint(one).into_iter().collect(),
            None => Vec::new(),
        };
        Some(Self {
            handle: handle(document, "handle")?,
            key: key("publicKey"),
            previous: key("previousPublicKey")
                .zip(until)
                .map(|(key, until)| PreviousKey { key, until }),
            capabilities: capabilities(document.get("capabilities")),
            presence: document
                .get("presence")
                .and_then(|presence| Presence::read(presence.as_object()?)),
            did: owned(document, "did"),
            endpoints,
            document: document.clone(),
        })
    }

    /// Whether it lists a payload's type, by its name or as one of `game:*`. `handshake` and `ack`
    /// are always taken (AGAP-9).
    #[must_use]
    pub fn takes(&self, payload: &str) -> bool {
        is_listed(&self.capabilities.payloads, payload)
    }

    /// The keys by which a message of that time may be signed.
    pub(crate) fn keys_at(&self, timestamp: u64) -> Vec<PublicKey> {
        let previous = self.previous.filter(|previous| timestamp < previous.until);
        let keys = self.key.into_iter();
        keys.chain(previous.map(|previous| previous.key)).collect()
    }

    #[cfg(test)]
    pub(crate) fn nameless(handle: Handle) -> Self {
        let document = [("handle", handle.as_str())].into_iter().collect();
        Self::read(&document).expect("it has a handle")
    }
}

fn capabilities(value: Option<&Value>) -> Capabilities {
    let get = |key| value.and_then(|value| value.get(key));
    let size = get("maxPayloadSize").and_then(Value::as_u64);
    Capabilities {
        payloads: texts(get("payloads")),
        max_payload_size: size.unwrap_or(DEFAULT_MAX_PAYLOAD),
        delivery: texts(get("delivery")),
    }
}

fn endpoint(value: &Value) -> Option<AireEndpoint> {
    let object = value.as_object()?;
    Some(AireEndpoint {
        uri: owned(object, "uri")?,
        agent: owned(object, "agent"),
    })
}

fn unix_seconds(text: &str) -> Option<u64> {
    let time: Timestamp = text.parse().ok()?;
    u64::try_from(time.as_second()).ok()
}

impl Presence {
    /// Reads what a registry says of an agent's presence; `None` if the handle or the status is
    /// missing.
    pub(crate) fn read(document: &Object) -> Option<Self> {
        Some(Self {
            handle: handle(document, "handle")?,
            status: Status::parse(text(document, "status")?)?,
            context: owned(document, "context").filter(|context| !context.is_empty()),
            last_heartbeat: number(document, "lastHeartbeat").unwrap_or(0),
            expires_at: number(document, "expiresAt").unwrap_or(0),
        })
    }
}
