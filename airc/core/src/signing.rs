//! Signatures over canonical JSON (sections 3.1 and 3.2), and requests that sign by their headers
//! (AGAP-5).

use alloc::string::{String, ToString};
use alloc::vec::Vec;
use core::fmt;

use aire_proto::identity::{SignatureVerifier, SignedMessage, Signer};

use crate::error::{ErrorCode, Refusal};
use crate::handle::Handle;
use crate::json::{Object, object};
use crate::{PublicKey, base64, canonical, limits};

/// The entry that carries a signature, and that no signature covers.
pub const FIELD: &str = "signature";

/// An Ed25519 signature.
pub type Signature = [u8; 64];

/// Why a signature does not hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SignatureError {
    /// There is none.
    Missing,
    /// It is not the base64 of 64 bytes.
    Malformed,
    /// None of the keys made it over this.
    Wrong,
}

impl fmt::Display for SignatureError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Missing => "a signature is needed: sign the canonical JSON of the rest",
            Self::Malformed => "a signature is the base64 of 64 bytes",
            Self::Wrong => {
                "the signature does not hold: it must be made with the handle's key over the \
                 canonical JSON of the rest"
            }
        })
    }
}

impl core::error::Error for SignatureError {}

impl From<SignatureError> for Refusal {
    fn from(error: SignatureError) -> Self {
        Self::new(ErrorCode::AuthFailed, error.to_string())
    }
}

/// What is signed of `object`: its canonical form without its `signature`.
#[must_use]
pub fn payload(object: &Object) -> String {
    let mut text = String::new();
    // A string takes whatever it is given.
    let _never = canonical::write_object(object, Some(FIELD), &mut text);
    text
}

/// Signs `object`: adds its `signature`, or replaces it.
pub fn sign(object: &mut Object, signer: &dyn Signer) {
    let signature = signer.sign(payload(object).as_bytes());
    object.insert(FIELD, to_text(&signature));
}

/// Reads a signature: base64 or base64url, padded or not, after `ed25519:` or not.
///
/// # Errors
/// [`SignatureError::Malformed`].
pub fn parse(text: &str) -> Result<Signature, SignatureError> {
    let digits = text.strip_prefix("ed25519:").unwrap_or(text);
    let bytes = base64::decode(digits).ok_or(SignatureError::Malformed)?;
    bytes.try_into().map_err(|_| SignatureError::Malformed)
}

/// Base64 with padding: 88 characters (section 3.2).
#[must_use]
pub fn to_text(signature: &Signature) -> String {
    base64::encode(signature)
}

/// Whose key of `keys` signed `object`: its index.
///
/// # Errors
/// All of [`SignatureError`].
pub fn verify(
    object: &Object,
    keys: &[PublicKey],
    verifier: &impl SignatureVerifier,
) -> Result<usize, SignatureError> {
    let signature = match object.get(FIELD) {
        None => return Err(SignatureError::Missing),
        Some(value) => parse(value.as_str().ok_or(SignatureError::Malformed)?)?,
    };
    verify_text(&payload(object), &signature, keys, verifier)
}

/// Whose key of `keys` made `signature` over `text`: its index.
fn verify_text(
    text: &str,
    signature: &Signature,
    keys: &[PublicKey],
    verifier: &impl SignatureVerifier,
) -> Result<usize, SignatureError> {
    let message = SignedMessage {
        separator: &[],
        covered: text.as_bytes(),
    };
    keys.iter()
        .position(|key| verifier.verify(key, message, signature))
        .ok_or(SignatureError::Wrong)
}

/// The names of the headers that sign a request without a body (AGAP-5).
pub mod header {
    /// Who asks.
    pub const HANDLE: &str = "X-AIRC-Handle";
    /// When: Unix seconds.
    pub const TIMESTAMP: &str = "X-AIRC-Timestamp";
    /// Random text.
    pub const NONCE: &str = "X-AIRC-Nonce";
    /// Over the canonical JSON of `handle`, `method`, `nonce`, `path` and `timestamp`.
    pub const SIGNATURE: &str = "X-AIRC-Signature";
}

