//! Deadlines: loss, silence, the handshake, a new path, the end (RFC 9000 §10.1, RFC 9002 §6.2).

use super::books::Books;
use super::{Connection, DATAGRAM, State};
use crate::error::{Code, fault};
use crate::event::CloseReason;
use crate::recovery::Space;
use crate::time::{Instant, Micros};

impl Connection<'_> {
    /// When [`handle_timeout`](Self::handle_timeout) is due next. It may turn out that nothing was.
    #[must_use]
    pub fn next_deadline(&self) -> Option<Instant> {
        match self.state {
            State::Drained => None,
            State::Closing | State::Draining => Some(self.close_deadline),
            State::Handshaking | State::Connected => {
                let handshake =
                    (self.state == State::Handshaking).then_some(self.handshake_deadline);
                let others = [
                    handshake,
                    self.recovery.next_deadline(),
                    self.spaces.get(Space::Application).received.deadline(),
                    self.path_deadline(),
                ];
                let first = others.iter().flatten().min();
                Some(first.map_or(self.idle_deadline, |&first| first.min(self.idle_deadline)))
            }
        }
    }

    /// A challenge that has to wait for the congestion window is woken by what opens that.
    fn path_deadline(&self) -> Option<Instant> {
        let may_send = self.recovery.may_send(Space::Application, DATAGRAM);
        self.path.next_deadline().filter(|_| may_send)
    }

    /// Does what is due at `now`. Drain [`poll_transmit`](Self::poll_transmit) afterwards.
    pub fn handle_timeout(&mut self, now: Instant) {
        match self.state {
            State::Drained => {}
            State::Closing | State::Draining => {
                if self.close_deadline <= now {
                    self.state = State::Drained;
                }
            }
            State::Handshaking if self.handshake_deadline <= now => {
                self.vanish(CloseReason::HandshakeTimeout, now);
            }
            State::Handshaking | State::Connected if self.idle_deadline <= now => {
                self.vanish(CloseReason::Idle, now);
            }
            State::Handshaking | State::Connected => {
                if self.path.has_failed(now) {
                    let error = fault!(Code::NO_VIABLE_PATH, "the new path does not answer");
                    self.fail(error, 0, now);
                    return;
                }
                self.on_recovery_timeout(now);
            }
        }
    }

    fn on_recovery_timeout(&mut self, now: Instant) {
        // Before its deadline it does nothing.
        let mut books = Books {
            streams: &mut self.streams,
            outgoing: &mut self.outgoing,
            local_ids: &mut self.local_ids,
            remote_ids: &mut self.remote_ids,
            // Nothing is acknowledged by a timeout, so the space does not matter.
            received: &mut self.spaces.get_mut(Space::Application).received,
        };
        self.recovery
            .on_timeout(now, &mut |_, fate, carried| books.settle(fate, carried));
    }

    /// A packet came, or one was sent that must be answered: silence is counted from now.
    pub(super) fn restart_idle_timer(&mut self, now: Instant) {
        self.idle_deadline = now.after(self.idle_timeout());
        self.idle_restarted_by_sending = false;
    }

    /// The shorter of both ends' timeouts, but time enough for three probes.
    fn idle_timeout(&self) -> Micros {
        let (ours, theirs) = (self.config.idle_timeout, self.peer_idle_timeout);
        let agreed = if theirs == Micros::ZERO {
            ours
        } else {
            ours.min(theirs)
        };
        agreed.max(self.recovery.pto().times(3))
    }
}
