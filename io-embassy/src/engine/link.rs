//! The connection itself: dialled, greeted, kept alive, closed, lost.

use aire_proto::connection::{CloseReason, EXPORTER_LEN};
use aire_proto::handshake::{Local, Verifier};
use aire_proto::{Now, StreamId};
use aire_quic::Event as Quic;
use embassy_time::{Duration, Instant};

use super::{Engine, Status, quic_id};
use crate::clock::{of_protocol, of_quic, quic_instant, quic_span};
use crate::error::Closed;
use crate::log::{debug, info};
use crate::slot::{Slot, Stage, result};

/// How AIRE is called in TLS (`GAP-1`).
const ALPN: &[u8] = b"aire/v0";

/// RFC 9266.
const EXPORTER_LABEL: &[u8] = b"EXPORTER-Channel-Binding";

/// How long an ERROR or a GOODBYE may take to be read before CONNECTION_CLOSE follows it
/// (`GAP-5`).
const LAST_WORDS: Duration = Duration::from_millis(200);

/// How long a task may take to read what came before the connection ended.
const READ_OUT: Duration = Duration::from_secs(2);

/// However short the patience, no PING follows another sooner.
const MIN_PING_INTERVAL: Duration = Duration::from_millis(10);

/// Random bytes for one connection.
pub(crate) struct Fresh {
    pub(crate) seed: [u8; 32],
    pub(crate) nonces: ([u8; 16], [u8; 16]),
}

impl Engine {
    /// What comes next is another attempt.
    pub(crate) fn begin_attempt(&mut self) {
        self.told_why = false;
        self.set_status(Status::Network);
    }

    /// Begins a QUIC connection, whatever there was before.
    #[inline(never)]
    pub(crate) fn dial(
        &mut self,
        fresh: &Fresh,
        max_datagram: u16,
        at: Instant,
    ) -> Result<(), Closed> {
        let options = &self.options;
        let name = options.server_name.unwrap_or(options.server.host);
        let mut config = aire_quic::Config::new(name, ALPN, options.trust);
        config.suites = options.suites;
        config.groups = options.groups;
        config.peer_streams = options.incoming;
        config.idle_timeout = quic_span(options.idle_timeout);
        config.handshake_timeout = quic_span(options.handshake_timeout);
        config.max_datagram = max_datagram;
        if self.clock.is_set() {
            let unix = self.clock.at(at).unix.0;
            config.unix_time = u64::try_from(unix / 1000).ok();
        }
        self.up = false;
        self.closing = None;
        self.gone = None;
        self.moved = false;
        self.nonces = fresh.nonces;
        self.last_heard = at;
        self.last_ping = at;
        let begun = self.quic.connect(&config, &fresh.seed, quic_instant(at));
        begun.map_err(Closed::Config)
    }

    /// A datagram came from the node.
    #[inline(never)]
    pub(crate) fn receive(&mut self, datagram: &mut [u8], at: Instant) {
        self.last_heard = at;
        self.quic.handle_datagram(datagram, quic_instant(at));
    }

    /// Whether the connection is over, and nothing is left to be said about it.
    pub(crate) fn is_over(&self) -> bool {
        self.quic.is_closed() && !self.up
    }

    /// When something is due, at the latest.
    pub(crate) fn deadline(&self) -> Option<Instant> {
        let quic = self.quic.next_deadline().map(of_quic);
        let proto = self
            .proto
            .next_deadline()
            .filter(|_| self.up)
            .map(of_protocol);
        let closing = self.closing.map(|(_, due)| due);
        let gone = self.gone.map(|(_, due)| due);
        [quic, proto, closing, gone, self.ping_due()]
            .into_iter()
            .flatten()
            .min()
    }

    fn ping_due(&self) -> Option<Instant> {
        let wanted = self
            .options
            .keep_alive
            .filter(|_| self.is_open() && self.gone.is_none())?;
        let patience = Duration::from_ticks(self.options.idle_timeout.as_ticks() / 3);
        let interval = wanted.min(patience).max(MIN_PING_INTERVAL);
        self.last_heard.max(self.last_ping).checked_add(interval)
    }

    /// Whether the socket is to take another port, since the interface has another address.
    pub(crate) fn rebinds(&mut self, at: Instant) -> bool {
        if !core::mem::take(&mut self.moved) {
            return false;
        }
        let now = quic_instant(at);
        if let Err(error) = self.quic.address_changed(now) {
            debug!("the connection cannot move: {}", error);
            // A new one can: what can be resumed goes on over it.
            self.quic.close(0, "", now);
        }
        true
    }

