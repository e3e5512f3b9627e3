//! What a vector holds, fills expanded and hex turned into bytes.

use serde::Deserialize;

use crate::read::{bytes, bytes_or_none, int, int_or_none, key, nonce};

/// One test vector.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Vector {
    /// The file it stands in, relative to this crate's folder.
    pub file: &'static str,
    /// Its name, unique across all files.
    pub id: String,
    /// The ledger's ids that it serves.
    pub requirements: Vec<String>,
    /// What is easily overlooked about it.
    pub note: Option<String>,
    /// What it says.
    pub body: Body,
}

impl Vector {
    /// The frame, if it is a vector about one.
    pub fn as_frame(&self) -> Option<&FrameVector> {
        match &self.body {
            Body::Frame(frame) => Some(frame),
            _ => None,
        }
    }

    /// The concatenation, if it is a vector about one.
    pub fn as_concat(&self) -> Option<&ConcatVector> {
        match &self.body {
            Body::Concat(concat) => Some(concat),
            _ => None,
        }
    }

    /// The varint, if it is a vector about one.
    pub fn as_varint(&self) -> Option<&VarintVector> {
        match &self.body {
            Body::Varint(varint) => Some(varint),
            _ => None,
        }
    }

    /// The malformed input, if it is a vector about one.
    pub fn as_malformed(&self) -> Option<&MalformedVector> {
        match &self.body {
            Body::Malformed(malformed) => Some(malformed),
            _ => None,
        }
    }

    /// The channel binding, if it is a vector about one.
    pub fn as_binding(&self) -> Option<&BindingVector> {
        match &self.body {
            Body::Binding(binding) => Some(binding),
            _ => None,
        }
    }

    /// The delegation path, if it is a vector about one.
    pub fn as_path(&self) -> Option<&PathVector> {
        match &self.body {
            Body::Path(path) => Some(path),
            _ => None,
        }
    }

    /// The URI, if it is a vector about one.
    pub fn as_uri(&self) -> Option<&AddressVector<UriParts>> {
        match &self.body {
            Body::Uri(uri) => Some(uri),
            _ => None,
        }
    }

    /// The handle, if it is a vector about one.
    pub fn as_handle(&self) -> Option<&AddressVector<HandleParts>> {
        match &self.body {
            Body::Handle(handle) => Some(handle),
            _ => None,
        }
    }

    /// The `did:web`, if it is a vector about one.
    pub fn as_did_web(&self) -> Option<&AddressVector<DidWebParts>> {
        match &self.body {
            Body::DidWeb(did_web) => Some(did_web),
            _ => None,
        }
    }

    /// The key pair, if it is a vector about one.
    pub fn as_did_key(&self) -> Option<&DidKeyVector> {
        match &self.body {
            Body::DidKey(did_key) => Some(did_key),
            _ => None,
        }
    }
}

/// The kinds of vectors.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Body {
    /// Bytes that are one well-formed frame.
    Frame(Box<FrameVector>),
    /// Bytes that are several well-formed frames (WIRE-7).
    Concat(ConcatVector),
    /// Bytes that are one varint (WIRE-4).
    Varint(VarintVector),
    /// Bytes that a receiver refuses, and how.
    Malformed(MalformedVector),
    /// A seed with its public key and its DID (ID-2).
    DidKey(DidKeyVector),
    /// Bytes that shall bind an identity to a connection (GAP-21).
    Binding(Box<BindingVector>),
    /// Bytes that shall be the path of a delegated operation.
    Path(PathVector),
    /// Text that shall be an `aire://` URI (URI-1).
    Uri(AddressVector<UriParts>),
    /// Text that shall be a handle (DISC-3).
    Handle(AddressVector<HandleParts>),
    /// Text that shall be a `did:web` (ID-3).
    DidWeb(AddressVector<DidWebParts>),
}

