//! A registry with its store and its clock, and agents that sign what they send to it.

use airc_core::handle::Handle;
use airc_core::json::{self, Object, Value, object, parse};
use airc_core::object::{
    ConsentDraft, ConsentNotice, Heartbeat, HeartbeatDraft, Message, MessageDraft, OwnedPayload,
    Registration, RegistrationDraft, Rotation, RotationDraft,
};
use airc_core::registry::{
    Answer, Credentials, Dialect, Effect, Method, Registry, Request, Response, Settings,
};
use airc_core::signing::{SignedHeaders, sign};
use airc_core::store::{ConsentState, MemoryStore, Status, Store};
use airc_core::time::Time;
pub(crate) mod counted;

use aire_proto::identity::Ed25519Signer;

/// When every test begins: some time in 2026.
pub(crate) const START: u64 = 1_767_312_000;

/// A registry, its store, and its clock.
pub(crate) struct World {
    pub(crate) registry: Registry,
    pub(crate) store: MemoryStore,
    pub(crate) now: Time,
    /// Makes ids, nonces and random bytes that are new.
    count: u64,
}

/// An agent with its key.
#[derive(Clone)]
pub(crate) struct Agent {
    pub(crate) handle: Handle,
    pub(crate) signer: Ed25519Signer,
}

/// What came back.
#[derive(Debug)]
pub(crate) struct Reply {
    pub(crate) status: u16,
    pub(crate) body: Value,
    pub(crate) text: String,
    pub(crate) headers: Vec<(&'static str, String)>,
    pub(crate) effects: Vec<Effect>,
    pub(crate) caller: Option<Handle>,
}

pub(crate) fn handle(text: &str) -> Handle {
    Handle::parse(text).expect("a handle")
}

/// Settings with which everybody may register.
pub(crate) fn open() -> Settings {
    Settings {
        open: true,
        ..Settings::new("example.com")
    }
}

impl Agent {
    /// An agent whose key is its own, whatever it is called.
    pub(crate) fn new(name: &str, key: u8) -> Self {
        let mut seed = [key.max(1); 32];
        for (byte, letter) in seed.iter_mut().zip(name.bytes()) {
            *byte ^= letter;
        }
        Self {
            handle: handle(name),
            signer: Ed25519Signer::from_seed(seed),
        }
    }

    /// The same agent with another key.
    pub(crate) fn with_key(&self, key: u8) -> Self {
        Self::new(self.handle.as_str(), key)
    }
}

impl World {
    /// An open registry.
    pub(crate) fn new() -> Self {
        Self::with(open())
    }

    pub(crate) fn with(settings: Settings) -> Self {
        Self {
            registry: Registry::new(settings),
            store: MemoryStore::new(),
            now: Time::from_seconds(START),
            count: 0,
        }
    }

    /// So many seconds pass.
    pub(crate) fn pass(&mut self, seconds: u64) {
        self.now = self.now.after_seconds(seconds);
    }

    pub(crate) fn seconds(&self) -> u64 {
        self.now.seconds()
    }

    /// A number that was not there before.
    pub(crate) fn fresh(&mut self) -> u64 {
        self.count += 1;
        self.count
    }

    pub(crate) fn nonce(&mut self) -> String {
        format!("nonce-{:016}", self.fresh())
    }

