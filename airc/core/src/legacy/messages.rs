//! `/api/messages`: sending with a token, and reading by time.

use alloc::boxed::Box;
use alloc::collections::BTreeMap;
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

use super::{a_handle, handle_of, invalid, text, unsigned};
use crate::error::{ErrorCode, Refusal};
use crate::handle::Handle;
use crate::json::{self, Object, Value, object};
use crate::limits;
use crate::object::{Message, Payload, VERSION};
use crate::registry::delivery::{Sending, TooDeep, Weighed, canonical, too_deep};
use crate::registry::proof::{Proof, accepted};
use crate::registry::target::Target;
use crate::registry::work::{Outcome, Work};
use crate::registry::{Response, fits, secret};
use crate::store::{ConsentState, MessageRecord};
use crate::time::Time;

/// The type of the payload that an agent which knows only section 2.4 sees where the sender's own
/// payload has no type: what was sent is in its data, under `payload`.
const WRAPPED: &str = "api:payload";

/// A message as it was posted.
#[derive(Clone, Debug)]
pub(crate) struct Note {
    from: Option<Handle>,
    to: Handle,
    text: String,
    kind: Option<String>,
    payload: Option<Value>,
    weighed: Option<Weighed>,
    reply_to: Option<String>,
    /// What it is if its signature holds.
    signed: Option<Box<Sending>>,
}

impl Note {
    pub(super) fn read(body: Object) -> Result<(Self, Option<Proof>), Refusal> {
        let Some(to) = handle_of(&body, &["to"])? else {
            return Err(invalid("to is missing: to whom is it?"));
        };
        let words = text(&body, &["text", "body", "content"])?.unwrap_or_default();
        if words.len() > limits::MAX_BODY {
            let message = format!("the text has over {} bytes", limits::MAX_BODY);
            return Err(Refusal::new(ErrorCode::PayloadTooLarge, message));
        }
        let payload = body.get("payload").filter(|payload| !payload.is_null());
        if words.is_empty() && payload.is_none() {
            return Err(invalid(
                "text is missing: a message has a text, a payload, or both",
            ));
        }
        if payload.is_some_and(too_deep) {
            return Err(Refusal::from(TooDeep));
        }
        let payload = payload.cloned().map(wrapped);
        let weighed = payload.as_ref().map(Payload::read).transpose()?;
        let short = |names: &[&str]| -> Result<Option<String>, Refusal> {
            let found = text(&body, names)?;
            if found.is_some_and(|text| text.len() > limits::MAX_PAYLOAD_TYPE) {
                let name = names.first().copied().unwrap_or_default();
                return Err(invalid(format!("{name} is too long")));
            }
            Ok(found.map(String::from))
        };
        let mut note = Self {
            from: handle_of(&body, &["from"])?,
            to,
            text: words.into(),
            kind: short(&["type"])?,
            weighed: weighed.as_ref().map(Weighed::new).transpose()?,
            reply_to: short(&["reply_to"])?,
            payload,
            signed: None,
        };
        let proof = note.proof(body);
        Ok((note, proof))
    }

    /// What proves a message that is one of section 2.3, and signed.
    fn proof(&mut self, body: Object) -> Option<Proof> {
        let message = Message::read(body.into()).ok()?;
        let (timestamp, nonce) = (message.timestamp, &message.nonce);
        let proof = Proof::of_body(
            message.object(),
            &message.from,
            Some(timestamp),
            Some(nonce),
        );
        let proof = proof.ok()?;
        self.signed = Some(Box::new(Sending::signed(&message).ok()?));
        Some(proof)
    }

    /// The message of a sender who did not sign it.
    fn unsigned(&self, from: &Handle, entropy: &[u8; 32], now: Time) -> Result<Sending, Refusal> {
        let id = secret::name(limits::ID_PREFIX, entropy);
        let mut envelope = Object::new();
        envelope.insert("v", VERSION);
        envelope.insert("id", id.as_str());
        envelope.insert("from", from.as_str());
        envelope.insert("to", self.to.as_str());
        envelope.insert("timestamp", now.seconds());
        envelope.insert("nonce", secret::name("nonce_", entropy));
        envelope.insert("body", self.text.as_str());
        envelope.insert_some("payload", self.payload.clone());
        envelope.insert_some("type", self.kind.as_deref());
        envelope.insert_some("reply_to", self.reply_to.as_deref());
        envelope.insert("unsigned", true);
        Ok(Sending {
            from: from.clone(),
            to: self.to.clone(),
            id,
            timestamp: now.seconds(),
            signed: false,
            envelope: canonical(&envelope)?,
            payload: self.weighed.clone(),
            strict: false,
        })
    }
}