/// One well-formed frame: its bytes, its envelope, and what its payload means.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FrameVector {
    /// The frame as it travels.
    #[serde(rename = "encoded_hex", deserialize_with = "bytes")]
    pub encoded: Vec<u8>,
    /// Its envelope, and its payload as bytes.
    pub frame: Frame,
    /// What the payload means. Absent for types without a layout of their own
    /// (STREAM, GOODBYE, reserved, vendor), and where a published file says nothing.
    #[serde(skip)]
    pub decoded: Option<Decoded>,
    /// Whether OpID and PayloadLen are in their shortest form, so that encoding
    /// [`frame`](Self::frame), flags included, gives [`encoded`](Self::encoded)
    /// again. True of every published vector (WIRE-15).
    #[serde(default = "yes")]
    pub envelope_minimal: bool,
    /// Whether encoding the decoded content (or the raw payload, where there is
    /// none), with flags zero, gives [`encoded`](Self::encoded). `None` where a
    /// published file says nothing.
    #[serde(default)]
    pub canonical: Option<bool>,
    /// Where it is not canonical: what that encoding gives instead. Absent where
    /// none can be expected: shortening would break the signature, or nothing is
    /// left to send, or a sender refuses such content.
    #[serde(default, rename = "canonical_hex", deserialize_with = "bytes_or_none")]
    pub canonical_encoded: Option<Vec<u8>>,
    /// For a HELLO: whether the receiver that the crate describes completes the
    /// handshake with it. `None` for other types and published vectors.
    #[serde(default)]
    pub accepted: Option<bool>,
    /// For a signed frame: how its signature came about.
    #[serde(default)]
    pub signing: Option<Signing>,
    /// Codes, with one of which a receiver ends the operation although the frame is well
    /// formed: the vector's note says why. Empty where nothing speaks against the frame.
    #[serde(default)]
    pub expect: Vec<ErrorCode>,
    /// For a RESUME: what its receiver knows of the operation.
    #[serde(default)]
    pub resumption: Option<Resumption>,
    /// For a RESUME with [`resumption`](Self::resumption) that is honoured: the number of
    /// the first STREAM frame that is sent again (RES-5).
    #[serde(default)]
    pub replays_from: Option<u64>,
}

fn yes() -> bool {
    true
}

/// A frame's envelope with its payload as bytes (WIRE-1).
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Frame {
    /// The type byte.
    #[serde(rename = "type")]
    pub kind: u8,
    /// The flags byte as sent; a receiver ignores it (WIRE-2).
    pub flags: u8,
    /// The OpID.
    #[serde(deserialize_with = "int")]
    pub op_id: u64,
    /// The payload.
    #[serde(rename = "payload_hex", deserialize_with = "bytes")]
    pub payload: Vec<u8>,
}

/// A payload's content, by frame type.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Decoded {
    /// 0x01.
    Hello(Hello),
    /// 0x03.
    Invoke(Invoke),
    /// 0x05.
    Cancel(Cancel),
    /// 0x06.
    Budget(Budget),
    /// 0x07.
    Delegate(Delegate),
    /// 0x08.
    Error(ErrorPayload),
    /// 0x0A.
    Resumable(Resumable),
    /// 0x0B.
    Resume(Resume),
}

/// HELLO (HS-4).
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Hello {
    /// VerMajor.
    #[serde(deserialize_with = "int")]
    pub major: u64,
    /// VerMinor.
    #[serde(deserialize_with = "int")]
    pub minor: u64,
    /// NodeID; a DID from minor 2 on (ID-1).
    pub node_id: String,
    /// The capability entries in wire order.
    pub capabilities: Vec<Capability>,
    /// The signature block, if there is one.
    #[serde(default)]
    pub signature_block: Option<SignatureBlock>,
    /// How many bytes stand after the block (GAP-10).
    #[serde(default)]
    pub trailing: usize,
}

/// A capability entry (HS-5).
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Capability {
    /// The whole name, major included; any UTF-8 on receive (CAP-3).
    pub name: String,
    /// The version that the advertiser speaks of it.
    #[serde(deserialize_with = "int")]
    pub version: u64,
    /// Whether the advertiser cannot do without it (CAP-6).
    pub required: bool,
}

/// A signature block (SIG-4).
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SignatureBlock {
    /// AlgID; 1 is Ed25519.
    pub alg: u8,
    /// The verification method's id.
    pub vmid: String,
    /// The nonce.
    #[serde(rename = "nonce_hex", deserialize_with = "nonce")]
    pub nonce: [u8; 16],
    /// The signer's clock in Unix milliseconds.
    #[serde(deserialize_with = "int")]
    pub timestamp_ms: i64,
    /// The signature.
    #[serde(rename = "signature_hex", deserialize_with = "bytes")]
    pub signature: Vec<u8>,
}

