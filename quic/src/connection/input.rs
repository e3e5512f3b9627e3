//! From the network: datagrams, packets, and what they open (RFC 9000 §5.2, §12).

use super::frames::Origin;
use super::{Connection, State, TOKEN_MAX};
use crate::cid::{LOCAL_LEN, RESET_TOKEN_LEN};
use crate::crypto::Pair;
use crate::error::Fault;
use crate::event::CloseReason;
use crate::packet::{
    ConnectionId, Datagram, Long, Opened, Packet, Retry, Sealed, VERSION, Versions,
};
use crate::recovery::Space;
use crate::time::Instant;

/// Why a packet changed nothing.
enum Drop {
    /// It is not ours, not authentic, repeated, or out of place.
    Silently,
    /// It breaks a rule; the frame's type, where it was a frame.
    Violation(Fault, u8),
}

impl From<Fault> for Drop {
    fn from(error: Fault) -> Self {
        Self::Violation(error, 0)
    }
}

impl Connection<'_> {
    /// Takes a datagram that came from the server's address; it is decrypted where it is. Drain
    /// [`poll_event`](Self::poll_event) and [`poll_transmit`](Self::poll_transmit) afterwards.
    pub fn handle_datagram(&mut self, datagram: &mut [u8], now: Instant) {
        self.stats.received_datagrams = self.stats.received_datagrams.saturating_add(1);
        match self.state {
            State::Draining | State::Drained => return,
            State::Closing => return self.heard_after_close(),
            State::Handshaking | State::Connected => {}
        }
        // Opening a packet changes it, so what may be a reset's token is looked at first.
        let token = datagram.last_chunk::<RESET_TOKEN_LEN>().copied();
        let mut opened_any = false;
        for packet in Datagram::new(datagram, LOCAL_LEN) {
            match self.on_packet(packet, now) {
                Ok(()) => opened_any = true,
                Err(Drop::Silently) => {
                    self.stats.dropped_packets = self.stats.dropped_packets.saturating_add(1);
                }
                Err(Drop::Violation(error, frame_type)) => {
                    return self.fail(error, frame_type, now);
                }
            }
            if self.is_closed() {
                return;
            }
        }
        if let Some(token) = token
            && !opened_any
            && self.remote_ids.is_reset(&token)
        {
            self.drain(CloseReason::StatelessReset, now);
        }
    }

    fn on_packet(&mut self, packet: Packet<'_>, now: Instant) -> Result<(), Drop> {
        match packet {
            Packet::Long {
                kind,
                destination,
                source,
                sealed,
            } => self.on_long(kind, &destination, source, sealed, now),
            Packet::Short {
                destination,
                sealed,
            } => self.on_short(&destination, sealed, now),
            Packet::Retry(retry) => self.on_retry(retry, now),
            Packet::Versions(versions) => self.on_versions(&versions, now),
        }
    }

    fn on_long(
        &mut self,
        kind: Long,
        destination: &ConnectionId,
        source: ConnectionId,
        sealed: Sealed<'_>,
        now: Instant,
    ) -> Result<(), Drop> {
        let (space, keys) = match kind {
            Long::Initial => (Space::Initial, &self.initial),
            Long::Handshake => (Space::Handshake, &self.handshake),
        };
        let keys = keys.as_ref().ok_or(Drop::Silently)?;
        // From its first packet on, the server keeps the id that it chose (RFC 9000 §7.2).
        if !self.local_ids.contains(destination.as_slice())
            || (self.heard_server && source != self.first_source)
        {
            return Err(Drop::Silently);
        }
        let largest = self.spaces.get(space).received.largest();
        let opened = sealed.open(&keys.read, largest)?.ok_or(Drop::Silently)?;
        if !self.heard_server {
            self.heard_server = true;
            self.first_source = source;
            self.remote_ids.replace_first(source);
        }
        self.on_opened(space, destination, &opened, now)
    }

    fn on_short(
        &mut self,
        destination: &ConnectionId,
        sealed: Sealed<'_>,
        now: Instant,
    ) -> Result<(), Drop> {
        let keys = self.application.as_mut().ok_or(Drop::Silently)?;
        if !self.local_ids.contains(destination.as_slice()) {
            return Err(Drop::Silently);
        }
        let space = Space::Application;
        let largest = self.spaces.get(space).received.largest();
        let pto = self.recovery.pto();
        let opened = sealed
            .open_one_rtt(keys, largest, now, pto)?
            .ok_or(Drop::Silently)?;
        self.on_opened(space, destination, &opened, now)
    }

    fn on_opened(
        &mut self,
        space: Space,
        destination: &ConnectionId,
        opened: &Opened<'_>,
        now: Instant,
    ) -> Result<(), Drop> {
        if !self.spaces.get(space).received.is_new(opened.number) {
            return Err(Drop::Silently);
        }
        let origin = Origin {
            space,
            destination: destination.as_slice(),
            behind: opened.behind,
        };
        let mut frame_type = 0;
        let seen = self
            .on_frames(&origin, opened.payload, now, &mut frame_type)
            .map_err(|error| Drop::Violation(error, frame_type))?;
        if seen.whole {
            let received = &mut self.spaces.get_mut(space).received;
            received.note(opened.number, seen.ack_eliciting, now);
        }
        if !self.is_closed() {
            self.restart_idle_timer(now);
        }
        Ok(())
    }

    /// The server wants to see a token first (RFC 9000 §17.2.5). One Retry is taken, and none
    /// after any other packet.
    fn on_retry(&mut self, retry: Retry<'_>, now: Instant) -> Result<(), Drop> {
        let fits = self.local_ids.contains(retry.destination.as_slice())
            && retry.source.as_slice() != self.remote_ids.active();
        if self.heard_server || self.retry_source.is_some() || !fits {
            return Err(Drop::Silently);
        }
        let source = retry.source;
        let token = retry
            .open(&self.original_destination)
            .ok_or(Drop::Silently)?;
        if token.len() > TOKEN_MAX {
            return Err(Drop::Silently);
        }
        self.offer_token(token);
        self.token_of_retry = true;
        self.retry_source = Some(source);
        self.remote_ids.replace_first(source);
        self.initial = Some(Pair::initial(source.as_slice()));
        // All of the first flight is sent again, whatever it was cut into.
        self.recovery.on_retry(now, &mut |_, _, _| {});
        self.outgoing.send_all();
        Ok(())
    }

    /// The server answers that it speaks other versions (RFC 9000 §6.2). Nothing proves that it is
    /// the server who says so, but it is believed only before anything else was.
    fn on_versions(&mut self, versions: &Versions<'_>, now: Instant) -> Result<(), Drop> {
        let ours = self.local_ids.contains(versions.destination.as_slice())
            && versions.source.as_slice() == self.remote_ids.active();
        if self.heard_server || self.retry_source.is_some() || !ours || versions.contains(VERSION) {
            return Err(Drop::Silently);
        }
        self.vanish(CloseReason::Version, now);
        Ok(())
    }
}
