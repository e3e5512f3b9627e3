//! What is kept, as answers show it.

use alloc::vec::Vec;

use super::Settings;
use crate::bridge;
use crate::json::{Object, Value, object};
use crate::key;
use crate::store::{IdentityRecord, PresenceRecord, Status};
use crate::time::Time;

/// From this age on, a heartbeat no longer means `online`: seconds (section 2.2).
const IDLE_FROM: u64 = 60;

/// Beyond this age, a heartbeat means `offline`: seconds (section 2.2).
const OFFLINE_BEYOND: u64 = 300;

impl PresenceRecord {
    /// What the agent is at `now`: what it said, or what its heartbeat's age says (section 2.2);
    /// offline once it has expired.
    #[must_use]
    pub fn status_at(&self, now: Time) -> Status {
        if self.expires <= now {
            return Status::Offline;
        }
        let age = now.0.saturating_sub(self.heartbeat.0);
        let derived = if age < IDLE_FROM.saturating_mul(1000) {
            Status::Online
        } else if age <= OFFLINE_BEYOND.saturating_mul(1000) {
            Status::Idle
        } else {
            Status::Offline
        };
        self.status.unwrap_or(derived)
    }
}

/// The presence object of section 2.2.
pub(crate) fn presence(record: &PresenceRecord, now: Time) -> Object {
    let mut presence = Object::new();
    presence.insert("handle", record.handle.as_str());
    presence.insert("status", record.status_at(now).as_str());
    presence.insert_some("context", record.context.as_deref());
    presence.insert("lastHeartbeat", record.heartbeat.seconds());
    presence.insert("expiresAt", record.expires.seconds());
    presence
}

/// The identity object of section 2.1, with the bridge's DID and the AIRE endpoints.
pub(crate) fn identity(settings: &Settings, record: &IdentityRecord, now: Time) -> Object {
    let mut identity = Object::new();
    identity.insert("handle", record.handle.as_str());
    identity.insert("domain", settings.domain.as_str());
    identity.insert("publicKey", record.key.map(|key| key::to_spki_base64(&key)));
    if let Some(previous) = record.previous.filter(|previous| now < previous.until) {
        identity.insert("previousPublicKey", key::to_spki_base64(&previous.key));
        identity.insert("previousKeyValidUntil", previous.until.iso());
    }
    let capabilities = &record.capabilities;
    identity.insert(
        "capabilities",
        object([
            ("payloads", capabilities.payloads.clone().into()),
            ("maxPayloadSize", capabilities.max_payload_size.into()),
            ("delivery", capabilities.delivery.clone().into()),
        ]),
    );
    identity.insert("createdAt", record.created.iso());
    if record.key.is_some() {
        identity.insert_some("did", bridge::did(&settings.domain, &record.handle));
    }
    if !record.endpoints.is_empty() {
        let endpoints = record.endpoints.iter().map(|endpoint| {
            let mut shown = Object::new();
            shown.insert("uri", endpoint.uri.as_str());
            shown.insert_some("agent", endpoint.agent.as_deref());
            Value::from(shown)
        });
        identity.insert("aire", endpoints.collect::<Vec<_>>());
    }
    identity
}
