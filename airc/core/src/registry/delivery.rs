//! What becomes of a message: delivered, held, or refused (sections 2.3, 2.4 and 2.6).

use alloc::format;
use alloc::string::String;

use super::consent::{blocked, required};
use super::work::{Outcome, Stop, Work};
use super::{Effect, Response};
use crate::canonical::write_object;
use crate::consent::{self, Event, next};
use crate::error::{ErrorCode, Refusal};
use crate::handle::Handle;
use crate::json::{Object, Value, object};
use crate::object::{Action, Handshake, Message, Payload, is_listed};
use crate::store::{ConsentState, IdentityRecord, MessageRecord, Once};
use crate::time::Time;

/// A message on its way, read and weighed before any transaction.
#[derive(Clone, Debug)]
pub(crate) struct Sending {
    pub(crate) from: Handle,
    pub(crate) to: Handle,
    pub(crate) id: String,
    /// Unix seconds, as the sender has them.
    pub(crate) timestamp: u64,
    pub(crate) signed: bool,
    /// What receivers get.
    pub(crate) envelope: String,
    pub(crate) payload: Option<Weighed>,
    /// Whether the sender would rather be refused than held or misunderstood (AGAP-9).
    pub(crate) strict: bool,
}

/// A payload, as far as a registry looks at it.
#[derive(Clone, Debug)]
pub(crate) struct Weighed {
    kind: String,
    /// Bytes of its canonical JSON (AGAP-10).
    size: u64,
    handshake: Option<Handshake>,
}

impl Weighed {
    /// Weighs a payload, and reads what a handshake says.
    ///
    /// # Errors
    /// `invalid_request` for a handshake that is none.
    pub(crate) fn new(payload: &Payload<'_>) -> Result<Self, Refusal> {
        let handshake = payload.kind == Handshake::KIND;
        let handshake = handshake.then(|| Handshake::read(payload.data));
        Ok(Self {
            kind: payload.kind.into(),
            size: payload.size() as u64,
            handshake: handshake.transpose()?,
        })
    }
}

impl Sending {
    /// A message that its sender signed: receivers get it as it is (section 2.3).
    ///
    /// # Errors
    /// `invalid_request` for a handshake that is none, and for what is nested too deeply;
    /// `payload_too_large` for more than any message may have.
    pub(crate) fn signed(message: &Message) -> Result<Self, Refusal> {
        if message.object().iter().any(|(_, value)| too_deep(value)) {
            return Err(TooDeep.into());
        }
        let payload = message.payload();
        Ok(Self {
            from: message.from.clone(),
            to: message.to.clone(),
            id: message.id.clone(),
            timestamp: message.timestamp,
            signed: true,
            envelope: canonical(message.object())?,
            payload: payload.as_ref().map(Weighed::new).transpose()?,
            strict: message.strict,
        })
    }

    fn record(&self, received: Time) -> MessageRecord {
        MessageRecord {
            from: self.from.clone(),
            to: self.to.clone(),
            id: self.id.clone(),
            timestamp: self.timestamp,
            received,
            signed: self.signed,
            envelope: self.envelope.clone(),
        }
    }
}

/// How deeply the fields of a message may be nested. It is less than what a reader takes: answers
/// put messages into arrays within objects, and must not become unreadable by that.
const MAX_DEPTH: usize = 48;

/// A message that nobody could read out of an answer.
pub(crate) struct TooDeep;

impl From<TooDeep> for Refusal {
    fn from(_: TooDeep) -> Self {
        let message = format!("the fields of a message are nested in at most {MAX_DEPTH} levels");
        Self::new(ErrorCode::InvalidRequest, message)
    }
}

/// Whether a field of a message is nested too deeply.
pub(crate) fn too_deep(value: &Value) -> bool {
    fn deeper_than(levels: usize, value: &Value) -> bool {
        let Some(inner) = levels.checked_sub(1) else {
            return matches!(value, Value::Array(_) | Value::Object(_));
        };
        match value {
            Value::Array(items) => items.iter().any(|item| deeper_than(inner, item)),
            Value::Object(object) => object.iter().any(|(_, item)| deeper_than(inner, item)),
            _ => false,
        }
    }
    deeper_than(MAX_DEPTH, value)
}

/// The longest message, in bytes of its canonical JSON: twice what body and payload may have, so
/// that fields which nobody knows find room, and pages stay bounded.
const MAX_ENVELOPE: usize = 262_144;

/// The canonical form of a whole message.
///
/// # Errors
/// `payload_too_large`.
pub(crate) fn canonical(object: &Object) -> Result<String, Refusal> {
    let mut text = String::new();
    // A string takes whatever it is given.
    let _never = write_object(object, None, &mut text);
    if text.len() > MAX_ENVELOPE {
        let message = format!("a message has at most {MAX_ENVELOPE} bytes of canonical JSON");
        return Err(Refusal::new(ErrorCode::PayloadTooLarge, message));
    }
    Ok(text)
}

