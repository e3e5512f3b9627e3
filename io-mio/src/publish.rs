//! The documents that make an identity discoverable: its DID document (`ID-3`), and the answers
//! about its handles (`DISC-5`). As files for a web server that is there already, or served by this
//! program itself.

mod files;

use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;

pub use aire_proto::address::service::Version;
use aire_proto::address::service::{self, ServiceError};
use aire_proto::address::{
    DidWeb, DidWebError, DocumentUrl, Handle, HandleError, HttpsBody, HttpsUrl, TxtRecord,
};
use aire_proto::identity::{Did, PublicKey};
use serde::Serialize;

use crate::http::{Request, Response, Server};
use crate::resolver::{METHOD_TYPE, multibase};
use crate::tls::Certificate;
use crate::{Error, Identity};

/// For how long others may keep what they fetched.
const MAX_AGE: &str = "max-age=300";

/// The versions that an endpoint is said to speak, unless the caller knows better.
pub const ACCEPT: [Version; 2] = [
    Version { major: 0, minor: 4 },
    Version { major: 0, minor: 2 },
];

/// Why something cannot be published.
#[derive(Debug)]
#[non_exhaustive]
pub enum PublishError {
    /// The identity is no `did:web`, so nobody would look for its document.
    Did {
        /// The DID.
        did: String,
        /// What is wrong with it.
        error: DidWebError,
    },
    /// A text is no handle.
    Handle {
        /// The text.
        handle: String,
        /// What is wrong with it.
        error: HandleError,
    },
    /// An endpoint breaks a rule of service entries (`DISC-1`).
    Endpoint {
        /// Its URI.
        uri: String,
        /// The rule.
        error: ServiceError,
    },
    /// A name cannot be the name of a file.
    Name {
        /// The name.
        name: String,
    },
    /// A file could not be written.
    File {
        /// Which.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
}

impl fmt::Display for PublishError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Did { did, error } => write!(
                f,
                "{did} cannot be published: {error}; give the identity a did:web, as in \
                 did:web:example.com"
            ),
            Self::Handle { handle, error } => write!(f, "{handle:?} is no handle: {error}"),
            Self::Endpoint { uri, error } => write!(f, "{uri:?} is no endpoint: {error}"),
            Self::Name { name } => write!(f, "{name:?} cannot be the name of a file"),
            Self::File { path, source } => write!(f, "cannot write {}: {source}", path.display()),
        }
    }
}

impl std::error::Error for PublishError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Did { error, .. } => Some(error),
            Self::Handle { error, .. } => Some(error),
            Self::Endpoint { error, .. } => Some(error),
            Self::File { source, .. } => Some(source),
            Self::Name { .. } => None,
        }
    }
}

/// What is published about one `did:web` identity.
#[derive(Clone, Debug)]
pub struct Publication {
    did: String,
    methods: Vec<(String, PublicKey)>,
    handles: Vec<String>,
    endpoints: Vec<Place>,
}

#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Place {
    uri: String,
    accept: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    agent_id: Option<String>,
}

impl Publication {
    /// The key of `identity`, which must be a `did:web`: see [`Identity::with_did`].
    ///
    /// # Errors
    /// [`PublishError::Did`].
    pub fn of(identity: &Identity) -> Result<Self, PublishError> {
        let did = identity.did();
        DidWeb::parse(did).map_err(|error| PublishError::Did {
            did: did.into(),
            error,
        })?;
        Ok(Self {
            did: did.into(),
            methods: vec![(identity.method().into(), identity.public_key())],
            handles: Vec::new(),
            endpoints: Vec::new(),
        })
    }

    /// Publishes another key too: the next one, before it is used, or the last one, until everybody
    /// has forgotten it. `fragment` is what stands behind the `#` of its verification method.
    #[must_use]
    pub fn key(mut self, fragment: &str, key: PublicKey) -> Self {
        self.methods.push((format!("{}#{fragment}", self.did), key));
        self
    }

    /// A place where the identity can be reached, and which agent is meant there. The first one is
    /// tried first (`DISC-2`). `accept` is [`ACCEPT`] where it is empty.
    ///
    /// # Errors
    /// [`PublishError::Endpoint`].
    pub fn endpoint(
        mut self,
        uri: &str,
        accept: &[Version],
        agent: Option<&str>,
    ) -> Result<Self, PublishError> {
        let bad = |error| PublishError::Endpoint {
            uri: uri.into(),
            error,
        };
        let parsed = service::check_uri(uri).map_err(bad)?;
        if let Some(agent) = agent {
            service::check_agent_id(agent, &parsed).map_err(bad)?;
        }
        let accept = if accept.is_empty() { &ACCEPT } else { accept };
        self.endpoints.push(Place {
            uri: parsed.to_string(),
            accept: accept.iter().map(ToString::to_string).collect(),
            agent_id: agent.map(str::to_owned),
        });
        Ok(self)
    }

