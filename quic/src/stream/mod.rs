//! Streams and their flow control (RFC 9000 §2 to §4).
//!
//! [`Streams`] is the table of all streams, over memory that the caller owns. A slot of it holds one
//! [`receive::Receive`] and one [`send::Send`], each over a ring of bytes; [`flow`] counts what both
//! ends may send on the whole connection, and [`outgoing`] fills packets.

mod application;
mod flow;
mod frames;
mod incoming;
mod outgoing;
mod receive;
mod ring;
mod send;
mod spans;
mod table;
#[cfg(test)]
mod tests;

pub(crate) use incoming::Taken;
pub(crate) use table::{Limits, Slot, Streams};

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

    /// The bidirectional stream that this end opened behind `index` others.
    const fn local(index: u64) -> Self {
        Self(index.wrapping_mul(4) & varint::MAX)
    }

    /// The bidirectional stream that the peer opened behind `index` others.
    const fn remote(index: u64) -> Self {
        Self(Self::local(index).0 | 1)
    }

    /// How many streams of the same type come before it.
    const fn index(self) -> u64 {
        self.0 >> 2
    }
}

/// What an application may read of a stream now.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Peek<'a> {
    /// The next bytes. More may be there when these are consumed: the buffer is a ring.
    pub bytes: &'a [u8],
    /// The stream ends right behind `bytes`.
    pub fin: bool,
}

/// Why no stream could be opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum OpenError {
    /// The handshake is not done.
    NotConnected,
    /// The peer allows no further stream now (RFC 9000 §4.6).
    PeerLimit,
    /// All of the storage's streams for this end are in use.
    NoSlot,
    /// The connection is over.
    Closed,
}

/// What happened to the streams.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Event {
    /// `open` may succeed again.
    StreamsAvailable,
    /// The peer opened a stream.
    Opened(StreamId),
    /// New bytes, or the end.
    Readable(StreamId),
    /// The peer gave up sending. What was not read is gone.
    Reset { stream: StreamId, code: u64 },
    /// Room again after a short write.
    Writable(StreamId),
    /// The peer reads no more: this end's sending is reset.
    Stopped { stream: StreamId, code: u64 },
    /// The peer has everything, the end included.
    Finished(StreamId),
}
