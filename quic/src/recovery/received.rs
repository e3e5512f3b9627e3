//! Which packets of one space were received, and when they are to be acknowledged (RFC 9000 §13.2).

use crate::coding::Writer;
use crate::ranges::{Range, RangeSet};
use crate::time::{Instant, Micros};

use super::ack;

/// How long an acknowledgement waits for a second packet at the most: the value of max_ack_delay
/// that counts when the transport parameter is not sent (RFC 9000 §18.2).
pub(crate) const MAX_ACK_DELAY: Micros = Micros::from_millis(25);

/// The scale of the delays in our ACK frames, again the one that needs no transport parameter.
pub(crate) const ACK_DELAY_EXPONENT: u32 = 3;

/// How many ranges are remembered. Where more gaps are open, the oldest packets are forgotten.
const MAX_RANGES: usize = 8;

/// The packets that were received in one space.
#[derive(Clone, Debug)]
pub(crate) struct Received {
    ranges: RangeSet<MAX_RANGES>,
    /// Nothing is known about the numbers below: they are taken for duplicates.
    floor: u64,
    /// When the packet with the largest number came.
    newest_at: Instant,
    /// When an ACK has to be sent; `None` when nothing ack-eliciting waits for one.
    due: Option<Instant>,
    /// Two ack-eliciting packets are not made to wait. This is one that does.
    one_waits: bool,
    /// A number was skipped or came late since the last ACK.
    disordered: bool,
    /// How long an ACK may wait: not at all in the spaces of the handshake.
    patience: Micros,
}

impl Received {
    /// Nothing received. `at_once` is for the spaces of the handshake, where no ACK waits
    /// (RFC 9000 §13.2.1).
    pub(crate) const fn new(at_once: bool) -> Self {
        Self {
            ranges: RangeSet::new(),
            floor: 0,
            newest_at: Instant::from_micros(0),
            due: None,
            one_waits: false,
            disordered: false,
            patience: if at_once { Micros::ZERO } else { MAX_ACK_DELAY },
        }
    }

    /// Whether packet `number` is to be processed. `false` for a duplicate and for what is too old
    /// to tell.
    pub(crate) fn is_new(&self, number: u64) -> bool {
        let ranges = self.ranges.as_slice();
        let unremembered = ranges.len() == MAX_RANGES
            && ranges
                .first()
                .is_some_and(|lowest| number.saturating_add(1) < lowest.start);
        number >= self.floor && !unremembered && !self.ranges.contains(number)
    }

    /// The largest number received; packet numbers are decoded from it.
    pub(crate) fn largest(&self) -> Option<u64> {
        let end = self.ranges.last().map_or(self.floor, |range| range.end);
        end.checked_sub(1)
    }

    /// Remembers a packet that was processed and [is new](Self::is_new). A packet that is not to
    /// be acknowledged must not be noted.
    pub(crate) fn note(&mut self, number: u64, ack_eliciting: bool, now: Instant) {
        let expected = self
            .largest()
            .map_or(0, |largest| largest.saturating_add(1));
        self.disordered |= number != expected;
        if number >= expected {
            self.newest_at = now;
        }
        let added = Range::new(number, number.saturating_add(1));
        if self.ranges.insert(added).is_err() {
            if let Some(oldest) = self.ranges.pop_first() {
                self.floor = self.floor.max(oldest.end);
            }
            // It cannot fail: a range was just taken out.
            let _ = self.ranges.insert(added);
        }
        if ack_eliciting {
            let at_once = self.one_waits || self.disordered;
            let due = now.after(if at_once { Micros::ZERO } else { self.patience });
            self.due = Some(self.due.map_or(due, |earlier| earlier.min(due)));
            self.one_waits = true;
        }
    }

    /// Whether an ACK has to be sent now, in a packet of its own if there is no other.
    pub(crate) fn wants_ack(&self, now: Instant) -> bool {
        self.due.is_some_and(|due| due <= now)
    }

    /// When [`wants_ack`](Self::wants_ack) becomes true. `Some` also means that a packet which is
    /// sent for another reason had better carry an ACK.
    pub(crate) const fn deadline(&self) -> Option<Instant> {
        self.due
    }

    /// Writes an ACK frame of all that is remembered, and gives the largest number in it. `None`:
    /// nothing to acknowledge, or no room; nothing was written. 80 bytes are always enough as
    /// long as packet numbers stay below 2^30.
    pub(crate) fn write_ack(&mut self, out: &mut Writer<'_>, now: Instant) -> Option<u64> {
        let delay = now.since(self.newest_at).get() >> ACK_DELAY_EXPONENT;
        ack::encode(out, self.ranges.as_slice(), delay)?;
        self.due = None;
        self.one_waits = false;
        self.disordered = false;
        self.largest()
    }

    /// The peer has seen an ACK of everything below `bound`: it needs not be told again, and what
    /// still comes from below is late by a round trip at least and taken for a duplicate.
    pub(crate) fn on_ack_acked(&mut self, bound: u64) {
        self.ranges.remove_below(bound);
        self.floor = self.floor.max(bound);
    }
}

#[cfg(test)]
#[allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects
)]
mod tests {
    use std::collections::BTreeSet;
    use std::vec::Vec;

    use proptest::prelude::*;

    use super::*;
    use crate::coding::Reader;
    use crate::recovery::Ack;

