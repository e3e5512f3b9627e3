//! A connection's memory, which is the caller's.

use crate::stream::Slot;

/// All the memory that a connection needs beside itself.
///
/// `STREAMS` streams can be open at one time, those of the server included, each with `RX` bytes
/// for what comes and `TX` bytes for what leaves. `RX` is also the window that the server gets on
/// a stream. During the handshake no stream is open, so the same bytes hold the server's handshake
/// messages: its certificate chain must fit into `STREAMS * RX`.
#[derive(Debug)]
pub struct Storage<const STREAMS: usize, const RX: usize, const TX: usize> {
    pub(crate) slots: [Slot; STREAMS],
    pub(crate) rx: [[u8; RX]; STREAMS],
    pub(crate) tx: [[u8; TX]; STREAMS],
}

impl<const STREAMS: usize, const RX: usize, const TX: usize> Storage<STREAMS, RX, TX> {
    /// Sizes that no connection could work with do not compile.
    const CHECKED: () = {
        assert!(STREAMS >= 1 && STREAMS <= 64, "1 to 64 streams");
        assert!(RX >= 64 && RX <= 1 << 24, "64 B to 16 MiB to receive");
        assert!(TX >= 64 && TX <= 1 << 24, "64 B to 16 MiB to send");
        assert!(STREAMS * RX >= 2048, "a server's certificate needs 2 KiB");
        assert!(STREAMS * TX >= 1024, "the first message needs 1 KiB");
    };

    /// Empty memory.
    #[must_use]
    pub const fn new() -> Self {
        let () = Self::CHECKED;
        Self {
            slots: [const { Slot::new() }; STREAMS],
            rx: [[0; RX]; STREAMS],
            tx: [[0; TX]; STREAMS],
        }
    }
}

impl<const STREAMS: usize, const RX: usize, const TX: usize> Default for Storage<STREAMS, RX, TX> {
    fn default() -> Self {
        Self::new()
    }
}
