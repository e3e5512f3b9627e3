//! From a configuration to nodes that listen.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use aire_mio::http::Server;
use aire_mio::publish::Publication;
use aire_mio::store::{DurableStore, MemoryStore, RedisStore, ResumeStore};
use aire_mio::{
    AccessList, Agent as _, Certificate, Identity, Node, NodeBuilder, Operation, Resolver,
    ResolverSettings, Resumable, Settings,
};
use aire_proto::budget::Cap;

use super::config::{Builtin, CapRule, Discovery, Kind, Loaded, Publish, Store, Tls};
use super::exec::{Program, Running};
use crate::common::discovery::remembering;
use crate::common::identity::IdentityArgs;
use crate::{Error, Output};

/// What a node is built from, checked as far as it can be without a socket.
#[derive(Debug)]
pub(super) struct Plan {
    pub(super) identity: Identity,
    pub(super) certificate: Certificate,
    settings: Settings,
    agents: Vec<(String, Service, Option<Resumable>)>,
    caps: Arc<[CapRule]>,
    admission: Option<AccessList>,
    resolver: Option<Resolver>,
    publication: Option<Publication>,
    max_workers: Option<usize>,
    max_delegators: Option<usize>,
    by_anyone: bool,
}

/// What serves an agent's operations.
#[derive(Clone, Debug)]
enum Service {
    Builtin(Builtin),
    Program(Arc<Program>),
}

impl Plan {
    /// Reads what the configuration names.
    ///
    /// # Errors
    /// [`Error::Config`], with the field that names what is missing or wrong.
    pub(super) fn new(
        loaded: &mut Loaded,
        running: &Arc<Running>,
        out: &Output,
    ) -> Result<Self, Error> {
        let agents = agents(loaded, running)?;
        let certificate = certificate(loaded)?;
        let identity = identity(loaded, out)?;
        let resolver = match &loaded.config.discovery {
            Some(discovery) if discovery.resolve => Some(resolver(loaded, discovery)?),
            _ => None,
        };
        let publication = match &loaded.config.discovery {
            Some(Discovery {
                publish: Some(publish),
                ..
            }) => Some(publication(loaded, publish, &identity)?),
            _ => None,
        };
        let limits = &loaded.config.limits;
        let mut settings = limits.settings();
        settings.qlog_dir = limits.qlog_dir.as_deref().map(|dir| loaded.path(dir));
        Ok(Self {
            identity,
            certificate,
            settings,
            agents,
            resolver,
            publication,
            max_workers: limits.operations.map(Into::into),
            max_delegators: limits.delegators,
            caps: std::mem::take(&mut loaded.config.caps).into(),
            admission: loaded.config.admission.list(),
            by_anyone: loaded.config.resume.by_anyone,
        })
    }

    /// The names of its agents.
    pub(super) fn agents(&self) -> Vec<&str> {
        let names = self.agents.iter().map(|(name, ..)| name.as_str());
        names.collect()
    }

    /// How long programs may run. As caps they hold while a caller takes nothing, too.
    fn timeouts(&self) -> HashMap<String, Duration> {
        let timeouts = self
            .agents
            .iter()
            .filter_map(|(name, service, _)| match service {
                Service::Program(program) => Some((name.clone(), program.timeout()?)),
                Service::Builtin(_) => None,
            });
        timeouts.collect()
    }

    /// The longest that a program may take to end.
    pub(super) fn longest_grace(&self) -> Duration {
        let graces = self
            .agents
            .iter()
            .filter_map(|(_, service, _)| match service {
                Service::Program(program) => Some(program.grace()),
                Service::Builtin(_) => None,
            });
        graces.max().unwrap_or_default()
    }

    /// Whether operations can be resumed.
    fn keeps(&self) -> bool {
        self.agents.iter().any(|(_, _, how)| how.is_some())
    }

