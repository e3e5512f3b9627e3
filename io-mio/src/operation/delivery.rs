//! Who sends what the handler of a resumable operation produces.

use std::collections::VecDeque;

use crate::store::Limits;

/// Who sends the frames.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Route {
    /// The handler, on the stream that invoked it.
    Own,
    /// Nobody: the connection is lost, and the frames wait in the store (`GAP-18`).
    Nobody,
    /// A pump, here or on another node, which took the frames up to this number from the store.
    Pump {
        /// The last that it took.
        taken: u64,
    },
}

/// A responder's frames: how long those are that the store retains, and who sends them.
#[derive(Debug)]
pub(super) struct Delivery {
    limits: Limits,
    /// The number of the first one in `lens`.
    first: u64,
    lens: VecDeque<usize>,
    /// Of those in `lens`.
    bytes: usize,
    /// Of those that a pump has not taken.
    untaken: usize,
    pub(super) route: Route,
}

impl Delivery {
    pub(super) const fn new(limits: Limits) -> Self {
        Self {
            limits,
            first: 1,
            lens: VecDeque::new(),
            bytes: 0,
            untaken: 0,
            route: Route::Own,
        }
    }

    /// The number of the next frame.
    pub(super) fn next(&self) -> u64 {
        self.first.saturating_add(self.lens.len() as u64)
    }

    /// Whether one more frame may be produced now. A pump that is slower than the handler must not
    /// lose frames out of the window before it has taken them; when nobody takes any, the oldest
    /// go.
    pub(super) fn has_room(&self, len: usize, send_queue: usize) -> bool {
        let Route::Pump { taken } = self.route else {
            return true;
        };
        let frames = self.next().saturating_sub(taken.saturating_add(1));
        let most = self.limits.max_bytes.min(send_queue);
        frames == 0
            || (frames < self.limits.max_frames as u64 && self.untaken.saturating_add(len) <= most)
    }

    /// A frame is in the store.
    pub(super) fn appended(&mut self, len: usize) {
        self.lens.push_back(len);
        self.bytes = self.bytes.saturating_add(len);
        self.untaken = self.untaken.saturating_add(len);
        while self.lens.len() > self.limits.max_frames || self.bytes > self.limits.max_bytes {
            let Some(gone) = self.lens.pop_front() else {
                break;
            };
            self.bytes = self.bytes.saturating_sub(gone);
            self.first = self.first.saturating_add(1);
        }
    }

    /// A pump has taken the frames up to `taken`, and takes those after it.
    pub(super) fn pumped(&mut self, taken: u64) {
        self.route = Route::Pump { taken };
        let skipped = taken.saturating_add(1).saturating_sub(self.first);
        let skipped = usize::try_from(skipped).unwrap_or(usize::MAX);
        self.untaken = self.lens.iter().skip(skipped).sum();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMITS: Limits = Limits {
        max_bytes: 100,
        max_frames: 4,
    };

    fn with_frames(lens: &[usize]) -> Delivery {
        let mut delivery = Delivery::new(LIMITS);
        for len in lens {
            delivery.appended(*len);
        }
        delivery
    }

    #[test]
    fn nobody_holds_up_a_handler_but_a_pump_does() {
        let mut delivery = with_frames(&[60, 30]);
        assert!(delivery.has_room(1000, 10));
        delivery.route = Route::Nobody;
        assert!(delivery.has_room(1000, 10));
        delivery.pumped(0);
        assert!(delivery.has_room(10, 1000));
        assert!(!delivery.has_room(11, 1000), "the first frame would go");
        assert!(!delivery.has_room(1, 50));
        delivery.pumped(1);
        assert!(delivery.has_room(70, 1000));
        delivery.pumped(2);
        assert!(delivery.has_room(1000, 0), "nothing waits");
    }

    #[test]
    fn frames_without_payload_hold_up_too() {
        let mut delivery = with_frames(&[0, 0, 0, 0]);
        delivery.pumped(0);
        assert!(!delivery.has_room(0, 1000));
        delivery.pumped(1);
        assert!(delivery.has_room(0, 1000));
    }

    #[test]
    fn the_oldest_go_first_and_numbers_go_on() {
        let mut delivery = with_frames(&[60, 30, 40, 1, 1, 1]);
        assert_eq!((delivery.first, delivery.next()), (3, 7));
        assert_eq!(delivery.bytes, 43);
        delivery.pumped(4);
        assert_eq!(delivery.untaken, 2);
    }
}
