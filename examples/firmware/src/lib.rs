//! The platform under the agent: two boards, their time, network, storage and randomness, behind
//! the interfaces of embassy and embedded-storage.
//!
//! Build it with one of the features `lm3s6965evb` and `mps2-an386`. `make firmware` in the root of
//! the tree builds both and runs them.
#![no_std]

pub mod agent;
pub mod board;
pub mod clock;
pub mod entropy;
pub mod ethernet;
pub mod executor;
mod fault;
pub mod host;
pub mod identity;
mod mmio;
pub mod network;
pub mod stack;
pub mod storage;

/// Guards the stack, and starts the board and its clock. To be called first, and once.
pub fn start() {
    stack::protect();
    board::start();
    clock::start();
}

/// Prints what the run took of RAM.
pub fn report_memory() {
    let usage = stack::usage();
    say!(
        "ram: statics ",
        usage.statics,
        ", peak stack ",
        usage.stack,
        ", together ",
        usage.statics + usage.stack,
        ", free ",
        usage.free
    );
}
