//! Streams and their flow control (RFC 9000 §2 to §4).

use crate::varint;

/// A stream's id (RFC 9000 §2.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct StreamId(u64);

impl StreamId {
    /// The stream with this number; `None` past 2^62 - 1.
    #[must_use]
    pub const fn new(id: u64) -> Option<Self> {
        if id <= varint::MAX {
            Some(Self(id))
        } else {
            None
        }
    }

    /// The number.
    #[must_use]
    pub const fn get(self) -> u64 {
        self.0
    }

    /// Whether the client opened it: this end.
    #[must_use]
    pub const fn is_local(self) -> bool {
        self.0 & 1 == 0
    }

    /// Whether both ends send on it.
    #[must_use]
    pub const fn is_bidirectional(self) -> bool {
        self.0 & 2 == 0
    }
}
