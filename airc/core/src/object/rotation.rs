//! Rotations of a key (section 6.2, AGAP-6).

use alloc::borrow::ToOwned;
use alloc::string::String;

use super::fields::{Fields, object};
use super::signable;
use crate::error::Refusal;
use crate::handle::Handle;
use crate::json::{Object, Value};
use crate::{PublicKey, key, limits};

/// A new key for a handle, signed by the current one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rotation {
    /// Whose key.
    pub handle: Handle,
    /// The new one.
    pub key: PublicKey,
    /// When the sender says that it was sent: Unix seconds.
    pub timestamp: u64,
    /// Random text of 1 to 128 characters.
    pub nonce: String,
    object: Object,
}

signable!(Rotation);

/// What a rotation is made of.
#[derive(Clone, Copy, Debug)]
pub struct RotationDraft<'a> {
    /// Whose key.
    pub handle: &'a Handle,
    /// The new one.
    pub key: &'a PublicKey,
    /// Unix seconds.
    pub timestamp: u64,
    /// Random text of 1 to 128 characters; new for each rotation.
    pub nonce: &'a str,
}

impl Rotation {
    /// Reads a rotation.
    ///
    /// # Errors
    /// `invalid_request` names the field.
    pub fn read(value: Value) -> Result<Self, Refusal> {
        let object = object(value)?;
        let fields = Fields(&object);
        Ok(Self {
            handle: fields.handle("handle")?,
            key: fields.key("publicKey")?,
            timestamp: fields.timestamp()?,
            nonce: fields.text("nonce", limits::nonce)?.to_owned(),
            object,
        })
    }

    /// A rotation to send: it wants to be signed by the current key.
    ///
    /// # Errors
    /// As [`read`](Self::read).
    pub fn new(draft: RotationDraft<'_>) -> Result<Self, Refusal> {
        let mut object = Object::new();
        object.insert("handle", draft.handle.as_str());
        object.insert("publicKey", key::to_spki_base64(draft.key));
        object.insert("timestamp", draft.timestamp);
        object.insert("nonce", draft.nonce);
        Self::read(object.into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::json::parse;
    use aire_proto::identity::{Ed25519Signer, Ed25519Verifier};
    use alloc::string::ToString;

    #[test]
    fn a_rotation_is_signed_by_the_key_before() {
        let old = Ed25519Signer::from_seed([1; 32]);
        let new = Ed25519Signer::from_seed([2; 32]).public_key();
        let mut rotation = Rotation::new(RotationDraft {
            handle: &Handle::parse("seth").unwrap(),
            key: &new,
            timestamp: 1735776000,
            nonce: "1",
        })
        .unwrap();
        rotation.sign(&old);
        let text = rotation.into_value().to_string();
        let read = Rotation::read(parse(text.as_bytes()).unwrap()).unwrap();
        assert_eq!(read.key, new);
        assert_eq!(read.verify(&[old.public_key()], &Ed25519Verifier), Ok(0));
        assert!(read.verify(&[new], &Ed25519Verifier).is_err());
    }

    #[test]
    fn a_rotation_to_no_key_is_refused() {
        for (text, start) in [
            (
                r#"{"handle":"a","timestamp":1,"nonce":"1"}"#,
                "`publicKey` is missing",
            ),
            (
                r#"{"handle":"a","publicKey":"AAAA","timestamp":1,"nonce":"1"}"#,
                "`publicKey` is unusable",
            ),
        ] {
            let refusal = Rotation::read(parse(text.as_bytes()).unwrap()).unwrap_err();
            assert!(refusal.message.starts_with(start), "{refusal}");
        }
    }
}
