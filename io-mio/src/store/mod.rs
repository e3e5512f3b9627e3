//! What a resumable operation leaves behind for whoever comes back for it (`RES-5`, `RES-8`).
//!
//! The handler's thread appends every STREAM payload to a [`ResumeStore`] before it is sent, and
//! goes on doing so while nobody is connected (`GAP-18`). A RESUME spends a token
//! ([`claim`](ResumeStore::claim)), and a pump thread sends on the new stream what the store has
//! ([`read`](ResumeStore::read)) until the terminal record. What the initiator says on the new
//! stream goes the other way, as [`Word`]s. The pump and the handler meet only in the store, so it
//! does not matter whether they run in one process, on two nodes (`RES-11`), or one after the
//! other, with a crash between.
//!
//! | store | reaches | survives |
//! |---|---|---|
//! | [`MemoryStore`] | this process | a lost connection |
#![cfg_attr(
    feature = "durable",
    doc = "| [`DurableStore`] | this process | a crash of the process, and of the machine |"
)]
#![cfg_attr(
    feature = "redis",
    doc = "| [`RedisStore`] | every node that uses the server | the crash of a node |"
)]
//!
//! Every call may block, on a disk or on a network: none belongs into an event loop. Time is
//! handed in, as everywhere. A store that fails says so in a [`StoreError`]; the operation goes
//! on, and can no longer be resumed.

#[cfg(any(feature = "durable", feature = "redis"))]
mod coding;
#[cfg(feature = "durable")]
mod durable;
mod memory;
#[cfg(feature = "redis")]
mod shared;

use std::fmt;
use std::time::Duration;

use aire_proto::wire::Budget;
use aire_proto::{CancelReason, ErrorCode, UnixMillis};

#[cfg(feature = "durable")]
pub use durable::DurableStore;
pub use memory::MemoryStore;
#[cfg(feature = "redis")]
pub use shared::RedisStore;

/// How long a resumption token is, in bytes (`RES-9` asks for 16 at least).
pub const TOKEN_LEN: usize = 32;

/// After about so many bytes of payload, a [`Batch`] ends. It holds one frame at least.
const BATCH_BYTES: usize = 256 * 1024;

/// So many words may wait for the node that works on an operation.
const MAX_WORDS: usize = 64;

/// When so many bytes of words wait, no further word is taken.
const MAX_WORD_BYTES: usize = 1024 * 1024;

/// What an operation is called in a store. It never travels to a peer.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct OperationKey([u8; 16]);

impl OperationKey {
    /// A name that no other operation has.
    ///
    /// # Errors
    /// [`StoreError::Failed`] when the random source fails.
    pub fn random() -> Result<Self, StoreError> {
        random().map(Self)
    }

    /// The name with these bytes.
    #[must_use]
    pub const fn from_bytes(bytes: [u8; 16]) -> Self {
        Self(bytes)
    }

    /// The bytes.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; 16] {
        &self.0
    }
}

/// As lower-case hexadecimal digits.
impl fmt::Display for OperationKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex(&self.0))
    }
}

impl fmt::Debug for OperationKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "OperationKey({self})")
    }
}

/// A new resumption token: 256 bits of a cryptographic random source (`RES-9`).
///
/// # Errors
/// [`StoreError::Failed`] when that source fails.
pub fn new_token() -> Result<[u8; TOKEN_LEN], StoreError> {
    random()
}

fn random<const N: usize>() -> Result<[u8; N], StoreError> {
    let mut bytes = [0; N];
    boring::rand::rand_bytes(&mut bytes)
        .map_err(|error| StoreError::Failed(format!("no random bytes: {error}")))?;
    Ok(bytes)
}

/// `bytes` as lower-case hexadecimal digits.
fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    bytes.iter().fold(String::new(), |mut text, byte| {
        let _infallible = write!(text, "{byte:02x}");
        text
    })
}

/// What a store keeps in place of a token: who reads the store cannot resume.
type TokenHash = [u8; 32];

/// `None` for what cannot be a token, whatever its length.
fn hash_of(token: &[u8]) -> Option<TokenHash> {
    (token.len() == TOKEN_LEN).then(|| boring::sha::sha256(token))
}

/// How much of an operation is retained; past either number, the oldest frames go (`GAP-18`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of payload.
    pub max_bytes: usize,
    /// Frames.
    pub max_frames: usize,
}

/// What there is to know about a resumable operation from its start.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// The initiator's DID: nobody else may resume (`GAP-17`).
    pub owner: String,
    /// The agent that was invoked.
    pub agent: String,
    /// What was asked of it.
    pub operation: String,
    /// The DID of the node that works on it.
    pub node: String,
    /// The retained window.
    pub limits: Limits,
}

