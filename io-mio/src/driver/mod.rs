//! The low-level driver: it lives in somebody else's mio loop.
//!
//! ```text
//! loop {
//!     poll.poll(&mut events, driver.timeout())?;
//!     driver.drive(&mut |connection, event, calls| { ... })?;
//! }
//! ```
//!
//! Register its socket with [`Driver::register`]; whenever the socket stirs, or
//! [`Driver::timeout`] has passed, or a call was made, call [`Driver::drive`]. It never blocks.

mod arrival;
mod closed;
mod greeting;
mod handover;
mod inspect;
mod limit;
mod link;
mod outbox;
mod ping;
mod retry;
mod sent;
mod socket;
mod tables;
mod tally;

pub use closed::Closed;
pub(crate) use outbox::is_too_long;
pub use outbox::{Calls, QueueError};
pub use ping::PathStats;
pub use tables::SharedLedger;
use tables::Tables;

use std::collections::{BTreeSet, HashMap, HashSet};
use std::fmt;
use std::fs::{File, OpenOptions};
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use aire_proto::connection::{CallError, CloseReason, Stall};
use aire_proto::delegation::PathRef;
use aire_proto::handshake::Agreement;
use aire_proto::identity::{DidKeyResolver, GrowingReplayGuard, KeyResolver, PublicKey};
use aire_proto::{Connection, Now, Role, StreamId, UnixMillis};
use mio::net::UdpSocket;
use mio::{Interest, Registry, Token};
use quiche::ConnectionId;
use tracing::debug;

use crate::Error;
use crate::address::Address;
use crate::identity::Identity;
use crate::metrics::{Counters, count, set};
use crate::policy::Peer;
use crate::settings::Settings;
use crate::tls::{self, Certificate, Trust};
use limit::{Limiter, MAX_SOURCES};
use link::{Link, Shared, Tell};
use retry::RetryTokens;
use sent::Quic;
use socket::{flush, reachable_from};

/// A connection of a driver, for as long as it lasts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ConnectionKey(u64);

/// What happened on a connection.
#[derive(Debug)]
pub enum Event<'a> {
    /// Both HELLOs were good: operations may be opened.
    Connected {
        /// The peer's DID.
        peer: &'a str,
        /// What both ends agreed on.
        agreement: &'a Agreement,
    },
    /// The peer's key must be fetched: answer with [`Driver::key_fetched`]. Comes only with a
    /// resolver that fetches: see [`Driver::resolve_with`].
    KeyAwaited {
        /// The verification method.
        method: &'a str,
        /// Where the peer is: who makes this side fetch something.
        source: SocketAddr,
    },
    /// Something about an operation, or GOODBYE.
    Protocol(aire_proto::Event<'a>),
    /// A payload that was queued on an operation, or its arguments, is with the transport, or the
    /// peer said that it takes nothing more: there is that much more room in its queue.
    Sent {
        /// The operation.
        stream: StreamId,
        /// How many bytes it had.
        len: usize,
    },
    /// The connection is over, and forgotten.
    Closed(&'a Closed),
}

/// The two clocks, and how they map.
struct Clock {
    epoch: Instant,
}

impl Clock {
    fn now(&self) -> Now {
        let instant = self.epoch.elapsed().as_millis();
        Now {
            instant: aire_proto::Instant::from_millis(u64::try_from(instant).unwrap_or(u64::MAX)),
            unix: unix_now(),
        }
    }

    /// Microseconds since it began.
    fn micros(&self) -> u64 {
        u64::try_from(self.epoch.elapsed().as_micros()).unwrap_or(u64::MAX)
    }

    /// The moment at which the protocol's clock surely shows `due`.
    fn instant(&self, due: aire_proto::Instant) -> Instant {
        self.epoch + Duration::from_millis(due.as_millis().saturating_add(1))
    }
}

/// The wall clock.
pub(crate) fn unix_now() -> UnixMillis {
    let unix = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    UnixMillis(i64::try_from(unix.as_millis()).unwrap_or(i64::MAX))
}

/// Many connections over one UDP socket.
pub struct Driver {
    socket: UdpSocket,
    local: SocketAddr,
    shared: Shared,
    server: Option<quiche::Config>,
    client: Option<quiche::Config>,
    tokens: RetryTokens,
    links: HashMap<ConnectionKey, Link>,
    routes: HashMap<ConnectionId<'static>, ConnectionKey>,
    timers: BTreeSet<(Instant, ConnectionKey)>,
    /// Connections that have something to do.
    stirred: HashSet<ConnectionKey>,
    /// Connections with a packet that the socket did not take.
    blocked: Vec<ConnectionKey>,
    /// The socket may hold more than one call took.
    more_to_receive: bool,
    next_key: u64,
    clock: Clock,
    datagram: Vec<u8>,
    key_log: Option<File>,
    refuses_new: bool,
}

impl fmt::Debug for Driver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Driver")
            .field("local", &self.local)
            .field("connections", &self.links.len())
            .finish_non_exhaustive()
    }
}

