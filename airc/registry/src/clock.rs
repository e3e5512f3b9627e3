//! What time it is.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

use airc_core::time::Time;

/// The system's clock, or one that tests set. Clones of a clock show the same time.
#[derive(Clone, Debug, Default)]
pub struct Clock {
    /// None for the system's.
    set: Option<Arc<AtomicU64>>,
}

impl Clock {
    /// The system's clock.
    #[must_use]
    pub const fn system() -> Self {
        Self { set: None }
    }

    /// A clock that stands at `now` until it is [set](Self::set).
    #[must_use]
    pub fn standing(now: Time) -> Self {
        let set = Some(Arc::new(AtomicU64::new(now.0)));
        Self { set }
    }

    /// Sets a standing clock. The system's is left alone.
    pub fn set(&self, now: Time) {
        if let Some(set) = &self.set {
            set.store(now.0, Ordering::SeqCst);
        }
    }

    /// The time. 1970 if the system's clock is before that.
    #[must_use]
    pub fn now(&self) -> Time {
        if let Some(set) = &self.set {
            return Time(set.load(Ordering::SeqCst));
        }
        let since = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap_or_default();
        Time(u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_standing_clock_shows_what_it_was_set_to_in_all_its_clones() {
        let clock = Clock::standing(Time(5));
        let other = clock.clone();
        other.set(Time(7));
        assert_eq!(clock.now(), Time(7));
        assert!(Clock::system().now() > Time::from_seconds(1_700_000_000));
    }
}
