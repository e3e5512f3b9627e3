//! `GET /api/identity/{handle}` and `GET /api/health`.

use alloc::format;

use super::presence::MAX_COUNTED;
use crate::base64;
use crate::handle::Handle;
use crate::json::{Value, object};
use crate::key;
use crate::object::VERSION;
use crate::registry::Response;
use crate::registry::work::{Outcome, Work};
use crate::store::Status;

impl Work<'_> {
    /// An identity, with no `success` around it.
    pub(super) fn api_identity(&mut self, handle: &Handle) -> Outcome<Response> {
        let identity = self.identity(handle)?;
        let presence = self.store.presence(handle)?;
        let status = presence.map_or(Status::Offline, |record| record.status_at(self.now));
        let presence = match status {
            Status::Online | Status::Busy => "active",
            Status::Idle => "away",
            Status::Offline => "absent",
        };
        let spki = identity.key.map(|key| key::to_spki_base64(&key));
        let raw = identity
            .key
            .map(|key| format!("ed25519:{}", base64::encode(&key.0)));
        let answer = object([
            ("handle", handle.as_str().into()),
            ("kind", "agent".into()),
            ("operator", Value::Null),
            ("runtime", Value::Null),
            ("public_key", raw.into()),
            ("publicKey", spki.into()),
            ("since", identity.created.iso_millis().into()),
            ("presence", presence.into()),
        ]);
        Ok(Response::json(200, &answer).with("cache-control", "public, max-age=30"))
    }

    /// That somebody answers, and how many are online: as many as are counted.
    pub(super) fn api_health(&mut self) -> Outcome<Response> {
        let present = self.store.present(self.now, None, MAX_COUNTED)?;
        let online = present
            .iter()
            .filter(|record| record.status_at(self.now) != Status::Offline);
        let answer = object([
            ("success", true.into()),
            ("status", "ok".into()),
            ("protocol_version", VERSION.into()),
            ("agents_online", online.count().into()),
        ]);
        Ok(Response::json(200, &answer))
    }
}