/// INVOKE (GAP-3).
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Invoke {
    /// The agent's id.
    pub agent: String,
    /// The operation's name.
    pub operation: String,
    /// The arguments: the rest of the payload.
    #[serde(rename = "args_hex", deserialize_with = "bytes")]
    pub args: Vec<u8>,
}

/// CANCEL (CAN-2).
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Cancel {
    /// The reason; 0 where the payload is empty.
    #[serde(deserialize_with = "int")]
    pub reason: u64,
    /// The detail; empty where the payload is empty.
    pub detail: String,
    /// The signature block, if it is signed (SIG-13).
    #[serde(default)]
    pub signature_block: Option<SignatureBlock>,
}

/// BUDGET (BUD-2). An absent field constrains nothing.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Budget {
    /// Field 0x01.
    #[serde(default, deserialize_with = "int_or_none")]
    pub tokens_remaining: Option<u64>,
    /// Field 0x02, in millionths of the currency's unit.
    #[serde(default, deserialize_with = "int_or_none")]
    pub cost_microunits_remaining: Option<u64>,
    /// Field 0x03: three ASCII letters.
    #[serde(default)]
    pub currency: Option<String>,
    /// Field 0x04, in Unix milliseconds.
    #[serde(default, deserialize_with = "int_or_none")]
    pub deadline_ms: Option<i64>,
    /// Field 0x81, of this project: what the sender has spent so far.
    #[serde(default, deserialize_with = "int_or_none")]
    pub tokens_spent: Option<u64>,
    /// Field 0x82, of this project, in millionths of the currency's unit.
    #[serde(default, deserialize_with = "int_or_none")]
    pub cost_microunits_spent: Option<u64>,
}

/// DELEGATE (GAP-7).
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Delegate {
    /// The `aire://` URI delegated to.
    pub target: String,
    /// The DID behind it, or nothing.
    pub target_did: String,
    /// The delegator's OpID downstream; 0 if unknown.
    #[serde(deserialize_with = "int")]
    pub sub_op: u64,
}

/// ERROR (GAP-5).
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ErrorPayload {
    /// The code; not always one of the registry's.
    #[serde(deserialize_with = "int")]
    pub code: u64,
    /// What a person reads.
    pub detail: String,
    /// Opaque bytes: the rest of the payload.
    #[serde(rename = "data_hex", deserialize_with = "bytes")]
    pub data: Vec<u8>,
}

/// RESUMABLE (RES-2).
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Resumable {
    /// How long the token is good for, in seconds.
    #[serde(deserialize_with = "int")]
    pub ttl_secs: u64,
    /// The token.
    #[serde(rename = "token_hex", deserialize_with = "bytes")]
    pub token: Vec<u8>,
    /// The sequence number of the last STREAM sent (RES-4).
    #[serde(deserialize_with = "int")]
    pub last_seq: u64,
}

/// RESUME (RES-3).
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Resume {
    /// The token.
    #[serde(rename = "token_hex", deserialize_with = "bytes")]
    pub token: Vec<u8>,
    /// The sequence number of the last STREAM received (RES-4).
    #[serde(deserialize_with = "int")]
    pub last_recv: u64,
}

/// What the responder of a resumable operation knows when a RESUME comes (RES-5).
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Resumption {
    /// The only token that it has issued for the operation.
    #[serde(rename = "token_hex", deserialize_with = "bytes")]
    pub token: Vec<u8>,
    /// Whether an earlier RESUME used the token up (RES-10).
    pub spent: bool,
    /// Who began the operation.
    pub owner_did: String,
    /// Whose connection the RESUME comes on (GAP-17).
    pub asked_by_did: String,
    /// For how long the token is good, in seconds.
    pub ttl_secs: u64,
    /// How long ago RESUMABLE was sent, in milliseconds.
    pub age_ms: u64,
    /// How many STREAM frames it has sent.
    pub sent: u64,
    /// The number of the first of them that it still has.
    pub retained_from: u64,
}

