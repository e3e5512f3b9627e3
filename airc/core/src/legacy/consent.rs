//! `/api/consent`: one route for every change, another for what is pending.

use alloc::borrow::ToOwned;
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

use super::{handle_of, invalid, not_yours, text};
use crate::consent::Event;
use crate::error::Refusal;
use crate::handle::Handle;
use crate::json::{Object, Value, object};
use crate::limits;
use crate::registry::Response;
use crate::registry::target::MAX_LIMIT;
use crate::registry::work::{Outcome, Work};
use crate::store::ConsentState;

/// What is posted.
#[derive(Clone, Debug)]
pub(crate) struct Notice {
    verb: Verb,
    from: Option<Handle>,
    to: Option<Handle>,
    /// The other one, whoever is from and to.
    handle: Option<Handle>,
    message: Option<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Verb {
    Request,
    Accept,
    Block,
    Unblock,
}

impl Verb {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Request => "request",
            Self::Accept => "accept",
            Self::Block => "block",
            Self::Unblock => "unblock",
        }
    }
}

impl Notice {
    pub(super) fn read(body: &Object) -> Result<Self, Refusal> {
        let verb = match text(body, &["action", "type"])? {
            Some("request") => Verb::Request,
            Some("accept") => Verb::Accept,
            Some("block") => Verb::Block,
            Some("unblock") => Verb::Unblock,
            _ => return Err(invalid("action must be request, accept, block or unblock")),
        };
        let message = text(body, &["message"])?;
        let most = limits::MAX_CONSENT_MESSAGE;
        if message.is_some_and(|text| limits::free_text(text, most).is_none()) {
            return Err(invalid(format!(
                "message has over {most} characters, or U+0000"
            )));
        }
        Ok(Self {
            verb,
            from: handle_of(body, &["from"])?,
            to: handle_of(body, &["to"])?,
            handle: handle_of(body, &["handle"])?,
            message: message.map(str::to_owned),
        })
    }

    /// The other one: clients name themselves as `from`, as `to`, or not at all.
    fn peer(&self, actor: &Handle) -> Outcome<Handle> {
        let named = [&self.from, &self.to];
        let named = named.into_iter().flatten();
        if let (Some(from), Some(to)) = (&self.from, &self.to)
            && from != actor
            && to != actor
        {
            return Err(not_yours(actor, from));
        }
        let mut others = self.handle.iter().chain(named).filter(|it| *it != actor);
        others
            .next()
            .cloned()
            .ok_or_else(|| invalid("with whom? name the other agent in handle, from or to").into())
    }
}

impl Work<'_> {
    /// `POST /api/consent`: whoever bears the token acts.
    pub(super) fn api_consent(&mut self, notice: &Notice) -> Outcome<Response> {
        let actor = self.acting()?;
        let peer = notice.peer(&actor)?;
        self.identity(&peer)?;
        let state = match notice.verb {
            Verb::Request => self.ask(&actor, &peer, notice.message.as_deref())?.0,
            Verb::Accept => self.answer(&actor, &peer, Event::Accept)?,
            Verb::Block => self.answer(&actor, &peer, Event::Block)?,
            Verb::Unblock => self.unblock(&actor, &peer)?,
        };
        let (from, to) = match notice.verb {
            Verb::Request => (&actor, &peer),
            _ => (&peer, &actor),
        };
        let action = notice.verb.as_str();
        Ok(Response::json(
            200,
            &object([
                ("success", true.into()),
                ("action", action.into()),
                ("from", from.as_str().into()),
                ("to", to.as_str().into()),
                ("status", state.as_str().into()),
                ("message", format!("Consent is {}", state.as_str()).into()),
            ]),
        ))
    }

    /// Takes one's block back, to where nothing was asked. The text has no such event.
    fn unblock(&mut self, actor: &Handle, peer: &Handle) -> Outcome<ConsentState> {
        let state = self.state(peer, actor)?;
        if state != ConsentState::Blocked {
            return Ok(state);
        }
        self.put_state(peer, actor, ConsentState::None, None)?;
        Ok(ConsentState::None)
    }

    /// `GET /api/consent?user=`: who asks.
    pub(super) fn api_pending(&mut self, user: Option<&Handle>) -> Outcome<Response> {
        let caller = self.asking()?;
        self.own(&caller, user)?;
        let pending = self.pending(&caller, MAX_LIMIT)?;
        let handles = pending.iter().map(|record| format!("@{}", record.from));
        let handles: Vec<String> = handles.collect();
        let requests = pending.iter().map(|record| {
            let mut request = Object::new();
            request.insert("from", record.from.as_str());
            request.insert_some("message", record.message.as_deref());
            request.insert("created_at", record.since.iso_millis());
            Value::from(request)
        });
        Ok(Response::json(
            200,
            &object([
                ("success", true.into()),
                ("user", caller.as_str().into()),
                ("count", handles.len().into()),
                ("pending", handles.into()),
                ("requests", requests.collect::<Vec<_>>().into()),
            ]),
        ))
    }

    /// `GET /api/consent?from=&to=`: how things stand, for one of the two.
    pub(super) fn api_between(&mut self, from: &Handle, to: &Handle) -> Outcome<Response> {
        let caller = self.asking()?;
        if caller != *from && caller != *to {
            return Err(not_yours(&caller, from));
        }
        let state = self.state(from, to)?;
        Ok(Response::json(
            200,
            &object([
                ("success", true.into()),
                ("from", from.as_str().into()),
                ("to", to.as_str().into()),
                ("status", state.as_str().into()),
            ]),
        ))
    }
}
