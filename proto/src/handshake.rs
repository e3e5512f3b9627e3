//! From HELLO to HELLO (`HS-1` to `HS-9`), in the order of checks that `GAP-9` gives: parse,
//! major, DID syntax, block present, whose method, algorithm, timestamp, key, signature, replay,
//! capabilities. The first failure is the code that the peer is told.
//!
//! Two steps, since a key may have to be fetched in between: `judge` looks at the bytes alone,
//! `authenticate` at what is known of the peer.

use core::fmt;
use core::time::Duration;

use crate::capability::{self, ActiveSet};
use crate::code::ErrorCode;
use crate::identity::{
    Did, KeyResolver, PublicKey, ReplayGuard, ReplayRefused, Resolution, SignatureVerifier,
    SignedMessage, Signer,
};
use crate::storage::Buffer;
use crate::time::{Now, UnixMillis};
use crate::wire::{
    Capability, EncodeError, FrameHeader, FrameType, Hello, HelloInner, MAX_HEADER_LEN, Malformed,
    NONCE_LEN, Payload, SIGNATURE_LEN, SignatureBlock, Writer, domain_separator,
};

/// The major version that this crate speaks.
pub const MAJOR: u64 = 0;

/// The highest minor version that this crate speaks.
pub const MINOR: u64 = 4;

/// Signatures and DIDs are mandatory from this minor on (`ID-1`, `SIG-7`).
const FIRST_SIGNED_MINOR: u64 = 2;

/// The widest timestamp window (`SIG-9`).
pub const MAX_TIMESTAMP_WINDOW: Duration = Duration::from_secs(300);

/// Why a peer's HELLO is not good enough.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum HandshakeError {
    /// It does not parse (`HS-8`).
    Malformed(Malformed),
    /// It is of another major version (`HS-6`).
    IncompatibleVersion {
        /// The peer's.
        major: u64,
    },
    /// It carries no signature (`SIG-7`, `GAP-11`).
    Unsigned,
    /// Its verification method belongs to another DID (`SIG-8`).
    KeyMismatch,
    /// Its signature is of an algorithm other than Ed25519 (`SIG-1`).
    UnknownAlgorithm(u8),
    /// Its timestamp is outside the window (`SIG-9`).
    StaleTimestamp {
        /// How far the peer's clock is ahead of ours, in milliseconds.
        ahead_ms: i64,
    },
    /// Its DID has no such key (`SIG-2`).
    UnresolvableDid,
    /// Its signature is wrong (`SIG-12`).
    BadSignature,
    /// Its nonce was seen, or cannot be remembered (`SIG-10`, `SIG-11`).
    Replayed(ReplayRefused),
    /// One side requires a capability that the other lacks (`CAP-6`).
    MissingRequiredCapability,
    /// Both sides bind identities to the channel, and its proof is wrong, or this side was not
    /// given the channel's value (`GAP-21`).
    ChannelNotBound,
    /// It, or its NodeID, does not fit this node's buffers (`GAP-19`).
    TooLarge,
    /// It is good, but the local policy wants nothing of this peer (`TR-5`).
    Refused,
}

impl HandshakeError {
    /// What the peer is told.
    #[must_use]
    pub const fn code(&self) -> ErrorCode {
        match self {
            Self::Malformed(_) => ErrorCode::MalformedFrame,
            Self::IncompatibleVersion { .. } => ErrorCode::IncompatibleVersion,
            Self::Unsigned
            | Self::UnknownAlgorithm(_)
            | Self::BadSignature
            | Self::ChannelNotBound => ErrorCode::BadSignature,
            Self::KeyMismatch => ErrorCode::KeyMismatch,
            Self::StaleTimestamp { .. } => ErrorCode::StaleTimestamp,
            Self::UnresolvableDid => ErrorCode::UnresolvableDid,
            Self::Replayed(_) => ErrorCode::ReplayedNonce,
            Self::MissingRequiredCapability => ErrorCode::MissingRequiredCapability,
            Self::TooLarge => ErrorCode::FrameTooLarge,
            Self::Refused => ErrorCode::Refused,
        }
    }
}

