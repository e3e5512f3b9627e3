//! Flow control of the whole connection, both ways (RFC 9000 §4.1).

use crate::error::{Code, Fault, fault};
use crate::varint;

/// What the peer may send on all streams together.
#[derive(Debug)]
pub(super) struct Inbound {
    /// How much the peer is known to have sent: the sum of the streams' highest offsets.
    received: u64,
    /// How much of that was read or thrown away.
    consumed: u64,
    /// The largest MAX_DATA that the peer was told.
    limit: u64,
    window: u64,
    /// The last MAX_DATA was lost.
    lost: bool,
}

impl Inbound {
    pub(super) const fn new(window: u64) -> Self {
        Self {
            received: 0,
            consumed: 0,
            limit: window,
            window,
            lost: false,
        }
    }

    pub(super) const fn window(&self) -> u64 {
        self.window
    }

    /// The peer sent `count` bytes more.
    pub(super) fn receive(&mut self, count: u64) -> Result<(), Fault> {
        let received = self.received.saturating_add(count);
        if received > self.limit {
            return Err(fault!(
                Code::FLOW_CONTROL_ERROR,
                "more data than the connection allows"
            ));
        }
        self.received = received;
        Ok(())
    }

    /// `count` received bytes are needed no more.
    pub(super) const fn consume(&mut self, count: u64) {
        self.consumed = self.consumed.saturating_add(count);
    }

    /// Whether MAX_DATA is to be sent.
    pub(super) fn is_due(&self) -> bool {
        self.lost || is_due(self.next(), self.limit, self.window)
    }

    /// The value for MAX_DATA.
    pub(super) fn next(&self) -> u64 {
        self.consumed.saturating_add(self.window).min(varint::MAX)
    }

    /// MAX_DATA with [`Self::next`] was sent.
    pub(super) fn on_sent(&mut self) {
        self.limit = self.next();
        self.lost = false;
    }

    pub(super) const fn on_lost(&mut self) {
        self.lost = true;
    }

    #[cfg(test)]
    pub(super) const fn counts(&self) -> (u64, u64, u64) {
        (self.received, self.consumed, self.limit)
    }
}

/// Whether a limit is to be raised to `next`: once half of the window is free again, so that a frame
/// is worth it and the peer still has something to send meanwhile.
pub(super) const fn is_due(next: u64, limit: u64, window: u64) -> bool {
    next > limit && next.saturating_sub(limit) >= window / 2
}

/// What this end may send on all streams together.
#[derive(Debug, Default)]
pub(super) struct Outbound {
    /// The sum of the streams' highest offsets.
    sent: u64,
    limit: u64,
}

impl Outbound {
    /// How many new bytes may be sent.
    pub(super) const fn credit(&self) -> u64 {
        self.limit.saturating_sub(self.sent)
    }

    pub(super) const fn on_sent(&mut self, count: u64) {
        self.sent = self.sent.saturating_add(count);
    }

    /// The peer allows `limit` bytes; a lower limit than before counts for nothing.
    pub(super) fn raise(&mut self, limit: u64) {
        self.limit = self.limit.max(limit);
    }

    #[cfg(test)]
    pub(super) const fn sent(&self) -> u64 {
        self.sent
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn one_byte_over_the_limit_is_a_flow_control_error() {
        let mut inbound = Inbound::new(10);
        inbound.receive(10).unwrap();
        assert_eq!(inbound.receive(0), Ok(()));
        assert_eq!(
            inbound.receive(1).unwrap_err().code,
            Code::FLOW_CONTROL_ERROR
        );
        assert_eq!(
            inbound.receive(u64::MAX).unwrap_err().code,
            Code::FLOW_CONTROL_ERROR
        );
    }

    #[test]
    fn the_window_opens_again_when_half_of_it_is_free_and_after_a_loss() {
        let mut inbound = Inbound::new(10);
        inbound.receive(10).unwrap();
        inbound.consume(4);
        assert!(!inbound.is_due());
        inbound.consume(1);
        assert!(inbound.is_due());
        assert_eq!(inbound.next(), 15);
        // What was not told does not count.
        assert!(inbound.receive(1).is_err());
        inbound.on_sent();
        assert!(!inbound.is_due());
        inbound.receive(5).unwrap();
        inbound.on_lost();
        assert!(inbound.is_due());
    }

    #[test]
    fn a_limit_that_cannot_grow_is_never_due() {
        assert!(!is_due(0, 0, 0));
        assert!(!is_due(1, 1, 1));
        assert!(is_due(2, 1, 1));
        let mut inbound = Inbound::new(varint::MAX);
        inbound.consume(varint::MAX);
        assert!(!inbound.is_due());
    }

    #[test]
    fn a_lower_limit_takes_nothing_back() {
        let mut outbound = Outbound::default();
        outbound.raise(10);
        outbound.on_sent(4);
        outbound.raise(5);
        assert_eq!(outbound.credit(), 6);
    }
}
