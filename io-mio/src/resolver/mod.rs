//! From a name to a key and a place: `did:web` documents over HTTPS (`ID-2`, `ID-3`), handles by
//! DNS and HTTPS at once (`DISC-3` to `DISC-7`), services (`DISC-1`, `DISC-2`).
//!
//! What is fetched is up to strangers, since a HELLO names the DID that it is signed for. So only
//! the public internet is connected to, at the very address that was checked; redirects are not
//! followed; time, size, and the number of everything are bounded; sources are rate limited, and
//! documents cached (`DISC-8`).

mod cache;
mod dns;
mod document;
mod engine;
mod error;
mod fetch;
mod flights;
mod freshness;
mod pins;
mod rate;
mod reach;
mod settings;
mod target;
mod trace;

pub(crate) use document::METHOD_TYPE;
pub use document::{Document, Endpoint};
pub use error::ResolveError;
pub use pins::Pins;
pub(crate) use pins::multibase;
pub use rate::Rate;
pub use settings::ResolverSettings;
pub use target::Target;
pub use trace::{Step, Trace, What};

use std::fmt;
use std::future::Future;
use std::net::IpAddr;
use std::sync::mpsc::sync_channel;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Instant;

use aire_proto::identity::{KeyResolver, PublicKey, Resolution};
use tokio::runtime::{self, Handle};
use tokio::sync::oneshot;
use tracing::error;

use crate::Error;
use engine::Engine;
use trace::Log;

/// Resolves URIs, handles, DIDs and keys. Cheap to clone; all clones share one cache, and one thread
/// in the background, which ends with the last of them.
///
/// Calls that wait, wait no longer than [`ResolverSettings::timeout`] for each thing that they have
/// to look up.
#[derive(Clone)]
pub struct Resolver(Arc<Inner>);

struct Inner {
    engine: Arc<Engine>,
    runtime: Handle,
    stop: Mutex<Option<oneshot::Sender<()>>>,
    thread: Option<JoinHandle<()>>,
}

/// What came of a target.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Resolved {
    /// The target, as it was understood.
    pub target: Target,
    /// Who must answer there; `None` for a URI, which does not say.
    pub did: Option<String>,
    /// Where, in the order in which to try (`DISC-2`).
    pub endpoints: Vec<Endpoint>,
    /// The agent that the target itself named.
    pub agent: Option<String>,
    /// The operation that the target itself named.
    pub operation: Option<String>,
}

impl fmt::Debug for Resolver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Resolver").finish_non_exhaustive()
    }
}

impl Resolver {
    /// Starts a resolver.
    ///
    /// # Errors
    /// [`Error::File`] and [`Error::FileContent`] for the CAs; [`Error::Unresolved`] for pins that
    /// cannot be read, and a system without a name server; [`Error::Tls`], [`Error::Io`].
    pub fn new(settings: ResolverSettings) -> Result<Self, Error> {
        let runtime = runtime::Builder::new_current_thread()
            .enable_all()
            .build()?;
        let handle = runtime.handle().clone();
        let engine = {
            let _entered = runtime.enter();
            Arc::new(Engine::new(settings)?)
        };
        let (stop, stopped) = oneshot::channel();
        let thread = thread::Builder::new()
            .name("aire-resolver".into())
            .spawn(move || {
                // Whether it is told to stop, or nobody is left who could tell it.
                let _either = runtime.block_on(stopped);
            })?;
        Ok(Self(Arc::new(Inner {
            engine,
            runtime: handle,
            stop: Mutex::new(Some(stop)),
            thread: Some(thread),
        })))
    }

    /// The document of a DID.
    ///
    /// # Errors
    /// Why there is none.
    pub fn document(&self, did: &str) -> Result<Arc<Document>, ResolveError> {
        let (engine, did) = (self.0.engine.clone(), did.to_owned());
        self.wait(async move {
            let found = engine.document(&did, None, &mut Log::default()).await;
            found.map(|(document, _)| document)
        })?
    }

