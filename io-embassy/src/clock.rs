//! Two clocks: the one of `embassy-time`, and what the time of day is ahead of it.

use aire_proto::{Now, UnixMillis};
use embassy_time::{Duration, Instant};

/// What is known of the time of day.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Clock {
    /// The time of day when the device's own clock said zero, in milliseconds.
    origin: Option<i64>,
    /// When that was learnt.
    #[cfg(feature = "sntp")]
    set_at: Option<Instant>,
}

impl Clock {
    pub(crate) fn is_set(self) -> bool {
        self.origin.is_some()
    }

    #[cfg(feature = "sntp")]
    pub(crate) fn set_at(self) -> Option<Instant> {
        self.set_at
    }

    /// It is `now`.
    pub(crate) fn set(&mut self, now: UnixMillis, at: Instant) {
        self.origin = Some(now.0.saturating_sub(millis(at)));
        #[cfg(feature = "sntp")]
        {
            self.set_at = Some(at);
        }
    }

    /// Both clocks at `at`. Before it is known, the time of day is in 1970.
    pub(crate) fn at(self, at: Instant) -> Now {
        let own = millis(at);
        Now {
            instant: aire_proto::Instant::from_millis(own.unsigned_abs()),
            unix: UnixMillis(self.origin.unwrap_or(0).saturating_add(own)),
        }
    }

    pub(crate) fn now(self) -> Now {
        self.at(Instant::now())
    }
}

fn millis(at: Instant) -> i64 {
    i64::try_from(at.as_millis()).unwrap_or(i64::MAX)
}

/// As QUIC wants it.
pub(crate) fn quic_instant(at: Instant) -> aire_quic::Instant {
    aire_quic::Instant::from_micros(at.as_micros())
}

/// As QUIC wants it.
pub(crate) fn quic_span(span: Duration) -> aire_quic::Micros {
    aire_quic::Micros::new(span.as_micros())
}

/// The first tick at which QUIC's clock surely shows `due`.
pub(crate) fn of_quic(due: aire_quic::Instant) -> Instant {
    after_a_tick(Instant::from_micros(due.as_micros()))
}

/// The first tick at which the protocol's clock surely shows `due`.
pub(crate) fn of_protocol(due: aire_proto::Instant) -> Instant {
    after_a_tick(Instant::from_millis(due.as_millis()))
}

/// Conversions round down, and a timer that fires a tick too early would fire for ever.
fn after_a_tick(at: Instant) -> Instant {
    at.checked_add(Duration::from_ticks(1))
        .unwrap_or(Instant::MAX)
}

/// As the protocol wants it.
pub(crate) const fn span(span: Duration) -> core::time::Duration {
    core::time::Duration::from_micros(span.as_micros())
}
