//! The sections of the configuration, but for the agents.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::num::{NonZeroU32, NonZeroU64, NonZeroUsize};
use std::path::PathBuf;

use aire_mio::{AccessList, Settings};
use serde::Deserialize;
use toml::Spanned;

use super::values::{DidText, Money, Time};

/// How a node proves its address.
#[derive(Debug, Deserialize)]
#[serde(try_from = "RawTls")]
pub(crate) enum Tls {
    /// With a certificate from a CA.
    Files {
        /// The chain in PEM, the node's own certificate first.
        certificate: Spanned<PathBuf>,
        /// Its private key in PEM.
        key: Spanned<PathBuf>,
    },
    /// With one that it makes when it starts, for these names and `localhost`. Clients pin it.
    SelfSigned(Vec<String>),
}

impl Default for Tls {
    fn default() -> Self {
        Self::SelfSigned(Vec::new())
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawTls {
    certificate: Option<Spanned<PathBuf>>,
    key: Option<Spanned<PathBuf>>,
    self_signed: Option<Vec<String>>,
}

impl TryFrom<RawTls> for Tls {
    type Error = &'static str;

    fn try_from(raw: RawTls) -> Result<Self, &'static str> {
        match (raw.certificate, raw.key, raw.self_signed) {
            (Some(certificate), Some(key), None) => Ok(Self::Files { certificate, key }),
            (None, None, names) => Ok(Self::SelfSigned(names.unwrap_or_default())),
            (_, _, Some(_)) => Err("either `certificate` and `key`, or `self_signed`"),
            (_, _, None) => Err("`certificate` and `key` go together"),
        }
    }
}

/// How much of everything. What is missing is as the library has it.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Limits {
    /// The most connections at a time.
    pub(crate) connections: Option<NonZeroUsize>,
    /// The most operations at a time on one connection.
    pub(crate) operations_per_connection: Option<NonZeroU64>,
    /// The most operations that run at a time.
    pub(crate) operations: Option<NonZeroUsize>,
    /// Through how many delegators an operation may come.
    pub(crate) delegators: Option<usize>,
    /// The largest frame taken, in bytes.
    pub(crate) payload: Option<NonZeroU64>,
    /// How many bytes a peer may send ahead on one operation.
    pub(crate) stream_window: Option<NonZeroU64>,
    /// How many bytes a peer may send ahead on one connection.
    pub(crate) connection_window: Option<NonZeroU64>,
    /// How many bytes of one operation may wait to be sent.
    pub(crate) send_queue: Option<NonZeroUsize>,
    /// After how long without a packet a connection is lost.
    pub(crate) idle_timeout: Option<Time>,
    /// How long to wait for a HELLO.
    pub(crate) handshake_timeout: Option<Time>,
    /// How long a CANCEL may wait for its answer.
    pub(crate) cancel_timeout: Option<Time>,
    /// How long operations may go on when the node stops.
    pub(crate) drain_timeout: Option<Time>,
    /// How far a peer's clock may be off.
    pub(crate) timestamp_window: Option<Time>,
    /// Whether clients must prove their address before anything is done for them.
    pub(crate) retry: Option<bool>,
    /// How many connections may begin from one address in a second, and how many at once, before
    /// their peers have said who they are.
    pub(crate) inbound_per_second: Option<NonZeroU32>,
    pub(crate) inbound_burst: Option<NonZeroU32>,
    /// The most nonces that are remembered, of all peers together.
    pub(crate) replay_capacity: Option<NonZeroUsize>,
    /// The most nonces that are remembered of one peer.
    pub(crate) replay_capacity_per_peer: Option<NonZeroUsize>,
    /// Where to write a qlog file for each connection.
    pub(crate) qlog_dir: Option<PathBuf>,
}

impl Limits {
    /// What they say, over what the library has.
    #[must_use]
    pub(crate) fn settings(&self) -> Settings {
        let mut settings = Settings::default();
        let set = |place: &mut usize, value: Option<NonZeroUsize>| {
            *place = value.map_or(*place, NonZeroUsize::get);
        };
        set(&mut settings.max_connections, self.connections);
        set(&mut settings.send_queue, self.send_queue);
        set(&mut settings.replay_capacity, self.replay_capacity);
        set(
            &mut settings.replay_capacity_per_peer,
            self.replay_capacity_per_peer,
        );
        let set = |place: &mut u64, value: Option<NonZeroU64>| {
            *place = value.map_or(*place, NonZeroU64::get);
        };
        set(&mut settings.max_streams, self.operations_per_connection);
        set(&mut settings.stream_window, self.stream_window);
        set(&mut settings.connection_window, self.connection_window);
        let protocol = &mut settings.protocol;
        set(&mut protocol.max_payload, self.payload);
        for (place, value) in [
            (&mut settings.idle_timeout, self.idle_timeout),
            (&mut protocol.handshake_timeout, self.handshake_timeout),
            (&mut protocol.cancel_timeout, self.cancel_timeout),
            (&mut protocol.drain_timeout, self.drain_timeout),
            (&mut protocol.timestamp_window, self.timestamp_window),
        ] {
            *place = value.map_or(*place, |time| time.0);
        }
        let rate = &mut settings.inbound_rate;
        rate.per_second = self
            .inbound_per_second
            .map_or(rate.per_second, NonZeroU32::get);
        rate.burst = self.inbound_burst.map_or(rate.burst, NonZeroU32::get);
        settings.retry = self.retry.unwrap_or(settings.retry);
        settings
    }
}

