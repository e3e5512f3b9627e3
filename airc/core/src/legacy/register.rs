//! `POST /api/presence` with `action: "register"`, and `POST /api/users`: a handle and a token.

use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

use super::presence::Notice;
use super::{invalid, not_yours, unsigned};
use crate::handle::{Handle, MIN_LEGACY_LEN};
use crate::json::Object;
use crate::registry::proof::accepted;
use crate::registry::work::{Outcome, Work, auth_failed};
use crate::registry::{Effect, Response, secret, taken};
use crate::store::{Capabilities, IdentityRecord, SessionRecord};

/// What an agent is doing that does not say what.
const SOMETHING: &str = "Building something";

/// Whether a registration made a new handle.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Made {
    New,
    Known,
}

impl Work<'_> {
    /// Registers a handle, or gives its owner a token again.
    pub(super) fn api_register(&mut self, notice: &Notice) -> Outcome<Response> {
        let handle = self.named(notice)?;
        let made = match self.store.identity(&handle)? {
            None => {
                self.api_register_new(&handle, notice)?;
                Made::New
            }
            Some(identity) => {
                self.api_login(identity, notice)?;
                Made::Known
            }
        };
        self.caller = Some(handle.clone());
        let token = self.token_for(&handle)?;
        let context = notice.working_on.clone();
        let context = context.unwrap_or_else(|| SOMETHING.to_string());
        self.beat(&handle, notice.status, Some(context))?;
        Ok(self.registered(&handle, token, made))
    }

    /// Whom a registration is about.
    fn named(&mut self, notice: &Notice) -> Outcome<Handle> {
        if let Some(handle) = &notice.username {
            return Ok(handle.clone());
        }
        let call = self.call;
        let borne = match &call.bearer {
            Some(token) => self.bearer_of(token)?,
            None => None,
        };
        borne.ok_or_else(|| invalid("username is missing: which handle is it?").into())
    }

    fn api_register_new(&mut self, handle: &Handle, notice: &Notice) -> Outcome<()> {
        if handle.as_str().len() < MIN_LEGACY_LEN {
            let message = format!("a handle has at least {MIN_LEGACY_LEN} characters here");
            return Err(invalid(message).into());
        }
        self.key_is_proven(handle, notice)?;
        self.admitted()?;
        self.store.put_identity(&IdentityRecord {
            handle: handle.clone(),
            key: notice.key,
            previous: None,
            capabilities: Capabilities {
                payloads: Vec::new(),
                max_payload_size: self.settings.max_payload,
                delivery: Vec::from(["poll".to_string()]),
            },
            endpoints: Vec::new(),
            created: self.now,
        })?;
        self.effects.push(Effect::Registered(handle.clone()));
        Ok(())
    }

    /// What is signed must be signed by the key that it brings; where nothing goes unsigned, it
    /// must bring one. Deployed clients sign no registration, so `require_proof` is not about them.
    fn key_is_proven(&mut self, handle: &Handle, notice: &Notice) -> Outcome<()> {
        let call = self.call;
        match (&call.proof, &notice.key) {
            (Some(proof), _) if proof.signer != *handle => Err(not_yours(&proof.signer, handle)),
            (Some(proof), Some(key)) => self.proven(Some(proof), key),
            (Some(_), None) => Err(auth_failed(
                "a new handle's signature needs its publicKey too",
            )),
            (None, _) if self.settings.require_signatures => Err(unsigned()),
            (None, _) => Ok(()),
        }
    }

    /// A handle that exists: its owner registers again, and may add a key to one that has none.
    fn api_login(&mut self, mut identity: IdentityRecord, notice: &Notice) -> Outcome<()> {
        let handle = identity.handle.clone();
        if identity.key.is_none() && self.settings.danger_legacy_takeover {
            if notice.key.is_some() {
                self.key_is_proven(&handle, notice)?;
            }
        } else {
            self.api_owner(&identity, notice)?;
        }
        match (identity.key, notice.key) {
            (_, None) => Ok(()),
            (Some(known), Some(key)) if known == key => Ok(()),
            (Some(_), Some(_)) => Err(invalid(
                "publicKey is not the handle's key: POST /identity/rotate replaces it",
            )
            .into()),
            (None, Some(key)) => {
                identity.key = Some(key);
                self.store.put_identity(&identity)?;
                self.effects.push(Effect::Updated(handle));
                Ok(())
            }
        }
    }

    /// That the caller owns a handle: by its token, or its key.
    fn api_owner(&mut self, identity: &IdentityRecord, notice: &Notice) -> Outcome<()> {
        let call = self.call;
        let handle = &identity.handle;
        let Some(proof) = &call.proof else {
            if self.settings.require_signatures {
                return Err(unsigned());
            }
            return self.borne_by(handle);
        };
        if proof.signer != *handle {
            return Err(not_yours(&proof.signer, handle));
        }
        if identity.key.is_none() {
            self.borne_by(handle)?;
            return self.key_is_proven(handle, notice);
        }
        let made = accepted(identity, self.now).any(|key| self.made_by(proof, &key));
        if !made {
            self.effects.push(Effect::SignatureRefused(handle.clone()));
            return Err(taken(handle));
        }
        self.fresh(proof)
    }

    /// A token for `handle`: the one that the caller bears already, if it is one; else a new one.
    fn token_for(&mut self, handle: &Handle) -> Outcome<String> {
        let call = self.call;
        if let Some(token) = &call.bearer
            && self.extended(token)?.as_ref() == Some(handle)
        {
            return Ok(token.clone());
        }
        let token = secret::token(&call.entropy);
        self.store.put_session(&SessionRecord {
            hash: secret::hash(&token),
            handle: handle.clone(),
            expires: self.now.after_seconds(self.settings.session_life),
        })?;
        Ok(token)
    }

    /// Whose token this is, while it is good; one whose life is half over is given another.
    pub(super) fn extended(&mut self, token: &str) -> Outcome<Option<Handle>> {
        let hash = secret::hash(token);
        let session = self.store.session(&hash)?;
        let Some(session) = session.filter(|session| self.now < session.expires) else {
            return Ok(None);
        };
        let life = self.settings.session_life;
        if session.expires < self.now.after_seconds(life / 2) {
            self.store.put_session(&SessionRecord {
                expires: self.now.after_seconds(life),
                ..session.clone()
            })?;
        }
        Ok(Some(session.handle))
    }

    fn registered(&self, handle: &Handle, token: String, made: Made) -> Response {
        let new = made == Made::New;
        let mut answer = Object::new();
        answer.insert("success", true);
        answer.insert("action", if new { "register" } else { "login" });
        answer.insert("registered", new);
        answer.insert("handle", handle.as_str());
        answer.insert("username", handle.as_str());
        answer.insert("token", token);
        answer.insert("sessionId", secret::name("sess_", &self.call.entropy));
        answer.insert("expiresIn", format!("{}s", self.settings.session_life));
        answer.insert("status", "active");
        answer.insert("message", if new { "Registered" } else { "Welcome back" });
        Response::json(if new { 201 } else { 200 }, &answer.into())
            .with("cache-control", "no-store")
    }
}