    /// Starts a node at `listen`.
    pub(super) fn listen(
        &self,
        listen: SocketAddr,
        store: Option<&Arc<dyn ResumeStore>>,
    ) -> Result<Node, aire_mio::Error> {
        let mut builder = Node::builder(self.identity.clone(), self.certificate.clone())
            .settings(self.settings.clone());
        if let Some(most) = self.max_workers {
            builder = builder.max_workers(most);
        }
        if let Some(most) = self.max_delegators {
            builder = builder.max_delegators(most);
        }
        let (rules, timeouts) = (self.caps.clone(), self.timeouts());
        if !rules.is_empty() || !timeouts.is_empty() {
            builder = builder.cap(move |peer, agent| {
                let mut cap = cap(&rules, peer, agent);
                cap.time = strictest(cap.time, timeouts.get(agent).copied());
                cap
            });
        }
        if let Some(list) = self.admission.clone() {
            builder = builder.admit(move |peer| list.admits(peer));
        }
        if let Some(store) = store {
            builder = builder.shared_resume_store(store.clone());
        }
        if self.by_anyone {
            builder = builder.resume_by_anyone();
        }
        if let Some(resolver) = &self.resolver {
            builder = builder.resolver(resolver.clone());
        }
        for (name, service, resumable) in &self.agents {
            builder = register(builder, name, service.clone(), *resumable)?;
        }
        builder.listen(listen)
    }

    /// Serves the node's own documents, where the configuration says so.
    pub(super) fn publish(&self, loaded: &Loaded) -> Result<Option<Server>, Error> {
        let discovery = loaded.config.discovery.as_ref();
        let publish = discovery.and_then(|discovery| discovery.publish.as_ref());
        let (Some(publish), Some(publication)) = (publish, &self.publication) else {
            return Ok(None);
        };
        let listen = &publish.listen;
        let served = publication
            .clone()
            .serve(*listen.get_ref(), Some(&self.certificate));
        let field = "discovery.publish.listen";
        served
            .map(Some)
            .map_err(|error| loaded.refuse(listen, field, error))
    }

    /// The place of resumable operations, where there are any.
    pub(super) fn store(&self, loaded: &Loaded) -> Result<Option<Arc<dyn ResumeStore>>, Error> {
        // A store that others share is worth having without an agent of one's own (RES-11).
        let shared = matches!(loaded.config.resume.store, Store::Redis { .. });
        if !self.keeps() && !shared {
            return Ok(None);
        }
        let store: Arc<dyn ResumeStore> = match &loaded.config.resume.store {
            Store::Memory { max_operations } => Arc::new(MemoryStore::new(*max_operations)),
            Store::File {
                path,
                max_operations,
            } => {
                let opened = DurableStore::open(loaded.path(path.get_ref()), *max_operations);
                Arc::new(opened.map_err(|error| loaded.refuse(path, "resume.path", error))?)
            }
            Store::Redis { url, prefix } => {
                let store = RedisStore::connect(url.get_ref())
                    .map_err(|error| loaded.refuse(url, "resume.url", error))?;
                match prefix {
                    Some(prefix) => Arc::new(store.with_prefix(prefix)),
                    None => Arc::new(store),
                }
            }
        };
        Ok(Some(store))
    }
}

fn register(
    builder: NodeBuilder,
    name: &str,
    service: Service,
    resumable: Option<Resumable>,
) -> Result<NodeBuilder, aire_mio::Error> {
    let handle = move |operation: &mut Operation| match &service {
        Service::Builtin(builtin) => builtin.handle(operation),
        Service::Program(program) => program.handle(operation),
    };
    match resumable {
        Some(how) => builder.resumable_agent(name, handle, how),
        None => builder.agent(name, handle),
    }
}

fn identity(loaded: &Loaded, out: &Output) -> Result<Identity, Error> {
    let identity = match &loaded.config.key {
        Some(key) => Identity::from_pem_file(loaded.path(key.get_ref()))
            .map_err(|error| loaded.refuse(key, "key", error))?,
        None => IdentityArgs::default().load_or_generate(out)?,
    };
    match &loaded.config.discovery {
        Some(Discovery {
            did: Some(did),
            key_id,
            ..
        }) => identity
            .with_did(&did.get_ref().0, key_id)
            .map_err(|error| loaded.refuse(did, "discovery.did", error)),
        _ => Ok(identity),
    }
}

