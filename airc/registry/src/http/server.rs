//! A registry that listens: from its start to its end.

use std::collections::HashMap;
use std::future::Future;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use airc_core::registry::Registry;
use axum::Router;
use axum::body::Body;
use axum::http::Request;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::{GracefulShutdown, Watcher};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::{MissedTickBehavior, interval, timeout};
use tower::ServiceExt as _;
use tracing::{debug, info, warn};

use super::patience::Patient;
use super::rates::Address;
use super::routes::{Peer, routes};
use super::state::{State, until_stopped};
use super::tls::Certificate;
use crate::engine::{Engine, EngineSettings};
use crate::store::Database;
use crate::{Config, Error};

/// A registry that serves, until it is told to stop.
#[derive(Debug)]
pub struct Server {
    address: SocketAddr,
    state: Arc<State>,
    stopping: watch::Sender<bool>,
    accepting: JoinHandle<()>,
}

impl Server {
    /// Opens the store and the socket, and serves. To be called within a tokio runtime with I/O
    /// and time.
    ///
    /// # Errors
    /// [`Error::Config`], [`Error::Tls`], [`Error::Listen`], [`Error::Store`].
    pub async fn start(config: Config) -> Result<Self, Error> {
        Self::start_with(config, EngineSettings::default()).await
    }

    /// [`start`](Self::start), with an engine that works as one likes: with another clock, say.
    ///
    /// # Errors
    /// As [`start`](Self::start).
    pub async fn start_with(config: Config, engine: EngineSettings) -> Result<Self, Error> {
        let checked = config.check();
        checked.map_err(|nonsense| Error::Config(nonsense.to_string()))?;
        let database: Database = config
            .database
            .parse()
            .map_err(|error| Error::Config(format!("database: {error}")))?;
        let certificate = config.tls.as_ref().map(Certificate::read).transpose()?;
        let listener = TcpListener::bind(config.listen).await;
        let address = listener.as_ref().ok().and_then(|at| at.local_addr().ok());
        let (listener, address) = match (listener, address) {
            (Ok(listener), Some(address)) => (listener, address),
            (listener, _) => {
                let address = config.listen;
                let unknown = || io::Error::other("it is not known where");
                let source = listener.err().unwrap_or_else(unknown);
                return Err(Error::Listen { address, source });
            }
        };
        let registry = Arc::new(Registry::new(config.settings(address)));
        let opened = {
            let registry = Arc::clone(&registry);
            let open = move || Engine::open(&database, registry, engine);
            tokio::task::spawn_blocking(open).await
        };
        let engine = match opened {
            Ok(Ok(engine)) => engine,
            Ok(Err(error)) => return Err(Error::Store(error.to_string())),
            Err(error) => return Err(Error::Store(error.to_string())),
        };
        let (stopping, stopped) = watch::channel(false);
        let state = Arc::new(State::new(config, address, registry, engine, stopped));
        let acceptor = Acceptor::new(&state, certificate);
        let accepting = tokio::spawn(acceptor.run(listener));
        Ok(Self {
            address,
            state,
            stopping,
            accepting,
        })
    }

    /// Where it listens.
    #[must_use]
    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    /// Where clients reach it, without a slash at the end.
    #[must_use]
    pub fn base_url(&self) -> &str {
        &self.state.base_url
    }

    /// Waits until it cannot go on: its engine has failed. The program should end then.
    pub async fn failed(&self) {
        self.state.engine.failed().await;
    }

    /// Accepts nothing more, lets what has begun finish, within a bound, and closes the store.
    ///
    /// # Errors
    /// [`Error::Failed`] if it could not go on before that.
    pub async fn stop(self) -> Result<(), Error> {
        self.stopping.send_replace(true);
        let accepted = self.accepting.await;
        self.state.engine.clone().stop().await;
        accepted.map_err(|error| Error::Failed(format!("it no longer accepted: {error}")))
    }
}

/// What a connection needs, and what bounds how many there are.
struct Acceptor {
    state: Arc<State>,
    router: Router,
    certificate: Option<Arc<Certificate>>,
    slots: Arc<Semaphore>,
    handshakes: Arc<Semaphore>,
    addresses: Addresses,
}

