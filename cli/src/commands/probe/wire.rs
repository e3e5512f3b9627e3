//! Bytes to send, right and wrong: what `aire_proto::wire` would never write is written here by
//! hand. And the frames of what came.

use std::time::{SystemTime, UNIX_EPOCH};

use aire_proto::identity::{Ed25519Signer, Signer as _};
use aire_proto::wire::{FrameType, Payload, domain_separator};
use aire_proto::{ErrorCode, varint};

pub(super) const HELLO: u8 = 0x01;
pub(super) const RESERVED: u8 = 0x02;
pub(super) const INVOKE: u8 = 0x03;
pub(super) const STREAM: u8 = 0x04;
pub(super) const CANCEL: u8 = 0x05;
pub(super) const BUDGET: u8 = 0x06;
pub(super) const ERROR: u8 = 0x08;
pub(super) const GOODBYE: u8 = 0x09;
pub(super) const RESUMABLE: u8 = 0x0a;
pub(super) const RESUME: u8 = 0x0b;
/// Of a version to come (`TYPE-2`).
pub(super) const LATER: u8 = 0x7f;
/// A vendor's (`TYPE-2`).
pub(super) const VENDOR: u8 = 0xfe;
/// The channel binding (`GAP-21`).
pub(super) const BINDING: u8 = 0x80;

/// How numbers are written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Numbers {
    /// As short as they can be (`WIRE-5`).
    #[default]
    Short,
    /// In eight bytes, whatever they are (`WIRE-6`).
    Long,
}

impl Numbers {
    /// `value`, which is under 2^62.
    pub(super) fn write(self, value: u64) -> Vec<u8> {
        let mut out = [0; varint::MAX_LEN];
        match (self, varint::encode(value, &mut out)) {
            (Self::Short, Some(len)) => out[..len].to_vec(),
            _ => (value | 0xc000_0000_0000_0000).to_be_bytes().to_vec(),
        }
    }

    pub(super) fn prefixed(self, bytes: &[u8]) -> Vec<u8> {
        let mut out = self.write(bytes.len() as u64);
        out.extend_from_slice(bytes);
        out
    }
}

pub(super) fn number(value: u64) -> Vec<u8> {
    Numbers::Short.write(value)
}

pub(super) fn prefixed(bytes: &[u8]) -> Vec<u8> {
    Numbers::Short.prefixed(bytes)
}

/// The front of a frame whose payload has, or claims to have, `len` bytes.
pub(super) fn head(kind: u8, op: u64, len: u64) -> Vec<u8> {
    [vec![kind, 0], number(op), number(len)].concat()
}

pub(super) fn frame(kind: u8, op: u64, payload: &[u8]) -> Vec<u8> {
    [&head(kind, op, payload.len() as u64), payload].concat()
}

/// A whole frame of a type that `aire_proto` writes.
pub(super) fn encode<P: Payload>(op: u64, payload: &P) -> Vec<u8> {
    // What the probe sends has no number over 62 bits, so only the room can be short.
    let mut out = vec![0; payload.encoded_len().unwrap_or(0) + 32];
    let len = payload.encode_frame(op, &mut out).unwrap_or(0);
    out.truncate(len);
    out
}

/// The milliseconds since 1970 by this machine's clock.
pub(super) fn unix_now() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    i64::try_from(since.unwrap_or_default().as_millis()).unwrap_or(i64::MAX)
}

/// Fresh random bytes.
///
/// # Panics
/// When the system has none to give: nothing here is worth anything then.
pub(super) fn random<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    boring::rand::rand_bytes(&mut bytes).expect("the system gives random bytes");
    bytes
}

/// A key that nobody has seen.
pub(super) fn stranger() -> Ed25519Signer {
    Ed25519Signer::from_seed(random())
}

/// The end of a signed payload, open to every mistake (`SIG-4`).
#[derive(Clone, Debug)]
pub(super) struct Block {
    pub(super) algorithm: u8,
    pub(super) method: Vec<u8>,
    pub(super) nonce: [u8; 16],
    pub(super) timestamp: i64,
    /// The type of the frame that the signature is made for.
    pub(super) signed_as: u8,
    /// Bytes of the signature that are sent.
    pub(super) signature_len: usize,
    pub(super) numbers: Numbers,
}

