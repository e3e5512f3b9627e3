//! The client: who it is, where its registry is, and how a signed call is made. What it can ask for
//! is in the files beside this one.

mod consent;
mod identity;
mod messages;
mod presence;

use std::path::Path;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use airc_core::error::Refusal;
use airc_core::handle::Handle;
use airc_core::json::Value;
use airc_core::limits;
use airc_core::signing::SignedHeaders;
use aire_proto::identity::Ed25519Signer;

pub use identity::{Registered, Registration};
pub use messages::{Draft, MAX_PAGE, MAX_THREAD, Sent, Unlisted};
pub use presence::MAX_WHO;

use crate::cache::Cache;
use crate::key::SigningKey;
use crate::transport::{self, Answer, Base, Method, Outgoing, Settings, Transport};
use crate::{Error, system};

/// A client of one registry, for one handle. Cheap to clone; its clones share their connections and
/// what they know. It may be used from several threads at a time.
#[derive(Clone, Debug)]
pub struct Client(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    transport: Transport,
    handle: Handle,
    /// It changes when it is rotated.
    key: RwLock<Option<SigningKey>>,
    invite: Option<String>,
    known: Cache,
}

/// How a [`Client`] is to be.
#[derive(Debug)]
#[must_use]
pub struct Builder {
    url: String,
    handle: String,
    key: Option<SigningKey>,
    roots: Option<ureq::tls::RootCerts>,
    invite: Option<String>,
    user_agent: String,
    timeout: Duration,
    retries: u32,
    in_the_clear: bool,
}

/// How long a request may take, its answer included.
const TIMEOUT: Duration = Duration::from_secs(30);

/// How many times a request is tried again.
const RETRIES: u32 = 2;

impl Builder {
    /// Whose key signs. Without one, only what is public can be asked for.
    pub fn key(mut self, key: impl Into<SigningKey>) -> Self {
        self.key = Some(key.into());
        self
    }

    /// Believe registries that the CAs in this PEM file vouch for, and no others. Otherwise those
    /// that the system believes.
    ///
    /// # Errors
    /// [`Error::File`], [`Error::FileContent`].
    pub fn ca_file(mut self, path: impl AsRef<Path>) -> Result<Self, Error> {
        self.roots = Some(transport::roots_of(path.as_ref())?);
        Ok(self)
    }

    /// What a closed registry wants to see of who registers (AGAP-13).
    pub fn invite(mut self, invite: impl Into<String>) -> Self {
        self.invite = Some(invite.into());
        self
    }

    /// What the registry is told of the program.
    pub fn user_agent(mut self, name: impl Into<String>) -> Self {
        self.user_agent = name.into();
        self
    }

    /// How long a request may take, its answer included: 30 s if nothing is said.
    pub const fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    /// How many times a request is tried again, where that can do no harm: 2 if nothing is said.
    pub const fn retries(mut self, retries: u32) -> Self {
        self.retries = retries;
        self
    }

    /// Speak to a registry without TLS, though it is not on this machine. Whoever is on the way can
    /// read everything, take the invite, and change every answer.
    pub const fn danger_in_the_clear(mut self) -> Self {
        self.in_the_clear = true;
        self
    }

    /// The client. It has not spoken to the registry yet.
    ///
    /// # Errors
    /// [`Error::Url`], [`Error::InTheClear`], [`Error::Handle`].
    pub fn build(self) -> Result<Client, Error> {
        let base = Base::parse(&self.url, self.in_the_clear)?;
        let handle =
            Handle::parse(&self.handle).map_err(|error| Error::handle(&self.handle, error))?;
        let transport = Transport::new(Settings {
            base,
            user_agent: self.user_agent,
            timeout: self.timeout,
            retries: self.retries,
            roots: self.roots,
        });
        Ok(Client(Arc::new(Inner {
            transport,
            handle,
            key: RwLock::new(self.key),
            invite: self.invite,
            known: Cache::default(),
        })))
    }
}

impl Client {
    /// A client for the agent that is called `handle` at the registry at `url`: with the path in
    /// front of those of section 4, if it has one (`https://api.example.org/v0`).
    pub fn builder(url: impl Into<String>, handle: impl Into<String>) -> Builder {
        Builder {
            url: url.into(),
            handle: handle.into(),
            key: None,
            roots: None,
            invite: None,
            user_agent: concat!("airc-client/", env!("CARGO_PKG_VERSION")).into(),
            timeout: TIMEOUT,
            retries: RETRIES,
            in_the_clear: false,
        }
    }

    /// Who this is.
    #[must_use]
    pub fn handle(&self) -> &Handle {
        &self.0.handle
    }

    /// The address of the registry.
    #[must_use]
    pub fn registry(&self) -> String {
        self.0.transport.base().address()
    }

    /// The key that signs now, if there is one.
    #[must_use]
    pub fn key(&self) -> Option<SigningKey> {
        let key = self.0.key.read();
        key.unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn signing_key(&self) -> Result<SigningKey, Error> {
        self.key().ok_or(Error::NoKey)
    }

    fn set_key(&self, key: SigningKey) {
        let mut place = self.0.key.write().unwrap_or_else(PoisonError::into_inner);
        *place = Some(key);
    }

    /// Asks for what everybody may see.
    fn get(&self, path: &str) -> Result<Answer, Error> {
        let target = self.0.transport.base().target(path);
        let prepare = || Ok(Outgoing::default());
        self.0.transport.call(Method::Get, &target, &prepare)
    }

    /// Asks for what is this agent's own, signed by headers (AGAP-5).
    fn signed_get(&self, path: &str) -> Result<Answer, Error> {
        let key = self.signing_key()?;
        let target = self.0.transport.base().target(path);
        let prepare = || {
            let (now, nonce) = (system::now(), system::nonce()?);
            let signed =
                SignedHeaders::sign(self.handle(), "GET", &target, now, &nonce, key.signer());
            Ok(Outgoing {
                headers: signed.headers(),
                body: String::new(),
            })
        };
        self.0.transport.call(Method::Get, &target, &prepare)
    }

    /// Posts what `make` makes of a time and a nonce, and signs.
    fn signed_post(&self, path: &str, make: Make<'_>) -> Result<Answer, Error> {
        let key = self.signing_key()?;
        let target = self.0.transport.base().target(path);
        let prepare = || signed(make, &key);
        self.0.transport.call(Method::Post, &target, &prepare)
    }
}

/// What makes a request's body good for one try.
#[derive(Debug)]
struct Stamp<'a> {
    now: u64,
    nonce: &'a str,
    signer: &'a Ed25519Signer,
}

/// Makes a signed object, or says which rule it breaks.
type Make<'a> = &'a dyn Fn(&Stamp<'_>) -> Result<Value, Refusal>;

/// The object that `make` makes now, ready to go.
fn signed(make: Make<'_>, key: &SigningKey) -> Result<Outgoing, Error> {
    let nonce = system::nonce()?;
    let value = make(&Stamp {
        now: system::now(),
        nonce: &nonce,
        signer: key.signer(),
    });
    let body = value
        .map_err(|refusal| Error::Unsendable(refusal.message))?
        .to_string();
    if body.len() > limits::MAX_REQUEST {
        let most = limits::MAX_REQUEST;
        let why = format!(
            "it is {} bytes long, and a registry takes {most}",
            body.len()
        );
        return Err(Error::Unsendable(why));
    }
    let headers = Vec::new();
    Ok(Outgoing { headers, body })
}