    /// One request, as HTTP would bring it. Every second one is checked before it is applied, as
    /// outside of a transaction. What claims not to write must not.
    pub(crate) fn request(
        &mut self,
        method: Method,
        target: &str,
        credentials: Credentials<'_>,
        body: &[u8],
    ) -> Reply {
        let mut entropy = [0; 32];
        entropy[..8].copy_from_slice(&self.fresh().to_be_bytes());
        let request = Request {
            method,
            target,
            credentials,
            body,
            entropy,
        };
        let answer = match self.registry.read(&request) {
            Err(refusal) => Answer::refused(Dialect::of(target), refusal),
            Ok(mut call) => {
                if self.count.is_multiple_of(2) {
                    let signer = call.signer().cloned();
                    let identity = signer.and_then(|it| self.store.identity(&it).unwrap());
                    call.check(identity.as_ref(), self.now);
                }
                let before = (!call.writes()).then(|| self.store.clone());
                let answer = self.registry.apply(&call, self.now, &mut self.store);
                if let Some(before) = before {
                    assert!(before == self.store, "{} wrote", call.route().as_str());
                }
                answer.expect("nothing fails in memory")
            }
        };
        let (caller, effects) = (answer.caller.clone(), answer.effects.clone());
        let response: Response = answer.into_response();
        let body = match response.content_type {
            "text/plain; charset=utf-8" => Value::Null,
            _ => parse(response.body.as_bytes()).expect("every answer is JSON"),
        };
        Reply {
            status: response.status,
            body,
            text: response.body,
            headers: response.headers,
            effects,
            caller,
        }
    }

    pub(crate) fn post(&mut self, target: &str, body: &Value) -> Reply {
        let body = body.to_string();
        self.request(
            Method::Post,
            target,
            Credentials::default(),
            body.as_bytes(),
        )
    }

    pub(crate) fn post_bearing(&mut self, secret: &str, target: &str, body: &Value) -> Reply {
        let authorization = format!("Bearer {secret}");
        let credentials = Credentials {
            authorization: Some(&authorization),
            ..Credentials::default()
        };
        let body = body.to_string();
        self.request(Method::Post, target, credentials, body.as_bytes())
    }

    /// A request without credentials.
    pub(crate) fn get(&mut self, target: &str) -> Reply {
        self.request(Method::Get, target, Credentials::default(), b"")
    }

    pub(crate) fn get_bearing(&mut self, secret: &str, target: &str) -> Reply {
        let authorization = format!("Bearer {secret}");
        let credentials = Credentials {
            authorization: Some(&authorization),
            ..Credentials::default()
        };
        self.request(Method::Get, target, credentials, b"")
    }

    /// A signed request (AGAP-5).
    pub(crate) fn get_as(&mut self, agent: &Agent, target: &str) -> Reply {
        let headers = self.headers(agent, "GET", target);
        self.with_headers(&headers, Method::Get, target, b"")
    }

    pub(crate) fn headers(&mut self, agent: &Agent, method: &str, target: &str) -> SignedHeaders {
        let (seconds, nonce) = (self.seconds(), self.nonce());
        SignedHeaders::sign(
            &agent.handle,
            method,
            target,
            seconds,
            &nonce,
            &agent.signer,
        )
    }

    pub(crate) fn with_headers(
        &mut self,
        headers: &SignedHeaders,
        method: Method,
        target: &str,
        body: &[u8],
    ) -> Reply {
        let headers = headers.headers();
        let value = |wanted: &str| {
            let found = headers.iter().find(|(name, _)| *name == wanted);
            found.map(|(_, value)| value.as_str())
        };
        let credentials = Credentials {
            authorization: None,
            handle: value("X-AIRC-Handle"),
            timestamp: value("X-AIRC-Timestamp"),
            nonce: value("X-AIRC-Nonce"),
            signature: value("X-AIRC-Signature"),
        };
        self.request(method, target, credentials, body)
    }

    /// A registration with proof, as a body.
    pub(crate) fn registration(&mut self, agent: &Agent, payloads: &[&str]) -> Value {
        let nonce = self.nonce();
        let payloads: Vec<String> = payloads.iter().map(ToString::to_string).collect();
        let mut registration = Registration::new(RegistrationDraft {
            handle: &agent.handle,
            key: &agent.signer.public_key(),
            payloads: &payloads,
            max_payload_size: None,
            endpoints: &[],
            timestamp: self.seconds(),
            nonce: &nonce,
        })
        .expect("a registration");
        registration.sign(&agent.signer);
        registration.into_value()
    }

    /// A registered agent.
    pub(crate) fn agent(&mut self, name: &str) -> Agent {
        let agent = Agent::new(name, 1);
        let body = self.registration(&agent, &["game:chess"]);
        assert_eq!(self.post("/identity", &body).ok(201).str("handle"), name);
        agent
    }

