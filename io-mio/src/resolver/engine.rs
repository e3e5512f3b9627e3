//! How names become documents, keys and places. All of it runs on the resolver's one thread.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use aire_proto::address::{DidWeb, Handle, HttpsBody, MAX_BODY_LEN, TxtRecord};
use aire_proto::identity::{Did, PublicKey};
use tokio::sync::Semaphore;
use tokio::time::timeout;
use tracing::debug;

use super::cache::Cache;
use super::dns::Dns;
use super::fetch::{Fetched, Fetcher};
use super::flights::{Boarded, Landed, State};
use super::pins::PinTable;
use super::rate::Buckets;
use super::target::{Asked, Target};
use super::trace::{Log, What};
use super::{Document, ResolveError, Resolved, ResolverSettings};
use crate::Error;

/// What a resolver is behind its handle.
pub(super) struct Engine {
    dns: Arc<Dns>,
    fetcher: Fetcher,
    pins: PinTable,
    permits: Semaphore,
    state: Mutex<State>,
    timeout: Duration,
    max_document: usize,
    failure_age: Duration,
}

impl Engine {
    /// Called from within a runtime.
    pub(super) fn new(settings: ResolverSettings) -> Result<Self, Error> {
        let dns = Arc::new(Dns::new(settings.dns, settings.timeout).map_err(Error::Unresolved)?);
        let state = State::new(
            Cache::new(settings.cache_entries),
            Buckets::new(settings.per_source, settings.sources),
            settings.max_waiting,
        );
        Ok(Self {
            fetcher: Fetcher::new(&settings, dns.clone())?,
            dns,
            pins: PinTable::open(settings.pins).map_err(Error::Unresolved)?,
            permits: Semaphore::new(settings.max_fetches.clamp(1, Semaphore::MAX_PERMITS)),
            state: Mutex::new(state),
            timeout: settings.timeout,
            max_document: settings.max_document,
            failure_age: settings.failure_cache_age,
        })
    }

    pub(super) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The key of a verification method, where nothing has to be fetched, or waited for.
    pub(super) fn known_key(&self, method: &str) -> Option<Result<PublicKey, ResolveError>> {
        let did = match did_of_method(method) {
            Ok(did) if did.starts_with("did:key:") => {
                return Some(key_of_did_key(method));
            }
            Ok(did) => did,
            Err(error) => return Some(Err(error)),
        };
        if let Err(error) = place_of(did) {
            return Some(Err(error));
        }
        let now = Instant::now();
        let (known, stored) = self.state().cache.get(did, now)?;
        match known.and_then(|document| document.key(method)) {
            Ok(key) => self.pins.knows(did, &key).then_some(Ok(key)),
            Err(ResolveError::NoMethod { .. }) if self.is_old(stored, now) => None,
            Err(error) => Some(Err(error)),
        }
    }

    /// Whether a document that lacks something is so old that a newer one may have it.
    fn is_old(&self, stored: Instant, now: Instant) -> bool {
        now.saturating_duration_since(stored) >= self.failure_age
    }

    /// The key of a verification method (`SIG-2`).
    pub(super) async fn key(self: &Arc<Self>, method: &str) -> Result<PublicKey, ResolveError> {
        let did = did_of_method(method)?;
        if did.starts_with("did:key:") {
            return key_of_did_key(method);
        }
        let log = &mut Log::default();
        let (mut document, stored) = self.document(did, None, log).await?;
        let mut key = document.key(method);
        if let Err(ResolveError::NoMethod { .. }) = key {
            let now = Instant::now();
            if self.is_old(stored, now) {
                // A key that came after the document was fetched.
                (document, _) = self.document(did, Some(stored), log).await?;
                key = document.key(method);
            }
        }
        let key = key?;
        self.pins.check(&document, &key)?;
        Ok(key)
    }

    /// The document of a DID, and since when it is known; one that is known already only if since
    /// after `newer_than`.
    pub(super) async fn document(
        self: &Arc<Self>,
        did: &str,
        newer_than: Option<Instant>,
        log: &mut Log,
    ) -> Result<(Arc<Document>, Instant), ResolveError> {
        let begun = Instant::now();
        let found = self.find(did, newer_than, log).await;
        let told = match &found {
            Ok((_, Some(since))) => Ok(format!("known for {} s", since.elapsed().as_secs())),
            Ok((document, None)) => Ok(match document.keys().count() {
                1 => "1 usable key".into(),
                count => format!("{count} usable keys"),
            }),
            Err(error) => Err(error.clone()),
        };
        log.note(What::Document, did, begun, told);
        found.map(|(document, since)| (document, since.unwrap_or_else(Instant::now)))
    }