/// A payload as section 2.4 has it: itself, or within one.
fn wrapped(payload: Value) -> Value {
    if Payload::read(&payload).is_ok() {
        return payload;
    }
    object([
        ("type", WRAPPED.into()),
        ("data", object([("payload", payload)])),
    ])
}

/// A payload as it was posted.
fn unwrapped(payload: &Value) -> &Value {
    let wrapped = payload.get("type").and_then(Value::as_str) == Some(WRAPPED);
    let inner = payload.get("data").and_then(|data| data.get("payload"));
    inner.filter(|_| wrapped).unwrap_or(payload)
}

/// Which messages are asked for.
#[derive(Clone, Debug)]
pub(crate) struct Wanted {
    user: Option<Handle>,
    with: Option<Handle>,
    since: Time,
    limit: usize,
}

impl Wanted {
    pub(super) fn read(target: &Target) -> Result<Self, Refusal> {
        let query = &target.query;
        let handle = |name| query.get(name).map(|text| a_handle(name, text)).transpose();
        let since = query.get("since").map(|text| {
            moment(text).ok_or_else(|| {
                invalid(
                    "since must be Unix seconds, milliseconds, or a time like 2026-01-02T00:00:00Z",
                )
            })
        });
        Ok(Self {
            user: handle("user")?,
            with: handle("with")?,
            since: since.transpose()?.unwrap_or_default(),
            limit: query.limit()?,
        })
    }
}

/// A time as clients send it: numbers from 10^11 on are milliseconds, smaller ones seconds.
fn moment(text: &str) -> Option<Time> {
    if !text.bytes().all(|byte| byte.is_ascii_digit()) {
        return Time::parse_iso(text);
    }
    let number: u64 = text.parse().ok()?;
    Some(if number >= 100_000_000_000 {
        Time(number)
    } else {
        Time::from_seconds(number)
    })
}

impl Work<'_> {
    /// `POST /api/messages`.
    pub(super) fn api_send(&mut self, note: &Note) -> Outcome<Response> {
        let sending = match self.api_signed(note)? {
            Some(sending) => sending,
            None => self.api_unsigned(note)?,
        };
        let recipient = self.identity(&sending.to)?;
        let consent = self.submit(&recipient, &sending)?;
        Ok(sent(&sending, note, consent, self.now))
    }

    /// The message as its sender signed it, if that signature holds.
    fn api_signed(&mut self, note: &Note) -> Outcome<Option<Sending>> {
        let call = self.call;
        let (Some(sending), Some(proof)) = (&note.signed, &call.proof) else {
            return Ok(None);
        };
        let Some(identity) = self.store.identity(&proof.signer)? else {
            return Ok(None);
        };
        if !accepted(&identity, self.now).any(|key| self.made_by(proof, &key)) {
            return Ok(None);
        }
        self.fresh(proof)?;
        self.caller = Some(proof.signer.clone());
        Ok(Some(Sending::clone(sending)))
    }

    /// The message of whoever bears the token.
    fn api_unsigned(&mut self, note: &Note) -> Outcome<Sending> {
        if self.settings.require_signatures {
            return Err(unsigned());
        }
        // A signature in the body that does not hold proves nothing, and stands in nobody's way.
        let caller = match note.signed {
            Some(_) => self.bearing()?,
            None => self.asking()?,
        };
        self.own(&caller, note.from.as_ref())?;
        Ok(note.unsigned(&caller, &self.call.entropy, self.now)?)
    }

    /// `GET /api/messages`: with a peer, the thread; else the inbox, and its threads.
    pub(super) fn api_messages(&mut self, wanted: &Wanted) -> Outcome<Response> {
        let caller = self.asking()?;
        self.own(&caller, wanted.user.as_ref())?;
        let with = wanted.with.as_ref();
        let mut records = self
            .store
            .latest(&caller, with, wanted.since, wanted.limit)?;
        // The newest ones, as long as an answer may be.
        let mut bytes = 0;
        let fitting = records
            .iter()
            .rev()
            .take_while(|record| fits(&mut bytes, record));
        let skipped = records.len().saturating_sub(fitting.count());
        records.drain(..skipped);
        let messages: Vec<Value> = records.iter().map(|it| shown(it, &caller).into()).collect();
        let mut answer = Object::new();
        answer.insert("success", true);
        answer.insert("user", caller.as_str());
        answer.insert("count", messages.len());
        answer.insert("limit", wanted.limit);
        match with {
            Some(peer) => {
                answer.insert("with", peer.as_str());
                answer.insert("thread_id", thread_id(&caller, peer));
            }
            None => {
                answer.insert("threads", threads(&records, &caller));
            }
        }
        answer.insert("messages", messages);
        Ok(Response::json(200, &answer.into()).with("cache-control", "no-store"))
    }
}