/// What some operations may spend in all, whatever their peers claim (`BUD-10`).
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct CapRule {
    /// Those of this peer; of all peers when missing.
    pub(crate) peer: Option<DidText>,
    /// Those of this agent; of all agents when missing.
    pub(crate) agent: Option<Spanned<String>>,
    /// Tokens.
    pub(crate) tokens: Option<u64>,
    /// Money.
    pub(crate) cost: Option<Spanned<Money>>,
    /// Time.
    pub(crate) time: Option<Time>,
}

/// Who may come (`TR-5`).
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Admission {
    /// These alone; everybody when missing.
    pub(crate) allow: Option<BTreeSet<DidText>>,
    /// Not these, whatever `allow` says.
    pub(crate) deny: BTreeSet<DidText>,
}

impl Admission {
    /// As the library takes it; `None` when everybody may come.
    pub(crate) fn list(&self) -> Option<AccessList> {
        let mut list = AccessList::default();
        if self.allow.is_some() {
            list.allow_none();
        }
        // What they hold are DIDs, so none is refused.
        for did in self.allow.iter().flatten() {
            let _is_one = list.allow(&did.0);
        }
        for did in &self.deny {
            let _is_one = list.deny(&did.0);
        }
        (self.allow.is_some() || !self.deny.is_empty()).then_some(list)
    }
}

/// Where resumable operations are kept.
#[derive(Debug, Deserialize)]
#[serde(try_from = "RawResume")]
pub(crate) struct Resume {
    /// The place.
    pub(crate) store: Store,
    /// Whether anybody may resume an operation who has its token.
    pub(crate) by_anyone: bool,
}

/// A place for resumable operations.
#[derive(Debug)]
pub(crate) enum Store {
    /// This process: they survive a lost connection.
    Memory {
        /// How many.
        max_operations: usize,
    },
    /// A file: they survive a crash of the node.
    File {
        /// Which.
        path: Spanned<PathBuf>,
        /// How many.
        max_operations: usize,
    },
    /// A Redis or Valkey server, which several nodes share.
    Redis {
        /// Where: redis://host:port.
        url: Spanned<String>,
        /// What its keys begin with.
        prefix: Option<String>,
    },
}

impl Default for Resume {
    fn default() -> Self {
        Self {
            store: Store::Memory {
                max_operations: MAX_KEPT,
            },
            by_anyone: false,
        }
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawResume {
    #[serde(default)]
    store: StoreKind,
    path: Option<Spanned<PathBuf>>,
    url: Option<Spanned<String>>,
    prefix: Option<String>,
    max_operations: Option<NonZeroUsize>,
    #[serde(default)]
    by_anyone: bool,
}

#[derive(Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum StoreKind {
    #[default]
    Memory,
    File,
    Redis,
}

impl TryFrom<RawResume> for Resume {
    type Error = &'static str;

    fn try_from(raw: RawResume) -> Result<Self, &'static str> {
        let kind = raw.store;
        if raw.path.is_some() && kind != StoreKind::File {
            return Err("`path` is for `store = \"file\"`");
        }
        if (raw.url.is_some() || raw.prefix.is_some()) && kind != StoreKind::Redis {
            return Err("`url` and `prefix` are for `store = \"redis\"`");
        }
        if raw.max_operations.is_some() && kind == StoreKind::Redis {
            return Err(
                "`max_operations` is not for `store = \"redis\"`: the server has its limits",
            );
        }
        let max_operations = raw.max_operations.map_or(MAX_KEPT, NonZeroUsize::get);
        let store = match kind {
            StoreKind::Memory => Store::Memory { max_operations },
            StoreKind::File => Store::File {
                path: raw.path.ok_or("`store = \"file\"` needs a `path`")?,
                max_operations,
            },
            StoreKind::Redis => Store::Redis {
                url: raw.url.ok_or("`store = \"redis\"` needs a `url`")?,
                prefix: raw.prefix,
            },
        };
        let by_anyone = raw.by_anyone;
        Ok(Self { store, by_anyone })
    }
}

/// Where a node tells how it is: metrics, health and status, in cleartext.
#[derive(Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Http {
    /// Whether it does.
    pub(crate) enabled: bool,
    /// The TCP address. Who reaches it can read who is connected and what they do.
    pub(crate) listen: Spanned<SocketAddr>,
}

impl Default for Http {
    fn default() -> Self {
        Self {
            enabled: true,
            listen: Spanned::new(0..0, SocketAddr::from(([127, 0, 0, 1], 9433))),
        }
    }
}

/// How many resumable operations are kept when nothing is said.
const MAX_KEPT: usize = 1024;
