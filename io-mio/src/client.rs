//! A client: one connection to one node.

#[cfg(feature = "discovery")]
mod discovery;

use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, Instant};

#[cfg(feature = "discovery")]
use aire_proto::capability::DID_WEB;
use aire_proto::capability::RESUMABLE;
use aire_proto::resume::{Progress, Ticket, TicketError};

use crate::address::Address;
use crate::driver::{ConnectionKey, Driver, PathStats, unix_now};
use crate::identity::Identity;
use crate::mailbox::{DialState, Dialled, Via};
use crate::metrics::Metrics;
use crate::operation::Operation;
use crate::resumption::{Reconnect, Redial};
use crate::runtime::{Runtime, Service};
use crate::settings::Settings;
use crate::tls::Trust;
use crate::{Closed, Error};

/// A client that is being set up.
#[derive(Clone, Debug)]
pub struct ClientBuilder {
    identity: Identity,
    trust: Trust,
    settings: Settings,
    connect_timeout: Duration,
    invoke_timeout: Duration,
    reconnect: Option<Reconnect>,
    expected: Option<String>,
    #[cfg(feature = "discovery")]
    resolver: Option<crate::Resolver>,
}

impl ClientBuilder {
    /// How to go on when the connection is lost while there are operations that can be resumed
    /// (`RES-3`). Without any, the client ends with its connection.
    #[must_use]
    pub const fn reconnect(mut self, how: Reconnect) -> Self {
        self.reconnect = Some(how);
        self
    }

    /// The client ends with its connection. What was lost can still be resumed by another one: see
    /// [`Operation::ticket`].
    #[must_use]
    pub const fn no_reconnect(mut self) -> Self {
        self.reconnect = None;
        self
    }

    /// Replaces the default [`Settings`].
    #[must_use]
    pub fn settings(mut self, settings: Settings) -> Self {
        self.settings = settings;
        self
    }

    /// How long to try, from the first packet to the judged HELLO; 10 s by default. The system
    /// resolver's time comes on top.
    #[must_use]
    pub const fn connect_timeout(mut self, most: Duration) -> Self {
        self.connect_timeout = most;
        self
    }

    /// How long an operation may wait for a free stream; 30 s by default.
    #[must_use]
    pub const fn invoke_timeout(mut self, most: Duration) -> Self {
        self.invoke_timeout = most;
        self
    }

    /// Whoever answers must be this DID, now and whenever the connection is dialled again.
    #[must_use]
    pub fn expect_peer(mut self, did: impl Into<String>) -> Self {
        self.expected = Some(did.into());
        self
    }

    /// Connects, and waits until both HELLOs are judged.
    ///
    /// `target` is an `aire://` URI; with a [resolver](Self::resolver), a handle or a DID too. Then
    /// its endpoints are tried in order (`DISC-2`), each for as long as
    /// [`connect_timeout`](Self::connect_timeout) says, and the DID that it resolves to must answer.
    ///
    /// # Errors
    /// [`Error::Closed`] with the reason, [`Error::TimedOut`], and those of the set-up;
    /// [`Error::OtherPeer`] when somebody else answers; [`Error::Unresolved`] when the target, or
    /// the key of who answers, cannot be found; [`Error::Unreachable`] with what was wrong with each
    /// of several endpoints; [`Error::NoResolver`].
    pub fn connect(self, target: &str) -> Result<Client, Error> {
        #[cfg(feature = "discovery")]
        if self.resolver.is_some() && discovery::is_to_be_resolved(target) {
            return self.discover(target);
        }
        match target.parse() {
            Ok(address) => self.connect_to(address),
            Err(_) if is_name(target) => Err(Error::NoResolver(target.into())),
            Err(error) => Err(error),
        }
    }

