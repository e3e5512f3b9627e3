//! The limits and times of a connection.

use core::fmt;
use core::time::Duration;

use crate::handshake::MAX_TIMESTAMP_WINDOW;
use crate::identity::SignatureVerifier;
use crate::wire::{MAX_SEND_PAYLOAD, MIN_ACCEPTED_PAYLOAD};

/// Who checks the signatures of frames behind HELLO. Lives as long as the program, so that a
/// configuration can be copied.
#[derive(Clone, Copy)]
pub struct Signatures(pub &'static (dyn SignatureVerifier + Sync));

impl fmt::Debug for Signatures {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Signatures(..)")
    }
}

/// How a connection behaves. Start from [`Config::default`].
#[derive(Clone, Copy, Debug)]
pub struct Config {
    /// How far a peer's timestamp may be off, either way; at most 300 s, the default (`SIG-9`).
    pub timestamp_window: Duration,
    /// How long to wait for the peer's HELLO and its judgement; 10 s by default.
    pub handshake_timeout: Duration,
    /// How long a CANCEL may wait for its answer, ours or the peer's; 5 s by default (`CAN-5`,
    /// `CAN-7`). Also how long a terminal frame may wait for its FIN.
    pub cancel_timeout: Duration,
    /// How long live operations may go on after a GOODBYE; 30 s by default (`GAP-8`).
    pub drain_timeout: Duration,
    /// The largest STREAM or INVOKE payload taken, in bytes; 1 MiB by default, never under
    /// 65,536 (`WIRE-12`, `WIRE-14`).
    pub max_payload: u64,
    /// The most operations at a time, whoever opened them; 1,024 by default. Fixed storage may
    /// have room for fewer.
    pub max_operations: usize,
    /// Checks signed CANCEL frames (`SIG-13`) and channel bindings (`GAP-21`): Ed25519 by default.
    /// Without one, neither is ever good.
    pub signatures: Option<Signatures>,
    /// Whether the application wants vendor frames of operations (`GAP-14`); no by default.
    pub vendor_frames: bool,
    /// Admits peers of minor version 0 and 1, which sign nothing (`GAP-11`). Whatever such a peer
    /// says of its identity proves nothing.
    pub danger_accept_unsigned_peers: bool,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            timestamp_window: MAX_TIMESTAMP_WINDOW,
            handshake_timeout: Duration::from_secs(10),
            cancel_timeout: Duration::from_secs(5),
            drain_timeout: Duration::from_secs(30),
            max_payload: MAX_SEND_PAYLOAD,
            max_operations: 1024,
            #[cfg(feature = "ed25519")]
            signatures: Some(Signatures(&crate::identity::Ed25519Verifier)),
            #[cfg(not(feature = "ed25519"))]
            signatures: None,
            vendor_frames: false,
            danger_accept_unsigned_peers: false,
        }
    }
}

impl Config {
    /// The same with every value within its bounds.
    pub(super) fn bounded(mut self) -> Self {
        self.timestamp_window = self.timestamp_window.min(MAX_TIMESTAMP_WINDOW);
        self.max_payload = self.max_payload.max(MIN_ACCEPTED_PAYLOAD);
        self
    }
}
