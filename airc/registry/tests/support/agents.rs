//! Agents that are registered in a store, and calls that they have signed.
#![allow(dead_code, unreachable_pub)]

use airc_core::canonical;
use airc_core::handle::Handle;
use airc_core::object::{Message, MessageDraft};
use airc_core::registry::{Call, Credentials, Method, Registry, Request, Settings};
use airc_core::store::{Capabilities, ConsentRecord, ConsentState, IdentityRecord, Store, Stored};
use airc_core::time::Time;
use aire_proto::identity::Ed25519Signer;

pub struct Agent {
    pub handle: Handle,
    signer: Ed25519Signer,
}

impl Agent {
    /// Whoever has the same name has the same key.
    pub fn new(name: &str) -> Self {
        let mut seed = [0; 32];
        seed[..name.len()].copy_from_slice(name.as_bytes());
        Self {
            handle: Handle::parse(name).expect("a handle"),
            signer: Ed25519Signer::from_seed(seed),
        }
    }

    pub fn identity(&self) -> IdentityRecord {
        IdentityRecord {
            handle: self.handle.clone(),
            key: Some(self.signer.public_key()),
            previous: None,
            capabilities: Capabilities {
                payloads: vec!["context:code".into()],
                max_payload_size: 65_536,
                delivery: vec!["poll".into()],
            },
            endpoints: Vec::new(),
            created: Time(1),
        }
    }

    /// The body of `POST /messages`. The id makes the nonce.
    pub fn message(&self, to: &Handle, id: &str, now: Time) -> String {
        let draft = MessageDraft {
            id,
            from: &self.handle,
            to,
            timestamp: now.seconds(),
            nonce: &format!("nonce_of_{id:0>16}"),
            body: Some("Have a look at what I have found: it is in the usual place."),
            payload: None,
            strict: false,
        };
        let mut message = Message::new(draft).expect("a message");
        message.sign(&self.signer);
        canonical::to_string(&message.into_value())
    }

    /// The same as a call of a registry.
    pub fn send(&self, registry: &Registry, to: &Handle, id: &str, now: Time) -> Call {
        post(registry, "/messages", &self.message(to, id, now))
    }
}

pub fn post(registry: &Registry, target: &str, body: &str) -> Call {
    let request = Request {
        method: Method::Post,
        target,
        credentials: Credentials::default(),
        body: body.as_bytes(),
        entropy: [7; 32],
    };
    registry.read(&request).expect("a request")
}

pub fn settings() -> Settings {
    let mut settings = Settings::new("airc.example");
    settings.open = true;
    settings
}

/// Registers agents, of which everybody has accepted everybody whose number is next to its own.
pub fn register(store: &mut dyn Store, agents: &[Agent]) -> Stored<()> {
    for (agent, next) in agents.iter().zip(agents.iter().cycle().skip(1)) {
        store.put_identity(&agent.identity())?;
        accept(store, &agent.handle, &next.handle)?;
        accept(store, &next.handle, &agent.handle)?;
    }
    Ok(())
}

/// The consent of `to` to `from`.
pub fn accept(store: &mut dyn Store, from: &Handle, to: &Handle) -> Stored<()> {
    store.put_consent(&ConsentRecord {
        from: from.clone(),
        to: to.clone(),
        state: ConsentState::Accepted,
        message: None,
        since: Time(1),
    })
}
