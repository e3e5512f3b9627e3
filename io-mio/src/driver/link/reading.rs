//! From what quiche received to the protocol, and from the protocol to the application.

use aire_proto::connection::Outcome;
use aire_proto::{Connection, ErrorCode, Input, Now, StreamId};
use quiche::Shutdown;

use super::{Link, Shared, Tell};
use crate::driver::Event;
use crate::driver::outbox::Calls;

impl Link {
    pub(super) fn read_all(&mut self, shared: &mut Shared, now: Now, tell: Tell<'_>) {
        // HELLO first: until it is judged, no other stream is read (GAP-12). Once it is, the
        // control stream comes last: a GOODBYE must not overtake operations that came with it.
        if !self.is_open() && self.quic.stream_readable(0) {
            self.read(StreamId::CONTROL, shared, now, tell);
        }
        for id in self.quic.readable() {
            match StreamId::new(id) {
                Some(stream) if stream != StreamId::CONTROL => self.read(stream, shared, now, tell),
                _ => {}
            }
        }
        let waits = !self.control_unread.is_empty() || self.control_unread_fin;
        if self.is_open() && (self.quic.stream_readable(0) || waits) {
            self.read(StreamId::CONTROL, shared, now, tell);
        }
    }

    /// Reads on where an application that had paused takes more. Whether there was any.
    pub(super) fn read_resumed(&mut self, shared: &mut Shared, now: Now, tell: Tell<'_>) -> bool {
        let resumed = std::mem::take(&mut self.resumed);
        for stream in &resumed {
            self.read(*stream, shared, now, tell);
        }
        !resumed.is_empty()
    }

    /// Looks for the end of a stream that is not to be read for now: a reset ends the operation at
    /// once, whatever lies before it (`CAN-1`).
    fn look_ahead(&mut self, stream: StreamId) {
        match self.quic.stream_recv(stream.get(), &mut []) {
            Err(quiche::Error::StreamReset(code)) => self.reset(stream, code),
            Ok((_, true)) => {
                if let Some(entry) = self.streams.get_mut(&stream) {
                    entry.unread_fin = true;
                }
            }
            _ => {}
        }
    }

    pub(super) fn reset(&mut self, stream: StreamId, code: u64) {
        let Some(proto) = &mut self.proto else { return };
        proto.stream_reset(stream, code);
        if stream != StreamId::CONTROL && proto.op_id(stream).is_none() {
            // Given up before its first frame: nobody else will end our side of it.
            let _gone = self
                .quic
                .stream_shutdown(stream.get(), Shutdown::Write, code);
        }
    }

    fn read(&mut self, stream: StreamId, shared: &mut Shared, now: Now, tell: Tell<'_>) {
        if stream != StreamId::CONTROL && !self.may_read(stream) {
            if self.is_paused(stream) {
                self.look_ahead(stream);
            }
            return;
        }
        let kept = match self.streams.get_mut(&stream) {
            Some(entry) => (
                std::mem::take(&mut entry.unread),
                std::mem::take(&mut entry.unread_fin),
            ),
            None if stream == StreamId::CONTROL => (
                std::mem::take(&mut self.control_unread),
                std::mem::take(&mut self.control_unread_fin),
            ),
            None => (Vec::new(), false),
        };
        if (!kept.0.is_empty() || kept.1) && !self.feed(stream, &kept.0, kept.1, shared, now, tell)
        {
            return;
        }
        let was_open = self.is_open();
        let mut buffer = std::mem::take(&mut shared.buffer);
        // What opens the connection is followed by other streams first: see read_all.
        while self.may_read(stream) || (stream == StreamId::CONTROL && self.is_open() == was_open) {
            match self.quic.stream_recv(stream.get(), &mut buffer) {
                Ok((len, fin)) => {
                    let bytes = buffer.get(..len).unwrap_or_default();
                    self.tally.received(stream, bytes);
                    if !self.feed(stream, bytes, fin, shared, now, tell) || fin {
                        break;
                    }
                }
                Err(quiche::Error::StreamReset(code)) => {
                    self.reset(stream, code);
                    break;
                }
                Err(_) => break,
            }
        }
        shared.buffer = buffer;
        if self.quic.stream_finished(stream.get()) {
            self.forget_flow(stream);
        }
    }

    /// A side of a stream is over. Where there is no operation, nobody else will end the other.
    pub(super) fn forget_flow(&mut self, stream: StreamId) {
        if stream != StreamId::CONTROL && !self.streams.contains_key(&stream) {
            self.tally.forget(stream);
        }
    }

    pub(super) fn is_open(&self) -> bool {
        self.proto.as_ref().is_some_and(Connection::is_open)
    }

    fn may_read(&self, stream: StreamId) -> bool {
        stream != StreamId::CONTROL && self.is_open() && !self.is_paused(stream)
    }

    fn is_paused(&self, stream: StreamId) -> bool {
        self.streams.get(&stream).is_some_and(|entry| entry.paused)
    }

    /// Gives bytes to the protocol, and its events to the application. Whether all of it was
    /// taken; the rest is kept.
    fn feed(
        &mut self,
        stream: StreamId,
        bytes: &[u8],
        fin: bool,
        shared: &mut Shared,
        now: Now,
        tell: Tell<'_>,
    ) -> bool {
        let mut input = Input::new(bytes, fin);
        loop {
            let Some(proto) = &mut self.proto else {
                return false;
            };
            if self.streams.get(&stream).is_some_and(|entry| entry.paused) {
                break;
            }
            let Some(event) = proto.poll_input(stream, &mut input, now) else {
                break;
            };
            match event {
                aire_proto::Event::HelloReceived => self.authenticate(None, shared, now, tell),
                aire_proto::Event::ChannelBound => {
                    self.tell_connected(shared, tell);
                    // Operations that came with it go first: see read_all.
                    break;
                }
                aire_proto::Event::NoRoom { stream } => {
                    let refused = Outcome::Failed(ErrorCode::Refused);
                    shared.counters.operation_ended(refused);
                    self.reset_both(stream, ErrorCode::Refused.to_wire());
                }
                event => {
                    let opens = matches!(
                        event,
                        aire_proto::Event::Invoked { .. } | aire_proto::Event::Resumed { .. }
                    );
                    if opens {
                        self.streams.entry(stream).or_default();
                    }
                    let mut calls = Calls {
                        streams: &mut self.streams,
                        touched: &mut self.touched,
                        resumed: &mut self.resumed,
                        limit: shared.settings.send_queue,
                    };
                    tell(self.key, Event::Protocol(event), &mut calls);
                    if opens {
                        self.share_ledger(stream, now);
                    }
                }
            }
        }
        if input.is_done() {
            return true;
        }
        let fin = fin && !input.is_done();
        match self.streams.get_mut(&stream) {
            Some(entry) => {
                entry.unread = input.unread().to_vec();
                entry.unread_fin = fin;
            }
            None if stream == StreamId::CONTROL => {
                self.control_unread = input.unread().to_vec();
                self.control_unread_fin = fin;
            }
            None => {}
        }
        false
    }

    /// Reads on after a key was fetched.
    pub(in crate::driver) fn read_control(
        &mut self,
        shared: &mut Shared,
        now: Now,
        tell: Tell<'_>,
    ) {
        self.read(StreamId::CONTROL, shared, now, tell);
    }
}
