//! One document over HTTPS, from a server that a stranger named (`ID-3`, `DISC-5`).
//!
//! The connection is made here, and not by an HTTP library: so it goes to the very address that was
//! checked, whatever DNS says a moment later. Nothing is followed, no proxy is used, no cookie is
//! kept, nothing is decompressed; headers, body and time are bounded.

use std::net::{IpAddr, SocketAddr};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use boring::ssl::{SslConnector, SslMethod, SslVersion};
use boring::x509::X509;
use http_body_util::{BodyExt, Empty};
use hyper::body::{Bytes, Incoming};
use hyper::client::conn::http1;
use hyper::header::{
    ACCEPT, ACCEPT_ENCODING, AGE, CACHE_CONTROL, CONTENT_ENCODING, HOST, LOCATION, USER_AGENT,
};
use hyper::{Request, Response, StatusCode, Uri};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until};
use tokio_boring::SslStream;

use super::dns::Dns;
use super::freshness::lifetime;
use super::reach::is_public;
use super::trace::{Log, What};
use super::{ResolveError, ResolverSettings};
use crate::Error;

/// The most bytes of a response's headers.
const MAX_HEADERS: usize = 16 * 1024;
/// The most addresses of a host that are tried.
const MOST_ADDRESSES: usize = 6;
/// How long before the next address is tried as well.
const STAGGER: Duration = Duration::from_millis(250);

/// What was fetched.
#[derive(Debug)]
pub(super) struct Fetched {
    pub(super) body: Vec<u8>,
    /// For how long it may be used without asking again.
    pub(super) lifetime: Duration,
}

/// Fetches documents.
pub(super) struct Fetcher {
    dns: Arc<Dns>,
    tls: SslConnector,
    default_age: Duration,
    max_age: Duration,
    https_port: u16,
    allow_private: bool,
}

impl Fetcher {
    pub(super) fn new(settings: &ResolverSettings, dns: Arc<Dns>) -> Result<Self, Error> {
        let mut tls = SslConnector::builder(SslMethod::tls())?;
        tls.set_min_proto_version(Some(SslVersion::TLS1_2))?;
        tls.set_alpn_protos(b"\x08http/1.1")?;
        if let Some(path) = &settings.extra_roots {
            for root in roots(path)? {
                tls.cert_store_mut().add_cert(&root)?;
            }
        }
        Ok(Self {
            dns,
            tls: tls.build(),
            default_age: settings.default_cache_age,
            max_age: settings.max_cache_age,
            https_port: settings.https_port,
            allow_private: settings.danger_allow_private,
        })
    }

    /// Fetches what is at `url`, of at most `limit` bytes. How long that may take is up to the
    /// caller.
    pub(super) async fn get(
        &self,
        url: &str,
        limit: usize,
        log: &mut Log,
    ) -> Result<Fetched, ResolveError> {
        let place = Place::of(url, self.https_port)?;
        let addresses = self.addresses(&place, log).await?;
        let tcp = log
            .step(
                What::Connect,
                &place.authority,
                connect(url, addresses),
                |tcp| {
                    tcp.peer_addr()
                        .map_or_else(|error| error.to_string(), |it| it.to_string())
                },
            )
            .await?;
        let tls = log
            .step(
                What::Tls,
                &place.host,
                self.secure(url, &place, tcp),
                |tls| tls.ssl().version_str().to_owned(),
            )
            .await?;
        let asked = self.ask(url, &place, limit, tls);
        log.step(What::Get, url, asked, |fetched| {
            let (len, secs) = (fetched.body.len(), fetched.lifetime.as_secs());
            format!("{len} bytes, fresh for {secs} s")
        })
        .await
    }

    /// The addresses that may be connected to.
    async fn addresses(
        &self,
        place: &Place,
        log: &mut Log,
    ) -> Result<Vec<SocketAddr>, ResolveError> {
        let look = async {
            let found = match place.ip {
                Some(ip) => vec![ip],
                None => self.dns.addresses(&place.host).await?,
            };
            reachable(&place.host, found, self.allow_private)
        };
        let tell = |found: &Vec<IpAddr>| {
            let texts: Vec<_> = found.iter().map(ToString::to_string).collect();
            texts.join(", ")
        };
        let found = log.step(What::Addresses, &place.host, look, tell).await?;
        Ok(found
            .into_iter()
            .map(|ip| (ip, place.port).into())
            .collect())
    }

