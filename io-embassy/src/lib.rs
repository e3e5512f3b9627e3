#![cfg_attr(not(test), no_std)]
#![doc = include_str!("../README.md")]

mod clock;
mod daytime;
mod engine;
mod error;
mod handle;
mod log;
mod lookup;
mod operation;
mod options;
mod protocol;
mod random;
mod resources;
mod runner;
mod slot;
#[cfg(feature = "sntp")]
mod sntp;
mod store;
mod wire;

pub use engine::Status;
pub use error::{Closed, Error};
pub use handle::Handle;
pub use operation::{Chunk, Event, Operation};
pub use options::{Backoff, CAPABILITIES, DEFAULT_PORT, Options, Server, TimeSource};
pub use random::Random;
pub use resources::Resources;
pub use runner::Runner;
pub use slot::{NAME_LEN, Name};
pub use store::{StoreError, TicketStore};

use embassy_net::Stack;

/// Makes a client: what the application's tasks hold, and what one task must run. `random` is where
/// all its secrets come from: see [`Random`].
#[must_use]
pub fn new<
    R: Random,
    const OPS: usize,
    const STREAMS: usize,
    const RX: usize,
    const TX: usize,
    const DATAGRAM: usize,
    const PACKETS: usize,
    const OUTBOX: usize,
    const SCRATCH: usize,
>(
    stack: Stack<'static>,
    resources: &'static mut Resources<OPS, STREAMS, RX, TX, DATAGRAM, PACKETS, OUTBOX, SCRATCH>,
    options: Options,
    random: R,
) -> (Handle, Runner<R>) {
    resources.client(stack, options, random)
}