impl Driver {
    /// Binds a socket at `listen` and takes connections with `certificate`. It can dial too, with
    /// [`trust`](Self::trust).
    ///
    /// # Errors
    /// [`Error::Bind`], [`Error::Tls`], [`Error::File`] for the key log.
    pub fn server(
        listen: SocketAddr,
        certificate: &Certificate,
        identity: Identity,
        settings: Settings,
    ) -> Result<Self, Error> {
        let quic = settings.quic(Role::Server, tls::server(certificate)?)?;
        let mut driver = Self::bind(listen, identity, settings)?;
        driver.server = Some(quic);
        Ok(driver)
    }

    /// Binds a socket at `local`, port 0 for any, and dials with [`connect`](Self::connect).
    ///
    /// # Errors
    /// [`Error::Bind`], [`Error::Tls`], [`Error::File`], [`Error::FileContent`].
    pub fn client(
        local: SocketAddr,
        trust: &Trust,
        identity: Identity,
        settings: Settings,
    ) -> Result<Self, Error> {
        let mut driver = Self::bind(local, identity, settings)?;
        driver.trust(trust)?;
        Ok(driver)
    }

    /// Whom connections that this side dials trust.
    ///
    /// # Errors
    /// [`Error::Tls`], [`Error::File`], [`Error::FileContent`].
    pub fn trust(&mut self, trust: &Trust) -> Result<(), Error> {
        let quic = self
            .shared
            .settings
            .quic(Role::Client, tls::client(trust)?)?;
        self.client = Some(quic);
        self.shared.checks_name = trust.checks_name();
        Ok(())
    }

    /// Asks `keys` for the keys of peers. The default knows `did:key` and refuses every other
    /// method with `UNRESOLVABLE_DID`; one that answers
    /// [`Resolution::Fetch`](aire_proto::identity::Resolution::Fetch) makes
    /// [`Event::KeyAwaited`].
    pub fn resolve_with(&mut self, keys: impl KeyResolver + Send + 'static) {
        self.shared.keys = Box::new(keys);
    }

