//! Consent as calls ask for it, give it and refuse it (section 4.4): the table of
//! [`consent`](crate::consent), with what it has to do to the store.

use alloc::string::String;
use alloc::vec::Vec;

use super::target::MAX_LIMIT;
use super::work::{Outcome, Work, invalid};
use super::{Effect, Response};
use crate::consent::{self, Event, also_opened, next};
use crate::error::{ErrorCode, Refusal};
use crate::handle::Handle;
use crate::json::{Object, Value, object};
use crate::store::{ConsentRecord, ConsentState};

impl Work<'_> {
    /// Where the consent of `to` to `from` stands. Whoever writes to themselves needs none.
    pub(crate) fn state(&mut self, from: &Handle, to: &Handle) -> Outcome<ConsentState> {
        if from == to {
            return Ok(ConsentState::Accepted);
        }
        let record = self.store.consent(from, to)?;
        Ok(record.map_or(ConsentState::None, |record| record.state))
    }

    /// Moves a consent.
    pub(crate) fn put_state(
        &mut self,
        from: &Handle,
        to: &Handle,
        state: ConsentState,
        message: Option<String>,
    ) -> Outcome<()> {
        self.store.put_consent(&ConsentRecord {
            from: from.clone(),
            to: to.clone(),
            state,
            message,
            since: self.now,
        })?;
        self.effects.push(Effect::Consent {
            from: from.clone(),
            to: to.clone(),
            state,
        });
        Ok(())
    }

    /// `from` asks for the consent of `to`. Where it stands now, and whether `to` was told.
    ///
    /// # Errors
    /// `consent_blocked`.
    pub(crate) fn ask(
        &mut self,
        from: &Handle,
        to: &Handle,
        message: Option<&str>,
    ) -> Outcome<(ConsentState, bool)> {
        let step = next(self.state(from, to)?, Event::Request);
        match step.effect {
            consent::Effect::Refuse => Err(blocked(to).into()),
            consent::Effect::Tell => {
                self.put_state(from, to, step.state, message.map(String::from))?;
                Ok((step.state, true))
            }
            _ => Ok((step.state, false)),
        }
    }

    /// `actor` gives or refuses their consent to `peer` (AGAP-2). Where it stands now.
    pub(crate) fn answer(
        &mut self,
        actor: &Handle,
        peer: &Handle,
        event: Event,
    ) -> Outcome<ConsentState> {
        let record = self.store.consent(peer, actor)?;
        let before = record.as_ref().map_or(ConsentState::None, |it| it.state);
        let step = next(before, event);
        if step.state != before {
            let message = record.and_then(|record| record.message);
            self.put_state(peer, actor, step.state, message)?;
        }
        match step.effect {
            consent::Effect::OpenBoth => {
                self.release(peer, actor)?;
                self.open_back(actor, peer)?;
            }
            consent::Effect::Drop => {
                let count = self.store.drop_held(peer, actor)?;
                if count > 0 {
                    let (from, to) = (peer.clone(), actor.clone());
                    self.effects.push(Effect::Dropped { from, to, count });
                }
            }
            _ => {}
        }
        Ok(step.state)
    }

    /// The direction from `from`, who was asked, to `to`, who asked.
    fn open_back(&mut self, from: &Handle, to: &Handle) -> Outcome<()> {
        let record = self.store.consent(from, to)?;
        let before = record.as_ref().map_or(ConsentState::None, |it| it.state);
        let after = also_opened(before);
        if after == before {
            return Ok(());
        }
        self.put_state(from, to, after, record.and_then(|record| record.message))?;
        self.release(from, to)
    }

    /// Delivers what is held (AGAP-4).
    fn release(&mut self, from: &Handle, to: &Handle) -> Outcome<()> {
        let count = self.store.release(from, to, self.now)?;
        if count > 0 {
            let (from, to) = (from.clone(), to.clone());
            self.effects.push(Effect::Delivered { from, to, count });
        }
        Ok(())
    }

    /// Consent is of two.
    pub(crate) fn of_two(&self, from: &Handle, to: &Handle) -> Outcome<()> {
        if from == to {
            return Err(invalid(
                "from and to are the same: nobody needs their own consent",
            ));
        }
        Ok(())
    }

    /// `POST /consent/request`, `/accept` and `/block`: `from` is the one who acts (AGAP-2).
    pub(super) fn post_consent(
        &mut self,
        from: &Handle,
        to: &Handle,
        event: Event,
        message: Option<&str>,
    ) -> Outcome<Response> {
        self.of_two(from, to)?;
        self.identity(to)?;
        let state = match event {
            Event::Accept | Event::Block => self.answer(from, to, event)?,
            Event::Request | Event::Message => self.ask(from, to, message)?.0,
        };
        Ok(Response::json(
            200,
            &object([
                ("success", true.into()),
                ("from", from.as_str().into()),
                ("to", to.as_str().into()),
                ("consent", state.as_str().into()),
            ]),
        ))
    }

    /// `GET /consent/{handle}`.
    pub(super) fn consent_with(&mut self, owner: &Handle, peer: &Handle) -> Outcome<Response> {
        self.identity(peer)?;
        let outgoing = self.state(owner, peer)?;
        let incoming = self.state(peer, owner)?;
        Ok(Response::json(
            200,
            &object([
                ("handle", peer.as_str().into()),
                ("outgoing", outgoing.as_str().into()),
                ("incoming", incoming.as_str().into()),
            ]),
        ))
    }

    /// `GET /consent`: who asks `owner`, and whom they have answered; and where the newest of their
    /// own requests stand.
    pub(super) fn consents(
        &mut self,
        owner: &Handle,
        state: Option<ConsentState>,
        limit: usize,
    ) -> Outcome<Response> {
        let incoming = self.store.consents_to(owner, state, limit)?;
        let outgoing = self.store.consents_from(owner, MAX_LIMIT)?;
        let outgoing = outgoing
            .into_iter()
            .filter(|record| state.is_none_or(|state| state == record.state))
            .take(limit);
        let incoming: Vec<Value> = incoming
            .into_iter()
            .filter(|record| record.state != ConsentState::None)
            .map(|record| entry(&record.from, &record))
            .collect();
        let outgoing: Vec<Value> = outgoing
            .filter(|record| record.state != ConsentState::None)
            .map(|record| entry(&record.to, &record))
            .collect();
        Ok(Response::json(
            200,
            &object([("incoming", incoming.into()), ("outgoing", outgoing.into())]),
        ))
    }

    /// The handles of those who ask `owner` for consent, the newest first.
    pub(crate) fn pending(&mut self, owner: &Handle, limit: usize) -> Outcome<Vec<ConsentRecord>> {
        let state = Some(ConsentState::Pending);
        Ok(self.store.consents_to(owner, state, limit)?)
    }
}

fn entry(with: &Handle, record: &ConsentRecord) -> Value {
    let mut entry = Object::new();
    entry.insert("handle", with.as_str());
    entry.insert("state", record.state.as_str());
    entry.insert_some("message", record.message.as_deref());
    entry.insert("since", record.since.iso());
    entry.into()
}

/// `consent_blocked`.
pub(crate) fn blocked(to: &Handle) -> Refusal {
    Refusal::new(
        ErrorCode::ConsentBlocked,
        alloc::format!("@{to} has blocked you"),
    )
    .with("consent_status", ConsentState::Blocked.as_str())
}

/// `consent_required`.
pub(crate) fn required(to: &Handle, state: ConsentState) -> Refusal {
    let message = match state {
        ConsentState::Pending => alloc::format!("@{to} has not accepted your connection request"),
        _ => alloc::format!(
            "@{to} has not accepted messages from you: ask with POST /consent/request"
        ),
    };
    Refusal::new(ErrorCode::ConsentRequired, message).with("consent_status", state.as_str())
}
