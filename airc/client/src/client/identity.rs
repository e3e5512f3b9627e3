//! Who is who (section 2.1), and changing one's key (section 6.2).

use std::sync::Arc;
use std::time::Instant;

use airc_core::error::Refusal;
use airc_core::handle::Handle;
use airc_core::json::Value;
use airc_core::object::{self, RegistrationDraft, Rotation, RotationDraft};

use super::{Client, Stamp, signed};
use crate::Error;
use crate::key::SigningKey;
use crate::model::{AireEndpoint, Identity};
use crate::transport::{Answer, Method};

/// What an agent registers with.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Registration {
    /// The payload types that it can take: `game:chess`, or `game:*`.
    pub payloads: Vec<String>,
    /// The largest payload that it takes, in bytes of canonical JSON; the registry's default if
    /// none.
    pub max_payload_size: Option<u64>,
    /// Where its AIRE node is, the best place first; others find it by the registry's DID documents
    /// then.
    pub endpoints: Vec<AireEndpoint>,
}

impl Registration {
    /// The same, with one more payload type that the agent can take.
    #[must_use]
    pub fn payload(mut self, kind: impl Into<String>) -> Self {
        self.payloads.push(kind.into());
        self
    }

    /// The same, with one more place where the agent's AIRE node is: `aire://host:port`.
    #[must_use]
    pub fn endpoint(mut self, uri: impl Into<String>, agent: Option<&str>) -> Self {
        self.endpoints.push(AireEndpoint {
            uri: uri.into(),
            agent: agent.map(Into::into),
        });
        self
    }

    fn make(&self, handle: &Handle, stamp: &Stamp<'_>) -> Result<Value, Refusal> {
        let mut registration = object::Registration::new(RegistrationDraft {
            handle,
            key: &stamp.signer.public_key(),
            payloads: &self.payloads,
            max_payload_size: self.max_payload_size,
            endpoints: &self.endpoints,
            timestamp: stamp.now,
            nonce: stamp.nonce,
        })?;
        registration.sign(stamp.signer);
        Ok(registration.into_value())
    }
}

/// A registration that was taken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Registered {
    /// The identity as the registry has it now.
    pub identity: Arc<Identity>,
    /// Whether the handle is new; else what was there was changed.
    pub new: bool,
}

impl Client {
    /// Registers this agent's handle with its key, or changes what it can take. It is signed, which
    /// proves that this agent has the key (AGAP-14).
    ///
    /// # Errors
    /// [`Error::Refused`], with [`auth_failed`](crate::ErrorCode::AuthFailed) when somebody else
    /// has the handle or the invite is no good; and the other ways in which a call fails.
    pub fn register(&self, registration: &Registration) -> Result<Registered, Error> {
        let key = self.signing_key()?;
        let target = self.0.transport.base().target("/identity");
        let prepare = || {
            let make = |stamp: &Stamp<'_>| registration.make(self.handle(), stamp);
            let mut outgoing = signed(&make, &key)?;
            let bearer = self.0.invite.as_ref();
            let bearer = bearer.map(|invite| ("Authorization", format!("Bearer {invite}")));
            outgoing.headers.extend(bearer);
            Ok(outgoing)
        };
        let answer = self.0.transport.call(Method::Post, &target, &prepare)?;
        Ok(Registered {
            identity: self.learn(&answer, self.handle())?,
            new: answer.is_new(),
        })
    }

    /// The identity of `handle`, as it was within the last 300 seconds; its presence too.
    ///
    /// # Errors
    /// [`Error::Refused`], with [`identity_not_found`](crate::ErrorCode::IdentityNotFound) when
    /// nobody has the handle; and the other ways in which a call fails.
    pub fn identity(&self, handle: &Handle) -> Result<Arc<Identity>, Error> {
        match self.0.known.get(handle, Instant::now()) {
            Some(identity) => Ok(identity),
            None => self.fresh_identity(handle),
        }
    }

    /// The identity of `handle` as it is now.
    ///
    /// # Errors
    /// As [`identity`](Self::identity).
    pub fn fresh_identity(&self, handle: &Handle) -> Result<Arc<Identity>, Error> {
        let answer = self.get(&format!("/identity/{handle}"));
        if answer.as_ref().is_err_and(Error::is_not_found) {
            self.0.known.forget(handle);
        }
        self.learn(&answer?, handle)
    }

    /// The identity of `handle`; if it does not do as it is known, as it is now.
    pub(super) fn identity_that(
        &self,
        handle: &Handle,
        does: impl Fn(&Identity) -> bool,
    ) -> Result<Arc<Identity>, Error> {
        let identity = self.identity(handle)?;
        if does(&identity) || self.0.known.is_brand_new(handle, Instant::now()) {
            return Ok(identity);
        }
        self.fresh_identity(handle)
    }

    fn learn(&self, answer: &Answer, handle: &Handle) -> Result<Arc<Identity>, Error> {
        let identity = Identity::read(answer.object()?);
        let identity = identity.filter(|identity| identity.handle == *handle);
        let identity =
            identity.ok_or_else(|| answer.wrong(format!("it is not about @{handle}")))?;
        let identity = Arc::new(identity);
        self.0.known.put(Arc::clone(&identity), Instant::now());
        Ok(identity)
    }

    /// Changes this agent's key to `new` (AGAP-6). The client signs with the new key from then on,
    /// and only then; the registry accepts the old one for a while longer. Keep the new key in a
    /// file before.
    ///
    /// # Errors
    /// [`Error::Refused`] and the other ways in which a call fails: the client signs with the old
    /// key then. If the connection breaks, the registry is asked which key it has; where it does
    /// not say, this ends with [`Error::Transport`], and it may be either.
    pub fn rotate(&self, new: impl Into<SigningKey>) -> Result<(), Error> {
        let new = new.into();
        let rotated = self.signed_post("/identity/rotate", &|stamp| {
            let mut rotation = Rotation::new(RotationDraft {
                handle: self.handle(),
                key: &new.public_key(),
                timestamp: stamp.now,
                nonce: stamp.nonce,
            })?;
            rotation.sign(stamp.signer);
            Ok(rotation.into_value())
        });
        self.0.known.forget(self.handle());
        if let Err(error) = rotated {
            let is_done = matches!(error, Error::Transport { .. })
                && self
                    .fresh_identity(self.handle())
                    .is_ok_and(|identity| identity.key == Some(new.public_key()));
            if !is_done {
                return Err(error);
            }
        }
        self.set_key(new);
        Ok(())
    }
}
