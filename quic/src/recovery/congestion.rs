//! NewReno congestion control (RFC 9002 §7, appendix B), in bytes.
//!
//! Nothing is paced: a timer per packet costs more than a small device gains. §7.7 then asks for
//! bursts no larger than the initial window, and that is what [`NewReno::may_send`] allows before
//! another acknowledgement comes.

use crate::time::Instant;

/// The largest UDP payload that is sent: the path's MTU is not probed for more.
pub(crate) const MAX_DATAGRAM: u32 = 1200;

/// The window at the start, and the longest burst (§7.2).
pub(crate) const INITIAL_WINDOW: u32 = 10 * MAX_DATAGRAM;

/// The window never gets smaller (§7.2).
pub(crate) const MINIMUM_WINDOW: u32 = 2 * MAX_DATAGRAM;

/// The congestion window and what is in flight.
#[derive(Clone, Copy, Debug)]
pub(crate) struct NewReno {
    window: u32,
    /// Below it, the window grows by what is acknowledged (slow start).
    threshold: u32,
    in_flight: u32,
    /// When the window was last reduced. What was sent until then neither grows nor reduces it.
    recovery_start: Option<Instant>,
    /// When a packet was last sent that filled the window. What was sent later has not shown that
    /// the window is too small (§7.8).
    filled: Option<Instant>,
    /// Bytes that the current ACK frame acknowledges and that may grow the window.
    acked: u32,
    /// Bytes acknowledged since congestion avoidance last grew the window.
    credit: u32,
    /// Bytes sent since the last acknowledgement.
    burst: u32,
}

impl NewReno {
    pub(crate) const fn new() -> Self {
        Self {
            window: INITIAL_WINDOW,
            threshold: u32::MAX,
            in_flight: 0,
            recovery_start: None,
            filled: None,
            acked: 0,
            credit: 0,
            burst: 0,
        }
    }

    pub(crate) const fn window(&self) -> u32 {
        self.window
    }

    pub(crate) const fn in_flight(&self) -> u32 {
        self.in_flight
    }

    /// Whether `bytes` more may be in flight.
    pub(crate) fn may_send(&self, bytes: u32) -> bool {
        // With nothing in flight no acknowledgement comes that could end a burst.
        let burst = if self.in_flight == 0 { 0 } else { self.burst };
        self.in_flight.saturating_add(bytes) <= self.window
            && burst.saturating_add(bytes) <= INITIAL_WINDOW
    }

    pub(crate) fn on_sent(&mut self, bytes: u32, now: Instant) {
        if self.in_flight == 0 {
            self.burst = 0;
        }
        self.burst = self.burst.saturating_add(bytes);
        self.in_flight = self.in_flight.saturating_add(bytes);
        if self.in_flight.saturating_add(MAX_DATAGRAM) > self.window {
            self.filled = Some(now);
        }
    }

    /// A packet is no longer in flight, whatever became of it.
    pub(crate) const fn on_gone(&mut self, bytes: u32) {
        self.in_flight = self.in_flight.saturating_sub(bytes);
    }

    /// A packet that was sent at `sent` is acknowledged. The window grows at
    /// [the end of the ACK](Self::on_ack_end), for a loss that the same ACK reveals comes first.
    pub(crate) fn on_acked(&mut self, bytes: u32, sent: Instant) {
        self.on_gone(bytes);
        self.burst = 0;
        let filled_the_window = self.filled.is_some_and(|filled| sent <= filled);
        if filled_the_window && !self.is_in_recovery(sent) {
            self.acked = self.acked.saturating_add(bytes);
        }
    }

    /// The ACK frame was read through: the window grows by what it acknowledged.
    pub(crate) fn on_ack_end(&mut self) {
        let acked = core::mem::take(&mut self.acked);
        let slow_start = acked.min(self.threshold.saturating_sub(self.window));
        self.window = self.window.saturating_add(slow_start);
        // Congestion avoidance: a datagram for each window that is acknowledged (§7.3.3).
        let rest = acked.saturating_sub(slow_start);
        self.credit = self.credit.saturating_add(rest);
        if rest > 0 && self.credit >= self.window {
            self.credit = self.credit.saturating_sub(self.window);
            self.window = self.window.saturating_add(MAX_DATAGRAM);
        }
    }

    /// Packets were lost, the newest of them sent at `sent`: the window is halved, but only once
    /// for all that was sent before (§7.3.2).
    pub(crate) fn on_lost(&mut self, sent: Instant, now: Instant) {
        if self.is_in_recovery(sent) {
            return;
        }
        self.recovery_start = Some(now);
        self.threshold = self.window / 2;
        self.window = self.threshold.max(MINIMUM_WINDOW);
        self.acked = 0;
        self.credit = 0;
    }

    /// Persistent congestion: slow start begins again, with the smallest window (§7.6.2).
    pub(crate) const fn collapse(&mut self) {
        self.window = MINIMUM_WINDOW;
        self.recovery_start = None;
        self.acked = 0;
        self.credit = 0;
    }

    fn is_in_recovery(&self, sent: Instant) -> bool {
        self.recovery_start.is_some_and(|start| sent <= start)
    }
}

#[cfg(test)]
#[allow(clippy::arithmetic_side_effects)]
mod tests {
    use super::*;

    fn at(millis: u64) -> Instant {
        Instant::from_micros(millis * 1000)
    }

    /// Sends full datagrams at `now` until the window is full, and says how many.
    fn fill(reno: &mut NewReno, now: Instant) -> u32 {
        let mut sent = 0;
        while reno.in_flight() + MAX_DATAGRAM <= reno.window() {
            reno.on_sent(MAX_DATAGRAM, now);
            sent += 1;
        }
        sent
    }

