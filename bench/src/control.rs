//! One frame of every type but STREAM, with what such frames hold in practice.

use std::fmt;
use std::hint::black_box;

use aire_proto::connection::{Config, Connection, Transmit};
use aire_proto::handshake::Local;
use aire_proto::identity::{Ed25519Signer, Signer};
use aire_proto::storage::Fixed;
use aire_proto::wire::{
    Budget, Cancel, Capability, Currency, Delegate, ErrorFrame, FrameType, Invoke, NONCE_LEN,
    Payload, Resumable, Resume, SIGNATURE_LEN, domain_separator,
};
use aire_proto::{CancelReason, ErrorCode, Now, Role, UnixMillis};

/// When the samples are signed.
pub const SIGNED_AT: UnixMillis = UnixMillis(1_781_568_000_000);

/// What a HELLO says.
#[derive(Clone, Debug)]
pub struct HelloSample {
    /// The major version.
    pub major: u64,
    /// The minor version.
    pub minor: u64,
    /// The sender's DID.
    pub node_id: String,
    /// What it can do, in the order of the names.
    pub capabilities: Vec<Capability<'static>>,
    /// The verification method.
    pub method: String,
    /// The nonce.
    pub nonce: [u8; NONCE_LEN],
    /// When it was signed.
    pub timestamp: UnixMillis,
    /// A signature of somebody who does not calculate: codecs copy it, nobody checks it.
    pub signature: [u8; SIGNATURE_LEN],
}