/// What went into a signature, and what it covers (SIG-5).
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Signing {
    /// What the signer was given.
    pub inputs: SigningInputs,
    /// The payload in front of the block.
    #[serde(rename = "inner_payload_hex", deserialize_with = "bytes")]
    pub inner_payload: Vec<u8>,
    /// The signature.
    #[serde(rename = "signature_hex", deserialize_with = "bytes")]
    pub signature: Vec<u8>,
    /// The domain separator with its type byte.
    #[serde(rename = "domain_separator_hex", deserialize_with = "bytes")]
    pub domain_separator: Vec<u8>,
    /// All the signed bytes, domain separator included.
    #[serde(rename = "signed_message_hex", deserialize_with = "bytes")]
    pub signed_message: Vec<u8>,
}

/// What the signer of a vector was given.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SigningInputs {
    /// The private key's seed.
    #[serde(rename = "seed_hex", deserialize_with = "key")]
    pub seed: [u8; 32],
    /// The public key.
    #[serde(rename = "public_key_hex", deserialize_with = "key")]
    pub public_key: [u8; 32],
    /// The signer's DID.
    pub did: String,
    /// The verification method's id: VMID.
    #[serde(rename = "verification_method_id")]
    pub vmid: String,
    /// The nonce.
    #[serde(rename = "nonce_hex", deserialize_with = "nonce")]
    pub nonce: [u8; 16],
    /// The signer's clock in Unix milliseconds.
    pub timestamp_ms: i64,
}

/// Several frames on one stream, with nothing between them.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ConcatVector {
    /// The bytes of all frames.
    #[serde(rename = "encoded_hex", deserialize_with = "bytes")]
    pub encoded: Vec<u8>,
    /// The frames in order.
    pub frames: Vec<Frame>,
}

/// One varint.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct VarintVector {
    /// Its bytes: 1, 2, 4 or 8.
    #[serde(rename = "encoded_hex", deserialize_with = "bytes")]
    pub encoded: Vec<u8>,
    /// What they mean.
    #[serde(deserialize_with = "int")]
    pub value: u64,
    /// Whether there is no shorter form (WIRE-5).
    pub minimal: bool,
}

/// Input that a receiver refuses.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MalformedVector {
    /// What the peer sends.
    #[serde(rename = "encoded_hex", deserialize_with = "bytes")]
    pub encoded: Vec<u8>,
    /// Where it sends it.
    pub on: Place,
    /// Whether a FIN follows.
    pub fin: bool,
    /// The code that the receiver answers with.
    pub code: ErrorCode,
    /// What that ends.
    pub closes: Closes,
}

/// Where the peer of a [`MalformedVector`] sends its bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Place {
    /// On the control stream, in place of its HELLO.
    ControlFirst,
    /// On the control stream, after a good handshake.
    Control,
    /// The peer is the client: at the start of its first operation stream (QUIC
    /// stream 4, OpID 4), after a good handshake.
    Operation,
    /// As [`Operation`](Self::Operation), after a good INVOKE of an agent that exists.
    OperationAfterInvoke,
    /// The peer is the server: its first bytes on stream 4, in answer to our INVOKE
    /// with OpID 4.
    Reply,
}

/// What an ERROR ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Closes {
    /// The whole connection.
    Connection,
    /// Only the operation.
    Operation,
}

/// The error codes that vectors name: the registry, and this project's provisional
/// ones (GAP-6).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
#[repr(u8)]
pub enum ErrorCode {
    /// The peer's major version is another.
    IncompatibleVersion = 0x01,
    /// A required capability is not in the active set.
    MissingRequiredCapability = 0x02,
    /// Bytes that do not decode.
    MalformedFrame = 0x03,
    /// A frame that must not come here, or now.
    ProtocolViolation = 0x04,
    /// No signature, or not a good one.
    BadSignature = 0x05,
    /// Signed too long ago, or in the future.
    StaleTimestamp = 0x06,
    /// A nonce seen before.
    ReplayedNonce = 0x07,
    /// No key to be had for the DID.
    UnresolvableDid = 0x08,
    /// The key is another DID's.
    KeyMismatch = 0x09,
    /// The operation was cancelled.
    Cancelled = 0x0A,
    /// The budget is spent.
    BudgetExceeded = 0x0B,
    /// The deadline has passed.
    DeadlineExceeded = 0x0C,
    /// The delegate failed.
    DelegateFailed = 0x0D,
    /// A token that nobody knows.
    ResumeInvalid = 0x0E,
    /// A token past its time.
    ResumeExpired = 0x0F,
    /// The window has moved on.
    ResumeUnavailable = 0x10,
    /// A frame over the receiver's limit.
    FrameTooLarge = 0x40,
    /// No such agent.
    AgentNotFound = 0x41,
    /// Policy or overload.
    Refused = 0x42,
    /// The agent failed.
    Application = 0x43,
}