impl Acceptor {
    fn new(state: &Arc<State>, certificate: Option<Certificate>) -> Self {
        let limits = &state.config.limits;
        let slots = |count: u32| Arc::new(Semaphore::new(usize::try_from(count).unwrap_or(1)));
        Self {
            state: Arc::clone(state),
            router: routes(state),
            certificate: certificate.map(Arc::new),
            slots: slots(limits.connections),
            handshakes: slots(limits.handshakes),
            addresses: Addresses::default(),
        }
    }

    async fn run(self, listener: TcpListener) {
        let mut stopped = self.state.stopped.clone();
        let graceful = GracefulShutdown::new();
        let mut connections = JoinSet::new();
        let mut tidying = interval(TIDYING);
        tidying.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            // Who has no slot waits in the kernel's queue, which is bounded.
            let accepted = async {
                let slot = Arc::clone(&self.slots).acquire_owned().await;
                (slot, listener.accept().await)
            };
            tokio::select! {
                () = until_stopped(&mut stopped) => break,
                _ = tidying.tick() => self.tidy(),
                Some(_) = connections.join_next() => {}
                (slot, accepted) = accepted => match (slot, accepted) {
                    (Ok(slot), Ok((stream, peer))) => {
                        if let Some(connection) = self.admit(stream, peer, slot, graceful.watcher()) {
                            connections.spawn(connection);
                        }
                    }
                    (_, Err(error)) => {
                        // Too many open files, mostly: it gets better when some are closed.
                        warn!(%error, "a connection cannot be accepted");
                        tokio::time::sleep(REST).await;
                    }
                    (Err(_), _) => break,
                },
            }
        }
        drop(listener);
        let patience = self.state.config.times.drain_timeout.0;
        info!(connections = connections.len(), "stopping");
        let finished = async {
            graceful.shutdown().await;
            while connections.join_next().await.is_some() {}
        };
        if timeout(patience, finished).await.is_err() {
            warn!(
                connections = connections.len(),
                "some requests did not finish"
            );
        }
        connections.shutdown().await;
    }

    fn tidy(&self) {
        self.state.rates.tidy();
        if let Some(certificate) = &self.certificate {
            let certificate = Arc::clone(certificate);
            // It reads files.
            drop(tokio::task::spawn_blocking(move || certificate.renew()));
        }
    }

    /// The connection, unless its address has enough of them.
    fn admit(
        &self,
        stream: TcpStream,
        peer: SocketAddr,
        slot: OwnedSemaphorePermit,
        watcher: Watcher,
    ) -> Option<impl Future<Output = ()> + Send + use<>> {
        let ip = peer.ip().to_canonical();
        let most = match ip.is_loopback() || self.state.config.trusts(ip) {
            true => u32::MAX,
            false => self.state.config.limits.connections_per_address,
        };
        let Some(place) = self.addresses.enter(ip.into(), most) else {
            debug!(%peer, "too many connections from one address");
            return None;
        };
        // Answers are written whole: there is nothing to wait for.
        if let Err(error) = stream.set_nodelay(true) {
            debug!(%peer, %error, "TCP_NODELAY");
        }
        let times = &self.state.config.times;
        let serving = Serving {
            router: self.router.clone(),
            peer: ip,
            header_timeout: times.header_timeout.0,
            write_timeout: times.write_timeout.0,
            stopped: self.state.stopped.clone(),
            watcher,
        };
        let certificate = self.certificate.as_ref().map(Arc::clone);
        let handshakes = Arc::clone(&self.handshakes);
        let handshake_timeout = times.handshake_timeout.0;
        Some(async move {
            let _held = (slot, place);
            let Some(certificate) = certificate else {
                return serving.serve(stream).await;
            };
            let mut stopped = serving.stopped.clone();
            let handshake = timeout(handshake_timeout, async {
                let _turn = handshakes.acquire().await;
                tokio_boring::accept(&certificate.acceptor(), stream).await
            });
            let done = tokio::select! {
                done = handshake => done,
                () = until_stopped(&mut stopped) => return,
            };
            match done {
                Ok(Ok(stream)) => serving.serve(stream).await,
                Ok(Err(error)) => debug!(%peer, %error, "no TLS handshake"),
                Err(_) => debug!(%peer, "a TLS handshake took too long"),
            }
        })
    }
}