impl Block {
    /// A good one, of `signer` and of now.
    pub(super) fn new(signer: &Ed25519Signer, signed_as: u8) -> Self {
        Self {
            algorithm: 1,
            method: signer.method().into(),
            nonce: random(),
            timestamp: unix_now(),
            signed_as,
            signature_len: 64,
            numbers: Numbers::Short,
        }
    }

    /// `unseen`, `inner` and the block are signed; `inner` and the block are returned.
    pub(super) fn sign(&self, signer: &Ed25519Signer, unseen: &[u8], inner: &[u8]) -> Vec<u8> {
        let mut payload = inner.to_vec();
        payload.push(self.algorithm);
        payload.extend(self.numbers.prefixed(&self.method));
        payload.extend(self.nonce);
        payload.extend(self.timestamp.to_be_bytes());
        let separator = domain_separator(FrameType::from_wire(self.signed_as));
        let signature = signer.sign(&[&separator[..], unseen, &payload].concat());
        let len = self.signature_len.min(signature.len());
        payload.extend(self.numbers.prefixed(&signature[..len]));
        payload
    }
}

/// A capability entry.
#[derive(Clone, Debug)]
pub(super) struct Entry {
    pub(super) name: Vec<u8>,
    pub(super) version: u64,
    pub(super) required: u8,
}

impl Entry {
    pub(super) fn new(name: &str, required: bool) -> Self {
        Self {
            name: name.into(),
            version: 1,
            required: required.into(),
        }
    }
}

/// A HELLO, open to every mistake (`HS-4`).
#[derive(Clone, Debug)]
pub(super) struct HelloDraft {
    pub(super) major: u64,
    pub(super) minor: u64,
    pub(super) node_id: Vec<u8>,
    pub(super) capabilities: Vec<Entry>,
    /// None, and it is unsigned.
    pub(super) block: Option<Block>,
    /// What follows the block.
    pub(super) trailing: Vec<u8>,
    pub(super) flags: u8,
    pub(super) numbers: Numbers,
}

impl HelloDraft {
    /// A good one, of `signer` and of now.
    pub(super) fn new(signer: &Ed25519Signer, capabilities: Vec<Entry>) -> Self {
        Self {
            major: 0,
            minor: aire_proto::handshake::MINOR,
            node_id: signer.did().into(),
            capabilities,
            block: Some(Block::new(signer, HELLO)),
            trailing: Vec::new(),
            flags: 0,
            numbers: Numbers::Short,
        }
    }

    /// The same with another block.
    pub(super) fn block(mut self, change: impl FnOnce(&mut Block)) -> Self {
        if let Some(block) = &mut self.block {
            change(block);
        }
        self
    }

    fn inner(&self) -> Vec<u8> {
        let numbers = self.numbers;
        let mut out = numbers.write(self.major);
        out.extend(numbers.write(self.minor));
        out.extend(numbers.prefixed(&self.node_id));
        out.extend(numbers.write(self.capabilities.len() as u64));
        for entry in &self.capabilities {
            out.extend(numbers.prefixed(&entry.name));
            out.extend(numbers.write(entry.version));
            out.push(entry.required);
        }
        out
    }

    /// The payload, signed by `signer`.
    pub(super) fn payload(&self, signer: &Ed25519Signer) -> Vec<u8> {
        let inner = self.inner();
        let mut payload = match &self.block {
            Some(block) => block.sign(signer, &[], &inner),
            None => inner,
        };
        payload.extend(&self.trailing);
        payload
    }

    /// The whole frame, signed by `signer`.
    pub(super) fn frame(&self, signer: &Ed25519Signer) -> Vec<u8> {
        let payload = self.payload(signer);
        let mut out = vec![HELLO, self.flags];
        out.extend(self.numbers.write(0));
        out.extend(self.numbers.prefixed(&payload));
        out
    }
}

/// The frame that binds `signer` to the connection with this value (`GAP-21`).
pub(super) fn binding(signer: &Ed25519Signer, value: &[u8]) -> Vec<u8> {
    let block = Block::new(signer, BINDING);
    frame(BINDING, 0, &block.sign(signer, value, &[]))
}

