//! The limits and times of a node's transport.

use std::path::PathBuf;
use std::time::Duration;

use aire_proto::Role;

use crate::Error;
use crate::tls::ALPN;

/// How connections behave. Start from [`Settings::default`].
#[derive(Clone, Debug)]
pub struct Settings {
    /// The protocol's own limits and times.
    pub protocol: aire_proto::Config,
    /// The most connections at a time; 10,000 by default. Further ones are not answered.
    pub max_connections: usize,
    /// How many connections may begin from one source address before their peers have said who
    /// they are (`TR-4`): 32 a second by default, and 256 at once. A peer whose HELLO is good, and
    /// whom the node's policy wants, counts no longer. An IPv6 network of 64 bits is one source.
    pub inbound_rate: Rate,
    /// The most operations that a peer may have open on a connection; 100 by default (`TR-3`).
    pub max_streams: u64,
    /// How many bytes a peer may send ahead on one stream; 256 KiB by default.
    pub stream_window: u64,
    /// How many bytes a peer may send ahead on a connection; 64 MiB by default. With less than
    /// twice `stream_window` for each operation that may be open, those whose input nobody takes
    /// hold up the others: quiche grants more only once half of it is free.
    pub connection_window: u64,
    /// How many bytes of one operation may wait to be sent before a sender has to wait;
    /// 256 KiB by default.
    pub send_queue: usize,
    /// After how long without a packet a connection is lost; 30 s by default, zero for never. The
    /// shorter one of both ends counts.
    pub idle_timeout: Duration,
    /// After how long without a packet a client sends a PING; 10 s by default, `None` for never,
    /// and sooner where either side's `idle_timeout` asks for it.
    pub keep_alive: Option<Duration>,
    /// Whether a server makes clients prove their address before it does any work for them; yes
    /// by default. It costs a round trip.
    pub retry: bool,
    /// The most nonces that the replay guard remembers, of all peers together; 65,536 by default.
    pub replay_capacity: usize,
    /// The most nonces that it remembers of one peer: so many connections may one identity open
    /// in ten minutes; 4,096 by default.
    pub replay_capacity_per_peer: usize,
    /// Where to write a qlog file for each connection.
    pub qlog_dir: Option<PathBuf>,
    /// Where to append TLS secrets, in the format of `SSLKEYLOGFILE`. Whoever reads the file can
    /// read the traffic.
    pub key_log: Option<PathBuf>,
}

/// How often something may happen. At least once a second, whatever the numbers say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rate {
    /// How often in a second, on average.
    pub per_second: u32,
    /// How often at once, after a time in which nothing happened.
    pub burst: u32,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            protocol: aire_proto::Config::default(),
            max_connections: 10_000,
            inbound_rate: Rate {
                per_second: 32,
                burst: 256,
            },
            max_streams: 100,
            stream_window: 256 * 1024,
            connection_window: 64 * 1024 * 1024,
            send_queue: 256 * 1024,
            idle_timeout: Duration::from_secs(30),
            keep_alive: Some(Duration::from_secs(10)),
            retry: true,
            replay_capacity: 65_536,
            replay_capacity_per_peer: 4_096,
            qlog_dir: None,
            key_log: None,
        }
    }
}

impl Settings {
    /// QUIC's configuration over a TLS context.
    pub(crate) fn quic(
        &self,
        role: Role,
        tls: boring::ssl::SslContextBuilder,
    ) -> Result<quiche::Config, Error> {
        let mut quic = quiche::Config::with_boring_ssl_ctx_builder(quiche::PROTOCOL_VERSION, tls)?;
        quic.set_application_protos(&[ALPN])?;
        let idle = self.idle_timeout.as_millis();
        quic.set_max_idle_timeout(u64::try_from(idle).unwrap_or(u64::MAX));
        quic.set_initial_max_data(self.connection_window);
        quic.set_max_connection_window(self.connection_window.max(1));
        quic.set_initial_max_stream_data_bidi_local(self.stream_window);
        quic.set_initial_max_stream_data_bidi_remote(self.stream_window);
        quic.set_max_stream_window(self.stream_window.max(1));
        // The control stream is one of the client's.
        let control = u64::from(role == Role::Server);
        let streams = self.max_streams.saturating_add(control);
        quic.set_initial_max_streams_bidi(streams.min(MOST_STREAMS));
        quic.set_initial_max_streams_uni(0);
        quic.set_max_recv_udp_payload_size(MAX_DATAGRAM);
        quic.set_max_send_udp_payload_size(MAX_DATAGRAM);
        quic.set_active_connection_id_limit(match role {
            Role::Client => 4,
            Role::Server => MOST_PATHS,
        });
        quic.set_disable_active_migration(false);
        // Pacing needs a socket that takes send times; without one it only delays.
        quic.enable_pacing(false);
        if self.key_log.is_some() {
            quic.log_keys();
        }
        Ok(quic)
    }
}

/// How many addresses a client may have had: quiche never forgets one that was in use, and refuses
/// what comes from one more. A port that changes is no new address.
const MOST_PATHS: u64 = 16;

/// No stream has a larger number (RFC 9000 §4.6).
const MOST_STREAMS: u64 = 1 << 60;

/// The largest UDP payload sent: what fits an Ethernet frame with IPv6, with room for a tunnel.
pub(crate) const MAX_DATAGRAM: usize = 1350;