/// What serves the requests of one connection.
struct Serving {
    router: Router,
    peer: IpAddr,
    header_timeout: Duration,
    write_timeout: Duration,
    stopped: watch::Receiver<bool>,
    watcher: Watcher,
}

impl Serving {
    async fn serve(self, stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static) {
        let (router, peer) = (self.router, self.peer);
        let service = service_fn(move |request: Request<hyper::body::Incoming>| {
            let mut request = request.map(Body::new);
            request.extensions_mut().insert(Peer(peer));
            router.clone().oneshot(request)
        });
        let stream = TokioIo::new(Patient::new(stream, self.write_timeout));
        let connection = http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(self.header_timeout)
            .max_buf_size(MAX_HEAD)
            .serve_connection(stream, service);
        if let Err(error) = self.watcher.watch(connection).await {
            debug!(%peer, %error, "a connection broke");
        }
    }
}

/// How many connections each address has.
#[derive(Clone, Debug, Default)]
struct Addresses(Arc<Mutex<HashMap<Address, u32>>>);

impl Addresses {
    /// A place for one more, unless there are `most`.
    fn enter(&self, address: Address, most: u32) -> Option<Place> {
        let mut counts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let count = counts.entry(address).or_default();
        if *count >= most {
            return None;
        }
        *count += 1;
        Some(Place {
            of: self.clone(),
            address,
        })
    }
}

/// One connection of an address.
struct Place {
    of: Addresses,
    address: Address,
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut counts = self.of.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = counts.get_mut(&self.address) {
            *count -= 1;
            if *count == 0 {
                counts.remove(&self.address);
            }
        }
    }
}

/// The longest head of a request, in bytes.
const MAX_HEAD: usize = 64 * 1024;

/// How often limits are tidied, and certificates looked at.
const TIDYING: Duration = Duration::from_secs(10);

/// How long nothing is accepted after that failed.
const REST: Duration = Duration::from_millis(100);

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

    #[test]
    fn an_address_has_so_many_places_and_gets_them_back() {
        let addresses = Addresses::default();
        let here: Address = IpAddr::from([192, 0, 2, 1]).into();
        let first = addresses.enter(here, 2).expect("a place");
        let second = addresses.enter(here, 2).expect("a place");
        assert!(addresses.enter(here, 2).is_none());
        drop(first);
        let third = addresses.enter(here, 2).expect("a place that was left");
        drop((second, third));
        assert!(addresses.0.lock().unwrap().is_empty());
    }

    /// An answer, head and all.
    async fn get(address: SocketAddr, target: &str) -> String {
        let mut stream = TcpStream::connect(address).await.expect("it listens");
        let request = format!("GET {target} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
        stream
            .write_all(request.as_bytes())
            .await
            .expect("it takes it");
        let mut answer = String::new();
        let read = stream.read_to_string(&mut answer).await;
        read.expect("it answers");
        answer
    }

    #[tokio::test]
    async fn a_registry_whose_store_is_gone_says_so_and_no_more() {
        let dir = tempfile::TempDir::new().expect("a directory");
        let server = Server::start(Config {
            listen: SocketAddr::from(([127, 0, 0, 1], 0)),
            database: format!("sqlite:{}", dir.path().join("r.db").display()),
            ..Config::default()
        });
        let server = server.await.expect("it starts");
        let address = server.address();
        assert!(get(address, "/readyz").await.starts_with("HTTP/1.1 200 "));
        server.state.engine.clone().stop().await;
        // From here on, what was looked up before is old.
        tokio::time::sleep(crate::http::live::FRESH).await;
        for target in ["/presence", "/v0/identity/alice", "/readyz", "/"] {
            let answer = get(address, target).await;
            assert!(answer.starts_with("HTTP/1.1 503 "), "{target}: {answer}");
            assert!(answer.contains("\r\nretry-after: "), "{target}: {answer}");
            assert!(
                answer.contains("\"code\":\"unavailable\""),
                "{target}: {answer}"
            );
        }
        let older = get(address, "/api/health").await;
        assert!(older.starts_with("HTTP/1.1 503 "), "{older}");
        assert!(older.contains("\"success\":false"), "{older}");
        assert!(get(address, "/healthz").await.starts_with("HTTP/1.1 200 "));
        server.stop().await.expect("it stops");
    }
}
