//! What a registry keeps, and the seam to where it is kept.
//!
//! A [`Store`] is one transaction: what is written through it is there together, or not at all.
//! Transactions that write run one after another, wherever they run, so that a [`Position`] is
//! never passed by before it can be read: cursors lose nothing.

mod memory;

pub use memory::MemoryStore;

use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;

use crate::PublicKey;
use crate::handle::Handle;
use crate::time::Time;

/// What an identity can take (section 2.1).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Capabilities {
    /// The payload types that it can receive.
    pub payloads: Vec<String>,
    /// The largest payload that it takes: bytes of its canonical JSON (AGAP-10).
    pub max_payload_size: u64,
    /// How messages reach it; `poll`.
    pub delivery: Vec<String>,
}

/// Where an identity's AIRE node is, for its DID document (our extension).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AireEndpoint {
    /// `aire://host[:port]`.
    pub uri: String,
    /// The agent that is meant there.
    pub agent: Option<String>,
}

/// A key that was replaced, and until when it is still accepted (AGAP-6).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PreviousKey {
    /// The key.
    pub key: PublicKey,
    /// The first moment at which it is no longer accepted.
    pub until: Time,
}

/// An identity (section 2.1).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IdentityRecord {
    /// Its handle.
    pub handle: Handle,
    /// Its key; none for one that registered through the `/api` dialect without a key.
    pub key: Option<PublicKey>,
    /// The key before, while it is accepted.
    pub previous: Option<PreviousKey>,
    /// What it can take.
    pub capabilities: Capabilities,
    /// Where its AIRE node is, the best place first.
    pub endpoints: Vec<AireEndpoint>,
    /// When it registered.
    pub created: Time,
}

/// What an agent says of itself (section 2.2). `Offline` said is offline at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Status {
    /// It is there.
    Online,
    /// It is there, and does nothing.
    Idle,
    /// It is there, and does not want to be disturbed.
    Busy,
    /// It is not there.
    Offline,
}

/// The last heartbeat of an identity.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PresenceRecord {
    /// Whose.
    pub handle: Handle,
    /// What it said, if it said anything: else it is derived from the heartbeat's age.
    pub status: Option<Status>,
    /// What it is doing, up to 280 characters.
    pub context: Option<String>,
    /// When it came.
    pub heartbeat: Time,
    /// When it is no longer worth anything.
    pub expires: Time,
}

/// Where the consent of a recipient to a sender stands (section 2.6).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ConsentState {
    /// Nothing was asked.
    None,
    /// Asked, and not answered.
    Pending,
    /// Given.
    Accepted,
    /// Refused.
    Blocked,
}

/// The consent of `to` to what `from` sends (AGAP-1). There is no record of [`ConsentState::None`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConsentRecord {
    /// The sender.
    pub from: Handle,
    /// The recipient, whose consent it is.
    pub to: Handle,
    /// Where it stands.
    pub state: ConsentState,
    /// What the sender said when it asked.
    pub message: Option<String>,
    /// Since when it stands there.
    pub since: Time,
}

/// A message (section 2.3).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MessageRecord {
    /// The sender.
    pub from: Handle,
    /// The recipient.
    pub to: Handle,
    /// Unique for its sender within a day.
    pub id: String,
    /// When the sender says that it was sent: Unix seconds.
    pub timestamp: u64,
    /// When it came.
    pub received: Time,
    /// Whether the sender signed it.
    pub signed: bool,
    /// The whole message object as canonical JSON, its signature included.
    pub envelope: String,
}

/// Where a delivered message stands in the order of deliveries: it grows with every delivery of the
/// store, and is never used twice.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Position(pub u64);

/// A part of an inbox or a thread, in the order of [`Position`].
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Page {
    /// The messages.
    pub messages: Vec<(Position, MessageRecord)>,
    /// Whether there are more behind them.
    pub more: bool,
}

/// What must not come twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Once<'a> {
    /// A nonce of a handle.
    Nonce(&'a str),
    /// The id of a message of a sender.
    MessageId(&'a str),
}

/// SHA-256 of a secret that somebody bears: the secret itself is never kept.
pub type SecretHash = [u8; 32];

/// A token of the `/api` dialect.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SessionRecord {
    /// Of the token.
    pub hash: SecretHash,
    /// Whose it is.
    pub handle: Handle,
    /// When it ends.
    pub expires: Time,
}

/// An invite: the bearer key of a registration (AGAP-13).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InviteRecord {
    /// What it is called where it is listed and revoked; no secret.
    pub id: String,
    /// Of the bearer key.
    pub hash: SecretHash,
    /// What the operator noted.
    pub note: String,
    /// How many registrations it is still good for; no end if none.
    pub uses_left: Option<u32>,
    /// When it ends, if ever.
    pub expires: Option<Time>,
    /// When it was issued.
    pub created: Time,
    /// Whether it was revoked.
    pub revoked: bool,
}

/// Why a store could not do what it was asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoreError {
    /// A sentence for the log; callers of the registry never see it.
    pub message: String,
    /// Whether the whole transaction may succeed when it is tried again.
    pub transient: bool,
}

impl fmt::Display for StoreError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl core::error::Error for StoreError {}

