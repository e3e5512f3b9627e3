//! Identities (section 4.1): registered, updated, shown, and given new keys.

use alloc::format;

use super::proof::Proof;
use super::view;
use super::work::{Keys, Outcome, Stop, Work, auth_failed, invalid, not_found};
use super::{Effect, Response, secret};
use crate::PublicKey;
use crate::bridge;
use crate::error::{ErrorCode, Refusal};
use crate::handle::Handle;
use crate::json::{Object, Value};
use crate::object::{Registration, Rotation};
use crate::signing::SignatureError;
use crate::store::{Capabilities, IdentityRecord, PreviousKey};

/// For how long others may keep what says something about presence: seconds.
const BRIEFLY: &str = "public, max-age=30";

/// For how long others may keep a DID and its document: seconds (`DISC-8`).
const A_WHILE: &str = "public, max-age=300";

impl Work<'_> {
    /// `POST /identity`: a new handle, or an update by whoever owns it.
    pub(super) fn register(&mut self, registration: &Registration) -> Outcome<Response> {
        let (status, identity) = match self.store.identity(&registration.handle)? {
            None => (201, self.register_new(registration)?),
            Some(identity) => (200, self.update(registration, identity)?),
        };
        self.store.put_identity(&identity)?;
        let handle = identity.handle.clone();
        self.caller = Some(handle.clone());
        self.effects.push(match status {
            201 => Effect::Registered(handle),
            _ => Effect::Updated(handle),
        });
        Ok(Response::json(status, &self.success(&identity)))
    }

    fn register_new(&mut self, registration: &Registration) -> Outcome<IdentityRecord> {
        let call = self.call;
        self.proven(call.proof.as_ref(), &registration.key)?;
        // Last of all: whoever is refused for something else keeps the invite.
        self.admitted()?;
        Ok(IdentityRecord {
            handle: registration.handle.clone(),
            key: Some(registration.key),
            previous: None,
            capabilities: self.capabilities(registration),
            endpoints: registration.endpoints.clone(),
            created: self.now,
        })
    }

    fn update(
        &mut self,
        registration: &Registration,
        mut identity: IdentityRecord,
    ) -> Outcome<IdentityRecord> {
        let call = self.call;
        let proof = call.proof.as_ref();
        if identity.key.is_none() {
            self.borne_by(&identity.handle)?;
            self.proven(proof, &registration.key)?;
            identity.key = Some(registration.key);
        } else {
            let complete = proof.filter(|proof| proof.timestamp.is_some() && proof.nonce.is_some());
            let Some(proof) = complete else {
                return Err(taken(&identity.handle));
            };
            if self.verified(proof, &identity, Keys::Current).is_err() {
                return Err(taken(&identity.handle));
            }
            self.fresh(proof)?;
            if identity.key != Some(registration.key) {
                return Err(invalid(
                    "publicKey is not the handle's key: POST /identity/rotate replaces it",
                ));
            }
        }
        identity.capabilities = self.capabilities(registration);
        if registration
            .object()
            .get("aire")
            .is_some_and(|value| !value.is_null())
        {
            identity.endpoints.clone_from(&registration.endpoints);
        }
        Ok(identity)
    }

    fn capabilities(&self, registration: &Registration) -> Capabilities {
        let most = self.settings.max_payload;
        let mut capabilities = registration.capabilities(most);
        capabilities.max_payload_size = capabilities.max_payload_size.min(most);
        capabilities
    }

    /// That whoever registers a key has its secret (AGAP-14).
    pub(crate) fn proven(&mut self, proof: Option<&Proof>, key: &PublicKey) -> Outcome<()> {
        match proof {
            Some(proof) if self.made_by(proof, key) => self.fresh(proof),
            Some(proof) => {
                self.effects
                    .push(Effect::SignatureRefused(proof.signer.clone()));
                Err(Refusal::from(SignatureError::Wrong).into())
            }
            None if self.settings.require_proof => Err(auth_failed(
                "a registration has to be signed here, by the key that it registers",
            )),
            None => Ok(()),
        }
    }

    /// That a new handle may be had: the registry is open, or the caller bears an invite (AGAP-13).
    pub(crate) fn admitted(&mut self) -> Outcome<()> {
        if self.settings.open {
            return Ok(());
        }
        let call = self.call;
        let Some(invite) = &call.bearer else {
            return Err(auth_failed(
                "this registry is by invitation: send Authorization: Bearer with an invite",
            ));
        };
        if self.store.use_invite(&secret::hash(invite), self.now)? {
            return Ok(());
        }
        Err(auth_failed(
            "the invite is unknown, used up, expired or revoked: ask the operator for another",
        ))
    }

    /// That the caller bears a token of `handle`.
    pub(crate) fn borne_by(&mut self, handle: &Handle) -> Outcome<()> {
        let call = self.call;
        let borne = match &call.bearer {
            Some(token) => self.bearer_of(token)?,
            None => None,
        };
        if borne.as_ref() == Some(handle) {
            return Ok(());
        }
        Err(taken(handle))
    }

    /// `POST /identity/rotate` (AGAP-6).
    pub(super) fn rotate(&mut self, proof: &Proof, rotation: &Rotation) -> Outcome<Response> {
        let mut identity = self.signed(proof, Keys::Current)?;
        let Some(current) = identity.key.filter(|current| *current != rotation.key) else {
            return Err(invalid("publicKey is the key that the handle has already"));
        };
        identity.previous = Some(PreviousKey {
            key: current,
            until: self.now.after_seconds(self.settings.rotation_grace),
        });
        identity.key = Some(rotation.key);
        self.store.put_identity(&identity)?;
        self.effects.push(Effect::Rotated(identity.handle.clone()));
        Ok(Response::json(200, &self.success(&identity)))
    }

    fn success(&self, identity: &IdentityRecord) -> Value {
        let mut answer = view::identity(self.settings, identity, self.now);
        answer.insert("success", true);
        answer.into()
    }

    /// `GET /identity/{handle}`.
    pub(super) fn show_identity(&mut self, handle: &Handle) -> Outcome<Response> {
        let identity = self.identity(handle)?;
        let presence = self.store.presence(handle)?;
        let presence = presence.map(|record| view::presence(&record, self.now));
        let mut answer: Object = view::identity(self.settings, &identity, self.now);
        answer.insert("presence", presence.map(Value::from));
        Ok(Response::json(200, &answer.into()).with("cache-control", BRIEFLY))
    }

    /// `GET /agents/{handle}/did.json`.
    pub(super) fn did_document(&mut self, handle: &Handle) -> Outcome<Response> {
        let identity = self.identity(handle)?;
        let document = bridge::document(&self.settings.domain, &identity, self.now);
        let document = document.ok_or_else(|| not_found(handle))?;
        Ok(
            Response::text(200, "application/did+ld+json", format!("{document}"))
                .with("cache-control", A_WHILE),
        )
    }

    /// `GET /.well-known/aire-did`.
    pub(super) fn aire_did(&mut self, handle: &Handle) -> Outcome<Response> {
        let identity = self.identity(handle)?;
        let body = bridge::answer(&self.settings.domain, &identity);
        let body = body.ok_or_else(|| not_found(handle))?;
        let response = Response::text(200, "text/plain; charset=utf-8", body);
        Ok(response.with("cache-control", A_WHILE))
    }
}

/// A handle belongs to somebody else, as far as the caller has shown.
pub(crate) fn taken(handle: &Handle) -> Stop {
    let message = format!(
        "@{handle} is taken: whoever owns it updates it with its key (signature, timestamp and \
         nonce), or with its token while it has no key"
    );
    let refusal = Refusal::new(ErrorCode::AuthFailed, message);
    Stop::Refused(refusal.with("reason", TAKEN))
}

/// The `reason` among the details of a refusal because a handle is taken.
pub(crate) const TAKEN: &str = "handle_taken";
