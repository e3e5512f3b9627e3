//! A small HTTP/1.1 server: for DID documents and handles ([`publish`](crate::publish)), for
//! metrics, for whatever else fits into one answer that is made at once.
//!
//! It takes GET and HEAD, reads no request body, and bounds everything: connections, headers, and
//! how long a connection may last. It runs on one thread of its own.

use std::convert::Infallible;
use std::net::{SocketAddr, TcpListener};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::Duration;

use boring::ssl::{Ssl, SslContext};
use http_body_util::Full;
use hyper::body::{Bytes, Incoming};
use hyper::header::{CONTENT_TYPE, HOST, HeaderName, HeaderValue, X_CONTENT_TYPE_OPTIONS};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Method, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::sync::{Semaphore, oneshot};
use tokio::time::{sleep, timeout};
use tokio_boring::SslStreamBuilder;
use tracing::{debug, error, warn};

use crate::Error;
use crate::tls::{self, Certificate};

/// The most connections at a time; others wait to be accepted.
const MOST_CONNECTIONS: usize = 256;
/// How long TLS, and the headers of a request, may take.
const PATIENCE: Duration = Duration::from_secs(10);
/// After how long a connection takes no further request.
const LIFETIME: Duration = Duration::from_secs(60);
/// The most bytes of a request's headers.
const MAX_HEADERS: usize = 16 * 1024;

/// What a client asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Request {
    /// The path, as it was sent: percent-encoded, with a slash first.
    pub path: String,
    /// What stands behind the question mark, as it was sent.
    pub query: Option<String>,
    /// The host that was asked for, with its port if it was named.
    pub host: Option<String>,
}

impl Request {
    /// The value of a parameter of the query, percent-decoded. `None` when it is not there, is there
    /// several times, or is not UTF-8.
    #[must_use]
    pub fn parameter(&self, name: &str) -> Option<String> {
        let pairs = self.query.as_deref()?.split('&');
        let mut values =
            pairs.filter_map(|pair| pair.split_once('=').filter(|(key, _)| *key == name));
        let (_, value) = values.next()?;
        if values.next().is_some() {
            return None;
        }
        decoded(value)
    }
}

/// Undoes percent-encoding.
pub(crate) fn decoded(text: &str) -> Option<String> {
    let mut bytes = text.bytes();
    let mut out = Vec::with_capacity(text.len());
    while let Some(byte) = bytes.next() {
        if byte == b'%' {
            let mut digit = || char::from(bytes.next()?).to_digit(16);
            let (high, low) = (digit()?, digit()?);
            out.push(u8::try_from(high * 16 + low).ok()?);
        } else {
            out.push(byte);
        }
    }
    String::from_utf8(out).ok()
}

/// What a client is answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Response {
    status: StatusCode,
    headers: Vec<(HeaderName, HeaderValue)>,
    body: Vec<u8>,
}

impl Response {
    /// 200, with a body of this content type.
    #[must_use]
    pub fn new(content_type: &'static str, body: impl Into<Vec<u8>>) -> Self {
        Self {
            status: StatusCode::OK,
            headers: vec![(CONTENT_TYPE, HeaderValue::from_static(content_type))],
            body: body.into(),
        }
    }

    /// 200, with plain text in UTF-8.
    #[must_use]
    pub fn text(body: impl Into<Vec<u8>>) -> Self {
        Self::new("text/plain; charset=utf-8", body)
    }

    /// 200, with JSON.
    #[must_use]
    pub fn json(body: impl Into<Vec<u8>>) -> Self {
        Self::new("application/json", body)
    }

    /// 404.
    #[must_use]
    pub fn not_found() -> Self {
        Self::text("there is nothing here\n").with_status(404)
    }

    /// The same with another status. One that is not in 100..=999 becomes 500.
    #[must_use]
    pub fn with_status(mut self, status: u16) -> Self {
        self.status = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        self
    }

    /// The same with another header, unless `value` cannot stand in one.
    #[must_use]
    pub fn with_header(mut self, name: &'static str, value: &str) -> Self {
        if let Ok(value) = HeaderValue::from_str(value) {
            self.headers.push((HeaderName::from_static(name), value));
        }
        self
    }

    /// The status code.
    #[must_use]
    pub fn status(&self) -> u16 {
        self.status.as_u16()
    }

    /// The body.
    #[must_use]
    pub fn body(&self) -> &[u8] {
        &self.body
    }

    fn finish(self) -> hyper::Response<Full<Bytes>> {
        let mut response = hyper::Response::new(Full::new(Bytes::from(self.body)));
        *response.status_mut() = self.status;
        let headers = response.headers_mut();
        headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
        headers.extend(self.headers);
        response
    }
}

type Handler = dyn Fn(&Request) -> Response + Send + Sync;

/// A running server, until it is dropped.
pub struct Server {
    address: SocketAddr,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl std::fmt::Debug for Server {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Server")
            .field("address", &self.address)
            .finish_non_exhaustive()
    }
}

