//! Requests to an AIRC registry.

use std::sync::LazyLock;

use airc_core::handle::Handle;
use airc_core::json::{Object, Value, object, parse, parse_answer};
use airc_core::key::to_spki_base64;
use airc_core::registry::{Credentials, Method, Registry, Request, Settings};
use airc_core::signing::{SignedHeaders, sign};
use airc_core::store::MemoryStore;
use airc_core::time::Time;
use aire_proto::identity::Ed25519Signer;

/// When every run begins.
const START: u64 = 1_767_312_000;

/// What stands between two requests.
const BETWEEN: &[u8] = b"\n---\n";

/// How many requests one run makes at most.
const MAX_REQUESTS: usize = 8;

static REGISTRY: LazyLock<Registry> = LazyLock::new(|| {
    Registry::new(Settings {
        open: true,
        ..Settings::new("example.com")
    })
});

/// A store that holds two agents.
static STORE: LazyLock<MemoryStore> = LazyLock::new(|| {
    let mut store = MemoryStore::new();
    for (at, name) in ["seth", "alex"].into_iter().enumerate() {
        let capabilities = object([("payloads", Vec::from(["game:chess"]).into())]);
        let body = object([
            ("handle", name.into()),
            (
                "publicKey",
                to_spki_base64(&signer(name).public_key()).into(),
            ),
            ("capabilities", capabilities),
        ]);
        let body = signed(body.into_object().unwrap_or_default(), name).to_string();
        let request = Request {
            method: Method::Post,
            target: "/identity",
            credentials: Credentials::default(),
            body: body.as_bytes(),
            entropy: [at as u8; 32],
        };
        let answer = REGISTRY.handle(&request, Time::from_seconds(START), &mut store);
        assert!(answer.expect("memory does not fail").result.is_ok());
    }
    store
});

/// The key of whoever is called so.
fn signer(name: &str) -> Ed25519Signer {
    let mut seed = [1; 32];
    for (byte, letter) in seed.iter_mut().zip(name.bytes()) {
        *byte = letter;
    }
    Ed25519Signer::from_seed(seed)
}

/// An object that `name` has signed.
fn signed(mut object: Object, name: &str) -> Value {
    sign(&mut object, &signer(name));
    object.into()
}

/// A request, as text: `METHOD target`, headers, an empty line, and the body. Two headers are the
/// target's own: `sign: seth` signs the object in the body with his key, `sign-headers: seth` the
/// headers; a run of bytes would never do that by itself.
struct Script<'a> {
    method: Method,
    target: &'a str,
    headers: Vec<(&'a str, &'a str)>,
    body: Vec<u8>,
}

impl<'a> Script<'a> {
    fn read(bytes: &'a [u8]) -> Option<Self> {
        let at = bytes.windows(2).position(|pair| pair == b"\n\n");
        let (head, body) = match at {
            Some(at) => (&bytes[..at], &bytes[at + 2..]),
            None => (bytes, &b""[..]),
        };
        let mut lines = std::str::from_utf8(head).ok()?.split('\n');
        let (method, target) = lines.next()?.split_once(' ')?;
        let headers: Vec<_> = lines.filter_map(|line| line.split_once(": ")).collect();
        let mut script = Self {
            method: if method == "GET" {
                Method::Get
            } else {
                Method::Post
            },
            target,
            headers,
            body: body.to_vec(),
        };
        if let Some(name) = script.header("sign")
            && let Some(object) = parse(body).ok().and_then(Value::into_object)
        {
            script.body = signed(object, name).to_string().into_bytes();
        }
        Some(script)
    }

    fn header(&self, name: &str) -> Option<&'a str> {
        let found = self.headers.iter().find(|(own, _)| *own == name);
        found.map(|(_, value)| *value)
    }

    /// Makes the request, and checks the answer.
    fn run(&self, at: usize, store: &mut MemoryStore) {
        let now = Time::from_seconds(START + at as u64);
        let name = self.header("sign-headers");
        let nonce = format!("a nonce of headers {at}");
        let headers = name
            .and_then(|name| Handle::parse(name).ok())
            .map(|handle| {
                let (method, signer) = (self.method.as_str(), signer(handle.as_str()));
                SignedHeaders::sign(&handle, method, self.target, now.seconds(), &nonce, &signer)
                    .headers()
            });
        let made = |at: usize| headers.as_ref().map(|headers| headers[at].1.as_str());
        let request = Request {
            method: self.method,
            target: self.target,
            credentials: Credentials {
                authorization: self.header("authorization"),
                handle: made(0).or(self.header("x-airc-handle")),
                timestamp: made(1).or(self.header("x-airc-timestamp")),
                nonce: made(2).or(self.header("x-airc-nonce")),
                signature: made(3).or(self.header("x-airc-signature")),
            },
            body: &self.body,
            entropy: [at as u8; 32],
        };
        let reads = REGISTRY.read(&request).is_ok_and(|call| !call.writes());
        let before = reads.then(|| store.clone());
        let answer = REGISTRY.handle(&request, now, store);
        if let Some(before) = before {
            assert!(before == *store, "what only reads has written");
        }
        let response = answer.expect("memory does not fail").into_response();
        assert!((200..500).contains(&response.status), "{}", response.body);
        if response.content_type.starts_with("text/plain") {
            return;
        }
        let body = parse_answer(response.body.as_bytes()).expect("every answer is JSON");
        let error = body.get("error").is_some();
        assert_eq!(error, response.status >= 400, "{}", response.body);
    }
}

/// Up to eight requests, one after the other.
pub fn request(data: &[u8]) {
    let mut store = STORE.clone();
    let mut rest = data;
    for at in 0..MAX_REQUESTS {
        let end = rest.windows(BETWEEN.len()).position(|it| it == BETWEEN);
        let (script, behind) = match end {
            Some(end) => (&rest[..end], Some(&rest[end + BETWEEN.len()..])),
            None => (rest, None),
        };
        if let Some(script) = Script::read(script) {
            script.run(at, &mut store);
        }
        match behind {
            Some(behind) => rest = behind,
            None => return,
        }
    }
}