    async fn find(
        self: &Arc<Self>,
        did: &str,
        newer_than: Option<Instant>,
        log: &mut Log,
    ) -> Result<(Arc<Document>, Option<Instant>), ResolveError> {
        if let Some(key) = PublicKey::from_did_key(did) {
            return Ok((Arc::new(Document::of_key(did, key)), None));
        }
        let url = place_of(did)?;
        let boarded = self.state().board(did, newer_than, Instant::now())?;
        let landed = match boarded {
            Boarded::Known(known, since) => return known.map(|document| (document, Some(since))),
            Boarded::Wait(landed) => landed,
            Boarded::Fetch(landed) => {
                // A task of its own: who waits for it may give up, and others may not.
                tokio::spawn(self.clone().fly(did.to_owned(), url));
                landed
            }
        };
        let landed = landed.await.map_err(|_| ResolveError::Stopped)?;
        log.steps.extend_from_slice(&landed.steps);
        landed.outcome.map(|document| (document, None))
    }

    /// Fetches a document, remembers it, and tells all who wait.
    async fn fly(self: Arc<Self>, did: String, url: String) {
        let mut landing = Landing {
            engine: &self,
            did: &did,
            landed: None,
        };
        let mut log = Log::default();
        let fetched = self.get(&url, self.max_document, &mut log).await;
        let (outcome, lifetime) = match fetched {
            Ok(Fetched { body, lifetime }) => (Document::parse(&body, &did), lifetime),
            Err(error) => (Err(error), Duration::ZERO),
        };
        if let Err(error) = &outcome {
            debug!(did, %error, "no document");
        }
        let lifetime = match &outcome {
            Ok(_) => lifetime,
            Err(error) if error.is_about_the_did() => self.failure_age,
            Err(_) => Duration::ZERO,
        };
        let outcome = outcome.map(Arc::new);
        let now = Instant::now();
        let until = now.checked_add(lifetime).unwrap_or(now);
        self.state().cache.insert(&did, outcome.clone(), now, until);
        landing.landed = Some(Landed {
            outcome,
            steps: log.steps.into(),
        });
    }

    /// Fetches a URL, when it is its turn, within the time there is.
    async fn get(&self, url: &str, limit: usize, log: &mut Log) -> Result<Fetched, ResolveError> {
        let work = async {
            // The semaphore is never closed.
            let _permit = self.permits.acquire().await;
            self.fetcher.get(url, limit, log).await
        };
        match timeout(self.timeout, work).await {
            Ok(fetched) => fetched,
            Err(_) => {
                let error = ResolveError::TimedOut {
                    what: url.into(),
                    after: self.timeout,
                };
                // If not even its first step began, others took all the time.
                match log.cut(Err(error.clone())) {
                    true => Err(error),
                    false => Err(ResolveError::Busy),
                }
            }
        }
    }

    /// Resolves what a person gave.
    pub(super) async fn resolve(
        self: &Arc<Self>,
        text: &str,
        log: &mut Log,
    ) -> Result<Resolved, ResolveError> {
        let begun = Instant::now();
        let asked = Asked::parse(text);
        let told = match &asked {
            Ok(asked) => Ok(asked.target.to_string()),
            Err(error) => Err(error.clone()),
        };
        log.note(What::Target, text, begun, told);
        let Asked {
            target,
            agent,
            operation,
        } = asked?;
        let (did, endpoints) = match &target {
            Target::Uri(address) => (None, vec![address.clone().into()]),
            Target::Did(did) => {
                let (document, _) = self.document(did, None, log).await?;
                (Some(did.clone()), endpoints(&document, log)?)
            }
            Target::Handle(handle) => {
                let (did, document) = self.handle(handle, log).await?;
                (Some(did), endpoints(&document, log)?)
            }
        };
        Ok(Resolved {
            target,
            did,
            endpoints,
            agent,
            operation,
        })
    }

    /// The DID that a handle leads to, and its document, which claims the handle too.
    async fn handle(
        self: &Arc<Self>,
        text: &str,
        log: &mut Log,
    ) -> Result<(String, Arc<Document>), ResolveError> {
        let handle = Handle::parse(text).map_err(|error| ResolveError::Target {
            target: text.into(),
            reason: error.to_string(),
        })?;
        let did = self.race(&handle, log).await?;
        let (document, _) = self.document(&did, None, log).await?;
        let begun = Instant::now();
        let entries = document.also_known_as().iter().map(String::as_str);
        let confirmed = match handle.is_confirmed_by(entries) {
            true => Ok(()),
            false => Err(ResolveError::NotAlsoKnownAs {
                handle: handle.to_string(),
                did: did.clone(),
            }),
        };
        let expected = handle.also_known_as().to_string();
        let told = confirmed.clone().map(|()| "the document claims it".into());
        log.note(What::AlsoKnownAs, &expected, begun, told);
        confirmed.map(|()| (did, document))
    }