    fn connect_to(self, address: Address) -> Result<Client, Error> {
        let peer = address.resolve()?;
        let local = match peer {
            SocketAddr::V4(_) => SocketAddr::from((Ipv4Addr::UNSPECIFIED, 0)),
            SocketAddr::V6(_) => SocketAddr::from((Ipv6Addr::UNSPECIFIED, 0)),
        };
        let mut identity = self.identity.also(RESUMABLE);
        #[cfg(feature = "discovery")]
        if self.resolver.is_some() {
            identity = identity.also(DID_WEB);
        }
        let mut driver = Driver::client(local, &self.trust, identity, self.settings)?;
        let service = Service {
            #[cfg(feature = "discovery")]
            resolver: self.resolver.clone(),
            ..Service::default()
        };
        #[cfg(feature = "discovery")]
        if let Some(resolver) = self.resolver {
            driver.resolve_with(resolver);
        }
        let connection = driver.connect_to(&address, peer)?;
        let dialled = Arc::new(Dialled::expecting(self.expected));
        let redial = Redial::new(
            self.reconnect,
            address.clone(),
            peer,
            connection,
            dialled.clone(),
        );
        let runtime = Runtime::start(driver, service, Some(redial))?;
        let client = Client {
            runtime,
            connection,
            dialled,
            address,
            invoke_timeout: self.invoke_timeout,
        };
        let deadline = Instant::now().checked_add(self.connect_timeout);
        let state = client
            .dialled
            .wait(deadline, |state| !matches!(state, DialState::Trying));
        match state {
            DialState::Connected { .. } => Ok(client),
            DialState::Closed(closed) => {
                let reason = client.dialled.explanation();
                Err(reason.unwrap_or(Error::Closed(closed)))
            }
            DialState::Trying => Err(Error::TimedOut),
        }
    }
}

/// Whether a text names somebody, and not a place.
fn is_name(target: &str) -> bool {
    target.starts_with("did:") || target.contains('@')
}

/// A connection to a node, until it is closed or dropped. Any thread may invoke operations on it.
///
/// While it is being dialled again (see [`Reconnect`]), what it says of the connection is as if
/// there were none, and what is invoked waits for it.
pub struct Client {
    runtime: Runtime,
    connection: ConnectionKey,
    dialled: Arc<Dialled>,
    address: Address,
    invoke_timeout: Duration,
}

impl std::fmt::Debug for Client {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Client")
            .field("address", &self.address)
            .field("peer", &self.peer())
            .finish_non_exhaustive()
    }
}

impl Client {
    /// Sets up a client that is `identity`, and believes servers that `trust` trusts.
    #[must_use]
    pub fn builder(identity: Identity, trust: Trust) -> ClientBuilder {
        ClientBuilder {
            identity,
            trust,
            settings: Settings::default(),
            connect_timeout: Duration::from_secs(10),
            invoke_timeout: Duration::from_secs(30),
            reconnect: Some(Reconnect::default()),
            expected: None,
            #[cfg(feature = "discovery")]
            resolver: None,
        }
    }

    /// Where it is connected to.
    #[must_use]
    pub const fn address(&self) -> &Address {
        &self.address
    }

    /// What has happened since it was made.
    #[must_use]
    pub fn metrics(&self) -> Metrics {
        self.runtime.mailbox.counters.read()
    }

    /// Whether the node proved that its key sits at the other end of this very connection
    /// (`GAP-21`); `None` once the connection is over.
    #[must_use]
    pub fn is_channel_bound(&self) -> Option<bool> {
        match self.dialled.get() {
            DialState::Connected { channel_bound, .. } => Some(channel_bound),
            _ => None,
        }
    }

    /// The DID of the node at the other end; `None` once the connection is over.
    #[must_use]
    pub fn peer(&self) -> Option<String> {
        match self.dialled.get() {
            DialState::Connected { peer, .. } => Some(peer),
            _ => None,
        }
    }

    /// The minor version that both ends agreed on; `None` once the connection is over.
    #[must_use]
    pub fn minor(&self) -> Option<u64> {
        match self.dialled.get() {
            DialState::Connected { minor, .. } => Some(minor),
            _ => None,
        }
    }

    /// Why the connection is over; `None` while it is not.
    #[must_use]
    pub fn closed(&self) -> Option<Closed> {
        match self.dialled.get() {
            DialState::Closed(closed) => Some(closed),
            _ => None,
        }
    }

    /// Waits until the connection is over, but no longer than `most`. Why it is, if it is.
    pub fn wait_closed(&self, most: Duration) -> Option<Closed> {
        let deadline = Instant::now().checked_add(most);
        let over = |state: &DialState| matches!(state, DialState::Closed(_));
        match self.dialled.wait(deadline, over) {
            DialState::Closed(closed) => Some(closed),
            _ => None,
        }
    }

