//! Datagrams in: to the connection that each belongs to, or to a new one.

use std::io;
use std::net::SocketAddr;

use aire_proto::Role;
use tracing::{debug, trace};

use super::limit::Source;
use super::socket::{self, reachable_from};
use super::{ConnectionKey, Driver, random_id};
use crate::Error;
use crate::metrics::{Traffic, count};
use crate::settings::MAX_DATAGRAM;

impl Driver {
    /// Takes what the socket has, but not for ever: a flood must not keep answers and timers
    /// waiting.
    pub(super) fn receive(&mut self) -> Result<(), Error> {
        let mut datagram = std::mem::take(&mut self.datagram);
        let (mut result, mut traffic) = (Ok(()), Traffic::default());
        self.more_to_receive = true;
        for _ in 0..MAX_DATAGRAMS_AT_ONCE {
            match self.socket.recv_from(&mut datagram) {
                Ok((len, from)) => {
                    traffic.datagram_received(len);
                    if let Some(packet) = datagram.get_mut(..len) {
                        self.datagram_from(packet, from);
                    }
                }
                Err(error) => match error.kind() {
                    // ICMP says that a peer is gone: QUIC finds that out for itself.
                    io::ErrorKind::Interrupted
                    | io::ErrorKind::ConnectionRefused
                    | io::ErrorKind::ConnectionReset => {}
                    kind => {
                        self.more_to_receive = false;
                        if kind != io::ErrorKind::WouldBlock {
                            result = Err(Error::Io(error));
                        }
                        break;
                    }
                },
            }
        }
        self.datagram = datagram;
        self.shared.counters.traffic.add(&traffic);
        self.stirred.extend(self.blocked.drain(..));
        result
    }

    fn datagram_from(&mut self, packet: &mut [u8], from: SocketAddr) {
        let Ok(header) = quiche::Header::from_slice(packet, quiche::MAX_CONN_ID_LEN) else {
            trace!(%from, "not QUIC");
            return;
        };
        let key = match self.routes.get(&header.dcid) {
            Some(key) => *key,
            None => match self.newcomer(&header, from, packet.len()) {
                Ok(Some(key)) => key,
                Ok(None) => return,
                Err(error) => {
                    debug!(%from, %error, "no connection");
                    return;
                }
            },
        };
        let Some(link) = self.links.get_mut(&key) else {
            return;
        };
        link.receive(packet, from, reachable_from(self.local, from));
        self.stirred.insert(key);
    }

    fn answer(&self, packet: &[u8], to: SocketAddr) {
        socket::answer(&self.socket, packet, to, &self.shared.counters.traffic);
    }

    fn too_many_from(&self, from: SocketAddr) {
        trace!(%from, "too many connections from there");
        count(&self.shared.counters.rate_limited);
    }

    /// A packet for no connection that there is.
    fn newcomer(
        &mut self,
        header: &quiche::Header<'_>,
        from: SocketAddr,
        len: usize,
    ) -> Result<Option<ConnectionKey>, Error> {
        let Some(config) = &mut self.server else {
            return Ok(None);
        };
        let to_nobody = matches!(
            header.ty,
            quiche::Type::Short | quiche::Type::VersionNegotiation
        );
        if to_nobody || self.refuses_new || len < MIN_INITIAL {
            return Ok(None);
        }
        let mut out = [0; MAX_DATAGRAM];
        // Of a version that nobody here knows, the packet's type is not known either.
        if !quiche::version_is_supported(header.version) {
            let len = quiche::negotiate_version(&header.scid, &header.dcid, &mut out)?;
            self.answer(out.get(..len).unwrap_or_default(), from);
            return Ok(None);
        }
        if header.ty != quiche::Type::Initial || header.dcid.len() < MIN_INITIAL_ID {
            return Ok(None);
        }
        if self.links.len() >= self.shared.settings.max_connections {
            debug!(%from, "too many connections");
            return Ok(None);
        }
        // A source that has begun too many costs no more than this look (TR-4). Nothing is taken
        // yet: an address that has not been proven would be made to pay for packets that others
        // sent in its name, and be shut out by them. So Retry comes next, and its token first; a
        // flood from forged addresses is answered with packets smaller than its own, and nothing
        // is remembered of it.
        let (source, now_us) = (Source::from(from.ip()), self.clock.micros());
        if !self.shared.limiter.allows(source, now_us) {
            self.too_many_from(from);
            return Ok(None);
        }
        let now_ms = self.clock.now().instant.as_millis();
        let token = header.token.as_deref().unwrap_or_default();
        let original = if self.shared.settings.retry {
            if token.is_empty() {
                let id = random_id()?;
                let token = self.tokens.mint(from, &header.dcid, now_ms)?;
                let version = header.version;
                let (scid, dcid) = (&header.scid, &header.dcid);
                let len = quiche::retry(scid, dcid, &id, &token, version, &mut out)?;
                self.answer(out.get(..len).unwrap_or_default(), from);
                return Ok(None);
            }
            // A client that has a token answers to the id that came with it, which is one of ours.
            let is_ours = header.dcid.len() == quiche::MAX_CONN_ID_LEN;
            let original = self.tokens.check(from, token, now_ms);
            let Some(original) = original.filter(|_| is_ours) else {
                debug!(%from, "a bad Retry token");
                return Ok(None);
            };
            Some(original)
        } else {
            None
        };
        // Without Retry this is all there is: whoever can forge addresses can shut them out.
        let Some(charged) = self.shared.limiter.take(source, now_us) else {
            self.too_many_from(from);
            return Ok(None);
        };
        let local = reachable_from(self.local, from);
        let id = if original.is_some() {
            // The id that our Retry chose: the client's transport parameters confirm it.
            header.dcid.clone().into_owned()
        } else {
            random_id()?
        };
        let quic = quiche::accept_with_buf_factory(&id, original.as_ref(), local, from, config)?;
        let initial = header.dcid.clone().into_owned();
        let key = self.add(quic, Role::Server, from, vec![initial, id]);
        if let Some(link) = self.links.get_mut(&key) {
            link.charged = Some(charged);
        }
        Ok(Some(key))
    }
}

/// How many datagrams one call of [`Driver::drive`] takes at the most.
const MAX_DATAGRAMS_AT_ONCE: usize = 256;

/// The shortest datagram that may begin a connection (RFC 9000 §14.1).
const MIN_INITIAL: usize = 1200;

/// The shortest id that a client may make up for us (RFC 9000 §7.2).
const MIN_INITIAL_ID: usize = 8;
