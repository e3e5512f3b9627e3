//! A node that serves agents.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::iterator::Signals;
use tracing::info;

use aire_proto::budget::Cap;
#[cfg(feature = "discovery")]
use aire_proto::capability::DID_WEB;
use aire_proto::capability::RESUMABLE;

use crate::Error;
use crate::agent::{Agent, EventAgent};
use crate::driver::Driver;
use crate::identity::Identity;
use crate::metrics::Metrics;
use crate::operation::Operation;
use crate::policy::{Peer, Policy};
use crate::resumption::{Keeper, Resumable};
use crate::runtime::{CapPolicy, Registered, Runtime, Service};
use crate::settings::Settings;
use crate::status::ConnectionInfo;
use crate::store::{MemoryStore, ResumeStore};
use crate::tls::Certificate;

/// A node that is being set up.
pub struct NodeBuilder {
    identity: Identity,
    certificate: Certificate,
    settings: Settings,
    agents: HashMap<String, Registered>,
    max_workers: usize,
    cap: CapPolicy,
    policy: Option<Policy>,
    resumable: HashMap<String, Resumable>,
    resume_store: Option<Arc<dyn ResumeStore>>,
    resume_by_anyone: bool,
    max_hops: usize,
    #[cfg(feature = "discovery")]
    resolver: Option<crate::Resolver>,
}

impl std::fmt::Debug for NodeBuilder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("NodeBuilder")
            .field("identity", &self.identity)
            .field("agents", &self.agents.keys())
            .finish_non_exhaustive()
    }
}

impl NodeBuilder {
    /// Replaces the default [`Settings`].
    #[must_use]
    pub fn settings(mut self, settings: Settings) -> Self {
        self.settings = settings;
        self
    }

    /// How many operations may run on threads at a time; 512 by default. Further ones are
    /// answered with ERROR `REFUSED`.
    #[must_use]
    pub const fn max_workers(mut self, most: usize) -> Self {
        self.max_workers = most;
        self
    }

    /// Limits what operations may spend, whatever their peers claim (`BUD-10`): asked for every
    /// operation, with the DID of its initiator and the agent's id. Without a policy, and for
    /// fields that it leaves out, the peer's word counts.
    #[must_use]
    pub fn cap(mut self, policy: impl Fn(&str, &str) -> Cap + Send + Sync + 'static) -> Self {
        self.cap = Arc::new(policy);
        self
    }