    /// Sends a PING, and waits for the peer's QUIC to acknowledge it: how long that took. Best
    /// asked when nothing else is under way, whose acknowledgement would be taken for its own.
    ///
    /// # Errors
    /// [`Error::TimedOut`] when no answer came within `most`; [`Error::Closed`] once the
    /// connection is over.
    pub fn ping(&self, most: Duration) -> Result<Duration, Error> {
        let mailbox = &self.runtime.mailbox;
        let answer = mailbox.ask(self.connection, most, |driver, connection, reply| {
            driver.ping(connection, reply);
        });
        answer.map_err(|error| self.closed_or(error))
    }

    /// How the path to the node is, as QUIC estimates it; `None` once the connection is over.
    #[must_use]
    pub fn path_stats(&self) -> Option<PathStats> {
        let mailbox = &self.runtime.mailbox;
        let asked = mailbox.ask(self.connection, ANSWER, |driver, connection, reply| {
            // Whoever asked may have gone.
            let _gone = reply.send(driver.path_stats(connection));
        });
        asked.ok().flatten()
    }

    /// Opens an operation. Waits for a free stream where the peer's limit is reached.
    ///
    /// # Errors
    /// [`Error::Closed`] with the reason once the connection is over; [`Error::TimedOut`] when no
    /// stream was free in time; [`Error::Call`].
    pub fn invoke(
        &self,
        agent: &str,
        operation: &str,
        args: impl Into<Vec<u8>>,
    ) -> Result<Operation, Error> {
        self.open(agent, operation, args.into(), None)
    }

    /// Opens an operation on behalf of another one.
    pub(crate) fn invoke_via(
        &self,
        agent: &str,
        operation: &str,
        args: Vec<u8>,
        via: Via,
    ) -> Result<Operation, Error> {
        self.open(agent, operation, args, Some(via))
    }

    fn open(
        &self,
        agent: &str,
        operation: &str,
        args: Vec<u8>,
        via: Option<Via>,
    ) -> Result<Operation, Error> {
        let opened = self.runtime.mailbox.open(
            self.connection,
            agent,
            operation,
            args,
            via,
            self.invoke_timeout,
        );
        opened.map_err(|error| self.closed_or(error))
    }

    fn closed_or(&self, error: Error) -> Error {
        self.closed().map_or(error, Error::Closed)
    }

    /// Goes on with an operation that another client began, in another process perhaps: see
    /// [`Operation::ticket`]. It has to be of the same identity (`GAP-17`), and connected to the
    /// ticket's address, or to another node that shares its store (`RES-11`). Whether the token is
    /// good shows with the first [`recv`](Operation::recv).
    ///
    /// # Errors
    /// [`Error::Ticket`] for bytes that are none, [`Error::TicketExpired`], and as
    /// [`invoke`](Self::invoke).
    pub fn resume(&self, ticket: &[u8]) -> Result<Operation, Error> {
        let ticket = Ticket::decode(ticket).map_err(Error::Ticket)?;
        let too_long = |_| Error::Ticket(TicketError::TooLong);
        let progress = Progress::from_ticket(&ticket).map_err(too_long)?;
        if ticket.is_expired(unix_now()) {
            return Err(Error::TicketExpired);
        }
        let patience = self.invoke_timeout;
        let mailbox = &self.runtime.mailbox;
        let opened = mailbox.reopen(self.connection, &ticket, progress, patience);
        opened.map_err(|error| self.closed_or(error))
    }

    /// Drops the connection at once, without GOODBYE: operations that can be resumed go on at the
    /// node until somebody comes back for them, all others are lost.
    pub fn abandon(self) {
        self.runtime.mailbox.abandon();
    }

    /// Says GOODBYE, lets live operations finish, and ends.
    pub fn close(self) {
        drop(self);
    }
}

impl Drop for Client {
    fn drop(&mut self) {
        self.runtime.mailbox.stop();
        self.runtime.join();
    }
}

/// How long the event loop may take to answer what it knows.
const ANSWER: Duration = Duration::from_secs(5);