/// A request that is signed by its headers (AGAP-5).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SignedHeaders {
    /// Who asks.
    pub handle: Handle,
    /// When the sender says that it was sent: Unix seconds.
    pub timestamp: u64,
    /// Random text: 16 to 128 characters, as for messages.
    pub nonce: String,
    /// Over [`payload`](Self::payload).
    pub signature: Signature,
}

impl SignedHeaders {
    /// Signs a request. `path` is the request's target as it is sent, with its query.
    #[must_use]
    pub fn sign(
        handle: &Handle,
        method: &str,
        path: &str,
        timestamp: u64,
        nonce: &str,
        signer: &dyn Signer,
    ) -> Self {
        let mut signed = Self {
            handle: handle.clone(),
            timestamp,
            nonce: nonce.into(),
            signature: [0; 64],
        };
        signed.signature = signer.sign(signed.payload(method, path).as_bytes());
        signed
    }

    /// Reads the values of the four headers.
    ///
    /// # Errors
    /// [`ErrorCode::InvalidRequest`] names the header that is unusable; a malformed signature is
    /// [`ErrorCode::AuthFailed`].
    pub fn read(
        handle: &str,
        timestamp: &str,
        nonce: &str,
        signature: &str,
    ) -> Result<Self, Refusal> {
        let unusable = |name: &str, expected: &dyn fmt::Display| {
            let message = alloc::format!("{name} is unusable: {expected}");
            Refusal::new(ErrorCode::InvalidRequest, message)
        };
        // `parse` would take a sign.
        let digits = timestamp.bytes().all(|byte| byte.is_ascii_digit());
        let seconds = timestamp.parse().ok().filter(|_| digits);
        Ok(Self {
            handle: Handle::parse(handle).map_err(|error| unusable(header::HANDLE, &error))?,
            timestamp: seconds
                .ok_or_else(|| unusable(header::TIMESTAMP, &"Unix seconds are expected"))?,
            nonce: limits::message_nonce(nonce)
                .map_err(|expected| unusable(header::NONCE, &expected))?
                .into(),
            signature: parse(signature)?,
        })
    }

    /// What is signed: the method is in upper case, `path` is as it was sent, with its query.
    #[must_use]
    pub fn payload(&self, method: &str, path: &str) -> String {
        canonical::to_string(&object([
            ("handle", self.handle.as_str().into()),
            ("method", method.to_ascii_uppercase().into()),
            ("nonce", self.nonce.as_str().into()),
            ("path", path.into()),
            ("timestamp", self.timestamp.into()),
        ]))
    }

    /// Whose key of `keys` signed this request: its index.
    ///
    /// # Errors
    /// [`SignatureError::Wrong`].
    pub fn verify(
        &self,
        method: &str,
        path: &str,
        keys: &[PublicKey],
        verifier: &impl SignatureVerifier,
    ) -> Result<usize, SignatureError> {
        verify_text(&self.payload(method, path), &self.signature, keys, verifier)
    }

