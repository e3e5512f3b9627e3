//! The configuration of a registry: a TOML file, flags, or nothing at all. What it cannot be is
//! refused with the file, the line and the field; what it does not know is refused too, so that no
//! misspelt limit goes unnoticed.

mod load;
mod values;

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;

use airc_core::registry::Settings;
use serde::Deserialize;

use crate::store::Database;

pub use load::Loaded;
pub use values::{Domain, Network, Origin, Time};

/// What an operator decides. [`Config::default`] is a closed registry on this machine alone.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// The TCP address to listen on.
    pub listen: SocketAddr,
    /// The host that clients reach it at. For a registry that is for this machine alone it is
    /// `localhost:PORT` unless said otherwise; everywhere else it must be said.
    pub domain: Option<Domain>,
    /// Where things are kept: `sqlite:PATH` or `postgres://...`.
    pub database: String,
    /// Whether everybody may register. If not, a new handle needs an invite (AGAP-13).
    pub open: bool,
    /// Whether a registration must be signed by the key that it registers (AGAP-14). If nothing is
    /// said: yes, unless it is for this machine alone.
    pub require_proof: Option<bool>,
    /// Whether what nobody signed is refused, in the `/api` dialect as well.
    pub require_signatures: bool,
    /// Whether the `/api` dialect is served.
    pub legacy: bool,
    /// Whether the `/api` dialect hands a taken handle without a key to whoever registers it again.
    pub danger_legacy_takeover: bool,
    /// Whether HTTP without TLS may be served to others than this machine and trusted proxies.
    pub danger_plain_http: bool,
    /// Whose `X-Forwarded-For` is believed.
    pub trusted_proxies: Vec<Network>,
    /// In whose web pages scripts may use the registry. Everybody may read what is public.
    pub cors_origins: Vec<Origin>,
    /// Who may read `/metrics`.
    pub metrics_from: Vec<Network>,
    /// How it proves its name. Without it, HTTP is plain.
    pub tls: Option<Tls>,
    /// How much of everything.
    pub limits: Limits,
    /// For how long.
    pub times: Times,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from(([127, 0, 0, 1], DEFAULT_PORT)),
            domain: None,
            database: "sqlite:registry.db".into(),
            open: false,
            require_proof: None,
            require_signatures: false,
            legacy: true,
            danger_legacy_takeover: false,
            danger_plain_http: false,
            trusted_proxies: Vec::new(),
            cors_origins: vec![Origin::any()],
            metrics_from: loopback(),
            tls: None,
            limits: Limits::default(),
            times: Times::default(),
        }
    }
}

/// A certificate and its key, in PEM files.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Tls {
    /// The certificate, and those that lead from it to a root.
    pub certificate: PathBuf,
    /// Its private key.
    pub key: PathBuf,
}

/// How much of everything. A rate of 0 is no limit.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Limits {
    /// Requests a minute of one identity (section 5.1).
    pub requests_per_identity: u32,
    /// Requests a minute of one address that nobody signed, and failed signatures (section 5.1).
    /// All of an IPv6 /64 is one address.
    pub requests_per_address: u32,
    /// How many minutes' worth of requests may come at once.
    pub burst: u32,
    /// Connections at a time. Further ones wait.
    pub connections: u32,
    /// Connections at a time from one address, but for loopback addresses and trusted proxies.
    pub connections_per_address: u32,
    /// TLS handshakes at a time.
    pub handshakes: u32,
    /// People who watch the page at a time.
    pub watchers: u32,
    /// Messages that wait for the consent of one recipient, from one sender (AGAP-3).
    pub held_per_pair: u64,
    /// Messages that wait for the consent of one recipient.
    pub held_per_recipient: u64,
    /// The largest payload that an identity may ask for, in bytes (AGAP-10).
    pub payload: u64,
}

