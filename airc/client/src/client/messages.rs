//! Messages: sent, fetched, and acknowledged (sections 2.3 to 2.5 and 2.7).

use std::fmt::Write as _;

use airc_core::handle::Handle;
use airc_core::json::Value;
use airc_core::object::{
    self, Ack, AckStatus, MessageDraft, OwnedPayload as Payload, is_listed, thread,
};
use airc_core::signing;
use airc_core::store::ConsentState;
use aire_proto::identity::Ed25519Verifier;

use super::Client;
use crate::model::{Cursor, Message, Page, Proof};
use crate::transport::Answer;
use crate::{Error, system};

/// The most messages of a page (section 4.3).
pub const MAX_PAGE: usize = 200;

/// The most messages of a thread that [`Client::thread`] fetches.
pub const MAX_THREAD: usize = 10_000;

/// What to do when the recipient does not list a payload's type (section 2.4.1).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Unlisted {
    /// Send the text alone, if there is one; else the payload anyway.
    #[default]
    TextOnly,
    /// Send it anyway, without asking what the recipient takes. The recipient may answer with an
    /// `ack` that says `unsupported_payload`.
    Send,
    /// Send nothing: [`Error::Unlisted`].
    Refuse,
}

/// A message that is to be sent.
#[derive(Clone, Debug, PartialEq, Eq)]
#[must_use]
pub struct Draft {
    to: Handle,
    body: Option<String>,
    payload: Option<Payload>,
    unlisted: Unlisted,
    strict: bool,
}

impl Draft {
    /// Text for people.
    pub fn text(to: &Handle, body: impl Into<String>) -> Self {
        Self {
            to: to.clone(),
            body: Some(body.into()),
            payload: None,
            unlisted: Unlisted::default(),
            strict: false,
        }
    }

    /// A payload for programs.
    pub fn payload(to: &Handle, payload: Payload) -> Self {
        Self {
            body: None,
            payload: Some(payload),
            ..Self::text(to, "")
        }
    }

    /// The same, with this text.
    pub fn with_text(mut self, body: impl Into<String>) -> Self {
        self.body = Some(body.into());
        self
    }

    /// The same, with this payload.
    pub fn with_payload(mut self, payload: Payload) -> Self {
        self.payload = Some(payload);
        self
    }

    /// What to do when the recipient does not list the payload's type.
    pub const fn unlisted(mut self, unlisted: Unlisted) -> Self {
        self.unlisted = unlisted;
        self
    }

    /// The registry is to refuse rather than make do: a type that the recipient does not list
    /// (`unsupported_payload`), and a message that would have to wait for consent
    /// (`consent_required`).
    pub const fn strict(mut self) -> Self {
        self.strict = true;
        self
    }
}

/// A message that the registry took.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sent {
    /// Its id.
    pub id: String,
    /// Where the recipient's consent stands. [`ConsentState::Accepted`] means that it is delivered,
    /// [`ConsentState::Pending`] that it waits for consent.
    pub consent: ConsentState,
    /// Whether the payload was left out, because the recipient does not list its type.
    pub text_only: bool,
}

impl Client {
    /// Sends a message. Before a payload goes out, its type is looked for in what the recipient
    /// takes (section 2.4.1); [`Unlisted`] says what happens where it is missing.
    ///
    /// # Errors
    /// [`Error::Unlisted`], [`Error::Unsendable`]; [`Error::Refused`] and the other ways in which a
    /// call fails. After [`Error::Transport`] nobody knows whether it was sent.
    pub fn send(&self, draft: &Draft) -> Result<Sent, Error> {
        let payload = self.payload_for(draft)?;
        let text_only = payload.is_none() && draft.payload.is_some();
        let id = system::message_id()?;
        let answer = self.signed_post("/messages", &|stamp| {
            let mut message = object::Message::new(MessageDraft {
                id: &id,
                from: self.handle(),
                to: &draft.to,
                timestamp: stamp.now,
                nonce: stamp.nonce,
                body: draft.body.as_deref(),
                payload: payload.cloned(),
                strict: draft.strict,
            })?;
            message.sign(stamp.signer);
            Ok(message.into_value())
        })?;
        let consent = answer.field("consent", |state| ConsentState::parse(state.as_str()?))?;
        Ok(Sent {
            id,
            consent,
            text_only,
        })
    }

