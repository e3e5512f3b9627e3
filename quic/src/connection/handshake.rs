//! The handshake's bytes on their way into TLS, and what comes of them (RFC 9001 §4).

use super::crypto_stream::Taken;
use super::{Connection, State};
use crate::coding::Writer;
use crate::config::Config;
use crate::crypto::{OneRtt, Pair};
use crate::error::{Code, Fault, fault};
use crate::frame::NewConnectionId;
use crate::packet::ConnectionId;
use crate::parameters::{OURS_MAX, Ours, Theirs};
use crate::recovery::Space;
use crate::stream::Limits;
use crate::time::Instant;
use crate::tls::{Level, Progress};

impl Connection<'_> {
    /// Writes the first message, before anything is sent.
    ///
    /// `None`: there is no room for it.
    pub(super) fn begin_handshake(&mut self) -> Option<()> {
        let mut parameters = [0; OURS_MAX];
        let parameters = self.our_parameters(&mut parameters)?;
        let config = Config {
            ticket: self.ticket.get(..self.ticket_len),
            ..self.config
        };
        let (_, memory) = self.streams.memory_mut();
        let mut out = Writer::new(memory);
        self.tls.start(&config, parameters, &mut out).ok()?;
        let len = out.len();
        self.outgoing.next_flight(len);
        Some(())
    }

    fn our_parameters<'a>(&self, room: &'a mut [u8; OURS_MAX]) -> Option<&'a [u8]> {
        let ours = Ours {
            idle_timeout: self.config.idle_timeout,
            max_datagram: self.config.max_datagram,
            max_data: self.streams.max_data(),
            max_stream_data: self.streams.window(),
            max_streams_bidi: self.streams.peer_streams(),
            active_connection_id_limit: crate::cid::LIMIT as u64,
            initial_source: &self.first_local_id,
        };
        let mut writer = Writer::new(room);
        ours.write(&mut writer)?;
        let len = writer.len();
        room.get(..len)
    }

    /// Takes a CRYPTO frame. `false`: it was not taken, and the packet is not to be acknowledged.
    pub(super) fn on_crypto(
        &mut self,
        space: Space,
        offset: u64,
        data: &[u8],
        now: Instant,
    ) -> Result<bool, Fault> {
        if space != self.level_space() {
            // None can come of a level ahead: there are no keys for it.
            return self.on_repeated_crypto(space, offset, data);
        }
        if self.tickets_ignored {
            return Ok(true);
        }
        let (mut offset, mut data) = (offset, data);
        loop {
            let taken = self.take_crypto(offset, data);
            let progressed = match self.read_messages(now) {
                Err(error)
                    if error.code == Code::CRYPTO_BUFFER_EXCEEDED
                        && space == Space::Application =>
                {
                    self.tickets_ignored = true;
                    return Ok(true);
                }
                progressed => progressed?,
            };
            match taken {
                Taken::All => return Ok(true),
                Taken::Nothing => return Ok(false),
                // The level may have changed: what is left then belongs to no message.
                Taken::Part(count) if progressed && space == self.level_space() => {
                    offset = offset.saturating_add(count as u64);
                    data = data.get(count..).unwrap_or_default();
                }
                Taken::Part(_) if space == Space::Application => {
                    // More tickets than there is room for: they are a convenience only.
                    self.tickets_ignored = true;
                    return Ok(true);
                }
                Taken::Part(_) => {
                    return Err(fault!(
                        Code::CRYPTO_BUFFER_EXCEEDED,
                        "more handshake bytes than there is room for"
                    ));
                }
            }
        }
    }

    /// A level that is done may repeat what it said, and say no more (RFC 9001 §4.1.3).
    fn on_repeated_crypto(&self, space: Space, offset: u64, data: &[u8]) -> Result<bool, Fault> {
        let known = match space {
            Space::Initial => self.initial_end,
            _ => self.handshake_end,
        };
        if offset.saturating_add(data.len() as u64) > known {
            return Err(fault!(
                Code::PROTOCOL_VIOLATION,
                "new handshake bytes of a level that is done",
            ));
        }
        Ok(true)
    }

    pub(super) const fn level_space(&self) -> Space {
        match self.level {
            Level::Initial => Space::Initial,
            Level::Handshake => Space::Handshake,
            Level::Application => Space::Application,
        }
    }

    fn take_crypto(&mut self, offset: u64, data: &[u8]) -> Taken {
        match self.level {
            Level::Application => self.incoming.take(&mut self.late_crypto, offset, data),
            _ => {
                let (memory, _) = self.streams.memory_mut();
                self.incoming.take(memory, offset, data)
            }
        }
    }

    /// Reads all messages that are whole. Returns whether there was one.
    fn read_messages(&mut self, now: Instant) -> Result<bool, Fault> {
        let mut any = false;
        while self.read_message(now)? {
            any = true;
        }
        Ok(any)
    }

    /// Reads a message if one is whole. Returns whether one was.
    fn read_message(&mut self, now: Instant) -> Result<bool, Fault> {
        let mut parameters = [0; OURS_MAX];
        let parameters = self.our_parameters(&mut parameters).unwrap_or_default();
        let level = self.level;
        let mut config = self.config;
        let (rx, tx) = self.streams.memory_mut();
        // What answers an Initial message is a ClientHello; the other answers are short, and must
        // outlive the moment when the memory becomes the streams'.
        let (memory, answer): (&[u8], &mut [u8]) = match level {
            Level::Initial => {
                config.ticket = self.ticket.get(..self.ticket_len);
                (rx, tx)
            }
            Level::Handshake => (rx, &mut self.flight),
            Level::Application => (&self.late_crypto, &mut self.ticket),
        };
        let Some(message) = self.incoming.message(memory)? else {
            return Ok(false);
        };
        let mut out = Writer::new(answer);
        let progress = self
            .tls
            .read(level, message, &config, parameters, &mut out)?;
        let (read, written) = (message.len(), out.len());
        let parameters = match progress {
            Progress::Parameters(bytes) => Some(Theirs::read(bytes)?),
            _ => None,
        };
        let progress = progress.detached();
        match level {
            Level::Application => self.incoming.consume(&mut self.late_crypto, read),
            _ => self.incoming.consume(rx, read),
        }
        match progress {
            Progress::More => {}
            Progress::Retry => self.outgoing.next_flight(written),
            Progress::HandshakeKeys => self.begin_handshake_level()?,
            Progress::Parameters(_) => {
                if let Some(theirs) = &parameters {
                    self.judge_parameters(theirs)?;
                }
            }
            Progress::Done => {
                self.next_level(Level::Application)?;
                self.outgoing.next_flight(written);
                self.connected(now);
            }
            Progress::Ticket => {
                self.ticket_len = written;
                self.news.ticket = true;
            }
        }
        Ok(true)
    }

    fn begin_handshake_level(&mut self) -> Result<(), Fault> {
        self.handshake = self
            .tls
            .secrets()
            .map(|(suite, traffic)| Pair::new(suite, &traffic.client, &traffic.server));
        self.next_level(Level::Handshake)?;
        self.recovery.set_handshake_keys();
        Ok(())
    }

    /// Goes on to the next encryption level: nothing may be left of the one before (RFC 9001 §4.1.3).
    fn next_level(&mut self, level: Level) -> Result<(), Fault> {
        if !self.incoming.is_empty() {
            return Err(fault!(
                Code::PROTOCOL_VIOLATION,
                "handshake bytes go on behind the last message of their level"
            ));
        }
        let end = self.incoming.restart();
        match self.level {
            Level::Initial => self.initial_end = end,
            _ => self.handshake_end = end,
        }
        self.outgoing.discard();
        self.level = level;
        Ok(())
    }

    /// Checks that the parameters belong to this very handshake (RFC 9000 §7.3), and keeps what
    /// they say.
    fn judge_parameters(&mut self, theirs: &Theirs) -> Result<(), Fault> {
        if theirs.original_destination != Some(self.original_destination)
            || theirs.initial_source != ConnectionId::new(self.remote_ids.active())
            || theirs.retry_source != self.retry_source
        {
            return Err(fault!(
                Code::TRANSPORT_PARAMETER_ERROR,
                "the connection ids of the handshake were changed on the way"
            ));
        }
        if let Some(token) = theirs.reset_token {
            self.remote_ids.set_reset_token(token);
        }
        if let Some((id, reset_token)) = &theirs.preferred {
            // This end stays with the address that it dialled, but the id is one like others.
            let second = NewConnectionId {
                sequence: 1,
                retire_prior_to: 0,
                id: id.as_slice(),
                reset_token: *reset_token,
            };
            if self.remote_ids.on_new(&second).is_err() {
                return Err(fault!(
                    Code::TRANSPORT_PARAMETER_ERROR,
                    "a preferred address with an id that cannot be"
                ));
            }
        }
        self.peer_idle_timeout = theirs.idle_timeout;
        self.may_migrate = theirs.may_migrate;
        self.recovery
            .set_peer_ack(theirs.max_ack_delay, theirs.ack_delay_exponent);
        self.local_ids.set_limit(theirs.active_connection_id_limit);
        self.streams.set_limits(Limits {
            max_data: theirs.max_data,
            max_stream_data_bidi_local: theirs.max_stream_data_bidi_remote,
            max_stream_data_bidi_remote: theirs.max_stream_data_bidi_local,
            max_streams_bidi: theirs.max_streams_bidi,
        });
        Ok(())
    }

    fn connected(&mut self, now: Instant) {
        self.application = self
            .tls
            .secrets()
            .map(|(suite, traffic)| OneRtt::new(suite, &traffic.client, &traffic.server));
        self.tls.forget_secrets();
        self.state = State::Connected;
        self.news.connected = true;
        // It has served: to use it twice would tell that both connections are of one client.
        self.token.clear();
        self.token_of_retry = false;
        self.issue_ids();
        self.restart_idle_timer(now);
    }

    /// Fills up the connection ids that the server may use.
    pub(super) fn issue_ids(&mut self) {
        let seed = &self.seed;
        self.local_ids
            .fill(|number| super::local_id(seed, number as u32));
    }

    /// The server has our last message, so the handshake keys go (RFC 9001 §4.1.2, §4.9.2).
    pub(super) fn confirm(&mut self, now: Instant) {
        if !self.confirmed {
            self.confirmed = true;
            self.outgoing.discard();
            self.handshake = None;
            self.recovery.discard(Space::Handshake, now);
            self.recovery.set_confirmed();
        }
    }
}