    /// Asks DNS and the web server at once; the first valid answer wins (`DISC-6`).
    async fn race(&self, handle: &Handle<'_>, log: &mut Log) -> Result<String, ResolveError> {
        let (mut dns_log, mut https_log) = (Log::default(), Log::default());
        let won = {
            let dns = self.by_dns(handle, &mut dns_log);
            let https = self.by_https(handle, &mut https_log);
            let (mut dns, mut https) = (std::pin::pin!(dns), std::pin::pin!(https));
            tokio::select! {
                answer = &mut dns => match answer {
                    Ok(did) => Ok(did),
                    Err(dns) => https.await.map_err(|https| (dns, https)),
                },
                answer = &mut https => match answer {
                    Ok(did) => Ok(did),
                    Err(https) => dns.await.map_err(|dns| (dns, https)),
                },
            }
        };
        for mut half in [dns_log, https_log] {
            half.cut(Ok("not waited for: the other way was faster".into()));
            log.steps.append(&mut half.steps);
        }
        won.map_err(|(dns, https)| ResolveError::Handle {
            handle: handle.to_string(),
            dns: Box::new(dns),
            https: Box::new(https),
        })
    }

    /// `DISC-4`.
    async fn by_dns(&self, handle: &Handle<'_>, log: &mut Log) -> Result<String, ResolveError> {
        let name = handle.txt_name().ok_or_else(|| ResolveError::Dns {
            name: handle.to_string(),
            reason: "the name of its record would be too long".into(),
        })?;
        let name = name.to_string();
        let look = async {
            let looked = timeout(self.timeout, self.dns.txt(&name)).await;
            let records = looked.map_err(|_| ResolveError::TimedOut {
                what: format!("the TXT record at {name}"),
                after: self.timeout,
            })??;
            let only = TxtRecord::only(records.iter().map(Vec::as_slice));
            let TxtRecord(did) = only.map_err(|error| ResolveError::Answer {
                from: name.clone(),
                error,
            })?;
            Ok(did.as_str().to_owned())
        };
        log.step(What::Txt, &name, look, String::clone).await
    }

    /// `DISC-5`.
    async fn by_https(&self, handle: &Handle<'_>, log: &mut Log) -> Result<String, ResolveError> {
        let url = handle.https_url().to_string();
        let begun = Instant::now();
        let fetched = self.get(&url, MAX_BODY_LEN, log).await;
        let answer = fetched.and_then(|fetched| match HttpsBody::parse(&fetched.body) {
            Ok(HttpsBody(did)) => Ok(did.as_str().to_owned()),
            Err(error) => Err(ResolveError::Answer {
                from: url.clone(),
                error,
            }),
        });
        log.note(What::Https, &url, begun, answer.clone());
        answer
    }
}

/// The places in a document.
fn endpoints(document: &Document, log: &mut Log) -> Result<Vec<super::Endpoint>, ResolveError> {
    let begun = Instant::now();
    let found = document.endpoints().map(<[_]>::to_vec);
    let told = found.as_ref().map(|found| {
        let texts: Vec<_> = found.iter().map(ToString::to_string).collect();
        texts.join("; ")
    });
    log.note(
        What::Endpoints,
        document.id(),
        begun,
        told.map_err(Clone::clone),
    );
    found
}

/// The DID of a verification method.
fn did_of_method(method: &str) -> Result<&str, ResolveError> {
    let did = method.split_once('#').map(|(did, _)| did);
    did.filter(|did| Did::parse(did).is_ok())
        .ok_or_else(|| ResolveError::Key {
            method: method.into(),
            reason: "it is no DID with a fragment".into(),
        })
}

fn key_of_did_key(method: &str) -> Result<PublicKey, ResolveError> {
    PublicKey::from_did_key_method(method).ok_or_else(|| ResolveError::Key {
        method: method.into(),
        reason: "it is not the one of an Ed25519 did:key".into(),
    })
}

/// Where a DID's document is.
fn place_of(did: &str) -> Result<String, ResolveError> {
    let parsed = Did::parse(did).map_err(|error| ResolveError::Document {
        did: did.into(),
        reason: error.to_string(),
    })?;
    if parsed.method() != "web" {
        return Err(match parsed.method() {
            "key" => ResolveError::Document {
                did: did.into(),
                reason: "it is no did:key of an Ed25519 key".into(),
            },
            _ => ResolveError::Method { did: did.into() },
        });
    }
    let web = DidWeb::of(parsed).map_err(|error| ResolveError::Document {
        did: did.into(),
        reason: error.to_string(),
    })?;
    Ok(web.document_url().to_string())
}

/// Tells who waits for a document, however its fetch ends.
struct Landing<'a> {
    engine: &'a Engine,
    did: &'a str,
    landed: Option<Landed>,
}

impl Drop for Landing<'_> {
    fn drop(&mut self) {
        let landed = self.landed.take().unwrap_or_else(|| Landed {
            outcome: Err(ResolveError::Stopped),
            steps: Arc::default(),
        });
        let waited = self.engine.state().land(self.did);
        for waiting in waited {
            // Who gave up does not hear it.
            let _gone = waiting.send(landed.clone());
        }
    }
}