impl Server {
    /// Listens at `listen`, port 0 for any; with a certificate over TLS, else in the clear.
    /// `handler` answers all requests, one after the other, so it must not wait for anything. If it
    /// panics, the client gets 500.
    ///
    /// # Errors
    /// [`Error::Bind`], [`Error::Tls`], [`Error::Io`].
    pub fn start(
        listen: SocketAddr,
        certificate: Option<&Certificate>,
        handler: impl Fn(&Request) -> Response + Send + Sync + 'static,
    ) -> Result<Self, Error> {
        let bind = |source| Error::Bind {
            address: listen,
            source,
        };
        let listener = TcpListener::bind(listen).map_err(bind)?;
        listener.set_nonblocking(true)?;
        let address = listener.local_addr()?;
        let tls = certificate.map(tls::https).transpose()?;
        let (stop, stopped) = oneshot::channel();
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()?;
        let served = Served {
            handler: Arc::new(handler),
            tls,
        };
        let thread = thread::Builder::new()
            .name("aire-http".into())
            .spawn(move || {
                runtime.block_on(async {
                    tokio::select! {
                        _ = stopped => {}
                        () = accept_all(listener, served) => {}
                    }
                });
            })?;
        Ok(Self {
            address,
            stop: Some(stop),
            thread: Some(thread),
        })
    }

    /// Where it listens.
    #[must_use]
    pub const fn address(&self) -> SocketAddr {
        self.address
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // Fails only when the thread is gone.
        let _gone = self.stop.take().map(|stop| stop.send(()));
        if let Some(thread) = self.thread.take()
            && thread.thread().id() != thread::current().id()
            && thread.join().is_err()
        {
            error!("the HTTP server panicked");
        }
    }
}

#[derive(Clone)]
struct Served {
    handler: Arc<Handler>,
    tls: Option<SslContext>,
}

async fn accept_all(listener: TcpListener, served: Served) {
    let listener = match tokio::net::TcpListener::from_std(listener) {
        Ok(listener) => listener,
        Err(error) => return error!(%error, "the HTTP server cannot listen"),
    };
    let permits = Arc::new(Semaphore::new(MOST_CONNECTIONS));
    loop {
        let Ok(permit) = permits.clone().acquire_owned().await else {
            return;
        };
        match listener.accept().await {
            Ok((stream, from)) => {
                let served = served.clone();
                tokio::spawn(async move {
                    served.connection(stream, from).await;
                    drop(permit);
                });
            }
            Err(error) => {
                // Out of file descriptors, most likely: that passes.
                warn!(%error, "no connection can be accepted");
                sleep(Duration::from_millis(100)).await;
            }
        }
    }
}

impl Served {
    async fn connection(&self, stream: TcpStream, from: SocketAddr) {
        let Some(context) = &self.tls else {
            return self.speak(stream, from).await;
        };
        let Ok(tls) = Ssl::new(context) else { return };
        match timeout(PATIENCE, SslStreamBuilder::new(tls, stream).accept()).await {
            Ok(Ok(stream)) => self.speak(stream, from).await,
            Ok(Err(error)) => debug!(%from, %error, "no TLS with a client"),
            Err(_) => debug!(%from, "a client takes too long for TLS"),
        }
    }

    async fn speak(&self, stream: impl AsyncRead + AsyncWrite + Unpin, from: SocketAddr) {
        let service = service_fn(|request| {
            let answer = self.answer(&request);
            async move { Ok::<_, Infallible>(answer) }
        });
        let connection = http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(PATIENCE)
            .max_buf_size(MAX_HEADERS)
            .serve_connection(TokioIo::new(stream), service);
        let mut connection = std::pin::pin!(connection);
        let mut ended = timeout(LIFETIME, connection.as_mut()).await;
        if ended.is_err() {
            connection.as_mut().graceful_shutdown();
            ended = timeout(PATIENCE, connection).await;
        }
        match ended {
            Ok(Ok(())) => {}
            Ok(Err(error)) => debug!(%from, %error, "a client's connection failed"),
            Err(_) => debug!(%from, "a client takes too long"),
        }
    }

    fn answer(&self, request: &hyper::Request<Incoming>) -> hyper::Response<Full<Bytes>> {
        if !matches!(*request.method(), Method::GET | Method::HEAD) {
            let refusal = Response::text("only GET and HEAD are answered\n").with_status(405);
            return refusal.with_header("allow", "GET, HEAD").finish();
        }
        let host = request.headers().get(HOST);
        let asked = Request {
            path: request.uri().path().to_owned(),
            query: request.uri().query().map(str::to_owned),
            host: host.and_then(|host| host.to_str().ok()).map(str::to_owned),
        };
        let answer = catch_unwind(AssertUnwindSafe(|| (self.handler)(&asked)));
        let answer = answer.unwrap_or_else(|_| {
            error!(path = asked.path, "the handler of an HTTP request panicked");
            Response::text("this failed\n").with_status(500)
        });
        answer.finish()
    }
}