    /// The headers to send: names and values.
    #[must_use]
    pub fn headers(&self) -> Vec<(&'static str, String)> {
        alloc::vec![
            (header::HANDLE, self.handle.to_string()),
            (header::TIMESTAMP, self.timestamp.to_string()),
            (header::NONCE, self.nonce.clone()),
            (header::SIGNATURE, to_text(&self.signature)),
        ]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use aire_proto::identity::{Ed25519Signer, Ed25519Verifier};

    fn signed() -> (Object, [PublicKey; 2]) {
        let old = Ed25519Signer::from_seed([1; 32]);
        let new = Ed25519Signer::from_seed([2; 32]);
        let mut object: Object = [("b", 1), ("a", 2)].into_iter().collect();
        sign(&mut object, &old);
        (object, [new.public_key(), old.public_key()])
    }

    #[test]
    fn a_signature_holds_for_the_key_that_made_it_and_says_which() {
        let (object, keys) = signed();
        assert_eq!(payload(&object), r#"{"a":2,"b":1}"#);
        assert_eq!(verify(&object, &keys, &Ed25519Verifier), Ok(1));
        for keys in [&keys[..1], &[]] {
            let verdict = verify(&object, keys, &Ed25519Verifier);
            assert_eq!(verdict, Err(SignatureError::Wrong));
        }
    }

    #[test]
    fn signing_again_signs_the_same() {
        let (mut object, _) = signed();
        let before = object.clone();
        sign(&mut object, &Ed25519Signer::from_seed([1; 32]));
        assert_eq!(object, before);
    }

    #[test]
    fn what_was_changed_is_refused() {
        let (object, keys) = signed();
        let mut changed = object.clone();
        changed.insert("a", 3);
        let mut more = object.clone();
        more.insert("c", 3);
        let mut less = object;
        less.remove("b");
        for object in [changed, more, less] {
            let verdict = verify(&object, &keys, &Ed25519Verifier);
            assert_eq!(verdict, Err(SignatureError::Wrong));
        }
    }

    #[test]
    fn a_signature_is_read_in_each_of_its_forms() {
        let (object, keys) = signed();
        let text = object.get(FIELD).unwrap().as_str().unwrap();
        assert_eq!(text.len(), 88);
        let url = text.replace('+', "-").replace('/', "_");
        for form in [
            alloc::format!("ed25519:{text}"),
            text.trim_end_matches('=').into(),
            url.trim_end_matches('=').into(),
            url,
        ] {
            let mut object = object.clone();
            object.insert(FIELD, form);
            assert_eq!(verify(&object, &keys, &Ed25519Verifier), Ok(1));
        }
    }

    #[test]
    fn a_signature_that_is_none_is_refused_as_such() {
        let (mut object, keys) = signed();
        for value in [1.into(), "".into(), "AAAA".into(), "%".into()] {
            let value: crate::json::Value = value;
            object.insert(FIELD, value);
            let verdict = verify(&object, &keys, &Ed25519Verifier);
            assert_eq!(verdict, Err(SignatureError::Malformed));
        }
        object.remove(FIELD);
        let verdict = verify(&object, &keys, &Ed25519Verifier);
        assert_eq!(verdict, Err(SignatureError::Missing));
    }

    #[test]
    fn signed_headers_hold_for_their_request_alone() {
        let signer = Ed25519Signer::from_seed([1; 32]);
        let keys = [signer.public_key()];
        let handle = Handle::parse("seth").unwrap();
        let nonce = "0123456789abcdef";
        let path = "/messages?since=1&limit=2";
        let signed = SignedHeaders::sign(&handle, "get", path, 1735776000, nonce, &signer);
        assert_eq!(
            signed.payload("GET", path),
            r#"{"handle":"seth","method":"GET","nonce":"0123456789abcdef","path":"/messages?since=1&limit=2","timestamp":1735776000}"#
        );
        let headers = signed.headers();
        let [(_, handle), (_, timestamp), (_, nonce), (_, signature)] = &headers[..] else {
            panic!("there are four");
        };
        let read = SignedHeaders::read(handle, timestamp, nonce, signature).unwrap();
        assert_eq!(read, signed);
        assert_eq!(read.verify("GET", path, &keys, &Ed25519Verifier), Ok(0));
        let later = SignedHeaders {
            timestamp: 1735776001,
            ..signed.clone()
        };
        for (signed, method, path) in [
            (&signed, "POST", path),
            (&signed, "GET", "/messages?since=1&limit=3"),
            (&later, "GET", path),
        ] {
            let verdict = signed.verify(method, path, &keys, &Ed25519Verifier);
            assert_eq!(verdict, Err(SignatureError::Wrong));
        }
    }

    #[test]
    fn headers_that_are_unusable_are_named() {
        let signature = to_text(&[7; 64]);
        let good = ["seth", "1", "0123456789abcdef", &signature];
        for (at, value, name) in [
            (0, "Seth", header::HANDLE),
            (1, "+1", header::TIMESTAMP),
            (1, "", header::TIMESTAMP),
            (1, "1.5", header::TIMESTAMP),
            (2, "short", header::NONCE),
        ] {
            let mut values = good;
            values[at] = value;
            let [handle, timestamp, nonce, signature] = values;
            let refusal = SignedHeaders::read(handle, timestamp, nonce, signature).unwrap_err();
            assert_eq!(refusal.code, ErrorCode::InvalidRequest);
            assert!(refusal.message.contains(name), "{refusal}");
        }
        let refusal = SignedHeaders::read("seth", "1", good[2], "AAAA").unwrap_err();
        assert_eq!(refusal.code, ErrorCode::AuthFailed);
    }
}