fn resolver(loaded: &Loaded, discovery: &Discovery) -> Result<Resolver, Error> {
    let usual = ResolverSettings::default();
    let path = |file: &PathBuf| loaded.path(file);
    let settings = ResolverSettings {
        timeout: discovery.timeout.map_or(usual.timeout, |time| time.0),
        dns: discovery.dns,
        extra_roots: discovery.https_ca.as_ref().map(path),
        https_port: discovery.https_port.unwrap_or(usual.https_port),
        pins: remembering(discovery.known_keys.as_ref().map(path).as_deref()),
        danger_allow_private: discovery.danger_allow_private,
        ..usual
    };
    Resolver::new(settings).map_err(|error| loaded.refuse_section("discovery", error))
}

fn publication(
    loaded: &Loaded,
    publish: &Publish,
    identity: &Identity,
) -> Result<Publication, Error> {
    let field = "discovery.publish";
    let mut publication =
        Publication::of(identity).map_err(|error| loaded.refuse_section("discovery.did", error))?;
    for uri in publish.endpoints.get_ref() {
        publication = publication
            .endpoint(uri, &[], publish.agent.as_deref())
            .map_err(|error| {
                loaded.refuse(&publish.endpoints, &format!("{field}.endpoints"), error)
            })?;
    }
    for handle in publish.handles.get_ref() {
        publication = publication
            .handle(handle)
            .map_err(|error| loaded.refuse(&publish.handles, &format!("{field}.handles"), error))?;
    }
    Ok(publication)
}

fn certificate(loaded: &Loaded) -> Result<Certificate, Error> {
    match &loaded.config.tls {
        Tls::Files { certificate, key } => {
            let paths = (
                loaded.path(certificate.get_ref()),
                loaded.path(key.get_ref()),
            );
            Certificate::from_pem_files(&paths.0, &paths.1).map_err(|error| match &error {
                aire_mio::Error::File { path, .. } | aire_mio::Error::FileContent { path, .. }
                    if *path == paths.1 =>
                {
                    loaded.refuse(key, "tls.key", error)
                }
                _ => loaded.refuse(certificate, "tls.certificate", error),
            })
        }
        Tls::SelfSigned(names) => {
            let names: Vec<_> = names.iter().map(String::as_str).collect();
            Ok(Certificate::self_signed(&names)?)
        }
    }
}

fn agents(
    loaded: &mut Loaded,
    running: &Arc<Running>,
) -> Result<Vec<(String, Service, Option<Resumable>)>, Error> {
    let mut agents = Vec::new();
    for (name, agent) in std::mem::take(&mut loaded.config.agents) {
        let agent = agent.into_inner();
        let service = match agent.kind {
            Kind::Builtin(builtin) => Service::Builtin(builtin),
            Kind::Exec(exec) => {
                let directory = match &exec.directory {
                    Some(directory) => loaded.path(directory.get_ref()),
                    None => loaded.path("".as_ref()),
                };
                if let Some(given) = exec.directory.as_ref().filter(|_| !directory.is_dir()) {
                    let field = format!("agents.{name}.directory");
                    let words = format!("{} is no directory", directory.display());
                    return Err(loaded.refuse(given, &field, words));
                }
                let command = exec.command.clone();
                let program = Program::new(&name, *exec, directory, running.clone());
                Service::Program(Arc::new(program.map_err(|words| {
                    loaded.refuse(&command, &format!("agents.{name}.exec"), words)
                })?))
            }
        };
        let resumable = agent.resumable.map(Resumable::for_ttl);
        agents.push((name, service, resumable));
    }
    Ok(agents)
}

/// What an operation may spend: of all rules that are about it, the strictest.
fn cap(rules: &[CapRule], peer: &str, agent: &str) -> Cap {
    let mut cap = Cap::default();
    let is_about = |rule: &&CapRule| {
        let is_peer = rule.peer.as_ref().is_none_or(|did| did.0 == peer);
        is_peer
            && rule
                .agent
                .as_ref()
                .is_none_or(|name| name.get_ref() == agent)
    };
    for rule in rules.iter().filter(is_about) {
        cap.tokens = strictest(cap.tokens, rule.tokens);
        cap.time = strictest(cap.time, rule.time.map(|time| time.0));
        if let Some(cost) = rule.cost.as_ref().map(toml::Spanned::get_ref) {
            cap.cost_microunits = strictest(cap.cost_microunits, Some(cost.microunits));
            cap.currency = Some(cost.currency);
        }
    }
    cap
}

fn strictest<T: Ord>(one: Option<T>, other: Option<T>) -> Option<T> {
    [one, other].into_iter().flatten().min()
}