    /// Has `policy` decide on every peer as soon as it is known who it is, on connections that
    /// this side dials too (`TR-5`). One that is not wanted is told `REFUSED`, nothing that it sent
    /// is read, and the application hears of [`Event::Closed`] only. A policy must not wait.
    pub fn admit_with(&mut self, policy: impl Fn(&Peer<'_>) -> bool + Send + Sync + 'static) {
        self.shared.policy = Some(Box::new(policy));
    }

    fn bind(local: SocketAddr, identity: Identity, settings: Settings) -> Result<Self, Error> {
        let socket = UdpSocket::bind(local).map_err(|source| Error::Bind {
            address: local,
            source,
        })?;
        let local = socket.local_addr()?;
        let key_log = match &settings.key_log {
            None => None,
            Some(path) => Some(
                OpenOptions::new()
                    .append(true)
                    .create(true)
                    .open(path)
                    .map_err(|source| Error::File {
                        path: path.clone(),
                        source,
                    })?,
            ),
        };
        let limiter = Limiter::new(settings.inbound_rate, MAX_SOURCES);
        let replay =
            GrowingReplayGuard::new(settings.replay_capacity, settings.replay_capacity_per_peer);
        Ok(Self {
            socket,
            local,
            shared: Shared {
                identity,
                settings,
                replay,
                limiter,
                keys: Box::new(DidKeyResolver),
                checks_name: true,
                buffer: vec![0; 64 * 1024],
                counters: Arc::<Counters>::default(),
                policy: None,
            },
            server: None,
            client: None,
            tokens: RetryTokens::new()?,
            links: HashMap::new(),
            routes: HashMap::new(),
            timers: BTreeSet::new(),
            stirred: HashSet::new(),
            blocked: Vec::new(),
            more_to_receive: false,
            next_key: 0,
            clock: Clock {
                epoch: Instant::now(),
            },
            datagram: vec![0; 65_535],
            key_log,
            refuses_new: false,
        })
    }

    /// Where the socket is bound.
    #[must_use]
    pub const fn local_address(&self) -> SocketAddr {
        self.local
    }

    /// How many connections there are.
    #[must_use]
    pub fn connections(&self) -> usize {
        self.links.len()
    }

    /// The connections there are.
    pub fn keys(&self) -> impl Iterator<Item = ConnectionKey> + '_ {
        self.links.keys().copied()
    }

    /// Whether nothing that a peer should hear is left to be sent: what remains of connections
    /// only waits for stray packets, and nobody has to wait for that.
    #[must_use]
    pub fn has_said_all(&self) -> bool {
        self.stirred.is_empty() && self.links.values().all(Link::has_said_all)
    }

    /// Who this side is.
    pub(crate) fn did(&self) -> &str {
        self.shared.identity.did()
    }

    /// How many bytes of one operation may wait to be sent.
    pub(crate) const fn send_queue(&self) -> usize {
        self.shared.settings.send_queue
    }

    /// Registers the socket with the caller's loop, under the caller's token.
    ///
    /// # Errors
    /// What the operating system says.
    pub fn register(&mut self, registry: &Registry, token: Token) -> io::Result<()> {
        let interest = Interest::READABLE | Interest::WRITABLE;
        registry.register(&mut self.socket, token, interest)
    }

    /// How long the caller may sleep when nothing stirs; `None` for as long as it likes.
    #[must_use]
    pub fn timeout(&self) -> Option<Duration> {
        if self.more_to_receive || !self.stirred.is_empty() {
            return Some(Duration::ZERO);
        }
        let (due, _) = self.timers.first()?;
        Some(due.saturating_duration_since(Instant::now()))
    }

    /// Dials `address`. [`Event::Connected`] or [`Event::Closed`] follows. A name blocks while the
    /// system resolver works: [`connect_to`](Self::connect_to) never does.
    ///
    /// # Errors
    /// [`Error::Resolve`], [`Error::Quic`].
    pub fn connect(&mut self, address: &Address) -> Result<ConnectionKey, Error> {
        self.connect_to(address, address.resolve()?)
    }

