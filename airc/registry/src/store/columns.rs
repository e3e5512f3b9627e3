//! Values on their way into a statement, rows on their way out of one: the same for every database.

use airc_core::PublicKey;
use airc_core::handle::Handle;
use airc_core::store::{
    AireEndpoint, Capabilities, ConsentRecord, ConsentState, IdentityRecord, InviteRecord,
    MessageRecord, PresenceRecord, PreviousKey, SecretHash, SessionRecord, Status, StoreError,
    Stored,
};
use airc_core::time::Time;
use serde::{Deserialize, Serialize};

use super::unreadable;

/// A value for a statement.
#[derive(Clone, Copy, Debug)]
pub(super) enum Value<'a> {
    Null,
    Int(i64),
    Bool(bool),
    /// Text of a grammar that has no NUL.
    Text(&'a str),
    /// Text that people write: any characters.
    Free(&'a str),
    Bytes(&'a [u8]),
}

impl<'a> Value<'a> {
    /// Beyond 2^63 there is only "later than everything".
    pub(super) fn unsigned(value: u64) -> Self {
        Self::Int(i64::try_from(value).unwrap_or(i64::MAX))
    }

    pub(super) fn time(time: Time) -> Self {
        Self::unsigned(time.0)
    }

    pub(super) fn handle(handle: &'a Handle) -> Self {
        Self::Text(handle.as_str())
    }

    pub(super) fn limit(limit: usize) -> Self {
        Self::Int(i64::try_from(limit).unwrap_or(i64::MAX))
    }

    pub(super) fn option<T>(value: Option<T>, some: impl FnOnce(T) -> Self) -> Self {
        value.map_or(Self::Null, some)
    }
}

/// A row of a result. Columns count from 0.
pub(super) trait Row {
    fn int(&self, column: usize) -> Stored<Option<i64>>;
    fn bool(&self, column: usize) -> Stored<bool>;
    fn text(&self, column: usize) -> Stored<Option<String>>;
    fn free(&self, column: usize) -> Stored<Option<String>>;
    fn bytes(&self, column: usize) -> Stored<Option<Vec<u8>>>;
}

pub(super) fn unsigned(row: &dyn Row, column: usize) -> Stored<u64> {
    let value = row.int(column)?.and_then(|value| u64::try_from(value).ok());
    value.ok_or_else(|| unreadable("a number"))
}

fn time(row: &dyn Row, column: usize) -> Stored<Time> {
    unsigned(row, column).map(Time)
}

fn text(row: &dyn Row, column: usize) -> Stored<String> {
    row.text(column)?.ok_or_else(|| unreadable("a text"))
}

fn handle(row: &dyn Row, column: usize) -> Stored<Handle> {
    Handle::parse(&text(row, column)?).map_err(|_| unreadable("a handle"))
}

/// 32 bytes: a key, or a hash.
fn bytes32(row: &dyn Row, column: usize) -> Stored<Option<[u8; 32]>> {
    let Some(bytes) = row.bytes(column)? else {
        return Ok(None);
    };
    let bytes = bytes
        .try_into()
        .map_err(|_| unreadable("a key or a hash"))?;
    Ok(Some(bytes))
}

fn hash(row: &dyn Row, column: usize) -> Stored<SecretHash> {
    bytes32(row, column)?.ok_or_else(|| unreadable("a hash"))
}

#[derive(Serialize, Deserialize)]
struct CapabilitiesText {
    payloads: Vec<String>,
    max_payload_size: u64,
    delivery: Vec<String>,
}

#[derive(Serialize, Deserialize)]
struct EndpointText {
    uri: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    agent: Option<String>,
}

fn to_json(value: &impl Serialize) -> Stored<String> {
    serde_json::to_string(value).map_err(|error| StoreError {
        message: format!("an identity cannot be written down: {error}"),
        transient: false,
    })
}

pub(super) fn capabilities_to_text(capabilities: &Capabilities) -> Stored<String> {
    to_json(&CapabilitiesText {
        payloads: capabilities.payloads.clone(),
        max_payload_size: capabilities.max_payload_size,
        delivery: capabilities.delivery.clone(),
    })
}

pub(super) fn endpoints_to_text(endpoints: &[AireEndpoint]) -> Stored<String> {
    let endpoints: Vec<_> = endpoints
        .iter()
        .map(|endpoint| EndpointText {
            uri: endpoint.uri.clone(),
            agent: endpoint.agent.clone(),
        })
        .collect();
    to_json(&endpoints)
}

fn capabilities(text: &str) -> Stored<Capabilities> {
    let read: CapabilitiesText =
        serde_json::from_str(text).map_err(|_| unreadable("the capabilities of an identity"))?;
    Ok(Capabilities {
        payloads: read.payloads,
        max_payload_size: read.max_payload_size,
        delivery: read.delivery,
    })
}

fn endpoints(text: &str) -> Stored<Vec<AireEndpoint>> {
    let read: Vec<EndpointText> =
        serde_json::from_str(text).map_err(|_| unreadable("the endpoints of an identity"))?;
    let endpoint = |EndpointText { uri, agent }| AireEndpoint { uri, agent };
    Ok(read.into_iter().map(endpoint).collect())
}

pub(super) const fn status_to_text(status: Status) -> &'static str {
    match status {
        Status::Online => "online",
        Status::Idle => "idle",
        Status::Busy => "busy",
        Status::Offline => "offline",
    }
}

fn status(text: &str) -> Stored<Status> {
    match text {
        "online" => Ok(Status::Online),
        "idle" => Ok(Status::Idle),
        "busy" => Ok(Status::Busy),
        "offline" => Ok(Status::Offline),
        _ => Err(unreadable("a status")),
    }
}

pub(super) const fn state_to_text(state: ConsentState) -> &'static str {
    match state {
        ConsentState::None => "none",
        ConsentState::Pending => "pending",
        ConsentState::Accepted => "accepted",
        ConsentState::Blocked => "blocked",
    }
}

