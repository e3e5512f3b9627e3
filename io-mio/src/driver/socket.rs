//! Datagrams out, without waiting.

use std::io;
use std::net::SocketAddr;

use mio::net::UdpSocket;
use tracing::{debug, trace};

use super::link::Link;
use crate::Error;
use crate::metrics::{Traffic, TrafficCounters};

/// Our own address as `peer` sees it: a wildcard has to become something definite, and the same
/// each time, since quiche tells paths apart by it.
pub(super) fn reachable_from(local: SocketAddr, peer: SocketAddr) -> SocketAddr {
    if !local.ip().is_unspecified() {
        return local;
    }
    let ip = match peer {
        SocketAddr::V4(_) => std::net::Ipv4Addr::UNSPECIFIED.into(),
        SocketAddr::V6(_) => std::net::Ipv6Addr::UNSPECIFIED.into(),
    };
    SocketAddr::new(ip, local.port())
}

/// Sends an answer that needs no state. One that the socket does not take is lost, as any
/// datagram may be.
pub(super) fn answer(socket: &UdpSocket, packet: &[u8], to: SocketAddr, traffic: &TrafficCounters) {
    match socket.send_to(packet, to) {
        Ok(len) => {
            let mut sent = Traffic::default();
            sent.datagram_sent(len);
            traffic.add(&sent);
        }
        Err(error) => trace!(%to, %error, "an answer was lost"),
    }
}

/// Sends all that the connection has for the network. Whether the socket is full.
pub(super) fn flush(
    socket: &UdpSocket,
    buffer: &mut [u8],
    link: &mut Link,
    traffic: &TrafficCounters,
) -> Result<bool, Error> {
    let mut sent = Traffic::default();
    let full = send_all(socket, buffer, link, &mut sent);
    traffic.add(&sent);
    full
}

fn send_all(
    socket: &UdpSocket,
    buffer: &mut [u8],
    link: &mut Link,
    sent: &mut Traffic,
) -> Result<bool, Error> {
    if let Some((packet, to)) = link.unsent.take() {
        if !send(socket, &packet, to)? {
            link.unsent = Some((packet, to));
            return Ok(true);
        }
        sent.datagram_sent(packet.len());
    }
    loop {
        let (len, info) = match link.quic.send(buffer) {
            Ok(made) => made,
            Err(quiche::Error::Done) => return Ok(false),
            Err(error) => {
                debug!(parent: &link.span, %error, "cannot send");
                let _over = link.quic.close(false, 0x1, b"");
                return Ok(false);
            }
        };
        let packet = buffer.get(..len).unwrap_or_default();
        let to = link.destination(info.to);
        if !send(socket, packet, to)? {
            link.unsent = Some((packet.to_vec(), to));
            return Ok(true);
        }
        sent.datagram_sent(len);
    }
}

/// Sends one datagram. Whether the socket took it, or the network lost it.
fn send(socket: &UdpSocket, packet: &[u8], to: SocketAddr) -> Result<bool, Error> {
    match socket.send_to(packet, to) {
        Ok(_) => Ok(true),
        Err(error) => match error.kind() {
            io::ErrorKind::WouldBlock => Ok(false),
            // The host or its network is not reachable now: to QUIC, a lost packet.
            _ => {
                trace!(%to, %error, "a packet was lost");
                Ok(true)
            }
        },
    }
}
