//! Registries in this process, agents that sign what they send to them, and plain HTTP.

#![allow(dead_code, reason = "every test program uses a part of it")]

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::ops::Deref;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use airc_core::json::parse;
use airc_core::signing::{SignedHeaders, sign};
use airc_registry::Config;
use airc_registry::config::{Limits, Network};
use airc_registry::http::Server;
use aire_proto::identity::Ed25519Signer;
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::runtime::Runtime;

/// How long anything is waited for before a test gives up.
pub(crate) const PATIENCE: Duration = Duration::from_secs(120);

/// A registry that listens, and ends with this.
pub(crate) struct Stand {
    config: Config,
    runtime: Runtime,
    server: Option<Server>,
    client: Client,
    pub(crate) dir: TempDir,
}

/// Whoever sends requests to a registry.
pub(crate) struct Client {
    pub(crate) address: SocketAddr,
    http: ureq::Agent,
}

impl Deref for Stand {
    type Target = Client;

    fn deref(&self) -> &Client {
        &self.client
    }
}

/// An open registry on a port of its own, without limits of rate.
pub(crate) fn config() -> Config {
    Config {
        listen: SocketAddr::from(([127, 0, 0, 1], 0)),
        open: true,
        limits: Limits {
            requests_per_identity: 0,
            requests_per_address: 0,
            ..Limits::default()
        },
        ..Config::default()
    }
}

/// Networks, as a configuration has them.
pub(crate) fn networks(list: &[&str]) -> Vec<Network> {
    let network = |text: &&str| text.parse().expect("a network");
    list.iter().map(network).collect()
}

impl Stand {
    pub(crate) fn new() -> Self {
        Self::with(config())
    }

    /// A registry of this configuration, with a database of its own.
    pub(crate) fn with(mut config: Config) -> Self {
        let dir = TempDir::new().expect("a directory");
        config.database = format!("sqlite:{}", dir.path().join("r.db").display());
        let runtime = Runtime::new().expect("threads");
        let server = runtime
            .block_on(Server::start(config.clone()))
            .expect("it starts");
        config.listen = server.address();
        Self {
            config,
            client: Client::new(server.address()),
            server: Some(server),
            runtime,
            dir,
        }
    }

    /// Begins to stop, and says when that is done.
    pub(crate) fn stop_in_background(&mut self) -> tokio::task::JoinHandle<()> {
        let server = self.server.take().expect("it runs");
        self.runtime.spawn(async move {
            server.stop().await.expect("it stops");
        })
    }

    /// Starts what was stopped, where it was.
    pub(crate) fn start_again(&mut self) {
        let server = self.runtime.block_on(Server::start(self.config.clone()));
        self.server = Some(server.expect("it starts"));
    }

    pub(crate) fn wait_for(&self, task: tokio::task::JoinHandle<()>) {
        let waited = self
            .runtime
            .block_on(async { tokio::time::timeout(PATIENCE, task).await });
        waited.expect("in time").expect("no panic");
    }

    fn stop_now(&mut self) {
        if let Some(server) = self.server.take() {
            self.runtime.block_on(server.stop()).expect("it stops");
        }
    }
}

impl Client {
    pub(crate) fn new(address: SocketAddr) -> Self {
        let http = agent();
        Self { address, http }
    }

    pub(crate) fn url(&self, target: &str) -> String {
        format!("http://{}{target}", self.address)
    }

    pub(crate) fn get(&self, target: &str) -> Reply {
        self.get_with(target, &[])
    }

    pub(crate) fn get_with(&self, target: &str, headers: &[(&str, &str)]) -> Reply {
        self.send("GET", target, headers, None)
    }

    pub(crate) fn post(&self, target: &str, body: &str) -> Reply {
        self.send("POST", target, &[], Some(body))
    }

    pub(crate) fn send(
        &self,
        method: &str,
        target: &str,
        headers: &[(&str, &str)],
        body: Option<&str>,
    ) -> Reply {
        let mut request = ureq::http::Request::builder()
            .method(method)
            .uri(self.url(target));
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let response = match body {
            Some(body) => self.http.run(request.body(body).expect("a request")),
            None => self.http.run(request.body(()).expect("a request")),
        };
        Reply::of(response.expect("an answer"))
    }

