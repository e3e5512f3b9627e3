//! How a node is, over HTTP in the clear: `/metrics` for Prometheus, `/healthz` and `/readyz` for
//! whoever starts and stops it, and `/status` in JSON for `aire top`.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Instant, SystemTime};

use aire_mio::http::{Request, Response, Server};
use aire_mio::{ConnectionInfo, Metrics, Node, OperationInfo};
use jiff::Timestamp;
use serde::Serialize;
use serde_json::{Map, Value};

/// The nodes of this process, one for each address, and how they are.
#[derive(Debug)]
pub(super) struct Nodes {
    pub(super) list: Vec<Node>,
    started: Instant,
    draining: AtomicBool,
}

impl Nodes {
    pub(super) fn new(list: Vec<Node>) -> Self {
        Self {
            list,
            started: Instant::now(),
            draining: AtomicBool::new(false),
        }
    }

    /// Takes no further connections, and lets what runs finish.
    pub(super) fn drain(&self) {
        self.draining.store(true, Ordering::Relaxed);
        self.list.iter().for_each(Node::drain);
    }

    /// Whether everybody has gone.
    pub(super) fn is_drained(&self) -> bool {
        self.metrics().connections_open == 0
    }

    fn metrics(&self) -> Metrics {
        self.list.iter().map(Node::metrics).sum()
    }

    fn is_draining(&self) -> bool {
        self.draining.load(Ordering::Relaxed)
    }

    fn status(&self) -> Status<'_> {
        let address = |node: &Node| node.address().to_string();
        Status {
            version: env!("CARGO_PKG_VERSION"),
            did: self.list.first().map_or("", Node::did),
            address: self.list.first().map(address).unwrap_or_default(),
            addresses: self.list.iter().map(address).collect(),
            state: if self.is_draining() {
                "draining"
            } else {
                "serving"
            },
            uptime_s: self.started.elapsed().as_secs(),
            metrics: flat(&self.metrics()),
            connections: self.list.iter().flat_map(connections).collect(),
        }
    }

    fn answer(&self, request: &Request) -> Response {
        let fresh = |response: Response| response.with_header("cache-control", "no-store");
        match request.path.as_str() {
            "/metrics" => fresh(Response::new(
                "text/plain; version=0.0.4; charset=utf-8",
                self.metrics().prometheus(),
            )),
            "/healthz" => fresh(Response::text("ok\n")),
            "/readyz" if self.is_draining() => fresh(Response::text("draining\n").with_status(503)),
            "/readyz" => fresh(Response::text("ready\n")),
            "/status" => match serde_json::to_vec(&self.status()) {
                Ok(body) => fresh(Response::json(body)),
                Err(error) => Response::text(error.to_string()).with_status(500),
            },
            _ => Response::not_found(),
        }
    }
}

/// Tells at `listen` how `nodes` are, until it is dropped.
pub(super) fn tell(listen: SocketAddr, nodes: &Arc<Nodes>) -> Result<Server, aire_mio::Error> {
    let nodes = nodes.clone();
    Server::start(listen, None, move |request| nodes.answer(request))
}

#[derive(Serialize)]
struct Status<'a> {
    version: &'static str,
    did: &'a str,
    /// The first of them.
    address: String,
    addresses: Vec<String>,
    state: &'static str,
    uptime_s: u64,
    metrics: Map<String, Value>,
    connections: Vec<Connection>,
}

/// The metrics by their names, as Prometheus writes them: `name` or `name{label="value"}`.
fn flat(metrics: &Metrics) -> Map<String, Value> {
    let named = metrics.samples().into_iter().map(|sample| {
        let labels = sample.labels.iter();
        let labels: Vec<_> = labels
            .map(|(name, value)| format!("{name}=\"{value}\""))
            .collect();
        let name = match labels.is_empty() {
            true => sample.name.to_owned(),
            false => format!("{}{{{}}}", sample.name, labels.join(",")),
        };
        (name, Value::from(sample.value))
    });
    named.collect()
}

#[derive(Serialize)]
struct Connection {
    /// The address of this node that it came to.
    node: SocketAddr,
    /// Which one of that address.
    id: u64,
    peer: String,
    address: SocketAddr,
    dialled: bool,
    since: String,
    rtt_us: u64,
    bytes_received: u64,
    bytes_sent: u64,
    packets_lost: u64,
    live_operations: usize,
    operations: Vec<Operation>,
}

#[derive(Serialize)]
struct Operation {
    stream: u64,
    agent: String,
    operation: String,
    served: bool,
    since: String,
    received: u64,
    sent: u64,
    budget: Budget,
    spent: Spent,
}

#[derive(Serialize)]
struct Budget {
    tokens: Option<u64>,
    cost_microunits: Option<u64>,
    currency: Option<String>,
    /// In milliseconds since 1970.
    deadline_ms: Option<i64>,
}

#[derive(Serialize)]
struct Spent {
    tokens: u64,
    cost_microunits: u64,
    currency: Option<String>,
}

fn connections(node: &Node) -> impl Iterator<Item = Connection> {
    let address = node.address();
    let listed = node.connections().into_iter();
    listed.map(move |info| connection(address, info))
}

fn connection(node: SocketAddr, info: ConnectionInfo) -> Connection {
    Connection {
        node,
        id: info.id,
        peer: info.peer,
        address: info.address,
        dialled: info.dialled,
        since: written(info.since),
        rtt_us: u64::try_from(info.rtt.as_micros()).unwrap_or(u64::MAX),
        bytes_received: info.bytes_received,
        bytes_sent: info.bytes_sent,
        packets_lost: info.packets_lost,
        live_operations: info.live_operations,
        operations: info.operations.into_iter().map(operation).collect(),
    }
}

fn operation(info: OperationInfo) -> Operation {
    let name = |currency: aire_proto::wire::Currency| currency.to_string();
    Operation {
        stream: info.stream.get(),
        agent: info.agent,
        operation: info.operation,
        served: info.served,
        since: written(info.since),
        received: info.received,
        sent: info.sent,
        budget: Budget {
            tokens: info.budget.tokens,
            cost_microunits: info.budget.cost_microunits,
            currency: info.budget.currency.map(name),
            deadline_ms: info.budget.deadline.map(|deadline| deadline.0),
        },
        spent: Spent {
            tokens: info.spent.tokens,
            cost_microunits: info.spent.cost_microunits,
            currency: info.spent.currency.map(name),
        },
    }
}

/// As RFC 3339 writes it, in UTC.
fn written(time: SystemTime) -> String {
    Timestamp::try_from(time).map_or_else(|_| String::new(), |time| format!("{time:.3}"))
}