impl Default for Limits {
    fn default() -> Self {
        let settings = Settings::default();
        Self {
            requests_per_identity: 60,
            requests_per_address: 10,
            burst: 2,
            connections: 4096,
            connections_per_address: 256,
            handshakes: 64,
            watchers: 256,
            held_per_pair: settings.max_held_per_pair,
            held_per_recipient: settings.max_held_per_recipient,
            payload: settings.max_payload,
        }
    }
}

/// For how long.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Times {
    /// How far a signed timestamp may be from the registry's time.
    pub timestamp_window: Time,
    /// For how long a nonce is remembered (AGAP-7).
    pub nonce_memory: Time,
    /// For how long a message's id is remembered (AGAP-7).
    pub id_memory: Time,
    /// For how long a replaced key is accepted (AGAP-6).
    pub rotation_grace: Time,
    /// For how long a heartbeat is worth anything (section 2.2).
    pub presence_expiry: Time,
    /// For how long a token of the `/api` dialect is good.
    pub session_life: Time,
    /// For how long messages are kept.
    pub retention: Time,
    /// How long a client may take to send a request's head, or to send nothing at all.
    pub header_timeout: Time,
    /// How long it may take to send a request's body.
    pub body_timeout: Time,
    /// How long it may take none of an answer.
    pub write_timeout: Time,
    /// How long a TLS handshake may take.
    pub handshake_timeout: Time,
    /// How long requests have to finish when the registry stops.
    pub drain_timeout: Time,
}

impl Default for Times {
    fn default() -> Self {
        let settings = Settings::default();
        Self {
            timestamp_window: Time::seconds(settings.timestamp_window),
            nonce_memory: Time::seconds(settings.nonce_memory),
            id_memory: Time::seconds(settings.id_memory),
            rotation_grace: Time::seconds(settings.rotation_grace),
            presence_expiry: Time::seconds(settings.presence_expiry),
            session_life: Time::seconds(settings.session_life),
            retention: Time::seconds(settings.retention),
            header_timeout: Time::seconds(20),
            body_timeout: Time::seconds(30),
            write_timeout: Time::seconds(30),
            handshake_timeout: Time::seconds(10),
            drain_timeout: Time::seconds(10),
        }
    }
}

/// Why a configuration makes no sense: the field, and the words.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Nonsense {
    /// The field, with its section: `tls.key`.
    pub field: &'static str,
    /// What is wrong with it, and what to do.
    pub words: String,
}

impl fmt::Display for Nonsense {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.field, self.words)
    }
}

impl Config {
    /// What no field can tell alone.
    ///
    /// # Errors
    /// The first thing that makes no sense, or is not safe.
    pub fn check(&self) -> Result<(), Nonsense> {
        let nonsense = |field, words: &str| {
            let words = words.to_owned();
            Err(Nonsense { field, words })
        };
        if !self.is_private() && self.domain.is_none() {
            return nonsense(
                "domain",
                "it is missing: the host that clients reach the registry at, as in example.org; \
                 it is part of what identities are called",
            );
        }
        if !self.is_local()
            && self.tls.is_none()
            && self.trusted_proxies.is_empty()
            && !self.danger_plain_http
        {
            return nonsense(
                "listen",
                "others than this machine could read and change everything here: give a \
                 certificate (tls), or name the proxy that has one (trusted_proxies), or accept \
                 it (danger_plain_http)",
            );
        }
        if let Err(error) = self.database.parse::<Database>() {
            return nonsense("database", &error.to_string());
        }
        let times = &self.times;
        if times.nonce_memory.0 < times.timestamp_window.0.saturating_mul(2) {
            return nonsense(
                "times.nonce_memory",
                "it must be at least twice timestamp_window, or a request could be replayed",
            );
        }
        if times.retention.0 < times.timestamp_window.0 {
            return nonsense(
                "times.retention",
                "messages would be gone before they are read",
            );
        }
        let waits = [
            ("times.timestamp_window", times.timestamp_window),
            ("times.presence_expiry", times.presence_expiry),
            ("times.session_life", times.session_life),
            ("times.header_timeout", times.header_timeout),
            ("times.body_timeout", times.body_timeout),
            ("times.write_timeout", times.write_timeout),
            ("times.handshake_timeout", times.handshake_timeout),
        ];
        if let Some((field, _)) = waits.iter().find(|(_, time)| time.0.is_zero()) {
            return nonsense(field, "nothing could be done in no time");
        }
        let limits = &self.limits;
        let counts = [
            ("limits.burst", limits.burst),
            ("limits.connections", limits.connections),
            (
                "limits.connections_per_address",
                limits.connections_per_address,
            ),
            ("limits.handshakes", limits.handshakes),
        ];
        if let Some((field, _)) = counts.iter().find(|(_, count)| *count == 0) {
            return nonsense(field, "at least 1 is needed");
        }
        if limits.payload > MAX_PAYLOAD {
            return nonsense(
                "limits.payload",
                "it is at most 1000000 bytes: no request over 1 MiB is read",
            );
        }
        Ok(())
    }

