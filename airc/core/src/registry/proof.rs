//! Who a request says it comes from, and what proves it: a signature in the body, signed headers
//! (AGAP-5), or a token that is borne.

use alloc::borrow::ToOwned;
use alloc::string::String;

use aire_proto::identity::{Ed25519Verifier, SignatureVerifier, SignedMessage};

use super::{Request, secret};
use crate::PublicKey;
use crate::error::{ErrorCode, Refusal};
use crate::handle::Handle;
use crate::json::Object;
use crate::signing::{self, Signature, SignedHeaders, header};
use crate::store::IdentityRecord;
use crate::time::Time;

/// A signature, and what it is over.
#[derive(Clone, Debug)]
pub(crate) struct Proof {
    pub(crate) signer: Handle,
    /// Unix seconds. Only a registration may do without (AGAP-14).
    pub(crate) timestamp: Option<u64>,
    /// As above.
    pub(crate) nonce: Option<String>,
    covered: String,
    signature: Signature,
}

impl Proof {
    /// What a signed body proves.
    ///
    /// # Errors
    /// `auth_failed` when it has no signature, or none that can be one.
    pub(crate) fn of_body(
        body: &Object,
        signer: &Handle,
        timestamp: Option<u64>,
        nonce: Option<&str>,
    ) -> Result<Self, Refusal> {
        let field = body.get(signing::FIELD);
        let text = field.ok_or(signing::SignatureError::Missing)?.as_str();
        Ok(Self {
            signer: signer.clone(),
            timestamp,
            nonce: nonce.map(str::to_owned),
            covered: signing::payload(body),
            signature: signing::parse(text.ok_or(signing::SignatureError::Malformed)?)?,
        })
    }

    /// What the headers prove, if they are there. In part is not at all, unless that is `lenient`:
    /// clients of the `/api` dialect send some of them with another meaning.
    ///
    /// # Errors
    /// `invalid_request` or `auth_failed` for headers that are missing or unusable.
    pub(crate) fn of_headers(
        request: &Request<'_>,
        lenient: bool,
    ) -> Result<Option<Self>, Refusal> {
        let given = request.credentials;
        let fields = [
            (header::HANDLE, given.handle),
            (header::TIMESTAMP, given.timestamp),
            (header::NONCE, given.nonce),
            (header::SIGNATURE, given.signature),
        ];
        let [Some(handle), Some(timestamp), Some(nonce), Some(signature)] =
            fields.map(|(_, value)| value)
        else {
            let missing = fields.iter().find(|(_, value)| value.is_none());
            let any = fields.iter().any(|(_, value)| value.is_some());
            return match missing {
                Some((name, _)) if any && !lenient => Err(Refusal::new(
                    ErrorCode::InvalidRequest,
                    alloc::format!("a signed request needs {name} too"),
                )),
                _ => Ok(None),
            };
        };
        let signed = SignedHeaders::read(handle, timestamp, nonce, signature)?;
        Ok(Some(Self {
            covered: signed.payload(request.method.as_str(), request.target),
            signer: signed.handle,
            timestamp: Some(signed.timestamp),
            nonce: Some(signed.nonce),
            signature: signed.signature,
        }))
    }

    /// Whether it was made with the secret of `key`.
    pub(crate) fn holds(&self, key: &PublicKey) -> bool {
        let message = SignedMessage {
            separator: &[],
            covered: self.covered.as_bytes(),
        };
        Ed25519Verifier.verify(key, message, &self.signature)
    }
}

/// The keys of an identity that are accepted at `now`: its key, and the one before while that has
/// its grace period (section 6.2).
pub(crate) fn accepted(identity: &IdentityRecord, now: Time) -> impl Iterator<Item = PublicKey> {
    let previous = identity.previous.filter(|previous| now < previous.until);
    // Without a key there is none before it.
    let previous = previous.filter(|_| identity.key.is_some());
    identity
        .key
        .into_iter()
        .chain(previous.map(|previous| previous.key))
}

/// The secret that a request bears, if it bears one.
///
/// # Errors
/// `auth_failed` for a header that is too long to be one.
pub(crate) fn borne(request: &Request<'_>) -> Result<Option<String>, Refusal> {
    let Some(header) = request.credentials.authorization else {
        return Ok(None);
    };
    if header.len() > secret::MAX_AUTHORIZATION {
        return Err(Refusal::new(
            ErrorCode::AuthFailed,
            "the Authorization header is too long to be a token or an invite",
        ));
    }
    Ok(secret::bearer(header).map(str::to_owned))
}
