//! The time of day from the network (RFC 4330).
//!
//! `sntpc` has an adapter to embassy-net of its own; it insists on IPv4 and on `medium-ip`, which a
//! device may not have, so its trait is implemented here.

use core::net::SocketAddr;

use aire_proto::UnixMillis;
use embassy_net::udp::{PacketMetadata, UdpSocket};
use embassy_net::{IpEndpoint, Stack};
use embassy_time::{Duration, Instant, with_timeout};
use sntpc::{NtpContext, NtpTimestampGenerator, NtpUdpSocket};

/// How long to wait for an answer.
const PATIENCE: Duration = Duration::from_secs(3);

/// A clock that knows nothing is set to this: 2026-01-01, in seconds. The arithmetic of the wire
/// format then holds for 68 years, either way.
const UNKNOWN: u64 = 1_767_225_600;

/// An SNTP message without extensions.
const MESSAGE: usize = 48;

/// The device's own clock, as if it had been started at [`UNKNOWN`].
#[derive(Clone, Copy)]
struct Uptime(u64);

impl Uptime {
    fn now() -> Self {
        Self(Instant::now().as_micros())
    }
}

impl NtpTimestampGenerator for Uptime {
    fn init(&mut self) {
        *self = Self::now();
    }

    fn timestamp_sec(&self) -> u64 {
        UNKNOWN.saturating_add(self.0 / 1_000_000)
    }

    fn timestamp_subsec_micros(&self) -> u32 {
        u32::try_from(self.0 % 1_000_000).unwrap_or(0)
    }
}

struct Socket<'a> {
    socket: UdpSocket<'a>,
    server: IpEndpoint,
}

impl NtpUdpSocket for Socket<'_> {
    async fn send_to(&self, buf: &[u8], _server: SocketAddr) -> sntpc::Result<usize> {
        let sent = self.socket.send_to(buf, self.server).await;
        sent.map(|()| buf.len()).map_err(|_| sntpc::Error::Network)
    }

    async fn recv_from(&self, buf: &mut [u8]) -> sntpc::Result<(usize, SocketAddr)> {
        let (len, meta) = self
            .socket
            .recv_from(buf)
            .await
            .map_err(|_| sntpc::Error::Network)?;
        let from = meta.endpoint;
        Ok((len, SocketAddr::new(from.addr.into(), from.port)))
    }
}

/// Asks `server` once: the time of day, and when on the device's own clock that was. `None`
/// without a good answer.
pub(crate) async fn ask(
    stack: Stack<'static>,
    server: IpEndpoint,
) -> Option<(UnixMillis, Instant)> {
    let (mut rx, mut tx) = ([0; MESSAGE], [0; MESSAGE]);
    let mut rx_meta = [PacketMetadata::EMPTY];
    let mut tx_meta = [PacketMetadata::EMPTY];
    let mut socket = UdpSocket::new(stack, &mut rx_meta, &mut rx, &mut tx_meta, &mut tx);
    socket.bind(0).ok()?;
    let socket = Socket { socket, server };
    let address = SocketAddr::new(server.addr.into(), server.port);
    let context = NtpContext::new(Uptime::now());
    let answer = with_timeout(PATIENCE, sntpc::get_time(address, &socket, context)).await;
    let answer = answer.ok()?.ok()?;
    let at = Instant::now();
    let own = i64::try_from(at.as_millis()).ok()?;
    let started = i64::try_from(UNKNOWN.saturating_mul(1000)).ok()?;
    let unix = started
        .saturating_add(own)
        .saturating_add(answer.offset() / 1000);
    Some((UnixMillis(unix), at))
}