    /// Whether it is for this machine alone: nobody else can connect, and no proxy does for others.
    #[must_use]
    pub fn is_private(&self) -> bool {
        self.is_local() && self.trusted_proxies.is_empty()
    }

    /// Whether nobody but this machine can connect.
    #[must_use]
    pub fn is_local(&self) -> bool {
        self.listen.ip().to_canonical().is_loopback()
    }

    /// Whether `address` is a proxy that is believed.
    #[must_use]
    pub fn trusts(&self, address: IpAddr) -> bool {
        self.trusted_proxies
            .iter()
            .any(|network| network.contains(address))
    }

    /// The domain, given where it listens.
    #[must_use]
    pub fn domain(&self, listening: SocketAddr) -> String {
        match &self.domain {
            Some(domain) => domain.to_string(),
            None => format!("localhost:{}", listening.port()),
        }
    }

    /// Where clients reach it, without a slash at the end.
    #[must_use]
    pub fn base_url(&self, listening: SocketAddr) -> String {
        // A proxy in front is there for TLS.
        let secure =
            self.tls.is_some() || (!self.trusted_proxies.is_empty() && !self.danger_plain_http);
        let scheme = if secure { "https" } else { "http" };
        format!("{scheme}://{}", self.domain(listening))
    }

    /// What decides who may do what, given where it listens.
    #[must_use]
    pub fn settings(&self, listening: SocketAddr) -> Settings {
        let (limits, times) = (&self.limits, &self.times);
        let mut settings = Settings::new(self.domain(listening));
        settings.open = self.open;
        settings.require_proof = self.require_proof.unwrap_or(!self.is_private());
        settings.require_signatures = self.require_signatures;
        settings.legacy = self.legacy;
        settings.danger_legacy_takeover = self.danger_legacy_takeover;
        settings.timestamp_window = times.timestamp_window.as_seconds();
        settings.nonce_memory = times.nonce_memory.as_seconds();
        settings.id_memory = times.id_memory.as_seconds();
        settings.rotation_grace = times.rotation_grace.as_seconds();
        settings.presence_expiry = times.presence_expiry.as_seconds();
        settings.session_life = times.session_life.as_seconds();
        settings.retention = times.retention.as_seconds();
        settings.max_held_per_pair = limits.held_per_pair;
        settings.max_held_per_recipient = limits.held_per_recipient;
        settings.max_payload = limits.payload;
        settings
    }
}

/// Where it listens if nothing is said.
pub const DEFAULT_PORT: u16 = 4480;

/// The largest request body that is read: 1 MiB (AGAP-10).
pub const MAX_BODY: usize = airc_core::limits::MAX_REQUEST;

/// The largest payload that fits into one, with an envelope around it.
const MAX_PAYLOAD: u64 = 1_000_000;

fn loopback() -> Vec<Network> {
    let addresses = [
        IpAddr::from([127, 0, 0, 1]),
        IpAddr::from([0, 0, 0, 0, 0, 0, 0, 1]),
    ];
    addresses.map(|address| Network(address.into())).to_vec()
}