    /// Decides who may be a peer at all, by its DID, as soon as that is proven (`TR-5`). One that
    /// is not wanted is told `REFUSED`, nothing of what it sent is read, and the connection ends;
    /// [`HandshakesFailed::refused`](crate::HandshakesFailed::refused) counts it. The policy is
    /// asked in the event loop, so it must not wait; one that panics has said no.
    ///
    /// ```
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use aire_mio::{AccessList, Certificate, Identity, Node};
    ///
    /// let mut list = AccessList::default();
    /// list.allow("did:web:partner.example")?;
    /// let node = Node::builder(Identity::generate()?, Certificate::self_signed(&[])?)
    ///     .admit(move |peer| list.admits(peer));
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn admit(mut self, policy: impl Fn(&Peer<'_>) -> bool + Send + Sync + 'static) -> Self {
        self.policy = Some(Box::new(policy));
        self
    }

    /// Through how many delegators an operation may come; 8 by default. One from further, or that
    /// went round in a circle, is answered with ERROR `REFUSED`. Nodes that do not know
    /// `x-aire-rs.delegation/0` hide who comes before them.
    #[must_use]
    pub const fn max_delegators(mut self, most: usize) -> Self {
        self.max_hops = most;
        self
    }

    /// Fetches the keys of peers that are a `did:web` (`ID-2`); without one, only `did:key` peers
    /// are let in. The capability `aire.did-method.web/1` says so to peers. The event loop does not
    /// wait for it, and a key that does not come within
    /// [`Config::handshake_timeout`](aire_proto::Config::handshake_timeout) is one that cannot be
    /// had.
    #[cfg(feature = "discovery")]
    #[must_use]
    pub fn resolver(mut self, resolver: crate::Resolver) -> Self {
        self.resolver = Some(resolver);
        self
    }

    /// Registers an agent whose operations run on threads.
    ///
    /// # Errors
    /// [`Error::AgentTaken`].
    pub fn agent(self, id: &str, agent: impl Agent) -> Result<Self, Error> {
        self.register(id, Registered::Threaded(Arc::new(agent)))
    }

    /// Registers an agent that lives in the event loop.
    ///
    /// # Errors
    /// [`Error::AgentTaken`].
    pub fn event_agent(self, id: &str, agent: impl EventAgent) -> Result<Self, Error> {
        self.register(id, Registered::InLoop(Arc::new(Mutex::new(agent))))
    }

    /// Registers an agent whose operations run on threads, and can be resumed when their
    /// connection is lost: see [`Resumable`]. What an initiator sends that has not arrived when the
    /// connection is lost, stays lost.
    ///
    /// # Errors
    /// [`Error::AgentTaken`].
    pub fn resumable_agent(
        mut self,
        id: &str,
        agent: impl Agent,
        how: Resumable,
    ) -> Result<Self, Error> {
        self = self.agent(id, agent)?;
        self.resumable.insert(id.into(), how);
        Ok(self)
    }

    /// Where the operations of resumable agents are kept; a
    /// [`MemoryStore`](crate::store::MemoryStore) for 1,024 by default. A node with a store also
    /// resumes operations of other nodes with the same one (`RES-11`), whatever its own agents.
    #[must_use]
    pub fn resume_store(self, store: impl ResumeStore + 'static) -> Self {
        self.shared_resume_store(Arc::new(store))
    }

    /// As [`resume_store`](Self::resume_store), with one that other nodes of this process use too.
    #[must_use]
    pub fn shared_resume_store(mut self, store: Arc<dyn ResumeStore>) -> Self {
        self.resume_store = Some(store);
        self
    }

    /// Lets anybody resume an operation who has its token, and not only the identity that invoked
    /// it (`GAP-17`).
    #[must_use]
    pub const fn resume_by_anyone(mut self) -> Self {
        self.resume_by_anyone = true;
        self
    }

    /// Keeps resumable operations, if there may be any.
    fn keeper(&mut self) -> Option<Arc<Keeper>> {
        let store = self.resume_store.take();
        if store.is_none() && self.resumable.is_empty() {
            return None;
        }
        let store = store.unwrap_or_else(|| Arc::new(MemoryStore::new(MAX_KEPT)));
        let agents = std::mem::take(&mut self.resumable);
        let node = self.identity.did().to_owned();
        Some(Keeper::new(store, agents, self.resume_by_anyone, node))
    }

    fn register(mut self, id: &str, agent: Registered) -> Result<Self, Error> {
        if self.agents.insert(id.into(), agent).is_some() {
            return Err(Error::AgentTaken(id.into()));
        }
        Ok(self)
    }

    /// Binds `listen` and starts to serve.
    ///
    /// # Errors
    /// [`Error::Bind`], [`Error::Tls`], and others of the set-up: nothing has started then.
    pub fn listen(mut self, listen: SocketAddr) -> Result<Node, Error> {
        let did = self.identity.did().to_owned();
        let keeper = self.keeper();
        if keeper.is_some() {
            self.identity = self.identity.also(RESUMABLE);
        }
        #[cfg(feature = "discovery")]
        if self.resolver.is_some() {
            self.identity = self.identity.also(DID_WEB);
        }
        let mut driver = Driver::server(listen, &self.certificate, self.identity, self.settings)?;
        #[cfg(feature = "discovery")]
        if let Some(resolver) = &self.resolver {
            driver.resolve_with(resolver.clone());
        }
        if let Some(policy) = self.policy {
            driver.admit_with(policy);
        }
        let address = driver.local_address();
        let keeping = match &keeper {
            Some(keeper) => Some((keeper.clone(), keeper.start()?)),
            None => None,
        };
        let service = Service {
            keeper,
            agents: self.agents,
            max_workers: self.max_workers,
            cap: self.cap,
            max_hops: self.max_hops,
            #[cfg(feature = "discovery")]
            resolver: self.resolver,
        };
        let runtime = Runtime::start(driver, service, None)?;
        info!(%address, did, "listening");
        Ok(Node {
            runtime,
            keeping,
            address,
            did,
        })
    }
}

/// A node that serves its agents, until it is stopped or dropped.
pub struct Node {
    runtime: Runtime,
    keeping: Option<(Arc<Keeper>, JoinHandle<()>)>,
    address: SocketAddr,
    did: String,
}

impl std::fmt::Debug for Node {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Node")
            .field("address", &self.address)
            .field("did", &self.did)
            .finish_non_exhaustive()
    }
}