    /// A name of the identity (`DISC-7`), `@localpart@domain`. Who looks for it asks the domain, by
    /// [DNS](Self::txt_records) or HTTPS.
    ///
    /// # Errors
    /// [`PublishError::Handle`].
    pub fn handle(mut self, handle: &str) -> Result<Self, PublishError> {
        let parsed = Handle::parse(handle).map_err(|error| PublishError::Handle {
            handle: handle.into(),
            error,
        })?;
        self.handles.push(parsed.to_string());
        Ok(self)
    }

    /// Whose publication it is.
    #[must_use]
    pub fn did(&self) -> &str {
        &self.did
    }

    /// The path of the DID document's URL.
    #[must_use]
    pub fn document_path(&self) -> String {
        let url = DidWeb::parse(&self.did).map(|web| web.document_url().to_string());
        let url = url.unwrap_or_default();
        let path = url
            .strip_prefix("https://")
            .and_then(|rest| rest.find('/').and_then(|at| rest.get(at..)));
        path.unwrap_or(DocumentUrl::WELL_KNOWN).to_owned()
    }

    /// The DID document, `did.json`.
    #[must_use]
    pub fn document(&self) -> String {
        let names = self.parsed_handles();
        let methods = self.methods.iter().map(|(id, key)| Method {
            id,
            r#type: METHOD_TYPE,
            controller: &self.did,
            public_key_multibase: multibase(key),
        });
        let ids: Vec<&str> = self.methods.iter().map(|(id, _)| id.as_str()).collect();
        let services = (!self.endpoints.is_empty()).then(|| Service {
            id: format!("{}#aire-endpoint", self.did),
            r#type: service::TYPE,
            service_endpoint: &self.endpoints,
        });
        let written = Written {
            context: [
                "https://www.w3.org/ns/did/v1",
                "https://w3id.org/security/suites/ed25519-2020/v1",
            ],
            id: &self.did,
            also_known_as: names
                .map(|handle| handle.also_known_as().to_string())
                .collect(),
            verification_method: methods.collect(),
            authentication: &ids,
            assertion_method: &ids,
            service: services.into_iter().collect(),
        };
        // Strings and lists of strings can always be written.
        let mut json = serde_json::to_string_pretty(&written).unwrap_or_default();
        json.push('\n');
        json
    }

    /// The answer about a handle's local part, `/.well-known/aire-did?name=...`. The same whatever
    /// the domain: the document says which handles are claimed.
    #[must_use]
    pub fn answer(&self, localpart: &str) -> Option<String> {
        let known = self
            .parsed_handles()
            .any(|handle| handle.localpart() == localpart);
        let did = Did::parse(&self.did).ok().filter(|_| known)?;
        Some(HttpsBody(did).to_string())
    }

    /// The TXT records that let the handles be found by DNS as well (`DISC-4`): name and content.
    #[must_use]
    pub fn txt_records(&self) -> Vec<(String, String)> {
        let Ok(did) = Did::parse(&self.did) else {
            return Vec::new();
        };
        let names = self.parsed_handles().filter_map(|handle| {
            let name = handle.txt_name()?.to_string();
            Some((name, TxtRecord(did).to_string()))
        });
        names.collect()
    }

    fn parsed_handles(&self) -> impl Iterator<Item = Handle<'_>> + '_ {
        self.handles
            .iter()
            .filter_map(|text| Handle::parse(text).ok())
    }

    /// Answers a request for one of the documents; `None` for all others.
    #[must_use]
    pub fn respond(&self, request: &Request) -> Option<Response> {
        let response = if request.path == self.document_path() {
            Response::new("application/did+ld+json", self.document())
        } else if request.path == HttpsUrl::PATH {
            let name = request.parameter(HttpsUrl::PARAMETER)?;
            Response::text(self.answer(&name)?)
        } else {
            return None;
        };
        // Anybody may read them, scripts of other sites included.
        let response = response.with_header("access-control-allow-origin", "*");
        Some(response.with_header("cache-control", MAX_AGE))
    }

    /// Serves the documents at `listen`. Resolvers only take them over TLS, so without a certificate
    /// something in front has to add it.
    ///
    /// # Errors
    /// As [`Server::start`].
    pub fn serve(
        self,
        listen: SocketAddr,
        certificate: Option<&Certificate>,
    ) -> Result<Server, Error> {
        Server::start(listen, certificate, move |request| {
            self.respond(request).unwrap_or_else(Response::not_found)
        })
    }
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Written<'a> {
    #[serde(rename = "@context")]
    context: [&'a str; 2],
    id: &'a str,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    also_known_as: Vec<String>,
    verification_method: Vec<Method<'a>>,
    authentication: &'a [&'a str],
    assertion_method: &'a [&'a str],
    #[serde(skip_serializing_if = "Vec::is_empty")]
    service: Vec<Service<'a>>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Method<'a> {
    id: &'a str,
    r#type: &'a str,
    controller: &'a str,
    public_key_multibase: String,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Service<'a> {
    id: String,
    r#type: &'a str,
    service_endpoint: &'a [Place],
}
