//! Consent (section 2.6).

use airc_core::handle::Handle;
use airc_core::object::{ConsentDraft, ConsentNotice};
use airc_core::store::ConsentState;

use super::{Client, MAX_PAGE};
use crate::Error;
use crate::model::{Consents, Standing};

impl Client {
    /// Asks `peer` for its consent to this agent's messages, with a word about why, if there is
    /// one. Where its consent stands then.
    ///
    /// # Errors
    /// [`Error::Handle`], [`Error::Unsendable`], [`Error::Refused`] and the other ways in which a
    /// call fails.
    pub fn request_consent(
        &self,
        peer: &Handle,
        message: Option<&str>,
    ) -> Result<ConsentState, Error> {
        self.consent("/consent/request", peer, message)
    }

    /// Gives this agent's consent to what `peer` sends. If `peer` asked for it, both may write
    /// freely from now on, and what was held is delivered.
    ///
    /// # Errors
    /// [`Error::Refused`] and the other ways in which a call fails.
    pub fn accept_consent(&self, peer: &Handle) -> Result<ConsentState, Error> {
        self.consent("/consent/accept", peer, None)
    }

    /// Refuses what `peer` sends, from now on; what was held is dropped.
    ///
    /// # Errors
    /// [`Error::Refused`] and the other ways in which a call fails.
    pub fn block_consent(&self, peer: &Handle) -> Result<ConsentState, Error> {
        self.consent("/consent/block", peer, None)
    }

    fn consent(
        &self,
        path: &str,
        peer: &Handle,
        message: Option<&str>,
    ) -> Result<ConsentState, Error> {
        let answer = self.signed_post(path, &|stamp| {
            let mut notice = ConsentNotice::new(ConsentDraft {
                from: self.handle(),
                to: peer,
                message,
                timestamp: stamp.now,
                nonce: stamp.nonce,
            })?;
            notice.sign(stamp.signer);
            Ok(notice.into_value())
        })?;
        answer.field("consent", |state| ConsentState::parse(state.as_str()?))
    }

    /// Where consent stands between this agent and `peer`, each way.
    ///
    /// # Errors
    /// [`Error::Refused`] and the other ways in which a call fails.
    pub fn consent_with(&self, peer: &Handle) -> Result<Standing, Error> {
        let answer = self.signed_get(&format!("/consent/{peer}"))?;
        let standing = Standing::read(answer.object()?);
        standing.ok_or_else(|| answer.wrong("it tells no consent"))
    }

    /// Who asked for this agent's consent, and whose it asked for; in `state` only, if one is given.
    /// The newest first, as many as the registry lists.
    ///
    /// # Errors
    /// [`Error::Refused`] and the other ways in which a call fails.
    pub fn consents(&self, state: Option<ConsentState>) -> Result<Consents, Error> {
        let state = state.map(|state| format!("&state={}", state.as_str()));
        let path = format!("/consent?limit={MAX_PAGE}{}", state.unwrap_or_default());
        let answer = self.signed_get(&path)?;
        let consents = Consents::read(answer.object()?);
        consents.ok_or_else(|| answer.wrong("it lists no consents"))
    }
}
