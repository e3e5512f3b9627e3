//! What each fuzz target does with its bytes. `fuzz/` runs them under libFuzzer; `tests/corpus.rs`
//! replays the committed corpus in every test run.
//!
//! A target panics when something does not hold. They share the in-memory link, the scripts and
//! the walks of `aire-proto`'s own tests.

#[path = "../../../proto/tests/support/address.rs"]
mod addresses;
#[path = "../../../proto/tests/support/bounded.rs"]
mod bounded;
#[path = "../../../proto/tests/support/mod.rs"]
mod support;

pub mod airc;
mod codec;
mod handshake;
/// What an AIRC registry must do with any requests.
pub mod registry;

/// What `aire-quic` must do with any bytes; it shares nothing with what is above it.
pub use aire_quic::fuzzing as quic;
pub use codec::{decoder, payloads};
pub use handshake::hello;

use bounded::Bounded;
use support::script::{self, Roomy};
use support::walk;

/// Text as a URI, a handle, a `did:web` or an answer: what is read, is printed and read again as the
/// same, and leads nowhere but where it says. Two lines are two texts to compare.
pub fn address(data: &[u8]) {
    addresses::check(data);
}

/// One connection with a scripted peer, or two that walk: however the input is cut, and whatever
/// its storage, a connection does the same.
pub fn connection(data: &[u8]) {
    let Some((&mode, bytes)) = data.split_first() else {
        return;
    };
    match mode & 3 {
        0 => {
            let whole = script::run::<Roomy>(bytes, usize::MAX);
            for chunk in [1, usize::from(mode >> 2) + 2] {
                assert_eq!(script::run::<Roomy>(bytes, chunk), whole, "by {chunk}");
            }
        }
        1 => assert_eq!(
            script::run::<Bounded>(bytes, 5),
            script::run::<Roomy>(bytes, 5)
        ),
        2 => assert_eq!(
            walk::walk::<Bounded, Bounded>(bytes),
            walk::walk::<Roomy, Roomy>(bytes)
        ),
        _ => {
            walk::walk::<aire_proto::Fixed<1, 64, 1, 400>, Roomy>(bytes);
        }
    }
}