    pub(crate) fn agents<const N: usize>(&mut self, names: [&str; N]) -> [Agent; N] {
        names.map(|name| self.agent(name))
    }

    /// Agents who have all accepted each other.
    pub(crate) fn friends<const N: usize>(&mut self, names: [&str; N]) -> [Agent; N] {
        let agents = self.agents(names);
        for one in &agents {
            for two in agents.iter().filter(|two| two.handle != one.handle) {
                self.accept(one, two).ok(200);
            }
        }
        agents
    }

    pub(crate) fn beat(
        &mut self,
        agent: &Agent,
        status: Option<Status>,
        context: Option<&str>,
    ) -> Reply {
        let nonce = self.nonce();
        let mut beat = Heartbeat::new(HeartbeatDraft {
            handle: &agent.handle,
            status,
            context,
            timestamp: self.seconds(),
            nonce: &nonce,
        })
        .expect("a heartbeat");
        beat.sign(&agent.signer);
        self.post("/presence/heartbeat", &beat.into_value())
    }

    /// A message that is not signed yet.
    pub(crate) fn draft(&mut self, from: &Agent, to: &Agent, body: &str) -> Message {
        let (id, nonce) = (format!("msg_{:08}", self.fresh()), self.nonce());
        Message::new(MessageDraft {
            id: &id,
            from: &from.handle,
            to: &to.handle,
            timestamp: self.seconds(),
            nonce: &nonce,
            body: Some(body),
            payload: None,
            strict: false,
        })
        .expect("a message")
    }

    /// A signed message.
    pub(crate) fn message(&mut self, from: &Agent, to: &Agent, body: &str) -> Value {
        let mut message = self.draft(from, to, body);
        message.sign(&from.signer);
        message.into_value()
    }

    pub(crate) fn send(&mut self, from: &Agent, to: &Agent, body: &str) -> Reply {
        let message = self.message(from, to, body);
        self.post("/messages", &message)
    }

    /// A signed message with a payload.
    pub(crate) fn typed(
        &mut self,
        from: &Agent,
        to: &Agent,
        kind: &str,
        data: Object,
        strict: bool,
    ) -> Value {
        let (id, nonce) = (format!("msg_{:08}", self.fresh()), self.nonce());
        let mut message = Message::new(MessageDraft {
            id: &id,
            from: &from.handle,
            to: &to.handle,
            timestamp: self.seconds(),
            nonce: &nonce,
            body: None,
            payload: Some(OwnedPayload {
                kind: kind.into(),
                data,
            }),
            strict,
        })
        .expect("a message");
        message.sign(&from.signer);
        message.into_value()
    }

    /// A handshake by message.
    pub(crate) fn handshake(&mut self, from: &Agent, to: &Agent, action: &str) -> Reply {
        let mut data = Object::new();
        data.insert("action", action);
        data.insert("message", "Hey, want to connect?");
        let message = self.typed(from, to, "handshake", data, false);
        self.post("/messages", &message)
    }

    pub(crate) fn notice(&mut self, from: &Agent, to: &Agent, message: Option<&str>) -> Value {
        let nonce = self.nonce();
        let mut notice = ConsentNotice::new(ConsentDraft {
            from: &from.handle,
            to: &to.handle,
            message,
            timestamp: self.seconds(),
            nonce: &nonce,
        })
        .expect("a notice");
        notice.sign(&from.signer);
        notice.into_value()
    }

    pub(crate) fn ask(&mut self, from: &Agent, to: &Agent) -> Reply {
        let notice = self.notice(from, to, Some("Hey!"));
        self.post("/consent/request", &notice)
    }

    pub(crate) fn accept(&mut self, actor: &Agent, peer: &Agent) -> Reply {
        let notice = self.notice(actor, peer, None);
        self.post("/consent/accept", &notice)
    }

    pub(crate) fn block(&mut self, actor: &Agent, peer: &Agent) -> Reply {
        let notice = self.notice(actor, peer, None);
        self.post("/consent/block", &notice)
    }

