//! Operations that outlive their connection (§9).
//!
//! A responder's handler puts every frame into a [store](crate::store) before it sends it. When
//! the connection is lost, it goes on, and only puts (`GAP-18`). A RESUME is answered by a pump: a
//! thread that claims the token in the store, and sends on the new stream what the store has and
//! gets. A handler whose operation was resumed once never sends again for itself, so one path
//! serves the node that works on the operation, another node, and one that was started anew. What
//! the initiator says on the new stream goes to the handler: directly on the same node, else
//! through the store.
//!
//! An initiator's operation with a live token is suspended when the connection is lost, until
//! another one is up: see [`Reconnect`].

mod keeper;
mod kept;
mod pump;
mod redial;

pub(crate) use keeper::Keeper;
pub(crate) use kept::Kept;
pub(crate) use pump::Pump;
pub use redial::Reconnect;
pub(crate) use redial::{Redial, Turn};

use std::time::Duration;

use aire_proto::UnixMillis;

use crate::store::Limits;

/// How an agent's operations can be resumed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Resumable {
    /// How long an operation that nobody is connected to goes on, and how long its end is kept;
    /// 300 s by default. At least 1 s, and rounded up to whole seconds (`RES-2`, `RES-8`).
    pub ttl: Duration,
    /// The retained window in bytes of payload; 1 MiB by default. The oldest frames go first past
    /// it (`GAP-18`). An operation with a larger frame can no longer be resumed.
    pub max_bytes: usize,
    /// The retained window in frames; 4,096 by default.
    pub max_frames: usize,
}

impl Default for Resumable {
    fn default() -> Self {
        Self {
            ttl: Duration::from_secs(300),
            max_bytes: 1024 * 1024,
            max_frames: 4096,
        }
    }
}

impl Resumable {
    /// The default with this time.
    #[must_use]
    pub fn for_ttl(ttl: Duration) -> Self {
        Self {
            ttl,
            ..Self::default()
        }
    }

    /// The same with this window.
    #[must_use]
    pub const fn window(mut self, max_bytes: usize, max_frames: usize) -> Self {
        self.max_bytes = max_bytes;
        self.max_frames = max_frames;
        self
    }

    const fn limits(&self) -> Limits {
        Limits {
            max_bytes: self.max_bytes,
            max_frames: self.max_frames,
        }
    }

    /// In whole seconds, as the peer is told.
    fn ttl_secs(&self) -> u64 {
        let up = u64::from(self.ttl.subsec_nanos() > 0);
        self.ttl.as_secs().saturating_add(up).clamp(1, MOST_SECS)
    }
}

/// About 30,000 years: far, and no sum with it overflows.
const MOST_SECS: u64 = 1_000_000_000_000;

/// `length` after `now`.
fn later(now: UnixMillis, length: Duration) -> UnixMillis {
    let millis = i64::try_from(length.as_millis()).unwrap_or(i64::MAX);
    UnixMillis(now.0.saturating_add(millis))
}