/// How the operation ended, for the responder.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Terminal {
    /// All was said.
    Finished,
    /// With an ERROR frame.
    Failed {
        /// Its code.
        code: ErrorCode,
        /// For people.
        detail: String,
        /// For programs.
        data: Vec<u8>,
    },
}

/// What the initiator said on a stream that resumed an operation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Word {
    /// CANCEL.
    Cancel {
        /// Why.
        reason: CancelReason,
        /// For people.
        detail: String,
    },
    /// BUDGET.
    Budget(Budget),
    /// The payload of a STREAM frame.
    Input(Vec<u8>),
    /// Nothing more comes from the initiator.
    InputFinished,
    /// Not of the initiator, but of the node that speaks with it: it has taken the frames up to
    /// `taken`, and the operation's latest token is good until then. The handler sends no more for
    /// itself, and must not run further ahead than the window holds.
    Attended {
        /// The number of the last frame taken; 0 when none.
        taken: u64,
        /// When that token's time is over.
        until: UnixMillis,
    },
    /// That node lost the connection.
    Unattended,
}

/// What [`ResumeStore::read`] found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Batch {
    /// Frames in order, each with its number.
    pub frames: Vec<(u64, Vec<u8>)>,
    /// Only when every frame before it is in this batch, or below `from`.
    pub terminal: Option<Terminal>,
    /// Until when the working node said it would be there. When this has passed and there is no
    /// terminal record, nobody works on it any more.
    pub worked_until: UnixMillis,
}

/// An operation whose token was good.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Claimed {
    /// Its name.
    pub key: OperationKey,
    /// What it is.
    pub record: Record,
}

/// Keeps what resumable operations have sent, and who may come back for it.
///
/// Handlers' and pumps' threads call it; never an event loop, because calls block. Any number of
/// threads may call at once. One node works on an operation: it alone calls
/// [`append`](Self::append), [`finish`](Self::finish), [`words`](Self::words) and
/// [`beat`](Self::beat) for it.
pub trait ResumeStore: Send + Sync {
    /// Begins to keep an operation. `lease` is a first [`beat`](Self::beat).
    ///
    /// # Errors
    /// [`StoreError::Full`], [`StoreError::Exists`], [`StoreError::Failed`].
    fn open(
        &self,
        key: &OperationKey,
        record: &Record,
        lease: Duration,
        now: UnixMillis,
    ) -> Result<(), StoreError>;

    /// Makes `token` good for `key` during `ttl`, counted from `now`; the operation is kept at
    /// least as long (`RES-8`). The token before it stays good beside it, because its RESUMABLE may
    /// be the last that arrived; those before that one are spent (`RES-10`).
    ///
    /// # Errors
    /// [`StoreError::Unknown`], [`StoreError::Failed`].
    fn issue(
        &self,
        key: &OperationKey,
        token: &[u8; TOKEN_LEN],
        ttl: Duration,
        now: UnixMillis,
    ) -> Result<(), StoreError>;

    /// Keeps the STREAM frame `seq`; the first is 1 (`RES-4`). When this returns, the frame
    /// survives what the store promises to survive. The oldest frames go first past the limits.
    ///
    /// # Errors
    /// [`StoreError::OutOfOrder`], [`StoreError::FrameTooLarge`], [`StoreError::Finished`],
    /// [`StoreError::Unknown`], [`StoreError::Failed`]. The frame may be missing then, and those
    /// after it too: the operation is no longer resumable.
    fn append(&self, key: &OperationKey, seq: u64, payload: &[u8]) -> Result<(), StoreError>;

    /// Keeps the end. No frame comes after it.
    ///
    /// # Errors
    /// [`StoreError::Finished`] when there is one, [`StoreError::Unknown`],
    /// [`StoreError::Failed`].
    fn finish(&self, key: &OperationKey, terminal: &Terminal) -> Result<(), StoreError>;

    /// Spends `token`, and the operation's other one: of two claims at the same time, on whatever
    /// nodes, one wins (`RES-10`). With `owner`, only that DID may (`GAP-17`). `last_recv` is the
    /// last frame that the claimant has; 0 when none.
    ///
    /// # Errors
    /// [`ClaimError`]. A claim that fails spends nothing, unless the store failed in the middle.
    fn claim(
        &self,
        token: &[u8],
        owner: Option<&str>,
        last_recv: u64,
        now: UnixMillis,
    ) -> Result<Claimed, ClaimError>;

    /// The frames from `from` on, and the end once they are all said. When there is neither, waits
    /// for it up to `patience`, and comes back at once when it is there; an empty batch says that
    /// nothing came.
    ///
    /// # Errors
    /// [`StoreError::Evicted`] when the frame is no longer retained, [`StoreError::Unknown`],
    /// [`StoreError::Failed`].
    fn read(&self, key: &OperationKey, from: u64, patience: Duration) -> Result<Batch, StoreError>;