/// The result of what a store does.
pub type Stored<T> = Result<T, StoreError>;

/// One transaction over what a registry keeps. See the [module](self) for what it promises.
pub trait Store {
    /// The identity of `handle`.
    fn identity(&mut self, handle: &Handle) -> Stored<Option<IdentityRecord>>;

    /// Adds or replaces an identity.
    fn put_identity(&mut self, identity: &IdentityRecord) -> Stored<()>;

    /// The last heartbeat of `handle`, expired or not.
    fn presence(&mut self, handle: &Handle) -> Stored<Option<PresenceRecord>>;

    /// Adds or replaces a heartbeat.
    fn put_presence(&mut self, presence: &PresenceRecord) -> Stored<()>;

    /// Up to `limit` heartbeats that have not expired at `now`, of handles after `after`, in the
    /// order of their handles (bytewise).
    fn present(
        &mut self,
        now: Time,
        after: Option<&Handle>,
        limit: usize,
    ) -> Stored<Vec<PresenceRecord>>;

    /// The consent of `to` to `from`.
    fn consent(&mut self, from: &Handle, to: &Handle) -> Stored<Option<ConsentRecord>>;

    /// Adds or replaces a consent. One of [`ConsentState::None`] takes back what was there; a store
    /// may keep it, as long as [`consents_to`](Store::consents_to) does not count it to another
    /// state.
    fn put_consent(&mut self, consent: &ConsentRecord) -> Stored<()>;

    /// Up to `limit` consents that `of` has given, refused, or been asked for (`to` is `of`), the
    /// newest first; of `state` only, if one is given.
    fn consents_to(
        &mut self,
        of: &Handle,
        state: Option<ConsentState>,
        limit: usize,
    ) -> Stored<Vec<ConsentRecord>>;

    /// Up to `limit` consents that `of` has asked for or been given (`from` is `of`), the newest
    /// first.
    fn consents_from(&mut self, of: &Handle, limit: usize) -> Stored<Vec<ConsentRecord>>;

    /// Notes until `until` that `handle` has used something. Whether it was new at `now`.
    fn remember(&mut self, handle: &Handle, once: Once<'_>, now: Time, until: Time)
    -> Stored<bool>;

    /// Delivers a message: it is in the recipient's inbox, and in both threads.
    fn deliver(&mut self, message: &MessageRecord) -> Stored<Position>;

    /// Keeps a message back until [`release`](Store::release) or [`drop_held`](Store::drop_held).
    /// It is in nobody's inbox or thread.
    fn hold(&mut self, message: &MessageRecord) -> Stored<()>;

    /// How many messages are held from `from` to `to`, and how many for `to` from anybody.
    fn held(&mut self, from: &Handle, to: &Handle) -> Stored<(u64, u64)>;

    /// Delivers what is held from `from` to `to`, in the order of timestamp, then id. How many. It
    /// counts as received at `now`: whoever asks for what came since a time has not had it yet.
    fn release(&mut self, from: &Handle, to: &Handle, now: Time) -> Stored<u64>;

    /// Forgets what is held from `from` to `to`. How many.
    fn drop_held(&mut self, from: &Handle, to: &Handle) -> Stored<u64>;

    /// Up to `limit` messages to `owner` after a position.
    fn inbox(&mut self, owner: &Handle, after: Position, limit: usize) -> Stored<Page>;

    /// Up to `limit` messages between `owner` and `peer`, either way, after a position.
    fn thread(
        &mut self,
        owner: &Handle,
        peer: &Handle,
        after: Position,
        limit: usize,
    ) -> Stored<Page>;

    /// The newest `limit` messages to `owner`, or, with a `peer`, between the two, that came after
    /// `since`: in the order of [`Position`]. For the `/api` dialect, whose `since` is a time.
    fn latest(
        &mut self,
        owner: &Handle,
        peer: Option<&Handle>,
        since: Time,
        limit: usize,
    ) -> Stored<Vec<MessageRecord>>;

    /// Adds a session, or replaces the one of the same token.
    fn put_session(&mut self, session: &SessionRecord) -> Stored<()>;

    /// The session of a token, expired or not.
    fn session(&mut self, hash: &SecretHash) -> Stored<Option<SessionRecord>>;

    /// Adds an invite.
    fn put_invite(&mut self, invite: &InviteRecord) -> Stored<()>;

    /// All invites, the newest first.
    fn invites(&mut self) -> Stored<Vec<InviteRecord>>;

    /// Takes one use of the invite of a bearer key, if it has one left, has not expired and was not
    /// revoked. Whether it had.
    fn use_invite(&mut self, hash: &SecretHash, now: Time) -> Stored<bool>;

    /// Revokes an invite by its id. Whether there is one.
    fn revoke_invite(&mut self, id: &str) -> Stored<bool>;

    /// Forgets what nobody may ask for any more at `now`: nonces, ids, sessions, heartbeats that
    /// expired, and messages, held ones too, that came before `messages_before`. How many rows.
    /// At most `limit` of each kind go at a time, so that no transaction is long.
    fn expire(&mut self, now: Time, messages_before: Time, limit: usize) -> Stored<u64>;
}
