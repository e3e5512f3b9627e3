//! Ed25519 public keys and `did:key`, both ways (`ID-2`, `SIG-3`).

use core::fmt;

/// The longest `did:key` of an Ed25519 key, in bytes.
pub const DID_KEY_LEN: usize = 56;

/// The longest verification method id of such a DID, in bytes.
pub const METHOD_LEN: usize = 105;

/// The multicodec prefix of an Ed25519 public key.
const MULTICODEC: [u8; 2] = [0xed, 0x01];

/// An Ed25519 public key.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct PublicKey(pub [u8; 32]);

impl fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PublicKey(")?;
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))?;
        f.write_str(")")
    }
}

impl PublicKey {
    /// Reads a multibase, multicodec key: `z`, then base58btc of 0xed01 and 32 bytes. `None` when
    /// it is anything else.
    #[must_use]
    pub fn from_multibase(text: &str) -> Option<Self> {
        let base58 = text.strip_prefix('z')?;
        let mut raw = [0; 34];
        let len = bs58::decode(base58).onto(&mut raw).ok()?;
        let (prefix, key) = raw.split_first_chunk()?;
        if len != raw.len() || *prefix != MULTICODEC {
            return None;
        }
        Some(Self(key.try_into().ok()?))
    }

    /// The key that a `did:key` is.
    #[must_use]
    pub fn from_did_key(did: &str) -> Option<Self> {
        Self::from_multibase(did.strip_prefix("did:key:")?)
    }

    /// The key that a `did:key`'s verification method id names: the fragment must be the DID's
    /// own identifier (`SIG-3`).
    #[must_use]
    pub fn from_did_key_method(method: &str) -> Option<Self> {
        let (did, fragment) = method.split_once('#')?;
        let identifier = did.strip_prefix("did:key:")?;
        (identifier == fragment).then(|| Self::from_multibase(identifier))?
    }
}

/// A key's DID and its verification method id, as text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DidKey {
    method: heapless::String<METHOD_LEN>,
    did_len: usize,
}

impl DidKey {
    /// The `did:key` of `key`.
    #[must_use]
    pub fn new(key: &PublicKey) -> Self {
        let mut raw = [0; 34];
        if let Some((prefix, rest)) = raw.split_first_chunk_mut() {
            *prefix = MULTICODEC;
            rest.copy_from_slice(&key.0);
        }
        let mut base58 = [0; DID_KEY_LEN];
        let len = bs58::encode(raw).onto(&mut base58[..]).unwrap_or(0);
        let digits = base58.get(..len).unwrap_or_default();
        let digits = core::str::from_utf8(digits).unwrap_or_default();

        let mut method = heapless::String::new();
        // 34 bytes that begin with 0xed take 47 digits, so all of it fits.
        let pushed = ["did:key:z", digits]
            .iter()
            .try_for_each(|part| method.push_str(part));
        let did_len = method.len();
        let pushed = pushed
            .and_then(|()| method.push_str("#z"))
            .and_then(|()| method.push_str(digits));
        debug_assert!(pushed.is_ok());
        Self { method, did_len }
    }

    /// `did:key:z...`
    #[must_use]
    pub fn did(&self) -> &str {
        self.method.get(..self.did_len).unwrap_or_default()
    }

    /// `did:key:z...#z...`
    #[must_use]
    pub fn method(&self) -> &str {
        &self.method
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn did_key_goes_both_ways_for_the_extremes() {
        for byte in [0x00, 0x01, 0x7f, 0xff] {
            let key = PublicKey([byte; 32]);
            let did = DidKey::new(&key);
            assert!(did.did().len() <= DID_KEY_LEN && did.method().len() <= METHOD_LEN);
            assert_eq!(PublicKey::from_did_key(did.did()), Some(key));
            assert_eq!(PublicKey::from_did_key_method(did.method()), Some(key));
        }
    }

    #[test]
    fn other_codecs_lengths_and_alphabets_are_no_key() {
        let did = DidKey::new(&PublicKey([7; 32]));
        let good = did.did();
        let shorter = good.get(..good.len() - 1).unwrap();
        for bad in [
            shorter,
            "did:key:",
            "did:key:z",
            "did:key:m6MkqWxM23zvnFMz6oZnWnPGF9jdp4g3JLK2TcJzPGevVDBY",
            "did:key:z6LSbysY2xFMRpGMhb7tFTLMpeuPRaqaWM1yECx2AtzE3KCc",
            "did:key:z6Mk0OIl",
            "did:web:example.com",
        ] {
            assert_eq!(PublicKey::from_did_key(bad), None, "{bad}");
        }
    }

    #[test]
    fn a_method_with_another_fragment_names_no_key() {
        let did = DidKey::new(&PublicKey([7; 32]));
        let mut other = heapless::String::<120>::try_from(did.did()).unwrap();
        other.push_str("#key-1").unwrap();
        assert_eq!(PublicKey::from_did_key_method(&other), None);
        assert_eq!(PublicKey::from_did_key_method(did.did()), None);
    }
}
