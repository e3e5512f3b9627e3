//! How a connection ends (RFC 9000 §10).

use super::{Connection, State};
use crate::coding::Writer;
use crate::error::{Code, Fault};
use crate::event::CloseReason;
use crate::frame::kind;
use crate::recovery::Space;
use crate::time::Instant;

/// As much of a reason is sent, in bytes.
const REASON_MAX: usize = 128;

/// What CONNECTION_CLOSE says.
#[derive(Clone, Copy, Debug)]
pub(super) struct Farewell {
    /// Of the application (0x1d), or of the transport (0x1c).
    pub(super) application: bool,
    pub(super) code: u64,
    pub(super) frame_type: u8,
    pub(super) reason: &'static str,
    /// It is to be said, for the first time or because the server still sends.
    pub(super) due: bool,
    /// Packets that came since the close. The answer to them gets rarer.
    heard: u32,
}

impl Farewell {
    /// Writes CONNECTION_CLOSE. An application's code is for 1-RTT packets only: before, the
    /// server is told APPLICATION_ERROR (RFC 9000 §10.2.3).
    pub(super) fn write(&self, space: Space, out: &mut Writer<'_>) {
        let veiled = self.application && space != Space::Application;
        let (code, reason) = if veiled {
            (Code::APPLICATION_ERROR.0, "")
        } else {
            (self.code, self.reason)
        };
        // It is far shorter than a packet.
        let _written = if self.application && !veiled {
            out.u8(kind::APPLICATION_CLOSE)
                .and_then(|()| out.varint(code))
        } else {
            out.u8(kind::CONNECTION_CLOSE)
                .and_then(|()| out.varint(code))
                .and_then(|()| out.u8(self.frame_type))
        }
        .and_then(|()| out.varint(reason.len() as u64))
        .and_then(|()| out.bytes(reason.as_bytes()));
    }
}

impl Connection<'_> {
    /// Ends the connection with an application `code`, at most 2^62 - 1, and a text for whoever
    /// debugs the server, the first 128 bytes of which are sent. Drain [`poll_transmit`](Self::poll_transmit) afterwards.
    pub fn close(&mut self, code: u64, reason: &'static str, now: Instant) {
        let code = code.min(crate::varint::MAX);
        let (reason, _) = reason.split_at(reason.floor_char_boundary(REASON_MAX));
        let farewell = Farewell {
            application: true,
            code,
            frame_type: 0,
            reason,
            due: true,
            heard: 0,
        };
        self.say_farewell(farewell, CloseReason::Local { code }, now);
    }

    /// Ends the connection because the server broke a rule, in a frame of `frame_type`.
    pub(super) fn fail(&mut self, error: Fault, frame_type: u8, now: Instant) {
        let farewell = Farewell {
            application: false,
            code: error.code.0,
            frame_type,
            reason: error.reason,
            due: true,
            heard: 0,
        };
        self.say_farewell(farewell, CloseReason::Violation(*error), now);
    }

    fn say_farewell(&mut self, farewell: Farewell, reason: CloseReason, now: Instant) {
        if self.is_closed() {
            return;
        }
        self.farewell = Some(farewell);
        self.over(State::Closing, reason, now);
    }

    /// The server closed the connection: nothing more is said.
    pub(super) fn on_close(&mut self, application: bool, code: u64, frame_type: u64, now: Instant) {
        let reason = if application {
            CloseReason::Application { code }
        } else {
            let code = Code(code);
            CloseReason::Transport { code, frame_type }
        };
        self.drain(reason, now);
    }

    /// Ends the connection without a word, but remembers it until late packets have died out.
    pub(super) fn drain(&mut self, reason: CloseReason, now: Instant) {
        if !matches!(self.state, State::Draining | State::Drained) {
            self.over(State::Draining, reason, now);
        }
    }

    /// Ends the connection at once: nobody is there to be told.
    pub(super) fn vanish(&mut self, reason: CloseReason, now: Instant) {
        self.over(State::Drained, reason, now);
    }

    fn over(&mut self, state: State, reason: CloseReason, now: Instant) {
        self.state = state;
        self.closed.get_or_insert(reason);
        self.close_deadline = now.after(self.recovery.pto().times(3));
    }

    /// A packet came after we closed: every first, second, fourth ... is answered.
    pub(super) fn heard_after_close(&mut self) {
        if let Some(farewell) = &mut self.farewell {
            farewell.heard = farewell.heard.saturating_add(1);
            farewell.due |= farewell.heard.is_power_of_two();
        }
    }
}
