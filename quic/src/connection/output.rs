//! To the network: what goes into which packet, and packets into datagrams (RFC 9000 §12.2, §13,
//! §14).

use super::{Connection, DATAGRAM, State};
use crate::carried::{Carried, Kind, Piece};
use crate::coding::Writer;
use crate::error::Fault;
use crate::frame::{self, kind};
use crate::packet::{ConnectionId, Draft, Long};
use crate::recovery::{Sent, Space};
use crate::time::Instant;

/// No packet is begun with less room than this.
const WORTH_A_PACKET: usize = 128;

/// What a packet holds so far.
#[derive(Debug, Default)]
struct Content {
    carried: Carried,
    ack_eliciting: bool,
    /// The datagram is to have its full size, which shows that the path takes it.
    full_size: bool,
}

impl Connection<'_> {
    /// Writes the next datagram to the front of `buffer`, which has at least 1200 bytes, and says
    /// how long it is. `None` when there is nothing to send now, or not enough room.
    pub fn poll_transmit(&mut self, buffer: &mut [u8], now: Instant) -> Option<usize> {
        let mut out = Writer::new(buffer.get_mut(..DATAGRAM)?);
        let sent = match self.state {
            State::Draining | State::Drained => Ok(()),
            State::Closing => self.write_farewell(&mut out),
            State::Handshaking | State::Connected => self.write_packets(&mut out, now),
        };
        if let Err(error) = sent {
            self.fail(error, 0, now);
            return self.poll_transmit(buffer, now);
        }
        let len = out.len();
        if len == 0 {
            return None;
        }
        self.stats.sent_datagrams = self.stats.sent_datagrams.saturating_add(1);
        Some(len)
    }

    fn write_packets(&mut self, out: &mut Writer<'_>, now: Instant) -> Result<(), Fault> {
        if let Some(keys) = self.application.as_mut()
            && self.confirmed
            && keys.wants_update()
        {
            // Too early is no matter: it is tried again with the next datagram.
            keys.initiate(now);
        }
        if !self.wants_to_send(Space::Handshake, now) {
            self.write_packet(Space::Initial, out, now)?;
        }
        // An Initial packet fills its datagram.
        for space in [Space::Handshake, Space::Application] {
            if out.room() >= WORTH_A_PACKET {
                self.write_packet(space, out, now)?;
            }
        }
        Ok(())
    }

    /// Whether there are keys for `space`, and something to say.
    fn wants_to_send(&self, space: Space, now: Instant) -> bool {
        let has_keys = match space {
            Space::Initial => self.initial.is_some(),
            Space::Handshake => self.handshake.is_some(),
            Space::Application => self.application.is_some(),
        };
        has_keys
            && (self.spaces.get(space).received.wants_ack(now)
                || self.recovery.probes_owed(space) > 0
                || (self.recovery.may_send(space, DATAGRAM) && self.has_frames(space, now)))
    }

    fn has_frames(&self, space: Space, now: Instant) -> bool {
        let crypto = self.outgoing.wants_to_send() && self.flight_space() == space;
        crypto
            || (space == Space::Application
                && (self.wants_to_ping()
                    || self.path.wants_to_send(now)
                    || self.remote_ids.to_retire().is_some()
                    || self.local_ids.to_tell().is_some()
                    || self.streams.wants_to_send()))
    }

    /// Whether a PING is to be sent where nothing else is. With a small buffer, all that it holds
    /// may go in one packet, for which the server's acknowledgement may take its time; with a
    /// second packet it comes at once (RFC 9000 §13.2.2), and makes room for more.
    fn wants_to_ping(&self) -> bool {
        self.ping || (self.unanswered == 1 && self.streams.is_starved())
    }

    /// The space that our handshake bytes belong to: the last of them are of the Handshake level,
    /// though TLS has gone on.
    fn flight_space(&self) -> Space {
        match self.level_space() {
            Space::Initial => Space::Initial,
            _ => Space::Handshake,
        }
    }

    fn write_packet(
        &mut self,
        space: Space,
        out: &mut Writer<'_>,
        now: Instant,
    ) -> Result<(), Fault> {
        if !self.wants_to_send(space, now) {
            return Ok(());
        }
        let number = self.spaces.get(space).next;
        let start = out.len();
        let Some(draft) = self.begin(space, number, out) else {
            return Ok(());
        };
        let mut content = Content::default();
        let mut frames = draft.frames(out);
        self.write_content(space, &mut frames, &mut content, now);
        let len = frames.len();
        if len == 0 {
            draft.abandon(out);
            return Ok(());
        }
        if space == Space::Handshake {
            self.discard_initial(now);
        }
        let pad_to = if space == Space::Initial || content.full_size {
            DATAGRAM
        } else {
            0
        };
        self.seal(space, draft, len, pad_to, out)?;
        self.spaces.get_mut(space).next = number.saturating_add(1);
        let size = out.len().saturating_sub(start) as u16;
        self.note_sent(space, number, size, pad_to > 0, content, now);
        Ok(())
    }

    fn begin(&self, space: Space, number: u64, out: &mut Writer<'_>) -> Option<Draft> {
        let destination = ConnectionId::new(self.remote_ids.active())?;
        let largest_acked = self.recovery.largest_acked(space);
        let (kind, token) = match space {
            Space::Initial => (Long::Initial, self.token.as_slice()),
            Space::Handshake => (Long::Handshake, &[][..]),
            Space::Application => return Draft::short(out, &destination, number, largest_acked),
        };
        let source = ConnectionId::new(&self.first_local_id)?;
        Draft::long(
            out,
            kind,
            &destination,
            &source,
            token,
            number,
            largest_acked,
        )
    }

    fn seal(
        &mut self,
        space: Space,
        draft: Draft,
        len: usize,
        pad_to: usize,
        out: &mut Writer<'_>,
    ) -> Result<(), Fault> {
        let keys = match space {
            Space::Initial => &self.initial,
            Space::Handshake => &self.handshake,
            Space::Application => {
                if let Some(keys) = self.application.as_mut() {
                    draft.finish_one_rtt(out, len, pad_to, keys)?;
                }
                return Ok(());
            }
        };
        if let Some(keys) = keys {
            draft.finish(out, len, pad_to, &keys.write)?;
        }
        Ok(())
    }

    fn note_sent(
        &mut self,
        space: Space,
        number: u64,
        size: u16,
        padded: bool,
        content: Content,
        now: Instant,
    ) {
        if content.ack_eliciting && !self.idle_restarted_by_sending {
            self.restart_idle_timer(now);
            self.idle_restarted_by_sending = true;
        }
        let sent = Sent {
            number,
            time: now,
            size,
            ack_eliciting: content.ack_eliciting,
            // Acknowledgements alone are neither answered nor counted.
            in_flight: content.ack_eliciting || padded,
            carried: content.carried,
        };
        self.recovery.on_sent(space, &sent);
    }

    /// Writes the frames of one packet, the acknowledgements first.
    fn write_content(
        &mut self,
        space: Space,
        out: &mut Writer<'_>,
        content: &mut Content,
        now: Instant,
    ) {
        let received = &mut self.spaces.get_mut(space).received;
        if received.deadline().is_some()
            && let Some(largest) = received.write_ack(out, now)
        {
            content.carried.acked_below = largest.saturating_add(1);
        }
        if !self.recovery.may_send(space, DATAGRAM) {
            return;
        }
        let acknowledged = out.len();
        if self.flight_space() == space {
            let (_, hello) = self.streams.memory_mut();
            let flight = if space == Space::Initial {
                &*hello
            } else {
                &self.flight[..]
            };
            self.outgoing
                .write_frames(flight, out, &mut content.carried);
        }
        if space == Space::Application {
            self.write_application(out, content, now);
        }
        let ping = space == Space::Application && self.wants_to_ping();
        let probing = self.recovery.probes_owed(space) > 0;
        if out.len() == acknowledged && (probing || ping) {
            let _written = out.u8(kind::PING);
        }
        content.ack_eliciting = out.len() > acknowledged;
        if content.ack_eliciting && space == Space::Application {
            self.ping = false;
            self.unanswered = self.unanswered.saturating_add(1);
        }
    }

    fn write_application(&mut self, out: &mut Writer<'_>, content: &mut Content, now: Instant) {
        if self.path.wants_to_send(now) && out.room() > 18 {
            content.full_size = true;
            if let Some(data) = self.path.take_response() {
                let _written = out.u8(kind::PATH_RESPONSE).and_then(|()| out.bytes(&data));
            }
            if let Some(data) = self.path.take_challenge(&self.seed, now) {
                let _written = out.u8(kind::PATH_CHALLENGE).and_then(|()| out.bytes(&data));
            }
        }
        self.write_ids(out, content);
        self.streams.write_frames(out, &mut content.carried);
    }

    fn write_ids(&mut self, out: &mut Writer<'_>, content: &mut Content) {
        while let Some(sequence) = self.remote_ids.to_retire()
            && content.carried.has_room()
        {
            if !frame::write(out, kind::RETIRE_CONNECTION_ID, &[sequence]) {
                return;
            }
            self.remote_ids.set_retire_told(sequence as u32, true);
            content.carried.push(Piece {
                kind: Kind::RetireId,
                offset: sequence as u32,
                ..Piece::default()
            });
        }
        while let Some((sequence, id)) = self.local_ids.to_tell()
            && content.carried.has_room()
        {
            let start = out.len();
            let token = self.seed.derive_n(b"reset", sequence as u32);
            let fields = [sequence, 0, id.len() as u64];
            let written = frame::write(out, kind::NEW_CONNECTION_ID, &fields)
                && out.bytes(&id).is_some()
                && out.bytes(token.get(..16).unwrap_or_default()).is_some();
            if !written {
                return out.truncate(start);
            }
            self.local_ids.set_told(sequence as u32, true);
            content.carried.push(Piece {
                kind: Kind::NewId,
                offset: sequence as u32,
                ..Piece::default()
            });
        }
    }

    /// With the first Handshake packet the Initial keys go (RFC 9001 §4.9.1).
    fn discard_initial(&mut self, now: Instant) {
        if self.initial.take().is_some() {
            self.recovery.discard(Space::Initial, now);
        }
    }

    /// Writes CONNECTION_CLOSE, in every space that the server may be able to read (RFC 9000
    /// §10.2.3).
    fn write_farewell(&mut self, out: &mut Writer<'_>) -> Result<(), Fault> {
        let Some(mut farewell) = self.farewell.filter(|farewell| farewell.due) else {
            return Ok(());
        };
        farewell.due = false;
        self.farewell = Some(farewell);
        for space in [Space::Initial, Space::Handshake, Space::Application] {
            let has_keys = match space {
                // The server has Handshake keys whenever this end has.
                Space::Initial => self.initial.is_some() && self.handshake.is_none(),
                Space::Handshake => self.handshake.is_some(),
                Space::Application => self.application.is_some(),
            };
            if !has_keys {
                continue;
            }
            let number = self.spaces.get(space).next;
            let Some(draft) = self.begin(space, number, out) else {
                continue;
            };
            let mut frames = draft.frames(out);
            farewell.write(space, &mut frames);
            let len = frames.len();
            let pad_to = if space == Space::Initial { DATAGRAM } else { 0 };
            // The keys are worn out: that was the reason to close. Nothing can be said then.
            if self.seal(space, draft, len, pad_to, out).is_err() {
                out.truncate(0);
                return Ok(());
            }
            self.spaces.get_mut(space).next = number.saturating_add(1);
        }
        Ok(())
    }
}