    /// TLS with the server, whose certificate must be for the host.
    async fn secure(
        &self,
        url: &str,
        place: &Place,
        tcp: TcpStream,
    ) -> Result<SslStream<TcpStream>, ResolveError> {
        let failed = |reason: String| ResolveError::Tls {
            url: url.into(),
            reason,
        };
        let config = self
            .tls
            .configure()
            .map_err(|error| failed(error.to_string()))?;
        let shaken = tokio_boring::connect(config, &place.host, tcp).await;
        shaken.map_err(|error| {
            let verdict = error.ssl().map(|ssl| ssl.verify_result());
            failed(match verdict {
                Some(Err(verdict)) => format!("the certificate: {verdict}"),
                _ => error.to_string(),
            })
        })
    }

    /// The request, and the answer.
    async fn ask(
        &self,
        url: &str,
        place: &Place,
        limit: usize,
        tls: SslStream<TcpStream>,
    ) -> Result<Fetched, ResolveError> {
        let failed = |error: hyper::Error| ResolveError::Http {
            url: url.into(),
            reason: with_causes(&error),
        };
        let (mut sender, connection) = http1::Builder::new()
            .max_buf_size(MAX_HEADERS)
            .max_header_size(MAX_HEADERS)
            .handshake(TokioIo::new(tls))
            .await
            .map_err(failed)?;
        // Ends with this call, whatever the server does.
        let mut work = JoinSet::new();
        work.spawn(connection);
        let request = Request::get(place.path.as_str())
            .header(HOST, &place.authority)
            .header(USER_AGENT, concat!("aire-mio/", env!("CARGO_PKG_VERSION")))
            .header(
                ACCEPT,
                "application/did+ld+json, application/did+json, application/json, */*",
            )
            .header(ACCEPT_ENCODING, "identity")
            .body(Empty::<Bytes>::new())
            .map_err(|error| ResolveError::Http {
                url: url.into(),
                reason: error.to_string(),
            })?;
        let response = sender.send_request(request).await.map_err(failed)?;
        judge(url, &response)?;
        let headers = response.headers();
        let lifetime = lifetime(
            headers
                .get_all(CACHE_CONTROL)
                .iter()
                .map(|value| value.as_bytes()),
            headers.get(AGE).map(|value| value.as_bytes()),
            self.default_age,
            self.max_age,
        );
        let body = receive(url, response.into_body(), limit).await?;
        Ok(Fetched { body, lifetime })
    }
}

/// Those of a host's addresses that may be connected to. After DNS, and before anything is sent: so
/// neither a name for a private address, nor one that changes its address between two questions,
/// leads inside.
fn reachable(
    host: &str,
    found: Vec<IpAddr>,
    allow_private: bool,
) -> Result<Vec<IpAddr>, ResolveError> {
    let first = found.first().copied();
    let mut good = found;
    good.retain(|ip| allow_private || is_public(*ip));
    good.truncate(MOST_ADDRESSES);
    match first.filter(|_| good.is_empty()) {
        None => Ok(good),
        Some(address) => Err(ResolveError::ForbiddenAddress {
            host: host.into(),
            address,
        }),
    }
}

/// What a URL is made of.
struct Place {
    host: String,
    ip: Option<IpAddr>,
    port: u16,
    /// Host and port as the server is to see them.
    authority: String,
    path: String,
}

impl Place {
    /// Reads an `https` URL. One without a port is at `https_port`.
    fn of(url: &str, https_port: u16) -> Result<Self, ResolveError> {
        let bad = |reason: &str| ResolveError::Http {
            url: url.into(),
            reason: reason.into(),
        };
        let uri: Uri = url.parse().map_err(|_| bad("it is no URL"))?;
        if uri.scheme_str() != Some("https") {
            return Err(bad("only https is secure enough"));
        }
        let authority = uri.authority().ok_or_else(|| bad("it names no host"))?;
        if authority.as_str().contains('@') {
            return Err(bad("it names a user"));
        }
        let host = authority.host().trim_matches(['[', ']']).to_owned();
        Ok(Self {
            ip: host.parse().ok(),
            host,
            port: authority.port_u16().unwrap_or(https_port),
            authority: authority.as_str().to_owned(),
            path: uri
                .path_and_query()
                .map_or("/", |path| path.as_str())
                .to_owned(),
        })
    }
}

/// Connects to the first address that answers: each is given a little time before the next one is
/// tried beside it.
async fn connect(url: &str, addresses: Vec<SocketAddr>) -> Result<TcpStream, ResolveError> {
    let mut attempts = JoinSet::new();
    let mut left = addresses.into_iter();
    let mut failures = Vec::new();
    let mut next_at = Instant::now();
    loop {
        let more = left.len() > 0;
        if !more && attempts.is_empty() {
            return Err(ResolveError::Connect {
                url: url.into(),
                reason: failures.join("; "),
            });
        }
        tokio::select! {
            Some(done) = attempts.join_next(), if !attempts.is_empty() => match done {
                Ok((_, Ok(stream))) => return Ok(stream),
                Ok((address, Err(error))) => {
                    let error: std::io::Error = error;
                    failures.push(format!("{address}: {error}"));
                    next_at = Instant::now();
                }
                Err(error) => failures.push(error.to_string()),
            },
            () = sleep_until(next_at), if more => {
                if let Some(address) = left.next() {
                    attempts.spawn(async move { (address, TcpStream::connect(address).await) });
                    next_at = Instant::now() + STAGGER;
                }
            }
        }
    }
}

