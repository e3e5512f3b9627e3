//! Who is who (section 2.1), and changing one's key (section 6.2).

use std::sync::Arc;
use std::time::Instant;

use airc_core::handle::Handle;
use airc_core::json::{Object, Value, object};
use airc_core::key;
use airc_core::limits::DEFAULT_MAX_PAYLOAD;

use super::{Client, signed};
use crate::Error;
use crate::key::SigningKey;
use crate::model::{AireEndpoint, Capabilities, Identity};
use crate::transport::{Answer, Method};

/// What an agent registers with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Registration {
    /// What it can take.
    pub capabilities: Capabilities,
    /// Where its AIRE node is, the best place first; others find it by the registry's DID documents
    /// then.
    pub endpoints: Vec<AireEndpoint>,
}

/// No payloads, the usual size, polling, and no AIRE node.
impl Default for Registration {
    fn default() -> Self {
        Self {
            capabilities: Capabilities {
                payloads: Vec::new(),
                max_payload_size: DEFAULT_MAX_PAYLOAD,
                delivery: vec!["poll".into()],
            },
            endpoints: Vec::new(),
        }
    }
}

impl Registration {
    /// The same, with one more payload type that the agent can take.
    #[must_use]
    pub fn payload(mut self, kind: impl Into<String>) -> Self {
        self.capabilities.payloads.push(kind.into());
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

    fn to_object(&self, handle: &Handle, key: &SigningKey) -> Object {
        let Capabilities {
            payloads,
            max_payload_size,
            delivery,
        } = &self.capabilities;
        let capabilities = object([
            ("payloads", payloads.clone().into()),
            ("maxPayloadSize", (*max_payload_size).into()),
            ("delivery", delivery.clone().into()),
        ]);
        let mut registration = Object::new();
        registration.insert("handle", handle.as_str());
        registration.insert("publicKey", key::to_spki_base64(&key.public_key()));
        registration.insert("capabilities", capabilities);
        if !self.endpoints.is_empty() {
            let endpoints = self.endpoints.iter().map(endpoint).collect();
            registration.insert("aire", Value::Array(endpoints));
        }
        registration
    }
}

fn endpoint(endpoint: &AireEndpoint) -> Value {
    let mut entry = Object::new();
    entry.insert("uri", endpoint.uri.as_str());
    entry.insert_some("agent", endpoint.agent.as_deref());
    entry.into()
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
        let object = registration.to_object(self.handle(), &key);
        let target = self.0.transport.base().target("/identity");
        let prepare = || {
            let mut outgoing = signed(&object, &key)?;
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
        let mut rotation = Object::new();
        rotation.insert("handle", self.handle().as_str());
        rotation.insert("publicKey", key::to_spki_base64(&new.public_key()));
        let rotated = self.signed_post("/identity/rotate", &rotation);
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
