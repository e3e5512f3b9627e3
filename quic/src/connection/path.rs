//! The network path: challenges answered, and our own after a change of address (RFC 9000 §8.2, §9).

use crate::crypto::Seed;
use crate::time::{Instant, Micros};

/// How many challenges of the server may wait for their answer. Only the newest matter.
const MAX_RESPONSES: usize = 2;

/// How often a new path is challenged before it is given up.
const MAX_CHALLENGES: u32 = 6;

/// What a path is doing.
#[derive(Debug)]
pub(super) struct Path {
    responses: heapless::Deque<[u8; 8], MAX_RESPONSES>,
    probe: Option<Probe>,
    /// Challenges so far on this connection: each gets bytes of its own.
    challenges: u32,
}

/// A new path that is not known to work.
#[derive(Clone, Copy, Debug)]
struct Probe {
    /// The number of the first challenge that was sent on it.
    first: u32,
    /// When the next one is due.
    due: Instant,
    interval: Micros,
}

impl Path {
    pub(super) const fn new() -> Self {
        Self {
            responses: heapless::Deque::new(),
            probe: None,
            challenges: 0,
        }
    }

    /// The server sent a PATH_CHALLENGE.
    pub(super) fn on_challenge(&mut self, data: [u8; 8]) {
        if self.responses.is_full() {
            self.responses.pop_front();
        }
        // There is room now.
        let _pushed = self.responses.push_back(data);
    }

    /// The server answered a challenge: any of those on this path will do.
    pub(super) fn on_response(&mut self, data: [u8; 8], seed: &Seed) {
        if let Some(probe) = self.probe
            && (probe.first..self.challenges).any(|number| challenge(seed, number) == data)
        {
            self.probe = None;
        }
    }

    /// The address changed: the path is challenged at once, then every `interval`.
    pub(super) fn begin(&mut self, interval: Micros, now: Instant) {
        self.responses.clear();
        self.probe = Some(Probe {
            first: self.challenges,
            due: now,
            interval,
        });
    }

    /// Whether a change of address has not been confirmed by the server.
    pub(super) const fn is_unproven(&self) -> bool {
        self.probe.is_some()
    }

    /// Whether the new path was challenged as often as it may, and the last answer is overdue.
    pub(super) fn has_failed(&self, now: Instant) -> bool {
        self.probe.is_some_and(|probe| {
            probe.due <= now && self.challenges.saturating_sub(probe.first) >= MAX_CHALLENGES
        })
    }

    pub(super) fn next_deadline(&self) -> Option<Instant> {
        self.probe.map(|probe| probe.due)
    }

    pub(super) fn wants_to_send(&self, now: Instant) -> bool {
        !self.responses.is_empty() || self.challenge_due(now)
    }

    fn challenge_due(&self, now: Instant) -> bool {
        self.probe.is_some_and(|probe| probe.due <= now) && !self.has_failed(now)
    }

    /// The next answer for a PATH_RESPONSE.
    pub(super) fn take_response(&mut self) -> Option<[u8; 8]> {
        self.responses.pop_front()
    }

    /// The next bytes for a PATH_CHALLENGE, when one is due.
    pub(super) fn take_challenge(&mut self, seed: &Seed, now: Instant) -> Option<[u8; 8]> {
        if !self.challenge_due(now) {
            return None;
        }
        let data = challenge(seed, self.challenges);
        self.challenges = self.challenges.saturating_add(1);
        if let Some(probe) = &mut self.probe {
            probe.due = now.after(probe.interval);
        }
        Some(data)
    }
}

fn challenge(seed: &Seed, number: u32) -> [u8; 8] {
    let [a, b, c, d, e, f, g, h, ..] = seed.derive_n(b"path", number);
    [a, b, c, d, e, f, g, h]
}
