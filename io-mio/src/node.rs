//! A node that serves agents.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::iterator::Signals;
use tracing::info;

use crate::Error;
use crate::agent::{Agent, EventAgent};
use crate::driver::Driver;
use crate::identity::Identity;
use crate::runtime::{Registered, Runtime};
use crate::settings::Settings;
use crate::tls::Certificate;

/// A node that is being set up.
pub struct NodeBuilder {
    identity: Identity,
    certificate: Certificate,
    settings: Settings,
    agents: HashMap<String, Registered>,
    max_workers: usize,
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
    pub fn listen(self, listen: SocketAddr) -> Result<Node, Error> {
        let did = self.identity.did().to_owned();
        let driver = Driver::server(listen, &self.certificate, self.identity, self.settings)?;
        let address = driver.local_address();
        let runtime = Runtime::start(driver, self.agents, self.max_workers, None)?;
        info!(%address, did, "listening");
        Ok(Node {
            runtime,
            address,
            did,
        })
    }
}

/// A node that serves its agents, until it is stopped or dropped.
pub struct Node {
    runtime: Runtime,
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
        }
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

    /// Says GOODBYE on every connection, lets live operations finish for as long as
    /// [`Config::drain_timeout`](aire_proto::Config::drain_timeout) allows, and ends.
    pub fn stop(mut self) {
        self.runtime.mailbox.stop();
        self.runtime.join();
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
        self.runtime.mailbox.stop();
        self.runtime.join();
    }
}
