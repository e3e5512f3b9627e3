//! What a registry decides (sections 2 to 5), without I/O: a request, the time and a
//! [`Store`] go in, an answer and its effects come out.
//!
//! [`Registry::read`] needs neither the store nor the time, [`Call::check`] no transaction, and
//! [`Registry::apply`] is one transaction: it is applied whole, or not at all.

mod answer;
mod call;
mod consent;
mod cursor;
pub(crate) mod delivery;
mod identity;
mod presence;
pub(crate) mod proof;
mod reading;
mod request;
mod route;
pub(crate) mod secret;
mod settings;
pub(crate) mod target;
mod view;
pub(crate) mod work;

pub(crate) use answer::error as error_object;
pub use answer::{Answer, Dialect, Effect, Response};
pub use call::Call;
pub(crate) use identity::{TAKEN, taken};
pub(crate) use reading::fits;
pub use request::{Credentials, Method, Request};
pub use route::Route;
pub use secret::hash as hash_secret;
pub use settings::Settings;

use alloc::vec::Vec;

use call::Action;
use proof::Proof;
use work::{Keys, Outcome, Stop, Work};

use crate::error::Refusal;
use crate::store::{Store, Stored};
use crate::time::Time;

/// A registry: its settings, and nothing else. What it keeps is in the [`Store`].
#[derive(Clone, Debug, Default)]
pub struct Registry {
    settings: Settings,
}

impl Registry {
    /// A registry with these settings.
    #[must_use]
    pub const fn new(settings: Settings) -> Self {
        Self { settings }
    }

    /// Its settings.
    #[must_use]
    pub const fn settings(&self) -> &Settings {
        &self.settings
    }

    /// Finds out what a request asks for, and refuses what no store could change.
    ///
    /// # Errors
    /// The refusal to answer with: unknown path, wrong method, malformed or missing fields, limits.
    pub fn read(&self, request: &Request<'_>) -> Result<Call, Refusal> {
        Call::read(request, &self.settings)
    }

    /// Does what a call asks for, in one transaction: whoever calls commits it if this is `Ok`,
    /// also when the answer is a refusal, for that may have used up a nonce.
    ///
    /// # Errors
    /// What the store could not do. Nothing may be committed then.
    pub fn apply(&self, call: &Call, now: Time, store: &mut dyn Store) -> Stored<Answer> {
        let mut work = Work {
            settings: &self.settings,
            call,
            now,
            store,
            caller: None,
            effects: Vec::new(),
        };
        let result = match work.run() {
            Ok(response) => Ok(response),
            Err(Stop::Refused(refusal)) => Err(refusal),
            Err(Stop::Failed(error)) => return Err(error),
        };
        Ok(Answer {
            result,
            dialect: call.dialect(),
            caller: work.caller,
            effects: work.effects,
        })
    }

    /// [`read`](Self::read), then [`apply`](Self::apply).
    ///
    /// # Errors
    /// What the store could not do.
    pub fn handle(
        &self,
        request: &Request<'_>,
        now: Time,
        store: &mut dyn Store,
    ) -> Stored<Answer> {
        match self.read(request) {
            Ok(call) => self.apply(&call, now, store),
            Err(refusal) => Ok(Answer::refused(Dialect::of(request.target), refusal)),
        }
    }
}

impl Work<'_> {
    /// Does what the call asks for.
    fn run(&mut self) -> Outcome<Response> {
        let call = self.call;
        match &call.action {
            Action::Register(registration) => self.register(registration),
            Action::Identity(handle) => self.show_identity(handle),
            Action::Who(query) => self.who(query),
            Action::DidDocument(handle) => self.did_document(handle),
            Action::AireDid(handle) => self.aire_did(handle),
            Action::Api(action) => self.run_api(action),
            Action::Inbox(wanted) => {
                let owner = self.asking()?;
                self.inbox(&owner, wanted)
            }
            Action::Thread(peer, wanted) => {
                let owner = self.asking()?;
                self.thread(&owner, peer, wanted)
            }
            Action::ConsentWith(peer) => {
                let owner = self.asking()?;
                self.consent_with(&owner, peer)
            }
            Action::Consents(state, limit) => {
                let owner = self.asking()?;
                self.consents(&owner, *state, *limit)
            }
            Action::Rotate(rotation) => self.rotate(proof(call)?, rotation),
            Action::Heartbeat(beat) => {
                self.signed(proof(call)?, Keys::Accepted)?;
                self.heartbeat(&beat.handle, beat.status, beat.context.as_deref())
            }
            Action::Send(sending) => {
                self.signed(proof(call)?, Keys::Accepted)?;
                self.send(sending)
            }
            Action::PostConsent(event, notice) => {
                self.signed(proof(call)?, Keys::Accepted)?;
                let message = notice.message.as_deref();
                self.post_consent(&notice.from, &notice.to, *event, message)
            }
        }
    }
}

/// The signature without which these calls are not read.
fn proof(call: &Call) -> Result<&Proof, Refusal> {
    let missing = crate::signing::SignatureError::Missing;
    call.proof.as_ref().ok_or_else(|| missing.into())
}