    /// The status of an answer; none if there is no answer, whatever the reason.
    pub(crate) fn try_post(&self, target: &str, body: &str) -> Option<u16> {
        let answer = self.http.post(self.url(target)).send(body).ok()?;
        Some(answer.status().as_u16())
    }

    /// A request that is signed by its headers (AGAP-5).
    pub(crate) fn get_as(&self, agent: &Agent, target: &str) -> Reply {
        let signed = SignedHeaders::sign(
            &agent.handle.parse_handle(),
            "GET",
            target,
            seconds(),
            &nonce(),
            &agent.signer,
        );
        let headers = signed.headers();
        let headers: Vec<(&str, &str)> = headers
            .iter()
            .map(|(name, value)| (*name, value.as_str()))
            .collect();
        self.get_with(target, &headers)
    }

    /// A connection for bytes by hand.
    pub(crate) fn connect(&self) -> TcpStream {
        let stream = TcpStream::connect(self.address).expect("it listens");
        stream.set_read_timeout(Some(PATIENCE)).expect("a timeout");
        stream.set_write_timeout(Some(PATIENCE)).expect("a timeout");
        stream
    }

    /// A registered agent.
    pub(crate) fn agent(&self, name: &str) -> Agent {
        let agent = Agent::new(name);
        let reply = self.post("/identity", &agent.registration(json!({})));
        reply.is(201);
        agent
    }

    /// Two agents who have accepted each other.
    pub(crate) fn friends(&self, one: &str, two: &str) -> (Agent, Agent) {
        let (one, two) = (self.agent(one), self.agent(two));
        for (from, to) in [(&one, &two), (&two, &one)] {
            let body = from.signed(json!({ "from": from.handle, "to": to.handle }));
            self.post("/consent/accept", &body).is(200);
        }
        (one, two)
    }

    pub(crate) fn beat(&self, agent: &Agent, fields: Value) -> Reply {
        let mut body = json!({ "handle": agent.handle });
        merge(&mut body, fields);
        self.post("/presence/heartbeat", &agent.signed(body))
    }
}

impl Drop for Stand {
    fn drop(&mut self) {
        self.stop_now();
    }
}

/// What came back.
#[derive(Debug)]
pub(crate) struct Reply {
    pub(crate) status: u16,
    pub(crate) headers: ureq::http::HeaderMap,
    pub(crate) text: String,
}

impl Reply {
    fn of(mut response: ureq::http::Response<ureq::Body>) -> Self {
        Self {
            status: response.status().as_u16(),
            headers: response.headers().clone(),
            text: response.body_mut().read_to_string().expect("text"),
        }
    }

    #[track_caller]
    pub(crate) fn is(&self, status: u16) -> &Self {
        assert_eq!(self.status, status, "{}", self.text);
        self
    }

    #[track_caller]
    pub(crate) fn json(&self) -> Value {
        assert_eq!(self.header("content-type"), Some("application/json"));
        serde_json::from_str(&self.text).expect("JSON")
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }

    /// That it is a refusal, in the shape of section 5.
    #[track_caller]
    pub(crate) fn refused(&self, status: u16, code: &str) -> &Self {
        self.is(status);
        let body = self.json();
        assert_eq!(body["error"]["code"], code, "{}", self.text);
        let message = body["error"]["message"].as_str().expect("a message");
        assert!(message.len() > 10, "{message}");
        self
    }
}

/// An agent with its key.
pub(crate) struct Agent {
    pub(crate) handle: String,
    pub(crate) signer: Ed25519Signer,
}

trait ParseHandle {
    fn parse_handle(&self) -> airc_core::handle::Handle;
}

impl ParseHandle for String {
    fn parse_handle(&self) -> airc_core::handle::Handle {
        airc_core::handle::Handle::parse(self).expect("a handle")
    }
}

