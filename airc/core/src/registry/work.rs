//! One call being applied: its transaction, its time, and what it has changed so far.

use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

use super::proof::{Proof, accepted};
use super::{Call, Effect, Settings, secret};
use crate::PublicKey;
use crate::error::{ErrorCode, Refusal};
use crate::handle::Handle;
use crate::signing::SignatureError;
use crate::store::{IdentityRecord, Once, Store, StoreError};
use crate::time::Time;

/// Why a call goes no further.
#[derive(Debug)]
pub(crate) enum Stop {
    /// It is refused; what was written stays written.
    Refused(Refusal),
    /// The store failed; nothing may be written.
    Failed(StoreError),
}

impl From<Refusal> for Stop {
    fn from(refusal: Refusal) -> Self {
        Self::Refused(refusal)
    }
}

impl From<StoreError> for Stop {
    fn from(error: StoreError) -> Self {
        Self::Failed(error)
    }
}

pub(crate) type Outcome<T> = Result<T, Stop>;

/// A call being applied.
pub(crate) struct Work<'a> {
    pub(crate) settings: &'a Settings,
    pub(crate) call: &'a Call,
    pub(crate) now: Time,
    pub(crate) store: &'a mut dyn Store,
    pub(crate) caller: Option<Handle>,
    pub(crate) effects: Vec<Effect>,
}

/// Which keys may have made a signature.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Keys {
    /// The key, and the one before in its grace period (section 6.2).
    Accepted,
    /// The key alone: whoever may have got hold of the one before changes no identity.
    Current,
}

impl Work<'_> {
    /// The identity of `handle`.
    ///
    /// # Errors
    /// `identity_not_found`.
    pub(crate) fn identity(&mut self, handle: &Handle) -> Outcome<IdentityRecord> {
        let found = self.store.identity(handle)?;
        found.ok_or_else(|| Stop::Refused(not_found(handle)))
    }

    /// Who signed the call: their identity.
    ///
    /// # Errors
    /// `identity_not_found`, `auth_failed`, `replay_detected`.
    pub(crate) fn signed(&mut self, proof: &Proof, keys: Keys) -> Outcome<IdentityRecord> {
        let identity = self.identity(&proof.signer)?;
        self.verified(proof, &identity, keys)?;
        self.fresh(proof)?;
        self.caller = Some(proof.signer.clone());
        Ok(identity)
    }

    /// Checks a signature with the keys of an identity.
    pub(crate) fn verified(
        &mut self,
        proof: &Proof,
        identity: &IdentityRecord,
        keys: Keys,
    ) -> Result<(), Refusal> {
        if identity.key.is_none() {
            let message = format!("@{} has no key: register one before signing", proof.signer);
            return Err(Refusal::new(ErrorCode::AuthFailed, message));
        }
        let mut accepted = accepted(identity, self.now);
        let good = match keys {
            Keys::Accepted => accepted.any(|key| self.made_by(proof, &key)),
            Keys::Current => identity.key.is_some_and(|key| self.made_by(proof, &key)),
        };
        if good {
            return Ok(());
        }
        self.effects
            .push(Effect::SignatureRefused(proof.signer.clone()));
        Err(SignatureError::Wrong.into())
    }

    /// Whether `key` made the signature: what [`Call::check`] has found out is not computed again.
    pub(crate) fn made_by(&self, proof: &Proof, key: &PublicKey) -> bool {
        self.call.made_by(proof, key)
    }

    /// Checks the timestamp and uses up the nonce (AGAP-7).
    pub(crate) fn fresh(&mut self, proof: &Proof) -> Outcome<()> {
        let (timestamp, nonce) = (proof.timestamp, proof.nonce.as_deref());
        self.within_window(&proof.signer, timestamp)?;
        let Some(nonce) = nonce else { return Ok(()) };
        // A timestamp of the future is good for longer than nonces are remembered: until its
        // window is past, to the last moment of its last second.
        let last = timestamp
            .unwrap_or_default()
            .saturating_add(self.settings.timestamp_window);
        let until = self.now.after_seconds(self.settings.nonce_memory);
        let until = until.max(Time::from_seconds(last.saturating_add(1)));
        let once = Once::Nonce(nonce);
        if self.store.remember(&proof.signer, once, self.now, until)? {
            return Ok(());
        }
        Err(self.replayed(
            &proof.signer,
            "this nonce was used before: make a new one for every request",
        ))
    }

    fn within_window(&mut self, signer: &Handle, timestamp: Option<u64>) -> Outcome<()> {
        let now = self.now.seconds();
        let window = self.settings.timestamp_window;
        if timestamp.is_none_or(|timestamp| timestamp.abs_diff(now) <= window) {
            return Ok(());
        }
        Err(self.replayed(
            signer,
            format!("the timestamp is over {window} seconds away from {now}, the registry's time"),
        ))
    }

    /// A replay was refused.
    pub(crate) fn replayed(&mut self, signer: &Handle, message: impl Into<String>) -> Stop {
        self.effects.push(Effect::ReplayRefused(signer.clone()));
        Stop::Refused(Refusal::new(ErrorCode::ReplayDetected, message))
    }

    /// Who asks, by signed headers or a token (AGAP-5).
    ///
    /// # Errors
    /// `auth_failed` when nothing proves it, and what [`signed`](Self::signed) refuses.
    pub(crate) fn asking(&mut self) -> Outcome<Handle> {
        let call = self.call;
        if let Some(proof) = &call.proof {
            return Ok(self.signed(proof, Keys::Accepted)?.handle);
        }
        self.bearing()
    }

    /// Who asks, by a token alone.
    ///
    /// # Errors
    /// `auth_failed`.
    pub(crate) fn bearing(&mut self) -> Outcome<Handle> {
        let Some(token) = &self.call.bearer else {
            return Err(auth_failed(
                "this needs credentials: sign the request with the X-AIRC headers, or send \
                 Authorization: Bearer with a token",
            ));
        };
        match self.bearer_of(token)? {
            Some(handle) => {
                self.caller = Some(handle.clone());
                Ok(handle)
            }
            None => Err(auth_failed(
                "the token is unknown or has expired: register again for a new one",
            )),
        }
    }

    /// Whose token this is, while it is good.
    pub(crate) fn bearer_of(&mut self, token: &str) -> Outcome<Option<Handle>> {
        let session = self.store.session(&secret::hash(token))?;
        let good = session.filter(|session| self.now < session.expires);
        Ok(good.map(|session| session.handle))
    }
}

/// `identity_not_found`.
pub(crate) fn not_found(handle: &Handle) -> Refusal {
    Refusal::new(
        ErrorCode::IdentityNotFound,
        format!("there is no @{handle} here"),
    )
    .with("handle", handle.as_str())
}

/// `auth_failed`.
pub(crate) fn auth_failed(message: impl Into<String>) -> Stop {
    Stop::Refused(Refusal::new(ErrorCode::AuthFailed, message))
}

/// `invalid_request`.
pub(crate) fn invalid(message: impl Into<String>) -> Stop {
    Stop::Refused(Refusal::new(ErrorCode::InvalidRequest, message))
}