impl fmt::Display for HandshakeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Malformed(malformed) => write!(f, "the peer's HELLO is malformed: {malformed}"),
            Self::IncompatibleVersion { major } => {
                write!(f, "the peer speaks major version {major}, not {MAJOR}")
            }
            Self::Unsigned => f.write_str("the peer's HELLO is not signed"),
            Self::KeyMismatch => f.write_str("the peer signed with another identity's key"),
            Self::UnknownAlgorithm(algorithm) => {
                write!(
                    f,
                    "the peer signed with the unknown algorithm {algorithm:#04x}"
                )
            }
            Self::StaleTimestamp { ahead_ms } => write!(
                f,
                "the peer's timestamp is outside the window: its clock is {ahead_ms} ms ahead of \
                 ours"
            ),
            Self::UnresolvableDid => f.write_str("the peer's DID has no key that can be found"),
            Self::BadSignature => f.write_str("the peer's signature is wrong"),
            Self::Replayed(refused) => write!(f, "the peer's HELLO is refused: {refused}"),
            Self::MissingRequiredCapability => {
                f.write_str("a capability that one side requires is missing on the other")
            }
            Self::ChannelNotBound => {
                f.write_str("the peer's identity is not bound to this connection")
            }
            Self::TooLarge => f.write_str("the peer's HELLO is larger than this node takes"),
            Self::Refused => f.write_str("the local policy refuses the peer"),
        }
    }
}

impl core::error::Error for HandshakeError {}

/// What this node says of itself.
#[derive(Clone, Copy)]
pub struct Local<'a> {
    /// Who it is.
    pub signer: &'a dyn Signer,
    /// What it can do; see [`capability::check_local`].
    pub capabilities: &'a [Capability<'a>],
}

impl fmt::Debug for Local<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Local")
            .field("did", &self.signer.did())
            .field("capabilities", &self.capabilities)
            .finish()
    }
}

/// What this node knows of others. The replay guard is shared by all connections of the node.
pub struct Verifier<'a> {
    /// Finds the keys of DIDs.
    pub keys: &'a dyn KeyResolver,
    /// Checks signatures.
    pub signatures: &'a dyn SignatureVerifier,
    /// Remembers nonces.
    pub replay: &'a mut dyn ReplayGuard,
}

/// The rules that a HELLO is judged by.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Rules {
    pub(crate) window: Duration,
    pub(crate) accept_unsigned: bool,
}

/// What both ends agreed on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Agreement {
    /// The minor version that rules the connection (`HS-7`).
    pub minor: u64,
    /// The active capabilities (`CAP-5`).
    pub active: ActiveSet,
    /// The key that the peer's HELLO verified with; `None` for an unsigned peer, whose NodeID
    /// proves nothing (`GAP-11`).
    pub peer_key: Option<PublicKey>,
    /// Whether the peer proved that its key sits at the other end of this very connection. If not,
    /// whoever received the same HELLO may be in between (`GAP-21`).
    pub channel_bound: bool,
    /// Bytes behind the peer's signature block, ignored (`GAP-10`).
    pub trailing: usize,
}

/// The checks that need nothing but the bytes and the time.
pub(crate) fn judge(payload: &[u8], rules: Rules, unix: UnixMillis) -> Result<(), HandshakeError> {
    let hello = Hello::decode(payload).map_err(HandshakeError::Malformed)?;
    if hello.major != MAJOR {
        return Err(HandshakeError::IncompatibleVersion { major: hello.major });
    }
    if hello.minor < FIRST_SIGNED_MINOR {
        return if rules.accept_unsigned {
            Ok(())
        } else {
            Err(HandshakeError::Unsigned)
        };
    }
    if Did::parse(hello.node_id).is_err() {
        return Err(HandshakeError::Malformed(Malformed::NodeIdNotADid));
    }
    let block = hello.block.ok_or(HandshakeError::Unsigned)?;
    judge_block(&block, hello.node_id.as_bytes(), rules.window, unix)
}

/// The checks of a signature block that need nothing but its bytes and the time: whose it is, its
/// algorithm, its timestamp (`SIG-8`, `SIG-1`, `SIG-9`). The same for every signed frame.
pub(crate) fn judge_block(
    block: &SignatureBlock<'_>,
    did: &[u8],
    window: Duration,
    unix: UnixMillis,
) -> Result<(), HandshakeError> {
    if block.did().as_bytes() != did {
        return Err(HandshakeError::KeyMismatch);
    }
    if block.algorithm != SignatureBlock::ED25519 {
        return Err(HandshakeError::UnknownAlgorithm(block.algorithm));
    }
    let ahead_ms = block.timestamp.0.saturating_sub(unix.0);
    if u128::from(ahead_ms.unsigned_abs()) > window.as_millis() {
        return Err(HandshakeError::StaleTimestamp { ahead_ms });
    }
    Ok(())
}