    /// The key of a verification method: a DID, `#`, and a fragment (`SIG-2`).
    ///
    /// # Errors
    /// Why there is none, or why it is not to be used.
    pub fn key(&self, method: &str) -> Result<PublicKey, ResolveError> {
        if let Some(known) = self.0.engine.known_key(method) {
            return known;
        }
        let (engine, method) = (self.0.engine.clone(), method.to_owned());
        self.wait(async move { engine.key(&method).await })?
    }

    /// As [`key`](Self::key), without waiting: `done` is called with the answer, at once where it
    /// is known, else on the resolver's thread, which must not be made to wait. `source` is who
    /// makes us ask: its rate is limited (`DISC-8`).
    pub fn fetch_key(
        &self,
        method: &str,
        source: IpAddr,
        done: impl FnOnce(Result<PublicKey, ResolveError>) + Send + 'static,
    ) {
        if let Some(known) = self.0.engine.known_key(method) {
            return done(known);
        }
        if !self.0.engine.state().sources.take(source, Instant::now()) {
            return done(Err(ResolveError::RateLimited { source }));
        }
        let mut promise = Promise(Some(done));
        let (engine, method) = (self.0.engine.clone(), method.to_owned());
        self.0.runtime.spawn(async move {
            let key = engine.key(&method).await;
            promise.keep(key);
        });
    }

    /// Resolves an `aire://` URI, a handle or a DID.
    ///
    /// # Errors
    /// Why it does not resolve.
    pub fn resolve(&self, target: &str) -> Result<Resolved, ResolveError> {
        self.trace(target).outcome
    }

    /// As [`resolve`](Self::resolve), with all steps.
    #[must_use]
    pub fn trace(&self, target: &str) -> Trace {
        let begun = Instant::now();
        let (engine, text) = (self.0.engine.clone(), target.to_owned());
        let done = self.wait(async move {
            let mut log = Log::default();
            let outcome = engine.resolve(&text, &mut log).await;
            (log.steps, outcome)
        });
        let (steps, outcome) = done.unwrap_or_else(|error| (Vec::new(), Err(error)));
        Trace {
            steps,
            took: begun.elapsed(),
            outcome,
        }
    }

    /// Has the resolver's thread do something, and waits for it.
    fn wait<T: Send + 'static>(
        &self,
        work: impl Future<Output = T> + Send + 'static,
    ) -> Result<T, ResolveError> {
        if self.0.is_own_thread() {
            return Err(ResolveError::WouldBlock);
        }
        let (tell, told) = sync_channel(1);
        self.0.runtime.spawn(async move {
            // There is room for one.
            let _heard = tell.send(work.await);
        });
        told.recv().map_err(|_| ResolveError::Stopped)
    }
}

/// For a driver: what is known is told at once, all else is to be fetched.
impl KeyResolver for Resolver {
    fn resolve(&self, method: &str) -> Resolution {
        match self.0.engine.known_key(method) {
            Some(Ok(key)) => Resolution::Key(key),
            // Asked again, it says why.
            Some(Err(_)) | None => Resolution::Fetch,
        }
    }
}

impl Inner {
    fn is_own_thread(&self) -> bool {
        let own = self.thread.as_ref().map(|thread| thread.thread().id());
        own == Some(thread::current().id())
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        let stop = self.stop.get_mut().unwrap_or_else(PoisonError::into_inner);
        // Fails only when the thread is gone.
        let _gone = stop.take().map(|stop| stop.send(()));
        let own = self.is_own_thread();
        if let Some(thread) = self.thread.take().filter(|_| !own)
            && thread.join().is_err()
        {
            error!("the resolver panicked");
        }
    }
}

/// Calls a callback once, also if the work that it waits for is given up.
struct Promise<F: FnOnce(Result<PublicKey, ResolveError>)>(Option<F>);

impl<F: FnOnce(Result<PublicKey, ResolveError>)> Promise<F> {
    fn keep(&mut self, answer: Result<PublicKey, ResolveError>) {
        if let Some(done) = self.0.take() {
            done(answer);
        }
    }
}

impl<F: FnOnce(Result<PublicKey, ResolveError>)> Drop for Promise<F> {
    fn drop(&mut self) {
        self.keep(Err(ResolveError::Stopped));
    }
}