impl Node {
    /// Sets up a node that is `identity`, and proves its address with `certificate`.
    #[must_use]
    pub fn builder(identity: Identity, certificate: Certificate) -> NodeBuilder {
        NodeBuilder {
            identity,
            certificate,
            settings: Settings::default(),
            agents: HashMap::new(),
            max_workers: 512,
            cap: Arc::new(|_, _| Cap::default()),
            policy: None,
            resumable: HashMap::new(),
            resume_store: None,
            resume_by_anyone: false,
            max_hops: 8,
            #[cfg(feature = "discovery")]
            resolver: None,
        }
    }

    /// What has happened since it started.
    #[must_use]
    pub fn metrics(&self) -> Metrics {
        self.runtime.mailbox.counters.read()
    }

    /// The DIDs of who is connected, each once.
    #[must_use]
    pub fn peers(&self) -> Vec<String> {
        self.runtime.peers.dids()
    }

    /// The connections that there are, the oldest 1,024 of them, and of their operations the first
    /// 4,096: a look at one moment, for people and their tools. Never call it from the event loop,
    /// so from an [`EventAgent`], which it would wait for; no answer in 5 s is an empty list.
    #[must_use]
    pub fn connections(&self) -> Vec<ConnectionInfo> {
        self.runtime.mailbox.list(Duration::from_secs(5))
    }

    /// Opens an operation at a peer that has connected to this node: a device, say, that nobody
    /// could dial. Where `peer` has several connections, on the newest. Waits up to 30 s for a free
    /// stream where the peer's limit is reached.
    ///
    /// # Errors
    /// [`Error::NotConnected`]; [`Error::Closed`] when the connection ends meanwhile;
    /// [`Error::TimedOut`] when no stream was free in time; [`Error::Call`].
    pub fn invoke(
        &self,
        peer: &str,
        agent: &str,
        operation: &str,
        args: impl Into<Vec<u8>>,
    ) -> Result<Operation, Error> {
        let connection = self.runtime.peers.connection_of(peer);
        let connection = connection.ok_or_else(|| Error::NotConnected(peer.into()))?;
        let mailbox = &self.runtime.mailbox;
        mailbox.open(connection, agent, operation, args.into(), None, PATIENCE)
    }

    /// Where it listens.
    #[must_use]
    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    /// Who it is.
    #[must_use]
    pub fn did(&self) -> &str {
        &self.did
    }

    /// Begins to stop: says GOODBYE on every connection, takes no further ones, and lets live
    /// operations finish. Does not wait; [`stop`](Self::stop) does.
    pub fn drain(&self) {
        self.runtime.mailbox.stop();
    }

    /// Says GOODBYE on every connection, lets live operations finish for as long as
    /// [`Config::drain_timeout`](aire_proto::Config::drain_timeout) allows, and ends.
    /// Operations that go on without a connection end then, and who comes back for one is told so.
    pub fn stop(mut self) {
        self.end();
    }

    fn end(&mut self) {
        self.runtime.mailbox.stop();
        self.runtime.join();
        if let Some((keeper, thread)) = self.keeping.take() {
            keeper.stop(thread);
        }
    }

    /// Serves until SIGINT or SIGTERM, then [stops](Self::stop).
    ///
    /// # Errors
    /// When the signals cannot be caught.
    pub fn run_until_signal(self) -> Result<(), Error> {
        let mut signals = Signals::new([SIGINT, SIGTERM])?;
        if let Some(signal) = signals.forever().next() {
            info!(signal, "stopping");
        }
        self.stop();
        Ok(())
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        self.end();
    }
}

/// How long an operation waits for a stream of a peer's.
const PATIENCE: Duration = Duration::from_secs(30);

/// How many resumable operations a node keeps in memory by default.
const MAX_KEPT: usize = 1024;
