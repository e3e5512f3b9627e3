//! PING frames: to keep a connection alive, and to know how far away its peer is.

use std::sync::mpsc::SyncSender;
use std::time::{Duration, Instant};

use aire_proto::Role;

use super::link::{Link, Shared};
use super::{ConnectionKey, Driver};

/// How a connection's path is, as QUIC estimates it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct PathStats {
    /// How long a packet and its acknowledgement take, smoothed.
    pub rtt: Duration,
    /// The least of it so far; `None` before the first.
    pub min_rtt: Option<Duration>,
    /// By how much it varies.
    pub rtt_variation: Duration,
    /// How many packets were sent.
    pub packets_sent: u64,
    /// How many came.
    pub packets_received: u64,
    /// How many were given up for lost.
    pub packets_lost: u64,
    /// How many bytes may be under way at a time.
    pub congestion_window: u64,
    /// The largest datagram that goes through, in bytes.
    pub mtu: u64,
}

/// Somebody who waits for the peer's answer to a PING.
#[derive(Debug)]
pub(super) struct Ping {
    asked: Instant,
    /// How many bytes the peer had acknowledged by then.
    acked: u64,
    reply: SyncSender<Duration>,
}

impl Driver {
    /// How a connection's path is; `None` for one that is over.
    #[must_use]
    pub fn path_stats(&self, connection: ConnectionKey) -> Option<PathStats> {
        self.links.get(&connection)?.path_stats()
    }

    /// Sends a PING, and replies with how long its acknowledgement took. Drops `reply` when none
    /// can come, or too many wait already.
    pub(crate) fn ping(&mut self, connection: ConnectionKey, reply: SyncSender<Duration>) {
        let Some(link) = self.links.get_mut(&connection) else {
            return;
        };
        if link.waiting.len() < MAX_WAITING {
            link.waiting.push(Ping {
                asked: Instant::now(),
                acked: link.quic.stats().acked_bytes,
                reply,
            });
            // Fails only on a connection that is over.
            let _over = link.quic.send_ack_eliciting();
            self.stirred.insert(connection);
        }
    }
}

impl Link {
    /// Sends a PING where one is due, and tells those who wait for the answer to theirs.
    pub(super) fn turn_pings(&mut self, clock: Instant) {
        if self.ping_due().is_some_and(|due| due <= clock) {
            self.last_ping = clock;
            // Fails only on a connection that is over.
            let _over = self.quic.send_ack_eliciting();
        }
        if self.waiting.is_empty() {
            return;
        }
        let acked = self.quic.stats().acked_bytes;
        self.waiting.retain(|ping| {
            let waits = acked <= ping.acked;
            if !waits {
                // Whoever asked may have gone.
                let _gone = ping.reply.send(ping.asked.elapsed());
            }
            waits
        });
    }

    pub(super) fn ping_due(&self) -> Option<Instant> {
        let interval = self.ping_interval?;
        self.last_heard.max(self.last_ping).checked_add(interval)
    }

    /// How often to send a PING: as the settings say, but more often than either side's patience
    /// asks for.
    pub(super) fn ping_interval(&self, shared: &Shared) -> Option<Duration> {
        let wanted = shared.settings.keep_alive?;
        let theirs = self.quic.peer_transport_params()?.max_idle_timeout;
        let patience = [Duration::from_millis(theirs), shared.settings.idle_timeout];
        let patience = patience.into_iter().filter(|time| !time.is_zero()).min();
        let most = patience.map_or(wanted, |time| time / 3);
        (self.role == Role::Client).then(|| wanted.min(most).max(MIN_PING_INTERVAL))
    }

    /// How the path in use is.
    pub(super) fn path_stats(&self) -> Option<PathStats> {
        let path = self.quic.path_stats().find(|path| path.active)?;
        Some(PathStats {
            rtt: path.rtt,
            min_rtt: path.min_rtt,
            rtt_variation: path.rttvar,
            packets_sent: path.sent as u64,
            packets_received: path.recv as u64,
            packets_lost: path.lost as u64,
            congestion_window: path.cwnd as u64,
            mtu: path.pmtu as u64,
        })
    }
}

/// However short the patience, no PING follows another sooner.
const MIN_PING_INTERVAL: Duration = Duration::from_millis(10);

/// How many may wait for an answer at a time.
const MAX_WAITING: usize = 64;