    /// Does what is due.
    pub(super) fn keep_time(&mut self, at: Instant, now: Now) {
        let clock = quic_instant(at);
        if self.quic.next_deadline().is_some_and(|due| due <= clock) {
            self.quic.handle_timeout(clock);
        }
        if self.ping_due().is_some_and(|due| due <= at) {
            self.last_ping = at;
            self.quic.ping();
        }
        if self.up {
            self.proto.handle_timeout(now);
        }
    }

    /// Sends CONNECTION_CLOSE once it is due. The call after everything else was sent.
    pub(crate) fn close_if_due(&mut self, at: Instant) -> bool {
        match self.closing.take_if(|(_, due)| *due <= at) {
            Some((code, _)) => {
                self.quic.close(code, "", quic_instant(at));
                true
            }
            None => false,
        }
    }

    /// The protocol has said its last.
    pub(super) fn close_soon(&mut self, code: u64, at: Instant) {
        // An ERROR or a GOODBYE that CONNECTION_CLOSE overtakes is lost: many stacks drop what the
        // application has not read by then.
        let linger = if code != 0 || self.proto.is_draining() {
            LAST_WORDS
        } else {
            Duration::MIN
        };
        self.closing = Some((code, at.checked_add(linger).unwrap_or(at)));
    }

    pub(super) fn take_quic_events(&mut self, now: Now, at: Instant) {
        while let Some(event) = self.quic.poll_event() {
            match event {
                Quic::Connected => self.greet(now, at),
                Quic::StreamsAvailable => self.waiters.wake(),
                Quic::Opened(id) => self.stream_opened(id),
                // All streams are looked at; tickets and tokens stay with QUIC.
                Quic::Readable(_) | Quic::Finished(_) | Quic::Ticket | Quic::Token => {}
                Quic::Writable(id) => self.stream_writable(id),
                Quic::Reset { stream, code } => self.stream_reset(stream, code),
                Quic::Stopped { stream, code } => self.stream_stopped(stream, code),
                Quic::Closed(reason) => self.quic_closed(reason, now, at),
            }
        }
    }

    /// The QUIC handshake is done: HELLO.
    fn greet(&mut self, now: Now, at: Instant) {
        self.set_status(Status::Greeting);
        self.proto.restart(self.options.protocol, now);
        self.up = true;
        let mut exporter = [0; EXPORTER_LEN];
        // Without the value no identity is bound to the channel, which a node that asks for it is
        // told.
        if self
            .quic
            .export_keying_material(EXPORTER_LABEL, b"", &mut exporter)
        {
            self.proto.bind_channel(&exporter, &self.nonces.1);
        }
        let local = Local {
            signer: self.options.signer,
            capabilities: self.options.capabilities,
        };
        let said = self.proto.start(&local, &self.nonces.0, now);
        let control = self.quic.open();
        let is_control = control.is_ok_and(|id| id.get() == StreamId::CONTROL.get());
        if let Err(error) = said {
            self.note_why(Closed::Hello(error));
        }
        if said.is_err() || !is_control {
            self.proto.close();
            self.quic.close(0, "", quic_instant(at));
        }
    }

    /// Reads on in the control stream.
    pub(super) fn read_control(&mut self, now: Now) {
        let Some(id) = quic_id(StreamId::CONTROL) else {
            return;
        };
        let was_open = self.is_open();
        loop {
            let peek = self.quic.peek(id);
            if peek.bytes.is_empty() && !peek.fin {
                return;
            }
            let (offered, had_fin) = (peek.bytes.len(), peek.fin);
            let mut input = aire_proto::Input::new(peek.bytes, peek.fin);
            let event = self.proto.poll_input(StreamId::CONTROL, &mut input, now);
            let judges = matches!(event, Some(aire_proto::Event::HelloReceived));
            let told = event.is_some();
            let read = offered.saturating_sub(input.unread().len());
            let fin = had_fin && input.is_done();
            self.quic.consume(id, read, fin);
            if judges {
                self.authenticate(now);
            }
            // What opens the connection is followed by other streams first.
            let opened = !was_open && self.is_open();
            if opened {
                self.opened();
            }
            if opened || (!told && read == 0 && !fin) {
                return;
            }
        }
    }