fn sent(sending: &Sending, note: &Note, consent: ConsentState, now: Time) -> Response {
    let message = object([
        ("id", sending.id.as_str().into()),
        ("thread_id", thread_id(&sending.from, &sending.to).into()),
        ("from", sending.from.as_str().into()),
        ("to", sending.to.as_str().into()),
        ("body", note.text.as_str().into()),
        ("text", note.text.as_str().into()),
        ("created_at", now.iso_millis().into()),
        ("unsigned", (!sending.signed).into()),
    ]);
    let answer = object([
        ("success", true.into()),
        ("id", sending.id.as_str().into()),
        ("messageId", sending.id.as_str().into()),
        ("message", message),
        ("consent", consent.as_str().into()),
    ]);
    Response::json(200, &answer)
}

/// Both directions of a pair have one (section 2.5).
fn thread_id(one: &Handle, two: &Handle) -> String {
    format!("thread_{}.{}", one.min(two), one.max(two))
}

/// A message, as the dialect shows it to `reader`.
fn shown(record: &MessageRecord, reader: &Handle) -> Object {
    // What is kept was written by us, or read by us before.
    let envelope = json::parse(record.envelope.as_bytes()).unwrap_or_default();
    let words = ["body", "text"]
        .into_iter()
        .find_map(|name| envelope.get(name).and_then(Value::as_str));
    let kind = envelope.get("type").and_then(Value::as_str);
    let sent = record.from == *reader;
    let mut message = Object::new();
    message.insert("id", record.id.as_str());
    message.insert("from", record.from.as_str());
    message.insert("to", record.to.as_str());
    message.insert("body", words.unwrap_or_default());
    message.insert("text", words.unwrap_or_default());
    message.insert("type", kind.unwrap_or("text"));
    message.insert("created_at", record.received.iso_millis());
    message.insert("timestamp", record.timestamp);
    message.insert("direction", if sent { "sent" } else { "received" });
    message.insert("unsigned", !record.signed);
    message.insert_some("payload", envelope.get("payload").map(unwrapped).cloned());
    message.insert_some("reply_to", envelope.get("reply_to").cloned());
    message
}

/// The threads of some messages of an inbox, the one with the newest message first.
fn threads(records: &[MessageRecord], reader: &Handle) -> Vec<Value> {
    let mut newest: BTreeMap<&Handle, (usize, usize)> = BTreeMap::new();
    for (at, record) in records.iter().enumerate() {
        let (last, count) = newest.entry(&record.from).or_default();
        *last = at;
        *count = count.saturating_add(1);
    }
    let mut newest: Vec<_> = newest.into_iter().collect();
    newest.sort_by(|(_, (one, _)), (_, (two, _))| two.cmp(one));
    let thread = |(peer, (last, count)): (&Handle, (usize, usize))| {
        let last = records.get(last).map(|record| shown(record, reader));
        object([
            ("id", thread_id(reader, peer).into()),
            ("with", peer.as_str().into()),
            ("message_count", count.into()),
            ("last_message", last.into()),
        ])
    };
    newest.into_iter().map(thread).collect()
}
