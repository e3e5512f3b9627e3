//! AIRE nodes in memory, on a virtual clock, over links that lose, delay, reorder, double, cut and
//! heal; and an auditor that knows what must hold.
//!
//! A seed decides everything, so a failure replays exactly: `--seed N --trace` prints what happened.
//! See [`play`].
//!
//! The transport is a small QUIC of its own, whose packets the network loses and delays; above it
//! runs `aire-proto` as it is. What a real application does with it is here as well: it charges
//! budgets, shares them out, retains frames, resumes, hands on, and crashes. The [`Invariant`]s are
//! judged by what these applications saw, and by nothing that the protocol says of itself. That they
//! can fail is shown by a [`Fault`] each.

mod audit;
mod call;
mod clock;
mod context;
mod identity;
mod keep;
mod live;
mod plan;
mod process;
mod rng;
mod scenario;
mod stats;
mod told;
mod transport;
mod tree;
mod work;
mod world;

pub use audit::{Failure, Invariant};
pub use scenario::Fault;
pub use stats::Stats;
pub use world::{Report, play};