    fn at(millis: u64) -> Instant {
        Instant::from_micros(millis * 1000)
    }

    fn acknowledge(received: &mut Received, now: Instant) -> Option<Vec<u64>> {
        let mut out = [0; 200];
        let mut writer = Writer::new(&mut out);
        let largest = received.write_ack(&mut writer, now)?;
        let ack = Ack::parse(&mut Reader::new(&writer.written()[1..]), false).unwrap();
        assert_eq!(ack.largest, largest);
        Some(ack.iter().flatten().collect())
    }

    #[test]
    fn one_packet_waits_for_25_ms_and_a_second_ends_the_wait() {
        let mut received = Received::new(false);
        received.note(0, true, at(10));
        assert_eq!(received.deadline(), Some(at(35)));
        assert!(!received.wants_ack(at(34)) && received.wants_ack(at(35)));
        received.note(1, true, at(11));
        assert!(received.wants_ack(at(11)));
        assert_eq!(acknowledge(&mut received, at(11)).unwrap(), [0, 1]);
        assert_eq!(received.deadline(), None);
    }

    #[test]
    fn nothing_waits_during_the_handshake() {
        let mut received = Received::new(true);
        received.note(0, true, at(10));
        assert!(received.wants_ack(at(10)));
    }

    #[test]
    fn packets_that_elicit_nothing_never_cause_an_ack() {
        let mut received = Received::new(true);
        for number in [0, 1, 5, 3] {
            received.note(number, false, at(number));
        }
        assert_eq!(received.deadline(), None);
    }

    #[test]
    fn a_gap_and_a_late_packet_are_told_at_once() {
        let mut received = Received::new(false);
        received.note(0, false, at(0));
        received.note(2, true, at(1));
        assert!(received.wants_ack(at(1)));
        acknowledge(&mut received, at(1));
        received.note(1, true, at(2));
        assert!(received.wants_ack(at(2)));
        acknowledge(&mut received, at(2));
        // The gap before 5 is first seen by a packet that elicits nothing.
        received.note(5, false, at(3));
        assert_eq!(received.deadline(), None);
        received.note(6, true, at(3));
        assert!(received.wants_ack(at(3)));
    }

    #[test]
    fn the_delay_is_that_of_the_largest_packet_in_steps_of_8_us() {
        let mut received = Received::new(false);
        received.note(1, true, at(10));
        received.note(0, true, at(12));
        let mut out = [0; 20];
        let mut writer = Writer::new(&mut out);
        received.write_ack(&mut writer, at(14)).unwrap();
        let ack = Ack::parse(&mut Reader::new(&writer.written()[1..]), false).unwrap();
        assert_eq!(ack.delay, 4000 / 8);
    }

    #[test]
    fn an_ack_that_did_not_fit_stays_due() {
        let mut received = Received::new(true);
        received.note(0, true, at(0));
        assert_eq!(
            received.write_ack(&mut Writer::new(&mut [0; 4]), at(0)),
            None
        );
        assert!(received.wants_ack(at(0)));
    }

    #[test]
    fn what_the_peer_knows_to_be_acknowledged_is_not_told_again() {
        let mut received = Received::new(false);
        for number in [0, 1, 3, 4] {
            received.note(number, true, at(0));
        }
        received.on_ack_acked(4);
        assert!(!received.is_new(2) && !received.is_new(4) && received.is_new(5));
        assert_eq!(acknowledge(&mut received, at(0)).unwrap(), [4]);
        received.on_ack_acked(5);
        assert_eq!(received.largest(), Some(4));
        assert_eq!(acknowledge(&mut received, at(0)), None);
    }

    #[test]
    fn with_too_many_gaps_the_oldest_packets_are_forgotten_and_never_taken_again() {
        let mut received = Received::new(false);
        for number in (2..18).step_by(2) {
            received.note(number, true, at(0));
        }
        // There is room for 1, which touches a range, but not for 0.
        assert!(!received.is_new(0) && received.is_new(1) && received.is_new(3));
        received.note(18, true, at(0));
        assert!(!received.is_new(1) && !received.is_new(2) && received.is_new(3));
        assert_eq!(received.ranges.as_slice().len(), MAX_RANGES);
    }

    proptest! {
        #[test]
        fn no_packet_is_processed_twice_and_only_received_ones_are_acknowledged(
            steps in prop::collection::vec((0_u64..60, any::<bool>(), 0_u8..12), 1..150)
        ) {
            let mut received = Received::new(false);
            let mut processed = BTreeSet::new();
            let mut waiting = false;
            for (time, (number, ack_eliciting, action)) in steps.into_iter().enumerate() {
                let now = at(time as u64);
                match action {
                    0 => received.on_ack_acked(number),
                    1 => {
                        if let Some(numbers) = acknowledge(&mut received, now) {
                            prop_assert!(numbers.iter().all(|number| processed.contains(number)));
                            waiting = false;
                        }
                    }
                    _ if received.is_new(number) => {
                        received.note(number, ack_eliciting, now);
                        prop_assert!(processed.insert(number));
                        prop_assert!(!received.is_new(number));
                        waiting |= ack_eliciting;
                    }
                    _ => {}
                }
                prop_assert_eq!(received.deadline().is_some(), waiting);
                prop_assert!(received.deadline().is_none_or(|due| due <= now.after(MAX_ACK_DELAY)));
            }
        }
    }
}
