//! A registry over the store in memory.

use airc_core::handle::Handle;
use airc_core::json::{self, Value};
use airc_core::registry::{Credentials, Method, Registry, Request, Response, Settings};
use airc_core::signing::SignedHeaders;
use airc_core::store::MemoryStore;
use airc_core::time::Time;
use airc_core::{key, signing};
use aire_proto::identity::Ed25519Signer;

/// More lines than this teach nothing new, and take long.
const MOST_LINES: usize = 24;

/// Lines of requests, each with its own way to say who asks. However they come: every answer is
/// JSON, and only what says that it writes does.
///
/// A line is three letters, a space, a target, a space, a body. The letters are the method (`g`,
/// `p`), the proof (`s` signs, `t` bears the last token, `n` has none) and the agent (its handle and
/// its key). To a body that is signed, `timestamp`, `nonce` and `publicKey` are added where they
/// stand as `null`.
pub fn registry(data: &[u8]) {
    let Some((&mode, lines)) = data.split_first() else {
        return;
    };
    let Ok(text) = core::str::from_utf8(lines) else {
        return;
    };
    let bit = |number: u8| mode >> number & 1 == 1;
    let mut world = World {
        registry: Registry::new(Settings {
            open: !bit(0),
            require_proof: bit(1),
            require_signatures: bit(2),
            danger_legacy_takeover: bit(3),
            max_held_per_pair: u64::from(bit(4)),
            ..Settings::new("example.com")
        }),
        store: MemoryStore::new(),
        now: Time::from_seconds(1_735_776_000),
        count: 0,
        token: String::new(),
    };
    for line in text.lines().take(MOST_LINES) {
        world.line(line);
    }
}

struct World {
    registry: Registry,
    store: MemoryStore,
    now: Time,
    count: u8,
    /// The last token that was handed out.
    token: String,
}

impl World {
    fn line(&mut self, line: &str) {
        let mut parts = line.splitn(3, ' ');
        let mut part = || parts.next().unwrap_or_default();
        let (letters, target, body) = (part(), part(), part());
        let [method, proof, agent, ..] = *letters.as_bytes() else {
            return;
        };
        self.count += 1;
        self.now = self.now.after_seconds(7);
        let method = match method {
            b'g' => Method::Get,
            _ => Method::Post,
        };
        match (proof, method) {
            (b's', Method::Get) => self.signed_headers(target, agent),
            (b's', Method::Post) => {
                let body = self.signed_body(body, agent);
                self.request(method, target, Credentials::default(), &body);
            }
            (b't', _) => {
                let bearer = format!("Bearer {}", self.token);
                let credentials = Credentials {
                    authorization: Some(&bearer),
                    ..Credentials::default()
                };
                self.request(method, target, credentials, body);
            }
            _ => self.request(method, target, Credentials::default(), body),
        }
    }

    fn nonce(&self) -> String {
        format!("nonce-{:016}", self.count)
    }

    fn signed_headers(&mut self, target: &str, agent: u8) {
        let handle = char::from(agent).to_string();
        let Ok(handle) = Handle::parse(&handle) else {
            return;
        };
        let seconds = self.now.seconds();
        let signed = SignedHeaders::sign(
            &handle,
            "GET",
            target,
            seconds,
            &self.nonce(),
            &signer(agent),
        );
        let headers = signed.headers();
        let value = |at: usize| headers.get(at).map(|(_, value)| value.as_str());
        let credentials = Credentials {
            authorization: None,
            handle: value(0),
            timestamp: value(1),
            nonce: value(2),
            signature: value(3),
        };
        self.request(Method::Get, target, credentials, "");
    }

    fn signed_body(&self, body: &str, agent: u8) -> String {
        let Ok(Value::Object(mut object)) = json::parse(body.as_bytes()) else {
            return body.to_owned();
        };
        let signer = signer(agent);
        let fill: [(&str, Value); 3] = [
            ("timestamp", self.now.seconds().into()),
            ("nonce", self.nonce().into()),
            (
                "publicKey",
                key::to_spki_base64(&signer.public_key()).into(),
            ),
        ];
        for (field, value) in fill {
            if object.get(field).is_some_and(Value::is_null) {
                object.insert(field, value);
            }
        }
        signing::sign(&mut object, &signer);
        Value::from(object).to_string()
    }

    fn request(&mut self, method: Method, target: &str, credentials: Credentials<'_>, body: &str) {
        let request = Request {
            method,
            target,
            credentials,
            body: body.as_bytes(),
            entropy: [self.count; 32],
        };
        let writes = self.registry.read(&request).is_ok_and(|call| call.writes());
        let before = self.store.clone();
        let answer = self
            .registry
            .handle(&request, self.now, &mut self.store)
            .expect("memory does not fail");
        if !writes {
            assert_eq!(self.store, before, "{target} only reads");
        }
        let response = match &answer.result {
            Ok(response) => response.clone(),
            Err(refusal) => {
                assert!(!refusal.message.is_empty());
                Response::refusal(answer.dialect, refusal)
            }
        };
        assert!((200..600).contains(&response.status));
        if response.content_type.contains("json") {
            let value = json::parse_answer(response.body.as_bytes()).expect("answers are JSON");
            if let Some(token) = value.get("token").and_then(Value::as_str) {
                self.token = token.to_owned();
            }
        }
    }
}

/// The key of an agent.
fn signer(agent: u8) -> Ed25519Signer {
    Ed25519Signer::from_seed([agent | 1; 32])
}
