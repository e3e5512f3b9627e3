//! Ed25519 that remembers: a test that shakes the same hands a thousand times pays once.

use std::cell::RefCell;
use std::collections::HashMap;
use std::rc::Rc;

use aire_proto::identity::{
    Ed25519Signer, Ed25519Verifier, PublicKey, SignatureVerifier, SignedMessage, Signer,
};

/// Past so many entries a table begins anew.
const MOST: usize = 4096;

type Signed = ([u8; 32], Vec<u8>);
type Verified = (PublicKey, Vec<u8>, [u8; 64]);

thread_local! {
    static SIGNERS: RefCell<HashMap<[u8; 32], Rc<Ed25519Signer>>> = RefCell::default();
    static SIGNATURES: RefCell<HashMap<Signed, [u8; 64]>> = RefCell::default();
    static VERDICTS: RefCell<HashMap<Verified, bool>> = RefCell::default();
}

fn remembered<K: Eq + std::hash::Hash, V: Clone>(
    table: &RefCell<HashMap<K, V>>,
    key: K,
    compute: impl FnOnce(&K) -> V,
) -> V {
    if let Some(known) = table.borrow().get(&key) {
        return known.clone();
    }
    let value = compute(&key);
    let mut table = table.borrow_mut();
    if table.len() >= MOST {
        table.clear();
    }
    table.insert(key, value.clone());
    value
}

/// A signer for the `did:key` of a seed.
pub struct QuickSigner {
    seed: [u8; 32],
    signer: Rc<Ed25519Signer>,
}

impl QuickSigner {
    pub fn from_seed(seed: [u8; 32]) -> Self {
        let signer = SIGNERS
            .with(|table| remembered(table, seed, |seed| Rc::new(Ed25519Signer::from_seed(*seed))));
        Self { seed, signer }
    }
}

impl Signer for QuickSigner {
    fn did(&self) -> &str {
        self.signer.did()
    }

    fn method(&self) -> &str {
        self.signer.method()
    }

    fn sign(&self, message: &[u8]) -> [u8; 64] {
        let key = (self.seed, message.to_vec());
        SIGNATURES.with(|table| remembered(table, key, |_| self.signer.sign(message)))
    }
}

/// Verifies with [`Ed25519Verifier`], each signature once.
pub struct QuickVerifier;

impl SignatureVerifier for QuickVerifier {
    fn verify(&self, key: &PublicKey, message: SignedMessage<'_>, signature: &[u8; 64]) -> bool {
        let whole = [message.separator, message.covered].concat();
        let entry = (*key, whole, *signature);
        VERDICTS.with(|table| {
            remembered(table, entry, |_| {
                Ed25519Verifier.verify(key, message, signature)
            })
        })
    }
}
