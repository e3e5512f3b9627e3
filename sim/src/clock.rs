//! The clocks of a process: off by some offset, and running a little too fast or too slow.

use aire_proto::{Instant, Now, UnixMillis};

/// What the world's time 0 is called.
const UNIX_START: i64 = 1_781_568_000_000;

const MILLION: i64 = 1_000_000;

/// Both clocks of one process.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Clock {
    /// What the monotonic clock says at the world's time 0, in milliseconds.
    pub(crate) start: u64,
    /// How far the wall clock is ahead, in milliseconds.
    pub(crate) skew: i64,
    /// By how many millionths both run too fast.
    pub(crate) ppm: i64,
}

impl Clock {
    fn elapsed(&self, world: u64) -> i64 {
        (world as i64) * (MILLION + self.ppm) / MILLION
    }

    /// What the clocks say at the world's time `world`.
    #[must_use]
    pub(crate) fn now(&self, world: u64) -> Now {
        let elapsed = self.elapsed(world);
        Now {
            instant: Instant::from_millis(self.start + elapsed as u64),
            unix: UnixMillis(UNIX_START + self.skew + elapsed),
        }
    }

    /// The first moment of the world at which the monotonic clock says `instant` or later.
    #[must_use]
    pub(crate) fn world_of(&self, instant: Instant) -> u64 {
        let elapsed = instant.as_millis().saturating_sub(self.start);
        let Ok(elapsed) = i64::try_from(elapsed) else {
            return u64::MAX;
        };
        if elapsed > i64::MAX / MILLION {
            return u64::MAX;
        }
        let mut world = (elapsed * MILLION / (MILLION + self.ppm)) as u64;
        while self.elapsed(world) < elapsed {
            world += 1;
        }
        world
    }
}
