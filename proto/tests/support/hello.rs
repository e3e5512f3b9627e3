//! Signed frames built field by field, good ones and bad ones: HELLO, CANCEL, channel bindings.

use aire_proto::identity::Signer;
use aire_proto::wire::{Cancel, Capability, FrameType, Payload, Writer, domain_separator};

use super::lone::frame;
use super::quick::QuickSigner;

/// What stands behind the inner payload.
#[derive(Clone)]
pub struct Block {
    pub algorithm: u8,
    pub method: String,
    pub nonce: [u8; 16],
    pub timestamp: i64,
    /// Which bytes of the signature are flipped after signing.
    pub spoiled: Option<usize>,
    /// How many bytes of it are sent.
    pub signature_len: usize,
}

impl Block {
    /// A good one by the `did:key` of `seed`.
    pub fn by(seed: [u8; 32], nonce: [u8; 16], timestamp: i64) -> Self {
        Self {
            algorithm: 1,
            method: QuickSigner::from_seed(seed).method().to_owned(),
            nonce,
            timestamp,
            spoiled: None,
            signature_len: 64,
        }
    }

    /// The block's bytes behind `inner` in a frame of this type. It signs `unsent`, which is on no
    /// wire, `inner`, and itself.
    pub fn behind(
        &self,
        inner: &[u8],
        frame_type: FrameType,
        unsent: &[u8],
        seed: [u8; 32],
    ) -> Vec<u8> {
        let mut room = vec![0; 2_000];
        let mut out = Writer::new(&mut room);
        out.u8(self.algorithm);
        out.prefixed(self.method.as_bytes());
        out.bytes(&self.nonce);
        out.bytes(&self.timestamp.to_be_bytes());
        let signed = out.finish().expect("it fits");
        let separator = &domain_separator(frame_type)[..];
        let message = [separator, unsent, inner, &room[..signed]].concat();
        let mut signature = QuickSigner::from_seed(seed).sign(&message);
        if let Some(at) = self.spoiled {
            signature[at] ^= 1;
        }
        let mut out = Writer::new(&mut room[signed..]);
        out.prefixed(&signature[..self.signature_len]);
        let len = out.finish().expect("it fits");
        room.truncate(signed + len);
        room
    }
}

/// A CANCEL with `block` behind it (`SIG-13`).
pub fn signed_cancel(op_id: u64, cancel: &Cancel<'_>, block: &Block, seed: [u8; 32]) -> Vec<u8> {
    let mut payload = vec![0; cancel.encoded_len().expect("its numbers fit")];
    cancel.encode(&mut payload).expect("it fits");
    payload.extend(block.behind(&payload, FrameType::Cancel, &[], seed));
    frame(0x05, op_id, &payload)
}

/// The frame that binds the identity of `block` to the session that exports `exporter` (`GAP-21`).
pub fn binding(exporter: &[u8; 32], block: &Block, seed: [u8; 32]) -> Vec<u8> {
    frame(
        0x80,
        0,
        &block.behind(&[], FrameType::Vendor(0x80), exporter, seed),
    )
}

/// A HELLO to be.
#[derive(Clone)]
pub struct HelloFrame {
    pub seed: [u8; 32],
    pub major: u64,
    pub minor: u64,
    pub node_id: String,
    /// In the order in which they are sent.
    pub capabilities: Vec<Capability<'static>>,
    pub block: Option<Block>,
    pub trailing: Vec<u8>,
    pub op_id: u64,
}

impl HelloFrame {
    /// A good one, of minor 4, with `aire.did-method.key/1`.
    pub fn signed(seed: [u8; 32], nonce: [u8; 16], timestamp: i64) -> Self {
        let signer = QuickSigner::from_seed(seed);
        Self {
            seed,
            major: 0,
            minor: 4,
            node_id: signer.did().to_owned(),
            capabilities: vec![Capability {
                name: "aire.did-method.key/1",
                version: 1,
                required: false,
            }],
            block: Some(Block::by(seed, nonce, timestamp)),
            trailing: Vec::new(),
            op_id: 0,
        }
    }

    /// One without a block.
    pub fn unsigned(minor: u64, node_id: &str) -> Self {
        Self {
            minor,
            node_id: node_id.to_owned(),
            block: None,
            ..Self::signed([1; 32], [0; 16], 0)
        }
    }

    pub fn with(mut self, change: impl FnOnce(&mut Self)) -> Self {
        change(&mut self);
        self
    }

    pub fn with_block(mut self, change: impl FnOnce(&mut Block)) -> Self {
        change(self.block.as_mut().expect("it has a block"));
        self
    }

    pub fn payload(&self) -> Vec<u8> {
        let mut room = vec![0; 70_000];
        let mut out = Writer::new(&mut room);
        out.varint(self.major);
        out.varint(self.minor);
        out.prefixed(self.node_id.as_bytes());
        out.varint(self.capabilities.len() as u64);
        for entry in &self.capabilities {
            out.prefixed(entry.name.as_bytes());
            out.varint(entry.version);
            out.u8(u8::from(entry.required));
        }
        let len = out.finish().expect("it fits");
        room.truncate(len);
        let mut payload = room;
        if let Some(block) = &self.block {
            payload.extend(block.behind(&payload, FrameType::Hello, &[], self.seed));
        }
        payload.extend_from_slice(&self.trailing);
        payload
    }

    pub fn encode(&self) -> Vec<u8> {
        frame(0x01, self.op_id, &self.payload())
    }
}