fn state(text: &str) -> Stored<ConsentState> {
    match text {
        "none" => Ok(ConsentState::None),
        "pending" => Ok(ConsentState::Pending),
        "accepted" => Ok(ConsentState::Accepted),
        "blocked" => Ok(ConsentState::Blocked),
        _ => Err(unreadable("a consent")),
    }
}

/// `handle, key, previous_key, previous_until, capabilities, endpoints, created`
pub(super) fn identity(row: &dyn Row) -> Stored<IdentityRecord> {
    let previous = match (bytes32(row, 2)?, row.int(3)?) {
        (None, None) => None,
        (Some(key), Some(_)) => Some(PreviousKey {
            key: PublicKey(key),
            until: time(row, 3)?,
        }),
        _ => return Err(unreadable("a previous key")),
    };
    Ok(IdentityRecord {
        handle: handle(row, 0)?,
        key: bytes32(row, 1)?.map(PublicKey),
        previous,
        capabilities: capabilities(&text(row, 4)?)?,
        endpoints: endpoints(&text(row, 5)?)?,
        created: time(row, 6)?,
    })
}

/// `handle, status, context, heartbeat, expires`
pub(super) fn presence(row: &dyn Row) -> Stored<PresenceRecord> {
    Ok(PresenceRecord {
        handle: handle(row, 0)?,
        status: row.text(1)?.as_deref().map(status).transpose()?,
        context: row.free(2)?,
        heartbeat: time(row, 3)?,
        expires: time(row, 4)?,
    })
}

/// `sender, recipient, state, message, since`
pub(super) fn consent(row: &dyn Row) -> Stored<ConsentRecord> {
    Ok(ConsentRecord {
        from: handle(row, 0)?,
        to: handle(row, 1)?,
        state: state(&text(row, 2)?)?,
        message: row.free(3)?,
        since: time(row, 4)?,
    })
}

/// `position, sender, recipient, id, sent, received, signed, envelope`
pub(super) fn message(row: &dyn Row) -> Stored<MessageRecord> {
    Ok(MessageRecord {
        from: handle(row, 1)?,
        to: handle(row, 2)?,
        id: text(row, 3)?,
        timestamp: unsigned(row, 4)?,
        received: time(row, 5)?,
        signed: row.bool(6)?,
        envelope: text(row, 7)?,
    })
}

/// `hash, handle, expires`
pub(super) fn session(row: &dyn Row) -> Stored<SessionRecord> {
    Ok(SessionRecord {
        hash: hash(row, 0)?,
        handle: handle(row, 1)?,
        expires: time(row, 2)?,
    })
}

/// `id, hash, note, uses_left, expires, created, revoked`
pub(super) fn invite(row: &dyn Row) -> Stored<InviteRecord> {
    let uses_left = match row.int(3)? {
        None => None,
        Some(left) => Some(u32::try_from(left).map_err(|_| unreadable("an invite"))?),
    };
    Ok(InviteRecord {
        id: text(row, 0)?,
        hash: hash(row, 1)?,
        note: row.free(2)?.ok_or_else(|| unreadable("an invite"))?,
        uses_left,
        expires: row.int(4)?.map(|_| time(row, 4)).transpose()?,
        created: time(row, 5)?,
        revoked: row.bool(6)?,
    })
}