    /// Hands a word of the initiator to the node that works on the operation.
    ///
    /// # Errors
    /// [`StoreError::Full`] while too many words wait to be read: try again later.
    /// [`StoreError::Unknown`], [`StoreError::Failed`].
    fn tell(&self, key: &OperationKey, word: &Word) -> Result<(), StoreError>;

    /// The words after number `after`, which is 0 at first; forgets those up to it. Waits as
    /// [`read`](Self::read) does.
    ///
    /// # Errors
    /// [`StoreError::Unknown`], [`StoreError::Failed`].
    fn words(
        &self,
        key: &OperationKey,
        after: u64,
        patience: Duration,
    ) -> Result<Vec<(u64, Word)>, StoreError>;

    /// The working node says that it works on the operation, and is back before `lease` has
    /// passed. The operation is kept at least as long.
    ///
    /// # Errors
    /// [`StoreError::Unknown`], [`StoreError::Failed`].
    fn beat(&self, key: &OperationKey, lease: Duration, now: UnixMillis) -> Result<(), StoreError>;

    /// Forgets operations that neither a token nor a lease keeps any longer. That a token is
    /// expired is known for another of its times; after that it is as unknown as any other.
    ///
    /// # Errors
    /// [`StoreError::Failed`].
    fn sweep(&self, now: UnixMillis) -> Result<(), StoreError>;

    /// Forgets an operation and its tokens. That it is unknown is no error. Whoever waits in
    /// [`read`](Self::read) or [`words`](Self::words) learns of it within seconds.
    ///
    /// # Errors
    /// [`StoreError::Failed`].
    fn forget(&self, key: &OperationKey) -> Result<(), StoreError>;
}

/// Why a store did not do what it was asked.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum StoreError {
    /// No further operation, or no further word, fits.
    Full,
    /// An operation of that name is there already.
    Exists,
    /// No operation of that name is there, or no longer.
    Unknown,
    /// The frame asked for is no longer retained.
    Evicted {
        /// The oldest that is.
        oldest: u64,
    },
    /// One frame is larger than the window.
    FrameTooLarge {
        /// Its bytes.
        len: usize,
        /// The window's.
        max_bytes: usize,
    },
    /// The frame is not the next one.
    OutOfOrder {
        /// The number of the next one.
        expected: u64,
    },
    /// The operation has its terminal record.
    Finished,
    /// What is stored is not what a store of this kind writes.
    Content(String),
    /// The disk, the network or the server failed.
    Failed(String),
}

impl fmt::Display for StoreError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Full => f.write_str("the resume store is full"),
            Self::Exists => f.write_str("the resume store has an operation of that name"),
            Self::Unknown => f.write_str("the resume store has no such operation any more"),
            Self::Evicted { oldest } => write!(
                f,
                "the frame is no longer retained; the oldest that is, is frame {oldest}"
            ),
            Self::FrameTooLarge { len, max_bytes } => write!(
                f,
                "a frame of {len} bytes does not fit into a retained window of {max_bytes}"
            ),
            Self::OutOfOrder { expected } => {
                write!(f, "the frame is out of order: {expected} is the next one")
            }
            Self::Finished => f.write_str("the operation is finished"),
            Self::Content(what) => write!(f, "the resume store cannot be read: {what}"),
            Self::Failed(reason) => write!(f, "the resume store failed: {reason}"),
        }
    }
}

impl std::error::Error for StoreError {}

/// Why a token does not resume anything (`RES-5`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ClaimError {
    /// It is unknown, spent, somebody else's, or comes with a frame that was never sent.
    Invalid,
    /// Its time is over.
    Expired,
    /// The frames after the last one received are no longer all there.
    Unavailable,
    /// The store failed.
    Store(StoreError),
}

impl ClaimError {
    /// What the peer is told.
    #[must_use]
    pub const fn code(&self) -> ErrorCode {
        match self {
            Self::Invalid => ErrorCode::ResumeInvalid,
            Self::Expired => ErrorCode::ResumeExpired,
            Self::Unavailable => ErrorCode::ResumeUnavailable,
            // The token may be good: later, or at another node.
            Self::Store(_) => ErrorCode::Refused,
        }
    }
}

impl fmt::Display for ClaimError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Invalid => f.write_str("the resumption token is not valid"),
            Self::Expired => f.write_str("the resumption token has expired"),
            Self::Unavailable => f.write_str("the frames asked for are no longer retained"),
            Self::Store(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for ClaimError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Store(error) => Some(error),
            _ => None,
        }
    }
}

impl From<StoreError> for ClaimError {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}

/// `length` after `now`; the end of time where it would overflow.
fn later(now: UnixMillis, length: Duration) -> UnixMillis {
    let millis = i64::try_from(length.as_millis()).unwrap_or(i64::MAX);
    UnixMillis(now.0.saturating_add(millis))
}
