//! What a driver's connections do now, for those who look on.

use std::sync::Arc;

use aire_proto::{Role, StreamId};

use super::link::Link;
use super::{ConnectionKey, Driver};
use crate::metrics::{Counters, Metrics};
use crate::status::{ConnectionInfo, OperationInfo, Subject};

impl Driver {
    /// What has happened since it was made. Operations are counted by who serves them, a
    /// [`Node`](crate::Node) for example: here those that there was no room for.
    #[must_use]
    pub fn metrics(&self) -> Metrics {
        self.shared.counters.read()
    }

    /// Where it counts.
    pub(crate) fn counters(&self) -> Arc<Counters> {
        self.shared.counters.clone()
    }

    /// A connection, and at most so many of the operations on it: those that `subject` knows.
    pub(crate) fn describe(
        &self,
        key: ConnectionKey,
        most: usize,
        subject: impl Fn(StreamId) -> Option<Subject>,
    ) -> Option<ConnectionInfo> {
        let link = self.links.get(&key).filter(|link| !link.told_closed)?;
        let stats = link.quic.stats();
        let peer = link.protocol().and_then(|proto| proto.peer());
        let mut streams: Vec<_> = link.streams.keys().copied().collect();
        streams.sort_unstable();
        let operations = streams.iter().filter_map(|stream| {
            let subject = subject(*stream)?;
            Some(link.describe(*stream, subject))
        });
        Some(ConnectionInfo {
            id: key.0,
            peer: peer
                .filter(|_| link.told_connected)
                .unwrap_or_default()
                .into(),
            address: link.peer_address,
            dialled: link.role == Role::Client,
            since: link.since,
            rtt: link.path_stats().map(|path| path.rtt).unwrap_or_default(),
            bytes_received: stats.recv_bytes,
            bytes_sent: stats.sent_bytes,
            packets_lost: stats.lost as u64,
            live_operations: streams.len(),
            operations: operations.take(most).collect(),
        })
    }
}

impl Link {
    fn describe(&self, stream: StreamId, subject: Subject) -> OperationInfo {
        let ledger = self
            .ledger(stream)
            .unwrap_or_default()
            .work(|ledger| *ledger);
        let (received, sent) = self.tally.payload(stream);
        OperationInfo {
            stream,
            agent: subject.agent,
            operation: subject.operation,
            served: subject.served,
            since: subject.since,
            received,
            sent,
            budget: ledger.remaining(),
            spent: ledger.spent(),
        }
    }
}
