//! What a node does now: its connections, and the operations on them.

use std::net::SocketAddr;
use std::time::{Duration, SystemTime};

use aire_proto::StreamId;
use aire_proto::budget::Charge;
use aire_proto::wire::Budget;

use crate::driver::ConnectionKey;
use crate::operation::About;

/// A connection, as it was when it was asked about.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct ConnectionInfo {
    /// Which one: no other connection of the node ever has its number.
    pub id: u64,
    /// The peer's DID; empty until its HELLO is judged.
    pub peer: String,
    /// Where the peer is.
    pub address: SocketAddr,
    /// Whether this side began it.
    pub dialled: bool,
    /// Since when there is one.
    pub since: SystemTime,
    /// How long a packet and its acknowledgement take, as QUIC estimates it.
    pub rtt: Duration,
    /// Bytes in UDP datagrams that came.
    pub bytes_received: u64,
    /// Bytes in UDP datagrams that were sent.
    pub bytes_sent: u64,
    /// Packets that QUIC gave up for lost.
    pub packets_lost: u64,
    /// How many operations are on it, those among them that are not listed.
    pub live_operations: usize,
    /// The operations on it, by their streams.
    pub operations: Vec<OperationInfo>,
}

/// An operation, as it was when it was asked about.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct OperationInfo {
    /// Its stream: no other operation of the connection has its number.
    pub stream: StreamId,
    /// The agent that serves it; empty for one that was resumed, which its token names.
    pub agent: String,
    /// What is asked of the agent.
    pub operation: String,
    /// Whether this side serves it. The peer does otherwise.
    pub served: bool,
    /// Since when it is here.
    pub since: SystemTime,
    /// Bytes of STREAM payload that came.
    pub received: u64,
    /// Bytes of STREAM payload that were sent.
    pub sent: u64,
    /// What it may still spend, and until when. What is missing is not limited.
    pub budget: Budget,
    /// What it has spent.
    pub spent: Charge,
}

/// The most connections that are listed: the oldest ones.
pub(crate) const MAX_CONNECTIONS: usize = 1024;

/// The most operations that are listed, of all connections together.
pub(crate) const MAX_OPERATIONS: usize = 4096;

/// What the event loop adds to what the driver knows of an operation.
#[derive(Clone, Debug)]
pub(crate) struct Subject {
    pub(crate) agent: String,
    pub(crate) operation: String,
    pub(crate) served: bool,
    pub(crate) since: SystemTime,
}

impl Subject {
    /// Of an operation that begins now.
    pub(crate) fn new(about: &About) -> Self {
        Self {
            agent: about.agent.clone(),
            operation: about.operation.clone(),
            served: about.responder,
            since: SystemTime::now(),
        }
    }
}

/// Lists the connections that a driver describes, as far as a list may go.
pub(crate) fn list(
    mut keys: Vec<ConnectionKey>,
    mut describe: impl FnMut(ConnectionKey, usize) -> Option<ConnectionInfo>,
) -> Vec<ConnectionInfo> {
    keys.sort_unstable();
    keys.truncate(MAX_CONNECTIONS);
    let mut room = MAX_OPERATIONS;
    let described = keys.into_iter().filter_map(|key| {
        let info = describe(key, room)?;
        room = room.saturating_sub(info.operations.len());
        Some(info)
    });
    described.collect()
}
