//! What an operator decides.

use alloc::borrow::ToOwned;
use alloc::string::String;

/// What a registry allows and for how long it remembers. Times are in seconds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// The host that the registry is reached at, with `:port` unless it is 443: the `domain` of
    /// identities, and of the bridge's `did:web`.
    pub domain: String,
    /// Whether everybody may register. If not, a new handle needs an invite (AGAP-13).
    pub open: bool,
    /// Whether `POST /identity` must be signed by the key that it registers (AGAP-14). Clients of the
    /// `/api` dialect sign no registration; theirs must be right only if there is a signature.
    pub require_proof: bool,
    /// Whether everything that changes something must be signed in the `/api` dialect as well: its
    /// tokens then only read, and its messages are those of section 2.3.
    pub require_signatures: bool,
    /// Whether the `/api` dialect is served.
    pub legacy: bool,
    /// Whether the `/api` dialect hands a taken handle without a key to whoever registers it again,
    /// as the deployed registry did. Anybody can then read and write in its name.
    pub danger_legacy_takeover: bool,
    /// How far a timestamp may be from the registry's time, either way (section 2.3).
    pub timestamp_window: u64,
    /// For how long a nonce is remembered (AGAP-7). At least twice the window.
    pub nonce_memory: u64,
    /// For how long a message id is remembered (section 2.3).
    pub id_memory: u64,
    /// For how long a replaced key is accepted (section 6.2).
    pub rotation_grace: u64,
    /// For how long a heartbeat is worth anything (section 2.2).
    pub presence_expiry: u64,
    /// For how long a token of the `/api` dialect is good. A heartbeat extends it.
    pub session_life: u64,
    /// How many messages are held from one sender to one recipient. With 0 nothing is held, and a
    /// message without consent is refused (AGAP-3).
    pub max_held_per_pair: u64,
    /// How many messages are held for one recipient.
    pub max_held_per_recipient: u64,
    /// The largest `maxPayloadSize` that an identity may ask for, and what it gets when it asks for
    /// none: bytes (AGAP-10).
    pub max_payload: u64,
    /// For how long messages are kept, held ones too. The registry does not look at it: whoever
    /// calls [`Store::expire`](crate::store::Store::expire) does.
    pub retention: u64,
}

impl Settings {
    /// The settings of the text, and where it has none those of a closed registry that trusts
    /// nobody, for `domain`.
    #[must_use]
    pub fn new(domain: impl Into<String>) -> Self {
        Self {
            domain: domain.into(),
            open: false,
            require_proof: true,
            require_signatures: false,
            legacy: true,
            danger_legacy_takeover: false,
            timestamp_window: 300,
            nonce_memory: 600,
            id_memory: 86_400,
            rotation_grace: 86_400,
            presence_expiry: 120,
            session_life: 30 * 86_400,
            max_held_per_pair: 100,
            max_held_per_recipient: 1000,
            max_payload: 65_536,
            retention: 30 * 86_400,
        }
    }
}

impl Default for Settings {
    fn default() -> Self {
        Self::new("localhost".to_owned())
    }
}
