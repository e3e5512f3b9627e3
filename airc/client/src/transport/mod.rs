//! Requests and answers over HTTP: how long they may take, how long they may be, and when they are
//! tried again.

mod answer;
mod base;

use std::fs;
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use ureq::Agent;
use ureq::http::{Request, header};
use ureq::tls::{PemItem, RootCerts, TlsConfig, parse_pem};

pub(crate) use answer::Answer;
pub(crate) use base::Base;

use crate::Error;

/// The most bytes of an answer.
pub(crate) const MAX_ANSWER: u64 = 10 * 1024 * 1024;

/// The longest wait before another try, whatever the registry asks for: a longer one is the
/// caller's to decide.
const MAX_WAIT: Duration = Duration::from_secs(10);

/// The wait before the first try after a connection that failed; it doubles.
const FIRST_WAIT: Duration = Duration::from_millis(200);

/// How long a connection may take to be there.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// What is asked with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Method {
    Get,
    Post,
}

impl Method {
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Get => "GET",
            Self::Post => "POST",
        }
    }
}

/// A request that is ready to go. It is made anew for each try, as nonces are good for one.
#[derive(Debug, Default)]
pub(crate) struct Outgoing {
    pub(crate) headers: Vec<(&'static str, String)>,
    pub(crate) body: String,
}

/// How to speak to a registry.
#[derive(Debug)]
pub(crate) struct Settings {
    pub(crate) base: Base,
    pub(crate) user_agent: String,
    pub(crate) timeout: Duration,
    /// How many more tries there are.
    pub(crate) retries: u32,
    pub(crate) roots: Option<RootCerts>,
}

/// Speaks to one registry.
#[derive(Debug)]
pub(crate) struct Transport {
    agent: Agent,
    base: Base,
    retries: u32,
}

impl Transport {
    pub(crate) fn new(settings: Settings) -> Self {
        let roots = settings.roots.unwrap_or(RootCerts::PlatformVerifier);
        let mut config = Agent::config_builder()
            .timeout_global(Some(settings.timeout))
            .timeout_connect(Some(CONNECT_TIMEOUT.min(settings.timeout)))
            .http_status_as_error(false)
            // What is signed is for one place: see Error::Redirected.
            .max_redirects(0)
            .max_redirects_will_error(false)
            .user_agent(settings.user_agent)
            .accept("application/json")
            .tls_config(TlsConfig::builder().root_certs(roots).build());
        if settings.base.is_local() {
            // What is on this machine is not to be asked for elsewhere.
            config = config.proxy(None);
        }
        Self {
            agent: config.build().new_agent(),
            base: settings.base,
            retries: settings.retries,
        }
    }

    pub(crate) fn base(&self) -> &Base {
        &self.base
    }

    /// Asks, and asks again where that cannot do harm: after a connection that failed, if the call
    /// only reads; and whatever the call, when the registry refuses for now and says until when.
    pub(crate) fn call(
        &self,
        method: Method,
        target: &str,
        prepare: &dyn Fn() -> Result<Outgoing, Error>,
    ) -> Result<Answer, Error> {
        let mut wait = FIRST_WAIT;
        for _ in 0..self.retries {
            let answer = self.call_once(method, target, prepare()?);
            let pause = match &answer {
                Err(Error::Transport { source, .. })
                    if method == Method::Get && may_pass(source) =>
                {
                    wait
                }
                Err(error) if error.is_temporary() => match error.retry_after() {
                    Some(pause) if pause <= MAX_WAIT => pause,
                    _ => return answer,
                },
                _ => return answer,
            };
            thread::sleep(pause.max(wait));
            wait = wait.saturating_mul(2).min(MAX_WAIT);
        }
        self.call_once(method, target, prepare()?)
    }

    /// Asks once.
    pub(crate) fn call_once(
        &self,
        method: Method,
        target: &str,
        outgoing: Outgoing,
    ) -> Result<Answer, Error> {
        let url = self.base.url(target);
        let what = || format!("{} {url}", method.as_str());
        let failed = |source| Error::Transport {
            what: what(),
            source: Box::new(source),
        };
        let mut request = Request::builder().method(method.as_str()).uri(&url);
        for (name, value) in &outgoing.headers {
            request = request.header(*name, value);
        }
        let sent = match method {
            Method::Get => request.body(()).map(|request| self.agent.run(request)),
            Method::Post => request
                .header(header::CONTENT_TYPE, "application/json")
                .body(outgoing.body)
                .map(|request| self.agent.run(request)),
        };
        let response = sent
            .map_err(|error| failed(error.into()))?
            .map_err(&failed)?;
        let (head, body) = response.into_parts();
        let body = match body.into_with_config().limit(MAX_ANSWER).read_to_vec() {
            Ok(body) => body,
            Err(ureq::Error::BodyExceedsLimit(_)) => {
                return Err(Error::Answer {
                    what: what(),
                    status: head.status.as_u16(),
                    why: format!("it is longer than {MAX_ANSWER} bytes"),
                });
            }
            Err(error) => return Err(failed(error)),
        };
        Answer::new(what(), &head, body)
    }
}

/// Whether another try may well find it otherwise: what is wrong with names and certificates stays.
fn may_pass(error: &ureq::Error) -> bool {
    match error {
        ureq::Error::Io(error) => error.kind() != io::ErrorKind::InvalidData,
        ureq::Error::ConnectionFailed => true,
        _ => false,
    }
}

/// The certificates of a PEM file, to be believed in place of the system's.
pub(crate) fn roots_of(path: &Path) -> Result<RootCerts, Error> {
    let pem = fs::read(path).map_err(|source| Error::reading(path, source))?;
    let mut certificates = Vec::new();
    for item in parse_pem(&pem) {
        match item {
            Ok(PemItem::Certificate(certificate)) => certificates.push(certificate),
            Ok(_) => {}
            Err(_) => {
                // Half a bundle would be a surprise later.
                certificates.clear();
                break;
            }
        }
    }
    if certificates.is_empty() {
        return Err(Error::FileContent {
            path: path.into(),
            expected: "certificates in PEM",
        });
    }
    Ok(RootCerts::Specific(Arc::new(certificates)))
}