    fn acknowledge(reno: &mut NewReno, packets: u32, sent: Instant) {
        for _ in 0..packets {
            reno.on_acked(MAX_DATAGRAM, sent);
        }
        reno.on_ack_end();
    }

    #[test]
    fn slow_start_doubles_the_window_in_each_round_trip() {
        let mut reno = NewReno::new();
        assert_eq!(fill(&mut reno, at(0)), 10);
        assert!(!reno.may_send(1));
        for _ in 0..10 {
            acknowledge(&mut reno, 1, at(0));
        }
        assert_eq!((reno.window(), reno.in_flight()), (2 * INITIAL_WINDOW, 0));
    }

    #[test]
    fn a_loss_halves_the_window_once_for_all_that_was_sent_before_it_was_seen() {
        let mut reno = NewReno::new();
        fill(&mut reno, at(0));
        reno.on_gone(MAX_DATAGRAM);
        reno.on_lost(at(0), at(5));
        assert_eq!(reno.window(), INITIAL_WINDOW / 2);
        reno.on_gone(MAX_DATAGRAM);
        reno.on_lost(at(5), at(6));
        assert_eq!(reno.window(), INITIAL_WINDOW / 2);
        // What was sent before does not grow it either.
        acknowledge(&mut reno, 8, at(5));
        assert_eq!(reno.window(), INITIAL_WINDOW / 2);
        reno.on_lost(at(6), at(7));
        assert_eq!(reno.window(), INITIAL_WINDOW / 4);
    }

    #[test]
    fn a_loss_comes_before_the_growth_by_the_same_ack() {
        let mut reno = NewReno::new();
        fill(&mut reno, at(0));
        reno.on_acked(MAX_DATAGRAM, at(0));
        reno.on_lost(at(0), at(5));
        reno.on_ack_end();
        assert_eq!(reno.window(), INITIAL_WINDOW / 2);
    }

    #[test]
    fn congestion_avoidance_adds_a_datagram_for_each_window_that_is_acknowledged() {
        let mut reno = NewReno::new();
        fill(&mut reno, at(0));
        reno.on_lost(at(0), at(1));
        acknowledge(&mut reno, 10, at(0));
        assert_eq!(fill(&mut reno, at(2)), 5);
        acknowledge(&mut reno, 4, at(2));
        assert_eq!(reno.window(), 5 * MAX_DATAGRAM);
        acknowledge(&mut reno, 1, at(2));
        assert_eq!(reno.window(), 6 * MAX_DATAGRAM);
        assert_eq!(fill(&mut reno, at(3)), 6);
        acknowledge(&mut reno, 6, at(3));
        assert_eq!(reno.window(), 7 * MAX_DATAGRAM);
    }

    #[test]
    fn slow_start_ends_at_the_threshold() {
        let mut reno = NewReno::new();
        fill(&mut reno, at(0));
        reno.on_lost(at(0), at(1));
        acknowledge(&mut reno, 10, at(0));
        reno.collapse();
        assert_eq!(reno.window(), MINIMUM_WINDOW);
        // Even what is sent in the same instant is behind the collapse. Doubled to 4, then 1 up to
        // the threshold of 5; the other 3 count towards the next, and so do 3 of the next 8.
        for (millis, window) in [(1, 4), (2, 5), (3, 6)] {
            let packets = fill(&mut reno, at(millis));
            acknowledge(&mut reno, packets, at(millis));
            assert_eq!(reno.window(), window * MAX_DATAGRAM);
        }
        fill(&mut reno, at(4));
        acknowledge(&mut reno, 2, at(4));
        assert_eq!(reno.window(), 6 * MAX_DATAGRAM);
        acknowledge(&mut reno, 1, at(4));
        assert_eq!(reno.window(), 7 * MAX_DATAGRAM);
    }

    #[test]
    fn a_window_that_was_not_filled_does_not_grow() {
        let mut reno = NewReno::new();
        for millis in 0..40 {
            reno.on_sent(MAX_DATAGRAM, at(millis));
            acknowledge(&mut reno, 1, at(millis));
        }
        assert_eq!(reno.window(), INITIAL_WINDOW);
        // A packet from before the moment that filled it was part of what filled it.
        reno.on_sent(MAX_DATAGRAM, at(100));
        fill(&mut reno, at(101));
        acknowledge(&mut reno, 1, at(100));
        assert_eq!(reno.window(), INITIAL_WINDOW + MAX_DATAGRAM);
    }

    #[test]
    fn the_window_never_falls_below_two_datagrams() {
        let mut reno = NewReno::new();
        for millis in 0..10 {
            reno.on_lost(at(2 * millis + 1), at(2 * millis + 1));
        }
        assert_eq!(reno.window(), MINIMUM_WINDOW);
    }

    #[test]
    fn a_burst_ends_at_the_initial_window_until_something_is_acknowledged() {
        let mut reno = NewReno::new();
        fill(&mut reno, at(0));
        acknowledge(&mut reno, 10, at(0));
        let mut packets = 0;
        while reno.may_send(MAX_DATAGRAM) {
            reno.on_sent(MAX_DATAGRAM, at(1));
            packets += 1;
        }
        assert_eq!((packets, reno.window()), (10, 2 * INITIAL_WINDOW));
        acknowledge(&mut reno, 1, at(1));
        assert!(reno.may_send(MAX_DATAGRAM));
        reno.on_sent(INITIAL_WINDOW, at(2));
        assert!(!reno.may_send(1));
        // With nothing in flight there is nothing to wait for.
        reno.on_gone(reno.in_flight());
        assert!(reno.may_send(INITIAL_WINDOW) && !reno.may_send(INITIAL_WINDOW + 1));
    }
}