/// A frame to encode.
#[derive(Clone, Debug)]
pub enum Sample {
    /// A HELLO with three capabilities.
    Hello(HelloSample),
    /// An INVOKE with 32 bytes of arguments.
    Invoke(Invoke<'static>),
    /// A CANCEL with a short detail.
    Cancel(Cancel<'static>),
    /// A BUDGET with every field.
    Budget(Budget),
    /// A DELEGATE to a `did:key` node.
    Delegate(Delegate<'static>),
    /// An ERROR with a detail and 16 bytes of data.
    Error(ErrorFrame<'static>),
    /// A GOODBYE.
    Goodbye,
    /// A RESUMABLE with a token of 32 bytes.
    Resumable(Resumable<'static>),
    /// A RESUME with a token of 32 bytes.
    Resume(Resume<'static>),
}

/// A signer that does no work, so that a HELLO's encoding is measured and not Ed25519.
#[derive(Debug)]
pub struct IdleSigner(HelloSample);

impl Signer for IdleSigner {
    fn did(&self) -> &str {
        &self.0.node_id
    }

    fn method(&self) -> &str {
        &self.0.method
    }

    fn sign(&self, message: &[u8]) -> [u8; SIGNATURE_LEN] {
        black_box(message);
        self.0.signature
    }
}

impl Sample {
    /// One of each.
    #[must_use]
    pub fn all() -> Vec<Self> {
        let identity = Ed25519Signer::from_seed([7; 32]);
        let capability = |name, version, required| Capability {
            name,
            version,
            required,
        };
        vec![
            Self::Hello(HelloSample {
                major: 0,
                minor: 4,
                node_id: identity.did().to_owned(),
                capabilities: vec![
                    capability("aire.did-method.key/1", 1, false),
                    capability("aire.resumable/1", 1, false),
                    capability("com.example.search/2", 3, true),
                ],
                method: identity.method().to_owned(),
                nonce: [0x5a; NONCE_LEN],
                timestamp: SIGNED_AT,
                signature: [0xa5; SIGNATURE_LEN],
            }),
            Self::Invoke(Invoke {
                agent: "translator",
                operation: "translate",
                args: &[0x20; 32],
            }),
            Self::Cancel(Cancel {
                reason: CancelReason::UserCancelled,
                detail: "the user closed the window",
            }),
            Self::Budget(Budget {
                tokens: Some(120_000),
                cost_microunits: Some(2_500_000),
                currency: Some(Currency::USD),
                deadline: Some(UnixMillis(SIGNED_AT.0 + 60_000)),
                ..Budget::default()
            }),
            Self::Delegate(Delegate {
                target: "aire://agents.example.com:4433/summarizer",
                target_did: "did:key:z6MkqWxM23zvnFMz6oZnWnPGF9jdp4g3JLK2TcJzPGevVDBY",
                sub_op: 12,
            }),
            Self::Error(ErrorFrame {
                code: ErrorCode::Refused,
                detail: "too many operations",
                data: &[0x10; 16],
            }),
            Self::Goodbye,
            Self::Resumable(Resumable {
                ttl_secs: 300,
                token: &[0x70; 32],
                last_seq: 1_000,
            }),
            Self::Resume(Resume {
                token: &[0x70; 32],
                last_recv: 1_000,
            }),
        ]
    }

    /// The frame's type.
    #[must_use]
    pub const fn frame_type(&self) -> FrameType {
        match self {
            Self::Hello(_) => FrameType::Hello,
            Self::Invoke(_) => FrameType::Invoke,
            Self::Cancel(_) => FrameType::Cancel,
            Self::Budget(_) => FrameType::Budget,
            Self::Delegate(_) => FrameType::Delegate,
            Self::Error(_) => FrameType::Error,
            Self::Goodbye => FrameType::Goodbye,
            Self::Resumable(_) => FrameType::Resumable,
            Self::Resume(_) => FrameType::Resume,
        }
    }

    /// The operation that the frame is of; 0 on the control stream.
    #[must_use]
    pub const fn op_id(&self) -> u64 {
        match self {
            Self::Hello(_) | Self::Goodbye => 0,
            _ => crate::stream::OP_ID,
        }
    }

    /// Encodes the frame with `aire-proto`; returns its length.
    ///
    /// # Panics
    /// When `out` is too short, which it is not in a benchmark.
    #[inline]
    pub fn encode(&self, out: &mut [u8]) -> usize {
        let op_id = self.op_id();
        match self {
            Self::Hello(_) => Ok(0),
            Self::Invoke(invoke) => invoke.encode_frame(op_id, out),
            Self::Cancel(cancel) => cancel.encode_frame(op_id, out),
            Self::Budget(budget) => budget.encode_frame(op_id, out),
            Self::Delegate(delegate) => delegate.encode_frame(op_id, out),
            Self::Error(error) => error.encode_frame(op_id, out),
            Self::Goodbye => aire_proto::wire::Goodbye.encode_frame(op_id, out),
            Self::Resumable(resumable) => resumable.encode_frame(op_id, out),
            Self::Resume(resume) => resume.encode_frame(op_id, out),
        }
        .expect("the buffer is long enough")
    }

    /// The frame's bytes.
    #[must_use]
    pub fn wire(&self) -> Vec<u8> {
        if let Self::Hello(hello) = self {
            let mut wire = Vec::new();
            let signer = hello.idle_signer();
            hello_through_connection(&signer, |bytes| wire.extend_from_slice(bytes));
            return wire;
        }
        let mut out = [0; 512];
        let len = self.encode(&mut out);
        out[..len].to_vec()
    }
}

impl HelloSample {
    /// Somebody to send this HELLO.
    #[must_use]
    pub fn idle_signer(&self) -> IdleSigner {
        IdleSigner(self.clone())
    }
}

/// Encodes a HELLO the only way there is: a new connection starts, and has it for its transport.
/// That is more work than an encoder has elsewhere; the connection is a device's, the smallest
/// that there is.
#[inline(never)]
pub fn hello_through_connection(signer: &IdleSigner, mut sink: impl FnMut(&[u8])) {
    let hello = &signer.0;
    let now = Now {
        unix: hello.timestamp,
        ..Now::default()
    };
    let mut connection: Connection<Fixed<1, 64, 1, 512>> =
        Connection::new(Role::Client, Config::default(), now);
    let local = Local {
        signer,
        capabilities: &hello.capabilities,
    };
    connection
        .start(&local, &hello.nonce, now)
        .expect("512 bytes hold the HELLO");
    if let Some(Transmit::Data { head, .. }) = connection.poll_transmit() {
        sink(head);
    }
}

/// The bytes that a HELLO's signature is over: separator, then what is covered.
#[must_use]
pub fn signed_bytes() -> Vec<u8> {
    let mut bytes = domain_separator(FrameType::Hello).to_vec();
    // As many as the sample HELLO has: what is in them makes no difference to Ed25519.
    bytes.extend((0..covered_len()).map(|index| index as u8));
    bytes
}

fn covered_len() -> usize {
    let samples = Sample::all();
    let hello = samples.first().map(Sample::wire).unwrap_or_default();
    // Envelope, signature length and signature are not covered.
    hello.len() - 5 - 2 - SIGNATURE_LEN
}

impl fmt::Display for Sample {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.frame_type().name())
    }
}
