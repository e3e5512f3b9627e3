//! A registry that says what a test wants it to say, over real sockets, and remembers what it was
//! asked.
#![allow(dead_code, reason = "no test uses all of it")]

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use airc_client::json::{self, Object};
use airc_client::{Builder, Client, Handle, SigningKey};
use airc_core::signing::SignedHeaders;
use aire_proto::identity::{Ed25519Signer, Ed25519Verifier};

/// When a test gives up: far longer than anything takes.
pub(crate) const PATIENCE: Duration = Duration::from_secs(120);

/// What came.
#[derive(Clone, Debug)]
pub(crate) struct Asked {
    pub(crate) method: String,
    pub(crate) target: String,
    headers: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
}

impl Asked {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        let mut headers = self.headers.iter();
        let found = headers.find(|(known, _)| known.eq_ignore_ascii_case(name));
        found.map(|(_, value)| value.as_str())
    }

    /// Method and path, without the query.
    pub(crate) fn what(&self) -> String {
        let path = self.target.split('?').next().expect("a path");
        format!("{} {path}", self.method)
    }

    pub(crate) fn object(&self) -> Object {
        let value = json::parse(&self.body).expect("JSON");
        value.into_object().expect("an object")
    }

    /// A string of the body.
    pub(crate) fn text(&self, key: &str) -> String {
        let object = self.object();
        let value = object.get(key).and_then(|value| value.as_str());
        value.expect(key).to_owned()
    }

    /// Whether the headers are signed by this key (AGAP-5).
    pub(crate) fn is_signed_by(&self, key: &SigningKey) -> bool {
        let header = |name| self.header(name).expect(name);
        let signed = SignedHeaders::read(
            header("x-airc-handle"),
            header("x-airc-timestamp"),
            header("x-airc-nonce"),
            header("x-airc-signature"),
        )
        .expect("they can be read");
        let keys = [key.public_key()];
        let verdict = signed.verify(&self.method, &self.target, &keys, &Ed25519Verifier);
        verdict.is_ok()
    }
}

