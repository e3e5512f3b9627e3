//! What a registry decides (sections 2 to 5), without I/O: a request, the time and a
//! [`Store`] go in, an answer and its effects come out.
//!
//! [`Registry::read`] needs neither the store nor the time, [`Call::check`] no transaction, and
//! [`Registry::apply`] is one transaction: it is applied whole, or not at all.

mod answer;
mod call;
mod cursor;
mod request;
mod route;
pub(crate) mod secret;
mod settings;
pub(crate) mod target;

pub use answer::{Answer, Dialect, Effect, Response};
pub use call::Call;
pub use request::{Credentials, Method, Request};
pub use route::Route;
pub use secret::hash as hash_secret;
pub use settings::Settings;

use crate::error::{ErrorCode, Refusal};
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
        let _ = request;
        Err(Refusal::new(ErrorCode::Unavailable, "not yet"))
    }

    /// Does what a call asks for, in one transaction: whoever calls commits it if this is `Ok`,
    /// also when the answer is a refusal, for that may have used up a nonce.
    ///
    /// # Errors
    /// What the store could not do. Nothing may be committed then.
    pub fn apply(&self, call: &Call, now: Time, store: &mut dyn Store) -> Stored<Answer> {
        let _ = (now, store);
        let refusal = Refusal::new(ErrorCode::Unavailable, "not yet");
        Ok(Answer::refused(call.dialect(), refusal))
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