/// Whether the answer is the document, and not something else.
fn judge(url: &str, response: &Response<Incoming>) -> Result<(), ResolveError> {
    let status = response.status();
    if status.is_redirection() {
        let location = response.headers().get(LOCATION);
        let location = location.map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned());
        return Err(ResolveError::Redirect {
            url: url.into(),
            location: location.unwrap_or_default(),
        });
    }
    if status != StatusCode::OK {
        return Err(ResolveError::Status {
            url: url.into(),
            status: status.as_u16(),
        });
    }
    let encoding = response.headers().get(CONTENT_ENCODING);
    if encoding.is_some_and(|encoding| encoding != "identity") {
        return Err(ResolveError::Http {
            url: url.into(),
            reason: "it is compressed, which was not asked for".into(),
        });
    }
    Ok(())
}

/// The body, which is given up as soon as it is too large.
async fn receive(url: &str, mut body: Incoming, limit: usize) -> Result<Vec<u8>, ResolveError> {
    let too_large = || ResolveError::TooLarge {
        url: url.into(),
        limit,
    };
    let announced = hyper::body::Body::size_hint(&body).lower();
    if usize::try_from(announced).map_or(true, |announced| announced > limit) {
        return Err(too_large());
    }
    let mut received = Vec::new();
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|error| ResolveError::Http {
            url: url.into(),
            reason: with_causes(&error),
        })?;
        if let Some(data) = frame.data_ref() {
            if data.len() > limit - received.len() {
                return Err(too_large());
            }
            received.extend_from_slice(data);
        }
    }
    Ok(received)
}

/// An error with what is behind it, which is where the reason stands.
fn with_causes(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text.push_str(": ");
        text.push_str(&error.to_string());
        cause = error.source();
    }
    text
}

/// The CA certificates in a PEM file.
fn roots(path: &Path) -> Result<Vec<X509>, Error> {
    let pem = std::fs::read(path).map_err(|source| Error::File {
        path: path.into(),
        source,
    })?;
    let roots = X509::stack_from_pem(&pem).unwrap_or_default();
    match roots.is_empty() {
        false => Ok(roots),
        true => Err(Error::FileContent {
            path: path.into(),
            expected: "CA certificates in PEM",
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_public_and_private_addresses_only_the_public_ones_are_connected_to() {
        let ips = |texts: &[&str]| -> Vec<IpAddr> {
            let ips = texts.iter().map(|text| text.parse().expect("an address"));
            ips.collect()
        };
        let mixed = ips(&[
            "::1",
            "1.1.1.1",
            "10.0.0.1",
            "2606:4700::1",
            "::ffff:127.0.0.1",
        ]);
        let good = ips(&["1.1.1.1", "2606:4700::1"]);
        assert_eq!(reachable("a.example", mixed.clone(), false), Ok(good));
        assert_eq!(reachable("a.example", mixed.clone(), true), Ok(mixed));
        let refused = reachable("a.example", ips(&["fe80::1", "10.0.0.1"]), false);
        assert_eq!(
            refused,
            Err(ResolveError::ForbiddenAddress {
                host: "a.example".into(),
                address: "fe80::1".parse().expect("an address"),
            })
        );
        let many = vec![IpAddr::from([1, 1, 1, 1]); 1000];
        let few = reachable("a.example", many, false).map(|few| few.len());
        assert_eq!(few, Ok(MOST_ADDRESSES));
    }

    #[test]
    fn only_https_urls_are_fetched() {
        for bad in [
            "http://a.example/",
            "ftp://a.example",
            "/x",
            "",
            "https://",
            "https://me@a.example/",
        ] {
            assert!(Place::of(bad, 443).is_err(), "{bad}");
        }
        let place = Place::of("https://[::1]:8443/x?y=z", 443).expect("a URL");
        assert_eq!(place.ip, Some(IpAddr::from([0, 0, 0, 0, 0, 0, 0, 1])));
        assert_eq!((place.port, place.path.as_str()), (8443, "/x?y=z"));
        assert_eq!(place.authority, "[::1]:8443");
        let place = Place::of("https://a.example", 443).expect("a URL");
        assert_eq!(
            (place.port, place.path.as_str(), place.ip),
            (443, "/", None)
        );
    }
}
