//! Agents, and the requests that they sign. Keys stand in the order that sorting gives them.

use std::cell::Cell;
use std::time::{SystemTime, UNIX_EPOCH};

use aire_proto::identity::{Ed25519Signer, Signer as _};
use data_encoding::BASE64;

use crate::http::post;

pub(crate) struct Agent {
    handle: String,
    /// Different in each run, so that a registry that has seen one takes another.
    run: u64,
    signer: Ed25519Signer,
    requests: Cell<u64>,
}

/// The id of the message with a number.
pub(crate) fn message_id(run: u64, number: usize) -> String {
    format!("msg_load{run}_{number}")
}

/// Unix seconds.
pub(crate) fn now() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.unwrap_or_default().as_secs()
}

impl Agent {
    pub(crate) fn new(index: usize, run: u64) -> Self {
        let mut seed = [0x5a; 32];
        seed[..8].copy_from_slice(&(index as u64).to_be_bytes());
        Self {
            handle: format!("agent_{index}"),
            run,
            signer: Ed25519Signer::from_seed(seed),
            requests: Cell::new(0),
        }
    }

    /// Never the same for one agent.
    fn nonce(&self) -> String {
        self.requests.set(self.requests.get() + 1);
        format!("load_{}_{:010}", self.run, self.requests.get())
    }

    /// `covered`, an object whose keys all sort before `signature` up to `before` bytes of it, with
    /// its signature put in there.
    fn signed(&self, front: &str, back: &str) -> String {
        let covered = format!("{{{front}{back}}}");
        let signature = BASE64.encode(&self.signer.sign(covered.as_bytes()));
        format!("{{{front},\"signature\":\"{signature}\"{back}}}")
    }

    pub(crate) fn registration(&self) -> Vec<u8> {
        let key = BASE64.encode(&self.signer.public_key().0);
        let front = format!(
            r#""capabilities":{{"delivery":["poll"],"payloads":[]}},"handle":"{}","nonce":"{}","publicKey":"{key}""#,
            self.handle,
            self.nonce()
        );
        let back = format!(r#","timestamp":{}"#, now());
        post("/identity", &self.signed(&front, &back))
    }

    /// `what` is `request` or `accept`.
    pub(crate) fn consent(&self, what: &str, other: &Self) -> Vec<u8> {
        let front = format!(r#""from":"{}","nonce":"{}""#, self.handle, self.nonce());
        let back = format!(r#","timestamp":{},"to":"{}""#, now(), other.handle);
        post(&format!("/consent/{what}"), &self.signed(&front, &back))
    }

    pub(crate) fn message(&self, number: usize, to: &Self) -> Vec<u8> {
        let front = format!(
            r#""body":"How far is step {number} of the plan that we talked about?","from":"{}","id":"{}","nonce":"{}","payload":{{"data":{{"file":"auth.ts","line":42,"step":{number}}},"type":"context:code"}}"#,
            self.handle,
            message_id(self.run, number),
            self.nonce()
        );
        let back = format!(r#","timestamp":{},"to":"{}","v":"0.1""#, now(), to.handle);
        post("/messages", &self.signed(&front, &back))
    }

    pub(crate) fn poll(&self, cursor: Option<&str>) -> Vec<u8> {
        let path = match cursor {
            Some(cursor) => format!("/messages?since={cursor}&limit=200"),
            None => "/messages?limit=200".into(),
        };
        let (nonce, timestamp) = (self.nonce(), now());
        let covered = format!(
            r#"{{"handle":"{}","method":"GET","nonce":"{nonce}","path":"{path}","timestamp":{timestamp}}}"#,
            self.handle
        );
        let signature = BASE64.encode(&self.signer.sign(covered.as_bytes()));
        format!(
            "GET {path} HTTP/1.1\r\nhost: registry\r\nx-airc-handle: {}\r\nx-airc-nonce: {nonce}\r\n\
             x-airc-timestamp: {timestamp}\r\nx-airc-signature: {signature}\r\n\r\n",
            self.handle
        )
        .into_bytes()
    }
}
