//! AIRE nodes in memory, on a virtual clock, over links that lose, delay, reorder, double, cut and
//! heal; and an auditor that knows what must hold.
//!
//! A seed decides everything, so a failure replays exactly. See [`play`].

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
