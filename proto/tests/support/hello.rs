//! HELLO frames built field by field, good ones and bad ones.

use aire_proto::identity::Signer;
use aire_proto::wire::{Capability, FrameType, Writer, domain_separator};

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
            block: Some(Block {
                algorithm: 1,
                method: signer.method().to_owned(),
                nonce,
                timestamp,
                spoiled: None,
                signature_len: 64,
            }),
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
        if let Some(block) = &self.block {
            out.u8(block.algorithm);
            out.prefixed(block.method.as_bytes());
            out.bytes(&block.nonce);
            out.bytes(&block.timestamp.to_be_bytes());
        }
        let signed = out.finish().expect("it fits");
        let mut payload = room[..signed].to_vec();
        if let Some(block) = &self.block {
            let message = [&domain_separator(FrameType::Hello)[..], &payload].concat();
            let mut signature = QuickSigner::from_seed(self.seed).sign(&message);
            if let Some(at) = block.spoiled {
                signature[at] ^= 1;
            }
            let mut out = Writer::new(&mut room);
            out.prefixed(&signature[..block.signature_len]);
            let len = out.finish().expect("it fits");
            payload.extend_from_slice(&room[..len]);
        }
        payload.extend_from_slice(&self.trailing);
        payload
    }

    pub fn encode(&self) -> Vec<u8> {
        frame(0x01, self.op_id, &self.payload())
    }
}