impl Agent {
    /// An agent whose key is its own, whatever it is called.
    pub(crate) fn new(name: &str) -> Self {
        let mut seed = [7; 32];
        for (byte, letter) in seed.iter_mut().zip(name.bytes()) {
            *byte ^= letter;
        }
        Self {
            handle: name.into(),
            signer: Ed25519Signer::from_seed(seed),
        }
    }

    pub(crate) fn key(&self) -> String {
        airc_core::key::to_spki_base64(&self.signer.public_key())
    }

    /// A registration with proof of possession, and `more` in it.
    pub(crate) fn registration(&self, more: Value) -> String {
        let mut body = json!({
            "handle": self.handle,
            "publicKey": self.key(),
            "capabilities": { "payloads": ["game:tictactoe"], "delivery": ["poll"] },
        });
        merge(&mut body, more);
        self.signed(body)
    }

    /// A message, with `more` in it.
    pub(crate) fn message(&self, to: &Agent, more: Value) -> String {
        let mut body = json!({
            "v": "0.1",
            "id": format!("msg_{}", nonce()),
            "from": self.handle,
            "to": to.handle,
            "body": "Hello",
        });
        merge(&mut body, more);
        self.signed(body)
    }

    /// A body with a timestamp and a nonce, where it has none, and a signature.
    pub(crate) fn signed(&self, mut body: Value) -> String {
        if body.get("timestamp").is_none() {
            body["timestamp"] = seconds().into();
        }
        if body.get("nonce").is_none() {
            body["nonce"] = nonce().into();
        }
        let value = parse(body.to_string().as_bytes()).expect("JSON");
        let mut object = value.as_object().expect("an object").clone();
        sign(&mut object, &self.signer);
        airc_core::json::Value::from(object).to_string()
    }
}

/// Puts the fields of `more` into `body`; null takes one out.
pub(crate) fn merge(body: &mut Value, more: Value) {
    let Value::Object(more) = more else {
        panic!("no object: {more}");
    };
    let fields = body.as_object_mut().expect("an object");
    for (name, value) in more {
        match value {
            Value::Null => drop(fields.remove(&name)),
            value => drop(fields.insert(name, value)),
        }
    }
}

pub(crate) fn seconds() -> u64 {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    since.expect("after 1970").as_secs()
}

/// A nonce that was not there before.
pub(crate) fn nonce() -> String {
    static COUNT: AtomicU64 = AtomicU64::new(0);
    let count = COUNT.fetch_add(1, Ordering::Relaxed);
    format!("nonce_{:08}_{count:08}", std::process::id())
}

pub(crate) fn agent() -> ureq::Agent {
    let config = ureq::Agent::config_builder()
        .http_status_as_error(false)
        .max_redirects(0)
        .timeout_global(Some(PATIENCE));
    config.build().into()
}

/// Waits until `look` finds something.
#[track_caller]
pub(crate) fn until<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let began = Instant::now();
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(began.elapsed() < PATIENCE, "in vain: {what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// Writes to a connection, which may be closed by the other side.
pub(crate) fn write(mut stream: &TcpStream, bytes: &[u8]) -> std::io::Result<()> {
    stream.write_all(bytes)
}

/// Everything until the other side closes, as far as it comes.
pub(crate) fn read_all(mut stream: &TcpStream) -> String {
    let mut all = Vec::new();
    let mut part = [0; 4096];
    while let Ok(count @ 1..) = stream.read(&mut part) {
        all.extend_from_slice(&part[..count]);
    }
    String::from_utf8_lossy(&all).into_owned()
}

/// Everything until `end` has come.
#[track_caller]
pub(crate) fn read_until(mut stream: &TcpStream, end: &str) -> String {
    let mut all = String::new();
    let mut part = [0; 4096];
    while !all.contains(end) {
        let count = stream.read(&mut part).expect("in time");
        assert!(count > 0, "closed before {end:?}: {all}");
        all.push_str(&String::from_utf8_lossy(&part[..count]));
    }
    all
}