    /// The payload to send, if any.
    fn payload_for<'a>(&self, draft: &'a Draft) -> Result<Option<&'a Payload>, Error> {
        let Some(payload) = &draft.payload else {
            return Ok(None);
        };
        if draft.unlisted == Unlisted::Send || is_listed(&[], &payload.kind) {
            return Ok(Some(payload));
        }
        let takes = |identity: &crate::Identity| identity.takes(&payload.kind);
        if takes(&*self.identity_that(&draft.to, takes)?) {
            return Ok(Some(payload));
        }
        let has_text = draft.body.as_ref().is_some_and(|body| !body.is_empty());
        match draft.unlisted {
            Unlisted::Refuse => Err(Error::Unlisted {
                to: draft.to.clone(),
                payload: payload.kind.clone(),
            }),
            Unlisted::TextOnly if has_text => Ok(None),
            Unlisted::TextOnly | Unlisted::Send => Ok(Some(payload)),
        }
    }

    /// Says what became of a message (section 2.7).
    ///
    /// # Errors
    /// [`Error::Unsendable`] for a message that is an acknowledgment itself: they would go on
    /// forever. [`Error::Refused`] and the other ways in which a call fails.
    pub fn ack(
        &self,
        message: &Message,
        status: AckStatus,
        reason: Option<&str>,
    ) -> Result<Sent, Error> {
        if message.payload_type() == Some(Ack::KIND) {
            return Err(Error::Unsendable("an ack is not acknowledged".into()));
        }
        let ack = Ack {
            reference: message.id.clone(),
            status,
            reason: reason.map(Into::into),
        };
        self.send(&Draft::payload(&message.from, ack.into_payload()))
    }

    /// A part of this agent's inbox, behind `since`; from its beginning if there is none. At most
    /// `limit` messages, of [`MAX_PAGE`]. The signatures are checked: see [`Message::proof`].
    ///
    /// Keep the cursor once what came is dealt with: what it has passed does not come again.
    /// [`Inbox`](crate::Inbox) does that, and takes out what came twice.
    ///
    /// # Errors
    /// [`Error::Refused`] and the other ways in which a call fails.
    pub fn poll(&self, since: Option<&Cursor>, limit: usize) -> Result<Page, Error> {
        let answer = self.signed_get(&page_path("/messages", since, limit))?;
        self.page(&answer, |message| message.to == *self.handle())
    }

    /// A part of the thread with `peer`, behind `since`, as the registry delivers it: sort it, once
    /// it is whole. [`thread`](Self::thread) does.
    ///
    /// # Errors
    /// [`Error::Refused`] and the other ways in which a call fails.
    pub fn thread_page(
        &self,
        peer: &Handle,
        since: Option<&Cursor>,
        limit: usize,
    ) -> Result<Page, Error> {
        let path = page_path(&format!("/messages/thread/{peer}"), since, limit);
        let answer = self.signed_get(&path)?;
        let own = self.handle();
        self.page(&answer, |message| {
            let Message { from, to, .. } = message;
            (from == own && to == peer) || (from == peer && to == own)
        })
    }

    /// The thread with `peer`: both directions, ordered by time and then id, each message once
    /// (section 2.5). The first [`MAX_THREAD`] messages, if it is longer.
    ///
    /// # Errors
    /// [`Error::Refused`] and the other ways in which a call fails.
    pub fn thread(&self, peer: &Handle) -> Result<Vec<Message>, Error> {
        let mut messages = Vec::new();
        let mut since = None;
        loop {
            let page = self.thread_page(peer, since.as_ref(), MAX_PAGE)?;
            messages.extend(page.messages);
            // A registry that does not get on would go on forever.
            let stuck = page.cursor.is_none() || page.cursor == since;
            since = page.cursor;
            if !page.more || stuck || messages.len() >= MAX_THREAD {
                break;
            }
        }
        messages.truncate(MAX_THREAD);
        thread::deduplicate(&mut messages);
        thread::sort(&mut messages);
        Ok(messages)
    }

    fn page(&self, answer: &Answer, addressed: impl Fn(&Message) -> bool) -> Result<Page, Error> {
        let list = answer.field("messages", Value::as_array)?;
        let read = |value: &Value| Message::read(value.as_object()?);
        let mut messages: Vec<Message> = list.iter().filter_map(read).collect();
        let mut may_ask = true;
        for message in &mut messages {
            if message.proof == Proof::Unchecked {
                message.proof = match addressed(message) {
                    true => self.prove(message, &mut may_ask),
                    false => Proof::Wrong,
                };
            }
        }
        let object = answer.object()?;
        let cursor = object.get("cursor").and_then(Value::as_str);
        let more = object.get("hasMore").and_then(Value::as_bool);
        let pending = object.get("pendingRequests").and_then(Value::as_array);
        let pending = pending.unwrap_or_default().iter();
        Ok(Page {
            unreadable: list.len().saturating_sub(messages.len()),
            messages,
            cursor: cursor.and_then(Cursor::from_text),
            more: more.unwrap_or(false),
            pending: pending
                .filter_map(|handle| Handle::parse(handle.as_str()?).ok())
                .collect(),
        })
    }

    /// Checks a signature by the sender's keys. Once the registry does not answer, it is not asked
    /// any more.
    fn prove(&self, message: &Message, may_ask: &mut bool) -> Proof {
        let holds = |identity: &crate::Identity| {
            let keys = identity.keys_at(message.timestamp);
            signing::verify(&message.document, &keys, &Ed25519Verifier).is_ok()
        };
        if !*may_ask {
            return Proof::Unchecked;
        }
        match self.identity_that(&message.from, holds) {
            Ok(identity) if holds(&identity) => Proof::Verified,
            Ok(_) => Proof::Wrong,
            Err(error) => {
                *may_ask = error.is_not_found();
                Proof::Unchecked
            }
        }
    }
}

fn page_path(path: &str, since: Option<&Cursor>, limit: usize) -> String {
    let mut path = format!("{path}?limit={}", limit.clamp(1, MAX_PAGE));
    if let Some(cursor) = since {
        path.push_str("&since=");
        for byte in cursor.as_str().bytes() {
            match byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
                true => path.push(char::from(byte)),
                false => {
                    // A string takes whatever it is given.
                    let _never = write!(path, "%{byte:02X}");
                }
            }
        }
    }
    path
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_is_escaped_where_urls_need_it() {
        let cursor = Cursor::from_text("a-._~/+=&é").expect("a cursor");
        assert_eq!(
            page_path("/messages", Some(&cursor), 999),
            "/messages?limit=200&since=a-._~%2F%2B%3D%26%C3%A9"
        );
        assert_eq!(page_path("/messages", None, 0), "/messages?limit=1");
    }
}