    /// Dials `address`, whose host was resolved to `peer`: of the same family as the socket.
    ///
    /// # Errors
    /// [`Error::Quic`]; [`Error::Tls`] for a driver that does not know whom it trusts.
    pub fn connect_to(
        &mut self,
        address: &Address,
        peer: SocketAddr,
    ) -> Result<ConnectionKey, Error> {
        let id = random_id()?;
        let config = self.client.as_mut().ok_or(Error::Tls(
            "this driver only listens: say whom it trusts before it dials".into(),
        ))?;
        let host = address.host();
        let name = self.shared.checks_name.then_some(host.as_str());
        let ip = host.parse().ok();
        let local = reachable_from(self.local, peer);
        let mut quic = {
            let name = name.filter(|_| ip.is_none());
            quiche::connect_with_buffer_factory(name, &id, local, peer, config)?
        };
        if let Some(ip) = ip.filter(|_| self.shared.checks_name) {
            let tls: &mut boring::ssl::SslRef = quic.as_mut();
            tls.verify_param_mut().set_ip(ip)?;
        }
        let key = self.add(quic, Role::Client, peer, vec![id]);
        Ok(key)
    }

    fn add(
        &mut self,
        mut quic: Quic,
        role: Role,
        peer: SocketAddr,
        ids: Vec<ConnectionId<'static>>,
    ) -> ConnectionKey {
        if let Some(log) = self.key_log.as_ref().and_then(|log| log.try_clone().ok()) {
            quic.set_keylog(Box::new(log));
        }
        if let Some(dir) = &self.shared.settings.qlog_dir {
            let path = dir.join(format!("{role:?}-{}.sqlog", quic.trace_id()));
            match File::create(&path) {
                Ok(file) => quic.set_qlog(Box::new(file), "aire".into(), quic.trace_id().into()),
                Err(error) => tracing::warn!(path = %path.display(), %error, "no qlog"),
            }
        }
        let counters = &self.shared.counters;
        count(match role {
            Role::Server => &counters.connections_accepted,
            Role::Client => &counters.connections_dialled,
        });
        let key = ConnectionKey(self.next_key);
        self.next_key = self.next_key.wrapping_add(1);
        let now = Instant::now();
        let mut link = Link::new(key, quic, role, peer, now);
        if role == Role::Server {
            link.limit_handshake(self.shared.settings.protocol.handshake_timeout, now);
        }
        for id in ids {
            link.ids.push(id.clone());
            self.routes.insert(id, key);
        }
        self.links.insert(key, link);
        self.stirred.insert(key);
        key
    }

    /// Opens an operation: INVOKE.
    ///
    /// # Errors
    /// [`Error::Call`], [`Error::StreamLimit`]; [`Error::Closed`] for a connection that is over.
    pub fn invoke(
        &mut self,
        connection: ConnectionKey,
        agent: &str,
        operation: &str,
        args: Vec<u8>,
    ) -> Result<StreamId, Error> {
        let len = args.len();
        self.open(connection, args, |proto| {
            proto.invoke(agent, operation, len)
        })
    }

    /// As [`invoke`](Self::invoke), on behalf of another operation: a peer that knows
    /// `x-aire-rs.delegation/0` is told through whom it comes.
    ///
    /// # Errors
    /// As [`invoke`](Self::invoke).
    pub fn invoke_via(
        &mut self,
        connection: ConnectionKey,
        via: &PathRef<'_>,
        agent: &str,
        operation: &str,
        args: Vec<u8>,
    ) -> Result<StreamId, Error> {
        let len = args.len();
        self.open(connection, args, |proto| {
            proto.invoke_via(via, agent, operation, len)
        })
    }

    /// Goes on with an operation of a lost connection: RESUME with its latest token, and the
    /// number of STREAM frames received whole. The answer is that of any operation.
    ///
    /// # Errors
    /// As [`invoke`](Self::invoke); [`CallError::NotNegotiated`] when the peer resumes nothing.
    pub fn resume(
        &mut self,
        connection: ConnectionKey,
        token: &[u8],
        last_recv: u64,
    ) -> Result<StreamId, Error> {
        self.open(connection, Vec::new(), |proto| {
            proto.resume(token, last_recv)
        })
    }

