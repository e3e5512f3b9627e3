//! Servers on four independent QUIC stacks that a client is tested against: quiche, quinn, quic-go
//! and aioquic. All speak one small protocol, so that one test drives them all; `README.md` has it.
//!
//! A test makes [`Credentials`], says what it wants in [`Options`], and starts a [`Peer`]:
//!
//! ```no_run
//! use aire_interop_quic::{Credentials, KeyKind, Options, Peer, Stack};
//!
//! let credentials = Credentials::self_signed(KeyKind::Ed25519)?;
//! let peer = Peer::start(Stack::Quinn, &Options { retry: true, ..Options::new(&credentials) })?;
//! println!("connect to {} and trust {:?}", peer.address(), credentials.spki());
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod credentials;
mod options;
mod peer;
pub mod server;
mod stack;

pub use credentials::{Credentials, KeyKind, NAME};
pub use options::Options;
pub use peer::Peer;
pub use stack::{Feature, Stack};

/// The application protocol that every server here speaks.
pub const ALPN: &[u8] = b"aire-quic-test/0";

/// What a server lets a client send on one stream before it reads, in bytes.
pub const STREAM_WINDOW: u32 = 64 * 1024;

/// What a server lets a client send on all streams together before it reads, in bytes.
pub const CONNECTION_WINDOW: u32 = 256 * 1024;

/// The code that a stream is reset with when its command is none, or fails.
pub const FAILED: u32 = 1;

/// The byte at `offset` of what `source` sends.
#[must_use]
pub fn pattern(offset: u64) -> u8 {
    let [low, ..] = offset.to_le_bytes();
    low.wrapping_mul(31).wrapping_add(7)
}