impl Work<'_> {
    /// `POST /messages`, whose sender is known.
    pub(super) fn send(&mut self, sending: &Sending) -> Outcome<Response> {
        let recipient = self.identity(&sending.to)?;
        let consent = self.submit(&recipient, sending)?;
        Ok(Response::json(
            200,
            &object([
                ("success", true.into()),
                ("id", sending.id.as_str().into()),
                ("consent", consent.as_str().into()),
            ]),
        ))
    }

    /// Does with a message whatever consent says. Where that stands now.
    ///
    /// # Errors
    /// `consent_blocked`, `consent_required`, `payload_too_large`, `unsupported_payload`,
    /// `replay_detected` for its id, `rate_limited` when too much is held.
    pub(crate) fn submit(
        &mut self,
        recipient: &IdentityRecord,
        sending: &Sending,
    ) -> Outcome<ConsentState> {
        let payload = sending.payload.as_ref();
        match payload.and_then(|payload| payload.handshake.as_ref()) {
            Some(handshake) => self.submit_handshake(recipient, sending, handshake),
            None => self.submit_message(recipient, sending),
        }
    }

    fn submit_message(
        &mut self,
        recipient: &IdentityRecord,
        sending: &Sending,
    ) -> Outcome<ConsentState> {
        let (from, to) = (&sending.from, &sending.to);
        let state = self.state(from, to)?;
        let step = next(state, Event::Message);
        match step.effect {
            consent::Effect::Refuse => return Err(blocked(to).into()),
            consent::Effect::Hold if sending.strict => return Err(required(to, state).into()),
            _ => {}
        }
        weigh(recipient, sending)?;
        if step.effect == consent::Effect::Deliver {
            self.first(sending)?;
            self.deliver(sending)?;
            return Ok(step.state);
        }
        // The first message is a request (AGAP-3), also where nothing is held.
        if self.settings.max_held_per_pair == 0 {
            if state != step.state {
                self.put_state(from, to, step.state, None)?;
            }
            return Err(required(to, step.state).into());
        }
        self.room(from, to, state)?;
        self.first(sending)?;
        if state != step.state {
            self.put_state(from, to, step.state, None)?;
        }
        self.store.hold(&sending.record(self.now))?;
        let (from, to) = (from.clone(), to.clone());
        self.effects.push(Effect::Held { from, to });
        Ok(step.state)
    }

    /// A handshake is the event that it names. It is never held: a request is delivered when it
    /// is the first, an answer when there is consent to it.
    fn submit_handshake(
        &mut self,
        recipient: &IdentityRecord,
        sending: &Sending,
        handshake: &Handshake,
    ) -> Outcome<ConsentState> {
        let (from, to) = (&sending.from, &sending.to);
        self.of_two(from, to)?;
        weigh(recipient, sending)?;
        let event = match handshake.action {
            Action::Request => Event::Request,
            Action::Accept => Event::Accept,
            Action::Block => Event::Block,
        };
        let (state, tell) = match event {
            Event::Request | Event::Message => {
                if self.state(from, to)? == ConsentState::Blocked {
                    return Err(blocked(to).into());
                }
                self.first(sending)?;
                let (state, asked) = self.ask(from, to, handshake.message.as_deref())?;
                (state, asked || state == ConsentState::Accepted)
            }
            Event::Accept | Event::Block => {
                self.first(sending)?;
                let state = self.answer(from, to, event)?;
                (state, self.state(from, to)? == ConsentState::Accepted)
            }
        };
        if tell {
            self.deliver(sending)?;
        }
        Ok(state)
    }

    /// Whether there is room to hold one more (AGAP-3).
    fn room(&mut self, from: &Handle, to: &Handle, state: ConsentState) -> Outcome<()> {
        let (of_pair, of_recipient) = self.store.held(from, to)?;
        let full = if of_pair >= self.settings.max_held_per_pair {
            format!("{of_pair} messages wait for @{to} to accept you: wait for that")
        } else if of_recipient >= self.settings.max_held_per_recipient {
            format!("too many messages wait for @{to} to accept their senders: wait for that")
        } else {
            return Ok(());
        };
        let refusal = Refusal::new(ErrorCode::RateLimited, full);
        Err(refusal.with("consent_status", state.as_str()).into())
    }

    /// Notes the id of a message that will be kept (section 2.3).
    fn first(&mut self, message: &Sending) -> Outcome<()> {
        let until = self.now.after_seconds(self.settings.id_memory);
        let once = Once::MessageId(&message.id);
        if self.store.remember(&message.from, once, self.now, until)? {
            return Ok(());
        }
        Err(self.replayed(
            &message.from,
            format!(
                "you have sent {} before: make a new id for every message",
                message.id
            ),
        ))
    }

    fn deliver(&mut self, message: &Sending) -> Outcome<()> {
        self.store.deliver(&message.record(self.now))?;
        self.effects.push(Effect::Delivered {
            from: message.from.clone(),
            to: message.to.clone(),
            count: 1,
        });
        Ok(())
    }
}

/// Whether the recipient takes the payload.
fn weigh(recipient: &IdentityRecord, sending: &Sending) -> Result<(), Stop> {
    let Some(payload) = &sending.payload else {
        return Ok(());
    };
    let capabilities = &recipient.capabilities;
    let most = capabilities.max_payload_size;
    if payload.size > most {
        let message = format!(
            "the payload has {} bytes of canonical JSON, and @{} takes {most}",
            payload.size, recipient.handle
        );
        let refusal = Refusal::new(ErrorCode::PayloadTooLarge, message);
        return Err(refusal.with("maxPayloadSize", format!("{most}")).into());
    }
    if sending.strict && !is_listed(&capabilities.payloads, &payload.kind) {
        let message = format!("@{} does not list {}", recipient.handle, payload.kind);
        let refusal = Refusal::new(ErrorCode::UnsupportedPayload, message);
        let listed: String = capabilities.payloads.join(", ");
        return Err(refusal.with("payloads", listed).into());
    }
    Ok(())
}