    /// Judges the node's HELLO.
    #[inline(never)]
    fn authenticate(&mut self, now: Now) {
        let local = Local {
            signer: self.options.signer,
            capabilities: self.options.capabilities,
        };
        let mut verifier = Verifier {
            keys: self.options.keys,
            signatures: self.options.signatures,
            replay: &mut *self.replay,
        };
        let judged = self.proto.authenticate(&local, &mut verifier, now);
        if judged == Ok(aire_proto::connection::Authenticated::KeyAwaited) {
            // Nobody here fetches keys.
            self.proto.close();
        }
        let key = self.proto.agreement().and_then(|agreed| agreed.peer_key);
        let wrong = self
            .options
            .expects
            .is_some_and(|expected| key != Some(expected));
        if judged.is_ok() && wrong {
            self.note_why(Closed::OtherNode);
            self.proto.close();
        }
    }

    /// Both HELLOs are good.
    fn opened(&mut self) {
        info!("connected");
        self.set_status(Status::Connected);
    }

    /// Notes why there is no connection, the first time for each attempt.
    pub(crate) fn note_why(&mut self, why: Closed) {
        if !core::mem::replace(&mut self.told_why, true) {
            self.why = Some(why);
        }
    }

    /// QUIC is over. What it brought before is still read.
    fn quic_closed(&mut self, reason: aire_quic::CloseReason, now: Now, at: Instant) {
        debug!("the connection is over: {}", reason);
        self.closing = None;
        if self.is_open() {
            self.gone = Some((reason, at.checked_add(READ_OUT).unwrap_or(at)));
        } else {
            self.end(reason, now);
        }
    }

    /// Ends what is left of a connection that is over, once nothing of it waits to be read.
    pub(super) fn end_if_read(&mut self, at: Instant, now: Now) {
        let Some((reason, due)) = self.gone else {
            return;
        };
        if due <= at || !self.has_unread(now) {
            self.gone = None;
            self.end(reason, now);
        }
    }

    /// Whether something came that nobody will send again.
    fn has_unread(&self, now: Now) -> bool {
        self.slots.iter().any(|slot| {
            let came = slot.stream.and_then(quic_id).map(|id| self.quic.peek(id));
            let waits = came.is_some_and(|came| came.fin || !came.bytes.is_empty());
            (waits || slot.front.is_some()) && !slot.has_token(now.unix)
        })
    }

    /// The connection is over, and everything on it.
    fn end(&mut self, reason: aire_quic::CloseReason, now: Now) {
        let told = match reason {
            aire_quic::CloseReason::Application { code } => Some(code),
            _ => None,
        };
        if self.up {
            self.proto.connection_lost(told);
            self.take_events(now);
        } else {
            self.note_why(Closed::Transport(reason));
        }
        if self.why == Some(Closed::Protocol(CloseReason::Lost)) {
            self.why = Some(Closed::Transport(reason));
        }
        self.up = false;
        for slot in self.slots.iter_mut() {
            if matches!(slot.stage, Stage::Opening { .. }) {
                *slot = Slot::default();
            }
        }
        self.waiters.wake();
    }

    /// Tells what the protocol has to tell besides what it reads.
    pub(super) fn take_events(&mut self, now: Now) {
        while let Some(event) = self.proto.poll_event() {
            match event {
                aire_proto::Event::InputFinished { stream } => {
                    if let Some(slot) = self.slot_of(stream).and_then(|at| self.slots.get_mut(at)) {
                        slot.input_finished = true;
                        slot.wake();
                    }
                }
                aire_proto::Event::Ended {
                    stream,
                    outcome,
                    by,
                } => {
                    if let Some(index) = self.slot_of(stream) {
                        self.ended(index, outcome, by, now);
                    }
                }
                aire_proto::Event::Closed(reason) => {
                    self.note_why(Closed::Protocol(reason));
                }
                _ => {}
            }
        }
    }

    /// The protocol has forgotten an operation.
    fn ended(
        &mut self,
        index: usize,
        outcome: aire_proto::connection::Outcome,
        by: aire_proto::connection::Side,
        now: Now,
    ) {
        let connection_ended = self.proto.is_closed();
        let Some(slot) = self.slots.get_mut(index) else {
            return;
        };
        slot.detach();
        if connection_ended && slot.may_resume(outcome, by, now.unix) {
            slot.suspended = true;
            slot.skip = slot.partial.given;
        } else {
            let end = result(outcome, slot.cancelled);
            slot.end.get_or_insert(end);
        }
        slot.wake();
        let held = slot.stage == Stage::Held;
        if !held && !slot.suspended {
            self.free(index);
        }
        self.waiters.wake();
    }
}