    /// Opens an operation by a call on the protocol, where one may be opened.
    fn open(
        &mut self,
        connection: ConnectionKey,
        args: Vec<u8>,
        call: impl FnOnce(&mut Connection<Tables>) -> Result<StreamId, CallError>,
    ) -> Result<StreamId, Error> {
        self.may_invoke(connection)?;
        let now = self.clock.now();
        let link = self.links.get_mut(&connection);
        let link = link.ok_or(Error::Closed(Closed::Protocol(CloseReason::Done)))?;
        let stream = call(link.protocol_mut().ok_or(CallError::NotOpen)?)?;
        // An empty write opens the stream, so that the next call finds one fewer left.
        link.quic.stream_send(stream.get(), &[], false)?;
        link.opened(stream, args, now);
        self.stirred.insert(connection);
        Ok(stream)
    }

    /// Whether an operation may be opened now.
    ///
    /// # Errors
    /// As [`invoke`](Self::invoke).
    pub fn may_invoke(&self, connection: ConnectionKey) -> Result<(), Error> {
        let link = self.links.get(&connection);
        let link = link.ok_or(Error::Closed(Closed::Protocol(CloseReason::Done)))?;
        let proto = link.protocol().ok_or(CallError::NotOpen)?;
        proto.may_open()?;
        if link.quic.peer_streams_left_bidi() > 0 {
            Ok(())
        } else {
            Err(Error::StreamLimit)
        }
    }