/// What is said.
#[derive(Clone, Debug)]
pub(crate) enum Reply {
    /// A status, headers, and a body.
    Say(u16, Vec<(&'static str, String)>, String),
    /// Nothing: the connection is closed.
    HangUp,
}

impl Reply {
    pub(crate) fn json(body: impl Into<String>) -> Self {
        Self::Say(200, Vec::new(), body.into())
    }

    pub(crate) fn refuse(code: airc_client::ErrorCode) -> Self {
        let body = format!(r#"{{"error":{{"code":"{code}","message":"No."}}}}"#);
        Self::Say(code.status(), Vec::new(), body)
    }

    pub(crate) fn with(self, name: &'static str, value: impl Into<String>) -> Self {
        match self {
            Self::Say(status, mut headers, body) => {
                headers.push((name, value.into()));
                Self::Say(status, headers, body)
            }
            Self::HangUp => self,
        }
    }
}

/// The registry. It lasts as long as the test's process.
#[derive(Clone)]
pub(crate) struct Fake {
    address: SocketAddr,
    asked: Arc<Mutex<Vec<Asked>>>,
}

impl Fake {
    /// `answer` is told what was asked, and how many requests came before it.
    pub(crate) fn new(answer: impl Fn(&Asked, usize) -> Reply + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let address = listener.local_addr().expect("bound");
        let fake = Self {
            address,
            asked: Arc::default(),
        };
        let (theirs, answer) = (fake.clone(), Arc::new(answer));
        thread::spawn(move || {
            for connection in listener.incoming() {
                let (fake, answer) = (theirs.clone(), Arc::clone(&answer));
                let connection = connection.expect("a connection");
                thread::spawn(move || fake.serve(connection, &*answer));
            }
        });
        fake
    }

    fn serve(&self, mut connection: TcpStream, answer: &dyn Fn(&Asked, usize) -> Reply) {
        let Some(asked) = read(&connection) else {
            return;
        };
        let before = {
            let mut all = self.asked.lock().unwrap_or_else(PoisonError::into_inner);
            all.push(asked.clone());
            all.len() - 1
        };
        let Reply::Say(status, headers, body) = answer(&asked, before) else {
            return;
        };
        let mut head = format!(
            "HTTP/1.1 {status} Said\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\
             connection: close\r\n",
            body.len()
        );
        for (name, value) in headers {
            head += &format!("{name}: {value}\r\n");
        }
        // A client that has read enough may have hung up.
        let _sent = connection
            .write_all(format!("{head}\r\n").as_bytes())
            .and_then(|()| connection.write_all(body.as_bytes()));
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// All that came, in its order.
    pub(crate) fn asked(&self) -> Vec<Asked> {
        let asked = self.asked.lock().unwrap_or_else(PoisonError::into_inner);
        asked.clone()
    }

    /// The methods and paths that came.
    pub(crate) fn whats(&self) -> Vec<String> {
        self.asked().iter().map(Asked::what).collect()
    }

    pub(crate) fn builder(&self) -> Builder {
        Client::builder(self.url(), "seth").key(key(1))
    }

    /// A client of `seth`, whose key is `key(1)`.
    pub(crate) fn client(&self) -> Client {
        self.builder().build().expect("a client")
    }
}

fn read(connection: &TcpStream) -> Option<Asked> {
    let mut reader = BufReader::new(connection);
    let mut line = String::new();
    reader.read_line(&mut line).ok()?;
    let mut words = line.split(' ');
    let (method, target) = (words.next()?.to_owned(), words.next()?.to_owned());
    let mut headers = Vec::new();
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).ok()?;
        match line.trim_end().split_once(": ") {
            Some((name, value)) => headers.push((name.to_owned(), value.to_owned())),
            None => break,
        }
    }
    let mut asked = Asked {
        method,
        target,
        headers,
        body: Vec::new(),
    };
    let length = asked.header("content-length").unwrap_or("0");
    asked.body = vec![0; length.parse().ok()?];
    reader.read_exact(&mut asked.body).ok()?;
    Some(asked)
}

/// A key that is the same in each run.
pub(crate) fn key(number: u8) -> SigningKey {
    SigningKey::from_seed([number; 32])
}

pub(crate) fn handle(text: &str) -> Handle {
    Handle::parse(text).expect("a handle")
}

/// The text of a public key.
pub(crate) fn public(key: &SigningKey) -> String {
    airc_core::key::to_spki_base64(&key.public_key())
}

/// What a registry says of an identity.
pub(crate) fn identity(handle: &str, key: &SigningKey, payloads: &str) -> String {
    format!(
        r#"{{"handle":"{handle}","publicKey":"{}","capabilities":{{"payloads":[{payloads}],"maxPayloadSize":65536,"delivery":["poll"]}},"createdAt":"2026-01-02T00:00:00Z","presence":null,"later":{{"unknown":1}}}}"#,
        public(key)
    )
}

/// A message, signed by `key(number)`.
pub(crate) fn message(id: &str, from: &str, to: &str, rest: &str, number: u8) -> String {
    let text = format!(
        r#"{{"v":"0.1","id":"{id}","from":"{from}","to":"{to}","nonce":"0123456789abcdef",{rest}}}"#
    );
    let mut object = json::parse(text.as_bytes())
        .expect("JSON")
        .into_object()
        .expect("an object");
    airc_core::signing::sign(&mut object, &signer(number));
    json::Value::from(object).to_string()
}

/// The key of [`key`] with the same number, as the core takes it.
pub(crate) fn signer(number: u8) -> Ed25519Signer {
    Ed25519Signer::from_seed([number; 32])
}

/// Waits until `condition` holds.
pub(crate) fn wait_until(what: &str, mut condition: impl FnMut() -> bool) {
    let give_up = Instant::now() + PATIENCE;
    while !condition() {
        assert!(Instant::now() < give_up, "in vain: {what}");
        thread::sleep(Duration::from_millis(20));
    }
}
