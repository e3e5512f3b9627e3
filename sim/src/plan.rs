//! What an operation is to do. Both ends know it from outside the protocol, so that every byte can
//! be checked.

use crate::rng::{Rng, mix};
use crate::scenario::Scenario;

/// How deep delegation goes, the root's operation being 0.
pub(crate) const MOST_DEPTH: u32 = 2;

/// The most operations that one is delegated to.
pub(crate) const MOST_CHILDREN: usize = 4;

/// Which way a payload goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Way {
    Arguments,
    Input,
    Output,
}

/// One operation's work.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Plan {
    pub(crate) job: u64,
    pub(crate) depth: u32,
    /// How many STREAM frames answer it, and how many come with it.
    pub(crate) frames: u64,
    pub(crate) inputs: u64,
    pub(crate) largest: u64,
    /// The longest pause before a frame, in milliseconds.
    pub(crate) pause: u64,
    pub(crate) children: u64,
    pub(crate) resumable: bool,
    /// Whether a BUDGET follows INVOKE: no work is done before it is there.
    pub(crate) budgeted: bool,
    pub(crate) tokens: u64,
    pub(crate) cost: u64,
    /// The local policy of the node that works on it.
    pub(crate) cap: Option<u64>,
    /// How long it waits for a top-up, in milliseconds.
    pub(crate) patience: u64,
    /// The agent fails before this frame.
    pub(crate) fails_at: Option<u64>,
    /// Whether it fails when one that it was delegated to fails.
    pub(crate) strict: bool,
}

impl Plan {
    /// A random operation. `budgeted` when its parent's is.
    pub(crate) fn random(
        rng: &mut Rng,
        scenario: &Scenario,
        job: u64,
        depth: u32,
        budgeted: bool,
    ) -> Self {
        let deep = scenario.delegation && depth < MOST_DEPTH && rng.percent(60);
        Self {
            job,
            depth,
            frames: rng.pick(&[0, 1, 4, 12, 40]).unwrap_or(4),
            inputs: rng.pick(&[0, 0, 0, 2, 6]).unwrap_or(0),
            largest: rng.pick(&[0, 10, 300, 4_000]).unwrap_or(10),
            pause: rng.pick(&[0, 50, 300, 900]).unwrap_or(50),
            children: if deep { rng.between(1, 3) } else { 0 },
            resumable: scenario.resumable && rng.percent(60),
            budgeted,
            tokens: rng.pick(&[0, 1, 7, 20]).unwrap_or(1),
            cost: rng.pick(&[0, 0, 500]).unwrap_or(0),
            cap: rng.percent(15).then(|| rng.between(10, 200)),
            patience: rng.pick(&[0, 500, 3_000]).unwrap_or(500),
            fails_at: rng.percent(8).then(|| rng.between(0, 5)),
            strict: rng.percent(30),
        }
    }

    /// The payload of frame `seq`, counted from 1; of the arguments, whose `seq` is 0.
    #[must_use]
    pub(crate) fn payload(&self, way: Way, seq: u64) -> Vec<u8> {
        let key = mix(mix(self.job, way as u64), seq);
        let size = match way {
            Way::Arguments => 8 + key % (self.largest + 1),
            _ => key % (self.largest + 1),
        };
        let mut bytes = Vec::with_capacity(size as usize + 8);
        if way == Way::Arguments {
            bytes.extend_from_slice(&self.job.to_be_bytes());
        }
        let mut index = 0;
        while (bytes.len() as u64) < size {
            bytes.extend_from_slice(&mix(key, index).to_le_bytes());
            index += 1;
        }
        bytes.truncate(size as usize);
        bytes
    }

    /// The pause before frame `seq`, in milliseconds.
    #[must_use]
    pub(crate) fn pause_before(&self, seq: u64) -> u64 {
        mix(self.job ^ 0x9a, seq) % (self.pause + 1)
    }
}