/// The checks that need to know the peer: key, signature, replay, capabilities. `payload` has
/// passed [`judge`]. `None` when the key has to be fetched first; `key` is then the answer.
pub(crate) fn authenticate(
    payload: &[u8],
    key: Option<Resolution>,
    local: &Local<'_>,
    verifier: &mut Verifier<'_>,
    window: Duration,
    now: Now,
) -> Result<Option<Agreement>, HandshakeError> {
    let hello = Hello::decode(payload).map_err(HandshakeError::Malformed)?;
    let signed = (hello.minor >= FIRST_SIGNED_MINOR)
        .then_some(hello.block)
        .flatten();
    let mut peer_key = None;
    if let Some(block) = signed {
        let key = match key.unwrap_or_else(|| verifier.keys.resolve(block.method)) {
            Resolution::Key(key) => key,
            Resolution::Fetch => return Ok(None),
            Resolution::Failed => return Err(HandshakeError::UnresolvableDid),
        };
        let covered = payload.get(..hello.covered).unwrap_or_default();
        check_signature(&block, FrameType::Hello, covered, &key, verifier.signatures)?;
        verifier
            .replay
            .admit(&key, block.nonce, window, now.instant)
            .map_err(HandshakeError::Replayed)?;
        peer_key = Some(key);
    }
    let active = capability::negotiate(local.capabilities, &hello.capabilities)
        .map_err(|_| HandshakeError::MissingRequiredCapability)?;
    Ok(Some(Agreement {
        minor: hello.minor.min(MINOR),
        active,
        peer_key,
        channel_bound: false,
        trailing: hello.trailing,
    }))
}

/// Checks the signature of a block of a `frame`, over the bytes `covered` behind the domain
/// separator (`SIG-5`).
pub(crate) fn check_signature(
    block: &SignatureBlock<'_>,
    frame: FrameType,
    covered: &[u8],
    key: &PublicKey,
    signatures: &dyn SignatureVerifier,
) -> Result<(), HandshakeError> {
    let signature: &[u8; SIGNATURE_LEN] = block
        .signature
        .try_into()
        .map_err(|_| HandshakeError::BadSignature)?;
    let message = SignedMessage {
        separator: &domain_separator(frame),
        covered,
    };
    if signatures.verify(key, message, signature) {
        Ok(())
    } else {
        Err(HandshakeError::BadSignature)
    }
}

/// Writes our signed HELLO frame into `out`, which is empty; returns where in `out` it begins.
///
/// The signed bytes are the separator and then the payload up to the signature, so the frame is
/// built behind 13 bytes of separator, signed in place, and the envelope then takes the
/// separator's room.
pub(crate) fn write_hello<B: Buffer>(
    out: &mut B,
    local: &Local<'_>,
    nonce: &[u8; NONCE_LEN],
    unix: UnixMillis,
) -> Result<usize, EncodeError> {
    let separator = domain_separator(FrameType::Hello);
    let inner = HelloInner {
        major: MAJOR,
        minor: MINOR,
        node_id: local.signer.did(),
        capabilities: local.capabilities,
    };
    let write = |out: &mut Writer<'_>| {
        inner.write(out);
        SignatureBlock::write_signed_part(local.signer.method(), nonce, unix, out);
    };
    let mut counted = Writer::new(&mut []);
    write(&mut counted);
    let signed_len = counted.len();
    // Two bytes of varint say 64.
    let payload_len = signed_len.saturating_add(SIGNATURE_LEN).saturating_add(2);
    let whole = separator.len().saturating_add(payload_len);
    let needed = EncodeError::BufferTooSmall { needed: whole };
    let room = out.grow(whole).ok_or(needed)?;

    let mut writer = Writer::new(room);
    writer.bytes(&separator);
    write(&mut writer);
    let signed = writer.finish()?;
    let signature = local.signer.sign(room.get(..signed).ok_or(needed)?);
    let mut writer = Writer::new(room.get_mut(signed..).ok_or(needed)?);
    writer.prefixed(&signature);
    writer.finish()?;

    let header = FrameHeader::new(FrameType::Hello, 0, payload_len as u64);
    let mut envelope = [0; MAX_HEADER_LEN];
    let envelope_len = header.encode(&mut envelope)?;
    let start = separator.len().saturating_sub(envelope_len);
    let place = room.get_mut(start..separator.len()).ok_or(needed)?;
    place.copy_from_slice(envelope.get(..envelope_len).ok_or(needed)?);
    Ok(start)
}