    /// Makes calls on a connection's operations. They are done by the next
    /// [`drive`](Self::drive). `None` for a connection that is over.
    pub fn calls(&mut self, connection: ConnectionKey) -> Option<Calls<'_>> {
        let link = self.links.get_mut(&connection)?;
        self.stirred.insert(connection);
        Some(link.calls(self.shared.settings.send_queue))
    }

    /// An operation's ledger, to be shared with whoever works on it.
    pub(crate) fn ledger(
        &self,
        (connection, stream): (ConnectionKey, StreamId),
    ) -> Option<SharedLedger> {
        self.links.get(&connection)?.ledger(stream)
    }

    /// Which layer keeps an operation's sending side from going on, if one does: QUIC, or its
    /// budget (`BUD-9`).
    #[must_use]
    pub fn stall(&self, connection: ConnectionKey, stream: StreamId) -> Option<Stall> {
        self.links.get(&connection)?.protocol()?.stall(stream)
    }

    /// Gives the key that [`Event::KeyAwaited`] asked for; `None` when it cannot be had. For a
    /// connection that is gone, or awaits none any more, nothing happens.
    pub fn key_fetched(
        &mut self,
        connection: ConnectionKey,
        key: Option<PublicKey>,
        tell: Tell<'_>,
    ) {
        let now = self.clock.now();
        let link = self.links.get_mut(&connection);
        if let Some(link) = link.filter(|link| link.awaits_key()) {
            link.authenticate(Some(key), &mut self.shared, now, tell);
            link.read_control(&mut self.shared, now, tell);
            self.stirred.insert(connection);
        }
    }

    /// Closes a connection at once, without a word: what is live on it is lost to this side.
    pub(crate) fn drop_connection(&mut self, connection: ConnectionKey) {
        if let Some(link) = self.links.get_mut(&connection) {
            // Before it is up, QUIC would make an error of the application's code.
            let up = link.quic.is_established();
            // Fails only on a connection that is over.
            let _over = link.quic.close(up, 0, b"");
            self.stirred.insert(connection);
        }
    }

    /// Says GOODBYE on a connection: live operations finish, then it closes.
    pub fn goodbye(&mut self, connection: ConnectionKey) {
        let now = self.clock.now();
        if let Some(link) = self.links.get_mut(&connection) {
            match link.protocol_mut() {
                Some(proto) if proto.is_open() => proto.goodbye(now),
                Some(proto) => proto.close(),
                None => {
                    let _over = link.quic.close(true, 0, b"");
                }
            }
            self.stirred.insert(connection);
        }
    }

    /// Takes no further connections, and says GOODBYE on those there are.
    pub fn goodbye_all(&mut self) {
        self.refuses_new = true;
        let keys: Vec<_> = self.links.keys().copied().collect();
        for key in keys {
            self.goodbye(key);
        }
    }

    /// Does all there is to do: receives, tells events, sends, keeps time. Never blocks.
    ///
    /// # Errors
    /// When the socket fails; what a peer does is an event.
    pub fn drive(&mut self, tell: Tell<'_>) -> Result<(), Error> {
        self.receive()?;
        let clock = Instant::now();
        while let Some(&(due, key)) = self.timers.first() {
            if due > clock {
                break;
            }
            self.timers.pop_first();
            if let Some(link) = self.links.get_mut(&key) {
                link.scheduled = None;
                if link.quic.timeout_instant().is_some_and(|due| due <= clock) {
                    link.quic.on_timeout();
                }
                self.stirred.insert(key);
            }
        }
        let stirred: Vec<ConnectionKey> = self.stirred.drain().collect();
        for key in stirred {
            self.service(key, clock, tell)?;
        }
        set(&self.shared.counters.connections_open, self.links.len());
        Ok(())
    }

    fn service(&mut self, key: ConnectionKey, clock: Instant, tell: Tell<'_>) -> Result<(), Error> {
        let now = self.clock.now();
        let Some(link) = self.links.get_mut(&key) else {
            return Ok(());
        };
        link.service(&mut self.shared, now, clock, tell);
        let traffic = &self.shared.counters.traffic;
        let socket_full = flush(&self.socket, &mut self.datagram, link, traffic)?;
        if !socket_full && let Some(code) = link.take_closing(clock) {
            // What was queued has left; CONNECTION_CLOSE with the same code follows (GAP-5).
            let _over = link.quic.close(true, code, b"");
            flush(&self.socket, &mut self.datagram, link, traffic)?;
        }
        link.notice_end(&self.shared, tell);
        link.tally.gather(&self.shared.counters);
        self.route(key);
        let Some(link) = self.links.get_mut(&key) else {
            return Ok(());
        };
        if link.unsent.is_some() {
            self.blocked.push(key);
        }
        if link.quic.is_closed() {
            self.forget(key);
            return Ok(());
        }
        let due = link.deadline(&self.clock);
        if due != link.scheduled {
            if let Some(old) = link.scheduled {
                self.timers.remove(&(old, key));
            }
            if let Some(due) = due {
                self.timers.insert((due, key));
            }
            link.scheduled = due;
        }
        Ok(())
    }

    /// Keeps the ids that packets may be addressed to.
    fn route(&mut self, key: ConnectionKey) {
        let Some(link) = self.links.get_mut(&key) else {
            return;
        };
        while let Some(retired) = link.quic.retired_scid_next() {
            self.routes.remove(&retired);
            link.ids.retain(|id| *id != retired);
        }
        for id in link.quic.source_ids() {
            if !self.routes.contains_key(id) {
                let id = id.clone().into_owned();
                link.ids.push(id.clone());
                self.routes.insert(id, key);
            }
        }
        while let Some(event) = link.quic.path_event_next() {
            debug!(parent: &link.span, ?event, "path");
            if let quiche::PathEvent::PeerMigrated(_, peer) = event {
                link.migrated(peer);
            }
        }
    }

    fn forget(&mut self, key: ConnectionKey) {
        let Some(link) = self.links.remove(&key) else {
            return;
        };
        if let Some(due) = link.scheduled {
            self.timers.remove(&(due, key));
        }
        for id in &link.ids {
            self.routes.remove(id);
        }
    }
}

fn random_id() -> Result<ConnectionId<'static>, Error> {
    let mut id = vec![0; quiche::MAX_CONN_ID_LEN];
    boring::rand::rand_bytes(&mut id)?;
    Ok(ConnectionId::from_vec(id))
}