impl ErrorCode {
    /// The number on the wire.
    pub const fn number(self) -> u64 {
        self as u64
    }
}

/// A did:key identity (ID-2, SIG-3).
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DidKeyVector {
    /// The private key's seed.
    #[serde(rename = "seed_hex", deserialize_with = "key")]
    pub seed: [u8; 32],
    /// The public key.
    #[serde(rename = "public_key_hex", deserialize_with = "key")]
    pub public_key: [u8; 32],
    /// Its DID.
    pub did: String,
    /// The id of its only verification method.
    pub vmid: String,
}

/// What comes on the control stream behind a peer's HELLO, on a connection whose ends
/// both advertise channel binding (GAP-21).
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BindingVector {
    /// The whole frame, of type 0x80 with OpID 0.
    #[serde(rename = "encoded_hex", deserialize_with = "bytes")]
    pub encoded: Vec<u8>,
    /// What the TLS session exports at the receiver.
    #[serde(rename = "exporter_hex", deserialize_with = "key")]
    pub exporter: [u8; 32],
    /// The seed of the key that signed the HELLO before it.
    #[serde(rename = "peer_seed_hex", deserialize_with = "key")]
    pub peer_seed: [u8; 32],
    /// The NodeID of that HELLO.
    pub peer_did: String,
    /// The code that the receiver closes the connection with; `None` where it is good.
    #[serde(default)]
    pub code: Option<ErrorCode>,
    /// How a good one came about. Its inner payload is empty; behind the separator the
    /// exporter's value is signed, and then the block.
    #[serde(default)]
    pub signing: Option<Signing>,
}

/// What comes on an operation's stream before INVOKE, where both ends advertise
/// delegation.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PathVector {
    /// The whole frame, of type 0x81.
    #[serde(rename = "encoded_hex", deserialize_with = "bytes")]
    pub encoded: Vec<u8>,
    /// The hops, the root first and the sender last; absent where the path is refused.
    #[serde(default)]
    pub hops: Option<Vec<Hop>>,
    /// Whether encoding the hops gives [`encoded`](Self::encoded) again.
    #[serde(default)]
    pub canonical: bool,
    /// Why it is refused.
    #[serde(default)]
    pub refused: Option<PathFault>,
}

/// A node and its agent that a delegated operation came through.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Hop {
    /// The node's DID.
    pub did: String,
    /// The agent.
    pub agent: String,
}

/// Text that shall be an address.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AddressVector<T> {
    /// The text.
    pub text: String,
    /// What it means; absent where it is refused.
    pub parts: Option<T>,
}

/// What a URI means.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct UriParts {
    /// The URI in its normal form, which all that equal it share (URI-4).
    pub normal: String,
    /// The host in the normal form, with the brackets of an IPv6 address.
    pub host: String,
    /// The port (URI-2).
    pub port: u16,
    /// The localpart of a handle (URI-5).
    #[serde(default)]
    pub userinfo: Option<String>,
    /// The agent's id, decoded (URI-3).
    #[serde(default)]
    pub agent: Option<String>,
    /// The operation, decoded (URI-3).
    #[serde(default)]
    pub operation: Option<String>,
}

/// What a handle means.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HandleParts {
    /// The handle as people see it.
    pub shown: String,
    /// Where HTTPS looks it up (DISC-5).
    pub https_url: String,
    /// What the DID document must hold (DISC-7).
    pub also_known_as: String,
    /// Where DNS looks it up (DISC-4); absent where DNS has no such name.
    #[serde(default)]
    pub txt_name: Option<String>,
}

/// What a `did:web` means.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DidWebParts {
    /// Where its document is.
    pub url: String,
}

/// Why a delegation path is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum PathFault {
    /// It does not decode.
    Malformed,
    /// It has more than 16 hops.
    TooManyHops,
}
