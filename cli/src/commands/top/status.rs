//! A node's status, as `/status` of `aire serve` tells it.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::Deserialize;
use serde_json::Value;
use ureq::Agent;

use crate::Error;

/// What a node is asked for its status with.
pub(super) struct Source {
    agent: Agent,
    url: String,
}

/// A node's status. What is missing counts as nothing, so that older and newer nodes can be
/// watched.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Status {
    pub(super) version: String,
    pub(super) did: String,
    pub(super) address: String,
    pub(super) addresses: Vec<String>,
    pub(super) state: String,
    pub(super) uptime_s: u64,
    pub(super) metrics: BTreeMap<String, f64>,
    pub(super) connections: Vec<Connection>,
}

/// A connection of it.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Connection {
    pub(super) node: String,
    pub(super) id: u64,
    pub(super) peer: String,
    pub(super) address: String,
    pub(super) dialled: bool,
    pub(super) since: String,
    pub(super) rtt_us: u64,
    pub(super) bytes_received: u64,
    pub(super) bytes_sent: u64,
    pub(super) packets_lost: u64,
    pub(super) live_operations: u64,
    pub(super) operations: Vec<Operation>,
}

/// An operation on it.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Operation {
    pub(super) stream: u64,
    pub(super) agent: String,
    pub(super) operation: String,
    pub(super) served: bool,
    pub(super) since: String,
    pub(super) received: u64,
    pub(super) sent: u64,
    pub(super) budget: Budget,
    pub(super) spent: Spent,
}

/// What it may still spend.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Budget {
    pub(super) tokens: Option<u64>,
    pub(super) cost_microunits: Option<u64>,
    pub(super) currency: Option<String>,
    /// Milliseconds since 1970.
    pub(super) deadline_ms: Option<i64>,
}

/// What it has spent.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Spent {
    pub(super) tokens: u64,
    pub(super) cost_microunits: u64,
    pub(super) currency: Option<String>,
}

impl Source {
    /// Of the node at `url`, with or without `/status` at its end.
    pub(super) fn new(url: &str) -> Result<Self, Error> {
        let Some(place) = url.strip_prefix("http://") else {
            return Err(Error::Usage(format!(
                "{url:?} is no http:// URL: a node tells its status in the clear, on an address \
                 of its own machine"
            )));
        };
        let place = place.trim_end_matches('/').trim_end_matches("/status");
        let config = Agent::config_builder()
            .timeout_global(Some(PATIENCE))
            .http_status_as_error(false)
            .max_redirects(0)
            .max_redirects_will_error(false)
            // What is on this machine is not to be asked for elsewhere.
            .proxy(None)
            .build();
        Ok(Self {
            agent: config.new_agent(),
            url: format!("http://{place}/status"),
        })
    }

    /// What the node says: as it is, and as it is understood.
    pub(super) fn look(&self) -> Result<(Value, Status), Error> {
        let Self { agent, url } = self;
        let unreachable = |error: ureq::Error| match error {
            ureq::Error::BadUri(_) | ureq::Error::Http(_) => {
                Error::Usage(format!("{url:?} is no URL: {error}"))
            }
            error => Error::Unreachable(format!("no status at {url}: {error}")),
        };
        let response = agent.get(url).call().map_err(unreachable)?;
        let status = response.status();
        if status != 200 {
            return Err(Error::Failed(format!(
                "{url} answers {status}: is that the [http] address of a node?"
            )));
        }
        let body = response.into_body().into_with_config().limit(LARGEST);
        let body = body.read_to_vec().map_err(unreachable)?;
        let other = |error| Error::Failed(format!("{url} tells no status of a node: {error}"));
        let raw: Value = serde_json::from_slice(&body).map_err(other)?;
        let status = Status::deserialize(&raw).map_err(other)?;
        match raw.get("connections") {
            Some(_) => Ok((raw, status)),
            None => Err(Error::Failed(format!(
                "{url} tells no status of a node: it lists no connections"
            ))),
        }
    }
}

/// How long a look may take.
const PATIENCE: Duration = Duration::from_secs(5);

/// The most bytes of a status: far more than its most connections and operations take.
const LARGEST: u64 = 16 * 1024 * 1024;