/// A frame that came.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Frame {
    pub(super) kind: u8,
    pub(super) flags: u8,
    pub(super) op: u64,
    pub(super) payload: Vec<u8>,
    /// Whether its envelope's numbers are as short as they can be.
    pub(super) is_shortest: bool,
}

impl Frame {
    /// The code of an ERROR.
    pub(super) fn error(&self) -> Option<ErrorCode> {
        let (code, _) = (self.kind == ERROR).then(|| varint::decode(&self.payload))??;
        Some(ErrorCode::from_wire(code))
    }

    /// What people call its type.
    pub(super) fn name(&self) -> String {
        match self.kind {
            HELLO => "HELLO".into(),
            INVOKE => "INVOKE".into(),
            STREAM => "STREAM".into(),
            CANCEL => "CANCEL".into(),
            BUDGET => "BUDGET".into(),
            ERROR => match self.error() {
                Some(code) => format!("ERROR {code}"),
                None => "ERROR without a code".into(),
            },
            GOODBYE => "GOODBYE".into(),
            RESUMABLE => "RESUMABLE".into(),
            RESUME => "RESUME".into(),
            other => format!("a frame of type {other:#04x}"),
        }
    }
}

/// The whole frames at the front of `bytes`, and how many bytes they take.
pub(super) fn frames(bytes: &[u8]) -> (Vec<Frame>, usize) {
    let mut frames = Vec::new();
    let mut rest = bytes;
    while let Some((frame, behind)) = first_frame(rest) {
        frames.push(frame);
        rest = behind;
    }
    (frames, bytes.len() - rest.len())
}

fn first_frame(bytes: &[u8]) -> Option<(Frame, &[u8])> {
    let (&[kind, flags], rest) = bytes.split_first_chunk()?;
    let (op, op_len) = varint::decode(rest)?;
    let rest = rest.get(op_len..)?;
    let (len, len_len) = varint::decode(rest)?;
    let (payload, rest) = rest
        .get(len_len..)?
        .split_at_checked(usize::try_from(len).ok()?)?;
    let is_shortest =
        varint::encoded_len(op) == Some(op_len) && varint::encoded_len(len) == Some(len_len);
    let frame = Frame {
        kind,
        flags,
        op,
        payload: payload.to_vec(),
        is_shortest,
    };
    Some((frame, rest))
}

#[cfg(test)]
mod tests {
    use super::*;
    use aire_proto::identity::{Ed25519Verifier, SignatureVerifier as _, SignedMessage};
    use aire_proto::wire::Hello;

    #[test]
    fn a_draft_that_nobody_touched_is_a_good_hello() {
        let signer = stranger();
        let mut draft = HelloDraft::new(&signer, vec![Entry::new("aire.did-method.key/1", false)]);
        for numbers in [Numbers::Short, Numbers::Long] {
            draft.numbers = numbers;
            draft = draft.block(|block| block.numbers = numbers);
            let bytes = draft.frame(&signer);
            let (frames, used) = frames(&bytes);
            assert_eq!((frames.len(), used), (1, bytes.len()));
            assert_eq!(frames[0].is_shortest, numbers == Numbers::Short);
            let hello = Hello::decode(&frames[0].payload).expect("it parses");
            let block = hello.block.expect("it is signed");
            let message = SignedMessage {
                separator: &domain_separator(FrameType::Hello),
                covered: &frames[0].payload[..hello.covered],
            };
            let signature = block.signature.try_into().expect("64 bytes");
            assert_eq!(hello.node_id, signer.did());
            assert!(Ed25519Verifier.verify(&signer.public_key(), message, signature));
        }
    }

    #[test]
    fn a_frame_that_is_cut_is_no_frame_yet() {
        let bytes = [frame(STREAM, 4, b"ab"), frame(ERROR, 4, &[0x41, 0x41, 0])].concat();
        let (whole, used) = frames(&bytes);
        assert_eq!((whole.len(), used), (2, bytes.len()));
        assert_eq!(whole[1].error(), Some(ErrorCode::Other(0x141)));
        let (cut, used) = frames(&bytes[..bytes.len() - 1]);
        assert_eq!((cut.len(), used), (1, 6));
    }
}