    pub(crate) fn rotate(&mut self, agent: &Agent, key: u8) -> (Agent, Reply) {
        let next = agent.with_key(key);
        let nonce = self.nonce();
        let mut rotation = Rotation::new(RotationDraft {
            handle: &agent.handle,
            key: &next.signer.public_key(),
            timestamp: self.seconds(),
            nonce: &nonce,
        })
        .expect("a rotation");
        rotation.sign(&agent.signer);
        let reply = self.post("/identity/rotate", &rotation.into_value());
        (next, reply)
    }

    /// The consent of `to` to `from`, as it is kept.
    pub(crate) fn state(&mut self, from: &Agent, to: &Agent) -> ConsentState {
        let record = self.store.consent(&from.handle, &to.handle).unwrap();
        record.map_or(ConsentState::None, |record| record.state)
    }

    /// The bodies of everything in an inbox, in its order, read page by page.
    pub(crate) fn inbox(&mut self, owner: &Agent) -> Vec<String> {
        let mut bodies = Vec::new();
        let mut target = "/messages".to_string();
        loop {
            let reply = self.get_as(owner, &target).ok(200);
            bodies.extend(reply.bodies());
            if reply.body.get("hasMore").and_then(Value::as_bool) == Some(false) {
                return bodies;
            }
            target = format!("/messages?since={}", reply.str("cursor"));
        }
    }
}

impl Reply {
    /// The reply, whose status is this one.
    #[track_caller]
    pub(crate) fn ok(self, status: u16) -> Self {
        assert_eq!(self.status, status, "{}", self.text);
        self
    }

    /// That it is a refusal with this code, in the shape of section 5.
    #[track_caller]
    pub(crate) fn refused(self, status: u16, code: &str) -> Self {
        assert_eq!(self.status, status, "{}", self.text);
        let error = self.body.get("error").expect("an error");
        assert_eq!(error.get("code").and_then(Value::as_str), Some(code));
        let message = error.get("message").and_then(Value::as_str);
        assert!(message.is_some_and(|message| message.len() > 10));
        self
    }

    /// A detail of a refusal.
    #[track_caller]
    pub(crate) fn detail(&self, name: &str) -> &str {
        let details = self.body.get("error").and_then(|it| it.get("details"));
        let found = details.and_then(|it| it.get(name)).and_then(Value::as_str);
        found.unwrap_or_else(|| panic!("no {name} in {}", self.text))
    }

    #[track_caller]
    pub(crate) fn str(&self, name: &str) -> &str {
        let found = self.body.get(name).and_then(Value::as_str);
        found.unwrap_or_else(|| panic!("no {name} in {}", self.text))
    }

    /// The items of an array.
    #[track_caller]
    pub(crate) fn items(&self, name: &str) -> &[Value] {
        let found = self.body.get(name).and_then(Value::as_array);
        found.unwrap_or_else(|| panic!("no {name} in {}", self.text))
    }

    /// The bodies of the messages in it; a payload's type where there is none.
    pub(crate) fn bodies(&self) -> Vec<String> {
        let text = |message: &Value| {
            let body = message.get("body").and_then(Value::as_str);
            let kind = message.get("payload").and_then(|it| it.get("type"));
            let text = body.or(kind.and_then(Value::as_str));
            text.expect("a body or a payload").to_string()
        };
        self.items("messages").iter().map(text).collect()
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        let found = self.headers.iter().find(|(own, _)| *own == name);
        found.map(|(_, value)| value.as_str())
    }
}

/// `value` with some of its fields replaced, and signed again.
pub(crate) fn altered<const N: usize>(
    value: &Value,
    signer: &Agent,
    changes: [(&str, Value); N],
) -> Value {
    let mut object = value.as_object().expect("an object").clone();
    for (name, value) in changes {
        if value.is_null() {
            object.remove(name);
        } else {
            object.insert(name, value);
        }
    }
    sign(&mut object, &signer.signer);
    object.into()
}

/// An object of one field.
pub(crate) fn data(name: &str, value: impl Into<Value>) -> json::Object {
    object([(name, value.into())])
        .into_object()
        .expect("an object")
}
